/*
 * What is wrong between things of one job that are right by themselves: the order of its steps, the options of a step,
 * two of its steps. It runs while the job's file is read; what lies between jobs is check_set.c's.
 */
#include "job_internal.h"
#include "job_key.h"

#include <string.h>

#include "bm_gzip.h"
#include "bm_glob.h"
#include "bm_sink.h"
#include "bm_text.h"
#include "bm_url.h"

/* ---- looking into a step ---- */

const void *job_field_of(const struct bm_step *s, const char *name, enum bm_option_type type,
                         const struct bm_option **option)
{
	for (size_t i = 0; i < s->kind->option_count; i++) {
		const struct bm_option *o = &s->kind->options[i];

		if (o->type == type && strcmp(o->name, name) == 0) {
			if (option != NULL)
				*option = o;
			return (const char *)&s->p + o->offset;
		}
	}
	return NULL;
}

const char *job_template_of(const struct bm_step *s, const char *name, const struct bm_option **option)
{
	const char *const *field = job_field_of(s, name, BM_OPTION_TEMPLATE, option);

	return field != NULL ? *field : NULL;
}

/* ---- one step ---- */

struct step_report {
	struct job_report *r;
	const struct bm_step_kind *kind;
	uint64_t excused;
};

static void on_step_fault(void *ctx, const char *option, const char *text, const char *suggestion)
{
	struct step_report *s = ctx;
	size_t mark;

	for (size_t i = 0; i < s->kind->option_count; i++)
		if (strcmp(s->kind->options[i].name, option) == 0 && s->excused & UINT64_C(1) << i)
			return;
	mark = job_report_down(s->r, option);
	job_fault(s->r, JOB_FAULT, suggestion, "%s", text);
	job_report_up(s->r, mark);
}

void job_check_step(struct job_report *r, const struct bm_step *step, uint64_t excused)
{
	struct step_report s = {r, step->kind, excused};

	if (step->kind->check != NULL)
		step->kind->check(&step->p, on_step_fault, &s);
}

/* ---- one job ---- */

void job_check_shape(struct job_report *r, const struct bm_step_kind *const *kinds, size_t count)
{
	size_t mark = job_report_down(r, "steps");
	bool looks = false;

	for (size_t i = 0; i < count; i++) {
		size_t inner = job_report_down_index(r, i);

		if (kinds[i] == NULL || kinds[i]->role == BM_ROLE_LOOK)
			looks = true;
		if (i == 0 && kinds[i] != NULL && kinds[i]->role != BM_ROLE_READ)
			job_fault(r, JOB_FAULT, NULL,
			          "the first step is %s; it must be read, which says which files the job reads",
			          kinds[i]->name);
		else if (i > 0 && kinds[i] != NULL && kinds[i]->role == BM_ROLE_READ)
			job_fault(r, JOB_FAULT, NULL,
			          "read may only be the first step; read all files there, or make a second job");
		job_report_up(r, inner);
	}
	if (!looks) {
		job_fault(r, JOB_FAULT, NULL,
		          "there is nothing to do: no step looks at the bytes or writes them; add hash, copy "
		          "or write");
	} else if (kinds[count - 1] != NULL && kinds[count - 1]->role == BM_ROLE_CHANGE) {
		size_t inner = job_report_down_index(r, count - 1);

		job_fault(r, JOB_WARNING, NULL, "what %s makes goes nowhere: no write, copy or hash comes after it",
		          kinds[count - 1]->name);
		job_report_up(r, inner);
	}
	job_report_up(r, mark);
}

