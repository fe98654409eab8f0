/*
 * fuzz_rows.c - a recipe for data of up to 200 KiB: literals, runs, and copies of what stands some way back, which is what
 * deflate looks for. The engine rows makes the same bytes of it in both of its forms, zlib gets the data back from them, and
 * with less room than they take the engine says so and writes nothing beyond it.
 */
#include <string.h>
#include <zlib.h>

#include "fuzz.h"
#include "gzip_engine.h"
#include "gzip_rows_parse.h" /* the portable form */

#define MOST ((size_t)200 << 10)
#define ROOM (MOST + MOST / 8 + 1024)

static uint8_t made[MOST], out_a[ROOM], out_b[ROOM], back[MOST + 1];

/* Three bytes a step: what, and a number. */
static size_t cook(const uint8_t *recipe, size_t len)
{
	size_t n = 0;
	uint32_t noise = 1;

	for (; len >= 3 && n < MOST; recipe += 3, len -= 3) {
		size_t number = (size_t)recipe[1] << 8 | recipe[2], count = (recipe[0] & 63) + 1U;

		if (count > MOST - n)
			count = MOST - n;
		switch (recipe[0] >> 6) {
		case 0: /* a run */
			memset(made + n, recipe[1], count);
			break;
		case 1: /* the recipe's own bytes */
			for (size_t i = 0; i < count; i++)
				made[n + i] = recipe[1 + i % 2];
			break;
		case 2: /* noise, much of it, to get further */
			count = number % 4096 < MOST - n ? number % 4096 : MOST - n;
			for (size_t i = 0; i < count; i++) {
				noise = noise * 1664525 + 1013904223;
				made[n + i] = (uint8_t)(noise >> 24);
			}
			break;
		default: /* a copy from further back, up to four times as long */
			count = count * 4 < MOST - n ? count * 4 : count;
			for (size_t i = 0; i < count && number > 0 && number <= n; i++)
				made[n + i] = made[n + i - number];
			if (number == 0 || number > n)
				count = 0;
		}
		n += count;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct gzip_rows *rows;
	const size_t n = cook(data, len);
	struct gzip_bits bits = {.to = out_b, .end = out_b + ROOM};
	z_stream z = {.next_in = out_a, .next_out = back, .avail_out = sizeof(back)};
	uint8_t *in, *tight;

	if (rows == NULL)
		rows = gzip_engine_rows.deflater_create(6);
	if (n == 0 || rows == NULL)
		return 0;
	in = malloc(n); /* so that what reads beyond its end is seen */
	FUZZ_CHECK(in != NULL);
	memcpy(in, made, n);
	const size_t a = gzip_engine_rows.deflate(rows, in, n, out_a, ROOM);
	const size_t b = rows_deflate(rows, in, n, &bits);
	FUZZ_CHECK(a > 0 && a == b && memcmp(out_a, out_b, a) == 0);
	z.avail_in = (uInt)a;
	FUZZ_CHECK(inflateInit2(&z, -15) == Z_OK);
	FUZZ_CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0 && z.total_out == n);
	FUZZ_CHECK(memcmp(back, in, n) == 0);
	inflateEnd(&z);
	/* Exactly enough may be called too little by a few bytes; too little is always told. */
	const size_t less = len > 0 && data[0] % 2 == 0 ? a - 1 : (a * 3 + 3) / 4 - 1;
	tight = malloc(less + 1);
	FUZZ_CHECK(tight != NULL);
	tight[less] = 0xa5;
	FUZZ_CHECK(gzip_engine_rows.deflate(rows, in, n, tight, less) == 0 && tight[less] == 0xa5);
	free(tight);
	free(in);
	return 0;
}
