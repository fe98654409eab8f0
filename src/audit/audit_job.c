/*
 * audit_job.c - the job of an audit: read a directory, verify it against a manifest.
 *
 * A part of the directory is asked for by names, and the read step knows patterns: so each name becomes two, for the file
 * itself and for all that is below it, with every character that means something quoted.
 */
#include "bm_audit.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_template.h"
#include "bm_text.h"

enum bm_status bm_audit_parse_verdicts(const char *text, unsigned allowed, unsigned *bits, struct bm_error *err)
{
	const char *names[BM_VERDICT_COUNT + 1];
	struct bm_buf list = {0};
	enum bm_status status = BM_OK;
	size_t count = 0;

	*bits = 0;
	for (int v = BM_VERDICT_OK; v < BM_VERDICT_COUNT; v++)
		if ((allowed & BM_AUDIT_BIT(v)) != 0)
			names[count++] = bm_verdict_text((enum bm_verdict)v);
	names[count] = NULL;
	for (size_t i = 0; i < count; i++)
		bm_buf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	for (const char *p = text; status == BM_OK; p++) {
		size_t len = strcspn(p, ",");
		char word[64], shown[80];
		int found = 0;

		for (int v = BM_VERDICT_OK; v < BM_VERDICT_COUNT; v++) {
			const char *name = bm_verdict_text((enum bm_verdict)v);

			if (strlen(name) == len && memcmp(name, p, len) == 0 && (allowed & BM_AUDIT_BIT(v)) != 0)
				found = v;
		}
		*bits |= BM_AUDIT_BIT(found);
		if (found == 0) {
			const char *near;

			snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), p);
			near = bm_suggest(word, names);
			status = bm_error_set(err, BM_ERR_USAGE, NULL, "\"%s\" is none of the verdicts here: %s%s%s%s",
			                      bm_escape_display_buf(shown, sizeof(shown), p, len),
			                      list.oom ? "?" : list.data, near != NULL ? " (did you mean \"" : "",
			                      near != NULL ? near : "", near != NULL ? "\"?)" : "");
		}
		p += len;
		if (*p == '\0')
			break;
	}
	bm_buf_fini(&list);
	return status;
}

/* A pattern for this very path and nothing else. */
static void put_quoted(struct bm_buf *out, const char *path, size_t len)
{
	bm_buf_putc(out, '/'); /* from the root on */
	for (size_t i = 0; i < len; i++) {
		if (strchr("*?[]\\", path[i]) != NULL)
			bm_buf_putc(out, '\\');
		bm_buf_putc(out, path[i]);
	}
}

static bool add_under(struct bm_strings *include, const char *path)
{
	struct bm_buf b = {0};
	size_t len;
	bool ok;

	while (path[0] == '.' && path[1] == '/') {
		path += 2;
		path += strspn(path, "/");
	}
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (len == 0 || (len == 1 && path[0] == '.'))
		return bm_strings_add(include, "**");
	put_quoted(&b, path, len);
	ok = !b.oom && bm_strings_add(include, b.data);
	bm_buf_puts(&b, "/**");
	ok = ok && !b.oom && bm_strings_add(include, b.data);
	bm_buf_fini(&b);
	return ok;
}

static bool set_text(char **to, const char *text)
{
	if (text != NULL)
		*to = bm_memdup0(text, strlen(text));
	return text == NULL || *to != NULL;
}

char *bm_audit_root(const struct bm_audit_options *o)
{
	const char *slash = strrchr(o->manifest, '/');

	if (o->root != NULL)
		return bm_memdup0(o->root, strlen(o->root));
	if (slash == NULL)
		return bm_memdup0(".", 1);
	return bm_memdup0(o->manifest, slash == o->manifest ? 1 : (size_t)(slash - o->manifest));
}

static bool fill_read(struct bm_read_params *p, const struct bm_audit_options *o)
{
	char *root = bm_audit_root(o);
	bool ok = root != NULL && bm_strings_add(&p->from, root);

	free(root);
	for (size_t i = 0; i < o->under_count && ok; i++)
		ok = add_under(&p->include, o->under[i]);
	for (size_t i = 0; i < o->include_count && ok; i++)
		ok = bm_strings_add(&p->include, o->include[i]);
	for (size_t i = 0; i < o->exclude_count && ok; i++)
		ok = bm_strings_add(&p->exclude, o->exclude[i]);
	p->hidden = !o->no_hidden;
	p->follow_symlinks = o->follow;
	p->one_filesystem = o->one_file_system;
	p->literal = true;
	return ok;
}

static bool fill_verify(struct bm_verify_params *p, const struct bm_audit_options *o)
{
	p->manifest = strcmp(o->manifest, "-") == 0 ? bm_memdup0("-", 1) : bm_template_of_path(o->manifest);
	p->format = (int)o->kind;
	p->report_new = !o->ignore_new;
	p->report_missing = !o->ignore_missing;
	p->always_read = o->always_read;
	p->strict = o->strict;
	p->allow_unsafe = o->allow_unsafe;
	p->max_duration.is_set = o->has_max_duration;
	p->max_duration.ms = o->max_duration_ms;
	p->on_bad_line = o->on_bad_line;
	p->ctx = o->ctx;
	p->known = o->known;
	return p->manifest != NULL && set_text(&p->algorithm, o->algorithm) && set_text(&p->strip, o->strip);
}

struct bm_job *bm_audit_job(const struct bm_audit_options *o)
{
	struct bm_job *job = bm_job_create("audit");
	union bm_step_params *p = job != NULL ? bm_job_add_step(job, "read") : NULL;
	bool ok = p != NULL && fill_read(&p->read, o);

	p = ok ? bm_job_add_step(job, "verify") : NULL;
	ok = p != NULL && fill_verify(&p->verify, o);
	if (ok)
		return job;
	bm_job_destroy(job);
	return NULL;
}

struct bm_job *bm_audit_list_job(const struct bm_audit_options *o)
{
	struct bm_job *job = bm_job_create("check");
	union bm_step_params *p = job != NULL ? bm_job_add_step(job, "read") : NULL;
	bool ok = p != NULL && bm_strings_add(&p->read.from, ".");

	if (ok) {
		p->read.literal = true;
		p->read.nothing = true;
	}
	p = ok ? bm_job_add_step(job, "verify") : NULL;
	ok = p != NULL && fill_verify(&p->verify, o);
	if (ok) {
		p->verify.is_list = true;
		p->verify.is_nul = o->nul;
		p->verify.allow_unsafe = true;
		p->verify.report_missing = true;
		return job;
	}
	bm_job_destroy(job);
	return NULL;
}
