/*
 * template.c - paths with placeholders.
 *
 * A template is a row of parts: literal text, or one placeholder. It is compiled once, checked in full, and expanded
 * for millions of files, so expanding is a loop of appends. "{dir}/" is one part of its own: the '/' belongs to the
 * placeholder and goes with it where the directory is empty. That is settled when the text is compiled, and binding
 * copies parts, not text; so a bound template gives byte for byte what the unbound one gives.
 *
 * Names. With name = "a.tar.gz" the stem is "a.tar" and the extension "gz". Leading dots belong to the stem, and a name
 * that ends in a dot has no extension and keeps the dot: so name and (stem, extension) determine each other, on which
 * template_injective.c rests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "template_private.h"

static const struct {
	const char *name;
	unsigned bit;
} placeholders[] = {
	{"path", BM_PH_PATH}, {"dir", BM_PH_DIR},   {"name", BM_PH_NAME},
	{"stem", BM_PH_STEM}, {"ext", BM_PH_EXT},   {"job", BM_PH_JOB},
	{"run", BM_PH_RUN},   {"date", BM_PH_DATE}, {"algorithm", BM_PH_ALGORITHM},
};

#define PLACEHOLDER_COUNT (sizeof(placeholders) / sizeof(placeholders[0]))

static const char default_date[] = "%Y-%m-%d";

/* Takes text (may be NULL), also where it fails. A literal behind a literal is joined to it. */
static bool add_part(struct bm_template *t, unsigned kind, char *text, size_t len)
{
	struct part *last = t->part_count > 0 ? &t->parts[t->part_count - 1] : NULL;

	if (kind == LITERAL && last != NULL && last->kind == LITERAL) {
		size_t joined;
		char *data = NULL;
		if (bm_add_size(last->len, len, &joined) && bm_add_size(joined, 1, &joined))
			data = bm_realloc_array(last->text, joined, 1);
		if (data != NULL) {
			memcpy(data + last->len, text, len);
			last->text = data;
			last->len += len;
			data[last->len] = '\0';
		}
		free(text);
		return data != NULL;
	}
	if (t->parts == NULL || t->part_count == t->part_cap) {
		size_t cap = t->part_cap != 0 ? t->part_cap * 2 : 8;
		struct part *parts = bm_realloc_array(t->parts, cap, sizeof(*parts));
		if (parts == NULL) {
			free(text);
			return false;
		}
		t->parts = parts;
		t->part_cap = cap;
	}
	t->parts[t->part_count++] = (struct part){kind, text, len};
	if (kind == DIR_WITH_SLASH)
		t->uses |= BM_PH_DIR;
	else
		t->uses |= kind;
	return true;
}

static bool add_literal(struct bm_template *t, const char *text, size_t len)
{
	char *copy;

	if (len == 0)
		return true;
	copy = bm_memdup0(text, len);
	return copy != NULL && add_part(t, LITERAL, copy, len);
}

/* Where a strftime format is wrong, or NULL. Widths are refused: "%999999999d" would ask for a gigabyte. */
static const char *wrong_conversion(const char *format, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char *from = format + i;
		if (format[i] != '%')
			continue;
		i++;
		while (i < len && strchr("_-0^#", format[i]) != NULL)
			i++;
		const char *allowed = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%";
		if (i < len && (format[i] == 'E' || format[i] == 'O'))
			allowed = format[i++] == 'E' ? "cCxXyY" : "bBdeHImMSuUVwWy";
		if (i >= len || strchr(allowed, format[i]) == NULL)
			return from;
	}
	return NULL;
}

/* "{path} {dir} ..." for the bits in mask. */
static void list_allowed(unsigned mask, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < PLACEHOLDER_COUNT; i++) {
		size_t len = strlen(placeholders[i].name);
		if ((mask & placeholders[i].bit) == 0 || used + len + 4 > size)
			continue;
		if (used > 0)
			buf[used++] = ' ';
		buf[used++] = '{';
		memcpy(buf + used, placeholders[i].name, len);
		used += len;
		buf[used++] = '}';
		buf[used] = '\0';
	}
}

