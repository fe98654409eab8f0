/*
 * bag_write.c - the tag files of a bag; see bm_bag.h.
 *
 * Payload manifests grow while the job runs, a line a file in listing order, and their own digests with them, so that
 * nothing is read again for the tag manifests. ORDER: payload (the job's sinks have it on disk), payload manifests and
 * bag-info.txt, tag manifests, a sync of the directory, and only then bagit.txt, whose text is known beforehand and so
 * stands in the tag manifests already. Whatever is cut short is no bag, and can not be taken for one.
 */
#include "bm_bag.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bm_error.h"
#include "bm_manifest.h"
#include "bm_sink.h"
#include "bm_text.h"

#define FLUSH_BYTES ((size_t)64 << 10)
#define TAGS_MAX (BM_BAG_ALGORITHMS_MAX + 2)

static const char declaration[] = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

struct tag {
	char name[48];
	struct bm_buf text; /* not yet written */
	struct bm_sink *sink;
	struct bm_digest *digests[BM_BAG_ALGORITHMS_MAX];
};

struct bm_bag_writer {
	const struct bm_digest_algorithm *algorithms[BM_BAG_ALGORITHMS_MAX];
	size_t count;
	char *dir;
	struct bm_sink_set *set;
	struct tag tags[TAGS_MAX]; /* payload manifests, bag-info.txt, bagit.txt */
	uint64_t files, bytes, odd_names;
	struct bm_error error; /* the first one of add */
};

/* "sha3-256" is sha3256 there: RFC 8493, 2.4. */
static void put_algorithm(char *out, size_t size, const char *name)
{
	size_t n = 0;

	for (; *name != '\0' && n + 1 < size; name++)
		if (isalnum((unsigned char)*name))
			out[n++] = (char)tolower((unsigned char)*name);
	out[n] = '\0';
}

static enum bm_status open_tag(struct bm_bag_writer *w, struct tag *t, struct bm_error *err)
{
	struct bm_sink_options opt = {.if_exists = BM_EXISTS_FAIL, .mode = 0666};
	struct bm_buf path = {0};
	enum bm_status status = BM_OK;
	bool skipped;

	for (size_t i = 0; i < w->count && status == BM_OK; i++)
		status = bm_digest_create(w->algorithms[i], &t->digests[i], err);
	bm_buf_printf(&path, "%s/%s", w->dir, t->name);
	if (status == BM_OK && path.oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = bm_sink_open(w->set, path.data, &opt, NULL, &t->sink, &skipped, err);
	bm_buf_fini(&path);
	return status;
}

static void close_tag(struct tag *t)
{
	bm_buf_fini(&t->text);
	bm_sink_abort(t->sink);
	for (size_t i = 0; i < BM_BAG_ALGORITHMS_MAX; i++)
		bm_digest_destroy(t->digests[i]);
	memset(t, 0, sizeof(*t));
}

static enum bm_status flush_tag(struct bm_bag_writer *w, struct tag *t, struct bm_error *err)
{
	enum bm_status status = t->text.oom ? bm_error_set_nomem(err) : BM_OK;

	for (size_t i = 0; i < w->count && status == BM_OK; i++)
		status = bm_digest_update(t->digests[i], t->text.data, t->text.len, err);
	if (status == BM_OK && t->text.len > 0)
		status = bm_sink_write(t->sink, t->text.data, t->text.len, false, NULL, err);
	bm_buf_reset(&t->text);
	return status;
}

static enum bm_status commit_tag(struct tag *t, struct bm_error *err)
{
	struct bm_sink *sink = t->sink;

	t->sink = NULL;
	return bm_sink_commit(sink, NULL, -1, NULL, NULL, err);
}

enum bm_status bm_bag_writer_create(const char *dir, const struct bm_digest_algorithm *const *algorithms, size_t count,
                                    struct bm_bag_writer **out, struct bm_error *err)
{
	struct bm_bag_writer *w = calloc(1, sizeof(*w));
	enum bm_status status;

	*out = w;
	if (w == NULL)
		return bm_error_set_nomem(err);
	w->count = count;
	for (size_t i = 0; i < count; i++) {
		char name[24];

		w->algorithms[i] = algorithms[i];
		put_algorithm(name, sizeof(name), algorithms[i]->name);
		snprintf(w->tags[i].name, sizeof(w->tags[i].name), "manifest-%s.txt", name);
	}
	snprintf(w->tags[count].name, sizeof(w->tags[0].name), "bag-info.txt");
	snprintf(w->tags[count + 1].name, sizeof(w->tags[0].name), "bagit.txt");
	w->dir = strdup(dir);
	if (w->dir == NULL)
		return bm_error_set_nomem(err);
	status = bm_sink_set_create("bag", BM_DURABLE_FILE, &w->set, err);
	for (size_t i = 0; i < count + 2 && status == BM_OK; i++)
		status = open_tag(w, &w->tags[i], err);
	return status;
}

void bm_bag_writer_destroy(struct bm_bag_writer *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < TAGS_MAX; i++)
		close_tag(&w->tags[i]);
	bm_sink_set_destroy(w->set);
	free(w->dir);
	free(w);
}

