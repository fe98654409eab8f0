/*
 * fuzz_record.c - results of files as bytes: any result, made of the input's bytes, comes back as it was, and what is
 * damaged then is either no record or one that is the same after another trip. The input as it is goes in as a record too.
 */
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_record.h"
#include "fuzz.h"

#define ITEMS_MAX 8

struct source {
	const uint8_t *data;
	size_t len;
};

static uint64_t take(struct source *s, size_t bytes)
{
	uint64_t v = 0;

	for (; bytes > 0 && s->len > 0; bytes--, s->data++, s->len--)
		v = v << 8 | *s->data;
	return v;
}

/* 1, 2, 5 or 9 bytes of the input, so that small ones are as usual as large ones. */
static uint64_t take_number(struct source *s)
{
	static const size_t sizes[] = {0, 1, 4, 8};
	uint64_t first = take(s, 1);

	return first < 0xc0 ? first : take(s, sizes[first & 3]);
}

/* Up to 255 bytes, in arena; NULL now and then. */
static const char *take_text(struct source *s, struct bm_buf *arena, size_t *at)
{
	size_t len = (size_t)take(s, 1);
	char *text = arena->data + *at;

	if (len == 255)
		return NULL;
	if (len > s->len)
		len = s->len;
	for (size_t i = 0; i < len; i++)
		text[i] = s->data[i] != 0 ? (char)s->data[i] : '?';
	text[len] = '\0';
	s->data += len;
	s->len -= len;
	*at += len + 1;
	return text;
}

static const uint8_t *take_bytes(struct source *s, size_t *len)
{
	const uint8_t *bytes = s->data;

	*len = *len < s->len ? *len : s->len;
	s->data += *len;
	s->len -= *len;
	return bytes;
}

static const char *take_algorithm(struct source *s, struct bm_buf *arena, size_t *at)
{
	size_t count, which = (size_t)take(s, 1);
	const struct bm_digest_algorithm *all = bm_digest_algorithms(&count);

	return which < count ? all[which].name : take_text(s, arena, at);
}

static void trip(const struct bm_file_result *f, struct bm_buf *out)
{
	struct bm_record_view v = {0};
	struct bm_buf again = {0};

	bm_record_encode(out, f);
	FUZZ_CHECK(!out->oom);
	FUZZ_CHECK(bm_record_decode(&v, out->data, out->len));
	bm_record_encode(&again, &v.file);
	FUZZ_CHECK(again.len == out->len && memcmp(again.data, out->data, out->len) == 0);
	bm_buf_fini(&again);
	bm_record_view_fini(&v);
}

