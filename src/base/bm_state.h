/* bm_state.h - the directory for what must outlive a run: locks, logs, the record of past runs. */
#ifndef BM_STATE_H
#define BM_STATE_H

#include <bytemill/error.h>

/* Which directory it is; *out is an absolute path (the caller frees), and nothing is made. given: what the user said
 * (--state), or NULL: then $BYTEMILL_STATE, else /var/lib/bytemill for root, and for others $XDG_STATE_HOME/bytemill or
 * ~/.local/state/bytemill. Values of these variables that are not absolute are passed over, as the XDG base directory
 * specification wants. BM_ERR_FAILED: the user has no home directory. Reads the environment: not while another thread
 * changes it. */
enum bm_status bm_state_dir(const char *given, char **out, struct bm_error *err) BM_NODISCARD;
/* Makes dir (absolute) and what is missing above it, with mode 0700. BM_ERR_SYSTEM. */
enum bm_status bm_state_make(const char *dir, struct bm_error *err) BM_NODISCARD;

#endif
