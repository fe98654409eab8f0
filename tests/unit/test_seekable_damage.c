/*
 * test_seekable_damage.c - damaged files, read at any place: every flipped bit, every truncation, every wrong size in a
 * long row, random damage, no memory. Files that are made to mislead: test_seekable_lies.c.
 *
 * The rule: an error, or the right bytes; fewer of them only with a warning, or where a file was cut at a place where it
 * may end. Never wrong bytes. And never many reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "fail_alloc.h"
#include "seekable_testing.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* What became of one range. */
enum outcome { RIGHT, SHORT, FAILED };

static enum outcome try_range(struct stack *s, const struct bytes *data, size_t offset, size_t len, const char *what,
                              size_t where)
{
	struct bm_error err = BM_ERROR_INIT;
	const size_t left = offset < data->len ? data->len - offset : 0;
	const size_t want = len < left ? len : left;
	uint8_t *buf = malloc(len > 0 ? len : 1);
	enum bm_status status;
	size_t got;

	assert_non_null(buf);
	status = bm_seekable_read(s->top, buf, len, offset, &got, &err);
	assert_true(got <= len);
	if (got > want || (got > 0 && memcmp(buf, data->data + offset, got) != 0))
		fail_msg("%s, damage at %zu: %zu bytes at %zu: wrong bytes", what, where, len, offset);
	free(buf);
	if (status == BM_OK)
		return got == want ? RIGHT : SHORT;
	if (err.text[0] == '\0' || status == BM_ERR_FAILED || status == BM_ERR_CHANGED)
		fail_msg("%s, damage at %zu: %d, %s", what, where, (int)status, err.text);
	return FAILED;
}

/* Reads all over a file that may be damaged. may_be_short: it may end early without a warning. */
static enum outcome read_all_over(enum form form, const struct bytes *file, const struct bytes *gzi, size_t unit_max,
                                  const struct bytes *data, bool may_be_short, bool may_be_other, size_t where)
{
	static const size_t ranges[][2] = {{250, 60}, {0, 400}, {99, 2}, {300, 1}, {329, 100}, {330, 1}, {5, 5}};
	enum outcome worst = RIGHT;
	struct stack s;
	uint64_t size;

	open_stack(&s, file, gzi, unit_max);
	if (s.status != BM_OK)
		worst = FAILED;
	else if (s.depth < depth_of(form)) { /* another kind of file by now */
		if (!may_be_other)
			fail_msg("%s, damage at %zu: depth %zu", form_names[form], where, s.depth);
		worst = FAILED;
	}
	for (size_t i = 0; i < LENGTH(ranges) && worst != FAILED; i++) {
		const enum outcome o = try_range(&s, data, ranges[i][0], ranges[i][1], form_names[form], where);

		if (o == SHORT && !may_be_short) {
			bool warned = false;

			for (size_t k = 0; k <= s.depth; k++)
				warned = warned || bm_seekable_warning(s.layers[k]) != NULL;
			if (!warned)
				fail_msg("%s, damage at %zu: short without a warning", form_names[form], where);
		}
		worst = o > worst ? o : worst;
	}
	if (worst != FAILED && bm_seekable_size(s.top, &size, NULL) == BM_OK) {
		assert_true(size <= data->len && (size == data->len || worst == SHORT));
		if (size >= 20)
			(void)try_range(&s, data, (size_t)size - 20, 20, form_names[form], where);
	}
	assert_true(s.file.reads + s.index.reads < 1000);
	close_stack(&s);
	return worst;
}

static void test_every_bit_flipped(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 330);

	(void)state;
	for (enum form form = FORM_INDEXED; form < FORM_COUNT; form++) {
		struct bytes gzi;
		struct bytes file = pack_form(form, data.data, data.len, 100, &gzi);
		const size_t unit_max = form < FORM_AGE ? 50 : 0;
		size_t count[3] = {0};

		assert_int_equal(read_all_over(form, &file, &gzi, 0, &data, false, false, 0), RIGHT);
		assert_int_equal(read_all_over(form, &file, &gzi, unit_max, &data, false, false, 0), RIGHT);
		for (size_t bit = 0; bit < 8 * (file.len + gzi.len); bit++) {
			const size_t at = bit / 8;
			uint8_t *const byte = at < file.len ? &file.data[at] : &gzi.data[at - file.len];

			*byte ^= (uint8_t)(1u << bit % 8);
			count[read_all_over(form, &file, &gzi, bit % 3 == 0 ? unit_max : 0, &data, false, at < 22,
			                    at)]++;
			*byte ^= (uint8_t)(1u << bit % 8);
		}
		/* MTIME, XFL and OS of the headers, and bits that nothing reads; age has none. A magic in the middle
		 * makes garbage. */
		if (count[FAILED] < 4 * count[RIGHT] && form != FORM_BGZF_GZI)
			fail_msg("%s: %zu right, %zu short, %zu failed", form_names[form], count[RIGHT], count[SHORT],
			         count[FAILED]);
		if (form == FORM_AGE || form == FORM_GZIP_AGE || form == FORM_ZSTD_AGE)
			assert_int_equal(count[RIGHT] + count[SHORT], 0);
		bytes_free(&file);
		bytes_free(&gzi);
	}
	bytes_free(&data);
}

