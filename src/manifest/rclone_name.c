/*
 * rclone_name.c - names as rclone prints them (its documentation, "Restricted filenames"; the encoding "Standard").
 *
 * rclone shows control characters as their pictures, U+2401 to U+241F and U+2421 for DEL, so no name of a line breaks
 * it. A name that has such a picture itself gets U+201B in front of it, and U+201B is doubled. All that is within paths
 * on a Unix disk; bytes that are not UTF-8 stay as they are. U+2400, the picture of NUL, is never meant.
 *
 * In UTF-8: U+2400 to U+241F are E2 90 80 to E2 90 9F, U+2421 is E2 90 A1, U+201B is E2 80 9B.
 */
#include <string.h>

#include "manifest_private.h"

#define QUOTE "\xe2\x80\x9b"

/* The byte that the picture at p (len bytes are left) stands for, 0 for that of NUL, -1 where there is no picture. */
static int pictured(const char *p, size_t len)
{
	unsigned char last;

	if (len < 3 || p[0] != '\xe2' || p[1] != '\x90')
		return -1;
	last = (unsigned char)p[2];
	if (last >= 0x80 && last <= 0x9f)
		return last - 0x80;
	return last == 0xa1 ? 0x7f : -1;
}

static bool is_quote(const char *p, size_t len)
{
	return len >= 3 && memcmp(p, QUOTE, 3) == 0;
}

size_t rclone_name_decode(char *name, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		const char *p = name + i;
		size_t left = len - i, take = 1;
		int byte;

		if (*p != '\xe2') {
			name[n++] = name[i++];
			continue;
		}
		byte = pictured(p, left);
		if (byte > 0) {
			name[n++] = (char)byte;
			i += 3;
			continue;
		}
		if (is_quote(p, left) && (is_quote(p + 3, left - 3) || pictured(p + 3, left - 3) >= 0)) {
			i += 3;
			take = 3;
		}
		memmove(name + n, name + i, take);
		n += take;
		i += take;
	}
	return n;
}

void rclone_name_put(struct bm_buf *out, const char *name, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x20 || c == 0x7f) {
			char picture[3] = {'\xe2', '\x90', (char)(c == 0x7f ? 0xa1 : 0x80 + c)};

			bm_buf_put(out, picture, sizeof(picture));
			i++;
		} else if (pictured(name + i, len - i) >= 0 || is_quote(name + i, len - i)) {
			bm_buf_puts(out, QUOTE);
			bm_buf_put(out, name + i, 3);
			i += 3;
		} else {
			bm_buf_putc(out, (char)c);
			i++;
		}
	}
}

void bm_manifest_put_rclone_name(struct bm_buf *out, const char *name, size_t len)
{
	rclone_name_put(out, name, len);
}
