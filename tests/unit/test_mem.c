/* Checked allocation and the growing byte string, also where memory runs out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bm_mem.h"
#include "fail_alloc.h"

static void arithmetic(void **state)
{
	size_t out = 7;

	(void)state;
	assert_true(bm_add_size(SIZE_MAX - 1, 1, &out));
	assert_true(out == SIZE_MAX);
	assert_false(bm_add_size(SIZE_MAX, 1, &out));
	assert_true(bm_mul_size(SIZE_MAX / 2, 2, &out));
	assert_true(out == SIZE_MAX - 1);
	assert_false(bm_mul_size(SIZE_MAX / 2 + 1, 2, &out));
	assert_true(bm_mul_size(0, SIZE_MAX, &out));
	assert_true(out == 0);
}

static void arrays(void **state)
{
	(void)state;
	assert_null(bm_calloc_array(SIZE_MAX / 2, 3));
	assert_null(bm_realloc_array(NULL, SIZE_MAX, SIZE_MAX));
	assert_null(bm_memdup0("x", SIZE_MAX));

	unsigned char *zeroed = bm_calloc_array(100, 3);
	assert_non_null(zeroed);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(zeroed[i], 0);
	zeroed[299] = 9;
	assert_null(bm_realloc_array(zeroed, SIZE_MAX, 2)); /* the old one stays */
	unsigned char *more = bm_realloc_array(zeroed, 200, 3);
	assert_non_null(more);
	assert_int_equal(more[299], 9);
	more = bm_realloc_array(more, 0, 3); /* not a free */
	assert_non_null(more);
	free(more);

	void *none = bm_calloc_array(0, 8);
	assert_non_null(none);
	free(none);
	char *empty = bm_memdup0(NULL, 0);
	assert_non_null(empty);
	assert_string_equal(empty, "");
	free(empty);
	char *bytes = bm_memdup0("a\0b", 3);
	assert_memory_equal(bytes, "a\0b\0", 4);
	free(bytes);
}

static void buf_appends(void **state)
{
	struct bm_buf b = {0};
	char expected[5000];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		bm_buf_putc(&b, 'a');
		bm_buf_puts(&b, "bc");
		bm_buf_put(&b, "d\0", 2);
		bm_buf_printf(&b, "%d,", i);
		memcpy(expected + n, "abcd\0", 5);
		n += 5;
		n += (size_t)sprintf(expected + n, "%d,", i);
		assert_int_equal(b.len, n);
		assert_true(b.len < b.cap);
		assert_int_equal(b.data[b.len], 0);
		assert_memory_equal(b.data, expected, n);
	}
	assert_false(b.oom);
	char *before = b.data;
	bm_buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_ptr_equal(b.data, before);
	assert_string_equal(b.data, "");
	bm_buf_fini(&b);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
	bm_buf_puts(&b, "again");
	assert_string_equal(b.data, "again");
	bm_buf_fini(&b);
	bm_buf_fini(&b);
}

static void buf_printf_at_every_fill(void **state)
{
	(void)state;
	for (size_t fill = 0; fill < 140; fill++) {
		struct bm_buf b = {0};
		for (size_t i = 0; i < fill; i++)
			bm_buf_putc(&b, 'x');
		bm_buf_printf(&b, "%s-%d", "0123456789012345678901234567890123456789", 42);
		assert_int_equal(b.len, fill + 43);
		assert_string_equal(b.data + fill, "0123456789012345678901234567890123456789-42");
		bm_buf_fini(&b);
	}
}

static void buf_u64(void **state)
{
	struct bm_buf b = {0};

	(void)state;
	bm_buf_put_u64(&b, 0x0102030405060708u);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "\x08\x07\x06\x05\x04\x03\x02\x01", 9);
	bm_buf_fini(&b);
}

static void buf_take(void **state)
{
	struct bm_buf b = {0};

	(void)state;
	char *taken = bm_buf_take(&b);
	assert_non_null(taken);
	assert_string_equal(taken, "");
	free(taken);
	bm_buf_puts(&b, "text");
	taken = bm_buf_take(&b);
	assert_string_equal(taken, "text");
	free(taken);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
}

static void buf_nothing_put(void **state)
{
	struct bm_buf b = {0};

	(void)state;
	bm_buf_put(&b, NULL, 0);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	bm_buf_fini(&b);
}

static void buf_overflow(void **state)
{
	struct bm_buf b = {0};

	(void)state;
	bm_buf_puts(&b, "kept");
	bm_buf_put(&b, "x", SIZE_MAX);
	assert_true(b.oom);
	assert_string_equal(b.data, "kept");
	bm_buf_puts(&b, "more");
	bm_buf_putc(&b, 'c');
	bm_buf_printf(&b, "%d", 1);
	bm_buf_put_u64(&b, 1);
	assert_false(bm_buf_reserve(&b, 0));
	assert_string_equal(b.data, "kept");
	assert_int_equal(b.len, 4);
	bm_buf_reset(&b);
	assert_false(b.oom);
	bm_buf_puts(&b, "new");
	assert_string_equal(b.data, "new");
	bm_buf_put(&b, "x", SIZE_MAX - 3);
	assert_true(b.oom);
	assert_null(bm_buf_take(&b));
	assert_null(b.data);
	assert_false(b.oom);
}

static void buf_no_memory(void **state)
{
	char large[200];

	(void)state;
	memset(large, 'L', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	struct bm_buf b = {0};
	fail_alloc_arm(1, true);
	bm_buf_putc(&b, 'x');
	fail_alloc_disarm();
	assert_true(b.oom);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	bm_buf_fini(&b);

	bm_buf_puts(&b, "kept");
	fail_alloc_arm(1, true);
	bm_buf_printf(&b, "%s", large);
	fail_alloc_disarm();
	assert_true(b.oom);
	assert_string_equal(b.data, "kept"); /* no half of what did not fit */
	bm_buf_fini(&b);

	/* The doubled size is not to be had, the needed one is. */
	bm_buf_put(&b, large, 100);
	bm_buf_put(&b, large, 90);
	fail_alloc_arm(1, false);
	bm_buf_put(&b, large, 20);
	assert_true(fail_alloc_disarm());
	assert_false(b.oom);
	assert_int_equal(b.len, 210);
	bm_buf_fini(&b);

	fail_alloc_arm(1, true);
	assert_null(bm_buf_take(&b));
	assert_true(fail_alloc_disarm());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arithmetic),      cmocka_unit_test(arrays),
		cmocka_unit_test(buf_appends),     cmocka_unit_test(buf_printf_at_every_fill),
		cmocka_unit_test(buf_u64),         cmocka_unit_test(buf_take),
		cmocka_unit_test(buf_nothing_put), cmocka_unit_test(buf_overflow),
		cmocka_unit_test(buf_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
