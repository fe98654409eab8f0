/* Tests of bm_walk.h: order, names, filters, links, globs, lists, depth, descriptors. */
#include "io_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bm_glob.h"
#include "bm_mem.h"
#include "bm_walk.h"
#include "fail_alloc.h"

/* ---- helpers ---- */

static struct bm_walk_counts counts;

/* One line an entry: kind letter, path, and " as display" where display is not "ROOT/path"-like obvious; see texts. */
static char *list_all(struct bm_walk_options *o)
{
	struct bm_walk *w;
	struct bm_buf out = {0};
	assert_int_equal(bm_walk_create(o, &w, NULL), BM_OK);
	for (struct bm_entry *e; (e = bm_walk_next(w, &test_blocker)) != NULL; bm_entry_destroy(e)) {
		assert_int_equal(blocked_now, 0);
		assert_int_equal(e->path_len, strlen(e->path));
		assert_int_equal(e->display_len, strlen(e->display));
		bm_buf_printf(&out, "%c %s|%s\n",
		              e->kind == BM_ENTRY_FILE     ? 'f'
		              : e->kind == BM_ENTRY_STREAM ? 's'
		                                           : 'E',
		              e->path, e->display);
		if (e->kind == BM_ENTRY_ERROR) {
			assert_non_null(e->error);
			assert_int_not_equal(e->error->status, BM_OK);
			assert_true(e->error->text[0] != '\0');
			assert_true(e->error->where[0] != '\0');
		}
	}
	assert_null(bm_walk_next(w, NULL)); /* the end stays the end */
	bm_walk_get_counts(w, &counts);
	bm_walk_destroy(w);
	bm_buf_puts(&out, "");
	return bm_buf_take(&out);
}

static void assert_list(struct bm_walk_options *o, const char *want)
{
	char *got = list_all(o);
	assert_string_equal(got, want);
	free(got);
}

static void assert_root(const char *root, const char *want)
{
	struct bm_walk_root r = {.path = root};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	assert_list(&o, want);
}

static void assert_glob(const char *pattern, const char *want)
{
	struct bm_walk_root r = {.path = pattern, .is_glob = true};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	assert_list(&o, want);
}

static struct bm_glob *glob(const char *text)
{
	struct bm_glob *g;
	assert_int_equal(bm_glob_compile(text, &g, NULL), BM_OK);
	return g;
}

static char *read_command(const char *command, size_t *len)
{
	struct bm_buf b = {0};
	char part[4096];
	size_t n;
	FILE *f = popen(command, "re");
	assert_non_null(f);
	while ((n = fread(part, 1, sizeof part, f)) > 0)
		bm_buf_put(&b, part, n);
	assert_int_equal(pclose(f), 0);
	*len = b.len;
	return bm_buf_take(&b);
}

static size_t count_listed(struct bm_walk_options *o, size_t *errors)
{
	struct bm_walk *w;
	size_t n = 0;
	*errors = 0;
	assert_int_equal(bm_walk_create(o, &w, NULL), BM_OK);
	for (struct bm_entry *e; (e = bm_walk_next(w, NULL)) != NULL; bm_entry_destroy(e)) {
		if (e->kind == BM_ENTRY_ERROR) {
			(*errors)++;
			print_message("%s\n", e->error->text);
		} else {
			n++;
		}
	}
	bm_walk_destroy(w);
	return n;
}

/* ---- order and names ---- */

/* A tree of names over all bytes, and of names around '/', must come as find | sort gives it. */
static void order_is_that_of_sort(void **state)
{
	(void)state;
	const char *around[] = {"a", "a-", "a.",  "a0",        "ab",  "a!",   "a b",
	                        "b", "A",  "a\n", "a\x1b[31m", "-rf", "\xff", "\xc3\xa9"};
	const size_t n = sizeof around / sizeof around[0];
	make_dir("t");
	for (size_t i = 0; i < n; i++) {
		char name[64];
		(void)snprintf(name, sizeof name, "t/%s%s", around[i], i % 3 == 0 ? "" : "x");
		if (i % 2 == 0) {
			make_file(name, "");
			continue;
		}
		make_dir(name);
		for (size_t k = 0; k < n; k++) {
			char deep[128];
			(void)snprintf(deep, sizeof deep, "%s/%s", name, around[k]);
			make_file(deep, "");
		}
	}
	make_dir("t/a-dir");
	make_dir("t/a-dir.d");
	make_dir("t/a-dir0");
	make_file("t/a-dir/z", "");
	make_file("t/a-dir.d/z", "");
	make_file("t/a-dir0/z", "");
	make_file("t/a-dir+", "");
	make_dir("t/all");
	for (int c = 1; c < 256; c++) {
		char name[32];
		if (c == '/')
			continue;
		(void)snprintf(name, sizeof name, "t/all/%c%s", c, c == '.' ? "dot" : "");
		make_file(name, "");
		(void)snprintf(name, sizeof name, "t/all/12345678%c", c); /* beyond the sort key */
		make_file(name, "");
		if (c % 3 == 0) {
			(void)snprintf(name, sizeof name, "t/all/1234567%cd", c); /* around its end */
			make_dir(name);
			(void)strcat(name, "/f");
			make_file(name, "");
		}
	}
	char longest[300];
	memset(longest, 'n', sizeof longest);
	memcpy(longest, "t/", 2);
	longest[257] = '\0';
	make_file(longest, "");

	size_t want_len, at = 0, files = 0;
	char *want = read_command("find t -type f -printf '%P\\0' | LC_ALL=C sort -z", &want_len);
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .hidden = true};
	struct bm_walk *w;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	for (struct bm_entry *e; (e = bm_walk_next(w, NULL)) != NULL; bm_entry_destroy(e)) {
		assert_int_equal(e->kind, BM_ENTRY_FILE);
		assert_true(at < want_len);
		assert_string_equal(e->path, want + at);
		assert_memory_equal(e->display, "t/", 2);
		assert_string_equal(e->display + 2, e->path);
		assert_non_null(e->dir);
		assert_false(e->has_stat);
		at += strlen(want + at) + 1;
		files++;
	}
	assert_int_equal(at, want_len);
	assert_true(files > 600);
	bm_walk_destroy(w);
	free(want);
}

