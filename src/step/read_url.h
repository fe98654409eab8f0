/* read_url.h - private to src/step: what the step `read` does for URLs: the client, what is expected of each, and whether
 * it was so. */
#ifndef READ_URL_H
#define READ_URL_H

#include "bm_plan.h"
#include "bm_url.h"

struct read_urls;

/* Is from.items[i] a URL? */
bool bm_read_is_url(const struct bm_read_params *p, size_t i);
/* What it says, in io's terms; borrowed, not to be freed. */
struct bm_url_item read_urls_wanted(const struct bm_read_url *u);

/* The client, where the step has URLs. As ops load and unload. */
enum bm_status read_urls_load(struct bm_job_context *ctx, const struct bm_step *step, struct bm_error *err);
void read_urls_unload(void *loaded);
/* *out stays NULL where there are none. Reckons with the memory that they need. */
enum bm_status read_urls_prepare(struct bm_plan *plan, const struct bm_read_params *p, struct read_urls **out,
                                 struct bm_error *err);
void read_urls_destroy(struct read_urls *u); /* NULL is fine */
/* Number i of from, or of urls behind them; borrowed. */
const struct bm_url_item *read_urls_item(const struct read_urls *u, size_t i);
/* Adds the stage that compares digests, where there may be any. Right behind the segment's fill. */
enum bm_status read_urls_stage(struct bm_plan *plan, struct read_urls *u, struct bm_error *err);
/* Opens f->source. */
enum bm_status read_urls_open(struct bm_file *f, const struct bm_blocker *b, struct bm_error *err);
void read_urls_close(struct bm_file *f); /* frees f->state[0] */

#endif
