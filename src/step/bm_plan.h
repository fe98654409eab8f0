/*
 * bm_plan.h - from checked steps to a pipeline of the engine, and what a running job's steps share.
 *
 * A PLAN is built once a job by asking each step in turn to add its stages. A FILE is one input on its way: the engine's
 * stream. Each step has a shared part (made by prepare, one a job) and a part in each file (file->state[step]).
 */
#ifndef BM_PLAN_H
#define BM_PLAN_H

#include <pthread.h>
#include <stdatomic.h>

#include <bytemill/bytemill.h>

#include "bm_flow.h"
#include "bm_mem.h"
#include "bm_sink.h"
#include "bm_source.h"
#include "bm_step.h"
#include "bm_template.h"
#include "bm_walk.h"

struct bm_plan;
struct bm_file;
struct bm_windows;
struct bm_step_clock;

/* What the steps of a running job may use. Constant while it runs, but for the counters. */
struct bm_job_context {
	const struct bm_job *job;
	struct bm_template_values values; /* job, run, date; path is filled in per file */
	struct bm_sink_set *const *sinks; /* by enum bm_durability */
	struct bm_keyring *keyring;       /* owned; NULL, or made by a step's prepare; see keys.h */
	struct bm_windows *windows;       /* the run's */
	unsigned permits;
	int cancel_fd;        /* readable once the run is cancelled: for sleeps that have no end of their own */
	struct bm_pace *pace; /* of what is read; borrowed; NULL: as fast as can be */
	size_t ahead_bytes;   /* what its fetches of URLs may take to read ahead; before a plan is made */
	atomic_uint_fast64_t *bytes_read;    /* of the inputs; the job's counters */
	atomic_uint_fast64_t *bytes_written; /* by sinks */
	void (*tick)(void *arg);             /* after some progress; cheap; any thread */
	void *tick_arg;
	void (*tell)(void *arg, const struct bm_error *err); /* a failure that is no file's; by emit and finish */
	void *tell_arg;
	/* Worth a line, though it belongs to no file; fit for a terminal. Any thread. May be NULL, as everything below. */
	void (*message)(void *arg, const char *text);
	void *message_arg;
	/* Before f is opened, in the worker's turn to do so: is it complete already, so that nothing is to be done? buf, of
	 * cap bytes, is scratch. */
	bool (*begin)(void *arg, struct bm_file *f, uint8_t *buf, size_t cap, const struct bm_blocker *b);
	void *begin_arg;
	void **loaded;      /* one a step: what its load made */
	uint64_t bad_lines; /* of manifests: by load */
};

/* What comes next in the listing. */
enum bm_expect {
	BM_EXPECT_WALKED, /* the entry of the walk */
	BM_EXPECT_EXTRA,  /* another one, before it */
	BM_EXPECT_PASS,   /* the walk's, which is passed over */
	BM_EXPECT_END,
	BM_EXPECT_FAILED
};

/* Takes a result that was held; err (may be NULL) is put in the place of its own error. */
typedef void bm_release_fn(void *ctx, const void *record, size_t len, enum bm_verdict verdict, const char *other,
                           const struct bm_error *err);

