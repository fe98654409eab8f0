/*
 * bm_json.h - reading JSON text strictly (RFC 8259, UTF-8), with places. The value is jansson's; this adds what jansson
 * does not give: the line and column of any value or key, every duplicate key at once, a cap on size. Any thread.
 */
#ifndef BM_JSON_H
#define BM_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "bm_mem.h"

#define BM_JSON_MAX_BYTES ((size_t)16 << 20) /* a larger job file is refused */

/* Where in the text: 1-based, column in bytes; 0 when not known. */
struct bm_json_place {
	unsigned line;
	unsigned column;
};

/* Called for each fault: pointer is a JSON Pointer (RFC 6901, "" is the whole text). */
typedef void (*bm_json_fault_fn)(void *ctx, struct bm_json_place at, const char *pointer, const char *text);

/* Reads the whole file at path ("-" is stdin) into *text (caller frees; NUL-terminated; *len bytes). May block (a FIFO,
 * a terminal). BM_ERR_SYSTEM, BM_ERR_NOMEM, BM_ERR_LIMIT past BM_JSON_MAX_BYTES (found without reading it all);
 * *text is NULL then. */
enum bm_status bm_json_read_file(const char *path, char **text, size_t *len, struct bm_error *err) BM_NODISCARD;

/* Parses; NULL after at least one call of fault: syntax (not UTF-8, truncated, too deep, junk after the end, empty
 * text, over BM_JSON_MAX_BYTES, a number or \u0000 that cannot be held: each with a text that says what to do), at
 * the place of the culprit, with the pointer of the value it is in; or duplicate keys (each one reported at its own
 * place, with the line of the first); or out of memory. Of syntax errors there is one, the first; duplicates before it
 * are reported too. Any value may be at the top, not only an object. The texts hold nothing raw; the pointer is as in
 * the file. The caller json_decrefs the result. */
json_t *bm_json_parse(const char *text, size_t len, bm_json_fault_fn fault, void *ctx) BM_NODISCARD;

/* The same without a word: NULL where it is no such text, or there is no memory; of equal keys the last holds. */
json_t *bm_json_load(const char *text, size_t len) BM_NODISCARD;

/* The place of the value that pointer names in text that has been parsed without fault; of its key when key is true
 * (of the value where it has no key: in an array, or the whole). 0:0 where there is no such value. Linear in len. */
struct bm_json_place bm_json_locate(const char *text, size_t len, const char *pointer, bool key);

/* Appends "/" and the token with ~ and / escaped (RFC 6901). */
void bm_json_pointer_put(struct bm_buf *out, const char *token);

#endif
