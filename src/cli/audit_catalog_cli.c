/*
 * audit_catalog_cli.c - bytemill audit --catalog ROOT: a directory compared with what the catalog has on record of it.
 *
 * What the catalog learns of each verdict is src/audit's (bm_audit_catalog.h). Here: the options, one audit of a root at
 * a time (a lock in the state directory, exit code 4), the exit code, and the closing lines on standard error.
 *
 * The exit code says what is left to be done, as that of an audit against a manifest does: what was put on record (new,
 * changed, moved, duplicate) is settled; rotted and missing files are 3, unless --update settled them; what could not be
 * read is 1. What a limit left for later is no failure, since that is what a limit is for: it is told.
 *
 * The state directory changes while the audit goes on, so it is left out where it lies below ROOT.
 */
#include "audit_catalog_cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit_asked.h"
#include "audit_repair_cli.h"
#include "audit_talk.h"
#include "bm_audit.h"
#include "bm_audit_catalog.h"
#include "bm_audit_html.h"
#include "bm_catalog.h"
#include "bm_digest.h"
#include "bm_error.h"
#include "bm_job.h"
#include "bm_lock.h"
#include "bm_state.h"
#include "bm_temp.h"
#include "bm_text.h"
#include "commands.h"
#include "console.h"
#include "drive.h"
#include "load.h"

#define COMMAND "audit"
#define TAKEN_UP                                                                                                       \
	(BM_AUDIT_BIT(BM_VERDICT_NEW) | BM_AUDIT_BIT(BM_VERDICT_CHANGED) | BM_AUDIT_BIT(BM_VERDICT_MOVED) |            \
	 BM_AUDIT_BIT(BM_VERDICT_DUPLICATE))

struct audit {
	const struct bm_cli_options *o;
	enum bm_audit_format format;
	unsigned only, update;
	char *dir;  /* the state directory */
	char *root; /* real */
	struct bm_lock *lock;
	struct bm_audit_printer *printer;
	struct bm_audit_html *page;
	struct bm_audit_catalog *catalog;
	struct bm_cli_repair
		*repair; /* NULL: none; it takes what is on record of damaged files for its manifest, ... */
	FILE *records;   /* ... which is written here when the audit is over */
	FILE *report;    /* NULL: none, or it is the page */
	struct bm_audit_asked asked;
};

static void on_file(void *ctx, const struct bm_file_result *file)
{
	struct audit *a = ctx;

	bm_audit_asked_file(&a->asked, file);
	bm_audit_print_file(a->printer, file);
	bm_audit_html_file(a->page, file);
	if (a->repair != NULL)
		bm_cli_repair_file(a->repair, file);
}

/* ---- the end ---- */

static void put_count(struct bm_buf *out, const struct bm_catalog_count *c)
{
	char size[16];

	bm_buf_printf(out, "%" PRIu64 " file%s, %s", c->files, c->files == 1 ? "" : "s",
	              bm_size_format(c->bytes, size));
}

static void say_stats(const struct audit *a, const struct bm_summary *sum, const struct bm_audit_catalog_stats *s)
{
	struct bm_buf text = {0};
	char size[16];

	bm_buf_printf(&text, "%s read, %" PRIu64 " file%s not due", bm_size_format(sum->bytes_read, size), s->passed,
	              s->passed == 1 ? "" : "s");
	if (s->left.files > 0) {
		bm_buf_puts(&text, "; left for later: ");
		put_count(&text, &s->left);
	}
	if (!text.oom)
		bm_console_tell(bm_console_unless(a->o->quiet), BM_CONSOLE_PLAIN, "%s", text.data);
	bm_buf_reset(&text);
	if (s->too_large.files > 0) {
		put_count(&text, &s->too_large);
		if (!text.oom)
			bm_console_say(BM_CONSOLE_WARNING,
			               "larger than --max-bytes alone, and without digests of blocks, and so never "
			               "read with it: %s",
			               text.data);
	}
	if (s->carried > 0)
		bm_console_tell(bm_console_unless(a->o->quiet), BM_CONSOLE_PLAIN,
		                "%" PRIu64 " file%s read in part, and will be carried on from there next time",
		                s->carried, s->carried == 1 ? " was" : "s were");
	if (s->cut > 0)
		bm_console_say(BM_CONSOLE_WARNING,
		               "%" PRIu64 " file%s begun and not read to the end when the time was up, and will be "
		               "begun anew next time",
		               s->cut, s->cut == 1 ? " was" : "s were");
	bm_buf_fini(&text);
}

