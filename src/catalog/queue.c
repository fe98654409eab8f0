/*
 * queue.c - writes that wait, and the thread that puts them into the database.
 *
 * A record is a statement's number, how many parameters it has, how long they are, and those (values.c). Of some statements
 * all that lie behind each other are run as one (queued.c). There are two buffers. Callers add
 * to the front under queue.lock, which is held for the copying of one group only. The writer swaps front and back when a
 * batch is due: batch_ms after the first record came in (sooner for the first few batches, so that a program that is killed
 * soon has left something), or batch_count records, or BATCH_BYTES, or when somebody waits
 * for a flush. It then runs the back's statements in one transaction, without queue.lock, while the front fills again.
 * Groups are added under one hold of the lock, so no batch ends within one.
 *
 * Records of what jobs have done wait in fronts of their own and go into files (done_log.c). A batch that has nothing else
 * needs no transaction. They come by lanes, which the writer empties when it swaps; the first one in a lane is what makes it
 * look at its clock.
 *
 * Memory is bounded: past FRONT_MAX_BYTES a caller waits for the writer, which waits for nothing but the disk and, up to
 * busy_ms, other processes.
 *
 * After an error the batch is rolled back, and it and all that comes later is dropped: writing on would leave a hole in
 * what was promised to come in order. Every later put and flush returns the error.
 *
 * The thread is started by the first put, not by open: what only reads never has one, and a sandbox that is entered
 * between the two holds for it as well. It has all signals blocked.
 */
#include <signal.h>

#include "bm_error.h"
#include "catalog_internal.h"

#define FIRST_DELAY_MS 20
#define BATCH_BYTES ((size_t)2 << 20)
#define LOG_BYTES ((size_t)512 << 10)
#define FRONT_MAX_BYTES ((size_t)6 << 20)

/* ---- the writer ---- */

static bool is_full_locked(const struct bm_catalog *c)
{
	const struct catalog_queue *q = &c->queue;

	return q->front_count >= c->opt.batch_count || q->front.len >= BATCH_BYTES || q->log_bytes >= LOG_BYTES;
}

static bool is_due_locked(const struct bm_catalog *c)
{
	const struct catalog_queue *q = &c->queue;
	struct timespec now;

	if (q->stop || q->urgent > q->written || is_full_locked(c))
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > q->deadline.tv_sec ||
	       (now.tv_sec == q->deadline.tv_sec && now.tv_nsec >= q->deadline.tv_nsec);
}

/* ---- records ---- */

struct head {
	unsigned char which, count;
	uint32_t len; /* of the values */
};

static const char *get_head(const char *at, struct head *h)
{
	h->which = (unsigned char)at[0];
	h->count = (unsigned char)at[1];
	memcpy(&h->len, at + 2, sizeof(h->len));
	return at + CATALOG_RECORD_HEAD;
}

const char *catalog_record_get(const char *at, struct catalog_value *values, size_t *count)
{
	struct head h;

	at = get_head(at, &h);
	*count = h.count;
	for (size_t i = 0; i < h.count; i++)
		at = catalog_value_get(at, &values[i]);
	return at;
}

static bool takes_all(unsigned char which)
{
	return which == SQL_FILE_PUT_ALL;
}

static enum bm_status run_statements(struct bm_catalog *c, const struct bm_buf *records, struct bm_error *err)
{
	struct catalog_value v[CATALOG_VALUES_MAX];
	const char *at = records->data, *end = records->data + records->len;
	enum bm_status status = BM_OK;

	while (status == BM_OK && at < end) {
		const char *first = at;
		struct head h, next;
		size_t count;

		at = get_head(at, &h) + h.len;
		if (takes_all(h.which)) {
			for (const char *values; at < end; at = values + next.len) {
				values = get_head(at, &next);
				if (next.which != h.which)
					break;
			}
			status = catalog_exec_all(c, (enum catalog_statement)h.which, first, at, err);
		} else {
			(void)catalog_record_get(first, v, &count);
			status = catalog_exec(c, (enum catalog_statement)h.which, err, v, count);
		}
	}
	return status;
}

