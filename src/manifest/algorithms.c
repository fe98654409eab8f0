/*
 * algorithms.c - see algorithm.h.
 *
 * A code is an index: first the rows of bm_digest.h, then those of the table below, then BLAKE2b of 8 to 504 bits, which
 * is no cut BLAKE2b but another function for each length. Names are compared as letters and digits only, so that
 * "SHA3-256", "sha3_256" and BagIt's "sha3256" (RFC 8493 section 2.4) are one; no two rows become equal by that.
 *
 * A digest without a name is what its neighbours say: the caller, the manifest's file name, in the end its length. That
 * a length is not proof is told to the caller (is_guess).
 */
#include "algorithm.h"

#include <stdbool.h>
#include <string.h>

#include "bm_manifest.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What coreutils, hashdeep, rhash, openssl, xxhsum and b3sum write and this program cannot compute. */
static const struct {
	const char *name, *bsd_name;
	size_t len;
	const char *alias; /* letters and digits, or NULL */
} foreign[] = {
	{"crc32c", "CRC32C", 4, NULL},
	{"adler32", "ADLER32", 4, NULL},
	{"md2", "MD2", 16, NULL},
	{"md4", "MD4", 16, NULL},
	{"ed2k", "ED2K", 16, NULL},
	{"snefru128", "SNEFRU-128", 16, NULL},
	{"shake128", "SHAKE-128", 16, NULL},
	{"ripemd160", "RIPEMD160", 20, "rmd160"},
	{"has160", "HAS-160", 20, NULL},
	{"tiger", "TIGER", 24, NULL},
	{"blake3", "BLAKE3", 32, "b3"},
	{"snefru256", "SNEFRU-256", 32, NULL},
	{"shake256", "SHAKE-256", 32, NULL},
	{"gost94", "GOST94", 32, NULL},
	{"gost12-256", "GOST12-256", 32, NULL},
	{"gost12-512", "GOST12-512", 64, NULL},
	{"edonr256", "EDON-R256", 32, NULL},
	{"edonr512", "EDON-R512", 64, NULL},
	{"whirlpool", "WHIRLPOOL", 64, NULL},
};

#define WORD_MAX 16 /* letters and digits of the longest name, and a few */

struct words { /* of bm_digest_algorithms() */
	const struct bm_digest_algorithm *all;
	size_t count;
};

static struct words digests(void)
{
	struct words w;

	w.all = bm_digest_algorithms(&w.count);
	return w;
}

struct algorithm algorithm_get(unsigned code)
{
	struct words w = digests();
	size_t i = code;

	if (i < w.count)
		return (struct algorithm){w.all[i].name, w.all[i].bsd_name, w.all[i].size_bytes, &w.all[i]};
	i -= w.count;
	if (i < COUNT(foreign))
		return (struct algorithm){foreign[i].name, foreign[i].bsd_name, foreign[i].len, NULL};
	i -= COUNT(foreign);
	const struct bm_digest_algorithm *b = bm_digest_blake2b(i);
	return (struct algorithm){b->name, b->bsd_name, b->size_bytes, b};
}

static unsigned code_of_blake2b(size_t bytes)
{
	int listed = bm_digest_index(bm_digest_blake2b(bytes));

	return listed >= 0 ? (unsigned)listed : (unsigned)(digests().count + COUNT(foreign) + bytes);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters and digits of name, lower case, NUL-terminated; false where they are none or too many, or where anything else
 * stands among them than the signs that programs put between them. */
static bool plain(char out[static WORD_MAX + 1], const char *name, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!is_alnum(name[i])) {
			if (n == 0 || i + 1 == len || strchr("-_/", name[i]) == NULL || name[i] == '\0')
				return false;
			continue;
		}
		if (n == WORD_MAX)
			return false;
		out[n++] = lower(name[i]);
	}
	out[n] = '\0';
	return n > 0;
}

static bool plain_equal(const char *word, const char *name)
{
	char other[WORD_MAX + 1];

	return plain(other, name, strlen(name)) && strcmp(word, other) == 0;
}

/* "blake2b128" and its kin. */
static unsigned find_blake2b(const char *word)
{
	static const char prefix[] = "blake2b";
	unsigned bits = 0;

	if (strncmp(word, prefix, sizeof(prefix) - 1) != 0)
		return ALGORITHM_NONE;
	word += sizeof(prefix) - 1;
	for (; is_digit(*word) && bits < 1000; word++)
		bits = bits * 10 + (unsigned)(*word - '0');
	return *word == '\0' && bits > 0 && bits < 512 && bits % 8 == 0 ? code_of_blake2b(bits / 8) : ALGORITHM_NONE;
}

