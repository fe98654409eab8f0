/*
 * spill.c - see spill.h.
 *
 * The file has no name from the start, so nothing is left behind however the process ends. Only this thread touches it:
 * records are appended through one buffer, and read with pread through a buffer a run. When there are more runs than are
 * read well at a time, the smaller half of them becomes one, at the file's end: of all orders smallest first moves the
 * fewest bytes. What has been read is punched out of the file, so it needs little more room than the records do.
 *
 * A record that is longer than its cursor's buffer makes that buffer grow; the record is always whole in memory.
 */
#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_temp.h"
#include "bm_text.h"

#define PUNCH_BYTES ((uint64_t)8 << 20) /* given back in pieces of this size: a system call each */
#define CURSOR_MIN ((size_t)2048)
#define CURSOR_MAX ((size_t)1 << 20)

void spill_init(struct spill *s, const char *dir)
{
	*s = (struct spill){.fd = -1, .dir = dir != NULL && dir[0] != '\0' ? dir : bm_temp_dir()};
	bm_escape_display_buf(s->where, sizeof(s->where), s->dir, strlen(s->dir));
}

static void cursor_destroy(struct spill *s, struct spill_cursor *c)
{
	s->memory -= c->cap;
	free(c->buf);
	free(c);
}

void spill_fini(struct spill *s)
{
	while (s->heap_count > 0)
		cursor_destroy(s, s->heap[--s->heap_count]);
	free(s->buf);
	if (s->fd >= 0)
		close(s->fd);
}

bool spill_is_used(const struct spill *s)
{
	return s->fd >= 0;
}

/* ---- writing ---- */

static enum bm_status open_file(struct spill *s, struct bm_error *err)
{
	if (s->buf == NULL) {
		s->buf = malloc(SPILL_WRITE_BYTES);
		if (s->buf == NULL)
			return bm_error_set_nomem(err);
		s->memory += SPILL_WRITE_BYTES;
	}
	if (s->fd >= 0)
		return BM_OK;
	s->fd = bm_temp_open(s->dir);
	if (s->fd < 0)
		return bm_error_set_errno(err, errno, s->where,
		                          "cannot make a temporary file for sorting a manifest (TMPDIR names another "
		                          "directory)");
	return BM_OK;
}

static enum bm_status write_out(struct spill *s, const unsigned char *data, size_t len, struct bm_error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(s->fd, data, len, (off_t)s->end);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bm_error_set_errno(err, n < 0 ? errno : EIO, s->where,
			                          "cannot write a temporary file for sorting a manifest (set TMPDIR to "
			                          "a directory with more room)");
		data += n;
		len -= (size_t)n;
		s->end += (uint64_t)n;
		s->written_bytes += (uint64_t)n;
	}
	return BM_OK;
}

static enum bm_status flush(struct spill *s, struct bm_error *err)
{
	size_t len = s->len;

	s->len = 0;
	return write_out(s, s->buf, len, err);
}

enum bm_status spill_put(struct spill *s, const unsigned char *record, struct bm_error *err)
{
	size_t len = record_bytes(record);

	if (s->buf == NULL && open_file(s, err) != BM_OK)
		return err->status;
	if (len > SPILL_WRITE_BYTES - s->len && flush(s, err) != BM_OK)
		return err->status;
	if (len > SPILL_WRITE_BYTES)
		return write_out(s, record, len, err);
	memcpy(s->buf + s->len, record, len);
	s->len += len;
	return BM_OK;
}

/* ---- reading one run ---- */

static uint64_t left_in(const struct spill_cursor *c)
{
	return c->end - c->pos + (c->len - c->at);
}

static void punch(struct spill *s, struct spill_cursor *c, bool all)
{
	uint64_t done = c->pos - (c->len - c->at);
	int saved = errno;

	if (s->keeps || done - c->punched < (all ? 1 : PUNCH_BYTES))
		return;
	(void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)c->punched,
	                (off_t)(done - c->punched));
	c->punched = done;
	errno = saved;
}

/* Has at least need bytes in the buffer, and as many more as there is room for. */
static enum bm_status cursor_need(struct spill *s, struct spill_cursor *c, size_t need, struct bm_error *err)
{
	size_t have = c->len - c->at, want;

	if (have >= need)
		return BM_OK;
	if (need > left_in(c))
		return bm_error_set(err, BM_ERR_FORMAT, s->where, "a temporary file was changed by something else");
	punch(s, c, false);
	if (have > 0 && c->at > 0)
		memmove(c->buf, c->buf + c->at, have);
	c->at = 0;
	c->len = have;
	if (need > c->cap) {
		unsigned char *buf = realloc(c->buf, need);

		if (buf == NULL)
			return bm_error_set_nomem(err);
		s->memory += need - c->cap;
		c->buf = buf;
		c->cap = need;
	}
	want = c->cap - have < c->end - c->pos ? c->cap - have : (size_t)(c->end - c->pos);
	while (want > 0) {
		ssize_t n = pread(s->fd, c->buf + c->len, want, (off_t)c->pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bm_error_set_errno(err, n < 0 ? errno : EIO, s->where,
			                          "cannot read a temporary file for sorting a manifest");
		c->len += (size_t)n;
		c->pos += (uint64_t)n;
		want -= (size_t)n;
	}
	return BM_OK;
}

/* The record at the cursor is whole in its buffer afterwards. */
static enum bm_status cursor_load(struct spill *s, struct spill_cursor *c, struct bm_error *err)
{
	if (cursor_need(s, c, RECORD_HEADER_BYTES, err) != BM_OK)
		return err->status;
	return cursor_need(s, c, record_bytes(c->buf + c->at), err);
}

/* ---- the heap ---- */

static const unsigned char *record_of(const struct spill_cursor *c)
{
	return c->buf + c->at;
}

static void sift_down(struct spill *s, size_t at)
{
	struct spill_cursor *moved = s->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= s->heap_count)
			break;
		if (child + 1 < s->heap_count &&
		    record_compare(record_of(s->heap[child + 1]), record_of(s->heap[child])) < 0)
			child++;
		if (record_compare(record_of(moved), record_of(s->heap[child])) <= 0)
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = moved;
}

