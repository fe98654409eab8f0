/* Writing manifests: the bytes of each kind, what is refused, and that what was written is read back, whatever the name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fail_alloc.h"
#include "manifest_testing.h"

#define KIND_FIRST BM_MANIFEST_KIND_GNU
#define KIND_LAST BM_MANIFEST_KIND_XXHSUM

#undef HEX40
#define HEX40 HEX32 "01234567" /* as bytes has them */

static const uint8_t bytes[64] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89,
                                  0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23,
                                  0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
                                  0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67,
                                  0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static struct bm_manifest_digest digest(const char *name)
{
	const struct bm_digest_algorithm *a = bm_digest_find(name);

	return (struct bm_manifest_digest){a, a != NULL ? a->name : name, bytes, a != NULL ? a->size_bytes : 16, false};
}

static struct bm_manifest_entry entry_n(const char *name, size_t len, const struct bm_manifest_digest *d, size_t count)
{
	return (struct bm_manifest_entry){
		.name = name, .name_len = len, .digests = d, .digest_count = count, .has_size = true, .size_bytes = 12};
}

static struct bm_manifest_entry entry(const char *name, const struct bm_manifest_digest *d, size_t count)
{
	return entry_n(name, strlen(name), d, count);
}

/* Which digests go into which kind here. */
static const char *const of_kind[][2] = {
	[BM_MANIFEST_KIND_GNU] = {"sha256"},           [BM_MANIFEST_KIND_BSD] = {"sha256"},
	[BM_MANIFEST_KIND_HASHDEEP] = {"md5", "sha1"}, [BM_MANIFEST_KIND_BAGIT] = {"sha512"},
	[BM_MANIFEST_KIND_JSON] = {"md5", "blake2b"},  [BM_MANIFEST_KIND_SFV] = {"crc32"},
	[BM_MANIFEST_KIND_RCLONE] = {"sha1"},          [BM_MANIFEST_KIND_XXHSUM] = {"xxh64"},
};

static size_t digests_of(enum bm_manifest_kind kind, struct bm_manifest_digest d[static 2])
{
	size_t n = 0;

	while (n < 2 && of_kind[kind][n] != NULL) {
		d[n] = digest(of_kind[kind][n]);
		n++;
	}
	return n;
}

static struct bm_manifest_style style_of(enum bm_manifest_kind kind)
{
	return (struct bm_manifest_style){
		.kind = kind, .algorithms = of_kind[kind], .algorithm_count = of_kind[kind][1] != NULL ? 2 : 1};
}

/* ---- exact bytes ---- */

static void expect(const struct bm_manifest_style *s, const struct bm_manifest_entry *e, const char *want,
                   size_t want_len)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf out = {0};

	bm_buf_puts(&out, "");
	if (bm_manifest_put_entry(&out, s, e, &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
	if (out.len != want_len || memcmp(out.data, want, want_len) != 0)
		fail_msg("found:\n%s\nexpected:\n%s", out.data, want);
	bm_buf_fini(&out);
}
#define EXPECT(s, e, text) expect(s, e, text, sizeof(text) - 1)

static void lines_are_as_other_programs_write_them(void **state)
{
	struct bm_manifest_digest two[2] = {digest("md5"), digest("sha1")}, crc = digest("crc32"),
				  xxh3 = digest("xxh3"), xxh64 = digest("xxh64"), foreign = digest("blake2b-128"),
				  tiger = digest("tiger");
	struct bm_manifest_style s = {.kind = BM_MANIFEST_KIND_GNU};
	struct bm_manifest_entry e = entry("a b", two, 2), odd = entry("a\nb\\\r", two, 1),
				 percent = entry("%\n\r", two, 1);

	(void)state;
	EXPECT(&s, &e, HEX32 "  a b\n" HEX40 "  a b\n");
	EXPECT(&s, &odd, "\\" HEX32 "  a\\nb\\\\\\r\n");
	s.nul = true;
	EXPECT(&s, &odd, HEX32 "  a\nb\\\r\0");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_BSD};
	EXPECT(&s, &e, "MD5 (a b) = " HEX32 "\nSHA1 (a b) = " HEX40 "\n");
	EXPECT(&s, &odd, "\\MD5 (a\\nb\\\\\\r) = " HEX32 "\n");
	e = entry("x", &foreign, 1);
	EXPECT(&s, &e, "BLAKE2b-128 (x) = " HEX32 "\n");
	tiger.len = 24;
	e = entry("x", &tiger, 1);
	EXPECT(&s, &e, "TIGER (x) = " HEX32 HEX16 "\n");
	s.nul = true;
	EXPECT(&s, &odd, "MD5 (a\nb\\\r) = " HEX32 "\0");
	s = style_of(BM_MANIFEST_KIND_HASHDEEP);
	e = entry("a,b\"", two, 2);
	EXPECT(&s, &e, "12," HEX32 "," HEX40 ",a,b\"\n");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_BAGIT};
	EXPECT(&s, &percent, HEX32 "  %25%0A%0D\n");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_SFV};
	e = entry("a b", &crc, 1);
	EXPECT(&s, &e, "a b 01234567\n");
	crc.bytes += 4;
	EXPECT(&s, &e, "a b 89ABCDEF\n");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_RCLONE};
	e = entry("a\n\x7f\xe2\x90\x8a\xe2\x80\x9b\xe2\x90\xa0\\", two, 1);
	EXPECT(&s, &e,
	       HEX32 "  a\xe2\x90\x8a\xe2\x90\xa1\xe2\x80\x9b\xe2\x90\x8a\xe2\x80\x9b\xe2\x80\x9b\xe2\x90\xa0\\\n");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_XXHSUM};
	e = entry("a\\\rb", &xxh64, 1);
	EXPECT(&s, &e, HEX16 "  a\\\rb\n");
	e = entry("a\r", &xxh64, 1);
	EXPECT(&s, &e, "XXH64 (a\r) = " HEX16 "\n");
	e = entry("a", &xxh3, 1);
	EXPECT(&s, &e, "XXH3 (a) = " HEX16 "\n");
}

