/*
 * cpus.c - CPUs and memory that this process may use.
 *
 * A container with a quota of 2 CPUs on a machine of 64 shows 64 in its affinity mask: that many threads would burn the
 * quota in the first thirtieth of each period and then all stand still. So the quota counts too.
 *
 * Where the limits are: /proc/self/mountinfo says where cgroup hierarchies are mounted and which part of the hierarchy
 * each mount shows (its root), /proc/self/cgroup in which cgroup this process is, relative to the hierarchy (or to the
 * root of the cgroup namespace). The directory is mount point + (cgroup minus mount root). A limit binds all that is
 * below it, so each directory up to the mount point is looked at and the least wins. A mount whose root does not hold
 * the process's cgroup belongs to others and is passed over; but where the root is shown as "/..", it lies
 * outside of our namespace, the paths cannot be told apart, and the mount point itself is looked at.
 *
 *	v2: cpu.max "QUOTA|max PERIOD" (us), memory.max "BYTES|max"
 *	v1: cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us in the mount with option cpu, memory.limit_in_bytes
 *
 * What cannot be read or understood sets no limit: this decides how many threads start, not whether it runs.
 * Sources: cgroups(7), proc(5), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_cpus.h"
#include "bm_mem.h"

#define NO_LIMIT UINT64_MAX
#define MAX_CPUS (1u << 20) /* stop asking for a larger mask there; Linux has at most 8192 */

/* The limit that one directory sets, dir ends in '/'. */
typedef uint64_t (*limit_fn)(struct bm_buf *dir);

struct limits {
	const char *controller; /* as in v1's mount options */
	limit_fn v1, v2;
};

