/*
 * cmd_bag.c - bytemill bag: BagIt bags (RFC 8493) made and validated.
 *
 * Three jobs for the one engine: read and hash (in place), read, hash and copy (--to), read and verify (--validate). The
 * files beside the payload are src/audit's (bm_bag.h), the moving in place bag_place.h's. A bag that could not be made of
 * all its files is not made: bagit.txt is missing, and in place nothing has moved.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bag_place.h"
#include "bag_target.h"
#include "bm_audit.h"
#include "bm_bag.h"
#include "bm_digest.h"
#include "bm_error.h"
#include "bm_job.h"
#include "bm_sink.h"
#include "bm_text.h"
#include "console.h"
#include "drive.h"

#define COMMAND "bag"
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "algorithm",
		.letter = 'a',
		.type = BM_CLI_TEXTS,
		.offset = AT(algorithms),
		.arg = "ALG",
		.help = "of the manifests: sha512 (default), sha256 ...; repeat it or use commas for several",
	},
	{
		.name = "to",
		.type = BM_CLI_TEXT,
		.offset = AT(bag_to),
		.arg = "TARGET",
		.help = "leave DIR as it is, make the bag at TARGET: new, empty, or begun by a run that was stopped",
	},
	{
		.name = "info",
		.type = BM_CLI_TEXTS,
		.offset = AT(bag_info),
		.arg = "KEY=VALUE",
		.help = "a line of bag-info.txt, such as Source-Organization=Archive; repeatable",
	},
	{
		.name = "validate",
		.type = BM_CLI_FLAG,
		.offset = AT(bag_validate),
		.help = "DIR is a bag: are all files there, and as its manifests say?",
	},
};

struct bag {
	const struct bm_cli_options *o;
	const struct bm_digest_algorithm *algorithms[BM_BAG_ALGORITHMS_MAX];
	struct bm_enum_list list;
	size_t count;
	char **info;
	const char *dir;
	struct bm_bag_writer *writer; /* making */
	struct bm_bag_check check;    /* validating */
	bool is_made;
	bool replaces; /* the files of an earlier run */
	uint64_t failed;
};

/* ---- the end, file by file ---- */

static void on_made(void *ctx, const struct bm_file_result *f)
{
	struct bag *b = ctx;
	char shown[300];

	if (f->state == BM_FILE_DONE) {
		bm_bag_writer_add(b->writer, f);
		return;
	}
	b->failed++;
	bm_console_say(BM_CONSOLE_ERROR, "%s: %s",
	               bm_escape_display_buf(shown, sizeof(shown), f->display, strlen(f->display)),
	               f->error != NULL ? f->error->text : "it was not copied");
}

static int finish_made(void *ctx, struct bm_run *run, const struct bm_summary *sum, int rc)
{
	struct bag *b = ctx;
	struct bm_error err = BM_ERROR_INIT;

	(void)run;
	if (rc != BM_EXIT_DONE || b->failed > 0 || sum->cancelled || sum->error.status != BM_OK) {
		bm_console_say(BM_CONSOLE_ERROR, "no bag was made, since not all files are in it");
		return BM_EXIT_FAILED;
	}
	/* They would move along, and others would find files that are in no manifest. */
	if (b->o->bag_to == NULL &&
	    sum->passed_over.symlinks + sum->passed_over.special + sum->passed_over.own_outputs > 0) {
		bm_console_say(
			BM_CONSOLE_ERROR,
			"no bag was made: there are symbolic links or other things that are no regular files, and "
			"no manifest can list them; remove them, or leave them out with --to");
		return BM_EXIT_FAILED;
	}
	if (bm_bag_writer_odd_names(b->writer) > 0)
		bm_console_say(
			BM_CONSOLE_WARNING, "%" PRIu64 " name%s not UTF-8: other programs may not find such files",
			bm_bag_writer_odd_names(b->writer), bm_bag_writer_odd_names(b->writer) == 1 ? " is" : "s are");
	if (bm_bag_writer_finish(b->writer, (const char *const *)b->info, b->o->bag_info.count, &err) != BM_OK) {
		bm_console_say_error(&err);
		return BM_EXIT_FAILED;
	}
	b->is_made = true;
	return rc;
}

static void say_fault(void *ctx, const char *text)
{
	(void)ctx;
	printf("%s\n", text);
}

