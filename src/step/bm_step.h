/*
 * bm_step.h - the table of steps and the checked parameters of each.
 *
 * One table says for each step kind its options: name, type, range, default, help, and where the value goes in the
 * parameter struct. Parsing of job files, `bytemill steps`, jobs/job.schema.json and the man page's step section are all
 * driven by it; there is no second list. A step's rows stand in the file that runs it; steps.c puts them together. A new
 * step is one new file in this folder and its name in that list.
 */
#ifndef BM_STEP_H
#define BM_STEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

#include "bm_mem.h"
#include "bm_template.h"

struct bm_age_identities;
struct bm_feed;         /* bm_feed.h */
struct bm_known_source; /* bm_known.h */

enum bm_option_type {
	BM_OPTION_STRING,   /* char * */
	BM_OPTION_PATH,     /* char *: made absolute against the job file's directory ("-" stays); no placeholders */
	BM_OPTION_TEMPLATE, /* char *: a path with placeholders (mask below), made absolute likewise */
	BM_OPTION_NAME,     /* char *: a template that is not made absolute */
	BM_OPTION_PATHS,    /* struct bm_strings: one string or an array; each as PATH, but globs are allowed */
	BM_OPTION_FILES,    /* struct bm_strings: one string or an array; each as PATH */
	BM_OPTION_GLOBS,    /* struct bm_strings: one or an array of patterns (bm_glob.h), each compiled as a check */
	BM_OPTION_STRINGS,  /* struct bm_strings: one string or an array */
	BM_OPTION_INTEGER,  /* int64_t in [min, max] */
	BM_OPTION_SIZE,     /* uint64_t bytes in [min, max]: "64KiB" or a number */
	BM_OPTION_DURATION, /* struct bm_optional_ms: "90s", or a number of seconds */
	BM_OPTION_BOOL,     /* bool */
	BM_OPTION_ENUM,     /* int: index into values */
	BM_OPTION_ENUMS,    /* struct bm_enum_list: one of values or an array of them, no repeats */
	BM_OPTION_OBJECT,   /* bool: whether it is there; its keys are the options in fields, in the same struct */
	BM_OPTION_OBJECTS   /* struct bm_objects: one object or an array; fields are offsets in an item */
};

struct bm_strings {
	char **items; /* owned, and each item */
	size_t count;
};
struct bm_objects {
	void *items; /* owned, and what their fields own; item_size bytes each */
	size_t count;
};
struct bm_enum_list {
	int items[32];
	size_t count;
};
struct bm_optional_ms {
	bool is_set;
	uint64_t ms;
};

struct bm_option {
	const char *name;
	enum bm_option_type type;
	bool required;
	size_t offset;                  /* of the value in the parameter struct */
	const char *default_json;       /* "6", "\"gzip\"", "false"; NULL: none (zero) */
	int64_t min, max;               /* INTEGER, SIZE; max 0 on SIZE: no upper limit; min of STRINGS: how many */
	const char *const *values;      /* ENUM, ENUMS: NULL-terminated */
	const struct bm_option *fields; /* OBJECT, OBJECTS: no objects among them */
	size_t field_count;
	size_t item_size;      /* OBJECTS */
	unsigned placeholders; /* TEMPLATE, NAME: mask of enum bm_placeholder */
	bool secret;           /* PATH, FILES: what is named holds keys or a passphrase */
	bool is_age;           /* DURATION: of files, mostly days: a small number without a unit gets a warning */
	const char *help;      /* one line, no full stop */
};

/* ---- parameters, one struct a step kind (each is freed by bm_params_fini with its table) ---- */

