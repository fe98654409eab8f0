/*
 * io_sys.h - private to src/io: system calls as this layer needs them (paths of any length, what the caches answer
 * without sleeping, EINTR retried) and errors that name a path. Any thread. The functions that return int are like
 * system calls: -1 and errno on failure.
 */
#ifndef BM_IO_SYS_H
#define BM_IO_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <bytemill/error.h>

#include "bm_source.h"

/* Gives the permit up and takes it back; errno survives both. b and its members may be NULL. */
void bm_io_block(const struct bm_blocker *b);
void bm_io_block_disk(const struct bm_blocker *b);
void bm_io_unblock(const struct bm_blocker *b);

/* Sleeps until fd is ready for events (poll), 0, or the blocker's cancel_fd is readable, -1 and ECANCELED. Call it
 * between block() and unblock(). */
int bm_io_wait(int fd, short events, const struct bm_blocker *b);
/* Sleeps for ms; 0, or -1 and ECANCELED where the blocker's cancel_fd ends it. Call it between block() and unblock(). */
int bm_io_sleep(uint64_t ms, const struct bm_blocker *b);
/* Is it an error that may pass by itself, as those of a network do: EIO, EAGAIN, ESTALE, ETIMEDOUT? */
bool bm_io_may_pass(int sys_errno);
/* How long to wait before a call is made again that was tried so often before: 100 ms, then twice as long each time, up to
 * 10 s. */
uint64_t bm_io_back_off_ms(unsigned tries);
/* Opens a FIFO or device for writing; sleeps until a FIFO has a reader; ECANCELED as bm_io_wait. Any device too. */
int bm_io_open_fifo_writer(int dir, const char *path, int flags, const struct bm_blocker *b);

/* openat() for a path of len bytes, NUL-terminated, that may be longer than PATH_MAX: then it is opened piece by piece
 * (a single component longer than the file system allows is still ENAMETOOLONG). May sleep. */
int bm_io_open(int dir, const char *path, size_t len, int flags, mode_t mode);
/* The same, but only where the dentry cache answers: EAGAIN where it might sleep, or where the kernel cannot say. */
int bm_io_open_cached(int dir, const char *path, size_t len, int flags);
/* fstatat() for a path of any length. flags: 0 or AT_SYMLINK_NOFOLLOW. May sleep. */
int bm_io_stat(int dir, const char *path, size_t len, struct stat *st, int flags);
/* Are the files of fd's file system in memory alone, so that reading and writing them waits for no disk (tmpfs, ramfs;
 * unless they are swapped out)? */
bool bm_io_in_memory(int fd);
/* Does fd's file system take its times from this machine's clock, and does it change ctime with every write? Not so where
 * a server does that (NFS, SMB, FUSE), or where it is not known. */
bool bm_io_own_clock(int fd);
/* Does syncfs(2) on fd's file system write all that its files have, and tell of any error of writing since fd was opened?
 * Local file systems, since Linux 5.8; a server or another layer below may not know of it. */
bool bm_io_has_syncfs(int fd);
/* close() for -1 and for a descriptor whose error is of no interest; errno is kept. */
void bm_io_close(int fd);

/* Same size, mtime and ctime (atime is changed by reading). */
bool bm_io_same_state(const struct stat *a, const struct stat *b);
/* "a FIFO", "a directory" ...: what a file of that mode is, with its article. */
const char *bm_io_kind_text(mode_t mode);

/* Sets err for a path (escaped for display here) and returns the status. sys_errno: "fmt: strerror; what to do". */
enum bm_status bm_io_fail(struct bm_error *err, int sys_errno, const char *path, size_t len, const char *fmt, ...)
	BM_PRINTF(5, 6);
enum bm_status bm_io_refuse(struct bm_error *err, enum bm_status status, const char *path, size_t len, const char *fmt,
                            ...) BM_PRINTF(5, 6);

#endif
