/* Killed at any instant, and used by many threads and processes at once: nothing that was reported as written is lost,
 * nothing is half there, and the database is sound. */
#include <pthread.h>
#include <stdatomic.h>

#include "catalog_test.h"

#include "bm_catalog_done.h"
#include "bm_catalog_runs.h"

#define KILLS 40

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % n);
}

/* ---- kill -9 ---- */

/* Writes files and done records without end, numbered from `from` on; says on fd how many are surely written. Every
 * file with a number that 3 divides has blocks, so it is two rows, or four. */
static void victim(unsigned from, int fd, unsigned seed)
{
	struct bm_catalog_options opt = {.dir = "state", .batch_ms = 1 + seed % 7, .batch_count = 20 + seed * 13 % 400};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c = NULL;
	struct bm_catalog_run *run = NULL;
	static uint8_t blocks[2500][16];
	uint8_t digest[32];
	char name[64];
	int64_t job;

	(void)snprintf(name, sizeof(name), "run-%u", from);
	if (bm_catalog_open(&opt, &c, &err) != BM_OK ||
	    bm_catalog_job_open(c, (const uint8_t *)"k", 1, "j", 1, &job, &err) != BM_OK ||
	    bm_catalog_run_begin(c, name, "run", 1, 1, &run, &err) != BM_OK)
		_exit(1);
	for (unsigned i = from;; i++) {
		(void)snprintf(name, sizeof(name), "file-%08u", i);
		struct bm_catalog_file f = make_row(name, i, digest);
		struct bm_catalog_blocks b = {4096, &blocks[0][0], 16, i % 9 == 0 ? 2500 : 3};
		struct bm_catalog_done d = {.path = name, .path_len = strlen(name), .inode = i};

		if (bm_catalog_done_put(c, job, 1, 0, &d, &err) != BM_OK ||
		    bm_catalog_file_put(c, 1, &f, i % 3 == 0 ? &b : NULL, &err) != BM_OK ||
		    (i > 10 && i % 5 == 0 &&
		     bm_catalog_file_move(c, 1, name, strlen(name), name + 5, 8, &err) != BM_OK))
			_exit(2);
		if (i % 64 == 0) {
			if (bm_catalog_flush(c, &err) != BM_OK || write(fd, &i, sizeof(i)) != sizeof(i))
				_exit(3);
		}
	}
}

/* What sqlite3, the program, says. */
static void assert_sound_for_others(void)
{
	if (system("command -v sqlite3 >/dev/null") != 0)
		return;
	assert_int_equal(system("test \"$(sqlite3 state/" BM_CATALOG_FILE " 'PRAGMA integrity_check')\" = ok"), 0);
}

