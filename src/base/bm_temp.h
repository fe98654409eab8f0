/* bm_temp.h - temporary files without a name. Any thread. */
#ifndef BM_TEMP_H
#define BM_TEMP_H

#include <stdio.h>

/* Where temporary files are made: $TMPDIR, else /tmp. Borrowed from the environment. */
const char *bm_temp_dir(void);
/* A new, empty file there that goes with its stream, as tmpfile(3), which does not heed TMPDIR; only its owner can open it.
 * NULL and errno. May sleep. */
FILE *bm_temp_file(void);

#endif
