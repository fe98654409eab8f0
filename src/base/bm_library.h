/*
 * bm_library.h - shared libraries that are loaded when they are first needed.
 *
 * A library that few runs need, and that brings many others, costs every run the time to load and to bind them all. Such
 * a one is not linked: its functions are members of a struct of pointers, which this fills in.
 */
#ifndef BM_LIBRARY_H
#define BM_LIBRARY_H

#include <stddef.h>

#include <bytemill/error.h>

/* Loads the library of that name ("libcurl.so.4"), which the dynamic linker looks for where it looks for all, and stores
 * the addresses of its functions: functions points to a struct of count pointers to functions and nothing else, in the
 * order of names. BM_ERR_UNSUPPORTED, in the linker's words: it is not there, or lacks one of them; *functions is then not
 * to be used. Stays loaded. Any thread, but one at a time for the same struct; reads files. */
enum bm_status bm_library_load(const char *soname, const char *const *names, size_t count, void *functions,
                               struct bm_error *err) BM_NODISCARD;

#endif
