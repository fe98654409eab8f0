/*
 * The client: what all transfers of a step share.
 *
 * SESSIONS. libcurl keeps connections (and what it knows of hosts and TLS) in a multi handle, which is one thread's at a
 * time. A transfer takes one from the client's stash and gives it back, so that a thousand small files of one server do
 * not cost a thousand handshakes, and no lock is held while anything is on its way.
 *
 * MEMORY. Ranges that come in ahead of their turn need room. There are a fixed number of buffers for all fetches of the
 * step, paid for out of the run's memory budget before it starts; who finds none left goes on with one connection, which
 * needs none. So nobody ever waits for a buffer, and the engine's argument that every chunk can finish stays as it is.
 *
 * libcurl's global state: since 7.84 curl_global_init may be called by any thread at any time (CURL_VERSION_THREADSAFE);
 * it is called once, when the first client is made (url_curl.c), and never undone, since others in the process may use
 * libcurl too. What is older is not taken by the build.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "url_private.h"
#include "url_sink.h"

#define SECRET_MOST ((size_t)64 << 10)
#define IDLE_MOST 64

/* ---- files of secrets ---- */

enum bm_status url_secret_read(const char *path, const char *what, struct bm_buf *out, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	struct stat st;
	size_t len = strlen(path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) != 0) {
		status = bm_io_fail(err, errno, path, len, "cannot open the %s", what);
	} else if (!S_ISREG(st.st_mode)) {
		status = bm_io_refuse(err, BM_ERR_USAGE, path, len, "the %s is no regular file", what);
	} else if (st.st_mode & 077) {
		status =
			bm_io_refuse(err, BM_ERR_USAGE, path, len,
		                     "the %s may be read by others (mode %04o), and what is in it is secret: chmod 600",
		                     what, (unsigned)(st.st_mode & 07777));
	} else if ((uint64_t)st.st_size > SECRET_MOST) {
		status = bm_io_refuse(err, BM_ERR_LIMIT, path, len, "the %s is larger than 64 KiB", what);
	} else if (!bm_buf_reserve(out, (size_t)st.st_size + 1)) {
		status = bm_error_set_nomem(err);
	}
	while (status == BM_OK && out->len < (size_t)st.st_size) {
		ssize_t n = read(fd, out->data + out->len, (size_t)st.st_size - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			status = bm_io_fail(err, errno, path, len, "cannot read the %s", what);
		if (n <= 0)
			break;
		out->len += (size_t)n;
	}
	if (status == BM_OK)
		bm_buf_puts(out, "");
	bm_io_close(fd);
	return status;
}

void url_secret_wipe(struct bm_buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	bm_buf_fini(b);
}

