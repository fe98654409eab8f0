/*
 * upload.h - what is sent goes through a job: as it arrives, or when it is there.
 *
 * An upload is made by and for a request, and is held by it until serve_upload_drop; its run may outlive that.
 */
#ifndef SERVE_UPLOAD_H
#define SERVE_UPLOAD_H

#include "http_text.h"
#include "serve_internal.h"

/* Of an upload that goes through no job: all that it holds, however slow it is, is one chunk and a ring of that size,
 * which is between these (bm_serve.upload_chunk_bytes). */
#define UPLOAD_CHUNK_LEAST ((uint64_t)4 << 10)
#define UPLOAD_CHUNK_MOST ((uint64_t)256 << 10)

struct upload;

/* Room in the budget, and the jobs: the one of this name, or where that is NULL sha256 and write to path in the inbox. NULL:
 * r was replied to. */
struct upload *serve_upload_create(struct serve_request *r, const char *path, size_t path_len, const char *job);
/* Starts its run: with a body that comes by serve_upload_put, or with the files below dir. False: r was replied to. */
bool serve_upload_start(struct serve_request *r, struct upload *u, const char *dir);
/* Takes a part of the body: how much; 0: the connection was suspended. */
size_t serve_upload_put(struct upload *u, const char *data, size_t len);
/* The body is whole, or (err) it is not, or not right. */
void serve_upload_finish(struct upload *u, const struct bm_error *err);
/* True once the run is over; else the connection is suspended, and the route is called again. */
bool serve_upload_wait(struct upload *u);
/* How it went: status BM_OK, or why not. Once the run is over. */
const struct bm_error *serve_upload_error(const struct upload *u);
/* {"path":...,"bytes":...,"digests":{...}}, and the value of Repr-Digest (NULL: none). Likewise. */
void serve_upload_put_result(const struct upload *u, struct bm_buf *out);
const char *serve_upload_digest(const struct upload *u);
/* 201 with the result, or a problem. */
void serve_upload_reply(struct serve_request *r, struct upload *u);
void serve_upload_drop(struct upload *u); /* what is not finished fails; NULL is fine */

/* The digests that the head announces, made as the body comes. */
struct upload_digests {
	struct http_digest wanted[HTTP_DIGESTS_MAX];
	struct bm_digest *states[HTTP_DIGESTS_MAX];
	size_t count;
};
bool upload_digests_begin(struct upload_digests *d, struct bm_error *err); /* a state for each that is wanted */
enum bm_status upload_digests_add(struct upload_digests *d, const char *data, size_t len, struct bm_error *err)
	BM_NODISCARD;
enum bm_status upload_digests_check(struct upload_digests *d, struct bm_error *err) BM_NODISCARD; /* BM_ERR_MISMATCH */
void upload_digests_fini(struct upload_digests *d);

/* Fails all uploads that are under way: nothing of them is published. The reaper tells when they are gone. */
void serve_uploads_give_up(struct bm_serve *s);

#endif
