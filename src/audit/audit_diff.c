/*
 * audit_diff.c - two manifests compared, and no file read.
 *
 * Each is read into a sorted view of bounded memory (bm_manifest_sorted.h), under clean names, and the two are gone
 * through side by side. In the place of either may be what the catalog has on record, which is sorted already. What is in both gets its verdict at once. What is in one only is kept until all is known, and
 * then paired by digests as an audit does it (verify_join.h): so both have the same idea of what has moved.
 *
 * Digests can be compared where both manifests have the same algorithm for a file, also one that this program cannot
 * compute. A GNU line does not say what its digest is of, and the length alone makes a guess: where no line of either
 * manifest says that algorithm, but some say another one of that length, it is taken for that one.
 *
 * Empty files, where a size or the digest tells, are never taken for moved or duplicate: all of them are alike.
 */
#include "bm_audit.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit_diff_catalog.h"
#include "bm_error.h"
#include "bm_manifest_sorted.h"
#include "bm_names.h"
#include "bm_text.h"
#include "verify_join.h"

/* Of each manifest: a million lines of usual length are sorted without a temporary file. */
#define SORT_MEMORY ((size_t)144 << 20)
#define DIGESTS_MAX 64 /* of one name */
#define ALGORITHMS_MAX 250
#define LENGTHS (BM_DIGEST_MAX_BYTES + 1)

struct algorithm {
	const char *name;
	const struct bm_digest_algorithm *known; /* NULL: not here */
	bool has_empty;
	uint8_t empty[BM_DIGEST_MAX_BYTES]; /* of no bytes */
};

struct digest {
	uint8_t algorithm; /* in diff.algorithms */
	uint8_t len;
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
};

/* A name with what all its lines say, but for the digests; also how it is kept for the join. */
struct facts {
	bool has_size, has_mtime;
	uint8_t digest_count;
	uint64_t size_bytes;
	int64_t mtime_ns;
};

struct side {
	struct diff *diff;
	const char *path;
	char shown[256];
	struct bm_manifest_sorted *sorted;
	struct diff_catalog *catalog; /* or this */
	struct bm_name_map map;
	struct bm_buf fault;
	uint64_t unterminated; /* line; 0: none */
	bool oom;
	/* By length, of digests that say what they are: the guess for that length, and any other. */
	const char *guess[LENGTHS];
	const char *said[LENGTHS][2];

	struct bm_manifest_entry next; /* the sorted view's until it is asked again */
	bool has_next;
	bool has_name;
	struct bm_buf name;
	struct facts facts;
	struct digest digests[DIGESTS_MAX];
};

struct diff {
	const struct bm_audit_diff_options *o;
	struct bm_summary *sum;
	struct side before, now;
	const char *alias[LENGTHS]; /* what a guess of that length is taken for; NULL: for itself */
	struct algorithm algorithms[ALGORITHMS_MAX];
	size_t algorithm_count;
	struct join *join;
	struct bm_buf text;
	struct bm_error missing; /* of every file that is: "is missing" */
};

/* ---- reading one ---- */

static bool is_under(const struct bm_audit_diff_options *o, const char *name, size_t len)
{
	for (size_t i = 0; i < o->under_count; i++) {
		const char *dir = o->under[i];
		size_t n;

		while (dir[0] == '.' && dir[1] == '/')
			dir += 2;
		n = strlen(dir);
		while (n > 0 && dir[n - 1] == '/')
			n--;
		if ((n == 0 || (n == 1 && dir[0] == '.')) ||
		    (len >= n && memcmp(name, dir, n) == 0 && (len == n || name[n] == '/')))
			return true;
	}
	return o->under_count == 0;
}

static void note_algorithms(struct side *s, const struct bm_manifest_entry *e)
{
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *d = &e->digests[i];

		if (d->len >= LENGTHS)
			continue;
		if (d->is_guess)
			s->guess[d->len] = d->name;
		else if (s->said[d->len][0] == NULL || s->said[d->len][0] == d->name)
			s->said[d->len][0] = d->name;
		else
			s->said[d->len][1] = d->name;
	}
}

static bool on_entry(void *ctx, struct bm_manifest_entry *e)
{
	struct side *s = ctx;
	char shown[300];

	if (e->is_unterminated)
		s->unterminated = e->line;
	switch (bm_name_map_apply(&s->map, e->name, e->name_len, &e->name, &e->name_len)) {
	case BM_NAME_TAKEN:
		break;
	case BM_NAME_NOMEM:
		s->oom = true;
		return false;
	default:
		bm_buf_reset(&s->fault);
		bm_buf_printf(&s->fault, "%s is no file's name",
		              bm_escape_display_buf(shown, sizeof(shown), e->name, e->name_len));
		e->fault = s->fault.oom ? "out of memory" : s->fault.data;
		return false;
	}
	if (!is_under(s->diff->o, e->name, e->name_len))
		return false;
	note_algorithms(s, e);
	return true;
}