static void free_secret(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

/* What we say ourselves, and what would turn the meaning of a reply round. */
static bool is_own_header(const char *line, size_t name_len)
{
	static const char *const names[] = {
		"host",       "range",  "if-range",     "accept-encoding", "content-length", "transfer-encoding",
		"connection", "expect", "content-range"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == name_len && strncasecmp(line, names[i], name_len) == 0)
			return true;
	return false;
}

static enum bm_status read_headers(struct bm_url_client *c, const char *path, struct bm_error *err)
{
	struct bm_buf text = {0};
	unsigned number = 0;
	enum bm_status status = url_secret_read(path, "header file", &text, err);

	for (char *line = text.data; status == BM_OK && line && *line;) {
		char *end = strchr(line, '\n');
		char *next = end ? end + 1 : line + strlen(line);
		if (!end)
			end = next;
		number++;
		while (end > line && strchr(" \t\r", end[-1]) != NULL)
			end--;
		size_t len = (size_t)(end - line);
		const char *colon = memchr(line, ':', len);
		if (len == 0 || line[0] == '#') {
			line = next;
			continue;
		}
		if (!colon || colon == line || strcspn(line, " \t") < (size_t)(colon - line)) {
			status = bm_io_refuse(
				err, BM_ERR_USAGE, path, strlen(path),
				"line %u of the header file is no header, as \"Authorization: Bearer ...\"", number);
		} else if (is_own_header(line, (size_t)(colon - line))) {
			status = bm_io_refuse(
				err, BM_ERR_USAGE, path, strlen(path),
				"line %u of the header file has a header that belongs to the transfer itself: take "
				"it out",
				number);
		} else {
			char **more = bm_realloc_array(c->headers, c->header_count + 1, sizeof *more);
			if (more)
				c->headers = more;
			char *copy = more ? bm_memdup0(line, len) : NULL;
			if (copy)
				c->headers[c->header_count++] = copy;
			else
				status = bm_error_set_nomem(err);
		}
		line = next;
	}
	url_secret_wipe(&text);
	return status;
}

/* ---- the client ---- */

void bm_url_about(struct bm_buf *out)
{
	struct bm_error why = BM_ERROR_INIT;

	if (url_curl_load(&why) == BM_OK)
		bm_buf_printf(out, "URLs: libcurl %s.", curl_version_info(CURLVERSION_NOW)->version);
	else
		bm_buf_printf(out, "URLs: none: %s.", why.text);
}

static bool copy_text(char **to, const char *from)
{
	*to = from ? bm_memdup0(from, strlen(from)) : NULL;
	return *to || !from;
}

enum bm_status bm_url_client_create(const struct bm_url_options *o, struct bm_url_client **out, struct bm_error *err)
{
	struct bm_url_client *c = calloc(1, sizeof *c);
	enum bm_status status = BM_OK;

	*out = NULL;
	if (!c)
		return bm_error_set_nomem(err);
	int rc = pthread_mutex_init(&c->lock, NULL);
	if (rc != 0) {
		free(c);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	c->places = url_places_create();
	if (!c->places)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = url_curl_load(err);
	c->connections = o->connections > 0 ? o->connections : 1;
	c->retries = o->retries > BM_URL_LEAST_RETRIES ? o->retries : BM_URL_LEAST_RETRIES;
	c->timeout_ms = o->timeout_ms;
	if (!copy_text(&c->proxy, o->proxy) || !copy_text(&c->ca_file, o->ca_file) || !copy_text(&c->netrc, o->netrc))
		status = bm_error_set_nomem(err);
	if (status == BM_OK && o->netrc) {
		struct bm_buf text = {0};
		status = url_secret_read(o->netrc, "netrc file", &text, err);
		url_secret_wipe(&text);
	}
	if (status == BM_OK && o->ca_file && access(o->ca_file, R_OK) != 0)
		status = bm_io_fail(err, errno, o->ca_file, strlen(o->ca_file),
		                    "cannot read the file of authorities (ca_file)");
	if (status == BM_OK && o->header_file)
		status = read_headers(c, o->header_file, err);
	if (status == BM_OK && (o->is_s3 || o->may_be_s3)) {
		struct bm_error why = BM_ERROR_INIT;
		status = url_s3_configure(c, o, &why);
		if (status == BM_ERR_USAGE && !o->is_s3) {
			c->s3_fault = bm_memdup0(why.text, strlen(why.text));
			status = c->s3_fault ? BM_OK : bm_error_set_nomem(err);
		} else if (status != BM_OK) {
			(void)bm_error_set(err, status, why.where, "%s", why.text);
		}
	}
	if (status != BM_OK) {
		bm_url_client_destroy(c);
		return status;
	}
	*out = c;
	return BM_OK;
}

void bm_url_client_destroy(struct bm_url_client *c)
{
	if (!c)
		return;
	while (c->idle) {
		struct url_session *s = c->idle;
		c->idle = s->next;
		(void)curl_multi_cleanup(s->multi);
		free(s);
	}
	while (c->free_buffers) {
		struct url_buffer *b = c->free_buffers;
		c->free_buffers = b->next;
		free(b);
	}
	for (size_t i = 0; i < c->header_count; i++)
		free_secret(c->headers[i]);
	free(c->headers);
	free(c->proxy);
	free(c->ca_file);
	free(c->netrc);
	free(c->s3_endpoint);
	free(c->s3_region);
	free(c->s3_fault);
	url_places_destroy(c->places);
	free_secret(c->s3_key);
	free_secret(c->s3_secret);
	free_secret(c->s3_token);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- what it lends ---- */

static size_t range_bytes_of(unsigned connections, size_t bytes)
{
	size_t range = URL_RANGE_MOST;
	if (connections < 2)
		return 0;
	while (range >= URL_RANGE_LEAST && (connections + 2) * range > bytes)
		range /= 2;
	return range >= URL_RANGE_LEAST ? range : 0;
}

void bm_url_client_lend(struct bm_url_client *c, size_t bytes)
{
	c->range_bytes = range_bytes_of(c->connections, bytes);
	c->buffer_count = c->range_bytes > 0 ? bytes / c->range_bytes : 0;
}

struct url_buffer *url_buffer_take(struct bm_url_client *c)
{
	struct url_buffer *b = NULL;
	bool make = false;

	pthread_mutex_lock(&c->lock);
	if (c->free_buffers) {
		b = c->free_buffers;
		c->free_buffers = b->next;
	} else if (c->made < c->buffer_count) {
		c->made++;
		make = true;
	}
	pthread_mutex_unlock(&c->lock);
	if (make)
		b = malloc(sizeof *b + c->range_bytes);
	if (make && !b) {
		pthread_mutex_lock(&c->lock);
		c->made--;
		pthread_mutex_unlock(&c->lock);
	}
	return b;
}

void url_buffer_give(struct bm_url_client *c, struct url_buffer *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&c->lock);
	b->next = c->free_buffers;
	c->free_buffers = b;
	pthread_mutex_unlock(&c->lock);
}

struct url_session *url_session_take(struct bm_url_client *c)
{
	pthread_mutex_lock(&c->lock);
	struct url_session *s = c->idle;
	if (s) {
		c->idle = s->next;
		c->idle_count--;
	}
	pthread_mutex_unlock(&c->lock);
	if (s)
		return s;
	s = calloc(1, sizeof *s);
	if (s)
		s->multi = curl_multi_init();
	if (s && !s->multi) {
		free(s);
		return NULL;
	}
	return s;
}

void url_session_give(struct bm_url_client *c, struct url_session *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	bool keep = c->idle_count < IDLE_MOST;
	if (keep) {
		s->next = c->idle;
		c->idle = s;
		c->idle_count++;
	}
	pthread_mutex_unlock(&c->lock);
	if (keep)
		return;
	(void)curl_multi_cleanup(s->multi);
	free(s);
}

/* ---- transfers ---- */

CURL *url_easy_create(const struct bm_url_client *c)
{
	CURL *e = curl_easy_init();
	bool bad = !e;
	long connect_ms = c->timeout_ms > 0 && c->timeout_ms < URL_CONNECT_MS ? (long)c->timeout_ms : URL_CONNECT_MS;

	if (!e)
		return NULL;
	bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK;
	/* Each range is to have a connection of its own: HTTP/2 would put all of them into one. */
	bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) != CURLE_OK;
	bad |= curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) != CURLE_OK;
	bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) != CURLE_OK;
	bad |= curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 128L << 10) != CURLE_OK;
	bad |= curl_easy_setopt(e, CURLOPT_USERAGENT, "bytemill") != CURLE_OK;
	if (c->proxy)
		bad |= curl_easy_setopt(e, CURLOPT_PROXY, c->proxy) != CURLE_OK;
	if (c->ca_file)
		bad |= curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file) != CURLE_OK;
	if (bad) {
		curl_easy_cleanup(e);
		return NULL;
	}
	return e;
}

