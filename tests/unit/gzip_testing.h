/* gzip_testing.h - what test_gzip.c and test_gzip_read.c share: data to compress, files in each layout, and a reader
 * that cuts its input and output where it is told. Included after cmocka.h. */
#ifndef GZIP_TESTING_H
#define GZIP_TESTING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_gzip.h"

struct bytes {
	uint8_t *data;
	size_t len;
	size_t cap;
};

static inline void bytes_room(struct bytes *b, size_t more)
{
	if (b->len + more > b->cap) {
		b->cap = 2 * (b->len + more) + 64;
		b->data = realloc(b->data, b->cap);
		assert_non_null(b->data);
	}
}

static inline void bytes_add(struct bytes *b, const void *data, size_t len)
{
	bytes_room(b, len);
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){NULL, 0, 0};
}

/* A copy in memory of its own, so that a sanitizer sees every read and write beyond it. */
static inline uint8_t *exact_copy(const void *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

static inline uint32_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32);
}

enum kind { KIND_TEXT, KIND_RANDOM, KIND_ZERO, KIND_COUNT };

static inline struct bytes make_data(enum kind kind, size_t len)
{
	static const char *const words[] = {"chunk ", "token ", "gate ", "permit ", "stream\n",
	                                    "a ",     "the ",   "of ",   "7",       "\n"};
	uint64_t seed = 0x9e3779b97f4a7c15u + len;
	struct bytes b = {NULL, 0, 0};

	bytes_room(&b, len);
	while (b.len < len) {
		const uint32_t r = random_next(&seed);
		const char *word = words[r % 10];
		const size_t left = len - b.len;

		if (kind == KIND_TEXT) {
			bytes_add(&b, word, strlen(word) < left ? strlen(word) : left);
		} else {
			const uint32_t v = kind == KIND_ZERO ? 0 : r;

			bytes_add(&b, &v, left < sizeof(v) ? left : sizeof(v));
		}
	}
	return b;
}

/* The engine that the tests below write or read with; main runs the tests once for each that the build has. */
static enum bm_gzip_engine testing_engine = BM_GZIP_ZLIB;

/* The levels that it has, in ascending order. */
static inline int first_level(void)
{
	return testing_engine == BM_GZIP_ISAL ? 1 : testing_engine == BM_GZIP_ROWS ? 6 : 0;
}

static inline int last_level(void)
{
	return bm_gzip_level_max(BM_GZIP_INDEXED, testing_engine);
}

/* The nearest of its levels. */
static inline int near_level(int level)
{
	return level < first_level() ? first_level() : level > last_level() ? last_level() : level;
}

/* For whole members. */
static inline struct bm_gzip_encoder *new_encoder(int level)
{
	struct bm_gzip_encoder *e = NULL;
	struct bm_error err = BM_ERROR_INIT;

	if (bm_gzip_encoder_create(BM_GZIP_INDEXED, near_level(level), testing_engine, &e, &err) != BM_OK)
		fail_msg("%s", err.text);
	return e;
}

/* For pieces. */
static inline struct bm_gzip_encoder *new_piece_encoder(int level)
{
	struct bm_gzip_encoder *e = NULL;

	assert_int_equal(bm_gzip_encoder_create(BM_GZIP_SINGLE, level > 9 ? 9 : level, BM_GZIP_AUTO, &e, NULL), BM_OK);
	return e;
}

static inline struct bm_gzip_decoder *new_decoder(void)
{
	struct bm_gzip_decoder *d = NULL;

	assert_int_equal(bm_gzip_decoder_create_with(testing_engine, &d, NULL), BM_OK);
	return d;
}

/* Runs the tests with each engine, and names those that are not in this build. Writers are one engine each. Readers are
 * two, for members and for streams: AUTO has libdeflate for the former, so that it need not be tried by itself; ROWS does not read. Returns
 * the number of failures. */
enum side { WRITING, READING };
static inline int run_with_engines(const char *name, enum side side, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown)
{
	const enum bm_gzip_engine left_out = side == READING ? BM_GZIP_LIBDEFLATE : BM_GZIP_AUTO;
	char group[64];
	int failures = 0;

	for (testing_engine = BM_GZIP_AUTO; testing_engine < BM_GZIP_ENGINES; testing_engine++) {
		if (testing_engine == left_out || (side == READING && testing_engine == BM_GZIP_ROWS))
			continue;
		(void)snprintf(group, sizeof(group), "%s, %s", name, bm_gzip_engine_name(testing_engine));
		if (bm_gzip_engine_available(testing_engine))
			failures += _cmocka_run_group_tests(group, tests, count, setup, teardown);
		else
			print_message("skipped: %s: not in this build\n", group);
	}
	return failures;
}
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* One member; the output buffer is exactly the bound. */
static inline void add_member(struct bytes *to, struct bm_gzip_encoder *e, const uint8_t *data, size_t len)
{
	struct bm_error err = BM_ERROR_INIT;
	const size_t cap = bm_gzip_bound(len);
	uint8_t *out = malloc(cap);
	size_t out_len = 0;

	assert_non_null(out);
	if (bm_gzip_member(e, data, len, out, cap, &out_len, &err) != BM_OK)
		fail_msg("%zu bytes: %s", len, err.text);
	assert_true(out_len <= cap);
	bytes_add(to, out, out_len);
	free(out);
}

