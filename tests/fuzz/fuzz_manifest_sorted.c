/*
 * fuzz_manifest_sorted.c - any bytes as a manifest that is sorted in little memory. So that a small input becomes many
 * runs in the temporary file, it is read again and again, and every entry gets a name of its own making: long, and now and
 * then one that was there before. What comes out must be what went in, in order, each once, as often as it is asked for.
 */
#include "bm_error.h"
#include "bm_manifest_sorted.h"
#include "fuzz_manifest.h"

#define NAME_BYTES ((size_t)12000)

struct sorting {
	struct stream stream;
	size_t rounds;
	uint64_t state; /* of names */
	char name[NAME_BYTES + 64];
	uint64_t sum, count, bad;
	uint64_t in_order; /* hash of all, one after the other */
};

static enum bm_status read_again(void *ctx, void *buf, size_t size, size_t *got, struct bm_error *err)
{
	struct sorting *s = ctx;

	if (s->stream.at == s->stream.len && s->rounds > 1) {
		s->rounds--;
		s->stream.at = 0;
	}
	return read_stream(&s->stream, buf, size, got, err);
}

/* What e comes to, with its name and its line. */
static uint64_t hash_of(const struct bm_manifest_entry *e)
{
	uint64_t hash = 0xcbf29ce484222325u;

	note(&hash, &e->line, sizeof(e->line));
	note(&hash, &e->is_unterminated, sizeof(e->is_unterminated));
	note_entry(&hash, e);
	for (size_t i = 0; i < e->digest_count; i++)
		note(&hash, &e->digests[i].is_guess, sizeof(e->digests[i].is_guess));
	return hash;
}

static bool on_entry(void *ctx, struct bm_manifest_entry *e)
{
	struct sorting *s = ctx;
	size_t len, more;
	uint64_t hash;

	s->state = s->state * 6364136223846793005u + 1442695040888963407u;
	more = s->state >> 40;
	/* Few heads, so that names come again; the tail is that of the input. */
	len = (size_t)snprintf(s->name, sizeof(s->name), "%0*u",
	                       (int)(more % 4 == 0 ? more % NAME_BYTES : more % 9 + 1),
	                       (unsigned)(s->state >> 33) % 37);
	if (e->name_len < sizeof(s->name) - len) {
		memcpy(s->name + len, e->name, e->name_len + 1);
		len += e->name_len;
	}
	if (more % 13 == 0)
		return false;
	e->name = s->name;
	e->name_len = len;
	hash = hash_of(e);
	s->sum += hash;
	s->count++;
	note(&s->in_order, &hash, sizeof(hash));
	return true;
}

static void on_bad_line(void *ctx, uint64_t line, const char *fault)
{
	struct sorting *s = ctx;

	(void)line;
	check_text(fault);
	s->bad++;
}

static void check_all(struct bm_manifest_sorted *sorted, const struct sorting *s, bool keeps_order)
{
	struct bm_error err = BM_ERROR_INIT;
	uint64_t sum = 0, count = 0, line = 0, in_order = 0, hash;
	enum bm_manifest_event event;
	struct bm_manifest_entry e;
	struct bm_buf last = {0};

	while ((event = bm_manifest_sorted_next(sorted, &e, &err)) == BM_MANIFEST_ENTRY) {
		int order = count > 0 ? strcmp(last.data, e.name) : -1;

		FUZZ_CHECK(strlen(e.name) == e.name_len);
		FUZZ_CHECK(keeps_order || order < 0 || (order == 0 && line < e.line));
		FUZZ_CHECK(e.is_duplicate == (order == 0));
		FUZZ_CHECK(!keeps_order || line < e.line);
		line = e.line;
		hash = hash_of(&e);
		sum += hash;
		count++;
		note(&in_order, &hash, sizeof(hash));
		bm_buf_reset(&last);
		bm_buf_puts(&last, e.name);
	}
	FUZZ_CHECK(event == BM_MANIFEST_END);
	FUZZ_CHECK(count == s->count && sum == s->sum);
	FUZZ_CHECK(!keeps_order || in_order == s->in_order);
	bm_buf_fini(&last);
}

static void sort(const uint8_t *data, size_t len, bool keeps_order)
{
	struct sorting s = {.stream = {data, len, 0, len}, .rounds = 1 + (len < 65536 ? 60000 / (len + 200) : 0)};
	struct bm_manifest_sorted_options o = {
		.memory_bytes = 1,
		.on_entry = on_entry,
		.on_bad_line = on_bad_line,
		.ctx = &s,
		.keeps_order = keeps_order,
		.is_reread = len % 2 == 0,
	};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *sorted = NULL;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_sorted_stats stats;

	s.rounds = s.rounds > 150 ? 150 : s.rounds;
	if (bm_manifest_open_stream(read_again, &s, "x", NULL, &r, &err) != BM_OK)
		return;
	FUZZ_CHECK(bm_manifest_sorted_create(r, &o, &sorted, &err) == BM_OK);
	bm_manifest_close(r);
	bm_manifest_sorted_get_stats(sorted, &stats);
	FUZZ_CHECK(stats.entry_count == s.count && stats.bad_line_count == s.bad);
	check_all(sorted, &s, keeps_order);
	if (o.is_reread) {
		FUZZ_CHECK(bm_manifest_sorted_rewind(sorted, &err) == BM_OK);
		check_all(sorted, &s, keeps_order);
	}
	bm_manifest_sorted_destroy(sorted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	sort(data, len, false);
	if (len % 5 == 0)
		sort(data, len, true);
	return 0;
}
