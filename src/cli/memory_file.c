/* memory_file.c - see memory_file.h. */
#include "memory_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int bm_memory_file(const char *text, size_t len)
{
	int fd = memfd_create("bytemill", MFD_CLOEXEC), why;

	while (fd >= 0 && len > 0) {
		ssize_t n = write(fd, text, len);

		if (n <= 0)
			goto fail;
		text += n;
		len -= (size_t)n;
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0)
		goto fail;
	return fd;

fail:
	why = errno;
	close(fd);
	errno = why;
	return -1;
}
