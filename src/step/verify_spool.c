/*
 * verify_spool.c - see verify_spool.h. Reading goes in order mostly: what comes just behind the window is read in large
 * pieces, and from elsewhere little more than was asked for.
 */
#include "verify_spool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_temp.h"
#include "bm_text.h"
#include "verify_join.h"

#define WINDOW_BYTES ((size_t)64 << 10)
#define WINDOW_MIN_BYTES ((size_t)512)
#define WINDOW_NEAR_BYTES ((size_t)4 << 10)

void spool_init(struct spool *s)
{
	*s = (struct spool){.fd = -1};
}

void spool_fini(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	bm_buf_fini(&s->tail);
}

void spool_window_fini(struct spool_window *w)
{
	bm_buf_fini(&w->data);
}

static enum bm_status spool_flush(struct spool *s, struct bm_error *err)
{
	const char *dir = bm_temp_dir();
	const char *at = s->tail.data;
	size_t left = s->tail.len;
	char shown[256];

	bm_escape_display_buf(shown, sizeof(shown), dir, strlen(dir));
	if (s->fd < 0)
		s->fd = bm_temp_open(dir);
	if (s->fd < 0)
		return bm_error_set_errno(
			err, errno, shown,
			"cannot make a temporary file for files that are new or missing (TMPDIR names "
			"another directory)");
	while (left > 0) {
		ssize_t n = pwrite(s->fd, at, left, (off_t)s->start);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bm_error_set_errno(err, n < 0 ? errno : EIO, shown,
			                          "cannot write a temporary file for files that are new or missing "
			                          "(set TMPDIR to a directory with more room)");
		at += n;
		left -= (size_t)n;
		s->start += (uint64_t)n;
	}
	bm_buf_reset(&s->tail);
	return BM_OK;
}

uint64_t spool_end(const struct spool *s)
{
	return s->start + s->tail.len;
}

enum bm_status spool_put_done(struct spool *s, struct bm_error *err)
{
	if (s->tail.oom)
		return bm_error_set_nomem(err);
	return s->tail.len >= JOIN_MEMORY ? spool_flush(s, err) : BM_OK;
}

const char *spool_get(struct spool *s, uint64_t at, size_t len, struct spool_window *w, struct bm_error *err)
{
	uint64_t end = w->at + w->data.len;
	size_t want, got = 0;

	if (at >= s->start)
		return s->tail.data + (at - s->start);
	if (w->data.len > 0 && at >= w->at && at + len <= end)
		return w->data.data + (at - w->at);
	want = w->data.len > 0 && at >= w->at && at < end + WINDOW_NEAR_BYTES ? WINDOW_BYTES : WINDOW_MIN_BYTES;
	if (want > s->start - at)
		want = (size_t)(s->start - at);
	if (want < len)
		want = len;
	bm_buf_reset(&w->data);
	w->at = at;
	if (!bm_buf_reserve(&w->data, want)) {
		(void)bm_error_set_nomem(err);
		return NULL;
	}
	while (got < want) {
		ssize_t n = pread(s->fd, w->data.data + got, want - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			(void)bm_error_set_errno(err, n < 0 ? errno : EIO, NULL,
			                         "cannot read back a temporary file for files that are new or missing");
			return NULL;
		}
		got += (size_t)n;
	}
	w->data.len = got;
	return w->data.data;
}
