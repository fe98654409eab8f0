/* Every allocation of ours fails once, and then for ever: each call ends in BM_ERR_NOMEM or as it should, leaves nothing
 * half done, and works when there is memory again. SQLite's own allocations go past this: they are its own matter. */
#include <pthread.h>

#include "catalog_files_test.h"

#include "bm_catalog_done.h"
#include "bm_catalog_runs.h"
#include "fail_alloc.h"

static struct bm_error err;

/* Calls that read or write at once. Nothing is queued here, so that there is no second thread that allocates. */

static enum bm_status open_and_close(void)
{
	struct bm_catalog *other = NULL;
	enum bm_status status = bm_catalog_open(&in_state, &other, &err);

	assert_int_equal(other != NULL, status == BM_OK);
	return status == BM_OK ? bm_catalog_close(other, &err) : status;
}

static enum bm_status default_dir(void)
{
	char *dir = NULL;
	enum bm_status status = bm_catalog_default_dir(&dir, &err);

	free(dir);
	return status;
}

static bool go_on(void *ctx, const struct bm_catalog_root *r)
{
	(void)ctx;
	(void)r;
	return true;
}

static enum bm_status use_roots(void)
{
	struct bm_catalog_root r, again;
	enum bm_catalog_presence presence;
	bool found;
	enum bm_status status = bm_catalog_root_add(c, "/new", 4, NULL, 1, &r, &err);

	if (status == BM_OK)
		status = bm_catalog_root_presence(c, &r, &presence, NULL, &err);
	if (status == BM_OK) {
		status = bm_catalog_root_find(c, "/new", 4, &again, &found, &err);
		bm_catalog_root_fini(&again);
	}
	if (status == BM_OK)
		status = bm_catalog_root_list(c, go_on, NULL, &err);
	if (status == BM_OK)
		status = bm_catalog_root_delete(c, r.id, &err);
	bm_catalog_root_fini(&r);
	return status;
}

static enum bm_status read_files(enum bm_status (*open)(struct bm_catalog_files **out))
{
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f = NULL;
	enum bm_status status = open(&files);
	unsigned n = 0;

	assert_int_equal(files != NULL, status == BM_OK);
	while (status == BM_OK && (status = bm_catalog_files_next(files, &f, &err)) == BM_OK && f != NULL)
		n++;
	bm_catalog_files_close(files);
	if (status == BM_OK)
		assert_true(n > 0);
	return status;
}

static enum bm_status open_paths(struct bm_catalog_files **out)
{
	return bm_catalog_files_open(c, 1, "f", 1, out, &err);
}

static enum bm_status open_due(struct bm_catalog_files **out)
{
	return bm_catalog_files_open_due(c, 1, INT64_MAX, NULL, out, &err);
}

static enum bm_status open_bad(struct bm_catalog_files **out)
{
	return bm_catalog_files_open_bad(c, 1, out, &err);
}

static enum bm_status read_paths(void)
{
	return read_files(open_paths);
}

static enum bm_status read_due(void)
{
	return read_files(open_due);
}

static enum bm_status read_bad(void)
{
	return read_files(open_bad);
}

static bool on_match(void *ctx, size_t index, int64_t root, const struct bm_catalog_file *f)
{
	(void)index;
	(void)root;
	(void)f;
	++*(unsigned *)ctx;
	return true;
}

static enum bm_status match(void)
{
	uint8_t digest[32];
	struct bm_catalog_file f = make_row("x", 3, digest);
	struct bm_catalog_digest wanted[20];
	unsigned n = 0;

	for (size_t i = 0; i < 20; i++)
		wanted[i] = (struct bm_catalog_digest){f.algorithm, f.digest, f.digest_len};
	enum bm_status status = bm_catalog_files_match(c, 0, wanted, 20, on_match, &n, &err);
	if (status == BM_OK)
		assert_int_equal(n, 20);
	return status;
}

static bool on_progress(void *ctx, const char *path, size_t path_len, const struct bm_catalog_progress *p)
{
	(void)ctx;
	(void)path;
	(void)path_len;
	(void)p;
	return true;
}

static enum bm_status read_blocks(void)
{
	struct bm_buf b = {0};
	struct bm_catalog_progress p;
	uint64_t block_bytes;
	bool found;
	enum bm_status status = bm_catalog_blocks_get(c, 1, "file-0003", 9, false, &block_bytes, &b, &err);

	if (status == BM_OK) {
		assert_int_equal(b.len, 3000 * 16);
		status = bm_catalog_progress_get(c, 1, "big", 3, false, &p, &b, &found, &err);
	}
	if (status == BM_OK) {
		assert_int_equal(b.len, 4000 * 16);
		status = bm_catalog_progress_list(c, 1, on_progress, NULL, &err);
	}
	bm_buf_fini(&b);
	return status;
}

static struct bm_catalog_coverage cover;

static enum bm_status coverage(void)
{
	return bm_catalog_coverage(c, 0, NULL, 0, &cover, &err);
}

