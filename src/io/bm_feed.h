/*
 * bm_feed.h - bytes that somebody hands in piece by piece, as an input: the body of an HTTP request, for instance.
 *
 * A ring of fixed size between a WRITER, which never blocks, and a READER, a source (bm_source.h) whose entry has this
 * feed. Unlike a pipe it tells a good end from a bad one: the reader does not see the last chunk before the writer has
 * said that the bytes are whole and right (bm_feed_end); after bm_feed_fail it fails, and nothing that hangs on it is
 * published.
 *
 * One writer and one reader at a time, in any threads. Two callbacks tell the writer when to stop and when to go on;
 * they are called with the feed's lock held, so that neither can overtake the other: they must not call the feed, and
 * not block.
 */
#ifndef BM_FEED_H
#define BM_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

struct bm_blocker;
struct bm_feed;

struct bm_feed_options {
	size_t ring_bytes; /* > 0 */
	/* A put took nothing since the ring is full; and then: there is room, or nobody reads any more. May be NULL. */
	void (*on_full)(void *ctx);
	void (*on_room)(void *ctx);
	void *ctx;
};

/* BM_ERR_NOMEM, BM_ERR_SYSTEM (no descriptor). */
enum bm_status bm_feed_create(const struct bm_feed_options *opt, struct bm_feed **out, struct bm_error *err)
	BM_NODISCARD;
void bm_feed_destroy(struct bm_feed *f); /* neither side may use it any more; NULL is fine */

/* ---- writer ---- */

/* Copies as much as there is room for and returns how much; 0 for len > 0: on_full was called (once), on_room will be. Where
 * nobody reads any more it takes all, and drops it. */
size_t bm_feed_put(struct bm_feed *f, const void *data, size_t len);
void bm_feed_end(struct bm_feed *f);                              /* all bytes are there, and they are right */
void bm_feed_fail(struct bm_feed *f, const struct bm_error *err); /* they are not; after an end it does nothing */

/* ---- reader ---- */

/* Reads cap bytes, fewer only where the end comes first; *last: no byte follows. Between block() and unblock() of b it
 * sleeps for as long as the writer takes. The error of bm_feed_fail; BM_ERR_CANCELLED by the blocker's cancel_fd. */
enum bm_status bm_feed_read(struct bm_feed *f, void *buf, size_t cap, size_t *len, bool *last,
                            const struct bm_blocker *b, struct bm_error *err) BM_NODISCARD;
/* The same without sleeping: *later, and what there was until then, where there is not enough as yet; wake(arg) is then
 * called once, by the writer and with the feed's lock held, when it is worth another call, unless bm_feed_leave comes
 * first. It must not call the feed. cap 0: to know if the end is here. */
enum bm_status bm_feed_take(struct bm_feed *f, void *buf, size_t cap, size_t *len, bool *last, bool *later,
                            void (*wake)(void *arg), void *arg, struct bm_error *err) BM_NODISCARD;
/* Nobody reads any more. Any thread. */
void bm_feed_leave(struct bm_feed *f);

#endif
