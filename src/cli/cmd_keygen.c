/*
 * cmd_keygen.c - bytemill keygen: a pair of age keys, as age-keygen writes it.
 *
 * The lines are the same, and what goes where: the pair to standard output or to a new file that only its owner may
 * touch; the public key to standard error besides, unless the pair is shown on a terminal anyway. The secret key goes
 * straight from its own memory to the descriptor, past any buffer of stdio, and is wiped.
 *
 * A file that is there already is never written to: it may be the only key to a year of backups. One that could not be
 * written whole, or of which it is not known that a power cut leaves it there, is removed again.
 */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bm_age.h"
#include "bm_error.h"
#include "bm_fd.h"
#include "bm_mem.h"
#include "bm_text.h"
#include "console.h"
#include "place.h"
#include "guard.h"

#define COMMAND "keygen"
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "output",
		.letter = 'o',
		.type = BM_CLI_TEXT,
		.offset = AT(output),
		.arg = "FILE",
		.help = "write to FILE, which must not be there yet, and which only you may read then",
	},
	{
		.name = "public",
		.letter = 'y',
		.type = BM_CLI_FLAG,
		.offset = AT(public_keys),
		.help = "print the public keys of an identity file (standard input without one)",
	},
};

static enum bm_status write_all(int fd, const char *text, size_t len, const char *shown, struct bm_error *err)
{
	return bm_fd_write_all(fd, text, len) ? BM_OK : bm_error_set_errno(err, errno, shown, "cannot write");
}

static enum bm_status write_file(const char *path, const char *text, size_t len, struct bm_error *err)
{
	char shown[1000];
	enum bm_status status;
	int fd;

	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return bm_error_set(err, BM_ERR_EXISTS, shown,
		                    "is there already, and may hold a key that is still needed: give another name");
	if (fd < 0)
		return bm_error_set_errno(err, errno, shown, "cannot make the file%s", bm_place_advice(errno));
	status = write_all(fd, text, len, shown, err);
	if (status == BM_OK && !bm_fd_sync(fd, path))
		status = bm_error_set_errno(err, errno, shown, "cannot write it to the disk");
	if (close(fd) != 0 && status == BM_OK)
		status = bm_error_set_errno(err, errno, shown, "cannot write");
	if (status != BM_OK)
		(void)unlink(path);
	return status;
}

static enum bm_status write_out(const struct bm_cli_options *o, const char *text, size_t len, struct bm_error *err)
{
	return o->output != NULL ? write_file(o->output, text, len, err)
	                         : write_all(STDOUT_FILENO, text, len, "standard output", err);
}

static void warn_of_readers(void)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		bm_console_say(BM_CONSOLE_WARNING,
		               "others may read the file that the secret key goes to (mode %04o): chmod 600 it, or use "
		               "-o",
		               (unsigned)st.st_mode & 07777);
}

static enum bm_status generate(const struct bm_cli_options *o, struct bm_error *err)
{
	char text[BM_AGE_KEYPAIR_TEXT_BYTES];
	struct bm_age_keypair pair;
	enum bm_status status = bm_age_keygen(&pair, err);
	size_t len;

	if (status != BM_OK)
		return status;
	len = bm_age_keypair_text(&pair, time(NULL), text);
	if (o->output == NULL)
		warn_of_readers();
	status = write_out(o, text, len, err);
	if (status == BM_OK && (o->output != NULL || isatty(STDOUT_FILENO) == 0))
		(void)fprintf(stderr, "Public key: %s\n", pair.recipient);
	explicit_bzero(text, sizeof(text));
	bm_age_keypair_wipe(&pair);
	return status;
}

static enum bm_status convert(const struct bm_cli_options *o, struct bm_error *err)
{
	const char *path = o->operand_count > 0 && strcmp(o->operands[0], "-") != 0 ? o->operands[0] : "/dev/stdin";
	char recipient[BM_AGE_RECIPIENT_TEXT_BYTES];
	struct bm_age_identities *ids = NULL;
	struct bm_age_secret s = {0};
	struct bm_buf out = {0};
	enum bm_status status = bm_age_identities_create(&ids, err);

	if (status == BM_OK)
		status = bm_age_read_secret_file(path, &s, err);
	if (status == BM_OK)
		status = bm_age_identities_add_text(ids, s.data, s.len, path, err);
	for (size_t i = 0; status == BM_OK && i < bm_age_identities_keys(ids); i++) {
		status = bm_age_identities_recipient(ids, i, recipient, err);
		bm_buf_puts(&out, recipient);
		bm_buf_putc(&out, '\n');
	}
	if (status == BM_OK)
		status = out.oom ? bm_error_set_nomem(err) : write_out(o, out.data, out.len, err);
	bm_age_secret_fini(&s);
	bm_age_identities_destroy(ids);
	bm_buf_fini(&out);
	return status;
}

static int keygen(const struct bm_cli_options *o)
{
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;

	if (!o->public_keys && o->operand_count > 0)
		return bm_usage_error(COMMAND, "an identity file goes with --public (-y) only");
	if (o->operand_count > 1)
		return bm_usage_error(COMMAND, "%zu identity files were given; allowed: one", o->operand_count);
	bm_guard_process();
	status = o->public_keys ? convert(o, &err) : generate(o, &err);
	if (status == BM_OK)
		return BM_EXIT_DONE;
	bm_console_say_error(&err);
	return status == BM_ERR_USAGE || status == BM_ERR_UNSUPPORTED || status == BM_ERR_EXISTS ? BM_EXIT_USAGE
	                                                                                         : BM_EXIT_FAILED;
}

const struct bm_cli_command bm_cmd_keygen = {
	.name = COMMAND,
	.operands = "[-y [IDENTITY_FILE]]",
	.summary = "make a pair of age keys",
	.about =
		"Makes a pair of keys for the steps encrypt and decrypt, or for age, and prints it as age-keygen does.\n"
		"What is printed is an identity file; the public key in it is the recipient to encrypt for.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = 0,
	.epilog =
		"Examples:\n"
		"  bytemill keygen -o backup.key\n"
		"  bytemill keygen -y backup.key > backup.pub      for recipients_file\n"
		"\n"
		"Exit codes:\n"
		"  0 done; 1 the result could not be written; 2 usage, an unfit identity file, or FILE is there already\n",
	.run = keygen,
};
