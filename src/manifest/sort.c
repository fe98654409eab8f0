/*
 * sort.c - multikey quicksort (Bentley and Sedgewick, "Fast Algorithms for Sorting and Searching Strings", 1997) with
 * eight bytes for a letter.
 *
 * Paths share long beginnings: a comparison sort reads them again for every comparison, and each is two cache misses.
 * Here the eight bytes at the depth reached are a number beside the pointer, so a partition goes over one array from end
 * to end; a record is touched once for every eight bytes that it has in common with its neighbours. What is equal there
 * is sorted by the next eight. A number whose last byte is zero is the end of a name (names hold no NUL, shorter ones are
 * filled up with zeros); equal ones are equal names, which are put in the order of their lines by the same procedure, the
 * line being the number.
 *
 * Of the three parts the two smaller are done by recursion, which so is never deeper than the logarithm of count, and the
 * largest by going round. Pivots are drawn at random, since the order of a manifest is up to whoever wrote it.
 */
#include "sort.h"

#include <endian.h>

#define FEW 12 /* so many are sorted by insertion */

enum level { BY_NAME, BY_LINE };

struct range {
	struct sort_item *items;
	size_t count;
	enum level level;
	size_t depth; /* of the name's bytes that are in key */
};

/* The eight bytes at depth, as a number that sorts as they do. Nothing behind the NUL counts. */
static uint64_t key_at(const unsigned char *record, size_t depth)
{
	const uint64_t low_bits = 0x7f7f7f7f7f7f7f7fu;
	uint64_t v, zeros;

	memcpy(&v, record_name(record) + depth, sizeof(v));
	v = be64toh(v);
	zeros = ~(((v & low_bits) + low_bits) | v | low_bits); /* 0x80 in each byte that is zero */
	if (zeros != 0) {
		unsigned bits = (unsigned)__builtin_clzll(zeros); /* of the bytes in front of the first of them */

		v = bits == 0 ? 0 : v & ~(UINT64_MAX >> bits);
	}
	return v;
}

static bool is_before(const struct sort_item *a, const struct sort_item *b, const struct range *r)
{
	int order = 0;

	if (a->key != b->key)
		return a->key < b->key;
	if (r->level == BY_NAME && (a->key & 0xff) != 0)
		order = strcmp((const char *)record_name(a->record) + r->depth + sizeof(a->key),
		               (const char *)record_name(b->record) + r->depth + sizeof(b->key));
	return order != 0 ? order < 0 : record_line(a->record) < record_line(b->record);
}

static void sort_few(const struct range *r)
{
	for (size_t i = 1; i < r->count; i++) {
		struct sort_item item = r->items[i];
		size_t at = i;

		for (; at > 0 && is_before(&item, &r->items[at - 1], r); at--)
			r->items[at] = r->items[at - 1];
		r->items[at] = item;
	}
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
	if (a > b) {
		uint64_t t = a;

		a = b;
		b = t;
	}
	return c < a ? a : c > b ? b : c;
}

static uint64_t draw(const struct range *r, uint64_t *state)
{
	return r->items[next_random(state) % r->count].key;
}

static void swap(struct sort_item *a, struct sort_item *b)
{
	struct sort_item t = *a;

	*a = *b;
	*b = t;
}

/* What has the same key as the pivot goes on with the next eight bytes, or with lines, or is in order. */
static struct range deeper(const struct range *r, struct sort_item *items, size_t count)
{
	struct range next = {items, count, r->level, r->depth + sizeof(items->key)};

	if (r->level == BY_LINE) {
		next.count = 0; /* no two records have one line */
		return next;
	}
	if ((items->key & 0xff) == 0)
		next.level = BY_LINE;
	for (size_t i = 0; i < count; i++)
		items[i].key =
			next.level == BY_LINE ? record_line(items[i].record) : key_at(items[i].record, next.depth);
	return next;
}

static void sort_range(struct range r, uint64_t *state)
{
	while (r.count > FEW) {
		uint64_t pivot = median(draw(&r, state), draw(&r, state), draw(&r, state));
		size_t less = 0, at = 0, more = r.count, largest;
		struct range parts[3];

		while (at < more) {
			if (r.items[at].key < pivot)
				swap(&r.items[less++], &r.items[at++]);
			else if (r.items[at].key > pivot)
				swap(&r.items[at], &r.items[--more]);
			else
				at++;
		}
		parts[0] = (struct range){r.items, less, r.level, r.depth};
		parts[1] = deeper(&r, r.items + less, more - less);
		parts[2] = (struct range){r.items + more, r.count - more, r.level, r.depth};
		largest = 0;
		for (size_t i = 1; i < 3; i++)
			if (parts[i].count > parts[largest].count)
				largest = i;
		for (size_t i = 0; i < 3; i++)
			if (i != largest)
				sort_range(parts[i], state);
		r = parts[largest];
	}
	sort_few(&r);
}

void sort_records(struct sort_item *items, size_t count)
{
	uint64_t state = ((uint64_t)(uintptr_t)items ^ (uint64_t)(uintptr_t)&state) | 1;

	for (size_t i = 0; i < count; i++)
		items[i].key = key_at(items[i].record, 0);
	sort_range((struct range){items, count, BY_NAME, 0}, &state);
}
