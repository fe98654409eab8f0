/*
 * temp.c - see bm_temp.h. O_TMPFILE makes a file that never has a name; where a file system does not know it, one is made
 * with a name that is taken away at once.
 */
#include "bm_temp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bm_mem.h"

const char *bm_temp_dir(void)
{
	const char *dir = secure_getenv("TMPDIR");

	return dir != NULL && *dir != '\0' ? dir : "/tmp";
}

static int open_named(const char *dir)
{
	struct bm_buf path = {0};
	int fd = -1, code;

	bm_buf_printf(&path, "%s/.bytemill-XXXXXX", dir);
	if (path.oom)
		errno = ENOMEM;
	else
		fd = mkostemp(path.data, O_CLOEXEC);
	code = errno;
	if (fd >= 0)
		(void)unlink(path.data);
	bm_buf_fini(&path);
	errno = code;
	return fd;
}

int bm_temp_open(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600); /* O_EXCL: can never be given a name */

	return fd >= 0 ? fd : open_named(dir); /* where the reason is another, it finds that too */
}

FILE *bm_temp_file(void)
{
	int fd = bm_temp_open(bm_temp_dir());
	FILE *f;

	f = fd >= 0 ? fdopen(fd, "w+") : NULL;
	if (f == NULL && fd >= 0) {
		int code = errno;

		(void)close(fd);
		errno = code;
	}
	return f;
}
