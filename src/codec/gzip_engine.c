/*
 * gzip_engine.c - which engines this build has, and which one a step gets: see bm_gzip.h.
 *
 * The choice of `auto` rests on measurements (1 MiB chunks, source text and libraries, one thread, MB/s):
 *   level 1   ISA-L 320-720, libdeflate 180-300, pigz 90-170: ISA-L, and no larger than pigz -1 (see gzip_isal.c)
 *   level 2+  libdeflate. ISA-L's best is no smaller than pigz -2 on libraries; libdeflate 2 is 4 to 7 % smaller, and
 *             with 110-210 MB/s a third faster. No level came out larger than the one below.
 *   level 6   rows in layout indexed, where the build has its fast form (see gzip_rows.c)
 *   single    zlib, since only zlib's deflate takes the bytes before a chunk for its dictionary and ends in a flush
 *             (ISA-L could do both, libdeflate neither; one engine for one layout keeps its sizes steady over levels)
 *   level 0   none: stored blocks are put together in gzip_encode.c
 * Without libdeflate, ISA-L is taken up to level 3 and zlib above; without ISA-L, libdeflate from level 1.
 *
 * One function checks and chooses, for the checks of a job file and for the encoder's creation alike, so that a job
 * which was found good cannot fail for its level or engine later on.
 */
#include "gzip_engine.h"

#include "bm_error.h"

static const char *const names[BM_GZIP_ENGINES] = {
	[BM_GZIP_AUTO] = "auto", [BM_GZIP_ZLIB] = "zlib", [BM_GZIP_LIBDEFLATE] = "libdeflate",
	[BM_GZIP_ISAL] = "isal", [BM_GZIP_ROWS] = "rows",
};

static const char *const layout_names[BM_GZIP_LAYOUTS] = {
	[BM_GZIP_INDEXED] = "indexed",
	[BM_GZIP_SINGLE] = "single",
	[BM_GZIP_BGZF] = "bgzf",
};

const struct gzip_engine *gzip_engine_of(enum bm_gzip_engine id)
{
	switch (id) {
	case BM_GZIP_ZLIB:
		return &gzip_engine_zlib;
	case BM_GZIP_ROWS:
		return &gzip_engine_rows;
#ifdef BM_HAVE_LIBDEFLATE
	case BM_GZIP_LIBDEFLATE:
		return &gzip_engine_libdeflate;
#endif
#ifdef BM_HAVE_ISAL
	case BM_GZIP_ISAL:
		return &gzip_engine_isal;
#endif
	default:
		return NULL;
	}
}

const char *bm_gzip_engine_name(enum bm_gzip_engine engine)
{
	return (unsigned)engine < BM_GZIP_ENGINES ? names[engine] : "?";
}

const char *bm_gzip_layout_name(enum bm_gzip_layout layout)
{
	return (unsigned)layout < BM_GZIP_LAYOUTS ? layout_names[layout] : "?";
}

bool bm_gzip_engine_available(enum bm_gzip_engine engine)
{
	return engine == BM_GZIP_AUTO || gzip_engine_of(engine) != NULL;
}

int bm_gzip_level_max(enum bm_gzip_layout layout, enum bm_gzip_engine engine)
{
	const struct gzip_engine *e = gzip_engine_of(engine);

	if (engine == BM_GZIP_AUTO) {
		e = layout == BM_GZIP_SINGLE ? NULL : gzip_engine_of(BM_GZIP_LIBDEFLATE);
		return (e != NULL ? e : &gzip_engine_zlib)->level_max;
	}
	if (e == NULL || (layout == BM_GZIP_SINGLE && e->deflate_piece == NULL))
		return -1;
	return e->level_max;
}

/* The lowest level that may be asked for of this very engine. */
static int level_least(const struct gzip_engine *e)
{
	return e->id == BM_GZIP_ISAL || e->id == BM_GZIP_ROWS ? e->level_min : 0;
}

