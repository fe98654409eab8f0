/*
 * gzip_rows_avx2.c - gzip_rows_parse.h with AVX2: compiled with the options for it, and called where the CPU has it.
 */
#define ROWS_AVX2
#include "gzip_rows_parse.h"

size_t gzip_rows_deflate_avx2(struct gzip_rows *r, const uint8_t *in, size_t in_len, struct gzip_bits *out)
{
	return rows_deflate(r, in, in_len, out);
}