/* The first line of the file name in dir into line; false where there is none. dir is left as it was. */
static bool read_line(struct bm_buf *dir, const char *name, char *line, size_t size)
{
	size_t mark = dir->len, len = 0;
	ssize_t n = -1;
	int fd = -1;

	bm_buf_puts(dir, name);
	while (!dir->oom && (fd = open(dir->data, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR)
		;
	while (fd >= 0 && len < size - 1 &&
	       ((n = read(fd, line + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	if (fd >= 0)
		close(fd);
	dir->len = mark;
	if (dir->data != NULL)
		dir->data[mark] = '\0';
	if (n < 0 || len == 0)
		return false;
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* A number at *text, which moves past it and the blanks behind it. False for "max", "-1" and junk: no limit. */
static bool get_number(const char **text, uint64_t *v)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*v = strtoull(*text, &end, 10);
	if (errno != 0)
		return false;
	*text = end + strspn(end, " ");
	return true;
}

static uint64_t cpus_of(uint64_t quota, uint64_t period)
{
	uint64_t cpus;

	if (period == 0)
		return NO_LIMIT;
	cpus = quota / period + (quota % period != 0);
	return cpus != 0 ? cpus : 1;
}

static uint64_t cpus_v2(struct bm_buf *dir)
{
	char line[128];
	const char *at = line;
	uint64_t quota, period = 100000; /* the kernel's default, should the second number be left out */

	if (!read_line(dir, "cpu.max", line, sizeof(line)) || !get_number(&at, &quota))
		return NO_LIMIT;
	if (*at != '\0' && !get_number(&at, &period))
		return NO_LIMIT;
	return cpus_of(quota, period);
}

static uint64_t number_in(struct bm_buf *dir, const char *name)
{
	char line[128];
	const char *at = line;
	uint64_t v;

	return read_line(dir, name, line, sizeof(line)) && get_number(&at, &v) ? v : NO_LIMIT;
}

static uint64_t cpus_v1(struct bm_buf *dir)
{
	uint64_t quota = number_in(dir, "cpu.cfs_quota_us"), period = number_in(dir, "cpu.cfs_period_us");

	return quota == NO_LIMIT || period == NO_LIMIT ? NO_LIMIT : cpus_of(quota, period);
}

static uint64_t memory_v2(struct bm_buf *dir)
{
	return number_in(dir, "memory.max");
}

static uint64_t memory_v1(struct bm_buf *dir)
{
	return number_in(dir, "memory.limit_in_bytes"); /* "none" is 2^63 less a page: more than there is */
}

static FILE *open_proc(const char *root, const char *path)
{
	struct bm_buf name = {0};
	FILE *f = NULL;

	bm_buf_puts(&name, root);
	bm_buf_puts(&name, path);
	if (!name.oom)
		f = fopen(name.data, "re");
	bm_buf_fini(&name);
	return f;
}

/* Is word one of the parts of list, between commas? */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		size_t part = strcspn(list, ",");

		if (part == len && memcmp(list, word, len) == 0)
			return true;
		if (list[part] == '\0')
			return false;
		list += part + 1;
	}
}

/* The path of this process's cgroup in v2's hierarchy (controller NULL) or in that of a v1 controller; malloc'd, or NULL.
 * Lines are NUMBER:CONTROLLERS:PATH; v2 is "0::PATH". */
static char *own_cgroup(const char *root, const char *controller)
{
	FILE *f = open_proc(root, "/proc/self/cgroup");
	char *line = NULL, *path = NULL;
	size_t cap = 0;

	if (f == NULL)
		return NULL;
	while (path == NULL && getline(&line, &cap, f) > 0) {
		char *controllers = strchr(line, ':');
		char *at = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

		if (at == NULL)
			continue;
		*controllers++ = '\0';
		*at++ = '\0';
		if (controller != NULL ? !list_has(controllers, controller) : controllers[0] != '\0')
			continue;
		at[strcspn(at, "\n")] = '\0';
		path = strdup(at);
	}
	free(line);
	fclose(f);
	return path;
}

/* \040 and its kin, in place. */
static void unescape_octal(char *text)
{
	char *to = text;

	while (*text != '\0') {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' &&
		    text[3] >= '0' && text[3] <= '7') {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* What of the cgroup's path lies below the mount's root ("" or "/a/b"); NULL: not below it. */
static const char *below_root(const char *cgroup, const char *mount_root)
{
	size_t len = strlen(mount_root);

	if (strncmp(mount_root, "/..", 3) == 0 || strncmp(cgroup, "/..", 3) == 0)
		return "";
	if (len == 1) /* "/" */
		return cgroup[1] == '\0' ? "" : cgroup;
	if (strncmp(cgroup, mount_root, len) == 0 && (cgroup[len] == '/' || cgroup[len] == '\0'))
		return cgroup + len;
	return NULL;
}

/* The least that limit says of mount + below and each directory above it down to mount. */
static uint64_t least_up_to(const char *root, const char *mount, const char *below, limit_fn limit)
{
	struct bm_buf dir = {0};
	uint64_t least = NO_LIMIT;
	size_t top;

	bm_buf_puts(&dir, root);
	bm_buf_puts(&dir, mount);
	top = dir.len;
	bm_buf_puts(&dir, below);
	while (!dir.oom) {
		size_t len = dir.len;
		uint64_t v;

		bm_buf_putc(&dir, '/');
		v = dir.oom ? NO_LIMIT : limit(&dir);
		if (v < least)
			least = v;
		if (len <= top || dir.oom)
			break;
		while (len > top && dir.data[len - 1] != '/')
			len--;
		if (len > top)
			len--; /* the slash */
		dir.len = len;
		dir.data[len] = '\0';
	}
	bm_buf_fini(&dir);
	return least;
}

/* One line of mountinfo: ID PARENT MAJ:MIN ROOT MOUNT OPTIONS [TAG...] - TYPE SOURCE SUPEROPTIONS */
static uint64_t mount_limit(const char *root, char *line, const struct limits *l)
{
	char *fields[6], *type, *options, *rest = line, *cgroup;
	const char *below;
	uint64_t least = NO_LIMIT;
	bool is_v2;

	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		fields[i] = strsep(&rest, " ");
		if (rest == NULL)
			return NO_LIMIT;
	}
	do {
		type = strsep(&rest, " ");
		if (rest == NULL)
			return NO_LIMIT;
	} while (strcmp(type, "-") != 0);
	type = strsep(&rest, " ");
	(void)strsep(&rest, " ");
	options = rest;
	is_v2 = strcmp(type, "cgroup2") == 0;
	if (!is_v2 && (strcmp(type, "cgroup") != 0 || options == NULL || !list_has(options, l->controller)))
		return NO_LIMIT;

	unescape_octal(fields[3]);
	unescape_octal(fields[4]);
	cgroup = own_cgroup(root, is_v2 ? NULL : l->controller);
	if (cgroup != NULL && cgroup[0] == '/') {
		below = below_root(cgroup, fields[3]);
		if (below != NULL)
			least = least_up_to(root, fields[4], below, is_v2 ? l->v2 : l->v1);
	}
	free(cgroup);
	return least;
}

static uint64_t least_limit(const char *root, const struct limits *l)
{
	FILE *f = open_proc(root, "/proc/self/mountinfo");
	char *line = NULL;
	size_t cap = 0;
	uint64_t least = NO_LIMIT;

	if (f == NULL)
		return NO_LIMIT;
	while (getline(&line, &cap, f) > 0) {
		uint64_t v = mount_limit(root, line, l);

		if (v < least)
			least = v;
	}
	free(line);
	fclose(f);
	return least;
}

uint64_t bm_cgroup_cpus(const char *root)
{
	static const struct limits cpus = {"cpu", cpus_v1, cpus_v2};

	return least_limit(root, &cpus);
}

uint64_t bm_cgroup_memory_bytes(const char *root)
{
	static const struct limits memory = {"memory", memory_v1, memory_v2};

	return least_limit(root, &memory);
}

static unsigned affinity_count(void)
{
	/* The mask must be as large as the kernel's own, which cannot be asked for but by trying. */
	for (unsigned cpus = 1024; cpus <= MAX_CPUS; cpus *= 2) {
		cpu_set_t *set = CPU_ALLOC(cpus);
		size_t bytes = CPU_ALLOC_SIZE(cpus);
		int count = 0;
		bool again = false;

		if (set == NULL)
			break;
		if (sched_getaffinity(0, bytes, set) == 0)
			count = CPU_COUNT_S(bytes, set);
		else
			again = errno == EINVAL;
		CPU_FREE(set);
		if (count > 0)
			return (unsigned)count;
		if (!again)
			break;
	}
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}

unsigned bm_cpu_count(void)
{
	unsigned cpus = affinity_count();
	uint64_t quota = bm_cgroup_cpus("");

	return quota < cpus ? (unsigned)quota : cpus;
}

uint64_t bm_memory_limit(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGE_SIZE);
	uint64_t physical = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : NO_LIMIT;
	uint64_t limit = bm_cgroup_memory_bytes("");

	return limit < physical ? limit : physical;
}
