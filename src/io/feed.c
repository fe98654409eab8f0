/*
 * feed.c - the ring behind bm_feed.h.
 *
 * Positions count bytes from the start and are taken modulo the ring's size, so that full and empty differ without a
 * spare byte. The writer alone moves `in`, the reader alone `out`; the lock guards both and the flags, but the copying
 * itself is done without it: neither side touches what the other may.
 *
 * Each side is woken when half a ring is there for it, or all that it wants if that is less, and not for every packet.
 * A reader that sleeps does so on an eventfd and not on a condition variable, because a cancelled run says so on a
 * descriptor too. The engine's reader does not sleep, but has itself woken (bm_feed_take): many bodies that come slowly
 * hold no threads.
 */
#include "bm_feed.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_mem.h"
#include "bm_source.h"
#include "io_sys.h"

struct bm_feed {
	struct bm_feed_options opt;
	int wake_fd; /* readable once the reader is to look again */
	pthread_mutex_t lock;
	uint64_t in, out;      /* lock; bytes put, bytes taken */
	size_t wanted;         /* lock; the reader sleeps until so many are there; 0: it is awake */
	void (*wake)(void *);  /* lock; how it is woken; NULL: by wake_fd */
	void *wake_arg;        /* lock */
	bool is_full;          /* lock; on_full was called, and on_room not yet */
	bool has_ended;        /* lock */
	bool has_left;         /* lock; the reader */
	struct bm_error error; /* lock; status BM_OK: none */
	uint8_t ring[];
};

enum bm_status bm_feed_create(const struct bm_feed_options *opt, struct bm_feed **out, struct bm_error *err)
{
	struct bm_feed *f = NULL;
	size_t size;
	int rc;

	*out = NULL;
	if (bm_add_size(sizeof(*f), opt->ring_bytes, &size))
		f = malloc(size);
	if (f == NULL)
		return bm_error_set_nomem(err);
	memset(f, 0, sizeof(*f)); /* not the ring: its pages come when they are used */
	f->opt = *opt;
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->wake_fd < 0) {
		rc = errno;
		free(f);
		return bm_error_set_errno(err, rc, NULL, "cannot make an eventfd");
	}
	rc = pthread_mutex_init(&f->lock, NULL);
	if (rc != 0) {
		close(f->wake_fd);
		free(f);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	*out = f;
	return BM_OK;
}

void bm_feed_destroy(struct bm_feed *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	close(f->wake_fd);
	free(f);
}

static void wake_reader_locked(struct bm_feed *f)
{
	uint64_t one = 1;
	ssize_t n;

	if (f->wanted == 0)
		return;
	f->wanted = 0;
	if (f->wake != NULL) {
		f->wake(f->wake_arg);
		f->wake = NULL;
		return;
	}
	n = write(f->wake_fd, &one, sizeof(one)); /* fails only where it is readable already */
	(void)n;
}

static void tell_room_locked(struct bm_feed *f)
{
	if (!f->is_full)
		return;
	f->is_full = false;
	if (f->opt.on_room != NULL)
		f->opt.on_room(f->opt.ctx);
}

/* Copies len bytes to or from position at on, around the end of the ring. */
static void copy_in(struct bm_feed *f, uint64_t at, const uint8_t *data, size_t len)
{
	size_t place = (size_t)(at % f->opt.ring_bytes);
	size_t first = len < f->opt.ring_bytes - place ? len : f->opt.ring_bytes - place;

	memcpy(f->ring + place, data, first);
	memcpy(f->ring, data + first, len - first);
}

static void copy_out(const struct bm_feed *f, uint64_t at, uint8_t *data, size_t len)
{
	size_t place = (size_t)(at % f->opt.ring_bytes);
	size_t first = len < f->opt.ring_bytes - place ? len : f->opt.ring_bytes - place;

	memcpy(data, f->ring + place, first);
	memcpy(data + first, f->ring, len - first);
}

size_t bm_feed_put(struct bm_feed *f, const void *data, size_t len)
{
	size_t room, n;

	if (len == 0)
		return 0;
	pthread_mutex_lock(&f->lock);
	if (f->has_left || f->error.status != BM_OK || f->has_ended) {
		pthread_mutex_unlock(&f->lock);
		return len;
	}
	room = f->opt.ring_bytes - (size_t)(f->in - f->out);
	n = len < room ? len : room;
	if (n == 0 && !f->is_full) {
		f->is_full = true;
		if (f->opt.on_full != NULL)
			f->opt.on_full(f->opt.ctx);
	}
	pthread_mutex_unlock(&f->lock);
	if (n == 0)
		return 0;
	copy_in(f, f->in, data, n); /* only this thread changes in */
	pthread_mutex_lock(&f->lock);
	f->in += n;
	if (f->in - f->out >= f->wanted)
		wake_reader_locked(f);
	pthread_mutex_unlock(&f->lock);
	return n;
}

