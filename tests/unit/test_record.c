/* Records of finished files: what goes in comes out, and no damaged one is read beyond its end. */
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "bm_digest.h"
#include "bm_record.h"
#include "fail_alloc.h"

static void assert_same_text(const char *a, const char *b)
{
	if (a == NULL)
		assert_null(b);
	else
		assert_non_null(b);
	if (a != NULL && b != NULL)
		assert_string_equal(a, b);
}

static void assert_same(const struct bm_file_result *a, const struct bm_file_result *b)
{
	assert_same_text(a->job, b->job);
	assert_same_text(a->path, b->path);
	assert_same_text(a->display, b->display);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->has_mtime, b->has_mtime);
	assert_true(a->mtime_ns == b->mtime_ns);
	assert_int_equal(a->removed, b->removed);
	assert_true(a->bytes == b->bytes);
	assert_int_equal(a->digest_count, b->digest_count);
	for (size_t i = 0; i < a->digest_count; i++) {
		assert_same_text(a->digests[i].algorithm, b->digests[i].algorithm);
		assert_int_equal(a->digests[i].len, b->digests[i].len);
		assert_int_equal(a->digests[i].step, b->digests[i].step);
		assert_true(a->digests[i].length == b->digests[i].length);
		if (a->digests[i].len != 0)
			assert_memory_equal(a->digests[i].bytes, b->digests[i].bytes, a->digests[i].len);
	}
	assert_int_equal(a->output_count, b->output_count);
	for (size_t i = 0; i < a->output_count; i++) {
		assert_same_text(a->outputs[i].path, b->outputs[i].path);
		assert_true(a->outputs[i].bytes == b->outputs[i].bytes);
		assert_int_equal(a->outputs[i].skipped, b->outputs[i].skipped);
		assert_int_equal(a->outputs[i].step, b->outputs[i].step);
	}
	assert_int_equal(a->blocks_count, b->blocks_count);
	for (size_t i = 0; i < a->blocks_count; i++) {
		assert_same_text(a->blocks[i].algorithm, b->blocks[i].algorithm);
		assert_int_equal(a->blocks[i].step, b->blocks[i].step);
		assert_true(a->blocks[i].size_bytes == b->blocks[i].size_bytes);
		assert_int_equal(a->blocks[i].count, b->blocks[i].count);
		assert_int_equal(a->blocks[i].digest_len, b->blocks[i].digest_len);
		if (a->blocks[i].count > 0)
			assert_memory_equal(a->blocks[i].bytes, b->blocks[i].bytes,
			                    a->blocks[i].count * a->blocks[i].digest_len);
	}
	assert_true((a->damage == NULL) == (b->damage == NULL));
	if (a->damage != NULL)
		assert_memory_equal(a->damage, b->damage, sizeof(*a->damage));
	assert_same_text(a->warnings, b->warnings);
	assert_true((a->error == NULL) == (b->error == NULL));
	if (a->error != NULL) {
		assert_int_equal(a->error->status, b->error->status);
		assert_int_equal(a->error->sys_errno, b->error->sys_errno);
		assert_string_equal(a->error->where, b->error->where);
		assert_string_equal(a->error->text, b->error->text);
	}
}

static uint8_t bytes64[64] = {0, 1, 2, 0xff, 0x80, 0, 9};
static struct bm_file_digest digests[] = {
	{"sha256", bytes64, 32, 1, 300}, {"crc32", bytes64, 4, 1, 0},        {"sha512", bytes64, 64, 130, UINT64_MAX},
	{"SHA-256", bytes64, 32, 2, 1},  {"whirlpool", bytes64, 64, 3, 128}, {"md5", NULL, 0, UINT_MAX, 127},
};
static struct bm_file_output outputs[] = {
	{"/backup/a/b.gz", 12345678901234u, false, 4},
	{"/mirror/a\n\xff", 0, true, 0},
	{NULL, UINT64_MAX, false, UINT_MAX},
};
static struct bm_file_blocks blocks[] = {
	{"sha256", 1 << 20, bytes64, 2, 32, 1},
	{"tiger", UINT64_MAX, bytes64, 8, 8, UINT_MAX},
	{"md5", 4096, NULL, 0, 16, 3},
};
static struct bm_file_damage damaged = {5000000, 4999999, 70000, 2, {{0, 65535}, {131072, 135535}}};
static struct bm_error failure = {BM_ERR_SYSTEM, 28, "/some/where", "cannot write: No space left on device"};