static void displays_and_roots(void **state)
{
	(void)state;
	make_dir("d");
	make_dir("d/e");
	make_file("d/x", "");
	make_file("d/e/y", "");
	assert_root("d", "f e/y|d/e/y\nf x|d/x\n");
	assert_root("d/", "f e/y|d/e/y\nf x|d/x\n");
	assert_root("./d", "f e/y|./d/e/y\nf x|./d/x\n");
	assert_root("d/x", "f x|d/x\n");
	assert_root("d/e/../x", "f x|d/e/../x\n");
	assert_root("missing", "E missing|missing\n");
	assert_root("d/x/", "E d/x/|d/x/\n");
	assert_root("", "E |\n");
	struct bm_walk_root r[] = {{.path = "d/x"}, {.path = "-"}, {.path = "gone"}, {.path = "d/e"}, {.path = "d/x"}};
	struct bm_walk_options o = {.roots = r, .root_count = 5};
	assert_list(&o, "f x|d/x\ns -|-\nE gone|gone\nf y|d/e/y\nf x|d/x\n");
	assert_int_equal(chdir("d"), 0);
	assert_root(".", "f e/y|./e/y\nf x|./x\n");
	make_file("-", "");
	struct bm_walk_root dash = {.path = "-", .literal_dash = true};
	struct bm_walk_options od = {.roots = &dash, .root_count = 1};
	assert_list(&od, "f -|-\n");
	assert_int_equal(unlink("-"), 0);
	assert_int_equal(mkfifo("-", 0600), 0);
	assert_list(&od, "s -|./-\n");
	struct bm_walk_root twice[] = {{.path = "-"}, {.path = "-"}};
	struct bm_walk_options ot = {.roots = twice, .root_count = 2};
	struct bm_walk *w;
	assert_int_equal(bm_walk_create(&ot, &w, NULL), BM_ERR_USAGE);
	assert_null(w);
	ot.root_count = 1;
	ot.list_path = "-";
	assert_int_equal(bm_walk_create(&ot, &w, NULL), BM_ERR_USAGE);
}

/* The root of the file system: no "//". Its other file systems are left alone, and nearly all is pruned. */
static void root_directory(void **state)
{
	(void)state;
	struct bm_glob *in = glob("etc/passwd");
	const struct bm_glob *include[] = {in};
	struct bm_walk_root r = {.path = "/"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .include = include, .include_count = 1};
	assert_list(&o, "f etc/passwd|/etc/passwd\n");
	bm_glob_destroy(in);
	assert_glob("/et[c]/passwd", "f etc/passwd|/etc/passwd\n");
}

static void kinds_and_hidden(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/.h");
	make_file("t/.h/x", "");
	make_file("t/.f", "");
	make_file("t/r", "");
	make_dir("t/empty");
	assert_int_equal(mkfifo("t/fifo", 0600), 0);
	assert_int_equal(symlink("r", "t/link"), 0);
	assert_int_equal(symlink("nowhere", "t/dangling"), 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "t/sock"};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s, (const struct sockaddr *)&a, sizeof a), 0);
	assert_root("t", "f r|t/r\n");
	assert_int_equal(counts.hidden, 2);
	assert_int_equal(counts.symlinks, 2);
	assert_int_equal(counts.special, 2);
	assert_root("t/.f", "f .f|t/.f\n"); /* a root is never hidden */
	/* include: links to what it leaves out do not count, a link to a directory that it would enter does. */
	assert_int_equal(symlink("empty", "t/to-dir"), 0);
	struct bm_glob *in = glob("*.x"), *deep = glob("deep/*.x"), *out = glob("to-*");
	const struct bm_glob *include[] = {in, deep}, *exclude[] = {out};
	struct bm_walk_root filtered = {.path = "t"};
	struct bm_walk_options f = {.roots = &filtered, .root_count = 1, .include = include, .include_count = 1};
	assert_list(&f, "");
	assert_int_equal(counts.symlinks, 1);
	assert_int_equal(counts.excluded, 5); /* r, fifo, sock, link, dangling: each once */
	f.include = include + 1;
	assert_list(&f, "");
	assert_int_equal(counts.symlinks, 0);
	f.include = include;
	f.exclude = exclude;
	f.exclude_count = 1;
	assert_list(&f, "");
	assert_int_equal(counts.symlinks, 0);
	bm_glob_destroy(in);
	bm_glob_destroy(deep);
	bm_glob_destroy(out);
	assert_int_equal(unlink("t/to-dir"), 0);
	assert_root("t/.h", "f x|t/.h/x\n");
	assert_root("t/link", "f link|t/link\n");
	assert_root("t/dangling", "E t/dangling|t/dangling\n");
	assert_root("t/fifo", "s fifo|t/fifo\n");
	assert_root("t/sock", "E sock|t/sock\n");
	assert_root("/dev/null", "s null|/dev/null\n");
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .hidden = true};
	assert_list(&o, "f .f|t/.f\nf .h/x|t/.h/x\nf r|t/r\n");
	(void)close(s);
}

