/*
 * runs_history.h - what the catalog's history knows of the service's runs, for when the service comes back. One thread at a
 * time.
 */
#ifndef SERVE_RUNS_HISTORY_H
#define SERVE_RUNS_HISTORY_H

#include "runs_store.h"

struct serve_history;

/* state: the state directory. No catalog yet, or one that cannot be read, is fine: then nothing is known. BM_ERR_NOMEM. */
enum bm_status serve_history_open(const char *state, struct serve_history **out, struct bm_error *err) BM_NODISCARD;
/* Is the run to be kept? It is not if it was in the history, and was taken out of that. Of one that the service did not see
 * end, what the history says is put into r: how far it came, and when it was last heard of. */
bool serve_history_has(struct serve_history *h, struct serve_record *r);
void serve_history_close(struct serve_history *h); /* NULL is fine */

#endif
