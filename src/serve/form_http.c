/*
 * form_http.c - POST /v1/files: the files of an HTML form, each into an upload of its own, one after the other.
 *
 * A file goes to the inbox under the last component of the name that the browser gives it, below ?dir=; fields that
 * are no files are passed over, and so are file fields that were left empty. Each is published when it is complete, so
 * that of a form that ends early, or has a file that fails, those before are there: the answer lists them in any case.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "form.h"
#include "upload.h"

#define FILES_MAX 10000

struct form {
	struct serve_request *r;
	struct form_parser parser;
	struct bm_buf dir; /* with '/' at its end, or empty */
	struct bm_buf job;
	bool has_job;
	struct upload *upload; /* of the file at hand */
	uint64_t bytes;
	bool is_ending;      /* it is complete; its run perhaps not */
	struct bm_buf files; /* JSON objects, with commas between them */
	size_t count;
	unsigned status; /* of the first that failed; 0: none */
	struct bm_buf detail;
	struct bm_buf names; /* a hash of 8 bytes of each path there was */
};

/* Was there a file of this path in the form? (FNV-1a: who finds two that are taken for one sends them in two forms.) */
static bool is_twice(struct form *f, const struct bm_buf *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < path->len; i++)
		hash = (hash ^ (unsigned char)path->data[i]) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < f->names.len; i += sizeof(hash))
		if (memcmp(f->names.data + i, &hash, sizeof(hash)) == 0)
			return true;
	bm_buf_put(&f->names, &hash, sizeof(hash));
	return false;
}

static void form_done(void *state, bool good)
{
	struct form *f = state;

	(void)good;
	serve_upload_drop(f->upload);
	form_fini(&f->parser);
	bm_buf_fini(&f->dir);
	bm_buf_fini(&f->job);
	bm_buf_fini(&f->files);
	bm_buf_fini(&f->detail);
	bm_buf_fini(&f->names);
	free(f);
}

static void refuse(struct form *f, unsigned status, const char *text)
{
	if (f->status != 0)
		return;
	f->status = status;
	bm_buf_puts(&f->detail, text);
}

static bool on_begin(void *ctx, const struct bm_buf *name, const struct bm_buf *filename)
{
	struct form *f = ctx;
	struct bm_buf path = {0};
	bool good = true;
	size_t last = 0;

	(void)name;
	f->bytes = 0;
	if (filename == NULL || filename->len == 0 || f->status != 0)
		return true; /* its bytes are dropped */
	for (size_t i = 0; i < filename->len; i++)
		if (filename->data[i] == '/' || filename->data[i] == '\\')
			last = i + 1;
	if (f->dir.len > 0)
		bm_buf_put(&path, f->dir.data, f->dir.len);
	bm_buf_put(&path, filename->data + last, filename->len - last);
	if (path.oom || ++f->count > FILES_MAX) {
		refuse(f, 413, "there are too many files in one form");
	} else if (http_path_check(path.data, path.len) != HTTP_PATH_GOOD) {
		refuse(f, 400, "the name of a file in the form is none for the inbox");
	} else if (is_twice(f, &path)) {
		refuse(f, 409, "two files of the form have the same name, and one would replace the other");
	} else {
		f->upload = serve_upload_create(f->r, path.data, path.len, f->has_job ? f->job.data : NULL);
		if (f->upload != NULL && !serve_upload_start(f->r, f->upload, NULL)) {
			serve_upload_drop(f->upload);
			f->upload = NULL;
		}
		good = f->upload != NULL; /* else there is an answer */
	}
	bm_buf_fini(&path);
	return good;
}

static size_t on_data(void *ctx, const char *data, size_t len)
{
	struct form *f = ctx;
	uint64_t most = f->r->srv->opt.max_upload_bytes;
	size_t n;

	if (f->upload == NULL)
		return len;
	n = serve_upload_put(f->upload, data, len);
	serve_count(f->r->srv, SERVE_COUNT_UPLOAD_BYTES, n);
	f->bytes += n;
	if (most > 0 && f->bytes > most) {
		struct bm_error err = BM_ERROR_INIT;

		(void)bm_error_set(&err, BM_ERR_LIMIT, NULL, "a file in the form is too large");
		serve_upload_finish(f->upload, &err);
	}
	return n;
}

static bool on_end(void *ctx)
{
	struct form *f = ctx;

	if (f->upload == NULL)
		return true;
	serve_upload_finish(f->upload, NULL);
	f->is_ending = true;
	return false;
}

/* False: the connection is suspended until the run of the file at hand is over. */
static bool settle(struct form *f)
{
	const struct bm_error *err;

	if (!f->is_ending)
		return true;
	if (!serve_upload_wait(f->upload))
		return false;
	err = serve_upload_error(f->upload);
	if (err->status == BM_OK) {
		bm_buf_puts(&f->files, f->files.len > 0 ? "," : "");
		serve_upload_put_result(f->upload, &f->files);
		serve_count(f->r->srv, SERVE_COUNT_UPLOADS, 1);
	} else {
		refuse(f, err->status == BM_ERR_EXISTS ? 412 : serve_status_of(err), err->text);
	}
	serve_upload_drop(f->upload);
	f->upload = NULL;
	f->is_ending = false;
	return true;
}

void serve_form_begin(struct serve_request *r)
{
	const char *type = serve_header(r, "Content-Type");
	struct form_handler h = {on_begin, on_data, on_end, NULL};
	struct form *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		serve_problem(r, 503, "out of memory");
		return;
	}
	r->state = f;
	r->state_done = form_done;
	f->r = r;
	h.ctx = f;
	if (serve_query(r, "dir", &f->dir)) {
		if (http_path_check(f->dir.data, f->dir.len) != HTTP_PATH_GOOD)
			serve_problem(r, 400, "dir is no path of a directory below the inbox");
		bm_buf_putc(&f->dir, '/');
	}
	f->has_job = serve_query(r, "job", &f->job);
	if (!r->is_replied && (type == NULL || !form_init(&f->parser, type, &h)))
		serve_problem(r, 415,
		              "a form comes as multipart/form-data, with a boundary; one file goes to /v1/files/PATH");
}

void serve_form_data(struct serve_request *r, const char *data, size_t *len)
{
	struct form *f = r->state;

	while (*len > 0 && !r->is_cut) {
		size_t n;

		if (!settle(f))
			return;
		n = form_feed(&f->parser, data, *len);
		data += n;
		*len -= n;
		if (f->parser.state == FORM_BAD) {
			/* No answer can be given before the body is over: what is left of it is dropped. */
			refuse(f, 400, "the form is not multipart/form-data as it should be");
			*len = 0;
		} else if (n == 0 && !f->is_ending) {
			return; /* suspended, since there is no room */
		}
	}
}

void serve_form_end(struct serve_request *r)
{
	struct form *f = r->state;
	struct bm_buf b = {0};

	if (!settle(f))
		return;
	if (!form_is_whole(&f->parser))
		refuse(f, 400, "the form ends before its last boundary");
	if (f->status == 0 && f->count == 0)
		refuse(f, 400, "there is no file in the form");
	bm_buf_printf(&b, "%s\"files\":[%s]", f->status != 0 ? "," : "{",
	              f->files.data != NULL && !f->files.oom ? f->files.data : "");
	if (f->status != 0) {
		serve_problem_with(r, f->status, b.oom ? NULL : b.data, f->detail.oom ? "" : f->detail.data);
		bm_buf_fini(&b);
		return;
	}
	bm_buf_puts(&b, "}\n");
	serve_reply_json(r, 201, &b);
}
