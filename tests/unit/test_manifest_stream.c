/* Reading manifests: files, streams, options; long lines; what fails. The lines themselves: test_manifest_read.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "manifest_testing.h"

static void digests_are_whole(void **state)
{
	static const char text[] = "SHA512 (a) = 00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100"
				   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
	struct memory_stream m = {.data = text, .len = sizeof(text) - 1};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;
	struct bm_buf hex = {0};

	(void)state;
	assert_int_equal(bm_manifest_open_stream(memory_read, &m, "x", NULL, &r, &err), BM_OK);
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_ENTRY);
	assert_int_equal(e.digest_count, 1);
	assert_ptr_equal(e.digests[0].algorithm, bm_digest_find("sha512"));
	assert_int_equal(e.digests[0].len, 64);
	bm_hex_put(&hex, e.digests[0].bytes, 64);
	assert_string_equal(hex.data, "00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100"
	                              "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	assert_int_equal(e.line, 1);
	assert_string_equal(e.name, "a");
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_END);
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_END);
	bm_manifest_close(r);
	bm_buf_fini(&hex);
}

static void dot_slash_is_stripped_when_asked(void **state)
{
	static const char text[] = HEX32 "  ./a\n" HEX32 "  .//./b\n" HEX32 "  ./\n" HEX32 "  .//\n" HEX32
					 "  ./../c\n" HEX32 "  .a\n" HEX32 "  .///d/./e\n";
	struct bm_manifest_options o = {.strip_dot_slash = true};
	struct bm_buf out = {0};

	(void)state;
	render(&out, "x", &o, text, sizeof(text) - 1, 0);
	assert_string_equal(out.data, "gnu\na|-|-|md5:0123?\nb|-|-|md5:0123?\n./|-|-|md5:0123?\n.//|-|-|md5:0123?\n"
	                              "../c|-|-|md5:0123?|dotdot\n.a|-|-|md5:0123?\nd/./e|-|-|md5:0123?\n");
	bm_buf_fini(&out);
}

/* A line beyond the cap is one bad line, however long; those around it are read; nothing of it is kept. */
static void long_lines_are_bad_lines(void **state)
{
	const size_t sizes[] = {99, 100, 101, 102, 1000, 600000, 3000000};
	static const size_t pieces[] = {0, 37, 4096};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		for (size_t k = 0; k < COUNT(pieces); k++) {
			for (unsigned last = 0; last < 2; last++) {
				struct bm_manifest_options o = {.kind = BM_MANIFEST_KIND_GNU, .max_line_bytes = 100};
				struct bm_buf text = {0}, out = {0};
				size_t name = sizes[i] - 34;

				if (pieces[k] == 37 && sizes[i] > 1000)
					continue;
				bm_buf_puts(&text, HEX32 "  a\n" HEX32 "  ");
				assert_true(bm_buf_reserve(&text, name));
				memset(text.data + text.len, 'x', name);
				text.len += name;
				if (last == 0)
					bm_buf_puts(&text, "\n" HEX32 "  b\n");
				render(&out, "x", &o, text.data, text.len, pieces[k]);
				if (sizes[i] <= 100)
					assert_null(strstr(out.data, "!"));
				else
					assert_non_null(strstr(out.data,
					                       "\n!2: a line of more than 100 bytes, which is not "
					                       "read\n"));
				assert_non_null(strstr(out.data, "gnu\na|"));
				assert_int_equal(strstr(out.data, "\nb|-|-|md5:0123?\n") != NULL, last == 0);
				bm_buf_fini(&out);
				bm_buf_fini(&text);
			}
		}
	}
}

/* A line longer than the first buffer is read whole. */
static void long_names_are_read(void **state)
{
	struct bm_buf text = {0};
	struct memory_stream m = {.piece = 10000};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		bm_buf_puts(&text, "MD5 (");
		for (unsigned k = 0; k < 300000 * i + 1; k++)
			bm_buf_putc(&text, (char)('a' + k % 26));
		bm_buf_puts(&text, ") = " HEX32 "\n");
	}
	assert_false(text.oom);
	m.data = text.data;
	m.len = text.len;
	assert_int_equal(bm_manifest_open_stream(memory_read, &m, "x", NULL, &r, &err), BM_OK);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_ENTRY);
		assert_int_equal(e.name_len, 300000 * i + 1);
		assert_int_equal(strlen(e.name), e.name_len);
		assert_int_equal(e.name[e.name_len - 1], 'a' + (300000 * i) % 26);
	}
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_END);
	bm_manifest_close(r);
	bm_buf_fini(&text);
}

/* JSON with blocks has long lines: the kind is known from a line that does not end in what is looked at. */
static void a_long_json_line_is_known(void **state)
{
	struct bm_buf text = {0}, out = {0};

	(void)state;
	bm_buf_puts(&text, "{\"path\":\"a\",\"blocks\":{\"size\":1,\"algorithm\":\"md5\",\"digests\":[");
	for (unsigned i = 0; i < 20000; i++)
		bm_buf_puts(&text, i > 0 ? ",\"" HEX32 "\"" : "\"" HEX32 "\"");
	bm_buf_puts(&text, "]}}\n");
	render(&out, "x", NULL, text.data, text.len, 1000);
	assert_int_equal(strncmp(out.data, "json\na|-|-||1 md5 0123 0123 ", 28), 0);
	assert_int_equal(out.len, strlen("json\na|-|-||1 md5") + 20000 * 5 + 1);
	bm_buf_fini(&text);
	bm_buf_fini(&out);

	for (unsigned i = 0; i < 100000; i++)
		bm_buf_putc(&text, 'x');
	render(&out, "x", NULL, text.data, text.len, 0);
	assert_non_null(strstr(out.data, "?this is no checksum manifest: no line ends in its first 64 KiB"));
	bm_buf_fini(&text);
	bm_buf_fini(&out);
}

