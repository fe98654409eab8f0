/*
 * cron_expr.c - crontab(5)'s five fields.
 *
 * A field is a list of parts: "*", a number, a range, the first and the last with a step. Months and days of the week
 * have names too. That is what Debian's cron takes, and no more, so that what is accepted here is accepted there.
 *
 * Day of month and day of week: where one of them begins with '*' both must fit, else either.
 */
#include "cron_expr.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bm_error.h"
#include "bm_text.h"

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct {
	const char *name;
	unsigned min, max;
	const char *const *values; /* names of min, min + 1 ...; NULL: none */
	const char *allowed;
} fields[FIELD_COUNT] = {
	[MINUTE] = {"minute", 0, 59, NULL, "0 to 59"},
	[HOUR] = {"hour", 0, 23, NULL, "0 to 23"},
	[DAY] = {"day of the month", 1, 31, NULL, "1 to 31"},
	[MONTH] = {"month", 1, 12, month_names, "1 to 12 or jan to dec"},
	[WEEKDAY] = {"day of the week", 0, 7, weekday_names, "0 to 7 (0 and 7 are Sunday) or sun to sat"},
};

static const struct {
	const char *word, *means;
} macros[] = {
	{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};
#define MACRO_COUNT (sizeof(macros) / sizeof(macros[0]))

/* ---- reading ---- */

static enum bm_status refuse(unsigned field, const char *text, size_t len, const char *why, struct bm_error *err)
{
	char shown[80];

	bm_escape_display_buf(shown, sizeof(shown), text, len);
	return bm_error_set(err, BM_ERR_USAGE, NULL, "%s is \"%s\": %s", fields[field].name, shown, why);
}

/* A number or name at *at, which moves behind it. False: there is none, or it is out of range. */
static bool get_value(unsigned field, const char **at, const char *end, unsigned *value)
{
	const char *p = *at;
	unsigned v = 0;

	if (p < end && isdigit((unsigned char)*p)) {
		for (; p < end && isdigit((unsigned char)*p); p++)
			v = v < 1000 ? v * 10 + (unsigned)(*p - '0') : v;
		*at = p;
		*value = v;
		return v >= fields[field].min && v <= fields[field].max;
	}
	for (unsigned i = 0; fields[field].values != NULL && fields[field].values[i] != NULL; i++) {
		if (end - p >= 3 && strncasecmp(p, fields[field].values[i], 3) == 0) {
			*at = p + 3;
			*value = fields[field].min + i;
			return true;
		}
	}
	return false;
}

/* One part of a list: text[0..len). */
static enum bm_status parse_part(unsigned field, const char *text, size_t len, uint64_t *bits, struct bm_error *err)
{
	const char *at = text, *end = text + len;
	unsigned first = fields[field].min, last = fields[field].max, step = 1;
	bool is_range = false;
	char why[160];

	snprintf(why, sizeof(why),
	         "allowed: %s, ranges (a-b), \"*\", steps (*/n, a-b/n), and lists of these with commas",
	         fields[field].allowed);
	if (len == 0)
		return refuse(field, text, len, why, err);
	if (*at == '*') {
		at++;
		is_range = true;
		if (field == WEEKDAY)
			last = 6;
	} else {
		if (!get_value(field, &at, end, &first))
			return refuse(field, text, len, why, err);
		last = first;
		if (at < end && *at == '-') {
			at++;
			is_range = true;
			if (!get_value(field, &at, end, &last))
				return refuse(field, text, len, why, err);
			if (last < first)
				return refuse(field, text, len,
				              "the range goes backwards; write it as two, as 22-23,0-5 for 22-5", err);
		}
	}
	if (at < end && *at == '/') {
		if (!is_range)
			return refuse(field, text, len, "a step goes with a range or \"*\": 5-59/10, */10", err);
		step = 0;
		for (at++; at < end && isdigit((unsigned char)*at); at++)
			step = step < 1000 ? step * 10 + (unsigned)(*at - '0') : step;
		if (step == 0)
			return refuse(field, text, len, "a step is a number from 1 on", err);
	}
	if (at != end)
		return refuse(field, text, len, why, err);
	for (unsigned v = first; v <= last; v += step) /* a step may be longer than the field: 60 minutes */
		*bits |= UINT64_C(1) << (field == WEEKDAY ? v % 7 : v);
	return BM_OK;
}

static enum bm_status parse_field(unsigned field, const char *text, size_t len, uint64_t *bits, struct bm_error *err)
{
	*bits = 0;
	for (;;) {
		const char *comma = memchr(text, ',', len);
		size_t part = comma != NULL ? (size_t)(comma - text) : len;
		enum bm_status status = parse_part(field, text, part, bits, err);

		if (status != BM_OK || comma == NULL)
			return status;
		text += part + 1;
		len -= part + 1;
	}
}

/* Is there such a day in some year? */
static bool has_day(const struct bm_cron *c)
{
	static const unsigned char days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (!c->day_star && !c->dow_star)
		return true; /* the day of the week is enough */
	for (unsigned month = 1; month <= 12; month++)
		for (unsigned day = 1; day <= days[month]; day++)
			if ((c->fields[MONTH] >> month & 1) != 0 && (c->fields[DAY] >> day & 1) != 0)
				return true;
	return false;
}

static enum bm_status unknown_macro(const char *text, struct bm_error *err)
{
	const char *names[MACRO_COUNT + 2] = {NULL};
	const char *near;
	char shown[80];

	for (size_t i = 0; i < MACRO_COUNT; i++)
		names[i] = macros[i].word;
	names[MACRO_COUNT] = "@reboot";
	near = bm_suggest(text, names);
	bm_escape_display_buf(shown, sizeof(shown), text, strlen(text));
	return bm_error_set(
		err, BM_ERR_USAGE, NULL,
		"\"%s\" is no word of cron's; allowed: @yearly, @monthly, @weekly, @daily, @hourly, @reboot%s%s%s",
		shown, near != NULL ? " (did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?)" : "");
}

enum bm_status bm_cron_parse(const char *text, struct bm_cron *c, struct bm_error *err)
{
	const char *words[FIELD_COUNT];
	size_t lens[FIELD_COUNT], count = 0;

	memset(c, 0, sizeof(*c));
	text += strspn(text, " \t");
	if (*text == '@') {
		struct bm_buf word = {0};
		const char *means = NULL;
		enum bm_status status;

		bm_cron_put_words(&word, text);
		if (word.oom || word.data == NULL)
			return bm_error_set_nomem(err);
		for (size_t i = 0; i < MACRO_COUNT; i++)
			if (strcmp(word.data, macros[i].word) == 0)
				means = macros[i].means;
		c->at_boot = strcmp(word.data, "@reboot") == 0;
		if (means != NULL)
			status = bm_cron_parse(means, c, err);
		else
			status = c->at_boot ? BM_OK : unknown_macro(word.data, err);
		bm_buf_fini(&word);
		return status;
	}
	for (const char *p = text; *p != '\0'; count++) {
		size_t len = strcspn(p, " \t");

		if (count < FIELD_COUNT) {
			words[count] = p;
			lens[count] = len;
		}
		p += len;
		p += strspn(p, " \t");
	}
	if (count != FIELD_COUNT) {
		char shown[80];

		return bm_error_set(
			err, BM_ERR_USAGE, NULL,
			"\"%s\" has %zu field%s; it takes 5: minute, hour, day of the month, month, day of the "
			"week, as in \"0 3 * * *\"",
			bm_escape_display_buf(shown, sizeof(shown), text, strlen(text)), count, count == 1 ? "" : "s");
	}
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		enum bm_status status = parse_field(i, words[i], lens[i], &c->fields[i], err);

		if (status != BM_OK)
			return status;
	}
	c->day_star = words[DAY][0] == '*';
	c->dow_star = words[WEEKDAY][0] == '*';
	if (!has_day(c))
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "no year has such a day: look at the day of the month and the month");
	return BM_OK;
}