void bm_feed_end(struct bm_feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->has_ended = true;
	wake_reader_locked(f);
	pthread_mutex_unlock(&f->lock);
}

void bm_feed_fail(struct bm_feed *f, const struct bm_error *err)
{
	pthread_mutex_lock(&f->lock);
	if (!f->has_ended && f->error.status == BM_OK) {
		f->error = *err;
		wake_reader_locked(f);
	}
	pthread_mutex_unlock(&f->lock);
}

void bm_feed_leave(struct bm_feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->has_left = true;
	f->wanted = 0;
	f->wake = NULL;
	tell_room_locked(f);
	pthread_mutex_unlock(&f->lock);
}

static enum bm_status sleep_reader(struct bm_feed *f, const struct bm_blocker *b, bool *blocked, struct bm_error *err)
{
	uint64_t count;
	ssize_t n;

	if (!*blocked)
		bm_io_block(b);
	*blocked = true;
	if (bm_io_wait(f->wake_fd, POLLIN, b) != 0)
		return errno == ECANCELED ? bm_error_set(err, BM_ERR_CANCELLED, NULL, "cancelled")
		                          : bm_error_set_errno(err, errno, NULL, "cannot wait for the sender");
	n = read(f->wake_fd, &count, sizeof(count));
	(void)n;
	return BM_OK;
}

/* Takes what is there, up to what is left of cap. With the lock, which it gives back for the copying. */
static void take_locked(struct bm_feed *f, uint8_t *to, size_t cap, size_t *len)
{
	size_t n;

	while ((n = (size_t)(f->in - f->out)) > 0 && *len < cap) {
		uint64_t at = f->out;

		n = n < cap - *len ? n : cap - *len;
		pthread_mutex_unlock(&f->lock);
		copy_out(f, at, to + *len, n);
		pthread_mutex_lock(&f->lock);
		f->out += n;
		*len += n;
		if (f->opt.ring_bytes - (size_t)(f->in - f->out) >= (f->opt.ring_bytes + 1) / 2)
			tell_room_locked(f);
	}
}

/* True: *status is the answer. Else f->wanted says what has to come first. */
static bool is_answered_locked(struct bm_feed *f, size_t need, bool *last, enum bm_status *status, struct bm_error *err)
{
	size_t half = (f->opt.ring_bytes + 1) / 2;
	bool any = f->in != f->out;

	*status = f->error.status;
	if (*status != BM_OK) {
		*err = f->error;
		return true;
	}
	*last = !any && f->has_ended;
	if (*last || (any && need == 0))
		return true;
	/* With all of the chunk here, one more byte tells that it is not the last. */
	f->wanted = need == 0 ? 1 : need < half ? need : half;
	return false;
}

enum bm_status bm_feed_take(struct bm_feed *f, void *buf, size_t cap, size_t *len, bool *last, bool *later,
                            void (*wake)(void *arg), void *arg, struct bm_error *err)
{
	enum bm_status status;

	*len = 0;
	*last = false;
	pthread_mutex_lock(&f->lock);
	if (f->error.status == BM_OK)
		take_locked(f, buf, cap, len);
	*later = !is_answered_locked(f, cap - *len, last, &status, err);
	f->wake = *later ? wake : NULL;
	f->wake_arg = arg;
	pthread_mutex_unlock(&f->lock);
	return status;
}

enum bm_status bm_feed_read(struct bm_feed *f, void *buf, size_t cap, size_t *len, bool *last,
                            const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool blocked = false;

	*len = 0;
	*last = false;
	pthread_mutex_lock(&f->lock);
	for (;;) {
		if (f->error.status == BM_OK)
			take_locked(f, buf, cap, len);
		if (is_answered_locked(f, cap - *len, last, &status, err))
			break;
		pthread_mutex_unlock(&f->lock);
		status = sleep_reader(f, b, &blocked, err);
		pthread_mutex_lock(&f->lock);
		f->wanted = 0;
		if (status != BM_OK)
			break;
	}
	pthread_mutex_unlock(&f->lock);
	if (blocked)
		bm_io_unblock(b);
	return status;
}
