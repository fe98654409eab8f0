/*
 * runs_store.c - a record a file. It is written to a name of its own and renamed, with an fsync between, so that a
 * record is whole or the one before; ids are the engine's, of letters, digits and a few marks, and are checked before
 * they become names.
 */
#include "runs_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_json.h"
#include "bm_text.h"

#define SUFFIX ".json"
#define PATH_BYTES 4096

const char *const serve_run_state_names[] = {"queued", "running", "done", "failed", "cancelled", "interrupted", NULL};

void serve_record_fini(struct serve_record *r)
{
	free(r->id);
	free(r->job);
	free(r->request);
	free(r->error);
	memset(r, 0, sizeof(*r));
}

static void put_time(struct bm_buf *out, const char *key, int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	if (ms == 0 || gmtime_r(&t, &tm) == NULL)
		return;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	bm_buf_printf(out, ",\"%s\":\"%s.%03dZ\"", key, text, (int)(ms % 1000));
}

void serve_record_put(struct bm_buf *out, const struct serve_record *r)
{
	bm_buf_puts(out, "\"id\":");
	bm_json_put_string(out, r->id, strlen(r->id));
	bm_buf_puts(out, ",\"job\":");
	bm_json_put_string(out, r->job, strlen(r->job));
	bm_buf_printf(out, ",\"state\":\"%s\"", serve_run_state_names[r->state]);
	put_time(out, "queued", r->queued_ms);
	put_time(out, "started", r->started_ms);
	put_time(out, "ended", r->ended_ms);
	bm_buf_printf(out,
	              ",\"files_done\":%" PRIu64 ",\"files_failed\":%" PRIu64 ",\"files_skipped\":%" PRIu64
	              ",\"bytes_read\":%" PRIu64 ",\"bytes_written\":%" PRIu64,
	              r->files_done, r->files_failed, r->files_skipped, r->bytes_read, r->bytes_written);
	if (r->error != NULL) {
		bm_buf_puts(out, ",\"error\":");
		bm_json_put_string(out, r->error, strlen(r->error));
	}
}

static bool is_id(const char *id)
{
	size_t len = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

	return len > 0 && len < 200 && id[len] == '\0' && id[0] != '.';
}

static bool make_path(char out[static PATH_BYTES], const char *dir, const char *id, const char *suffix)
{
	return is_id(id) && snprintf(out, PATH_BYTES, "%s/%s%s", dir, id, suffix) < PATH_BYTES;
}

enum bm_status serve_store_write(const char *dir, const struct serve_record *r, struct bm_error *err)
{
	char path[PATH_BYTES], temp[PATH_BYTES];
	struct bm_buf b = {0};
	enum bm_status status = BM_OK;
	int fd = -1;

	bm_buf_putc(&b, '{');
	serve_record_put(&b, r);
	bm_buf_printf(&b, ",\"on_record\":%s", r->on_record ? "true" : "false");
	bm_buf_printf(&b, ",\"ms\":[%" PRId64 ",%" PRId64 ",%" PRId64 "],\"request\":%s}\n", r->queued_ms,
	              r->started_ms, r->ended_ms, r->request);
	if (b.oom || !make_path(path, dir, r->id, SUFFIX) || !make_path(temp, dir, r->id, ".new"))
		status = bm_error_set_nomem(err);
	if (status == BM_OK) {
		fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len || fsync(fd) != 0 || rename(temp, path) != 0)
			status = bm_error_set_errno(err, errno, dir, "cannot keep the record of a run");
	}
	if (fd >= 0)
		close(fd);
	bm_buf_fini(&b);
	return status;
}

static void no_fault(void *ctx, struct bm_json_place at, const char *pointer, const char *text)
{
	(void)ctx;
	(void)at;
	(void)pointer;
	(void)text;
}

static char *copy_string(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? strdup(json_string_value(v)) : NULL;
}

static uint64_t number_of(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static bool read_record(const char *path, struct serve_record *r)
{
	char *text = NULL, *state = NULL;
	size_t len = 0;
	json_t *o = NULL, *ms;
	bool good = false;

	memset(r, 0, sizeof(*r));
	if (bm_json_read_file(path, &text, &len, NULL) != BM_OK ||
	    (o = bm_json_parse(text, len, no_fault, NULL)) == NULL)
		goto out;
	r->id = copy_string(o, "id");
	r->job = copy_string(o, "job");
	r->error = copy_string(o, "error");
	r->request = json_dumps(json_object_get(o, "request"), JSON_COMPACT);
	state = copy_string(o, "state");
	for (int i = 0; state != NULL && i < SERVE_RUN_STATES; i++)
		if (strcmp(state, serve_run_state_names[i]) == 0) {
			r->state = (enum serve_run_state)i;
			good = true;
		}
	ms = json_object_get(o, "ms");
	r->queued_ms = json_integer_value(json_array_get(ms, 0));
	r->started_ms = json_integer_value(json_array_get(ms, 1));
	r->ended_ms = json_integer_value(json_array_get(ms, 2));
	r->files_done = number_of(o, "files_done");
	r->files_failed = number_of(o, "files_failed");
	r->files_skipped = number_of(o, "files_skipped");
	r->bytes_read = number_of(o, "bytes_read");
	r->bytes_written = number_of(o, "bytes_written");
	r->on_record = json_is_true(json_object_get(o, "on_record"));
	good = good && r->id != NULL && is_id(r->id) && r->job != NULL && r->request != NULL;
out:
	json_decref(o);
	free(state);
	free(text);
	if (!good)
		serve_record_fini(r);
	return good;
}

static int is_record(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > strlen(SUFFIX) && strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX) == 0;
}

enum bm_status serve_store_load(const char *dir, void (*each)(void *ctx, struct serve_record *r), void *ctx,
                                unsigned *bad, struct bm_error *err)
{
	struct dirent **list = NULL;
	char path[PATH_BYTES];
	int count = scandir(dir, &list, is_record, alphasort);

	*bad = 0;
	if (count < 0)
		return bm_error_set_errno(err, errno, dir, "cannot read the records of runs");
	for (int i = 0; i < count; i++) {
		struct serve_record r;

		if (snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name) < (int)sizeof(path) &&
		    read_record(path, &r))
			each(ctx, &r);
		else
			(*bad)++;
		free(list[i]);
	}
	free(list);
	return BM_OK;
}

void serve_store_remove(const char *dir, const char *id)
{
	char path[PATH_BYTES];

	if (make_path(path, dir, id, SUFFIX))
		(void)unlink(path);
	if (make_path(path, dir, id, ".jsonl"))
		(void)unlink(path);
}

int serve_store_open_report(const char *dir, const char *id, int flags)
{
	char path[PATH_BYTES];

	if (!make_path(path, dir, id, ".jsonl")) {
		errno = ENOENT;
		return -1;
	}
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}