/* ---- links ---- */

static void links_followed(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/a");
	make_dir("t/a/b");
	make_file("t/a/b/f", "f");
	make_dir("other");
	make_file("other/o", "o");
	assert_int_equal(symlink("..", "t/a/b/up"), 0);    /* a loop */
	assert_int_equal(symlink("self", "t/self"), 0);    /* a link to itself */
	assert_int_equal(symlink("nowhere", "t/zz"), 0);   /* dangling */
	assert_int_equal(symlink("../other", "t/a-o"), 0); /* a directory elsewhere, compared as "a-o/" */
	assert_int_equal(symlink("a/b/f", "t/file"), 0);
	assert_int_equal(symlink("/dev/null", "t/null"), 0);
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .follow_symlinks = true};
	assert_list(&o,
	            "f a-o/o|t/a-o/o\nf a/b/f|t/a/b/f\nE a/b/up|t/a/b/up\nf file|t/file\nE self|t/self\nE zz|t/zz\n");
	assert_int_equal(counts.special, 1);
	o.follow_symlinks = false;
	assert_list(&o, "f a/b/f|t/a/b/f\n");
	assert_int_equal(counts.symlinks, 6);
	/* A loop that comes back above the root: the root is met again by a plain name. */
	make_dir("top");
	make_dir("top/sub");
	make_file("top/sub/f", "");
	assert_int_equal(symlink("..", "top/sub/l"), 0);
	r.path = "top/sub";
	o.follow_symlinks = true;
	assert_list(&o, "f f|top/sub/f\nE l/sub|top/sub/l/sub\n");
}

/* ---- filters ---- */

static void include_and_exclude(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/src");
	make_dir("t/src/deep");
	make_dir("t/debug");
	make_dir("t/debug/x");
	make_file("t/a.log", "");
	make_file("t/a.txt", "");
	make_file("t/src/b.log", "");
	make_file("t/src/deep/c.log", "");
	make_file("t/src/deep/c.txt", "");
	make_file("t/debug/x/d.log", "");
	struct bm_glob *log = glob("**/*.log"), *debug = glob("debug/**"), *deep = glob("src/deep/*.log"),
		       *name = glob("deep");
	const struct bm_glob *include[] = {log}, *exclude[] = {debug}, *include_deep[] = {deep},
			     *exclude_name[] = {name};
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .include = include, .include_count = 1};
	assert_list(&o, "f a.log|t/a.log\nf debug/x/d.log|t/debug/x/d.log\nf src/b.log|t/src/b.log\n"
	                "f src/deep/c.log|t/src/deep/c.log\n");
	assert_int_equal(counts.excluded, 2);
	o.exclude = exclude;
	o.exclude_count = 1;
	assert_list(&o, "f a.log|t/a.log\nf src/b.log|t/src/b.log\nf src/deep/c.log|t/src/deep/c.log\n");
	assert_int_equal(counts.excluded, 3); /* the pruned directory counts once */
	o.include = include_deep;
	assert_list(&o, "f src/deep/c.log|t/src/deep/c.log\n");
	o.exclude = exclude_name; /* a directory that matches an exclude is left out whole */
	o.include_count = 0;
	assert_list(&o, "f a.log|t/a.log\nf a.txt|t/a.txt\nf debug/x/d.log|t/debug/x/d.log\nf src/b.log|t/src/b.log\n");
	struct bm_walk_root one = {.path = "t/a.txt"}; /* a named file is filtered by its name */
	o.roots = &one;
	o.include_count = 1;
	o.include = include;
	assert_list(&o, "");
	assert_int_equal(counts.excluded, 1);
	bm_glob_destroy(log);
	bm_glob_destroy(debug);
	bm_glob_destroy(deep);
	bm_glob_destroy(name);
}

