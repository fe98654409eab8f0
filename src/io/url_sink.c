/*
 * An output at a URL: one PUT.
 *
 * The engine pushes chunks and libcurl pulls: its read function is fed from the chunk that is just being written, and
 * pauses the transfer where that is used up, so that nothing is copied or kept. What is no longer than SINK_HOLD_MOST is
 * kept until commit and sent with its length (many servers want one), and again where that failed; what is longer goes as
 * chunked, and the chunk that ends it is sent by commit: before that no server can take it for complete.
 */
#include "url_sink.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"

enum bm_status url_sink_call(struct bm_url_sink *s, const struct url_ask *ask, const struct bm_blocker *b,
                             struct url_call *call, struct bm_error *err)
{
	return url_call(s->c, s->session, ask, s->shown, b, call, err);
}

enum bm_status url_sink_exists(struct bm_url_sink *s, bool *skipped, struct bm_error *err)
{
	if (s->if_exists == BM_EXISTS_SKIP) {
		*skipped = true;
		return BM_OK;
	}
	return bm_io_refuse(err, BM_ERR_EXISTS, s->shown, strlen(s->shown),
	                    "exists already; remove it, or let the step say \"if_exists\": \"replace\"");
}

static void sink_free(struct bm_url_sink *s)
{
	if (s->easy) {
		if (s->is_streaming && !s->is_over)
			(void)curl_multi_remove_handle(s->session->multi, s->easy);
		curl_easy_cleanup(s->easy);
	}
	curl_slist_free_all(s->headers);
	url_session_give(s->c, s->session);
	free(s->target);
	free(s->shown);
	free(s->temp);
	bm_buf_fini(&s->hold);
	free(s);
}

/* Is it there? Only where that is of interest. */
static enum bm_status look(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped, struct bm_error *err)
{
	struct url_ask ask = {.method = "HEAD", .url = s->target, .is_s3 = s->is_s3, .retries = s->c->retries};
	struct url_call call;

	if (s->if_exists == BM_EXISTS_REPLACE)
		return BM_OK;
	if (s->is_s3)
		ask.headers[0] = "x-amz-content-sha256: " URL_NO_BODY_SHA256;
	enum bm_status status = url_sink_call(s, &ask, b, &call, err);
	if (status == BM_OK && call.status >= 200 && call.status < 300)
		status = url_sink_exists(s, skipped, err);
	else if (status == BM_OK && call.status != 404 && call.status != 410)
		status = url_call_fail(&call, s->shown, "cannot tell whether it exists", err);
	url_call_fini(&call);
	return status;
}

static bool name_temp(struct bm_url_sink *s, const char *run_id)
{
	static atomic_uint_fast64_t numbers; /* run ids are unique, and one run may have several clients */
	struct bm_buf b = {0};
	const char *last = strrchr(s->target, '/');

	bm_buf_put(&b, s->target, (size_t)(last + 1 - s->target));
	bm_buf_puts(&b, BM_TEMP_PREFIX);
	bm_url_put_encoded(&b, run_id, strlen(run_id));
	bm_buf_printf(&b, "-%" PRIuFAST64 ".tmp", atomic_fetch_add(&numbers, 1));
	s->temp = bm_buf_take(&b);
	return s->temp != NULL;
}

enum bm_status bm_url_sink_open(struct bm_url_client *c, const char *url, enum bm_if_exists if_exists,
                                const char *run_id, const struct bm_blocker *b, struct bm_url_sink **out, bool *skipped,
                                struct bm_error *err)
{
	struct bm_url_sink *s = calloc(1, sizeof *s);
	struct bm_buf shown = {0};
	bool is_dav = false;
	enum bm_status status = BM_OK;

	*out = NULL;
	*skipped = false;
	if (!s)
		return bm_error_set_nomem(err);
	s->c = c;
	s->if_exists = if_exists;
	s->is_s3 = url[0] == 's' || url[0] == 'S';
	s->target = url_resolve(c, url);
	bm_url_redact(&shown, url, strlen(url));
	s->shown = bm_buf_take(&shown);
	s->session = url_session_take(c);
	if (!s->target || !s->shown || !s->session)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = look(s, b, skipped, err);
	if (status == BM_OK && !*skipped && !s->is_s3)
		status = url_dav_prepare(s, b, &is_dav, err);
	if (status == BM_OK && is_dav && !name_temp(s, run_id))
		status = bm_error_set_nomem(err);
	if (status == BM_OK && !*skipped)
		*out = s;
	else
		sink_free(s);
	return status;
}