struct bm_step_ops {
	bool begins_segment; /* prepare makes a new segment: chunks are cut anew */
	/* Reads what the plan depends on, once a run, into ctx->loaded[step->index]: a second plan, with fewer threads, may be
	 * made of it. May be NULL. */
	enum bm_status (*load)(struct bm_job_context *ctx, const struct bm_step *step, struct bm_error *err);
	void (*unload)(void *loaded); /* NULL is fine to pass */
	/* Adds the step's stages to the plan and makes *shared. Touches no output. */
	enum bm_status (*prepare)(struct bm_plan *plan, const struct bm_step *step, void **shared,
	                          struct bm_error *err);
	/* For one step of a job at most: says what the listing gives. walked is the walk's next entry (NULL: it is at its
	 * end), which may be made an error, and is shown again until it was taken or passed over. Of WALKED and EXTRA *state
	 * becomes file->state[] (where no file can be made it is freed with free()). One call at a time. May be NULL. */
	enum bm_expect (*expect)(void *shared, struct bm_entry *walked, struct bm_entry **extra, void **state,
	                         struct bm_worker *w, struct bm_error *err);
	/* The input is open, and nothing of it was read: anything but BM_OK fails the file. May be NULL. */
	enum bm_status (*opened)(void *shared, struct bm_file *f, const struct stat *st, struct bm_error *err);
	/* The file is through, or failed (good is false): makes its output final or drops it, frees file->state[]. Called
	 * for every step of every file once, in step order; a step that fails here makes the file fail, and later steps
	 * get good = false. May block. May be NULL. */
	enum bm_status (*close)(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err);
	/* In listing order, one call at a time, for each file: lines of a manifest. Not called again after a failure, which
	 * ends the job. May be NULL. */
	enum bm_status (*emit)(void *shared, const struct bm_file_result *r, struct bm_error *err);
	/* For the same step: results whose verdict is not OK, one call at a time, in listing order. Those of NEW and MISSING
	 * are held until release: record is the result as bytes. Of the others record is NULL. When all files are through
	 * (good) or were given up each one held is released once, in listing order; MISSING ones perhaps not, as a part of
	 * another that was MOVED. */
	enum bm_status (*hold)(void *shared, const struct bm_file_result *r, const void *record, size_t len,
	                       struct bm_error *err);
	enum bm_status (*release)(void *shared, bool good, bm_release_fn *give, void *ctx, struct bm_error *err);
	/* All files are through: publishes what belongs to the whole job, or drops it (good is false). What can be published
	 * is, also where something else could not be. Of several errors the last is returned, those before it go to
	 * ctx->tell. err is not NULL and clear. May be NULL. */
	enum bm_status (*finish)(void *shared, bool good, struct bm_error *err);
	void (*destroy)(void *shared); /* NULL is fine to pass */
	/* write and copy: the output's path for this file, appended to out; false: no output of its own. May be NULL. */
	bool (*target)(void *shared, const char *path, size_t path_len, struct bm_buf *out);
	size_t (*target_prefix)(void *shared);     /* bytes of every such path that no input changes */
	bool (*target_is_injective)(void *shared); /* different {path}s always give different targets */
	/* What is put behind that path for a second output of the file, or NULL. May be NULL. */
	const char *(*target_suffix)(void *shared);
	/* The n-th output that is the same for all files (manifest, combined output), or NULL. May be NULL. */
	const char *(*fixed_output)(void *shared, size_t n);
	/* A line about the step for `validate`. May be NULL. */
	void (*describe)(void *shared, struct bm_buf *out);
};

/* What a file's close adds to: scratch that goes from file to file, so that a small file costs no allocation here. */
struct bm_file_results {
	struct bm_buf digests; /* struct bm_file_digest items; their bytes pointers are put in when all are there */
	struct bm_buf digest_bytes; /* one digest's behind the other's */
	struct bm_buf outputs;      /* struct bm_file_output items; paths owned */
	struct bm_buf blocks;       /* struct bm_file_blocks items; as digests, with: */
	struct bm_buf block_bytes;
};
void bm_file_results_reset(struct bm_file_results *r); /* frees the paths, keeps the memory */
void bm_file_results_fini(struct bm_file_results *r);

/* What tells that an output is on the disk as it was written. */
struct bm_output_sum {
	bool is_set;     /* it is to be read back */
	uint64_t bytes;  /* at its end */
	uint8_t sum[16]; /* XXH128 of them */
};
/* Reads it back and compares: BM_ERR_MISMATCH. Does nothing where sum is not set. May sleep (b). */
enum bm_status bm_output_check(struct bm_sink *s, const struct bm_output_sum *sum, const struct bm_blocker *b,
                               struct bm_error *err) BM_NODISCARD;
struct bm_waiting_output {
	struct bm_sink *sink;
	struct bm_output_sum sum;
};

/* One input on its way. Written by the stage that runs, or by end(); never by two at once unless said. */
struct bm_file {
	struct bm_job_context *ctx;
	const struct bm_plan *plan;
	struct bm_entry *entry;   /* owned */
	uint64_t index;           /* in listing order */
	struct bm_source *source; /* owned; NULL before the first chunk */
	uint64_t bytes_in;        /* read so far */
	uint64_t from_byte;       /* reading begins there, and ... */
	uint64_t upto_byte;       /* ... ends before that, or, 0, with the file; both set by opened, of regular files */
	bool skipped;             /* every output exists and is to be kept: was not read */
	bool read_failed;         /* it could not be opened or read */
	bool is_complete;         /* it was done before, and is to be left as it is: by ctx->begin */
	void *known;              /* what is on record of it; the job's; one piece of memory, owned; NULL: nothing */
	int64_t root;             /* on record; the job's, as the next one */
	int64_t listed_ns;
	enum bm_verdict verdict; /* by close */
	bool has_mtime;
	int64_t mtime_ns; /* of a regular file when it was opened */
	struct bm_buf
		warnings; /* a line each; by fill() and serial stages and close only, of which one runs at a time ... */
	unsigned again;   /* how often it was begun anew before: a URL that changed */
	struct bm_file *next_again;        /* of the job's list of such files */
	struct bm_file_damage *damage;     /* owned; by close; NULL: not known */
	struct bm_file_results *results;   /* lent while the file is closed; else NULL */
	struct bm_waiting_output *waiting; /* owned: outputs that take their names when their group is synced */
	size_t waiting_count;
	/* With "remove": why the input stays though all is well, or NULL; static. By close. */
	const char *keep;
	struct bm_file_id source_id; /* where has_mtime: when it was opened */
	struct timespec source_ctime;
	bool removed;  /* with "remove": the input is gone */
	void *state[]; /* one a step */
};

