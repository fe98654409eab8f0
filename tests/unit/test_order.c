/* The reorder buffer: order and content whatever comes when, memory that stays bounded, and errors that are not lost. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "bm_order.h"
#include "fail_alloc.h"
#include "sanitized.h"

/* ---- what is put, and what must come out ---- */

static uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

/* Sizes as in life: mostly some hundred bytes, some empty, one in 4096 larger than any buffer. */
static size_t size_of(uint64_t index)
{
	uint64_t h = mix(index + 77);

	if (h % 4096 == 1)
		return 40000 + h % 50000;
	return h % 16 == 0 ? 0 : h % 300;
}

static void make_blob(struct bm_buf *b, uint64_t index)
{
	size_t len = size_of(index);

	if (!bm_buf_reserve(b, len))
		return;
	for (size_t i = 0; i < len; i++)
		b->data[i] = (char)(mix(index) >> (i % 8 * 8));
	b->len = len;
}

struct sink {
	uint64_t next;    /* written in emit only: TSan sees it if two are */
	atomic_bool busy; /* and so do we */
	bool wrong;
	unsigned pause_every;
	/* To hold emit up: */
	bool hold;
	pthread_mutex_t lock;
	pthread_cond_t released;
};

static void check_emit(void *ctx, const void *data, size_t len)
{
	struct sink *s = ctx;
	const char *bytes = data;

	if (atomic_exchange(&s->busy, true))
		s->wrong = true;
	pthread_mutex_lock(&s->lock);
	while (s->hold)
		pthread_cond_wait(&s->released, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (len != size_of(s->next))
		s->wrong = true;
	for (size_t i = 0; i < len && !s->wrong; i++)
		s->wrong = bytes[i] != (char)(mix(s->next) >> (i % 8 * 8));
	if (s->pause_every != 0 && s->next % s->pause_every == 0)
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	s->next++;
	atomic_store(&s->busy, false);
}

static void sink_init(struct sink *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->released, NULL);
}

static void sink_fini(struct sink *s)
{
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->released);
}

static struct bm_order *new_order(size_t memory, struct sink *s)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_order *o = NULL;

	assert_int_equal(bm_order_create(memory, check_emit, s, &o, &err), BM_OK);
	return o;
}

static enum bm_status put(struct bm_order *o, uint64_t index, struct bm_error *err)
{
	struct bm_buf b = {0};
	enum bm_status status;

	make_blob(&b, index);
	status = bm_order_put(o, index, &b, err);
	assert_int_equal(b.len, 0);
	bm_buf_fini(&b);
	return status;
}

static void put_ok(struct bm_order *o, uint64_t index)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_int_equal(put(o, index, &err), BM_OK);
}

/* ---- one thread ---- */

static void in_order_needs_nothing(void **state)
{
	struct bm_order_stats st;
	struct sink s;

	(void)state;
	sink_init(&s);
	struct bm_order *o = new_order(0, &s);
	for (uint64_t i = 0; i < 1000; i++) {
		put_ok(o, i);
		assert_int_equal(s.next, i + 1); /* at once */
	}
	bm_order_get_stats(o, &st);
	assert_int_equal(st.emitted, 1000);
	assert_int_equal(st.spills, 0);
	assert_false(s.wrong);
	bm_order_destroy(o);
	bm_order_destroy(NULL);
	sink_fini(&s);
}

static void waiting_in_memory(void **state)
{
	struct bm_order_stats st;
	struct sink s;

	(void)state;
	sink_init(&s);
	struct bm_order *o = new_order((size_t)64 << 20, &s);
	for (uint64_t i = 5000; i-- > 0;) {
		assert_int_equal(s.next, 0);
		put_ok(o, i);
	}
	assert_int_equal(s.next, 5000);
	bm_order_get_stats(o, &st);
	assert_int_equal(st.spills, 0);
	assert_false(s.wrong);
	bm_order_destroy(o);
	sink_fini(&s);
}

/* Backwards is the worst for replacement selection: a run a spill. */
static void backwards(void **state)
{
	struct bm_order_stats st;
	struct sink s;

	(void)state;
	for (size_t memory = 0; memory <= 100000; memory = memory * 2 + 700) {
		sink_init(&s);
		struct bm_order *o = new_order(memory, &s);
		for (uint64_t i = 20000; i-- > 0;)
			put_ok(o, i);
		assert_int_equal(s.next, 20000);
		assert_false(s.wrong);
		bm_order_get_stats(o, &st);
		assert_int_equal(st.emitted, 20000);
		assert_true(st.spills > 50);
		assert_true(st.peak_runs <= 66);
		if (memory < 10000)
			assert_true(st.merges > 5);
		bm_order_destroy(o);
		sink_fini(&s);
	}
}

