/*
 * decode.c - GET with ?decode=1: what is in a .gz, .zst or .age, one in the other too.
 *
 * Where every layer can be sought in (bm_seekable.h) the length is known and a range costs what it decodes; what goes
 * out was checked before, unit by unit. Where one cannot, as in what gzip(1) makes, the file is decoded from its start
 * in a chain of streaming decoders, without ranges and without a length; damage in the middle then ends the connection
 * before the last chunk, which is how a client learns of it. One range at a time: of several that are asked for, none
 * is heeded.
 *
 * Decoding is done by libmicrohttpd's threads, a piece for each call. A decoder has memory of its own, which is
 * counted against the same budget as uploads: MEMORY, or all that there is where that is less, and the units and windows
 * that it allows are a part of that. A file that wants a larger window gets more of the budget, up to MEMORY_MOST; only one
 * for which that is too little, too, is refused.
 */
#include "decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_fd.h"
#include "bm_seekable.h"
#include "files.h"

#define DEPTH_MAX 4
#define PIECE_BYTES ((size_t)256 << 10)
#define MEMORY ((uint64_t)12 << 20)       /* of one of us */
#define MEMORY_MOST ((uint64_t)192 << 20) /* a window of 128 MiB, as zstd --long has it */
#define UNIT_MOST (MEMORY / 6)            /* larger units are decoded as streams */
#define SUFFIX "-decoded"                 /* of the entity tag */

struct decoded {
	struct bm_serve *srv;
	struct serve_client *client;
	int fd;
	uint64_t weight; /* of the budget */
	uint64_t first;  /* of the range */
	struct bm_seekable_source sources[DEPTH_MAX + 1];
	struct bm_seekable *layers[DEPTH_MAX + 1];
	unsigned depth;
	struct decode_chain *chain; /* or this */
};

static void close_layers(struct decoded *d)
{
	for (unsigned i = DEPTH_MAX + 1; i-- > 0;) {
		bm_seekable_destroy(d->layers[i]);
		d->layers[i] = NULL;
	}
	d->depth = 0;
	decode_chain_close(d->chain);
	d->chain = NULL;
}

static void decoded_free(void *arg)
{
	struct decoded *d = arg;

	close_layers(d);
	close(d->fd);
	serve_budget_give(d->srv, d->weight);
	free(d);
}

static enum bm_status file_pread(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	const struct decoded *d = ctx;

	if (bm_fd_read_all_at(d->fd, buf, len, offset))
		return BM_OK;
	return errno != 0 ? bm_error_set_errno(err, errno, NULL, "cannot read")
	                  : bm_error_set(err, BM_ERR_CHANGED, NULL, "it became shorter while it was read");
}

/* Of zstd. */
static uint64_t window_most(const struct decoded *d)
{
	return d->weight - d->weight / 3;
}

/* BM_ERR_UNSUPPORTED: there is no seeking. */
static enum bm_status open_layers(struct decoded *d, uint64_t file_size, uint64_t *size, struct bm_error *err)
{
	const struct bm_seekable_options opt = {.identities = d->srv->identities,
	                                        .unit_max_bytes =
	                                                (size_t)(d->weight < MEMORY ? d->weight / 6 : UNIT_MOST),
	                                        .window_max_bytes = window_most(d)};
	uint8_t head[BM_SEEKABLE_HEAD_BYTES];
	enum bm_status status;
	size_t len;

	d->sources[0] = (struct bm_seekable_source){.pread = file_pread, .ctx = d, .size = file_size};
	for (;;) {
		struct bm_seekable *layer;

		status = bm_seekable_open(&d->sources[d->depth], &opt, &d->layers[d->depth], err);
		layer = d->layers[d->depth];
		if (status != BM_OK || bm_seekable_layout(layer) == BM_SEEKABLE_PLAIN || d->depth + 1 == DEPTH_MAX)
			break;
		status = bm_seekable_read(layer, head, sizeof(head), 0, &len, err);
		if (status != BM_OK || bm_seekable_detect(head, len) == BM_SEEKABLE_PLAIN)
			break;
		status = bm_seekable_as_source(layer, &d->sources[d->depth + 1], err);
		if (status != BM_OK)
			break;
		d->depth++;
	}
	return status == BM_OK ? bm_seekable_size(d->layers[d->depth], size, err) : status;
}

/* By seeking, or else as a stream. */
static enum bm_status open_either(struct decoded *d, uint64_t file_size, uint64_t *size, bool *can_seek,
                                  struct bm_error *err)
{
	enum bm_status status = open_layers(d, file_size, size, err);

	*can_seek = status == BM_OK;
	if (status != BM_ERR_UNSUPPORTED)
		return status;
	bm_error_clear(err);
	return decode_chain_open(d->fd, d->srv->identities, window_most(d), &d->chain, err);
}

