/*
 * queued.c - records of the queue as a table that SQL can read.
 *
 * A statement that is run once a row spends more time on getting ready (bindings, cursors, the write lock's bookkeeping) than
 * on the row: an INSERT of a file takes 1.2 us that way, and 0.7 us where it is one statement for all of a batch, "INSERT ...
 * SELECT ... FROM queued". So records of the same kind that lie behind each other in the queue become the rows of this
 * virtual table, one at a time, as SQLite asks for them; nothing is copied. Columns are called v1, v2 ..., as parameters are
 * counted, and those that a record has not are NULL.
 *
 * The module is "eponymous": the table is there for each connection that registers it, and no schema names it, so that
 * other programs can open the catalog as they could before. It is written by nobody, and has its rows while
 * catalog_exec_all runs only. A statement that uses it must not read a table that it changes, or SQLite would make a
 * copy of all rows first; upserts do not count as that.
 */
#include <stdlib.h>

#include "catalog_internal.h"

struct table {
	sqlite3_vtab base; /* must be first */
	struct bm_catalog *c;
};

struct cursor {
	sqlite3_vtab_cursor base; /* must be first */
	const char *at;           /* after the row that there is */
	const char *end;
	sqlite3_int64 row;
	bool is_over;
	size_t count;
	struct catalog_value v[CATALOG_VALUES_MAX];
};

static int table_connect(sqlite3 *db, void *arg, int argc, const char *const *argv, sqlite3_vtab **out, char **message)
{
	struct table *t = sqlite3_malloc(sizeof(*t));
	int rc = sqlite3_declare_vtab(
		db, "CREATE TABLE x(v1,v2,v3,v4,v5,v6,v7,v8,v9,v10,v11,v12,v13,v14,v15,v16,v17,v18,v19,v20)");

	(void)argc;
	(void)argv;
	(void)message;
	if (rc != SQLITE_OK || t == NULL) {
		sqlite3_free(t);
		return rc != SQLITE_OK ? rc : SQLITE_NOMEM;
	}
	*t = (struct table){.c = arg};
	*out = &t->base;
	return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
	sqlite3_free(table);
	return SQLITE_OK;
}

static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	info->estimatedCost = 1000;
	info->estimatedRows = 1000;
	return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
	struct cursor *k = sqlite3_malloc(sizeof(*k));

	(void)table;
	if (k == NULL)
		return SQLITE_NOMEM;
	memset(k, 0, sizeof(*k));
	*out = &k->base;
	return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
	sqlite3_free(cursor);
	return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *cursor)
{
	struct cursor *k = (struct cursor *)cursor;

	k->is_over = k->at == k->end;
	if (k->is_over)
		return SQLITE_OK;
	k->row++;
	k->at = catalog_record_get(k->at, k->v, &k->count);
	return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc, sqlite3_value **argv)
{
	struct cursor *k = (struct cursor *)cursor;
	const struct bm_catalog *c = ((struct table *)cursor->pVtab)->c;

	(void)number;
	(void)text;
	(void)argc;
	(void)argv;
	k->at = c->queued;
	k->end = c->queued_end;
	return cursor_next(cursor);
}

static int cursor_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct cursor *)cursor)->is_over;
}

static int cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
	const struct cursor *k = (struct cursor *)cursor;
	const struct catalog_value *v = &k->v[column];

	if ((size_t)column >= k->count)
		return SQLITE_OK;
	/* The bytes stay where they are until the statement is over. */
	switch (v->type) {
	case TYPE_INT:
		sqlite3_result_int64(out, v->number);
		break;
	case TYPE_TEXT:
		sqlite3_result_text64(out, v->bytes, v->len, SQLITE_STATIC, SQLITE_UTF8);
		break;
	case TYPE_BLOB:
		sqlite3_result_blob64(out, v->bytes, v->len, SQLITE_STATIC);
		break;
	case TYPE_NULL:
		break;
	}
	return SQLITE_OK;
}

static int cursor_row(sqlite3_vtab_cursor *cursor, sqlite3_int64 *row)
{
	*row = ((struct cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module module = {
	.xConnect = table_connect,
	.xBestIndex = table_best_index,
	.xDisconnect = table_disconnect,
	.xOpen = cursor_open,
	.xClose = cursor_close,
	.xFilter = cursor_filter,
	.xNext = cursor_next,
	.xEof = cursor_eof,
	.xColumn = cursor_column,
	.xRowid = cursor_row,
};

int catalog_queued_register(struct bm_catalog *c)
{
	return sqlite3_create_module(c->db, "queued", &module, c);
}

enum bm_status catalog_exec_all(struct bm_catalog *c, enum catalog_statement which, const char *records,
                                const char *end, struct bm_error *err)
{
	c->queued = records;
	c->queued_end = end;
	enum bm_status status = catalog_exec(c, which, err, NULL, 0);
	c->queued = c->queued_end = NULL;
	return status;
}
