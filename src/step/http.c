/*
 * http.c - the option "http", for the steps that have it.
 */
#include "http.h"

#include <string.h>

#include "bm_sink.h"
#include "step_internal.h"

void bm_http_check(const struct bm_http_params *h, bool has_url, bm_step_report_fn *report, void *ctx)
{
	if (!h->http)
		return;
	if (!has_url)
		report(ctx, "http", "http says how servers are spoken to, and there is no URL here", NULL);
	if (h->proxy != NULL && strchr(h->proxy, '@') != NULL)
		report(ctx, "http",
		       "http.proxy holds a user name or password; put the whole of it into the environment "
		       "(http_proxy, https_proxy) of the one who runs the job",
		       NULL);
	if (h->endpoint != NULL && (strchr(h->endpoint, '@') != NULL || !bm_url_is(h->endpoint) ||
	                            h->endpoint[0] == 's' || h->endpoint[0] == 'S'))
		report(ctx, "http", "http.endpoint must be an http:// or https:// URL, without user name and password",
		       NULL);
}

struct bm_url_options bm_http_options(const struct bm_job_context *ctx, const struct bm_http_params *h)
{
	return (struct bm_url_options){
		.connections = 1,
		.retries = (unsigned)ctx->job->p.retries,
		.timeout_ms = h->http ? h->timeout.ms : 60000,
		.proxy = h->proxy,
		.ca_file = h->ca_file,
		.netrc = h->netrc,
		.header_file = h->header_file,
		.s3_endpoint = h->endpoint,
		.s3_region = h->region,
	};
}
