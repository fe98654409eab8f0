/*
 * age_secret.c - see bm_age.h: secrets that come from files, and their permissions.
 *
 * A key that others of the machine can read is no secret, and a passphrase that they can write is theirs; so a file that
 * group or others may touch is refused, as ssh refuses it, and not warned about: nobody reads the warnings of a run at
 * night. The check is made on the descriptor, after the open, so that what was checked is what is read. A FIFO, a
 * socket or a terminal has no readers to fear, and a descriptor that the caller opened (/dev/fd/N, which is how shells
 * hand over `<(...)` and `3<file`) was his to open.
 *
 * The bytes are kept in one block of memory, which grows by copying into a new one and wiping the old: realloc would
 * leave them behind.
 */
#include "age_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bm_error.h"
#include "bm_text.h"

static void wipe_free(char *data, size_t cap)
{
	if (data != NULL)
		OPENSSL_cleanse(data, cap);
	free(data);
}

void bm_age_secret_fini(struct bm_age_secret *s)
{
	wipe_free(s->data, s->len);
	*s = (struct bm_age_secret){0};
}

static bool is_callers_descriptor(const char *path)
{
	return strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/proc/self/fd/", 14) == 0 ||
	       strcmp(path, "/dev/stdin") == 0;
}

static enum bm_status check_permissions(int fd, const char *path, const char *shown, struct bm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return bm_error_set_errno(err, errno, shown, "fstat");
	if (S_ISDIR(st.st_mode))
		return bm_error_set(err, BM_ERR_USAGE, shown, "this is a directory, not a file with a secret in it");
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode) || is_callers_descriptor(path))
		return BM_OK;
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return bm_error_set(err, BM_ERR_USAGE, shown,
		                    "others than its owner may use this secret (mode %04o): chmod 600 it, and change "
		                    "the secret if somebody may have seen it",
		                    (unsigned)st.st_mode & 07777);
	return BM_OK;
}

enum bm_status bm_age_read_secret_file(const char *path, struct bm_age_secret *out, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	char shown[1000];
	char *data = NULL;
	size_t cap = 4096;
	size_t len = 0;
	int fd = -1;

	*out = (struct bm_age_secret){0};
	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	do
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		status = bm_error_set_errno(err, errno, shown, "cannot open it for reading");
		goto out;
	}
	status = check_permissions(fd, path, shown, err);
	if (status != BM_OK)
		goto out;
	data = malloc(cap);
	if (data == NULL) {
		status = bm_error_set_nomem(err);
		goto out;
	}
	for (;;) {
		ssize_t got;

		if (len == cap - 1) { /* one byte is for the NUL */
			char *bigger;

			if (len > BM_AGE_SECRET_FILE_MAX_BYTES) {
				status = bm_error_set(err, BM_ERR_LIMIT, shown,
				                      "over %zu bytes: this cannot be a file with a key or a "
				                      "passphrase in it",
				                      BM_AGE_SECRET_FILE_MAX_BYTES);
				goto out;
			}
			bigger = malloc(2 * cap);
			if (bigger == NULL) {
				status = bm_error_set_nomem(err);
				goto out;
			}
			memcpy(bigger, data, len);
			wipe_free(data, cap);
			data = bigger;
			cap *= 2;
		}
		got = read(fd, data + len, cap - 1 - len);
		if (got == 0)
			break;
		if (got > 0) {
			len += (size_t)got;
		} else if (errno != EINTR) {
			status = bm_error_set_errno(err, errno, shown, "cannot read it");
			goto out;
		}
	}
	if (len > BM_AGE_SECRET_FILE_MAX_BYTES) {
		status = bm_error_set(err, BM_ERR_LIMIT, shown, "over %zu bytes: too large for a secret",
		                      BM_AGE_SECRET_FILE_MAX_BYTES);
		goto out;
	}
	data[len] = '\0';
	*out = (struct bm_age_secret){data, len};
	data = NULL;
out:
	wipe_free(data, cap);
	if (fd >= 0)
		(void)close(fd);
	return status;
}

enum bm_status bm_age_passphrase_from_text(const char *text, size_t len, const char *name, const char **pass,
                                           size_t *pass_len, struct bm_error *err)
{
	char shown[1000];
	const char *wrong = NULL;

	*pass = text;
	if (len > 0 && text[len - 1] == '\n') {
		len--;
		if (len > 0 && text[len - 1] == '\r')
			len--;
	}
	*pass_len = len;
	if (len == 0)
		wrong = "there is no passphrase in it: it is one line of text";
	else if (memchr(text, '\n', len) != NULL)
		wrong = "there is more than one line in it: a passphrase is one line of text";
	else if (memchr(text, '\0', len) != NULL)
		wrong = "there is a NUL byte in it: a passphrase is one line of text";
	if (wrong == NULL)
		return BM_OK;
	*pass_len = 0;
	if (name != NULL)
		bm_escape_display_buf(shown, sizeof(shown), name, strlen(name));
	return bm_error_set(err, BM_ERR_USAGE, name != NULL ? shown : NULL, "%s", wrong);
}
