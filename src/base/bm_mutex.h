/* bm_mutex.h - mutexes whose critical sections are shorter than a sleep. */
#ifndef BM_MUTEX_H
#define BM_MUTEX_H

#include <pthread.h>

/*
 * Prepares *lock, a mutex without recursion, for sections of well under a microsecond that many threads enter once a
 * chunk or once a file. A thread that finds it taken spins a little before it sleeps, where the C library can
 * (PTHREAD_MUTEX_ADAPTIVE_NP of glibc): putting a thread to sleep and waking it costs a hundred times what the holder
 * still has to do, and two workers that once met at such a lock would go on meeting there. The caller destroys it with
 * pthread_mutex_destroy. Returns 0 or an error number, as pthread_mutex_init does.
 */
int bm_mutex_init_short(pthread_mutex_t *lock);

#endif
