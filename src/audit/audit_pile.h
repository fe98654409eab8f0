/* audit_pile.h - lines that are kept for later: in memory, and past some size in an unnamed temporary file. */
#ifndef AUDIT_PILE_H
#define AUDIT_PILE_H

#include <stdio.h>

#include "bm_mem.h"

struct pile {                /* zero-initialise */
	struct bm_buf lines; /* the later ones */
	FILE *spill;         /* those before; NULL: none */
	uint64_t lost;       /* could not be kept */
};

void pile_add(struct pile *p, const char *line, size_t len); /* with its end */
void pile_print(struct pile *p, FILE *out);                  /* once; so pile_each */
/* Hands out all that was put in, in pieces; each returns false to end it. */
void pile_each(struct pile *p, bool (*each)(void *ctx, const void *data, size_t len), void *ctx);
void pile_fini(struct pile *p);

#endif
