/*
 * Telling what is wrong with a job.
 *
 * A job file is checked in one pass that never stops at the first fault, so nothing here returns early: the readers
 * keep a JSON Pointer up to date as they go down and up, and hand each fault to job_fault(), which finds the line and
 * column for it, cuts and numbers, and passes it on. Places are looked up in the text only when there is a fault: a
 * good file pays nothing for them.
 *
 * A fault about something that is missing has no place of its own; it is told at the nearest value above that exists.
 * After JOB_MAX_FAULTS the rest is only counted: a look-up reads the text from its start, and a file of sixteen
 * megabytes of nonsense must not cost minutes.
 *
 * The words for values ("the string "x"", "an integer from 0 to 9") are here too, so that all messages speak alike.
 */
#include "job_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_json.h"
#include "bm_template.h"
#include "bm_text.h"

static const char *text_of(const struct bm_buf *b)
{
	return b->data != NULL ? b->data : "";
}

void job_report_init(struct job_report *r, struct job_set *set, struct job_source *source, const char *file,
                     struct bm_error *err)
{
	*r = (struct job_report){.set = set, .source = source, .file = file, .err = err};
}

enum bm_status job_report_fini(struct job_report *r)
{
	enum bm_status st = BM_OK;

	if (r->oom || r->pointer.oom)
		st = bm_error_set_nomem(r->err);
	else if (r->errors > 0)
		st = BM_ERR_USAGE;
	if (st != BM_OK)
		r->set->is_faulty = true;
	bm_buf_fini(&r->pointer);
	for (size_t i = 0; i < r->doubles.count; i++)
		free(r->doubles.items[i]);
	free(r->doubles.items);
	r->doubles = (struct bm_strings){0};
	return st;
}

size_t job_report_down(struct job_report *r, const char *key)
{
	size_t mark = r->pointer.len;

	bm_json_pointer_put(&r->pointer, key);
	return mark;
}

size_t job_report_down_index(struct job_report *r, size_t index)
{
	size_t mark = r->pointer.len;

	bm_buf_printf(&r->pointer, "/%zu", index);
	return mark;
}

void job_report_up(struct job_report *r, size_t mark)
{
	if (r->pointer.data == NULL || r->pointer.oom)
		return;
	r->pointer.len = mark;
	r->pointer.data[mark] = '\0';
}

/* ---- passing on ---- */

static void tell(struct job_report *r, const struct bm_diagnostic *d)
{
	const struct bm_jobs_options *opt = &r->set->pub.opt;

	if (!d->is_warning && r->err != NULL && r->err->status == BM_OK) {
		char where[900];
		char pointer[400];
		char suggestion[120];

		bm_escape_display_buf(where, sizeof(where) - 32, d->file, strlen(d->file));
		bm_escape_display_buf(pointer, sizeof(pointer), d->pointer, strlen(d->pointer));
		if (d->suggestion != NULL)
			bm_escape_display_buf(suggestion, sizeof(suggestion), d->suggestion, strlen(d->suggestion));
		if (d->line > 0) {
			size_t len = strlen(where);

			snprintf(where + len, sizeof(where) - len, ":%u:%u", d->line, d->column);
		}
		bm_error_set(r->err, BM_ERR_USAGE, where, "%s%s%s%s%s%s", pointer, *pointer != '\0' ? ": " : "",
		             d->message, d->suggestion != NULL ? "; did you mean \"" : "",
		             d->suggestion != NULL ? suggestion : "", d->suggestion != NULL ? "\"?" : "");
	}
	if (opt->on_diagnostic != NULL)
		opt->on_diagnostic(opt->ctx, d);
}

/* Counts a fault; false where it is not to be told because there were too many. */
static bool count_fault(struct job_report *r, bool is_warning)
{
	struct bm_diagnostic d = {
		.file = r->file, .pointer = "", .message = "there are more faults; they are not listed"};

	if (!is_warning)
		r->errors++;
	if (r->set == NULL)
		return false;
	if (r->told < JOB_MAX_FAULTS) {
		r->told++;
		return true;
	}
	if (r->told == JOB_MAX_FAULTS && !is_warning) {
		r->told++;
		tell(r, &d);
	}
	return false;
}

