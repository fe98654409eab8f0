/*
 * cmd_audit.c - bytemill audit: a directory compared with a manifest.
 *
 * The job, the printing and the update are src/audit's; here are the options, the exit code, and what goes to standard
 * error: bad lines, warnings, and, with --format gnu, the closing lines of sha256sum -c.
 *
 * The exit code says what is left to be done: 3 where there are differences (with --only: of those verdicts; what
 * --update has brought up to date is none any more), else 1 where something could not be checked or a line of the manifest
 * could not be read, whatever is shown.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit_asked.h"
#include "audit_catalog_cli.h"
#include "audit_repair_cli.h"
#include "audit_talk.h"
#include "bm_audit.h"
#include "bm_audit_html.h"
#include "bm_error.h"
#include "bm_text.h"
#include "console.h"
#include "drive.h"

#define COMMAND "audit"
#define AT(field) offsetof(struct bm_cli_options, field)

static const char *const kinds[] = {
	[BM_MANIFEST_KIND_AUTO] = "auto",     [BM_MANIFEST_KIND_GNU] = "gnu",
	[BM_MANIFEST_KIND_BSD] = "bsd",       [BM_MANIFEST_KIND_HASHDEEP] = "hashdeep",
	[BM_MANIFEST_KIND_BAGIT] = "bagit",   [BM_MANIFEST_KIND_JSON] = "json",
	[BM_MANIFEST_KIND_SFV] = "sfv",       [BM_MANIFEST_KIND_RCLONE] = "rclone",
	[BM_MANIFEST_KIND_XXHSUM] = "xxhsum", NULL,
};

static const struct bm_cli_option options[] = {
	{
		.name = "catalog",
		.type = BM_CLI_FLAG,
		.offset = AT(catalog),
		.help = "compare ROOT with the catalog, and bring that up to date; --state names its directory",
	},
	{
		.name = "older-than",
		.type = BM_CLI_DURATION,
		.offset = AT(older_than_ms),
		.given = AT(has_older_than),
		.is_age = true,
		.arg = "TIME",
		.help = "--catalog: due is what was verified longer ago (default 30d; with a limit: all)",
	},
	{
		.name = "max-bytes",
		.type = BM_CLI_SIZE,
		.offset = AT(max_bytes),
		.arg = "SIZE",
		.help = "--catalog: read no more than SIZE, and leave the rest for later",
	},
	{
		.name = "percent",
		.type = BM_CLI_UNSIGNED,
		.offset = AT(percent),
		.arg = "N",
		.min = 1,
		.max = 100,
		.help = "--catalog: of what is due read N % of all bytes on record",
	},
	{
		.name = "blocks",
		.type = BM_CLI_SIZE,
		.offset = AT(blocks_bytes),
		.given = AT(has_blocks),
		.arg = "SIZE",
		.help = "--catalog: from now on larger files have digests of each SIZE too (4KiB to 1GiB; 0: none have)",
	},
	{
		.name = "new-place",
		.type = BM_CLI_FLAG,
		.offset = AT(new_place),
		.help = "--catalog: ROOT is on another file system than before, and that is right",
	},
	BM_CLI_AUDIT_LIST,
	{
		.name = "under",
		.type = BM_CLI_TEXTS,
		.offset = AT(under),
		.arg = "NAME",
		.help = "only this file or directory of ROOT and of the manifest; repeatable",
	},
	{
		.name = "update",
		.type = BM_CLI_TEXT,
		.offset = AT(update),
		.arg = "VERDICT,...",
		.help = "bring MANIFEST up to date for new, duplicate, changed, rotted, moved, missing files",
	},
	{
		.name = "repair-from",
		.type = BM_CLI_TEXT,
		.offset = AT(repair_from),
		.arg = "DIR",
		.help = "put changed, rotted and missing files right from DIR, a copy of ROOT (--dry-run: say what could be)",
	},
	{
		.name = "ignore-new",
		.type = BM_CLI_FLAG,
		.offset = AT(ignore_new),
		.help = "pass over files that are not in MANIFEST",
	},
	{
		.name = "ignore-missing",
		.type = BM_CLI_FLAG,
		.offset = AT(ignore_missing),
		.help = "pass over files that are only in MANIFEST",
	},
	{
		.name = "always-read",
		.type = BM_CLI_FLAG,
		.offset = AT(always_read),
		.help = "read files whose size alone is wrong, too",
	},
	{
		.name = "max-duration",
		.type = BM_CLI_DURATION,
		.offset = AT(max_duration_ms),
		.given = AT(has_max_duration),
		.arg = "TIME",
		.help = "stop reading after TIME, such as 90s or 2h: what is left is not-checked (--catalog: left for later)",
	},
	{
		.name = "kind",
		.type = BM_CLI_CHOICE,
		.offset = AT(kind),
		.arg = "KIND",
		.values = kinds,
		.help = "of MANIFEST: gnu, bsd, hashdeep, bagit, json, sfv, rclone, xxhsum (default: found out)",
	},
	{
		.name = "algorithm",
		.letter = 'a',
		.type = BM_CLI_TEXT,
		.offset = AT(algorithm),
		.arg = "ALG",
		.help = "of lines that do not say (default: found out)",
	},
	{
		.name = "strip",
		.type = BM_CLI_TEXT,
		.offset = AT(strip),
		.arg = "DIR",
		.help = "names in MANIFEST begin with DIR/, which is ROOT",
	},
	{
		.name = "strict",
		.type = BM_CLI_FLAG,
		.offset = AT(strict),
		.help = "a bad line in MANIFEST is an error before anything is read",
	},
	{
		.name = "allow-unsafe",
		.type = BM_CLI_FLAG,
		.offset = AT(allow_unsafe),
		.help = "read files outside ROOT, where absolute names or \"..\" in MANIFEST lead",
	},
	{
		.name = "include",
		.type = BM_CLI_TEXTS,
		.offset = AT(include),
		.arg = "GLOB",
		.help = "only files that match; repeatable",
	},
	{
		.name = "exclude",
		.type = BM_CLI_TEXTS,
		.offset = AT(exclude),
		.arg = "GLOB",
		.help = "not files and directories that match; repeatable; wins over --include",
	},
	{
		.name = "no-hidden",
		.type = BM_CLI_FLAG,
		.offset = AT(no_hidden),
		.help = "leave out names that begin with a dot",
	},
	{
		.name = "follow",
		.letter = 'L',
		.type = BM_CLI_FLAG,
		.offset = AT(follow),
		.help = "follow symbolic links (files in MANIFEST are read behind links anyway)",
	},
	{
		.name = "one-file-system",
		.letter = 'x',
		.type = BM_CLI_FLAG,
		.offset = AT(one_file_system),
		.help = "stay on the file system of ROOT",
	},
};

struct audit {
	const struct bm_cli_options *o;
	enum bm_audit_format format;
	unsigned only, update_bits;
	struct bm_audit_printer *printer;
	struct bm_audit_update *update;
	struct bm_audit_html *page;
	struct bm_cli_repair *repair;
	FILE *report; /* NULL: none, or it is the page */
	struct bm_audit_bad_lines bad_lines;
	struct bm_audit_asked asked;
	char *root;
};

