/*
 * bag_target.c - see bag_target.h.
 *
 * The mark is a file, and locked while a process works on the bag, so that two never do. What an earlier run left besides
 * the payload (temporary files, tag files) is removed when the next one begins.
 */
#include "bag_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bag_dir.h"
#include "bm_error.h"
#include "bm_mem.h"
#include "bm_sink.h"
#include "bm_text.h"

static bool is_tag(const char *name)
{
	static const char *const tags[] = {"bag-info.txt", "manifest-*.txt", "tagmanifest-*.txt"};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (fnmatch(tags[i], name, 0) == 0)
			return true;
	return false;
}

/* What is there is nothing, or (where the mark is there) what a run makes; its tag files are removed. */
static enum bm_status look(int fd, const char *to, bool resumes, struct bm_error *err)
{
	int own = bag_open_dir(fd, ".");
	DIR *d = own >= 0 ? fdopendir(own) : NULL;
	enum bm_status status = BM_OK;
	const struct dirent *e;
	char shown[200];

	if (d == NULL) {
		status = bm_error_set_errno(err, errno, to, "the directory cannot be read");
		if (own >= 0)
			close(own);
		return status;
	}
	while (status == BM_OK &&
	       (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): the stream is this call's */
		const char *name = e->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, BAG_MARK) == 0)
			continue;
		if (!resumes)
			status = bm_error_set(err, BM_ERR_EXISTS, to,
			                      "the directory is not empty: a bag is made in a new one");
		else if (is_tag(name) && unlinkat(fd, name, 0) != 0)
			status = bm_error_set_errno(err, errno, to, "%s of an earlier run cannot be removed", name);
		else if (!is_tag(name) && strcmp(name, "data") != 0)
			status = bm_error_set(err, BM_ERR_EXISTS, to, "%s is in it, which is no part of the bag",
			                      bm_escape_display_buf(shown, sizeof(shown), name, strlen(name)));
	}
	closedir(d);
	return status;
}

/* An entry of the payload that is there already: temporary files go, files that would not be written again are told. */
static enum bm_status look_at_entry(const FTSENT *e, size_t root_len, const char *dir, struct bm_buf *path,
                                    struct bm_error *err)
{
	char shown[300];
	struct stat st;

	if (e->fts_info == FTS_D)
		return bm_sink_sweep(e->fts_accpath, NULL, err);
	if (e->fts_info == FTS_DP)
		return BM_OK;
	bm_escape_display_buf(shown, sizeof(shown), e->fts_path, strlen(e->fts_path));
	if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
		return bm_error_set_errno(err, e->fts_errno, shown,
		                          "an earlier run left it, and it cannot be looked at");
	bm_buf_reset(path);
	bm_buf_printf(path, "%s/%s", dir, e->fts_path + root_len + 1);
	if (path->oom)
		return bm_error_set_nomem(err);
	if (e->fts_info == FTS_F && lstat(path->data, &st) == 0 && S_ISREG(st.st_mode))
		return BM_OK;
	/* One that the sweep has removed since the directory was read. */
	if (lstat(e->fts_path, &st) != 0 && errno == ENOENT)
		return BM_OK;
	return bm_error_set(
		err, BM_ERR_EXISTS, shown,
		"an earlier run left it, and the files to put into the bag have no such file any more: remove it");
}

static enum bm_status look_at_payload(const char *to, const char *dir, struct bm_error *err)
{
	struct bm_buf data = {0}, path = {0};
	char *roots[2] = {NULL, NULL};
	enum bm_status status = BM_OK;
	FTSENT *e;
	FTS *fts;

	bm_buf_printf(&data, "%s/data", to);
	if (data.oom)
		return bm_error_set_nomem(err);
	roots[0] = data.data;
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (fts == NULL)
		status = bm_error_set_errno(err, errno, to, "the directory cannot be read");
	while (status == BM_OK && (e = fts_read(fts)) != NULL)
		status = look_at_entry(e, data.len, dir, &path, err);
	if (fts != NULL)
		fts_close(fts);
	bm_buf_fini(&data);
	bm_buf_fini(&path);
	return status;
}

static enum bm_status take_mark(int fd, const char *to, struct bag_target *t, struct bm_error *err)
{
	t->mark = bag_open(fd, BAG_MARK, O_RDWR | O_CREAT | O_NOFOLLOW);
	if (t->mark < 0)
		return bm_error_set_errno(err, errno, to, "%s cannot be made in it", BAG_MARK);
	if (flock(t->mark, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK
		               ? bm_error_set(err, BM_ERR_CONFLICT, to, "another process is making a bag there")
		               : bm_error_set_errno(err, errno, to, "%s cannot be locked", BAG_MARK);
	return BM_OK;
}

enum bm_status bag_target_begin(const char *to, const char *dir, struct bag_target *t, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	int fd;

	*t = (struct bag_target){.mark = -1};
	if (mkdir(to, 0777) != 0 && errno != EEXIST)
		return bm_error_set_errno(err, errno, to, "the directory cannot be made");
	fd = bag_open_dir(AT_FDCWD, to);
	if (fd < 0)
		return bm_error_set_errno(err, errno, to, "the directory cannot be opened");
	t->resumes = bag_has(fd, BAG_MARK);
	if (!t->resumes)
		status = look(fd, to, false, err);
	if (status == BM_OK)
		status = take_mark(fd, to, t, err);
	t->is_complete = status == BM_OK && bag_has(fd, "bagit.txt");
	if (status == BM_OK && !t->is_complete)
		status = bm_sink_sweep(to, NULL, err);
	if (status == BM_OK && !t->is_complete)
		status = look(fd, to, true, err);
	if (status == BM_OK && !t->is_complete && mkdirat(fd, "data", 0777) != 0 && errno != EEXIST)
		status = bm_error_set_errno(err, errno, to, "data cannot be made in it");
	if (status == BM_OK && !t->is_complete && t->resumes)
		status = look_at_payload(to, dir, err);
	close(fd);
	return status;
}

enum bm_status bag_target_end(const char *to, struct bag_target *t, struct bm_error *err)
{
	int fd = bag_open_dir(AT_FDCWD, to);
	enum bm_status status = BM_OK;

	if (fd < 0 || unlinkat(fd, BAG_MARK, 0) != 0 || bag_sync(fd) != 0)
		status = bm_error_set_errno(err, errno, to, "%s cannot be removed", BAG_MARK);
	if (fd >= 0)
		close(fd);
	bag_target_fini(t);
	return status;
}

void bag_target_fini(struct bag_target *t)
{
	if (t->mark >= 0)
		close(t->mark);
	t->mark = -1;
}
