/*
 * WebDAV (RFC 4918): collections that are missing, and the move from the temp name to the target.
 *
 * Whether a server speaks it is asked once a collection (OPTIONS, "DAV:"), and MKCOL is sent once for each, from the
 * inside out: 409 says that the one above is missing as well. MKCOL of what is there already does no harm (405), and a
 * server that has no such method says so; what is really amiss the PUT will tell. What is known is kept for the most
 * recent collections, so that a tree of a million files does not cost a million questions. One thread at a time asks and
 * makes: there are servers that lose one of two collections that are made at once.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "url_sink.h"

#define PLACES_MOST 256
#define DEPTH_MOST 64

struct place {
	char *url; /* owned; ends in '/' */
	bool is_dav;
};

struct url_places {
	pthread_mutex_t making;          /* held while collections are asked for and made: one after the other */
	pthread_mutex_t lock;            /* for the rest; never held over anything that may sleep */
	struct place items[PLACES_MOST]; /* a ring */
	size_t next;
};

struct url_places *url_places_create(void)
{
	struct url_places *p = calloc(1, sizeof *p);
	if (p && pthread_mutex_init(&p->lock, NULL) != 0) {
		free(p);
		return NULL;
	}
	if (p && pthread_mutex_init(&p->making, NULL) != 0) {
		pthread_mutex_destroy(&p->lock);
		free(p);
		return NULL;
	}
	return p;
}

