/*
 * bench_catalog.c - what the catalog costs a file: `bench_catalog [FILES] [DIR]` (1,000,000 files, a new directory below
 * the working one, removed afterwards). Each figure is wall time and processor time of all threads in microseconds a
 * file, for a caller that does nothing else; "queued" is what the calls alone took, before the last flush.
 *
 * Not run by ctest. cmake --build build/release --target bench_catalog && build/release/tests/bench/bench_catalog
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bm_catalog.h"
#include "bm_catalog_done.h"
#include "bm_catalog_files.h"

static struct bm_error err = BM_ERROR_INIT;
static unsigned long count = 1000000;

#define MUST(what)                                                                                                     \
	do {                                                                                                           \
		if ((what) != BM_OK) {                                                                                 \
			(void)fprintf(stderr, "%s: %s: %s\n", #what, err.where, err.text);                             \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct clocks {
	double wall, cpu;
};

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct clocks now(void)
{
	return (struct clocks){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static void report(const char *what, struct clocks start, double queued, unsigned long n)
{
	struct clocks end = now();
	double us = 1e6 / (double)(n > 0 ? n : 1);

	(void)printf("%-38s %8lu rows %7.2f s %7.2f us wall %6.2f us cpu", what, n, end.wall - start.wall,
	             (end.wall - start.wall) * us, (end.cpu - start.cpu) * us);
	if (queued > 0)
		(void)printf(" %6.2f us queued", (queued - start.wall) * us);
	(void)printf("\n");
	(void)fflush(stdout);
}

/* Names as a tree of documents has them, in order, 57 bytes long. */
static size_t make_path(char *out, unsigned long i)
{
	return (size_t)sprintf(out, "archive/year-%05lu/folder-%03lu/some_document_%09lu.dat", i / 10000, i / 50 % 200,
	                       i);
}

static uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

static const int64_t base = 1700000000000000000;

static void put_all(struct bm_catalog *c, int64_t root, const char *what, int64_t when)
{
	struct clocks start = now();
	char path[128];
	uint64_t digest[4];

	for (unsigned long i = 0; i < count; i++) {
		struct bm_catalog_file f = {
			.path = path,
			.path_len = make_path(path, i),
			.size = mix(i) % 100000,
			.mtime_ns = base + (int64_t)(mix(i) % 1000000000000),
			.ctime_ns = base + (int64_t)(mix(i + 1) % 1000000000000),
			.inode = 1000000 + i,
			.algorithm = "sha256",
			.digest = (const uint8_t *)digest,
			.digest_len = 32,
			.first_seen_ns = when + (int64_t)i * 20000,
			.verified_ns = when + (int64_t)i * 20000,
		};
		for (size_t k = 0; k < 4; k++)
			digest[k] = mix(i * 4 + k + 77);
		MUST(bm_catalog_file_put(c, root, &f, NULL, &err));
	}
	double queued = seconds(CLOCK_MONOTONIC);
	MUST(bm_catalog_flush(c, &err));
	report(what, start, queued, count);
}

static void verify_all(struct bm_catalog *c, int64_t root, int64_t when)
{
	struct clocks start = now();
	char path[128];

	for (unsigned long i = 0; i < count; i++) {
		size_t len = make_path(path, i);

		MUST(bm_catalog_file_verified(c, root, path, len, when + (int64_t)i, BM_CATALOG_VERIFIED, &err));
	}
	double queued = seconds(CLOCK_MONOTONIC);
	MUST(bm_catalog_flush(c, &err));
	report("files: verified again", start, queued, count);
}

static void stream(struct bm_catalog *c, int64_t root)
{
	struct clocks start = now();
	struct bm_catalog_files *files;
	const struct bm_catalog_file *f;
	unsigned long n = 0;
	char path[128];

	MUST(bm_catalog_files_open(c, root, NULL, 0, &files, &err));
	for (;; n++) {
		MUST(bm_catalog_files_next(files, &f, &err));
		if (f == NULL)
			break;
	}
	bm_catalog_files_close(files);
	report("files: read in order of paths", start, 0, n);

	start = now();
	MUST(bm_catalog_files_open(c, root, NULL, 0, &files, &err));
	for (n = 0; n < count; n++) {
		size_t len = make_path(path, n);

		MUST(bm_catalog_files_find(files, path, len, &f, &err));
		if (f == NULL)
			exit(1);
	}
	report("files: found one by one, ascending", start, 0, n);
	start = now();
	for (n = 0; n < 100000; n++) {
		size_t len = make_path(path, mix(n) % count);

		MUST(bm_catalog_files_find(files, path, len, &f, &err));
		if (f == NULL)
			exit(1);
	}
	bm_catalog_files_close(files);
	report("files: found one by one, random", start, 0, n);
}

static void due(struct bm_catalog *c, int64_t root, int64_t before, const char *what)
{
	struct clocks start = now();
	struct bm_catalog_files *files;
	const struct bm_catalog_file *f;
	unsigned long n = 0;

	MUST(bm_catalog_files_open_due(c, root, before, NULL, &files, &err));
	for (;; n++) {
		MUST(bm_catalog_files_next(files, &f, &err));
		if (f == NULL)
			break;
	}
	bm_catalog_files_close(files);
	report(what, start, 0, n > 0 ? n : count);
}

