/* memory_file.c - see memory_file.h. */
#include "memory_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bm_fd.h"

int bm_memory_file(const char *text, size_t len)
{
	int fd = memfd_create("bytemill", MFD_CLOEXEC), why;

	if (fd >= 0 && !bm_fd_write_all(fd, text, len))
		goto fail;
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0)
		goto fail;
	return fd;

fail:
	why = errno;
	close(fd);
	errno = why;
	return -1;
}
