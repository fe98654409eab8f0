/*
 * bech32.c - see age_private.h: Bech32 as BIP 173 has it (section "Bech32"), with no limit on the length, as
 * c2sp.org/age (section "Conventions") wants it for keys.
 *
 * A string is a human-readable part, '1', and 5-bit values as characters, the last six of which are a checksum: the
 * remainder of a polynomial over GF(32), which starts from the human-readable part's high bits, a zero, and its low
 * bits. Bytes become 5-bit values from the high bit on; the up to 4 bits left over at the end are zero, and anything
 * else there is refused, so that a key has one text only.
 *
 * Decoding is told what to expect, part, case and length, since nothing else is of use here. It goes through the text
 * once and keeps no copy of the values, which are a secret key's.
 */
#include "age_private.h"

#include <string.h>

#define CHECKSUM_CHARS 6

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t polymod(uint32_t state, unsigned value)
{
	static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	const uint32_t top = state >> 25;

	state = ((state & 0x1ffffff) << 5) ^ value;
	for (unsigned i = 0; i < 5; i++)
		if (((top >> i) & 1) != 0)
			state ^= generator[i];
	return state;
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_upper(const char *hrp)
{
	for (; *hrp != '\0'; hrp++)
		if (*hrp >= 'A' && *hrp <= 'Z')
			return true;
	return false;
}

static uint32_t polymod_hrp(const char *hrp)
{
	uint32_t state = 1;

	for (const char *p = hrp; *p != '\0'; p++)
		state = polymod(state, lower(*p) >> 5);
	state = polymod(state, 0);
	for (const char *p = hrp; *p != '\0'; p++)
		state = polymod(state, lower(*p) & 31);
	return state;
}

static char to_char(unsigned value, bool upper)
{
	const char c = charset[value];

	return upper && c >= 'a' ? (char)(c - ('a' - 'A')) : c;
}

/* The n-th 5 bits of data, zeros where it ends. */
static unsigned five_bits(const uint8_t *data, size_t len, size_t n)
{
	const size_t byte = n / 8 * 5 + n % 8 * 5 / 8;
	const size_t bit = n % 8 * 5 % 8;
	const unsigned word = (unsigned)data[byte] << 8 | (byte + 1 < len ? data[byte + 1] : 0u);

	return (word >> (11 - bit)) & 31;
}

bool bech32_encode(const char *hrp, const uint8_t *data, size_t len, char *out, size_t out_cap)
{
	const size_t hrp_len = strlen(hrp);
	const bool upper = is_upper(hrp);
	const size_t values = len / 5 * 8 + (len % 5 * 8 + 4) / 5;
	const size_t fixed = hrp_len + 1 + CHECKSUM_CHARS + 1;
	uint32_t state = polymod_hrp(hrp);

	if (out_cap < fixed || out_cap - fixed < values)
		return false;
	memcpy(out, hrp, hrp_len);
	out += hrp_len;
	*out++ = '1';
	for (size_t i = 0; i < values; i++) {
		const unsigned value = five_bits(data, len, i);

		state = polymod(state, value);
		*out++ = to_char(value, upper);
	}
	for (unsigned i = 0; i < CHECKSUM_CHARS; i++)
		state = polymod(state, 0);
	state ^= 1;
	for (unsigned i = 0; i < CHECKSUM_CHARS; i++)
		*out++ = to_char((state >> (5 * (CHECKSUM_CHARS - 1 - i))) & 31, upper);
	*out = '\0';
	return true;
}

bool bech32_decode(const char *text, size_t text_len, const char *hrp, uint8_t *out, size_t len)
{
	const size_t hrp_len = strlen(hrp);
	const bool upper = is_upper(hrp);
	const size_t values = len / 5 * 8 + (len % 5 * 8 + 4) / 5;
	uint32_t state = polymod_hrp(hrp);
	unsigned bits = 0;
	unsigned bit_count = 0;

	if (text_len != hrp_len + 1 + values + CHECKSUM_CHARS || memcmp(text, hrp, hrp_len) != 0 ||
	    text[hrp_len] != '1')
		return false;
	text += hrp_len + 1;
	for (size_t i = 0; i < values + CHECKSUM_CHARS; i++) {
		const char c = text[i];
		const bool wrong_case = upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
		const char *found = wrong_case || c == '\0' ? NULL : strchr(charset, lower(c));
		unsigned value;

		if (found == NULL)
			return false;
		value = (unsigned)(found - charset);
		state = polymod(state, value);
		if (i >= values)
			continue;
		bits = (bits << 5 | value) & 0xfff;
		bit_count += 5;
		if (bit_count >= 8) {
			bit_count -= 8;
			*out++ = (uint8_t)(bits >> bit_count);
		}
		if (i == values - 1 && (bits & ((1u << bit_count) - 1)) != 0)
			return false;
	}
	return state == 1;
}
