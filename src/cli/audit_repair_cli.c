/*
 * audit_repair_cli.c - see audit_repair_cli.h.
 *
 * With the table, a line a file behind it, then counts; with JSON an object a file, behind those of the audit, and one
 * with the counts before the summary; formats of other programs have no room for it, so these get lines on standard error.
 * A report gets the same objects behind its summary, which the run wrote before anything was repaired, and a page for
 * people lists of its own.
 */
#include "audit_repair_cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "commands.h"
#include "console.h"
#include "signals.h"

struct bm_cli_repair {
	struct bm_audit_repair *repair;
	enum bm_audit_format format;
	bool dry_run, quiet;
	uint64_t told;
	struct bm_cli_repair_to to;
};

static bool is_stopped(void *ctx)
{
	(void)ctx;
	return bm_signals_name() != NULL;
}

int bm_cli_repair_create(const struct bm_cli_options *o, const struct bm_audit_options *ao, unsigned only,
                         struct bm_cli_repair **out)
{
	struct bm_audit_repair_options how = {
		.from = o->repair_from, .verdicts = only, .dry_run = o->dry_run, .is_stopped = is_stopped};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_cli_repair *r;

	*out = NULL;
	if (o->repair_from == NULL)
		return 0;
	if (o->update != NULL)
		return bm_usage_error("audit",
		                      "--repair-from and --update cannot be used together: the one takes the manifest "
		                      "for right, the other the files");
	if ((only & BM_AUDIT_REPAIRABLE) == 0)
		return bm_usage_error("audit",
		                      "--repair-from repairs what is changed, rotted or missing, and --only names "
		                      "none of these");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		(void)bm_error_set_nomem(&err);
	if (r == NULL || bm_audit_repair_create(ao, &how, &r->repair, &err) != BM_OK) {
		bm_console_say_error(&err);
		free(r);
		return BM_EXIT_USAGE;
	}
	r->format = o->audit_format >= 0 ? (enum bm_audit_format)o->audit_format : BM_AUDIT_TABLE;
	r->dry_run = o->dry_run;
	r->quiet = o->quiet;
	*out = r;
	return 0;
}

void bm_cli_repair_destroy(struct bm_cli_repair *r)
{
	if (r == NULL)
		return;
	bm_audit_repair_destroy(r->repair);
	free(r);
}

void bm_cli_repair_file(struct bm_cli_repair *r, const struct bm_file_result *f)
{
	bm_audit_repair_file(r->repair, f);
}

/* ---- what is said ---- */

static const char *result_of(const struct bm_cli_repair *r, const struct bm_audit_repaired *f)
{
	return !f->is_good ? "unrepaired" : r->dry_run ? "repairable" : "repaired";
}

static uint64_t told_spans(const struct bm_file_damage *d)
{
	return d->span_count < BM_DAMAGE_SPANS ? d->span_count : BM_DAMAGE_SPANS;
}

static void put_people(struct bm_buf *out, const struct bm_cli_repair *r, const struct bm_audit_repaired *f)
{
	size_t named;

	bm_buf_printf(out, "%-10s  ", result_of(r, f));
	bm_escape_display(out, f->path, strlen(f->path));
	bm_buf_puts(out, ": ");
	named = out->len;
	bm_audit_put_repaired(out, f);
	if (!out->oom && out->len == named)
		out->data[out->len -= 2] = '\0';
}

static void put_json(struct bm_buf *out, const struct bm_cli_repair *r, const struct bm_audit_repaired *f)
{
	const struct bm_file_damage *d = &f->damage;

	bm_buf_puts(out, "{\"type\":\"repair\",");
	bm_json_put_name(out, "path", f->path, strlen(f->path));
	bm_buf_printf(out, ",\"verdict\":\"%s\",\"result\":\"%s\"", bm_verdict_text(f->verdict), result_of(r, f));
	if (f->is_good) {
		bm_buf_printf(out, ",\"whole\":%s,\"bytes\":%" PRIu64 ",\"size\":%" PRIu64 ",\"ranges\":[",
		              f->is_whole ? "true" : "false", d->damaged_bytes, d->size_bytes);
		for (uint64_t i = 0; i < told_spans(d); i++)
			bm_buf_printf(out, "%s[%" PRIu64 ",%" PRIu64 "]", i > 0 ? "," : "", d->spans[i].first,
			              d->spans[i].last);
		bm_buf_printf(out, "],\"more_ranges\":%" PRIu64, d->span_count - told_spans(d));
	}
	if (f->text != NULL) {
		bm_buf_printf(out, ",\"%s\":", f->is_good ? "warning" : "reason");
		bm_json_put_string(out, f->text, strlen(f->text));
	}
	bm_buf_puts(out, "}\n");
}

