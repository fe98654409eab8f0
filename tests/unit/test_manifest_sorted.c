/* Manifests in order: in memory and through the temporary file, against qsort; memory that stays bounded; failures. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "bm_manifest_sorted.h"
#include "fail_alloc.h"
#include "manifest_testing.h"
#include "sanitized.h"

struct list { /* of names, as the manifest has them; line i + 1 is name i */
	struct bm_buf text;
	size_t *at, count;
};

static void list_fini(struct list *l)
{
	bm_buf_fini(&l->text);
	free(l->at);
	*l = (struct list){0};
}

static const char *name_at(const struct list *l, size_t i)
{
	return l->text.data + l->at[i];
}

static uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

enum shape { SHUFFLED, IN_ORDER, BACKWARDS, NEARLY, STEPS, EQUAL, DEEP, HOSTILE, SHAPES };

static uint64_t step = 1000; /* names that follow each other: some batches of the least memory */

static void make_name(struct bm_buf *b, enum shape shape, uint64_t i, uint64_t count)
{
	uint64_t h = mix(i + 99);

	switch (shape) {
	case SHUFFLED:
		bm_buf_printf(b, "dir%02" PRIu64 "/sub/%05" PRIu64, h % 40,
		              (h >> 8) % (count / 2 + 1)); /* some twice */
		break;
	case IN_ORDER:
		bm_buf_printf(b, "dir/%08" PRIu64, i - i % 5); /* each five times */
		break;
	case BACKWARDS:
		bm_buf_printf(b, "dir/%08" PRIu64, count - i);
		break;
	case NEARLY:
		bm_buf_printf(b, "dir/%08" PRIu64, i % 100 == 99 ? i / 2 : i);
		break;
	case STEPS: /* in order for a while, then from elsewhere */
		bm_buf_printf(b, "dir/%08" PRIu64, mix(i / step) % 90000000 + i % step);
		for (unsigned k = 0; k < 40; k++)
			bm_buf_puts(b, "/long name");
		break;
	case EQUAL:
		bm_buf_puts(b, "the same name again");
		break;
	case DEEP: /* long common beginnings, one name the beginning of another */
		for (uint64_t k = 0; k < 1 + h % 60; k++)
			bm_buf_puts(b, "abcdefg/");
		for (uint64_t k = 0; k < (h >> 8) % 9; k++)
			bm_buf_putc(b, (char)('a' + (h >> (16 + k)) % 2));
		break;
	default: /* bytes of every value around those that are special */
		for (uint64_t k = 0; k < 1 + h % 20; k++) {
			static const unsigned char likely[] = {1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff, '/', '.', '0'};

			bm_buf_putc(b, (char)likely[(h >> (k % 8 * 7)) % COUNT(likely)]);
		}
		break;
	}
}

static void make_list(struct list *l, enum shape shape, size_t count)
{
	*l = (struct list){.count = count};
	l->at = calloc(count, sizeof(*l->at));
	assert_non_null(l->at);
	for (size_t i = 0; i < count; i++) {
		l->at[i] = l->text.len;
		make_name(&l->text, shape, i, count);
		bm_buf_putc(&l->text, '\0');
	}
	assert_false(l->text.oom);
}

/* As JSON, with digests and sizes that tell which line it was. */
static void make_manifest(struct bm_buf *out, const struct list *l)
{
	struct bm_manifest_style s = {.kind = BM_MANIFEST_KIND_JSON};
	struct bm_error err = BM_ERROR_INIT;

	for (size_t i = 0; i < l->count; i++) {
		uint64_t sums[2] = {mix(i), mix(i + 1)};
		struct bm_manifest_digest d = {bm_digest_find("md5"), "md5", (const uint8_t *)sums, 16, false};
		struct bm_manifest_entry e = {.name = name_at(l, i),
		                              .name_len = strlen(name_at(l, i)),
		                              .digests = &d,
		                              .digest_count = 1,
		                              .has_size = true,
		                              .size_bytes = i};

		assert_int_equal(bm_manifest_put_entry(out, &s, &e, &err), BM_OK);
	}
}

static const struct list *sorting;

static int compare_lines(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = strcmp(name_at(sorting, x), name_at(sorting, y));

	return order != 0 ? order : (x > y) - (x < y);
}

