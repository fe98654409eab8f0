/*
 * A URL's bytes, handed on in order: the reader's side of a fetch. How they come is url_fetch.c's.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_pace.h"
#include "sink_private.h"
#include "url_fetch.h"
#include "url_source.h"

static enum bm_status fetch_error(const struct url_fetch *f, struct bm_error *err)
{
	if (f->status == BM_ERR_NOMEM || f->failure.oom)
		return bm_error_set_nomem(err);
	return bm_io_refuse(err, f->status, f->shown, strlen(f->shown), "%s", f->failure.data);
}

void url_fetch_close(struct url_fetch *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < FETCH_SLOTS; i++)
		url_slot_fini(&f->slots[i]);
	url_buffer_give(f->c, f->spare);
	url_session_give(f->c, f->session);
	if (f->now != f->original)
		free(f->now);
	free(f->original);
	free(f->shown);
	free(f->etag);
	free(f->modified);
	XXH3_freeState(f->hash);
	XXH3_freeState(f->again);
	bm_buf_fini(&f->failure);
	free(f);
}

enum bm_status url_fetch_open(struct bm_url_client *c, const struct bm_url_item *item, const char *shown,
                              const struct bm_blocker *b, struct url_fetch **out, struct bm_error *err)
{
	struct url_fetch *f = calloc(1, sizeof *f);
	enum bm_status status = BM_OK;

	*out = NULL;
	if (!f)
		return bm_error_set_nomem(err);
	f->c = c;
	f->ring = 1;
	f->is_s3 = item->url[0] == 's' || item->url[0] == 'S';
	f->trusted = true;
	f->has_wanted_size = item->has_size;
	f->wanted_size = item->size;
	if (f->is_s3 && !c->s3_secret) {
		status = bm_io_refuse(err, BM_ERR_USAGE, shown, strlen(shown), "%s",
		                      c->s3_fault ? c->s3_fault : "there are no credentials for s3");
		goto fail;
	}
	f->shown = bm_memdup0(shown, strlen(shown));
	f->original = f->now = url_resolve(c, item->url);
	f->hash = XXH3_createState();
	f->again = XXH3_createState();
	f->session = url_session_take(c);
	if (!f->shown || !f->original || !f->hash || !f->again || !f->session) {
		status = bm_error_set_nomem(err);
		goto fail;
	}
	XXH3_128bits_reset(f->hash);
	(void)url_fetch_begin(f);
	while (f->status == BM_OK && !f->known)
		url_fetch_turn(f, true, b);
	if (f->status != BM_OK) {
		status = fetch_error(f, err);
		goto fail;
	}
	*out = f;
	return BM_OK;
fail:
	url_fetch_close(f);
	return status;
}

void url_fetch_stat(const struct url_fetch *f, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_mode = S_IFREG | (0666 & ~bm_sink_read_umask());
	/* Nobody's: chown(2) leaves these as they are. */
	st->st_uid = (uid_t)-1;
	st->st_gid = (gid_t)-1;
	st->st_size = f->has_total ? (off_t)f->total : 0;
	clock_gettime(CLOCK_REALTIME, &st->st_atim);
	st->st_mtim.tv_sec = f->has_mtime ? f->mtime : st->st_atim.tv_sec;
	st->st_ctim = st->st_mtim;
}

bool url_fetch_has_mtime(const struct url_fetch *f)
{
	return f->has_mtime;
}

unsigned url_fetch_retried(const struct url_fetch *f)
{
	return f->retried;
}

/* Of the ranges that are there: the next bytes, 0 where there are none yet. */
static size_t take_range(struct url_fetch *f, uint8_t *buf, size_t cap)
{
	struct url_slot *s = &f->slots[f->head];
	if (f->used == 0)
		return 0;
	size_t n = (size_t)(s->got - s->handed) < cap ? (size_t)(s->got - s->handed) : cap;
	if (n > 0) {
		memcpy(buf, s->buf->data + s->handed, n);
		(void)XXH3_128bits_update(f->hash, buf, n);
		f->hashed += n;
	}
	s->handed += n;
	f->pos += n;
	if (s->state == SLOT_COMPLETE && s->handed == s->end - s->start) {
		s->state = SLOT_IDLE;
		if (f->spare || f->next >= f->total)
			url_buffer_give(f->c, s->buf);
		else
			f->spare = s->buf;
		s->buf = NULL;
		f->head = (f->head + 1) % f->ring;
		f->used--;
	}
	return n;
}

/* What did not fit the last time. */
static size_t take_spill(struct url_fetch *f, uint8_t *buf, size_t cap)
{
	size_t left = f->spill_len - f->spill_pos;
	size_t n = left < cap ? left : cap;
	memcpy(buf, f->spill + f->spill_pos, n);
	f->spill_pos += n;
	f->pos += n;
	return n;
}

static bool is_at_end(const struct url_fetch *f)
{
	return f->has_total && f->pos == f->total && f->again_left == 0 &&
	       (!f->is_direct || f->is_over || f->total > 0);
}

enum bm_status url_fetch_read(struct url_fetch *f, uint8_t *buf, size_t cap, size_t *len, bool *last,
                              const struct bm_blocker *b, struct bm_error *err)
{
	size_t got = 0;
	uint64_t now = url_now_ms();

	for (size_t i = 0; i < f->used; i++)
		f->slots[(f->head + i) % f->ring].last_ms = now;
	if (!f->is_direct)
		url_fetch_turn(f, false, b);
	while (f->status == BM_OK && !is_at_end(f)) {
		if (!f->is_direct) {
			if (got == cap)
				break;
			size_t n = take_range(f, buf + got, cap - got);
			got += n;
			if (n == 0)
				url_fetch_turn(f, true, b);
			continue;
		}
		size_t n = take_spill(f, buf + got, cap - got);
		got += n;
		/* Full; where the end is not known it has to be seen whether anything follows. */
		if (got == cap && (f->has_total || f->spill_pos < f->spill_len))
			break;
		if (f->is_over)
			break;
		f->out = buf + got;
		f->out_room = cap - got;
		url_fetch_turn(f, true, b);
		n = cap - got - f->out_room;
		got += n;
		f->pos += n;
		f->out = NULL;
		f->out_room = 0;
	}
	if (f->status == BM_OK && f->is_direct && !f->is_over && is_at_end(f))
		url_fetch_turn(f, false, b); /* so that the connection can be used again */
	if (f->status != BM_OK)
		return fetch_error(f, err);
	if (bm_pace_take(b, got) != 0)
		return bm_io_refuse(err, BM_ERR_CANCELLED, f->shown, strlen(f->shown), "cancelled");
	*len = got;
	*last = is_at_end(f);
	return BM_OK;
}
