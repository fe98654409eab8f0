/*
 * framing.c - where a request ends, and who it is for.
 *
 * What two servers could understand in two ways is not understood at all (RFC 9112 3.2, 5.1, 5.2, 6.1, 6.3): a proxy in
 * front may have taken the rest of a body for the next request. libmicrohttpd is told to let pass what it would answer
 * by a page of its own (server.c); so it is looked at here.
 */
#include <string.h>
#include <strings.h>

#include "http_text.h"
#include "serve_internal.h"

struct framing {
	unsigned lengths, encodings, hosts, status;
	const char *fault; /* the first; NULL: none */
};

static void set_fault(struct framing *f, unsigned status, const char *text)
{
	if (f->fault != NULL)
		return;
	f->status = status;
	f->fault = text;
}

static enum MHD_Result look_at_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	static const char length[] = "Content-Length", encoding[] = "Transfer-Encoding";
	struct framing *f = cls;
	uint64_t bytes;

	(void)kind;
	f->hosts += strcasecmp(name, "Host") == 0;
	if (!http_is_token(name)) {
		set_fault(f, 400, "the name of a header has a blank in it, or another character that none may have");
	} else if (strcasecmp(name, length) == 0) {
		f->lengths++;
		if (!http_number(value, &bytes) || bytes > INT64_MAX)
			set_fault(f, 413, "Content-Length is more than any file can have");
	} else if (strcasecmp(name, encoding) == 0) {
		f->encodings++;
		if (strcasecmp(value, "chunked") != 0)
			set_fault(f, 501, "Transfer-Encoding can be chunked, and nothing else");
	} else if (strncasecmp(name, length, sizeof(length) - 1) == 0 ||
	           strncasecmp(name, encoding, sizeof(encoding) - 1) == 0) {
		/* Of a field that is folded libmicrohttpd puts the second line behind the name. */
		set_fault(f, 400, "a header is folded, which is no longer allowed");
	}
	return MHD_YES;
}

bool serve_is_unambiguous(struct serve_request *r, const char *version, const char *url)
{
	struct framing f = {0};
	bool is_old = strcmp(version, "HTTP/1.0") == 0;

	if (strchr(url, ' ') != NULL)
		set_fault(&f, 400, "there is a blank in the path: it has to be written as %20");
	(void)MHD_get_connection_values(r->conn, MHD_HEADER_KIND, look_at_header, &f);
	if (f.lengths + f.encodings > 1) { /* whatever they say */
		f.fault = NULL;
		set_fault(&f, 400,
		          "the length of the body is said twice: one Content-Length, or one Transfer-Encoding");
	}
	if (f.hosts > 1)
		set_fault(&f, 400, "Host is there twice");
	if (f.hosts == 0 && !is_old)
		set_fault(&f, 400, "Host is missing");
	if (f.encodings > 0 && is_old)
		set_fault(&f, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (f.fault == NULL)
		return true;
	serve_add_header(r, "Connection", "close");
	serve_problem(r, f.status, "%s", f.fault);
	return false;
}
