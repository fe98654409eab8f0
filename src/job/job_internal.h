/*
 * job_internal.h - what the files that read and check jobs share: the wider objects behind the public ones, the
 * reporter of faults, and how one option is read. For src/job only; one thread at a time per set of jobs.
 */
#ifndef JOB_INTERNAL_H
#define JOB_INTERNAL_H

#include <jansson.h>
#include <string.h>

#include "bm_job.h"
#include "bm_mem.h"

#define JOB_MAX_FAULTS 100 /* told of one file, and of the set as a whole; then a line says that there are more */
#define JOB_MAX_STEPS 64   /* of one job */
#define JOB_MAX_NAME 255   /* bytes of the NAME in ${NAME} */
#define JOB_DIGEST_BYTES BM_JOB_TEXT_DIGEST_BYTES

/* The text of one job file, kept until bm_jobs_check has said its last word about it. */
struct job_source {
	char *file; /* as the user named it */
	char *text; /* owned; NULL once it is no longer needed */
	size_t len;
	uint8_t digest[JOB_DIGEST_BYTES]; /* xxh128 of the text as it was read */
};

/* A job with where it was read. Every struct bm_job is the first member of one of these. */
struct job_node {
	struct bm_job job;
	struct job_source *source; /* borrowed from the set; NULL: built by a program */
	char *pointer;             /* "" or "/jobs/3"; NULL as "" */
};

/* A set of jobs. Every struct bm_jobs is the first member of one of these. */
struct job_set {
	struct bm_jobs pub;
	struct job_source **sources; /* owned, each too */
	size_t source_count;
	bool is_faulty;     /* a file had faults: the set can be checked further, never run */
	bool names_unknown; /* ... such that the names of its jobs are not all known */
	bool stdin_is_file; /* a job file was itself read from standard input */
};

static inline struct job_set *job_set_of(struct bm_jobs *jobs)
{
	return (struct job_set *)(void *)jobs;
}
static inline struct job_node *job_node_of(struct bm_job *job)
{
	return (struct job_node *)(void *)job;
}

/* ---- telling faults (parse_report.c) ---- */

struct job_report {
	struct job_set *set;
	struct job_source *source; /* may be NULL */
	const char *file;          /* for diagnostics */
	struct bm_error *err;      /* the first fault; may be NULL */
	struct bm_buf pointer;     /* of the value at hand */
	struct bm_strings doubles; /* pointers of duplicate keys: nothing more is said about those */
	size_t errors;             /* faults that are not warnings */
	size_t told;               /* diagnostics given */
	bool oom;
};

void job_report_init(struct job_report *r, struct job_set *set, struct job_source *source, const char *file,
                     struct bm_error *err);
/* Ends a round of faults: BM_OK, BM_ERR_USAGE or BM_ERR_NOMEM (err is set). Frees; marks the set. */
enum bm_status job_report_fini(struct job_report *r);

/* Move the pointer down to a key or an index; the result is for job_report_up. */
size_t job_report_down(struct job_report *r, const char *key);
size_t job_report_down_index(struct job_report *r, size_t index);
void job_report_up(struct job_report *r, size_t mark);

enum job_fault_kind {
	JOB_FAULT,        /* about the value at the pointer */
	JOB_FAULT_OF_KEY, /* about its key */
	JOB_WARNING       /* about the value; does not count */
};
/* One fault at the pointer; where the text has no such value, at the nearest one above. suggestion may be NULL. The
 * message must be fit for a terminal: names and values go through bm_escape_display or job_put_quoted first. */
void job_fault(struct job_report *r, enum job_fault_kind kind, const char *suggestion, const char *fmt, ...)
	BM_PRINTF(4, 5);
/* The same with the place known. */
void job_fault_at(struct job_report *r, unsigned line, unsigned column, const char *pointer, const char *text);

/* Appends "text" in quotes, escaped, cut in the middle when long. */
void job_put_quoted(struct bm_buf *out, const char *text, size_t len);
/* Appends what a value is, for "level is ...": the string "x", 99, null, an array. */
void job_put_found(struct bm_buf *out, const json_t *v);
/* Appends what an option may be: an integer from 0 to 9. */
void job_put_allowed(struct bm_buf *out, const struct bm_option *o);
/* Appends a, b, c of a NULL-terminated list; quoted, with the last joined by word ("or") where word is not NULL. */
void job_put_list(struct bm_buf *out, const char *const *list, const char *word);
/* Appends a size as it would be written in a job file: 64KiB. */
void job_put_size(struct bm_buf *out, uint64_t bytes);

