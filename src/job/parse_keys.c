/*
 * parse_keys.c - keys that a job file has and that mean nothing there, and what they were probably meant to be.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_text.h"
#include "job_internal.h"

uint64_t job_fault_key(struct job_report *r, const char *key, const char *owner, const struct bm_option *options,
                       size_t count, const char *const extra[2])
{
	const char **names = bm_calloc_array(count + 3, sizeof(*names));
	struct bm_buf shown = {0};
	struct bm_buf list = {0};
	const char *near = NULL;
	uint64_t bit = 0;
	size_t n = 0;
	size_t mark;

	if (names == NULL) {
		r->oom = true;
		return 0;
	}
	if (extra[0] != NULL)
		names[n++] = extra[0];
	for (size_t i = 0; i < count; i++)
		names[n++] = options[i].name;
	if (extra[1] != NULL)
		names[n++] = extra[1];
	near = bm_suggest(key, names);
	for (size_t i = 0; near != NULL && i < count; i++)
		if (strcmp(near, options[i].name) == 0)
			bit = UINT64_C(1) << i;
	if (near != NULL && near == extra[1])
		bit = JOB_MEANT_EXTRA;
	job_put_quoted(&shown, key, strlen(key));
	job_put_list(&list, names, NULL);
	if (shown.oom || list.oom) {
		r->oom = true;
		goto out;
	}
	mark = job_report_down(r, key);
	job_fault(r, JOB_FAULT_OF_KEY, near, "unknown key %s; %s takes: %s", shown.data, owner, list.data);
	job_report_up(r, mark);
out:
	free(names);
	bm_buf_fini(&shown);
	bm_buf_fini(&list);
	return bit;
}

/* A root without "jobs" is a job, and to be told all that a job may have is no help to whoever wrote "job": the key that
 * was meant to be it, or NULL. */
static const char *find_misspelt_jobs(const json_t *root)
{
	size_t count;
	const struct bm_option *options = bm_job_options(&count);
	const char **names = bm_calloc_array(count + 3, sizeof(*names));
	const char *key, *found = NULL, *near;
	json_t *value;

	if (names == NULL || json_object_get(root, "steps") != NULL) {
		free(names);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		names[i] = options[i].name;
	names[count] = "steps";
	names[count + 1] = "jobs";
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		near = json_is_array(value) || json_is_object(value) ? bm_suggest(key, names) : NULL;
		if (found == NULL && near != NULL && near == names[count + 1])
			found = key;
	}
	free(names);
	return found;
}

bool job_fault_misspelt_jobs(struct job_report *r, const json_t *root)
{
	const char *key = find_misspelt_jobs(root);
	struct bm_buf shown = {0};
	size_t mark;

	if (key == NULL)
		return false;
	mark = job_report_down(r, key);
	job_put_quoted(&shown, key, strlen(key));
	if (shown.oom)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT_OF_KEY, "jobs",
		          "unknown key %s; a file of several jobs has an array of them in \"jobs\"", shown.data);
	job_report_up(r, mark);
	bm_buf_fini(&shown);
	r->set->names_unknown = true;
	return true;
}
