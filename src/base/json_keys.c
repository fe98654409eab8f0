/*
 * json_keys.c - a hash table of the keys of all open objects.
 *
 * One table with chains for all of them, and each key knows its object. Objects close in the reverse order of opening,
 * and a key is always put in at the front of its chain; so when an object closes, its keys are at the fronts of their
 * chains and are taken off there, one step each. The decoded keys themselves lie in one string that is cut back likewise.
 * Everything is linear in the text. The hash is SipHash with a random key, since who writes a job file may not be who
 * runs it and equal hashes would make it quadratic.
 */
#include "json_keys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define NO_KEY SIZE_MAX

static uint64_t rotate(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein); the words are read in the machine's byte order, which nobody sees. */
static uint64_t hash_key(const uint64_t seed[static 2], const char *data, size_t len)
{
	uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
	                 seed[1] ^ 0x7465646279746573u};
	uint64_t word;

	for (size_t left = len;; left -= 8, data += 8) {
		bool last = left < 8;
		word = 0;
		memcpy(&word, data, last ? left : 8);
		if (last)
			word ^= (uint64_t)len << 56; /* tells "a" from "a\0" */
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
		if (last)
			break;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void make_seed(uint64_t seed[static 2])
{
	if (getrandom(seed, 2 * sizeof(*seed), GRND_NONBLOCK) == (ssize_t)(2 * sizeof(*seed)))
		return;
	/* Early at boot: guessable, but only the time that a hostile file takes hangs on it. */
	struct timespec now = {0};
	clock_gettime(CLOCK_REALTIME, &now);
	seed[0] = (uint64_t)now.tv_sec;
	seed[1] = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)seed;
}

void bm_json_keys_init(struct bm_json_keys *k)
{
	*k = (struct bm_json_keys){.items = NULL};
	make_seed(k->seed);
}

void bm_json_keys_fini(struct bm_json_keys *k)
{
	free(k->items);
	free(k->chains);
	bm_buf_fini(&k->text);
}

static bool grow(struct bm_json_keys *k)
{
	if (k->count == k->cap) {
		size_t cap = k->cap != 0 ? k->cap * 2 : 64;
		struct bm_json_key *items = bm_realloc_array(k->items, cap, sizeof(*items));
		if (items == NULL)
			return false;
		k->items = items;
		k->cap = cap;
	}
	if (k->count >= k->chain_count) {
		size_t count = k->chain_count != 0 ? k->chain_count * 2 : 64;
		size_t *chains = bm_realloc_array(k->chains, count, sizeof(*chains));
		if (chains == NULL)
			return false;
		k->chains = chains;
		k->chain_count = count;
		for (size_t i = 0; i < count; i++)
			chains[i] = NO_KEY;
		for (size_t i = 0; i < k->count; i++) { /* oldest first: the newest is in front again */
			size_t *chain = &chains[k->items[i].hash & (count - 1)];
			k->items[i].next = *chain;
			*chain = i;
		}
	}
	return true;
}

enum bm_json_key_verdict bm_json_keys_take(struct bm_json_keys *k, size_t from, size_t object, unsigned line,
                                           unsigned *first_line)
{
	const char *text = k->text.data + from;
	size_t len = k->text.len - from;
	uint64_t hash = hash_key(k->seed, text, len) + object;

	if (!grow(k))
		return BM_JSON_KEY_NOMEM;
	size_t *chain = &k->chains[hash & (k->chain_count - 1)];
	for (size_t i = *chain; i != NO_KEY; i = k->items[i].next) {
		const struct bm_json_key *key = &k->items[i];
		if (key->hash != hash || key->object != object || key->len != len ||
		    memcmp(k->text.data + key->text, text, len) != 0)
			continue;
		*first_line = key->line;
		return BM_JSON_KEY_DOUBLE;
	}
	k->items[k->count] = (struct bm_json_key){hash, from, len, *chain, object, line};
	*chain = k->count++;
	return BM_JSON_KEY_NEW;
}

struct bm_json_keys_mark bm_json_keys_mark(const struct bm_json_keys *k)
{
	return (struct bm_json_keys_mark){k->count, k->text.len};
}

void bm_json_keys_drop(struct bm_json_keys *k, struct bm_json_keys_mark to)
{
	while (k->count > to.count) {
		const struct bm_json_key *key = &k->items[--k->count];
		k->chains[key->hash & (k->chain_count - 1)] = key->next;
	}
	k->text.len = to.text_len;
}
