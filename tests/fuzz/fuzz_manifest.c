/*
 * fuzz_manifest.c - any bytes as a manifest, of every kind and of an unknown one. Besides not crashing: an entry is what
 * bm_manifest.h promises; bad lines have a reason fit for a terminal; a manifest is read the same in whatever pieces it
 * comes, the kind being given; and each entry, written in each kind that takes it and read again, is what it was.
 */
#include <string.h>

#include "bm_error.h"
#include "bm_manifest.h"
#include "fuzz_manifest.h"

#define KIND_FIRST BM_MANIFEST_KIND_GNU
#define KIND_LAST BM_MANIFEST_KIND_XXHSUM

static void check_entry(const struct bm_manifest_entry *e)
{
	FUZZ_CHECK(e->name_len > 0 && strlen(e->name) == e->name_len);
	FUZZ_CHECK(e->line > 0 && e->fault == NULL && !e->is_duplicate);
	FUZZ_CHECK((e->name[0] == '/') == ((e->unsafe & BM_MANIFEST_ABSOLUTE) != 0));
	FUZZ_CHECK(e->digest_count <= BM_MANIFEST_DIGESTS_MAX);
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *d = &e->digests[i];

		FUZZ_CHECK(d->len > 0 && d->len <= BM_DIGEST_MAX_BYTES);
		FUZZ_CHECK(d->algorithm == NULL ||
		           (d->algorithm->size_bytes == d->len && strcmp(d->algorithm->name, d->name) == 0));
	}
	if (e->has_blocks)
		FUZZ_CHECK(e->blocks.size_bytes > 0 && e->blocks.digest_len > 0 && e->blocks.name != NULL);
}

static bool same_entry(const struct bm_manifest_entry *a, const struct bm_manifest_entry *b)
{
	uint64_t x = 0, y = 0;

	note_entry(&x, a);
	note_entry(&y, b);
	return x == y && a->digest_count == b->digest_count && a->has_blocks == b->has_blocks;
}

/* e, which has one line in kind, written and read. */
static void round_trip(const struct bm_manifest_entry *e, enum bm_manifest_kind kind, bool nul)
{
	const char *names[BM_MANIFEST_DIGESTS_MAX];
	struct bm_manifest_style style = {.kind = kind, .nul = nul, .algorithms = names};
	struct bm_manifest_options o = {.kind = kind, .nul = nul};
	struct bm_manifest_entry want = *e, found;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct stream s = {.piece = 3};
	struct bm_buf out = {0};

	if (kind != BM_MANIFEST_KIND_JSON && kind != BM_MANIFEST_KIND_HASHDEEP)
		want.digest_count = e->digest_count > 0 ? 1 : 0;
	for (size_t i = 0; i < want.digest_count; i++)
		names[i] = e->digests[i].name;
	style.algorithm_count = want.digest_count;
	if (bm_manifest_put_head(&out, &style, &err) != BM_OK ||
	    bm_manifest_put_entry(&out, &style, &want, &err) != BM_OK) {
		FUZZ_CHECK(err.status == BM_ERR_USAGE || err.status == BM_ERR_UNSUPPORTED);
		check_text(err.text);
		goto out;
	}
	FUZZ_CHECK(!out.oom);
	/* These do not say which algorithm they are of. */
	if (want.digest_count == 1 &&
	    (kind == BM_MANIFEST_KIND_GNU || kind == BM_MANIFEST_KIND_BAGIT || kind == BM_MANIFEST_KIND_RCLONE))
		o.algorithm = strncmp(names[0], "blake2b-", 8) == 0 ? "blake2b" : names[0];
	if (want.digest_count == 0 && !(kind == BM_MANIFEST_KIND_JSON && want.has_blocks) &&
	    kind != BM_MANIFEST_KIND_HASHDEEP)
		goto out; /* no lines, or one that says nothing */
	s.data = (const uint8_t *)out.data;
	s.len = out.len;
	FUZZ_CHECK(bm_manifest_open_stream(read_stream, &s, "x", &o, &r, &err) == BM_OK);
	FUZZ_CHECK(bm_manifest_next(r, &found, &err) == BM_MANIFEST_ENTRY);
	FUZZ_CHECK(!found.is_unterminated);
	if (kind != BM_MANIFEST_KIND_JSON) {
		want.has_mtime = want.has_blocks = false;
		want.mtime_ns = 0;
	}
	if (kind != BM_MANIFEST_KIND_JSON && kind != BM_MANIFEST_KIND_HASHDEEP)
		want.size_bytes = 0;
	FUZZ_CHECK(same_entry(&want, &found));
	FUZZ_CHECK(bm_manifest_next(r, &found, &err) == BM_MANIFEST_END);
out:
	bm_manifest_close(r);
	bm_buf_fini(&out);
}

