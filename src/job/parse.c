/*
 * A job file's structure: text, to jobs, to steps. What one value may be is parse_value.c's.
 *
 * All of a file is gone through, whatever is found wrong on the way: a person who corrects a file by night through a
 * slow line wants the whole list. Two things keep one mistake from being told twice:
 *  - Options that have a fault of their own, and options that a misspelt key was probably meant to be ("form" for
 *    "from"), are excused from being missing and from the checks between options; a step with a value that could not be
 *    read is not checked for combinations at all, since its defaults are not what the user meant.
 *  - A step of an unknown kind counts as "could be anything" where the order of steps is looked at.
 *
 * Duplicate keys are the JSON parser's find. The text is then read once more with jansson's rule (the last one wins) so
 * that the other faults are told as well; nothing is said about the values of the duplicates themselves.
 *
 * A job with faults is added to the set all the same: other jobs may name it in "after". The set is marked and will
 * not pass bm_jobs_check.
 */
#include "job_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_json.h"
#include "bm_text.h"

#define SCHEMA_KEY "$schema"

/* ---- options of a job or a step ---- */

struct read_state {
	uint64_t present; /* bit i: options[i] has a key */
	uint64_t faulty;  /* ... whose value was bad */
	uint64_t meant;   /* a misspelt key was probably meant to be it */
};

static bool read_object(struct job_report *r, const struct bm_option *o, void *params, const json_t *v,
                        const char *base);
static bool read_objects(struct job_report *r, const struct bm_option *o, struct bm_objects *list, const json_t *v,
                         const char *base);

static bool read_any(struct job_report *r, const struct bm_option *o, void *params, const json_t *v, const char *base)
{
	switch (o->type) {
	case BM_OPTION_OBJECT:
		*(bool *)((char *)params + o->offset) = true;
		return read_object(r, o, params, v, base);
	case BM_OPTION_OBJECTS:
		return read_objects(r, o, (void *)((char *)params + o->offset), v, base);
	default:
		return job_value_set(r, o, params, v, base);
	}
}

/* Reads the value of key where it is one of the options; false where it is none. */
static bool read_option(struct job_report *r, const struct bm_option *options, size_t count, void *params,
                        const char *key, const json_t *v, const char *base, struct read_state *st)
{
	for (size_t i = 0; i < count; i++) {
		size_t mark;

		if (strcmp(options[i].name, key) != 0)
			continue;
		st->present |= UINT64_C(1) << i;
		mark = job_report_down(r, key);
		if (!read_any(r, &options[i], params, v, base))
			st->faulty |= UINT64_C(1) << i;
		job_report_up(r, mark);
		return true;
	}
	return false;
}

/* The keys of an option that is an object, or of one object of several; false on a fault, which was told. */
static bool read_object(struct job_report *r, const struct bm_option *o, void *params, const json_t *v,
                        const char *base)
{
	const char *const extra[2] = {NULL, NULL};
	struct read_state st = {0, 0, 0};
	struct bm_buf found = {0};
	bool is_good = true;
	const char *key;
	json_t *value;

	if (!json_is_object(v)) {
		struct bm_buf allowed = {0};

		if (o->type == BM_OPTION_OBJECTS && json_is_string(v))
			bm_buf_puts(&found, "a string"); /* a URL, in which there may be a password */
		else
			job_put_found(&found, v);
		job_put_allowed(&allowed, o);
		if (found.oom || allowed.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "%s is %s; allowed: %s", o->name, found.data, allowed.data);
		bm_buf_fini(&found);
		bm_buf_fini(&allowed);
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, value)
	{
		if (read_option(r, o->fields, o->field_count, params, key, value, base, &st))
			continue;
		st.meant |= job_fault_key(r, key, o->name, o->fields, o->field_count, extra);
		is_good = false;
	}
	for (size_t i = 0; i < o->field_count; i++) {
		const struct bm_option *field = &o->fields[i];

		if (!field->required || ((st.present | st.meant) & UINT64_C(1) << i) != 0)
			continue;
		job_fault(r, JOB_FAULT, NULL, "\"%s\" is missing: %s needs it (%s)", field->name, o->name, field->help);
		is_good = false;
	}
	return is_good && st.faulty == 0;
}

