/*
 * An object of S3: one PUT where all of it fits into one part, else a multipart upload (create, parts, complete; abort
 * when it comes to nothing, or the parts would be kept, and paid for, without an object).
 *
 * S3 wants to know length and digest of a part before it comes, so each part is put together in memory: one buffer a
 * sink, BM_URL_PART_BYTES, which the run reckons with. That it is there until the server has taken it is what allows a
 * part to be sent again. The object appears when the upload is completed, never half, so there is no temp name.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "url_sink.h"

#define PARTS_MOST 10000 /* S3's limit */
#define FIRST_BYTES ((size_t)64 << 10)

struct url_upload {
	uint8_t *part;
	size_t len, cap;
	char *id; /* percent-encoded; NULL: not begun */
	unsigned number;
	struct bm_buf list; /* the parts, as "complete" wants them */
};

static enum bm_status ensure(struct bm_url_sink *s, struct bm_error *err)
{
	if (!s->upload)
		s->upload = calloc(1, sizeof *s->upload);
	return s->upload ? BM_OK : bm_error_set_nomem(err);
}

/* A signed request about the object; query may be NULL. */
static enum bm_status ask_s3(struct bm_url_sink *s, const char *method, const char *query, const void *body, size_t len,
                             const char *header, const struct bm_blocker *b, struct url_call *call,
                             struct bm_error *err)
{
	struct bm_buf url = {0}, digest = {0};
	uint8_t bytes[SHA256_DIGEST_LENGTH];
	struct url_ask ask = {.method = method,
	                      .is_s3 = true,
	                      .body = body,
	                      .body_len = len,
	                      .has_body = body,
	                      .retries = s->c->retries};

	memset(call, 0, sizeof *call);
	bm_buf_puts(&url, s->target);
	if (query)
		bm_buf_printf(&url, "?%s", query);
	bm_buf_puts(&digest, "x-amz-content-sha256: ");
	(void)SHA256(body ? body : (const void *)"", len, bytes);
	bm_hex_put(&digest, bytes, sizeof bytes);
	enum bm_status status = url.oom || digest.oom ? bm_error_set_nomem(err) : BM_OK;
	if (status == BM_OK) {
		ask.url = url.data;
		ask.headers[0] = digest.data;
		ask.headers[1] = header;
		status = url_sink_call(s, &ask, b, call, err);
	}
	bm_buf_fini(&url);
	bm_buf_fini(&digest);
	return status;
}

static bool is_good(const struct url_call *call)
{
	return call->status >= 200 && call->status < 300;
}

/* What stands between <name> and </name>, or NULL; *len bytes. */
static const char *element(const struct bm_buf *xml, const char *name, size_t *len)
{
	char open[64], close[64];
	if (!xml->data)
		return NULL;
	(void)snprintf(open, sizeof open, "<%s>", name);
	(void)snprintf(close, sizeof close, "</%s>", name);
	const char *from = strstr(xml->data, open);
	const char *to = from ? strstr(from, close) : NULL;
	if (!to)
		return NULL;
	from += strlen(open);
	*len = (size_t)(to - from);
	return from;
}

static enum bm_status create(struct bm_url_sink *s, const struct bm_blocker *b, struct bm_error *err)
{
	struct url_call call;
	struct bm_buf id = {0};
	const char *text;
	size_t len;
	enum bm_status status = ask_s3(s, "POST", "uploads=", "", 0, NULL, b, &call, err);

	if (status == BM_OK && !is_good(&call))
		status = url_call_fail(&call, s->shown, "cannot begin an upload", err);
	if (status == BM_OK) {
		text = element(&call.reply, "UploadId", &len);
		if (text)
			url_put_query(&id, text, len);
		if (!text || id.len == 0)
			status = bm_io_refuse(err, BM_ERR_FAILED, s->shown, strlen(s->shown),
			                      "cannot begin an upload: the server's answer has no UploadId");
		else if (id.oom)
			status = bm_error_set_nomem(err);
		else
			s->upload->id = bm_buf_take(&id);
	}
	bm_buf_fini(&id);
	url_call_fini(&call);
	return status;
}

static enum bm_status put_part(struct bm_url_sink *s, const struct bm_blocker *b, struct bm_error *err)
{
	struct url_upload *u = s->upload;
	struct bm_buf query = {0};
	struct url_call call = {0};
	enum bm_status status = u->id ? BM_OK : create(s, b, err);

	if (status != BM_OK)
		return status;
	if (u->number == PARTS_MOST)
		return bm_io_refuse(err, BM_ERR_LIMIT, s->shown, strlen(s->shown),
		                    "is too large: an upload has %d parts of 8 MiB at the most", PARTS_MOST);
	u->number++;
	bm_buf_printf(&query, "partNumber=%u&uploadId=%s", u->number, u->id);
	status = query.oom ? bm_error_set_nomem(err)
	                   : ask_s3(s, "PUT", query.data, u->part, u->len, NULL, b, &call, err);
	bm_buf_fini(&query);
	if (status == BM_OK) {
		const char *etag = url_reply_header(call.easy, "ETag");
		if (!is_good(&call) || !etag || strpbrk(etag, "<>&"))
			status = url_call_fail(&call, s->shown, "cannot put a part", err);
		else
			bm_buf_printf(&u->list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", u->number,
			              etag);
	}
	url_call_fini(&call);
	u->len = 0;
	return status;
}

