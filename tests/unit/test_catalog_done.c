/* Done records: outputs and digests come back byte for byte, in order; damaged ones are errors; old jobs go. */
#include "catalog_test.h"

#include <dirent.h>
#include <pthread.h>

#include "bm_catalog_done.h"
#include "done_codec.h"

static struct bm_catalog *c;

static int64_t open_job(const char *key, int64_t now)
{
	struct bm_error err = BM_ERROR_INIT;
	int64_t job = 0;

	assert_ok(bm_catalog_job_open(c, (const uint8_t *)key, strlen(key), "name", now, &job, &err), &err);
	assert_true(job > 0);
	return job;
}

static void put(int64_t job, int64_t root, const struct bm_catalog_done *d)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_ok(bm_catalog_done_put(c, job, root, 0, d, &err), &err);
}

static struct bm_catalog_dones *open_dones(int64_t job, int64_t root)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_dones *d = NULL;

	assert_ok(bm_catalog_dones_open(c, job, root, &d, &err), &err);
	return d;
}

/* The files, and the path of the last one. */
static char log_path[300];
static unsigned count_logs(void)
{
	DIR *dir = opendir("state/done");
	const struct dirent *e;
	unsigned count = 0;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.') {
			(void)snprintf(log_path, sizeof(log_path), "state/done/%s", e->d_name);
			count++;
		}
	if (dir != NULL)
		(void)closedir(dir);
	return count;
}

static void assert_same(const struct bm_catalog_done *got, const struct bm_catalog_done *want)
{
	assert_non_null(got);
	assert_int_equal(got->path_len, want->path_len);
	assert_memory_equal(got->path, want->path, want->path_len);
	assert_int_equal(got->path[got->path_len], 0);
	assert_true(got->size == want->size && got->mtime_ns == want->mtime_ns && got->ctime_ns == want->ctime_ns);
	assert_true(got->inode == want->inode && got->done_ns == want->done_ns);
	assert_int_equal(got->output_count, want->output_count);
	for (size_t i = 0; i < want->output_count; i++) {
		const struct bm_catalog_output *a = &got->outputs[i], *b = &want->outputs[i];

		assert_int_equal(a->path_len, b->path_len);
		assert_memory_equal(a->path, b->path, b->path_len);
		assert_int_equal(a->path[a->path_len], 0);
		assert_true(a->size == b->size && a->mtime_ns == b->mtime_ns && a->step == b->step &&
		            a->inode == b->inode && a->skipped == b->skipped);
	}
	assert_int_equal(got->digest_count, want->digest_count);
	for (size_t i = 0; i < want->digest_count; i++) {
		const struct bm_catalog_done_digest *a = &got->digests[i], *b = &want->digests[i];

		assert_int_equal(a->step, b->step);
		assert_string_equal(a->algorithm, b->algorithm);
		assert_int_equal(a->len, b->len);
		if (b->len > 0)
			assert_memory_equal(a->bytes, b->bytes, b->len);
		assert_true(a->length == b->length);
	}
}

#define OUTPUT(text, bytes, time, number, was_there)                                                                   \
	{                                                                                                              \
		.path = (text), .path_len = sizeof(text) - 1, .size = (bytes), .mtime_ns = (time), .step = (number),   \
		.inode = (bytes)*3 + 1, .skipped = (was_there)                                                         \
	}

