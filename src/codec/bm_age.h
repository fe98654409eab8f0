/*
 * bm_age.h - age v1 (c2sp.org/age) in pieces that may be made and read in parallel: keys, the header, the payload's
 * 64 KiB chunks, ASCII armor (read only), and a serial decoder made of these. Recipient types X25519 and scrypt
 * (passphrase); all others are passed over, as the format demands.
 *
 * A file is header | nonce (16 bytes) | payload, the payload chunk after chunk of up to 64 KiB + 16 bytes of tag. Each
 * chunk is sealed with its number and with whether it is the last, so chunks can be sealed and opened in any order, and
 * none can be moved, dropped or added without being found out.
 *
 * Key lists are filled by one thread; from then on, while nobody adds to them, any number of threads may use them. The
 * other objects are one thread's at a time. Nothing here blocks but bm_age_read_secret_file (a FIFO, a terminal), but a
 * passphrase costs what its work factor says (18: about a second and 256 MiB). Nothing keeps a pointer into the
 * caller's buffers. Every secret is wiped before its memory is given back; no message ever shows one.
 *
 * Statuses, where nothing else is said: BM_ERR_NOMEM; BM_ERR_FAILED when OpenSSL fails; BM_ERR_USAGE for a call against
 * what is said here. What comes from a file is never trusted.
 */
#ifndef BM_AGE_H
#define BM_AGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "bm_mem.h"

#define BM_AGE_CHUNK_BYTES ((size_t)65536) /* plain bytes of a chunk; only the last one may be shorter */
#define BM_AGE_TAG_BYTES ((size_t)16)
#define BM_AGE_SEALED_CHUNK_BYTES (BM_AGE_CHUNK_BYTES + BM_AGE_TAG_BYTES)
#define BM_AGE_NONCE_BYTES ((size_t)16)           /* between header and payload */
#define BM_AGE_HEADER_MAX_BYTES ((size_t)1 << 20) /* a longer header is neither read nor made */
#define BM_AGE_WORK_DEFAULT 18u                   /* log2 of scrypt's N, as age 1.1.1 has them both */
#define BM_AGE_WORK_MAX 22u                       /* more is not read: 4 GiB and many seconds */
#define BM_AGE_SECRET_FILE_MAX_BYTES ((size_t)1 << 20)

/* ---- secrets from files ---- */

struct bm_age_secret {
	char *data; /* owned; NUL-terminated; never NULL after BM_OK */
	size_t len;
};
void bm_age_secret_fini(struct bm_age_secret *s); /* wipes and frees; s is zeroed. Zeroed is fine */

/* Reads an identity or passphrase file whole. A regular file (or what else has no better rule) that its group or others
 * may read or write is refused with BM_ERR_USAGE; a FIFO, a socket, a terminal, and whatever the caller opened himself
 * (/dev/fd/N, /proc/self/fd/N, /dev/stdin) is not. BM_ERR_SYSTEM; BM_ERR_USAGE also for a directory; BM_ERR_LIMIT over
 * BM_AGE_SECRET_FILE_MAX_BYTES. err->where is the path. Symbolic links are followed. May block. */
enum bm_status bm_age_read_secret_file(const char *path, struct bm_age_secret *out, struct bm_error *err) BM_NODISCARD;

/* The passphrase in what a passphrase file holds: its one line, without the line break (LF or CR LF), otherwise as it
 * is, blanks included. *pass points into text. BM_ERR_USAGE for no text, more lines, or a NUL byte. name is the file's,
 * for err->where; may be NULL. */
enum bm_status bm_age_passphrase_from_text(const char *text, size_t len, const char *name, const char **pass,
                                           size_t *pass_len, struct bm_error *err) BM_NODISCARD;

/* ---- recipients: whom to encrypt for ---- */

struct bm_age_recipients;
enum bm_status bm_age_recipients_create(struct bm_age_recipients **out, struct bm_error *err) BM_NODISCARD;
void bm_age_recipients_destroy(struct bm_age_recipients *r); /* NULL is fine */
size_t bm_age_recipients_count(const struct bm_age_recipients *r);
/* One "age1..." BM_ERR_USAGE for what is none (also for a point of low order, that no secret could be made with);
 * BM_ERR_UNSUPPORTED for SSH, plugin, hybrid and tagged recipients; BM_ERR_LIMIT when they no longer fit into a header.
 * err->where is not set. */
