/* The library in a program of its own: two runs at once in one process, and of what belongs to the process nothing is
 * touched: signal handlers, masks, umask, working directory, standard streams, children, limits, privileges. */
#include "io_test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <bytemill/bytemill.h>

#define FILES 40
#define RUNS 2

static volatile sig_atomic_t pipes, children;

static void on_pipe(int number)
{
	(void)number;
	pipes++;
}

static void on_child(int number)
{
	(void)number;
	children++;
}

/* One run's own, as its callbacks see it. */
struct one {
	struct bm_jobs *jobs;
	struct bm_run *run;
	int number;
	int files, wrong;
	pthread_t main_thread;
	struct bm_summary sum;
	enum bm_status status;
};

static void on_file(void *ctx, const struct bm_file_result *f)
{
	struct one *o = ctx;
	char want[32];
	sigset_t mask;

	(void)snprintf(want, sizeof(want), "in%d/", o->number);
	o->wrong += strncmp(f->display, want, strlen(want)) != 0 || f->state != BM_FILE_DONE;
	o->files++;
	/* The program's signals are for its own threads. */
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	o->wrong += pthread_equal(pthread_self(), o->main_thread)
	                    ? 0
	                    : !sigismember(&mask, SIGCHLD) || !sigismember(&mask, SIGPIPE);
}

static void begin(struct one *o, int number, const char *steps)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_run_options opt = {.threads = 2, .on_file = on_file, .ctx = o};
	char text[1024];

	o->number = number;
	o->main_thread = pthread_self();
	(void)snprintf(text, sizeof(text),
	               "{\"name\": \"same\", \"steps\": [{\"step\": \"read\", \"from\": \"in%d\"}, %s]}", number,
	               steps);
	for (char *at; (at = strchr(text, '#')) != NULL;)
		*at = (char)('0' + number);
	assert_int_equal(bm_jobs_create(NULL, &o->jobs, &err), BM_OK);
	if (bm_jobs_add_text(o->jobs, "job", text, strlen(text), NULL, &err) != BM_OK)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(bm_jobs_check(o->jobs, &err), BM_OK);
	if (bm_run_start(o->jobs, &opt, &o->run, &err) != BM_OK)
		fail_msg("%s", err.text);
}

static void make_inputs(int number)
{
	char path[32], text[64];

	(void)snprintf(path, sizeof(path), "in%d", number);
	make_dir(path);
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(path, sizeof(path), "in%d/f%d", number, i);
		(void)snprintf(text, sizeof(text), "run %d, file %d", number, i);
		make_file(path, text);
	}
}

static void *wait_for(void *arg)
{
	struct one *o = arg;

	o->status = bm_run_wait(o->run, &o->sum);
	return NULL;
}

/* What a process has, and a library has no business with. */
struct process {
	struct sigaction actions[NSIG];
	sigset_t mask;
	char cwd[256];
	struct rlimit core, files;
	int dumpable, no_new_privs;
	size_t fds;
};

static void look(struct process *p)
{
	memset(p, 0, sizeof(*p));
	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, NULL, &p->actions[i]);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &p->mask), 0);
	assert_non_null(getcwd(p->cwd, sizeof(p->cwd)));
	assert_int_equal(getrlimit(RLIMIT_CORE, &p->core), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &p->files), 0);
	p->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	p->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	p->fds = count_fds();
}

static void assert_untouched(const struct process *before, mode_t mask)
{
	struct process now;

	look(&now);
	for (int i = 1; i < NSIG; i++) {
		if (now.actions[i].sa_handler != before->actions[i].sa_handler ||
		    now.actions[i].sa_flags != before->actions[i].sa_flags)
			fail_msg("the action of signal %d is another", i);
		assert_int_equal(sigismember(&now.mask, i), sigismember(&before->mask, i));
	}
	assert_string_equal(now.cwd, before->cwd);
	assert_memory_equal(&now.core, &before->core, sizeof(now.core));
	assert_memory_equal(&now.files, &before->files, sizeof(now.files));
	assert_int_equal(now.dumpable, before->dumpable);
	assert_int_equal(now.no_new_privs, before->no_new_privs);
	assert_int_equal(now.fds, before->fds);
	mode_t found = umask(mask);
	assert_int_equal(found, mask);
}

