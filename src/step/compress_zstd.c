/*
 * compress_zstd.c - the step `compress` with format zstd.
 *
 * Two stages. `frame` (parallel): each chunk becomes a zstd frame of its own. `table` (serial): notes the sizes and the
 * checksum of each frame and puts the seek table behind the last. An empty last chunk makes a frame only where it is
 * the file's only one; the table still goes with it.
 *
 * Where the table goes: it has 12 bytes for each frame, so there is no telling how long it gets, and the chunk's buffer
 * holds no more than the worst case of a frame and a little. A table that is longer (340 frames with chunks of 8 MiB are 2.7
 * GB) goes with the last frame into memory of its own, which lives as long as the file. Only where a later step of this
 * segment changes the bytes again can that not be: its buffers are planned for what is said here. There the buffers get
 * room for half a chunk of table, which is 90 GB in chunks of 1 MiB and 2.9 TB in chunks of 8 MiB; past it the file goes
 * without a table, which only seeking needs, and a warning says so.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_zstd.h"
#include "compress_internal.h"

#define TABLE_ROOM ((size_t)4 << 10)

struct zstd_shared {
	const struct bm_compress_params *p;
	unsigned index;
	size_t chunk_bytes;
	size_t bound; /* of what a chunk becomes, table included, that a later step can rely on */
	bool bounded; /* there is such a step */
	int slot;     /* checksum << 32 | length of the content */
	struct bm_stash encoders;
};

/* Of one file; the serial stage's. */
struct zstd_file {
	struct bm_zstd_seek_writer *table; /* NULL once it cannot be had */
	uint8_t *tail;                     /* last frame and table; NULL where they fit into the chunk */
};

static struct bm_zstd_encoder *encoder_get(struct zstd_shared *zs, struct bm_error *err)
{
	struct bm_zstd_encoder *e = bm_stash_get(&zs->encoders);

	if (e == NULL && bm_zstd_encoder_create((int)zs->p->level, zs->chunk_bytes, &e, err) != BM_OK)
		return NULL;
	return e;
}

static enum bm_status frame_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct zstd_shared *zs = arg;
	unsigned spare = bm_chunk_spare(c);
	uint64_t content = c->len;
	uint32_t checksum = 0;
	enum bm_status status;

	(void)stream;
	(void)w;
	c->hole = false;
	if (c->len == 0 && c->seq > 0) {
		c->data = c->buf[spare]; /* where the plan for the stages behind expects it */
		return BM_OK;
	}
	struct bm_zstd_encoder *e = encoder_get(zs, err);
	if (e == NULL)
		return err->status;
	status = bm_zstd_frame(e, c->data, c->len, c->buf[spare], c->cap[spare], &c->len, &checksum, err);
	c->data = c->buf[spare];
	c->slot[zs->slot] = (uint64_t)checksum << 32 | content;
	bm_stash_put(&zs->encoders, e);
	return status;
}

/* Puts the table behind the last frame. */
static enum bm_status append_table(struct zstd_shared *zs, struct zstd_file *zf, struct bm_file *f, struct bm_chunk *c,
                                   struct bm_error *err)
{
	const size_t table_bytes = bm_zstd_seek_bytes(zf->table);
	const size_t buffer = c->data == c->buf[0] ? c->cap[0] : c->cap[1];
	const size_t room = zs->bounded && zs->bound < buffer ? zs->bound : buffer;

	if (c->len + table_bytes > room) {
		if (zs->bounded) {
			bm_file_warn(f,
			             "too many frames for a seek table here: it is left out; raise chunk to have one");
			return BM_OK;
		}
		zf->tail = malloc(c->len + table_bytes);
		if (zf->tail == NULL)
			return bm_error_set_nomem(err);
		memcpy(zf->tail, c->data, c->len);
		c->data = zf->tail;
	}
	bm_zstd_seek_put(zf->table, c->data + c->len);
	c->len += table_bytes;
	return BM_OK;
}

