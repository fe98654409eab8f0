/* cron_expr.h - when a crontab line runs: the five fields of crontab(5), checked, and the same for systemd.time(7). No
 * state; any thread. */
#ifndef BM_CLI_CRON_EXPR_H
#define BM_CLI_CRON_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "bm_mem.h"

struct bm_cron {
	uint64_t fields[5];      /* minute, hour, day of month, month, day of week (0: Sunday): bit n is value n */
	bool day_star, dow_star; /* that field begins with '*': see bm_cron_put_calendar */
	bool at_boot;            /* @reboot: nothing else counts */
};

/* Reads "0 3 * * 1-5", "@daily" and so on. BM_ERR_USAGE: the text says which field, what was found, what is allowed;
 * also for a day that never comes (30 February). */
enum bm_status bm_cron_parse(const char *text, struct bm_cron *c, struct bm_error *err) BM_NODISCARD;
/* Appends the words of text with one blank between them, as they go into a crontab. */
void bm_cron_put_words(struct bm_buf *out, const char *text);
/* Appends lines for a [Timer] section: "OnCalendar=*-*-* 03:00:00". Two of them where day of month and day of week are
 * both restricted: cron then runs on either, systemd on what is both. "OnBootSec=1min" for @reboot. */
void bm_cron_put_calendar(struct bm_buf *out, const struct bm_cron *c);

#endif
