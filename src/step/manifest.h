/* manifest.h - the lines of a file's digests in a manifest. Any thread. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include <bytemill/bytemill.h>

#include "bm_digest.h"
#include "bm_manifest.h"
#include "bm_mem.h"

/* Appends the line or lines for r's digests of step: of one algorithm, or (only NULL) of all; of these the ones that style
 * names, where it names any. name is bytes. with_mtime: JSON lines get the input's time of change. BM_ERR_NOMEM (out is
 * oom); BM_ERR_USAGE: the name is empty; BM_ERR_UNSUPPORTED: such lines cannot hold that name. */
enum bm_status bm_step_put_manifest(struct bm_buf *out, const struct bm_manifest_style *style,
                                    const struct bm_file_result *r, unsigned step,
                                    const struct bm_digest_algorithm *only, const char *name, bool with_mtime,
                                    struct bm_error *err) BM_NODISCARD;

#endif
