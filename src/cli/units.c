/*
 * units.c - systemd units: see systemd.service(5), systemd.timer(5), systemd.syntax(7).
 *
 * The service is a oneshot: systemd does not start it again while it is running, the run's own lock keeps it from those
 * that others start. The timer is persistent: a night when the machine was off is made up for in the morning.
 *
 * The first line is a comment with the id of the job, by which a unit of the same job is known when it is made again.
 *
 * In ExecStart= a word in double quotes knows C's escapes; '%' begins a specifier and '$' a variable, there too.
 */
#include "units.h"

#include <ctype.h>
#include <string.h>

#include "bm_text.h"

#define MARK "# bytemill-schedule "

void bm_units_put_name(struct bm_buf *out, const char *name)
{
	bm_buf_puts(out, "bytemill-");
	for (; *name != '\0'; name++) {
		if (isalnum((unsigned char)*name) || strchr(":_.-", *name) != NULL)
			bm_buf_putc(out, *name);
		else
			bm_buf_printf(out, "\\x%02x", (unsigned)(unsigned char)*name);
	}
}

static void put_word(struct bm_buf *out, const char *word)
{
	bm_buf_putc(out, '"');
	for (; *word != '\0'; word++) {
		unsigned char c = (unsigned char)*word;

		if (c == '%' || c == '$')
			bm_buf_printf(out, "%c%c", c, c);
		else if (c == '"' || c == '\\')
			bm_buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			bm_buf_printf(out, "\\x%02x", c);
		else
			bm_buf_putc(out, (char)c);
	}
	bm_buf_putc(out, '"');
}

static void put_description(struct bm_buf *out, const struct bm_units *u)
{
	struct bm_buf shown = {0};

	bm_escape_display(&shown, u->what, strlen(u->what));
	bm_buf_printf(out, MARK "%s\n[Unit]\nDescription=Bytemill: ", u->id);
	for (const char *p = shown.oom ? "a job" : shown.data; *p != '\0'; p++) {
		if (*p == '%')
			bm_buf_putc(out, '%');
		bm_buf_putc(out, *p);
	}
	bm_buf_putc(out, '\n'); /* backslashes come in pairs: none at the end joins the next line */
	bm_buf_fini(&shown);
}

void bm_units_put_service(struct bm_buf *out, const struct bm_units *u)
{
	put_description(out, u);
	bm_buf_puts(out, "\n[Service]\nType=oneshot\nExecStart=");
	for (char *const *word = u->words; *word != NULL; word++) {
		if (word != u->words)
			bm_buf_putc(out, ' ');
		put_word(out, *word);
	}
	bm_buf_putc(out, '\n');
}

void bm_units_put_timer(struct bm_buf *out, const struct bm_units *u)
{
	put_description(out, u);
	bm_buf_puts(out, "\n[Timer]\n");
	bm_buf_puts(out, u->calendar);
	bm_buf_puts(out, "Persistent=true\n\n[Install]\nWantedBy=timers.target\n");
}

bool bm_units_is_of(const char *text, size_t len, const char *id)
{
	const size_t mark_len = strlen(MARK), id_len = strlen(id);

	return len > mark_len + id_len && memcmp(text, MARK, mark_len) == 0 &&
	       memcmp(text + mark_len, id, id_len) == 0 && text[mark_len + id_len] == '\n';
}
