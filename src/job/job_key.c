/*
 * job_key.c - see job_key.h.
 *
 * THE KEY is a SHA-256 of the job's name, its chunk size, and of every step after read: its kind and all of its options, as
 * the table of steps has them. Two texts of a job file that say the same are the same job; with another level, recipient or
 * target it is another one, which has done nothing yet. What only says how fast, how gently or with how much memory is not
 * in it, nor is the read step: which files are taken decides nothing about what becomes of each of them, so that a job
 * whose patterns were changed keeps what it has done. (A record is of an input's real path, and of the outputs where they
 * were put: a date in a path that is another one today is seen there.)
 *
 * Files that hold keys are in it as what stat(2) says of them: their bytes do not belong into a database, not even as a
 * digest, since a passphrase can be guessed from that.
 *
 * INDIVISIBLE are jobs of which one input's part cannot be left out: what is joined or appended needs all bytes again,
 * what is verified is to be read, and standard output starts from nothing each time.
 */
#include "job_key.h"

#include <string.h>
#include <sys/stat.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_plan.h"
#include "bm_url.h"

void job_key_put_path(struct bm_buf *out, const char *cwd, const char *path)
{
	const size_t start = out->len;

	if (path[0] == '/') {
		bm_buf_puts(out, path);
		return;
	}
	bm_buf_puts(out, cwd);
	for (const char *p = path; *p != '\0' && !out->oom;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			while (out->len > start && out->data[--out->len] != '/')
				;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (out->len == start || out->data[out->len - 1] != '/')
				bm_buf_putc(out, '/');
			bm_buf_put(out, p, n);
		}
		p += n + (p[n] == '/');
	}
}

static void put_text(struct bm_buf *out, const char *text)
{
	bm_buf_putc(out, text != NULL ? 1 : 0);
	if (text != NULL)
		bm_buf_put(out, text, strlen(text) + 1);
}

static void put_strings(struct bm_buf *out, const struct bm_strings *s)
{
	bm_buf_put_u64(out, s->count);
	for (size_t i = 0; i < s->count; i++)
		put_text(out, s->items[i]);
}

static void put_path(struct bm_buf *out, const char *cwd, const char *path)
{
	bm_buf_putc(out, path != NULL ? 1 : 0);
	if (path == NULL)
		return;
	if (strcmp(path, "-") == 0 || bm_url_is(path))
		bm_buf_puts(out, path);
	else
		job_key_put_path(out, cwd, path);
	bm_buf_putc(out, '\0');
}

/* Which file it is now, and of when. */
static void put_secret(struct bm_buf *out, const char *path)
{
	struct stat st = {0};

	if (path != NULL && stat(path, &st) == 0) {
		bm_buf_put_u64(out, (uint64_t)st.st_ino);
		bm_buf_put_u64(out, (uint64_t)st.st_size);
		bm_buf_put_u64(out, (uint64_t)st.st_mtim.tv_sec);
		bm_buf_put_u64(out, (uint64_t)st.st_mtim.tv_nsec);
	}
}

