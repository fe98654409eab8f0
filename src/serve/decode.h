/* decode.h - what is in an encoded file, from its start: a chain of streaming decoders that is pulled at its end. */
#ifndef SERVE_DECODE_H
#define SERVE_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

struct bm_age_identities;
struct decode_chain;

/* fd is borrowed, and read from its start. ids may be NULL. window_most: of zstd, bytes. Looks at the first bytes.
 * BM_ERR_USAGE: age, and no identities; BM_ERR_LIMIT: zstd with a larger window; BM_ERR_FORMAT and others: damage that
 * shows at once. */
enum bm_status decode_chain_open(int fd, const struct bm_age_identities *ids, uint64_t window_most,
                                 struct decode_chain **out, struct bm_error *err) BM_NODISCARD;
/* Up to cap (> 0) bytes; *len 0 is the end. */
enum bm_status decode_chain_read(struct decode_chain *c, void *buf, size_t cap, size_t *len, struct bm_error *err)
	BM_NODISCARD;
void decode_chain_close(struct decode_chain *c); /* NULL is fine */

#endif