static void on_bad_line(void *ctx, uint64_t line, const char *fault)
{
	struct side *s = ctx;

	s->diff->sum->bad_lines++;
	s->diff->o->on_bad_line(s->diff->o->ctx, s->shown, line, fault);
}

/* What a manifest's lines would say. */
static enum bm_status load_catalog(struct side *s, const char *root, struct bm_error *err)
{
	const struct bm_digest_algorithm *algorithms[DIFF_CATALOG_ALGORITHMS];
	size_t count = 0;
	enum bm_status status = diff_catalog_open(s->diff->o->state, root, &s->catalog, err);

	if (status == BM_OK)
		status = diff_catalog_algorithms(s->catalog, algorithms, &count, err);
	for (size_t i = 0; i < count; i++) {
		struct bm_manifest_digest d = {.name = algorithms[i]->name, .len = algorithms[i]->size_bytes};

		note_algorithms(s, &(struct bm_manifest_entry){.digests = &d, .digest_count = 1});
	}
	return status;
}

static enum bm_status load(struct side *s, bool is_reread, struct bm_error *err)
{
	struct bm_manifest_sorted_options so = {
		.memory_bytes = SORT_MEMORY,
		.on_bad_line = on_bad_line,
		.on_entry = on_entry,
		.ctx = s,
		.is_reread = is_reread,
	};
	const size_t prefix = strlen(BM_AUDIT_DIFF_CATALOG);
	struct bm_manifest_reader *r = NULL;
	enum bm_status status;

	if (s->diff->o->state != NULL && strncmp(s->path, BM_AUDIT_DIFF_CATALOG, prefix) == 0)
		return load_catalog(s, s->path + prefix, err);
	s->map.allow_unsafe = true; /* nothing is opened by these names */
	if (strcmp(s->path, "-") == 0)
		status = bm_manifest_open_fd(STDIN_FILENO, "standard input", NULL, &r, err);
	else
		status = bm_manifest_open_path(s->path, NULL, &r, err);
	if (status != BM_OK)
		return status;
	snprintf(s->shown, sizeof(s->shown), "%s", bm_manifest_shown_name(r));
	status = bm_manifest_sorted_create(r, &so, &s->sorted, err);
	bm_manifest_close(r);
	if (status == BM_OK && s->oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK && s->unterminated > 0) {
		bm_buf_reset(&s->fault);
		bm_buf_printf(&s->fault,
		              "%s:%" PRIu64 ": the last line has no end: the manifest may have been cut short",
		              s->shown, s->unterminated);
		if (!s->fault.oom)
			s->diff->o->on_message(s->diff->o->ctx, s->fault.data);
	}
	return status;
}

/* ---- algorithms ---- */

/* Its number; ALGORITHMS_MAX: there are too many, which no manifest can have. */
static size_t intern(struct diff *d, const char *name)
{
	struct bm_digest *empty = NULL;
	struct algorithm *a;
	size_t i = 0;

	while (i < d->algorithm_count && d->algorithms[i].name != name && strcmp(d->algorithms[i].name, name) != 0)
		i++;
	if (i < d->algorithm_count || i == ALGORITHMS_MAX)
		return i;
	a = &d->algorithms[d->algorithm_count++];
	a->name = name;
	a->known = bm_digest_find(name);
	if (a->known != NULL && bm_digest_create(a->known, &empty, NULL) == BM_OK)
		a->has_empty = bm_digest_finish(empty, a->empty, NULL) == BM_OK;
	bm_digest_destroy(empty);
	return i;
}

static void settle_guesses(struct diff *d)
{
	for (size_t len = 0; len < LENGTHS; len++) {
		const char *guess = d->before.guess[len] != NULL ? d->before.guess[len] : d->now.guess[len];
		const char *const said[] = {d->before.said[len][0], d->before.said[len][1], d->now.said[len][0],
		                            d->now.said[len][1]};
		const char *other = NULL;
		bool is_said = false;

		for (size_t i = 0; i < sizeof(said) / sizeof(said[0]) && guess != NULL; i++) {
			is_said = is_said || (said[i] != NULL && strcmp(said[i], guess) == 0);
			other = said[i] != NULL ? said[i] : other;
		}
		d->alias[len] = is_said ? NULL : other;
	}
}

