/*
 * Short requests: what is asked before and after an upload, and bodies that are in memory.
 */
#include "url_call.h"

#include <string.h>

#include "bm_error.h"

static size_t on_reply(char *data, size_t size, size_t count, void *arg)
{
	struct url_call *call = arg;
	size_t len = size * count, room = URL_REPLY_MOST - call->reply.len;

	call->last_ms = url_now_ms();
	bm_buf_put(&call->reply, data, len < room ? len : room);
	return len;
}

static size_t on_send(char *to, size_t size, size_t count, void *arg)
{
	struct url_call *call = arg;
	size_t n = size * count < call->left ? size * count : call->left;

	call->last_ms = url_now_ms();
	if (n > 0)
		memcpy(to, call->body, n);
	call->body += n;
	call->left -= n;
	return n;
}

/* A connection that was kept may be closed by the other side just when it is used again: libcurl then takes a new one, and
 * wants to begin at the start. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct url_call *call = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > call->all_len)
		return CURL_SEEKFUNC_FAIL;
	call->body = call->all + offset;
	call->left = call->all_len - (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static bool set_up(struct bm_url_client *c, const struct url_ask *ask, struct url_call *call)
{
	bool bad = false;

	if (!call->easy)
		call->easy = url_easy_create(c);
	curl_slist_free_all(call->headers);
	call->headers = NULL;
	if (!call->easy || !url_headers(c, true, ask->is_s3, &call->headers))
		return false;
	for (size_t i = 0; i < sizeof ask->headers / sizeof ask->headers[0] && ask->headers[i]; i++)
		if (!url_header_add(&call->headers, "%s", ask->headers[i]))
			return false;
	/* All of the body is here, and can be sent again: no need to ask for leave. */
	if (ask->has_body && !ask->is_s3 && !url_header_add(&call->headers, "Expect:"))
		return false;
	bad |= curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_reply) != CURLE_OK;
	bad |= curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call) != CURLE_OK;
	bad |= curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error) != CURLE_OK;
	bad |= curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) != CURLE_OK;
	if (strcmp(ask->method, "HEAD") == 0) {
		bad |= curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L) != CURLE_OK;
	} else {
		if (ask->has_body) {
			bad |= curl_easy_setopt(call->easy, CURLOPT_UPLOAD, 1L) != CURLE_OK;
			bad |= curl_easy_setopt(call->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)ask->body_len) !=
			       CURLE_OK;
			bad |= curl_easy_setopt(call->easy, CURLOPT_READFUNCTION, on_send) != CURLE_OK;
			bad |= curl_easy_setopt(call->easy, CURLOPT_READDATA, call) != CURLE_OK;
			bad |= curl_easy_setopt(call->easy, CURLOPT_SEEKFUNCTION, on_seek) != CURLE_OK;
			bad |= curl_easy_setopt(call->easy, CURLOPT_SEEKDATA, call) != CURLE_OK;
			bad |= curl_easy_setopt(call->easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10) != CURLE_OK;
		}
		bad |= curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, ask->method) != CURLE_OK;
	}
	return !bad && url_easy_aim(c, call->easy, ask->url, true, ask->is_s3);
}

/* One try: 0, or -1 and ECANCELED. */
static int try_once(struct bm_url_client *c, struct url_session *s, const struct url_ask *ask,
                    const struct bm_blocker *b, struct url_call *call)
{
	int running = 1, left, rc = 0;
	const uint64_t timeout_ms = ask->timeout_ms > 0 ? ask->timeout_ms : c->timeout_ms;

	bm_buf_reset(&call->reply);
	call->error[0] = '\0';
	call->status = 0;
	call->body = call->all = ask->body;
	call->left = call->all_len = ask->body_len;
	call->last_ms = url_now_ms();
	if (!set_up(c, ask, call) || curl_multi_add_handle(s->multi, call->easy) != CURLM_OK) {
		call->code = CURLE_OUT_OF_MEMORY;
		return 0;
	}
	call->code = CURLE_OPERATION_TIMEDOUT;
	while (rc == 0) {
		CURLMsg *m;
		bool is_done = false;

		if (curl_multi_perform(s->multi, &running) != CURLM_OK)
			break;
		while ((m = curl_multi_info_read(s->multi, &left)) != NULL) {
			if (m->msg == CURLMSG_DONE && m->easy_handle == call->easy) {
				call->code = m->data.result;
				is_done = true;
			}
		}
		if (is_done)
			break;
		if (timeout_ms > 0 && url_now_ms() >= call->last_ms + timeout_ms)
			break;
		rc = url_wait(s, timeout_ms > 0 && timeout_ms < 1000 ? timeout_ms : 1000, b);
	}
	call->status = url_reply_status(call->easy);
	(void)curl_multi_remove_handle(s->multi, call->easy);
	return rc;
}

enum bm_status url_call(struct bm_url_client *c, struct url_session *s, const struct url_ask *ask, const char *shown,
                        const struct bm_blocker *b, struct url_call *call, struct bm_error *err)
{
	unsigned tries = 0;

	memset(call, 0, sizeof *call);
	for (;;) {
		if (try_once(c, s, ask, b, call) != 0)
			return bm_io_refuse(err, BM_ERR_CANCELLED, shown, strlen(shown), "cancelled");
		if (call->code == CURLE_OUT_OF_MEMORY || call->reply.oom)
			return bm_error_set_nomem(err);
		bool may_pass =
			call->code == CURLE_OK ? url_status_may_pass(call->status) : url_code_may_pass(call->code);
		uint64_t ms = may_pass && tries < ask->retries ? url_retry_wait(call->easy, tries + 1) : UINT64_MAX;
		if (ms == UINT64_MAX || (ask->timeout_ms > 0 && ms > ask->timeout_ms))
			break;
		tries++;
		bm_io_block(b);
		int rc = bm_io_sleep(ms, b);
		bm_io_unblock(b);
		if (rc != 0)
			return bm_io_refuse(err, BM_ERR_CANCELLED, shown, strlen(shown), "cancelled");
	}
	return call->code == CURLE_OK ? BM_OK : url_call_fail(call, shown, ask->method, err);
}

void url_call_fini(struct url_call *call)
{
	if (call->easy)
		curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	bm_buf_fini(&call->reply);
	memset(call, 0, sizeof *call);
}

enum bm_status url_call_fail(const struct url_call *call, const char *shown, const char *what, struct bm_error *err)
{
	struct bm_buf text = {0};

	url_describe(&text, call->easy, call->code, call->status, call->error);
	enum bm_status status =
		text.oom ? bm_error_set_nomem(err)
			 : bm_io_refuse(err, BM_ERR_FAILED, shown, strlen(shown), "%s: %s", what, text.data);
	bm_buf_fini(&text);
	return status;
}
