/*
 * cmd_run.c - bytemill run: job files are loaded, checked and driven.
 *
 * The one thing looked up in the checked jobs is whether a step writes to standard output: then the bar must not be on
 * the same terminal, and the report cannot go there too. Before anything is opened or made the jobs are locked; that
 * also keeps a second run's hands off the report of the first.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_job.h"
#include "bm_state.h"
#include "bm_text.h"
#include "console.h"
#include "drive.h"
#include "hold.h"
#include "load.h"
#include "log.h"
#include "metrics.h"
#include "notify.h"
#include "signals.h"

#define MAX_NAMES 20

#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "all",
		.type = BM_CLI_FLAG,
		.offset = AT(all),
		.help = "skip nothing: also what an incremental job, or a run that was cut off, has done before",
	},
	{
		.name = "paranoid",
		.type = BM_CLI_FLAG,
		.offset = AT(paranoid),
		.help = "skip an input only when its bytes, read again, have the digest on record",
	},
	{
		.name = "no-history",
		.type = BM_CLI_FLAG,
		.offset = AT(no_history),
		.help = "keep no record of the run: it is not listed, cannot be resumed, and skips nothing",
	},
};

static bool is_dash(const char *text)
{
	return text != NULL && strcmp(text, "-") == 0;
}

static bool writes_stdout(const struct bm_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		for (size_t k = 0; k < jobs->jobs[i]->step_count; k++) {
			const struct bm_step *step = &jobs->jobs[i]->steps[k];

			if (strcmp(step->kind->name, "hash") == 0 && is_dash(step->p.hash.manifest))
				return true;
			if ((strcmp(step->kind->name, "write") == 0 || strcmp(step->kind->name, "copy") == 0) &&
			    is_dash(step->p.write.to))
				return true;
		}
	return false;
}

/* The jobs' names, as many as there is room for on a line. */
static void log_start(const struct bm_jobs *jobs)
{
	struct bm_buf names = {0};
	size_t i;

	for (i = 0; i < jobs->count && i < MAX_NAMES; i++) {
		bm_buf_puts(&names, i > 0 ? ", " : "");
		bm_escape_display(&names, jobs->jobs[i]->p.name, strlen(jobs->jobs[i]->p.name));
	}
	if (!names.oom)
		bm_console_tell(BM_CONSOLE_LOGGED, BM_CONSOLE_PLAIN, "started: %zu job%s: %s%s", jobs->count,
		                jobs->count == 1 ? "" : "s", names.data, i < jobs->count ? ", ..." : "");
	bm_buf_fini(&names);
}

static void log_end(int rc)
{
	const char *signal_name = bm_signals_name();

	if (signal_name != NULL)
		bm_console_tell(BM_CONSOLE_LOGGED, BM_CONSOLE_PLAIN, "ended: by %s", signal_name);
	else
		bm_console_tell(BM_CONSOLE_LOGGED, BM_CONSOLE_PLAIN, "ended: exit code %d", rc);
}

/* The directory of the history; the caller frees it. NULL: there is to be none, or cannot be, which was told. */
static char *find_state(const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	char *dir = NULL;

	if (!o->no_history && bm_state_dir(o->state, &dir, &err) != BM_OK)
		bm_console_say(BM_CONSOLE_WARNING, "%s; the run goes on without a record", err.text);
	return dir;
}

static void set_exit_code(struct bm_outcome *outcome, int rc)
{
	outcome->exit_code = bm_signals_number() != 0 ? 128 + bm_signals_number() : rc;
}

static void say_no_metrics(struct bm_outcome *outcome, const struct bm_error *err)
{
	struct bm_buf text = {0};

	bm_buf_printf(&text, "%s%s%s", err->where, err->where[0] != '\0' ? ": " : "", err->text);
	bm_console_say(BM_CONSOLE_WARNING, "%s", text.oom ? "the metrics cannot be written" : text.data);
	bm_outcome_fail_all(outcome, text.oom ? "the metrics cannot be written" : text.data);
	bm_buf_fini(&text);
}

