/*
 * A string option's value, or each of a list of them.
 *
 * A string goes through these steps, in this order, whatever it means: ${NAME} is replaced; the text is checked for what
 * its type demands (a pattern that compiles, a template with allowed placeholders); a path is then taken relative to the
 * job file's directory. The check comes before the join, so that messages show what the user wrote.
 *
 * The join needs care because the directory of a job file is bytes, not template or pattern: a '{' in it is doubled for
 * a template; where it is put before a pattern, or holds pattern characters itself, the characters that a pattern
 * gives a meaning to are made plain ("[*]" rather than "\*", so that the whole is seen to be a pattern even where the
 * user's part is none).
 */
#include "parse_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bm_glob.h"
#include "bm_template.h"
#include "bm_url.h"

/* A path that can only be a directory: the mistake of everyone who knows cp. */
static bool names_directory(const char *path)
{
	const char *last = strrchr(path, '/');

	last = last != NULL ? last + 1 : path;
	return *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

/* Paths that are taken relative to the job file's directory. */
static bool is_path(const struct bm_option *o)
{
	return o->type == BM_OPTION_PATH || o->type == BM_OPTION_PATHS || o->type == BM_OPTION_FILES ||
	       o->type == BM_OPTION_TEMPLATE;
}

/* Where a URL may stand in the place of a path. */
static bool may_be_url(const struct bm_option *o)
{
	return o->type == BM_OPTION_PATHS || o->type == BM_OPTION_TEMPLATE;
}

static bool check_template(struct job_report *r, const struct bm_option *o, const char *text)
{
	struct bm_template *t = NULL;
	struct bm_error why = BM_ERROR_INIT;
	bool ok = bm_template_compile(text, o->placeholders, &t, &why) == BM_OK;

	if (!ok) {
		job_value_fault_why(r, o, &why);
	} else if (o->type == BM_OPTION_TEMPLATE && names_directory(text)) {
		job_fault(r, JOB_FAULT, NULL,
		          "%s names a directory; it must name a file: put %sa file name after the last \"/\"", o->name,
		          o->placeholders & BM_PH_PATH ? "{path} or " : "");
		ok = false;
	}
	bm_template_destroy(t);
	return ok;
}

static bool check_glob(struct job_report *r, const struct bm_option *o, const char *text)
{
	struct bm_glob *g = NULL;
	struct bm_error why = BM_ERROR_INIT;
	bool ok = bm_glob_compile(text, &g, &why) == BM_OK;

	if (!ok)
		job_value_fault_why(r, o, &why);
	bm_glob_destroy(g);
	return ok;
}

static bool check_no_secret(struct job_report *r, const struct bm_option *o, bool in_list, const char *text)
{
	if (job_find_secret(text, strlen(text)) == NULL)
		return true;
	job_fault(r, JOB_FAULT, NULL, "%s %s a secret key: " JOB_SECRET_ADVICE, o->name, in_list ? "holds" : "is");
	return false;
}

/* A path that begins as a URL of a kind that is not read here, or as a variable of the shell's. False on a fault. */
static bool check_no_habit(struct job_report *r, const struct bm_option *o, const char *text)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyz"), name = 0;
	struct bm_buf instead = {0};

	if (may_be_url(o) && !bm_url_is(text) && scheme > 0 && strncmp(text + scheme, "://", 3) == 0) {
		job_fault(r, JOB_FAULT, NULL,
		          "%s is a URL that begins with %.*s://; allowed: http://, https://, s3:// and paths, of which "
		          "one that really begins so is written \"./%.*s://...\"",
		          o->name, (int)(scheme < 16 ? scheme : 16), text, (int)(scheme < 16 ? scheme : 16), text);
		return false;
	}
	while (text[0] == '$' && (isalpha((unsigned char)text[1]) || text[1] == '_') &&
	       (isalnum((unsigned char)text[name + 1]) || text[name + 1] == '_'))
		name++;
	if (name == 0)
		return true;
	bm_buf_printf(&instead, "${%.*s}", (int)name, text + 1);
	if (instead.oom)
		r->oom = true;
	else
		job_fault(r, JOB_WARNING, instead.data,
		          "%s begins with \"$%.*s\", which is not replaced without braces: this is a directory of that "
		          "name",
		          o->name, (int)name, text + 1);
	bm_buf_fini(&instead);
	return true;
}

/* What a type demands of a string. from_file: it is a job file's, where paths may be patterns and ~ is a mistake. */
bool job_text_check(struct job_report *r, const struct bm_option *o, bool in_list, const char *text, bool from_file)
{
	size_t len = strlen(text);

	if (!check_no_secret(r, o, in_list, text))
		return false;
	if (may_be_url(o) && bm_url_is(text)) {
		struct bm_error why = BM_ERROR_INIT;

		if (bm_url_check(text, &why) != BM_OK) {
			job_fault(r, JOB_FAULT, NULL, "%s %s %s", o->name, in_list ? "holds" : "is", why.text);
			return false;
		}
		if (o->type == BM_OPTION_PATHS)
			return true;
	}
	if (o->type == BM_OPTION_STRING) {
		if (o->max == 0 || (len >= (size_t)o->min && len <= (size_t)o->max))
			return true;
		job_fault(r, JOB_FAULT, NULL, "%s is %zu bytes long; allowed: %" PRId64 " to %" PRId64 " bytes",
		          o->name, len, o->min, o->max);
		return false;
	}
	if (len == 0 && o->type != BM_OPTION_STRINGS) {
		job_value_fault_text(r, o, in_list, NULL, text);
		return false;
	}
	if (from_file && text[0] == '~' && (len == 1 || text[1] == '/') && is_path(o))
		job_fault(r, JOB_WARNING, "${HOME}",
		          "%s begins with \"~\", which is not replaced here: this is a directory "
		          "of that name",
		          o->name);
	if (from_file && is_path(o) && !check_no_habit(r, o, text))
		return false;
	switch (o->type) {
	case BM_OPTION_TEMPLATE:
		return strcmp(text, "-") == 0 || check_template(r, o, text);
	case BM_OPTION_NAME:
		return check_template(r, o, text);
	case BM_OPTION_GLOBS:
		return check_glob(r, o, text);
	case BM_OPTION_PATHS:
		return !from_file || !bm_glob_has_magic(text) || check_glob(r, o, text);
	default:
		return true;
	}
}

