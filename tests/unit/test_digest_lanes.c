/*
 * test_digest_lanes.c - SHA-256 of two messages at once against bm_digest (OpenSSL), which knows nothing of it: all
 * lengths, pieces of all sizes, partners that change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bm_digest.h"
#include "bm_digest_lanes.h"
#include "bm_error.h"

#define SIZE 32 /* of a digest */

/* The same in every run. */
static uint64_t random_state = 20240917;

static uint64_t below(uint64_t bound)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 33) % bound;
}

static void need_lanes(void)
{
	const struct bm_digest_algorithm *a = bm_digest_find("sha256");

	assert_non_null(a);
	if (bm_digest_has_lanes(a))
		return;
	print_message("skipped: this CPU has no instructions for SHA-256 that are made use of\n");
	skip();
}

static void reference(const void *data, size_t len, uint8_t out[static BM_DIGEST_MAX_BYTES])
{
	static struct bm_digest *d;

	if (d == NULL)
		assert_int_equal(bm_digest_create(bm_digest_find("sha256"), &d, NULL), BM_OK);
	assert_int_equal(bm_digest_reset(d, NULL), BM_OK);
	assert_int_equal(bm_digest_update(d, data, len, NULL), BM_OK);
	assert_int_equal(bm_digest_finish(d, out, NULL), BM_OK);
}

/* ---- a message on its way ---- */

struct message {
	struct bm_digest_lane lane;
	uint8_t *data; /* owned */
	size_t len, given;
	size_t piece_max; /* pieces of 0 ... so many bytes; SIZE_MAX: all at once */
	uint8_t *piece;   /* owned: the one that the lane has, in memory of just its size; freed when it is through */
	bool last_given, done;
};

static void message_init(struct message *m, size_t len, size_t piece_max)
{
	memset(m, 0, sizeof(*m));
	m->len = len;
	m->piece_max = piece_max;
	m->data = malloc(len + 1);
	assert_non_null(m->data);
	for (size_t i = 0; i < len; i++)
		m->data[i] = (uint8_t)below(256);
}

/* Hands in the next piece where the lane has none. The last one says so, or an empty one comes after it. */
static void message_give(struct message *m)
{
	size_t left = m->len - m->given;
	size_t n = m->piece_max == SIZE_MAX ? left : (size_t)below(m->piece_max + 1);

	if (bm_digest_lane_is_busy(&m->lane))
		return;
	free(m->piece);
	m->piece = NULL;
	if (n > left)
		n = left;
	if (n > 0) {
		m->piece = malloc(n);
		assert_non_null(m->piece);
		memcpy(m->piece, m->data + m->given, n);
	}
	m->given += n;
	m->last_given = m->given == m->len && (n == 0 || m->piece_max == SIZE_MAX || below(2) == 0);
	bm_digest_lane_give(&m->lane, m->piece, n, m->last_given);
	if (m->last_given)
		assert_true(bm_digest_lane_is_busy(&m->lane)); /* there is the padding, at the least */
}

/* After a run: is it at its end? Compares the digest. */
static bool message_look(struct message *m)
{
	uint8_t want[BM_DIGEST_MAX_BYTES], got[BM_DIGEST_MAX_BYTES];

	if (bm_digest_lane_is_busy(&m->lane) || !m->last_given)
		return false;
	reference(m->data, m->len, want);
	memset(got, 0, sizeof(got));
	bm_digest_lane_result(&m->lane, got);
	if (memcmp(got, want, SIZE) != 0)
		fail_msg("%zu bytes in pieces of up to %zu: not OpenSSL's digest", m->len, m->piece_max);
	m->done = true;
	return true;
}

static void message_fini(struct message *m)
{
	free(m->piece);
	free(m->data);
}

/* A pair for as long as both have something; then the rest of each, alone. */
static void run_pair(struct message *a, struct message *b)
{
	bool a_done = false, b_done = false;

	while (!a_done && !b_done) {
		message_give(a);
		message_give(b);
		if (bm_digest_lane_is_busy(&a->lane) && bm_digest_lane_is_busy(&b->lane)) {
			bm_digest_lanes_run(&a->lane, &b->lane);
			assert_true(!bm_digest_lane_is_busy(&a->lane) || !bm_digest_lane_is_busy(&b->lane));
		}
		a_done = message_look(a);
		b_done = message_look(b);
	}
	while (!a->done || !b->done) {
		struct message *m = a->done ? b : a;

		message_give(m);
		bm_digest_lane_run(&m->lane);
		assert_false(bm_digest_lane_is_busy(&m->lane));
		(void)message_look(m);
	}
}

/* ---- tests ---- */

static void test_which_have_lanes(void **state)
{
	size_t count = 0;

	(void)state;
	for (const struct bm_digest_algorithm *a = bm_digest_algorithms(&count), *end = a + count; a < end; a++)
		assert_true(strcmp(a->name, "sha256") == 0 || !bm_digest_has_lanes(a));
	print_message("SHA-256 by two: %s\n", bm_digest_has_lanes(bm_digest_find("sha256")) ? "yes" : "no");
}

