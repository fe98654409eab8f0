/*
 * record.h - an entry as one row of bytes, for sorting and for the temporary file of bm_manifest_sorted.h. In the
 * machine's byte order: nobody else reads it. For this layer only; any thread.
 */
#ifndef BM_MANIFEST_RECORD_H
#define BM_MANIFEST_RECORD_H

#include <string.h>

#include "bm_manifest.h"

/* name_len, length of what follows the name, line; then the name, a NUL, the rest (record.c). */
#define RECORD_HEADER_BYTES 16

static inline size_t record_name_len(const unsigned char *record)
{
	uint32_t len;

	memcpy(&len, record, sizeof(len));
	return len;
}

static inline const unsigned char *record_name(const unsigned char *record)
{
	return record + RECORD_HEADER_BYTES;
}

static inline uint64_t record_line(const unsigned char *record)
{
	uint64_t line;

	memcpy(&line, record + 8, sizeof(line));
	return line;
}

/* The whole record's; its header suffices to know. */
static inline size_t record_bytes(const unsigned char *record)
{
	uint32_t rest;

	memcpy(&rest, record + 4, sizeof(rest));
	return RECORD_HEADER_BYTES + record_name_len(record) + 1 + (size_t)rest;
}

/* What the record of e will take; 0: a part of it is over 4 GiB. */
size_t record_size(const struct bm_manifest_entry *e);
/* Writes record_size(e) bytes. */
void record_put(unsigned char *to, const struct bm_manifest_entry *e);
/* *e and its digests then point into the record. */
void record_get(const unsigned char *record, struct bm_manifest_digest digests[static BM_MANIFEST_DIGESTS_MAX],
                struct bm_manifest_entry *e);
/* By name as bytes, then by line. */
int record_compare(const unsigned char *a, const unsigned char *b);

#endif
