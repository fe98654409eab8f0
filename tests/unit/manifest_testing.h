/* manifest_testing.h - manifests from memory, handed out in pieces of any size, and entries as text. */
#ifndef BM_TEST_MANIFEST_TESTING_H
#define BM_TEST_MANIFEST_TESTING_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_manifest.h"
#include "bm_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Digests that can be told apart by their first digits. */
#define HEX8 "0123abcd"
#define HEX16 "0123456789abcdef"
#define HEX32 HEX16 HEX16
#define HEX40 HEX32 HEX8
#define HEX56 HEX40 HEX16
#define HEX64 HEX32 HEX32
#define HEX96 HEX64 HEX32
#define HEX128 HEX64 HEX64

struct memory_stream {
	const char *data;
	size_t len, at, piece; /* piece: at most so many bytes a read; 0: no limit */
	size_t fail_at;        /* a read from here on fails; 0: none does */
};

static inline enum bm_status memory_read(void *ctx, void *buf, size_t size, size_t *got, struct bm_error *err)
{
	struct memory_stream *m = ctx;
	size_t n = m->len - m->at;

	*got = 0;
	if (m->fail_at != 0 && m->at >= m->fail_at)
		return bm_error_set_errno(err, 5 /* EIO */, "memory", "the disk is bad");
	if (n > size)
		n = size;
	if (m->piece != 0 && n > m->piece)
		n = m->piece;
	if (m->fail_at != 0 && n > m->fail_at - m->at)
		n = m->fail_at - m->at;
	if (n > 0)
		memcpy(buf, m->data + m->at, n);
	m->at += n;
	*got = n;
	return BM_OK;
}

/* name|size|mtime|algorithm:first four digits, and ? for a guess|blocks|flags */
static inline void render_entry(struct bm_buf *out, const struct bm_manifest_entry *e)
{
	bm_escape_display(out, e->name, e->name_len);
	if (e->has_size)
		bm_buf_printf(out, "|%" PRIu64 "|", e->size_bytes);
	else
		bm_buf_puts(out, "|-|");
	if (e->has_mtime)
		bm_buf_printf(out, "%" PRId64 "|", e->mtime_ns);
	else
		bm_buf_puts(out, "-|");
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *d = &e->digests[i];

		bm_buf_printf(out, "%s%s:%02x%02x%s", i > 0 ? " " : "", d->name, d->bytes[0],
		              d->len > 1 ? d->bytes[1] : 0, d->is_guess ? "?" : "");
	}
	if (e->has_blocks) {
		bm_buf_printf(out, "|%" PRIu64 " %s", e->blocks.size_bytes, e->blocks.name);
		for (size_t i = 0; i < e->blocks.count; i++) {
			bm_buf_putc(out, ' ');
			bm_hex_put(out, e->blocks.bytes + i * e->blocks.digest_len, 2);
		}
	}
	bm_buf_printf(out, "%s%s%s%s\n", (e->unsafe & BM_MANIFEST_ABSOLUTE) != 0 ? "|absolute" : "",
	              (e->unsafe & BM_MANIFEST_DOT_DOT) != 0 ? "|dotdot" : "", e->is_unterminated ? "|cut" : "",
	              e->is_duplicate ? "|again" : "");
}

/* The kind, then the entries and "!line: fault"; or "?why" where it cannot be opened, or read on. */
static inline void render(struct bm_buf *out, const char *name, const struct bm_manifest_options *opt, const char *text,
                          size_t len, size_t piece)
{
	struct memory_stream m = {.data = text, .len = len, .piece = piece};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;
	enum bm_manifest_event event;

	if (bm_manifest_open_stream(memory_read, &m, name, opt, &r, &err) != BM_OK) {
		bm_buf_printf(out, "?%s\n", err.text);
		return;
	}
	bm_buf_printf(out, "%s%s\n", bm_manifest_kind_name(bm_manifest_kind(r)), bm_manifest_is_nul(r) ? " nul" : "");
	while ((event = bm_manifest_next(r, &e, &err)) != BM_MANIFEST_END && event != BM_MANIFEST_FAILED) {
		if (event == BM_MANIFEST_ENTRY)
			render_entry(out, &e);
		else
			bm_buf_printf(out, "!%" PRIu64 ": %s\n", e.line, e.fault);
	}
	if (event == BM_MANIFEST_FAILED)
		bm_buf_printf(out, "?%s\n", err.text);
	bm_manifest_close(r);
}

#endif
