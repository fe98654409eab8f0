/*
 * live.c - which runs are alive.
 *
 * A run that is on record as running holds a write lock on the byte with its number in runs.lock. It is an open file
 * description lock: it belongs to this catalog's descriptor, not to the process, so that another catalog in the same
 * process sees it as anybody else does, and closing some other descriptor of the file does not drop it (as it does with
 * POSIX locks). The kernel drops it when the process ends, however it ends. A process id would have to be told
 * from a later process with the same one, and means nothing in another PID namespace or on another host.
 *
 * The lock is taken in the transaction that adds the run, before others can see it, and dropped after the one that ends
 * it. So a run that others see as running and whose byte is free, is gone. The file stays empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bm_catalog_runs.h"
#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

static struct flock byte_of(int64_t number, short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = number, .l_len = 1, .l_pid = 0};
}

void catalog_live_init(struct bm_catalog *c)
{
	c->runs_fd = open(c->runs_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (c->runs_fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM))
		c->runs_fd = open(c->runs_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	c->runs_errno = c->runs_fd < 0 ? errno : 0;
}

void catalog_live_fini(struct bm_catalog *c)
{
	if (c->runs_fd >= 0)
		(void)close(c->runs_fd);
	c->runs_fd = -1;
}

enum bm_status catalog_live_hold(struct bm_catalog *c, int64_t number, struct bm_error *err)
{
	struct flock lock = byte_of(number, F_WRLCK);
	int code = c->runs_errno;
	char where[512];

	if (c->runs_fd >= 0)
		code = fcntl(c->runs_fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
	if (code == 0)
		return BM_OK;
	return bm_error_set_errno(err, code,
	                          bm_escape_display_buf(where, sizeof(where), c->runs_path, strlen(c->runs_path)),
	                          "the run cannot be marked as running");
}

void catalog_live_drop(struct bm_catalog *c, int64_t number)
{
	struct flock lock = byte_of(number, F_UNLCK);

	(void)fcntl(c->runs_fd, F_OFD_SETLK, &lock);
}

bool catalog_live_is(const struct bm_catalog *c, int64_t number)
{
	struct flock lock = byte_of(number, F_WRLCK);
	int fd = -1;
	bool alive = true;

	/* Through a description of its own: through c->runs_fd this catalog's own locks would not be seen. */
	fd = open(c->runs_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno != ENOENT; /* no file: nobody holds anything */
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0)
		alive = lock.l_type != F_UNLCK;
	(void)close(fd);
	return alive;
}

static enum bm_status interrupt(struct bm_catalog *c, int64_t number, struct bm_error *err)
{
	const int64_t state = BM_CATALOG_RUN_INTERRUPTED;
	enum bm_status status = catalog_begin(c, err);

	if (status != BM_OK)
		return status;
	status = catalog_exec(c, SQL_RUN_JOB_INTERRUPT, err, ARGS(val_int(number), val_int(state)));
	if (status == BM_OK)
		status = catalog_exec(c, SQL_RUN_INTERRUPT, err, ARGS(val_int(number), val_int(state)));
	return catalog_end(c, status, err);
}

/* A catalog that cannot be written just now can still be read: the lists look for themselves which runs are alive. */
static bool may_pass(enum bm_status status, const struct bm_error *err)
{
	return status == BM_ERR_SYSTEM &&
	       (err->sys_errno == EBUSY || err->sys_errno == ENOSPC || err->sys_errno == EACCES ||
	        err->sys_errno == EROFS || err->sys_errno == EDQUOT || err->sys_errno == EPERM);
}

enum bm_status catalog_live_sweep(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	struct bm_error own = BM_ERROR_INIT;
	int64_t last = 0;
	enum bm_status status;

	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_RUN_RUNNING, &rows, &own, ARGS(val_int(last)));
		for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			last = v[1].number;
			if (!catalog_live_is(c, last))
				status = interrupt(c, last, &own);
		}
	} while (status == BM_OK && rows.count > 0);
	catalog_rows_fini(&rows);
	if (status != BM_OK && may_pass(status, &own))
		return BM_OK;
	catalog_error_copy(err, &own);
	return status;
}
