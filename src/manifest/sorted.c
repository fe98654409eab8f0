/*
 * sorted.c - see bm_manifest_sorted.h.
 *
 * Records are laid one behind the other into chunks, in the order of the manifest, and each is compared with the one
 * before. As long as that order is right, the chunks are the result: no array is made and nothing is sorted. Otherwise an
 * array of pointers is made at the end of a batch and sorted (sort.c); its memory is kept free from the start.
 *
 * When the next chunk would go beyond the limit the batch becomes a run in the temporary file (spill.c), in order, and
 * the chunks are used again. A batch that is in order and does not begin before the end of the one before makes that
 * one's run longer: a sorted manifest of any size is one run, which costs a write and a read and no merging. The last
 * batch goes to the file too where there is one already.
 */
#include "bm_manifest_sorted.h"

#include <stdlib.h>

#include "bm_error.h"
#include "bm_mem.h"
#include "sort.h"
#include "spill.h"

#define MEMORY_MIN ((size_t)256 << 10)
#define CHUNK_MIN ((size_t)16 << 10)
#define CHUNK_MAX ((size_t)1 << 20)

struct chunk {
	struct chunk *next;
	size_t cap, len;
	unsigned char data[]; /* cap bytes, and SORT_SLACK more */
};

struct bm_manifest_sorted {
	size_t memory_bytes, chunk_bytes;
	bool is_reread, keeps_order;
	struct chunk *first, *last; /* of the batch */
	struct chunk *spare;        /* of chunk_bytes each */
	size_t chunk_memory;        /* of all of them */
	size_t batch_count;
	bool batch_is_sorted;
	const unsigned char *batch_end; /* its last record; NULL: it is empty */
	struct bm_buf last_spilled;     /* the name that the last run ends with */
	struct spill spill;

	/* Giving back. */
	struct sort_item *items; /* NULL: the chunks are in order */
	size_t next_item;
	const struct chunk *next_chunk;
	size_t next_at;                /* in it */
	const unsigned char *previous; /* in memory */
	struct bm_buf last_name;       /* where records come from the file */
	bool has_last_name, is_at_record;
	bool failed;
	struct bm_error err; /* why */
	struct bm_manifest_digest digests[BM_MANIFEST_DIGESTS_MAX];
	struct bm_manifest_sorted_stats stats;
};

/* ---- the batch ---- */

static void note_peak(struct bm_manifest_sorted *s, size_t more)
{
	size_t now = s->chunk_memory + s->spill.memory + more;

	if (now > s->stats.peak_bytes)
		s->stats.peak_bytes = now;
}

static size_t chunk_cost(size_t cap)
{
	return sizeof(struct chunk) + cap + SORT_SLACK;
}

static void free_chunks(struct bm_manifest_sorted *s, struct chunk **list)
{
	while (*list != NULL) {
		struct chunk *c = *list;

		*list = c->next;
		s->chunk_memory -= chunk_cost(c->cap);
		free(c);
	}
}

/* The batch is over and its chunks are empty; those of the usual size are kept. */
static void reset_batch(struct bm_manifest_sorted *s)
{
	struct chunk *odd = NULL;

	while (s->first != NULL) {
		struct chunk *c = s->first;
		struct chunk **list = c->cap == s->chunk_bytes ? &s->spare : &odd;

		s->first = c->next;
		c->len = 0;
		c->next = *list;
		*list = c;
	}
	free_chunks(s, &odd);
	s->last = NULL;
	s->batch_count = 0;
	s->batch_is_sorted = true;
	s->batch_end = NULL;
}

/* Items for the batch's records, sorted; the caller frees. */
static enum bm_status sort_batch(struct bm_manifest_sorted *s, struct sort_item **items, struct bm_error *err)
{
	size_t n = 0;

	*items = bm_calloc_array(s->batch_count, sizeof(**items));
	if (*items == NULL)
		return bm_error_set_nomem(err);
	note_peak(s, s->batch_count * sizeof(**items));
	for (const struct chunk *c = s->first; c != NULL; c = c->next)
		for (size_t at = 0; at < c->len; at += record_bytes(c->data + at))
			(*items)[n++].record = c->data + at;
	sort_records(*items, n);
	return BM_OK;
}

