/*
 * catalog_http.c - GET /v1/catalog: how much of each audited root was verified how long ago, and what is not well.
 *
 * Counting takes a fifth of a microsecond a file on record: too long for libmicrohttpd's threads where there are millions. So
 * a thread is started that counts, and who asks waits for it with a suspended connection; what it found is good for
 * FRESH_MS, so that it runs once in that time at most, however many ask. The catalog is opened for the count and closed
 * again: nothing is held while nobody asks, and a catalog that is begun later is found.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bm_catalog.h"
#include "bm_catalog_files.h"
#include "bm_error.h"
#include "bm_text.h"
#include "serve_internal.h"

#define FRESH_MS 5000
#define BUSY_MS 5000 /* how long another process may hold the catalog */
#define DAY_NS (INT64_C(24) * 3600 * 1000000000)
#define BAD_MAX 1000 /* that are named, of a root */
#define MONTHS 12
#define MONTH_DAYS 30
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct serve_catalog {
	struct bm_serve *srv;
	pthread_mutex_t lock;
	pthread_t thread;
	bool has_thread;        /* lock; to be joined */
	bool is_counting;       /* lock */
	bool is_over;           /* lock; nobody is to wait any more */
	char *text;             /* lock; the reply's; NULL: there is an error */
	size_t len;             /* lock */
	struct bm_error error;  /* lock */
	int64_t made_ms;        /* lock; 0: never */
	struct waiter *waiters; /* lock */
};
struct waiter {
	struct waiter *next;
	struct MHD_Connection *conn;
};

/* ---- counting ---- */

struct count {
	struct bm_catalog *c;
	struct bm_buf *out;
	struct bm_error *err;
	enum bm_status status;
	int64_t now_ns;
	bool any;
};

static const int ages[] = {7, 30, 90, 365}; /* days */
static const char *const states[] = {
	[BM_CATALOG_OK] = "ok",
	[BM_CATALOG_DAMAGED] = "damaged",
	[BM_CATALOG_MISSING] = "missing",
	[BM_CATALOG_UNREADABLE] = "unreadable",
};

