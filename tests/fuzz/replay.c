/*
 * replay.c - the main of a fuzz target where there is no libFuzzer: hands it every file that is named, or that lies in a
 * directory that is named, as it is, cut, and with single bytes changed, the same ones in every run. Each input lies in
 * memory that ends with it, so that AddressSanitizer sees a byte too many.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned long tried;

static void try_copy(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	FUZZ_CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	tried++;
}

static void try_damaged(uint8_t *data, size_t len)
{
	static const uint8_t bytes[] = {0, '\n', '\r', ' ', '\\', '"', '(', '0', 0x80, 0xff};
	size_t step = len / 32 + 1;

	for (size_t at = 0; at < len; at += step) {
		uint8_t old = data[at];

		try_copy(data, at);
		data[at] = bytes[at / step % sizeof(bytes)];
		try_copy(data, len);
		data[at] = (uint8_t)(old ^ (1u << at % 8));
		try_copy(data, len);
		data[at] = old;
	}
}

static int try_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t len = 0, n;

	if (f == NULL) {
		perror(path);
		return 1;
	}
	do {
		data = realloc(data, len + 65536);
		FUZZ_CHECK(data != NULL);
		n = fread(data + len, 1, 65536, f);
		len += n;
	} while (n > 0);
	fclose(f);
	fprintf(stderr, "%s\n", path); /* the last one is the culprit */
	try_copy(data, len);
	try_damaged(data, len);
	free(data);
	return 0;
}

static int try_directory(const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, NULL, alphasort), rc = 0;

	if (count < 0) {
		perror(path);
		return 1;
	}
	for (int i = 0; i < count; i++) {
		char file[4096];

		if (entries[i]->d_name[0] != '.' &&
		    snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name) < (int)sizeof(file))
			rc |= try_file(file);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		rc |= stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? try_directory(argv[i]) : try_file(argv[i]);
	}
	fprintf(stderr, "%lu inputs tried\n", tried);
	return rc != 0 || tried == 0;
}
