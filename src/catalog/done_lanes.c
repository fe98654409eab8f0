/*
 * done_lanes.c - records of what jobs have done, from the threads that make them to the front of a log (done_log.c).
 *
 * Threads put records into lanes, small buffers each of which has nearly always one thread, and hand a full one over to the
 * log's front; what is in lanes when a batch is due the writer takes itself. So a put costs a lock that nobody else wants,
 * and a copy. Where two threads put records of one path, which happens when an input is named twice, either may hold.
 *
 * A log's front is under queue.lock, a lane under its own, which is taken after that one where both are. A put into a lane
 * that was empty tells the writer, which has no other way to know; whoever empties lanes for another reason sees to it
 * that the writer hears of what they held.
 */
#include <stdlib.h>

#include "bm_catalog_done.h"
#include "bm_error.h"
#include "done_codec.h"

#define RECORD_HEAD_MAX (3 * (size_t)DONE_NUMBER_MAX + DONE_FIXED_BYTES)
#define LANE_BYTES ((size_t)8 << 10) /* stays in the first level cache */
#define ROOM_BYTES ((size_t)1024)    /* for a record on the stack; nearly all have less */

struct catalog_log *catalog_log_find(const struct bm_catalog *c, int64_t job)
{
	struct catalog_log *log = atomic_load_explicit(&c->queue.logs, memory_order_acquire);

	while (log != NULL && log->job != job)
		log = log->next;
	return log;
}

/* NULL: no memory. With queue.lock held. */
static struct catalog_log *make_locked(struct bm_catalog *c, int64_t job)
{
	struct catalog_log *log = catalog_log_find(c, job);

	if (log != NULL)
		return log;
	log = aligned_alloc(_Alignof(struct catalog_log), sizeof(*log));
	if (log == NULL)
		return NULL;
	memset(log, 0, sizeof(*log));
	log->next = atomic_load_explicit(&c->queue.logs, memory_order_relaxed);
	log->job = job;
	log->fd = -1;
	for (size_t i = 0; i < CATALOG_LANES; i++)
		(void)pthread_mutex_init(&log->lanes[i].lock, NULL); /* cannot fail on Linux */
	atomic_store_explicit(&c->queue.logs, log, memory_order_release);
	return log;
}

struct catalog_log *catalog_log_make(struct bm_catalog *c, int64_t job)
{
	struct catalog_log *log = catalog_log_find(c, job);

	if (log != NULL)
		return log;
	pthread_mutex_lock(&c->queue.lock);
	log = make_locked(c, job);
	pthread_mutex_unlock(&c->queue.lock);
	return log;
}

/* Into the front. With queue.lock held. False: no memory; all is as it was. */
static bool gather_lane(struct catalog_queue *q, struct catalog_log *log, struct catalog_lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	bool is_kept = lane->bytes.len == 0 || bm_buf_reserve(&log->front, lane->bytes.len);
	if (is_kept && lane->bytes.len > 0) {
		bm_buf_put(&log->front, lane->bytes.data, lane->bytes.len);
		q->log_bytes += lane->bytes.len;
		bm_buf_reset(&lane->bytes);
	}
	pthread_mutex_unlock(&lane->lock);
	log->front.oom = false;
	return is_kept;
}

static bool gather_lanes(struct catalog_queue *q, struct catalog_log *log)
{
	bool are_kept = true;

	for (size_t i = 0; i < CATALOG_LANES; i++)
		are_kept = gather_lane(q, log, &log->lanes[i]) && are_kept;
	return are_kept;
}

bool catalog_log_gather(struct bm_catalog *c)
{
	struct catalog_queue *q = &c->queue;
	bool are_kept = true;

	for (struct catalog_log *log = atomic_load(&q->logs); log != NULL; log = log->next) {
		const size_t before = log->front.len;

		are_kept = gather_lanes(q, log) && are_kept;
		if (log->front.len > before) {
			q->front_count++;
			q->queued++;
		}
	}
	return are_kept;
}

/* Into the front, after what is in the lane, or in all of the log's (NULL). */
static enum bm_status put_behind(struct bm_catalog *c, struct catalog_log *log, struct catalog_lane *lane,
                                 const char *record, size_t len, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	char head[DONE_NUMBER_MAX];
	const size_t head_len = (size_t)(done_put_number(head, len) - head);
	enum bm_status status = catalog_queue_begin(c, err);

	if (status != BM_OK)
		return status;
	/* Counted with the record: were the front not empty any more, nobody would wake the writer. */
	bool is_kept = (lane == NULL ? gather_lanes(q, log) : gather_lane(q, log, lane)) &&
	               bm_buf_reserve(&log->front, len + head_len);
	if (is_kept) {
		bm_buf_put(&log->front, head, head_len);
		bm_buf_put(&log->front, record, len);
		q->log_bytes += head_len + len;
		q->group_count++;
	}
	log->front.oom = false;
	status = catalog_queue_end(c, err);
	return status == BM_OK && !is_kept ? bm_error_set_nomem(err) : status;
}

