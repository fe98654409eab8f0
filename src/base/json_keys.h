/*
 * json_keys.h - the keys of all JSON objects that are open, to tell a duplicate. For json_scan.c only; json_keys.c opens
 * with how it works. One thread at a time.
 */
#ifndef BM_JSON_KEYS_H
#define BM_JSON_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "bm_mem.h"

struct bm_json_key {
	uint64_t hash;
	size_t text, len; /* in bm_json_keys.text: decoded */
	size_t next;      /* in its chain */
	size_t object;    /* as given to bm_json_keys_take */
	unsigned line;    /* where it was first */
};

struct bm_json_keys {
	struct bm_buf text;        /* the decoded keys, one behind the other; the caller appends the next one */
	struct bm_json_key *items; /* owned, as chains */
	size_t count, cap;
	size_t *chains; /* chain_count of them, a power of 2 */
	size_t chain_count;
	uint64_t seed[2];
};

/* How many there were, to go back to. */
struct bm_json_keys_mark {
	size_t count, text_len;
};

void bm_json_keys_init(struct bm_json_keys *k); /* takes no memory */
void bm_json_keys_fini(struct bm_json_keys *k);

enum bm_json_key_verdict { BM_JSON_KEY_NEW, BM_JSON_KEY_DOUBLE, BM_JSON_KEY_NOMEM };
/* The key is what text holds from from on. object: a number that no other open object has. A new one stays; of a double,
 * *first_line gets the line where it was first, and the caller cuts text back to from. */
enum bm_json_key_verdict bm_json_keys_take(struct bm_json_keys *k, size_t from, size_t object, unsigned line,
                                           unsigned *first_line);

/* When an object opens, and when it closes: its keys and all after them are dropped. */
struct bm_json_keys_mark bm_json_keys_mark(const struct bm_json_keys *k);
void bm_json_keys_drop(struct bm_json_keys *k, struct bm_json_keys_mark to);

#endif
