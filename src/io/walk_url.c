/*
 * URLs as inputs: those that a job names, and lists of them in a file.
 *
 * A line of a list is a URL, or an object {"url": ..., "name": ..., "sha256": ..., "size": ...} (digests by the names in
 * bm_url_digest_names). Blank lines and lines that begin with '#' are passed over, and so is a CR at the end: such lists
 * come by mail. A line that is wrong becomes an entry with an error, so that the others are fetched all the same; it
 * says its number, and nothing of the line, which may hold a password.
 */
#include "walk_private.h"

#include <stdio.h>
#include <string.h>

#include "bm_error.h"
#include "bm_json_cursor.h"

struct bm_entry *bm_walk_url(struct bm_walk *w, const struct bm_url_item *item)
{
	struct bm_entry *e = bm_url_entry(item);
	if (!e)
		return bm_walk_oom(w);
	e->root = w->root;
	return e;
}

static struct bm_entry *line_error(struct bm_walk *w, enum bm_status status, const char *text)
{
	struct bm_buf where = {0};
	bm_buf_puts(&where, w->opt.list_path);
	bm_buf_printf(&where, ":%llu", (unsigned long long)w->list.line_number);
	struct bm_entry *e =
		where.oom ? bm_walk_oom(w) : bm_walk_error(w, NULL, 0, where.data, where.len, status, 0, text);
	bm_buf_fini(&where);
	return e;
}

/* The field that a key names, or NULL. */
static char **field_of(struct bm_url_item *item, const char *key, size_t len)
{
	if (len == 3 && memcmp(key, "url", 3) == 0)
		return &item->url;
	if (len == 4 && memcmp(key, "name", 4) == 0)
		return &item->name;
	for (size_t i = 0; i < BM_URL_DIGESTS; i++)
		if (strlen(bm_url_digest_names[i]) == len && memcmp(key, bm_url_digest_names[i], len) == 0)
			return &item->digest[i];
	return NULL;
}

/* NULL, or what is wrong. */
static const char *read_object(struct bm_json_cursor *c, struct bm_url_item *item)
{
	struct bm_buf scratch = {0}, value = {0};
	const char *fault = NULL, *key, *text;
	size_t key_len, len;
	bool more = bm_json_enter(c, '{');

	while (!fault && bm_json_next_key(c, &scratch, &key, &key_len, &more) && more) {
		char **field = field_of(item, key, key_len);
		if (key_len == 4 && memcmp(key, "size", 4) == 0) {
			if (item->has_size)
				fault = "the key \"size\" stands here twice";
			item->has_size = bm_json_get_u64(c, &item->size);
		} else if (!field) {
			fault = "there is a key that is none of url, name, size, md5, sha1, sha256 and sha512";
		} else if (*field) {
			fault = "a key stands here twice";
		} else if (bm_json_get_string(c, &value, &text, &len)) {
			*field = bm_memdup0(text, len);
			if (!*field)
				c->oom = true;
		}
	}
	if (!fault && bm_json_at_end(c) && !c->fault)
		fault = NULL;
	else if (!fault)
		fault = c->fault ? c->fault : "is not JSON";
	bm_buf_fini(&scratch);
	bm_buf_fini(&value);
	return fault;
}

struct bm_entry *bm_walk_url_line(struct bm_walk *w)
{
	struct bm_buf *line = &w->list.line;
	struct bm_url_item item = {0};
	struct bm_entry *e = NULL;
	struct bm_error why;

	bm_error_clear(&why);
	while (line->len > 0 && strchr(" \t\r", line->data[line->len - 1]) != NULL)
		line->len--;
	size_t skip = 0;
	while (skip < line->len && strchr(" \t", line->data[skip]) != NULL)
		skip++;
	if (skip == line->len || line->data[skip] == '#')
		return NULL;
	if (memchr(line->data, '\0', line->len))
		return line_error(w, BM_ERR_FORMAT, "this line of the list holds a NUL byte");
	if (line->data[skip] == '{') {
		struct bm_json_cursor c = bm_json_cursor_at(line->data + skip, line->len - skip);
		const char *fault = read_object(&c, &item);
		if (c.oom) {
			e = bm_walk_oom(w);
			goto out;
		}
		if (fault) {
			char text[256];
			snprintf(text, sizeof text,
			         "this line of the list is not an object as {\"url\": ..., \"name\": ..., "
			         "\"sha256\": ..., \"size\": ...}: %s",
			         fault);
			e = line_error(w, BM_ERR_FORMAT, text);
			goto out;
		}
	} else {
		item.url = bm_memdup0(line->data + skip, line->len - skip);
		if (!item.url) {
			e = bm_walk_oom(w);
			goto out;
		}
	}
	if (bm_url_item_check(&item, &why) != BM_OK)
		e = line_error(w, why.status, why.text);
	else
		e = bm_walk_url(w, &item);
out:
	bm_url_item_fini(&item);
	return e;
}
