/*
 * test_seekable.c - any part of an encoded file: every layout and stacks of them, ranges around every boundary and
 * anywhere, how much is read for one, what cannot be sought in. Damage and lies: test_seekable_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "age_peek.h"
#include "seekable_testing.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Lengths around the chunk's, and ranges around every boundary of chunks and BGZF blocks. */
static void test_around_boundaries(void **state)
{
	const size_t chunk = 1000;
	const size_t lengths[] = {0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk, 5 * chunk + 77};
	const size_t unit_maxes[] = {0, 1, 300};

	(void)state;
	for (enum form form = 0; form < FORM_COUNT; form++) {
		for (size_t i = 0; i < LENGTH(lengths); i++) {
			struct bytes data = make_data(KIND_TEXT, lengths[i]);
			struct bytes gzi;
			struct bytes file = pack_form(form, data.data, data.len, chunk, &gzi);

			for (size_t k = 0; k < LENGTH(unit_maxes); k++) {
				struct stack s;
				uint64_t size;

				/* A large file of one unit only is for streaming. */
				if (unit_maxes[k] > 0 && (lengths[i] <= chunk || file.len <= chunk))
					continue;
				open_stack(&s, &file, &gzi, unit_maxes[k]);
				if (s.status != BM_OK)
					fail_msg("%s, %zu bytes: %s: %s", form_names[form], lengths[i], s.err.where,
					         s.err.text);
				assert_int_equal(s.depth, depth_of(form));
				for (size_t at = 0; at <= data.len + chunk; at += chunk)
					for (size_t from = at > 3 ? at - 3 : 0; from <= at + 3; from++)
						for (size_t len = 0; len < 8; len++)
							expect_range(s.top, &data, from, len, form_names[form]);
				expect_range(s.top, &data, 0, data.len, form_names[form]);
				expect_range(s.top, &data, 0, data.len + 1, form_names[form]);
				expect_range(s.top, &data, SIZE_MAX, 10, form_names[form]);
				expect_range(s.top, &data, SIZE_MAX - 10, 20, form_names[form]);
				assert_int_equal(bm_seekable_size(s.top, &size, NULL), BM_OK);
				assert_int_equal(size, data.len);
				assert_null(bm_seekable_warning(s.top));
				close_stack(&s);
			}
			bytes_free(&file);
			bytes_free(&gzi);
			bytes_free(&data);
		}
	}
}

/* Anywhere, in any order, of files with many units: more than there are marks in a row, blocks of 64 KiB, runs of two
 * sizes. */
static void test_anywhere(void **state)
{
	static const struct {
		enum kind kind;
		size_t len, chunk, unit_max;
	} cases[] = {
		{KIND_TEXT, 3000000, 200000, 0},       {KIND_RANDOM, 1500000, 140001, 0},
		{KIND_TEXT, 1000000, 77, 0}, /* 12,988 units */
		{KIND_TEXT, 3000000, 1000000, 300000}, {KIND_ZERO, 2500000, 400000, 0},
	};
	uint64_t seed = 4711;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct bytes data = make_data(cases[i].kind, cases[i].len);

		for (enum form form = 0; form < FORM_COUNT; form++) {
			struct bytes gzi;
			struct bytes file = pack_form(form, data.data, data.len, cases[i].chunk, &gzi);
			struct stack s;

			open_stack(&s, &file, &gzi, cases[i].unit_max);
			if (s.status != BM_OK)
				fail_msg("%s, case %zu: %s: %s", form_names[form], i, s.err.where, s.err.text);
			for (unsigned round = 0; round < 60; round++) {
				const size_t at = random_next(&seed) % data.len;
				const size_t len = random_next(&seed) % (round % 4 == 0 ? 300000 : 3000);

				expect_range(s.top, &data, at, len, form_names[form]);
				expect_range(s.top, &data, at + len, 500, form_names[form]); /* and on from there */
			}
			close_stack(&s);
			bytes_free(&file);
			bytes_free(&gzi);
		}
		bytes_free(&data);
	}
}

