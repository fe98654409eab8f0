/*
 * bm_pace.h - how many bytes a second may be read: a bucket of tokens that all who read share.
 *
 * Bytes are bought before they are read, where it is known how many there will be. The price is time: the buyer gets the
 * next free piece of it, as long as the bytes are worth, and sleeps to its end, so that the bytes read up to any moment
 * are never more than time allows but for BM_PACE_CREDIT_MS worth of what was not used before.
 */
#ifndef BM_PACE_H
#define BM_PACE_H

#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

#include "bm_source.h"

#define BM_PACE_CREDIT_MS 50

struct bm_pace;

/* bytes_per_second > 0. BM_ERR_NOMEM. */
enum bm_status bm_pace_create(uint64_t bytes_per_second, struct bm_pace **out, struct bm_error *err) BM_NODISCARD;
void bm_pace_destroy(struct bm_pace *p); /* NULL is fine; nobody is buying */
/* Buys bytes at b->pace; NULL there: they are free. Sleeps between block() and unblock(), holding nothing; so not between
 * the two itself. 0, or -1 and ECANCELED where b->cancel_fd ended the sleep. Any thread. */
int bm_pace_take(const struct bm_blocker *b, size_t bytes);

#endif
