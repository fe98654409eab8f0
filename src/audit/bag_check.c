/*
 * bag_check.c - what can be said of a bag without its payload's bytes; see bm_bag.h.
 *
 * The lines of all its manifests, of whatever algorithm, go into one list with several digests a name (BSD lines, which
 * say their algorithm), so that one audit reads each file once, tag files too. Before that Payload-Oxum is looked at,
 * which takes a stat a file and often is all that it takes to know that a transfer was cut short.
 *
 * Faults are told and counted, and the rest goes on: a person wants to know all that is wrong with a bag at once.
 */
#include "bm_bag.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_manifest.h"
#include "bm_temp.h"
#include "bm_text.h"

#define LINE_BYTES 65536
#define SHOWN 200
#define TREE_DESCRIPTORS 32

BM_PRINTF(2, 3) static void fault(struct bm_bag_check *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->faults++;
	c->on_fault(c->ctx, text);
}

/* Bags come from strangers: nothing here waits for a pipe, or reads a device that has no end. -1: errno, which is
 * EOPNOTSUPP where it is no regular file. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	close(fd);
	errno = EOPNOTSUPP;
	return -1;
}

static const char *why_not_open(int number)
{
	return number == EOPNOTSUPP ? "it is not a regular file" : strerror(number);
}

/* NULL: it is not there, or (errno is not ENOENT) cannot be read. */
static FILE *open_tag(const char *dir, const char *name)
{
	struct bm_buf path = {0};
	FILE *f = NULL;
	int fd = -1;

	bm_buf_printf(&path, "%s/%s", dir, name);
	errno = ENOMEM;
	if (!path.oom)
		fd = open_regular(path.data);
	if (fd >= 0)
		f = fdopen(fd, "r");
	if (fd >= 0 && f == NULL)
		close(fd);
	bm_buf_fini(&path);
	return f;
}

/* One that does not have to be there. */
static FILE *open_other_tag(struct bm_bag_check *c, const char *dir, const char *name)
{
	FILE *f = open_tag(dir, name);

	if (f == NULL && errno != ENOENT)
		fault(c, "%s: cannot be read: %s", name, why_not_open(errno));
	return f;
}

/* A line without its end; false at the end of the file. */
static bool next_line(FILE *f, char line[static LINE_BYTES])
{
	size_t len;

	if (fgets(line, LINE_BYTES, f) == NULL)
		return false;
	len = strlen(line);
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		line[--len] = '\0';
	return true;
}

/* What stands behind "label:", or NULL. */
static const char *value_of(const char *line, const char *label)
{
	size_t len = strlen(label);

	if (strncasecmp(line, label, len) != 0)
		return NULL;
	line += len;
	line += strspn(line, " \t");
	if (*line != ':')
		return NULL;
	line++;
	return line + strspn(line, " \t");
}

static enum bm_status check_declaration(const char *dir, struct bm_bag_check *c, char *line, struct bm_error *err)
{
	FILE *f = open_tag(dir, "bagit.txt");
	const char *value = NULL;
	unsigned major = 0, minor = 0;

	if (f == NULL && errno == EOPNOTSUPP)
		return bm_error_set(err, BM_ERR_FORMAT, dir, "it is no bag: bagit.txt is not a regular file");
	if (f == NULL)
		return bm_error_set_errno(err, errno, dir, "it is no bag: bagit.txt cannot be read");
	if (next_line(f, line))
		value = value_of(strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line, "BagIt-Version");
	if (value == NULL || sscanf(value, "%u.%u", &major, &minor) != 2) {
		fault(c, "bagit.txt: its first line is not \"BagIt-Version: M.N\"");
	} else {
		c->must_list_all = major >= 1;
		if (major > 1 || (major == 0 && (minor < 93 || minor > 97)))
			fault(c, "bagit.txt: version %u.%u is not known", major, minor);
		if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
			fault(c, "bagit.txt: it begins with a byte order mark");
	}
	value = next_line(f, line) ? value_of(line, "Tag-File-Character-Encoding") : NULL;
	if (value == NULL)
		fault(c, "bagit.txt: its second line is not \"Tag-File-Character-Encoding: UTF-8\"");
	else if (strcasecmp(value, "UTF-8") != 0)
		fault(c, "bagit.txt: the encoding is not UTF-8, and names are taken as they are");
	fclose(f);
	return BM_OK;
}

/* ---- Payload-Oxum ---- */

/* nftw has no context. */
static _Thread_local uint64_t tree_files, tree_bytes;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)at;
	if (type == FTW_F && S_ISREG(st->st_mode)) {
		tree_files++;
		tree_bytes += (uint64_t)st->st_size;
	}
	return 0;
}

