/*
 * verify_spool.h - strings of bytes, by the place where they begin: of verify_join.h. The last ones are in memory, the
 * others in a temporary file without a name. One thread at a time; may block on the disk.
 */
#ifndef VERIFY_SPOOL_H
#define VERIFY_SPOOL_H

#include "bm_mem.h"

struct spool {
	int fd;             /* -1: all is in tail */
	uint64_t start;     /* of tail */
	struct bm_buf tail; /* strings are put here */
};
void spool_init(struct spool *s);
void spool_fini(struct spool *s);

/* Where the next byte goes. */
uint64_t spool_end(const struct spool *s);
/* After each string that was put into the tail: it stays in one piece. BM_ERR_NOMEM, BM_ERR_SYSTEM. */
enum bm_status spool_put_done(struct spool *s, struct bm_error *err) BM_NODISCARD;

/* What was read of the file last; zeroed at first. */
struct spool_window {
	struct bm_buf data;
	uint64_t at; /* of data in the file */
};
void spool_window_fini(struct spool_window *w);

/* len bytes from at, all of one string, in the window or in the tail: until the next call with the same window, or the
 * next byte put. NULL: err is set. */
const char *spool_get(struct spool *s, uint64_t at, size_t len, struct spool_window *w, struct bm_error *err);

#endif