static bool on_match(void *ctx, size_t index, int64_t root, const struct bm_catalog_file *f)
{
	(void)index;
	(void)root;
	(void)f;
	++*(unsigned long *)ctx;
	return true;
}

static void match(struct bm_catalog *c, int64_t root)
{
	enum { WANTED = 10000 };
	static uint64_t bytes[WANTED][4];
	static struct bm_catalog_digest wanted[WANTED];
	unsigned long n = 0;

	for (size_t i = 0; i < WANTED; i++) {
		for (size_t k = 0; k < 4; k++)
			bytes[i][k] = mix(mix(i) % count * 4 + k + 77);
		wanted[i] = (struct bm_catalog_digest){"sha256", (const uint8_t *)bytes[i], 32};
	}
	struct clocks start = now();
	MUST(bm_catalog_files_match(c, root, wanted, WANTED, on_match, &n, &err));
	report("files: 10,000 digests looked for", start, 0, count);
	if (n < WANTED)
		exit(1);
}

static void cover(struct bm_catalog *c, int64_t root)
{
	static struct bm_catalog_coverage out;
	struct clocks start = now();

	MUST(bm_catalog_coverage(c, root, &base, 1, &out, &err));
	report("files: coverage", start, 0, count);
}

static void done_records(struct bm_catalog *c, int64_t root)
{
	struct clocks start;
	struct bm_catalog_dones *cur;
	const struct bm_catalog_done *got;
	int64_t job;
	char path[128], output[160];
	uint64_t digest[4];
	double queued;

	MUST(bm_catalog_job_open(c, (const uint8_t *)"key", 3, "bench", base, &job, &err));
	for (int round = 0; round < 2; round++) {
		start = now();
		for (unsigned long i = 0; i < count; i++) {
			size_t len = make_path(path, i);
			struct bm_catalog_output o = {.path = output, .size = i, .mtime_ns = base, .step = 3};
			struct bm_catalog_done_digest g = {1, "sha256", (const uint8_t *)digest, 32, i};

			o.path_len = (size_t)sprintf(output, "/backup/%s.gz", path);
			for (size_t k = 0; k < 4; k++)
				digest[k] = mix(i * 4 + k);
			MUST(bm_catalog_done_put(c, job, root, 0,
			                         &(struct bm_catalog_done){.path = path,
			                                                   .path_len = len,
			                                                   .size = i,
			                                                   .mtime_ns = base + (int64_t)i,
			                                                   .ctime_ns = base + (int64_t)i,
			                                                   .inode = i + 1000000,
			                                                   .done_ns = base,
			                                                   .outputs = &o,
			                                                   .output_count = 1,
			                                                   .digests = &g,
			                                                   .digest_count = 1},
			                         &err));
		}
		queued = seconds(CLOCK_MONOTONIC);
		MUST(bm_catalog_flush(c, &err));
		report(round == 0 ? "done: put, new" : "done: put again", start, queued, count);
	}
	start = now();
	MUST(bm_catalog_dones_open(c, job, root, &cur, &err));
	for (unsigned long i = 0; i < count; i++) {
		size_t len = make_path(path, i);

		MUST(bm_catalog_dones_find(cur, path, len, &got, &err));
		if (got == NULL || got->size != i)
			exit(1);
	}
	bm_catalog_dones_close(cur);
	report("done: found one by one, ascending", start, 0, count);
}

static void size_of(struct bm_catalog *c, const char *what)
{
	struct stat st;

	if (stat(bm_catalog_path(c), &st) == 0)
		(void)printf("%-38s %8.1f MiB, %.0f bytes a file\n", what, (double)st.st_size / 1048576,
		             (double)st.st_size / (double)count);
}

int main(int argc, char **argv)
{
	char own[] = "bench-catalog-XXXXXX", command[64];
	struct bm_catalog_options opt = {.dir = argc > 2 ? argv[2] : NULL};
	struct bm_catalog *c = NULL;
	struct bm_catalog_root r;
	struct rusage usage;

	if (argc > 1)
		count = strtoul(argv[1], NULL, 10);
	if (opt.dir == NULL && (opt.dir = mkdtemp(own)) == NULL) {
		perror("mkdtemp");
		return 1;
	}
	MUST(bm_catalog_open(&opt, &c, &err));
	MUST(bm_catalog_root_add(c, "/bench", 6, NULL, base, &r, &err));
	put_all(c, r.id, "files: put, new", base);
	size_of(c, "  the database");
	stream(c, r.id);
	due(c, r.id, base, "files: nothing is due");
	due(c, r.id, base + (int64_t)count * 20000, "files: all due, oldest first");
	put_all(c, r.id, "files: put again", base + 1000000000000);
	verify_all(c, r.id, base + 2000000000000);
	cover(c, r.id);
	match(c, r.id);
	done_records(c, r.id);
	size_of(c, "  the database");
	struct clocks start = now();
	MUST(bm_catalog_check(c, false, &err));
	report("quick check", start, 0, count);
	start = now();
	MUST(bm_catalog_root_delete(c, r.id, &err));
	report("root forgotten", start, 0, count);
	bm_catalog_root_fini(&r);
	MUST(bm_catalog_close(c, &err));
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		(void)printf("peak memory %ld MiB\n", usage.ru_maxrss / 1024);
	if (argc <= 2) {
		(void)snprintf(command, sizeof(command), "rm -r %s", own);
		return system(command) == 0 ? 0 : 1;
	}
	return 0;
}
