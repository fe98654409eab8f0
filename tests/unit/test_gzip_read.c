/*
 * test_gzip_read.c - the reading half of bm_gzip.h: headers of every shape, files of other programs, every cut of input
 * and output, and what may stand between and after members. Damage is in test_gzip_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "gzip_testing.h"

/* Reads file at every cut of the input, and with outputs of several sizes: always data. */
static void check_all_cuts(struct bm_gzip_decoder *d, const struct bytes *file, const struct bytes *data,
                           size_t members)
{
	static const size_t out_steps[] = {1, 7, 64, 100000};

	for (size_t i = 0; i < sizeof(out_steps) / sizeof(out_steps[0]); i++)
		for (size_t cut = 0; cut <= file->len; cut++) {
			struct unpacked u =
				unpack(d, file->data, file->len, cut, cut == 0 ? 1 : SIZE_MAX, out_steps[i]);

			if (u.status != BM_OK)
				fail_msg("cut at %zu, %zu bytes out: %s: %s", cut, out_steps[i], u.err.where,
				         u.err.text);
			assert_bytes(&u.data, data->data, data->len);
			assert_int_equal(u.members, members);
			assert_false(u.garbage);
			bytes_free(&u.data);
		}
}

/* ---- headers ---- */

/* All 32 combinations of flags: the peek at every prefix, the whole member, the stream at every cut. */
static void test_every_header(void **state)
{
	static const uint8_t extra[] = {'x', 'y', 3, 0, 1, 2, 3, 'z', 'z', 0, 0};
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 150);

	(void)state;
	for (unsigned flags = 0; flags < 32; flags++)
		for (size_t extra_len = 0; extra_len <= sizeof(extra); extra_len += sizeof(extra)) {
			struct bytes file = {NULL, 0, 0};
			const size_t header_len = add_by_hand(&file, flags, extra, extra_len, data.data, data.len);
			struct bm_gzip_header header;
			uint8_t out[150];
			size_t out_len = 0;

			for (size_t len = 0; len <= file.len; len++) {
				uint8_t *prefix = exact_copy(file.data, len);

				memset(&header, 0xff, sizeof(header));
				assert_int_equal(bm_gzip_peek_header(prefix, len, &header),
				                 len < header_len ? BM_GZIP_PEEK_SHORT : BM_GZIP_PEEK_OK);
				assert_int_equal(header.header_bytes, len < header_len ? 0 : header_len);
				assert_int_equal(header.member_bytes, 0);
				assert_false(header.bgzf);
				free(prefix);
			}
			assert_int_equal(
				bm_gzip_decode_member(d, file.data, file.len, out, sizeof(out), &out_len, NULL), BM_OK);
			assert_int_equal(out_len, data.len);
			assert_memory_equal(out, data.data, data.len);
			check_all_cuts(d, &file, &data, 1);
			if ((flags & FHCRC) != 0) { /* every flip before the sum is noticed by it */
				for (size_t bit = 32; bit < 8 * header_len; bit++) {
					file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
					assert_int_not_equal(bm_gzip_peek_header(file.data, file.len, &header),
					                     BM_GZIP_PEEK_OK);
					file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
				}
			}
			bytes_free(&file);
		}
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

static void test_not_a_header(void **state)
{
	static const struct {
		uint8_t bytes[4];
		size_t len;
		enum bm_gzip_peek peek;
	} cases[] = {
		{{0}, 0, BM_GZIP_PEEK_SHORT},
		{{0x1f}, 1, BM_GZIP_PEEK_SHORT},
		{{0x1f, 0x8b}, 2, BM_GZIP_PEEK_SHORT},
		{{0x1f, 0x8b, 8}, 3, BM_GZIP_PEEK_SHORT},
		{{0x1f, 0x8b, 8, 0}, 4, BM_GZIP_PEEK_SHORT},
		{{0x8b}, 1, BM_GZIP_PEEK_NOT},
		{{0}, 1, BM_GZIP_PEEK_NOT},
		{{0x1f, 0x9d}, 2, BM_GZIP_PEEK_NOT}, /* compress */
		{{0x1f, 0x8b, 7}, 3, BM_GZIP_PEEK_NOT},
		{{0x1f, 0x8b, 8, 0x20}, 4, BM_GZIP_PEEK_NOT},
		{{0x1f, 0x8b, 8, 0x40}, 4, BM_GZIP_PEEK_NOT},
		{{0x1f, 0x8b, 8, 0x80}, 4, BM_GZIP_PEEK_NOT},
	};
	struct bm_gzip_header header;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(bm_gzip_peek_header(cases[i].bytes, cases[i].len, &header), cases[i].peek);
	assert_int_equal(bm_gzip_peek_header(NULL, 0, &header), BM_GZIP_PEEK_SHORT);
}

