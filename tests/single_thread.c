/* single_thread.c - for programs whose tests ThreadSanitizer's build leaves out (see bm_single_thread() in CMakeLists.txt). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	(void)thread, (void)attr, (void)start, (void)arg;
	fputs("this test starts a thread: take it out of bm_single_thread()\n", stderr);
	abort();
}
