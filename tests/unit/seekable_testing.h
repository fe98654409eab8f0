/* seekable_testing.h - what the test_seekable*.c share: files of every layout in memory, a source that counts what is
 * read of it, and ranges held against a slice of the data. Included after cmocka.h. */
#ifndef SEEKABLE_TESTING_H
#define SEEKABLE_TESTING_H

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bm_age.h"
#include "bm_seekable.h"
#include "zstd_testing.h"

enum form {
	FORM_PLAIN,
	FORM_INDEXED,
	FORM_STORED, /* indexed, level 0 */
	FORM_BGZF,
	FORM_BGZF_GZI,
	FORM_ZSTD_TABLE,
	FORM_ZSTD_FRAMES,
	FORM_AGE,
	FORM_GZIP_AGE,
	FORM_ZSTD_AGE,
	FORM_AGE_GZIP,      /* age first, then indexed gzip of that */
	FORM_ZSTD_AGE_BGZF, /* three */
	FORM_COUNT
};
static const char *const form_names[FORM_COUNT] = {
	"plain", "indexed", "stored",         "bgzf",           "bgzf and gzi",   "zstd and table",
	"zstd",  "age",     "gzip, then age", "zstd, then age", "age, then gzip", "zstd, age, bgzf"};

/* The one key of these tests. */
static struct bm_age_recipients *testing_recipients;
static struct bm_age_identities *testing_identities;

static inline int make_key(void **state)
{
	struct bm_age_keypair pair;

	(void)state;
	assert_int_equal(bm_age_keygen(&pair, NULL), BM_OK);
	assert_int_equal(bm_age_recipients_create(&testing_recipients, NULL), BM_OK);
	assert_int_equal(bm_age_identities_create(&testing_identities, NULL), BM_OK);
	assert_int_equal(bm_age_recipients_add(testing_recipients, pair.recipient, strlen(pair.recipient), NULL),
	                 BM_OK);
	assert_int_equal(bm_age_identities_add(testing_identities, pair.identity, strlen(pair.identity), NULL), BM_OK);
	bm_age_keypair_wipe(&pair);
	return 0;
}

static inline int free_key(void **state)
{
	(void)state;
	bm_age_recipients_destroy(testing_recipients);
	bm_age_identities_destroy(testing_identities);
	return 0;
}

static inline struct bytes pack_age(const uint8_t *data, size_t len)
{
	struct bm_age_cipher *c = NULL;
	struct bm_buf head = {0};
	struct bytes file = {NULL, 0, 0};
	struct bm_age_key key;
	size_t made;

	assert_int_equal(bm_age_header_make(testing_recipients, &head, &key, NULL), BM_OK);
	bytes_add(&file, head.data, head.len);
	bm_buf_fini(&head);
	assert_int_equal(bm_age_cipher_create(&c, NULL), BM_OK);
	assert_int_equal(bm_age_cipher_set_key(c, &key, BM_AGE_SEAL, NULL), BM_OK);
	bytes_room(&file, (size_t)bm_age_sealed_bytes(len));
	assert_int_equal(bm_age_seal(c, 0, true, len > 0 ? data : NULL, len, file.data + file.len,
	                             (size_t)bm_age_sealed_bytes(len), &made, NULL),
	                 BM_OK);
	file.len += made;
	bm_age_cipher_destroy(c);
	bm_age_key_wipe(&key);
	return file;
}

/* then(a, b): what b makes of what a made, which is freed. */
#define THEN(inner, call)                                                                                              \
	do {                                                                                                           \
		struct bytes was = inner;                                                                              \
		inner = call;                                                                                          \
		bytes_free(&was);                                                                                      \
	} while (0)

/* gzi is filled in for FORM_BGZF_GZI. */
static inline struct bytes pack_form(enum form form, const uint8_t *data, size_t len, size_t chunk, struct bytes *gzi)
{
	struct bytes file = {NULL, 0, 0};

	*gzi = (struct bytes){NULL, 0, 0};
	switch (form) {
	case FORM_PLAIN:
		bytes_add(&file, data, len);
		break;
	case FORM_INDEXED:
		return pack_indexed(6, data, len, chunk);
	case FORM_STORED:
		return pack_indexed(0, data, len, chunk);
	case FORM_BGZF:
		return pack_bgzf(6, data, len, chunk, false, NULL);
	case FORM_BGZF_GZI:
		return pack_bgzf(6, data, len, chunk, false, gzi);
	case FORM_ZSTD_TABLE:
		return pack_frames(3, data, len, chunk, true);
	case FORM_ZSTD_FRAMES:
		return pack_frames(3, data, len, chunk, false);
	case FORM_AGE:
		return pack_age(data, len);
	case FORM_GZIP_AGE:
		file = pack_indexed(6, data, len, chunk);
		THEN(file, pack_age(was.data, was.len));
		break;
	case FORM_ZSTD_AGE:
		file = pack_frames(3, data, len, chunk, true);
		THEN(file, pack_age(was.data, was.len));
		break;
	case FORM_AGE_GZIP:
		file = pack_age(data, len);
		THEN(file, pack_indexed(1, was.data, was.len, chunk));
		break;
	default:
		file = pack_frames(3, data, len, chunk, true);
		THEN(file, pack_age(was.data, was.len));
		THEN(file, pack_bgzf(1, was.data, was.len, chunk, false, NULL));
		break;
	}
	return file;
}

