/*
 * digest.c - see bm_digest.h.
 *
 * One table has a row for each algorithm: its public descriptor, the other spellings by which it is found, and the name
 * by which OpenSSL knows it, or NULL where zlib or libxxhash does the work. Short BLAKE2b are
 * blake2b.c's; those of unusual length are found by name, but are in no list of what there is.
 *
 * What is to be saved here is time per file, for trees of small files, and time at start-up, for small jobs:
 * - EVP_MD_fetch takes locks and searches the providers by name (EVP_sha256() and its kin do so at every init), so each
 *   algorithm is fetched once, by the first state that asks for it, and the handle is kept until the process ends. A
 *   fetch in several threads at once is harmless: the first handle in wins and the others are given back, so no lock is
 *   needed.
 * - A state keeps its EVP_MD_CTX, and reset re-initialises it with no algorithm given: OpenSSL then keeps the
 *   algorithm's context as well, and allocates nothing. (Copying a primed context was measured too; it saves 10 ns with
 *   some algorithms, costs 20 with others, and needs a second context.)
 * - libcrypto reads /etc/ssl/openssl.cnf at its first use, which takes as long as everything else in the start of it
 *   together. Nothing there is of use to a digest. A private OSSL_LIB_CTX does not avoid that (3.0's EVP_DigestInit
 *   loads it nonetheless), hence OPENSSL_INIT_NO_LOAD_CONFIG before any other call.
 *
 * CRC-32 is the reflected 0x04C11DB7 of RFC 1952 section 8, by the fastest library in the build (measured in the cache:
 * ISA-L 58 GB/s, libdeflate 1.14 15 GB/s, zlib 6 GB/s). zlib combines two of them by x^(8n) modulo the polynomial
 * in O(log n), so its chunks need no order.
 */
#include "bm_digest.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#ifdef BM_HAVE_ISAL
#include <isa-l/crc.h>
#elif defined(BM_HAVE_LIBDEFLATE)
#include <libdeflate.h>
#endif
#include <xxhash.h>
#include <zlib.h>

#include "blake2b.h"
#include "bm_error.h"
#ifdef BM_HAVE_ISAL
#include "isal_leave.h"
#endif

enum digest_id {
	ID_MD5,
	ID_SHA1,
	ID_SHA224,
	ID_SHA256,
	ID_SHA384,
	ID_SHA512,
	ID_SHA512_224,
	ID_SHA512_256,
	ID_SHA3_224,
	ID_SHA3_256,
	ID_SHA3_384,
	ID_SHA3_512,
	ID_BLAKE2B,
	ID_BLAKE2B_128,
	ID_BLAKE2B_160,
	ID_BLAKE2B_256,
	ID_BLAKE2B_384,
	ID_BLAKE2S,
	ID_SM3,
	ID_CRC32,
	ID_XXH32,
	ID_XXH64,
	ID_XXH3,
	ID_XXH128,
	ID_COUNT,
	ID_BLAKE2B_RARE /* of any other length: in no list */
};

static const struct bm_digest_algorithm algorithms[ID_COUNT + 1] = {
	{"md5", "MD5", 16, false, ID_MD5},
	{"sha1", "SHA1", 20, false, ID_SHA1},
	{"sha224", "SHA224", 28, false, ID_SHA224},
	{"sha256", "SHA256", 32, false, ID_SHA256},
	{"sha384", "SHA384", 48, false, ID_SHA384},
	{"sha512", "SHA512", 64, false, ID_SHA512},
	{"sha512-224", "SHA512/224", 28, false, ID_SHA512_224},
	{"sha512-256", "SHA512/256", 32, false, ID_SHA512_256},
	{"sha3-224", "SHA3-224", 28, false, ID_SHA3_224},
	{"sha3-256", "SHA3-256", 32, false, ID_SHA3_256},
	{"sha3-384", "SHA3-384", 48, false, ID_SHA3_384},
	{"sha3-512", "SHA3-512", 64, false, ID_SHA3_512},
	{"blake2b", "BLAKE2b", 64, false, ID_BLAKE2B},
	{"blake2b-128", "BLAKE2b-128", 16, false, ID_BLAKE2B_128},
	{"blake2b-160", "BLAKE2b-160", 20, false, ID_BLAKE2B_160},
	{"blake2b-256", "BLAKE2b-256", 32, false, ID_BLAKE2B_256},
	{"blake2b-384", "BLAKE2b-384", 48, false, ID_BLAKE2B_384},
	{"blake2s", "BLAKE2s", 32, false, ID_BLAKE2S},
	{"sm3", "SM3", 32, false, ID_SM3},
	{"crc32", "CRC32", 4, true, ID_CRC32},
	{"xxh32", "XXH32", 4, false, ID_XXH32},
	{"xxh64", "XXH64", 8, false, ID_XXH64},
	{"xxh3", "XXH3", 8, false, ID_XXH3},
	{"xxh128", "XXH128", 16, false, ID_XXH128},
	{NULL, NULL, 0, false, ID_COUNT},
};

