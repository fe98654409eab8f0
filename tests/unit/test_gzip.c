/*
 * test_gzip.c - the writing half of bm_gzip.h, with every engine of the build: exact header bytes, sizes against the
 * bound, the choice of engines, and all layouts read back by our reader and by gzip, pigz, igzip, libdeflate-gzip, bgzip
 * and python. No test looks at compressed bytes as such.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "gzip_testing.h"
#include "sanitized.h"

#define CHUNK 65536

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- the bytes of header and trailer ---- */

static void test_header_and_trailer(void **state)
{
	(void)state;
	for (int level = 0; level <= BM_GZIP_LEVEL_MAX; level++) {
		uint8_t want[BM_GZIP_HEADER_BYTES] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
		uint8_t got[BM_GZIP_HEADER_BYTES];

		want[8] = level >= 9 ? 2 : level == 1 ? 4 : 0;
		bm_gzip_put_header(got, level);
		assert_memory_equal(got, want, sizeof(want));
	}
	for (uint64_t wraps = 0; wraps <= 1; wraps++) { /* ISIZE is modulo 2^32 */
		static const uint8_t want[BM_GZIP_TRAILER_BYTES] = {0x04, 0x03, 0x02, 0x01, 0x0d, 0x0c, 0x0b, 0x0a};
		uint8_t got[BM_GZIP_TRAILER_BYTES];

		bm_gzip_put_trailer(got, 0x01020304, (wraps << 32) + 0x0a0b0c0d);
		assert_memory_equal(got, want, sizeof(want));
	}
}

/* As python's pgzip lays it out: FEXTRA alone, XLEN 8, 'I' 'G', LEN 4, the whole member's size. */
static void test_indexed_member_bytes(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 70000};

	(void)state;
	for (int level = first_level(); level <= last_level(); level++) {
		struct bm_gzip_encoder *e = new_encoder(level);

		for (size_t i = 0; i < 4; i++) {
			uint8_t want[20] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, 'I', 'G', 4, 0};
			struct bytes data = make_data(KIND_TEXT, sizes[i]);
			struct bytes file = {NULL, 0, 0};
			struct bm_gzip_header header;

			add_member(&file, e, data.data, data.len);
			assert_true(file.len > 28);
			want[8] = level >= 9 ? 2 : level == 1 ? 4 : 0;
			assert_memory_equal(file.data, want, 16);
			assert_int_equal(get_u32(file.data + 16), file.len);
			assert_int_equal(get_u32(file.data + file.len - 8), bm_crc32(0, data.data, data.len));
			assert_int_equal(get_u32(file.data + file.len - 4), sizes[i]);
			assert_int_equal(bm_gzip_peek_header(file.data, file.len, &header), BM_GZIP_PEEK_OK);
			assert_int_equal(header.header_bytes, 20);
			assert_int_equal(header.member_bytes, file.len);
			assert_false(header.bgzf);
			bytes_free(&data);
			bytes_free(&file);
		}
		bm_gzip_encoder_destroy(e);
	}
	bm_gzip_encoder_destroy(NULL);
}

/* ---- sizes ---- */

/* Blocks, a member, and pieces with a dictionary in front, ended and not, of data that does not compress, in buffers of
 * exactly the bound. No pieces where their encoder is NULL. */
static void check_bound(struct bm_gzip_encoder *e, struct bm_gzip_encoder *pieces, const uint8_t *data, size_t dict_len,
                        size_t len)
{
	const size_t cap = bm_gzip_bound(len);
	uint8_t *out = malloc(cap);
	size_t out_len = 0;
	uint32_t crc = 0;

	assert_non_null(out);
	for (int last = 0; last <= 1 && pieces != NULL; last++) {
		assert_int_equal(bm_gzip_piece(pieces, data, dict_len, data + dict_len, len, last == 1, out, cap,
		                               &out_len, &crc, NULL),
		                 BM_OK);
		assert_true(out_len <= cap);
		assert_int_equal(crc, bm_crc32(0, data + dict_len, len));
		/* The bound is for a whole member: a piece must leave room for header and trailer. */
		assert_true(out_len + 28 <= cap);
	}
	assert_int_equal(bm_gzip_member(e, data + dict_len, len, out, cap, &out_len, NULL), BM_OK);
	assert_true(out_len <= cap);
	free(out);
	out = malloc(bm_gzip_bgzf_bound(len));
	assert_non_null(out);
	assert_int_equal(
		bm_gzip_bgzf_blocks(e, data + dict_len, len, true, out, bm_gzip_bgzf_bound(len), &out_len, NULL, NULL),
		BM_OK);
	assert_true(out_len <= bm_gzip_bgzf_bound(len));
	free(out);
}

