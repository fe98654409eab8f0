/*
 * bytemill/error.h - what every fallible call of Bytemill says when it fails.
 *
 * The caller owns the struct bm_error and starts it zeroed (BM_ERROR_INIT). The first error wins: a call that is
 * handed an error that is already set leaves it as it is. A NULL error pointer is allowed everywhere.
 */
#ifndef BYTEMILL_ERROR_H
#define BYTEMILL_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BM_API __attribute__((visibility("default")))
#define BM_NODISCARD __attribute__((warn_unused_result))
#define BM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define BM_API
#define BM_NODISCARD
#define BM_PRINTF(fmt, args)
#endif

/* The numbers are part of the ABI: new ones go to the end. */
enum bm_status {
	BM_OK = 0,
	BM_ERR_NOMEM,       /* memory could not be had, or the memory budget is too small */
	BM_ERR_USAGE,       /* a wrong argument, option or job file: nothing was done */
	BM_ERR_SYSTEM,      /* a system call failed: sys_errno says how */
	BM_ERR_FORMAT,      /* data is not what its format demands (corrupt, tampered) */
	BM_ERR_TRUNCATED,   /* data ends too early */
	BM_ERR_LIMIT,       /* a cap (size, ratio, window, depth) was passed */
	BM_ERR_CHANGED,     /* a file changed while it was read */
	BM_ERR_EXISTS,      /* the target exists and may not be replaced */
	BM_ERR_CONFLICT,    /* two streams would write one path, or an output is an input */
	BM_ERR_UNSUPPORTED, /* not built in, or not possible on this file system */
	BM_ERR_CANCELLED,   /* the run was cancelled */
	BM_ERR_MISMATCH,    /* a digest or size is not the expected one */
	BM_ERR_FAILED       /* something else; the text says what */
};

/* where: a path (escaped for display), a JSON Pointer or an offset; text: what happened, why, what to do. Both are
 * NUL-terminated UTF-8 and are cut with "..." in the middle where too long. */
struct bm_error {
	enum bm_status status;
	int sys_errno; /* errno of the system call, 0 if none */
	char where[1024];
	char text[1024];
};

#define BM_ERROR_INIT                                                                                                  \
	{                                                                                                              \
		BM_OK, 0, "", ""                                                                                       \
	}

/* The name of a status ("BM_ERR_NOMEM" gives "out of memory"); never NULL, static storage. Any thread. */
BM_API const char *bm_status_text(enum bm_status status);

#ifdef __cplusplus
}
#endif
#endif