/* What the size fields say, and what is passed over. */
static void test_size_fields(void **state)
{
	static const struct {
		const char *extra;
		size_t len;
		size_t member_bytes;
		bool bgzf;
	} cases[] = {
		{"IG\4\0\0\1\0\0", 8, 256, false},
		{"IG\4\0\x78\x56\x34\x12", 8, 0x12345678, false},
		{"IG\4\0\xff\xff\xff\xff", 8, 0xffffffff, false},
		{"BC\2\0\xff\xff", 6, 65536, true},
		{"BC\2\0\x1b\x01", 6, 0x11c, true},
		{"xx\0\0IG\4\0\0\1\0\0", 12, 256, false},
		{"xx\3\0abcBC\2\0\0\1", 13, 257, true},
		{"BC\2\0\0\2IG\4\0\0\1\0\0", 14, 256, true},
		{"IG\4\0\0\1\0\0BC\2\0\0\2", 14, 256, true},
		{"IG\4\0\0\1\0\0IG\4\0\0\2\0\0", 16, 256, false}, /* the first counts */
		{"IG\2\0\0\1", 6, 0, false},                      /* not their lengths */
		{"IG\5\0\0\1\0\0\0", 9, 0, false},
		{"IG\10\0\0\1\0\0\0\0\0\0", 12, 0, false},
		{"BC\4\0\0\1\0\0", 8, 0, false},
		{"ig\4\0\0\1\0\0", 8, 0, false},
		{"IG\4\0\0\1\0", 7, 0, false}, /* cut */
		{"IG\4", 3, 0, false},
		{"I", 1, 0, false},
		{"IG\4\0\x1d\0\0\0", 8, 0, false}, /* header 20 + 2 + 8: 29 is too small, 30 is not */
		{"IG\4\0\x1e\0\0\0", 8, 30, false},
		{"IG\4\0\0\0\0\0", 8, 0, false},
		{"BC\2\0\0\0", 6, 0, false},
		{"BC\2\0\x1a\0", 6, 0, false}, /* header 18 + 10 = 28 = the empty BGZF block */
		{"BC\2\0\x1b\0", 6, 28, true},
	};
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes file = {NULL, 0, 0};
		struct bytes data = {NULL, 0, 0};
		struct bm_gzip_header header;

		bytes_add(&data, "data", 4);
		(void)add_by_hand(&file, FEXTRA, cases[i].extra, cases[i].len, data.data, data.len);
		assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_OK);
		assert_int_equal(header.header_bytes, 12 + cases[i].len);
		if (header.member_bytes != cases[i].member_bytes || header.bgzf != cases[i].bgzf)
			fail_msg("case %zu: %zu bytes, bgzf %d", i, header.member_bytes, header.bgzf);
		check_all_cuts(d, &file, &data, 1); /* a stream does not care */
		bytes_free(&file);
		bytes_free(&data);
	}
	bm_gzip_decoder_destroy(d);
}

/* A name of any length up to 1 MiB of header, and no more: in the peek and in the stream alike. */
static void test_long_header(void **state)
{
	const size_t limit = (size_t)1 << 20;
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (size_t over = 0; over <= 1; over++) {
		static const uint8_t fixed[10] = {0x1f, 0x8b, 8, FNAME, 0, 0, 0, 0, 0, 3};
		static const uint8_t rest[10] = {3, 0};
		struct bytes file = {NULL, 0, 0};
		struct bm_gzip_header header;
		struct unpacked u;

		bytes_add(&file, fixed, sizeof(fixed));
		bytes_room(&file, limit);
		memset(file.data + file.len, 'n', limit);
		file.len = limit - 1 + over;
		assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_SHORT);
		bytes_add(&file, "", 1);
		bytes_add(&file, rest, sizeof(rest));
		assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header),
		                 over == 0 ? BM_GZIP_PEEK_OK : BM_GZIP_PEEK_NOT);
		u = unpack(d, file.data, file.len, 0, 1000, 100);
		assert_int_equal(u.status, over == 0 ? BM_OK : BM_ERR_FORMAT);
		assert_int_equal(u.data.len, 0);
		bytes_free(&u.data);
		bytes_free(&file);
	}
	bm_gzip_decoder_destroy(d);
}

