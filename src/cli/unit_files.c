/*
 * unit_files.c - the service and the timer, as files. See units.h.
 *
 * Both are complete, and on the disk, before either takes its name: a disk that is full in the middle must not leave a
 * timer without its service, nor half of one in the place of a good one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_sink.h"
#include "bm_text.h"
#include "units.h"

#define UNIT_COUNT 2

static const char *const suffixes[UNIT_COUNT] = {"service", "timer"};

/* systemd knows a unit by the name that it was given, so a directory that is not there was misspelt. */
static enum bm_status check_dir(const char *dir, struct bm_error *err)
{
	char shown[512];
	struct stat st;
	int code = stat(dir, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;

	if (code == 0)
		return BM_OK;
	return bm_error_set_errno(err, code, bm_escape_display_buf(shown, sizeof(shown), dir, strlen(dir)),
	                          "cannot write units there; name a directory that is there");
}

/* Nothing that is not of this job may be replaced. */
static enum bm_status check_unit(const char *path, const char *id, struct bm_error *err)
{
	char begin[256], shown[512];
	enum bm_status status = BM_OK;
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return BM_OK;
	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	if (fd >= 0)
		n = read(fd, begin, sizeof(begin));
	if (fd < 0 || n < 0)
		status = bm_error_set_errno(err, errno, shown, "this file is there already and cannot be read");
	else if (!bm_units_is_of(begin, (size_t)n, id))
		status = bm_error_set(err, BM_ERR_EXISTS, shown,
		                      "this unit is there already, and is not of these job files; give the job another "
		                      "name, or remove the unit first");
	if (fd >= 0)
		close(fd);
	return status;
}

enum bm_status bm_units_write(const char *dir, const char *unit, const char *id, const struct bm_buf *service,
                              const struct bm_buf *timer, struct bm_error *err)
{
	const struct bm_buf *const texts[UNIT_COUNT] = {service, timer};
	const struct bm_sink_options opt = {.if_exists = BM_EXISTS_REPLACE, .mode = 0666};
	struct bm_sink *sinks[UNIT_COUNT] = {NULL};
	struct bm_buf paths[UNIT_COUNT] = {{0}};
	struct bm_sink_set *set = NULL;
	enum bm_status status = check_dir(dir, err);
	bool skipped;

	for (int i = 0; i < UNIT_COUNT && status == BM_OK; i++) {
		bm_buf_printf(&paths[i], "%s/%s.%s", dir, unit, suffixes[i]);
		status = paths[i].oom || texts[i]->oom ? bm_error_set_nomem(err) : check_unit(paths[i].data, id, err);
	}
	if (status == BM_OK)
		status = bm_sink_set_create(id, BM_DURABLE_FILE, &set, err);
	for (int i = 0; i < UNIT_COUNT && status == BM_OK; i++) {
		status = bm_sink_open(set, paths[i].data, &opt, NULL, &sinks[i], &skipped, err);
		if (status == BM_OK)
			status = bm_sink_write(sinks[i], texts[i]->data, texts[i]->len, false, NULL, err);
		if (status == BM_OK)
			status = bm_sink_complete(sinks[i], NULL, -1, false, NULL, NULL, err);
	}
	for (int i = 0; i < UNIT_COUNT && status == BM_OK; i++) {
		status = bm_sink_commit(sinks[i], NULL, -1, NULL, NULL, err);
		sinks[i] = NULL;
	}
	if (status == BM_OK)
		status = bm_sink_set_sync(set, err);
	for (int i = 0; i < UNIT_COUNT; i++) {
		bm_sink_abort(sinks[i]);
		bm_buf_fini(&paths[i]);
	}
	bm_sink_set_destroy(set);
	return status;
}
