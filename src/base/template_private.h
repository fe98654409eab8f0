/* template_private.h - what template.c and template_injective.c share. */
#ifndef BM_TEMPLATE_PRIVATE_H
#define BM_TEMPLATE_PRIVATE_H

#include "bm_template.h"

#define DIR_WITH_SLASH 0x10000u /* a part's kind besides the placeholders: "{dir}/" */
#define LITERAL 0u

struct part {
	unsigned kind; /* LITERAL, one enum bm_placeholder, or DIR_WITH_SLASH */
	char *text;    /* literal: its bytes; date: the strftime format; else NULL. Owned */
	size_t len;
};

struct bm_template {
	char *text; /* as compiled */
	struct part *parts;
	size_t part_count;
	size_t part_cap;
	unsigned uses;
};

#endif
