/*
 * sweep.c - at the start, temp files below the inbox that nobody holds any more are removed: what a service that was
 * killed has left. It goes on in a thread of its own, as the inbox may be large; uploads that begin meanwhile hold
 * locks on theirs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_sink.h"
#include "tus.h"

#define DEPTH_MAX 200 /* of directories, each of which takes a descriptor meanwhile */

static void sweep_dir(struct bm_serve *s, int fd, unsigned depth) /* closes fd */
{
	char path[40];
	uint64_t removed = 0;
	struct bm_error err = BM_ERROR_INIT;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (bm_sink_sweep(path, &removed, &err) == BM_OK && removed > 0)
		serve_log(s, false, "removed %ju temporary files that a killed service has left", (uintmax_t)removed);
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return;
	}
	for (struct dirent *e; !atomic_load(&s->draining) && (e = readdir(d)) != NULL;) {
		int below;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || depth >= DEPTH_MAX ||
		    (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
			continue;
		below = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			sweep_dir(s, below, depth + 1);
	}
	closedir(d);
}

static void *sweep_main(void *arg)
{
	struct bm_serve *s = arg;
	int fd = openat(s->inbox_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		sweep_dir(s, fd, 0);
	serve_tus_expire(s);
	return NULL;
}

void serve_sweep_start(struct bm_serve *s)
{
	sigset_t all, old;

	if (s->inbox_fd < 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	s->is_sweeping = pthread_create(&s->sweeper, NULL, sweep_main, s) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void serve_sweep_end(struct bm_serve *s)
{
	if (s->is_sweeping)
		(void)pthread_join(s->sweeper, NULL);
	s->is_sweeping = false;
}
