/* place.h - where a file of the program's own (report, log, metrics) is to be. */
#ifndef BM_CLI_PLACE_H
#define BM_CLI_PLACE_H

#include <errno.h>

/* For a message about a file that could not be opened or made: what to do, with a space before it; "" where errno says it. */
static inline const char *bm_place_advice(int error)
{
	switch (error) {
	case ENOENT:
		return " (make its directory first)";
	case ENOTDIR:
		return " (what its path has for a directory is none)";
	case EISDIR:
		return " (name a file in it)";
	default:
		return "";
	}
}

#endif