static void on_checked(void *ctx, const struct bm_file_result *f)
{
	struct bag *b = ctx;
	bool is_payload = strncmp(f->path, "data/", 5) == 0;
	char shown[300];

	bm_escape_display_buf(shown, sizeof(shown), f->path, strlen(f->path));
	switch (f->verdict) {
	case BM_VERDICT_NONE:
		return;
	case BM_VERDICT_OK:
		if (!is_payload || !b->check.must_list_all || f->digest_count >= b->check.payload_kinds)
			return;
		b->check.faults++;
		printf("%s: not in every payload manifest\n", shown);
		return;
	case BM_VERDICT_MOVED:
		b->check.faults++;
		b->check.incomplete++;
		printf("%s: missing\n", bm_escape_display_buf(shown, sizeof(shown), f->other, strlen(f->other)));
		bm_escape_display_buf(shown, sizeof(shown), f->path, strlen(f->path));
		break;
	case BM_VERDICT_NEW:
	case BM_VERDICT_DUPLICATE:
		break;
	case BM_VERDICT_MISSING:
		b->check.faults++;
		b->check.incomplete++;
		printf("%s: missing\n", shown);
		return;
	case BM_VERDICT_CHANGED:
	case BM_VERDICT_ROTTED:
		b->check.faults++;
		printf("%s: %s\n", shown, f->error != NULL ? f->error->text : "changed");
		return;
	case BM_VERDICT_UNREADABLE:
	case BM_VERDICT_CHANGED_WHILE_READING:
	case BM_VERDICT_NOT_CHECKED:
		b->failed++;
		bm_console_say(BM_CONSOLE_ERROR, "%s: %s", shown,
		               f->error != NULL ? f->error->text : bm_verdict_text(f->verdict));
		return;
	}
	/* Tag files need not be listed. */
	if (!is_payload)
		return;
	b->check.faults++;
	printf("%s: in no manifest\n", shown);
}

static int say_result(const struct bag *b, bool ended)
{
	char shown[256];
	const char *result = "valid";
	int rc = BM_EXIT_DONE;

	if (b->check.faults > 0) {
		result = b->check.incomplete > 0 ? "not complete, and so not valid" : "not valid";
		rc = BM_EXIT_DIFFERENT;
	} else if (!ended || b->failed > 0 || b->check.unknown > 0) {
		result = "not all of it could be checked";
		rc = BM_EXIT_FAILED;
	}
	if (rc != BM_EXIT_DONE || !b->o->quiet)
		printf("%s: %s\n", bm_escape_display_buf(shown, sizeof(shown), b->dir, strlen(b->dir)), result);
	return rc;
}

static int finish_checked(void *ctx, struct bm_run *run, const struct bm_summary *sum, int rc)
{
	const struct bag *b = ctx;

	(void)run;
	(void)rc;
	return say_result(b, !sum->cancelled && sum->error.status == BM_OK && sum->bad_lines == 0);
}

/* ---- the jobs ---- */

static struct bm_job *make_job(const struct bag *b)
{
	struct bm_job *job = bm_job_create("bag");
	union bm_step_params *p = job != NULL ? bm_job_add_step(job, "read") : NULL;
	bool ok = p != NULL && bm_strings_add(&p->read.from, b->dir);

	if (ok) {
		p->read.hidden = true;
		p->read.literal = true;
		ok = b->o->bag_to != NULL || (bm_strings_add(&p->read.exclude, "/" BAG_STAGE) &&
		                              bm_strings_add(&p->read.exclude, "/" BAG_STAGE "/**"));
	}
	p = ok ? bm_job_add_step(job, "hash") : NULL;
	ok = p != NULL;
	if (ok)
		p->hash.algorithms = b->list;
	if (ok && b->o->bag_to != NULL) {
		struct bm_buf to = {0};

		bm_template_put_literal(&to, b->o->bag_to, strlen(b->o->bag_to));
		bm_buf_puts(&to, "/data/{path}");
		p = bm_job_add_step(job, "copy");
		ok = p != NULL && !to.oom;
		if (ok)
			p->write.to = bm_buf_take(&to);
		if (ok && b->replaces)
			p->write.if_exists = BM_EXISTS_REPLACE;
		bm_buf_fini(&to);
	}
	if (ok)
		return job;
	bm_job_destroy(job);
	return NULL;
}

static int drive(struct bag *b, struct bm_job *job)
{
	struct bm_drive_style style = {
		.command = COMMAND,
		.is_filter = true,
		.results_on_stdout = b->writer == NULL,
		.on_file = b->writer != NULL ? on_made : on_checked,
		.finish = b->writer != NULL ? finish_made : finish_checked,
		.ctx = b,
	};

	return bm_drive_job(job, b->o, &style);
}

