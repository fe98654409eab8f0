/*
 * URLs as text: what may be shown of them, which name an output gets, what is refused.
 *
 * Not a general parser: libcurl has one, and has the last word on what is sent. Here only scheme, authority, path and
 * query are told apart, by the delimiters of RFC 3986. Of s3://bucket/key all behind the bucket is the key, byte for byte,
 * as the tools for it have it; nothing in a key is encoded, and it has no query.
 */
#include "bm_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bm_error.h"
#include "bm_sink.h"
#include "bm_walk.h"
#include "url_text.h"

const char *const bm_url_digest_names[BM_URL_DIGESTS + 1] = {
	[BM_URL_MD5] = "md5",
	[BM_URL_SHA1] = "sha1",
	[BM_URL_SHA256] = "sha256",
	[BM_URL_SHA512] = "sha512",
};
static const size_t digest_chars[BM_URL_DIGESTS] = {32, 40, 64, 128};

/* ---- parts ---- */

static size_t scheme_len(const char *text, size_t len)
{
	static const char *const schemes[] = {"http://", "https://", "s3://"};

	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t n = strlen(schemes[i]);
		if (len >= n && strncasecmp(text, schemes[i], n) == 0)
			return n;
	}
	return 0;
}

bool url_split(const char *url, size_t len, struct url_parts *p)
{
	size_t at = scheme_len(url, len);
	memset(p, 0, sizeof *p);
	if (at == 0)
		return false;
	p->is_s3 = tolower((unsigned char)url[0]) == 's';
	p->is_tls = !p->is_s3 && tolower((unsigned char)url[4]) == 's';
	p->authority = url + at;
	size_t end = at;
	while (end < len && url[end] != '/' && (p->is_s3 || (url[end] != '?' && url[end] != '#')))
		end++;
	p->authority_len = end - at;
	const char *sign = memrchr(p->authority, '@', p->authority_len);
	p->userinfo_len = sign && !p->is_s3 ? (size_t)(sign - p->authority) + 1 : 0;
	p->path = url + end;
	at = end;
	while (end < len && (p->is_s3 || (url[end] != '?' && url[end] != '#')))
		end++;
	p->path_len = end - at;
	p->query = url + end;
	at = end;
	while (end < len && url[end] != '#')
		end++;
	p->query_len = end - at;
	return true;
}

bool bm_url_is(const char *text)
{
	return text && scheme_len(text, strlen(text)) > 0;
}

bool url_same_origin(const char *a, const char *b)
{
	struct url_parts pa, pb;
	if (!url_split(a, strlen(a), &pa) || !url_split(b, strlen(b), &pb) || pa.is_s3 || pb.is_s3)
		return false;
	/* A port that is written on one side alone makes them different, which costs no more than the credentials. */
	return pa.is_tls == pb.is_tls && pa.authority_len - pa.userinfo_len == pb.authority_len - pb.userinfo_len &&
	       strncasecmp(pa.authority + pa.userinfo_len, pb.authority + pb.userinfo_len,
	                   pa.authority_len - pa.userinfo_len) == 0;
}

enum bm_status bm_url_check(const char *url, struct bm_error *err)
{
	struct url_parts p;
	if (!url_split(url, strlen(url), &p))
		return bm_error_set(err, BM_ERR_USAGE, NULL, "is no URL that begins with http://, https:// or s3://");
	if (p.userinfo_len > 0)
		return bm_error_set(
			err, BM_ERR_USAGE, NULL,
			"a URL with a user name or password in it: take them out, write them to a netrc file "
			"(\"machine HOST login NAME password WORD\", chmod 600), and name that file in "
			"\"http\": {\"netrc\": ...}; or a header into \"header_file\"");
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return bm_error_set(err, BM_ERR_USAGE, NULL, "a URL with a control character in it");
	if (p.authority_len == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a URL without %s",
		                    p.is_s3 ? "a bucket: it is s3://bucket/key" : "a host");
	if (p.is_s3 && p.path_len < 2)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a URL without a key: it is s3://bucket/key");
	return BM_OK;
}

