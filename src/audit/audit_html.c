/*
 * audit_html.c - see bm_audit_html.h.
 *
 * A page that somebody who has not seen the audit can read: the answer in one sentence, then how many files of which
 * verdict, then the files, the worst first, each list with a sentence that says what its word means. Results come in
 * listing order, so each verdict has a pile of finished rows until the end (audit_pile.h). A browser shows some thousands
 * of rows well and a million badly, so a list ends after LIST_MAX and says how many more there are, and how to get them.
 *
 * NAMES come from other people's disks. They are made safe twice: as for a terminal (what is not printable UTF-8 becomes
 * \xHH, and what turns the direction of writing around too), then for HTML. The page's policy is the third guard
 * (bm_html_page.h).
 */
#include "bm_audit_html.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_charts.h"
#include "audit_html_sheet.h"
#include "audit_pile.h"
#include "bm_audit.h"
#include "bm_error.h"
#include "bm_html_page.h"
#include "bm_sink.h"
#include "bm_text.h"

#define RUN_ID "report"
#define LIST_MAX 1000
#define FLUSH_BYTES ((size_t)64 << 10)

/* The worst first. */
static const struct kind {
	enum bm_verdict verdict;
	const char *class, *heading, *means;
} kinds[] = {
	{BM_VERDICT_ROTTED, "bad", "Rotted",
         "The bytes have changed, though size and time of change have not: damage, most likely. Restore these from a copy."},
	{BM_VERDICT_CHANGED, "bad", "Changed", "The bytes are not those on record."},
	{BM_VERDICT_UNREADABLE, "bad", "Unreadable", "They are there, but could not be read."},
	{BM_VERDICT_CHANGED_WHILE_READING, "warn", "Changed while being read",
         "Somebody wrote to them during the audit, so nothing can be said of them."},
	{BM_VERDICT_MISSING, "bad", "Missing", "On record, but no longer there."},
	{BM_VERDICT_NOT_CHECKED, "warn", "Not checked", "Nothing can be said of them this time."},
	{BM_VERDICT_MOVED, "warn", "Moved", "The same bytes under another name."},
	{BM_VERDICT_DUPLICATE, "warn", "Duplicate", "Not on record, with the bytes of a file that is."},
	{BM_VERDICT_NEW, "warn", "New", "Not on record."},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct list {
	struct pile pile;
	uint64_t count, rows; /* of these in the pile */
	bool has_notes;       /* some of them have a second column */
};

struct bm_audit_html {
	char *root;     /* owned */
	char *manifest; /* owned; NULL: the catalog */
	time_t began;
	struct bm_sink_set *set;
	struct bm_sink *sink; /* NULL once committed */
	struct bm_buf row, page;
	struct list lists[BM_VERDICT_COUNT];
	bool repairs, dry_run; /* files are repaired; or looked at only */
	struct list repaired, unrepaired;
};

bool bm_audit_html_wanted(const char *path)
{
	const char *dot = path != NULL ? strrchr(path, '.') : NULL;

	return dot != NULL && dot != path && dot[-1] != '/' && (strcmp(dot, ".html") == 0 || strcmp(dot, ".htm") == 0);
}

/* "." says nothing to somebody who reads the page elsewhere. NULL: no memory. */
static char *real_root(const struct bm_audit_html_about *about)
{
	const char *slash =
		about->root == NULL && strcmp(about->manifest, "-") != 0 ? strrchr(about->manifest, '/') : NULL;
	char *dir, *real;

	if (about->root != NULL)
		dir = strdup(about->root);
	else if (slash == NULL)
		dir = strdup(".");
	else
		dir = strndup(about->manifest, slash == about->manifest ? 1 : (size_t)(slash - about->manifest));
	real = dir != NULL ? realpath(dir, NULL) : NULL;
	if (real == NULL)
		return dir;
	free(dir);
	return real;
}

/* What a killed audit left beside its page. */
static void sweep(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") : bm_memdup0(path, slash == path ? 1 : (size_t)(slash - path));

	if (dir != NULL)
		(void)!bm_sink_sweep_runs(dir, (const char *const[]){RUN_ID}, 1, false, NULL, NULL);
	free(dir);
}

enum bm_status bm_audit_html_create(const struct bm_audit_html_about *about, struct bm_audit_html **out,
                                    struct bm_error *err)
{
	struct bm_audit_html *h = calloc(1, sizeof(*h));
	struct bm_sink_options opt = {.if_exists = BM_EXISTS_REPLACE, .mode = 0666};
	bool skipped;

	*out = h;
	if (h == NULL)
		return bm_error_set_nomem(err);
	h->began = time(NULL);
	h->root = real_root(about);
	if (about->manifest != NULL)
		h->manifest = strdup(about->manifest);
	if (h->root == NULL || (about->manifest != NULL && h->manifest == NULL))
		return bm_error_set_nomem(err);
	if (bm_sink_set_create(RUN_ID, BM_DURABLE_FILE, &h->set, err) != BM_OK)
		return err->status;
	sweep(about->path);
	return bm_sink_open(h->set, about->path, &opt, NULL, &h->sink, &skipped, err);
}

void bm_audit_html_destroy(struct bm_audit_html *h)
{
	if (h == NULL)
		return;
	bm_sink_abort(h->sink);
	bm_sink_set_destroy(h->set);
	for (int v = 0; v < BM_VERDICT_COUNT; v++)
		pile_fini(&h->lists[v].pile);
	pile_fini(&h->repaired.pile);
	pile_fini(&h->unrepaired.pile);
	bm_buf_fini(&h->row);
	bm_buf_fini(&h->page);
	free(h->root);
	free(h->manifest);
	free(h);
}

/* ---- while it runs ---- */

/* NULL: the list is full. */
static struct bm_buf *begin_row(struct bm_audit_html *h, struct list *list, const char *name, bool has_note)
{
	struct bm_buf *out = &h->row;

	list->count++;
	if (list->rows >= LIST_MAX)
		return NULL;
	bm_buf_reset(out);
	bm_buf_printf(out, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"%s>",
	              has_note ? "" : " colspan=\"2\"");
	bm_html_put_name(out, name, strlen(name));
	bm_buf_puts(out, has_note ? "</th><td role=\"cell\">" : "</th>");
	return out;
}

static void end_row(struct list *list, struct bm_buf *out, bool has_note)
{
	bm_buf_puts(out, has_note ? "</td></tr>\n" : "</tr>\n");
	if (out->oom)
		return; /* told with those that are beyond the end of the list */
	pile_add(&list->pile, out->data, out->len);
	list->rows++;
	list->has_notes = list->has_notes || has_note;
}

void bm_audit_html_file(struct bm_audit_html *h, const struct bm_file_result *f)
{
	bool has_note = f->other != NULL || (f->error != NULL && f->verdict != BM_VERDICT_MISSING);
	struct bm_buf *out;

	if (h == NULL || f->verdict == BM_VERDICT_NONE || f->verdict == BM_VERDICT_OK)
		return;
	out = begin_row(h, &h->lists[f->verdict], f->path, has_note);
	if (out == NULL)
		return;
	if (f->other != NULL) {
		bm_buf_puts(out, f->verdict == BM_VERDICT_MOVED       ? "was "
		                 : f->verdict == BM_VERDICT_DUPLICATE ? "copy of "
		                                                      : "has the digest on record of ");
		bm_html_put_name(out, f->other, strlen(f->other));
	} else if (has_note) {
		bm_html_put_message(out, f->error->text);
		if (f->damage != NULL)
			bm_audit_put_damage(out, f->damage);
	}
	end_row(&h->lists[f->verdict], out, has_note);
}

void bm_audit_html_repairs(struct bm_audit_html *h, bool dry_run)
{
	if (h == NULL)
		return;
	h->repairs = true;
	h->dry_run = dry_run;
}

void bm_audit_html_repaired(struct bm_audit_html *h, const struct bm_audit_repaired *f)
{
	struct list *list = h == NULL ? NULL : f->is_good ? &h->repaired : &h->unrepaired;
	struct bm_buf what = {0}, *out;

	if (list == NULL)
		return;
	bm_audit_put_repaired(&what, f);
	out = begin_row(h, list, f->path, what.len > 0);
	if (out != NULL) {
		if (what.len > 0 && !what.oom)
			bm_html_put_message(out, what.data);
		end_row(list, out, what.len > 0);
	}
	bm_buf_fini(&what);
}

/* ---- the page ---- */

static enum bm_status flush(struct bm_audit_html *h, size_t at_least, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (h->page.oom)
		return bm_error_set_nomem(err);
	if (h->page.len > at_least) {
		status = bm_sink_write(h->sink, h->page.data, h->page.len, false, NULL, err);
		bm_buf_reset(&h->page);
	}
	return status;
}

static void put_time(struct bm_buf *out, time_t t)
{
	struct tm tm;
	char text[32];

	if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return;
	bm_buf_printf(out, "<time datetime=\"%s\">%.10s %.8s UTC</time>", text, text, text + 11);
}

static void put_files(struct bm_buf *out, uint64_t n)
{
	audit_html_put_count(out, n);
	bm_buf_puts(out, n == 1 ? " file" : " files");
}

static void put_repairs(struct bm_buf *out, const struct bm_audit_html *h)
{
	uint64_t good = h->repaired.count, bad = h->unrepaired.count;

	if (good > 0) {
		bm_buf_putc(out, ' ');
		put_files(out, good);
		bm_buf_puts(out, h->dry_run ? " could be repaired" : good == 1 ? " was repaired" : " were repaired");
	}
	if (bad > 0) {
		bm_buf_puts(out, good > 0 ? ", " : " ");
		put_files(out, bad);
		bm_buf_puts(out, " could not");
		bm_buf_puts(out, good > 0 ? "" : " be repaired");
	}
	bm_buf_puts(out, good + bad > 0 ? "." : "");
}

static void put_answer(struct bm_buf *out, const struct bm_audit_html *h, const struct bm_summary *s)
{
	const uint64_t *v = s->verdicts;
	uint64_t repaired = h->dry_run ? 0 : h->repaired.count;
	uint64_t damaged = v[BM_VERDICT_ROTTED] + v[BM_VERDICT_CHANGED];
	uint64_t unknown = v[BM_VERDICT_UNREADABLE] + v[BM_VERDICT_CHANGED_WHILE_READING] + v[BM_VERDICT_NOT_CHECKED];
	uint64_t other = v[BM_VERDICT_MOVED] + v[BM_VERDICT_DUPLICATE] + v[BM_VERDICT_NEW];
	bool stopped = s->cancelled || s->error.status != BM_OK, any = false;
	const struct {
		uint64_t n;
		const char *one, *many;
	} parts[] = {
		{damaged, " is not as recorded", " are not as recorded"},
		{v[BM_VERDICT_MISSING], " is missing", " are missing"},
		{unknown, " could not be checked", " could not be checked"},
		{other, " is new or moved", " are new or moved"},
	};

	bm_buf_printf(out, "<p class=\"answer %s\">",
	              damaged + v[BM_VERDICT_MISSING] + v[BM_VERDICT_UNREADABLE] > repaired || stopped ? "bad"
	              : unknown + other + s->bad_lines + repaired > 0                                  ? "warn"
	                                                                                               : "ok");
	if (stopped)
		bm_buf_puts(out, "The audit did not come to its end. ");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].n == 0)
			continue;
		bm_buf_puts(out, any ? "; " : "");
		put_files(out, parts[i].n);
		bm_buf_puts(out, parts[i].n == 1 ? parts[i].one : parts[i].many);
		any = true;
	}
	if (any)
		bm_buf_puts(out, v[BM_VERDICT_OK] > 0 ? "; " : ".");
	if (v[BM_VERDICT_OK] == 0 && !any)
		bm_buf_puts(out, "No file was due, and none was compared.");
	if (v[BM_VERDICT_OK] > 0) {
		put_files(out, v[BM_VERDICT_OK]);
		bm_buf_puts(out, v[BM_VERDICT_OK] == 1 ? " is as recorded." : " are as recorded.");
	}
	put_repairs(out, h);
	bm_buf_puts(out, "</p>\n");
}

