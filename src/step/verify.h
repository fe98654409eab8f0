/* verify.h - what the files of the step verify share. */
#ifndef VERIFY_H
#define VERIFY_H

#include <sys/types.h>

#include "block_digests.h"
#include "bm_known.h"
#include "bm_manifest.h"
#include "bm_manifest_sorted.h"
#include "bm_names.h"
#include "digest_stage.h"

/* ---- the manifest (verify_load.c) ---- */

struct verify_manifest { /* constant once it is loaded, but for sorted, which belongs to the listing, then to release */
	struct bm_manifest_sorted *sorted;
	enum bm_manifest_kind kind;
	char *path;       /* as the job says it, placeholders put in */
	char shown[256];  /* the same for messages */
	const char *says; /* "the manifest"; static, or the source's */
	const char *root; /* the read step's; borrowed from the job */
	char *own;        /* the manifest's own name below the root; NULL: it is not there */
	uint64_t entry_count, bad_line_count;
	size_t algorithm_count;
	const struct bm_digest_algorithm
		*algorithms[DIGEST_SET_MAX]; /* those that entries have, and that are known here */
	const struct bm_digest_algorithm *guess[BM_DIGEST_MAX_BYTES + 1]; /* by length: of digests that do not say */
	bool is_list;                                                     /* params */
	bool has_bare_blocks; /* some entries have digests of blocks alone */
	bool root_is_gone;
	char gone_text[256]; /* why */
	dev_t dev;
	ino_t ino;
};

enum bm_status verify_load(struct bm_job_context *ctx, const struct bm_step *step, struct bm_error *err) BM_NODISCARD;
void verify_unload(void *manifest); /* NULL is fine */
/* Is the directory still the one that it was? *why is set where it is not. */
bool verify_root_is_there(const struct verify_manifest *m, const char **why);
/* The algorithm of an entry's digest; NULL: not known here. */
const struct bm_digest_algorithm *verify_algorithm(const struct verify_manifest *m, const struct bm_manifest_digest *d);

/* ---- a file ---- */

struct verify_digest {
	uint8_t algorithm; /* in the manifest's */
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
};
#define VERIFY_DIGESTS_MAX 64

/* A source's file whose blocks have digests, or get some: verify_blocks.c. Zeroed; what is owned comes with the opening. */
struct verify_blocks {
	struct bm_known_blocks plan;
	const struct bm_digest_algorithm *algorithm; /* NULL: none of this is about the file */
	uint64_t file_bytes;
	struct block_digests d; /* as they come by; d.out has the digests from block base on */
	size_t base;
	struct bm_buf expect; /* those on record, all of them; empty: none that can be compared */
	size_t good; /* of d's, from the first on: as they should be; counted while it is read, where is_compared */
	size_t told; /* of d's: progress has heard of them */
	uint64_t told_ms;
	bool has_progress; /* found of it on record, or told */
};

struct verify_file {
	struct digest_file d; /* first: digest_stage.h */
	bool is_listed;       /* in the manifest */
	bool is_extra;        /* ... and not given by the walk */
	bool has_size, has_mtime;
	uint64_t size_bytes;
	int64_t mtime_ns;
	bool has_blocks; /* the next two; their digests are part of the same allocation */
	struct bm_manifest_blocks blocks;
	uint64_t blocks_of_bytes; /* the size of the file that they are of */
	/* The rest up to verdict where there is a source. */
	int64_t ctime_ns;
	uint64_t inode;
	bool was_damaged;
	bool is_touched; /* found when it was opened: not as on record */
	bool is_unsettled;
	bool is_stray;  /* OK is NEW */
	bool is_unsure; /* its digest: two readings gave two */
	struct verify_blocks vb;
	struct bm_buf record_blocks; /* what blocks points to, where it was asked for when it was needed */
	enum bm_verdict verdict;     /* known before the bytes are; else NONE */
	size_t digest_count;
	struct verify_digest *digests; /* that it should have; part of the same allocation */
	/* Of a digest of an algorithm that is not known here, where there is no other one; static. */
	const char *unknown;
};

/* ---- the listing (verify_list.c) ---- */

struct verify_cursor;                                /* goes through the manifest, lines of one name put together */
void verify_cursor_destroy(struct verify_cursor *c); /* NULL is fine */

