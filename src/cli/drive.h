/* drive.h - runs checked jobs with everything a terminal user sees of it. Every command that moves data ends here. */
#ifndef BM_CLI_DRIVE_H
#define BM_CLI_DRIVE_H

#include <stdio.h>

#include <bytemill/bytemill.h>

#include "bm_job.h"
#include "options.h"
#include "outcome.h"

struct bm_drive_style {
	const char *command;
	const char *run_id; /* borrowed; NULL: the run makes one */
	const char
		*state_dir; /* borrowed; of the history, and of what is skipped since it was done before; NULL: none */
	bool results_on_stdout; /* some step writes to standard output */
	bool is_filter; /* a tool of one job that the user did not name: a closing summary only with --verbose or where
	                   something failed that was not all there was, and messages without the job's name */
	FILE **report;  /* set to the report, once it is open, for finish to add to; NULL: not wanted */
	bool report_is_own; /* the command writes --report itself: it is only kept from being an input */
	bool has_sandbox;   /* the command takes --sandbox, and comes here once */
	bool no_totals;     /* what will be read is only known as it goes on: the bar shows no end */
	/* For a command with results of its own; ctx is theirs. NULL: the usual. */
	/* In place of a line for a file that failed: as in bytemill.h. */
	void (*on_file)(void *ctx, const struct bm_file_result *file);
	/* The run is over, before anything else is said of it: rc is what the exit code would be, the result what it is. */
	int (*finish)(void *ctx, struct bm_run *run, const struct bm_summary *sum, int rc);
	void *ctx;
};

/* Runs (or with --dry-run plans) and returns the exit code. Signals that came are still to be obeyed: main calls
 * bm_signals_end after standard output is flushed. outcome (may be NULL) is filled in, but for exit_code and is_refused;
 * the caller frees it. */
int bm_drive(const struct bm_jobs *jobs, const struct bm_cli_options *o, const struct bm_drive_style *style,
             struct bm_outcome *outcome);

/* The same for one job that the command has made of its options: takes it over (NULL: there was no memory). Also
 * BM_EXIT_USAGE after it was told that the job cannot be. */
int bm_drive_job(struct bm_job *job, const struct bm_cli_options *o, const struct bm_drive_style *style);
/* Are --include and --exclude patterns? 0, or BM_EXIT_USAGE after it was told. */
int bm_cli_check_globs(const char *command, const struct bm_cli_options *o);
/* Is none of the operands, which are files, a URL? Only jobs read these; likewise. */
int bm_cli_check_paths(const char *command, const struct bm_cli_options *o);

/* Prints the plan on standard output; 0 or BM_EXIT_USAGE. */
int bm_drive_plan(const struct bm_jobs *jobs, const struct bm_cli_options *o);

#endif
