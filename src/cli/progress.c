/*
 * progress.c - a bar with bytes, rate, time left and files.
 *
 *	 42% [=======>           ] 1.26 GiB of 3.00 GiB, 210 MiB/s, 0:09 left, 1234/5678 files, 2 failed
 *
 * Where that is too wide the totals go first, then the files, and the bar itself only after those.
 * With --progress auto there is one only where standard error is a terminal that can go back in its line, so neither in
 * a pipe nor under cron nor with TERM=dumb, not with --quiet or --verbose (its lines are the progress then), and not
 * where results go to a terminal too. --progress always keeps it in all of these cases; where standard error is no
 * terminal, each state is a line of its own then, one a second, for a log. Nothing is drawn in the first moments: a run
 * that is over in the blink of an eye should not flicker. Nor from the background, where writing may stop the process
 * (stty tostop) and would in any case spoil the line of the one in the foreground.
 *
 * The rate is smoothed over some seconds, so that time left does not jump about with every large file. While the
 * listing of the inputs is still going on there is no total, hence neither percentage nor time left.
 */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bm_mem.h"
#include "bm_text.h"
#include "console.h"

#define FIRST_DRAW_MS 300
#define SAMPLE_MS 500 /* between two samples of the rate */
#define LINE_MS 1000  /* between two lines where it is no terminal */
#define MIN_WIDTH 24
#define MIN_BAR 8
#define MAX_BAR 40
#define MAX_BREVITY 3

/* Set by bm_bar_begin; then only touched by bm_bar_draw, whose calls come one at a time. */
static struct {
	bool is_on, is_terminal;
	uint64_t sample_ms, sample_bytes;
	double rate; /* bytes a second, smoothed; 0: not known yet */
	uint64_t line_ms;
} bar;

bool bm_bar_begin(const struct bm_cli_options *o, bool results_on_stdout)
{
	const char *term = getenv("TERM");
	bool can_redraw = isatty(STDERR_FILENO) == 1 && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
	bool is_wanted = can_redraw && !o->quiet && !o->verbose && !(results_on_stdout && isatty(STDOUT_FILENO) == 1);

	memset(&bar, 0, sizeof(bar));
	bar.is_terminal = can_redraw;
	bar.is_on = o->progress == BM_PROGRESS_ALWAYS || (o->progress == BM_PROGRESS_AUTO && is_wanted);
	return bar.is_on;
}

static size_t terminal_width(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return 80;
}

static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);

	return group < 0 || group == getpgrp();
}

static void sample_rate(const struct bm_progress *p)
{
	if (p->elapsed_ms < bar.sample_ms + SAMPLE_MS)
		return;
	if (p->bytes_read >= bar.sample_bytes) {
		double now =
			(double)(p->bytes_read - bar.sample_bytes) * 1000.0 / (double)(p->elapsed_ms - bar.sample_ms);

		bar.rate = bar.rate > 0 ? bar.rate * 0.8 + now * 0.2 : now;
	}
	bar.sample_ms = p->elapsed_ms;
	bar.sample_bytes = p->bytes_read;
}