static void test_round_trip(void **state)
{
	static const struct bm_catalog_output outputs[] = {
		OUTPUT("/backup/2026-11-22/a/b.txt.gz", 100, 1700000000123456789, 5, false),
		OUTPUT("a/b.txt", 0, INT64_MIN, 0, true),                       /* the path and nothing else */
		OUTPUT("/x/a/b.txt/a/b.txt", UINT64_MAX, -1, UINT32_MAX, true), /* twice */
		OUTPUT("/elsewhere/\n\xff\x1b", 1, INT64_MAX, 3, false),        /* not at all */
		OUTPUT("", 0, 0, 1, false),
	};
	static const uint8_t bytes[64] = {0, 1, 2, 0xff, 0, 9};
	static const struct bm_catalog_done_digest digests[] = {
		{2, "sha256", bytes, 32, 12345},
		{2, "md5", bytes, 16, UINT64_MAX},
		{UINT32_MAX, "blake2b", bytes, 64, 0},
		{4, "crc32", bytes, 4, 1},
		{4, "none", NULL, 0, 0},
	};
	struct bm_catalog_done d = {.path = "a/b.txt",
	                            .path_len = 7,
	                            .size = UINT64_MAX,
	                            .mtime_ns = -5,
	                            .ctime_ns = 6,
	                            .inode = UINT64_MAX,
	                            .done_ns = 99,
	                            .outputs = outputs,
	                            .digests = digests};
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_done *got;

	(void)state;
	c = open_catalog();
	int64_t job = open_job("k", 1);
	for (size_t o = 0; o <= 5; o++) {
		for (size_t g = 0; g <= 5; g++) {
			d.output_count = o;
			d.digest_count = g;
			put(job, 7, &d);
			struct bm_catalog_dones *cur = open_dones(job, 7);
			assert_ok(bm_catalog_dones_find(cur, "a/b.txt", 7, &got, &err), &err);
			assert_same(got, &d);
			assert_ok(bm_catalog_dones_next(cur, &got, &err), &err);
			assert_null(got);
			bm_catalog_dones_close(cur);
		}
	}
	/* Another root, another job: nothing. */
	struct bm_catalog_dones *cur = open_dones(job, 8);
	assert_ok(bm_catalog_dones_find(cur, "a/b.txt", 7, &got, &err), &err);
	assert_null(got);
	bm_catalog_dones_close(cur);
	cur = open_dones(open_job("other", 1), 7);
	assert_ok(bm_catalog_dones_next(cur, &got, &err), &err);
	assert_null(got);
	bm_catalog_dones_close(cur);
	assert_ok(bm_catalog_done_delete(c, job, 7, "a/b.txt", 7, &err), &err);
	cur = open_dones(job, 7);
	assert_ok(bm_catalog_dones_find(cur, "a/b.txt", 7, &got, &err), &err);
	assert_null(got);
	bm_catalog_dones_close(cur);
	bm_catalog_dones_close(NULL);
	close_catalog(c);
}

/* As a run does it: inputs in listing order, most of them on record. */
static void test_walk(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_done *got;
	char path[64], out[128];
	unsigned found = 0;

	(void)state;
	c = open_catalog();
	int64_t job = open_job("k", 1);
	for (unsigned i = 0; i < 5000; i++) {
		unsigned n = i * 7919 % 5000;

		if (n % 10 == 3)
			continue;
		(void)snprintf(path, sizeof(path), "dir/%05u\n", n);
		(void)snprintf(out, sizeof(out), "/backup/%s.gz", path);
		struct bm_catalog_output o = {.path = out, .path_len = strlen(out), .size = n};
		put(job, 1,
		    &(struct bm_catalog_done){
			    .path = path, .path_len = strlen(path), .inode = n, .outputs = &o, .output_count = 1});
	}
	struct bm_catalog_dones *cur = open_dones(job, 1);
	for (unsigned n = 0; n < 5010; n++) {
		(void)snprintf(path, sizeof(path), "dir/%05u\n", n);
		assert_ok(bm_catalog_dones_find(cur, path, strlen(path), &got, &err), &err);
		assert_int_equal(got != NULL, n < 5000 && n % 10 != 3);
		if (got != NULL) {
			(void)snprintf(out, sizeof(out), "/backup/%s.gz", path);
			assert_string_equal(got->path, path);
			assert_int_equal(got->inode, n);
			assert_int_equal(got->output_count, 1);
			assert_string_equal(got->outputs[0].path, out);
			found++;
		}
	}
	assert_int_equal(found, 4500);
	bm_catalog_dones_close(cur);
	cur = open_dones(job, 1);
	for (found = 0; bm_catalog_dones_next(cur, &got, &err) == BM_OK && got != NULL; found++)
		assert_true(got->inode >= found);
	assert_int_equal(found, 4500);
	bm_catalog_dones_close(cur);
	close_catalog(c);
}

