/* update_lines.h - what the two files of the update share. */
#ifndef UPDATE_LINES_H
#define UPDATE_LINES_H

#include "bm_audit.h"
#include "bm_names.h"

struct change_digest {
	char name[24]; /* of the algorithm */
	uint8_t len;
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
};

/* Digests of blocks, as the file has them now. */
struct change_blocks {
	char algorithm[24];
	uint64_t size_bytes;
	size_t count, digest_len;
	uint8_t bytes[];
};

/* What is to be done about one file. */
struct change {
	char *name;     /* owned; that of its lines in the manifest, below the root; of an added file its own */
	char *new_name; /* owned; MOVED */
	enum bm_verdict verdict;
	bool has_mtime, is_refused;
	uint64_t size_bytes;
	int64_t mtime_ns;
	size_t digest_count;
	struct change_digest *digests; /* owned */
	struct change_blocks *blocks;  /* owned; NULL: not known */
};

struct update_writer {
	struct bm_name_map *map;
	const struct bm_manifest_options *options;
	const char *path;
	struct change *changes; /* those of lines there are, sorted by name; then those that are added, sorted too */
	size_t change_count, add_count;
	void (*on_refused)(void *ctx, const char *text);
	void *ctx;
	struct bm_audit_update_stats *stats;
	enum bm_status (*put)(void *sink, const void *data, size_t len, struct bm_error *err);
	void *sink;
};
/* Reads the manifest at path, and puts what it is to be. */
enum bm_status update_lines(struct update_writer *u, struct bm_error *err) BM_NODISCARD;

#endif
