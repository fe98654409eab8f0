/*
 * url_private.h - what the url_*.c files share that speak HTTP. Only they include libcurl.
 *
 * One thread at a time per session, fetch and upload; a client is used by all threads of its job.
 */
#ifndef URL_PRIVATE_H
#define URL_PRIVATE_H

#include <pthread.h>
#include <time.h>

#include "bm_url.h"
#include "io_sys.h"
#include "url_curl.h"
#include "url_text.h"

#define URL_CONNECT_MS 30000   /* at the most */
#define URL_ABORT_MS 5000      /* what it may cost to clean up on a server that is slow or gone */
#define URL_RETRY_FIRST_MS 100 /* then twice as long each time */
#define URL_RETRY_MOST_MS 10000
#define URL_RETRY_AFTER_MOST_S 600 /* a server that wants more is not waited for */
#define URL_MAX_REDIRECTS 10
#define URL_NO_BODY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define URL_RANGE_MOST ((size_t)8 << 20)
#define URL_RANGE_LEAST ((size_t)256 << 10)

/* Connections that stay open from one transfer to the next. */
struct url_session {
	CURLM *multi;
	struct url_session *next; /* under the client's lock */
};

struct url_places; /* url_sink.h */

struct url_buffer {              /* of a range */
	struct url_buffer *next; /* under the client's lock */
	uint8_t data[];
};

struct bm_url_client {
	/* Immutable after its creation. */
	unsigned connections, retries;
	uint64_t timeout_ms;
	char *proxy, *ca_file, *netrc;
	char **headers; /* "Name: value" */
	size_t header_count;
	char *s3_endpoint, *s3_region, *s3_key, *s3_secret, *s3_token;
	char *s3_fault;     /* why there is no s3, where a list may ask for it; else NULL */
	size_t range_bytes; /* of one buffer; 0: none is lent */
	size_t buffer_count;

	struct url_places *places; /* with a lock of its own */

	pthread_mutex_t lock; /* for all below */
	struct url_session *idle;
	unsigned idle_count;
	struct url_buffer *free_buffers;
	size_t made, taken; /* buffers */
};

/* ---- url_client.c; any thread ---- */

/* A session that nobody else uses; NULL: no memory. */
struct url_session *url_session_take(struct bm_url_client *c);
void url_session_give(struct bm_url_client *c, struct url_session *s); /* no transfer is attached to it */
/* A buffer of c->range_bytes, or NULL where none is left. */
struct url_buffer *url_buffer_take(struct bm_url_client *c);
void url_buffer_give(struct bm_url_client *c, struct url_buffer *b);
/* What every transfer has: time-outs, TLS, proxy. NULL: no memory. */
CURL *url_easy_create(const struct bm_url_client *c);
/* Where it goes. trusted: it is the place that the user named, which may have the credentials. Signs for s3 where
 * is_s3. false: no memory, or libcurl takes no such URL. */
bool url_easy_aim(const struct bm_url_client *c, CURL *easy, const char *url, bool trusted, bool is_s3);
/* The headers of every request, and of those for the place that the user named. false: no memory; *list is freed then. */
bool url_headers(const struct bm_url_client *c, bool trusted, bool is_s3, struct curl_slist **list);
bool url_header_add(struct curl_slist **list, const char *fmt, ...) BM_PRINTF(2, 3);
/* The http(s) URL that an s3:// URL stands for; other URLs as they are sent. malloc'd; NULL: no memory. */
char *url_resolve(const struct bm_url_client *c, const char *url);

/* ---- url_reply.c; any thread ---- */

uint64_t url_now_ms(void);
/* A header of the last reply, or NULL; valid until the next request. */
const char *url_reply_header(CURL *easy, const char *name);
long url_reply_status(CURL *easy);
/* May the same request go well a little later? */
bool url_code_may_pass(CURLcode code);
bool url_status_may_pass(long status);
/* How long to wait before try number tries + 1 (tries > 0); of what the server asks for (Retry-After) the longer.
 * UINT64_MAX: longer than anybody wants to wait. */
uint64_t url_retry_wait(CURL *easy, unsigned tries);
/* "the server answered 404 (Not Found)", or libcurl's words. */
void url_describe(struct bm_buf *out, CURL *easy, CURLcode code, long status, const char *detail);
/* Where a reply sends us, in *to (malloc'd): BM_OK; *to NULL where it is no redirect. BM_ERR_USAGE: from https to http,
 * or to another protocol. */
enum bm_status url_redirect(CURL *easy, long status, const char *from, char **to, struct bm_error *err);

/* One turn of waiting: until something happens on the session, ms are over, or the blocker's cancel_fd says so. 0, or -1
 * and ECANCELED. */
int url_wait(struct url_session *s, uint64_t ms, const struct bm_blocker *b);

/* ---- url_s3.c ---- */

/* Key, secret, region and endpoint from the options, the environment and the credentials file. */
enum bm_status url_s3_configure(struct bm_url_client *c, const struct bm_url_options *o, struct bm_error *err);
/* Opens a file that may hold secrets: BM_ERR_USAGE where others may read it. */
enum bm_status url_secret_read(const char *path, const char *what, struct bm_buf *out, struct bm_error *err);
void url_secret_wipe(struct bm_buf *b);

#endif