static enum bm_status table_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct zstd_shared *zs = arg;
	struct bm_file *f = stream;
	struct zstd_file *zf = f->state[zs->index];
	struct bm_error why = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	(void)w;
	if (zf == NULL) {
		zf = calloc(1, sizeof(*zf));
		if (zf == NULL)
			return bm_error_set_nomem(err);
		f->state[zs->index] = zf;
		status = bm_zstd_seek_writer_create(&zf->table, err);
		if (status != BM_OK)
			return status;
	}
	if (zf->table == NULL)
		return BM_OK;
	if (c->len > 0) {
		const uint64_t v = c->slot[zs->slot];

		status = bm_zstd_seek_add(zf->table, c->len, v & UINT32_MAX, (uint32_t)(v >> 32), &why);
	}
	if (status == BM_ERR_LIMIT) {
		bm_file_warn(f, "%s: it is left out; raise chunk to have one", why.text);
		bm_zstd_seek_writer_destroy(zf->table);
		zf->table = NULL;
		return BM_OK;
	}
	if (status != BM_OK)
		return bm_error_set(err, status, why.where, "%s", why.text);
	return c->last ? append_table(zs, zf, f, c, err) : BM_OK;
}

static void encoder_destroy(void *e)
{
	bm_zstd_encoder_destroy(e);
}

/* A later step of this segment that changes the bytes: decompress begins a segment of its own. */
static bool changed_again(const struct bm_job *job, unsigned index)
{
	for (size_t i = index + 1; i < job->step_count && !bm_step_begins_segment(&job->steps[i]); i++)
		if (job->steps[i].kind->role == BM_ROLE_CHANGE)
			return true;
	return false;
}

static enum bm_status zstd_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                   struct bm_error *err)
{
	struct zstd_shared *zs = calloc(1, sizeof(*zs));
	enum bm_status status;

	*shared = zs;
	if (zs == NULL)
		return bm_error_set_nomem(err);
	zs->p = &step->p.compress;
	zs->index = step->index;
	zs->chunk_bytes = plan->data_bytes;
	zs->bounded = changed_again(plan->job, step->index);
	status = bm_stash_init(&zs->encoders, encoder_destroy, err);
	if (status != BM_OK)
		return status;
	zs->slot = bm_plan_slot(plan);
	if (zs->slot < 0)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "too many compress steps in one job; make a second job of the later ones");
	plan->state_bytes += plan->ctx->permits * bm_zstd_encoder_bytes((int)zs->p->level, zs->chunk_bytes);
	zs->bound = bm_zstd_bound(plan->data_bytes) + TABLE_ROOM + (zs->bounded ? plan->data_bytes / 2 : 0);
	status = bm_plan_stage(plan, BM_STAGE_PARALLEL, frame_run, zs, err);
	bm_plan_changes(plan, zs->bound, 0);
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_SERIAL, table_run, zs, err);
	bm_plan_slot_free(plan);
	return status;
}

static enum bm_status zstd_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err)
{
	struct zstd_shared *zs = shared;
	struct zstd_file *zf = f->state[zs->index];

	(void)good;
	(void)w;
	(void)err;
	if (zf != NULL) {
		bm_zstd_seek_writer_destroy(zf->table);
		free(zf->tail);
	}
	free(zf);
	f->state[zs->index] = NULL;
	return BM_OK;
}

static void zstd_destroy(void *shared)
{
	struct zstd_shared *zs = shared;

	if (zs != NULL)
		bm_stash_fini(&zs->encoders);
	free(zs);
}

static void zstd_describe(void *shared, struct bm_buf *out)
{
	struct zstd_shared *zs = shared;

	bm_buf_printf(out, "zstd level %d, a frame a chunk, seek table", (int)zs->p->level);
}

const struct bm_step_ops bm_compress_zstd_ops = {
	.prepare = zstd_prepare,
	.close = zstd_close,
	.destroy = zstd_destroy,
	.describe = zstd_describe,
};