struct bm_http_params { /* of read, copy and write: how servers are spoken to */
	bool http;      /* the object is there */
	struct bm_optional_ms timeout;
	char *proxy, *ca_file, *netrc, *header_file;
	char *endpoint, *region; /* of s3 */
};
struct bm_read_url { /* an item of urls */
	char *url, *name;
	char *md5, *sha1, *sha256, *sha512;
	uint64_t size; /* 0: not said */
};
struct bm_read_params {
	struct bm_strings from; /* paths, globs, URLs, "-" */
	struct bm_strings include, exclude;
	char *files_from;
	bool files_from_null;
	struct bm_objects urls; /* struct bm_read_url */
	char *urls_from;
	int64_t connections;
	struct bm_http_params http;
	bool hidden, follow_symlinks, one_filesystem, remove;
	uint64_t min_size, max_size;
	struct bm_optional_ms older_than, newer_than;
	/* Not in the table: set by commands that build a job in memory. */
	bool literal; /* from holds plain names: no globs */
	bool nothing; /* nothing is walked: the verify step says what is read */
	/* The one input is what this gives, under this name, in place of all above (bm_job_set_feed); borrowed; NULL: none. */
	struct bm_feed *feed;
	const char *feed_name;
};
#define BM_HASH_BLOCKS_MIN 4096
#define BM_HASH_BLOCKS_SIZE_MAX (INT64_C(1) << 30)
/* Of one file: more blocks than these are larger ones, so that its line in a manifest stays one that can be read. */
#define BM_HASH_BLOCKS_COUNT_MAX 65536
/* In this order in options and in bm_manifest_formats; each is the kind of that name, see bm_manifest_kind_find. */
enum bm_manifest_format {
	BM_MANIFEST_GNU,
	BM_MANIFEST_BSD,
	BM_MANIFEST_JSON,
	BM_MANIFEST_HASHDEEP,
	BM_MANIFEST_BAGIT,
	BM_MANIFEST_SFV,
	BM_MANIFEST_RCLONE,
	BM_MANIFEST_XXHSUM
};
extern const char *const bm_manifest_formats[]; /* their names; NULL-terminated */
struct bm_hash_params {
	struct bm_enum_list algorithms; /* indices into bm_digest_algorithms() */
	char *manifest;                 /* template, "-", or NULL: only in the report */
	int format;                     /* enum bm_manifest_format */
	char *name;                     /* template of the name in a manifest line; NULL: see hash.c */
	bool null;                      /* GNU lines end in NUL and names are not escaped (sha256sum -z) */
	uint64_t blocks;                /* JSON lines have digests of blocks of so many bytes; 0: they have not */
	/* Not in the table: set by commands that build a job in memory. */
	bool name_as_given; /* names in the manifest are root and path, as sha256sum prints them */
};
/* A part of what goes to standard output, and what became of it: for bytemill cat --range. Between the start and the end of
 * the run only the stage that writes touches it, but for is_plain. */
struct bm_byte_range {
	uint64_t first, last; /* last is one of them */
	size_t tail_bytes;    /* not 0: nothing is written, the last so many are kept in tail */
	uint8_t *tail;        /* a ring: byte n of the whole is at n % tail_bytes; the caller's */
	uint64_t seen;        /* bytes of the whole so far */
	atomic_bool is_plain; /* set by decompress: there is no format, so nothing behind last is of interest */
};
struct bm_verify_params {
	char *manifest;  /* template, or "-" */
	int format;      /* enum bm_manifest_kind */
	char *algorithm; /* of lines that do not say; NULL: found out */
	char *strip;     /* what names in the manifest begin with; NULL: nothing */
	bool report_new, report_missing;
	bool always_read;
	bool strict;
	bool allow_unsafe;
	struct bm_optional_ms max_duration;
	/* Not in the table: set by commands that build a job in memory. */
	/* Each bad line, while the manifest is read, in place of a message; the texts are borrowed and fit for a terminal. */
	void (*on_bad_line)(void *ctx, const char *manifest, uint64_t line, const char *fault);
	void *ctx;
	/* Not a directory, but each entry of the manifest in its order, under its name as it stands there, from the working
	 * directory: as sha256sum -c. With read's nothing. No verdicts NEW or MISSING then. */
	bool is_list;
	bool is_nul;                         /* the manifest's lines end in NUL; else that is found out */
	uint64_t device;                     /* st_dev that the read root must have, or nothing is checked; 0: any */
	const struct bm_known_source *known; /* in place of the manifest, which is then a name for messages; borrowed */
};
enum bm_write_verify { BM_WRITE_VERIFY_AUTO, BM_WRITE_VERIFY_NONE, BM_WRITE_VERIFY_REREAD };
struct bm_write_params { /* copy and write */
	char *to;
	int if_exists; /* enum bm_if_exists */
	bool combine;
	bool preserve;
	int durability; /* enum bm_durability */
	int verify;     /* enum bm_write_verify */
	bool sparse;
	bool index; /* bgzip's .gzi beside it */
	struct bm_http_params http;
	/* Not in the table: set by commands that build a job in memory. */
	struct bm_byte_range *range; /* of one input, to "-"; borrowed */
};
enum bm_compress_format { BM_COMPRESS_GZIP, BM_COMPRESS_ZSTD };
struct bm_compress_params {
	int format;    /* enum bm_compress_format */
	int64_t level; /* where none was given, the format's usual one: see settle */
	int layout;    /* enum bm_gzip_layout */
	int engine;    /* enum bm_gzip_engine */
};
struct bm_unlock_params { /* what opens age files */
	struct bm_strings identity_file;
	char *passphrase_file;
	int64_t max_work; /* of a passphrase: log2 of scrypt's N */
	/* Not in the table: set by commands that build a job in memory. */
	struct bm_age_identities *identities; /* instead of the files and max_work; borrowed; NULL: as those say */
	bool has_passphrase;                  /* there are passphrases among them */
};
enum bm_decompress_format { BM_DECOMPRESS_AUTO, BM_DECOMPRESS_GZIP, BM_DECOMPRESS_ZSTD };
struct bm_decompress_params {
	int format;          /* enum bm_decompress_format */
	uint64_t max_size;   /* of one decoded file; 0: no limit */
	int64_t max_ratio;   /* decoded : encoded, checked past 16 MiB; 0: no limit */
	uint64_t max_window; /* zstd: bytes */
	int64_t depth;       /* how many formats, one inside the other */
	struct bm_unlock_params unlock;
	/* Not in the table: set by commands that build a job in memory. */
	bool pass_plain;          /* what is in none of the formats passes */
	atomic_bool *found_plain; /* set where that happened; borrowed; may be NULL */
};
struct bm_encrypt_params { /* recipients, or a passphrase */
	struct bm_strings recipients;
	struct bm_strings recipients_file;
	char *passphrase_file;
};
struct bm_decrypt_params {
	struct bm_unlock_params unlock;
};