/* ---- files of ours at every cut ---- */

static void test_every_cut(void **state)
{
	static const size_t sizes[] = {0, 1, 90, 400};
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (int level = 0; level <= 9; level += 3) {
			struct bytes data = make_data(i == 2 ? KIND_RANDOM : KIND_TEXT, sizes[i]);
			struct bytes indexed = pack_indexed(level, data.data, data.len, 100);
			struct bytes single = pack_single(level, data.data, data.len, 100, level == 6);

			check_all_cuts(d, &indexed, &data, sizes[i] == 400 ? 4 : 1);
			check_all_cuts(d, &single, &data, 1);
			bytes_free(&data);
			bytes_free(&indexed);
			bytes_free(&single);
		}
	bm_gzip_decoder_destroy(d);
}

/* Matches that reach back 32 KiB across outputs smaller than that, and long input. */
static void test_window(void **state)
{
	static const size_t steps[] = {1000, 4096, 32768, 50000, 1000000};
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_RANDOM, 30000);
	struct bytes file;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct bytes copy = {NULL, 0, 0};

		bytes_add(&copy, data.data, 30000);
		bytes_add(&data, copy.data, 30000);
		bytes_free(&copy);
	}
	file = pack_single(6, data.data, data.len, 50000, false);
	assert_true(file.len < data.len / 2);
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 5; k++) {
			struct unpacked u = unpack(d, file.data, file.len, 0, steps[k], steps[i]);

			assert_int_equal(u.status, BM_OK);
			assert_bytes(&u.data, data.data, data.len);
			bytes_free(&u.data);
		}
	bytes_free(&file);
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* What one call tells: it stops at a member's end, with in_used right after it; NULL buffers of no bytes are fine. */
static void test_one_call(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes file = {NULL, 0, 0};
	struct bm_gzip_stream_result res;
	uint8_t out[16];
	size_t first;

	(void)state;
	(void)add_by_hand(&file, FNAME, NULL, 0, (const uint8_t *)"hello", 5);
	first = file.len;
	(void)add_by_hand(&file, 0, NULL, 0, (const uint8_t *)"you", 3);
	assert_int_equal(bm_gzip_stream_decode(d, file.data, file.len, true, out, sizeof(out), &res, NULL), BM_OK);
	assert_int_equal(res.in_used, first);
	assert_int_equal(res.out_made, 5);
	assert_true(res.member_end);
	assert_false(res.complete);
	assert_false(res.garbage);
	assert_int_equal(
		bm_gzip_stream_decode(d, file.data + first, file.len - first, false, out, sizeof(out), &res, NULL),
		BM_OK);
	assert_int_equal(res.in_used, file.len - first);
	assert_int_equal(res.out_made, 3);
	assert_true(res.member_end);
	assert_false(res.complete); /* more may come */
	assert_int_equal(bm_gzip_stream_decode(d, NULL, 0, false, NULL, 0, &res, NULL), BM_OK);
	assert_false(res.member_end);
	assert_false(res.complete);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(bm_gzip_stream_decode(d, NULL, 0, true, NULL, 0, &res, NULL), BM_OK);
		assert_true(res.complete);
		assert_int_equal(res.in_used + res.out_made, 0);
	}
	/* no room for output: the header goes, then nothing; that is not the end of the file */
	bm_gzip_stream_reset(d);
	assert_int_equal(bm_gzip_stream_decode(d, file.data, first, true, NULL, 0, &res, NULL), BM_OK);
	assert_true(res.in_used < first);
	assert_false(res.complete);
	assert_int_equal(
		bm_gzip_stream_decode(d, file.data + res.in_used, first - res.in_used, true, out, 5, &res, NULL),
		BM_OK);
	assert_int_equal(res.out_made, 5);
	assert_true(res.complete);
	assert_true(res.member_end);
	bytes_free(&file);
	bm_gzip_decoder_destroy(d);
	bm_gzip_decoder_destroy(NULL);
}

/* ---- between and after members ---- */

