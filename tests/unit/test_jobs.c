/*
 * Reading and checking jobs: what ends up in the fields, the environment, jobs built by a program. Messages are the
 * business of tests/jobs, hostile files that of test_jobs_hostile.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bm_digest.h"
#include "jobs_testing.h"

/* A checked set of one text, or NULL. */
static struct bm_jobs *load(const char *text, const char *base, const struct bm_jobs_options *opt)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;

	assert_int_equal(bm_jobs_create(opt, &jobs, &err), BM_OK);
	if (bm_jobs_add_text(jobs, "dir/test.json", text, strlen(text), base, &err) != BM_OK ||
	    bm_jobs_check(jobs, &err) != BM_OK) {
		assert_true(*err.text != '\0');
		bm_jobs_destroy(jobs);
		return NULL;
	}
	return jobs;
}

/* ---- the tables ---- */

static void check_options(const struct bm_option *options, size_t count)
{
	assert_true(count > 0 && count < 64);
	for (size_t i = 0; i < count; i++) {
		const struct bm_option *o = &options[i];

		assert_true(o->help != NULL && strlen(o->help) > 5 && o->help[strlen(o->help) - 1] != '.');
		assert_null(strchr(o->help, '\n'));
		if (o->type == BM_OPTION_ENUM || o->type == BM_OPTION_ENUMS)
			assert_non_null(o->values);
		if (o->type == BM_OPTION_INTEGER)
			assert_true(o->min < o->max);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(o->name, options[k].name);
	}
}

static void test_tables(void **state)
{
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);
	const struct bm_option *options;
	struct bm_job *job = bm_job_create("x");

	(void)state;
	assert_non_null(job);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(bm_step_find(kinds[i]->name), kinds[i]);
		assert_non_null(kinds[i]->ops);
		check_options(kinds[i]->options, kinds[i]->option_count);
		/* Also reads every default. */
		assert_non_null(bm_job_add_step(job, kinds[i]->name));
		assert_ptr_equal(job->steps[i].kind, kinds[i]);
	}
	assert_null(bm_step_find("reed"));
	assert_null(bm_job_add_step(job, "reed"));
	options = bm_job_options(&count);
	check_options(options, count);
	bm_job_destroy(job);
	bm_job_destroy(NULL);
}

/* The one list that stands twice. */
static void test_algorithm_names(void **state)
{
	size_t count;
	const struct bm_digest_algorithm *algorithms = bm_digest_algorithms(&count);
	const struct bm_step_kind *hash = bm_step_find("hash");
	const char *const *values = NULL;

	(void)state;
	for (size_t i = 0; i < hash->option_count; i++)
		if (strcmp(hash->options[i].name, "algorithms") == 0)
			values = hash->options[i].values;
	assert_non_null(values);
	for (size_t i = 0; i < count; i++) {
		assert_non_null(values[i]);
		assert_string_equal(values[i], algorithms[i].name);
	}
	assert_null(values[count]);
}

/* ---- values ---- */

static void test_values(void **state)
{
	struct bm_jobs *jobs = load(full_text, "/base", NULL);

	(void)state;
	assert_non_null(jobs);
	check_full(jobs);
	bm_jobs_destroy(jobs);
}

/* The directory of a job file is bytes, whatever they would mean in a template or a pattern. */
static void test_bases(void **state)
{
	static const struct {
		const char *base, *from, *to; /* as read for from "in", to "out/{path}" */
		const char *glob;             /* as read for from "*.c" */
		const char *plain;            /* as read for identity_file "-k*.key", which is no pattern */
	} cases[] = {
		{NULL, "in", "out/{path}", "*.c", "-k*.key"},
		{".", "in", "out/{path}", "*.c", "-k*.key"},
		{"jobs", "jobs/in", "jobs/out/{path}", "jobs/*.c", "jobs/-k*.key"},
		{"/", "/in", "/out/{path}", "/*.c", "/-k*.key"},
		{"a/", "a/in", "a/out/{path}", "a/*.c", "a/-k*.key"},
		{"{x}", "{x}/in", "{{x}}/out/{path}", "{x}/*.c", "{x}/-k*.key"},
		{"a[1]*", "a[[]1][*]/in", "a[1]*/out/{path}", "a[[]1][*]/*.c", "a[1]*/-k*.key"},
		{"a\\b", "a\\b/in", "a\\b/out/{path}", "a\\\\b/*.c", "a\\b/-k*.key"},
	};
	static const char text[] =
		"{ \"steps\": [ { \"step\": \"read\", \"from\": [\"in\", \"*.c\", \"./in\", \"-\"] },"
		" { \"step\": \"write\", \"to\": \"out/{path}\" },"
		" { \"step\": \"decrypt\", \"identity_file\": [\"in\", \"-k*.key\", \"/abs\"] }, { \"step\": \"hash\" } ] }";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bm_jobs *jobs = load(text, cases[i].base, NULL);
		const struct bm_step *steps;

		assert_non_null(jobs);
		steps = jobs->jobs[0]->steps;
		assert_string_equal(steps[0].p.read.from.items[0], cases[i].from);
		assert_string_equal(steps[0].p.read.from.items[1], cases[i].glob);
		assert_string_equal(steps[0].p.read.from.items[3], "-");
		assert_string_equal(steps[1].p.write.to, cases[i].to);
		assert_int_equal(steps[2].p.decrypt.unlock.identity_file.count, 3);
		assert_string_equal(steps[2].p.decrypt.unlock.identity_file.items[1], cases[i].plain);
		assert_string_equal(steps[2].p.decrypt.unlock.identity_file.items[2], "/abs");
		assert_string_equal(jobs->jobs[0]->p.name, "test");
		bm_jobs_destroy(jobs);
	}
}

