/*
 * tus_store.h - resumable uploads as they are on disk: notes and files.
 *
 * tus_fd is the directory <state>/serve-tus. No state in memory: any thread; who changes an upload holds flock(2) on its
 * file, which is the caller's business but for serve_tus_expire.
 */
#ifndef SERVE_TUS_STORE_H
#define SERVE_TUS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "bm_mem.h"

#define TUS_ID_BYTES 16
#define TUS_ID_TEXT (2 * TUS_ID_BYTES + 1)
#define TUS_EXPIRE_S ((time_t)24 * 3600)

/* What is known of an upload but for how far it is. */
struct tus_note {
	struct bm_buf path; /* below the inbox */
	char *job;          /* NULL: none */
	uint64_t length;
	bool is_done;
};
void tus_note_fini(struct tus_note *n); /* may be used again */

bool tus_is_id(const char *id);
/* False and errno. */
bool tus_note_write(int tus_fd, const char *id, const struct tus_note *n);
bool tus_note_read(int tus_fd, const char *id, struct tus_note *n); /* false: there is none that can be read */
/* The file of an upload, made where create says so, for reading and writing: -1 and errno. */
int tus_file_open(int tus_fd, const char *id, const char *path, bool create);
/* Removes the file, and the directories that it was in up to the upload's own. path is cut short. */
void tus_file_remove(int tus_fd, const char *id, struct bm_buf *path);
void tus_remove(int tus_fd, const char *id); /* all of it */

#endif
