/*
 * done_codec.c - the outputs and digests of a finished input as one BLOB.
 *
 * There is one of these a file, so it should be small. Numbers are varints (LEB128: seven bits a byte, low ones first),
 * times are zigzagged first, so that those before 1970 are short as well. An output's path nearly always holds the
 * input's ("/backup/2026-11-22/" + "a/b.txt" + ".gz"): it is then kept as what stands before that and after it.
 *
 *	2 (the form's version)
 *	outputs, and for each: step * 4 + skipped * 2 + holds the input's path, size, mtime, inode,
 *		length of what is before (or of all), that, [length of what is after, that]
 *	digests, and for each: step, number of the algorithm, length in bytes of what was digested, length of the digest,
 *		that
 *	XXH32 of all of this, with that of the input's path as its seed, 4 bytes, low one first (form 1 ended before it)
 *
 * The reader trusts nothing: a damaged database must end in an error. It checks every length against what is left; no
 * count can be larger than that either, which bounds what is allocated. SQLite has no checksums, and digests from here go
 * into manifests: one bit that a disk has turned would make a whole file look damaged.
 */
#include <stdlib.h>
#include <xxhash.h>

#include "bm_error.h"
#include "done_codec.h"

#define FORM 2
#define FORM_WITHOUT_SUM 1

/* ---- writing ---- */