static void test_bound(void **state)
{
	static const size_t edges[] = {4096,  8192,  16383,  16384,  32767,  32768,  49149,   65531,  65535,
	                               65536, 81915, 131070, 131072, 262144, 524288, 1048576, 1310720};
	struct bytes data = make_data(KIND_RANDOM, 1310720 + 40000);
	uint64_t seed = 12345;

	(void)state;
	/* Already compressed data is the common case of what does not compress, and is no worse than random. */
	for (int level = first_level(); level <= last_level(); level++) {
		struct bm_gzip_encoder *e = new_encoder(level);
		struct bm_gzip_encoder *pieces = testing_engine == BM_GZIP_ZLIB ? new_piece_encoder(level) : NULL;

		for (size_t len = 0; len <= 300; len++)
			check_bound(e, pieces, data.data, 0, len);
		for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
			if (edges[i] > 70000 && level % 6 != 0)
				continue;
			check_bound(e, pieces, data.data, 0, edges[i]);
			check_bound(e, pieces, data.data, 32768, edges[i] - 1);
			check_bound(e, pieces, data.data, 1000, edges[i] + 1);
		}
		for (size_t i = 0; i < 12; i++)
			check_bound(e, pieces, data.data, random_next(&seed) % 32769, random_next(&seed) % 100000);
		bm_gzip_encoder_destroy(e);
		bm_gzip_encoder_destroy(pieces);
	}
	/* It is tight: memory is planned with it. */
	assert_true(bm_gzip_bound(0) < 100);
	assert_true(bm_gzip_bound(1048576) < 1048576 + 500);
	for (size_t len = 0; len < 100000; len++)
		assert_true(bm_gzip_bound(len + 1) > bm_gzip_bound(len));
	assert_int_equal(bm_gzip_bound(SIZE_MAX), SIZE_MAX);
	assert_int_equal(bm_gzip_bound(SIZE_MAX - 10), SIZE_MAX);
	assert_true(bm_gzip_bgzf_bound(0) < 100);
	assert_true(bm_gzip_bgzf_bound(1048576) < 1048576 + 600);
	for (size_t len = 0; len < 100000; len++)
		assert_true(bm_gzip_bgzf_bound(len + 1) > bm_gzip_bgzf_bound(len));
	assert_int_equal(bm_gzip_bgzf_bound(SIZE_MAX), SIZE_MAX);
	assert_int_equal(bm_gzip_bgzf_bound(SIZE_MAX - 10), SIZE_MAX);
	bytes_free(&data);
}

/* Data whose blocks neither compress nor repeat evenly: bytes that are random in runs of varying length, so that the
 * encoder changes its mind between stored, fixed and dynamic blocks. */
static void test_bound_of_mixed_data(void **state)
{
	struct bytes data = {NULL, 0, 0};
	uint64_t seed = 99;

	(void)state;
	while (data.len < 400000) {
		const uint32_t run = random_next(&seed) % 40000;
		const uint8_t mask = (uint8_t)random_next(&seed);

		for (uint32_t i = 0; i < run; i++) {
			const uint8_t c = (uint8_t)random_next(&seed) & (uint8_t)(run % 3 == 0 ? mask : 0xff);

			bytes_add(&data, &c, 1);
		}
	}
	for (int level = first_level(); level <= last_level(); level++) {
		struct bm_gzip_encoder *e = new_encoder(level);
		struct bm_gzip_encoder *pieces = testing_engine == BM_GZIP_ZLIB ? new_piece_encoder(level) : NULL;

		check_bound(e, pieces, data.data, 32768, 300000);
		check_bound(e, pieces, data.data, 7, 123457);
		bm_gzip_encoder_destroy(e);
		bm_gzip_encoder_destroy(pieces);
	}
	bytes_free(&data);
}

