/*
 * submit.c - whole job files that a client sends (--allow-submit DIR): all that they read and write has to lie below
 * those directories.
 *
 * The checked job is gone through by the table of steps: every option that is a path, of whatever step there is, is
 * confined, so that a new step cannot be forgotten. A path is confined if it has no "..", nothing that could become
 * one when its placeholders are filled in, and if the real path of what is there of it, up to its first placeholder or
 * wildcard, is a root or below one. What would make a job reach for something that is not named in it is refused as a
 * whole: commands (notify), lists of names (files_from), URLs (the service may reach servers that its client cannot), links
 * that are followed, manifests with unsafe names, standard input and output. The environment of the service is not looked into. A link below a root that somebody else
 * has put there is followed on writing, as it is for any job: the roots should be directories that only the service
 * writes to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_job.h"
#include "bm_text.h"
#include "bm_url.h"
#include "jobs_load.h"

static const char url_fault[] =
	"URLs are not for jobs that are submitted: they would be asked for in the service's name";

/* Could a component of the template be "." or ".." once its placeholders are filled in with what is none itself? */
static bool can_become_dots(const char *text)
{
	bool only_dots = true, any = false;

	for (const char *p = text;; p++) {
		if (*p == '/' || *p == '\0') {
			if (any && only_dots)
				return true;
			only_dots = true;
			any = false;
			if (*p == '\0')
				return false;
		} else if (*p == '{' && p[1] != '{') {
			size_t len = strcspn(p, "}");

			if (memchr(p, '.', len) != NULL || memchr(p, '/', len) != NULL || p[len] == '\0')
				return true; /* in the format of a date */
			p += len;
		} else {
			any = true;
			only_dots = only_dots && *p == '.';
		}
	}
}

/* The real path of the longest part of dir (absolute) that is there; malloc'd, or NULL. */
static char *real_ancestor(const char *dir, size_t len)
{
	char *text = bm_memdup0(dir, len), *real = NULL, *slash;

	while (text != NULL && (real = realpath(text[0] != '\0' ? text : "/", NULL)) == NULL && errno == ENOENT &&
	       (slash = strrchr(text, '/')) != NULL)
		*slash = '\0';
	free(text);
	return real;
}

static bool is_below_a_root(const struct bm_serve *s, const char *real)
{
	for (size_t i = 0; i < s->opt.submit_root_count; i++) {
		char *root = realpath(s->opt.submit_roots[i], NULL);
		size_t len = root != NULL ? strlen(root) : 0;
		bool below = root != NULL && (strcmp(root, "/") == 0 || (strncmp(real, root, len) == 0 &&
		                                                         (real[len] == '\0' || real[len] == '/')));

		free(root);
		if (below)
			return true;
	}
	return false;
}

static const char *path_fault(const struct bm_serve *s, const char *text)
{
	size_t literal = strcspn(text, "{*?[\\");
	bool is_whole = text[literal] == '\0';
	const char *slash;
	char *real;
	bool good;

	if (bm_url_is(text))
		return url_fault;
	if (text[0] != '/')
		return "standard input and output are not for jobs that are submitted";
	if (can_become_dots(text))
		return "has \"..\", or something that could become one";
	/* What is there of the whole, or of the directory that the first placeholder is in. */
	slash = memrchr(text, '/', literal);
	real = real_ancestor(text, is_whole ? literal : (size_t)(slash - text));
	good = real != NULL && is_below_a_root(s, real);
	free(real);
	return good ? NULL : "does not lie below a directory that submitted jobs may use";
}

static const char *option_fault(const struct bm_serve *s, const struct bm_option *o, const void *params)
{
	const void *field = (const char *)params + o->offset;
	const struct bm_strings *list = field;
	const char *text, *fault = NULL;

	switch (o->type) {
	case BM_OPTION_PATH:
	case BM_OPTION_TEMPLATE:
		text = *(char *const *)field;
		return text != NULL ? path_fault(s, text) : NULL;
	case BM_OPTION_PATHS:
	case BM_OPTION_FILES:
		for (size_t i = 0; i < list->count && fault == NULL; i++)
			fault = path_fault(s, list->items[i]);
		return fault;
	case BM_OPTION_OBJECT: /* http */
		return *(const bool *)field ? url_fault : NULL;
	case BM_OPTION_OBJECTS: /* urls */
		return ((const struct bm_objects *)field)->count > 0 ? url_fault : NULL;
	default:
		return NULL;
	}
}

static const char *step_fault(const struct bm_serve *s, const struct bm_step *step, const char **option)
{
	const char *kind = step->kind->name;

	*option = "files_from";
	if (strcmp(kind, "read") == 0 && step->p.read.files_from != NULL)
		return "a list of names may name anything";
	*option = "urls_from";
	if (strcmp(kind, "read") == 0 && step->p.read.urls_from != NULL)
		return url_fault;
	*option = "follow_symlinks";
	if (strcmp(kind, "read") == 0 && step->p.read.follow_symlinks)
		return "links may lead anywhere";
	*option = "allow_unsafe";
	if (strcmp(kind, "verify") == 0 && step->p.verify.allow_unsafe)
		return "names in a manifest may lead anywhere";
	for (size_t i = 0; i < step->kind->option_count; i++) {
		const char *fault = option_fault(s, &step->kind->options[i], &step->p);

		*option = step->kind->options[i].name;
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

static void add_fault(struct serve_jobs *j, const struct bm_job *job, size_t step, const char *option, const char *text)
{
	struct bm_buf at = {0};

	if (j->jobs->count > 1 || job->number > 0)
		bm_buf_printf(&at, "/jobs/%u", job->number);
	if (step > 0)
		bm_buf_printf(&at, "/steps/%zu", step - 1);
	bm_buf_printf(&at, "/%s", option);
	bm_buf_puts(&j->faults, j->fault_count++ > 0 ? ",{\"pointer\":" : "{\"pointer\":");
	bm_json_put_string(&j->faults, at.oom ? "" : at.data, at.oom ? 0 : at.len);
	bm_buf_puts(&j->faults, ",\"message\":");
	bm_json_put_string(&j->faults, text, strlen(text));
	bm_buf_putc(&j->faults, '}');
	bm_buf_fini(&at);
}

bool serve_jobs_confine(const struct bm_serve *s, struct serve_jobs *j)
{
	for (size_t i = 0; i < j->jobs->count; i++) {
		const struct bm_job *job = j->jobs->jobs[i];

		if (job->p.notify)
			add_fault(j, job, 0, "notify", "commands are not for jobs that are submitted");
		if (job->p.name[0] == '.' || strchr(job->p.name, '/') != NULL)
			add_fault(j, job, 0, "name",
			          "a name that begins with a dot, or has a slash, could be a part of a path");
		for (size_t k = 0; k < job->step_count; k++) {
			const char *option, *fault = step_fault(s, &job->steps[k], &option);

			if (fault != NULL)
				add_fault(j, job, k + 1, option, fault);
		}
	}
	return j->fault_count == 0;
}
