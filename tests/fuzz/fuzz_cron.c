/*
 * fuzz_cron.c - first line: when a job runs; second: a word of its command; the rest: a crontab that is there. What is
 * parsed has a value in every field and survives being written again; a crontab with a line put in and taken out again
 * is what it was, and putting it in twice is putting it in once.
 */
#include <stdbool.h>
#include <string.h>

#include "bm_error.h"
#include "cron_expr.h"
#include "crontab.h"
#include "fuzz.h"

static void try_when(const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf out = {0};
	struct bm_cron c, again;

	if (bm_cron_parse(text, &c, &err) != BM_OK) {
		FUZZ_CHECK(err.status == BM_ERR_USAGE && err.text[0] != '\0');
		return;
	}
	bm_buf_puts(&out, "");
	bm_cron_put_words(&out, text);
	FUZZ_CHECK(strpbrk(out.data, "\n\t\r") == NULL);
	FUZZ_CHECK(bm_cron_parse(out.data, &again, &err) == BM_OK);
	FUZZ_CHECK(c.at_boot == again.at_boot &&
	           (c.at_boot || (memcmp(c.fields, again.fields, sizeof(c.fields)) == 0 &&
	                          c.day_star == again.day_star && c.dow_star == again.dow_star)));
	for (size_t i = 0; i < 5 && !c.at_boot; i++)
		FUZZ_CHECK(c.fields[i] != 0);
	bm_buf_reset(&out);
	bm_cron_put_calendar(&out, &c);
	FUZZ_CHECK(out.len > 0 && out.data[out.len - 1] == '\n');
	bm_buf_fini(&out);
}

static void try_table(char *word, const char *old, size_t len)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	char program[] = "bytemill";
	char *const words[] = {program, word, NULL};
	struct bm_buf line = {0}, with = {0}, without = {0}, again = {0};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_crontab_change change;

	if (bm_crontab_line(&line, "0 3 * * *", words, id, &err) != BM_OK) {
		FUZZ_CHECK(err.status == BM_ERR_USAGE);
		goto out;
	}
	FUZZ_CHECK(strchr(line.data, '\n') == NULL);
	change = bm_crontab_edit(&with, old, len, id, line.data);
	FUZZ_CHECK(!with.oom && change != BM_CRONTAB_REMOVED);
	FUZZ_CHECK(bm_crontab_edit(&again, with.data, with.len, id, line.data) == BM_CRONTAB_SAME);
	FUZZ_CHECK(change == BM_CRONTAB_SAME ||
	           (again.len == with.len && memcmp(again.data, with.data, with.len) == 0) || again.len == 0);
	if (change == BM_CRONTAB_ADDED) {
		FUZZ_CHECK(bm_crontab_edit(&without, with.data, with.len, id, NULL) == BM_CRONTAB_REMOVED);
		/* But for the line end that the last line lacked. */
		FUZZ_CHECK(without.len >= len && without.len <= len + 1);
		FUZZ_CHECK(len == 0 || memcmp(without.data, old, len) == 0);
	}
out:
	bm_buf_fini(&line);
	bm_buf_fini(&with);
	bm_buf_fini(&without);
	bm_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), *rest = text, *when, *word;

	FUZZ_CHECK(text != NULL);
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	when = strsep(&rest, "\n");
	try_when(when);
	if (rest != NULL) {
		word = strsep(&rest, "\n");
		if (rest != NULL)
			try_table(word, rest, len - (size_t)(rest - text));
	}
	free(text);
	return 0;
}
