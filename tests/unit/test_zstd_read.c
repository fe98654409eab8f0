/*
 * test_zstd_read.c - the reading half of bm_zstd.h: headers of every shape, files of other programs, every cut of input
 * and output, caps, and what may stand between and behind frames. Damage is in test_zstd_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "zstd_testing.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Reads file at every cut of the input, with outputs of several sizes: always data. */
static void check_all_cuts(struct bm_zstd_decoder *d, const char *what, const struct bytes *file,
                           const struct bytes *data)
{
	static const size_t out_steps[] = {1, 7, 64, 1000, 200000};

	for (size_t i = 0; i < LENGTH(out_steps); i++) {
		/* Every cut of what is short; of the rest those near its ends, and some 300. */
		const size_t calls = data->len / out_steps[i];
		const size_t step = file->len < 3000 && calls < 5000 ? 1 : file->len / (calls < 5000 ? 300 : 10) + 1;
		const size_t ends = calls < 5000 ? 40 : 3;

		for (size_t cut = 0; cut <= file->len; cut += cut < ends || file->len - cut < ends ? 1 : step) {
			struct unzstd u = unzstd(d, file->data, file->len, cut, cut == 0 ? 1 : SIZE_MAX, out_steps[i]);

			if (u.status != BM_OK)
				fail_msg("%s: cut at %zu, %zu bytes out: %s: %s", what, cut, out_steps[i], u.err.where,
				         u.err.text);
			assert_bytes(&u.data, data->data, data->len);
			bytes_free(&u.data);
		}
	}
}

/* The frames of a file as the scan cuts them, fed in steps of any size. */
static void check_scan(struct bm_zstd_decoder *d, const char *what, const struct bytes *file, const struct bytes *data)
{
	static const size_t steps[] = {1, 2, 3, 5, 17, 1000, SIZE_MAX};

	for (size_t i = 0; i < LENGTH(steps); i++) {
		struct unzstd u = unzstd_frames(d, file->data, file->len, steps[i], data->len);

		if (u.status != BM_OK)
			fail_msg("%s: fed by %zu: %s: %s", what, steps[i], u.err.where, u.err.text);
		assert_bytes(&u.data, data->data, data->len);
		bytes_free(&u.data);
	}
}

/* ---- headers ---- */

static void test_every_header(void **state)
{
	static const uint64_t contents[] = {0, 1, 255, 256, 65535 + 256, UINT32_MAX, UINT64_MAX - 1};
	static const uint32_t dictionaries[] = {0, 1, 255, 65535, UINT32_MAX};
	static const int windows[] = {-1, 0, 1, 7, 0x51, 0xff};

	(void)state;
	for (unsigned flag = 0; flag < 4; flag++)
		for (size_t w = 0; w < LENGTH(windows); w++)
			for (unsigned df = 0; df < 4; df++)
				for (size_t k = 0; k < LENGTH(contents) * LENGTH(dictionaries) * 2; k++) {
					const uint64_t content = contents[k % LENGTH(contents)];
					const uint32_t dict = dictionaries[k / LENGTH(contents) % LENGTH(dictionaries)];
					const bool sum = k % 2 == 0;
					const bool told = flag > 0 || windows[w] < 0;
					struct bytes b = {NULL, 0, 0};
					struct bm_zstd_header h;
					uint64_t base;
					size_t len;

					if ((flag == 1 && content < 256) ||
					    (df < 3 && (uint64_t)dict >= UINT64_C(1) << (8 * df)))
						continue;
					if ((flag == 0 && content > 255) || (flag == 1 && content > 65535 + 256) ||
					    (flag == 2 && content > UINT32_MAX))
						continue;
					len = put_frame_header(&b, flag, windows[w], df, dict, sum, content);
					for (size_t part = 0; part < len; part++) {
						uint8_t *prefix = exact_copy(b.data, part);

						assert_int_equal(bm_zstd_peek_header(prefix, part, &h),
						                 BM_ZSTD_PEEK_SHORT);
						assert_int_equal(h.header_bytes, 0);
						free(prefix);
					}
					assert_int_equal(bm_zstd_peek_header(b.data, len, &h), BM_ZSTD_PEEK_OK);
					assert_int_equal(h.header_bytes, len);
					assert_true(len <= BM_ZSTD_HEADER_MAX);
					assert_int_equal(h.has_content_bytes, told);
					assert_int_equal(h.content_bytes, told ? content : 0);
					assert_int_equal(h.dictionary_id, dict);
					assert_int_equal(h.has_checksum, sum);
					base = UINT64_C(1) << (10 + (windows[w] < 0 ? 0 : windows[w] >> 3));
					assert_int_equal(h.window_bytes,
					                 windows[w] < 0 ? content
					                                : base + base / 8 * (unsigned)(windows[w] & 7));
					bytes_free(&b);
				}
}

