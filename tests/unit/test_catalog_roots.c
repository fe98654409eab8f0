/* Roots: added once, listed, told from what is at their path now, forgotten with all that hangs on them. */
#include <sys/mount.h>

#include "catalog_test.h"

#include "bm_catalog_done.h"

static struct bm_catalog *c;

static void add(const char *path, const struct bm_catalog_place *place, int64_t now, struct bm_catalog_root *out)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_ok(bm_catalog_root_add(c, path, strlen(path), place, now, out, &err), &err);
	assert_string_equal(out->path, path);
	assert_int_equal(out->path_len, strlen(path));
}

static void test_add(void **state)
{
	struct bm_catalog_place here = {7, 8, "uuid-1"}, there = {9, UINT64_MAX, ""};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_root r, again;
	bool found;

	(void)state;
	c = open_catalog();
	add("/a", &here, 100, &r);
	assert_true(r.id > 0 && r.has_place);
	assert_int_equal(r.first_seen_ns, 100);
	assert_int_equal(r.audited_ns, 0);
	/* Again: it is the same, and where it was is not forgotten. */
	add("/a", &there, 200, &again);
	assert_int_equal(again.id, r.id);
	assert_int_equal(again.first_seen_ns, 100);
	assert_true(bm_catalog_place_equal(&again.place, &here));
	assert_string_equal(again.place.uuid, "uuid-1");
	bm_catalog_root_fini(&again);
	/* Until somebody says so. */
	assert_ok(bm_catalog_root_set_place(c, r.id, &there, &err), &err);
	assert_ok(bm_catalog_root_set_audited(c, r.id, 300, &err), &err);
	assert_ok(bm_catalog_root_find(c, "/a", 2, &again, &found, &err), &err);
	assert_true(found);
	assert_true(again.place.device == 9 && again.place.fsid == UINT64_MAX && again.place.uuid[0] == '\0');
	assert_int_equal(again.audited_ns, 300);
	assert_false(again.has_block_bytes);
	bm_catalog_root_fini(&again);
	/* Blocks: nothing was said, a size, none. */
	static const uint64_t sizes[] = {1 << 20, 0};
	for (size_t i = 0; i < 2; i++) {
		assert_ok(bm_catalog_root_set_block_bytes(c, r.id, sizes[i], &err), &err);
		assert_ok(bm_catalog_root_find(c, "/a", 2, &again, &found, &err), &err);
		assert_true(again.has_block_bytes && again.block_bytes == sizes[i]);
		bm_catalog_root_fini(&again);
	}
	assert_ok(bm_catalog_root_has_blocks(c, r.id, &found, &err), &err);
	assert_false(found);
	uint8_t digest[32];
	struct bm_catalog_file f = make_row("file", 1, digest);
	assert_ok(bm_catalog_file_put(c, r.id, &f, &(struct bm_catalog_blocks){512, digest, 32, 1}, &err), &err);
	assert_ok(bm_catalog_root_has_blocks(c, r.id, &found, &err), &err);
	assert_true(found);
	assert_ok(bm_catalog_root_has_blocks(c, r.id + 1, &found, &err), &err);
	assert_false(found);
	bm_catalog_root_fini(&r);
	/* A job's root has no place; an audit gives it one. */
	add("/b", NULL, 100, &r);
	assert_false(r.has_place);
	add("/b", &here, 200, &again);
	assert_int_equal(again.id, r.id);
	assert_true(again.has_place && again.place.device == 7);
	assert_int_equal(again.first_seen_ns, 100);
	bm_catalog_root_fini(&again);
	add("/b", NULL, 200, &again);
	assert_true(again.has_place);
	bm_catalog_root_fini(&again);
	bm_catalog_root_fini(&r);
	assert_ok(bm_catalog_root_find(c, "/", 1, &r, &found, &err), &err);
	assert_false(found);
	assert_null(r.path);
	close_catalog(c);
	c = open_catalog();
	assert_ok(bm_catalog_root_find(c, "/b", 2, &r, &found, &err), &err);
	assert_true(found);
	bm_catalog_root_fini(&r);
	close_catalog(c);
}

struct list {
	unsigned count, stop;
	char last[64];
};

static bool on_root(void *ctx, const struct bm_catalog_root *r)
{
	struct list *l = ctx;

	assert_true(l->count == 0 || strcmp(l->last, r->path) < 0);
	(void)snprintf(l->last, sizeof(l->last), "%s", r->path);
	assert_int_equal(bm_catalog_root_set_audited(c, r->id, 1, NULL), BM_OK); /* it may call */
	return ++l->count != l->stop;
}