unsigned algorithm_find(const char *name, size_t len)
{
	struct words w = digests();
	const struct bm_digest_algorithm *a;
	char word[WORD_MAX + 1];

	for (unsigned i = 0; i < w.count; i++) /* nearly always */
		if (len <= strlen(w.all[i].name) && memcmp(name, w.all[i].name, len) == 0 && w.all[i].name[len] == '\0')
			return i;
	if (len > 24 || !plain(word, name, len))
		return ALGORITHM_NONE;
	for (unsigned i = 0; i < w.count; i++)
		if (plain_equal(word, w.all[i].name) || plain_equal(word, w.all[i].bsd_name))
			return i;
	for (unsigned i = 0; i < COUNT(foreign); i++)
		if (plain_equal(word, foreign[i].name) || plain_equal(word, foreign[i].bsd_name) ||
		    (foreign[i].alias != NULL && strcmp(word, foreign[i].alias) == 0))
			return (unsigned)w.count + i;
	if (find_blake2b(word) != ALGORITHM_NONE)
		return find_blake2b(word);
	/* The spellings that only bm_digest.h knows: "SHA2-256", "BLAKE2b-512". */
	char spelling[25];
	memcpy(spelling, name, len);
	spelling[len] = '\0';
	a = bm_digest_find(spelling);
	return a != NULL ? (unsigned)(a - w.all) : ALGORITHM_NONE;
}

unsigned algorithm_hint(const char *word, size_t len)
{
	static const struct {
		const char *word;
		unsigned hint;
	} families[] = {
		{"b2", HINT_BLAKE2B}, {"blake2", HINT_BLAKE2B}, {"blake2b", HINT_BLAKE2B},
		{"sha3", HINT_SHA3},  {"xxh", HINT_XXH},        {"xxhash", HINT_XXH},
	};
	char p[WORD_MAX + 1];
	unsigned code;

	if (!plain(p, word, len))
		return HINT_NONE;
	for (size_t i = 0; i < COUNT(families); i++)
		if (strcmp(p, families[i].word) == 0)
			return families[i].hint;
	code = algorithm_find(word, len);
	return code != ALGORITHM_NONE ? code : HINT_NONE;
}

/* Does a word end before this? */
static bool is_boundary(const char *rest)
{
	if (!is_alnum(*rest))
		return true;
	for (const char *sum = "sum"; *sum != '\0'; sum++, rest++)
		if (lower(*rest) != *sum)
			return false;
	return !is_alnum(lower(*rest) == 's' ? rest[1] : *rest);
}

unsigned algorithm_hint_of_file_name(const char *name)
{
	const char *slash = strrchr(name, '/');
	unsigned best = HINT_NONE;
	size_t best_letters = 0;

	if (slash != NULL)
		name = slash + 1;
	for (const char *from = name; *from != '\0'; from++) {
		size_t letters = 0;

		if (!is_alnum(*from) || (from > name && is_alnum(from[-1])))
			continue;
		for (const char *end = from; letters < WORD_MAX && (is_alnum(*end) || *end == '-' || *end == '_');) {
			unsigned hint;

			letters += is_alnum(*end) ? 1 : 0;
			end++;
			if (!is_alnum(end[-1]) || !is_boundary(end) || letters <= best_letters)
				continue;
			hint = algorithm_hint(from, (size_t)(end - from));
			if (hint != HINT_NONE) {
				best = hint;
				best_letters = letters;
			}
		}
	}
	return best;
}

static unsigned find_text(const char *name)
{
	return algorithm_find(name, strlen(name));
}

static unsigned of_length(size_t len)
{
	switch (len) {
	case 4:
		return find_text("crc32");
	case 8:
		return find_text("xxh64");
	case 16:
		return find_text("md5");
	case 20:
		return find_text("sha1");
	case 28:
		return find_text("sha224");
	case 32:
		return find_text("sha256");
	case 48:
		return find_text("sha384");
	case 64:
		return find_text("sha512");
	default:
		return ALGORITHM_NONE;
	}
}

static unsigned of_sha3(size_t len)
{
	switch (len) {
	case 28:
		return find_text("sha3-224");
	case 32:
		return find_text("sha3-256");
	case 48:
		return find_text("sha3-384");
	case 64:
		return find_text("sha3-512");
	default:
		return ALGORITHM_NONE;
	}
}

unsigned algorithm_of_length(unsigned hint, size_t len)
{
	switch (hint) {
	case HINT_NONE:
		return of_length(len);
	case HINT_SHA3:
		return of_sha3(len);
	case HINT_BLAKE2B:
		return len == 64 ? find_text("blake2b") : len > 0 && len < 64 ? code_of_blake2b(len) : ALGORITHM_NONE;
	case HINT_XXH:
		return len == 4    ? find_text("xxh32")
		       : len == 8  ? find_text("xxh64")
		       : len == 16 ? find_text("xxh128")
		                   : ALGORITHM_NONE;
	default:
		return algorithm_get(hint).len == len ? hint : ALGORITHM_NONE;
	}
}

size_t bm_manifest_candidates(size_t len, const struct bm_digest_algorithm *out[static BM_MANIFEST_CANDIDATES_MAX])
{
	struct words w = digests();
	unsigned first = of_length(len);
	size_t n = 0;

	if (first != ALGORITHM_NONE)
		out[n++] = &w.all[first];
	for (unsigned i = 0; i < w.count && n < BM_MANIFEST_CANDIDATES_MAX; i++)
		if (w.all[i].size_bytes == len && i != first)
			out[n++] = &w.all[i];
	return n;
}
