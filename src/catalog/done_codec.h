/* done_codec.h - the outputs and digests of a done record as bytes and back: the column `result` of the table `done`.
 * Any thread, one at a time per object. */
#ifndef DONE_CODEC_H
#define DONE_CODEC_H

#include <endian.h>
#include <string.h>

#include "bm_catalog_done.h"
#include "catalog_internal.h"

/* A decoded result. Zero-initialise; used again and again. */
struct done_view {
	struct bm_catalog_output *outputs; /* owned, as all here */
	size_t output_count, output_cap;
	struct bm_catalog_done_digest *digests;
	size_t digest_count, digest_cap;
	struct bm_buf paths;
};
void done_view_fini(struct done_view *v);

/* The parts of it. A reader that is bad gives zeros. */
struct done_reader {
	const uint8_t *at, *end;
	bool bad;
};
#define DONE_NUMBER_MAX 10            /* bytes */
#define DONE_FIXED_BYTES ((size_t)40) /* of a log's record: size, mtime, ctime, inode, time */
/* Writers put to a place where there is room, and give the place after that. */
static inline char *done_put_number(char *at, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		*at++ = (char)(v | 0x80);
	*at++ = (char)v;
	return at;
}
static inline char *done_put_bytes(char *at, const void *bytes, size_t len) /* with their length */
{
	at = done_put_number(at, len);
	if (len > 0)
		memcpy(at, bytes, len);
	return at + len;
}
/* The low byte first. bytes: up to 8; a constant, so that nothing of it is left. */
static inline char *done_put_le(char *at, uint64_t v, size_t bytes)
{
	v = htole64(v);
	memcpy(at, &v, bytes);
	return at + bytes;
}
uint64_t done_get_le(const uint8_t *at, size_t bytes);
uint64_t done_get_number(struct done_reader *r);
const char *done_get_bytes(struct done_reader *r, size_t *len);
uint64_t done_zigzag(int64_t v);
int64_t done_unzigzag(uint64_t v);

/* What done_encode puts has at most so many bytes. SIZE_MAX: nothing in memory is that large. */
size_t done_encoded_max(const struct bm_catalog_done *d);

/* All but the sum. Numbers for algorithms come from c. *end: the place after it. */
enum bm_status done_encode(struct bm_catalog *c, const struct bm_catalog_done *d, char *at, char **end,
                           struct bm_error *err) BM_NODISCARD;
/* The sum of that. path: of the input. */
#define DONE_SUM_BYTES 4
void done_sum(const char *path, size_t path_len, const void *bytes, size_t len, uint8_t out[static DONE_SUM_BYTES]);
/* path: of the input. What is decoded points into data and v. BM_ERR_FORMAT: it is no such thing. */
enum bm_status done_decode(struct bm_catalog *c, const char *path, size_t path_len, const char *data, size_t len,
                           struct done_view *v, struct bm_error *err) BM_NODISCARD;

#endif
