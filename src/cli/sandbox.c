/*
 * sandbox.c - a run that can open only what its jobs name.
 *
 * Job files take in what others wrote: archives, keys, names of any kind. Should a decoder have a hole, or a link lie where
 * it was not meant to be, the run still can only read its inputs and write where its outputs go. The kernel sees to that
 * (landlock.c), from before the first thread until the end. What may be done where is taken from the table of steps:
 *
 *	read	from (of a pattern: the directory that it begins in), key and list files, manifests that are compared with,
 *		and what the program itself reads: time zones, libraries, cgroups, names of hosts
 *	write	the directory that every output of a step lies in or below (up to the first placeholder; what is not there
 *		yet: the nearest one above), those of --metrics and of a --report that is made at the end
 *	both	the state directory, and TMPDIR (else /tmp and /var/tmp) for what does not fit in memory
 *	remove	inputs, with "remove"
 *
 * A rule for reading costs the kernel a look at every directory above a file that is opened: 10 to 20 % where files of a few
 * KiB are digested from the cache, and nothing else is done. Jobs that only look at bytes and copy them have no decoder
 * that could be led astray: with --sandbox auto their reading is not restricted, which makes it free.
 *
 * Files that are open already (the log, the report, locks, standard output) are not touched by it. Where names come from a
 * list, or links are followed, what will be read is not known before: then reading is not restricted, writing is. Nor is
 * it where there are more than MAX_ROOTS inputs on the command line.
 *
 * A notify command has rights of its own: it is run by a process that was started before (notify.c).
 */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bm_glob.h"
#include "bm_job.h"
#include "bm_state.h"
#include "bm_temp.h"
#include "console.h"
#include "landlock.h"

#define MAX_ROOTS 256
#define OUTPUT (BM_LANDLOCK_READ | BM_LANDLOCK_WRITE | BM_LANDLOCK_MAKE)

const char *const bm_sandbox_modes[] = {"auto", "on", "off", NULL};

static bool is_up; /* once a process; main's thread writes it, before there are others */

/* What a run reads for itself. Nothing there is a secret. */
static const char *const own_files[] = {
	"/etc/localtime",
	"/usr/share/zoneinfo",
	"/usr/lib",
	"/usr/lib64",
	"/usr/local/lib",
	"/lib",
	"/lib64",
	"/proc/self",
	"/proc/meminfo",
	"/proc/sys/kernel/random/boot_id",
	"/sys/fs/cgroup",
	"/sys/devices/system",
	"/dev/urandom",
	"/etc/ssl/openssl.cnf",
	"/etc/ssl/certs",
	"/etc/pki/tls/certs",
	"/usr/share/ca-certificates",
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/host.conf",
	"/etc/nsswitch.conf",
	"/etc/gai.conf",
	"/etc/services",
};

static bool is_nothing(const char *path)
{
	return path == NULL || *path == '\0' || strcmp(path, "-") == 0 || strstr(path, "://") != NULL;
}

/* The length of path's directory part, with its '/'. */
static size_t dir_len(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len;
}

/* ---- what the steps say ---- */

static void allow_input(struct bm_landlock *l, const struct bm_read_params *p, const char *path)
{
	bool is_glob = !p->literal && bm_glob_has_magic(path);
	size_t len = is_glob ? dir_len(path, bm_glob_literal_prefix(path)) : strlen(path);
	struct stat st;
	char *text;

	if (is_nothing(path))
		return;
	text = len > 0 ? strndup(path, len) : strdup(".");
	if (text == NULL)
		return; /* then it cannot be read, which is told */
	bm_landlock_allow(l, text, BM_LANDLOCK_READ);
	if (p->remove) {
		if (stat(text, &st) == 0 && !S_ISDIR(st.st_mode))
			len = dir_len(text, len);
		bm_landlock_allow_near(l, text, len, BM_LANDLOCK_REMOVE);
	}
	free(text);
}

