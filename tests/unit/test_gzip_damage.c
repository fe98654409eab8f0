/*
 * test_gzip_damage.c - damaged gzip files: every single flipped bit, every truncation, random damage, lying size
 * fields.
 *
 * The rule: an error, or the garbage flag with whole members before it, or the right bytes (a bit of MTIME or of a name
 * says nothing about the data). Never wrong bytes with a good end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "gzip_testing.h"

static void put_u32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* A file in each layout, small enough for every bit of it. */
static struct bytes damage_file(size_t which, const struct bytes *data)
{
	struct bytes file = {NULL, 0, 0};

	switch (which) {
	case 0:
		return pack_indexed(6, data->data, data->len, data->len / 2 + 1);
	case 1:
		return pack_indexed(0, data->data, data->len, data->len / 2 + 1);
	case 2:
		return pack_single(6, data->data, data->len, data->len / 3 + 1, false);
	case 3:
		return pack_single(1, data->data, data->len, data->len / 3 + 1, true);
	case 4:
		(void)add_by_hand(&file, FHCRC | FEXTRA | FNAME | FCOMMENT, "BC\2\0\xff\xff", 6, data->data, data->len);
		return file;
	case 5:
		return pack_indexed(9, data->data, data->len, data->len + 1);
	default:
		return pack_bgzf(3, data->data, data->len, data->len, false, NULL);
	}
}
#define DAMAGE_FILES 7
#define BGZF_FILE 6

static void test_every_bit_flipped(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 330);

	(void)state;
	for (size_t which = 0; which < DAMAGE_FILES; which++) {
		struct bytes file = damage_file(which, &data);
		size_t accepted = 0;

		for (size_t bit = 0; bit < 8 * file.len; bit++) {
			struct unpacked u;
			uint8_t out[400];
			size_t out_len = 0;

			file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			u = unpack(d, file.data, file.len, bit / 8, SIZE_MAX, bit % 2 == 0 ? 50 : 1000);
			/* what a member's end vouched for is right in any case */
			assert_true(u.verified <= data.len);
			assert_memory_equal(u.data.data, data.data, u.verified);
			if (u.garbage) {
				assert_true(u.members > 0);
				assert_int_equal(u.data.len, u.verified);
			} else if (u.status == BM_OK) {
				assert_bytes(&u.data, data.data, data.len);
				assert_int_equal(u.verified, data.len);
				accepted++;
				/* the magic, the method, the trailer: not one bit of these */
				assert_false(bit < 24 || bit >= 8 * (file.len - 8));
			} else {
				assert_true(u.status == BM_ERR_FORMAT || u.status == BM_ERR_TRUNCATED);
			}
			if (which == 4 || which == 5) { /* one member */
				const enum bm_status s =
					bm_gzip_decode_member(d, file.data, file.len, out, sizeof(out), &out_len, NULL);

				assert_int_equal(s == BM_OK, u.status == BM_OK);
				if (s == BM_OK) {
					assert_int_equal(out_len, data.len);
					assert_memory_equal(out, data.data, data.len);
				}
			}
			bytes_free(&u.data);
			file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		/* At most: FTEXT, MTIME, XFL, OS, the extra field and its length's bits, and the deflate data's unused
		 * bits: those that bring it to a byte boundary, and code lengths of symbols that do not occur. */
		assert_true(accepted <= (which < 2 || which == BGZF_FILE ? 2 : 1) * (1 + 48 + 80 + 40));
		if (which == 4) /* its header has a CRC: unused bits alone */
			assert_true(accepted < 40);
		bytes_free(&file);
	}
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

static void test_every_truncation(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 330);

	(void)state;
	for (size_t which = 0; which < DAMAGE_FILES; which++) {
		struct bytes file = damage_file(which, &data);
		struct bm_gzip_header header;
		size_t boundary = 0;

		if (which < 2 ||
		    which == BGZF_FILE) { /* two members: the file may end after the first, and nobody can tell */
			assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_OK);
			boundary = header.member_bytes;
			assert_in_range(boundary, 1, file.len - 1);
		}
		for (size_t len = 0; len < file.len; len++)
			for (size_t step = 1; step <= 1000; step += 333) {
				struct unpacked u = unpack(d, file.data, len, 0, step, 3 * step);

				assert_int_equal(u.status, len > 0 && len == boundary ? BM_OK : BM_ERR_TRUNCATED);
				assert_int_equal(u.members, boundary > 0 && len >= boundary ? 1 : 0);
				assert_true(u.data.len <= data.len);
				if (u.data.len > 0)
					assert_memory_equal(u.data.data, data.data, u.data.len);
				bytes_free(&u.data);
			}
		bytes_free(&file);
	}
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* What can be had of a truncated file is had, however little room there is for it at a time: inflate has used up all
 * input and still holds much of a match when the output is full. */