/* False: what is told makes it needless to read anything. */
static bool check_oxum(const char *dir, struct bm_bag_check *c, char *line)
{
	FILE *f = open_other_tag(c, dir, "bag-info.txt");
	uint64_t bytes = 0, files = 0;
	bool has = false, good = true;
	struct bm_buf data = {0};

	while (f != NULL && next_line(f, line)) {
		const char *value = value_of(line, "Payload-Oxum");

		if (value == NULL)
			continue;
		if (has)
			fault(c, "bag-info.txt: it says Payload-Oxum twice");
		has = sscanf(value, "%" SCNu64 ".%" SCNu64, &bytes, &files) == 2;
		if (!has)
			fault(c, "bag-info.txt: Payload-Oxum is not BYTES.FILES");
	}
	if (f != NULL)
		fclose(f);
	bm_buf_printf(&data, "%s/data", dir);
	tree_files = tree_bytes = 0;
	if (has && !data.oom && nftw(data.data, add_file, TREE_DESCRIPTORS, FTW_PHYS) == 0 &&
	    (tree_files != files || tree_bytes != bytes)) {
		fault(c,
		      "Payload-Oxum: there are %" PRIu64 " bytes in %" PRIu64 " files, wanted are %" PRIu64
		      " in %" PRIu64,
		      tree_bytes, tree_files, bytes, files);
		c->incomplete += tree_files < files;
		good = false;
	}
	bm_buf_fini(&data);
	return good;
}

/* ---- fetch.txt ---- */

static void percent_decode(char *name)
{
	char *to = name;

	for (; *name != '\0'; name++) {
		bool is_lf = strncasecmp(name, "%0A", 3) == 0, is_cr = strncasecmp(name, "%0D", 3) == 0;

		*to++ = (char)(is_lf ? '\n' : is_cr ? '\r' : *name);
		if (is_lf || is_cr || strncmp(name, "%25", 3) == 0)
			name += 2;
	}
	*to = '\0';
}

static void check_fetch(const char *dir, struct bm_bag_check *c, char *line)
{
	FILE *f = open_other_tag(c, dir, "fetch.txt");
	uint64_t number = 0;

	while (f != NULL && next_line(f, line)) {
		char *name = line + strcspn(line, " \t"), shown[SHOWN];
		struct bm_buf path = {0};

		number++;
		name += strspn(name, " \t");
		name += strcspn(name, " \t");
		name += strspn(name, " \t");
		if (*line == '\0')
			continue;
		percent_decode(name);
		bm_escape_display_buf(shown, sizeof(shown), name, strlen(name));
		if (strncmp(name, "data/", 5) != 0 || strstr(name, "/../") != NULL) {
			fault(c, "fetch.txt:%" PRIu64 ": \"%s\" is no name below data/", number, shown);
			continue;
		}
		bm_buf_printf(&path, "%s/%s", dir, name);
		if (!path.oom && access(path.data, F_OK) != 0) {
			fault(c, "%s: yet to be fetched", shown);
			c->incomplete++;
		}
		bm_buf_fini(&path);
	}
	if (f != NULL)
		fclose(f);
}

/* ---- manifests ---- */

/* "sha3256": as RFC 8493, 2.4, has algorithms' names. */
static bool is_named(const struct bm_digest_algorithm *a, const char *name, size_t len)
{
	size_t n = 0;

	for (const char *p = a->name; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p))
			continue;
		if (n >= len || tolower((unsigned char)name[n]) != *p)
			return false;
		n++;
	}
	return n == len;
}

static const struct bm_digest_algorithm *find_algorithm(const char *name, size_t len)
{
	const struct bm_digest_algorithm *a = bm_digest_algorithms(NULL);
	size_t bytes = 0;

	for (; a->name != NULL; a++)
		if (is_named(a, name, len))
			return a;
	do
		a = bm_digest_blake2b(++bytes);
	while (a != NULL && !is_named(a, name, len));
	return a;
}

static bool is_of_kind(const char *name, bool is_tag)
{
	return is_tag ? strncmp(name, "data/", 5) != 0 : strncmp(name, "data/", 5) == 0;
}

