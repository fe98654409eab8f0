/* audit_talk.c - see audit_talk.h. */
#include "audit_talk.h"

#include <inttypes.h>

#include "console.h"

#define SHOWN_BAD_LINES 20

const char *const bm_cli_audit_formats[] = {
	[BM_AUDIT_TABLE] = "table",
	[BM_AUDIT_GNU] = "gnu",
	[BM_AUDIT_RCLONE] = "rclone",
	[BM_AUDIT_JSON] = "json",
	NULL,
};

void bm_audit_say_bad_line(void *bad_lines, const char *manifest, uint64_t line, const char *fault)
{
	struct bm_audit_bad_lines *b = bad_lines;

	if (++b->count <= SHOWN_BAD_LINES || b->all)
		bm_console_say(BM_CONSOLE_WARNING, "%s:%" PRIu64 ": %s", manifest, line, fault);
}

void bm_audit_say_more_bad_lines(const struct bm_audit_bad_lines *b)
{
	if (b->count > SHOWN_BAD_LINES && !b->all)
		bm_console_say(BM_CONSOLE_WARNING,
		               "%" PRIu64 " bad lines, of which the first %d were shown; --verbose shows all", b->count,
		               SHOWN_BAD_LINES);
}

/* As sha256sum -c. */
static void say_gnu_counts(uint64_t n, const char *one, const char *many)
{
	if (n > 0)
		bm_console_say(BM_CONSOLE_WARNING, "%" PRIu64 " %s", n, n == 1 ? one : many);
}

static void say_gnu(const struct bm_summary *s)
{
	say_gnu_counts(s->bad_lines, "line is improperly formatted", "lines are improperly formatted");
	say_gnu_counts(s->verdicts[BM_VERDICT_MISSING] + s->verdicts[BM_VERDICT_MOVED] +
	                       s->verdicts[BM_VERDICT_UNREADABLE] + s->verdicts[BM_VERDICT_CHANGED_WHILE_READING] +
	                       s->verdicts[BM_VERDICT_NOT_CHECKED],
	               "listed file could not be read", "listed files could not be read");
	say_gnu_counts(s->verdicts[BM_VERDICT_CHANGED] + s->verdicts[BM_VERDICT_ROTTED],
	               "computed checksum did NOT match", "computed checksums did NOT match");
}

int bm_audit_close_list(const struct bm_cli_options *o, enum bm_audit_format format, const struct bm_summary *sum,
                        bool is_whole, int rc)
{
	bm_console_results_first();
	if (!is_whole) {
		bm_console_say(BM_CONSOLE_ERROR, "out of memory: some files are not in the list");
		rc = rc == BM_EXIT_DONE ? BM_EXIT_FAILED : rc;
	}
	if (format == BM_AUDIT_GNU && !o->quiet)
		say_gnu(sum);
	return rc;
}

int bm_audit_write_page(struct bm_audit_html *page, const struct bm_run *run, const struct bm_summary *sum,
                        struct bm_audit_catalog *catalog, int rc)
{
	struct bm_error err = BM_ERROR_INIT;

	if (bm_audit_html_write(page, bm_run_id(run), sum, catalog, &err) == BM_OK)
		return rc;
	bm_console_say_error(&err);
	return rc == BM_EXIT_DONE ? BM_EXIT_FAILED : rc;
}

bool bm_audit_any_of(const struct bm_summary *sum, unsigned bits)
{
	for (int v = 0; v < BM_VERDICT_COUNT; v++)
		if ((bits & BM_AUDIT_BIT(v)) != 0 && sum->verdicts[v] > 0)
			return true;
	return false;
}

int bm_audit_parse_option(const char *command, const char *option, const char *text, unsigned allowed, unsigned *bits)
{
	struct bm_error err = BM_ERROR_INIT;

	if (text != NULL && bm_audit_parse_verdicts(text, allowed, bits, &err) != BM_OK)
		return bm_usage_error(command, "--%s: %s", option, err.text);
	return 0;
}
