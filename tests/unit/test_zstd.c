/*
 * test_zstd.c - the writing half of bm_zstd.h: round-trips over sizes, levels and kinds of data, output that depends on
 * nothing else, the seek table, and what zstd says of all this.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include <zstd.h>

#include "zstd_testing.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static void check_file(struct bm_zstd_decoder *d, const struct bytes *file, const struct bytes *data, size_t frames,
                       size_t chunk)
{
	struct unzstd u = unzstd(d, file->data, file->len, 0, 65536, 100000);

	if (u.status != BM_OK)
		fail_msg("%zu bytes in chunks of %zu: %s: %s", data->len, chunk, u.err.where, u.err.text);
	assert_bytes(&u.data, data->data, data->len);
	assert_int_equal(u.frames, frames);
	bytes_free(&u.data);
	u = unzstd_frames(d, file->data, file->len, 1000003, chunk);
	if (u.status != BM_OK)
		fail_msg("frames of %zu bytes: %s: %s", chunk, u.err.where, u.err.text);
	assert_bytes(&u.data, data->data, data->len);
	assert_int_equal(u.frames, frames);
	bytes_free(&u.data);
}

static void test_round_trips(void **state)
{
	static const size_t chunks[] = {1, 100, 1024, 4096, 131072, 131073, 1 << 20};
	struct bm_zstd_decoder *d = new_zstd_decoder(BM_ZSTD_WINDOW_DEFAULT);

	(void)state;
	for (size_t c = 0; c < LENGTH(chunks); c++) {
		const size_t chunk = chunks[c];
		const size_t sizes[] = {
			0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk - 1, 2 * chunk, 2 * chunk + 1, 3 * chunk};

		for (size_t i = 0; i < LENGTH(sizes); i++)
			for (int kind = 0; kind < KIND_COUNT; kind++) {
				struct bytes data = make_data((enum kind)kind, sizes[i]);
				struct bytes file = pack_frames(3, data.data, data.len, chunk, true);
				const size_t frames = data.len == 0 ? 1 : (data.len + chunk - 1) / chunk;

				check_file(d, &file, &data, frames, chunk);
				bytes_free(&file);
				bytes_free(&data);
			}
	}
	bm_zstd_decoder_destroy(d);
}

static void test_levels(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(BM_ZSTD_WINDOW_DEFAULT);
	struct bytes text = make_data(KIND_TEXT, 300000);
	struct bytes noise = make_data(KIND_RANDOM, 300000);

	(void)state;
	for (int level = BM_ZSTD_LEVEL_MIN; level <= BM_ZSTD_LEVEL_MAX; level += level < -7 ? 31 : 1) {
		if (level == 0)
			continue;
		struct bytes a = pack_frames(level, text.data, text.len, 131072, true);
		struct bytes b = pack_frames(level, noise.data, noise.len, 131072, true);

		check_file(d, &a, &text, 3, 131072);
		check_file(d, &b, &noise, 3, 131072);
		if (level > 0)
			assert_true(a.len < text.len / 3);
		assert_true(b.len < noise.len + 3 * 32 + 17 + 3 * 12); /* stored: 3 bytes a block */
		bytes_free(&a);
		bytes_free(&b);
	}
	bytes_free(&text);
	bytes_free(&noise);
	bm_zstd_decoder_destroy(d);
}

/* An encoder's past makes no difference, nor does which one it is. */
static void test_output_depends_on_input_only(void **state)
{
	static const int levels[] = {-5, 1, 3, 9, 16, 19};
	struct bytes data = make_data(KIND_TEXT, 700000);
	struct bytes other = make_data(KIND_RANDOM, 100000);

	(void)state;
	for (size_t i = 0; i < LENGTH(levels); i++) {
		struct bm_zstd_encoder *used = new_zstd_encoder(levels[i], 1 << 20);
		struct bytes a = {NULL, 0, 0}, b = {NULL, 0, 0}, c = {NULL, 0, 0};
		struct bm_zstd_encoder *fresh = new_zstd_encoder(levels[i], 1 << 20);

		add_frame(&a, fresh, NULL, data.data, data.len);
		for (int k = 0; k < 20; k++)
			add_frame(&b, used, NULL, k % 2 == 0 ? other.data : data.data + 5, 3000u * (unsigned)k);
		add_frame(&c, used, NULL, data.data, data.len);
		assert_bytes(&c, a.data, a.len);
		bytes_free(&a);
		bytes_free(&b);
		bytes_free(&c);
		bm_zstd_encoder_destroy(used);
		bm_zstd_encoder_destroy(fresh);
	}
	bytes_free(&data);
	bytes_free(&other);
}

