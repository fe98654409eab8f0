/*
 * test_seekable_lies.c - files that are made to mislead: sizes that are too large, too small, nothing, indexes that are of
 * another file, out of order or without end, age files that somebody changed who has no key, bombs.
 *
 * The rule: a clear error, or the right bytes and a warning. Never wrong bytes, never many reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "seekable_testing.h"

static void put_le(uint8_t *p, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void expect_lie_at(const struct bytes *file, const struct bytes *gzi, size_t offset, enum bm_status status,
                          const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	struct stack s;
	uint8_t out[400];
	size_t got;

	open_stack(&s, file, gzi, 0);
	if (s.layers[0] == NULL) {
		assert_int_equal(s.status, status);
		err = s.err;
	} else {
		assert_int_equal(bm_seekable_read(s.layers[0], out, sizeof(out), offset, &got, &err), status);
	}
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_true(s.file.reads + s.index.reads < 200);
	close_stack(&s);
}

static void expect_lie(const struct bytes *file, const struct bytes *gzi, enum bm_status status, const char *text)
{
	expect_lie_at(file, gzi, 250, status, text);
}

/* A damaged or foreign index: the bytes are right all the same, or it is named. */
static void expect_ignored(const struct bytes *file, const struct bytes *gzi, const struct bytes *data,
                           const char *text)
{
	struct stack s;

	open_stack(&s, file, gzi, 0);
	assert_int_equal(s.status, BM_OK);
	expect_range(s.top, data, 250, 50, text);
	expect_range(s.top, data, 0, 400, text);
	if (bm_seekable_warning(s.layers[0]) == NULL || strstr(bm_seekable_warning(s.layers[0]), text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text,
		         bm_seekable_warning(s.layers[0]) != NULL ? bm_seekable_warning(s.layers[0]) : "");
	assert_true(s.file.reads + s.index.reads < 200);
	close_stack(&s);
}

static void test_gzip_lies(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 330);
	struct bytes file = pack_indexed(6, data.data, data.len, 100);
	const size_t first = file.data[16] + 256u * file.data[17]; /* the first member's length */
	uint8_t was[4];

	(void)state;
	/* Lengths: too long, too short, nothing, not one at all. */
	memcpy(was, file.data + 16, 4);
	put_le(file.data + 16, file.len + 1, 4);
	expect_lie(&file, NULL, BM_ERR_TRUNCATED, "it says that it is");
	put_le(file.data + 16, UINT32_MAX, 4);
	expect_lie(&file, NULL, BM_ERR_TRUNCATED, "it says that it is 4294967295 bytes long");
	put_le(file.data + 16, 0, 4);
	expect_lie(&file, NULL, BM_ERR_UNSUPPORTED, "does not tell its length");
	put_le(file.data + 16, first - 1, 4);
	expect_lie_at(&file, NULL, 0, BM_ERR_TRUNCATED, "ends too early");
	put_le(file.data + 16, file.len, 4); /* all of them in one */
	expect_lie_at(&file, NULL, 0, BM_ERR_FORMAT, "it says that it holds 30 bytes and holds more");
	memcpy(file.data + 16, was, 4);
	/* Contents: more than can be, a little more, nothing. */
	memcpy(was, file.data + first - 4, 4);
	put_le(file.data + first - 4, UINT32_MAX, 4);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "cannot");
	put_le(file.data + first - 4, 101, 4);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "holds");
	put_le(file.data + first - 4, 0, 4);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "holds more");
	memcpy(file.data + first - 4, was, 4);
	/* A header that is none. */
	file.data[first + 2] = 9;
	expect_lie(&file, NULL, BM_ERR_FORMAT, "not a valid gzip header");
	bytes_free(&file);
	/* A block that says more than a block can hold. */
	file = pack_bgzf(0, data.data, data.len, 100, false, NULL);
	put_le(file.data + 127, 65537, 4); /* the first block: 18 + 5 + 100 + 8 */
	expect_lie(&file, NULL, BM_ERR_FORMAT, "cannot");
	bytes_free(&file);
	bytes_free(&data);
}

