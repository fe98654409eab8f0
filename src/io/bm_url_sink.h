/*
 * bm_url_sink.h - writing one output to a URL.
 *
 * http(s): streamed as PUT. Where the server is WebDAV the bytes go to a temp name beside the target, which is moved to
 * its name when all is well (a final name means complete bytes), and missing collections are made. Another server gets the
 * PUT itself: whether others may see half of it is then the server's doing, but its end is sent only by commit, and a
 * transfer that is given up is cut off in the middle. s3: one PUT, or a multipart upload that becomes an object when
 * commit completes it.
 *
 * One thread at a time per sink. What may pass is tried again where the bytes are still at hand: all requests but a PUT
 * that is streamed.
 */
#ifndef BM_URL_SINK_H
#define BM_URL_SINK_H

#include "bm_sink.h"
#include "bm_url.h"

struct bm_url_sink;

/* url is percent-encoded (bm_url_put_encoded) where it is not s3. APPEND is not possible. BM_ERR_EXISTS with FAIL; with SKIP *skipped is set
 * and *out is NULL. run_id: part of the temp's name. The client is borrowed while the sink lives. May sleep. */
enum bm_status bm_url_sink_open(struct bm_url_client *c, const char *url, enum bm_if_exists if_exists,
                                const char *run_id, const struct bm_blocker *b, struct bm_url_sink **out, bool *skipped,
                                struct bm_error *err) BM_NODISCARD;
enum bm_status bm_url_sink_write(struct bm_url_sink *s, const void *data, size_t len, const struct bm_blocker *b,
                                 struct bm_error *err) BM_NODISCARD;
/* *skipped: with SKIP, somebody else was there first. Frees the sink, also on error (then there is no temp left). */
enum bm_status bm_url_sink_commit(struct bm_url_sink *s, const struct bm_blocker *b, bool *skipped,
                                  struct bm_error *err) BM_NODISCARD;
void bm_url_sink_abort(struct bm_url_sink *s, const struct bm_blocker *b); /* frees; NULL is fine */
/* Memory that one sink for s3 takes. */
#define BM_URL_PART_BYTES ((size_t)8 << 20)

#endif