static void test_not_frames(void **state)
{
	static const uint8_t start[5] = {0x28, 0xb5, 0x2f, 0xfd, 0x24};
	struct bm_zstd_header h;
	uint8_t b[8] = {0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0x80};

	(void)state;
	for (size_t len = 0; len < 8; len++)
		assert_int_equal(bm_zstd_peek_header(b, len, &h), BM_ZSTD_PEEK_SHORT);
	assert_int_equal(bm_zstd_peek_header(b, 8, &h), BM_ZSTD_PEEK_OK);
	assert_true(h.skippable);
	assert_int_equal(h.header_bytes, 8);
	assert_int_equal(h.skip_bytes, 0x80000005u);
	for (size_t at = 0; at < 4; at++) {
		memcpy(b, start, 5);
		b[at] ^= 1;
		assert_int_equal(bm_zstd_peek_header(b, at + 1, &h), BM_ZSTD_PEEK_NOT);
		assert_int_equal(bm_zstd_peek_header(b, 8, &h), BM_ZSTD_PEEK_NOT);
	}
	memcpy(b, start, 5);
	b[4] |= 8; /* the reserved bit */
	assert_int_equal(bm_zstd_peek_header(b, 8, &h), BM_ZSTD_PEEK_NOT);
	b[4] ^= 8 | 16; /* the unused one */
	assert_int_equal(bm_zstd_peek_header(b, 8, &h), BM_ZSTD_PEEK_OK);
}

/* ---- frames made by hand ---- */

static struct bytes file_by_hand(struct bytes *data)
{
	struct bytes f = {NULL, 0, 0};
	static const char *const words = "abcdefghij";

	*data = (struct bytes){NULL, 0, 0};
	put_skippable(&f, 0, "hello", 5);
	put_frame_header(&f, 0, 0, 0, 0, false, 0); /* window 1 KiB, no content size, no checksum */
	put_block(&f, 0, false, 10, words, 10);
	put_block(&f, 1, false, 1000, "x", 1);
	put_block(&f, 0, false, 0, NULL, 0);
	put_block(&f, 0, true, 0, NULL, 0);
	bytes_add(data, words, 10);
	for (int i = 0; i < 1000; i++)
		bytes_add(data, "x", 1);
	put_skippable(&f, 15, NULL, 0);
	put_frame_header(&f, 0, -1, 3, 0, false, 3); /* single segment, a dictionary id of 0 in four bytes */
	put_block(&f, 0, true, 3, "end", 3);
	bytes_add(data, "end", 3);
	put_frame_header(&f, 0, -1, 0, 0, false, 0);
	put_block(&f, 0, true, 0, NULL, 0);
	put_skippable(&f, 14, "\0\0\0", 3);
	return f;
}

