/*
 * audit_print.c - what an audit says: for people, or as other programs would.
 *
 * Machines' formats are written line by line, as results come: a file in its place in the listing, and what is only in the
 * manifest or only in the tree after all others. For people the counts come first and the worst files next, so each
 * verdict has a pile of lines until the end.
 *
 * Names: for people escaped for a terminal; as sha256sum -c of coreutils 9 prints them (escaped only where there is a line
 * break in them), as rclone does (control characters as their pictures), or as in reports.
 */
#include "bm_audit.h"

#include <stdlib.h>
#include <string.h>

#include "audit_pile.h"
#include "bm_error.h"
#include "bm_report.h"
#include "bm_text.h"

struct bm_audit_printer {
	enum bm_audit_format format;
	unsigned only;
	FILE *out;
	struct bm_buf line;
	bool is_short;                       /* a line was lost */
	struct pile piles[BM_VERDICT_COUNT]; /* TABLE */
};

/* In the order in which people want to know. */
static const enum bm_verdict by_weight[] = {
	BM_VERDICT_ROTTED,  BM_VERDICT_CHANGED,     BM_VERDICT_UNREADABLE, BM_VERDICT_CHANGED_WHILE_READING,
	BM_VERDICT_MISSING, BM_VERDICT_NOT_CHECKED, BM_VERDICT_MOVED,      BM_VERDICT_DUPLICATE,
	BM_VERDICT_NEW,
};
#define WEIGHTS (sizeof(by_weight) / sizeof(by_weight[0]))

enum bm_status bm_audit_printer_create(enum bm_audit_format format, unsigned only, FILE *out,
                                       struct bm_audit_printer **out_printer, struct bm_error *err)
{
	struct bm_audit_printer *p = calloc(1, sizeof(*p));

	*out_printer = p;
	if (p == NULL)
		return bm_error_set_nomem(err);
	p->format = format;
	p->only = only;
	p->out = out;
	return BM_OK;
}

void bm_audit_printer_destroy(struct bm_audit_printer *p)
{
	if (p == NULL)
		return;
	for (int v = 0; v < BM_VERDICT_COUNT; v++)
		pile_fini(&p->piles[v]);
	bm_buf_fini(&p->line);
	free(p);
}

static bool is_shown(const struct bm_audit_printer *p, enum bm_verdict v)
{
	return (p->only & BM_AUDIT_BIT(v)) != 0;
}

/* ---- for machines ---- */

static void put_gnu(struct bm_buf *out, const char *name, const char *result)
{
	bool escape = strchr(name, '\n') != NULL;

	if (escape)
		bm_buf_putc(out, '\\');
	for (; *name != '\0'; name++) {
		if (escape && *name == '\\')
			bm_buf_puts(out, "\\\\");
		else if (escape && *name == '\n')
			bm_buf_puts(out, "\\n");
		else if (escape && *name == '\r')
			bm_buf_puts(out, "\\r");
		else
			bm_buf_putc(out, *name);
	}
	bm_buf_printf(out, ": %s\n", result);
}

static void put_gnu_file(struct bm_buf *out, const struct bm_file_result *f)
{
	switch (f->verdict) {
	case BM_VERDICT_OK:
		put_gnu(out, f->path, "OK");
		break;
	case BM_VERDICT_CHANGED:
	case BM_VERDICT_ROTTED:
		put_gnu(out, f->path, "FAILED");
		break;
	case BM_VERDICT_MOVED:
		put_gnu(out, f->other, "FAILED open or read");
		break;
	case BM_VERDICT_MISSING:
	case BM_VERDICT_UNREADABLE:
	case BM_VERDICT_CHANGED_WHILE_READING:
	case BM_VERDICT_NOT_CHECKED:
		put_gnu(out, f->path, "FAILED open or read");
		break;
	case BM_VERDICT_NONE:
	case BM_VERDICT_NEW:
	case BM_VERDICT_DUPLICATE:
		break;
	}
}

static void put_rclone(struct bm_buf *out, char sign, const char *name)
{
	bm_buf_putc(out, sign);
	bm_buf_putc(out, ' ');
	bm_manifest_put_rclone_name(out, name, strlen(name));
	bm_buf_putc(out, '\n');
}

static void put_rclone_file(struct bm_buf *out, const struct bm_file_result *f)
{
	switch (f->verdict) {
	case BM_VERDICT_OK:
		put_rclone(out, '=', f->path);
		break;
	case BM_VERDICT_CHANGED:
	case BM_VERDICT_ROTTED:
		put_rclone(out, '*', f->path);
		break;
	case BM_VERDICT_MOVED:
		put_rclone(out, '+', f->other);
		put_rclone(out, '-', f->path);
		break;
	case BM_VERDICT_MISSING:
		put_rclone(out, '+', f->path);
		break;
	case BM_VERDICT_NEW:
	case BM_VERDICT_DUPLICATE:
		put_rclone(out, '-', f->path);
		break;
	case BM_VERDICT_UNREADABLE:
	case BM_VERDICT_CHANGED_WHILE_READING:
	case BM_VERDICT_NOT_CHECKED:
		put_rclone(out, '!', f->path);
		break;
	case BM_VERDICT_NONE:
		break;
	}
}

