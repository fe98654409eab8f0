/*
 * verify_blocks.c - a source's files whose blocks have digests on record, or get some.
 *
 * GATHERED. A file that is new, or was written, or whose blocks have no digests yet, has them made beside the digest of
 * the whole, in a stage behind it. The digest of the whole is what decides, where there is one on record.
 *
 * COMPARED. A large file whose blocks are on record is compared block by block, and the digest of the whole is not made:
 * the blocks are all of the file, so nothing is lost, it costs no more, and each block that was right stays verified when
 * the run ends before the file does. That cannot be had of the digest of the whole: its state in the middle of a file
 * cannot be kept in a form that another version of the library is sure to take.
 *
 * CARRIED. Of a file that may be carried the source is told now and then how far it is (TELL_MS), and what is told is
 * never more than is sure: in a file that is compared, up to the first block that is wrong, so that the next run comes upon
 * that one at once. A run that goes on from there knows no digest of the whole. Of a file whose blocks are compared that
 * is no matter; one that is new is on record with the digests of its blocks alone, until it is read in one go.
 *
 * What is told of a file that was written meanwhile would be of no file that ever was: so the file's times are compared
 * with those at its opening before, and the source keeps these with it.
 *
 * A manifest may have nothing but blocks of a file, too: these are compared in the same way.
 *
 * A file has at most BM_HASH_BLOCKS_COUNT_MAX blocks (its source sees to that), so twice 2 MiB are held while it is read.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "bm_error.h"
#include "bm_time.h"
#include "step_internal.h"
#include "verify.h"

#define TELL_MS 500

static bool is_on(const struct verify_blocks *vb)
{
	return vb->algorithm != NULL && vb->file_bytes > 0;
}

static size_t count_of(const struct verify_blocks *vb)
{
	return (size_t)((vb->file_bytes - 1) / vb->plan.size_bytes + 1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return bm_time_ns(t);
}

/* What was done before does not count. */
static void begin_anew(struct bm_known_blocks *plan)
{
	uint64_t done = plan->first * plan->size_bytes;

	plan->upto_byte -= done < plan->upto_byte ? done : plan->upto_byte;
	plan->first = 0;
}

static bool is_same_file(const struct bm_known_blocks *plan, const struct stat *st)
{
	return (uint64_t)st->st_size == plan->file_bytes && (uint64_t)st->st_ino == plan->inode &&
	       bm_time_ns(st->st_mtim) == plan->mtime_ns && bm_time_ns(st->st_ctim) == plan->ctime_ns;
}

static enum bm_status fetch(struct verify_shared *vs, const struct bm_file *f, const struct verify_blocks *vb,
                            bool of_progress, size_t count, struct bm_buf *out, struct bm_error *err)
{
	const struct bm_known_source *s = vs->p->known;
	uint64_t size_bytes = 0;
	enum bm_status status =
		s->blocks(s->ctx, f->entry->path, f->entry->path_len, of_progress, &size_bytes, out, err);

	if (status == BM_OK && out->oom)
		status = bm_error_set_nomem(err);
	if (status != BM_OK || size_bytes != vb->plan.size_bytes || out->len != count * vb->algorithm->size_bytes)
		bm_buf_reset(out);
	return status;
}

enum bm_status verify_blocks_open(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                  const struct stat *st, struct bm_error *err)
{
	struct verify_blocks *vb = &vf->vb;
	struct bm_known_blocks *plan = &vb->plan;
	enum bm_status status = BM_OK;

	if (vb->algorithm == NULL || !S_ISREG(st->st_mode) || (uint64_t)st->st_size <= plan->size_bytes) {
		vb->algorithm = NULL;
		return BM_OK;
	}
	vb->file_bytes = (uint64_t)st->st_size;
	vb->has_progress = plan->first > 0;
	vb->d.algorithm = vb->algorithm;
	vb->d.size_bytes = plan->size_bytes;
	if (plan->is_compared && vf->is_touched && !vf->was_damaged) {
		plan->is_compared = false;
		begin_anew(plan);
	} else if (plan->first > 0 && (!is_same_file(plan, st) || plan->first >= count_of(vb))) {
		begin_anew(plan);
	}
	if (vf->is_listed && (plan->is_compared || vf->digest_count == 0 || plan->first > 0))
		status = fetch(vs, f, vb, false, count_of(vb), &vb->expect, err);
	if (plan->is_compared && vb->expect.len == 0) {
		plan->is_compared = false;
		begin_anew(plan);
	}
	if (status == BM_OK && plan->first > 0 && !plan->is_compared) {
		status = fetch(vs, f, vb, true, (size_t)plan->first, &vb->d.out, err);
		if (vb->d.out.len == 0)
			begin_anew(plan);
		vb->d.count = (size_t)plan->first;
	}
	if (plan->is_compared)
		vb->base = (size_t)plan->first;
	if ((plan->is_compared && !plan->wants_whole) || plan->first > 0)
		vf->d.skip = ~UINT32_C(0);
	if (plan->first == 0)
		plan->since_ns = now_ns();
	vb->told = vb->d.count;
	vb->told_ms = verify_now_ms();
	f->from_byte = plan->first * plan->size_bytes;
	f->upto_byte = plan->upto_byte < vb->file_bytes ? plan->upto_byte : 0;
	return status;
}

