/* manifest.h - lines of manifests as other programs read them. Any thread. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include <bytemill/bytemill.h>

#include "bm_digest.h"
#include "bm_mem.h"

/* Appends the line or lines for r's digests of step: of one algorithm, or (only NULL) of all. format: enum
 * bm_manifest_format. name is bytes. GNU and BSD lines as coreutils writes them: where the name holds \, LF or CR the
 * line starts with \ and the name has \\ \n \r instead; nul ends lines with NUL and escapes nothing. */
void bm_manifest_put(struct bm_buf *out, int format, bool nul, const struct bm_file_result *r, unsigned step,
                     const struct bm_digest_algorithm *only, const char *name);

#endif
