/*
 * verify_join_key.c - see verify_join_key.h: American flag sort (McIlroy, Bostic and McIlroy, "Engineering Radix Sort",
 * 1993), byte by byte from the top. Hashes are spread evenly, so that two or three bytes part millions of them down to a
 * few, without a comparison and without a second array. Keys of one hash are many only where many files have one digest.
 */
#include "verify_join_key.h"

#include <stdlib.h>

#define FEW 24 /* so many are sorted by insertion */
#define TOP_SHIFT 56

static int compare(const void *x, const void *y)
{
	const struct key *a = x, *b = y;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

static void sort_few(struct key *keys, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct key k = keys[i];
		size_t at = i;

		for (; at > 0 && compare(&k, &keys[at - 1]) < 0; at--)
			keys[at] = keys[at - 1];
		keys[at] = k;
	}
}

static void sort_by_byte(struct key *keys, size_t count, unsigned shift)
{
	size_t next[256], end[256], sizes[256] = {0};

	for (size_t i = 0; i < count; i++)
		sizes[(uint8_t)(keys[i].hash >> shift)]++;
	for (size_t b = 0, at = 0; b < 256; b++) {
		next[b] = at;
		at += sizes[b];
		end[b] = at;
	}
	for (size_t b = 0; b < 256; b++) {
		while (next[b] < end[b]) {
			struct key k = keys[next[b]];
			uint8_t home;

			while ((home = (uint8_t)(k.hash >> shift)) != b) {
				struct key other = keys[next[home]];

				keys[next[home]++] = k;
				k = other;
			}
			keys[next[b]++] = k;
		}
	}
	for (size_t b = 0; b < 256; b++) {
		struct key *from = keys + (end[b] - sizes[b]);

		if (sizes[b] <= FEW)
			sort_few(from, sizes[b]);
		else if (shift == 0) /* one hash */
			qsort(from, sizes[b], sizeof(*from), compare);
		else
			sort_by_byte(from, sizes[b], shift - 8);
	}
}

void join_keys_sort(struct key *keys, size_t count)
{
	if (count <= FEW)
		sort_few(keys, count);
	else
		sort_by_byte(keys, count, TOP_SHIFT);
}
