/*
 * audit_html.c - see bm_audit_html.h.
 *
 * A page that somebody who has not seen the audit can read: the answer in one sentence, then how many files of which
 * verdict, then the files, the worst first, each list with a sentence that says what its word means. Results come in
 * listing order, so each verdict has a pile of finished rows until the end (audit_pile.h). A browser shows some thousands
 * of rows well and a million badly, so a list ends after LIST_MAX and says how many more there are, and how to get them.
 *
 * NAMES come from other people's disks. They are made safe twice: as for a terminal (what is not printable UTF-8 becomes
 * \xHH, and what turns the direction of writing around too), then for HTML. The content security policy allows nothing but
 * the one style sheet, by its digest: a name that slipped through would still load nothing and run nothing.
 *
 * The sheet takes the reader's colours (light or dark) and wraps long names, so that a telephone never scrolls sideways.
 */
#include "bm_audit_html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_charts.h"
#include "audit_pile.h"
#include "bm_audit.h"
#include "bm_digest.h"
#include "bm_error.h"
#include "bm_sink.h"
#include "bm_text.h"

#define LIST_MAX 1000
#define FLUSH_BYTES ((size_t)64 << 10)
#define MESSAGE_BYTES 600

static const char style[] =
	":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d5dae0;--card:#f5f7f9;--link:#0b57a4;"
	"--bad:#b3261e;--badbg:#fdecea;--warn:#7a4f00;--warnbg:#fff5df;--ok:#19692f;--okbg:#e8f6ec;"
	"--fresh:#2b8a4b;--due:#c98a12;--stale:#c8453a}\n"
	"@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ec;--dim:#a3acb5;--line:#363d45;--card:#1c2126;"
	"--link:#7fb8f5;--bad:#ff9b92;--badbg:#3a1c1a;--warn:#f2c66d;--warnbg:#352a12;--ok:#86d9a0;--okbg:#15301e;"
	"--fresh:#4fb573;--due:#d9a441;--stale:#e2685d}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 4rem;background:var(--bg);color:var(--fg);"
	"font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;overflow-wrap:anywhere}\n"
	"h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}\n"
	"h2{font-size:1.2rem;margin:2.5rem 0 .25rem}\n"
	"h3{font-size:1rem;margin:0 0 .75rem}\n"
	"a{color:var(--link)}\n"
	"a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
	"code{font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;white-space:pre-wrap}\n"
	".answer{margin:0 0 1.5rem;padding:.8rem 1rem;border-left:.4rem solid;border-radius:.3rem;font-weight:600}\n"
	".answer.bad{color:var(--bad);background:var(--badbg)}\n"
	".answer.warn{color:var(--warn);background:var(--warnbg)}\n"
	".answer.ok{color:var(--ok);background:var(--okbg)}\n"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0}\n"
	"dt{color:var(--dim)}dd{margin:0}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"caption{text-align:left;color:var(--dim);padding:0 0 .5rem}\n"
	"th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-top:1px solid var(--line)}\n"
	"th:last-child,td:last-child{padding-right:0}\n"
	"thead th{border-top:0;color:var(--dim);font-weight:600;font-size:.9rem}\n"
	"tbody th{font-weight:400}\n"
	".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
	".counts{max-width:34rem}.files{table-layout:fixed}\n"
	".bad{color:var(--bad)}.warn{color:var(--warn)}.ok{color:var(--ok)}\n"
	".more{color:var(--dim)}\n"
	".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem}\n"
	"figure{margin:0;padding:1rem;background:var(--card);border-radius:.5rem}\n"
	"svg{display:block;width:100%;max-width:27rem;height:auto;margin-bottom:.8rem}\n"
	"svg text{fill:var(--fg);font-size:14px}.end{text-anchor:end}\n"
	".track{fill:var(--line)}.fresh{fill:var(--fresh)}.due{fill:var(--due)}.stale{fill:var(--stale)}\n"
	".axis{stroke:var(--dim)}\n"
	"summary{cursor:pointer;color:var(--link)}details table{margin-top:.6rem}\n"
	"footer{margin-top:3rem;color:var(--dim);font-size:.9rem}\n"
	"@media (max-width:40rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}"
	".files thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}"
	".files tr,.files th,.files td{display:block;padding:0;border:0}"
	".files tr{padding:.5rem 0;border-top:1px solid var(--line)}.files td{color:var(--dim)}}\n"
	"@media print{body{max-width:none}.answer{border:1px solid}}\n";

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

