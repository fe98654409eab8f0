/*
 * faults.c - a library for LD_PRELOAD that makes the n-th call of a kind go wrong, in any thread of the program.
 *
 *   BM_FAULT_KINDS  the kinds to count, with commas: those of kind_names below, or "all"
 *   BM_FAULT_AT     the number of the call that goes wrong, from 1; 0 (default): none, they are only counted
 *   BM_FAULT_DO     the errno as a number; "short": half of what was asked for, and "one": one byte of it (reads, writes
 *                   and copies; other calls are as they are); "kill" and "killed": SIGKILL before and after the call
 *   BM_FAULT_ALWAYS 1: that call and all after it; if it is EINTR not the next of the same thread, which may be the same
 *                   call made again
 *   BM_FAULT_UNDER  a directory: only calls for files below it go wrong
 *   BM_FAULT_LOG    a file of LOG_BYTES bytes, mapped, so that it tells also what a process that was killed did: the
 *                   counts (64 bits each, in the order of kind_names), whether the call came, how often a file was
 *                   created that others might read at once, and text: the function and path of the call that went wrong
 *
 * A preloaded library sees what the program, and the libraries that it uses, call; what libc calls in itself (as fopen
 * does) it does not see. Each call is counted once, whether or not it would have succeeded.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define LOG_BYTES 8192
#define TEXT_BYTES 4000

enum kind {
	K_READ,
	K_WRITE,
	K_FSYNC,
	K_RENAME,
	K_OPEN,
	K_MKDIR,
	K_COPY,
	K_UNLINK,
	K_TRUNCATE,
	K_STAT,
	K_CLOSE,
	K_READDIR,
	K_LOCK,
	K_META,
	K_SEEK,
	K_MALLOC,
	K_MMAP,
	K_THREAD,
	K_COUNT
};
static const char *const kind_names[K_COUNT] = {"read", "write",  "fsync",    "rename", "open",  "mkdir",
                                                "copy", "unlink", "truncate", "stat",   "close", "readdir",
                                                "lock", "meta",   "seek",     "malloc", "mmap",  "thread"};

struct log {
	_Atomic uint64_t counts[K_COUNT];
	_Atomic uint64_t counted; /* of the kinds that were asked for */
	_Atomic uint64_t hits;
	_Atomic uint64_t open_modes; /* files created with rights for the group or for others */
	char text[TEXT_BYTES];       /* of the first hit */
	char open_text[2000];        /* the path of the first such file */
};

/* Set before main begins, constant after. */
static struct log *log_map;
static unsigned kinds;
static uint64_t at;
static int fault_errno;
static enum { DO_ERRNO, DO_SHORT, DO_ONE, DO_KILL, DO_KILLED } action;
static bool always, ready;
static const char *under;
static __thread const void *caller;   /* of an allocation */
static __thread unsigned interrupted; /* kinds whose last call was, where all are */

/* ---- the next function of that name ---- */

static __thread bool resolving;

static void *next_function(const char *name)
{
	void *f;

	resolving = true;
	f = dlsym(RTLD_NEXT, name);
	resolving = false;
	if (f == NULL) {
		static const char text[] = "faults: there is no such function\n";
		(void)!write(2, text, sizeof(text) - 1);
		_exit(99);
	}
	return f;
}

