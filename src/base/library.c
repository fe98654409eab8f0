/*
 * library.c - see bm_library.h.
 *
 * All functions are looked for at once, so that one that is missing shows before any is called. They are bound when they
 * are first called (RTLD_LAZY), as those of linked libraries are.
 */
#include "bm_library.h"

#include <dlfcn.h>
#include <string.h>

#include "bm_error.h"

enum bm_status bm_library_load(const char *soname, const char *const *names, size_t count, void *functions,
                               struct bm_error *err)
{
	void *const library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
	const char *why;

	for (size_t i = 0; library != NULL && i < count; i++) {
		void *const address = dlsym(library, names[i]);

		if (address == NULL)
			break;
		/* POSIX lets a pointer to a function pass for one to void; C has no cast for it. */
		memcpy((char *)functions + i * sizeof(address), &address, sizeof(address));
		if (i + 1 == count)
			return BM_OK;
	}
	why = dlerror();
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "a library that this needs cannot be loaded: %s",
	                    why != NULL ? why : soname);
}
