/* zstd_testing.h - what the test_zstd*.c share: files of frames, and a reader that cuts its input and output where it is
 * told. Included after cmocka.h. */
#ifndef ZSTD_TESTING_H
#define ZSTD_TESTING_H

#include "bm_zstd.h"
#include "gzip_testing.h" /* bytes, data, programs */

static inline struct bm_zstd_encoder *new_zstd_encoder(int level, size_t chunk)
{
	struct bm_zstd_encoder *e = NULL;
	struct bm_error err = BM_ERROR_INIT;

	if (bm_zstd_encoder_create(level, chunk, &e, &err) != BM_OK)
		fail_msg("level %d: %s", level, err.text);
	return e;
}

static inline struct bm_zstd_decoder *new_zstd_decoder(uint64_t window_max)
{
	struct bm_zstd_decoder *d = NULL;

	assert_int_equal(bm_zstd_decoder_create(window_max, &d, NULL), BM_OK);
	return d;
}

/* One frame; input and output buffer are of exactly the length needed. */
static inline void add_frame(struct bytes *to, struct bm_zstd_encoder *e, struct bm_zstd_seek_writer *w,
                             const uint8_t *data, size_t len)
{
	struct bm_error err = BM_ERROR_INIT;
	const size_t cap = bm_zstd_bound(len);
	uint8_t *in = exact_copy(data, len);
	uint8_t *out = malloc(cap);
	size_t out_len = 0;
	uint32_t checksum = 0;

	assert_non_null(out);
	if (bm_zstd_frame(e, len > 0 ? in : NULL, len, out, cap, &out_len, &checksum, &err) != BM_OK)
		fail_msg("%zu bytes: %s", len, err.text);
	assert_in_range(out_len, 1, cap);
	bytes_add(to, out, out_len);
	if (w != NULL)
		assert_int_equal(bm_zstd_seek_add(w, out_len, len, checksum, NULL), BM_OK);
	free(out);
	free(in);
}

/* Frames of chunk bytes; no data is one empty frame. */
static inline struct bytes pack_frames(int level, const uint8_t *data, size_t len, size_t chunk, bool seek_table)
{
	struct bm_zstd_encoder *e = new_zstd_encoder(level, chunk);
	struct bm_zstd_seek_writer *w = NULL;
	struct bytes file = {NULL, 0, 0};
	size_t at = 0;

	assert_int_equal(bm_zstd_seek_writer_create(&w, NULL), BM_OK);
	do {
		const size_t part = len - at < chunk ? len - at : chunk;

		add_frame(&file, e, w, len > 0 ? data + at : NULL, part);
		at += part;
	} while (at < len);
	if (seek_table) {
		bytes_room(&file, bm_zstd_seek_bytes(w));
		bm_zstd_seek_put(w, file.data + file.len);
		file.len += bm_zstd_seek_bytes(w);
	}
	bm_zstd_seek_writer_destroy(w);
	bm_zstd_encoder_destroy(e);
	return file;
}

struct unzstd {
	struct bytes data;
	enum bm_status status;
	struct bm_error err;
	size_t frames;   /* not the skippable ones */
	size_t verified; /* length of data when the last frame ended */
};

/* Reads a file as a stream: the input comes in parts that end at each multiple of in_step and at cut, the output has
 * room for out_step bytes a call. */
static inline struct unzstd unzstd(struct bm_zstd_decoder *d, const uint8_t *file, size_t len, size_t cut,
                                   size_t in_step, size_t out_step)
{
	struct unzstd u = {{NULL, 0, 0}, BM_OK, BM_ERROR_INIT, 0, 0};
	struct bm_zstd_stream_result res;
	uint8_t *out = malloc(out_step);
	uint8_t *in = NULL;
	size_t part_start = 0;
	size_t part_end = 0;
	size_t at = 0;
	size_t idle = 0;

	assert_non_null(out);
	bm_zstd_stream_reset(d);
	do {
		if (at == part_end && (in == NULL || at < len)) { /* the next part, in memory of its own */
			part_start = at;
			part_end = in_step < len - at ? at + in_step : len;
			if (cut > at && cut < part_end)
				part_end = cut;
			free(in);
			in = exact_copy(file + at, part_end - at);
		}
		u.status = bm_zstd_stream_decode(d, in + (at - part_start), part_end - at, part_end == len, out,
		                                 out_step, &res, &u.err);
		assert_true(res.in_used <= part_end - at);
		assert_true(res.out_made <= out_step);
		bytes_add(&u.data, out, res.out_made);
		at += res.in_used;
		if (res.frame_end) {
			u.frames++;
			u.verified = u.data.len;
		}
		idle = res.in_used == 0 && res.out_made == 0 && part_end == len ? idle + 1 : 0;
		assert_true(idle < 3);
	} while (u.status == BM_OK && !res.complete);
	assert_int_equal(u.status, u.err.status);
	if (u.status == BM_OK)
		assert_int_equal(at, len);
	free(in);
	free(out);
	return u;
}