/* ---- streaming ---- */

static size_t on_pull(char *to, size_t size, size_t count, void *arg)
{
	struct bm_url_sink *s = arg;
	size_t n = size * count < s->feed_len ? size * count : s->feed_len;

	s->last_ms = url_now_ms();
	if (n == 0 && !s->is_last) {
		s->is_paused = true;
		return CURL_READFUNC_PAUSE;
	}
	if (n > 0)
		memcpy(to, s->feed, n);
	s->feed += n;
	s->feed_len -= n;
	return n;
}

static size_t on_page(char *data, size_t size, size_t count, void *arg)
{
	struct bm_url_sink *s = arg;
	(void)data;
	s->last_ms = url_now_ms();
	return size * count;
}

static enum bm_status begin(struct bm_url_sink *s, struct bm_error *err)
{
	bool bad = false;

	s->easy = url_easy_create(s->c);
	if (!s->easy || !url_headers(s->c, true, false, &s->headers))
		return bm_error_set_nomem(err);
	if (!s->temp && s->if_exists != BM_EXISTS_REPLACE && !url_header_add(&s->headers, "If-None-Match: *"))
		return bm_error_set_nomem(err);
	bad |= curl_easy_setopt(s->easy, CURLOPT_UPLOAD, 1L) != CURLE_OK;
	/* A connection that was kept may be closed by the server just now, and what is gone cannot be sent again. */
	bad |= curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_READFUNCTION, on_pull) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_READDATA, s) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_page) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10) != CURLE_OK;
	bad |= !url_easy_aim(s->c, s->easy, s->temp ? s->temp : s->target, true, false);
	if (bad || curl_multi_add_handle(s->session->multi, s->easy) != CURLM_OK)
		return bm_error_set_nomem(err);
	s->is_streaming = true;
	return BM_OK;
}

static enum bm_status stream_error(struct bm_url_sink *s, struct bm_error *err)
{
	struct bm_buf text = {0};

	url_describe(&text, s->easy, s->code, url_reply_status(s->easy), s->error);
	enum bm_status status =
		text.oom ? bm_error_set_nomem(err)
			 : bm_io_refuse(err, BM_ERR_FAILED, s->shown, strlen(s->shown), "cannot put: %s", text.data);
	bm_buf_fini(&text);
	return status;
}

/* Until the feed is used up; with is_last until the server has answered. */
static enum bm_status pump(struct bm_url_sink *s, const struct bm_blocker *b, struct bm_error *err)
{
	s->last_ms = url_now_ms();
	if (s->is_paused) {
		s->is_paused = false;
		(void)curl_easy_pause(s->easy, CURLPAUSE_CONT);
	}
	for (;;) {
		int running, left;
		CURLMsg *m;

		if (curl_multi_perform(s->session->multi, &running) != CURLM_OK)
			return bm_io_refuse(err, BM_ERR_FAILED, s->shown, strlen(s->shown),
			                    "cannot put: libcurl failed");
		while ((m = curl_multi_info_read(s->session->multi, &left)) != NULL) {
			if (m->msg == CURLMSG_DONE && m->easy_handle == s->easy) {
				s->code = m->data.result;
				s->is_over = true;
			}
		}
		if (s->is_over) {
			(void)curl_multi_remove_handle(s->session->multi, s->easy);
			return BM_OK;
		}
		if (s->feed_len == 0 && !s->is_last)
			return BM_OK;
		if (s->c->timeout_ms > 0 && url_now_ms() >= s->last_ms + s->c->timeout_ms)
			return bm_io_refuse(err, BM_ERR_FAILED, s->shown, strlen(s->shown),
			                    "cannot put: the server took no byte for %g s",
			                    (double)s->c->timeout_ms / 1000);
		if (url_wait(s->session, 1000, b) != 0)
			return bm_io_refuse(err, BM_ERR_CANCELLED, s->shown, strlen(s->shown), "cancelled");
	}
}

static enum bm_status feed(struct bm_url_sink *s, const void *data, size_t len, const struct bm_blocker *b,
                           struct bm_error *err)
{
	s->feed = data;
	s->feed_len = len;
	enum bm_status status = len > 0 ? pump(s, b, err) : BM_OK;
	s->feed = NULL;
	/* An answer before all was sent is none that we want. */
	if (status == BM_OK && s->is_over)
		status = stream_error(s, err);
	return status;
}