static struct bm_manifest_reader *open_memory(struct memory_stream *m, const struct bm_buf *text)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;

	*m = (struct memory_stream){.data = text->data, .len = text->len};
	assert_int_equal(bm_manifest_open_stream(memory_read, m, "x", NULL, &r, &err), BM_OK);
	return r;
}

/* All entries come, from the first to the last. */
static void check_entries(struct bm_manifest_sorted *s, const struct list *l, const size_t *order)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_entry e;

	for (size_t i = 0; i < l->count; i++) {
		uint64_t sums[2] = {mix(order[i]), mix(order[i] + 1)};

		assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_ENTRY);
		if (strcmp(e.name, name_at(l, order[i])) != 0 || e.line != order[i] + 1)
			fail_msg("place %zu: %s of line %" PRIu64 ", expected %s of line %zu", i, e.name, e.line,
			         name_at(l, order[i]), order[i] + 1);
		assert_int_equal(e.name_len, strlen(e.name));
		assert_int_equal(e.is_duplicate, i > 0 && strcmp(e.name, name_at(l, order[i - 1])) == 0);
		assert_true(e.has_size && e.size_bytes == order[i] && !e.has_mtime && !e.has_blocks);
		assert_int_equal(e.digest_count, 1);
		assert_ptr_equal(e.digests[0].algorithm, bm_digest_find("md5"));
		assert_memory_equal(e.digests[0].bytes, sums, 16);
	}
	assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_END);
	assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_END);
}

static void check_sorted_once(const struct list *l, size_t memory_bytes, bool is_reread,
                              struct bm_manifest_sorted_stats *st)
{
	struct bm_manifest_sorted_options o = {.memory_bytes = memory_bytes, .is_reread = is_reread};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	size_t *order = calloc(l->count, sizeof(*order));
	struct bm_manifest_reader *r;
	struct bm_manifest_entry e;
	struct memory_stream m;
	struct bm_buf text = {0};

	assert_non_null(order);
	for (size_t i = 0; i < l->count; i++)
		order[i] = i;
	sorting = l;
	qsort(order, l->count, sizeof(*order), compare_lines);
	make_manifest(&text, l);
	r = open_memory(&m, &text);
	if (bm_manifest_sorted_create(r, &o, &s, &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
	bm_manifest_close(r); /* it is not needed any more */
	check_entries(s, l, order);
	if (is_reread) {
		assert_int_equal(bm_manifest_sorted_rewind(s, &err), BM_OK);
		check_entries(s, l, order);
		for (size_t part = 3; part > 0; part--) { /* from the middle, and from the first */
			assert_int_equal(bm_manifest_sorted_rewind(s, &err), BM_OK);
			for (size_t i = 0; i < l->count / part / 2; i++)
				assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_ENTRY);
		}
		assert_int_equal(bm_manifest_sorted_rewind(s, &err), BM_OK);
		check_entries(s, l, order);
	} else {
		assert_int_equal(bm_manifest_sorted_rewind(s, &err), BM_ERR_USAGE);
	}
	bm_manifest_sorted_get_stats(s, st);
	assert_int_equal(st->entry_count, l->count);
	assert_int_equal(st->bad_line_count, 0);
	assert_true(st->peak_bytes <= (memory_bytes > 262144 ? memory_bytes : 262144));
	bm_manifest_sorted_destroy(s);
	bm_buf_fini(&text);
	free(order);
}

static void check_sorted(const struct list *l, size_t memory_bytes, struct bm_manifest_sorted_stats *st)
{
	check_sorted_once(l, memory_bytes, true, st);
	check_sorted_once(l, memory_bytes, false, st);
}

static void all_orders_in_memory(void **state)
{
	static const size_t counts[] = {0, 1, 2, 3, 11, 12, 13, 14, 100, 5000};

	(void)state;
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		for (size_t i = 0; i < COUNT(counts); i++) {
			struct bm_manifest_sorted_stats st;
			struct list l;

			make_list(&l, shape, counts[i]);
			check_sorted(&l, (size_t)64 << 20, &st);
			assert_int_equal(st.run_count, 0);
			assert_int_equal(st.written_bytes, 0);
			if (counts[i] < 2 || shape == IN_ORDER || shape == EQUAL)
				assert_true(st.was_sorted);
			else if (counts[i] >= 100 && shape != STEPS)
				assert_false(st.was_sorted);
			list_fini(&l);
		}
	}
}

