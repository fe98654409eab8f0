/*
 * What each step takes, for people: as plain text for `bytemill steps` and as macros for the man page. Both walk the
 * tables and say of an option its name, what it may be, its default, and its help line.
 *
 * Text is at most TEXT_COLUMNS wide, so that it reads well in a small terminal and in a mail:
 *
 *   level       an integer from 0 to 9; default 6
 *               0 stores, 1 is fastest, 9 is smallest
 */
#include "job_internal.h"

#include <string.h>

#define TEXT_COLUMNS 100

/* ---- plain text ---- */

/* Prints text word by word from the column that the line has reached; continues at indent. */
static void print_wrapped(FILE *out, size_t column, size_t indent, const char *text)
{
	bool at_start = true;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (!at_start && column + 1 + len > TEXT_COLUMNS) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
			at_start = true;
		}
		fprintf(out, "%s%.*s", at_start ? "" : " ", (int)len, text);
		column += len + (at_start ? 0 : 1);
		at_start = false;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* Of options and of the keys of those that are objects, "notify.on". */
static size_t widest(const struct bm_option *options, size_t count)
{
	size_t width = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(options[i].name);
		size_t inner = widest(options[i].fields, options[i].field_count);

		if (inner > 0)
			len += 1 + inner;
		if (len > width)
			width = len;
	}
	return width;
}

/* What the option may be and its default. */
static void put_facts(struct bm_buf *b, const struct bm_option *o)
{
	job_put_allowed(b, o);
	if (o->required)
		bm_buf_puts(b, "; required");
	if (o->default_json != NULL)
		bm_buf_printf(b, "; default %s", o->default_json);
}

/* prefix: "" or "notify." */
static void print_rows(FILE *out, size_t indent, const char *prefix, const struct bm_option *options, size_t count)
{
	struct bm_buf facts = {0}, name = {0};

	for (size_t i = 0; i < count; i++) {
		bm_buf_reset(&facts);
		bm_buf_reset(&name);
		put_facts(&facts, &options[i]);
		bm_buf_printf(&name, "%s%s", prefix, options[i].name);
		fprintf(out, "  %-*s", (int)indent - 2, name.oom ? options[i].name : name.data);
		print_wrapped(out, indent, indent, facts.data != NULL ? facts.data : "");
		fprintf(out, "%*s", (int)indent, "");
		print_wrapped(out, indent, indent, options[i].help);
		bm_buf_putc(&name, '.');
		if (options[i].field_count > 0 && !name.oom)
			print_rows(out, indent, name.data, options[i].fields, options[i].field_count);
	}
	bm_buf_fini(&facts);
	bm_buf_fini(&name);
}

static void print_options(FILE *out, const struct bm_option *options, size_t count)
{
	print_rows(out, 2 + widest(options, count) + 2, "", options, count);
}

static void print_all(FILE *out)
{
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);
	size_t option_count;
	const struct bm_option *options = bm_job_options(&option_count);
	size_t width = 0;

	for (size_t i = 0; i < count; i++)
		if (strlen(kinds[i]->name) > width)
			width = strlen(kinds[i]->name);
	fprintf(out, "Steps (\"bytemill steps STEP\" tells what one takes):\n");
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "  %-*s", (int)width + 2, kinds[i]->name);
		print_wrapped(out, 2 + width + 2, 2 + width + 2, kinds[i]->help);
	}
	fprintf(out, "\nKeys of a job, besides \"steps\":\n");
	print_options(out, options, option_count);
}

void bm_steps_print(FILE *out, const char *step)
{
	const struct bm_step_kind *kind = step != NULL ? bm_step_find(step) : NULL;

	if (step == NULL) {
		print_all(out);
	} else if (kind != NULL) {
		fprintf(out, "%s: ", kind->name);
		print_wrapped(out, strlen(kind->name) + 2, strlen(kind->name) + 2, kind->help);
		fputc('\n', out);
		print_options(out, kind->options, kind->option_count);
		if (kind->about_build != NULL) {
			struct bm_buf about = {0};

			kind->about_build(&about);
			fputc('\n', out);
			print_wrapped(out, 0, 0, about.data != NULL ? about.data : "");
			bm_buf_fini(&about);
		}
	}
}

/* ---- man ---- */

/* Text that troff takes as it is: no request at the start of a line, no escapes, plain hyphens and quotes. */
static void put_man(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '\\':
			fputs("\\e", out);
			break;
		case '-':
			fputs("\\-", out);
			break;
		case '\'':
			fputs("\\(aq", out);
			break;
		case '`':
			fputs("\\(ga", out);
			break;
		case '~':
			fputs("\\(ti", out);
			break;
		case '^':
			fputs("\\(ha", out);
			break;
		default:
			fputc(*text, out);
		}
	}
	fputc('\n', out);
}

static void print_man_options(FILE *out, const char *prefix, const struct bm_option *options, size_t count)
{
	struct bm_buf facts = {0}, name = {0};

	for (size_t i = 0; i < count; i++) {
		bm_buf_reset(&facts);
		bm_buf_reset(&name);
		put_facts(&facts, &options[i]);
		bm_buf_printf(&name, "%s%s", prefix, options[i].name);
		fputs(".TP\n.B ", out);
		put_man(out, name.oom ? options[i].name : name.data);
		put_man(out, facts.data != NULL ? facts.data : "");
		fputs(".br\n", out);
		put_man(out, options[i].help);
		bm_buf_putc(&name, '.');
		if (options[i].field_count > 0 && !name.oom)
			print_man_options(out, name.data, options[i].fields, options[i].field_count);
	}
	bm_buf_fini(&facts);
	bm_buf_fini(&name);
}

void bm_steps_print_man(FILE *out)
{
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);
	size_t option_count;
	const struct bm_option *options = bm_job_options(&option_count);

	fputs(".SH STEPS\n", out);
	for (size_t i = 0; i < count; i++) {
		fputs(".SS ", out);
		put_man(out, kinds[i]->name);
		put_man(out, kinds[i]->help);
		print_man_options(out, "", kinds[i]->options, kinds[i]->option_count);
	}
	fputs(".SS Keys of a job\n", out);
	put_man(out, "Besides \"steps\", a job may have these keys");
	print_man_options(out, "", options, option_count);
}