enum bm_status bm_age_recipients_add(struct bm_age_recipients *r, const char *text, size_t len, struct bm_error *err)
	BM_NODISCARD;
/* A recipients file's text: one a line; blank lines and lines that begin with '#' are passed over, blanks around a line
 * and CR LF are allowed. The same errors, with err->where "name:LINE" ("line LINE" where name is NULL), and
 * BM_ERR_USAGE where there is no recipient at all. Those before the bad line stay added. */
enum bm_status bm_age_recipients_add_text(struct bm_age_recipients *r, const char *text, size_t len, const char *name,
                                          struct bm_error *err) BM_NODISCARD;

/* ---- identities: what to decrypt with ---- */

struct bm_age_identities;
enum bm_status bm_age_identities_create(struct bm_age_identities **out, struct bm_error *err) BM_NODISCARD;
void bm_age_identities_destroy(struct bm_age_identities *ids);       /* NULL is fine */
size_t bm_age_identities_count(const struct bm_age_identities *ids); /* keys and passphrases */
size_t bm_age_identities_keys(const struct bm_age_identities *ids);  /* keys alone */
/* One "AGE-SECRET-KEY-1..." and an identity file's text, as for recipients. BM_ERR_UNSUPPORTED for SSH, plugin and
 * hybrid identities and for an identity file that is itself encrypted. */
enum bm_status bm_age_identities_add(struct bm_age_identities *ids, const char *text, size_t len, struct bm_error *err)
	BM_NODISCARD;
enum bm_status bm_age_identities_add_text(struct bm_age_identities *ids, const char *text, size_t len, const char *name,
                                          struct bm_error *err) BM_NODISCARD;
/* len 1 ... 1 MiB. Tried, in the order of adding, on files made with a passphrase, and on no others. */
enum bm_status bm_age_identities_add_passphrase(struct bm_age_identities *ids, const char *pass, size_t len,
                                                struct bm_error *err) BM_NODISCARD;
/* Refuse files whose passphrase costs more than 2^log2_n (1 ... BM_AGE_WORK_MAX, which is the start value): a cap on
 * the memory that somebody else's file can make us take. */
enum bm_status bm_age_identities_cap_work(struct bm_age_identities *ids, unsigned log2_n, struct bm_error *err)
	BM_NODISCARD;
/* The recipient ("age1...") of key i < bm_age_identities_keys, NUL-terminated. */
#define BM_AGE_RECIPIENT_TEXT_BYTES 64
enum bm_status bm_age_identities_recipient(const struct bm_age_identities *ids, size_t i,
                                           char out[static BM_AGE_RECIPIENT_TEXT_BYTES], struct bm_error *err)
	BM_NODISCARD;
uint64_t bm_age_work_bytes(unsigned log2_n); /* the memory that one such passphrase takes for a while; log2_n <= 22 */

/* ---- key pairs ---- */

struct bm_age_keypair {
	char identity[80];  /* "AGE-SECRET-KEY-1...", 74 characters */
	char recipient[64]; /* "age1...", 62 characters */
};
enum bm_status bm_age_keygen(struct bm_age_keypair *out, struct bm_error *err) BM_NODISCARD;
void bm_age_keypair_wipe(struct bm_age_keypair *pair);
#define BM_AGE_KEYPAIR_TEXT_BYTES 256
/* What age-keygen prints: "# created: " (local time), "# public key: ", the secret line. NUL-terminated; returns the
 * length. The caller wipes out. */
size_t bm_age_keypair_text(const struct bm_age_keypair *pair, time_t now, char out[static BM_AGE_KEYPAIR_TEXT_BYTES]);

/* ---- the header ---- */

struct bm_age_key { /* seals and opens one file's payload; to be wiped by whoever holds it */
	uint8_t bytes[32];
};
void bm_age_key_wipe(struct bm_age_key *key);

/* Appends a new file's header and payload nonce to out, and makes its payload key: random each time. r is not empty. */
enum bm_status bm_age_header_make(const struct bm_age_recipients *r, struct bm_buf *out, struct bm_age_key *key,
                                  struct bm_error *err) BM_NODISCARD;