/* len bytes, which lie so that one too many is seen. */
static void try_bytes(const void *data, size_t len)
{
	struct bm_record_view v = {0};
	struct bm_buf once = {0};
	void *copy = malloc(len > 0 ? len : 1);

	FUZZ_CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	if (bm_record_decode(&v, copy, len))
		trip(&v.file, &once);
	bm_buf_fini(&once);
	bm_record_view_fini(&v);
	free(copy);
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void make(struct source *s, struct bm_buf *arena, struct bm_buf *out)
{
	struct bm_file_digest digests[ITEMS_MAX];
	struct bm_file_output outputs[ITEMS_MAX];
	struct bm_file_blocks blocks[ITEMS_MAX];
	struct bm_file_damage damage = {0};
	struct bm_error error = BM_ERROR_INIT;
	struct bm_record_view v = {0};
	size_t at = 0;
	uint64_t has = take(s, 1);
	struct bm_file_result f = {
		.state = (enum bm_file_state)(take(s, 1) % (BM_FILE_FAILED + 1)),
		.verdict = (enum bm_verdict)(take(s, 1) % BM_VERDICT_COUNT),
		.digests = digests,
		.outputs = outputs,
		.blocks = blocks,
	};

	f.bytes = take_number(s);
	f.has_mtime = (has & 1) != 0;
	f.mtime_ns = f.has_mtime ? (int64_t)take(s, 8) : 0;
	f.job = take_text(s, arena, &at);
	f.display = take_text(s, arena, &at);
	f.path = take_text(s, arena, &at);
	if ((has & 2) != 0 && f.display != NULL) /* the usual case: its end */
		f.path = f.display + take(s, 1) % (strlen(f.display) + 1);
	f.warnings = take_text(s, arena, &at);
	f.other = take_text(s, arena, &at);
	for (; f.digest_count < (has >> 2 & 3); f.digest_count++) {
		struct bm_file_digest *d = &digests[f.digest_count];

		d->algorithm = take_algorithm(s, arena, &at);
		d->step = (unsigned)take_number(s);
		d->length = take_number(s);
		d->len = (size_t)take(s, 1) % (BM_DIGEST_MAX_BYTES + 1);
		d->bytes = take_bytes(s, &d->len);
	}
	for (; f.output_count < (has >> 4 & 3); f.output_count++) {
		struct bm_file_output *o = &outputs[f.output_count];

		o->path = take_text(s, arena, &at);
		o->bytes = take_number(s);
		o->skipped = take(s, 1) % 2 != 0;
		o->step = (unsigned)take_number(s);
	}
	for (; f.blocks_count < (has >> 6 & 1); f.blocks_count++) {
		struct bm_file_blocks *b = &blocks[f.blocks_count];
		size_t len;

		b->algorithm = take_algorithm(s, arena, &at);
		b->size_bytes = take_number(s);
		b->step = (unsigned)take_number(s);
		b->digest_len = 1 + (size_t)take(s, 1) % BM_DIGEST_MAX_BYTES;
		len = (size_t)take(s, 1);
		b->bytes = take_bytes(s, &len);
		b->count = len / b->digest_len;
	}
	if ((has & 0x80) != 0) {
		size_t len = sizeof(error.where) + 1;
		const uint8_t *text;

		error.status = (enum bm_status)(take(s, 1) & 0x7f);
		error.sys_errno = (int)(unsigned)take_number(s);
		text = take_bytes(s, &len);
		if (len > 0) {
			memcpy(error.text, text, len < sizeof(error.text) ? len : sizeof(error.text) - 1);
			memcpy(error.where, text, len < sizeof(error.where) ? len : sizeof(error.where) - 1);
		}
		f.error = &error;
		damage.size_bytes = take_number(s);
		damage.span_count = take_number(s);
		f.damage = damage.size_bytes % 2 != 0 ? &damage : NULL;
	}
	trip(&f, out);
	FUZZ_CHECK(bm_record_decode(&v, out->data, out->len));
	FUZZ_CHECK(v.file.state == f.state && v.file.verdict == f.verdict && v.file.bytes == f.bytes);
	FUZZ_CHECK(v.file.has_mtime == f.has_mtime && v.file.mtime_ns == f.mtime_ns);
	FUZZ_CHECK(same(v.file.job, f.job) && same(v.file.path, f.path) && same(v.file.display, f.display));
	FUZZ_CHECK(same(v.file.warnings, f.warnings) && same(v.file.other, f.other));
	FUZZ_CHECK(v.file.digest_count == f.digest_count && v.file.output_count == f.output_count);
	for (size_t i = 0; i < f.digest_count; i++) {
		FUZZ_CHECK(same(v.file.digests[i].algorithm, digests[i].algorithm) &&
		           v.file.digests[i].len == digests[i].len && v.file.digests[i].step == digests[i].step &&
		           v.file.digests[i].length == digests[i].length);
		FUZZ_CHECK(digests[i].len == 0 ||
		           memcmp(v.file.digests[i].bytes, digests[i].bytes, digests[i].len) == 0);
	}
	for (size_t i = 0; i < f.output_count; i++)
		FUZZ_CHECK(
			same(v.file.outputs[i].path, outputs[i].path) && v.file.outputs[i].bytes == outputs[i].bytes &&
			v.file.outputs[i].skipped == outputs[i].skipped && v.file.outputs[i].step == outputs[i].step);
	FUZZ_CHECK(v.file.blocks_count == f.blocks_count);
	for (size_t i = 0; i < f.blocks_count; i++)
		FUZZ_CHECK(v.file.blocks[i].count == blocks[i].count &&
		           v.file.blocks[i].size_bytes == blocks[i].size_bytes &&
		           v.file.blocks[i].digest_len == blocks[i].digest_len &&
		           (blocks[i].count == 0 || memcmp(v.file.blocks[i].bytes, blocks[i].bytes,
		                                           blocks[i].count * blocks[i].digest_len) == 0));
	FUZZ_CHECK((v.file.damage != NULL) == (f.damage != NULL) && (v.file.error != NULL) == (f.error != NULL));
	FUZZ_CHECK(f.error == NULL ||
	           (same(v.file.error->text, error.text) && same(v.file.error->where, error.where) &&
	            v.file.error->status == error.status && v.file.error->sys_errno == error.sys_errno));
	bm_record_view_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct source s = {data, len};
	struct bm_buf arena = {0}, out = {0};

	if (len == 0)
		return 0;
	try_bytes(data, len);
	FUZZ_CHECK(bm_buf_reserve(&arena, len + 64)); /* each text takes one byte of the input, and gives its NUL */
	make(&s, &arena, &out);
	/* What is left of the input says where it is damaged. */
	for (int i = 0; i < 8 && out.len > 0; i++) {
		size_t at = (size_t)take(&s, 2) % out.len;
		char old = out.data[at];

		try_bytes(out.data, at);
		out.data[at] = (char)take(&s, 1);
		try_bytes(out.data, out.len);
		if (i % 2 == 0)
			out.data[at] = old;
	}
	bm_buf_fini(&arena);
	bm_buf_fini(&out);
	return 0;
}
