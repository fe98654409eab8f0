/*
 * cmd_hash_check.c - bytemill hash --check: what sha256sum -c does, in its words and with its exit codes.
 *
 * Each list is a job of its own, read and verify (bm_audit_list_job), so the files of a list are read in parallel, and
 * told of in its order. What is said follows coreutils 9: results on standard output, with names as they are but for
 * line breaks; on standard error what could not be read, with names quoted for a shell, and at the end of each list the
 * counts. Of --status, --quiet and --warn the last one counts.
 *
 * More than sha256sum takes is taken: lists of any algorithm (with --algorithm of that one only, as sha256sum would),
 * NUL-ended lines, and, from files, hashdeep and JSON lists. Those are known by their first line; whatever else is in a
 * file, it is read as lines of sums, so that the answer to rubbish is that of sha256sum.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bm_audit.h"
#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"
#include "console.h"
#include "drive.h"

#define COMMAND "hash"

struct list {
	const struct bm_cli_options *o;
	bool status, quiet, warn;
	const char *tag; /* "SHA256" */
	struct bm_audit_printer *printer;
	struct bm_buf shown; /* its name, quoted */
	uint64_t seen, right, wrong, unread, bad;
	bool is_stopped;
	bool is_only; /* there is no other list */
};

/* ---- names, quoted as coreutils does where it tells of a file: bare, or for a shell ----
 *
 * Not so where that would be no quoting (a name with a ' in it that ends in an escape comes out wrong there), nor where
 * a terminal would be misled: of UTF-8 only what bm_escape_display takes for harmless is shown as it is. */

static bool is_utf8_locale(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < BM_CLI_COUNT(names); i++) {
		const char *value = getenv(names[i]); /* NOLINT(concurrency-mt-unsafe): nothing here sets any */

		if (value != NULL && value[0] != '\0')
			return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL ||
			       strstr(value, "UTF8") != NULL || strstr(value, "utf-8") != NULL;
	}
	return false;
}

/* Bytes of the character at name that can be shown as it is; 0: none. */
static size_t plain_len(const char *name, size_t len, bool is_utf8)
{
	struct bm_buf escaped = {0};
	uint32_t cp;
	size_t n = 1;
	bool is_plain;

	if ((unsigned char)name[0] < 0x80)
		return name[0] >= ' ' && name[0] != 0x7f;
	if (!is_utf8 || (n = bm_utf8_decode(name, len, &cp)) == 0)
		return 0;
	bm_escape_display(&escaped, name, n);
	is_plain = !escaped.oom && escaped.len == n;
	bm_buf_fini(&escaped);
	return is_plain ? n : 0;
}

static bool needs_quotes(const char *name, size_t len)
{
	if (len == 0 || name[0] == '#' || name[0] == '~' || strcmp(name, "{") == 0 || strcmp(name, "}") == 0)
		return true;
	return strpbrk(name, " !\"$&()*;<=>[^`|'?\\:") != NULL;
}

static void put_quoted(struct bm_buf *out, const char *name)
{
	static const char letters[] = "\aa\bb\tt\nn\vv\ff\rr";
	size_t len = strlen(name), n;
	bool is_utf8 = is_utf8_locale(), is_escaping = false, is_plain = true;

	for (size_t i = 0; i < len && is_plain; i += n) {
		n = plain_len(name + i, len - i, is_utf8);
		is_plain = n > 0;
	}
	if (is_plain && !needs_quotes(name, len)) {
		bm_buf_puts(out, name);
		return;
	}
	if (is_plain && strchr(name, '\'') != NULL && strpbrk(name, "!\"$\\`&()*;<=>[^|?{}") == NULL &&
	    strpbrk(name + 1, "#~") == NULL) {
		bm_buf_printf(out, "\"%s\"", name);
		return;
	}
	bm_buf_putc(out, '\'');
	for (size_t i = 0; i < len; i += n) {
		const char *letter;

		n = plain_len(name + i, len - i, is_utf8);
		if (n > 0) {
			if (is_escaping && name[i] != '\'')
				bm_buf_puts(out, "''");
			is_escaping = false;
			if (name[i] == '\'')
				bm_buf_puts(out, "'\\''");
			else
				bm_buf_put(out, name + i, n);
			continue;
		}
		n = 1;
		if (!is_escaping)
			bm_buf_puts(out, "'$'");
		is_escaping = true;
		for (letter = letters; *letter != '\0' && *letter != name[i]; letter += 2)
			;
		if (*letter != '\0')
			bm_buf_printf(out, "\\%c", letter[1]);
		else
			bm_buf_printf(out, "\\%03o", (unsigned)(unsigned char)name[i]);
	}
	bm_buf_putc(out, '\'');
}

/* ---- one list ---- */

static const char *text_of(const struct bm_buf *b)
{
	return b->oom || b->data == NULL ? "?" : b->data;
}

