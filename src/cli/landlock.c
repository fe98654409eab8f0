/*
 * landlock.c - see landlock.h. The C library has no functions for it, and the kernel headers of a distribution know less
 * than its kernel may: what came later than the first version is defined here, and asked for where the kernel has it.
 *
 * Sources: landlock(7), the kernel's Documentation/userspace-api/landlock.rst.
 */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_mem.h"

#ifndef LANDLOCK_ACCESS_FS_REFER /* version 2 */
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE /* version 3 */
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV /* version 5 */
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define FIRST_VERSION (LANDLOCK_ACCESS_FS_REFER - 1) /* all rights of version 1 */
#define OF_FILES                                                                                                       \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |                   \
	 LANDLOCK_ACCESS_FS_TRUNCATE)

struct bm_landlock {
	int fd;
	uint64_t handled; /* what is refused unless a rule allows it */
	int error;        /* the first */
};

enum bm_status bm_landlock_create(bool writes_only, struct bm_landlock **out, struct bm_error *err)
{
	struct landlock_ruleset_attr attr = {0};
	long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
	struct bm_landlock *l;

	*out = NULL;
	if (version < 1)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    errno == EOPNOTSUPP
		                            ? "Landlock is turned off in this kernel (its start parameter lsm= "
		                              "does not name it)"
		                            : "this kernel has no Landlock (Linux 5.13 or later may have it)");
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return bm_error_set_nomem(err);
	l->handled = FIRST_VERSION;
	if (version >= 2)
		l->handled |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3 && !writes_only)
		l->handled |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= 5)
		l->handled |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	if (writes_only)
		l->handled &= ~(uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
	attr.handled_access_fs = l->handled;
	l->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0U);
	if (l->fd < 0) {
		int code = errno;

		free(l);
		return bm_error_set_errno(err, code, NULL, "Landlock gives no ruleset");
	}
	(void)fcntl(l->fd, F_SETFD, FD_CLOEXEC);
	*out = l;
	return BM_OK;
}

static uint64_t access_of(unsigned rights)
{
	uint64_t a = 0;

	if (rights & BM_LANDLOCK_READ)
		a |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if (rights & BM_LANDLOCK_WRITE)
		a |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
	if (rights & BM_LANDLOCK_MAKE)
		a |= LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE;
	if (rights & BM_LANDLOCK_REMOVE)
		a |= LANDLOCK_ACCESS_FS_REMOVE_FILE;
	return a;
}

static void allow_fd(struct bm_landlock *l, int fd, unsigned rights)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat st;

	rule.allowed_access = access_of(rights) & l->handled;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES;
	/* EBADFD: a pipe or socket behind /dev/fd, which needs no rule. */
	if (rule.allowed_access != 0 &&
	    syscall(SYS_landlock_add_rule, l->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) != 0 && errno != EBADFD &&
	    l->error == 0)
		l->error = errno;
}

/* False: nothing is there. */
static bool allow(struct bm_landlock *l, const char *path, unsigned rights)
{
	int fd;

	do
		fd = open(path, O_PATH | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM) && l->error == 0)
		l->error = errno; /* of now; without its rule the run would find the path shut */
	if (fd < 0)
		return errno != ENOENT && errno != ENOTDIR; /* what cannot be reached now cannot be later */
	allow_fd(l, fd, rights);
	close(fd);
	return true;
}

void bm_landlock_allow(struct bm_landlock *l, const char *path, unsigned rights)
{
	(void)allow(l, path, rights);
}

void bm_landlock_allow_near(struct bm_landlock *l, const char *path, size_t len, unsigned rights)
{
	char *dir = len > 0 ? bm_memdup0(path, len) : bm_memdup0(".", 1);

	if (dir == NULL) {
		l->error = l->error != 0 ? l->error : ENOMEM;
		return;
	}
	while (!allow(l, dir, rights)) {
		char *slash = strrchr(dir, '/');

		while (slash != NULL && slash > dir && slash[1] == '\0') { /* "a/b/" */
			*slash = '\0';
			slash = strrchr(dir, '/');
		}
		if (slash == NULL) {
			(void)allow(l, ".", rights);
			break;
		}
		if (slash == dir) {
			(void)allow(l, "/", rights);
			break;
		}
		*slash = '\0';
	}
	free(dir);
}

enum bm_status bm_landlock_raise(struct bm_landlock *l, struct bm_error *err)
{
	if (l->error != 0)
		return bm_error_set_errno(err, l->error, NULL, "Landlock refuses a rule");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return bm_error_set_errno(err, errno, NULL, "no_new_privs cannot be set");
	if (syscall(SYS_landlock_restrict_self, l->fd, 0U) != 0)
		return bm_error_set_errno(err, errno, NULL, "Landlock cannot be applied");
	return BM_OK;
}

void bm_landlock_destroy(struct bm_landlock *l)
{
	if (l == NULL)
		return;
	close(l->fd);
	free(l);
}
