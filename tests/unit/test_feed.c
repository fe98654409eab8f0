/*
 * A feed: what is put in comes out, in chunks that are full but for the last; the last one waits for the end's word; a
 * failure and a reader that leaves are told to the other side; the writer is held and let go once each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_feed.h"
#include "bm_source.h"

#define RING 1000

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t open;
	bool is_shut;
	unsigned shut_count, open_count;
};

static void on_full(void *ctx)
{
	struct gate *g = ctx;

	pthread_mutex_lock(&g->lock);
	g->is_shut = true;
	g->shut_count++;
	pthread_mutex_unlock(&g->lock);
}

static void on_room(void *ctx)
{
	struct gate *g = ctx;

	pthread_mutex_lock(&g->lock);
	g->is_shut = false;
	g->open_count++;
	pthread_cond_signal(&g->open);
	pthread_mutex_unlock(&g->lock);
}

static void wait_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (g->is_shut)
		pthread_cond_wait(&g->open, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static struct bm_feed *make(struct gate *g)
{
	struct bm_feed_options o = {RING, on_full, on_room, g};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_feed *f = NULL;

	memset(g, 0, sizeof(*g));
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->open, NULL);
	assert_int_equal(bm_feed_create(&o, &f, &err), BM_OK);
	return f;
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

struct writer {
	struct bm_feed *f;
	struct gate *g;
	size_t total;
	unsigned seed;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;
	uint8_t piece[1500];

	for (size_t at = 0; at < w->total;) {
		size_t len = (size_t)rand_r(&w->seed) % sizeof(piece) + 1;

		len = len < w->total - at ? len : w->total - at;
		for (size_t i = 0; i < len; i++)
			piece[i] = byte_at(at + i);
		for (size_t done = 0; done < len;) {
			size_t n = bm_feed_put(w->f, piece + done, len - done);

			done += n;
			if (n == 0)
				wait_open(w->g);
		}
		at += len;
	}
	bm_feed_end(w->f);
	return NULL;
}

static void test_all_sizes(void **state)
{
	static const size_t totals[] = {0, 1, 299, 300, 301, 600, RING, RING + 1, 100000};

	(void)state;
	for (size_t k = 0; k < sizeof(totals) / sizeof(totals[0]); k++) {
		struct gate g;
		struct bm_feed *f = make(&g);
		struct writer w = {f, &g, totals[k], (unsigned)k};
		struct bm_error err = BM_ERROR_INIT;
		uint8_t buf[300];
		pthread_t thread;
		size_t at = 0, len;
		bool last = false;

		assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
		while (!last) {
			assert_int_equal(bm_feed_read(f, buf, sizeof(buf), &len, &last, NULL, &err), BM_OK);
			assert_true(last || len == sizeof(buf));
			for (size_t i = 0; i < len; i++)
				assert_int_equal(buf[i], byte_at(at + i));
			at += len;
		}
		assert_int_equal(at, totals[k]);
		pthread_join(thread, NULL);
		assert_int_equal(g.shut_count, g.open_count);
		bm_feed_destroy(f);
	}
}

static void test_fail(void **state)
{
	struct gate g;
	struct bm_feed *f = make(&g);
	struct bm_error why = BM_ERROR_INIT, err = BM_ERROR_INIT;
	uint8_t buf[10];
	size_t len;
	bool last;

	(void)state;
	assert_int_equal(bm_feed_put(f, "0123456789", 10), 10);
	(void)bm_error_set(&why, BM_ERR_MISMATCH, NULL, "not the digest");
	bm_feed_fail(f, &why);
	/* All of the chunk is there, and it is not given out: it might have been the last. */
	assert_int_equal(bm_feed_read(f, buf, sizeof(buf), &len, &last, NULL, &err), BM_ERR_MISMATCH);
	assert_string_equal(err.text, "not the digest");
	assert_int_equal(bm_feed_put(f, "more", 4), 4); /* dropped */
	bm_feed_destroy(f);
}

static void test_leave(void **state)
{
	struct gate g;
	struct bm_feed *f = make(&g);
	uint8_t piece[RING + 1];

	(void)state;
	memset(piece, 1, sizeof(piece));
	assert_int_equal(bm_feed_put(f, piece, sizeof(piece)), RING);
	assert_int_equal(bm_feed_put(f, piece, 1), 0);
	assert_true(g.is_shut);
	bm_feed_leave(f);
	assert_false(g.is_shut);
	assert_int_equal(bm_feed_put(f, piece, sizeof(piece)), sizeof(piece));
	bm_feed_leave(f);
	assert_int_equal(g.open_count, 1);
	bm_feed_destroy(f);
}

static void test_cancel(void **state)
{
	struct gate g;
	struct bm_feed *f = make(&g);
	struct bm_blocker b = {.cancel_fd = eventfd(1, EFD_CLOEXEC)};
	struct bm_error err = BM_ERROR_INIT;
	uint8_t buf[10];
	size_t len;
	bool last;

	(void)state;
	assert_int_equal(bm_feed_read(f, buf, sizeof(buf), &len, &last, &b, &err), BM_ERR_CANCELLED);
	close(b.cancel_fd);
	bm_feed_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_sizes),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
