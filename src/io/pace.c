/*
 * pace.c - see bm_pace.h.
 *
 * The bucket is one moment: up to when time has been sold. Buying moves it, under a lock that is held for that alone.
 * Sleeps of less than a millisecond are left out; the moment has moved all the same, so that the next buyers sleep for
 * those before them. A tree of small files then does not wake a thread for each.
 */
#include "bm_pace.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "bm_error.h"
#include "bm_mutex.h"
#include "io_sys.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

struct bm_pace {
	uint64_t bytes_per_second;
	pthread_mutex_t lock;
	uint64_t sold_ns; /* lock: time is sold up to here; CLOCK_MONOTONIC */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

enum bm_status bm_pace_create(uint64_t bytes_per_second, struct bm_pace **out, struct bm_error *err)
{
	struct bm_pace *p = malloc(sizeof(*p));

	*out = NULL;
	if (p == NULL)
		return bm_error_set_nomem(err);
	int rc = bm_mutex_init_short(&p->lock);
	if (rc != 0) {
		free(p);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	p->bytes_per_second = bytes_per_second;
	p->sold_ns = now_ns();
	*out = p;
	return BM_OK;
}

void bm_pace_destroy(struct bm_pace *p)
{
	if (p == NULL)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* No overflow: whole seconds first. */
static uint64_t price_ns(const struct bm_pace *p, uint64_t bytes)
{
	uint64_t rest = bytes % p->bytes_per_second;

	return bytes / p->bytes_per_second * NS_PER_S +
	       (uint64_t)((double)rest / (double)p->bytes_per_second * (double)NS_PER_S);
}

int bm_pace_take(const struct bm_blocker *b, size_t bytes)
{
	struct bm_pace *p = b != NULL ? b->pace : NULL;
	uint64_t now, until;
	int rc = 0;

	if (p == NULL || bytes == 0)
		return 0;
	now = now_ns();
	pthread_mutex_lock(&p->lock);
	if (p->sold_ns + BM_PACE_CREDIT_MS * NS_PER_MS < now)
		p->sold_ns = now - BM_PACE_CREDIT_MS * NS_PER_MS;
	p->sold_ns += price_ns(p, bytes);
	until = p->sold_ns;
	pthread_mutex_unlock(&p->lock);
	if (until >= now + NS_PER_MS) {
		bm_io_block(b);
		rc = bm_io_sleep((until - now) / NS_PER_MS, b);
		bm_io_unblock(b);
	}
	return rc;
}