static enum bm_status bad_level(enum bm_gzip_layout layout, int level, enum bm_gzip_engine engine,
                                const struct gzip_engine *e, struct bm_error *err)
{
	const int max = bm_gzip_level_max(layout, engine);

	if (engine == BM_GZIP_AUTO && layout == BM_GZIP_SINGLE)
		return bm_error_set(err, BM_ERR_USAGE, "level",
		                    "level is %d; with layout \"single\", which only zlib makes, 0 to %d are allowed",
		                    level, max);
	if (engine == BM_GZIP_AUTO && level >= 0 && level <= BM_GZIP_LEVEL_MAX)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, "level",
		                    "level is %d; this bytemill was built without libdeflate, which levels 10 to 12 "
		                    "need: 0 to %d are allowed",
		                    level, max);
	if (engine == BM_GZIP_AUTO)
		return bm_error_set(err, BM_ERR_USAGE, "level", "level is %d; allowed: 0 to %d", level,
		                    BM_GZIP_LEVEL_MAX); /* in no build is it more */
	return bm_error_set(err, BM_ERR_USAGE, "level", "level is %d; with engine \"%s\" %d to %d are allowed", level,
	                    e->name, level_least(e), max);
}

/* What `auto` takes; level is possible. */
static struct bm_gzip_choice choose(enum bm_gzip_layout layout, int level)
{
	const bool libdeflate = gzip_engine_of(BM_GZIP_LIBDEFLATE) != NULL;
	const bool isal = gzip_engine_of(BM_GZIP_ISAL) != NULL;

	if (layout == BM_GZIP_SINGLE)
		return (struct bm_gzip_choice){BM_GZIP_ZLIB, "only zlib makes layout single"};
	if (level == 0)
		return (struct bm_gzip_choice){BM_GZIP_ZLIB, "level 0 stores, no engine is at work"};
	if (isal && level == 1)
		return (struct bm_gzip_choice){BM_GZIP_ISAL, "the fastest at level 1"};
#ifdef BM_HAVE_ROWS_AVX2
	if (layout == BM_GZIP_INDEXED && level == GZIP_ROWS_LEVEL)
		return (struct bm_gzip_choice){BM_GZIP_ROWS, "the fastest at level 6"};
#endif
	if (libdeflate)
		return (struct bm_gzip_choice){BM_GZIP_LIBDEFLATE,
		                               isal ? "the fastest from level 2 on" : "the fastest in this build"};
	if (isal && level <= 3)
		return (struct bm_gzip_choice){BM_GZIP_ISAL, "the fastest up to level 3"};
	return (struct bm_gzip_choice){BM_GZIP_ZLIB, isal ? "this build has no libdeflate, and ISA-L's levels end at 3"
	                                                  : "this build has neither libdeflate nor ISA-L"};
}

enum bm_status bm_gzip_engine_pick(enum bm_gzip_layout layout, int level, enum bm_gzip_engine requested,
                                   struct bm_gzip_choice *out, struct bm_error *err)
{
	const struct gzip_engine *e = gzip_engine_of(requested);

	*out = (struct bm_gzip_choice){BM_GZIP_AUTO, ""};
	if (requested != BM_GZIP_AUTO && e == NULL)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, "engine",
		                    "engine is \"%s\", which this bytemill was built without; \"auto\" takes the best "
		                    "that it has",
		                    bm_gzip_engine_name(requested));
	if (e != NULL && layout == BM_GZIP_SINGLE && e->deflate_piece == NULL)
		return bm_error_set(err, BM_ERR_USAGE, "engine",
		                    "engine is \"%s\"; layout \"single\" can be made by \"zlib\" (or \"auto\") only",
		                    bm_gzip_engine_name(requested));
	if (level < 0 || level > bm_gzip_level_max(layout, requested) || (e != NULL && level < level_least(e)))
		return bad_level(layout, level, requested, e, err);
	*out = e != NULL ? (struct bm_gzip_choice){requested, "as asked for"} : choose(layout, level);
	return BM_OK;
}
