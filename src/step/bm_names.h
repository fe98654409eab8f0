/*
 * bm_names.h - which file below a directory a name in a manifest stands for.
 *
 * Names are cleaned as text ("./a//b/." is a/b). Then they lose what they are to begin with ("strip"), or, where they are
 * absolute, the directory's own path, as given or real. What is absolute then, or has a "..", is unsafe: it leads out of
 * the directory. One thread at a time per map.
 *
 * A manifest may also name files from where the directory itself is named: photos/a, where photos is what is compared
 * ("bytemill hash photos"). Its first name tells.
 */
#ifndef BM_NAMES_H
#define BM_NAMES_H

#include "bm_mem.h"

struct bm_name_map {
	char *given, *real; /* the directory, absolute, without a '/' at its end; NULL: not known */
	char *relative;     /* as it was given, clean, where that is relative and names something */
	char *strip;        /* clean, without a '/' at its end; NULL: nothing */
	bool allow_unsafe;
	struct bm_buf scratch;
};

/* strip may be NULL, "" or "." for nothing. A directory that is not there has no real path, and that is no error. */
enum bm_status bm_name_map_init(struct bm_name_map *m, const char *directory, const char *strip, bool allow_unsafe,
                                struct bm_error *err) BM_NODISCARD;
void bm_name_map_fini(struct bm_name_map *m);

/* For the first name of a manifest, before it is applied, where nothing is stripped: does it begin with the directory as
 * that was given, and has the directory nothing of that name in it? Then that is stripped from now on. May look at the
 * disk. */
bool bm_name_map_look(struct bm_name_map *m, const char *name, size_t len);

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
