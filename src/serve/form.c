/*
 * form.c - a machine over the bytes of a form.
 *
 * What ends a part is CR LF "--" boundary. A CR can be in the delimiter only at its begin, so a match that fails is
 * data up to there, and the byte that failed is the only one to be looked at again; how much had matched says which
 * bytes they were, so nothing is kept. The first boundary needs no CR LF before it: the machine begins as if that had
 * been seen.
 *
 * Browsers write quotes, CR and LF in names as %22, %0D, %0A, and nothing else so; curl writes a backslash before
 * quotes and backslashes. Both are read.
 */
#include "form.h"

#include <string.h>
#include <strings.h>

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* A parameter's value at *p, quoted or not. False: malformed. */
static bool take_value(const char **p, struct bm_buf *out)
{
	const char *at = *p;

	bm_buf_put(out, NULL, 0);
	if (*at != '"') {
		size_t len = strcspn(at, "; \t\"");

		bm_buf_put(out, at, len);
		*p = at + len;
		return len > 0;
	}
	for (at++; *at != '"'; at++) {
		if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
			at++;
		if (*at == '\0')
			return false;
		if (strncmp(at, "%22", 3) == 0 || strncasecmp(at, "%0d", 3) == 0 || strncasecmp(at, "%0a", 3) == 0) {
			bm_buf_putc(out, at[1] == '2' ? '"' : at[2] == 'd' || at[2] == 'D' ? '\r' : '\n');
			at += 2;
		} else {
			bm_buf_putc(out, *at);
		}
	}
	*p = at + 1;
	return true;
}

/* The parameter `name` of a field's value behind its first word. False: it is not there, or something is malformed. */
static bool find_parameter(const char *text, const char *name, struct bm_buf *out)
{
	const char *p = text + strcspn(text, ";");
	bool found = false;

	while (*p == ';') {
		struct bm_buf other = {0};
		size_t len;

		p = skip_blanks(p + 1);
		len = strcspn(p, "= \t;");
		bool is_it = len == strlen(name) && strncasecmp(p, name, len) == 0;
		if (p[len] != '=')
			return false;
		p += len + 1;
		bool good = take_value(&p, is_it && !found ? out : &other);
		bm_buf_fini(&other);
		if (!good || (is_it && found))
			return false;
		found = found || is_it;
		p = skip_blanks(p);
	}
	return found && *p == '\0' && !out->oom;
}

bool form_init(struct form_parser *p, const char *type, const struct form_handler *h)
{
	struct bm_buf b = {0};
	bool good;

	memset(p, 0, sizeof(*p));
	p->h = *h;
	good = strncasecmp(type, "multipart/form-data", 19) == 0 && find_parameter(type, "boundary", &b) && b.len > 0 &&
	       b.len <= FORM_BOUNDARY_MAX;
	for (size_t i = 0; good && i < b.len; i++)
		good = b.data[i] >= ' ' && b.data[i] <= '~';
	if (good) {
		memcpy(p->delimiter, "\r\n--", 4);
		memcpy(p->delimiter + 4, b.data, b.len);
		p->delimiter_len = 4 + b.len;
		p->matched = 2;
	}
	bm_buf_fini(&b);
	return good;
}

void form_fini(struct form_parser *p)
{
	bm_buf_fini(&p->head);
}

bool form_is_whole(const struct form_parser *p)
{
	return p->state == FORM_EPILOGUE;
}

/* ---- a part's head ---- */

/* The lines of a head, each ended by CR LF; looks for Content-Disposition. */
static bool begin_part(struct form_parser *p)
{
	struct bm_buf name = {0}, filename = {0};
	char *save = NULL, *line;
	bool has_name = false, has_file = false, good = !p->head.oom && memchr(p->head.data, '\0', p->head.len) == NULL;

	for (line = good ? strtok_r(p->head.data, "\r\n", &save) : NULL; line != NULL;
	     line = strtok_r(NULL, "\r\n", &save)) {
		const char *value;

		if (strncasecmp(line, "Content-Disposition:", 20) != 0)
			continue;
		value = skip_blanks(line + 20);
		if (has_name || strncasecmp(value, "form-data", 9) != 0)
			good = false;
		has_name = find_parameter(value, "name", &name);
		has_file = find_parameter(value, "filename", &filename);
		good = good && has_name;
	}
	good = good && has_name && p->h.begin(p->h.ctx, &name, has_file ? &filename : NULL);
	bm_buf_fini(&name);
	bm_buf_fini(&filename);
	return good;
}

