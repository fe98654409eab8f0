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

void pile_print(struct pile *p, FILE *out)
{
	char buf[8192];
	size_t n;

	if (p->lines.len > 0)
		fwrite(p->lines.data, 1, p->lines.len, out);
	if (p->spill == NULL)
		return;
	if (fflush(p->spill) != 0 || fseeko(p->spill, 0, SEEK_SET) != 0) {
		p->lost++;
		return;
	}
	while ((n = fread(buf, 1, sizeof(buf), p->spill)) > 0)
		fwrite(buf, 1, n, out);
	p->lost += ferror(p->spill) != 0;
}

void pile_fini(struct pile *p)
{
	bm_buf_fini(&p->lines);
	if (p->spill != NULL)
		fclose(p->spill);
	memset(p, 0, sizeof(*p));
}
