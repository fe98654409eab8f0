/*
 * run_cases - loads job files that are known to be good or bad and compares what is said of them.
 *
 *   run_cases --valid DIR      every *.json passes, and nothing is said but what its .expect lists (warnings)
 *   run_cases --invalid DIR    every *.json is refused, for the reasons in its .expect and for no other
 *   run_cases --print FILE     the lines that an .expect for FILE would have
 *
 * An .expect file stands beside the job file. A line of it is one diagnostic, in any order:
 *   error 5:12 /steps/1/level level is 99; allowed: an integer from 0 to 12
 *   error 3:4 /steps/0/form unknown key "form" => from
 * level, line:column, JSON Pointer ("-" for the whole file), a part of the message, and after " => " the suggestion.
 * Further lines: "# a comment", "set NAME=VALUE" (as --set), "with FILE" (a second job file of the same set, named
 * *.part.json so that it is no case of its own). The environment is not looked at.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bytemill/bytemill.h>

#define MAX_LINES 256
#define MAX_TEXT 32768

struct line {
	char *text; /* owned */
	bool used;
};
struct lines {
	struct line items[MAX_LINES];
	size_t count;
};

static void add_line(struct lines *l, const char *text)
{
	if (l->count == MAX_LINES) {
		fprintf(stderr, "run_cases: more than %d lines\n", MAX_LINES);
		exit(1);
	}
	l->items[l->count].text = strdup(text);
	l->items[l->count].used = false;
	if (l->items[l->count++].text == NULL)
		exit(1);
}

static void free_lines(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].text);
	l->count = 0;
}

/* One diagnostic as a line of an .expect file. */
static void on_diagnostic(void *ctx, const struct bm_diagnostic *d)
{
	static char text[MAX_TEXT];

	snprintf(text, sizeof(text), "%s %u:%u %s %s%s%s", d->is_warning ? "warning" : "error", d->line, d->column,
	         *d->pointer != '\0' ? d->pointer : "-", d->message, d->suggestion != NULL ? " => " : "",
	         d->suggestion != NULL ? d->suggestion : "");
	add_line(ctx, text);
}

/* Does the diagnostic found answer to the line expected? Place and pointer whole, message in part, suggestion whole. */
static bool answers(const char *expected, const char *found)
{
	size_t head = 0;
	const char *suggestion;
	const char *found_suggestion = strstr(found, " => ");
	static char part[MAX_TEXT];

	for (int blanks = 0; expected[head] != '\0' && blanks < 3; head++)
		blanks += expected[head] == ' ';
	if (strncmp(expected, found, head) != 0)
		return false;
	suggestion = strstr(expected + head, " => ");
	if ((suggestion != NULL) != (found_suggestion != NULL) ||
	    (suggestion != NULL && strcmp(suggestion, found_suggestion) != 0))
		return false;
	snprintf(part, sizeof(part), "%.*s",
	         (int)(suggestion != NULL ? (size_t)(suggestion - expected) - head : strlen(expected + head)),
	         expected + head);
	return strstr(found + head, part) != NULL;
}

static enum bm_status load(const char *dir, const char *file, const struct lines *sets, const struct lines *with,
                           struct lines *found)
{
	const char *set_texts[MAX_LINES];
	struct bm_jobs_options opt = {.sets = set_texts,
	                              .set_count = sets->count,
	                              .no_environment = true,
	                              .on_diagnostic = on_diagnostic,
	                              .ctx = found};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	enum bm_status st;
	enum bm_status first = BM_OK;
	char path[4096];

	for (size_t i = 0; i < sets->count; i++)
		set_texts[i] = sets->items[i].text;
	st = bm_jobs_create(&opt, &jobs, &err);
	if (st != BM_OK)
		goto out;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	first = bm_jobs_add_file(jobs, path, &err);
	for (size_t i = 0; i < with->count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, with->items[i].text);
		st = bm_jobs_add_file(jobs, path, &err);
		if (first == BM_OK)
			first = st;
	}
	st = bm_jobs_check(jobs, &err);
	if (first != BM_OK && st == BM_OK) {
		fprintf(stderr, "run_cases: a set with a faulty file passed bm_jobs_check\n");
		exit(1);
	}
	if (st != BM_OK && *err.text == '\0') {
		fprintf(stderr, "run_cases: a fault left the error empty\n");
		exit(1);
	}
