/* repair_file.h - one file of a repair. For audit_repair.c. */
#ifndef REPAIR_FILE_H
#define REPAIR_FILE_H

#include "bm_audit_repair.h"
#include "bm_manifest.h"
#include "bm_sink.h"

#define REPAIR_PIECE ((size_t)8 << 20)

struct repair_job {
	struct bm_sink_set *set; /* NULL: nothing is written */
	const char *root;        /* real */
	const char *from;
	uint8_t *buf; /* REPAIR_PIECE */
	bool (*is_stopped)(void *ctx);
	void *ctx;
	struct bm_buf swept; /* the directory that was swept last */
};

/* name is that below the root. Fills in what became of it, but for its text: that is err's, or a line a warning in
 * *warnings. */
enum bm_status repair_file(struct repair_job *job, const char *name, const struct bm_manifest_entry *e,
                           struct bm_audit_repaired *out, struct bm_buf *warnings, struct bm_error *err) BM_NODISCARD;

#endif