/* ---- the writer: a batch ---- */

static enum bm_status apply(struct bm_catalog *c, const struct bm_buf *records, struct catalog_log *logs,
                            struct bm_error *err)
{
	enum bm_status status;

	if (records->len == 0) {
		pthread_mutex_lock(&c->lock);
		bool is_alone = !catalog_log_needs_database(logs);
		status = is_alone ? catalog_log_write(c, logs, err) : BM_OK;
		pthread_mutex_unlock(&c->lock);
		if (is_alone)
			return status;
	}
	status = catalog_begin(c, err);
	if (status != BM_OK)
		return status;
	status = catalog_log_write(c, logs, err);
	if (status == BM_OK)
		status = run_statements(c, records, err);
	return catalog_end(c, status, err);
}

static void *writer_main(void *arg)
{
	struct bm_catalog *c = arg;
	struct catalog_queue *q = &c->queue;
	struct bm_error err = BM_ERROR_INIT;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		if (q->front_count == 0) {
			if (q->stop)
				break;
			pthread_cond_wait(&q->work, &q->lock);
			continue;
		}
		if (!is_due_locked(c)) {
			(void)pthread_cond_timedwait(&q->work, &q->lock, &q->deadline);
			continue;
		}
		struct bm_buf full = q->front;
		bool is_lost = q->failed;
		struct catalog_log *logs = atomic_load(&q->logs);

		catalog_log_swap(c);
		size_t count = q->front_count;
		q->front = q->back;
		q->back = full;
		q->front_count = 0;
		bm_buf_reset(&q->front);
		pthread_cond_broadcast(&q->room);
		pthread_mutex_unlock(&q->lock);
		enum bm_status status = is_lost ? BM_OK : apply(c, &q->back, logs, &err);
		pthread_mutex_lock(&q->lock);
		q->written += count;
		if (status != BM_OK) {
			q->failed = true;
			q->error = err;
		}
		pthread_cond_broadcast(&q->applied);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static enum bm_status start_locked(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	sigset_t all, old;
	char where[512];
	int rc;

	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (rc == 0) {
		rc = pthread_create(&q->thread, NULL, writer_main, c);
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (rc != 0)
		return bm_error_set_errno(err, rc, catalog_where(c, where), "no thread can be started that writes it");
	q->has_thread = true;
	return BM_OK;
}

/* ---- making and ending it ---- */

enum bm_status catalog_queue_init(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc != 0)
		return bm_error_set_errno(err, rc, NULL, "pthread_condattr_init");
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	q->delay_ms = FIRST_DELAY_MS;
	(void)pthread_mutex_init(&q->lock, NULL); /* on Linux none of these takes anything that could be lacking */
	(void)pthread_cond_init(&q->work, &attr);
	(void)pthread_cond_init(&q->applied, NULL);
	(void)pthread_cond_init(&q->room, NULL);
	(void)pthread_condattr_destroy(&attr);
	return BM_OK;
}

void catalog_queue_fini(struct bm_catalog *c)
{
	struct catalog_queue *q = &c->queue;

	if (q->has_thread) {
		pthread_mutex_lock(&q->lock);
		q->stop = true;
		pthread_cond_signal(&q->work);
		pthread_mutex_unlock(&q->lock);
		(void)pthread_join(q->thread, NULL);
	}
	bm_buf_fini(&q->front);
	bm_buf_fini(&q->back);
	catalog_log_fini(c);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->applied);
	pthread_cond_destroy(&q->room);
	pthread_mutex_destroy(&q->lock);
}

/* ---- callers ---- */