/* ---- shown ---- */

/* Parameters of signed URLs (S3, Google, Azure, CloudFront) and what else is secret by its name, or by its last word. */
static bool is_secret_parameter(const char *name, size_t len)
{
	static const char *const names[] = {"sig",  "key", "policy", "key-pair-id",
	                                    "code", "sas", "hmac",   "authorization"};
	static const char *const ends[] = {
		"token",   "secret", "password", "passwd", "passphrase", "pwd",     "signature",   "credential",
		"session", "jwt",    "auth",     "apikey", "api_key",    "api-key", "accesskeyid", "access_key",
	};

	if (len > 6 && (strncasecmp(name, "x-amz-", 6) == 0 || strncasecmp(name, "x-goog", 6) == 0))
		return true;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
			return true;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		size_t n = strlen(ends[i]);
		if (n <= len && strncasecmp(name + len - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

static void put_query(struct bm_buf *out, const char *query, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t end = i + 1, equals = 0;
		bm_buf_putc(out, query[i]); /* '?' or '&' */
		for (; end < len && query[end] != '&'; end++)
			if (query[end] == '=' && equals == 0)
				equals = end;
		if (equals > 0 && is_secret_parameter(query + i + 1, equals - i - 1)) {
			bm_buf_put(out, query + i + 1, equals - i);
			bm_buf_puts(out, "...");
		} else {
			bm_buf_put(out, query + i + 1, end - i - 1);
		}
		i = end;
	}
}

void bm_url_redact(struct bm_buf *out, const char *url, size_t len)
{
	struct url_parts p;
	if (!url_split(url, len, &p)) {
		bm_buf_put(out, url, len);
		return;
	}
	bm_buf_put(out, url, (size_t)(p.authority - url));
	bm_buf_put(out, p.authority + p.userinfo_len, p.authority_len - p.userinfo_len);
	bm_buf_put(out, p.path, p.path_len);
	put_query(out, p.query, p.query_len);
}

/* ---- names ---- */

static int hex_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

void bm_url_put_name(struct bm_buf *out, const char *url)
{
	struct url_parts p;
	struct bm_buf name = {0};
	if (!url_split(url, strlen(url), &p))
		p = (struct url_parts){.path = url, .path_len = strlen(url)};
	const char *slash = memrchr(p.path, '/', p.path_len);
	const char *from = slash ? slash + 1 : p.path;
	const char *end = p.path + p.path_len;
	for (; from < end; from++) {
		char c = *from;
		if (c == '%' && !p.is_s3 && end - from > 2 && hex_of(from[1]) >= 0 && hex_of(from[2]) >= 0) {
			c = (char)(hex_of(from[1]) * 16 + hex_of(from[2]));
			from += 2;
		}
		bm_buf_putc(&name, c == '/' || c == '\0' ? '_' : c);
	}
	if (name.len == 0)
		bm_buf_puts(&name, "index.html");
	/* Our own temp files are passed over where trees are read. */
	if (!name.oom && (strcmp(name.data, ".") == 0 || strcmp(name.data, "..") == 0 ||
	                  strncmp(name.data, BM_TEMP_PREFIX, strlen(BM_TEMP_PREFIX)) == 0))
		bm_buf_putc(out, '_');
	bm_buf_put(out, name.data, name.len);
	out->oom = out->oom || name.oom;
	bm_buf_fini(&name);
}

bool bm_url_name_is_safe(const char *name, size_t len)
{
	for (size_t i = 0; i <= len;) {
		const char *slash = memchr(name + i, '/', len - i);
		size_t part = slash ? (size_t)(slash - (name + i)) : len - i;
		if (part == 0 || (part == 1 && name[i] == '.') || (part == 2 && name[i] == '.' && name[i + 1] == '.'))
			return false;
		i += part + 1;
	}
	return memchr(name, '\0', len) == NULL;
}

void bm_url_put_encoded(struct bm_buf *out, const void *bytes, size_t len)
{
	const unsigned char *b = bytes;
	for (size_t i = 0; i < len; i++) {
		if (isalnum(b[i]) || strchr("-._~/", b[i] ? b[i] : '%') != NULL)
			bm_buf_putc(out, (char)b[i]);
		else
			bm_buf_printf(out, "%%%02X", b[i]);
	}
}

void url_put_query(struct bm_buf *out, const void *bytes, size_t len)
{
	const char *b = bytes;
	for (size_t i = 0; i < len; i++) {
		if (b[i] == '/')
			bm_buf_puts(out, "%2F");
		else
			bm_url_put_encoded(out, b + i, 1);
	}
}

void url_put_sent(struct bm_buf *out, const char *url)
{
	for (const char *c = url; *c && *c != '#'; c++) {
		unsigned char b = (unsigned char)*c;
		if (b <= 0x20 || b >= 0x7f || strchr("\"<>\\^`{|}", b) != NULL)
			bm_buf_printf(out, "%%%02X", b);
		else
			bm_buf_putc(out, *c);
	}
}

/* ---- items ---- */

void bm_url_item_fini(struct bm_url_item *i)
{
	free(i->url);
	free(i->name);
	for (size_t k = 0; k < BM_URL_DIGESTS; k++)
		free(i->digest[k]);
	memset(i, 0, sizeof *i);
}

enum bm_status bm_url_item_check(const struct bm_url_item *i, struct bm_error *err)
{
	if (!i->url)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "\"url\" is missing");
	enum bm_status status = bm_url_check(i->url, err);
	if (status == BM_OK && i->name && !bm_url_name_is_safe(i->name, strlen(i->name)))
		return bm_error_set(
			err, BM_ERR_USAGE, NULL,
			"name must be a relative path without empty, \".\" or \"..\" components, as \"a/b.gz\"");
	for (size_t k = 0; k < BM_URL_DIGESTS && status == BM_OK; k++) {
		const char *d = i->digest[k];
		if (d && (strlen(d) != digest_chars[k] || strspn(d, "0123456789abcdefABCDEF") != digest_chars[k]))
			return bm_error_set(err, BM_ERR_USAGE, NULL, "%s must be %zu hexadecimal digits",
			                    bm_url_digest_names[k], digest_chars[k]);
	}
	return status;
}

static bool copy_text(char **to, const char *from)
{
	*to = from ? bm_memdup0(from, strlen(from)) : NULL;
	return *to || !from;
}

struct bm_entry *bm_url_entry(const struct bm_url_item *i)
{
	struct bm_buf shown = {0}, name = {0};
	struct bm_entry *e = NULL;
	struct bm_url_item *copy = calloc(1, sizeof *copy);
	bool good = copy && copy_text(&copy->url, i->url) && copy_text(&copy->name, i->name);

	for (size_t k = 0; k < BM_URL_DIGESTS && good; k++)
		good = copy_text(&copy->digest[k], i->digest[k]);
	bm_url_redact(&shown, i->url, strlen(i->url));
	if (i->name)
		bm_buf_puts(&name, i->name);
	else
		bm_url_put_name(&name, i->url);
	if (good && !shown.oom && !name.oom)
		e = bm_entry_create(BM_ENTRY_URL, name.data, name.len, shown.data, shown.len);
	if (e) {
		copy->has_size = i->has_size;
		copy->size = i->size;
		e->url = copy;
		copy = NULL;
		e->has_stat = i->has_size;
		e->st.size = i->size;
	}
	if (copy)
		bm_url_item_fini(copy);
	free(copy);
	bm_buf_fini(&shown);
	bm_buf_fini(&name);
	return e;
}
