/*
 * toy.c - see toy.h.
 *
 * The watchdog is a thread of its own and not alarm(): a hang of the engine leaves the main thread in a condition
 * wait, and ThreadSanitizer puts signals off there. It has the process aborted, with the name of the case on stderr,
 * so that a debugger or a core shows all stacks.
 */
#include "toy.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TOY_TSAN 1
#elif __has_feature(address_sanitizer)
#define TOY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TOY_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define TOY_ASAN 1
#endif

#define RELAXED memory_order_relaxed

static uint64_t seed;
static bool stress_long;
static unsigned watchdog_s;

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pthread_t thread;
	char name[256];    /* mutex */
	uint64_t deadline; /* mutex; nanoseconds, monotonic */
	bool stop;         /* mutex */
} watchdog = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* On a machine that is busy with other things a yield or a sleep takes milliseconds: no more of them after this time. */
#define LOAD_NS UINT64_C(300000000)
static _Atomic uint64_t load_deadline; /* nanoseconds, monotonic */

static struct {
	pthread_mutex_t mutex;
	atomic_bool set;
	char text[512]; /* mutex; fixed once set */
} violation = {.mutex = PTHREAD_MUTEX_INITIALIZER};

uint64_t toy_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool toy_is_slow(void)
{
#if defined(TOY_TSAN) || defined(TOY_ASAN)
	return true;
#else
	return false;
#endif
}

/* ---- randomness ---- */

uint64_t toy_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t toy_hash(uint64_t h, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 0x100000001b3u;
	return toy_mix(h ^ len);
}

void toy_rng_init(struct toy_rng *r, const char *name, uint64_t n)
{
	r->state = toy_hash(seed, (const uint8_t *)name, strlen(name)) ^ toy_mix(n);
	if (r->state == 0)
		r->state = 1;
}

uint64_t toy_rand(struct toy_rng *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return toy_mix(r->state);
}

uint64_t toy_below(struct toy_rng *r, uint64_t bound)
{
	return toy_rand(r) % bound;
}

bool toy_chance(struct toy_rng *r, unsigned percent)
{
	return toy_below(r, 100) < percent;
}

/* ---- the run ---- */

void *toy_alloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p) {
		fprintf(stderr, "toy_alloc: no memory\n");
		abort();
	}
	return p;
}

void toy_violation(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&violation.mutex);
	if (!atomic_load_explicit(&violation.set, RELAXED)) {
		va_start(ap, fmt);
		vsnprintf(violation.text, sizeof(violation.text), fmt, ap);
		va_end(ap);
		atomic_store_explicit(&violation.set, true, RELAXED);
	}
	pthread_mutex_unlock(&violation.mutex);
}

void toy_assert_clean(void)
{
	char text[sizeof(violation.text)];

	if (!atomic_load_explicit(&violation.set, RELAXED))
		return;
	pthread_mutex_lock(&violation.mutex);
	memcpy(text, violation.text, sizeof(text));
	atomic_store_explicit(&violation.set, false, RELAXED);
	pthread_mutex_unlock(&violation.mutex);
	print_error("BM_SEED=%llu, in %s:\n", (unsigned long long)seed, watchdog.name);
	fail_msg("%s", text);
}

void toy_case(const char *fmt, ...)
{
	va_list ap;

	atomic_store_explicit(&load_deadline, toy_now_ns() + LOAD_NS, RELAXED);
	pthread_mutex_lock(&watchdog.mutex);
	va_start(ap, fmt);
	vsnprintf(watchdog.name, sizeof(watchdog.name), fmt, ap);
	va_end(ap);
	watchdog.deadline = toy_now_ns() + watchdog_s * UINT64_C(1000000000);
	pthread_mutex_unlock(&watchdog.mutex);
}

static void *watchdog_run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&watchdog.mutex);
	while (!watchdog.stop) {
		uint64_t now = toy_now_ns();
		uint64_t deadline = watchdog.deadline;
		struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};

		if (now >= deadline) {
			fprintf(stderr, "WATCHDOG: hung for %u s, BM_SEED=%llu, in %s\n", watchdog_s,
			        (unsigned long long)seed, watchdog.name);
			if (atomic_load_explicit(&violation.set, RELAXED))
				fprintf(stderr, "WATCHDOG: and before that: %s\n", violation.text);
			abort();
		}
		pthread_cond_timedwait(&watchdog.cond, &watchdog.mutex, &ts);
	}
	pthread_mutex_unlock(&watchdog.mutex);
	return NULL;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end = NULL;
	unsigned long long n;

	if (!text || !*text)
		return otherwise;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || *end) {
		fprintf(stderr, "%s=%s is not a number\n", name, text);
		exit(2);
	}
	return n;
}

