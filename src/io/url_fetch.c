/*
 * The transfers of one resource.
 *
 * The first request asks for the first range. A server that answers 206 and gives a validator takes part in the parallel
 * way: as many ranges as there are connections are under way at once, each into a buffer of its own, a ring of them; the
 * reader takes the bytes of the one at the head. A buffer that is read is used for the next range that nobody has.
 * A server that answers 200 is streamed: one transfer, straight into the reader's chunk, paused by libcurl where that is
 * full. So is a resource where no buffer was left for it, or where one connection is all that is wanted; then no range
 * is asked for to begin with.
 *
 * BROKEN TRANSFERS. A slot whose transfer broke asks for the rest of its range, a little later, with If-Range. Tries are
 * counted since the last new byte; a server that breaks each transfer after a while is worn down in the end. Where there
 * is no validator to go on with (or the server sends all of it, or another version) the transfer begins at the start
 * once more, and what has been handed on before is compared with what comes now, by a hash: where that is equal it goes
 * on from there, and what is written is all of one version's bytes. Where not, the resource has changed while it was
 * read, and reading it fails, as of a local file: whoever reads may drop what he made of it and open it again.
 *
 * Time-outs count the time that we wait for a byte, not the time that the reader takes with others.
 */
#include "url_fetch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"

#define IGNORED_MOST ((size_t)64 << 10)

void url_fetch_fail(struct url_fetch *f, enum bm_status status, const char *fmt, ...)
{
	va_list ap;
	if (f->status != BM_OK)
		return;
	f->status = status;
	bm_buf_reset(&f->failure);
	va_start(ap, fmt);
	bm_buf_vprintf(&f->failure, fmt, ap);
	va_end(ap);
}

static void fail_nomem(struct url_fetch *f)
{
	url_fetch_fail(f, BM_ERR_NOMEM, "out of memory");
}

/* ---- bytes come in ---- */

/* How much of it is a beginning that has come before; where that is another one the fetch fails. */
static size_t compare_again(struct url_fetch *f, const char *data, size_t len)
{
	size_t n = f->again_left < len ? (size_t)f->again_left : len;
	if (n == 0)
		return 0;
	(void)XXH3_128bits_update(f->again, data, n);
	f->again_left -= n;
	if (f->again_left == 0 && !XXH128_isEqual(XXH3_128bits_digest(f->again), XXH3_128bits_digest(f->hash)))
		url_fetch_fail(f, BM_ERR_CHANGED,
		               "changed on the server while it was fetched: the %" PRIu64
		               " bytes that had come are not in the new version; nothing is kept of it",
		               f->hashed);
	return n;
}

static size_t on_direct(struct url_slot *s, const char *data, size_t len)
{
	struct url_fetch *f = s->f;
	size_t n = len;

	if (f->spill_pos < f->spill_len && len > f->again_left) {
		f->is_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	size_t known = compare_again(f, data, len);
	if (f->status != BM_OK)
		return 0;
	data += known;
	len -= known;
	size_t part = len < f->out_room ? len : f->out_room;
	if (len - part > sizeof f->spill) { /* more at once than libcurl gives */
		url_fetch_fail(f, BM_ERR_LIMIT, "libcurl gave %zu bytes at once", len);
		return 0;
	}
	if (part > 0)
		memcpy(f->out, data, part);
	f->out += part;
	f->out_room -= part;
	if (len > part) {
		memcpy(f->spill, data + part, len - part);
		f->spill_pos = 0;
		f->spill_len = len - part;
	}
	if (len > 0)
		(void)XXH3_128bits_update(f->hash, data, len);
	f->hashed += len;
	s->fresh += len;
	s->got += n;
	return n;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct url_slot *s = arg;
	struct url_fetch *f = s->f;
	size_t len = size * count;

	s->last_ms = url_now_ms();
	if (s->reply == REPLY_UNKNOWN)
		url_head_read(s);
	if (s->reply == REPLY_OTHER) /* the page of an error: read to keep the connection, unless it is long */
		return (s->ignored += len) <= IGNORED_MOST ? len : 0;
	if (s->reply != REPLY_BODY)
		return 0;
	f->moved = true;
	if (len > s->owed || (!f->is_direct && len > s->end - s->start - s->got)) {
		s->reply = REPLY_NO_RANGES;
		return 0;
	}
	if (f->is_direct) {
		size_t taken = on_direct(s, data, len);
		if (taken == len && s->owed != UINT64_MAX)
			s->owed -= len;
		return taken;
	}
	if (s->owed != UINT64_MAX)
		s->owed -= len;
	memcpy(s->buf->data + s->got, data, len);
	s->got += len;
	s->fresh += len;
	return len;
}

/* ---- a transfer begins ---- */

static bool set_up(struct url_slot *s)
{
	struct url_fetch *f = s->f;
	uint64_t from = s->start + s->got;
	char range[64];
	bool bad = false;

	if (!s->easy) {
		s->easy = url_easy_create(f->c);
		if (!s->easy)
			return false;
		bad |= curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body) != CURLE_OK;
		bad |= curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s) != CURLE_OK;
		bad |= curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s) != CURLE_OK;
		bad |= curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error) != CURLE_OK;
	}
	curl_slist_free_all(s->headers);
	if (!url_headers(f->c, f->trusted, f->is_s3, &s->headers))
		return false;
	if (f->is_s3 && f->trusted && !url_header_add(&s->headers, "x-amz-content-sha256: " URL_NO_BODY_SHA256))
		return false;
	const char *validator = f->known ? url_validator(f) : NULL;
	bool is_part = from > 0 || s->end != FETCH_TO_THE_END;
	if (is_part && validator && !url_header_add(&s->headers, "If-Range: %s", validator))
		return false;
	if (s->end == FETCH_TO_THE_END)
		(void)snprintf(range, sizeof range, "%" PRIu64 "-", from);
	else
		(void)snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, from, s->end - 1);
	bad |= curl_easy_setopt(s->easy, CURLOPT_RANGE, is_part ? range : NULL) != CURLE_OK;
	bad |= curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers) != CURLE_OK;
	return !bad && url_easy_aim(f->c, s->easy, f->now, f->trusted, f->is_s3);
}