static bool is_before(const unsigned char *record, const struct bm_buf *name)
{
	size_t len = record_name_len(record), min = len < name->len ? len : name->len;
	int order = memcmp(record_name(record), name->data, min);

	return order != 0 ? order < 0 : len < name->len;
}

static enum bm_status spill_batch(struct bm_manifest_sorted *s, struct bm_error *err)
{
	struct sort_item *items = NULL;
	const unsigned char *last = s->batch_end;
	enum bm_status status = BM_OK;
	size_t runs = s->spill.run_count, merges = s->spill.merge_count;
	bool is_more;

	if (!s->batch_is_sorted)
		status = sort_batch(s, &items, err);
	if (status != BM_OK)
		goto out;
	is_more = s->last_spilled.data != NULL &&
	          (s->keeps_order || !is_before(items != NULL ? items[0].record : s->first->data, &s->last_spilled));
	if (items != NULL) {
		for (size_t i = 0; i < s->batch_count && status == BM_OK; i++)
			status = spill_put(&s->spill, items[i].record, err);
		last = items[s->batch_count - 1].record;
	} else {
		for (const struct chunk *c = s->first; c != NULL && status == BM_OK; c = c->next)
			for (size_t at = 0; at < c->len && status == BM_OK; at += record_bytes(c->data + at))
				status = spill_put(&s->spill, c->data + at, err);
	}
	bm_buf_reset(&s->last_spilled);
	bm_buf_put(&s->last_spilled, record_name(last), record_name_len(last));
	if (status == BM_OK && s->last_spilled.oom)
		status = bm_error_set_nomem(err);
	if (status != BM_OK)
		goto out;
	note_peak(s, items != NULL ? s->batch_count * sizeof(*items) : 0);
	free(items);
	items = NULL;
	reset_batch(s);
	if (runs == SPILL_MAX_RUNS)
		free_chunks(s, &s->spare); /* a merge wants their room */
	status = spill_end_run(&s->spill, is_more, s->memory_bytes, &s->stats.peak_bytes, err);
	s->stats.run_count += s->spill.run_count > runs || s->spill.merge_count > merges ? 1 : 0;
out:
	free(items);
	return status;
}

/* Where size bytes may be written; NULL where there is no memory or (err is set) a run could not be written. */
static unsigned char *reserve(struct bm_manifest_sorted *s, size_t size, struct bm_error *err)
{
	size_t cap = size > s->chunk_bytes ? size : s->chunk_bytes;
	size_t need, room = s->memory_bytes - SPILL_WRITE_BYTES;
	struct chunk *c = s->last;

	if (size > SIZE_MAX / 2)
		return NULL;
	need = s->chunk_memory + (s->batch_count + 1) * sizeof(struct sort_item);
	if (c == NULL || size > c->cap - c->len) {
		c = s->spare != NULL && size <= s->chunk_bytes ? s->spare : NULL;
		if (c == NULL)
			need += chunk_cost(cap);
	}
	if (need > room && s->batch_count > 0) {
		if (spill_batch(s, err) != BM_OK)
			return NULL;
		if (s->chunk_memory + chunk_cost(cap) > room)
			free_chunks(s, &s->spare);
		return reserve(s, size, err); /* once: the batch is empty now */
	}
	if (c == NULL) {
		c = malloc(chunk_cost(cap));
		if (c == NULL)
			return NULL;
		c->cap = cap;
		c->len = 0;
		memset(c->data + cap, 0, SORT_SLACK);
		s->chunk_memory += chunk_cost(cap);
	} else if (c == s->spare) {
		s->spare = c->next;
	}
	if (c != s->last) {
		c->next = NULL;
		if (s->last != NULL)
			s->last->next = c;
		else
			s->first = c;
		s->last = c;
	}
	return c->data + c->len;
}

static enum bm_status add_entry(struct bm_manifest_sorted *s, const struct bm_manifest_entry *e, struct bm_error *err)
{
	size_t size = record_size(e);
	unsigned char *to;