/* False: something failed, and that was told. */
static bool run_repair(struct audit *a, bool good, struct bm_summary *judged)
{
	struct bm_error err = BM_ERROR_INIT;

	if (!good) {
		bm_console_say(BM_CONSOLE_WARNING, "nothing was repaired, since the audit is not complete");
		return false;
	}
	if (bm_audit_catalog_put_bad(a->catalog, a->records, &err) != BM_OK) {
		bm_console_say_error(&err);
		return false;
	}
	return bm_cli_repair_run(a->repair, &(struct bm_cli_repair_to){a->report, a->page}, judged);
}

/* Before the audit: what it will find is to be repaired from the copy. 0, or BM_EXIT_USAGE after it was told. */
static int begin_repair(struct audit *a)
{
	struct bm_audit_options ao = {.root = a->root, .kind = BM_MANIFEST_KIND_JSON};
	unsigned verdicts = a->only & (BM_AUDIT_BIT(BM_VERDICT_ROTTED) | BM_AUDIT_BIT(BM_VERDICT_MISSING));
	struct bm_error err = BM_ERROR_INIT;
	char name[40];

	if (a->o->repair_from == NULL)
		return 0;
	a->records = bm_temp_file();
	if (a->records == NULL) {
		(void)bm_error_set_errno(&err, errno, NULL, "no temporary file can be made");
		bm_console_say_error(&err);
		return BM_EXIT_USAGE;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fileno(a->records));
	ao.manifest = name;
	return bm_cli_repair_create(a->o, &ao, verdicts, &a->repair);
}

static int finish(void *ctx, struct bm_run *run, const struct bm_summary *sum, int rc)
{
	struct audit *a = ctx;
	unsigned left = a->only & BM_AUDIT_DIFFERENCES & ~(a->update | TAKEN_UP);
	bool good = sum->error.status == BM_OK && !sum->cancelled;
	struct bm_audit_catalog_stats stats;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_summary judged = *sum;
	bool is_told = a->repair != NULL && a->format == BM_AUDIT_TABLE; /* what is repaired comes behind it */
	bool is_whole = true;
	uint64_t limited;

	(void)rc;
	if (bm_audit_catalog_finish(a->catalog, good, &stats, &err) != BM_OK) {
		if (sum->error.status == BM_OK)
			bm_console_say_error(&err);
		good = false;
	}
	/* Files that a limit cut short are left for later, like those that were not begun. */
	limited = stats.cut + stats.carried;
	judged.verdicts[BM_VERDICT_NOT_CHECKED] -=
		limited < judged.verdicts[BM_VERDICT_NOT_CHECKED] ? limited : judged.verdicts[BM_VERDICT_NOT_CHECKED];
	if (is_told)
		is_whole = bm_audit_print_end(a->printer, bm_run_id(run), sum);
	if (a->repair != NULL)
		good = run_repair(a, good, &judged) && good;
	if (bm_audit_any_of(&judged, left) && !sum->cancelled)
		rc = BM_EXIT_DIFFERENT;
	else
		rc = good && !bm_audit_any_of(&judged, BM_AUDIT_FAILURES) ? BM_EXIT_DONE : BM_EXIT_FAILED;
	if (good)
		rc = bm_audit_asked_end(&a->asked, a->root, rc);
	rc = bm_audit_write_page(a->page, run, sum, a->catalog, rc);
	if (rc == BM_EXIT_DONE && a->o->quiet && a->format == BM_AUDIT_TABLE && !is_told)
		return rc; /* cron: nothing to say */
	if (!is_told)
		is_whole = bm_audit_print_end(a->printer, bm_run_id(run), sum);
	if (!is_whole) {
		bm_console_say(BM_CONSOLE_ERROR, "out of memory: some files are not in the list");
		rc = rc == BM_EXIT_DONE ? BM_EXIT_FAILED : rc;
	}
	bm_console_results_first();
	say_stats(a, sum, &stats);
	return rc;
}

/* ---- the beginning ---- */