/* ---- for people ---- */

static void put_name(struct bm_buf *out, const char *name)
{
	bm_escape_display(out, name, strlen(name));
}

static void put_verdict(struct bm_buf *out, enum bm_verdict v)
{
	const char *text = bm_verdict_text(v);

	bm_buf_puts(out, text);
	for (size_t len = strlen(text); len < 10; len++)
		bm_buf_putc(out, ' ');
	bm_buf_puts(out, "  ");
}

static void pile_file(struct bm_audit_printer *p, const struct bm_file_result *f)
{
	struct bm_buf *out = &p->line;

	if (f->verdict == BM_VERDICT_OK)
		return;
	put_verdict(out, f->verdict);
	put_name(out, f->path);
	if (f->verdict == BM_VERDICT_MOVED) {
		bm_buf_puts(out, " (was ");
		put_name(out, f->other);
		bm_buf_putc(out, ')');
	} else if (f->other != NULL) {
		bm_buf_puts(out, f->verdict == BM_VERDICT_DUPLICATE ? " (of "
		                                                    : " (has the digest that the manifest has of ");
		put_name(out, f->other);
		bm_buf_putc(out, ')');
	} else if (f->error != NULL && f->verdict != BM_VERDICT_MISSING) {
		bm_buf_printf(out, ": %s", f->error->text);
	}
	if (f->damage != NULL)
		bm_audit_put_damage(out, f->damage);
	bm_buf_putc(out, '\n');
	if (out->oom)
		p->piles[f->verdict].lost++;
	else
		pile_add(&p->piles[f->verdict], out->data, out->len);
}

static const char *put_count(char buf[static 32], uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

static void print_row(struct bm_audit_printer *p, const char *what, uint64_t n)
{
	char count[32];

	fprintf(p->out, "%-21s %14s\n", what, put_count(count, n));
}

static void print_table(struct bm_audit_printer *p, const struct bm_summary *sum)
{
	bool any = false;

	print_row(p, "ok", sum->verdicts[BM_VERDICT_OK]);
	for (size_t i = 0; i < WEIGHTS; i++)
		if (sum->verdicts[by_weight[i]] > 0)
			print_row(p, bm_verdict_text(by_weight[i]), sum->verdicts[by_weight[i]]);
	if (sum->bad_lines > 0)
		print_row(p, "bad lines", sum->bad_lines);
	for (size_t i = 0; i < WEIGHTS; i++)
		any = any || (is_shown(p, by_weight[i]) && sum->verdicts[by_weight[i]] > 0);
	if (any)
		fputc('\n', p->out);
	for (size_t i = 0; i < WEIGHTS; i++) {
		struct pile *pile = &p->piles[by_weight[i]];
		char count[32];

		pile_print(pile, p->out);
		if (pile->lost > 0)
			fprintf(p->out, "%-10s  and %s more, which could not be kept for this list\n",
			        bm_verdict_text(by_weight[i]), put_count(count, pile->lost));
	}
}

/* ---- both ---- */

void bm_audit_print_file(struct bm_audit_printer *p, const struct bm_file_result *file)
{
	if (file->verdict == BM_VERDICT_NONE || !is_shown(p, file->verdict))
		return;
	bm_buf_reset(&p->line);
	switch (p->format) {
	case BM_AUDIT_TABLE:
		pile_file(p, file);
		return;
	case BM_AUDIT_GNU:
		put_gnu_file(&p->line, file);
		break;
	case BM_AUDIT_RCLONE:
		put_rclone_file(&p->line, file);
		break;
	case BM_AUDIT_JSON:
		bm_report_file(&p->line, file);
		break;
	}
	/* A failed write is seen when the program flushes. */
	if (p->line.oom)
		p->is_short = true;
	else if (p->line.len > 0)
		fwrite(p->line.data, 1, p->line.len, p->out);
}

bool bm_audit_print_end(struct bm_audit_printer *p, const char *run_id, const struct bm_summary *sum)
{
	if (p->format == BM_AUDIT_TABLE)
		print_table(p, sum);
	if (p->format != BM_AUDIT_JSON)
		return !p->is_short;
	bm_buf_reset(&p->line);
	bm_report_summary(&p->line, run_id, sum);
	if (!p->line.oom)
		fwrite(p->line.data, 1, p->line.len, p->out);
	return !p->line.oom && !p->is_short;
}