/* A name goes into paths, as {job}, and into every report. */
static void check_name(struct job_report *r, const char *name)
{
	const char *why = NULL;
	size_t mark = job_report_down(r, "name");

	if (name != NULL && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		why = "stands for a directory";
	else if (name != NULL && !bm_utf8_valid(name, strlen(name)))
		why = "is not valid UTF-8";
	for (const char *p = name; p != NULL && *p != '\0' && why == NULL; p++) {
		if (*p == '/')
			why = "holds \"/\"";
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			why = "holds a control character";
	}
	if (why != NULL) {
		struct bm_buf shown = {0};

		job_put_quoted(&shown, name, strlen(name));
		if (shown.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL,
			          "the job's name %s %s; allowed: 1 to 100 bytes of text without \"/\", since it can "
			          "be a part of "
			          "paths",
			          shown.data, why);
		bm_buf_fini(&shown);
	}
	job_report_up(r, mark);
}

void job_put_clean(struct bm_buf *out, const char *path)
{
	bool at_start = true; /* of a component */

	if (*path == '/')
		bm_buf_putc(out, '/');
	while (*path != '\0') {
		if (at_start && (*path == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')))) {
			path++;
		} else {
			at_start = *path == '/';
			bm_buf_putc(out, *path++);
		}
	}
}

/* Two steps of one job that write to one template: every file's second output would be its first. */
static void check_same_output(struct job_report *r, const struct bm_job *job)
{
	struct bm_buf a = {0};
	struct bm_buf b = {0};

	for (size_t i = 1; i < job->step_count; i++) {
		const struct bm_step *later = &job->steps[i];
		const char *to = job_template_of(later, "to", NULL);

		if (to == NULL || job_is_dash(to) || job_is_device(to))
			continue;
		bm_buf_reset(&b);
		job_put_clean(&b, to);
		for (size_t k = 0; k < i; k++) {
			const struct bm_step *earlier = &job->steps[k];
			const char *other = job_template_of(earlier, "to", NULL);
			size_t mark = r->pointer.len;

			if (other == NULL || job_is_dash(other))
				continue;
			bm_buf_reset(&a);
			job_put_clean(&a, other);
			if (a.oom || b.oom) {
				r->oom = true;
				break;
			}
			if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
				continue;
			job_report_down(r, "steps");
			job_report_down_index(r, later->index);
			job_report_down(r, "to");
			job_fault(r, JOB_FAULT, NULL, "steps/%u (%s) writes the same output as steps/%u (%s)",
			          later->index, later->kind->name, earlier->index, earlier->kind->name);
			job_report_up(r, mark);
			break;
		}
	}
	bm_buf_fini(&a);
	bm_buf_fini(&b);
}

/* An index is of BGZF: the last step before it that changes the bytes must make that. */
static void check_indexes(struct job_report *r, const struct bm_job *job)
{
	const struct bm_step *made_by = NULL;

	for (size_t i = 0; i < job->step_count; i++) {
		const struct bm_step *s = &job->steps[i];
		const bool *index = job_field_of(s, "index", BM_OPTION_BOOL, NULL);
		size_t mark = r->pointer.len;

		if (s->kind->role == BM_ROLE_CHANGE)
			made_by = s;
		if (index == NULL || !*index)
			continue;
		if (made_by != NULL && strcmp(made_by->kind->name, "compress") == 0 &&
		    made_by->p.compress.format == BM_COMPRESS_GZIP && made_by->p.compress.layout == BM_GZIP_BGZF)
			continue;
		job_report_down(r, "steps");
		job_report_down_index(r, s->index);
		job_report_down(r, "index");
		job_fault(
			r, JOB_FAULT, NULL,
			"the bytes here are not BGZF, which an index is of: a compress step with layout \"bgzf\" must "
			"come before, and no other change of the bytes between");
		job_report_up(r, mark);
	}
}

static bool may_be_directory(const struct bm_read_params *rp)
{
	const char *from = rp->from.items[0];

	return !job_is_dash(from) && (rp->literal || (!bm_url_is(from) && !bm_glob_has_magic(from)));
}

/* What verify asks of the steps around it. Of a read step without a place to read from, that was told already. The pointer
 * is at the job. */
static void check_verify(struct job_report *r, const struct bm_job *job)
{
	const struct bm_read_params *rp = job->step_count > 0 ? &job->steps[0].p.read : NULL;
	const struct bm_step *first = NULL, *change = NULL, *writer = NULL;
	size_t mark = job_report_down(r, "steps");

	for (size_t i = 1; i < job->step_count; i++) {
		const struct bm_step *s = &job->steps[i];
		size_t inner = job_report_down_index(r, s->index);

		if (s->kind->role == BM_ROLE_CHANGE && change == NULL)
			change = s;
		if (job_template_of(s, "to", NULL) != NULL && writer == NULL)
			writer = s;
		if (strcmp(s->kind->name, "verify") == 0) {
			if (first != NULL)
				job_fault(
					r, JOB_FAULT, NULL,
					"verify stands here and as steps/%u; one in a job is what there can be: make a second "
					"job",
					first->index);
			else if (change != NULL)
				job_fault(r, JOB_FAULT, NULL,
				          "verify compares the files as they are read; put it before steps/%u (%s)",
				          change->index, change->kind->name);
			first = first != NULL ? first : s;
		}
		job_report_up(r, inner);
	}
	if (first != NULL && writer != NULL && first->p.verify.allow_unsafe) {
		size_t inner = job_report_down_index(r, first->index);
		size_t key = job_report_down(r, "allow_unsafe");

		job_fault(r, JOB_FAULT, NULL, "allow_unsafe lets in names that steps/%u (%s) must not write to",
		          writer->index, writer->kind->name);
		job_report_up(r, key);
		job_report_up(r, inner);
	}
	if (first != NULL && strcmp(job->steps[0].kind->name, "read") == 0) {
		const char *why = NULL, *key = "from";
		size_t inner = job_report_down_index(r, 0);

		if (rp->files_from != NULL) {
			key = "files_from";
			why = "verify goes through a whole directory, not through a list of files";
		} else if (rp->urls.count > 0 || rp->urls_from != NULL) {
			key = rp->urls_from != NULL ? "urls_from" : "urls";
			why = "verify goes through a whole directory, not through URLs";
		} else if (rp->from.count > 1 || (rp->from.count == 1 && !may_be_directory(rp))) {
			why = "verify wants one directory to compare with the manifest";
		} else if (rp->min_size > 0 || rp->max_size > 0) {
			key = rp->min_size > 0 ? "min_size" : "max_size";
		} else if (rp->older_than.is_set || rp->newer_than.is_set) {
			key = rp->older_than.is_set ? "older_than" : "newer_than";
		} else {
			key = NULL;
		}
		size_t at = key != NULL ? job_report_down(r, key) : 0;
		if (key != NULL)
			job_fault(
				r, JOB_FAULT, NULL, "%s",
				why != NULL
					? why
					: "verify cannot tell a file that is left out for its size or time from one that "
					  "is missing");
		if (key != NULL)
			job_report_up(r, at);
		job_report_up(r, inner);
	}
	job_report_up(r, mark);
}

/* Nothing may be the only copy of anything, at any time. The pointer is at the job. */
static void check_remove(struct job_report *r, const struct bm_job *job)
{
	size_t mark = r->pointer.len, outputs = 0;

	if (job->step_count == 0 || strcmp(job->steps[0].kind->name, "read") != 0 || !job->steps[0].p.read.remove)
		return;
	job_report_down(r, "steps");
	for (size_t i = 1; i < job->step_count; i++) {
		const struct bm_step *s = &job->steps[i];
		const char *to = job_template_of(s, "to", NULL), *key = NULL, *why = NULL;
		size_t inner;

		/* Also one that has a fault of its own, and so no target. */
		outputs += job_field_of(s, "to", BM_OPTION_TEMPLATE, NULL) != NULL;
		if (to == NULL)
			continue;
		if (job_is_dash(to) || job_is_device(to)) {
			key = "to";
			why = "is no file that could be read back";
		} else if (s->p.write.combine) {
			key = "combine";
			why = "joins the inputs into one output, which is not read back";
		} else if (s->p.write.durability == BM_DURABLE_NONE) {
			key = "durability";
			why = "leaves the output in memory for a while, where a crash would lose it";
		} else if (s->p.write.verify == BM_WRITE_VERIFY_NONE) {
			key = "verify";
			why = "leaves out the comparison that must come before";
		}
		if (key == NULL)
			continue;
		inner = job_report_down_index(r, s->index);
		job_report_down(r, key);
		job_fault(r, JOB_FAULT, NULL, "this %s, and steps/0 (read) is to remove the inputs", why);
		job_report_up(r, inner);
	}
	if (outputs == 0) {
		job_report_down_index(r, 0);
		job_report_down(r, "remove");
		job_fault(r, JOB_FAULT, NULL,
		          "remove would lose the inputs: no step of this job writes them anywhere; add a write step");
	}
	job_report_up(r, mark);
}

static void check_notify(struct job_report *r, const struct bm_job_params *p)
{
	const struct bm_strings *command = &p->notify_command;
	size_t mark = r->pointer.len;

	if (!p->notify || command->count == 0)
		return;
	job_report_down(r, "notify");
	job_report_down(r, "command");
	if (command->items[0][0] == '\0')
		job_fault(r, JOB_FAULT, NULL, "command names no program: its first word is empty");
	else if (command->count == 1 && strchr(command->items[0], ' ') != NULL)
		job_fault(
			r, JOB_WARNING, NULL,
			"command is one word with a blank in it, the name of a program; arguments are words of their own, as "
			"[\"mail\", \"root\"]");
	job_report_up(r, mark);
}

static void check_incremental(struct job_report *r, const struct bm_job *job)
{
	struct bm_buf why = {0};
	size_t mark;

	if (!job->p.incremental || !job_is_indivisible(job, &why)) {
		bm_buf_fini(&why);
		return;
	}
	mark = job_report_down(r, "incremental");
	if (why.oom)
		r->oom = true;
	else
		job_fault(r, JOB_FAULT, NULL, "incremental cannot be had in this job: %s", why.data);
	job_report_up(r, mark);
	bm_buf_fini(&why);
}

void job_check_job(struct job_report *r, const struct job_node *n)
{
	const struct bm_job_params *p = &n->job.p;

	check_name(r, p->name);
	check_notify(r, p);
	if (p->memory > 0 && p->chunk > p->memory) {
		struct bm_buf text = {0};
		size_t mark = job_report_down(r, "chunk");

		bm_buf_puts(&text, "chunk (");
		job_put_size(&text, p->chunk);
		bm_buf_puts(&text, ") is more than memory (");
		job_put_size(&text, p->memory);
		bm_buf_puts(&text, "), which has to hold some of them");
		if (text.oom)
			r->oom = true;
		else
			job_fault(r, JOB_FAULT, NULL, "%s", text.data);
		bm_buf_fini(&text);
		job_report_up(r, mark);
	}
	check_same_output(r, &n->job);
	check_indexes(r, &n->job);
	check_verify(r, &n->job);
	check_incremental(r, &n->job);
	check_remove(r, &n->job);
}
