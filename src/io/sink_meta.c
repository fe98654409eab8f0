/*
 * Owner, extended attributes, mode, times.
 *
 * The order matters: chown clears setuid, setgid and file capabilities, so it comes first; attributes may need write
 * permission that the mode takes away (we hold the file open, but user.* checks the inode's mode for others than the
 * owner), so they come before the mode; writing anything moves mtime, so the times come last.
 *
 * What cannot be preserved is a line of warning: the file system does not have it, or the user may not. But where the
 * device or the network fails the output does, as it would in its data: what a warning told would stay wrong, for a run
 * that goes on with this one takes the file for done. And a file that could not be given its owner must not run as
 * somebody: then setuid and setgid are left out.
 */
#include "sink_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "io_sys.h"

#define ACL_NAME "system.posix_acl_access"
#define UMASK_DEFAULT 022

mode_t bm_sink_read_umask(void)
{
	/* umask() itself would change the mask for every thread for a moment. */
	char line[256];
	unsigned long value = UMASK_DEFAULT;
	FILE *f = fopen("/proc/self/status", "re");
	if (!f)
		return UMASK_DEFAULT;
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, "Umask:", 6) == 0) {
			value = strtoul(line + 6, NULL, 8);
			break;
		}
	}
	(void)fclose(f);
	return (mode_t)(value & 0777);
}

/* The first trouble of the device, and what it was with. */
struct trouble {
	int sys_errno;
	const char *what;
};

static bool is_of_device(int sys_errno)
{
	return sys_errno == EIO || sys_errno == EROFS || sys_errno == ESTALE || sys_errno == ETIMEDOUT;
}

static void warn(struct bm_buf *warnings, const char *what, const char *name, int sys_errno)
{
	if (!warnings)
		return;
	bm_buf_puts(warnings, what);
	if (name) {
		bm_buf_putc(warnings, ' ');
		bm_escape_display(warnings, name, strlen(name));
	}
	const char *text = strerrordesc_np(sys_errno); /* strerror's, but from any thread */
	bm_buf_printf(warnings, ": %s\n", text ? text : "unknown error");
}

static void lost(struct trouble *t, struct bm_buf *warnings, const char *what, const char *name, int sys_errno)
{
	if (!is_of_device(sys_errno))
		warn(warnings, what, name, sys_errno);
	else if (t->sys_errno == 0)
		*t = (struct trouble){sys_errno, what};
}

/* Returns the bits of the mode that must be left out. */
static mode_t copy_owner(struct bm_sink *s, const struct stat *st, struct trouble *t, struct bm_buf *warnings)
{
	if (st->st_uid == s->temp_st.st_uid && st->st_gid == s->temp_st.st_gid)
		return 0;
	if (fchown(s->fd, st->st_uid, st->st_gid) == 0)
		return 0;
	int e = errno;
	/* A user may give a file to a group that he is in. */
	if (st->st_gid == s->temp_st.st_gid || fchown(s->fd, (uid_t)-1, st->st_gid) != 0)
		lost(t, warnings, st->st_uid == s->temp_st.st_uid ? "group" : "owner", NULL, e);
	else
		lost(t, warnings, "owner (the group was kept)", NULL, e);
	return S_ISUID | S_ISGID;
}

static bool wants_xattr(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "security.", 9) == 0 || strcmp(name, ACL_NAME) == 0;
}

/* The whole list of names, or the value of one: malloc'ed; the size, or -1 and errno. */
static ssize_t get_xattr(int fd, const char *name, char **out)
{
	*out = NULL;
	for (int tries = 0; tries < 8; tries++) { /* it may grow between the two calls */
		ssize_t size = name ? fgetxattr(fd, name, NULL, 0) : flistxattr(fd, NULL, 0);
		if (size < 0)
			return -1;
		char *data = malloc((size_t)size + 1);
		if (!data) {
			errno = ENOMEM;
			return -1;
		}
		ssize_t n = name ? fgetxattr(fd, name, data, (size_t)size) : flistxattr(fd, data, (size_t)size);
		/* With room for 0 bytes both calls only ask for the size again. */
		if (n >= 0 && n <= size) {
			data[n] = '\0';
			*out = data;
			return n;
		}
		int e = errno;
		free(data);
		if (n < 0 && e != ERANGE) {
			errno = e;
			return -1;
		}
	}
	errno = ERANGE;
	return -1;
}

static void copy_xattrs(struct bm_sink *s, int src_fd, struct trouble *t, struct bm_buf *warnings)
{
	char *names = NULL;
	bool acl = false;
	ssize_t len = get_xattr(src_fd, NULL, &names);
	if (len < 0 && errno != ENOTSUP && errno != EBADF)
		warn(warnings, "extended attributes", NULL, errno);
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		const char *name = names + i;
		if (!wants_xattr(name))
			continue;
		acl = acl || strcmp(name, ACL_NAME) == 0;
		char *value = NULL;
		ssize_t size = get_xattr(src_fd, name, &value);
		if (size < 0 && errno != ENODATA)
			warn(warnings, "extended attribute", name, errno);
		else if (size >= 0 && fsetxattr(s->fd, name, value, (size_t)size, 0) != 0 &&
		         !(errno == ENOTSUP && strncmp(name, "security.", 9) == 0))
			lost(t, warnings, "extended attribute", name, errno);
		free(value);
	}
	free(names);
	/* The target's directory may have given the file a default ACL, which would let in users whom the source's mode
	 * keeps out. It has none in most cases, and the error says so. */
	if (!acl && len >= 0)
		(void)fremovexattr(s->fd, ACL_NAME);
}

enum bm_status bm_sink_copy_metadata(struct bm_sink *s, const struct stat *st, int src_fd, bool times,
                                     struct bm_buf *warnings, struct bm_error *err)
{
	const struct timespec both[2] = {st->st_atim, st->st_mtim};
	struct trouble t = {0};
	mode_t drop = copy_owner(s, st, &t, warnings);

	if (src_fd >= 0)
		copy_xattrs(s, src_fd, &t, warnings);
	if (fchmod(s->fd, st->st_mode & 07777 & ~drop) != 0)
		lost(&t, warnings, "mode", NULL, errno);
	if (times && futimens(s->fd, both) != 0)
		lost(&t, warnings, "times", NULL, errno);
	if (t.sys_errno == 0)
		return BM_OK;
	s->failed = true;
	return bm_io_fail(err, t.sys_errno, s->path, s->path_len, "cannot set its %s", t.what);
}
