/*
 * verify_load.c - reads the manifest of a verify step before there is a plan: which algorithms are in it decides which
 * stages the plan has.
 *
 * The entries go into a sorted view of bounded memory (bm_manifest_sorted.h), under the names that they have below the
 * read root. What cannot be an entry is a bad line: told, counted, never passed over in silence.
 *
 * Digests whose lines do not say what they are (plain GNU lines of a file whose name says nothing either) are guessed by
 * their length, and a length may be that of several algorithms: 64 digits are SHA-256 nearly always, but SHA3-256 and
 * BLAKE2s too. So a few small files of the manifest are tried, and the first algorithm that fits one of them is it.
 *
 * A manifest that was made in the directory that it lists (find . -type f | xargs sha256sum > SUMS) has a line for itself,
 * from when it was empty: that line is passed over, and told.
 *
 * A root that is not there, or that is an empty directory, is a disk that is not mounted sooner than one whose every file
 * was deleted: nothing is checked then, and nothing is said to be missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "step_internal.h"
#include "verify.h"

#define SORT_MEMORY ((size_t)64 << 20)
#define SHOWN_BAD_LINES 20
#define SAMPLES 32
#define SAMPLE_BYTES ((size_t)4 << 20)

struct sample {
	char *name;
	size_t len;
	uint8_t digest[BM_DIGEST_MAX_BYTES];
};

struct load {
	struct bm_job_context *ctx;
	const struct bm_verify_params *p;
	struct verify_manifest *m;
	struct bm_name_map map;
	struct bm_buf fault; /* text of the entry's */
	uint64_t outside;
	uint64_t own_line; /* 0: none */
	bool has_entry;
	uint64_t first_bad;
	struct bm_buf first_fault;
	uint64_t last_unterminated;
	bool oom;
	bool is_guessed[BM_DIGEST_MAX_BYTES + 1];
	struct sample samples[SAMPLES];
	size_t sample_count;
};

static void say(struct load *l, const char *fmt, ...) BM_PRINTF(2, 3);
static void say(struct load *l, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	if (l->ctx->message == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->ctx->message(l->ctx->message_arg, text);
}

/* ---- entries ---- */

static void add_algorithm(struct verify_manifest *m, const struct bm_digest_algorithm *a)
{
	for (size_t i = 0; i < m->algorithm_count; i++)
		if (m->algorithms[i] == a)
			return;
	if (m->algorithm_count < DIGEST_SET_MAX) /* there are not as many */
		m->algorithms[m->algorithm_count++] = a;
}

const struct bm_digest_algorithm *verify_algorithm(const struct verify_manifest *m, const struct bm_manifest_digest *d)
{
	return d->is_guess && d->len <= BM_DIGEST_MAX_BYTES && m->guess[d->len] != NULL ? m->guess[d->len]
	                                                                                : d->algorithm;
}

static void take_sample(struct load *l, const struct bm_manifest_entry *e, const struct bm_manifest_digest *d)
{
	struct sample *s = &l->samples[l->sample_count];

	s->name = bm_memdup0(e->name, e->name_len);
	if (s->name == NULL) {
		l->oom = true;
		return;
	}
	s->len = d->len;
	memcpy(s->digest, d->bytes, d->len);
	l->sample_count++;
}

static void note_digests(struct load *l, const struct bm_manifest_entry *e)
{
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *d = &e->digests[i];

		if (d->algorithm == NULL)
			continue;
		if (d->is_guess && d->len <= BM_DIGEST_MAX_BYTES) {
			l->is_guessed[d->len] = true;
			if (l->sample_count < SAMPLES)
				take_sample(l, e, d);
		}
		if (!d->is_guess)
			add_algorithm(l->m, d->algorithm);
	}
}

static void set_fault(struct load *l, struct bm_manifest_entry *e, const char *text)
{
	char shown[300];

	bm_buf_reset(&l->fault);
	bm_buf_printf(&l->fault, text, bm_escape_display_buf(shown, sizeof(shown), e->name, e->name_len));
	e->fault = l->fault.oom ? "out of memory" : l->fault.data;
}

/* "blake2b" is said of "blake2b-256", too. */
static bool is_of(const char *name, const char *algorithm)
{
	size_t n = strlen(algorithm);

	return strncmp(name, algorithm, n) == 0 &&
	       (name[n] == '\0' || (name[n] == '-' && strcmp(algorithm, "blake2b") == 0));
}

