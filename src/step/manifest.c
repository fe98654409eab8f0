/*
 * manifest.c - lines of manifests: GNU ("HEX  name"), BSD ("SHA256 (name) = HEX"), JSON Lines. See manifest.h and the
 * coreutils manual, "cksum output modes".
 */
#include "manifest.h"

#include <string.h>

#include "bm_step.h"
#include "bm_text.h"

static void put_escaped_name(struct bm_buf *out, const char *name, bool escape)
{
	if (!escape) {
		bm_buf_puts(out, name);
		return;
	}
	for (; *name != '\0'; name++) {
		if (*name == '\\')
			bm_buf_puts(out, "\\\\");
		else if (*name == '\n')
			bm_buf_puts(out, "\\n");
		else if (*name == '\r')
			bm_buf_puts(out, "\\r");
		else
			bm_buf_putc(out, *name);
	}
}

static void put_line(struct bm_buf *out, bool bsd, bool nul, const struct bm_file_digest *d, const char *name)
{
	bool escape = !nul && strpbrk(name, "\\\n\r") != NULL;

	if (escape)
		bm_buf_putc(out, '\\');
	if (bsd) {
		bm_buf_printf(out, "%s (", bm_digest_find(d->algorithm)->bsd_name);
		put_escaped_name(out, name, escape);
		bm_buf_puts(out, ") = ");
		bm_hex_put(out, d->bytes, d->len);
	} else {
		bm_hex_put(out, d->bytes, d->len);
		bm_buf_puts(out, "  ");
		put_escaped_name(out, name, escape);
	}
	bm_buf_putc(out, nul ? '\0' : '\n');
}

static void put_json(struct bm_buf *out, const struct bm_file_result *r, unsigned step,
                     const struct bm_digest_algorithm *only, const char *name)
{
	bm_buf_putc(out, '{');
	bm_json_put_name(out, "path", name, strlen(name));
	bool first = true;
	for (size_t i = 0; i < r->digest_count; i++) {
		const struct bm_file_digest *d = &r->digests[i];

		if (d->step != step || (only != NULL && strcmp(only->name, d->algorithm) != 0))
			continue;
		if (first)
			bm_buf_printf(out, ",\"size\":%llu", (unsigned long long)d->length);
		first = false;
		bm_buf_printf(out, ",\"%s\":\"", d->algorithm);
		bm_hex_put(out, d->bytes, d->len);
		bm_buf_putc(out, '"');
	}
	bm_buf_puts(out, "}\n");
}

void bm_manifest_put(struct bm_buf *out, int format, bool nul, const struct bm_file_result *r, unsigned step,
                     const struct bm_digest_algorithm *only, const char *name)
{
	if (format == BM_MANIFEST_JSON) {
		put_json(out, r, step, only, name);
		return;
	}
	for (size_t i = 0; i < r->digest_count; i++) {
		const struct bm_file_digest *d = &r->digests[i];

		if (d->step == step && (only == NULL || strcmp(only->name, d->algorithm) == 0))
			put_line(out, format == BM_MANIFEST_BSD, nul, d, name);
	}
}
