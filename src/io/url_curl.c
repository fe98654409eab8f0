/* url_curl.c - see url_curl.h. */
#include "url_curl.h"

#include <pthread.h>

#include "bm_error.h"
#include "bm_library.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Written in load alone, and so before any reader. */
static struct bm_error why = BM_ERROR_INIT;
static enum bm_status loaded;

#ifdef BM_CURL_SONAME
struct url_curl url_curl;
#endif

static void load(void)
{
	CURLcode code;

#ifdef BM_CURL_SONAME
#define NAME(name) #name,
	static const char *const names[] = {URL_CURL_FUNCTIONS(NAME)};

	loaded = bm_library_load(BM_CURL_SONAME, names, sizeof(names) / sizeof(names[0]), &url_curl, &why);
	if (loaded != BM_OK)
		return;
#endif
	code = curl_global_init(CURL_GLOBAL_DEFAULT);
	if (code != CURLE_OK)
		loaded =
			bm_error_set(&why, BM_ERR_FAILED, NULL, "libcurl does not start: %s", curl_easy_strerror(code));
}

enum bm_status url_curl_load(struct bm_error *err)
{
	(void)pthread_once(&once, load);
	return loaded == BM_OK ? BM_OK : bm_error_set(err, loaded, NULL, "%s", why.text);
}
