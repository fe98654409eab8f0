/*
 * options.h - the commands' options: one table a command, for parsing and for --help alike.
 */
#ifndef BM_CLI_OPTIONS_H
#define BM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BM_CLI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Exit codes, frozen. 128+N: killed by signal N. */
enum bm_exit { BM_EXIT_DONE = 0, BM_EXIT_FAILED = 1, BM_EXIT_USAGE = 2, BM_EXIT_DIFFERENT = 3, BM_EXIT_BUSY = 4 };

enum bm_progress_mode { BM_PROGRESS_AUTO, BM_PROGRESS_ALWAYS, BM_PROGRESS_NEVER };

struct bm_cli_texts {
	const char **items; /* owned; the strings are argv's */
	size_t count;
};

/* One option as it was given; arg is argv's, NULL for flags. */
struct bm_cli_given {
	const struct bm_cli_option *option; /* static */
	const char *arg;
};

/* What was given, for all commands. Strings are borrowed from argv. */
struct bm_cli_options {
	/* common */
	unsigned threads, io_depth; /* 0: not given */
	uint64_t memory_bytes;      /* 0: not given */
	bool dry_run, quiet, verbose, no_color;
	int progress; /* enum bm_progress_mode */
	unsigned nice;
	const char *ionice;
	uint64_t limit_rate; /* 0: not given */
	const char *report;
	struct bm_cli_texts sets;
	bool help, version;
	const char *state;
	int sandbox; /* enum bm_sandbox_mode */
	/* run */
	uint64_t wait_ms; /* 0: not given */
	bool no_lock;
	const char *log;
	const char *metrics;
	bool all, paranoid, no_history;
	/* runs; json as of catalog */
	uint64_t keep_ms; /* 0: not given */
	const char *job, *html;
	unsigned count; /* 0: not given */
	/* hash */
	struct bm_cli_texts algorithms, include, exclude;
	bool tag, zero, from0, no_hidden, follow, one_file_system;
	bool check, status, warn; /* and strict, ignore_missing as of audit */
	int format;               /* enum bm_manifest_format; -1: not given */
	const char *files_from;
	const char *output;
	uint64_t blocks_bytes; /* 0: not given */
	/* cat */
	const char *range;
	struct bm_cli_texts identities;
	const char *passphrase_file;
	uint64_t max_window_bytes, max_size_bytes; /* 0: not given */
	unsigned max_ratio;                        /* likewise */
	/* audit; include, exclude, no_hidden, follow, one_file_system as of hash */
	int audit_format, kind; /* -1: not given */
	const char *algorithm, *strip, *only, *update, *repair_from;
	struct bm_cli_texts under;
	bool ignore_new, ignore_missing, always_read, strict, allow_unsafe, has_max_duration;
	uint64_t max_duration_ms;
	uint64_t older_than_ms, max_bytes;                   /* 0: not given */
	unsigned percent;                                    /* likewise */
	bool catalog, new_place, has_older_than, has_blocks; /* the last one: of blocks_bytes */
	/* bag; algorithms as of hash */
	const char *bag_to;
	struct bm_cli_texts bag_info;
	bool bag_validate;
	/* catalog */
	bool export, json, forget;
	/* steps */
	bool schema, man;
	/* serve; threads and memory_bytes as above */
	const char *listen, *token_file, *tls_cert, *tls_key, *jobs_dir, *inbox, *outbox;
	struct bm_cli_texts origins, submit_roots;
	bool insecure, openapi;
	unsigned runs, connections;
	uint64_t max_upload_bytes, timeout_ms, read_timeout_ms, min_rate, drain_ms; /* 0: not given */
	/* keygen */
	bool public_keys;
	/* schedule */
	bool systemd, install, remove;
	const char *cron, *on_calendar, *units_dir;
	struct bm_cli_given *given; /* all of the above as it was said, in that order; owned */
	size_t given_count;
	/* what is left */
	char **operands;
	size_t operand_count;
};

enum bm_cli_type {
	BM_CLI_FLAG,     /* bool */
	BM_CLI_UNSIGNED, /* unsigned in [min, max] */
	BM_CLI_SIZE,     /* uint64_t, "64MiB"; not 0 where the row has no given */
	BM_CLI_DURATION, /* uint64_t of milliseconds, "2h" or seconds; not 0 where the row has no given */
	BM_CLI_TEXT,     /* const char *, not empty */
	BM_CLI_TEXTS,    /* struct bm_cli_texts, repeatable */
	BM_CLI_SET,      /* struct bm_cli_texts of NAME=VALUE, repeatable */
	BM_CLI_CHOICE    /* int: index into values */
};

/* Which of the common options a command takes. */
enum bm_cli_group {
	BM_CLI_RESOURCES = 1, /* --threads --io-depth --memory */
	BM_CLI_RUNNING = 2,   /* --dry-run --progress */
	BM_CLI_SETS = 4,      /* --set */
	BM_CLI_TALK = 8,      /* --quiet --verbose */
	BM_CLI_STATE = 32,    /* --state */
	BM_CLI_REPORT = 64,   /* --report */
	BM_CLI_LOCK = 128,    /* --wait --no-lock */
	BM_CLI_TELL = 256,    /* --log --metrics */
	BM_CLI_GENTLE = 512,  /* --nice --ionice --limit-rate */
	BM_CLI_FENCE = 1024,  /* --sandbox */
	BM_CLI_ALWAYS = 16    /* --no-color --help --version */
};

struct bm_cli_option {
	const char *name; /* "threads" */
	char letter;      /* 'j', or 0 */
	enum bm_cli_type type;
	size_t offset;   /* in struct bm_cli_options */
	size_t given;    /* SIZE, DURATION: of a bool that says that there was one; 0: there is none */
	const char *arg; /* "N"; NULL for flags */
	const char *help;
	unsigned min, max;         /* SIZE: bytes; max 0: any */
	const char *const *values; /* CHOICE: NULL-terminated */
	unsigned group;            /* common options: enum bm_cli_group */
	bool is_path;              /* TEXT: of a file, unless it is "-" or not_path */
	const char *not_path;
	bool is_age; /* DURATION: of something that has been there for days: "5" is taken for 5 seconds by nobody, and refused */
};

struct bm_cli_command {
	const char *name;
	const char *operands;                /* "JOB.json...": for the usage line */
	const char *summary;                 /* one line */
	const char *about;                   /* text between the usage line and the options */
	const char *epilog;                  /* examples, after the options */
	const struct bm_cli_option *options; /* its own */
	size_t option_count;
	unsigned groups;
	/* Does it; returns the exit code. main flushes and checks standard output afterwards. */
	int (*run)(const struct bm_cli_options *o);
};

/* Parses argv[1...] for command c (argv[0] is its name); argv is permuted. 0, or BM_EXIT_USAGE after the fault was told.
 * o is freed by bm_options_fini in both cases. */
int bm_options_parse(const struct bm_cli_command *c, int argc, char **argv, struct bm_cli_options *o);
void bm_options_fini(struct bm_cli_options *o);

/* The option of command c that is called word (its letter, or its name without dashes); NULL where there is none. */
const struct bm_cli_option *bm_options_find(const struct bm_cli_command *c, const char *word);

/* "Usage: ..." with everything. */
void bm_options_print_help(FILE *out, const struct bm_cli_command *c);

/* "text: hint at --help" on stderr; returns BM_EXIT_USAGE. */
int bm_usage_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
