/*
 * files.c - GET and HEAD of files in the outbox: conditions, ranges, sendfile. Directories are list.c's.
 *
 * The entity tag is made of device, inode, size and the times of change in nanoseconds: a file that is replaced is
 * another inode, one that is written in place has other times. Conditions are looked at in the order of RFC 9110
 * 13.2.2.
 *
 * The whole and a single range go out with sendfile (libmicrohttpd does that for a descriptor, without TLS). Several
 * ranges are a multipart/byteranges body, made piece by piece as the client takes it: a part's head from memory, its
 * bytes by pread. A file that shrinks meanwhile ends the connection before the length that was promised, so that the
 * client sees it.
 *
 * A file may be a page with scripts of who knows whom. It comes from the origin that the service's own page has, so it
 * is sandboxed: it runs nothing, and what the page keeps in the browser is not its to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_fd.h"
#include "files.h"

#define READ_BLOCK ((size_t)64 << 10)
#define SMALL_BYTES ((uint64_t)16 << 10)
#define BOUNDARY_BYTES 40

/* ---- several ranges ---- */

struct parts {
	struct bm_serve *srv;
	struct serve_client *client;
	int fd;
	size_t count;
	struct http_range ranges[HTTP_RANGES_MAX];
	uint64_t begins[HTTP_RANGES_MAX + 1]; /* where the head of each begins in the body; last: the end line */
	char *heads[HTTP_RANGES_MAX + 1];
	uint64_t total;
};

static void parts_free(void *arg)
{
	struct parts *p = arg;

	for (size_t i = 0; i <= p->count; i++)
		free(p->heads[i]);
	close(p->fd);
	free(p);
}

