/* bm_time.h - times as one number. */
#ifndef BM_TIME_H
#define BM_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds since 1970-01-01 UTC. What is before 1677 or after 2262, as a damaged or badly set file system may have it,
 * is the first or the last that there is a number for. */
static inline int64_t bm_time_ns(struct timespec t)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)t.tv_sec, INT64_C(1000000000), &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t.tv_nsec, &ns))
		return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

/* Is it the time of a file as it was put down (both in nanoseconds)? Many have put down its whole seconds only. */
static inline bool bm_time_is_as_noted(int64_t noted_ns, int64_t file_ns)
{
	if (noted_ns % 1000000000 != 0)
		return noted_ns == file_ns;
	return file_ns >= noted_ns && (uint64_t)file_ns - (uint64_t)noted_ns < 1000000000;
}

#endif
