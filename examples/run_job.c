/*
 * run_job.c - Bytemill's C API in one page: load job files, run them, watch the files go by, stop on Ctrl-C.
 *
 *	run_job JOB.json...
 *
 * The library installs no signal handlers; that is the program's business, and this is one right way to do it. A signal
 * handler may call next to nothing, bm_run_cancel included. So SIGINT and SIGTERM are blocked before the run makes its
 * threads (they inherit that), and one thread of ours waits for them with sigwait and calls bm_run_cancel as ordinary
 * code. When the run is over, SIGUSR1, sent to that thread alone, tells it to end. A signal that came is raised again at
 * the end, so that whoever started us sees why we stopped.
 */
#define _POSIX_C_SOURCE 200809L

#include <bytemill/bytemill.h>

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct watcher {
	pthread_t thread;
	sigset_t signals;
	struct bm_run *run;
	int taken; /* written by the thread, read after it was joined; 0: no signal came */
};

static void *watch(void *arg)
{
	struct watcher *w = arg;
	int number;

	while (sigwait(&w->signals, &number) == 0 && number != SIGUSR1) {
		w->taken = number;
		bm_run_cancel(w->run);
	}
	return NULL;
}

/* One fault in a job file; there may be many. */
static void on_diagnostic(void *ctx, const struct bm_diagnostic *d)
{
	(void)ctx;
	fprintf(stderr, "%s:%u:%u: %s: %s\n", d->file, d->line, d->column, d->pointer, d->message);
}

/* Called from a thread of the run, one call at a time. A file's name is bytes: a real program escapes it before it shows
 * it on a terminal. */
static void on_file(void *ctx, const struct bm_file_result *file)
{
	(void)ctx;
	if (file->state == BM_FILE_FAILED)
		fprintf(stderr, "%s: %s\n", file->display, file->error->text);
	else
		printf("%s: %s, %" PRIu64 " bytes\n", file->state == BM_FILE_DONE ? "done" : "skipped", file->display,
		       file->bytes);
}

/* What is no single file's failure: a manifest that could not be written, say. */
static void on_error(void *ctx, const char *job, const struct bm_error *err)
{
	(void)ctx;
	fprintf(stderr, "%s: %s%s%s\n", job != NULL ? job : "run_job", err->where, err->where[0] != '\0' ? ": " : "",
	        err->text);
}

int main(int argc, char **argv)
{
	struct bm_jobs_options jobs_options = {.on_diagnostic = on_diagnostic};
	struct bm_run_options run_options = {.on_file = on_file, .on_error = on_error};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	struct bm_summary sum;
	struct watcher w = {.run = NULL};
	enum bm_status status;
	int result = 2, rc;

	if (argc < 2) {
		fprintf(stderr, "usage: run_job JOB.json...\n");
		return 2;
	}

	if (bm_jobs_create(&jobs_options, &jobs, &err) != BM_OK)
		goto out;
	for (int i = 1; i < argc; i++)
		if (bm_jobs_add_file(jobs, argv[i], &err) != BM_OK)
			goto out;
	if (bm_jobs_check(jobs, &err) != BM_OK)
		goto out;

	sigemptyset(&w.signals);
	sigaddset(&w.signals, SIGINT);
	sigaddset(&w.signals, SIGTERM);
	sigaddset(&w.signals, SIGUSR1);
	rc = pthread_sigmask(SIG_BLOCK, &w.signals, NULL);
	if (rc != 0) {
		fprintf(stderr, "signals cannot be blocked: error %d\n", rc);
		goto out;
	}
	if (bm_run_start(jobs, &run_options, &w.run, &err) != BM_OK)
		goto out;
	rc = pthread_create(&w.thread, NULL, watch, &w);
	if (rc != 0) {
		fprintf(stderr, "a thread cannot be started: error %d\n", rc);
		goto out; /* bm_run_destroy cancels */
	}
	status = bm_run_wait(w.run, &sum);
	pthread_kill(w.thread, SIGUSR1);
	pthread_join(w.thread, NULL);

	printf("%" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " skipped: %" PRIu64 " bytes read, %" PRIu64
	       " written in %" PRIu64 " ms%s\n",
	       sum.files_done, sum.files_failed, sum.files_skipped, sum.bytes_read, sum.bytes_written, sum.elapsed_ms,
	       sum.cancelled ? " (stopped)" : "");
	result = status == BM_OK ? 0 : 1;
out:
	if (err.status != BM_OK)
		fprintf(stderr, "run_job: %s%s%s\n", err.where, err.where[0] != '\0' ? ": " : "", err.text);
	bm_run_destroy(w.run);
	bm_jobs_destroy(jobs);
	if (fflush(stdout) != 0)
		result = 1;
	if (w.taken != 0) {
		pthread_sigmask(SIG_UNBLOCK, &w.signals, NULL);
		raise(w.taken); /* its action is the default one, as when we were started: this ends the program */
	}
	return result;
}
