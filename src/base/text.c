/*
 * text.c - sizes, durations and names as people write them.
 *
 * Numbers are read by hand: strtod would take "nan", "0x10", a locale's comma and leading blanks, and would round. A
 * decimal fraction times a unit is worked out exactly, digit by digit from the right: with N = 0.d1..dk * unit, the
 * last digit's share dk * unit must be divisible by 10 for N to be whole, and the quotient carries over to the digit on
 * its left. No step exceeds 10 * unit, so a fraction may have any number of digits.
 *
 * A misspelling is looked for by the optimal string alignment distance: an insertion, a deletion, a wrong letter and
 * two letters swapped each cost 1. Words are keys and options: rows of fixed size do, a longer one is no misspelling.
 */
#include <stdio.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"

#define WORD_MAX 128 /* letters that bm_suggest looks at */

enum number_fault { NUMBER_OK, NUMBER_JUNK, NUMBER_NOT_WHOLE, NUMBER_TOO_LARGE };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The digits of a number, with a fraction or without: "12" or "1.50". Borrowed from the text. */
struct number {
	const char *whole;
	size_t whole_len;
	const char *fraction;
	size_t fraction_len;
};

/* Returns the first byte after the number, or NULL where there is none. */
static const char *scan_number(const char *text, struct number *num)
{
	const char *p = text;

	*num = (struct number){.whole = p, .fraction = ""};
	while (is_digit(*p))
		p++;
	num->whole_len = (size_t)(p - text);
	if (num->whole_len == 0)
		return NULL;
	if (*p == '.') {
		num->fraction = ++p;
		while (is_digit(*p))
			p++;
		num->fraction_len = (size_t)(p - num->fraction);
		if (num->fraction_len == 0)
			return NULL;
	}
	return p;
}

static enum number_fault times_unit(const struct number *num, uint64_t unit, uint64_t *out)
{
	uint64_t value = 0, carry = 0;

	for (size_t i = 0; i < num->whole_len; i++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(num->whole[i] - '0'), &value))
			return NUMBER_TOO_LARGE;
	}
	if (__builtin_mul_overflow(value, unit, &value))
		return NUMBER_TOO_LARGE;
	for (size_t i = num->fraction_len; i-- > 0;) {
		carry += (uint64_t)(num->fraction[i] - '0') * unit;
		if (carry % 10 != 0)
			return NUMBER_NOT_WHOLE;
		carry /= 10;
	}
	if (__builtin_add_overflow(value, carry, &value))
		return NUMBER_TOO_LARGE;
	*out = value;
	return NUMBER_OK;
}

/* "", "B", "K", "Ki", "KiB" (1024), "KB" (1000) and so on up to P. false: no such unit. */
static bool size_unit(const char *text, uint64_t *unit)
{
	static const char prefixes[] = "kmgtp";
	const char *found;
	unsigned power = 0;
	bool decimal = false;

	if (*text != '\0' && (found = strchr(prefixes, lower(*text))) != NULL) {
		power = (unsigned)(found - prefixes) + 1;
		text++;
		if (lower(*text) == 'i')
			text++;
		else
			decimal = lower(*text) == 'b';
	}
	if (lower(*text) == 'b')
		text++;
	if (*text != '\0')
		return false;
	*unit = 1;
	for (unsigned i = 0; i < power; i++)
		*unit *= decimal ? 1000 : 1024;
	return true;
}

enum bm_status bm_size_parse(const char *text, uint64_t *bytes, struct bm_error *err)
{
	static const char allowed[] = "write bytes or a number with a unit, such as 4096, \"64KiB\", \"1.5MiB\" or "
				      "\"2GB\" (K, M, G, T, P: powers of 1024, as are KiB to PiB; KB to PB: of 1000)";
	struct number num;
	uint64_t unit = 0, value = 0;
	enum number_fault fault = NUMBER_JUNK;
	char shown[64];
	const char *rest = scan_number(text, &num);