static void put_time(struct bm_buf *out, const char *key, int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	char text[40];
	struct tm tm;

	if (ns != 0 && gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		bm_buf_printf(out, ",\"%s\":\"%s\"", key, text);
}

static void put_coverage(struct count *k, const struct bm_catalog_coverage *sum)
{
	struct bm_buf *out = k->out;

	bm_buf_printf(out, ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64, sum->all.files, sum->all.bytes);
	for (size_t i = 0; i < COUNT(states); i++)
		bm_buf_printf(out, ",\"%s\":%" PRIu64, states[i], sum->state[i].files);
	bm_buf_printf(out, ",\"future_files\":%" PRIu64, sum->future.files);
	put_time(out, "oldest_verified", sum->oldest_ns);
	put_time(out, "newest_verified", sum->newest_ns);
	bm_buf_puts(out, ",\"ages\":[");
	for (size_t i = 0; i <= COUNT(ages); i++) {
		bm_buf_puts(out, i > 0 ? ",{" : "{");
		if (i < COUNT(ages))
			bm_buf_printf(out, "\"days\":%d,", ages[i]);
		bm_buf_printf(out, "\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", sum->age[i].files,
		              sum->age[i].bytes);
	}
	bm_buf_putc(out, ']');
}

static void put_bad_file(struct bm_buf *out, const struct bm_catalog_file *f)
{
	bm_buf_putc(out, '{');
	bm_json_put_name(out, "path", f->path, f->path_len);
	bm_buf_printf(out, ",\"state\":\"%s\"", states[f->state]);
	put_time(out, "found", f->found_ns);
	if (f->note != NULL) {
		bm_buf_puts(out, ",\"note\":");
		bm_json_put_string(out, f->note, strlen(f->note));
	}
	bm_buf_putc(out, '}');
}

/* Names those that are not well, and counts them by when that was found. */
static enum bm_status put_bad(struct count *k, const struct bm_catalog_root *root)
{
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f = NULL;
	uint64_t found[MONTHS + 1] = {0}, count = 0;
	enum bm_status status = bm_catalog_files_open_bad(k->c, root->id, &files, k->err);

	bm_buf_puts(k->out, ",\"bad\":[");
	while (status == BM_OK) {
		int64_t age;

		status = bm_catalog_files_next(files, &f, k->err);
		if (status != BM_OK || f == NULL)
			break;
		if (count < BAD_MAX) {
			bm_buf_puts(k->out, count > 0 ? ",\n" : "\n");
			put_bad_file(k->out, f);
		}
		count++;
		age = f->found_ns < k->now_ns ? (k->now_ns - f->found_ns) / (MONTH_DAYS * DAY_NS) : 0;
		found[age < MONTHS ? age : MONTHS]++;
	}
	bm_catalog_files_close(files);
	bm_buf_printf(k->out, "],\"bad_count\":%" PRIu64 ",\"found\":{\"days\":%d,\"counts\":[", count, MONTH_DAYS);
	for (int i = 0; i < MONTHS; i++)
		bm_buf_printf(k->out, "%s%" PRIu64, i > 0 ? "," : "", found[i]);
	bm_buf_printf(k->out, "],\"earlier\":%" PRIu64 "}", found[MONTHS]);
	return status;
}

static bool put_root(void *ctx, const struct bm_catalog_root *root)
{
	struct count *k = ctx;
	struct bm_catalog_coverage *sum = calloc(1, sizeof(*sum));
	int64_t since_ns[COUNT(ages)];

	if (sum == NULL) {
		k->status = bm_error_set_nomem(k->err);
		return false;
	}
	for (size_t i = 0; i < COUNT(ages); i++)
		since_ns[i] = k->now_ns - ages[i] * DAY_NS;
	k->status = bm_catalog_coverage(k->c, root->id, since_ns, COUNT(ages), sum, k->err);
	/* A root that jobs have written below, but that nobody has audited. */
	if (k->status == BM_OK && (sum->all.files > 0 || sum->state[BM_CATALOG_MISSING].files > 0)) {
		bm_buf_puts(k->out, k->any ? ",\n{" : "\n{");
		k->any = true;
		bm_json_put_name(k->out, "path", root->path, root->path_len);
		put_time(k->out, "audited", root->audited_ns);
		put_coverage(k, sum);
		k->status = put_bad(k, root);
		bm_buf_putc(k->out, '}');
	}
	free(sum);
	return k->status == BM_OK;
}

static enum bm_status count_all(struct bm_serve *s, struct bm_buf *out, struct bm_error *err)
{
	struct bm_catalog_options opt = {.dir = s->opt.state, .must_exist = true, .busy_ms = BUSY_MS};
	struct count k = {.out = out, .err = err, .now_ns = bm_catalog_now()};
	enum bm_status status = bm_catalog_open(&opt, &k.c, err), closed;

	bm_buf_puts(out, "{\"roots\":[");
	if (status == BM_ERR_SYSTEM && err->sys_errno == ENOENT) { /* nothing was audited yet */
		*err = (struct bm_error)BM_ERROR_INIT;
		bm_buf_puts(out, "]}\n");
		return BM_OK;
	}
	if (status != BM_OK)
		return status;
	status = bm_catalog_root_list(k.c, put_root, &k, err);
	if (status == BM_OK)
		status = k.status;
	closed = bm_catalog_close(k.c, err);
	bm_buf_puts(out, "]}\n");
	if (status == BM_OK && out->oom)
		status = bm_error_set_nomem(err);
	return status != BM_OK ? status : closed;
}

static void *count_main(void *arg)
{
	struct serve_catalog *p = arg;
	struct bm_buf b = {0};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = count_all(p->srv, &b, &err);
	size_t len = b.len;
	struct waiter *w;

	pthread_mutex_lock(&p->lock);
	free(p->text);
	p->text = status == BM_OK ? bm_buf_take(&b) : NULL;
	p->len = len;
	p->error = err;
	p->made_ms = serve_now_ms();
	p->is_counting = false;
	while ((w = p->waiters) != NULL) {
		p->waiters = w->next;
		MHD_resume_connection(w->conn);
		free(w);
	}
	pthread_mutex_unlock(&p->lock);
	bm_buf_fini(&b);
	return NULL;
}

/* ---- the request ---- */

/* Starts the thread where none counts. 0, or errno. */
static int start_locked(struct serve_catalog *p)
{
	sigset_t all, old;
	int code;

	if (p->is_counting)
		return 0;
	if (p->has_thread)
		(void)pthread_join(p->thread, NULL); /* it has given the lock back, and is at its end */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = pthread_create(&p->thread, NULL, count_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	p->has_thread = p->is_counting = code == 0;
	return code;
}

/* Called again after each wait: what is there then is new enough. */
void serve_get_catalog(struct serve_request *r)
{
	struct serve_catalog *p = r->srv->catalog;
	bool has_waited = r->state == p;
	struct waiter *w = NULL;
	struct bm_buf b = {0};
	int code = 0;

	if (p == NULL) {
		serve_problem(r, 404, "this service has no state directory, and so no catalog");
		return;
	}
	pthread_mutex_lock(&p->lock);
	if (!has_waited && (p->made_ms == 0 || serve_now_ms() - p->made_ms > FRESH_MS)) {
		w = calloc(1, sizeof(*w));
		code = p->is_over ? ECANCELED : w != NULL ? start_locked(p) : ENOMEM;
		if (code == 0) {
			r->state = p;
			w->conn = r->conn;
			w->next = p->waiters;
			p->waiters = w;
			MHD_suspend_connection(r->conn);
			pthread_mutex_unlock(&p->lock);
			return;
		}
		free(w);
	}
	if (code != 0)
		serve_problem(r, 503, "the catalog cannot be read now: %s", strerror(code));
	else if (p->text == NULL)
		serve_problem(r, 500, "the catalog cannot be read: %s",
		              p->error.text[0] != '\0' ? p->error.text : "out of memory");
	else
		bm_buf_put(&b, p->text, p->len);
	pthread_mutex_unlock(&p->lock);
	if (!r->is_replied)
		serve_reply_json(r, 200, &b);
}

/* ---- its life ---- */

enum bm_status serve_catalog_create(struct bm_serve *s, struct serve_catalog **out, struct bm_error *err)
{
	struct serve_catalog *p = calloc(1, sizeof(*p));

	*out = p;
	if (p == NULL)
		return bm_error_set_nomem(err);
	p->srv = s;
	pthread_mutex_init(&p->lock, NULL);
	return BM_OK;
}

void serve_catalog_end(struct serve_catalog *p)
{
	bool has_thread;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	has_thread = p->has_thread;
	p->has_thread = false;
	p->is_over = true;
	pthread_mutex_unlock(&p->lock);
	if (has_thread)
		(void)pthread_join(p->thread, NULL);
}

void serve_catalog_destroy(struct serve_catalog *p)
{
	if (p == NULL)
		return;
	serve_catalog_end(p);
	free(p->text);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
