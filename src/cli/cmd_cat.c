/*
 * cmd_cat.c - bytemill cat: what files hold, decoded, on standard output.
 *
 * Whole files are a job like any other: read, decompress to a depth of four, write to "-". Parameters of these steps
 * exist for this command alone: a file that is in none of the formats passes ("pass_plain"), and of what is written a
 * part may be cut out ("range").
 *
 * A range of a file is read by the layers of bm_seekable.h (cat_range.c), which touch only what it needs. Where these
 * cannot seek it is the same job as without a range, and the writing step lets through what was asked for. Such a run goes on
 * to the end of the file, since only there it is known whether what was given out was right; but where there is no format at
 * all, nothing more can be learnt, and it ends with the range. The last N bytes of a stream are kept until it ends.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_age.h"
#include "bm_cpus.h"
#include "bm_job.h"
#include "bm_mem.h"
#include "bm_text.h"
#include "bm_zstd.h"
#include "cat_range.h"
#include "console.h"
#include "drive.h"
#include "guard.h"

#define COMMAND "cat"
#define DEPTH 4
#define WORK_MAX 20                         /* of a passphrase: what the step decrypt takes without being asked */
#define TAIL_MAX_BYTES ((uint64_t)64 << 20) /* of a stream, in memory */
/* With all four layers the chunks that the steps like want 54 MiB, those of CHUNK_LITTLE less than 16, of CHUNK_LEAST 4. */
#define MEMORY_ENOUGH ((uint64_t)64 << 20)
#define MEMORY_LITTLE ((uint64_t)16 << 20)
#define CHUNK_LITTLE ((uint64_t)1 << 20)
#define CHUNK_LEAST ((uint64_t)64 << 10)
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "range",
		.type = BM_CLI_TEXT,
		.offset = AT(range),
		.arg = "RANGE",
		.help = "only a part of one FILE, decoded: A-B, A- or -N",
	},
	{
		.name = "identity",
		.letter = 'i',
		.type = BM_CLI_TEXTS,
		.offset = AT(identities),
		.arg = "FILE",
		.help = "open age files with the keys in FILE; repeatable",
	},
	{
		.name = "passphrase-file",
		.type = BM_CLI_TEXT,
		.offset = AT(passphrase_file),
		.arg = "FILE",
		.help = "open age files with the passphrase in FILE, which is its one line",
	},
	{
		.name = "max-window",
		.type = BM_CLI_SIZE,
		.offset = AT(max_window_bytes),
		.arg = "SIZE",
		.min = BM_ZSTD_WINDOW_MIN,
		.max = BM_ZSTD_WINDOW_MAX,
		.help = "fail a zstd file that wants a larger window, which is memory (default 128MiB)",
	},
	{
		.name = "max-size",
		.type = BM_CLI_SIZE,
		.offset = AT(max_size_bytes),
		.arg = "SIZE",
		.help = "fail a file that decodes to more (default: no limit)",
	},
	{
		.name = "max-ratio",
		.type = BM_CLI_UNSIGNED,
		.offset = AT(max_ratio),
		.arg = "N",
		.min = 1,
		.max = 1000000,
		.help = "fail a file that grows to more than N times its size, looked at past 16 MiB",
	},
};

static bool is_stdin(const char *name)
{
	return strcmp(name, "-") == 0;
}

static const char *const only_stdin[] = {"-"};

/* The FILEs, without those that are directories: these are told, and counted. */
struct files {
	const char **items; /* owned */
	size_t count, bad;
};

static bool files_collect(struct files *f, const struct bm_cli_options *o)
{
	const char *const *from = o->operand_count > 0 ? (const char *const *)o->operands : only_stdin;
	const size_t count = o->operand_count > 0 ? o->operand_count : 1;

	*f = (struct files){.items = bm_calloc_array(count, sizeof(*f->items))};
	if (f->items == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		char shown[512];
		struct stat st;

		if (is_stdin(from[i]) || stat(from[i], &st) != 0 || !S_ISDIR(st.st_mode)) {
			f->items[f->count++] = from[i];
			continue;
		}
		f->bad++;
		bm_console_say(BM_CONSOLE_ERROR, "%s: it is a directory",
		               bm_escape_display_buf(shown, sizeof(shown), from[i], strlen(from[i])));
	}
	return true;
}

/* The keys that were given, if any. */
struct keys {
	struct bm_age_identities *identities;
	bool has_passphrase;
};

/* Chunks have no part in what comes out, so they are as large as the memory allows for. 0: what the steps like best. */
static uint64_t chunk_for(uint64_t memory_bytes)
{
	const uint64_t memory = memory_bytes > 0 ? memory_bytes : bm_memory_limit() / 2;

	return memory >= MEMORY_ENOUGH ? 0 : memory >= MEMORY_LITTLE ? CHUNK_LITTLE : CHUNK_LEAST;
}