static void all_orders_through_the_file(void **state)
{
	const size_t count = SANITIZED ? 12000 : 40000;

	(void)state;
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		struct bm_manifest_sorted_stats st;
		struct list l;

		make_list(&l, shape, count);
		check_sorted(&l, 1, &st);
		assert_true(st.written_bytes > count * 40);
		if (shape == IN_ORDER || shape == EQUAL) {
			assert_true(st.was_sorted);
			assert_int_equal(st.run_count, 1); /* and so nothing to merge */
		} else {
			assert_false(st.was_sorted);
			assert_true(st.run_count > 1);
		}
		list_fini(&l);
	}
}

/* So many runs that some are merged before the end. */
static void more_runs_than_are_read_at_once(void **state)
{
	struct bm_manifest_sorted_stats st;
	struct list l;

	(void)state;
	make_list(&l, SHUFFLED, 200000);
	check_sorted(&l, 1, &st);
	assert_true(st.run_count > 64);
	assert_true(st.merge_count > 0);
	list_fini(&l);
	/* Runs that go on, with merges in between: what follows a merge is no part of what was merged. */
	for (step = 800; step < 1400; step += SANITIZED ? 600 : 97) {
		make_list(&l, STEPS, 120 * step);
		check_sorted(&l, 1, &st);
		assert_true(st.merge_count > 0);
		list_fini(&l);
	}
}

static void all_that_an_entry_has_comes_back(void **state)
{
	static const char text[] =
		"{\"path\":\"b\",\"size\":1,\"mtime\":\"-5\",\"md5\":\"" HEX32 "\",\"blake2b-64\":\"" HEX16
		"\",\"tiger\":\"" HEX32 HEX16 "\",\"blocks\":{\"size\":7,\"algorithm\":\"crc32\",\"digests\":[\"" HEX8
		"\",\"ffffffff\"]}}\n"
		"nonsense\n"
		"{\"path\":\"/a\",\"sha1\":\"" HEX40 "\"}\n"
		"{\"path\":\"b/../b\",\"blocks\":{\"size\":7,\"algorithm\":\"sm3\",\"digests\":[]}}";
	static const char want[] = "/a|-|-|sha1:0123|absolute\n"
				   "b|1|-5|md5:0123 blake2b-64:0123 tiger:0123|7 crc32 0123 ffff\n"
				   "b/../b|-|-||7 sm3|dotdot|cut\n";
	struct bm_manifest_sorted_options o = {.memory_bytes = 1};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	struct bm_manifest_sorted_stats st;
	struct bm_buf source = {0}, out = {0};
	struct memory_stream m;
	struct bm_manifest_reader *r;
	struct bm_manifest_entry e;

	(void)state;
	bm_buf_puts(&source, text);
	r = open_memory(&m, &source);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_OK);
	while (bm_manifest_sorted_next(s, &e, &err) == BM_MANIFEST_ENTRY)
		render_entry(&out, &e);
	assert_string_equal(out.data, want);
	bm_manifest_sorted_get_stats(s, &st);
	assert_int_equal(st.bad_line_count, 1);
	assert_int_equal(st.entry_count, 3);
	bm_manifest_sorted_destroy(s);

	bm_manifest_close(r);
	bm_buf_fini(&out);
	bm_buf_fini(&source);

	/* A digest that is guessed says so also afterwards. */
	bm_buf_puts(&source, HEX64 "  b\n" HEX64 "  a\n");
	r = open_memory(&m, &source);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_OK);
	while (bm_manifest_sorted_next(s, &e, &err) == BM_MANIFEST_ENTRY)
		render_entry(&out, &e);
	assert_string_equal(out.data, "a|-|-|sha256:0123?\nb|-|-|sha256:0123?\n");
	bm_manifest_sorted_destroy(s);
	bm_manifest_close(r);
	bm_buf_fini(&out);
	bm_buf_fini(&source);
}

