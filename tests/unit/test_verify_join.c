/* What has moved, what is a copy: verify_join.h, with few files by hand and with many against a slow and simple answer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bm_error.h"
#include "fail_alloc.h"
#include "verify_join.h"
#include "verify_join_key.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct file {
	const char *name, *digest; /* a digest is any text; "-": no digest; "": an empty file */
	enum join_kind kind;
};

/* A digest of 16 bytes from a text; the second algorithm's is the same text turned around. */
static void make_digests(const char *text, uint8_t bytes[2][16], struct join_digest out[2])
{
	size_t len = strlen(text);

	memset(bytes, 0, 32);
	for (size_t i = 0; i < len && i < 16; i++) {
		bytes[0][i] = (uint8_t)text[i];
		bytes[1][i] = (uint8_t)text[len - 1 - i];
	}
	out[0] = (struct join_digest){3, bytes[0], 16};
	out[1] = (struct join_digest){7, bytes[1], 16};
}

static size_t digests_of_each = 1;

static enum bm_status add_file(struct join *j, const struct file *f, struct bm_error *err)
{
	uint8_t bytes[2][16];
	struct join_digest digests[2];
	char record[64];
	struct join_item item = {.kind = f->kind, .name = f->name, .name_len = strlen(f->name), .digests = digests};

	make_digests(f->digest, bytes, digests);
	item.digest_count = strcmp(f->digest, "-") == 0 ? 0 : digests_of_each;
	item.is_empty = f->digest[0] == '\0';
	item.record = record;
	item.record_len = (size_t)snprintf(record, sizeof(record), "<%s>", f->name);
	return join_add(j, &item, err);
}

struct listing {
	const struct file *files;
	size_t count, at;
	uint8_t bytes[2][16];
	struct join_digest digests[2];
};

static bool next_listed(void *ctx, const char **name, size_t *name_len, const struct join_digest **digests,
                        size_t *digest_count, struct bm_error *err)
{
	struct listing *l = ctx;

	(void)err;
	if (l->at == l->count)
		return false;
	make_digests(l->files[l->at].digest, l->bytes, l->digests);
	*name = l->files[l->at].name;
	*name_len = strlen(*name);
	*digests = l->digests;
	*digest_count = digests_of_each;
	l->at++;
	return true;
}

static char *found; /* "name verdict other\n" ... */

static void note(void *ctx, const struct join_given *g)
{
	char *now = NULL;

	(void)ctx;
	assert_true(asprintf(&now, "%s%.*s %d %s\n", found != NULL ? found : "", (int)g->record_len,
	                     (const char *)g->record, g->verdict, g->other != NULL ? g->other : "-") > 0);
	free(found);
	found = now;
}

#define MOVED(name, other) "<" name "> 4 " other "\n"
#define DUPLICATE(name, other) "<" name "> 5 " other "\n"
#define NEW(name) "<" name "> 6 -\n"
#define NEW_LIKE(name, other) "<" name "> 6 " other "\n"
#define MISSING(name) "<" name "> 7 -\n"

static void check_join(const struct file *files, size_t count, const struct file *listed, size_t listed_count,
                       const char *want)
{
	struct listing l = {.files = listed, .count = listed_count};
	struct bm_error err = BM_ERROR_INIT;
	struct join *j = NULL;

	assert_int_equal(join_create(&j, &err), BM_OK);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(add_file(j, &files[i], &err), BM_OK);
	if (join_run(j, next_listed, &l, &err) != BM_OK)
		fail_msg("%s", err.text);
	free(found);
	found = NULL;
	assert_int_equal(join_each(j, note, NULL, &err), BM_OK);
	join_destroy(j);
	assert_string_equal(found != NULL ? found : "", want);
}

#define CHECK(files, listed, want) check_join(files, COUNT(files), listed, COUNT(listed), want)