static bool build(struct bm_job *job, const struct bm_cli_options *o, const struct files *f, const struct keys *keys,
                  struct bm_byte_range *range)
{
	union bm_step_params *p = bm_job_add_step(job, "read");

	if (p == NULL)
		return false;
	job->p.chunk = chunk_for(o->memory_bytes);
	p->read.literal = true;
	for (size_t i = 0; i < f->count; i++)
		if (!bm_strings_add(&p->read.from, f->items[i]))
			return false;
	p = bm_job_add_step(job, "decompress");
	if (p == NULL)
		return false;
	p->decompress.depth = DEPTH;
	p->decompress.pass_plain = true;
	p->decompress.max_size = o->max_size_bytes;
	p->decompress.max_ratio = o->max_ratio;
	if (o->max_window_bytes > 0)
		p->decompress.max_window = o->max_window_bytes;
	p->decompress.unlock.identities = keys->identities;
	p->decompress.unlock.has_passphrase = keys->has_passphrase;
	p->decompress.found_plain = range != NULL ? &range->is_plain : NULL;
	p = bm_job_add_step(job, "write");
	if (p == NULL)
		return false;
	p->write.range = range;
	p->write.to = bm_memdup0("-", 1);
	return p->write.to != NULL;
}

static int stream(const struct bm_cli_options *o, const struct files *f, const struct keys *keys,
                  struct bm_byte_range *range)
{
	const struct bm_drive_style style = {
		.command = COMMAND, .results_on_stdout = true, .is_filter = true, .has_sandbox = true};
	struct bm_job *job = bm_job_create(COMMAND);

	if (job != NULL && !build(job, o, f, keys, range)) {
		bm_job_destroy(job);
		job = NULL;
	}
	return bm_drive_job(job, o, &style);
}

/* ---- a range ---- */

/* The ring's bytes in their order. */
static int put_tail(const struct bm_byte_range *r)
{
	const size_t len = r->seen < r->tail_bytes ? (size_t)r->seen : r->tail_bytes;
	const size_t begin = r->seen < r->tail_bytes ? 0 : (size_t)(r->seen % r->tail_bytes);

	/* main flushes, and tells what could not be written. */
	(void)fwrite(r->tail + begin, 1, len - begin, stdout);
	(void)fwrite(r->tail, 1, begin, stdout);
	return BM_EXIT_DONE;
}

static int stream_range(const struct bm_cli_options *o, const struct files *f, const struct keys *keys,
                        const struct bm_cat_range *wanted)
{
	struct bm_byte_range r = {.first = wanted->first, .last = wanted->last};
	int rc;

	if (wanted->is_suffix) {
		if (wanted->first > TAIL_MAX_BYTES) {
			char shown[512];

			bm_console_say(
				BM_CONSOLE_ERROR,
				"%s: it can be read from its start only, and then no more than its last %u MiB can be "
				"had with --range -N; say from where on, with --range A-",
				bm_escape_display_buf(shown, sizeof(shown), f->items[0], strlen(f->items[0])),
				(unsigned)(TAIL_MAX_BYTES >> 20));
			return BM_EXIT_FAILED;
		}
		r.tail_bytes = (size_t)wanted->first;
		r.tail = malloc(r.tail_bytes);
		if (r.tail == NULL) {
			bm_console_say(BM_CONSOLE_ERROR, "out of memory");
			return BM_EXIT_FAILED;
		}
	}
	rc = stream(o, f, keys, &r);
	if (rc == BM_EXIT_DONE && r.tail != NULL) {
		rc = put_tail(&r);
	} else if (rc == BM_EXIT_DONE && (wanted->is_begun ? r.seen < r.first : r.seen <= r.first)) {
		bm_cat_range_say_past(f->items[0], r.first, r.seen);
		rc = BM_EXIT_FAILED;
	}
	free(r.tail);
	return rc;
}

