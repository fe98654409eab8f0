/*
 * hold.c - one run of a job at a time.
 *
 * What a lock stands for: a job file's real path, whatever name it was given by. Where the file holds one job the name
 * counts as well, since it may hold ${NAME}: "mirror-${TARGET}" run with --set TARGET=usb and TARGET=nas are two jobs.
 * A file of several jobs is one thing, as a run takes all of them. A job file that is no file (standard input, a pipe)
 * is known by its text.
 *
 * Several locks are taken in the order of their paths, so that two runs of the same files in another order cannot wait
 * for each other for ever. A wait sleeps in flock(2); a timer's signal ends it, again and again, so that one that comes
 * a moment before the sleep is not the last.
 */
#include "hold.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "bm_error.h"
#include "bm_lock.h"
#include "bm_state.h"
#include "bm_text.h"
#include "console.h"

#define AGAIN_MS 50
#define SIGN_TRIES 10
#define SIGN_WAIT_NS 20000000L

struct held {
	struct bm_lock *lock;
	const char *file; /* as given; borrowed */
	const char *job;  /* its name where it is the file's only one, else NULL; borrowed */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "nightly.json: job nightly" or "nightly.json". */
static void put_name(struct bm_buf *out, const struct held *held)
{
	bool is_stdin = strcmp(held->file, "-") == 0;

	bm_escape_display(out, is_stdin ? "standard input" : held->file,
	                  is_stdin ? strlen("standard input") : strlen(held->file));
	if (held->job != NULL) {
		bm_buf_puts(out, ": job ");
		bm_escape_display(out, held->job, strlen(held->job));
	}
}

/* ---- waiting ---- */

static void on_alarm(int number)
{
	(void)number; /* its coming ends the sleep */
}

/* BM_OK and *taken false: the time is over. */
static enum bm_status wait_for(struct bm_lock *l, int64_t deadline_ms, bool *taken, struct bm_error *err)
{
	struct sigaction action = {.sa_handler = on_alarm}, old; /* no SA_RESTART */
	struct itimerval timer = {.it_interval = {.tv_usec = AGAIN_MS * 1000L}}, off = {0};
	int64_t left = deadline_ms - now_ms();
	enum bm_status status = BM_OK;

	*taken = false;
	if (left <= 0)
		return BM_OK;
	timer.it_value = (struct timeval){left / 1000, left % 1000 * 1000};
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGALRM, &action, &old) != 0 || setitimer(ITIMER_REAL, &timer, NULL) != 0)
		return bm_error_set_errno(err, errno, NULL, "cannot set a timer to wait for the lock");
	while (status == BM_OK && !*taken && now_ms() < deadline_ms)
		status = bm_lock_take(l, true, taken, err);
	(void)setitimer(ITIMER_REAL, &off, NULL);
	(void)sigaction(SIGALRM, &old, NULL);
	return status;
}

/* ---- taking ---- */

static void say_busy(const struct held *held, const char *holder, const struct bm_cli_options *o)
{
	struct bm_buf text = {0};
	char waited[24];

	put_name(&text, held);
	bm_buf_printf(&text, " is already running: %s; ", holder);
	if (o->wait_ms > 0)
		bm_buf_printf(&text, "waited for %s", bm_duration_format(o->wait_ms, waited));
	else
		bm_buf_puts(&text, "--wait 10m would wait for it");
	bm_console_say(BM_CONSOLE_ERROR, "%s", text.oom ? "the job is already running" : text.data);
	bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
	bm_buf_fini(&text);
}

static void say_waiting(const struct held *held, const char *holder, const struct bm_cli_options *o)
{
	struct bm_buf text = {0};
	char limit[24];

	put_name(&text, held);
	if (!text.oom)
		bm_console_tell(bm_console_unless(o->quiet), BM_CONSOLE_PLAIN,
		                "%s is already running: waiting up to %s for %s", text.data,
		                bm_duration_format(o->wait_ms, limit), holder);
	bm_buf_fini(&text);
}

static int say_no_lock(const struct bm_error *err)
{
	bm_console_say_error(err);
	bm_console_say(
		BM_CONSOLE_PLAIN,
		"the run needs a lock, so that no second one gets in its way; --state names another directory for "
		"it, --no-lock does without");
	bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
	return BM_EXIT_USAGE;
}

/* Who is at it. A holder that has just taken the lock signs it in the next moment; whoever is refused has that time. */
static void find_holder(const struct held *held, struct bm_buf *holder)
{
	for (int i = 0; i < SIGN_TRIES; i++) {
		struct timespec pause = {.tv_nsec = SIGN_WAIT_NS};

		bm_buf_reset(holder);
		if (bm_lock_holder(held->lock, holder))
			return;
		nanosleep(&pause, NULL);
	}
}

