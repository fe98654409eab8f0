/* tus.h - resumable uploads: the routes' functions (tus.c). */
#ifndef SERVE_TUS_H
#define SERVE_TUS_H

#include "serve_internal.h"

void serve_tus_options(struct serve_request *r);
void serve_tus_create(struct serve_request *r);
void serve_tus_head(struct serve_request *r);
void serve_tus_patch(struct serve_request *r);
void serve_tus_delete(struct serve_request *r);
void serve_tus_data(struct serve_request *r, const char *data, size_t *len);
void serve_tus_end(struct serve_request *r);
/* Removes uploads that nobody has gone on with for a day. May take a while. */
void serve_tus_expire(struct bm_serve *s);

#endif
