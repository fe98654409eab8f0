/*
 * test_seekable_damage.c - damaged files and lying indexes, read at any place: every flipped bit, every truncation, every
 * wrong size in a long row, indexes made to mislead, random damage, no memory.
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

static void put_le(uint8_t *p, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

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

/* ---- lies ---- */

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
	struct bytes stale;

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
	bytes_free(&gzi);
	bytes_free(&old);
	bytes_free(&file);
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
				struct bm_seekable_source src = {memory_pread, &m, file.len};
				struct bm_seekable_source gzi_src = {memory_pread, &index, gzi.len};
				struct bm_seekable_options opt = {testing_identities, gzi.len > 0 ? &gzi_src : NULL,
				                                  unit_max};
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
		cmocka_unit_test(test_every_bit_flipped),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_wrong_size),
		cmocka_unit_test(test_gzip_lies),
		cmocka_unit_test(test_zstd_lies),
		cmocka_unit_test(test_gzi_lies),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("seekable damage", tests, make_key, free_key);
}
