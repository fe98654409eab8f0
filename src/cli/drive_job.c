/* drive_job.c - one job that a command has made of its options: checked, and run as any other. See drive.h. */
#include "drive.h"

#include <string.h>
#include <sys/stat.h>

#include "bm_glob.h"
#include "bm_job.h"
#include "bm_text.h"
#include "bm_url.h"
#include "console.h"
#include "load.h"

int bm_drive_job(struct bm_job *job, const struct bm_cli_options *o, const struct bm_drive_style *style)
{
	struct bm_faults faults = {.quiet = o->quiet};
	struct bm_jobs_options jobs_opt = {.on_diagnostic = bm_faults_say, .ctx = &faults, .no_environment = true};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	int rc = BM_EXIT_USAGE;

	if (job == NULL) {
		bm_console_say(BM_CONSOLE_ERROR, "out of memory");
		return rc;
	}
	if (bm_jobs_create(&jobs_opt, &jobs, &err) != BM_OK)
		bm_job_destroy(job);
	else if (bm_jobs_adopt(jobs, job, &err) == BM_OK && bm_jobs_check(jobs, &err) == BM_OK)
		rc = bm_drive(jobs, o, style, NULL);
	if (err.status != BM_OK && faults.error_count == 0)
		bm_console_say_error(&err);
	bm_jobs_destroy(jobs);
	return rc;
}

static int check_globs(const char *command, const char *option, const struct bm_cli_texts *given)
{
	for (size_t i = 0; i < given->count; i++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_glob *glob = NULL;

		if (bm_glob_compile(given->items[i], &glob, &err) != BM_OK)
			return bm_usage_error(command, "--%s: %s", option, err.text);
		bm_glob_destroy(glob);
	}
	return 0;
}

int bm_cli_check_globs(const char *command, const struct bm_cli_options *o)
{
	int rc = check_globs(command, "include", &o->include);

	return rc != 0 ? rc : check_globs(command, "exclude", &o->exclude);
}

int bm_cli_check_paths(const char *command, const struct bm_cli_options *o)
{
	char shown[300];
	struct stat st;

	for (size_t i = 0; i < o->operand_count; i++)
		if (bm_url_is(o->operands[i]) && lstat(o->operands[i], &st) != 0)
			return bm_usage_error(
				command,
				"%s is a URL, and %s takes files: a job reads URLs ({\"step\": \"read\", \"from\": URL}), or "
				"curl URL | bytemill %s",
				bm_escape_display_buf(shown, sizeof(shown), o->operands[i], strlen(o->operands[i])),
				command, command);
	return 0;
}