static int take(const struct held *held, int64_t deadline_ms, const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf holder = {0};
	bool taken = false;
	int rc = 0;

	if (bm_lock_take(held->lock, false, &taken, &err) != BM_OK)
		return say_no_lock(&err);
	if (taken)
		return 0;
	find_holder(held, &holder);
	if (deadline_ms > 0) {
		say_waiting(held, holder.oom ? "another process" : holder.data, o);
		if (wait_for(held->lock, deadline_ms, &taken, &err) != BM_OK)
			rc = say_no_lock(&err);
	}
	if (rc == 0 && !taken) {
		find_holder(held, &holder); /* it may be another by now */
		say_busy(held, holder.oom ? "another process" : holder.data, o);
		rc = BM_EXIT_BUSY;
	}
	bm_buf_fini(&holder);
	return rc;
}

static void sign(const struct held *held, const char *run_id)
{
	struct bm_buf text = {0};

	bm_buf_printf(&text, "run %s\nfile ", run_id);
	bm_escape_display(&text, held->file, strlen(held->file));
	if (held->job != NULL) {
		bm_buf_puts(&text, "\njob ");
		bm_escape_display(&text, held->job, strlen(held->job));
	}
	bm_buf_putc(&text, '\n');
	bm_lock_sign(held->lock, text.oom ? "" : text.data);
	bm_buf_fini(&text);
}

/* ---- which locks ---- */

static bool put_key(struct bm_buf *key, const struct bm_job *job, bool is_alone)
{
	const uint8_t *digest = bm_job_text_digest(job);
	char *real = strcmp(job->file, "-") != 0 ? realpath(job->file, NULL) : NULL;
	struct stat st;

	if (real != NULL && stat(real, &st) == 0 && S_ISREG(st.st_mode)) {
		bm_buf_puts(key, "file ");
		bm_buf_puts(key, real);
	} else {
		bm_buf_puts(key, "text ");
		if (digest != NULL)
			bm_buf_put(key, digest, BM_JOB_TEXT_DIGEST_BYTES);
	}
	free(real);
	bm_buf_putc(key, '\0');
	if (is_alone)
		bm_buf_puts(key, job->p.name);
	return !key->oom;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(bm_lock_path(((const struct held *)a)->lock), bm_lock_path(((const struct held *)b)->lock));
}

/* Opens the lock of each file into list, which has room for all of them. */
static enum bm_status open_locks(const struct bm_jobs *jobs, const char *state_dir, struct held *list, size_t *count,
                                 struct bm_error *err)
{
	struct bm_buf key = {0};
	enum bm_status status = BM_OK;
	size_t next;

	for (size_t i = 0; i < jobs->count && status == BM_OK; i = next) {
		const struct bm_job *job = jobs->jobs[i];
		struct held *held = &list[*count];

		/* The jobs of a file stand one after the other. */
		for (next = i + 1; next < jobs->count && strcmp(jobs->jobs[next]->file, job->file) == 0;)
			next++;
		bm_buf_reset(&key);
		held->file = job->file;
		held->job = next == i + 1 ? job->p.name : NULL;
		if (!put_key(&key, job, held->job != NULL))
			status = bm_error_set_nomem(err);
		else
			status = bm_lock_open(state_dir, key.data, key.len, &held->lock, err);
		*count += status == BM_OK;
	}
	bm_buf_fini(&key);
	return status;
}

int bm_hold_begin(struct bm_hold *h, const struct bm_jobs *jobs, const char *run_id, const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	struct held *list = NULL;
	char *state_dir = NULL;
	int64_t deadline_ms = 0;
	int rc = 0;

	*h = (struct bm_hold){0};
	list = bm_calloc_array(jobs->count + 1, sizeof(*list));
	h->locks = bm_calloc_array(jobs->count + 1, sizeof(struct bm_lock *));
	if (list == NULL || h->locks == NULL) {
		(void)bm_error_set_nomem(&err);
		rc = say_no_lock(&err);
		goto out;
	}
	if (bm_state_dir(o->state, &state_dir, &err) != BM_OK ||
	    open_locks(jobs, state_dir, list, &h->count, &err) != BM_OK)
		rc = say_no_lock(&err);
	if (rc == 0)
		qsort(list, h->count, sizeof(*list), compare_paths);
	for (size_t i = 0; i < h->count; i++)
		h->locks[i] = list[i].lock;
	if (o->wait_ms > 0)
		deadline_ms = o->wait_ms < INT64_MAX / 2 ? now_ms() + (int64_t)o->wait_ms : INT64_MAX;
	for (size_t i = 0; i < h->count && rc == 0; i++)
		rc = take(&list[i], deadline_ms, o);
	for (size_t i = 0; i < h->count && rc == 0; i++)
		sign(&list[i], run_id);
out:
	free(list);
	free(state_dir);
	return rc;
}

void bm_hold_end(struct bm_hold *h)
{
	for (size_t i = 0; i < h->count; i++)
		bm_lock_destroy(h->locks[i]);
	free(h->locks);
	*h = (struct bm_hold){0};
}
