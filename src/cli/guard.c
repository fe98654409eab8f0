/*
 * guard.c - keeps keys and passphrases out of core dumps and away from debuggers.
 *
 * A core file lies about for years, and one that a crash handler has sent somewhere is gone for good. The limit on its
 * size is what most systems heed; a handler that is a pipe gets the core all the same, unless the process says that it
 * must not be dumped. Both are the whole process's affair, and so the program's and not the library's.
 */
#include "guard.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "bm_job.h"

void bm_guard_process(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_CORE, &r) == 0) {
		r.rlim_cur = 0;
		(void)setrlimit(RLIMIT_CORE, &r);
	}
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* LeakSanitizer looks into its own process */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static bool reads_secret(const void *params, const struct bm_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct bm_option *o = &options[i];
		const void *field = (const char *)params + o->offset;

		if (o->type == BM_OPTION_OBJECT && reads_secret(params, o->fields, o->field_count))
			return true;
		if (!o->secret)
			continue;
		if (o->type == BM_OPTION_FILES ? ((const struct bm_strings *)field)->count > 0
		                               : *(char *const *)field != NULL)
			return true;
	}
	return false;
}

void bm_guard_process_for(const struct bm_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		for (size_t k = 0; k < jobs->jobs[i]->step_count; k++)
			if (reads_secret(&jobs->jobs[i]->steps[k].p, jobs->jobs[i]->steps[k].kind->options,
			                 jobs->jobs[i]->steps[k].kind->option_count)) {
				bm_guard_process();
				return;
			}
}
