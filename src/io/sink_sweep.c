/*
 * sink_sweep.c - the temp files that a killed process has left.
 *
 * A temp file is locked with flock as long as its sink lives, and the kernel drops the lock of a process that is no more;
 * so a temp that can be locked is nobody's. Temps that wait in a group are closed: the shared lock on their directory
 * stands for them all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_sink.h"
#include "io_sys.h"

/* The name of a temp file, of one of the runs; NULL: of any. */
static bool is_temp_of(const char *name, const char *const *run_ids, size_t count)
{
	const size_t prefix = sizeof BM_TEMP_PREFIX - 1, len = strlen(name);
	bool found = run_ids == NULL;

	if (strncmp(name, BM_TEMP_PREFIX, prefix) != 0 || len < prefix + 4 || strcmp(name + len - 4, ".tmp") != 0)
		return false;
	for (size_t i = 0; i < count && !found; i++) {
		size_t id = strlen(run_ids[i]);

		found = strncmp(name + prefix, run_ids[i], id) == 0 && name[prefix + id] == '-' &&
		        strspn(name + prefix + id + 1, "0123456789") == len - prefix - id - 1 - 4;
	}
	return found;
}

enum bm_status bm_sink_sweep(const char *dir, uint64_t *removed, struct bm_error *err)
{
	return bm_sink_sweep_runs(dir, NULL, 0, false, removed, err);
}

enum bm_status bm_sink_sweep_runs(const char *dir, const char *const *run_ids, size_t run_count, bool are_over,
                                  uint64_t *removed, struct bm_error *err)
{
	uint64_t count = 0;
	int fd = bm_io_open(AT_FDCWD, dir, strlen(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		int e = errno;
		bm_io_close(fd);
		return bm_io_fail(err, e, dir, strlen(dir), "cannot open directory");
	}
	if (!are_over && flock(dirfd(d), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		/* Temps of a group that lives may lie here without locks of their own. */
		(void)closedir(d);
		if (removed)
			*removed = 0;
		return BM_OK;
	}
	const struct dirent *e;
	while ((errno = 0, e = readdir(d)) != NULL) {
		if (!is_temp_of(e->d_name, run_ids, run_count))
			continue;
		struct stat st, named;
		int temp = bm_io_open(dirfd(d), e->d_name, strlen(e->d_name),
		                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
		if (temp < 0)
			continue;
		/* Locked by us, regular, and still what the name stands for: nobody's. A sink that had created it and
		 * not yet locked it finds its file without a name and makes another. */
		if (fstat(temp, &st) == 0 && S_ISREG(st.st_mode) && flock(temp, LOCK_EX | LOCK_NB) == 0 &&
		    fstatat(dirfd(d), e->d_name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == st.st_ino &&
		    named.st_dev == st.st_dev && unlinkat(dirfd(d), e->d_name, 0) == 0)
			count++;
		bm_io_close(temp);
	}
	enum bm_status status = errno ? bm_io_fail(err, errno, dir, strlen(dir), "cannot read directory") : BM_OK;
	(void)closedir(d);
	if (removed)
		*removed = count;
	return status;
}