static void test_wrong_use(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_gzip_encoder *e = NULL;
	const size_t too_long = ((size_t)1 << 30) + 1;
	uint8_t out[200];
	size_t out_len = 7;
	uint32_t crc = 7;

	(void)state;
	assert_int_equal(bm_gzip_encoder_create(BM_GZIP_INDEXED, -1, testing_engine, &e, &err), BM_ERR_USAGE);
	assert_null(e);
	assert_non_null(strstr(err.text, "-1"));
	assert_int_not_equal(bm_gzip_encoder_create(BM_GZIP_INDEXED, last_level() + 1, testing_engine, &e, NULL),
	                     BM_OK);
	assert_null(e);
	e = new_encoder(6);
	assert_int_equal(bm_gzip_member(e, "abc", 3, out, bm_gzip_bound(3) - 1, &out_len, NULL), BM_ERR_USAGE);
	assert_int_equal(out_len, 0);
	assert_int_equal(bm_gzip_piece(e, NULL, 0, "abc", 3, true, out, bm_gzip_bound(3) - 1, &out_len, &crc, NULL),
	                 BM_ERR_USAGE);
	assert_int_equal(bm_gzip_bgzf_blocks(e, "abc", 3, true, out, bm_gzip_bgzf_bound(3) - 1, &out_len, NULL, NULL),
	                 BM_ERR_USAGE);
	assert_int_equal(bm_gzip_member(e, out, too_long, out, SIZE_MAX, &out_len, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_gzip_piece(e, NULL, 0, out, too_long, true, out, SIZE_MAX, &out_len, &crc, NULL),
	                 BM_ERR_USAGE);
	assert_int_equal(bm_gzip_bgzf_blocks(e, out, too_long, true, out, SIZE_MAX, &out_len, NULL, NULL),
	                 BM_ERR_USAGE);
	if (testing_engine >= BM_GZIP_LIBDEFLATE)
		assert_int_equal(bm_gzip_piece(e, NULL, 0, "abc", 3, true, out, sizeof(out), &out_len, &crc, NULL),
		                 BM_ERR_USAGE);
	/* and is none the worse for it */
	assert_int_equal(bm_gzip_member(e, "abc", 3, out, bm_gzip_bound(3), &out_len, NULL), BM_OK);
	bm_gzip_encoder_destroy(e);
}

#if !SANITIZED
static size_t heap_in_use(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}
#endif

/* What the budget is told holds, and nothing is allocated once an object is made. */
static void test_memory(void **state)
{
#if SANITIZED
	(void)state;
	print_message("skipped: a sanitizer's malloc does not say what is in use\n");
	skip();
#else
	struct bytes data = make_data(KIND_TEXT, 300000);
	struct bytes file = pack_single(6, data.data, data.len, 100000, false);
	uint8_t *out = malloc(bm_gzip_bound(data.len));
	size_t out_len;
	uint32_t crc;

	(void)state;
	assert_non_null(out);
	for (int level = first_level(); level <= last_level(); level++) {
		const size_t before = heap_in_use();
		struct bm_gzip_encoder *e = new_encoder(level);
		const size_t made = heap_in_use();
		const size_t told = bm_gzip_encoder_bytes(BM_GZIP_INDEXED, level, testing_engine);

		if (made - before > told || (level > 0 && told > (made - before) * 3 / 2))
			fail_msg("level %d: %zu bytes are told, %zu in use", level, told, made - before);
		assert_int_equal(bm_gzip_member(e, data.data, data.len, out, bm_gzip_bound(data.len), &out_len, NULL),
		                 BM_OK);
		if (testing_engine == BM_GZIP_ZLIB)
			assert_int_equal(bm_gzip_piece(e, data.data, 32768, data.data, data.len, false, out,
			                               bm_gzip_bound(data.len), &out_len, &crc, NULL),
			                 BM_OK);
		assert_int_equal(heap_in_use(), made);
		bm_gzip_encoder_destroy(e);
	}
	assert_int_equal(bm_gzip_encoder_bytes(BM_GZIP_INDEXED, 99, testing_engine), 0);
	{
		const size_t before = heap_in_use();
		struct bm_gzip_decoder *d = new_decoder();
		const size_t made = heap_in_use();
		struct bm_gzip_stream_result res;
		size_t at = 0;

		assert_true(made - before <= bm_gzip_decoder_bytes());
		while (at < file.len) { /* 1000 bytes out at a time, so that the window is wanted */
			assert_int_equal(
				bm_gzip_stream_decode(d, file.data + at, file.len - at, true, out, 1000, &res, NULL),
				BM_OK);
			assert_int_equal(heap_in_use(), made);
			at += res.in_used;
		}
		assert_int_equal(
			bm_gzip_decode_member(d, file.data, file.len, out, bm_gzip_bound(data.len), &out_len, NULL),
			BM_OK);
		assert_int_equal(heap_in_use(), made);
		bm_gzip_decoder_destroy(d);
	}
	assert_true(bm_gzip_decoder_bytes() < 200000);
	free(out);
	bytes_free(&data);
	bytes_free(&file);
#endif
}

/* ---- round trips ---- */

/* An encoder that has been used gives what a new one gives, whatever it did before. */
static void test_nothing_is_left_of_a_chunk(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 200000);
	struct bytes noise = make_data(KIND_RANDOM, 200000);
	uint64_t seed = 4711;

	(void)state;
	for (int level = first_level(); level <= last_level(); level++) {
		struct bm_gzip_encoder *used = new_encoder(level);
		const size_t cap = bm_gzip_bound(200000);
		uint8_t *a = malloc(cap);
		uint8_t *b = malloc(cap);

		assert_non_null(a);
		assert_non_null(b);
		for (size_t round = 0; round < 12; round++) {
			struct bm_gzip_encoder *fresh = new_encoder(level);
			const uint8_t *from = random_next(&seed) % 3 == 0 ? noise.data : data.data;
			const size_t dict_len = random_next(&seed) % 32769;
			const size_t len = random_next(&seed) % (200000 - 32768);
			const bool last = random_next(&seed) % 2 == 0;
			size_t a_len = 0;
			size_t b_len = 1;
			uint32_t crc;

			if (round % 3 == 0 || testing_engine != BM_GZIP_ZLIB) {
				assert_int_equal(bm_gzip_member(fresh, from, len, a, cap, &a_len, NULL), BM_OK);
				assert_int_equal(bm_gzip_member(used, from, len, b, cap, &b_len, NULL), BM_OK);
			} else {
				assert_int_equal(bm_gzip_piece(fresh, from, dict_len, from + dict_len, len, last, a,
				                               cap, &a_len, &crc, NULL),
				                 BM_OK);
				assert_int_equal(bm_gzip_piece(used, from, dict_len, from + dict_len, len, last, b, cap,
				                               &b_len, &crc, NULL),
				                 BM_OK);
			}
			assert_int_equal(a_len, b_len);
			assert_memory_equal(a, b, a_len);
			bm_gzip_encoder_destroy(fresh);
		}
		free(a);
		free(b);
		bm_gzip_encoder_destroy(used);
	}
	bytes_free(&data);
	bytes_free(&noise);
}