static void put_counts(struct bm_buf *out, const struct bm_cli_repair *r, const struct bm_audit_repair_stats *s)
{
	bm_buf_printf(out, "{\"type\":\"repairs\",\"%s\":%" PRIu64 ",\"unrepaired\":%" PRIu64 "}\n",
	              r->dry_run ? "repairable" : "repaired", s->repaired, s->unrepaired);
}

/* A failed write is seen at the end. */
static void put_line(const struct bm_buf *line, FILE *out)
{
	if (line->oom)
		bm_console_say(BM_CONSOLE_ERROR, "out of memory: a file is not told of");
	else
		fwrite(line->data, 1, line->len, out);
}

static void on_file(void *ctx, const struct bm_audit_repaired *f)
{
	struct bm_cli_repair *r = ctx;
	struct bm_buf line = {0}, object = {0};

	bm_audit_html_repaired(r->to.page, f);
	put_people(&line, r, f);
	put_json(&object, r, f);
	if (r->to.report != NULL)
		put_line(&object, r->to.report);
	if (r->format == BM_AUDIT_JSON) {
		put_line(&object, stdout);
	} else if (r->format == BM_AUDIT_TABLE) {
		if (r->told == 0)
			putchar('\n');
		bm_buf_putc(&line, '\n');
		put_line(&line, stdout);
	} else {
		bm_console_tell(bm_console_unless(r->quiet && f->is_good), BM_CONSOLE_PLAIN, "%s",
		                line.oom ? "out of memory: a file is not told of" : line.data);
	}
	r->told++;
	bm_buf_fini(&line);
	bm_buf_fini(&object);
}

/* False: the report cannot be written, and that was told. */
static bool end_report(const struct bm_cli_repair *r, const struct bm_audit_repair_stats *s, bool was_bad)
{
	struct bm_buf line = {0};

	if (r->to.report == NULL)
		return true;
	put_counts(&line, r, s);
	put_line(&line, r->to.report);
	bm_buf_fini(&line);
	if (was_bad || (fflush(r->to.report) == 0 && ferror(r->to.report) == 0))
		return true;
	bm_console_say(BM_CONSOLE_ERROR, "the report cannot be written: what was repaired is not in it");
	return false;
}

bool bm_cli_repair_run(struct bm_cli_repair *r, const struct bm_cli_repair_to *to, struct bm_summary *sum)
{
	struct bm_audit_repair_stats s;
	struct bm_error err = BM_ERROR_INIT;
	bool was_bad = to->report != NULL && ferror(to->report) != 0, good;
	const char *what = r->dry_run ? "repairable" : "repaired";
	struct bm_buf line = {0};

	r->to = *to;
	bm_audit_html_repairs(to->page, r->dry_run);
	good = bm_audit_repair_run(r->repair, on_file, r, &s, &err) == BM_OK;
	for (int v = 0; v < BM_VERDICT_COUNT && good; v++)
		sum->verdicts[v] -= s.good[v];
	if (r->format == BM_AUDIT_JSON) {
		put_counts(&line, r, &s);
		put_line(&line, stdout);
		bm_buf_fini(&line);
	} else if (r->format == BM_AUDIT_TABLE && r->told > 0) {
		printf("\n%-21s %14" PRIu64 "\n%-21s %14" PRIu64 "\n", what, s.repaired, "unrepaired", s.unrepaired);
	} else if (r->told > 0) {
		bm_console_tell(bm_console_unless(r->quiet), BM_CONSOLE_PLAIN, "%" PRIu64 " %s, %" PRIu64 " unrepaired",
		                s.repaired, what, s.unrepaired);
	}
	if (!good)
		bm_console_say_error(&err);
	return end_report(r, &s, was_bad) && good;
}