static void json_has_all_that_is_known(void **state)
{
	struct bm_manifest_digest two[2] = {digest("md5"), digest("sha1")};
	struct bm_manifest_style s = {.kind = BM_MANIFEST_KIND_JSON};
	struct bm_manifest_entry e = entry("a\n", two, 2);

	(void)state;
	EXPECT(&s, &e, "{\"path\":\"a\\n\",\"size\":12,\"md5\":\"" HEX32 "\",\"sha1\":\"" HEX40 "\"}\n");
	e = entry("a\xff", two, 1);
	e.has_size = false;
	e.has_mtime = true;
	e.mtime_ns = INT64_MIN;
	EXPECT(&s, &e,
	       "{\"path\":\"a\xef\xbf\xbd\",\"path_base64\":\"Yf8=\",\"mtime\":\"-9223372036854775808\",\"md5\":\"" HEX32
	       "\"}\n");
	e = entry("a", NULL, 0);
	e.has_size = e.has_mtime = e.has_blocks = true;
	e.size_bytes = UINT64_MAX;
	e.blocks = (struct bm_manifest_blocks){.size_bytes = 1048576,
	                                       .algorithm = bm_digest_find("md5"),
	                                       .name = "md5",
	                                       .bytes = bytes,
	                                       .count = 2,
	                                       .digest_len = 16};
	EXPECT(&s, &e,
	       "{\"path\":\"a\",\"size\":18446744073709551615,\"mtime\":\"0\",\"blocks\":{\"size\":1048576,\"algorithm\":"
	       "\"md5\",\"digests\":[\"" HEX32 "\",\"" HEX32 "\"]}}\n");
	e.blocks.count = 0;
	e.has_size = e.has_mtime = false;
	EXPECT(&s, &e, "{\"path\":\"a\",\"blocks\":{\"size\":1048576,\"algorithm\":\"md5\",\"digests\":[]}}\n");
}

static void heads(void **state)
{
	static const char *const aliases[] = {"SHA-256", "MD5"};
	struct bm_manifest_style s;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf out = {0};

	(void)state;
	for (enum bm_manifest_kind k = KIND_FIRST; k <= KIND_LAST; k++) {
		s = style_of(k);
		bm_buf_reset(&out);
		assert_int_equal(bm_manifest_put_head(&out, &s, &err), BM_OK);
		if (k == BM_MANIFEST_KIND_HASHDEEP)
			assert_string_equal(out.data, "%%%% HASHDEEP-1.0\n%%%% size,md5,sha1,filename\n");
		else if (k == BM_MANIFEST_KIND_SFV)
			assert_int_equal(out.data[0], ';');
		else
			assert_int_equal(out.len, 0);
	}
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_HASHDEEP, .algorithms = aliases, .algorithm_count = 2};
	bm_buf_reset(&out);
	assert_int_equal(bm_manifest_put_head(&out, &s, &err), BM_OK);
	assert_string_equal(out.data, "%%%% HASHDEEP-1.0\n%%%% size,sha256,md5,filename\n");
	bm_buf_fini(&out);
}