static enum bm_status read_done(void)
{
	struct bm_catalog_dones *d = NULL;
	const struct bm_catalog_done *got = NULL;
	enum bm_status status = bm_catalog_dones_open(c, 1, 1, &d, &err);

	if (status == BM_OK)
		status = bm_catalog_dones_find(d, "file-0003", 9, &got, &err);
	if (status == BM_OK) {
		assert_non_null(got);
		assert_string_equal(got->outputs[0].path, "/b/file-0003.gz");
		status = bm_catalog_dones_next(d, &got, &err);
	}
	bm_catalog_dones_close(d);
	return status;
}

static bool on_run(void *ctx, const struct bm_catalog_run_row *row)
{
	*(int64_t *)ctx = row->number;
	return true;
}

static bool on_job(void *ctx, const struct bm_catalog_job_row *row)
{
	(void)ctx;
	(void)row;
	return true;
}

static bool on_step(void *ctx, unsigned step, const struct bm_catalog_step *row)
{
	(void)ctx;
	(void)step;
	(void)row;
	return true;
}

static bool on_failure(void *ctx, const struct bm_catalog_failure_row *row)
{
	(void)ctx;
	(void)row;
	return true;
}

static enum bm_status runs(void)
{
	static const struct bm_error why = {BM_ERR_FAILED, 0, "here", "there"};
	struct bm_catalog_run *r = NULL;
	int64_t number = 0;
	enum bm_status status = bm_catalog_run_delete_before(c, INT64_MAX, NULL, &err);

	if (status == BM_OK)
		status = bm_catalog_run_begin(c, "id", "run", 1, 1, &r, &err);
	assert_int_equal(r != NULL, status == BM_OK);
	if (status == BM_OK)
		status = bm_catalog_run_list(c, "name", 0, on_run, &number, &err);
	if (status == BM_OK)
		status = bm_catalog_run_find(c, "i", on_run, &number, &err);
	if (status == BM_OK)
		status = bm_catalog_run_list_jobs(c, number, on_job, NULL, &err);
	if (status == BM_OK)
		status = bm_catalog_run_list_steps(c, number, 0, on_step, NULL, &err);
	if (status == BM_OK)
		status = bm_catalog_run_list_failures(c, number, on_failure, NULL, &err);
	if (r != NULL && status == BM_OK)
		status = bm_catalog_run_end(r, BM_CATALOG_RUN_DONE, 0, &(struct bm_catalog_counts){0}, 1, &why, &err);
	else
		bm_catalog_run_abandon(r);
	return status;
}

static enum bm_status jobs(void)
{
	int64_t job;
	enum bm_status status = bm_catalog_job_open(c, (const uint8_t *)"k2", 2, "name", 1, &job, &err);

	return status == BM_OK ? bm_catalog_job_delete_before(c, 2, NULL, &err) : status;
}

static void put_some(void)
{
	static uint8_t blocks[3000][16];
	uint8_t digest[32];
	char name[16], output[32];
	int64_t job;

	assert_int_equal(add_root(c, "/r"), 1);
	assert_ok(bm_catalog_job_open(c, (const uint8_t *)"k", 1, "name", 100, &job, &err), &err);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "file-%04u", i);
		(void)snprintf(output, sizeof(output), "/b/%s.gz", name);
		struct bm_catalog_file f = make_row(name, i, digest);
		struct bm_catalog_output o = {.path = output, .path_len = strlen(output)};
		struct bm_catalog_done d = {.path = name, .path_len = 9, .outputs = &o, .output_count = 1};

		put(1, &f, i == 3 ? &(struct bm_catalog_blocks){1, &blocks[0][0], 16, 3000} : NULL);
		assert_ok(bm_catalog_done_put(c, job, 1, 0, &d, &err), &err);
	}
	assert_ok(bm_catalog_file_mark(c, 1, "file-0009", 9, BM_CATALOG_DAMAGED, 1, NULL, &err), &err);
	struct bm_catalog_progress p = {.algorithm = "sha256", .block_bytes = 1, .next_block = 1000};
	assert_ok(bm_catalog_progress_put(c, 1, "big", 3, &p, &blocks[0][0], 16, 1000, &err), &err);
	flush_catalog(c);
}

/* Starts over with a catalog that has no second thread, and whose caches are empty. */
static void reopen(void)
{
	assert_int_equal(bm_catalog_close(c, &err), BM_OK);
	c = NULL;
	assert_ok(bm_catalog_open(&in_state, &c, &err), &err);
}

static void start_again(void)
{
	(void)!bm_catalog_close(c, NULL);
	c = NULL;
	assert_ok(bm_catalog_open(&in_state, &c, &err), &err);
}