/* NEXT(type, name): a pointer to it. dlsym is asked again by whoever is as early: it says the same. */
#define NEXT(function)                                                                                                 \
	({                                                                                                             \
		static _Atomic(void *) next_;                                                                          \
		void *found_ = atomic_load_explicit(&next_, memory_order_relaxed);                                     \
		if (found_ == NULL) {                                                                                  \
			found_ = next_function(#function);                                                             \
			atomic_store_explicit(&next_, found_, memory_order_relaxed);                                   \
		}                                                                                                      \
		(__typeof__(&function))found_;                                                                         \
	})

/* ---- what is to be done ---- */

static void find_memory_functions(void);

static unsigned parse_kinds(const char *text)
{
	unsigned mask = 0;

	if (strcmp(text, "all") == 0)
		return ~0u;
	for (unsigned k = 0; k < K_COUNT; k++) {
		size_t len = strlen(kind_names[k]);

		for (const char *p = text; (p = strstr(p, kind_names[k])) != NULL; p += len) {
			if ((p == text || p[-1] == ',') && (p[len] == ',' || p[len] == '\0'))
				mask |= 1u << k;
		}
	}
	return mask;
}

__attribute__((constructor)) static void begin(void)
{
	const char *log = getenv("BM_FAULT_LOG"), *number = getenv("BM_FAULT_AT"), *what = getenv("BM_FAULT_DO");
	const char *which = getenv("BM_FAULT_KINDS");
	int fd;

	find_memory_functions();
	if (log == NULL || which == NULL)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	log_map = (void *)syscall(SYS_mmap, NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)syscall(SYS_close, fd);
	if (log_map == MAP_FAILED)
		_exit(99);
	kinds = parse_kinds(which);
	at = number != NULL ? strtoull(number, NULL, 10) : 0;
	always = getenv("BM_FAULT_ALWAYS") != NULL;
	under = getenv("BM_FAULT_UNDER");
	if (what == NULL)
		fault_errno = EIO;
	else if (strcmp(what, "short") == 0)
		action = DO_SHORT;
	else if (strcmp(what, "one") == 0)
		action = DO_ONE;
	else if (strcmp(what, "kill") == 0)
		action = DO_KILL;
	else if (strcmp(what, "killed") == 0)
		action = DO_KILLED;
	else
		fault_errno = atoi(what);
	ready = true;
}

/* dir/path, or what fd stands for where path is NULL. */
static void say_path(char *text, size_t size, int fd, const char *path)
{
	char link[64];
	size_t used = 0;
	long n;

	if (path == NULL || path[0] != '/') {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = fd == AT_FDCWD ? syscall(SYS_getcwd, text, size) - 1 : syscall(SYS_readlink, link, text, size - 1);
		used = n > 0 ? (size_t)n : 0;
	}
	text[used] = '\0';
	if (path != NULL && used + 1 < size)
		(void)snprintf(text + used, size - used, "%s%s", path[0] != '/' ? "/" : "", path);
}

/* The file that the allocating code is in. */
static void say_library(char *text, size_t size)
{
	Dl_info info;

	if (dladdr(caller, &info) != 0 && info.dli_fname != NULL)
		(void)snprintf(text, size, "%s", info.dli_fname);
}

static bool is_due(enum kind kind, const char *function, int fd, const char *path)
{
	char where[TEXT_BYTES - 64] = "";
	uint64_t n;
	int e = errno;

	if (!ready || resolving)
		return false;
	atomic_fetch_add_explicit(&log_map->counts[kind], 1, memory_order_relaxed);
	if ((kinds >> kind & 1) == 0)
		return false;
	n = atomic_fetch_add_explicit(&log_map->counted, 1, memory_order_relaxed) + 1;
	if (at == 0 || (always ? n < at : n != at))
		return false;
	if (fd != -1 || path != NULL)
		say_path(where, sizeof(where), fd, path);
	else if (kind == K_MALLOC)
		say_library(where, sizeof(where));
	errno = e;
	if (strncmp(where, "anon_inode:", 11) == 0) /* an eventfd and its like have no such errors */
		return false;
	if (under != NULL && strncmp(where, under, strlen(under)) != 0)
		return false;
	if (always && fault_errno == EINTR) {
		interrupted ^= 1u << kind;
		if ((interrupted >> kind & 1) == 0)
			return false;
	}
	if (atomic_fetch_add(&log_map->hits, 1) == 0)
		(void)snprintf(log_map->text, TEXT_BYTES, "%s %s", function, where);
	return true;
}

static void end_here(void)
{
	(void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	for (;;)
		(void)syscall(SYS_pause);
}

/* What is to become of a call: it fails with errno set, is done with less, or is done. */
enum verdict { GO, FAIL, LESS, GO_AND_DIE };

static enum verdict judge(enum kind kind, const char *function, int fd, const char *path)
{
	if (!is_due(kind, function, fd, path))
		return GO;
	switch (action) {
	case DO_KILL:
		end_here();
		return FAIL;
	case DO_KILLED:
		return GO_AND_DIE;
	case DO_SHORT:
	case DO_ONE:
		return LESS;
	default:
		errno = fault_errno;
		return FAIL;
	}
}

static size_t less(size_t count)
{
	return count <= 1 ? count : action == DO_ONE ? 1 : count / 2;
}

#define AFTER(verdict)                                                                                                 \
	do {                                                                                                           \
		if ((verdict) == GO_AND_DIE)                                                                           \
			end_here();                                                                                    \
	} while (0)

/* A call that either fails or is done: SIMPLE(kind, type of its result, failure, name, (parameters), (arguments), fd,
 * path). */
#define SIMPLE(kind, type, failure, name, parameters, arguments, fd, path)                                             \
	EXPORT type name parameters                                                                                    \
	{                                                                                                              \
		enum verdict v_ = judge(kind, #name, fd, path);                                                        \
		type r_;                                                                                               \
		if (v_ == FAIL)                                                                                        \
			return failure;                                                                                \
		r_ = NEXT(name) arguments;                                                                             \
		AFTER(v_);                                                                                             \
		return r_;                                                                                             \
	}

/* A call that moves count bytes. */
#define COUNTED(kind, name, parameters, arguments, fd, count)                                                          \
	EXPORT ssize_t name parameters                                                                                 \
	{                                                                                                              \
		enum verdict v_ = judge(kind, #name, fd, NULL);                                                        \
		ssize_t r_;                                                                                            \
		if (v_ == FAIL)                                                                                        \
			return -1;                                                                                     \
		if (v_ == LESS)                                                                                        \
			count = less(count);                                                                           \
		r_ = NEXT(name) arguments;                                                                             \
		AFTER(v_);                                                                                             \
		return r_;                                                                                             \
	}

/* The same with an iovec: of what is to be less, only the first part is left. */
#define VECTOR(kind, name, parameters, arguments, fd)                                                                  \
	EXPORT ssize_t name parameters                                                                                 \
	{                                                                                                              \
		enum verdict v_ = judge(kind, #name, fd, NULL);                                                        \
		struct iovec first_;                                                                                   \
		ssize_t r_;                                                                                            \
		if (v_ == FAIL)                                                                                        \
			return -1;                                                                                     \
		if (v_ == LESS && n > 0) {                                                                             \
			first_ = iov[0];                                                                               \
			first_.iov_len = less(first_.iov_len);                                                         \
			iov = &first_;                                                                                 \
			n = 1;                                                                                         \
		}                                                                                                      \
		r_ = NEXT(name) arguments;                                                                             \
		AFTER(v_);                                                                                             \
		return r_;                                                                                             \
	}

/* ---- bytes ---- */

COUNTED(K_READ, read, (int fd, void *buf, size_t count), (fd, buf, count), fd, count)
COUNTED(K_READ, pread64, (int fd, void *buf, size_t count, off64_t o), (fd, buf, count, o), fd, count)
VECTOR(K_READ, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n), fd)
VECTOR(K_READ, preadv64, (int fd, const struct iovec *iov, int n, off64_t o), (fd, iov, n, o), fd)
VECTOR(K_READ, preadv64v2, (int fd, const struct iovec *iov, int n, off64_t o, int flags), (fd, iov, n, o, flags), fd)
COUNTED(K_WRITE, write, (int fd, const void *buf, size_t count), (fd, buf, count), fd, count)
COUNTED(K_WRITE, pwrite64, (int fd, const void *buf, size_t count, off64_t o), (fd, buf, count, o), fd, count)
VECTOR(K_WRITE, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n), fd)
VECTOR(K_WRITE, pwritev64v2, (int fd, const struct iovec *iov, int n, off64_t o, int flags), (fd, iov, n, o, flags), fd)
COUNTED(K_COPY, copy_file_range, (int in, off64_t *io, int out, off64_t *oo, size_t len, unsigned flags),
        (in, io, out, oo, len, flags), out, len)
SIMPLE(K_TRUNCATE, int, -1, ftruncate64, (int fd, off64_t len), (fd, len), fd, NULL)
SIMPLE(K_FSYNC, int, -1, fsync, (int fd), (fd), fd, NULL)
SIMPLE(K_FSYNC, int, -1, fdatasync, (int fd), (fd), fd, NULL)
SIMPLE(K_FSYNC, int, -1, syncfs, (int fd), (fd), fd, NULL)
SIMPLE(K_SEEK, off64_t, -1, lseek64, (int fd, off64_t o, int whence), (fd, o, whence), fd, NULL)

/* ---- names ---- */

SIMPLE(K_RENAME, int, -1, rename, (const char *old, const char *new), (old, new), AT_FDCWD, new)
SIMPLE(K_RENAME, int, -1, renameat, (int od, const char *old, int nd, const char *new), (od, old, nd, new), nd, new)
SIMPLE(K_RENAME, int, -1, renameat2, (int od, const char *old, int nd, const char *new, unsigned flags),
       (od, old, nd, new, flags), nd, new)
SIMPLE(K_RENAME, int, -1, link, (const char *old, const char *new), (old, new), AT_FDCWD, new)
SIMPLE(K_RENAME, int, -1, linkat, (int od, const char *old, int nd, const char *new, int flags),
       (od, old, nd, new, flags), nd, new)
SIMPLE(K_UNLINK, int, -1, unlink, (const char *path), (path), AT_FDCWD, path)
SIMPLE(K_UNLINK, int, -1, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), dir, path)
SIMPLE(K_UNLINK, int, -1, rmdir, (const char *path), (path), AT_FDCWD, path)
SIMPLE(K_MKDIR, int, -1, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
SIMPLE(K_MKDIR, int, -1, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), dir, path)
SIMPLE(K_STAT, int, -1, fstat64, (int fd, struct stat64 *st), (fd, st), fd, NULL)
SIMPLE(K_STAT, int, -1, stat64, (const char *restrict path, struct stat64 *restrict st), (path, st), AT_FDCWD, path)
SIMPLE(K_STAT, int, -1, lstat64, (const char *restrict path, struct stat64 *restrict st), (path, st), AT_FDCWD, path)
SIMPLE(K_STAT, int, -1, fstatat64, (int dir, const char *restrict path, struct stat64 *restrict st, int flags),
       (dir, path, st, flags), dir, path)
SIMPLE(K_READDIR, DIR *, NULL, fdopendir, (int fd), (fd), fd, NULL)
SIMPLE(K_READDIR, struct dirent64 *, NULL, readdir64, (DIR * d), (d), dirfd(d), NULL)
SIMPLE(K_READDIR, ssize_t, -1, getdents64, (int fd, void *buf, size_t size), (fd, buf, size), fd, NULL)
SIMPLE(K_LOCK, int, -1, flock, (int fd, int operation), (fd, operation), fd, NULL)
SIMPLE(K_META, int, -1, fchmod, (int fd, mode_t mode), (fd, mode), fd, NULL)
SIMPLE(K_META, int, -1, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), fd, NULL)
SIMPLE(K_META, int, -1, futimens, (int fd, const struct timespec t[2]), (fd, t), fd, NULL)

/* The descriptor is gone also where close fails. */
EXPORT int close(int fd)
{
	enum verdict v = judge(K_CLOSE, "close", fd, NULL);
	int e = errno, r = NEXT(close)(fd);

	AFTER(v);
	if (v != FAIL)
		return r;
	errno = e;
	return -1;
}

/* ---- opening ---- */

static bool has_mode(int flags)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

static void look_at_mode(int dir, const char *path, int flags, mode_t mode)
{
	int e = errno;

	if (ready && has_mode(flags) && (mode & 077) != 0 && atomic_fetch_add(&log_map->open_modes, 1) == 0)
		say_path(log_map->open_text, sizeof(log_map->open_text), dir, path);
	errno = e;
}

#define MODE(flags)                                                                                                    \
	mode_t mode = 0;                                                                                               \
	if (has_mode(flags)) {                                                                                         \
		va_list ap_;                                                                                           \
		va_start(ap_, flags);                                                                                  \
		mode = (mode_t)va_arg(ap_, unsigned);                                                                  \
		va_end(ap_);                                                                                           \
	}

EXPORT int open64(const char *path, int flags, ...)
{
	enum verdict v = judge(K_OPEN, "open", AT_FDCWD, path);
	int fd;
	MODE(flags)

	look_at_mode(AT_FDCWD, path, flags, mode);
	if (v == FAIL)
		return -1;
	fd = NEXT(open64)(path, flags, mode);
	AFTER(v);
	return fd;
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
	enum verdict v = judge(K_OPEN, "openat", dir, path);
	int fd;
	MODE(flags)

	look_at_mode(dir, path, flags, mode);
	if (v == FAIL)
		return -1;
	fd = NEXT(openat64)(dir, path, flags, mode);
	AFTER(v);
	return fd;
}

EXPORT long syscall(long number, ...)
{
	enum verdict v = GO;
	long a[6], r;
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2)
		v = judge(K_OPEN, "openat2", (int)a[0], (const char *)(uintptr_t)a[1]);
	if (v == FAIL)
		return -1;
	r = NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	AFTER(v);
	return r;
}

