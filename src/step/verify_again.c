/*
 * verify_again.c - a file whose digest is not the manifest's is read a second time before that is said.
 *
 * The second reading goes past the page cache, to what is on the disk: with O_DIRECT where the file system can do that,
 * else after its pages were dropped (POSIX_FADV_DONTNEED; pages that are dirty, mapped or locked stay, and on tmpfs there
 * is nothing else: there the second reading sees the same memory). So bytes that went wrong in memory, in a cable or in
 * the cache are told from those that are wrong on the disk, and a disk that gives other bytes each time from both.
 *
 * Where the manifest has digests of blocks, this reading also finds which of them are wrong, and makes those that the file
 * has now, for whoever brings the manifest up to date. They are the same ones, but where the file has grown and the last
 * block ended within what is now a whole one.
 *
 * It is done by the thread that closes the file, one piece after the other: a mismatch is rare, and a tree of nothing
 * but mismatches keeps as many threads at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "verify.h"

#define PIECE_BYTES ((size_t)1 << 20)
#define DIRECT_UNIT ((size_t)4096)

struct second {
	int fd;
	bool direct;
	uint8_t *buf;
	struct bm_digest *states[DIGEST_SET_MAX];
	uint8_t out[DIGEST_SET_MAX][BM_DIGEST_MAX_BYTES];
	struct block_digests now;    /* where the manifest has blocks: those of all the file */
	struct block_digests before; /* of as many bytes as it had; unused (no algorithm) where now has those too */
	uint64_t before_left;        /* bytes that go into them yet */
	uint64_t bytes;              /* read */
};

static bool is_wanted(const struct verify_file *vf, size_t i)
{
	return (vf->d.skip >> i & 1) == 0;
}

/* The same open file by another descriptor: a path could be another file by now. */
static bool open_second(struct second *s, int fd)
{
	char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	s->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_DIRECT);
	s->direct = s->fd >= 0;
	if (!s->direct)
		s->fd = dup(fd);
	if (s->fd >= 0 && !s->direct)
		(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
	return s->fd >= 0;
}

/* -1 and errno, or how many bytes, less than a piece only at the end. */
static ssize_t read_piece(struct second *s, uint64_t offset, struct bm_worker *w)
{
	size_t got = 0;
	ssize_t n = 0;

	bm_worker_block(w);
	while (got < PIECE_BYTES) {
		n = pread(s->fd, s->buf + got, PIECE_BYTES - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && s->direct) { /* not here after all */
			s->direct = false;
			(void)fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_DIRECT);
			(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
			continue;
		}
		if (n <= 0)
			break;
		got += (size_t)n;
		if (s->direct && got % DIRECT_UNIT != 0) /* the end: no aligned read can follow */
			break;
	}
	bm_worker_unblock(w);
	return n < 0 ? -1 : (ssize_t)got;
}

static enum bm_status update(struct second *s, const struct digest_set *set, const struct verify_file *vf, size_t len,
                             struct bm_error *err)
{
	size_t in_before = len < s->before_left ? len : (size_t)s->before_left;
	enum bm_status status = BM_OK;

	s->bytes += len;
	s->before_left -= in_before;
	if (s->now.algorithm != NULL)
		status = block_digests_put(&s->now, s->buf, len, err);
	if (s->before.algorithm != NULL && status == BM_OK)
		status = block_digests_put(&s->before, s->buf, in_before, err);
	for (size_t i = 0; i < set->count && status == BM_OK; i++)
		if (is_wanted(vf, i))
			status = bm_digest_update(s->states[i], s->buf, len, err);
	return status;
}

static enum verify_second read_all(struct second *s, const struct digest_set *set, struct bm_file *f,
                                   const struct verify_file *vf, struct bm_worker *w, struct bm_error *err)
{
	uint64_t offset = 0;
	ssize_t n;

	do {
		if (bm_flow_is_cancelled(bm_worker_flow(w)))
			return VERIFY_SECOND_NONE;
		n = read_piece(s, offset, w);
		if (n < 0) {
			(void)bm_error_set_errno(err, errno, NULL,
			                         "read past the cache, to make sure of a wrong digest: cannot read");
			return VERIFY_SECOND_FAILED;
		}
		if (update(s, set, vf, (size_t)n, err) != BM_OK)
			return VERIFY_SECOND_FAILED;
		offset += (uint64_t)n;
		f->ctx->tick(f->ctx->tick_arg);
	} while ((size_t)n == PIECE_BYTES);
	if (bm_source_check_unchanged(f->source, err) != BM_OK)
		return VERIFY_SECOND_CHANGED;
	return VERIFY_SECOND_RIGHT;
}

