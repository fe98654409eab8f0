/*
 * main.c - bytemill's entry: which command, its options, and what every end of the program has in common.
 *
 * The order at the end matters: the command is done (summary printed, run destroyed), then standard output is flushed and
 * checked, because results that did not get out are a failure whatever came before; then, where a signal stopped the
 * run, the process dies of that signal. Nothing below this folder ends the process.
 *
 * Start-up does nothing that a command does not need: no locale, no library initialisation, no file but those given.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bytemill/bytemill.h>

#include "bm_error.h"
#include "bm_step.h"
#include "bm_text.h"
#include "commands.h"
#include "console.h"
#include "habits.h"
#include "signals.h"

/* jemalloc's, where it is the allocator (see CMakeLists.txt): what is freed goes back to the system after half a second and
 * not after ten, or memory would pass its limit by what is not in use. Found by its name, so it is visible. */
extern const char *malloc_conf;
__attribute__((visibility("default"))) const char *malloc_conf = "dirty_decay_ms:500,muzzy_decay_ms:0";

const struct bm_cli_command *const bm_cli_commands[] = {
	&bm_cmd_run, &bm_cmd_validate, &bm_cmd_hash,   &bm_cmd_audit,    &bm_cmd_catalog, &bm_cmd_diff,  &bm_cmd_bag,
	&bm_cmd_cat, &bm_cmd_steps,    &bm_cmd_keygen, &bm_cmd_schedule, &bm_cmd_runs,    &bm_cmd_serve, NULL,
};
#define COMMAND_COUNT (BM_CLI_COUNT(bm_cli_commands) - 1)

static const struct bm_cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(bm_cli_commands[i]->name, name) == 0)
			return bm_cli_commands[i];
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("Usage: bytemill COMMAND [OPTIONS] [ARGUMENTS]\n"
	      "Processes many files at once: each is read once and put through the steps of a job.\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s %s\n", bm_cli_commands[i]->name, bm_cli_commands[i]->summary);
	fputs("  help       [COMMAND]: this text, or a command's\n"
	      "\n"
	      "  -h, --help and -V, --version work with every command.\n"
	      "\n"
	      "Examples:\n"
	      "  bytemill hash /srv/photos > SHA256SUMS\n"
	      "  bytemill audit SHA256SUMS /srv/photos\n"
	      "  bytemill audit --catalog /srv/photos\n"
	      "  bytemill validate nightly.json && bytemill run nightly.json\n"
	      "  bytemill steps compress\n"
	      "  bytemill cat --range 1000000-1000999 large.csv.gz\n"
	      "\n"
	      "Exit codes:\n"
	      "  0 all done; 1 finished, but some files failed; 2 usage or job file wrong, nothing was done;\n"
	      "  3 files are not as a manifest says; 4 the same job is already running; 128+N ended by signal N\n"
	      "\n"
	      "The manual: man bytemill\n",
	      out);
}

static void print_version(void)
{
	printf("bytemill %s\n", bm_version());
}

static int unknown_command(const char *word, bool is_last)
{
	const char *names[COMMAND_COUNT + 2];
	const char *near, *habit = bm_habit_of_command(word);
	size_t len = strlen(word);
	char shown[80];

	bm_escape_display_buf(shown, sizeof(shown), word, strlen(word));
	if (bm_step_find(word) != NULL)
		return bm_usage_error(
			NULL,
			"%s is a step of a job, not a command: \"bytemill steps %s\" says what it takes, and "
			"\"bytemill run\" runs a job file",
			word, word);
	if (word[0] == '-' && is_last)
		return bm_usage_error(NULL, "\"%s\" is no command; options come after one", shown);
	if (word[0] == '-')
		return bm_usage_error(NULL, "\"%s\" stands before the command; options come after it", shown);
	if (habit != NULL)
		return bm_usage_error(NULL, "%s is no command: %s", shown, habit);
	if (len > 5 && strcmp(word + len - 5, ".json") == 0)
		return bm_usage_error(NULL, "unknown command \"%s\"; \"bytemill run %s\" runs a job file", shown,
		                      shown);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = bm_cli_commands[i]->name;
	names[COMMAND_COUNT] = "help";
	names[COMMAND_COUNT + 1] = NULL;
	near = bm_suggest(word, names);
	return bm_usage_error(NULL, "unknown command \"%s\"%s%s%s", shown, near != NULL ? " (did you mean \"" : "",
	                      near != NULL ? near : "", near != NULL ? "\"?)" : "");
}

static int help(int argc, char **argv)
{
	const struct bm_cli_command *c;

	if (argc > 2)
		return bm_usage_error(NULL, "help takes one command");
	if (argc < 2 || strcmp(argv[1], "help") == 0 || argv[1][0] == '-') {
		print_help(stdout);
		return BM_EXIT_DONE;
	}
	c = find_command(argv[1]);
	if (c == NULL)
		return unknown_command(argv[1], argc == 2);
	bm_options_print_help(stdout, c);
	return BM_EXIT_DONE;
}

static int run_command(const struct bm_cli_command *c, int argc, char **argv)
{
	struct bm_cli_options o;
	int rc = bm_options_parse(c, argc, argv, &o);

	if (rc != 0)
		goto out;
	bm_console_init(!o.no_color);
	if (o.help)
		bm_options_print_help(stdout, c);
	else if (o.version)
		print_version();
	else
		rc = c->run(&o);
out:
	bm_options_fini(&o);
	return rc;
}

static int dispatch(int argc, char **argv)
{
	const struct bm_cli_command *c;

	if (argc < 2)
		return bm_usage_error(NULL, "no command was given");
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help(argc - 1, argv + 1);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		print_version();
		return BM_EXIT_DONE;
	}
	c = find_command(argv[1]);
	if (c == NULL)
		return unknown_command(argv[1], argc == 2);
	return run_command(c, argc - 1, argv + 1);
}

/* Results that did not get out are told and turn success into failure. */
static int finish_stdout(int rc)
{
	struct bm_error err = BM_ERROR_INIT;
	bool had_error = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) == 0 && !had_error)
		return rc;
	(void)bm_error_set_errno(&err, errno != 0 ? errno : EIO, NULL, "standard output");
	bm_console_say_error(&err);
	return rc == BM_EXIT_DONE ? BM_EXIT_FAILED : rc;
}

int main(int argc, char **argv)
{
	int rc;

	bm_signals_prepare_process();
	bm_console_init(true);
	rc = dispatch(argc, argv);
	rc = finish_stdout(rc);
	bm_signals_end();
	return rc;
}