/* One object, or an array of them. */
static bool read_objects(struct job_report *r, const struct bm_option *o, struct bm_objects *list, const json_t *v,
                         const char *base)
{
	const bool is_array = json_is_array(v);
	const size_t count = is_array ? json_array_size(v) : 1;
	bool is_good = true;

	list->items = bm_calloc_array(count + 1, o->item_size);
	if (list->items == NULL) {
		r->oom = true;
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		char *item = (char *)list->items + i * o->item_size;
		size_t mark = r->pointer.len;

		list->count++;
		if (is_array)
			job_report_down_index(r, i);
		for (size_t k = 0; k < o->field_count; k++)
			r->oom = r->oom || !job_value_default(&o->fields[k], item);
		is_good = read_object(r, o, item, is_array ? json_array_get(v, i) : v, base) && is_good;
		job_report_up(r, mark);
	}
	return is_good;
}

/* ---- steps ---- */

static void fault_kind(struct job_report *r, const json_t *name)
{
	const char *names[33] = {NULL};
	struct bm_buf found = {0};
	struct bm_buf list = {0};
	const char *near = NULL;
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);

	for (size_t i = 0; i < count && i < 32; i++)
		names[i] = kinds[i]->name;
	job_put_list(&list, names, "or");
	if (name != NULL)
		job_put_found(&found, name);
	if (json_is_string(name))
		near = bm_suggest(json_string_value(name), names);
	if (list.oom || found.oom) {
		r->oom = true;
	} else if (name == NULL) {
		job_fault(r, JOB_FAULT, NULL, "\"step\" is missing: it says what the step does; allowed: %s",
		          list.data);
	} else {
		size_t mark = job_report_down(r, "step");

		job_fault(r, JOB_FAULT, near, "step is %s; allowed: %s", found.data, list.data);
		job_report_up(r, mark);
	}
	bm_buf_fini(&found);
	bm_buf_fini(&list);
}

/* Adds the step that v is to the job; returns its kind, or NULL where that is not known. */
static const struct bm_step_kind *parse_step(struct job_report *r, struct job_node *n, const json_t *v, size_t index,
                                             const char *base)
{
	const char *const extra[2] = {"step", NULL};
	const struct bm_step_kind *kind = NULL;
	struct read_state st = {0, 0, 0};
	struct bm_step *step;
	const json_t *name;
	const char *key;
	json_t *value;
	char owner[64];

	if (!json_is_object(v)) {
		struct bm_buf found = {0};

		job_put_found(&found, v);
		if (found.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "the step is %s; allowed: an object, as {\"step\": \"hash\"}",
			          found.data);
		bm_buf_fini(&found);
		return NULL;
	}
	name = json_object_get(v, "step");
	if (json_is_string(name))
		kind = bm_step_find(json_string_value(name));
	if (kind == NULL) {
		fault_kind(r, name);
		return NULL;
	}
	step = job_step_add(&n->job, kind, (unsigned)index);
	if (step == NULL) {
		r->oom = true;
		return kind;
	}
	snprintf(owner, sizeof(owner), "a%s %s step", strchr("aeiou", kind->name[0]) != NULL ? "n" : "", kind->name);
	/* jansson's iteration takes no const object, and changes nothing. */
	json_object_foreach((json_t *)(uintptr_t)v, key, value)
	{
		if (strcmp(key, "step") == 0 ||
		    read_option(r, kind->options, kind->option_count, &step->p, key, value, base, &st))
			continue;
		st.meant |= job_fault_key(r, key, owner, kind->options, kind->option_count, extra);
	}
	for (size_t i = 0; i < kind->option_count; i++) {
		const struct bm_option *o = &kind->options[i];

		if (o->required && !((st.present | st.meant) & UINT64_C(1) << i))
			job_fault(r, JOB_FAULT, NULL, "\"%s\" is missing: %s needs it (%s)", o->name, owner, o->help);
	}
	if (kind->settle != NULL)
		kind->settle(&step->p, st.present);
	if (st.faulty == 0)
		job_check_step(r, step, st.meant);
	return kind;
}

