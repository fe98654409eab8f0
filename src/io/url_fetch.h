/* url_fetch.h - what url_fetch.c (the transfers of one resource, and what becomes of each) and url_source.c (handing its
 * bytes on in order) share. All of it belongs to the one thread that is inside url_fetch_open or url_fetch_read. */
#ifndef URL_FETCH_H
#define URL_FETCH_H

#include <xxhash.h>

#include "url_private.h"

#define FETCH_SLOTS (BM_URL_MAX_CONNECTIONS + 2)
#define FETCH_TO_THE_END UINT64_MAX

enum slot_state {
	SLOT_IDLE,
	SLOT_RUNNING, /* attached to the session */
	SLOT_WAITING, /* to be tried again at wait_until_ms */
	SLOT_COMPLETE /* all of the range is in buf */
};

/* What the headers of a reply say. */
enum slot_reply {
	REPLY_UNKNOWN,   /* they have not come */
	REPLY_BODY,      /* what was asked for */
	REPLY_OTHER,     /* an error, a redirect */
	REPLY_CHANGED,   /* the resource is another than it was */
	REPLY_NO_RANGES, /* a server that does not do what it says: ask for all of it */
	REPLY_FATAL      /* f->failure says why */
};

/* One transfer: of a range into buf, or, where buf is NULL, of all that follows straight into the reader's chunk. */
struct url_slot {
	struct url_fetch *f;
	CURL *easy;
	struct curl_slist *headers;
	struct url_buffer *buf;
	uint64_t start, end; /* of the resource; end may be FETCH_TO_THE_END */
	uint64_t got;        /* bytes from start that have come */
	uint64_t handed;     /* ... and went on; with buf */
	uint64_t fresh;      /* new bytes of this try */
	uint64_t owed;       /* that its reply says come still; UINT64_MAX: all that come are right */
	size_t ignored;      /* of a body that is none */
	unsigned tries;      /* that brought nothing new */
	uint64_t wait_until_ms, last_ms;
	enum slot_state state;
	enum slot_reply reply;
	char error[CURL_ERROR_SIZE];
};

struct url_fetch {
	struct bm_url_client *c;
	struct url_session *session;
	char *shown;    /* for messages */
	char *original; /* as the user named it, resolved */
	char *now;      /* where redirects led; may be the same text */
	bool is_s3, trusted;
	unsigned redirects;
	bool has_wanted_size;
	uint64_t wanted_size;

	/* Of the resource, since the first reply (known). */
	bool known, has_total;
	uint64_t total;
	char *etag;     /* a strong one, or NULL */
	char *modified; /* Last-Modified, or NULL */
	bool modified_is_strong;
	bool has_mtime;
	time_t mtime;

	bool is_direct;                     /* one transfer, no buffers */
	struct url_slot slots[FETCH_SLOTS]; /* a ring; is_direct: the first alone */
	size_t ring, head, used;
	uint64_t next;            /* first byte that no slot has */
	struct url_buffer *spare; /* one, kept so that there is always one to go on with */

	uint64_t pos; /* handed on */
	/* Of the first `hashed` bytes: to compare with what comes when a transfer has to begin anew. */
	XXH3_state_t *hash;
	uint64_t hashed;
	XXH3_state_t *again; /* of a beginning that is compared */
	uint64_t again_left; /* bytes to be compared still */

	/* is_direct: where the bytes go. */
	uint8_t *out;
	size_t out_room;
	uint8_t spill[CURL_MAX_WRITE_SIZE]; /* what came and did not fit */
	size_t spill_pos, spill_len;
	bool is_paused, is_over; /* is_over: all has come */

	bool moved;        /* something came */
	unsigned restarts; /* from the start */
	unsigned retried;  /* all in all */
	enum bm_status status;
	struct bm_buf failure; /* why not, where status is not BM_OK */
};

/* ---- url_fetch.c ---- */

/* The first transfer. Returns at once. */
enum bm_status url_fetch_begin(struct url_fetch *f);
/* Starts what can be started, takes what has come, and waits where nothing did and may_wait. f->status says whether it
 * goes on. */
void url_fetch_turn(struct url_fetch *f, bool may_wait, const struct bm_blocker *b);
/* The first failure counts. */
void url_fetch_fail(struct url_fetch *f, enum bm_status status, const char *fmt, ...) BM_PRINTF(3, 4);
void url_slot_fini(struct url_slot *s);

/* ---- url_head.c ---- */

/* Reads the headers of a reply to s: sets s->reply, and what is known of the resource. */
void url_head_read(struct url_slot *s);
/* What If-Range would say: an ETag or a date that stands for these very bytes; NULL: there is none. */
const char *url_validator(const struct url_fetch *f);

#endif
