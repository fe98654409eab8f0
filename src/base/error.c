/*
 * error.c - filling in the caller's struct bm_error.
 *
 * A message is built at its full length first and then cut to the field, in the middle, because its two ends say most:
 * what was being done, and why it failed. It is built on the stack where it fits there, so that "out of memory" can
 * still be told; only a message longer than the field takes memory, and where none is to be had its tail is lost.
 *
 * Both fields end up on terminals and in logs. Callers escape the names that they put in; what slips through (control
 * characters, bytes that are not UTF-8) is escaped here once more. That pass leaves a backslash alone, so a name that
 * was escaped already stays as it is.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include "bm_error.h"
#include "bm_text.h"

const char *bm_status_text(enum bm_status status)
{
	switch (status) {
	case BM_OK:
		return "ok";
	case BM_ERR_NOMEM:
		return "out of memory";
	case BM_ERR_USAGE:
		return "wrong usage";
	case BM_ERR_SYSTEM:
		return "system call failed";
	case BM_ERR_FORMAT:
		return "corrupt data";
	case BM_ERR_TRUNCATED:
		return "data ends too early";
	case BM_ERR_LIMIT:
		return "limit passed";
	case BM_ERR_CHANGED:
		return "file changed while it was read";
	case BM_ERR_EXISTS:
		return "target exists";
	case BM_ERR_CONFLICT:
		return "conflicting paths";
	case BM_ERR_UNSUPPORTED:
		return "not supported";
	case BM_ERR_CANCELLED:
		return "cancelled";
	case BM_ERR_MISMATCH:
		return "mismatch";
	case BM_ERR_FAILED:
		return "failed";
	}
	return "unknown status"; /* from a newer library, or a stray value: still printable */
}

/* Takes err only where nothing is in it yet. tail (NULL: none) goes after the formatted text and ": ". */
static void BM_PRINTF(6, 0) fill(struct bm_error *err, enum bm_status status, int sys_errno, const char *where,
                                 const char *tail, const char *fmt, va_list ap)
{
	char small[sizeof(err->text) + 256];
	char *large = NULL;
	const char *text = small;
	size_t len;
	va_list again;

	if (err == NULL || err->status != BM_OK || status == BM_OK)
		return;

	size_t tail_len = tail != NULL ? strlen(tail) + 2 : 0;
	va_copy(again, ap);
	int printed = vsnprintf(small, sizeof(small), fmt, ap);
	if (printed < 0) { /* a format that libc refuses: the bare format says more than nothing */
		snprintf(small, sizeof(small), "%s", fmt);
		printed = (int)strlen(small);
	}
	len = (size_t)printed;
	if (len + tail_len >= sizeof(small)) {
		large = malloc(len + tail_len + 1);
		if (large != NULL) {
			if (len < sizeof(small))
				memcpy(large, small, len + 1);
			else
				vsnprintf(large, len + 1, fmt, again);
			text = large;
		} else {
			len = sizeof(small) - 1 - (tail_len < 200 ? tail_len : 200);
		}
	}
	va_end(again);
	if (tail != NULL) {
		char *at = large != NULL ? large + len : small + len;
		size_t room = large != NULL ? tail_len + 1 : sizeof(small) - len;
		snprintf(at, room, ": %s", tail);
		len += strlen(at);
	}

	err->status = status;
	err->sys_errno = sys_errno;
	bm_escape_message_buf(err->text, sizeof(err->text), text, len);
	bm_escape_message_buf(err->where, sizeof(err->where), where, where != NULL ? strlen(where) : 0);
	free(large);
}

enum bm_status bm_error_set(struct bm_error *err, enum bm_status status, const char *where, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(err, status, 0, where, NULL, fmt, ap);
	va_end(ap);
	errno = saved;
	return status;
}

enum bm_status bm_error_set_errno(struct bm_error *err, int sys_errno, const char *where, const char *fmt, ...)
{
	int saved = errno;
	enum bm_status status = sys_errno == ENOMEM ? BM_ERR_NOMEM : BM_ERR_SYSTEM;
	char buf[128];
	va_list ap;

	va_start(ap, fmt);
	/* The GNU strerror_r: it may return static text instead of filling buf; either way no other thread's. */
	fill(err, status, sys_errno, where, strerror_r(sys_errno, buf, sizeof(buf)), fmt, ap);
	va_end(ap);
	errno = saved;
	return status;
}

enum bm_status bm_error_set_nomem(struct bm_error *err)
{
	return bm_error_set(err, BM_ERR_NOMEM, NULL,
	                    "out of memory: free some, or run with a smaller --memory or fewer "
	                    "--threads");
}
