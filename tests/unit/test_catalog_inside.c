/* A damaged catalog, and what it is made of: statements, values, algorithms. */
#include "catalog_test.h"

#include "catalog_internal.h"
#include "done_codec.h"

/* ---- damage ---- */

struct reading {
	unsigned fine, damaged;
};

static void count_status(struct reading *r, enum bm_status status, const struct bm_error *err)
{
	if (status == BM_OK) {
		r->fine++;
	} else if (status == BM_ERR_FORMAT) {
		r->damaged++;
		assert_string_equal(err->where, "state/" BM_CATALOG_FILE);
	} else {
		fail_msg("%s: %s: %s", bm_status_text(status), err->where, err->text);
	}
}

/* Uses what can be used; every call ends in BM_OK or BM_ERR_FORMAT. */
static void use_all(struct reading *r)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c = NULL;
	enum bm_status status = bm_catalog_open(&in_state, &c, &err);

	count_status(r, status, &err);
	if (status != BM_OK)
		return;
	for (int order = 0; order < 3; order++) {
		struct bm_catalog_files *files = NULL;
		const struct bm_catalog_file *f;

		bm_error_clear(&err);
		status = order == 0   ? bm_catalog_files_open(c, 1, NULL, 0, &files, &err)
		         : order == 1 ? bm_catalog_files_open_due(c, 1, INT64_MAX, NULL, &files, &err)
		                      : bm_catalog_files_open_bad(c, 1, &files, &err);
		while (status == BM_OK && (status = bm_catalog_files_next(files, &f, &err)) == BM_OK && f != NULL)
			;
		count_status(r, status, &err);
		bm_catalog_files_close(files);
	}
	bm_error_clear(&err);
	status = bm_catalog_check(c, true, &err);
	count_status(r, status, &err);
	bm_error_clear(&err);
	count_status(r, bm_catalog_close(c, &err), &err);
}

static void test_damaged(void **state)
{
	struct reading r = {0, 0};
	struct bm_catalog *c;
	size_t len, after_len;
	unsigned found = 0;

	(void)state;
	c = open_catalog();
	assert_int_equal(add_root(c, "/r"), 1);
	for (unsigned i = 0; i < 3000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "file-%08u", i);
		put_file(c, 1, name, i);
		if (i % 10 == 0)
			assert_int_equal(
				bm_catalog_file_mark(c, 1, name, strlen(name), BM_CATALOG_DAMAGED, 7, "", NULL), BM_OK);
	}
	close_catalog(c);
	char *good = slurp("state/" BM_CATALOG_FILE, &len);
	use_all(&r);
	assert_int_equal(r.damaged, 0);
	for (unsigned seed = 1; seed <= 150; seed++) {
		char *bad = malloc(len);
		uint32_t v = seed * 2654435761u;

		assert_non_null(bad);
		memcpy(bad, good, len);
		/* A stretch somewhere, of any length, with noise, zeros, or what stands elsewhere. */
		size_t start = seed % 5 == 0 ? seed % 110 : v % len, n = seed % 3 == 0 ? 8 : seed % 3 == 1 ? 300 : 6000;
		n = n < len - start ? n : len - start;
		for (size_t i = 0; i < n; i++) {
			v = v * 1664525 + 1013904223;
			bad[start + i] = (char)(seed % 4 == 0   ? 0
			                        : seed % 4 == 1 ? good[(start + i + 4096) % len]
			                                        : (int)(v >> 24));
		}
		if (seed % 10 == 9) /* its end is gone */
			spew("state/" BM_CATALOG_FILE, bad, start);
		else
			spew("state/" BM_CATALOG_FILE, bad, len);
		size_t had = seed % 10 == 9 ? start : len;
		struct reading now = {0, 0};
		use_all(&now);
		found += now.damaged > 0;
		char *after = slurp("state/" BM_CATALOG_FILE, &after_len);
		if (had > 0) { /* a catalog without a byte is a new one */
			assert_int_equal(after_len, had);
			assert_memory_equal(after, bad, had);
		}
		free(after);
		free(bad);
	}
	free(good);
	/* Some of these hit free space or the digits of a name: no structure can tell. */
	assert_true(found > 60);
}