static void test_known_answers(void **state)
{
	static const struct {
		const char *text, *hex;
	} known[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", /* FIPS 180: two blocks */
	         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	(void)state;
	need_lanes();
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 4; k++) { /* alone, and with each of them */
			struct bm_digest_lane a = {0}, b = {0};
			uint8_t out[BM_DIGEST_MAX_BYTES];
			char hex[2 * SIZE + 1];

			bm_digest_lane_give(&a, known[i].text, strlen(known[i].text), true);
			if (k < 3) {
				bm_digest_lane_give(&b, known[k].text, strlen(known[k].text), true);
				bm_digest_lanes_run(&a, &b);
			}
			if (bm_digest_lane_is_busy(&a))
				bm_digest_lane_run(&a);
			bm_digest_lane_result(&a, out);
			for (unsigned n = 0; n < SIZE; n++)
				(void)sprintf(hex + 2 * n, "%02x", out[n]);
			assert_string_equal(hex, known[i].hex);
		}
	}
}

/* Every length around the ends of blocks, at once and in pieces, beside one of another length. */
static void test_every_length(void **state)
{
	(void)state;
	need_lanes();
	for (size_t len = 0; len <= 300; len++) {
		for (unsigned way = 0; way < 6; way++) {
			static const size_t piece_max[] = {SIZE_MAX, SIZE_MAX, 1, 63, 64, 130};
			struct message a, b;

			message_init(&a, len, piece_max[way]);
			message_init(&b, way == 0 ? len : (size_t)below(301), piece_max[below(6)]);
			if (way % 2 == 0)
				run_pair(&a, &b);
			else
				run_pair(&b, &a);
			message_fini(&a);
			message_fini(&b);
		}
	}
}

static void test_alone(void **state)
{
	(void)state;
	need_lanes();
	for (size_t i = 0; i < 600; i++) {
		struct message m;

		message_init(&m, i <= 300 ? i : (size_t)below(5000), i % 2 ? SIZE_MAX : 100);
		while (!m.done) {
			message_give(&m);
			bm_digest_lane_run(&m.lane);
			(void)message_look(&m);
		}
		message_fini(&m);
	}
}

static size_t some_length(void)
{
	switch (below(8)) {
	case 0:
		return (size_t)below(130);
	case 1:
		return (size_t)below(20) * BM_LANE_BLOCK;
	case 2:
		return (size_t)below((1 << 20) + 1);
	default:
		return (size_t)below(20000);
	}
}

static size_t some_pieces(size_t len)
{
	switch (below(6)) {
	case 0:
		return SIZE_MAX;
	case 1:
		return len < 3000 ? 3 : 4096;
	case 2:
		return 200 + len / 50;
	case 3:
		return 64 + len / 20;
	default:
		return 1 + len / 3;
	}
}

/* Several at once; each step takes any two of them, or one alone, as the engine's threads do. */
static void test_partners_change(void **state)
{
	enum { COUNT = 7 };
	struct message m[COUNT];
	size_t ended = 0, begun = 0, pairs = 0, alone = 0, both = 0;

	(void)state;
	need_lanes();
	for (size_t i = 0; i < COUNT; i++, begun++) {
		size_t len = some_length();

		message_init(&m[i], len, some_pieces(len));
	}
	while (ended < 1500) {
		struct message *a = &m[below(COUNT)], *b = &m[below(COUNT)];

		message_give(a);
		message_give(b);
		if (!bm_digest_lane_is_busy(&a->lane) || !bm_digest_lane_is_busy(&b->lane) || below(6) == 0) {
			bm_digest_lane_run(&a->lane); /* which may have nothing to do */
			alone++;
		} else if (a != b) {
			bm_digest_lanes_run(&a->lane, &b->lane);
			pairs++;
			both += !bm_digest_lane_is_busy(&a->lane) && !bm_digest_lane_is_busy(&b->lane);
		}
		for (size_t i = 0; i < COUNT; i++) {
			if (!message_look(&m[i]))
				continue;
			size_t len = some_length();

			ended++;
			message_fini(&m[i]);
			message_init(&m[i], len, some_pieces(len));
		}
	}
	print_message("%zu pairs, %zu of them through at once, %zu times one alone\n", pairs, both, alone);
	assert_true(pairs > 1000 && both > 0 && alone > 100);
	for (size_t i = 0; i < COUNT; i++)
		message_fini(&m[i]);
}

/* The length in bits passes 32 bits. */
static void test_more_than_512_mib(void **state)
{
	const size_t piece = (size_t)8 << 20, pieces = 65;
	struct bm_digest_lane a = {0}, b = {0};
	struct bm_digest *d = NULL;
	uint8_t want[BM_DIGEST_MAX_BYTES], got[BM_DIGEST_MAX_BYTES];
	uint8_t *data = malloc(piece);

	(void)state;
	need_lanes();
	assert_non_null(data);
	for (size_t i = 0; i < piece; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	assert_int_equal(bm_digest_create(bm_digest_find("sha256"), &d, NULL), BM_OK);
	for (size_t i = 0; i < pieces; i++) {
		assert_int_equal(bm_digest_update(d, data, piece, NULL), BM_OK);
		bm_digest_lane_give(&a, data, piece, i + 1 == pieces);
		bm_digest_lane_give(&b, data, piece, i + 1 == pieces);
		bm_digest_lanes_run(&a, &b);
		assert_false(bm_digest_lane_is_busy(&a) || bm_digest_lane_is_busy(&b));
	}
	assert_int_equal(bm_digest_finish(d, want, NULL), BM_OK);
	bm_digest_lane_result(&a, got);
	assert_memory_equal(got, want, SIZE);
	bm_digest_lane_result(&b, got);
	assert_memory_equal(got, want, SIZE);
	bm_digest_destroy(d);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_have_lanes), cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_every_length),     cmocka_unit_test(test_alone),
		cmocka_unit_test(test_partners_change),  cmocka_unit_test(test_more_than_512_mib),
	};

	return cmocka_run_group_tests_name("digest lanes", tests, NULL, NULL);
}
