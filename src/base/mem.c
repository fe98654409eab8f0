/*
 * mem.c - checked allocation and the growing byte string.
 *
 * A request for no bytes gives a real pointer: NULL then always means failure, and realloc(p, 0), which frees in some
 * libraries and not in others, is never called. The string doubles, so n appended bytes cost O(n); the terminator is
 * kept up after every append and not counted in len, so that data can be handed to C functions at any time. What was
 * put in before an append failed stays readable.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_mem.h"

void *bm_calloc_array(size_t count, size_t size)
{
	size_t bytes;

	if (!bm_mul_size(count, size, &bytes))
		return NULL;
	return calloc(1, bytes != 0 ? bytes : 1);
}

void *bm_realloc_array(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (!bm_mul_size(count, size, &bytes))
		return NULL;
	return realloc(old, bytes != 0 ? bytes : 1);
}

char *bm_memdup0(const void *data, size_t len)
{
	size_t bytes;
	char *copy;

	if (!bm_add_size(len, 1, &bytes))
		return NULL;
	copy = malloc(bytes);
	if (copy == NULL)
		return NULL;
	if (len != 0) /* data may be NULL then, which memcpy must not see */
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

void bm_buf_fini(struct bm_buf *b)
{
	free(b->data);
	*b = (struct bm_buf){0};
}

void bm_buf_reset(struct bm_buf *b)
{
	b->len = 0;
	b->oom = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

bool bm_buf_reserve(struct bm_buf *b, size_t more)
{
	size_t need, cap;
	char *data;

	if (b->oom)
		return false;
	if (!bm_add_size(b->len, more, &need) || !bm_add_size(need, 1, &need)) {
		b->oom = true;
		return false;
	}
	if (need <= b->cap)
		return true;
	if (!bm_mul_size(b->cap, 2, &cap) || cap < need)
		cap = need;
	if (cap < 32)
		cap = 32;
	data = realloc(b->data, cap);
	if (data == NULL && cap > need) { /* twice as much is a wish, not a need */
		cap = need;
		data = realloc(b->data, cap);
	}
	if (data == NULL) {
		b->oom = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return true;
}

void bm_buf_put(struct bm_buf *b, const void *data, size_t len)
{
	if (!bm_buf_reserve(b, len))
		return;
	if (len != 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void bm_buf_puts(struct bm_buf *b, const char *text)
{
	bm_buf_put(b, text, strlen(text));
}

void bm_buf_putc(struct bm_buf *b, char c)
{
	bm_buf_put(b, &c, 1);
}

void bm_buf_vprintf(struct bm_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int printed;

	if (!bm_buf_reserve(b, 0))
		return;
	va_copy(again, ap);
	printed = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	if (printed < 0) { /* over INT_MAX, or libc had no memory */
		b->data[b->len] = '\0';
		b->oom = true;
	} else if ((size_t)printed >= b->cap - b->len) {
		b->data[b->len] = '\0';
		if (bm_buf_reserve(b, (size_t)printed)) {
			vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
			b->len += (size_t)printed;
		}
	} else {
		b->len += (size_t)printed;
	}
	va_end(again);
}

void bm_buf_printf(struct bm_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	bm_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void bm_buf_put_u64(struct bm_buf *b, uint64_t v)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(v >> (8 * i));
	bm_buf_put(b, bytes, sizeof(bytes));
}

char *bm_buf_take(struct bm_buf *b)
{
	char *taken = NULL;

	if (bm_buf_reserve(b, 0)) {
		taken = b->data;
		b->data = NULL;
	}
	bm_buf_fini(b);
	return taken;
}
