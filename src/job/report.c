/*
 * report.c - JSON Lines, one object appended at a time. See bm_report.h for their shape.
 *
 * Written by hand and not through a JSON library: a tree of values would be built and freed for each of millions of
 * files, and no library keeps names that are not UTF-8. Digests are an array with the step in each, not an object by
 * algorithm, because one algorithm may stand at several steps (of the file and of its .gz), and readers should not have
 * to know two shapes. Arrays are there even when empty, for the same reason.
 */
#include <string.h>

#include "bm_report.h"
#include "bm_text.h"

/* printf takes longer for a number than all else for a digest. */
static void put_number(struct bm_buf *out, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	bm_buf_put(out, digits + at, sizeof(digits) - at);
}

/* key with all that goes before the number: ,"bytes": */
static void put_count(struct bm_buf *out, const char *key, uint64_t v)
{
	bm_buf_puts(out, key);
	put_number(out, v);
}

static void put_name(struct bm_buf *out, const char *key, const char *name)
{
	bm_json_put_name(out, key, name != NULL ? name : "", name != NULL ? strlen(name) : 0);
}

static void put_text(struct bm_buf *out, const char *key, const char *text)
{
	bm_buf_puts(out, key);
	bm_json_put_string(out, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

static void put_error(struct bm_buf *out, const struct bm_error *e)
{
	put_text(out, ",\"error\":{\"status\":", bm_status_text(e->status));
	if (e->sys_errno > 0)
		put_count(out, ",\"errno\":", (uint64_t)e->sys_errno);
	if (e->where[0] != '\0')
		put_text(out, ",\"where\":", e->where);
	put_text(out, ",\"text\":", e->text);
	bm_buf_putc(out, '}');
}

static const char *state_name(enum bm_file_state state)
{
	switch (state) {
	case BM_FILE_DONE:
		return "done";
	case BM_FILE_SKIPPED:
		return "skipped";
	case BM_FILE_FAILED:
		return "failed";
	}
	return "unknown";
}

const char *bm_verdict_text(enum bm_verdict verdict)
{
	switch (verdict) {
	case BM_VERDICT_NONE:
		return "none";
	case BM_VERDICT_OK:
		return "ok";
	case BM_VERDICT_CHANGED:
		return "changed";
	case BM_VERDICT_ROTTED:
		return "rotted";
	case BM_VERDICT_MOVED:
		return "moved";
	case BM_VERDICT_DUPLICATE:
		return "duplicate";
	case BM_VERDICT_NEW:
		return "new";
	case BM_VERDICT_MISSING:
		return "missing";
	case BM_VERDICT_UNREADABLE:
		return "unreadable";
	case BM_VERDICT_CHANGED_WHILE_READING:
		return "changed-while-reading";
	case BM_VERDICT_NOT_CHECKED:
		return "not-checked";
	}
	return "unknown";
}

static void put_digests(struct bm_buf *out, const struct bm_file_result *f)
{
	bm_buf_puts(out, ",\"digests\":[");
	for (size_t i = 0; i < f->digest_count; i++) {
		const struct bm_file_digest *d = &f->digests[i];

		put_count(out, i == 0 ? "{\"step\":" : ",{\"step\":", d->step);
		put_text(out, ",\"algorithm\":", d->algorithm);
		bm_buf_puts(out, ",\"hex\":\"");
		bm_hex_put(out, d->bytes, d->len);
		put_count(out, "\",\"bytes\":", d->length);
		bm_buf_putc(out, '}');
	}
	bm_buf_putc(out, ']');
}

static void put_outputs(struct bm_buf *out, const struct bm_file_result *f)
{
	bm_buf_puts(out, ",\"outputs\":[");
	for (size_t i = 0; i < f->output_count; i++) {
		const struct bm_file_output *o = &f->outputs[i];

		put_count(out, i == 0 ? "{\"step\":" : ",{\"step\":", o->step);
		bm_buf_putc(out, ',');
		put_name(out, "path", o->path);
		put_count(out, ",\"bytes\":", o->bytes);
		if (o->skipped)
			bm_buf_puts(out, ",\"skipped\":true");
		bm_buf_putc(out, '}');
	}
	bm_buf_putc(out, ']');
}

/* A line each, the last one with or without its end. */
static void put_warnings(struct bm_buf *out, const char *lines)
{
	bool is_first = true;

	bm_buf_puts(out, ",\"warnings\":[");
	while (lines != NULL && *lines != '\0') {
		size_t len = strcspn(lines, "\n");

		if (len > 0) {
			if (!is_first)
				bm_buf_putc(out, ',');
			is_first = false;
			bm_json_put_string(out, lines, len);
		}
		lines += len;
		lines += *lines == '\n';
	}
	bm_buf_putc(out, ']');
}

static void put_damage(struct bm_buf *out, const struct bm_file_damage *d)
{
	uint64_t told = d->span_count < BM_DAMAGE_SPANS ? d->span_count : BM_DAMAGE_SPANS;

	put_count(out, ",\"damage\":{\"size\":", d->size_bytes);
	put_count(out, ",\"found\":", d->found_bytes);
	put_count(out, ",\"bytes\":", d->damaged_bytes);
	bm_buf_puts(out, ",\"ranges\":[");
	for (uint64_t i = 0; i < told; i++) {
		put_count(out, i == 0 ? "[" : ",[", d->spans[i].first);
		put_count(out, ",", d->spans[i].last);
		bm_buf_putc(out, ']');
	}
	put_count(out, "],\"more_ranges\":", d->span_count - told);
	bm_buf_putc(out, '}');
}

void bm_report_file(struct bm_buf *out, const struct bm_file_result *f)
{
	bm_buf_puts(out, "{\"type\":\"file\",");
	put_name(out, "job", f->job);
	bm_buf_putc(out, ',');
	put_name(out, "path", f->path);
	bm_buf_putc(out, ',');
	put_name(out, "input", f->display);
	put_text(out, ",\"state\":", state_name(f->state));
	if (f->unchanged)
		bm_buf_puts(out, ",\"unchanged\":true");
	if (f->verdict != BM_VERDICT_NONE)
		put_text(out, ",\"verdict\":", bm_verdict_text(f->verdict));
	if (f->other != NULL) {
		bm_buf_putc(out, ',');
		put_name(out, "other", f->other);
	}
	put_count(out, ",\"bytes\":", f->bytes);
	if (f->removed)
		bm_buf_puts(out, ",\"removed\":true");
	put_digests(out, f);
	put_outputs(out, f);
	put_warnings(out, f->warnings);
	if (f->damage != NULL)
		put_damage(out, f->damage);
	if (f->error != NULL)
		put_error(out, f->error);
	bm_buf_puts(out, "}\n");
}

/* Only where some job verified. */
static void put_verdicts(struct bm_buf *out, const struct bm_summary *s)
{
	uint64_t any = s->bad_lines;

	for (int v = 0; v < BM_VERDICT_COUNT; v++)
		any |= s->verdicts[v];
	if (any == 0)
		return;
	bm_buf_puts(out, ",\"verdicts\":{");
	for (int v = BM_VERDICT_OK; v < BM_VERDICT_COUNT; v++) {
		bm_buf_puts(out, v == BM_VERDICT_OK ? "\"" : ",\"");
		bm_buf_puts(out, bm_verdict_text((enum bm_verdict)v));
		put_count(out, "\":", s->verdicts[v]);
	}
	put_count(out, "},\"bad_lines\":", s->bad_lines);
}

void bm_report_summary(struct bm_buf *out, const char *run_id, const struct bm_summary *s)
{
	bm_buf_puts(out, "{\"type\":\"summary\",");
	put_name(out, "run", run_id);
	put_count(out, ",\"jobs_done\":", s->jobs_done);
	put_count(out, ",\"jobs_failed\":", s->jobs_failed);
	put_count(out, ",\"jobs_skipped\":", s->jobs_skipped);
	put_count(out, ",\"files_done\":", s->files_done);
	put_count(out, ",\"files_failed\":", s->files_failed);
	put_count(out, ",\"files_skipped\":", s->files_skipped);
	if (s->files_removed > 0)
		put_count(out, ",\"files_removed\":", s->files_removed);
	put_count(out, ",\"passed_over\":{\"symlinks\":", s->passed_over.symlinks);
	put_count(out, ",\"special\":", s->passed_over.special);
	put_count(out, ",\"other_filesystem\":", s->passed_over.other_filesystem);
	put_count(out, ",\"own_outputs\":", s->passed_over.own_outputs);
	put_count(out, "},\"bytes_read\":", s->bytes_read);
	put_count(out, ",\"bytes_written\":", s->bytes_written);
	put_count(out, ",\"elapsed_ms\":", s->elapsed_ms);
	put_verdicts(out, s);
	bm_buf_puts(out, s->cancelled ? ",\"cancelled\":true" : ",\"cancelled\":false");
	if (s->error.status != BM_OK)
		put_error(out, &s->error);
	bm_buf_puts(out, "}\n");
}