/* Every shape once; i up to the first that gives false. */
static bool example(size_t i, struct bm_file_result *f)
{
	*f = (struct bm_file_result){.job = "nightly", .path = "a/b", .display = "/root/a/b", .bytes = 300};
	switch (i) {
	case 0:
		return true;
	case 1:
		*f = (struct bm_file_result){0};
		return true;
	case 2:
		f->digests = digests;
		f->digest_count = sizeof(digests) / sizeof(digests[0]);
		f->outputs = outputs;
		f->output_count = sizeof(outputs) / sizeof(outputs[0]);
		f->warnings = "the owner could not be kept\nnor the ACL\n";
		f->bytes = UINT64_MAX;
		f->has_mtime = f->removed = true;
		f->mtime_ns = -1;
		return true;
	case 3:
		f->state = BM_FILE_FAILED;
		f->error = &failure;
		f->digests = digests;
		f->digest_count = 1;
		return true;
	case 4:
		f->state = BM_FILE_SKIPPED;
		f->path = "-";
		f->display = "standard input"; /* does not end in the path */
		f->outputs = outputs;
		f->output_count = 1;
		return true;
	case 5:
		f->path = f->display = "x\n\x80\xfe";
		f->warnings = "";
		return true;
	case 6:
		f->path = "";
		f->display = "";
		f->job = "";
		return true;
	case 7:
		f->display = NULL;
		return true;
	case 8:
		f->path = NULL;
		return true;
	case 9:
		f->path = "longer/than/what/is/shown";
		return true;
	case 10:
		f->digests = digests;
		f->digest_count = 1;
		f->blocks = blocks;
		f->blocks_count = sizeof(blocks) / sizeof(blocks[0]);
		return true;
	case 11:
		f->state = BM_FILE_FAILED;
		f->error = &failure;
		f->damage = &damaged;
		return true;
	default:
		return false;
	}
}

static void round_trip(void **state)
{
	struct bm_record_view v = {0};
	struct bm_file_result f;

	(void)state;
	for (size_t i = 0; example(i, &f); i++) { /* one view for all */
		struct bm_buf b = {0};

		bm_record_encode(&b, &f);
		assert_false(b.oom);
		assert_true(bm_record_decode(&v, b.data, b.len));
		assert_same(&f, &v.file);
		bm_buf_fini(&b);
	}
	bm_record_view_fini(&v);
	assert_null(v.digests);
}

static void longest_error(void **state)
{
	struct bm_error e = {BM_ERR_FAILED, -7, "", ""};
	struct bm_file_result f = {.state = BM_FILE_FAILED, .error = &e};
	struct bm_record_view v = {0};
	struct bm_buf b = {0};

	(void)state;
	memset(e.where, 'w', sizeof(e.where) - 1);
	memset(e.text, 't', sizeof(e.text) - 1);
	bm_record_encode(&b, &f);
	assert_true(bm_record_decode(&v, b.data, b.len));
	assert_same(&f, &v.file);
	bm_buf_fini(&b);
	bm_record_view_fini(&v);
}

/* Names come back as the table's own strings: they outlive the record. */
static void static_names(void **state)
{
	size_t count;
	const struct bm_digest_algorithm *all = bm_digest_algorithms(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		char name[32];
		struct bm_file_digest d = {name, bytes64, all[i].size_bytes, 1, 2};
		struct bm_file_result f = {.digests = &d, .digest_count = 1};
		struct bm_record_view v = {0};
		struct bm_buf b = {0};

		snprintf(name, sizeof(name), "%s", all[i].name);
		bm_record_encode(&b, &f);
		assert_true(bm_record_decode(&v, b.data, b.len));
		assert_ptr_equal(v.file.digests[0].algorithm, all[i].name);
		bm_buf_fini(&b);
		bm_record_view_fini(&v);
	}
}

