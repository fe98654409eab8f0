/*
 * algorithm.h - every algorithm that a manifest may name, by a small number: those of bm_digest.h, those that other
 * programs have besides, and BLAKE2b of every length. For this layer only. Any thread.
 */
#ifndef BM_MANIFEST_ALGORITHM_H
#define BM_MANIFEST_ALGORITHM_H

#include <stddef.h>

#include "bm_digest.h"

#define ALGORITHM_NONE 0xffu /* no code is that large; 7 bits hold a code */

struct algorithm {
	const char *name; /* "sha256" "blake2b-128" "tiger" */
	const char *bsd_name;
	size_t len;                               /* of a digest, in bytes */
	const struct bm_digest_algorithm *digest; /* NULL: not in bm_digest.h */
};
/* code must be one that the functions below gave. */
struct algorithm algorithm_get(unsigned code);
/* The code of a name, a BSD tag or a column as any program spells it ("SHA2-256", "BLAKE2b-256", "RMD160"); len bytes.
 * ALGORITHM_NONE: unknown. */
unsigned algorithm_find(const char *name, size_t len);

/* What is known of digests that do not say what they are of. */
enum hint {
	HINT_NONE = 256, /* the length decides */
	HINT_XXH,        /* xxh32, xxh64 or xxh128, by length */
	HINT_SHA3,       /* by length */
	HINT_BLAKE2B     /* of the length */
			 /* below 256: the code of one algorithm */
};
/* "sha256", "b2", "sha3" ...; HINT_NONE where the word says nothing. */
unsigned algorithm_hint(const char *word, size_t len);
/* What a manifest's file name says: the longest such word that stands alone, or before "sum" or "sums". */
unsigned algorithm_hint_of_file_name(const char *name);
/* The code of a digest of len bytes, or ALGORITHM_NONE where the hint allows none. */
unsigned algorithm_of_length(unsigned hint, size_t len);

#endif
