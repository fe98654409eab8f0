/*
 * upload.c - PUT and POST of a file: the body goes through a job as it arrives.
 *
 * libmicrohttpd hands over what has come; it goes into a feed (bm_feed.h), which a run of the job reads as its one input.
 * Where the ring is full the connection is suspended, so that the sender is slowed down by TCP and memory stays what the job
 * was given. Each upload is a run with a pool of its own, and not a stream of one large pool: it waits for its sender most of
 * the time, for minutes perhaps, and would keep a thread and buffers from all others meanwhile. What uploads may have in all
 * is counted against the service's budget, and who does not fit in is told to come back (503).
 *
 * Nothing is published before the body is known to be whole and right: the feed's last chunk goes on only after the last
 * byte came and the digests that the sender gave are those of what came. A sender that vanishes, a digest that is wrong, a
 * limit that is passed: the feed fails, so the stream fails, and its temp file is gone.
 *
 * Without ?job= the job is: sha256, write to the inbox. The target's directory was opened without following a link, and is
 * named through that descriptor (/proc/self/fd/N), whatever happens to its path meanwhile. With ?job=NAME it is that job with
 * its read step replaced by the body, {path} being the path in the URL; where its outputs go is the job's business.
 *
 * Two sides hold an upload: the request and the run. It is freed with the last of them; `lock` guards what both look at.
 * A connection that is suspended is not over, so conn is valid whenever somebody resumes it.
 */
#include "upload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_feed.h"
#include "bm_job.h"
#include "bm_sink.h"
#include "bm_text.h"
#include "http_text.h"
#include "jobs_load.h"

#define RING_BYTES ((size_t)256 << 10)
#define CHUNK_BYTES ((uint64_t)256 << 10)
#define PLAIN_MEMORY ((uint64_t)1 << 20)     /* of sha256 and write */
#define JOB_MEMORY_MOST ((uint64_t)64 << 20) /* of a job that does not say */
#define DROP_MOST ((uint64_t)64 << 20)       /* of a body after it has failed: then the connection is cut */

struct upload {
	struct serve_watched watched; /* first */
	struct bm_serve *srv;
	struct upload *next, *prev; /* srv->uploads_lock */
	struct serve_jobs jobs;
	struct bm_feed *feed;
	char *path; /* in the URL */
	int dir_fd; /* -1: none */
	uint64_t weight;

	/* The request's side. */
	struct MHD_Connection *conn;
	struct serve_client *client;
	bool has_ended; /* the feed was told */
	uint64_t bytes, dropped;
	struct http_digest digests[HTTP_DIGESTS_MAX];
	struct bm_digest *states[HTTP_DIGESTS_MAX];
	size_t digest_count;

	pthread_mutex_t lock;
	unsigned holders;      /* lock */
	bool is_over;          /* lock; the run */
	bool is_waiting;       /* lock; conn is suspended until it is over */
	struct bm_error error; /* by the run's calls until is_over; then the request's */
	struct bm_buf result;  /* likewise: JSON members */
	struct bm_buf repr_digest;
};

/* ---- its life ---- */

static void upload_free(struct upload *u)
{
	struct bm_serve *s = u->srv;

	pthread_mutex_lock(&s->uploads_lock);
	if (u->prev != NULL)
		u->prev->next = u->next;
	else if (s->uploads == u)
		s->uploads = u->next;
	if (u->next != NULL)
		u->next->prev = u->prev;
	pthread_mutex_unlock(&s->uploads_lock);
	serve_jobs_fini(&u->jobs);
	bm_feed_destroy(u->feed);
	for (size_t i = 0; i < u->digest_count; i++)
		bm_digest_destroy(u->states[i]);
	if (u->dir_fd >= 0)
		close(u->dir_fd);
	bm_buf_fini(&u->result);
	bm_buf_fini(&u->repr_digest);
	pthread_mutex_destroy(&u->lock);
	free(u->path);
	atomic_fetch_sub(&s->budget_used, u->weight);
	free(u);
}