enum bm_status catalog_queue_begin(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	enum bm_status status = BM_OK;

	pthread_mutex_lock(&q->lock);
	while (q->front.len + q->log_bytes >= FRONT_MAX_BYTES && !q->failed)
		pthread_cond_wait(&q->room, &q->lock);
	if (q->failed) {
		status = q->error.status;
		catalog_error_copy(err, &q->error);
	} else if (!q->has_thread) {
		status = start_locked(c, err);
	}
	if (status != BM_OK) {
		pthread_mutex_unlock(&q->lock);
		return status;
	}
	q->group_start = q->front.len;
	q->group_count = 0;
	return BM_OK;
}

void catalog_queue_add(struct bm_catalog *c, enum catalog_statement which, const struct catalog_value *values,
                       size_t count)
{
	struct catalog_queue *q = &c->queue;
	const size_t start = q->front.len;
	char head[CATALOG_RECORD_HEAD] = {(char)which, (char)count};

	bm_buf_put(&q->front, head, sizeof(head));
	for (size_t i = 0; i < count; i++)
		catalog_value_put(&q->front, &values[i]);
	if (!q->front.oom) {
		uint32_t len = (uint32_t)(q->front.len - start - sizeof(head)); /* SQLite's own limit is 1e9 bytes */

		memcpy(q->front.data + start + 2, &len, sizeof(len));
	}
	q->group_count++;
}

enum bm_status catalog_queue_end(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	enum bm_status status = BM_OK;
	bool was_empty = q->front_count == 0;

	if (q->front.oom) {
		q->front.oom = false;
		q->front.len = q->group_start;
		status = bm_error_set_nomem(err);
	} else {
		q->front_count += q->group_count;
		q->queued += q->group_count;
		if (was_empty) {
			clock_gettime(CLOCK_MONOTONIC, &q->deadline);
			unsigned delay_ms = q->delay_ms < c->opt.batch_ms ? q->delay_ms : c->opt.batch_ms;

			q->deadline.tv_sec += delay_ms / 1000;
			q->deadline.tv_nsec += (long)(delay_ms % 1000) * 1000000;
			q->delay_ms = q->delay_ms < c->opt.batch_ms ? q->delay_ms * 2 : c->opt.batch_ms;
			if (q->deadline.tv_nsec >= 1000000000) {
				q->deadline.tv_sec++;
				q->deadline.tv_nsec -= 1000000000;
			}
		}
		if (was_empty || is_full_locked(c))
			pthread_cond_signal(&q->work);
	}
	pthread_mutex_unlock(&q->lock);
	return status;
}

enum bm_status catalog_queue(struct bm_catalog *c, enum catalog_statement which, struct bm_error *err,
                             const struct catalog_value *values, size_t count)
{
	if (catalog_is_together(c))
		return catalog_exec(c, which, err, values, count);
	enum bm_status status = catalog_queue_begin(c, err);

	if (status != BM_OK)
		return status;
	catalog_queue_add(c, which, values, count);
	return catalog_queue_end(c, err);
}

enum bm_status bm_catalog_flush(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_queue *q = &c->queue;
	enum bm_status status = BM_OK;

	if (catalog_is_together(c))
		return BM_OK; /* it was flushed at the beginning; the writer would wait for this thread */
	pthread_mutex_lock(&q->lock);
	if (!catalog_log_gather(c))
		status = bm_error_set_nomem(err);
	uint64_t until = q->queued;
	/* In a lane there can be something though no thread could be started for it. */
	if (q->written < until && !q->has_thread && !q->failed) {
		enum bm_status started = start_locked(c, err);

		status = status == BM_OK ? started : status;
	}
	if (q->written < until && q->has_thread) {
		if (q->urgent < until)
			q->urgent = until;
		pthread_cond_signal(&q->work);
		while (q->written < until && !q->failed)
			pthread_cond_wait(&q->applied, &q->lock);
	}
	if (q->failed) {
		status = q->error.status;
		catalog_error_copy(err, &q->error);
	}
	pthread_mutex_unlock(&q->lock);
	return status;
}

void catalog_settle(struct bm_catalog *c)
{
	if (bm_catalog_flush(c, NULL) != BM_OK)
		return; /* told to whoever writes or flushes next */
}