static void test_zstd_lies(void **state)
{
	struct bytes data = make_data(KIND_RANDOM, 400);
	struct bytes file = pack_frames(1, data.data, data.len, 100, true);
	const size_t table = file.len - 9 - 4 * 12;
	uint8_t *const entries = file.data + table;
	const size_t frame = entries[0];
	struct bytes old = {NULL, 0, 0};

	(void)state;
	bytes_add(&old, file.data, file.len);
	put_le(entries, frame + 1, 4); /* longer, and so on behind it */
	expect_ignored(&file, NULL, &data, "longer than the file");
	put_le(entries, frame - 1, 4);
	expect_ignored(&file, NULL, &data, "not all of the file's");
	put_le(entries + 12, entries[12] + 1, 4); /* one shorter, one longer: nobody can see that in the table */
	expect_lie_at(&file, NULL, 0, BM_ERR_TRUNCATED, "zstd frame at byte 0");
	put_le(entries + 12, 0, 4);
	expect_ignored(&file, NULL, &data, "no bytes");
	put_le(entries, UINT32_MAX, 4);
	expect_ignored(&file, NULL, &data, "longer than the file");
	memcpy(file.data, old.data, old.len);
	put_le(entries - 4, 3 * 12 + 9, 4);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "what follows the zstd frames is not zstd");
	memcpy(file.data, old.data, old.len);
	/* Contents. */
	put_le(entries + 4, 150, 4);
	expect_lie_at(&file, NULL, 250, BM_ERR_FORMAT,
	              "the seek table says that it holds 150 bytes, its header says 100");
	put_le(entries + 4, UINT32_MAX, 4);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "it says that it holds 4294967295 bytes and holds less");
	memcpy(file.data, old.data, old.len);
	for (size_t i = 0; i < 4; i++) /* all alike: no pattern is broken, but the frame itself is not what they say */
		put_le(entries + 12 * i + 4, 90, 4);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "holds");
	memcpy(file.data, old.data, old.len);
	entries[24 + 8] ^= 1; /* the third's checksum */
	expect_lie(&file, NULL, BM_ERR_FORMAT, "checksum in the seek table");
	bytes_free(&file);
	bytes_free(&old);
	/* A frame that says more than its blocks can hold. */
	(void)put_frame_header(&file, 3, 0x50, 0, 0, false, (uint64_t)1 << 62);
	put_block(&file, 0, true, 100, data.data, 100);
	expect_lie(&file, NULL, BM_ERR_FORMAT, "its blocks have no more than 100");
	bytes_free(&file);
	/* A skippable frame that is longer than the file, and many of length 0. */
	put_skippable(&file, 0, data.data, 100);
	put_le(file.data + 4, UINT32_MAX, 4);
	expect_lie(&file, NULL, BM_ERR_TRUNCATED, "unexpected end of file");
	bytes_free(&file);
	for (unsigned i = 0; i < 10000; i++)
		put_skippable(&file, i % 16, NULL, 0);
	expect_lie(&file, NULL, BM_OK, "");
	bytes_free(&file);
	bytes_free(&data);
}