void bm_file_warn(struct bm_file *f, const char *fmt, ...) BM_PRINTF(2, 3);
void bm_file_add_digest(struct bm_file *f, unsigned step, const char *algorithm, const uint8_t *bytes, size_t len,
                        uint64_t length);
/* Copies the digests. */
void bm_file_add_blocks(struct bm_file *f, const struct bm_file_blocks *blocks);
/* Takes over an output that is complete and waits for its group (bm_sink_waits). BM_ERR_NOMEM: it was aborted. */
enum bm_status bm_file_add_waiting(struct bm_file *f, struct bm_sink *s, const struct bm_output_sum *sum,
                                   struct bm_error *err) BM_NODISCARD;
/* Aborts those that still wait. */
void bm_file_drop_waiting(struct bm_file *f);
/* Takes path (heap) over. */
void bm_file_add_output(struct bm_file *f, unsigned step, char *path, uint64_t bytes, bool skipped);

#define BM_PLAN_MAX_SLOTS 4

struct bm_plan {
	struct bm_job_context *ctx;
	const struct bm_job *job;
	size_t chunk_bytes;
	struct bm_segment segments[BM_FLOW_MAX_SEGMENTS];
	size_t segment_count;
	struct bm_stage stages[BM_FLOW_MAX_STAGES];
	size_t stage_count;
	unsigned side;       /* which buffer holds the data at this place */
	size_t data_bytes;   /* the most that a chunk can hold at this place */
	size_t state_bytes;  /* of codec states, all threads together */
	size_t stream_bytes; /* taken for each file that is open: a part of an upload */
	size_t fixed_bytes;  /* taken whatever the number of threads: what fetches of URLs read ahead */
	unsigned slots;      /* of struct bm_chunk used in this segment */
	bool kernel_copy; /* read, one copy or write, nothing else: the kernel can copy whole files; neither limit_rate nor retries */
	bool in_order;   /* there is a stage that takes the files in listing order */
	bool skip_early; /* nothing but outputs that may be skipped: look before reading */
	void **shared;   /* one a step */
	bool *broken;    /* one a step: its emit has failed; by emit only */
	size_t step_count;
	size_t verifier;    /* the step that has expect and hold; 0: none */
	bool holds_nothing; /* ... and of a file that is NEW there is no more to find out */
	/* Whose segment and stage each is. */
	uint8_t segment_step[BM_FLOW_MAX_SEGMENTS], stage_step[BM_FLOW_MAX_STAGES];
	struct bm_step_clock *clock; /* owned; NULL: nobody wants to know how long the steps take */
};

/* Wipes and frees a job's keys. After its plan is gone. NULL is fine. */
void bm_keyring_destroy(struct bm_keyring *ring);

/* Can the job's inputs be listed but once: are names read from standard input or another pipe? */
bool bm_plan_lists_once(const struct bm_job *job);
/* The loading of all steps, into ctx->loaded (step_count pointers; freed by unload). Reads, changes nothing. What a job
 * before this one may still write must not be read before that is done: plans can be made without. */
enum bm_status bm_plan_load(struct bm_job_context *ctx, struct bm_error *err) BM_NODISCARD;
void bm_plan_unload(struct bm_job_context *ctx);
/* Could the read step's patterns, and its rule for hidden files, let this path through? Nothing is looked at on disk. */
bool bm_plan_takes_name(const struct bm_plan *p, const char *path, size_t len);
/* Builds the plan for ctx->job. Touches nothing but memory. */
enum bm_status bm_plan_create(struct bm_job_context *ctx, struct bm_plan **out, struct bm_error *err) BM_NODISCARD;
void bm_plan_destroy(struct bm_plan *p); /* NULL is fine */
/* Has the time measured that each step takes, by a pool of so many threads (clock.c). Before the plan is run. */
enum bm_status bm_plan_time(struct bm_plan *p, unsigned threads, struct bm_error *err) BM_NODISCARD;
/* What threads have spent in a step so far, waits included, all added up; threads as above. When the job is over. 0:
 * not measured. */
