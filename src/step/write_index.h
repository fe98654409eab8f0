/*
 * write_index.h - the index of a BGZF output (.gzi, see bm_gzip.h), made while the output is written. For write.c: one
 * output each, one thread at a time.
 */
#ifndef WRITE_INDEX_H
#define WRITE_INDEX_H

#include "bm_sink.h"

#define WRITE_INDEX_SUFFIX ".gzi"

struct write_index;
/* Opens it beside the output at path (copied), to be replaced where there is one; opt is the output's. */
enum bm_status write_index_open(struct bm_sink_set *set, const char *path, const struct bm_sink_options *opt,
                                const struct bm_blocker *b, struct write_index **out, struct bm_error *err)
	BM_NODISCARD;
/* Takes the output's next bytes, which are whole BGZF blocks. */
enum bm_status write_index_add(struct write_index *x, const uint8_t *data, size_t len, const struct bm_blocker *b,
                               struct bm_error *err) BM_NODISCARD;
/* Frees x and hands over what there is to commit, also on error: the caller then aborts done->sink. */
struct write_index_done {
	struct bm_sink *sink;
	char *path; /* heap */
	uint64_t bytes;
};
enum bm_status write_index_finish(struct write_index *x, const struct bm_blocker *b, struct write_index_done *done,
                                  struct bm_error *err) BM_NODISCARD;
void write_index_abort(struct write_index *x); /* NULL is fine */

#endif
