/*
 * test_gzip_rows.c - the engine rows from inside: its two forms make the same bytes, which zlib inflates, whatever the
 * data; what is written stays within the room; and the size is near that of zlib's level 6. (What holds for every
 * engine is in test_gzip.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <zlib.h>

#include "gzip_engine.h"
#include "gzip_rows_parse.h" /* the portable form */
#include "gzip_testing.h"

#define ROOM 600000

static struct gzip_rows *rows;
static uint8_t *out_a, *out_b, *back;

static int set_up(void **state)
{
	(void)state;
	rows = gzip_engine_rows.deflater_create(6);
	out_a = malloc(ROOM);
	out_b = malloc(ROOM);
	back = malloc(ROOM);
	return rows != NULL && out_a != NULL && out_b != NULL && back != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	gzip_engine_rows.deflater_destroy(rows);
	free(out_a);
	free(out_b);
	free(back);
	return 0;
}

static void inflates_to(const uint8_t *packed, size_t packed_len, const uint8_t *data, size_t len)
{
	z_stream z = {0};

	assert_int_equal(inflateInit2(&z, -15), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)packed; /* is not written to */
	z.avail_in = (uInt)packed_len;
	z.next_out = back;
	z.avail_out = ROOM;
	if (inflate(&z, Z_FINISH) != Z_STREAM_END)
		fail_msg("%zu bytes: %s", len, z.msg != NULL ? z.msg : "no end");
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(z.total_out, len);
	assert_memory_equal(back, data, len);
	inflateEnd(&z);
}

/* Deflates with both forms; data is copied, so that a sanitizer sees reads beyond its end. Returns the length. */
static size_t deflate_both(const uint8_t *data, size_t len)
{
	uint8_t *const copy = exact_copy(data, len);
	struct gzip_bits bits = {.to = out_b, .end = out_b + ROOM};
	const size_t a = gzip_engine_rows.deflate(rows, copy, len, out_a, ROOM);
	const size_t b = rows_deflate(rows, copy, len, &bits);

	assert_int_not_equal(a, 0);
	assert_int_equal(a, b);
	assert_memory_equal(out_a, out_b, a);
	inflates_to(out_a, a, copy, len);
	free(copy);
	return a;
}

static void test_every_length(void **state)
{
	(void)state;
	for (enum kind kind = KIND_TEXT; kind < KIND_COUNT; kind++) {
		struct bytes data = make_data(kind, 200000);

		for (size_t len = 1; len < 420; len++) /* past TAIL, WIDE and the longest match */
			deflate_both(data.data, len);
		for (size_t len = 65536 - 45; len < 65536 + 45; len += 5)
			deflate_both(data.data, len);
		deflate_both(data.data, data.len);
		bytes_free(&data);
	}
}

/* Strings that come again as far back as the window is, and just further; of every length. */
static void test_distances(void **state)
{
	struct bytes noise = make_data(KIND_RANDOM, 140000);

	(void)state;
	for (size_t distance = 32760; distance <= 32776; distance++)
		for (size_t length = 3; length < 300; length += 33) {
			uint8_t *copy = exact_copy(noise.data, noise.len);
			size_t with;

			memcpy(copy + 40000 + distance, copy + 40000, length);
			with = deflate_both(copy, 40000 + distance + 1000);
			if (length > 30 && distance <= 32768)
				assert_true(with + length / 2 < deflate_both(noise.data, 40000 + distance + 1000));
			free(copy);
		}
	/* Once round what 16 bits of a position can say: near by mistake, or near and right. */
	for (size_t distance = 65530; distance < 65545; distance++) {
		uint8_t *copy = exact_copy(noise.data, noise.len);

		memcpy(copy + 3 + distance, copy + 3, 500);
		memcpy(copy + 300 + 65536, copy, 100);
		deflate_both(copy, noise.len);
		free(copy);
	}
	bytes_free(&noise);
}

/* Few symbols; counts that double, which ask for codes longer than there can be; blocks that differ; many tokens. */
static void test_kinds(void **state)
{
	const size_t len = 400000;
	uint8_t *data = malloc(len);
	uint64_t seed = 7;

	(void)state;
	assert_non_null(data);
	for (unsigned symbols = 1; symbols <= 256; symbols += symbols < 8 ? 1 : 31) {
		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(random_next(&seed) % symbols);
		deflate_both(data, len / 4);
	}
	for (size_t i = 0; i < len; i++) {
		const uint32_t r = random_next(&seed);

		data[i] = (uint8_t)(r == 0 ? 40 : __builtin_ctz(r));
	}
	deflate_both(data, len);
	for (size_t i = 0; i < len; i++) { /* hardly any match */
		static uint32_t word;

		if (i % 4 == 0)
			word = random_next(&seed) & 0x3f3f3f3f;
		data[i] = (uint8_t)((word >> 8 * (i % 4)) + (i / 50000 % 2 == 0 ? 0 : 128));
	}
	deflate_both(data, len);
	for (size_t i = 0; i < len; i++) /* many short ones: words of 4 bytes out of 256 */
		data[i] = (uint8_t)(i % 4 == 0 ? random_next(&seed) & 0xff : data[i - 1] * 7u + 3);
	deflate_both(data, len);
	free(data);
}

/* The room is kept to, and too little of it gives 0. */
static void test_room(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 50000);
	const size_t whole = deflate_both(data.data, data.len);

	(void)state;
	for (size_t less = 0; less < 40; less++) {
		uint8_t *out = malloc(whole - less); /* a sanitizer sees what is written beyond */
		struct gzip_bits bits = {.to = out, .end = out + (whole - less)};

		assert_non_null(out);
		assert_int_equal(gzip_engine_rows.deflate(rows, data.data, data.len, out, whole - less),
		                 less == 0 ? whole : 0);
		assert_int_equal(rows_deflate(rows, data.data, data.len, &bits), less == 0 ? whole : 0);
		free(out);
	}
	bytes_free(&data);
}

/* Near zlib's level 6. A few words at random are hard on an engine that keeps 32 places a row: 6 % more than zlib; on what
 * people compress it is nothing (tests/bench/run.sh gzip6). */
static void test_size(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 500000);
	const size_t ours = deflate_both(data.data, data.len);
	z_stream z = {0};

	(void)state;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = data.data;
	z.avail_in = (uInt)data.len;
	z.next_out = out_b;
	z.avail_out = ROOM;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	if (ours > z.total_out + z.total_out / 12)
		fail_msg("%zu bytes; zlib makes %lu", ours, z.total_out);
	deflateEnd(&z);
	bytes_free(&data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length), cmocka_unit_test(test_distances), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_room),         cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