static enum bm_status wrong_placeholder(const char *text, const char *name, size_t len, bool known, unsigned allowed,
                                        struct bm_error *err)
{
	const char *names[PLACEHOLDER_COUNT + 1] = {NULL};
	char shown_text[160], shown[64], list[128], word[64], hint[96] = "";
	size_t count = 0;

	bm_escape_display_buf(shown_text, sizeof(shown_text), text, strlen(text));
	bm_escape_display_buf(shown, sizeof(shown), name, len);
	list_allowed(allowed, list, sizeof(list));
	const char *allow = list[0] != '\0' ? list : "none";
	if (known)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "\"%s\": {%s} cannot be used here; allowed: %s",
		                    shown_text, shown, allow);
	for (size_t i = 0; i < PLACEHOLDER_COUNT; i++)
		if (allowed & placeholders[i].bit)
			names[count++] = placeholders[i].name;
	if (len < sizeof(word)) {
		memcpy(word, name, len);
		word[len] = '\0';
		const char *nearest = bm_suggest(word, names);
		if (nearest != NULL)
			snprintf(hint, sizeof(hint), "; did you mean {%s}?", nearest);
	}
	return bm_error_set(err, BM_ERR_USAGE, NULL,
	                    "\"%s\": unknown placeholder {%s}%s; allowed: %s (write {{ for a brace itself)", shown_text,
	                    shown, hint, allow);
}

static enum bm_status wrong_text(const char *text, size_t at, const char *what, struct bm_error *err)
{
	char shown[256];

	bm_escape_display_buf(shown, sizeof(shown), text, strlen(text));
	return bm_error_set(err, BM_ERR_USAGE, NULL, "\"%s\": %s (byte %zu)", shown, what, at + 1);
}

/* Reads the placeholder whose '{' is at text[at]; *end is the byte after it. */
static enum bm_status read_placeholder(struct bm_template *t, const char *text, size_t at, unsigned allowed,
                                       size_t *end, struct bm_error *err)
{
	const char *name = text + at + 1;
	size_t inside = strcspn(name, "{}");
	size_t len = strcspn(name, ":");
	unsigned bit = 0;
	char *format = NULL;
	size_t format_len = 0;

	if (name[inside] != '}')
		return wrong_text(text, at, "'{' has no '}'; write {{ for the character itself", err);
	if (len > inside)
		len = inside;
	for (size_t i = 0; i < PLACEHOLDER_COUNT; i++)
		if (strlen(placeholders[i].name) == len && memcmp(placeholders[i].name, name, len) == 0)
			bit = placeholders[i].bit;
	if ((bit & allowed) == 0)
		return wrong_placeholder(text, name, len, bit != 0, allowed, err);

	*end = at + 1 + inside + 1;
	if (bit == BM_PH_DATE) {
		const char *from = default_date;
		format_len = sizeof(default_date) - 1;
		if (len < inside) {
			from = name + len + 1;
			format_len = inside - len - 1;
			if (format_len == 0)
				return wrong_text(text, at,
				                  "nothing follows \"date:\"; write {date} or a format such as "
				                  "{date:%Y-%m}",
				                  err);
			const char *wrong = wrong_conversion(from, format_len);
			if (wrong != NULL)
				return wrong_text(
					text, (size_t)(wrong - text),
					"not a conversion of strftime; write one such as %Y %m %d %H %M %S, or %% for "
					"the character itself",
					err);
		}
		format = bm_memdup0(from, format_len);
		if (format == NULL)
			return bm_error_set_nomem(err);
	} else if (len < inside) {
		return wrong_text(text, at, "only {date} takes a format after ':'", err);
	}
	if (bit == BM_PH_DIR && text[*end] == '/') {
		bit = DIR_WITH_SLASH;
		(*end)++;
	}
	return add_part(t, bit, format, format_len) ? BM_OK : bm_error_set_nomem(err);
}

static enum bm_status compile(struct bm_template *t, const char *text, unsigned allowed, struct bm_error *err)
{
	size_t at = 0;

