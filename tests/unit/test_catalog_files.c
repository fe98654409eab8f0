/* Files in the catalog: what is put comes back; blocks, progress, digests looked for, counts. */
#include "catalog_files_test.h"

#include "bm_mem.h"

/* One file, or NULL; valid until the next call. A path of NULL ends it. */
static const struct bm_catalog_file *get_file(int64_t root, const char *path)
{
	static struct bm_catalog_files *files;

	bm_catalog_files_close(files);
	files = NULL;
	if (path == NULL)
		return NULL;
	files = open_files(root, NULL);
	return find_file(files, path, strlen(path));
}

static void assert_same_file(const struct bm_catalog_file *got, const struct bm_catalog_file *want)
{
	assert_non_null(got);
	assert_int_equal(got->path_len, want->path_len);
	assert_memory_equal(got->path, want->path, want->path_len);
	assert_int_equal(got->path[got->path_len], 0);
	assert_true(got->size == want->size);
	assert_true(got->mtime_ns == want->mtime_ns);
	assert_true(got->ctime_ns == want->ctime_ns);
	assert_true(got->inode == want->inode);
	if (want->algorithm == NULL)
		assert_null(got->algorithm);
	else
		assert_string_equal(got->algorithm, want->algorithm);
	assert_int_equal(got->digest_len, want->digest_len);
	if (want->digest_len > 0)
		assert_memory_equal(got->digest, want->digest, want->digest_len);
	assert_true(got->block_bytes == want->block_bytes);
	assert_int_equal(got->is_unsettled, want->is_unsettled);
	assert_true(got->first_seen_ns == want->first_seen_ns);
	assert_true(got->verified_ns == want->verified_ns);
	assert_int_equal(got->how, want->how);
	assert_int_equal(got->state, want->state);
	assert_true(got->found_ns == want->found_ns);
	if (want->note == NULL)
		assert_null(got->note);
	else
		assert_string_equal(got->note, want->note);
}

/* ---- one file ---- */

static void test_round_trip(void **state)
{
	uint8_t digest[64], other[32];
	struct bm_catalog_file f = make_row("a", 7, digest);

	(void)state;
	put(1, &f, NULL);
	assert_same_file(get_file(1, "a"), &f);
	assert_null(get_file(2, "a"));
	assert_null(get_file(1, "A"));
	assert_null(get_file(1, "a/"));
	/* The ends of all ranges. */
	f.size = UINT64_MAX;
	f.inode = (uint64_t)1 << 63;
	f.mtime_ns = INT64_MIN;
	f.ctime_ns = -1;
	f.verified_ns = INT64_MAX;
	f.how = BM_CATALOG_CARRIED;
	f.digest_len = 64;
	f.is_unsettled = true;
	f.algorithm = "blake2b";
	memset(digest, 0, sizeof(digest));
	put(1, &f, NULL);
	assert_same_file(get_file(1, "a"), &f);
	/* No digest yet. */
	struct bm_catalog_file bare = {.path = "b", .path_len = 1};
	put(1, &bare, NULL);
	assert_same_file(get_file(1, "b"), &bare);
	/* What was first seen stays; all else is replaced. */
	f = make_row("a", 9, other);
	f.first_seen_ns = 1000;
	put(1, &f, NULL);
	f.first_seen_ns = 5;
	assert_same_file(get_file(1, "a"), &f);
	/* Roots do not mix. */
	put(2, &f, NULL);
	f.first_seen_ns = 1000;
	put(3, &f, NULL);
	f.first_seen_ns = 5;
	assert_same_file(get_file(2, "a"), &f);
	f.first_seen_ns = 1000;
	assert_same_file(get_file(3, "a"), &f);
	(void)get_file(0, NULL);
}

