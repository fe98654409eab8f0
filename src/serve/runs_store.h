/*
 * runs_store.h - what must be known of a run when the service comes back: a record each, on disk.
 *
 * The service keeps its runs in memory and writes a record at each change of state. This is all that knows how they
 * are kept: files ID.json in <state>/serve, replaced as a whole; the report of a run is ID.jsonl beside it. One thread
 * at a time.
 */
#ifndef SERVE_RUNS_STORE_H
#define SERVE_RUNS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "bm_mem.h"

enum serve_run_state {
	SERVE_RUN_QUEUED,
	SERVE_RUN_RUNNING,
	SERVE_RUN_DONE,
	SERVE_RUN_FAILED,
	SERVE_RUN_CANCELLED,
	SERVE_RUN_INTERRUPTED, /* the service ended before it did */
	SERVE_RUN_STATES
};
extern const char *const serve_run_state_names[]; /* NULL-terminated */

struct serve_record {
	char *id, *job;
	char *request; /* the JSON that asked for it */
	char *error;   /* NULL: none */
	enum serve_run_state state;
	int64_t queued_ms, started_ms, ended_ms; /* since 1970; 0: not yet */
	uint64_t files_done, files_failed, files_skipped, bytes_read, bytes_written;
	bool on_record; /* it is in the history (runs_history.h) */
};
void serve_record_fini(struct serve_record *r);
/* Appends the members of a JSON object, without its braces and without the request. */
void serve_record_put(struct bm_buf *out, const struct serve_record *r);

enum bm_status serve_store_write(const char *dir, const struct serve_record *r, struct bm_error *err) BM_NODISCARD;
/* Each record there is, in the order of their ids, which is that of time; each takes it over. What cannot be read is passed
 * over and counted in *bad. */
enum bm_status serve_store_load(const char *dir, void (*each)(void *ctx, struct serve_record *r), void *ctx,
                                unsigned *bad, struct bm_error *err) BM_NODISCARD;
void serve_store_remove(const char *dir, const char *id); /* with its report */
/* Opens the report: -1 and errno. */
int serve_store_open_report(const char *dir, const char *id, int flags);

#endif