void url_places_destroy(struct url_places *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < PLACES_MOST; i++)
		free(p->items[i].url);
	pthread_mutex_destroy(&p->making);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool find_place(struct url_places *p, const char *url, bool *is_dav)
{
	bool found = false;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < PLACES_MOST && !found; i++) {
		if (p->items[i].url && strcmp(p->items[i].url, url) == 0) {
			*is_dav = p->items[i].is_dav;
			found = true;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

static void add_place(struct url_places *p, const char *url, bool is_dav)
{
	char *copy = bm_memdup0(url, strlen(url));
	pthread_mutex_lock(&p->lock);
	free(p->items[p->next].url);
	p->items[p->next] = (struct place){copy, is_dav}; /* without memory it is asked again */
	p->next = (p->next + 1) % PLACES_MOST;
	pthread_mutex_unlock(&p->lock);
}

/* Cuts a URL that ends in '/' back to the collection above; false: it is the root. */
static bool cut_to_parent(char *url)
{
	struct url_parts p;
	if (!url_split(url, strlen(url), &p) || p.path_len < 2)
		return false;
	char *end = url + strlen(url) - 1;
	while (end > p.path && end[-1] != '/')
		end--;
	*end = '\0';
	return true;
}

static enum bm_status make(struct bm_url_sink *s, const char *url, unsigned depth, const struct bm_blocker *b,
                           struct bm_error *err)
{
	struct url_ask ask = {.method = "MKCOL", .url = url, .retries = s->c->retries};
	struct url_call call;
	char *parent = NULL;
	bool ignored;
	enum bm_status status = url_sink_call(s, &ask, b, &call, err);

	if (status == BM_OK && call.status == 409 && depth < DEPTH_MOST) {
		parent = bm_memdup0(url, strlen(url));
		if (!parent) {
			status = bm_error_set_nomem(err);
		} else if (cut_to_parent(parent)) {
			/* Where it is known to be there somebody else has made it just now, and what failed will do. */
			if (!find_place(s->c->places, parent, &ignored))
				status = make(s, parent, depth + 1, b, err);
			url_call_fini(&call);
			if (status == BM_OK)
				status = url_sink_call(s, &ask, b, &call, err);
		}
	}
	free(parent);
	url_call_fini(&call);
	return status;
}

static enum bm_status ask_and_make(struct bm_url_sink *s, const char *dir, bool is_below_root,
                                   const struct bm_blocker *b, bool *is_dav, struct bm_error *err)
{
	struct url_ask ask = {.method = "OPTIONS", .url = dir, .retries = s->c->retries};
	struct url_call call;
	enum bm_status status = url_sink_call(s, &ask, b, &call, err);

	if (status == BM_OK)
		*is_dav = call.status >= 200 && call.status < 300 && url_reply_header(call.easy, "DAV") != NULL;
	url_call_fini(&call);
	if (status == BM_OK && is_below_root)
		status = make(s, dir, 0, b, err);
	if (status == BM_OK)
		add_place(s->c->places, dir, *is_dav);
	return status;
}

enum bm_status url_dav_prepare(struct bm_url_sink *s, const struct bm_blocker *b, bool *is_dav, struct bm_error *err)
{
	struct url_parts p;
	enum bm_status status = BM_OK;

	*is_dav = false;
	if (!url_split(s->target, strlen(s->target), &p) || p.query_len > 0)
		return BM_OK; /* signed for this very name, or a program: nothing else is asked of it */
	const char *last = memrchr(p.path, '/', p.path_len);
	char *dir = bm_memdup0(s->target, last ? (size_t)(last + 1 - s->target) : (size_t)(p.path - s->target));
	if (!dir)
		return bm_error_set_nomem(err);
	if (!find_place(s->c->places, dir, is_dav)) {
		bm_io_block(b);
		pthread_mutex_lock(&s->c->places->making);
		bm_io_unblock(b);
		if (!find_place(s->c->places, dir, is_dav))
			status = ask_and_make(s, dir, last > p.path, b, is_dav, err);
		pthread_mutex_unlock(&s->c->places->making);
	}
	free(dir);
	return status;
}

/* Of a reply to PROPFIND: is an element "collection", of whatever prefix, in it? */
static bool has_collection(const struct bm_buf *xml)
{
	static const char name[] = "collection";
	const size_t len = sizeof name - 1;

	for (const char *p = xml->data ? strchr(xml->data, '<') : NULL; p; p = strchr(p, '<')) {
		p++;
		const char *end = p + strcspn(p, "<>/ \t\r\n");
		const char *local = memrchr(p, ':', (size_t)(end - p));
		local = local ? local + 1 : p;
		if ((size_t)(end - local) == len && strncmp(local, name, len) == 0)
			return true;
	}
	return false;
}

/* Refuses to go on where the target is a collection. */
static enum bm_status check_no_collection(struct bm_url_sink *s, const struct bm_blocker *b, struct bm_error *err)
{
	static const char body[] = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
				   "<propfind xmlns=\"DAV:\"><prop><resourcetype/></prop></propfind>\n";
	struct url_ask ask = {.method = "PROPFIND",
	                      .url = s->target,
	                      .headers = {"Depth: 0", "Content-Type: application/xml; charset=utf-8"},
	                      .has_body = true,
	                      .body = body,
	                      .body_len = sizeof body - 1,
	                      .retries = s->c->retries};
	struct url_call call;
	enum bm_status status = url_sink_call(s, &ask, b, &call, err);

	if (status == BM_OK && call.status == 207 && has_collection(&call.reply))
		status = bm_io_refuse(
			err, BM_ERR_EXISTS, s->shown, strlen(s->shown),
			"is a collection on the server, with whatever is in it, and is not replaced by a file");
	else if (status == BM_OK && call.status != 207 && call.status != 404 && call.status != 410)
		status = url_call_fail(&call, s->shown, "cannot tell whether it is a collection", err);
	url_call_fini(&call);
	return status;
}

static enum bm_status move(struct bm_url_sink *s, bool overwrite, const struct bm_blocker *b, struct url_call *call,
                           struct bm_error *err)
{
	struct bm_buf destination = {0};
	struct url_ask ask = {.method = "MOVE", .url = s->temp, .retries = s->c->retries};

	bm_buf_puts(&destination, "Destination: ");
	url_put_sent(&destination, s->target);
	ask.headers[0] = destination.data;
	ask.headers[1] = overwrite ? "Overwrite: T" : "Overwrite: F";
	memset(call, 0, sizeof *call);
	enum bm_status status = destination.oom ? bm_error_set_nomem(err) : url_sink_call(s, &ask, b, call, err);
	bm_buf_fini(&destination);
	return status;
}

/*
 * A server that is told to overwrite removes what is at the target, with all that is in it where that is a collection
 * (RFC 4918, 9.9.3). So it is told only where there is something, and that is no collection.
 */
enum bm_status url_dav_move(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped, struct bm_error *err)
{
	struct url_call call;
	enum bm_status status = move(s, false, b, &call, err);
	bool exists = status == BM_OK && call.status == 412;

	if (exists && s->if_exists == BM_EXISTS_REPLACE) {
		url_call_fini(&call);
		status = check_no_collection(s, b, err);
		if (status == BM_OK)
			status = move(s, true, b, &call, err);
	} else if (exists) {
		status = url_sink_exists(s, skipped, err);
	}
	/* 207 tells of what could not be moved. */
	if (status == BM_OK && !*skipped && (call.status < 200 || call.status > 299 || call.status == 207))
		status = url_call_fail(&call, s->shown, "cannot move what was put to its name", err);
	url_call_fini(&call);
	return status;
}