	if (size == 0)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "line %llu of a manifest is too large to be sorted",
		                    (unsigned long long)e->line);
	to = reserve(s, size, err);
	if (to == NULL)
		return err->status != BM_OK ? err->status : bm_error_set_nomem(err);
	record_put(to, e);
	s->last->len += size;
	if (!s->keeps_order && s->batch_end != NULL && record_compare(s->batch_end, to) > 0) {
		s->batch_is_sorted = false;
		s->stats.was_sorted = false;
	}
	if (!s->keeps_order && s->batch_count == 0 && s->last_spilled.data != NULL && is_before(to, &s->last_spilled))
		s->stats.was_sorted = false;
	s->batch_end = to;
	s->batch_count++;
	s->stats.entry_count++;
	return BM_OK;
}

/* ---- creation ---- */

static void tell_bad_line(struct bm_manifest_sorted *s, const struct bm_manifest_sorted_options *opt,
                          const struct bm_manifest_entry *e)
{
	s->stats.bad_line_count++;
	if (opt->on_bad_line != NULL)
		opt->on_bad_line(opt->ctx, e->line, e->fault);
}

static enum bm_status load(struct bm_manifest_sorted *s, struct bm_manifest_reader *r,
                           const struct bm_manifest_sorted_options *opt, struct bm_error *err)
{
	struct bm_manifest_entry e;

	for (;;) {
		switch (bm_manifest_next(r, &e, err)) {
		case BM_MANIFEST_END:
			return BM_OK;
		case BM_MANIFEST_FAILED:
			return err->status;
		case BM_MANIFEST_BAD_LINE:
			tell_bad_line(s, opt, &e);
			break;
		case BM_MANIFEST_ENTRY:
			e.fault = NULL;
			if (opt->on_entry != NULL && !opt->on_entry(opt->ctx, &e)) {
				if (e.fault != NULL)
					tell_bad_line(s, opt, &e);
				break;
			}
			if (add_entry(s, &e, err) != BM_OK)
				return err->status;
			break;
		}
	}
}

/* All is read: what is next is the first. */
static enum bm_status rewind_sorted(struct bm_manifest_sorted *s, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	note_peak(s, 0);
	if (spill_is_used(&s->spill)) {
		if (s->batch_count > 0)
			status = spill_batch(s, err);
		reset_batch(s);
		free_chunks(s, &s->spare);
		s->spill.keeps = s->is_reread;
		if (status == BM_OK)
			status = spill_rewind(&s->spill, s->memory_bytes, err);
	} else if (!s->batch_is_sorted) {
		status = sort_batch(s, &s->items, err);
	}
	s->next_chunk = s->first;
	note_peak(s, 0);
	return status;
}

enum bm_status bm_manifest_sorted_create(struct bm_manifest_reader *r, const struct bm_manifest_sorted_options *opt,
                                         struct bm_manifest_sorted **out, struct bm_error *err)
{
	struct bm_error local = BM_ERROR_INIT;
	struct bm_manifest_sorted *s;
	enum bm_status status;
	size_t chunk;

	*out = NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return bm_error_set_nomem(err);
	s->memory_bytes = opt->memory_bytes > MEMORY_MIN ? opt->memory_bytes : MEMORY_MIN;
	chunk = s->memory_bytes / 16;
	s->chunk_bytes = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
	s->batch_is_sorted = s->stats.was_sorted = true;
	spill_init(&s->spill, opt->temp_dir);
	s->is_reread = opt->is_reread;
	s->keeps_order = opt->keeps_order;
	status = load(s, r, opt, &local);
	if (status == BM_OK)
		status = rewind_sorted(s, &local);
	if (status != BM_OK) {
		bm_manifest_sorted_destroy(s);
		if (err != NULL && err->status == BM_OK)
			*err = local;
		return status;
	}
	s->spill.dir = NULL;
	*out = s;
	return BM_OK;
}