static void test_jobs(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_done d = {.path = "p", .path_len = 1};
	uint64_t deleted = 77;
	int64_t a, b, old;
	uint8_t key[65] = {0};
	char path[16];

	(void)state;
	c = open_catalog();
	a = open_job("a", 100);
	b = open_job("b", 100);
	assert_int_not_equal(a, b);
	assert_int_equal(open_job("a", 500), a);
	assert_int_equal(open_job("a", 50), a); /* a clock that went back */
	old = open_job("old", 1);
	for (unsigned i = 0; i < 41000; i++) { /* more than go in two transactions */
		(void)snprintf(path, sizeof(path), "%05u", i);
		d.path = path;
		d.path_len = 5;
		put(old, i % 3, &d);
	}
	put(a, 1, &d);
	put(b, 1, &d);
	assert_ok(bm_catalog_job_delete_before(c, 200, &deleted, &err), &err);
	assert_int_equal(deleted, 2);
	assert_int_equal(ask("SELECT count(*) FROM jobs"), 1);
	assert_int_equal(ask("SELECT count(*) FROM done_logs"), 1);
	assert_int_equal(count_logs(), 1);
	bm_catalog_dones_close(open_dones(a, 1));
	assert_int_equal(ask("SELECT count(*) FROM done_logs"), 0);
	assert_int_equal(count_logs(), 0);
	assert_int_equal(ask("SELECT count(*) FROM done"), 1);
	assert_int_equal(ask("SELECT job FROM done"), a);
	assert_true(open_job("old", 1) > old); /* as new */
	assert_ok(bm_catalog_job_delete_before(c, INT64_MIN, NULL, &err), &err);
	/* Keys are bytes. */
	memset(key, 0, sizeof(key));
	assert_ok(bm_catalog_job_open(c, key, 64, "\xff\n", 1, &a, &err), &err);
	assert_ok(bm_catalog_job_open(c, key, 63, "x", 1, &b, &err), &err);
	assert_int_not_equal(a, b);
	assert_int_equal(bm_catalog_job_open(c, key, 65, "x", 1, &b, &err), BM_ERR_USAGE);
	bm_error_clear(&err);
	assert_int_equal(bm_catalog_job_open(c, key, 0, "x", 1, &b, &err), BM_ERR_USAGE);
	assert_int_equal(b, 0);
	close_catalog(c);
}

/* ---- the form ---- */

static const uint8_t some_bytes[32] = {7};
static const struct bm_catalog_output some_outputs[] = {
	OUTPUT("/b/in/put.gz", 100, 1700000000123456789, 3, false),
	OUTPUT("/other", 5, -9, 4, true),
};
static const struct bm_catalog_done_digest some_digests[] = {{1, "sha256", some_bytes, 32, 77},
                                                             {4, "md5", some_bytes, 16, 300}};

static struct bm_buf encode_some(void)
{
	struct bm_catalog_done d = {.path = "in/put",
	                            .path_len = 6,
	                            .outputs = some_outputs,
	                            .output_count = 2,
	                            .digests = some_digests,
	                            .digest_count = 2};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf b = {0};
	char *end;

	assert_true(bm_buf_reserve(&b, done_encoded_max(&d) + DONE_SUM_BYTES));
	assert_ok(done_encode(c, &d, b.data, &end, &err), &err);
	b.len = (size_t)(end - b.data);
	assert_true(b.len <= done_encoded_max(&d));
	done_sum(d.path, d.path_len, b.data, b.len, (uint8_t *)end);
	b.len += DONE_SUM_BYTES;
	return b;
}

static struct bm_catalog_job begin_job(const char *key, const char *boot, bool anew, bool same_boot_only, int64_t now)
{
	const struct bm_catalog_beginning how = {(const uint8_t *)boot, strlen(boot), anew, same_boot_only};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_job job;

	assert_ok(bm_catalog_job_begin(c, (const uint8_t *)key, strlen(key), "name", &how, now, &job, &err), &err);
	return job;
}

static void assert_job(struct bm_catalog_job job, int64_t cut_ns, int64_t began_ns)
{
	assert_int_equal(job.cut_ns, cut_ns);
	assert_int_equal(job.began_ns, began_ns);
}

/* What a run of a job goes on with. */
static void test_begin(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	int64_t id;

	(void)state;
	c = open_catalog();
	id = begin_job("a", "boot 1", false, false, 100).id;
	assert_int_equal(open_job("a", 100), id);
	assert_job(begin_job("b", "boot 1", false, false, 150), 0, 150); /* another job */
	/* It was cut off, and again: both go on with the first one. */
	assert_job(begin_job("a", "boot 1", false, true, 200), 100, 100);
	assert_job(begin_job("a", "boot 2", false, false, 300), 100, 100);
	/* Not over a restart of the machine: from then on it is of that boot. */
	assert_job(begin_job("a", "boot 2", false, true, 400), 100, 400);
	assert_job(begin_job("a", "boot 2", false, true, 500), 400, 400);
	assert_job(begin_job("a", "boot 2", true, false, 600), 400, 600);
	close_catalog(c);
	c = open_catalog();
	assert_job(begin_job("a", "boot 2", false, false, 700), 600, 600);
	assert_ok(bm_catalog_job_end(c, id, &err), &err);
	assert_job(begin_job("a", "boot 2", false, false, 800), 0, 800);
	close_catalog(c);
}

