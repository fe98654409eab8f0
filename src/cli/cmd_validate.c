/*
 * cmd_validate.c - bytemill validate: everything that run does up to the first byte, and the plan of it.
 */
#include "commands.h"

#include "drive.h"
#include "load.h"
#include "notify.h"

static int validate(const struct bm_cli_options *o)
{
	struct bm_faults faults = {0};
	struct bm_jobs *jobs = NULL;
	int rc = bm_load_jobs("validate", o, &faults, &jobs);

	if (rc == 0) {
		bm_notify_check(jobs);
		rc = bm_drive_plan(jobs, o);
	}
	bm_jobs_destroy(jobs);
	return rc;
}

const struct bm_cli_command bm_cmd_validate = {
	.name = "validate",
	.operands = "JOB.json...",
	.summary = "check job files and print the plan; change nothing",
	.about = "Checks the job files (\"-\": standard input), looks at their inputs, and prints what a run would\n"
		 "do: files, bytes, threads, memory. Writes nothing.",
	.groups = BM_CLI_RESOURCES | BM_CLI_SETS | BM_CLI_TALK,
	.epilog = "Examples:\n"
		  "  bytemill validate nightly.json\n"
		  "  bytemill validate --set TARGET=/mnt/usb *.json\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 the files are right; 2 they are not, or two outputs would get in each other's way\n",
	.run = validate,
};
