/*
 * cmd_schedule.c - bytemill schedule: a job at its time, by cron or by systemd.
 *
 * What cron starts has another environment than the person who schedules it. So all that hangs on the environment is
 * settled here: the job is checked with the variables that cron gives and no others, every path is made absolute, and
 * the state directory is named where cron would find another one, or the lock of a run by hand would not be the lock of
 * the run at night.
 *
 * A crontab line logs to a file, since cron keeps no account of what went well; a service has the journal.
 *
 * The options of run that make sense there are taken by their rows in the table of options and passed on as they were
 * given: there is no second list of them.
 *
 * A job is known by a digest of the real paths of its files: that is what --install replaces and --remove takes out, and what
 * units that are already there must have to be replaced. A unit's name is the job's name, which another job may have too,
 * and the other one would never run again without anybody having been told.
 */
#include "commands.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_job.h"
#include "bm_mem.h"
#include "bm_state.h"
#include "bm_text.h"
#include "calendar.h"
#include "console.h"
#include "cron_expr.h"
#include "crontab.h"
#include "load.h"
#include "notify.h"
#include "units.h"

#define COMMAND "schedule"
#define AT(field) offsetof(struct bm_cli_options, field)
#define ID_BYTES 8
/* The groups of run's options that schedule takes and passes on. */
#define PASSED_ON                                                                                                      \
	(BM_CLI_RESOURCES | BM_CLI_GENTLE | BM_CLI_REPORT | BM_CLI_SETS | BM_CLI_STATE | BM_CLI_LOCK | BM_CLI_TELL |   \
	 BM_CLI_FENCE)

static const struct bm_cli_option options[] = {
	{
		.name = "cron",
		.type = BM_CLI_TEXT,
		.offset = AT(cron),
		.arg = "WHEN",
		.help = "minute, hour, day of the month, month, day of the week: \"0 3 * * *\"; or @daily and its like",
	},
	{
		.name = "install",
		.type = BM_CLI_FLAG,
		.offset = AT(install),
		.help = "put the line into your crontab, in place of an older one of this job",
	},
	{
		.name = "remove",
		.type = BM_CLI_FLAG,
		.offset = AT(remove),
		.help = "take this job's line out of your crontab",
	},
	{
		.name = "systemd",
		.type = BM_CLI_FLAG,
		.offset = AT(systemd),
		.help = "a service and a timer for systemd instead of a crontab line",
	},
	{
		.name = "on-calendar",
		.type = BM_CLI_TEXT,
		.offset = AT(on_calendar),
		.arg = "WHEN",
		.help = "when, in systemd's words (systemd.time): \"Mon..Fri 03:00\"; goes with --systemd",
	},
	{
		.name = "output",
		.letter = 'o',
		.type = BM_CLI_TEXT,
		.offset = AT(units_dir),
		.arg = "DIR",
		.help = "write the two files into DIR, in place of older ones of this job; goes with --systemd",
	},
};

struct schedule {
	const struct bm_cli_options *o;
	char **files; /* real paths of the job files; owned, each too */
	size_t file_count;
	struct bm_strings words; /* the command */
	char *state;             /* the state directory; owned */
	bool names_state;        /* the run would find another one by itself */
	char id[2 * ID_BYTES + 1];
};

/* ---- what was asked for ---- */

