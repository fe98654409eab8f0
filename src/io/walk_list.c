/*
 * A list of names as input: read as a stream, so that a list of ten million names, or one that another program is still
 * writing, takes 64 KiB. An entry is opened as it stands below list_base. Its path (what outputs are named after) is
 * cleaned by text alone: no empty or "." component, ".." resolved, nothing before the first name; so no output name
 * made from it can leave its directory. A relative entry whose ".." lead out of the base is refused.
 */
#include "walk_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

#define LIST_BUFFER ((size_t)64 << 10)
#define LIST_ENTRY_MAX ((size_t)64 << 10)

static struct bm_entry *list_error(struct bm_walk *w, int sys_errno, const char *text)
{
	w->list.done = true;
	return bm_walk_error(w, NULL, 0, w->opt.list_path, strlen(w->opt.list_path), BM_OK, sys_errno, text);
}

/* Refills the buffer. Bytes read, 0 at the end, -1 and errno. */
static ssize_t refill(struct bm_walk *w)
{
	struct walk_list *l = &w->list;
	ssize_t n;
	bm_io_block(&w->blocker);
	do {
		n = -1;
		if (bm_io_wait(l->fd, POLLIN, &w->blocker) == 0)
			n = read(l->fd, l->buf, LIST_BUFFER);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN)); /* EAGAIN: made non-blocking by somebody */
	bm_io_unblock(&w->blocker);
	l->pos = 0;
	l->len = n > 0 ? (size_t)n : 0;
	return n;
}

/* Reads one entry into line. 1: there is one; 2: it is too long, line holds its start; 0: the end; -1 and errno. */
static int read_entry(struct bm_walk *w)
{
	struct walk_list *l = &w->list;
	const int sep = w->opt.list_nul && !w->opt.list_is_urls ? '\0' : '\n';
	bool any = false, too_long = false;
	bm_buf_reset(&l->line);
	for (;;) {
		if (l->pos == l->len) {
			ssize_t n = refill(w);
			if (n < 0)
				return -1;
			if (n == 0)
				return too_long ? 2 : any ? 1 : 0;
		}
		const char *from = l->buf + l->pos;
		const char *end = memchr(from, sep, l->len - l->pos);
		size_t len = end ? (size_t)(end - from) : l->len - l->pos;
		any = true;
		if (l->line.len + len > LIST_ENTRY_MAX) {
			too_long = true;
			len = LIST_ENTRY_MAX - l->line.len;
		}
		bm_buf_put(&l->line, from, len);
		if (l->line.oom) {
			errno = ENOMEM;
			return -1;
		}
		l->pos = end ? (size_t)(end - l->buf) + 1 : l->len;
		if (end)
			return too_long ? 2 : 1;
	}
}

/* Puts the cleaned form of a path into out. false: its ".." lead above where it starts (out then stays there). */
static bool clean(struct bm_buf *out, const char *path, size_t len)
{
	bool within = true;
	bm_buf_reset(out);
	for (size_t i = 0; i < len;) {
		const char *slash = memchr(path + i, '/', len - i);
		size_t part = slash ? (size_t)(slash - (path + i)) : len - i;
		const char *p = path + i;
		i += part + 1;
		if (part == 0 || (part == 1 && p[0] == '.'))
			continue;
		if (part == 2 && p[0] == '.' && p[1] == '.') {
			if (out->len == 0) {
				within = false;
				continue;
			}
			while (out->len > 0 && out->data[out->len - 1] != '/')
				out->len--;
			if (out->len > 0)
				out->len--;
			out->data[out->len] = '\0';
			continue;
		}
		if (out->len > 0)
			bm_buf_putc(out, '/');
		bm_buf_put(out, p, part);
	}
	return within;
}

static struct bm_entry *take_entry(struct bm_walk *w)
{
	struct walk_list *l = &w->list;
	const char *text = l->line.data;
	size_t len = l->line.len;
	if (memchr(text, '\0', len))
		return bm_walk_error(
			w, NULL, 0, text, strlen(text), BM_ERR_FORMAT, 0,
			"an entry of the list holds a NUL byte: is the list separated by NUL, not by lines?");
	bool absolute = text[0] == '/';
	bool within = clean(&l->clean, text, len);
	bm_buf_reset(&l->shown);
	if (!absolute && w->opt.list_base) {
		size_t base = strlen(w->opt.list_base);
		bm_buf_put(&l->shown, w->opt.list_base, base);
		if (base > 0 && w->opt.list_base[base - 1] != '/')
			bm_buf_putc(&l->shown, '/');
	}
	bm_buf_put(&l->shown, text, len);
	if (l->shown.oom || l->clean.oom)
		return bm_walk_oom(w);
	if (!absolute && !within)
		return bm_walk_error(w, NULL, 0, l->shown.data, l->shown.len, BM_ERR_USAGE, 0,
		                     "this entry of the list leads out of the directory that the list is relative to: "
		                     "write it as an absolute path, or change the base");
	/* "." or "/" are the base itself: a tree with nothing in front of its paths. */
	return bm_walk_start_named(w, l->shown.data, l->shown.len, l->clean.len ? l->clean.data : NULL, l->clean.len);
}

struct bm_entry *bm_walk_list_next(struct bm_walk *w)
{
	struct walk_list *l = &w->list;
	if (l->fd < 0) {
		l->buf = malloc(LIST_BUFFER);
		if (!l->buf)
			return bm_walk_oom(w);
		if (strcmp(w->opt.list_path, "-") == 0) {
			l->fd = STDIN_FILENO;
		} else {
			/* A FIFO opens at once; its writer is waited for where a cancel can end the wait. */
			bm_io_block(&w->blocker);
			l->fd = bm_io_open(AT_FDCWD, w->opt.list_path, strlen(w->opt.list_path),
			                   O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
			bm_io_unblock(&w->blocker);
			l->owns_fd = true;
			if (l->fd < 0)
				return list_error(w, errno, "cannot open the list of inputs");
		}
	}
	int got = read_entry(w);
	if (got < 0 && errno == ENOMEM)
		return bm_walk_oom(w);
	if (got < 0 && errno == ECANCELED) {
		l->done = true;
		return bm_walk_error(w, NULL, 0, w->opt.list_path, strlen(w->opt.list_path), BM_ERR_CANCELLED, 0,
		                     "cancelled");
	}
	if (got < 0)
		return list_error(w, errno, "cannot read the list of inputs to its end");
	if (got == 0) {
		l->done = true;
		return NULL;
	}
	if (got == 2)
		return bm_walk_error(
			w, NULL, 0, l->line.data, 256, BM_ERR_LIMIT, 0,
			"an entry of the list is longer than 64 KiB and was left out (256 bytes of it are shown)");
	l->line_number++;
	if (w->opt.list_is_urls)
		return bm_walk_url_line(w);
	return l->line.len ? take_entry(w) : NULL;
}

void bm_walk_list_fini(struct bm_walk *w)
{
	struct walk_list *l = &w->list;
	if (l->owns_fd)
		bm_io_close(l->fd);
	free(l->buf);
	bm_buf_fini(&l->line);
	bm_buf_fini(&l->shown);
	bm_buf_fini(&l->clean);
}