static void start(struct url_slot *s)
{
	struct url_fetch *f = s->f;

	s->reply = REPLY_UNKNOWN;
	s->fresh = 0;
	s->owed = UINT64_MAX;
	s->ignored = 0;
	s->error[0] = '\0';
	s->last_ms = url_now_ms();
	if (f->is_direct && s->got > 0 && (!f->known || !url_validator(f) || !f->has_total)) {
		/* There is nothing to go on with: from the start, and compared. */
		s->got = 0;
		f->again_left = f->hashed;
		XXH3_128bits_reset(f->again);
	}
	f->is_paused = false;
	if (!set_up(s) || curl_multi_add_handle(f->session->multi, s->easy) != CURLM_OK)
		fail_nomem(f);
	else
		s->state = SLOT_RUNNING;
}

static void detach(struct url_slot *s)
{
	if (s->state == SLOT_RUNNING)
		(void)curl_multi_remove_handle(s->f->session->multi, s->easy);
	s->state = SLOT_IDLE;
}

void url_slot_fini(struct url_slot *s)
{
	if (!s->f)
		return;
	detach(s);
	if (s->easy)
		curl_easy_cleanup(s->easy);
	curl_slist_free_all(s->headers);
	url_buffer_give(s->f->c, s->buf);
	s->easy = NULL;
	s->headers = NULL;
	s->buf = NULL;
}

/* All of it in one transfer from the start. */
static void go_direct(struct url_fetch *f)
{
	for (size_t i = 0; i < FETCH_SLOTS; i++)
		url_slot_fini(&f->slots[i]);
	url_buffer_give(f->c, f->spare);
	f->spare = NULL;
	f->is_direct = true;
	f->known = false;
	f->head = 0;
	f->used = 1;
	f->slots[0] = (struct url_slot){.f = f, .end = FETCH_TO_THE_END};
	f->again_left = f->hashed;
	XXH3_128bits_reset(f->again);
	start(&f->slots[0]);
}

static void begin_anew(struct url_fetch *f, bool is_counted, bool has_changed)
{
	if (is_counted && f->restarts++ >= f->c->retries) {
		if (has_changed)
			url_fetch_fail(f, BM_ERR_CHANGED, "changes on the server again and again while it is fetched");
		else
			url_fetch_fail(f, BM_ERR_FAILED,
			               "cannot fetch: the server's replies in parts (206) are not what was asked for");
		return;
	}
	f->retried += is_counted;
	go_direct(f);
}

enum bm_status url_fetch_begin(struct url_fetch *f)
{
	struct url_slot *s = &f->slots[0];

	f->ring = f->c->connections + 2;
	f->head = 0;
	f->used = 1;
	*s = (struct url_slot){.f = f, .end = FETCH_TO_THE_END};
	s->buf = f->c->connections > 1 ? url_buffer_take(f->c) : NULL;
	if (s->buf)
		s->end = f->c->range_bytes;
	else
		f->is_direct = true;
	start(s);
	return f->status;
}

