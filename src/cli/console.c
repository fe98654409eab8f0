/*
 * console.c - lines and the bar on standard error.
 *
 * A line is put together in memory (take the bar away, prefix, tag, text, bar again) and given to write(2) in one piece
 * under one lock, without stdio: so lines of threads never mix, nothing is held back in a buffer when a signal ends the
 * process, and a bar never sticks out behind a shorter line. A terminal that went away, or a full disk behind a
 * redirection, must not stop a run: what cannot be written is dropped; the exit code says the same thing. Where there is
 * no memory for that, a line is cut, and written in pieces.
 */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define TAKE_BAR_AWAY "\r\033[K"
#define CUT_BYTES 1024

static const char program[] = "bytemill";

static struct {
	pthread_mutex_t lock;
	bool colour;       /* set by main before the second thread */
	struct bm_buf bar; /* under lock; len 0: no bar is shown */
} console = {.lock = PTHREAD_MUTEX_INITIALIZER};

void bm_console_init(bool allow_colour)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	console.colour = allow_colour && (no_color == NULL || *no_color == '\0') && term != NULL && *term != '\0' &&
	                 strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO) == 1;
}

static void write_all(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, data, len);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			/* Somebody else made the descriptor non-blocking, an ssh for instance. */
			struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return;
		} else if (errno != EINTR) {
			return;
		}
	}
}

static void hide_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
}

/* The line on standard error, under the lock. */
static void show_line(const char *prefix, enum bm_console_tag tag, const char *text, size_t len)
{
	static const char *const words[] = {"", "error:", "warning:"};
	static const char *const colours[] = {"", "\033[31m", "\033[33m"};
	struct bm_buf line = {0};

	if (console.bar.len > 0)
		bm_buf_puts(&line, TAKE_BAR_AWAY);
	bm_buf_printf(&line, "%s: ", prefix);
	if (tag != BM_CONSOLE_PLAIN && console.colour)
		bm_buf_printf(&line, "%s%s\033[0m ", colours[tag], words[tag]);
	else if (tag != BM_CONSOLE_PLAIN)
		bm_buf_printf(&line, "%s ", words[tag]);
	bm_buf_put(&line, text, len);
	bm_buf_putc(&line, '\n');
	if (console.bar.len > 0)
		bm_buf_put(&line, console.bar.data, console.bar.len);
	if (!line.oom) {
		write_all(line.data, line.len);
	} else {
		write_all(prefix, strlen(prefix));
		write_all(": ", 2);
		write_all(words[tag], strlen(words[tag]));
		write_all(" ", tag != BM_CONSOLE_PLAIN ? 1 : 0);
		write_all(text, len);
		write_all("\n", 1);
	}
	bm_buf_fini(&line);
}

/* ... and in the log, where it has no "bytemill" in front. */
static void log_line(const char *prefix, enum bm_console_tag tag, const char *text, size_t len)
{
	struct bm_buf line = {0};

	if (prefix != program)
		bm_buf_printf(&line, "%s: ", prefix);
	bm_buf_put(&line, text, len);
	if (!line.oom)
		bm_log_line(tag, line.data, line.len);
	bm_buf_fini(&line);
}

static void say(const char *prefix, unsigned where, enum bm_console_tag tag, const char *fmt, va_list args)
{
	char cut[CUT_BYTES], *whole = NULL, *text;
	va_list again;
	int len;

	va_copy(again, args);
	len = vasprintf(&whole, fmt, args);
	text = whole;
	if (len < 0) {
		whole = NULL;
		text = cut;
		len = vsnprintf(cut, sizeof(cut), fmt, again);
		len = len < (int)sizeof(cut) ? len : (int)sizeof(cut) - 1;
	}
	va_end(again);
	if (len < 0)
		return;
	hide_controls(text, (size_t)len);
	pthread_mutex_lock(&console.lock);
	if ((where & BM_CONSOLE_SHOWN) != 0)
		show_line(prefix, tag, text, (size_t)len);
	if ((where & BM_CONSOLE_LOGGED) != 0)
		log_line(prefix, tag, text, (size_t)len);
	pthread_mutex_unlock(&console.lock);
	free(whole);
}

void bm_console_say(enum bm_console_tag tag, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(program, BM_CONSOLE_SHOWN | BM_CONSOLE_LOGGED, tag, fmt, args);
	va_end(args);
}

void bm_console_tell(unsigned where, enum bm_console_tag tag, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(program, where, tag, fmt, args);
	va_end(args);
}

void bm_console_say_at(const char *prefix, unsigned where, enum bm_console_tag tag, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(prefix, where, tag, fmt, args);
	va_end(args);
}

void bm_console_results_first(void)
{
	(void)fflush(stdout);
}

void bm_console_say_error(const struct bm_error *err)
{
	const char *text = err->text[0] != '\0' ? err->text : bm_status_text(err->status);

	if (err->where[0] != '\0')
		bm_console_say(BM_CONSOLE_ERROR, "%s: %s", err->where, text);
	else
		bm_console_say(BM_CONSOLE_ERROR, "%s", text);
}

void bm_console_bar(const char *text)
{
	pthread_mutex_lock(&console.lock);
	if (text != NULL) {
		bm_buf_reset(&console.bar);
		bm_buf_puts(&console.bar, "\r");
		bm_buf_puts(&console.bar, text);
		bm_buf_puts(&console.bar, "\033[K");
		if (console.bar.oom)
			bm_buf_fini(&console.bar);
		else
			write_all(console.bar.data, console.bar.len);
	} else {
		if (console.bar.len > 0)
			write_all(TAKE_BAR_AWAY, sizeof(TAKE_BAR_AWAY) - 1);
		bm_buf_fini(&console.bar);
	}
	pthread_mutex_unlock(&console.lock);
}
