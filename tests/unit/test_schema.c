/* The texts that are made from the tables: the committed schema is up to date, help fits its width and is complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bm_job.h"

#ifndef BM_SCHEMA_FILE
#error "the build says where jobs/job.schema.json is"
#endif

static char *made; /* by the last open_text */
static size_t made_len;

static FILE *open_text(void)
{
	FILE *f = open_memstream(&made, &made_len);

	assert_non_null(f);
	return f;
}

static void test_schema_is_up_to_date(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	FILE *f = open_text();
	char *committed;
	size_t len;

	(void)state;
	assert_int_equal(bm_schema_print(f, &err), BM_OK);
	assert_int_equal(fclose(f), 0);
	f = fopen(BM_SCHEMA_FILE, "r");
	assert_non_null(f);
	committed = malloc(made_len + 2);
	assert_non_null(committed);
	len = fread(committed, 1, made_len + 1, f);
	fclose(f);
	/* Where this fails: build/.../print_schema > jobs/job.schema.json */
	assert_int_equal(len, made_len);
	assert_memory_equal(committed, made, len);
	free(committed);
	free(made);
}

static void test_schema_write_error(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	FILE *f = fopen("/dev/full", "w");

	(void)state;
	if (f == NULL)
		skip();
	setvbuf(f, NULL, _IONBF, 0);
	assert_int_equal(bm_schema_print(f, &err), BM_ERR_SYSTEM);
	fclose(f);
}

static void check_text(bool is_man)
{
	assert_true(made_len > 100 && made[made_len - 1] == '\n');
	for (const char *line = made; *line != '\0'; line = strchr(line, '\n') + 1) {
		size_t len = strcspn(line, "\n");

		if (is_man)
			assert_true(*line != '.' || strncmp(line, ".S", 2) == 0 || strncmp(line, ".TP", 3) == 0 ||
			            strncmp(line, ".B ", 3) == 0 || strncmp(line, ".br", 3) == 0);
		else
			assert_true(len <= 100 && (len == 0 || line[len - 1] != ' '));
	}
}

static void test_text(void **state)
{
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);
	FILE *f = open_text();

	(void)state;
	bm_steps_print(f, NULL);
	fclose(f);
	check_text(false);
	for (size_t i = 0; i < count; i++)
		assert_non_null(strstr(made, kinds[i]->name));
	assert_non_null(strstr(made, "on_error"));
	free(made);
	for (size_t i = 0; i < count; i++) {
		f = open_text();
		bm_steps_print(f, kinds[i]->name);
		fclose(f);
		check_text(false);
		for (size_t k = 0; k < kinds[i]->option_count; k++)
			assert_non_null(strstr(made, kinds[i]->options[k].name));
		free(made);
	}
	f = open_text();
	bm_steps_print(f, "no such step");
	fclose(f);
	assert_int_equal(made_len, 0);
	free(made);
}

static void test_man(void **state)
{
	FILE *f = open_text();

	(void)state;
	bm_steps_print_man(f);
	fclose(f);
	assert_int_equal(strncmp(made, ".SH STEPS\n", 10), 0);
	check_text(true);
	free(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_is_up_to_date),
		cmocka_unit_test(test_schema_write_error),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_man),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