static void put_time_left(struct bm_buf *out, const struct bm_progress *p)
{
	uint64_t seconds;
	double left;

	if (!p->total_is_final || bar.rate < 1 || p->bytes_total <= p->bytes_read)
		return;
	left = (double)(p->bytes_total - p->bytes_read) / bar.rate;
	if (left > 359999) /* past 99 hours it is not worth a number */
		return;
	seconds = (uint64_t)(left + 0.5);
	if (seconds >= 3600)
		bm_buf_printf(out, ", %llu:%02llu:%02llu left", (unsigned long long)(seconds / 3600),
		              (unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
	else
		bm_buf_printf(out, ", %llu:%02llu left", (unsigned long long)(seconds / 60),
		              (unsigned long long)(seconds % 60));
}

/* Everything but the bar itself; brevity 0 has it all, each step to MAX_BREVITY leaves something out. */
static void put_figures(struct bm_buf *out, const struct bm_progress *p, int brevity)
{
	uint64_t files = p->files_done + p->files_failed + p->files_skipped;
	char a[16], b[16];

	bm_buf_reset(out);
	bm_buf_puts(out, bm_size_format(p->bytes_read, a));
	if (p->total_is_final && brevity < 1)
		bm_buf_printf(out, " of %s", bm_size_format(p->bytes_total, b));
	if (bar.rate > 0)
		bm_buf_printf(out, ", %s/s", bm_size_format((uint64_t)bar.rate, b));
	put_time_left(out, p);
	if (brevity < 3)
		bm_buf_printf(out, ", %llu", (unsigned long long)files);
	if (p->total_is_final && brevity < 2)
		bm_buf_printf(out, "/%llu", (unsigned long long)p->files_total);
	if (brevity < 3)
		bm_buf_puts(out, files == 1 && !p->total_is_final ? " file" : " files");
	if (p->files_failed > 0)
		bm_buf_printf(out, ", %llu failed", (unsigned long long)p->files_failed);
}

/* Done part of the whole in 1/1000; files count where there are no bytes. */
static unsigned permille(const struct bm_progress *p)
{
	double done = (double)p->bytes_read, total = (double)p->bytes_total;

	if (p->bytes_total == 0) {
		done = (double)(p->files_done + p->files_failed + p->files_skipped);
		total = (double)p->files_total;
	}
	if (total <= 0 || done >= total)
		return 1000;
	return (unsigned)(done * 1000.0 / total);
}

/* One state in at most width columns. */
static void put_line(struct bm_buf *out, const struct bm_progress *p, size_t width)
{
	struct bm_buf figures = {0};
	size_t taken = p->total_is_final ? sizeof("100% [] ") - 1 + MIN_BAR : 0;
	size_t cells, full;
	int brevity = 0;

	put_figures(&figures, p, brevity);
	while (taken + figures.len > width && brevity < MAX_BREVITY)
		put_figures(&figures, p, ++brevity);
	if (figures.oom)
		goto out;
	if (p->total_is_final)
		bm_buf_printf(out, "%3u%% ", permille(p) / 10);
	if (p->total_is_final && taken + figures.len <= width) {
		cells = width - (taken - MIN_BAR) - figures.len;
		cells = cells > MAX_BAR ? MAX_BAR : cells;
		full = cells * permille(p) / 1000;
		bm_buf_putc(out, '[');
		for (size_t i = 0; i < cells; i++)
			bm_buf_putc(out, i < full ? '=' : i == full ? '>' : ' ');
		bm_buf_puts(out, "] ");
	}
	bm_buf_put(out, figures.data, figures.len);
	if (!out->oom && out->len > width)
		out->data[width] = '\0';
out:
	bm_buf_fini(&figures);
}

void bm_bar_draw(const struct bm_progress *p)
{
	struct bm_buf text = {0};
	size_t width;

	if (!bar.is_on)
		return;
	sample_rate(p);
	if (p->elapsed_ms < FIRST_DRAW_MS || (bar.is_terminal && !in_foreground()))
		return;
	if (!bar.is_terminal) {
		if (bar.line_ms != 0 && p->elapsed_ms < bar.line_ms + LINE_MS)
			return;
		bar.line_ms = p->elapsed_ms;
		put_figures(&text, p, 0);
		if (!text.oom)
			bm_console_say(BM_CONSOLE_PLAIN, "%s", text.data);
		goto out;
	}
	width = terminal_width();
	if (width < MIN_WIDTH)
		goto out;
	put_line(&text, p, width - 1); /* a full last column makes some terminals wrap */
	if (text.len > 0 && !text.oom)
		bm_console_bar(text.data);
out:
	bm_buf_fini(&text);
}

void bm_bar_end(void)
{
	if (bar.is_on && bar.is_terminal)
		bm_console_bar(NULL);
	bar.is_on = false;
}
