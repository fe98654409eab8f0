/* Cursors over files: order, finding, changes beneath, what is due, what is bad. */
#include "catalog_files_test.h"

#include "bm_mem.h"

/* ---- order ---- */

struct name {
	char *bytes;
	size_t len;
};

static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	size_t least = x->len < y->len ? x->len : y->len;
	int diff = memcmp(x->bytes, y->bytes, least);

	return diff != 0 ? diff : (x->len > y->len) - (x->len < y->len);
}

static struct name make_name(const char *bytes, size_t len)
{
	struct name n = {malloc(len + 1), len};

	assert_non_null(n.bytes);
	memcpy(n.bytes, bytes, len);
	n.bytes[len] = '\0';
	return n;
}

static void put_name(int64_t root, const struct name *n, uint64_t number)
{
	uint8_t digest[32];
	struct bm_catalog_file f = make_row(n->bytes, number, digest);

	put(root, &f, NULL);
}

static void free_names(struct name *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i].bytes);
}

static void test_hostile_names(void **state)
{
	static const char *const fixed[] = {"\n",   "a\nb",     "a\r",      "\\",    "a\\nb", "-",   "--",   " ",
	                                    "  x ", "a'b",      "a\"b",     "';--",  "%",     "_",   "a,b",  "\x1b[31m",
	                                    "\xff", "\xff\xff", "\xc3\x28", "dir/a", "dir-a", "dir", "dir/", "dir0",
	                                    "../x", "/abs",     "a/b/c",    "a/b",   "a//b"};
	struct name names[400];
	char long_name[4096];
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		names[count++] = make_name(fixed[i], strlen(fixed[i]));
	for (unsigned b = 1; b < 256; b++) {
		char bytes[3] = {'q', (char)b, 'q'};

		if (b != '/')
			names[count++] = make_name(bytes, 3);
	}
	memset(long_name, 'l', sizeof(long_name));
	names[count++] = make_name(long_name, 255);
	names[count++] = make_name(long_name, 4095);
	names[count++] = make_name(long_name, 4094);
	for (size_t i = 0; i < count; i++) {
		put_name(1, &names[(i * 7919) % count], (i * 7919) % count);
		put_name(2, &names[i], i);
	}
	assert_true(count % 7919 != 0);
	struct name sorted[400];
	memcpy(sorted, names, sizeof(names[0]) * count);
	qsort(sorted, count, sizeof(sorted[0]), compare_names);
	struct bm_catalog_files *files = open_files(1, NULL);
	for (size_t i = 0; i < count; i++) {
		const struct bm_catalog_file *f = next_file(files);

		assert_non_null(f);
		assert_int_equal(f->path_len, sorted[i].len);
		assert_memory_equal(f->path, sorted[i].bytes, sorted[i].len);
	}
	assert_null(next_file(files));
	assert_null(next_file(files));
	for (size_t i = 0; i < count; i++)
		assert_non_null(find_file(files, names[i].bytes, names[i].len));
	bm_catalog_files_close(files);
	/* Only what is below a directory. */
	static const struct {
		const char *under;
		unsigned count;
	} cases[] = {{"dir/", 2}, {"dir", 5},   {"\xff", 2},        {"nothing", 0},
	             {"a/b", 2},  {"q\xff", 1}, {"\xff\xff\xff", 0}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned n = 0;

		files = open_files(1, cases[i].under);
		for (const struct bm_catalog_file *f; (f = next_file(files)) != NULL; n++)
			assert_memory_equal(f->path, cases[i].under, strlen(cases[i].under));
		assert_null(next_file(files));
		assert_int_equal(n, cases[i].count);
		bm_catalog_files_close(files);
	}
	files = open_files(1, "dir/");
	assert_null(find_file(files, "dir", 3)); /* it is there, but not under it */
	assert_string_equal(next_file(files)->path, "dir/");
	assert_non_null(find_file(files, "dir/a", 5));
	assert_null(next_file(files));
	assert_null(find_file(files, "a/b", 3));
	assert_string_equal(next_file(files)->path, "dir/");
	assert_null(find_file(files, "dir0", 4));
	assert_null(next_file(files));
	bm_catalog_files_close(files);
	bm_catalog_files_close(NULL);
	free_names(names, count);
}

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