static void test_check(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c;

	(void)state;
	c = open_catalog();
	put_file(c, 1, "a", 1);
	assert_ok(bm_catalog_check(c, false, &err), &err);
	assert_ok(bm_catalog_check(c, true, &err), &err);
	close_catalog(c);
	/* An index that disagrees with its table. */
	sqlite3 *db = open_raw("state/" BM_CATALOG_FILE);
	raw_exec(db, "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, 'state <> 0', "
	             "'state <> 1') WHERE name = 'files_bad'");
	sqlite3_close(db);
	c = open_catalog();
	assert_ok(bm_catalog_check(c, false, &err), &err);
	assert_int_equal(bm_catalog_check(c, true, &err), BM_ERR_FORMAT);
	assert_non_null(strstr(err.text, "the catalog is damaged: "));
	close_catalog(c);
}

/* ---- how statements run ---- */

/* What is read page by page comes straight out of a tree in its order: nothing is sorted, nothing scanned from the
 * start. */
static void test_plans(void **state)
{
	static const struct {
		enum catalog_statement s;
		const char *uses;
	} cases[] = {
		{SQL_FILES_PAGE, "SEARCH files USING PRIMARY KEY (root=? AND path>?)"},
		{SQL_FILES_VERIFIED, "SEARCH files USING PRIMARY KEY (root=? AND path>?)"},
		{SQL_FILES_DUE_PATHS, "SEARCH files USING PRIMARY KEY (root=? AND path>?)"},
		{SQL_FILES_BAD, "SEARCH files USING INDEX files_bad (root=?"},
		{SQL_FILE_VERIFIED, "SEARCH files USING PRIMARY KEY (root=? AND path=?)"},
		{SQL_FILE_MARK, "SEARCH files USING PRIMARY KEY (root=? AND path=?)"},
		{SQL_FILE_DELETE, "SEARCH files USING PRIMARY KEY (root=? AND path=?)"},
		{SQL_FILES_NTH, "SEARCH files USING PRIMARY KEY (root=?)"},
		{SQL_FILES_DELETE_TO, "SEARCH files USING PRIMARY KEY (root=? AND path<?)"},
		{SQL_BLOCKS_GET, "SEARCH blocks USING PRIMARY KEY (root=? AND path=? AND partial=?)"},
		{SQL_BLOCKS_DELETE_FROM,
	         "SEARCH blocks USING PRIMARY KEY (root=? AND path=? AND partial=? AND first>?)"},
		{SQL_PROGRESS_LIST, "SEARCH progress USING PRIMARY KEY (root=? AND path>?)"},
		{SQL_DONE_PAGE, "SEARCH done USING PRIMARY KEY (job=? AND root=? AND path>?)"},
		{SQL_DONE_DELETE, "SEARCH done USING PRIMARY KEY (job=? AND root=? AND path=?)"},
		{SQL_DONE_NTH, "SEARCH done USING PRIMARY KEY (job=?)"},
		{SQL_RUN_JOB_LIST, "SEARCH run_jobs USING PRIMARY KEY (run=? AND job>?)"},
		{SQL_RUN_FAILURE_LIST, "SEARCH run_failures USING PRIMARY KEY (run=? AND (job,seq)>(?,?))"},
		{SQL_ROOT_LIST, "USING INDEX sqlite_autoindex_roots_1 (path>?)"},
	};
	struct bm_catalog *c = open_catalog();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sql[2048];
		sqlite3_stmt *s = NULL;
		bool seen = false;

		(void)snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", catalog_sql[cases[i].s]);
		assert_int_equal(sqlite3_prepare_v2(c->db, sql, -1, &s, NULL), SQLITE_OK);
		while (sqlite3_step(s) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(s, 3);

			seen = seen || strstr(detail, cases[i].uses) != NULL;
			if (strstr(detail, "SCAN") != NULL || strstr(detail, "TEMP B-TREE") != NULL)
				fail_msg("%s: %s", catalog_sql[cases[i].s], detail);
		}
		sqlite3_finalize(s);
		if (!seen)
			fail_msg("%s: not by %s", catalog_sql[cases[i].s], cases[i].uses);
	}
	/* And all others can be prepared at all. */
	for (size_t i = 0; i < SQL_COUNT; i++) {
		sqlite3_stmt *s = NULL;

		assert_non_null(catalog_sql[i]);
		if (sqlite3_prepare_v2(c->db, catalog_sql[i], -1, &s, NULL) != SQLITE_OK)
			fail_msg("%s: %s", catalog_sql[i], sqlite3_errmsg(c->db));
		sqlite3_finalize(s);
	}
	assert_true(SQL_COUNT <= 256); /* the queue has a byte for it */
	close_catalog(c);
}

