/*
 * state.c - where Bytemill keeps what must outlive a run.
 *
 * root has one place for the whole machine, whatever XDG_STATE_HOME says: that variable may be another user's, kept by
 * su or sudo, and root's files do not belong in his home. BYTEMILL_STATE is for those who mean it.
 */
#include "bm_state.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_mem.h"
#include "bm_text.h"

#define ROOTS_DIR "/var/lib/bytemill"

static const char *absolute_variable(const char *name)
{
	const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): see the header */

	return value != NULL && value[0] == '/' ? value : NULL;
}

static enum bm_status put_home(struct bm_buf *out, struct bm_error *err)
{
	const char *home = absolute_variable("HOME");
	struct passwd entry, *found = NULL;
	char text[4096];

	if (home == NULL && getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 && found != NULL &&
	    entry.pw_dir[0] == '/')
		home = entry.pw_dir;
	if (home == NULL)
		return bm_error_set(
			err, BM_ERR_FAILED, NULL,
			"there is no directory for the state of runs, since this user has no home; name one "
			"with --state");
	bm_buf_puts(out, home);
	return BM_OK;
}

static enum bm_status put_default(struct bm_buf *out, struct bm_error *err)
{
	const char *own = absolute_variable("BYTEMILL_STATE");
	const char *xdg = absolute_variable("XDG_STATE_HOME");
	enum bm_status status = BM_OK;

	if (own != NULL) {
		bm_buf_puts(out, own);
	} else if (geteuid() == 0) {
		bm_buf_puts(out, ROOTS_DIR);
	} else if (xdg != NULL) {
		bm_buf_puts(out, xdg);
		bm_buf_puts(out, "/bytemill");
	} else {
		status = put_home(out, err);
		bm_buf_puts(out, "/.local/state/bytemill");
	}
	return status;
}

enum bm_status bm_state_dir(const char *given, char **out, struct bm_error *err)
{
	struct bm_buf path = {0};
	enum bm_status status = BM_OK;

	*out = NULL;
	if (given == NULL) {
		status = put_default(&path, err);
	} else {
		if (given[0] != '/') {
			char *cwd = getcwd(NULL, 0);

			if (cwd == NULL)
				return bm_error_set_errno(err, errno, NULL, "the working directory has no name");
			bm_buf_puts(&path, cwd);
			bm_buf_putc(&path, '/');
			free(cwd);
		}
		bm_buf_puts(&path, given);
	}
	while (path.len > 1 && path.data[path.len - 1] == '/')
		path.data[--path.len] = '\0';
	if (status == BM_OK && path.oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		*out = bm_buf_take(&path);
	bm_buf_fini(&path);
	return status;
}

enum bm_status bm_state_make(const char *dir, struct bm_error *err)
{
	size_t len = strlen(dir);
	char *path = bm_memdup0(dir, len);
	int code = 0;

	if (path == NULL)
		return bm_error_set_nomem(err);
	for (size_t i = 1; i <= len && code == 0; i++) {
		struct stat st;

		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		/* What cannot be made but is there (a parent that may not be written) is as good. */
		if (stat(path, &st) != 0) {
			if (mkdir(path, 0700) != 0 && errno != EEXIST)
				code = errno;
		} else if (!S_ISDIR(st.st_mode)) {
			code = ENOTDIR;
		}
		if (i < len)
			path[i] = '/';
	}
	free(path);
	if (code != 0) {
		char shown[512];

		return bm_error_set_errno(err, code, bm_escape_display_buf(shown, sizeof(shown), dir, len),
		                          "the directory for the state of runs cannot be made");
	}
	return BM_OK;
}
