/*
 * page.c - the page: index.html, its style sheet, its scripts and its icon, out of the program; and what the page asks first.
 *
 * The files need no token: they hold nothing that the program does not, and the page must be there to ask for the token. It
 * keeps the token in sessionStorage, and sends it with each request; what cannot send it is session.c's. A browser keeps the
 * files and asks each time whether they are still the same (ETag), so that a new program never meets an old script.
 *
 * Content-Security-Policy lets the page load what comes from here and nothing else, and run no script that stands in HTML;
 * Trusted Types, where a browser has them, refuse what would make HTML of text at all. So a name of a file, which may be
 * anything, stays text.
 */
#include "page.h"

#include <inttypes.h>
#include <string.h>

#include "http_text.h"
#include "serve_internal.h"

static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; connect-src 'self'; "
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
	"trusted-types 'none'";

static const struct serve_page_file *find(const char *name)
{
	for (size_t i = 0; i < serve_page_file_count; i++)
		if (strcmp(serve_page_files[i].name, name) == 0)
			return &serve_page_files[i];
	return NULL;
}

static void reply_page(struct serve_request *r, const char *name)
{
	const struct serve_page_file *f = find(name);
	const char *known = serve_header(r, "If-None-Match");
	struct MHD_Response *response;

	if (f == NULL) {
		serve_problem(r, 404, "the page has no such file");
		return;
	}
	serve_add_header(r, "ETag", f->etag);
	serve_add_header(r, "Cache-Control", "no-cache");
	serve_add_header(r, "Content-Security-Policy", policy);
	serve_add_header(r, "Referrer-Policy", "no-referrer");
	serve_add_header(r, "Cross-Origin-Opener-Policy", "same-origin");
	if (known != NULL && http_etag_listed(known, f->etag, true)) {
		serve_reply_empty(r, 304);
		return;
	}
	response = MHD_create_response_from_buffer(f->len, (void *)(uintptr_t)f->data, MHD_RESPMEM_PERSISTENT);
	if (response == NULL) {
		serve_problem(r, 503, "out of memory");
		return;
	}
	serve_add_header(r, "Content-Type",
	                 strcmp(name, "index.html") == 0  ? "text/html; charset=utf-8"
	                 : strcmp(name, "style.css") == 0 ? "text/css; charset=utf-8"
	                                                  : serve_media_type(name));
	serve_reply(r, 200, response);
}

void serve_get_page(struct serve_request *r)
{
	reply_page(r, "index.html");
}

void serve_get_page_file(struct serve_request *r)
{
	reply_page(r, r->tail.data);
}

/* What there is to be shown. */
void serve_get_service(struct serve_request *r)
{
	const struct bm_serve *s = r->srv;
	struct bm_buf b = {0};

	bm_buf_printf(&b,
	              "{\"version\":\"%s\",\"token\":%s,\"jobs\":%s,\"inbox\":%s,\"outbox\":%s,\"catalog\":%s,"
	              "\"submit\":%s,\"max_upload_bytes\":%" PRIu64 "}\n",
	              bm_version(), s->token != NULL ? "true" : "false", s->runs != NULL ? "true" : "false",
	              s->inbox_fd >= 0 ? "true" : "false", s->outbox_fd >= 0 ? "true" : "false",
	              s->catalog != NULL ? "true" : "false", s->opt.submit_root_count > 0 ? "true" : "false",
	              s->opt.max_upload_bytes);
	serve_reply_json(r, 200, &b);
}
