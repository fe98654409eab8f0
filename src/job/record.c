/*
 * record.c - results of files as bytes.
 *
 * One record is made and read per file of a tree of millions, and may go to disk in between, so it should be small and
 * cheap: numbers are varints (LEB128: seven bits a byte, low ones first), strings are their length + 1 (0: NULL), their
 * bytes and a NUL, so that a view can point to them. Two things repeat in nearly every record: the displayed name ends in
 * the path, so then only the former is stored, and the name of an algorithm is one of a short list, so its place
 * in that is stored, and the string itself only for a name that is not there letter for letter.
 *
 *	state, verdict, bytes, flags [, mtime], job, path form [, path], display [, path's length], warnings, other,
 *	n, n × (algorithm + 1 | 0, name; step, length, digest), n, n × (path, bytes, skipped, step),
 *	n, n × (algorithm, step, block size, digest length, count, digests), has damage [, damage], has error [, error]
 *
 * The reader trusts nothing, though only the writer above it feeds it: a short read of a temporary file must end in
 * "false", not in a wild pointer. It checks every length against what is left; a count cannot be larger than the number
 * of bytes left either, which bounds what is allocated.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_record.h"

enum { HAS_MTIME = 1, UNCHANGED = 2, REMOVED = 4 };
enum path_form { PATH_OWN, PATH_IN_DISPLAY };

#define VARINT_MAX_BYTES 10
#define FIXED_BYTES 64  /* of a record without digests and outputs: a guess, for one allocation instead of several */
#define DIGEST_BYTES 12 /* around one digest; the same */
#define OUTPUT_BYTES 16

/* ---- writing ---- */

static void put_number(struct bm_buf *out, uint64_t v)
{
	char bytes[VARINT_MAX_BYTES];
	size_t len = 0;

	for (; v > 0x7f; v >>= 7)
		bytes[len++] = (char)(v | 0x80);
	bytes[len++] = (char)v;
	bm_buf_put(out, bytes, len);
}

static void put_string(struct bm_buf *out, const char *text, size_t len)
{
	if (text == NULL) {
		put_number(out, 0);
		return;
	}
	put_number(out, (uint64_t)len + 1);
	bm_buf_put(out, text, len + 1); /* its NUL too */
}

static size_t length_of(const char *text)
{
	return text != NULL ? strlen(text) : 0;
}

/* The place of an algorithm in the list, from 1; 0 when name is not exactly one of them. */
static uint64_t algorithm_number(const char *name)
{
	const struct bm_digest_algorithm *a = bm_digest_find(name);

	return a != NULL && strcmp(a->name, name) == 0 ? (uint64_t)(bm_digest_index(a) + 1) : 0;
}

static void put_algorithm(struct bm_buf *out, const char *name)
{
	uint64_t number = algorithm_number(name);

	put_number(out, number);
	if (number == 0)
		put_string(out, name, length_of(name));
}

static void put_blocks(struct bm_buf *out, const struct bm_file_blocks *b)
{
	put_algorithm(out, b->algorithm);
	put_number(out, b->step);
	put_number(out, b->size_bytes);
	put_number(out, b->digest_len);
	put_number(out, b->count);
	bm_buf_put(out, b->bytes, b->count * b->digest_len);
}

