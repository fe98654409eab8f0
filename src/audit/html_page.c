/*
 * html_page.c - see bm_html_page.h.
 *
 * The policy holds the SHA-256 of what stands between <style> and </style>, to the byte, so the sheet is put together
 * first: what all pages have, then what this one has.
 */
#include "bm_html_page.h"

#include <string.h>

#include <bytemill/bytemill.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"

static const char common[] =
	":root{color-scheme:light dark;--width:62rem;"
	"--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d5dae0;--card:#f5f7f9;--link:#0b57a4;"
	"--bad:#b3261e;--badbg:#fdecea;--warn:#7a4f00;--warnbg:#fff5df;--ok:#19692f;--okbg:#e8f6ec}\n"
	"@media (prefers-color-scheme:dark){:root{"
	"--bg:#14171b;--fg:#e6e9ec;--dim:#a3acb5;--line:#363d45;--card:#1c2126;--link:#7fb8f5;"
	"--bad:#ff9b92;--badbg:#3a1c1a;--warn:#f2c66d;--warnbg:#352a12;--ok:#86d9a0;--okbg:#15301e}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;max-width:var(--width);padding:1.5rem 1rem 4rem;background:var(--bg);color:var(--fg);"
	"font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;overflow-wrap:anywhere}\n"
	"h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}\n"
	"h2{font-size:1.2rem;margin:2.5rem 0 .25rem}\n"
	"code{font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;white-space:pre-wrap}\n"
	".bad{color:var(--bad)}.warn{color:var(--warn)}.ok{color:var(--ok)}\n"
	".answer{margin:0 0 1.5rem;padding:.8rem 1rem;border-left:.4rem solid;border-radius:.3rem;font-weight:600}\n"
	".answer.bad{background:var(--badbg)}.answer.warn{background:var(--warnbg)}.answer.ok{background:var(--okbg)}\n"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0}\n"
	"dt{color:var(--dim)}dd{margin:0}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"caption{text-align:left;color:var(--dim);padding:0 0 .5rem}\n"
	"th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-top:1px solid var(--line)}\n"
	"th:last-child,td:last-child{padding-right:0}\n"
	"thead th{border-top:0;color:var(--dim);font-weight:600;font-size:.9rem}\n"
	"tbody th{font-weight:400}\n"
	".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
	"footer{margin-top:3rem;color:var(--dim);font-size:.9rem}\n"
	"@media print{body{max-width:none}.answer{border:1px solid}}\n";

static enum bm_status put_digest(struct bm_buf *out, const struct bm_buf *sheet, struct bm_error *err)
{
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
	struct bm_digest *d = NULL;

	if (bm_digest_create(bm_digest_find("sha256"), &d, err) == BM_OK &&
	    bm_digest_update(d, sheet->data, sheet->len, err) == BM_OK && bm_digest_finish(d, bytes, err) == BM_OK)
		bm_base64_put(out, bytes, 32);
	bm_digest_destroy(d);
	return err->status;
}

enum bm_status bm_html_page_begin(struct bm_buf *out, const char *title, const char *name, const char *sheet,
                                  struct bm_error *err)
{
	struct bm_buf style = {0};
	char shown[160];

	bm_buf_puts(&style, common);
	bm_buf_puts(&style, sheet);
	if (style.oom) {
		(void)bm_error_set_nomem(err);
		goto out;
	}
	bm_buf_puts(out,
	            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
	if (put_digest(out, &style, err) != BM_OK)
		goto out;
	bm_buf_printf(out,
	              "'; base-uri 'none'; form-action 'none'\">\n"
	              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	              "<meta name=\"color-scheme\" content=\"light dark\">\n"
	              "<meta name=\"robots\" content=\"noindex\">\n<title>%s",
	              title);
	if (name != NULL)
		bm_html_put_text(out, bm_escape_display_buf(shown, sizeof(shown), name, strlen(name)));
	bm_buf_puts(out, "</title>\n<style>");
	bm_buf_put(out, style.data, style.len);
	bm_buf_printf(out, "</style>\n</head>\n<body>\n<main>\n<h1>%s", title);
	if (name != NULL)
		bm_html_put_name(out, name, strlen(name));
	bm_buf_puts(out, "</h1>\n");
out:
	bm_buf_fini(&style);
	return err->status;
}

void bm_html_page_end(struct bm_buf *out, const char *source)
{
	bm_buf_puts(out, "</main>\n<footer>");
	if (source != NULL) {
		bm_buf_puts(out, "From ");
		bm_html_put_name(out, source, strlen(source));
		bm_buf_puts(out, " by");
	} else {
		bm_buf_puts(out, "Made by");
	}
	bm_buf_puts(out, " bytemill " BM_VERSION_STRING
	                 ". This page needs no network and runs no script.</footer>\n</body>\n</html>\n");
}