static void dropped_half_way(void **state)
{
	struct sink s;

	(void)state;
	sink_init(&s);
	struct bm_order *o = new_order(20000, &s);
	for (uint64_t i = 3000; i-- > 1;)
		put_ok(o, i);
	assert_int_equal(s.next, 0);
	bm_order_destroy(o); /* the sanitizer counts */
	sink_fini(&s);
}

static void put_twice(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct sink s;

	(void)state;
	sink_init(&s);
	struct bm_order *o = new_order(1000, &s);
	put_ok(o, 0);
	assert_int_equal(put(o, 0, &err), BM_ERR_USAGE);
	assert_false(bm_order_failed(o));
	put_ok(o, 1);
	bm_order_destroy(o);
	sink_fini(&s);
}

/* ---- several threads ---- */

struct crowd {
	struct bm_order *o;
	const uint32_t *order; /* the indices, as they are to be put */
	size_t count;
	atomic_size_t at;
	atomic_bool failed;
	bool jitter;
};

static void *crowd_thread(void *arg)
{
	struct crowd *c = arg;
	struct bm_error err = BM_ERROR_INIT;

	for (;;) {
		size_t at = atomic_fetch_add(&c->at, 1);
		struct bm_buf b = {0};

		if (at >= c->count)
			return NULL;
		make_blob(&b, c->order[at]);
		if (c->jitter && mix(at) % 512 == 0)
			nanosleep(&(struct timespec){.tv_nsec = (long)(mix(at + 1) % 200000)}, NULL);
		if (bm_order_put(c->o, c->order[at], &b, &err) != BM_OK)
			atomic_store(&c->failed, true);
		bm_buf_fini(&b);
	}
}

static void crowd_run(struct crowd *c, size_t threads)
{
	pthread_t ids[16];

	for (size_t i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, crowd_thread, c), 0);
	for (size_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

/* A permutation in which most are within window of their place (a few go further). */
static uint32_t *permutation(size_t count, size_t window, uint64_t seed)
{
	uint32_t *p = malloc(count * sizeof(*p));

	assert_non_null(p);
	for (size_t i = 0; i < count; i++)
		p[i] = (uint32_t)i;
	for (size_t i = 0; i < count; i++) {
		size_t left = count - i;
		size_t k = i + mix(seed + i) % (left < window ? left : window);
		uint32_t t = p[i];

		p[i] = p[k];
		p[k] = t;
	}
	return p;
}

static void permutations_from_threads(void **state)
{
	static const struct {
		size_t count, window, memory, threads;
		unsigned pause_every;
		uint64_t min_spills;
	} cases[] = {
		{20000, 20000, 0, 4, 0, 300},    /* nothing fits: every blob may be a run */
		{60000, 60000, 8192, 4, 0, 300}, /* hundreds of runs, merged in levels */
		{60000, 60000, 1 << 20, 8, 0, 5},
		{60000, 300, 16384, 8, 100, 10}, /* nearly in order, a slow reader */
		{60000, 16, 1 << 20, 4, 0, 0},   /* the usual case */
		{20000, 20000, 100000, 16, 50, 10},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bm_order_stats st;
		struct sink s;
		size_t count = SANITIZED ? cases[i].count / 2 : cases[i].count;
		uint32_t *p = permutation(count, cases[i].window, i * 1000003);

		sink_init(&s);
		s.pause_every = cases[i].pause_every;
		struct crowd c = {.o = new_order(cases[i].memory, &s), .order = p, .count = count, .jitter = true};
		crowd_run(&c, cases[i].threads);
		assert_false(atomic_load(&c.failed));
		assert_false(s.wrong);
		assert_int_equal(s.next, count);
		bm_order_get_stats(c.o, &st);
		print_message("case %zu: %llu spills, %llu merges, %zu runs at most, %.1f MB written\n", i,
		              (unsigned long long)st.spills, (unsigned long long)st.merges, st.peak_runs,
		              (double)st.written_bytes / 1e6);
		assert_int_equal(st.emitted, count);
		assert_true(st.spills >= cases[i].min_spills / (SANITIZED ? 2 : 1));
		assert_true(st.peak_runs <= 66);
		bm_order_destroy(c.o);
		free(p);
		sink_fini(&s);
	}
}

/* One thread sits in emit: the others must get rid of all that they have, however much it is. */
static void *put_first(void *arg)
{
	put_ok(arg, 0);
	return NULL;
}

static void emit_that_blocks(void **state)
{
	const size_t count = SANITIZED ? 20000 : 100000;
	struct bm_order_stats st;
	pthread_t first;
	struct sink s;

	(void)state;
	sink_init(&s);
	s.hold = true;
	struct bm_order *o = new_order(50000, &s);
	assert_int_equal(pthread_create(&first, NULL, put_first, o), 0);
	while (!atomic_load(&s.busy))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);

	uint32_t *p = permutation(count, 1000, 5);
	size_t zero = 0;
	while (p[zero] != 0)
		zero++;
	p[zero] = p[0];
	struct crowd c = {.o = o, .order = p + 1, .count = count - 1};
	crowd_run(&c, 4); /* hangs where a put waits for emit */
	assert_false(atomic_load(&c.failed));
	assert_int_equal(s.next, 0);
	bm_order_get_stats(o, &st);
	assert_true(st.spills > 100);

	pthread_mutex_lock(&s.lock);
	s.hold = false;
	pthread_cond_broadcast(&s.released);
	pthread_mutex_unlock(&s.lock);
	pthread_join(first, NULL);
	assert_int_equal(s.next, count);
	assert_false(s.wrong);
	bm_order_destroy(o);
	free(p);
	sink_fini(&s);
}

