/*
 * lock.c - the lock of a job.
 *
 * The file's name is a digest of the key, so that any job file's path makes a short, valid name. The file is never
 * deleted: a second process may have it open already, and would then hold a lock that nobody else can see.
 *
 * Its text is written after the lock was taken and emptied before it is let go, so a process that is refused in between
 * may find nothing, or what a killed holder left: what it shows is a hint. Lines of "key value", one write.
 */
#include "bm_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_state.h"
#include "bm_text.h"

#define MAX_TEXT 4096
#define MAX_HOST 256

struct bm_lock {
	int fd;
	bool taken;
	char *path; /* owned */
};

static enum bm_status put_name(struct bm_buf *path, const void *key, size_t key_len, struct bm_error *err)
{
	const struct bm_digest_algorithm *a = bm_digest_find("xxh128");
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
	struct bm_digest *d = NULL;
	enum bm_status status = bm_digest_create(a, &d, err);

	if (status == BM_OK)
		status = bm_digest_update(d, key, key_len, err);
	if (status == BM_OK)
		status = bm_digest_finish(d, bytes, err);
	if (status == BM_OK)
		bm_hex_put(path, bytes, a->size_bytes);
	bm_digest_destroy(d);
	return status;
}

static enum bm_status fail(const struct bm_lock *l, int code, const char *what, struct bm_error *err)
{
	char shown[512];

	return bm_error_set_errno(err, code, bm_escape_display_buf(shown, sizeof(shown), l->path, strlen(l->path)),
	                          "%s", what);
}

enum bm_status bm_lock_open(const char *state_dir, const void *key, size_t key_len, struct bm_lock **out,
                            struct bm_error *err)
{
	struct bm_lock *l = calloc(1, sizeof(*l));
	struct bm_buf path = {0};
	enum bm_status status;

	*out = NULL;
	if (l == NULL)
		return bm_error_set_nomem(err);
	l->fd = -1;
	bm_buf_puts(&path, state_dir);
	bm_buf_puts(&path, "/locks");
	status = path.oom ? bm_error_set_nomem(err) : bm_state_make(path.data, err);
	bm_buf_putc(&path, '/');
	if (status == BM_OK)
		status = put_name(&path, key, key_len, err);
	bm_buf_puts(&path, ".lock");
	if (status == BM_OK && path.oom)
		status = bm_error_set_nomem(err);
	if (status != BM_OK)
		goto out;
	l->path = bm_buf_take(&path);
	do
		l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	while (l->fd < 0 && errno == EINTR);
	if (l->fd < 0)
		status = fail(l, errno, "the lock file cannot be opened", err);
out:
	bm_buf_fini(&path);
	if (status == BM_OK)
		*out = l;
	else
		bm_lock_destroy(l);
	return status;
}

enum bm_status bm_lock_take(struct bm_lock *l, bool block, bool *taken, struct bm_error *err)
{
	*taken = l->taken = flock(l->fd, LOCK_EX | (block ? 0 : LOCK_NB)) == 0;
	if (*taken || errno == EWOULDBLOCK || (block && errno == EINTR))
		return BM_OK;
	return fail(l, errno, "the file system cannot lock this file", err);
}

void bm_lock_sign(struct bm_lock *l, const char *text)
{
	struct bm_buf b = {0};
	char host[MAX_HOST] = "", since[32] = "";
	time_t now = time(NULL);
	struct tm local;

	(void)gethostname(host, sizeof(host) - 1);
	if (localtime_r(&now, &local) != NULL)
		(void)strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &local);
	bm_buf_printf(&b, "pid %ld\nsince %s\nhost %s\n%s", (long)getpid(), since, host, text);
	if (!b.oom && ftruncate(l->fd, 0) == 0) {
		ssize_t n = pwrite(l->fd, b.data, b.len, 0);
		(void)n;
	}
	bm_buf_fini(&b);
}

/* The value of a line "key value" in text, or NULL; *len bytes. */
static const char *find_value(const char *text, const char *key, size_t *len)
{
	size_t key_len = strlen(key);

	while (*text != '\0') {
		size_t line = strcspn(text, "\n");

		if (line > key_len && memcmp(text, key, key_len) == 0 && text[key_len] == ' ') {
			*len = line - key_len - 1;
			return text + key_len + 1;
		}
		text += line + (text[line] == '\n');
	}
	return NULL;
}

bool bm_lock_holder(struct bm_lock *l, struct bm_buf *out)
{
	char text[MAX_TEXT], host[MAX_HOST] = "";
	const char *value;
	size_t len;
	ssize_t n = pread(l->fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	value = find_value(text, "pid", &len);
	if (value == NULL) {
		bm_buf_puts(out, "another process");
		return false;
	}
	bm_buf_puts(out, "process ");
	bm_escape_display(out, value, len);
	value = find_value(text, "host", &len);
	(void)gethostname(host, sizeof(host) - 1);
	if (value != NULL && len > 0 && (strlen(host) != len || memcmp(host, value, len) != 0)) {
		bm_buf_puts(out, " on ");
		bm_escape_display(out, value, len);
	}
	value = find_value(text, "since", &len);
	if (value != NULL && len > 0) {
		bm_buf_puts(out, " since ");
		bm_escape_display(out, value, len);
	}
	return true;
}

const char *bm_lock_path(const struct bm_lock *l)
{
	return l->path;
}

void bm_lock_destroy(struct bm_lock *l)
{
	if (l == NULL)
		return;
	if (l->taken)
		(void)!ftruncate(l->fd, 0);
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l);
}