static size_t feed_head(struct form_parser *p, const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && p->state == FORM_HEAD; i++) {
		bm_buf_putc(&p->head, data[i]);
		if (p->head.oom || p->head.len > FORM_HEAD_MAX) {
			p->state = FORM_BAD;
		} else if ((p->head.len == 2 && memcmp(p->head.data, "\r\n", 2) == 0) ||
		           (p->head.len >= 4 && memcmp(p->head.data + p->head.len - 4, "\r\n\r\n", 4) == 0)) {
			p->state = begin_part(p) ? FORM_BODY : FORM_BAD;
			/* An empty part: its CR LF is the delimiter's, if a boundary follows at once. */
			p->matched = 0;
		}
	}
	return i;
}

/* ---- behind a boundary ---- */

static size_t feed_after(struct form_parser *p, const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && p->state == FORM_AFTER; i++) {
		if (p->after_len == 0 && (data[i] == ' ' || data[i] == '\t'))
			continue; /* padding, RFC 2046 */
		p->after[p->after_len++] = data[i];
		if (p->after_len < 2)
			continue;
		if (memcmp(p->after, "\r\n", 2) == 0) {
			bm_buf_reset(&p->head);
			p->state = FORM_HEAD;
		} else {
			p->state = memcmp(p->after, "--", 2) == 0 ? FORM_EPILOGUE : FORM_BAD;
		}
	}
	return i;
}

/* ---- data ---- */

/* How many of them were taken; what comes before the first boundary is nobody's. */
static size_t give(struct form_parser *p, const char *data, size_t len)
{
	return p->state == FORM_PREAMBLE || len == 0 ? len : p->h.data(p->h.ctx, data, len);
}

/* The bytes of the delimiter that had matched by mistake. False: not all were taken. */
static bool give_owed(struct form_parser *p)
{
	size_t n = give(p, p->delimiter + p->owed_from, p->owed);

	p->owed_from += n;
	p->owed -= n;
	return p->owed == 0;
}

static size_t feed_body(struct form_parser *p, const char *data, size_t len)
{
	size_t i = 0;

	while (i < len) {
		const char *cr;
		size_t run, n;

		if (p->owed > 0 && !give_owed(p))
			return i;
		if (p->matched > 0) {
			if (data[i] == p->delimiter[p->matched]) {
				i++;
				if (++p->matched < p->delimiter_len)
					continue;
				p->matched = p->after_len = 0;
				bool is_part = p->state == FORM_BODY;
				p->state = FORM_AFTER;
				if (is_part && !p->h.end(p->h.ctx))
					p->stopped = true;
				return i;
			}
			/* Before the first boundary its CR LF was never there. */
			p->owed = p->matched;
			p->owed_from = 0;
			p->matched = 0;
			continue;
		}
		cr = memchr(data + i, '\r', len - i);
		run = cr != NULL ? (size_t)(cr - (data + i)) : len - i;
		n = give(p, data + i, run);
		i += n;
		if (n < run)
			return i;
		if (cr != NULL) {
			p->matched = 1;
			i++;
		}
	}
	return i;
}

size_t form_feed(struct form_parser *p, const char *data, size_t len)
{
	size_t at = 0;

	p->stopped = false;
	while (at < len && p->state != FORM_BAD && !p->stopped) {
		size_t n = 0;

		switch (p->state) {
		case FORM_PREAMBLE:
		case FORM_BODY:
			n = feed_body(p, data + at, len - at);
			if (n == 0)
				return at;
			break;
		case FORM_AFTER:
			n = feed_after(p, data + at, len - at);
			break;
		case FORM_HEAD:
			n = feed_head(p, data + at, len - at);
			break;
		case FORM_EPILOGUE:
		case FORM_BAD:
			n = len - at;
			break;
		}
		at += n;
	}
	return at;
}