static void test_around_members(void **state)
{
	static const struct {
		const char *after; /* put after a member that holds "hello" */
		size_t len;
		bool again; /* a second member, "hello", after that */
		enum bm_status status;
		bool garbage;
		size_t members;
	} cases[] = {
		{"", 0, false, BM_OK, false, 1},
		{"\0", 1, false, BM_OK, false, 1},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, false, BM_OK, false, 1},
		{"", 0, true, BM_OK, false, 2},
		{"\0\0\0\0\0", 5, true, BM_OK, false, 2},
		{"x", 1, false, BM_OK, true, 1},
		{"garbage\x1f\x8b", 9, false, BM_OK, true, 1},
		{"garbage", 7, true, BM_OK, true, 1},
		{"\0\0garbage", 9, false, BM_OK, true, 1},
		{"\x1fx", 2, false, BM_OK, true, 1},
		{"\0\x1f\0", 3, false, BM_OK, true, 1},
		{"\x8b\x1f", 2, false, BM_OK, true, 1},
		{"\x1f", 1, false, BM_ERR_TRUNCATED, false, 1}, /* may be what is left of a member */
		{"\0\0\x1f", 3, false, BM_ERR_TRUNCATED, false, 1},
		{"\x1f\x8b", 2, false, BM_ERR_TRUNCATED, false, 1},
		{"\x1f\x8b\x08\0\0\0\0\0\0\3", 10, false, BM_ERR_TRUNCATED, false, 1},
		{"\x1f\x8b\x07\0\0\0\0\0\0\3", 10, false, BM_ERR_FORMAT, false, 1},
		{"\x1f\x8b\x08\xe0\0\0\0\0\0\3", 10, false, BM_ERR_FORMAT, false, 1},
		{"\x1f\x8b\x08\2\0\0\0\0\0\3\0\0", 12, false, BM_ERR_FORMAT, false, 1}, /* header CRC */
		{"\x1f\x8b\x08\0\0\0\0\0\0\3\7", 11, false, BM_ERR_FORMAT, false, 1},   /* block type 3 */
		{"\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\1\0\0\0\0\0\0\0", 20, false, BM_ERR_FORMAT, false, 1}, /* CRC */
		{"\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\1\0\0\0", 20, false, BM_ERR_FORMAT, false, 1}, /* ISIZE */
	};
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes file = {NULL, 0, 0};

		(void)add_by_hand(&file, 0, NULL, 0, (const uint8_t *)"hello", 5);
		bytes_add(&file, cases[i].after, cases[i].len);
		if (cases[i].again)
			(void)add_by_hand(&file, 0, NULL, 0, (const uint8_t *)"hello", 5);
		for (size_t cut = 0; cut <= file.len; cut++) {
			struct unpacked u = unpack(d, file.data, file.len, cut, cut == 0 ? 1 : SIZE_MAX, 3);

			if (u.status != cases[i].status || u.garbage != cases[i].garbage ||
			    u.members != cases[i].members)
				fail_msg("case %zu cut at %zu: status %d garbage %d members %zu: %s", i, cut, u.status,
				         u.garbage, u.members, u.err.text);
			assert_int_equal(u.verified, 5 * cases[i].members);
			assert_int_equal(u.data.len, u.verified);
			bytes_free(&u.data);
		}
		bytes_free(&file);
	}
	bm_gzip_decoder_destroy(d);
}

/* Garbage stays garbage, and takes no input. */
static void test_garbage_stays(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes file = {NULL, 0, 0};
	struct bm_gzip_stream_result res;
	uint8_t out[16];

	(void)state;
	(void)add_by_hand(&file, 0, NULL, 0, (const uint8_t *)"hello", 5);
	assert_int_equal(bm_gzip_stream_decode(d, file.data, file.len, false, out, sizeof(out), &res, NULL), BM_OK);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(bm_gzip_stream_decode(d, "junk", 4, again == 1, out, sizeof(out), &res, NULL), BM_OK);
		assert_true(res.garbage);
		assert_true(res.complete);
		assert_false(res.member_end);
		assert_int_equal(res.in_used, 0);
	}
	assert_int_equal(bm_gzip_stream_decode(d, file.data, file.len, true, out, sizeof(out), &res, NULL), BM_OK);
	assert_true(res.garbage);
	bytes_free(&file);
	bm_gzip_decoder_destroy(d);
}

