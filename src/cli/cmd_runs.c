/*
 * cmd_runs.c - bytemill runs: what ran when, for how long, and what came of it; from the catalog alone.
 *
 * A list with the latest run first, or one run in detail, named by its id or by as much of its beginning as tells it from
 * the others. --html writes the same as a page. --keep drops what is old, and lists nothing, so that it is fit for cron.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bm_catalog_done.h"
#include "bm_error.h"
#include "bm_html_page.h"
#include "bm_sink.h"
#include "bm_state.h"
#include "bm_text.h"
#include "commands.h"
#include "console.h"
#include "runs_show.h"

#define COMMAND "runs"
#define FLUSH_BYTES ((size_t)64 << 10)
#define LIST_MAX 50 /* unless --count or --json says otherwise */

#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "job",
		.type = BM_CLI_TEXT,
		.offset = AT(job),
		.arg = "NAME",
		.help = "only runs with a job of that name",
	},
	{
		.name = "count",
		.letter = 'n',
		.type = BM_CLI_UNSIGNED,
		.offset = AT(count),
		.arg = "N",
		.min = 1,
		.max = 1000000000,
		.help = "the last N runs (default: 50; with --json: all)",
	},
	{
		.name = "json",
		.type = BM_CLI_FLAG,
		.offset = AT(json),
		.help = "an object a line",
	},
	{
		.name = "html",
		.type = BM_CLI_TEXT,
		.offset = AT(html),
		.arg = "FILE",
		.is_path = true,
		.help = "write it as a page for a browser",
	},
	{
		.name = "keep",
		.type = BM_CLI_DURATION,
		.offset = AT(keep_ms),
		.is_age = true,
		.arg = "TIME",
		.help = "drop runs that are older than TIME (\"90d\"), and what jobs have done that were not run since",
	},
};

struct show {
	const struct bm_cli_options *o;
	struct bm_catalog *c;
	struct bm_buf out;
	uint64_t count;
	bool detail;
	bool is_cut; /* standard output takes no more: main tells */
	enum bm_status status;
	struct bm_error *err;
};

static void flush(struct show *s)
{
	if (s->out.data != NULL && !s->is_cut && fwrite(s->out.data, 1, s->out.len, stdout) != s->out.len)
		s->is_cut = true;
	bm_buf_reset(&s->out);
}

static bool show_run(void *ctx, const struct bm_catalog_run_row *row)
{
	struct show *s = ctx;

	s->count++;
	if (s->o->html != NULL && s->detail)
		s->status = runs_html_detail(&s->out, s->c, row, s->err);
	else if (s->o->html != NULL)
		runs_html_row(&s->out, row);
	else if (s->o->json)
		s->status = runs_put_json(&s->out, s->c, row, s->detail, s->err);
	else if (s->detail)
		s->status = runs_put_detail(&s->out, s->c, row, s->err);
	else
		runs_put_line(&s->out, row);
	if (s->status == BM_OK && s->out.oom)
		s->status = bm_error_set_nomem(s->err);
	if (s->o->html == NULL && s->out.len >= FLUSH_BYTES)
		flush(s);
	return s->status == BM_OK && !s->is_cut;
}

static enum bm_status list(struct show *s)
{
	const struct bm_cli_options *o = s->o;
	uint64_t limit = o->count > 0 ? o->count : o->json ? 0 : LIST_MAX;
	enum bm_status status;

	if (o->html != NULL)
		runs_html_list_begin(&s->out);
	else if (!o->json)
		runs_put_heading(&s->out);
	status = bm_catalog_run_list(s->c, o->job, limit, show_run, s, s->err);
	if (o->html != NULL)
		runs_html_list_end(&s->out, s->count);
	return status;
}

static enum bm_status write_page(const struct show *s)
{
	struct bm_sink_options opt = {.if_exists = BM_EXISTS_REPLACE, .mode = 0666};
	struct bm_sink_set *set = NULL;
	struct bm_sink *sink = NULL;
	bool skipped;
	enum bm_status status = bm_sink_set_create("runs", BM_DURABLE_FILE, &set, s->err);

	if (status == BM_OK)
		status = bm_sink_open(set, s->o->html, &opt, NULL, &sink, &skipped, s->err);
	if (status == BM_OK)
		status = bm_sink_write(sink, s->out.data, s->out.len, false, NULL, s->err);
	if (status == BM_OK) {
		status = bm_sink_commit(sink, NULL, -1, NULL, NULL, s->err);
		sink = NULL;
	}
	bm_sink_abort(sink);
	if (status == BM_OK)
		status = bm_sink_set_sync(set, s->err);
	bm_sink_set_destroy(set);
	return status;
}

static enum bm_status show(struct show *s)
{
	const struct bm_cli_options *o = s->o;
	const char *id = s->detail ? o->operands[0] : NULL;
	enum bm_status status;