/* In one kind, since each is a manifest to be opened: over many inputs it is all of them. */
static void round_trip_somehow(const struct bm_manifest_entry *e, uint64_t which)
{
	unsigned kinds = KIND_LAST - KIND_FIRST + 1, k = (unsigned)(which % (kinds + 2));

	if (k < kinds)
		round_trip(e, (enum bm_manifest_kind)(KIND_FIRST + k), false);
	else
		round_trip(e, k == kinds ? BM_MANIFEST_KIND_GNU : BM_MANIFEST_KIND_BSD, true);
}

/* What all lines hash to; 0 where it is no manifest. again: the first few entries make a round trip. */
static uint64_t read_all(const uint8_t *data, size_t len, size_t piece, const struct bm_manifest_options *o,
                         const char *name, bool again)
{
	struct stream s = {.data = data, .len = len, .piece = piece};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;
	enum bm_manifest_event event;
	uint64_t hash = 0xcbf29ce484222325u, line = 0;

	if (bm_manifest_open_stream(read_stream, &s, name, o, &r, &err) != BM_OK) {
		FUZZ_CHECK(err.status == BM_ERR_FORMAT);
		check_text(err.text);
		return 0;
	}
	FUZZ_CHECK(bm_manifest_kind(r) != BM_MANIFEST_KIND_AUTO);
	while ((event = bm_manifest_next(r, &e, &err)) != BM_MANIFEST_END) {
		FUZZ_CHECK(event == BM_MANIFEST_ENTRY || event == BM_MANIFEST_BAD_LINE);
		FUZZ_CHECK(e.line > line);
		line = e.line;
		note(&hash, &line, sizeof(line));
		if (event == BM_MANIFEST_BAD_LINE) {
			check_text(e.fault);
			note(&hash, e.fault, strlen(e.fault));
			continue;
		}
		check_entry(&e);
		note_entry(&hash, &e);
		if (again && line < 8)
			round_trip_somehow(&e, hash);
	}
	bm_manifest_close(r);
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"x", "x.sfv", "manifest-sha256.txt", "B2SUMS", "sha3.txt"};
	static const char *const algorithms[] = {NULL, "md5", "blake2b", "xxh", "sha512", "tiger"};
	const size_t none = SIZE_MAX;

	for (enum bm_manifest_kind k = KIND_FIRST; k <= KIND_LAST; k++) {
		struct bm_manifest_options o = {
			.kind = k,
			.max_line_bytes = len % 3 == 0 ? 200 : 0,
			.algorithm = algorithms[len % (sizeof(algorithms) / sizeof(algorithms[0]))],
			.strip_dot_slash = len % 4 == 1,
		};
		bool may_be_nul = k == BM_MANIFEST_KIND_GNU || k == BM_MANIFEST_KIND_BSD;
		uint64_t whole = read_all(data, len, none, &o, "x", true);

		/* How lines end is found out from what is there when the first has come. */
		if (!may_be_nul || memchr(data != NULL ? (const void *)data : "", 0, len) == NULL)
			FUZZ_CHECK(read_all(data, len, 1 + len % 13, &o, "x", false) == whole);
		if (may_be_nul) {
			o.nul = true;
			FUZZ_CHECK(read_all(data, len, 5, &o, "x", true) == read_all(data, len, none, &o, "x", false));
		}
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		read_all(data, len, i % 2 == 0 ? none : 1 + len % 7, NULL, names[i], false);
	return 0;
}
