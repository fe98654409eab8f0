/*
 * order_run.h - the file to which order.c spills, and the sorted runs in it. For order.c only, whose opening says which
 * thread may touch a run; no locks in here. All calls may block on the disk.
 */
#ifndef ORDER_RUN_H
#define ORDER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

/* Written by the spiller only. Readers use fd, where and cursor_bytes, which are set before there is a run to be read. */
struct order_file {
	int fd;       /* -1: not opened yet */
	uint64_t end; /* where the next byte goes, but for those in buf */
	char *buf;    /* owned; what is to be written */
	size_t cap, len;
	size_t cursor_bytes; /* of a run's buffer; constant */
	char where[256];     /* the directory, escaped */
};

struct order_run {
	uint64_t end;  /* under the order's lock, as last: in the file */
	uint64_t last; /* highest index in it */
	uint64_t pos;  /* what follows is its holder's: up to here the file is in buf */
	uint64_t punched;
	char *buf; /* owned; NULL until it is read */
	size_t buf_cap, buf_pos, buf_len;
};

/* Opens nothing. The sizes are brought into a sensible range. */
void order_file_init(struct order_file *f, size_t write_bytes, size_t cursor_bytes);
void order_file_fini(struct order_file *f);
/* Makes the file, unless it is there: in $TMPDIR or /tmp. BM_ERR_NOMEM, BM_ERR_SYSTEM, as all below; err not NULL. */
enum bm_status order_file_open(struct order_file *f, struct bm_error *err) BM_NODISCARD;
/* To the beginning: there are no runs. */
void order_file_restart(struct order_file *f);
/* data may be NULL where len is 0. In the file after a flush. */
enum bm_status order_file_put_record(struct order_file *f, uint64_t index, const void *data, size_t len,
                                     struct bm_error *err) BM_NODISCARD;
enum bm_status order_file_flush(struct order_file *f, struct bm_error *err) BM_NODISCARD;

/* Bytes of records not yet read. end, here and below: run->end as it was when last seen under the lock. */
uint64_t order_run_left(const struct order_run *r, uint64_t end);
/* The index of the record at hand: there must be one. BM_ERR_FORMAT: the file is not as it was written. */
enum bm_status order_run_peek(struct order_file *f, struct order_run *r, uint64_t end, uint64_t *index,
                              struct bm_error *err) BM_NODISCARD;
/* The record at hand: *data is good until the next call for this run. The cursor moves past it. */
enum bm_status order_run_next(struct order_file *f, struct order_run *r, uint64_t end, const char **data, size_t *len,
                              struct bm_error *err) BM_NODISCARD;
/* Gives the space of what was read back to the disk: now and then, or all. Only a kindness: not every file system can. */
void order_run_punch(struct order_file *f, struct order_run *r, bool all);
void order_run_destroy(struct order_run *r); /* NULL is fine */

#endif
