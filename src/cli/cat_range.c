/*
 * cat_range.c - see cat_range.h: ranges as HTTP has them (RFC 9110, section 14.1.2), over the layers of bm_seekable.h.
 *
 * A file is opened as a stack of layers: age, gzip in that, and so on, up to what is none of the formats, or CAT_DEPTH of
 * them. Only what the range needs is read, in any layer. Where a layer cannot be sought in, be it at once or at a member in
 * the middle that does not tell its size, the caller goes on with a stream from the start, for what is still missing. So it
 * does where the file itself is not as long as its size, which is where the layers look for its end.
 *
 * What is written was checked before, unit by unit, so that nothing wrong has got out when an error is met. That the file
 * did not change meanwhile is looked at when all is done.
 */
#include "cat_range.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_cpus.h"
#include "bm_error.h"
#include "bm_fd.h"
#include "bm_seekable.h"
#include "bm_text.h"
#include "console.h"

#define CAT_DEPTH 4
#define BUFFER_BYTES ((size_t)256 << 10)
#define GZI_SUFFIX ".gzi"
#define THREADS_MAX 8

/* ---- what was asked for ---- */

/* Digits up to a character of stop or the end. */
static bool parse_number(const char **at, uint64_t *value)
{
	const char *p = *at;

	*value = 0;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(*value, UINT64_C(10), value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value))
			return false;
	if (p == *at)
		return false;
	*at = p;
	return true;
}

bool bm_cat_range_parse(const char *text, struct bm_cat_range *out, const char **why)
{
	const char *at = text;

	*out = (struct bm_cat_range){.last = UINT64_MAX};
	*why = "allowed: A-B (byte A to byte B, counted from 0), A- (from byte A on), -N (the last N bytes)";
	if (*at == '-') {
		at++;
		out->is_suffix = true;
		if (!parse_number(&at, &out->first) || *at != '\0')
			return false;
		*why = "the last 0 bytes are none";
		return out->first > 0;
	}
	if (!parse_number(&at, &out->first) || *at++ != '-')
		return false;
	if (*at == '\0')
		return true;
	if (!parse_number(&at, &out->last) || *at != '\0')
		return false;
	*why = "it ends before it begins";
	return out->last >= out->first;
}

/* ---- the file ---- */

struct input {
	int fd;
	struct stat st; /* when it was opened */
	struct bm_seekable_source source;
};

static enum bm_status input_pread(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	const struct input *in = ctx;

	if (bm_fd_read_all_at(in->fd, buf, len, offset))
		return BM_OK;
	return errno != 0 ? bm_error_set_errno(err, errno, NULL, "cannot read")
	                  : bm_error_set(err, BM_ERR_CHANGED, NULL, "it became shorter while it was read");
}

/* Files of /proc say that they are empty, those of /sys that they have a page. */
static bool is_as_long_as_it_says(const struct input *in)
{
	const off_t at = in->st.st_size > 0 ? in->st.st_size - 1 : 0;
	char end[2];

	/* What cannot be read is for those to tell who want it. */
	ssize_t n = pread(in->fd, end, sizeof(end), at);

	return n < 0 || n == in->st.st_size - at;
}

/* A regular file; else fd is -1. */
static enum bm_status input_open(const char *path, struct input *in, struct bm_error *err)
{
	/* A FIFO is for streaming, and is not opened here: whoever writes it would take this for its reader. */
	if (stat(path, &in->st) != 0)
		return bm_error_set_errno(err, errno, NULL, "cannot read");
	if (S_ISDIR(in->st.st_mode))
		return bm_error_set(err, BM_ERR_SYSTEM, NULL, "it is a directory");
	in->fd = -1;
	if (!S_ISREG(in->st.st_mode))
		return BM_OK;
	in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (in->fd < 0 || fstat(in->fd, &in->st) != 0)
		return bm_error_set_errno(err, errno, NULL, "cannot read");
	if (!S_ISREG(in->st.st_mode))
		return bm_error_set(err, BM_ERR_CHANGED, NULL, "it became another kind of file while it was opened");
	in->source = (struct bm_seekable_source){
		.pread = input_pread, .ctx = in, .size = (uint64_t)in->st.st_size, .any_thread = true};
	return BM_OK;
}

static void input_close(struct input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
}

static enum bm_status input_check_unchanged(const struct input *in, struct bm_error *err)
{
	struct stat now;

	if (fstat(in->fd, &now) != 0)
		return bm_error_set_errno(err, errno, NULL, "cannot read");
	if (now.st_size != in->st.st_size || now.st_mtim.tv_sec != in->st.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != in->st.st_mtim.tv_nsec)
		return bm_error_set(err, BM_ERR_CHANGED, NULL, "it changed while it was read");
	return BM_OK;
}

/* ---- threads ---- */

struct share {
	void (*task)(void *arg, size_t n);
	void *arg;
	size_t n;
	bool has_thread;
	pthread_t thread;
};