static const struct bm_file_digest *digest_of(const struct bm_file_result *f, const struct bm_digest_algorithm *a)
{
	for (size_t i = 0; i < f->digest_count; i++)
		if (strcmp(f->digests[i].algorithm, a->name) == 0)
			return &f->digests[i];
	return NULL;
}

static enum bm_status add_line(struct bm_bag_writer *w, size_t i, const struct bm_buf *name,
                               const struct bm_file_digest *d, struct bm_error *err)
{
	const char *const only[] = {w->algorithms[i]->name};
	struct bm_manifest_style style = {.kind = BM_MANIFEST_KIND_BAGIT, .algorithms = only, .algorithm_count = 1};
	struct bm_manifest_digest digest = {.algorithm = w->algorithms[i], .name = w->algorithms[i]->name};
	struct bm_manifest_entry e = {.name = name->data, .name_len = name->len, .digests = &digest, .digest_count = 1};
	struct tag *t = &w->tags[i];
	enum bm_status status;

	if (d == NULL)
		return bm_error_set(err, BM_ERR_FAILED, name->data, "it has no digest");
	digest.bytes = d->bytes;
	digest.len = d->len;
	status = bm_manifest_put_entry(&t->text, &style, &e, err);
	return status == BM_OK && t->text.len >= FLUSH_BYTES ? flush_tag(w, t, err) : status;
}

void bm_bag_writer_add(struct bm_bag_writer *w, const struct bm_file_result *f)
{
	struct bm_buf name = {0};

	bm_buf_puts(&name, "data/");
	bm_buf_puts(&name, f->path);
	if (name.oom)
		(void)bm_error_set_nomem(&w->error);
	for (size_t i = 0; i < w->count && w->error.status == BM_OK; i++)
		(void)!add_line(w, i, &name, digest_of(f, w->algorithms[i]), &w->error);
	w->odd_names += !bm_utf8_valid(f->path, strlen(f->path));
	w->files++;
	w->bytes += f->bytes;
	bm_buf_fini(&name);
}

uint64_t bm_bag_writer_odd_names(const struct bm_bag_writer *w)
{
	return w->odd_names;
}

static void put_info(struct bm_bag_writer *w, const char *const *info, size_t info_count)
{
	struct bm_buf *out = &w->tags[w->count].text;
	time_t now = time(NULL);
	struct tm tm;
	char date[16];

	for (size_t i = 0; i < info_count; i++)
		bm_buf_printf(out, "%s\n", info[i]);
	if (gmtime_r(&now, &tm) != NULL && strftime(date, sizeof(date), "%Y-%m-%d", &tm) > 0)
		bm_buf_printf(out, "Bagging-Date: %s\n", date);
	bm_buf_printf(out, "Bag-Software-Agent: bytemill %s\nPayload-Oxum: %" PRIu64 ".%" PRIu64 "\n",
	              BM_VERSION_STRING, w->bytes, w->files);
}

/* tagmanifest-ALG.txt number i: the digests of all tags. */
static enum bm_status write_tag_manifest(struct bm_bag_writer *w, size_t i, struct bm_error *err)
{
	struct tag t;
	char name[24];
	enum bm_status status;

	memset(&t, 0, sizeof(t));
	put_algorithm(name, sizeof(name), w->algorithms[i]->name);
	snprintf(t.name, sizeof(t.name), "tagmanifest-%s.txt", name);
	status = open_tag(w, &t, err);
	for (size_t k = 0; k < w->count + 2 && status == BM_OK; k++) {
		uint8_t bytes[BM_DIGEST_MAX_BYTES];

		status = bm_digest_finish(w->tags[k].digests[i], bytes, err);
		bm_hex_put(&t.text, bytes, w->algorithms[i]->size_bytes);
		bm_buf_printf(&t.text, "  %s\n", w->tags[k].name);
	}
	if (status == BM_OK)
		status = flush_tag(w, &t, err);
	if (status == BM_OK)
		status = commit_tag(&t, err);
	close_tag(&t);
	return status;
}

enum bm_status bm_bag_writer_finish(struct bm_bag_writer *w, const char *const *info, size_t info_count,
                                    struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (w->error.status != BM_OK) {
		*err = w->error;
		return err->status;
	}
	put_info(w, info, info_count);
	bm_buf_puts(&w->tags[w->count + 1].text, declaration);
	for (size_t i = 0; i < w->count + 2 && status == BM_OK; i++)
		status = flush_tag(w, &w->tags[i], err);
	for (size_t i = 0; i < w->count && status == BM_OK; i++)
		status = write_tag_manifest(w, i, err);
	for (size_t i = 0; i < w->count + 1 && status == BM_OK; i++)
		status = commit_tag(&w->tags[i], err);
	if (status == BM_OK)
		status = bm_sink_set_sync(w->set, err);
	if (status == BM_OK)
		status = commit_tag(&w->tags[w->count + 1], err);
	return status == BM_OK ? bm_sink_set_sync(w->set, err) : status;
}
