/*
 * url_curl.h - libcurl, under its usual names.
 *
 * Where BM_CURL_SONAME is defined it is not linked but loaded when the first URL is met (bm_library.h): with what it needs
 * itself it is two thirds of all libraries, and most runs have no URL. Builds with sanitizers link it.
 */
#ifndef URL_CURL_H
#define URL_CURL_H

#include <curl/curl.h>

#include <bytemill/error.h>

/* Loads it where that is to be done, and starts it, once a process; says the same each time. Nothing else of libcurl may be
 * called before. Any thread. */
enum bm_status url_curl_load(struct bm_error *err) BM_NODISCARD;

#ifdef BM_CURL_SONAME

/* All that are called. */
#define URL_CURL_FUNCTIONS(X)                                                                                          \
	X(curl_easy_cleanup)                                                                                           \
	X(curl_easy_getinfo)                                                                                           \
	X(curl_easy_header)                                                                                            \
	X(curl_easy_init)                                                                                              \
	X(curl_easy_pause)                                                                                             \
	X(curl_easy_setopt)                                                                                            \
	X(curl_easy_strerror)                                                                                          \
	X(curl_getdate)                                                                                                \
	X(curl_global_init)                                                                                            \
	X(curl_multi_add_handle)                                                                                       \
	X(curl_multi_cleanup)                                                                                          \
	X(curl_multi_info_read)                                                                                        \
	X(curl_multi_init)                                                                                             \
	X(curl_multi_perform)                                                                                          \
	X(curl_multi_poll)                                                                                             \
	X(curl_multi_remove_handle)                                                                                    \
	X(curl_multi_strerror)                                                                                         \
	X(curl_slist_append)                                                                                           \
	X(curl_slist_free_all)                                                                                         \
	X(curl_version_info)

/* Macros that check the types of options, and would hide the functions. Builds that link libcurl have them. */
#undef curl_easy_getinfo
#undef curl_easy_setopt

/* Written by url_curl_load alone, before there is a client. */
struct url_curl {
#define URL_CURL_MEMBER(name) __typeof__(name) *name##_;
	URL_CURL_FUNCTIONS(URL_CURL_MEMBER)
#undef URL_CURL_MEMBER
};
extern struct url_curl url_curl;

#define curl_easy_cleanup url_curl.curl_easy_cleanup_
#define curl_easy_getinfo url_curl.curl_easy_getinfo_
#define curl_easy_header url_curl.curl_easy_header_
#define curl_easy_init url_curl.curl_easy_init_
#define curl_easy_pause url_curl.curl_easy_pause_
#define curl_easy_setopt url_curl.curl_easy_setopt_
#define curl_easy_strerror url_curl.curl_easy_strerror_
#define curl_getdate url_curl.curl_getdate_
#define curl_global_init url_curl.curl_global_init_
#define curl_multi_add_handle url_curl.curl_multi_add_handle_
#define curl_multi_cleanup url_curl.curl_multi_cleanup_
#define curl_multi_info_read url_curl.curl_multi_info_read_
#define curl_multi_init url_curl.curl_multi_init_
#define curl_multi_perform url_curl.curl_multi_perform_
#define curl_multi_poll url_curl.curl_multi_poll_
#define curl_multi_remove_handle url_curl.curl_multi_remove_handle_
#define curl_multi_strerror url_curl.curl_multi_strerror_
#define curl_slist_append url_curl.curl_slist_append_
#define curl_slist_free_all url_curl.curl_slist_free_all_
#define curl_version_info url_curl.curl_version_info_

#endif

#endif