/* First bytes that are no member's: an error, of its own kind where there are none. */
static void test_not_gzip(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum bm_status status;
		const char *text;
	} cases[] = {
		{"", 0, BM_ERR_TRUNCATED, "empty"},
		{"\x1f", 1, BM_ERR_TRUNCATED, "end of file"},
		{"x", 1, BM_ERR_FORMAT, "not a gzip file"},
		{"\x1fx", 2, BM_ERR_FORMAT, "not a gzip file"},
		{"\0\0\0", 3, BM_ERR_FORMAT, "not a gzip file"},
		{"\x28\xb5\x2f\xfd", 4, BM_ERR_FORMAT, "not a gzip file"},
		{"\x1f\x8b\x09", 3, BM_ERR_FORMAT, "compression method"},
		{"\x1f\x8b\x08\x80", 4, BM_ERR_FORMAT, "flags"},
	};
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step <= 4; step++) {
			struct unpacked u = unpack(d, (const uint8_t *)cases[i].bytes, cases[i].len, 0, step, 10);

			assert_int_equal(u.status, cases[i].status);
			if (strstr(u.err.text, cases[i].text) == NULL)
				fail_msg("case %zu: %s", i, u.err.text);
			assert_false(u.garbage);
			bytes_free(&u.data);
		}
	bm_gzip_decoder_destroy(d);
}

