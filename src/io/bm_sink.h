/*
 * bm_sink.h - writing one output so that its final name only ever means complete bytes.
 *
 * Regular target: missing directories made (0777 & ~umask), a temp file in the target's directory
 * (BM_TEMP_PREFIX + run + "-" + number + ".tmp", 0600, O_EXCL|O_NOFOLLOW|O_CLOEXEC), data, owner, xattrs, mode, times,
 * fsync, rename, fsync of the directory. The old file stays untouched until the rename. The first fsync error is final.
 * An existing target that is not a regular file (FIFO, device, /dev/null) is written in place. A target that is a
 * symlink: the link's target is replaced where the link stands for a file, and the link stays. umask() is never called.
 * One thread at a time per sink; a sink set (struct bm_sink_set) is shared by all sinks of a run.
 */
#ifndef BM_SINK_H
#define BM_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "bm_mem.h"
#include "bm_source.h"

#define BM_TEMP_PREFIX ".bytemill-"

enum bm_if_exists { BM_EXISTS_REPLACE, BM_EXISTS_SKIP, BM_EXISTS_FAIL, BM_EXISTS_APPEND };
/* BATCH: as FILE, but outputs that are put into a group (struct bm_sink_group) wait there for one syncfs(2) of them all. */
enum bm_durability { BM_DURABLE_NONE, BM_DURABLE_FILE, BM_DURABLE_BATCH };
#define BM_DURABLE_COUNT 3

/* What the sinks of one run share (run_id: part of the temp names; 1 to 160 bytes, no '/'): the temp names, the list of
 * temp files alive (so that a signal or a cancel removes them), the directories still to be synced (LRU, bounded),
 * descriptors of recent target directories. Any thread. */
struct bm_sink_set;
enum bm_status bm_sink_set_create(const char *run_id, enum bm_durability d, struct bm_sink_set **out,
                                  struct bm_error *err) BM_NODISCARD;
/* fsync of every directory that a rename or mkdir changed and that was not synced yet (a commit does not do it itself:
 * many files of one directory share one fsync). Called at the end of a run, before it may be called a success, and
 * before a source may be removed. The first error of any of them is final: every later call returns it again. May
 * sleep. */
enum bm_status bm_sink_set_sync(struct bm_sink_set *s, struct bm_error *err) BM_NODISCARD;
/* Removes every temp file now and lets no rename and no new temp file happen any more, whatever other threads are doing
 * with their sinks (their next commit fails with BM_ERR_CANCELLED): for the moment before the process ends itself. Any
 * thread, but no signal handler. */
void bm_sink_set_abort_all(struct bm_sink_set *s);
/* Removes from one directory the temp files (of any run) that nobody holds any more: what a killed run left. A live
 * sink holds a lock (flock) on its temp file, or where that is closed, in a group, a shared one on the directory: then
 * nothing is removed there. *removed may be NULL. BM_ERR_SYSTEM: the directory cannot be read. */
enum bm_status bm_sink_sweep(const char *dir, uint64_t *removed, struct bm_error *err) BM_NODISCARD;
/* The same for those of count runs only. are_over: the caller knows that these have ended, so that whoever holds the
 * directory does so for temp files of others. */
enum bm_status bm_sink_sweep_runs(const char *dir, const char *const *run_ids, size_t count, bool are_over,
                                  uint64_t *removed, struct bm_error *err) BM_NODISCARD;
void bm_sink_set_destroy(struct bm_sink_set *s); /* removes temp files that are left; NULL is fine */

struct bm_sink_options {
	enum bm_if_exists if_exists;
	bool preserve;   /* mode, owner, times, xattrs of the source stat/fd given to bm_sink_commit */
	uint32_t mode;   /* where nothing is preserved; masked with the process's umask */
	bool make_holes; /* 4 KiB blocks of zeros become holes */
	/* Of the input that is written, or NULL; borrowed while the sink lives. A target that is this very file, under
	 * whatever name, is refused with BM_ERR_CONFLICT. */
	const struct stat *input;
};

struct bm_sink;
/* Opens the temp file (or the stream "-": standard output). BM_ERR_EXISTS with if_exists FAIL; with SKIP *skipped is
 * set and *out is NULL, status BM_OK. APPEND: the temp starts as a copy of the old file (reflink or copy_file_range),
 * so that an append is as safe as a replace. The path is bytes; longer than PATH_MAX is done component by component. */
enum bm_status bm_sink_open(struct bm_sink_set *set, const char *path, const struct bm_sink_options *opt,
                            const struct bm_blocker *b, struct bm_sink **out, bool *skipped, struct bm_error *err)
	BM_NODISCARD;
/* How often opening it was tried again, as the blocker's retries say, and after which error the last time. */
unsigned bm_sink_retried(const struct bm_sink *s, int *sys_errno);
/* Appends. hole: data is all zero and stands for a hole. A pipe may block (block/unblock around it); EPIPE is
 * BM_ERR_SYSTEM with sys_errno EPIPE (SIGPIPE is the program's business: pool threads block it). */
enum bm_status bm_sink_write(struct bm_sink *s, const void *data, size_t len, bool hole, const struct bm_blocker *b,
                             struct bm_error *err) BM_NODISCARD;
