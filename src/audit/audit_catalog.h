/* audit_catalog.h - what the files of the audit against the catalog share; see audit_catalog.c. */
#ifndef AUDIT_CATALOG_H
#define AUDIT_CATALOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "bm_audit.h"
#include "bm_audit_catalog.h"
#include "bm_time.h"

struct missing {
	uint8_t digest[64];
	uint8_t len;
	const char *algorithm; /* the catalog's */
};

/* A file that was read in part in an earlier audit. */
struct part {
	char *path; /* owned */
	size_t path_len;
	struct bm_catalog_progress p;
	bool is_used; /* audit_catalog_take only: this audit goes on from it */
};

#define AUDIT_CATALOG_ALGORITHMS 8

struct bm_audit_catalog {
	struct bm_audit_catalog_options o;
	struct bm_catalog *c;
	struct bm_catalog_root root;
	struct bm_known_source source;
	const char *algorithms[AUDIT_CATALOG_ALGORITHMS]; /* that may occur; the first one is for new files */
	char gone[256];
	int64_t started_ns, before_ns;
	int64_t at_once_ns;   /* what was verified before that is read during the walk; 0: nothing */
	uint64_t deadline_ms; /* 0: none */
	uint64_t due_budget;  /* bytes; UINT64_MAX: no limit */
	bool is_limited;
	bool uses_blocks;   /* files may have, or get, digests of blocks */
	struct part *parts; /* owned; in byte order of their paths; constant but for is_used */
	size_t part_count;

	/* audit_catalog_next only, down to stats */
	struct bm_catalog_files *files;
	const struct bm_catalog_file *row; /* files' present one, not yet used up */
	bool rows_over, walk_over, due_over;
	struct bm_catalog_ages *ages; /* of all rows that files gave */
	struct bm_catalog_files *due;
	struct missing *missing;
	size_t missing_count;
	struct bm_buf strays; /* paths, each with a NUL */
	size_t next_stray;    /* where it begins */
	size_t last_stray;    /* likewise, the one before it */
	bool strays_known;
	bool strays_left;   /* one of them was not read to its end: later audits have to find them, too */
	struct bm_buf held; /* paths, each with a NUL, in byte order: to be read, but only when the strays are known */
	size_t next_held;   /* where it begins */
	int root_fd;
	uint64_t due_bytes;
	struct bm_audit_catalog_stats stats;

	struct bm_catalog_files *listed; /* rewind and list only */
	struct bm_catalog_files *fresh;  /* settled only */
	atomic_uint_fast64_t cut, carried;
	pthread_mutex_t lock;  /* error */
	struct bm_error error; /* the catalog's first one while the job ran */
};

/* After the root is known: what was read in part, and whether there are blocks at all. */
enum bm_status audit_catalog_blocks_load(struct bm_audit_catalog *a, struct bm_error *err) BM_NODISCARD;
/* The end of an audit that looked at everything: forgets what was read of files that are gone. */
enum bm_status audit_catalog_blocks_clean(struct bm_audit_catalog *a, struct bm_error *err) BM_NODISCARD;
void audit_catalog_blocks_fini(struct bm_audit_catalog *a);
/* May a file be read, and how far? row: on record, or NULL; st: as it is, or NULL; budget: bytes, of what is due. Then it is
 * counted as read, else as left. */
bool audit_catalog_take(struct bm_audit_catalog *a, const char *path, size_t path_len,
                        const struct bm_catalog_file *row, const struct stat *st, uint64_t budget,
                        struct bm_known_blocks *plan);
/* Was it carried on in this audit? Then it had its turn, though it counts as verified when it was begun. */
bool audit_catalog_was_carried(const struct bm_audit_catalog *a, const char *path, size_t path_len);
bool audit_catalog_is_same(const struct bm_catalog_file *f, const struct stat *st);
void audit_catalog_start_clock(struct bm_audit_catalog *a);
bool audit_catalog_time_is_out(const struct bm_audit_catalog *a);
enum bm_status audit_catalog_blocks(void *ctx, const char *path, size_t path_len, bool of_progress,
                                    uint64_t *size_bytes, struct bm_buf *digests, struct bm_error *err);
void audit_catalog_progress(void *ctx, const struct bm_known_progress *p);
void audit_catalog_note_error(struct bm_audit_catalog *a, const struct bm_error *err);

/* The catalog's own trouble, such as a full disk: nothing that is read from here on would count. */
bool audit_catalog_has_failed(struct bm_audit_catalog *a, struct bm_error *err);
/* A record as the step verify knows it; borrows what f does. */
void audit_catalog_fill(struct bm_known *k, const struct bm_catalog_file *f);

/* What is in struct bm_known_source. */
enum bm_known_next audit_catalog_next(void *ctx, const struct bm_entry *walked, const struct bm_known_ask *ask,
                                      struct bm_known *known, struct bm_error *err);
void audit_catalog_found(void *ctx, const struct bm_known_found *f);
void audit_catalog_settled(void *ctx, enum bm_verdict verdict, const char *path, const char *other);
enum bm_status audit_catalog_rewind(void *ctx, struct bm_error *err);
bool audit_catalog_list(void *ctx, struct bm_known *known, struct bm_error *err);

#endif
