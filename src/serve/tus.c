/*
 * tus.c - resumable uploads by the tus protocol, 1.0: core, creation, creation-with-upload, checksum, termination,
 * expiration.
 *
 * How an upload is kept is tus_store.c's business. A file that is complete goes through its job, which reads the upload's
 * directory; the last PATCH is answered when its output is published. Should that fail, the file stays, and an empty
 * PATCH at its end tries again.
 *
 * One request at a time may change an upload: flock on its file. A connection that broke may hold it until it times out, since
 * nothing comes from the other side; so the next one that wants to go on is told to come again (423), and the one before is
 * cut off if it has been silent for a second. The bytes are written by libmicrohttpd's thread, into
 * the page cache.
 */
#include "tus.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "bm_error.h"
#include "bm_text.h"
#include "jobs_load.h"
#include "tus_store.h"
#include "upload.h"

#define VERSION "1.0.0"
#define BODY_TYPE "application/offset+octet-stream"

struct patch {
	struct tus_note note;
	char id[TUS_ID_TEXT];
	int fd; /* of the file, locked; -1: none */
	uint64_t begin, offset;
	bool has_checksum, is_created; /* is_created: the answer is that of a POST */
	struct upload_digests digests;
	struct bm_error error; /* what went wrong while the body came */
	struct upload *upload; /* once it is complete */
};

static void patch_done(void *state, bool good)
{
	struct patch *p = state;

	(void)good;
	/* What came cannot be held against its checksum, which is of all of it. */
	if (p->fd >= 0 && p->has_checksum)
		(void)!ftruncate(p->fd, (off_t)p->begin);
	if (p->fd >= 0)
		close(p->fd);
	serve_upload_drop(p->upload);
	upload_digests_fini(&p->digests);
	tus_note_fini(&p->note);
	free(p);
}

/* ---- what all answers have ---- */

/* False: replied. */
static bool keep_note(struct serve_request *r, const char *id, const struct tus_note *n)
{
	if (tus_note_write(r->srv->tus_fd, id, n))
		return true;
	serve_problem(r, errno == ENOSPC || errno == EDQUOT ? 507 : 500, "cannot keep the upload: %s", strerror(errno));
	return false;
}

static void add_number(struct serve_request *r, const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	serve_add_header(r, name, text);
}

static bool speaks_tus(struct serve_request *r)
{
	const char *version = serve_header(r, "Tus-Resumable");

	serve_add_header(r, "Tus-Resumable", VERSION);
	if (r->srv->tus_fd < 0) {
		serve_problem(r, 404, "this service takes no files: it was started without --inbox");
		return false;
	}
	if (version != NULL && strcmp(version, VERSION) == 0)
		return true;
	serve_add_header(r, "Tus-Version", VERSION);
	serve_problem(r, 412, "Tus-Resumable has to be " VERSION);
	return false;
}

void serve_tus_options(struct serve_request *r)
{
	serve_add_header(r, "Tus-Resumable", VERSION);
	serve_add_header(r, "Tus-Version", VERSION);
	serve_add_header(r, "Tus-Extension", "creation,creation-with-upload,checksum,termination,expiration");
	serve_add_header(r, "Tus-Checksum-Algorithm", "sha1,md5,sha256,sha512,crc32");
	if (r->srv->opt.max_upload_bytes > 0)
		add_number(r, "Tus-Max-Size", r->srv->opt.max_upload_bytes);
	serve_reply_empty(r, 204);
}

static void add_expiry(struct serve_request *r)
{
	char text[30];

	http_date_format(time(NULL) + TUS_EXPIRE_S, text);
	serve_add_header(r, "Upload-Expires", text);
}

/* The note of the upload that the path names; false: replied. */
static bool find(struct serve_request *r, struct tus_note *n)
{
	if (tus_is_id(r->tail.data) && tus_note_read(r->srv->tus_fd, r->tail.data, n))
		return true;
	serve_problem(r, 404, "there is no such upload");
	return false;
}

