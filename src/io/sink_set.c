/*
 * What the sinks of a run share.
 *
 * Directories: a target directory is opened (and made) once and stays open in a cache of CACHE_MAX, found by the text
 * of its path; so ten thousand files in one directory cost one walk along the path. A directory whose names changed is
 * also in the list of dirty ones until it is synced; there may be DIRTY_MAX, after that the one that changed longest
 * ago is synced at once. A directory that is in both lists, or used by sinks, is one object with one descriptor. When
 * the process runs out of descriptors both lists are emptied (bm_sink_set_shed).
 *
 * A sync that fails may be that of somebody else's directory, long after his commit: the error stays in the set and
 * comes out of bm_sink_set_sync, which is what decides over the run. It is never retried, for the kernel forgets.
 *
 * Temp files: each is in a list from its creation until it was renamed or removed. abort_all closes the set, waits for
 * the creations and renames that have begun, and unlinks what is in the list. A temp file is locked with flock as long
 * as its sink lives, for the sweeps of others (sink_sweep.c). Temps that wait in a group are closed, or descriptors would
 * bound the group; the shared lock on their directory stands for them all.
 */
#include "sink_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "io_sys.h"

#define CACHE_MAX 64
#define DIRTY_MAX 256
#define RUN_ID_MAX 160

#define DIR_FLAGS (O_DIRECTORY | O_CLOEXEC)

static void lock(struct bm_sink_set *set)
{
	int r = pthread_mutex_lock(&set->lock);
	if (r) { /* only a broken program gets here, and it must not go on without the lock */
		(void)fprintf(stderr, "bytemill: pthread_mutex_lock failed (%d)\n", r);
		abort();
	}
}

static void unlock(struct bm_sink_set *set)
{
	int r = pthread_mutex_unlock(&set->lock);
	if (r) {
		(void)fprintf(stderr, "bytemill: pthread_mutex_unlock failed (%d)\n", r);
		abort();
	}
}

/* ---- the two lists of directories; all under the lock ---- */

