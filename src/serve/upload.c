/*
 * upload.c - what is sent goes through a job: a run of its own, with the body, or files that came before, as its
 * input.
 *
 * libmicrohttpd hands over what has come; it goes into a feed (bm_feed.h), which a run of the job reads as its one
 * input. Where the ring is full the connection is suspended, so that the sender is slowed down by TCP and memory stays
 * what the job was given. No thread waits for a sender, and all that a slow one keeps from others is one chunk and a ring;
 * what uploads may have in all, and on which threads they run, is budget.c's business, and who does not fit in is told to
 * come back (503).
 *
 * Nothing is published before the body is known to be whole and right: the feed's last chunk goes on only after the
 * last byte came and the digests that the sender gave are those of what came. A sender that vanishes, a digest that is
 * wrong, a limit that is passed: the feed fails, so the stream fails, and its temp file is gone.
 *
 * Without ?job= the job is: sha256, write to the inbox. The target's directory was opened without following a link,
 * and is named through that descriptor (/proc/self/fd/N), whatever happens to its path meanwhile. With ?job=NAME it is
 * that job with its read step replaced by the body, {path} being the path in the URL; where its outputs go is the
 * job's business.
 *
 * Two sides hold an upload: the request and the run. It is freed with the last of them; `lock` guards what both look
 * at. A connection that is suspended is not over, so conn is valid whenever somebody resumes it.
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

#define PLAIN_MEMORY ((uint64_t)1 << 20)     /* of sha256 and write, which needs none but for chunks */
#define JOB_MEMORY_MOST ((uint64_t)64 << 20) /* of a job that does not say */

struct upload {
	struct serve_watched watched; /* first */
	struct bm_serve *srv;
	struct upload *next, *prev; /* srv->uploads_lock */
	struct serve_jobs jobs;
	struct bm_feed *feed; /* set under srv->uploads_lock; NULL: the run reads files */
	char *path;           /* in the URL */
	int dir_fd;           /* -1: none */
	bool is_plain;        /* goes through no job: on the uploads' pool */
	uint64_t weight;      /* of the budget */

	/* The request's side. */
	struct MHD_Connection *conn;
	struct serve_client *client;
	bool has_ended; /* the feed was told */