static void test_every_truncation(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 330);

	(void)state;
	for (enum form form = FORM_INDEXED; form < FORM_COUNT; form++) {
		struct bytes gzi;
		struct bytes file = pack_form(form, data.data, data.len, 100, &gzi);
		size_t accepted = 0;

		for (size_t len = 0; len < file.len; len++) {
			struct bytes cut = {file.data, len, 0};

			for (size_t unit_max = 0; unit_max < (form < FORM_AGE ? 100 : 50); unit_max += 50)
				accepted +=
					read_all_over(form, &cut, &gzi, unit_max, &data, true, len < 22, len) != FAILED;
		}
		/* Between units, of which there are four, in the end blocks and in the seek table's place. */
		if (form == FORM_ZSTD_AGE_BGZF)
			assert_in_range(accepted, 0, 1);
		else if (form >= FORM_AGE)
			assert_int_equal(accepted, 0);
		else
			assert_in_range(accepted, 1, 2 * 8);
		for (size_t len = 0; len < gzi.len; len++) {
			struct bytes cut = {gzi.data, len, 0};

			assert_int_equal(read_all_over(form, &file, &cut, 0, &data, true, false, len), RIGHT);
		}
		bytes_free(&file);
		bytes_free(&gzi);
	}
	bytes_free(&data);
}