static void put_facts(struct bm_audit_html *h, const char *run_id, const struct bm_summary *s)
{
	struct bm_buf *out = &h->page;
	char text[24], size[16];

	bm_buf_puts(out, "<dl>\n<dt>Compared with</dt><dd>");
	if (h->manifest != NULL)
		bm_html_put_name(out, h->manifest, strlen(h->manifest));
	else
		bm_buf_puts(out, "the catalog");
	bm_buf_puts(out, "</dd>\n<dt>Begun</dt><dd>");
	put_time(out, h->began);
	bm_buf_printf(out, "</dd>\n<dt>Took</dt><dd>%s</dd>\n<dt>Read</dt><dd>%s</dd>\n<dt>Run</dt><dd>",
	              bm_duration_format(s->elapsed_ms, text), bm_size_format(s->bytes_read, size));
	bm_html_put_name(out, run_id, strlen(run_id));
	bm_buf_puts(out, "</dd>\n");
	if (s->bad_lines > 0) {
		bm_buf_puts(out, "<dt>Bad lines</dt><dd class=\"warn\">");
		audit_html_put_count(out, s->bad_lines);
		bm_buf_puts(out, " in the manifest could not be read</dd>\n");
	}
	if (s->error.status != BM_OK) {
		bm_buf_puts(out, "<dt>Error</dt><dd class=\"bad\">");
		bm_html_put_message(out, s->error.text[0] != '\0' ? s->error.text : bm_status_text(s->error.status));
		bm_buf_puts(out, "</dd>\n");
	}
	bm_buf_puts(out, "</dl>\n");
}

