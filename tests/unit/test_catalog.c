/* The catalog's file: made, opened, refused, migrated. */
#include <pwd.h>

#include "catalog_test.h"

#include "bm_catalog_runs.h"
#include "catalog_internal.h"

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

/* As assert_refused, and not a byte of the file is another one afterwards. */
static void assert_refused_untouched(enum bm_status want, const char *text)
{
	size_t before_len, after_len;
	char *before = slurp("state/" BM_CATALOG_FILE, &before_len);

	assert_refused(&in_state, want, "state/" BM_CATALOG_FILE, text);
	char *after = slurp("state/" BM_CATALOG_FILE, &after_len);
	assert_int_equal(before_len, after_len);
	assert_memory_equal(before, after, before_len);
	free(before);
	free(after);
}

/* ---- where it lies ---- */

static void expect_dir(const char *want)
{
	struct bm_error err = BM_ERROR_INIT;
	char *dir = NULL;

	if (bm_catalog_default_dir(&dir, &err) != BM_OK)
		dir = strdup(err.text);
	if (strcmp(dir, want) != 0) {
		(void)fprintf(stderr, "%s is not %s\n", dir, want);
		_exit(1);
	}
	free(dir);
}

static void test_default_dir(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		if (geteuid() == 0) {
			setenv("XDG_STATE_HOME", "/x", 1);
			expect_dir("/var/lib/bytemill");
			if (setuid(65534) != 0)
				_exit(2);
		}
		setenv("HOME", "/home/me", 1);
		setenv("XDG_STATE_HOME", "/x/y", 1);
		expect_dir("/x/y/bytemill");
		setenv("XDG_STATE_HOME", "x", 1); /* relative: not to be used */
		expect_dir("/home/me/.local/state/bytemill");
		setenv("XDG_STATE_HOME", "", 1);
		expect_dir("/home/me/.local/state/bytemill");
		unsetenv("XDG_STATE_HOME");
		expect_dir("/home/me/.local/state/bytemill");
		unsetenv("HOME");
		const struct passwd *pw = getpwuid(geteuid());
		char want[512];
		if (pw != NULL)
			(void)snprintf(want, sizeof(want), "%s/.local/state/bytemill", pw->pw_dir);
		else
			(void)snprintf(want, sizeof(want),
			               "this user has no home directory for the catalog to lie in: "
			               "set HOME, or say where with --state");
		expect_dir(want);
		_exit(0);
	}
	assert_child(pid);
}

static void test_makes_it(void **state)
{
	struct bm_catalog *c;

	(void)state;
	/* Whatever the umask, nobody else can read it: not the journal either, which holds old pages. */
	for (int i = 0; i < 2; i++) {
		char dir[32], path[64];
		mode_t old = umask(i == 0 ? 0 : 0177);

		(void)snprintf(dir, sizeof(dir), "s%d/a//b/state/", i);
		if (i == 1) /* that umask would not even let us into what mkdir makes */
			assert_int_equal(system("mkdir -p s1/a/b/state && chmod -R 700 s1"), 0);
		c = open_catalog_with(&(struct bm_catalog_options){.dir = dir});
		put_file(c, add_root(c, "/r"), "a", 1);
		flush_catalog(c);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, BM_CATALOG_FILE);
		assert_int_equal(mode_of(path), 0600);
		assert_string_equal(bm_catalog_path(c), path);
		(void)snprintf(path, sizeof(path), "%s/%s-journal", dir, BM_CATALOG_FILE);
		assert_int_equal(mode_of(path), 0600);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, BM_CATALOG_RUNS_FILE);
		assert_int_equal(mode_of(path) & 0177, 0);
		close_catalog(c);
		(void)umask(old);
	}
	assert_int_equal(mode_of("s0"), 0700);
	assert_int_equal(mode_of("s0/a"), 0700);
	assert_int_equal(mode_of("s0/a/b/state"), 0700);
	/* Nothing else is left there. */
	assert_int_equal(system("test \"$(ls -A s0/a/b/state | sort | tr '\\n' ' ')\" = "
	                        "'catalog.db catalog.db-journal runs.lock '"),
	                 0);
	sqlite3 *db = open_raw("s0/a/b/state/" BM_CATALOG_FILE);
	assert_int_equal(raw_number(db, "PRAGMA application_id"), CATALOG_APPLICATION_ID);
	assert_int_equal(raw_number(db, "PRAGMA user_version"), catalog_schema_version());
	assert_int_equal(raw_number(db, "SELECT count(*) FROM files"), 1);
	sqlite3_close(db);
}

