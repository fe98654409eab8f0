/*
 * read_url.c - URLs as inputs of the step `read`.
 *
 * What is expected of a URL's bytes is compared by a serial stage of its own, before any step sees the last chunk: so
 * that nothing that was made of them takes its name where they are others. The size is compared earlier, by the fetch,
 * before anything is transferred where the server says it.
 */
#include "read_url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"
#include "http.h"
#include "step_internal.h"

struct read_urls {
	struct bm_url_item *items; /* of from (others than URLs are empty) and urls; texts borrowed */
	bool has_digests;
};

struct url_file { /* file->state[0] */
	struct bm_digest *digest[BM_URL_DIGESTS];
};

bool bm_read_is_url(const struct bm_read_params *p, size_t i)
{
	return !p->literal && bm_url_is(p->from.items[i]);
}

struct bm_url_item read_urls_wanted(const struct bm_read_url *u)
{
	return (struct bm_url_item){
		.url = u->url,
		.name = u->name,
		.digest =
			{
				[BM_URL_MD5] = u->md5,
				[BM_URL_SHA1] = u->sha1,
				[BM_URL_SHA256] = u->sha256,
				[BM_URL_SHA512] = u->sha512,
			},
		.has_size = u->size > 0,
		.size = u->size,
	};
}

static bool is_s3(const char *url)
{
	return bm_url_is(url) && (url[0] == 's' || url[0] == 'S');
}

/* s3: there are such URLs among those that the job names. */
static bool has_urls(const struct bm_read_params *p, bool *s3)
{
	bool any = p->urls.count > 0 || p->urls_from != NULL;

	*s3 = false;
	for (size_t i = 0; i < p->from.count; i++) {
		any = any || bm_read_is_url(p, i);
		*s3 = *s3 || (bm_read_is_url(p, i) && is_s3(p->from.items[i]));
	}
	for (size_t i = 0; i < p->urls.count; i++)
		*s3 = *s3 || is_s3(((const struct bm_read_url *)p->urls.items)[i].url);
	return any;
}

enum bm_status read_urls_load(struct bm_job_context *ctx, const struct bm_step *step, struct bm_error *err)
{
	const struct bm_read_params *p = &step->p.read;
	struct bm_url_options o = bm_http_options(ctx, &p->http);
	struct bm_url_client *c;
	enum bm_status status;

	if (!has_urls(p, &o.is_s3))
		return BM_OK;
	o.may_be_s3 = p->urls_from != NULL;
	o.connections = (unsigned)p->connections;
	status = bm_url_client_create(&o, &c, err);
	ctx->loaded[step->index] = c;
	return status;
}

void read_urls_unload(void *loaded)
{
	bm_url_client_destroy(loaded);
}

enum bm_status read_urls_prepare(struct bm_plan *plan, const struct bm_read_params *p, struct read_urls **out,
                                 struct bm_error *err)
{
	struct read_urls *u;
	bool s3;

	*out = NULL;
	if (!has_urls(p, &s3))
		return BM_OK;
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return bm_error_set_nomem(err);
	*out = u;
	u->items = bm_calloc_array(p->from.count + p->urls.count + 1, sizeof(*u->items));
	if (u->items == NULL)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < p->from.count; i++)
		if (bm_read_is_url(p, i))
			u->items[i].url = p->from.items[i];
	u->has_digests = p->urls_from != NULL;
	for (size_t i = 0; i < p->urls.count; i++) {
		struct bm_url_item *item = &u->items[p->from.count + i];

		*item = read_urls_wanted((const struct bm_read_url *)p->urls.items + i);
		for (size_t k = 0; k < BM_URL_DIGESTS; k++)
			u->has_digests = u->has_digests || item->digest[k] != NULL;
	}
	size_t ahead = bm_url_ahead_bytes((unsigned)p->connections, plan->ctx->ahead_bytes);
	plan->fixed_bytes += ahead;
	if (plan->ctx->loaded != NULL && plan->ctx->loaded[0] != NULL)
		bm_url_client_lend(plan->ctx->loaded[0], ahead);
	return BM_OK;
}

void read_urls_destroy(struct read_urls *u)
{
	if (u == NULL)
		return;
	free(u->items);
	free(u);
}

const struct bm_url_item *read_urls_item(const struct read_urls *u, size_t i)
{
	return &u->items[i];
}

/* ---- a file ---- */

enum bm_status read_urls_open(struct bm_file *f, const struct bm_blocker *b, struct bm_error *err)
{
	return bm_source_open_url(f->entry, f->ctx->loaded[0], b, &f->source, err);
}

void read_urls_close(struct bm_file *f)
{
	struct url_file *uf = f->state[0];

	if (uf == NULL)
		return;
	for (size_t i = 0; i < BM_URL_DIGESTS; i++)
		bm_digest_destroy(uf->digest[i]);
	free(uf);
	f->state[0] = NULL;
}

static enum bm_status make_digests(struct bm_file *f, struct bm_error *err)
{
	struct url_file *uf = calloc(1, sizeof(*uf));
	enum bm_status status = BM_OK;

	if (uf == NULL)
		return bm_error_set_nomem(err);
	f->state[0] = uf;
	for (size_t i = 0; i < BM_URL_DIGESTS && status == BM_OK; i++)
		if (f->entry->url->digest[i] != NULL)
			status = bm_digest_create(bm_digest_find(bm_url_digest_names[i]), &uf->digest[i], err);
	return status;
}

static enum bm_status compare(struct bm_file *f, size_t i, struct bm_error *err)
{
	struct url_file *uf = f->state[0];
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
	const char *want = f->entry->url->digest[i];
	struct bm_buf hex = {0};
	char shown[512];
	enum bm_status status = bm_digest_finish(uf->digest[i], bytes, err);

	if (status == BM_OK)
		bm_hex_put(&hex, bytes, bm_digest_find(bm_url_digest_names[i])->size_bytes);
	if (status == BM_OK && hex.oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK && strcasecmp(hex.data, want) != 0)
		status = bm_error_set(
			err, BM_ERR_MISMATCH,
			bm_escape_display_buf(shown, sizeof(shown), f->entry->display, f->entry->display_len),
			"has the %s %s, and %s was expected: nothing is kept of it", bm_url_digest_names[i], hex.data,
			want);
	bm_buf_fini(&hex);
	return status;
}

static enum bm_status digest_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct bm_file *f = stream;
	enum bm_status status = BM_OK;

	(void)arg;
	(void)w;
	if (f->entry->kind != BM_ENTRY_URL || f->skipped)
		return BM_OK;
	if (f->state[0] == NULL)
		status = make_digests(f, err);
	struct url_file *uf = f->state[0];
	for (size_t i = 0; i < BM_URL_DIGESTS && status == BM_OK; i++) {
		if (uf->digest[i] == NULL)
			continue;
		status = bm_digest_update(uf->digest[i], c->data, c->len, err);
		if (status == BM_OK && c->last)
			status = compare(f, i, err);
	}
	return status;
}

enum bm_status read_urls_stage(struct bm_plan *plan, struct read_urls *u, struct bm_error *err)
{
	return u->has_digests ? bm_plan_stage(plan, BM_STAGE_SERIAL, digest_run, u, err) : BM_OK;
}