static void upload_release(struct upload *u)
{
	pthread_mutex_lock(&u->lock);
	bool is_last = --u->holders == 0;
	pthread_mutex_unlock(&u->lock);
	if (is_last)
		upload_free(u);
}

static struct upload *upload_create(struct serve_request *r, uint64_t weight)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->srv = r->srv;
	u->conn = r->conn;
	u->client = r->client;
	u->dir_fd = -1;
	u->weight = weight;
	u->holders = 1;
	pthread_mutex_init(&u->lock, NULL);
	atomic_fetch_add(&r->srv->budget_used, weight);
	pthread_mutex_lock(&r->srv->uploads_lock);
	u->next = r->srv->uploads;
	if (u->next != NULL)
		u->next->prev = u;
	r->srv->uploads = u;
	pthread_mutex_unlock(&r->srv->uploads_lock);
	return u;
}

static void fail(struct upload *u, enum bm_status status, const char *text)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)bm_error_set(&err, status, NULL, "%s", text);
	bm_feed_fail(u->feed, &err);
}

void serve_uploads_give_up(struct bm_serve *s)
{
	pthread_mutex_lock(&s->uploads_lock);
	for (struct upload *u = s->uploads; u != NULL; u = u->next)
		if (u->feed != NULL)
			fail(u, BM_ERR_CANCELLED, "the service is being stopped");
	pthread_mutex_unlock(&s->uploads_lock);
}

/* The request is over. */
static void upload_done(void *state, bool good)
{
	struct upload *u = state;

	(void)good;
	if (!u->has_ended) {
		u->has_ended = true;
		fail(u, BM_ERR_CANCELLED, "the sender went away before the end");
	}
	upload_release(u);
}

/* ---- the run's side ---- */

static void put_result(struct upload *u, const struct bm_file_result *f)
{
	struct bm_buf *b = &u->result;
	bool any = false;

	bm_buf_printf(b, ",\"bytes\":%" PRIu64 ",\"digests\":{", f->bytes);
	for (size_t i = 0; i < f->digest_count; i++) {
		const struct bm_file_digest *d = &f->digests[i];
		const struct bm_digest_algorithm *a = bm_digest_find(d->algorithm);

		/* Of what came in, not of what a job made of it: the first of each kind, if it saw as many bytes. */
		if (d->length != f->bytes || a == NULL || strstr(b->data, d->algorithm) != NULL)
			continue;
		bm_buf_printf(b, "%s\"%s\":\"", any ? "," : "", d->algorithm);
		bm_hex_put(b, d->bytes, d->len);
		bm_buf_putc(b, '"');
		any = true;
		if (http_digest_name(a) != NULL && (strcmp(a->name, "sha256") == 0 || strcmp(a->name, "sha512") == 0)) {
			bm_buf_puts(&u->repr_digest, u->repr_digest.len > 0 ? ", " : "");
			http_digest_put(&u->repr_digest, a, d->bytes);
		}
	}
	bm_buf_putc(b, '}');
}

static void on_file(void *ctx, const struct bm_file_result *f)
{
	struct upload *u = ctx;

	if (f->error != NULL && u->error.status == BM_OK)
		u->error = *f->error;
	if (f->state == BM_FILE_DONE)
		put_result(u, f);
}

static void on_error(void *ctx, const char *job, const struct bm_error *err)
{
	struct upload *u = ctx;

	(void)job;
	if (u->error.status == BM_OK)
		u->error = *err;
}

static void on_over(struct serve_watched *w, enum bm_status status, const struct bm_summary *sum)
{
	struct upload *u = (struct upload *)(void *)w;

	if (status != BM_OK && u->error.status == BM_OK) {
		u->error = sum->error;
		(void)bm_error_set(&u->error, status, NULL, "the file could not be taken");
	}
	bm_feed_leave(u->feed); /* also where it was never read */
	pthread_mutex_lock(&u->lock);
	u->is_over = true;
	if (u->is_waiting)
		MHD_resume_connection(u->conn);
	u->is_waiting = false;
	pthread_mutex_unlock(&u->lock);
}

static void on_gone(struct serve_watched *w)
{
	upload_release((struct upload *)(void *)w);
}

