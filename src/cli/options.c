/*
 * options.c - a table-driven parser on top of getopt_long.
 *
 * A command's options are rows of struct bm_cli_option: its own, and the rows of the common table whose group it takes.
 * From the rows come the arrays for getopt_long, the checks, the words "did you mean", and the text of --help, so that
 * none of them can tell a different story. getopt_long itself stays silent: its messages know neither the allowed values
 * nor the nearest name. Long options may be cut short where that is unambiguous, and may stand after operands, as
 * everywhere in GNU; "--" ends them, so that a name with a leading dash can be given.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bm_mem.h"
#include "bm_text.h"
#include "commands.h"
#include "console.h"
#include "habits.h"
#include "sandbox.h"

#define MAX_OPTIONS 64
#define LONG_BASE 256 /* getopt's value of row i is LONG_BASE + i: no letter is as large */

#define AT(field) offsetof(struct bm_cli_options, field)

static const char *const progress_modes[] = {"auto", "always", "never", NULL};

static const struct bm_cli_option common[] = {
	{
		.name = "threads",
		.letter = 'j',
		.type = BM_CLI_UNSIGNED,
		.offset = AT(threads),
		.arg = "N",
		.min = 1,
		.max = 1024,
		.group = BM_CLI_RESOURCES,
		.help = "run on N CPUs (default: those this process may use)",
	},
	{
		.name = "io-depth",
		.type = BM_CLI_UNSIGNED,
		.offset = AT(io_depth),
		.arg = "N",
		.min = 1,
		.max = 1024,
		.group = BM_CLI_RESOURCES,
		.help = "N further threads that wait for the disk (default 16; 1: for a spinning disk)",
	},
	{
		.name = "memory",
		.type = BM_CLI_SIZE,
		.offset = AT(memory_bytes),
		.arg = "SIZE",
		.group = BM_CLI_RESOURCES,
		.help = "budget for buffers, such as 64MiB (default: the job's, else 256MiB or half the limit)",
	},
	{
		.name = "nice",
		.type = BM_CLI_UNSIGNED,
		.offset = AT(nice),
		.arg = "N",
		.min = 1,
		.max = 19,
		.group = BM_CLI_GENTLE,
		.help = "let others have the CPU first: N more of niceness, as nice(1)",
	},
	{
		.name = "ionice",
		.type = BM_CLI_TEXT,
		.offset = AT(ionice),
		.arg = "CLASS[:N]",
		.group = BM_CLI_GENTLE,
		.help = "let others have the disk first: idle, best-effort:7 (to :0), realtime:7, as ionice(1)",
	},
	{
		.name = "limit-rate",
		.type = BM_CLI_SIZE,
		.offset = AT(limit_rate),
		.arg = "SIZE",
		.group = BM_CLI_GENTLE,
		.help = "read at most SIZE a second, such as 20MiB (default: what the jobs say)",
	},
	{
		.name = "sandbox",
		.type = BM_CLI_CHOICE,
		.offset = AT(sandbox),
		.arg = "WHEN",
		.values = bm_sandbox_modes,
		.group = BM_CLI_FENCE,
		.help = "open nothing but what the job names: auto (where the kernel can), on (or fail), off",
	},
	{
		.name = "dry-run",
		.letter = 'n',
		.type = BM_CLI_FLAG,
		.offset = AT(dry_run),
		.group = BM_CLI_RUNNING,
		.help = "print the plan, change nothing",
	},
	{
		.name = "report",
		.type = BM_CLI_TEXT,
		.offset = AT(report),
		.arg = "FILE",
		.group = BM_CLI_REPORT,
		.is_path = true,
		.help = "write JSON Lines, an object a file and a summary, to FILE (\"-\": standard output)",
	},
	{
		.name = "log",
		.type = BM_CLI_TEXT,
		.offset = AT(log),
		.arg = "WHERE",
		.group = BM_CLI_TELL,
		.is_path = true,
		.not_path = "syslog",
		.help = "append what happens to a file, or give it to \"syslog\"; also with --quiet",
	},
	{
		.name = "metrics",
		.type = BM_CLI_TEXT,
		.offset = AT(metrics),
		.arg = "FILE",
		.group = BM_CLI_TELL,
		.is_path = true,
		.help = "replace FILE with the figures of the run, for Prometheus (textfile collector)",
	},
	{
		.name = "state",
		.type = BM_CLI_TEXT,
		.offset = AT(state),
		.arg = "DIR",
		.group = BM_CLI_STATE,
		.is_path = true,
		.help = "where locks and the catalog are kept (default: /var/lib/bytemill, ~/.local/state/bytemill)",
	},
	{
		.name = "wait",
		.type = BM_CLI_DURATION,
		.offset = AT(wait_ms),
		.arg = "TIME",
		.group = BM_CLI_LOCK,
		.help = "where the job is already running, wait up to TIME (\"10m\") for it to end",
	},
	{
		.name = "no-lock",
		.type = BM_CLI_FLAG,
		.offset = AT(no_lock),
		.group = BM_CLI_LOCK,
		.help = "run even while the same job is running: nothing keeps the two apart",
	},
	{
		.name = "set",
		.type = BM_CLI_SET,
		.offset = AT(sets),
		.arg = "NAME=VALUE",
		.group = BM_CLI_SETS,
		.help = "the value of ${NAME} in the job files; repeatable",
	},
	{
		.name = "progress",
		.type = BM_CLI_CHOICE,
		.offset = AT(progress),
		.arg = "WHEN",
		.values = progress_modes,
		.group = BM_CLI_RUNNING,
		.help = "the progress bar: auto (on a terminal), always, never",
	},
	{
		.name = "quiet",
		.letter = 'q',
		.type = BM_CLI_FLAG,
		.offset = AT(quiet),
		.group = BM_CLI_TALK,
		.help = "say nothing on standard error while all is well",
	},
	{
		.name = "verbose",
		.letter = 'v',
		.type = BM_CLI_FLAG,
		.offset = AT(verbose),
		.group = BM_CLI_TALK,
		.help = "a line on standard error for every finished file",
	},
	{
		.name = "no-color",
		.type = BM_CLI_FLAG,
		.offset = AT(no_color),
		.group = BM_CLI_ALWAYS,
		.help = "no colours (the environment variable NO_COLOR does the same)",
	},
	{
		.name = "help",
		.letter = 'h',
		.type = BM_CLI_FLAG,
		.offset = AT(help),
		.group = BM_CLI_ALWAYS,
		.help = "print this text",
	},
	{
		.name = "version",
		.letter = 'V',
		.type = BM_CLI_FLAG,
		.offset = AT(version),
		.group = BM_CLI_ALWAYS,
		.help = "print the version",
	},
};