static void test_list(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct list l = {0};
	char path[32];

	(void)state;
	c = open_catalog();
	assert_ok(bm_catalog_root_list(c, on_root, &l, &err), &err);
	assert_int_equal(l.count, 0);
	for (unsigned i = 0; i < 150; i++) {
		(void)snprintf(path, sizeof(path), "/%u\n\xff", i * 7919 % 150);
		assert_true(add_root(c, path) > 0);
	}
	assert_ok(bm_catalog_root_list(c, on_root, &l, &err), &err);
	assert_int_equal(l.count, 150);
	l = (struct list){.stop = 70};
	assert_ok(bm_catalog_root_list(c, on_root, &l, &err), &err);
	assert_int_equal(l.count, 70);
	close_catalog(c);
}

static void test_place_equal(void **state)
{
	static const struct {
		struct bm_catalog_place a, b;
		bool equal;
	} cases[] = {
		{{1, 2, "x"}, {1, 2, "x"}, true},  {{1, 2, "x"}, {3, 4, "x"}, true}, /* found in another order */
		{{1, 2, "x"}, {1, 2, "y"}, false}, /* another disk, in the same place */
		{{1, 2, "x"}, {1, 4, ""}, true},   {{1, 2, ""}, {3, 2, ""}, true},
		{{1, 0, ""}, {3, 0, ""}, false},   {{1, 2, ""}, {3, 4, ""}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(bm_catalog_place_equal(&cases[i].a, &cases[i].b), cases[i].equal);
		assert_int_equal(bm_catalog_place_equal(&cases[i].b, &cases[i].a), cases[i].equal);
	}
}

static enum bm_catalog_presence presence(const struct bm_catalog_root *r, int *why)
{
	struct bm_error err = BM_ERROR_INIT;
	enum bm_catalog_presence p;

	assert_ok(bm_catalog_root_presence(c, r, &p, why, &err), &err);
	return p;
}

static void test_presence(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_place place;
	struct bm_catalog_root r;
	struct stat st;
	char root[128];
	bool empty;
	int why;

	(void)state;
	c = open_catalog();
	(void)snprintf(root, sizeof(root), "%s/tree", scratch_dir);
	assert_int_equal(mkdir(root, 0755), 0);
	assert_ok(bm_catalog_place_get(root, &place, &empty, &err), &err);
	assert_true(empty);
	assert_int_equal(stat(root, &st), 0);
	assert_true(place.device == st.st_dev);
	add(root, &place, 1, &r);
	assert_int_equal(presence(&r, NULL), BM_CATALOG_PRESENT); /* empty, as it was */
	put_file(c, r.id, "a", 1);
	assert_int_equal(presence(&r, &why), BM_CATALOG_EMPTY);
	assert_int_equal(mkdir("tree/lost+found", 0755), 0);
	assert_int_equal(presence(&r, &why), BM_CATALOG_EMPTY); /* what a new file system has */
	spew("tree/b", "x", 1);
	assert_int_equal(presence(&r, &why), BM_CATALOG_PRESENT);
	assert_ok(bm_catalog_place_get(root, &place, &empty, &err), &err);
	assert_false(empty);
	assert_ok(bm_catalog_place_get("tree/b", &place, NULL, &err), &err);
	assert_true(place.device == st.st_dev);

	assert_int_equal(rename("tree", "gone"), 0);
	assert_int_equal(presence(&r, &why), BM_CATALOG_ABSENT);
	assert_int_equal(why, ENOENT);
	assert_int_equal(bm_catalog_place_get(root, &place, &empty, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_string_equal(err.where, root);
	assert_int_equal(rename("gone", "tree"), 0);
	/* On record as being elsewhere. */
	r.place.device++;
	r.place.fsid++;
	(void)snprintf(r.place.uuid, sizeof(r.place.uuid), "none of ours");
	assert_int_equal(presence(&r, &why), BM_CATALOG_OTHER_DEVICE);
	bm_catalog_root_fini(&r);
	close_catalog(c);
}

/* The real thing: a disk is mounted, recorded, unmounted, another is mounted in its place. */
static void test_presence_of_mounts(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_place place;
	struct bm_catalog_root r;
	char root[128];
	int why;

	(void)state;
	(void)snprintf(root, sizeof(root), "%s/mnt", scratch_dir);
	assert_int_equal(mkdir("mnt", 0755), 0);
	if (mount("tmpfs", "mnt", "tmpfs", 0, "size=64k") != 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
	c = open_catalog();
	spew("mnt/file", "x", 1);
	assert_ok(bm_catalog_place_get(root, &place, NULL, &err), &err);
	add(root, &place, 1, &r);
	put_file(c, r.id, "file", 1);
	assert_int_equal(presence(&r, &why), BM_CATALOG_PRESENT);
	assert_int_equal(umount("mnt"), 0);
	assert_int_equal(presence(&r, &why), BM_CATALOG_OTHER_DEVICE);
	assert_int_equal(mount("tmpfs", "mnt", "tmpfs", 0, "size=64k"), 0);
	spew("mnt/file", "x", 1);
	enum bm_catalog_presence p = presence(&r, &why);
	/* A tmpfs has neither a UUID nor, on older kernels, an f_fsid of its own; its device number may come again. */
	if (place.uuid[0] != '\0')
		assert_int_equal(p, BM_CATALOG_OTHER_DEVICE);
	assert_int_equal(umount("mnt"), 0);
	bm_catalog_root_fini(&r);
	close_catalog(c);

	/* ext4 has one that stays when its device is another. */
	if (system("truncate -s 4M img && mkfs.ext4 -q img 2>/dev/null && mount -o loop img mnt 2>/dev/null") != 0) {
		print_message("skipped: cannot mount an ext4 image\n");
		return;
	}
	c = open_catalog();
	spew("mnt/file", "x", 1);
	assert_ok(bm_catalog_place_get(root, &place, NULL, &err), &err);
	assert_true(place.fsid != 0);
	assert_int_equal(umount("mnt"), 0);
	assert_int_equal(
		system("truncate -s 4M first && mkfs.ext4 -q first && mkdir other && mount -o loop first other"), 0);
	assert_int_equal(system("mount -o loop img mnt"), 0);
	struct bm_catalog_place later;
	assert_ok(bm_catalog_place_get(root, &later, NULL, &err), &err);
	assert_true(bm_catalog_place_equal(&place, &later));
	struct bm_catalog_place elsewhere;
	assert_ok(bm_catalog_place_get("other", &elsewhere, NULL, &err), &err);
	assert_false(bm_catalog_place_equal(&later, &elsewhere));
	bool empty;
	assert_ok(bm_catalog_place_get("other", &elsewhere, &empty, &err), &err);
	assert_true(empty); /* but for lost+found */
	assert_int_equal(umount("mnt"), 0);
	assert_int_equal(umount("other"), 0);
	close_catalog(c);
}

static void test_delete(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	uint8_t digests[64] = {0}, digest[32];
	struct bm_catalog_progress p = {.algorithm = "sha256", .block_bytes = 1, .next_block = 2};
	struct bm_catalog_done d = {.path = "a", .path_len = 1};
	int64_t one, two, job[2];
	char name[32];

	(void)state;
	c = open_catalog();
	one = add_root(c, "/one");
	two = add_root(c, "/two");
	for (size_t i = 0; i < 2; i++)
		assert_ok(bm_catalog_job_open(c, (const uint8_t *)(i == 0 ? "x" : "y"), 1, "job", 1, &job[i], &err),
		          &err);
	for (unsigned i = 0; i < 45000; i++) { /* more than go in two transactions */
		(void)snprintf(name, sizeof(name), "%06u", i);
		put_file(c, one, name, i);
		d.path = name;
		d.path_len = 6;
		assert_ok(bm_catalog_done_put(c, job[i % 2], one, 0, &d, &err), &err);
	}
	struct bm_catalog_file f = make_row("big", 1, digest);
	for (int64_t root = one; root <= two; root++) {
		assert_ok(bm_catalog_file_put(c, root, &f, &(struct bm_catalog_blocks){1, digests, 32, 2}, &err), &err);
		assert_ok(bm_catalog_progress_put(c, root, "big", 3, &p, digests, 32, 2, &err), &err);
		assert_ok(bm_catalog_done_put(c, job[0], root, 0, &d, &err), &err);
	}
	/* What is queued goes, too. */
	assert_ok(bm_catalog_root_delete(c, one, &err), &err);
	assert_int_equal(ask("SELECT count(*) FROM roots"), 1);
	assert_int_equal(ask("SELECT count(*) FROM files WHERE root = 1"), 0);
	assert_int_equal(ask("SELECT count(*) FROM done WHERE root = 1"), 0);
	assert_int_equal(ask("SELECT count(*) FROM blocks WHERE root = 1"), 0);
	assert_int_equal(ask("SELECT count(*) FROM progress WHERE root = 1"), 0);
	assert_int_equal(ask("SELECT count(*) FROM files"), 1);
	assert_int_equal(ask("SELECT count(*) FROM done"), 1);
	assert_int_equal(ask("SELECT count(*) FROM blocks"), 2);
	assert_int_equal(ask("SELECT count(*) FROM progress"), 1);
	/* Its number is not given to another, and forgetting nothing is fine. */
	assert_ok(bm_catalog_root_delete(c, two, &err), &err);
	assert_ok(bm_catalog_root_delete(c, two, &err), &err);
	assert_true(add_root(c, "/three") > two);
	close_catalog(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_add),      CATALOG_TEST(test_list),   CATALOG_TEST(test_place_equal),
		CATALOG_TEST(test_presence), CATALOG_TEST(test_delete), CATALOG_TEST(test_presence_of_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
