/*
 * outputs_real.c - real paths of things that need not exist yet.
 *
 * realpath(3) wants all of a path to be there; an output's directories often are not. So the longest part that exists
 * goes through realpath, and what follows it, where there can be no links, is cleaned as text.
 */
#include "outputs_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *outputs_real_path(const char *path)
{
	struct bm_buf b = {0};
	char *copy = NULL, *real = NULL;
	size_t cut;

	if (path[0] != '/') {
		char cwd[PATH_MAX];

		if (getcwd(cwd, sizeof(cwd)) != NULL) {
			bm_buf_puts(&b, cwd);
			bm_buf_putc(&b, '/');
		}
	}
	bm_buf_puts(&b, path);
	copy = bm_buf_take(&b);
	if (copy == NULL)
		return NULL;
	/* Shorten until it exists: "/" always does. */
	for (cut = strlen(copy); cut > 0; cut--) {
		if (copy[cut] != '\0' && copy[cut] != '/')
			continue;
		char was = copy[cut];
		copy[cut] = '\0';
		real = realpath(copy, NULL);
		copy[cut] = was;
		if (real != NULL)
			break;
	}
	bm_buf_puts(&b, real != NULL ? real : "");
	free(real);
	for (const char *p = copy + cut; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			while (b.len > 0 && b.data[--b.len] != '/')
				;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (b.len == 0 || b.data[b.len - 1] != '/')
				bm_buf_putc(&b, '/');
			bm_buf_put(&b, p, n);
		}
		p += n + (p[n] == '/');
	}
	if (b.len == 0)
		bm_buf_putc(&b, '/');
	if (!b.oom)
		b.data[b.len] = '\0';
	free(copy);
	return bm_buf_take(&b);
}

char *outputs_real_dir(const char *path, size_t len)
{
	char *text = bm_memdup0(len > 0 ? path : ".", len > 0 ? len : 1);
	char *real = text != NULL ? outputs_real_path(text) : NULL;
	size_t n = real != NULL ? strlen(real) : 0;

	free(text);
	if (n > 0 && real[n - 1] != '/') {
		char *more = realloc(real, n + 2);

		if (more == NULL) {
			free(real);
			return NULL;
		}
		real = more;
		memcpy(real + n, "/", 2);
	}
	return real;
}
