/* bm_fd.h - whole reads and writes of blocking descriptors, whatever the kernel splits or a signal interrupts, and that
 * what was written stays. Any thread, one at a time per descriptor. May sleep. */
#ifndef BM_FD_H
#define BM_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False: errno says why; how much of it was written is not known. */
bool bm_fd_write_all(int fd, const void *data, size_t len);
/* False: errno says why, 0 where the end came first. What was read until then is in out. */
bool bm_fd_read_all(int fd, void *out, size_t len);
/* The same from offset on, as pread(2); several threads may. */
bool bm_fd_read_all_at(int fd, void *out, size_t len, uint64_t offset);
/* The file that is open as fd, and its name path, will be there after a power cut: fsync(2) of the file and of its directory,
 * or syncfs(2) where that may not be read. True where the file system has no such thing; false: errno says why, and
 * whether it is there then is not known. */
bool bm_fd_sync(int fd, const char *path);

#endif
