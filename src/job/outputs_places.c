/*
 * outputs_places.c - can manifests and combined outputs be where they are to be?
 *
 * They take their names when all inputs have been read, which may be hours after the start; what can be seen of them
 * before is refused then. Directories that are not there will be made, so it is the last one that is there which counts.
 * What is said here is no promise: the disk may be full by then, and a directory may have gone.
 */
#include "outputs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"

static enum bm_status check_place(const char *path, struct bm_error *err)
{
	char shown[512], shown_dir[512];
	char *dir = bm_memdup0(path, strlen(path));
	enum bm_status status = BM_OK;
	struct stat st;
	char *slash;
	int error = 0;

	if (dir == NULL)
		return bm_error_set_nomem(err);
	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			status = bm_error_set(err, BM_ERR_CONFLICT, shown, "is a directory: name a file in it");
		if (!S_ISREG(st.st_mode)) /* a pipe or a device is written as it is */
			goto out;
	}
	/* The longest part before it that is there. */
	do {
		slash = strrchr(dir, '/');
		if (slash == NULL)
			strcpy(dir, ".");
		else
			slash[slash == dir ? 1 : 0] = '\0';
		error = stat(dir, &st) == 0 ? 0 : errno;
	} while ((error == ENOENT || error == ENOTDIR) && slash != NULL && slash != dir);
	bm_escape_display_buf(shown_dir, sizeof(shown_dir), dir, strlen(dir));
	if (error == 0 && !S_ISDIR(st.st_mode))
		status = bm_error_set(err, BM_ERR_CONFLICT, shown,
		                      "cannot be made, since %s is no directory: name a file elsewhere", shown_dir);
	else if (error != 0 || faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0)
		status = bm_error_set_errno(err, error != 0 ? error : errno, shown,
		                            "cannot be made in the directory %s", shown_dir);
out:
	free(dir);
	return status;
}

enum bm_status outputs_check_places(const struct job_run *j, struct bm_error *err)
{
	for (unsigned i = 1; i < j->job->step_count; i++) {
		const struct bm_step_ops *ops = j->job->steps[i].kind->ops;
		const char *path;

		for (size_t n = 0; ops->fixed_output != NULL; n++) {
			path = ops->fixed_output(j->plan->shared[i], n);
			if (path == NULL)
				break;
			if (check_place(path, err) != BM_OK)
				return err->status;
		}
	}
	return BM_OK;
}