static void on_bad_line(void *ctx, const char *manifest, uint64_t line, const char *fault)
{
	struct list *l = ctx;

	(void)manifest;
	l->bad++;
	if (!l->warn)
		return;
	bm_console_say(BM_CONSOLE_PLAIN, "%s: %" PRIu64 ": improperly formatted %s checksum line", text_of(&l->shown),
	               line, l->tag);
	if (l->o->verbose)
		bm_console_say(BM_CONSOLE_PLAIN, "%s: %" PRIu64 ": %s", text_of(&l->shown), line, fault);
}

static void say_unread(const struct bm_file_result *f)
{
	struct bm_buf name = {0};
	char why[128];

	put_quoted(&name, f->path);
	if (f->error != NULL && f->error->sys_errno != 0)
		bm_console_say(BM_CONSOLE_PLAIN, "%s: %s", text_of(&name),
		               strerror_r(f->error->sys_errno, why, sizeof(why)));
	else
		bm_console_say(BM_CONSOLE_PLAIN, "%s: %s", text_of(&name),
		               f->error != NULL ? f->error->text : "cannot be read");
	bm_buf_fini(&name);
}

static void on_file(void *ctx, const struct bm_file_result *f)
{
	struct list *l = ctx;
	bool is_shown = !l->status;

	l->seen++;
	switch (f->verdict) {
	case BM_VERDICT_OK:
		l->right++;
		is_shown = is_shown && !l->quiet;
		break;
	case BM_VERDICT_CHANGED:
	case BM_VERDICT_ROTTED:
		l->wrong++;
		break;
	default:
		if (l->o->ignore_missing && f->error != NULL && f->error->sys_errno == ENOENT)
			return;
		if (f->error != NULL && f->error->status == BM_ERR_CANCELLED)
			return;
		l->unread++;
		say_unread(f);
		break;
	}
	if (is_shown)
		bm_audit_print_file(l->printer, f);
}

static void say_count(uint64_t n, const char *one, const char *many)
{
	if (n > 0)
		bm_console_say(BM_CONSOLE_PLAIN, "WARNING: %" PRIu64 " %s", n, n == 1 ? one : many);
}

static void say_no_lines(const struct list *l)
{
	bm_console_say(BM_CONSOLE_PLAIN, "%s: no properly formatted checksum lines found", text_of(&l->shown));
}

static int finish(void *ctx, struct bm_run *run, const struct bm_summary *sum, int rc)
{
	struct list *l = ctx;

	(void)run;
	(void)rc;
	l->is_stopped = sum->cancelled;
	if (sum->cancelled || sum->error.status != BM_OK)
		return BM_EXIT_FAILED;
	if (l->seen == 0) {
		say_no_lines(l);
		return BM_EXIT_FAILED;
	}
	if (!l->status) {
		say_count(l->bad, "line is improperly formatted", "lines are improperly formatted");
		say_count(l->unread, "listed file could not be read", "listed files could not be read");
		say_count(l->wrong, "computed checksum did NOT match", "computed checksums did NOT match");
		if (l->o->ignore_missing && l->right == 0)
			bm_console_say(BM_CONSOLE_PLAIN, "%s: no file was verified", text_of(&l->shown));
		else if (l->unread == l->seen && strchr(text_of(&l->shown), '/') != NULL)
			bm_console_say(BM_CONSOLE_PLAIN,
			               "names in a list are taken from the working directory; \"bytemill "
			               "audit LIST\" takes them from that of the list");
	}
	if (l->o->ignore_missing && l->right == 0)
		return BM_EXIT_FAILED;
	return l->wrong + l->unread > 0 || (l->o->strict && l->bad > 0) ? BM_EXIT_FAILED : BM_EXIT_DONE;
}

/* The kind to read path as; false: it cannot be read at all, or not as text, and that was told. */
static bool find_kind(struct list *l, const char *path, enum bm_manifest_kind *kind)
{
	struct bm_manifest_options as_sums = {.kind = BM_MANIFEST_KIND_GNU, .nul = l->o->zero};
	struct bm_manifest_reader *r = NULL;
	struct bm_error err = BM_ERROR_INIT;
	char why[128];

	*kind = BM_MANIFEST_KIND_GNU;
	if (strcmp(path, "-") == 0)
		return true;
	if (bm_manifest_open_path(path, NULL, &r, &err) == BM_OK) {
		if (bm_manifest_kind(r) == BM_MANIFEST_KIND_HASHDEEP || bm_manifest_kind(r) == BM_MANIFEST_KIND_JSON)
			*kind = bm_manifest_kind(r);
	} else if (err.status == BM_ERR_FORMAT) {
		bm_error_clear(&err);
		if (bm_manifest_open_path(path, &as_sums, &r, &err) != BM_OK)
			r = NULL;
	}
	bm_manifest_close(r);
	if (err.status == BM_OK)
		return true;
	if (err.status == BM_ERR_FORMAT)
		say_no_lines(l);
	else if (err.sys_errno == 0)
		bm_console_say_error(&err);
	else
		bm_console_say(BM_CONSOLE_PLAIN, "%s: %s", text_of(&l->shown),
		               err.sys_errno == EISDIR || err.sys_errno == EIO
		                       ? "read error"
		                       : strerror_r(err.sys_errno, why, sizeof(why)));
	return false;
}

