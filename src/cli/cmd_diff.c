/*
 * cmd_diff.c - bytemill diff: two manifests compared, or one with what is in the catalog, no data read.
 *
 * The comparing is src/audit's (audit_diff.c), and what is said of it is what `audit` says. The exit code too: 3 where
 * there are differences (with --only: of those verdicts), else 1 where lines could not be read, or digests not be
 * compared.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit_asked.h"
#include "audit_talk.h"
#include "bm_audit.h"
#include "bm_error.h"
#include "bm_job.h"
#include "bm_state.h"
#include "bm_text.h"
#include "console.h"

#define COMMAND "diff"
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	BM_CLI_AUDIT_LIST,
	{
		.name = "under",
		.type = BM_CLI_TEXTS,
		.offset = AT(under),
		.arg = "NAME",
		.help = "only this file or directory of the manifests; repeatable",
	},
};

struct diff {
	const struct bm_cli_options *o;
	struct bm_audit_printer *printer;
	struct bm_audit_bad_lines bad_lines;
	struct bm_audit_asked asked;
};

static void on_file(void *ctx, const struct bm_file_result *file)
{
	struct diff *d = ctx;

	bm_audit_asked_file(&d->asked, file);
	bm_audit_print_file(d->printer, file);
}

static void on_bad_line(void *ctx, const char *manifest, uint64_t line, const char *fault)
{
	struct diff *d = ctx;

	bm_audit_say_bad_line(&d->bad_lines, manifest, line, fault);
}

static void on_message(void *ctx, const char *text)
{
	const struct diff *d = ctx;

	if (!d->o->quiet)
		bm_console_say(BM_CONSOLE_WARNING, "%s", text);
}

static int check(const struct bm_cli_options *o, unsigned *only)
{
	unsigned all = BM_AUDIT_DIFFERENCES | BM_AUDIT_BIT(BM_VERDICT_NOT_CHECKED) | BM_AUDIT_BIT(BM_VERDICT_OK);
	char shown[256];
	struct stat st;

	if (o->operand_count != 2)
		return bm_usage_error(COMMAND, "wanted are two manifests; %zu were given", o->operand_count);
	for (size_t i = 0; i < 2; i++)
		if (stat(o->operands[i], &st) == 0 && S_ISDIR(st.st_mode))
			return bm_usage_error(
				COMMAND,
				"%s is a directory, and diff compares two manifests: \"bytemill audit MANIFEST DIR\" "
				"compares one with a directory, and \"bytemill hash\" makes one of it",
				bm_escape_display_buf(shown, sizeof(shown), o->operands[i], strlen(o->operands[i])));
	if (strcmp(o->operands[0], "-") == 0 && strcmp(o->operands[1], "-") == 0)
		return bm_usage_error(COMMAND, "standard input was given twice; allowed: once");
	*only = all;
	if (bm_audit_check_under(COMMAND, o) != 0)
		return BM_EXIT_USAGE;
	return bm_audit_parse_option(COMMAND, "only", o->only, all, only);
}

/* What is left to say once all is compared; the exit code. */
static int finish(const struct diff *d, enum bm_audit_format format, unsigned only, const struct bm_summary *sum)
{
	int rc = sum->bad_lines == 0 && !bm_audit_any_of(sum, BM_AUDIT_FAILURES) ? BM_EXIT_DONE : BM_EXIT_FAILED;
	char *run_id;

	if (bm_audit_any_of(sum, only & BM_AUDIT_DIFFERENCES))
		rc = BM_EXIT_DIFFERENT;
	bm_audit_say_more_bad_lines(&d->bad_lines);
	rc = bm_audit_asked_end(&d->asked, NULL, rc);
	if (rc == BM_EXIT_DONE && d->o->quiet && format == BM_AUDIT_TABLE)
		return rc; /* cron: nothing to say */
	run_id = bm_run_make_id();
	rc = bm_audit_close_list(d->o, format, sum, run_id != NULL && bm_audit_print_end(d->printer, run_id, sum), rc);
	free(run_id);
	return rc;
}

static bool names_catalog(const struct bm_cli_options *o)
{
	for (size_t i = 0; i < o->operand_count; i++)
		if (strncmp(o->operands[i], BM_AUDIT_DIFF_CATALOG, strlen(BM_AUDIT_DIFF_CATALOG)) == 0)
			return true;
	return false;
}

static int diff(const struct bm_cli_options *o)
{
	enum bm_audit_format format = o->audit_format >= 0 ? (enum bm_audit_format)o->audit_format : BM_AUDIT_TABLE;
	struct diff d = {.o = o, .bad_lines = {.all = o->verbose}};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_summary sum;
	char *state = NULL;
	unsigned only = 0;
	int rc = check(o, &only);

	if (rc != 0)
		return rc;
	if (names_catalog(o) && bm_state_dir(o->state, &state, &err) != BM_OK) {
		bm_console_say_error(&err);
		return BM_EXIT_USAGE;
	}
	if (!bm_audit_asked_init(&d.asked, o)) {
		(void)bm_error_set_nomem(&err);
		rc = BM_EXIT_FAILED;
	} else if (bm_audit_printer_create(format, only, stdout, &d.printer, &err) == BM_OK) {
		struct bm_audit_diff_options diff_options = {
			.before = o->operands[0],
			.now = o->operands[1],
			.state = state,
			.under = o->under.items,
			.under_count = o->under.count,
			.on_file = on_file,
			.on_bad_line = on_bad_line,
			.on_message = on_message,
			.ctx = &d,
		};

		if (bm_audit_diff(&diff_options, &sum, &err) == BM_OK)
			rc = finish(&d, format, only, &sum);
		else
			rc = sum.jobs_done == 0 ? BM_EXIT_USAGE : BM_EXIT_FAILED;
	} else {
		rc = BM_EXIT_FAILED;
	}
	if (err.status != BM_OK)
		bm_console_say_error(&err);
	bm_audit_printer_destroy(d.printer);
	bm_audit_asked_fini(&d.asked);
	free(state);
	return rc;
}

const struct bm_cli_command bm_cmd_diff = {
	.name = COMMAND,
	.operands = "MANIFEST MANIFEST",
	.summary = "compare two manifests, or one with the catalog; read no data",
	.about =
		"Compares the second manifest with the first, as audit compares a directory with one, and gives\n"
		"each name one verdict:\n"
		"  ok           the same digest\n"
		"  rotted       another digest, though size and time of change are the same (json manifests)\n"
		"  changed      another digest, or another size\n"
		"  missing      only in the first\n"
		"  moved        has the digest of a file that is missing\n"
		"  duplicate    only in the second, has the digest of a file that is in the first\n"
		"  new          only in the second\n"
		"  not-checked  in both, with no algorithm in common\n"
		"The manifests may be of different kinds, and in any order; one may be \"-\", standard input. Each may\n"
		"be \"catalog:ROOT\": what the catalog has on record of that directory (./catalog:x is a file).",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_TALK | BM_CLI_STATE,
	.epilog = "Examples:\n"
		  "  bytemill diff monday.json tuesday.json\n"
		  "  bytemill diff SHA256SUMS bag/manifest-sha256.txt --only missing,changed\n"
		  "  bytemill diff delivered.sums catalog:/mnt/archive\n"
		  "  ssh host bytemill hash -q /srv/photos | bytemill diff photos.sums - --format rclone\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 the same; 3 differences; 1 no differences, but lines could not be read, or digests not be\n"
		  "  compared; 2 usage, or no manifest\n",
	.run = diff,
};