/* The records of a job: the last one of a path holds, also over a deletion; all or the old ones go. */
static void test_log(void **state)
{
	struct bm_catalog_done d = {.path = "p", .path_len = 1};
	const struct bm_catalog_done *got;
	struct bm_catalog_dones *dones;
	struct bm_error err = BM_ERROR_INIT;
	int64_t job[6];

	(void)state;
	c = open_catalog();
	for (size_t i = 0; i < 6; i++) /* more than are gathered side by side */
		job[i] = open_job(&"a\0b\0c\0d\0e\0f"[i * 2], 1);
	for (uint64_t n = 1; n <= 5000; n++)
		for (size_t i = 0; i < 6; i++) {
			d.inode = n * 10 + i;
			d.path = n == 5000 ? "other" : "p";
			d.path_len = strlen(d.path);
			put(job[i], 1, &d);
		}
	assert_ok(bm_catalog_done_delete(c, job[2], 1, "p", 1, &err), &err);
	for (size_t i = 0; i < 6; i++) {
		dones = open_dones(job[i], 1);
		assert_ok(bm_catalog_dones_find(dones, "p", 1, &got, &err), &err);
		assert_true((got == NULL) == (i == 2));
		assert_true(got == NULL || got->inode == 4999 * 10 + i);
		assert_ok(bm_catalog_dones_find(dones, "other", 5, &got, &err), &err);
		assert_true(got != NULL && got->inode == 50000 + i);
		bm_catalog_dones_close(dones);
	}
	d.path = "p";
	d.path_len = 1;
	put(job[0], 1, &d);
	put(job[1], 1, &d);
	assert_ok(bm_catalog_done_delete_folded(c, job[0], &err), &err); /* what was put since stays */
	assert_ok(bm_catalog_done_delete_all(c, job[1], &err), &err);
	for (size_t i = 0; i < 2; i++) {
		dones = open_dones(job[i], 1);
		assert_ok(bm_catalog_dones_find(dones, "p", 1, &got, &err), &err);
		assert_true((got != NULL) == (i == 0));
		assert_ok(bm_catalog_dones_find(dones, "other", 5, &got, &err), &err);
		assert_null(got);
		bm_catalog_dones_close(dones);
	}
	close_catalog(c);
}

/* What is deleted while it still waits to be written is gone, and only that: not what came after, not another job's. */
static void test_dropped(void **state)
{
	const struct bm_catalog_options opt = {.dir = in_state.dir, .batch_ms = 60000};
	struct bm_catalog_done d = {.path = "p", .path_len = 1};
	const struct bm_catalog_done *got;
	struct bm_catalog_dones *dones;
	struct bm_error err = BM_ERROR_INIT;
	int64_t job[3];

	(void)state;
	c = open_catalog_with(&opt);
	for (size_t i = 0; i < 3; i++)
		job[i] = open_job(&"a\0b\0c"[i * 2], 1);
	for (uint64_t inode = 1; inode <= 2; inode++) {
		d.inode = inode;
		for (size_t i = 0; i < 3; i++)
			put(job[i], 1, &d);
		d.path = "q";
		for (size_t i = 0; i < 2; i++)
			assert_ok(bm_catalog_done_delete_all(c, job[i], &err), &err);
	}
	put(job[1], 1, &d);
	for (size_t i = 0; i < 3; i++) {
		dones = open_dones(job[i], 1);
		assert_ok(bm_catalog_dones_find(dones, "p", 1, &got, &err), &err);
		assert_true((got != NULL) == (i == 2));
		assert_ok(bm_catalog_dones_find(dones, "q", 1, &got, &err), &err);
		assert_true((got != NULL) == (i > 0));
		bm_catalog_dones_close(dones);
	}
	close_catalog(c);
}

/* The paths "00", "01", ... that are on record. */
static unsigned count_found(int64_t job)
{
	struct bm_catalog_dones *dones = open_dones(job, 1);
	const struct bm_catalog_done *got;
	struct bm_error err = BM_ERROR_INIT;
	unsigned found = 0;

	while (bm_catalog_dones_next(dones, &got, &err) == BM_OK && got != NULL)
		assert_int_equal(got->inode, found++);
	assert_int_equal(err.status, BM_OK);
	bm_catalog_dones_close(dones);
	return found;
}