static void test_states(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	uint8_t digest[32];
	struct bm_catalog_file f = make_row("a", 7, digest);

	(void)state;
	put(1, &f, NULL);
	assert_ok(bm_catalog_file_verified(c, 1, "a", 1, 500, BM_CATALOG_VERIFIED, &err), &err);
	f.verified_ns = 500;
	f.how = BM_CATALOG_VERIFIED;
	assert_same_file(get_file(1, "a"), &f);
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_DAMAGED, 600, "bytes 3-9", &err), &err);
	f.state = BM_CATALOG_DAMAGED;
	f.found_ns = 600;
	f.note = "bytes 3-9";
	assert_same_file(get_file(1, "a"), &f);
	/* Found again: since when stays, what is new. */
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_DAMAGED, 700, "bytes 3-99", &err), &err);
	f.note = "bytes 3-99";
	assert_same_file(get_file(1, "a"), &f);
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_MISSING, 800, NULL, &err), &err);
	f.state = BM_CATALOG_MISSING;
	f.found_ns = 800;
	f.note = NULL;
	assert_same_file(get_file(1, "a"), &f);
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_OK, 900, NULL, &err), &err);
	f.state = BM_CATALOG_OK;
	f.found_ns = 0;
	assert_same_file(get_file(1, "a"), &f);
	/* Both a put and a verification say that all is well. */
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_UNREADABLE, 900, "EIO", &err), &err);
	assert_ok(bm_catalog_file_verified(c, 1, "a", 1, 501, BM_CATALOG_CARRIED, &err), &err);
	f.verified_ns = 501;
	f.how = BM_CATALOG_CARRIED;
	assert_same_file(get_file(1, "a"), &f);
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_UNREADABLE, 900, "EIO", &err), &err);
	put(1, &f, NULL);
	assert_same_file(get_file(1, "a"), &f);
	/* What is not there is not made. */
	assert_ok(bm_catalog_file_verified(c, 1, "b", 1, 500, BM_CATALOG_VERIFIED, &err), &err);
	assert_ok(bm_catalog_file_mark(c, 1, "b", 1, BM_CATALOG_DAMAGED, 600, NULL, &err), &err);
	assert_ok(bm_catalog_file_move(c, 1, "b", 1, "d", 1, &err), &err);
	assert_ok(bm_catalog_file_delete(c, 1, "b", 1, &err), &err);
	assert_null(get_file(1, "b"));
	assert_ok(bm_catalog_file_delete(c, 1, "a", 1, &err), &err);
	assert_null(get_file(1, "a"));
	(void)get_file(0, NULL);
	assert_int_equal(ask("SELECT count(*) FROM files"), 0);
}

/* ---- blocks ---- */

static uint8_t *make_digests(size_t count, size_t len, uint8_t seed)
{
	uint8_t *d = malloc(count * len + 1);

	assert_non_null(d);
	for (size_t i = 0; i < count * len; i++)
		d[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
	return d;
}

static void assert_blocks(const char *path, uint64_t block_bytes, const uint8_t *digests, size_t len)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf b = {0};
	uint64_t got = 77;

	bm_buf_puts(&b, "x"); /* it is appended to */
	assert_ok(bm_catalog_blocks_get(c, 1, path, strlen(path), false, &got, &b, &err), &err);
	assert_int_equal(got, block_bytes);
	assert_int_equal(b.len, len + 1);
	if (len > 0)
		assert_memory_equal(b.data + 1, digests, len);
	bm_buf_fini(&b);
}

static void test_blocks(void **state)
{
	static const size_t counts[] = {0, 1, 2, 1023, 1024, 1025, 2048, 5000};
	struct bm_error err = BM_ERROR_INIT;
	uint8_t digest[32];
	struct bm_catalog_file f = make_row("a", 7, digest);

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint8_t *d = make_digests(counts[i], 32, (uint8_t)i);

		put(1, &f, &(struct bm_catalog_blocks){1 << 20, d, 32, counts[i]});
		assert_blocks("a", 1 << 20, d, counts[i] * 32);
		assert_int_equal(get_file(1, "a")->block_bytes, 1 << 20);
		free(d);
	}
	/* Fewer than before: nothing of the old ones is left. */
	uint8_t *d = make_digests(3000, 16, 9);
	put(1, &f, &(struct bm_catalog_blocks){4096, d, 16, 3});
	assert_blocks("a", 4096, d, 48);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 1);
	/* Other writes leave them. */
	assert_ok(bm_catalog_file_verified(c, 1, "a", 1, 500, BM_CATALOG_VERIFIED, &err), &err);
	assert_ok(bm_catalog_file_mark(c, 1, "a", 1, BM_CATALOG_DAMAGED, 600, NULL, &err), &err);
	assert_blocks("a", 4096, d, 48);
	/* They go along with a move, and those of what was there go away. */
	struct bm_catalog_file g = make_row("b", 8, digest);
	put(1, &g, &(struct bm_catalog_blocks){512, d, 16, 3000});
	assert_blocks("b", 512, d, 48000);
	assert_ok(bm_catalog_file_move(c, 1, "a", 1, "b", 1, &err), &err);
	assert_blocks("b", 4096, d, 48);
	assert_blocks("a", 0, NULL, 0);
	assert_null(get_file(1, "a"));
	assert_int_equal(get_file(1, "b")->size, f.size);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 1);
	/* A move of what is not there takes nothing away; nor does one to where it is. */
	assert_ok(bm_catalog_file_move(c, 1, "a", 1, "b", 1, &err), &err);
	assert_ok(bm_catalog_file_move(c, 1, "b", 1, "b", 1, &err), &err);
	assert_blocks("b", 4096, d, 48);
	/* A put without blocks, and a deletion, end them. */
	put(1, &g, NULL);
	assert_blocks("b", 0, NULL, 0);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 0);
	put(1, &g, &(struct bm_catalog_blocks){512, d, 16, 3000});
	assert_ok(bm_catalog_file_delete(c, 1, "b", 1, &err), &err);
	flush_catalog(c);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 0);
	/* A part of them that got lost is not passed over in silence. */
	put(1, &g, &(struct bm_catalog_blocks){512, d, 16, 3000});
	flush_catalog(c);
	tell("DELETE FROM blocks WHERE first = 1024");
	struct bm_buf b = {0};
	uint64_t got;
	assert_int_equal(bm_catalog_blocks_get(c, 1, "b", 1, false, &got, &b, &err), BM_ERR_FORMAT);
	assert_non_null(strstr(err.text, "digests of blocks of b are missing"));
	bm_buf_fini(&b);
	free(d);
	(void)get_file(0, NULL);
}

