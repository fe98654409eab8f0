/*
 * mhd.h - libmicrohttpd, under its usual names.
 *
 * Where BM_SERVE_SONAME is defined it is not linked but loaded when a service starts (bm_library.h), for the sake of all the
 * runs that serve nothing: it brings a library for TLS and what that needs. Builds with sanitizers link it.
 */
#ifndef SERVE_MHD_H
#define SERVE_MHD_H

#include <microhttpd.h>

#include <bytemill/error.h>

/* Loads it where that is to be done, once a process; says the same each time. Nothing else of it may be called before. Any
 * thread. */
enum bm_status serve_mhd_load(struct bm_error *err) BM_NODISCARD;

#ifdef BM_SERVE_SONAME

/* All that are called. */
#define SERVE_MHD_FUNCTIONS(X)                                                                                         \
	X(MHD_add_response_header)                                                                                     \
	X(MHD_create_response_from_buffer)                                                                             \
	X(MHD_create_response_from_callback)                                                                           \
	X(MHD_create_response_from_fd64)                                                                               \
	X(MHD_create_response_from_fd_at_offset64)                                                                     \
	X(MHD_destroy_response)                                                                                        \
	X(MHD_get_connection_info)                                                                                     \
	X(MHD_get_connection_values)                                                                                   \
	X(MHD_get_reason_phrase_for)                                                                                   \
	X(MHD_is_feature_supported)                                                                                    \
	X(MHD_lookup_connection_value)                                                                                 \
	X(MHD_queue_response)                                                                                          \
	X(MHD_quiesce_daemon)                                                                                          \
	X(MHD_resume_connection)                                                                                       \
	X(MHD_set_connection_option)                                                                                   \
	X(MHD_start_daemon)                                                                                            \
	X(MHD_stop_daemon)                                                                                             \
	X(MHD_suspend_connection)

/* Written by serve_mhd_load alone, before there is a service. */
struct serve_mhd {
#define SERVE_MHD_MEMBER(name) __typeof__(name) *name##_;
	SERVE_MHD_FUNCTIONS(SERVE_MHD_MEMBER)
#undef SERVE_MHD_MEMBER
};
extern struct serve_mhd serve_mhd;

#define MHD_add_response_header serve_mhd.MHD_add_response_header_
#define MHD_create_response_from_buffer serve_mhd.MHD_create_response_from_buffer_
#define MHD_create_response_from_callback serve_mhd.MHD_create_response_from_callback_
#define MHD_create_response_from_fd64 serve_mhd.MHD_create_response_from_fd64_
#define MHD_create_response_from_fd_at_offset64 serve_mhd.MHD_create_response_from_fd_at_offset64_
#define MHD_destroy_response serve_mhd.MHD_destroy_response_
#define MHD_get_connection_info serve_mhd.MHD_get_connection_info_
#define MHD_get_connection_values serve_mhd.MHD_get_connection_values_
#define MHD_get_reason_phrase_for serve_mhd.MHD_get_reason_phrase_for_
#define MHD_is_feature_supported serve_mhd.MHD_is_feature_supported_
#define MHD_lookup_connection_value serve_mhd.MHD_lookup_connection_value_
#define MHD_queue_response serve_mhd.MHD_queue_response_
#define MHD_quiesce_daemon serve_mhd.MHD_quiesce_daemon_
#define MHD_resume_connection serve_mhd.MHD_resume_connection_
#define MHD_set_connection_option serve_mhd.MHD_set_connection_option_
#define MHD_start_daemon serve_mhd.MHD_start_daemon_
#define MHD_stop_daemon serve_mhd.MHD_stop_daemon_
#define MHD_suspend_connection serve_mhd.MHD_suspend_connection_

#endif

#endif