/* ---- while it runs ---- */

static void on_file(void *ctx, const struct bm_file_result *file)
{
	struct audit *a = ctx;

	bm_audit_asked_file(&a->asked, file);
	bm_audit_print_file(a->printer, file);
	bm_audit_html_file(a->page, file);
	if (a->update != NULL)
		bm_audit_update_file(a->update, file);
	if (a->repair != NULL)
		bm_cli_repair_file(a->repair, file);
}

/* ---- the end ---- */

static void on_refused(void *ctx, const char *text)
{
	(void)ctx;
	bm_console_say(BM_CONSOLE_WARNING, "not brought up to date: %s", text);
}

/* False: it failed, and that was told. *left: verdicts that are not settled by it. */
static bool write_update(struct audit *a, unsigned *left)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_audit_update_stats s;
	const char *place = bm_audit_update_place(a->update);
	char shown[256];

	if (bm_audit_update_write(a->update, on_refused, NULL, &s, &err) != BM_OK) {
		bm_console_say_error(&err);
		return false;
	}
	bm_escape_display_buf(shown, sizeof(shown), place, strlen(place));
	if (s.is_written && !a->o->quiet)
		bm_console_say(BM_CONSOLE_PLAIN,
		               "%s: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " moved, %" PRIu64
		               " removed; the one before is %s~",
		               shown, s.added, s.changed, s.moved, s.removed, shown);
	if (s.refused == 0)
		*left &= ~a->update_bits;
	return s.refused == 0;
}