/* Cuts the file into frames with the scan, fed in steps, and decodes each whole. */
static inline struct unzstd unzstd_frames(struct bm_zstd_decoder *d, const uint8_t *file, size_t len, size_t in_step,
                                          size_t room)
{
	struct unzstd u = {{NULL, 0, 0}, BM_OK, BM_ERROR_INIT, 0, 0};
	struct bm_zstd_scan scan;
	size_t start = 0;
	uint8_t *out = malloc(room > 0 ? room : 1);

	assert_non_null(out);
	while (start < len && u.status == BM_OK) {
		enum bm_zstd_scan_result r = BM_ZSTD_SCAN_MORE;
		size_t at = start;
		uint8_t *frame;
		size_t made = 0;

		bm_zstd_scan_start(&scan);
		while (at < len && r == BM_ZSTD_SCAN_MORE) {
			const size_t part = in_step < len - at ? in_step : len - at;
			uint8_t *in = exact_copy(file + at, part);
			size_t used;

			r = bm_zstd_scan_feed(&scan, in, part, &used);
			assert_true(used <= part && (used == part || r != BM_ZSTD_SCAN_MORE));
			at += used;
			free(in);
		}
		assert_int_equal(scan.frame_bytes, at - start);
		if (r == BM_ZSTD_SCAN_BAD)
			at = len; /* the decoder says it too */
		frame = exact_copy(file + start, at - start);
		u.status = bm_zstd_decode_frame(d, frame, at - start, out, room, &made, &u.err);
		if (r != BM_ZSTD_SCAN_END)
			assert_int_not_equal(u.status, BM_OK);
		if (u.status == BM_OK) {
			if (!scan.header.skippable) {
				assert_true(made <= scan.content_max_bytes);
				u.frames++;
			}
			if (scan.header.has_content_bytes)
				assert_int_equal(made, scan.header.content_bytes);
		} else {
			assert_int_equal(made, 0);
		}
		bytes_add(&u.data, out, made);
		u.verified = u.data.len;
		free(frame);
		start = at;
	}
	free(out);
	return u;
}

/* A header made by hand (RFC 8878, 3.1.1.1); window_descriptor < 0: single segment. Returns its length. */
static inline size_t put_frame_header(struct bytes *b, unsigned content_flag, int window_descriptor,
                                      unsigned dictionary_flag, uint32_t dictionary, bool checksum, uint64_t content)
{
	static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	static const size_t dictionary_sizes[4] = {0, 1, 2, 4};
	static const size_t content_sizes[4] = {0, 2, 4, 8};
	const size_t start = b->len;
	const uint8_t descriptor = (uint8_t)(content_flag << 6 | (window_descriptor < 0 ? 0x20u : 0) |
	                                     (checksum ? 4u : 0) | dictionary_flag);
	size_t content_size = content_sizes[content_flag];
	uint8_t le[8];

	bytes_add(b, magic, 4);
	bytes_add(b, &descriptor, 1);
	if (window_descriptor >= 0) {
		le[0] = (uint8_t)window_descriptor;
		bytes_add(b, le, 1);
	} else if (content_size == 0) {
		content_size = 1;
	}
	for (size_t i = 0; i < 8; i++)
		le[i] = (uint8_t)((uint64_t)dictionary >> (8 * i));
	bytes_add(b, le, dictionary_sizes[dictionary_flag]);
	content -= content_size == 2 ? 256 : 0;
	for (size_t i = 0; i < 8; i++)
		le[i] = (uint8_t)(content >> (8 * i));
	bytes_add(b, le, content_size);
	return b->len - start;
}

static inline void put_block(struct bytes *b, unsigned type, bool last, uint32_t size, const void *data, size_t len)
{
	const uint32_t bits = size << 3 | type << 1 | (last ? 1 : 0);
	const uint8_t le[3] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16)};

	bytes_add(b, le, 3);
	bytes_add(b, data, len);
}

static inline void put_skippable(struct bytes *b, unsigned variant, const void *data, size_t len)
{
	const uint8_t head[8] = {
		(uint8_t)(0x50 + variant), 0x2a, 0x4d, 0x18, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
		(uint8_t)(len >> 24)};

	bytes_add(b, head, 8);
	bytes_add(b, data, len);
}

#endif