/* Opens and locks p's file, and finds how far it is. False: replied. */
static bool open_locked(struct serve_request *r, struct patch *p)
{
	struct stat st;

	p->fd = tus_file_open(r->srv->tus_fd, p->id, p->note.path.data, false);
	if (p->fd < 0) {
		serve_problem(r, errno == ENOENT ? 410 : 500, "the file of this upload cannot be opened: %s",
		              strerror(errno));
	} else if (flock(p->fd, LOCK_EX | LOCK_NB) != 0) {
		close(p->fd);
		p->fd = -1;
		serve_cut_upload(r->srv, p->id);
		serve_problem(r, 423, "another request is at this upload");
	} else if (fstat(p->fd, &st) == 0) {
		p->begin = p->offset = (uint64_t)st.st_size;
		return true;
	} else {
		serve_problem(r, 500, "cannot stat: %s", strerror(errno));
	}
	return false;
}

/* ---- the body ---- */

/* Content-Type, Upload-Checksum. False: replied. */
static bool begin_body(struct serve_request *r, struct patch *p)
{
	const char *type = serve_header(r, "Content-Type"), *checksum = serve_header(r, "Upload-Checksum");
	const char *length = serve_header(r, "Content-Length");
	uint64_t bytes;

	if (type == NULL || strcasecmp(type, BODY_TYPE) != 0) {
		serve_problem(r, 415, "Content-Type has to be " BODY_TYPE);
		return false;
	}
	if (length != NULL && http_number(length, &bytes) && bytes > p->note.length - p->offset) {
		serve_problem(r, 413, "this is more than is left of the upload: %" PRIu64 " bytes",
		              p->note.length - p->offset);
		return false;
	}
	if (checksum != NULL) {
		switch (http_tus_checksum(checksum, &p->digests.wanted[0])) {
		case HTTP_CHECKSUM_GOOD:
			p->digests.count = 1;
			p->has_checksum = true;
			break;
		default:
			serve_problem(r, 400,
			              "Upload-Checksum is no known algorithm and the base64 of a digest of its length");
			return false;
		}
		if (!upload_digests_begin(&p->digests, &p->error)) {
			serve_problem_error(r, &p->error);
			return false;
		}
	}
	serve_client_phase(r->srv, r->client, SERVE_BODY, 0);
	serve_client_upload(r->srv, r->client, p->id);
	return true;
}

void serve_tus_data(struct serve_request *r, const char *data, size_t *len)
{
	struct patch *p = r->state;
	size_t left = *len;

	*len = 0;
	serve_count(r->srv, SERVE_COUNT_UPLOAD_BYTES, left);
	if (p == NULL || p->fd < 0 || p->error.status != BM_OK)
		return;
	if (left > p->note.length - p->offset) {
		(void)bm_error_set(&p->error, BM_ERR_LIMIT, NULL, "this is more than is left of the upload");
		return;
	}
	(void)!upload_digests_add(&p->digests, data, left, &p->error);
	while (left > 0 && p->error.status == BM_OK) {
		ssize_t n = pwrite(p->fd, data, left, (off_t)p->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			(void)bm_error_set_errno(&p->error, n < 0 ? errno : EIO, NULL, "cannot keep what came");
			break;
		}
		data += n;
		left -= (size_t)n;
		p->offset += (uint64_t)n;
	}
}

static void reply_offset(struct serve_request *r, struct patch *p)
{
	add_number(r, "Upload-Offset", p->offset);
	add_expiry(r);
	if (p->is_created) {
		struct bm_buf b = {0};

		bm_buf_printf(&b, "/v1/tus/%s", p->id);
		if (!b.oom)
			serve_add_header(r, "Location", b.data);
		bm_buf_fini(&b);
	}
	serve_reply_empty(r, p->is_created ? 201 : 204);
}

/* All of it is there: through its job. */
static void begin_job(struct serve_request *r, struct patch *p)
{
	struct bm_buf dir = {0};

	p->upload = serve_upload_create(r, p->note.path.data, p->note.path.len, p->note.job);
	bm_buf_printf(&dir, "%s/%s", r->srv->tus_path, p->id);
	if (p->upload != NULL && (dir.oom || !serve_upload_start(r, p->upload, dir.data))) {
		serve_upload_drop(p->upload);
		p->upload = NULL;
		if (dir.oom)
			serve_problem(r, 503, "out of memory");
	}
	bm_buf_fini(&dir);
}