static ssize_t parts_read(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct parts *p = arg;
	size_t i = 0;
	uint64_t in, head;

	if (pos >= p->total)
		return MHD_CONTENT_READER_END_OF_STREAM;
	while (i < p->count && p->begins[i + 1] <= pos)
		i++;
	in = pos - p->begins[i];
	head = strlen(p->heads[i]);
	if (in < head) {
		size_t n = head - in < max ? (size_t)(head - in) : max;

		memcpy(buf, p->heads[i] + in, n);
		return (ssize_t)n;
	}
	in -= head;
	uint64_t left = p->ranges[i].last - p->ranges[i].first + 1 - in;
	ssize_t n = pread(p->fd, buf, left < max ? (size_t)left : max, (off_t)(p->ranges[i].first + in));
	if (n > 0)
		return n;
	serve_client_cut(p->srv, p->client);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Takes fd. */
static void reply_parts(struct serve_request *r, int fd, const struct http_range *ranges, size_t count, uint64_t size,
                        const char *type)
{
	struct parts *p = calloc(1, sizeof(*p));
	char boundary[BOUNDARY_BYTES], header[BOUNDARY_BYTES + 40];
	struct MHD_Response *response;
	bool good = true;

	if (p == NULL) {
		close(fd);
		serve_problem(r, 503, "out of memory");
		return;
	}
	/* No reader takes it from the bytes: each part says how long it is. */
	snprintf(boundary, sizeof(boundary), "bytemill-%016" PRIx64,
	         (uint64_t)serve_now_ms() * UINT64_C(0x9E3779B97F4A7C15));
	p->srv = r->srv;
	p->client = r->client;
	p->fd = fd;
	p->count = count;
	for (size_t i = 0; i <= count; i++) {
		struct bm_buf b = {0};

		p->begins[i] = p->total;
		if (i < count) {
			p->ranges[i] = ranges[i];
			bm_buf_printf(&b,
			              "%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64
			              "/%" PRIu64 "\r\n\r\n",
			              i > 0 ? "\r\n" : "", boundary, type, ranges[i].first, ranges[i].last, size);
			p->total += ranges[i].last - ranges[i].first + 1;
		} else {
			bm_buf_printf(&b, "\r\n--%s--\r\n", boundary);
		}
		p->total += b.len;
		p->heads[i] = bm_buf_take(&b);
		good = good && p->heads[i] != NULL;
	}
	response = good ? MHD_create_response_from_callback(p->total, READ_BLOCK, parts_read, p, parts_free) : NULL;
	if (response == NULL) {
		parts_free(p);
		serve_problem(r, 503, "out of memory");
		return;
	}
	snprintf(header, sizeof(header), "multipart/byteranges; boundary=%s", boundary);
	serve_add_header(r, "Content-Type", header);
	r->is_long = p->total > SERVE_LONG_BYTES;
	serve_reply(r, 206, response);
}

/* ---- conditions ---- */

#define ETAG_BYTES 100

static void make_etag(const struct stat *st, const char *suffix, char out[static ETAG_BYTES])
{
	snprintf(out, ETAG_BYTES, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 "%s\"",
	         (uint64_t)st->st_dev << 48 ^ (uint64_t)st->st_ino, (uint64_t)st->st_size,
	         (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec,
	         (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec, suffix);
}

/* 200, or 304 or 412. */
static unsigned check_conditions(struct serve_request *r, const char *etag, time_t mtime)
{
	const char *match = serve_header(r, "If-Match"), *none = serve_header(r, "If-None-Match"), *since;
	time_t t;

	if (match != NULL) {
		if (!http_etag_listed(match, etag, false))
			return 412;
	} else if ((since = serve_header(r, "If-Unmodified-Since")) != NULL && http_date_parse(since, &t) &&
	           mtime > t) {
		return 412;
	}
	if (none != NULL)
		return http_etag_listed(none, etag, true) ? 304 : 200;
	since = serve_header(r, "If-Modified-Since");
	return since != NULL && http_date_parse(since, &t) && mtime <= t ? 304 : 200;
}

/* Does If-Range let Range count? A date is a strong validator once it lies some time back. */
static bool range_counts(struct serve_request *r, const char *etag, time_t mtime)
{
	const char *text = serve_header(r, "If-Range");
	time_t t;

	if (text == NULL)
		return true;
	if (text[0] == '"' || strncmp(text, "W/", 2) == 0)
		return strcmp(text, etag) == 0;
	return http_date_parse(text, &t) && t == mtime && time(NULL) - mtime > 1;
}

bool serve_file_head(struct serve_request *r, const struct stat *st, const char *suffix)
{
	char etag[ETAG_BYTES], text[30];
	unsigned status;

	make_etag(st, suffix, etag);
	http_date_format(st->st_mtim.tv_sec, text);
	serve_add_header(r, "ETag", etag);
	serve_add_header(r, "Last-Modified", text);
	serve_add_header(r, "Accept-Ranges", "bytes");
	serve_add_header(r, "Content-Security-Policy", "sandbox");
	status = check_conditions(r, etag, st->st_mtim.tv_sec);
	if (status == 304)
		serve_reply_empty(r, 304);
	else if (status == 412)
		serve_problem(r, 412, "the file is not as If-Match or If-Unmodified-Since want it");
	return status == 200;
}

enum http_ranges serve_file_ranges(struct serve_request *r, const struct stat *st, const char *suffix, uint64_t size,
                                   struct http_range out[static HTTP_RANGES_MAX], size_t *count)
{
	enum http_ranges found = HTTP_RANGES_NONE;
	char etag[ETAG_BYTES], text[80];

	make_etag(st, suffix, etag);
	if (range_counts(r, etag, st->st_mtim.tv_sec))
		found = http_ranges_parse(serve_header(r, "Range"), size, out, count);
	if (found == HTTP_RANGES_NOT_SATISFIABLE) {
		snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
		serve_add_header(r, "Content-Range", text);
		serve_problem(r, 416, "the file has %" PRIu64 " bytes, and none of those that were asked for", size);
	}
	if (found != HTTP_RANGES_SOME)
		*count = 0;
	return found;
}

void serve_add_content_range(struct serve_request *r, const struct http_range *range, uint64_t size)
{
	char text[80];

	snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first, range->last, size);
	serve_add_header(r, "Content-Range", text);
}

/* Takes fd. A few bytes go out in one call with their head. */
static struct MHD_Response *make_response(int fd, uint64_t first, uint64_t len)
{
	struct MHD_Response *response;
	char *text;

	if (len > SMALL_BYTES) {
		response = MHD_create_response_from_fd_at_offset64(len, fd, first);
		if (response == NULL)
			close(fd);
		return response;
	}
	text = malloc((size_t)len + 1);
	if (text != NULL && !bm_fd_read_all_at(fd, text, (size_t)len, first)) {
		free(text);
		text = NULL;
	}
	close(fd);
	response = text != NULL ? MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_FREE) : NULL;
	if (response == NULL)
		free(text);
	return response;
}

/* Takes fd. */
static void reply_file(struct serve_request *r, int fd, const struct stat *st)
{
	struct http_range ranges[HTTP_RANGES_MAX];
	const char *type = serve_media_type(r->tail.data);
	uint64_t size = (uint64_t)st->st_size, first = 0, len = size;
	struct MHD_Response *response;
	size_t count = 0;

	if (!serve_file_head(r, st, "") ||
	    serve_file_ranges(r, st, "", size, ranges, &count) == HTTP_RANGES_NOT_SATISFIABLE) {
		close(fd);
		return;
	}
	serve_count(r->srv, SERVE_COUNT_DOWNLOADS, 1);
	if (count > 1) {
		reply_parts(r, fd, ranges, count, size, type);
		return;
	}
	if (count == 1) {
		first = ranges[0].first;
		len = ranges[0].last - first + 1;
		serve_add_content_range(r, &ranges[0], size);
	}
	response = make_response(fd, first, len);
	if (response == NULL) {
		serve_problem(r, 500, "the file cannot be read, or there is no memory");
		return;
	}
	serve_add_header(r, "Content-Type", type);
	r->is_long = len > SERVE_LONG_BYTES;
	serve_reply(r, count == 1 ? 206 : 200, response);
}

/* ?decode=1. False: no, or replied. */
static bool wants_decoded(struct serve_request *r)
{
	struct bm_buf value = {0};
	bool is_wanted = false;

	if (serve_query(r, "decode", &value)) {
		is_wanted = strcmp(value.data, "1") == 0;
		if (!is_wanted && strcmp(value.data, "0") != 0)
			serve_problem(r, 400, "decode is 0 or 1");
	}
	bm_buf_fini(&value);
	return is_wanted;
}

void serve_get_file(struct serve_request *r)
{
	struct stat st;
	int fd;

	if (r->srv->outbox_fd < 0) {
		serve_problem(r, 404, "this service gives out no files: it was started without --outbox");
		return;
	}
	if (r->is_dir) {
		serve_list_dir(r);
		return;
	}
	fd = serve_open_beneath(r->srv->outbox_fd, r->tail.data, O_RDONLY | O_NONBLOCK);
	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		serve_problem(r, 403, "the service may not read this file");
	} else if (fd < 0 &&
	           (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV || errno == ENXIO)) {
		/* A symbolic link is no file here, and who asks need not know that there is one. */
		serve_problem(r, 404, "there is no such file");
	} else if (fd < 0 && errno == ENAMETOOLONG) {
		serve_problem(r, 414, "the path is too long");
	} else if (fd < 0) {
		serve_problem(r, 500, "cannot open the file: %s", strerror(errno));
	} else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		serve_problem(r, 404, "there is no such file");
	} else if (wants_decoded(r)) {
		serve_decode_file(r, fd, &st);
	} else if (r->is_replied) {
		close(fd);
	} else {
		reply_file(r, fd, &st);
	}
}