/* Ten blocks of a record each, of a process that is then gone. Gives their file's size. */
static off_t put_ten(void)
{
	struct bm_catalog_done d = {.path_len = 2, .digests = some_digests, .digest_count = 1};
	struct bm_error err = BM_ERROR_INIT;
	char path[16];
	struct stat st;

	assert_int_equal(system("rm -rf state"), 0);
	c = open_catalog();
	int64_t job = open_job("k", 1);
	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(path, sizeof(path), "%02u", i);
		d.path = path;
		d.inode = i;
		put(job, 1, &d);
		assert_ok(bm_catalog_flush(c, &err), &err);
	}
	close_catalog(c);
	assert_int_equal(count_logs(), 1);
	assert_int_equal(stat(log_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	return st.st_size;
}

/* A log that was cut, or damaged, is good up to there; nothing is wrong with the next one. */
static void test_log_damaged(void **state)
{
	struct bm_catalog_done d = {.path = "00", .path_len = 2};
	off_t size = put_ten();
	uint64_t seen = 0;

	(void)state;
	assert_int_equal(size % 10, 0);
	for (off_t at = 0; at <= size; at++) {
		if (at % 23 != 0 && at % (size / 10) > 2)
			continue; /* not each, for the time that it takes */
		assert_int_equal(put_ten(), size);
		assert_int_equal(truncate(log_path, at), 0);
		c = open_catalog();
		assert_int_equal(count_found(open_job("k", 1)), at / (size / 10));
		assert_int_equal(count_logs(), 0);
		put(open_job("k", 1), 1, &d);
		assert_int_equal(count_found(open_job("k", 1)), at < size / 10 ? 1 : at / (size / 10));
		close_catalog(c);
	}
	for (off_t at = 0; at < size; at += 41) {
		(void)put_ten();
		int fd = open(log_path, O_RDWR);
		unsigned char byte;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (unsigned char)(1 << at % 8);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_int_equal(close(fd), 0);
		c = open_catalog();
		assert_int_equal(count_found(open_job("k", 1)), at / (size / 10));
		close_catalog(c);
		seen |= UINT64_C(1) << at / (size / 10);
	}
	assert_int_equal(seen, 1023); /* each of the blocks */
}

/* What belongs to no row is nobody's: it counts for nothing, and goes in time. */
static void test_log_of_nobody(void **state)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	(void)put_ten();
	tell("DELETE FROM done_logs"); /* as if an older copy of the database had been put back */
	assert_int_equal(close(open("state/done/README", O_CREAT | O_WRONLY, 0600)), 0);
	c = open_catalog();
	assert_int_equal(count_found(open_job("k", 1)), 0);
	assert_int_equal(count_logs(), 2);
	assert_ok(bm_catalog_job_delete_before(c, INT64_MIN, NULL, &err), &err);
	assert_int_equal(count_logs(), 1);
	assert_non_null(strstr(log_path, "README"));
	close_catalog(c);
	/* And a row whose file is gone. */
	(void)put_ten();
	assert_int_equal(unlink(log_path), 0);
	c = open_catalog();
	assert_int_equal(count_found(open_job("k", 1)), 0);
	assert_int_equal(ask("SELECT count(*) FROM done_logs"), 0);
	close_catalog(c);
}

/* Two catalogs of one job at a time: what the other one writes is seen, and stays its own until it is closed. */
static void test_log_of_another(void **state)
{
	struct bm_catalog_done d = {.path = "00", .path_len = 2};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *mine, *other;

	(void)state;
	mine = c = open_catalog();
	int64_t job = open_job("k", 1);
	other = c = open_catalog();
	put(job, 1, &d);
	assert_ok(bm_catalog_flush(c, &err), &err);
	c = mine;
	assert_int_equal(count_found(job), 1);
	assert_int_equal(count_logs(), 1);
	assert_ok(bm_catalog_done_delete_all(c, job, &err), &err);
	assert_ok(bm_catalog_flush(c, &err), &err);
	assert_int_equal(count_found(job), 1);
	c = other;
	d.path = "01";
	d.inode = 1;
	put(job, 1, &d);
	close_catalog(other);
	c = mine;
	assert_int_equal(count_found(job), 2);
	assert_int_equal(count_logs(), 0);
	close_catalog(mine);
}