/* Those that b2sum -l makes besides, by their bytes. */
#define B(bits)                                                                                                        \
	{                                                                                                              \
		"blake2b-" #bits, "BLAKE2b-" #bits, (bits) / 8, false, ID_BLAKE2B_RARE                                 \
	}
#define NONE                                                                                                           \
	{                                                                                                              \
		NULL, NULL, 0, false, ID_COUNT                                                                         \
	}
static const struct bm_digest_algorithm rare[64] = {
	NONE,   B(8),   B(16),  B(24),  B(32),  B(40),  B(48),  B(56),  B(64),  B(72),  B(80),  B(88),  B(96),
	B(104), B(112), B(120), NONE,   B(136), B(144), B(152), NONE,   B(168), B(176), B(184), B(192), B(200),
	B(208), B(216), B(224), B(232), B(240), B(248), NONE,   B(264), B(272), B(280), B(288), B(296), B(304),
	B(312), B(320), B(328), B(336), B(344), B(352), B(360), B(368), B(376), NONE,   B(392), B(400), B(408),
	B(416), B(424), B(432), B(440), B(448), B(456), B(464), B(472), B(480), B(488), B(496), B(504),
};
#undef NONE
#undef B

#define ALIASES_MAX 4

/* What only this file needs to know of an algorithm. */
static const struct {
	const char *openssl_name;         /* NULL: not from OpenSSL */
	const char *aliases[ALIASES_MAX]; /* besides name and bsd_name; NULL-terminated */
} details[ID_COUNT] = {
	[ID_MD5] = {"MD5", {"md-5"}},
	[ID_SHA1] = {"SHA1", {"sha-1"}},
	[ID_SHA224] = {"SHA2-224", {"sha-224", "sha2-224"}},
	[ID_SHA256] = {"SHA2-256", {"sha-256", "sha2-256"}},
	[ID_SHA384] = {"SHA2-384", {"sha-384", "sha2-384"}},
	[ID_SHA512] = {"SHA2-512", {"sha-512", "sha2-512"}},
	[ID_SHA512_224] = {"SHA2-512/224", {"sha-512/224", "sha2-512/224", "sha512t224"}},
	[ID_SHA512_256] = {"SHA2-512/256", {"sha-512/256", "sha2-512/256", "sha512t256"}},
	[ID_SHA3_224] = {"SHA3-224", {NULL}},
	[ID_SHA3_256] = {"SHA3-256", {NULL}},
	[ID_SHA3_384] = {"SHA3-384", {NULL}},
	[ID_SHA3_512] = {"SHA3-512", {NULL}},
	[ID_BLAKE2B] = {"BLAKE2B-512", {"blake2b-512", "blake2b512"}},
	[ID_BLAKE2B_128] = {NULL, {"blake2b128"}},
	[ID_BLAKE2B_160] = {NULL, {"blake2b160"}},
	[ID_BLAKE2B_256] = {NULL, {"blake2b256"}},
	[ID_BLAKE2B_384] = {NULL, {"blake2b384"}},
	[ID_BLAKE2S] = {"BLAKE2S-256", {"blake2s-256", "blake2s256"}},
	[ID_SM3] = {"SM3", {NULL}},
	[ID_CRC32] = {NULL, {"crc-32"}},
	[ID_XXH32] = {NULL, {"xxhash32"}},
	[ID_XXH64] = {NULL, {"xxhash64"}},
	[ID_XXH3] = {NULL, {"xxh3-64", "xxh3_64"}},
	[ID_XXH128] = {NULL, {"xxh3-128", "xxh3_128"}},
};