static enum bm_status add_entry(struct bm_bag_check *c, const char *file, bool is_tag,
                                const struct bm_manifest_entry *e, FILE *list, struct bm_error *err)
{
	struct bm_manifest_style style = {.kind = BM_MANIFEST_KIND_BSD};
	struct bm_buf line = {0};
	char shown[SHOWN];
	enum bm_status status;

	if (e->unsafe != 0 || !is_of_kind(e->name, is_tag)) {
		fault(c, "%s:%" PRIu64 ": \"%s\" is no name %s", file, e->line,
		      bm_escape_display_buf(shown, sizeof(shown), e->name, e->name_len),
		      is_tag ? "of a tag file" : "below data/");
		return BM_OK;
	}
	status = bm_manifest_put_entry(&line, &style, e, err);
	if (status == BM_OK && fwrite(line.data, 1, line.len, list) != line.len)
		status = bm_error_set_errno(err, errno, NULL, "the temporary file with the bag's lists");
	bm_buf_fini(&line);
	return status;
}

static enum bm_status add_manifest(const char *dir, const char *file, bool is_tag, struct bm_bag_check *c, FILE *list,
                                   struct bm_error *err)
{
	const char *from = strchr(file, '-') + 1;
	const struct bm_digest_algorithm *a = find_algorithm(from, strlen(from) - strlen(".txt"));
	struct bm_manifest_options opt = {.kind = BM_MANIFEST_KIND_BAGIT, .strip_dot_slash = true};
	struct bm_manifest_reader *r = NULL;
	enum bm_manifest_event event = BM_MANIFEST_END;
	struct bm_manifest_entry e;
	struct bm_buf path = {0};
	char shown[SHOWN];
	enum bm_status status = BM_OK;
	int fd = -1;

	bm_escape_display_buf(shown, sizeof(shown), file, strlen(file));
	if (a == NULL) {
		c->unknown++;
		c->on_fault(c->ctx,
		            "there is a manifest of an algorithm that is not known here, and was not looked at");
		return BM_OK;
	}
	c->payload_kinds += !is_tag;
	opt.algorithm = a->name;
	bm_buf_printf(&path, "%s/%s", dir, file);
	if (path.oom)
		status = bm_error_set_nomem(err);
	else if ((fd = open_regular(path.data)) < 0)
		fault(c, "%s: cannot be read: %s", shown, why_not_open(errno));
	else
		status = bm_manifest_open_fd(fd, path.data, &opt, &r, err);
	while (fd >= 0 && status == BM_OK && (event = bm_manifest_next(r, &e, err)) != BM_MANIFEST_END) {
		if (event == BM_MANIFEST_FAILED)
			status = err->status;
		else if (event == BM_MANIFEST_BAD_LINE)
			fault(c, "%s:%" PRIu64 ": %s", shown, e.line, e.fault);
		else
			status = add_entry(c, shown, is_tag, &e, list, err);
	}
	bm_manifest_close(r);
	if (fd >= 0)
		close(fd);
	bm_buf_fini(&path);
	return status;
}

static enum bm_status add_manifests(const char *dir, struct bm_bag_check *c, FILE *list, struct bm_error *err)
{
	DIR *d = opendir(dir);
	enum bm_status status = BM_OK;
	struct dirent *e;

	if (d == NULL)
		return bm_error_set_errno(err, errno, dir, "the directory cannot be read");
	while (status == BM_OK && (errno = 0, e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);
		bool is_tag = strncmp(e->d_name, "tagmanifest-", 12) == 0;

		if ((is_tag || strncmp(e->d_name, "manifest-", 9) == 0) && len > 4 &&
		    strcmp(e->d_name + len - 4, ".txt") == 0)
			status = add_manifest(dir, e->d_name, is_tag, c, list, err);
	}
	closedir(d);
	return status;
}

enum bm_status bm_bag_check(const char *dir, struct bm_bag_check *c, struct bm_error *err)
{
	char *line = malloc(LINE_BYTES);
	FILE *list = NULL;
	enum bm_status status;

	c->list = -1;
	if (line == NULL)
		return bm_error_set_nomem(err);
	status = check_declaration(dir, c, line, err);
	if (status != BM_OK)
		goto out;
	check_fetch(dir, c, line);
	if (!check_oxum(dir, c, line))
		goto out;
	list = bm_temp_file();
	if (list == NULL) {
		status = bm_error_set_errno(err, errno, NULL, "no temporary file can be made");
		goto out;
	}
	status = add_manifests(dir, c, list, err);
	if (status != BM_OK)
		goto out;
	if (c->payload_kinds + c->unknown == 0)
		fault(c, "there is no payload manifest");
	if (fflush(list) != 0 || (c->list = fcntl(fileno(list), F_DUPFD_CLOEXEC, 3)) < 0)
		status = bm_error_set_errno(err, errno, NULL, "the temporary file with the bag's lists");
out:
	if (list != NULL)
		fclose(list);
	free(line);
	return status;
}