/* The same for a passphrase, log2_n 1 ... BM_AGE_WORK_MAX. */
enum bm_status bm_age_header_make_passphrase(const char *pass, size_t len, unsigned log2_n, struct bm_buf *out,
                                             struct bm_age_key *key, struct bm_error *err) BM_NODISCARD;

/* How long header and nonce get, at the most, for so many recipients; 0: for a passphrase. */
size_t bm_age_header_bound(size_t recipients);

/* What kind of failure a file met: the words of the format's test vectors. */
enum bm_age_fault {
	BM_AGE_FAULT_NONE,     /* none, or none of the file's (no memory) */
	BM_AGE_FAULT_ARMOR,    /* the armor is not as it must be */
	BM_AGE_FAULT_HEADER,   /* the header is not */
	BM_AGE_FAULT_MAC,      /* the header was altered by somebody who does not know the file key */
	BM_AGE_FAULT_NO_MATCH, /* no identity given is a recipient of this file */
	BM_AGE_FAULT_PAYLOAD   /* a chunk is damaged, missing, or one too many */
};

struct bm_age_header; /* of a file that is being read */
enum bm_status bm_age_header_create(struct bm_age_header **out, struct bm_error *err) BM_NODISCARD;
void bm_age_header_destroy(struct bm_age_header *h); /* NULL is fine */
void bm_age_header_reset(struct bm_age_header *h);   /* for the next file */
/* Takes bytes up to the end of the payload nonce, however they are cut; *used tells how many. end: no more will come.
 * Everything is checked that can be without a key. BM_ERR_FORMAT; BM_ERR_TRUNCATED; BM_ERR_UNSUPPORTED for another
 * version of the format; BM_ERR_LIMIT. err->where is "offset N" from the first byte. After an error only reset. */
enum bm_status bm_age_header_feed(struct bm_age_header *h, const void *data, size_t len, bool end, size_t *used,
                                  struct bm_error *err) BM_NODISCARD;
bool bm_age_header_complete(const struct bm_age_header *h);
size_t bm_age_header_bytes(const struct bm_age_header *h); /* taken so far; the payload's offset once complete */
/* Finds the payload key, and checks the header's MAC with it; the header must be complete. BM_ERR_FAILED: no identity
 * fits (the text says of what types the recipients are); BM_ERR_FORMAT: MAC or recipient lines are wrong; BM_ERR_LIMIT:
 * work factor over the cap. *fault (may be NULL) tells them apart. *key is zeroed unless BM_OK. */
enum bm_status bm_age_header_unwrap(const struct bm_age_header *h, const struct bm_age_identities *ids,
                                    struct bm_age_key *key, enum bm_age_fault *fault, struct bm_error *err)
	BM_NODISCARD;

/* ---- the payload ---- */

/* How plain_bytes become payload bytes: every chunk a tag, no data one empty chunk. UINT64_MAX where that is none. */
uint64_t bm_age_sealed_bytes(uint64_t plain_bytes);
/* The way back: false where no payload has this size (which is damage: TRUNCATED). */
bool bm_age_plain_bytes(uint64_t sealed_bytes, uint64_t *plain_bytes);

/* One direction of the cipher for one thread; a few KB. A new key may be set any time. */
struct bm_age_cipher;
enum bm_status bm_age_cipher_create(struct bm_age_cipher **out, struct bm_error *err) BM_NODISCARD;
void bm_age_cipher_destroy(struct bm_age_cipher *c); /* NULL is fine */
enum bm_age_direction { BM_AGE_SEAL, BM_AGE_OPEN };
enum bm_status bm_age_cipher_set_key(struct bm_age_cipher *c, const struct bm_age_key *key,
                                     enum bm_age_direction direction, struct bm_error *err) BM_NODISCARD;

/* Wipes the key from c, which must be given one before it is used again. Cheap against a few chunks. */
void bm_age_cipher_forget(struct bm_age_cipher *c);

/* Seals the chunks from number index on: in is a run of whole chunks, and only with `last`, which ends the payload, may
 * it have a shorter one at the end. An empty run is one empty chunk, and only right as the whole payload (index 0 and
 * last). out_cap >= bm_age_sealed_bytes(in_len). in and out do not overlap. No number is ever sealed twice with one
 * key: that is the caller's duty, and the secrecy of all hangs on it. */
