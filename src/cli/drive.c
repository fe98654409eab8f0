/*
 * drive.c - one run as a terminal user sees it: signals, report, bar, a line for each failed file, closing summary.
 *
 * What fails before the run starts is exit code 2: nothing was done. After that it is 1, whatever failed, because the
 * other files were done, or 3 where a step found files that are not as a manifest says. The calls from the run come from its pool threads, each kind one at a time, but a file's and a
 * progress call may overlap: they share nothing here but the console, which has its lock.
 *
 * The report is opened, and an older one emptied, once the job files are known to be right: one that was left of
 * yesterday must not pass for today's when today's run could not start. It is written in place and not through a temp
 * file, since it is a log that others follow while it grows; its last line, the summary, says that it is complete.
 *
 * A run may have a warning for each of a million files (an owner that cannot be kept, say): the first SHOWN_WARNINGS
 * are shown, the rest counted; --verbose shows all, and so does the report.
 */
#include "drive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "console.h"
#include "gentle.h"
#include "guard.h"
#include "log.h"
#include "place.h"
#include "progress.h"
#include "sandbox.h"
#include "signals.h"
#include "summary.h"

#define SHOWN_WARNINGS 20

struct drive {
	const struct bm_cli_options *o;
	const struct bm_drive_style *style;
	bool is_several;            /* jobs */
	struct bm_closing closing;  /* written by on_file and on_error, which never overlap; read after the run */
	uint64_t warning_count;     /* likewise */
	struct bm_outcome *outcome; /* likewise; may be NULL */
};

/* "NAME: reason", "NAME: WHERE: reason" where the error is about another file than the input. What ends the listing for
 * want of memory has no name. */
static void put_failure(struct bm_buf *out, const struct bm_file_result *file, const char *name)
{
	const struct bm_error *e = file->error;

	if (name[0] != '\0')
		bm_buf_printf(out, "%s: ", name);
	if (e == NULL) {
		bm_buf_puts(out, "failed");
		return;
	}
	if (e->where[0] != '\0' && strcmp(e->where, name) != 0 && strcmp(e->where, file->path) != 0)
		bm_buf_printf(out, "%s: ", e->where);
	bm_buf_puts(out, e->text[0] != '\0' ? e->text : bm_status_text(e->status));
	if (bm_sandbox_caused(e, file->display))
		bm_buf_puts(out, BM_SANDBOX_HINT);
}

static void say_warnings(struct drive *d, const struct bm_file_result *file, const char *name)
{
	const char *at = file->warnings;

	while (at != NULL && *at != '\0') {
		size_t len = strcspn(at, "\n");

		if (len > 0 && (++d->warning_count <= SHOWN_WARNINGS || d->o->verbose))
			bm_console_tell(bm_console_unless(d->o->quiet), BM_CONSOLE_WARNING, "%s: %.*s", name, (int)len,
			                at);
		at += len + (at[len] == '\n');
	}
}

static void say_finished(const struct bm_file_result *file, const char *name)
{
	struct bm_buf line = {0};
	char size[16];

	bm_buf_printf(&line, "%s: %s",
	              file->unchanged                  ? "unchanged"
	              : file->state == BM_FILE_SKIPPED ? "skipped"
	                                               : "done",
	              name);
	if (file->state == BM_FILE_DONE)
		bm_buf_printf(&line, " (%s)", bm_size_format(file->bytes, size));
	for (size_t i = 0; i < file->output_count && !file->unchanged; i++) {
		const struct bm_file_output *out = &file->outputs[i];

		if (out->path == NULL)
			continue;
		bm_buf_puts(&line, i == 0 ? " -> " : ", ");
		bm_escape_display(&line, out->path, strlen(out->path));
		if (out->skipped)
			bm_buf_puts(&line, " (exists)");
	}
	if (!line.oom)
		bm_console_say(BM_CONSOLE_PLAIN, "%s", line.data);
	bm_buf_fini(&line);
}