static void *run_share(void *arg)
{
	struct share *s = arg;

	s->task(s->arg, s->n);
	return NULL;
}

/* Up to THREADS_MAX at once; what finds no thread is done here. */
static void run_parallel(void (*task)(void *arg, size_t n), void *arg, size_t count)
{
	struct share shares[THREADS_MAX];

	for (size_t n = 0; n < count;) {
		const size_t now = count - n < THREADS_MAX ? count - n : THREADS_MAX;

		for (size_t i = 0; i < now; i++) {
			shares[i] = (struct share){.task = task, .arg = arg, .n = n + i};
			shares[i].has_thread =
				i > 0 && pthread_create(&shares[i].thread, NULL, run_share, &shares[i]) == 0;
		}
		for (size_t i = 0; i < now; i++)
			if (!shares[i].has_thread)
				(void)run_share(&shares[i]);
		for (size_t i = 0; i < now; i++)
			if (shares[i].has_thread)
				(void)pthread_join(shares[i].thread, NULL);
		n += now;
	}
}

/* ---- the layers ---- */

struct stack {
	const char *name; /* for messages */
	struct input file, gzi;
	struct bm_seekable_source sources[CAT_DEPTH + 1];
	struct bm_seekable *layers[CAT_DEPTH + 1]; /* [depth] is the innermost */
	unsigned depth;
};

/* FILE.gzi, where there is one. What is wrong with it is not this file's fault. */
static bool open_gzi(struct stack *s, const char *file)
{
	struct bm_error ignored = BM_ERROR_INIT;
	struct bm_buf path = {0};

	s->gzi.fd = -1;
	bm_buf_puts(&path, file);
	bm_buf_puts(&path, GZI_SUFFIX);
	if (path.oom || input_open(path.data, &s->gzi, &ignored) != BM_OK)
		input_close(&s->gzi);
	bm_buf_fini(&path);
	return s->gzi.fd >= 0;
}

static enum bm_status stack_open(struct stack *s, const char *file, const struct bm_age_identities *ids,
                                 const struct bm_cli_options *o, struct bm_error *err)
{
	struct bm_seekable_options opt = {
		.identities = ids,
		.gzi = open_gzi(s, file) ? &s->gzi.source : NULL,
		.parallel = run_parallel,
		.threads = o->threads > 0 ? o->threads : bm_cpu_count(),
		.window_max_bytes = o->max_window_bytes,
	};
	uint8_t head[BM_SEEKABLE_HEAD_BYTES];
	enum bm_status status;
	size_t len;

	s->sources[0] = s->file.source;
	for (;;) {
		struct bm_seekable *layer;

		status = bm_seekable_open(&s->sources[s->depth], &opt, &s->layers[s->depth], err);
		layer = s->layers[s->depth];
		if (status != BM_OK || bm_seekable_layout(layer) == BM_SEEKABLE_PLAIN || s->depth + 1 == CAT_DEPTH)
			return status;
		/* Mostly there is nothing inside, and then nobody needs to know how long it is. */
		status = bm_seekable_read(layer, head, sizeof(head), 0, &len, err);
		if (status != BM_OK || bm_seekable_detect(head, len) == BM_SEEKABLE_PLAIN)
			return status;
		status = bm_seekable_as_source(layer, &s->sources[s->depth + 1], err);
		if (status != BM_OK)
			return status;
		s->depth++;
		opt.gzi = NULL;
	}
}

static void stack_close(struct stack *s)
{
	for (unsigned i = CAT_DEPTH + 1; i-- > 0;)
		bm_seekable_destroy(s->layers[i]);
	input_close(&s->gzi);
	input_close(&s->file);
}

static void say_how(const struct stack *s)
{
	struct bm_buf text = {0};

	for (unsigned i = 0; i <= s->depth && s->layers[i] != NULL; i++)
		if (i == 0 || bm_seekable_layout(s->layers[i]) != BM_SEEKABLE_PLAIN)
			bm_buf_printf(&text, "%s%s", i > 0 ? "; in it " : "", bm_seekable_how(s->layers[i]));
	if (!text.oom && text.len > 0)
		bm_console_say(BM_CONSOLE_PLAIN, "%s: %s", s->name, text.data);
	bm_buf_fini(&text);
}

static void say_warnings(const struct stack *s)
{
	for (unsigned i = 0; i <= s->depth && s->layers[i] != NULL; i++)
		if (bm_seekable_warning(s->layers[i]) != NULL)
			bm_console_say(BM_CONSOLE_WARNING, "%s: %s", s->name, bm_seekable_warning(s->layers[i]));
}

/* ---- the range ---- */

static enum bm_status put(const uint8_t *data, size_t len, struct bm_error *err)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			return bm_error_set_errno(err, n < 0 ? errno : EIO, "standard output", "cannot write%s",
			                          errno == EPIPE ? ", the reader has gone" : "");
		}
	}
	return BM_OK;
}