enum bm_status verify_blocks_open_bare(const struct verify_shared *vs, struct verify_file *vf, const struct stat *st,
                                       struct bm_error *err)
{
	struct verify_blocks *vb = &vf->vb;
	const struct bm_manifest_blocks *b = &vf->blocks;

	if ((uint64_t)st->st_size != vf->blocks_of_bytes && !vs->p->always_read) {
		vf->verdict = BM_VERDICT_CHANGED;
		return bm_error_set(err, BM_ERR_MISMATCH, NULL,
		                    "has %lld bytes, the manifest says %" PRIu64 "; not read", (long long)st->st_size,
		                    vf->blocks_of_bytes);
	}
	/* That of the whole is made too, for whoever brings the manifest up to date. */
	for (unsigned i = 0; i < vs->set.count; i++)
		if (vs->set.algorithms[i] == b->algorithm)
			vf->d.skip &= ~(UINT32_C(1) << i);
	if ((uint64_t)st->st_size != vf->blocks_of_bytes)
		return BM_OK; /* it has changed, whatever is in it */
	if (b->count == 0) {  /* nor has it bytes */
		vf->verdict = BM_VERDICT_OK;
		return BM_OK;
	}
	vb->algorithm = b->algorithm;
	vb->plan.size_bytes = b->size_bytes;
	vb->plan.is_compared = true;
	vb->file_bytes = (uint64_t)st->st_size;
	vb->d.algorithm = b->algorithm;
	vb->d.size_bytes = b->size_bytes;
	bm_buf_put(&vb->expect, b->bytes, b->count * b->digest_len);
	return vb->expect.oom ? bm_error_set_nomem(err) : BM_OK;
}

/* ---- while it is read ---- */

static bool is_right(const struct verify_blocks *vb, size_t i)
{
	size_t len = vb->algorithm->size_bytes;

	return memcmp(vb->d.out.data + i * len, vb->expect.data + (vb->base + i) * len, len) == 0;
}

static void count_good(struct verify_blocks *vb)
{
	while (vb->expect.len > 0 && vb->good < vb->d.count && is_right(vb, vb->good))
		vb->good++;
}

static void tell(const struct verify_shared *vs, const struct bm_file *f, struct verify_blocks *vb)
{
	const struct bm_known_source *s = vs->p->known;
	size_t n = vb->plan.is_compared ? vb->good : vb->d.count, len = vb->algorithm->size_bytes;
	struct bm_known_progress p = {
		.path = f->entry->path,
		.path_len = f->entry->path_len,
		.st = bm_source_stat(f->source),
		.algorithm = vb->algorithm->name,
		.block_bytes = vb->plan.size_bytes,
		.next = vb->base + n,
		.count = n - vb->told,
		.digest_len = len,
		.since_ns = vb->plan.since_ns,
	};

	if (!vb->plan.may_carry || s->progress == NULL || n <= vb->told)
		return;
	if (!vb->plan.is_compared)
		p.digests = (const uint8_t *)vb->d.out.data + vb->told * len;
	s->progress(s->ctx, &p);
	vb->told = n;
	vb->has_progress = true;
}

enum bm_status verify_blocks_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	const struct verify_shared *vs = arg;
	const struct bm_file *f = stream;
	struct verify_blocks *vb = &((struct verify_file *)f->state[vs->set.index])->vb;
	enum bm_status status;

	(void)w;
	if (!is_on(vb))
		return BM_OK;
	status = block_digests_put(&vb->d, c->data, c->len, err);
	if (status == BM_OK && c->last)
		status = block_digests_end(&vb->d, err);
	if (vb->plan.is_compared)
		count_good(vb);
	if (status == BM_OK && vb->plan.may_carry && !c->last && verify_now_ms() - vb->told_ms >= TELL_MS) {
		struct bm_error changed = BM_ERROR_INIT; /* told when it is read to the end */

		if (bm_source_check_unchanged(f->source, &changed) == BM_OK)
			tell(vs, f, vb);
		vb->told_ms = verify_now_ms();
	}
	return status;
}