/* ---- the feed's calls ---- */

static void on_full(void *ctx)
{
	struct upload *u = ctx;

	serve_client_phase(u->srv, u->client, SERVE_BUSY, 0);
	MHD_suspend_connection(u->conn);
}

static void on_room(void *ctx)
{
	struct upload *u = ctx;

	serve_client_phase(u->srv, u->client, SERVE_BODY, 0);
	MHD_resume_connection(u->conn);
}

/* ---- the request's side: its head ---- */

static bool take_digests(struct serve_request *r, struct upload *u)
{
	static const char *const fields[] = {"Content-Digest", "Repr-Digest"};
	const char *text;
	bool good = true;

	/* Nothing is decoded here, so that both are of the same bytes. */
	for (size_t i = 0; i < 2 && good; i++) {
		text = serve_header(r, fields[i]);
		if (text != NULL && !http_digests_parse(text, u->digests, &u->digest_count)) {
			serve_problem(r, 400, "%s is not as RFC 9530 has it, such as sha-256=:BASE64:", fields[i]);
			good = false;
		}
	}
	text = serve_header(r, "Content-MD5");
	if (good && text != NULL) {
		good = u->digest_count < HTTP_DIGESTS_MAX && http_content_md5_parse(text, &u->digests[u->digest_count]);
		if (good)
			u->digest_count++;
		else
			serve_problem(r, 400, "Content-MD5 is not the base64 of 16 bytes");
	}
	for (size_t i = 0; i < u->digest_count; i++) {
		struct bm_error err = BM_ERROR_INIT;

		if (good && bm_digest_create(u->digests[i].algorithm, &u->states[i], &err) != BM_OK) {
			serve_problem_error(r, &err);
			good = false;
		}
	}
	return good;
}

/* Where it goes without ?job=. */
static bool open_target(struct serve_request *r, struct upload *u, struct bm_buf *to)
{
	const char *leaf = NULL;
	struct stat st;

	if (r->srv->inbox_fd < 0) {
		serve_problem(r, 404, "this service takes no files: it was started without --inbox");
		return false;
	}
	u->dir_fd = serve_open_parent(r->srv->inbox_fd, u->path, &leaf);
	if (u->dir_fd < 0) {
		switch (errno) {
		case ENOTDIR:
		case ELOOP:
		case EXDEV:
			serve_problem(r, 409, "a part of the path is no directory");
			break;
		case ENOSPC:
		case EDQUOT:
			serve_problem(r, 507, "cannot make the directory: %s", strerror(errno));
			break;
		default:
			serve_problem(r, errno == EACCES || errno == EROFS || errno == EPERM ? 403 : 500,
			              "cannot open the directory: %s", strerror(errno));
		}
		return false;
	}
	if (fstatat(u->dir_fd, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)) {
		serve_problem(r, 409, "there is something at this path that is no regular file");
		return false;
	}
	bm_buf_printf(to, "/proc/self/fd/%d/", u->dir_fd);
	for (; *leaf != '\0'; leaf++) {
		if (*leaf == '{' || *leaf == '}')
			bm_buf_putc(to, *leaf);
		bm_buf_putc(to, *leaf);
	}
	return true;
}

