/*
 * runs_html.c - the history of runs, or one run, as a page for a browser, in the frame that the page of an audit has, too
 * (bm_html_page.h). Names are escaped as for a terminal and then for HTML. On a telephone each row becomes a card, so that
 * nothing scrolls sideways.
 */
#include <inttypes.h>
#include <string.h>

#include <bytemill/bytemill.h>

#include "bm_html_page.h"
#include "bm_text.h"
#include "runs_show.h"

static const char sheet[] =
	":root{--width:72rem}\n"
	".t{white-space:nowrap}.steps{max-width:40rem;margin-top:.8rem}\n"
	"@media (max-width:52rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}"
	".runs thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}"
	".runs tr,.runs th,.runs td{display:block;padding:0;border:0;text-align:left;white-space:normal}"
	".runs tr{margin:0 0 .8rem;padding:.7rem .9rem;background:var(--card);border-radius:.4rem}"
	".runs td::before{content:attr(data-k) \" \";color:var(--dim)}}\n";

static const char *class_of(enum bm_catalog_run_state state)
{
	switch (state) {
	case BM_CATALOG_RUN_DONE:
		return "ok";
	case BM_CATALOG_RUN_FAILED:
	case BM_CATALOG_RUN_INTERRUPTED:
		return "bad";
	case BM_CATALOG_RUN_RUNNING:
	case BM_CATALOG_RUN_CANCELLED:
	case BM_CATALOG_RUN_SKIPPED:
		break;
	}
	return "warn";
}

/* ---- the page ---- */

enum bm_status runs_html_begin(struct bm_buf *out, bool is_one, struct bm_error *err)
{
	return bm_html_page_begin(out, is_one ? "A run of bytemill" : "Runs of bytemill", NULL, sheet, err);
}

/* ---- the list ---- */

