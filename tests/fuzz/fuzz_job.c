/*
 * fuzz_job.c - any bytes as a job file. Besides not crashing: what is said is fit for a terminal; a file is refused if and
 * only if there was an error among it; and the same text gives the same words again.
 */
#include <string.h>

#include <bytemill/bytemill.h>

#include "bm_text.h"
#include "fuzz.h"

struct said {
	size_t errors;
	uint64_t hash;
};

static void note(uint64_t *hash, const char *text)
{
	for (; *text != '\0'; text++)
		*hash = (*hash ^ (unsigned char)*text) * 0x100000001b3u;
	*hash *= 0x100000001b3u;
}

static void check_text(const char *text, bool may_be_empty)
{
	FUZZ_CHECK((may_be_empty || text[0] != '\0') && bm_utf8_valid(text, strlen(text)));
	for (; *text != '\0'; text++)
		FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void on_diagnostic(void *ctx, const struct bm_diagnostic *d)
{
	struct said *s = ctx;

	if (!d->is_warning)
		s->errors++;
	FUZZ_CHECK(strcmp(d->file, "a job") == 0);
	check_text(d->message, false);
	note(&s->hash, d->message);
	note(&s->hash, d->pointer);
	if (d->suggestion != NULL)
		note(&s->hash, d->suggestion);
	s->hash += (uint64_t)d->line * 1000 + d->column;
}

static struct said load(const uint8_t *data, size_t len)
{
	static const char *const sets[] = {"NAME=value", "TOP=/srv/data", "LEVEL=6", "X={path}"};
	struct said said = {0};
	struct bm_jobs_options opt = {.sets = sets,
	                              .set_count = sizeof(sets) / sizeof(sets[0]),
	                              .no_environment = true,
	                              .on_diagnostic = on_diagnostic,
	                              .ctx = &said};
	struct bm_error err = BM_ERROR_INIT, more = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	enum bm_status added, checked;

	FUZZ_CHECK(bm_jobs_create(&opt, &jobs, &err) == BM_OK);
	added = bm_jobs_add_text(jobs, "a job", (const char *)data, len, "/nowhere", &err);
	FUZZ_CHECK(added == BM_OK || added == BM_ERR_USAGE);
	FUZZ_CHECK((added == BM_OK) == (said.errors == 0));
	checked = bm_jobs_check(jobs, &more);
	FUZZ_CHECK((added == BM_OK && checked == BM_OK) == (said.errors == 0));
	check_text(err.text, added == BM_OK);
	check_text(more.text, checked == BM_OK);
	bm_jobs_destroy(jobs);
	return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct said first = load(data, len), again = load(data, len);

	FUZZ_CHECK(first.errors == again.errors && first.hash == again.hash);
	return 0;
}