bool url_easy_aim(const struct bm_url_client *c, CURL *e, const char *url, bool trusted, bool is_s3)
{
	struct bm_buf sent = {0};
	bool bad = false;

	url_put_sent(&sent, url);
	bad |= sent.oom || curl_easy_setopt(e, CURLOPT_URL, sent.data) != CURLE_OK;
	bm_buf_fini(&sent);
	if (c->netrc)
		bad |= curl_easy_setopt(e, CURLOPT_NETRC_FILE, c->netrc) != CURLE_OK;
	bad |= curl_easy_setopt(e, CURLOPT_NETRC,
	                        c->netrc && trusted && !is_s3 ? (long)CURL_NETRC_OPTIONAL : (long)CURL_NETRC_IGNORED) !=
	       CURLE_OK;
	if (is_s3 && trusted) {
		struct bm_buf sign = {0};
		bm_buf_printf(&sign, "aws:amz:%s:s3", c->s3_region);
		bad |= sign.oom || curl_easy_setopt(e, CURLOPT_AWS_SIGV4, sign.data) != CURLE_OK;
		bm_buf_fini(&sign);
		bad |= curl_easy_setopt(e, CURLOPT_USERNAME, c->s3_key) != CURLE_OK;
		bad |= curl_easy_setopt(e, CURLOPT_PASSWORD, c->s3_secret) != CURLE_OK;
		bad |= curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK;
	} else {
		bad |= curl_easy_setopt(e, CURLOPT_AWS_SIGV4, NULL) != CURLE_OK;
		bad |= curl_easy_setopt(e, CURLOPT_USERNAME, NULL) != CURLE_OK;
		bad |= curl_easy_setopt(e, CURLOPT_PASSWORD, NULL) != CURLE_OK;
	}
	return !bad;
}

bool url_header_add(struct curl_slist **list, const char *fmt, ...)
{
	struct bm_buf line = {0};
	va_list ap;

	va_start(ap, fmt);
	bm_buf_vprintf(&line, fmt, ap);
	va_end(ap);
	struct curl_slist *more = line.oom ? NULL : curl_slist_append(*list, line.data);
	bm_buf_fini(&line);
	if (more) {
		*list = more;
		return true;
	}
	curl_slist_free_all(*list);
	*list = NULL;
	return false;
}

bool url_headers(const struct bm_url_client *c, bool trusted, bool is_s3, struct curl_slist **list)
{
	*list = NULL;
	if (!url_header_add(list, "Accept-Encoding: identity"))
		return false;
	for (size_t i = 0; trusted && !is_s3 && i < c->header_count; i++)
		if (!url_header_add(list, "%s", c->headers[i]))
			return false;
	return !is_s3 || !trusted || !c->s3_token || url_header_add(list, "x-amz-security-token: %s", c->s3_token);
}

size_t bm_url_ahead_bytes(unsigned connections, size_t available)
{
	size_t bytes = (size_t)2 * (connections + 2) * URL_RANGE_MOST; /* two fetches at once */

	if (bytes > available)
		bytes = available;
	return range_bytes_of(connections, bytes) > 0 ? bytes : 0;
}