enum bm_status bm_manifest_sorted_rewind(struct bm_manifest_sorted *s, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (!s->is_reread)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "this manifest was not opened to be read again");
	if (s->failed) {
		if (err != NULL && err->status == BM_OK)
			*err = s->err;
		return s->err.status;
	}
	s->next_item = 0;
	s->next_chunk = s->first;
	s->next_at = 0;
	s->previous = NULL;
	s->has_last_name = s->is_at_record = false;
	if (spill_is_used(&s->spill))
		status = spill_rewind(&s->spill, s->memory_bytes, err);
	return status;
}

void bm_manifest_sorted_destroy(struct bm_manifest_sorted *s)
{
	if (s == NULL)
		return;
	spill_fini(&s->spill);
	free_chunks(s, &s->first);
	free_chunks(s, &s->spare);
	free(s->items);
	bm_buf_fini(&s->last_spilled);
	bm_buf_fini(&s->last_name);
	free(s);
}

/* ---- giving back ---- */

/* Sorted records lie all over the memory: what is wanted soon is fetched while others are worked on. */
static const unsigned char *next_item(struct bm_manifest_sorted *s)
{
	const size_t ahead = 6, line = 64;

	if (s->next_item + ahead < s->batch_count) {
		const unsigned char *soon = s->items[s->next_item + ahead].record;

		__builtin_prefetch(soon);
		__builtin_prefetch(soon + line);
	}
	return s->next_item < s->batch_count ? s->items[s->next_item++].record : NULL;
}

static const unsigned char *next_in_memory(struct bm_manifest_sorted *s)
{
	const unsigned char *record;

	if (s->items != NULL)
		return next_item(s);
	while (s->next_chunk != NULL && s->next_at == s->next_chunk->len) {
		s->next_chunk = s->next_chunk->next;
		s->next_at = 0;
	}
	if (s->next_chunk == NULL)
		return NULL;
	record = s->next_chunk->data + s->next_at;
	s->next_at += record_bytes(record);
	return record;
}

static bool same_name(const unsigned char *record, const void *name, size_t len)
{
	return record_name_len(record) == len && memcmp(record_name(record), name, len) == 0;
}

static enum bm_manifest_event fail(struct bm_manifest_sorted *s, struct bm_error *err)
{
	s->failed = true;
	if (err != NULL && err->status == BM_OK)
		*err = s->err;
	return BM_MANIFEST_FAILED;
}

/* The next record of the file; s->failed where that is not to be had. */
static const unsigned char *next_in_file(struct bm_manifest_sorted *s, bool *is_duplicate)
{
	const unsigned char *record;

	if (s->is_at_record && spill_advance(&s->spill, &s->err) != BM_OK) {
		s->failed = true;
		return NULL;
	}
	note_peak(s, 0);
	record = spill_peek(&s->spill);
	s->is_at_record = record != NULL;
	if (record == NULL)
		return NULL;
	*is_duplicate = s->has_last_name && same_name(record, s->last_name.data, s->last_name.len);
	bm_buf_reset(&s->last_name);
	bm_buf_put(&s->last_name, record_name(record), record_name_len(record));
	s->has_last_name = true;
	if (s->last_name.oom) {
		(void)bm_error_set_nomem(&s->err);
		s->failed = true;
		return NULL;
	}
	return record;
}

enum bm_manifest_event bm_manifest_sorted_next(struct bm_manifest_sorted *s, struct bm_manifest_entry *e,
                                               struct bm_error *err)
{
	const unsigned char *record;
	bool is_duplicate = false;

	if (s->failed)
		return fail(s, err);
	if (spill_is_used(&s->spill)) {
		record = next_in_file(s, &is_duplicate);
		if (s->failed)
			return fail(s, err);
	} else {
		record = next_in_memory(s);
		is_duplicate = record != NULL && s->previous != NULL &&
		               same_name(record, record_name(s->previous), record_name_len(s->previous));
		s->previous = record;
	}
	if (record == NULL)
		return BM_MANIFEST_END;
	record_get(record, s->digests, e);
	e->is_duplicate = is_duplicate;
	return BM_MANIFEST_ENTRY;
}

void bm_manifest_sorted_get_stats(const struct bm_manifest_sorted *s, struct bm_manifest_sorted_stats *out)
{
	*out = s->stats;
	out->merge_count = s->spill.merge_count;
	out->written_bytes = s->spill.written_bytes;
}
