/*
 * paths.c - from a path in a URL to a file below one of the service's directories.
 *
 * The path is checked as text first (http_text.h: no "..", no empty component), and then the kernel is asked to stay
 * below the directory and to follow no symbolic link on the way (openat2: RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS), so
 * that whoever may make links there leads nobody out of it, at whatever moment. An upload's directory is opened once
 * like that, and from there on named by its descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http_text.h"
#include "serve_internal.h"

bool serve_take_path(struct serve_request *r, const char *raw, size_t len)
{
	bm_buf_reset(&r->tail);
	if (r->route->takes_dirs && (len == 0 || (len > 1 && raw[len - 1] == '/'))) {
		r->is_dir = true;
		if (len == 0)
			return true;
		len--;
	}
	switch (http_path_decode(raw, len, &r->tail)) {
	case HTTP_PATH_GOOD:
		return true;
	case HTTP_PATH_TOO_LONG:
		serve_problem(r, 414, "the path is too long; allowed: %d bytes, 255 between two slashes",
		              HTTP_PATH_MAX);
		return false;
	case HTTP_PATH_RESERVED:
		serve_problem(r, 400, "names that begin with \".bytemill-\" are those of temporary files");
		return false;
	default:
		serve_problem(r, 400,
		              "no path of a file: it is percent-encoded, has no NUL, and between two slashes there is "
		              "something that is neither \".\" nor \"..\"");
		return false;
	}
}

int serve_open_beneath(int root, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOCTTY),
	                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd;

	do
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return (int)fd;
}

/* One directory down, made where it is not there. at is closed. */
static int step_down(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int code;

	if (fd < 0 && errno == ENOENT && (mkdirat(at, name, 0777) == 0 || errno == EEXIST)) {
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && fsync(at) != 0 && errno != EINVAL) {
			code = errno;
			close(fd);
			fd = -1;
			errno = code;
		}
	}
	code = errno;
	close(at);
	errno = code;
	return fd;
}

int serve_open_parent(int root, const char *path, const char **leaf)
{
	const char *slash = strrchr(path, '/');
	char name[256];
	char dir[HTTP_PATH_MAX + 1];
	int fd;

	*leaf = slash != NULL ? slash + 1 : path;
	if (slash == NULL)
		return fcntl(root, F_DUPFD_CLOEXEC, 3);
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	fd = serve_open_beneath(root, dir, O_RDONLY | O_DIRECTORY);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
	for (const char *p = dir; fd >= 0 && *p != '\0';) {
		size_t len = strcspn(p, "/");

		memcpy(name, p, len); /* at most 255 bytes: http_path_check */
		name[len] = '\0';
		fd = step_down(fd, name);
		p += len + (p[len] == '/');
	}
	return fd;
}

const char *serve_media_type(const char *path)
{
	static const struct {
		const char *ext, *type;
	} types[] = {
		{"txt", "text/plain; charset=utf-8"},
		{"log", "text/plain; charset=utf-8"},
		{"md", "text/markdown; charset=utf-8"},
		{"csv", "text/csv"},
		{"html", "text/html"},
		{"htm", "text/html"},
		{"css", "text/css"},
		{"js", "text/javascript"},
		{"json", "application/json"},
		{"jsonl", "application/jsonl"},
		{"xml", "application/xml"},
		{"pdf", "application/pdf"},
		{"gz", "application/gzip"},
		{"tgz", "application/gzip"},
		{"zst", "application/zstd"},
		{"zip", "application/zip"},
		{"tar", "application/x-tar"},
		{"bz2", "application/x-bzip2"},
		{"xz", "application/x-xz"},
		{"7z", "application/x-7z-compressed"},
		{"wasm", "application/wasm"},
		{"png", "image/png"},
		{"jpg", "image/jpeg"},
		{"jpeg", "image/jpeg"},
		{"gif", "image/gif"},
		{"svg", "image/svg+xml"},
		{"webp", "image/webp"},
		{"avif", "image/avif"},
		{"tif", "image/tiff"},
		{"tiff", "image/tiff"},
		{"mp3", "audio/mpeg"},
		{"flac", "audio/flac"},
		{"ogg", "audio/ogg"},
		{"wav", "audio/wav"},
		{"mp4", "video/mp4"},
		{"webm", "video/webm"},
		{"mkv", "video/matroska"},
	};
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash != NULL ? slash + 1 : path, '.');

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(dot + 1, types[i].ext) == 0)
			return types[i].type;
	return "application/octet-stream";
}
