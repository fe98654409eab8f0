/* bm_temp.h - temporary files without a name. Any thread. */
#ifndef BM_TEMP_H
#define BM_TEMP_H

#include <stdio.h>

/* Where temporary files are made: $TMPDIR, else /tmp. Borrowed from the environment. */
const char *bm_temp_dir(void);
/* A new, empty file in dir for reading and writing, which only its owner can open, and which goes when it is closed. -1 and
 * errno. May sleep. */
int bm_temp_open(const char *dir);
/* The same in bm_temp_dir(), as a stream (tmpfile(3) does not heed TMPDIR). NULL and errno. May sleep. */
FILE *bm_temp_file(void);

#endif
