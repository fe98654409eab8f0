/*
 * One option's value: from JSON, or from a program, to its field.
 *
 * There is one function a group of types, and what to do is read from the option's row alone. Strings are in
 * parse_text.c.
 *
 * A field is only changed when all of the value was good. So what stands in a checked job is either what the file says
 * or the default, and the checks between options never meet half a value.
 */
#include "parse_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_json.h"
#include "bm_text.h"

/* ---- messages ---- */

/* "level is 99; allowed: an integer from 0 to 9". in_list: found stands in the option's array. */
static void fault_found(struct job_report *r, const struct bm_option *o, bool in_list, const char *suggestion,
                        const struct bm_buf *found)
{
	struct bm_buf allowed = {0};

	if (!in_list)
		job_put_allowed(&allowed, o);
	else if (o->type == BM_OPTION_ENUMS)
		job_put_list(&allowed, o->values, "or");
	else
		bm_buf_puts(&allowed, o->type == BM_OPTION_GLOBS   ? "a pattern"
		                      : o->type == BM_OPTION_PATHS ? "a path or pattern"
		                      : o->type == BM_OPTION_FILES ? "a path"
		                                                   : "a string");
	if (found->oom || allowed.oom)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT, suggestion, "%s %s %s; allowed: %s", o->name, in_list ? "holds" : "is",
		          found->data, allowed.data);
	bm_buf_fini(&allowed);
}

void job_value_fault(struct job_report *r, const struct bm_option *o, bool in_list, const json_t *v)
{
	struct bm_buf found = {0};

	job_put_found(&found, v);
	fault_found(r, o, in_list, NULL, &found);
	bm_buf_fini(&found);
}

void job_value_fault_text(struct job_report *r, const struct bm_option *o, bool in_list, const char *suggestion,
                          const char *text)
{
	struct bm_buf found = {0};

	bm_buf_puts(&found, "the string ");
	job_put_quoted(&found, text, strlen(text));
	fault_found(r, o, in_list, suggestion, &found);
	bm_buf_fini(&found);
}

/* "include: pattern "[a": '[' has no ']'": what is wrong as the module says it that knows. */
void job_value_fault_why(struct job_report *r, const struct bm_option *o, const struct bm_error *why)
{
	if (why->status == BM_ERR_NOMEM)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT, NULL, "%s: %s", o->name, why->text);
}

/* ---- numbers ---- */

static bool set_integer(struct job_report *r, const struct bm_option *o, int64_t *field, const json_t *v)
{
	if (!json_is_integer(v) || json_integer_value(v) < o->min || json_integer_value(v) > o->max) {
		job_value_fault(r, o, false, v);
		return false;
	}
	*field = json_integer_value(v);
	return true;
}

static bool size_in_range(const struct bm_option *o, uint64_t bytes)
{
	return bytes >= (uint64_t)o->min && bytes <= (uint64_t)(o->max > 0 ? o->max : INT64_MAX);
}

static bool set_size(struct job_report *r, const struct bm_option *o, uint64_t *field, const json_t *v)
{
	struct bm_error why = BM_ERROR_INIT;
	uint64_t bytes = 0;
	char *text = NULL;
	bool ok;

	if (json_is_string(v)) {
		text = job_text_substituted(r, o, false, v);
		if (text == NULL)
			return false;
		ok = bm_size_parse(text, &bytes, &why) == BM_OK;
		if (!ok)
			job_value_fault_why(r, o, &why);
		else if (!(ok = size_in_range(o, bytes)))
			job_value_fault_text(r, o, false, NULL, text);
		free(text);
	} else {
		ok = json_is_integer(v) && json_integer_value(v) >= 0;
		if (ok)
			bytes = (uint64_t)json_integer_value(v);
		ok = ok && size_in_range(o, bytes);
		if (!ok)
			job_value_fault(r, o, false, v);
	}
	if (ok)
		*field = bytes;
	return ok;
}

