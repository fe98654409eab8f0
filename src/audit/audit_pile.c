/* audit_pile.c - see audit_pile.h. What is in the temporary file comes before what is in memory. */
#include "audit_pile.h"

#include <string.h>

#include "bm_temp.h"

#define MEMORY ((size_t)64 << 10)

static void count_lost(struct pile *p)
{
	for (size_t i = 0; i < p->lines.len; i++)
		p->lost += p->lines.data[i] == '\n';
}

/* All that is in memory goes to the file, in one piece. */
static void spill(struct pile *p)
{
	if (p->lines.len == 0)
		return;
	if (p->spill == NULL) {
		p->spill = bm_temp_file();
		if (p->spill != NULL)
			setbuf(p->spill, NULL);
	}
	if (p->spill == NULL || fwrite(p->lines.data, 1, p->lines.len, p->spill) != p->lines.len)
		count_lost(p);
	bm_buf_reset(&p->lines);
}

void pile_add(struct pile *p, const char *line, size_t len)
{
	size_t before;

	if (p->lines.len + len > MEMORY)
		spill(p);
	before = p->lines.len;
	bm_buf_put(&p->lines, line, len);
	if (p->lines.oom) {
		p->lines.oom = false;
		p->lines.len = before;
		p->lost++;
	}
}

void pile_each(struct pile *p, bool (*each)(void *ctx, const void *data, size_t len), void *ctx)
{
	char buf[MEMORY / 2];
	size_t n;

	if (p->spill != NULL && fseeko(p->spill, 0, SEEK_SET) == 0) {
		while ((n = fread(buf, 1, sizeof(buf), p->spill)) > 0)
			if (!each(ctx, buf, n))
				return;
	}
	p->lost += p->spill != NULL && ferror(p->spill) != 0;
	if (p->lines.len > 0)
		(void)each(ctx, p->lines.data, p->lines.len);
}

static bool print_piece(void *ctx, const void *data, size_t len)
{
	fwrite(data, 1, len, ctx); /* a failed write is seen when the program flushes */
	return true;
}

void pile_print(struct pile *p, FILE *out)
{
	pile_each(p, print_piece, out);
}

void pile_fini(struct pile *p)
{
	bm_buf_fini(&p->lines);
	if (p->spill != NULL)
		fclose(p->spill);
	memset(p, 0, sizeof(*p));
}
