/*
 * read_manifest [-k KIND] [-a ALGORITHM] [-0] [-d] [-r] [-s BYTES] FILE - prints what the manifest layer makes of FILE, "-"
 * for standard input: the kind, then a line an entry: name (escaped as for a terminal), size or -, mtime or -, and
 * ALGORITHM:HEX for each digest, with ? behind a guessed algorithm, all separated by tabs; /N for block digests of N
 * bytes; UNSAFE, CUT, AGAIN for the flags. Bad lines are "!LINE: why". -0: NUL-ended; -d: "./" off names; -s: sorted,
 * within so many bytes of memory; -r: for programs: no kind, and of an entry size or -, a tab, the digests, a tab, the
 * name's bytes, NUL; bad lines go to standard error. Exit: 0; 1 some lines were bad; 2 the manifest could not be read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_manifest.h"
#include "bm_manifest_sorted.h"
#include "bm_text.h"

static uint64_t bad_count;
static bool is_raw;

static void print_digest(const char *name, const uint8_t *bytes, size_t len, const char *mark)
{
	printf("%s%s:", is_raw ? " " : "\t", name);
	for (size_t i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	fputs(mark, stdout);
}

static void print_raw(const struct bm_manifest_entry *e)
{
	if (e->has_size)
		printf("%" PRIu64 "\t", e->size_bytes);
	else
		fputs("-\t", stdout);
	for (size_t i = 0; i < e->digest_count; i++)
		print_digest(e->digests[i].name, e->digests[i].bytes, e->digests[i].len, "");
	putchar('\t');
	fwrite(e->name, 1, e->name_len + 1, stdout);
}

static void print_entry(const struct bm_manifest_entry *e)
{
	struct bm_buf name = {0};

	if (is_raw) {
		print_raw(e);
		return;
	}
	bm_escape_display(&name, e->name, e->name_len);
	fputs(name.oom ? "(no memory)" : name.data, stdout);
	bm_buf_fini(&name);
	if (e->has_size)
		printf("\t%" PRIu64, e->size_bytes);
	else
		fputs("\t-", stdout);
	if (e->has_mtime)
		printf("\t%" PRId64, e->mtime_ns);
	else
		fputs("\t-", stdout);
	for (size_t i = 0; i < e->digest_count; i++)
		print_digest(e->digests[i].name, e->digests[i].bytes, e->digests[i].len,
		             e->digests[i].is_guess ? "?" : "");
	for (size_t i = 0; e->has_blocks && i < e->blocks.count; i++) {
		char mark[32];

		snprintf(mark, sizeof(mark), "/%" PRIu64, e->blocks.size_bytes);
		print_digest(e->blocks.name, e->blocks.bytes + i * e->blocks.digest_len, e->blocks.digest_len, mark);
	}
	printf("%s%s%s\n", e->unsafe != 0 ? "\tUNSAFE" : "", e->is_unterminated ? "\tCUT" : "",
	       e->is_duplicate ? "\tAGAIN" : "");
}

static void print_bad(void *ctx, uint64_t line, const char *fault)
{
	(void)ctx;
	fprintf(is_raw ? stderr : stdout, "!%" PRIu64 ": %s\n", line, fault);
	bad_count++;
}

static int failed(const struct bm_error *err)
{
	fprintf(stderr, "%s: %s\n", err->where, err->text);
	return 2;
}

static int print_all(struct bm_manifest_reader *r)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_entry e;

	for (;;) {
		switch (bm_manifest_next(r, &e, &err)) {
		case BM_MANIFEST_END:
			return bad_count > 0 ? 1 : 0;
		case BM_MANIFEST_ENTRY:
			print_entry(&e);
			break;
		case BM_MANIFEST_BAD_LINE:
			print_bad(NULL, e.line, e.fault);
			break;
		case BM_MANIFEST_FAILED:
			return failed(&err);
		}
	}
}

static int print_sorted(struct bm_manifest_reader *r, size_t memory_bytes)
{
	struct bm_manifest_sorted_options o = {.memory_bytes = memory_bytes, .on_bad_line = print_bad};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_sorted *s = NULL;
	struct bm_manifest_entry e;
	enum bm_manifest_event event;

	if (bm_manifest_sorted_create(r, &o, &s, &err) != BM_OK)
		return failed(&err);
	while ((event = bm_manifest_sorted_next(s, &e, &err)) == BM_MANIFEST_ENTRY)
		print_entry(&e);
	bm_manifest_sorted_destroy(s);
	return event == BM_MANIFEST_FAILED ? failed(&err) : bad_count > 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct bm_manifest_options o = {0};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	size_t memory_bytes = 0;
	int option, rc;

	while ((option = getopt(argc, argv, "k:a:0drs:")) != -1) {
		if (option == 'k' && bm_manifest_kind_find(optarg, &o.kind))
			continue;
		if (option == 'a')
			o.algorithm = optarg;
		else if (option == '0')
			o.nul = true;
		else if (option == 'd')
			o.strip_dot_slash = true;
		else if (option == 'r')
			is_raw = true;
		else if (option == 's')
			memory_bytes = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	if (strcmp(argv[optind], "-") == 0)
		rc = bm_manifest_open_fd(STDIN_FILENO, "-", &o, &r, &err) != BM_OK ? failed(&err) : 0;
	else
		rc = bm_manifest_open_path(argv[optind], &o, &r, &err) != BM_OK ? failed(&err) : 0;
	if (rc == 0) {
		if (!is_raw)
			printf("%s%s\n", bm_manifest_kind_name(bm_manifest_kind(r)),
			       bm_manifest_is_nul(r) ? " nul" : "");
		rc = memory_bytes > 0 ? print_sorted(r, memory_bytes) : print_all(r);
	}
	bm_manifest_close(r);
	return rc;
}