uint64_t bm_plan_busy_ns(const struct bm_plan *p, size_t step, unsigned threads);
/* What a step takes outside its callbacks for chunks: stop takes what start gave. Any thread. */
uint64_t bm_plan_clock_start(const struct bm_plan *p);
void bm_plan_clock_stop(const struct bm_plan *p, size_t step, uint64_t start);
/* Opens nothing; the walk's options for the job's read step. The caller destroys the walk. skip lists come from it. */
enum bm_status bm_plan_walk(const struct bm_plan *p, const char *const *skip_paths, size_t skip_count, bool need_stat,
                            struct bm_walk **out, struct bm_error *err) BM_NODISCARD;
/* A file for an entry (taken over, destroyed on failure too: then NULL). */
struct bm_file *bm_file_create(const struct bm_plan *p, struct bm_entry *e, uint64_t index);
void bm_file_destroy(struct bm_file *f);
/* Runs the steps' close; err is the engine's verdict (NULL: good). Returns the file's status, *out its error. */
enum bm_status bm_plan_close_file(const struct bm_plan *p, struct bm_file *f, struct bm_worker *w,
                                  const struct bm_error *err, struct bm_error *out);
/* All steps' emit, and their finish, in step order. Every failure goes to ctx->tell; false: there was one. After that of
 * an emit the job must be ended, and finished with good = false. */
bool bm_plan_emit(struct bm_plan *p, const struct bm_file_result *r);
bool bm_plan_finish(const struct bm_plan *p, bool good);
/* The verifier's hold and release, where there is one; likewise. */
bool bm_plan_hold(struct bm_plan *p, const struct bm_file_result *r, const void *record, size_t len);
bool bm_plan_release(const struct bm_plan *p, bool good, bm_release_fn *give, void *ctx);

/* ---- for the steps ---- */

/* A stage at the present place. BM_ERR_LIMIT past BM_FLOW_MAX_STAGES. */
enum bm_status bm_plan_stage(struct bm_plan *p, enum bm_stage_kind kind,
                             enum bm_status (*run)(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                                   struct bm_error *err),
                             void *arg, struct bm_error *err);
/* The stage just added, a SERIAL one, can do chunks of two files at once (struct bm_stage). */
void bm_plan_pairs(struct bm_plan *p, unsigned (*pair)(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b,
                                                       struct bm_chunk *b, struct bm_worker *w));
/* The stage just added writes up to bytes into the spare buffer and moves the data there (extra bytes behind them are
 * its scratch). */
void bm_plan_changes(struct bm_plan *p, size_t bytes, size_t extra);
/* From here on chunks are made by fill, up to chunk_bytes of data in buf[0]; other_bytes for buf[1]. */
enum bm_status bm_plan_segment(struct bm_plan *p,
                               enum bm_fill_result (*fill)(void *arg, void *stream, struct bm_chunk *out,
                                                           struct bm_chunk *in, struct bm_worker *w,
                                                           struct bm_error *err),
                               void *arg, size_t chunk_bytes, size_t other_bytes, struct bm_error *err);
/* A free chunk slot, or -1 where all are taken in this segment. */
int bm_plan_slot(struct bm_plan *p);
/* The last slot taken is of no use to the stages that are added from here on. */
void bm_plan_slot_free(struct bm_plan *p);

/* A stash of interchangeable objects (codec states) for the threads of a job: at most as many exist as are in use at
 * once. Any thread. */
struct bm_stash {
	pthread_mutex_t lock;
	void **items;
	size_t count, cap;
	void (*destroy)(void *);
};
enum bm_status bm_stash_init(struct bm_stash *s, void (*destroy)(void *), struct bm_error *err);
void bm_stash_fini(struct bm_stash *s);
void *bm_stash_get(struct bm_stash *s);            /* NULL: make a new one */
void bm_stash_put(struct bm_stash *s, void *item); /* NULL is fine */

/* The permit hand-over of worker w in io's terms. */
struct bm_blocker bm_blocker_of(const struct bm_job_context *ctx, struct bm_worker *w);

extern const struct bm_step_ops bm_read_ops, bm_hash_ops, bm_verify_ops, bm_write_ops, bm_compress_ops,
	bm_decompress_ops, bm_encrypt_ops, bm_decrypt_ops;

#endif