static enum verify_second judge(const struct second *s, const struct verify_shared *vs, const struct verify_file *vf)
{
	bool right = true, same = true;

	for (size_t k = 0; k < vf->digest_count; k++) {
		const struct verify_digest *d = &vf->digests[k];

		right = right && memcmp(s->out[d->algorithm], d->bytes, BM_DIGEST_MAX_BYTES) == 0;
	}
	for (size_t i = 0; i < vs->set.count; i++)
		same = same && (!is_wanted(vf, i) || memcmp(s->out[i], vf->d.value[i].out, BM_DIGEST_MAX_BYTES) == 0);
	return right ? VERIFY_SECOND_RIGHT : same ? VERIFY_SECOND_SAME : VERIFY_SECOND_OTHER;
}

static void begin_blocks(struct second *s, const struct verify_file *vf)
{
	uint64_t size = vf->blocks.size_bytes, had = vf->blocks_of_bytes, has = vf->d.length;

	s->now.algorithm = vf->blocks.algorithm;
	s->now.size_bytes = block_digests_fit(size, has);
	if (s->now.size_bytes == size && (has <= had || had % size == 0))
		return;
	s->before.algorithm = vf->blocks.algorithm;
	s->before.size_bytes = size;
	s->before_left = had;
}

static void end_blocks(struct second *s, const struct verify_shared *vs, struct bm_file *f,
                       const struct verify_file *vf, bool is_sure)
{
	struct bm_file_blocks now = {.algorithm = vf->blocks.algorithm->name,
	                             .size_bytes = s->now.size_bytes,
	                             .digest_len = vf->blocks.algorithm->size_bytes,
	                             .step = vs->set.index};

	if (block_digests_end(&s->now, NULL) != BM_OK || block_digests_end(&s->before, NULL) != BM_OK)
		return;
	f->damage = verify_damage(vf, s->before.algorithm != NULL ? &s->before : &s->now, s->bytes);
	now.bytes = (const uint8_t *)s->now.out.data;
	now.count = s->now.count;
	if (is_sure && s->bytes == vf->d.length)
		bm_file_add_blocks(f, &now);
}

enum verify_second verify_read_again(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                     struct bm_worker *w, struct bm_error *err)
{
	struct second *s;
	void *buf = NULL;
	enum verify_second result = VERIFY_SECOND_NONE;

	if (f->source == NULL || !bm_source_is_regular(f->source))
		return VERIFY_SECOND_NONE;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return VERIFY_SECOND_NONE;
	s->fd = -1;
	if (posix_memalign(&buf, DIRECT_UNIT, PIECE_BYTES) != 0)
		goto out;
	s->buf = buf;
	for (size_t i = 0; i < vs->set.count; i++)
		if (is_wanted(vf, i) && bm_digest_create(vs->set.algorithms[i], &s->states[i], NULL) != BM_OK)
			goto out;
	if (!open_second(s, bm_source_fd(f->source)))
		goto out;
	if (vf->has_blocks)
		begin_blocks(s, vf);
	result = read_all(s, &vs->set, f, vf, w, err);
	for (size_t i = 0; i < vs->set.count && result == VERIFY_SECOND_RIGHT; i++)
		if (is_wanted(vf, i) && bm_digest_finish(s->states[i], s->out[i], err) != BM_OK)
			result = VERIFY_SECOND_FAILED;
	if (result == VERIFY_SECOND_RIGHT)
		result = judge(s, vs, vf);
	if (vf->has_blocks && (result == VERIFY_SECOND_SAME || result == VERIFY_SECOND_OTHER))
		end_blocks(s, vs, f, vf, result == VERIFY_SECOND_SAME);
out:
	if (s->fd >= 0)
		close(s->fd);
	for (size_t i = 0; i < vs->set.count; i++)
		bm_digest_destroy(s->states[i]);
	block_digests_fini(&s->now);
	block_digests_fini(&s->before);
	free(s->buf);
	free(s);
	return result;
}

/* ---- blocks alone ----
 *
 * Where the first reading compared blocks (verify_blocks.c), only those that were wrong are read again. */

static void blocks_end(struct second *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	bm_digest_destroy(s->states[0]);
	free(s->buf);
	free(s);
}

/* The digest of the bytes from offset on, s->states[0]'s. */
static enum verify_second read_block(struct second *s, struct bm_file *f, uint64_t offset, uint64_t len,
                                     struct bm_worker *w, uint8_t *out, struct bm_error *err)
{
	enum bm_status status = bm_digest_reset(s->states[0], err);
	uint64_t done = 0;

