/*
 * metrics.c - the text exposition format of Prometheus, for the textfile collector of its node exporter.
 *
 * Everything is a gauge: a value is of one run and goes up and down from run to run. The collector reads the file at any
 * moment, so it is made under another name beside it, whose end is not the ".prom" that the collector takes, and renamed.
 * The other user who reads it needs the right to: its mode is what the umask leaves of 0666.
 *
 * The label is job_name, since a scraped "job" is Prometheus' own and ours would come out as exported_job. A job's name
 * is valid UTF-8 without control characters (check.c), so that a backslash and a quote are all there is to escape.
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/, "Text-based format", version 0.0.4.
 */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_fd.h"
#include "bm_sink.h"
#include "bm_text.h"
#include "place.h"

#define PREFIX "bytemill_last_run_"
#define FIRST_BYTES "# HELP " PREFIX

struct row {
	const char *name, *help;
	void (*put)(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs, const struct bm_outcome *o,
	            size_t index);
};

static void put_label(struct bm_buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			bm_buf_putc(out, '\\');
		bm_buf_putc(out, *text);
	}
}

/* bytemill_last_run_NAME{job_name="..."; without its end */
static void put_name(struct bm_buf *out, const struct row *row, const char *job)
{
	bm_buf_printf(out, PREFIX "%s{job_name=\"", row->name);
	put_label(out, job);
	bm_buf_putc(out, '"');
}

static void put_count(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs, size_t index, uint64_t n)
{
	put_name(out, row, jobs->jobs[index]->p.name);
	bm_buf_printf(out, "} %" PRIu64 "\n", n);
}

/* What a job that never started did: nothing. */
static struct bm_job_summary job_of(const struct bm_outcome *o, size_t index)
{
	return o->is_started && index < o->job_count ? o->jobs[index] : (struct bm_job_summary){.state = BM_JOB_FAILED};
}

static void put_timestamp(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                          const struct bm_outcome *o, size_t index)
{
	struct timespec now;

	(void)o;
	clock_gettime(CLOCK_REALTIME, &now);
	put_name(out, row, jobs->jobs[index]->p.name);
	bm_buf_printf(out, "} %lld.%03ld\n", (long long)now.tv_sec, now.tv_nsec / 1000000);
}

static void put_duration(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                         const struct bm_outcome *o, size_t index)
{
	uint64_t ms = job_of(o, index).elapsed_ms;

	put_name(out, row, jobs->jobs[index]->p.name);
	bm_buf_printf(out, "} %" PRIu64 ".%03" PRIu64 "\n", ms / 1000, ms % 1000);
}

static void put_success(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                        const struct bm_outcome *o, size_t index)
{
	struct bm_job_summary job = job_of(o, index);

	put_count(out, row, jobs, index, job.state == BM_JOB_DONE && job.differences == 0);
}

static void put_exit_code(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                          const struct bm_outcome *o, size_t index)
{
	put_count(out, row, jobs, index, (uint64_t)o->exit_code);
}

static void put_files(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs, const struct bm_outcome *o,
                      size_t index)
{
	struct bm_job_summary job = job_of(o, index);
	const struct {
		const char *state;
		uint64_t count;
	} states[] = {{"done", job.files_done}, {"failed", job.files_failed}, {"skipped", job.files_skipped}};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		put_name(out, row, jobs->jobs[index]->p.name);
		bm_buf_printf(out, ",state=\"%s\"} %" PRIu64 "\n", states[i].state, states[i].count);
	}
}

static void put_differences(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                            const struct bm_outcome *o, size_t index)
{
	put_count(out, row, jobs, index, job_of(o, index).differences);
}

static void put_bytes_read(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                           const struct bm_outcome *o, size_t index)
{
	put_count(out, row, jobs, index, job_of(o, index).bytes_read);
}

static void put_bytes_written(struct bm_buf *out, const struct row *row, const struct bm_jobs *jobs,
                              const struct bm_outcome *o, size_t index)
{
	put_count(out, row, jobs, index, job_of(o, index).bytes_written);
}