int toy_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int failed, rc;

	seed = env_number("BM_SEED", toy_mix(toy_now_ns() ^ (uint64_t)getpid() << 32) % 1000000000u);
	stress_long = getenv("BM_STRESS") && strcmp(getenv("BM_STRESS"), "long") == 0;
	watchdog_s = (unsigned)env_number("BM_WATCHDOG_S", toy_is_slow() ? 120 : 60);
	printf("%s: BM_SEED=%llu\n", name, (unsigned long long)seed);
	fflush(stdout);

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watchdog.cond, &attr);
	pthread_condattr_destroy(&attr);
	toy_case("%s", name);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&watchdog.thread, NULL, watchdog_run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		fprintf(stderr, "pthread_create: %s\n", strerror(rc));
		return 2;
	}

	failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);

	pthread_mutex_lock(&watchdog.mutex);
	watchdog.stop = true;
	pthread_cond_signal(&watchdog.cond);
	pthread_mutex_unlock(&watchdog.mutex);
	pthread_join(watchdog.thread, NULL);
	pthread_cond_destroy(&watchdog.cond);
	if (failed)
		printf("%s: failed with BM_SEED=%llu\n", name, (unsigned long long)seed);
	return failed != 0;
}

bool toy_more(struct toy_loop *loop)
{
	uint64_t now = toy_now_ns();
	uint64_t ms = loop->ms;

#if defined(TOY_TSAN)
	ms *= 3;
#endif
	if (stress_long)
		ms *= 10;
	if (loop->start_ns == 0) {
		loop->start_ns = now;
		loop->round = 0;
		return true;
	}
	loop->round++;
	return loop->round < loop->min || now - loop->start_ns < ms * 1000000u;
}

/* ---- the pool ---- */

void toy_pool_open(struct toy_pool *tp, unsigned permits, unsigned io_depth, size_t memory_bytes)
{
	toy_pool_open_with(
		tp, &(struct bm_pool_options){.permits = permits, .io_depth = io_depth, .memory_bytes = memory_bytes});
}

void toy_pool_open_with(struct toy_pool *tp, const struct bm_pool_options *opt)
{
	struct bm_error err = BM_ERROR_INIT;

	memset(tp, 0, sizeof(*tp));
	tp->opt = *opt;
	tp->threads = opt->permits + opt->io_depth;
	tp->busy = toy_alloc(tp->threads, sizeof(*tp->busy));
	if (bm_pool_create(&tp->opt, &tp->pool, &err) != BM_OK)
		fail_msg("bm_pool_create: %s", err.text);
}

void toy_pool_check(struct toy_pool *tp)
{
	struct bm_pool_stats stats;

	bm_pool_get_stats(tp->pool, &stats);
	TOY_CHECK(stats.memory_peak_bytes <= tp->opt.memory_bytes, "peak memory %zu is over the budget of %zu",
	          stats.memory_peak_bytes, tp->opt.memory_bytes);
	TOY_CHECK(stats.threads <= tp->threads, "%u threads started, %u allowed", stats.threads, tp->threads);
}

void toy_pool_close(struct toy_pool *tp)
{
	toy_pool_check(tp);
	bm_pool_destroy(tp->pool);
	TOY_CHECK(atomic_load(&tp->inside) == 0, "a callback runs after bm_pool_destroy");
	free(tp->busy);
	tp->busy = NULL;
	tp->pool = NULL;
}

void toy_pool_live(struct toy_pool *tp, size_t add, size_t sub)
{
	size_t now;

	if (!tp)
		return;
	now = atomic_fetch_add_explicit(&tp->live, add - sub, RELAXED) + add - sub;
	TOY_CHECK(add == 0 || now <= tp->opt.memory_bytes, "%zu bytes of chunks in flight, the budget is %zu", now,
	          tp->opt.memory_bytes);
}