/* Cursors for the first count runs. */
static enum bm_status open_cursors(struct spill *s, size_t count, size_t memory_bytes, struct bm_error *err)
{
	size_t share = memory_bytes / (count + 1);

	s->cursor_bytes = share < CURSOR_MIN ? CURSOR_MIN : share > CURSOR_MAX ? CURSOR_MAX : share;
	for (size_t i = 0; i < count; i++) {
		const struct spill_run *run = &s->runs[i];
		struct spill_cursor *c = calloc(1, sizeof(*c));

		if (c == NULL)
			return bm_error_set_nomem(err);
		s->heap[s->heap_count++] = c;
		c->pos = c->punched = run->begin;
		c->end = run->end;
		c->buf = malloc(s->cursor_bytes);
		if (c->buf == NULL)
			return bm_error_set_nomem(err);
		c->cap = s->cursor_bytes;
		s->memory += c->cap;
		if (cursor_load(s, c, err) != BM_OK)
			return err->status;
	}
	for (size_t i = s->heap_count / 2; i-- > 0;)
		sift_down(s, i);
	return BM_OK;
}

const unsigned char *spill_peek(const struct spill *s)
{
	return s->heap_count > 0 ? record_of(s->heap[0]) : NULL;
}

enum bm_status spill_advance(struct spill *s, struct bm_error *err)
{
	struct spill_cursor *c = s->heap[0];

	c->at += record_bytes(record_of(c));
	if (left_in(c) > 0) {
		if (cursor_load(s, c, err) != BM_OK)
			return err->status;
	} else {
		punch(s, c, true);
		cursor_destroy(s, c);
		s->heap[0] = s->heap[--s->heap_count];
		if (s->heap_count == 0)
			return BM_OK;
	}
	sift_down(s, 0);
	return BM_OK;
}

/* ---- runs ---- */

static int compare_runs(const void *a, const void *b)
{
	const struct spill_run *x = a, *y = b;
	uint64_t x_len = x->end - x->begin, y_len = y->end - y->begin;

	return (x_len > y_len) - (x_len < y_len);
}

/* The smaller half of the runs becomes one. */
static enum bm_status merge(struct spill *s, size_t memory_bytes, size_t *peak, struct bm_error *err)
{
	size_t take = s->run_count / 2 + 1;
	uint64_t begin = s->end;
	const unsigned char *record;

	qsort(s->runs, s->run_count, sizeof(s->runs[0]), compare_runs);
	if (open_cursors(s, take, memory_bytes, err) != BM_OK)
		return err->status;
	while ((record = spill_peek(s)) != NULL) {
		if (spill_put(s, record, err) != BM_OK)
			return err->status;
		if (s->memory > *peak)
			*peak = s->memory;
		if (spill_advance(s, err) != BM_OK)
			return err->status;
	}
	if (flush(s, err) != BM_OK)
		return err->status;
	memmove(s->runs, s->runs + take, (s->run_count - take) * sizeof(s->runs[0]));
	s->run_count -= take;
	s->runs[s->run_count++] = (struct spill_run){begin, s->end};
	s->merge_count++;
	return BM_OK;
}

enum bm_status spill_end_run(struct spill *s, bool is_more, size_t memory_bytes, size_t *peak, struct bm_error *err)
{
	uint64_t begin = s->run_count > 0 ? s->runs[s->run_count - 1].end : 0;

	if (flush(s, err) != BM_OK)
		return err->status;
	if (s->memory > *peak)
		*peak = s->memory;
	if (is_more && s->can_extend)
		s->runs[s->run_count - 1].end = s->end;
	else
		s->runs[s->run_count++] = (struct spill_run){begin, s->end};
	s->can_extend = true;
	if (s->run_count > SPILL_MAX_RUNS) {
		s->can_extend = false;
		if (merge(s, memory_bytes - SPILL_WRITE_BYTES, peak, err) != BM_OK)
			return err->status;
	}
	free(s->buf);
	s->memory -= SPILL_WRITE_BYTES;
	s->buf = NULL;
	return BM_OK;
}

enum bm_status spill_rewind(struct spill *s, size_t memory_bytes, struct bm_error *err)
{
	while (s->heap_count > 0)
		cursor_destroy(s, s->heap[--s->heap_count]);
	return open_cursors(s, s->run_count, memory_bytes, err);
}
