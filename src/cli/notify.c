/*
 * notify.c - notify commands, by a helper process.
 *
 * The run is to have as few rights as it needs, and a command that mails or posts needs others. Nor may a process with
 * many threads fork without care. So where some job has a "notify", a helper is forked first of all, while there is one
 * thread and before anything is locked or opened; it sleeps in a read from a socket until the run ends. It has no
 * descriptors but that socket and standard error, where the command's output goes too.
 *
 * The socket carries one message at a time, either way: struct ask and its text to the helper, struct answer back. When
 * it ends before an ASK_OVER or ASK_END, the run's process is gone without having told anybody: then the helper tells.
 *
 * The helper is in a process group of its own and passes over the signals that stop a run: a Ctrl-C is the run's, which
 * ends in order and has this told. A command gets signals as they should be, the text in a file on its standard input (so
 * that one that does not read it is no trouble), and a process group that is killed as a whole when the time is over.
 *
 * A signal that asks the run to stop must not wait for a minute's time limit, and what happened should be told all the
 * same: from then on all commands together have AFTER_STOP_MS, whether one is running or still to come. The run's
 * process, which is the one that gets the signal, passes that on with ASK_STOP, also while a command runs.
 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_fd.h"
#include "bm_mem.h"
#include "bm_report.h"
#include "bm_text.h"
#include "console.h"
#include "memory_file.h"
#include "signals.h"

#define KILL_AFTER_MS 2000 /* between SIGTERM and SIGKILL */
#define AFTER_STOP_MS 3000
#define MAX_TEXT ((size_t)16 << 20) /* 20 failures whose names are as long as can be are 1 MiB */

enum ask_kind {
	ASK_OVER, /* the run is over, and commands may follow */
	ASK_RUN,  /* run the command of a job */
	ASK_STOP, /* no more than AFTER_STOP_MS from now on; has no answer */
	ASK_END   /* that was all */
};

struct ask {
	uint32_t kind;
	uint32_t len;   /* of the text that follows */
	uint64_t index; /* of the job */
};
struct answer {
	int32_t error;  /* the command could not be started: errno */
	int32_t status; /* as from waitpid */
	int32_t timed_out;
	int32_t stopped; /* ended, or not started (then error is ECANCELED), since the run was to stop */
};

struct bm_notify {
	const struct bm_jobs *jobs;
	const char *run_id;
	int fd; /* the socket */
	pid_t helper;
	bool is_stopping;         /* the run's side: ASK_STOP was sent */
	int child_fd;             /* the helper's, as the next: readable after a SIGCHLD */
	int64_t stop_deadline_ms; /* of all commands; INT64_MAX: nobody asked to stop */
};

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* ---- both sides ---- */

static bool send_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- what a command reads ---- */

static void put_string(struct bm_buf *out, const char *key, const char *text)
{
	bm_buf_printf(out, "\"%s\":", key);
	bm_json_put_string(out, text, strlen(text));
	bm_buf_putc(out, ',');
}

/* {"type":"notify","run":...,"job":...,"file":...,"host":...,"state":STATE, without its end. */
static void put_head(struct bm_buf *out, const struct bm_notify *n, const struct bm_job *job, const char *state)
{
	char host[256] = "";

	(void)gethostname(host, sizeof(host) - 1);
	bm_buf_puts(out, "{\"type\":\"notify\",");
	put_string(out, "run", n->run_id);
	put_string(out, "job", job->p.name);
	bm_json_put_name(out, "file", job->file, strlen(job->file));
	bm_buf_putc(out, ',');
	put_string(out, "host", host);
	put_string(out, "state", state);
}

static const char *state_of(const struct bm_outcome *o, size_t index)
{
	if (o->is_refused)
		return "refused";
	if (!o->is_started || index >= o->job_count)
		return "not_started";
	switch (o->jobs[index].state) {
	case BM_JOB_DONE:
		return o->jobs[index].differences > 0 ? "different" : "done";
	case BM_JOB_SKIPPED:
		return "skipped";
	default:
		return "failed";
	}
}