/* ---- what is refused ---- */

static void refused(const struct bm_manifest_style *s, const struct bm_manifest_entry *e, enum bm_status want,
                    const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf out = {0};

	bm_buf_puts(&out, "before");
	assert_int_equal(bm_manifest_put_entry(&out, s, e, &err), want);
	assert_int_equal(err.status, want);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" has no \"%s\"", err.text, text);
	assert_string_equal(out.data, "before");
	bm_buf_fini(&out);
}

static void what_cannot_be_is_refused(void **state)
{
	static const char *const sha512[] = {"sha512"}, *const none[] = {"nonsense"}, *const md5[] = {"md5"},
				 *const many[] = {"md5", "sha1"};
	struct bm_manifest_digest two[2] = {digest("md5"), digest("sha1")};
	struct bm_manifest_entry e = entry("a\nb", two, 2);
	struct bm_manifest_style s = {.kind = BM_MANIFEST_KIND_AUTO};

	(void)state;
	refused(&s, &e, BM_ERR_USAGE, "without a kind");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_JSON, .nul = true};
	refused(&s, &e, BM_ERR_USAGE, "NUL");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_HASHDEEP};
	refused(&s, &e, BM_ERR_USAGE, "beforehand");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_HASHDEEP, .algorithms = sha512, .algorithm_count = 1};
	refused(&s, &e, BM_ERR_USAGE, "whirlpool");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_GNU, .algorithms = none, .algorithm_count = 1};
	refused(&s, &e, BM_ERR_USAGE, "unknown");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_GNU, .algorithms = sha512, .algorithm_count = 1};
	refused(&s, &e, BM_ERR_USAGE, "no sha512");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_BAGIT};
	refused(&s, &e, BM_ERR_USAGE, "one digest, not 2");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_BAGIT, .algorithms = many, .algorithm_count = 2};
	refused(&s, &e, BM_ERR_USAGE, "one algorithm, not of 2");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_XXHSUM};
	e = entry("a", two, 2);
	refused(&s, &e, BM_ERR_USAGE, "xxh128");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_SFV};
	refused(&s, &e, BM_ERR_USAGE, "no crc32");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_RCLONE};
	e = entry("a", NULL, 0);
	refused(&s, &e, BM_ERR_USAGE, "no digest");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_HASHDEEP, .algorithms = md5, .algorithm_count = 1};
	e = entry("a", two, 2);
	e.has_size = false;
	refused(&s, &e, BM_ERR_USAGE, "no size");
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_GNU};
	e = entry("", two, 2);
	refused(&s, &e, BM_ERR_USAGE, "empty name");
	e = entry_n("a\0b", 3, two, 2);
	refused(&s, &e, BM_ERR_USAGE, "NUL");
	e = entry("a\nb", two, 2);
	s = (struct bm_manifest_style){.kind = BM_MANIFEST_KIND_HASHDEEP, .algorithms = md5, .algorithm_count = 1};
	refused(&s, &e, BM_ERR_UNSUPPORTED,
	        "a hashdeep manifest cannot carry a name with a line feed in it; gnu, bsd and json can");
}

/* ---- round trips ---- */

/* The rule of bm_manifest.h, said once more. */
static bool can_carry(enum bm_manifest_kind kind, const char *name, size_t len)
{
	char first = name[0], last = name[len - 1];
	bool lf = memchr(name, '\n', len) != NULL, cr = memchr(name, '\r', len) != NULL;
	bool leads = first == ' ' || first == '\t', trails = last == ' ' || last == '\t';

	switch (kind) {
	case BM_MANIFEST_KIND_HASHDEEP:
		return !lf && last != '\r';
	case BM_MANIFEST_KIND_BAGIT:
		return !leads && first != '*';
	case BM_MANIFEST_KIND_SFV:
		return !lf && !cr && !leads && !trails && first != ';';
	case BM_MANIFEST_KIND_XXHSUM:
		return !lf;
	default:
		return true;
	}
}

struct names {
	struct bm_buf text;
	size_t at[4000], len[4000], count;
};