static void parse_steps(struct job_report *r, struct job_node *n, const json_t *v, const char *base)
{
	const struct bm_step_kind *kinds[JOB_MAX_STEPS] = {NULL};
	size_t mark = job_report_down(r, "steps");
	size_t count = json_array_size(v);
	struct bm_buf found = {0};

	if (!json_is_array(v) || count == 0) {
		job_put_found(&found, v);
		if (found.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "steps is %s; allowed: an array of steps, the first of them read",
			          found.data);
		bm_buf_fini(&found);
		job_report_up(r, mark);
		return;
	}
	if (count > JOB_MAX_STEPS) {
		job_fault(r, JOB_FAULT, NULL, "steps holds %zu steps; allowed: 1 to %d", count, JOB_MAX_STEPS);
		count = JOB_MAX_STEPS;
	}
	for (size_t i = 0; i < count; i++) {
		size_t inner = job_report_down_index(r, i);

		kinds[i] = parse_step(r, n, json_array_get(v, i), i, base);
		job_report_up(r, inner);
	}
	job_report_up(r, mark);
	job_check_shape(r, kinds, count);
}

/* ---- jobs ---- */

/* Gives a job that says no name its file's. */
static void name_after_file(struct job_report *r, struct job_node *n, const struct bm_option *name_option)
{
	const char *file = r->source->file;
	const char *last = strrchr(file, '/');
	size_t len;

	last = last != NULL ? last + 1 : file;
	len = strlen(last);
	if (len > 5 && strcmp(last + len - 5, ".json") == 0)
		len -= 5;
	n->job.p.name = strcmp(file, "-") == 0 ? bm_memdup0("stdin", 5) : bm_memdup0(last, len);
	if (n->job.p.name == NULL)
		r->oom = true;
	else
		(void)job_value_check(r, name_option, &n->job.p);
}

/* Reads the job that v is (an object). alone: it is all of its file. */
static void parse_job(struct job_report *r, const json_t *v, size_t number, bool alone, const char *base)
{
	const char *const extra[2] = {NULL, "steps"};
	struct read_state st = {0, 0, 0};
	struct bm_job *job = bm_job_create(NULL);
	struct job_node *n;
	const struct bm_option *name_option = NULL;
	uint64_t name_bit = 0;
	const json_t *steps;
	const char *key;
	json_t *value;
	size_t count;
	const struct bm_option *options = bm_job_options(&count);

	if (job == NULL)
		goto oom;
	n = job_node_of(job);
	free(job->file);
	job->file = bm_memdup0(r->source->file, strlen(r->source->file));
	job->number = (unsigned)number;
	n->source = r->source;
	n->pointer = bm_memdup0(r->pointer.data != NULL ? r->pointer.data : "", r->pointer.len);
	if (job->file == NULL || n->pointer == NULL)
		goto oom;
	json_object_foreach((json_t *)(uintptr_t)v, key, value)
	{
		if (strcmp(key, "steps") == 0 || (r->pointer.len == 0 && strcmp(key, SCHEMA_KEY) == 0) ||
		    read_option(r, options, count, &job->p, key, value, base, &st))
			continue;
		st.meant |= job_fault_key(r, key, "a job", options, count, extra);
	}
	for (size_t i = 0; i < count; i++) {
		if (options[i].offset == offsetof(struct bm_job_params, name)) {
			name_option = &options[i];
			name_bit = UINT64_C(1) << i;
		}
	}
	if (!(st.present & name_bit)) {
		if (st.meant & name_bit)
			;
		else if (alone)
			name_after_file(r, n, name_option);
		else
			job_fault(r, JOB_FAULT, NULL,
			          "\"name\" is missing: a file with several jobs names each of them");
	}
	if (job->p.name == NULL)
		r->set->names_unknown = true;
	steps = json_object_get(v, "steps");
	if (steps != NULL)
		parse_steps(r, n, steps, base);
	else if (!(st.meant & JOB_MEANT_EXTRA))
		job_fault(r, JOB_FAULT, NULL,
		          "\"steps\" is missing: a job is an array of steps, the first of them read");
	job_check_job(r, n);
	if (job_set_take(r->set, n))
		return;
	job = NULL;
oom:
	bm_job_destroy(job);
	r->oom = true;
}

