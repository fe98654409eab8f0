/*
 * What is wrong between jobs: names, "after", standard input and output, manifests.
 *
 * It runs once, when all files are in, over sorted tables, so that a file of a hundred thousand generated jobs is no
 * trouble. Two outputs are told to be the same here only where that can be known without looking at the disk or the
 * list of inputs: the text of both paths, with the job's constants put in, is the same but for "//" and "/./".
 * Everything else of that sort is found by the planner, also before the first byte. Devices are never the same output
 * twice: /dev/null may be written by all.
 */
#include "job_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bm_template.h"
#include "bm_text.h"

/* ---- between jobs ---- */

/* All jobs in the order of their names; jobs of one name in the order in which they were added. */
struct by_name {
	struct job_node *node;
	size_t added;    /* index in the set */
	size_t visiting; /* of the search for cycles: how far in its "after" list; SIZE_MAX: done */
	size_t stamp;    /* added + 1 of the last job that named it in "after" */
	bool on_path;
};

static const char *name_of(const struct job_node *n)
{
	return n->job.p.name != NULL ? n->job.p.name : "";
}

static int compare_names(const void *a, const void *b)
{
	const struct by_name *x = a;
	const struct by_name *y = b;
	int order = strcmp(name_of(x->node), name_of(y->node));

	return order != 0 ? order : (x->added > y->added) - (x->added < y->added);
}

/* The first job of that name, or NULL. */
static struct by_name *find_name(struct by_name *jobs, size_t count, const char *name)
{
	size_t low = 0;
	size_t high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(name_of(jobs[mid].node), name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && strcmp(name_of(jobs[low].node), name) == 0 ? &jobs[low] : NULL;
}

/* Points the report at a job. */
static void go_to(struct job_report *r, const struct job_node *n)
{
	r->source = n->source;
	r->file = n->job.file;
	bm_buf_reset(&r->pointer);
	bm_buf_puts(&r->pointer, n->pointer != NULL ? n->pointer : "");
}

/* ... or at an option of one of its steps. */
static void go_to_option(struct job_report *r, const struct job_node *n, const struct bm_step *s, const char *option)
{
	go_to(r, n);
	job_report_down(r, "steps");
	job_report_down_index(r, s->index);
	job_report_down(r, option);
}

static void check_unique(struct job_report *r, const struct by_name *jobs, size_t count)
{
	size_t first = 0;

	for (size_t i = 1; i < count; i++) {
		const struct job_node *n = jobs[i].node;
		struct bm_buf shown = {0};
		char file[200];

		if (strcmp(name_of(n), name_of(jobs[first].node)) != 0) {
			first = i;
			continue;
		}
		if (n->job.p.name == NULL)
			continue;
		job_put_quoted(&shown, name_of(n), strlen(name_of(n)));
		if (shown.oom)
			r->oom = true;
		bm_escape_display_buf(file, sizeof(file), jobs[first].node->job.file,
		                      strlen(jobs[first].node->job.file));
		go_to(r, n);
		job_report_down(r, "name");
		if (!shown.oom)
			job_fault(r, JOB_FAULT, NULL, "two jobs are called %s; the other is job %u of %s", shown.data,
			          jobs[first].node->job.number + 1, file);
		bm_buf_fini(&shown);
	}
}

/* Tells of a name in the "after" of job self that is no job's. */
static void fault_after(struct job_report *r, const struct by_name *jobs, size_t count, size_t self, const char *name)
{
	const char **names = bm_calloc_array(count + 1, sizeof(*names));
	struct bm_buf shown = {0};
	size_t n = 0;

	job_put_quoted(&shown, name, strlen(name));
	if (names == NULL || shown.oom) {
		r->oom = true;
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		if (i != self && jobs[i].node->job.p.name != NULL)
			names[n++] = jobs[i].node->job.p.name;
	job_fault(r, JOB_FAULT, bm_suggest(name, names), "after names %s, and no job is called that", shown.data);
out:
	free(names);
	bm_buf_fini(&shown);
}

static void check_after(struct job_report *r, struct by_name *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct job_node *n = jobs[i].node;
		const struct bm_strings *after = &n->job.p.after;

		for (size_t k = 0; k < after->count && r->told <= JOB_MAX_FAULTS; k++) {
			struct by_name *other = find_name(jobs, count, after->items[k]);

			go_to(r, n);
			job_report_down(r, "after");
			job_report_down_index(r, k);
			if (other == NULL) {
				if (!r->set->names_unknown)
					fault_after(r, jobs, count, i, after->items[k]);
			} else if (n->job.p.name != NULL && strcmp(name_of(n), after->items[k]) == 0) {
				job_fault(r, JOB_FAULT, NULL, "after names the job itself");
			} else if (other->stamp == jobs[i].added + 1) {
				job_fault(r, JOB_FAULT, NULL, "after names a job twice; once is enough");
			} else {
				other->stamp = jobs[i].added + 1;
			}
		}
	}
}

/* path[from..len) and back to path[from] wait for each other. */
static void fault_cycle(struct job_report *r, struct by_name *const *path, size_t from, size_t len)
{
	struct bm_buf text = {0};
	const struct job_node *last = path[len - 1]->node;

	for (size_t i = from; i <= len && text.len < 300; i++) {
		const char *name = name_of(path[i < len ? i : from]->node);

		if (i > from)
			bm_buf_puts(&text, " after ");
		job_put_quoted(&text, name, strlen(name));
	}
	if (text.len >= 300)
		bm_buf_puts(&text, " after ...");
	go_to(r, last);
	job_report_down(r, "after");
	if (text.oom)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT, NULL, "jobs wait for each other: %s", text.data);
	bm_buf_fini(&text);
}

