/*
 * bm_lock.h - a lock that keeps two runs of one job apart.
 *
 * It is an flock(2) on a file in the state directory: held by a descriptor (O_CLOEXEC), let go by the kernel when the
 * process ends in whatever way, so that it is never stale. The files stay; what is in them says who holds the lock, for
 * people, and decides nothing. One thread at a time per lock; several locks, also of one key, are fine.
 */
#ifndef BM_LOCK_H
#define BM_LOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "bm_mem.h"

struct bm_lock;

/* Opens the lock of a key (any bytes): <state_dir>/locks/<digest of the key>.lock, made with its directories where
 * missing. state_dir is absolute. BM_ERR_SYSTEM, BM_ERR_NOMEM. */
enum bm_status bm_lock_open(const char *state_dir, const void *key, size_t key_len, struct bm_lock **out,
                            struct bm_error *err) BM_NODISCARD;
/* Takes it where nobody has it: *taken. With block it sleeps until then, or until a signal handler interrupts
 * (BM_OK, and *taken is false). BM_ERR_SYSTEM: the file system knows no locks. */
enum bm_status bm_lock_take(struct bm_lock *l, bool block, bool *taken, struct bm_error *err) BM_NODISCARD;
/* Writes into a taken lock that this process holds it since now, and text (lines of "key value"; may be ""). What
 * cannot be written is left out: the lock is held all the same. */
void bm_lock_sign(struct bm_lock *l, const char *text);
/* Appends who holds it: "process 4242 since 2026-11-22 03:00:00", fit for a terminal. Where the holder has not signed
 * (yet): false, and "another process". */
bool bm_lock_holder(struct bm_lock *l, struct bm_buf *out);
const char *bm_lock_path(const struct bm_lock *l); /* borrowed; bytes */
void bm_lock_destroy(struct bm_lock *l);           /* lets it go; NULL is fine */

#endif
