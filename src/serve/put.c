/*
 * put.c - PUT and POST of a file, the body of which is the file: into an upload (upload.h), with its digests.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bm_error.h"
#include "upload.h"

#define DROP_MOST ((uint64_t)64 << 20) /* of a body after it has failed: then the connection is cut */

/* ---- digests ---- */

bool upload_digests_begin(struct upload_digests *d, struct bm_error *err)
{
	for (size_t i = 0; i < d->count; i++)
		if (bm_digest_create(d->wanted[i].algorithm, &d->states[i], err) != BM_OK)
			return false;
	return true;
}

enum bm_status upload_digests_add(struct upload_digests *d, const char *data, size_t len, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < d->count && status == BM_OK; i++)
		status = bm_digest_update(d->states[i], data, len, err);
	return status;
}

enum bm_status upload_digests_check(struct upload_digests *d, struct bm_error *err)
{
	uint8_t found[BM_DIGEST_MAX_BYTES];

	for (size_t i = 0; i < d->count; i++) {
		const struct bm_digest_algorithm *a = d->wanted[i].algorithm;
		enum bm_status status = bm_digest_finish(d->states[i], found, err);

		if (status != BM_OK)
			return status;
		if (memcmp(found, d->wanted[i].bytes, a->size_bytes) != 0)
			return bm_error_set(err, BM_ERR_MISMATCH, NULL,
			                    "the %s of what came is not the one that was announced; nothing was stored",
			                    a->name);
	}
	return BM_OK;
}

void upload_digests_fini(struct upload_digests *d)
{
	for (size_t i = 0; i < d->count; i++)
		bm_digest_destroy(d->states[i]);
	memset(d, 0, sizeof(*d));
}

/* ---- the route ---- */

struct put {
	struct upload *upload;
	struct upload_digests digests;
	uint64_t bytes, dropped;
	bool has_ended;
};

static void put_done(void *state, bool good)
{
	struct put *p = state;

	(void)good;
	serve_upload_drop(p->upload);
	upload_digests_fini(&p->digests);
	free(p);
}

/* Nothing is decoded here, so that both fields are of the same bytes. */
static bool take_digests(struct serve_request *r, struct upload_digests *d)
{
	static const char *const fields[] = {"Content-Digest", "Repr-Digest"};
	struct bm_error err = BM_ERROR_INIT;
	const char *text;

	for (size_t i = 0; i < 2; i++) {
		text = serve_header(r, fields[i]);
		if (text != NULL && !http_digests_parse(text, d->wanted, &d->count)) {
			serve_problem(r, 400, "%s is not as RFC 9530 has it, such as sha-256=:BASE64:", fields[i]);
			return false;
		}
	}
	text = serve_header(r, "Content-MD5");
	if (text != NULL && (d->count >= HTTP_DIGESTS_MAX || !http_content_md5_parse(text, &d->wanted[d->count]))) {
		serve_problem(r, 400, "Content-MD5 is not the base64 of 16 bytes");
		return false;
	}
	d->count += text != NULL;
	if (upload_digests_begin(d, &err))
		return true;
	serve_problem_error(r, &err);
	return false;
}

/* Is something asked for that would be lost if it were passed over in silence? True: replied. */
static bool wants_more(struct serve_request *r)
{
	const char *none_match = serve_header(r, "If-None-Match"), *coding = serve_header(r, "Content-Encoding");

	if (serve_header(r, "Content-Range") != NULL) {
		serve_problem(r, 400, "parts of a file are not taken with Content-Range; resumable uploads go by tus");
	} else if (serve_header(r, "If-Match") != NULL || serve_header(r, "If-Unmodified-Since") != NULL ||
	           (none_match != NULL && strcmp(none_match, "*") != 0)) {
		serve_problem(r, 501, "of conditions for a file that is sent only \"If-None-Match: *\" is kept");
	} else if (coding != NULL && strcasecmp(coding, "identity") != 0) {
		serve_problem(r, 415, "the body is stored as it comes: send it without Content-Encoding");
	}
	return r->is_replied;
}

void serve_upload_begin(struct serve_request *r)
{
	const char *length = serve_header(r, "Content-Length");
	struct bm_buf job = {0};
	bool has_job = serve_query(r, "job", &job);
	uint64_t bytes = 0, most = r->srv->opt.max_upload_bytes;
	struct put *p = NULL;

	if (r->is_replied || wants_more(r))
		goto out;
	if (length != NULL && http_number(length, &bytes) && most > 0 && bytes > most) {
		serve_problem(r, 413, "the file is too large; allowed: %" PRIu64 " bytes", most);
		goto out;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		serve_problem(r, 503, "out of memory");
		goto out;
	}
	r->state = p;
	r->state_done = put_done;
	if (take_digests(r, &p->digests))
		p->upload = serve_upload_create(r, r->tail.data, r->tail.len, has_job ? job.data : NULL);
	if (p->upload != NULL && !serve_upload_start(r, p->upload, NULL)) {
		serve_upload_drop(p->upload);
		p->upload = NULL;
	}
out:
	bm_buf_fini(&job);
}

void serve_upload_data(struct serve_request *r, const char *data, size_t *len)
{
	struct put *p = r->state;
	uint64_t most = r->srv->opt.max_upload_bytes;
	struct bm_error err = BM_ERROR_INIT;

	while (*len > 0) {
		size_t n = serve_upload_put(p->upload, data, *len);

		if (n == 0)
			return; /* suspended */
		if (upload_digests_add(&p->digests, data, n, &err) != BM_OK)
			serve_upload_finish(p->upload, &err);
		serve_count(r->srv, SERVE_COUNT_UPLOAD_BYTES, n);
		p->bytes += n;
		data += n;
		*len -= n;
		if (most == 0 || p->bytes <= most)
			continue;
		if (p->dropped == 0) {
			(void)bm_error_set(&err, BM_ERR_LIMIT, NULL,
			                   "the file is too large; allowed: %" PRIu64 " bytes", most);
			serve_upload_finish(p->upload, &err);
		}
		p->dropped += n;
		r->is_cut = p->dropped > DROP_MOST;
	}
}

void serve_upload_end(struct serve_request *r)
{
	struct put *p = r->state;
	struct bm_error err = BM_ERROR_INIT;

	if (!p->has_ended) {
		p->has_ended = true;
		serve_upload_finish(p->upload, upload_digests_check(&p->digests, &err) == BM_OK ? NULL : &err);
	}
	if (serve_upload_wait(p->upload))
		serve_upload_reply(r, p->upload);
}
