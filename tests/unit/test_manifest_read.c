/* Lines of manifests: every kind's, good and bad, how kinds are told apart, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "manifest_testing.h"

#define TEXT(s) s, sizeof(s) - 1
#define GNU BM_MANIFEST_KIND_GNU
#define BSD BM_MANIFEST_KIND_BSD
#define HASHDEEP BM_MANIFEST_KIND_HASHDEEP
#define BAGIT BM_MANIFEST_KIND_BAGIT
#define JSON BM_MANIFEST_KIND_JSON
#define SFV BM_MANIFEST_KIND_SFV
#define RCLONE BM_MANIFEST_KIND_RCLONE
#define XXHSUM BM_MANIFEST_KIND_XXHSUM

struct read_case {
	const char *name; /* of the file */
	enum bm_manifest_kind kind;
	const char *algorithm;
	const char *text;
	size_t len;
	const char *want; /* of a fault ("!3: ...") or refusal ("?...") the beginning is enough, and "..." ends it */
};

/* ---- */

static const struct read_case good[] = {
	/* GNU */
	{"x", 0, NULL, TEXT(HEX64 "  a\n"), "gnu\na|-|-|sha256:0123?\n"},
	{"x", 0, NULL, TEXT(HEX64 " *a b\n" HEX64 "   lead\n" HEX64 " **\n"),
         "gnu\na b|-|-|sha256:0123?\n lead|-|-|sha256:0123?\n*|-|-|sha256:0123?\n"},
	{"x", 0, NULL, TEXT("\\" HEX32 "  a\\nb\\\\c\\rd\n"), "gnu\na\\nb\\\\c\\rd|-|-|md5:0123?\n"},
	{"x", 0, NULL, TEXT(HEX32 "  a\\nb\n"), "gnu\na\\\\nb|-|-|md5:0123?\n"},
	{"x", 0, NULL, TEXT("# comment\n\n \t\n\t " HEX40 "  a\n#x\n"), "gnu\na|-|-|sha1:0123?\n"},
	{"x", 0, NULL, TEXT(HEX56 "  a\n" HEX96 "  b\n" HEX128 "  c\n" HEX8 "  d\n" HEX16 "  e\n"),
         "gnu\na|-|-|sha224:0123?\nb|-|-|sha384:0123?\nc|-|-|sha512:0123?\nd|-|-|crc32:0123?\ne|-|-|xxh64:0123?\n"},
	{"x", 0, NULL, TEXT("0123ABCDabcdABCDabcdABCDabcdABCD  a\n"), "gnu\na|-|-|md5:0123?\n"},
	{"x", 0, NULL, TEXT(HEX64 " a\n" HEX64 "  b\n"), "gnu\na|-|-|sha256:0123?\n b|-|-|sha256:0123?\n"},
	{"x", 0, NULL, TEXT(HEX8 "\ta b\n"), "gnu\na b|-|-|crc32:0123?\n"},
	{"x", 0, NULL, TEXT(HEX64 "  cr\r\n" HEX64 "  lf\n"), "gnu\ncr|-|-|sha256:0123?\nlf|-|-|sha256:0123?\n"},
	{"x", 0, NULL, TEXT("\xef\xbb\xbf" HEX64 "  bom\n"), "gnu\nbom|-|-|sha256:0123?\n"},
	{"x", 0, NULL, TEXT(HEX64 "  a\n" HEX64 "  last"), "gnu\na|-|-|sha256:0123?\nlast|-|-|sha256:0123?|cut\n"},
	{"x", 0, NULL, TEXT(HEX64 "  -\n"), "gnu\n-|-|-|sha256:0123?\n"},
	{"x", 0, NULL,
         TEXT(HEX64 "  /etc/x\n" HEX64 "  a/../b\n" HEX64 "  ..\n" HEX64 "  a..b/..c/d..\n" HEX64 "  /../\n"),
         "gnu\n/etc/x|-|-|sha256:0123?|absolute\na/../b|-|-|sha256:0123?|dotdot\n..|-|-|sha256:0123?|dotdot\n"
         "a..b/..c/d..|-|-|sha256:0123?\n/../|-|-|sha256:0123?|absolute|dotdot\n"},
	{"x", 0, NULL, TEXT("12345678  1 x\n"), "gnu\n1 x|-|-|crc32:1234?\n"}, /* not of cksum */
	{"x", BM_MANIFEST_KIND_GNU, "blake2b", TEXT("66  1 x\n66 *1 x\n"),     /* nor these, of b2sum -l 8 */
         "gnu\n1 x|-|-|blake2b-8:6600\n1 x|-|-|blake2b-8:6600\n"},
	/* NUL-ended */
	{"x", 0, NULL, TEXT(HEX64 "  a\0" HEX64 "  b\\n\n\r\0"),
         "gnu nul\na|-|-|sha256:0123?\nb\\\\n\\n\\r|-|-|sha256:0123?\n"},
	{"x", 0, NULL, TEXT(HEX64 "  \na\0" HEX64 "  b"), "gnu nul\n\\na|-|-|sha256:0123?\nb|-|-|sha256:0123?|cut\n"},
	{"x", 0, NULL, TEXT("MD5 (a\n) = " HEX32 "\0"), "bsd nul\na\\n|-|-|md5:0123\n"},
	{"x", GNU, NULL, TEXT(HEX64 "  a\0"), "gnu nul\na|-|-|sha256:0123?\n"},
	{"x", GNU, NULL, TEXT(HEX64 "  a\n"), "gnu\na|-|-|sha256:0123?\n"},
	/* BSD and its kin */
	{"x", 0, NULL, TEXT("SHA256 (a) = " HEX64 "\n"), "bsd\na|-|-|sha256:0123\n"},
	{"x", 0, NULL, TEXT("SHA256 (a) = b) = " HEX64 "\nMD5 () = x) = " HEX32 "\nMD5 (() = " HEX32 "\n"),
         "bsd\na) = b|-|-|sha256:0123\n) = x|-|-|md5:0123\n(|-|-|md5:0123\n"},
	{"x", 0, NULL, TEXT("\\SHA512/256 (a\\\\\\n) = " HEX64 "\n"), "bsd\na\\\\\\n|-|-|sha512-256:0123\n"},
	{"x", 0, NULL, TEXT("SHA2-256(a b)= " HEX64 "\nBLAKE2S-256(c)= " HEX64 "\nRIPEMD-160(d)= " HEX40 "\n"),
         "bsd\na b|-|-|sha256:0123\nc|-|-|blake2s:0123\nd|-|-|ripemd160:0123\n"},
	{"x", 0, NULL,
         TEXT("BLAKE2b-128 (a) = " HEX32 "\nBLAKE2b (b) = " HEX128 "\nBLAKE2b-8 (c) = 01\n"
              "SM3 (d) = " HEX64 "\nSHA3-256 (e) = " HEX64 "\nTIGER (f) = " HEX32 HEX16 "\n"),
         "bsd\na|-|-|blake2b-128:0123\nb|-|-|blake2b:0123\nc|-|-|blake2b-8:0100\nd|-|-|sm3:0123\n"
         "e|-|-|sha3-256:0123\nf|-|-|tiger:0123\n"},
	{"x", 0, NULL, TEXT("MD5 (a) = " HEX32 "\nSHA1 (a) = " HEX40 "\n" HEX64 "  b\r\nMD5 (c) = " HEX32 "\r\n"),
         "bsd\na|-|-|md5:0123\na|-|-|sha1:0123\nb|-|-|sha256:0123?\nc|-|-|md5:0123\n"},
	{"x", 0, NULL, TEXT("XXH64 (a) = 0123456789abcdef\nXXH64_LE (b) = efcdab8967452301\n"),
         "bsd\na|-|-|xxh64:0123\nb|-|-|xxh64:0123\n"},
	{"x", 0, NULL, TEXT("XXH3_0123456789abcdef  a\n0123456789abcdef  b\n" HEX32 "  c\n" HEX8 "  d\n"),
         "xxhsum\na|-|-|xxh3:0123\nb|-|-|xxh64:0123\nc|-|-|xxh128:0123\nd|-|-|xxh32:0123\n"},
	{"x", 0, NULL, TEXT("\\XXH3_0123456789abcdef  a\\n\n"), "xxhsum\na\\n|-|-|xxh3:0123\n"},
	{"x", XXHSUM, NULL, TEXT("0123456789abcdef  a\n0123456789abcdef  b\r\n"),
         "xxhsum\na|-|-|xxh64:0123\nb\\r|-|-|xxh64:0123\n"},
	{"x", XXHSUM, NULL, TEXT("0123456789abcdef  a\r\n0123456789abcdef  b\r\n"),
         "xxhsum\na|-|-|xxh64:0123\nb|-|-|xxh64:0123\n"},
	/* What a digest is of */
	{"dir.md5/SHA256SUMS", 0, NULL, TEXT(HEX64 "  a\n" HEX40 "  b\n"),
         "gnu\na|-|-|sha256:0123\nb|-|-|sha1:0123?\n"},
	{"x.sha3-256", 0, NULL, TEXT(HEX64 "  a\n"), "gnu\na|-|-|sha3-256:0123\n"},
	{"sha3sum.txt", 0, NULL, TEXT(HEX128 "  a\n"), "gnu\na|-|-|sha3-512:0123\n"},
	{"x.b2", 0, NULL, TEXT(HEX128 "  a\n" HEX64 "  b\n" HEX16 HEX8 "  c\n"),
         "gnu\na|-|-|blake2b:0123\nb|-|-|blake2b-256:0123\nc|-|-|blake2b-96:0123\n"},
	{"B2SUMS", 0, NULL, TEXT("ab  a\n\\01  b\\n\nBLAKE2b-8 (c) = 01\n"),
         "gnu\na|-|-|blake2b-8:ab00\nb\\n|-|-|blake2b-8:0100\nc|-|-|blake2b-8:0100\n"},
	{"B3SUMS", 0, NULL, TEXT(HEX64 "  a\n"), "gnu\na|-|-|blake3:0123\n"},
	{"my-sha512-256.txt", 0, NULL, TEXT(HEX64 "  a\n"), "gnu\na|-|-|sha512-256:0123\n"},
	{"x", 0, "blake2b", TEXT(HEX32 "  a\n"), "gnu\na|-|-|blake2b-128:0123\n"},
	{"SHA256SUMS", 0, "sha3-256", TEXT(HEX64 "  a\nMD5 (b) = " HEX32 "\n"),
         "gnu\na|-|-|sha3-256:0123\nb|-|-|md5:0123\n"},
	{"x", 0, "xxh3", TEXT(HEX16 "  a\n"), "gnu\na|-|-|xxh3:0123\n"},
	/* hashdeep */
	{"x", 0, NULL,
         TEXT("%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /\n## \n"
              "12," HEX32 "," HEX64 ",a,b,\"c\n0," HEX32 "," HEX64 ", d \n"),
         "hashdeep\na,b,\"c|12|-|md5:0123 sha256:0123\n d |0|-|md5:0123 sha256:0123\n"},
	{"x", 0, NULL,
         TEXT("%%%% HASHDEEP-1.0\r\n%%%% size,tiger,whirlpool,filename\r\n1," HEX32 HEX16 "," HEX128 ",a\r\n"),
         "hashdeep\na|1|-|tiger:0123 whirlpool:0123\n"},
	{"x", 0, NULL, TEXT("%%%% HASHDEEP-1.0\n%%%% sha1,filename\n" HEX40 ",cr\r\n%%%% size,filename\n3,b\n"),
         "hashdeep\ncr\\r|-|-|sha1:0123\nb|3|-|\n"},
	{"x", 0, NULL, TEXT("%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n18446744073709551615," HEX32 ",big\n"),
         "hashdeep\nbig|18446744073709551615|-|md5:0123\n"},
	/* BagIt */
	{"bag/manifest-sha256.txt", 0, NULL,
         TEXT(HEX64 "  data/a\n" HEX64 " data/100%25%0A%0d%0D\n" HEX64 "\t \tdata/b c \n"),
         "bagit\ndata/a|-|-|sha256:0123\ndata/100%\\n\\r\\r|-|-|sha256:0123\ndata/b c |-|-|sha256:0123\n"},
	{"tagmanifest-sha3256.txt", 0, NULL, TEXT(HEX64 " *bagit.txt\n"), "bagit\nbagit.txt|-|-|sha3-256:0123\n"},
	{"manifest-md5.txt", 0, NULL, TEXT(HEX32 "  data/50%\n" HEX32 "  data/%41%2\n" HEX32 "  data/a\\b\r\n"),
         "bagit\ndata/50%|-|-|md5:0123\ndata/%41%2|-|-|md5:0123\ndata/a\\\\b|-|-|md5:0123\n"},
	{"manifest-sha512.txt", 0, NULL, TEXT(""), "bagit\n"},
	{"x", BAGIT, NULL, TEXT(HEX64 " a\n"), "bagit\na|-|-|sha256:0123?\n"},
	/* JSON Lines */
	{"x", 0, NULL, TEXT("{\"path\":\"a\",\"size\":1,\"sha256\":\"" HEX64 "\"}\n"), "json\na|1|-|sha256:0123\n"},
	{"x", 0, NULL, TEXT(" { \"sha256\" : \"" HEX64 "\" , \"path\" : \"a\\nb\\u00e9\\\"\" }\r\n"),
         "json\na\\nb\xc3\xa9\"|-|-|sha256:0123\n"},
	{"x", 0, NULL,
         TEXT("{\"path\":\"a\xef\xbf\xbd\",\"path_base64\":\"Yf8=\",\"md5\":\"" HEX32 "\"}\n"
              "{\"path_base64\":\"Yf//\",\"path\":\"x\",\"md5\":\"" HEX32 "\"}\n"),
         "json\na\\xff|-|-|md5:0123\na\\xff\\xff|-|-|md5:0123\n"},
	{"x", 0, NULL,
         TEXT("{\"path\":\"a\",\"mtime\":\"1700000000123456789\",\"md5\":\"" HEX32 "\",\"sha1\":\"" HEX40 "\"}\n"
              "{\"path\":\"b\",\"mtime\":-1,\"crc32\":\"" HEX8 "\"}\n"
              "{\"path\":\"c\",\"mtime\":\"-9223372036854775808\",\"blake2b-64\":\"" HEX16 "\"}"),
         "json\na|-|1700000000123456789|md5:0123 sha1:0123\nb|-|-1|crc32:0123\n"
         "c|-|-9223372036854775808|blake2b-64:0123|cut\n"},
	{"x", 0, NULL,
         TEXT("{\"path\":\"a\",\"later\":{\"x\":[1,{}]},\"size\":5,\"blocks\":{\"size\":2,\"algorithm\":\"md5\","
              "\"new\":null,\"digests\":[\"" HEX32 "\",\"ffff" HEX16 HEX8 "0000\" , \"\\u0033" HEX16
              "456789abcdef123\"]}}\n"),
         "json\na|5|-||2 md5 0123 ffff 3012\n"},
	{"x", 0, NULL,
         TEXT("{\"blocks\":{\"digests\":[],\"size\":1,\"algorithm\":\"sha256\"},\"path\":\"a\",\"md5\":\"" HEX32
              "\"}\n"),
         "json\na|-|-|md5:0123|1 sha256\n"},
	/* SFV */
	{"x", 0, NULL, TEXT("; comment\n\na b 0123ABCD\n;x\nc\t0123abcd\n"),
         "sfv\na b|-|-|crc32:0123\nc|-|-|crc32:0123\n"},
	{"x", 0, NULL, TEXT("a 0123ABCD\r\nb  0123abcd\r\n#c 0123abcd\r\n"),
         "sfv\na|-|-|crc32:0123\nb |-|-|crc32:0123\n#c|-|-|crc32:0123\n"},
	{"x.SFV", 0, NULL, TEXT("0123abcd  x 0123abcd\n"), "sfv\n0123abcd  x|-|-|crc32:0123\n"},
	{"x", 0, NULL, TEXT("0123abcd  x 0123abcd\n"), "gnu\nx 0123abcd|-|-|crc32:0123?\n"},
	{"x.sfv", 0, NULL, TEXT(""), "sfv\n"},
	{"x", 0, NULL, TEXT("; nothing\n"), "sfv\n"},
	/* rclone */
	{"x", RCLONE, NULL,
         TEXT(HEX64 "  a\\nb\n" HEX64 "  lf\xe2\x90\x8a\xe2\x90\xa1\n" HEX64 "  q\xe2\x80\x9b\xe2\x90\x8a"
                    "\xe2\x80\x9b\xe2\x80\x9bx\xe2\x80\x9by\xe2\x90\x80\xe2\x90\xa0\n"),
         "rclone\na\\\\nb|-|-|sha256:0123?\nlf\\n\\x7f|-|-|sha256:0123?\nq\xe2\x90\x8a\xe2\x80\x9bx\xe2\x80\x9by\xe2\x90\x80\xe2\x90"
         "\xa0|-|-|sha256:0123?\n"},
	/* Nothing at all */
	{"x", 0, NULL, TEXT(""), "gnu\n"},
	{"x", 0, NULL, TEXT("\n\n# nothing\n"), "gnu\n"},
	{"x", 0, NULL, TEXT("\xef\xbb\xbf"), "gnu\n"},
	{"x", 0, NULL, TEXT("%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n"), "hashdeep\n"},
	{"x", JSON, NULL, TEXT(""), "json\n"},
	/* Words around it */
	{"x", 0, NULL,
         TEXT("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" HEX64 "  a\n-----BEGIN PGP SIGNATURE-----\n"),
         "gnu\n!1: neither a digest, two blanks and a name, nor an ALGORITHM (name) = digest; found \"-----BEGIN PGP "
         "SIGNED MESSAGE-----\"\n!2: ...\na|-|-|sha256:0123?\n!5: ...\n"},
};