static int check(struct audit *a)
{
	const struct bm_cli_options *o = a->o;
	unsigned all = BM_AUDIT_DIFFERENCES | BM_AUDIT_FAILURES | BM_AUDIT_BIT(BM_VERDICT_OK);
	int rc;

	if (o->operand_count != 1)
		return bm_usage_error(COMMAND, "with --catalog wanted is ROOT alone; %zu were given", o->operand_count);
	if (o->kind > 0 || o->strip != NULL || o->strict || o->allow_unsafe || o->ignore_new || o->ignore_missing ||
	    o->always_read)
		return bm_usage_error(COMMAND,
		                      "--kind, --strip, --strict, --allow-unsafe, --ignore-new, --ignore-missing "
		                      "and --always-read are for manifests, and do not go with --catalog");
	if (o->blocks_bytes > 0 && (o->blocks_bytes < BM_HASH_BLOCKS_MIN || o->blocks_bytes > BM_HASH_BLOCKS_SIZE_MAX))
		return bm_usage_error(COMMAND, "--blocks is %" PRIu64 " bytes; allowed: 4KiB to 1GiB, or 0: none",
		                      o->blocks_bytes);
	if (o->repair_from != NULL && o->dry_run)
		return bm_usage_error(
			COMMAND,
			"--dry-run reads no file with --catalog, so it cannot say what --repair-from would do");
	if (o->under.count > 0 && o->include.count > 0)
		return bm_usage_error(COMMAND, "--under and --include cannot be used together");
	rc = bm_cli_check_globs(COMMAND, o);
	if (rc == 0)
		rc = bm_audit_check_under(COMMAND, o);
	if (rc != 0)
		return rc;
	if (o->algorithm != NULL &&
	    (bm_digest_find(o->algorithm) == NULL || strcmp(bm_digest_find(o->algorithm)->name, o->algorithm) != 0))
		return bm_usage_error(COMMAND, "--algorithm: %s is no algorithm; \"bytemill hash --help\" names them",
		                      o->algorithm);
	a->only = all;
	rc = bm_audit_parse_option(COMMAND, "only", o->only, all, &a->only);
	if (rc == 0)
		rc = bm_audit_parse_option(COMMAND, "update", o->update, BM_AUDIT_DIFFERENCES, &a->update);
	a->format = o->audit_format >= 0 ? (enum bm_audit_format)o->audit_format : BM_AUDIT_TABLE;
	return rc;
}

int bm_audit_catalog_lock(const char *dir, const char *root, struct bm_lock **lock)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf key = {0}, holder = {0};
	bool taken = false;
	int rc = BM_EXIT_USAGE;

	bm_buf_puts(&key, "catalog audit ");
	bm_buf_puts(&key, root);
	if (key.oom)
		(void)bm_error_set_nomem(&err);
	else if (bm_lock_open(dir, key.data, key.len, lock, &err) == BM_OK &&
	         bm_lock_take(*lock, false, &taken, &err) == BM_OK)
		rc = taken ? 0 : BM_EXIT_BUSY;
	if (rc == 0) {
		bm_buf_reset(&key);
		bm_buf_puts(&key, "root ");
		bm_escape_display(&key, root, strlen(root));
		bm_buf_putc(&key, '\n');
		bm_lock_sign(*lock, key.oom ? "" : key.data);
	} else if (rc == BM_EXIT_BUSY) {
		(void)bm_lock_holder(*lock, &holder);
		bm_buf_reset(&key);
		bm_escape_display(&key, root, strlen(root));
		bm_console_say(BM_CONSOLE_ERROR, "%s is being audited already: %s", key.oom ? "the root" : key.data,
		               holder.oom || holder.len == 0 ? "another process" : holder.data);
		bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
	} else {
		bm_console_say_error(&err);
	}
	bm_buf_fini(&key);
	bm_buf_fini(&holder);
	return rc;
}

/* The pattern that leaves out the state directory, where that is below the root; NULL: it is not, or no memory. */
static char *exclude_state(const struct audit *a)
{
	char *real = realpath(a->dir, NULL);
	size_t n = strlen(a->root);
	struct bm_buf out = {0};

	if (n == 1)
		n = 0; /* "/" */
	if (real != NULL && strncmp(real, a->root, n) == 0 && real[n] == '/') {
		bm_buf_putc(&out, '/');
		for (const char *p = real + n + 1; *p != '\0'; p++) {
			if (strchr("*?[]\\", *p) != NULL)
				bm_buf_putc(&out, '\\');
			bm_buf_putc(&out, *p);
		}
	}
	free(real);
	return out.len > 0 ? bm_buf_take(&out) : NULL;
}

static enum bm_status add_job(struct audit *a, struct bm_jobs *jobs, struct bm_error *err)
{
	const struct bm_cli_options *o = a->o;
	char *own = exclude_state(a);
	const char **exclude = calloc(o->exclude.count + 1, sizeof(*exclude));
	struct bm_buf path = {0};
	struct bm_job *job = NULL;