static int finish(void *ctx, struct bm_run *run, const struct bm_summary *sum, int rc)
{
	struct audit *a = ctx;
	unsigned left = a->only & BM_AUDIT_DIFFERENCES;
	bool good = sum->error.status == BM_OK && !sum->cancelled;
	bool is_told = a->repair != NULL && a->format == BM_AUDIT_TABLE; /* what is repaired comes behind it */
	bool is_whole = !is_told || bm_audit_print_end(a->printer, bm_run_id(run), sum);
	struct bm_summary rest = *sum;

	(void)rc;
	bm_audit_say_more_bad_lines(&a->bad_lines);
	if (a->update != NULL && good)
		good = write_update(a, &left);
	else if (a->update != NULL)
		bm_console_say(BM_CONSOLE_WARNING, "the manifest was left as it is, since the audit is not complete");
	if (a->repair != NULL && good)
		good = bm_cli_repair_run(a->repair, &(struct bm_cli_repair_to){a->report, a->page}, &rest);
	else if (a->repair != NULL)
		bm_console_say(BM_CONSOLE_WARNING, "nothing was repaired, since the audit is not complete");
	if (bm_audit_any_of(&rest, left) && !sum->cancelled)
		rc = BM_EXIT_DIFFERENT;
	else
		rc = good && sum->bad_lines == 0 && !bm_audit_any_of(sum, BM_AUDIT_FAILURES) ? BM_EXIT_DONE
		                                                                             : BM_EXIT_FAILED;
	if (good)
		rc = bm_audit_asked_end(&a->asked, a->root, rc);
	rc = bm_audit_write_page(a->page, run, sum, NULL, rc);
	if (rc == BM_EXIT_DONE && a->o->quiet && a->format == BM_AUDIT_TABLE && !is_told)
		return rc; /* cron: nothing to say */
	if (!is_told)
		is_whole = bm_audit_print_end(a->printer, bm_run_id(run), sum);
	return bm_audit_close_list(a->o, a->format, sum, is_whole, rc);
}

/* ---- the beginning ---- */

