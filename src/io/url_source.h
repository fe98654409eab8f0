/* url_source.h - private to src/io: what source.c asks of a fetch. */
#ifndef URL_SOURCE_H
#define URL_SOURCE_H

#include <sys/stat.h>

#include "bm_url.h"

struct url_fetch;
enum bm_status url_fetch_open(struct bm_url_client *c, const struct bm_url_item *item, const char *shown,
                              const struct bm_blocker *b, struct url_fetch **out, struct bm_error *err);
/* As bm_source_read. */
enum bm_status url_fetch_read(struct url_fetch *f, uint8_t *buf, size_t cap, size_t *len, bool *last,
                              const struct bm_blocker *b, struct bm_error *err);
void url_fetch_close(struct url_fetch *f);                       /* NULL is fine */
void url_fetch_stat(const struct url_fetch *f, struct stat *st); /* as a new file here would have it */
bool url_fetch_has_mtime(const struct url_fetch *f);             /* the server said when it was changed */
unsigned url_fetch_retried(const struct url_fetch *f);

#endif
