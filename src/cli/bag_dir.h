/* bag_dir.h - directories of bags: calls that a signal interrupts are made again. Any thread; -1 and errno as the calls. */
#ifndef BM_CLI_BAG_DIR_H
#define BM_CLI_BAG_DIR_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_CLOEXEC is added. */
static inline int bag_open(int at, const char *name, int flags)
{
	int fd;

	do
		fd = openat(at, name, flags | O_CLOEXEC, 0600);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static inline int bag_open_dir(int at, const char *name)
{
	return bag_open(at, name, O_RDONLY | O_DIRECTORY);
}

static inline int bag_sync(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc != 0 && errno == EINTR);
	return rc;
}

static inline bool bag_has(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

#endif