/* Is the pointer at, or below, a key that stands there twice? Which of the two is meant cannot be known. */
static bool is_doubtful(const struct job_report *r)
{
	for (size_t i = 0; i < r->doubles.count; i++) {
		size_t len = strlen(r->doubles.items[i]);

		if (strncmp(text_of(&r->pointer), r->doubles.items[i], len) == 0 &&
		    (text_of(&r->pointer)[len] == '\0' || text_of(&r->pointer)[len] == '/'))
			return true;
	}
	return false;
}

void job_fault(struct job_report *r, enum job_fault_kind kind, const char *suggestion, const char *fmt, ...)
{
	struct bm_diagnostic d = {.is_warning = kind == JOB_WARNING, .file = r->file, .suggestion = suggestion};
	struct bm_json_place at = {0, 0};
	struct bm_buf message = {0};
	char *pointer = NULL;
	char small[512];
	va_list ap;
	int n;

	if (is_doubtful(r) || !count_fault(r, d.is_warning))
		return;
	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		goto out;
	if ((size_t)n < sizeof(small)) {
		bm_buf_puts(&message, small);
	} else {
		char *large = malloc((size_t)n + 1);

		if (large == NULL) {
			r->oom = true;
			goto out;
		}
		va_start(ap, fmt);
		vsnprintf(large, (size_t)n + 1, fmt, ap);
		va_end(ap);
		bm_buf_puts(&message, large);
		free(large);
	}
	pointer = bm_memdup0(text_of(&r->pointer), r->pointer.len);
	if (pointer == NULL || message.oom) {
		r->oom = true;
		goto out;
	}
	if (r->source != NULL && r->source->text != NULL) {
		bool key = kind == JOB_FAULT_OF_KEY;

		for (;;) {
			char *slash;

			at = bm_json_locate(r->source->text, r->source->len, pointer, key);
			if (at.line > 0 || *pointer == '\0')
				break;
			slash = strrchr(pointer, '/');
			if (slash == NULL)
				break;
			*slash = '\0';
			key = false;
		}
	}
	d.line = at.line;
	d.column = at.column;
	d.pointer = pointer;
	d.message = text_of(&message);
	tell(r, &d);
out:
	free(pointer);
	bm_buf_fini(&message);
}

void job_fault_at(struct job_report *r, unsigned line, unsigned column, const char *pointer, const char *text)
{
	struct bm_diagnostic d = {.file = r->file, .line = line, .column = column, .pointer = pointer, .message = text};

	if (count_fault(r, false))
		tell(r, &d);
}

/* ---- words ---- */

void job_put_quoted(struct bm_buf *out, const char *text, size_t len)
{
	char shown[100];

	bm_buf_printf(out, "\"%s\"", bm_escape_display_buf(shown, sizeof(shown), text, len));
}

void job_put_found(struct bm_buf *out, const json_t *v)
{
	char number[40];

	switch (json_typeof(v)) {
	case JSON_STRING:
		bm_buf_puts(out, "the string ");
		job_put_quoted(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		bm_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		snprintf(number, sizeof(number), "%.15g", json_real_value(v));
		bm_buf_printf(out, "%s%s", number, strpbrk(number, ".e") == NULL ? ".0" : "");
		break;
	case JSON_TRUE:
		bm_buf_puts(out, "true");
		break;
	case JSON_FALSE:
		bm_buf_puts(out, "false");
		break;
	case JSON_NULL:
		bm_buf_puts(out, "null");
		break;
	case JSON_ARRAY:
		bm_buf_puts(out, json_array_size(v) > 0 ? "an array" : "an empty array");
		break;
	case JSON_OBJECT:
		bm_buf_puts(out, "an object");
		break;
	}
}

void job_put_list(struct bm_buf *out, const char *const *list, const char *word)
{
	const char *quote = word != NULL ? "\"" : "";

	for (size_t i = 0; list[i] != NULL; i++) {
		if (i > 0 && word != NULL && list[i + 1] == NULL)
			bm_buf_printf(out, " %s ", word);
		else if (i > 0)
			bm_buf_puts(out, ", ");
		bm_buf_printf(out, "%s%s%s", quote, list[i], quote);
	}
}

void job_put_size(struct bm_buf *out, uint64_t bytes)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB", NULL};
	unsigned unit = 0;

	while (bytes > 0 && bytes % 1024 == 0 && units[unit + 1] != NULL) {
		bytes /= 1024;
		unit++;
	}
	bm_buf_printf(out, "%" PRIu64 "%s", bytes, units[unit]);
}

