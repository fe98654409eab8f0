/*
 * fuzz_gzip.c - any bytes as a gzip file. However it is cut into pieces, and by whichever engine, a stream decodes to the
 * same bytes and the same verdict; zlib, asked member by member, finds no other bytes; members that tell their size,
 * decoded on their own as the parallel reader does, give what the stream gives; and so does reading at any offset. The
 * same bytes, packed in the layouts that there are, come back.
 */
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "bm_error.h"
#include "bm_gzip.h"
#include "bm_seekable.h"
#include "fuzz.h"

#define PLAIN_MAX ((size_t)1 << 18) /* what decodes to more is left alone */

struct plain {
	uint8_t *data;
	size_t len;
	enum bm_status status; /* BM_ERR_LIMIT: too much */
	bool garbage;
};

static struct bm_gzip_decoder *decoder(enum bm_gzip_engine engine)
{
	static struct bm_gzip_decoder *decoders[BM_GZIP_ENGINES];
	struct bm_error err = BM_ERROR_INIT;

	if (decoders[engine] == NULL)
		FUZZ_CHECK(bm_gzip_decoder_create_with(engine, &decoders[engine], &err) == BM_OK);
	return decoders[engine];
}

static struct plain decode(enum bm_gzip_engine engine, const uint8_t *data, size_t len, size_t in_piece,
                           size_t out_piece)
{
	struct plain p = {.data = malloc(PLAIN_MAX), .status = BM_OK};
	struct bm_gzip_decoder *d = decoder(engine);
	struct bm_gzip_stream_result res = {0};
	unsigned idle = 0;
	size_t at = 0;

	FUZZ_CHECK(p.data != NULL);
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
			FUZZ_CHECK(err.text[0] != '\0' && strncmp(err.where, "offset ", 7) == 0);
			break;
		}
		idle = res.in_used == 0 && res.out_made == 0 ? idle + 1 : 0;
		FUZZ_CHECK(idle < 4);
	}
	return p;
}

/* What zlib makes of it: all good members, one after the other. */
static bool decode_by_zlib(const uint8_t *data, size_t len, struct plain *p)
{
	bool good = false;
	size_t at = 0;

	*p = (struct plain){.data = malloc(PLAIN_MAX)};
	FUZZ_CHECK(p->data != NULL);
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

/* Members on their own, as far as they tell their size. */
static void try_members(const uint8_t *data, size_t len, const struct plain *whole)
{
	uint8_t *out = malloc(PLAIN_MAX);
	size_t at = 0, made = 0, in_good = 0, out_len = 0;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_gzip_header h;

	FUZZ_CHECK(out != NULL);
	while (at < len && bm_gzip_peek_header(data + at, len - at, &h) == BM_GZIP_PEEK_OK && h.member_bytes > 0 &&
	       h.member_bytes <= len - at) {
		err = (struct bm_error)BM_ERROR_INIT;
		FUZZ_CHECK(h.header_bytes <= len - at);
		if (bm_gzip_decode_member(decoder(BM_GZIP_AUTO), data + at, h.member_bytes, out, PLAIN_MAX, &out_len,
		                          &err) != BM_OK)
			break;
		FUZZ_CHECK(whole->status == BM_ERR_LIMIT ||
		           (out_len <= whole->len - made && memcmp(out, whole->data + made, out_len) == 0));
		if (whole->status == BM_ERR_LIMIT)
			break;
		at += h.member_bytes;
		made += out_len;
	}
	err = (struct bm_error)BM_ERROR_INIT;
	if (bm_gzip_decode_member(decoder(BM_GZIP_AUTO), data, len, out, PLAIN_MAX, &out_len, &err) == BM_OK)
		FUZZ_CHECK(whole->status == BM_OK && whole->len == out_len && memcmp(whole->data, out, out_len) == 0);
	err = (struct bm_error)BM_ERROR_INIT;
	if (bm_gzip_decode_row(decoder(BM_GZIP_AUTO), data, len, out, PLAIN_MAX, &in_good, &out_len, &err) == BM_OK)
		FUZZ_CHECK(whole->status == BM_OK && whole->len == out_len && memcmp(whole->data, out, out_len) == 0);
	FUZZ_CHECK(in_good <= len);
	free(out);
}

struct file {
	const uint8_t *data;
};

static enum bm_status read_at(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	const struct file *f = ctx;

	(void)err;
	if (len > 0)
		memcpy(buf, f->data + offset, len);
	return BM_OK;
}

static void try_seeking(const uint8_t *data, size_t len, const struct plain *whole)
{
	struct file f = {data};
	struct bm_seekable_source src = {.pread = read_at, .ctx = &f, .size = len};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_seekable *s = NULL;
	uint8_t *out = malloc(PLAIN_MAX);
	size_t got = 0;

	FUZZ_CHECK(out != NULL);
	if (bm_seekable_open(&src, NULL, &s, &err) == BM_OK && bm_seekable_layout(s) != BM_SEEKABLE_PLAIN) {
		enum bm_status status = bm_seekable_read(s, out, whole->len, 0, &got, &err);

		FUZZ_CHECK(got <= whole->len && memcmp(out, whole->data, got) == 0);
		FUZZ_CHECK(status != BM_OK || whole->status != BM_OK || got == whole->len);
	}
	bm_seekable_destroy(s);
	free(out);
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
		FUZZ_CHECK(back.status == BM_OK && back.len == len && (len == 0 || memcmp(back.data, data, len) == 0));
		free(back.data);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct plain whole, other;
	bool good;

	if (data == NULL || len > PLAIN_MAX / 4)
		return 0;
	whole = decode(BM_GZIP_AUTO, data, len, SIZE_MAX, SIZE_MAX);
	other = decode(BM_GZIP_AUTO, data, len, 1 + len % 17, 1 + len % 4099);
	/* What was inflated before damage is met may differ: no CRC vouches for it. */
	FUZZ_CHECK(whole.status == other.status && whole.garbage == other.garbage);
	FUZZ_CHECK(whole.status == BM_ERR_FORMAT || whole.status == BM_ERR_TRUNCATED ||
	           (whole.len == other.len && memcmp(whole.data, other.data, whole.len) == 0));
	free(other.data);
	other = decode(BM_GZIP_ZLIB, data, len, SIZE_MAX, SIZE_MAX);
	FUZZ_CHECK((whole.status == BM_OK) == (other.status == BM_OK) &&
	           (whole.status != BM_OK || whole.garbage == other.garbage));
	FUZZ_CHECK(whole.status != BM_OK || (whole.len == other.len && memcmp(whole.data, other.data, whole.len) == 0));
	free(other.data);
	good = decode_by_zlib(data, len, &other);
	FUZZ_CHECK(!good || whole.status == BM_OK || whole.status == BM_ERR_LIMIT);
	FUZZ_CHECK(whole.status != BM_OK || whole.garbage || good);
	FUZZ_CHECK(!good || whole.status != BM_OK ||
	           (whole.len == other.len && memcmp(whole.data, other.data, whole.len) == 0));
	free(other.data);
	try_members(data, len, &whole);
	try_seeking(data, len, &whole);
	free(whole.data);
	round_trip(data, len);
	return 0;
}
