/*
 * calendar.c - see calendar.h.
 *
 * The one that will read the words is systemd, and it has a program that says whether it takes them. Where that cannot be
 * asked (the units are made on another machine) it is only seen to that they are of the kind at all: "3am" and "sometimes" in
 * a timer would be passed over with a line in a journal that nobody reads, and the job would never run.
 *
 * Source: systemd.time(7), "Calendar Events".
 */
#include "calendar.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"

/* NOBODY: there is no such program, or none that could say. */
enum verdict { TAKEN, REFUSED, NOBODY };

static const char *const words[] = {"minutely",   "hourly",      "daily",         "weekly",  "monthly",
                                    "quarterly",  "yearly",      "annually",      "anually", "semiannually",
                                    "biannually", "bi-annually", "semi-annually", NULL};
static const char *const days[] = {"mon",     "tue",       "wed",      "thu",    "fri",      "sat",    "sun", "monday",
                                   "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", NULL};

/* ---- as it looks ---- */

static bool is_one_of(const char *text, size_t len, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strlen(*list) == len && strncasecmp(*list, text, len) == 0)
			return true;
	return false;
}

/* Mon  Mon,Wed  Mon..Fri  sat-sun  Mon, */
static bool is_days(const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t n = 0;

		while (at + n < len && isalpha((unsigned char)text[at + n]))
			n++;
		if (!is_one_of(text + at, n, days))
			return false;
		at += n;
		if (at == len)
			return true;
		at += strspn(text + at, ".,-");
	}
	return len > 0 && text[len - 1] == ',';
}

static bool is_zone(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && strchr("/_+-", text[i]) == NULL)
			return false;
	return isupper((unsigned char)text[0]);
}

/* 2026-*-01  *-*~1/2  03:00  *:0/15  @1700000000 */
static bool is_numbers(const char *text, size_t len)
{
	bool any = false, is_more = false;

	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) && strchr("*-:.,/~@", text[i]) == NULL)
			return false;
		any = any || isdigit((unsigned char)text[i]) || text[i] == '*';
		is_more = is_more || strchr("*-:~@", text[i]) != NULL;
	}
	return any && is_more; /* a number alone says nothing */
}

bool bm_calendar_is_plain(const char *text)
{
	bool has_time = false;
	size_t index = 0;

	for (const char *at = text + strspn(text, " \t"); *at != '\0'; index++) {
		size_t len = strcspn(at, " \t");
		const char *next = at + len + strspn(at + len, " \t");

		if (index == 0 && (is_days(at, len) || is_one_of(at, len, words)))
			has_time = true;
		else if (is_numbers(at, len))
			has_time = true;
		else if (index == 0 || *next != '\0' || !is_zone(at, len))
			return false;
		at = next;
	}
	return has_time && index <= 4;
}

/* ---- as systemd says ---- */

static enum verdict ask(const char *text)
{
	char name[] = "systemd-analyze", verb[] = "calendar", dashes[] = "--";
	char *arg = bm_memdup0(text, strlen(text));
	char *argv[] = {name, verb, dashes, arg, NULL};
	posix_spawn_file_actions_t actions;
	enum verdict verdict = NOBODY;
	pid_t pid = 0;
	int code = 0, rc;

	if (arg == NULL)
		return NOBODY;
	rc = posix_spawn_file_actions_init(&actions);
	if (rc == 0) {
		for (int fd = 0; fd < 3 && rc == 0; fd++)
			rc = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
		if (rc == 0)
			rc = posix_spawnp(&pid, name, &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	if (rc == 0) {
		while ((rc = waitpid(pid, &code, 0)) < 0 && errno == EINTR)
			;
		if (rc == pid && WIFEXITED(code))
			verdict = WEXITSTATUS(code) == 0 ? TAKEN : REFUSED;
	}
	free(arg);
	return verdict;
}

enum bm_status bm_calendar_check(const char *text, struct bm_error *err)
{
	enum verdict verdict = ask(text);
	const char *near;
	char shown[200];

	/* One that does not know "daily" cannot be asked. */
	if (verdict == REFUSED && ask("daily") != TAKEN)
		verdict = NOBODY;
	if (verdict == TAKEN || (verdict == NOBODY && bm_calendar_is_plain(text)))
		return BM_OK;
	near = bm_suggest(text, words);
	return bm_error_set(
		err, BM_ERR_USAGE, NULL,
		"\"%s\" is no time that systemd takes%s; allowed: as systemd.time(7) says, \"Mon..Fri 03:00\", "
		"\"*-*-01 04:30:00\", \"daily\"%s%s%s",
		bm_escape_display_buf(shown, sizeof(shown), text, strlen(text)),
		verdict == REFUSED ? " (\"systemd-analyze calendar\" refuses it)" : "",
		near != NULL ? " (did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?)" : "");
}