/* ---- name by name ---- */

static void take_line(struct side *s)
{
	const struct bm_manifest_entry *e = &s->next;
	struct diff *d = s->diff;

	if (e->has_size) {
		s->facts.has_size = true;
		s->facts.size_bytes = e->size_bytes;
	}
	if (e->has_mtime) {
		s->facts.has_mtime = true;
		s->facts.mtime_ns = e->mtime_ns;
	}
	for (size_t i = 0; i < e->digest_count && s->facts.digest_count < DIGESTS_MAX; i++) {
		const struct bm_manifest_digest *from = &e->digests[i];
		struct digest *to = &s->digests[s->facts.digest_count];
		size_t id;

		if (from->len >= LENGTHS)
			continue;
		id = intern(d, from->is_guess && d->alias[from->len] != NULL ? d->alias[from->len] : from->name);
		if (id == ALGORITHMS_MAX)
			continue;
		to->algorithm = (uint8_t)id;
		to->len = (uint8_t)from->len;
		memcpy(to->bytes, from->bytes, from->len);
		s->facts.digest_count++;
	}
}

static enum bm_status read_line(struct side *s, struct bm_error *err)
{
	enum bm_manifest_event event;

	do
		event = s->catalog != NULL ? diff_catalog_next(s->catalog, &s->next, err)
		                           : bm_manifest_sorted_next(s->sorted, &s->next, err);
	while (event == BM_MANIFEST_ENTRY && s->catalog != NULL &&
	       !is_under(s->diff->o, s->next.name, s->next.name_len));
	s->has_next = event == BM_MANIFEST_ENTRY;
	if (event != BM_MANIFEST_FAILED)
		return BM_OK;
	return err->status != BM_OK ? err->status : bm_error_set(err, BM_ERR_FAILED, NULL, "a manifest cannot be read");
}

/* The next name, with all its lines, unless there is none left. */
static enum bm_status next_name(struct side *s, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	s->has_name = s->has_next;
	if (!s->has_next)
		return BM_OK;
	bm_buf_reset(&s->name);
	bm_buf_put(&s->name, s->next.name, s->next.name_len);
	if (s->name.oom)
		return bm_error_set_nomem(err);
	s->facts = (struct facts){0};
	do {
		take_line(s);
		status = read_line(s, err);
	} while (status == BM_OK && s->has_next && s->next.is_duplicate);
	return status;
}