char *job_text_substituted(struct job_report *r, const struct bm_option *o, bool in_list, const json_t *v)
{
	struct bm_buf out = {0};
	const char *text = json_string_value(v);

	if (text == NULL) {
		job_value_fault(r, o, in_list, v);
		return NULL;
	}
	if (strlen(text) != json_string_length(v)) {
		job_fault(r, JOB_FAULT, NULL, "%s holds a NUL character (\\u0000); allowed: any other", o->name);
		return NULL;
	}
	bm_buf_puts(&out, "");
	if (!job_subst(r, text, &out) || out.oom) {
		r->oom = r->oom || out.oom;
		bm_buf_fini(&out);
		return NULL;
	}
	if (!check_no_secret(r, o, in_list, out.data)) {
		bm_buf_fini(&out);
		return NULL;
	}
	return bm_buf_take(&out);
}

static bool is_plain_glob_char(char c)
{
	return strchr("*?[\\", c) == NULL;
}

/* Appends path so that as a pattern it matches itself and nothing else. */
static void put_literal_glob(struct bm_buf *out, const char *path)
{
	for (; *path != '\0'; path++) {
		if (is_plain_glob_char(*path))
			bm_buf_putc(out, *path);
		else
			bm_buf_printf(out, *path == '\\' ? "\\%c" : "[%c]", *path);
	}
}

/* base + "/" + path in the way that the option's type needs; path itself where it is absolute, "-", or base is NULL or
 * "."; malloc'd, NULL on no memory. */
static char *path_join(const struct bm_option *o, const char *base, const char *path)
{
	struct bm_buf out = {0};
	bool is_glob = false;

	if (base == NULL || *base == '\0' || strcmp(base, ".") == 0 || *path == '/' || strcmp(path, "-") == 0 ||
	    (may_be_url(o) && bm_url_is(path)))
		return bm_memdup0(path, strlen(path));
	if (o->type == BM_OPTION_PATHS)
		is_glob = bm_glob_has_magic(base) || bm_glob_has_magic(path);
	if (o->type == BM_OPTION_TEMPLATE) {
		bm_template_put_literal(&out, base, strlen(base));
	} else if (is_glob) {
		put_literal_glob(&out, base);
	} else {
		bm_buf_puts(&out, base);
	}
	while (path[0] == '.' && (path[1] == '/' || path[1] == '\0')) {
		path++;
		path += strspn(path, "/");
	}
	if (*path != '\0' && base[strlen(base) - 1] != '/')
		bm_buf_putc(&out, '/');
	if (is_glob && !bm_glob_has_magic(path))
		put_literal_glob(&out, path);
	else
		bm_buf_puts(&out, path);
	return bm_buf_take(&out);
}

/* One string of a string-like option, ready to be stored; NULL on a fault. */
static char *read_string(struct job_report *r, const struct bm_option *o, bool in_list, const json_t *v,
                         const char *base)
{
	char *text = job_text_substituted(r, o, in_list, v);
	char *joined = NULL;

	if (text == NULL)
		return NULL;
	if (job_text_check(r, o, in_list, text, true)) {
		if (is_path(o))
			joined = path_join(o, base, text);
		else
			joined = bm_memdup0(text, strlen(text));
		if (joined == NULL)
			r->oom = true;
	}
	free(text);
	return joined;
}

bool job_text_set(struct job_report *r, const struct bm_option *o, char **field, const json_t *v, const char *base)
{
	char *text = read_string(r, o, false, v, base);

	if (text == NULL)
		return false;
	free(*field);
	*field = text;
	return true;
}

static void job_texts_fini(struct bm_strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
}

bool job_texts_set(struct job_report *r, const struct bm_option *o, struct bm_strings *field, const json_t *v,
                   const char *base)
{
	struct bm_strings list = {0};
	bool is_array = json_is_array(v);
	size_t count = is_array ? json_array_size(v) : 1;
	bool ok = true;

	if ((!is_array && !json_is_string(v)) ||
	    (count == 0 && (o->type == BM_OPTION_PATHS || o->type == BM_OPTION_FILES || o->min > 0))) {
		job_value_fault(r, o, false, v);
		return false;
	}
	list.items = bm_calloc_array(count + 1, sizeof(*list.items));
	if (list.items == NULL) {
		r->oom = true;
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		size_t mark = r->pointer.len;
		char *text;

		if (is_array)
			job_report_down_index(r, i);
		text = read_string(r, o, is_array, is_array ? json_array_get(v, i) : v, base);
		if (text != NULL)
			list.items[list.count++] = text;
		else
			ok = false;
		job_report_up(r, mark);
	}
	if (ok) {
		job_texts_fini(field);
		*field = list;
	} else {
		job_texts_fini(&list);
	}
	return ok;
}

bool job_texts_check(struct job_report *r, const struct bm_option *o, const struct bm_strings *s)
{
	bool ok = true;

	for (size_t i = 0; i < s->count; i++) {
		size_t mark = job_report_down_index(r, i);

		ok = job_text_check(r, o, true, s->items[i], false) && ok;
		job_report_up(r, mark);
	}
	return ok;
}