	while (status == BM_OK && done < len) {
		ssize_t n;

		if (bm_flow_is_cancelled(bm_worker_flow(w)))
			return VERIFY_SECOND_NONE;
		n = read_piece(s, offset + done, w);
		if (n < 0) {
			(void)bm_error_set_errno(err, errno, NULL,
			                         "read past the cache, to make sure of a wrong digest: cannot read");
			return VERIFY_SECOND_FAILED;
		}
		if (n == 0)
			break; /* cut short meanwhile */
		size_t take = (uint64_t)n < len - done ? (size_t)n : (size_t)(len - done);
		status = bm_digest_update(s->states[0], s->buf, take, err);
		done += take;
		f->ctx->tick(f->ctx->tick_arg);
	}
	if (status == BM_OK)
		status = bm_digest_finish(s->states[0], out, err);
	return status == BM_OK ? VERIFY_SECOND_RIGHT : VERIFY_SECOND_FAILED;
}

/* Block i of vb, which is not as expected. Only SAME and OTHER mean that it still is not. */
static enum verify_second judge_block(struct second *s, struct bm_file *f, struct verify_blocks *vb, size_t i,
                                      struct bm_worker *w, struct bm_error *err)
{
	size_t len = vb->algorithm->size_bytes;
	uint64_t offset = (uint64_t)(vb->base + i) * vb->d.size_bytes, left = vb->file_bytes - offset;
	uint8_t *first = (uint8_t *)vb->d.out.data + i * len, out[BM_DIGEST_MAX_BYTES];
	const char *expect = vb->expect.data + (vb->base + i) * len;
	enum verify_second result =
		read_block(s, f, offset, left < vb->d.size_bytes ? left : vb->d.size_bytes, w, out, err);

	if (result != VERIFY_SECOND_RIGHT)
		return result;
	if (memcmp(out, first, len) == 0)
		return VERIFY_SECOND_SAME;
	if (memcmp(out, expect, len) != 0)
		return VERIFY_SECOND_OTHER;
	memcpy(first, expect, len);
	return VERIFY_SECOND_RIGHT;
}

enum verify_second verify_read_blocks_again(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                            struct bm_worker *w, struct bm_error *err)
{
	struct verify_blocks *vb = &vf->vb;
	struct second *s = calloc(1, sizeof(*s));
	struct bm_file_damage *d = calloc(1, sizeof(*d));
	size_t len = vb->algorithm->size_bytes;
	void *buf = NULL;
	bool was_wrong = false, can_read;
	enum verify_second result = VERIFY_SECOND_RIGHT, one;

	(void)vs;
	if (s != NULL)
		s->fd = -1;
	can_read = s != NULL && posix_memalign(&buf, DIRECT_UNIT, PIECE_BYTES) == 0 &&
	           bm_digest_create(vb->algorithm, &s->states[0], NULL) == BM_OK &&
	           open_second(s, bm_source_fd(f->source));
	if (s != NULL)
		s->buf = buf;
	if (d != NULL) {
		d->size_bytes = vf->size_bytes;
		d->found_bytes = vb->file_bytes;
	}
	for (size_t i = vb->good; i < vb->d.count; i++) {
		uint64_t first = (uint64_t)(vb->base + i) * vb->d.size_bytes, left = vb->file_bytes - first;
		bool is_wrong = memcmp(vb->d.out.data + i * len, vb->expect.data + (vb->base + i) * len, len) != 0;

		one = !is_wrong  ? VERIFY_SECOND_RIGHT
		      : can_read ? judge_block(s, f, vb, i, w, err)
		                 : VERIFY_SECOND_NONE;
		if (one == VERIFY_SECOND_FAILED) {
			result = one;
			break;
		}
		is_wrong = one != VERIFY_SECOND_RIGHT;
		if (is_wrong && d != NULL)
			verify_damage_add(d, first, first + (left < vb->d.size_bytes ? left : vb->d.size_bytes) - 1,
			                  was_wrong);
		if (is_wrong && (result == VERIFY_SECOND_RIGHT || one == VERIFY_SECOND_OTHER))
			result = one;
		was_wrong = is_wrong;
	}
	if (result != VERIFY_SECOND_FAILED && bm_source_check_unchanged(f->source, err) != BM_OK)
		result = err->status == BM_ERR_CHANGED ? VERIFY_SECOND_CHANGED : VERIFY_SECOND_FAILED;
	if (result == VERIFY_SECOND_SAME || result == VERIFY_SECOND_OTHER || result == VERIFY_SECOND_NONE) {
		f->damage = d;
		d = NULL;
	}
	blocks_end(s);
	free(d);
	return result;
}