/* The dictionary is used (a repeat across a joint costs next to nothing), and of a long one the end counts. */
static void test_dictionary(void **state)
{
	struct bytes data = make_data(KIND_RANDOM, 100000);
	struct bm_gzip_encoder *e = new_piece_encoder(6);
	const size_t cap = bm_gzip_bound(20000);
	uint8_t *a = malloc(cap);
	uint8_t *b = malloc(cap);
	size_t a_len = 0;
	size_t b_len = 0;
	uint32_t crc;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(bm_gzip_piece(e, data.data, 20000, data.data, 20000, true, a, cap, &a_len, &crc, NULL), BM_OK);
	assert_true(a_len < 500);
	assert_int_equal(
		bm_gzip_piece(e, data.data, 100000, data.data + 80000, 20000, true, a, cap, &a_len, &crc, NULL), BM_OK);
	assert_int_equal(
		bm_gzip_piece(e, data.data + 67232, 32768, data.data + 80000, 20000, true, b, cap, &b_len, &crc, NULL),
		BM_OK);
	assert_int_equal(a_len, b_len);
	assert_memory_equal(a, b, a_len);
	free(a);
	free(b);
	bm_gzip_encoder_destroy(e);
	bytes_free(&data);
}

static void test_empty_pieces(void **state)
{
	struct bm_gzip_encoder *e = new_piece_encoder(6);
	uint8_t out[128];
	size_t out_len = 9;
	uint32_t crc = 9;

	(void)state;
	assert_int_equal(bm_gzip_piece(e, NULL, 0, NULL, 0, false, out, sizeof(out), &out_len, &crc, NULL), BM_OK);
	assert_int_equal(out_len, 0);
	assert_int_equal(crc, 0);
	assert_int_equal(bm_gzip_piece(e, "some", 4, NULL, 0, true, out, sizeof(out), &out_len, &crc, NULL), BM_OK);
	assert_int_equal(out_len, 2);
	assert_int_equal(crc, 0);
	bm_gzip_encoder_destroy(e);
}