/* What a frame says of itself: length, checksum, a window within the chunk and 8 MiB. */
static void test_what_frames_tell(void **state)
{
	const struct bm_digest_algorithm *a = bm_digest_find("xxh64");
	static const size_t sizes[] = {0, 1, 1000, 1 << 20, 9 << 20};
	struct bm_zstd_encoder *e = new_zstd_encoder(3, 16 << 20);

	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct bytes data = make_data(KIND_TEXT, sizes[i]);
		const size_t cap = bm_zstd_bound(data.len);
		uint8_t *out = malloc(cap);
		uint8_t digest[BM_DIGEST_MAX_BYTES];
		struct bm_digest *x = NULL;
		struct bm_zstd_header h;
		uint32_t checksum;
		size_t len;

		assert_non_null(out);
		assert_int_equal(bm_zstd_frame(e, data.data, data.len, out, cap, &len, &checksum, NULL), BM_OK);
		assert_int_equal(bm_zstd_peek_header(out, len, &h), BM_ZSTD_PEEK_OK);
		assert_true(h.has_content_bytes && h.has_checksum && !h.skippable);
		assert_int_equal(h.content_bytes, data.len);
		assert_int_equal(h.dictionary_id, 0);
		assert_true(h.window_bytes <= 8u << 20);
		assert_int_equal(bm_digest_create(a, &x, NULL), BM_OK);
		assert_int_equal(bm_digest_update(x, data.data, data.len, NULL), BM_OK);
		assert_int_equal(bm_digest_finish(x, digest, NULL), BM_OK);
		assert_int_equal(checksum, (uint32_t)digest[4] << 24 | (uint32_t)digest[5] << 16 |
		                                   (uint32_t)digest[6] << 8 | digest[7]);
		bm_digest_destroy(x);
		free(out);
		bytes_free(&data);
	}
	bm_zstd_encoder_destroy(e);
}