int bm_usage_error(const char *command, const char *fmt, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	bm_console_say(BM_CONSOLE_ERROR, "%s", text != NULL ? text : "out of memory");
	if (command != NULL)
		bm_console_say(BM_CONSOLE_PLAIN, "\"bytemill %s --help\" says what it takes", command);
	else
		bm_console_say(BM_CONSOLE_PLAIN, "\"bytemill --help\" says what there is");
	free(text);
	return BM_EXIT_USAGE;
}

/* The rows that command c takes, its own first. */
static size_t collect(const struct bm_cli_command *c, const struct bm_cli_option *rows[MAX_OPTIONS])
{
	size_t n = 0;

	for (size_t i = 0; i < c->option_count && n < MAX_OPTIONS; i++)
		rows[n++] = &c->options[i];
	for (size_t i = 0; i < BM_CLI_COUNT(common) && n < MAX_OPTIONS; i++)
		if ((common[i].group & (c->groups | BM_CLI_ALWAYS)) != 0)
			rows[n++] = &common[i];
	return n;
}

const struct bm_cli_option *bm_options_find(const struct bm_cli_command *c, const char *word)
{
	const struct bm_cli_option *rows[MAX_OPTIONS];
	size_t count = collect(c, rows);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i]->name, word) == 0 ||
		    (rows[i]->letter != '\0' && rows[i]->letter == word[0] && word[1] == '\0'))
			return rows[i];
	return NULL;
}

