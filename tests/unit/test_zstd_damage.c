/*
 * test_zstd_damage.c - damaged zstd files: every single flipped bit, every truncation, random damage.
 *
 * The rule: an error, or the right bytes (the content of a skippable frame and an unused bit of the header say nothing
 * about the data). Never wrong bytes with a good end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "zstd_testing.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct damage_case {
	const char *name;
	int level;
	enum kind kind;
	size_t len, chunk;
	bool seek_table;
};

static const struct damage_case cases[] = {
	{"text", 3, KIND_TEXT, 330, 330, false},  {"two frames", 3, KIND_TEXT, 330, 170, true},
	{"noise", 1, KIND_RANDOM, 100, 60, true}, {"zeros", 19, KIND_ZERO, 3000, 2000, true},
	{"empty", 3, KIND_TEXT, 0, 1, true},      {"long", 5, KIND_TEXT, 2000, 2000, false},
};

static void test_every_bit_flipped(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(1 << 20);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const struct damage_case *c = &cases[i];
		struct bytes data = make_data(c->kind, c->len);
		struct bytes file = pack_frames(c->level, data.data, data.len, c->chunk, c->seek_table);
		const size_t frames = c->len == 0 ? 1 : (c->len + c->chunk - 1) / c->chunk;
		const size_t plain = file.len - (c->seek_table ? 17 + 12 * frames : 0);
		size_t accepted = 0;

		for (size_t bit = 0; bit < 8 * file.len; bit++) {
			struct unzstd u, v;

			file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			u = unzstd(d, file.data, file.len, bit / 8, SIZE_MAX, bit % 2 == 0 ? 50 : 4000);
			v = unzstd_frames(d, file.data, file.len, bit % 3 == 0 ? 1 : 100, 4000);
			assert_true(u.verified <= data.len);
			if (u.verified > 0)
				assert_memory_equal(u.data.data, data.data, u.verified);
			if (v.verified > 0)
				assert_memory_equal(v.data.data, data.data, v.verified);
			if (u.status == BM_OK) {
				assert_bytes(&u.data, data.data, data.len);
				if (bit < 8 * plain)
					accepted++;
			} else {
				assert_true(u.status == BM_ERR_FORMAT || u.status == BM_ERR_TRUNCATED ||
				            u.status == BM_ERR_LIMIT || u.status == BM_ERR_UNSUPPORTED);
				assert_true(strncmp(u.err.where, "offset ", 7) == 0);
			}
			/* The two ways agree, but for the window, which a whole frame does not need. */
			if (v.status == BM_OK)
				assert_bytes(&v.data, data.data, data.len);
			if (u.status != BM_ERR_LIMIT && (u.status == BM_OK) != (v.status == BM_OK))
				fail_msg("%s, bit %zu: as a stream: %s: %s; in frames: %s: %s", c->name, bit,
				         u.err.where, u.err.text, v.err.where, v.err.text);
			bytes_free(&u.data);
			bytes_free(&v.data);
			file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		/* The header's unused bit; padding bits of entropy-coded streams that no symbol uses. */
		if (accepted > frames * 24)
			fail_msg("%s: %zu flips of %zu make no difference", c->name, accepted, 8 * plain);
		bytes_free(&file);
		bytes_free(&data);
	}
	bm_zstd_decoder_destroy(d);
}

static void test_every_truncation(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(1 << 20);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const struct damage_case *c = &cases[i];
		struct bytes data = make_data(c->kind, c->len);
		struct bytes file = pack_frames(c->level, data.data, data.len, c->chunk, c->seek_table);

		for (size_t len = 0; len < file.len; len++)
			for (size_t step = 1; step <= 1000; step += 333) {
				struct unzstd u = unzstd(d, file.data, len, 0, step, 3 * step);

				/* Between two frames nobody can tell that there were more. */
				if (u.status == BM_OK) {
					struct bm_zstd_header h;

					assert_true(len > 0 && u.verified == u.data.len);
					assert_int_equal(bm_zstd_peek_header(file.data + len, file.len - len, &h),
					                 BM_ZSTD_PEEK_OK);
					assert_true(u.data.len == data.len || u.data.len % c->chunk == 0);
				} else {
					assert_int_equal(u.status, BM_ERR_TRUNCATED);
				}
				if (u.data.len > 0)
					assert_memory_equal(u.data.data, data.data, u.data.len);
				bytes_free(&u.data);
			}
		bytes_free(&file);
		bytes_free(&data);
	}
	bm_zstd_decoder_destroy(d);
}

/* Any damage, any cuts: the two ways of reading never give wrong bytes, and never read or write where they should not
 * (the sanitizers watch). */
static void test_random_damage(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(1 << 20);
	struct bytes data = make_data(KIND_TEXT, 20000);
	struct bytes file = pack_frames(4, data.data, data.len, 7000, true);
	uint64_t seed = 4711;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct bytes copy = {NULL, 0, 0};
		const uint32_t changes = 1 + random_next(&seed) % 4;
		struct unzstd u;

		bytes_add(&copy, file.data, file.len);
		for (uint32_t i = 0; i < changes; i++) {
			const uint32_t r = random_next(&seed);

			copy.data[r % copy.len] = (uint8_t)(r >> 24);
		}
		if (round % 5 == 0)
			copy.len = random_next(&seed) % copy.len;
		u = round % 2 == 0 ? unzstd(d, copy.data, copy.len, 0, 1 + random_next(&seed) % 3000,
		                            1 + random_next(&seed) % 3000)
		                   : unzstd_frames(d, copy.data, copy.len, 1 + random_next(&seed) % 3000, 7000);
		assert_true(u.verified <= data.len);
		if (u.verified > 0)
			assert_memory_equal(u.data.data, data.data, u.verified);
		if (u.status == BM_OK)
			assert_int_equal(u.verified, u.data.len);
		bytes_free(&u.data);
		bytes_free(&copy);
	}
	bytes_free(&file);
	bytes_free(&data);
	bm_zstd_decoder_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_flipped),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
