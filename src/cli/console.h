/*
 * console.h - the one writer of standard error.
 *
 * Everything that is meant for a person goes through here, a whole line at a time, from any thread: lines of two threads
 * never mix, and the progress bar is taken away before a line and put back after it. Text that holds file names must have
 * been through bm_escape_display; control characters that are left all the same are shown as '?'. Where there is a log
 * (log.h) it gets the same lines.
 */
#ifndef BM_CLI_CONSOLE_H
#define BM_CLI_CONSOLE_H

#include <stdbool.h>

#include "bm_mem.h"

enum bm_console_tag { BM_CONSOLE_PLAIN, BM_CONSOLE_ERROR, BM_CONSOLE_WARNING };
enum bm_console_where { BM_CONSOLE_SHOWN = 1, BM_CONSOLE_LOGGED = 2 }; /* bits */

/* Colours are used where standard error is a terminal that can, NO_COLOR is unset or empty, and allow_colour. Called
 * from main before there is a second thread; without it there are no colours. */
void bm_console_init(bool allow_colour);

/* "bytemill: text", "bytemill: error: text", "bytemill: warning: text". A failed write is nobody's error. */
void bm_console_say(enum bm_console_tag tag, const char *fmt, ...) BM_PRINTF(2, 3);
/* The same to one of the two places alone: what --quiet does not show is logged all the same. */
void bm_console_tell(unsigned where, enum bm_console_tag tag, const char *fmt, ...) BM_PRINTF(3, 4);
static inline unsigned bm_console_unless(bool quiet)
{
	return quiet ? BM_CONSOLE_LOGGED : BM_CONSOLE_SHOWN | BM_CONSOLE_LOGGED;
}
/* The same with something else in front: "nightly.json:12:16: error: text". */
void bm_console_say_at(const char *prefix, unsigned where, enum bm_console_tag tag, const char *fmt, ...)
	BM_PRINTF(4, 5);
/* A struct bm_error as "bytemill: error: where: text". */
void bm_console_say_error(const struct bm_error *err);
/* Gives what standard output holds back to the system, so that what is said next stands behind the results where both go
 * to one place. What cannot be written is main's business, as ever. The main thread's; blocks while the reader does. */
void bm_console_results_first(void);

/* Shows text (printable ASCII, narrower than the terminal) as the bar in the terminal's last line; NULL takes it away. */
void bm_console_bar(const char *text);

#endif
