/*
 * cmd_hash.c - bytemill hash: digests of files and trees, in the lines of sha256sum.
 *
 * There is no second engine here: the command builds the job that a job file would describe (read, hash with a manifest
 * on standard output) and drives it. Two parameters of these steps exist for this command: paths are taken as they are,
 * without glob patterns ("literal"), and the names in the lines are as given on the command line, with the directory in
 * front ("name_as_given"), as sha256sum prints them.
 *
 * Several algorithms in one read cannot be told apart in GNU lines, so BSD lines are used then.
 */
#include "commands.h"

#include <inttypes.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_job.h"
#include "bm_manifest.h"
#include "bm_mem.h"
#include "bm_template.h"
#include "bm_text.h"
#include "drive.h"

#define COMMAND "hash"
#define MAX_NAMES 64
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "algorithm",
		.letter = 'a',
		.type = BM_CLI_TEXTS,
		.offset = AT(algorithms),
		.arg = "ALG",
		.help = "sha256 (default), md5, blake2b, xxh3, crc32 ...; repeat it or use commas for several",
	},
	{
		.name = "format",
		.type = BM_CLI_CHOICE,
		.offset = AT(format),
		.arg = "FORMAT",
		.values = bm_manifest_formats,
		.help = "gnu (default), bsd (for several algorithms), json, hashdeep, bagit, sfv, rclone, xxhsum",
	},
	{
		.name = "tag",
		.type = BM_CLI_FLAG,
		.offset = AT(tag),
		.help = "the same as --format bsd",
	},
	{
		.name = "zero",
		.letter = 'z',
		.type = BM_CLI_FLAG,
		.offset = AT(zero),
		.help = "end lines with NUL and do not escape names",
	},
	{
		.name = "blocks",
		.type = BM_CLI_SIZE,
		.offset = AT(blocks_bytes),
		.arg = "SIZE",
		.help = "json lines: digests of each block too, so that an audit can say which bytes are damaged",
	},
	{
		.name = "output",
		.letter = 'o',
		.type = BM_CLI_TEXT,
		.offset = AT(output),
		.arg = "FILE",
		.help = "write to FILE, which appears or is replaced only once it is complete",
	},
	{
		.name = "check",
		.letter = 'c',
		.type = BM_CLI_FLAG,
		.offset = AT(check),
		.help = "each PATH is a list of digests: check the files in it, as sha256sum -c does",
	},
	{
		.name = "ignore-missing",
		.type = BM_CLI_FLAG,
		.offset = AT(ignore_missing),
		.help = "with --check: say nothing of files that are not there",
	},
	{
		.name = "status",
		.type = BM_CLI_FLAG,
		.offset = AT(status),
		.help = "with --check: print nothing, the exit code says it",
	},
	{
		.name = "strict",
		.type = BM_CLI_FLAG,
		.offset = AT(strict),
		.help = "with --check: exit code 1 for lines that are none, too",
	},
	{
		.name = "warn",
		.letter = 'w',
		.type = BM_CLI_FLAG,
		.offset = AT(warn),
		.help = "with --check: name each line that is none",
	},
	{
		.name = "include",
		.type = BM_CLI_TEXTS,
		.offset = AT(include),
		.arg = "GLOB",
		.help = "in directories, only what matches: '*.jpg', '2024/**'; repeatable",
	},
	{
		.name = "exclude",
		.type = BM_CLI_TEXTS,
		.offset = AT(exclude),
		.arg = "GLOB",
		.help = "in directories, not what matches; repeatable; wins over --include",
	},
	{
		.name = "files-from",
		.type = BM_CLI_TEXT,
		.offset = AT(files_from),
		.arg = "FILE",
		.help = "read further paths from FILE, one a line (\"-\": standard input)",
	},
	{
		.name = "from0",
		.type = BM_CLI_FLAG,
		.offset = AT(from0),
		.help = "--files-from holds NUL-ended names, as find -print0 writes",
	},
	{
		.name = "no-hidden",
		.type = BM_CLI_FLAG,
		.offset = AT(no_hidden),
		.help = "in directories, leave out names that begin with a dot",
	},
	{
		.name = "follow",
		.letter = 'L',
		.type = BM_CLI_FLAG,
		.offset = AT(follow),
		.help = "follow symbolic links in directories",
	},
	{
		.name = "one-file-system",
		.letter = 'x',
		.type = BM_CLI_FLAG,
		.offset = AT(one_file_system),
		.help = "stay on the file system of each PATH",
	},
};