static void test_limits(void **state)
{
	static const int bad[] = {0, 20, 22, -101, INT32_MIN, INT32_MAX};
	struct bm_zstd_encoder *e = NULL;
	uint8_t in[200] = {0}, out[400];
	size_t len = 7;
	uint32_t checksum;

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		struct bm_error err = BM_ERROR_INIT;

		assert_int_equal(bm_zstd_encoder_create(bad[i], 1000, &e, &err), BM_ERR_USAGE);
		assert_null(e);
		assert_non_null(strstr(err.text, "possible"));
	}
	assert_int_equal(bm_zstd_encoder_create(3, 0, &e, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_zstd_encoder_create(3, BM_ZSTD_CHUNK_MAX + 1, &e, NULL), BM_ERR_USAGE);
	bm_zstd_encoder_destroy(NULL);
	e = new_zstd_encoder(3, 100);
	assert_int_equal(bm_zstd_frame(e, in, 101, out, sizeof(out), &len, &checksum, NULL), BM_ERR_USAGE);
	assert_int_equal(len, 0);
	assert_int_equal(bm_zstd_frame(e, in, 100, out, bm_zstd_bound(100) - 1, &len, &checksum, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_zstd_frame(e, in, 100, out, bm_zstd_bound(100), &len, &checksum, NULL), BM_OK);
	bm_zstd_encoder_destroy(e);

	assert_int_equal(bm_zstd_bound(SIZE_MAX), SIZE_MAX);
	assert_int_equal(bm_zstd_bound(SIZE_MAX - 100), SIZE_MAX);
	assert_in_range(bm_zstd_bound(1 << 20), (1 << 20) + 22 + 3 * 8, (1 << 20) + (1 << 12) + 64);
	assert_int_equal(bm_zstd_best_chunk(3), 8 << 20);
	assert_true(bm_zstd_best_chunk(-1) <= bm_zstd_best_chunk(1));
}

/* The estimate against libzstd's own count: never less, and not much more for the usual levels. */
static void test_memory_estimate(void **state)
{
	static const size_t chunks[] = {4096, 65536, 262144, 1 << 20, 8 << 20};
	struct bytes data = make_data(KIND_ZERO, 8 << 20);
	uint8_t *out = malloc(bm_zstd_bound(data.len));

	(void)state;
	assert_non_null(out);
	for (int level = -1; level <= BM_ZSTD_LEVEL_MAX; level++)
		for (size_t i = 0; i < LENGTH(chunks); i++) {
			ZSTD_CCtx *z = ZSTD_createCCtx();
			int bits = 10;
			size_t real;

			if (level == 0 || (level > 12 && level < 19 && i == 4))
				bits = 0;
			while (bits > 0 && bits < 23 && (size_t)1 << bits < chunks[i])
				bits++;
			if (bits > 0) {
				assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level)));
				assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, bits)));
				assert_false(ZSTD_isError(
					ZSTD_compress2(z, out, bm_zstd_bound(chunks[i]), data.data, chunks[i])));
				real = ZSTD_sizeof_CCtx(z);
				if (bm_zstd_encoder_bytes(level, chunks[i]) < real)
					fail_msg("level %d, chunk %zu: %zu, in truth %zu", level, chunks[i],
					         bm_zstd_encoder_bytes(level, chunks[i]), real);
			}
			(void)ZSTD_freeCCtx(z);
		}
	assert_true(bm_zstd_encoder_bytes(3, 8 << 20) <= 3 << 20);
	assert_true(bm_zstd_encoder_bytes(19, 64 << 20) <= 90 << 20);
	free(out);
	bytes_free(&data);
}

/* ---- the seek table ---- */

static uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void test_seek_table(void **state)
{
	static const size_t sizes[] = {0, 1, 999, 1000, 1001, 12345};

	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct bytes data = make_data(KIND_TEXT, sizes[i]);
		struct bytes file = pack_frames(3, data.data, data.len, 1000, true);
		struct bytes plain = pack_frames(3, data.data, data.len, 1000, false);
		const uint32_t frames = data.len == 0 ? 1 : (uint32_t)((data.len + 999) / 1000);
		struct bm_zstd_decoder *d = new_zstd_decoder(BM_ZSTD_WINDOW_MIN);
		const uint8_t *entry = file.data + plain.len + 8;
		size_t at = 0, content = 0;

		assert_int_equal(file.len, plain.len + 17 + 12 * frames);
		assert_memory_equal(file.data, plain.data, plain.len);
		assert_int_equal(bm_zstd_seek_footer(file.data + file.len - 9, file.len), 17 + 12 * frames);
		assert_int_equal(bm_zstd_seek_footer(plain.data + plain.len - 9, plain.len), 0);
		assert_int_equal(get_le32(file.data + plain.len), 0x184D2A5E);
		assert_int_equal(get_le32(file.data + plain.len + 4), 9 + 12 * frames);
		for (uint32_t n = 0; n < frames; n++, entry += 12) {
			const size_t frame_bytes = get_le32(entry);
			uint8_t out[1000];
			size_t len;

			assert_true(frame_bytes <= plain.len - at);
			assert_int_equal(
				bm_zstd_decode_frame(d, file.data + at, frame_bytes, out, sizeof(out), &len, NULL),
				BM_OK);
			assert_int_equal(len, get_le32(entry + 4));
			if (len > 0)
				assert_memory_equal(out, data.data + content, len);
			at += frame_bytes;
			content += len;
			assert_memory_equal(file.data + at - 4, entry + 8, 4); /* the checksum */
		}
		assert_int_equal(at, plain.len);
		assert_int_equal(content, data.len);
		bm_zstd_decoder_destroy(d);
		bytes_free(&file);
		bytes_free(&plain);
		bytes_free(&data);
	}
}