struct bm_digest {
	const struct bm_digest_algorithm *algorithm; /* set at creation */
	bool started;                                /* between reset and finish */
	union {
		EVP_MD_CTX *evp;
		uint32_t crc;
		struct blake2b *blake2b;
		XXH32_state_t *xxh32;
		XXH64_state_t *xxh64;
		XXH3_state_t *xxh3; /* XXH3 and XXH128; wants 64-byte alignment, so never embedded */
	} u;
};

/* Each set once, from NULL, by whichever thread comes first; never freed. */
static _Atomic(EVP_MD *) fetched[ID_COUNT];

static pthread_once_t libcrypto_once = PTHREAD_ONCE_INIT;
static bool libcrypto_good; /* written in libcrypto_start only, and so before any reader */

static void libcrypto_start(void)
{
	/* Where there was no memory for its context a fetch crashes (3.0). */
	libcrypto_good = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 &&
	                 OSSL_LIB_CTX_get0_global_default() != NULL;
}

/* OpenSSL keeps its errors in a queue per thread: takes the reason of the last and empties the queue, so that it is not
 * found by somebody else later. */
static const char *openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return reason != NULL ? reason : "no reason given";
}

static enum bm_status fetch(const struct bm_digest_algorithm *a, const EVP_MD **out, struct bm_error *err)
{
	EVP_MD *md = atomic_load_explicit(&fetched[a->id], memory_order_acquire);
	EVP_MD *none = NULL;
	int code;

	if (md != NULL) {
		*out = md;
		return BM_OK;
	}
	code = pthread_once(&libcrypto_once, libcrypto_start);
	if (code != 0)
		return bm_error_set_errno(err, code, NULL, "pthread_once for OpenSSL");
	if (!libcrypto_good)
		return bm_error_set_nomem(err);
	md = EVP_MD_fetch(NULL, details[a->id].openssl_name, NULL);
	if (md == NULL)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "OpenSSL does not offer the digest %s here (%s): where FIPS mode is enforced, "
		                    "choose an "
		                    "algorithm that it approves, such as sha256",
		                    a->name, openssl_reason());
	if (EVP_MD_get_size(md) != (int)a->size_bytes) {
		EVP_MD_free(md);
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "OpenSSL's %s does not give the expected %zu bytes: its provider is not usable",
		                    a->name, a->size_bytes);
	}
	if (!atomic_compare_exchange_strong_explicit(&fetched[a->id], &none, md, memory_order_acq_rel,
	                                             memory_order_acquire)) {
		EVP_MD_free(md);
		md = none;
	}
	*out = md;
	return BM_OK;
}

const struct bm_digest_algorithm *bm_digest_algorithms(size_t *count)
{
	if (count != NULL)
		*count = ID_COUNT;
	return algorithms;
}

const struct bm_digest_algorithm *bm_digest_find(const char *name)
{
	if (name == NULL)
		return NULL;
	for (size_t i = 0; i < ID_COUNT; i++) /* nearly always the descriptor's own string: no bytes are compared */
		if (name == algorithms[i].name)
			return &algorithms[i];
	for (size_t i = 0; i < ID_COUNT; i++) {
		if (strcasecmp(name, algorithms[i].name) == 0 || strcasecmp(name, algorithms[i].bsd_name) == 0)
			return &algorithms[i];
		for (size_t k = 0; k < ALIASES_MAX && details[i].aliases[k] != NULL; k++)
			if (strcasecmp(name, details[i].aliases[k]) == 0)
				return &algorithms[i];
	}
	for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
		if (rare[i].name != NULL && strcasecmp(name, rare[i].name) == 0)
			return &rare[i];
	return NULL;
}

int bm_digest_index(const struct bm_digest_algorithm *a)
{
	return a != NULL && a->id < ID_COUNT && a == &algorithms[a->id] ? a->id : -1;
}

const struct bm_digest_algorithm *bm_digest_blake2b(size_t size_bytes)
{
	for (size_t i = ID_BLAKE2B; i <= ID_BLAKE2B_384; i++)
		if (algorithms[i].size_bytes == size_bytes)
			return &algorithms[i];
	return size_bytes > 0 && size_bytes < sizeof(rare) / sizeof(rare[0]) ? &rare[size_bytes] : NULL;
}

static enum bm_status openssl_failed(const struct bm_digest *d, const char *what, struct bm_error *err)
{
	return bm_error_set(err, BM_ERR_FAILED, NULL, "%s: OpenSSL could not %s the digest: %s", d->algorithm->name,
	                    what, openssl_reason());
}

