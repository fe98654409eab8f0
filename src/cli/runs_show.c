/*
 * runs_show.c - runs on record as text and as JSON Lines; the page is runs_html.c's.
 *
 * Times are local for people and UTC for programs. Names are other people's bytes: escaped for a terminal, and in JSON as
 * in reports (bm_report.h).
 */
#include "runs_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bm_text.h"

#define NS_PER_S 1000000000

uint64_t runs_elapsed_ms(const struct bm_catalog_run_row *row)
{
	return row->ended_ns > row->started_ns ? (uint64_t)(row->ended_ns - row->started_ns) / 1000000 : 0;
}

const char *runs_time(int64_t ns, char buf[static 32])
{
	time_t t = (time_t)(ns / NS_PER_S);
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		memcpy(buf, "?", 2);
	return buf;
}

void runs_put_rate(struct bm_buf *out, uint64_t bytes, uint64_t elapsed_ms)
{
	char size[16];

	if (elapsed_ms == 0 || bytes == 0)
		bm_buf_putc(out, '-');
	else
		bm_buf_printf(out, "%s/s", bm_size_format((uint64_t)((double)bytes * 1000 / (double)elapsed_ms), size));
}

void runs_put_jobs(struct bm_buf *out, const struct bm_catalog_run_row *row)
{
	if (row->job == NULL) {
		bm_buf_putc(out, '-');
		return;
	}
	bm_escape_display(out, row->job, strlen(row->job));
	if (row->job_count > 1)
		bm_buf_printf(out, " and %" PRIu64 " more", row->job_count - 1);
	if (strcmp(row->kind, "run") != 0) {
		bm_buf_puts(out, " (");
		bm_escape_display(out, row->kind, strlen(row->kind));
		bm_buf_putc(out, ')');
	}
}

/* ---- text ---- */

void runs_put_heading(struct bm_buf *out)
{
	bm_buf_printf(out, "%-30s %-11s %-19s %9s %9s %7s %9s %9s %11s  %s\n", "RUN", "STATE", "STARTED", "TIME",
	              "FILES", "FAILED", "SKIPPED", "READ", "RATE", "JOB");
}

void runs_put_line(struct bm_buf *out, const struct bm_catalog_run_row *row)
{
	const uint64_t ms = runs_elapsed_ms(row);
	char when[32], took[24], size[16];
	struct bm_buf rate = {0}, id = {0};

	bm_escape_display(&id, row->id, strlen(row->id));
	runs_put_rate(&rate, row->counts.bytes_read, ms);
	bm_buf_printf(out, "%-30s %-11s %-19s %9s %9" PRIu64 " %7" PRIu64 " %9" PRIu64 " %9s %11s  ",
	              id.oom ? "?" : id.data, bm_catalog_run_state_text(row->state), runs_time(row->started_ns, when),
	              bm_duration_format(ms, took), row->counts.files_done, row->counts.files_failed,
	              row->counts.files_skipped, bm_size_format(row->counts.bytes_read, size),
	              rate.oom ? "?" : rate.data);
	runs_put_jobs(out, row);
	bm_buf_putc(out, '\n');
	bm_buf_fini(&rate);
	bm_buf_fini(&id);
}

/* What goes into out for each row of a list of the catalog. */
struct put {
	struct bm_buf *out;
	struct bm_catalog *c;
	int64_t run;
	uint64_t count;
	struct bm_error *err;
	enum bm_status status;
};

static void put_counts(struct bm_buf *out, const struct bm_catalog_counts *n, uint64_t ms)
{
	char took[24], read[16], written[16];

	bm_buf_printf(out, "%" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " skipped; %s read, %s written; %s",
	              n->files_done, n->files_failed, n->files_skipped, bm_size_format(n->bytes_read, read),
	              bm_size_format(n->bytes_written, written), bm_duration_format(ms, took));
	if (n->bytes_read > 0 && ms > 0) {
		bm_buf_puts(out, ", ");
		runs_put_rate(out, n->bytes_read, ms);
	}
}

static bool put_step(void *ctx, unsigned step, const struct bm_catalog_step *row)
{
	struct put *p = ctx;
	char in[16], out[16], busy[24] = "-"; /* a run before it was measured */

	if (p->count++ == 0)
		bm_buf_printf(p->out, "  %-4s  %-10s  %10s  %10s  %10s  %10s\n", "step", "", "files", "in", "out",
		              "busy");
	if (row->busy_ns > 0)
		(void)bm_duration_format(row->busy_ns / 1000000, busy);
	bm_buf_printf(p->out, "  %-4u  %-10s  %10" PRIu64 "  %10s  %10s  %10s\n", step, row->kind, row->files,
	              bm_size_format(row->bytes_in, in), bm_size_format(row->bytes_out, out), busy);
	return true;
}

