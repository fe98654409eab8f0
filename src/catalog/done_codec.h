/* done_codec.h - the outputs and digests of a done record as bytes and back: the column `result` of the table `done`.
 * Any thread, one at a time per object. */
#ifndef DONE_CODEC_H
#define DONE_CODEC_H

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
#define DONE_NUMBER_MAX 10 /* bytes */
void done_put_number(struct bm_buf *out, uint64_t v);
void done_put_bytes(struct bm_buf *out, const void *bytes, size_t len); /* with their length */
uint64_t done_get_number(struct done_reader *r);
const char *done_get_bytes(struct done_reader *r, size_t *len);
uint64_t done_zigzag(int64_t v);
int64_t done_unzigzag(uint64_t v);

/* What done_encode appends has at most so many bytes. SIZE_MAX: nothing in memory is that large. */
size_t done_encoded_max(const struct bm_catalog_done *d);

/* Appends. Numbers for algorithms come from c. Also fails by out->oom. */
enum bm_status done_encode(struct bm_catalog *c, const struct bm_catalog_done *d, struct bm_buf *out,
                           struct bm_error *err) BM_NODISCARD;
/* path: of the input. What is decoded points into data and v. BM_ERR_FORMAT: it is no such thing. */
enum bm_status done_decode(struct bm_catalog *c, const char *path, size_t path_len, const char *data, size_t len,
                           struct done_view *v, struct bm_error *err) BM_NODISCARD;

#endif