static inline size_t depth_of(enum form form)
{
	return form == FORM_PLAIN ? 0 : form < FORM_GZIP_AGE ? 1 : form < FORM_ZSTD_AGE_BGZF ? 2 : 3;
}

/* Bytes in memory as a source. */
struct memory {
	const uint8_t *data;
	size_t len;
	atomic_uint_fast64_t reads, read_bytes;
	uint64_t fail_at; /* the read that fails; 0: none */
	bool lies;        /* short reads have a wrong bit */
};

static inline enum bm_status memory_pread(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	struct memory *m = ctx;

	assert_true(len > 0 && offset <= m->len && len <= m->len - offset);
	m->read_bytes += len;
	if (++m->reads == m->fail_at)
		return bm_error_set(err, BM_ERR_SYSTEM, NULL, "the disk is broken");
	memcpy(buf, m->data + offset, len);
	if (m->lies && len <= BM_SEEKABLE_HINT_BYTES)
		((uint8_t *)buf)[len / 2] ^= 0x10;
	return BM_OK;
}

/* Threads for the layers. */
#define THREADS 3
struct testing_task {
	void (*task)(void *arg, size_t n);
	void *arg;
	size_t n;
};

static inline void *testing_thread(void *arg)
{
	struct testing_task *t = arg;

	t->task(t->arg, t->n);
	return NULL;
}

static inline void testing_parallel(void (*task)(void *arg, size_t n), void *arg, size_t count)
{
	pthread_t threads[THREADS];
	struct testing_task tasks[THREADS];

	assert_in_range(count, 2, THREADS);
	for (size_t i = 0; i < count; i++) {
		tasks[i] = (struct testing_task){task, arg, i};
		assert_int_equal(pthread_create(&threads[i], NULL, testing_thread, &tasks[i]), 0);
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* A stack of layers over a file in memory. */
struct stack {
	struct memory file, index;
	struct bm_seekable_source sources[6], gzi;
	struct bm_seekable *layers[5];
	size_t depth;
	struct bm_seekable *top; /* the innermost layer */
	enum bm_status status;   /* of opening */
	struct bm_error err;
};

/* Opens as many layers as there are, up to 4, and the plain bytes in them. The file is in memory of its own. */
static inline void open_stack(struct stack *s, const struct bytes *file, const struct bytes *gzi, size_t unit_max)
{
	struct bm_seekable_options opt = {.identities = testing_identities,
	                                  .unit_max_bytes = unit_max,
	                                  .parallel = testing_parallel,
	                                  .threads = THREADS};

	*s = (struct stack){.file = {.data = exact_copy(file->data, file->len), .len = file->len}};
	s->sources[0] = (struct bm_seekable_source){
		.pread = memory_pread, .ctx = &s->file, .size = file->len, .any_thread = true};
	if (gzi != NULL && gzi->len > 0) {
		s->index = (struct memory){.data = exact_copy(gzi->data, gzi->len), .len = gzi->len};
		s->gzi = (struct bm_seekable_source){.pread = memory_pread, .ctx = &s->index, .size = gzi->len};
		opt.gzi = &s->gzi;
	}
	for (;;) {
		s->status = bm_seekable_open(&s->sources[s->depth], &opt, &s->layers[s->depth], &s->err);
		if (s->status != BM_OK) {
			assert_null(s->layers[s->depth]);
			return;
		}
		opt.gzi = NULL;
		s->top = s->layers[s->depth];
		if (bm_seekable_layout(s->top) == BM_SEEKABLE_PLAIN || s->depth == 4)
			return;
		s->status = bm_seekable_as_source(s->top, &s->sources[s->depth + 1], &s->err);
		s->depth++;
		if (s->status != BM_OK)
			return;
	}
}

static inline void close_stack(struct stack *s)
{
	for (size_t i = 5; i-- > 0;)
		bm_seekable_destroy(s->layers[i]);
	free((void *)(uintptr_t)s->file.data);
	free((void *)(uintptr_t)s->index.data);
}

/* A range, in memory of its own, which must be what is in data there. */
static inline void expect_range(struct bm_seekable *s, const struct bytes *data, size_t offset, size_t len,
                                const char *what)
{
	struct bm_error err = BM_ERROR_INIT;
	const size_t left = offset < data->len ? data->len - offset : 0;
	const size_t want = len < left ? len : left;
	uint8_t *buf = malloc(len > 0 ? len : 1);
	size_t got = 99;

	assert_non_null(buf);
	if (bm_seekable_read(s, buf, len, offset, &got, &err) != BM_OK)
		fail_msg("%s: %zu bytes at %zu: %s: %s", what, len, offset, err.where, err.text);
	if (got != want)
		fail_msg("%s: %zu bytes at %zu: got %zu", what, len, offset, got);
	if (want > 0 && memcmp(buf, data->data + offset, want) != 0)
		fail_msg("%s: %zu bytes at %zu: wrong bytes", what, len, offset);
	free(buf);
}

#endif