static void add_name(struct names *n, const void *name, size_t len)
{
	assert_true(n->count < COUNT(n->at));
	n->at[n->count] = n->text.len;
	n->len[n->count++] = len;
	bm_buf_put(&n->text, name, len);
}

/* Every byte alone, in front, in the middle, at the end; and names that look like parts of lines. */
static void hostile_names(struct names *n)
{
	static const char *const looks[] = {
		"  a",
		" *a",
		"*",
		"a  ",
		HEX64 "  x",
		"x) = y",
		") = " HEX64,
		"(",
		"SHA256 (x) = " HEX64,
		"\\n",
		"\\\\n",
		"%0A",
		"%25",
		"%",
		"%%%% HASHDEEP-1.0",
		"## x",
		"; x",
		"#",
		"a,b,c",
		",",
		"{\"path\":1}",
		"\"",
		"\\\"",
		"x 0123ABCD",
		"0123ABCD x",
		"XXH3_" HEX16 "  x",
		"\r\n",
		"a\r\nb\r\n",
		"\xef\xbb\xbf",
		"\xff\xfe",
		"\xe2\x90\x8a",
		"\xe2\x80\x9b",
		"\xe2\x80\x9b\xe2\x90\x8a",
		"\xe2\x80\x9b\xe2\x80\x9b",
		"\xe2\x90",
		"\xe2\x90\x80",
		"\xe2\x80\x9b\xe2\x90\x80",
		"\xe2\x90\xa1",
		"\xe2\x80",
		"\xed\xa0\x80",
		"\xc0\x80",
		"..",
		"../x",
		"/etc",
		"./x",
		"~",
		"-",
		"\xf0\x9f\x98\x80",
	};

	for (unsigned byte = 1; byte < 256; byte++) {
		char b = (char)byte, two[2] = {'a', b}, front[2] = {b, 'a'}, middle[3] = {'a', b, 'b'},
		     twice[2] = {b, b};

		add_name(n, &b, 1);
		add_name(n, two, 2);
		add_name(n, front, 2);
		add_name(n, middle, 3);
		add_name(n, twice, 2);
	}
	for (size_t i = 0; i < COUNT(looks); i++)
		add_name(n, looks[i], strlen(looks[i]));
	for (unsigned i = 0; i < 1000; i++) {
		char name[40];
		size_t len = 1 + i % (sizeof(name) - 1);
		static const char likely[] = "\n\r\\ \t%*;,()=a0\"\xe2\x90\x8a\x80\x9b{#";

		for (size_t k = 0; k < len; k++) {
			unsigned v = (i * 7919u + (unsigned)k * 104729u) * 2654435761u;

			name[k] = v % 3 == 0 ? (char)(1 + (v >> 8) % 255) : likely[(v >> 8) % (sizeof(likely) - 1)];
		}
		add_name(n, name, len);
	}
	assert_false(n->text.oom);
}

static void round_trip(const struct names *n, enum bm_manifest_kind kind, bool nul, enum bm_manifest_kind read_as)
{
	struct bm_manifest_digest d[2];
	struct bm_manifest_style s = style_of(kind);
	struct bm_manifest_options o = {.kind = read_as};
	size_t digest_count = digests_of(kind, d), i = 0;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct memory_stream m = {0};
	struct bm_manifest_entry e;
	struct bm_buf out = {0};

	s.nul = nul;
	assert_int_equal(bm_manifest_put_head(&out, &s, &err), BM_OK);
	for (i = 0; i < n->count; i++) {
		const char *name = n->text.data + n->at[i];
		enum bm_status status;

		e = entry_n(name, n->len[i], d, digest_count);
		status = bm_manifest_put_entry(&out, &s, &e, &err);
		if (status != (can_carry(kind, name, n->len[i]) ? BM_OK : BM_ERR_UNSUPPORTED))
			fail_msg("%s, name %zu: %s: %s", bm_manifest_kind_name(kind), i, err.where, err.text);
		bm_error_clear(&err);
	}
	assert_false(out.oom);
	m.data = out.data;
	m.len = out.len;
	assert_int_equal(bm_manifest_open_stream(memory_read, &m, "x", &o, &r, &err), BM_OK);
	assert_int_equal(bm_manifest_kind(r), read_as != BM_MANIFEST_KIND_AUTO ? read_as : kind);
	assert_int_equal(bm_manifest_is_nul(r), nul);
	for (i = 0; i < n->count; i++) {
		const char *name = n->text.data + n->at[i];
		enum bm_manifest_event event;

		if (!can_carry(kind, name, n->len[i]))
			continue;
		event = bm_manifest_next(r, &e, &err);
		if (event != BM_MANIFEST_ENTRY)
			fail_msg("%s, name %zu: %d: %s", bm_manifest_kind_name(kind), i, (int)event, e.fault);
		if (e.name_len != n->len[i] || memcmp(e.name, name, e.name_len) != 0)
			fail_msg("%s, name %zu is another", bm_manifest_kind_name(kind), i);
		assert_int_equal(e.name[e.name_len], '\0');
		assert_int_equal(e.digest_count, digest_count);
		for (size_t k = 0; k < digest_count; k++) {
			assert_string_equal(e.digests[k].name, of_kind[kind][k]);
			assert_ptr_equal(e.digests[k].algorithm, d[k].algorithm);
			assert_memory_equal(e.digests[k].bytes, bytes, d[k].len);
		}
		assert_int_equal(e.has_size, kind == BM_MANIFEST_KIND_HASHDEEP || kind == BM_MANIFEST_KIND_JSON);
	}
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_END);
	bm_manifest_close(r);
	bm_buf_fini(&out);
}