static void allow_read(struct bm_landlock *l, const struct bm_read_params *p)
{
	if (p->files_from != NULL || p->follow_symlinks || p->nothing || p->from.count > MAX_ROOTS)
		bm_landlock_allow(l, "/", BM_LANDLOCK_READ | (p->remove ? BM_LANDLOCK_REMOVE : 0U));
	for (size_t i = 0; i < p->from.count && i <= MAX_ROOTS; i++)
		allow_input(l, p, p->from.items[i]);
}

/* A path with placeholders: the directory up to the first, with all that may be made in it. */
static void allow_template(struct bm_landlock *l, const char *text, unsigned rights)
{
	struct stat st;
	size_t fixed = strcspn(text, "{");

	if (is_nothing(text))
		return;
	/* A device or FIFO is written in place; its directory is not the run's. */
	if (text[fixed] == '\0' && stat(text, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		bm_landlock_allow(l, text, rights);
	else if (rights == BM_LANDLOCK_READ && text[fixed] == '\0')
		bm_landlock_allow(l, text, rights);
	else
		bm_landlock_allow_near(l, text, dir_len(text, fixed), rights);
}

static void allow_option(struct bm_landlock *l, const struct bm_step *step, const struct bm_option *opt)
{
	const void *field = (const char *)&step->p + opt->offset;
	const struct bm_strings *list = field;

	switch (opt->type) {
	case BM_OPTION_PATH:
		if (!is_nothing(*(char *const *)field))
			bm_landlock_allow(l, *(char *const *)field, BM_LANDLOCK_READ);
		break;
	case BM_OPTION_FILES:
		for (size_t i = 0; i < list->count; i++)
			if (!is_nothing(list->items[i]))
				bm_landlock_allow(l, list->items[i], BM_LANDLOCK_READ);
		break;
	case BM_OPTION_TEMPLATE:
		if (*(char *const *)field != NULL)
			allow_template(l, *(char *const *)field,
			               step->kind->reads_manifest ? BM_LANDLOCK_READ : OUTPUT);
		break;
	case BM_OPTION_OBJECT: /* its keys are in the same struct */
		for (size_t i = 0; *(const bool *)field && i < opt->field_count; i++)
			allow_option(l, step, &opt->fields[i]);
		break;
	default:
		break;
	}
}

static void allow_jobs(struct bm_landlock *l, const struct bm_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		for (size_t k = 0; k < jobs->jobs[i]->step_count; k++) {
			const struct bm_step *step = &jobs->jobs[i]->steps[k];

			if (step->kind->role == BM_ROLE_READ)
				allow_read(l, &step->p.read);
			for (size_t m = 0; m < step->kind->option_count; m++)
				allow_option(l, step, &step->kind->options[m]);
		}
}

static bool is_s3(const char *text)
{
	return text != NULL && strncmp(text, "s3://", 5) == 0;
}

static bool step_uses_s3(const struct bm_step *step)
{
	const struct bm_read_params *r = &step->p.read;
	const struct bm_read_url *urls = r->urls.items;

	if (step->kind->role != BM_ROLE_READ)
		return (strcmp(step->kind->name, "write") == 0 || strcmp(step->kind->name, "copy") == 0) &&
		       is_s3(step->p.write.to);
	for (size_t i = 0; i < r->from.count; i++)
		if (is_s3(r->from.items[i]))
			return true;
	for (size_t i = 0; i < r->urls.count; i++)
		if (is_s3(urls[i].url))
			return true;
	return r->urls_from != NULL;
}

/* Where libraries for S3 look for who we are. */
static void allow_s3(struct bm_landlock *l, const struct bm_jobs *jobs)
{
	const char *file = secure_getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = secure_getenv("HOME");
	struct bm_buf path = {0};
	bool any = false;

	for (size_t i = 0; i < jobs->count; i++)
		for (size_t k = 0; k < jobs->jobs[i]->step_count; k++)
			any = any || step_uses_s3(&jobs->jobs[i]->steps[k]);
	if (!any || (file == NULL && home == NULL))
		return;
	if (file != NULL)
		bm_buf_puts(&path, file);
	else
		bm_buf_printf(&path, "%s/.aws/credentials", home);
	if (!path.oom)
		bm_landlock_allow(l, path.data, BM_LANDLOCK_READ);
	bm_buf_fini(&path);
}

/* ---- what the program needs ---- */

static void allow_file_of(struct bm_landlock *l, const char *path)
{
	if (!is_nothing(path) && strcmp(path, "syslog") != 0)
		bm_landlock_allow_near(l, path, dir_len(path, strlen(path)), OUTPUT);
}

static void allow_own(struct bm_landlock *l, const struct bm_cli_options *o, bool makes_report)
{
	struct bm_error ignored = BM_ERROR_INIT;
	char *state = NULL;

	for (size_t i = 0; i < BM_CLI_COUNT(own_files); i++)
		bm_landlock_allow(l, own_files[i], BM_LANDLOCK_READ);
	bm_landlock_allow(l, "/dev/null", BM_LANDLOCK_READ | BM_LANDLOCK_WRITE);
	bm_landlock_allow(l, bm_temp_dir(), OUTPUT);
	if (secure_getenv("TMPDIR") == NULL)
		bm_landlock_allow(l, "/var/tmp", OUTPUT); /* SQLite's */
	if (bm_state_dir(o->state, &state, &ignored) == BM_OK)
		bm_landlock_allow(l, state, OUTPUT);
	free(state);
	if (makes_report)
		allow_file_of(l, o->report);
	allow_file_of(l, o->metrics);
}

/* ---- raising it ---- */

void bm_sandbox_no_new_rights(void)
{
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Is there a step that makes other bytes of what it reads? */
static bool changes_bytes(const struct bm_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		for (size_t k = 0; k < jobs->jobs[i]->step_count; k++)
			if (jobs->jobs[i]->steps[k].kind->role == BM_ROLE_CHANGE)
				return true;
	return false;
}

static enum bm_status raise_it(const struct bm_jobs *jobs, const struct bm_cli_options *o, bool makes_report,
                               struct bm_error *err)
{
	struct bm_landlock *l = NULL;
	bool writes_only = o->sandbox != BM_SANDBOX_ON && !changes_bytes(jobs);
	enum bm_status status = bm_landlock_create(writes_only, &l, err);

	if (status != BM_OK)
		return status;
	tzset(); /* TZ may name a file of the user's */
	allow_own(l, o, makes_report);
	allow_jobs(l, jobs);
	allow_s3(l, jobs);
	status = bm_landlock_raise(l, err);
	bm_landlock_destroy(l);
	return status;
}

int bm_sandbox_enter(const struct bm_jobs *jobs, const struct bm_cli_options *o, bool makes_report)
{
	struct bm_error err = BM_ERROR_INIT;

	if (o->sandbox == BM_SANDBOX_OFF || is_up)
		return 0;
	if (raise_it(jobs, o, makes_report, &err) == BM_OK) {
		is_up = true;
		return 0;
	}
	if (o->sandbox == BM_SANDBOX_ON) {
		bm_console_say_error(&err);
		bm_console_say(BM_CONSOLE_PLAIN, "--sandbox auto would run without one; nothing was done");
		return BM_EXIT_USAGE;
	}
	/* Every night the same: --quiet is for that. */
	bm_console_tell(bm_console_unless(o->quiet), BM_CONSOLE_WARNING,
	                "%s; the run goes on without a sandbox (--sandbox off says that this is meant)", err.text);
	return 0;
}

/* Landlock lets access(2) tell what may be done without it. */
static bool may_open(const char *path)
{
	size_t len = dir_len(path, strlen(path));
	char *dir = len > 0 ? strndup(path, len) : strdup(".");
	bool may = access(path, F_OK) == 0 ? access(path, R_OK) == 0 : dir != NULL && access(dir, W_OK | X_OK) == 0;

	free(dir);
	return may;
}

bool bm_sandbox_caused(const struct bm_error *err, const char *display)
{
	if (!is_up || err->sys_errno != EACCES)
		return false;
	return geteuid() == 0 || may_open(err->where[0] != '\0' || display == NULL ? err->where : display);
}
