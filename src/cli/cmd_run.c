/*
 * cmd_run.c - bytemill run: job files are loaded, checked and driven.
 *
 * The one thing looked up in the checked jobs is whether a step writes to standard output: then the bar must not be on
 * the same terminal, and the report cannot go there too.
 */
#include "commands.h"

#include <string.h>

#include "bm_job.h"
#include "drive.h"
#include "load.h"

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

static int run(const struct bm_cli_options *o)
{
	struct bm_drive_style style = {.command = "run"};
	struct bm_faults faults = {0};
	struct bm_jobs *jobs = NULL;
	int rc = bm_load_jobs("run", o, &faults, &jobs);

	if (rc == 0) {
		style.results_on_stdout = writes_stdout(jobs);
		rc = bm_drive(jobs, o, &style);
	}
	bm_jobs_destroy(jobs);
	return rc;
}

const struct bm_cli_command bm_cmd_run = {
	.name = "run",
	.operands = "JOB.json...",
	.summary = "run job files",
	.about = "Runs all jobs of the job files (\"-\": standard input) over one pool of threads.\n"
		 "Every fault in the files is told before the first byte is read.",
	.groups = BM_CLI_RESOURCES | BM_CLI_RUNNING | BM_CLI_SETS | BM_CLI_TALK,
	.epilog = "Examples:\n"
		  "  bytemill run nightly.json\n"
		  "  bytemill run -n nightly.json                 what would be done\n"
		  "  bytemill run -q --report /var/log/night.jsonl nightly.json\n"
		  "  bytemill run --set TARGET=/mnt/usb mirror.json\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 all done; 1 finished, but some files failed (each is named on standard error);\n"
		  "  2 usage or job file wrong, nothing was done; 128+N ended by signal N\n",
	.run = run,
};
