/* url_text.h - private to src/io: a URL's parts. Any thread. */
#ifndef URL_TEXT_H
#define URL_TEXT_H

#include "bm_url.h"

/* Pointers into the URL. */
struct url_parts {
	bool is_s3, is_tls;
	const char *authority; /* userinfo with its '@', host, port; s3: the bucket */
	size_t authority_len, userinfo_len;
	const char *path; /* from its '/' on, or empty */
	size_t path_len;
	const char *query; /* from its '?' on, or empty */
	size_t query_len;
};
bool url_split(const char *url, size_t len, struct url_parts *p); /* false: not one of our schemes */
/* The same scheme, host and port; false for s3. */
bool url_same_origin(const char *a, const char *b);
/* Percent-encoded for a query's value: '/' too. */
void url_put_query(struct bm_buf *out, const void *bytes, size_t len);
/* As it goes over the wire: without fragment, and with bytes that no URL may hold percent-encoded. */
void url_put_sent(struct bm_buf *out, const char *url);

#endif
