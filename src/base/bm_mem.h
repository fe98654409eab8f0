/* bm_mem.h - checked arithmetic on sizes, and a growing byte string. No global state; any thread, one at a time per
 * object. */
#ifndef BM_MEM_H
#define BM_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

/* true and *out set, or false on overflow. */
static inline bool bm_add_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}
static inline bool bm_mul_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* calloc (zeroed)/realloc of count * size bytes; NULL on overflow or no memory, never for 0 bytes: that gives a pointer
 * to be freed. Where realloc gives NULL, old is still the caller's. The caller frees with free(). */
void *bm_calloc_array(size_t count, size_t size);
void *bm_realloc_array(void *old, size_t count, size_t size);
/* A copy of len bytes (data may be NULL where 0), NUL-terminated after them. NULL on no memory. The caller frees. */
char *bm_memdup0(const void *data, size_t len);

/* A growing byte string; always NUL-terminated after len bytes once anything was put in. Zero-initialise. An append
 * that finds no memory sets oom, and every later append is a no-op: check oom once at the end; what was put in before
 * stays. What is appended must not lie in the string itself. */
struct bm_buf {
	char *data; /* owned; NULL while empty and never appended to */
	size_t len;
	size_t cap;
	bool oom;
};
void bm_buf_fini(struct bm_buf *b);  /* frees; b is zeroed and may be used again */
void bm_buf_reset(struct bm_buf *b); /* len = 0, oom = false, memory kept */
/* Makes room for more bytes after len (and the NUL): data[len .. len+more] may then be written, and len raised, by the
 * caller. false (and oom set) where there is no memory. */
bool bm_buf_reserve(struct bm_buf *b, size_t more);
void bm_buf_put(struct bm_buf *b, const void *data, size_t len); /* 0 bytes (data may be NULL) make it a string "" */
void bm_buf_puts(struct bm_buf *b, const char *text);
void bm_buf_putc(struct bm_buf *b, char c);
void bm_buf_printf(struct bm_buf *b, const char *fmt, ...) BM_PRINTF(2, 3);
void bm_buf_vprintf(struct bm_buf *b, const char *fmt, va_list ap) BM_PRINTF(2, 0);
void bm_buf_put_u64(struct bm_buf *b, uint64_t v); /* 8 bytes, little endian */
/* Takes the string out (the caller frees; never NULL unless oom, "" where nothing was put in) and leaves b zeroed. */
char *bm_buf_take(struct bm_buf *b);

#endif
