/* json_scan.h - private to json.c, json_build.c, json_scan.c and json_cursor.c. */
#ifndef BM_JSON_SCAN_H
#define BM_JSON_SCAN_H

#include <stdbool.h>

#include "bm_json.h"

#define BM_JSON_MAX_DEPTH 2048u /* values within values; jansson's own limit */

enum bm_json_scan_result {
	BM_JSON_SCAN_CLEAN,
	BM_JSON_SCAN_FAULTS, /* fault was called at least once */
	BM_JSON_SCAN_NOMEM   /* fault may have been called */
};

/* The value, or NULL: not JSON, nested deeper than that, a number too large, or (nomem) no memory. Of equal keys the last
 * holds. */
json_t *bm_json_build(const char *text, size_t len, bool *nomem);
/* A number as RFC 8259 has it; NULL: it is too large, or there is no memory (then nomem is set). */
json_t *bm_json_number(const char *text, size_t len, bool *nomem);

/* Reads the text once: calls fault for every duplicate key and for the first syntax error. check_numbers: also for a
 * number that is too large. */
enum bm_json_scan_result bm_json_scan(const char *text, size_t len, bool check_numbers, bm_json_fault_fn fault,
                                      void *ctx);

/* Decodes the string whose opening '"' is at text[at] onto out (NULL: only passes over it). *end is the byte after the
 * closing '"', or the byte at fault. Returns NULL, or what is wrong with it; *what_len bytes from *end are the
 * culprit. */
const char *bm_json_string_decode(const char *text, size_t len, size_t at, struct bm_buf *out, size_t *end,
                                  size_t *what_len);

#endif
