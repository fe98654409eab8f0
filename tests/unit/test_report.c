/* The report's lines: their exact text, and that another reader (jq, else python3) takes them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bm_report.h"

static const uint8_t bytes[] = {0x00, 0xff, 0x1a, 0xb0};
static const struct bm_file_digest digests[] = {{"sha256", bytes, 4, 1, 12}, {"sha256", bytes, 2, 4, 9}};
static const struct bm_file_output outputs[] = {
	{"/backup/a.gz", UINT64_MAX, false, 3},
	{"/mirror/\xff.gz", 0, true, 5},
};
static const struct bm_error failure = {BM_ERR_SYSTEM, 2, "/root/\"x\"\\n", "cannot open: No such file or directory"};

static void expect_file(const struct bm_file_result *f, const char *line)
{
	struct bm_buf b = {0};

	bm_report_file(&b, f);
	assert_false(b.oom);
	assert_string_equal(b.data, line);
	bm_buf_fini(&b);
}

static void plain(void **state)
{
	struct bm_file_result f = {.job = "j", .path = "a/b", .display = "/root/a/b", .bytes = 12};

	(void)state;
	expect_file(&f, "{\"type\":\"file\",\"job\":\"j\",\"path\":\"a/b\",\"input\":\"/root/a/b\",\"state\":\"done\","
	                "\"bytes\":12,\"digests\":[],\"outputs\":[],\"warnings\":[]}\n");
	f.state = BM_FILE_SKIPPED;
	f.bytes = 0;
	expect_file(&f,
	            "{\"type\":\"file\",\"job\":\"j\",\"path\":\"a/b\",\"input\":\"/root/a/b\",\"state\":\"skipped\","
	            "\"bytes\":0,\"digests\":[],\"outputs\":[],\"warnings\":[]}\n");
}

static void everything(void **state)
{
	struct bm_file_result f = {
		.job = "j",
		.path = "\n\xff",
		.display = "r/\n\xff",
		.state = BM_FILE_FAILED,
		.bytes = 1234567890123u,
		.digests = digests,
		.digest_count = 2,
		.outputs = outputs,
		.output_count = 2,
		.warnings = "one\n\ntwo \"2\"\n",
		.error = &failure,
	};

	(void)state;
	expect_file(&f,
	            "{\"type\":\"file\",\"job\":\"j\",\"path\":\"\\n\xef\xbf\xbd\",\"path_base64\":\"Cv8=\","
	            "\"input\":\"r/\\n\xef\xbf\xbd\",\"input_base64\":\"ci8K/w==\",\"state\":\"failed\","
	            "\"bytes\":1234567890123,"
	            "\"digests\":[{\"step\":1,\"algorithm\":\"sha256\",\"hex\":\"00ff1ab0\",\"bytes\":12},"
	            "{\"step\":4,\"algorithm\":\"sha256\",\"hex\":\"00ff\",\"bytes\":9}],"
	            "\"outputs\":[{\"step\":3,\"path\":\"/backup/a.gz\",\"bytes\":18446744073709551615},"
	            "{\"step\":5,\"path\":\"/mirror/\xef\xbf\xbd.gz\",\"path_base64\":\"L21pcnJvci//Lmd6\",\"bytes\":0,"
	            "\"skipped\":true}],"
	            "\"warnings\":[\"one\",\"two \\\"2\\\"\"],"
	            "\"error\":{\"status\":\"system call failed\",\"errno\":2,\"where\":\"/root/\\\"x\\\"\\\\n\","
	            "\"text\":\"cannot open: No such file or directory\"}}\n");
}

static void error_without_errno(void **state)
{
	struct bm_error e = {BM_ERR_CHANGED, 0, "", "it grew"};
	struct bm_file_result f = {.job = "j", .path = "p", .display = "p", .state = BM_FILE_FAILED, .error = &e};

	(void)state;
	expect_file(&f,
	            "{\"type\":\"file\",\"job\":\"j\",\"path\":\"p\",\"input\":\"p\",\"state\":\"failed\",\"bytes\":0,"
	            "\"digests\":[],\"outputs\":[],\"warnings\":[],"
	            "\"error\":{\"status\":\"file changed while it was read\",\"text\":\"it grew\"}}\n");
}

static void summary(void **state)
{
	struct bm_summary s = {
		.jobs_done = 1,
		.jobs_failed = 2,
		.jobs_skipped = 3,
		.files_done = 4,
		.files_failed = 5,
		.files_skipped = 6,
		.passed_over = {.symlinks = 10, .special = 11, .other_filesystem = 12, .own_outputs = 13},
		.bytes_read = 7,
		.bytes_written = 8,
		.elapsed_ms = 9};
	struct bm_buf b = {0};

	(void)state;
	bm_report_summary(&b, "20261122T030000Z-4242", &s);
	assert_string_equal(
		b.data, "{\"type\":\"summary\",\"run\":\"20261122T030000Z-4242\",\"jobs_done\":1,\"jobs_failed\":2,"
			"\"jobs_skipped\":3,\"files_done\":4,\"files_failed\":5,\"files_skipped\":6,"
			"\"passed_over\":{\"symlinks\":10,\"special\":11,\"other_filesystem\":12,\"own_outputs\":13},"
			"\"bytes_read\":7,"
			"\"bytes_written\":8,\"elapsed_ms\":9,\"cancelled\":false}\n");
	bm_buf_reset(&b);
	s.cancelled = true;
	s.error = failure;
	bm_report_summary(&b, "r", &s);
	assert_non_null(
		strstr(b.data, ",\"cancelled\":true,\"error\":{\"status\":\"system call failed\",\"errno\":2,"));
	bm_buf_fini(&b);
}

/* Every byte in every name, read back by another program. */
static void others_read_it(void **state)
{
	char path[] = "/tmp/bm_report_XXXXXX", command[1024];
	struct bm_summary sum = {0};
	struct bm_buf b = {0};
	const char *program = NULL;

	(void)state;
	if (system("command -v jq >/dev/null 2>&1") == 0)
		program =
			"jq -es 'length == 256 and (.[:255] | all(.type == \"file\" and (.path | type) == \"string\" and "
			"(.warnings | length) == 1 and .error.text != null)) and .[255].type == \"summary\"' <%s >/dev/null";
	else if (system("command -v python3 >/dev/null 2>&1") == 0)
		program = "python3 -c 'import json,sys\nrows=[json.loads(x) for x in open(sys.argv[1], \"rb\")]\n"
			  "assert len(rows)==256 and rows[255][\"type\"]==\"summary\"' %s";
	if (program == NULL)
		skip();

	for (int i = 1; i < 256; i++) {
		char name[] = {'a', (char)i, 'b', '\0'};
		struct bm_error e = {BM_ERR_FAILED, 0, "", ""};
		struct bm_file_output o = {name, 1, false, 1};
		struct bm_file_result f = {.job = name,
		                           .path = name,
		                           .display = name,
		                           .state = BM_FILE_FAILED,
		                           .warnings = i == '\n' ? "x" : name,
		                           .outputs = &o,
		                           .output_count = 1,
		                           .error = &e};

		memcpy(e.where, name, sizeof(name));
		memcpy(e.text, name, sizeof(name));
		bm_report_file(&b, &f);
	}
	bm_report_summary(&b, "run", &sum);
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *f = fdopen(fd, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
	assert_int_equal(fclose(f), 0);
	bm_buf_fini(&b);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), program, path);
#pragma GCC diagnostic pop
	int status = system(command);
	remove(path);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),   cmocka_unit_test(everything),     cmocka_unit_test(error_without_errno),
		cmocka_unit_test(summary), cmocka_unit_test(others_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
