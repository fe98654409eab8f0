/*
 * http_text.c - readers of header fields: each goes over its text once, from left to right, and takes nothing that its
 * grammar does not have. Where RFC 9110 says that a field is to be ignored when it is malformed (Range, dates), the
 * caller is told "none"; where a sender's wish would be lost by that (digests), he is told "bad".
 */
#include "http_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bm_sink.h"
#include "bm_text.h"

#define NAME_MAX_BYTES 255

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* Digits at *p; false: none, or more than 64 bits hold. */
static bool take_number(const char **p, uint64_t *out)
{
	uint64_t n = 0;
	const char *at = *p;

	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return false;
	*p = at;
	*out = n;
	return true;
}

bool http_is_token(const char *text)
{
	const char *p = text;

	while (((unsigned char)*p < 0x80 && isalnum((unsigned char)*p)) ||
	       (*p != '\0' && strchr("!#$%&'*+-.^_`|~", *p) != NULL))
		p++;
	return p != text && *p == '\0';
}

bool http_number(const char *text, uint64_t *out)
{
	return take_number(&text, out) && *text == '\0';
}

/* ---- ranges ---- */

/* Digits at *p; what is more than 64 bits hold is the largest number: a last byte may be any. False: none. */
static bool take_place(const char **p, uint64_t *out)
{
	const char *at = *p;

	if (take_number(p, out))
		return true;
	if (*at < '0' || *at > '9')
		return false;
	*p = at + strspn(at, "0123456789");
	*out = UINT64_MAX;
	return true;
}

/* One range-spec at *p. False: malformed. *is_empty: it lies behind the end. */
static bool take_range(const char **p, uint64_t size, struct http_range *r, bool *is_empty)
{
	uint64_t first, last = UINT64_MAX;

	if (**p == '-') {
		(*p)++;
		if (!take_place(p, &last))
			return false;
		*is_empty = last == 0 || size == 0;
		r->first = last < size ? size - last : 0;
		r->last = size - 1;
		return true;
	}
	if (!take_place(p, &first) || **p != '-')
		return false;
	(*p)++;
	if (**p >= '0' && **p <= '9' && (!take_place(p, &last) || last < first))
		return false;
	*is_empty = first >= size;
	r->first = first;
	r->last = last < size ? last : size - 1;
	return true;
}

enum http_ranges http_ranges_parse(const char *text, uint64_t size, struct http_range out[static HTTP_RANGES_MAX],
                                   size_t *count)
{
	uint64_t total = 0;
	size_t asked = 0;

	*count = 0;
	if (text == NULL || strncasecmp(text, "bytes", 5) != 0)
		return HTTP_RANGES_NONE;
	text = skip_blanks(text + 5);
	if (*text != '=')
		return HTTP_RANGES_NONE;
	text = skip_blanks(text + 1);
	for (;;) {
		struct http_range r;
		bool is_empty;

		if (*text == ',') { /* an empty element, which a recipient has to take */
			text = skip_blanks(text + 1);
			continue;
		}
		if (*text == '\0')
			break;
		if (!take_range(&text, size, &r, &is_empty) || ++asked > HTTP_RANGES_MAX)
			return HTTP_RANGES_NONE;
		if (!is_empty) {
			total += r.last - r.first + 1;
			out[(*count)++] = r;
			if (total > size)
				return HTTP_RANGES_NONE;
		}
		text = skip_blanks(text);
		if (*text == '\0')
			break;
		if (*text != ',')
			return HTTP_RANGES_NONE;
	}
	if (asked == 0)
		return HTTP_RANGES_NONE;
	return *count > 0 ? HTTP_RANGES_SOME : HTTP_RANGES_NOT_SATISFIABLE;
}

/* ---- dates and entity tags ---- */

void http_date_format(time_t t, char out[static 30])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, 30, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", 30);
}

bool http_date_parse(const char *text, time_t *out)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
	                                    "%a %b %d %H:%M:%S %Y"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *skip_blanks(end) == '\0') {
			*out = timegm(&tm);
			return true;
		}
	}
	return false;
}