	if (rest != NULL) {
		const char *suffix = rest + strspn(rest, " ");
		if ((suffix == rest || *suffix != '\0') && size_unit(suffix, &unit))
			fault = times_unit(&num, unit, &value);
	}
	bm_escape_display_buf(shown, sizeof(shown), text, strlen(text));
	if (fault == NUMBER_OK) {
		*bytes = value;
		return BM_OK;
	}
	if (fault == NUMBER_NOT_WHOLE)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "size \"%s\" is not a whole number of bytes; use a smaller unit", shown);
	if (fault == NUMBER_TOO_LARGE)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "size \"%s\" is too large; the most is 16 EiB less one byte", shown);
	if (text[0] == '\0')
		return bm_error_set(err, BM_ERR_USAGE, NULL, "the size is empty; %s", allowed);
	if (text[0] == '-')
		return bm_error_set(err, BM_ERR_USAGE, NULL, "size \"%s\" is negative; %s", shown, allowed);
	return bm_error_set(err, BM_ERR_USAGE, NULL, "\"%s\" is not a size; %s", shown, allowed);
}

static const struct {
	const char name[3];
	uint64_t ms;
} duration_units[] = {/* from large to small, the order in which they may stand */
                      {"w", 7 * 86400000ull}, {"d", 86400000ull}, {"h", 3600000ull},
                      {"m", 60000ull},        {"s", 1000ull},     {"ms", 1ull}};

#define DURATION_UNIT_COUNT (sizeof(duration_units) / sizeof(duration_units[0]))

/* Sets *disorder where the fault is only that the units stand in the wrong order. */
static enum number_fault duration_value(const char *text, uint64_t *ms, bool *disorder)
{
	uint64_t total = 0;
	size_t next_unit = 0; /* units before this one are used up */
	const char *p = text;

	do {
		struct number num;
		uint64_t part;
		size_t letters = 0, unit = 0;

		const char *rest = scan_number(p, &num);
		if (rest == NULL)
			return NUMBER_JUNK;
		if (*rest == '\0' && p == text) { /* a bare number is seconds */
			unit = 4;
		} else {
			rest += strspn(rest, " ");
			while (rest[letters] >= 'a' && rest[letters] <= 'z')
				letters++;
			while (unit < DURATION_UNIT_COUNT && !(strlen(duration_units[unit].name) == letters &&
			                                       memcmp(rest, duration_units[unit].name, letters) == 0))
				unit++;
			if (unit == DURATION_UNIT_COUNT)
				return NUMBER_JUNK;
			if (unit < next_unit) {
				*disorder = true;
				return NUMBER_JUNK;
			}
		}
		enum number_fault fault = times_unit(&num, duration_units[unit].ms, &part);
		if (fault != NUMBER_OK)
			return fault;
		if (__builtin_add_overflow(total, part, &total))
			return NUMBER_TOO_LARGE;
		next_unit = unit + 1;
		p = rest + letters;
		if (*p == ' ') {
			p += strspn(p, " ");
			if (*p == '\0')
				return NUMBER_JUNK;
		}
	} while (*p != '\0');
	*ms = total;
	return NUMBER_OK;
}

enum bm_status bm_duration_parse(const char *text, uint64_t *ms, struct bm_error *err)
{
	static const char allowed[] = "write seconds or numbers with units, such as 90, \"250ms\", \"90s\", \"15m\", "
				      "\"1h30m\", \"1d\" or \"2w\" (w, d, h, m, s, ms)";
	bool disorder = false;
	char shown[64];
	enum number_fault fault = duration_value(text, ms, &disorder);