/* For a range in the middle: heads and what holds the range, and nothing else. */
static void test_little_is_read(void **state)
{
	const size_t chunk = 50000;
	struct bytes data = make_data(KIND_RANDOM, 100 * chunk);

	(void)state;
	/* Behind these the outer layer's length is wanted, and so all of its heads. */
	for (enum form form = FORM_INDEXED; form < FORM_AGE_GZIP; form++) {
		struct bytes gzi;
		struct bytes file = pack_form(form, data.data, data.len, chunk, &gzi);
		struct stack s;

		open_stack(&s, &file, &gzi, 0);
		assert_int_equal(s.status, BM_OK);
		expect_range(s.top, &data, data.len / 2 + 5, 60000, form_names[form]);
		/* BGZF without index: what is decoded at its start to learn its pattern comes on top. */
		if (s.file.read_bytes >
		    700000 + (form == FORM_BGZF ? 2500000u : 0) + (form == FORM_GZIP_AGE ? 5000000u : 0))
			fail_msg("%s: %" PRIu64 " of %zu bytes read", form_names[form], s.file.read_bytes, file.len);
		if (s.file.reads > 250)
			fail_msg("%s: %" PRIu64 " reads", form_names[form], s.file.reads);
		close_stack(&s);
		bytes_free(&file);
		bytes_free(&gzi);
	}
	bytes_free(&data);
}

/* Units of any size, in no pattern: files of different writers joined, empty ones among them. */
static void test_joined(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct bytes data = {NULL, 0, 0}, gz = {NULL, 0, 0}, bgzf = {NULL, 0, 0}, zst = {NULL, 0, 0};
		struct bytes *const files[] = {&gz, &bgzf, &zst};

		for (unsigned part = 0; part < 1 + round % 7; part++) {
			struct bytes more = make_data(KIND_TEXT, random_next(&seed) % 5000 * (random_next(&seed) % 4));
			const size_t chunk = 1 + random_next(&seed) % 4000;

			bytes_add(&data, more.data, more.len);
			for (size_t i = 0; i < LENGTH(files); i++) {
				struct bytes packed =
					i == 0   ? pack_indexed(6, more.data, more.len, chunk)
					: i == 1 ? pack_bgzf(6, more.data, more.len, chunk, round % 2 == 0, NULL)
						 : pack_frames(3, more.data, more.len, chunk, round % 2 == 0);

				bytes_add(files[i], packed.data, packed.len);
				if (i == 0 && round % 3 == 0) /* zeros are passed over */
					bytes_add(files[i], (const uint8_t[7]){0}, random_next(&seed) % 8);
				bytes_free(&packed);
			}
			bytes_free(&more);
		}
		for (size_t i = 0; i < LENGTH(files); i++) {
			struct stack s;

			open_stack(&s, files[i], NULL, 0);
			if (s.status != BM_OK)
				fail_msg("round %u: %s: %s", round, s.err.where, s.err.text);
			for (unsigned k = 0; k < 20; k++)
				expect_range(s.top, &data, random_next(&seed) % (data.len + 1),
				             random_next(&seed) % 3000, "joined");
			expect_range(s.top, &data, 0, data.len + 1, "joined");
			close_stack(&s);
			bytes_free(files[i]);
		}
		bytes_free(&data);
	}
}

static void expect_unsupported(const struct bytes *file, const char *text)
{
	struct stack s;

	open_stack(&s, file, NULL, 0);
	assert_int_equal(s.status, BM_ERR_UNSUPPORTED);
	if (strstr(s.err.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, s.err.text);
	close_stack(&s);
}

static void test_only_for_streaming(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 20000);
	struct bytes armor = {NULL, 0, 0}, file, extra;
	struct stack s;
	uint8_t out[16];
	size_t got;
	uint64_t size;

	(void)state;
	file = pack_single(6, data.data, data.len, 5000, false);
	expect_unsupported(&file, "does not tell its length");
	/* A member in the middle: found out where it is. */
	extra = pack_indexed(6, data.data, data.len, 5000);
	bytes_add(&extra, file.data, file.len);
	open_stack(&s, &extra, NULL, 0);
	assert_int_equal(s.status, BM_ERR_UNSUPPORTED); /* its size was wanted */
	assert_int_equal(bm_seekable_read(s.layers[0], out, sizeof(out), 19990, &got, NULL), BM_ERR_UNSUPPORTED);
	assert_int_equal(got, 10);
	assert_memory_equal(out, data.data + 19990, 10);
	assert_int_equal(bm_seekable_size(s.layers[0], &size, NULL), BM_ERR_UNSUPPORTED);
	expect_range(s.layers[0], &data, 100, 5000, "before it");
	close_stack(&s);
	bytes_free(&extra);
	bytes_free(&file);

	/* A frame without content size. */
	(void)put_frame_header(&file, 0, 0x50, 0, 0, false, 0);
	put_block(&file, 0, true, 100, data.data, 100);
	expect_unsupported(&file, "content's size");
	bytes_free(&file);
	/* One frame that is too large to be held. */
	file = pack_frames(3, data.data, data.len, data.len, false);
	open_stack(&s, &file, NULL, 1000);
	assert_int_equal(s.status, BM_ERR_UNSUPPORTED);
	close_stack(&s);
	bytes_free(&file);

	bytes_add(&armor, "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", 40);
	expect_unsupported(&armor, "armor");
	bytes_free(&armor);
	bytes_free(&data);
}