bool http_etag_listed(const char *list, const char *etag, bool weak)
{
	size_t len = strlen(etag);

	for (const char *p = skip_blanks(list); *p != '\0';) {
		bool is_weak = strncmp(p, "W/", 2) == 0;
		const char *begin, *end;

		if (*p == '*' && *skip_blanks(p + 1) == '\0')
			return true;
		if (*p == ',') {
			p = skip_blanks(p + 1);
			continue;
		}
		begin = is_weak ? p + 2 : p;
		end = *begin == '"' ? strchr(begin + 1, '"') : NULL;
		if (end == NULL)
			return false;
		if ((weak || !is_weak) && (size_t)(end + 1 - begin) == len && memcmp(begin, etag, len) == 0)
			return true;
		p = skip_blanks(end + 1);
		if (*p != '\0' && *p != ',')
			return false;
	}
	return false;
}

/* ---- digests ---- */

bool http_base64_decode(const char *text, size_t len, struct bm_buf *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (len % 4 != 0)
		return false;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t bits = 0;
		unsigned pads = 0;

		for (size_t k = 0; k < 4; k++) {
			char c = text[i + k];
			const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

			if (c == '=' && i + 4 == len && k >= 2)
				pads++;
			else if (at == NULL || pads > 0)
				return false;
			bits = bits << 6 | (at != NULL ? (uint32_t)(at - alphabet) : 0);
		}
		if (pads > 0 && (bits & (pads == 1 ? 0xffU : 0xffffU)) != 0)
			return false; /* two spellings of the same bytes */
		for (unsigned k = 0; k < 3 - pads; k++)
			bm_buf_putc(out, (char)(bits >> (16 - 8 * k)));
	}
	return true;
}

static const struct {
	const char *http, *ours;
} digest_names[] = {{"sha-256", "sha256"}, {"sha-512", "sha512"}, {"md5", "md5"}, {"sha", "sha1"}};

const char *http_digest_name(const struct bm_digest_algorithm *a)
{
	for (size_t i = 0; i < sizeof(digest_names) / sizeof(digest_names[0]); i++)
		if (strcmp(digest_names[i].ours, a->name) == 0)
			return digest_names[i].http;
	return NULL;
}

static const struct bm_digest_algorithm *find_http_digest(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(digest_names) / sizeof(digest_names[0]); i++)
		if (strlen(digest_names[i].http) == len && strncmp(digest_names[i].http, name, len) == 0)
			return bm_digest_find(digest_names[i].ours);
	return NULL;
}

/* Base64 of exactly the algorithm's length. */
static bool set_digest(struct http_digest *d, const struct bm_digest_algorithm *a, const char *text, size_t len)
{
	struct bm_buf b = {0};
	bool good =
		len <= 4 * BM_DIGEST_MAX_BYTES && http_base64_decode(text, len, &b) && !b.oom && b.len == a->size_bytes;

	if (good) {
		d->algorithm = a;
		memcpy(d->bytes, b.data, b.len);
	}
	bm_buf_fini(&b);
	return good;
}

bool http_digests_parse(const char *text, struct http_digest out[static HTTP_DIGESTS_MAX], size_t *count)
{
	const char *p = skip_blanks(text);

	if (*p == '\0')
		return false;
	for (;;) {
		const struct bm_digest_algorithm *a;
		size_t key = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_-.*"), len;

		if (key == 0 || p[key] != '=' || p[key + 1] != ':')
			return false;
		a = find_http_digest(p, key);
		p += key + 2;
		len = strcspn(p, ":");
		if (p[len] != ':' ||
		    (a != NULL && (*count >= HTTP_DIGESTS_MAX || !set_digest(&out[*count], a, p, len))))
			return false;
		*count += a != NULL;
		p = skip_blanks(p + len + 1);
		if (*p == '\0')
			return true;
		if (*p != ',')
			return false;
		p = skip_blanks(p + 1);
	}
}

bool http_content_md5_parse(const char *text, struct http_digest *out)
{
	return set_digest(out, bm_digest_find("md5"), text, strlen(text));
}

