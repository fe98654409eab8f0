/* bag_place.c - see bag_place.h. Renames never replace anything: what is in the way is an error, and is left as it is. */
#include "bag_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bag_dir.h"
#include "bm_error.h"
#include "bm_text.h"

#define STAGE_DATA BAG_STAGE "/data"
#define STAGE_END BAG_STAGE "/bagit.txt"

static enum bm_status failed(struct bm_error *err, const char *what, const char *name)
{
	int error = errno;
	char shown[200];

	return bm_error_set_errno(err, error, NULL, "%s %s", what,
	                          bm_escape_display_buf(shown, sizeof(shown), name, strlen(name)));
}

static int move(int from, const char *name, int to, const char *new_name)
{
	int rc = renameat2(from, name, to, new_name, RENAME_NOREPLACE);

	if (rc == 0 || (errno != EINVAL && errno != ENOSYS))
		return rc;
	if (bag_has(to, new_name)) {
		errno = EEXIST;
		return -1;
	}
	return renameat(from, name, to, new_name);
}

static bool is_other(const char *name, const char *but)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, but) != 0;
}

/* All entries but one. A directory that is changed while it is read may show an entry twice or not at all: it is read
 * until there is none left. */
static enum bm_status move_all(int from, const char *but, int to, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool any = true;

	while (any && status == BM_OK) {
		int fd = bag_open_dir(from, ".");
		DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
		struct dirent *e;

		any = false;
		if (d == NULL) {
			status = failed(err, "cannot be read:", "the directory");
			if (fd >= 0)
				close(fd);
			break;
		}
		while (status == BM_OK && (e = readdir(d)) != NULL) {
			if (!is_other(e->d_name, but))
				continue;
			if (move(from, e->d_name, to, e->d_name) == 0)
				any = true;
			else if (errno != ENOENT)
				status = failed(err, "cannot be moved:", e->d_name);
		}
		closedir(d);
	}
	if (status == BM_OK && (bag_sync(to) != 0 || bag_sync(from) != 0))
		status = failed(err, "cannot be made durable:", "the directory");
	return status;
}

/* Regular files that a run which was killed left in the stage. */
static void empty_stage(int fd)
{
	int stage = bag_open_dir(fd, BAG_STAGE);
	DIR *d = stage >= 0 ? fdopendir(stage) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (is_other(e->d_name, "data"))
			(void)unlinkat(stage, e->d_name, 0);
	if (d != NULL)
		closedir(d);
	else if (stage >= 0)
		close(stage);
}

static int open_dir(const char *dir, struct bm_error *err)
{
	int fd = bag_open_dir(AT_FDCWD, dir);

	if (fd < 0)
		(void)bm_error_set_errno(err, errno, dir, "the directory cannot be opened");
	return fd;
}

enum bm_status bag_place_begin(const char *dir, bool *resumes, struct bm_error *err)
{
	int fd = open_dir(dir, err);
	enum bm_status status = BM_OK;

	if (fd < 0)
		return err->status;
	*resumes = bag_has(fd, STAGE_END);
	if (!*resumes && bag_has(fd, "bagit.txt")) {
		(void)unlinkat(fd, BAG_STAGE, AT_REMOVEDIR);
		status = bm_error_set(err, BM_ERR_EXISTS, dir,
		                      "it is a bag already, or something else called bagit.txt is in it");
	} else if (!*resumes) {
		empty_stage(fd);
		(void)unlinkat(fd, STAGE_DATA, AT_REMOVEDIR);
		if ((mkdirat(fd, BAG_STAGE, 0777) != 0 && errno != EEXIST) || mkdirat(fd, STAGE_DATA, 0777) != 0)
			status = failed(err, "cannot be made:", STAGE_DATA);
	}
	close(fd);
	return status;
}

enum bm_status bag_place_move(const char *dir, struct bm_error *err)
{
	int fd = open_dir(dir, err), stage = -1, data = -1;
	enum bm_status status = BM_OK;

	if (fd < 0)
		return err->status;
	stage = bag_open_dir(fd, BAG_STAGE);
	if (stage < 0) {
		status = failed(err, "cannot be opened:", BAG_STAGE);
		goto out;
	}
	data = bag_open_dir(stage, "data");
	if (data >= 0) {
		status = move_all(fd, BAG_STAGE, data, err);
		if (status == BM_OK && move(stage, "data", fd, "data") != 0)
			status = failed(err, "cannot be moved:", "data");
	}
	if (status == BM_OK)
		status = move_all(stage, "bagit.txt", fd, err);
	if (status == BM_OK && (move(stage, "bagit.txt", fd, "bagit.txt") != 0 ||
	                        unlinkat(fd, BAG_STAGE, AT_REMOVEDIR) != 0 || bag_sync(fd) != 0))
		status = failed(err, "cannot be moved:", "bagit.txt");
out:
	if (data >= 0)
		close(data);
	if (stage >= 0)
		close(stage);
	close(fd);
	return status;
}

void bag_place_abandon(const char *dir)
{
	int fd = bag_open_dir(AT_FDCWD, dir);

	if (fd < 0)
		return;
	empty_stage(fd);
	(void)unlinkat(fd, STAGE_DATA, AT_REMOVEDIR);
	(void)unlinkat(fd, BAG_STAGE, AT_REMOVEDIR);
	close(fd);
}