static void every_name_comes_back(void **state)
{
	static struct names n;

	(void)state;
	hostile_names(&n);
	for (enum bm_manifest_kind k = KIND_FIRST; k <= KIND_LAST; k++)
		round_trip(&n, k, false, k);
	round_trip(&n, BM_MANIFEST_KIND_GNU, true, BM_MANIFEST_KIND_GNU);
	round_trip(&n, BM_MANIFEST_KIND_BSD, true, BM_MANIFEST_KIND_BSD);
	/* And where the kind is found out: rclone, bagit and xxhsum without a file name look like gnu. */
	round_trip(&n, BM_MANIFEST_KIND_GNU, false, BM_MANIFEST_KIND_AUTO);
	round_trip(&n, BM_MANIFEST_KIND_BSD, false, BM_MANIFEST_KIND_AUTO);
	round_trip(&n, BM_MANIFEST_KIND_GNU, true, BM_MANIFEST_KIND_AUTO);
	round_trip(&n, BM_MANIFEST_KIND_BSD, true, BM_MANIFEST_KIND_AUTO);
	round_trip(&n, BM_MANIFEST_KIND_HASHDEEP, false, BM_MANIFEST_KIND_AUTO);
	round_trip(&n, BM_MANIFEST_KIND_JSON, false, BM_MANIFEST_KIND_AUTO);
	round_trip(&n, BM_MANIFEST_KIND_SFV, false, BM_MANIFEST_KIND_AUTO);
	bm_buf_fini(&n.text);
}

/* Each of the names as the only, and so the first, line: it must not be taken for another kind, or for words around it. */
static void a_first_line_says_its_kind(void **state)
{
	static const enum bm_manifest_kind kinds[] = {BM_MANIFEST_KIND_GNU, BM_MANIFEST_KIND_BSD,
	                                              BM_MANIFEST_KIND_HASHDEEP, BM_MANIFEST_KIND_JSON,
	                                              BM_MANIFEST_KIND_SFV};
	static struct names all, one;

	(void)state;
	hostile_names(&all);
	for (size_t i = 0; i < all.count; i++) {
		one.count = 0;
		bm_buf_reset(&one.text);
		add_name(&one, all.text.data + all.at[i], all.len[i]);
		for (size_t k = 0; k < COUNT(kinds); k++)
			round_trip(&one, kinds[k], false, BM_MANIFEST_KIND_AUTO);
		round_trip(&one, BM_MANIFEST_KIND_GNU, true, BM_MANIFEST_KIND_AUTO);
		round_trip(&one, BM_MANIFEST_KIND_BSD, true, BM_MANIFEST_KIND_AUTO);
		for (enum bm_manifest_kind k = KIND_FIRST; k <= KIND_LAST; k++)
			round_trip(&one, k, false, k);
	}
	bm_buf_fini(&all.text);
	bm_buf_fini(&one.text);
}

