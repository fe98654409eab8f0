/*
 * bm_template.h - paths with placeholders: "/backup/{date:%Y-%m}/{path}.gz".
 *   {path} relative to the read root   {dir} its directory ("" or "a/b")   {name} last component
 *   {stem} name without its last extension   {ext} that extension without the dot   (".bashrc" has no ext)
 *   {job} {run} {date} {date:STRFTIME} {algorithm}        {{ and }} stand for the braces themselves
 * Leading dots belong to the stem, and a name that ends in a dot has no ext. {date} is %Y-%m-%d.
 * "{dir}/" with an empty dir gives nothing, not "/". ${NAME} is not this module's business (src/job/subst.c).
 * Values are bytes and are put in as they are, but a value of {job}, {run} or {algorithm} holds no '/'. A compiled
 * template is immutable: any thread.
 */
#ifndef BM_TEMPLATE_H
#define BM_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "bm_mem.h"

enum bm_placeholder { /* bits */
	              BM_PH_PATH = 1,
	              BM_PH_DIR = 2,
	              BM_PH_NAME = 4,
	              BM_PH_STEM = 8,
	              BM_PH_EXT = 16,
	              BM_PH_JOB = 32,
	              BM_PH_RUN = 64,
	              BM_PH_DATE = 128,
	              BM_PH_ALGORITHM = 256,
	              BM_PH_FILE = BM_PH_PATH | BM_PH_DIR | BM_PH_NAME | BM_PH_STEM |
	                           BM_PH_EXT /* those that differ from file to file */
};

struct bm_template;

/* allowed: a mask of enum bm_placeholder. BM_ERR_USAGE: unknown or not allowed placeholder (text names it, what is
 * allowed here, and the nearest), unclosed brace, bad strftime. */
enum bm_status bm_template_compile(const char *text, unsigned allowed, struct bm_template **out, struct bm_error *err)
	BM_NODISCARD;
/* Appends len bytes of text with their braces doubled: what a template has to hold to give them. */
void bm_template_put_literal(struct bm_buf *out, const char *text, size_t len);
/* The same of path as a string of its own, which the caller frees; NULL: no memory. */
char *bm_template_of_path(const char *path) BM_NODISCARD;
void bm_template_destroy(struct bm_template *t);           /* NULL is fine */
unsigned bm_template_uses(const struct bm_template *t);    /* the placeholders in it */
const char *bm_template_text(const struct bm_template *t); /* as compiled; borrowed */

/* What the placeholders stand for. Pointers are borrowed for the call. path may be NULL where no file one is used. */
struct bm_template_values {
	const char *path; /* relative to the read root */
	size_t path_len;
	const char *job;
	const char *run;
	const char *algorithm;
	struct tm date; /* local time of the run's start */
};
/* Appends the expansion to out. Only fails by out->oom. A value that is NULL gives nothing. */
void bm_template_expand(const struct bm_template *t, const struct bm_template_values *v, struct bm_buf *out);
/* Two templates with the run's constants ({job} {run} {date} {algorithm}) filled in and the file ones left: returns a
 * new template, which expands to the same bytes. A job, run or algorithm that is NULL stays a placeholder. Lets the
 * planner compare literal prefixes. BM_ERR_NOMEM. */
enum bm_status bm_template_bind(const struct bm_template *t, const struct bm_template_values *v,
                                struct bm_template **out, struct bm_error *err) BM_NODISCARD;
/* The literal text before the first placeholder, "{{" taken as "{" (borrowed, *len bytes; not NUL-terminated there). */
const char *bm_template_prefix(const struct bm_template *t, size_t *len);
/* true when different {path}s always give different results: the template holds {path}, or {dir} and {name} both, or
 * {dir} and {stem} and {ext} with literal text that keeps them apart. False in doubt: template_injective.c says what is
 * proved. Holds for the paths that the results name, not only for their text; file systems that fold
 * case are not thought of. */
bool bm_template_is_injective(const struct bm_template *t);

#endif