static int check_options(const struct bm_cli_options *o)
{
	if (o->operand_count == 0)
		return bm_usage_error(COMMAND, "no job file was given");
	for (size_t i = 0; i < o->operand_count; i++)
		if (strcmp(o->operands[i], "-") == 0)
			return bm_usage_error(
				COMMAND, "\"-\" (standard input) cannot be scheduled: nobody is there at night to type "
					 "it; name a file");
	if (o->remove) {
		if (o->install || o->systemd || o->cron != NULL || o->on_calendar != NULL || o->units_dir != NULL)
			return bm_usage_error(COMMAND,
			                      "--remove takes a line out of the crontab; it goes with job files "
			                      "alone");
		return 0;
	}
	if (o->install && o->systemd)
		return bm_usage_error(COMMAND,
		                      "--install is for crontabs; with --systemd use --output /etc/systemd/system");
	if (!o->systemd && (o->on_calendar != NULL || o->units_dir != NULL))
		return bm_usage_error(COMMAND, "--%s goes with --systemd",
		                      o->units_dir != NULL ? "output" : "on-calendar");
	if (o->cron != NULL && o->on_calendar != NULL)
		return bm_usage_error(COMMAND, "--cron and --on-calendar both say when; give one of them");
	if (o->cron == NULL && o->on_calendar == NULL)
		return bm_usage_error(COMMAND, "nothing says when; give --cron \"0 3 * * *\"%s",
		                      o->systemd ? " or --on-calendar \"03:00\"" : "");
	if (o->on_calendar != NULL && strpbrk(o->on_calendar, "\n\r\\") != NULL)
		return bm_usage_error(COMMAND, "--on-calendar holds a line break or backslash");
	if (o->no_lock && o->wait_ms > 0)
		return bm_usage_error(COMMAND,
		                      "--wait is how long to wait for the lock, and --no-lock does without one");
	return 0;
}

static int say_failed(const struct bm_error *err)
{
	bm_console_say_error(err);
	bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
	return BM_EXIT_USAGE;
}

/* The absolute path of what may not be there any more: realpath(3) of the directory at least. malloc'd. */
static char *absolute_path(const char *path)
{
	char *real = realpath(path, NULL);
	const char *slash = strrchr(path, '/'), *leaf = slash != NULL ? slash + 1 : path;
	struct bm_buf b = {0};
	char *dir, *real_dir;

	if (real != NULL)
		return real;
	dir = slash != NULL ? bm_memdup0(path, slash == path ? 1 : (size_t)(slash - path)) : bm_memdup0(".", 1);
	real_dir = dir != NULL ? realpath(dir, NULL) : NULL;
	if (real_dir != NULL) {
		bm_buf_puts(&b, real_dir);
		if (b.len > 0 && b.data != NULL && b.data[b.len - 1] != '/')
			bm_buf_putc(&b, '/');
	} else if (path[0] != '/') {
		char *cwd = getcwd(NULL, 0);

		bm_buf_printf(&b, "%s/", cwd != NULL ? cwd : "");
		free(cwd);
	}
	bm_buf_puts(&b, real_dir != NULL ? leaf : path);
	free(dir);
	free(real_dir);
	return bm_buf_take(&b);
}

static enum bm_status find_files(struct schedule *s, struct bm_error *err)
{
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
	struct bm_digest *d = NULL;
	struct bm_buf hex = {0};
	enum bm_status status = bm_digest_create(bm_digest_find("xxh128"), &d, err);

	s->files = bm_calloc_array(s->o->operand_count, sizeof(*s->files));
	if (s->files == NULL) {
		bm_digest_destroy(d);
		return bm_error_set_nomem(err);
	}
	for (size_t i = 0; i < s->o->operand_count && status == BM_OK; i++) {
		char *path = s->files[i] = absolute_path(s->o->operands[i]);

		if (path == NULL) {
			status = bm_error_set_nomem(err);
			break;
		}
		s->file_count++;
		status = bm_digest_update(d, path, strlen(path) + 1, err);
	}
	if (status == BM_OK)
		status = bm_digest_finish(d, bytes, err);
	if (status == BM_OK) {
		bm_hex_put(&hex, bytes, ID_BYTES);
		if (hex.oom)
			status = bm_error_set_nomem(err);
		else
			memcpy(s->id, hex.data, sizeof(s->id));
	}
	bm_buf_fini(&hex);
	bm_digest_destroy(d);
	return status;
}

/* ---- as cron will see it ---- */

