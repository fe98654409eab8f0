/*
 * What a server's reply means: whether to try again and when, where it sends us, what to say.
 *
 * Redirects are followed by ourselves and not by libcurl, since it is for us to say what goes along: nothing of the
 * user's credentials leaves the scheme, host and port that he named, not only what libcurl knows to be credentials; and
 * nothing goes from https to http.
 */
#include <errno.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "url_private.h"

uint64_t url_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *url_reply_header(CURL *easy, const char *name)
{
	struct curl_header *h;
	return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

long url_reply_status(CURL *easy)
{
	long status = 0;
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

bool url_code_may_pass(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return true;
	default:
		return false;
	}
}

bool url_status_may_pass(long status)
{
	return status == 408 || status == 425 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

uint64_t url_retry_wait(CURL *easy, unsigned tries)
{
	uint64_t ms = URL_RETRY_FIRST_MS;
	curl_off_t asked = 0;
	for (unsigned i = 1; i < tries && ms < URL_RETRY_MOST_MS; i++)
		ms *= 2;
	if (ms > URL_RETRY_MOST_MS)
		ms = URL_RETRY_MOST_MS;
	if (easy && url_reply_header(easy, "Retry-After") &&
	    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &asked) == CURLE_OK && asked > 0) {
		if (asked > URL_RETRY_AFTER_MOST_S)
			return UINT64_MAX;
		if ((uint64_t)asked * 1000 > ms)
			ms = (uint64_t)asked * 1000;
	}
	return ms;
}

/* Of those that a user may come to see. */
static const char *reason(long status)
{
	static const struct {
		long status;
		const char *text;
	} rows[] = {
		{400, "Bad Request"},
		{401, "Unauthorized: are there credentials for this host in the netrc or header file?"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{416, "Range Not Satisfiable"},
		{423, "Locked"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{507, "Insufficient Storage"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].status == status)
			return rows[i].text;
	return NULL;
}

void url_describe(struct bm_buf *out, CURL *easy, CURLcode code, long status, const char *detail)
{
	if (code == CURLE_OK || (status >= 400 && code == CURLE_WRITE_ERROR)) {
		const char *text = reason(status);
		bm_buf_printf(out, "the server answered %ld", status);
		if (text)
			bm_buf_printf(out, " (%s)", text);
		const char *after = easy ? url_reply_header(easy, "Retry-After") : NULL;
		if (after) {
			char shown[64];
			bm_buf_printf(out, ", Retry-After: %s",
			              bm_escape_display_buf(shown, sizeof shown, after, strlen(after)));
		}
		return;
	}
	bm_buf_puts(out, detail && detail[0] ? detail : curl_easy_strerror(code));
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		bm_buf_puts(out, " (an authority of your own is named with \"ca_file\")");
}

enum bm_status url_redirect(CURL *easy, long status, const char *from, char **to, struct bm_error *err)
{
	char *target = NULL;
	struct url_parts a, b;
	struct bm_buf shown = {0};

	*to = NULL;
	if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
		return BM_OK;
	if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &target) != CURLE_OK || !target)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "the server answered %ld and does not say where to go",
		                    status);
	bm_url_redact(&shown, target, strlen(target));
	char text[300];
	bm_escape_display_buf(text, sizeof text, shown.oom ? "" : shown.data, shown.oom ? 0 : shown.len);
	bm_buf_fini(&shown);
	if (!url_split(target, strlen(target), &b) || b.is_s3)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "the server sends us to %s, which is neither http nor https", text);
	if (url_split(from, strlen(from), &a) && a.is_tls && !b.is_tls)
		return bm_error_set(
			err, BM_ERR_USAGE, NULL,
			"the server sends us from https to http (%s), where anybody could change the bytes: not "
			"followed",
			text);
	*to = bm_memdup0(target, strlen(target));
	return *to ? BM_OK : bm_error_set_nomem(err);
}

int url_wait(struct url_session *s, uint64_t ms, const struct bm_blocker *b)
{
	struct curl_waitfd cancel = {.fd = b && b->cancel_fd > 0 ? b->cancel_fd : -1, .events = CURL_WAIT_POLLIN};
	bool has_cancel = cancel.fd >= 0;
	int n = 0;

	bm_io_block(b);
	CURLMcode code = curl_multi_poll(s->multi, &cancel, has_cancel, ms < 1000 ? (int)ms : 1000, &n);
	bm_io_unblock(b);
	if (code == CURLM_OK && has_cancel && (cancel.revents & CURL_WAIT_POLLIN)) {
		errno = ECANCELED;
		return -1;
	}
	return 0;
}
