/*
 * fail_alloc.h - makes the n-th allocation fail, for tests linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc. Allocations are counted while fail_alloc_at is not 0; the one that
 * counts it down to 1, and with fail_alloc_for_ever all after it, give NULL. One thread.
 */
#ifndef BM_TEST_FAIL_ALLOC_H
#define BM_TEST_FAIL_ALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned fail_alloc_at;
static bool fail_alloc_for_ever, fail_alloc_hit;

static bool fail_alloc_now(void)
{
	if (fail_alloc_at == 0)
		return fail_alloc_hit && fail_alloc_for_ever;
	if (--fail_alloc_at != 0)
		return false;
	fail_alloc_hit = true;
	errno = ENOMEM;
	return true;
}

static inline void fail_alloc_arm(unsigned at, bool for_ever)
{
	fail_alloc_at = at;
	fail_alloc_for_ever = for_ever;
	fail_alloc_hit = false;
}

/* Returns whether an allocation was made to fail. */
static inline bool fail_alloc_disarm(void)
{
	bool hit = fail_alloc_hit;

	fail_alloc_arm(0, false);
	return hit;
}

void *__wrap_malloc(size_t size)
{
	return fail_alloc_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fail_alloc_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fail_alloc_now() ? NULL : __real_realloc(old, size);
}

#endif
