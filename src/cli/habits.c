/*
 * habits.c - a word that is wrong here is often right elsewhere: sha256sum -r, gzip -d, "--port". Such words are too far
 * from ours for bm_suggest, which looks for slips of the finger, and are listed here with where their meaning is found.
 *
 * Of an option is asked in this order: is it a habit of this command; a digest's name, where the command takes digests;
 * an option of other commands; an option of a step, which stands in the job file.
 */
#include "habits.h"

#include <string.h>

#include "bm_digest.h"
#include "bm_step.h"

static const struct {
	const char *words; /* a blank before and behind each */
	const char *advice;
} of_commands[] = {
	{" md5sum sha1sum sha224sum sha256sum sha384sum sha512sum shasum b2sum cksum xxhsum hashdeep rhash md5 sha256 sum "
         "checksum digest ",
         "\"bytemill hash\" prints digests, \"bytemill hash -c LIST\" checks a list of them"},
	{" check verify-tree fsck scrub ",
         "\"bytemill audit MANIFEST [DIR]\" compares a directory with a list of digests, \"bytemill hash -c LIST\" "
         "checks a list as sha256sum -c does"},
	{" gzip pigz zstd bgzip age pack archive ",
         "a job file says what to compress or encrypt, and \"bytemill run\" runs it; see \"bytemill steps\""},
	{" gunzip unpigz zcat zstdcat unzstd gzcat view show extract unpack ",
         "\"bytemill cat FILE\" writes what is in a .gz, .zst or .age to standard output"},
	{" cp mv rsync sync mirror backup move ",
         "a job file says what to copy where, and \"bytemill run\" runs it; see \"bytemill steps copy\""},
	{" version ", "\"bytemill --version\" prints it"},
	{" list ls history status log ",
         "\"bytemill runs\" lists past runs, \"bytemill catalog\" what is on record of directories"},
	{" server http httpd listen ", "\"bytemill serve\" is the HTTP service"},
	{" cron crontab timer systemd ", "\"bytemill schedule\" writes crontab lines and systemd timers"},
	{" age-keygen genkey key ", "\"bytemill keygen\" makes a pair of keys"},
	{" bagit ", "\"bytemill bag\" makes and validates bags"},
	{" compare ",
         "\"bytemill diff\" compares two manifests, \"bytemill audit\" a directory with one, or with the catalog"},
	{" repair ", "\"bytemill audit --repair-from COPY\" does that"},
	{" schema ", "\"bytemill steps --schema\" prints it"},
	{" start exec job submit ", "\"bytemill run JOB.json\" runs a job file"},
};

static const struct {
	const char *commands, *words, *advice;
} of_options[] = {
	{" run hash audit ", " r R recursive ", "directories are taken with all that is below them without it"},
	{" hash ", " b t binary text ", "bytes are taken as they are without it"},
	{" cat ", " d c decompress decode uncompress stdout ",
         "without it cat decodes what there is, to standard output"},
	{" cat ", " o output ", "cat writes to standard output; redirect it: > FILE"},
	{" cat ", " k key ", "did you mean \"--identity\"?"},
	{" cat ", " p passphrase password ", "a passphrase stands in a file: --passphrase-file FILE"},
	{" run validate hash audit cat serve ", " J jobs workers parallel cpus p procs ",
         "did you mean \"--threads\"?"},
	{" run ", " f force overwrite ",
         "outputs are replaced unless the job says \"if_exists\": \"skip\" or \"fail\""},
	{" run ", " resume continue ", "a run that was cut off is carried on with by the next one, without it"},
	{" audit ", " c check verify ", "audit compares without it"},
	{" bag ", " c check verify ", "did you mean \"--validate\"?"},
	{" serve ", " p port host bind address ", "did you mean \"--listen\"?"},
	{" serve ", " root dir directory ", "did you mean \"--outbox\"?"},
	{" run hash audit ", " bwlimit ", "did you mean \"--limit-rate\"?"},
};

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; len > 0 && (at = strstr(at, word)) != NULL; at++)
		if (at > words && at[-1] == ' ' && at[len] == ' ')
			return true;
	return false;
}

const char *bm_habit_of_command(const char *word)
{
	for (size_t i = 0; i < BM_CLI_COUNT(of_commands); i++)
		if (has_word(of_commands[i].words, word))
			return of_commands[i].advice;
	return NULL;
}

static bool put_owners(struct bm_buf *out, const char *word, const struct bm_cli_command *const *commands)
{
	const struct bm_cli_option *first = NULL;

	for (size_t i = 0; commands[i] != NULL; i++) {
		const struct bm_cli_option *o = bm_options_find(commands[i], word);

		if (o == NULL || (first != NULL && strcmp(first->name, o->name) != 0))
			continue;
		bm_buf_printf(out, "%s%s", first == NULL ? "it is an option of bytemill " : ", ", commands[i]->name);
		first = first == NULL ? o : first;
	}
	return first != NULL;
}

static bool put_steps(struct bm_buf *out, const char *word)
{
	const struct bm_step_kind *const *kinds;
	size_t count, mark = out->len;

	kinds = bm_step_kinds(&count);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < kinds[i]->option_count; j++)
			if (strcmp(kinds[i]->options[j].name, word) == 0)
				bm_buf_printf(out, "%s%s",
				              out->len == mark ? "it is a key of the job file, in the step " : ", ",
				              kinds[i]->name);
	return out->len > mark;
}

bool bm_habit_of_option(struct bm_buf *out, const struct bm_cli_command *c, const char *word,
                        const struct bm_cli_command *const *commands)
{
	for (size_t i = 0; i < BM_CLI_COUNT(of_options); i++)
		if (has_word(of_options[i].commands, c->name) && has_word(of_options[i].words, word)) {
			bm_buf_puts(out, of_options[i].advice);
			return true;
		}
	if (bm_digest_find(word) != NULL)
		for (size_t i = 0; i < c->option_count; i++)
			if (strcmp(c->options[i].name, "algorithm") == 0) {
				bm_buf_printf(out, "did you mean \"--algorithm %s\"?", word);
				return true;
			}
	if (put_owners(out, word, commands))
		return true;
	return (strcmp(c->name, "run") == 0 || strcmp(c->name, "validate") == 0) && put_steps(out, word);
}
