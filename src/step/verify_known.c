/*
 * verify_known.c - the listing of the step verify where a source (bm_known.h) and no manifest says what files should be.
 *
 * The source decides what is read and in which order: first, side by side with the walk, what is new or not as on record,
 * and what is on record alone; then, the walk being over, what is due, in an order of its own. So the listing is in the
 * byte order of paths in its first part only.
 */
#include <stdio.h>
#include <string.h>

#include "bm_error.h"
#include "bm_known.h"
#include "step_internal.h"
#include "verify.h"

enum bm_status verify_known_load(struct verify_manifest *m, const struct bm_known_source *s, struct bm_error *err)
{
	m->says = s->name;
	m->entry_count = s->has_files ? 1 : 0;
	if (s->gone != NULL) {
		snprintf(m->gone_text, sizeof(m->gone_text), "%s", s->gone);
		m->root_is_gone = true;
	}
	for (size_t i = 0; i < s->algorithm_count && m->algorithm_count < DIGEST_SET_MAX; i++) {
		const struct bm_digest_algorithm *a = bm_digest_find(s->algorithms[i]);

		if (a == NULL)
			return bm_error_set(err, BM_ERR_USAGE, NULL, "%s is no algorithm", s->algorithms[i]);
		m->algorithms[m->algorithm_count++] = a;
	}
	return BM_OK;
}

static bool takes(const void *arg, const char *path, size_t len)
{
	return bm_plan_takes_name(arg, path, len);
}

/* i: the algorithm. */
static struct verify_file *add_blocks(const struct verify_shared *vs, struct verify_file *vf,
                                      const struct bm_known *known, size_t i)
{
	if (vf == NULL || known->blocks.size_bytes == 0 || i == vs->set.count)
		return vf;
	vf->vb.plan = known->blocks;
	vf->vb.algorithm = vs->set.algorithms[i];
	return vf;
}

static struct verify_file *make_state(const struct verify_shared *vs, const struct bm_known *known, bool is_new)
{
	struct verify_file file = {.is_listed = true, .has_size = true, .has_mtime = true};
	struct verify_digest digest = {0};
	struct verify_file *vf;
	size_t i = 0;

	if (is_new) {
		vf = verify_file_create(vs, NULL, NULL);
		if (vf != NULL)
			vf->d.skip = ~UINT32_C(1);
		return add_blocks(vs, vf, known, 0);
	}
	file.size_bytes = known->size;
	file.mtime_ns = known->mtime_ns;
	file.ctime_ns = known->ctime_ns;
	file.inode = known->inode;
	file.was_damaged = known->was_damaged;
	file.is_unsettled = known->is_unsettled;
	file.is_stray = known->is_stray;
	while (i < vs->set.count && strcmp(vs->set.algorithms[i]->name, known->algorithm) != 0)
		i++;
	if (i == vs->set.count || known->digest_len > sizeof(digest.bytes)) {
		file.unknown = known->algorithm;
	} else if (known->digest_len > 0) {
		digest.algorithm = (uint8_t)i;
		memcpy(digest.bytes, known->digest, known->digest_len);
		file.digest_count = 1;
	}
	vf = verify_file_create(vs, &file, &digest);
	/* It has digests of its blocks alone: that of the whole is found out now. */
	if (vf != NULL && i < vs->set.count)
		vf->d.skip = ~(UINT32_C(1) << i);
	return add_blocks(vs, vf, known, i);
}

enum bm_expect verify_known_expect(struct verify_shared *vs, struct bm_entry *walked, struct bm_entry **extra,
                                   void **state, struct bm_worker *w, struct bm_error *err)
{
	const struct bm_known_source *s = vs->p->known;
	struct bm_known_ask ask = {takes, vs->plan};
	struct bm_known known = {0};

	if (!vs->has_begun && vs->p->max_duration.is_set)
		vs->deadline_ms = verify_now_ms() + vs->p->max_duration.ms;
	vs->has_begun = true;
	/* A million files that need no reading come by here in one go. */
	if (bm_flow_is_cancelled(bm_worker_flow(w)))
		return BM_EXPECT_END;
	/* The root itself cannot be looked at: each file on record says so. */
	if (walked != NULL && walked->kind == BM_ENTRY_ERROR && vs->m->root_is_gone && s->has_files)
		return BM_EXPECT_PASS;
	switch (s->next(s->ctx, walked, &ask, &known, err)) {
	case BM_KNOWN_NEW:
		return verify_give_walked(vs, walked, make_state(vs, &known, true), state, err);
	case BM_KNOWN_READ:
		return verify_give_walked(vs, walked, make_state(vs, &known, false), state, err);
	case BM_KNOWN_PASS:
		return BM_EXPECT_PASS;
	case BM_KNOWN_EXTRA:
		return verify_give_extra(vs, known.path, known.path_len,
		                         make_state(vs, &known, known.algorithm == NULL), extra, state, err);
	case BM_KNOWN_END:
		return BM_EXPECT_END;
	case BM_KNOWN_FAILED:
		break;
	}
	return BM_EXPECT_FAILED;
}

void verify_known_tell(const struct verify_shared *vs, const struct bm_file *f, const struct verify_file *vf,
                       const struct bm_error *err)
{
	const struct bm_known_source *s = vs->p->known;
	struct bm_known_found found = {
		.path = f->entry->path,
		.path_len = f->entry->path_len,
		.verdict = f->verdict,
		.st = f->source != NULL ? bm_source_stat(f->source) : NULL,
		.is_touched = vf->is_touched,
		.was_damaged = vf->was_damaged,
		.is_cut = f->verdict == BM_VERDICT_NOT_CHECKED && err->status == BM_ERR_LIMIT,
		.is_sure = !vf->is_unsure,
		.is_settled = f->source != NULL && bm_source_is_settled(f->source),
		.damage = f->damage,
		.error = err->status != BM_OK ? err->text : NULL,
	};

	for (size_t i = 0; i < vs->set.count && found.digest == NULL; i++) {
		if (!vf->d.value[i].done)
			continue;
		found.algorithm = vs->set.algorithms[i]->name;
		found.digest = vf->d.value[i].out;
		found.digest_len = vs->set.algorithms[i]->size_bytes;
	}
	verify_blocks_found(vf, &found);
	s->found(s->ctx, &found);
}