/* The line of a list. */
static bool on_listed(struct load *l, struct bm_manifest_entry *e)
{
	bool is_right = l->p->algorithm == NULL;

	for (size_t i = 0; i < e->digest_count && !is_right; i++)
		is_right = is_of(e->digests[i].name, l->p->algorithm);
	if (!is_right)
		set_fault(l, e, "the digest of %s is of another algorithm than the one that was asked for");
	else if (strcmp(l->m->path, "-") == 0 && strcmp(e->name, "-") == 0)
		set_fault(l, e, "%s is standard input, which is the list already");
	else
		note_digests(l, e);
	return e->fault == NULL && !l->oom;
}

static bool on_entry(void *ctx, struct bm_manifest_entry *e)
{
	struct load *l = ctx;

	if (l->m->is_list)
		return on_listed(l, e);
	if (e->is_unterminated)
		l->last_unterminated = e->line;
	if (!l->has_entry && bm_name_map_look(&l->map, e->name, e->name_len)) {
		char shown[200];

		say(l, "%s: its names begin with %s/, and are taken for names below that", l->m->shown,
		    bm_escape_display_buf(shown, sizeof(shown), l->map.strip, strlen(l->map.strip)));
	}
	l->has_entry = true;
	switch (bm_name_map_apply(&l->map, e->name, e->name_len, &e->name, &e->name_len)) {
	case BM_NAME_TAKEN:
		break;
	case BM_NAME_OUTSIDE:
		l->outside++;
		return false;
	case BM_NAME_ABSOLUTE:
		set_fault(l, e, "%s is refused: it is absolute, and not below the directory that is checked");
		return false;
	case BM_NAME_DOT_DOT:
		set_fault(l, e, "%s is refused: its \"..\" may lead out of the directory that is checked");
		return false;
	case BM_NAME_DIRECTORY:
		set_fault(l, e, "%s is no file's name");
		return false;
	case BM_NAME_NOMEM:
		l->oom = true;
		return false;
	}
	if (l->m->own != NULL && strcmp(e->name, l->m->own) == 0) {
		l->own_line = e->line;
		return false;
	}
	note_digests(l, e);
	/* Blocks are all that it has: catalog --export of a file that was read in parts. */
	if (e->digest_count == 0 && verify_takes_blocks(e)) {
		add_algorithm(l->m, e->blocks.algorithm);
		l->m->has_bare_blocks = true;
	}
	return !l->oom;
}

static void on_bad_line(void *ctx, uint64_t line, const char *fault)
{
	struct load *l = ctx;
	uint64_t n = ++l->m->bad_line_count;

	if (n == 1) {
		l->first_bad = line;
		bm_buf_puts(&l->first_fault, fault);
	}
	if (l->p->strict && n == 1)
		return; /* it comes with the error */
	if (l->p->on_bad_line != NULL)
		l->p->on_bad_line(l->p->ctx, l->m->shown, line, fault);
	else if (n <= SHOWN_BAD_LINES)
		say(l, "%s:%" PRIu64 ": %s", l->m->shown, line, fault);
}

/* ---- what the lines do not say ---- */

/* The file's bytes, where it is small and can be read; *data is the caller's. */
static bool read_sample(const char *root, const char *name, char **data, size_t *len)
{
	struct bm_buf path = {0};
	struct stat st;
	bool good = false;
	int fd = -1;

	*data = NULL;
	*len = 0;
	if (name[0] != '/')
		bm_buf_printf(&path, "%s/", root);
	bm_buf_puts(&path, name);
	if (!path.oom)
		fd = open(path.data, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)SAMPLE_BYTES)
		*data = malloc(SAMPLE_BYTES + 1);
	while (*data != NULL && *len <= SAMPLE_BYTES) {
		ssize_t n = read(fd, *data + *len, SAMPLE_BYTES + 1 - *len);

		if (n < 0 && errno == EINTR)
			continue;
		good = n == 0;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	bm_buf_fini(&path);
	return good;
}

static bool fits(const struct bm_digest_algorithm *a, const struct sample *s, const char *data, size_t len)
{
	struct bm_error ignored = BM_ERROR_INIT;
	struct bm_digest *d = NULL;
	uint8_t out[BM_DIGEST_MAX_BYTES];
	bool same = bm_digest_create(a, &d, &ignored) == BM_OK && bm_digest_update(d, data, len, &ignored) == BM_OK &&
	            bm_digest_finish(d, out, &ignored) == BM_OK && memcmp(out, s->digest, s->len) == 0;

	bm_digest_destroy(d);
	return same;
}

