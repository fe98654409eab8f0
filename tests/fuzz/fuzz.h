/* fuzz.h - what every fuzz_*.c has, and how it says that something does not hold. */
#ifndef BM_TEST_FUZZ_H
#define BM_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Tries one input; always returns 0. What must not happen aborts. data is not NUL-terminated and may be NULL where len
 * is 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FUZZ_CHECK(condition)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
