/*
 * jobs_testing.h - what the tests of job files share: a text that says something of everything, what must come of it,
 * and a collector of diagnostics. After cmocka.h.
 */
#ifndef BM_TEST_JOBS_TESTING_H
#define BM_TEST_JOBS_TESTING_H

#include "bm_gzip.h"
#include "bm_job.h"

struct told {
	size_t errors, warnings;
	char last[512];
	unsigned line, column;
};

static inline void on_diagnostic(void *ctx, const struct bm_diagnostic *d)
{
	struct told *t = ctx;

	if (d->is_warning)
		t->warnings++;
	else
		t->errors++;
	snprintf(t->last, sizeof(t->last), "%s", d->message);
	t->line = d->line;
	t->column = d->column;
}

static const char full_text[] =
	"{ \"jobs\": [\n"
	"  { \"name\": \"a\", \"description\": \"d\", \"memory\": \"64MiB\", \"chunk\": 8192, \"on_error\": \"stop\",\n"
	"    \"steps\": [\n"
	"      { \"step\": \"read\", \"from\": [\"x\", \"./y\", \"/z\", \"l*g\"], \"include\": \"*.c\", "
	"\"exclude\": [\"a\", \"b\"],\n"
	"        \"files_from\": \"list\", \"hidden\": false, \"max_size\": \"1KiB\", \"older_than\": \"2m\" },\n"
	"      { \"step\": \"hash\", \"algorithms\": [\"crc32\", \"md5\"], \"manifest\": \"s/{algorithm}\", "
	"\"name\": \"{path}\" },\n"
	"      { \"step\": \"compress\", \"level\": 1, \"layout\": \"single\" },\n"
	"      { \"step\": \"decompress\", \"max_ratio\": 7 },\n"
	"      { \"step\": \"write\", \"to\": \"o/{path}\", \"if_exists\": \"append\", \"durability\": \"none\", "
	"\"sparse\": false }\n"
	"    ] },\n"
	"  { \"name\": \"b\", \"after\": \"a\", \"steps\": [ { \"step\": \"read\", \"from\": \"-\" }, { \"step\": "
	"\"hash\" } ] }\n"
	"] }\n";

/* jobs is full_text, read with the directory /base. */
static inline void check_full(const struct bm_jobs *jobs)
{
	const struct bm_job *a;
	const struct bm_job *b;

	assert_true(jobs->is_checked);
	assert_int_equal(bm_jobs_count(jobs), 2);
	a = jobs->jobs[0];
	b = jobs->jobs[1];
	assert_non_null(strstr(a->file, "test.json"));
	assert_int_equal(b->number, 1);
	assert_string_equal(a->p.name, "a");
	assert_string_equal(a->p.description, "d");
	assert_int_equal(a->p.memory, 64 << 20);
	assert_int_equal(a->p.chunk, 8192);
	assert_int_equal(a->p.on_error, BM_ON_ERROR_STOP);
	assert_int_equal(a->step_count, 5);
	assert_int_equal(a->steps[4].index, 4);

	assert_int_equal(a->steps[0].p.read.from.count, 4);
	assert_string_equal(a->steps[0].p.read.from.items[0], "/base/x");
	assert_string_equal(a->steps[0].p.read.from.items[1], "/base/y");
	assert_string_equal(a->steps[0].p.read.from.items[2], "/z");
	assert_string_equal(a->steps[0].p.read.from.items[3], "/base/l*g");
	assert_string_equal(a->steps[0].p.read.include.items[0], "*.c");
	assert_int_equal(a->steps[0].p.read.exclude.count, 2);
	assert_string_equal(a->steps[0].p.read.files_from, "/base/list");
	assert_false(a->steps[0].p.read.hidden);
	assert_int_equal(a->steps[0].p.read.max_size, 1024);
	assert_true(a->steps[0].p.read.older_than.is_set);
	assert_int_equal(a->steps[0].p.read.older_than.ms, 120000);
	assert_false(a->steps[0].p.read.newer_than.is_set);

	assert_int_equal(a->steps[1].p.hash.algorithms.count, 2);
	assert_int_equal(a->steps[1].p.hash.algorithms.items[0], 19);
	assert_int_equal(a->steps[1].p.hash.algorithms.items[1], 0);
	assert_string_equal(a->steps[1].p.hash.manifest, "/base/s/{algorithm}");
	assert_string_equal(a->steps[1].p.hash.name, "{path}");
	assert_int_equal(a->steps[2].p.compress.level, 1);
	assert_int_equal(a->steps[2].p.compress.layout, BM_GZIP_SINGLE);
	assert_int_equal(a->steps[3].p.decompress.max_ratio, 7);
	assert_string_equal(a->steps[4].p.write.to, "/base/o/{path}");
	assert_int_equal(a->steps[4].p.write.if_exists, 3);
	assert_int_equal(a->steps[4].p.write.durability, 0);
	assert_false(a->steps[4].p.write.sparse);
	assert_true(a->steps[4].p.write.preserve);

	assert_int_equal(b->p.after.count, 1);
	assert_string_equal(b->p.after.items[0], "a");
	assert_string_equal(b->steps[0].p.read.from.items[0], "-");
	assert_true(b->steps[0].p.read.hidden);
	assert_int_equal(b->steps[1].p.hash.algorithms.count, 1);
	assert_int_equal(b->steps[1].p.hash.algorithms.items[0], 3);
	assert_null(b->steps[1].p.hash.manifest);
}

#endif
