/* sink_private.h - what sink_set.c (what the sinks of a run share), sink.c (open, write), sink_commit.c (metadata,
 * rename) and sink_copy.c (copies in the kernel) share. */
#ifndef BM_SINK_PRIVATE_H
#define BM_SINK_PRIVATE_H

#include <pthread.h>
#include <sys/stat.h>

#include "bm_sink.h"

#define SINK_TEMP_NAME_MAX 256

/* A target directory that stands open. Immutable but for the list fields and refs, which belong to the set's lock. */
struct sink_dir {
	int fd;
	bool is_path_only; /* O_PATH: may be searched and written, not read, so fsync is not possible on it */
	bool in_memory;    /* no disk is behind the files in it */
	bool has_syncfs;   /* its file system writes all of it on syncfs, and tells of errors */
	unsigned waiting;  /* under the set's lock: sinks in groups that have their temp here */
	bool shared_lock;  /* under the set's lock: flock, so that temps without a lock of their own are not swept */
	unsigned refs;
	bool cached, dirty;
	struct sink_dir *cache_prev, *cache_next;
	struct sink_dir *dirty_prev, *dirty_next;
	size_t key_len;
	char key[]; /* its path as it was asked for */
};

struct sink_dir_list {
	struct sink_dir *first, *last; /* most recent first */
	size_t count;
};

struct bm_sink_set {
	/* immutable after bm_sink_set_create */
	enum bm_durability durability;
	mode_t umask;

	pthread_mutex_t lock; /* for all below; never held over a call that may sleep, but for unlinkat in abort_all */
	pthread_cond_t idle;  /* waited on by abort_all: busy reached 0 */
	unsigned refs;
	uint64_t next_number;
	struct sink_dir_list cache, dirty;
	struct bm_sink *temps;      /* sinks whose temp file exists */
	unsigned busy;              /* sinks that are just creating or renaming their temp file */
	bool closed;                /* abort_all was called: no temp is made any more */
	struct bm_error sync_error; /* the first fsync of a directory that failed; final */

	char run_id[]; /* immutable */
};

enum sink_kind {
	SINK_TEMP,    /* a temp file that commit renames */
	SINK_IN_PLACE /* standard output, FIFO, device */
};

struct bm_sink {
	enum sink_kind kind;
	struct bm_sink_set *set; /* one reference */
	struct sink_dir *dir;    /* one reference; NULL: SINK_IN_PLACE */
	int fd;
	bool owns_fd;
	size_t at_once;   /* SINK_IN_PLACE: what one write may take, 0: not asked yet */
	bool has_temp;    /* the owner's view; abort_all may have removed it meanwhile */
	bool failed;      /* a write failed: commit refuses */
	bool is_complete; /* bm_sink_complete was fine */
	bool waits;       /* ... but for the fsync, which its group does */
	bool in_group;    /* ... and its descriptor is closed */
	unsigned retried; /* how often opening it was tried again */
	int retry_errno;  /* ... after which error the last time */
	struct bm_sink_options opt;
	uint64_t offset;     /* bytes appended, holes counted; with APPEND the old ones too */
	uint64_t data_end;   /* the file's size so far; less than offset: a hole at the end */
	uint64_t flushed;    /* write-back was started up to here */
	struct stat temp_st; /* the temp file when it was new */
	int old_fd;          /* APPEND to a file that exists: it, as it was at open; else -1 */
	struct stat old_st;
	bool listed;                 /* in set->temps; under set->lock */
	struct bm_sink *prev, *next; /* under set->lock */
	char temp[SINK_TEMP_NAME_MAX];
	char *leaf; /* owned: the final name below dir */
	size_t path_len;
	char path[]; /* as given, for messages */
};

/* sink_set.c; any thread */
void bm_sink_set_unref(struct bm_sink_set *set);
/* The directory at path (len bytes, "" is the working directory), made with all that is missing on the way. One
 * reference for the caller. shown: the target, for messages. May sleep: call it between block() and unblock(). */
enum bm_status bm_sink_dir_open(struct bm_sink_set *set, const char *path, size_t len, const char *shown,
                                struct sink_dir **out, struct bm_error *err);
void bm_sink_dir_unref(struct bm_sink_set *set, struct sink_dir *d);
/* Takes it out of the cache: it was removed under us. */
void bm_sink_dir_forget(struct bm_sink_set *set, struct sink_dir *d);
/* A name in it changed: to be synced by the end of the run. May sleep, to sync another. */
void bm_sink_dir_mark(struct bm_sink_set *set, struct sink_dir *d);
/* Gives up every descriptor that can be done without; called when there are none left. */
void bm_sink_set_shed(struct bm_sink_set *set);
/* The next temp name. */
void bm_sink_set_name(struct bm_sink_set *set, char name[static SINK_TEMP_NAME_MAX]);
/* Around the creation of a temp file and around its rename, so that abort_all waits for them. begin: false where the
 * set is closed; if true, bm_sink_set_end must follow. */
bool bm_sink_set_begin(struct bm_sink_set *set);
void bm_sink_set_end(struct bm_sink_set *set);
void bm_sink_set_add(struct bm_sink *s);   /* the temp file exists; between begin and end */
void bm_sink_set_leave(struct bm_sink *s); /* it does not exist any more */
/* Keeps the sweeps of others off temps in this directory, whether they are locked or not, until it is closed. False, and
 * errno, where that cannot be had. May sleep for a moment. */
bool bm_sink_dir_hold(struct bm_sink_set *set, struct sink_dir *d);
/* A sink with its temp here goes into a group; is it the first? And leaves it. */
bool bm_sink_dir_join(struct bm_sink_set *set, struct sink_dir *d);
void bm_sink_dir_part(struct bm_sink_set *set, struct sink_dir *d);

/* sink.c */
enum bm_status bm_sink_fail(struct bm_sink *s, int sys_errno, struct bm_error *err, const char *what);
/* Writes at the end, in place; no holes looked for. */
enum bm_status bm_sink_put(struct bm_sink *s, const uint8_t *data, size_t len, const struct bm_blocker *b,
                           struct bm_error *err);
int bm_sink_sync_file(int fd); /* fsync; -1 and errno */

/* sink_meta.c */
enum bm_status bm_sink_copy_metadata(struct bm_sink *s, const struct stat *st, int src_fd, bool times,
                                     struct bm_buf *warnings, struct bm_error *err);
mode_t bm_sink_read_umask(void);

/* sink_copy.c: the old file of an append, to the start of s: in the kernel, or by reading where it cannot. */
enum bm_status bm_sink_copy_old(struct bm_sink *s, const struct bm_blocker *b, struct bm_error *err);

#endif