/* Errors say where, count from reset, and stay until the next one. */
static void test_offsets_and_reset(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bm_gzip_stream_result res;
	struct bytes file = {NULL, 0, 0};
	struct bytes good = {NULL, 0, 0};
	struct bytes data = make_data(KIND_TEXT, 300);
	char want[64];
	uint8_t out[400];
	size_t out_len;
	size_t second;
	size_t header_len;

	(void)state;
	(void)add_by_hand(&file, FNAME, NULL, 0, data.data, data.len);
	second = file.len;
	header_len = add_by_hand(&file, FCOMMENT, NULL, 0, data.data, data.len);
	bytes_add(&good, file.data, file.len);
	for (size_t what = 0; what < 4; what++) {
		const size_t spots[4] = {second + 2, second + header_len, file.len - 8, file.len - 4};

		file.data[spots[what]] = 0xff; /* method, block type 3, CRC-32, ISIZE */
		for (size_t step = 1; step < 200; step += 33) {
			struct unpacked u = unpack(d, file.data, file.len, 0, step, 100);
			char *end = NULL;

			assert_int_equal(u.status, BM_ERR_FORMAT);
			assert_int_equal(u.members, 1);
			assert_memory_equal(u.err.where, "offset ", 7);
			/* inflate may have taken the byte in which the fault lies, or not */
			assert_in_range(strtoull(u.err.where + 7, &end, 10), spots[what],
			                spots[what] + (what == 1 ? 1 : 0));
			assert_int_equal(*end, '\0');
			(void)snprintf(want, sizeof(want), "gzip member 2, which begins at offset %zu", second);
			assert_non_null(strstr(u.err.text, want));
			bytes_free(&u.data);
		}
		assert_int_equal(bm_gzip_stream_decode(d, good.data, good.len, true, out, sizeof(out), &res, NULL),
		                 BM_ERR_USAGE);
		assert_int_equal(res.in_used + res.out_made, 0);
		file.data[spots[what]] = good.data[spots[what]];
		{
			struct unpacked u = unpack(d, file.data, file.len, 0, 100, 100);

			assert_int_equal(u.status, BM_OK);
			assert_int_equal(u.members, 2);
			bytes_free(&u.data);
		}
	}
	/* a whole member ends a stream */
	assert_int_equal(bm_gzip_decode_member(d, file.data, second, out, sizeof(out), &out_len, NULL), BM_OK);
	assert_int_equal(bm_gzip_stream_decode(d, file.data, file.len, true, out, sizeof(out), &res, NULL),
	                 BM_ERR_USAGE);
	bytes_free(&file);
	bytes_free(&good);
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* ---- whole members ---- */

static void test_member_sizes(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (int level = first_level(); level <= last_level(); level++)
		for (size_t len = 0; len <= 70000; len = len * 3 + 1) {
			struct bytes data = make_data(level % 2 == 0 ? KIND_TEXT : KIND_RANDOM, len);
			struct bytes file = pack_indexed(level, data.data, len, 1u << 20);
			struct bytes longer = {NULL, 0, 0};
			struct bm_error err = BM_ERROR_INIT;
			uint8_t *out = exact_copy(data.data, len); /* of exactly the right size */
			size_t out_len = 77;

			if (len > 0)
				memset(out, 0, len);
			assert_int_equal(bm_gzip_decode_member(d, file.data, file.len, len > 0 ? out : NULL, len,
			                                       &out_len, NULL),
			                 BM_OK);
			assert_int_equal(out_len, len);
			assert_memory_equal(out, data.data, len > 0 ? len : 0);
			for (size_t less = 1; less <= len && less <= 2000; less = less * 2 + 1) {
				uint8_t *small = exact_copy(data.data, len - less);

				assert_int_equal(bm_gzip_decode_member(d, file.data, file.len, small, len - less,
				                                       &out_len, NULL),
				                 BM_ERR_LIMIT);
				assert_int_equal(out_len, 0);
				free(small);
			}
			/* bytes too many: a size field that lies */
			bytes_add(&longer, file.data, file.len);
			bytes_add(&longer, "x", 1);
			assert_int_equal(bm_gzip_decode_member(d, longer.data, longer.len, out, len, &out_len, &err),
			                 BM_ERR_FORMAT);
			assert_non_null(strstr(err.text, "1 bytes shorter"));
			bytes_add(&longer, file.data, file.len);
			assert_int_equal(bm_gzip_decode_member(d, longer.data, longer.len, out, len, &out_len, NULL),
			                 BM_ERR_FORMAT);
			free(out);
			bytes_free(&data);
			bytes_free(&file);
			bytes_free(&longer);
		}
	bm_gzip_decoder_destroy(d);
}

/* Every truncation of a member, also with room for nothing more than its bytes: never LIMIT, never OK. */
static void test_member_truncated(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	uint8_t out[300];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (int level = first_level(); level <= last_level(); level++) {
			struct bytes data = make_data((enum kind)i, 300);
			struct bytes file = pack_indexed(level, data.data, data.len, 1u << 20);

			for (size_t len = 0; len < file.len; len++) {
				uint8_t *in = exact_copy(file.data, len);
				size_t out_len = 5;

				for (size_t room = 0; room <= 300; room += 150) {
					const enum bm_status s =
						bm_gzip_decode_member(d, in, len, out, room, &out_len, NULL);

					if (s != BM_ERR_TRUNCATED && !(s == BM_ERR_LIMIT && room < 300))
						fail_msg("level %d, %zu of %zu bytes: %d", level, len, file.len, s);
					assert_int_equal(out_len, 0);
				}
				free(in);
			}
			bytes_free(&data);
			bytes_free(&file);
		}
	bm_gzip_decoder_destroy(d);
}

/* ---- files of other programs ---- */

static const struct writer {
	const char *needs;
	const char *command; /* writes the gzip file to stdout, from ./data */
	size_t members;
} writers[] = {
	{"gzip", "gzip -c data", 1},
	{"gzip", "gzip -1nc data", 1},
	{"gzip", "gzip -c data; gzip -9c data", 2},
	{"gzip", "gzip -c data; gzip -c /dev/null; gzip -c data; gzip -c /dev/null", 4},
	{"pigz", "pigz -c data", 1},
	{"pigz", "pigz -p2 -b128 -C 'a comment' -c data", 1},
	{"pigz", "pigz -11 -c data", 1},
	{"igzip", "igzip -c data", 1},
	{"libdeflate-gzip", "libdeflate-gzip -12 -c data", 1},
	{"bgzip", "bgzip -c data", 2}, /* with its end block */
	{"python3",
         "python3 -c 'import gzip,sys\nsys.stdout.buffer.write(gzip.compress(open(\"data\",\"rb\").read()))'", 1},
};
#define WRITER_COUNT (sizeof(writers) / sizeof(writers[0]))

static void test_program_wrote(void **state)
{
	const struct writer *w = *state;
	struct bm_gzip_decoder *d = new_decoder();
	char directory[64];
	char command[512];

	if (!has_program(w->needs)) {
		bm_gzip_decoder_destroy(d);
		skip();
	}
	make_directory(directory);
	for (size_t i = 0; i < 3;
	     i++) { /* 600 bytes at every cut; 300,000, of which one kind does not compress, in steps */
		struct bytes data = make_data(i == 2 ? KIND_RANDOM : KIND_TEXT, i == 0 ? 600 : 300000);
		struct bytes want = {NULL, 0, 0};
		struct bytes file;
		const bool twice = strstr(w->command, "; gzip") != NULL;
		struct bm_gzip_header header;

		write_file(directory, "data", data.data, data.len);
		(void)snprintf(command, sizeof(command), "cd '%s' && { %s; }", directory, w->command);
		file = run_program(command);
		assert_true(file.len > 0);
		bytes_add(&want, data.data, data.len);
		if (twice)
			bytes_add(&want, data.data, data.len);
		assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_OK);
		assert_int_equal(header.bgzf, strcmp(w->needs, "bgzip") == 0);
		assert_int_equal(header.member_bytes > 0, header.bgzf);
		if (i == 0) {
			check_all_cuts(d, &file, &want, w->members);
		} else {
			for (size_t step = 100; step <= 1000000; step *= 100) {
				struct unpacked u = unpack(d, file.data, file.len, 0, step, 70000);

				assert_int_equal(u.status, BM_OK);
				assert_bytes(&u.data, want.data, want.len);
				bytes_free(&u.data);
			}
		}
		if (header.bgzf) { /* block by block, as the sizes lead */
			struct bytes joined = {NULL, 0, 0};
			size_t at = 0;

			while (at < file.len) {
				uint8_t *out = malloc(65536);
				size_t out_len = 0;

				assert_non_null(out);
				assert_int_equal(bm_gzip_peek_header(file.data + at, file.len - at, &header),
				                 BM_GZIP_PEEK_OK);
				assert_true(header.bgzf);
				assert_int_equal(bm_gzip_decode_member(d, file.data + at, header.member_bytes, out,
				                                       65536, &out_len, NULL),
				                 BM_OK);
				bytes_add(&joined, out, out_len);
				at += header.member_bytes;
				free(out);
			}
			assert_int_equal(at, file.len);
			assert_bytes(&joined, want.data, want.len);
			bytes_free(&joined);
		}
		bytes_free(&file);
		bytes_free(&want);
		bytes_free(&data);
	}
	remove_directory(directory);
	bm_gzip_decoder_destroy(d);
}

