/*
 * verify_name.c - see bm_names.h. Most names are clean already, and are seen to be so in one pass; nothing is copied.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_names.h"

/* Has it an empty, "." or ".." component, or a '/' in front? */
static bool is_clean(const char *name, size_t len)
{
	const char *p = name, *end = name + len;

	for (;;) {
		/* At the start of a component. */
		if (p == end || *p == '/')
			return false;
		if (*p == '.' && (p + 1 == end || p[1] == '/' || (p[1] == '.' && (p + 2 == end || p[2] == '/'))))
			return false;
		p = memchr(p, '/', (size_t)(end - p));
		if (p == NULL)
			return true;
		p++;
	}
}

/* Without empty and "." components; "/" stays in front. */
static void put_clean(struct bm_buf *out, const char *name, size_t len, bool *dot_dot)
{
	const char *p = name, *end = name + len;

	*dot_dot = false;
	bm_buf_puts(out, len > 0 && *name == '/' ? "/" : "");
	while (p < end) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t n = (size_t)((slash != NULL ? slash : end) - p);

		if (n > 0 && !(n == 1 && *p == '.')) {
			if (out->len > 0 && out->data[out->len - 1] != '/')
				bm_buf_putc(out, '/');
			bm_buf_put(out, p, n);
			*dot_dot = *dot_dot || (n == 2 && p[0] == '.' && p[1] == '.');
		}
		p += n + 1;
	}
}

static char *clean_copy(const char *a, const char *b)
{
	struct bm_buf whole = {0}, out = {0};
	bool dot_dot;

	bm_buf_puts(&whole, a);
	bm_buf_putc(&whole, '/');
	bm_buf_puts(&whole, b);
	if (!whole.oom)
		put_clean(&out, whole.data + (*a == '\0'), whole.len - (*a == '\0'), &dot_dot);
	out.oom = out.oom || whole.oom;
	bm_buf_fini(&whole);
	return bm_buf_take(&out);
}

enum bm_status bm_name_map_init(struct bm_name_map *m, const char *directory, const char *strip, bool allow_unsafe,
                                struct bm_error *err)
{
	char *cwd = directory[0] == '/' ? NULL : getcwd(NULL, 0);
	bool ok = true;

	*m = (struct bm_name_map){.allow_unsafe = allow_unsafe};
	m->real = realpath(directory, NULL);
	if (directory[0] == '/' || cwd != NULL) {
		m->given = clean_copy(cwd != NULL ? cwd : "", directory);
		ok = m->given != NULL;
	}
	if (ok && directory[0] != '/') {
		m->relative = clean_copy("", directory);
		ok = m->relative != NULL;
	}
	if (ok && strip != NULL && strip[0] != '\0') {
		m->strip = clean_copy("", strip);
		ok = m->strip != NULL;
		if (ok && m->strip[0] == '\0') {
			free(m->strip);
			m->strip = NULL;
		}
	}
	free(cwd);
	if (ok)
		return BM_OK;
	bm_name_map_fini(m);
	return bm_error_set_nomem(err);
}

void bm_name_map_fini(struct bm_name_map *m)
{
	free(m->given);
	free(m->real);
	free(m->strip);
	free(m->relative);
	bm_buf_fini(&m->scratch);
	*m = (struct bm_name_map){0};
}

/* Moves *name past dir and a '/'. */
static bool skip_dir(const char *dir, const char **name, size_t *len)
{
	size_t n = dir != NULL ? strlen(dir) : 0;

	if (n == 1 && dir[0] == '/')
		n = 0;
	else if (n == 0)
		return false;
	if (*len < n || memcmp(*name, dir, n) != 0 || (*len > n && (*name)[n] != '/'))
		return false;
	*name += n + (*len > n);
	*len -= n + (*len > n);
	return true;
}

bool bm_name_map_look(struct bm_name_map *m, const char *name, size_t len)
{
	struct bm_buf path = {0};
	size_t n = m->relative != NULL ? strcspn(m->relative, "/") : 0;
	bool dot_dot, found = false;

	if (m->strip != NULL || m->given == NULL || n == 0 || (n == 2 && memcmp(m->relative, "..", 2) == 0))
		return false;
	bm_buf_reset(&m->scratch);
	put_clean(&m->scratch, name, len, &dot_dot);
	name = m->scratch.data;
	len = m->scratch.len;
	bm_buf_puts(&path, m->given);
	bm_buf_putc(&path, '/');
	bm_buf_put(&path, m->relative, n);
	if (!m->scratch.oom && !path.oom && skip_dir(m->relative, &name, &len) && len > 0 &&
	    access(path.data, F_OK) != 0) {
		m->strip = m->relative;
		m->relative = NULL;
		found = true;
	}
	bm_buf_fini(&path);
	return found;
}

enum bm_name_fit bm_name_map_apply(struct bm_name_map *m, const char *name, size_t len, const char **out,
                                   size_t *out_len)
{
	bool dot_dot = false;

	if (!is_clean(name, len)) {
		bm_buf_reset(&m->scratch);
		put_clean(&m->scratch, name, len, &dot_dot);
		if (m->scratch.oom)
			return BM_NAME_NOMEM;
		name = m->scratch.data;
		len = m->scratch.len;
	}
	if (m->strip != NULL) {
		if (!skip_dir(m->strip, &name, &len))
			return BM_NAME_OUTSIDE;
	} else if (name[0] == '/' && !dot_dot && !skip_dir(m->given, &name, &len)) {
		(void)skip_dir(m->real, &name, &len);
	}
	if (len == 0)
		return BM_NAME_DIRECTORY;
	if (!m->allow_unsafe && (dot_dot || name[0] == '/'))
		return name[0] == '/' ? BM_NAME_ABSOLUTE : BM_NAME_DOT_DOT;
	*out = name;
	*out_len = len;
	return BM_NAME_TAKEN;
}