enum bm_status bm_digest_create(const struct bm_digest_algorithm *a, struct bm_digest **out, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	const EVP_MD *md = NULL;
	struct bm_digest *d = NULL;

	*out = NULL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->algorithm = a;
	switch (a->id) {
	case ID_CRC32:
		break;
	case ID_BLAKE2B_128:
	case ID_BLAKE2B_160:
	case ID_BLAKE2B_256:
	case ID_BLAKE2B_384:
	case ID_BLAKE2B_RARE:
		d->u.blake2b = malloc(sizeof(*d->u.blake2b));
		if (d->u.blake2b == NULL)
			status = bm_error_set_nomem(err);
		break;
	case ID_XXH32:
		d->u.xxh32 = XXH32_createState();
		if (d->u.xxh32 == NULL)
			status = bm_error_set_nomem(err);
		break;
	case ID_XXH64:
		d->u.xxh64 = XXH64_createState();
		if (d->u.xxh64 == NULL)
			status = bm_error_set_nomem(err);
		break;
	case ID_XXH3:
	case ID_XXH128:
		d->u.xxh3 = XXH3_createState();
		if (d->u.xxh3 == NULL)
			status = bm_error_set_nomem(err);
		break;
	default:
		status = fetch(a, &md, err);
		if (status != BM_OK)
			goto out;
		d->u.evp = EVP_MD_CTX_new();
		if (d->u.evp == NULL) {
			ERR_clear_error();
			status = bm_error_set_nomem(err);
			goto out;
		}
		/* The one time that the algorithm is named. */
		if (EVP_DigestInit_ex2(d->u.evp, md, NULL) != 1)
			status = openssl_failed(d, "start", err);
		d->started = true;
		goto out;
	}
	if (status == BM_OK)
		status = bm_digest_reset(d, err);
out:
	if (status == BM_OK)
		*out = d;
	else
		bm_digest_destroy(d);
	return status;
}

void bm_digest_destroy(struct bm_digest *d)
{
	if (d == NULL)
		return;
	switch (d->algorithm->id) {
	case ID_CRC32:
		break;
	case ID_BLAKE2B_128:
	case ID_BLAKE2B_160:
	case ID_BLAKE2B_256:
	case ID_BLAKE2B_384:
	case ID_BLAKE2B_RARE:
		free(d->u.blake2b);
		break;
	case ID_XXH32:
		(void)XXH32_freeState(d->u.xxh32);
		break;
	case ID_XXH64:
		(void)XXH64_freeState(d->u.xxh64);
		break;
	case ID_XXH3:
	case ID_XXH128:
		(void)XXH3_freeState(d->u.xxh3);
		break;
	default:
		EVP_MD_CTX_free(d->u.evp);
		break;
	}
	free(d);
}

enum bm_status bm_digest_reset(struct bm_digest *d, struct bm_error *err)
{
	bool ok = true;

	switch (d->algorithm->id) {
	case ID_CRC32:
		d->u.crc = 0;
		break;
	case ID_BLAKE2B_128:
	case ID_BLAKE2B_160:
	case ID_BLAKE2B_256:
	case ID_BLAKE2B_384:
	case ID_BLAKE2B_RARE:
		blake2b_start(d->u.blake2b, d->algorithm->size_bytes);
		break;
	case ID_XXH32:
		ok = XXH32_reset(d->u.xxh32, 0) == XXH_OK;
		break;
	case ID_XXH64:
		ok = XXH64_reset(d->u.xxh64, 0) == XXH_OK;
		break;
	case ID_XXH3:
		ok = XXH3_64bits_reset(d->u.xxh3) == XXH_OK;
		break;
	case ID_XXH128:
		ok = XXH3_128bits_reset(d->u.xxh3) == XXH_OK;
		break;
	default:
		if (EVP_DigestInit_ex2(d->u.evp, NULL, NULL) != 1)
			return openssl_failed(d, "restart", err);
		break;
	}
	if (!ok)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "%s: libxxhash could not restart", d->algorithm->name);
	d->started = true;
	return BM_OK;
}

static enum bm_status not_started(const struct bm_digest *d, struct bm_error *err)
{
	return bm_error_set(err, BM_ERR_USAGE, NULL, "%s: the digest is finished and was not reset",
	                    d->algorithm->name);
}