static uint64_t job_ms(const struct bm_catalog_job_row *row)
{
	return row->ended_ns > row->started_ns ? (uint64_t)(row->ended_ns - row->started_ns) / 1000000 : 0;
}

static bool put_job(void *ctx, const struct bm_catalog_job_row *row)
{
	struct put *p = ctx;
	struct put steps = *p;

	bm_buf_puts(p->out, "\njob ");
	bm_escape_display(p->out, row->name, strlen(row->name));
	if (row->file != NULL) {
		bm_buf_puts(p->out, " (");
		bm_escape_display(p->out, row->file, strlen(row->file));
		bm_buf_putc(p->out, ')');
	}
	bm_buf_printf(p->out, ": %s\n", bm_catalog_run_state_text(row->state));
	if (row->ended_ns != 0) {
		bm_buf_puts(p->out, "  ");
		put_counts(p->out, &row->counts, job_ms(row));
		bm_buf_putc(p->out, '\n');
	}
	steps.count = 0;
	p->status = bm_catalog_run_list_steps(p->c, p->run, row->job, put_step, &steps, p->err);
	return p->status == BM_OK;
}

static bool put_failure(void *ctx, const struct bm_catalog_failure_row *row)
{
	struct put *p = ctx;
	char text[1100];

	if (p->count++ == 0)
		bm_buf_puts(p->out, "\nfailed:\n");
	bm_buf_puts(p->out, "  ");
	bm_escape_display(p->out, row->path, row->path_len);
	bm_buf_printf(p->out, ": %s\n", bm_escape_message_buf(text, sizeof(text), row->text, strlen(row->text)));
	return true;
}

enum bm_status runs_put_detail(struct bm_buf *out, struct bm_catalog *c, const struct bm_catalog_run_row *row,
                               struct bm_error *err)
{
	struct put p = {.out = out, .c = c, .run = row->number, .err = err};
	char when[32], text[1100];
	enum bm_status status;

	bm_buf_puts(out, "run       ");
	bm_escape_display(out, row->id, strlen(row->id));
	if (strcmp(row->kind, "run") != 0) {
		bm_buf_puts(out, "\nfrom      ");
		bm_escape_display(out, row->kind, strlen(row->kind));
	}
	bm_buf_printf(out, "\nstate     %s", bm_catalog_run_state_text(row->state));
	if (row->has_exit_code)
		bm_buf_printf(out, ", exit code %d", row->exit_code);
	bm_buf_printf(out, "\nstarted   %s\n", runs_time(row->started_ns, when));
	if (row->state == BM_CATALOG_RUN_INTERRUPTED)
		bm_buf_printf(out, "last seen %s\n", runs_time(row->ended_ns, when));
	else if (row->state != BM_CATALOG_RUN_RUNNING)
		bm_buf_printf(out, "ended     %s\n", runs_time(row->ended_ns, when));
	bm_buf_printf(out, "threads   %u\nfiles     ", row->threads);
	put_counts(out, &row->counts, runs_elapsed_ms(row));
	bm_buf_putc(out, '\n');
	if (row->error != NULL)
		bm_buf_printf(out, "error     %s\n",
		              bm_escape_message_buf(text, sizeof(text), row->error, strlen(row->error)));
	status = bm_catalog_run_list_jobs(c, row->number, put_job, &p, err);
	if (status == BM_OK)
		status = p.status;
	p.count = 0;
	if (status == BM_OK)
		status = bm_catalog_run_list_failures(c, row->number, put_failure, &p, err);
	return status;
}

/* ---- JSON ---- */

static void json_text(struct bm_buf *out, const char *key, const char *text)
{
	bm_buf_printf(out, ",\"%s\":", key);
	bm_json_put_string(out, text, strlen(text));
}

static void json_time(struct bm_buf *out, const char *key, int64_t ns)
{
	time_t t = (time_t)(ns / NS_PER_S);
	char text[40];
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) > 0)
		bm_buf_printf(out, ",\"%s\":\"%s.%03dZ\"", key, text, (int)(ns % NS_PER_S / 1000000));
}