/* ---- the three ways ---- */

static int validate(struct bag *b)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf list = {0};
	struct bm_audit_options ao = {.root = b->dir, .kind = BM_MANIFEST_KIND_BSD};
	int rc = BM_EXIT_USAGE;

	b->check.on_fault = say_fault;
	if (bm_bag_check(b->dir, &b->check, &err) != BM_OK) {
		bm_console_say_error(&err);
		return rc;
	}
	if (b->check.list < 0)
		return say_result(b, true);
	bm_buf_printf(&list, "/proc/self/fd/%d", b->check.list);
	if (!list.oom) {
		ao.manifest = list.data;
		rc = drive(b, bm_audit_job(&ao));
	}
	bm_buf_fini(&list);
	close(b->check.list);
	return rc;
}

static int make_there(struct bag *b)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bag_target t = {.mark = -1};
	int rc = BM_EXIT_USAGE;

	if (b->o->dry_run)
		return drive(b, make_job(b));
	if (bag_target_begin(b->o->bag_to, b->dir, &t, &err) != BM_OK) {
		rc = err.status == BM_ERR_CONFLICT ? BM_EXIT_BUSY : BM_EXIT_USAGE;
		goto out;
	}
	if (t.resumes)
		bm_console_tell(bm_console_unless(b->o->quiet), BM_CONSOLE_PLAIN, "%s",
		                t.is_complete ? "an earlier run has made it"
		                              : "going on where an earlier run was stopped");
	b->replaces = t.resumes;
	if (!t.is_complete) {
		if (bm_bag_writer_create(b->o->bag_to, b->algorithms, b->count, &b->writer, &err) != BM_OK)
			goto out;
		rc = drive(b, make_job(b));
		if (!b->is_made)
			goto out;
	}
	rc = bag_target_end(b->o->bag_to, &t, &err) == BM_OK ? BM_EXIT_DONE : BM_EXIT_FAILED;
out:
	if (err.status != BM_OK)
		bm_console_say_error(&err);
	bag_target_fini(&t);
	return rc;
}

static int make_in_place(struct bag *b)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf stage = {0};
	bool resumes = false;
	int rc = BM_EXIT_USAGE;

	if (b->o->dry_run)
		return drive(b, make_job(b));
	bm_buf_printf(&stage, "%s/%s", b->dir, BAG_STAGE);
	if (stage.oom)
		(void)bm_error_set_nomem(&err);
	if (err.status != BM_OK || bag_place_begin(b->dir, &resumes, &err) != BM_OK)
		goto out;
	if (!resumes) {
		if (bm_bag_writer_create(stage.data, b->algorithms, b->count, &b->writer, &err) != BM_OK)
			goto abandon;
		rc = drive(b, make_job(b));
		if (!b->is_made)
			goto abandon;
	} else {
		bm_console_tell(bm_console_unless(b->o->quiet), BM_CONSOLE_PLAIN,
		                "going on where an earlier run was stopped");
	}
	rc = bag_place_move(b->dir, &err) == BM_OK ? BM_EXIT_DONE : BM_EXIT_FAILED;
	goto out;
abandon:
	bm_bag_writer_destroy(b->writer);
	b->writer = NULL;
	bag_place_abandon(b->dir);
out:
	if (err.status != BM_OK)
		bm_console_say_error(&err);
	bm_buf_fini(&stage);
	return rc;
}

/* ---- the beginning ---- */

static int add_algorithm(struct bag *b, const char *text, size_t len)
{
	const struct bm_digest_algorithm *a;
	char name[64], shown[80];

	snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 0, text);
	a = bm_digest_find(name);
	if (bm_digest_index(a) < 0)
		return bm_usage_error(COMMAND, "--algorithm: %s is none; \"bytemill hash --help\" names them",
		                      bm_escape_display_buf(shown, sizeof(shown), text, len));
	for (size_t i = 0; i < b->count; i++)
		if (b->algorithms[i] == a)
			return 0;
	if (b->count == BM_BAG_ALGORITHMS_MAX)
		return bm_usage_error(COMMAND, "--algorithm: at most %d", BM_BAG_ALGORITHMS_MAX);
	b->algorithms[b->count++] = a;
	b->list.items[b->list.count++] = bm_digest_index(a);
	return 0;
}

