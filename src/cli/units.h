/* units.h - the systemd units of a scheduled job. No state; any thread. */
#ifndef BM_CLI_UNITS_H
#define BM_CLI_UNITS_H

#include "bm_mem.h"

struct bm_units {
	const char *what;     /* the job, for people; bytes */
	char *const *words;   /* the command, NULL-terminated; the first is absolute */
	const char *calendar; /* whole lines for [Timer], "OnCalendar=...\n" */
	const char *id;       /* what tells the job from others; a word */
};

/* Appends "bytemill-NAME" with every byte that a unit name cannot have as \xHH, as systemd-escape(1) does. */
void bm_units_put_name(struct bm_buf *out, const char *name);
/* Append the text of the service, and of the timer. Fail only by out->oom. */
void bm_units_put_service(struct bm_buf *out, const struct bm_units *u);
void bm_units_put_timer(struct bm_buf *out, const struct bm_units *u);
/* Is this text, or the beginning of it, a unit that was made for the job with this id? */
bool bm_units_is_of(const char *text, size_t len, const char *id);

/* unit_files.c. Writes both into dir under the name unit, in place of those of the same id, if at all then both: BM_ERR_EXISTS
 * where one is there that is not. They are on the disk when it comes back. May sleep. */
enum bm_status bm_units_write(const char *dir, const char *unit, const char *id, const struct bm_buf *service,
                              const struct bm_buf *timer, struct bm_error *err) BM_NODISCARD;

#endif