struct listed {
	unsigned count, stop;
	struct bm_catalog_progress last;
};

static bool list_progress(void *ctx, const char *path, size_t path_len, const struct bm_catalog_progress *p)
{
	struct listed *l = ctx;

	assert_int_equal(path_len, 6);
	assert_int_equal(atoi(path + 2), (int)l->count);
	l->last = *p;
	/* It may call back. */
	assert_int_equal(bm_catalog_progress_clear(c, 2, "none", 4, NULL), BM_OK);
	return ++l->count != l->stop;
}

static void test_progress(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	uint8_t *d = make_digests(3000, 32, 9);
	struct bm_catalog_progress p = {.size = UINT64_MAX,
	                                .mtime_ns = -1,
	                                .ctime_ns = 6,
	                                .inode = 8,
	                                .algorithm = "sha256",
	                                .block_bytes = 1 << 20,
	                                .started_ns = 3},
				   got;
	struct bm_buf b = {0};
	bool found;

	(void)state;
	assert_ok(bm_catalog_progress_get(c, 1, "big", 3, false, &got, NULL, &found, &err), &err);
	assert_false(found);
	/* It gathers, in bits of any size. */
	for (size_t at = 0, n = 1; at < 3000; at += n, n = n * 3 + 1) {
		if (n > 3000 - at)
			n = 3000 - at;
		p.next_block = at + n;
		p.updated_ns = (int64_t)at;
		assert_ok(bm_catalog_progress_put(c, 1, "big", 3, &p, d + at * 32, 32, n, &err), &err);
	}
	assert_ok(bm_catalog_progress_get(c, 1, "big", 3, false, &got, &b, &found, &err), &err);
	assert_true(found);
	assert_int_equal(got.next_block, 3000);
	assert_true(got.size == UINT64_MAX && got.mtime_ns == -1 && got.ctime_ns == 6 && got.inode == 8);
	assert_string_equal(got.algorithm, "sha256");
	assert_int_equal(got.block_bytes, 1 << 20);
	assert_int_equal(got.started_ns, 3);
	assert_true(got.updated_ns == p.updated_ns);
	assert_int_equal(b.len, 3000 * 32);
	assert_memory_equal(b.data, d, b.len);
	/* It goes back a bit: what is said last holds. */
	p.next_block = 20;
	assert_ok(bm_catalog_progress_put(c, 1, "big", 3, &p, d, 32, 10, &err), &err);
	bm_buf_reset(&b);
	p.next_block = 5;
	assert_ok(bm_catalog_progress_put(c, 1, "big", 3, &p, d, 32, 5, &err), &err);
	assert_ok(bm_catalog_progress_get(c, 1, "big", 3, false, &got, &b, &found, &err), &err);
	assert_int_equal(b.len, 5 * 32);
	/* The file's own blocks are others. */
	uint8_t digest[32];
	struct bm_catalog_file f = make_row("big", 8, digest);
	put(1, &f, &(struct bm_catalog_blocks){512, d, 32, 7});
	assert_blocks("big", 512, d, 224);
	assert_ok(bm_catalog_progress_clear(c, 1, "big", 3, &err), &err);
	assert_ok(bm_catalog_progress_get(c, 1, "big", 3, false, &got, &b, &found, &err), &err);
	assert_false(found);
	assert_blocks("big", 512, d, 224);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 1);
	/* Without digests, where they are on record. */
	p.next_block = 3;
	assert_ok(bm_catalog_progress_put(c, 1, "big", 3, &p, NULL, 0, 0, &err), &err);
	bm_buf_reset(&b);
	assert_ok(bm_catalog_progress_get(c, 1, "big", 3, false, &got, &b, &found, &err), &err);
	assert_true(found);
	assert_int_equal(got.next_block, 3);
	assert_int_equal(b.len, 0);
	/* A file that is deleted has none. */
	assert_ok(bm_catalog_file_delete(c, 1, "big", 3, &err), &err);
	assert_ok(bm_catalog_progress_get(c, 1, "big", 3, false, &got, NULL, &found, &err), &err);
	assert_false(found);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 0);

	for (unsigned i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "p-%04u", i);
		p.next_block = i;
		assert_ok(bm_catalog_progress_put(c, 1, name, 6, &p, NULL, 0, 0, &err), &err);
	}
	struct listed l = {.stop = 100};
	assert_ok(bm_catalog_progress_list(c, 1, list_progress, &l, &err), &err);
	assert_int_equal(l.count, 100); /* it said so */
	assert_int_equal(l.last.next_block, 99);
	l = (struct listed){0};
	assert_ok(bm_catalog_progress_list(c, 1, list_progress, &l, &err), &err);
	assert_int_equal(l.count, 200);
	bm_buf_fini(&b);
	free(d);
}