uint64_t done_get_le(const uint8_t *at, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

void done_sum(const char *path, size_t path_len, const void *bytes, size_t len, uint8_t out[static DONE_SUM_BYTES])
{
	uint32_t sum = XXH32(bytes, len, XXH32(path, path_len, 0));

	for (size_t i = 0; i < DONE_SUM_BYTES; i++)
		out[i] = (uint8_t)(sum >> (8 * i));
}

uint64_t done_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

int64_t done_unzigzag(uint64_t v)
{
	return (int64_t)((v >> 1) ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

size_t done_encoded_max(const struct bm_catalog_done *d)
{
	size_t max = 3 * DONE_NUMBER_MAX;

	for (size_t i = 0; i < d->output_count; i++)
		if (!bm_add_size(max, 6 * DONE_NUMBER_MAX, &max) || !bm_add_size(max, d->outputs[i].path_len, &max))
			return SIZE_MAX;
	for (size_t i = 0; i < d->digest_count; i++)
		if (!bm_add_size(max, 4 * DONE_NUMBER_MAX, &max) || !bm_add_size(max, d->digests[i].len, &max))
			return SIZE_MAX;
	return max;
}

enum bm_status done_encode(struct bm_catalog *c, const struct bm_catalog_done *d, char *at, char **end,
                           struct bm_error *err)
{
	at = done_put_number(at, FORM);
	at = done_put_number(at, d->output_count);
	for (size_t i = 0; i < d->output_count; i++) {
		const struct bm_catalog_output *o = &d->outputs[i];
		const char *in = d->path_len > 0 ? memmem(o->path, o->path_len, d->path, d->path_len) : NULL;

		at = done_put_number(at, (uint64_t)o->step << 2 | (o->skipped ? 2 : 0) | (in != NULL ? 1 : 0));
		at = done_put_number(at, o->size);
		at = done_put_number(at, done_zigzag(o->mtime_ns));
		at = done_put_number(at, o->inode);
		if (in != NULL) {
			size_t before = (size_t)(in - o->path), after = o->path_len - before - d->path_len;

			at = done_put_bytes(at, o->path, before);
			at = done_put_bytes(at, in + d->path_len, after);
		} else {
			at = done_put_bytes(at, o->path, o->path_len);
		}
	}
	at = done_put_number(at, d->digest_count);
	for (size_t i = 0; i < d->digest_count; i++) {
		const struct bm_catalog_done_digest *g = &d->digests[i];
		int64_t algorithm;
		enum bm_status status = catalog_algorithm_id(c, g->algorithm, &algorithm, err);

		if (status != BM_OK)
			return status;
		at = done_put_number(at, g->step);
		at = done_put_number(at, (uint64_t)algorithm);
		at = done_put_number(at, g->length);
		at = done_put_bytes(at, g->bytes, g->len);
	}
	*end = at;
	return BM_OK;
}

/* ---- reading ---- */

uint64_t done_get_number(struct done_reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
		uint8_t byte = *r->at++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return v;
	}
	r->bad = true;
	return 0;
}

static unsigned get_step(struct done_reader *r, uint64_t v)
{
	if (v > UINT32_MAX)
		r->bad = true;
	return (unsigned)v;
}

const char *done_get_bytes(struct done_reader *r, size_t *len)
{
	uint64_t v = done_get_number(r);
	const uint8_t *bytes = r->at;

	if (r->bad || v > (uint64_t)(r->end - r->at)) {
		r->bad = true;
		v = 0;
	}
	*len = (size_t)v;
	r->at += *len;
	return (const char *)bytes;
}

static size_t get_count(struct done_reader *r)
{
	uint64_t v = done_get_number(r);

	if (v > (uint64_t)(r->end - r->at)) {
		r->bad = true;
		v = 0;
	}
	return (size_t)v;
}

static bool reserve(void **items, size_t *cap, size_t count, size_t size)
{
	void *grown;

	if (count <= *cap)
		return true;
	grown = bm_realloc_array(*items, count, size);
	if (grown == NULL)
		return false;
	*items = grown;
	*cap = count;
	return true;
}

/* The paths move while more are added: pointers to them are set when all are there. */
static bool get_outputs(struct done_reader *r, const char *path, size_t path_len, struct done_view *v)
{
	size_t count = get_count(r), offset = 0;

	v->output_count = 0;
	bm_buf_reset(&v->paths);
	if (!reserve((void **)&v->outputs, &v->output_cap, count, sizeof(*v->outputs)))
		return false;
	for (size_t i = 0; i < count && !r->bad; i++) {
		struct bm_catalog_output *o = &v->outputs[i];
		uint64_t flags = done_get_number(r);
		size_t before, after = 0, start = v->paths.len;

		o->step = get_step(r, flags >> 2);
		o->skipped = (flags & 2) != 0;
		o->size = done_get_number(r);
		o->mtime_ns = done_unzigzag(done_get_number(r));
		o->inode = done_get_number(r);
		const char *bytes = done_get_bytes(r, &before);
		bm_buf_put(&v->paths, bytes, before);
		if ((flags & 1) != 0) {
			bm_buf_put(&v->paths, path, path_len);
			bytes = done_get_bytes(r, &after);
			bm_buf_put(&v->paths, bytes, after);
		}
		o->path_len = v->paths.len - start;
		bm_buf_putc(&v->paths, '\0');
	}
	if (v->paths.oom)
		return false;
	v->output_count = r->bad ? 0 : count;
	for (size_t i = 0; i < v->output_count; i++) {
		v->outputs[i].path = v->paths.data + offset;
		offset += v->outputs[i].path_len + 1;
	}
	return true;
}

static enum bm_status get_digests(struct bm_catalog *c, struct done_reader *r, struct done_view *v,
                                  struct bm_error *err)
{
	size_t count = get_count(r);
	enum bm_status status = BM_OK;

	v->digest_count = 0;
	if (!reserve((void **)&v->digests, &v->digest_cap, count, sizeof(*v->digests)))
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < count && !r->bad && status == BM_OK; i++) {
		struct bm_catalog_done_digest *g = &v->digests[i];

		g->step = get_step(r, done_get_number(r));
		uint64_t algorithm = done_get_number(r);
		g->length = done_get_number(r);
		g->bytes = (const uint8_t *)done_get_bytes(r, &g->len);
		if (!r->bad)
			status = catalog_algorithm_name(c, algorithm < INT64_MAX ? (int64_t)algorithm : 0,
			                                &g->algorithm, err);
		if (status == BM_OK && g->algorithm == NULL)
			r->bad = true;
	}
	v->digest_count = r->bad ? 0 : count;
	return status;
}

enum bm_status done_decode(struct bm_catalog *c, const char *path, size_t path_len, const char *data, size_t len,
                           struct done_view *v, struct bm_error *err)
{
	struct done_reader r = {(const uint8_t *)data, (const uint8_t *)data + len, false};
	uint64_t form = done_get_number(&r);
	uint8_t sum[DONE_SUM_BYTES];
	char where[512];
	enum bm_status status;

	if (form == FORM && len > DONE_SUM_BYTES) {
		r.end -= DONE_SUM_BYTES;
		done_sum(path, path_len, data, len - DONE_SUM_BYTES, sum);
		r.bad = r.at > r.end || memcmp(sum, r.end, DONE_SUM_BYTES) != 0;
	} else if (form != FORM_WITHOUT_SUM) {
		r.bad = true;
	}
	if (!get_outputs(&r, path, path_len, v))
		return bm_error_set_nomem(err);
	status = get_digests(c, &r, v, err);
	if (status == BM_OK && (r.bad || r.at != r.end))
		status =
			bm_error_set(err, BM_ERR_FORMAT, catalog_where(c, where),
		                     "the catalog is damaged: a record of what a job has done cannot be read; put "
		                     "back a copy, or move it away, then a new one is made and all files count as new");
	return status;
}

void done_view_fini(struct done_view *v)
{
	free(v->outputs);
	free(v->digests);
	bm_buf_fini(&v->paths);
	memset(v, 0, sizeof(*v));
}