static void on_file(void *ctx, const struct bm_file_result *file)
{
	struct drive *d = ctx;
	struct bm_buf shown = {0}, failure = {0};
	const char *name;

	if (d->style->on_file != NULL)
		d->style->on_file(d->style->ctx, file);
	/* The common case, a file that was done, costs nothing. */
	if (file->state != BM_FILE_FAILED && file->warnings == NULL && !d->o->verbose)
		return;
	bm_buf_puts(&shown, "");
	bm_escape_display(&shown, file->display, strlen(file->display));
	name = shown.oom ? "?" : shown.data;
	if (file->warnings != NULL)
		say_warnings(d, file, name);
	if (file->state == BM_FILE_FAILED && d->style->on_file == NULL) {
		put_failure(&failure, file, name);
		bm_console_say(BM_CONSOLE_ERROR, "%s", failure.oom ? "out of memory" : failure.data);
		bm_closing_add_file(&d->closing, failure.oom ? "out of memory" : failure.data);
		if (d->outcome != NULL)
			bm_outcome_add_failure(d->outcome, failure.oom ? "out of memory" : failure.data);
	} else if (file->state != BM_FILE_FAILED && d->o->verbose) {
		say_finished(file, name);
	}
	bm_buf_fini(&shown);
	bm_buf_fini(&failure);
}

static void on_progress(void *ctx, const struct bm_progress *p)
{
	(void)ctx;
	bm_bar_draw(p);
}

static void on_message(void *ctx, const char *job, const char *text)
{
	struct drive *d = ctx;
	unsigned where = bm_console_unless(d->o->quiet);
	struct bm_buf name = {0};

	if (job != NULL && !d->style->is_filter)
		bm_escape_display(&name, job, strlen(job));
	if (job == NULL && !d->style->is_filter)
		bm_console_say(BM_CONSOLE_WARNING, "%s", text);
	else if (name.len > 0 && !name.oom)
		bm_console_tell(where, BM_CONSOLE_PLAIN, "%s: %s", name.data, text);
	else
		bm_console_tell(where, BM_CONSOLE_PLAIN, "%s", text);
	bm_buf_fini(&name);
}

/* Also with --quiet. Of one job it is said at the end, which is near; other jobs may go on for hours. With --quiet it is
 * said now and not again. */
static void on_error(void *ctx, const char *job, const struct bm_error *err)
{
	struct drive *d = ctx;
	bool at_once = (job != NULL && d->is_several) || d->o->quiet;
	struct bm_buf text = {0};

	if (err->status == BM_ERR_CANCELLED)
		return; /* the summary says what stopped the run */
	if (job != NULL && d->is_several && strcmp(err->where, job) != 0) {
		bm_escape_display(&text, job, strlen(job));
		bm_buf_puts(&text, ": ");
	}
	if (err->where[0] != '\0')
		bm_buf_printf(&text, "%s: ", err->where);
	bm_buf_puts(&text, err->text[0] != '\0' ? err->text : bm_status_text(err->status));
	if (bm_sandbox_caused(err, NULL))
		bm_buf_puts(&text, BM_SANDBOX_HINT);
	bool kept = bm_closing_add_error(&d->closing, text.oom ? err->text : text.data);
	bm_console_tell(BM_CONSOLE_LOGGED | (at_once || !kept ? BM_CONSOLE_SHOWN : 0), BM_CONSOLE_ERROR, "%s",
	                text.oom ? err->text : text.data);
	if (d->outcome != NULL)
		bm_outcome_add_failure(d->outcome, text.oom ? err->text : text.data);
	bm_buf_fini(&text);
}

static void say_report_error(const char *path, int error)
{
	struct bm_error err = BM_ERROR_INIT;
	char name[256];

	(void)bm_error_set_errno(&err, error, NULL, "the report %s cannot be written%s",
	                         bm_escape_display_buf(name, sizeof(name), path, strlen(path)), bm_place_advice(error));
	bm_console_say_error(&err);
}

