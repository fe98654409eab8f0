/*
 * fuzz_zstd.c - any bytes as a .zst file. However it is cut into pieces a stream decodes to the same bytes and the same
 * verdict; libzstd's own loop finds no other bytes, and refuses nothing that passes here; frames that were cut out by
 * their block headers, decoded on their own as the parallel reader does, give what the stream gives; and so does reading
 * by seek table.
 */
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#include "bm_zstd.h"
#include "fuzz_plain.h"

#define WINDOW_LOG 23

static struct bm_zstd_decoder *decoder(void)
{
	static struct bm_zstd_decoder *d;
	struct bm_error err = BM_ERROR_INIT;

	if (d == NULL)
		FUZZ_CHECK(bm_zstd_decoder_create((uint64_t)1 << WINDOW_LOG, &d, &err) == BM_OK);
	return d;
}

static struct plain decode(const uint8_t *data, size_t len, size_t in_piece, size_t out_piece)
{
	struct plain p = plain_new();
	struct bm_zstd_stream_result res = {0};
	size_t at = 0, have = 0;
	unsigned idle = 0;

	bm_zstd_stream_reset(decoder());
	while (!res.complete) {
		struct bm_error err = BM_ERROR_INIT;
		size_t out = PLAIN_MAX - p.len < out_piece ? PLAIN_MAX - p.len : out_piece;

		/* What was not used comes again, with more. */
		have = len - at - have < in_piece ? len - at : have + in_piece;
		if (out == 0) {
			p.status = BM_ERR_LIMIT;
			break;
		}
		p.status = bm_zstd_stream_decode(decoder(), data + at, have, at + have == len, p.data + p.len, out,
		                                 &res, &err);
		FUZZ_CHECK(res.in_used <= have && res.out_made <= out);
		at += res.in_used;
		have -= res.in_used;
		p.len += res.out_made;
		if (p.status != BM_OK) {
			plain_failed(&p, &err);
			break;
		}
		idle = res.in_used == 0 && res.out_made == 0 && at + have == len ? idle + 1 : 0;
		FUZZ_CHECK(idle < 4);
	}
	return p;
}

/* What libzstd makes of it. false: damage, or too much. */
static bool decode_by_zstd(const uint8_t *data, size_t len, struct plain *p)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {data, len, 0};
	ZSTD_outBuffer out;
	size_t rc = 1;

	*p = plain_new();
	FUZZ_CHECK(d != NULL);
	out = (ZSTD_outBuffer){p->data, PLAIN_MAX, 0};
	ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG);
	while (in.pos < in.size) {
		size_t before = in.pos, made = out.pos;

		rc = ZSTD_decompressStream(d, &out, &in);
		if (ZSTD_isError(rc) || (in.pos == before && out.pos == made))
			break;
	}
	p->len = out.pos;
	ZSTD_freeDCtx(d);
	return rc == 0 && in.pos == in.size;
}

/* Refused although libzstd passes it: what libzstd, too, refuses when it has the frame whole; and the formats of before
 * 0.8, which RFC 8878 does not have. */
static bool is_stricter(const struct plain *whole)
{
	static const char *const reasons[] = {"a compressed block is empty", "the frame says that it holds",
	                                      "it was written by zstd 0.7 or older"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (whole->status == BM_ERR_FORMAT && strstr(whole->error.text, reasons[i]) != NULL)
			return true;
	return false;
}

static void try_frames(const uint8_t *data, size_t len, const struct plain *whole)
{
	uint8_t *out = malloc(PLAIN_MAX);
	size_t at = 0, made = 0;

	FUZZ_CHECK(out != NULL);
	while (at < len && whole->status != BM_ERR_LIMIT) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_zstd_scan scan, cut;
		enum bm_zstd_scan_result found, again = BM_ZSTD_SCAN_MORE;
		size_t used = 0, out_len = 0, frame = 0;

		bm_zstd_scan_start(&scan);
		found = bm_zstd_scan_feed(&scan, data + at, len - at, &used);
		FUZZ_CHECK(used <= len - at);
		/* In pieces it comes to the same. */
		bm_zstd_scan_start(&cut);
		while (again == BM_ZSTD_SCAN_MORE && frame < len - at) {
			size_t piece = len - at - frame < 3 ? len - at - frame : 3, n = 0;

			again = bm_zstd_scan_feed(&cut, data + at + frame, piece, &n);
			frame += n;
		}
		FUZZ_CHECK(again == found && (found != BM_ZSTD_SCAN_END || (frame == used && cut.frame_bytes == used)));
		if (found != BM_ZSTD_SCAN_END)
			break;
		if (bm_zstd_decode_frame(decoder(), data + at, used, out, PLAIN_MAX, &out_len, &err) != BM_OK) {
			FUZZ_CHECK(whole->status != BM_OK || err.status == BM_ERR_LIMIT);
			break;
		}
		/* A whole frame in memory is not held to its window by libzstd; a stream is. */
		FUZZ_CHECK(whole->status != BM_OK || out_len <= scan.content_max_bytes);
		if (whole->status == BM_OK)
			FUZZ_CHECK(plain_has(whole, made, out, out_len));
		at += used;
		made += out_len;
	}
	if (whole->status == BM_OK && at == len)
		FUZZ_CHECK(made == whole->len);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct plain whole, other;
	bool good;

	if (data == NULL || len > PLAIN_MAX / 4)
		return 0;
	whole = decode(data, len, SIZE_MAX / 2, SIZE_MAX);
	other = decode(data, len, 1 + len % 17, 1 + len % 4099);
	FUZZ_CHECK(whole.status == other.status);
	FUZZ_CHECK(whole.status != BM_OK || plain_same(&whole, &other));
	free(other.data);
	good = decode_by_zstd(data, len, &other);
	FUZZ_CHECK(whole.status != BM_OK || good);
	FUZZ_CHECK(!good || whole.status != BM_OK || plain_same(&whole, &other));
	FUZZ_CHECK(!good || whole.status == BM_OK || whole.status == BM_ERR_LIMIT ||
	           whole.status == BM_ERR_UNSUPPORTED || is_stricter(&whole));
	free(other.data);
	try_frames(data, len, &whole);
	plain_try_seeking(data, len, &whole);
	free(whole.data);
	return 0;
}