/* Against a sorted array: ascending, descending, random, with next in between, in all mixtures. */
static void test_find_model(void **state)
{
	enum { COUNT = 3000 };
	static struct name names[COUNT];
	bool there[COUNT];

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%05u", i);
		names[i] = make_name(text, 5);
		there[i] = i % 3 != 0 && (i < 1000 || i >= 1700);
		if (there[i])
			put_name(1, &names[i], i);
	}
	for (unsigned seed = 1; seed <= 24; seed++) {
		struct bm_catalog_files *files = open_files(1, NULL);
		unsigned at = 0, step = seed % 4 == 0 ? 1 : seed % 4 == 1 ? 7 : 200;

		random_state = seed;
		for (unsigned i = 0; i < 600; i++) {
			unsigned kind = random_below(10);

			if (kind < 3) { /* next */
				const struct bm_catalog_file *f = next_file(files);

				while (at < COUNT && !there[at])
					at++;
				if (at == COUNT) {
					assert_null(f);
				} else {
					assert_non_null(f);
					assert_string_equal(f->path, names[at].bytes);
					at++;
				}
				continue;
			}
			if (kind < 9 || seed % 2 == 0) /* somewhere ahead */
				at = at + random_below(step) < COUNT ? at + random_below(step) : 0;
			else
				at = random_below(COUNT);
			if (at >= COUNT)
				at = COUNT - 1;
			const struct bm_catalog_file *f = find_file(files, names[at].bytes, 5);
			assert_int_equal(f != NULL, there[at]);
			if (f != NULL) {
				assert_string_equal(f->path, names[at].bytes);
				assert_int_equal(f->inode, 100 + at);
			}
			at++;
		}
		bm_catalog_files_close(files);
	}
	free_names(names, COUNT);
}

/* What is written while a cursor is open: each file comes once at most, those that stay come. */
static void test_changes_under_cursor(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	char name[32], last[32] = "";
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 4000; i += 2) {
		(void)snprintf(name, sizeof(name), "%05u", i);
		put_file(c, 1, name, i);
	}
	struct bm_catalog_files *files = open_files(1, NULL);
	for (const struct bm_catalog_file *f; (f = next_file(files)) != NULL;) {
		unsigned i = (unsigned)atoi(f->path);

		assert_true(strcmp(f->path, last) > 0);
		(void)snprintf(last, sizeof(last), "%s", f->path);
		n += i % 2 == 0 && i < 3000;
		if (i == 1000) {
			for (unsigned k = 3000; k < 4000; k += 2) {
				(void)snprintf(name, sizeof(name), "%05u", k);
				assert_ok(bm_catalog_file_delete(c, 1, name, 5, &err), &err);
			}
			flush_catalog(c);
		}
		/* The one that is handed out is deleted, and one is put before and one behind it. */
		assert_ok(bm_catalog_file_delete(c, 1, last, 5, &err), &err);
		if (i > 0 && i % 10 == 0) {
			(void)snprintf(name, sizeof(name), "%05u", i - 1);
			put_file(c, 1, name, i);
			(void)snprintf(name, sizeof(name), "%05u", i + 1);
			put_file(c, 1, name, i);
		}
		if (i % 100 == 0)
			flush_catalog(c);
	}
	bm_catalog_files_close(files);
	assert_int_equal(n, 1500);
}

/* ---- what is due ---- */

static void test_due_small(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_files *files = NULL;
	static const int64_t times[] = {500, -3, INT64_MIN, 0, 499, 100, 100, 100, 999, 1000, 1001, INT64_MAX, 50};
	static const char order[] = "c b d m f g h e a i"; /* before 1000 */
	char name[2] = "a";
	uint8_t digest[32];
	struct bm_buf got = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct bm_catalog_file f = make_row(name, i, digest);

		f.verified_ns = times[i];
		put(1, &f, NULL);
		name[0]++;
	}
	/* Those with which something is wrong are not due. */
	struct bm_catalog_file bad = make_row("bad", 1, digest);
	put(1, &bad, NULL);
	assert_ok(bm_catalog_file_mark(c, 1, "bad", 3, BM_CATALOG_MISSING, 1, NULL, &err), &err);
	assert_ok(bm_catalog_files_open_due(c, 1, 1000, NULL, &files, &err), &err);
	for (const struct bm_catalog_file *f; (f = next_file(files)) != NULL;) {
		bm_buf_printf(&got, "%s%s", got.len > 0 ? " " : "", f->path);
		/* As an audit does. */
		assert_ok(bm_catalog_file_verified(c, 1, f->path, f->path_len, 2000, BM_CATALOG_VERIFIED, &err), &err);
		if (got.len % 6 == 1)
			flush_catalog(c);
	}
	assert_string_equal(got.data, order);
	bm_buf_fini(&got);
	const struct bm_catalog_file *f;
	assert_int_equal(bm_catalog_files_find(files, "a", 1, &f, &err), BM_ERR_USAGE);
	bm_catalog_files_close(files);
	bm_error_clear(&err);
	assert_ok(bm_catalog_files_open_due(c, 1, 1000, NULL, &files, &err), &err);
	assert_null(next_file(files));
	bm_catalog_files_close(files);
	assert_ok(bm_catalog_files_open_due(c, 9, INT64_MAX, NULL, &files, &err), &err);
	assert_null(next_file(files));
	bm_catalog_files_close(files);
	assert_ok(bm_catalog_files_open_due(c, 1, INT64_MIN, NULL, &files, &err), &err);
	assert_null(next_file(files));
	bm_catalog_files_close(files);
}

