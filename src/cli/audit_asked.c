/*
 * audit_asked.c - was there anything of what --under and --include name? See audit_asked.h.
 *
 * An audit of nothing has no differences, and that is what a misspelt name makes of it. So each --under must either have
 * had a file that was compared, or be in the directory: one whose files are all passed over, by --exclude say, was not
 * misspelt. A pattern of --include may well have nothing that it matches, beside others that have; where all of them together leave
 * nothing, that is as bad as a wrong name. Nothing that comes of --exclude alone, or of a manifest and a directory that are
 * both empty, is told, and no failure: a misspelt --exclude leaves more, and not less.
 */
#include "audit_asked.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bm_text.h"
#include "console.h"

/* As the comparing takes it: without "./" before and "/" behind; length 0 is all. */
static const char *trim_under(const char *name, size_t *len)
{
	size_t n;

	while (name[0] == '.' && name[1] == '/')
		name += 2 + strspn(name + 2, "/");
	n = strlen(name);
	while (n > 0 && name[n - 1] == '/')
		n--;
	*len = n == 1 && name[0] == '.' ? 0 : n;
	return name;
}

/* Has it parts that no name in a manifest or a directory has? */
static bool is_odd(const char *name, size_t len)
{
	for (size_t at = 0; at < len; at++) {
		size_t n = strcspn(&name[at], "/");

		if (n > len - at)
			n = len - at;
		if (n == 0 || (n <= 2 && memcmp(&name[at], "..", n) == 0))
			return true;
		at += n;
	}
	return false;
}

int bm_audit_check_under(const char *command, const struct bm_cli_options *o)
{
	char shown[256];

	for (size_t i = 0; i < o->under.count; i++) {
		const char *given = o->under.items[i];
		size_t len;
		const char *name = trim_under(given, &len);

		if (given[0] == '/' || given[0] == '\0' || is_odd(name, len))
			return bm_usage_error(command, "--under wants a name below ROOT, as DIR/FILE, not \"%s\"",
			                      bm_escape_display_buf(shown, sizeof(shown), given, strlen(given)));
	}
	return 0;
}

void bm_audit_asked_file(struct bm_audit_asked *a, const struct bm_file_result *file)
{
	if (file->verdict == BM_VERDICT_NONE)
		return;
	a->any = true;
	for (size_t i = a->first; i < a->o->under.count && a->found != NULL; i++) {
		size_t len;
		const char *name = trim_under(a->o->under.items[i], &len);

		if (!a->found[i])
			a->found[i] = len == 0 || (strncmp(file->path, name, len) == 0 &&
			                           (file->path[len] == '\0' || file->path[len] == '/'));
		if (a->found[i] && i == a->first)
			a->first++;
	}
}

bool bm_audit_asked_init(struct bm_audit_asked *a, const struct bm_cli_options *o)
{
	*a = (struct bm_audit_asked){.o = o};
	if (o->under.count > 0)
		a->found = bm_calloc_array(o->under.count, sizeof(*a->found));
	return o->under.count == 0 || a->found != NULL;
}

void bm_audit_asked_fini(struct bm_audit_asked *a)
{
	free(a->found);
	a->found = NULL;
}

/* Is it there, whatever of it may be passed over? The walk does not go behind a link, unless told to. */
static bool is_there(const struct bm_cli_options *o, const char *root, const char *name, bool *is_link)
{
	struct bm_buf path = {0};
	struct stat st;
	bool found;

	bm_buf_printf(&path, "%s/%s", root, name);
	found = !path.oom && fstatat(AT_FDCWD, path.data, &st, o->follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
	*is_link = found && S_ISLNK(st.st_mode);
	bm_buf_fini(&path);
	return found && !*is_link;
}

static void put_option(struct bm_buf *list, bool is_given, const char *name)
{
	if (is_given)
		bm_buf_printf(list, "%s--%s", list->len > 0 ? ", " : "", name);
}

static void say_no_file(const struct bm_cli_options *o, enum bm_console_tag tag)
{
	struct bm_buf with = {0};

	put_option(&with, o->exclude.count > 0, "exclude");
	put_option(&with, o->no_hidden, "no-hidden");
	put_option(&with, o->ignore_new, "ignore-new");
	put_option(&with, o->ignore_missing, "ignore-missing");
	bm_console_say(tag, "nothing was compared: no file is left%s%s%s%s",
	               o->include.count > 0 ? " that --include lets through" : "",
	               with.len > 0 && !with.oom ? " (with " : "", with.len > 0 && !with.oom ? with.data : "",
	               with.len > 0 && !with.oom ? ")" : "");
	bm_buf_fini(&with);
}

int bm_audit_asked_end(const struct bm_audit_asked *a, const char *root, int rc)
{
	const struct bm_cli_options *o = a->o;
	bool is_bad = false;
	char shown[256];

	for (size_t i = a->first; i < o->under.count; i++) {
		const char *name = o->under.items[i];
		bool is_link = false;
		size_t len;

		(void)trim_under(name, &len);
		if (a->found[i] || len == 0 || (root != NULL && is_there(o, root, name, &is_link)))
			continue;
		is_bad = true;
		bm_console_say(BM_CONSOLE_ERROR, "--under %s: nothing was compared: %s",
		               bm_escape_display_buf(shown, sizeof(shown), name, strlen(name)),
		               is_link        ? "it is a symbolic link, and --follow was not given"
		               : root == NULL ? "neither manifest has a file or directory of this name"
		                              : "there is no file or directory of this name");
	}
	if (!a->any && !is_bad && !a->is_partial) {
		is_bad = o->include.count > 0;
		if (is_bad || !o->quiet)
			say_no_file(o, is_bad ? BM_CONSOLE_ERROR : BM_CONSOLE_PLAIN);
	}
	return is_bad && rc == BM_EXIT_DONE ? BM_EXIT_FAILED : rc;
}