static void test_by_hand(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(BM_ZSTD_WINDOW_MIN);
	struct bytes data, file = file_by_hand(&data);
	struct unzstd u;

	(void)state;
	check_all_cuts(d, "by hand", &file, &data);
	check_scan(d, "by hand", &file, &data);
	u = unzstd(d, file.data, file.len, 0, SIZE_MAX, 5000);
	assert_int_equal(u.frames, 3);
	bytes_free(&u.data);
	bytes_free(&file);
	bytes_free(&data);

	put_skippable(&file, 3, "nothing but this", 16); /* zstd takes that too */
	u = unzstd(d, file.data, file.len, 0, 1, 10);
	assert_int_equal(u.status, BM_OK);
	assert_int_equal(u.data.len, 0);
	assert_int_equal(u.frames, 0);
	bytes_free(&u.data);
	bytes_free(&file);
	bm_zstd_decoder_destroy(d);
}

static struct unzstd expect(struct bm_zstd_decoder *d, const struct bytes *f, enum bm_status status, const char *where,
                            const char *text)
{
	struct unzstd u = {{NULL, 0, 0}, BM_OK, BM_ERROR_INIT, 0, 0};

	for (size_t step = 1; step < 3 * f->len + 10; step *= 3) {
		bytes_free(&u.data);
		u = unzstd(d, f->data, f->len, 0, step, 100);
		if (u.status != status || strcmp(u.err.where, where) != 0 || strstr(u.err.text, text) == NULL)
			fail_msg("%s: %s: %s (expected %s: %s)", bm_status_text(u.status), u.err.where, u.err.text,
			         where, text);
	}
	return u;
}