/* 0, or BM_EXIT_USAGE with nothing done. */
static int open_report(const struct bm_cli_options *o, const struct bm_drive_style *style, FILE **report)
{
	if (o->report == NULL || style->report_is_own)
		return 0;
	if (strcmp(o->report, "-") == 0) {
		if (style->results_on_stdout)
			return bm_usage_error(style->command,
			                      "the report and a step's results cannot both go to standard "
			                      "output; give --report a file");
		*report = stdout;
		return 0;
	}
	/* Not cut to nothing yet: the run does that once it knows that this is none of its inputs. */
	struct stat st;
	int fd;
	do
		fd = open(o->report, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	while (fd < 0 && errno == EINTR);
	if (fd >= 0 && fstat(fd, &st) == 0 && bm_log_is_file(&st)) {
		close(fd);
		return bm_usage_error(style->command, "the log and the report are one file; give --report another one");
	}
	*report = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (*report == NULL) {
		say_report_error(o->report, errno);
		bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
		return BM_EXIT_USAGE;
	}
	return 0;
}

/* false after the fault was told. Standard output is main's business. */
static bool close_report(const struct bm_cli_options *o, FILE *report)
{
	bool is_good;
	int error = 0;
	bool is_told = false;

	if (report == NULL || report == stdout)
		return true;
	is_good = ferror(report) == 0;
	if (!is_good)
		is_told = true; /* a write in the past failed: the run has said why */
	if (fflush(report) != 0 && is_good) {
		is_good = false;
		error = errno;
	}
	/* A pipe or a terminal cannot be synced, and need not be. */
	if (fsync(fileno(report)) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP && is_good) {
		is_good = false;
		error = errno;
	}
	if (fclose(report) != 0 && is_good) {
		is_good = false;
		error = errno;
	}
	if (!is_good && !is_told)
		say_report_error(o->report, error);
	return is_good;
}

static struct bm_run_options run_options(const struct bm_cli_options *o)
{
	return (struct bm_run_options){.threads = o->threads,
	                               .io_depth = o->io_depth,
	                               .memory_bytes = o->memory_bytes,
	                               .read_rate = o->limit_rate};
}

static int say_not_started(const struct bm_error *err)
{
	bm_console_say_error(err);
	if (bm_sandbox_caused(err, NULL))
		bm_console_say(BM_CONSOLE_PLAIN, "%s", &BM_SANDBOX_HINT[2]);
	bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
	return BM_EXIT_USAGE;
}

int bm_drive_plan(const struct bm_jobs *jobs, const struct bm_cli_options *o)
{
	struct bm_run_options opt = run_options(o);
	struct bm_error err = BM_ERROR_INIT;

	bm_guard_process_for(jobs);
	if (bm_run_plan(jobs, &opt, stdout, &err) != BM_OK)
		return say_not_started(&err);
	return BM_EXIT_DONE;
}

/* A file that could not be checked is none: that is a failure. */
static bool has_differences(const struct bm_summary *sum)
{
	return sum->verdicts[BM_VERDICT_CHANGED] + sum->verdicts[BM_VERDICT_ROTTED] + sum->verdicts[BM_VERDICT_MOVED] +
	               sum->verdicts[BM_VERDICT_DUPLICATE] + sum->verdicts[BM_VERDICT_NEW] +
	               sum->verdicts[BM_VERDICT_MISSING] >
	       0;
}

/* The reason why a run did not start, as its one failure. */
static void add_reason(struct bm_outcome *outcome, const struct bm_error *err)
{
	struct bm_buf text = {0};

	if (outcome == NULL)
		return;
	if (err->where[0] != '\0')
		bm_buf_printf(&text, "%s: ", err->where);
	bm_buf_puts(&text, err->text[0] != '\0' ? err->text : bm_status_text(err->status));
	bm_outcome_add_failure(outcome, text.oom ? "out of memory" : text.data);
	bm_buf_fini(&text);
}

static void fill_outcome(struct bm_outcome *outcome, struct bm_run *run, const struct bm_summary *sum, size_t job_count)
{
	if (outcome == NULL)
		return;
	outcome->is_started = true;
	outcome->sum = *sum;
	outcome->jobs = bm_calloc_array(job_count, sizeof(*outcome->jobs));
	while (outcome->jobs != NULL && outcome->job_count < job_count &&
	       bm_run_get_job(run, outcome->job_count, &outcome->jobs[outcome->job_count]))
		outcome->job_count++;
}

int bm_drive(const struct bm_jobs *jobs, const struct bm_cli_options *o, const struct bm_drive_style *style,
             struct bm_outcome *outcome)
{
	struct drive d = {.o = o, .style = style, .is_several = bm_jobs_count(jobs) > 1, .outcome = outcome};
	struct bm_run_options opt = run_options(o);
	const char *own_files[3];
	struct bm_error err = BM_ERROR_INIT;
	struct bm_summary sum;
	struct bm_run *run = NULL;
	FILE *report = NULL;
	enum bm_status status;
	bool is_silent = false; /* all was said */
	bool is_shown, is_empty;
	int rc;

	memset(&sum, 0, sizeof(sum));
	if (o->dry_run)
		return bm_drive_plan(jobs, o);
	bm_guard_process_for(jobs);
	rc = bm_gentle_apply(o, style->command);
	if (rc != 0)
		return rc;
	rc = open_report(o, style, &report);
	if (rc != 0)
		return rc;

	if (style->report != NULL)
		*style->report = report;
	opt.run_id = style->run_id;
	opt.state_dir = style->state_dir;
	opt.all = o->all;
	opt.paranoid = o->paranoid;
	if (o->log != NULL && strcmp(o->log, "syslog") != 0)
		own_files[opt.own_file_count++] = o->log;
	if (o->metrics != NULL)
		own_files[opt.own_file_count++] = o->metrics;
	if (o->report != NULL && style->report_is_own)
		own_files[opt.own_file_count++] = o->report;
	opt.own_files = own_files;
	opt.on_file = on_file;
	opt.on_message = on_message;
	opt.on_error = on_error;
	opt.report = report;
	opt.truncate_report = true;
	opt.ctx = &d;
	if (bm_bar_begin(o, style->results_on_stdout || report == stdout)) {
		opt.on_progress = on_progress;
		opt.count_first = !style->no_totals;
	}
	bm_sandbox_no_new_rights();
	if (style->has_sandbox) {
		rc = bm_sandbox_enter(jobs, o, style->report_is_own);
		if (rc != 0)
			goto out;
	}
	if (bm_signals_begin(o->quiet, &err) != BM_OK || bm_run_start(jobs, &opt, &run, &err) != BM_OK) {
		rc = say_not_started(&err);
		add_reason(outcome, &err);
		goto out;
	}
	bm_signals_attach(run);
	status = bm_run_wait(run, &sum);
	bm_signals_detach();
	bm_bar_end();
	rc = status == BM_OK && sum.bad_lines == 0 ? BM_EXIT_DONE : BM_EXIT_FAILED;
	if (has_differences(&sum) && !sum.cancelled)
		rc = BM_EXIT_DIFFERENT;
	fill_outcome(outcome, run, &sum, bm_jobs_count(jobs));

	if (d.warning_count > SHOWN_WARNINGS && !o->verbose)
		bm_console_tell(bm_console_unless(o->quiet), BM_CONSOLE_WARNING,
		                "%llu warnings, of which the first %d were shown; --verbose shows all",
		                (unsigned long long)d.warning_count, SHOWN_WARNINGS);
	bm_console_results_first();
	if (style->finish != NULL) {
		rc = style->finish(style->ctx, run, &sum, rc);
		is_silent = status != BM_ERR_CANCELLED && sum.error.status == BM_OK;
	}
	/* As other filters do: of one file that failed, and was all there was, nothing is left to say. */
	is_silent = is_silent || (style->is_filter && status == BM_ERR_FAILED && sum.files_failed == 1 &&
	                          sum.files_done + sum.files_skipped == 0 && sum.error.status == BM_OK);
	/* A filter that found no file at all would otherwise look like one that did its work. */
	is_empty = style->is_filter && style->finish == NULL && status == BM_OK && !sum.cancelled &&
	           sum.bytes_read == 0 && sum.files_done + sum.files_skipped == 0;
	is_shown = (rc != BM_EXIT_DONE && !is_silent) || o->verbose ||
	           (!o->quiet && (!style->is_filter || (is_empty && !is_silent)));
	bm_closing_print(&d.closing, &sum, bm_signals_name(), bm_console_unless(!is_shown), o->quiet);
out:
	bm_bar_end();
	bm_run_destroy(run);
	if (!close_report(o, report) && rc == BM_EXIT_DONE)
		rc = BM_EXIT_FAILED;
	bm_closing_fini(&d.closing);
	return rc;
}