	while (text[at] != '\0') {
		size_t len = strcspn(text + at, "{}");
		if (text[at + len] != '\0' && text[at + len] == text[at + len + 1]) {
			if (!add_literal(t, text + at, len + 1)) /* of "{{" the first */
				return bm_error_set_nomem(err);
			at += len + 2;
			continue;
		}
		if (!add_literal(t, text + at, len))
			return bm_error_set_nomem(err);
		at += len;
		if (text[at] == '}')
			return wrong_text(text, at, "'}' without '{'; write }} for the character itself", err);
		if (text[at] == '{') {
			enum bm_status status = read_placeholder(t, text, at, allowed, &at, err);
			if (status != BM_OK)
				return status;
		}
	}
	return BM_OK;
}

enum bm_status bm_template_compile(const char *text, unsigned allowed, struct bm_template **out, struct bm_error *err)
{
	struct bm_template *t;
	enum bm_status status;

	*out = NULL;
	t = bm_calloc_array(1, sizeof(*t));
	if (t == NULL)
		return bm_error_set_nomem(err);
	t->text = bm_memdup0(text, strlen(text));
	status = t->text != NULL ? compile(t, text, allowed, err) : bm_error_set_nomem(err);
	if (status == BM_OK)
		*out = t;
	else
		bm_template_destroy(t);
	return status;
}

void bm_template_destroy(struct bm_template *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->part_count; i++)
		free(t->parts[i].text);
	free(t->parts);
	free(t->text);
	free(t);
}

unsigned bm_template_uses(const struct bm_template *t)
{
	return t->uses;
}

const char *bm_template_text(const struct bm_template *t)
{
	return t->text;
}

/* strftime tells "no room" and "nothing to say" alike by 0, so a byte is put in front that is taken off again. */
static void put_date(struct bm_buf *out, const struct part *part, const struct tm *date)
{
	size_t room = part->len + 64;
	char *format = malloc(part->len + 2);

	if (format == NULL) {
		out->oom = true;
		return;
	}
	format[0] = '.';
	memcpy(format + 1, part->text, part->len + 1);
	/* A conversion gives well under 256 bytes in any locale: the loop ends even where strftime never agrees. */
	for (;; room *= 2) {
		if (!bm_buf_reserve(out, room))
			break;
		size_t got = strftime(out->data + out->len, room, format, date);
		if (got > 0) {
			memmove(out->data + out->len, out->data + out->len + 1, got - 1);
			out->len += got - 1;
			break;
		}
		if (room / 256 > part->len + 1)
			break;
	}
	if (!out->oom)
		out->data[out->len] = '\0';
	free(format);
}

struct file_name {
	const char *dir, *name, *ext; /* borrowed from the path */
	size_t dir_len, name_len, stem_len, ext_len;
};

static struct file_name cut_path(const char *path, size_t len)
{
	struct file_name f = {.dir = "", .name = "", .ext = ""};
	const char *slash, *dot;

	if (path == NULL || len == 0)
		return f;
	slash = memrchr(path, '/', len);
	f.name = slash != NULL ? slash + 1 : path;
	f.name_len = len - (size_t)(f.name - path);
	f.dir = path;
	f.dir_len = slash != NULL ? (size_t)(slash - path) : 0;
	f.stem_len = f.name_len;
	dot = f.name_len > 0 ? memrchr(f.name, '.', f.name_len) : NULL;
	if (dot == NULL)
		return f;
	size_t before = (size_t)(dot - f.name), dots = 0;
	while (dots < before && f.name[dots] == '.')
		dots++;
	if (dots == before || before + 1 == f.name_len) /* ".bashrc" and "end." have none */
		return f;
	f.stem_len = before;
	f.ext = dot + 1;
	f.ext_len = f.name_len - before - 1;
	return f;
}

/* A value of the run rather than of the file; NULL where the caller gave none. */
static const char *run_value(unsigned kind, const struct bm_template_values *v)
{
	return kind == BM_PH_JOB ? v->job : kind == BM_PH_RUN ? v->run : v->algorithm;
}

