/* audit_html_sheet.h - the rules that the page of audit_html.c has besides those of all pages (bm_html_page.h). */
#ifndef AUDIT_HTML_SHEET_H
#define AUDIT_HTML_SHEET_H

static const char sheet[] =
	":root{--fresh:#2b8a4b;--due:#c98a12;--stale:#c8453a}\n"
	"@media (prefers-color-scheme:dark){:root{--fresh:#4fb573;--due:#d9a441;--stale:#e2685d}}\n"
	"h3{font-size:1rem;margin:0 0 .75rem}\n"
	"a{color:var(--link)}\n"
	"a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
	".counts{max-width:34rem}.files{table-layout:fixed}\n"
	".more{color:var(--dim)}\n"
	".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem}\n"
	"figure{margin:0;padding:1rem;background:var(--card);border-radius:.5rem}\n"
	"svg{display:block;width:100%;max-width:27rem;height:auto;margin-bottom:.8rem}\n"
	"svg text{fill:var(--fg);font-size:14px}.end{text-anchor:end}\n"
	".track{fill:var(--line)}.fresh{fill:var(--fresh)}.due{fill:var(--due)}.stale{fill:var(--stale)}\n"
	".axis{stroke:var(--dim)}\n"
	"summary{cursor:pointer;color:var(--link)}details table{margin-top:.6rem}\n"
	"@media (max-width:40rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}"
	".files thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}"
	".files tr,.files th,.files td{display:block;padding:0;border:0}"
	".files tr{padding:.5rem 0;border-top:1px solid var(--line)}.files td{color:var(--dim)}}\n";

#endif