static const struct read_case bad[] = {
	{"x", GNU, NULL, TEXT("\n" HEX64 "\n"), "gnu\n!2: neither a digest...\n"},
	{"x", GNU, NULL, TEXT(HEX64 "  \n"), "gnu\n!1: a line without a name\n"},
	{"x", GNU, NULL, TEXT(HEX64 " \n"), "gnu\n!1: a line without a name\n"},
	{"x", GNU, NULL, TEXT("0" HEX64 "  a\n"), "gnu\n!1: a digest of 65 hexadecimal digits, ...\n"},
	{"x", GNU, NULL, TEXT(HEX32 HEX8 HEX8 "0123  a\n"), "gnu\n!1: a digest of 52 hexadecimal digits, ...\n"},
	{"x", GNU, NULL, TEXT(HEX128 "0  a\n"), "gnu\n!1: a digest of more than 128 hexadecimal digits...\n"},
	{"x", GNU, NULL, TEXT("\\" HEX64 "  a\\tb\n"),
         "gnu\n!1: a line that starts with a backslash has ...; found \"\\\\t\"\n"},
	{"x", GNU, NULL, TEXT("\\" HEX64 "  a\\\n"), "gnu\n!1: a line that starts with a backslash has ...\n"},
	{"x", GNU, NULL, TEXT(HEX64 "  a\n" HEX64 " b\n" HEX64 "  c\n"),
         "gnu\na|-|-|sha256:0123?\n!2: one blank between digest and name, ...\nc|-|-|sha256:0123?\n"},
	{"x", GNU, NULL, TEXT("\\" HEX64 " a\\tb\n" HEX64 "  c\n" HEX64 " d\n"),
         "gnu\n!1: a line that starts with a backslash has ...; found \"\\\\t\"\n"
         " c|-|-|sha256:0123?\nd|-|-|sha256:0123?\n"},
	{"x", GNU, NULL, TEXT(HEX8 " a\n"), "gnu\n!1: one blank between eight digits and a name...\n"},
	{"x", GNU, NULL, TEXT("1220704766 1 plain\n12345678 1 plain\n00097     1 plain\n"),
         "gnu\n!1: looks like a CRC as cksum...\n!2: looks like a CRC...\n!3: looks like a CRC...\n"},
	{"x", GNU, NULL, TEXT(HEX64 "  a\0b\n" HEX64 "  c\n" HEX64 "  d\n"),
         "gnu\n!1: a line with a NUL byte in it; found...\nc|-|-|sha256:0123?\nd|-|-|sha256:0123?\n"},
	{"x", GNU, NULL, TEXT(HEX64 "  c\n\0\0\n" HEX64 "  d\n"),
         "gnu\nc|-|-|sha256:0123?\n!2: a line with a NUL byte in it; found...\nd|-|-|sha256:0123?\n"},
	{"x", GNU, NULL,
         TEXT(HEX64 "  c\0\0" HEX64 "  d\0"
                    "junk\0"),
         "gnu nul\nc|-|-|sha256:0123?\n!2: an empty record\nd|-|-|sha256:0123?\n!4: neither a digest...\n"},
	{"x", GNU, "sha256", TEXT(HEX40 "  a\n" HEX64 "  b\n"),
         "gnu\n!1: a sha256 digest has 64 hexadecimal digits, this one has 40\nb|-|-|sha256:0123\n"},
	{"x", 0, "sha256", TEXT(HEX40 "  a\n"),
         "gnu\n!1: a sha256 digest has 64 hexadecimal digits, this one has 40\n"},
	{"x", 0, "xxh", TEXT(HEX40 "  a\n"), "gnu\n!1: a digest of 40 hexadecimal digits, ...\n"},
	{"x", BSD, NULL, TEXT("FOO (a) = " HEX64 "\n (a) = " HEX64 "\n"),
         "bsd\n!1: a digest of an unknown algorithm; found \"FOO\"\n!2: a digest of an unknown algorithm...\n"},
	{"x", BSD, NULL, TEXT("SHA256 (a) = " HEX40 "\nSHA256 (a) = \nSHA256 (a) = x" HEX64 "\n"),
         "bsd\n!1: a sha256 digest has 64 hexadecimal digits, this one has 40\n!2: a sha256 digest has 64 ..., this one "
         "has 0\n!3: neither...\n"},
	{"x", BSD, NULL,
         TEXT("SHA256 (a) =" HEX64 "\nSHA256 a) = " HEX64 "\nSHA256 (a = " HEX64 "\nSHA256 () = " HEX64 "\n"),
         "bsd\na|-|-|sha256:0123\n!2: neither...\n!3: neither...\n!4: a line without a name\n"},
	{"x", BSD, NULL, TEXT("BLAKE2b-512 (a) = " HEX64 "\nBLAKE2b-12 (a) = 01\nBLAKE2b-0 (a) = \n"),
         "bsd\n!1: a blake2b digest has 128 ...\n!2: a digest of an unknown algorithm...\n!3: a digest of an unknown...\n"},
	{"x", BSD, NULL, TEXT("\\MD5 (a\\x) = " HEX32 "\nMD5 (a) = " HEX128 "0\n"),
         "bsd\n!1: a line that starts with a backslash...\n!2: a md5 digest has 32 hexadecimal digits, this one has 129\n"},
	{"x", XXHSUM, NULL, TEXT(HEX40 "  a\nXXH3_" HEX8 "  a\nXXH3_" HEX16 "x  a\n"),
         "xxhsum\n!1: a digest of 40...\n!2: a xxh3 digest has 16 ..., this one has 8\n!3: neither...\n"},
	{"x", RCLONE, NULL, TEXT("\\" HEX64 "  a\n" HEX64 " b\n   UNSUPPORTED  c\nMD5 (d) = " HEX32 "\n#\n"),
         "rclone\n!1: no digest, two blanks and a name; found...\n!2: one blank...\n!3: no digest...\n!4: no digest...\n"
         "!5: no digest...\n"},
	{"x", HASHDEEP, NULL, TEXT("1," HEX32 ",a\n%%%% HASHDEEP-2.0\n%%%% size,foo,filename\n1," HEX32 ",a\n"),
         "hashdeep\n!1: no usable header (\"%%%% size,md5,sha256,filename\") before this; found...\n!2: another version...\n"
         "!3: a header with an unknown column; found \"foo\"\n!4: no usable header...\n"},
	{"x", HASHDEEP, NULL,
         TEXT("%%%% size,md5\n%%%% filename,md5\n%%%% size,size,filename\n%%%% \n%%%% size,,filename\n"),
         "hashdeep\n!1: a header whose last column...\n!2: a header whose last column...\n!3: a header with the same "
         "column...\n!4: a header with an unknown...\n!5: a header with an unknown...\n"},
	{"x", HASHDEEP, NULL,
         TEXT("%%%% size,md5,filename\n1," HEX32 "\nx," HEX32 ",a\n," HEX32 ",a\n1," HEX40 ",a\n1,,a\n1,z" HEX32
              ",a\n1," HEX32 ",\n18446744073709551616," HEX32 ",a\n-1," HEX32 ",a\n"),
         "hashdeep\n!2: fewer columns...\n!3: a size that is no number of bytes; found \"x\"\n!4: a size...\n!5: a md5 "
         "digest has 32...\n!6: a md5 digest has 32 hexadecimal digits, this one has 0\n!7: a digest that is not all "
         "hexadecimal digits...\n!8: a line without a name\n!9: a size...\n!10: a size...\n"},
	{"manifest-sha256.txt", BAGIT, NULL,
         TEXT(HEX40 "  a\n" HEX64 "\n" HEX64 "a  b\n" HEX64 "  \n\\" HEX64 "  c\n" HEX64 " *\n"),
         "bagit\n!1: a sha256 digest has 64...\n!2: no digest, blank and name...\n!3: a sha256 digest has 64 ..., this one has 65\n!4: a line without a "
         "name\n!5: no digest...\n!6: a line without a name\n"},
	{"x", SFV, NULL, TEXT("a\n01234567\n 01234567\na 0123456g\na01234567\na  \n"),
         "sfv\n!1: no name, blank and eight...\n!2: no name...\n!3: no name...\n!4: no name...\n!5: no name...\n!6: no name...\n"},
	/* JSON */
	{"x", JSON, NULL,
         TEXT("{\"path\":\"a\"}\n{\"md5\":\"" HEX32 "\"}\n{\"path\":\"\",\"md5\":\"" HEX32 "\"}\n[]\n1\nx\n"),
         "json\n!1: a JSON object without a digest...\n!2: a JSON object without \"path\"...\n!3: a line without a name\n!4: "
         "not a JSON object of a manifest: expected an object, '{' at column 1; found \"[]\"\n!5: not...\n!6: not...\n"},
	{"x", JSON, NULL,
         TEXT("{\"path\":\"a\",\"md5\":\"" HEX32 "\"\n{\"path\":\"a\",\"md5\":\"" HEX32 "\"}x\n{\"path\":\"a\\u0000\","
              "\"md5\":\"" HEX32 "\"}\n"),
         "json\n!1: not a whole JSON object: expected ',' or '}'; found the end of the line (cut short?)\n!2: not a JSON "
         "object of a manifest: expected the end after the value at column...\n!3: not a JSON ...\n"},
	{"x", JSON, NULL,
         TEXT("{\"path\":\"a\",\"path\":\"b\",\"md5\":\"" HEX32 "\"}\n{\"path\":\"a\",\"md5\":\"" HEX32
              "\",\"MD5\":\"" HEX32 "\"}\n{\"path\":\"a\",\"size\":1,\"size\":1,\"md5\":\"" HEX32 "\"}\n"),
         "json\n!1: a key stands there twice; found \"path\"\n!2: a key stands there twice; found \"MD5\"\n!3: a key stands "
         "there twice; found \"size\"\n"},
	{"x", JSON, NULL,
         TEXT("{\"path\":\"a\",\"md5\":\"" HEX40 "\"}\n{\"path\":\"a\",\"md5\":1}\n{\"path\":\"a\",\"md5\":\"" HEX16
              "x\"}\n{\"path\":\"a\",\"size\":-1,\"md5\":\"" HEX32 "\"}\n{\"path\":1,\"md5\":\"" HEX32 "\"}\n"),
         "json\n!1: a md5 digest has 32...\n!2: not a JSON object of a manifest: expected a string at column 19; found "
         "\"1}\"\n!3: a digest that is not all...\n!4: not a JSON object of a manifest: expected a whole number from...\n!5: "
         "not a JSON object of a manifest: expected a string...\n"},
	{"x", JSON, NULL,
         TEXT("{\"path_base64\":\"Yf8\",\"md5\":\"" HEX32 "\"}\n{\"path_base64\":\"YQA=\",\"md5\":\"" HEX32
              "\"}\n{\"path_base64\":\"Yf9=\",\"md5\":\"" HEX32 "\"}\n{\"path_base64\":\"====\",\"md5\":\"" HEX32
              "\"}\n{\"path_base64\":\"YQ==YQ==\",\"md5\":\"" HEX32 "\"}\n{\"path_base64\":\"\",\"md5\":\"" HEX32
              "\"}\n"),
         "json\n!1: \"path_base64\" is not...\n!2: \"path_base64\" is not...\n!3: \"path_base64\" is not...\n!4: "
         "\"path_base64\" is not...\n!5: \"path_base64\" is not...\n!6: a line without a name\n"},
	{"x", JSON, NULL,
         TEXT("{\"path\":\"a\",\"mtime\":\"\",\"md5\":\"" HEX32 "\"}\n{\"path\":\"a\",\"mtime\":\" 1\",\"md5\":\"" HEX32
              "\"}\n{\"path\":\"a\",\"mtime\":\"1x\",\"md5\":\"" HEX32
              "\"}\n{\"path\":\"a\",\"mtime\":1.5,\"md5\":\"" HEX32
              "\"}\n{\"path\":\"a\",\"mtime\":\"9223372036854775808\",\"md5\":\"" HEX32 "\"}\n"),
         "json\n!1: \"mtime\" is not...\n!2: \"mtime\" is not...\n!3: \"mtime\" is not...\n!4: not a JSON...\n!5: \"mtime\" is "
         "not...\n"},
	{"x", JSON, NULL,
         TEXT("{\"path\":\"a\",\"blocks\":{\"size\":1,\"digests\":[]}}\n{\"path\":\"a\",\"blocks\":{\"size\":0,\"algorithm\":"
              "\"md5\",\"digests\":[]}}\n{\"path\":\"a\",\"blocks\":{\"size\":1,\"algorithm\":\"md5\",\"digests\":[\"" HEX40
              "\"]}}\n{\"path\":\"a\",\"blocks\":{\"size\":1,\"algorithm\":\"md5\",\"digests\":[\"" HEX32 "\",\"" HEX40
              "\"]}}\n{\"path\":\"a\",\"blocks\":{\"size\":1,\"algorithm\":\"x\",\"digests\":[]}}\n{\"path\":\"a\",\"blocks\":"
              "{\"size\":1,\"algorithm\":\"md5\",\"digests\":[\"\"]}}\n{\"path\":\"a\",\"blocks\":[]}\n{\"path\":\"a\","
              "\"blocks\":{\"size\":1,\"size\":1}}\n{\"path\":\"a\",\"blocks\":{\"digests\":[\"" HEX32 "\",1]}}\n"),
         "json\n!1: \"blocks\" without \"algorithm\"\n!2: \"blocks\" with a \"size\" of 0\n!3: a block's md5 digest has 32 "
         "hexadecimal digits, these have 40\n!4: a block's digest of another length...\n!5: block digests of an unknown "
         "algorithm; found \"x\"\n!6: a block's digest that is not...\n!7: not a JSON...\n!8: a key stands there twice...\n!9: "
         "not a JSON...\n"},
	/* Not a manifest */
	{"x", 0, NULL, TEXT("hello\nworld 20240101\n"),
         "?this is no checksum manifest, as none of its first 2 lines is one of "
         "...; line 1: neither...; found \"hello\"\n"},
	{"x", 0, NULL, TEXT("#!/bin/sh\nexit 0\n"), "?this is no checksum manifest...line 2: ...\n"},
	{"x", 0, NULL, TEXT("\x1f\x8b\x08\0\0\0\0\0"),
         "?this is no checksum manifest but binary data, beginning with \"\\x1f\\x8b...\n"},
	{"x", 0, NULL, TEXT("\0\0\0\0"), "?this is no checksum manifest but binary data...\n"},
	{"x", 0, NULL,
         TEXT("\xff\xfe"
              "a\0b\0"),
         "?this is UTF-16 text...\n"},
	{"x", GNU, NULL, TEXT("\xfe\xff\0a"), "?this is UTF-16 text...\n"},
	{"x", 0, NULL, TEXT("{\"jobs\":[]}\n"), "?this is no checksum manifest...\n"},
	{"x", 0, NULL, TEXT("1220704766 1 plain\n"), "?this is no checksum manifest...looks like a CRC as cksum...\n"},
	{"x", 0, "foo", TEXT(HEX64 "  a\n"), "?\"foo\" is no algorithm...\n"},
};