static void two_at_once(void **state)
{
	static const char *const steps[] = {
		"{\"step\": \"hash\", \"algorithms\": [\"sha256\", \"md5\"], \"manifest\": \"out#/sums.{algorithm}\"},"
		"{\"step\": \"copy\", \"to\": \"out#/{path}\", \"durability\": \"batch\", \"verify\": \"reread\"},"
		"{\"step\": \"compress\"}, {\"step\": \"write\", \"to\": \"gz#/{path}.gz\"}",
		"{\"step\": \"compress\", \"format\": \"zstd\"}, {\"step\": \"decompress\"},"
		"{\"step\": \"write\", \"to\": \"out#/{path}\", \"durability\": \"none\"}",
	};
	struct sigaction pipe_action = {.sa_handler = on_pipe},
			 child_action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	struct process before;
	char path[32], text[64];

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, &pipe_action, NULL), 0);
	assert_int_equal(sigaction(SIGCHLD, &child_action, NULL), 0);
	mode_t old = umask(077);
	for (int n = 0; n < RUNS; n++)
		make_inputs(n);
	for (int round = 0; round < 3; round++) {
		struct one runs[RUNS] = {0};
		pthread_t waiters[RUNS];

		if (round < 2) /* the first round may open what stays open, such as the libraries' own */
			look(&before);
		for (int n = 0; n < RUNS; n++)
			begin(&runs[n], n, steps[(n + round) % RUNS]);
		assert_string_not_equal(bm_run_id(runs[0].run), bm_run_id(runs[1].run));
		for (int n = 0; n < RUNS; n++)
			assert_int_equal(pthread_create(&waiters[n], NULL, wait_for, &runs[n]), 0);
		/* A child of the program's own ends meanwhile: the program hears of it, and nobody else reaps it. */
		children = 0;
		pid_t child = fork();
		if (child == 0)
			_exit(7);
		int how = 0;
		while (waitpid(child, &how, 0) < 0)
			assert_int_equal(errno, EINTR);
		assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 7);
		while (children == 0) /* another thread may be the one that takes it */
			(void)sched_yield();
		assert_int_equal(children, 1);
		for (int n = 0; n < RUNS; n++) {
			assert_int_equal(pthread_join(waiters[n], NULL), 0);
			assert_int_equal(runs[n].status, BM_OK);
			assert_int_equal(runs[n].sum.files_done, FILES);
			assert_int_equal(runs[n].files, FILES);
			assert_int_equal(runs[n].wrong, 0);
			bm_run_destroy(runs[n].run);
			bm_jobs_destroy(runs[n].jobs);
		}
		for (int n = 0; n < RUNS; n++)
			for (int i = 0; i < FILES; i++) {
				(void)snprintf(path, sizeof(path), "out%d/f%d", n, i);
				(void)snprintf(text, sizeof(text), "run %d, file %d", n, i);
				assert_file(path, text);
			}
		if (round > 0)
			assert_untouched(&before, 077);
	}
	assert_int_equal(pipes, 0);
	(void)umask(old);
}

/* One is cancelled, the other does not notice. A pipe without a reader is an error of its file, and no signal. */
static void one_is_cancelled(void **state)
{
	struct one stuck = {0}, fine = {0}, broken = {0};
	struct process before;
	int p[2];

	(void)state;
	make_inputs(0);
	make_inputs(1);
	assert_int_equal(mkfifo("in2", 0600), 0);
	int fifo = open("in2", O_RDWR | O_CLOEXEC);
	assert_true(fifo >= 0);
	look(&before);
	begin(&stuck, 2, "{\"step\": \"write\", \"to\": \"out2/{path}\", \"durability\": \"batch\"}");
	begin(&fine, 1, "{\"step\": \"write\", \"to\": \"out1/{path}\", \"durability\": \"batch\"}");
	bm_run_cancel(stuck.run);
	assert_int_equal(bm_run_wait(stuck.run, NULL), BM_ERR_CANCELLED);
	assert_int_equal(bm_run_wait(fine.run, &fine.sum), BM_OK);
	assert_int_equal(fine.sum.files_done, FILES);
	assert_file("out1/f3", "run 1, file 3");
	bm_run_destroy(stuck.run);
	bm_run_destroy(fine.run);
	bm_jobs_destroy(stuck.jobs);
	bm_jobs_destroy(fine.jobs);
	/* Standard output is a pipe whose reader has gone. */
	int out = dup(STDOUT_FILENO);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(dup2(p[1], STDOUT_FILENO), STDOUT_FILENO);
	(void)close(p[0]);
	(void)close(p[1]);
	pipes = 0;
	begin(&broken, 0, "{\"step\": \"write\", \"to\": \"-\"}");
	enum bm_status status = bm_run_wait(broken.run, NULL);
	assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(out);
	assert_int_equal(status, BM_ERR_FAILED);
	assert_int_equal(pipes, 0);
	bm_run_destroy(broken.run);
	bm_jobs_destroy(broken.jobs);
	mode_t mask = umask(022);
	(void)umask(mask);
	assert_untouched(&before, mask);
	(void)close(fifo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_at_once, enter_scratch, leave_scratch),
		cmocka_unit_test_setup_teardown(one_is_cancelled, enter_scratch, leave_scratch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
