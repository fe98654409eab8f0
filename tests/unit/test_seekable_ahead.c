/*
 * test_seekable_ahead.c - long BGZF files without an index, whose blocks are looked for by several threads ahead of the
 * walk over them: it comes to the same places, bytes and errors as one that looks for itself, whatever the file is like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "seekable_testing.h"

#define CHUNK ((size_t)61000)
#define PERIOD ((size_t)1000003)
#define DATA_BYTES ((size_t)30 << 20)

static struct bytes data, file;
static unsigned rounds; /* of threads */

/* Bytes that compress to nothing, and in them what looks like the start of a block, as many as one likes. */
static void make_file(void)
{
	static const uint8_t head[18] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0, 0x27, 0x13};
	struct bytes part = make_data(KIND_RANDOM, PERIOD);

	for (size_t at = 500; at + sizeof(head) < part.len; at += 1 + at % 977 * 40)
		memcpy(part.data + at, head, sizeof(head));
	while (data.len < DATA_BYTES)
		bytes_add(&data, part.data, part.len);
	file = pack_bgzf(0, data.data, data.len, CHUNK, false, NULL);
	bytes_free(&part);
}

static void counted_parallel(void (*task)(void *arg, size_t n), void *arg, size_t count)
{
	rounds++;
	testing_parallel(task, arg, count);
}

struct view {
	struct memory memory;
	struct bm_seekable *layer;
};

static void open_view(struct view *v, const struct bytes *f, bool ahead)
{
	const struct bm_seekable_options opt = {.parallel = counted_parallel, .threads = THREADS};
	struct bm_seekable_source src;

	*v = (struct view){.memory = {.data = f->data, .len = f->len}};
	src = (struct bm_seekable_source){
		.pread = memory_pread, .ctx = &v->memory, .size = f->len, .any_thread = ahead};
	assert_int_equal(bm_seekable_open(&src, &opt, &v->layer, NULL), BM_OK);
}

static void test_anywhere(void **state)
{
	static const size_t places[] = {0, 2400000, DATA_BYTES / 2 + 5, DATA_BYTES - 70000, DATA_BYTES / 3, 100};
	struct view v;
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		open_view(&v, &file, true);
		rounds = 0;
		expect_range(v.layer, &data, places[i], 150000, "the first read");
		assert_true((rounds > 0) == (places[i] > DATA_BYTES / 3 * 2)); /* not worth it for less */
		/* A read a block, and the few that it takes to begin; what is decoded comes on top. */
		assert_true(v.memory.reads < places[i] / CHUNK + 200);
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++)
			expect_range(v.layer, &data, places[k], 1000, "and further ones");
		bm_seekable_destroy(v.layer);
	}
	open_view(&v, &file, true);
	rounds = 0;
	assert_int_equal(bm_seekable_size(v.layer, &size, NULL), BM_OK);
	assert_int_equal(size, data.len);
	assert_true(rounds > 0);
	bm_seekable_destroy(v.layer);
}

/* What one way finds, so does the other. */
static void expect_same(const struct bytes *f, size_t offset)
{
	uint8_t out[2][5000];
	struct bm_error err[2] = {BM_ERROR_INIT, BM_ERROR_INIT};
	size_t got[2];
	uint64_t size[2];
	enum bm_status status[2], size_status[2];

	for (unsigned ahead = 0; ahead < 2; ahead++) {
		struct view v;

		open_view(&v, f, ahead != 0);
		status[ahead] =
			bm_seekable_read(v.layer, out[ahead], sizeof(out[ahead]), offset, &got[ahead], &err[ahead]);
		size_status[ahead] = bm_seekable_size(v.layer, &size[ahead], NULL);
		bm_seekable_destroy(v.layer);
	}
	assert_int_equal(status[0], status[1]);
	assert_string_equal(err[0].where, err[1].where);
	assert_string_equal(err[0].text, err[1].text);
	assert_int_equal(got[0], got[1]);
	assert_memory_equal(out[0], out[1], got[0]);
	assert_int_equal(size_status[0], size_status[1]);
	assert_int_equal(size[0], size[1]);
}

static void test_damage(void **state)
{
	const size_t block = 18 + 5 + CHUNK + 8;
	uint64_t seed = 4;

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		/* Heads and trailers, which stand side by side. */
		const size_t at =
			(1 + random_next(&seed) % (file.len / block - 2)) * block - 8 + random_next(&seed) % 27;
		const uint8_t was = file.data[at];

		file.data[at] ^= (uint8_t)(1u << random_next(&seed) % 8);
		expect_same(&file, DATA_BYTES / 4 + random_next(&seed) % (DATA_BYTES / 4 * 3));
		file.data[at] = was;
	}
}

/* Parts that are no plain blocks, or none at all, between those that are. */
static void test_mixed(void **state)
{
	static const uint8_t zeros[70000];
	const size_t part = DATA_BYTES / 4 / CHUNK * CHUNK;
	struct bytes mixed = {NULL, 0, 0};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct bytes more =
			pack_bgzf(0, data.data + i * part, part, i % 2 == 0 ? CHUNK : CHUNK / 2, false, NULL);
		struct bytes member = pack_indexed(6, data.data, 70000, 70000);

		bytes_add(&mixed, more.data, more.len);
		if (i == 0)
			bytes_add(&mixed, zeros, sizeof(zeros));
		if (i == 1)
			bytes_add(&mixed, member.data, member.len);
		if (i == 2)
			bytes_add(&mixed, zeros, 1);
		bytes_free(&more);
		bytes_free(&member);
	}
	for (size_t offset = part / 2; offset < 4 * part + 100000; offset += part / 3)
		expect_same(&mixed, offset);
	bytes_add(&mixed, "garbage", 7);
	expect_same(&mixed, 3 * part);
	mixed.len -= 20; /* and cut */
	expect_same(&mixed, 3 * part);
	bytes_free(&mixed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anywhere),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_mixed),
	};
	int rc;

	make_file();
	rc = cmocka_run_group_tests_name("seekable ahead", tests, make_key, free_key);
	bytes_free(&file);
	bytes_free(&data);
	return rc;
}
