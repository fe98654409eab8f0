/*
 * fuzz_bag.c - any bytes as the files of a bag that are not payload. The input is cut at lines of "=== NAME", of the names
 * below; a directory is made of it and judged. Faults are one line each and fit for a terminal; what is left to be
 * compared is a manifest that reads well, of names within the bag.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_bag.h"
#include "bm_error.h"
#include "fuzz_manifest.h"

static const char *const names[] = {
	"bagit.txt",        "bag-info.txt",           "fetch.txt",      "manifest-sha256.txt",
	"manifest-md5.txt", "tagmanifest-sha256.txt", "manifest-x.txt", "data/a",
};
#define NAMES (sizeof(names) / sizeof(names[0]))

static char dir[4096];

static int dir_fd = -1;

static void remove_all(void)
{
	for (size_t i = 0; i < NAMES; i++)
		unlinkat(dir_fd, names[i], 0);
	unlinkat(dir_fd, "data", AT_REMOVEDIR);
	rmdir(dir);
}

static void make_dir(void)
{
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(dir, sizeof(dir), "%s/fuzz_bag.XXXXXX", tmp);
	FUZZ_CHECK(mkdtemp(dir) != NULL);
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(dir_fd >= 0 && mkdirat(dir_fd, "data", 0700) == 0);
	FUZZ_CHECK(atexit(remove_all) == 0);
}

static void write_file(const char *name, const uint8_t *data, size_t len)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(len == 0 || write(fd, data, len) == (ssize_t)len);
	close(fd);
}

/* The name in the line at at, its length in *skip; NAMES: it is no such line. */
static size_t head_at(const uint8_t *at, size_t len, size_t *skip)
{
	for (size_t i = 0; i < NAMES; i++) {
		size_t n = strlen(names[i]);

		if (len > 4 + n && memcmp(at, "=== ", 4) == 0 && memcmp(at + 4, names[i], n) == 0 &&
		    at[4 + n] == '\n') {
			*skip = 4 + n + 1;
			return i;
		}
	}
	return NAMES;
}

static void write_bag(const uint8_t *data, size_t len)
{
	size_t now = 0, from = 0, at = 0, skip = 0;

	for (size_t i = 0; i < NAMES; i++)
		unlinkat(dir_fd, names[i], 0);
	while (at <= len) {
		size_t next = at == len ? NAMES : head_at(data + at, len - at, &skip);

		if (next < NAMES || at == len) {
			if (at > from || now > 0)
				write_file(names[now], data + from, at - from);
			if (at == len)
				return;
			now = next;
			at += skip;
			from = at;
			continue;
		}
		const uint8_t *lf = memchr(data + at, '\n', len - at);
		at = lf != NULL ? (size_t)(lf - data) + 1 : len;
	}
}

static void on_fault(void *ctx, const char *text)
{
	size_t *told = ctx;

	check_text(text);
	++*told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t told = 0;
	struct bm_bag_check c = {.on_fault = on_fault, .ctx = &told};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;

	if (dir_fd < 0)
		make_dir();
	write_bag(data, len);
	if (bm_bag_check(dir, &c, &err) != BM_OK) {
		check_text(err.text);
		FUZZ_CHECK(c.list < 0);
		return 0;
	}
	FUZZ_CHECK(told == c.faults + c.unknown);
	FUZZ_CHECK(c.incomplete <= c.faults && (c.list >= 0 || c.faults > 0));
	if (c.list < 0)
		return 0;
	FUZZ_CHECK(lseek(c.list, 0, SEEK_SET) == 0);
	FUZZ_CHECK(bm_manifest_open_fd(c.list, "x", &(struct bm_manifest_options){.kind = BM_MANIFEST_KIND_BSD}, &r,
	                               &err) == BM_OK);
	for (enum bm_manifest_event event; (event = bm_manifest_next(r, &e, &err)) != BM_MANIFEST_END;) {
		FUZZ_CHECK(event == BM_MANIFEST_ENTRY && e.unsafe == 0 && e.digest_count == 1);
		FUZZ_CHECK(e.digests[0].algorithm != NULL && !e.digests[0].is_guess);
	}
	bm_manifest_close(r);
	close(c.list);
	return 0;
}