static bool make_plain_job(struct serve_request *r, struct upload *u)
{
	struct bm_buf to = {0};
	struct bm_job *job = NULL;
	union bm_step_params *p;
	struct bm_error err = BM_ERROR_INIT;
	const char *none_match = serve_header(r, "If-None-Match");
	bool good = open_target(r, u, &to);

	if (!good)
		goto out;
	good = false;
	job = bm_job_create("upload");
	p = job != NULL ? bm_job_add_step(job, "read") : NULL;
	if (p == NULL || !bm_strings_add(&p->read.from, "/dev/null"))
		goto out;
	p = bm_job_add_step(job, "hash");
	if (p == NULL)
		goto out;
	for (int i = 0; bm_digest_algorithms(NULL)[i].name != NULL; i++)
		if (strcmp(bm_digest_algorithms(NULL)[i].name, "sha256") == 0)
			p->hash.algorithms.items[0] = i;
	p->hash.algorithms.count = 1;
	p = bm_job_add_step(job, "write");
	if (p == NULL || to.oom)
		goto out;
	p->write.to = bm_buf_take(&to);
	p->write.if_exists = none_match != NULL && strcmp(none_match, "*") == 0 ? BM_EXISTS_FAIL : BM_EXISTS_REPLACE;
	job->p.chunk = CHUNK_BYTES;
	if (bm_jobs_create(NULL, &u->jobs.jobs, &err) != BM_OK)
		goto out;
	good = bm_jobs_adopt(u->jobs.jobs, job, &err) == BM_OK && bm_jobs_check(u->jobs.jobs, &err) == BM_OK;
	job = NULL;
out:
	bm_job_destroy(job);
	bm_buf_fini(&to);
	if (!good && !r->is_replied)
		serve_problem(r, err.status != BM_OK ? 500 : 503, "%s",
		              err.status != BM_OK ? err.text : "out of memory");
	return good;
}

static bool make_jobs(struct serve_request *r, struct upload *u, const char *name)
{
	if (name == NULL)
		return make_plain_job(r, u);
	if (!serve_jobs_load(r, name, NULL, 0, &u->jobs))
		return false;
	if (bm_jobs_count(u->jobs.jobs) == 1)
		return true;
	serve_problem(r, 422, "the file of this job has %zu jobs; an upload goes through one",
	              bm_jobs_count(u->jobs.jobs));
	return false;
}

static bool start(struct serve_request *r, struct upload *u, uint64_t memory)
{
	struct bm_feed_options fo = {.ring_bytes = RING_BYTES, .on_full = on_full, .on_room = on_room, .ctx = u};
	struct bm_run_options ro = {.threads = r->srv->opt.threads,
	                            .io_depth = 1,
	                            .memory_bytes = memory,
	                            .on_file = on_file,
	                            .on_error = on_error};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = bm_feed_create(&fo, &u->feed, &err);

	if (status == BM_OK)
		status = bm_job_set_feed(u->jobs.jobs->jobs[0], u->feed, u->path, &err);
	if (status == BM_OK) {
		u->watched.over = on_over;
		u->watched.gone = on_gone;
		u->holders++;
		status = serve_reap(r->srv->reaper, &u->watched, u->jobs.jobs, &ro, &err);
		if (status != BM_OK)
			u->holders--;
	}
	if (status == BM_OK)
		return true;
	serve_problem_with(r, status == BM_ERR_USAGE ? 422 : serve_status_of(&err), NULL, err.text);
	return false;
}

void serve_upload_begin(struct serve_request *r)
{
	const char *length = serve_header(r, "Content-Length");
	struct bm_buf job = {0};
	bool has_job = serve_query(r, "job", &job);
	uint64_t weight = RING_BYTES + PLAIN_MEMORY, bytes = 0;
	struct upload *u;

	if (r->is_replied)
		goto out;
	if (has_job)
		weight = RING_BYTES + (r->srv->opt.memory_bytes / 4 < JOB_MEMORY_MOST ? r->srv->opt.memory_bytes / 4
		                                                                      : JOB_MEMORY_MOST);
	if (serve_header(r, "Content-Range") != NULL) {
		serve_problem(r, 400, "parts of a file are not taken with Content-Range; resumable uploads go by tus");
		goto out;
	}
	if (length != NULL && http_number(length, &bytes) && r->srv->opt.max_upload_bytes > 0 &&
	    bytes > r->srv->opt.max_upload_bytes) {
		serve_problem(r, 413, "the file is too large; allowed: %" PRIu64 " bytes",
		              r->srv->opt.max_upload_bytes);
		goto out;
	}
	if (atomic_load(&r->srv->budget_used) + weight > r->srv->opt.memory_bytes) {
		serve_problem(r, 503, "too many uploads are under way for the memory that they may have; try again");
		goto out;
	}
	u = upload_create(r, weight);
	if (u == NULL) {
		serve_problem(r, 503, "out of memory");
		goto out;
	}
	u->path = bm_memdup0(r->tail.data, r->tail.len);
	if (u->path == NULL)
		serve_problem(r, 503, "out of memory");
	if (u->path != NULL && take_digests(r, u) && make_jobs(r, u, has_job ? job.data : NULL) &&
	    start(r, u, weight - RING_BYTES)) {
		r->state = u;
		r->state_done = upload_done;
	} else {
		upload_release(u);
	}
out:
	bm_buf_fini(&job);
}

