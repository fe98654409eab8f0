/*
 * Outputs whose bytes go to the disk together.
 *
 * An fsync waits for the disk once or twice a file: for files of a few KiB that is nearly all of the time that they take.
 * syncfs(2) writes what all files of a file system have, and waits once. What must hold stays what it is: no output
 * takes its name before its bytes are on the disk, and the first error is final.
 *
 * Errors: syncfs tells of what went wrong on the whole file system since its descriptor was opened, an fsync of what
 * went wrong in one file. A group opens a descriptor of each file system when its first output there is added. What of
 * an output failed before that is asked of the output itself, while it is still open (check_so_far): the two cover all of
 * its life. That the error may be somebody else's is no matter: a disk that loses bytes is not one to call files durable on.
 *
 * Descriptors: an output is closed when it is added, so a group is as large as its owner likes. With the descriptor goes
 * the lock that says that the temp file is in use, and the directory's takes its place (bm_sink_dir_hold). Where that
 * cannot be had, or there are too many file systems, the output is synced by itself and stays open: the group's owner
 * sees no difference.
 */
#include "sink_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

#define FILE_SYSTEMS_MAX 8

struct bm_sink_group {
	struct {
		dev_t dev;
		int fd;
	} systems[FILE_SYSTEMS_MAX];
	size_t count;
};

enum bm_status bm_sink_group_create(struct bm_sink_group **out, struct bm_error *err)
{
	*out = calloc(1, sizeof **out);
	return *out ? BM_OK : bm_error_set_nomem(err);
}

/* Is the file system in it, or was it taken in? */
static bool has_system(struct bm_sink_group *g, const struct bm_sink *s)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->systems[i].dev == s->temp_st.st_dev)
			return true;
	if (g->count == FILE_SYSTEMS_MAX)
		return false;
	/* Opened anew: the error that syncfs tells is that of the descriptor's own time. */
	int fd = bm_io_open(s->dir->fd, ".", 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	g->systems[g->count].dev = s->temp_st.st_dev;
	g->systems[g->count++].fd = fd;
	return true;
}

/* Did anything that was written fail so far? Waits for nothing: no byte lies there. */
static int check_so_far(const struct bm_sink *s)
{
	return sync_file_range(s->fd, INT64_MAX - 1, 1, SYNC_FILE_RANGE_WAIT_BEFORE);
}

enum bm_status bm_sink_group_add(struct bm_sink_group *g, struct bm_sink *s, bool *new_dir, struct bm_error *err)
{
	*new_dir = false;
	if (!has_system(g, s) || !bm_sink_dir_hold(s->set, s->dir)) {
		if (bm_sink_sync_file(s->fd) != 0)
			return bm_sink_fail(s, errno, err,
			                    "fsync failed, so its data may not be on the disk: not put in place");
		s->waits = false;
		return BM_OK;
	}
	if (check_so_far(s) != 0)
		return bm_sink_fail(s, errno, err,
		                    "cannot write, so its data may not be on the disk: not put in place");
	s->owns_fd = false;
	if (close(s->fd) != 0 && errno != EINTR)
		return bm_sink_fail(s, errno, err, "cannot write (close)");
	s->fd = -1;
	s->in_group = true;
	*new_dir = bm_sink_dir_join(s->set, s->dir);
	return BM_OK;
}

enum bm_status bm_sink_group_sync(struct bm_sink_group *g, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	for (size_t i = 0; i < g->count; i++) {
		int r;
		do
			r = syncfs(g->systems[i].fd);
		while (r != 0 && errno == EINTR);
		if (r != 0 && status == BM_OK)
			status = bm_error_set_errno(
				err, errno, NULL,
				"not put in place, nor is any file that was written with it: their data may "
				"not be on the disk (syncfs)");
	}
	return status;
}

void bm_sink_group_destroy(struct bm_sink_group *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->count; i++)
		bm_io_close(g->systems[i].fd);
	free(g);
}