static void put_text(struct bm_buf *out, const struct bm_notify *n, const struct bm_outcome *o, size_t index)
{
	const struct bm_job_summary *job = o->is_started && index < o->job_count ? &o->jobs[index] : NULL;
	struct bm_buf summary = {0};

	put_head(out, n, n->jobs->jobs[index], state_of(o, index));
	bm_buf_printf(out, "\"exit_code\":%d,", o->exit_code);
	if (job != NULL)
		bm_buf_printf(out,
		              "\"files_done\":%llu,\"files_failed\":%llu,\"files_skipped\":%llu,\"differences\":%llu,",
		              (unsigned long long)job->files_done, (unsigned long long)job->files_failed,
		              (unsigned long long)job->files_skipped, (unsigned long long)job->differences);
	bm_buf_puts(out, "\"failures\":[");
	for (size_t i = 0; i < o->failures.count; i++) {
		bm_buf_puts(out, i > 0 ? "," : "");
		bm_json_put_string(out, o->failures.items[i], strlen(o->failures.items[i]));
	}
	bm_buf_printf(out, "],\"failures_left_out\":%llu,\"summary\":",
	              (unsigned long long)(o->failure_count - o->failures.count));
	if (o->is_started) {
		bm_report_summary(&summary, n->run_id, &o->sum);
		while (summary.len > 0 && summary.data[summary.len - 1] == '\n')
			summary.len--;
		bm_buf_put(out, summary.data, summary.len);
		out->oom = out->oom || summary.oom;
	} else {
		bm_buf_puts(out, "null");
	}
	bm_buf_puts(out, "}\n");
	bm_buf_fini(&summary);
}

static bool wants(const struct bm_job *job, bool is_good)
{
	return job->p.notify &&
	       (job->p.notify_on == BM_NOTIFY_ALWAYS || (job->p.notify_on == BM_NOTIFY_SUCCESS) == is_good);
}