void bm_record_encode(struct bm_buf *out, const struct bm_file_result *f)
{
	size_t job_len = length_of(f->job), path_len = length_of(f->path), display_len = length_of(f->display);
	size_t warnings_len = length_of(f->warnings);
	size_t estimate = FIXED_BYTES + job_len + path_len + display_len + warnings_len;
	bool in_display = f->path != NULL && f->display != NULL && display_len >= path_len &&
	                  memcmp(f->display + (display_len - path_len), f->path, path_len) == 0;

	for (size_t i = 0; i < f->digest_count; i++)
		estimate += DIGEST_BYTES + f->digests[i].len;
	for (size_t i = 0; i < f->output_count; i++)
		estimate += OUTPUT_BYTES + length_of(f->outputs[i].path);
	bm_buf_reserve(out, estimate);

	put_number(out, (uint64_t)f->state);
	put_number(out, (uint64_t)f->verdict);
	put_number(out, f->bytes);
	put_number(out, (f->has_mtime ? HAS_MTIME : 0) | (f->unchanged ? UNCHANGED : 0) | (f->removed ? REMOVED : 0));
	if (f->has_mtime)
		bm_buf_put(out, &f->mtime_ns, sizeof(f->mtime_ns));
	put_string(out, f->job, job_len);
	put_number(out, in_display ? PATH_IN_DISPLAY : PATH_OWN);
	if (!in_display)
		put_string(out, f->path, path_len);
	put_string(out, f->display, display_len);
	if (in_display)
		put_number(out, path_len);
	put_string(out, f->warnings, warnings_len);
	put_string(out, f->other, length_of(f->other));

	put_number(out, f->digest_count);
	for (size_t i = 0; i < f->digest_count; i++) {
		const struct bm_file_digest *d = &f->digests[i];

		put_algorithm(out, d->algorithm);
		put_number(out, d->step);
		put_number(out, d->length);
		put_number(out, d->len);
		bm_buf_put(out, d->bytes, d->len);
	}
	put_number(out, f->output_count);
	for (size_t i = 0; i < f->output_count; i++) {
		const struct bm_file_output *o = &f->outputs[i];

		put_string(out, o->path, length_of(o->path));
		put_number(out, o->bytes);
		put_number(out, o->skipped ? 1 : 0);
		put_number(out, o->step);
	}
	put_number(out, f->blocks_count);
	for (size_t i = 0; i < f->blocks_count; i++)
		put_blocks(out, &f->blocks[i]);
	put_number(out, f->damage != NULL ? 1 : 0);
	if (f->damage != NULL)
		bm_buf_put(out, f->damage, sizeof(*f->damage));
	put_number(out, f->error != NULL ? 1 : 0);
	if (f->error != NULL) {
		put_number(out, (uint64_t)f->error->status);
		put_number(out, (uint64_t)f->error->sys_errno);
		put_string(out, f->error->where, strnlen(f->error->where, sizeof(f->error->where) - 1));
		put_string(out, f->error->text, strnlen(f->error->text, sizeof(f->error->text) - 1));
	}
}

/* ---- reading ---- */

struct reader {
	const char *at, *end;
	bool bad; /* once set, every number is 0 and every string NULL */
	bool oom;
};

static size_t left_in(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static uint64_t fail(struct reader *r)
{
	r->bad = true;
	r->at = r->end;
	return 0;
}

static uint64_t get_number(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint64_t byte = (unsigned char)*r->at++;

		if (shift == 63 && byte > 1) /* would not fit, or goes on */
			break;
		v |= (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return v;
	}
	return fail(r);
}

static uint64_t get_number_to(struct reader *r, uint64_t max)
{
	uint64_t v = get_number(r);

	return v <= max ? v : fail(r);
}

static const char *get_bytes(struct reader *r, uint64_t len)
{
	const char *bytes = r->at;

	if (len > left_in(r)) {
		fail(r);
		return NULL;
	}
	r->at += len;
	return bytes;
}

static const char *get_string(struct reader *r, size_t *len)
{
	uint64_t whole = get_number(r);
	const char *text;

	*len = 0;
	if (whole == 0)
		return NULL;
	text = get_bytes(r, whole);
	if (text == NULL)
		return NULL;
	if (text[whole - 1] != '\0') {
		fail(r);
		return NULL;
	}
	*len = (size_t)whole - 1;
	return text;
}

/* items has room for count afterwards; a count that the bytes left cannot hold is bad. */
static bool reserve_items(struct reader *r, void **items, size_t *cap, uint64_t count, size_t size)
{
	void *more;

	if (count > left_in(r)) {
		fail(r);
		return false;
	}
	if (count <= *cap)
		return true;
	more = bm_realloc_array(*items, (size_t)count, size);
	if (more == NULL) {
		r->oom = true;
		return false;
	}
	*items = more;
	*cap = (size_t)count;
	return true;
}

static const char *get_algorithm(struct reader *r)
{
	size_t count, len;
	const struct bm_digest_algorithm *all = bm_digest_algorithms(&count);
	uint64_t number = get_number_to(r, count);

	return number > 0 ? all[number - 1].name : get_string(r, &len);
}

static bool get_digests(struct reader *r, struct bm_record_view *v)
{
	uint64_t count = get_number(r);
	void *items = v->digests;
	bool ok = reserve_items(r, &items, &v->digest_cap, count, sizeof(v->digests[0]));

	v->digests = items;
	if (!ok)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct bm_file_digest *d = &v->digests[i];

		d->algorithm = get_algorithm(r);
		d->step = (unsigned)get_number_to(r, UINT_MAX);
		d->length = get_number(r);
		d->len = (size_t)get_number_to(r, SIZE_MAX);
		d->bytes = (const uint8_t *)get_bytes(r, d->len);
	}
	v->file.digests = v->digests;
	v->file.digest_count = (size_t)count;
	return !r->bad;
}