static const size_t trip_sizes[] = {0, 1, 2, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17};
#define TRIP_COUNT (sizeof(trip_sizes) / sizeof(trip_sizes[0]))

/* In every layout, also with an empty last chunk. The index of the last one goes to gzi, which may be NULL. */
#define FILES 5
static void pack_all(struct bytes files[static FILES], int level, const struct bytes *data, struct bytes *gzi)
{
	files[0] = pack_indexed(level, data->data, data->len, CHUNK);
	files[1] = pack_single(level, data->data, data->len, CHUNK, false);
	files[2] = pack_single(level, data->data, data->len, CHUNK, true);
	files[3] = pack_bgzf(level, data->data, data->len, CHUNK, false, NULL);
	files[4] = pack_bgzf(level, data->data, data->len, 2 * CHUNK, true, gzi);
}

static void test_round_trip(void **state)
{
	struct bm_gzip_decoder *d = new_decoder();

	(void)state;
	for (int level = first_level(); level <= last_level(); level++)
		for (size_t i = 0; i < TRIP_COUNT * KIND_COUNT; i++) {
			struct bytes data = make_data((enum kind)(i % KIND_COUNT), trip_sizes[i / KIND_COUNT]);
			struct bytes files[FILES];
			const size_t members = data.len == 0 ? 1 : (data.len + CHUNK - 1) / CHUNK;

			pack_all(files, level, &data, NULL);
			for (size_t k = 0; k < FILES; k++) {
				struct unpacked u = unpack(d, files[k].data, files[k].len, 0, SIZE_MAX, 100000);

				assert_int_equal(u.status, BM_OK);
				if (k < 3)
					assert_int_equal(u.members, k == 0 ? members : 1);
				assert_false(u.garbage);
				assert_bytes(&u.data, data.data, data.len);
				bytes_free(&u.data);
				bytes_free(&files[k]);
			}
			bytes_free(&data);
		}
	bm_gzip_decoder_destroy(d);
}

/* ---- real programs ---- */

static char directory[64];

static int run_in(const char *dir, const char *script)
{
	char command[1024];

	(void)snprintf(command, sizeof(command), "cd '%s' && { %s\n}", dir, script);
	return system(command);
}

/* Every layout and kind, some levels and sizes, as NAME.gz with its content as NAME. */
static int write_files(void **state)
{
	(void)state;
	make_directory(directory);
	for (int level = first_level(); level <= last_level(); level++)
		for (size_t i = 0; i < TRIP_COUNT * 2 && (level <= 1 || level == 6 || level == last_level()); i++) {
			const size_t len = trip_sizes[i / 2];
			struct bytes data = make_data((enum kind)(i % 2), len);
			struct bytes files[FILES];
			struct bytes gzi = {NULL, 0, 0};
			char name[64];

			pack_all(files, level, &data, &gzi);
			(void)snprintf(name, sizeof(name), "4-%d-%zu-%zu.gz.want", level, i % 2, len);
			write_file(directory, name, gzi.data, gzi.len);
			bytes_free(&gzi);
			for (size_t k = 0; k < FILES; k++) {
				(void)snprintf(name, sizeof(name), "%zu-%d-%zu-%zu", k, level, i % 2, len);
				write_file(directory, name, data.data, len);
				(void)snprintf(name, sizeof(name), "%zu-%d-%zu-%zu.gz", k, level, i % 2, len);
				write_file(directory, name, files[k].data, files[k].len);
				bytes_free(&files[k]);
			}
			bytes_free(&data);
		}
	return run_in(directory, "for f in *.gz; do echo \"${f%.gz}\"; done | xargs cat >all");
}

