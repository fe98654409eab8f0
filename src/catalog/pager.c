/*
 * pager.c - rows in ascending order of a key, page by page, with no lock held in between.
 *
 * A page is all rows from one key on: so a key between there and the page's last row that is not in the page is not in
 * the database, and find can say so without asking. Pages grow while most of their rows are asked for, up to PAGE_MAX,
 * and shrink while few are: so that find is one read for hundreds of ascending keys, and a small one for each key of a
 * random sequence.
 *
 * The next page begins behind the last row: at its key with a 0 byte added, which is the least key that is larger. That
 * holds for rows that were deleted or added meanwhile, too; nothing is handed out twice.
 */
#include "bm_error.h"
#include "catalog_internal.h"

#define PAGE_MIN 4
#define PAGE_START 64
#define PAGE_MAX 512

void catalog_pager_init(struct catalog_pager *p, struct bm_catalog *c, int number_column, void *arg)
{
	p->c = c;
	p->arg = arg;
	p->number_column = number_column;
	p->limit = PAGE_START;
}

void catalog_pager_fini(struct catalog_pager *p)
{
	catalog_rows_fini(&p->rows);
	bm_buf_fini(&p->from);
}

void catalog_pager_rewind(struct catalog_pager *p, int64_t number, const char *key, size_t key_len)
{
	p->has_page = false;
	p->from_number = number;
	bm_buf_reset(&p->from);
	bm_buf_put(&p->from, key, key_len);
}

static enum bm_status read_page(struct catalog_pager *p, struct bm_error *err)
{
	enum bm_status status;

	p->has_page = false;
	catalog_rows_reset(&p->rows);
	if (p->from.oom)
		return bm_error_set_nomem(err);
	status = p->fill(p->arg, p->from_number, p->from.data, p->from.len, p->limit, &p->rows, err);
	if (status != BM_OK)
		return status;
	p->has_page = true;
	p->is_last = p->rows.count < p->limit;
	p->at = p->hits = 0;
	return BM_OK;
}

/* The key behind the page's last row. */
static void leave_page(struct catalog_pager *p)
{
	struct catalog_value v[CATALOG_VALUES_MAX];

	catalog_rows_get(&p->rows, p->rows.count - 1, v);
	catalog_pager_rewind(p, p->number_column >= 0 ? v[p->number_column].number : 0, v[0].bytes, v[0].len);
	bm_buf_putc(&p->from, '\0');
}

static void set_limit(struct catalog_pager *p)
{
	if (p->hits * 2 >= p->rows.count)
		p->limit = p->limit < PAGE_MAX ? p->limit * 2 : p->limit;
	else if (p->hits * 4 < p->rows.count)
		p->limit = p->limit > PAGE_MIN ? p->limit / 2 : p->limit;
}

enum bm_status catalog_pager_next(struct catalog_pager *p, struct catalog_value *values, bool *found,
                                  struct bm_error *err)
{
	enum bm_status status = BM_OK;

	*found = false;
	if (p->has_page && p->at == p->rows.count) {
		if (p->is_last)
			return BM_OK;
		set_limit(p);
		leave_page(p);
	}
	if (!p->has_page) {
		status = read_page(p, err);
		if (status != BM_OK || p->rows.count == 0)
			return status;
	}
	catalog_rows_get(&p->rows, p->at, values);
	p->at++;
	p->hits++;
	*found = true;
	return BM_OK;
}

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t least = a_len < b_len ? a_len : b_len;
	int diff = least > 0 ? memcmp(a, b, least) : 0;

	return diff != 0 ? diff : (a_len > b_len) - (a_len < b_len);
}

static int compare_row(const struct catalog_pager *p, size_t i, const char *key, size_t key_len)
{
	const char *bytes;
	size_t len;

	catalog_rows_get_key(&p->rows, i, &bytes, &len);
	return compare(bytes, len, key, key_len);
}

bool catalog_pager_covers(const struct catalog_pager *p, const char *key, size_t key_len)
{
	if (!p->has_page || compare(p->from.data, p->from.len, key, key_len) > 0)
		return false;
	return p->is_last || (p->rows.count > 0 && compare_row(p, p->rows.count - 1, key, key_len) >= 0);
}

enum bm_status catalog_pager_find(struct catalog_pager *p, const char *key, size_t key_len,
                                  struct catalog_value *values, bool *found, struct bm_error *err)
{
	size_t low = 0, high;
	enum bm_status status;

	*found = false;
	if (!catalog_pager_covers(p, key, key_len)) {
		if (p->has_page)
			set_limit(p);
		catalog_pager_rewind(p, 0, key, key_len);
		status = read_page(p, err);
		if (status != BM_OK)
			return status;
	}
	/* The first row at or after the key. With ascending keys it is the next one, or near it. */
	high = p->rows.count;
	if (p->at < high && compare_row(p, p->at, key, key_len) >= 0) {
		if (p->at == 0 || compare_row(p, p->at - 1, key, key_len) < 0)
			low = high = p->at;
		else
			high = p->at - 1;
	} else if (p->at < high) {
		low = p->at + 1;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_row(p, middle, key, key_len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	p->at = low;
	if (p->at < p->rows.count && compare_row(p, p->at, key, key_len) == 0) {
		catalog_rows_get(&p->rows, p->at, values);
		p->at++;
		p->hits++;
		*found = true;
	}
	return BM_OK;
}
