/* calendar.h - is it a time as systemd's timers take it? For a thread that is alone: it starts a program. */
#ifndef BM_CLI_CALENDAR_H
#define BM_CLI_CALENDAR_H

#include <stdbool.h>

#include "bm_mem.h"

/* Asks systemd-analyze(1) where there is one that works, else bm_calendar_is_plain. BM_ERR_USAGE: it is none; the text says
 * what is allowed. May block for the time that the program takes. */
enum bm_status bm_calendar_check(const char *text, struct bm_error *err) BM_NODISCARD;
/* Does it look like one (systemd.time(7)): days of the week, a date, a time, a zone, or a word like "daily"? Numbers are
 * not looked at. No state. */
bool bm_calendar_is_plain(const char *text);

#endif