/* HOME, LOGNAME, PATH and SHELL, as cron(8) sets them. Freed with its strings by free_environment. */
static char **make_environment(void)
{
	char **env = bm_calloc_array(5, sizeof(*env));
	struct passwd entry, *found = NULL;
	char text[4096];
	struct bm_buf b = {0};

	if (env == NULL)
		return NULL;
	if (getpwuid_r(getuid(), &entry, text, sizeof(text), &found) != 0)
		found = NULL;
	bm_buf_printf(&b, "HOME=%s", found != NULL ? found->pw_dir : "/");
	env[0] = bm_buf_take(&b);
	bm_buf_printf(&b, "LOGNAME=%s", found != NULL ? found->pw_name : "nobody");
	env[1] = bm_buf_take(&b);
	env[2] = strdup("PATH=/usr/bin:/bin");
	env[3] = strdup("SHELL=/bin/sh");
	return env;
}

static void free_environment(char **env)
{
	for (size_t i = 0; env != NULL && env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

/* The job files and the state directory, with cron's environment in place of ours. */
static int check_jobs(struct schedule *s, struct bm_jobs **jobs)
{
	char **ours = environ, **crons = make_environment();
	struct bm_faults faults = {0};
	struct bm_error err = BM_ERROR_INIT;
	char *then = NULL;
	int rc;

	if (crons == NULL) {
		(void)bm_error_set_nomem(&err);
		return say_failed(&err);
	}
	rc = bm_state_dir(s->o->state, &s->state, &err) == BM_OK ? 0 : say_failed(&err);
	if (rc == 0) {
		/* There is only this thread. */
		environ = crons;
		rc = bm_load_jobs(COMMAND, s->o, &faults, jobs);
		if (rc != 0)
			bm_console_say(
				BM_CONSOLE_PLAIN,
				"(of the environment the job will have HOME, LOGNAME, PATH=/usr/bin:/bin and SHELL; give "
				"other values with --set)");
		else
			s->names_state = bm_state_dir(NULL, &then, NULL) != BM_OK || strcmp(s->state, then) != 0;
		if (rc == 0 && !s->o->systemd) /* which has another PATH, one of its own */
			bm_notify_check(*jobs);
		environ = ours;
	}
	free_environment(crons);
	free(then);
	return rc;
}

/* ---- the command ---- */

static bool add_option(struct schedule *s, const struct bm_cli_given *given)
{
	const struct bm_cli_option *option = given->option;
	struct bm_buf b = {0};
	bool is_good;
	char *path;

	bm_buf_printf(&b, "--%s", option->name);
	is_good = !b.oom && bm_strings_add(&s->words, b.data);
	bm_buf_fini(&b);
	if (!is_good || given->arg == NULL)
		return is_good;
	if (!option->is_path || strcmp(given->arg, "-") == 0 ||
	    (option->not_path != NULL && strcmp(given->arg, option->not_path) == 0))
		return bm_strings_add(&s->words, given->arg);
	path = absolute_path(given->arg);
	is_good = path != NULL && bm_strings_add(&s->words, path);
	free(path);
	return is_good;
}

/* The job's name, or that of the file where it holds several. */
static void put_job_name(struct bm_buf *out, const struct schedule *s, const struct bm_jobs *jobs)
{
	const char *leaf = strrchr(s->files[0], '/') + 1;
	size_t len = strlen(leaf);

	if (jobs->count == 1) {
		bm_buf_puts(out, jobs->jobs[0]->p.name);
		return;
	}
	if (len > 5 && strcmp(leaf + len - 5, ".json") == 0)
		len -= 5;
	bm_buf_put(out, leaf, len);
}

/* --log <state>/logs/NAME.log */
static bool add_log(struct schedule *s, const struct bm_jobs *jobs)
{
	struct bm_buf name = {0}, path = {0};
	bool is_good;

	put_job_name(&name, s, jobs);
	bm_buf_printf(&path, "%s/logs/", s->state);
	for (size_t i = 0; i < name.len; i++) {
		bool is_plain = isalnum((unsigned char)name.data[i]) || strchr("._-", name.data[i]) != NULL;

		bm_buf_putc(&path, is_plain && !(i == 0 && name.data[i] == '.') ? name.data[i] : '_');
	}
	bm_buf_puts(&path, ".log");
	is_good = !name.oom && !path.oom && bm_strings_add(&s->words, "--log") && bm_strings_add(&s->words, path.data);
	bm_buf_fini(&name);
	bm_buf_fini(&path);
	return is_good;
}

static enum bm_status make_words(struct schedule *s, const struct bm_jobs *jobs, struct bm_error *err)
{
	char *self = realpath("/proc/self/exe", NULL);
	bool is_good;

	if (self == NULL)
		return bm_error_set_errno(
			err, errno, NULL,
			"this program's own path is not known (/proc/self/exe); was it replaced while it "
			"ran?");
	is_good = bm_strings_add(&s->words, self) && bm_strings_add(&s->words, "run") &&
	          bm_strings_add(&s->words, "--quiet");
	free(self);
	if (s->names_state)
		is_good = is_good && bm_strings_add(&s->words, "--state") && bm_strings_add(&s->words, s->state);
	if (!s->o->systemd && s->o->log == NULL)
		is_good = is_good && add_log(s, jobs);
	for (size_t i = 0; i < s->o->given_count && is_good; i++)
		if ((s->o->given[i].option->group & PASSED_ON & ~(unsigned)BM_CLI_STATE) != 0)
			is_good = add_option(s, &s->o->given[i]);
	for (size_t i = 0; i < s->file_count && is_good; i++)
		is_good = bm_strings_add(&s->words, s->files[i]);
	if (is_good) { /* NULL-terminated */
		char **items = bm_realloc_array(s->words.items, s->words.count + 1, sizeof(*items));

		is_good = items != NULL;
		if (is_good) {
			s->words.items = items;
			items[s->words.count] = NULL;
		}
	}
	return is_good ? BM_OK : bm_error_set_nomem(err);
}

/* ---- cron ---- */

static int say_change(const struct bm_cli_options *o, enum bm_crontab_change change, const char *line)
{
	static const char *const words[] = {
		[BM_CRONTAB_ADDED] = "added to your crontab: ",
		[BM_CRONTAB_REPLACED] = "replaced in your crontab, now: ",
		[BM_CRONTAB_REMOVED] = "taken out of your crontab",
		[BM_CRONTAB_SAME] = "your crontab has it already: ",
	};
	char shown[2048];

	if (o->quiet)
		return BM_EXIT_DONE;
	if (line == NULL)
		bm_console_say(BM_CONSOLE_PLAIN, "%s",
		               change == BM_CRONTAB_SAME ? "your crontab has no line of this job" : words[change]);
	else
		bm_console_say(BM_CONSOLE_PLAIN, "%s%s", words[change],
		               bm_escape_message_buf(shown, sizeof(shown), line, strlen(line)));
	return BM_EXIT_DONE;
}

static int by_cron(struct schedule *s)
{
	struct bm_error err = BM_ERROR_INIT;
	enum bm_crontab_change change = BM_CRONTAB_SAME;
	struct bm_buf line = {0}, when = {0};
	enum bm_status status;
	int rc = BM_EXIT_DONE;

	bm_cron_put_words(&when, s->o->cron);
	status = when.oom ? bm_error_set_nomem(&err) : bm_crontab_line(&line, when.data, s->words.items, s->id, &err);
	if (status == BM_OK && s->o->install)
		status = bm_crontab_set(s->id, line.data, &change, &err);
	if (status != BM_OK)
		rc = say_failed(&err);
	else if (s->o->install)
		rc = say_change(s->o, change, line.data);
	else
		printf("%s\n", line.data);
	bm_buf_fini(&line);
	bm_buf_fini(&when);
	return rc;
}

static int take_out(struct schedule *s)
{
	struct bm_error err = BM_ERROR_INIT;
	enum bm_crontab_change change = BM_CRONTAB_SAME;

	if (bm_crontab_set(s->id, NULL, &change, &err) != BM_OK)
		return say_failed(&err);
	return say_change(s->o, change, NULL);
}

/* ---- systemd ---- */

static void print_unit(const char *unit, const char *suffix, const struct bm_buf *text)
{
	printf("# /etc/systemd/system/%s.%s\n%s", unit, suffix, text->data);
}

static int by_systemd(struct schedule *s, const struct bm_jobs *jobs, const struct bm_cron *cron)
{
	struct bm_buf name = {0}, unit = {0}, calendar = {0}, service = {0}, timer = {0};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;
	int rc = BM_EXIT_DONE;

	put_job_name(&name, s, jobs);
	if (s->o->on_calendar != NULL)
		bm_buf_printf(&calendar, "OnCalendar=%s\n", s->o->on_calendar);
	else
		bm_cron_put_calendar(&calendar, cron);
	if (name.oom || calendar.oom) {
		status = bm_error_set_nomem(&err);
	} else {
		struct bm_units u = {name.data, s->words.items, calendar.data, s->id};

		bm_units_put_name(&unit, name.data);
		bm_units_put_service(&service, &u);
		bm_units_put_timer(&timer, &u);
		status = unit.oom || service.oom || timer.oom ? bm_error_set_nomem(&err) : BM_OK;
	}
	if (status == BM_OK && s->o->units_dir != NULL) {
		status = bm_units_write(s->o->units_dir, unit.data, s->id, &service, &timer, &err);
	} else if (status == BM_OK) {
		print_unit(unit.data, "service", &service);
		printf("\n");
		print_unit(unit.data, "timer", &timer);
	}
	if (status != BM_OK)
		rc = say_failed(&err);
	else if (s->o->units_dir != NULL && !s->o->quiet)
		bm_console_say(BM_CONSOLE_PLAIN,
		               "written: %s.service and .timer; \"systemctl daemon-reload && systemctl enable --now "
		               "'%s.timer'\" starts the timer",
		               unit.data, unit.data);
	bm_buf_fini(&name);
	bm_buf_fini(&unit);
	bm_buf_fini(&calendar);
	bm_buf_fini(&service);
	bm_buf_fini(&timer);
	return rc;
}

/* ---- all of it ---- */

static int schedule(const struct bm_cli_options *o)
{
	struct schedule s = {.o = o};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	struct bm_cron cron;
	int rc = check_options(o);

	if (rc == 0 && o->cron != NULL && bm_cron_parse(o->cron, &cron, &err) != BM_OK)
		rc = bm_usage_error(COMMAND, "--cron: %s", err.text);
	if (rc == 0 && o->on_calendar != NULL && bm_calendar_check(o->on_calendar, &err) != BM_OK)
		rc = bm_usage_error(COMMAND, "--on-calendar: %s", err.text);
	if (rc == 0 && find_files(&s, &err) != BM_OK)
		rc = say_failed(&err);
	if (rc == 0 && o->remove) {
		rc = take_out(&s);
		goto out;
	}
	if (rc == 0)
		rc = check_jobs(&s, &jobs);
	if (rc == 0 && make_words(&s, jobs, &err) != BM_OK)
		rc = say_failed(&err);
	if (rc == 0)
		rc = o->systemd ? by_systemd(&s, jobs, &cron) : by_cron(&s);
out:
	bm_jobs_destroy(jobs);
	for (size_t i = 0; i < s.file_count; i++)
		free(s.files[i]);
	free(s.files);
	for (size_t i = 0; i < s.words.count; i++)
		free(s.words.items[i]);
	free(s.words.items);
	free(s.state);
	return rc;
}

const struct bm_cli_command bm_cmd_schedule = {
	.name = COMMAND,
	.operands = "JOB.json...",
	.summary = "the crontab line or the systemd timer that runs job files",
	.about =
		"Checks the job files and prints the crontab line that runs them quietly, with absolute paths; or puts\n"
		"it into your crontab. The other options below are those of run, and are passed on to it.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = PASSED_ON | BM_CLI_TALK,
	.epilog = "Examples:\n"
		  "  bytemill schedule --cron '0 3 * * *' nightly.json\n"
		  "  bytemill schedule --cron @hourly --install --wait 10m nightly.json\n"
		  "  bytemill schedule --remove nightly.json\n"
		  "  bytemill schedule --systemd --on-calendar 'Sun 04:00' -o /etc/systemd/system sums.json\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 done; 2 usage or job file wrong, or the crontab cannot be changed: nothing was done\n",
	.run = schedule,
};