/* "older_than": 7, with "remove" at its side, takes what is 7 seconds old. From an hour on seconds are what is meant. */
static void warn_of_age(struct job_report *r, const struct bm_option *o, const char *text, uint64_t ms)
{
	if (o->is_age && ms > 0 && ms < 3600000 && !bm_duration_has_unit(text))
		job_fault(r, JOB_WARNING, NULL,
		          "%s is %s, and a number alone is seconds; write \"%ss\", or \"%sd\" if days are meant",
		          o->name, text, text, text);
}

static bool set_duration(struct job_report *r, const struct bm_option *o, struct bm_optional_ms *field, const json_t *v)
{
	struct bm_error why = BM_ERROR_INIT;
	uint64_t ms = 0;
	char *text = NULL, number[24];
	bool ok;

	if (json_is_string(v)) {
		text = job_text_substituted(r, o, false, v);
		if (text == NULL)
			return false;
		ok = bm_duration_parse(text, &ms, &why) == BM_OK;
		if (!ok)
			job_value_fault_why(r, o, &why);
		else
			warn_of_age(r, o, text, ms);
		free(text);
	} else {
		ok = json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= INT64_MAX / 1000;
		if (ok)
			ms = (uint64_t)json_integer_value(v) * 1000;
		else
			job_value_fault(r, o, false, v);
		if (ok) {
			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
			warn_of_age(r, o, number, ms);
		}
	}
	if (ok)
		*field = (struct bm_optional_ms){.is_set = true, .ms = ms};
	return ok;
}

/* ---- enums ---- */

static bool read_enum(struct job_report *r, const struct bm_option *o, bool in_list, const json_t *v, int *out)
{
	char *text = job_text_substituted(r, o, in_list, v);
	bool ok = false;

	if (text == NULL)
		return false;
	for (int i = 0; o->values[i] != NULL && !ok; i++) {
		if (strcmp(o->values[i], text) == 0) {
			*out = i;
			ok = true;
		}
	}
	if (!ok)
		job_value_fault_text(r, o, in_list, bm_suggest(text, o->values), text);
	free(text);
	return ok;
}

static bool set_enums(struct job_report *r, const struct bm_option *o, struct bm_enum_list *field, const json_t *v)
{
	struct bm_enum_list list = {{0}, 0};
	bool is_array = json_is_array(v);
	size_t count = is_array ? json_array_size(v) : 1;
	uint64_t seen = 0;
	bool ok = true;

	if ((!is_array && !json_is_string(v)) || count == 0) {
		job_value_fault(r, o, false, v);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		size_t mark = r->pointer.len;
		int value = 0;

		if (is_array)
			job_report_down_index(r, i);
		if (!read_enum(r, o, is_array, is_array ? json_array_get(v, i) : v, &value)) {
			ok = false;
		} else if (seen & UINT64_C(1) << value) {
			job_fault(r, JOB_FAULT, NULL, "%s holds \"%s\" twice; once is enough", o->name,
			          o->values[value]);
			ok = false;
		} else {
			/* No repeats, and the table has no more values than a list has room for. */
			seen |= UINT64_C(1) << value;
			list.items[list.count++] = value;
		}
		job_report_up(r, mark);
	}
	if (ok)
		*field = list;
	return ok;
}

/* ---- by type ---- */

bool job_value_set(struct job_report *r, const struct bm_option *o, void *params, const json_t *v, const char *base)
{
	void *field = (char *)params + o->offset;

	switch (o->type) {
	case BM_OPTION_STRING:
	case BM_OPTION_PATH:
	case BM_OPTION_TEMPLATE:
	case BM_OPTION_NAME:
		return job_text_set(r, o, field, v, base);
	case BM_OPTION_PATHS:
	case BM_OPTION_FILES:
	case BM_OPTION_GLOBS:
	case BM_OPTION_STRINGS:
		return job_texts_set(r, o, field, v, base);
	case BM_OPTION_INTEGER:
		return set_integer(r, o, field, v);
	case BM_OPTION_SIZE:
		return set_size(r, o, field, v);
	case BM_OPTION_DURATION:
		return set_duration(r, o, field, v);
	case BM_OPTION_BOOL:
		if (!json_is_boolean(v)) {
			job_value_fault(r, o, false, v);
			return false;
		}
		*(bool *)field = json_is_true(v);
		return true;
	case BM_OPTION_ENUM:
		return read_enum(r, o, false, v, field);
	case BM_OPTION_ENUMS:
		return set_enums(r, o, field, v);
	case BM_OPTION_OBJECT:
	case BM_OPTION_OBJECTS:
		break; /* their keys are read one by one, by parse.c */
	}
	return false;
}