/* "./-" is a file called "-": where nothing is put before it, it must not become standard input. */
static void test_file_called_dash(void **state)
{
	static const char text[] =
		"{ \"steps\": [ { \"step\": \"read\", \"from\": [\"./-\", \".\"] }, { \"step\": \"hash\" } ] }";
	struct bm_jobs *jobs = load(text, ".", NULL);

	(void)state;
	assert_non_null(jobs);
	assert_string_equal(jobs->jobs[0]->steps[0].p.read.from.items[0], "./-");
	bm_jobs_destroy(jobs);
	jobs = load(text, "d", NULL);
	assert_non_null(jobs);
	assert_string_equal(jobs->jobs[0]->steps[0].p.read.from.items[0], "d/-");
	assert_string_equal(jobs->jobs[0]->steps[0].p.read.from.items[1], "d");
	bm_jobs_destroy(jobs);
}

static void test_substitution(void **state)
{
	static const char text[] =
		"{ \"steps\": [ { \"step\": \"read\", \"from\": \"${BM_TEST_A}/$${x}/$y/${BM_TEST_B}$\" }, { "
		"\"step\": \"hash\" } ] }";
	static const char *const sets[] = {"BM_TEST_B=1", "BM_TEST_BB=3", "BM_TEST_B=${BM_TEST_A}=2"};
	static const char *const bad[] = {"=x", "A", "1A=x", "A-B=x", ""};
	struct bm_jobs_options opt = {.sets = sets, .set_count = 3};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs;

	(void)state;
	/* Bytes that are no UTF-8 pass; what was put in is not looked through again; the last set wins. */
	assert_int_equal(setenv("BM_TEST_A", "/caf\xe9", 1), 0);
	jobs = load(text, "base", &opt);
	assert_non_null(jobs);
	assert_string_equal(jobs->jobs[0]->steps[0].p.read.from.items[0], "/caf\xe9/${x}/$y/${BM_TEST_A}=2$");
	bm_jobs_destroy(jobs);
	opt.no_environment = true;
	assert_null(load(text, "base", &opt));
	opt.no_environment = false;
	assert_int_equal(unsetenv("BM_TEST_A"), 0);
	assert_null(load(text, "base", &opt));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opt = (struct bm_jobs_options){.sets = &bad[i], .set_count = 1};
		err = (struct bm_error)BM_ERROR_INIT;
		assert_int_equal(bm_jobs_create(&opt, &jobs, &err), BM_ERR_USAGE);
		assert_null(jobs);
		assert_int_equal(err.status, BM_ERR_USAGE);
	}
}

/* A job file through a pipe: it has a name, its paths are as they are, and what it reads cannot be the same pipe. */
static void test_standard_input(void **state)
{
	static const char *const texts[] = {
		"{ \"steps\": [ { \"step\": \"read\", \"from\": \"in\" }, { \"step\": \"hash\" } ] }",
		"{ \"steps\": [ { \"step\": \"read\", \"from\": \"-\" }, { \"step\": \"hash\" } ] }",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_jobs *jobs = NULL;
		int saved = dup(STDIN_FILENO);
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
		close(ends[1]);
		assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
		close(ends[0]);
		assert_int_equal(bm_jobs_create(NULL, &jobs, &err), BM_OK);
		assert_int_equal(bm_jobs_add_file(jobs, "-", &err), BM_OK);
		assert_string_equal(jobs->jobs[0]->p.name, "stdin");
		assert_string_equal(jobs->jobs[0]->steps[0].p.read.from.items[0], i == 0 ? "in" : "-");
		assert_int_equal(bm_jobs_check(jobs, &err), i == 0 ? BM_OK : BM_ERR_USAGE);
		bm_jobs_destroy(jobs);
		if (saved >= 0) {
			dup2(saved, STDIN_FILENO);
			close(saved);
		} else {
			close(STDIN_FILENO);
		}
	}
}

