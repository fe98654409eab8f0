/*
 * cmd_catalog.c - bytemill catalog: what is on record of each root, and --export: a manifest of it.
 *
 * Without --export: how much of a root was verified within 30 days, when the oldest was, and every file that is damaged,
 * missing or unreadable. The exit code is 3 where there are damaged or missing ones, so that a script can ask.
 * With --forget: all of a root goes, and what jobs have done with it; the history of runs stays.
 * With --export: the files of a root that are well, in byte order, with names below it. A damaged, missing or unreadable
 * file has its line too: its digest on record is what it should have.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_catalog_cli.h"
#include "bm_audit_catalog.h"
#include "bm_catalog_files.h"
#include "bm_error.h"
#include "bm_lock.h"
#include "bm_manifest.h"
#include "bm_state.h"
#include "bm_step.h"
#include "bm_text.h"
#include "console.h"

#define COMMAND "catalog"
#define AT(field) offsetof(struct bm_cli_options, field)
#define DAY_NS (INT64_C(24) * 3600 * 1000000000)
#define RECENT_DAYS 30
#define FLUSH_BYTES ((size_t)64 << 10)

static const struct bm_cli_option options[] = {
	{
		.name = "forget",
		.type = BM_CLI_FLAG,
		.offset = AT(forget),
		.help = "remove all that is on record of ROOT, which need not be there any more; no file is touched",
	},
	{
		.name = "export",
		.type = BM_CLI_FLAG,
		.offset = AT(export),
		.help = "print a manifest of ROOT (of the only one there is): for sha256sum -c and bytemill audit",
	},
	{
		.name = "format",
		.type = BM_CLI_CHOICE,
		.offset = AT(format),
		.arg = "FORMAT",
		.values = bm_manifest_formats,
		.help = "of --export: gnu (default), bsd, json, hashdeep, bagit, sfv, rclone, xxhsum",
	},
	{
		.name = "json",
		.type = BM_CLI_FLAG,
		.offset = AT(json),
		.help = "an object a root, and one for each file that is not well (with --export: as --format json)",
	},
};

struct show {
	struct bm_catalog *c;
	const struct bm_cli_options *o;
	const char *only; /* the path of a root; NULL: all */
	uint64_t roots, bad;
	int64_t first; /* root; --export */
	int64_t now_ns;
	struct bm_buf line, blocks;
	struct bm_error *err;
	enum bm_status status;
};

static const char *const states[] = {
	[BM_CATALOG_OK] = "ok",
	[BM_CATALOG_DAMAGED] = "damaged",
	[BM_CATALOG_MISSING] = "missing",
	[BM_CATALOG_UNREADABLE] = "unreadable",
};

static void flush_line(struct show *s)
{
	if (s->line.oom)
		s->status = bm_error_set_nomem(s->err);
	else if (s->line.len > 0)
		fwrite(s->line.data, 1, s->line.len, stdout); /* a failed write is seen by main */
	bm_buf_reset(&s->line);
}

static uint64_t percent_of(uint64_t part, uint64_t all)
{
	/* Rounded down: 100 is all of it. */
	return all > 0 ? (uint64_t)((double)part * 100 / (double)all) : 100;
}