static void test_seek_writer_limits(void **state)
{
	struct bm_zstd_seek_writer *w = NULL;
	struct bm_error err = BM_ERROR_INIT;
	uint8_t empty[17];

	(void)state;
	assert_int_equal(bm_zstd_seek_writer_create(&w, NULL), BM_OK);
	assert_int_equal(bm_zstd_seek_bytes(w), 17);
	bm_zstd_seek_put(w, empty); /* no frame at all: a table of none */
	assert_int_equal(bm_zstd_seek_footer(empty + 8, 17), 17);
	assert_int_equal(bm_zstd_seek_add(w, UINT32_MAX, UINT32_MAX, 1, &err), BM_OK);
	assert_int_equal(bm_zstd_seek_add(w, (uint64_t)UINT32_MAX + 1, 5, 1, &err), BM_ERR_LIMIT);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_zstd_seek_add(w, 5, (uint64_t)UINT32_MAX + 1, 1, &err), BM_ERR_LIMIT);
	assert_int_equal(bm_zstd_seek_bytes(w), 29);
	bm_zstd_seek_writer_destroy(w);
	bm_zstd_seek_writer_destroy(NULL);
}

/* A footer with any bit wrong is none, or one of another count; one for more than the file has is none. */
static void test_seek_footer_refuses(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 2500);
	struct bytes file = pack_frames(3, data.data, data.len, 1000, true);
	const size_t len = 17 + 3 * 12;
	uint8_t footer[9];

	(void)state;
	for (size_t bit = 0; bit < 72; bit++) {
		uint64_t found;

		memcpy(footer, file.data + file.len - 9, 9);
		footer[bit / 8] ^= (uint8_t)(1u << bit % 8);
		found = bm_zstd_seek_footer(footer, file.len);
		if (bit < 32)
			assert_true(found == 0 || found == 17 + 12 * (uint64_t)get_le32(footer));
		else if (bit == 39) /* without checksums */
			assert_int_equal(found, 17 + 8 * 3);
		else if (bit != 32 && bit != 33) /* which nobody uses */
			assert_int_equal(found, 0);
	}
	memcpy(footer, file.data + file.len - 9, 9);
	assert_int_equal(bm_zstd_seek_footer(footer, len), len);
	assert_int_equal(bm_zstd_seek_footer(footer, len - 1), 0);
	bytes_free(&file);
	bytes_free(&data);
}

/* ---- what zstd says ---- */

static void test_zstd_reads_it(void **state)
{
	static const int levels[] = {-3, 1, 3, 19};
	char directory[64], command[256];

	(void)state;
	if (!has_program("zstd"))
		skip();
	make_directory(directory);
	for (size_t i = 0; i < LENGTH(levels); i++) {
		struct bytes data = make_data(KIND_TEXT, 1000000);
		struct bytes file = pack_frames(levels[i], data.data, data.len, 300000, true);
		struct bytes got;

		write_file(directory, "f.zst", file.data, file.len);
		snprintf(command, sizeof(command), "zstd -q -t %s/f.zst 2>&1", directory);
		got = run_program(command);
		bytes_free(&got);
		snprintf(command, sizeof(command), "zstd -dc %s/f.zst", directory);
		got = run_program(command);
		assert_bytes(&got, data.data, data.len);
		bytes_free(&got);
		snprintf(command, sizeof(command), "zstd -lv %s/f.zst 2>&1", directory);
		got = run_program(command);
		bytes_add(&got, "", 1);
		if (strstr((char *)got.data, "# Zstandard Frames: 4\n") == NULL ||
		    strstr((char *)got.data, "# Skippable Frames: 1\n") == NULL ||
		    strstr((char *)got.data, "(1000000 B)") == NULL || strstr((char *)got.data, "Check: XXH64") == NULL)
			fail_msg("zstd -lv says: %s", (char *)got.data);
		bytes_free(&got);
		bytes_free(&file);
		bytes_free(&data);
	}
	remove_directory(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_what_frames_tell),
		cmocka_unit_test(test_output_depends_on_input_only),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_memory_estimate),
		cmocka_unit_test(test_seek_table),
		cmocka_unit_test(test_seek_writer_limits),
		cmocka_unit_test(test_seek_footer_refuses),
		cmocka_unit_test(test_zstd_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