	bm_escape_display_buf(shown, sizeof(shown), text, strlen(text));
	if (fault == NUMBER_OK)
		return BM_OK;
	if (fault == NUMBER_NOT_WHOLE)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "duration \"%s\" is not a whole number of milliseconds; use a smaller unit", shown);
	if (fault == NUMBER_TOO_LARGE)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "duration \"%s\" is too large", shown);
	if (text[0] == '\0')
		return bm_error_set(err, BM_ERR_USAGE, NULL, "the duration is empty; %s", allowed);
	if (text[0] == '-')
		return bm_error_set(err, BM_ERR_USAGE, NULL, "duration \"%s\" is negative; %s", shown, allowed);
	if (disorder)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "duration \"%s\": units stand from large to small, each once (w, d, h, m, s, ms)",
		                    shown);
	return bm_error_set(err, BM_ERR_USAGE, NULL, "\"%s\" is not a duration; %s", shown, allowed);
}

bool bm_duration_has_unit(const char *text)
{
	for (; *text != '\0'; text++)
		if (lower(*text) >= 'a' && lower(*text) <= 'z')
			return true;
	return false;
}

/* Prints value / 10^decimals without zeros at the end of the fraction, a blank and the unit. */
static void print_decimal(char *buf, size_t size, uint64_t value, unsigned decimals, const char *unit)
{
	uint64_t scale = 1;

	while (decimals > 0 && value % 10 == 0) {
		value /= 10;
		decimals--;
	}
	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	if (decimals == 0)
		snprintf(buf, size, "%llu %s", (unsigned long long)value, unit);
	else
		snprintf(buf, size, "%llu.%0*llu %s", (unsigned long long)(value / scale), (int)decimals,
		         (unsigned long long)(value % scale), unit);
}

const char *bm_size_format(uint64_t bytes, char buf[static 16])
{
	static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned power = 0;

	while (bytes >> 10 * power >= 1024)
		power++;
	for (;; power++) {
		unsigned shift = 10 * power;
		uint64_t whole = bytes >> shift;
		uint64_t rest = bytes - (whole << shift);
		unsigned decimals = power == 0 || whole >= 100 ? 0 : whole >= 10 ? 1 : 2;
		uint64_t scale = decimals == 0 ? 1 : decimals == 1 ? 10 : 100;

		if (shift > 50) { /* 100 * rest must fit; bits this low cannot move a value up to or past a half */
			rest >>= shift - 50;
			shift = 50;
		}
		uint64_t value =
			whole * scale + (power == 0 ? 0 : (rest * scale + ((uint64_t)1 << (shift - 1))) >> shift);
		if (value >= 1024 * scale)
			continue; /* rounded up to one of the next unit */
		print_decimal(buf, 16, value, decimals, units[power]);
		return buf;
	}
}

const char *bm_duration_format(uint64_t ms, char buf[static 24])
{
	if (ms < 1000) {
		print_decimal(buf, 24, ms, 3, "s");
	} else if (ms < 10000) {
		print_decimal(buf, 24, ms / 10, 2, "s");
	} else if (ms < 60000) {
		print_decimal(buf, 24, ms / 100, 1, "s");
	} else {
		uint64_t s = ms / 1000;
		snprintf(buf, 24, "%llu:%02u:%02u", (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60),
		         (unsigned)(s % 60));
	}
	return buf;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1]; /* row i is rows[i % 3]: two back, one back, this one */

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			char x = lower(a[i - 1]), y = lower(b[j - 1]);
			row[j] = min_size(above[j - 1] + (x != y), min_size(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y)
				row[j] = min_size(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

const char *bm_suggest(const char *word, const char *const *list)
{
	size_t len = strnlen(word, WORD_MAX + 1);
	size_t best = 1 + len / 4;
	const char *nearest = NULL;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (; *list != NULL; list++) {
		size_t entry_len = strnlen(*list, WORD_MAX + 1);
		if (entry_len > WORD_MAX)
			continue;
		size_t d = distance(word, len, *list, entry_len);
		if (d < best || (d == best && nearest == NULL)) { /* of equals, the first in the list */
			best = d;
			nearest = *list;
		}
	}
	return nearest;
}