static void guess_length(struct load *l, size_t len)
{
	const struct bm_digest_algorithm *all[BM_MANIFEST_CANDIDATES_MAX];
	size_t count = bm_manifest_candidates(len, all);
	const struct bm_digest_algorithm *best = NULL;

	for (size_t i = 0; i < l->sample_count && best == NULL && count > 1; i++) {
		char *data = NULL;
		size_t data_len;

		if (l->samples[i].len == len && read_sample(l->m->root, l->samples[i].name, &data, &data_len))
			for (size_t k = 0; k < count && best == NULL; k++)
				best = fits(all[k], &l->samples[i], data, data_len) ? all[k] : NULL;
		free(data);
	}
	if (best == NULL && count > 0)
		best = all[0];
	l->m->guess[len] = best;
	if (best != NULL)
		add_algorithm(l->m, best);
	if (best != NULL && best != all[0])
		say(l, "%s does not say so, but its digests are %s", l->m->shown, best->name);
}

/* ---- the root ---- */

static bool is_empty_dir(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	bool empty = d != NULL;

	while (empty && (e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): the stream is this call's own */
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d != NULL)
		closedir(d);
	return empty;
}

static enum bm_status look_at_root(struct load *l, struct bm_error *err)
{
	struct verify_manifest *m = l->m;
	char shown[150];
	struct stat st;

	bm_escape_display_buf(shown, sizeof(shown), m->root, strlen(m->root));
	if (m->root_is_gone)
		return BM_OK;
	if (stat(m->root, &st) != 0) {
		int why = errno;
		struct bm_error e = BM_ERROR_INIT;

		(void)bm_error_set_errno(&e, why, NULL, "the directory %s cannot be looked at", shown);
		snprintf(m->gone_text, sizeof(m->gone_text), "%.250s", e.text);
		m->root_is_gone = true;
		return BM_OK;
	}
	if (!S_ISDIR(st.st_mode))
		return bm_error_set(err, BM_ERR_USAGE, shown,
		                    "is not a directory; verify compares a directory with its manifest");
	m->dev = st.st_dev;
	m->ino = st.st_ino;
	if (l->p->known != NULL)
		return BM_OK; /* it has looked for itself */
	if (l->p->device != 0 && l->p->device != st.st_dev) {
		snprintf(m->gone_text, sizeof(m->gone_text),
		         "the directory %s is on another device than before: is the right disk mounted?", shown);
		m->root_is_gone = true;
	} else if (is_empty_dir(m->root)) {
		snprintf(m->gone_text, sizeof(m->gone_text), "the directory %s is empty: is its disk mounted?", shown);
		m->root_is_gone = true;
	}
	return BM_OK;
}

bool verify_root_is_there(const struct verify_manifest *m, const char **why)
{
	struct stat st;

	*why = "the directory that was checked is not there any more";
	if (m->root_is_gone || m->is_list)
		return true; /* nothing was said to be missing */
	return stat(m->root, &st) == 0 && st.st_dev == m->dev && st.st_ino == m->ino;
}

/* Where the manifest itself lies below the root. */
static void find_own_name(struct load *l)
{
	char *real = strcmp(l->m->path, "-") != 0 ? realpath(l->m->path, NULL) : NULL;
	size_t n = l->map.real != NULL ? strlen(l->map.real) : 0;

	if (n == 1)
		n = 0; /* "/" */
	if (real != NULL && l->map.real != NULL && strncmp(real, l->map.real, n) == 0 && real[n] == '/') {
		l->m->own = bm_memdup0(real + n + 1, strlen(real + n + 1));
		l->oom = l->oom || l->m->own == NULL;
	}
	free(real);
}

/* ---- all of it ---- */

static enum bm_status read_manifest(struct load *l, struct bm_error *err)
{
	struct bm_manifest_options o = {
		.kind = (enum bm_manifest_kind)l->p->format, .nul = l->p->is_nul, .algorithm = l->p->algorithm};
	struct bm_manifest_sorted_options so = {
		.memory_bytes = SORT_MEMORY,
		.on_bad_line = on_bad_line,
		.on_entry = on_entry,
		.ctx = l,
		.is_reread = true,
		.keeps_order = l->m->is_list,
	};
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_sorted_stats stats;
	enum bm_status status;

	if (strcmp(l->m->path, "-") == 0)
		status = bm_manifest_open_fd(STDIN_FILENO, "standard input", &o, &r, err);
	else
		status = bm_manifest_open_path(l->m->path, &o, &r, err);
	if (status != BM_OK)
		return status;
	l->m->kind = bm_manifest_kind(r);
	snprintf(l->m->shown, sizeof(l->m->shown), "%s", bm_manifest_shown_name(r));
	status = bm_manifest_sorted_create(r, &so, &l->m->sorted, err);
	bm_manifest_close(r);
	if (status == BM_OK && l->oom)
		status = bm_error_set_nomem(err);
	if (status != BM_OK)
		return status;
	bm_manifest_sorted_get_stats(l->m->sorted, &stats);
	l->m->entry_count = stats.entry_count;
	return BM_OK;
}