static void test_gzi_lies(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 330);
	struct bytes gzi, other, old = {NULL, 0, 0};
	struct bytes file = pack_form(FORM_BGZF_GZI, data.data, data.len, 55, &gzi);
	uint8_t *const middle = gzi.data + 8 + 2 * 16, *const last = gzi.data + 8 + 4 * 16;
	struct bm_seekable *layer = NULL;
	struct bytes stale;
	struct stack s;

	(void)state;
	assert_int_equal(gzi.len, 8 + 5 * 16);
	bytes_add(&old, gzi.data, gzi.len);
	put_le(gzi.data, 4, 8);
	expect_ignored(&file, &gzi, &data, "its length does not fit");
	put_le(gzi.data, UINT64_MAX, 8);
	expect_ignored(&file, &gzi, &data, "its length does not fit");
	put_le(gzi.data, (uint64_t)1 << 60 | 5, 8); /* times 16: 80 */
	expect_ignored(&file, &gzi, &data, "its length does not fit");
	memcpy(gzi.data, old.data, old.len);
	put_le(last, file.len, 8);
	expect_ignored(&file, &gzi, &data, "begins behind the end");
	put_le(last, UINT64_MAX, 8);
	expect_ignored(&file, &gzi, &data, "begins behind the end");
	put_le(last, 5, 8);
	expect_ignored(&file, &gzi, &data, "wrong order");
	memcpy(gzi.data, old.data, old.len);
	last[0]++;
	expect_ignored(&file, &gzi, &data, "does not begin where the one before it ends");
	memcpy(gzi.data, old.data, old.len);
	last[8]++;
	expect_ignored(&file, &gzi, &data, "does not begin where the one before it ends");
	memcpy(gzi.data, old.data, old.len);
	/* Entries in the middle: the wrong place, the wrong content, out of order, all the same. */
	put_le(middle, 1, 8);
	expect_lie_at(&file, &gzi, 120, BM_ERR_FORMAT, "does not fit the file");
	put_le(middle, UINT64_MAX, 8);
	expect_lie_at(&file, &gzi, 120, BM_ERR_FORMAT, "does not fit the file");
	memcpy(gzi.data, old.data, old.len);
	put_le(middle + 8, 164, 8);
	expect_lie_at(&file, &gzi, 120, BM_ERR_FORMAT, "does not fit the file");
	expect_lie_at(&file, &gzi, 170, BM_ERR_FORMAT, "does not fit the file");
	put_le(middle + 8, UINT64_MAX, 8);
	expect_lie_at(&file, &gzi, 120, BM_ERR_FORMAT, "does not fit the file");
	for (size_t i = 0; i < 3; i++)
		memcpy(gzi.data + 8 + 16 * i, old.data + 8 + 4 * 16, 16);
	expect_lie_at(&file, &gzi, 120, BM_ERR_FORMAT, "does not fit the file");
	/* The index of another file, and of this one before it grew. */
	stale = pack_form(FORM_BGZF_GZI, data.data, 300, 90, &other);
	expect_ignored(&file, &other, &data, "it is of another file");
	bytes_free(&stale);
	bytes_free(&other);
	stale = pack_form(FORM_BGZF_GZI, data.data, 275, 55, &other);
	expect_ignored(&file, &other, &data, "blocks behind its last one");
	bytes_free(&stale);
	bytes_free(&other);
	/* One that is refused when a block was already read at the place that it says: blocks 1 and 2, and too far on. */
	bytes_add(&other, old.data, 8 + 3 * 16);
	put_le(other.data, 3, 8);
	memcpy(other.data + 8 + 16, old.data + 8, 32);
	put_le(other.data + 8 + 16 + 8, 200, 8);
	put_le(other.data + 8 + 32 + 8, 255, 8);
	open_stack(&s, &file, &other, 0);
	assert_int_equal(bm_seekable_open(&s.sources[0], &(struct bm_seekable_options){.gzi = &s.gzi}, &layer, NULL),
	                 BM_OK);
	expect_range(layer, &data, 260, 20, "where the index put a block");
	bm_seekable_destroy(layer);
	close_stack(&s);
	expect_ignored(&file, &other, &data, "blocks behind its last one");
	bytes_free(&other);
	bytes_free(&gzi);
	bytes_free(&old);
	bytes_free(&file);
	bytes_free(&data);
}

/* ---- age files that somebody changed ---- */

#define MEMBERS 40
#define MEMBER_CHUNK ((size_t)100000)

/* The byte of the payload that holds byte `at` of the plain text. */
static uint8_t *payload_byte(const struct bytes *file, size_t plain_len, size_t at)
{
	return file->data + file->len - (size_t)bm_age_sealed_bytes(plain_len) + at +
	       at / BM_AGE_CHUNK_BYTES * BM_AGE_TAG_BYTES;
}

