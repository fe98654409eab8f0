/*
 * signals.c - one thread takes the signals that mean "stop".
 *
 * SIGINT, SIGTERM and SIGHUP are blocked before the run's threads are made, which inherit that; one thread of ours reads
 * them from a signalfd, so that what they cause (a cancel, a line on stderr) is ordinary code and not a handler. The
 * first one cancels the run, which gives up the files in flight and removes their temp files. Once the closing summary
 * is out, bm_signals_end puts the default action back and raises the signal again: the shell, make or systemd then sees a
 * process that died of it (128+N), which is what makes a shell loop around us stop too.
 *
 * A signal that comes while the run is still being planned is kept and cancels as soon as there is a run to cancel.
 *
 * A second SIGINT or SIGTERM ends the process at once, for the user whose disk does not answer. It must come at least
 * SECOND_SIGNAL_MS after the first one: timeout(1) sends its signal to the child and then to the whole group, and that
 * pair is one wish, not two. SIGHUP never has that meaning, because a closed terminal brings it from the kernel and from
 * the shell. A signal that was ignored when we were started (nohup, "&" in a script) stays ignored: it is left out of the
 * set, since Linux would queue it for the signalfd in spite of SIG_IGN once it is blocked.
 */
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "console.h"

#define SECOND_SIGNAL_MS 300
#define OPEN_FILES_WANTED 65536

static struct {
	/* Set by the main thread before the watcher starts, read-only while it runs. */
	bool is_begun, quiet;
	sigset_t set, old_mask;
	int signal_fd, stop_fd, came_fd;
	pthread_t thread;

	pthread_mutex_t lock;
	struct bm_run *run; /* under lock; NULL while there is none to cancel */
	int first;          /* under lock; the signal that came first, 0: none */
	int64_t first_ms;   /* the watcher's own */
} signals = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};

void bm_signals_prepare_process(void)
{
	struct rlimit limit;

	/* A free descriptor 1 would otherwise become the next data file, and a stray message would land in it. The wrong
	 * direction makes reading from what was closed, and writing to it, fail with EBADF instead of vanishing. */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == 1 ? O_RDONLY : O_WRONLY);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		rlim_t want = limit.rlim_max < OPEN_FILES_WANTED ? limit.rlim_max : OPEN_FILES_WANTED;

		if (limit.rlim_cur < want) {
			limit.rlim_cur = want;
			(void)setrlimit(RLIMIT_NOFILE, &limit);
		}
	}
}

static const char *name_of(int number)
{
	switch (number) {
	case SIGINT:
		return "SIGINT";
	case SIGTERM:
		return "SIGTERM";
	case SIGHUP:
		return "SIGHUP";
	default:
		return NULL;
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Lets the default action of the signal happen to this process. */
static void die_of(int number)
{
	sigset_t one;

	signal(number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, number);
	kill(getpid(), number);
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

static void take(int number)
{
	const uint64_t one = 1;
	int64_t now = now_ms();
	bool is_first;

	pthread_mutex_lock(&signals.lock);
	is_first = signals.first == 0;
	if (is_first) {
		signals.first = number;
		signals.first_ms = now;
	}
	if (signals.run != NULL)
		bm_run_cancel(signals.run);
	pthread_mutex_unlock(&signals.lock);
	if (is_first)
		(void)!write(signals.came_fd, &one, sizeof(one)); /* the first into an eventfd: never blocks */

	if (is_first && !signals.quiet) {
		bm_console_say(BM_CONSOLE_PLAIN, "%s: stopping%s", name_of(number),
		               number == SIGHUP ? "" : "; once more to stop at once");
	} else if (!is_first && number != SIGHUP && now - signals.first_ms >= SECOND_SIGNAL_MS) {
		bm_console_bar(NULL);
		bm_console_say(BM_CONSOLE_PLAIN, "%s: stopped at once; temporary files may be left", name_of(number));
		die_of(number);
	}
}

static void *watch(void *unused)
{
	struct pollfd fds[2] = {{.fd = signals.signal_fd, .events = POLLIN}, {.fd = signals.stop_fd, .events = POLLIN}};

	(void)unused;
	for (;;) {
		struct signalfd_siginfo info;

		if (poll(fds, 2, -1) < 0)
			continue;
		/* Signals first: one that came before the stop is still taken. */
		if (fds[0].revents != 0 && read(signals.signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			take((int)info.ssi_signo);
		else if (fds[1].revents != 0)
			return NULL;
	}
}

enum bm_status bm_signals_begin(bool quiet, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	int rc;

	if (signals.is_begun) /* by a run before */
		return BM_OK;
	signals.quiet = quiet;
	signals.signal_fd = -1;
	signals.stop_fd = -1;
	signals.came_fd = -1;
	sigemptyset(&signals.set);
	for (size_t i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++) {
		struct sigaction old;

		if (sigaction(stop_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&signals.set, stop_signals[i]);
	}
	rc = pthread_sigmask(SIG_BLOCK, &signals.set, &signals.old_mask);
	if (rc != 0)
		return bm_error_set_errno(err, rc, NULL, "signals cannot be blocked");
	signals.signal_fd = signalfd(-1, &signals.set, SFD_CLOEXEC | SFD_NONBLOCK);
	signals.stop_fd = eventfd(0, EFD_CLOEXEC);
	signals.came_fd = eventfd(0, EFD_CLOEXEC);
	if (signals.signal_fd < 0 || signals.stop_fd < 0 || signals.came_fd < 0) {
		status = bm_error_set_errno(err, errno, NULL, "signals cannot be waited for");
		goto out;
	}
	rc = pthread_create(&signals.thread, NULL, watch, NULL);
	if (rc != 0) {
		status = bm_error_set_errno(err, rc, NULL, "a thread cannot be started");
		goto out;
	}
	signals.is_begun = true;
out:
	if (status != BM_OK) {
		if (signals.signal_fd >= 0)
			close(signals.signal_fd);
		if (signals.stop_fd >= 0)
			close(signals.stop_fd);
		if (signals.came_fd >= 0)
			close(signals.came_fd);
		pthread_sigmask(SIG_SETMASK, &signals.old_mask, NULL);
	}
	return status;
}

void bm_signals_attach(struct bm_run *run)
{
	pthread_mutex_lock(&signals.lock);
	signals.run = run;
	if (signals.first != 0)
		bm_run_cancel(run);
	pthread_mutex_unlock(&signals.lock);
}

void bm_signals_detach(void)
{
	pthread_mutex_lock(&signals.lock);
	signals.run = NULL;
	pthread_mutex_unlock(&signals.lock);
}

int bm_signals_number(void)
{
	int number;

	pthread_mutex_lock(&signals.lock);
	number = signals.first;
	pthread_mutex_unlock(&signals.lock);
	return number;
}

int bm_signals_fd(void)
{
	return signals.is_begun ? signals.came_fd : -1;
}

const char *bm_signals_name(void)
{
	return name_of(bm_signals_number());
}

void bm_signals_end(void)
{
	const uint64_t one = 1;

	if (!signals.is_begun)
		return;
	while (write(signals.stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(signals.thread, NULL);
	close(signals.signal_fd);
	close(signals.stop_fd);
	close(signals.came_fd);
	signals.is_begun = false;
	if (signals.first != 0)
		die_of(signals.first);
	pthread_sigmask(SIG_SETMASK, &signals.old_mask, NULL);
}
