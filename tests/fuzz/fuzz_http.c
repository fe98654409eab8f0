/*
 * fuzz_http.c - any bytes as what a client of the service says: paths, ranges, dates, entity tags, digests, tus'
 * fields, forms. Besides not crashing: a path that is taken leads nowhere but down; ranges lie within the file; a form
 * is read the same in whatever pieces it comes, and whatever handler stops it now and then.
 */
#include <string.h>

#include "form.h"
#include "fuzz.h"
#include "http_text.h"

static void check_path(const char *text, size_t len)
{
	struct bm_buf b = {0}, coded = {0}, again = {0};

	if (http_path_decode(text, len, &b) == HTTP_PATH_GOOD) {
		FUZZ_CHECK(b.len > 0 && b.len <= HTTP_PATH_MAX && strlen(b.data) == b.len);
		FUZZ_CHECK(b.data[0] != '/' && b.data[b.len - 1] != '/' && strstr(b.data, "//") == NULL);
		FUZZ_CHECK(strcmp(b.data, "..") != 0 && strncmp(b.data, "../", 3) != 0 &&
		           strstr(b.data, "/../") == NULL);
		FUZZ_CHECK(b.len < 3 || strcmp(b.data + b.len - 3, "/..") != 0);
		http_path_encode(&coded, b.data, b.len);
		FUZZ_CHECK(http_path_decode(coded.data, coded.len, &again) == HTTP_PATH_GOOD);
		FUZZ_CHECK(again.len == b.len && memcmp(again.data, b.data, b.len) == 0);
	}
	bm_buf_fini(&b);
	bm_buf_fini(&coded);
	bm_buf_fini(&again);
}

static void check_ranges(const char *text, uint64_t size)
{
	struct http_range ranges[HTTP_RANGES_MAX];
	uint64_t total = 0;
	size_t count;
	enum http_ranges found = http_ranges_parse(text, size, ranges, &count);

	FUZZ_CHECK((found == HTTP_RANGES_SOME) == (count > 0) || found == HTTP_RANGES_NONE);
	FUZZ_CHECK(count <= HTTP_RANGES_MAX);
	for (size_t i = 0; found == HTTP_RANGES_SOME && i < count; i++) {
		FUZZ_CHECK(ranges[i].first <= ranges[i].last && ranges[i].last < size);
		total += ranges[i].last - ranges[i].first + 1;
	}
	FUZZ_CHECK(found != HTTP_RANGES_SOME || total <= size);
}

static void check_fields(const char *text)
{
	struct http_digest digests[HTTP_DIGESTS_MAX];
	struct bm_buf b = {0};
	char date[30];
	uint64_t number;
	size_t count = 0;
	bool found;
	time_t t, t2;

	(void)http_digests_parse(text, digests, &count);
	FUZZ_CHECK(count <= HTTP_DIGESTS_MAX);
	for (size_t i = 0; i < count; i++)
		FUZZ_CHECK(digests[i].algorithm != NULL && http_digest_name(digests[i].algorithm) != NULL);
	(void)http_content_md5_parse(text, digests);
	(void)http_tus_checksum(text, digests);
	if (http_tus_metadata(text, "filename", &b, &found))
		FUZZ_CHECK(found || b.len == 0);
	bm_buf_fini(&b);
	(void)http_query_decode(text, strlen(text), &b);
	bm_buf_fini(&b);
	(void)http_number(text, &number);
	(void)http_etag_listed(text, "\"a\"", true);
	FUZZ_CHECK(!http_etag_listed(text, "\"a\"", false) || http_etag_listed(text, "\"a\"", true));
	if (http_date_parse(text, &t) && t >= 0 && t < INT64_C(253402300800)) {
		http_date_format(t, date);
		FUZZ_CHECK(http_date_parse(date, &t2) && t2 == t);
	}
}

/* ---- forms ---- */

struct seen {
	struct bm_buf text; /* what the handler was told */
	unsigned stubborn;  /* takes fewer bytes than it is offered, now and then */
};

static bool on_begin(void *ctx, const struct bm_buf *name, const struct bm_buf *filename)
{
	struct seen *s = ctx;

	FUZZ_CHECK(strlen(name->data) == name->len);
	bm_buf_printf(&s->text, "<%s,%s>", name->data, filename != NULL ? filename->data : "-");
	return true;
}

static size_t on_data(void *ctx, const char *data, size_t len)
{
	struct seen *s = ctx;
	size_t n = s->stubborn > 0 && s->stubborn++ % 3 == 0 ? len / 2 : len;

	bm_buf_put(&s->text, data, n);
	return n;
}

static bool on_end(void *ctx)
{
	struct seen *s = ctx;

	bm_buf_puts(&s->text, "</>");
	return s->stubborn == 0;
}

static bool read_form(const char *type, const uint8_t *data, size_t len, size_t piece, struct seen *s, bool *whole)
{
	struct form_handler h = {on_begin, on_data, on_end, s};
	struct form_parser p;

	if (!form_init(&p, type, &h))
		return false;
	for (size_t at = 0; at < len && p.state != FORM_BAD;) {
		size_t n = len - at < piece ? len - at : piece;

		for (size_t used = 0; used < n && p.state != FORM_BAD;)
			used += form_feed(&p, (const char *)data + at + used, n - used);
		at += n;
	}
	*whole = form_is_whole(&p);
	form_fini(&p);
	return true;
}

static void check_form(const char *type, const uint8_t *data, size_t len)
{
	struct seen first = {{0}, 0};
	bool whole;

	if (!read_form(type, data, len, len + 1, &first, &whole))
		return;
	for (size_t piece = 1; piece < 100; piece = piece * 3 + 1) {
		struct seen again = {{0}, (unsigned)(piece % 2)};
		bool whole_again;

		FUZZ_CHECK(read_form(type, data, len, piece, &again, &whole_again));
		FUZZ_CHECK(whole_again == whole && again.text.len == first.text.len);
		FUZZ_CHECK(first.text.len == 0 || memcmp(again.text.data, first.text.data, first.text.len) == 0);
		bm_buf_fini(&again.text);
	}
	bm_buf_fini(&first.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = bm_memdup0(data, len);
	const char *line = memchr(data != NULL ? (const void *)data : "", '\n', len);

	FUZZ_CHECK(text != NULL);
	check_path(text, len);
	check_ranges(text, 0);
	check_ranges(text, 1);
	check_ranges(text, 1000);
	check_ranges(text, UINT64_MAX >> 1);
	check_fields(text);
	(void)http_is_token(text);
	(void)http_path_is_deep(text, len);
	check_form("multipart/form-data; boundary=X", data, len);
	/* The first line as Content-Type. */
	if (line != NULL) {
		size_t first = (size_t)(line - (const char *)data);

		text[first] = '\0';
		check_form(text, data + first + 1, len - first - 1);
	}
	free(text);
	return 0;
}
