/*
 * http.h - what read, copy and write have in common where they speak to servers: the rows of their option "http", and the
 * client that is made of it.
 */
#ifndef HTTP_H
#define HTTP_H

#include "bm_plan.h"
#include "bm_url.h"

/* The fields of "http", which stands as `http` in TYPE. */
#define BM_HTTP_FIELDS(TYPE)                                                                                           \
	{                                                                                                              \
		{                                                                                                      \
			.name = "timeout",                                                                             \
			.type = BM_OPTION_DURATION,                                                                    \
			.offset = offsetof(struct TYPE, http.timeout),                                                 \
			.default_json = "\"60s\"",                                                                     \
			.help = "a transfer is broken off, and tried again, when no byte came for so long; 0: never",  \
		},                                                                                                     \
			{                                                                                              \
				.name = "proxy",                                                                       \
				.type = BM_OPTION_STRING,                                                              \
				.offset = offsetof(struct TYPE, http.proxy),                                           \
				.help = "as \"http://proxy.example:3128\"; without it the environment decides "        \
					"(http_proxy, https_proxy, no_proxy)",                                         \
			},                                                                                             \
			{                                                                                              \
				.name = "ca_file",                                                                     \
				.type = BM_OPTION_PATH,                                                                \
				.offset = offsetof(struct TYPE, http.ca_file),                                         \
				.help = "certificates of the authorities that are trusted, in place of the system's",  \
			},                                                                                             \
			{                                                                                              \
				.name = "netrc",                                                                       \
				.type = BM_OPTION_PATH,                                                                \
				.offset = offsetof(struct TYPE, http.netrc),                                           \
				.secret = true,                                                                        \
				.help = "a file of lines \"machine HOST login NAME password WORD\", for its owner "    \
					"alone (chmod 600)",                                                           \
			},                                                                                             \
			{                                                                                              \
				.name = "header_file",                                                                 \
				.type = BM_OPTION_PATH,                                                                \
				.offset = offsetof(struct TYPE, http.header_file),                                     \
				.secret = true,                                                                        \
				.help = "a file of headers that go along, as \"Authorization: Bearer ...\", one a "    \
					"line, for its owner alone (chmod 600); never sent where a redirect leads "    \
					"to another host",                                                             \
			},                                                                                             \
			{                                                                                              \
				.name = "endpoint",                                                                    \
				.type = BM_OPTION_STRING,                                                              \
				.offset = offsetof(struct TYPE, http.endpoint),                                        \
				.help = "the http:// or https:// URL of the server of s3:// URLs; without it "         \
					"AWS_ENDPOINT_URL; who we are there is said by AWS_ACCESS_KEY_ID and "         \
					"AWS_SECRET_ACCESS_KEY or ~/.aws/credentials",                                 \
			},                                                                                             \
			{                                                                                              \
				.name = "region",                                                                      \
				.type = BM_OPTION_STRING,                                                              \
				.offset = offsetof(struct TYPE, http.region),                                          \
				.help = "of s3:// URLs; without it AWS_REGION, then \"us-east-1\"",                    \
			},                                                                                             \
	}

/* Reports what the fields of "http" cannot be. has_url: there is something for it to be about. */
void bm_http_check(const struct bm_http_params *h, bool has_url, bm_step_report_fn *report, void *ctx);
/* The client's options of h; the texts are borrowed. */
struct bm_url_options bm_http_options(const struct bm_job_context *ctx, const struct bm_http_params *h);

#endif
