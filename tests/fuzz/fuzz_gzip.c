/*
 * fuzz_gzip.c - any bytes as a gzip file. What must hold:
 *   - However a stream is cut into pieces, the same engine gives the same bytes and the same verdict.
 *   - A member that is said to have ended well has the CRC-32 and the length that stand in the last 8 bytes taken.
 *   - What zlib's inflate takes, every engine takes, as a stream, as members on their own (as the parallel reader decodes
 *     them) and by offset, and all find the same bytes.
 *   - What zlib refuses, another engine takes only where it is the description of the codes that is damaged and not what
 *     is coded with them: see is_lenient, and bm_gzip.h for why. The bytes are those that zlib saw as far as it went, and
 *     their CRC-32 holds.
 *   - The bytes themselves, packed in the layouts that there are, come back.
 */
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "bm_gzip.h"
#include "fuzz_plain.h"

static struct bm_gzip_decoder *decoder(enum bm_gzip_engine engine)
{
	static struct bm_gzip_decoder *decoders[BM_GZIP_ENGINES];
	struct bm_error err = BM_ERROR_INIT;

	if (decoders[engine] == NULL)
		FUZZ_CHECK(bm_gzip_decoder_create_with(engine, &decoders[engine], &err) == BM_OK);
	return decoders[engine];
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The member whose bytes begin at `from` and whose trailer ends at `end` of the input. */
static void check_member_end(const struct plain *p, size_t from, const uint8_t *data, size_t end)
{
	FUZZ_CHECK(end >= 18 && p->len >= from);
	FUZZ_CHECK(get_u32(data + end - 8) ==
	           (uint32_t)crc32(crc32(0, NULL, 0), p->data + from, (uInt)(p->len - from)));
	FUZZ_CHECK(get_u32(data + end - 4) == (uint32_t)(p->len - from));
}

static struct plain decode(enum bm_gzip_engine engine, const uint8_t *data, size_t len, size_t in_piece,
                           size_t out_piece)
{
	struct plain p = plain_new();
	struct bm_gzip_decoder *d = decoder(engine);
	struct bm_gzip_stream_result res = {0};
	size_t at = 0, member = 0;
	unsigned idle = 0;

	bm_gzip_stream_reset(d);
	while (!res.complete) {
		struct bm_error err = BM_ERROR_INIT;
		size_t in = len - at < in_piece ? len - at : in_piece;
		size_t out = PLAIN_MAX - p.len < out_piece ? PLAIN_MAX - p.len : out_piece;

		if (out == 0) {
			p.status = BM_ERR_LIMIT;
			break;
		}
		p.status = bm_gzip_stream_decode(d, data + at, in, at + in == len, p.data + p.len, out, &res, &err);
		FUZZ_CHECK(res.in_used <= in && res.out_made <= out);
		at += res.in_used;
		p.len += res.out_made;
		p.garbage = p.garbage || res.garbage;
		if (p.status != BM_OK) {
			FUZZ_CHECK(p.status == BM_ERR_FORMAT || p.status == BM_ERR_TRUNCATED);
			plain_failed(&p, &err);
			break;
		}
		if (res.member_end) {
			check_member_end(&p, member, data, at);
			member = p.len;
		}
		idle = res.in_used == 0 && res.out_made == 0 ? idle + 1 : 0;
		FUZZ_CHECK(idle < 4);
	}
	return p;
}

/* zlib refuses it and says this. Would the others? ISA-L does not ask whether a set of code lengths leaves codes over
 * that stand for nothing, as long as none of those comes; libdeflate takes the distance codes 30 and 31. */
static bool is_lenient(const struct plain *by_zlib)
{
	static const char *const reasons[] = {"invalid literal/lengths set", "invalid distances set",
	                                      "invalid code lengths set", "invalid distance code"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (by_zlib->status == BM_ERR_FORMAT && strstr(by_zlib->error.text, reasons[i]) != NULL)
			return true;
	return false;
}

/* What zlib makes of it: all good members, one after the other. */
static bool decode_by_zlib(const uint8_t *data, size_t len, struct plain *p)
{
	bool good = false;
	size_t at = 0;

	*p = plain_new();
	while (at < len) {
		z_stream z = {.next_in = (Bytef *)(uintptr_t)(data + at), .avail_in = (uInt)(len - at)};
		int rc;

		if (good && data[at] == 0) { /* padding */
			at++;
			continue;
		}
		z.next_out = p->data + p->len;
		z.avail_out = (uInt)(PLAIN_MAX - p->len);
		FUZZ_CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
		rc = inflate(&z, Z_FINISH);
		at += (size_t)z.total_in;
		p->len += (size_t)z.total_out;
		inflateEnd(&z);
		if (rc != Z_STREAM_END)
			return false;
		good = true;
	}
	return good;
}

/* Members on their own, as far as they tell their size; the whole as one, and as a row. */
static void try_members(const uint8_t *data, size_t len, const struct plain *whole, bool lenient)
{
	struct bm_gzip_decoder *d = decoder(BM_GZIP_AUTO);
	struct plain part = plain_new();
	size_t at = 0, made = 0, in_good = 0;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_gzip_header h;

	while (at < len && bm_gzip_peek_header(data + at, len - at, &h) == BM_GZIP_PEEK_OK && h.member_bytes > 0 &&
	       h.member_bytes <= len - at) {
		err = (struct bm_error)BM_ERROR_INIT;
		FUZZ_CHECK(h.header_bytes <= len - at);
		if (bm_gzip_decode_member(d, data + at, h.member_bytes, part.data, PLAIN_MAX, &part.len, &err) != BM_OK)
			break;
		at += h.member_bytes;
		check_member_end(&part, 0, data, at);
		if (whole->status == BM_ERR_LIMIT)
			break;
		FUZZ_CHECK(plain_has(whole, made, part.data, part.len) || (lenient && whole->status != BM_OK));
		made += part.len;
	}
	err = (struct bm_error)BM_ERROR_INIT;
	if (bm_gzip_decode_member(d, data, len, part.data, PLAIN_MAX, &part.len, &err) == BM_OK) {
		check_member_end(&part, 0, data, len);
		FUZZ_CHECK(whole->status == BM_OK ? plain_same(whole, &part) : lenient);
	}
	err = (struct bm_error)BM_ERROR_INIT;
	if (bm_gzip_decode_row(d, data, len, part.data, PLAIN_MAX, &in_good, &part.len, &err) == BM_OK)
		FUZZ_CHECK(whole->status == BM_OK ? plain_same(whole, &part) : lenient);
	FUZZ_CHECK(in_good <= len);
	free(part.data);
}

static void round_trip(const uint8_t *data, size_t len)
{
	static struct bm_gzip_encoder *encoders[BM_GZIP_LAYOUTS];
	size_t cap = bm_gzip_bgzf_bound(len) > bm_gzip_bound(len) ? bm_gzip_bgzf_bound(len) : bm_gzip_bound(len),
	       packed = 0;
	uint8_t *out = malloc(cap);

	FUZZ_CHECK(out != NULL);
	for (int layout = BM_GZIP_INDEXED; layout < BM_GZIP_LAYOUTS; layout++) {
		struct bm_error err = BM_ERROR_INIT;
		struct plain back;

		if (layout == BM_GZIP_SINGLE)
			continue;
		if (encoders[layout] == NULL)
			FUZZ_CHECK(bm_gzip_encoder_create((enum bm_gzip_layout)layout, 1, BM_GZIP_AUTO,
			                                  &encoders[layout], &err) == BM_OK);
		if (layout == BM_GZIP_INDEXED)
			FUZZ_CHECK(bm_gzip_member(encoders[layout], data, len, out, cap, &packed, &err) == BM_OK);
		else
			FUZZ_CHECK(bm_gzip_bgzf_blocks(encoders[layout], data, len, true, out, cap, &packed, NULL,
			                               &err) == BM_OK);
		back = decode(BM_GZIP_AUTO, out, packed, SIZE_MAX, SIZE_MAX);
		FUZZ_CHECK(back.status == BM_OK && back.len == len && plain_has(&back, 0, data, len));
		free(back.data);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct plain whole, other;
	bool good, lenient;

	if (data == NULL || len > PLAIN_MAX / 4)
		return 0;
	whole = decode(BM_GZIP_AUTO, data, len, SIZE_MAX, SIZE_MAX);
	other = decode(BM_GZIP_AUTO, data, len, 1 + len % 17, 1 + len % 4099);
	/* What was inflated before damage is met may differ: no CRC vouches for it. */
	FUZZ_CHECK(whole.status == other.status && whole.garbage == other.garbage);
	FUZZ_CHECK(whole.status == BM_ERR_FORMAT || whole.status == BM_ERR_TRUNCATED || plain_same(&whole, &other));
	free(other.data);
	other = decode(BM_GZIP_ZLIB, data, len, SIZE_MAX, SIZE_MAX);
	lenient = is_lenient(&other);
	if (other.status == BM_OK)
		FUZZ_CHECK(whole.status == BM_OK && whole.garbage == other.garbage && plain_same(&whole, &other));
	else if (whole.status == BM_OK)
		FUZZ_CHECK(lenient && plain_agree(&whole, &other));
	free(other.data);
	good = decode_by_zlib(data, len, &other);
	if (good && whole.status == BM_OK)
		FUZZ_CHECK(plain_same(&whole, &other));
	else if (good)
		FUZZ_CHECK(whole.status == BM_ERR_LIMIT);
	else
		FUZZ_CHECK(whole.status != BM_OK || whole.garbage || lenient);
	free(other.data);
	try_members(data, len, &whole, lenient);
	plain_try_seeking(data, len, &whole);
	free(whole.data);
	round_trip(data, len);
	return 0;
}
