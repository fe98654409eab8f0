/*
 * age_peek.h - private to src/codec: a few bytes of a payload chunk, for readers that go from place to place: the two
 * halves of opening a chunk by themselves. Authenticating alone is a third of the work, decrypting a few bytes next to
 * none. One thread at a time.
 */
#ifndef BM_CODEC_AGE_PEEK_H
#define BM_CODEC_AGE_PEEK_H

#include "bm_age.h"

struct age_peek;
/* Keeps a copy of key, which is wiped in destroy. NULL: no memory, or this OpenSSL does not offer the two parts of the
 * cipher by themselves; the caller does without. */
struct age_peek *age_peek_create(const struct bm_age_key *key);
void age_peek_destroy(struct age_peek *p); /* NULL is fine */
/* Does the sealed chunk (tag included) number index authenticate? False where OpenSSL fails too. */
bool age_peek_check(struct age_peek *p, uint64_t index, bool last, const uint8_t *sealed, size_t len);
/* Decrypts len bytes (up to AGE_PEEK_MAX_BYTES), which stand at this offset in the sealed chunk, tag not included. The
 * caller sees to it that the chunk is checked before anything hangs on them. */
#define AGE_PEEK_MAX_BYTES ((size_t)64)
bool age_peek_decrypt(struct age_peek *p, uint64_t index, bool last, size_t offset, const uint8_t *sealed, uint8_t *out,
                      size_t len);

#endif