static int check(struct audit *a)
{
	const struct bm_cli_options *o = a->o;
	unsigned all = BM_AUDIT_DIFFERENCES | BM_AUDIT_FAILURES | BM_AUDIT_BIT(BM_VERDICT_OK);
	char shown[256];
	struct stat st;
	int rc;

	if (o->has_older_than || o->max_bytes > 0 || o->percent > 0 || o->new_place || o->has_blocks)
		return bm_usage_error(
			COMMAND, "--older-than, --max-bytes, --percent, --blocks and --new-place are for --catalog");
	a->only = all;
	/* Before the operands are counted: a list that was forgotten has taken one of them for itself. */
	rc = bm_audit_parse_option(COMMAND, "only", o->only, all, &a->only);
	if (rc == 0)
		rc = bm_audit_parse_option(COMMAND, "update", o->update, BM_AUDIT_DIFFERENCES, &a->update_bits);
	if (rc != 0)
		return rc;
	if (o->operand_count < 1 || o->operand_count > 2)
		return bm_usage_error(COMMAND, "wanted is MANIFEST, and perhaps ROOT; %zu were given",
		                      o->operand_count);
	if (stat(o->operands[0], &st) == 0 && S_ISDIR(st.st_mode))
		return bm_usage_error(
			COMMAND,
			"%s is a directory: the manifest comes first, then the directory; or --catalog "
			"and the directory alone",
			bm_escape_display_buf(shown, sizeof(shown), o->operands[0], strlen(o->operands[0])));
	if (o->under.count > 0 && o->include.count > 0)
		return bm_usage_error(COMMAND, "--under and --include cannot be used together");
	rc = bm_cli_check_globs(COMMAND, o);
	if (rc == 0)
		rc = bm_audit_check_under(COMMAND, o);
	if (rc != 0)
		return rc;
	if ((a->update_bits & (BM_AUDIT_BIT(BM_VERDICT_NEW) | BM_AUDIT_BIT(BM_VERDICT_DUPLICATE) |
	                       BM_AUDIT_BIT(BM_VERDICT_MOVED))) != 0 &&
	    o->ignore_new)
		return bm_usage_error(COMMAND, "--update wants to know of files that --ignore-new passes over");
	if ((a->update_bits & (BM_AUDIT_BIT(BM_VERDICT_MISSING) | BM_AUDIT_BIT(BM_VERDICT_MOVED))) != 0 &&
	    o->ignore_missing)
		return bm_usage_error(COMMAND, "--update wants to know of files that --ignore-missing passes over");
	return 0;
}

static void fill(struct audit *a, struct bm_audit_options *ao)
{
	const struct bm_cli_options *o = a->o;

	*ao = (struct bm_audit_options){
		.manifest = o->operands[0],
		.root = o->operand_count > 1 ? o->operands[1] : NULL,
		.under = o->under.items,
		.under_count = o->under.count,
		.include = o->include.items,
		.include_count = o->include.count,
		.exclude = o->exclude.items,
		.exclude_count = o->exclude.count,
		.no_hidden = o->no_hidden,
		.follow = o->follow,
		.one_file_system = o->one_file_system,
		.kind = o->kind > 0 ? (enum bm_manifest_kind)o->kind : BM_MANIFEST_KIND_AUTO,
		.algorithm = o->algorithm,
		.strip = o->strip,
		.ignore_new = o->ignore_new,
		.ignore_missing = o->ignore_missing,
		/* A new digest is wanted of them. */
		.always_read = o->always_read || (a->update_bits & BM_AUDIT_BIT(BM_VERDICT_CHANGED)) != 0,
		.strict = o->strict,
		.allow_unsafe = o->allow_unsafe,
		.has_max_duration = o->has_max_duration,
		.max_duration_ms = o->max_duration_ms,
		.on_bad_line = bm_audit_say_bad_line,
		.ctx = &a->bad_lines,
	};
}

