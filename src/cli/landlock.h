/*
 * landlock.h - which files this process, and all that it starts, may open from now on: Linux' Landlock.
 *
 * A fence is built of rules, each a file or a directory with all below it and what may be done there; what no rule allows
 * is refused with EACCES. What is open already stays as it is, stat(2) and readlink(2) are not its business. It is raised
 * for the calling thread and for those that this one starts later, so before there are others, and cannot be taken down.
 * One thread.
 */
#ifndef BM_CLI_LANDLOCK_H
#define BM_CLI_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include <bytemill/error.h>

enum bm_landlock_right {
	BM_LANDLOCK_READ = 1,   /* files and directories */
	BM_LANDLOCK_WRITE = 2,  /* what is there */
	BM_LANDLOCK_MAKE = 4,   /* files and directories, and rename */
	BM_LANDLOCK_REMOVE = 8, /* files */
};

struct bm_landlock;
/* writes_only: reading is left alone, and so is truncate(2), which the kernel looks for on every open for reading: a walk
 * up to the root, some 2 us a file. BM_ERR_UNSUPPORTED: this kernel has it not, or has it turned off; the text says so. BM_ERR_SYSTEM. */
enum bm_status bm_landlock_create(bool writes_only, struct bm_landlock **out, struct bm_error *err) BM_NODISCARD;
/* At path, which is followed through symbolic links. Nothing there: no rule, no error. Of a file that is no directory only
 * READ and WRITE are of use. The first failure comes out of bm_landlock_raise. */
void bm_landlock_allow(struct bm_landlock *l, const char *path, unsigned rights);
/* The same at path[0..len) or, where that is not there, the nearest directory above it. */
void bm_landlock_allow_near(struct bm_landlock *l, const char *path, size_t len, unsigned rights);
/* Raises it. Sets no_new_privs. */
enum bm_status bm_landlock_raise(struct bm_landlock *l, struct bm_error *err) BM_NODISCARD;
void bm_landlock_destroy(struct bm_landlock *l); /* NULL is fine; what was raised stays */

#endif
