/*
 * age_base64.c - see age_private.h: base64 as RFC 4648 section 4 has it, without '=' (c2sp.org/age, "Conventions"), and
 * canonical (RFC 4648 section 3.5): the bits left over in the last character are zero. Otherwise one header would have
 * several texts, and only the MAC would tell them apart. Armor uses the same after cutting its padding off.
 *
 * What passes through here is public: the lookup by value gives nothing away.
 */
#include "age_private.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 1 + value, 0 for what is no base64 character. */
static const uint8_t values[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
	['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

void age_base64_encode(const uint8_t *data, size_t len, char *out)
{
	for (; len >= 3; len -= 3, data += 3) {
		*out++ = alphabet[data[0] >> 2];
		*out++ = alphabet[(data[0] & 3) << 4 | data[1] >> 4];
		*out++ = alphabet[(data[1] & 15) << 2 | data[2] >> 6];
		*out++ = alphabet[data[2] & 63];
	}
	if (len > 0) {
		const unsigned second = len == 2 ? data[1] : 0;

		*out++ = alphabet[data[0] >> 2];
		*out++ = alphabet[(data[0] & 3u) << 4 | second >> 4];
		if (len == 2)
			*out++ = alphabet[(second & 15) << 2];
	}
	*out = '\0';
}

bool age_base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
	const unsigned char *p = (const unsigned char *)text;
	const uint8_t *const start = out;
	unsigned bits = 0;

	*out_len = 0;
	for (; len >= 4; len -= 4, p += 4) {
		const unsigned a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];

		if (a == 0 || b == 0 || c == 0 || d == 0)
			return false;
		bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
		*out++ = (uint8_t)(bits >> 16);
		*out++ = (uint8_t)(bits >> 8);
		*out++ = (uint8_t)bits;
	}
	if (len == 1)
		return false;
	if (len > 0) {
		bits = 0;
		for (size_t i = 0; i < len; i++) {
			if (values[p[i]] == 0)
				return false;
			bits |= (values[p[i]] - 1u) << (18 - 6 * i);
		}
		if ((bits & (len == 2 ? 0xffffu : 0xffu)) != 0)
			return false;
		*out++ = (uint8_t)(bits >> 16);
		if (len == 3)
			*out++ = (uint8_t)(bits >> 8);
	}
	*out_len = (size_t)(out - start);
	return true;
}
