/* fd.c - see bm_fd.h. */
#include "bm_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool bm_fd_write_all(int fd, const void *data, size_t len)
{
	for (const char *at = data; len > 0;) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* a regular file never does that */
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool bm_fd_read_all(int fd, void *out, size_t len)
{
	for (char *at = out; len > 0;) {
		ssize_t n = read(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool bm_fd_read_all_at(int fd, void *out, size_t len, uint64_t offset)
{
	for (char *at = out; len > 0;) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

static bool sync_one(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc != 0 && errno == EINTR);
	return rc == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

bool bm_fd_sync(int fd, const char *path)
{
	char *copy = NULL;
	bool good = sync_one(fd);
	int dir, code;

	if (!good)
		return false;
	copy = strdup(path);
	if (copy == NULL)
		return false;
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		good = sync_one(dir);
	else
		good = errno == EACCES && syncfs(fd) == 0;
	code = errno;
	if (dir >= 0)
		close(dir);
	free(copy);
	errno = code;
	return good;
}
