/* bm_error.h - filling in a struct bm_error. See <bytemill/error.h> for its rules. Any thread. */
#ifndef BM_ERROR_H
#define BM_ERROR_H

#include <bytemill/error.h>

/* Sets err (unless NULL or already set) and returns status, so that `return bm_error_set(...)` reads well.
 * where may be NULL. The text is printf-like and one line. Neither is escaped in full: pass names through
 * bm_escape_display_buf first. As a last line of defence control characters (a line break too) and bytes that are not
 * UTF-8 are escaped in both; a backslash is left alone, so what was escaped before stays as it is. A BM_OK status does
 * nothing. errno is kept. */
enum bm_status bm_error_set(struct bm_error *err, enum bm_status status, const char *where, const char *fmt, ...)
	BM_PRINTF(4, 5);

/* The same for a failed system call: status BM_ERR_SYSTEM (BM_ERR_NOMEM for ENOMEM), text "fmt: strerror(sys_errno)",
 * of which the latter is never cut off. */
enum bm_status bm_error_set_errno(struct bm_error *err, int sys_errno, const char *where, const char *fmt, ...)
	BM_PRINTF(4, 5);

/* BM_ERR_NOMEM with a standard text. */
enum bm_status bm_error_set_nomem(struct bm_error *err);

/* Makes err unset again. Cheaper than assigning BM_ERROR_INIT, which writes two kilobytes. */
static inline void bm_error_clear(struct bm_error *err)
{
	err->status = BM_OK;
	err->sys_errno = 0;
	err->where[0] = err->text[0] = '\0';
}

#endif