/* Layout indexed: chunks of chunk bytes; no data is one empty chunk. */
static inline struct bytes pack_indexed(int level, const uint8_t *data, size_t len, size_t chunk)
{
	struct bm_gzip_encoder *e = new_encoder(level);
	struct bytes file = {NULL, 0, 0};
	size_t at = 0;

	do {
		const size_t part = len - at < chunk ? len - at : chunk;

		add_member(&file, e, len > 0 ? data + at : NULL, part);
		at += part;
	} while (at < len);
	bm_gzip_encoder_destroy(e);
	return file;
}

/* Layout single. empty_last: the data ends with a chunk that is not the last, and an empty one follows. */
static inline struct bytes pack_single(int level, const uint8_t *data, size_t len, size_t chunk, bool empty_last)
{
	struct bm_gzip_encoder *e = new_piece_encoder(level);
	struct bytes file = {NULL, 0, 0};
	uint8_t ends[BM_GZIP_HEADER_BYTES];
	uint32_t crc = 0;
	size_t at = 0;
	bool last;

	bm_gzip_put_header(ends, level);
	bytes_add(&file, ends, BM_GZIP_HEADER_BYTES);
	do {
		struct bm_error err = BM_ERROR_INIT;
		const size_t part = len - at < chunk ? len - at : chunk;
		const size_t dict_len = at < 32768 ? at : 32768;
		const size_t cap = bm_gzip_bound(part);
		uint8_t *dict = exact_copy(at > 0 ? data + at - dict_len : NULL, dict_len);
		uint8_t *out = malloc(cap);
		size_t out_len = 0;
		uint32_t part_crc = 0;

		assert_non_null(out);
		last = empty_last ? part == 0 : at + part == len;
		if (bm_gzip_piece(e, dict_len > 0 ? dict : NULL, dict_len, len > 0 ? data + at : NULL, part, last, out,
		                  cap, &out_len, &part_crc, &err) != BM_OK)
			fail_msg("%zu bytes: %s", part, err.text);
		bytes_add(&file, out, out_len);
		crc = bm_crc32_combine(crc, part_crc, part);
		at += part;
		free(dict);
		free(out);
	} while (!last);
	bm_gzip_put_trailer(ends, crc, len);
	bytes_add(&file, ends, BM_GZIP_TRAILER_BYTES);
	bm_gzip_encoder_destroy(e);
	return file;
}

/* Layout bgzf: chunks of chunk bytes, the last of which may be empty. The index goes to gzi, which may be NULL. */
static inline struct bytes pack_bgzf(int level, const uint8_t *data, size_t len, size_t chunk, bool empty_last,
                                     struct bytes *gzi)
{
	struct bm_gzip_encoder *e = new_encoder(level);
	struct bm_gzip_gzi index = {0};
	struct bytes file = {NULL, 0, 0};
	size_t at = 0;
	bool last;

	if (gzi != NULL) {
		bytes_room(gzi, BM_GZIP_GZI_COUNT_BYTES);
		gzi->len = BM_GZIP_GZI_COUNT_BYTES;
	}
	do {
		struct bm_error err = BM_ERROR_INIT;
		const size_t part = len - at < chunk ? len - at : chunk;
		const size_t cap = bm_gzip_bgzf_bound(part);
		const size_t count = bm_gzip_bgzf_block_count(part);
		struct bm_gzip_bgzf_block *blocks = malloc((count + 1) * sizeof(*blocks));
		uint8_t *out = malloc(cap);
		size_t out_len = 0;

		assert_non_null(out);
		assert_non_null(blocks);
		last = empty_last ? part == 0 : at + part == len;
		if (bm_gzip_bgzf_blocks(e, part > 0 ? data + at : NULL, part, last, out, cap, &out_len,
		                        gzi != NULL ? blocks : NULL, &err) != BM_OK)
			fail_msg("%zu bytes: %s", part, err.text);
		assert_true(out_len <= cap);
		bytes_add(&file, out, out_len);
		if (gzi != NULL) {
			bytes_room(gzi, count * BM_GZIP_GZI_ENTRY_BYTES);
			gzi->len += bm_gzip_gzi_add(&index, blocks, count, gzi->data + gzi->len);
		}
		at += part;
		free(blocks);
		free(out);
	} while (!last);
	if (gzi != NULL) {
		bm_gzip_gzi_put_count(gzi->data, index.entries);
		assert_int_equal(gzi->len, BM_GZIP_GZI_COUNT_BYTES + index.entries * BM_GZIP_GZI_ENTRY_BYTES);
	}
	bm_gzip_encoder_destroy(e);
	return file;
}

enum { FTEXT = 1, FHCRC = 2, FEXTRA = 4, FNAME = 8, FCOMMENT = 16 };

