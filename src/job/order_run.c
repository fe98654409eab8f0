/*
 * order_run.c - the temporary file behind order.c: written in runs, read back through cursors.
 *
 * One file for all runs, without a name from the start, so that nothing is left behind however the process ends. One
 * thread appends to it; others read what was appended before, with pread, so no file position is shared. A record is
 * index, length (8 bytes each, native order: nobody else reads it), data.
 *
 * A cursor's buffer holds cursor_bytes, whatever the run's length; it grows for a record that is longer, which is
 * handed out whole, and shrinks again at the next reading.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_temp.h"
#include "bm_text.h"
#include "order_run.h"

#define RECORD_HEADER_BYTES 16
#define PUNCH_BYTES ((uint64_t)8 << 20) /* give space back in pieces of this size: a system call each */

static size_t clamp(size_t v, size_t min, size_t max)
{
	return v < min ? min : v > max ? max : v;
}

void order_file_init(struct order_file *f, size_t write_bytes, size_t cursor_bytes)
{
	*f = (struct order_file){
		.fd = -1,
		.cap = clamp(write_bytes, 4096, 262144),
		.cursor_bytes = clamp(cursor_bytes, 512, 16384),
	};
}

void order_file_fini(struct order_file *f)
{
	free(f->buf);
	if (f->fd >= 0)
		close(f->fd);
}

void order_file_restart(struct order_file *f)
{
	f->end = 0;
	(void)!ftruncate(f->fd, 0); /* else the old bytes stay, and are overwritten */
}

enum bm_status order_file_open(struct order_file *f, struct bm_error *err)
{
	const char *dir = bm_temp_dir();

	if (f->buf == NULL) {
		f->buf = malloc(f->cap);
		if (f->buf == NULL)
			return bm_error_set_nomem(err);
	}
	if (f->fd >= 0)
		return BM_OK;
	bm_escape_display_buf(f->where, sizeof(f->where), dir, strlen(dir));
	f->fd = bm_temp_open(dir);
	if (f->fd < 0)
		return bm_error_set_errno(err, errno, f->where,
		                          "cannot make a temporary file for results that wait for their turn "
		                          "(TMPDIR names another directory)");
	return BM_OK;
}

static enum bm_status file_write(struct order_file *f, const char *data, size_t len, struct bm_error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(f->fd, data, len, (off_t)f->end);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bm_error_set_errno(err, n < 0 ? errno : EIO, f->where,
			                          "cannot write results that wait for their turn to a temporary file "
			                          "(set TMPDIR to a directory with more room)");
		data += n;
		len -= (size_t)n;
		f->end += (size_t)n;
	}
	return BM_OK;
}

enum bm_status order_file_flush(struct order_file *f, struct bm_error *err)
{
	size_t len = f->len;

	f->len = 0;
	return file_write(f, f->buf, len, err);
}

static enum bm_status file_put(struct order_file *f, const void *data, size_t len, struct bm_error *err)
{
	if (len > f->cap - f->len && order_file_flush(f, err) != BM_OK)
		return err->status;
	if (len > f->cap)
		return file_write(f, data, len, err);
	if (len != 0) /* data may be NULL then */
		memcpy(f->buf + f->len, data, len);
	f->len += len;
	return BM_OK;
}

enum bm_status order_file_put_record(struct order_file *f, uint64_t index, const void *data, size_t len,
                                     struct bm_error *err)
{
	uint64_t header[2] = {index, len};

	_Static_assert(sizeof(header) == RECORD_HEADER_BYTES, "the header is two numbers");
	if (file_put(f, header, sizeof(header), err) != BM_OK)
		return err->status;
	return file_put(f, data, len, err);
}

/* ---- reading a run ---- */

uint64_t order_run_left(const struct order_run *r, uint64_t end)
{
	return end - r->pos + (r->buf_len - r->buf_pos);
}

/* Has at least need bytes in the buffer, and as many more as there is room for. */
static enum bm_status run_need(struct order_file *f, struct order_run *r, uint64_t end, size_t need,
                               struct bm_error *err)
{
	size_t have = r->buf_len - r->buf_pos;
	size_t cap = need > f->cursor_bytes ? need : f->cursor_bytes;
	size_t want;

	if (have >= need)
		return BM_OK;
	if (need > order_run_left(r, end))
		return bm_error_set(err, BM_ERR_FORMAT, f->where, "a temporary file was changed by something else");
	if (r->buf_pos != 0)
		memmove(r->buf, r->buf + r->buf_pos, have);
	r->buf_pos = 0;
	r->buf_len = have;
	if (r->buf_cap != cap) { /* larger for one large record, and back again */
		char *buf = realloc(r->buf, cap);

		if (buf == NULL)
			return bm_error_set_nomem(err);
		r->buf = buf;
		r->buf_cap = cap;
	}
	want = cap - have < end - r->pos ? cap - have : (size_t)(end - r->pos);
	while (want > 0) {
		ssize_t n = pread(f->fd, r->buf + r->buf_len, want, (off_t)r->pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bm_error_set_errno(err, n < 0 ? errno : EIO, f->where,
			                          "cannot read results back from a temporary file");
		r->buf_len += (size_t)n;
		r->pos += (size_t)n;
		want -= (size_t)n;
	}
	return BM_OK;
}

enum bm_status order_run_peek(struct order_file *f, struct order_run *r, uint64_t end, uint64_t *index,
                              struct bm_error *err)
{
	if (run_need(f, r, end, RECORD_HEADER_BYTES, err) != BM_OK)
		return err->status;
	memcpy(index, r->buf + r->buf_pos, sizeof(*index));
	return BM_OK;
}

enum bm_status order_run_next(struct order_file *f, struct order_run *r, uint64_t end, const char **data, size_t *len,
                              struct bm_error *err)
{
	uint64_t header[2];
	size_t whole;

	if (run_need(f, r, end, sizeof(header), err) != BM_OK)
		return err->status;
	memcpy(header, r->buf + r->buf_pos, sizeof(header));
	if (header[1] > SIZE_MAX || !bm_add_size((size_t)header[1], sizeof(header), &whole))
		return bm_error_set(err, BM_ERR_FORMAT, f->where, "a temporary file was changed by something else");
	if (run_need(f, r, end, whole, err) != BM_OK)
		return err->status;
	*data = r->buf + r->buf_pos + sizeof(header);
	*len = (size_t)header[1];
	r->buf_pos += whole;
	return BM_OK;
}

void order_run_punch(struct order_file *f, struct order_run *r, bool all)
{
	uint64_t done = r->pos - (r->buf_len - r->buf_pos);
	int saved = errno;

	if (done - r->punched < (all ? 1 : PUNCH_BYTES))
		return;
	(void)fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->punched,
	                (off_t)(done - r->punched));
	r->punched = done;
	errno = saved;
}

void order_run_destroy(struct order_run *r)
{
	if (r == NULL)
		return;
	free(r->buf);
	free(r);
}