static void test_keys(void **state)
{
	struct bm_seekable_options opt = {.identities = NULL};
	struct bytes data = make_data(KIND_TEXT, 200);
	struct bytes file = pack_age(data.data, data.len);
	struct memory m = {.data = file.data, .len = file.len};
	struct bm_seekable_source src = {.pread = memory_pread, .ctx = &m, .size = file.len};
	struct bm_age_identities *other = NULL;
	struct bm_seekable *s = NULL;
	struct bm_age_keypair pair;
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	assert_int_equal(bm_seekable_open(&src, NULL, &s, &err), BM_ERR_USAGE);
	assert_non_null(strstr(err.text, "no key"));
	assert_int_equal(bm_age_keygen(&pair, NULL), BM_OK);
	assert_int_equal(bm_age_identities_create(&other, NULL), BM_OK);
	assert_int_equal(bm_age_identities_add(other, pair.identity, strlen(pair.identity), NULL), BM_OK);
	opt.identities = other;
	assert_int_equal(bm_seekable_open(&src, &opt, &s, NULL), BM_ERR_FAILED);
	assert_null(s);
	bm_age_identities_destroy(other);
	bytes_free(&file);
	bytes_free(&data);
}

/* The two halves of opening an age chunk, against the whole. */
static void test_age_in_parts(void **state)
{
	const size_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 1000, 65535, 65536};
	struct bm_age_key key;
	struct bm_age_cipher *c = NULL;
	struct age_peek *peek;
	uint64_t seed = 8439;

	(void)state;
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t)random_next(&seed);
	assert_int_equal(bm_age_cipher_create(&c, NULL), BM_OK);
	assert_int_equal(bm_age_cipher_set_key(c, &key, BM_AGE_SEAL, NULL), BM_OK);
	peek = age_peek_create(&key);
	assert_non_null(peek);
	for (size_t i = 0; i < LENGTH(lengths); i++) {
		const uint64_t index = lengths[i] < 65536 ? 0 : i % 2 == 0 ? 77 : UINT64_C(0x123456789abc);
		struct bytes data = make_data(KIND_RANDOM, lengths[i]);
		uint8_t *sealed = malloc(BM_AGE_SEALED_CHUNK_BYTES);
		const size_t bit = random_next(&seed) % (8 * (lengths[i] + 16));
		size_t made;

		assert_non_null(sealed);
		assert_int_equal(bm_age_seal(c, index, true, data.data, data.len, sealed, BM_AGE_SEALED_CHUNK_BYTES,
		                             &made, NULL),
		                 BM_OK);
		assert_true(age_peek_check(peek, index, true, sealed, made));
		assert_false(age_peek_check(peek, index, false, sealed, made));
		assert_false(age_peek_check(peek, index + 1, true, sealed, made));
		assert_false(age_peek_check(peek, index, true, sealed, made - 1));
		sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(age_peek_check(peek, index, true, sealed, made));
		sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		for (unsigned round = 0; round < 200 && data.len > 0; round++) {
			const size_t at = random_next(&seed) % data.len;
			const size_t left = data.len - at, len = random_next(&seed) % 65;
			uint8_t out[64];

			assert_true(age_peek_decrypt(peek, index, true, at, sealed + at, out, len < left ? len : left));
			assert_memory_equal(out, data.data + at, len < left ? len : left);
		}
		free(sealed);
		bytes_free(&data);
	}
	age_peek_destroy(peek);
	bm_age_cipher_destroy(c);
}