	pthread_mutex_t lock;
	unsigned holders;      /* lock */
	bool is_over;          /* lock; the run */
	bool is_waiting;       /* lock; conn is suspended until it is over */
	struct bm_run *live;   /* lock; while it can be cancelled */
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
	if (u->dir_fd >= 0)
		close(u->dir_fd);
	bm_buf_fini(&u->result);
	bm_buf_fini(&u->repr_digest);
	pthread_mutex_destroy(&u->lock);
	free(u->path);
	serve_budget_give(s, u->weight);
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

static void fail_stopped(struct upload *u)
{
	fail(u, BM_ERR_CANCELLED, "the service is being stopped");
}

void serve_uploads_give_up(struct bm_serve *s)
{
	pthread_mutex_lock(&s->uploads_lock);
	atomic_store(&s->giving_up, true);
	for (struct upload *u = s->uploads; u != NULL; u = u->next) {
		if (u->feed != NULL)
			fail_stopped(u);
		pthread_mutex_lock(&u->lock);
		if (u->live != NULL)
			bm_run_cancel(u->live);
		pthread_mutex_unlock(&u->lock);
	}
	pthread_mutex_unlock(&s->uploads_lock);
}

void serve_upload_drop(struct upload *u)
{
	if (u == NULL)
		return;
	if (u->feed != NULL && !u->has_ended) {
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
	if (u->feed != NULL)
		bm_feed_leave(u->feed); /* also where it was never read */
	pthread_mutex_lock(&u->lock);
	u->is_over = true;
	u->live = NULL;
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

/* ---- making one ---- */

/* Where it goes without ?job=. */
static bool open_target(struct serve_request *r, struct upload *u, struct bm_buf *to)
{
	const char *leaf = NULL;
	struct stat st;

	if (r->srv->inbox_fd < 0) {
		serve_problem(r, 404, "this service takes no files: it was started without --inbox");
		return false;
	}
	if (http_path_is_deep(u->path, strlen(u->path))) {
		serve_problem(r, 414, "the path has too many directories; allowed: %d", HTTP_DEPTH_MAX);
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
	job->p.chunk = r->srv->upload_chunk_bytes;
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

struct upload *serve_upload_create(struct serve_request *r, const char *path, size_t path_len, const char *job)
{
	uint64_t half = r->srv->files_bytes / 2, weight = r->srv->upload_chunk_bytes;
	struct upload *u;

	if (job != NULL)
		weight += half < JOB_MEMORY_MOST ? half : JOB_MEMORY_MOST;
	if (!serve_budget_take(r->srv, weight)) {
		serve_problem(r, 503, "too many uploads are under way for the memory that they may have; try again");
		return NULL;
	}
	u = upload_create(r, weight);
	if (u == NULL) {
		serve_budget_give(r->srv, weight);
		serve_problem(r, 503, "out of memory");
		return NULL;
	}
	u->is_plain = job == NULL;
	u->path = bm_memdup0(path, path_len);
	if (u->path == NULL)
		serve_problem(r, 503, "out of memory");
	else if (make_jobs(r, u, job))
		return u;
	upload_release(u);
	return NULL;
}

static enum bm_status make_feed(struct upload *u, struct bm_error *err)
{
	struct bm_feed_options fo = {
		.ring_bytes = u->srv->upload_chunk_bytes, .on_full = on_full, .on_room = on_room, .ctx = u};
	struct bm_feed *feed = NULL;
	enum bm_status status = bm_feed_create(&fo, &feed, err);

	pthread_mutex_lock(&u->srv->uploads_lock);
	u->feed = feed;
	if (feed != NULL && atomic_load(&u->srv->giving_up)) /* of a form there may come one more file */
		fail_stopped(u);
	pthread_mutex_unlock(&u->srv->uploads_lock);
	return status == BM_OK ? bm_job_set_feed(u->jobs.jobs->jobs[0], feed, u->path, err) : status;
}

bool serve_upload_start(struct serve_request *r, struct upload *u, const char *dir)
{
	const size_t ring = r->srv->upload_chunk_bytes;
	struct bm_run_options ro = {.threads = r->srv->opt.threads,
	                            .io_depth = 1,
	                            .memory_bytes = u->is_plain ? PLAIN_MEMORY : u->weight - ring,
	                            .on_file = on_file,
	                            .on_error = on_error};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = dir == NULL ? make_feed(u, &err) : bm_job_set_root(u->jobs.jobs->jobs[0], dir, &err);

	if (status == BM_OK) {
		u->watched.over = on_over;
		u->watched.gone = on_gone;
		pthread_mutex_lock(&u->lock);
		u->holders++;
		pthread_mutex_unlock(&u->lock);
		status = serve_reap(r->srv->reaper, &u->watched, u->is_plain ? r->srv->upload_pool : NULL, u->jobs.jobs,
		                    &ro, &err);
		pthread_mutex_lock(&u->lock);
		if (status != BM_OK)
			u->holders--;
		else if (!u->is_over)
			u->live = u->watched.run;
		if (u->live != NULL && atomic_load(&r->srv->giving_up))
			bm_run_cancel(u->live);
		pthread_mutex_unlock(&u->lock);
	}
	if (status == BM_OK)
		return true;
	serve_problem_with(r, status == BM_ERR_USAGE ? 422 : serve_status_of(&err), NULL, err.text);
	return false;
}

/* ---- the request's side ---- */

size_t serve_upload_put(struct upload *u, const char *data, size_t len)
{
	return bm_feed_put(u->feed, data, len);
}

void serve_upload_finish(struct upload *u, const struct bm_error *err)
{
	if (u->has_ended)
		return;
	if (err != NULL) {
		bm_feed_fail(u->feed, err);
	} else {
		u->has_ended = true;
		bm_feed_end(u->feed);
	}
}

bool serve_upload_wait(struct upload *u)
{
	bool is_over;

	pthread_mutex_lock(&u->lock);
	is_over = u->is_over;
	if (!is_over) {
		u->is_waiting = true;
		MHD_suspend_connection(u->conn);
	}
	pthread_mutex_unlock(&u->lock);
	return is_over;
}

const struct bm_error *serve_upload_error(const struct upload *u)
{
	return &u->error;
}

void serve_upload_put_result(const struct upload *u, struct bm_buf *out)
{
	bm_buf_puts(out, "{");
	bm_json_put_name(out, "path", u->path, strlen(u->path));
	bm_buf_puts(out, u->result.len > 0 && !u->result.oom ? u->result.data : "");
	bm_buf_puts(out, "}");
}

const char *serve_upload_digest(const struct upload *u)
{
	return u->repr_digest.len > 0 && !u->repr_digest.oom ? u->repr_digest.data : NULL;
}

void serve_upload_reply(struct serve_request *r, struct upload *u)
{
	struct bm_buf b = {0}, location = {0};
	unsigned status;

	if (u->error.status != BM_OK) {
		status = u->error.status == BM_ERR_EXISTS ? 412 : serve_status_of(&u->error); /* If-None-Match: * */
		serve_problem_with(r, status, NULL,
		                   u->error.text[0] != '\0' ? u->error.text : bm_status_text(u->error.status));
		return;
	}
	serve_count(r->srv, SERVE_COUNT_UPLOADS, 1);
	serve_upload_put_result(u, &b);
	bm_buf_putc(&b, '\n');
	bm_buf_puts(&location, "/v1/files/");
	http_path_encode(&location, u->path, strlen(u->path));
	if (!location.oom)
		serve_add_header(r, "Location", location.data);
	if (serve_upload_digest(u) != NULL)
		serve_add_header(r, "Repr-Digest", serve_upload_digest(u));
	bm_buf_fini(&location);
	serve_reply_json(r, 201, &b);
}