static void by_hand(void **state)
{
	static const struct file none[] = {{"z", "other", JOIN_NEW}};

	(void)state;
	assert_int_equal(BM_VERDICT_MOVED, 4); /* as the texts above have it */
	assert_int_equal(BM_VERDICT_MISSING, 7);
	{
		static const struct file f[] = {{"a", "x", JOIN_MISSING}, {"b", "x", JOIN_NEW}};
		CHECK(f, none, MOVED("b", "a"));
	}
	{ /* one to one; the same last component goes first, whatever the order */
		static const struct file f[] = {{"a/1", "x", JOIN_MISSING},
		                                {"a/2", "x", JOIN_MISSING},
		                                {"a/3", "x", JOIN_MISSING},
		                                {"b/2", "x", JOIN_NEW},
		                                {"b/9", "x", JOIN_NEW}};
		CHECK(f, none, MISSING("a/3") MOVED("b/2", "a/2") MOVED("b/9", "a/1"));
	}
	{ /* more new than missing: the others are copies of the one that moved */
		static const struct file f[] = {{"a", "x", JOIN_MISSING}, {"b", "x", JOIN_NEW}, {"c", "x", JOIN_NEW}};
		static const struct file l[] = {{"a", "x", 0}};
		CHECK(f, l, MOVED("b", "a") DUPLICATE("c", "b"));
	}
	{ /* a copy of a listed file; of several the first that is ok */
		static const struct file f[] = {
			{"a", "x", JOIN_MISSING}, {"b", "x", JOIN_NOT_OK}, {"n", "x", JOIN_NEW}, {"o", "x", JOIN_NEW}};
		static const struct file l[] = {{"a", "x", 0}, {"b", "x", 0}, {"c", "x", 0}, {"d", "x", 0}};
		CHECK(f, l, MOVED("n", "a") DUPLICATE("o", "c"));
	}
	{ /* the listed file is there, and not ok */
		static const struct file f[] = {{"b", "y", JOIN_NOT_OK}, {"n", "x", JOIN_NEW}, {"o", "q", JOIN_NEW}};
		static const struct file l[] = {{"b", "x", 0}};
		CHECK(f, l, NEW_LIKE("n", "b") NEW("o"));
	}
	{ /* not ok first, ok later: that one counts */
		static const struct file f[] = {{"b", "y", JOIN_NOT_OK}, {"n", "x", JOIN_NEW}};
		static const struct file l[] = {{"b", "x", 0}, {"c", "x", 0}};
		CHECK(f, l, DUPLICATE("n", "c"));
	}
	{ /* empty files, and files without a digest, are nobody's */
		static const struct file f[] = {
			{"a", "", JOIN_MISSING}, {"b", "-", JOIN_MISSING}, {"n", "", JOIN_NEW}, {"o", "-", JOIN_NEW}};
		static const struct file l[] = {{"a", "", 0}, {"c", "", 0}};
		CHECK(f, l, MISSING("a") MISSING("b") NEW("n") NEW("o"));
	}
	{ /* nothing at all */
		static const struct file l[] = {{"a", "x", 0}};
		check_join(NULL, 0, l, 1, "");
	}
	{ /* a listed name twice in the manifest, and missing */
		static const struct file f[] = {{"a", "x", JOIN_MISSING}, {"n", "y", JOIN_NEW}};
		static const struct file l[] = {{"a", "x", 0}, {"a", "y", 0}, {"b", "z", 0}};
		CHECK(f, l, MISSING("a") NEW("n"));
	}
}

/* Where files have two algorithms in common, both digests count. */
static void several_algorithms(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct join *j = NULL;
	uint8_t x[2][16], y[2][16];
	struct join_digest dx[2], dy[2], mixed[2];

	(void)state;
	make_digests("abc", x, dx);
	make_digests("xbc", y, dy);
	mixed[0] = dx[0];
	mixed[1] = dy[1]; /* of two different files */
	assert_int_equal(join_create(&j, &err), BM_OK);
	struct join_item items[] = {
		{.kind = JOIN_MISSING, .name = "m1", .name_len = 2, .digests = dx, .digest_count = 2},
		{.kind = JOIN_MISSING, .name = "m2", .name_len = 2, .digests = dx + 1, .digest_count = 1},
		{.kind = JOIN_NEW, .name = "n1", .name_len = 2, .digests = mixed, .digest_count = 2},
		{.kind = JOIN_NEW, .name = "n2", .name_len = 2, .digests = dx, .digest_count = 2},
		{.kind = JOIN_NEW, .name = "n3", .name_len = 2, .digests = dx, .digest_count = 2},
	};
	for (size_t i = 0; i < COUNT(items); i++) {
		items[i].record = items[i].name;
		items[i].record_len = 2;
		assert_int_equal(join_add(j, &items[i], &err), BM_OK);
	}
	struct listing l = {0};
	assert_int_equal(join_run(j, next_listed, &l, &err), BM_OK);
	free(found);
	found = NULL;
	assert_int_equal(join_each(j, note, NULL, &err), BM_OK);
	assert_string_equal(found, "n1 6 -\nn2 4 m1\nn3 4 m2\n");
	join_destroy(j);
}

