/*
 * The set of jobs behind the public API: what is added to it, in which state it is.
 *
 * Adding a file reads, checks and keeps its jobs, faults or not; what lies between jobs of any files is looked at once,
 * by bm_jobs_check, which may be called after a file that had faults so that all faults come out in one go. It ends
 * with is_checked only where nothing was wrong in any of them, and only such a set can be run. The texts are kept until
 * then, because faults found late want a line number too.
 */
#include "job_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_json.h"
#include "bm_text.h"
#include "bm_url.h"

const char *bm_version(void)
{
	return BM_VERSION_STRING;
}

enum bm_status bm_jobs_create(const struct bm_jobs_options *opt, struct bm_jobs **out, struct bm_error *err)
{
	struct job_set *set;

	*out = NULL;
	for (size_t i = 0; opt != NULL && i < opt->set_count; i++) {
		char shown[100];

		if (!job_set_valid(opt->sets[i]))
			return bm_error_set(
				err, BM_ERR_USAGE,
				bm_escape_display_buf(shown, sizeof(shown), opt->sets[i], strlen(opt->sets[i])),
				"not of the form NAME=VALUE with a name of letters, digits and \"_\"");
	}
	set = calloc(1, sizeof(*set));
	if (set == NULL)
		return bm_error_set_nomem(err);
	if (opt != NULL)
		set->pub.opt = *opt;
	*out = &set->pub;
	return BM_OK;
}

static void source_destroy(struct job_source *s)
{
	if (s == NULL)
		return;
	free(s->file);
	free(s->text);
	free(s);
}

void bm_jobs_destroy(struct bm_jobs *jobs)
{
	struct job_set *set = jobs != NULL ? job_set_of(jobs) : NULL;

	if (set == NULL)
		return;
	for (size_t i = 0; i < jobs->count; i++)
		bm_job_destroy(jobs->jobs[i]);
	free(jobs->jobs);
	for (size_t i = 0; i < set->source_count; i++)
		source_destroy(set->sources[i]);
	free(set->sources);
	free(set);
}

static enum bm_status digest_text(struct job_source *s, struct bm_error *err)
{
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
	struct bm_digest *d = NULL;
	enum bm_status st = bm_digest_create(bm_digest_find("xxh128"), &d, err);

	if (st == BM_OK)
		st = bm_digest_update(d, s->text, s->len, err);
	if (st == BM_OK)
		st = bm_digest_finish(d, bytes, err);
	if (st == BM_OK)
		memcpy(s->digest, bytes, sizeof(s->digest));
	bm_digest_destroy(d);
	return st;
}

const uint8_t *bm_job_text_digest(const struct bm_job *job)
{
	/* Every struct bm_job is the first member of a node. */
	const struct job_node *n = (const struct job_node *)(const void *)job;

	return n->source != NULL ? n->source->digest : NULL;
}

/* Takes text over, also on failure. */
static enum bm_status add(struct job_set *set, const char *file, char *text, size_t len, const char *base,
                          struct bm_error *err)
{
	struct job_source *s = calloc(1, sizeof(*s));
	struct job_source **sources;
	struct job_report r;

	if (s == NULL) {
		free(text);
		return bm_error_set_nomem(err);
	}
	s->text = text;
	s->len = len;
	s->file = bm_memdup0(file, strlen(file));
	sources = bm_realloc_array(set->sources, set->source_count + 1, sizeof(struct job_source *));
	if (sources != NULL)
		set->sources = sources;
	if (s->text == NULL || s->file == NULL || sources == NULL) {
		source_destroy(s);
		set->is_faulty = true;
		return bm_error_set_nomem(err);
	}
	sources[set->source_count++] = s;
	if (digest_text(s, err) != BM_OK) {
		set->is_faulty = true;
		return err != NULL ? err->status : BM_ERR_NOMEM;
	}
	job_report_init(&r, set, s, s->file, err);
	job_parse(&r, base);
	return job_report_fini(&r);
}

static enum bm_status refuse_late(struct bm_error *err)
{
	return bm_error_set(err, BM_ERR_USAGE, NULL, "a set of jobs that has been checked takes no more jobs");
}

