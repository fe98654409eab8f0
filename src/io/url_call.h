/* url_call.h - private to src/io: one short request and its reply. */
#ifndef URL_CALL_H
#define URL_CALL_H

#include "url_private.h"

#define URL_REPLY_MOST ((size_t)256 << 10)

struct url_ask {
	const char *method;
	const char *url; /* resolved */
	bool is_s3;
	const char *headers[6]; /* "Name: value"; up to the first NULL */
	const void *body;       /* NULL: none */
	size_t body_len;
	bool has_body;
	unsigned retries;
	uint64_t timeout_ms; /* 0: as the client says; else no pause before a retry is longer, either */
};

struct url_call {
	CURL *easy;
	struct curl_slist *headers;
	struct bm_buf reply; /* its body, the first URL_REPLY_MOST bytes */
	long status;
	CURLcode code;
	char error[CURL_ERROR_SIZE];
	/* of the body that is sent */
	const uint8_t *all, *body;
	size_t all_len, left;
	uint64_t last_ms;
};

/* Asks, again where that may help. BM_OK: there is a reply, whatever it says (call->status); else shown is the URL of the
 * message. call is to be given to url_call_fini in any case. May sleep. */
enum bm_status url_call(struct bm_url_client *c, struct url_session *s, const struct url_ask *ask, const char *shown,
                        const struct bm_blocker *b, struct url_call *call, struct bm_error *err);
void url_call_fini(struct url_call *call);
/* "what: the server answered ..." */
enum bm_status url_call_fail(const struct url_call *call, const char *shown, const char *what, struct bm_error *err);

#endif
