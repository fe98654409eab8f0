/*
 * write_manifest [-0] KIND ALGORITHM[,ALGORITHM...] - reads names of files, NUL-ended, on standard input, digests the
 * files, and writes a manifest of them to standard output. A name that KIND cannot carry is left out, and told on
 * standard error as "refused NAME: why". Exit: 0; 2 something failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_manifest.h"
#include "bm_text.h"

#define ALGORITHMS_MAX 16

static int failed(const struct bm_error *err)
{
	fprintf(stderr, "%s: %s\n", err->where, err->text);
	return 2;
}

/* All of a file's bytes through each digest. */
static enum bm_status digest_file(const char *name, struct bm_manifest_entry *e, struct bm_manifest_digest *digests,
                                  uint8_t bytes[][BM_DIGEST_MAX_BYTES], struct bm_error *err)
{
	static char data[65536];
	enum bm_status status = BM_OK;

	e->size_bytes = 0;
	for (size_t i = 0; i < e->digest_count && status == BM_OK; i++) {
		struct bm_digest *d = NULL;
		FILE *f = fopen(name, "rb");
		size_t n;

		if (f == NULL)
			return bm_error_set(err, BM_ERR_SYSTEM, name, "cannot open it");
		status = bm_digest_create(digests[i].algorithm, &d, err);
		e->size_bytes = 0;
		while (status == BM_OK && (n = fread(data, 1, sizeof(data), f)) > 0) {
			status = bm_digest_update(d, data, n, err);
			e->size_bytes += n;
		}
		if (status == BM_OK)
			status = bm_digest_finish(d, bytes[i], err);
		bm_digest_destroy(d);
		fclose(f);
	}
	return status;
}

int main(int argc, char **argv)
{
	struct bm_manifest_style style = {0};
	struct bm_manifest_digest digests[ALGORITHMS_MAX];
	uint8_t bytes[ALGORITHMS_MAX][BM_DIGEST_MAX_BYTES];
	const char *names[ALGORITHMS_MAX];
	struct bm_manifest_entry e = {.digests = digests, .has_size = true};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf out = {0};
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int at = 1, rc = 2;

	if (at < argc && strcmp(argv[at], "-0") == 0) {
		style.nul = true;
		at++;
	}
	if (at + 2 != argc || !bm_manifest_kind_find(argv[at], &style.kind))
		return 2;
	for (char *word = strtok(argv[at + 1], ","); word != NULL; word = strtok(NULL, ",")) {
		const struct bm_digest_algorithm *a = bm_digest_find(word);

		if (a == NULL || e.digest_count == ALGORITHMS_MAX)
			return 2;
		names[e.digest_count] = a->name;
		digests[e.digest_count] = (struct bm_manifest_digest){
			.algorithm = a, .name = a->name, .bytes = bytes[e.digest_count], .len = a->size_bytes};
		e.digest_count++;
	}
	style.algorithms = names;
	style.algorithm_count = e.digest_count;
	if (bm_manifest_put_head(&out, &style, &err) != BM_OK) {
		failed(&err);
		goto out;
	}
	while ((len = getdelim(&line, &cap, '\0', stdin)) > 0) {
		enum bm_status status;

		if (line[len - 1] == '\0')
			len--;
		e.name = line;
		e.name_len = (size_t)len;
		if (digest_file(line, &e, digests, bytes, &err) != BM_OK) {
			failed(&err);
			goto out;
		}
		status = bm_manifest_put_entry(&out, &style, &e, &err);
		if (status == BM_ERR_UNSUPPORTED) {
			fprintf(stderr, "refused %s: %s\n", err.where, err.text);
			bm_error_clear(&err);
		} else if (status != BM_OK) {
			failed(&err);
			goto out;
		}
	}
	rc = fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 2;
out:
	bm_buf_fini(&out);
	free(line);
	return rc;
}