/* The client is to see that this is not the end. */
static ssize_t break_off(struct decoded *d)
{
	serve_client_cut(d->srv, d->client);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t read_seekable(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct decoded *d = arg;
	struct bm_error err = BM_ERROR_INIT;
	size_t got = 0;

	/* What it gives before an error is right all the same. */
	(void)!bm_seekable_read(d->layers[d->depth], buf, max, d->first + pos, &got, &err);
	if (got > 0)
		return (ssize_t)got;
	return break_off(d); /* also where there is less than what was promised */
}

static ssize_t read_chain(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct decoded *d = arg;
	struct bm_error err = BM_ERROR_INIT;
	size_t got = 0;

	(void)pos;
	if (decode_chain_read(d->chain, buf, max, &got, &err) != BM_OK)
		return break_off(d);
	return got > 0 ? (ssize_t)got : MHD_CONTENT_READER_END_OF_STREAM;
}

/* The type of what is in it: that of the name without the endings of the layers. */
static void add_type(struct serve_request *r)
{
	static const char *const endings[] = {".gz", ".zst", ".age", ".bgz", NULL};
	struct bm_buf name = {0};

	bm_buf_put(&name, r->tail.data, r->tail.len);
	for (int i = 0; endings[i] != NULL && !name.oom;) {
		size_t len = strlen(endings[i]);

		if (name.len > len && strcasecmp(name.data + name.len - len, endings[i]) == 0) {
			name.len -= len;
			name.data[name.len] = '\0';
			i = 0;
		} else {
			i++;
		}
	}
	serve_add_header(r, "Content-Type", serve_media_type(name.oom ? "" : name.data));
	bm_buf_fini(&name);
}

static void refuse(struct serve_request *r, const struct bm_error *err)
{
	bool is_file = err->status == BM_ERR_FORMAT || err->status == BM_ERR_TRUNCATED || err->status == BM_ERR_USAGE ||
	               err->status == BM_ERR_LIMIT || err->status == BM_ERR_UNSUPPORTED ||
	               err->status == BM_ERR_MISMATCH;

	serve_problem(r, is_file ? 422 : serve_status_of(err), "the file cannot be decoded: %s%s", err->text,
	              err->status == BM_ERR_LIMIT
	                      ? " (the limit is a part of the service's --memory, and 128 MiB at the most)"
	                      : "");
}

/* Takes d, which may be suited for seeking (size) or not. */
static void reply_decoded(struct serve_request *r, struct decoded *d, const struct stat *st, bool can_seek,
                          uint64_t size)
{
	struct http_range ranges[HTTP_RANGES_MAX];
	size_t count = 0;
	uint64_t len = can_seek ? size : MHD_SIZE_UNKNOWN;
	struct MHD_Response *response;

	if (!serve_file_head(r, st, SUFFIX) ||
	    (can_seek && serve_file_ranges(r, st, SUFFIX, size, ranges, &count) == HTTP_RANGES_NOT_SATISFIABLE)) {
		decoded_free(d);
		return;
	}
	if (count == 1) {
		d->first = ranges[0].first;
		len = ranges[0].last - ranges[0].first + 1;
		serve_add_content_range(r, &ranges[0], size);
	}
	response = MHD_create_response_from_callback(len, PIECE_BYTES, can_seek ? read_seekable : read_chain, d,
	                                             decoded_free);
	if (response == NULL) {
		decoded_free(d);
		serve_problem(r, 503, "out of memory");
		return;
	}
	serve_count(r->srv, SERVE_COUNT_DOWNLOADS, 1);
	add_type(r);
	r->is_long = len > SERVE_LONG_BYTES; /* MHD_SIZE_UNKNOWN is, too */
	serve_reply(r, count == 1 ? 206 : 200, response);
}

/* More of the budget for d, if there can ever be more. False: the request was replied to. */
static bool take(struct serve_request *r, uint64_t most, uint64_t *weight)
{
	const uint64_t wanted = most < r->srv->files_bytes ? most : r->srv->files_bytes;

	if (serve_budget_take(r->srv, wanted - *weight)) {
		*weight = wanted;
		return true;
	}
	serve_problem(r, 503, "too many files are decoded for the memory that there is; try again");
	return false;
}

void serve_decode_file(struct serve_request *r, int fd, const struct stat *st)
{
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;
	struct decoded *d;
	uint64_t size = 0, weight = 0;
	bool can_seek;

	if (!take(r, MEMORY, &weight)) {
		close(fd);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		serve_budget_give(r->srv, weight);
		close(fd);
		serve_problem(r, 503, "out of memory");
		return;
	}
	d->srv = r->srv;
	d->client = r->client;
	d->fd = fd;
	d->weight = weight;
	status = open_either(d, (uint64_t)st->st_size, &size, &can_seek, &err);
	if (status == BM_ERR_LIMIT) {
		if (!take(r, MEMORY_MOST, &d->weight)) {
			decoded_free(d);
			return;
		}
		close_layers(d);
		bm_error_clear(&err);
		status = open_either(d, (uint64_t)st->st_size, &size, &can_seek, &err);
	}
	if (status == BM_OK) {
		reply_decoded(r, d, st, can_seek, size);
	} else {
		refuse(r, &err);
		decoded_free(d);
	}
}