static bool texts_add(struct bm_cli_texts *t, const char *text)
{
	const char **items = bm_realloc_array(t->items, t->count + 1, sizeof(*items));

	if (items == NULL)
		return false;
	t->items = items;
	t->items[t->count++] = text;
	return true;
}

static bool given_add(struct bm_cli_options *o, const struct bm_cli_option *row, const char *arg)
{
	struct bm_cli_given *given = bm_realloc_array(o->given, o->given_count + 1, sizeof(*given));

	if (given == NULL)
		return false;
	o->given = given;
	o->given[o->given_count++] = (struct bm_cli_given){row, row->type == BM_CLI_FLAG ? NULL : arg};
	return true;
}

static bool is_set(const char *text)
{
	const char *p = text;

	if (!isalpha((unsigned char)*p) && *p != '_')
		return false;
	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return *p == '=';
}

static int store_choice(const struct bm_cli_command *c, const struct bm_cli_option *row, const char *arg,
                        const char *shown, int *value)
{
	struct bm_buf list = {0};
	const char *near = bm_suggest(arg, row->values);
	int rc;

	for (int i = 0; row->values[i] != NULL; i++)
		if (strcmp(row->values[i], arg) == 0) {
			*value = i;
			return 0;
		}
	for (int i = 0; row->values[i] != NULL; i++)
		bm_buf_printf(&list, "%s%s", i > 0 ? ", " : "", row->values[i]);
	rc = bm_usage_error(c->name, "--%s is \"%s\"; allowed: %s%s%s%s", row->name, shown, list.oom ? "?" : list.data,
	                    near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
	                    near != NULL ? "\"?)" : "");
	bm_buf_fini(&list);
	return rc;
}

static int store(const struct bm_cli_command *c, const struct bm_cli_option *row, const char *arg,
                 struct bm_cli_options *o)
{
	void *at = (char *)o + row->offset;
	struct bm_error err = BM_ERROR_INIT;
	char shown[256];

	if (arg == NULL) { /* getopt_long sees to it that only a flag has none */
		*(bool *)at = true;
		return 0;
	}
	bm_escape_display_buf(shown, sizeof(shown), arg, strlen(arg));
	switch (row->type) {
	case BM_CLI_FLAG:
		break;
	case BM_CLI_UNSIGNED: {
		char *end = NULL;
		unsigned long n;

		errno = 0;
		n = strtoul(arg, &end, 10);
		if (!isdigit((unsigned char)arg[0]) || *end != '\0' || errno != 0 || n < row->min || n > row->max)
			return bm_usage_error(c->name, "--%s is \"%s\"; allowed: %u to %u", row->name, shown, row->min,
			                      row->max);
		*(unsigned *)at = (unsigned)n;
		return 0;
	}
	case BM_CLI_SIZE:
		if (bm_size_parse(arg, at, &err) != BM_OK)
			return bm_usage_error(c->name, "--%s: %s", row->name, err.text);
		if (row->max > 0 && (*(uint64_t *)at < row->min || *(uint64_t *)at > row->max)) {
			char least[16], most[16];

			return bm_usage_error(c->name, "--%s is \"%s\"; allowed: %s to %s", row->name, shown,
			                      bm_size_format(row->min, least), bm_size_format(row->max, most));
		}
		if (row->given != 0)
			*(bool *)((char *)o + row->given) = true;
		else if (*(uint64_t *)at == 0)
			return bm_usage_error(c->name, "--%s is \"%s\"; allowed: more than 0", row->name, shown);
		return 0;
	case BM_CLI_DURATION:
		if (bm_duration_parse(arg, at, &err) != BM_OK)
			return bm_usage_error(c->name, "--%s: %s", row->name, err.text);
		if (row->is_age && *(uint64_t *)at > 0 && !bm_duration_has_unit(arg))
			return bm_usage_error(c->name,
			                      "--%s is \"%s\", and a number alone would be seconds; say what it is, as "
			                      "%sd for days or %ss for seconds",
			                      row->name, shown, shown, shown);
		if (row->given != 0)
			*(bool *)((char *)o + row->given) = true;
		else if (*(uint64_t *)at == 0)
			return bm_usage_error(c->name, "--%s is \"%s\"; allowed: more than 0", row->name, shown);
		return 0;
	case BM_CLI_TEXT:
		if (*arg == '\0')
			return bm_usage_error(c->name, "--%s is empty; it wants a %s", row->name, row->arg);
		if (*(const char **)at != NULL)
			return bm_usage_error(c->name, "--%s is given twice; one %s is what it takes", row->name,
			                      row->arg);
		*(const char **)at = arg;
		return 0;
	case BM_CLI_SET:
		if (!is_set(arg))
			return bm_usage_error(c->name,
			                      "--%s is \"%s\"; allowed: NAME=VALUE, where NAME is letters, "
			                      "digits and _ and does not begin with a digit",
			                      row->name, shown);
		if (!texts_add(at, arg))
			return bm_usage_error(c->name, "out of memory");
		return 0;
	case BM_CLI_TEXTS:
		if (!texts_add(at, arg))
			return bm_usage_error(c->name, "out of memory");
		return 0;
	case BM_CLI_CHOICE:
		return store_choice(c, row, arg, shown, at);
	}
	return BM_EXIT_USAGE;
}