static void test_refused(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(1 << 20);
	struct bytes data = make_data(KIND_TEXT, 5000);
	struct bytes good = pack_frames(3, data.data, data.len, 5000, false);
	struct bytes f = {NULL, 0, 0};
	char where[64];
	struct unzstd u;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_zstd_stream_result res;
	uint8_t out[100];
	size_t len;

	(void)state;
	u = expect(d, &f, BM_ERR_TRUNCATED, "offset 0", "empty");
	bytes_add(&f, "(\xb5/\xfe....", 8);
	u = expect(d, &f, BM_ERR_FORMAT, "offset 0", "not a zstd file");
	bytes_free(&f);
	bytes_add(&f, "(a", 2);
	u = expect(d, &f, BM_ERR_FORMAT, "offset 0", "not a zstd file");
	bytes_free(&f);
	bytes_add(&f, "\x27\xb5\x2f\xfd....", 8);
	u = expect(d, &f, BM_ERR_FORMAT, "offset 0", "0.7 or older");
	bytes_free(&f);
	put_frame_header(&f, 0, 0x50, 2, 777, false, 0);
	put_block(&f, 0, true, 3, "abc", 3);
	u = expect(d, &f, BM_ERR_UNSUPPORTED, "offset 0", "the dictionary 777");
	assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len, out, sizeof(out), &len, &err), BM_ERR_UNSUPPORTED);
	bytes_free(&f);
	put_frame_header(&f, 0, 0x51, 0, 0, false, 0); /* 1 MiB and an eighth */
	put_block(&f, 0, true, 3, "abc", 3);
	u = expect(d, &f, BM_ERR_LIMIT, "offset 0", "window of 1.13 MiB");
	assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len, out, sizeof(out), &len, NULL), BM_OK);
	assert_int_equal(len, 3);
	bytes_free(&f);
	put_frame_header(&f, 0, 0x50, 0, 0, false, 0); /* 1 MiB */
	put_block(&f, 0, true, 3, "abc", 3);
	u = unzstd(d, f.data, f.len, 0, 4, 1);
	assert_int_equal(u.status, BM_OK);
	assert_int_equal(u.data.len, 3);
	bytes_free(&u.data);
	assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len, out, 2, &len, NULL), BM_ERR_LIMIT);
	assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len - 1, out, 3, &len, NULL), BM_ERR_TRUNCATED);
	bytes_add(&f, "", 1);
	assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len, out, 3, &len, NULL), BM_ERR_FORMAT);
	bytes_free(&f);
	/* less content than the header says, before an empty last block, which libzstd lets pass in a stream */
	put_frame_header(&f, 0, -1, 0, 0, false, 9);
	put_block(&f, 0, false, 3, "abc", 3);
	put_block(&f, 0, true, 0, NULL, 0);
	u = expect(d, &f, BM_ERR_FORMAT, "offset 0", "holds 9 bytes and holds 3");
	bytes_free(&u.data);
	assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len, out, sizeof(out), &len, NULL), BM_ERR_FORMAT);
	bytes_free(&f);
	/* and more: not a question of room */
	put_frame_header(&f, 1, 0, 0, 0, false, 256);
	put_block(&f, 0, true, 300, data.data, 300);
	u = expect(d, &f, BM_ERR_FORMAT, "offset 8", "corrupt");
	bytes_free(&u.data);
	{
		uint8_t room[280];

		assert_int_equal(bm_zstd_decode_frame(d, f.data, f.len, room, sizeof(room), &len, NULL), BM_ERR_FORMAT);
	}
	bytes_free(&f);
	/* garbage behind a good frame, and an error in a later block */
	bytes_add(&f, good.data, good.len);
	bytes_add(&f, "\0", 1);
	snprintf(where, sizeof(where), "offset %zu", good.len);
	u = expect(d, &f, BM_ERR_FORMAT, where, "what follows the zstd frames is not zstd");
	assert_bytes(&u.data, data.data, data.len);
	assert_int_equal(u.verified, data.len);
	bytes_free(&u.data);
	f.len = good.len;
	put_frame_header(&f, 0, 0, 0, 0, false, 0);
	put_block(&f, 0, false, 3, "abc", 3);
	put_block(&f, 3, true, 3, "abc", 3);
	snprintf(where, sizeof(where), "offset %zu", good.len + 6 + 6);
	u = expect(d, &f, BM_ERR_FORMAT, where, "reserved type (in zstd frame 2, which begins at offset");
	assert_int_equal(u.data.len, data.len + 3);
	bytes_free(&u.data);
	f.len -= 6;
	put_block(&f, 1, true, 1025, "a", 1);
	u = expect(d, &f, BM_ERR_FORMAT, where, "longer than the window");
	bytes_free(&u.data);
	f.len -= 4;
	put_block(&f, 2, true, 30, "not the compressed block that.", 30);
	u = expect(d, &f, BM_ERR_FORMAT, where, "corrupt zstd data");
	bytes_free(&u.data);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_zstd_decode_frame(d, f.data + good.len, f.len - good.len, out, sizeof(out), &len, &err),
	                 BM_ERR_FORMAT);
	assert_string_equal(err.where, "offset 12");
	/* after an error, and after a whole frame, a stream wants a reset */
	assert_int_equal(bm_zstd_stream_decode(d, f.data, f.len, true, out, sizeof(out), &res, NULL), BM_ERR_USAGE);
	bytes_free(&f);
	bytes_free(&good);
	bytes_free(&data);
	bm_zstd_decoder_destroy(d);
	assert_int_equal(bm_zstd_decoder_create(1000, &d, NULL), BM_ERR_USAGE);
	assert_null(d);
	assert_int_equal(bm_zstd_decoder_create(BM_ZSTD_WINDOW_MAX + 1, &d, NULL), BM_ERR_USAGE);
	bm_zstd_decoder_destroy(NULL);
	d = new_zstd_decoder(BM_ZSTD_WINDOW_MAX);
	bm_zstd_decoder_destroy(d);
	assert_true(bm_zstd_decoder_bytes(0) < 400000);
	assert_in_range(bm_zstd_decoder_bytes(8 << 20), (8 << 20) + 500000, (8 << 20) + 1000000);
}

/* ---- files of other programs ---- */

struct maker {
	const char *name;
	const char *program;
	const char *command; /* in a directory with text, noise, zero and one */
	const char *parts;   /* what it holds, for cat */
};

