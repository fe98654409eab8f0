/*
 * reference.h - a serial interpreter of a struct bm_pipeline: what a run on one thread, one chunk at a time and each
 * chunk all the way down before the next is made, would do. Calls the callbacks with a NULL worker. Independent of
 * the engine: the oracle of the tests.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>

#include <bm_flow.h>

/* drain: where a segment ends before its input does, run the segments before it to their own ends too. */
void reference_run(const struct bm_pipeline *pl, bool drain);

#endif