/* ---- by digest ---- */

struct matches {
	struct bm_buf text;
	unsigned stop_after;
};

static bool on_match(void *ctx, size_t index, int64_t root, const struct bm_catalog_file *f)
{
	struct matches *m = ctx;

	bm_buf_printf(&m->text, " %zu:%d:%s", index, (int)root, f->path);
	return --m->stop_after > 0;
}

static void assert_matches(int64_t root, const struct bm_catalog_digest *wanted, size_t count, unsigned stop_after,
                           const char *want)
{
	struct bm_error err = BM_ERROR_INIT;
	struct matches m = {.stop_after = stop_after};

	bm_buf_puts(&m.text, "");
	assert_ok(bm_catalog_files_match(c, root, wanted, count, on_match, &m, &err), &err);
	assert_string_equal(m.text.data, want);
	bm_buf_fini(&m.text);
}

static void test_match(void **state)
{
	uint8_t a[32] = {1, 2, 3}, b[32] = {1, 2, 3}, z[32] = {0};
	struct bm_catalog_file f = {.algorithm = "sha256", .digest_len = 32, .path_len = 1};
	int64_t first = add_root(c, "/one"), second = add_root(c, "/two");

	(void)state;
	b[31] = 9; /* the same first bytes */
	static const char *const names[] = {"p", "q", "r", "s", "t", "u"};
	const uint8_t *const digests[] = {a, b, a, z, a, b};
	for (size_t i = 0; i < 6; i++) {
		f.path = names[i];
		f.digest = digests[i];
		f.algorithm = i == 4 ? "sha3-256" : "sha256";
		f.digest_len = i == 5 ? 20 : 32;
		put(first, &f, NULL);
		if (i == 2)
			put(second, &f, NULL);
	}
	struct bm_catalog_file none = {.path = "none", .path_len = 4};
	put(first, &none, NULL);
	const struct bm_catalog_digest want_a = {"sha256", a, 32}, want_b = {"sha256", b, 32},
				       want_z = {"sha256", z, 32}, want_short = {"sha256", b, 20},
				       want_other = {"sha3-256", a, 32};
	assert_matches(first, &want_a, 1, 100, " 0:1:p 0:1:r");
	assert_matches(0, &want_a, 1, 100, " 0:1:p 0:1:r 0:2:r");
	assert_matches(second, &want_b, 1, 100, "");
	assert_matches(first, &want_z, 1, 100, " 0:1:s");
	assert_matches(first, &want_short, 1, 100, " 0:1:u");
	assert_matches(first, &want_other, 1, 100, " 0:1:t");
	assert_matches(first, NULL, 0, 100, "");
	assert_matches(0, &want_a, 1, 2, " 0:1:p 0:1:r");
	/* Many at once, one of them twice. */
	struct bm_catalog_digest many[1000];
	uint8_t bytes[1000][8];
	memset(bytes, 0, sizeof(bytes));
	for (size_t i = 0; i < 1000; i++) {
		bytes[i][i % 8] = (uint8_t)(i / 8 + 1);
		many[i] = (struct bm_catalog_digest){"xxh64", bytes[i], 8};
		f.path = "v";
		f.digest = bytes[i];
		f.digest_len = 8;
		f.algorithm = "xxh64";
		char path[16];
		(void)snprintf(path, sizeof(path), "v%04zu", i);
		f.path = path;
		f.path_len = 5;
		put(second, &f, NULL);
	}
	many[500] = many[3];
	struct bm_error err = BM_ERROR_INIT;
	struct matches m = {.stop_after = UINT32_MAX};
	assert_ok(bm_catalog_files_match(c, 0, many, 1000, on_match, &m, &err), &err);
	assert_int_equal(UINT32_MAX - m.stop_after, 1000);
	assert_non_null(strstr(m.text.data, " 3:2:v0003"));
	assert_non_null(strstr(m.text.data, " 500:2:v0003"));
	assert_null(strstr(m.text.data, "v0500"));
	bm_buf_fini(&m.text);
}