static void sizes_and_times(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/m");
	char text[40] = "0123456789012345678901234567890123456789";
	for (int i = 0; i < 200; i++) { /* several batches, with a directory between them */
		char name[32];
		(void)snprintf(name, sizeof name, "t/%c%03d", i % 2 ? 'a' : 'z', i);
		make_file_len(name, text, (size_t)i % 7);
		const struct timespec when[2] = {{.tv_sec = 1000 + i, .tv_nsec = 5},
		                                 {.tv_sec = 1000 + i, .tv_nsec = 5}};
		assert_int_equal(utimensat(AT_FDCWD, name, when, 0), 0);
	}
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .need_stat = true};
	struct bm_walk *w;
	size_t n = 0;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	for (struct bm_entry *e; (e = bm_walk_next(w, &test_blocker)) != NULL; bm_entry_destroy(e), n++) {
		struct stat st;
		assert_int_equal(stat(e->display, &st), 0);
		assert_true(e->has_stat);
		assert_int_equal(e->st.size, st.st_size);
		assert_int_equal(e->st.mtime_s, st.st_mtim.tv_sec);
		assert_int_equal(e->st.mtime_ns, 5);
		assert_int_equal(e->st.ino, st.st_ino);
		assert_int_equal(e->st.dev, st.st_dev);
		assert_int_equal(e->st.mode, st.st_mode);
	}
	assert_int_equal(n, 200);
	bm_walk_destroy(w);
	size_t errors;
	o.need_stat = false;
	o.min_size = 6;
	assert_int_equal(count_listed(&o, &errors), 28);
	o.max_size = 6;
	assert_int_equal(count_listed(&o, &errors), 28);
	o.min_size = 0;
	o.max_size = 1;
	assert_int_equal(count_listed(&o, &errors), 58);
	o.max_size = 0;
	o.has_newer = true;
	o.newer = (struct timespec){.tv_sec = 1100, .tv_nsec = 5}; /* inclusive */
	assert_int_equal(count_listed(&o, &errors), 100);
	o.newer.tv_nsec = 6;
	assert_int_equal(count_listed(&o, &errors), 99);
	o.has_older = true;
	o.older = (struct timespec){.tv_sec = 1101, .tv_nsec = 5};
	assert_int_equal(count_listed(&o, &errors), 1);
	assert_int_equal(errors, 0);
}

static void own_outputs_are_no_inputs(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/out");
	make_dir("t/out/deep");
	make_dir("t/outer");
	make_file("t/out/deep/x", "");
	make_file("t/outer/x", "");
	make_file("t/SUMS", "");
	make_file("t/SUMS2", "");
	make_file("t/.bytemill-r-1.tmp", "");
	make_file("t/.bytemillion", "");
	make_dir("l");
	assert_int_equal(symlink("../t", "l/to-t"), 0);
	assert_int_equal(symlink("../t/SUMS", "l/to-sums"), 0);
	assert_int_equal(symlink("../t/out/deep", "l/to-deep"), 0);
	assert_int_equal(symlink("t", "s"), 0);
	char out[128], sums[128];
	(void)snprintf(out, sizeof out, "%s/t/out", scratch_dir);
	(void)snprintf(sums, sizeof sums, "%s/t/SUMS", scratch_dir);
	const char *skip[] = {sums, out};
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r,
	                            .root_count = 1,
	                            .hidden = true,
	                            .skip_paths = skip,
	                            .skip_path_count = 2,
	                            .skip_name_prefix = ".bytemill-"};
	assert_list(&o, "f .bytemillion|t/.bytemillion\nf SUMS2|t/SUMS2\nf outer/x|t/outer/x\n");
	assert_int_equal(counts.own_outputs, 3);
	r.path = "s"; /* through a link, the real path is the same */
	assert_list(&o, "f .bytemillion|s/.bytemillion\nf SUMS2|s/SUMS2\nf outer/x|s/outer/x\n");
	r.path = "t/out/deep/../../SUMS";
	assert_list(&o, "");
	r.path = "t/out/deep"; /* below a skipped directory */
	assert_list(&o, "");
	assert_int_equal(counts.own_outputs, 1);
	r.path = "l";
	o.follow_symlinks = true;
	assert_list(
		&o,
		"f to-t/.bytemillion|l/to-t/.bytemillion\nf to-t/SUMS2|l/to-t/SUMS2\nf to-t/outer/x|l/to-t/outer/x\n");
	assert_int_equal(counts.own_outputs, 5);
}

static void one_filesystem(void **state)
{
	(void)state;
	SKIP_UNLESS_ROOT();
	make_dir("t");
	make_dir("t/mnt");
	make_file("t/x", "");
	MOUNT_TMPFS_OR_SKIP("t/mnt", "size=64k");
	make_file("t/mnt/y", "");
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .one_filesystem = true};
	char *one = list_all(&o);
	uint64_t left = counts.other_filesystem;
	o.one_filesystem = false;
	char *all = list_all(&o);
	assert_int_equal(umount("t/mnt"), 0);
	assert_string_equal(one, "f x|t/x\n");
	assert_int_equal(left, 1);
	assert_string_equal(all, "f mnt/y|t/mnt/y\nf x|t/x\n");
	free(one);
	free(all);
}