static void expect_tampered(const struct bytes *file, const struct bytes *data, size_t at, bool before_is_good)
{
	struct stack s;
	uint8_t out[100];
	size_t got;

	open_stack(&s, file, NULL, 0);
	assert_non_null(s.layers[0]);
	if (s.layers[1] == NULL) { /* it was the first member's head that was changed */
		assert_int_equal(s.status, BM_ERR_FORMAT);
		assert_non_null(strstr(s.err.text, "age chunk at byte"));
	}
	for (unsigned i = 0; i < 3 && s.layers[1] != NULL; i++) { /* again and again: nothing that was learnt stays */
		struct bm_error err = BM_ERROR_INIT;

		assert_int_equal(bm_seekable_read(s.layers[1], out, sizeof(out), at, &got, &err), BM_ERR_FORMAT);
		if (strstr(err.text, "age chunk at byte") == NULL)
			fail_msg("%s", err.text);
		assert_int_equal(got, 0);
	}
	if (before_is_good)
		expect_range(s.layers[1], data, 5 * MEMBER_CHUNK, 1000, "before it");
	close_stack(&s);
}

/* Bits of the cipher's stream turn bits of what is in it: somebody who can write the file can make members say what he
 * likes, with no pattern broken. Here all of the first file say that they hold what those of the second do. Every chunk that
 * such a claim was read from must be found out. */
static void test_tampered_heads(void **state)
{
	const size_t half = MEMBERS / 2, other_chunk = MEMBER_CHUNK - 4096;
	struct bytes data = make_data(KIND_RANDOM, half * (MEMBER_CHUNK + other_chunk));
	struct bytes gz = pack_indexed(0, data.data, half * MEMBER_CHUNK, MEMBER_CHUNK);
	const size_t member = gz.len / half;
	struct bytes more =
		pack_indexed(0, data.data + half * MEMBER_CHUNK, data.len - half * MEMBER_CHUNK, other_chunk);
	struct bytes file;
	struct stack s;

	(void)state;
	bytes_add(&gz, more.data, more.len);
	file = pack_age(gz.data, gz.len);
	open_stack(&s, &file, NULL, 0);
	expect_range(s.top, &data, 30 * MEMBER_CHUNK + 17, 100000, "as it was");
	close_stack(&s);
	*payload_byte(&file, gz.len, member * 13 - 2) ^= 1; /* 65536 of 100000, in the 13th */
	expect_tampered(&file, &data, 15 * MEMBER_CHUNK, true);
	*payload_byte(&file, gz.len, member * 13 - 2) ^= 1;
	for (size_t i = 2; i <= half; i++) /* the first is looked at when it is opened */
		for (size_t byte = 0; byte < 4; byte++)
			*payload_byte(&file, gz.len, member * i - 4 + byte) ^=
				(uint8_t)((MEMBER_CHUNK ^ other_chunk) >> (8 * byte));
	expect_tampered(&file, &data, 30 * MEMBER_CHUNK, false);
	for (size_t byte = 0; byte < 4; byte++)
		*payload_byte(&file, gz.len, member - 4 + byte) ^=
			(uint8_t)((MEMBER_CHUNK ^ other_chunk) >> (8 * byte));
	expect_tampered(&file, &data, 30 * MEMBER_CHUNK, false);
	bytes_free(&file);
	bytes_free(&more);
	bytes_free(&gz);
	bytes_free(&data);
}

