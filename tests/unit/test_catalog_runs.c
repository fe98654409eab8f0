/* The history: runs, their jobs, steps and failures come back; who is dead is interrupted; old ones go. */
#include "catalog_test.h"

#include "bm_catalog_runs.h"
#include "catalog_internal.h"

static struct bm_catalog *c;

static struct bm_catalog_run *begin(const char *id, int64_t now)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_run *r = NULL;

	assert_ok(bm_catalog_run_begin(c, id, "run", 4, now, &r, &err), &err);
	return r;
}

static void end(struct bm_catalog_run *r, enum bm_catalog_run_state state, int64_t now)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_ok(bm_catalog_run_end(r, state, 0, &(struct bm_catalog_counts){0}, now, NULL, &err), &err);
}

/* "id:state ..." */
static bool on_run(void *ctx, const struct bm_catalog_run_row *row)
{
	bm_buf_printf(ctx, " %s:%s", row->id, bm_catalog_run_state_text(row->state));
	return true;
}

static void assert_list(struct bm_catalog *of, const char *job, uint64_t limit, const char *want)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf b = {0};

	bm_buf_puts(&b, "");
	assert_ok(bm_catalog_run_list(of, job, limit, on_run, &b, &err), &err);
	assert_string_equal(b.data, want);
	bm_buf_fini(&b);
}

/* ---- all of one run ---- */

static bool check_run(void *ctx, const struct bm_catalog_run_row *row)
{
	assert_string_equal(row->id, "20261122T030000.123456Z-4242");
	assert_string_equal(row->kind, "run");
	assert_int_equal(row->state, BM_CATALOG_RUN_FAILED);
	assert_true(row->has_exit_code);
	assert_int_equal(row->exit_code, 1);
	assert_int_equal(row->threads, 4);
	assert_int_equal(row->started_ns, 1000);
	assert_int_equal(row->ended_ns, 9000);
	assert_int_equal(row->counts.files_done, 1);
	assert_int_equal(row->counts.files_failed, 2);
	assert_int_equal(row->counts.files_skipped, 3);
	assert_int_equal(row->counts.bytes_read, 4);
	assert_true(row->counts.bytes_written == UINT64_MAX);
	assert_string_equal(row->error, "/m/SUMS: no space");
	assert_int_equal(row->job_count, 3);
	assert_string_equal(row->job, "first\xff\n");
	*(int64_t *)ctx = row->number;
	return true;
}

static bool check_job(void *ctx, const struct bm_catalog_job_row *row)
{
	unsigned *n = ctx;

	assert_int_equal(row->job, *n);
	if (*n == 0) {
		assert_string_equal(row->name, "first\xff\n");
		assert_string_equal(row->file, "/etc/jobs/a b.json");
		assert_int_equal(row->key_len, 3);
		assert_memory_equal(row->key, "k\0y", 3);
		assert_int_equal(row->state, BM_CATALOG_RUN_DONE);
		assert_int_equal(row->started_ns, 1001);
		assert_int_equal(row->ended_ns, 5000);
		assert_int_equal(row->counts.files_done, 7);
		assert_int_equal(row->counts.bytes_written, 8);
	} else {
		assert_string_equal(row->name, *n == 1 ? "second" : "third");
		assert_null(row->file);
		assert_int_equal(row->key_len, 0);
		assert_int_equal(row->state, *n == 1 ? BM_CATALOG_RUN_SKIPPED : BM_CATALOG_RUN_FAILED);
		assert_int_equal(row->started_ns, 0);
	}
	++*n;
	return true;
}

static bool check_step(void *ctx, unsigned step, const struct bm_catalog_step *row)
{
	unsigned *n = ctx;

	assert_int_equal(step, *n);
	assert_string_equal(row->kind, step == 0 ? "read" : "compress");
	assert_int_equal(row->files, 10 + step);
	assert_true(row->bytes_in == UINT64_MAX);
	assert_int_equal(row->bytes_out, 30);
	assert_int_equal(row->busy_ns, 40);
	++*n;
	return true;
}

struct failures {
	unsigned count;
	int64_t job, index;
};

static bool check_failure(void *ctx, const struct bm_catalog_failure_row *row)
{
	struct failures *f = ctx;
	char want[64];

	assert_true((int64_t)row->job > f->job || ((int64_t)row->job == f->job && (int64_t)row->index > f->index));
	f->job = row->job;
	f->index = (int64_t)row->index;
	f->count++;
	(void)snprintf(want, sizeof(want), "/src/%llu\n\xff", (unsigned long long)row->index);
	assert_string_equal(row->path, want);
	assert_int_equal(row->path_len, strlen(want));
	assert_int_equal(row->status, BM_ERR_SYSTEM);
	assert_int_equal(row->sys_errno, EIO);
	assert_string_equal(row->where, "here");
	assert_string_equal(row->text, "cannot read: Input/output error");
	return true;
}