/* There is something in a lane that was empty. */
static enum bm_status wake_writer(struct bm_catalog *c, struct bm_error *err)
{
	enum bm_status status = catalog_queue_begin(c, err);

	if (status != BM_OK)
		return status;
	c->queue.group_count++;
	return catalog_queue_end(c, err);
}

static enum bm_status put(struct bm_catalog *c, int64_t job, unsigned lane_no, const char *record, size_t len,
                          struct bm_error *err)
{
	struct catalog_log *log = catalog_log_make(c, job);

	if (log == NULL)
		return bm_error_set_nomem(err);
	struct catalog_lane *lane = &log->lanes[lane_no % CATALOG_LANES];
	pthread_mutex_lock(&lane->lock);
	const size_t before = lane->bytes.len;
	bool fits = len + DONE_NUMBER_MAX <= LANE_BYTES - before && bm_buf_reserve(&lane->bytes, LANE_BYTES - before);
	if (fits)
		lane->bytes.len = (size_t)(done_put_bytes(lane->bytes.data + before, record, len) - lane->bytes.data);
	lane->bytes.oom = false;
	pthread_mutex_unlock(&lane->lock);
	if (!fits)
		return put_behind(c, log, lane, record, len, err);
	return before == 0 ? wake_writer(c, err) : BM_OK;
}

enum bm_status bm_catalog_done_put(struct bm_catalog *c, int64_t job, int64_t root, unsigned lane,
                                   const struct bm_catalog_done *d, struct bm_error *err)
{
	char room[ROOM_BYTES], *record = room, *at;
	size_t most = done_encoded_max(d);
	enum bm_status status;

	if (!bm_add_size(most, RECORD_HEAD_MAX, &most) || !bm_add_size(most, d->path_len, &most))
		return bm_error_set_nomem(err);
	if (most > sizeof(room))
		record = malloc(most);
	if (record == NULL)
		return bm_error_set_nomem(err);
	at = done_put_number(record, 1);
	at = done_put_number(at, (uint64_t)root);
	at = done_put_bytes(at, d->path, d->path_len);
	at = done_put_le(at, d->size, 8);
	at = done_put_le(at, (uint64_t)d->mtime_ns, 8);
	at = done_put_le(at, (uint64_t)d->ctime_ns, 8);
	at = done_put_le(at, d->inode, 8);
	at = done_put_le(at, (uint64_t)d->done_ns, 8);
	status = done_encode(c, d, at, &at, err);
	if (status == BM_OK)
		status = put(c, job, lane, record, (size_t)(at - record), err);
	if (record != room)
		free(record);
	return status;
}

enum bm_status bm_catalog_done_delete(struct bm_catalog *c, int64_t job, int64_t root, const char *path,
                                      size_t path_len, struct bm_error *err)
{
	struct catalog_log *log = catalog_log_make(c, job);
	char *record = path_len <= SIZE_MAX - RECORD_HEAD_MAX ? malloc(RECORD_HEAD_MAX + path_len) : NULL, *at;
	enum bm_status status;

	if (log == NULL || record == NULL) {
		free(record);
		return bm_error_set_nomem(err);
	}
	at = done_put_number(record, 0);
	at = done_put_number(at, (uint64_t)root);
	at = done_put_bytes(at, path, path_len);
	status = put_behind(c, log, NULL, record, (size_t)(at - record), err);
	free(record);
	return status;
}

enum bm_status catalog_log_drop(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	enum bm_status status = catalog_queue_begin(c, err);

	if (status != BM_OK)
		return status;
	struct catalog_log *log = make_locked(c, job);
	if (log != NULL) {
		for (size_t i = 0; i < CATALOG_LANES; i++) {
			pthread_mutex_lock(&log->lanes[i].lock);
			bm_buf_reset(&log->lanes[i].bytes);
			pthread_mutex_unlock(&log->lanes[i].lock);
		}
		q->log_bytes -= log->front.len;
		bm_buf_reset(&log->front);
		log->drops = true;
		q->group_count++;
	}
	status = catalog_queue_end(c, err);
	return status == BM_OK && log == NULL ? bm_error_set_nomem(err) : status;
}

void catalog_log_swap(struct bm_catalog *c)
{
	(void)catalog_log_gather(c); /* what there is no memory for stays in its lane until the next time */
	for (struct catalog_log *log = atomic_load(&c->queue.logs); log != NULL; log = log->next) {
		const struct bm_buf full = log->front;

		log->front = log->back;
		log->back = full;
		log->back_drops = log->drops;
		log->drops = false;
		bm_buf_reset(&log->front);
	}
	c->queue.log_bytes = 0;
}