/* What we make by hand is what the real programs take for gzip: FHCRC, FEXTRA and all. */
static void test_by_hand_is_gzip(void **state)
{
	char directory[64];
	char command[256];

	(void)state;
	if (!has_program("gzip") || !has_program("python3"))
		skip();
	make_directory(directory);
	for (unsigned flags = 0; flags < 32; flags++) {
		struct bytes file = {NULL, 0, 0};
		char name[32];

		(void)add_by_hand(&file, flags, "xy\1\0z", 5, (const uint8_t *)"hello", 5);
		(void)snprintf(name, sizeof(name), "%02u.gz", flags);
		write_file(directory, name, file.data, file.len);
		bytes_free(&file);
	}
	(void)snprintf(command, sizeof(command), "cd '%s' && gzip -t *.gz", directory);
	assert_int_equal(system(command), 0);
	(void)snprintf(command, sizeof(command),
	               "cd '%s' && python3 -c 'import glob,gzip\nfor f in glob.glob(\"*.gz\"): "
	               "assert gzip.open(f).read() == b\"hello\", f'",
	               directory);
	assert_int_equal(system(command), 0);
	remove_directory(directory);
}

int main(void)
{
	static const struct CMUnitTest own[] = {
		cmocka_unit_test(test_every_header),      cmocka_unit_test(test_not_a_header),
		cmocka_unit_test(test_size_fields),       cmocka_unit_test(test_long_header),
		cmocka_unit_test(test_every_cut),         cmocka_unit_test(test_window),
		cmocka_unit_test(test_one_call),          cmocka_unit_test(test_around_members),
		cmocka_unit_test(test_garbage_stays),     cmocka_unit_test(test_not_gzip),
		cmocka_unit_test(test_offsets_and_reset), cmocka_unit_test(test_member_sizes),
		cmocka_unit_test(test_member_truncated),  cmocka_unit_test(test_by_hand_is_gzip),
	};
	struct CMUnitTest others[WRITER_COUNT];
	char names[WRITER_COUNT][48];
	int failed;

	for (size_t i = 0; i < WRITER_COUNT; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%zu, written by %s", i, writers[i].needs);
		others[i] =
			(struct CMUnitTest){names[i], test_program_wrote, NULL, NULL, (void *)(uintptr_t)&writers[i]};
	}
	failed = run_with_engines("gzip reading", READING, own, COUNT_OF(own), NULL, NULL);
	failed += run_with_engines("gzip from programs", READING, others, WRITER_COUNT, NULL, NULL);
	return failed == 0 ? 0 : 1;
}
