/*
 * bm_catalog_done.h - what each job has done with each input: so that a run that was cut off, or the next one, can skip
 * what is complete and unchanged, and still write its manifest lines. Threads, errors, times and what "queued" means:
 * bm_catalog.h.
 *
 * A record may only be put once the input's outputs have their final names and are as durable as the job asks for. It
 * says what the input was and what came of it; whether that is still so, is for the caller to look at.
 */
#ifndef BM_CATALOG_DONE_H
#define BM_CATALOG_DONE_H

#include "bm_catalog.h"

struct bm_catalog_output {
	const char *path; /* bytes, NUL-terminated */
	size_t path_len;
	uint64_t size; /* this and the next two: when it had its final name */
	int64_t mtime_ns;
	uint64_t inode;
	unsigned step;
	bool skipped; /* it was there before, and to be kept */
};
struct bm_catalog_done_digest {
	unsigned step;         /* of the job's hash step */
	const char *algorithm; /* handed out: valid until the catalog is closed */
	const uint8_t *bytes;
	size_t len;
	uint64_t length; /* bytes that were digested */
};
struct bm_catalog_done {
	const char *path; /* of the input, relative to its root; bytes; handed out: NUL-terminated */
	size_t path_len;
	uint64_t size; /* this and the next three: of the input when it was read */
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
	int64_t done_ns;
	const struct bm_catalog_output *outputs;
	size_t output_count;
	const struct bm_catalog_done_digest *digests;
	size_t digest_count;
};

/* The number of the job with this key (a hash of all that decides what it makes: 1 to 64 bytes), which is used now; a new
 * one where there is none. */
enum bm_status bm_catalog_job_open(struct bm_catalog *c, const uint8_t *key, size_t key_len, const char *name,
                                   int64_t now_ns, int64_t *job, struct bm_error *err) BM_NODISCARD;
/* How a run of a job begins. */
struct bm_catalog_beginning {
	const uint8_t *boot; /* what tells this boot of the machine from others; 1 to 64 bytes */
	size_t boot_len;
	bool anew;           /* there is nothing to go on with, whatever is on record */
	bool same_boot_only; /* ... where the machine was restarted in between */
};
/* What is known of a job when it begins. */
struct bm_catalog_job {
	int64_t id;
	int64_t cut_ns;   /* when a run of it began that did not come to its end; 0: there is none */
	int64_t began_ns; /* of what it is now a part of: cut_ns where it goes on with that, else now */
};
/* The same as bm_catalog_job_open, in one transaction with this: it is on record from now on that a run has begun. */
enum bm_status bm_catalog_job_begin(struct bm_catalog *c, const uint8_t *key, size_t key_len, const char *name,
                                    const struct bm_catalog_beginning *how, int64_t now_ns, struct bm_catalog_job *out,
                                    struct bm_error *err) BM_NODISCARD;
/* Queued: the run has come to its end, and there is nothing to go on with. */
enum bm_status bm_catalog_job_end(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
/* Queued. root: of bm_catalog_root_add, or 0 for inputs that belong to none (then path should be absolute). Replaces the
 * record that was there. lane: any number; calls with different ones (a thread's index) do not wait for each other. An
 * error of an earlier write may be told later than by others: by one of the next calls, or the flush. */
enum bm_status bm_catalog_done_put(struct bm_catalog *c, int64_t job, int64_t root, unsigned lane,
                                   const struct bm_catalog_done *d, struct bm_error *err) BM_NODISCARD;
/* Queued; after all that was put before. */
enum bm_status bm_catalog_done_delete(struct bm_catalog *c, int64_t job, int64_t root, const char *path,
                                      size_t path_len, struct bm_error *err) BM_NODISCARD;

/* Records of one job and root in byte order of their paths; a cursor like those of bm_catalog_files.h. The records were
 * put one behind the other, which is cheap; opening a cursor sorts in what has come since the last time, which takes some
 * 3 s a million. What is put later it does not see. */
struct bm_catalog_dones;
enum bm_status bm_catalog_dones_open(struct bm_catalog *c, int64_t job, int64_t root, struct bm_catalog_dones **out,
                                     struct bm_error *err) BM_NODISCARD;
/* A record whose bytes are damaged counts as none; any other damage of the database is an error.
 * *out: the next one, valid until the next call for this cursor; NULL at the end. */
enum bm_status bm_catalog_dones_next(struct bm_catalog_dones *d, const struct bm_catalog_done **out,
                                     struct bm_error *err) BM_NODISCARD;
/* That one, or NULL where there is none; next goes on after path. Any order is right, ascending paths are fast. */
enum bm_status bm_catalog_dones_find(struct bm_catalog_dones *d, const char *path, size_t path_len,
                                     const struct bm_catalog_done **out, struct bm_error *err) BM_NODISCARD;
/* Was there a damaged record where the last find gave NULL? The caller deletes it (bm_catalog_done_delete) or puts a new one
 * in its place, or it will be found again. */
bool bm_catalog_dones_is_damaged(const struct bm_catalog_dones *d);
/* Would find know without asking the database, and so without waiting for anything? */
bool bm_catalog_dones_is_near(const struct bm_catalog_dones *d, const char *path, size_t path_len);
void bm_catalog_dones_close(struct bm_catalog_dones *d); /* NULL is fine */

/* Forgets the job's records: all (the larger part of it is queued), or those that were there when a cursor of it was last
 * opened. */
enum bm_status bm_catalog_done_delete_all(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
enum bm_status bm_catalog_done_delete_folded(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
/* Forgets the jobs that were last opened before before_ns, with their records. *deleted (jobs) may be NULL. */
enum bm_status bm_catalog_job_delete_before(struct bm_catalog *c, int64_t before_ns, uint64_t *deleted,
                                            struct bm_error *err) BM_NODISCARD;

#endif
