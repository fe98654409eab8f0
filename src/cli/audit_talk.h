/* audit_talk.h - what the commands that compare with a manifest or the catalog have in common: options, what they say, and
 * what of it goes into the exit code. One thread at a time. */
#ifndef BM_CLI_AUDIT_TALK_H
#define BM_CLI_AUDIT_TALK_H

#include "bm_audit.h"
#include "bm_audit_html.h"
#include "options.h"

extern const char *const bm_cli_audit_formats[]; /* the index is an enum bm_audit_format */
/* Two rows of a table of options. */
#define BM_CLI_AUDIT_LIST                                                                                                  \
	{                                                                                                                  \
		.name = "format",                                                                                          \
		.type = BM_CLI_CHOICE,                                                                                     \
		.offset = offsetof(struct bm_cli_options, audit_format),                                                   \
		.arg = "FORMAT",                                                                                           \
		.values = bm_cli_audit_formats,                                                                            \
		.help = "table (default), gnu (\"name: OK\"), rclone (\"= name\"), json (an object a file and a summary)", \
	},                                                                                                                 \
	{                                                                                                                  \
		.name = "only", .type = BM_CLI_TEXT, .offset = offsetof(struct bm_cli_options, only),                      \
		.arg = "VERDICT,...", .help = "list only these; other differences do not count for the exit code",         \
	}

/* Bad lines are told one by one, but a manifest that is none has millions: the first ones, or all. */
struct bm_audit_bad_lines {
	uint64_t count;
	bool all;
};
/* As on_bad_line of bm_audit.h, with a struct bm_audit_bad_lines for its context. */
void bm_audit_say_bad_line(void *bad_lines, const char *manifest, uint64_t line, const char *fault);
void bm_audit_say_more_bad_lines(const struct bm_audit_bad_lines *b);

/* After bm_audit_print_end, which gave is_whole: the closing lines of the format gnu; the exit code, worse where the list
 * is not whole. */
int bm_audit_close_list(const struct bm_cli_options *o, enum bm_audit_format format, const struct bm_summary *sum,
                        bool is_whole, int rc);
/* Has one of these verdicts (BM_AUDIT_BIT) been given? */
bool bm_audit_any_of(const struct bm_summary *sum, unsigned bits);
/* Writes the page of --report (NULL: none) and tells of a failure; the exit code, worse where it failed. */
int bm_audit_write_page(struct bm_audit_html *page, const struct bm_run *run, const struct bm_summary *sum,
                        struct bm_audit_catalog *catalog, int rc);
/* A list of verdicts; text may be NULL. 0, or BM_EXIT_USAGE after it was told. */
int bm_audit_parse_option(const char *command, const char *option, const char *text, unsigned allowed, unsigned *bits);

#endif