static bool get_outputs(struct reader *r, struct bm_record_view *v)
{
	uint64_t count = get_number(r);
	void *items = v->outputs;
	size_t len;
	bool ok = reserve_items(r, &items, &v->output_cap, count, sizeof(v->outputs[0]));

	v->outputs = items;
	if (!ok)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct bm_file_output *o = &v->outputs[i];

		o->path = get_string(r, &len);
		o->bytes = get_number(r);
		o->skipped = get_number_to(r, 1) != 0;
		o->step = (unsigned)get_number_to(r, UINT_MAX);
	}
	v->file.outputs = v->outputs;
	v->file.output_count = (size_t)count;
	return !r->bad;
}

static bool get_blocks(struct reader *r, struct bm_record_view *v)
{
	uint64_t count = get_number(r);
	void *items = v->blocks;
	bool ok = reserve_items(r, &items, &v->blocks_cap, count, sizeof(v->blocks[0]));

	v->blocks = items;
	if (!ok)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct bm_file_blocks *b = &v->blocks[i];

		b->algorithm = get_algorithm(r);
		b->step = (unsigned)get_number_to(r, UINT_MAX);
		b->size_bytes = get_number(r);
		b->digest_len = (size_t)get_number_to(r, BM_DIGEST_MAX_BYTES);
		b->count = (size_t)get_number_to(r, left_in(r));
		b->bytes = (const uint8_t *)get_bytes(r, (uint64_t)b->count * b->digest_len);
	}
	v->file.blocks = v->blocks;
	v->file.blocks_count = (size_t)count;
	return !r->bad;
}

static void get_error(struct reader *r, struct bm_error *e)
{
	size_t where_len, text_len;
	const char *where, *text;

	e->status = (enum bm_status)get_number_to(r, INT_MAX);
	e->sys_errno = (int)(unsigned)get_number(r); /* a negative one comes back too */
	where = get_string(r, &where_len);
	text = get_string(r, &text_len);
	if (where == NULL || text == NULL || where_len >= sizeof(e->where) || text_len >= sizeof(e->text)) {
		fail(r);
		return;
	}
	memcpy(e->where, where, where_len + 1);
	memcpy(e->text, text, text_len + 1);
}

bool bm_record_decode(struct bm_record_view *v, const void *data, size_t len)
{
	struct reader r = {.at = data, .end = (const char *)data + len};
	struct bm_file_result *f = &v->file;
	size_t ignored, display_len;
	bool in_display;

	*f = (struct bm_file_result){0};
	v->oom = false;
	f->state = (enum bm_file_state)get_number_to(&r, BM_FILE_FAILED);
	f->verdict = (enum bm_verdict)get_number_to(&r, BM_VERDICT_COUNT - 1);
	f->bytes = get_number(&r);
	uint64_t flags = get_number_to(&r, HAS_MTIME | UNCHANGED | REMOVED);
	f->has_mtime = (flags & HAS_MTIME) != 0;
	f->unchanged = (flags & UNCHANGED) != 0;
	f->removed = (flags & REMOVED) != 0;
	if (f->has_mtime) {
		const char *mtime = get_bytes(&r, sizeof(f->mtime_ns));

		if (mtime != NULL)
			memcpy(&f->mtime_ns, mtime, sizeof(f->mtime_ns));
	}
	f->job = get_string(&r, &ignored);
	in_display = get_number_to(&r, PATH_IN_DISPLAY) == PATH_IN_DISPLAY;
	if (!in_display)
		f->path = get_string(&r, &ignored);
	f->display = get_string(&r, &display_len);
	if (in_display) {
		uint64_t path_len = get_number_to(&r, display_len);

		if (f->display == NULL)
			return false;
		f->path = f->display + (display_len - path_len);
	}
	f->warnings = get_string(&r, &ignored);
	f->other = get_string(&r, &ignored);
	if (!get_digests(&r, v) || !get_outputs(&r, v) || !get_blocks(&r, v)) {
		v->oom = r.oom;
		return false;
	}
	if (get_number_to(&r, 1) != 0) {
		const char *damage = get_bytes(&r, sizeof(v->damage));

		if (damage != NULL)
			memcpy(&v->damage, damage, sizeof(v->damage));
		f->damage = &v->damage;
	}
	if (get_number_to(&r, 1) != 0) {
		get_error(&r, &v->error);
		f->error = &v->error;
	}
	return !r.bad && r.at == r.end;
}

void bm_record_view_fini(struct bm_record_view *v)
{
	free(v->digests);
	free(v->outputs);
	free(v->blocks);
	*v = (struct bm_record_view){0};
}