struct bm_audit_html {
	char *root;     /* owned */
	char *manifest; /* owned; NULL: the catalog */
	time_t began;
	struct bm_sink_set *set;
	struct bm_sink *sink; /* NULL once committed */
	struct bm_buf row, page;
	struct pile piles[BM_VERDICT_COUNT];
	uint64_t rows[BM_VERDICT_COUNT];  /* in the pile */
	bool has_notes[BM_VERDICT_COUNT]; /* some of them have a second column */
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
	if (bm_sink_set_create("report", BM_DURABLE_FILE, &h->set, err) != BM_OK)
		return err->status;
	return bm_sink_open(h->set, about->path, &opt, NULL, &h->sink, &skipped, err);
}

void bm_audit_html_destroy(struct bm_audit_html *h)
{
	if (h == NULL)
		return;
	bm_sink_abort(h->sink);
	bm_sink_set_destroy(h->set);
	for (int v = 0; v < BM_VERDICT_COUNT; v++)
		pile_fini(&h->piles[v]);
	bm_buf_fini(&h->row);
	bm_buf_fini(&h->page);
	free(h->root);
	free(h->manifest);
	free(h);
}

/* ---- text ---- */

static void put_html(struct bm_buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		switch (*text) {
		case '&':
			bm_buf_puts(out, "&amp;");
			break;
		case '<':
			bm_buf_puts(out, "&lt;");
			break;
		case '>':
			bm_buf_puts(out, "&gt;");
			break;
		case '"':
			bm_buf_puts(out, "&quot;");
			break;
		case '\'':
			bm_buf_puts(out, "&#39;");
			break;
		default:
			bm_buf_putc(out, *text);
		}
}

/* dir: the direction of its letters must not turn what stands beside it. */
static void put_name(struct bm_buf *out, const char *name)
{
	struct bm_buf shown = {0};

	bm_escape_display(&shown, name, strlen(name));
	bm_buf_puts(out, "<code dir=\"auto\">");
	if (shown.oom)
		out->oom = true;
	else
		put_html(out, shown.data != NULL ? shown.data : "");
	bm_buf_puts(out, "</code>");
	bm_buf_fini(&shown);
}

static void put_message(struct bm_buf *out, const char *text)
{
	char shown[MESSAGE_BYTES];

	put_html(out, bm_escape_message_buf(shown, sizeof(shown), text, strlen(text)));
}

/* ---- while it runs ---- */

