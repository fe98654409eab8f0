/*
 * ${NAME} in the strings of a job file.
 *
 * It is done on the C string that the JSON parser made, before the string is given any other meaning: a value may hold
 * a whole path with placeholders, a size or the name of an algorithm. Values are bytes; nothing asks for UTF-8, since
 * a path in the environment need not be. What was put in is not looked through again, so a value cannot pull in others.
 *
 *   ${NAME}   the value of --set NAME=..., else of the environment; neither: an error that names it
 *   $${       a literal ${
 *   $         anywhere else stands for itself
 */
#include "job_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bm_text.h"

static bool is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Length of the name at the start of text; 0: none is there. */
static size_t name_length(const char *text)
{
	size_t n = 0;

	if (!is_name_start(*text))
		return 0;
	while (is_name_start(text[n]) || (text[n] >= '0' && text[n] <= '9'))
		n++;
	return n <= JOB_MAX_NAME ? n : 0;
}

bool job_set_valid(const char *text)
{
	size_t n = name_length(text);

	return n > 0 && text[n] == '=';
}

/* The last one wins, as options on a command line do. */
static const char *look_up(const struct bm_jobs_options *opt, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = opt->set_count; i-- > 0;)
		if (strncmp(opt->sets[i], name, len) == 0 && opt->sets[i][len] == '=')
			return opt->sets[i] + len + 1;
	return opt->no_environment ? NULL : getenv(name);
}

static void fault_unset(struct job_report *r, const char *name)
{
	const struct bm_jobs_options *opt = &r->set->pub.opt;
	char **names = bm_calloc_array(opt->set_count + 1, sizeof(*names));
	const char *near = NULL;

	if (names == NULL) {
		r->oom = true;
		return;
	}
	for (size_t i = 0; i < opt->set_count; i++) {
		names[i] = bm_memdup0(opt->sets[i], name_length(opt->sets[i]));
		if (names[i] == NULL) {
			r->oom = true;
			goto out;
		}
	}
	near = bm_suggest(name, (const char *const *)names);
	job_fault(r, JOB_FAULT, near, "${%s} is not set: give --set %s=VALUE%s", name, name,
	          opt->no_environment ? "" : " or set it in the environment");
out:
	for (size_t i = 0; i < opt->set_count; i++)
		free(names[i]);
	free(names);
}

bool job_subst(struct job_report *r, const char *in, struct bm_buf *out)
{
	bool ok = true;

	while (*in != '\0') {
		char name[JOB_MAX_NAME + 1];
		const char *value;
		size_t n;

		if (strncmp(in, "$${", 3) == 0) {
			bm_buf_puts(out, "${");
			in += 3;
			continue;
		}
		if (strncmp(in, "${", 2) != 0) {
			n = 1 + strcspn(in + 1, "$");
			bm_buf_put(out, in, n);
			in += n;
			continue;
		}
		in += 2;
		n = name_length(in);
		if (n == 0 || in[n] != '}') {
			struct bm_buf shown = {0};

			/* No name can be told, so no end can be found either: the rest is left alone. */
			job_put_quoted(&shown, in - 2, strlen(in - 2));
			job_fault(r, JOB_FAULT, NULL,
			          "%s is not of the form ${NAME} with a name of letters, digits and \"_\"; write $${ "
			          "for a "
			          "plain ${",
			          shown.data != NULL ? shown.data : "");
			r->oom = r->oom || shown.oom;
			bm_buf_fini(&shown);
			return false;
		}
		memcpy(name, in, n);
		name[n] = '\0';
		in += n + 1;
		value = look_up(&r->set->pub.opt, name);
		if (value != NULL) {
			bm_buf_puts(out, value);
		} else {
			fault_unset(r, name);
			ok = false;
		}
	}
	if (out->oom)
		r->oom = true;
	return ok;
}
