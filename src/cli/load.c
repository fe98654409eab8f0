/*
 * load.c - loads job files and tells their faults as a compiler does: nightly.json:12:16: error: /steps/2/level: ...
 *
 * Every file is read even where an earlier one is at fault, so that one go shows everything there is to mend. What ties
 * the jobs of several files together is checked too, unless a file could not be read at all: then it would complain of
 * jobs that are merely not there.
 */
#include "load.h"

#include <stdio.h>
#include <string.h>

#include "bm_mem.h"
#include "bm_text.h"
#include "console.h"

void bm_faults_say(void *faults, const struct bm_diagnostic *d)
{
	struct bm_faults *f = faults;
	struct bm_buf prefix = {0}, text = {0};

	if (!d->is_warning)
		f->error_count++;

	if (d->file != NULL && strcmp(d->file, "-") == 0)
		bm_buf_puts(&prefix, "standard input");
	else if (d->file != NULL && *d->file != '\0')
		bm_escape_display(&prefix, d->file, strlen(d->file));
	else
		bm_buf_puts(&prefix, "bytemill");
	if (d->line > 0)
		bm_buf_printf(&prefix, ":%u", d->line);
	if (d->line > 0 && d->column > 0)
		bm_buf_printf(&prefix, ":%u", d->column);

	if (d->pointer != NULL && *d->pointer != '\0') {
		bm_escape_display(&text, d->pointer, strlen(d->pointer));
		bm_buf_puts(&text, ": ");
	}
	bm_buf_puts(&text, d->message);
	if (d->suggestion != NULL)
		bm_buf_printf(&text, " (did you mean \"%s\"?)", d->suggestion);

	bm_console_say_at(prefix.oom ? "bytemill" : prefix.data, bm_console_unless(d->is_warning && f->quiet),
	                  d->is_warning ? BM_CONSOLE_WARNING : BM_CONSOLE_ERROR, "%s",
	                  text.oom ? d->message : text.data);
	bm_buf_fini(&prefix);
	bm_buf_fini(&text);
}

/* After a failed call: an error that was not told as a fault is told now, and the result is false. */
static bool settle(struct bm_faults *f, unsigned long before, const struct bm_error *err)
{
	if (f->error_count > before)
		return true;
	bm_console_say_error(err);
	f->error_count++;
	return false;
}

int bm_load_jobs(const char *command, const struct bm_cli_options *o, struct bm_faults *faults, struct bm_jobs **jobs)
{
	struct bm_jobs_options opt = {
		.sets = o->sets.items, .set_count = o->sets.count, .on_diagnostic = bm_faults_say, .ctx = faults};
	struct bm_error err = BM_ERROR_INIT;
	unsigned stdin_count = 0;
	bool all_read = true;

	*jobs = NULL;
	if (o->operand_count == 0)
		return bm_usage_error(command, "no job file was given: bytemill %s [OPTIONS] JOB.json...", command);
	for (size_t i = 0; i < o->operand_count; i++)
		stdin_count += strcmp(o->operands[i], "-") == 0;
	if (stdin_count > 1)
		return bm_usage_error(command, "\"-\" (standard input) was given %u times; allowed: once", stdin_count);

	faults->error_count = 0;
	faults->quiet = o->quiet;
	if (bm_jobs_create(&opt, jobs, &err) != BM_OK) {
		(void)settle(faults, 0, &err);
		goto out;
	}
	for (size_t i = 0; i < o->operand_count; i++) {
		unsigned long before = faults->error_count;

		err = (struct bm_error)BM_ERROR_INIT;
		if (bm_jobs_add_file(*jobs, o->operands[i], &err) != BM_OK)
			all_read = settle(faults, before, &err) && all_read;
	}
	err = (struct bm_error)BM_ERROR_INIT;
	/* After earlier faults the check may fail without a new one. */
	if (all_read && bm_jobs_check(*jobs, &err) != BM_OK)
		(void)settle(faults, 0, &err);
out:
	if (faults->error_count == 0)
		return 0;
	bm_console_say(BM_CONSOLE_PLAIN, "%lu error%s; nothing was done", faults->error_count,
	               faults->error_count == 1 ? "" : "s");
	bm_jobs_destroy(*jobs);
	*jobs = NULL;
	return BM_EXIT_USAGE;
}
