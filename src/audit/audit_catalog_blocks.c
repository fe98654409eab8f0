/*
 * audit_catalog_blocks.c - how a file is read in an audit against the catalog: which blocks it has, how far a slot allows,
 * and where an earlier one ended.
 *
 * WHICH FILES HAVE BLOCKS. Those larger than one, of the size that was said for the root (--blocks), or twice that as often
 * as it takes to have no more than BM_HASH_BLOCKS_COUNT_MAX. Where nobody said anything, and there is a limit, files that
 * are larger than the limit, or very large, have them all the same: otherwise they would never be read.
 *
 * IN PARTS. A file is read in parts where it does not fit into what is left of a limit; and one of CARRY_MIN bytes or more
 * may be cut anywhere, by the time or by a kill, and loses little. What was read is in the table `progress` of the catalog,
 * with the file's times: where these are others by now, it is begun anew. Smaller files are read again, which is cheaper
 * than to keep books on each.
 *
 * A file that is on record with its blocks is compared block by block, and when the last one was right it is verified, as
 * of the time when the first one was: the age of a file is that of its oldest block. One that is new, or was written, has
 * the digests of its blocks put on record as they come. The digest of the whole cannot be had of parts: the state of
 * SHA-256 in the middle of a file is nothing that libcrypto gives out in a form that another version would take. So such a
 * file is on record with its blocks alone, which say as much; it gets the digest of the whole the first time it is read in
 * one go. Until then it is not in a GNU manifest, and when it moves it is a new one.
 *
 * DAMAGE. Progress stands before the first block that is wrong. With a limit a file that is known to be damaged, and that
 * nobody wrote since, is asked for that block alone, so that it is told in each audit and takes no time from the others;
 * without one it is read through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_catalog.h"
#include "block_digests.h"
#include "bm_error.h"
#include "bm_step.h"

#define CARRY_MIN ((uint64_t)64 << 20)
#define UNSAID_BLOCK ((uint64_t)1 << 20)
#define UNSAID_MIN ((uint64_t)1 << 30)

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void audit_catalog_start_clock(struct bm_audit_catalog *a)
{
	a->deadline_ms = a->o.has_max_duration ? now_ms() + a->o.max_duration_ms : 0;
}

bool audit_catalog_time_is_out(const struct bm_audit_catalog *a)
{
	return a->deadline_ms > 0 && now_ms() >= a->deadline_ms;
}

bool audit_catalog_is_same(const struct bm_catalog_file *f, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == f->size && bm_time_ns(st->st_mtim) == f->mtime_ns &&
	       bm_time_ns(st->st_ctim) == f->ctime_ns && (uint64_t)st->st_ino == f->inode && !f->is_unsettled;
}

/* ---- what was read in part ---- */

struct loader {
	struct bm_audit_catalog *a;
	bool oom;
};

static bool add_part(void *ctx, const char *path, size_t path_len, const struct bm_catalog_progress *p)
{
	struct loader *l = ctx;
	struct bm_audit_catalog *a = l->a;
	size_t n = a->part_count;

	l->oom = true;
	if ((n & (n - 1)) == 0) { /* full */
		struct part *more = bm_realloc_array(a->parts, n == 0 ? 1 : n * 2, sizeof(*more));

		if (more == NULL)
			return false;
		a->parts = more;
	}
	a->parts[n] = (struct part){bm_memdup0(path, path_len), path_len, *p, false};
	if (a->parts[n].path == NULL)
		return false;
	a->part_count++;
	l->oom = false;
	return true;
}

enum bm_status audit_catalog_blocks_load(struct bm_audit_catalog *a, struct bm_error *err)
{
	struct loader l = {a, false};
	bool has_blocks = false;
	enum bm_status status = BM_OK;

	if (a->o.has_block_bytes && (!a->root.has_block_bytes || a->root.block_bytes != a->o.block_bytes)) {
		status = bm_catalog_root_set_block_bytes(a->c, a->root.id, a->o.block_bytes, err);
		a->root.has_block_bytes = true;
		a->root.block_bytes = a->o.block_bytes;
	}
	if (status == BM_OK)
		status = bm_catalog_root_has_blocks(a->c, a->root.id, &has_blocks, err);
	if (status == BM_OK)
		status = bm_catalog_progress_list(a->c, a->root.id, add_part, &l, err);
	if (status == BM_OK && l.oom)
		status = bm_error_set_nomem(err);
	a->uses_blocks = has_blocks || a->part_count > 0 || a->root.block_bytes > 0 ||
	                 (a->is_limited && !a->root.has_block_bytes);
	if (a->uses_blocks) {
		a->source.blocks = audit_catalog_blocks;
		a->source.progress = audit_catalog_progress;
	}
	return status;
}

void audit_catalog_blocks_fini(struct bm_audit_catalog *a)
{
	for (size_t i = 0; i < a->part_count; i++)
		free(a->parts[i].path);
	free(a->parts);
}