out:
	bm_jobs_destroy(jobs);
	return st;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t a = strlen(name);
	size_t b = strlen(suffix);

	return a > b && strcmp(name + a - b, suffix) == 0;
}

/* false where there is no such file. */
static bool read_expect(const char *dir, const char *name, struct lines *expected, struct lines *sets,
                        struct lines *with)
{
	char path[4096];
	static char text[MAX_TEXT];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.*s.expect", dir, (int)(strlen(name) - strlen(".json")), name);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	while (fgets(text, sizeof(text), f) != NULL) {
		text[strcspn(text, "\n")] = '\0';
		if (*text == '\0' || *text == '#')
			continue;
		if (strncmp(text, "set ", 4) == 0)
			add_line(sets, text + 4);
		else if (strncmp(text, "with ", 5) == 0)
			add_line(with, text + 5);
		else
			add_line(expected, text);
	}
	fclose(f);
	return true;
}

static bool run_case(const char *dir, const char *name, bool valid)
{
	static struct lines expected, found, sets, with;
	bool has_expect = read_expect(dir, name, &expected, &sets, &with);
	enum bm_status st = load(dir, name, &sets, &with, &found);
	bool ok = true;

	if (!has_expect && !valid) {
		printf("%s: there is no .expect file\n", name);
		ok = false;
	}
	if ((st == BM_OK) != valid) {
		printf("%s: is %s\n", name, st == BM_OK ? "accepted" : "refused");
		ok = false;
	}
	for (size_t i = 0; i < expected.count; i++) {
		size_t k = 0;

		while (k < found.count &&
		       (found.items[k].used || !answers(expected.items[i].text, found.items[k].text)))
			k++;
		if (k < found.count) {
			found.items[k].used = true;
		} else {
			printf("%s: not said: %s\n", name, expected.items[i].text);
			ok = false;
		}
	}
	for (size_t k = 0; k < found.count; k++) {
		if (!found.items[k].used) {
			printf("%s: not expected: %s\n", name, found.items[k].text);
			ok = false;
		}
	}
	free_lines(&expected);
	free_lines(&found);
	free_lines(&sets);
	free_lines(&with);
	return ok;
}

static int run_directory(const char *dir, bool valid, size_t at_least)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort);
	size_t count = 0;
	size_t bad = 0;

	if (n < 0) {
		perror(dir);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		if (has_suffix(names[i]->d_name, ".json") && !has_suffix(names[i]->d_name, ".part.json")) {
			count++;
			bad += !run_case(dir, names[i]->d_name, valid);
		}
		free(names[i]);
	}
	free(names);
	printf("%zu cases, %zu bad\n", count, bad);
	if (count < at_least)
		printf("there should be at least %zu cases\n", at_least);
	return bad > 0 || count < at_least;
}

static int print_file(char *path)
{
	static struct lines expected, found, sets, with;
	char *slash = strrchr(path, '/');
	const char *dir = ".";
	const char *name = path;

	if (slash != NULL) {
		*slash = '\0';
		dir = path;
		name = slash + 1;
	}
	read_expect(dir, name, &expected, &sets, &with);
	(void)load(dir, name, &sets, &with, &found);
	for (size_t i = 0; i < sets.count; i++)
		printf("set %s\n", sets.items[i].text);
	for (size_t i = 0; i < with.count; i++)
		printf("with %s\n", with.items[i].text);
	for (size_t i = 0; i < found.count; i++)
		printf("%s\n", found.items[i].text);
	free_lines(&expected);
	free_lines(&found);
	free_lines(&sets);
	free_lines(&with);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--valid") == 0)
		return run_directory(argv[2], true, 15);
	if (argc == 3 && strcmp(argv[1], "--invalid") == 0)
		return run_directory(argv[2], false, 60);
	if (argc == 3 && strcmp(argv[1], "--print") == 0)
		return print_file(argv[2]);
	fprintf(stderr, "usage: run_cases --valid DIR | --invalid DIR | --print FILE\n");
	return 2;
}