void bm_template_expand(const struct bm_template *t, const struct bm_template_values *v, struct bm_buf *out)
{
	struct file_name f = cut_path(v->path, v->path_len);

	bm_buf_put(out, NULL, 0); /* so that an empty expansion too is a string */
	for (size_t i = 0; i < t->part_count; i++) {
		const struct part *part = &t->parts[i];
		const char *value;

		switch (part->kind) {
		case LITERAL:
			bm_buf_put(out, part->text, part->len);
			break;
		case BM_PH_PATH:
			if (v->path != NULL)
				bm_buf_put(out, v->path, v->path_len);
			break;
		case BM_PH_DIR:
		case DIR_WITH_SLASH:
			bm_buf_put(out, f.dir, f.dir_len);
			if (part->kind == DIR_WITH_SLASH && f.dir_len > 0)
				bm_buf_putc(out, '/');
			break;
		case BM_PH_NAME:
			bm_buf_put(out, f.name, f.name_len);
			break;
		case BM_PH_STEM:
			bm_buf_put(out, f.name, f.stem_len);
			break;
		case BM_PH_EXT:
			bm_buf_put(out, f.ext, f.ext_len);
			break;
		case BM_PH_DATE:
			put_date(out, part, &v->date);
			break;
		default:
			value = run_value(part->kind, v);
			if (value != NULL)
				bm_buf_puts(out, value);
		}
	}
}

/* The text that would compile to the parts. */
static void unparse(const struct bm_template *t, struct bm_buf *out)
{
	bm_buf_put(out, NULL, 0);
	for (size_t i = 0; i < t->part_count; i++) {
		const struct part *part = &t->parts[i];
		unsigned bit = part->kind == DIR_WITH_SLASH ? BM_PH_DIR : part->kind;

		if (part->kind == LITERAL) {
			bm_template_put_literal(out, part->text, part->len);
			continue;
		}
		for (size_t j = 0; j < PLACEHOLDER_COUNT; j++)
			if (placeholders[j].bit == bit)
				bm_buf_printf(out, "{%s", placeholders[j].name);
		if (part->kind == BM_PH_DATE && strcmp(part->text, default_date) != 0)
			bm_buf_printf(out, ":%s", part->text);
		bm_buf_puts(out, part->kind == DIR_WITH_SLASH ? "}/" : "}");
	}
}

enum bm_status bm_template_bind(const struct bm_template *t, const struct bm_template_values *v,
                                struct bm_template **out, struct bm_error *err)
{
	struct bm_template *bound = NULL;
	struct bm_buf text = {0};
	bool ok = true;

	*out = NULL;
	bound = bm_calloc_array(1, sizeof(*bound));
	if (bound == NULL)
		goto nomem;
	for (size_t i = 0; i < t->part_count && ok; i++) {
		const struct part *part = &t->parts[i];
		const char *value;

		switch (part->kind) {
		case LITERAL:
			ok = add_literal(bound, part->text, part->len);
			break;
		case BM_PH_DATE:
			bm_buf_reset(&text);
			put_date(&text, part, &v->date);
			ok = !text.oom && add_literal(bound, text.data, text.len);
			break;
		case BM_PH_JOB:
		case BM_PH_RUN:
		case BM_PH_ALGORITHM:
			value = run_value(part->kind, v);
			ok = value != NULL ? add_literal(bound, value, strlen(value))
			                   : add_part(bound, part->kind, NULL, 0);
			break;
		default:
			ok = add_part(bound, part->kind, NULL, 0);
		}
	}
	if (!ok)
		goto nomem;
	bm_buf_reset(&text);
	unparse(bound, &text);
	bound->text = bm_buf_take(&text);
	if (bound->text == NULL)
		goto nomem;
	*out = bound;
	return BM_OK;

nomem:
	bm_buf_fini(&text);
	bm_template_destroy(bound);
	return bm_error_set_nomem(err);
}

const char *bm_template_prefix(const struct bm_template *t, size_t *len)
{
	if (t->part_count > 0 && t->parts[0].kind == LITERAL) {
		*len = t->parts[0].len;
		return t->parts[0].text;
	}
	*len = 0;
	return "";
}

void bm_template_put_literal(struct bm_buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '{' || text[i] == '}')
			bm_buf_putc(out, text[i]);
		bm_buf_putc(out, text[i]);
	}
}

char *bm_template_of_path(const char *path)
{
	struct bm_buf out = {0};

	bm_template_put_literal(&out, path, strlen(path));
	if (!out.oom)
		return bm_buf_take(&out);
	bm_buf_fini(&out);
	return NULL;
}
