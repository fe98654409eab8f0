/*
 * A build without libcurl: URLs are known for what they are, so that the message can say what is missing.
 */
#include "bm_error.h"
#include "bm_url_sink.h"
#include "bm_walk.h"
#include "url_source.h"

void bm_url_about(struct bm_buf *out)
{
	bm_buf_puts(out, "This build has no libcurl: URLs cannot be used.");
}

enum bm_status bm_url_client_create(const struct bm_url_options *o, struct bm_url_client **out, struct bm_error *err)
{
	(void)o;
	*out = NULL;
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
	                    "there is a URL, and this bytemill was built without libcurl (BM_WITH_CURL)");
}

void bm_url_client_destroy(struct bm_url_client *c)
{
	(void)c;
}

void bm_url_client_lend(struct bm_url_client *c, size_t bytes)
{
	(void)c;
	(void)bytes;
}

size_t bm_url_ahead_bytes(unsigned connections, size_t available)
{
	(void)connections;
	(void)available;
	return 0;
}

enum bm_status url_fetch_open(struct bm_url_client *c, const struct bm_url_item *item, const char *shown,
                              const struct bm_blocker *b, struct url_fetch **out, struct bm_error *err)
{
	(void)item;
	(void)b;
	*out = NULL;
	(void)c;
	return bm_error_set(err, BM_ERR_UNSUPPORTED, shown, "built without libcurl");
}

enum bm_status url_fetch_read(struct url_fetch *f, uint8_t *buf, size_t cap, size_t *len, bool *last,
                              const struct bm_blocker *b, struct bm_error *err)
{
	(void)f;
	(void)buf;
	(void)cap;
	(void)len;
	(void)last;
	(void)b;
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "built without libcurl");
}

void url_fetch_close(struct url_fetch *f)
{
	(void)f;
}

void url_fetch_stat(const struct url_fetch *f, struct stat *st)
{
	(void)f;
	(void)st;
}

bool url_fetch_has_mtime(const struct url_fetch *f)
{
	(void)f;
	return false;
}

unsigned url_fetch_retried(const struct url_fetch *f)
{
	(void)f;
	return 0;
}

enum bm_status bm_url_sink_open(struct bm_url_client *c, const char *url, enum bm_if_exists if_exists,
                                const char *run_id, const struct bm_blocker *b, struct bm_url_sink **out, bool *skipped,
                                struct bm_error *err)
{
	(void)c;
	(void)url;
	(void)if_exists;
	(void)run_id;
	(void)b;
	*out = NULL;
	*skipped = false;
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "built without libcurl");
}

enum bm_status bm_url_sink_write(struct bm_url_sink *s, const void *data, size_t len, const struct bm_blocker *b,
                                 struct bm_error *err)
{
	(void)s;
	(void)data;
	(void)len;
	(void)b;
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "built without libcurl");
}

enum bm_status bm_url_sink_commit(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped,
                                  struct bm_error *err)
{
	(void)s;
	(void)b;
	*skipped = false;
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "built without libcurl");
}

void bm_url_sink_abort(struct bm_url_sink *s, const struct bm_blocker *b)
{
	(void)s;
	(void)b;
}