/* ---- memory and threads ---- */

/* What is asked for before the constructor has run (by the dynamic linker and by a sanitizer that sets itself up, when
 * nothing can be looked up) is cut from an arena and never given back. */
#define EARLY_BYTES ((size_t)1 << 20)
#define EARLY_HEAD 16 /* holds the size */

static _Alignas(16) char early[EARLY_BYTES];
static size_t early_used;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

static void find_memory_functions(void)
{
	void (*f)(void *) = (void (*)(void *))(uintptr_t)next_function("free");
	void *(*r)(void *, size_t) = (void *(*)(void *, size_t))(uintptr_t)next_function("realloc");
	void *(*c)(size_t, size_t) = (void *(*)(size_t, size_t))(uintptr_t)next_function("calloc");
	void *(*m)(size_t) = (void *(*)(size_t))(uintptr_t)next_function("malloc");

	real_free = f;
	real_realloc = r;
	real_calloc = c;
	real_malloc = m;
}

static void *early_memory(size_t size)
{
	char *p = early + early_used;

	size = (size + 15) & ~(size_t)15;
	if (size > EARLY_BYTES - early_used - EARLY_HEAD)
		_exit(98);
	early_used += size + EARLY_HEAD;
	memcpy(p, &size, sizeof(size));
	return p + EARLY_HEAD;
}

