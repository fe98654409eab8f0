/*
 * io_dir.h - private to src/io: the directory handle that entries share. Any number of threads open files below it
 * without a lock: but for atomics it never changes after it was made.
 */
#ifndef BM_IO_DIR_H
#define BM_IO_DIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "bm_walk.h"

struct bm_dir {
	atomic_uint refs;
	int fd;    /* -1: too many are open, or descriptors ran out: opened by path, see bm_dir_open_leaf */
	dev_t dev; /* what the directory was when it was listed */
	ino_t ino;
	bool own_clock;            /* its file system's times are those of this machine's clock, see bm_io_own_clock */
	atomic_bool has_unsettled; /* a file in it was changed just now, so that others may have been; only a hint */
};

/* A handle with one reference. Takes fd into its care where the cap on open handles allows it (then the handle's fd is
 * fd), else leaves fd to the caller. NULL: no memory; fd stays the caller's. Any thread. */
struct bm_dir *bm_dir_create(int fd, dev_t dev, ino_t ino, bool own_clock);

/* Opens the entry's leaf below its directory, or display where it has none. cached_only: EAGAIN where it may sleep.
 * ESTALE: the directory is another than the one that was listed. Any thread. */
int bm_dir_open_leaf(const struct bm_entry *e, int flags, bool cached_only);

#endif
