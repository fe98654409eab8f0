/*
 * summary.c - what is said at the end of a run.
 *
 * A failed file is named when it happens and again at the end, where it is not lost among thousands of lines. To say it
 * again it must be kept, and a run may fail on millions of files: the first MAX_IN_MEMORY bytes of text stay in memory,
 * the others go to an unnamed temporary file. Where that cannot be had the summary says how many it does not repeat.
 * What fails but is no file (a manifest, a job that is skipped) is kept in the same way. With --quiet nothing stands
 * between the first time and the end, and once is enough.
 */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "bm_temp.h"
#include "bm_text.h"
#include "console.h"

#define MAX_IN_MEMORY ((size_t)128 << 10)

/* false: it is counted, but could not be kept. */
static bool add(struct bm_closing_list *c, const char *text)
{
	size_t len = strlen(text) + 1;

	c->count++;
	/* Once there is a spill all go there, so that the order stays. */
	if (c->spill == NULL && c->lost == 0 && c->lines.len + len <= MAX_IN_MEMORY) {
		size_t before = c->lines.len;

		bm_buf_put(&c->lines, text, len);
		if (c->lines.oom) {
			c->lines.oom = false;
			c->lines.len = before;
			c->lost++;
			return false;
		}
		return true;
	}
	if (c->spill == NULL && c->lost == 0)
		c->spill = bm_temp_file();
	if (c->spill == NULL || c->lost > 0 || fwrite(text, 1, len, c->spill) != len) {
		c->lost++;
		return false;
	}
	return true;
}

void bm_closing_add_file(struct bm_closing *c, const char *text)
{
	(void)add(&c->files, text);
}

bool bm_closing_add_error(struct bm_closing *c, const char *text)
{
	return add(&c->errors, text);
}

static void print(struct bm_closing_list *c, enum bm_console_tag tag, const char *indent)
{
	char *line = NULL;
	size_t size = 0;

	for (size_t at = 0; at < c->lines.len; at += strlen(c->lines.data + at) + 1)
		bm_console_tell(BM_CONSOLE_SHOWN, tag, "%s%s", indent, c->lines.data + at);
	if (c->spill != NULL && fseeko(c->spill, 0, SEEK_SET) == 0)
		while (getdelim(&line, &size, '\0', c->spill) > 0)
			bm_console_tell(BM_CONSOLE_SHOWN, tag, "%s%s", indent, line);
	free(line);
	if (c->lost > 0 || (c->spill != NULL && ferror(c->spill)))
		bm_console_tell(BM_CONSOLE_SHOWN, BM_CONSOLE_WARNING,
		                "%llu of them could not be kept for this list; they are named above",
		                (unsigned long long)c->lost);
}

/* Those there are, where something was verified. */
static void put_verdicts(struct bm_buf *line, const struct bm_summary *sum)
{
	const char *between = "; ";

	for (int v = BM_VERDICT_OK; v < BM_VERDICT_COUNT; v++) {
		if (sum->verdicts[v] == 0)
			continue;
		bm_buf_printf(line, "%s%llu %s", between, (unsigned long long)sum->verdicts[v],
		              bm_verdict_text((enum bm_verdict)v));
		between = ", ";
	}
	if (sum->bad_lines > 0)
		bm_buf_printf(line, "%s%llu bad line%s in manifests", between, (unsigned long long)sum->bad_lines,
		              sum->bad_lines == 1 ? "" : "s");
}

void bm_closing_print(struct bm_closing *c, const struct bm_summary *sum, const char *signal_name, unsigned where,
                      bool is_brief)
{
	struct bm_buf line = {0};
	char a[16], b[16], t[24];
	uint64_t passed_over = sum->passed_over.symlinks + sum->passed_over.special +
	                       sum->passed_over.other_filesystem + sum->passed_over.own_outputs;

	if (!is_brief && (where & BM_CONSOLE_SHOWN) != 0) {
		if (c->files.count > 0)
			bm_console_tell(BM_CONSOLE_SHOWN, BM_CONSOLE_PLAIN,
			                "%llu file%s failed:", (unsigned long long)c->files.count,
			                c->files.count == 1 ? "" : "s");
		print(&c->files, BM_CONSOLE_PLAIN, "  ");
		print(&c->errors, BM_CONSOLE_ERROR, "");
	}

	if (signal_name != NULL)
		bm_buf_printf(&line, "stopped by %s: ", signal_name);
	else if (sum->cancelled)
		bm_buf_puts(&line, "stopped: ");
	if (sum->jobs_done + sum->jobs_failed + sum->jobs_skipped > 1) {
		bm_buf_printf(&line, "%llu jobs done, ", (unsigned long long)sum->jobs_done);
		if (sum->jobs_failed > 0)
			bm_buf_printf(&line, "%llu failed, ", (unsigned long long)sum->jobs_failed);
		if (sum->jobs_skipped > 0)
			bm_buf_printf(&line, "%llu skipped, ", (unsigned long long)sum->jobs_skipped);
	}
	bm_buf_printf(&line, "%llu file%s done, %llu failed, %llu skipped", (unsigned long long)sum->files_done,
	              sum->files_done == 1 ? "" : "s", (unsigned long long)sum->files_failed,
	              (unsigned long long)sum->files_skipped);
	if (passed_over > 0)
		bm_buf_printf(&line, ", %llu passed over", (unsigned long long)passed_over);
	if (sum->files_removed > 0)
		bm_buf_printf(&line, ", %llu removed", (unsigned long long)sum->files_removed);
	put_verdicts(&line, sum);
	bm_buf_printf(&line, "; %s read, %s written; %s", bm_size_format(sum->bytes_read, a),
	              bm_size_format(sum->bytes_written, b), bm_duration_format(sum->elapsed_ms, t));
	if (sum->elapsed_ms > 0 && sum->bytes_read > 0)
		bm_buf_printf(
			&line, ", %s/s",
			bm_size_format((uint64_t)((double)sum->bytes_read * 1000.0 / (double)sum->elapsed_ms), a));
	if (!line.oom)
		bm_console_tell(where, BM_CONSOLE_PLAIN, "%s", line.data);
	bm_buf_fini(&line);
}

static void fini(struct bm_closing_list *c)
{
	bm_buf_fini(&c->lines);
	if (c->spill != NULL)
		fclose(c->spill);
	memset(c, 0, sizeof(*c));
}

void bm_closing_fini(struct bm_closing *c)
{
	fini(&c->files);
	fini(&c->errors);
}