static void test_kill(void **state)
{
	unsigned from = 0, hot = 0;
	int64_t cut_off = 0;
	struct stat st;

	(void)state;
	close_catalog(open_catalog());
	for (unsigned k = 0; k < KILLS; k++) {
		int pipes[2];
		unsigned flushed = 0, said;
		struct timespec wait = {0, 0};
		ssize_t n;

		random_state = k + 1;
		assert_int_equal(pipe(pipes), 0);
		pid_t pid = fork();
		if (pid == 0) {
			(void)close(pipes[0]);
			victim(from, pipes[1], k);
		}
		(void)close(pipes[1]);
		/* At the earliest with its first words, so that every round gets further; then at any instant. */
		n = read(pipes[0], &said, sizeof(said));
		flushed = n == sizeof(said) ? said : 0;
		assert_int_equal(n, sizeof(said));
		wait.tv_nsec = random_below(k % 4 == 0 ? 500000 : 30000000);
		(void)nanosleep(&wait, NULL);
		int how;
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &how, 0), pid);
		assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
		while (read(pipes[0], &said, sizeof(said)) == sizeof(said))
			flushed = said;
		(void)close(pipes[0]);
		hot += stat("state/" BM_CATALOG_FILE "-journal", &st) == 0 && st.st_size > 0;

		assert_sound_for_others(); /* it, too, puts a journal back */
		struct bm_error err = BM_ERROR_INIT;
		struct bm_catalog *c = open_catalog();
		assert_ok(bm_catalog_check(c, true, &err), &err);
		struct bm_catalog_dones *sorted_in = NULL;
		assert_ok(bm_catalog_dones_open(c, ask("SELECT min(id) FROM jobs"), 1, &sorted_in, &err), &err);
		bm_catalog_dones_close(sorted_in);
		close_catalog(c);
		/* All that was flushed is there; what came behind it is there up to one place, and nothing after. */
		int64_t last = ask("SELECT max(inode) - 100 FROM files"), recorded = ask("SELECT max(inode) FROM done");
		assert_true(last >= flushed);
		assert_int_equal(ask("SELECT count(*) FROM files"), last + 1);
		/* Each file's record was put before it, and is written before it, so they may be ahead, by a batch. */
		assert_true(recorded >= last);
		assert_int_equal(ask("SELECT count(*) FROM done"), recorded + 1);
		/* Moving a file is a write of its own, so that of the last one may be cut off: at most one a kill. */
		int64_t now_unmoved = ask("SELECT count(*) FROM files WHERE (inode - 100) % 5 = 0 AND inode > 110 AND "
		                          "substr(path, 1, 5) = CAST('file-' AS BLOB)");
		assert_true(now_unmoved == cut_off || now_unmoved == cut_off + 1);
		cut_off = now_unmoved;
		/* Blocks are all there or the file is not. */
		assert_int_equal(
			ask("SELECT count(*) FROM files f WHERE block_bytes IS NOT NULL AND (SELECT sum(count) FROM "
		            "blocks b WHERE b.root = f.root AND b.path = f.path) IS NOT "
		            "iif((inode - 100) % 9 = 0, 2500, 3)"),
			0);
		assert_int_equal(
			ask("SELECT count(*) FROM files WHERE (block_bytes IS NULL) = ((inode - 100) % 3 = 0)"), 0);
		assert_int_equal(ask("SELECT count(DISTINCT path) FROM blocks"),
		                 ask("SELECT count(*) FROM files WHERE block_bytes IS NOT NULL"));
		/* The run is on record as interrupted. */
		assert_int_equal(ask("SELECT count(*) FROM runs WHERE state <> 4"), 0);
		from = (unsigned)last + 1;
	}
	assert_int_equal(ask("SELECT count(*) FROM runs"), KILLS);
	print_message("%u kills, %u of them in the middle of a transaction; %u files\n", KILLS, hot, from);
	assert_true(hot > 0);
}

/* ---- threads ---- */

#define THREADS 4
#define EACH 3000

struct worker {
	struct bm_catalog *c;
	unsigned number;
	pthread_t thread;
	char failed[128];
};

static bool count_one(void *ctx, const struct bm_catalog_root *r)
{
	(void)r;
	++*(unsigned *)ctx;
	return true;
}

/* Writes its files, reads them back, looks things up; says what went wrong. cmocka's asserts are for one thread. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f;
	uint8_t digest[32];
	char name[64], algorithm[16];
	int64_t root = w->number + 1;
	unsigned n = 0;

#define MUST(what)                                                                                                     \
	if (!(what)) {                                                                                                 \
		(void)snprintf(w->failed, sizeof(w->failed), "%.60s: %.60s", #what, err.text);                         \
		goto out;                                                                                              \
	}
	for (unsigned i = 0; i < EACH; i++) {
		(void)snprintf(name, sizeof(name), "file-%08u", i);
		(void)snprintf(algorithm, sizeof(algorithm), "alg-%u", i % 20);
		struct bm_catalog_file row = make_row(name, i, digest);
		row.algorithm = algorithm;
		MUST(bm_catalog_file_put(w->c, root, &row, NULL, &err) == BM_OK)
		if (i % 500 == 499) { /* all that this thread wrote is there, whatever the others do */
			unsigned seen = 0, roots = 0;

			MUST(bm_catalog_files_open(w->c, root, NULL, 0, &files, &err) == BM_OK)
			MUST(bm_catalog_files_find(files, name, strlen(name), &f, &err) == BM_OK && f != NULL)
			MUST(strcmp(f->algorithm, algorithm) == 0 && f->inode == 100 + i)
			bm_catalog_files_close(files);
			files = NULL;
			MUST(bm_catalog_files_open(w->c, root, NULL, 0, &files, &err) == BM_OK)
			while (bm_catalog_files_next(files, &f, &err) == BM_OK && f != NULL)
				seen++;
			MUST(err.status == BM_OK && seen == i + 1)
			bm_catalog_files_close(files);
			files = NULL;
			MUST(bm_catalog_root_list(w->c, count_one, &roots, &err) == BM_OK && roots == THREADS)
		}
		if (i % 700 == 0)
			MUST(bm_catalog_flush(w->c, &err) == BM_OK)
		if (i % 900 == 0)
			MUST(bm_catalog_root_set_audited(w->c, root, i, &err) == BM_OK)
		n++;
	}
