/*
 * blake2b.h - BLAKE2b with digests of 1 to 63 bytes, which OpenSSL before 3.2 does not offer; for digest.c only.
 *
 * One thread at a time per state. Nothing here fails, blocks or allocates. Source: RFC 7693.
 */
#ifndef BLAKE2B_H
#define BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE2B_BLOCK 128

struct blake2b { /* all private */
	uint64_t h[8];
	uint64_t total; /* bytes compressed so far */
	size_t size_bytes;
	size_t fill; /* of block; a full one waits, for it may be the last */
	uint8_t block[BLAKE2B_BLOCK];
};

/* A digest of size_bytes, 1 to 64, without a key. Also starts anew. */
void blake2b_start(struct blake2b *b, size_t size_bytes);
void blake2b_update(struct blake2b *b, const void *data, size_t len);
void blake2b_finish(struct blake2b *b, uint8_t *out);

#endif
