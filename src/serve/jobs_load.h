/* jobs_load.h - the jobs that may be run by name, and what is wrong with a job file, as JSON. */
#ifndef SERVE_JOBS_LOAD_H
#define SERVE_JOBS_LOAD_H

#include "serve_internal.h"

struct serve_jobs {
	struct bm_jobs *jobs;
	char **sets; /* "NAME=VALUE", owned, each too */
	size_t set_count;
	struct bm_buf
		faults; /* JSON objects with commas between them: file, line, column, pointer, message, suggestion */
	size_t fault_count;
	bool no_places; /* lines and columns are not those of what the client sent */
};
/* The file NAME.json of the directory --jobs, checked. sets are taken over, also on failure. False: r was replied to. */
bool serve_jobs_load(struct serve_request *r, const char *name, char **sets, size_t set_count, struct serve_jobs *out);
/* A whole job file in JSON, confined to the directories of --allow-submit; likewise. as_sent: lines and columns of the text
 * mean something to the client. */
bool serve_jobs_submit(struct serve_request *r, const char *text, bool as_sent, char **sets, size_t set_count,
                       struct serve_jobs *out);
/* submit.c: adds a fault for each thing in the checked jobs that leaves those directories; false: there is one. */
bool serve_jobs_confine(const struct bm_serve *s, struct serve_jobs *j);
void serve_jobs_fini(struct serve_jobs *j);

/* The same with the request's body as the text of the job file, without the environment, and nothing is to be run. */
bool serve_jobs_check(struct serve_request *r, char **sets, size_t set_count, struct serve_jobs *out);

#endif