bool job_value_default(const struct bm_option *o, void *params)
{
	/* A default is always good (a unit test reads them all), but memory can run out. The table has the last word on
	 * what a default may be: "0" for "no limit" need not lie in [min, max]. */
	struct job_report r = {0};
	json_t *v = NULL;
	bool ok;

	for (size_t i = 0; i < o->field_count && o->type == BM_OPTION_OBJECT; i++)
		if (!job_value_default(&o->fields[i], params))
			return false;
	if (o->default_json == NULL)
		return true;
	v = bm_json_load(o->default_json, strlen(o->default_json));
	ok = v != NULL && job_value_set(&r, o, params, v, NULL);
	json_decref(v);
	bm_buf_fini(&r.pointer);
	return ok;
}

static bool check_number(struct job_report *r, const struct bm_option *o, json_t *v, bool ok)
{
	if (v == NULL)
		r->oom = true;
	else if (!ok)
		job_value_fault(r, o, false, v);
	json_decref(v);
	return ok;
}

bool job_value_check(struct job_report *r, const struct bm_option *o, const void *params)
{
	const void *field = (const char *)params + o->offset;

	switch (o->type) {
	case BM_OPTION_STRING:
	case BM_OPTION_PATH:
	case BM_OPTION_TEMPLATE:
	case BM_OPTION_NAME: {
		const char *text = *(char *const *)field;

		return text == NULL || job_text_check(r, o, false, text, false);
	}
	case BM_OPTION_PATHS:
	case BM_OPTION_FILES:
	case BM_OPTION_GLOBS:
	case BM_OPTION_STRINGS:
		return job_texts_check(r, o, field);
	case BM_OPTION_INTEGER: {
		int64_t n = *(const int64_t *)field;

		return check_number(r, o, json_integer(n), n >= o->min && n <= o->max);
	}
	case BM_OPTION_SIZE: {
		uint64_t n = *(const uint64_t *)field;

		/* Zero in a field means that nothing was said. */
		return check_number(r, o, json_integer((json_int_t)n), n == 0 || size_in_range(o, n));
	}
	case BM_OPTION_ENUM: {
		int n = *(const int *)field;
		int count = 0;

		while (o->values[count] != NULL)
			count++;
		return check_number(r, o, json_integer(n), n >= 0 && n < count);
	}
	case BM_OPTION_ENUMS: {
		const struct bm_enum_list *list = field;
		int count = 0;
		bool ok = list->count > 0 && list->count <= sizeof(list->items) / sizeof(list->items[0]);

		while (o->values[count] != NULL)
			count++;
		for (size_t i = 0; ok && i < list->count; i++) {
			ok = list->items[i] >= 0 && list->items[i] < count;
			for (size_t k = 0; ok && k < i; k++)
				ok = list->items[k] != list->items[i];
		}
		return check_number(r, o, json_array(), ok);
	}
	case BM_OPTION_DURATION:
	case BM_OPTION_BOOL:
		return true;
	case BM_OPTION_OBJECTS: {
		const struct bm_objects *list = field;
		bool ok = true;

		for (size_t k = 0; k < list->count; k++)
			for (size_t i = 0; i < o->field_count; i++)
				ok = job_value_check(r, &o->fields[i], (const char *)list->items + k * o->item_size) &&
				     ok;
		return ok;
	}
	case BM_OPTION_OBJECT: {
		bool ok = true;

		for (size_t i = 0; *(const bool *)field && i < o->field_count; i++) {
			size_t mark = job_report_down(r, o->fields[i].name);

			ok = job_value_check(r, &o->fields[i], params) && ok;
			job_report_up(r, mark);
		}
		return ok;
	}
	}
	return false;
}
