/*
 * plan_print.c - what a run would do (`bytemill validate`, --dry-run): lists the inputs, touches nothing.
 */
#include <string.h>

#include "bm_text.h"
#include "bm_url.h"
#include "job_key.h"
#include "run_internal.h"

static void print_name(FILE *out, const char *name)
{
	struct bm_buf b = {0}, shown = {0};

	bm_url_redact(&shown, name, strlen(name));
	bm_escape_display(&b, shown.data != NULL ? shown.data : "", shown.len);
	bm_buf_fini(&shown);
	if (!b.oom && b.data != NULL)
		fputs(b.data, out);
	bm_buf_fini(&b);
}

static void print_steps(FILE *out, const struct job_run *j)
{
	for (size_t i = 0; i < j->job->step_count; i++) {
		const struct bm_step *s = &j->job->steps[i];
		struct bm_buf b = {0};

		fprintf(out, "  %-10s  ", s->kind->name);
		if (i == 0) {
			for (size_t k = 0; k < s->p.read.from.count; k++) {
				fputs(k > 0 ? ", " : "", out);
				print_name(out, s->p.read.from.items[k]);
			}
			if (s->p.read.files_from != NULL) {
				fputs(s->p.read.from.count > 0 ? ", names from " : "names from ", out);
				print_name(out, s->p.read.files_from);
			}
			if (s->p.read.urls.count > 0)
				fprintf(out, "%s%zu URLs", s->p.read.from.count > 0 ? ", " : "", s->p.read.urls.count);
			if (s->p.read.urls_from != NULL) {
				fputs(s->p.read.from.count + s->p.read.urls.count > 0 ? ", URLs from " : "URLs from ",
				      out);
				print_name(out, s->p.read.urls_from);
			}
			if (s->p.read.remove)
				fputs("; each is removed when all is made of it", out);
		} else if (s->kind->ops->describe != NULL) {
			s->kind->ops->describe(j->plan->shared[i], &b);
			if (!b.oom && b.data != NULL)
				fputs(b.data, out);
		}
		fputc('\n', out);
		bm_buf_fini(&b);
	}
}

static void print_resume(FILE *out, const struct bm_job *job)
{
	struct bm_buf why = {0};

	if (job_is_indivisible(job, &why))
		fprintf(out, "  if it is cut off: begins anew, since %s\n", why.oom ? "?" : why.data);
	else if (job->p.incremental)
		fputs("  incremental: what was done before and is unchanged is skipped\n", out);
	else
		fputs("  if it is cut off: goes on where it was\n", out);
	bm_buf_fini(&why);
}

static void print_sentence(void *out, const char *text)
{
	fprintf(out, "  %s\n", text);
}

static enum bm_status print_inputs(FILE *out, struct job_run *j, struct bm_error *err)
{
	struct bm_walk *w = NULL;
	struct bm_entry *e;
	uint64_t files = 0, bytes = 0, streams = 0, errors = 0, own_outputs = 0;
	char size[16];

	if (j->job->p.after.count > 0) {
		fputs("  inputs: not listed, since jobs before this one may make them\n", out);
		return BM_OK;
	}
	if (bm_plan_lists_once(j->job)) {
		fputs("  inputs: named in a pipe, which is left for the run\n", out);
		return BM_OK;
	}
	enum bm_status status = bm_plan_walk(j->plan, (const char *const *)j->skip_paths, j->skip_count, true, &w, err);
	if (status != BM_OK)
		return status;
	while ((e = bm_walk_next(w, NULL)) != NULL) {
		if (e->kind == BM_ENTRY_ERROR) {
			if (errors++ < 20) {
				fputs("  ", out);
				print_name(out, e->display);
				fprintf(out, ": %s\n", e->error->text);
			}
		} else if (outputs_has_input(j->run->outputs, j, e)) {
			own_outputs++;
		} else {
			files++;
			streams += e->kind == BM_ENTRY_STREAM || (e->kind == BM_ENTRY_URL && !e->has_stat);
			bytes += e->has_stat && e->kind != BM_ENTRY_STREAM ? e->st.size : 0;
		}
		bm_entry_destroy(e);
	}
	fprintf(out, "  inputs: %llu files, %s", (unsigned long long)files, bm_size_format(bytes, size));
	if (streams > 0)
		fprintf(out, " and %llu streams of unknown length", (unsigned long long)streams);
	if (errors > 0)
		fprintf(out, "; %llu cannot be read", (unsigned long long)errors);
	fputc('\n', out);
	job_run_passed_over(j, w, own_outputs, print_sentence, out);
	bm_walk_destroy(w);
	return BM_OK;
}

enum bm_status bm_run_plan(const struct bm_jobs *jobs, const struct bm_run_options *opt, FILE *out,
                           struct bm_error *err)
{
	struct bm_run *run = NULL;
	enum bm_status status = run_create(jobs, opt, NULL, &run, err);
	char a[16], b[16];

	if (status != BM_OK)
		return status;
	fprintf(out, "%zu job%s, %u threads and up to %u more for I/O, %s of memory\n", run->job_count,
	        run->job_count == 1 ? "" : "s", run->permits, run->io_depth, bm_size_format(run->memory, a));
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++) {
		struct job_run *j = &run->job_runs[i];

		fputs("job ", out);
		print_name(out, j->job->p.name);
		for (size_t k = 0; k < j->job->p.after.count; k++) {
			fputs(k == 0 ? ", after " : ", ", out);
			print_name(out, j->job->p.after.items[k]);
		}
		fprintf(out, ": chunks of %s, codec states %s\n", bm_size_format(j->plan->chunk_bytes, a),
		        bm_size_format(j->plan->state_bytes, b));
		print_steps(out, j);
		print_resume(out, j->job);
		status = print_inputs(out, j, err);
	}
	bm_run_destroy(run);
	return status;
}