/* What is left of the range when it fails is in *r. *past: it begins behind the end. */
static enum bm_status copy_range(struct bm_seekable *top, struct bm_cat_range *r, uint8_t *buf, bool *past,
                                 struct bm_error *err)
{
	const uint64_t begin = r->first;
	enum bm_status status = BM_OK;
	bool ended = false;

	*past = false;
	while (status == BM_OK && !ended && r->first <= r->last) {
		size_t want = BUFFER_BYTES, got;
		enum bm_status put_status;

		if (r->last - r->first < want)
			want = (size_t)(r->last - r->first) + 1;
		status = bm_seekable_read(top, buf, want, r->first, &got, err);
		ended = status == BM_OK && got < want;
		put_status = put(buf, got, err);
		if (put_status != BM_OK)
			return put_status;
		if (got > UINT64_MAX - r->first || r->first + got > r->last)
			break;
		r->first += got;
		r->is_begun |= got > 0;
	}
	*past = ended && r->first == begin;
	return status;
}

static enum bm_status run_range(struct stack *s, struct bm_cat_range *r, bool *past, uint64_t *size,
                                struct bm_error *err)
{
	struct bm_seekable *top = s->layers[s->depth];
	enum bm_status status = BM_OK;
	uint8_t *buf;

	*past = false;
	if (r->is_suffix) {
		uint64_t count = r->first;

		status = bm_seekable_size(top, size, err);
		if (status != BM_OK)
			return status;
		*r = (struct bm_cat_range){.first = *size > count ? *size - count : 0, .last = UINT64_MAX};
		if (*size == 0)
			return BM_OK;
	}
	buf = malloc(BUFFER_BYTES);
	if (buf == NULL)
		return bm_error_set_nomem(err);
	status = copy_range(top, r, buf, past, err);
	free(buf);
	if (status == BM_OK && *past)
		status = bm_seekable_size(top, size, err);
	return status;
}

void bm_cat_range_say_past(const char *file, uint64_t first, uint64_t size)
{
	char name[512];

	bm_escape_display_buf(name, sizeof(name), file, strlen(file));
	bm_console_say(BM_CONSOLE_ERROR, "%s: --range begins at byte %llu, and there are %llu bytes", name,
	               (unsigned long long)first, (unsigned long long)size);
}

static void say_error(const char *name, const struct bm_error *err, bool no_identities)
{
	/* Most texts name the place; else it is in where. */
	const bool tells = err->where[0] == '\0' || strstr(err->text, " at byte ") != NULL;

	bm_console_say(BM_CONSOLE_ERROR, "%s: %s%s%s%s", name, tells ? "" : err->where, tells ? "" : ": ", err->text,
	               no_identities && err->status == BM_ERR_USAGE ? ": give --identity or --passphrase-file"
	               : err->status == BM_ERR_LIMIT                ? "; the limit is --max-window"
	                                                            : "");
}

enum bm_cat_result bm_cat_range_seek(const char *file, struct bm_cat_range *range, const struct bm_age_identities *ids,
                                     const struct bm_cli_options *o)
{
	struct stack s = {.file = {.fd = -1}, .gzi = {.fd = -1}};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_cat_result result = BM_CAT_FAILED;
	enum bm_status status;
	uint64_t size = 0;
	bool past = false;
	char name[512];

	s.name = bm_escape_display_buf(name, sizeof(name), file, strlen(file));
	status = input_open(file, &s.file, &err);
	if (status == BM_OK && s.file.fd < 0) {
		if (o->verbose)
			bm_console_say(BM_CONSOLE_PLAIN, "%s: not a regular file: read from its start", name);
		return BM_CAT_STREAM;
	}
	if (status == BM_OK && !is_as_long_as_it_says(&s.file)) {
		if (o->verbose)
			bm_console_say(BM_CONSOLE_PLAIN, "%s: not as long as its size says: read from its start", name);
		input_close(&s.file);
		return BM_CAT_STREAM;
	}
	if (status == BM_OK)
		status = stack_open(&s, file, ids, o, &err);
	/* Before the bytes: they may end in the middle of a line. */
	if (status == BM_OK && o->verbose)
		say_how(&s);
	if (status == BM_OK)
		status = run_range(&s, range, &past, &size, &err);
	if (status == BM_OK)
		status = input_check_unchanged(&s.file, &err);
	if (!o->quiet)
		say_warnings(&s);
	if (status == BM_ERR_UNSUPPORTED) {
		if (o->verbose)
			bm_console_say(BM_CONSOLE_PLAIN, "%s: there is no seeking in it: %s; decoded from its start",
			               name, err.text);
		result = BM_CAT_STREAM;
	} else if (status != BM_OK) {
		say_error(name, &err, ids == NULL);
	} else if (past) {
		bm_cat_range_say_past(file, range->first, size);
	} else {
		result = BM_CAT_DONE;
	}
	stack_close(&s);
	return result;
}
