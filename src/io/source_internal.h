/* source_internal.h - what source.c, which reads, and source_open.c share. */
#ifndef BM_SOURCE_INTERNAL_H
#define BM_SOURCE_INTERNAL_H

#include <time.h>

#include "bm_source.h"

struct bm_feed;
struct url_fetch;

enum mode { SIZED, UNSIZED, STREAM, URL };

struct bm_source {
	int fd;
	bool owns_fd;
	bool is_sparse;
	bool is_cold;   /* its name was not in the caches, so that its first bytes will not be either */
	bool no_nowait; /* RWF_NOWAIT is not supported here */
	bool in_memory; /* ... nor needed: there is no disk behind the file */
	bool ended;
	bool failed;
	unsigned retried;     /* calls that were made again */
	unsigned attempts;    /* of the call that failed for good */
	int retry_errno;      /* of the last call that was made again */
	struct bm_feed *feed; /* STREAM: in place of fd, which is -1 then; borrowed */
	enum mode mode;
	struct stat st;         /* at open */
	struct timespec opened; /* just before that, by CLOCK_REALTIME_COARSE; 0: not known */
	uint64_t offset;        /* bytes given out */
	/* SIZED and sparse: offset .. data_start is a hole, data_start .. data_end is data; known up to data_end. */
	bool ask_holes;
	uint64_t data_start, data_end;
	/* UNSIZED, STREAM: the byte that was read ahead. */
	bool has_ahead;
	uint8_t ahead;
	struct url_fetch *fetch; /* URL; owned */
	size_t name_len;
	char name[];
};

/* After a call that failed (errno), tries of them before it: true once it is to be made again. False: for good, or
 * cancelled; errno says. *blocked: the permit is given up, as it is afterwards where this has slept. */
bool source_try_again(struct bm_source *s, unsigned *tries, bool *blocked, const struct bm_blocker *b);
/* ", tried 3 times" or nothing; text. */
const char *source_attempts_text(const struct bm_source *s, char text[40]);

#endif
