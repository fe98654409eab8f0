/*
 * cmd_steps.c - bytemill steps: what each step takes, in the words of the one table that also parses job files.
 */
#include "commands.h"

#include <string.h>

#include "bm_job.h"
#include "bm_text.h"
#include "console.h"

#define COMMAND "steps"
#define MAX_STEPS 64
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "schema",
		.type = BM_CLI_FLAG,
		.offset = AT(schema),
		.help = "print the JSON Schema of job files, for editors and other checkers",
	},
	{
		.name = "man",
		.type = BM_CLI_FLAG,
		.offset = AT(man),
		.help = "print the man page's section in man(7) macros",
	},
};

static int check_step(const char *word)
{
	const struct bm_step_kind *const *kinds;
	const char *names[MAX_STEPS + 1];
	struct bm_buf allowed = {0};
	char shown[80];
	const char *near;
	size_t count;
	int rc;

	if (bm_step_find(word) != NULL)
		return 0;
	kinds = bm_step_kinds(&count);
	count = count < MAX_STEPS ? count : MAX_STEPS;
	for (size_t i = 0; i < count; i++) {
		names[i] = kinds[i]->name;
		bm_buf_printf(&allowed, "%s%s", i > 0 ? ", " : "", kinds[i]->name);
	}
	names[count] = NULL;
	near = bm_suggest(word, names);
	rc = bm_usage_error(COMMAND, "no step is called \"%s\"; there are: %s%s%s%s",
	                    bm_escape_display_buf(shown, sizeof(shown), word, strlen(word)),
	                    allowed.oom ? "?" : allowed.data, near != NULL ? " (did you mean \"" : "",
	                    near != NULL ? near : "", near != NULL ? "\"?)" : "");
	bm_buf_fini(&allowed);
	return rc;
}

static int steps(const struct bm_cli_options *o)
{
	const char *step = o->operand_count > 0 ? o->operands[0] : NULL;
	struct bm_error err = BM_ERROR_INIT;
	int rc;

	if (o->operand_count > 1)
		return bm_usage_error(COMMAND, "%zu steps were given; allowed: one", o->operand_count);
	if (o->schema && o->man)
		return bm_usage_error(COMMAND, "--schema and --man cannot go together");
	if ((o->schema || o->man) && step != NULL)
		return bm_usage_error(COMMAND, "--%s is about all steps; it takes no STEP",
		                      o->schema ? "schema" : "man");
	if (step != NULL) {
		rc = check_step(step);
		if (rc != 0)
			return rc;
	}
	if (o->schema) {
		if (bm_schema_print(stdout, &err) == BM_OK)
			return BM_EXIT_DONE;
		if (ferror(stdout) == 0) /* else main says so */
			bm_console_say_error(&err);
		return BM_EXIT_FAILED;
	}
	if (o->man)
		bm_steps_print_man(stdout);
	else
		bm_steps_print(stdout, step);
	return BM_EXIT_DONE;
}

const struct bm_cli_command bm_cmd_steps = {
	.name = COMMAND,
	.operands = "[STEP]",
	.summary = "what each step of a job takes",
	.about = "Prints the steps that a job can have, or all options of one STEP.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = 0,
	.epilog = "Examples:\n"
		  "  bytemill steps\n"
		  "  bytemill steps compress\n"
		  "  bytemill steps --schema > job.schema.json\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 done; 2 no such step\n",
	.run = steps,
};