/* Several writes as one: all or none; and a failure of one of them is one of all. */
static void test_together(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	uint8_t key[65] = {0};
	int64_t job;

	(void)state;
	c = open_catalog();
	assert_ok(bm_catalog_together(c, &err), &err);
	(void)open_job("a", 1);
	(void)add_root(c, "/r");
	assert_ok(bm_catalog_together_end(c, BM_OK, &err), &err);
	assert_int_equal(ask("SELECT count(*) FROM jobs"), 1);
	assert_ok(bm_catalog_together(c, &err), &err);
	(void)open_job("b", 1);
	assert_int_equal(bm_catalog_job_open(c, key, 65, "x", 1, &job, &err), BM_ERR_USAGE);
	assert_int_equal(bm_catalog_together_end(c, BM_ERR_USAGE, &err), BM_ERR_USAGE);
	bm_error_clear(&err);
	assert_int_equal(ask("SELECT count(*) FROM jobs"), 1);
	assert_int_equal(ask("SELECT count(*) FROM roots"), 1);
	(void)open_job("b", 1); /* it goes on as before */
	close_catalog(c);
	assert_int_equal(ask("SELECT count(*) FROM jobs"), 2);
}

/* Every cut and every changed bit is an error; and where there was no sum yet at least never a wild read (which the
 * sanitizers would see: each input is in memory of its own size). */
static void test_damaged(void **state)
{
	struct done_view v = {0};
	unsigned refused = 0;

	(void)state;
	c = open_catalog();
	struct bm_buf good = encode_some();
	assert_true(good.len < 120);
	for (size_t len = 0; len < good.len; len++) {
		struct bm_error err = BM_ERROR_INIT;
		char *cut = malloc(len + 1);

		assert_non_null(cut);
		memcpy(cut, good.data, len);
		char *exact = realloc(cut, len > 0 ? len : 1);
		assert_non_null(exact);
		assert_int_equal(done_decode(c, "in/put", 6, exact, len, &v, &err), BM_ERR_FORMAT);
		assert_non_null(strstr(err.text, "a record of what a job has done cannot be read"));
		free(exact);
	}
	for (size_t i = 0; i < good.len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct bm_error err = BM_ERROR_INIT;

			good.data[i] = (char)(good.data[i] ^ (1 << bit));
			assert_int_equal(done_decode(c, "in/put", 6, good.data, good.len, &v, &err), BM_ERR_FORMAT);
			good.data[i] = (char)(good.data[i] ^ (1 << bit));
		}
	struct bm_error other = BM_ERROR_INIT; /* of another input */
	assert_int_equal(done_decode(c, "in/puT", 6, good.data, good.len, &v, &other), BM_ERR_FORMAT);
	for (size_t i = 0; i < good.len - 4; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct bm_error err = BM_ERROR_INIT;
			char *bad = malloc(good.len - 4);

			assert_non_null(bad);
			memcpy(bad, good.data, good.len - 4);
			bad[0] = 1;
			bad[i] = (char)(bad[i] ^ (1 << bit));
			enum bm_status status = done_decode(c, "in/put", 6, bad, good.len - 4, &v, &err);
			assert_true(status == BM_OK || status == BM_ERR_FORMAT);
			refused += status == BM_ERR_FORMAT;
			for (size_t k = 0; status == BM_OK && k < v.output_count; k++)
				assert_int_equal(strnlen(v.outputs[k].path, 1000) <= v.outputs[k].path_len, true);
			free(bad);
		}
	}
	assert_true(refused > 50);
	/* Random bytes, numbers that are far too large among them. */
	uint32_t r = 1;
	for (unsigned round = 0; round < 20000; round++) {
		struct bm_error err = BM_ERROR_INIT;
		char bytes[40];

		for (size_t i = 0; i < sizeof(bytes); i++) {
			r = r * 1664525 + 1013904223;
			bytes[i] = (char)(i == 0         ? 1
			                  : r >> 28 == 0 ? 0xff
			                                 : (r >> 24) & (round % 2 == 0 ? 0x0f : 0xff));
		}
		enum bm_status status = done_decode(c, "in/put", 6, bytes, round % sizeof(bytes), &v, &err);
		assert_true(status == BM_OK || status == BM_ERR_FORMAT);
	}
	/* With something behind it it is not one, either. */
	struct bm_error err = BM_ERROR_INIT;
	bm_buf_putc(&good, '\0');
	assert_int_equal(done_decode(c, "in/put", 6, good.data, good.len, &v, &err), BM_ERR_FORMAT);
	done_view_fini(&v);
	bm_buf_fini(&good);
	close_catalog(c);
}