enum bm_status url_upload_write(struct bm_url_sink *s, const uint8_t *data, size_t len, const struct bm_blocker *b,
                                struct bm_error *err)
{
	enum bm_status status = ensure(s, err);

	while (status == BM_OK && len > 0) {
		struct url_upload *u = s->upload;
		if (u->len == BM_URL_PART_BYTES) {
			status = put_part(s, b, err);
			continue;
		}
		if (u->len == u->cap) {
			size_t cap = u->cap ? u->cap * 2 : FIRST_BYTES;
			uint8_t *more = realloc(u->part, cap);
			if (!more)
				return bm_error_set_nomem(err);
			u->part = more;
			u->cap = cap;
		}
		size_t n = u->cap - u->len < len ? u->cap - u->len : len;
		memcpy(u->part + u->len, data, n);
		u->len += n;
		data += n;
		len -= n;
	}
	return status;
}

static enum bm_status complete(struct bm_url_sink *s, const char *condition, const struct bm_blocker *b, bool *skipped,
                               struct bm_error *err)
{
	struct url_upload *u = s->upload;
	struct bm_buf query = {0}, body = {0};
	struct url_call call = {0};
	size_t len;

	bm_buf_printf(&query, "uploadId=%s", u->id);
	bm_buf_puts(&body, "<CompleteMultipartUpload>");
	bm_buf_put(&body, u->list.data, u->list.len);
	bm_buf_puts(&body, "</CompleteMultipartUpload>");
	enum bm_status status = query.oom || body.oom || u->list.oom
	                                ? bm_error_set_nomem(err)
	                                : ask_s3(s, "POST", query.data, body.data, body.len, condition, b, &call, err);
	if (status == BM_OK && call.status == 412 && condition)
		status = url_sink_exists(s, skipped, err);
	else if (status == BM_OK && !is_good(&call))
		status = url_call_fail(&call, s->shown, "cannot complete the upload", err);
	else if (status == BM_OK && element(&call.reply, "Code", &len)) /* an error may come with 200 */
		status = bm_io_refuse(err, BM_ERR_FAILED, s->shown, strlen(s->shown),
		                      "cannot complete the upload: the server says %.*s", (int)(len < 60 ? len : 60),
		                      element(&call.reply, "Code", &len));
	if (status == BM_OK && !*skipped) { /* it is an object now: nothing to abort */
		free(u->id);
		u->id = NULL;
	}
	url_call_fini(&call);
	bm_buf_fini(&query);
	bm_buf_fini(&body);
	return status;
}

static void fini(struct bm_url_sink *s)
{
	struct url_upload *u = s->upload;
	if (!u)
		return;
	free(u->part);
	free(u->id);
	bm_buf_fini(&u->list);
	free(u);
	s->upload = NULL;
}

enum bm_status url_upload_commit(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped, struct bm_error *err)
{
	const char *condition = s->if_exists == BM_EXISTS_REPLACE ? NULL : "If-None-Match: *";
	enum bm_status status = ensure(s, err);

	if (status != BM_OK)
		return status;
	if (s->upload->id) {
		if (s->upload->len > 0)
			status = put_part(s, b, err);
		if (status == BM_OK)
			status = complete(s, condition, b, skipped, err);
		if (status == BM_OK && *skipped)
			url_upload_abort(s, b);
	} else {
		struct url_call call;
		const void *body = s->upload->part ? (const void *)s->upload->part : "";
		status = ask_s3(s, "PUT", NULL, body, s->upload->len, condition, b, &call, err);
		if (status == BM_OK && call.status == 412 && condition)
			status = url_sink_exists(s, skipped, err);
		else if (status == BM_OK && !is_good(&call))
			status = url_call_fail(&call, s->shown, "cannot put", err);
		url_call_fini(&call);
	}
	if (status == BM_OK)
		fini(s);
	return status;
}

void url_upload_abort(struct bm_url_sink *s, const struct bm_blocker *b)
{
	struct bm_buf url = {0};
	struct url_call call;
	struct bm_error ignored = BM_ERROR_INIT;
	struct bm_blocker calm = b ? *b : (struct bm_blocker){0};
	struct url_ask ask = {.method = "DELETE",
	                      .is_s3 = true,
	                      .headers = {"x-amz-content-sha256: " URL_NO_BODY_SHA256},
	                      .retries = 2,
	                      .timeout_ms = URL_ABORT_MS};

	calm.cancel_fd = 0;
	if (s->upload && s->upload->id) {
		bm_buf_printf(&url, "%s?uploadId=%s", s->target, s->upload->id);
		ask.url = url.data;
		if (!url.oom) {
			(void)url_call(s->c, s->session, &ask, s->shown, &calm, &call, &ignored);
			url_call_fini(&call);
		}
		bm_buf_fini(&url);
	}
	fini(s);
}