/* The same in a file of more members than claims are noted at once. */
static void test_tampered_many(void **state)
{
	const size_t count = 4400, chunk = 4200; /* longer than what is read many at a time */
	struct bytes data = make_data(KIND_RANDOM, count * chunk);
	struct bytes gz = pack_indexed(0, data.data, data.len, chunk);
	const size_t member = gz.len / count;
	struct bytes file = pack_age(gz.data, gz.len);
	uint8_t out[100];
	struct stack s;
	size_t got;

	(void)state;
	/* One says that it is as long as itself and the next. */
	for (size_t byte = 0; byte < 4; byte++)
		*payload_byte(&file, gz.len, 100 * member + 16 + byte) ^=
			(uint8_t)((member ^ 2 * member) >> (8 * byte));
	for (unsigned from_end = 0; from_end < 2; from_end++) {
		struct bm_error err = BM_ERROR_INIT;

		open_stack(&s, &file, NULL, 0);
		assert_non_null(s.layers[1]);
		for (unsigned i = 0; i < 2; i++) {
			if (from_end != 0) {
				uint64_t size;

				assert_int_equal(bm_seekable_size(s.layers[1], &size, &err), BM_ERR_FORMAT);
			}
			bm_error_clear(&err);
			assert_int_equal(bm_seekable_read(s.layers[1], out, sizeof(out), 4300 * chunk, &got, &err),
			                 BM_ERR_FORMAT);
			if (strstr(err.text, "age chunk at byte") == NULL)
				fail_msg("%s", err.text);
			assert_int_equal(got, 0);
		}
		expect_range(s.layers[1], &data, 0, 100, "before it");
		close_stack(&s);
	}
	bytes_free(&file);
	bytes_free(&gz);
	bytes_free(&data);
}

/* What was decrypted is not what is there when it is checked. */
static void test_changing_file(void **state)
{
	struct bytes data = make_data(KIND_RANDOM, MEMBER_CHUNK * MEMBERS);
	struct bytes gz = pack_indexed(0, data.data, data.len, MEMBER_CHUNK);
	struct bytes file = pack_age(gz.data, gz.len);
	struct bm_seekable *layer = NULL;
	enum bm_status status;
	struct stack s;
	uint8_t out[100];
	size_t got;

	(void)state;
	open_stack(&s, &file, NULL, 0);
	assert_int_equal(s.status, BM_OK);
	s.file.lies = true;
	status = bm_seekable_open(&s.sources[1], NULL, &layer, NULL);
	if (status == BM_OK)
		status = bm_seekable_read(layer, out, sizeof(out), 20 * MEMBER_CHUNK, &got, NULL);
	assert_int_equal(status, BM_ERR_CHANGED);
	bm_seekable_destroy(layer);
	close_stack(&s);
	bytes_free(&file);
	bytes_free(&gz);
	bytes_free(&data);
}

/* What a file claims costs neither memory nor time: 4 GiB in a small member, a gigabyte of frames in RLE blocks. */
static void test_bombs(void **state)
{
	struct bytes zeros = make_data(KIND_ZERO, 20000000);
	struct bytes file = {NULL, 0, 0};
	struct stack s;
	uint8_t out[100];
	size_t got;

	(void)state;
	/* Honest: 20 MB in a member of 20 KB, more than is held in memory. */
	file = pack_indexed(9, zeros.data, zeros.len, zeros.len);
	THEN(file, (bytes_add(&was, was.data, 0), pack_indexed(9, zeros.data, zeros.len, zeros.len / 2)));
	open_stack(&s, &file, NULL, 0);
	assert_int_equal(s.status, BM_OK);
	expect_range(s.top, &zeros, 15000000, 100, "zeros");
	close_stack(&s);
	bytes_free(&file);
	bytes_free(&zeros);
	/* 1,000 RLE blocks of 128 KiB, of which the header says nothing like it. */
	(void)put_frame_header(&file, 3, 0x50, 0, 0, false, 131072000 - 1);
	for (unsigned i = 0; i < 1000; i++)
		put_block(&file, 1, i == 999, 131072, "", 1);
	put_skippable(&file, 0, "", 0);
	open_stack(&s, &file, NULL, 0);
	assert_int_equal(bm_seekable_read(s.layers[0], out, sizeof(out), 5, &got, NULL), BM_ERR_FORMAT);
	close_stack(&s);
	bytes_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gzip_lies),     cmocka_unit_test(test_zstd_lies),
		cmocka_unit_test(test_gzi_lies),      cmocka_unit_test(test_tampered_heads),
		cmocka_unit_test(test_tampered_many), cmocka_unit_test(test_changing_file),
		cmocka_unit_test(test_bombs),
	};

	return cmocka_run_group_tests_name("seekable lies", tests, make_key, free_key);
}
