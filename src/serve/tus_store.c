/*
 * tus_store.c - resumable uploads as they are on disk (tus.c says what they are).
 *
 * <state>/serve-tus/ID is a directory with the file as far as it has come, under the path that it was announced with, and
 * ID.json beside it a note: path, length, job, and whether it is done. The offset is the size of the file, so there is
 * nothing to be kept in step with it, and whatever kills the service costs no more than what the kernel had not written.
 * A note is replaced as a whole. Everything is opened from the directory's descriptor, and no link is followed.
 */
#include "tus_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "bm_json.h"
#include "bm_text.h"
#include "http_text.h"
#include "tus.h"

void tus_note_fini(struct tus_note *n)
{
	bm_buf_fini(&n->path);
	free(n->job);
	memset(n, 0, sizeof(*n));
}

bool tus_is_id(const char *id)
{
	return strlen(id) == TUS_ID_TEXT - 1 && strspn(id, "0123456789abcdef") == TUS_ID_TEXT - 1;
}

bool tus_note_write(int tus_fd, const char *id, const struct tus_note *n)
{
	char name[TUS_ID_TEXT + 8], temp[TUS_ID_TEXT + 8];
	struct bm_buf b = {0};
	bool good;
	int fd, code;

	bm_buf_putc(&b, '{');
	bm_json_put_name(&b, "path", n->path.data, n->path.len);
	bm_buf_printf(&b, ",\"length\":\"%" PRIu64 "\",\"done\":%s", n->length, n->is_done ? "true" : "false");
	if (n->job != NULL) {
		bm_buf_puts(&b, ",\"job\":");
		bm_json_put_string(&b, n->job, strlen(n->job));
	}
	bm_buf_puts(&b, "}\n");
	snprintf(name, sizeof(name), "%s.json", id);
	snprintf(temp, sizeof(temp), "%s.new", id);
	fd = openat(tus_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	good = !b.oom && fd >= 0 && write(fd, b.data, b.len) == (ssize_t)b.len && fsync(fd) == 0 &&
	       renameat(tus_fd, temp, tus_fd, name) == 0;
	code = b.oom ? ENOMEM : errno;
	if (fd >= 0)
		close(fd);
	bm_buf_fini(&b);
	errno = code;
	return good;
}

static void no_fault(void *ctx, struct bm_json_place at, const char *pointer, const char *text)
{
	(void)ctx;
	(void)at;
	(void)pointer;
	(void)text;
}

bool tus_note_read(int tus_fd, const char *id, struct tus_note *n)
{
	char path[64], text[16384 + 1];
	json_t *o = NULL;
	const char *s;
	ssize_t len = -1;
	bool good = false;
	int fd;

	memset(n, 0, sizeof(*n));
	snprintf(path, sizeof(path), "%s.json", id);
	fd = openat(tus_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		len = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (len <= 0 || (o = bm_json_parse(text, (size_t)len, no_fault, NULL)) == NULL)
		return false;
	s = json_string_value(json_object_get(o, "path_base64"));
	if (s != NULL)
		good = http_base64_decode(s, strlen(s), &n->path);
	else if ((s = json_string_value(json_object_get(o, "path"))) != NULL) {
		bm_buf_puts(&n->path, s);
		good = true;
	}
	s = json_string_value(json_object_get(o, "length"));
	good = good && s != NULL && http_number(s, &n->length) && !n->path.oom &&
	       http_path_check(n->path.data, n->path.len) == HTTP_PATH_GOOD;
	s = json_string_value(json_object_get(o, "job"));
	n->job = s != NULL ? strdup(s) : NULL;
	n->is_done = json_is_true(json_object_get(o, "done"));
	json_decref(o);
	if (!good)
		tus_note_fini(n);
	return good;
}

int tus_file_open(int tus_fd, const char *id, const char *path, bool create)
{
	int dir, parent, fd = -1, code;
	const char *leaf;

	if (create && mkdirat(tus_fd, id, 0700) != 0)
		return -1;
	dir = openat(tus_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return -1;
	parent = serve_open_parent(dir, path, &leaf);
	if (parent >= 0)
		fd = openat(parent, leaf, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0), 0666);
	code = errno;
	if (parent >= 0)
		close(parent);
	close(dir);
	errno = code;
	return fd;
}

void tus_file_remove(int tus_fd, const char *id, struct bm_buf *path)
{
	int dir = openat(tus_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char *slash;

	if (dir < 0)
		return;
	(void)unlinkat(dir, path->data, 0);
	while ((slash = strrchr(path->data, '/')) != NULL) {
		*slash = '\0';
		(void)unlinkat(dir, path->data, AT_REMOVEDIR);
	}
	close(dir);
	(void)unlinkat(tus_fd, id, AT_REMOVEDIR);
}

void tus_remove(int tus_fd, const char *id)
{
	char name[64];
	struct tus_note n;

	if (tus_note_read(tus_fd, id, &n))
		tus_file_remove(tus_fd, id, &n.path);
	tus_note_fini(&n);
	snprintf(name, sizeof(name), "%s.json", id);
	(void)unlinkat(tus_fd, name, 0);
}

void serve_tus_expire(struct bm_serve *s)
{
	int fd = s->tus_fd >= 0 ? openat(s->tus_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	time_t now = time(NULL);

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char id[TUS_ID_TEXT];
		struct stat st;
		struct tus_note n;
		int file;

		if (strlen(e->d_name) != TUS_ID_TEXT - 1 + 5 || strcmp(e->d_name + TUS_ID_TEXT - 1, ".json") != 0)
			continue;
		memcpy(id, e->d_name, TUS_ID_TEXT - 1);
		id[TUS_ID_TEXT - 1] = '\0';
		if (!tus_is_id(id) || fstatat(s->tus_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    now - st.st_mtime < TUS_EXPIRE_S)
			continue;
		file = tus_note_read(s->tus_fd, id, &n) ? tus_file_open(s->tus_fd, id, n.path.data, false) : -1;
		tus_note_fini(&n);
		/* Somebody may be at it, or have been a moment ago. */
		if (file < 0 ||
		    (flock(file, LOCK_EX | LOCK_NB) == 0 && fstat(file, &st) == 0 && now - st.st_mtime >= TUS_EXPIRE_S))
			tus_remove(s->tus_fd, id);
		if (file >= 0)
			close(file);
	}
	closedir(d);
}