static void json_counts(struct bm_buf *out, const struct bm_catalog_counts *n, uint64_t ms)
{
	bm_buf_printf(out,
	              ",\"elapsed_ms\":%" PRIu64 ",\"files_done\":%" PRIu64 ",\"files_failed\":%" PRIu64
	              ",\"files_skipped\":%" PRIu64 ",\"bytes_read\":%" PRIu64 ",\"bytes_written\":%" PRIu64,
	              ms, n->files_done, n->files_failed, n->files_skipped, n->bytes_read, n->bytes_written);
}

static bool json_step(void *ctx, unsigned step, const struct bm_catalog_step *row)
{
	struct put *p = ctx;

	bm_buf_printf(p->out, "%s{\"step\":%u", p->count++ > 0 ? "," : "", step);
	json_text(p->out, "kind", row->kind);
	bm_buf_printf(p->out, ",\"files\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64, row->files,
	              row->bytes_in, row->bytes_out);
	if (row->busy_ns > 0)
		bm_buf_printf(p->out, ",\"busy_ms\":%" PRIu64, row->busy_ns / 1000000);
	bm_buf_putc(p->out, '}');
	return true;
}

static bool json_job(void *ctx, const struct bm_catalog_job_row *row)
{
	struct put *p = ctx;
	struct put steps = *p;

	bm_buf_puts(p->out, p->count++ > 0 ? ",{" : "{");
	bm_json_put_name(p->out, "name", row->name, strlen(row->name));
	if (row->file != NULL) {
		bm_buf_putc(p->out, ',');
		bm_json_put_name(p->out, "file", row->file, strlen(row->file));
	}
	json_text(p->out, "state", bm_catalog_run_state_text(row->state));
	json_counts(p->out, &row->counts, job_ms(row));
	bm_buf_puts(p->out, ",\"steps\":[");
	steps.count = 0;
	p->status = bm_catalog_run_list_steps(p->c, p->run, row->job, json_step, &steps, p->err);
	bm_buf_puts(p->out, "]}");
	return p->status == BM_OK;
}

static bool json_failure(void *ctx, const struct bm_catalog_failure_row *row)
{
	struct put *p = ctx;

	bm_buf_printf(p->out, "%s{\"job\":%u,", p->count++ > 0 ? "," : "", row->job);
	bm_json_put_name(p->out, "input", row->path, row->path_len);
	json_text(p->out, "status", bm_status_text(row->status));
	if (row->sys_errno != 0)
		bm_buf_printf(p->out, ",\"errno\":%d", row->sys_errno);
	if (row->where != NULL && row->where[0] != '\0')
		json_text(p->out, "where", row->where);
	json_text(p->out, "text", row->text);
	bm_buf_putc(p->out, '}');
	return true;
}

enum bm_status runs_put_json(struct bm_buf *out, struct bm_catalog *c, const struct bm_catalog_run_row *row,
                             bool detail, struct bm_error *err)
{
	struct put p = {.out = out, .c = c, .run = row->number, .err = err};
	enum bm_status status = BM_OK;

	bm_buf_puts(out, "{\"type\":\"run\"");
	json_text(out, "run", row->id);
	json_text(out, "kind", row->kind);
	json_text(out, "state", bm_catalog_run_state_text(row->state));
	if (row->has_exit_code)
		bm_buf_printf(out, ",\"exit_code\":%d", row->exit_code);
	json_time(out, "started", row->started_ns);
	json_time(out, "ended", row->ended_ns);
	bm_buf_printf(out, ",\"threads\":%u", row->threads);
	json_counts(out, &row->counts, runs_elapsed_ms(row));
	if (row->error != NULL)
		json_text(out, "error", row->error);
	if (!detail) {
		bm_buf_printf(out, ",\"jobs\":%" PRIu64, row->job_count);
		if (row->job != NULL) {
			bm_buf_putc(out, ',');
			bm_json_put_name(out, "job", row->job, strlen(row->job));
		}
	} else {
		bm_buf_puts(out, ",\"jobs\":[");
		status = bm_catalog_run_list_jobs(c, row->number, json_job, &p, err);
		if (status == BM_OK)
			status = p.status;
		bm_buf_puts(out, "],\"failures\":[");
		p.count = 0;
		if (status == BM_OK)
			status = bm_catalog_run_list_failures(c, row->number, json_failure, &p, err);
		bm_buf_putc(out, ']');
	}
	bm_buf_puts(out, "}\n");
	return status;
}