static void test_default_names(void **state)
{
	static const char text[] =
		"{ \"steps\": [ { \"step\": \"read\", \"from\": \"in\" }, { \"step\": \"hash\" } ] }";
	static const struct {
		const char *file, *name; /* NULL: refused */
	} cases[] = {
		{"a.json", "a"},     {"x/y/a.b.json", "a.b"}, {"noext", "noext"},  {".json", ".json"},
		{"a\nb.json", NULL}, {"caf\xe9.json", NULL},  {"x/...json", NULL}, {"x/", NULL},
	};
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_jobs *jobs = NULL;
		enum bm_status st;

		assert_int_equal(bm_jobs_create(NULL, &jobs, &err), BM_OK);
		st = bm_jobs_add_text(jobs, cases[i].file, text, strlen(text), NULL, &err);
		assert_int_equal(st, cases[i].name != NULL ? BM_OK : BM_ERR_USAGE);
		if (cases[i].name != NULL)
			assert_string_equal(jobs->jobs[0]->p.name, cases[i].name);
		else
			assert_null(strpbrk(err.where, "\n\xe9"));
		bm_jobs_destroy(jobs);
	}
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	{
		struct bm_error err = BM_ERROR_INIT;
		struct bm_jobs *jobs = NULL;

		assert_int_equal(bm_jobs_create(NULL, &jobs, &err), BM_OK);
		assert_int_equal(bm_jobs_add_text(jobs, longest, text, strlen(text), NULL, &err), BM_ERR_USAGE);
		bm_jobs_destroy(jobs);
	}
}

/* ---- built by a program ---- */

static struct bm_jobs *empty_set(struct told *told)
{
	struct bm_jobs_options opt = {.on_diagnostic = on_diagnostic, .ctx = told};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;

	assert_int_equal(bm_jobs_create(&opt, &jobs, &err), BM_OK);
	return jobs;
}

static void test_adopt(void **state)
{
	struct told told = {0};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = empty_set(&told);
	struct bm_job *job = bm_job_create("hash");
	union bm_step_params *p;

	(void)state;
	assert_non_null(job);
	p = bm_job_add_step(job, "read");
	assert_non_null(p);
	/* Plain names, whatever they look like. */
	assert_true(bm_strings_add(&p->read.from, "[a"));
	assert_true(bm_strings_add(&p->read.from, "~/b"));
	p->read.literal = true;
	p = bm_job_add_step(job, "hash");
	assert_non_null(p);
	p->hash.manifest = strdup("-");
	assert_int_equal(bm_jobs_adopt(jobs, job, &err), BM_OK);
	assert_int_equal(bm_jobs_check(jobs, &err), BM_OK);
	assert_int_equal(bm_jobs_count(jobs), 1);
	assert_int_equal(told.errors + told.warnings, 0);
	/* Once checked, a set is closed. */
	assert_int_equal(bm_jobs_add_text(jobs, "t", "{}", 2, NULL, &err), BM_ERR_USAGE);
	bm_jobs_destroy(jobs);
}

static void test_adopt_faults(void **state)
{
	struct told told = {0};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = empty_set(&told);
	struct bm_job *job = bm_job_create(NULL);
	union bm_step_params *p;

	(void)state;
	assert_non_null(job);
	p = bm_job_add_step(job, "hash");
	assert_non_null(p);
	p->hash.algorithms.items[1] = 99;
	p->hash.algorithms.count = 2;
	p = bm_job_add_step(job, "compress");
	assert_non_null(p);
	p->compress.level = 130;
	p->compress.layout = -1;
	p = bm_job_add_step(job, "write");
	assert_non_null(p);
	p = bm_job_add_step(job, "copy");
	assert_non_null(p);
	p->write.to = strdup("{pth}");
	job->p.chunk = 1;
	/* no name, first step, algorithm, level, layout, no to, template, chunk */
	assert_int_equal(bm_jobs_adopt(jobs, job, &err), BM_ERR_USAGE);
	assert_int_equal(told.errors, 8);
	assert_int_equal(bm_jobs_check(jobs, &err), BM_ERR_USAGE);
	bm_jobs_destroy(jobs);

	jobs = empty_set(&told);
	err = (struct bm_error)BM_ERROR_INIT;
	job = bm_job_create("empty");
	assert_non_null(job);
	assert_int_equal(bm_jobs_adopt(jobs, job, &err), BM_ERR_USAGE);
	bm_jobs_destroy(jobs);

	jobs = empty_set(&told);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_jobs_check(jobs, &err), BM_ERR_USAGE);
	bm_jobs_destroy(jobs);
	bm_jobs_destroy(NULL);
}

static void test_version(void **state)
{
	(void)state;
	assert_string_equal(bm_version(), BM_VERSION_STRING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_algorithm_names),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_file_called_dash),
		cmocka_unit_test(test_substitution),
		cmocka_unit_test(test_standard_input),
		cmocka_unit_test(test_default_names),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_adopt_faults),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