static void test_reading(void **state)
{
	static enum bm_status (*const calls[])(void) = {open_and_close, default_dir, use_roots, read_paths,
	                                                read_due,       read_bad,    match,     read_blocks,
	                                                coverage,       read_done,   runs,      jobs};

	(void)state;
	bm_error_clear(&err);
	put_some();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (int for_ever = 0; for_ever < 2; for_ever++) {
			unsigned at = 1;

			for (bool hit = true; hit; at++) {
				bm_error_clear(&err);
				reopen();
				fail_alloc_arm(at, for_ever != 0);
				enum bm_status status = calls[i]();
				hit = fail_alloc_disarm();
				if (status != BM_OK && (status != BM_ERR_NOMEM || !hit))
					fail_msg("call %zu, allocation %u: %s: %s", i, at, bm_status_text(status),
					         err.text);
				assert_int_equal(err.status, status);
				bm_error_clear(&err);
				if (status != BM_OK && calls[i] == runs)
					start_again(); /* the end of a run is queued, and an error there is final */
				assert_ok(calls[i](), &err); /* with memory again */
			}
			assert_true(at > 1);
		}
	}
}

/* Queued writes: the one that finds no memory is not queued, in none of its parts, and says so; those around it are. */
static void test_queueing(void **state)
{
	static uint8_t blocks[3000][16];
	uint8_t digest[32];
	char name[16];
	unsigned failed = 0, missing = 0;

	(void)state;
	assert_int_equal(bm_catalog_close(c, &err), BM_OK);
	c = NULL;
	assert_ok(bm_catalog_open(
			  &(struct bm_catalog_options){.dir = "state", .batch_ms = 3600000, .batch_count = 1000000}, &c,
			  &err),
	          &err);
	int64_t id = add_root(c, "/r");
	put_file(c, id, "first", 1);
	flush_catalog(c);
	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "file-%04u", i);
		struct bm_catalog_file f = make_row(name, i, digest);
		struct bm_catalog_blocks b = {1, &blocks[0][0], 16, 50 * (i + 1)};
		bm_error_clear(&err);
		/* Whenever the buffer has to grow, it cannot: mostly in the middle of the blocks. */
		fail_alloc_arm(1, true);
		enum bm_status status = bm_catalog_file_put(c, id, &f, &b, &err);
		(void)fail_alloc_disarm();
		assert_true(status == BM_OK || status == BM_ERR_NOMEM);
		failed += status != BM_OK;
		bm_error_clear(&err);
		/* Of some of them nothing must be there in the end; the others go well now, and it grows. */
		if (status != BM_OK && failed % 2 == 0)
			assert_ok(bm_catalog_file_put(c, id, &f, &b, &err), &err);
		else if (status != BM_OK)
			missing++;
		if (i % 20 == 19)
			flush_catalog(c);
	}
	flush_catalog(c);
	assert_true(failed >= 4 && missing >= 2);
	assert_int_equal(ask("SELECT count(*) FROM files"), 61 - missing);
	assert_int_equal(ask("SELECT count(DISTINCT path) FROM blocks"), 60 - missing);
	assert_int_equal(ask("SELECT count(*) FROM files f WHERE block_bytes IS NOT NULL AND "
	                     "(SELECT sum(count) FROM blocks b WHERE b.path = f.path) <> ((inode - 100) + 1) * 50"),
	                 0);
}

/* ---- no thread ---- */

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
static bool no_threads;

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(t, a, f, arg);
}

/* What is in a lane is flushed, or the flush fails: also where nobody is there to write it, and where it cannot even be
 * taken out of the lane. */
static void test_lane_is_flushed(void **state)
{
	struct bm_catalog_done d = {.path = "a", .path_len = 1};
	struct bm_catalog_dones *dones = NULL;
	const struct bm_catalog_done *got = NULL;
	int64_t job;

	(void)state;
	bm_error_clear(&err);
	assert_ok(bm_catalog_job_open(c, (const uint8_t *)"k", 1, "name", 100, &job, &err), &err);
	reopen();
	no_threads = true;
	assert_int_equal(bm_catalog_done_put(c, job, 1, 0, &d, &err), BM_ERR_SYSTEM);
	bm_error_clear(&err);
	fail_alloc_arm(1, true);
	assert_int_equal(bm_catalog_flush(c, &err), BM_ERR_NOMEM);
	assert_true(fail_alloc_disarm());
	bm_error_clear(&err);
	assert_int_equal(bm_catalog_flush(c, &err), BM_ERR_SYSTEM);
	assert_non_null(strstr(err.text, "no thread can be started that writes it"));
	assert_int_equal(bm_catalog_close(c, NULL), BM_ERR_SYSTEM);
	c = NULL;
	bm_error_clear(&err);
	assert_ok(bm_catalog_open(&in_state, &c, &err), &err);
	assert_int_equal(bm_catalog_done_put(c, job, 1, 0, &d, &err), BM_ERR_SYSTEM);
	no_threads = false;
	bm_error_clear(&err);
	assert_ok(bm_catalog_flush(c, &err), &err);
	assert_ok(bm_catalog_dones_open(c, job, 1, &dones, &err), &err);
	assert_ok(bm_catalog_dones_next(dones, &got, &err), &err);
	assert_non_null(got);
	bm_catalog_dones_close(dones);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES_TEST(test_reading),
		FILES_TEST(test_queueing),
		FILES_TEST(test_lane_is_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