/* One algorithm name of len bytes into list; repeats are dropped. */
static int add_algorithm(struct bm_enum_list *list, const char *text, size_t len)
{
	const struct bm_digest_algorithm *all, *a;
	const char *names[MAX_NAMES + 1];
	struct bm_buf allowed = {0};
	char name[64], shown[80];
	const char *near;
	size_t count;
	int rc;

	all = bm_digest_algorithms(&count);
	bm_escape_display_buf(shown, sizeof(shown), text, len);
	snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 0, text);
	a = bm_digest_find(name);
	if (bm_digest_index(a) >= 0) {
		int index = bm_digest_index(a);

		for (size_t i = 0; i < list->count; i++)
			if (list->items[i] == index)
				return 0;
		if (list->count < BM_CLI_COUNT(list->items))
			list->items[list->count++] = index;
		return 0;
	}
	count = count < MAX_NAMES ? count : MAX_NAMES;
	for (size_t i = 0; i < count; i++) {
		names[i] = all[i].name;
		bm_buf_printf(&allowed, "%s%s", i > 0 ? ", " : "", all[i].name);
	}
	names[count] = NULL;
	near = bm_suggest(name, names);
	rc = bm_usage_error(COMMAND, "--algorithm is \"%s\"; allowed: %s%s%s%s", shown,
	                    allowed.oom ? "?" : allowed.data, near != NULL ? " (did you mean \"" : "",
	                    near != NULL ? near : "", near != NULL ? "\"?)" : "");
	bm_buf_fini(&allowed);
	return rc;
}

/* Those given, or what the programs compute whose format it is. */
static int fill_algorithms(struct bm_enum_list *list, const struct bm_cli_texts *given, int format)
{
	list->count = 0;
	if (given->count == 0 && format == BM_MANIFEST_SFV)
		return add_algorithm(list, "crc32", strlen("crc32"));
	if (given->count == 0 && format == BM_MANIFEST_XXHSUM)
		return add_algorithm(list, "xxh64", strlen("xxh64"));
	if (given->count == 0 && format == BM_MANIFEST_HASHDEEP && add_algorithm(list, "md5", strlen("md5")) != 0)
		return BM_EXIT_USAGE;
	if (given->count == 0)
		return add_algorithm(list, "sha256", strlen("sha256"));
	for (size_t i = 0; i < given->count; i++) {
		const char *at = given->items[i];

		for (;;) {
			size_t len = strcspn(at, ",");
			int rc = add_algorithm(list, at, len);

			if (rc != 0)
				return rc;
			if (at[len] == '\0')
				break;
			at += len + 1;
		}
	}
	return 0;
}

/* Can lines of that format hold digests of these? 0, or BM_EXIT_USAGE after it was told. */
static int check_format(const struct bm_enum_list *algorithms, int format)
{
	struct bm_manifest_style style = {.nul = false};
	const char *names[BM_CLI_COUNT(algorithms->items)];
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf head = {0};

	for (size_t i = 0; i < algorithms->count; i++)
		names[style.algorithm_count++] = bm_digest_algorithms(NULL)[algorithms->items[i]].name;
	style.algorithms = names;
	(void)bm_manifest_kind_find(bm_manifest_formats[format], &style.kind);
	(void)!bm_manifest_put_head(&head, &style, &err);
	bm_buf_fini(&head);
	return err.status == BM_OK ? 0 : bm_usage_error(COMMAND, "--format: %s", err.text);
}

/* What the options say against each other; 0, or BM_EXIT_USAGE after it was told. Sets *format. */
static int check(const struct bm_cli_options *o, const struct bm_enum_list *algorithms, int *format)
{
	unsigned stdin_count = 0;

	*format = o->format;
	if (o->tag && *format >= 0 && *format != BM_MANIFEST_BSD)
		return bm_usage_error(COMMAND, "--tag means --format bsd, but --format is \"%s\"",
		                      bm_manifest_formats[*format]);
	if (o->tag)
		*format = BM_MANIFEST_BSD;
	if (*format < 0)
		*format = algorithms->count > 1 ? BM_MANIFEST_BSD : BM_MANIFEST_GNU;
	if (*format == BM_MANIFEST_GNU && algorithms->count > 1)
		return bm_usage_error(COMMAND,
		                      "--format gnu cannot say which of %zu algorithms a line is of; "
		                      "allowed here: bsd, json",
		                      algorithms->count);
	if (o->blocks_bytes > 0 && *format != BM_MANIFEST_JSON)
		return bm_usage_error(COMMAND, "--blocks goes with --format json only; the format here is \"%s\"",
		                      bm_manifest_formats[*format]);
	if (o->blocks_bytes > 0 && (o->blocks_bytes < BM_HASH_BLOCKS_MIN || o->blocks_bytes > BM_HASH_BLOCKS_SIZE_MAX))
		return bm_usage_error(COMMAND, "--blocks is %" PRIu64 " bytes; allowed: 4KiB to 1GiB", o->blocks_bytes);
	if (o->zero && *format != BM_MANIFEST_GNU)
		return bm_usage_error(COMMAND,
		                      "--zero goes with GNU lines and one algorithm only; the format here is \"%s\"",
		                      bm_manifest_formats[*format]);
	if (o->from0 && o->files_from == NULL)
		return bm_usage_error(COMMAND, "--from0 says how --files-from is written, which was not given");
	if (o->files_from != NULL && strcmp(o->files_from, "-") == 0)
		stdin_count++;
	for (size_t i = 0; i < o->operand_count; i++)
		stdin_count += strcmp(o->operands[i], "-") == 0;
	if (stdin_count > 1)
		return bm_usage_error(COMMAND, "standard input was given %u times; allowed: once", stdin_count);
	if (check_format(algorithms, *format) != 0)
		return BM_EXIT_USAGE;
	if (bm_cli_check_paths(COMMAND, o) != 0)
		return BM_EXIT_USAGE;
	return bm_cli_check_globs(COMMAND, o);
}

