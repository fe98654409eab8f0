/*
 * bm_digest.h - message digests and checksums behind one interface.
 *
 * md5 sha1 sha224 sha256 sha384 sha512 sha512-224 sha512-256 sha3-224 sha3-256 sha3-384 sha3-512 blake2b blake2s sm3:
 * OpenSSL EVP, each EVP_MD fetched once a process. blake2b-128 -160 -256 -384, as b2sum -l makes them, and those of all
 * other lengths, which are found by name but not listed: blake2b.h. crc32 (ISO-HDLC, as gzip, zip, SFV; 8 hex digits big
 * endian): zlib. xxh32 xxh64 xxh3 xxh128: libxxhash (canonical big-endian form, as xxhsum prints; xxh3 is the 64-bit
 * one). Two messages at once, where the CPU can: bm_digest_lanes.h.
 *
 * An algorithm is a static descriptor, for any thread; a state is one computation: one thread at a time per state.
 * Nothing here blocks. In a process the first state of an OpenSSL algorithm costs about 0.5 ms, the first of each
 * further algorithm 20 us, and all others 1 us.
 *
 * Process-wide effect: the first use starts libcrypto without reading openssl.cnf (0.4 ms, and a site's configuration
 * could only take algorithms away). Code that wants openssl.cnf for TLS loads it itself (OPENSSL_init_ssl will not).
 */
#ifndef BM_DIGEST_H
#define BM_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

#define BM_DIGEST_MAX_BYTES 64

struct bm_digest_algorithm {
	const char *name; /* "sha256": in options, reports, {algorithm} */
	/* In BSD lines, as cksum -a, b2sum, xxhsum, shasum and rhash print them with --tag or --bsd, and check them:
	 * "SHA256", "SHA512/256" (it holds a '/'), "SHA3-256", "BLAKE2b", "BLAKE2s", "SM3", "CRC32", "XXH32", "XXH64", "XXH3",
	 * "XXH128". */
	const char *bsd_name;
	size_t size_bytes; /* of the digest */
	bool combinable;   /* chunks may be done in parallel and combined: crc32 */
	int id;            /* private */
};

/* All that are listed, in the order of algorithm_values in src/step/hash.c; count may be NULL. After the last one stands an entry whose name is
 * NULL. Static. */
const struct bm_digest_algorithm *bm_digest_algorithms(size_t *count);
/* By name or bsd_name, case-insensitive, or by one of the other spellings in use ("sha-256", "sha2-256", "blake2b-512",
 * "sha512-256", "sha512t256", "crc-32"). NULL when unknown; name may be NULL. A digest of another length is another
 * algorithm: "BLAKE2b-256" is not the beginning of a BLAKE2b. */
const struct bm_digest_algorithm *bm_digest_find(const char *name);
/* Its place in the list; -1: it is not listed (or NULL). */
int bm_digest_index(const struct bm_digest_algorithm *a);
/* BLAKE2b with a digest of so many bytes; NULL: there is none. */
const struct bm_digest_algorithm *bm_digest_blake2b(size_t size_bytes);

struct bm_digest;
/* A new state, ready for update; the caller destroys it. BM_ERR_UNSUPPORTED: this OpenSSL does not offer the algorithm
 * (md5 where FIPS is enforced). */
enum bm_status bm_digest_create(const struct bm_digest_algorithm *a, struct bm_digest **out, struct bm_error *err)
	BM_NODISCARD;
void bm_digest_destroy(struct bm_digest *d); /* NULL is fine */
/* Starts anew, at any time; states are meant to be reused: this allocates nothing. */
enum bm_status bm_digest_reset(struct bm_digest *d, struct bm_error *err) BM_NODISCARD;
/* data may be NULL when len is 0. BM_ERR_USAGE after finish without a reset. */
enum bm_status bm_digest_update(struct bm_digest *d, const void *data, size_t len, struct bm_error *err) BM_NODISCARD;
/* Writes size_bytes bytes, in the order in which they are printed. The state then wants a reset. */
enum bm_status bm_digest_finish(struct bm_digest *d, uint8_t out[static BM_DIGEST_MAX_BYTES], struct bm_error *err)
	BM_NODISCARD;
/* For crc32 only: the checksum of one chunk (any thread; crc is 0 at the start, else that of the bytes before), and a
 * then b put together where b is len_b bytes long. */
uint32_t bm_crc32(uint32_t crc, const void *data, size_t len);
uint32_t bm_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

#endif