static enum bm_status judge_lines(struct load *l, struct bm_error *err)
{
	const struct verify_manifest *m = l->m;
	char where[300];

	if (m->is_list)
		return BM_OK; /* the caller has counted */
	if (m->bad_line_count > 0 && (l->p->strict || m->entry_count == 0)) {
		snprintf(where, sizeof(where), "%s:%" PRIu64, m->shown, l->first_bad);
		return bm_error_set(err, BM_ERR_FORMAT, where, "%s (%" PRIu64 " bad line%s%s)",
		                    l->first_fault.oom ? "bad line" : l->first_fault.data, m->bad_line_count,
		                    m->bad_line_count == 1 ? "" : "s", m->entry_count == 0 ? ", no good one" : "");
	}
	if (m->bad_line_count > SHOWN_BAD_LINES && l->p->on_bad_line == NULL)
		say(l, "%s: %" PRIu64 " bad lines, of which the first %d were shown", m->shown, m->bad_line_count,
		    SHOWN_BAD_LINES);
	if (l->outside > 0)
		say(l, "%s: %" PRIu64 " entr%s not begin with what is to be stripped; not checked", m->shown,
		    l->outside, l->outside == 1 ? "y does" : "ies do");
	if (l->own_line > 0)
		say(l,
		    "%s:%" PRIu64
		    ": the manifest lists itself, with a digest that cannot be right any more; not checked",
		    m->shown, l->own_line);
	if (l->last_unterminated > 0)
		say(l, "%s:%" PRIu64 ": the last line has no end: the manifest may have been cut short", m->shown,
		    l->last_unterminated);
	return BM_OK;
}

static enum bm_status expand_path(struct load *l, struct bm_error *err)
{
	struct bm_template *t = NULL;
	struct bm_buf b = {0};
	enum bm_status status = BM_OK;

	if (strcmp(l->p->manifest, "-") == 0) {
		bm_buf_puts(&b, "-");
	} else {
		status = bm_step_template(l->ctx, l->p->manifest, NULL, BM_STEP_VERIFY_PLACEHOLDERS, &t, err);
		if (status == BM_OK)
			bm_template_expand(t, &l->ctx->values, &b);
	}
	bm_template_destroy(t);
	l->m->path = status == BM_OK ? bm_buf_take(&b) : NULL;
	bm_buf_fini(&b);
	return status == BM_OK && l->m->path == NULL ? bm_error_set_nomem(err) : status;
}

/* There is no manifest. */
static enum bm_status load_known(struct load *l, struct bm_error *err)
{
	enum bm_status status = verify_known_load(l->m, l->p->known, err);

	bm_escape_display_buf(l->m->shown, sizeof(l->m->shown), l->p->manifest, strlen(l->p->manifest));
	return status == BM_OK ? look_at_root(l, err) : status;
}

enum bm_status verify_load(struct bm_job_context *ctx, const struct bm_step *step, struct bm_error *err)
{
	struct load l = {.ctx = ctx, .p = &step->p.verify};
	enum bm_status status;

	l.m = calloc(1, sizeof(*l.m));
	ctx->loaded[step->index] = l.m;
	if (l.m == NULL)
		return bm_error_set_nomem(err);
	l.m->root = ctx->job->steps[0].p.read.from.items[0];
	l.m->says = "the manifest";
	if (l.p->known != NULL)
		return load_known(&l, err);
	status = expand_path(&l, err);
	if (status == BM_OK)
		status = bm_name_map_init(&l.map, l.m->root, l.p->strip, l.p->allow_unsafe, err);
	l.m->is_list = l.p->is_list;
	if (status == BM_OK && !l.p->is_list)
		find_own_name(&l);
	if (status == BM_OK && !l.p->is_list)
		status = look_at_root(&l, err);
	if (status == BM_OK)
		status = read_manifest(&l, err);
	for (size_t len = 0; len <= BM_DIGEST_MAX_BYTES && status == BM_OK; len++)
		if (l.is_guessed[len])
			guess_length(&l, len);
	if (status == BM_OK)
		status = judge_lines(&l, err);
	/* So that there is something to tell of what is not in it. */
	if (l.m->algorithm_count == 0)
		add_algorithm(l.m, bm_digest_find("sha256"));
	ctx->bad_lines += l.m->bad_line_count;
	for (size_t i = 0; i < l.sample_count; i++)
		free(l.samples[i].name);
	bm_name_map_fini(&l.map);
	bm_buf_fini(&l.fault);
	bm_buf_fini(&l.first_fault);
	return status;
}

void verify_unload(void *manifest)
{
	struct verify_manifest *m = manifest;

	if (m == NULL)
		return;
	bm_manifest_sorted_destroy(m->sorted);
	free(m->path);
	free(m->own);
	free(m);
}