void toy_enter(struct toy_frame *f, struct toy_pool *tp, struct bm_worker *w)
{
	unsigned running, inside, max;

	*f = (struct toy_frame){.tp = tp, .w = w};
	if (!tp)
		return;
	f->index = bm_worker_index(w);
	if (f->index >= tp->threads) {
		toy_violation("worker index %u of %u threads", f->index, tp->threads);
		f->index = 0;
	}
	TOY_CHECK(!atomic_exchange_explicit(&tp->busy[f->index], true, RELAXED), "two callbacks on worker %u",
	          f->index);
	inside = atomic_fetch_add_explicit(&tp->inside, 1, RELAXED) + 1;
	TOY_CHECK(inside <= tp->threads, "%u callbacks at once on %u threads", inside, tp->threads);
	running = atomic_fetch_add_explicit(&tp->running, 1, RELAXED) + 1;
	TOY_CHECK(running <= tp->opt.permits, "%u callbacks hold a permit, there are %u", running, tp->opt.permits);
	max = atomic_load_explicit(&tp->running_max, RELAXED);
	while (running > max &&
	       !atomic_compare_exchange_weak_explicit(&tp->running_max, &max, running, RELAXED, RELAXED))
		;
}

void toy_leave(struct toy_frame *f)
{
	if (!f->tp)
		return;
	if (!f->blocked)
		atomic_fetch_sub_explicit(&f->tp->running, 1, RELAXED);
	atomic_fetch_sub_explicit(&f->tp->inside, 1, RELAXED);
	atomic_store_explicit(&f->tp->busy[f->index], false, RELAXED);
}

void toy_enter_pair(struct toy_pool *tp)
{
	unsigned n = atomic_fetch_add_explicit(&tp->inside, 1, RELAXED) + 1;

	TOY_CHECK(n <= tp->threads, "%u callbacks at once on %u threads", n, tp->threads);
	n = atomic_fetch_add_explicit(&tp->running, 1, RELAXED) + 1;
	TOY_CHECK(n <= tp->opt.permits, "%u callbacks hold a permit, there are %u", n, tp->opt.permits);
}

void toy_leave_pair(struct toy_pool *tp)
{
	atomic_fetch_sub_explicit(&tp->running, 1, RELAXED);
	atomic_fetch_sub_explicit(&tp->inside, 1, RELAXED);
}

static void block(struct toy_frame *f, void (*how)(struct bm_worker *w))
{
	if (!f->tp)
		return;
	if (!f->blocked)
		atomic_fetch_sub_explicit(&f->tp->running, 1, RELAXED);
	f->blocked = true;
	how(f->w);
}

void toy_block(struct toy_frame *f)
{
	block(f, bm_worker_block);
}

void toy_block_disk(struct toy_frame *f)
{
	block(f, bm_worker_block_disk);
}

void toy_unblock(struct toy_frame *f)
{
	if (f->tp)
		bm_worker_unblock(f->w);
}

void toy_spin(unsigned turns)
{
	for (volatile unsigned i = 0; i < turns; i = i + 1)
		;
}

void toy_load(struct toy_frame *f, unsigned level, uint64_t random)
{
	unsigned dice = (unsigned)(random % 128);
	unsigned more = (unsigned)(random >> 32 & 0xffff);

	if (!f->tp || level == 0)
		return;
	if (level > 1)
		dice /= 4;
	if (dice < 8 && toy_now_ns() > atomic_load_explicit(&load_deadline, RELAXED))
		dice = 8;
	if (dice < 3) {
		struct timespec ts = {0, more / 2 % 8000};

		block(f, more & 1 ? bm_worker_block : bm_worker_block_disk);
		if (more & 0x8000)
			nanosleep(&ts, NULL);
		toy_unblock(f);
		toy_spin(more % 64);
	} else if (dice < 8) {
		sched_yield();
	} else if (dice < 10) {
		toy_spin(more % 8192);
	} else if (dice < 24) {
		toy_spin(more % 256);
	}
}

/* ---- pairs ---- */

static struct {
	atomic_uint both, one; /* pair() got through */
	atomic_uint rest;      /* run() did what pair() had begun */
	atomic_uint lone;      /* run() did all */
	atomic_uint refused;   /* pair() returned 0 */
} pair_counts[2];              /* of streams of one chunk; of longer ones */