/* One damaged record is none, and costs no other one. */
static void test_damaged_row(void **state)
{
	struct bm_catalog_done d = {.path_len = 1};
	const struct bm_catalog_done *got;
	struct bm_catalog_dones *dones;
	struct bm_error err = BM_ERROR_INIT;
	int64_t job;

	(void)state;
	c = open_catalog();
	job = open_job("k", 1);
	for (size_t i = 0; i < 5; i++) {
		d.path = &"abcde"[i];
		put(job, 1, &d);
	}
	bm_catalog_dones_close(open_dones(job, 1)); /* from now on they are in the table */
	tell("UPDATE done SET result = CAST(X'02' || result AS BLOB) WHERE path IN (X'61', X'63', X'64')");
	dones = open_dones(job, 1);
	for (size_t i = 0; i < 5; i++) {
		bool is_bad = i == 0 || i == 2 || i == 3;

		assert_ok(bm_catalog_dones_find(dones, &"abcde"[i], 1, &got, &err), &err);
		assert_true((got == NULL) == is_bad);
		assert_true(bm_catalog_dones_is_damaged(dones) == is_bad);
	}
	assert_ok(bm_catalog_dones_find(dones, "x", 1, &got, &err), &err);
	assert_true(got == NULL && !bm_catalog_dones_is_damaged(dones));
	bm_catalog_dones_close(dones);
	dones = open_dones(job, 1);
	for (const char *want = "be"; *want != '\0'; want++) {
		assert_ok(bm_catalog_dones_next(dones, &got, &err), &err);
		assert_non_null(got);
		assert_int_equal(got->path[0], *want);
	}
	assert_ok(bm_catalog_dones_next(dones, &got, &err), &err);
	assert_null(got);
	bm_catalog_dones_close(dones);
	close_catalog(c);
}

/* The form is on disks of users: it may only change together with its version. */
static void test_form(void **state)
{
	static const uint8_t want[] = {
		2,    2,                                                          /* version; two outputs */
		0x0d, 100,  0xaa, 0xb4, 0xae, 0xd8, 0xc7, 0xbf, 0xce, 0x97, 0x2f, /* step 3, has path; size; mtime */
		0xad, 0x02,                                                       /* inode */
		3,    '/',  'b',  '/',  3,    '.',  'g',  'z',                    /* before and behind */
		0x12, 5,    17,   16,   6,    '/',  'o',  't',  'h',  'e',  'r',  /* step 4, skipped */
		2,    1,    1,    77,   32,   7,                                  /* digests: step 1, first algorithm */
	};

	(void)state;
	c = open_catalog();
	struct bm_buf b = encode_some();
	assert_memory_equal(b.data, want, sizeof(want));
	assert_int_equal(b.len, sizeof(want) + 31 + 1 + 1 + 2 + 1 + 16 + 4);
	static const uint8_t sum[4] = {0x5c, 0x0d, 0x74, 0xe0}; /* by another program */
	assert_memory_equal(b.data + b.len - 4, sum, 4);
	bm_buf_fini(&b);
	close_catalog(c);
}

/* ---- many threads ---- */

#define PUTTERS 5
#define PUTS 4000

struct putter {
	pthread_t thread;
	int64_t job;
	unsigned lane;
	enum bm_status status;
};

static void *put_many(void *arg)
{
	struct putter *p = arg;
	struct bm_error err = BM_ERROR_INIT;
	char path[32];

	for (unsigned i = 0; i < PUTS && p->status == BM_OK; i++) {
		struct bm_catalog_done d = {.path = path, .size = i, .done_ns = 1};

		d.path_len = (size_t)snprintf(path, sizeof(path), "%u/%05u", p->lane, i);
		p->status = bm_catalog_done_put(c, p->job, 1, p->lane, &d, &err);
		if (p->status == BM_OK && i % 1000 == 999)
			p->status = bm_catalog_flush(c, &err);
	}
	return NULL;
}

/* Threads with lanes of their own, two of which are the same one; flushes, which may find some of them empty. */
static void test_lanes(void **state)
{
	struct putter p[PUTTERS];
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_done *d;
	unsigned count = 0;

	(void)state;
	c = open_catalog();
	int64_t job = open_job("lanes", 1);
	for (unsigned i = 0; i < PUTTERS; i++) {
		p[i] = (struct putter){.job = job, .lane = i == 0 ? CATALOG_LANES + 1 : i};
		assert_int_equal(pthread_create(&p[i].thread, NULL, put_many, &p[i]), 0);
	}
	for (unsigned i = 0; i < PUTTERS; i++) {
		assert_int_equal(pthread_join(p[i].thread, NULL), 0);
		assert_int_equal(p[i].status, BM_OK);
	}
	struct bm_catalog_dones *dones = open_dones(job, 1);
	while (bm_catalog_dones_next(dones, &d, &err) == BM_OK && d != NULL)
		count++;
	assert_int_equal(err.status, BM_OK);
	assert_int_equal(count, PUTTERS * PUTS);
	bm_catalog_dones_close(dones);
	close_catalog(c);
}