static void put_option(struct bm_buf *out, const char *cwd, const struct bm_option *o, const void *params)
{
	const void *field = (const char *)params + o->offset;

	switch (o->type) {
	case BM_OPTION_STRING:
	case BM_OPTION_NAME:
		put_text(out, *(char *const *)field);
		break;
	case BM_OPTION_PATH:
	case BM_OPTION_TEMPLATE:
		put_path(out, cwd, *(char *const *)field);
		if (o->secret)
			put_secret(out, *(char *const *)field);
		break;
	case BM_OPTION_PATHS:
	case BM_OPTION_FILES: {
		const struct bm_strings *s = field;

		bm_buf_put_u64(out, s->count);
		for (size_t i = 0; i < s->count; i++) {
			put_path(out, cwd, s->items[i]);
			if (o->secret)
				put_secret(out, s->items[i]);
		}
		break;
	}
	case BM_OPTION_GLOBS:
	case BM_OPTION_STRINGS:
		put_strings(out, field);
		break;
	case BM_OPTION_INTEGER:
		bm_buf_put_u64(out, (uint64_t) * (const int64_t *)field);
		break;
	case BM_OPTION_SIZE:
		bm_buf_put_u64(out, *(const uint64_t *)field);
		break;
	case BM_OPTION_DURATION:
		bm_buf_putc(out, ((const struct bm_optional_ms *)field)->is_set ? 1 : 0);
		bm_buf_put_u64(out, ((const struct bm_optional_ms *)field)->ms);
		break;
	case BM_OPTION_BOOL:
		bm_buf_putc(out, *(const bool *)field ? 1 : 0);
		break;
	case BM_OPTION_ENUM:
		bm_buf_put_u64(out, (uint64_t) * (const int *)field);
		break;
	case BM_OPTION_ENUMS: {
		const struct bm_enum_list *l = field;

		bm_buf_put_u64(out, l->count);
		for (size_t i = 0; i < l->count; i++)
			bm_buf_put_u64(out, (uint64_t)l->items[i]);
		break;
	}
	case BM_OPTION_OBJECT:
		bm_buf_putc(out, *(const bool *)field ? 1 : 0);
		for (size_t i = 0; i < o->field_count; i++)
			put_option(out, cwd, &o->fields[i], params);
		break;
	case BM_OPTION_OBJECTS: {
		const struct bm_objects *l = field;

		bm_buf_put_u64(out, l->count);
		for (size_t k = 0; k < l->count; k++)
			for (size_t i = 0; i < o->field_count; i++)
				put_option(out, cwd, &o->fields[i], (const char *)l->items + k * o->item_size);
		break;
	}
	}
}

enum bm_status job_key(const struct bm_job *job, const char *cwd, uint8_t out[static JOB_KEY_BYTES],
                       struct bm_error *err)
{
	uint8_t digest[BM_DIGEST_MAX_BYTES];
	struct bm_digest *d = NULL;
	struct bm_buf b = {0};
	enum bm_status status = bm_digest_create(bm_digest_find("sha256"), &d, err);

	put_text(&b, job->p.name);
	bm_buf_put_u64(&b, job->p.chunk);
	for (size_t i = 1; i < job->step_count; i++) {
		const struct bm_step_kind *kind = job->steps[i].kind;

		put_text(&b, kind->name);
		for (size_t k = 0; k < kind->option_count; k++) {
			put_text(&b, kind->options[k].name);
			put_option(&b, cwd, &kind->options[k], &job->steps[i].p);
		}
	}
	if (status == BM_OK && b.oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = bm_digest_update(d, b.data, b.len, err);
	if (status == BM_OK)
		status = bm_digest_finish(d, digest, err);
	if (status == BM_OK)
		memcpy(out, digest, JOB_KEY_BYTES);
	bm_digest_destroy(d);
	bm_buf_fini(&b);
	return status;
}

static const char *fault_of(const struct bm_step *s)
{
	if (s->kind->ops == &bm_write_ops) {
		if (s->p.write.to != NULL && strcmp(s->p.write.to, "-") == 0) /* NULL: a fault that was told */
			return "goes to standard output";
		if (s->p.write.combine)
			return "joins all inputs into one output";
		if (s->p.write.if_exists == BM_EXISTS_APPEND)
			return "appends to its outputs";
	} else if (s->kind->ops == &bm_hash_ops && s->p.hash.blocks > 0) {
		return "has digests of blocks";
	} else if (s->kind->ops->expect != NULL) {
		return "has to read the files";
	}
	return NULL;
}

bool job_is_indivisible(const struct bm_job *job, struct bm_buf *why)
{
	for (size_t i = 1; i < job->step_count; i++) {
		const char *fault = fault_of(&job->steps[i]);

		if (fault == NULL)
			continue;
		bm_buf_printf(why, "step %zu (%s) %s", i, job->steps[i].kind->name, fault);
		return true;
	}
	return false;
}