/* Appends why a job file could not be read, and what may have been meant: a directory, or the name without its ".json",
 * is what the shell completes. */
static void put_unreadable(struct bm_buf *out, const char *path, const struct bm_error *why)
{
	char shown[300];
	struct bm_buf file = {0};
	struct stat st;

	bm_buf_puts(out, why->text);
	if (strcmp(path, "-") == 0 || (why->sys_errno != ENOENT && why->sys_errno != EISDIR))
		return;
	bm_buf_printf(&file, "%s.json", path);
	if (!file.oom && stat(file.data, &st) == 0 && S_ISREG(st.st_mode))
		bm_buf_printf(out, " (did you mean \"%s\"?)",
		              bm_escape_display_buf(shown, sizeof(shown), file.data, file.len));
	else if (why->sys_errno == EISDIR)
		bm_buf_puts(out, "; a job file is wanted, which names the directory in its step read");
	else if (bm_url_is(path))
		bm_buf_puts(out, "; a job file is a file here, or standard input: curl URL | bytemill run -");
	bm_buf_fini(&file);
}

enum bm_status bm_jobs_add_file(struct bm_jobs *jobs, const char *path, struct bm_error *err)
{
	struct job_set *set = job_set_of(jobs);
	struct bm_error why = BM_ERROR_INIT;
	const char *slash = strrchr(path, '/');
	enum bm_status st = BM_OK;
	char *text = NULL;
	char *base = NULL;
	size_t len = 0;

	if (jobs->is_checked)
		return refuse_late(err);
	if (strcmp(path, "-") == 0)
		set->stdin_is_file = true;
	else if (slash != NULL)
		base = bm_memdup0(path, slash == path ? 1 : (size_t)(slash - path));
	if (slash != NULL && base == NULL) {
		st = bm_error_set_nomem(err);
		goto out;
	}
	st = bm_json_read_file(path, &text, &len, &why);
	if (st != BM_OK) {
		bool is_first = err != NULL && err->status == BM_OK;
		struct bm_buf message = {0};
		struct job_report r;

		/* Told like any other fault; only the status of running out of memory is another. */
		job_report_init(&r, set, NULL, path, err);
		put_unreadable(&message, path, &why);
		if (st == BM_ERR_NOMEM || message.oom)
			r.oom = true;
		else
			job_fault_at(&r, 0, 0, "", message.data);
		bm_buf_fini(&message);
		if (is_first && err->status == BM_ERR_USAGE)
			err->sys_errno = why.sys_errno;
		set->names_unknown = true;
		st = job_report_fini(&r);
		goto out;
	}
	st = add(set, path, text, len, base, err);
	text = NULL;
out:
	free(text);
	free(base);
	return st;
}

enum bm_status bm_jobs_add_text(struct bm_jobs *jobs, const char *name, const char *text, size_t len,
                                const char *base_dir, struct bm_error *err)
{
	if (jobs->is_checked)
		return refuse_late(err);
	if (len > BM_JSON_MAX_BYTES) {
		job_set_of(jobs)->is_faulty = true;
		return bm_error_set(err, BM_ERR_USAGE, name, "the text is larger than a job file may be (%zu bytes)",
		                    BM_JSON_MAX_BYTES);
	}
	return add(job_set_of(jobs), name, bm_memdup0(text, len), len, base_dir, err);
}

enum bm_status bm_jobs_check(struct bm_jobs *jobs, struct bm_error *err)
{
	struct job_set *set = job_set_of(jobs);
	enum bm_status st;

	if (jobs->is_checked)
		return BM_OK;
	st = job_check_set(set, err);
	if (st == BM_OK && set->is_faulty)
		st = bm_error_set(err, BM_ERR_USAGE, NULL, "a job file has faults");
	if (st != BM_OK)
		return st;
	for (size_t i = 0; i < set->source_count; i++) {
		free(set->sources[i]->text);
		set->sources[i]->text = NULL;
		set->sources[i]->len = 0;
	}
	jobs->is_checked = true;
	return BM_OK;
}

size_t bm_jobs_count(const struct bm_jobs *jobs)
{
	return jobs->count;
}
