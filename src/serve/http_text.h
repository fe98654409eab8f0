/*
 * http_text.h - what a client says in its header fields and in its paths, read strictly: RFC 9110 (ranges, dates,
 * entity tags), RFC 9530 and RFC 1864 (digests), RFC 3986 (percent-encoding), tus 1.0 (Upload-Metadata,
 * Upload-Checksum).
 *
 * Pure functions over text that nobody vouches for: no global state, any thread, no system calls.
 */
#ifndef SERVE_HTTP_TEXT_H
#define SERVE_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "bm_digest.h"
#include "bm_mem.h"

/* Digits and nothing else, in 64 bits. */
bool http_number(const char *text, uint64_t *out);
/* A name of a field as RFC 9110 5.6.2 has it. */
bool http_is_token(const char *text);

/* ---- ranges ---- */

#define HTTP_RANGES_MAX 32

struct http_range {
	uint64_t first, last; /* last is one of them; both below the size */
};
enum http_ranges {
	HTTP_RANGES_NONE, /* no Range that means anything, or one that asks for too much: the whole is sent */
	HTTP_RANGES_SOME,
	HTTP_RANGES_NOT_SATISFIABLE
};
/* The value of Range for a representation of size bytes. In the order asked for; those that lie behind the end are left
 * out. More than HTTP_RANGES_MAX of them, or such as overlap so much that they come to more than the whole: NONE. */
enum http_ranges http_ranges_parse(const char *text, uint64_t size, struct http_range out[static HTTP_RANGES_MAX],
                                   size_t *count);

/* ---- dates and entity tags ---- */

/* "Sun, 06 Nov 1994 08:49:37 GMT" in 30 bytes; the two obsolete forms are read too. */
void http_date_format(time_t t, char out[static 30]);
bool http_date_parse(const char *text, time_t *out);
/* Is etag ("\"abc\"") in the list of If-None-Match or If-Match ("*" is any)? weak: W/ makes no difference; else a weak
 * one is none of it. */
bool http_etag_listed(const char *list, const char *etag, bool weak);

/* ---- digests ---- */

#define HTTP_DIGESTS_MAX 8

struct http_digest {
	const struct bm_digest_algorithm *algorithm;
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
};
/* The name of an algorithm in Content-Digest ("sha-256"), or NULL where it has none there. */
const char *http_digest_name(const struct bm_digest_algorithm *a);
/* Content-Digest, Repr-Digest: a dictionary of byte sequences. Unknown algorithms are passed over. False: malformed, or a
 * digest of a length that is not its algorithm's. Adds to *count. */
bool http_digests_parse(const char *text, struct http_digest out[static HTTP_DIGESTS_MAX], size_t *count);
/* Content-MD5: the digest in base64. */
bool http_content_md5_parse(const char *text, struct http_digest *out);
/* Appends sha-256=:...: */
void http_digest_put(struct bm_buf *out, const struct bm_digest_algorithm *a, const uint8_t *bytes);
/* Strict base64 with padding (RFC 4648); false leaves what was appended. */
bool http_base64_decode(const char *text, size_t len, struct bm_buf *out);

/* ---- paths ---- */

#define HTTP_PATH_MAX 4095
#define HTTP_DEPTH_MAX 100 /* of a file that is sent */

enum http_path {
	HTTP_PATH_GOOD,
	HTTP_PATH_BAD,      /* not percent-encoding, a NUL, an empty or dotted component, an absolute name */
	HTTP_PATH_TOO_LONG, /* as a whole, or a component */
	HTTP_PATH_RESERVED  /* a name as our temp files have */
};
/* Appends the decoded path, relative to its root: components that are neither empty nor "." nor "..". */
enum http_path http_path_decode(const char *raw, size_t len, struct bm_buf *out);
/* The same for a path that needs no decoding. */
enum http_path http_path_check(const char *path, size_t len);
/* Has it more directories than are made for one file? Each is written to the disk for itself, while others wait. */
bool http_path_is_deep(const char *path, size_t len);
/* Appends text with all percent-encoded but unreserved characters and '/'. */
void http_path_encode(struct bm_buf *out, const char *path, size_t len);
/* Decodes a part of a query: + is a blank; false: bad encoding, or a NUL. */
bool http_query_decode(const char *raw, size_t len, struct bm_buf *out);

/* ---- tus ---- */

/* Finds key in Upload-Metadata and appends its value; *found. False: malformed. */
bool http_tus_metadata(const char *text, const char *key, struct bm_buf *out, bool *found);
enum http_checksum { HTTP_CHECKSUM_GOOD, HTTP_CHECKSUM_BAD, HTTP_CHECKSUM_UNKNOWN };
/* Upload-Checksum: "sha1 BASE64". */
enum http_checksum http_tus_checksum(const char *text, struct http_digest *out);

#endif