	bm_buf_printf(&path, "%s/%s", a->dir, BM_CATALOG_FILE);
	if (exclude != NULL && !path.oom) {
		struct bm_audit_options ao = {
			.manifest = path.data,
			.root = o->operands[0],
			.under = o->under.items,
			.under_count = o->under.count,
			.include = o->include.items,
			.include_count = o->include.count,
			.exclude = exclude,
			.exclude_count = o->exclude.count + (own != NULL),
			.no_hidden = o->no_hidden,
			.follow = o->follow,
			.one_file_system = o->one_file_system,
			.has_max_duration = o->has_max_duration,
			.max_duration_ms = o->max_duration_ms,
			.known = bm_audit_catalog_source(a->catalog),
		};

		for (size_t i = 0; i < o->exclude.count; i++)
			exclude[i] = o->exclude.items[i];
		exclude[o->exclude.count] = own;
		job = bm_audit_job(&ao);
	}
	free(exclude);
	free(own);
	bm_buf_fini(&path);
	if (job == NULL)
		return bm_error_set_nomem(err);
	if (bm_jobs_adopt(jobs, job, err) != BM_OK)
		return err->status;
	return bm_jobs_check(jobs, err);
}

static enum bm_status open_catalog(struct audit *a, struct bm_error *err)
{
	const struct bm_cli_options *o = a->o;
	struct bm_audit_catalog_options co = {
		.dir = a->dir,
		.root = o->operands[0],
		.algorithm = o->algorithm,
		.follow = o->follow,
		.is_partial = o->under.count + o->include.count + o->exclude.count > 0 || o->no_hidden,
		.new_place = o->new_place,
		.dry_run = o->dry_run,
		.update = a->update,
		.has_older_than = o->has_older_than,
		.older_than_ms = o->older_than_ms,
		.has_max_duration = o->has_max_duration,
		.max_duration_ms = o->max_duration_ms,
		.max_bytes = o->max_bytes,
		.percent = o->percent,
		.has_block_bytes = o->has_blocks,
		.block_bytes = o->blocks_bytes,
	};

	return bm_audit_catalog_create(&co, &a->catalog, err);
}

int bm_audit_with_catalog(const struct bm_cli_options *o)
{
	struct audit a = {.o = o};
	struct bm_drive_style style = {
		.command = COMMAND,
		.results_on_stdout = true,
		.is_filter = true,
		.no_totals = true,
		.report_is_own = bm_audit_html_wanted(o->report),
		.on_file = on_file,
		.report = &a.report,
		.finish = finish,
		.ctx = &a,
	};
	struct bm_faults faults = {.quiet = o->quiet};
	struct bm_jobs_options jobs_opt = {.on_diagnostic = bm_faults_say, .ctx = &faults, .no_environment = true};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	int rc = check(&a);

	if (rc != 0)
		return rc;
	rc = BM_EXIT_USAGE;
	if (!bm_audit_asked_init(&a.asked, o)) {
		(void)bm_error_set_nomem(&err);
		goto fail;
	}
	a.asked.is_partial = true;
	if (bm_state_dir(o->state, &a.dir, &err) != BM_OK ||
	    bm_audit_catalog_root(o->operands[0], &a.root, &err) != BM_OK)
		goto fail;
	rc = begin_repair(&a);
	if (rc != 0)
		goto out;
	rc = BM_EXIT_USAGE;
	if (!o->dry_run) {
		rc = bm_audit_catalog_lock(a.dir, a.root, &a.lock);
		if (rc != 0)
			goto out;
		rc = BM_EXIT_USAGE;
	}
	if (open_catalog(&a, &err) != BM_OK || bm_jobs_create(&jobs_opt, &jobs, &err) != BM_OK ||
	    add_job(&a, jobs, &err) != BM_OK ||
	    bm_audit_printer_create(a.format, a.only, stdout, &a.printer, &err) != BM_OK)
		goto fail;
	if (style.report_is_own && !o->dry_run &&
	    bm_audit_html_create(&(struct bm_audit_html_about){.path = o->report, .root = a.root}, &a.page, &err) !=
	            BM_OK)
		goto fail;
	rc = bm_drive(jobs, o, &style, NULL);
	goto out;
fail:
	if (faults.error_count == 0)
		bm_console_say_error(&err);
out:
	bm_audit_html_destroy(a.page);
	bm_audit_printer_destroy(a.printer);
	bm_jobs_destroy(jobs);
	bm_audit_catalog_destroy(a.catalog);
	bm_lock_destroy(a.lock);
	bm_cli_repair_destroy(a.repair);
	if (a.records != NULL)
		fclose(a.records);
	bm_audit_asked_fini(&a.asked);
	free(a.dir);
	free(a.root);
	return rc;
}