/* What is flushed is in the file, though its lane is far from full; a delete comes after all puts before it, whatever
 * their lanes; a record that no lane has room for is kept like any other, in its turn. */
static void test_lane_order(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	const size_t long_len = 100000;
	char *name = malloc(long_len + 1);
	const struct bm_catalog_done *got;
	struct stat st;

	(void)state;
	assert_non_null(name);
	memset(name, 'n', long_len);
	name[long_len] = '\0';
	c = open_catalog();
	int64_t job = open_job("order", 1);
	const struct bm_catalog_done a = {.path = "a", .path_len = 1, .size = 1},
				     b = {.path = "b", .path_len = 1, .size = 2},
				     large = {.path = name, .path_len = long_len, .size = 3},
				     again = {.path = name, .path_len = long_len, .size = 4},
				     a_again = {.path = "a", .path_len = 1, .size = 5};
	assert_ok(bm_catalog_done_put(c, job, 1, 7, &a, &err), &err);
	assert_ok(bm_catalog_flush(c, &err), &err);
	assert_int_equal(count_logs(), 1);
	assert_int_equal(stat(log_path, &st), 0);
	assert_true(st.st_size > 16);
	assert_ok(bm_catalog_done_put(c, job, 1, 7, &b, &err), &err);
	assert_ok(bm_catalog_done_put(c, job, 1, 7, &large, &err), &err);
	assert_ok(bm_catalog_done_put(c, job, 1, 7, &again, &err), &err);
	assert_ok(bm_catalog_done_put(c, job, 1, 7, &a_again, &err), &err);
	assert_ok(bm_catalog_done_delete(c, job, 1, "b", 1, &err), &err);
	struct bm_catalog_dones *dones = open_dones(job, 1);
	assert_ok(bm_catalog_dones_find(dones, "a", 1, &got, &err), &err);
	assert_true(got != NULL && got->size == 5);
	assert_ok(bm_catalog_dones_find(dones, "b", 1, &got, &err), &err);
	assert_null(got);
	assert_ok(bm_catalog_dones_find(dones, name, long_len, &got, &err), &err);
	assert_true(got != NULL && got->size == 4);
	bm_catalog_dones_close(dones);
	close_catalog(c);
	free(name);
}

/* Nothing that is still in a lane comes back after all was dropped. */
static void test_lane_dropped(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_done a = {.path = "a", .path_len = 1};
	const struct bm_catalog_done *got;

	(void)state;
	c = open_catalog();
	int64_t job = open_job("drop", 1);
	assert_ok(bm_catalog_done_put(c, job, 1, 3, &a, &err), &err);
	assert_ok(bm_catalog_done_delete_all(c, job, &err), &err);
	struct bm_catalog_dones *dones = open_dones(job, 1);
	assert_ok(bm_catalog_dones_next(dones, &got, &err), &err);
	assert_null(got);
	bm_catalog_dones_close(dones);
	close_catalog(c);
}

/* What lies where a link leads is nobody's record. */
static void test_sweep_follows_no_link(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	int fd;

	(void)state;
	c = open_catalog();
	assert_int_equal(mkdir("other", 0700), 0);
	fd = open("other/0123456789abcdef", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(symlink("../other", "state/done"), 0);
	assert_ok(bm_catalog_job_delete_before(c, 1, NULL, &err), &err);
	assert_int_equal(access("other/0123456789abcdef", F_OK), 0);
	close_catalog(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_round_trip),
		CATALOG_TEST(test_walk),
		CATALOG_TEST(test_jobs),
		CATALOG_TEST(test_damaged),
		CATALOG_TEST(test_form),
		CATALOG_TEST(test_begin),
		CATALOG_TEST(test_log_damaged),
		CATALOG_TEST(test_log_of_nobody),
		CATALOG_TEST(test_log_of_another),
		CATALOG_TEST(test_log),
		CATALOG_TEST(test_dropped),
		CATALOG_TEST(test_together),
		CATALOG_TEST(test_damaged_row),
		CATALOG_TEST(test_lanes),
		CATALOG_TEST(test_lane_order),
		CATALOG_TEST(test_lane_dropped),
		CATALOG_TEST(test_sweep_follows_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