static int add_info(struct bag *b, size_t i)
{
	const char *text = b->o->bag_info.items[i], *equals = strchr(text, '=');
	struct bm_buf line = {0};
	char shown[120];

	bm_escape_display_buf(shown, sizeof(shown), text, strlen(text));
	if (equals == NULL || equals == text || strpbrk(text, "\r\n") != NULL ||
	    memchr(text, ':', (size_t)(equals - text)) || text[0] == ' ' || equals[-1] == ' ' ||
	    !bm_utf8_valid(text, strlen(text)))
		return bm_usage_error(COMMAND,
		                      "--info wants KEY=VALUE in one line of UTF-8, without \":\" in KEY; not \"%s\"",
		                      shown);
	if (strncasecmp(text, "Payload-Oxum=", 13) == 0 || strncasecmp(text, "Bagging-Date=", 13) == 0)
		return bm_usage_error(COMMAND, "--info: %.12s is found out", text);
	bm_buf_put(&line, text, (size_t)(equals - text));
	bm_buf_printf(&line, ": %s", equals + 1);
	b->info[i] = bm_buf_take(&line);
	return b->info[i] != NULL ? 0 : bm_usage_error(COMMAND, "out of memory");
}

static int check(struct bag *b)
{
	const struct bm_cli_options *o = b->o;
	char shown[256], why[128];
	struct stat st;
	int rc = 0;

	if (o->operand_count != 1)
		return bm_usage_error(COMMAND, "wanted is one DIR; %zu were given", o->operand_count);
	if (o->bag_validate && (o->bag_to != NULL || o->bag_info.count > 0 || o->algorithms.count > 0))
		return bm_usage_error(COMMAND,
		                      "--validate reads a bag: --to, --info and --algorithm are for making one");
	b->dir = o->operands[0];
	bm_escape_display_buf(shown, sizeof(shown), b->dir, strlen(b->dir));
	if (stat(b->dir, &st) != 0)
		return bm_usage_error(COMMAND, "%s: %s", shown, strerror_r(errno, why, sizeof(why)));
	if (!S_ISDIR(st.st_mode))
		return bm_usage_error(COMMAND, "%s is no directory", shown);
	b->info = calloc(o->bag_info.count + 1, sizeof(*b->info));
	if (b->info == NULL)
		return bm_usage_error(COMMAND, "out of memory");
	for (size_t i = 0; i < o->bag_info.count && rc == 0; i++)
		rc = add_info(b, i);
	for (size_t i = 0; i < o->algorithms.count; i++)
		for (const char *at = o->algorithms.items[i]; rc == 0; at++) {
			size_t len = strcspn(at, ",");

			rc = add_algorithm(b, at, len);
			at += len;
			if (*at == '\0')
				break;
		}
	return rc == 0 && b->count == 0 ? add_algorithm(b, "sha512", 6) : rc;
}

static int bag(const struct bm_cli_options *o)
{
	struct bag b = {.o = o};
	int rc = check(&b);

	if (rc == 0)
		rc = o->bag_validate ? validate(&b) : o->bag_to != NULL ? make_there(&b) : make_in_place(&b);
	bm_bag_writer_destroy(b.writer);
	for (size_t i = 0; b.info != NULL && i < o->bag_info.count; i++)
		free(b.info[i]);
	free(b.info);
	return rc;
}

const struct bm_cli_command bm_cmd_bag = {
	.name = COMMAND,
	.operands = "DIR",
	.summary = "make or validate a BagIt bag (RFC 8493)",
	.about =
		"Makes DIR a bag where it is (its files go into DIR/data by renames, once all were read), or with --to\n"
		"makes one elsewhere, in the same single read that digests the files. Without bagit.txt, which is\n"
		"written last, it is no bag yet: run again, both ways go on. With --validate: compares a bag with all its\n"
		"manifests, reading each file once.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_RESOURCES | BM_CLI_RUNNING | BM_CLI_TALK | BM_CLI_REPORT,
	.epilog = "Examples:\n"
		  "  bytemill bag --algorithm sha256,sha512 --info Source-Organization=Archive deposit\n"
		  "  bytemill bag /srv/photos --to /mnt/usb/photos-bag\n"
		  "  bytemill bag --validate /mnt/usb/photos-bag\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 made, or valid; 3 not valid; 1 files could not be read, so no bag was made, or not all of it\n"
		  "  could be checked; 2 usage, or no bag; 128+N signal N\n",
	.run = bag,
};