static const struct row rows[] = {
	{"timestamp_seconds", "When the run ended, in seconds since 1970.", put_timestamp},
	{"duration_seconds", "Time from the job's start to its end.", put_duration},
	{"success", "1 where all of the job went well.", put_success},
	{"exit_code", "Exit code of the run; 128+N where signal N ended it.", put_exit_code},
	{"files", "Files of the job by what became of them.", put_files},
	{"differences", "Files that a verify step found different from the manifest, and its bad lines.",
         put_differences},
	{"bytes_read", "Bytes that the job read from its inputs.", put_bytes_read},
	{"bytes_written", "Bytes that the job wrote to its outputs.", put_bytes_written},
};

static void put_all(struct bm_buf *out, const struct bm_jobs *jobs, const struct bm_outcome *o)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bm_buf_printf(out, FIRST_BYTES "%s %s\n# TYPE " PREFIX "%s gauge\n", rows[i].name, rows[i].help,
		              rows[i].name);
		for (size_t k = 0; k < jobs->count; k++)
			rows[i].put(out, &rows[i], jobs, o, k);
	}
}

/* Can it be made beside that name, and renamed? */
static int directory_error(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") : bm_memdup0(path, slash == path ? 1 : (size_t)(slash - path));
	int error = ENOMEM;
	struct stat st;

	if (dir != NULL)
		error = stat(dir, &st) != 0                                      ? errno
		        : !S_ISDIR(st.st_mode)                                   ? ENOTDIR
		        : faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0 ? errno
		                                                                 : 0;
	free(dir);
	return error;
}

enum bm_status bm_metrics_check(const char *path, struct bm_error *err)
{
	char found[sizeof(FIRST_BYTES) - 1], shown[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error = fd < 0 && errno != ENOENT ? errno : 0;
	struct stat st;
	bool may = true;
	ssize_t n;

	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	if (error == 0 && fd >= 0) {
		if (fstat(fd, &st) != 0) {
			error = errno;
		} else if (!S_ISREG(st.st_mode)) {
			may = false;
			error = S_ISDIR(st.st_mode) ? EISDIR : 0;
		} else if (st.st_size > 0) {
			n = pread(fd, found, sizeof(found), 0);
			may = n == (ssize_t)sizeof(found) && memcmp(found, FIRST_BYTES, sizeof(found)) == 0;
		}
	}
	if (fd >= 0)
		close(fd);
	if (error == 0 && may)
		error = directory_error(path);
	if (error != 0)
		return bm_error_set_errno(err, error, shown, "the metrics cannot be written%s", bm_place_advice(error));
	return may ? BM_OK
	           : bm_error_set(err, BM_ERR_USAGE, NULL,
	                          "--metrics would replace %s, which holds no metrics of bytemill's; give another name",
	                          shown);
}

enum bm_status bm_metrics_write(const char *path, const char *run_id, const struct bm_jobs *jobs,
                                const struct bm_outcome *outcome, struct bm_error *err)
{
	const char *slash = strrchr(path, '/');
	struct bm_buf text = {0}, temp = {0};
	enum bm_status status = BM_OK;
	bool is_made = false, is_good;
	int fd = -1, code = 0;
	char shown[512];

	put_all(&text, jobs, outcome);
	bm_buf_put(&temp, path, slash != NULL ? (size_t)(slash - path) + 1 : 0);
	bm_buf_printf(&temp, "%smetrics-%s.tmp", BM_TEMP_PREFIX, run_id);
	if (text.oom || temp.oom) {
		status = bm_error_set_nomem(err);
		goto out;
	}
	do
		fd = open(temp.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	while (fd < 0 && errno == EINTR);
	is_made = fd >= 0;
	is_good = fd >= 0 && bm_fd_write_all(fd, text.data, text.len) && fsync(fd) == 0;
	if (!is_good)
		code = errno;
	if (fd >= 0 && close(fd) != 0 && is_good) {
		is_good = false;
		code = errno;
	}
	if (is_good && rename(temp.data, path) != 0) {
		is_good = false;
		code = errno;
	}
	if (!is_good) {
		if (is_made)
			(void)unlink(temp.data);
		status = bm_error_set_errno(err, code, bm_escape_display_buf(shown, sizeof(shown), path, strlen(path)),
		                            "the metrics cannot be written");
	}
out:
	bm_buf_fini(&text);
	bm_buf_fini(&temp);
	return status;
}