void http_digest_put(struct bm_buf *out, const struct bm_digest_algorithm *a, const uint8_t *bytes)
{
	bm_buf_printf(out, "%s=:", http_digest_name(a));
	bm_base64_put(out, bytes, a->size_bytes);
	bm_buf_putc(out, ':');
}

/* ---- paths ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool percent_decode(const char *raw, size_t len, bool plus, struct bm_buf *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = raw[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_value(raw[i + 1]) : -1;
			int low = i + 2 < len ? hex_value(raw[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return false;
		bm_buf_putc(out, c);
	}
	return true;
}

bool http_query_decode(const char *raw, size_t len, struct bm_buf *out)
{
	bm_buf_put(out, NULL, 0);
	return percent_decode(raw, len, true, out);
}

enum http_path http_path_check(const char *path, size_t len)
{
	size_t begin = 0;

	if (len > HTTP_PATH_MAX)
		return HTTP_PATH_TOO_LONG;
	if (memchr(path, '\0', len) != NULL)
		return HTTP_PATH_BAD;
	for (size_t i = 0; i <= len; i++) {
		size_t part = i - begin;

		if (i < len && path[i] != '/')
			continue;
		if (part == 0 || (part == 1 && path[begin] == '.') ||
		    (part == 2 && path[begin] == '.' && path[begin + 1] == '.'))
			return HTTP_PATH_BAD;
		if (part > NAME_MAX_BYTES)
			return HTTP_PATH_TOO_LONG;
		if (part >= strlen(BM_TEMP_PREFIX) && memcmp(path + begin, BM_TEMP_PREFIX, strlen(BM_TEMP_PREFIX)) == 0)
			return HTTP_PATH_RESERVED;
		begin = i + 1;
	}
	return HTTP_PATH_GOOD;
}

bool http_path_is_deep(const char *path, size_t len)
{
	size_t depth = 0;

	for (size_t i = 0; i < len; i++)
		depth += path[i] == '/';
	return depth > HTTP_DEPTH_MAX;
}

enum http_path http_path_decode(const char *raw, size_t len, struct bm_buf *out)
{
	size_t before = out->len;

	bm_buf_put(out, NULL, 0);
	if (!percent_decode(raw, len, false, out))
		return HTTP_PATH_BAD;
	return out->oom ? HTTP_PATH_TOO_LONG : http_path_check(out->data + before, out->len - before);
}

void http_path_encode(struct bm_buf *out, const char *path, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)path[i];

		if ((c < 0x80 && isalnum(c)) || c == '/' || c == '-' || c == '.' || c == '_' || c == '~')
			bm_buf_putc(out, (char)c);
		else
			bm_buf_printf(out, "%%%02X", c);
	}
}

/* ---- tus ---- */

bool http_tus_metadata(const char *text, const char *key, struct bm_buf *out, bool *found)
{
	size_t key_len = strlen(key);

	*found = false;
	for (const char *p = skip_blanks(text); *p != '\0';) {
		size_t name = strcspn(p, " ,"), len;
		const char *value = p + name;

		if (name == 0)
			return false;
		if (*value == ' ')
			value++;
		len = strcspn(value, " ,");
		if (name == key_len && memcmp(p, key, name) == 0) {
			if (*found || !http_base64_decode(value, len, out))
				return false;
			*found = true;
		}
		p = skip_blanks(value + len);
		if (*p == '\0')
			break;
		if (*p != ',')
			return false;
		p = skip_blanks(p + 1);
		if (*p == '\0')
			return false;
	}
	return true;
}

enum http_checksum http_tus_checksum(const char *text, struct http_digest *out)
{
	size_t len = strcspn(text, " ");
	char name[16];
	const struct bm_digest_algorithm *a;

	if (text[len] != ' ')
		return HTTP_CHECKSUM_BAD;
	if (len >= sizeof(name))
		return HTTP_CHECKSUM_UNKNOWN;
	memcpy(name, text, len);
	name[len] = '\0';
	a = bm_digest_find(name);
	if (a == NULL)
		return HTTP_CHECKSUM_UNKNOWN;
	text += len + 1;
	return set_digest(out, a, text, strlen(text)) ? HTTP_CHECKSUM_GOOD : HTTP_CHECKSUM_BAD;
}