static const struct maker makers[] = {
	{"plain", "zstd", "zstd -q -c text", "text"},
	{"noise", "zstd", "zstd -q -c noise", "noise"},
	{"empty", "zstd", "zstd -q -c zero", "zero"},
	{"one", "zstd", "zstd -q -c one", "one"},
	{"pipe", "zstd", "cat text | zstd -q -c", "text"},
	{"no check", "zstd", "cat text | zstd -q --no-check -c", "text"},
	{"fast", "zstd", "zstd -q --fast=5 -c text", "text"},
	{"19", "zstd", "zstd -q -19 -c text", "text"},
	{"ultra", "zstd", "zstd -q --ultra -22 -c text", "text"},
	{"long", "zstd", "cat big | zstd -q --long=27 -c", "big"},
	{"long noise", "zstd", "cat noise big noise | zstd -q --long=27 -c", "noise big noise"},
	{"adapt", "zstd", "cat big | zstd -q --adapt -c", "big"},
	{"threads", "zstd", "zstd -q -T2 -B64KiB -c big", "big"},
	{"rsyncable", "zstd", "zstd -q -T2 --rsyncable -c big", "big"},
	{"many", "zstd", "for f in text zero one noise text; do zstd -q -c $f; done", "text zero one noise text"},
	{"skippable", "zstd",
         "printf 'P*M\\030\\3\\0\\0\\0abc'; zstd -q -c text; printf '_*M\\030\\0\\0\\0\\0'; zstd -q -c one",
         "text one"},
	{"pzstd", "pzstd", "pzstd -q -p 3 -c big", "big"},
	{NULL, NULL, NULL, NULL},
};

static void test_other_programs(void **state)
{
	struct bm_zstd_decoder *d = new_zstd_decoder(BM_ZSTD_WINDOW_DEFAULT);
	struct bytes text = make_data(KIND_TEXT, 2000);
	struct bytes noise = make_data(KIND_RANDOM, 1500);
	struct bytes big = make_data(KIND_TEXT, 300000);
	char directory[64], command[512];

	(void)state;
	make_directory(directory);
	write_file(directory, "text", text.data, text.len);
	write_file(directory, "noise", noise.data, noise.len);
	write_file(directory, "big", big.data, big.len);
	write_file(directory, "zero", NULL, 0);
	write_file(directory, "one", "1", 1);
	for (const struct maker *m = makers; m->program != NULL; m++) {
		struct bytes file, data;

		if (!has_program(m->program))
			continue;
		snprintf(command, sizeof(command), "cd %s && { %s; }", directory, m->command);
		file = run_program(command);
		snprintf(command, sizeof(command), "cd %s && cat %s", directory, m->parts);
		data = run_program(command);
		check_all_cuts(d, m->name, &file, &data);
		check_scan(d, m->name, &file, &data);
		bytes_free(&file);
		bytes_free(&data);
	}
	if (has_program("zstd")) {
		struct bytes file, out;
		struct bm_zstd_decoder *small = new_zstd_decoder(8 << 20);

		/* a window over the cap */
		snprintf(command, sizeof(command), "cd %s && cat big | zstd -q --long=27 -c", directory);
		file = run_program(command);
		out = expect(small, &file, BM_ERR_LIMIT, "offset 0", "window of 128 MiB").data;
		bytes_free(&out);
		bytes_free(&file);
		bm_zstd_decoder_destroy(small);
		/* a dictionary */
		snprintf(
			command, sizeof(command),
			"cd %s && split -b 2000 -a 3 big part. && zstd -q --train part.* --maxdict=2000 -o dict >dict.log "
			"2>&1 && zstd -q -D dict -c text",
			directory);
		file = run_program(command);
		out = expect(d, &file, BM_ERR_UNSUPPORTED, "offset 0", "dictionary").data;
		bytes_free(&out);
		bytes_free(&file);
	}
	remove_directory(directory);
	bytes_free(&text);
	bytes_free(&noise);
	bytes_free(&big);
	bm_zstd_decoder_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_header),   cmocka_unit_test(test_not_frames),
		cmocka_unit_test(test_by_hand),        cmocka_unit_test(test_refused),
		cmocka_unit_test(test_other_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