static int remove_files(void **state)
{
	(void)state;
	remove_directory(directory);
	return 0;
}

static const struct reader {
	const char *needs;   /* and all is what is in all of *.gz, in that order */
	const char *command; /* run in the directory; must succeed */
} readers[] = {
	{"gzip", "gzip -t *.gz"},
	{"pigz", "pigz -t *.gz"},
	{"gzip", "gzip -dc *.gz >got && cmp got all"},
	{"igzip", "igzip -dc *.gz >got && cmp got all"},
	{"libdeflate-gzip", "libdeflate-gzip -dc *.gz >got && cmp got all"},
	{"python3", "python3 -c 'import glob,gzip\n"
                    "for f in glob.glob(\"*.gz\"):\n"
                    "    assert gzip.open(f).read() == open(f[:-3], \"rb\").read(), f'"},
	/* the sizes lead from member to member, to the very end of the file */
	{"python3", "python3 -c 'import glob,gzip,struct,zlib\n"
                    "for f in glob.glob(\"0-*.gz\"):\n"
                    "    data, at, plain = open(f, \"rb\").read(), 0, b\"\"\n"
                    "    while at < len(data):\n"
                    "        assert data[at+10:at+16] == b\"\\x08\\x00IG\\x04\\x00\", f\n"
                    "        size, = struct.unpack(\"<I\", data[at+16:at+20])\n"
                    "        plain += gzip.decompress(data[at:at+size])\n"
                    "        at += size\n"
                    "    assert at == len(data) and plain == open(f[:-3], \"rb\").read(), f'"},
	{"bgzip", "for f in [34]-*.gz; do bgzip -t $f || { echo $f; exit 1; }; done"},
	{"bgzip", "for f in [34]-*.gz; do bgzip -dc -@2 $f | cmp -s - ${f%.gz} || { echo $f; exit 1; }; done"},
	/* our index is the one that bgzip makes (which makes a count of -1 for an empty file, where ours is 0), and with it
	 * bgzip finds bytes in the middle */
	{"bgzip", "for f in 4-*[1-9].gz; do\n"
                  "    bgzip -r $f && cmp $f.gzi $f.want || { echo $f; exit 1; }\n"
                  "done"},
	{"bgzip", "for f in 4-*-196625.gz; do cp $f.want $f.gzi; for at in 0 1 65279 65280 65536 131071 196000; do\n"
                  "    bgzip -b $at -s 600 $f >got && tail -c +$((at + 1)) ${f%.gz} | head -c 600 | cmp -s - got ||\n"
                  "        { echo $f; exit 1; }\n"
                  "done; done"},
};
#define READER_COUNT COUNT_OF(readers)

static void test_program_reads(void **state)
{
	const struct reader *r = *state;

	if (!has_program(r->needs))
		skip();
	if (run_in(directory, r->command) != 0)
		fail_msg("%s", r->command);
}

/* ---- bgzf ---- */

/* Blocks as the SAM specification has them: sizes in range, evenly divided, and the end block byte for byte. */
static void test_bgzf_bytes(void **state)
{
	static const size_t sizes[] = {0, 1, 65279, 65280, 65281, 130560, 130561, 1u << 20};
	static const uint8_t eof[28] = "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0";

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes) * KIND_COUNT; i++) {
		struct bytes data = make_data((enum kind)(i % KIND_COUNT), sizes[i / KIND_COUNT]);
		struct bytes file = pack_bgzf(1 + (int)(i % 2), data.data, data.len, data.len, false, NULL);
		const size_t count = bm_gzip_bgzf_block_count(data.len);
		size_t at = 0;
		size_t plain = 0;

		assert_true(file.len >= 28);
		assert_memory_equal(file.data + file.len - 28, eof, 28);
		for (size_t k = 0; k < count; k++) {
			struct bm_gzip_header h;
			uint32_t holds;

			assert_int_equal(bm_gzip_peek_header(file.data + at, file.len - at, &h), BM_GZIP_PEEK_OK);
			assert_true(h.bgzf);
			assert_int_equal(h.header_bytes, 18);
			assert_in_range(h.member_bytes, 28, 65536);
			at += h.member_bytes;
			holds = get_u32(file.data + at - 4);
			assert_in_range(holds, data.len / count, data.len / count + 1);
			assert_in_range(holds, 1, BM_GZIP_BGZF_PLAIN_MAX);
			plain += holds;
		}
		assert_int_equal(plain, data.len);
		assert_int_equal(at + 28, file.len);
		bytes_free(&file);
		bytes_free(&data);
	}
}