static int walk_unreadable(void)
{
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	char *got = list_all(&o);
	return strcmp(got, "f a|t/a\nE locked|t/locked\nf z|t/z\n") != 0;
}

static void unreadable_directory_is_reported(void **state)
{
	(void)state;
	SKIP_UNLESS_ROOT();
	assert_int_equal(chmod(".", 0755), 0);
	make_dir("t");
	make_file("t/a", "");
	make_dir("t/locked");
	make_file("t/locked/x", "");
	make_file("t/z", "");
	assert_int_equal(chmod("t/locked", 0), 0);
	assert_int_equal(as_nobody(walk_unreadable), 0);
}

/* ---- globs ---- */

static void globs_as_roots(void **state)
{
	(void)state;
	make_dir("v");
	make_dir("v/app");
	make_dir("v/app/sub");
	make_dir("v/.git");
	make_dir("v/.git/x");
	make_file("v/a.log", "");
	make_file("v/b.log", "");
	make_file("v/c.txt", "");
	make_file("v/.hid.log", "");
	make_file("v/app/a.log", "");
	make_file("v/app/sub/s.log", "");
	make_file("v/.git/x/config", "");
	make_file("v/star*", "");
	assert_glob("v/*.log", "f a.log|v/a.log\nf b.log|v/b.log\n");
	assert_glob("v//*.log", "f a.log|v/a.log\nf b.log|v/b.log\n");
	assert_glob("v/**/*.log",
	            "f a.log|v/a.log\nf app/a.log|v/app/a.log\nf app/sub/s.log|v/app/sub/s.log\nf b.log|v/b.log\n");
	assert_glob("v/ap*", "f app/a.log|v/app/a.log\nf app/sub/s.log|v/app/sub/s.log\n"); /* a tree that matches */
	assert_glob("v/*/a.log", "f app/a.log|v/app/a.log\n");
	assert_glob("v/.hid*", "f .hid.log|v/.hid.log\n");
	assert_glob("v/**/.git/*/config", "f .git/x/config|v/.git/x/config\n");
	assert_glob("v/*.zip", "E v/*.zip|v/*.zip\n");
	assert_glob("nodir/*", "E nodir/*|nodir/*\n");
	assert_glob("v/[", "E v/[|v/[\n");
	assert_glob("v/a.log", "f a.log|v/a.log\n"); /* no magic */
	assert_glob("v/star\\*", "f star*|v/star*\n");
	assert_glob("v/star[*]", "f star*|v/star*\n");
	assert_int_equal(chdir("v"), 0);
	assert_glob("*.log", "f a.log|a.log\nf b.log|b.log\n");
	assert_glob("*.log/", "E *.log/|*.log/\n");
}

/* ---- lists ---- */

static void lists_of_names(void **state)
{
	(void)state;
	make_dir("base");
	make_dir("base/d");
	make_dir("base/e");
	make_file("base/b", "");
	make_file("base/d/2", "");
	make_file("base/d/1", "");
	make_file("base/-", "");
	make_file("base/a\nb", "");
	make_file("top", "");
	struct bm_walk_root r = {.path = "top"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1, .list_path = "list", .list_base = "base"};
	make_file("list", "b\n\n./d//2\nd\n-\nmissing\ne/../b\n../top\nd/../../top\n/dev/null\n.\nb");
	assert_list(&o,
	            "f top|top\nf b|base/b\nf d/2|base/./d//2\nf d/1|base/d/1\nf d/2|base/d/2\nf -|base/-\n"
	            "E missing|base/missing\nf b|base/e/../b\nE base/../top|base/../top\n"
	            "E base/d/../../top|base/d/../../top\ns dev/null|/dev/null\n"
	            "f -|base/./-\nf a\nb|base/./a\nb\nf b|base/./b\nf d/1|base/./d/1\nf d/2|base/./d/2\nf b|base/b\n");
	o.list_nul = true;
	make_file_len("list", "a\nb\0./d/\0b", 10);
	assert_list(&o, "f top|top\nf a\nb|base/a\nb\nf d/1|base/./d/1\nf d/2|base/./d/2\nf b|base/b\n");
	o.list_nul = false;
	make_file_len("list", "d/1\0d/2\nb\n", 10);
	assert_list(&o, "f top|top\nE d/1|d/1\nf b|base/b\n");
	o.list_base = NULL;
	o.root_count = 0;
	make_file("list", "top\n");
	assert_list(&o, "f top|top\n");
	o.list_path = "nolist";
	assert_list(&o, "E nolist|nolist\n");
	o.list_path = "base"; /* a directory cannot be read */
	assert_list(&o, "E base|base\n");

	/* An entry past the limit is reported and the next one is found again; one at the limit is only a bad name. */
	size_t big = ((size_t)64 << 10) + 1;
	char *text = malloc(2 * big + 10);
	assert_non_null(text);
	memset(text, 'q', 2 * big);
	text[big] = '\n';
	text[2 * big] = '\n';
	memcpy(text + 2 * big + 1, "top", 3);
	make_file_len("list", text, 2 * big + 4);
	o.list_path = "list";
	struct bm_walk *w;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	struct bm_entry *e = bm_walk_next(w, NULL);
	assert_int_equal(e->error->status, BM_ERR_LIMIT);
	bm_entry_destroy(e);
	e = bm_walk_next(w, NULL);
	assert_int_equal(e->kind, BM_ENTRY_ERROR);
	assert_int_equal(e->error->sys_errno, ENAMETOOLONG);
	bm_entry_destroy(e);
	e = bm_walk_next(w, NULL);
	assert_string_equal(e->path, "top");
	assert_int_equal(e->root, 0);
	bm_entry_destroy(e);
	assert_null(bm_walk_next(w, NULL));
	bm_walk_destroy(w);
	free(text);
}