/* ---- the end ---- */

/* How many are wrong. */
static size_t count_wrong(const struct verify_blocks *vb)
{
	size_t n = 0;

	for (size_t i = vb->good; i < vb->d.count; i++)
		n += !is_right(vb, i);
	return n;
}

static enum bm_verdict say_wrong(const struct verify_shared *vs, const struct verify_file *vf, bool rotted,
                                 bool is_unsure, struct bm_error *err)
{
	const struct verify_blocks *vb = &vf->vb;
	size_t wrong = count_wrong(vb), end = vb->base + vb->d.count;
	struct bm_buf text = {0};

	bm_buf_printf(&text, "%zu of %zu blocks of %" PRIu64 " bytes %s not as %s says", wrong, vb->d.count,
	              vb->plan.size_bytes, wrong == 1 ? "is" : "are", vs->m->says);
	if (vb->base > 0 || end < count_of(vb))
		bm_buf_printf(&text, " (bytes %" PRIu64 "-%" PRIu64 " of it were read)", vb->base * vb->plan.size_bytes,
		              end < count_of(vb) ? end * vb->plan.size_bytes - 1 : vb->file_bytes - 1);
	if (vf->was_damaged)
		bm_buf_puts(&text, "; it was found damaged before");
	else if (rotted)
		bm_buf_puts(&text, "; size and time of change are as they were");
	if (is_unsure)
		bm_buf_puts(&text,
		            "; read again it gave other bytes, which are not right either: memory, cable or disk "
		            "are not to be trusted");
	bm_error_clear(err);
	(void)bm_error_set(err, BM_ERR_MISMATCH, NULL, "%s",
	                   text.oom ? "its blocks are not as they should be" : text.data);
	bm_buf_fini(&text);
	return rotted ? BM_VERDICT_ROTTED : BM_VERDICT_CHANGED;
}

/* OK: all that was read is as on record. */
static enum bm_verdict compare(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf, struct bm_worker *w,
                               struct bm_error *err)
{
	struct verify_blocks *vb = &vf->vb;
	struct bm_error second = BM_ERROR_INIT;
	bool is_as_before =
		!vf->is_unsettled && vf->has_mtime && vf->size_bytes == vb->file_bytes && vf->mtime_ns == f->mtime_ns;

	count_good(vb);
	if (vb->good == vb->d.count)
		return BM_VERDICT_OK;
	if (vs->p->known != NULL && !is_as_before &&
	    !vf->was_damaged) /* somebody wrote it, so other bytes are no surprise */
		return say_wrong(vs, vf, false, false, err);
	switch (verify_read_blocks_again(vs, f, vf, w, &second)) {
	case VERIFY_SECOND_RIGHT:
		bm_file_warn(f, "the first reading had other bytes than the second, which is right: memory, cable or "
		                "cache are not to be trusted");
		count_good(vb);
		return BM_VERDICT_OK;
	case VERIFY_SECOND_SAME:
	case VERIFY_SECOND_NONE:
		break;
	case VERIFY_SECOND_OTHER:
		vf->is_unsure = true;
		break;
	case VERIFY_SECOND_CHANGED:
		*err = second;
		return BM_VERDICT_CHANGED_WHILE_READING;
	case VERIFY_SECOND_FAILED:
		*err = second;
		return BM_VERDICT_UNREADABLE;
	}
	count_good(vb); /* some may be right after all */
	return say_wrong(vs, vf, is_as_before || vf->was_damaged, vf->is_unsure, err);
}

/* It is not at its end, since the time is up, or that is as far as it may go. */
static enum bm_verdict judge_part(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                  struct bm_worker *w, struct bm_error *err)
{
	struct verify_blocks *vb = &vf->vb;
	struct bm_error changed = BM_ERROR_INIT;
	enum bm_verdict verdict = BM_VERDICT_OK;

	if (bm_source_check_unchanged(f->source, &changed) != BM_OK) {
		*err = changed;
		return changed.status == BM_ERR_CHANGED ? BM_VERDICT_CHANGED_WHILE_READING : BM_VERDICT_UNREADABLE;
	}
	if (vb->plan.is_compared)
		verdict = compare(vs, f, vf, w, err);
	if (verdict == BM_VERDICT_OK || verdict == BM_VERDICT_ROTTED)
		tell(vs, f, vb);
	if (verdict != BM_VERDICT_OK)
		return verdict;
	bm_error_clear(err);
	(void)bm_error_set(err, BM_ERR_LIMIT, NULL,
	                   "read up to byte %" PRIu64 " of %" PRIu64 ": the next run goes on from there",
	                   (vb->base + vb->told) * vb->plan.size_bytes, vb->file_bytes);
	return BM_VERDICT_NOT_CHECKED;
}