enum bm_status audit_catalog_blocks_clean(struct bm_audit_catalog *a, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	struct stat st;

	for (size_t i = 0; i < a->part_count && status == BM_OK; i++)
		if (a->root_fd >= 0 && fstatat(a->root_fd, a->parts[i].path, &st, 0) != 0 && errno == ENOENT)
			status = bm_catalog_progress_clear(a->c, a->root.id, a->parts[i].path, a->parts[i].path_len,
			                                   err);
	return status;
}

static struct part *find_part(const struct bm_audit_catalog *a, const char *path, size_t len)
{
	size_t low = 0, high = a->part_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2, n = a->parts[mid].path_len;
		int order = memcmp(a->parts[mid].path, path, n < len ? n : len);

		order = order != 0 ? order : (n > len) - (n < len);
		if (order == 0)
			return &a->parts[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* It is of the file as it is now, and of this round: not of one that has come to its end since. */
static bool is_valid(const struct bm_catalog_progress *p, const struct bm_catalog_file *row, const struct stat *st,
                     const char *algorithm)
{
	return p->size == (uint64_t)st->st_size && p->inode == (uint64_t)st->st_ino &&
	       p->mtime_ns == bm_time_ns(st->st_mtim) && p->ctime_ns == bm_time_ns(st->st_ctim) &&
	       strcmp(p->algorithm, algorithm) == 0 && p->block_bytes > 0 && p->next_block > 0 &&
	       p->next_block <= (p->size - 1) / p->block_bytes && (row == NULL || p->started_ns > row->verified_ns);
}

/* ---- how a file is read ---- */

/* The size of the blocks that a new file gets; 0: none. */
static uint64_t block_bytes_of(const struct bm_audit_catalog *a, uint64_t size)
{
	uint64_t max = a->o.max_bytes, bytes = a->root.block_bytes;

	if (!a->root.has_block_bytes && a->is_limited && (size > UNSAID_MIN || (max > 0 && size > max))) {
		bytes = UNSAID_BLOCK;
		while (max > 0 && bytes > max && bytes > BM_HASH_BLOCKS_MIN)
			bytes /= 2;
	}
	return bytes == 0 || size <= bytes ? 0 : block_digests_fit(bytes, size);
}

struct slot {            /* what a file may have */
	uint64_t room;   /* bytes: no more than these */
	uint64_t budget; /* rather not more, but for small files */
};

static bool fits(const struct slot *s, uint64_t size, uint64_t rest)
{
	return rest <= s->room && (rest <= s->budget || size < CARRY_MIN);
}

static void use_part(struct bm_known_blocks *plan, const struct bm_catalog_progress *p)
{
	plan->first = p->next_block;
	plan->file_bytes = p->size;
	plan->mtime_ns = p->mtime_ns;
	plan->ctime_ns = p->ctime_ns;
	plan->inode = p->inode;
	plan->since_ns = p->started_ns;
}

/* Fills in all of *plan but upto_byte. *is_probe: nothing but its first block is of interest. */
static void choose(struct bm_audit_catalog *a, const char *path, size_t path_len, const struct bm_catalog_file *row,
                   const struct stat *st, const struct slot *slot, struct bm_known_blocks *plan, bool *is_probe)
{
	struct part *part = a->part_count > 0 ? find_part(a, path, path_len) : NULL;
	const struct bm_catalog_progress *p = part != NULL ? &part->p : NULL;
	uint64_t size = (uint64_t)st->st_size, wanted = block_bytes_of(a, size);
	bool is_same = row != NULL && audit_catalog_is_same(row, st);
	bool is_damaged = row != NULL && row->state == BM_CATALOG_DAMAGED;
	struct bm_error err = BM_ERROR_INIT;
	const char *algorithm = row != NULL && row->algorithm != NULL ? row->algorithm : a->algorithms[0];
	bool is_valid_part = p != NULL && is_valid(p, row, st, algorithm);
	bool fits_whole = fits(slot, size, size);
	bool takes_rot = (a->o.update & BM_AUDIT_BIT(BM_VERDICT_ROTTED)) != 0; /* all of its digests are wanted */
	bool can_compare =
		row != NULL && row->block_bytes > 0 && row->size == size && (is_same || is_damaged) && !takes_rot;

	if (can_compare) {
		bool has_part = is_valid_part && p->block_bytes == row->block_bytes;
		bool wants_other = wanted > 0 && wanted != row->block_bytes && fits_whole && !a->o.has_max_duration;

		plan->size_bytes = row->block_bytes;
		plan->wants_whole = row->digest_len == 0;
		plan->is_compared = size >= CARRY_MIN || !fits_whole || has_part || plan->wants_whole;
		plan->is_compared = plan->is_compared && !wants_other;
		plan->may_carry = plan->is_compared;
		if (has_part && plan->is_compared && (!is_damaged || a->is_limited))
			use_part(plan, p);
		*is_probe = is_damaged && is_same && a->is_limited && plan->first > 0;
		/* With its own digest on record, and small, that alone is compared; else its blocks are made as wanted. */
		if (!plan->is_compared && row->digest_len > 0)
			plan->size_bytes = wanted != row->block_bytes ? wanted : 0;
	} else {
		bool has_part = is_valid_part && (row == NULL || !is_same) && !is_damaged && !takes_rot;

		plan->size_bytes = has_part && wanted > 0 ? p->block_bytes : wanted;
		if (wanted == 0 && row != NULL && row->digest_len == 0) /* there is nothing else to compare it with */
			plan->size_bytes = row->block_bytes;
		plan->may_carry = plan->size_bytes > 0 && (size >= CARRY_MIN || !fits_whole || has_part) && !is_same &&
		                  !is_damaged && !takes_rot;
		if (has_part && plan->may_carry)
			use_part(plan, p);
	}
	if (part != NULL)
		part->is_used = plan->first > 0;
	/* Of no use now, it is of none later. */
	if (p != NULL && plan->first == 0 && bm_catalog_progress_clear(a->c, a->root.id, path, path_len, &err) != BM_OK)
		audit_catalog_note_error(a, &err);
}

bool audit_catalog_was_carried(const struct bm_audit_catalog *a, const char *path, size_t path_len)
{
	const struct part *part = find_part(a, path, path_len);

	return part != NULL && part->is_used;
}

bool audit_catalog_take(struct bm_audit_catalog *a, const char *path, size_t path_len,
                        const struct bm_catalog_file *row, const struct stat *st, uint64_t budget,
                        struct bm_known_blocks *plan)
{
	uint64_t max = a->o.max_bytes, size = st != NULL ? (uint64_t)st->st_size : 0, rest = size, take;
	struct slot slot = {max > 0 ? max - a->stats.read.bytes : UINT64_MAX, budget};
	bool is_probe = false;

	*plan = (struct bm_known_blocks){0};
	if (a->source.gone != NULL)
		return true;
	if (a->uses_blocks && st != NULL && S_ISREG(st->st_mode) && size > 0)
		choose(a, path, path_len, row, st, &slot, plan, &is_probe);
	rest -= plan->first * plan->size_bytes;
	take = rest;
	if (!fits(&slot, size, rest) || is_probe) {
		uint64_t most = slot.room < budget ? slot.room : budget,
			 n = plan->may_carry ? most / plan->size_bytes : 0;

		if (plan->may_carry && n == 0 && plan->size_bytes <= slot.room)
			n = 1; /* beyond the budget, but it has to get on */
		if (is_probe && n > 1)
			n = 1;
		take = n * plan->size_bytes < rest ? n * plan->size_bytes : rest;
	}
	if ((take > 0 || rest == 0) && !audit_catalog_time_is_out(a)) {
		a->stats.read.files++;
		a->stats.read.bytes += take;
		if (take < rest) {
			plan->upto_byte = plan->first * plan->size_bytes + take;
			a->stats.left.files += !is_probe;
			a->stats.left.bytes += is_probe ? 0 : rest - take;
		}
		return true;
	}
	if (max > 0 && size > max && (!plan->may_carry || plan->size_bytes > max)) {
		a->stats.too_large.files++;
		a->stats.too_large.bytes += size;
	}
	a->stats.left.files++;
	a->stats.left.bytes += rest;
	return false;
}

/* ---- while it is read ---- */

enum bm_status audit_catalog_blocks(void *ctx, const char *path, size_t path_len, bool of_progress,
                                    uint64_t *size_bytes, struct bm_buf *digests, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;
	struct bm_catalog_progress p;
	bool found = false;
	enum bm_status status;

	/* No file is read twice in an audit, so what is asked for is an earlier one's. */
	if (!of_progress)
		return bm_catalog_blocks_get(a->c, a->root.id, path, path_len, true, size_bytes, digests, err);
	*size_bytes = 0;
	status = bm_catalog_progress_get(a->c, a->root.id, path, path_len, true, &p, digests, &found, err);
	if (status == BM_OK && found)
		*size_bytes = p.block_bytes;
	return status;
}

void audit_catalog_progress(void *ctx, const struct bm_known_progress *k)
{
	struct bm_audit_catalog *a = ctx;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_progress p = {
		.size = (uint64_t)k->st->st_size,
		.mtime_ns = bm_time_ns(k->st->st_mtim),
		.ctime_ns = bm_time_ns(k->st->st_ctim),
		.inode = (uint64_t)k->st->st_ino,
		.algorithm = k->algorithm,
		.block_bytes = k->block_bytes,
		.next_block = k->next,
		.started_ns = k->since_ns,
		.updated_ns = bm_catalog_now(),
	};

	if (bm_catalog_progress_put(a->c, a->root.id, k->path, k->path_len, &p, k->digests, k->digest_len,
	                            k->digests != NULL ? k->count : 0, &err) != BM_OK)
		audit_catalog_note_error(a, &err);
}
