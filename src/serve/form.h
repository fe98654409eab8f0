/*
 * form.h - reading multipart/form-data (RFC 7578, RFC 2046) as it arrives, in whatever pieces, in fixed memory.
 *
 * No global state; one thread at a time per parser.
 */
#ifndef SERVE_FORM_H
#define SERVE_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "bm_mem.h"

#define FORM_BOUNDARY_MAX 70
#define FORM_HEAD_MAX ((size_t)8 << 10) /* of one part */

struct form_handler {
	/* A part begins. name, and filename where it is a file (else NULL), are decoded. False: stop, the form is refused. */
	bool (*begin)(void *ctx, const struct bm_buf *name, const struct bm_buf *filename);
	/* Bytes of it; how many were taken. Fewer than len: the parser stops there, and goes on with them at the next call. */
	size_t (*data)(void *ctx, const char *data, size_t len);
	/* It is over. False: stop here; what follows is for the next call. */
	bool (*end)(void *ctx);
	void *ctx;
};

enum form_state {
	FORM_PREAMBLE,
	FORM_AFTER, /* behind a boundary */
	FORM_HEAD,
	FORM_BODY,
	FORM_EPILOGUE,
	FORM_BAD /* malformed, or refused */
};
struct form_parser {
	struct form_handler h;
	enum form_state state;
	char delimiter[FORM_BOUNDARY_MAX + 5]; /* CR LF - - boundary */
	size_t delimiter_len;
	size_t matched;         /* of the delimiter, so far */
	size_t owed, owed_from; /* bytes of the delimiter that turned out to be data, and where in it */
	char after[2];
	size_t after_len;
	struct bm_buf head;
	bool stopped; /* by end */
};

/* type is the value of Content-Type. False: it is no multipart/form-data, or has no fit boundary. */
bool form_init(struct form_parser *p, const char *type, const struct form_handler *h);
void form_fini(struct form_parser *p);
/* Reads on; how much was used. Less than len: a handler has stopped it, or the form is FORM_BAD. */
size_t form_feed(struct form_parser *p, const char *data, size_t len);
/* The end of the body: was it whole? */
bool form_is_whole(const struct form_parser *p);

#endif