void bm_audit_html_file(struct bm_audit_html *h, const struct bm_file_result *f)
{
	struct bm_buf *out;
	bool has_note;

	if (h == NULL || f->verdict == BM_VERDICT_NONE || f->verdict == BM_VERDICT_OK ||
	    h->rows[f->verdict] >= LIST_MAX)
		return;
	out = &h->row;
	bm_buf_reset(out);
	has_note = f->other != NULL || (f->error != NULL && f->verdict != BM_VERDICT_MISSING);
	bm_buf_printf(out, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"%s>",
	              has_note ? "" : " colspan=\"2\"");
	put_name(out, f->path);
	bm_buf_puts(out, has_note ? "</th><td role=\"cell\">" : "</th>");
	if (f->other != NULL) {
		bm_buf_puts(out, f->verdict == BM_VERDICT_MOVED       ? "was "
		                 : f->verdict == BM_VERDICT_DUPLICATE ? "copy of "
		                                                      : "has the digest on record of ");
		put_name(out, f->other);
	} else if (has_note) {
		put_message(out, f->error->text);
	}
	bm_buf_puts(out, has_note ? "</td></tr>\n" : "</tr>\n");
	if (out->oom)
		return; /* told with those that are beyond the end of the list */
	pile_add(&h->piles[f->verdict], out->data, out->len);
	h->rows[f->verdict]++;
	h->has_notes[f->verdict] = h->has_notes[f->verdict] || has_note;
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

static enum bm_status put_head(struct bm_audit_html *h, struct bm_error *err)
{
	struct bm_buf *out = &h->page;
	struct bm_digest *d = NULL;
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
	char shown[160];

	if (bm_digest_create(bm_digest_find("sha256"), &d, err) != BM_OK ||
	    bm_digest_update(d, style, sizeof(style) - 1, err) != BM_OK || bm_digest_finish(d, bytes, err) != BM_OK)
		goto out;
	bm_buf_puts(out,
	            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
	bm_base64_put(out, bytes, 32);
	bm_buf_puts(out, "'; base-uri 'none'; form-action 'none'\">\n"
	                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	                 "<meta name=\"color-scheme\" content=\"light dark\">\n"
	                 "<meta name=\"robots\" content=\"noindex\">\n<title>Audit of ");
	put_html(out, bm_escape_display_buf(shown, sizeof(shown), h->root, strlen(h->root)));
	bm_buf_printf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n<h1>Audit of ", style);
	put_name(out, h->root);
	bm_buf_puts(out, "</h1>\n");
out:
	bm_digest_destroy(d);
	return err->status;
}

static void put_files(struct bm_buf *out, uint64_t n)
{
	audit_html_put_count(out, n);
	bm_buf_puts(out, n == 1 ? " file" : " files");
}

static void put_answer(struct bm_buf *out, const struct bm_summary *s)
{
	const uint64_t *v = s->verdicts;
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
	              damaged + v[BM_VERDICT_MISSING] + v[BM_VERDICT_UNREADABLE] > 0 || stopped ? "bad"
	              : unknown + other + s->bad_lines > 0                                      ? "warn"
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
	bm_buf_puts(out, "</p>\n");
}

static void put_facts(struct bm_audit_html *h, const char *run_id, const struct bm_summary *s)
{
	struct bm_buf *out = &h->page;
	char text[24], size[16];

	bm_buf_puts(out, "<dl>\n<dt>Compared with</dt><dd>");
	if (h->manifest != NULL)
		put_name(out, h->manifest);
	else
		bm_buf_puts(out, "the catalog");
	bm_buf_puts(out, "</dd>\n<dt>Begun</dt><dd>");
	put_time(out, h->began);
	bm_buf_printf(out, "</dd>\n<dt>Took</dt><dd>%s</dd>\n<dt>Read</dt><dd>%s</dd>\n<dt>Run</dt><dd>",
	              bm_duration_format(s->elapsed_ms, text), bm_size_format(s->bytes_read, size));
	put_name(out, run_id);
	bm_buf_puts(out, "</dd>\n");
	if (s->bad_lines > 0) {
		bm_buf_puts(out, "<dt>Bad lines</dt><dd class=\"warn\">");
		audit_html_put_count(out, s->bad_lines);
		bm_buf_puts(out, " in the manifest could not be read</dd>\n");
	}
	if (s->error.status != BM_OK) {
		bm_buf_puts(out, "<dt>Error</dt><dd class=\"bad\">");
		put_message(out, s->error.text[0] != '\0' ? s->error.text : bm_status_text(s->error.status));
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

static enum bm_status put_list(struct bm_audit_html *h, const struct kind *k, uint64_t n, struct bm_error *err)
{
	struct bm_buf *out = &h->page;
	const char *word = bm_verdict_text(k->verdict);
	struct pile *pile = &h->piles[k->verdict];
	uint64_t listed = h->rows[k->verdict];
	bool has_notes = h->has_notes[k->verdict];
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
	              k->means, has_notes ? "" : " colspan=\"2\"",
	              has_notes ? "<th role=\"columnheader\" scope=\"col\">What is known</th>" : "");
	pile_each(pile, put_row, &rows);
	if (rows.status != BM_OK)
		return rows.status;
	bm_buf_puts(out, "</tbody>\n</table>\n");
	listed = listed > pile->lost ? listed - pile->lost : 0;
	if (n > listed) {
		bm_buf_puts(out, "<p class=\"more\">And ");
		audit_html_put_count(out, n - listed);
		bm_buf_printf(out, " more. <code>bytemill audit --only %s</code> lists them all.</p>\n", word);
	}
	bm_buf_puts(out, "</section>\n");
	return flush(h, FLUSH_BYTES, err);
}

enum bm_status bm_audit_html_write(struct bm_audit_html *h, const char *run_id, const struct bm_summary *sum,
                                   struct bm_audit_catalog *catalog, struct bm_error *err)
{
	struct bm_buf *out;
	struct bm_sink *sink;

	if (h == NULL)
		return BM_OK;
	out = &h->page;
	if (put_head(h, err) != BM_OK)
		return err->status;
	put_answer(out, sum);
	put_facts(h, run_id, sum);
	put_counts(out, sum);
	for (size_t i = 0; i < KINDS; i++)
		if (put_list(h, &kinds[i], sum->verdicts[kinds[i].verdict], err) != BM_OK)
			return err->status;
	if (catalog != NULL && audit_charts_put(out, catalog, err) != BM_OK)
		return err->status;
	bm_buf_puts(out,
	            "</main>\n<footer>Made by bytemill " BM_VERSION_STRING ". This page needs no network and runs no "
	            "script.</footer>\n</body>\n</html>\n");
	if (flush(h, 0, err) != BM_OK)
		return err->status;
	sink = h->sink;
	h->sink = NULL;
	if (bm_sink_commit(sink, NULL, -1, NULL, NULL, err) != BM_OK)
		return err->status;
	return bm_sink_set_sync(h->set, err);
}