struct verify_shared {
	struct bm_job_context *ctx;
	const struct bm_verify_params *p;
	const struct bm_plan *plan;
	struct verify_manifest *m; /* borrowed; NULL: not loaded yet */
	struct digest_set set;
	struct verify_cursor *cursor; /* the listing's only */
	struct join *join;            /* hold's, then release's */
	uint64_t deadline_ms;         /* 0: none; set by the listing before the first file */
	bool has_begun;               /* the listing's only, where there is a source */
};

/* The part of the step in a file. file and its digests are copied but for what begins with d; NULL: it is not listed. NULL:
 * no memory. */
struct verify_file *verify_file_create(const struct verify_shared *vs, const struct verify_file *file,
                                       const struct verify_digest *digests);
/* The listing goes on with the file that the walk has given, or with one of this name below the root that it has not, once it
 * is decided what can be before a file is opened. vf is taken over; NULL: no memory. */
enum bm_expect verify_give_walked(const struct verify_shared *vs, struct bm_entry *walked, struct verify_file *vf,
                                  void **state, struct bm_error *err);
enum bm_expect verify_give_extra(const struct verify_shared *vs, const char *name, size_t len, struct verify_file *vf,
                                 struct bm_entry **extra, void **state, struct bm_error *err);

enum bm_expect verify_expect(void *shared, struct bm_entry *walked, struct bm_entry **extra, void **state,
                             struct bm_worker *w, struct bm_error *err);
uint64_t verify_now_ms(void);

/* ---- the same with a source in place of the manifest (verify_known.c) ---- */

enum bm_status verify_known_load(struct verify_manifest *m, const struct bm_known_source *s, struct bm_error *err)
	BM_NODISCARD;
enum bm_expect verify_known_expect(struct verify_shared *vs, struct bm_entry *walked, struct bm_entry **extra,
                                   void **state, struct bm_worker *w, struct bm_error *err);
/* The file is through, f->verdict is set. */
void verify_known_tell(const struct verify_shared *vs, const struct bm_file *f, const struct verify_file *vf,
                       const struct bm_error *err);

/* ---- a source's files by blocks (verify_blocks.c) ---- */

/* The file is open: decides how it is read. */
enum bm_status verify_blocks_open(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                  const struct stat *st, struct bm_error *err) BM_NODISCARD;
/* The same where a manifest has nothing but blocks of it. */
enum bm_status verify_blocks_open_bare(const struct verify_shared *vs, struct verify_file *vf, const struct stat *st,
                                       struct bm_error *err) BM_NODISCARD;
/* The stage. */
enum bm_status verify_blocks_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                 struct bm_error *err);
/* It is through, or was given up: a verdict, where blocks decide it, else NONE; err as of close. */
enum bm_verdict verify_blocks_judge(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf, bool good,
                                    struct bm_worker *w, struct bm_error *err);
/* What was found out of the blocks. */
void verify_blocks_found(const struct verify_file *vf, struct bm_known_found *found);
/* Those on record, for verify_read_again to compare. */
void verify_blocks_fetch(const struct verify_shared *vs, const struct bm_file *f, struct verify_file *vf);
void verify_blocks_fini(struct verify_file *vf);

/* ---- which bytes (verify_damage.c) ---- */

/* A block that is damaged; is_adjacent: the one before it was the last that was added. */
void verify_damage_add(struct bm_file_damage *d, uint64_t first, uint64_t last, bool is_adjacent);

/* found: of the first blocks_of_bytes bytes, or of all where there are fewer: found_bytes. NULL: no memory. */
struct bm_file_damage *verify_damage(const struct verify_file *vf, const struct block_digests *found,
                                     uint64_t found_bytes);
/* Are the blocks of a line such as can be compared: of a known algorithm, and as many as the size says? */
bool verify_takes_blocks(const struct bm_manifest_entry *e);

/* ---- reading again (verify_again.c) ---- */

enum verify_second {
	VERIFY_SECOND_RIGHT,   /* all digests are those of the manifest */
	VERIFY_SECOND_SAME,    /* as in the first reading */
	VERIFY_SECOND_OTHER,   /* neither */
	VERIFY_SECOND_NONE,    /* not possible: the input cannot be read twice, or the run is over */
	VERIFY_SECOND_CHANGED, /* somebody wrote the file */
	VERIFY_SECOND_FAILED   /* err is set */
};
enum verify_second verify_read_again(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                     struct bm_worker *w, struct bm_error *err);
/* The same for those of vf->vb's blocks alone that are not as expected. RIGHT: all of them are, and vf->vb has it so. SAME
 * and OTHER: f->damage is set. */
enum verify_second verify_read_blocks_again(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                            struct bm_worker *w, struct bm_error *err);

#endif