enum bm_status bm_age_seal(struct bm_age_cipher *c, uint64_t index, bool last, const void *in, size_t in_len, void *out,
                           size_t out_cap, size_t *out_len, struct bm_error *err) BM_NODISCARD;
/* Opens the sealed chunks from number index on: whole ones; only where the payload ends with this run (`last`) may the
 * last one be shorter. out_cap >= in_len less a tag for every whole chunk (in_len is always enough). in and out do not
 * overlap.
 * BM_ERR_FORMAT: damage, an empty chunk at the end, data after the last chunk. BM_ERR_TRUNCATED: the payload ends
 * without its last chunk. err->where is "offset N" from the start of the payload. *out_len is set on errors too: that
 * many bytes in out are authentic, in their place, and may be let out; what is behind them was wiped. */
enum bm_status bm_age_open(struct bm_age_cipher *c, uint64_t index, bool last, const void *in, size_t in_len, void *out,
                           size_t out_cap, size_t *out_len, struct bm_error *err) BM_NODISCARD;

/* ---- what it is, and armor ---- */

enum bm_age_kind {
	BM_AGE_KIND_SHORT /* more bytes are needed to tell */,
	BM_AGE_KIND_NOT,
	BM_AGE_KIND_BINARY,
	BM_AGE_KIND_ARMOR
};
/* Looks at the first len bytes of a file (1100 are always enough): armor may have up to 1024 bytes of blanks before it. */
enum bm_age_kind bm_age_detect(const void *data, size_t len);

struct bm_age_armor; /* about 200 bytes */
enum bm_status bm_age_armor_create(struct bm_age_armor **out, struct bm_error *err) BM_NODISCARD;
void bm_age_armor_destroy(struct bm_age_armor *a); /* NULL is fine */
void bm_age_armor_reset(struct bm_age_armor *a);
struct bm_age_result {
	size_t in_used;
	size_t out_made;
	bool complete; /* the end was given, all input used, all output made, everything good */
};
/* Takes the armor off: strict (RFC 7468 figure 3 with LF or CR LF; canonical base64 with padding; lines of 64 columns
 * but for the last), up to 1024 bytes of white space before and after. in_end: no more input will come; keep calling
 * until complete. BM_ERR_FORMAT, BM_ERR_TRUNCATED, with err->where "line N". *res is also set with an error: the
 * out_made bytes stood before it. Then only reset. */
enum bm_status bm_age_armor_decode(struct bm_age_armor *a, const void *in, size_t in_len, bool in_end, void *out,
                                   size_t out_cap, struct bm_age_result *res, struct bm_error *err) BM_NODISCARD;

/* ---- the whole, one chunk after the other ---- */

struct bm_age_decoder; /* about 170 KB */
enum bm_age_armored { BM_AGE_ARMORED_AUTO /* as the first byte says */, BM_AGE_ARMORED_NO, BM_AGE_ARMORED_YES };
/* ids is borrowed until destroy. */
enum bm_status bm_age_decoder_create(const struct bm_age_identities *ids, struct bm_age_decoder **out,
                                     struct bm_error *err) BM_NODISCARD;
void bm_age_decoder_destroy(struct bm_age_decoder *d); /* NULL is fine; wipes the plain bytes that it holds too */
void bm_age_decoder_reset(struct bm_age_decoder *d, enum bm_age_armored armored);
/* Decrypts until in is used up, out is full, or the end. All plain bytes of all authentic chunks are given out before
 * an error is; so what has been given out is always authentic, and the whole only with complete. in_end: no more input
 * will come; keep calling until complete or an error. Statuses: those of the parts. err->where is "offset N", or
 * "line N" where the armor is at fault; offsets of armored files are those of what is inside. A call that returns
 * BM_OK and used no input and made no output wants more of one of them, or set complete. */
enum bm_status bm_age_decode(struct bm_age_decoder *d, const void *in, size_t in_len, bool in_end, void *out,
                             size_t out_cap, struct bm_age_result *res, struct bm_error *err) BM_NODISCARD;
enum bm_age_fault bm_age_decoder_fault(const struct bm_age_decoder *d); /* of the error that decode returned */

#endif