/* want may have "...", which stands for anything up to what follows it. */
static bool is_like(const char *found, const char *want)
{
	while (*want != '\0') {
		const char *dots = strstr(want, "...");
		size_t n = dots != NULL ? (size_t)(dots - want) : strlen(want);

		if (strncmp(found, want, n) != 0)
			return false;
		found += n;
		want += n;
		if (dots == NULL)
			break;
		want += 3;
		n = strcspn(want, ".");
		if (strncmp(want + n, "...", 3) != 0)
			n = strlen(want);
		for (; strncmp(found, want, n) != 0; found++)
			if (*found == '\0')
				return false;
	}
	return *found == '\0';
}

static void check(const struct read_case *cases, size_t count)
{
	static const size_t pieces[] = {0, 1, 2, 3, 7, 64, 100};

	for (size_t i = 0; i < count; i++) {
		const struct read_case *c = &cases[i];
		struct bm_manifest_options o = {.kind = c->kind, .algorithm = c->algorithm};

		for (size_t k = 0; k < COUNT(pieces); k++) {
			struct bm_buf out = {0};

			render(&out, c->name, &o, c->text, c->len, pieces[k]);
			assert_false(out.oom);
			if (!is_like(out.data, c->want))
				fail_msg("case %zu in pieces of %zu:\n%s\n-- found --\n%s\n-- expected --\n%s", i,
				         pieces[k], c->text, out.data, c->want);
			bm_buf_fini(&out);
		}
	}
}

