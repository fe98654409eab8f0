/* CPUs and memory of control groups, over made-up /proc and /sys trees. */
#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "bm_cpus.h"

#define V2_LINE "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_CPU "32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_SET "33 25 0:29 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n"
#define V1_MEMORY "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

static char root[64];

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/bm_cpus_XXXXXX");
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file below root with its directories. */
static void file(const char *path, const char *text)
{
	char name[512];

	snprintf(name, sizeof(name), "%s%s", root, path);
	for (char *p = name + strlen(root) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
		*p = '\0';
		mkdir(name, 0700);
	}
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void proc(const char *cgroup, const char *mounts)
{
	file("/proc/self/cgroup", cgroup);
	file("/proc/self/mountinfo", mounts);
}

static void nothing_there(void **state)
{
	(void)state;
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	assert_true(bm_cgroup_memory_bytes(root) == UINT64_MAX);
	proc("0::/a\n", V2_LINE);
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	proc("", "");
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
}

static void v2_least_of_all_levels(void **state)
{
	(void)state;
	proc("0::/a.slice/b/c\n", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" V2_LINE);
	file("/sys/fs/cgroup/a.slice/b/c/cpu.max", "max 100000\n");
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	file("/sys/fs/cgroup/a.slice/b/cpu.max", "350000 100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 4); /* rounded up */
	file("/sys/fs/cgroup/a.slice/cpu.max", "600000 100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 4);
	file("/sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 2);
	file("/sys/fs/cgroup/a.slice/b/c/cpu.max", "1000 100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 1);
	file("/sys/fs/cgroup/a.slice/b/c/memory.max", "max\n");
	file("/sys/fs/cgroup/a.slice/b/memory.max", "1073741824\n");
	file("/sys/fs/cgroup/a.slice/memory.max", "2147483648\n");
	assert_true(bm_cgroup_memory_bytes(root) == 1073741824);
}

/* In a container with a namespace of its own the process is at "/", and the limit at the mount point. */
static void v2_namespace(void **state)
{
	(void)state;
	proc("0::/\n", V2_LINE);
	file("/sys/fs/cgroup/cpu.max", "150000 100000\n");
	file("/sys/fs/cgroup/memory.max", "4096\n");
	assert_int_equal(bm_cgroup_cpus(root), 2);
	assert_int_equal(bm_cgroup_memory_bytes(root), 4096);
	/* Its group was moved out of the namespace: paths mean nothing, the mount point still does. */
	proc("0::/../other\n", V2_LINE);
	assert_int_equal(bm_cgroup_cpus(root), 2);
	proc("0::/x\n", "31 24 0:27 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	assert_int_equal(bm_cgroup_cpus(root), 2);
}

static void mount_root(void **state)
{
	(void)state;
	/* Docker with cgroup v1: the mount shows the container's own group only. */
	proc("4:cpu,cpuacct:/docker/abc/inner\n",
	     "32 25 0:28 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
	file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "800000\n");
	file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	file("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "-1\n");
	file("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 8);
	/* A mount that shows another group, or one that only begins alike, is none of ours. */
	proc("4:cpu,cpuacct:/docker/abcdef\n",
	     "32 25 0:28 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
}

static void v1(void **state)
{
	(void)state;
	proc("9:name=systemd:/\n5:memory:/m\n4:cpuset:/wrong\n3:cpuacct,cpu:/a/b:c\n0::/\n", V1_SET V1_CPU V1_MEMORY);
	file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
	file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	file("/sys/fs/cgroup/cpu,cpuacct/a/b:c/cpu.cfs_quota_us", "250000\n");
	file("/sys/fs/cgroup/cpu,cpuacct/a/b:c/cpu.cfs_period_us", "50000\n");
	file("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1\n");
	file("/sys/fs/cgroup/cpuset/cpu.cfs_period_us", "1\n");
	file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	file("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "536870912\n");
	assert_int_equal(bm_cgroup_cpus(root), 5);
	assert_true(bm_cgroup_memory_bytes(root) == 536870912);
}

/* systemd's hybrid: v2 is there, without controllers; v1 has the limits. */
static void both(void **state)
{
	(void)state;
	proc("1:cpu:/\n0::/user.slice\n", "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	                                  "32 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
	file("/sys/fs/cgroup/unified/user.slice/cgroup.procs", "");
	file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
	file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 3);
}

static void escaped_mount_point(void **state)
{
	(void)state;
	proc("0::/a\n", "31 24 0:27 / /my\\040groups\\134x rw - cgroup2 cgroup2 rw\n");
	file("/my groups\\x/a/cpu.max", "700000 100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 7);
}

static void junk(void **state)
{
	static const char *const texts[] = {
		"",        "\n",          "max",
		"max\n",   "-5 100000\n", "100 0\n",
		"100 x\n", "x 100\n",     "99999999999999999999999999 100000\n",
		"  5\n",
	};
	static const char *const mounts[] = {
		"",
		"\n",
		" ",
		"a",
		"1 2 3 4 5",
		"1 2 3 / /sys/fs/cgroup rw",
		"1 2 3 / /sys/fs/cgroup rw -",
		"1 2 3 / /sys/fs/cgroup rw - cgroup\n",
		"1 2 3 / /sys/fs/cgroup rw - cgroup x\n",
		"1 2 3  /sys/fs/cgroup rw tag tag\n",
		"- - - - - - - -\n",
	};

	(void)state;
	proc("0::/a\n", V2_LINE);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		file("/sys/fs/cgroup/a/cpu.max", texts[i]);
		assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	}
	file("/sys/fs/cgroup/a/cpu.max", "18446744073709551615 1\n");
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	file("/sys/fs/cgroup/a/cpu.max", "0 100000\n");
	assert_int_equal(bm_cgroup_cpus(root), 1);
	file("/sys/fs/cgroup/a/cpu.max", "200000"); /* no period, no line end */
	assert_int_equal(bm_cgroup_cpus(root), 2);

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		proc("0::/a\n", mounts[i]);
		assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	}
	proc("0::\n::\nnonsense\n\n0:\n", V2_LINE V1_CPU);
	assert_true(bm_cgroup_cpus(root) == UINT64_MAX);
	proc("0::/a/\n", V2_LINE); /* a slash too many does no harm */
	assert_int_equal(bm_cgroup_cpus(root), 2);
}

static void this_machine(void **state)
{
	cpu_set_t all, one;
	unsigned before = bm_cpu_count();

	(void)state;
	assert_true(before >= 1);
	assert_true(bm_memory_limit() > 1 << 20);
	if (sched_getaffinity(0, sizeof(all), &all) != 0)
		skip();
	assert_true(before <= (unsigned)CPU_COUNT(&all));
	CPU_ZERO(&one);
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &one);
			break;
		}
	}
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	unsigned with_one = bm_cpu_count();
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(with_one, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(v2_least_of_all_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(v2_namespace, setup, teardown),
		cmocka_unit_test_setup_teardown(mount_root, setup, teardown),
		cmocka_unit_test_setup_teardown(v1, setup, teardown),
		cmocka_unit_test_setup_teardown(both, setup, teardown),
		cmocka_unit_test_setup_teardown(escaped_mount_point, setup, teardown),
		cmocka_unit_test_setup_teardown(junk, setup, teardown),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
