/* url_sink.h - what url_sink.c (PUT and WebDAV), url_dav.c (collections) and url_upload.c (s3) share. All of a sink
 * belongs to the one thread that is inside a call for it. */
#ifndef URL_SINK_H
#define URL_SINK_H

#include "bm_url_sink.h"
#include "url_call.h"

#define SINK_HOLD_MOST ((size_t)64 << 10) /* up to so many bytes are kept, and sent with their length */

struct url_upload; /* of s3 */

struct bm_url_sink {
	struct bm_url_client *c;
	struct url_session *session;
	enum bm_if_exists if_exists;
	bool is_s3;
	char *target; /* resolved */
	char *shown;  /* for messages */
	char *temp;   /* where it goes until commit; NULL: to the target at once */
	struct bm_buf hold;

	/* A PUT that is streamed. */
	bool is_streaming, is_over; /* is_over: the server has answered */
	bool is_last;               /* no more bytes come */
	bool is_paused;
	CURL *easy;
	struct curl_slist *headers;
	const uint8_t *feed;
	size_t feed_len;
	uint64_t last_ms;
	CURLcode code;
	char error[CURL_ERROR_SIZE];

	struct url_upload *upload; /* s3; NULL before the first part */
};

/* ---- url_dav.c ---- */

/* Makes the collections above the target that are missing, as far as the server knows how; *is_dav: it is one that can
 * move what was put. */
enum bm_status url_dav_prepare(struct bm_url_sink *s, const struct bm_blocker *b, bool *is_dav, struct bm_error *err);
/* Gives the temp its name. */
enum bm_status url_dav_move(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped, struct bm_error *err);
/* What a client knows of collections; any thread. */
struct url_places *url_places_create(void); /* NULL: no memory */
void url_places_destroy(struct url_places *p);

/* ---- url_upload.c ---- */

enum bm_status url_upload_write(struct bm_url_sink *s, const uint8_t *data, size_t len, const struct bm_blocker *b,
                                struct bm_error *err);
enum bm_status url_upload_commit(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped,
                                 struct bm_error *err);
void url_upload_abort(struct bm_url_sink *s, const struct bm_blocker *b);

/* ---- url_sink.c ---- */

/* A request for the sink. */
enum bm_status url_sink_call(struct bm_url_sink *s, const struct url_ask *ask, const struct bm_blocker *b,
                             struct url_call *call, struct bm_error *err);
/* 412: somebody was there first. */
enum bm_status url_sink_exists(struct bm_url_sink *s, bool *skipped, struct bm_error *err);

#endif
