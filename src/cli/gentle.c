/*
 * gentle.c - see gentle.h. Both are Linux' affair of a thread, not of a process, so it is done before there are threads.
 *
 * Sources: setpriority(2), ioprio_set(2), linux/ioprio.h.
 */
#include "gentle.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "console.h"

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_SHIFT 13
#define DEFAULT_LEVEL 4

static const struct {
	const char *name;
	int class, most; /* most: the largest level; -1: it has none */
} classes[] = {{"realtime", 1, 7}, {"best-effort", 2, 7}, {"idle", 3, -1}};

/* CLASS[:N] to what ioprio_set takes; -1: it is none. */
static int parse(const char *text)
{
	size_t len = strcspn(text, ":");

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		const char *level = text + len;

		if (strncmp(classes[i].name, text, len) != 0 || classes[i].name[len] != '\0')
			continue;
		if (*level == '\0')
			return classes[i].class << IOPRIO_CLASS_SHIFT | (classes[i].most >= 0 ? DEFAULT_LEVEL : 0);
		if (level[1] < '0' || level[1] - '0' > classes[i].most || level[2] != '\0')
			return -1;
		return classes[i].class << IOPRIO_CLASS_SHIFT | (level[1] - '0');
	}
	return -1;
}

static void warn(const char *what)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)bm_error_set_errno(&err, errno, NULL, "%s cannot be set; the run goes on without", what);
	bm_console_say(BM_CONSOLE_WARNING, "%s", err.text);
}

int bm_gentle_apply(const struct bm_cli_options *o, const char *command)
{
	int priority = o->ionice != NULL ? parse(o->ionice) : 0;
	char shown[128];

	if (priority < 0)
		return bm_usage_error(command,
		                      "--ionice is \"%s\"; allowed: idle, best-effort[:0 to 7], realtime[:0 to 7]",
		                      bm_escape_display_buf(shown, sizeof(shown), o->ionice, strlen(o->ionice)));
	if (o->nice > 0 && setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + (int)o->nice) != 0)
		warn("--nice");
	if (o->ionice != NULL && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) != 0)
		warn("--ionice");
	return 0;
}