/* ---- a transfer is over ---- */

static void give_up(struct url_slot *s, CURLcode code, long status)
{
	struct url_fetch *f = s->f;
	struct bm_buf text = {0};
	bool is_short = code == CURLE_PARTIAL_FILE && f->known && f->has_total;

	if (is_short && !f->is_direct)
		bm_buf_printf(&text, "the server ended the transfer at byte %" PRIu64 " of %" PRIu64, s->start + s->got,
		              f->total);
	else if (is_short)
		bm_buf_printf(&text, "the server ended the transfer after %" PRIu64 " of %" PRIu64 " bytes", s->got,
		              f->total);
	else
		url_describe(&text, s->easy, code, status, s->error);
	if (s->tries > 1)
		bm_buf_printf(&text, ", tried %u times", s->tries);
	url_fetch_fail(f, is_short ? BM_ERR_TRUNCATED : BM_ERR_FAILED, "cannot fetch: %s", text.oom ? "" : text.data);
	bm_buf_fini(&text);
}

static void try_again(struct url_slot *s, CURLcode code, long status)
{
	struct url_fetch *f = s->f;

	if (s->fresh > 0)
		s->tries = 0;
	s->tries++;
	uint64_t ms = s->tries > f->c->retries ? UINT64_MAX : url_retry_wait(s->easy, s->tries);
	if (ms == UINT64_MAX) {
		give_up(s, code, status);
		return;
	}
	f->retried++;
	s->state = SLOT_WAITING;
	s->wait_until_ms = url_now_ms() + ms;
}

/* true: it was one, and is on its way, or the fetch has failed. */
static bool follow(struct url_slot *s, long status)
{
	struct url_fetch *f = s->f;
	struct bm_error why;
	char *to;

	bm_error_clear(&why);
	if (url_redirect(s->easy, status, f->now, &to, &why) != BM_OK) {
		url_fetch_fail(f, why.status, "%s", why.text);
		return true;
	}
	if (!to)
		return false;
	if (f->redirects++ >= URL_MAX_REDIRECTS) {
		url_fetch_fail(f, BM_ERR_LIMIT, "the server sends us on and on: more than %d redirects",
		               URL_MAX_REDIRECTS);
		free(to);
		return true;
	}
	f->trusted = f->trusted && !f->is_s3 && url_same_origin(f->original, to);
	if (f->now != f->original)
		free(f->now);
	f->now = to;
	start(s);
	return true;
}

/* An answer that is none of the bytes. */
static void on_other(struct url_slot *s, long status)
{
	struct url_fetch *f = s->f;
	const char *range;

	if (follow(s, status))
		return;
	if (status == 416 && !f->known && !f->is_direct) {
		range = url_reply_header(s->easy, "Content-Range");
		if (range && strcmp(range, "bytes */0") == 0) {
			f->known = f->has_total = f->is_direct = f->is_over = true;
			f->total = 0;
			if (f->has_wanted_size && f->wanted_size != 0)
				url_fetch_fail(f, BM_ERR_MISMATCH,
				               "is empty on the server, and %" PRIu64 " bytes were expected",
				               f->wanted_size);
		} else {
			begin_anew(f, false, false);
		}
	} else if (f->known && (status == 412 || status == 416)) {
		begin_anew(f, true, true);
	} else if (f->known && f->now != f->original && status >= 400 && status < 500 && !url_status_may_pass(status)) {
		/* What a redirect led to may be good for a while only: ask again where it was from. */
		free(f->now);
		f->now = f->original;
		f->trusted = true;
		f->redirects = 0;
		try_again(s, CURLE_OK, status);
	} else if (url_status_may_pass(status)) {
		try_again(s, CURLE_OK, status);
	} else {
		give_up(s, CURLE_OK, status);
	}
}