static int compare_names(const struct side *a, const struct side *b)
{
	size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
	int order;

	if (!a->has_name || !b->has_name)
		return (b->has_name ? 1 : 0) - (a->has_name ? 1 : 0);
	order = memcmp(a->name.data, b->name.data, n);
	return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* ---- results ---- */

static void tell(struct diff *d, const char *name, const struct facts *f, const struct digest *digests,
                 enum bm_verdict verdict, const char *other, const struct bm_error *why)
{
	struct bm_file_digest list[DIGESTS_MAX];
	struct bm_file_result r = {
		.job = "diff",
		.path = name,
		.display = name,
		.state = why == NULL ? BM_FILE_DONE : BM_FILE_FAILED,
		.bytes = f->has_size ? f->size_bytes : 0,
		.digests = list,
		.digest_count = f->digest_count,
		.error = why,
		.verdict = verdict,
		.other = other,
		.has_mtime = f->has_mtime,
		.mtime_ns = f->mtime_ns,
	};

	for (size_t i = 0; i < f->digest_count; i++)
		list[i] = (struct bm_file_digest){
			.algorithm = d->algorithms[digests[i].algorithm].name,
			.bytes = digests[i].bytes,
			.len = digests[i].len,
			.length = r.bytes,
		};
	d->sum->verdicts[verdict]++;
	d->sum->files_done += why == NULL;
	d->sum->files_failed += why != NULL;
	d->o->on_file(d->o->ctx, &r);
}

static void put_short(struct bm_buf *out, const struct digest *d)
{
	bm_hex_put(out, d->bytes, d->len > 8 ? 8 : d->len);
	bm_buf_puts(out, d->len > 8 ? "..." : "");
}

static bool same_mtime(const struct facts *a, const struct facts *b)
{
	int64_t x = a->mtime_ns, y = b->mtime_ns;

	/* Manifests of other programs may have whole seconds only. */
	return x == y || ((x % 1000000000 == 0 || y % 1000000000 == 0) && x / 1000000000 == y / 1000000000);
}

static enum bm_verdict say_wrong(struct diff *d, const struct digest *a, const struct digest *b, struct bm_error *why)
{
	const struct facts *x = &d->before.facts, *y = &d->now.facts;
	bool rotted = x->has_mtime && y->has_mtime && same_mtime(x, y) && x->has_size && y->has_size &&
	              x->size_bytes == y->size_bytes;

	bm_buf_reset(&d->text);
	bm_buf_printf(&d->text, "%s was ", d->algorithms[a->algorithm].name);
	put_short(&d->text, a);
	bm_buf_puts(&d->text, ", is now ");
	put_short(&d->text, b);
	if (rotted)
		bm_buf_puts(&d->text, "; size and time of change are as they were");
	(void)bm_error_set(why, BM_ERR_MISMATCH, NULL, "%s", d->text.oom ? "has another digest" : d->text.data);
	return rotted ? BM_VERDICT_ROTTED : BM_VERDICT_CHANGED;
}

static void put_algorithms(struct diff *d, const struct side *s)
{
	for (size_t i = 0; i < s->facts.digest_count; i++)
		bm_buf_printf(&d->text, "%s%s", i > 0 ? ", " : "", d->algorithms[s->digests[i].algorithm].name);
	if (s->facts.digest_count == 0)
		bm_buf_puts(&d->text, "none");
}

/* What is in both. *why is set where that is not ok. */
static enum bm_verdict judge(struct diff *d, struct bm_error *why)
{
	const struct side *a = &d->before, *b = &d->now;
	bool is_common = false;

	for (size_t i = 0; i < a->facts.digest_count; i++) {
		for (size_t k = 0; k < b->facts.digest_count; k++) {
			if (a->digests[i].algorithm != b->digests[k].algorithm)
				continue;
			is_common = true;
			if (a->digests[i].len != b->digests[k].len ||
			    memcmp(a->digests[i].bytes, b->digests[k].bytes, a->digests[i].len) != 0)
				return say_wrong(d, &a->digests[i], &b->digests[k], why);
		}
	}
	if (a->facts.has_size && b->facts.has_size && a->facts.size_bytes != b->facts.size_bytes) {
		(void)bm_error_set(why, BM_ERR_MISMATCH, NULL, "had %" PRIu64 " bytes, has now %" PRIu64 "%s",
		                   a->facts.size_bytes, b->facts.size_bytes,
		                   is_common ? ", though the digest is the same" : "");
		return BM_VERDICT_CHANGED;
	}
	if (is_common)
		return BM_VERDICT_OK;
	bm_buf_reset(&d->text);
	bm_buf_puts(&d->text, "no algorithm in common: ");
	put_algorithms(d, a);
	bm_buf_puts(&d->text, " before, ");
	put_algorithms(d, b);
	bm_buf_puts(&d->text, " now");
	(void)bm_error_set(why, BM_ERR_UNSUPPORTED, NULL, "%s", d->text.oom ? "no algorithm in common" : d->text.data);
	return BM_VERDICT_NOT_CHECKED;
}

static bool is_empty(const struct diff *d, const struct side *s)
{
	if (s->facts.has_size)
		return s->facts.size_bytes == 0;
	for (size_t i = 0; i < s->facts.digest_count; i++) {
		const struct algorithm *a = &d->algorithms[s->digests[i].algorithm];

		if (a->has_empty && memcmp(a->empty, s->digests[i].bytes, s->digests[i].len) == 0)
			return true;
	}
	return false;
}

static enum bm_status keep(struct diff *d, const struct side *s, enum join_kind kind, struct bm_error *err)
{
	struct join_digest digests[DIGESTS_MAX];
	struct join_item item = {
		.kind = kind,
		.name = s->name.data,
		.name_len = s->name.len,
		.is_empty = is_empty(d, s),
		.digests = digests,
	};

	if (kind != JOIN_NOT_OK) {
		item.record = &s->facts;
		item.record_len = sizeof(s->facts);
		for (size_t i = 0; i < s->facts.digest_count; i++)
			digests[item.digest_count++] =
				(struct join_digest){s->digests[i].algorithm, s->digests[i].bytes, s->digests[i].len};
	}
	return join_add(d->join, &item, err);
}

static void give(void *ctx, const struct join_given *given)
{
	struct diff *d = ctx;
	struct facts f;
	struct digest digests[DIGESTS_MAX];

	memcpy(&f, given->record, sizeof(f)); /* it is not aligned */
	for (size_t i = 0; i < given->digest_count; i++) {
		const struct join_digest *from = &given->digests[i];

		digests[i].algorithm = (uint8_t)from->algorithm;
		digests[i].len = (uint8_t)from->len;
		memcpy(digests[i].bytes, from->bytes, from->len);
	}
	tell(d, given->name, &f, digests, given->verdict, given->other,
	     given->verdict == BM_VERDICT_MISSING ? &d->missing : NULL);
}

/* The manifest of before, once more, for the join. */
struct lister {
	struct side *side;
	struct join_digest digests[DIGESTS_MAX];
};

static bool list_next(void *ctx, const char **name, size_t *name_len, const struct join_digest **digests,
                      size_t *digest_count, struct bm_error *err)
{
	struct lister *l = ctx;
	struct side *s = l->side;

	if (next_name(s, err) != BM_OK || !s->has_name)
		return false;
	for (size_t i = 0; i < s->facts.digest_count; i++)
		l->digests[i] = (struct join_digest){s->digests[i].algorithm, s->digests[i].bytes, s->digests[i].len};
	*name = s->name.data;
	*name_len = s->name.len;
	*digests = l->digests;
	*digest_count = s->facts.digest_count;
	return true;
}

static enum bm_status join_all(struct diff *d, struct bm_error *err)
{
	struct lister l = {.side = &d->before};
	enum bm_status status;

	bm_manifest_sorted_destroy(d->now.sorted); /* its memory is wanted for the keys */
	d->now.sorted = NULL;
	status = d->before.catalog != NULL ? diff_catalog_rewind(d->before.catalog, err)
	                                   : bm_manifest_sorted_rewind(d->before.sorted, err);

	if (status == BM_OK)
		status = read_line(&d->before, err);
	if (status == BM_OK)
		status = join_run(d->join, list_next, &l, err);
	if (status == BM_OK)
		status = join_each(d->join, give, d, err);
	return status;
}

static enum bm_status compare_all(struct diff *d, struct bm_error *err)
{
	struct side *a = &d->before, *b = &d->now;
	struct bm_error why;
	enum bm_verdict verdict;
	enum bm_status status = read_line(a, err);

	if (status == BM_OK)
		status = read_line(b, err);
	if (status == BM_OK)
		status = next_name(a, err);
	if (status == BM_OK)
		status = next_name(b, err);
	while (status == BM_OK && (a->has_name || b->has_name)) {
		int order = compare_names(a, b);

		if (order == 0) {
			bm_error_clear(&why);
			verdict = judge(d, &why);
			tell(d, b->name.data, &b->facts, b->digests, verdict, NULL,
			     verdict == BM_VERDICT_OK ? NULL : &why);
			if (verdict != BM_VERDICT_OK)
				status = keep(d, b, JOIN_NOT_OK, err);
		} else {
			status = keep(d, order < 0 ? a : b, order < 0 ? JOIN_MISSING : JOIN_NEW, err);
		}
		if (status == BM_OK && order <= 0)
			status = next_name(a, err);
		if (status == BM_OK && order >= 0)
			status = next_name(b, err);
	}
	return status;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void side_fini(struct side *s)
{
	bm_manifest_sorted_destroy(s->sorted);
	diff_catalog_close(s->catalog);
	bm_name_map_fini(&s->map);
	bm_buf_fini(&s->fault);
	bm_buf_fini(&s->name);
}

enum bm_status bm_audit_diff(const struct bm_audit_diff_options *o, struct bm_summary *sum, struct bm_error *err)
{
	uint64_t start = now_ms();
	struct diff *d = calloc(1, sizeof(*d));
	enum bm_status status;

	memset(sum, 0, sizeof(*sum));
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->o = o;
	d->sum = sum;
	d->before = (struct side){.diff = d, .path = o->before};
	d->now = (struct side){.diff = d, .path = o->now};
	(void)bm_error_set(&d->missing, BM_ERR_MISMATCH, NULL, "is missing");
	status = join_create(&d->join, err);
	if (status == BM_OK)
		status = load(&d->before, true, err);
	if (status == BM_OK)
		status = load(&d->now, false, err);
	if (status == BM_OK) {
		settle_guesses(d);
		sum->jobs_done = 1;
		status = compare_all(d, err);
	}
	if (status == BM_OK)
		status = join_all(d, err);
	sum->elapsed_ms = now_ms() - start;
	side_fini(&d->before);
	side_fini(&d->now);
	join_destroy(d->join);
	bm_buf_fini(&d->text);
	free(d);
	return status;
}