static void test_truncated_gives_all(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_ZERO, 5000);
	struct bytes file = pack_indexed(6, data.data, data.len, data.len);
	size_t most = 0;

	(void)state;
	for (size_t len = 20; len < file.len; len++) {
		struct unpacked whole = unpack(d, file.data, len, 0, SIZE_MAX, 100000);

		for (size_t room = 1; room <= 300; room += 13) {
			struct unpacked u = unpack(d, file.data, len, 0, SIZE_MAX, room);

			assert_int_equal(u.status, BM_ERR_TRUNCATED);
			assert_int_equal(u.data.len, whole.data.len);
			bytes_free(&u.data);
		}
		most = whole.data.len > most ? whole.data.len : most;
		bytes_free(&whole.data);
	}
	assert_int_equal(most, data.len);
	bytes_free(&file);
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* Some bytes changed, taken out or put in, anywhere, read in random steps: no crash, no hang, no wrong bytes. */
static void test_random_damage(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 330);
	uint64_t seed = 20240229;

	(void)state;
	for (size_t which = 0; which < DAMAGE_FILES; which++) {
		struct bytes file = damage_file(which, &data);

		for (size_t round = 0; round < 3000; round++) {
			struct bytes bad = {NULL, 0, 0};
			const size_t at = random_next(&seed) % file.len;
			const size_t gone = random_next(&seed) % 4;
			const size_t put = random_next(&seed) % 5;
			struct unpacked u;

			bytes_add(&bad, file.data, at);
			for (size_t i = 0; i < put; i++) {
				const uint8_t c = (uint8_t)random_next(&seed);

				bytes_add(&bad, &c, 1);
			}
			if (at + gone < file.len)
				bytes_add(&bad, file.data + at + gone, file.len - at - gone);
			if (bad.len == 0) {
				bytes_free(&bad);
				continue;
			}
			u = unpack(d, bad.data, bad.len, 0, 1 + random_next(&seed) % 100, 1 + random_next(&seed) % 500);
			assert_true(u.verified <= data.len);
			if (u.verified > 0)
				assert_memory_equal(u.data.data, data.data, u.verified);
			if (u.status == BM_OK)
				assert_int_equal(u.data.len, u.verified);
			bytes_free(&u.data);
			bytes_free(&bad);
		}
		bytes_free(&file);
	}
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* A wrong size field is noticed by whoever believes it, and by nobody else. */
static void test_wrong_size_field(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 500);
	struct bytes file = pack_indexed(6, data.data, data.len, 250);
	struct bm_gzip_header header;
	uint8_t out[600];
	size_t out_len;
	size_t right;

	(void)state;
	assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_OK);
	right = header.member_bytes;
	for (size_t wrong = 30; wrong <= file.len; wrong++) {
		struct unpacked u;

		put_u32(file.data + 16, (uint32_t)wrong);
		assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_OK);
		assert_int_equal(header.member_bytes, wrong);
		assert_int_equal(bm_gzip_decode_member(d, file.data, wrong, out, sizeof(out), &out_len, NULL),
		                 wrong == right  ? BM_OK
		                 : wrong < right ? BM_ERR_TRUNCATED
		                                 : BM_ERR_FORMAT);
		u = unpack(d, file.data, file.len, 0, 100, 100);
		assert_int_equal(u.status, BM_OK);
		assert_bytes(&u.data, data.data, data.len);
		bytes_free(&u.data);
	}
	bytes_free(&file);
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* Whatever is damaged, every engine says the same of a whole member, and of a stream everything but the words and the
 * very byte: zlib is the measure. */
