/* audit_pile.c - see audit_pile.h. Once there is a temporary file all goes there, so that the order stays. */
#include "audit_pile.h"

#include <string.h>

#define MEMORY ((size_t)64 << 10)

void pile_add(struct pile *p, const char *line, size_t len)
{
	size_t before = p->lines.len;

	if (p->spill == NULL && p->lost == 0 && before + len <= MEMORY) {
		bm_buf_put(&p->lines, line, len);
		if (!p->lines.oom)
			return;
		p->lines.oom = false;
		p->lines.len = before;
	}
	if (p->spill == NULL && p->lost == 0)
		p->spill = tmpfile();
	if (p->spill == NULL || fwrite(line, 1, len, p->spill) != len)
		p->lost++;
}

void pile_each(struct pile *p, bool (*each)(void *ctx, const void *data, size_t len), void *ctx)
{
	char buf[8192];
	size_t n;

	if (p->lines.len > 0 && !each(ctx, p->lines.data, p->lines.len))
		return;
	if (p->spill == NULL)
		return;
	if (fflush(p->spill) != 0 || fseeko(p->spill, 0, SEEK_SET) != 0) {
		p->lost++;
		return;
	}
	while ((n = fread(buf, 1, sizeof(buf), p->spill)) > 0)
		if (!each(ctx, buf, n))
			return;
	p->lost += ferror(p->spill) != 0;
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