/* 0, or the exit code after the fault was told; keys are to be freed in any case. */
static int load_keys(const struct bm_cli_options *o, struct keys *keys)
{
	struct bm_age_secret text = {0};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;

	*keys = (struct keys){.has_passphrase = o->passphrase_file != NULL};
	if (o->identities.count == 0 && o->passphrase_file == NULL)
		return 0;
	bm_guard_process();
	status = bm_age_identities_create(&keys->identities, &err);
	for (size_t i = 0; i < o->identities.count && status == BM_OK; i++) {
		status = bm_age_read_secret_file(o->identities.items[i], &text, &err);
		if (status == BM_OK)
			status = bm_age_identities_add_text(keys->identities, text.data, text.len,
			                                    o->identities.items[i], &err);
		bm_age_secret_fini(&text);
	}
	if (status == BM_OK && o->passphrase_file != NULL) {
		const char *pass;
		size_t len;

		status = bm_age_read_secret_file(o->passphrase_file, &text, &err);
		if (status == BM_OK)
			status =
				bm_age_passphrase_from_text(text.data, text.len, o->passphrase_file, &pass, &len, &err);
		if (status == BM_OK)
			status = bm_age_identities_add_passphrase(keys->identities, pass, len, &err);
		if (status == BM_OK)
			status = bm_age_identities_cap_work(keys->identities, WORK_MAX, &err);
		bm_age_secret_fini(&text);
	}
	if (status == BM_OK)
		return 0;
	bm_console_say_error(&err);
	bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
	return BM_EXIT_USAGE;
}

static int check_range(const struct bm_cli_options *o, const struct files *f, struct bm_cat_range *range)
{
	const char *why;
	char shown[128];

	if (!bm_cat_range_parse(o->range, range, &why))
		return bm_usage_error(COMMAND, "--range is \"%s\"; %s",
		                      bm_escape_display_buf(shown, sizeof(shown), o->range, strlen(o->range)), why);
	if (f->count + f->bad > 1)
		return bm_usage_error(COMMAND, "--range is of one FILE; %zu were given", f->count + f->bad);
	return 0;
}

static int cat_range(const struct bm_cli_options *o, const struct files *f, const struct keys *keys,
                     struct bm_cat_range *range)
{
	enum bm_cat_result result = BM_CAT_STREAM;

	if (!is_stdin(f->items[0]))
		result = bm_cat_range_seek(f->items[0], range, keys->identities, o);
	else if (o->verbose)
		bm_console_say(BM_CONSOLE_PLAIN, "-: standard input: read from its start");
	if (result == BM_CAT_STREAM)
		return stream_range(o, f, keys, range);
	return result == BM_CAT_DONE ? BM_EXIT_DONE : BM_EXIT_FAILED;
}

static int cat(const struct bm_cli_options *o)
{
	struct bm_cat_range range;
	struct files f = {0};
	struct keys keys = {0};
	unsigned stdin_count = 0;
	int rc = 0;

	for (size_t i = 0; i < o->operand_count; i++)
		stdin_count += is_stdin(o->operands[i]);
	if (stdin_count > 1)
		return bm_usage_error(COMMAND, "standard input was given %u times; allowed: once", stdin_count);
	if (bm_cli_check_paths(COMMAND, o) != 0)
		return BM_EXIT_USAGE;
	if (!files_collect(&f, o)) {
		bm_console_say(BM_CONSOLE_ERROR, "out of memory");
		return BM_EXIT_FAILED;
	}
	if (o->range != NULL)
		rc = check_range(o, &f, &range);
	if (rc == 0)
		rc = load_keys(o, &keys);
	if (rc == 0 && f.count > 0)
		rc = o->range != NULL ? cat_range(o, &f, &keys, &range) : stream(o, &f, &keys, NULL);
	if (rc == 0 && f.bad > 0)
		rc = BM_EXIT_FAILED;
	bm_age_identities_destroy(keys.identities);
	free(f.items);
	return rc;
}

const struct bm_cli_command bm_cmd_cat = {
	.name = COMMAND,
	.operands = "[FILE]...",
	.summary = "decoded files (.gz .zst .age, stacked too), or a byte range of one",
	.about =
		"Writes every FILE to standard output, decoded: gzip, zstd and age, up to four of them one inside the\n"
		"other, as in .gz.age. What is in none of these formats passes as it is. Without FILE, or where FILE\n"
		"is \"-\", it reads standard input.\n"
		"\n"
		"With --range it decodes only the members, frames or chunks that hold the range, where the format\n"
		"lets it: gzip of bytemill and pgzip, BGZF (by FILE.gzi, where there is one), zstd in frames that\n"
		"tell their content's size, age without armor. Anything else is decoded from its start; -v says so.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_RESOURCES | BM_CLI_TALK | BM_CLI_FENCE,
	.epilog =
		"A range that begins behind the end is an error; of one that only ends there, what there is comes out.\n"
		"\n"
		"Examples:\n"
		"  bytemill cat access.log.gz | grep 404\n"
		"  bytemill cat -i key.txt backup.tar.zst.age | tar tf -\n"
		"  bytemill cat --range 1000000-1000999 large.csv.gz\n"
		"  bytemill cat --range -4096 large.log.zst\n"
		"\n"
		"Exit codes:\n"
		"  0 all done; 1 a file could not be read or decoded (it is named on standard error), or there is\n"
		"  no such range; 2 usage; 128+N ended by signal N\n",
	.run = cat,
};