static void test_must_exist(void **state)
{
	struct bm_catalog_options opt = {.dir = "state", .must_exist = true};

	(void)state;
	assert_refused(&opt, BM_ERR_SYSTEM, "state/" BM_CATALOG_FILE, "there is no catalog here yet: No such file");
	assert_int_equal(access("state", F_OK), -1);
	close_catalog(open_catalog());
	close_catalog(open_catalog_with(&opt));
}

static void test_cannot_make_it(void **state)
{
	(void)state;
	spew("file", "x", 1);
	assert_refused(&(struct bm_catalog_options){.dir = "file"}, BM_ERR_SYSTEM, "file/" BM_CATALOG_FILE,
	               "cannot be opened: Not a directory");
	assert_refused(&(struct bm_catalog_options){.dir = "file/a/b"}, BM_ERR_SYSTEM, "file/a/b/" BM_CATALOG_FILE,
	               "cannot be opened: Not a directory");
	assert_int_equal(symlink("nowhere/at/all", "link"), 0);
	assert_refused(&(struct bm_catalog_options){.dir = "link"}, BM_ERR_SYSTEM, "link",
	               "the directory for the catalog cannot be made: Not a directory");
	assert_refused(&(struct bm_catalog_options){.dir = "/proc/bytemill/a"}, BM_ERR_SYSTEM, "/proc/bytemill/a",
	               "the directory for the catalog cannot be made: No such file");
	/* A name is never shown raw. */
	assert_int_equal(mkdir("\x1b[31m\n\xff", 0700), 0);
	assert_int_equal(mkdir("\x1b[31m\n\xff/" BM_CATALOG_FILE, 0700), 0);
	assert_refused(&(struct bm_catalog_options){.dir = "\x1b[31m\n\xff"}, BM_ERR_FORMAT,
	               "\\x1b[31m\\n\\xff/" BM_CATALOG_FILE, "no regular file");
	assert_int_equal(rmdir("\x1b[31m\n\xff/" BM_CATALOG_FILE), 0);
	close_catalog(open_catalog_with(&(struct bm_catalog_options){.dir = "\x1b[31m\n\xff"}));
	assert_int_equal(access("\x1b[31m\n\xff/" BM_CATALOG_FILE, F_OK), 0);
}

static void test_fifo(void **state)
{
	(void)state;
	assert_int_equal(mkdir("state", 0700), 0);
	assert_int_equal(mkfifo("state/" BM_CATALOG_FILE, 0600), 0);
	assert_refused(&in_state, BM_ERR_FORMAT, "state/" BM_CATALOG_FILE, "no regular file");
}

/* ---- what is no catalog ---- */

static void test_not_a_database(void **state)
{
	static const size_t sizes[] = {1, 5, 16, 99, 100, 511, 512, 513, 4096, 10000};
	char data[10000];

	(void)state;
	assert_int_equal(mkdir("state", 0700), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int kind = 0; kind < 3; kind++) {
			for (size_t k = 0; k < sizeof(data); k++)
				data[k] = (char)(kind == 0 ? 0 : kind == 1 ? "text\n"[k % 5] : (int)(k * 7919 >> 3));
			spew("state/" BM_CATALOG_FILE, data, sizes[i]);
			assert_refused_untouched(BM_ERR_FORMAT, "this is not a catalog");
		}
	}
	/* An empty one is what a kill leaves between its making and its filling. */
	spew("state/" BM_CATALOG_FILE, "", 0);
	close_catalog(open_catalog());
	assert_int_equal(ask("PRAGMA application_id"), CATALOG_APPLICATION_ID);
}

static void test_other_database(void **state)
{
	(void)state;
	assert_int_equal(mkdir("state", 0700), 0);
	tell("CREATE TABLE t (a)");
	assert_refused_untouched(BM_ERR_FORMAT, "database of another program");
	tell("DROP TABLE t; PRAGMA application_id=1234");
	assert_refused_untouched(BM_ERR_FORMAT, "database of another program");
	tell("PRAGMA application_id=0; PRAGMA user_version=3");
	assert_refused_untouched(BM_ERR_FORMAT, "database of another program");
	/* Ours, but of no version that ever was. */
	tell("PRAGMA application_id=1115245932; PRAGMA user_version=0");
	assert_refused_untouched(BM_ERR_FORMAT, "database of another program");
	tell("PRAGMA user_version=-7");
	assert_refused_untouched(BM_ERR_FORMAT, "database of another program");
}