static unsigned pair_class(const struct bm_chunk *c)
{
	return c->seq == 0 && c->last ? 0 : 1;
}

void toy_work_come(struct toy_work *wk, const struct bm_chunk *c, uint64_t random)
{
	static const unsigned amounts[] = {0, 1, 1, 1, 2, 3, 7, 40};

	if (wk->begun) {
		TOY_CHECK(wk->seq == c->seq, "chunk %llu comes to a stage that is at work on %llu",
		          (unsigned long long)c->seq, (unsigned long long)wk->seq);
		return;
	}
	wk->seq = c->seq;
	wk->left = amounts[random % (sizeof(amounts) / sizeof(amounts[0]))];
}

unsigned toy_work_pair(struct toy_work *a, const struct bm_chunk *ca, bool a_fails, struct toy_work *b,
                       const struct bm_chunk *cb, bool b_fails, uint64_t random)
{
	unsigned done = a->left < b->left ? a->left : b->left, through = 0;
	unsigned ka = pair_class(ca), kb = pair_class(cb);

	if (random % 16 == 0 || (a_fails && a->left == done) || (b_fails && b->left == done)) {
		atomic_fetch_add_explicit(&pair_counts[kb].refused, 1, RELAXED);
		return 0;
	}
	/* A long stream's chunk is not kept for one partner after another. */
	TOY_CHECK((!a->begun || ka == 0) && (!b->begun || kb == 0), "a long stream's chunk in a second pair");
	toy_spin(done * 8);
	a->left -= done;
	b->left -= done;
	a->begun = a->left > 0;
	b->begun = b->left > 0;
	if (!a->begun)
		through |= BM_PAIR_A;
	if (!b->begun)
		through |= BM_PAIR_B;
	atomic_fetch_add_explicit(a->begun || b->begun ? &pair_counts[ka].one : &pair_counts[ka].both, 1, RELAXED);
	atomic_fetch_add_explicit(a->begun || b->begun ? &pair_counts[kb].one : &pair_counts[kb].both, 1, RELAXED);
	return through;
}

void toy_work_rest(struct toy_work *wk, const struct bm_chunk *c)
{
	unsigned k = pair_class(c);

	atomic_fetch_add_explicit(wk->begun ? &pair_counts[k].rest : &pair_counts[k].lone, 1, RELAXED);
	toy_spin(wk->left * 8);
	wk->begun = false;
}

void toy_assert_pairs(void)
{
	for (unsigned k = 0; k < 2; k++) {
		unsigned both = atomic_load(&pair_counts[k].both), one = atomic_load(&pair_counts[k].one);
		unsigned rest = atomic_load(&pair_counts[k].rest), lone = atomic_load(&pair_counts[k].lone);

		print_message(
			"chunks of %s: through in pairs %u times at once and %u times one, then %u times the rest, "
			"%u times without a partner; %u times no pair\n",
			k == 0 ? "one-chunk streams" : "longer streams", both, one, rest, lone,
			atomic_load(&pair_counts[k].refused));
		assert_true(both > 0 && one > 0 && rest > 0 && lone > 0);
	}
}

/* ---- meeting points ---- */

void toy_latch_add(struct toy_latch *l)
{
	pthread_mutex_lock(&l->mutex);
	l->count++;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mutex);
}

void toy_latch_meet(struct toy_latch *l, unsigned group)
{
	unsigned goal;

	pthread_mutex_lock(&l->mutex);
	goal = l->count / group * group + group;
	l->count++;
	pthread_cond_broadcast(&l->cond);
	while (l->count < goal)
		pthread_cond_wait(&l->cond, &l->mutex);
	pthread_mutex_unlock(&l->mutex);
}

void toy_latch_wait(struct toy_latch *l, unsigned count)
{
	pthread_mutex_lock(&l->mutex);
	while (l->count < count)
		pthread_cond_wait(&l->cond, &l->mutex);
	pthread_mutex_unlock(&l->mutex);
}

unsigned toy_latch_count(struct toy_latch *l)
{
	unsigned count;

	pthread_mutex_lock(&l->mutex);
	count = l->count;
	pthread_mutex_unlock(&l->mutex);
	return count;
}