static void put_counts(struct bm_buf *out, const struct bm_summary *s)
{
	bm_buf_puts(out,
	            "<section aria-labelledby=\"counts\">\n<h2 id=\"counts\">Counts</h2>\n<table class=\"counts\">\n"
	            "<caption>Files by verdict, the worst first</caption>\n<thead><tr><th scope=\"col\">Verdict</th>"
	            "<th scope=\"col\" class=\"n\">Files</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < KINDS; i++) {
		const char *word = bm_verdict_text(kinds[i].verdict);
		uint64_t n = s->verdicts[kinds[i].verdict];

		bm_buf_puts(out, "<tr><th scope=\"row\">");
		if (n > 0)
			bm_buf_printf(out, "<a href=\"#%s\">%s</a>", word, kinds[i].heading);
		else
			bm_buf_puts(out, kinds[i].heading);
		bm_buf_printf(out, "</th><td class=\"n\" id=\"n-%s\">", word);
		audit_html_put_count(out, n);
		bm_buf_puts(out, "</td></tr>\n");
	}
	bm_buf_puts(out, "<tr><th scope=\"row\">As recorded</th><td class=\"n\" id=\"n-ok\">");
	audit_html_put_count(out, s->verdicts[BM_VERDICT_OK]);
	bm_buf_puts(out, "</td></tr>\n</tbody>\n</table>\n</section>\n");
}