/* With the log open. */
static int run_logged(const struct bm_cli_options *o, const char *run_id)
{
	struct bm_drive_style style = {.command = "run", .run_id = run_id, .has_sandbox = true};
	struct bm_faults faults = {0};
	struct bm_jobs *jobs = NULL;
	struct bm_hold hold = {0};
	struct bm_outcome outcome = {0};
	struct bm_notify *notify = NULL;
	struct bm_error err = BM_ERROR_INIT;
	char *state_dir = NULL;
	int rc = bm_load_jobs("run", o, &faults, &jobs);

	if (rc == 0)
		bm_notify_check(jobs);
	if (rc == 0 && !o->dry_run && bm_notify_begin(jobs, run_id, &notify, &err) != BM_OK) {
		bm_console_say_error(&err);
		bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
		rc = BM_EXIT_USAGE;
	}
	if (rc == 0 && !o->dry_run && !o->no_lock)
		rc = bm_hold_begin(&hold, jobs, run_id, o);
	if (rc == 0) {
		log_start(jobs);
		style.results_on_stdout = writes_stdout(jobs);
		state_dir = o->dry_run ? NULL : find_state(o);
		style.state_dir = state_dir;
		rc = bm_drive(jobs, o, &style, &outcome);
	}
	/* Results that do not get out are a failure too, and main would find it only when all was told. */
	if (rc == BM_EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
		bm_outcome_fail_all(&outcome, "standard output could not be written");
		rc = BM_EXIT_FAILED;
	}
	outcome.is_refused = rc == BM_EXIT_BUSY;
	set_exit_code(&outcome, rc);
	bm_error_clear(&err);
	/* One that was refused is no run: the one that goes on is still to come. */
	if (o->metrics != NULL && jobs != NULL && !o->dry_run && !outcome.is_refused &&
	    bm_metrics_write(o->metrics, run_id, jobs, &outcome, &err) != BM_OK) {
		say_no_metrics(&outcome, &err);
		rc = rc == BM_EXIT_DONE ? BM_EXIT_FAILED : rc;
		set_exit_code(&outcome, rc);
	}
	bm_notify_send(notify, &outcome);
	bm_notify_end(notify);
	log_end(rc);
	bm_hold_end(&hold);
	bm_outcome_fini(&outcome);
	bm_jobs_destroy(jobs);
	free(state_dir);
	return rc;
}

static int run(const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	char *run_id;
	int rc;

	if (o->no_lock && o->wait_ms > 0)
		return bm_usage_error("run", "--wait is how long to wait for the lock, and --no-lock does without one");
	if (o->no_history && o->paranoid)
		return bm_usage_error("run",
		                      "--paranoid is about what is on record, and --no-history does without one");
	if (o->metrics != NULL && strcmp(o->metrics, "-") == 0)
		return bm_usage_error("run", "--metrics wants a file: it is replaced as a whole at the end of the run");
	if (o->metrics != NULL && bm_metrics_check(o->metrics, &err) != BM_OK) {
		bm_console_say_error(&err);
		bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
		return BM_EXIT_USAGE;
	}
	run_id = bm_run_make_id();
	if (run_id == NULL) {
		bm_console_say(BM_CONSOLE_ERROR, "out of memory");
		return BM_EXIT_USAGE;
	}
	if (o->log != NULL && !o->dry_run && bm_log_open(o->log, run_id, &err) != BM_OK) {
		bm_console_say_error(&err);
		bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
		rc = BM_EXIT_USAGE;
	} else {
		rc = run_logged(o, run_id);
		bm_log_close();
	}
	free(run_id);
	return rc;
}

const struct bm_cli_command bm_cmd_run = {
	.name = "run",
	.operands = "JOB.json...",
	.summary = "run job files",
	.about = "Runs all jobs of the job files (\"-\": standard input) over one pool of threads.\n"
		 "Every fault in the files is told before the first byte is read.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_RESOURCES | BM_CLI_GENTLE | BM_CLI_RUNNING | BM_CLI_REPORT | BM_CLI_SETS | BM_CLI_TALK |
                  BM_CLI_STATE | BM_CLI_TELL | BM_CLI_LOCK | BM_CLI_FENCE,
	.epilog = "Examples:\n"
		  "  bytemill run nightly.json\n"
		  "  bytemill run -n nightly.json                 what would be done\n"
		  "  bytemill run -q --report /var/log/night.jsonl nightly.json\n"
		  "  bytemill run --set TARGET=/mnt/usb mirror.json\n"
		  "  bytemill run --all nightly.json              also what was done before\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 all done; 1 finished, but some files failed (each is named on standard error);\n"
		  "  2 usage or job file wrong, nothing was done; 4 the same job is already running;\n"
		  "  128+N ended by signal N\n",
	.run = run,
};