/* What getopt_long calls '?'. word is the argument that it stopped at. */
static int unknown_option(const struct bm_cli_command *c, const struct bm_cli_option *const *rows, size_t count,
                          const char *word)
{
	const char *names[MAX_OPTIONS + 1];
	char shown[128], name[64], letter[2] = {(char)optopt, '\0'};
	struct bm_buf matches = {0}, habit = {0};
	size_t len, match_count = 0;
	const char *near;
	int rc;

	if (optopt >= LONG_BASE)
		return bm_usage_error(c->name, "--%s takes no value", rows[optopt - LONG_BASE]->name);
	if (optopt != 0) {
		bm_escape_display_buf(shown, sizeof(shown), letter, 1);
		if (bm_habit_of_option(&habit, c, letter, bm_cli_commands) && !habit.oom)
			rc = bm_usage_error(c->name, "unknown option \"-%s\": %s", shown, habit.data);
		else
			rc = bm_usage_error(c->name, "unknown option \"-%s\"", shown);
		goto out;
	}
	len = strcspn(word + 2, "=");
	bm_escape_display_buf(shown, sizeof(shown), word, len + 2);
	for (size_t i = 0; i < count; i++) {
		names[i] = rows[i]->name;
		if (strncmp(rows[i]->name, word + 2, len) == 0)
			bm_buf_printf(&matches, "%s--%s", match_count++ > 0 ? ", " : "", rows[i]->name);
	}
	names[count] = NULL;
	if (match_count > 1 && !matches.oom) {
		rc = bm_usage_error(c->name, "\"%s\" is ambiguous: %s", shown, matches.data);
	} else {
		snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1), word + 2);
		near = bm_suggest(name, names);
		if (near == NULL && bm_habit_of_option(&habit, c, name, bm_cli_commands) && !habit.oom)
			rc = bm_usage_error(c->name, "unknown option \"%s\": %s", shown, habit.data);
		else
			rc = bm_usage_error(c->name, "unknown option \"%s\"%s%s%s", shown,
			                    near != NULL ? " (did you mean \"--" : "", near != NULL ? near : "",
			                    near != NULL ? "\"?)" : "");
	}
out:
	bm_buf_fini(&habit);
	bm_buf_fini(&matches);
	return rc;
}