static void test_same_as_zlib(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bm_gzip_decoder *zlib = NULL;
	struct bytes data = make_data(KIND_TEXT, 3000);
	uint64_t seed = 31337;

	(void)state;
	assert_int_equal(bm_gzip_decoder_create_with(BM_GZIP_ZLIB, &zlib, NULL), BM_OK);
	for (size_t which = 0; which < DAMAGE_FILES; which++) {
		struct bytes file = damage_file(which, &data);

		for (size_t round = 0; round < 4000; round++) {
			const size_t at = random_next(&seed) % file.len;
			const uint8_t was = file.data[at];
			const size_t len = round % 4 == 0 ? random_next(&seed) % (file.len + 1) : file.len;
			const size_t in_step = 1 + random_next(&seed) % 2000;
			const size_t out_step = 1 + random_next(&seed) % 4000;
			struct bm_error a_err = BM_ERROR_INIT;
			struct bm_error b_err = BM_ERROR_INIT;
			uint8_t a_out[3100];
			uint8_t b_out[3100];
			size_t a_len = 0;
			size_t b_len = 0;
			size_t a_good = 0;
			size_t b_good = 0;
			struct unpacked a;
			struct unpacked b;

			file.data[at] = (uint8_t)random_next(&seed);
			a = unpack(d, file.data, len, 0, in_step, out_step);
			b = unpack(zlib, file.data, len, 0, in_step, out_step);
			/* an engine may see damage where another reads on to the end of the file */
			assert_int_equal(a.status == BM_OK, b.status == BM_OK);
			assert_true(a.status == BM_OK || a.status == BM_ERR_FORMAT || a.status == BM_ERR_TRUNCATED);
			assert_int_equal(a.members, b.members);
			assert_int_equal(a.garbage, b.garbage);
			assert_int_equal(a.verified, b.verified);
			if (b.verified > 0)
				assert_memory_equal(a.data.data, b.data.data, b.verified);
			if (b.status == BM_OK)
				assert_int_equal(a.data.len, b.data.len);
			bytes_free(&a.data);
			bytes_free(&b.data);
			assert_int_equal(bm_gzip_decode_row(d, file.data, len, a_out, round % 3 == 0 ? 1000 : 3100,
			                                    &a_good, &a_len, &a_err),
			                 bm_gzip_decode_row(zlib, file.data, len, b_out, round % 3 == 0 ? 1000 : 3100,
			                                    &b_good, &b_len, &b_err));
			assert_int_equal(a_len, b_len);
			assert_int_equal(a_good, b_good);
			if (b_len > 0)
				assert_memory_equal(a_out, b_out, b_len);
			assert_string_equal(a_err.text, b_err.text);
			assert_string_equal(a_err.where, b_err.where);
			file.data[at] = was;
		}
		bytes_free(&file);
	}
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
	bm_gzip_decoder_destroy(zlib);
}

/* A member of no content whose code lengths leave codes over that never come (found by the fuzzer). zlib and libdeflate
 * refuse it; ISA-L does not, and finds the content that the CRC-32 vouches for. See bm_gzip.h. */
static void test_codes_left_over(void **state)
{
	static const uint8_t file[] = {
		0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xed, 0xc1, 0x31, 0x01, 0, 0, 0, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d,
		0x0f, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    0,    0, 0, 0, 0,    0,    0,    0,    0,
	};

	(void)state;
	for (enum bm_gzip_engine engine = BM_GZIP_AUTO; engine < BM_GZIP_ENGINES; engine++) {
		const bool strict = engine == BM_GZIP_ZLIB || engine == BM_GZIP_LIBDEFLATE;
		struct bm_gzip_decoder *d = NULL;
		struct unpacked u;
		uint8_t out[1] = {'x'};
		size_t out_len = 1;

		if (!bm_gzip_engine_available(engine))
			continue;
		assert_int_equal(bm_gzip_decoder_create_with(engine, &d, NULL), BM_OK);
		u = unpack(d, file, sizeof(file), 0, 7, 1000);
		assert_true(u.status == BM_ERR_FORMAT || (u.status == BM_OK && !strict));
		assert_int_equal(u.data.len, 0);
		bytes_free(&u.data);
		u.status = bm_gzip_decode_member(d, file, sizeof(file), out, sizeof(out), &out_len, NULL);
		assert_true(u.status == BM_ERR_FORMAT || (u.status == BM_OK && !strict));
		assert_int_equal(out_len, 0);
		bm_gzip_decoder_destroy(d);
	}
}

