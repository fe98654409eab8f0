/*
 * bm_source.h - reading one input in chunks: no whole file in memory, every count checked, no promise broken in
 * silence.
 *
 * A regular file is read with read-ahead hints; what is in the page cache is read without giving up the CPU permit
 * (openat2 RESOLVE_CACHED, preadv2 RWF_NOWAIT), anything else between block() and unblock(). A file whose size, mtime
 * or ctime is another at the end than at the start, or that ends early or late, fails with BM_ERR_CHANGED. Below a
 * walked root the last component is opened O_NOFOLLOW unless links are followed, with O_NONBLOCK first where a FIFO
 * could hang. One thread at a time per source.
 */
#ifndef BM_SOURCE_H
#define BM_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <bytemill/error.h>

struct bm_entry;
struct bm_pace;
struct bm_source;
struct bm_url_client;

/* How to give up the permit around a call that may sleep. Both may be NULL. */
struct bm_blocker {
	void (*block)(void *arg);
	void (*unblock)(void *arg);
	void *arg;
	/* A descriptor that becomes readable when the caller wants to be let go: sleeping in a pipe or terminal then
	 * ends with BM_ERR_CANCELLED. 0: none. */
	int cancel_fd;
	/* As block, for calls that wait at a disk and end by themselves, of which not too many should wait at once. NULL:
	 * block. */
	void (*block_disk)(void *arg);
	/* What is read is paid for here (bm_pace.h); NULL: it costs nothing. */
	struct bm_pace *pace;
	/* How often an open, or a read, is tried again after an error that may pass: EIO, EAGAIN, ESTALE, ETIMEDOUT. */
	unsigned retries;
};

/* Opens. The entry is borrowed for this call only. */
enum bm_status bm_source_open(const struct bm_entry *e, bool follow_symlinks, const struct bm_blocker *b,
                              struct bm_source **out, struct bm_error *err) BM_NODISCARD;
/* A BM_ENTRY_URL: until the server has said what it has. The client is borrowed while the source lives. What may pass is
 * tried again as the client says, also while it is read. BM_ERR_MISMATCH: another size than expected; BM_ERR_TRUNCATED,
 * BM_ERR_CHANGED, BM_ERR_FAILED: the text says what the server did. */
enum bm_status bm_source_open_url(const struct bm_entry *e, struct bm_url_client *c, const struct bm_blocker *b,
                                  struct bm_source **out, struct bm_error *err) BM_NODISCARD;
/* The same, and reads the first up to cap bytes into buf where that can be had for one call less: *len is then not 0, and
 * *last as of bm_source_read, which goes on behind them. cap > 0. */
enum bm_status bm_source_open_read(const struct bm_entry *e, bool follow_symlinks, uint8_t *buf, size_t cap,
                                   size_t *len, bool *last, const struct bm_blocker *b, struct bm_source **out,
                                   struct bm_error *err) BM_NODISCARD;
/* Reads up to cap bytes (all of cap, unless the end comes first), *last set where no byte follows: known without a
 * further call, so that a file that is a whole number of chunks long does not get an empty extra chunk. *hole is set
 * where all of it is a hole; buf is zeroed then too. cap > 0. */
enum bm_status bm_source_read(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len, bool *last, bool *hole,
                              const struct bm_blocker *b, struct bm_error *err) BM_NODISCARD;
/* A feed's, as bm_feed_take; what is read is paid for. */
enum bm_status bm_source_take(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len, bool *last, bool *later,
                              void (*wake)(void *arg), void *arg, const struct bm_blocker *b, struct bm_error *err)
	BM_NODISCARD;
bool bm_source_is_fed(const struct bm_source *s); /* is it a feed? */
/* How often opening or reading was tried again so far, and after which error the last time (0: of a URL). */
unsigned bm_source_retried(const struct bm_source *s, int *sys_errno);
/* The next bm_source_read starts at offset. Only for a regular file whose size is known (stat size > 0); offset < size. */
void bm_source_seek(struct bm_source *s, uint64_t offset);
void bm_source_close(struct bm_source *s);                    /* NULL is fine */
const struct stat *bm_source_stat(const struct bm_source *s); /* as at open; borrowed */
int bm_source_fd(const struct bm_source *s);                  /* -1: a URL */
bool bm_source_is_sparse(const struct bm_source *s);          /* regular, and fewer blocks than bytes */
bool bm_source_is_regular(const struct bm_source *s);
/* Its stat holds what a copy of it should have: a regular file, or a URL whose server said when it was changed. */
bool bm_source_has_times(const struct bm_source *s);
/* Compares with the file as it is now; BM_ERR_CHANGED. For copies in the kernel; bm_source_read does it at the end. */
enum bm_status bm_source_check_unchanged(const struct bm_source *s, struct bm_error *err) BM_NODISCARD;
/* Is whoever writes the file from now on sure to leave it with other times than bm_source_stat has? Not so where it was
 * written so short a time ago that the clock of its file system has not gone on. */
bool bm_source_is_settled(const struct bm_source *s);

#endif