static int compare_keys(const void *x, const void *y)
{
	const struct key *a = x, *b = y;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

/* Hashes that differ everywhere, at the end only, or hardly ever: one is that of many keys then. */
static void keys_in_order(void **state)
{
	static const uint64_t masks[] = {UINT64_MAX, 0xffff, 0x3, 0, UINT64_C(0xff000000000000ff)};
	static const size_t counts[] = {0, 1, 24, 25, 3000};
	static struct key keys[3000], want[3000];
	uint64_t x = 88172645463325252u;

	(void)state;
	for (size_t m = 0; m < COUNT(masks); m++) {
		for (size_t c = 0; c < COUNT(counts); c++) {
			for (size_t i = 0; i < counts[c]; i++) {
				x ^= x << 13;
				x ^= x >> 7;
				x ^= x << 17;
				want[i] = keys[i] = (struct key){.hash = x & masks[m], .row = (uint32_t)(x >> 7)};
			}
			qsort(want, counts[c], sizeof(want[0]), compare_keys);
			join_keys_sort(keys, counts[c]);
			for (size_t i = 0; i < counts[c]; i++)
				assert_int_equal(compare_keys(&keys[i], &want[i]), 0);
		}
	}
}

/* CRC-32 is too short to say that two files are one. */
static void short_digests_say_nothing(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct join *j = NULL;
	struct join_digest d = {1, (const uint8_t *)"1234", 4};
	struct join_item m = {.kind = JOIN_MISSING, .name = "m", .name_len = 1, .digests = &d, .digest_count = 1};
	struct join_item n = {.kind = JOIN_NEW, .name = "n", .name_len = 1, .digests = &d, .digest_count = 1};
	struct listing l = {0};

	(void)state;
	m.record = n.record = "r";
	m.record_len = n.record_len = 1;
	assert_int_equal(join_create(&j, &err), BM_OK);
	assert_int_equal(join_add(j, &m, &err), BM_OK);
	assert_int_equal(join_add(j, &n, &err), BM_OK);
	assert_int_equal(join_run(j, next_listed, &l, &err), BM_OK);
	free(found);
	found = NULL;
	assert_int_equal(join_each(j, note, NULL, &err), BM_OK);
	assert_string_equal(found, "r 7 -\nr 6 -\n");
	join_destroy(j);
}

/* Without join_run all are what they were added as. */
static void undecided(void **state)
{
	static const struct file f[] = {{"a", "x", JOIN_MISSING}, {"b", "x", JOIN_NOT_OK}, {"c", "x", JOIN_NEW}};
	struct bm_error err = BM_ERROR_INIT;
	struct join *j = NULL;

	(void)state;
	assert_int_equal(join_create(&j, &err), BM_OK);
	for (size_t i = 0; i < COUNT(f); i++)
		assert_int_equal(add_file(j, &f[i], &err), BM_OK);
	free(found);
	found = NULL;
	assert_int_equal(join_each(j, note, NULL, &err), BM_OK);
	assert_string_equal(found, MISSING("a") NEW("c"));
	join_destroy(j);
}

/* ---- many, through the temporary file ---- */

#define MANY 60000

struct big {
	char name[40], digest[16];
	bool listed, here, ok;
	int verdict; /* expected */
	unsigned content;
};

static unsigned seed = 12345;

static unsigned pick(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

struct seen {
	struct big *all;
	size_t *got;
	size_t next;
};

static void count_one(void *ctx, const struct join_given *g)
{
	struct seen *seen = ctx;
	size_t at, from;

	assert_true(g->record_len > 5);
	assert_int_equal(sscanf(g->record, "<dir/%zu/", &at), 1);
	assert_true(at < MANY && at >= seen->next); /* in the order in which they came */
	seen->next = at + 1;
	seen->got[g->verdict]++;
	if (g->verdict == BM_VERDICT_MISSING) {
		assert_null(g->other);
	} else if (g->verdict != BM_VERDICT_NEW) {
		assert_non_null(g->other);
		assert_int_equal(sscanf(g->other, "dir/%zu/", &from), 1);
		assert_true(from < MANY && from != at);
		assert_int_equal(seen->all[from].content, seen->all[at].content);
	}
}

/* How many of each verdict there must be, and that each is right by itself, from the digests alone. */
static void many(void **state)
{
	struct big *all = calloc(MANY, sizeof(*all));
	struct file *listed = calloc(MANY, sizeof(*listed));
	unsigned *missing = calloc(MANY, sizeof(*missing)), *fresh = calloc(MANY, sizeof(*fresh));
	bool *is_ok = calloc(MANY, sizeof(*is_ok));
	struct bm_error err = BM_ERROR_INIT;
	struct join *j = NULL;
	size_t listed_count = 0, moved = 0, lost = 0, copies = 0, news = 0;
	size_t got[BM_VERDICT_COUNT] = {0};
	struct listing l;

	(void)state;
	assert_int_equal(join_create(&j, &err), BM_OK);
	for (size_t i = 0; i < MANY; i++) {
		struct big *b = &all[i];
		unsigned kind = pick(4);

		snprintf(b->name, sizeof(b->name), "dir/%06zu/name-%u", i, pick(5));
		b->content = pick(pick(2) ? 50 : MANY); /* some contents stand in thousands of files */
		snprintf(b->digest, sizeof(b->digest), "d%u", b->content);
		struct file f = {b->name, b->digest, JOIN_NEW};
		if (kind == 0) {
			fresh[b->content]++;
		} else {
			listed[listed_count++] = f;
			f.kind = kind == 1 ? JOIN_MISSING : JOIN_NOT_OK;
			missing[b->content] += kind == 1;
			is_ok[b->content] = is_ok[b->content] || kind == 3;
		}
		if (kind != 3) /* else it is ok, and not added */
			assert_int_equal(add_file(j, &f, &err), BM_OK);
	}
	for (size_t c = 0; c < MANY; c++) {
		size_t both = missing[c] < fresh[c] ? missing[c] : fresh[c];

		moved += both;
		lost += missing[c] - both;
		if (is_ok[c] || both > 0)
			copies += fresh[c] - both;
		else
			news += fresh[c] - both;
	}
	l = (struct listing){.files = listed, .count = listed_count};
	assert_int_equal(join_run(j, next_listed, &l, &err), BM_OK);
	free(found);
	found = NULL;
	/* Each by itself: the record is the name; other has the same content. */
	struct seen seen = {all, got, 0};
	assert_int_equal(join_each(j, count_one, &seen, &err), BM_OK);
	assert_int_equal(got[BM_VERDICT_MOVED], moved);
	assert_int_equal(got[BM_VERDICT_MISSING], lost);
	assert_int_equal(got[BM_VERDICT_DUPLICATE], copies);
	assert_int_equal(got[BM_VERDICT_NEW], news);
	assert_true(moved > 1000 && lost > 1000 && copies > 1000 && news > 1000);
	join_destroy(j);
	free(all);
	free(listed);
	free(missing);
	free(fresh);
	free(is_ok);
}

/* Every allocation fails in turn: an error, and nothing is lost in silence. */
static void no_memory_is_told(void **state)
{
	static const struct file f[] = {{"a", "x", JOIN_MISSING},
	                                {"b", "q", JOIN_NOT_OK},
	                                {"c", "x", JOIN_NEW},
	                                {"d", "y", JOIN_NEW},
	                                {"e", "x", JOIN_NEW}};
	static const struct file listed[] = {{"a", "x", 0}, {"b", "x", 0}, {"bb", "y", 0}};
	bool hit = true;

	(void)state;
	for (unsigned at = 1; hit; at++) {
		struct listing l = {.files = listed, .count = COUNT(listed)};
		struct bm_error err = BM_ERROR_INIT;
		struct join *j = NULL;
		enum bm_status status;

		fail_alloc_arm(at, true);
		status = join_create(&j, &err);
		for (size_t i = 0; i < COUNT(f) && status == BM_OK; i++)
			status = add_file(j, &f[i], &err);
		if (status == BM_OK)
			status = join_run(j, next_listed, &l, &err);
		hit = fail_alloc_disarm();
		assert_int_equal(status, hit ? BM_ERR_NOMEM : BM_OK);
		assert_int_equal(err.status, status);
		if (!hit)
			assert_true(at > 4);
		join_destroy(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand),
		cmocka_unit_test(keys_in_order),
		cmocka_unit_test(several_algorithms),
		cmocka_unit_test(short_digests_say_nothing),
		cmocka_unit_test(undecided),
		cmocka_unit_test(many),
		cmocka_unit_test(no_memory_is_told),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	digests_of_each = 2;
	rc += cmocka_run_group_tests(tests, NULL, NULL);
	free(found);
	return rc;
}
