/* sort.h - records in memory into the order of record_compare. For bm_manifest_sorted.h only. */
#ifndef BM_MANIFEST_SORT_H
#define BM_MANIFEST_SORT_H

#include "record.h"

struct sort_item {
	uint64_t key; /* the sort's own */
	const unsigned char *record;
};
/* Behind each record SORT_SLACK bytes must be readable, whatever they are. Allocates nothing. Any thread. */
#define SORT_SLACK 8
void sort_records(struct sort_item *items, size_t count);

#endif