static bool add_texts(struct bm_strings *to, const struct bm_cli_texts *from)
{
	bool is_good = true;

	for (size_t i = 0; i < from->count; i++)
		is_good = is_good && bm_strings_add(to, from->items[i]);
	return is_good;
}

static bool set_text(char **to, const char *text)
{
	*to = bm_memdup0(text, strlen(text));
	return *to != NULL;
}

static bool fill_read(struct bm_read_params *p, const struct bm_cli_options *o)
{
	bool is_good = add_texts(&p->include, &o->include) && add_texts(&p->exclude, &o->exclude);

	for (size_t i = 0; i < o->operand_count; i++)
		is_good = is_good && bm_strings_add(&p->from, o->operands[i]);
	if (o->operand_count == 0 && o->files_from == NULL)
		is_good = is_good && bm_strings_add(&p->from, "-");
	if (o->files_from != NULL)
		is_good = is_good && set_text(&p->files_from, o->files_from);
	p->files_from_null = o->from0;
	p->hidden = !o->no_hidden;
	p->follow_symlinks = o->follow;
	p->one_filesystem = o->one_file_system;
	p->literal = true;
	return is_good;
}

static bool build(struct bm_job *job, const struct bm_cli_options *o, const struct bm_enum_list *algorithms, int format)
{
	union bm_step_params *p = bm_job_add_step(job, "read");

	if (p == NULL || !fill_read(&p->read, o))
		return false;
	p = bm_job_add_step(job, "hash");
	if (p == NULL)
		return false;
	p->hash.algorithms = *algorithms;
	p->hash.manifest = bm_template_of_path(o->output != NULL ? o->output : "-");
	p->hash.format = format;
	p->hash.null = o->zero;
	p->hash.blocks = o->blocks_bytes;
	p->hash.name_as_given = true;
	return p->hash.manifest != NULL;
}

static int hash(const struct bm_cli_options *o)
{
	struct bm_drive_style style = {.command = COMMAND, .is_filter = true, .has_sandbox = true};
	struct bm_enum_list algorithms = {.count = 0};
	struct bm_job *job;
	int format, rc;

	if (o->check)
		return bm_hash_check(o);
	if (o->ignore_missing || o->status || o->strict || o->warn)
		return bm_usage_error(COMMAND, "--%s goes with --check only",
		                      o->ignore_missing ? "ignore-missing"
		                      : o->status       ? "status"
		                      : o->strict       ? "strict"
		                                        : "warn");
	rc = fill_algorithms(&algorithms, &o->algorithms, o->format);
	if (rc == 0)
		rc = check(o, &algorithms, &format);
	if (rc != 0)
		return rc;

	job = bm_job_create(COMMAND);
	if (job != NULL && !build(job, o, &algorithms, format)) {
		bm_job_destroy(job);
		job = NULL;
	}
	style.results_on_stdout = o->output == NULL || strcmp(o->output, "-") == 0;
	return bm_drive_job(job, o, &style);
}

const struct bm_cli_command bm_cmd_hash = {
	.name = COMMAND,
	.operands = "[PATH]...",
	.summary = "digests of files and trees, as sha256sum prints them",
	.about = "Prints a digest for every PATH as given, and for every file below a directory in the order of\n"
		 "LC_ALL=C sort; each file is read once, whatever the number of algorithms. Without PATH and\n"
		 "--files-from, or where PATH is \"-\", it reads standard input. The lines are those of sha256sum,\n"
		 "which can check them, as bytemill hash -c can.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_RESOURCES | BM_CLI_GENTLE | BM_CLI_RUNNING | BM_CLI_REPORT | BM_CLI_TALK | BM_CLI_FENCE,
	.epilog =
		"Algorithms:\n"
		"  md5 sha1 sha224 sha256 sha384 sha512 sha512-224 sha512-256 sha3-224 sha3-256 sha3-384 sha3-512\n"
		"  blake2b blake2b-128 blake2b-160 blake2b-256 blake2b-384 blake2s sm3 crc32 xxh32 xxh64 xxh3 xxh128\n"
		"\n"
		"Examples:\n"
		"  bytemill hash /srv/photos > SHA256SUMS\n"
		"  bytemill hash -o SHA256SUMS --exclude '*.tmp' .\n"
		"  bytemill hash -a md5,sha256 image.iso        both in one read\n"
		"  bytemill hash -c --quiet SHA256SUMS\n"
		"  find . -newer stamp -print0 | bytemill hash --files-from - --from0\n"
		"\n"
		"Exit codes:\n"
		"  0 all done; 1 some files could not be read (each is named on standard error), or with --check\n"
		"  are not as the list says; 2 usage;\n"
		"  128+N ended by signal N\n",
	.run = hash,
};