enum bm_on_error { BM_ON_ERROR_CONTINUE, BM_ON_ERROR_STOP };
enum bm_notify_on { BM_NOTIFY_FAILURE, BM_NOTIFY_SUCCESS, BM_NOTIFY_ALWAYS };
struct bm_job_params { /* the job's own keys; "steps" is not an option */
	char *name;
	char *description;
	struct bm_strings after;
	uint64_t memory; /* 0: not said */
	uint64_t chunk;  /* 0: chosen by the steps */
	int on_error;
	bool incremental;
	int64_t retries;
	uint64_t limit_rate; /* bytes a second; 0: none */
	bool notify;         /* and then: */
	int notify_on;       /* enum bm_notify_on */
	struct bm_strings notify_command;
	struct bm_optional_ms notify_timeout;
};

union bm_step_params {
	struct bm_read_params read;
	struct bm_hash_params hash;
	struct bm_verify_params verify;
	struct bm_write_params write;
	struct bm_compress_params compress;
	struct bm_decompress_params decompress;
	struct bm_encrypt_params encrypt;
	struct bm_decrypt_params decrypt;
};

enum bm_step_role {
	BM_ROLE_READ, /* first, and only there */
	BM_ROLE_LOOK, /* passes the bytes on as they are */
	BM_ROLE_CHANGE
};

struct bm_step_ops; /* how it runs: bm_plan.h */

/* Takes a fault of a combination of options; suggestion may be NULL. */
typedef void bm_step_report_fn(void *ctx, const char *option, const char *text, const char *suggestion);

struct bm_step_kind {
	const char *name;
	enum bm_step_role role;
	bool reads_manifest; /* its option "manifest" is an input */
	const char *help;    /* one line */
	const struct bm_option *options;
	size_t option_count;
	/* Defaults that hang on other options; bit i of given: options[i] has a value of its own. May be NULL. */
	void (*settle)(union bm_step_params *p, uint64_t given);
	/* What the table cannot say: combinations. Reports each fault. May be NULL. */
	void (*check)(const union bm_step_params *p, bm_step_report_fn *report, void *ctx);
	/* A line about what this build makes of the step, for `bytemill steps STEP`; may be NULL. */
	void (*about_build)(struct bm_buf *out);
	const struct bm_step_ops *ops;
};

/* All kinds; static. */
const struct bm_step_kind *const *bm_step_kinds(size_t *count);
const struct bm_step_kind *bm_step_find(const char *name); /* or NULL */
/* The options of a job itself. */
const struct bm_option *bm_job_options(size_t *count);
/* Frees what the options own inside params and zeroes it. */
void bm_params_fini(void *params, const struct bm_option *options, size_t count);

/* One step of a checked job. */
struct bm_step {
	const struct bm_step_kind *kind;
	union bm_step_params p;
	unsigned index; /* in the job's steps */
};
/* A checked job. */
struct bm_job {
	struct bm_job_params p;
	struct bm_step *steps;
	size_t step_count;
	char *file;      /* the job file's name, for messages */
	bool is_built;   /* by a command (bm_jobs_adopt): there is no such file */
	unsigned number; /* in its file */
};

#endif