/* Offsets beyond 32 bits, over many chunks. */
static void test_gzi_is_64_bits(void **state)
{
	const struct bm_gzip_bgzf_block block = {65536, 65280};
	struct bm_gzip_gzi g = {0};
	uint8_t out[16];

	(void)state;
	assert_int_equal(bm_gzip_gzi_add(&g, NULL, 0, out), 0);
	assert_int_equal(bm_gzip_gzi_add(&g, &block, 1, out), 0); /* (0, 0) is not written */
	for (uint64_t i = 1; i < 70000; i++) {
		assert_int_equal(bm_gzip_gzi_add(&g, &block, 1, out), 16);
		assert_int_equal(get_u32(out) | (uint64_t)get_u32(out + 4) << 32, i * 65536);
		assert_int_equal(get_u32(out + 8) | (uint64_t)get_u32(out + 12) << 32, i * 65280);
	}
	assert_int_equal(g.entries, 69999);
	bm_gzip_gzi_put_count(out, UINT64_C(0x0102030405060708));
	assert_memory_equal(out, "\x08\7\6\5\4\3\2\1", 8);
}

/* ---- the choice of engines ---- */

static void test_pick(void **state)
{
	const bool libdeflate = bm_gzip_engine_available(BM_GZIP_LIBDEFLATE);
	const bool isal = bm_gzip_engine_available(BM_GZIP_ISAL);
#ifdef __x86_64__
	const bool fast_rows = true;
#else
	const bool fast_rows = false;
#endif

	(void)state;
	assert_true(bm_gzip_engine_available(BM_GZIP_AUTO));
	assert_true(bm_gzip_engine_available(BM_GZIP_ZLIB));
	assert_true(bm_gzip_engine_available(BM_GZIP_ROWS));
	for (enum bm_gzip_layout layout = BM_GZIP_INDEXED; layout < BM_GZIP_LAYOUTS; layout++)
		for (enum bm_gzip_engine engine = BM_GZIP_AUTO; engine < BM_GZIP_ENGINES; engine++)
			for (int level = -2; level <= 14; level++) {
				const int max = bm_gzip_level_max(layout, engine);
				const int min = engine == BM_GZIP_ISAL ? 1 : engine == BM_GZIP_ROWS ? 6 : 0;
				const bool possible = level >= min && level <= max;
				struct bm_gzip_choice choice;
				struct bm_gzip_encoder *e = NULL;
				struct bm_error err = BM_ERROR_INIT;
				const enum bm_status s = bm_gzip_engine_pick(layout, level, engine, &choice, &err);

				assert_int_equal(s == BM_OK, possible);
				assert_int_equal(bm_gzip_encoder_bytes(layout, level, engine) > 0, possible);
				if (possible) {
					assert_true(bm_gzip_engine_available(choice.engine));
					assert_true(choice.reason[0] != '\0');
					assert_int_not_equal(choice.engine, BM_GZIP_AUTO);
					assert_true(engine == BM_GZIP_AUTO || choice.engine == engine);
					assert_true(layout != BM_GZIP_SINGLE || choice.engine == BM_GZIP_ZLIB);
				} else {
					assert_true(s == BM_ERR_USAGE || s == BM_ERR_UNSUPPORTED);
					assert_true(strcmp(err.where, "level") == 0 ||
					            strcmp(err.where, "engine") == 0);
				}
				assert_int_equal(bm_gzip_encoder_create(layout, level, engine, &e, NULL), s);
				bm_gzip_encoder_destroy(e);
			}
	assert_int_equal(bm_gzip_level_max(BM_GZIP_INDEXED, BM_GZIP_AUTO), libdeflate ? 12 : 9);
	assert_int_equal(bm_gzip_level_max(BM_GZIP_SINGLE, BM_GZIP_AUTO), 9);
	assert_int_equal(bm_gzip_level_max(BM_GZIP_BGZF, BM_GZIP_ISAL), isal ? 3 : -1);
	assert_int_equal(bm_gzip_level_max(BM_GZIP_SINGLE, BM_GZIP_ISAL), -1);
	assert_int_equal(bm_gzip_level_max(BM_GZIP_SINGLE, BM_GZIP_LIBDEFLATE), -1);
	for (int level = 1; level <= 9; level++) {
		const enum bm_gzip_engine want = isal && (level == 1 || (level <= 3 && !libdeflate)) ? BM_GZIP_ISAL
		                                 : libdeflate ? BM_GZIP_LIBDEFLATE
		                                              : BM_GZIP_ZLIB;
		struct bm_gzip_choice choice;

		assert_int_equal(bm_gzip_engine_pick(BM_GZIP_BGZF, level, BM_GZIP_AUTO, &choice, NULL), BM_OK);
		assert_int_equal(choice.engine, want);
		assert_int_equal(bm_gzip_engine_pick(BM_GZIP_INDEXED, level, BM_GZIP_AUTO, &choice, NULL), BM_OK);
		assert_int_equal(choice.engine, level == 6 && fast_rows ? BM_GZIP_ROWS : want);
	}
}