static void put_date(struct bm_buf *out, int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;
	char text[40];

	if (gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		bm_buf_puts(out, text);
}

/* Files that limits or kills have cut short, and that are carried on. */
struct parts {
	uint64_t files, bytes, left_bytes;
};

static bool add_part(void *ctx, const char *path, size_t path_len, const struct bm_catalog_progress *p)
{
	struct parts *parts = ctx;
	uint64_t done = p->next_block * p->block_bytes;

	(void)path;
	(void)path_len;
	parts->files++;
	parts->bytes += done;
	parts->left_bytes += p->size - (done < p->size ? done : p->size);
	return true;
}

static void put_root(struct show *s, const struct bm_catalog_root *r, const struct bm_catalog_coverage *sum,
                     const struct parts *parts)
{
	struct bm_buf *out = &s->line;
	uint64_t percent = percent_of(sum->age[0].bytes, sum->all.bytes);
	bool has_oldest = sum->all.files > sum->future.files;
	int64_t days = has_oldest && sum->oldest_ns < s->now_ns ? (s->now_ns - sum->oldest_ns) / DAY_NS : 0;
	char size[16], left[16];

	if (s->o->json) {
		bm_buf_puts(out, "{\"type\":\"root\",");
		bm_json_put_name(out, "path", r->path, r->path_len);
		bm_buf_printf(out, ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64, sum->all.files, sum->all.bytes);
		for (size_t i = 0; i < BM_CLI_COUNT(states); i++)
			bm_buf_printf(out, ",\"%s\":%" PRIu64, states[i], sum->state[i].files);
		bm_buf_printf(out, ",\"verified_30d_files\":%" PRIu64 ",\"verified_30d_bytes\":%" PRIu64,
		              sum->age[0].files, sum->age[0].bytes);
		bm_buf_printf(out, ",\"in_part\":%" PRIu64 ",\"in_part_bytes\":%" PRIu64, parts->files, parts->bytes);
		bm_buf_printf(out, ",\"future_files\":%" PRIu64 ",\"future_bytes\":%" PRIu64, sum->future.files,
		              sum->future.bytes);
		if (has_oldest) {
			bm_buf_puts(out, ",\"oldest_verified\":\"");
			put_date(out, sum->oldest_ns);
			bm_buf_putc(out, '"');
		}
		if (r->audited_ns != 0) {
			bm_buf_puts(out, ",\"audited\":\"");
			put_date(out, r->audited_ns);
			bm_buf_putc(out, '"');
		}
		bm_buf_puts(out, "}\n");
		return;
	}
	bm_escape_display(out, r->path, r->path_len);
	bm_buf_printf(out, "\n  %" PRIu64 " file%s, %s", sum->all.files, sum->all.files == 1 ? "" : "s",
	              bm_size_format(sum->all.bytes, size));
	if (sum->all.files > 0)
		bm_buf_printf(out, "; %" PRIu64 " %% verified within %d days", percent, RECENT_DAYS);
	if (has_oldest)
		bm_buf_printf(out, ", oldest %" PRId64 " day%s", days, days == 1 ? "" : "s");
	bm_buf_putc(out, '\n');
	if (sum->future.files > 0)
		bm_buf_printf(out,
		              "  %" PRIu64
		              " file%s verified at a time that is yet to come: the clock was wrong; due at the "
		              "next audit\n",
		              sum->future.files, sum->future.files == 1 ? "" : "s");
	if (parts->files > 0)
		bm_buf_printf(out, "  %" PRIu64 " file%s read in part: %s so far, %s to go\n", parts->files,
		              parts->files == 1 ? "" : "s", bm_size_format(parts->bytes, size),
		              bm_size_format(parts->left_bytes, left));
	if (r->audited_ns != 0) {
		bm_buf_puts(out, "  last complete audit ");
		put_date(out, r->audited_ns);
		bm_buf_puts(out,
		            r->audited_ns > s->now_ns ? ", a time that is yet to come: the clock was wrong\n" : "\n");
	}
}

static void put_bad(struct show *s, const struct bm_catalog_root *r, const struct bm_catalog_file *f)
{
	struct bm_buf *out = &s->line;

	if (s->o->json) {
		bm_buf_puts(out, "{\"type\":\"file\",");
		bm_json_put_name(out, "root", r->path, r->path_len);
		bm_buf_putc(out, ',');
		bm_json_put_name(out, "path", f->path, f->path_len);
		bm_buf_printf(out, ",\"state\":\"%s\",\"found\":\"", states[f->state]);
		put_date(out, f->found_ns);
		bm_buf_putc(out, '"');
		if (f->note != NULL) {
			bm_buf_puts(out, ",\"note\":");
			bm_json_put_string(out, f->note, strlen(f->note));
		}
		bm_buf_puts(out, "}\n");
		return;
	}
	bm_buf_printf(out, "  %-10s  ", states[f->state]);
	bm_escape_display(out, f->path, f->path_len);
	bm_buf_puts(out, " (since ");
	put_date(out, f->found_ns);
	bm_buf_putc(out, ')');
	if (f->note != NULL) {
		char shown[300];

		bm_buf_printf(out, ": %s", bm_escape_message_buf(shown, sizeof(shown), f->note, strlen(f->note)));
	}
	bm_buf_putc(out, '\n');
}

static bool show_root(void *ctx, const struct bm_catalog_root *r)
{
	struct show *s = ctx;
	int64_t since = s->now_ns - RECENT_DAYS * DAY_NS;
	struct bm_catalog_coverage *sum;
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f = NULL;
	struct parts parts = {0};

	if (s->only != NULL ? strcmp(s->only, r->path) != 0 : !r->has_place)
		return true; /* one without a place is there for what jobs have done with it */
	s->roots++;
	s->first = r->id;
	if (s->o->export)
		return true;
	sum = calloc(1, sizeof(*sum));
	if (sum == NULL) {
		s->status = bm_error_set_nomem(s->err);
		return false;
	}
	s->status = bm_catalog_coverage(s->c, r->id, &since, 1, sum, s->err);
	if (s->status == BM_OK)
		s->status = bm_catalog_progress_list(s->c, r->id, add_part, &parts, s->err);
	if (s->status == BM_OK) {
		put_root(s, r, sum, &parts);
		flush_line(s);
	}
	if (s->status == BM_OK)
		s->status = bm_catalog_files_open_bad(s->c, r->id, &files, s->err);
	while (s->status == BM_OK) {
		s->status = bm_catalog_files_next(files, &f, s->err);
		if (s->status != BM_OK || f == NULL)
			break;
		s->bad += f->state == BM_CATALOG_DAMAGED || f->state == BM_CATALOG_MISSING;
		put_bad(s, r, f);
		flush_line(s);
	}
	bm_catalog_files_close(files);
	free(sum);
	return s->status == BM_OK;
}

/* False: the line's kind cannot hold the name, which was told. */
static bool put_line(struct show *s, const struct bm_manifest_style *style, const struct bm_catalog_file *f)
{
	struct bm_error err = BM_ERROR_INIT;
	char shown[200];
	enum bm_status status = bm_audit_catalog_put_line(s->c, s->first, f, style, &s->blocks, &s->line, &err);

	if (status == BM_OK)
		return true;
	if (status == BM_ERR_USAGE || status == BM_ERR_UNSUPPORTED) {
		bm_console_say(BM_CONSOLE_ERROR, "%s: %s",
		               bm_escape_display_buf(shown, sizeof(shown), f->path, f->path_len), err.text);
		return false;
	}
	*s->err = err;
	s->status = status;
	return true; /* told in the end */
}

static int export_root(struct show *s)
{
	struct bm_manifest_style style = {.kind = BM_MANIFEST_KIND_GNU};
	const char *names[BM_MANIFEST_DIGESTS_MAX];
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f = NULL;
	uint64_t bare = 0;
	int rc = BM_EXIT_DONE;

	if (s->o->json || s->o->format >= 0)
		(void)bm_manifest_kind_find(bm_manifest_formats[s->o->json ? BM_MANIFEST_JSON : s->o->format],
		                            &style.kind);
	s->status =
		bm_catalog_root_algorithms(s->c, s->first, names, BM_CLI_COUNT(names), &style.algorithm_count, s->err);
	if (s->status == BM_OK && style.kind != BM_MANIFEST_KIND_JSON) {
		style.algorithms = names;
		s->status = bm_manifest_put_head(&s->line, &style, s->err);
		if (s->status != BM_OK)
			return BM_EXIT_FAILED;
	}
	/* hashdeep has the names of the algorithms in its head, which all lines must have; other lines have what there is. */
	if (style.kind != BM_MANIFEST_KIND_HASHDEEP)
		style.algorithm_count = 0;
	if (s->status == BM_OK)
		s->status = bm_catalog_files_open(s->c, s->first, NULL, 0, &files, s->err);
	while (s->status == BM_OK) {
		s->status = bm_catalog_files_next(files, &f, s->err);
		if (s->status != BM_OK || f == NULL)
			break;
		if (f->digest_len == 0 && (f->block_bytes == 0 || style.kind != BM_MANIFEST_KIND_JSON)) {
			bare += f->block_bytes > 0;
			continue;
		}
		if (!put_line(s, &style, f))
			rc = BM_EXIT_FAILED;
		if (s->status != BM_OK)
			break;
		if (s->line.len >= FLUSH_BYTES)
			flush_line(s);
	}
	flush_line(s);
	bm_catalog_files_close(files);
	if (bare == 0)
		return rc;
	bm_console_say(BM_CONSOLE_WARNING,
	               "%" PRIu64
	               " file%s left out: read in parts so far, so that only the digests of blocks are known "
	               "(--format json has them)",
	               bare, bare == 1 ? " was" : "s were");
	return BM_EXIT_FAILED;
}

static int say_unknown(const struct show *s)
{
	char shown[256];

	return bm_usage_error(
		COMMAND,
		"nothing is on record of %s; \"bytemill catalog\" lists what is, and \"bytemill audit --catalog ROOT\" "
		"adds to it",
		bm_escape_display_buf(shown, sizeof(shown), s->only, strlen(s->only)));
}

/* An audit that goes on would write down files of a root that is not there any more. */
static int forget_root(struct show *s, const char *dir)
{
	struct bm_catalog_root r = {0};
	struct bm_catalog_coverage *sum = calloc(1, sizeof(*sum));
	struct bm_lock *lock = NULL;
	char shown[512], size[16];
	bool found = false;
	int rc = 0;
	enum bm_status status = sum != NULL ? BM_OK : bm_error_set_nomem(s->err);

	if (status == BM_OK)
		status = bm_catalog_root_find(s->c, s->only, strlen(s->only), &r, &found, s->err);
	if (status == BM_OK && found)
		rc = bm_audit_catalog_lock(dir, s->only, &lock);
	if (rc != 0)
		goto out;
	if (status == BM_OK && found)
		status = bm_catalog_coverage(s->c, r.id, &s->now_ns, 1, sum, s->err);
	if (status == BM_OK && found)
		status = bm_catalog_root_delete(s->c, r.id, s->err);
	if (status == BM_OK && found)
		bm_console_say(BM_CONSOLE_PLAIN, "forgotten: %s, with %" PRIu64 " file%s on record, %s",
		               bm_escape_display_buf(shown, sizeof(shown), r.path, r.path_len), sum->all.files,
		               sum->all.files == 1 ? "" : "s", bm_size_format(sum->all.bytes, size));
	rc = status != BM_OK ? BM_EXIT_FAILED : found ? BM_EXIT_DONE : say_unknown(s);
out:
	bm_lock_destroy(lock);
	bm_catalog_root_fini(&r);
	free(sum);
	return rc;
}

static int show_all(struct show *s)
{
	int rc = BM_EXIT_DONE;
	enum bm_status status = bm_catalog_root_list(s->c, show_root, s, s->err);

	if (status != BM_OK || s->status != BM_OK)
		return BM_EXIT_FAILED;
	if (s->only != NULL && s->roots == 0)
		return say_unknown(s);
	if (s->o->export && s->roots != 1)
		return bm_usage_error(COMMAND, "--export wants a ROOT: there %s on record",
		                      s->roots == 0 ? "is none" : "are several");
	if (s->o->export)
		rc = export_root(s);
	else if (s->bad > 0)
		rc = BM_EXIT_DIFFERENT;
	else if (s->roots == 0)
		bm_console_say(BM_CONSOLE_PLAIN, "nothing is on record yet: bytemill audit --catalog ROOT begins it");
	if (s->status == BM_OK)
		return rc;
	return s->status == BM_ERR_USAGE ? BM_EXIT_USAGE : BM_EXIT_FAILED;
}

static int catalog(const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	struct show s = {.o = o, .err = &err, .now_ns = bm_catalog_now()};
	struct bm_catalog_options co = {.must_exist = true};
	char *dir = NULL, *root = NULL;
	int rc = BM_EXIT_FAILED;

	if (o->operand_count > 1)
		return bm_usage_error(COMMAND, "wanted is one ROOT at most; %zu were given", o->operand_count);
	if (o->format >= 0 && !o->export)
		return bm_usage_error(COMMAND, "--format is for --export");
	if (o->forget && (o->export || o->json))
		return bm_usage_error(COMMAND,
		                      "--forget removes what --export and --json would show; give one of them");
	if (o->forget && o->operand_count == 0)
		return bm_usage_error(COMMAND, "--forget wants a ROOT");
	if (bm_state_dir(o->state, &dir, &err) != BM_OK)
		goto out;
	if (o->operand_count > 0 && bm_audit_catalog_root(o->operands[0], &root, &err) != BM_OK)
		goto out;
	co.dir = dir;
	s.only = root;
	if (bm_catalog_open(&co, &s.c, &err) == BM_OK)
		rc = o->forget ? forget_root(&s, dir) : show_all(&s);
	if (s.c != NULL && bm_catalog_close(s.c, &err) != BM_OK && rc == BM_EXIT_DONE)
		rc = BM_EXIT_FAILED;
out:
	if (err.status == BM_ERR_SYSTEM && err.sys_errno == ENOENT && s.c == NULL) {
		bm_console_say(BM_CONSOLE_ERROR, "there is no catalog yet: bytemill audit --catalog ROOT begins one");
		rc = BM_EXIT_USAGE;
	} else if (err.status != BM_OK) {
		bm_console_say_error(&err);
	}
	bm_buf_fini(&s.line);
	bm_buf_fini(&s.blocks);
	free(dir);
	free(root);
	return rc;
}

const struct bm_cli_command bm_cmd_catalog = {
	.name = COMMAND,
	.operands = "[ROOT]",
	.summary = "what is on record of directories: coverage, damage, manifests",
	.about =
		"Lists the directories that \"bytemill audit --catalog\" has looked at: how much of each was verified\n"
		"within 30 days, how long ago the oldest file was, and which files are damaged, missing or\n"
		"unreadable. Reads the catalog alone, no file.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_STATE | BM_CLI_ALWAYS,
	.epilog = "Examples:\n"
		  "  bytemill catalog\n"
		  "  bytemill catalog --export /srv/photos > SHA256SUMS\n"
		  "  bytemill catalog --forget /mnt/old-disk\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 done; 1 the catalog cannot be read, or a line not be written; 2 usage, or there is no\n"
		  "  catalog; 3 files are damaged or missing\n",
	.run = catalog,
};
