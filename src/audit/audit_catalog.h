/* audit_catalog.h - what the files of the audit against the catalog share; see audit_catalog.c. */
#ifndef AUDIT_CATALOG_H
#define AUDIT_CATALOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "bm_audit.h"
#include "bm_audit_catalog.h"

struct missing {
	uint8_t digest[64];
	uint8_t len;
	const char *algorithm; /* the catalog's */
};

struct bm_audit_catalog {
	struct bm_audit_catalog_options o;
	struct bm_catalog *c;
	struct bm_catalog_root root;
	struct bm_known_source source;
	const char *algorithms[2];
	char gone[256];
	int64_t started_ns, before_ns;
	uint64_t deadline_ms; /* 0: none */
	uint64_t due_budget;  /* bytes; UINT64_MAX: no limit */

	/* audit_catalog_next only, down to stats */
	struct bm_catalog_files *files;
	const struct bm_catalog_file *row; /* files' present one, not yet used up */
	bool rows_over, walk_over, due_over;
	struct bm_catalog_files *due;
	struct missing *missing;
	size_t missing_count;
	struct bm_buf strays; /* paths, each with a NUL */
	size_t next_stray;    /* where it begins */
	size_t last_stray;    /* likewise, the one before it */
	bool strays_known;
	int root_fd;
	uint64_t due_bytes;
	struct bm_audit_catalog_stats stats;

	struct bm_catalog_files *listed; /* rewind and list only */
	struct bm_catalog_files *fresh;  /* settled only */
	atomic_uint_fast64_t cut;
	pthread_mutex_t lock;  /* error */
	struct bm_error error; /* the catalog's first one while the job ran */
};

static inline int64_t audit_catalog_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

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
