/*
 * bm_url.h - inputs and outputs that are URLs: http://, https:// and s3://bucket/key.
 *
 * A CLIENT is how one step speaks to servers: time-outs, proxy, CA file, credentials, and the memory that is lent to
 * fetches for reading ahead. A fetch is a source like any other (bm_source_open_url, bm_source.h); url_source.c says how
 * it goes on after a broken transfer and when it takes several connections.
 *
 * Credentials come from files that nobody else may read (netrc, header file) or from the environment (s3), never from a
 * URL in a job file. What is shown of a URL has neither user name nor password, nor the values of query parameters that
 * are known to carry signatures.
 *
 * Everything here needs libcurl (BM_WITH_CURL); without it a client cannot be made, and says so. The functions on text
 * always work. Text functions: any thread.
 */
#ifndef BM_URL_H
#define BM_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_mem.h"
#include "bm_source.h"

/* ---- text ---- */

/* Does it begin as one of our URLs does (http://, https://, s3://, in any letter case)? NULL does not. */
bool bm_url_is(const char *text);
/* BM_ERR_USAGE: no host, bucket or key, control characters, or credentials in it; the text says what to do, and repeats
 * nothing of the URL. path: there must be more than a host. */
enum bm_status bm_url_check(const char *url, struct bm_error *err) BM_NODISCARD;
/* Appends what may be shown of a URL. Any text is fine. */
void bm_url_redact(struct bm_buf *out, const char *url, size_t len);
/* Appends the name of an output: the last segment of the path, decoded; what could not be a file's name is replaced.
 * "index.html" where the path ends in '/'. Never "", "." or "..", never with '/' or NUL in it. */
void bm_url_put_name(struct bm_buf *out, const char *url);
/* Is it a relative path that stays below where it starts: no empty, "." or ".." component? */
bool bm_url_name_is_safe(const char *name, size_t len);
/* Appends bytes percent-encoded for a path; '/' stays. */
void bm_url_put_encoded(struct bm_buf *out, const void *bytes, size_t len);

/* ---- what is fetched ---- */

enum { BM_URL_MD5, BM_URL_SHA1, BM_URL_SHA256, BM_URL_SHA512, BM_URL_DIGESTS };
extern const char *const bm_url_digest_names[BM_URL_DIGESTS + 1]; /* and NULL */

/* One URL and what is known of it beforehand. */
struct bm_url_item {
	char *url;
	char *name;                   /* of the output, relative; NULL: from the URL */
	char *digest[BM_URL_DIGESTS]; /* hex, or NULL */
	bool has_size;
	uint64_t size;
};
void bm_url_item_fini(struct bm_url_item *i); /* zeroed afterwards */
/* What is wrong between its parts, each a string of its own: names that lead elsewhere, digests that are none; and
 * bm_url_check. BM_ERR_USAGE. */
enum bm_status bm_url_item_check(const struct bm_url_item *i, struct bm_error *err) BM_NODISCARD;

/* An entry (bm_walk.h) for it; copies. NULL: no memory. */
struct bm_entry *bm_url_entry(const struct bm_url_item *i);

/* ---- the client ---- */

struct bm_url_options {
	unsigned connections; /* of one fetch at a time; 1 ... BM_URL_MAX_CONNECTIONS */
	unsigned retries;     /* of what may pass; see BM_URL_LEAST_RETRIES */
	uint64_t timeout_ms;  /* without a byte; 0: for ever */
	/* All may be NULL: then as libcurl's defaults, which look at http_proxy and the like. */
	const char *proxy, *ca_file;
	const char *netrc, *header_file; /* mode 0600 at the most */
	const char *s3_endpoint, *s3_region;
	bool is_s3;     /* there are s3:// URLs: their credentials are looked up */
	bool may_be_s3; /* there may be: where there are no credentials, those URLs fail */
};
#define BM_URL_MAX_CONNECTIONS 16
/* A transfer that breaks is carried on as often at the least, also where a job asks for fewer retries. */
#define BM_URL_LEAST_RETRIES 3

struct bm_url_client;
/* A line for people: what this build can do with URLs. */
void bm_url_about(struct bm_buf *out);
/* Reads the files. BM_ERR_UNSUPPORTED: built without libcurl; BM_ERR_USAGE: a file of secrets that others may read, no
 * credentials for s3; BM_ERR_SYSTEM. */
enum bm_status bm_url_client_create(const struct bm_url_options *o, struct bm_url_client **out, struct bm_error *err)
	BM_NODISCARD;
void bm_url_client_destroy(struct bm_url_client *c); /* all its sources and sinks are closed; NULL is fine */
/* Memory that its fetches may use for ranges that arrive ahead of time; 0 at the start: then each takes one connection
 * and no more memory than the chunk it fills. Before the first fetch. */
void bm_url_client_lend(struct bm_url_client *c, size_t bytes);
/* How much is of use, where so much could be had. */
size_t bm_url_ahead_bytes(unsigned connections, size_t available);

#endif
