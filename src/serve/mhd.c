/* mhd.c - see mhd.h. */
#include "mhd.h"

#include <pthread.h>

#include "bm_error.h"
#include "bm_library.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Written in load alone, and so before any reader. */
static struct bm_error why = BM_ERROR_INIT;
static enum bm_status loaded;

#ifdef BM_SERVE_SONAME
struct serve_mhd serve_mhd;
#endif

static void load(void)
{
#ifdef BM_SERVE_SONAME
#define NAME(name) #name,
	static const char *const names[] = {SERVE_MHD_FUNCTIONS(NAME)};

	loaded = bm_library_load(BM_SERVE_SONAME, names, sizeof(names) / sizeof(names[0]), &serve_mhd, &why);
#endif
}

enum bm_status serve_mhd_load(struct bm_error *err)
{
	(void)pthread_once(&once, load);
	return loaded == BM_OK ? BM_OK : bm_error_set(err, loaded, NULL, "%s", why.text);
}