out:
	bm_catalog_files_close(files);
	return NULL;
}

static void run_threads(struct bm_catalog *const *of)
{
	struct worker w[THREADS];

	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].c = of[i];
		w[i].number = i;
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		if (w[i].failed[0] != '\0')
			fail_msg("thread %u: %s", i, w[i].failed);
	}
	assert_int_equal(ask("SELECT count(*) FROM files"), THREADS * EACH);
	assert_int_equal(ask("SELECT count(*) FROM algorithms"), 20);
}

static void add_roots(struct bm_catalog *c)
{
	char name[16];

	for (unsigned i = 0; i < THREADS; i++) {
		(void)snprintf(name, sizeof(name), "/%u", i);
		assert_int_equal(add_root(c, name), i + 1);
	}
}

static void test_threads(void **state)
{
	struct bm_catalog *c =
		open_catalog_with(&(struct bm_catalog_options){.dir = "state", .batch_count = 100, .batch_ms = 5});

	(void)state;
	add_roots(c);
	run_threads((struct bm_catalog *[THREADS]){c, c, c, c});
	close_catalog(c);
	assert_sound_for_others();
}

/* Two runs in one process, each with a catalog of its own. */
static void test_two_in_one_process(void **state)
{
	struct bm_catalog_options opt = {.dir = "state", .batch_count = 200, .batch_ms = 5};
	struct bm_catalog *a = open_catalog_with(&opt), *b = open_catalog_with(&opt);

	(void)state;
	add_roots(a);
	run_threads((struct bm_catalog *[THREADS]){a, b, a, b});
	/* Opening and closing a third drops no lock of theirs. */
	close_catalog(open_catalog());
	close_catalog(a);
	close_catalog(b);
	assert_sound_for_others();
}

/* Several processes write all the time: none is kept out for long. */
static void test_processes(void **state)
{
	enum { PROCESSES = 4, FILES = 4000 };
	pid_t pids[PROCESSES];

	(void)state;
	close_catalog(open_catalog());
	for (unsigned p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p] == 0) {
			struct bm_error err = BM_ERROR_INIT;
			struct bm_catalog *c = NULL;
			uint8_t digest[32];
			char name[64];

			if (bm_catalog_open(&(struct bm_catalog_options){.dir = "state", .batch_ms = 3}, &c, &err) !=
			    BM_OK)
				_exit(1);
			for (unsigned i = 0; i < FILES; i++) {
				(void)snprintf(name, sizeof(name), "%u/%08u", p, i);
				struct bm_catalog_file f = make_row(name, i, digest);
				if (bm_catalog_file_put(c, 1, &f, NULL, &err) != BM_OK ||
				    (i % 100 == 0 && bm_catalog_flush(c, &err) != BM_OK)) {
					(void)fprintf(stderr, "%s\n", err.text);
					_exit(2);
				}
			}
			_exit(bm_catalog_close(c, &err) == BM_OK ? 0 : 3);
		}
	}
	for (unsigned p = 0; p < PROCESSES; p++)
		assert_child(pids[p]);
	assert_int_equal(ask("SELECT count(*) FROM files"), PROCESSES * FILES);
	assert_sound_for_others();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_kill),
		CATALOG_TEST(test_threads),
		CATALOG_TEST(test_two_in_one_process),
		CATALOG_TEST(test_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
