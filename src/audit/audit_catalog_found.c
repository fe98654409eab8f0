/*
 * audit_catalog_found.c - what the catalog learns from an audit; see bm_audit_catalog.h.
 */
#include <string.h>

#include "audit_catalog.h"
#include "bm_digest.h"
#include "bm_error.h"

bool audit_catalog_has_failed(struct bm_audit_catalog *a, struct bm_error *err)
{
	bool failed;

	pthread_mutex_lock(&a->lock);
	failed = a->error.status != BM_OK;
	if (failed && err != NULL)
		*err = a->error;
	pthread_mutex_unlock(&a->lock);
	return failed;
}

void audit_catalog_note_error(struct bm_audit_catalog *a, const struct bm_error *err)
{
	pthread_mutex_lock(&a->lock);
	if (a->error.status == BM_OK)
		a->error = *err;
	pthread_mutex_unlock(&a->lock);
}

static enum bm_status put(struct bm_audit_catalog *a, const struct bm_known_found *f, enum bm_catalog_how how,
                          struct bm_error *err)
{
	int64_t now = bm_catalog_now();
	struct bm_catalog_blocks blocks = {f->block_bytes, f->blocks, f->digest_len, f->block_count};
	struct bm_catalog_file file = {
		.path = f->path,
		.path_len = f->path_len,
		.algorithm = f->algorithm,
		.digest = f->digest,
		.digest_len = f->digest_len,
		.first_seen_ns = now,
		.verified_ns = f->since_ns != 0 ? f->since_ns : now,
		.how = f->since_ns != 0 ? BM_CATALOG_CARRIED : how,
		.is_unsettled = !f->is_settled,
	};

	if (f->st == NULL || (f->digest == NULL && f->blocks == NULL) || !S_ISREG(f->st->st_mode))
		return BM_OK;
	if (f->blocks != NULL)
		blocks.digest_len = bm_digest_find(f->algorithm)->size_bytes;
	file.size = (uint64_t)f->st->st_size;
	file.mtime_ns = bm_time_ns(f->st->st_mtim);
	file.ctime_ns = bm_time_ns(f->st->st_ctim);
	file.inode = (uint64_t)f->st->st_ino;
	return bm_catalog_file_put(a->c, a->root.id, &file, f->blocks != NULL ? &blocks : NULL, err);
}

static enum bm_status verified(struct bm_audit_catalog *a, const struct bm_known_found *f, struct bm_error *err)
{
	if (f->is_touched || f->blocks != NULL)
		return put(a, f, BM_CATALOG_VERIFIED, err);
	if (f->since_ns != 0)
		return bm_catalog_file_verified(a->c, a->root.id, f->path, f->path_len, f->since_ns, BM_CATALOG_CARRIED,
		                                err);
	return bm_catalog_file_verified(a->c, a->root.id, f->path, f->path_len, bm_catalog_now(), BM_CATALOG_VERIFIED,
	                                err);
}

static enum bm_status mark(struct bm_audit_catalog *a, const char *path, size_t len, enum bm_catalog_file_state state,
                           const char *note, struct bm_error *err)
{
	return bm_catalog_file_mark(a->c, a->root.id, path, len, state, bm_catalog_now(), note, err);
}

static enum bm_status mark_damaged(struct bm_audit_catalog *a, const struct bm_known_found *f, struct bm_error *err)
{
	struct bm_buf note = {0};
	enum bm_status status;

	bm_buf_puts(&note, f->error != NULL ? f->error : "");
	if (f->damage != NULL)
		bm_audit_put_damage(&note, f->damage);
	status = mark(a, f->path, f->path_len, BM_CATALOG_DAMAGED, note.oom ? f->error : note.data, err);
	bm_buf_fini(&note);
	return status;
}