static void read_errors_are_errors(void **state)
{
	static const char text[] = HEX32 "  a\n" HEX32 "  b\n";

	(void)state;
	for (size_t at = 1; at < sizeof(text) - 1; at++) {
		struct memory_stream m = {.data = text, .len = sizeof(text) - 1, .fail_at = at, .piece = 5};
		struct bm_error err = BM_ERROR_INIT, again = BM_ERROR_INIT;
		struct bm_manifest_reader *r = NULL;
		struct bm_manifest_entry e;
		enum bm_manifest_event event;
		enum bm_status status = bm_manifest_open_stream(memory_read, &m, "x", NULL, &r, &err);

		if (at < sizeof(HEX32 "  a\n") - 1) { /* no line was whole */
			assert_int_equal(status, BM_ERR_SYSTEM);
			assert_null(r);
			continue;
		}
		assert_int_equal(status, BM_OK);
		assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_ENTRY);
		event = bm_manifest_next(r, &e, &err);
		assert_int_equal(event, BM_MANIFEST_FAILED);
		assert_int_equal(err.status, BM_ERR_SYSTEM);
		assert_int_equal(err.sys_errno, EIO);
		assert_int_equal(bm_manifest_next(r, &e, &again), BM_MANIFEST_FAILED);
		assert_string_equal(again.text, err.text);
		bm_manifest_close(r);
	}
}

static void files_are_opened(void **state)
{
	char path[] = "/tmp/bm-test-manifest-XXXXXX";
	int fd = mkstemp(path);
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, HEX32 "  a\nnonsense\n", 45), 45);
	assert_int_equal(bm_manifest_open_path(path, NULL, &r, &err), BM_OK);
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_ENTRY);
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_BAD_LINE);
	assert_int_equal(bm_manifest_bad_line_error(r, &e, &err), BM_ERR_FORMAT);
	assert_non_null(strstr(err.where, path));
	assert_string_equal(err.where + strlen(err.where) - 2, ":2");
	assert_string_equal(err.text, e.fault);
	assert_int_equal(bm_manifest_next(r, &e, &err), BM_MANIFEST_END);
	bm_manifest_close(r);

	/* A descriptor is read from where it stands, and is left open. */
	assert_int_equal(lseek(fd, 8, SEEK_SET), 8);
	bm_error_clear(&err);
	assert_int_equal(bm_manifest_open_fd(fd, "some\nname", NULL, &r, &err), BM_ERR_FORMAT);
	assert_null(r);
	assert_string_equal(err.where, "some\\nname");
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	unlink(path);

	bm_error_clear(&err);
	assert_int_equal(bm_manifest_open_path(path, NULL, &r, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOENT);
	bm_error_clear(&err);
	assert_int_equal(bm_manifest_open_path("/", NULL, &r, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EISDIR);
	bm_manifest_close(NULL);
}

static void options_are_checked(void **state)
{
	struct memory_stream m = {.data = "", .len = 0};
	struct bm_manifest_options o = {.kind = BM_MANIFEST_KIND_SFV, .nul = true};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_manifest_reader *r = NULL;
	enum bm_manifest_kind kind = BM_MANIFEST_KIND_AUTO;

	(void)state;
	assert_int_equal(bm_manifest_open_stream(memory_read, &m, "x", &o, &r, &err), BM_ERR_USAGE);
	o.kind = BM_MANIFEST_KIND_AUTO; /* nul alone says enough */
	bm_error_clear(&err);
	assert_int_equal(bm_manifest_open_stream(memory_read, &m, "x", &o, &r, &err), BM_OK);
	assert_int_equal(bm_manifest_kind(r), BM_MANIFEST_KIND_GNU);
	assert_true(bm_manifest_is_nul(r));
	bm_manifest_close(r);
	for (enum bm_manifest_kind k = BM_MANIFEST_KIND_AUTO; k <= BM_MANIFEST_KIND_XXHSUM; k++) {
		assert_true(bm_manifest_kind_find(bm_manifest_kind_name(k), &kind));
		assert_int_equal(kind, k);
	}
	assert_false(bm_manifest_kind_find("foo", &kind));
}

static void lengths_have_candidates(void **state)
{
	const struct bm_digest_algorithm *found[BM_MANIFEST_CANDIDATES_MAX];
	static const char *const first[] = {"crc32", "xxh64", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"};
	size_t n = bm_manifest_candidates(32, found), total = 0, count;

	(void)state;
	assert_int_equal(n, 6);
	assert_string_equal(found[0]->name, "sha256");
	for (size_t i = 0; i < n; i++)
		assert_int_equal(found[i]->size_bytes, 32);
	assert_int_equal(bm_manifest_candidates(5, found), 0);
	assert_int_equal(bm_manifest_candidates(0, found), 0);
	for (size_t len = 0, i = 0; len <= 64; len++) {
		n = bm_manifest_candidates(len, found);
		total += n;
		if (n > 0)
			assert_string_equal(found[0]->name, first[i++]);
	}
	(void)bm_digest_algorithms(&count);
	assert_int_equal(total, count); /* none is lost: the array is large enough */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_whole),         cmocka_unit_test(dot_slash_is_stripped_when_asked),
		cmocka_unit_test(long_lines_are_bad_lines),  cmocka_unit_test(long_names_are_read),
		cmocka_unit_test(a_long_json_line_is_known), cmocka_unit_test(read_errors_are_errors),
		cmocka_unit_test(files_are_opened),          cmocka_unit_test(options_are_checked),
		cmocka_unit_test(lengths_have_candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