static void test_newer(void **state)
{
	char sql[64];

	(void)state;
	close_catalog(open_catalog());
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", catalog_schema_version() + 1);
	tell(sql);
	assert_refused_untouched(BM_ERR_UNSUPPORTED, "made by a newer Bytemill");
}

static void test_changed_tables(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c;

	(void)state;
	close_catalog(open_catalog());
	tell("DROP TABLE runs");
	assert_refused(&in_state, BM_ERR_FORMAT, "state/" BM_CATALOG_FILE, "somebody changed its tables");
	assert_int_equal(system("rm -r state"), 0);
	close_catalog(open_catalog());
	tell("ALTER TABLE files RENAME COLUMN found TO lost");
	c = open_catalog();
	put_file(c, 1, "a", 1);
	assert_int_equal(bm_catalog_flush(c, &err), BM_ERR_FORMAT);
	assert_non_null(strstr(err.text, "somebody changed its tables"));
	assert_int_equal(bm_catalog_close(c, NULL), BM_ERR_FORMAT);
}

static void test_wal_is_undone(void **state)
{
	struct bm_catalog *c;

	(void)state;
	c = open_catalog();
	put_file(c, add_root(c, "/r"), "a", 1);
	close_catalog(c);
	tell("PRAGMA journal_mode=WAL");
	c = open_catalog();
	put_file(c, 1, "b", 2);
	close_catalog(c);
	size_t len;
	char *data = slurp("state/" BM_CATALOG_FILE, &len);
	assert_int_equal(data[18], 1); /* the file format's write version: 1 is a rollback journal */
	assert_int_equal(data[19], 1);
	free(data);
	assert_int_equal(ask("SELECT count(*) FROM files"), 2);
}

/* ---- migration ---- */

/* The next version as it might be: a table changes, and what is in it is kept. */
static struct catalog_migration with_sql(const char *sql)
{
	return (struct catalog_migration){sql};
}

static void test_migration(void **state)
{
	struct catalog_migration table[4] = {catalog_migrations[0], catalog_migrations[1], catalog_migrations[2],
	                                     with_sql("ALTER TABLE files ADD COLUMN colour TEXT;"
	                                              "UPDATE files SET colour = 'none';"
	                                              "CREATE TABLE colours (name TEXT)")};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c;

	(void)state;
	assert_int_equal(catalog_schema_version(), 3); /* else table[] lacks steps */
	c = open_catalog();
	put_file(c, add_root(c, "/r"), "a", 1);
	put_file(c, 1, "b", 2);
	flush_catalog(c);
	assert_ok(catalog_migrate(c, table, 4, &err), &err);
	assert_int_equal(ask("PRAGMA user_version"), 4);
	assert_int_equal(ask("SELECT count(*) FROM files WHERE colour = 'none'"), 2);
	assert_int_equal(ask("SELECT count(*) FROM colours"), 0);
	/* Again: nothing is left to do. */
	assert_ok(catalog_migrate(c, table, 4, &err), &err);
	/* This very catalog is now of a version that its holder does not know: it must not write. */
	put_file(c, 1, "c", 3);
	assert_int_equal(bm_catalog_flush(c, &err), BM_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "to version 4 while this one had it open"));
	assert_int_equal(bm_catalog_close(c, NULL), BM_ERR_UNSUPPORTED);
	assert_int_equal(ask("SELECT count(*) FROM files"), 2);
	assert_refused_untouched(BM_ERR_UNSUPPORTED, "its version is 4, this program knows 3");
}