void audit_catalog_found(void *ctx, const struct bm_known_found *f)
{
	struct bm_audit_catalog *a = ctx;
	struct bm_error err;
	enum bm_status status = BM_OK;

	bm_error_clear(&err);
	switch (f->verdict) {
	case BM_VERDICT_NEW:
		status = put(a, f, BM_CATALOG_HASHED, &err);
		break;
	case BM_VERDICT_OK:
		status = verified(a, f, &err);
		break;
	case BM_VERDICT_CHANGED:
		if (f->is_sure)
			status = put(a, f, BM_CATALOG_HASHED, &err);
		break;
	case BM_VERDICT_ROTTED:
		if ((a->o.update & BM_AUDIT_BIT(BM_VERDICT_ROTTED)) != 0 && f->is_sure)
			status = put(a, f, BM_CATALOG_HASHED, &err);
		else
			status = mark_damaged(a, f, &err);
		break;
	case BM_VERDICT_UNREADABLE:
		if (!f->was_damaged) /* that is worth more */
			status = mark(a, f->path, f->path_len, BM_CATALOG_UNREADABLE, f->error, &err);
		break;
	case BM_VERDICT_NOT_CHECKED:
		if (f->is_cut)
			atomic_fetch_add(f->has_progress ? &a->carried : &a->cut, 1);
		break;
	case BM_VERDICT_NONE:
	case BM_VERDICT_MOVED:
	case BM_VERDICT_DUPLICATE:
	case BM_VERDICT_MISSING:
	case BM_VERDICT_CHANGED_WHILE_READING:
		break;
	}
	if (status == BM_OK && f->has_progress &&
	    (f->verdict == BM_VERDICT_NEW || f->verdict == BM_VERDICT_OK || f->verdict == BM_VERDICT_CHANGED))
		status = bm_catalog_progress_clear(a->c, a->root.id, f->path, f->path_len, &err);
	if (status != BM_OK)
		audit_catalog_note_error(a, &err);
}

/* The old record, and with it since when the file is known, under the new name; what was just found out of it stays. */
static enum bm_status move(struct bm_audit_catalog *a, const char *to, const char *from, struct bm_error *err)
{
	const struct bm_catalog_file *row = NULL;
	struct bm_catalog_file copy;
	struct bm_catalog_blocks blocks = {0};
	struct bm_buf digests = {0};
	uint8_t digest[64];
	enum bm_status status = BM_OK;

	if (a->fresh == NULL)
		status = bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->fresh, err);
	if (status == BM_OK)
		status = bm_catalog_files_find(a->fresh, to, strlen(to), &row, err);
	if (status != BM_OK || row == NULL || row->digest_len > sizeof(digest))
		return status;
	copy = *row;
	memcpy(digest, row->digest, row->digest_len);
	copy.path = to;
	copy.digest = digest;
	/* All that was found is in the database since the cursor was opened. */
	if (copy.block_bytes > 0)
		status = bm_catalog_blocks_get(a->c, a->root.id, to, strlen(to), true, &blocks.block_bytes, &digests,
		                               err);
	if (blocks.block_bytes > 0 && copy.digest_len > 0) {
		blocks.digests = (const uint8_t *)digests.data;
		blocks.digest_len = copy.digest_len;
		blocks.count = digests.len / copy.digest_len;
	}
	if (status == BM_OK)
		status = bm_catalog_file_move(a->c, a->root.id, from, strlen(from), to, strlen(to), err);
	if (status == BM_OK)
		status = bm_catalog_file_put(a->c, a->root.id, &copy, blocks.count > 0 ? &blocks : NULL, err);
	bm_buf_fini(&digests);
	return status;
}

void audit_catalog_settled(void *ctx, enum bm_verdict verdict, const char *path, const char *other)
{
	struct bm_audit_catalog *a = ctx;
	struct bm_error err;
	enum bm_status status = BM_OK;

	bm_error_clear(&err);
	if (verdict == BM_VERDICT_MOVED && other != NULL)
		status = move(a, path, other, &err);
	else if (verdict == BM_VERDICT_MISSING && (a->o.update & BM_AUDIT_BIT(BM_VERDICT_MISSING)) != 0)
		status = bm_catalog_file_delete(a->c, a->root.id, path, strlen(path), &err);
	else if (verdict == BM_VERDICT_MISSING)
		status = mark(a, path, strlen(path), BM_CATALOG_MISSING, NULL, &err);
	if (status != BM_OK)
		audit_catalog_note_error(a, &err);
}

enum bm_status audit_catalog_rewind(void *ctx, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;

	bm_catalog_files_close(a->listed);
	a->listed = NULL;
	return bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->listed, err);
}

bool audit_catalog_list(void *ctx, struct bm_known *known, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;
	const struct bm_catalog_file *row;
	int64_t before_ns = a->started_ns;

	/* Strays are new ones. */
	if (a->strays.len > 0)
		before_ns = a->root.audited_ns + 1;
	if (!a->source.has_files)
		return false;
	do {
		if (bm_catalog_files_next(a->listed, &row, err) != BM_OK || row == NULL)
			return false;
	} while (row->state != BM_CATALOG_OK || row->first_seen_ns >= before_ns || row->digest_len == 0 ||
	         (row->how == BM_CATALOG_HASHED && row->verified_ns >= a->started_ns)); /* that one was changed */
	audit_catalog_fill(known, row);
	return true;
}
