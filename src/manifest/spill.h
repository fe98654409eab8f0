/*
 * spill.h - the temporary file of bm_manifest_sorted.h: sorted runs of records, written one after the other and read
 * back through cursors, merged. For this layer only; one thread. All calls may block on the disk.
 */
#ifndef BM_MANIFEST_SPILL_H
#define BM_MANIFEST_SPILL_H

#include "record.h"

#define SPILL_MAX_RUNS 64 /* more are merged beforehand */
#define SPILL_WRITE_BYTES ((size_t)64 << 10)

struct spill_run {
	uint64_t begin, end; /* in the file */
};

struct spill_cursor {
	uint64_t pos, end; /* of what is not yet in buf */
	uint64_t punched;  /* before that the file's blocks were given back */
	unsigned char *buf;
	size_t cap, at, len; /* buf[at .. len) is to be read */
};

struct spill {
	const char *dir; /* borrowed until the file is open */
	char where[256]; /* dir, fit for a terminal */
	int fd;          /* -1: not opened yet */
	uint64_t end;    /* where the next byte goes, but for those in buf */
	unsigned char *buf;
	size_t len;
	struct spill_run runs[SPILL_MAX_RUNS + 1];
	size_t run_count;
	bool can_extend; /* the last run ends with what was put last */

	/* Reading: a heap of cursors by the record that each stands at. */
	struct spill_cursor *heap[SPILL_MAX_RUNS + 1];
	size_t heap_count;
	size_t cursor_bytes;
	bool keeps; /* what was read stays in the file: set before spill_rewind, which may then be called again */
	uint64_t merge_count, written_bytes;
	size_t memory; /* of all the buffers, now */
};

void spill_init(struct spill *s, const char *dir);
void spill_fini(struct spill *s);
bool spill_is_used(const struct spill *s);

/* The file is made with the first record. */
enum bm_status spill_put(struct spill *s, const unsigned char *record, struct bm_error *err) BM_NODISCARD;
/* What was put since the last of these is a run; is_more: the rest of the run before, all of it behind that in order.
 * Frees the write buffer; may merge, within memory_bytes. *peak is raised to the memory that took. */
enum bm_status spill_end_run(struct spill *s, bool is_more, size_t memory_bytes, size_t *peak, struct bm_error *err)
	BM_NODISCARD;

/* Reading all runs, merged, within memory_bytes. */
enum bm_status spill_rewind(struct spill *s, size_t memory_bytes, struct bm_error *err) BM_NODISCARD;
/* The record that is first, until the next spill_advance; NULL: there are no more. */
const unsigned char *spill_peek(const struct spill *s);
enum bm_status spill_advance(struct spill *s, struct bm_error *err) BM_NODISCARD;

#endif
