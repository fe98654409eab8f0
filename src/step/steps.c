/*
 * The table of steps.
 *
 * Everything that is ever said about an option is said here once: its type, its range, its default, its help line, and
 * where its value goes. The reader of job files, `bytemill steps`, jobs/job.schema.json and the man page walk these
 * rows; none of them knows the name of a single option. The rows of a step stand at the end of the file that runs it,
 * those of the job's own keys here. So a new option is a field in bm_step.h and a row, and a new step is a struct there,
 * a file of its own, and its name in `kinds`.
 *
 * Three things to know when a row is written:
 *  - The order of the rows is the order in which help, schema and messages list them: what a user needs first is first.
 *  - For BM_OPTION_STRING min and max bound the length in bytes (max 0: no bound); everything else about them is in
 *    bm_step.h.
 *  - Where a row lists values whose index is an enum elsewhere, the list is written with that enum's constants as
 *    designators, so that neither can be reordered alone. The names of the digests are the one list that exists twice
 *    (a static table cannot call bm_digest_algorithms()); a unit test compares the two.
 *
 * What a table of single options cannot say, the rules between options, is in one check function a step. Each reports
 * all that it finds and is run on values that are valid one by one. Rules between steps are the job layer's.
 */
#include "bm_step.h"

#include <stdlib.h>
#include <string.h>

#include "step_internal.h"

/* ---- the job's own keys ---- */

static const char *const on_error_values[] = {
	[BM_ON_ERROR_CONTINUE] = "continue",
	[BM_ON_ERROR_STOP] = "stop",
	NULL,
};

static const char *const notify_on_values[] = {
	[BM_NOTIFY_FAILURE] = "failure",
	[BM_NOTIFY_SUCCESS] = "success",
	[BM_NOTIFY_ALWAYS] = "always",
	NULL,
};

static const struct bm_option notify_options[] = {
	{
		.name = "command",
		.type = BM_OPTION_STRINGS,
		.required = true,
		.min = 1,
		.offset = offsetof(struct bm_job_params, notify_command),
		.help = "the program and its arguments, a string each, as [\"mail\", \"-s\", \"backup\", \"root\"]; there is "
			"no shell",
	},
	{
		.name = "on",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_job_params, notify_on),
		.default_json = "\"failure\"",
		.values = notify_on_values,
		.help = "failure: when the job, or a file of it, failed, was found different by verify, could not be started, "
			"or was killed; success: when all went well",
	},
	{
		.name = "timeout",
		.type = BM_OPTION_DURATION,
		.offset = offsetof(struct bm_job_params, notify_timeout),
		.default_json = "\"60s\"",
		.help = "the command is ended when it takes longer",
	},
};

static const struct bm_option job_options[] = {
	{
		.name = "name",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_job_params, name),
		.min = 1,
		.max = 100,
		.help = "names the job in reports, in {job} and in after; without it the file's name without "
			".json; required "
			"where a file holds several jobs",
	},
	{
		.name = "description",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_job_params, description),
		.help = "a note for people",
	},
	{
		.name = "after",
		.type = BM_OPTION_STRINGS,
		.offset = offsetof(struct bm_job_params, after),
		.help = "names of jobs that must have gone well before this one starts",
	},
	{
		.name = "memory",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_job_params, memory),
		.min = INT64_C(1) << 20,
		.help = "budget of chunk buffers and codec states; --memory wins over it; without both 256MiB",
	},
	{
		.name = "chunk",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_job_params, chunk),
		.min = INT64_C(4) << 10,
		.max = INT64_C(64) << 20,
		.help = "bytes of a file that are worked on at once; without it chosen by the steps",
	},
	{
		.name = "on_error",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_job_params, on_error),
		.default_json = "\"continue\"",
		.values = on_error_values,
		.help = "after a file that failed, go on with the others or stop the job",
	},
	{
		.name = "incremental",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_job_params, incremental),
		.default_json = "false",
		.help = "skip inputs that a run before has done, when they and their outputs are as they were then (size, time of "
			"change, inode); manifests are whole all the same; run --all does all again",
	},
	{
		.name = "retries",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_job_params, retries),
		.default_json = "0",
		.min = 0,
		.max = 20,
		.help = "how often opening or reading an input, or opening an output, is tried again after an error that may pass (EIO, "
			"EAGAIN, ESTALE, ETIMEDOUT), as of a network: after 100 ms, then twice as long each time, up to 10 s; with URLs 3 times at "
			"the least",
	},
	{
		.name = "limit_rate",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_job_params, limit_rate),
		.min = 1024,
		.help = "read at most so many bytes a second, as \"20MiB\"; --limit-rate, of all jobs together, wins over it",
	},
	{
		.name = "notify",
		.type = BM_OPTION_OBJECT,
		.offset = offsetof(struct bm_job_params, notify),
		.fields = notify_options,
		.field_count = BM_LENGTH(notify_options),
		.help = "a command that bytemill run starts when the run is over; it reads what happened as JSON on its "
			"standard input",
	},
};