static void on_done(struct url_slot *s, CURLcode code)
{
	struct url_fetch *f = s->f;
	long status = url_reply_status(s->easy);

	detach(s);
	f->moved = true;
	if (s->reply == REPLY_UNKNOWN && code == CURLE_OK)
		url_head_read(s);
	if (f->status != BM_OK)
		return;
	switch (s->reply) {
	case REPLY_CHANGED:
		begin_anew(f, true, true);
		return;
	case REPLY_NO_RANGES:
		begin_anew(f, f->is_direct, false);
		return;
	case REPLY_OTHER:
		on_other(s, status);
		return;
	default:
		break;
	}
	if (code != CURLE_OK) {
		if (url_code_may_pass(code))
			try_again(s, code, status);
		else
			give_up(s, code, status);
	} else if (f->is_direct) {
		if (f->again_left > 0) {
			url_fetch_fail(
				f, BM_ERR_CHANGED,
				"changed on the server while it was fetched: it is shorter now than what had come");
			return;
		}
		if (f->has_total && s->got < f->total) { /* a part, though all of it was asked for */
			try_again(s, CURLE_PARTIAL_FILE, status);
			return;
		}
		f->is_over = true;
		if (!f->has_total && f->has_wanted_size && s->got != f->wanted_size)
			url_fetch_fail(f, BM_ERR_MISMATCH,
			               "is %" PRIu64 " bytes on the server, and %" PRIu64 " were expected", s->got,
			               f->wanted_size);
		f->has_total = true;
		f->total = s->got;
	} else if (s->start + s->got == s->end) {
		s->state = SLOT_COMPLETE;
	} else { /* a server may send less than it was asked for */
		try_again(s, CURLE_PARTIAL_FILE, status);
	}
}

/* ---- turns ---- */

static bool is_under_way(const struct url_slot *s)
{
	return s->state == SLOT_RUNNING || s->state == SLOT_WAITING;
}

/* New ranges, as long as there are connections and buffers for them. */
static void ask_for_more(struct url_fetch *f)
{
	size_t running = 0;

	if (f->is_direct || !f->known)
		return;
	for (size_t i = 0; i < f->used; i++)
		running += is_under_way(&f->slots[(f->head + i) % f->ring]);
	while (f->status == BM_OK && !f->is_direct && f->next < f->total && f->used < f->ring &&
	       running < f->c->connections) {
		struct url_slot *s = &f->slots[(f->head + f->used) % f->ring];
		struct url_buffer *buf = f->spare ? f->spare : url_buffer_take(f->c);
		uint64_t left = f->total - f->next;

		if (!buf)
			break;
		f->spare = NULL;
		s->f = f;
		s->buf = buf;
		s->start = f->next;
		s->end = f->next + (left < f->c->range_bytes ? left : f->c->range_bytes);
		s->got = s->handed = 0;
		s->tries = 0;
		f->next = s->end;
		f->used++;
		running++;
		start(s);
	}
}

/* Those whose time has come. How long until the next may do something. */
static uint64_t look_after(struct url_fetch *f)
{
	uint64_t now = url_now_ms(), next = 1000;
	size_t count = f->used;

	for (size_t i = 0; i < count && f->status == BM_OK; i++) {
		struct url_slot *s = &f->slots[(f->head + i) % f->ring];
		uint64_t due = UINT64_MAX;

		if (s->state == SLOT_WAITING) {
			due = s->wait_until_ms;
			if (due <= now) {
				start(s);
				due = now;
			}
		} else if (s->state == SLOT_RUNNING && f->c->timeout_ms > 0) {
			due = s->last_ms + f->c->timeout_ms;
			if (due <= now) {
				detach(s);
				(void)snprintf(s->error, sizeof s->error, "no byte came for %g s",
				               (double)f->c->timeout_ms / 1000);
				try_again(s, CURLE_OPERATION_TIMEDOUT, 0);
				due = now;
			}
		}
		if (due != UINT64_MAX && due - now < next)
			next = due - now;
	}
	return next;
}

void url_fetch_turn(struct url_fetch *f, bool may_wait, const struct bm_blocker *b)
{
	int running, left;
	CURLMsg *m;

	ask_for_more(f);
	uint64_t ms = look_after(f);
	if (f->status != BM_OK)
		return;
	f->moved = false;
	if (f->is_direct && f->is_paused && f->spill_pos == f->spill_len) {
		f->is_paused = false;
		(void)curl_easy_pause(f->slots[0].easy, CURLPAUSE_CONT);
	}
	CURLMcode code = curl_multi_perform(f->session->multi, &running);
	if (code != CURLM_OK)
		url_fetch_fail(f, BM_ERR_FAILED, "cannot fetch: %s", curl_multi_strerror(code));
	while (f->status == BM_OK && (m = curl_multi_info_read(f->session->multi, &left)) != NULL) {
		struct url_slot *s = NULL;
		if (m->msg == CURLMSG_DONE &&
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s) == CURLE_OK && s)
			on_done(s, m->data.result);
	}
	if (f->status == BM_OK && !f->moved && may_wait && url_wait(f->session, ms, b) != 0)
		url_fetch_fail(f, BM_ERR_CANCELLED, "cancelled");
}