/* A row of members, damaged in every bit and cut everywhere: never wrong bytes. */
static void test_row_damage(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 330);
	struct bytes file = pack_indexed(6, data.data, data.len, 100);
	uint8_t out[400];
	size_t out_len = 0;
	size_t good = 0;

	(void)state;
	assert_int_equal(bm_gzip_decode_row(d, file.data, file.len, out, sizeof(out), &good, &out_len, NULL), BM_OK);
	assert_int_equal(out_len, data.len);
	assert_memory_equal(out, data.data, data.len);
	assert_int_equal(good, file.len);
	for (size_t room = 0; room < data.len; room++)
		assert_int_equal(bm_gzip_decode_row(d, file.data, file.len, out, room, &good, &out_len, NULL),
		                 BM_ERR_LIMIT);
	for (size_t bit = 0; bit < 8 * file.len; bit++) {
		file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (bm_gzip_decode_row(d, file.data, file.len, out, sizeof(out), &good, &out_len, NULL) == BM_OK) {
			assert_int_equal(out_len, data.len);
			assert_memory_equal(out, data.data, data.len);
		} else {
			assert_int_equal(out_len, 0);
		}
		file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < file.len; len++) {
		uint8_t *cut = exact_copy(file.data, len);

		if (bm_gzip_decode_row(d, cut, len, out, sizeof(out), &good, &out_len, NULL) ==
		    BM_OK) /* after a member */
			assert_memory_equal(out, data.data, out_len);
		free(cut);
	}
	bytes_free(&file);
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

/* Damaged files between pages that cannot be touched, since no sanitizer looks into the libraries: input and output end
 * (or begin) right at one. */
static void test_guard_pages(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t room = 2 * page;
	uint8_t *const in_map = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *const out_map = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bm_gzip_decoder *d = new_decoder();
	struct bytes data = make_data(KIND_TEXT, 3000);
	uint64_t seed = 271828;

	(void)state;
	assert_ptr_not_equal(in_map, MAP_FAILED);
	assert_ptr_not_equal(out_map, MAP_FAILED);
	assert_int_equal(mprotect(in_map + page, room, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(out_map + page, room, PROT_READ | PROT_WRITE), 0);
	for (size_t which = 0; which < DAMAGE_FILES; which++) {
		struct bytes file = damage_file(which, &data);

		for (size_t round = 0; round < 3000; round++) {
			const size_t spots = 1 + random_next(&seed) % 8;
			const size_t len = round % 3 == 0 ? random_next(&seed) % (file.len + 1) : file.len;
			const size_t cap = round % 2 == 0 ? 3000 : random_next(&seed) % 3001;
			uint8_t *const in = round % 5 == 0 ? in_map + page : in_map + page + room - len;
			uint8_t *const out = round % 7 == 0 ? out_map + page : out_map + page + room - cap;
			struct bm_gzip_stream_result res;
			size_t out_len = 0;
			size_t good = 0;
			size_t at = 0;

			if (len > room)
				continue;
			memcpy(in, file.data, len);
			for (size_t i = 0; round > 0 && len > 0 && i < spots; i++)
				in[random_next(&seed) % len] = (uint8_t)random_next(&seed);
			if (bm_gzip_decode_row(d, in, len, out, cap, &good, &out_len, NULL) == BM_OK && out_len > 0)
				assert_memory_equal(out, data.data, out_len);
			bm_gzip_stream_reset(d);
			for (size_t calls = 0; calls < 100000; calls++) { /* each call's pieces end at a guard, too */
				const size_t part = len - at < 700 ? len - at : 700;
				const size_t take = cap < 900 ? cap : 900;
				uint8_t *const piece = in_map + page + room - part;
				enum bm_status s;

				memmove(piece, file.data + at, part); /* undamaged but for one byte */
				if (part > 0 && round % 4 != 0)
					piece[random_next(&seed) % part] ^= (uint8_t)(1u << round % 8);
				s = bm_gzip_stream_decode(d, piece, part, at + part == len,
				                          out_map + page + room - take, take, &res, NULL);
				at += res.in_used;
				if (s != BM_OK || res.complete || (res.in_used == 0 && res.out_made == 0))
					break;
			}
		}
		bytes_free(&file);
	}
	assert_int_equal(munmap(in_map, room + 2 * page), 0);
	assert_int_equal(munmap(out_map, room + 2 * page), 0);
	bytes_free(&data);
	bm_gzip_decoder_destroy(d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_flipped),   cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_truncated_gives_all), cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_wrong_size_field),    cmocka_unit_test(test_same_as_zlib),
		cmocka_unit_test(test_row_damage),          cmocka_unit_test(test_guard_pages),
		cmocka_unit_test(test_codes_left_over),
	};

	return run_with_engines("gzip damage", READING, tests, COUNT_OF(tests), NULL, NULL) == 0 ? 0 : 1;
}