/* Depth first, with the path as its own stack: the depth may be the number of jobs. Each way back is one cycle. */
static void check_cycles(struct job_report *r, struct by_name *jobs, size_t count)
{
	struct by_name **path = bm_calloc_array(count + 1, sizeof(struct by_name *));

	if (path == NULL) {
		r->oom = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t len = 0;

		if (jobs[i].visiting == 0)
			path[len++] = &jobs[i];
		while (len > 0) {
			struct by_name *at = path[len - 1];
			const struct bm_strings *after = &at->node->job.p.after;
			struct by_name *next;

			at->on_path = true;
			if (at->visiting >= after->count) {
				at->visiting = SIZE_MAX;
				at->on_path = false;
				len--;
				continue;
			}
			next = find_name(jobs, count, after->items[at->visiting++]);
			if (next == NULL || next == at || next->visiting == SIZE_MAX)
				continue;
			if (next->on_path) {
				size_t from = len - 1;

				while (path[from] != next)
					from--;
				fault_cycle(r, path, from, len);
			} else {
				path[len++] = next;
			}
		}
	}
	free(path);
}

/* ---- standard input and output ---- */

/* Who uses one of them first; node NULL: nobody yet. */
struct use {
	const struct job_node *node;
	const struct bm_step *step;
};

static void claim_stdin(struct job_report *r, struct use *use, const struct job_node *n, const struct bm_step *s,
                        const char *option)
{
	go_to_option(r, n, s, option);
	if (r->set->stdin_is_file) {
		job_fault(r, JOB_FAULT, NULL, "%s is \"-\", but the job file itself was read from standard input",
		          option);
	} else if (use->node != NULL && use->node != n) {
		struct bm_buf shown = {0};

		job_put_quoted(&shown, name_of(use->node), strlen(name_of(use->node)));
		if (shown.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "%s is \"-\", but job %s reads standard input already", option,
			          shown.data);
		bm_buf_fini(&shown);
	} else {
		use->node = n;
	}
}

static void claim_stdout(struct job_report *r, struct use *use, const struct job_node *n, const struct bm_step *s,
                         const char *option)
{
	struct bm_buf shown = {0};

	if (use->node == NULL) {
		use->node = n;
		use->step = s;
		return;
	}
	go_to_option(r, n, s, option);
	job_put_quoted(&shown, name_of(use->node), strlen(name_of(use->node)));
	if (shown.oom)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT, NULL,
		          "%s is \"-\", but standard output is taken by steps/%u (%s) of job %s; one step may write "
		          "to it",
		          option, use->step->index, use->step->kind->name, shown.data);
	bm_buf_fini(&shown);
}