/* ---- index 0 last ---- */

static void index_emit(void *ctx, const void *data, size_t len)
{
	uint64_t *next = ctx, index;

	if (len != 150)
		_exit(10);
	memcpy(&index, data, sizeof(index));
	if (index != *next)
		_exit(11);
	++*next;
}

static size_t peak_rss_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	size_t kib = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmHWM: %zu kB", &kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kib;
}

/* In a process of its own, so that nothing but this is in its peak. */
static void worst_case_child(uint64_t count, uint64_t window, size_t memory)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_order *o = NULL;
	struct bm_order_stats st;
	uint64_t next = 0;
	char record[150];
	malloc_trim(0); /* what earlier tests left would hide what this one takes */
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "5", 1) != 1)
			_exit(20);
		close(fd);
	}
	size_t before = peak_rss_kib();
	if (bm_order_create(memory, index_emit, &next, &o, &err) != BM_OK)
		_exit(1);
	memset(record, 'x', sizeof(record));
	for (uint64_t base = 1; base <= count; base += window) {
		uint64_t n = count + 1 - base < window ? count + 1 - base : window;

		for (uint64_t i = 0; i <= n; i++) { /* index 0 is put after all the rest */
			struct bm_buf b = {0};
			uint64_t index;

			/* A walk through the window with a stride that visits each once. */
			if (i < n)
				index = window == 1 ? base : base + (i * 7919 + 13) % n;
			else if (base + n <= count)
				break;
			else
				index = 0;
			memcpy(record, &index, sizeof(index));
			bm_buf_put(&b, record, sizeof(record));
			if (bm_order_put(o, index, &b, &err) != BM_OK)
				_exit(2);
			bm_buf_fini(&b);
		}
	}
	if (next != count + 1)
		_exit(3);
	bm_order_get_stats(o, &st);
	size_t after = peak_rss_kib();
	printf("index 0 last of %llu, window %llu: %llu spills, %llu merges, %zu runs at most, %.0f MB written, "
	       "memory %zu KiB, peak RSS +%zu KiB\n",
	       (unsigned long long)count, (unsigned long long)window, (unsigned long long)st.spills,
	       (unsigned long long)st.merges, st.peak_runs, (double)st.written_bytes / 1e6, memory >> 10,
	       after - before);
	fflush(stdout);
	if (!SANITIZED && before != 0 && after - before > (memory >> 10) + 1024)
		_exit(4);
	bm_order_destroy(o);
	_exit(0);
}

