/* files_internal.h - rows of `files`, as the files that read them share it. */
#ifndef FILES_INTERNAL_H
#define FILES_INTERNAL_H

#include "bm_catalog_files.h"
#include "catalog_internal.h"

#define FILE_COLUMN_VERIFIED 9
#define FILE_COLUMN_STATE 11

/* Calls each for every file of the root in order of paths: what SQL_FILES_VERIFIED gives. False ends it. */
struct catalog_verified {
	int64_t verified_ns;
	uint64_t size;
	enum bm_catalog_file_state state;
};
enum bm_status catalog_scan_verified(struct bm_catalog *c, int64_t root,
                                     void (*each)(void *ctx, const struct catalog_verified *v), void *ctx,
                                     struct bm_error *err) BM_NODISCARD;

/* ---- what is due: due.c ---- */

#define DUE_BUCKET_MIN ((size_t)16384)
#define DUE_SORTED_MAX (2 * DUE_BUCKET_MIN) /* a bucket of more is read in order of paths */
#define DUE_BUCKETS_MAX 35

/* Files last verified at or after from_ns and before to_ns. */
struct catalog_bucket {
	int64_t from_ns, to_ns;
	uint64_t files;
};
/* Cuts what is due into buckets, the oldest first: see due.c. ages: of before_ns; NULL: they are counted here. */
enum bm_status catalog_due_buckets(struct bm_catalog *c, int64_t root, int64_t before_ns,
                                   const struct bm_catalog_ages *ages,
                                   struct catalog_bucket out[static DUE_BUCKETS_MAX], size_t *count,
                                   struct bm_error *err) BM_NODISCARD;

#endif