void runs_html_list_begin(struct bm_buf *out)
{
	static const char *const columns[] = {"Run", "State", "Started"}, *const numbers[] = {"Took",   "Done",
	                                                                                      "Failed", "Skipped",
	                                                                                      "Read",   "Rate"};

	bm_buf_puts(out, "<table class=\"runs\" role=\"table\">\n<caption>The latest first</caption>\n"
	                 "<thead role=\"rowgroup\"><tr role=\"row\">");
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		bm_buf_printf(out, "<th role=\"columnheader\" scope=\"col\">%s</th>", columns[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		bm_buf_printf(out, "<th role=\"columnheader\" scope=\"col\" class=\"n\">%s</th>", numbers[i]);
	bm_buf_puts(out, "</tr></thead>\n<tbody role=\"rowgroup\">\n");
}

static void put_cell(struct bm_buf *out, const char *key, const char *text)
{
	bm_buf_printf(out, "<td role=\"cell\" class=\"n\" data-k=\"%s\">%s</td>", key, text);
}

static void put_number(struct bm_buf *out, const char *key, uint64_t n)
{
	bm_buf_printf(out, "<td role=\"cell\" class=\"n%s\" data-k=\"%s\">%" PRIu64 "</td>",
	              n > 0 && strcmp(key, "Failed") == 0 ? " bad" : "", key, n);
}

void runs_html_row(struct bm_buf *out, const struct bm_catalog_run_row *row)
{
	const uint64_t ms = runs_elapsed_ms(row);
	struct bm_buf text = {0};
	char when[32], took[24], size[16];

	bm_buf_puts(out, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">");
	runs_put_jobs(&text, row);
	bm_html_put_text(out, text.oom ? "?" : text.data);
	bm_buf_puts(out, "<br>");
	bm_html_put_name(out, row->id, strlen(row->id));
	bm_buf_printf(out, "</th><td role=\"cell\" data-k=\"State\"><span class=\"%s\">%s</span></td>",
	              class_of(row->state), bm_catalog_run_state_text(row->state));
	bm_buf_printf(out, "<td role=\"cell\" class=\"t\" data-k=\"Started\">%s</td>",
	              runs_time(row->started_ns, when));
	put_cell(out, "Took", bm_duration_format(ms, took));
	put_number(out, "Done", row->counts.files_done);
	put_number(out, "Failed", row->counts.files_failed);
	put_number(out, "Skipped", row->counts.files_skipped);
	put_cell(out, "Read", bm_size_format(row->counts.bytes_read, size));
	bm_buf_reset(&text);
	runs_put_rate(&text, row->counts.bytes_read, ms);
	put_cell(out, "Rate", text.oom ? "?" : text.data);
	bm_buf_puts(out, "</tr>\n");
	bm_buf_fini(&text);
}

void runs_html_list_end(struct bm_buf *out, uint64_t count)
{
	bm_buf_puts(out, "</tbody>\n</table>\n");
	if (count == 0)
		bm_buf_puts(out, "<p>No run is on record.</p>\n");
}

/* ---- one run ---- */

struct page {
	struct bm_buf *out;
	struct bm_catalog *c;
	int64_t run;
	uint64_t count;
	struct bm_error *err;
	enum bm_status status;
};

static bool put_step(void *ctx, unsigned step, const struct bm_catalog_step *row)
{
	struct page *p = ctx;
	char in[16], out[16], busy[24] = "-"; /* a run before it was measured */

	if (row->busy_ns > 0)
		(void)bm_duration_format(row->busy_ns / 1000000, busy);
	if (p->count++ == 0)
		bm_buf_puts(p->out, "<table class=\"steps\">\n<thead><tr><th scope=\"col\">Step</th>"
		                    "<th scope=\"col\" class=\"n\">Files</th><th scope=\"col\" class=\"n\">In</th>"
		                    "<th scope=\"col\" class=\"n\">Out</th><th scope=\"col\" class=\"n\">Busy</th>"
		                    "</tr></thead>\n<tbody>\n");
	bm_buf_printf(p->out, "<tr><th scope=\"row\">%u ", step);
	bm_html_put_text(p->out, row->kind);
	bm_buf_printf(p->out,
	              "</th><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
	              "<td class=\"n\">%s</td></tr>\n",
	              row->files, bm_size_format(row->bytes_in, in), bm_size_format(row->bytes_out, out), busy);
	return true;
}

static void put_counts(struct bm_buf *out, const struct bm_catalog_counts *n, int64_t started_ns, int64_t ended_ns)
{
	const uint64_t ms = ended_ns > started_ns ? (uint64_t)(ended_ns - started_ns) / 1000000 : 0;
	char took[24], read[16], written[16];

	bm_buf_printf(out,
	              "<dt>Files</dt><dd>%" PRIu64 " done, <span class=\"%s\">%" PRIu64 " failed</span>, %" PRIu64
	              " skipped</dd>\n<dt>Bytes</dt><dd>%s read, %s written</dd>\n<dt>Took</dt><dd>%s",
	              n->files_done, n->files_failed > 0 ? "bad" : "", n->files_failed, n->files_skipped,
	              bm_size_format(n->bytes_read, read), bm_size_format(n->bytes_written, written),
	              bm_duration_format(ms, took));
	if (n->bytes_read > 0 && ms > 0) {
		bm_buf_puts(out, ", ");
		runs_put_rate(out, n->bytes_read, ms);
	}
	bm_buf_puts(out, "</dd>\n");
}

static bool put_job(void *ctx, const struct bm_catalog_job_row *row)
{
	struct page *p = ctx;
	struct page steps = *p;

	bm_buf_puts(p->out, "<section>\n<h2>Job ");
	bm_html_put_name(p->out, row->name, strlen(row->name));
	bm_buf_printf(p->out, ": <span class=\"%s\">%s</span></h2>\n<dl>\n", class_of(row->state),
	              bm_catalog_run_state_text(row->state));
	if (row->file != NULL) {
		bm_buf_puts(p->out, "<dt>Job file</dt><dd>");
		bm_html_put_name(p->out, row->file, strlen(row->file));
		bm_buf_puts(p->out, "</dd>\n");
	}
	if (row->ended_ns != 0)
		put_counts(p->out, &row->counts, row->started_ns, row->ended_ns);
	bm_buf_puts(p->out, "</dl>\n");
	steps.count = 0;
	p->status = bm_catalog_run_list_steps(p->c, p->run, row->job, put_step, &steps, p->err);
	if (steps.count > 0)
		bm_buf_puts(p->out, "</tbody>\n</table>\n");
	bm_buf_puts(p->out, "</section>\n");
	return p->status == BM_OK;
}

static bool put_failure(void *ctx, const struct bm_catalog_failure_row *row)
{
	struct page *p = ctx;

	if (p->count++ == 0)
		bm_buf_puts(p->out,
		            "<section>\n<h2 class=\"bad\">Failed</h2>\n<table>\n<thead><tr><th scope=\"col\">File</th>"
		            "<th scope=\"col\">Why</th></tr></thead>\n<tbody>\n");
	bm_buf_puts(p->out, "<tr><th scope=\"row\">");
	bm_html_put_name(p->out, row->path, row->path_len);
	bm_buf_puts(p->out, "</th><td>");
	bm_html_put_message(p->out, row->text);
	bm_buf_puts(p->out, "</td></tr>\n");
	return true;
}

static void put_answer(struct bm_buf *out, const struct bm_catalog_run_row *row)
{
	static const char *const texts[] = {
		[BM_CATALOG_RUN_RUNNING] = "It is going on.",
		[BM_CATALOG_RUN_DONE] = "All was done.",
		[BM_CATALOG_RUN_FAILED] = "It came to its end, but something failed.",
		[BM_CATALOG_RUN_CANCELLED] = "It was stopped before its end.",
		[BM_CATALOG_RUN_INTERRUPTED] = "It was killed, or the machine went down: nothing is known of its end.",
		[BM_CATALOG_RUN_SKIPPED] = "It was skipped.",
	};
	const char *class = class_of(row->state);

	bm_buf_printf(out, "<p class=\"answer %s\">%s</p>\n", class,
	              (size_t)row->state < sizeof(texts) / sizeof(texts[0]) ? texts[row->state] : "?");
}

enum bm_status runs_html_detail(struct bm_buf *out, struct bm_catalog *c, const struct bm_catalog_run_row *row,
                                struct bm_error *err)
{
	struct page p = {.out = out, .c = c, .run = row->number, .err = err};
	char when[32];
	enum bm_status status;

	put_answer(out, row);
	bm_buf_puts(out, "<dl>\n<dt>Run</dt><dd>");
	bm_html_put_name(out, row->id, strlen(row->id));
	bm_buf_printf(out, "</dd>\n<dt>State</dt><dd>%s", bm_catalog_run_state_text(row->state));
	if (row->has_exit_code)
		bm_buf_printf(out, ", exit code %d", row->exit_code);
	bm_buf_printf(out, "</dd>\n<dt>Started</dt><dd>%s</dd>\n", runs_time(row->started_ns, when));
	if (row->state != BM_CATALOG_RUN_RUNNING)
		bm_buf_printf(out, "<dt>%s</dt><dd>%s</dd>\n",
		              row->state == BM_CATALOG_RUN_INTERRUPTED ? "Last seen" : "Ended",
		              runs_time(row->ended_ns, when));
	bm_buf_printf(out, "<dt>Threads</dt><dd>%u</dd>\n", row->threads);
	put_counts(out, &row->counts, row->started_ns, row->ended_ns);
	if (row->error != NULL) {
		bm_buf_puts(out, "<dt>Error</dt><dd class=\"bad\">");
		bm_html_put_message(out, row->error);
		bm_buf_puts(out, "</dd>\n");
	}
	bm_buf_puts(out, "</dl>\n");
	status = bm_catalog_run_list_jobs(c, row->number, put_job, &p, err);
	if (status == BM_OK)
		status = p.status;
	p.count = 0;
	if (status == BM_OK)
		status = bm_catalog_run_list_failures(c, row->number, put_failure, &p, err);
	if (p.count > 0)
		bm_buf_puts(out, "</tbody>\n</table>\n</section>\n");
	return status;
}