static void index_0_last(void **state)
{
	/* In order but for the first; nearly so; and in no order at all. n must not be a multiple of 7919. */
	static const uint64_t windows[] = {1, 100, 1000000};
	uint64_t count = SANITIZED ? 100000 : 1000000;

	(void)state;
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		int status;

		fflush(stdout);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			worst_case_child(count, windows[i], (size_t)2 << 20);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* ---- errors ---- */

static void no_temp_directory(void **state)
{
	struct bm_error err = BM_ERROR_INIT, again = BM_ERROR_INIT;
	enum bm_status status = BM_OK;
	struct sink s;

	(void)state;
	sink_init(&s);
	setenv("TMPDIR", "/nonexistent/dir", 1);
	struct bm_order *o = new_order(1000, &s);
	for (uint64_t i = 1; i < 1000 && status == BM_OK; i++)
		status = put(o, i, &err);
	assert_int_equal(status, BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_string_equal(err.where, "/nonexistent/dir");
	assert_true(bm_order_failed(o));
	assert_int_equal(put(o, 0, &again), BM_ERR_SYSTEM);
	assert_string_equal(again.text, err.text);
	assert_int_equal(put(o, 5000, NULL), BM_ERR_SYSTEM);
	assert_int_equal(s.next, 0);
	bm_order_destroy(o);
	unsetenv("TMPDIR");
	sink_fini(&s);
}

static void full_disk(void **state)
{
	char dir[] = "/tmp/bm_order_XXXXXX";
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;
	struct sink s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "size=256k") != 0) {
		rmdir(dir);
		skip();
	}
	setenv("TMPDIR", dir, 1);
	sink_init(&s);
	struct bm_order *o = new_order(20000, &s);
	for (uint64_t i = 0; i < 10; i++)
		put_ok(o, i);
	for (uint64_t i = 11; i < 100000 && status == BM_OK; i++)
		status = put(o, i, &err);
	unsetenv("TMPDIR");
	assert_int_equal(status, BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_string_equal(err.where, dir);
	assert_non_null(strstr(err.text, "TMPDIR"));
	assert_true(bm_order_failed(o));
	assert_int_equal(put(o, 10, NULL), BM_ERR_SYSTEM);
	assert_int_equal(s.next, 10);
	assert_false(s.wrong);
	bm_order_destroy(o);
	assert_int_equal(umount(dir), 0); /* EBUSY if the file were still open */
	rmdir(dir);
	sink_fini(&s);
}

/* The space of what has been emitted is given back, so what fits once fits for ever. */
static void space_is_reused(void **state)
{
	char dir[] = "/tmp/bm_order_XXXXXX";
	struct sink s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "size=4m") != 0) {
		rmdir(dir);
		skip();
	}
	setenv("TMPDIR", dir, 1);
	sink_init(&s);
	struct bm_order *o = new_order(20000, &s);
	for (uint64_t base = 0; base < 100000; base += 5000)
		for (uint64_t i = 5000; i-- > 0;)
			put_ok(o, base + i);
	unsetenv("TMPDIR");
	assert_int_equal(s.next, 100000);
	assert_false(s.wrong);
	bm_order_destroy(o);
	assert_int_equal(umount(dir), 0);
	rmdir(dir);
	sink_fini(&s);
}

static void blob_without_memory(void **state)
{
	struct bm_buf b = {.oom = true};
	struct bm_error err = BM_ERROR_INIT;
	struct sink s;

	(void)state;
	sink_init(&s);
	struct bm_order *o = new_order(1000, &s);
	assert_int_equal(bm_order_put(o, 0, &b, &err), BM_ERR_NOMEM);
	assert_int_equal(s.next, 0); /* a cut blob is not emitted */
	assert_true(bm_order_failed(o));
	assert_int_equal(put(o, 1, NULL), BM_ERR_NOMEM);
	bm_order_destroy(o);
	sink_fini(&s);
}

/* Every allocation fails once: either nothing is lost, or the order says that it has failed. */
static void memory_runs_out(void **state)
{
	unsigned at;

	(void)state;
	for (at = 1;; at++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_order *o = NULL;
		enum bm_status status;
		struct sink s;

		sink_init(&s);
		fail_alloc_arm(at, at % 2 != 0);
		status = bm_order_create(3000, check_emit, &s, &o, &err);
		for (uint64_t i = 2000; i-- > 0 && status == BM_OK;) {
			struct bm_buf b = {0};

			make_blob(&b, i);
			status = bm_order_put(o, i, &b, &err);
			bm_buf_fini(&b);
		}
		bool hit = fail_alloc_disarm();
		if (status == BM_OK) {
			assert_int_equal(s.next, 2000);
		} else {
			assert_int_equal(status, BM_ERR_NOMEM);
			assert_true(o == NULL || bm_order_failed(o));
			assert_true(hit);
		}
		assert_false(s.wrong);
		bm_order_destroy(o);
		sink_fini(&s);
		if (!hit)
			break;
		if (at > 300) /* most of them are blobs: leave some out */
			at += 37;
	}
	assert_true(at > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_needs_nothing),
		cmocka_unit_test(waiting_in_memory),
		cmocka_unit_test(backwards),
		cmocka_unit_test(dropped_half_way),
		cmocka_unit_test(put_twice),
		cmocka_unit_test(permutations_from_threads),
		cmocka_unit_test(emit_that_blocks),
		cmocka_unit_test(index_0_last),
		cmocka_unit_test(no_temp_directory),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(space_is_reused),
		cmocka_unit_test(blob_without_memory),
		cmocka_unit_test(memory_runs_out),
	};

	unsetenv("TMPDIR");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