/* Reads all that a decoded record shows, for the sanitizers. */
static size_t touch(const struct bm_file_result *f)
{
	size_t sum = 0;

#define TOUCH(text) (sum += (text) != NULL ? strlen(text) : 0)
	TOUCH(f->job);
	TOUCH(f->path);
	TOUCH(f->display);
	TOUCH(f->warnings);
	for (size_t i = 0; i < f->digest_count; i++) {
		TOUCH(f->digests[i].algorithm);
		for (size_t k = 0; k < f->digests[i].len; k++)
			sum += f->digests[i].bytes[k];
	}
	for (size_t i = 0; i < f->output_count; i++)
		TOUCH(f->outputs[i].path);
	if (f->error != NULL) {
		TOUCH(f->error->where);
		TOUCH(f->error->text);
	}
#undef TOUCH
	return sum;
}

/* A copy of exactly len bytes, so that the sanitizer sees the first one beyond. */
static bool decode_copy(struct bm_record_view *v, const char *data, size_t len)
{
	char *copy = malloc(len != 0 ? len : 1);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, data, len);
	ok = bm_record_decode(v, copy, len);
	if (ok)
		touch(&v->file);
	free(copy);
	return ok;
}

static void damage(void **state)
{
	struct bm_record_view v = {0};
	struct bm_file_result f;
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; example(i, &f); i++) {
		struct bm_buf b = {0};

		bm_record_encode(&b, &f);
		for (size_t len = 0; len < b.len; len++) /* never whole */
			assert_false(decode_copy(&v, b.data, len));
		bm_buf_putc(&b, 0);
		assert_false(decode_copy(&v, b.data, b.len));
		b.len--;
		for (size_t at = 0; at < b.len; at++) {
			char was = b.data[at];

			for (unsigned value = 0; value < 256; value++) {
				b.data[at] = (char)value;
				decode_copy(&v, b.data, b.len);
			}
			b.data[at] = was;
		}
		for (size_t n = 0; n < 20000; n++) {
			char *bytes = bm_memdup0(b.data, b.len);

			assert_non_null(bytes);
			for (size_t k = 0; k < 4; k++) {
				random = random * 1664525u + 1013904223u;
				bytes[(random >> 8) % b.len] = (char)(random % 3 == 0 ? 0xff : random >> 24);
			}
			decode_copy(&v, bytes, b.len);
			free(bytes);
		}
		bm_buf_fini(&b);
	}
	/* A number that does not end, one that does not fit, a count and a length that are far too large. */
	assert_false(decode_copy(&v, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12));
	assert_false(decode_copy(&v, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11));
	assert_false(decode_copy(&v, "\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 17));
	assert_false(decode_copy(&v, "\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12));
	assert_false(decode_copy(&v, "", 0));
	bm_record_view_fini(&v);
}

static void memory_runs_out(void **state)
{
	struct bm_file_result f;

	(void)state;
	assert_true(example(2, &f));
	for (unsigned at = 1;; at++) {
		struct bm_record_view v = {0};
		struct bm_buf b = {0};

		fail_alloc_arm(at, false);
		bm_record_encode(&b, &f);
		bool ok = !b.oom && bm_record_decode(&v, b.data, b.len);
		bool hit = fail_alloc_disarm();
		assert_true(ok != hit || b.oom);
		if (ok)
			assert_same(&f, &v.file);
		bm_record_view_fini(&v);
		bm_buf_fini(&b);
		if (!hit)
			break;
	}
}

static void how_quick(void **state)
{
	struct bm_file_digest d = {bm_digest_find("sha256")->name, bytes64, 32, 1, 12345};
	struct bm_file_result f = {.job = "nightly-logs",
	                           .path = "usr/share/doc/package/changelog.gz",
	                           .display = "/some/root/usr/share/doc/package/changelog.gz",
	                           .bytes = 12345,
	                           .digests = &d,
	                           .digest_count = 1,
	                           .outputs = outputs,
	                           .output_count = 1};
	struct bm_record_view v = {0};
	struct timespec a, b;
	size_t len = 0;
	const long count = 200000;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < count; i++) {
		struct bm_buf buf = {0};

		bm_record_encode(&buf, &f);
		assert_true(bm_record_decode(&v, buf.data, buf.len));
		len = buf.len;
		bm_buf_fini(&buf);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("%zu bytes, %ld ns to write and read\n", len,
	              ((b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec)) / count);
	assert_true(len < 160);
	bm_record_view_fini(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(longest_error),   cmocka_unit_test(static_names),
		cmocka_unit_test(damage),     cmocka_unit_test(memory_runs_out), cmocka_unit_test(how_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