static void good_lines(void **state)
{
	(void)state;
	check(good, COUNT(good));
}

static void bad_lines(void **state)
{
	(void)state;
	check(bad, COUNT(bad));
}

/* Every good manifest, cut anywhere: what is before the line of the cut stays what it was. */
static void cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		const struct read_case *c = &good[i];
		struct bm_manifest_options o = {.kind = c->kind, .algorithm = c->algorithm};
		struct bm_buf whole = {0};
		char kind[16] = "";

		render(&whole, c->name, &o, c->text, c->len, 0);
		memcpy(kind, whole.data, strcspn(whole.data, " \n"));
		assert_true(bm_manifest_kind_find(kind, &o.kind));
		o.nul = strncmp(whole.data + strlen(kind), " nul", 4) == 0;
		for (size_t len = 0; len < c->len; len++) {
			char *tight = malloc(len != 0 ? len : 1), *last;
			struct bm_buf out = {0};

			assert_non_null(tight);
			memcpy(tight, c->text, len);
			render(&out, c->name, &o, tight, len, 5);
			assert_false(out.oom);
			out.data[out.len - 1] = '\0';
			last = strrchr(out.data, '\n');
			if (last != NULL)
				last[1] = '\0';
			if (last != NULL && strncmp(whole.data, out.data, strlen(out.data)) != 0)
				fail_msg("case %zu cut at %zu:\n%s\n-- whole --\n%s", i, len, out.data, whole.data);
			bm_buf_fini(&out);
			free(tight);
		}
		bm_buf_fini(&whole);
	}
}

/* A cut within a digest is a bad line, whatever the kind. */
static void a_cut_digest_is_bad(void **state)
{
	static const char *const lines[] = {
		HEX64 "  a",
		"SHA256 (a) = " HEX64,
		"{\"path\":\"a\",\"sha256\":\"" HEX64 "\"}",
		("a " HEX8),
	};
	static const enum bm_manifest_kind kinds[] = {GNU, BSD, JSON, SFV};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		for (size_t len = 1; len < strlen(lines[i]); len++) {
			struct bm_manifest_options o = {.kind = kinds[i]};
			struct bm_buf out = {0};

			render(&out, "x", &o, lines[i], len, 0);
			assert_non_null(strstr(out.data, "\n!1: "));
			bm_buf_fini(&out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(a_cut_digest_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