/* Appends a member with a header made by hand; extra may be NULL. Returns the header's length. */
static inline size_t add_by_hand(struct bytes *file, unsigned flags, const void *extra, size_t extra_len,
                                 const uint8_t *data, size_t len)
{
	struct bm_gzip_encoder *e = new_piece_encoder(6);
	const size_t start = file->len;
	const uint8_t fixed[10] = {0x1f, 0x8b, 8, (uint8_t)flags, 1, 2, 3, 4, 0, 3};
	const uint8_t xlen[2] = {(uint8_t)extra_len, (uint8_t)(extra_len >> 8)};
	const size_t cap = bm_gzip_bound(len);
	uint8_t *out = malloc(cap);
	uint8_t trailer[BM_GZIP_TRAILER_BYTES];
	size_t out_len = 0;
	uint32_t crc = 0;
	size_t header_len;

	assert_non_null(out);
	bytes_add(file, fixed, sizeof(fixed));
	if ((flags & FEXTRA) != 0) {
		bytes_add(file, xlen, sizeof(xlen));
		bytes_add(file, extra, extra_len);
	}
	if ((flags & FNAME) != 0)
		bytes_add(file, "../../etc/passwd", 17);
	if ((flags & FCOMMENT) != 0)
		bytes_add(file, "a comment\x1b[2J", 14);
	if ((flags & FHCRC) != 0) {
		const uint32_t sum = bm_crc32(0, file->data + start, file->len - start);
		const uint8_t low[2] = {(uint8_t)sum, (uint8_t)(sum >> 8)};

		bytes_add(file, low, sizeof(low));
	}
	header_len = file->len - start;
	assert_int_equal(bm_gzip_piece(e, NULL, 0, data, len, true, out, cap, &out_len, &crc, NULL), BM_OK);
	bytes_add(file, out, out_len);
	bm_gzip_put_trailer(trailer, crc, len);
	bytes_add(file, trailer, sizeof(trailer));
	free(out);
	bm_gzip_encoder_destroy(e);
	return header_len;
}

struct unpacked {
	struct bytes data;
	enum bm_status status;
	struct bm_error err;
	size_t members;
	size_t verified; /* length of data when the last member ended */
	bool garbage;
};

/* Reads a file as a stream: the input comes in parts that end at each multiple of in_step and at cut, the output has
 * room for out_step bytes a call. */
static inline struct unpacked unpack(struct bm_gzip_decoder *d, const uint8_t *file, size_t len, size_t cut,
                                     size_t in_step, size_t out_step)
{
	struct unpacked u = {{NULL, 0, 0}, BM_OK, BM_ERROR_INIT, 0, 0, false};
	struct bm_gzip_stream_result res;
	uint8_t *out = malloc(out_step);
	uint8_t *in = NULL;
	size_t part_start = 0;
	size_t part_end = 0;
	size_t at = 0;
	size_t idle = 0;

	assert_non_null(out);
	bm_gzip_stream_reset(d);
	do {
		if (at == part_end && (in == NULL || at < len)) { /* the next part, in memory of its own */
			part_start = at;
			part_end = in_step < len - at ? at + in_step : len;
			if (cut > at && cut < part_end)
				part_end = cut;
			free(in);
			in = exact_copy(file + at, part_end - at);
		}
		u.status = bm_gzip_stream_decode(d, in + (at - part_start), part_end - at, part_end == len, out,
		                                 out_step, &res, &u.err);
		assert_true(res.in_used <= part_end - at);
		assert_true(res.out_made <= out_step);
		bytes_add(&u.data, out, res.out_made);
		at += res.in_used;
		if (res.member_end) {
			u.members++;
			u.verified = u.data.len;
		}
		u.garbage = res.garbage;
		idle = res.in_used == 0 && res.out_made == 0 && part_end == len ? idle + 1 : 0;
		assert_true(idle < 3);
	} while (u.status == BM_OK && !res.complete);
	assert_int_equal(u.status, u.err.status);
	free(in);
	free(out);
	return u;
}

static inline void assert_bytes(const struct bytes *got, const uint8_t *want, size_t len)
{
	assert_int_equal(got->len, len);
	if (len > 0)
		assert_memory_equal(got->data, want, len);
}

static inline bool has_program(const char *name)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	if (system(command) == 0)
		return true;
	print_message("skipped: %s is not installed\n", name);
	return false;
}

static inline void write_file(const char *directory, const char *name, const void *data, size_t len)
{
	char path[160];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(len > 0 ? fwrite(data, 1, len, f) : 0, len);
	assert_int_equal(fclose(f), 0);
}

/* What command prints. */
static inline struct bytes run_program(const char *command)
{
	struct bytes b = {NULL, 0, 0};
	FILE *pipe = popen(command, "r");
	size_t got;

	assert_non_null(pipe);
	do {
		bytes_room(&b, 65536);
		got = fread(b.data + b.len, 1, 65536, pipe);
		b.len += got;
	} while (got > 0);
	if (pclose(pipe) != 0)
		fail_msg("failed: %s", command);
	return b;
}

static inline void make_directory(char directory[static 64])
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(directory, 64, "%.40s/bm-gzip-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(directory));
}

static inline void remove_directory(const char *directory)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	assert_int_equal(system(command), 0);
}

#endif