/* ---- unknown keys (parse_keys.c) ---- */

#define JOB_MEANT_EXTRA (UINT64_C(1) << 63) /* no table of options is so long */
/* Tells of key, which none of the options and none of extra (up to two words) is. owner: "a hash step". Returns the
 * bit of the option that it was probably meant to be, JOB_MEANT_EXTRA for extra[1], or 0. */
uint64_t job_fault_key(struct job_report *r, const char *key, const char *owner, const struct bm_option *options,
                       size_t count, const char *const extra[2]);
/* Of a root without "jobs": has it a key that was probably meant to be it? Then that is told. */
bool job_fault_misspelt_jobs(struct job_report *r, const json_t *root);

/* ---- reading one option (parse_value.c) ---- */

/* Sets the option's field in params from v. Strings are substituted and, where they are paths, taken relative to base
 * (NULL: left alone). Every fault is told; on any the field keeps what it had. False on a fault. */
bool job_value_set(struct job_report *r, const struct bm_option *o, void *params, const json_t *v, const char *base);
/* Sets it to the table's default (zero where there is none). False on no memory. */
bool job_value_default(const struct bm_option *o, void *params);
/* Checks a field that a program has set: ranges, enums, patterns, templates. False on a fault, which was told. */
bool job_value_check(struct job_report *r, const struct bm_option *o, const void *params);

/* ---- keys in the wrong place (secret.c) ---- */

/* Where a secret key begins in text; NULL where there is none. It must not be shown. */
const char *job_find_secret(const char *text, size_t len);
#define JOB_SECRET_ADVICE                                                                                               \
	"put it into a file that only you can read and name that in identity_file; anybody who could read it here has " \
	"your key"

/* ---- ${NAME} (subst.c) ---- */

/* Puts in out with every ${NAME} replaced. False where one could not be; each was told at the pointer. */
bool job_subst(struct job_report *r, const char *in, struct bm_buf *out);
/* Is text "NAME=VALUE" with a good name? */
bool job_set_valid(const char *text);

/* ---- reading a file (parse.c) ---- */

/* Parses source->text and adds its jobs to the set, also those with faults. base as above. */
void job_parse(struct job_report *r, const char *base);

/* ---- checks (check.c) ---- */

/* The order of a job's steps. kinds[i] is NULL where the step is unknown. The pointer is at the job. */
void job_check_shape(struct job_report *r, const struct bm_step_kind *const *kinds, size_t count);
/* What lies between the options of one step: kind->check, with its reports at the pointer, which is at the step.
 * Nothing is said about options whose bit is set in excused. */
void job_check_step(struct job_report *r, const struct bm_step *step, uint64_t excused);
/* The job's name and keys, and what lies between two of its steps. The pointer is at the job. */
void job_check_job(struct job_report *r, const struct job_node *n);
/* The field of the option called name in a step, where it has one of that type; else NULL. option (may be NULL) gets
 * its row. */
const void *job_field_of(const struct bm_step *s, const char *name, enum bm_option_type type,
                         const struct bm_option **option);
const char *job_template_of(const struct bm_step *s, const char *name, const struct bm_option **option);
/* Appends path with "//" and "/./" as "/" and without a leading "./". */
void job_put_clean(struct bm_buf *out, const char *path);
static inline bool job_is_dash(const char *s)
{
	return s != NULL && s[0] == '-' && s[1] == '\0';
}
static inline bool job_is_device(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0;
}

/* ---- checks between jobs (check_set.c) ---- */

enum bm_status job_check_set(struct job_set *set, struct bm_error *err);

/* ---- building (build.c) ---- */

/* A step appended to the job with the table's defaults; its place in the job is index. NULL on no memory. */
struct bm_step *job_step_add(struct bm_job *job, const struct bm_step_kind *kind, unsigned index);
/* The set takes the job over. False on no memory (then it is destroyed). */
bool job_set_take(struct job_set *set, struct job_node *n);

#endif