static bool is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + EARLY_BYTES;
}

static enum verdict judge_memory(const char *function, const void *from)
{
	caller = from;
	return judge(K_MALLOC, function, -1, NULL);
}

EXPORT void *malloc(size_t size)
{
	if (real_malloc == NULL)
		return early_memory(size);
	return judge_memory("malloc", __builtin_return_address(0)) == FAIL ? NULL : real_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	if (real_malloc == NULL)
		return early_memory(count * size); /* has never held anything else */
	return judge_memory("calloc", __builtin_return_address(0)) == FAIL ? NULL : real_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
	size_t had;
	void *p;

	if (real_malloc != NULL && !is_early(old))
		return judge_memory("realloc", __builtin_return_address(0)) == FAIL ? NULL : real_realloc(old, size);
	p = malloc(size);
	if (p != NULL && old != NULL) {
		memcpy(&had, (char *)old - EARLY_HEAD, sizeof(had));
		memcpy(p, old, had < size ? had : size);
	}
	return p;
}

EXPORT void free(void *p)
{
	if (p != NULL && !is_early(p))
		real_free(p);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return judge_memory("aligned_alloc", __builtin_return_address(0)) == FAIL
	               ? NULL
	               : NEXT(aligned_alloc)(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	return judge_memory("posix_memalign", __builtin_return_address(0)) == FAIL
	               ? ENOMEM
	               : NEXT(posix_memalign)(out, alignment, size);
}

SIMPLE(K_MMAP, void *, MAP_FAILED, mmap64, (void *where, size_t len, int prot, int flags, int fd, off64_t o),
       (where, len, prot, flags, fd, o), fd, NULL)

EXPORT int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return judge(K_THREAD, "pthread_create", -1, NULL) == FAIL ? errno : NEXT(pthread_create)(t, attr, run, arg);
}