static int drive_list(struct list *l, const char *path, enum bm_manifest_kind kind, const char *algorithm)
{
	struct bm_audit_options ao = {
		.manifest = path,
		.kind = kind,
		.nul = l->o->zero,
		.algorithm = algorithm,
		.on_bad_line = on_bad_line,
		.ctx = l,
	};
	struct bm_drive_style style = {
		.command = COMMAND,
		.results_on_stdout = true,
		.is_filter = true,
		.has_sandbox = l->is_only,
		.on_file = on_file,
		.finish = finish,
		.ctx = l,
	};

	return bm_drive_job(bm_audit_list_job(&ao), l->o, &style);
}

static int check_list(struct list *l, const char *path, const char *algorithm)
{
	struct bm_error err = BM_ERROR_INIT;
	enum bm_manifest_kind kind;
	int rc = BM_EXIT_FAILED;

	put_quoted(&l->shown, strcmp(path, "-") == 0 ? "standard input" : path);
	if (find_kind(l, path, &kind)) {
		if (bm_audit_printer_create(BM_AUDIT_GNU, BM_AUDIT_ALL | BM_AUDIT_BIT(BM_VERDICT_OK), stdout,
		                            &l->printer, &err) == BM_OK)
			rc = drive_list(l, path, kind, algorithm);
		else
			bm_console_say_error(&err);
	}
	bm_audit_printer_destroy(l->printer);
	bm_buf_fini(&l->shown);
	return rc;
}

/* The last of them counts, as in sha256sum. */
static void set_talk(struct list *l)
{
	for (size_t i = 0; i < l->o->given_count; i++) {
		const char *name = l->o->given[i].option->name;
		bool status = strcmp(name, "status") == 0, quiet = strcmp(name, "quiet") == 0,
		     warn = strcmp(name, "warn") == 0;

		if (status || quiet || warn) {
			l->status = status;
			l->quiet = quiet;
			l->warn = warn;
		}
	}
}

/* "SHA256", as sha256sum calls it in messages; the array is static. */
static const char *tag_of(const char *algorithm)
{
	static char tag[32];
	size_t n = 0;

	if (strncmp(algorithm, "blake2", 6) == 0)
		return "BLAKE2b";
	for (; algorithm[n] != '\0' && n + 1 < sizeof(tag); n++)
		tag[n] = algorithm[n] >= 'a' && algorithm[n] <= 'z' ? (char)(algorithm[n] - 'a' + 'A') : algorithm[n];
	tag[n] = '\0';
	return tag;
}

int bm_hash_check(const struct bm_cli_options *o)
{
	static const char *const standard_input[] = {"-"};
	const char *const *lists = o->operand_count > 0 ? (const char *const *)o->operands : standard_input;
	size_t count = o->operand_count > 0 ? o->operand_count : 1;
	const char *algorithm = NULL;
	unsigned stdin_count = 0;
	int worst = BM_EXIT_DONE;

	if (o->tag)
		return bm_usage_error(COMMAND, "the --tag option is meaningless when verifying checksums");
	if (o->output != NULL || o->files_from != NULL || o->format >= 0 || o->include.count + o->exclude.count > 0)
		return bm_usage_error(COMMAND,
		                      "--check takes lists, and prints what is right and wrong: --output, --format, "
		                      "--files-from, --include and --exclude do not go with it");
	if (o->algorithms.count > 1 || (o->algorithms.count == 1 && strchr(o->algorithms.items[0], ',') != NULL))
		return bm_usage_error(COMMAND, "--check takes one --algorithm, or none: the lists say what they are");
	if (o->algorithms.count == 1) {
		const struct bm_digest_algorithm *a = bm_digest_find(o->algorithms.items[0]);

		if (a == NULL)
			return bm_usage_error(COMMAND, "--algorithm is none that there is; see --help");
		algorithm = a->name;
	}
	for (size_t i = 0; i < count; i++)
		stdin_count += strcmp(lists[i], "-") == 0;
	if (stdin_count > 1)
		return bm_usage_error(COMMAND, "standard input was given %u times; allowed: once", stdin_count);
	for (size_t i = 0; i < count; i++) {
		struct list l = {
			.o = o, .is_only = count == 1, .tag = tag_of(algorithm != NULL ? algorithm : "sha256")};
		int rc;

		set_talk(&l);
		rc = check_list(&l, lists[i], algorithm);
		worst = worst == BM_EXIT_DONE ? rc : worst;
		if (l.is_stopped)
			break;
	}
	return worst;
}
