/*
 * algorithms.c - names of digest algorithms as small numbers. There are a handful, and every file has one: so the table
 * is kept in memory, by number, and a name once in there is never moved or freed before the catalog is closed, so that it
 * is looked up without a lock. Two threads, or two processes, that add one name at the same time get the same number, since
 * the database decides.
 */

#include "bm_error.h"
#include "catalog_internal.h"

static int64_t look_up(struct bm_catalog *c, const char *name)
{
	int64_t id = 0;

	for (int64_t i = 1; i < CATALOG_ALGORITHMS_MAX && id == 0; i++) {
		const char *known = atomic_load_explicit(&c->algorithms[i], memory_order_acquire);

		if (known != NULL && strcmp(known, name) == 0)
			id = i;
	}
	return id;
}

/* Takes in what the database has. */
static enum bm_status load(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	char where[512];
	enum bm_status status = catalog_read(c, SQL_ALGORITHM_LIST, &rows, err, NULL, 0);

	pthread_mutex_lock(&c->algorithms_lock);
	for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
		catalog_rows_get(&rows, i, v);
		int64_t id = v[1].number;

		if (v[0].bytes == NULL || id < 1 || id >= CATALOG_ALGORITHMS_MAX) {
			status = bm_error_set(err, BM_ERR_LIMIT, catalog_where(c, where),
			                      "the catalog has digests of more than %d algorithms",
			                      CATALOG_ALGORITHMS_MAX - 1);
		} else if (c->algorithms[id] == NULL) {
			char *copy = bm_memdup0(v[0].bytes, v[0].len);

			if (copy == NULL)
				status = bm_error_set_nomem(err);
			atomic_store_explicit(&c->algorithms[id], copy, memory_order_release);
		}
	}
	pthread_mutex_unlock(&c->algorithms_lock);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status catalog_algorithm_id(struct bm_catalog *c, const char *name, int64_t *id, struct bm_error *err)
{
	enum bm_status status;

	*id = look_up(c, name);
	if (*id != 0)
		return BM_OK;
	status = load(c, err);
	if (status == BM_OK && (*id = look_up(c, name)) == 0) {
		status = catalog_begin(c, err);
		if (status == BM_OK)
			status = catalog_end(c, catalog_exec(c, SQL_ALGORITHM_ADD, err, ARGS(val_text(name))), err);
		if (status == BM_OK)
			status = load(c, err);
		if (status == BM_OK)
			*id = look_up(c, name);
	}
	return status;
}

enum bm_status catalog_algorithm_name(struct bm_catalog *c, int64_t id, const char **name, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	*name = NULL;
	if (id < 1 || id >= CATALOG_ALGORITHMS_MAX)
		return BM_OK;
	for (int round = 0; round < 2 && status == BM_OK && *name == NULL; round++) {
		*name = atomic_load_explicit(&c->algorithms[id], memory_order_acquire);
		if (*name == NULL && round == 0)
			status = load(c, err); /* another process may have added it */
	}
	return status;
}
