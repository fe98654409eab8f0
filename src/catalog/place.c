/*
 * place.c - which file system a directory is on: so that an unmounted disk is not taken for a lost archive.
 *
 * There is no single number that lasts. st_dev is that of the device node, which depends on the order in which disks are
 * found. f_fsid is made from the UUID on ext4 and btrfs, from st_dev on xfs. The UUID itself comes from the
 * kernel (since Linux 6.9) or from udev's links in /dev/disk/by-uuid, where the file system lies on one device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

/* FS_IOC_GETFSUUID of linux/fs.h, which older headers do not have. */
struct fs_uuid {
	uint8_t len;
	uint8_t bytes[16];
};
#define GET_FS_UUID _IOR(0x15, 0, struct fs_uuid)

#define BY_UUID "/dev/disk/by-uuid"

static void uuid_from_kernel(int fd, struct bm_catalog_place *out)
{
	struct fs_uuid uuid = {0};

	if (ioctl(fd, GET_FS_UUID, &uuid) != 0 || uuid.len == 0 || uuid.len > sizeof(uuid.bytes))
		return;
	for (size_t i = 0, at = 0; i < uuid.len; i++) {
		bool dash = uuid.len == 16 && (i == 4 || i == 6 || i == 8 || i == 10);

		at += (size_t)snprintf(out->uuid + at, sizeof(out->uuid) - at, "%s%02x", dash ? "-" : "",
		                       uuid.bytes[i]);
	}
}

static void uuid_from_links(dev_t device, struct bm_catalog_place *out)
{
	DIR *d = opendir(BY_UUID);
	struct stat st;

	if (d == NULL)
		return;
	for (const struct dirent *e; out->uuid[0] == '\0' && (e = readdir(d)) != NULL;) {
		size_t len = strlen(e->d_name);

		if (e->d_name[0] != '.' && len < sizeof(out->uuid) && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
		    S_ISBLK(st.st_mode) && st.st_rdev == device)
			memcpy(out->uuid, e->d_name, len + 1);
	}
	(void)closedir(d);
}

/* Takes fd over. */
static bool is_dir_empty(int fd)
{
	DIR *d = fdopendir(fd);
	bool empty = true;

	if (d == NULL) {
		(void)close(fd);
		return false;
	}
	for (const struct dirent *e; empty && (e = readdir(d)) != NULL;) {
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		        strcmp(e->d_name, "lost+found") == 0;
	}
	(void)closedir(d);
	return empty;
}

enum bm_status bm_catalog_place_get(const char *path, struct bm_catalog_place *out, bool *is_empty,
                                    struct bm_error *err)
{
	char where[512];
	struct stat st;
	struct statfs fs;
	int fd;

	do
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	memset(out, 0, sizeof(*out));
	if (is_empty != NULL)
		*is_empty = false;
	if (fd < 0 || fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0) {
		int code = errno;

		if (fd >= 0)
			(void)close(fd);
		return bm_error_set_errno(err, code, bm_escape_display_buf(where, sizeof(where), path, strlen(path)),
		                          "it cannot be told what file system this is on");
	}
	out->device = st.st_dev;
	memcpy(&out->fsid, &fs.f_fsid, sizeof(out->fsid));
	uuid_from_kernel(fd, out);
	if (out->uuid[0] == '\0')
		uuid_from_links(st.st_dev, out);
	if (is_empty != NULL && S_ISDIR(st.st_mode))
		*is_empty = is_dir_empty(fd);
	else
		(void)close(fd);
	return BM_OK;
}

bool bm_catalog_place_equal(const struct bm_catalog_place *a, const struct bm_catalog_place *b)
{
	if (a->uuid[0] != '\0' && b->uuid[0] != '\0')
		return strcmp(a->uuid, b->uuid) == 0;
	return a->device == b->device || (a->fsid != 0 && a->fsid == b->fsid);
}
