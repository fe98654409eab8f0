/*
 * audit_diff_catalog.c - see audit_diff_catalog.h.
 *
 * The catalog's rows are in the byte order of paths, as a sorted manifest is, so nothing is sorted and nothing held in
 * memory but a page of them. They are read twice where names are in one side only; an audit that writes meanwhile may be
 * seen in the second reading and not in the first.
 */
#include "audit_diff_catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bm_audit_catalog.h"
#include "bm_error.h"
#include "bm_text.h"

struct diff_catalog {
	struct bm_catalog *c;
	struct bm_catalog_root root;
	struct bm_catalog_files *files;
	struct bm_manifest_digest digest; /* of the entry that was given last */
};

static enum bm_status find_root(struct diff_catalog *d, const char *root, struct bm_error *err)
{
	char *path = NULL;
	char shown[200];
	bool found = false;
	enum bm_status status = bm_audit_catalog_root(root, &path, err);

	if (status == BM_OK)
		status = bm_catalog_root_find(d->c, path, strlen(path), &d->root, &found, err);
	if (status == BM_OK && !found)
		status = bm_error_set(err, BM_ERR_USAGE, NULL, "nothing is on record of %s",
		                      bm_escape_display_buf(shown, sizeof(shown), path, strlen(path)));
	free(path);
	return status;
}

enum bm_status diff_catalog_open(const char *dir, const char *root, struct diff_catalog **out, struct bm_error *err)
{
	struct bm_catalog_options options = {.dir = dir, .must_exist = true};
	struct diff_catalog *d = calloc(1, sizeof(*d));
	enum bm_status status;

	*out = d;
	if (d == NULL)
		return bm_error_set_nomem(err);
	status = bm_catalog_open(&options, &d->c, err);
	if (status == BM_ERR_SYSTEM && err->sys_errno == ENOENT) {
		bm_error_clear(err);
		status = bm_error_set(err, BM_ERR_USAGE, NULL,
		                      "there is no catalog yet: bytemill audit --catalog ROOT begins one");
	}
	if (status == BM_OK)
		status = find_root(d, root, err);
	if (status == BM_OK)
		status = diff_catalog_rewind(d, err);
	if (status != BM_OK) {
		diff_catalog_close(d);
		*out = NULL;
	}
	return status;
}

void diff_catalog_close(struct diff_catalog *d)
{
	struct bm_error ignored = BM_ERROR_INIT; /* nothing was written */

	if (d == NULL)
		return;
	bm_catalog_files_close(d->files);
	bm_catalog_root_fini(&d->root);
	(void)!bm_catalog_close(d->c, &ignored);
	free(d);
}

enum bm_status diff_catalog_algorithms(struct diff_catalog *d,
                                       const struct bm_digest_algorithm *out[static DIFF_CATALOG_ALGORITHMS],
                                       size_t *count, struct bm_error *err)
{
	const char *names[DIFF_CATALOG_ALGORITHMS];
	size_t n = 0;
	enum bm_status status = bm_catalog_root_algorithms(d->c, d->root.id, names, DIFF_CATALOG_ALGORITHMS, &n, err);

	*count = 0;
	for (size_t i = 0; status == BM_OK && i < n; i++) {
		out[*count] = bm_digest_find(names[i]);
		*count += out[*count] != NULL;
	}
	return status;
}

enum bm_manifest_event diff_catalog_next(struct diff_catalog *d, struct bm_manifest_entry *e, struct bm_error *err)
{
	const struct bm_catalog_file *f;

	if (bm_catalog_files_next(d->files, &f, err) != BM_OK)
		return BM_MANIFEST_FAILED;
	if (f == NULL)
		return BM_MANIFEST_END;
	*e = (struct bm_manifest_entry){
		.name = f->path,
		.name_len = f->path_len,
		.digests = &d->digest,
		.digest_count = f->digest_len > 0,
		.has_size = true,
		.size_bytes = f->size,
		.has_mtime = true,
		.mtime_ns = f->mtime_ns,
	};
	if (f->digest_len > 0)
		d->digest = (struct bm_manifest_digest){
			.algorithm = bm_digest_find(f->algorithm),
			.name = f->algorithm,
			.bytes = f->digest,
			.len = f->digest_len,
		};
	return BM_MANIFEST_ENTRY;
}

enum bm_status diff_catalog_rewind(struct diff_catalog *d, struct bm_error *err)
{
	bm_catalog_files_close(d->files);
	d->files = NULL;
	return bm_catalog_files_open(d->c, d->root.id, NULL, 0, &d->files, err);
}