static const struct bm_cli_option *row_of(const struct bm_cli_option *const *rows, size_t count, int value)
{
	if (value >= LONG_BASE)
		return rows[value - LONG_BASE];
	for (size_t i = 0; i < count; i++)
		if (rows[i]->letter != '\0' && rows[i]->letter == value)
			return rows[i];
	return NULL;
}

int bm_options_parse(const struct bm_cli_command *c, int argc, char **argv, struct bm_cli_options *o)
{
	const struct bm_cli_option *rows[MAX_OPTIONS];
	struct option longs[MAX_OPTIONS + 1] = {{0}};
	char shorts[2 * MAX_OPTIONS + 2] = ":";
	size_t count = collect(c, rows), at = 1;
	int value, rc;

	memset(o, 0, sizeof(*o));
	o->format = o->audit_format = o->kind = -1;
	for (size_t i = 0; i < count; i++) {
		bool has_arg = rows[i]->type != BM_CLI_FLAG;

		longs[i].name = rows[i]->name;
		longs[i].has_arg = has_arg ? required_argument : no_argument;
		longs[i].val = LONG_BASE + (int)i;
		if (rows[i]->letter != '\0') {
			shorts[at++] = rows[i]->letter;
			if (has_arg)
				shorts[at++] = ':';
		}
	}
	shorts[at] = '\0';

	opterr = 0;
	optind = 0; /* glibc: start anew */
	/* There is only this thread yet. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct bm_cli_option *row;

		if (value == '?')
			return unknown_option(c, rows, count, argv[optind - 1]);
		if (value == ':') {
			row = row_of(rows, count, optopt);
			return bm_usage_error(c->name, "--%s wants a value: --%s %s, %s", row->name, row->name,
			                      row->arg, row->help);
		}
		row = row_of(rows, count, value);
		rc = store(c, row, optarg, o);
		if (rc != 0)
			return rc;
		if (!given_add(o, row, optarg))
			return bm_usage_error(c->name, "out of memory");
	}
	o->operands = argv + optind;
	o->operand_count = (size_t)(argc - optind);
	for (size_t i = 0; i < o->operand_count && !o->help && !o->version; i++)
		if (o->operands[i][0] == '\0')
			return bm_usage_error(c->name,
			                      "argument %zu is empty: a shell variable that is not set, perhaps; "
			                      "wanted is %s",
			                      i + 1, c->operands);
	return 0;
}

void bm_options_fini(struct bm_cli_options *o)
{
	free(o->sets.items);
	free(o->algorithms.items);
	free(o->include.items);
	free(o->exclude.items);
	free(o->identities.items);
	free(o->under.items);
	free(o->bag_info.items);
	free(o->origins.items);
	free(o->submit_roots.items);
	free(o->given);
	memset(o, 0, sizeof(*o));
}

void bm_options_print_help(FILE *out, const struct bm_cli_command *c)
{
	const struct bm_cli_option *rows[MAX_OPTIONS];
	size_t count = collect(c, rows);

	fprintf(out, "Usage: bytemill %s [OPTIONS]%s%s\n%s\n\nOptions:\n", c->name, *c->operands != '\0' ? " " : "",
	        c->operands, c->about);
	for (size_t i = 0; i < count; i++) {
		char left[64];
		int n = snprintf(left, sizeof(left), "%c%c%c --%s%s%s", rows[i]->letter != '\0' ? '-' : ' ',
		                 rows[i]->letter != '\0' ? rows[i]->letter : ' ', rows[i]->letter != '\0' ? ',' : ' ',
		                 rows[i]->name, rows[i]->arg != NULL ? " " : "",
		                 rows[i]->arg != NULL ? rows[i]->arg : "");

		if (n > 24)
			fprintf(out, "  %s\n%28s%s\n", left, "", rows[i]->help);
		else
			fprintf(out, "  %-24s  %s\n", left, rows[i]->help);
	}
	fprintf(out, "\n%s", c->epilog);
}