enum bm_status bm_url_sink_write(struct bm_url_sink *s, const void *data, size_t len, const struct bm_blocker *b,
                                 struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (s->is_s3)
		return url_upload_write(s, data, len, b, err);
	if (!s->is_streaming && s->hold.len + len <= SINK_HOLD_MOST) {
		bm_buf_put(&s->hold, data, len);
		return s->hold.oom ? bm_error_set_nomem(err) : BM_OK;
	}
	if (s->is_over)
		return stream_error(s, err);
	if (!s->is_streaming) {
		status = begin(s, err);
		if (status == BM_OK)
			status = feed(s, s->hold.data, s->hold.len, b, err);
		bm_buf_fini(&s->hold);
	}
	return status == BM_OK ? feed(s, data, len, b, err) : status;
}

/* ---- the end ---- */

static enum bm_status put_answer(struct bm_url_sink *s, long answer, bool *skipped, struct bm_error *err)
{
	if (answer == 412 && !s->temp && s->if_exists != BM_EXISTS_REPLACE)
		return url_sink_exists(s, skipped, err);
	return answer >= 200 && answer < 300 ? BM_OK : BM_ERR_FAILED;
}

static enum bm_status finish_stream(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped,
                                    struct bm_error *err)
{
	s->is_last = true;
	enum bm_status status = s->is_over ? BM_OK : pump(s, b, err);
	if (status != BM_OK)
		return status;
	status = s->code == CURLE_OK ? put_answer(s, url_reply_status(s->easy), skipped, err) : BM_ERR_FAILED;
	return status == BM_ERR_FAILED ? stream_error(s, err) : status;
}

static enum bm_status put_hold(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped, struct bm_error *err)
{
	struct url_ask ask = {
		.method = "PUT",
		.url = s->temp ? s->temp : s->target,
		.has_body = true,
		.body = s->hold.data ? s->hold.data : "",
		.body_len = s->hold.len,
		.retries = s->c->retries,
	};
	struct url_call call;

	if (!s->temp && s->if_exists != BM_EXISTS_REPLACE)
		ask.headers[0] = "If-None-Match: *";
	enum bm_status status = url_sink_call(s, &ask, b, &call, err);
	if (status == BM_OK)
		status = put_answer(s, call.status, skipped, err);
	if (status == BM_ERR_FAILED && call.code == CURLE_OK)
		status = url_call_fail(&call, s->shown, "cannot put", err);
	url_call_fini(&call);
	return status;
}

/* The temp of an upload that came to nothing. Neither an answer nor a cancel is waited for long. */
static void remove_temp(struct bm_url_sink *s, const struct bm_blocker *b)
{
	struct url_ask ask = {.method = "DELETE", .url = s->temp, .retries = 2, .timeout_ms = URL_ABORT_MS};
	struct bm_blocker calm = b ? *b : (struct bm_blocker){0};
	struct url_call call;
	struct bm_error ignored = BM_ERROR_INIT;

	calm.cancel_fd = 0;
	(void)url_call(s->c, s->session, &ask, s->shown, &calm, &call, &ignored);
	url_call_fini(&call);
}

enum bm_status bm_url_sink_commit(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped,
                                  struct bm_error *err)
{
	enum bm_status status;

	*skipped = false;
	if (s->is_s3) {
		status = url_upload_commit(s, b, skipped, err);
		if (status != BM_OK)
			url_upload_abort(s, b);
		sink_free(s);
		return status;
	}
	status = s->is_streaming ? finish_stream(s, b, skipped, err) : put_hold(s, b, skipped, err);
	if (status == BM_OK && s->temp)
		status = url_dav_move(s, b, skipped, err);
	if ((status != BM_OK || *skipped) && s->temp)
		remove_temp(s, b);
	sink_free(s);
	return status;
}

void bm_url_sink_abort(struct bm_url_sink *s, const struct bm_blocker *b)
{
	if (!s)
		return;
	if (s->is_s3)
		url_upload_abort(s, b);
	if (s->is_streaming && !s->is_over) {
		(void)curl_multi_remove_handle(s->session->multi, s->easy);
		s->is_over = true;
	}
	if (s->is_streaming && s->temp)
		remove_temp(s, b);
	sink_free(s);
}