/* A higher level is not larger, and level 1 is no larger than zlib's level 1 makes it (which is pigz's). */
static void test_sizes_of_levels(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 600000);
	struct bm_gzip_encoder *zlib = NULL;
	struct bytes one = {NULL, 0, 0};
	size_t before = SIZE_MAX;

	(void)state;
	assert_int_equal(bm_gzip_encoder_create(BM_GZIP_INDEXED, 1, BM_GZIP_ZLIB, &zlib, NULL), BM_OK);
	add_member(&one, zlib, data.data, data.len);
	for (int level = first_level(); level <= last_level(); level++) {
		struct bm_gzip_encoder *e = new_encoder(level);
		struct bytes file = {NULL, 0, 0};

		add_member(&file, e, data.data, data.len);
		/* a few words at random are not what levels are made for: a little slack */
		if (file.len > before + before / 50 || (level == 1 && file.len > one.len))
			fail_msg("level %d: %zu bytes, the one below %zu, zlib's level 1 %zu", level, file.len, before,
			         one.len);
		before = file.len;
		bytes_free(&file);
		bm_gzip_encoder_destroy(e);
	}
	bm_gzip_encoder_destroy(zlib);
	bytes_free(&one);
	bytes_free(&data);
}

int main(void)
{
	static const struct CMUnitTest once[] = {
		cmocka_unit_test(test_header_and_trailer),
		cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_empty_pieces),
		cmocka_unit_test(test_gzi_is_64_bits),
		cmocka_unit_test(test_pick),
	};
	static const struct CMUnitTest own[] = {
		cmocka_unit_test(test_indexed_member_bytes),
		cmocka_unit_test(test_bgzf_bytes),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_of_mixed_data),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_nothing_is_left_of_a_chunk),
		cmocka_unit_test(test_sizes_of_levels),
		cmocka_unit_test(test_round_trip),
	};
	struct CMUnitTest others[READER_COUNT];
	char names[READER_COUNT][48];
	int failed;

	for (size_t i = 0; i < READER_COUNT; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%zu, read by %s", i, readers[i].needs);
		others[i] =
			(struct CMUnitTest){names[i], test_program_reads, NULL, NULL, (void *)(uintptr_t)&readers[i]};
	}
	failed = cmocka_run_group_tests_name("gzip writing", once, NULL, NULL);
	failed += run_with_engines("gzip writing", WRITING, own, COUNT_OF(own), NULL, NULL);
	failed += run_with_engines("gzip against programs", WRITING, others, READER_COUNT, write_files, remove_files);
	return failed == 0 ? 0 : 1;
}
