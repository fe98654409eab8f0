/*
 * record.c - see record.h. The rest of a record: a byte of flags; size (8 bytes) and mtime (8) where they are known; the
 * number of digests; for each a byte, its algorithm's code and in the top bit whether that is a guess, and its bytes;
 * for block digests size (8), code (1), count (8), bytes. The length of a digest follows from its code.
 *
 * A million files with SHA-256 and names of 40 bytes take 92 MB so.
 */
#include "record.h"

#include "algorithm.h"

enum {
	FLAG_SIZE = 1,
	FLAG_MTIME = 2,
	FLAG_BLOCKS = 4,
	FLAG_UNTERMINATED = 8,
	FLAG_UNSAFE_SHIFT = 4 /* two bits */
};
#define GUESS 0x80u

static size_t rest_size(const struct bm_manifest_entry *e)
{
	size_t n = 2 + (e->has_size ? sizeof(e->size_bytes) : 0) + (e->has_mtime ? sizeof(e->mtime_ns) : 0);

	for (size_t i = 0; i < e->digest_count; i++)
		n += 1 + e->digests[i].len;
	if (e->has_blocks)
		n += 17 + e->blocks.count * e->blocks.digest_len; /* they lie in memory, so this is in range */
	return n;
}

size_t record_size(const struct bm_manifest_entry *e)
{
	size_t rest = rest_size(e);

	if (rest > UINT32_MAX || e->name_len > UINT32_MAX)
		return 0;
	return RECORD_HEADER_BYTES + e->name_len + 1 + rest;
}

static unsigned char *put(unsigned char *to, const void *data, size_t len)
{
	if (len > 0)
		memcpy(to, data, len);
	return to + len;
}

static unsigned char code_of(const char *name)
{
	return (unsigned char)algorithm_find(name, strlen(name));
}

void record_put(unsigned char *to, const struct bm_manifest_entry *e)
{
	uint32_t lengths[2] = {(uint32_t)e->name_len, (uint32_t)rest_size(e)};
	uint64_t count = e->blocks.count;

	to = put(to, lengths, sizeof(lengths));
	to = put(to, &e->line, sizeof(e->line));
	to = put(to, e->name, e->name_len);
	*to++ = '\0';
	*to++ = (unsigned char)((e->has_size ? FLAG_SIZE : 0) | (e->has_mtime ? FLAG_MTIME : 0) |
	                        (e->has_blocks ? FLAG_BLOCKS : 0) | (e->is_unterminated ? FLAG_UNTERMINATED : 0) |
	                        (e->unsafe << FLAG_UNSAFE_SHIFT));
	if (e->has_size)
		to = put(to, &e->size_bytes, sizeof(e->size_bytes));
	if (e->has_mtime)
		to = put(to, &e->mtime_ns, sizeof(e->mtime_ns));
	*to++ = (unsigned char)e->digest_count;
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *d = &e->digests[i];

		*to++ = (unsigned char)(code_of(d->name) | (d->is_guess ? GUESS : 0));
		to = put(to, d->bytes, d->len);
	}
	if (e->has_blocks) {
		to = put(to, &e->blocks.size_bytes, sizeof(e->blocks.size_bytes));
		*to++ = code_of(e->blocks.name);
		to = put(to, &count, sizeof(count));
		put(to, e->blocks.bytes, e->blocks.count * e->blocks.digest_len);
	}
}

static const unsigned char *get(const unsigned char *from, void *data, size_t len)
{
	memcpy(data, from, len);
	return from + len;
}

void record_get(const unsigned char *record, struct bm_manifest_digest digests[static BM_MANIFEST_DIGESTS_MAX],
                struct bm_manifest_entry *e)
{
	const unsigned char *from = record_name(record) + record_name_len(record) + 1;
	unsigned flags = *from++;

	*e = (struct bm_manifest_entry){
		.name = (const char *)record_name(record),
		.name_len = record_name_len(record),
		.line = record_line(record),
		.has_size = (flags & FLAG_SIZE) != 0,
		.has_mtime = (flags & FLAG_MTIME) != 0,
		.has_blocks = (flags & FLAG_BLOCKS) != 0,
		.is_unterminated = (flags & FLAG_UNTERMINATED) != 0,
		.unsafe = flags >> FLAG_UNSAFE_SHIFT,
	};
	if (e->has_size)
		from = get(from, &e->size_bytes, sizeof(e->size_bytes));
	if (e->has_mtime)
		from = get(from, &e->mtime_ns, sizeof(e->mtime_ns));
	e->digest_count = *from++;
	e->digests = e->digest_count > 0 ? digests : NULL;
	for (size_t i = 0; i < e->digest_count; i++) {
		struct algorithm a = algorithm_get(*from & ~GUESS);

		digests[i] = (struct bm_manifest_digest){
			.algorithm = a.digest,
			.name = a.name,
			.bytes = from + 1,
			.len = a.len,
			.is_guess = (*from & GUESS) != 0,
		};
		from += 1 + a.len;
	}
	if (e->has_blocks) {
		struct algorithm a;
		uint64_t count;

		from = get(from, &e->blocks.size_bytes, sizeof(e->blocks.size_bytes));
		a = algorithm_get(*from++);
		from = get(from, &count, sizeof(count));
		e->blocks.algorithm = a.digest;
		e->blocks.name = a.name;
		e->blocks.digest_len = a.len;
		e->blocks.count = (size_t)count;
		e->blocks.bytes = from;
	}
}

int record_compare(const unsigned char *a, const unsigned char *b)
{
	size_t a_len = record_name_len(a), b_len = record_name_len(b);
	int order = memcmp(record_name(a), record_name(b), a_len < b_len ? a_len : b_len);
	uint64_t a_line, b_line;

	if (order != 0)
		return order;
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	a_line = record_line(a);
	b_line = record_line(b);
	return (a_line > b_line) - (a_line < b_line);
}