static void put_repair_counts(struct bm_buf *out, const struct bm_audit_html *h)
{
	const struct {
		const char *anchor, *heading;
		uint64_t n;
	} rows[] = {{"unrepaired", "Not repaired", h->unrepaired.count},
	            {"repaired", h->dry_run ? "Repairable" : "Repaired", h->repaired.count}};

	if (!h->repairs)
		return;
	bm_buf_puts(out, "<section aria-labelledby=\"repairs\">\n<h2 id=\"repairs\">Repairs</h2>\n<table "
	                 "class=\"counts\">\n<caption>What came of the damaged and missing files that a copy was "
	                 "given for</caption>\n<thead><tr><th scope=\"col\">Result</th><th scope=\"col\" "
	                 "class=\"n\">Files</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bm_buf_puts(out, "<tr><th scope=\"row\">");
		if (rows[i].n > 0)
			bm_buf_printf(out, "<a href=\"#%s\">", rows[i].anchor);
		bm_buf_printf(out, "%s%s</th><td class=\"n\" id=\"n-%s\">", rows[i].heading,
		              rows[i].n > 0 ? "</a>" : "", rows[i].anchor);
		audit_html_put_count(out, rows[i].n);
		bm_buf_puts(out, "</td></tr>\n");
	}
	bm_buf_puts(out, "</tbody>\n</table>\n</section>\n");
}

struct rows {
	struct bm_audit_html *h;
	enum bm_status status;
	struct bm_error *err;
};