/* Records that are larger than the memory, or than a run's buffer, among small ones. */
static void large_records_go_through(void **state)
{
	struct bm_manifest_sorted_options o = {.memory_bytes = 1};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	struct bm_manifest_reader *r;
	struct bm_manifest_entry e;
	struct memory_stream m;
	struct bm_buf text = {0};
	static const size_t blocks[] = {0, 20000, 1, 3000, 100, 15999, 5};

	(void)state;
	for (unsigned i = 0; i < 700; i++) {
		bm_buf_printf(&text, "{\"path\":\"%03u\",\"blocks\":{\"size\":1,\"algorithm\":\"md5\",\"digests\":[",
		              i * 37 % 700);
		for (size_t k = 0; k < blocks[i % COUNT(blocks)]; k++)
			bm_buf_printf(&text, "%s\"%04x%04zx" HEX16 HEX8 "\"", k > 0 ? "," : "", i * 37 % 700, k);
		bm_buf_puts(&text, "]}}\n");
	}
	assert_false(text.oom);
	r = open_memory(&m, &text);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_OK);
	for (unsigned i = 0; i < 700; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%03u", i);
		assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_ENTRY);
		assert_string_equal(e.name, name);
		assert_int_equal(e.blocks.count, blocks[(e.line - 1) % COUNT(blocks)]);
		for (size_t k = 0; k < e.blocks.count; k++) {
			const uint8_t *p = e.blocks.bytes + 16 * k;

			assert_int_equal(p[0] << 8 | p[1], i);
			assert_int_equal((size_t)p[2] << 8 | p[3], k);
		}
	}
	assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_END);
	bm_manifest_sorted_destroy(s);
	bm_manifest_close(r);
	bm_buf_fini(&text);
}

static uint64_t bad_lines[8];
static size_t bad_count;

static void note_bad(void *ctx, uint64_t line, const char *fault)
{
	assert_ptr_equal(ctx, &bad_count);
	assert_true(fault[0] != '\0');
	assert_true(bad_count < COUNT(bad_lines));
	bad_lines[bad_count++] = line;
}

static void bad_lines_are_told(void **state)
{
	struct bm_manifest_sorted_options o = {.memory_bytes = 1, .on_bad_line = note_bad, .ctx = &bad_count};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	struct bm_manifest_reader *r;
	struct memory_stream m;
	struct bm_buf text = {0};

	(void)state;
	bm_buf_puts(&text, HEX64 "  b\nx\n" HEX64 "  a\n\ny\n");
	r = open_memory(&m, &text);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_OK);
	assert_int_equal(bad_count, 2);
	assert_int_equal(bad_lines[0], 2);
	assert_int_equal(bad_lines[1], 5);
	bm_manifest_sorted_destroy(s);
	bm_manifest_close(r);
	bm_buf_fini(&text);
}

/* Names lose their first letter, b is refused, c left out. */
static bool rename_entry(void *ctx, struct bm_manifest_entry *e)
{
	static char name[8];

	assert_ptr_equal(ctx, &bad_count);
	assert_null(e->fault);
	if (e->name[0] == 'b')
		e->fault = "refused";
	if (e->name[0] != 'a')
		return false;
	snprintf(name, sizeof(name), "%s", e->name + 1);
	e->name = name;
	e->name_len--;
	return true;
}

static void entries_are_renamed_and_left_out(void **state)
{
	struct bm_manifest_sorted_options o = {
		.memory_bytes = 1, .on_bad_line = note_bad, .on_entry = rename_entry, .ctx = &bad_count};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	struct bm_manifest_sorted_stats st;
	struct bm_manifest_reader *r;
	struct bm_manifest_entry e;
	struct memory_stream m;
	struct bm_buf text = {0};

	(void)state;
	bad_count = 0;
	bm_buf_puts(&text, HEX64 "  azz\n" HEX64 "  bcd\nx\n" HEX64 "  ccc\n" HEX64 "  ayy\n");
	r = open_memory(&m, &text);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_OK);
	bm_manifest_close(r);
	assert_int_equal(bad_count, 2);
	assert_int_equal(bad_lines[0], 2);
	assert_int_equal(bad_lines[1], 3);
	assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_ENTRY);
	assert_string_equal(e.name, "yy");
	assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_ENTRY);
	assert_string_equal(e.name, "zz");
	assert_int_equal(bm_manifest_sorted_next(s, &e, &err), BM_MANIFEST_END);
	bm_manifest_sorted_get_stats(s, &st);
	assert_int_equal(st.entry_count, 2);
	assert_int_equal(st.bad_line_count, 2);
	bm_manifest_sorted_destroy(s);
	bm_buf_fini(&text);
}

