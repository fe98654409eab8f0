/*
 * bm_bag.h - BagIt bags (RFC 8493): the files beside the payload are written, or read and judged. The payload itself is
 * read by a job, which the caller runs: its results go to the writer, or are compared with the list that is made here.
 * One thread at a time per object.
 */
#ifndef BM_BAG_H
#define BM_BAG_H

#include <bytemill/bytemill.h>

#include "bm_digest.h"

#define BM_BAG_ALGORITHMS_MAX 8

/* ---- writing ---- */

struct bm_bag_writer;
/* The directory dir gets manifest-ALG.txt, bag-info.txt, tagmanifest-ALG.txt and bagit.txt. Temporary files are opened
 * now. Errors as of bm_sink_open. */
enum bm_status bm_bag_writer_create(const char *dir, const struct bm_digest_algorithm *const *algorithms, size_t count,
                                    struct bm_bag_writer **out, struct bm_error *err) BM_NODISCARD;
/* A file of the payload that was done, with its digests. What fails is told by finish. */
void bm_bag_writer_add(struct bm_bag_writer *w, const struct bm_file_result *f);
/* Names so far that are not UTF-8, which the encoding of a bag does not allow. */
uint64_t bm_bag_writer_odd_names(const struct bm_bag_writer *w);
/* All of them on disk, bagit.txt last: before it is there the directory is no bag. info: "KEY: VALUE" each. */
enum bm_status bm_bag_writer_finish(struct bm_bag_writer *w, const char *const *info, size_t info_count,
                                    struct bm_error *err) BM_NODISCARD;
void bm_bag_writer_destroy(struct bm_bag_writer *w); /* removes what was not finished; NULL is fine */

/* ---- judging ---- */

struct bm_bag_check {
	/* Each fault, as it is found; fit for a terminal. */
	void (*on_fault)(void *ctx, const char *text);
	void *ctx;
	/* Set by bm_bag_check: */
	int list;             /* a manifest of all that the bag's manifests list, in /proc/self/fd; -1: none */
	size_t payload_kinds; /* payload manifests of known algorithms */
	bool must_list_all;   /* each of them lists every file: from version 1.0 on */
	uint64_t faults;      /* told so far: it is not valid */
	uint64_t incomplete;  /* of these: something is not there */
	uint64_t unknown;     /* manifests of algorithms that are not known here */
};
/* bagit.txt, Payload-Oxum, fetch.txt, and the lines of all manifests; reads no payload. Where the payload's size or count
 * is wrong, or nothing could be compared, list is -1. BM_ERR_USAGE: no bag. BM_ERR_SYSTEM, BM_ERR_NOMEM. Blocks. */
enum bm_status bm_bag_check(const char *dir, struct bm_bag_check *c, struct bm_error *err) BM_NODISCARD;

#endif