/* A catalog as version 1 made it. */
static void test_version_1(void **state)
{
	static const char fill[] =
		"INSERT INTO roots (path, first_seen) VALUES (CAST('/r' AS BLOB), 5);"
		"INSERT INTO algorithms (name) VALUES ('sha256');"
		"INSERT INTO files (root, path, size, mtime, ctime, inode, algorithm, digest, first_seen, verified, how)"
		" VALUES (1, CAST('a' AS BLOB), 1, 2, 3, 4, 1, zeroblob(32), 5, 6, 1);";
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_file *f = NULL;
	struct bm_catalog_files *files = NULL;
	struct bm_catalog_root r;
	bool found;

	(void)state;
	assert_int_equal(mkdir("state", 0700), 0);
	sqlite3 *db = open_raw("state/" BM_CATALOG_FILE);
	raw_exec(db, catalog_migrations[0].sql);
	raw_exec(db, fill);
	raw_exec(db, "PRAGMA application_id=1115245932; PRAGMA user_version=1");
	sqlite3_close(db);
	struct bm_catalog *c = open_catalog();
	assert_ok(bm_catalog_root_find(c, "/r", 2, &r, &found, &err), &err);
	assert_true(found && !r.has_block_bytes);
	assert_ok(bm_catalog_files_open(c, r.id, NULL, 0, &files, &err), &err);
	assert_ok(bm_catalog_files_next(files, &f, &err), &err);
	assert_non_null(f);
	assert_true(f->size == 1 && f->inode == 4 && f->verified_ns == 6 && !f->is_unsettled);
	bm_catalog_files_close(files);
	bm_catalog_root_fini(&r);
	put_file(c, 1, "b", 2);
	close_catalog(c);
	assert_int_equal(ask("PRAGMA user_version"), catalog_schema_version());
	assert_int_equal(ask("SELECT count(*) FROM files WHERE unsettled IS NULL"), 2);
}

static void test_migration_fails(void **state)
{
	struct catalog_migration table[5] = {catalog_migrations[0], catalog_migrations[1], catalog_migrations[2],
	                                     with_sql("CREATE TABLE colours (name TEXT)"),
	                                     with_sql("UPDATE files SET size = 0; INSERT INTO nowhere VALUES (1)")};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c;

	(void)state;
	c = open_catalog();
	put_file(c, add_root(c, "/r"), "a", 1);
	flush_catalog(c);
	assert_int_equal(catalog_migrate(c, table, 5, &err), BM_ERR_FORMAT);
	assert_non_null(strstr(err.text, "cannot be brought to this version"));
	/* Nothing of it was done, and it can be used as before. */
	assert_int_equal(ask("PRAGMA user_version"), 3);
	assert_int_equal(ask("SELECT count(*) FROM sqlite_schema WHERE name = 'colours'"), 0);
	assert_int_equal(ask("SELECT sum(size) FROM files"), 1000);
	put_file(c, 1, "b", 2);
	close_catalog(c);
	assert_int_equal(ask("SELECT count(*) FROM files"), 2);
}

/* Many processes open the catalog that is not there yet at the same time: one makes it. */
static void test_made_once(void **state)
{
	enum { PROCESSES = 12, ROUNDS = 8 };
	pid_t pids[PROCESSES];
	int gate[2];
	char c;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		assert_int_equal(system("rm -rf state"), 0);
		assert_int_equal(pipe(gate), 0);
		for (size_t i = 0; i < PROCESSES; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				struct bm_error err = BM_ERROR_INIT;
				struct bm_catalog *cat = NULL;
				struct bm_catalog_root r;
				char name[32];

				(void)close(gate[1]);
				if (read(gate[0], &c, 1) != 0)
					_exit(2);
				(void)snprintf(name, sizeof(name), "/root/%zu", i);
				if (bm_catalog_open(&in_state, &cat, &err) != BM_OK ||
				    bm_catalog_root_add(cat, name, strlen(name), NULL, 1, &r, &err) != BM_OK ||
				    bm_catalog_close(cat, &err) != BM_OK) {
					(void)fprintf(stderr, "%s: %s\n", err.where, err.text);
					_exit(1);
				}
				_exit(0);
			}
		}
		(void)close(gate[0]);
		(void)close(gate[1]);
		for (size_t i = 0; i < PROCESSES; i++)
			assert_child(pids[i]);
		assert_int_equal(ask("SELECT count(*) FROM roots"), PROCESSES);
		assert_int_equal(system("ls -A state | grep -q bytemill-catalog"), 256); /* no temporary file */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_default_dir),    CATALOG_TEST(test_makes_it),  CATALOG_TEST(test_must_exist),
		CATALOG_TEST(test_cannot_make_it), CATALOG_TEST(test_fifo),      CATALOG_TEST(test_not_a_database),
		CATALOG_TEST(test_other_database), CATALOG_TEST(test_newer),     CATALOG_TEST(test_changed_tables),
		CATALOG_TEST(test_wal_is_undone),  CATALOG_TEST(test_migration), CATALOG_TEST(test_migration_fails),
		CATALOG_TEST(test_version_1),      CATALOG_TEST(test_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