/* Appends {path} {dir} ... of a mask of enum bm_placeholder. */
static void put_placeholders(struct bm_buf *out, unsigned mask)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{BM_PH_PATH, "path"}, {BM_PH_DIR, "dir"},   {BM_PH_NAME, "name"},
		{BM_PH_STEM, "stem"}, {BM_PH_EXT, "ext"},   {BM_PH_JOB, "job"},
		{BM_PH_RUN, "run"},   {BM_PH_DATE, "date"}, {BM_PH_ALGORITHM, "algorithm"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(mask & names[i].bit))
			continue;
		mask &= ~names[i].bit;
		bm_buf_printf(out, "{%s}%s", names[i].name, mask != 0 ? " " : "");
	}
}

void job_put_allowed(struct bm_buf *out, const struct bm_option *o)
{
	switch (o->type) {
	case BM_OPTION_STRING:
		bm_buf_puts(out, "a string");
		if (o->max > 0)
			bm_buf_printf(out, " of %" PRId64 " to %" PRId64 " bytes", o->min, o->max);
		break;
	case BM_OPTION_PATH:
		bm_buf_puts(out, "a path");
		break;
	case BM_OPTION_TEMPLATE:
	case BM_OPTION_NAME:
		bm_buf_puts(out, o->type == BM_OPTION_NAME ? "a name; may hold " : "a path; may hold ");
		put_placeholders(out, o->placeholders);
		break;
	case BM_OPTION_PATHS:
		bm_buf_puts(out, "a path or pattern, or an array of them");
		break;
	case BM_OPTION_FILES:
		bm_buf_puts(out, "a path or an array of paths");
		break;
	case BM_OPTION_GLOBS:
		bm_buf_puts(out, "a pattern or an array of patterns");
		break;
	case BM_OPTION_STRINGS:
		bm_buf_puts(out, "a string or an array of strings");
		break;
	case BM_OPTION_INTEGER:
		bm_buf_printf(out, "an integer from %" PRId64 " to %" PRId64, o->min, o->max);
		break;
	case BM_OPTION_SIZE:
		bm_buf_puts(out, "a size");
		if (o->min > 0) {
			bm_buf_puts(out, o->max > 0 ? " from " : " of at least ");
			job_put_size(out, (uint64_t)o->min);
		}
		if (o->max > 0) {
			bm_buf_puts(out, o->min > 0 ? " to " : " of at most ");
			job_put_size(out, (uint64_t)o->max);
		}
		bm_buf_puts(out, " (\"64KiB\", \"2MiB\", or bytes)");
		break;
	case BM_OPTION_DURATION:
		bm_buf_puts(out, "a duration (\"90s\", \"12h\", \"1d\", or seconds)");
		break;
	case BM_OPTION_BOOL:
		bm_buf_puts(out, "true or false");
		break;
	case BM_OPTION_ENUM:
		job_put_list(out, o->values, "or");
		break;
	case BM_OPTION_ENUMS:
		bm_buf_puts(out, "one or an array of ");
		job_put_list(out, o->values, "or");
		break;
	case BM_OPTION_OBJECT:
	case BM_OPTION_OBJECTS:
		bm_buf_puts(out, "an object with the keys ");
		for (size_t i = 0; i < o->field_count; i++)
			bm_buf_printf(out, "%s%s",
			              i == 0                   ? ""
			              : i + 1 < o->field_count ? ", "
			                                       : " and ",
			              o->fields[i].name);
		if (o->type == BM_OPTION_OBJECTS)
			bm_buf_puts(out, "; or an array of such objects");
		break;
	}
}