static void test_whole_run(void **state)
{
	struct bm_error err = BM_ERROR_INIT, why = {BM_ERR_SYSTEM, EIO, "here", "cannot read: Input/output error"};
	struct bm_error last = {BM_ERR_SYSTEM, ENOSPC, "/m/SUMS", "no space"};
	static const struct bm_catalog_step steps[] = {{"read", 10, UINT64_MAX, 30, 40},
	                                               {"compress", 11, UINT64_MAX, 30, 40}};
	struct bm_catalog_run *r;
	int64_t number = 0;
	unsigned n = 0;
	char path[64];

	(void)state;
	c = open_catalog();
	r = begin("20261122T030000.123456Z-4242", 1000);
	assert_list(c, NULL, 0, " 20261122T030000.123456Z-4242:running");
	assert_ok(bm_catalog_run_add_job(r, 0, "first\xff\n", "/etc/jobs/a b.json", (const uint8_t *)"k\0y", 3, &err),
	          &err);
	assert_ok(bm_catalog_run_add_job(r, 1, "second", NULL, NULL, 0, &err), &err);
	assert_ok(bm_catalog_run_add_job(r, 2, "third", NULL, NULL, 0, &err), &err);
	/* Two jobs side by side, files failing in any order: they come back in listing order. */
	for (unsigned i = 0; i < 300; i++) {
		uint64_t index = i * 7919 % 300;

		(void)snprintf(path, sizeof(path), "/src/%llu\n\xff", (unsigned long long)index);
		assert_ok(bm_catalog_run_add_failure(r, i % 2 == 0 ? 2 : 0, index, path, strlen(path), &why, &err),
		          &err);
	}
	assert_ok(bm_catalog_run_update(r, &(struct bm_catalog_counts){1, 0, 0, 0, 0}, 2000, &err), &err);
	assert_ok(bm_catalog_run_end_job(r, 0, BM_CATALOG_RUN_DONE, &(struct bm_catalog_counts){7, 0, 0, 0, 8}, 1001,
	                                 5000, steps, 2, &err),
	          &err);
	assert_ok(bm_catalog_run_end_job(r, 1, BM_CATALOG_RUN_SKIPPED, &(struct bm_catalog_counts){0}, 0, 0, NULL, 0,
	                                 &err),
	          &err);
	assert_ok(bm_catalog_run_end(r, BM_CATALOG_RUN_FAILED, 1, &(struct bm_catalog_counts){1, 2, 3, 4, UINT64_MAX},
	                             9000, &last, &err),
	          &err);

	assert_ok(bm_catalog_run_find(c, "20261122T030000.123456Z-4242", check_run, &number, &err), &err);
	assert_true(number > 0);
	assert_ok(bm_catalog_run_list_jobs(c, number, check_job, &n, &err), &err);
	assert_int_equal(n, 3);
	n = 0;
	assert_ok(bm_catalog_run_list_steps(c, number, 0, check_step, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_ok(bm_catalog_run_list_steps(c, number, 1, check_step, &n, &err), &err);
	assert_int_equal(n, 2);
	struct failures f = {0, -1, -1};
	assert_ok(bm_catalog_run_list_failures(c, number, check_failure, &f, &err), &err);
	assert_int_equal(f.count, 300);
	assert_ok(bm_catalog_run_list_failures(c, number + 1, check_failure, &f, &err), &err);
	assert_int_equal(f.count, 300);
	close_catalog(c);
}

static void test_find(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf b = {0};

	(void)state;
	c = open_catalog();
	end(begin("2026-a", 1), BM_CATALOG_RUN_DONE, 2);
	end(begin("2026-ab", 1), BM_CATALOG_RUN_CANCELLED, 2);
	end(begin("2027\xff", 1), BM_CATALOG_RUN_FAILED, 2);
	static const struct {
		const char *id, *want;
	} cases[] = {
		{"2026-a", " 2026-a:done"}, /* whole, though another one begins so */
		{"2026-ab", " 2026-ab:cancelled"},
		{"2027", " 2027\xff:failed"},
		{"2027\xff", " 2027\xff:failed"},
		{"2026", NULL},
		{"2026-abc", NULL},
		{"", NULL},
		{"\x1b", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bm_error_clear(&err);
		bm_buf_reset(&b);
		bm_buf_puts(&b, "");
		enum bm_status status = bm_catalog_run_find(c, cases[i].id, on_run, &b, &err);
		if (cases[i].want != NULL) {
			assert_ok(status, &err);
			assert_string_equal(b.data, cases[i].want);
		} else {
			assert_int_equal(status, BM_ERR_USAGE);
			assert_non_null(
				strstr(err.text, strcmp(cases[i].id, "2026") == 0 ? "more than one run" : "no run"));
			assert_null(strchr(err.text, '\x1b'));
		}
	}
	bm_buf_fini(&b);
	/* An id is given once. */
	struct bm_catalog_run *r = (struct bm_catalog_run *)&err;
	bm_error_clear(&err);
	assert_int_equal(bm_catalog_run_begin(c, "2026-a", "run", 1, 1, &r, &err), BM_ERR_EXISTS);
	assert_null(r);
	assert_non_null(strstr(err.text, "2026-a is on record already"));
	close_catalog(c);
}

static void test_list(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	char id[32];

	(void)state;
	c = open_catalog();
	assert_list(c, NULL, 0, "");
	for (unsigned i = 0; i < 70; i++) {
		(void)snprintf(id, sizeof(id), "r%03u", i);
		struct bm_catalog_run *r = begin(id, i);
		assert_ok(bm_catalog_run_add_job(r, 0, i % 30 == 0 ? "rare" : "common", NULL, NULL, 0, &err), &err);
		assert_ok(bm_catalog_run_add_job(r, 1, i == 47 ? "rare" : "other", NULL, NULL, 0, &err), &err);
		end(r, BM_CATALOG_RUN_DONE, i + 1);
	}
	assert_list(c, NULL, 3, " r069:done r068:done r067:done");
	assert_list(c, "rare", 0, " r060:done r047:done r030:done r000:done");
	assert_list(c, "rare", 2, " r060:done r047:done");
	assert_list(c, "none", 0, "");
	struct bm_buf b = {0};
	assert_ok(bm_catalog_run_list(c, NULL, 0, on_run, &b, &err), &err);
	assert_int_equal(b.len, 70 * strlen(" r000:done"));
	bm_buf_fini(&b);
	close_catalog(c);
}

/* ---- who is alive ---- */

static void test_interrupted(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	int ready[2], leave[2];
	char byte;

	(void)state;
	close_catalog(open_catalog());
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(leave), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct bm_catalog_run *r = NULL;

		(void)close(leave[1]);
		if (bm_catalog_open(&(struct bm_catalog_options){.dir = "state"}, &c, &err) != BM_OK ||
		    bm_catalog_run_begin(c, "victim", "run", 1, 100, &r, &err) != BM_OK ||
		    bm_catalog_run_add_job(r, 0, "job", NULL, NULL, 0, &err) != BM_OK ||
		    bm_catalog_run_update(r, &(struct bm_catalog_counts){5, 0, 0, 0, 0}, 777, &err) != BM_OK ||
		    bm_catalog_flush(c, &err) != BM_OK || write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)read(leave[0], &byte, 1);
		_exit(0);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* While it lives it runs, however often others open the catalog; one of our own does, too. */
	c = open_catalog();
	struct bm_catalog *second = open_catalog();
	struct bm_catalog_run *own = begin("own", 200);
	assert_list(c, NULL, 0, " own:running victim:running");
	assert_list(second, NULL, 0, " own:running victim:running");
	close_catalog(open_catalog());
	assert_int_equal(ask("SELECT sum(state) FROM runs"), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Seen at once by those who look, and put on record by the next who opens. */
	assert_list(c, NULL, 0, " own:running victim:interrupted");
	assert_int_equal(ask("SELECT sum(state) FROM runs"), 0);
	close_catalog(open_catalog());
	assert_int_equal(ask("SELECT state FROM runs WHERE id = CAST('victim' AS BLOB)"), BM_CATALOG_RUN_INTERRUPTED);
	assert_int_equal(ask("SELECT state FROM runs WHERE id = CAST('own' AS BLOB)"), BM_CATALOG_RUN_RUNNING);
	assert_int_equal(ask("SELECT state FROM run_jobs"), BM_CATALOG_RUN_INTERRUPTED);
	assert_int_equal(ask("SELECT ended FROM runs WHERE id = CAST('victim' AS BLOB)"), 777);
	assert_int_equal(ask("SELECT files_done FROM runs WHERE id = CAST('victim' AS BLOB)"), 5);
	/* A run that is given up counts as such. */
	bm_catalog_run_abandon(own);
	assert_list(second, NULL, 0, " own:interrupted victim:interrupted");
	/* An end that comes after it was taken for dead says how it was. */
	own = begin("own2", 300);
	close_catalog(c);
	c = second;
	assert_list(c, NULL, 1, " own2:interrupted");
	free(own); /* its catalog is closed, and so is its lock */
	close_catalog(second);
	(void)close(ready[0]);
	(void)close(leave[0]);
	(void)close(leave[1]);
}

/* The lock file is gone: nobody can hold anything; it cannot be had: no run begins. */
static void test_lock_file(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_run *r = NULL;

	(void)state;
	c = open_catalog();
	r = begin("a", 1);
	assert_int_equal(unlink("state/" BM_CATALOG_RUNS_FILE), 0);
	assert_list(c, NULL, 0, " a:interrupted");
	end(r, BM_CATALOG_RUN_DONE, 5);
	assert_list(c, NULL, 0, " a:done");
	close_catalog(c);
	assert_int_equal(mkdir("state/" BM_CATALOG_RUNS_FILE, 0700), 0);
	c = open_catalog();
	assert_int_equal(bm_catalog_run_begin(c, "b", "run", 1, 1, &r, &err), BM_ERR_SYSTEM);
	assert_string_equal(err.where, "state/" BM_CATALOG_RUNS_FILE);
	assert_null(r);
	assert_list(c, NULL, 0, " a:done"); /* and none is on record */
	close_catalog(c);
}

/* ---- retention ---- */

static void test_delete(void **state)
{
	struct bm_error err = BM_ERROR_INIT, why = {BM_ERR_FAILED, 0, "", "x"};
	struct bm_catalog_run *live;
	uint64_t deleted = 77;
	char id[32];

	(void)state;
	c = open_catalog();
	live = begin("live", 0);
	for (unsigned i = 1; i <= 70; i++) {
		(void)snprintf(id, sizeof(id), "r%03u", i);
		struct bm_catalog_run *r = begin(id, i);
		assert_ok(bm_catalog_run_add_job(r, 0, "job", NULL, NULL, 0, &err), &err);
		assert_ok(bm_catalog_run_add_failure(r, 0, 0, "p", 1, &why, &err), &err);
		assert_ok(bm_catalog_run_end_job(r, 0, BM_CATALOG_RUN_DONE, &(struct bm_catalog_counts){0}, 1, 2,
		                                 &(struct bm_catalog_step){"read", 1, 2, 3, 4}, 1, &err),
		          &err);
		if (i == 50)
			bm_catalog_run_abandon(r); /* dead: goes with the others */
		else
			end(r, BM_CATALOG_RUN_DONE, i + 1);
	}
	assert_ok(bm_catalog_run_delete_before(c, 68, &deleted, &err), &err);
	assert_int_equal(deleted, 67);
	assert_list(c, NULL, 0, " r070:done r069:done r068:done live:running");
	assert_int_equal(ask("SELECT count(*) FROM run_jobs"), 3);
	assert_int_equal(ask("SELECT count(*) FROM run_steps"), 3);
	assert_int_equal(ask("SELECT count(*) FROM run_failures"), 3);
	assert_ok(bm_catalog_run_delete_before(c, 68, NULL, &err), &err);
	end(live, BM_CATALOG_RUN_DONE, 5);
	assert_ok(bm_catalog_run_delete_before(c, INT64_MAX, &deleted, &err), &err);
	assert_int_equal(deleted, 4);
	assert_list(c, NULL, 0, "");
	/* No number is used twice: a cursor over old ones would otherwise show new ones. */
	end(begin("new", 1), BM_CATALOG_RUN_DONE, 2);
	assert_int_equal(ask("SELECT number FROM runs"), 72);
	close_catalog(c);
}

static void test_state_text(void **state)
{
	(void)state;
	assert_string_equal(bm_catalog_run_state_text(BM_CATALOG_RUN_RUNNING), "running");
	assert_string_equal(bm_catalog_run_state_text(BM_CATALOG_RUN_SKIPPED), "skipped");
	assert_string_equal(bm_catalog_run_state_text((enum bm_catalog_run_state)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_whole_run),   CATALOG_TEST(test_find),      CATALOG_TEST(test_list),
		CATALOG_TEST(test_interrupted), CATALOG_TEST(test_lock_file), CATALOG_TEST(test_delete),
		CATALOG_TEST(test_state_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