static void a_cancel_ends_the_wait_for_a_list(void **state)
{
	(void)state;
	struct bm_blocker b = cancelled_blocker();
	assert_int_equal(mkfifo("p", 0600), 0);
	int w = open("p", O_RDWR | O_CLOEXEC);
	struct bm_walk_options o = {.list_path = "p", .cancel_fd = b.cancel_fd};
	(void)alarm(20);
	assert_list(&o, "E p|p\n");
	(void)alarm(0);
	(void)close(w);
	(void)close(b.cancel_fd);
}

/* ---- depth and descriptors ---- */

/* Makes depth directories of that name, one in the other, with a file "f" in each; gives the descriptor of the last. */
static int make_deep(const char *top, const char *name, int depth)
{
	make_dir(top);
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < depth; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(fd);
		fd = next;
		int f = openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_int_equal(write(f, "deep", 4), 4);
		(void)close(f);
	}
	return fd;
}

static void remove_deep(const char *top)
{
	char command[64]; /* rm is iterative */
	(void)snprintf(command, sizeof command, "rm -rf -- %s", top);
	assert_int_equal(system(command), 0);
}

static void ten_thousand_levels(void **state)
{
	(void)state;
	const int depth = 10000;
	(void)close(make_deep("t", "d", depth));
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	struct bm_walk *w;
	size_t files = 0, base = count_fds(), most = 0, longest = 0;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	for (struct bm_entry *e; (e = bm_walk_next(w, NULL)) != NULL; bm_entry_destroy(e)) {
		if (e->kind != BM_ENTRY_FILE)
			fail_msg("%s", e->error->text);
		assert_int_equal(e->path_len % 2, 1);
		longest = e->path_len > longest ? e->path_len : longest;
		files++;
		if (files % 500 == 0) {
			size_t now = count_fds();
			most = now > most ? now : most;
			struct bm_source *s;
			uint8_t buf[16];
			size_t len;
			bool last, hole;
			assert_int_equal(bm_source_open(e, false, NULL, &s, NULL), BM_OK);
			assert_int_equal(bm_source_read(s, buf, sizeof buf, &len, &last, &hole, NULL, NULL), BM_OK);
			assert_int_equal(len, 4);
			bm_source_close(s);
		}
	}
	assert_int_equal(files, depth);
	assert_int_equal(longest, 2 * depth + 1);
	assert_true(most <= base + 66);
	bm_walk_destroy(w);
	assert_int_equal(count_fds(), base);
	remove_deep("t");
}