static void numbers_and_blocks_come_back(void **state)
{
	static const int64_t times[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1700000000123456789};
	static const uint64_t sizes[] = {0, 1, UINT64_MAX, 1ull << 53};
	struct bm_manifest_digest two[2] = {digest("sha3-512"), digest("blake2b-128")};
	struct bm_manifest_style s = {.kind = BM_MANIFEST_KIND_JSON};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf out = {0};
	size_t count = 0;

	(void)state;
	for (size_t t = 0; t < COUNT(times); t++) {
		for (size_t z = 0; z < COUNT(sizes); z++) {
			struct bm_manifest_entry e = entry("x", two, 2);

			e.size_bytes = sizes[z];
			e.has_mtime = true;
			e.mtime_ns = times[t];
			e.has_blocks = true;
			e.blocks = (struct bm_manifest_blocks){.size_bytes = sizes[z] | 1,
			                                       .algorithm = bm_digest_find("md5"),
			                                       .name = "md5",
			                                       .bytes = bytes,
			                                       .count = z,
			                                       .digest_len = 16};
			assert_int_equal(bm_manifest_put_entry(&out, &s, &e, &err), BM_OK);
		}
	}
	struct memory_stream m = {.data = out.data, .len = out.len, .piece = 11};
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;
	assert_int_equal(bm_manifest_open_stream(memory_read, &m, "x", NULL, &r, &err), BM_OK);
	for (; bm_manifest_next(r, &e, &err) == BM_MANIFEST_ENTRY; count++) {
		size_t z = count % COUNT(sizes);

		assert_true(e.has_size && e.has_mtime && e.has_blocks);
		assert_true(e.size_bytes == sizes[z] && e.mtime_ns == times[count / COUNT(sizes)]);
		assert_true(e.blocks.size_bytes == (sizes[z] | 1));
		assert_int_equal(e.blocks.count, z);
		assert_int_equal(e.blocks.digest_len, 16);
		assert_memory_equal(e.blocks.bytes, bytes, 16 * z);
		assert_int_equal(e.digest_count, 2);
		assert_ptr_equal(e.digests[1].algorithm, bm_digest_find("blake2b-128"));
		assert_string_equal(e.digests[1].name, "blake2b-128");
		assert_memory_equal(e.digests[1].bytes, bytes, 16);
	}
	assert_int_equal(count, COUNT(times) * COUNT(sizes));
	bm_manifest_close(r);
	bm_buf_fini(&out);
}

/* ---- no memory ---- */

static void no_memory_is_told(void **state)
{
	struct bm_manifest_digest d[2];

	(void)state;
	for (enum bm_manifest_kind k = KIND_FIRST; k <= KIND_LAST; k++) {
		struct bm_manifest_style s = style_of(k);
		size_t n = digests_of(k, d);
		struct bm_manifest_entry e = entry("a\\", d, n);
		bool hit = true;

		for (unsigned at = 1; hit; at++) {
			struct bm_error err = BM_ERROR_INIT;
			struct bm_manifest_reader *r = NULL;
			struct memory_stream m = {0};
			struct bm_manifest_options o = {.kind = at % 2 == 0 ? BM_MANIFEST_KIND_AUTO : k};
			struct bm_buf out = {0};
			struct bm_manifest_entry found;
			enum bm_status status;

			fail_alloc_arm(at, true);
			status = bm_manifest_put_head(&out, &s, &err);
			if (status == BM_OK)
				status = bm_manifest_put_entry(&out, &s, &e, &err);
			hit = fail_alloc_disarm();
			assert_int_equal(status, hit ? BM_ERR_NOMEM : BM_OK);
			if (!hit) {
				for (unsigned read_at = 1;; read_at++) {
					enum bm_manifest_event event = BM_MANIFEST_FAILED;

					m = (struct memory_stream){.data = out.data, .len = out.len};
					bm_error_clear(&err);
					fail_alloc_arm(read_at, true);
					status = bm_manifest_open_stream(memory_read, &m, "x", &o, &r, &err);
					if (status == BM_OK)
						event = bm_manifest_next(r, &found, &err);
					hit = fail_alloc_disarm();
					assert_int_equal(event, hit ? BM_MANIFEST_FAILED : BM_MANIFEST_ENTRY);
					if (hit)
						assert_int_equal(err.status, BM_ERR_NOMEM);
					bm_manifest_close(r);
					if (!hit)
						break;
				}
			}
			bm_buf_fini(&out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_as_other_programs_write_them),
		cmocka_unit_test(json_has_all_that_is_known),
		cmocka_unit_test(heads),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(every_name_comes_back),
		cmocka_unit_test(a_first_line_says_its_kind),
		cmocka_unit_test(numbers_and_blocks_come_back),
		cmocka_unit_test(no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