	if (o->html != NULL && runs_html_begin(&s->out, s->detail, s->err) != BM_OK)
		return s->err->status;
	status = s->detail ? bm_catalog_run_find(s->c, id, show_run, s, s->err) : list(s);
	if (status == BM_OK)
		status = s->status;
	if (status == BM_OK && o->html != NULL) {
		bm_html_page_end(&s->out, bm_catalog_path(s->c));
		status = s->out.oom ? bm_error_set_nomem(s->err) : write_page(s);
	} else if (o->html == NULL) {
		flush(s);
	}
	return status;
}

static enum bm_status forget(struct show *s)
{
	int64_t now = bm_catalog_now(), before;
	uint64_t runs = 0;
	enum bm_status status;

	if (s->o->keep_ms > (uint64_t)(now / 1000000))
		return BM_OK;
	before = now - (int64_t)s->o->keep_ms * 1000000;
	status = bm_catalog_run_delete_before(s->c, before, &runs, s->err);
	if (status == BM_OK)
		status = bm_catalog_job_delete_before(s->c, before, NULL, s->err);
	if (status == BM_OK && runs > 0)
		bm_console_say(BM_CONSOLE_PLAIN, "%" PRIu64 " run%s dropped from the history", runs,
		               runs == 1 ? " was" : "s were");
	return status;
}

static int runs(const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	struct show s = {.o = o, .err = &err, .detail = o->operand_count > 0};
	struct bm_catalog_options co = {.must_exist = true};
	enum bm_status status;
	char shown[300], *dir = NULL;
	int rc = BM_EXIT_DONE;

	if (o->operand_count > 1)
		return bm_usage_error(COMMAND, "wanted is one RUN at most; %zu were given", o->operand_count);
	if (s.detail && (o->job != NULL || o->count > 0))
		return bm_usage_error(COMMAND, "--job and --count are for the list of runs, not for one of them");
	if (o->json && o->html != NULL)
		return bm_usage_error(COMMAND, "--json and --html cannot be used together");
	if (o->html != NULL && strcmp(o->html, "-") == 0)
		return bm_usage_error(COMMAND, "--html wants a file");
	if (o->keep_ms > 0 && (s.detail || o->job != NULL || o->count > 0 || o->json || o->html != NULL))
		return bm_usage_error(COMMAND, "--keep drops old runs and shows nothing: it stands alone");
	status = bm_state_dir(o->state, &dir, &err);
	if (status == BM_OK) {
		co.dir = dir;
		status = bm_catalog_open(&co, &s.c, &err);
	}
	if (status == BM_OK)
		status = o->keep_ms > 0 ? forget(&s) : show(&s);
	if (status == BM_OK && o->job != NULL && s.count == 0 && o->html == NULL)
		bm_console_say(BM_CONSOLE_PLAIN, "no run of a job of this name is on record: %s",
		               bm_escape_display_buf(shown, sizeof(shown), o->job, strlen(o->job)));
	if (s.c != NULL && bm_catalog_close(s.c, &err) != BM_OK && status == BM_OK)
		status = err.status;
	else if (status == BM_ERR_SYSTEM && err.sys_errno == ENOENT && s.c == NULL) {
		bm_console_say(BM_CONSOLE_ERROR, "no run is on record yet");
		bm_error_clear(&err);
		rc = BM_EXIT_USAGE;
	}
	if (err.status != BM_OK) {
		bm_console_say_error(&err);
		if (err.status == BM_ERR_USAGE && s.detail)
			bm_console_say(BM_CONSOLE_PLAIN,
			               "a RUN is an id, or its beginning, as \"bytemill runs\" lists them; "
			               "\"bytemill runs --job NAME\" lists those of a job");
		rc = err.status == BM_ERR_USAGE ? BM_EXIT_USAGE : BM_EXIT_FAILED;
	}
	bm_buf_fini(&s.out);
	free(dir);
	return rc;
}

const struct bm_cli_command bm_cmd_runs = {
	.name = COMMAND,
	.operands = "[RUN]",
	.summary = "past runs, or one of them in detail",
	.about = "Lists the runs of job files, the latest first: when, for how long, how many files and bytes, how it\n"
		 "ended. Of one run, named by its id or the beginning of it: each job and step, and each file that\n"
		 "failed. A run that was killed is \"interrupted\".",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_STATE | BM_CLI_ALWAYS,
	.epilog = "Examples:\n"
		  "  bytemill runs --job nightly -n 7\n"
		  "  bytemill runs 20261123T03\n"
		  "  bytemill runs --html /var/www/runs.html\n"
		  "  bytemill runs --keep 90d\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 done; 1 the catalog cannot be read, or the page not be written; 2 usage, there is no such run,\n"
		  "  or none is on record\n",
	.run = runs,
};