static void check_streams(struct job_report *r, const struct bm_jobs *jobs)
{
	struct use in = {NULL, NULL};
	struct use out = {NULL, NULL};

	for (size_t i = 0; i < jobs->count; i++) {
		const struct job_node *n = job_node_of(jobs->jobs[i]);

		for (size_t k = 0; k < n->job.step_count; k++) {
			const struct bm_step *s = &n->job.steps[k];
			const struct bm_strings *from = job_field_of(s, "from", BM_OPTION_PATHS, NULL);
			const char *const *list = job_field_of(s, "files_from", BM_OPTION_PATH, NULL);
			const char *const *urls = job_field_of(s, "urls_from", BM_OPTION_PATH, NULL);
			const char *const outputs[] = {"manifest", "to"};

			for (size_t f = 0; from != NULL && f < from->count; f++) {
				if (job_is_dash(from->items[f])) {
					claim_stdin(r, &in, n, s, "from");
					break;
				}
			}
			if (list != NULL && job_is_dash(*list))
				claim_stdin(r, &in, n, s, "files_from");
			if (urls != NULL && job_is_dash(*urls))
				claim_stdin(r, &in, n, s, "urls_from");
			if (s->kind->reads_manifest && job_is_dash(job_template_of(s, "manifest", NULL)))
				claim_stdin(r, &in, n, s, "manifest");
			for (size_t o = s->kind->reads_manifest ? 1 : 0; o < 2; o++)
				if (job_is_dash(job_template_of(s, outputs[o], NULL)))
					claim_stdout(r, &out, n, s, outputs[o]);
		}
	}
}

/* ---- outputs whose path is known ---- */

struct output {
	char *path; /* owned */
	const struct job_node *node;
	const struct bm_step *step;
	bool is_manifest;
	size_t order;
};
struct outputs {
	struct output *items;
	size_t count, cap;
};

/* Takes path over. */
static bool add_output(struct outputs *l, char *path, const struct job_node *n, const struct bm_step *s,
                       bool is_manifest)
{
	if (path == NULL)
		return false;
	if (l->count == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct output *items = bm_realloc_array(l->items, cap, sizeof(*items));

		if (items == NULL) {
			free(path);
			return false;
		}
		l->items = items;
		l->cap = cap;
	}
	l->items[l->count] = (struct output){path, n, s, is_manifest, l->count};
	l->count++;
	return true;
}

static char *expand_clean(const struct bm_template *t, const struct bm_template_values *v)
{
	struct bm_buf raw = {0};
	struct bm_buf clean = {0};

	bm_buf_puts(&raw, "");
	bm_template_expand(t, v, &raw);
	if (!raw.oom) {
		bm_buf_puts(&clean, "");
		job_put_clean(&clean, raw.data);
	}
	clean.oom = clean.oom || raw.oom;
	bm_buf_fini(&raw);
	if (clean.oom) {
		bm_buf_fini(&clean);
		return NULL;
	}
	return bm_buf_take(&clean);
}