/* More than is sorted at once: each comes once, and none before very many that are older. */
static void test_due_large(void **state)
{
	enum { COUNT = 70000 };
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_files *files = NULL;
	int64_t *order = malloc(sizeof(*order) * COUNT);
	char name[32];
	uint8_t digest[32];

	(void)state;
	assert_non_null(order);
	for (int shape = 0; shape < 3; shape++) {
		random_state = 5;
		for (unsigned i = 0; i < COUNT; i++) {
			(void)snprintf(name, sizeof(name), "%06u", i);
			struct bm_catalog_file f = make_row(name, i, digest);
			/* Evenly over a year; most in one night, a few long ago; all at the same time. */
			if (shape == 0)
				f.verified_ns = (int64_t)random_below(365 * 86400) * 1000000000;
			else if (shape == 1)
				f.verified_ns = i % 50 == 0 ? (int64_t)i * 86400 * 10000 : 31000000000000000 + i;
			else
				f.verified_ns = 77;
			put(1, &f, NULL);
		}
		assert_ok(bm_catalog_files_open_due(c, 1, 31536000000000000, NULL, &files, &err), &err);
		unsigned n = 0;
		uint64_t sum = 0;
		for (const struct bm_catalog_file *f; (f = next_file(files)) != NULL; n++) {
			assert_true(n < COUNT);
			order[n] = f->verified_ns;
			sum += (uint64_t)atoi(f->path);
		}
		bm_catalog_files_close(files);
		assert_int_equal(n, COUNT);
		assert_int_equal(sum, (uint64_t)COUNT * (COUNT - 1) / 2);
		/* Evenly spread: cut into stretches of two buckets, none has a file that is older than the youngest
		 * of the one but one before it. */
		int64_t youngest[2] = {INT64_MIN, INT64_MIN};
		for (unsigned at = 0; shape == 0 && at < COUNT; at += 32768) {
			int64_t high = INT64_MIN;

			for (unsigned i = at; i < at + 32768 && i < COUNT; i++) {
				assert_true(order[i] >= youngest[0]);
				high = order[i] > high ? order[i] : high;
			}
			youngest[0] = youngest[1];
			youngest[1] = high;
		}
		/* The few do not get lost among the many. */
		for (unsigned i = 0; shape == 1 && i < COUNT / 50; i++)
			assert_true(order[i] == (int64_t)i * 50 * 86400 * 10000);
	}
	free(order);
}

static void test_bad(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_files *files = NULL;
	struct bm_buf got = {0};
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "%04u", i);
		put_file(c, 1, name, i);
		put_file(c, 2, name, i);
	}
	static const struct {
		const char *path;
		enum bm_catalog_file_state s;
	} marks[] = {{"1999", BM_CATALOG_DAMAGED}, {"0000", BM_CATALOG_UNREADABLE}, {"0700", BM_CATALOG_MISSING},
	             {"0001", BM_CATALOG_MISSING}, {"0500", BM_CATALOG_DAMAGED},    {"0002", BM_CATALOG_MISSING}};
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		assert_ok(bm_catalog_file_mark(c, 1, marks[i].path, 4, marks[i].s, 1, NULL, &err), &err);
	assert_ok(bm_catalog_file_verified(c, 1, "0002", 4, 1, BM_CATALOG_VERIFIED, &err), &err);
	assert_ok(bm_catalog_files_open_bad(c, 1, &files, &err), &err);
	for (const struct bm_catalog_file *f; (f = next_file(files)) != NULL;)
		bm_buf_printf(&got, " %s:%d", f->path, f->state);
	assert_string_equal(got.data, " 0500:1 1999:1 0001:2 0700:2 0000:3");
	bm_catalog_files_close(files);
	assert_ok(bm_catalog_files_open_bad(c, 2, &files, &err), &err);
	assert_null(next_file(files));
	bm_catalog_files_close(files);
	/* Very many, over page ends. */
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "%04u", i);
		assert_ok(bm_catalog_file_mark(c, 2, name, 4, i % 2 == 0 ? BM_CATALOG_MISSING : BM_CATALOG_DAMAGED, 1,
		                               NULL, &err),
		          &err);
	}
	unsigned n = 0;
	assert_ok(bm_catalog_files_open_bad(c, 2, &files, &err), &err);
	for (const struct bm_catalog_file *f; (f = next_file(files)) != NULL; n++)
		assert_int_equal(atoi(f->path), n < 1000 ? n * 2 + 1 : (n - 1000) * 2);
	assert_int_equal(n, 2000);
	bm_catalog_files_close(files);
	bm_buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES_TEST(test_hostile_names), FILES_TEST(test_find_model), FILES_TEST(test_changes_under_cursor),
		FILES_TEST(test_due_small),     FILES_TEST(test_due_large),  FILES_TEST(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
