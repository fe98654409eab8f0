/*
 * template_injective.c - do different paths always give different results?
 *
 * A path is k directories c1/../ck and a name; {path} is "{dir}/" and {name}. Cut the template at its literal slashes
 * into segments. The number of slashes in a result then tells k (each "{dir}/" brings k slashes, a {dir} without '/' k
 * - 1, and whether k is 0 or 1 is told by the segment that holds it, a component being never empty); with k known every
 * segment can be found in the result; so it is enough that one segment gives the directories, and one the name, each
 * with nothing else in it that varies. Where k is 0 the "{dir}/" are gone and segments run together, so that case is
 * looked at by itself. A stem and an extension in one segment can be told apart where the fixed text between them holds
 * a dot, as the extension holds none. Last, two strings may differ and yet name one file ("a//b", "a/./b"): so no
 * segment that varies may come out empty or as dots alone, and no ".." may follow one. Anything not covered is answered
 * false, which costs the planner a real comparison and nobody a file.
 */
#include <string.h>

#include "template_private.h"

/* What stands in the segment being read: how many of each kind, and what of fixed text. */
struct segment {
	unsigned dirs, names, stems, exts;
	bool letter;         /* fixed text other than dots */
	bool date;           /* a date that may hold a '/' */
	bool dot_since_half; /* literal text with a dot after the first of stem and extension */
};

struct injectivity {
	bool root_level; /* the case of paths without a directory: {dir} is empty and "{dir}/" is not there */
	struct segment seg;
	bool varied;                /* a segment before this one differs from file to file */
	bool gives_dir;             /* some segment gives the directories */
	bool gives_name;            /* some segment gives the name */
	bool gives_stem, gives_ext; /* segments of their own give these */
	bool unsafe;                /* a segment may come out empty or as dots */
};

static void end_segment(struct injectivity *in)
{
	struct segment *s = &in->seg;
	unsigned dirs = in->root_level ? 0 : s->dirs; /* those that are not empty */
	unsigned files = s->names + s->stems + s->exts;

	if (dirs == 1 && files == 0)
		in->gives_dir = true;
	if (dirs == 0 && files == 1) {
		in->gives_name = in->gives_name || s->names == 1;
		in->gives_stem = in->gives_stem || s->stems == 1;
		in->gives_ext = in->gives_ext || s->exts == 1;
	}
	if (dirs == 0 && s->names == 0 && s->stems == 1 && s->exts == 1 && s->dot_since_half)
		in->gives_name = true;

	bool may_be_empty_part = s->exts > 0 || s->dirs > dirs;
	if (dirs + s->names + s->stems == 0 && !s->letter && (may_be_empty_part || in->varied))
		in->unsafe = true; /* "{ext}/", or a fixed ".." that takes back what varied before it */
	if (may_be_empty_part && s->date)
		in->unsafe = true;
	in->varied = in->varied || s->dirs + files > 0;
	*s = (struct segment){0};
}

static void add_to_segment(struct segment *s, unsigned kind)
{
	switch (kind) {
	case BM_PH_DIR:
		s->dirs++;
		break;
	case BM_PH_NAME:
		s->names++;
		break;
	case BM_PH_STEM:
	case BM_PH_EXT:
		if (s->stems + s->exts == 0)
			s->dot_since_half = false;
		if (kind == BM_PH_STEM)
			s->stems++;
		else
			s->exts++;
		break;
	case BM_PH_RUN:
	case BM_PH_ALGORITHM:
		s->letter = true;
		break;
	default: /* a job's name might be "..": proves nothing */
		break;
	}
}

/* true where a date is sure to hold a digit and no '/'. */
static bool is_plain_date(const char *format)
{
	bool digits = false;

	for (const char *p = format; *p != '\0'; p++) {
		if (*p == '/')
			return false;
		if (*p != '%')
			continue;
		p += 1 + strspn(p + 1, "_-0^#");
		if (strchr("CdeFgGHIjklmMRsSTuUVwWyY", *p) == NULL) /* others may be words, or what a locale likes */
			return false;
		digits = true;
	}
	return digits;
}

static bool injective_case(const struct bm_template *t, bool root_level)
{
	struct injectivity in = {.root_level = root_level};

	for (size_t i = 0; i < t->part_count; i++) {
		const struct part *part = &t->parts[i];

		switch (part->kind) {
		case LITERAL:
			for (size_t j = 0; j < part->len; j++) {
				if (part->text[j] == '/')
					end_segment(&in);
				else if (part->text[j] != '.')
					in.seg.letter = true;
				/* Between the two halves only; the dot of "{stem}{ext}.gz" is not. */
				else if (in.seg.stems + in.seg.exts == 1)
					in.seg.dot_since_half = true;
			}
			break;
		case BM_PH_PATH:
		case DIR_WITH_SLASH:
			if (!root_level) {
				add_to_segment(&in.seg, BM_PH_DIR);
				end_segment(&in);
			}
			if (part->kind == BM_PH_PATH)
				add_to_segment(&in.seg, BM_PH_NAME);
			break;
		case BM_PH_DATE:
			if (is_plain_date(part->text)) {
				in.seg.letter = true;
			} else {
				in.seg.date = true;
				/* "/.." would take back what varied before it. */
				if (in.varied || in.seg.dirs + in.seg.names + in.seg.stems + in.seg.exts > 0)
					in.unsafe = true;
			}
			break;
		default:
			add_to_segment(&in.seg, part->kind);
		}
	}
	end_segment(&in);
	return (root_level || in.gives_dir) && (in.gives_name || (in.gives_stem && in.gives_ext)) && !in.unsafe;
}

bool bm_template_is_injective(const struct bm_template *t)
{
	return injective_case(t, false) && injective_case(t, true);
}