/* ---- the table ---- */

/* In the order in which a job uses them, as far as there is one. */
static const struct bm_step_kind *const kinds[] = {
	&bm_read_kind,       &bm_hash_kind,    &bm_verify_kind,  &bm_copy_kind,  &bm_compress_kind,
	&bm_decompress_kind, &bm_encrypt_kind, &bm_decrypt_kind, &bm_write_kind,
};

const struct bm_step_kind *const *bm_step_kinds(size_t *count)
{
	*count = BM_LENGTH(kinds);
	return kinds;
}

const struct bm_step_kind *bm_step_find(const char *name)
{
	for (size_t i = 0; i < BM_LENGTH(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

const struct bm_option *bm_job_options(size_t *count)
{
	*count = BM_LENGTH(job_options);
	return job_options;
}

/* ---- for the checks ---- */

bool bm_step_is_dash(const char *s)
{
	return s != NULL && strcmp(s, "-") == 0;
}

unsigned bm_step_placeholders(const char *text, unsigned allowed)
{
	struct bm_template *t = NULL;
	struct bm_error ignored = BM_ERROR_INIT;
	unsigned uses = 0;

	if (text != NULL && bm_template_compile(text, allowed, &t, &ignored) == BM_OK)
		uses = bm_template_uses(t);
	bm_template_destroy(t);
	return uses;
}

/* ---- freeing ---- */

static void strings_fini(struct bm_strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct bm_strings){0};
}

void bm_params_fini(void *params, const struct bm_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		void *field = (char *)params + options[i].offset;

		switch (options[i].type) {
		case BM_OPTION_STRING:
		case BM_OPTION_PATH:
		case BM_OPTION_TEMPLATE:
		case BM_OPTION_NAME:
			free(*(char **)field);
			*(char **)field = NULL;
			break;
		case BM_OPTION_PATHS:
		case BM_OPTION_FILES:
		case BM_OPTION_GLOBS:
		case BM_OPTION_STRINGS:
			strings_fini(field);
			break;
		case BM_OPTION_INTEGER:
			*(int64_t *)field = 0;
			break;
		case BM_OPTION_SIZE:
			*(uint64_t *)field = 0;
			break;
		case BM_OPTION_DURATION:
			*(struct bm_optional_ms *)field = (struct bm_optional_ms){0};
			break;
		case BM_OPTION_BOOL:
			*(bool *)field = false;
			break;
		case BM_OPTION_ENUM:
			*(int *)field = 0;
			break;
		case BM_OPTION_ENUMS:
			*(struct bm_enum_list *)field = (struct bm_enum_list){0};
			break;
		case BM_OPTION_OBJECTS: {
			struct bm_objects *o = field;

			for (size_t k = 0; k < o->count; k++)
				bm_params_fini((char *)o->items + k * options[i].item_size, options[i].fields,
				               options[i].field_count);
			free(o->items);
			*o = (struct bm_objects){0};
			break;
		}
		case BM_OPTION_OBJECT:
			*(bool *)field = false;
			bm_params_fini(params, options[i].fields, options[i].field_count);
			break;
		}
	}
}