/* ---- the file ---- */

static void on_json_fault(void *ctx, struct bm_json_place at, const char *pointer, const char *text)
{
	struct job_report *r = ctx;

	/* jansson has no words for running out of memory before it has read anything. */
	if (*text == '\0') {
		r->oom = true;
		return;
	}
	job_fault_at(r, at.line, at.column, pointer, text);
	if (r->doubles.count < JOB_MAX_FAULTS && !bm_strings_add(&r->doubles, pointer))
		r->oom = true;
}

static void check_schema_key(struct job_report *r, const json_t *root)
{
	const json_t *v = json_object_get(root, SCHEMA_KEY);
	struct bm_buf found = {0};
	size_t mark;

	if (v == NULL || json_is_string(v))
		return;
	mark = job_report_down(r, SCHEMA_KEY);
	job_put_found(&found, v);
	if (found.oom)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT, NULL, SCHEMA_KEY " is %s; allowed: a string, where editors find the schema",
		          found.data);
	job_report_up(r, mark);
	bm_buf_fini(&found);
}

static void parse_several(struct job_report *r, const json_t *root, const char *base)
{
	const char *const extra[2] = {SCHEMA_KEY, "jobs"};
	const json_t *jobs = json_object_get(root, "jobs");
	size_t count = json_array_size(jobs);
	struct bm_buf found = {0};
	const char *key;
	json_t *value;
	size_t option_count;
	const struct bm_option *options = bm_job_options(&option_count);
	size_t mark;

	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		bool of_job = strcmp(key, "steps") == 0;

		if (strcmp(key, SCHEMA_KEY) == 0 || strcmp(key, "jobs") == 0)
			continue;
		for (size_t i = 0; i < option_count; i++)
			of_job = of_job || strcmp(key, options[i].name) == 0;
		if (!of_job) {
			job_fault_key(r, key, "a file of several jobs", NULL, 0, extra);
			continue;
		}
		mark = job_report_down(r, key);
		job_fault(r, JOB_FAULT_OF_KEY, NULL,
		          "\"%s\" stands beside \"jobs\"; put it into the jobs that it is meant for", key);
		job_report_up(r, mark);
	}
	mark = job_report_down(r, "jobs");
	if (!json_is_array(jobs) || count == 0) {
		job_put_found(&found, jobs);
		if (found.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "jobs is %s; allowed: an array of jobs", found.data);
		r->set->names_unknown = true;
	}
	for (size_t i = 0; i < count; i++) {
		const json_t *v = json_array_get(jobs, i);
		size_t inner = job_report_down_index(r, i);

		if (json_is_object(v)) {
			parse_job(r, v, i, count == 1, base);
		} else {
			bm_buf_reset(&found);
			job_put_found(&found, v);
			if (found.oom)
				r->oom = true;
			else
				job_fault(r, JOB_FAULT, NULL, "the job is %s; allowed: an object with \"steps\"",
				          found.data);
			r->set->names_unknown = true;
		}
		job_report_up(r, inner);
	}
	job_report_up(r, mark);
	bm_buf_fini(&found);
}

