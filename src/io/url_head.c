/*
 * The headers of a reply: is this what was asked for, and of the resource that it was before?
 *
 * Bytes of two replies are put together only where a validator says that they are of one version: an ETag that is not
 * weak, or a Last-Modified that is older than the reply by more than its resolution (RFC 9110, 8.8.2.2). It goes along as
 * If-Range, so that the server sends all of a new version rather than a piece of it; and because servers and what stands
 * before them err, each partial reply is held to its own headers too: the place, the total, the validator.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "url_fetch.h"

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static bool read_number(const char **p, uint64_t *out)
{
	uint64_t n = 0;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(**p - '0'), &n))
			return false;
	*out = n;
	return true;
}

/* "bytes 0-99/1000". */
static bool read_content_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
	if (!text || strncmp(text, "bytes", 5) != 0)
		return false;
	text = skip_blanks(text + 5);
	if (!read_number(&text, first) || *text++ != '-' || !read_number(&text, last) || *text++ != '/' ||
	    !read_number(&text, total))
		return false;
	return *skip_blanks(text) == '\0' && *first <= *last && *last < *total && *total <= INT64_MAX;
}

static char *copy_header(CURL *easy, const char *name)
{
	const char *value = url_reply_header(easy, name);
	return value ? bm_memdup0(value, strlen(value)) : NULL;
}

const char *url_validator(const struct url_fetch *f)
{
	return f->etag ? f->etag : f->modified_is_strong ? f->modified : NULL;
}

static void take_validators(struct url_fetch *f, CURL *easy)
{
	free(f->etag);
	free(f->modified);
	f->etag = copy_header(easy, "ETag");
	f->modified = copy_header(easy, "Last-Modified");
	if (f->etag && f->etag[0] != '"') { /* weak: the bytes may be others */
		free(f->etag);
		f->etag = NULL;
	}
	const char *date = url_reply_header(easy, "Date");
	time_t modified = f->modified ? curl_getdate(f->modified, NULL) : -1;
	time_t sent = date ? curl_getdate(date, NULL) : -1;
	f->has_mtime = modified != -1;
	f->mtime = modified;
	f->modified_is_strong = modified != -1 && sent != -1 && sent - modified >= 1;
}

static bool is_same_header(CURL *easy, const char *name, const char *was)
{
	const char *is = url_reply_header(easy, name);
	return is && strcmp(is, was) == 0;
}

static void take_total(struct url_fetch *f, bool has_total, uint64_t total)
{
	f->known = true;
	f->has_total = has_total;
	f->total = total;
	if (f->has_wanted_size && has_total && total != f->wanted_size)
		url_fetch_fail(f, BM_ERR_MISMATCH, "is %" PRIu64 " bytes on the server, and %" PRIu64 " were expected",
		               total, f->wanted_size);
}

/* 206. */
static enum slot_reply read_part(struct url_slot *s)
{
	struct url_fetch *f = s->f;
	uint64_t first, last, total, from = s->start + s->got;

	if (!read_content_range(url_reply_header(s->easy, "Content-Range"), &first, &last, &total) || first != from ||
	    (s->end != FETCH_TO_THE_END && last >= s->end))
		return REPLY_NO_RANGES;
	s->owed = last - first + 1;
	if (f->known) {
		/* A partial reply has the ETag that the whole would have; a date it need not have, which leaves If-Range
		 * alone to go by (RFC 9110, 15.3.7). */
		if (f->etag && !url_reply_header(s->easy, "ETag"))
			return REPLY_NO_RANGES;
		if (total != f->total || !f->has_total || (f->etag && !is_same_header(s->easy, "ETag", f->etag)) ||
		    (!f->etag && f->modified && url_reply_header(s->easy, "Last-Modified") &&
		     !is_same_header(s->easy, "Last-Modified", f->modified)))
			return REPLY_CHANGED;
		return REPLY_BODY;
	}
	take_validators(f, s->easy);
	if (last + 1 < total && !url_validator(f))
		return REPLY_NO_RANGES;
	take_total(f, true, total);
	if (s->end > total)
		s->end = total;
	f->next = s->end;
	return f->status == BM_OK ? REPLY_BODY : REPLY_FATAL;
}

/* Of several lengths, or one that is none, nobody knows where the body ends (RFC 9112, 6.3). */
static bool is_length_clear(CURL *easy, curl_off_t length)
{
	struct curl_header *h;
	const char *first = url_reply_header(easy, "Content-Length");

	if (!first || url_reply_header(easy, "Transfer-Encoding"))
		return true;
	for (size_t i = 0; curl_easy_header(easy, "Content-Length", i, CURLH_HEADER, -1, &h) == CURLHE_OK; i++)
		if (i > 0 && strcmp(h->value, first) != 0)
			return false;
	return length >= 0;
}

/* 200: all of it, from the start. */
static enum slot_reply read_whole(struct url_slot *s)
{
	struct url_fetch *f = s->f;
	curl_off_t length = -1;

	if (f->known && !f->is_direct)
		return REPLY_CHANGED;
	(void)curl_easy_getinfo(s->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (!is_length_clear(s->easy, length)) {
		url_fetch_fail(f, BM_ERR_FAILED, "cannot fetch: the server's Content-Length is none, or there are two");
		return REPLY_FATAL;
	}
	if (!f->is_direct) { /* the first reply, of a server that knows no ranges */
		url_buffer_give(f->c, s->buf);
		s->buf = NULL;
		f->is_direct = true;
	}
	s->start = 0;
	s->end = FETCH_TO_THE_END;
	s->got = 0;
	/* What has gone on already comes once more. */
	f->again_left = f->hashed;
	XXH3_128bits_reset(f->again);
	take_validators(f, s->easy);
	take_total(f, length >= 0, length >= 0 ? (uint64_t)length : 0);
	return f->status == BM_OK ? REPLY_BODY : REPLY_FATAL;
}

void url_head_read(struct url_slot *s)
{
	long status = url_reply_status(s->easy);

	if (status == 206)
		s->reply = read_part(s);
	else if (status == 200)
		s->reply = read_whole(s);
	else
		s->reply = REPLY_OTHER;
}