enum bm_status bm_digest_update(struct bm_digest *d, const void *data, size_t len, struct bm_error *err)
{
	bool ok = true;

	if (!d->started)
		return not_started(d, err);
	if (len == 0) /* data may be NULL, which libxxhash takes for an error and zlib for a restart */
		return BM_OK;
	switch (d->algorithm->id) {
	case ID_CRC32:
		d->u.crc = bm_crc32(d->u.crc, data, len);
		break;
	case ID_BLAKE2B_128:
	case ID_BLAKE2B_160:
	case ID_BLAKE2B_256:
	case ID_BLAKE2B_384:
	case ID_BLAKE2B_RARE:
		blake2b_update(d->u.blake2b, data, len);
		break;
	case ID_XXH32:
		ok = XXH32_update(d->u.xxh32, data, len) == XXH_OK;
		break;
	case ID_XXH64:
		ok = XXH64_update(d->u.xxh64, data, len) == XXH_OK;
		break;
	case ID_XXH3:
		ok = XXH3_64bits_update(d->u.xxh3, data, len) == XXH_OK;
		break;
	case ID_XXH128:
		ok = XXH3_128bits_update(d->u.xxh3, data, len) == XXH_OK;
		break;
	default:
		if (EVP_DigestUpdate(d->u.evp, data, len) != 1)
			return openssl_failed(d, "update", err);
		break;
	}
	if (!ok)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "%s: libxxhash could not go on", d->algorithm->name);
	return BM_OK;
}

enum bm_status bm_digest_finish(struct bm_digest *d, uint8_t out[static BM_DIGEST_MAX_BYTES], struct bm_error *err)
{
	XXH32_canonical_t canonical32;
	XXH64_canonical_t canonical64;
	XXH128_canonical_t canonical128;

	if (!d->started)
		return not_started(d, err);
	d->started = false;
	switch (d->algorithm->id) {
	case ID_CRC32:
		for (unsigned i = 0; i < 4; i++)
			out[i] = (uint8_t)(d->u.crc >> (24 - 8 * i));
		break;
	case ID_BLAKE2B_128:
	case ID_BLAKE2B_160:
	case ID_BLAKE2B_256:
	case ID_BLAKE2B_384:
	case ID_BLAKE2B_RARE:
		blake2b_finish(d->u.blake2b, out);
		break;
	case ID_XXH32:
		XXH32_canonicalFromHash(&canonical32, XXH32_digest(d->u.xxh32));
		memcpy(out, canonical32.digest, sizeof(canonical32.digest));
		break;
	case ID_XXH64:
		XXH64_canonicalFromHash(&canonical64, XXH64_digest(d->u.xxh64));
		memcpy(out, canonical64.digest, sizeof(canonical64.digest));
		break;
	case ID_XXH3:
		XXH64_canonicalFromHash(&canonical64, XXH3_64bits_digest(d->u.xxh3));
		memcpy(out, canonical64.digest, sizeof(canonical64.digest));
		break;
	case ID_XXH128:
		XXH128_canonicalFromHash(&canonical128, XXH3_128bits_digest(d->u.xxh3));
		memcpy(out, canonical128.digest, sizeof(canonical128.digest));
		break;
	default:
		if (EVP_DigestFinal_ex(d->u.evp, out, NULL) != 1)
			return openssl_failed(d, "finish", err);
		break;
	}
	return BM_OK;
}

uint32_t bm_crc32(uint32_t crc, const void *data, size_t len)
{
	if (len == 0)
		return crc;
#ifdef BM_HAVE_ISAL
	crc = crc32_gzip_refl(crc, data, len);
	isal_leave();
	return crc;
#elif defined(BM_HAVE_LIBDEFLATE)
	return libdeflate_crc32(crc, data, len);
#else
	return (uint32_t)crc32_z(crc, data, len);
#endif
}

uint32_t bm_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
	/* zlib takes a signed length, and loops for ever on a negative one. Combining is "shift a by len_b bytes, then
	 * add b", so a length beyond its range is shifted by in parts, by adding nothing (0). */
	while (len_b > INT64_MAX) {
		crc_a = (uint32_t)crc32_combine((uLong)crc_a, 0, INT64_MAX);
		len_b -= INT64_MAX;
	}
	return (uint32_t)crc32_combine((uLong)crc_a, (uLong)crc_b, (z_off_t)len_b);
}