/* As they stand in the manifest, in memory and through the file. */
static void order_is_kept(void **state)
{
	static const size_t counts[] = {0, 1, 500, SANITIZED ? 12000 : 40000};

	(void)state;
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		for (size_t i = 0; i < COUNT(counts); i++) {
			struct bm_manifest_sorted_options o = {
				.memory_bytes = 1, .keeps_order = true, .is_reread = true};
			struct bm_error err = BM_ERROR_INIT;
			struct bm_manifest_sorted *s = NULL;
			struct bm_manifest_reader *r;
			struct memory_stream m;
			struct bm_buf text = {0};
			struct list l;
			size_t *order = calloc(counts[i] + 1, sizeof(*order));

			assert_non_null(order);
			for (size_t k = 0; k < counts[i]; k++)
				order[k] = k;
			make_list(&l, shape, counts[i]);
			make_manifest(&text, &l);
			r = open_memory(&m, &text);
			assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_OK);
			bm_manifest_close(r);
			check_entries(s, &l, order);
			assert_int_equal(bm_manifest_sorted_rewind(s, &err), BM_OK);
			check_entries(s, &l, order);
			bm_manifest_sorted_destroy(s);
			bm_buf_fini(&text);
			list_fini(&l);
			free(order);
		}
	}
}

static void failures_are_told(void **state)
{
	struct bm_manifest_sorted_options o = {.memory_bytes = 1, .temp_dir = "/nonexistent/dir"};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	struct rlimit old, small = {100000, RLIM_INFINITY};
	struct bm_manifest_reader *r;
	struct memory_stream m;
	struct bm_buf text = {0};
	struct list l;

	(void)state;
	make_list(&l, SHUFFLED, 20000);
	make_manifest(&text, &l);
	r = open_memory(&m, &text);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_ERR_SYSTEM);
	assert_null(s);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.where, "/nonexistent/dir"));
	bm_manifest_close(r);

	/* No room in the file. */
	o.temp_dir = NULL;
	bm_error_clear(&err);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = open_memory(&m, &text);
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err.sys_errno, EFBIG);
	bm_manifest_close(r);

	/* The manifest cannot be read on. */
	bm_error_clear(&err);
	r = open_memory(&m, &text);
	m.fail_at = text.len / 2;
	assert_int_equal(bm_manifest_sorted_create(r, &o, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	bm_manifest_close(r);
	bm_manifest_sorted_destroy(NULL);
	bm_buf_fini(&text);
	list_fini(&l);
}

/* Every allocation fails in turn: an error, never less than all entries in silence. */
static void no_memory_is_told(void **state)
{
	static const size_t counts[] = {50, 5000}; /* in memory, and through the file */

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		struct list l;
		struct bm_buf text = {0};
		bool hit = true;

		make_list(&l, SHUFFLED, counts[i]);
		make_manifest(&text, &l);
		for (unsigned at = 1; hit; at++) {
			struct bm_manifest_sorted_options o = {.memory_bytes = 1};
			struct bm_error err = BM_ERROR_INIT;
			struct bm_manifest_sorted *s = NULL;
			struct bm_manifest_entry e;
			struct memory_stream m;
			struct bm_manifest_reader *r = open_memory(&m, &text);
			enum bm_manifest_event event = BM_MANIFEST_FAILED;
			size_t n = 0;

			fail_alloc_arm(at, true);
			if (bm_manifest_sorted_create(r, &o, &s, &err) == BM_OK)
				while ((event = bm_manifest_sorted_next(s, &e, &err)) == BM_MANIFEST_ENTRY)
					n++;
			hit = fail_alloc_disarm();
			if (hit) {
				assert_int_equal(event, BM_MANIFEST_FAILED);
				assert_int_equal(err.status, BM_ERR_NOMEM);
				if (s != NULL)
					assert_int_equal(bm_manifest_sorted_next(s, &e, NULL), BM_MANIFEST_FAILED);
			} else {
				assert_int_equal(event, BM_MANIFEST_END);
				assert_int_equal(n, counts[i]);
				assert_true(at > 3);
			}
			bm_manifest_sorted_destroy(s);
			bm_manifest_close(r);
		}
		bm_buf_fini(&text);
		list_fini(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_orders_in_memory),
		cmocka_unit_test(all_orders_through_the_file),
		cmocka_unit_test(more_runs_than_are_read_at_once),
		cmocka_unit_test(all_that_an_entry_has_comes_back),
		cmocka_unit_test(large_records_go_through),
		cmocka_unit_test(bad_lines_are_told),
		cmocka_unit_test(entries_are_renamed_and_left_out),
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(failures_are_told),
		cmocka_unit_test(no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