static int audit(const struct bm_cli_options *o)
{
	struct audit a = {.o = o, .bad_lines = {.all = o->verbose}};
	struct bm_cli_options running = *o; /* a repair's dry run reads, too */
	struct bm_audit_options ao;
	struct bm_drive_style style = {
		.command = COMMAND,
		.results_on_stdout = true,
		.is_filter = true,
		.on_file = on_file,
		.report = &a.report,
		.report_is_own = bm_audit_html_wanted(o->report),
		.finish = finish,
		.ctx = &a,
	};
	struct bm_error err = BM_ERROR_INIT;
	int rc;

	if (o->catalog)
		return bm_audit_with_catalog(o);
	rc = check(&a);
	if (rc != 0)
		return rc;
	fill(&a, &ao);
	rc = bm_cli_repair_create(o, &ao, a.only, &a.repair);
	if (rc != 0)
		return rc;
	running.dry_run = o->dry_run && a.repair == NULL;
	rc = BM_EXIT_USAGE;
	a.root = bm_audit_root(&ao);
	if (!bm_audit_asked_init(&a.asked, o) || a.root == NULL) {
		(void)bm_error_set_nomem(&err);
		goto fail;
	}
	a.format = o->audit_format >= 0 ? (enum bm_audit_format)o->audit_format : BM_AUDIT_TABLE;
	if (a.update_bits != 0 && !o->dry_run && bm_audit_update_create(&ao, a.update_bits, &a.update, &err) != BM_OK)
		goto fail;
	if (bm_audit_printer_create(a.format, a.only, stdout, &a.printer, &err) != BM_OK)
		goto fail;
	if (style.report_is_own && !running.dry_run &&
	    bm_audit_html_create(&(struct bm_audit_html_about){o->report, ao.root, ao.manifest}, &a.page, &err) !=
	            BM_OK)
		goto fail;
	style.has_sandbox = a.update == NULL && a.repair == NULL; /* those write beside what they read */
	rc = bm_drive_job(bm_audit_job(&ao), &running, &style);
	goto out;
fail:
	bm_console_say_error(&err);
out:
	bm_audit_html_destroy(a.page);
	bm_audit_printer_destroy(a.printer);
	bm_audit_update_destroy(a.update);
	bm_cli_repair_destroy(a.repair);
	bm_audit_asked_fini(&a.asked);
	free(a.root);
	return rc;
}

const struct bm_cli_command bm_cmd_audit = {
	.name = COMMAND,
	.operands = "MANIFEST [ROOT]  or  --catalog ROOT",
	.summary = "compare a directory with a manifest of digests, or with the catalog",
	.about = "Compares every file below ROOT (without it: the directory of MANIFEST) with its digest in\n"
		 "MANIFEST, and gives each file one verdict:\n"
		 "  ok           as the manifest says\n"
		 "  rotted       other bytes, though size and time of change are as they were (json manifests)\n"
		 "  changed      other bytes\n"
		 "  missing      only in the manifest\n"
		 "  moved        has the digest of a file that is missing\n"
		 "  duplicate    not in the manifest, has the digest of a file that is\n"
		 "  new          not in the manifest\n"
		 "  unreadable, changed-while-reading, not-checked: nothing can be said\n"
		 "A digest that is wrong is read again past the page cache before it is believed. MANIFEST is\n"
		 "what sha256sum and its kin, hashdeep, BagIt, rclone, xxhsum and bytemill write; \"-\" is standard\n"
		 "input.\n"
		 "With --catalog the catalog takes the manifest's place, and learns: what is new or was written\n"
		 "since is read and put on record; of the rest only what is due, the oldest first. What is rotted\n"
		 "or missing stays on record as it was until --update says otherwise.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_RESOURCES | BM_CLI_GENTLE | BM_CLI_RUNNING | BM_CLI_TALK | BM_CLI_REPORT | BM_CLI_STATE |
                  BM_CLI_FENCE,
	.epilog = "Examples:\n"
		  "  bytemill audit /srv/photos/SHA256SUMS\n"
		  "  bytemill audit SHA256SUMS /srv/photos --only changed,rotted,missing\n"
		  "  bytemill audit SHA256SUMS /srv/photos --update new,moved\n"
		  "  bytemill audit sums.json /mnt/archive --max-duration 2h --report audit.jsonl\n"
		  "  bytemill audit sums.json /srv/photos --repair-from /mnt/backup/photos --only rotted\n"
		  "  bytemill audit --catalog /mnt/archive --max-duration 2h --older-than 30d\n"
		  "  bytemill audit --catalog /mnt/archive --report audit.html     (a page for people)\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 all is as the manifest says; 3 differences; 1 no differences, but some files could not be\n"
		  "  checked, or lines of the manifest not be read; 2 usage, or no manifest; 4 the same root is\n"
		  "  being audited already; 128+N signal N. --catalog: what it put on record is no difference\n"
		  "  that is left; rotted and missing files are\n",
	.run = audit,
};
