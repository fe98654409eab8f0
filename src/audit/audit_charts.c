/*
 * audit_charts.c - see audit_charts.h: how much of a root was verified how long ago, and when each file was last verified.
 *
 * The view boxes are as wide as a telephone's screen, so that text there has the size of the page's text; on a wide
 * screen the charts stand side by side. A chart is one image to a screen reader, with a title and a sentence that sums it
 * up; the table below it has each number. Colours come from the page's classes, so that light and dark need no second
 * drawing. Shares are of bytes, as in bytemill catalog, or of files where all of them are empty.
 */
#include "audit_charts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bm_catalog.h"
#include "bm_error.h"
#include "bm_text.h"

#define DAY_NS (INT64_C(24) * 3600 * 1000000000)
#define WIDTH 312
#define COLUMNS 12
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	int days;
	const char *label;
} ages[] = {
	{7, "7 days or less"},
	{30, "8 to 30 days"},
	{90, "31 to 90 days"},
	{365, "91 to 365 days"},
};
#define AGES (COUNT(ages) + 1)

void audit_html_put_count(struct bm_buf *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			bm_buf_putc(out, ',');
		bm_buf_putc(out, digits[i]);
	}
}

static void put_day(struct bm_buf *out, int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;
	char text[32];

	if (gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%d", &tm) > 0)
		bm_buf_puts(out, text);
}

static double share(const struct bm_catalog_count *part, const struct bm_catalog_count *all)
{
	if (all->bytes > 0)
		return (double)part->bytes / (double)all->bytes;
	return all->files > 0 ? (double)part->files / (double)all->files : 0;
}

/* Only all of it is 100, and only nothing is 0. */
static void put_percent(struct bm_buf *out, const struct bm_catalog_count *part, const struct bm_catalog_count *all)
{
	double p = share(part, all) * 100;

	if (p > 0 && p < 1)
		bm_buf_puts(out, "&lt;1 %");
	else
		bm_buf_printf(out, "%d %%", (int)p);
}

static void begin_chart(struct bm_buf *out, const char *id, const char *heading, int height)
{
	bm_buf_printf(
		out,
		"<figure>\n<h3 id=\"%s\">%s</h3>\n"
		"<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">%s</title>\n",
		id, heading, WIDTH, height, id, id, id, heading);
}

static void begin_numbers(struct bm_buf *out, const char *caption, const char *first)
{
	bm_buf_printf(out,
	              "</svg>\n<details><summary>The numbers</summary>\n<table>\n<caption>%s</caption>\n<thead><tr>"
	              "<th scope=\"col\">%s</th><th scope=\"col\" class=\"n\">Files</th>"
	              "<th scope=\"col\" class=\"n\">Size</th></tr></thead>\n<tbody>\n",
	              caption, first);
}

static void put_numbers(struct bm_buf *out, const struct bm_catalog_count *n)
{
	char size[16];

	bm_buf_puts(out, "</th><td class=\"n\">");
	audit_html_put_count(out, n->files);
	bm_buf_printf(out, "</td><td class=\"n\">%s</td></tr>\n", bm_size_format(n->bytes, size));
}

static void end_numbers(struct bm_buf *out)
{
	bm_buf_puts(out, "</tbody>\n</table>\n</details>\n</figure>\n");
}

/* ---- coverage by age ---- */

static void put_ages(struct bm_buf *out, const struct bm_catalog_coverage *c)
{
	const int row = 40;
	struct bm_catalog_count recent = {c->age[0].files + c->age[1].files, c->age[0].bytes + c->age[1].bytes};

	begin_chart(out, "age", "Coverage by age", (int)AGES * row);
	bm_buf_puts(out, "<desc id=\"age-d\">");
	put_percent(out, &recent, &c->all);
	bm_buf_puts(out, " was verified within 30 days.</desc>\n");
	for (size_t i = 0; i < AGES; i++) {
		int top = (int)i * row;
		double wide = share(&c->age[i], &c->all) * WIDTH;

		bm_buf_printf(out, "<text x=\"0\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" class=\"end\">", top + 15,
		              i < COUNT(ages) ? ages[i].label : "longer ago", WIDTH, top + 15);
		put_percent(out, &c->age[i], &c->all);
		bm_buf_printf(out,
		              "</text><rect class=\"track\" x=\"0\" y=\"%d\" width=\"%d\" height=\"10\" rx=\"3\"/>",
		              top + 22, WIDTH);
		if (wide > 0)
			bm_buf_printf(out,
			              "<rect class=\"%s\" x=\"0\" y=\"%d\" width=\"%d.%d\" height=\"10\" rx=\"3\"/>",
			              i < 2          ? "fresh"
			              : i < AGES - 1 ? "due"
			                             : "stale",
			              top + 22, (int)wide, wide < 1 ? 9 : (int)(wide * 10) % 10);
		bm_buf_putc(out, '\n');
	}
	begin_numbers(out, "Files by the age of their last verification", "Last verified");
	for (size_t i = 0; i < AGES; i++) {
		bm_buf_printf(out, "<tr><th scope=\"row\">%s", i < COUNT(ages) ? ages[i].label : "longer ago");
		put_numbers(out, &c->age[i]);
	}
	end_numbers(out);
}

/* ---- verified over time ---- */

struct columns {
	int64_t width_ns;
	int64_t since_ns[COLUMNS]; /* the latest first */
};

static void choose_columns(struct columns *k, int64_t oldest_ns, int64_t now_ns)
{
	static const int steps[] = {1, 2, 7, 14, 30, 91, 182, 365};
	int64_t days = (now_ns - oldest_ns) / DAY_NS + 1, width = 0;

	for (size_t i = 0; i < COUNT(steps) && width * COLUMNS < days; i++)
		width = steps[i];
	while (width * COLUMNS < days)
		width += 365;
	k->width_ns = width * DAY_NS;
	for (int i = 0; i < COLUMNS; i++)
		k->since_ns[i] = now_ns - (i + 1) * k->width_ns;
}

static void put_columns(struct bm_buf *out, const struct columns *k, const struct bm_catalog_coverage *c)
{
	const int height = 150, base = 175, each = WIDTH / COLUMNS;
	int days = (int)(k->width_ns / DAY_NS);
	uint64_t most = 0;
	char size[16];

	for (int i = 0; i < COLUMNS; i++) {
		uint64_t n = c->all.bytes > 0 ? c->age[i].bytes : c->age[i].files;

		most = n > most ? n : most;
	}
	begin_chart(out, "time", "Verified over time", base + 25);
	bm_buf_puts(out, "<desc id=\"time-d\">When each file was last verified, from ");
	put_day(out, k->since_ns[COLUMNS - 1]);
	bm_buf_puts(out, " to ");
	put_day(out, k->since_ns[0] + k->width_ns);
	bm_buf_printf(out, ", a column for %d day%s.</desc>\n<text x=\"0\" y=\"12\">", days, days == 1 ? "" : "s");
	if (c->all.bytes > 0) {
		bm_buf_printf(out, "%s", bm_size_format(most, size));
	} else {
		audit_html_put_count(out, most);
		bm_buf_puts(out, most == 1 ? " file" : " files");
	}
	bm_buf_printf(out,
	              " at most in %d day%s</text>\n<line class=\"axis\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n",
	              days, days == 1 ? "" : "s", WIDTH, base, base);
	for (int i = 0; i < COLUMNS; i++) {
		uint64_t n = c->all.bytes > 0 ? c->age[i].bytes : c->age[i].files;
		int high = most > 0 ? (int)((double)n / (double)most * height) : 0;

		if (c->age[i].files == 0)
			continue;
		high = high < 2 ? 2 : high;
		bm_buf_printf(out, "<rect class=\"fresh\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
		              WIDTH - (i + 1) * each + 3, base - high, each - 6, high);
	}
	bm_buf_printf(out, "<text x=\"0\" y=\"%d\">", base + 18);
	put_day(out, k->since_ns[COLUMNS - 1]);
	bm_buf_printf(out, "</text><text x=\"%d\" y=\"%d\" class=\"end\">", WIDTH, base + 18);
	put_day(out, k->since_ns[0] + k->width_ns);
	bm_buf_puts(out, "</text>\n");
	begin_numbers(out, "Files by the time of their last verification", days == 1 ? "Day before" : "Days before");
	for (int i = 0; i < COLUMNS; i++) {
		if (c->age[i].files == 0)
			continue;
		bm_buf_puts(out, "<tr><th scope=\"row\">");
		put_day(out, k->since_ns[i] + k->width_ns);
		put_numbers(out, &c->age[i]);
	}
	end_numbers(out);
}

/* ---- both ---- */

/* Found by any audit, not by this one alone. */
static void put_ill(struct bm_buf *out, const struct bm_catalog_coverage *c)
{
	static const struct {
		enum bm_catalog_file_state state;
		const char *word;
	} ill[] = {
		{BM_CATALOG_DAMAGED, "damaged"},
		{BM_CATALOG_MISSING, "missing"},
		{BM_CATALOG_UNREADABLE, "unreadable"},
	};
	bool any = false;

	for (size_t i = 0; i < COUNT(ill); i++) {
		uint64_t n = c->state[ill[i].state].files;

		if (n == 0)
			continue;
		bm_buf_puts(out, any ? ", " : "<p class=\"bad\">Not well, found by this audit or an earlier one: ");
		audit_html_put_count(out, n);
		bm_buf_printf(out, " %s", ill[i].word);
		any = true;
	}
	if (any)
		bm_buf_puts(out, ". <code>bytemill catalog</code> names them.</p>\n");
}

enum bm_status audit_charts_put(struct bm_buf *out, struct bm_audit_catalog *catalog, struct bm_error *err)
{
	struct bm_catalog_coverage *c = calloc(1, sizeof(*c));
	int64_t now_ns = bm_catalog_now(), since_ns[COUNT(ages)];
	struct columns k;
	enum bm_status status;

	if (c == NULL)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < COUNT(ages); i++)
		since_ns[i] = now_ns - ages[i].days * DAY_NS;
	status = bm_audit_catalog_coverage(catalog, since_ns, COUNT(ages), c, err);
	if (status != BM_OK || c->all.files == 0)
		goto out;
	bm_buf_puts(out, "<section aria-labelledby=\"record\">\n<h2 id=\"record\">On record</h2>\n<p>");
	audit_html_put_count(out, c->all.files);
	if (c->oldest_ns != 0) {
		bm_buf_puts(out, c->all.files == 1 ? " file is on record; it was verified on "
		                                   : " files are on record; the one verified longest ago was on ");
		put_day(out, c->oldest_ns);
	} else {
		bm_buf_puts(out, c->all.files == 1 ? " file is on record" : " files are on record");
	}
	bm_buf_puts(out, ".</p>\n");
	if (c->future.files > 0) {
		bm_buf_puts(out,
		            "<p class=\"bad\">Verified at a time that is yet to come, by a clock that was wrong: ");
		audit_html_put_count(out, c->future.files);
		bm_buf_puts(out, ". They count as verified longer ago than all others, and are due.</p>\n");
	}
	put_ill(out, c);
	bm_buf_puts(out, "<div class=\"charts\">\n");
	put_ages(out, c);
	choose_columns(&k, c->oldest_ns != 0 ? c->oldest_ns : now_ns, now_ns);
	status = bm_audit_catalog_coverage(catalog, k.since_ns, COLUMNS, c, err);
	if (status == BM_OK)
		put_columns(out, &k, c);
	bm_buf_puts(out, "</div>\n</section>\n");
	if (status == BM_OK && out->oom)
		status = bm_error_set_nomem(err);
out:
	free(c);
	return status;
}
