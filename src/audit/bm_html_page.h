/*
 * bm_html_page.h - the frame of a page for people: the page of an audit and those of past runs look alike and are made
 * safe in the same way. One HTML file that needs nothing else, no network and no script: the content security policy
 * allows nothing but the one style sheet, by its digest, so a name that slipped through would still load nothing and run
 * nothing. The sheet follows the reader's colours (light or dark), and long names wrap, so that a telephone never scrolls
 * sideways.
 */
#ifndef BM_HTML_PAGE_H
#define BM_HTML_PAGE_H

#include "bm_mem.h"

/* Appends all from the document type to <main> and the heading, which is the title: title, then name where there is one
 * (any bytes; NULL: none). sheet: rules of this page behind those of all; they may set --width, the width of the text, and
 * have --bg --fg --dim --line --card --link --bad --badbg --warn --warnbg --ok --okbg as colours. BM_ERR_NOMEM, or what the
 * digest has. */
enum bm_status bm_html_page_begin(struct bm_buf *out, const char *title, const char *name, const char *sheet,
                                  struct bm_error *err) BM_NODISCARD;
/* Appends the footer and the end. source: the file that it was made from, or NULL. */
void bm_html_page_end(struct bm_buf *out, const char *source);

#endif