/* One wrong size in a long row, whichever it is: what lies behind it is not to be had. */
static size_t wrong_sizes(const char *what, struct bytes *file, uint8_t *const *claims, const size_t *ends,
                          size_t count, unsigned bits, const struct bytes *data, uint64_t *seed)
{
	size_t failed = 0;

	for (size_t i = 0; i + 1 < count; i++) {
		const unsigned bit = random_next(seed) % bits;
		const size_t behind = ends[i] + random_next(seed) % (data->len - ends[i]);
		struct stack s;

		claims[i][bit / 8] ^= (uint8_t)(1u << bit % 8);
		open_stack(&s, file, NULL, 0);
		if (s.layers[0] != NULL && s.depth > 0) { /* it may have failed when its size was wanted */
			s.top = s.layers[0];
			failed += try_range(&s, data, behind, 100, what, i) == FAILED;
			failed += try_range(&s, data, ends[i], 1, what, i) == FAILED;
		} else {
			failed += 2;
		}
		close_stack(&s);
		claims[i][bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	return failed;
}

#define CLAIMS_MAX 256

static void test_every_wrong_size(void **state)
{
	/* Equal units; runs of two sizes, of which one is a run of one; a shorter last chunk; units of no pattern. */
	static const size_t chunks[] = {52000, 262144, 1 << 20, 77777};
	struct bytes data = make_data(KIND_TEXT, 6000000);
	uint64_t seed = 31337;

	(void)state;
	for (size_t k = 0; k < LENGTH(chunks); k++) {
		struct bytes files[] = {
			pack_indexed(1, data.data, data.len, chunks[k]),
			pack_bgzf(1, data.data, data.len, chunks[k], false, NULL),
			pack_frames(1, data.data, data.len, chunks[k], false),
			pack_frames(1, data.data, data.len, chunks[k], true),
		};

		for (size_t f = 0; f < LENGTH(files); f++) {
			struct bytes *const file = &files[f];
			uint8_t *claims[CLAIMS_MAX];
			size_t ends[CLAIMS_MAX], count = 0, at = 0, plain = 0, failed;

			while (at < file->len && count < CLAIMS_MAX && plain < data.len) {
				struct bm_gzip_header h;
				struct bm_zstd_header z;
				struct bm_zstd_scan scan;
				size_t used;

				if (f < 2) {
					assert_int_equal(bm_gzip_peek_header(file->data + at, file->len - at, &h),
					                 BM_GZIP_PEEK_OK);
					at += h.member_bytes;
					claims[count] = file->data + at - 4;
				} else {
					bm_zstd_scan_start(&scan);
					assert_int_equal(
						bm_zstd_scan_feed(&scan, file->data + at, file->len - at, &used),
						BM_ZSTD_SCAN_END);
					z = scan.header; /* the content's size is at its end, 256 less where it has two bytes */
					claims[count] = file->data + at + z.header_bytes -
					                (z.content_bytes < 65536 + 256 ? 2 : 4);
					if (f == 3)
						claims[count] = file->data + file->len - 9 -
						                12 * ((data.len + chunks[k] - 1) / chunks[k] - count) +
						                4;
					at += used;
				}
				plain += f < 2 ? claims[count][0] + 256u * claims[count][1] + 65536u * claims[count][2]
				               : z.content_bytes;
				ends[count++] = plain;
			}
			assert_int_equal(plain, data.len);
			failed = wrong_sizes(f < 2 ? "gzip" : "zstd", file, claims, ends, count, f == 1 ? 16 : 24,
			                     &data, &seed);
			if (failed != 2 * (count - 1))
				fail_msg("file %zu in chunks of %zu: %zu of %zu", f, chunks[k], failed,
				         2 * (count - 1));
			bytes_free(file);
		}
	}
	bytes_free(&data);
}

static void test_random_damage(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 3000);
	uint64_t seed = 20261122;

	(void)state;
	for (enum form form = FORM_INDEXED; form < FORM_COUNT; form++) {
		struct bytes gzi;
		struct bytes file = pack_form(form, data.data, data.len, 300, &gzi);

		for (unsigned round = 0; round < 400; round++) {
			struct bytes bad = {NULL, 0, 0};
			struct stack s;
			uint8_t out[700];
			size_t got;

			bytes_add(&bad, file.data, file.len);
			for (unsigned n = 1 + round % 4; n > 0; n--) {
				const size_t at = random_next(&seed) % bad.len;
				const size_t len = 1 + random_next(&seed) % 8;

				for (size_t i = at; i < at + len && i < bad.len; i++)
					bad.data[i] = (uint8_t)(round % 3 == 0 ? 0xff : random_next(&seed));
			}
			if (round % 5 == 0) /* a part of it again */
				bytes_add(&bad, file.data, random_next(&seed) % file.len);
			open_stack(&s, &bad, &gzi, round % 2 == 0 ? 0 : 200);
			for (size_t i = 0; i <= s.depth && s.layers[i] != NULL; i++) {
				for (size_t at = 0; at < 3300; at += 600) {
					struct bm_error err = BM_ERROR_INIT;
					const enum bm_status status =
						bm_seekable_read(s.layers[i], out, sizeof(out), at, &got, &err);

					assert_int_equal(status, err.status);
					assert_true(got <= sizeof(out));
				}
			}
			assert_true(s.file.reads < 3000);
			close_stack(&s);
			bytes_free(&bad);
		}
		bytes_free(&file);
		bytes_free(&gzi);
	}
	bytes_free(&data);
}

static void test_no_memory(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 1500);

	(void)state;
	for (enum form form = FORM_PLAIN; form < FORM_GZIP_AGE; form++) {
		struct bytes gzi;
		struct bytes file = pack_form(form, data.data, data.len, 400, &gzi);
		bool hit = true;

		for (unsigned at = 1; hit; at++) {
			for (size_t unit_max = 0; unit_max <= 300; unit_max += 300) {
				struct memory m = {.data = file.data, .len = file.len};
				struct memory index = {.data = gzi.data, .len = gzi.len};
				struct bm_seekable_source src = {.pread = memory_pread, .ctx = &m, .size = file.len};
				struct bm_seekable_source gzi_src = {
					.pread = memory_pread, .ctx = &index, .size = gzi.len};
				struct bm_seekable_options opt = {.identities = testing_identities,
				                                  .gzi = gzi.len > 0 ? &gzi_src : NULL,
				                                  .unit_max_bytes = unit_max};
				struct bm_error err = BM_ERROR_INIT;
				struct bm_seekable *s = NULL;
				enum bm_status status;
				uint8_t out[900];
				size_t got = 0;

				fail_alloc_arm(at, false);
				status = bm_seekable_open(&src, &opt, &s, &err);
				if (status == BM_OK)
					status = bm_seekable_read(s, out, sizeof(out), 350, &got, &err);
				hit = fail_alloc_disarm();
				/* OpenSSL may do without, or say something else. */
				if (hit && form != FORM_AGE && status != BM_ERR_NOMEM && gzi.len == 0)
					fail_msg("%s, allocation %u: %d, %s", form_names[form], at, (int)status,
					         err.text);
				if (status == BM_OK) {
					assert_int_equal(got, sizeof(out));
					assert_memory_equal(out, data.data + 350, got);
				} else {
					assert_true(hit);
				}
				if (s != NULL)
					expect_range(s, &data, 350, 900, form_names[form]); /* it can go on */
				bm_seekable_destroy(s);
			}
		}
		bytes_free(&file);
		bytes_free(&gzi);
	}
	bytes_free(&data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_flipped), cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_wrong_size),  cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("seekable damage", tests, make_key, free_key);
}
