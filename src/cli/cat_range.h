/* cat_range.h - the part of bytemill cat that reads a range of a file without what lies before it. */
#ifndef BM_CLI_CAT_RANGE_H
#define BM_CLI_CAT_RANGE_H

#include "bm_age.h"
#include "options.h"

/* What --range says. */
struct bm_cat_range {
	bool is_suffix;       /* the last `first` bytes */
	uint64_t first, last; /* last is one of them; UINT64_MAX: to the end */
	bool is_begun;        /* what was before first is written: there may be no more of it */
};
/* "A-B", "A-" or "-N". false: it is none of these; *why says what is wrong (static). */
bool bm_cat_range_parse(const char *text, struct bm_cat_range *out, const char **why);

enum bm_cat_result {
	BM_CAT_DONE,
	BM_CAT_FAILED, /* and told */
	BM_CAT_STREAM  /* there is no seeking in it: it is to be decoded from its start */
};
/* Writes the range of file, decoded, to standard output. With STREAM *range is what is still to be written. ids: NULL
 * where there are none. Of o, --threads, --max-window, --quiet and --verbose count. */
enum bm_cat_result bm_cat_range_seek(const char *file, struct bm_cat_range *range, const struct bm_age_identities *ids,
                                     const struct bm_cli_options *o);
/* "NAME: --range begins at byte A, and there are only SIZE bytes". */
void bm_cat_range_say_past(const char *file, uint64_t first, uint64_t size);

#endif