/* Another file than a job file was given: a log, an archive. What the parser would say of its first word helps nobody.
 * What begins as some JSON does, or as people try to write it (a comment, a quote), is the parser's. */
static bool check_is_json(struct job_report *r)
{
	static const char *const words[] = {"true", "false", "null"};
	const struct job_source *s = r->source;
	size_t at = 0, len = 0, begin = 0;
	unsigned line = 1;
	unsigned char c;
	char shown[48], text[200];

	for (; at < s->len && s->text[at] != '\0' && strchr(" \t\r\n", s->text[at]) != NULL; at++)
		if (s->text[at] == '\n') {
			line++;
			begin = at + 1;
		}
	c = at < s->len ? (unsigned char)s->text[at] : '{';
	if (c > ' ' && c < 0x7f && !isalpha(c))
		return true;
	while (at + len < s->len && isalpha((unsigned char)s->text[at + len]))
		len++;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strlen(words[i]) == len && memcmp(words[i], s->text + at, len) == 0)
			return true;
	snprintf(text, sizeof(text), "this is no job file: one is JSON, and begins with \"{\"; found %s",
	         bm_escape_display_buf(shown, sizeof(shown), s->text + at, len > 0 ? len : 1));
	job_fault_at(r, line, (unsigned)(at - begin) + 1, "", text);
	return false;
}

/* What an editor may put in front of the text. True where the text is one that can be read on. */
static bool check_first_bytes(struct job_report *r)
{
	struct job_source *s = r->source;

	if (s->len >= 3 && memcmp(s->text, "\xEF\xBB\xBF", 3) == 0) {
		job_fault_at(r, 1, 1, "", "the file begins with a byte order mark; save it as UTF-8 without one");
		memmove(s->text, s->text + 3, s->len - 3 + 1);
		s->len -= 3;
	} else if (s->len >= 2 && (memcmp(s->text, "\xFF\xFE", 2) == 0 || memcmp(s->text, "\xFE\xFF", 2) == 0)) {
		job_fault_at(r, 1, 1, "", "the file is UTF-16; save it as UTF-8 without a byte order mark");
		return false;
	}
	return check_is_json(r);
}

/* A secret key in the text: nothing else is said about a file whose values must not be shown. */
static bool check_no_secret(struct job_report *r)
{
	const struct job_source *s = r->source;
	const char *key = job_find_secret(s->text, s->len);
	const char *line = s->text;
	unsigned line_no = 1;

	if (key == NULL)
		return true;
	for (const char *p = s->text; p < key; p++) {
		if (*p == '\n') {
			line = p + 1;
			line_no++;
		}
	}
	job_fault_at(r, line_no, (unsigned)(key - line) + 1, "",
	             "a secret key stands in the job file: " JOB_SECRET_ADVICE);
	return false;
}

void job_parse(struct job_report *r, const char *base)
{
	struct job_source *s = r->source;
	json_t *root = NULL;

	if (check_first_bytes(r) && check_no_secret(r)) {
		root = bm_json_parse(s->text, s->len, on_json_fault, r);
		if (root == NULL && !r->oom)
			root = bm_json_load(s->text, s->len);
	}
	if (root == NULL) {
		r->set->names_unknown = true;
		return;
	}
	if (!json_is_object(root)) {
		struct bm_buf found = {0};

		job_put_found(&found, root);
		if (found.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "a job file is an object with \"steps\" or \"jobs\"; this is %s",
			          found.data);
		bm_buf_fini(&found);
		r->set->names_unknown = true;
	} else {
		check_schema_key(r, root);
		if (json_object_get(root, "jobs") != NULL)
			parse_several(r, root, base);
		else if (!job_fault_misspelt_jobs(r, root))
			parse_job(r, root, 0, true, base);
	}
	json_decref(root);
}
