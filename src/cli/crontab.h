/* crontab.h - one line in the user's crontab. For the main thread, before there is another. */
#ifndef BM_CLI_CRONTAB_H
#define BM_CLI_CRONTAB_H

#include <stdbool.h>

#include "bm_mem.h"

#define BM_CRONTAB_MARK " # bytemill-schedule "

enum bm_crontab_change { BM_CRONTAB_ADDED, BM_CRONTAB_REPLACED, BM_CRONTAB_REMOVED, BM_CRONTAB_SAME };

/* Appends a crontab line without its end: when, then the command of words (NULL-terminated) quoted for the shell and for
 * cron, then the mark with id. BM_ERR_USAGE: a word holds a line break, or the line is longer than cron reads. */
enum bm_status bm_crontab_line(struct bm_buf *out, const char *when, char *const *words, const char *id,
                               struct bm_error *err) BM_NODISCARD;
/* old with the line of that id put in (line), or taken out (NULL), to out; a further line of that id goes. Every other
 * byte stays as it is. */
enum bm_crontab_change bm_crontab_edit(struct bm_buf *out, const char *old, size_t len, const char *id,
                                       const char *line);
/* The same with the crontab of the user, by the program crontab(1). Nothing is written where nothing changes. */
enum bm_status bm_crontab_set(const char *id, const char *line, enum bm_crontab_change *change, struct bm_error *err)
	BM_NODISCARD;

#endif
