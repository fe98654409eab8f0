/*
 * gzip_decoder.h - private to src/codec: the reading state, which gzip_member.c (whole members) and gzip_decode.c
 * (streams, and the making of it) share.
 */
#ifndef BM_CODEC_GZIP_DECODER_H
#define BM_CODEC_GZIP_DECODER_H

#include "gzip_engine.h"
#include "gzip_header.h"

enum gzip_stream_state {
	GZIP_STREAM_HEADER,  /* before or in a header */
	GZIP_STREAM_BODY,    /* in deflate data */
	GZIP_STREAM_TRAILER, /* in CRC32 and ISIZE */
	GZIP_STREAM_BETWEEN, /* after a member, and perhaps zeros */
	GZIP_STREAM_GARBAGE, /* at what is not gzip any more */
	GZIP_STREAM_FAILED   /* an error was reported, or a whole member was read */
};

struct bm_gzip_decoder {
	/* Set at creation. One engine may have both roles, and zlib's inflater is always there, to say what is wrong with
	 * a whole member that another engine did not accept. */
	const struct gzip_engine *whole;
	const struct gzip_engine *stream;
	void *inflater[BM_GZIP_ENGINES]; /* by engine; NULL where it has no role */

	/* The stream. */
	struct gzip_header_parser header;
	enum gzip_stream_state state;
	uint64_t offset;       /* input bytes taken since bm_gzip_stream_reset */
	uint64_t member_start; /* offset of the member at hand */
	uint64_t member_made;  /* bytes inflated from it */
	uint64_t member_count; /* members that ended well */
	uint32_t crc;          /* of what was inflated from the member at hand */
	uint8_t trailer[BM_GZIP_TRAILER_BYTES];
	unsigned trailer_have;
};

#define GZIP_WHERE_BYTES 32
/* "offset N" in buf, which is returned. */
const char *gzip_where(char buf[static GZIP_WHERE_BYTES], uint64_t offset);

#endif
