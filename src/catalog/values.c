/*
 * values.c - values as bytes, for the queue and for rows that were read: a byte that says the type, then the number (8
 * bytes) or the length (4 bytes), the bytes and a NUL, so that what is handed out can be used as a string. They never
 * leave the process, so numbers are in its own form, and the reader trusts them.
 */
#include "catalog_internal.h"

void catalog_value_put(struct bm_buf *out, const struct catalog_value *v)
{
	size_t len = v->type >= TYPE_TEXT ? v->len : 0;

	/* One check of the room for all of it: this is done some 15 times a file. */
	if (!bm_buf_reserve(out, len + 16))
		return;
	char *at = out->data + out->len;
	*at++ = (char)v->type;
	if (v->type == TYPE_INT) {
		memcpy(at, &v->number, sizeof(v->number));
		at += sizeof(v->number);
	} else if (v->type != TYPE_NULL) {
		uint32_t len32 = (uint32_t)len; /* SQLite's own limit is 1e9 bytes */

		memcpy(at, &len32, sizeof(len32));
		at += sizeof(len32);
		if (len > 0)
			memcpy(at, v->bytes, len);
		at += len;
		*at++ = '\0';
	}
	out->len = (size_t)(at - out->data);
}

const char *catalog_value_get(const char *at, struct catalog_value *v)
{
	uint32_t len32;

	*v = (struct catalog_value){(enum catalog_type) * at++, 0, NULL, 0};
	if (v->type == TYPE_INT) {
		memcpy(&v->number, at, sizeof(v->number));
		at += sizeof(v->number);
	} else if (v->type != TYPE_NULL) {
		memcpy(&len32, at, sizeof(len32));
		v->len = len32;
		v->bytes = at + sizeof(len32);
		at = v->bytes + v->len + 1;
	}
	return at;
}
