/*
 * verify_join.h - which of the files that are only in the tree are those that are only in the manifest, under another
 * name: told by their digests, when all of both are known.
 *
 * Memory: 40 bytes a file (and 16 more for each further digest of it); names, digests and results go to a temporary
 * file without a name once they are more than JOIN_MEMORY. One thread at a time.
 *
 * The rules:
 *  - MOVED is one to one: a new file takes the place of one missing file of the same digest, first one with the same
 *    last component in its name, then in listing order.
 *  - DUPLICATE: a new file that is left has the digest of a listed file that is ok, or of a file that MOVED.
 *  - NEW keeps that verdict where the listed file of that digest is not ok itself; its name is told all the same.
 *  - Empty files, and digests of less than 8 bytes (CRC-32), say nothing: neither is ever the same as another.
 *  - Where two files have several algorithms in common all those digests have to be the same.
 */
#ifndef VERIFY_JOIN_H
#define VERIFY_JOIN_H

#include <bytemill/bytemill.h>

#include "bm_mem.h"

#define JOIN_MEMORY ((size_t)1 << 20)

enum join_kind {
	JOIN_NEW,
	JOIN_MISSING,
	JOIN_NOT_OK /* listed, there, and not ok */
};

struct join_digest {
	unsigned algorithm; /* any number below 256, the same for the same algorithm everywhere */
	const uint8_t *bytes;
	size_t len;
};

struct join;
enum bm_status join_create(struct join **out, struct bm_error *err) BM_NODISCARD;
void join_destroy(struct join *j); /* NULL is fine */

struct join_item {
	enum join_kind kind;
	const char *name; /* NUL-terminated */
	size_t name_len;
	bool is_empty; /* the file has no bytes */
	const struct join_digest *digests;
	size_t digest_count; /* at most 64 */
	const void *record;  /* given back as it is */
	size_t record_len;
};
/* In listing order: the byte order of names, as the manifest's below. BM_ERR_NOMEM, BM_ERR_SYSTEM, BM_ERR_LIMIT. */
enum bm_status join_add(struct join *j, const struct join_item *item, struct bm_error *err) BM_NODISCARD;

/* The manifest's files in listing order (several times the same name is fine); false: there are no more, or err is set. */
typedef bool join_listed_fn(void *ctx, const char **name, size_t *name_len, const struct join_digest **digests,
                            size_t *digest_count, struct bm_error *err);
/* Decides. Once, after the last add; what was not decided (join_run was not called, or failed) stays as it was added. */
enum bm_status join_run(struct join *j, join_listed_fn *listed, void *ctx, struct bm_error *err) BM_NODISCARD;

struct join_given { /* what was added, and what became of it; all borrowed for the call */
	const char *name;
	size_t name_len;
	const struct join_digest *digests;
	size_t digest_count;
	const void *record;
	size_t record_len;
	enum bm_verdict verdict;
	const char *other; /* bytemill.h */
};
/* Calls give for each item, in the order in which they were added, but for those that are NOT_OK, and MISSING ones whose
 * file MOVED. */
enum bm_status join_each(struct join *j, void (*give)(void *ctx, const struct join_given *given), void *ctx,
                         struct bm_error *err) BM_NODISCARD;

#endif
