/*
 * test_gzip_damage.c - damaged gzip files: every single flipped bit, every truncation, random damage, lying size
 * fields.
 *
 * The rule: an error, or the garbage flag with whole members before it, or the right bytes (a bit of MTIME or of a name
 * says nothing about the data). Never wrong bytes with a good end.
 */
#include <setjmp.h>
#include <stdarg.h>
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
	default:
		return pack_indexed(9, data->data, data->len, data->len + 1);
	}
}
#define DAMAGE_FILES 6

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
			if (which >= 4) { /* one member */
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
		assert_true(accepted <= (which < 2 ? 2 : 1) * (1 + 48 + 80 + 40));
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

		if (which < 2) { /* two members: the file may end after the first, and nobody can tell */
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_flipped),   cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_truncated_gives_all), cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_wrong_size_field),
	};

	return cmocka_run_group_tests_name("gzip damage", tests, NULL, NULL);
}
