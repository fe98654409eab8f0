/* fuzz_manifest.h - what the targets that read manifests share: bytes in pieces, and what an entry comes to. */
#ifndef BM_TEST_FUZZ_MANIFEST_H
#define BM_TEST_FUZZ_MANIFEST_H

#include <string.h>

#include "bm_manifest.h"
#include "bm_text.h"
#include "fuzz.h"

struct stream {
	const uint8_t *data;
	size_t len, at, piece;
};

static inline enum bm_status read_stream(void *ctx, void *buf, size_t size, size_t *got, struct bm_error *err)
{
	struct stream *s = ctx;
	size_t n = s->len - s->at;

	(void)err;
	n = n < size ? n : size;
	n = n < s->piece ? n : s->piece;
	if (n > 0)
		memcpy(buf, s->data + s->at, n);
	s->at += n;
	*got = n;
	return BM_OK;
}

/* One line, fit for a terminal. */
static inline void check_text(const char *text)
{
	FUZZ_CHECK(text[0] != '\0' && bm_utf8_valid(text, strlen(text)));
	for (; *text != '\0'; text++)
		FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* All that is told of the lines, as one number; eight bytes at a time, as names may be long. */
static inline void note(uint64_t *hash, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;

	*hash = (*hash ^ len) * 0x100000001b3u;
	for (size_t n; len > 0; p += n, len -= n) {
		n = len < sizeof(word) ? len : sizeof(word);
		word = 0;
		memcpy(&word, p, n);
		*hash = (*hash ^ word) * 0x9e3779b97f4a7c15u;
		*hash ^= *hash >> 31;
	}
}

static inline void note_entry(uint64_t *hash, const struct bm_manifest_entry *e)
{
	note(hash, e->name, e->name_len);
	note(hash, &e->size_bytes, sizeof(e->size_bytes));
	note(hash, &e->mtime_ns, sizeof(e->mtime_ns));
	for (size_t i = 0; i < e->digest_count; i++) {
		note(hash, e->digests[i].name, strlen(e->digests[i].name));
		note(hash, e->digests[i].bytes, e->digests[i].len);
	}
	if (e->has_blocks)
		note(hash, e->blocks.bytes, e->blocks.count * e->blocks.digest_len);
}

#endif