/* Names of 255 bytes, 40 deep: 10 KiB of path; as a root too. */
static void paths_past_path_max(void **state)
{
	(void)state;
	char name[256];
	memset(name, 'n', 255);
	name[255] = '\0';
	int fd = make_deep("t", name, 40);
	int sub = openat(fd, "last", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	(void)close(sub);
	(void)close(fd);
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	size_t errors;
	assert_int_equal(count_listed(&o, &errors), 41);
	assert_int_equal(errors, 0);
	struct bm_buf deep = {0};
	bm_buf_puts(&deep, "t");
	for (int i = 0; i < 40; i++)
		bm_buf_printf(&deep, "/%s", name);
	r.path = deep.data;
	assert_int_equal(count_listed(&o, &errors), 2);
	bm_buf_puts(&deep, "/last");
	r.path = deep.data;
	assert_int_equal(count_listed(&o, &errors), 1);
	struct bm_entry *e = bm_entry_create(BM_ENTRY_FILE, "last", 4, deep.data, deep.len);
	struct bm_source *s;
	assert_int_equal(bm_source_open(e, false, NULL, &s, NULL), BM_OK);
	bm_source_close(s);
	bm_entry_destroy(e);
	bm_buf_fini(&deep);
}

/* With a handful of descriptors, and every entry held: handles fall back to opening by path, and nothing is lost. */
static int walk_with_few_descriptors(void)
{
	const struct rlimit few = {24, 24};
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	struct bm_entry *held[300];
	struct bm_walk *w;
	size_t n = 0;
	if (setrlimit(RLIMIT_NOFILE, &few) != 0)
		return 90;
	if (bm_walk_create(&o, &w, NULL) != BM_OK)
		return 91;
	while (n < 300 && (held[n] = bm_walk_next(w, NULL)) != NULL)
		if (held[n++]->kind != BM_ENTRY_FILE)
			return 92;
	if (n != 200)
		return 93;
	bm_walk_destroy(w);
	for (size_t i = 0; i < n; i++) {
		struct bm_source *s;
		if (bm_source_open(held[i], false, NULL, &s, NULL) != BM_OK)
			return 94;
		bm_source_close(s);
	}
	/* A directory that another took the place of is not opened in its stead. */
	struct bm_error err = BM_ERROR_INIT;
	struct bm_source *s;
	if (rename("t/d099", "t/gone") != 0 || mkdir("t/d099", 0755) != 0)
		return 95;
	make_file("t/d099/f", "wrong");
	if (bm_source_open(held[198], false, NULL, &s, &err) == BM_OK || err.sys_errno != ESTALE)
		return 96;
	for (size_t i = 0; i < n; i++)
		bm_entry_destroy(held[i]);
	return 0;
}

static void few_descriptors(void **state)
{
	(void)state;
	make_dir("t");
	for (int i = 0; i < 100; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "t/d%03d", i);
		make_dir(name);
		(void)strcat(name, "/f");
		make_file(name, "");
		name[strlen(name) - 1] = 'g';
		make_file(name, "");
	}
	pid_t pid = fork();
	if (pid == 0)
		_exit(walk_with_few_descriptors());
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* Deeper than the descriptors reach. */
	(void)close(make_deep("u", "d", 100));
	pid = fork();
	if (pid == 0) {
		const struct rlimit few = {24, 24};
		struct bm_walk_root r = {.path = "u"};
		struct bm_walk_options o = {.roots = &r, .root_count = 1};
		size_t errors;
		_exit(setrlimit(RLIMIT_NOFILE, &few) != 0 || count_listed(&o, &errors) != 100 || errors != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A directory that is moved away while the walk is far below it: its rest is reported, the walk goes on. */
static void moved_while_listed(void **state)
{
	(void)state;
	(void)close(make_deep("t", "d", 100));
	make_file("t/z", "");
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	struct bm_walk *w;
	char at[256] = "t";
	for (int i = 0; i < 100; i++)
		(void)strcat(at, "/d"); /* the deepest */
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	struct bm_entry *e = bm_walk_next(w, NULL); /* "f" of the deepest: 'd/' sorts before 'f' */
	assert_string_equal(e->display + strlen(at), "/f");
	bm_entry_destroy(e);
	assert_int_equal(rename("t/d/d/d", "moved"), 0); /* ".." of what is below leads to moved/.., not to t/d/d */
	size_t files = 1, errors = 0;
	for (; (e = bm_walk_next(w, NULL)) != NULL; bm_entry_destroy(e)) {
		struct bm_source *s;
		files += e->kind == BM_ENTRY_FILE;
		errors += e->kind == BM_ENTRY_ERROR || bm_source_open(e, false, NULL, &s, NULL) != BM_OK;
		if (e->kind == BM_ENTRY_FILE)
			bm_source_close(s);
	}
	bm_walk_destroy(w);
	/* t/d/d is found again by its path, so nothing is lost. */
	assert_int_equal(errors, 0);
	assert_int_equal(files, 101);
}

/* Entries outlive the walk; a name that became a link or a FIFO since then is refused, not followed. */
static void entries_are_safe_to_open(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/s");
	make_file("t/s/a", "right");
	make_file("t/s/b", "b");
	make_file("secret", "secret");
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	struct bm_walk *w;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	struct bm_entry *a = bm_walk_next(w, NULL), *b = bm_walk_next(w, NULL);
	bm_walk_destroy(w);
	assert_int_equal(rename("t/s", "t/elsewhere"), 0); /* the handle still leads there */
	assert_int_equal(symlink("..", "t/s"), 0);
	struct bm_source *s;
	struct bm_error err = BM_ERROR_INIT;
	assert_int_equal(bm_source_open(a, false, NULL, &s, NULL), BM_OK);
	bm_source_close(s);
	assert_int_equal(unlink("t/elsewhere/b"), 0);
	assert_int_equal(symlink("../../secret", "t/elsewhere/b"), 0);
	assert_int_equal(bm_source_open(b, false, NULL, &s, &err), BM_ERR_SYSTEM);
	assert_null(s);
	assert_int_equal(err.sys_errno, ELOOP);
	assert_int_equal(bm_source_open(b, true, NULL, &s, NULL), BM_OK);
	bm_source_close(s);
	assert_int_equal(unlink("t/elsewhere/b"), 0);
	assert_int_equal(mkfifo("t/elsewhere/b", 0600), 0);
	err = (struct bm_error)BM_ERROR_INIT;
	(void)alarm(20); /* it must not hang */
	assert_int_equal(bm_source_open(b, false, &test_blocker, &s, &err), BM_ERR_CHANGED);
	(void)alarm(0);
	bm_entry_destroy(a);
	bm_entry_destroy(b);
}

static atomic_bool flipping;

static void *flip(void *arg)
{
	unsigned *flips = arg;
	while (atomic_load(&flipping))
		*flips += renameat2(AT_FDCWD, "t/x", AT_FDCWD, "t/y", RENAME_EXCHANGE) == 0;
	return NULL;
}

/* A directory and a link to a secret change places all the time: what is read is never the secret. */
static void links_that_flip_lead_nowhere(void **state)
{
	(void)state;
	unsigned flips = 0, read_right = 0;
	pthread_t thread;
	make_dir("secret");
	make_file("secret/f", "SECRET");
	make_dir("t");
	make_dir("t/x");
	make_file("t/x/f", "inside");
	assert_int_equal(symlink("../secret", "t/y"), 0);
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	atomic_store(&flipping, true);
	assert_int_equal(pthread_create(&thread, NULL, flip, &flips), 0);
	for (int i = 0; i < 3000; i++) {
		struct bm_walk *w;
		assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
		for (struct bm_entry *e; (e = bm_walk_next(w, NULL)) != NULL; bm_entry_destroy(e)) {
			struct bm_source *s;
			uint8_t buf[16];
			size_t len;
			bool last, hole;
			if (e->kind != BM_ENTRY_FILE || bm_source_open(e, false, NULL, &s, NULL) != BM_OK)
				continue;
			if (bm_source_read(s, buf, sizeof buf, &len, &last, &hole, NULL, NULL) == BM_OK) {
				assert_int_equal(len, 6);
				assert_memory_equal(buf, "inside", 6);
				read_right++;
			}
			bm_source_close(s);
		}
		bm_walk_destroy(w);
	}
	atomic_store(&flipping, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(flips > 100);
	assert_true(read_right > 0);
}

/* Every allocation fails once, and from there on for ever: what came before is right, and the end is told. */
static void out_of_memory(void **state)
{
	(void)state;
	make_dir("t");
	make_dir("t/a");
	make_dir("t/a/b");
	make_file("t/a/b/f", "");
	make_file("t/a/g", "");
	make_file("t/z", "");
	assert_int_equal(symlink("a", "t/l"), 0);
	make_file("list", "t/z\nt/a\nmissing\n");
	struct bm_glob *all = glob("**");
	const struct bm_glob *include[] = {all};
	const char *skip[] = {"/nowhere/x", "/nowhere"};
	const struct bm_walk_root roots[] = {
		{.path = "t"}, {.path = "t/**", .is_glob = true}, {.path = "-"}, {.path = "gone"}};
	struct bm_walk_options o = {.roots = roots,
	                            .root_count = 4,
	                            .list_path = "list",
	                            .include = include,
	                            .include_count = 1,
	                            .follow_symlinks = true,
	                            .need_stat = true,
	                            .skip_paths = skip,
	                            .skip_path_count = 2};
	char *want = list_all(&o);
	bool hit = true;
	for (unsigned at = 1; hit; at++) {
		hit = false;
		for (int for_ever = 0; for_ever < 2; for_ever++) {
			struct bm_walk *w;
			char got[4096] = "";
			bool ended = false;
			fail_alloc_arm(at, for_ever);
			if (bm_walk_create(&o, &w, NULL) != BM_OK) {
				assert_null(w);
				hit = fail_alloc_disarm();
				assert_true(hit);
				continue;
			}
			for (struct bm_entry *e; (e = bm_walk_next(w, NULL)) != NULL; bm_entry_destroy(e)) {
				assert_false(ended);
				ended = e->kind == BM_ENTRY_ERROR && e->error->status == BM_ERR_NOMEM;
				if (!ended)
					(void)snprintf(got + strlen(got), sizeof got - strlen(got), "%c %s|%s\n",
					               e->kind == BM_ENTRY_FILE     ? 'f'
					               : e->kind == BM_ENTRY_STREAM ? 's'
					                                            : 'E',
					               e->path, e->display);
			}
			bm_walk_destroy(w);
			bool now = fail_alloc_disarm();
			hit = hit || now;
			assert_memory_equal(got, want, strlen(got));
			assert_int_equal(ended, strlen(got) < strlen(want));
		}
	}
	free(want);
	bm_glob_destroy(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IO_TEST(order_is_that_of_sort),
		IO_TEST(displays_and_roots),
		IO_TEST(root_directory),
		IO_TEST(kinds_and_hidden),
		IO_TEST(links_followed),
		IO_TEST(include_and_exclude),
		IO_TEST(sizes_and_times),
		IO_TEST(own_outputs_are_no_inputs),
		IO_TEST(one_filesystem),
		IO_TEST(unreadable_directory_is_reported),
		IO_TEST(globs_as_roots),
		IO_TEST(lists_of_names),
		IO_TEST(a_cancel_ends_the_wait_for_a_list),
		IO_TEST(ten_thousand_levels),
		IO_TEST(paths_past_path_max),
		IO_TEST(few_descriptors),
		IO_TEST(moved_while_listed),
		IO_TEST(entries_are_safe_to_open),
		IO_TEST(links_that_flip_lead_nowhere),
		IO_TEST(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