/* ---- its body ---- */

static void add_to_digests(struct upload *u, const char *data, size_t len)
{
	struct bm_error err = BM_ERROR_INIT;

	for (size_t i = 0; i < u->digest_count; i++)
		if (bm_digest_update(u->states[i], data, len, &err) != BM_OK)
			bm_feed_fail(u->feed, &err);
}

void serve_upload_data(struct serve_request *r, const char *data, size_t *len)
{
	struct upload *u = r->state;
	uint64_t most = r->srv->opt.max_upload_bytes;

	while (*len > 0) {
		size_t n = bm_feed_put(u->feed, data, *len);

		if (n == 0)
			return; /* suspended */
		add_to_digests(u, data, n);
		serve_count(r->srv, SERVE_COUNT_UPLOAD_BYTES, n);
		u->bytes += n;
		data += n;
		*len -= n;
		if (most > 0 && u->bytes > most && u->dropped == 0)
			fail(u, BM_ERR_LIMIT, "the file is larger than what is allowed");
		if (most > 0 && u->bytes > most) {
			u->dropped += n;
			r->is_cut = u->dropped > DROP_MOST;
		}
	}
}

static void end_feed(struct upload *u)
{
	uint8_t found[BM_DIGEST_MAX_BYTES];
	struct bm_error err = BM_ERROR_INIT;

	u->has_ended = true;
	for (size_t i = 0; i < u->digest_count; i++) {
		const struct bm_digest_algorithm *a = u->digests[i].algorithm;

		if (bm_digest_finish(u->states[i], found, &err) != BM_OK) {
			bm_feed_fail(u->feed, &err);
			return;
		}
		if (memcmp(found, u->digests[i].bytes, a->size_bytes) != 0) {
			(void)bm_error_set(&err, BM_ERR_MISMATCH, NULL,
			                   "the %s of what came is not the one that was announced; nothing was stored",
			                   a->name);
			bm_feed_fail(u->feed, &err);
			return;
		}
	}
	bm_feed_end(u->feed);
}

static void reply_result(struct serve_request *r, struct upload *u)
{
	struct bm_buf b = {0}, location = {0};
	unsigned status;

	if (u->error.status != BM_OK) {
		status = serve_status_of(&u->error);
		if (u->error.status == BM_ERR_EXISTS)
			status = 412; /* If-None-Match: * */
		serve_problem_with(r, status, NULL,
		                   u->error.text[0] != '\0' ? u->error.text : bm_status_text(u->error.status));
		return;
	}
	serve_count(r->srv, SERVE_COUNT_UPLOADS, 1);
	bm_buf_puts(&b, "{");
	bm_json_put_name(&b, "path", u->path, strlen(u->path));
	bm_buf_puts(&b, u->result.len > 0 && !u->result.oom ? u->result.data : "");
	bm_buf_puts(&b, "}\n");
	bm_buf_puts(&location, "/v1/files/");
	http_path_encode(&location, u->path, strlen(u->path));
	if (!location.oom)
		serve_add_header(r, "Location", location.data);
	if (u->repr_digest.len > 0 && !u->repr_digest.oom)
		serve_add_header(r, "Repr-Digest", u->repr_digest.data);
	bm_buf_fini(&location);
	serve_reply_json(r, 201, &b);
}

void serve_upload_end(struct serve_request *r)
{
	struct upload *u = r->state;
	bool is_over;

	if (!u->has_ended)
		end_feed(u);
	pthread_mutex_lock(&u->lock);
	is_over = u->is_over;
	if (!is_over) {
		u->is_waiting = true;
		MHD_suspend_connection(u->conn);
	}
	pthread_mutex_unlock(&u->lock);
	if (is_over)
		reply_result(r, u);
}