static void end_job(struct serve_request *r, struct patch *p)
{
	const struct bm_error *err = serve_upload_error(p->upload);

	if (err->status != BM_OK) {
		serve_problem_error(r, err);
		return;
	}
	p->note.is_done = true;
	if (!keep_note(r, p->id, &p->note))
		return;
	serve_count(r->srv, SERVE_COUNT_UPLOADS, 1);
	if (serve_upload_digest(p->upload) != NULL)
		serve_add_header(r, "Repr-Digest", serve_upload_digest(p->upload));
	tus_file_remove(r->srv->tus_fd, p->id, &p->note.path);
	reply_offset(r, p);
}

static void end_body(struct serve_request *r, struct patch *p)
{
	if (p->upload != NULL) {
		if (serve_upload_wait(p->upload))
			end_job(r, p);
		return;
	}
	if (p->error.status == BM_OK)
		(void)!upload_digests_check(&p->digests, &p->error);
	if (p->error.status == BM_ERR_MISMATCH) {
		serve_problem(r, 460, "what came has another checksum than Upload-Checksum says; it was not kept");
		return;
	}
	if (p->error.status != BM_OK) {
		serve_problem_error(r, &p->error);
		return;
	}
	p->has_checksum = false; /* it is right: what came is kept */
	if (p->offset < p->note.length) {
		reply_offset(r, p);
		return;
	}
	begin_job(r, p);
	if (p->upload != NULL && serve_upload_wait(p->upload))
		end_job(r, p);
}

/* ---- the routes ---- */

static struct patch *patch_create(struct serve_request *r)
{
	struct patch *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		serve_problem(r, 503, "out of memory");
		return NULL;
	}
	p->fd = -1;
	r->state = p;
	r->state_done = patch_done;
	return p;
}

/* Upload-Metadata. False: replied. */
static bool take_metadata(struct serve_request *r, struct tus_note *n)
{
	const char *text = serve_header(r, "Upload-Metadata");
	struct bm_buf job = {0};
	bool has_name = false, has_job = false, good = false;

	if (text == NULL)
		text = "";
	bm_buf_put(&n->path, NULL, 0);
	if (!http_tus_metadata(text, "filename", &n->path, &has_name) ||
	    !http_tus_metadata(text, "job", &job, &has_job) ||
	    (has_job && (job.len == 0 || memchr(job.data, '\0', job.len) != NULL)))
		serve_problem(r, 400, "Upload-Metadata is not as tus has it: KEY BASE64, KEY BASE64");
	else if (!has_name)
		serve_problem(r, 400, "Upload-Metadata has no filename: it says where the file goes in the inbox");
	else if (n->path.oom || http_path_check(n->path.data, n->path.len) != HTTP_PATH_GOOD ||
	         http_path_is_deep(n->path.data, n->path.len))
		serve_problem(r, 400, "filename is no path of a file below the inbox, or has more than %d directories",
		              HTTP_DEPTH_MAX);
	else
		good = true;
	if (good && has_job)
		n->job = bm_buf_take(&job);
	bm_buf_fini(&job);
	return good;
}

/* Before gigabytes come for it: is there such a job? False: replied. */
static bool has_its_job(struct serve_request *r, const char *job)
{
	struct serve_jobs jobs;

	if (job == NULL)
		return true;
	if (!serve_jobs_load(r, job, NULL, 0, &jobs))
		return false;
	serve_jobs_fini(&jobs);
	return true;
}