/* A read that fails is an error, and the next call may succeed. */
static void test_read_errors(void **state)
{
	struct bytes data = make_data(KIND_TEXT, 9000);

	(void)state;
	for (enum form form = FORM_INDEXED; form < FORM_COUNT; form++) {
		struct bytes gzi;
		struct bytes file = pack_form(form, data.data, data.len, 1000, &gzi);

		for (size_t unit_max = 0; unit_max < 1000; unit_max += 500) {
			uint64_t total = 0;
			struct stack s;

			if (form == FORM_AGE_GZIP && unit_max > 0) /* its layers' sizes differ */
				continue;
			open_stack(&s, &file, &gzi, unit_max);
			expect_range(s.top, &data, 3500, 3000, form_names[form]);
			total = s.file.reads;
			close_stack(&s);
			for (uint64_t n = 1; n <= total; n++) {
				struct bm_error err = BM_ERROR_INIT;
				uint8_t out[3000];
				size_t got;

				open_stack(&s, &file, &gzi, unit_max);
				assert_int_equal(s.status, BM_OK);
				s.file.fail_at = n;
				if (n <= s.file.reads) { /* while it is opened */
					close_stack(&s);
					continue;
				}
				assert_int_equal(bm_seekable_read(s.top, out, sizeof(out), 3500, &got, &err),
				                 BM_ERR_SYSTEM);
				assert_string_equal(err.text, "the disk is broken");
				assert_memory_equal(out, data.data + 3500, got);
				expect_range(s.top, &data, 3500, 3000, form_names[form]);
				close_stack(&s);
			}
		}
		bytes_free(&file);
		bytes_free(&gzi);
	}
	bytes_free(&data);
}

/* What the programs write. */
static void from_program_of(size_t len, const char *program, const char *command, enum bm_seekable_layout layout,
                            const char *how)
{
	struct bytes data = make_data(KIND_TEXT, len);
	char directory[64], line[300];
	struct bytes file, gzi = {NULL, 0, 0};
	uint64_t seed = 5;
	struct stack s;

	if (!has_program(program)) {
		bytes_free(&data);
		return;
	}
	make_directory(directory);
	write_file(directory, "data", data.data, data.len);
	(void)snprintf(line, sizeof(line), "cd '%s' && { %s; } 2>/dev/null && cat out", directory, command);
	file = run_program(line);
	(void)snprintf(line, sizeof(line), "cat '%s/out.gzi' 2>/dev/null || true", directory);
	gzi = run_program(line);
	open_stack(&s, &file, &gzi, 0);
	if (s.status != BM_OK)
		fail_msg("%s: %s: %s", command, s.err.where, s.err.text);
	assert_int_equal(bm_seekable_layout(s.layers[0]), layout);
	assert_string_equal(bm_seekable_how(s.layers[0]), how);
	assert_null(bm_seekable_warning(s.layers[0]));
	for (unsigned i = 0; i < 50; i++)
		expect_range(s.top, &data, random_next(&seed) % (data.len + 1), random_next(&seed) % 200000, command);
	expect_range(s.top, &data, 0, data.len + 5, command);
	close_stack(&s);
	remove_directory(directory);
	bytes_free(&file);
	bytes_free(&gzi);
	bytes_free(&data);
}

static void from_program(const char *program, const char *command, enum bm_seekable_layout layout, const char *how)
{
	from_program_of(3333333, program, command, layout, how);
}

static void test_programs(void **state)
{
	(void)state;
	from_program("bgzip", "bgzip -c data > out", BM_SEEKABLE_BGZF, "BGZF, from block to block");
	from_program("bgzip", "bgzip -c data > out && cp out x.gz && bgzip -r x.gz && mv x.gz.gzi out.gzi",
	             BM_SEEKABLE_BGZF, "BGZF, by its index (.gzi)");
	from_program("bgzip", "bgzip -i -I out.gzi -c data > out", BM_SEEKABLE_BGZF, "BGZF, by its index (.gzi)");
	from_program_of(0, "bgzip", "bgzip -c data > out && cp out x.gz && bgzip -r x.gz && mv x.gz.gzi out.gzi",
	                BM_SEEKABLE_BGZF, "BGZF, by its index (.gzi)");
	from_program("zstd",
	             "split -b 300000 data part. && for f in part.*; do zstd -q $f; done && cat part.*.zst > out",
	             BM_SEEKABLE_ZSTD, "zstd, from frame to frame");
	from_program("zstd", "zstd -q --no-check data -o out", BM_SEEKABLE_ZSTD, "zstd, from frame to frame");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_around_boundaries),  cmocka_unit_test(test_anywhere),
		cmocka_unit_test(test_little_is_read),     cmocka_unit_test(test_joined),
		cmocka_unit_test(test_only_for_streaming), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_age_in_parts),       cmocka_unit_test(test_read_errors),
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests_name("seekable", tests, make_key, free_key);
}