/* All paths that the template of one step's option stands for, where it does not differ from file to file. */
static void add_outputs(struct job_report *r, struct outputs *l, const struct job_node *n, const struct bm_step *s,
                        const char *option)
{
	/* No two fields of this date look alike, so that {date:%m} and {date:%d} are not taken for the same; the run's
	 * id is another in every run and can stand for itself. */
	struct bm_template_values v = {.job = name_of(n), .run = "\001run\001"};
	const struct bm_enum_list *algorithms = job_field_of(s, "algorithms", BM_OPTION_ENUMS, NULL);
	const struct bm_option *o = NULL;
	const char *text = job_template_of(s, option, &o);
	struct bm_template *t = NULL;
	struct bm_error why = BM_ERROR_INIT;
	size_t count = 1;

	v.date = (struct tm){.tm_year = 445,
	                     .tm_mon = 6,
	                     .tm_mday = 19,
	                     .tm_hour = 21,
	                     .tm_min = 43,
	                     .tm_sec = 58,
	                     .tm_wday = 4,
	                     .tm_yday = 199};
	if (text == NULL || job_is_dash(text) || job_is_device(text))
		return;
	if (bm_template_compile(text, o->placeholders, &t, &why) != BM_OK) {
		/* A program's own job: it was told when the job was adopted. */
		r->oom = r->oom || why.status == BM_ERR_NOMEM;
		return;
	}
	if (bm_template_uses(t) & BM_PH_FILE) {
		bm_template_destroy(t);
		return;
	}
	if (algorithms != NULL && bm_template_uses(t) & BM_PH_ALGORITHM)
		count = algorithms->count;
	for (size_t i = 0; i < count; i++) {
		v.algorithm = "";
		if (algorithms != NULL && algorithms->count > 0) {
			const struct bm_option *names = NULL;

			job_field_of(s, "algorithms", BM_OPTION_ENUMS, &names);
			v.algorithm = names->values[algorithms->items[i]];
		}
		if (!add_output(l, expand_clean(t, &v), n, s, strcmp(option, "manifest") == 0)) {
			r->oom = true;
			break;
		}
	}
	bm_template_destroy(t);
}

static int compare_outputs(const void *a, const void *b)
{
	const struct output *x = a;
	const struct output *y = b;
	int order = strcmp(x->path, y->path);

	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* A manifest is one step's alone. Two writes to one path are the planner's: they may append, one after the other. */
static void check_manifests(struct job_report *r, const struct bm_jobs *jobs)
{
	struct outputs l = {NULL, 0, 0};
	size_t first = 0;

	for (size_t i = 0; i < jobs->count; i++) {
		const struct job_node *n = job_node_of(jobs->jobs[i]);

		for (size_t k = 0; k < n->job.step_count && n->job.p.name != NULL; k++) {
			if (!n->job.steps[k].kind->reads_manifest)
				add_outputs(r, &l, n, &n->job.steps[k], "manifest");
			add_outputs(r, &l, n, &n->job.steps[k], "to");
		}
	}
	if (l.count > 0)
		qsort(l.items, l.count, sizeof(*l.items), compare_outputs);
	for (size_t i = 1; i < l.count; i++) {
		const struct output *a = &l.items[first];
		const struct output *b = &l.items[i];
		struct bm_buf shown = {0};

		if (strcmp(a->path, b->path) != 0) {
			first = i;
			continue;
		}
		if (!a->is_manifest && !b->is_manifest)
			continue;
		job_put_quoted(&shown, name_of(a->node), strlen(name_of(a->node)));
		go_to_option(r, b->node, b->step, b->is_manifest ? "manifest" : "to");
		if (shown.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "%s is the same file as the %s of steps/%u (%s) of job %s",
			          b->is_manifest ? "manifest" : "to", a->is_manifest ? "manifest" : "output",
			          a->step->index, a->step->kind->name, shown.data);
		bm_buf_fini(&shown);
	}
	for (size_t i = 0; i < l.count; i++)
		free(l.items[i].path);
	free(l.items);
}

enum bm_status job_check_set(struct job_set *set, struct bm_error *err)
{
	struct job_report r;
	size_t count = set->pub.count;
	struct by_name *jobs = bm_calloc_array(count + 1, sizeof(*jobs));

	job_report_init(&r, set, NULL, "", err);
	if (jobs == NULL) {
		r.oom = true;
		goto out;
	}
	if (count == 0 && !set->is_faulty)
		job_fault(&r, JOB_FAULT, NULL, "no job was given");
	for (size_t i = 0; i < count; i++) {
		jobs[i].node = job_node_of(set->pub.jobs[i]);
		jobs[i].added = i;
	}
	qsort(jobs, count, sizeof(*jobs), compare_names);
	check_unique(&r, jobs, count);
	check_after(&r, jobs, count);
	check_cycles(&r, jobs, count);
	check_streams(&r, &set->pub);
	check_manifests(&r, &set->pub);
out:
	free(jobs);
	return job_report_fini(&r);
}
