/*
 * bm_cpus.h - what this process may use of the machine: CPUs and memory, with the limits of its control groups. Any
 * thread; reads /proc and /sys at each call (some 100 us), so ask once.
 */
#ifndef BM_CPUS_H
#define BM_CPUS_H

#include <stdint.h>

/* CPUs in the affinity mask (which cpusets and taskset narrow), or the cgroup's CPU quota, rounded up, where that is
 * less. At least 1. */
unsigned bm_cpu_count(void);
/* Physical memory, or the cgroup's limit where that is less, in bytes; UINT64_MAX when neither is known. A bound:
 * how much of it is free is another question. */
uint64_t bm_memory_limit(void);

/* The parts, for tests. root goes in front of /proc/self/... and of the mount points that are found there; "" is the
 * system itself. cgroup v1, v2 and both together; see cgroups(7). */
uint64_t bm_cgroup_cpus(const char *root);         /* the quota in CPUs, rounded up, at least 1; UINT64_MAX: none */
uint64_t bm_cgroup_memory_bytes(const char *root); /* UINT64_MAX: none */

#endif
