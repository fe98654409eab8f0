/* memory_file.h - text for a child's standard input, or room for its output, without a pipe that somebody must serve. */
#ifndef BM_CLI_MEMORY_FILE_H
#define BM_CLI_MEMORY_FILE_H

#include <stddef.h>

/* A descriptor (close-on-exec) of a file in memory that holds len bytes of text, at its start; -1 with errno. */
int bm_memory_file(const char *text, size_t len);

#endif