#define LIST_FUNCTIONS(name)                                                                                           \
	static void name##_add(struct sink_dir_list *l, struct sink_dir *d)                                            \
	{                                                                                                              \
		d->name##_prev = NULL;                                                                                 \
		d->name##_next = l->first;                                                                             \
		if (l->first)                                                                                          \
			l->first->name##_prev = d;                                                                     \
		else                                                                                                   \
			l->last = d;                                                                                   \
		l->first = d;                                                                                          \
		l->count++;                                                                                            \
	}                                                                                                              \
	static void name##_remove(struct sink_dir_list *l, struct sink_dir *d)                                         \
	{                                                                                                              \
		if (d->name##_prev)                                                                                    \
			d->name##_prev->name##_next = d->name##_next;                                                  \
		else                                                                                                   \
			l->first = d->name##_next;                                                                     \
		if (d->name##_next)                                                                                    \
			d->name##_next->name##_prev = d->name##_prev;                                                  \
		else                                                                                                   \
			l->last = d->name##_prev;                                                                      \
		d->name##_prev = d->name##_next = NULL;                                                                \
		l->count--;                                                                                            \
	}
LIST_FUNCTIONS(cache)
LIST_FUNCTIONS(dirty)

/* Drops one reference; returns d where it was the last, to be freed by dir_free after the lock was released. */
static struct sink_dir *drop(struct sink_dir *d)
{
	return --d->refs == 0 ? d : NULL;
}

static void dir_free(struct sink_dir *d)
{
	if (!d)
		return;
	bm_io_close(d->fd);
	free(d);
}

static struct sink_dir *uncache(struct bm_sink_set *set, struct sink_dir *d)
{
	cache_remove(&set->cache, d);
	d->cached = false;
	return drop(d);
}

/* Takes the directory that changed longest ago out of the dirty ones; its reference goes to the caller. */
static struct sink_dir *take_dirty(struct bm_sink_set *set)
{
	struct sink_dir *d = set->dirty.last;
	if (d) {
		dirty_remove(&set->dirty, d);
		d->dirty = false;
	}
	return d;
}

static void sync_dir(struct bm_sink_set *set, struct sink_dir *d)
{
	int r;
	do
		r = fsync(d->fd);
	while (r != 0 && errno == EINTR);
	/* EINVAL: a file system that has no fsync for directories (some FUSE ones); nothing more can be done. */
	if (r != 0 && errno != EINVAL) {
		int e = errno;
		lock(set);
		(void)bm_io_fail(&set->sync_error, e, d->key_len > 0 ? d->key : ".", d->key_len > 0 ? d->key_len : 1,
		                 "fsync of this directory failed, so new files in it may be lost in a crash");
		unlock(set);
	}
	bm_sink_dir_unref(set, d);
}

void bm_sink_dir_unref(struct bm_sink_set *set, struct sink_dir *d)
{
	if (!d)
		return;
	lock(set);
	d = drop(d);
	unlock(set);
	dir_free(d);
}

void bm_sink_dir_forget(struct bm_sink_set *set, struct sink_dir *d)
{
	lock(set);
	d = d->cached ? uncache(set, d) : NULL;
	unlock(set);
	dir_free(d);
}

void bm_sink_dir_mark(struct bm_sink_set *set, struct sink_dir *d)
{
	if (set->durability == BM_DURABLE_NONE || d->is_path_only)
		return;
	struct sink_dir *oldest = NULL;
	lock(set);
	if (d->dirty) {
		dirty_remove(&set->dirty, d);
	} else {
		d->dirty = true;
		d->refs++;
		if (set->dirty.count >= DIRTY_MAX)
			oldest = take_dirty(set);
	}
	dirty_add(&set->dirty, d);
	unlock(set);
	if (oldest)
		sync_dir(set, oldest);
}

void bm_sink_set_shed(struct bm_sink_set *set)
{
	for (;;) {
		struct sink_dir *dead = NULL, *changed;
		lock(set);
		if (set->cache.last)
			dead = uncache(set, set->cache.last);
		changed = take_dirty(set);
		bool empty = !set->cache.last && !set->dirty.last;
		unlock(set);
		dir_free(dead);
		if (changed)
			sync_dir(set, changed);
		if (empty)
			return;
	}
}

enum bm_status bm_sink_set_sync(struct bm_sink_set *set, struct bm_error *err)
{
	for (;;) {
		lock(set);
		struct sink_dir *d = take_dirty(set);
		unlock(set);
		if (!d)
			break;
		sync_dir(set, d);
	}
	lock(set);
	enum bm_status status = set->sync_error.status;
	if (status != BM_OK && err && err->status == BM_OK)
		*err = set->sync_error;
	unlock(set);
	return status;
}

/* ---- opening and making directories ---- */

static bool has_key(const struct sink_dir *d, const char *path, size_t len)
{
	return d->key_len == len && memcmp(d->key, path, len) == 0;
}

/* Under the lock; with a reference for the caller. */
static struct sink_dir *cache_find(struct bm_sink_set *set, const char *path, size_t len)
{
	for (struct sink_dir *d = set->cache.first; d; d = d->cache_next) {
		if (has_key(d, path, len)) {
			cache_remove(&set->cache, d);
			cache_add(&set->cache, d);
			d->refs++;
			return d;
		}
	}
	return NULL;
}

static struct sink_dir *dir_new(const char *key, size_t key_len, int fd, bool is_path_only)
{
	struct sink_dir *d = calloc(1, sizeof *d + key_len + 1);
	if (d) {
		d->fd = fd;
		d->is_path_only = is_path_only;
		d->in_memory = bm_io_in_memory(fd);
		d->has_syncfs = bm_io_has_syncfs(fd);
		d->refs = 1;
		d->key_len = key_len;
		memcpy(d->key, key, key_len);
	}
	return d;
}

/* A directory that may be written but not read is opened as a path only. */
static int open_dir(int at, const char *path, size_t len, bool *is_path_only)
{
	*is_path_only = false;
	int fd = bm_io_open(at, path, len, O_RDONLY | DIR_FLAGS, 0);
	if (fd < 0 && errno == EACCES) {
		fd = bm_io_open(at, path, len, O_PATH | DIR_FLAGS, 0);
		*is_path_only = true;
	}
	return fd;
}

/* A directory was made in the one that stands open at fd and whose path is the first len bytes of path. */
static void mark_parent(struct bm_sink_set *set, int fd, const char *path, size_t len)
{
	if (set->durability == BM_DURABLE_NONE)
		return;
	while (len > 1 && path[len - 1] == '/')
		len--;
	lock(set);
	struct sink_dir *d = set->dirty.first;
	while (d && !has_key(d, path, len))
		d = d->dirty_next;
	if (d)
		d->refs++;
	unlock(set);
	struct stat known, now;
	if (d && (fstat(d->fd, &known) != 0 || fstat(fd, &now) != 0 || known.st_dev != now.st_dev ||
	          known.st_ino != now.st_ino)) { /* that path led to another directory then */
		bm_sink_dir_unref(set, d);
		d = NULL;
	}
	if (!d) {
		bool is_path_only;
		int own = open_dir(fd, ".", 1, &is_path_only);
		if (own < 0 && (errno == EMFILE || errno == ENFILE)) {
			bm_sink_set_shed(set);
			own = open_dir(fd, ".", 1, &is_path_only);
		}
		d = own >= 0 ? dir_new(path, len, own, is_path_only) : NULL;
		if (!d) {
			int e = errno;
			bm_io_close(own);
			lock(set);
			(void)bm_io_fail(&set->sync_error, e, len > 0 ? path : ".", len > 0 ? len : 1,
			                 "cannot open this directory to sync it");
			unlock(set);
			return;
		}
	}
	bm_sink_dir_mark(set, d);
	bm_sink_dir_unref(set, d);
}

/* mkdir -p, and the descriptor of the last one. Other threads and processes may be making the same ones. -1: errno. */
static int make_dirs(struct bm_sink_set *set, const char *path, size_t len, bool *is_path_only)
{
	size_t pos = 0;
	int at = AT_FDCWD, fd;
	if (path[0] == '/') {
		at = bm_io_open(AT_FDCWD, "/", 1, O_PATH | DIR_FLAGS, 0);
		if (at < 0)
			return -1;
	}
	for (;;) {
		while (pos < len && path[pos] == '/')
			pos++;
		if (pos == len)
			break;
		size_t part = strcspn(path + pos, "/");
		char name[NAME_MAX + 1];
		if (part > NAME_MAX) {
			errno = ENAMETOOLONG;
			goto fail;
		}
		memcpy(name, path + pos, part);
		name[part] = '\0';
		for (int tries = 0;; tries++) {
			fd = bm_io_open(at, name, part, O_PATH | DIR_FLAGS, 0);
			if (fd >= 0)
				break;
			/* Missing again after it was made: someone removes it each time, or it is a link to nowhere. */
			if (errno != ENOENT || tries == 8)
				goto fail;
			if (mkdirat(at, name, 0777) == 0)
				mark_parent(set, at, path, pos);
			else if (errno != EEXIST)
				goto fail;
		}
		bm_io_close(at);
		at = fd;
		pos += part;
	}
	fd = open_dir(at, ".", 1, is_path_only);
	bm_io_close(at);
	return fd;
fail:
	bm_io_close(at);
	return -1;
}

enum bm_status bm_sink_dir_open(struct bm_sink_set *set, const char *path, size_t len, const char *shown,
                                struct sink_dir **out, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	struct sink_dir *dead = NULL, *d, *other;
	lock(set);
	*out = cache_find(set, path, len);
	unlock(set);
	if (*out)
		return BM_OK;
	char *text = len ? bm_memdup0(path, len) : bm_memdup0(".", 1);
	if (!text)
		return bm_error_set_nomem(err);
	size_t text_len = len ? len : 1;
	bool is_path_only = false;
	int fd;
	for (int tries = 0;; tries++) {
		fd = open_dir(AT_FDCWD, text, text_len, &is_path_only);
		if (fd < 0 && errno == ENOENT)
			fd = make_dirs(set, text, text_len, &is_path_only);
		if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || tries > 0)
			break;
		bm_sink_set_shed(set);
	}
	if (fd < 0) {
		char name[256];
		int e = errno;
		bm_escape_display_buf(name, sizeof name, text, text_len);
		status = bm_io_fail(err, e, shown, strlen(shown), "cannot open or make its directory %s", name);
		goto out;
	}
	d = dir_new(path, len, fd, is_path_only);
	if (!d) {
		bm_io_close(fd);
		status = bm_error_set_nomem(err);
		goto out;
	}
	lock(set);
	other = cache_find(set, path, len); /* another thread may have been faster */
	if (!other) {
		d->refs++;
		d->cached = true;
		cache_add(&set->cache, d);
		if (set->cache.count > CACHE_MAX)
			dead = uncache(set, set->cache.last);
	}
	unlock(set);
	dir_free(dead);
	if (other)
		dir_free(d);
	*out = other ? other : d;
out:
	free(text);
	return status;
}

/* ---- temp files ---- */

void bm_sink_set_name(struct bm_sink_set *set, char name[static SINK_TEMP_NAME_MAX])
{
	lock(set);
	uint64_t number = set->next_number++;
	unlock(set);
	(void)snprintf(name, SINK_TEMP_NAME_MAX, BM_TEMP_PREFIX "%s-%llu.tmp", set->run_id, (unsigned long long)number);
}

static void list_remove(struct bm_sink *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		s->set->temps = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = s->next = NULL;
	s->listed = false;
}

bool bm_sink_set_begin(struct bm_sink_set *set)
{
	lock(set);
	bool open = !set->closed;
	if (open)
		set->busy++;
	unlock(set);
	return open;
}

void bm_sink_set_end(struct bm_sink_set *set)
{
	lock(set);
	if (--set->busy == 0)
		(void)pthread_cond_broadcast(&set->idle);
	unlock(set);
}

void bm_sink_set_add(struct bm_sink *s)
{
	struct bm_sink_set *set = s->set;
	lock(set);
	s->next = set->temps;
	if (s->next)
		s->next->prev = s;
	set->temps = s;
	s->listed = true;
	unlock(set);
}

void bm_sink_set_leave(struct bm_sink *s)
{
	lock(s->set);
	if (s->listed)
		list_remove(s);
	unlock(s->set);
}

bool bm_sink_dir_hold(struct bm_sink_set *set, struct sink_dir *d)
{
	lock(set);
	bool held = d->shared_lock;
	unlock(set);
	if (held)
		return true;
	int r;
	do
		r = flock(d->fd, LOCK_SH);
	while (r != 0 && errno == EINTR);
	if (r != 0)
		return false;
	lock(set);
	d->shared_lock = true;
	unlock(set);
	return true;
}

bool bm_sink_dir_join(struct bm_sink_set *set, struct sink_dir *d)
{
	lock(set);
	bool first = d->waiting++ == 0;
	unlock(set);
	return first;
}

void bm_sink_dir_part(struct bm_sink_set *set, struct sink_dir *d)
{
	lock(set);
	d->waiting--;
	unlock(set);
}

void bm_sink_set_abort_all(struct bm_sink_set *set)
{
	if (!set)
		return;
	lock(set);
	set->closed = true;
	while (set->busy > 0) {
		int r = pthread_cond_wait(&set->idle, &set->lock);
		if (r) {
			(void)fprintf(stderr, "bytemill: pthread_cond_wait failed (%d)\n", r);
			abort();
		}
	}
	while (set->temps) {
		struct bm_sink *s = set->temps; /* it stays with its owner, who may be writing to it */
		(void)unlinkat(s->dir->fd, s->temp, 0);
		list_remove(s);
	}
	unlock(set);
}

/* ---- life ---- */

enum bm_status bm_sink_set_create(const char *run_id, enum bm_durability d, struct bm_sink_set **out,
                                  struct bm_error *err)
{
	*out = NULL;
	size_t len = strlen(run_id);
	if (len == 0 || len > RUN_ID_MAX || strchr(run_id, '/'))
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a run id has 1 to %d bytes and no '/'", RUN_ID_MAX);
	struct bm_sink_set *set = calloc(1, sizeof *set + len + 1);
	if (!set)
		return bm_error_set_nomem(err);
	set->durability = d;
	set->umask = bm_sink_read_umask();
	set->refs = 1;
	memcpy(set->run_id, run_id, len + 1);
	int r = pthread_mutex_init(&set->lock, NULL);
	if (r) {
		free(set);
		return bm_error_set_errno(err, r, NULL, "pthread_mutex_init");
	}
	r = pthread_cond_init(&set->idle, NULL);
	if (r) {
		(void)pthread_mutex_destroy(&set->lock);
		free(set);
		return bm_error_set_errno(err, r, NULL, "pthread_cond_init");
	}
	*out = set;
	return BM_OK;
}

void bm_sink_set_unref(struct bm_sink_set *set)
{
	lock(set);
	bool last = --set->refs == 0;
	unlock(set);
	if (!last)
		return;
	(void)pthread_cond_destroy(&set->idle);
	(void)pthread_mutex_destroy(&set->lock);
	free(set);
}

void bm_sink_set_destroy(struct bm_sink_set *set)
{
	if (!set)
		return;
	bm_sink_set_abort_all(set);
	for (;;) {
		lock(set);
		struct sink_dir *changed = take_dirty(set), *dead = NULL;
		if (changed)
			dead = drop(changed);
		else if (set->cache.last)
			dead = uncache(set, set->cache.last);
		bool empty = !set->cache.last && !set->dirty.last;
		unlock(set);
		dir_free(dead);
		if (empty)
			break;
	}
	bm_sink_set_unref(set); /* sinks that their owners forgot to end keep it */
}
