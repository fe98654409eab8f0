/*
 * bm_manifest_sorted.h - a manifest's entries in the byte order of whole names (as LC_ALL=C sort), within bounded memory.
 *
 * Creation reads the whole manifest. What has room in memory_bytes stays there, in compact records; beyond that, sorted
 * runs go to a temporary file without a name, and are merged while they are read back. A manifest that is sorted
 * already, as this program writes them, is noticed and not sorted again. Entries of the same name come one after the
 * other in the order of their lines.
 */
#ifndef BM_MANIFEST_SORTED_H
#define BM_MANIFEST_SORTED_H

#include "bm_manifest.h"

struct bm_manifest_sorted_options {
	/* For records, the order of them, and the buffers of runs; at least 256 KiB is taken. Beyond it goes a single
	 * record that is larger (one with block digests); the reader's own memory does not count. */
	size_t memory_bytes;
	const char *temp_dir; /* for the temporary file; NULL: $TMPDIR or /tmp; borrowed for the call */
	/* Each bad line, in the manifest's order, during creation; the texts are borrowed. NULL: they are only counted. */
	void (*on_bad_line)(void *ctx, uint64_t line, const char *fault);
	/* Each entry before it is kept: may give it another name, which is copied. False: it is left out, and, where
	 * e->fault is set, a bad line. NULL: all are kept as they are. */
	bool (*on_entry)(void *ctx, struct bm_manifest_entry *e);
	void *ctx;        /* of both */
	bool keeps_order; /* nothing is sorted: entries come as they stand in the manifest; for its bounded memory */
	bool is_reread;   /* bm_manifest_sorted_rewind will be called: the temporary file keeps what was read */
};

struct bm_manifest_sorted;

/* r is read to its end, borrowed for the call, and may be closed after it. BM_ERR_SYSTEM (the manifest cannot be read;
 * the temporary file cannot be made or written), BM_ERR_NOMEM. Blocks. */
enum bm_status bm_manifest_sorted_create(struct bm_manifest_reader *r, const struct bm_manifest_sorted_options *opt,
                                         struct bm_manifest_sorted **out, struct bm_error *err) BM_NODISCARD;
void bm_manifest_sorted_destroy(struct bm_manifest_sorted *s); /* NULL is fine */

/* BM_MANIFEST_ENTRY: the next one; what it points to is valid until the next call. BM_MANIFEST_END.
 * BM_MANIFEST_FAILED: the temporary file cannot be read, or no memory; and again for every further call. Never
 * BM_MANIFEST_BAD_LINE. May block on the disk. One thread at a time. */
enum bm_manifest_event bm_manifest_sorted_next(struct bm_manifest_sorted *s, struct bm_manifest_entry *e,
                                               struct bm_error *err) BM_NODISCARD;

/* To the first entry again, after which all come once more; any number of times. BM_ERR_SYSTEM, BM_ERR_NOMEM;
 * BM_ERR_USAGE: is_reread was not set. */
enum bm_status bm_manifest_sorted_rewind(struct bm_manifest_sorted *s, struct bm_error *err) BM_NODISCARD;

struct bm_manifest_sorted_stats {
	uint64_t entry_count, bad_line_count;
	bool was_sorted;        /* the manifest was in order already */
	size_t run_count;       /* in the temporary file, as first written; 0: all is in memory */
	uint64_t merge_count;   /* how often runs were merged into one beforehand, there being too many of them */
	uint64_t written_bytes; /* to the temporary file */
	size_t peak_bytes;      /* of memory that memory_bytes is about */
};
void bm_manifest_sorted_get_stats(const struct bm_manifest_sorted *s, struct bm_manifest_sorted_stats *out);

#endif
