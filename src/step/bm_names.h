/*
 * bm_names.h - which file below a directory a name in a manifest stands for.
 *
 * Names are cleaned as text ("./a//b/." is a/b). Then they lose what they are to begin with ("strip"), or, where they are
 * absolute, the directory's own path, as given or real. What is absolute then, or has a "..", is unsafe: it leads out of
 * the directory. One thread at a time per map.
 */
#ifndef BM_NAMES_H
#define BM_NAMES_H

#include "bm_mem.h"

struct bm_name_map {
	char *given, *real; /* the directory, absolute, without a '/' at its end; NULL: not known */
	char *strip;        /* clean, without a '/' at its end; NULL: nothing */
	bool allow_unsafe;
	struct bm_buf scratch;
};

/* strip may be NULL, "" or "." for nothing. A directory that is not there has no real path, and that is no error. */
enum bm_status bm_name_map_init(struct bm_name_map *m, const char *directory, const char *strip, bool allow_unsafe,
                                struct bm_error *err) BM_NODISCARD;
void bm_name_map_fini(struct bm_name_map *m);

enum bm_name_fit {
	BM_NAME_TAKEN,
	BM_NAME_OUTSIDE,   /* does not begin with what is to be stripped */
	BM_NAME_ABSOLUTE,  /* unsafe */
	BM_NAME_DOT_DOT,   /* unsafe */
	BM_NAME_DIRECTORY, /* the directory itself, or nothing: "./" */
	BM_NAME_NOMEM
};
/* TAKEN: *out (NUL-terminated) is in name itself, which must be too, or the map's until the next call. */
enum bm_name_fit bm_name_map_apply(struct bm_name_map *m, const char *name, size_t len, const char **out,
                                   size_t *out_len);

#endif
