/*
 * log.c - lines for a file or for syslog(3).
 *
 * A line goes to a file in one write(2), and the file is open O_APPEND: so lines of several runs that log to one file
 * never mix. It is not opened again: inside the sandbox that could not be done, and a log that was renamed meanwhile
 * (logrotate) has the whole account of the run.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_mem.h"
#include "bm_state.h"
#include "bm_text.h"
#include "place.h"

#define SYSLOG_SOCKET "/dev/log"

static struct {
	bool is_open, is_syslog;
	int fd;
	int error; /* of the first line that could not be written; 0: none */
	char *run_id;
	char *target; /* for messages; owned */
} sink_log = {.fd = -1};

/* Makes the directory of a log that could not be opened for want of it. */
static bool make_parent(const char *target)
{
	const char *slash = strrchr(target, '/');
	char *dir = slash != NULL && slash > target ? bm_memdup0(target, (size_t)(slash - target)) : NULL;
	char *absolute = NULL;
	bool is_made =
		dir != NULL && bm_state_dir(dir, &absolute, NULL) == BM_OK && bm_state_make(absolute, NULL) == BM_OK;

	free(absolute);
	free(dir);
	return is_made;
}

static int open_to_append(const char *target)
{
	int fd;

	do
		fd = open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int open_file(const char *target)
{
	int fd = open_to_append(target);

	if (fd < 0 && errno == ENOENT) {
		if (make_parent(target))
			fd = open_to_append(target);
		else
			errno = ENOENT;
	}
	return fd;
}

enum bm_status bm_log_open(const char *target, const char *run_id, struct bm_error *err)
{
	char shown[512];
	int code;

	sink_log.run_id = strdup(run_id);
	sink_log.target = strdup(target);
	if (sink_log.run_id == NULL || sink_log.target == NULL) {
		bm_log_close();
		return bm_error_set_nomem(err);
	}
	if (strcmp(target, "syslog") == 0) {
		if (access(SYSLOG_SOCKET, W_OK) != 0) {
			code = errno;
			bm_log_close();
			return bm_error_set(
				err, BM_ERR_UNSUPPORTED, NULL,
				"nobody takes system log messages here (%s: %s); give --log a file", SYSLOG_SOCKET,
				strerror(code)); /* NOLINT(concurrency-mt-unsafe): there is only this thread */
		}
		openlog("bytemill", LOG_PID | LOG_NDELAY, LOG_USER);
		sink_log.is_syslog = true;
	} else {
		sink_log.fd = open_file(target);
		if (sink_log.fd < 0) {
			code = errno;
			bm_log_close();
			return bm_error_set_errno(err, code,
			                          bm_escape_display_buf(shown, sizeof(shown), target, strlen(target)),
			                          "the log cannot be opened%s", bm_place_advice(code));
		}
	}
	sink_log.is_open = true;
	return BM_OK;
}

static void put_time(struct bm_buf *out)
{
	struct timespec now;
	struct tm local;
	char text[40], zone[8];

	clock_gettime(CLOCK_REALTIME, &now);
	if (localtime_r(&now.tv_sec, &local) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &local) == 0 ||
	    strftime(zone, sizeof(zone), "%z", &local) == 0)
		bm_buf_printf(out, "%lld", (long long)now.tv_sec);
	else
		bm_buf_printf(out, "%s.%03ld%s", text, now.tv_nsec / 1000000, zone);
}

void bm_log_line(enum bm_console_tag tag, const char *text, size_t len)
{
	static const char *const words[] = {"info", "error", "warning"};
	static const int levels[] = {LOG_INFO, LOG_ERR, LOG_WARNING};
	struct bm_buf line = {0};
	ssize_t n = 0;

	if (!sink_log.is_open)
		return;
	if (sink_log.is_syslog) {
		syslog(levels[tag], "%s %s: %.*s", sink_log.run_id, words[tag], (int)len, text);
		return;
	}
	put_time(&line);
	bm_buf_printf(&line, " %s %s: ", sink_log.run_id, words[tag]);
	bm_buf_put(&line, text, len);
	bm_buf_putc(&line, '\n');
	errno = ENOMEM;
	if (!line.oom) {
		do
			n = write(sink_log.fd, line.data, line.len);
		while (n < 0 && errno == EINTR);
		if (n >= 0 && (size_t)n < line.len)
			errno = ENOSPC; /* a part went in: the disk is full or a limit was reached */
	}
	if ((n < 0 || (size_t)n < line.len || line.oom) && sink_log.error == 0)
		sink_log.error = errno;
	bm_buf_fini(&line);
}

bool bm_log_is_file(const struct stat *st)
{
	struct stat own;

	return sink_log.fd >= 0 && fstat(sink_log.fd, &own) == 0 && own.st_dev == st->st_dev &&
	       own.st_ino == st->st_ino;
}

void bm_log_close(void)
{
	int code = sink_log.error;
	char shown[512];

	if (sink_log.is_syslog)
		closelog();
	if (sink_log.fd >= 0 && close(sink_log.fd) != 0 && code == 0)
		code = errno;
	sink_log.fd = -1;
	sink_log.is_open = sink_log.is_syslog = false;
	sink_log.error = 0;
	if (code != 0 && sink_log.target != NULL) {
		struct bm_error err = BM_ERROR_INIT;

		(void)bm_error_set_errno(
			&err, code,
			bm_escape_display_buf(shown, sizeof(shown), sink_log.target, strlen(sink_log.target)),
			"the log is not complete");
		bm_console_say(BM_CONSOLE_WARNING, "%s: %s", err.where, err.text);
	}
	free(sink_log.run_id);
	free(sink_log.target);
	sink_log.run_id = sink_log.target = NULL;
}