/* Copies all of a regular source in the kernel: FICLONE, then copy_file_range hole by hole, then read/write through
 * scratch; each fall-back only on errnos that mean "not here" (EXDEV EINVAL EOPNOTSUPP ENOSYS EBADF ETXTBSY EPERM).
 * cancelled is asked between pieces. *bytes is advanced while it goes (relaxed atomic; for progress). */
enum bm_status bm_sink_copy_from(struct bm_sink *s, struct bm_source *src, uint8_t *scratch, size_t scratch_len,
                                 bool (*cancelled)(void *), void *arg, uint64_t *bytes, const struct bm_blocker *b,
                                 struct bm_error *err) BM_NODISCARD;
/* Metadata, fsync, rename. src_stat may be NULL (nothing to preserve); src_fd for xattrs, -1: none. *warnings (may be
 * NULL) gets a text a line of what could not be preserved ("owner: Operation not permitted"). Frees the sink, also on
 * error (then the temp is gone and the old file as it was). */
enum bm_status bm_sink_commit(struct bm_sink *s, const struct stat *src_stat, int src_fd, struct bm_buf *warnings,
                              const struct bm_blocker *b, struct bm_error *err) BM_NODISCARD;
/* The first half of a commit: all that comes before the rename. Without the fsync where it may wait and the sink can
 * wait for its group's (then bm_sink_waits): then it must go through bm_sink_group_add, bm_sink_group_sync and bm_sink_commit. On failure
 * too the sink stays, to be aborted. After it nothing can be written. */
enum bm_status bm_sink_complete(struct bm_sink *s, const struct stat *src_stat, int src_fd, bool may_wait,
                                struct bm_buf *warnings, const struct bm_blocker *b, struct bm_error *err) BM_NODISCARD;
bool bm_sink_waits(const struct bm_sink *s);
/* Gives the bytes of a complete file that is synced (by bm_sink_complete, or by its group) from offset `from` on to take, as
 * they are on the disk: past the page cache where that can be (sink_reread.c). BM_ERR_USAGE where it is no file
 * (bm_sink_is_file). Allocates up to 512 KiB for the call. */
typedef enum bm_status bm_sink_take_fn(void *arg, const uint8_t *data, size_t len, struct bm_error *err);
enum bm_status bm_sink_reread(struct bm_sink *s, uint64_t from, bm_sink_take_fn *take, void *arg,
                              const struct bm_blocker *b, struct bm_error *err) BM_NODISCARD;
/* The same for two outputs that belong together, such as a file and its index: both are complete before either takes its
 * name, and the second's old file is removed before the first is renamed, so that at no time the one stands beside a
 * version of the other that it is not of. Where the first fails neither is published; should the second fail at its
 * rename, the first is there without it, and it is an error. Frees both. */
enum bm_status bm_sink_commit_pair(struct bm_sink *s, struct bm_sink *second, const struct stat *src_stat, int src_fd,
                                   struct bm_buf *warnings, const struct bm_blocker *b, struct bm_error *err)
	BM_NODISCARD;
/* Writes over bytes that were written before (not holes): for a count at the start that is known at the end.
 * BM_ERR_UNSUPPORTED where it is no regular file; BM_ERR_USAGE beyond what was written. */
enum bm_status bm_sink_patch(struct bm_sink *s, uint64_t offset, const void *data, size_t len,
                             const struct bm_blocker *b, struct bm_error *err) BM_NODISCARD;
/* Cuts a regular output back to its first `bytes` bytes (<= bm_sink_size); writing goes on from there. */
enum bm_status bm_sink_truncate(struct bm_sink *s, uint64_t bytes, struct bm_error *err) BM_NODISCARD;
/* Bytes in the output so far; with APPEND those of the old file are counted. */
uint64_t bm_sink_size(const struct bm_sink *s);
void bm_sink_abort(struct bm_sink *s); /* removes the temp file, frees; NULL is fine */
/* Is it a file, with a name of its own, that bytes can be read back from? Not so a FIFO, a device, standard output. */
bool bm_sink_is_file(const struct bm_sink *s);
/* Sets err of the output: its path is the place. Returns status. */
enum bm_status bm_sink_refuse(const struct bm_sink *s, enum bm_status status, struct bm_error *err, const char *text);
bool bm_sink_in_memory(const struct bm_sink *s); /* ... but no disk is behind it */

/* Outputs whose bytes go to the disk together: one syncfs(2) for each file system, in place of an fsync for each file.
 * An error of the write-back of any of them, at whatever time, is an error of the group. One thread at a time. */
struct bm_sink_group;
enum bm_status bm_sink_group_create(struct bm_sink_group **out, struct bm_error *err) BM_NODISCARD;
/* Adds a sink that waits and closes its descriptor; it stays the caller's, who ends it by bm_sink_commit after
 * bm_sink_group_sync was fine, and by bm_sink_abort otherwise. A failure is the sink's. *new_dir: no other that waits is
 * in its directory, whose descriptor stays open until then. May sleep. */
enum bm_status bm_sink_group_add(struct bm_sink_group *g, struct bm_sink *s, bool *new_dir, struct bm_error *err)
	BM_NODISCARD;
/* Once, when all are in. May sleep for long. */
enum bm_status bm_sink_group_sync(struct bm_sink_group *g, struct bm_error *err) BM_NODISCARD;
void bm_sink_group_destroy(struct bm_sink_group *g); /* NULL is fine */

#endif