static void test_values(void **state)
{
	struct bm_buf b = {0};
	struct catalog_value in[6] = {val_null(),   val_int(INT64_MIN), val_u64(UINT64_MAX), val_blob("\0\xff", 2),
	                              val_text(""), val_blob(NULL, 0)};
	struct catalog_value out;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		catalog_value_put(&b, &in[i]);
	const char *at = b.data;
	for (size_t i = 0; i < 6; i++) {
		at = catalog_value_get(at, &out);
		assert_int_equal(out.type, in[i].type);
		assert_int_equal(out.number, in[i].number);
		assert_int_equal(out.len, in[i].len);
		if (out.type >= TYPE_TEXT) {
			assert_int_equal(out.bytes[out.len], 0);
			assert_true(out.len == 0 || memcmp(out.bytes, in[i].bytes, out.len) == 0);
		}
	}
	assert_ptr_equal(at, b.data + b.len);
	assert_int_equal(val_text(NULL).type, TYPE_NULL);
	assert_int_equal(val_name(NULL).type, TYPE_NULL);
	assert_int_equal((uint64_t)val_u64(UINT64_MAX).number, UINT64_MAX);
	bm_buf_fini(&b);
}

static void test_algorithms(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *a = open_catalog(), *b = open_catalog();
	int64_t id, other;
	const char *name;

	(void)state;
	/* Two that are open at once agree. */
	assert_ok(catalog_algorithm_id(a, "sha256", &id, &err), &err);
	assert_ok(catalog_algorithm_id(b, "md5", &other, &err), &err);
	assert_int_not_equal(id, other);
	assert_ok(catalog_algorithm_id(b, "sha256", &other, &err), &err);
	assert_int_equal(id, other);
	assert_ok(catalog_algorithm_id(a, "md5", &other, &err), &err);
	assert_ok(catalog_algorithm_name(a, other, &name, &err), &err);
	assert_string_equal(name, "md5");
	/* One that another has added since is read anew. */
	assert_ok(catalog_algorithm_id(a, "xxh3", &id, &err), &err);
	assert_ok(catalog_algorithm_name(b, id, &name, &err), &err);
	assert_string_equal(name, "xxh3");
	assert_ok(catalog_algorithm_name(a, 60, &name, &err), &err);
	assert_null(name);
	assert_ok(catalog_algorithm_name(a, 0, &name, &err), &err);
	assert_null(name);
	assert_ok(catalog_algorithm_name(a, INT64_MAX, &name, &err), &err);
	assert_null(name);
	for (int i = 4; i < CATALOG_ALGORITHMS_MAX; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "a%d", i);
		assert_ok(catalog_algorithm_id(a, text, &id, &err), &err);
		assert_int_equal(id, i);
	}
	assert_int_equal(catalog_algorithm_id(a, "one too many", &id, &err), BM_ERR_LIMIT);
	close_catalog(a);
	close_catalog(b);
}

/* ---- lanes ---- */

static void put_done(struct bm_catalog *c, int64_t job, const char *path)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_done d = {.path = path, .path_len = strlen(path)};

	assert_ok(bm_catalog_done_put(c, job, 1, 0, &d, &err), &err);
}

static bool is_written(struct bm_catalog *c)
{
	struct catalog_queue *q = &c->queue;

	pthread_mutex_lock(&q->lock);
	bool is = q->written == q->queued;
	pthread_mutex_unlock(&q->lock);
	return is;
}

/* A record is deleted when another thread has just put one into its lane and has not yet told the writer: that comes to
 * know of both all the same, without anybody who flushes. */
static void test_delete_wakes_writer(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c;
	char record[64], *end = record + 1;
	int64_t job = 0;

	(void)state;
	c = open_catalog();
	assert_ok(bm_catalog_job_open(c, (const uint8_t *)"k", 1, "name", 1, &job, &err), &err);
	put_done(c, job, "a");
	flush_catalog(c); /* the writer waits */
	end = done_put_number(end, 0);
	end = done_put_number(end, 1);
	end = done_put_bytes(end, "b", 1);
	record[0] = (char)(end - record - 1);
	struct catalog_lane *lane = &atomic_load(&c->queue.logs)->lanes[1];
	pthread_mutex_lock(&lane->lock);
	bm_buf_put(&lane->bytes, record, (size_t)(end - record));
	pthread_mutex_unlock(&lane->lock);
	assert_ok(bm_catalog_done_delete(c, job, 1, "a", 1, &err), &err);
	for (unsigned i = 0; i < 3000 && !is_written(c); i++)
		(void)usleep(10000);
	assert_true(is_written(c));
	close_catalog(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_damaged), CATALOG_TEST(test_check),      CATALOG_TEST(test_plans),
		CATALOG_TEST(test_values),  CATALOG_TEST(test_algorithms), CATALOG_TEST(test_delete_wakes_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
