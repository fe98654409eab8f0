/*
 * list.c - a directory of the outbox as JSON: GET /v1/files/DIR/.
 *
 * A page of names in byte order, and the name to go on after. The directory is read through for each page, and only the
 * names of that page are kept and looked at, so that memory is the page's, whatever the directory holds. What cannot be
 * fetched is not listed: symbolic links, devices, temporary files. A name is there twice: as text for people, and as the
 * bytes that it is, percent-encoded for the URL ("href").
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bm_text.h"
#include "http_text.h"
#include "serve_internal.h"

#define LIMIT_MAX 1000

struct names {
	char *items[LIMIT_MAX + 1]; /* in byte order; owned */
	size_t count, limit;
	bool has_more, oom;
};

/* Keeps the first `limit` ones of all that are given. */
static void names_add(struct names *n, const char *name)
{
	size_t low = 0, high = n->count;
	char *copy;

	if (n->count == n->limit && strcmp(name, n->items[n->count - 1]) > 0) {
		n->has_more = true;
		return;
	}
	copy = strdup(name);
	if (copy == NULL) {
		n->oom = true;
		return;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(n->items[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	memmove(&n->items[low + 1], &n->items[low], (n->count - low) * sizeof(n->items[0]));
	n->items[low] = copy;
	n->count++;
	if (n->count > n->limit) {
		free(n->items[--n->count]);
		n->has_more = true;
	}
}

/* 0, or errno. */
static int names_read(struct names *n, DIR *d, const char *after)
{
	const struct dirent *e;

	for (;;) {
		errno = 0;
		e = readdir(d); /* NOLINT(concurrency-mt-unsafe): the stream is this thread's */
		if (e == NULL)
			return errno;
		if (e->d_type != DT_UNKNOWN && e->d_type != DT_REG && e->d_type != DT_DIR)
			continue;
		if (http_path_check(e->d_name, strlen(e->d_name)) == HTTP_PATH_GOOD &&
		    (after == NULL || strcmp(e->d_name, after) > 0))
			names_add(n, e->d_name);
	}
}

static void put_entry(struct bm_buf *out, int dir, const char *name, bool *any)
{
	size_t len = strlen(name);
	char date[40];
	struct stat st;
	struct tm tm;

	/* Gone or replaced since the directory was read. */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return;
	bm_buf_puts(out, *any ? ",\n{" : "\n{");
	*any = true;
	bm_json_put_name(out, "name", name, len);
	bm_buf_puts(out, ",\"href\":\"");
	http_path_encode(out, name, len);
	bm_buf_printf(out, "%s\",\"type\":\"%s\"", S_ISDIR(st.st_mode) ? "/" : "",
	              S_ISDIR(st.st_mode) ? "directory" : "file");
	if (S_ISREG(st.st_mode)) {
		bm_buf_printf(out, ",\"size\":%" PRIu64 ",\"media_type\":\"%s\"", (uint64_t)st.st_size,
		              serve_media_type(name));
	}
	if (gmtime_r(&st.st_mtim.tv_sec, &tm) != NULL && strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		bm_buf_printf(out, ",\"modified\":\"%s\"", date);
	bm_buf_putc(out, '}');
}

/* False: a reply was given. */
static bool take_limit(struct serve_request *r, size_t *out)
{
	struct bm_buf text = {0};
	uint64_t n = LIMIT_MAX;

	if (serve_query(r, "limit", &text) && (text.len == 0 || !http_number(text.data, &n) || n < 1 || n > LIMIT_MAX))
		serve_problem(r, 400, "limit is a number from 1 to %d", LIMIT_MAX);
	bm_buf_fini(&text);
	*out = (size_t)n;
	return !r->is_replied;
}

static void reply_listing(struct serve_request *r, DIR *d)
{
	struct names *n = calloc(1, sizeof(*n));
	struct bm_buf after = {0}, b = {0};
	bool has_after = serve_query(r, "after", &after), any = false;
	int code;

	if (n == NULL) {
		serve_problem(r, 503, "out of memory");
	} else if (!r->is_replied && take_limit(r, &n->limit)) {
		code = names_read(n, d, has_after ? after.data : NULL);
		bm_buf_puts(&b, "{");
		bm_json_put_name(&b, "path", r->tail.len > 0 ? r->tail.data : "", r->tail.len);
		bm_buf_puts(&b, ",\"entries\":[");
		for (size_t i = 0; i < n->count; i++)
			put_entry(&b, dirfd(d), n->items[i], &any);
		bm_buf_puts(&b, "]");
		if (n->has_more) {
			bm_buf_puts(&b, ",\"next\":\"");
			http_path_encode(&b, n->items[n->count - 1], strlen(n->items[n->count - 1]));
			bm_buf_putc(&b, '"');
		}
		bm_buf_puts(&b, "}\n");
		if (code != 0)
			serve_problem(r, 500, "cannot read the directory: %s", strerror(code));
		else if (n->oom || b.oom)
			serve_problem(r, 503, "out of memory");
		else
			serve_reply_json(r, 200, &b);
	}
	for (size_t i = 0; n != NULL && i < n->count; i++)
		free(n->items[i]);
	free(n);
	bm_buf_fini(&after);
	bm_buf_fini(&b);
}

void serve_list_dir(struct serve_request *r)
{
	int fd = serve_open_beneath(r->srv->outbox_fd, r->tail.len > 0 ? r->tail.data : ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d != NULL) {
		reply_listing(r, d);
		closedir(d);
		return;
	}
	if (errno == EACCES || errno == EPERM)
		serve_problem(r, 403, "the service may not read this directory");
	else if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
		serve_problem(r, 404, "there is no such directory");
	else if (errno == ENAMETOOLONG)
		serve_problem(r, 414, "the path is too long");
	else
		serve_problem(r, 500, "cannot open the directory: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}