/* ---- the helper ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Starts the command; 0 or errno. */
static int start(const struct bm_job *job, int stdin_fd, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	char *program = bm_notify_program(job);
	char **words = bm_calloc_array(job->p.notify_command.count + 1, sizeof(*words));
	int rc = program != NULL && words != NULL ? 0 : ENOMEM;

	if (rc != 0)
		goto out;
	for (size_t i = 0; i < job->p.notify_command.count; i++)
		words[i] = i == 0 ? program : job->p.notify_command.items[i];
	sigemptyset(&none);
	sigemptyset(&defaults);
	for (size_t i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++)
		sigaddset(&defaults, stop_signals[i]);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGXFSZ);
	rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0)
		goto out;
	rc = posix_spawnattr_init(&attr);
	if (rc == 0) {
		const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP;

		rc = posix_spawn_file_actions_adddup2(&actions, stdin_fd, STDIN_FILENO);
		rc = rc != 0 ? rc : posix_spawnattr_setsigmask(&attr, &none);
		rc = rc != 0 ? rc : posix_spawnattr_setsigdefault(&attr, &defaults);
		rc = rc != 0 ? rc : posix_spawnattr_setpgroup(&attr, 0);
		rc = rc != 0 ? rc : posix_spawnattr_setflags(&attr, flags);
		rc = rc != 0 ? rc : posix_spawnp(pid, program, &actions, &attr, words, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
out:
	free(program);
	free(words);
	return rc;
}

/* Waits until the process has ended, at most until then or, with may_stop, for as long as a run that stops may take, and
 * leaves it to be reaped: until that its number, which is its group's too, is not given to another. */
static bool ends_by(struct bm_notify *n, pid_t pid, int64_t deadline_ms, bool may_stop)
{
	int socket_fd = may_stop ? n->fd : -1;

	for (;;) {
		bool stops_first = may_stop && n->stop_deadline_ms < deadline_ms;
		int64_t left = (stops_first ? n->stop_deadline_ms : deadline_ms) - now_ms();
		struct pollfd fds[2] = {{.fd = n->child_fd, .events = POLLIN}, {.fd = socket_fd, .events = POLLIN}};
		struct signalfd_siginfo unused;
		siginfo_t info = {.si_pid = 0};
		struct ask ask;

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
			return true;
		if (left <= 0)
			return false;
		if (poll(fds, 2, left < INT32_MAX ? (int)left : INT32_MAX) <= 0)
			continue;
		if (fds[0].revents != 0)
			(void)!read(n->child_fd, &unused, sizeof(unused));
		if (fds[1].revents == 0)
			continue;
		if (bm_fd_read_all(socket_fd, &ask, sizeof(ask)) && ask.kind == ASK_STOP)
			n->stop_deadline_ms = now_ms() + AFTER_STOP_MS;
		else
			socket_fd = -1; /* the run's process is gone: its own time limit ends this command */
	}
}

static struct answer run_command(struct bm_notify *n, const struct bm_job *job, const char *text, size_t len)
{
	struct answer a = {0};
	int64_t limit_ms = job->p.notify_timeout.ms < INT32_MAX ? (int64_t)job->p.notify_timeout.ms : INT32_MAX;
	int fd, status = 0;
	pid_t pid = 0;

	if (now_ms() >= n->stop_deadline_ms)
		return (struct answer){.error = ECANCELED, .stopped = 1};
	fd = bm_memory_file(text, len);
	a.error = fd >= 0 ? start(job, fd, &pid) : errno;
	if (fd >= 0)
		close(fd);
	if (a.error != 0)
		return a;
	limit_ms += now_ms();
	if (!ends_by(n, pid, limit_ms, true)) {
		a.stopped = now_ms() < limit_ms;
		a.timed_out = !a.stopped;
		(void)kill(-pid, SIGTERM);
		(void)ends_by(n, pid, now_ms() + KILL_AFTER_MS, false);
		(void)kill(-pid, SIGKILL); /* also those of its children that would not end */
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	a.status = status;
	return a;
}

/* The run's process is gone, and nobody was told. */
static void tell_killed(struct bm_notify *n)
{
	for (size_t i = 0; i < n->jobs->count; i++) {
		const struct bm_job *job = n->jobs->jobs[i];
		struct bm_buf text = {0};

		if (!wants(job, false))
			continue;
		put_head(&text, n, job, "killed");
		bm_buf_puts(&text, "\"exit_code\":null,\"failures\":[],\"failures_left_out\":0,\"summary\":null}\n");
		if (!text.oom)
			(void)run_command(n, job, text.data, text.len);
		bm_buf_fini(&text);
	}
}

static void serve(struct bm_notify *n)
{
	struct ask ask = {.kind = ASK_OVER};
	bool is_over = false;

	while (bm_fd_read_all(n->fd, &ask, sizeof(ask)) && ask.kind != ASK_END) {
		char *text = ask.kind == ASK_RUN && ask.len <= MAX_TEXT ? malloc((size_t)ask.len + 1) : NULL;
		struct answer a = {.error = ENOMEM};

		is_over = true;
		if (ask.kind == ASK_STOP)
			n->stop_deadline_ms = now_ms() + AFTER_STOP_MS;
		if (ask.kind != ASK_RUN)
			continue;
		if (text == NULL || !bm_fd_read_all(n->fd, text, ask.len)) {
			free(text);
			return;
		}
		if (ask.index < n->jobs->count)
			a = run_command(n, n->jobs->jobs[ask.index], text, ask.len);
		free(text);
		if (!send_all(n->fd, &a, sizeof(a)))
			return;
	}
	if (ask.kind != ASK_END && !is_over)
		tell_killed(n);
}

static void be_helper(struct bm_notify *n)
{
	sigset_t child;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setpgid(0, 0);
	for (size_t i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++)
		signal(stop_signals[i], SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	if (n->fd > 3)
		(void)close_range(3, (unsigned)n->fd - 1, 0);
	(void)close_range((unsigned)n->fd + 1, ~0U, 0);
	n->child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	n->stop_deadline_ms = INT64_MAX;
	serve(n);
	_exit(0);
}

/* ---- the run's side ---- */

static bool is_wanted(const struct bm_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->jobs[i]->p.notify)
			return true;
	return false;
}

enum bm_status bm_notify_begin(const struct bm_jobs *jobs, const char *run_id, struct bm_notify **out,
                               struct bm_error *err)
{
	struct bm_notify *n;
	int fds[2];

	*out = NULL;
	if (!is_wanted(jobs))
		return BM_OK;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return bm_error_set_nomem(err);
	n->jobs = jobs;
	n->run_id = run_id;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
		free(n);
		return bm_error_set_errno(err, errno, NULL, "cannot make a socket for the process that notifies");
	}
	n->helper = fork();
	if (n->helper == 0) {
		close(fds[0]);
		n->fd = fds[1];
		be_helper(n);
	}
	close(fds[1]);
	n->fd = fds[0];
	if (n->helper < 0) {
		int code = errno;

		close(n->fd);
		free(n);
		return bm_error_set_errno(err, code, NULL, "cannot start the process that notifies");
	}
	*out = n;
	return BM_OK;
}

static void say_failed(const struct bm_job *job, const struct answer *a)
{
	struct bm_buf text = {0};

	bm_escape_display(&text, job->p.name, strlen(job->p.name));
	bm_buf_puts(&text, ": the notify command ");
	bm_escape_display(&text, job->p.notify_command.items[0], strlen(job->p.notify_command.items[0]));
	if (a->stopped && a->error != 0) {
		bm_buf_printf(&text, " was not started: %s", bm_signals_name());
	} else if (a->error != 0) {
		struct bm_error err = BM_ERROR_INIT;

		(void)bm_error_set_errno(&err, a->error, NULL, "cannot be run");
		bm_buf_printf(&text, " %s", err.text);
	} else if (a->stopped) {
		bm_buf_printf(&text, " took longer than %d s after %s and was ended", AFTER_STOP_MS / 1000,
		              bm_signals_name());
	} else if (a->timed_out) {
		char limit[24];

		bm_buf_printf(&text, " took longer than %s and was ended",
		              bm_duration_format(job->p.notify_timeout.ms, limit));
	} else if (WIFSIGNALED(a->status)) {
		bm_buf_printf(&text, " was killed by signal %d", WTERMSIG(a->status));
	} else {
		bm_buf_printf(&text, " failed with exit code %d", WEXITSTATUS(a->status));
	}
	/* Also with --quiet: else nobody would learn of anything. */
	bm_console_say(BM_CONSOLE_WARNING, "%s", text.oom ? "a notify command failed" : text.data);
	bm_buf_fini(&text);
}

/* Passes on that a signal has come, if one has, once. */
static void pass_stop_on(struct bm_notify *n)
{
	const struct ask stop = {.kind = ASK_STOP};

	if (n->is_stopping || bm_signals_number() == 0)
		return;
	n->is_stopping = true;
	(void)send_all(n->fd, &stop, sizeof(stop));
}

static bool await_answer(struct bm_notify *n, struct answer *a)
{
	for (;;) {
		struct pollfd fds[2] = {{.fd = n->fd, .events = POLLIN},
		                        {.fd = n->is_stopping ? -1 : bm_signals_fd(), .events = POLLIN}};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		pass_stop_on(n);
		if (fds[0].revents != 0)
			return bm_fd_read_all(n->fd, a, sizeof(*a));
	}
}

void bm_notify_send(struct bm_notify *n, const struct bm_outcome *outcome)
{
	const struct ask over = {.kind = ASK_OVER};

	if (n == NULL)
		return;
	(void)send_all(n->fd, &over, sizeof(over)); /* where it fails, what follows does */
	for (size_t i = 0; i < n->jobs->count; i++) {
		const struct bm_job *job = n->jobs->jobs[i];
		struct answer a = {.error = ENOMEM};
		struct bm_buf text = {0};

		if (!wants(job, strcmp(state_of(outcome, i), "done") == 0))
			continue;
		put_text(&text, n, outcome, i);
		if (!text.oom) {
			struct ask ask = {.kind = ASK_RUN, .len = (uint32_t)text.len, .index = i};

			pass_stop_on(n);
			if (!send_all(n->fd, &ask, sizeof(ask)) || !send_all(n->fd, text.data, text.len) ||
			    !await_answer(n, &a))
				a = (struct answer){.error = EPIPE};
		}
		if (a.error != 0 || a.timed_out != 0 || a.status != 0)
			say_failed(job, &a);
		bm_buf_fini(&text);
	}
}

void bm_notify_end(struct bm_notify *n)
{
	const struct ask ask = {.kind = ASK_END};

	if (n == NULL)
		return;
	(void)send_all(n->fd, &ask, sizeof(ask));
	close(n->fd);
	while (waitpid(n->helper, NULL, 0) < 0 && errno == EINTR)
		;
	free(n);
}