void serve_tus_create(struct serve_request *r)
{
	const char *length = serve_header(r, "Upload-Length"), *body = serve_header(r, "Content-Length");
	uint64_t most = r->srv->opt.max_upload_bytes;
	unsigned char raw[TUS_ID_BYTES];
	struct bm_buf id = {0};
	struct patch *p;
	int fd;

	if (!speaks_tus(r) || (p = patch_create(r)) == NULL)
		return;
	p->is_created = true;
	/* Who is not told would take the first piece of a file for the file. */
	if (serve_header(r, "Upload-Concat") != NULL || serve_header(r, "Upload-Defer-Length") != NULL) {
		serve_problem(
			r, 501,
			"this service has no concatenation and no deferred length: Tus-Extension lists what it has");
		return;
	}
	if (length == NULL || !http_number(length, &p->note.length) || p->note.length > INT64_MAX) {
		serve_problem(r, 400, "Upload-Length has to be there, and a number of bytes");
		return;
	}
	if (most > 0 && p->note.length > most) {
		serve_problem(r, 413, "the file is too large; allowed: %" PRIu64 " bytes", most);
		return;
	}
	if (!take_metadata(r, &p->note))
		return;
	if (!has_its_job(r, p->note.job))
		return;
	if (RAND_bytes(raw, sizeof(raw)) != 1) {
		serve_problem(r, 500, "no random numbers can be had");
		return;
	}
	bm_hex_put(&id, raw, sizeof(raw));
	snprintf(p->id, sizeof(p->id), "%s", id.oom ? "" : id.data);
	bm_buf_fini(&id);
	fd = tus_is_id(p->id) ? tus_file_open(r->srv->tus_fd, p->id, p->note.path.data, true) : -1;
	if (fd < 0) {
		serve_problem(r, errno == ENOSPC || errno == EDQUOT ? 507 : 500, "cannot make the upload: %s",
		              strerror(errno));
		return;
	}
	close(fd);
	if (!keep_note(r, p->id, &p->note) || !open_locked(r, p))
		return;
	if ((body != NULL && strcmp(body, "0") != 0) || serve_header(r, "Transfer-Encoding") != NULL)
		(void)begin_body(r, p);
}

void serve_tus_patch(struct serve_request *r)
{
	const char *text = serve_header(r, "Upload-Offset");
	uint64_t offset;
	struct patch *p;

	if (!speaks_tus(r) || (p = patch_create(r)) == NULL || !find(r, &p->note))
		return;
	memcpy(p->id, r->tail.data, TUS_ID_TEXT);
	if (text == NULL || !http_number(text, &offset)) {
		serve_problem(r, 400, "Upload-Offset has to be there, and a number of bytes");
		return;
	}
	if (p->note.is_done) {
		if (offset == p->note.length)
			p->begin = p->offset = p->note.length; /* once more, since the answer was lost */
		else
			serve_problem(r, 409, "the upload is complete");
		return;
	}
	if (!open_locked(r, p))
		return;
	if (offset != p->offset) {
		serve_problem(r, 409, "the upload is at %" PRIu64 ", not at Upload-Offset", p->offset);
		return;
	}
	(void)begin_body(r, p);
}

void serve_tus_end(struct serve_request *r)
{
	struct patch *p = r->state;

	if (p->note.is_done && p->upload == NULL)
		reply_offset(r, p);
	else
		end_body(r, p);
}

void serve_tus_head(struct serve_request *r)
{
	struct tus_note n = {0};
	struct stat st;
	int fd;

	if (!speaks_tus(r) || !find(r, &n))
		return;
	fd = n.is_done ? -1 : tus_file_open(r->srv->tus_fd, r->tail.data, n.path.data, false);
	if (n.is_done || (fd >= 0 && fstat(fd, &st) == 0)) {
		serve_add_header(r, "Cache-Control", "no-store");
		add_number(r, "Upload-Offset", n.is_done ? n.length : (uint64_t)st.st_size);
		add_number(r, "Upload-Length", n.length);
		add_expiry(r);
		serve_reply_empty(r, 200);
	} else {
		serve_problem(r, 410, "the file of this upload is not there any more");
	}
	if (fd >= 0)
		close(fd);
	tus_note_fini(&n);
}

void serve_tus_delete(struct serve_request *r)
{
	struct patch *p;

	if (!speaks_tus(r) || (p = patch_create(r)) == NULL || !find(r, &p->note))
		return;
	memcpy(p->id, r->tail.data, TUS_ID_TEXT);
	if (!p->note.is_done && !open_locked(r, p))
		return;
	tus_remove(r->srv->tus_fd, p->id);
	serve_reply_empty(r, 204);
}