static bool put_row(void *ctx, const void *data, size_t len)
{
	struct rows *r = ctx;

	bm_buf_put(&r->h->page, data, len);
	r->status = flush(r->h, FLUSH_BYTES, r->err);
	return r->status == BM_OK;
}

/* word: its anchor. more: what lists those that are not here; NULL: nothing does. */
static enum bm_status put_list(struct bm_audit_html *h, struct list *list, const char *word, const struct kind *k,
                               bool by_only, struct bm_error *err)
{
	struct bm_buf *out = &h->page;
	uint64_t listed = list->rows, n = list->count;
	struct rows rows = {h, BM_OK, err};

	if (n == 0)
		return BM_OK;
	bm_buf_printf(out,
	              "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\" class=\"%s\">%s</h2>\n"
	              "<table class=\"files\" role=\"table\">\n<caption>",
	              word, word, k->class, k->heading);
	put_files(out, n);
	bm_buf_printf(out,
	              ". %s</caption>\n<thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" "
	              "scope=\"col\"%s>File</th>%s</tr></thead>\n<tbody role=\"rowgroup\">\n",
	              k->means, list->has_notes ? "" : " colspan=\"2\"",
	              list->has_notes ? "<th role=\"columnheader\" scope=\"col\">What is known</th>" : "");
	pile_each(&list->pile, put_row, &rows);
	if (rows.status != BM_OK)
		return rows.status;
	bm_buf_puts(out, "</tbody>\n</table>\n");
	listed = listed > list->pile.lost ? listed - list->pile.lost : 0;
	if (n > listed) {
		bm_buf_puts(out, "<p class=\"more\">And ");
		audit_html_put_count(out, n - listed);
		bm_buf_puts(out, " more.");
		if (by_only)
			bm_buf_printf(out, " <code>bytemill audit --only %s</code> lists them all.", word);
		bm_buf_puts(out, "</p>\n");
	}
	bm_buf_puts(out, "</section>\n");
	return flush(h, FLUSH_BYTES, err);
}

static enum bm_status put_lists(struct bm_audit_html *h, const struct bm_summary *sum, struct bm_error *err)
{
	static const struct kind repaired = {BM_VERDICT_NONE, "ok", "Repaired", "Put right from the copy."};
	static const struct kind repairable = {BM_VERDICT_NONE, "warn", "Repairable",
	                                       "The copy has what they lack. Nothing was written."};
	static const struct kind unrepaired = {BM_VERDICT_NONE, "bad", "Not repaired", "They are as they were found."};
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < KINDS && status == BM_OK; i++) {
		struct list *list = &h->lists[kinds[i].verdict];

		list->count = sum->verdicts[kinds[i].verdict];
		status = put_list(h, list, bm_verdict_text(kinds[i].verdict), &kinds[i], true, err);
	}
	if (status == BM_OK)
		status = put_list(h, &h->unrepaired, "unrepaired", &unrepaired, false, err);
	if (status == BM_OK)
		status = put_list(h, &h->repaired, "repaired", h->dry_run ? &repairable : &repaired, false, err);
	return status;
}

enum bm_status bm_audit_html_write(struct bm_audit_html *h, const char *run_id, const struct bm_summary *sum,
                                   struct bm_audit_catalog *catalog, struct bm_error *err)
{
	struct bm_buf *out;
	struct bm_sink *sink;

	if (h == NULL)
		return BM_OK;
	out = &h->page;
	if (bm_html_page_begin(out, "Audit of ", h->root, sheet, err) != BM_OK)
		return err->status;
	put_answer(out, h, sum);
	put_facts(h, run_id, sum);
	put_counts(out, sum);
	put_repair_counts(out, h);
	if (put_lists(h, sum, err) != BM_OK)
		return err->status;
	if (catalog != NULL && audit_charts_put(out, catalog, err) != BM_OK)
		return err->status;
	bm_html_page_end(out, NULL);
	if (flush(h, 0, err) != BM_OK)
		return err->status;
	sink = h->sink;
	h->sink = NULL;
	if (bm_sink_commit(sink, NULL, -1, NULL, NULL, err) != BM_OK)
		return err->status;
	return bm_sink_set_sync(h->set, err);
}