/* ---- adding up ---- */

static void test_coverage(void **state)
{
	static const int64_t since[] = {1000, 500, 500, 0};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_coverage *cover = malloc(sizeof(*cover));
	int64_t one = add_root(c, "/one"), two = add_root(c, "/two");
	static const int64_t times[] = {2000, 1000, 999, 500, 499, 0, -1};
	uint8_t digest[32];
	char name[2] = "a";

	(void)state;
	assert_non_null(cover);
	assert_ok(bm_catalog_coverage(c, one, since, 4, cover, &err), &err);
	assert_int_equal(cover->all.files, 0);
	assert_int_equal(cover->oldest_ns, 0);
	for (size_t i = 0; i < 7; i++) {
		struct bm_catalog_file f = make_row(name, 1, digest);

		f.verified_ns = times[i];
		f.size = (uint64_t)1 << i;
		put(one, &f, NULL);
		name[0]++;
	}
	assert_ok(bm_catalog_file_mark(c, one, "c", 1, BM_CATALOG_DAMAGED, 1, NULL, &err), &err);
	assert_ok(bm_catalog_file_mark(c, one, "d", 1, BM_CATALOG_MISSING, 1, NULL, &err), &err);
	assert_ok(bm_catalog_coverage(c, one, since, 4, cover, &err), &err);
	assert_int_equal(cover->all.files, 6);
	assert_int_equal(cover->all.bytes, 127 - 8);
	assert_int_equal(cover->oldest_ns, -1);
	assert_int_equal(cover->newest_ns, 2000);
	assert_int_equal(cover->state[BM_CATALOG_OK].files, 5);
	assert_int_equal(cover->state[BM_CATALOG_DAMAGED].bytes, 4);
	assert_int_equal(cover->state[BM_CATALOG_MISSING].files, 1);
	assert_int_equal(cover->state[BM_CATALOG_MISSING].bytes, 8);
	assert_int_equal(cover->age[0].files, 2); /* 2000, 1000 */
	assert_int_equal(cover->age[0].bytes, 3);
	assert_int_equal(cover->age[1].files, 1); /* 999; 500 is missing */
	assert_int_equal(cover->age[2].files, 0);
	assert_int_equal(cover->age[3].files, 2); /* 499, 0 */
	assert_int_equal(cover->age[4].files, 1); /* -1 */
	assert_int_equal(cover->age[4].bytes, 64);
	put_file(c, two, "x", 3);
	assert_ok(bm_catalog_coverage(c, 0, NULL, 0, cover, &err), &err);
	assert_int_equal(cover->age[0].files, 7);
	assert_int_equal(cover->all.files, 7);
	assert_int_equal(bm_catalog_coverage(c, 0, since, BM_CATALOG_AGES_MAX + 1, cover, &err), BM_ERR_USAGE);
	free(cover);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES_TEST(test_round_trip), FILES_TEST(test_states), FILES_TEST(test_blocks),
		FILES_TEST(test_progress),   FILES_TEST(test_match),  FILES_TEST(test_coverage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
