/*
 * crontab.c - one line in the user's crontab.
 *
 * A line is known by a shell comment at its end, which cron hands to the shell with the rest. So a line stays known when
 * somebody changes its time, or turns it off with a '#' in front, and there is no second line of ours that could be
 * parted from it.
 *
 * Two readers take the command apart. cron ends it at a '%' unless there is a backslash before, which it then removes;
 * the shell removes quotes. So words are quoted for the shell first, without any backslash, and then each '%' gets one.
 *
 * crontab(1) is the only one that may touch the file, which is not ours to open. It reads the new text from a temporary
 * file and not from a pipe: so nothing is ever half written that it could install.
 */
#include "crontab.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "memory_file.h"

#define MAX_LINE 998 /* Debian's cron reads commands of up to 999 bytes; the mark and the time are counted in */

/* ---- the line ---- */

static bool is_plain(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";

	return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

static void put_word(struct bm_buf *out, const char *word)
{
	bool is_quoted = !is_plain(word);

	if (is_quoted)
		bm_buf_putc(out, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			bm_buf_puts(out, "'\"'\"'");
		else if (*word == '%')
			bm_buf_puts(out, "\\%");
		else
			bm_buf_putc(out, *word);
	}
	if (is_quoted)
		bm_buf_putc(out, '\'');
}

enum bm_status bm_crontab_line(struct bm_buf *out, const char *when, char *const *words, const char *id,
                               struct bm_error *err)
{
	size_t start = out->len;

	bm_buf_puts(out, when);
	for (; *words != NULL; words++) {
		char shown[256];

		if (strpbrk(*words, "\n\r") != NULL)
			return bm_error_set(
				err, BM_ERR_USAGE, bm_escape_display_buf(shown, sizeof(shown), *words, strlen(*words)),
				"a crontab cannot hold a name with a line break; rename it, or use --systemd");
		/* How many of them cron takes away differs between versions. */
		if (strstr(*words, "\\\\") != NULL || strstr(*words, "\\%") != NULL)
			return bm_error_set(
				err, BM_ERR_USAGE, bm_escape_display_buf(shown, sizeof(shown), *words, strlen(*words)),
				"a crontab cannot hold a name with two backslashes, or with one before a \"%%\"; "
				"rename it, or use --systemd");
		bm_buf_putc(out, ' ');
		put_word(out, *words);
	}
	bm_buf_puts(out, BM_CRONTAB_MARK);
	bm_buf_puts(out, id);
	if (out->oom)
		return bm_error_set_nomem(err);
	if (out->len - start > MAX_LINE)
		return bm_error_set(
			err, BM_ERR_USAGE, NULL,
			"the crontab line would have %zu bytes, and cron reads %d; give fewer options, or use "
			"--systemd",
			out->len - start, MAX_LINE);
	return BM_OK;
}

/* ---- the text ---- */

static bool has_mark(const char *line, size_t len, const char *id)
{
	size_t mark_len = strlen(BM_CRONTAB_MARK), id_len = strlen(id);

	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	return len >= mark_len + id_len && memcmp(line + len - id_len, id, id_len) == 0 &&
	       memcmp(line + len - id_len - mark_len, BM_CRONTAB_MARK, mark_len) == 0;
}

enum bm_crontab_change bm_crontab_edit(struct bm_buf *out, const char *old, size_t len, const char *id,
                                       const char *line)
{
	enum bm_crontab_change change = BM_CRONTAB_SAME;
	bool is_done = line == NULL;

	for (size_t at = 0; at < len;) {
		const char *end = memchr(old + at, '\n', len - at);
		size_t n = end != NULL ? (size_t)(end - old) - at : len - at;
		size_t whole = n + (end != NULL);

		if (!has_mark(old + at, n, id)) {
			bm_buf_put(out, old + at, whole);
		} else if (!is_done) {
			is_done = true;
			if (strlen(line) != n || memcmp(line, old + at, n) != 0)
				change = BM_CRONTAB_REPLACED;
			bm_buf_puts(out, line);
			bm_buf_putc(out, '\n');
		} else {
			change = line != NULL ? BM_CRONTAB_REPLACED : BM_CRONTAB_REMOVED;
		}
		at += whole;
	}
	if (!is_done) {
		change = BM_CRONTAB_ADDED;
		if (out->len > 0 && out->data[out->len - 1] != '\n')
			bm_buf_putc(out, '\n');
		bm_buf_puts(out, line);
		bm_buf_putc(out, '\n');
	}
	return change;
}

/* ---- crontab(1) ---- */

/* All of an open file. */
static enum bm_status read_all(int fd, struct bm_buf *out, struct bm_error *err)
{
	off_t at = 0;

	for (;;) {
		char piece[4096];
		ssize_t n = pread(fd, piece, sizeof(piece), at);

		if (n < 0)
			return bm_error_set_errno(err, errno, NULL, "cannot read what crontab printed");
		if (n == 0)
			break;
		bm_buf_put(out, piece, (size_t)n);
		at += n;
	}
	bm_buf_put(out, "", 0);
	return out->oom ? bm_error_set_nomem(err) : BM_OK;
}

/* Runs "crontab arg" with in as standard input. Its output goes to out, and to said what it has to say. */
static enum bm_status run_crontab(const char *arg, const struct bm_buf *in, struct bm_buf *out, struct bm_buf *said,
                                  int *code, struct bm_error *err)
{
	char name[] = "crontab", *argument = strdup(arg);
	char *words[] = {name, argument, NULL};
	int fds[3] = {bm_memory_file(in != NULL ? in->data : "", in != NULL ? in->len : 0), bm_memory_file("", 0),
	              bm_memory_file("", 0)};
	posix_spawn_file_actions_t actions;
	enum bm_status status = BM_OK;
	bool has_actions = false;
	pid_t pid = 0;
	int rc;

	if (argument == NULL || fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		status = bm_error_set_nomem(err);
		goto out;
	}
	rc = posix_spawn_file_actions_init(&actions);
	has_actions = rc == 0;
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (rc == 0)
		rc = posix_spawnp(&pid, name, &actions, NULL, words, environ);
	if (rc != 0) {
		status = bm_error_set_errno(err, rc, NULL, "the program crontab cannot be run%s",
		                            rc == ENOENT ? " (Debian's package is cron; --systemd does without)" : "");
		goto out;
	}
	while (waitpid(pid, code, 0) < 0)
		if (errno != EINTR) {
			status = bm_error_set_errno(err, errno, NULL, "cannot wait for crontab");
			goto out;
		}
	status = read_all(fds[1], out, err);
	if (status == BM_OK)
		status = read_all(fds[2], said, err);
out:
	if (has_actions)
		posix_spawn_file_actions_destroy(&actions);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(argument);
	return status;
}

static enum bm_status refused(const char *what, const struct bm_buf *said, struct bm_error *err)
{
	char shown[400];
	size_t len = said->len;

	while (len > 0 && said->data[len - 1] == '\n')
		len--;
	return bm_error_set(err, BM_ERR_FAILED, NULL, "\"%s\" failed: %s", what,
	                    len > 0 ? bm_escape_display_buf(shown, sizeof(shown), said->data, len)
	                            : "it did not say why");
}

enum bm_status bm_crontab_set(const char *id, const char *line, enum bm_crontab_change *change, struct bm_error *err)
{
	struct bm_buf old = {0}, new = {0}, said = {0};
	enum bm_status status;
	int code = 0;

	status = run_crontab("-l", NULL, &old, &said, &code, err);
	if (status != BM_OK)
		goto out;
	if (code != 0) {
		/* There being none yet is told like a failure. */
		if (old.len > 0 || said.data == NULL || strstr(said.data, "no crontab for") == NULL) {
			status = refused("crontab -l", &said, err);
			goto out;
		}
	}
	*change = bm_crontab_edit(&new, old.data, old.len, id, line);
	if (new.oom) {
		status = bm_error_set_nomem(err);
		goto out;
	}
	if (*change == BM_CRONTAB_SAME)
		goto out;
	bm_buf_reset(&old);
	bm_buf_reset(&said);
	bm_buf_put(&new, "", 0);
	status = run_crontab("-", &new, &old, &said, &code, err);
	if (status == BM_OK && code != 0)
		status = refused("crontab -", &said, err);
out:
	bm_buf_fini(&old);
	bm_buf_fini(&new);
	bm_buf_fini(&said);
	return status;
}
