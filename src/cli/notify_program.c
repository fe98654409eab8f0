/*
 * notify_program.c - which program a notify command is, and whether it could be run now.
 *
 * A command is run when something went wrong, perhaps once a year: that its program is misspelt, or gone, must not wait
 * until then. It is looked for as posix_spawnp will; that it is not there now is a warning, since it may be by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "console.h"
#include "notify.h"

#define USUAL_PATH "/bin:/usr/bin" /* execvp's where there is no PATH */

char *bm_notify_program(const struct bm_job *job)
{
	const char *word = job->p.notify_command.items[0], *slash = strrchr(job->file, '/');
	struct bm_buf path = {0};

	if (word[0] != '/' && strchr(word, '/') != NULL && slash != NULL)
		bm_buf_put(&path, job->file, (size_t)(slash - job->file) + 1);
	bm_buf_puts(&path, word);
	return bm_buf_take(&path);
}

/* 0 or errno. */
static int look_at(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? EISDIR : EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* The same of a name without a slash: as execvp, what may not be run is passed over. */
static int search(const char *name)
{
	const char *at = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): there is only this thread */
	struct bm_buf path = {0};
	int found = ENOENT;

	for (at = at != NULL ? at : USUAL_PATH; found != 0; at++) {
		size_t len = strcspn(at, ":");
		int error;

		bm_buf_reset(&path);
		bm_buf_put(&path, at, len);
		bm_buf_puts(&path, len > 0 ? "/" : "");
		bm_buf_puts(&path, name);
		error = path.oom ? ENOMEM : look_at(path.data);
		if (error == 0 || error == EACCES)
			found = error;
		at += len;
		if (*at == '\0')
			break;
	}
	bm_buf_fini(&path);
	return found;
}

void bm_notify_check(const struct bm_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++) {
		const struct bm_job *job = jobs->jobs[i];
		struct bm_error err = BM_ERROR_INIT;
		char name[200], word[300];
		char *program;
		int error;

		if (!job->p.notify)
			continue;
		program = bm_notify_program(job);
		error = program == NULL ? ENOMEM : strchr(program, '/') != NULL ? look_at(program) : search(program);
		if (error != 0) {
			(void)bm_error_set_errno(&err, error, NULL, "cannot be run as things are%s",
			                         strchr(job->p.notify_command.items[0], '/') == NULL
			                                 ? " (it is looked for along PATH)"
			                                 : "");
			/* Also with --quiet: it is those whom nobody watches that notify. */
			bm_console_say(BM_CONSOLE_WARNING, "%s: the notify command %s %s",
			               bm_escape_display_buf(name, sizeof(name), job->p.name, strlen(job->p.name)),
			               bm_escape_display_buf(word, sizeof(word), job->p.notify_command.items[0],
			                                     strlen(job->p.notify_command.items[0])),
			               err.text);
		}
		free(program);
	}
}