enum bm_verdict verify_blocks_judge(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf, bool good,
                                    struct bm_worker *w, struct bm_error *err)
{
	struct verify_blocks *vb = &vf->vb;
	struct bm_error changed = BM_ERROR_INIT;
	enum bm_verdict verdict;

	if (!is_on(vb) || f->source == NULL)
		return BM_VERDICT_NONE;
	if (vb->plan.may_carry &&
	    (vf->verdict == BM_VERDICT_NOT_CHECKED || (good && f->from_byte + f->bytes_in < vb->file_bytes)))
		return judge_part(vs, f, vf, w, err);
	if (!good) { /* a disk that fails, a run that is cancelled: what came before it counts all the same */
		if (err->status != BM_ERR_CHANGED && bm_source_check_unchanged(f->source, &changed) == BM_OK)
			tell(vs, f, vb);
		return f->read_failed ? BM_VERDICT_NONE : BM_VERDICT_NOT_CHECKED;
	}
	if (!vf->is_listed || (vf->d.skip != ~UINT32_C(0) && vf->digest_count > 0)) /* that of the whole is known */
		return BM_VERDICT_NONE;
	if (vb->expect.len > 0) {
		verdict = compare(vs, f, vf, w, err);
		if (verdict == BM_VERDICT_ROTTED && vb->plan.is_compared)
			tell(vs, f, vb);
		return verdict;
	}
	(void)bm_error_set(err, BM_ERR_MISMATCH, NULL, "somebody wrote it, and %s has no blocks to compare it with",
	                   vs->m->says);
	return BM_VERDICT_CHANGED;
}

void verify_blocks_found(const struct verify_file *vf, struct bm_known_found *found)
{
	const struct verify_blocks *vb = &vf->vb;
	size_t count;

	if (!is_on(vb))
		return;
	count = count_of(vb);
	found->has_progress = vb->has_progress;
	found->since_ns = vb->plan.first > 0 ? vb->plan.since_ns : 0;
	if (found->verdict == BM_VERDICT_OK && vb->plan.is_compared) {
		if (!vf->is_touched && found->digest == NULL)
			return; /* all is on record */
		found->blocks = (const uint8_t *)vb->expect.data;
	} else if (vb->base == 0 && vb->d.count == count && !vf->is_unsure) {
		found->blocks = (const uint8_t *)vb->d.out.data;
	} else {
		return;
	}
	/* All blocks are as on record, so the whole is. */
	if (found->verdict == BM_VERDICT_OK && found->digest == NULL && vf->digest_count > 0) {
		found->digest = vf->digests[0].bytes;
		found->digest_len = vb->algorithm->size_bytes;
	}
	found->algorithm = vb->algorithm->name;
	found->block_bytes = vb->plan.size_bytes;
	found->block_count = count;
}

void verify_blocks_fetch(const struct verify_shared *vs, const struct bm_file *f, struct verify_file *vf)
{
	const struct bm_known_source *s = vs->p->known;
	struct bm_manifest_blocks *b = &vf->blocks;
	struct bm_error ignored = BM_ERROR_INIT; /* the digest is wrong all the same */

	if (s == NULL || s->blocks == NULL || vf->digest_count == 0 || vf->size_bytes == 0)
		return;
	if (s->blocks(s->ctx, f->entry->path, f->entry->path_len, false, &b->size_bytes, &vf->record_blocks,
	              &ignored) != BM_OK ||
	    b->size_bytes == 0 || vf->record_blocks.oom)
		return;
	b->algorithm = vs->set.algorithms[vf->digests[0].algorithm];
	b->name = b->algorithm->name;
	b->digest_len = b->algorithm->size_bytes;
	b->count = (size_t)((vf->size_bytes - 1) / b->size_bytes + 1);
	b->bytes = (const uint8_t *)vf->record_blocks.data;
	vf->has_blocks = vf->record_blocks.len == b->count * b->digest_len;
	vf->blocks_of_bytes = vf->size_bytes;
}

void verify_blocks_fini(struct verify_file *vf)
{
	block_digests_fini(&vf->vb.d);
	bm_buf_fini(&vf->vb.expect);
	bm_buf_fini(&vf->record_blocks);
}