/* ---- writing ---- */

void bm_cron_put_words(struct bm_buf *out, const char *text)
{
	bool is_first = true;

	text += strspn(text, " \t");
	while (*text != '\0') {
		size_t len = strcspn(text, " \t");

		if (!is_first)
			bm_buf_putc(out, ' ');
		is_first = false;
		bm_buf_put(out, text, len);
		text += len;
		text += strspn(text, " \t");
	}
}

static void put_value(struct bm_buf *out, unsigned field, unsigned value)
{
	static const char *const names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

	if (field == WEEKDAY)
		bm_buf_puts(out, names[value % 7]);
	else
		bm_buf_printf(out, "%02u", value);
}

/* "*", "03", "01,15", "Mon..Fri". Weeks begin on Monday there: Sunday is 7. */
static void put_field(struct bm_buf *out, const struct bm_cron *c, unsigned field)
{
	unsigned min = field == WEEKDAY ? 1 : fields[field].min;
	unsigned max = fields[field].max;
	uint64_t bits = c->fields[field];
	bool is_first = true;

	if (field == WEEKDAY)
		bits |= (bits & 1) << 7;
	for (unsigned v = min; v <= max; v++) {
		unsigned last = v;

		if ((bits >> v & 1) == 0)
			continue;
		while (last < max && (bits >> (last + 1) & 1) != 0)
			last++;
		if (v == min && last == max) {
			bm_buf_putc(out, '*');
			return;
		}
		if (!is_first)
			bm_buf_putc(out, ',');
		is_first = false;
		put_value(out, field, v);
		if (last > v) {
			bm_buf_puts(out, last > v + 1 ? ".." : ",");
			put_value(out, field, last);
		}
		v = last;
	}
}

static bool is_restricted(const struct bm_cron *c, unsigned field)
{
	struct bm_buf text = {0};
	bool all;

	put_field(&text, c, field);
	all = !text.oom && text.data != NULL && strcmp(text.data, "*") == 0;
	bm_buf_fini(&text);
	return !all;
}

static void put_line(struct bm_buf *out, const struct bm_cron *c, bool by_day, bool by_weekday)
{
	bm_buf_puts(out, "OnCalendar=");
	if (by_weekday && is_restricted(c, WEEKDAY)) {
		put_field(out, c, WEEKDAY);
		bm_buf_putc(out, ' ');
	}
	bm_buf_puts(out, "*-");
	put_field(out, c, MONTH);
	bm_buf_putc(out, '-');
	if (by_day)
		put_field(out, c, DAY);
	else
		bm_buf_putc(out, '*');
	bm_buf_putc(out, ' ');
	put_field(out, c, HOUR);
	bm_buf_putc(out, ':');
	put_field(out, c, MINUTE);
	bm_buf_puts(out, ":00\n");
}

void bm_cron_put_calendar(struct bm_buf *out, const struct bm_cron *c)
{
	if (c->at_boot) {
		bm_buf_puts(out, "OnBootSec=1min\n");
	} else if (c->day_star || c->dow_star) {
		put_line(out, c, true, true);
	} else {
		put_line(out, c, true, false);
		put_line(out, c, false, true);
	}
}
