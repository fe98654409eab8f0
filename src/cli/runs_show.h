/* runs_show.h - runs on record, as bytemill runs shows them: text, JSON Lines, a page. One thread. */
#ifndef BM_CLI_RUNS_SHOW_H
#define BM_CLI_RUNS_SHOW_H

#include "bm_catalog_runs.h"
#include "bm_mem.h"

/* What one run came to: ended - started, or as far as it was heard of. */
uint64_t runs_elapsed_ms(const struct bm_catalog_run_row *row);
/* "2026-11-23 03:00:01", local time; at most 32 bytes. */
const char *runs_time(int64_t ns, char buf[static 32]);
/* Bytes a second, as "12.5 MiB/s", or "-". */
void runs_put_rate(struct bm_buf *out, uint64_t bytes, uint64_t elapsed_ms);
/* "nightly", "nightly and 2 more". */
void runs_put_jobs(struct bm_buf *out, const struct bm_catalog_run_row *row);

/* All append to out and fail by out->oom, or with the catalog's errors. */
void runs_put_line(struct bm_buf *out, const struct bm_catalog_run_row *row);
void runs_put_heading(struct bm_buf *out);
enum bm_status runs_put_detail(struct bm_buf *out, struct bm_catalog *c, const struct bm_catalog_run_row *row,
                               struct bm_error *err);
/* A line; with the jobs, steps and failures where detail is set. */
enum bm_status runs_put_json(struct bm_buf *out, struct bm_catalog *c, const struct bm_catalog_run_row *row,
                             bool detail, struct bm_error *err);

/* The page (runs_html.c): a list of runs, or one in detail; its end is bm_html_page_end. */
enum bm_status runs_html_begin(struct bm_buf *out, bool is_one, struct bm_error *err);
void runs_html_list_begin(struct bm_buf *out);
void runs_html_row(struct bm_buf *out, const struct bm_catalog_run_row *row);
void runs_html_list_end(struct bm_buf *out, uint64_t count);
enum bm_status runs_html_detail(struct bm_buf *out, struct bm_catalog *c, const struct bm_catalog_run_row *row,
                                struct bm_error *err);

#endif
