/*
 * glob.c - shell patterns, compiled to a small automaton and run without back-tracking.
 *
 * Compiling. The pattern is first cut into components (at '/' outside of a set), "." and empty ones dropped. Then the
 * list is brought into one form: "x/" becomes "x/" + "**", neighbouring "**" become one, "**" + "/" + "*" at the end is
 * "**", and so is "*" alone. After that only a last "**" means "all that is below", which is what the pruning helpers
 * look for. The components become a row of ops, one for each byte, wildcard or set:
 *
 *   OP_ENTER, OP_LOOP   a "**" + "/" in front or in the middle: ENTER is passed at no cost, either into LOOP, which
 *                       swallows bytes and lets go after a '/', or past it (no component at all)
 *   OP_BELOW            a "**" at the end: at least one more byte, whatever it is
 *   OP_END              the pattern is used up
 *
 * Matching. All positions in the pattern that can be reached at one byte of the path are held as a set of bits, and the
 * sets move along the path together: at most (ops) steps a byte, whatever the pattern is. A '?' or a set takes one
 * whole UTF-8 character where there is one, so a position may skip ahead up to 4 bytes: hence a ring of 5 bit sets.
 * They live on the stack, which is why a pattern has a greatest length. No memory is taken, nothing is written to the
 * compiled pattern: any number of threads may match with it.
 *
 * A pattern without any '/' is run over the last component alone.
 *
 * The pruning helpers run the same automaton over "dir/". Where any position is left but the end, something below may
 * match. Where OP_BELOW was reached, everything below does.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_glob.h"
#include "bm_mem.h"
#include "bm_text.h"

#define PATTERN_MAX 8190 /* bytes; a pattern has at most one op more than bytes, and the end */
#define WORD_COUNT ((PATTERN_MAX + 2 + 63) / 64)
#define RING 5

/* A byte that belongs to no valid character, as an element of a set: out of the way of all code points. */
#define LONE_BYTE 0x110000u

enum op_kind { OP_BYTE, OP_ANY, OP_SET, OP_STAR, OP_ENTER, OP_LOOP, OP_BELOW, OP_END };

struct op {
	uint8_t kind;
	uint8_t byte; /* OP_BYTE */
	uint16_t set; /* OP_SET: index in sets */
};

struct range {
	uint32_t low, high; /* inclusive */
};

struct set {
	size_t first, count; /* in ranges */
	bool negated;
};

struct bm_glob {
	struct op *ops; /* the last one is OP_END */
	size_t op_count;
	struct set *sets;
	size_t set_count;
	struct range *ranges;
	size_t range_count;
	bool last_component; /* match that alone, at any depth */
};

struct component {
	size_t start, end;
	bool stars; /* it is "**" */
};

struct compiler {
	const char *pattern;
	size_t len;
	struct bm_glob *g;
	struct component *list;
	size_t count;
	bool has_slash, ends_in_slash;
	struct bm_error *err;
};

static enum bm_status wrong(struct compiler *c, size_t at, const char *what)
{
	char shown[128];

	bm_escape_display_buf(shown, sizeof(shown), c->pattern, c->len);
	return bm_error_set(c->err, BM_ERR_USAGE, NULL, "pattern \"%s\": %s (byte %zu)", shown, what, at + 1);
}

/* The element at at: a character, a lone byte, or one behind a backslash. Returns its end. */
static size_t set_element(const struct compiler *c, size_t at, uint32_t *element)
{
	if (c->pattern[at] == '\\' && at + 1 < c->len)
		at++;
	size_t n = bm_utf8_decode(c->pattern + at, c->len - at, element);
	if (n == 0) {
		*element = LONE_BYTE + (unsigned char)c->pattern[at];
		n = 1;
	}
	return at + n;
}

static void add_range(struct bm_glob *g, uint32_t low, uint32_t high)
{
	g->ranges[g->range_count++] = (struct range){low, high};
}

/* The named classes of POSIX, over ASCII: what they hold must not depend on the locale. false: no such class. */
static bool add_class(struct bm_glob *g, const char *name, size_t len)
{
	static const struct {
		const char *name;
		struct range ranges[4]; /* a high of 0 ends the list */
	} classes[] = {
		{"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
		{"alpha", {{'A', 'Z'}, {'a', 'z'}}},
		{"blank", {{' ', ' '}, {'\t', '\t'}}},
		{"cntrl", {{0, 31}, {127, 127}}},
		{"digit", {{'0', '9'}}},
		{"graph", {{33, 126}}},
		{"lower", {{'a', 'z'}}},
		{"print", {{32, 126}}},
		{"punct", {{33, 47}, {58, 64}, {91, 96}, {123, 126}}},
		{"space", {{' ', ' '}, {'\t', '\r'}}},
		{"upper", {{'A', 'Z'}}},
		{"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len) != 0)
			continue;
		for (size_t j = 0; j < 4 && classes[i].ranges[j].high != 0; j++)
			add_range(g, classes[i].ranges[j].low, classes[i].ranges[j].high);
		return true;
	}
	return false;
}

/* Reads the set whose '[' is at at; *end is the byte after its ']'. Adds its ranges only where add. */
static enum bm_status read_set(struct compiler *c, size_t at, bool add, size_t *end)
{
	const char *p = c->pattern;
	size_t open = at++;
	struct set set = {.first = c->g->range_count};

	if (at < c->len && (p[at] == '!' || p[at] == '^')) {
		set.negated = true;
		at++;
	}
	for (bool first = true; at < c->len && (first || p[at] != ']'); first = false) {
		if (p[at] == '[' && at + 1 < c->len && p[at + 1] == ':') {
			size_t name = at + 2, close = name;
			while (close < c->len && p[close] >= 'a' && p[close] <= 'z')
				close++;
			if (close + 1 < c->len && p[close] == ':' && p[close + 1] == ']') {
				size_t before = c->g->range_count;
				if (!add_class(c->g, p + name, close - name))
					return wrong(c, at,
					             "unknown class; there are [:alnum:] [:alpha:] [:blank:] [:cntrl:] "
					             "[:digit:] [:graph:] [:lower:] [:print:] [:punct:] [:space:] "
					             "[:upper:] [:xdigit:]");
				if (!add)
					c->g->range_count = before;
				at = close + 2;
				continue;
			}
		}
		uint32_t low, high;
		size_t start = at;
		at = set_element(c, at, &low);
		high = low;
		if (at + 1 < c->len && p[at] == '-' && p[at + 1] != ']') {
			at = set_element(c, at + 1, &high);
			if (high < low)
				return wrong(c, start, "the range in [ ] runs backwards; swap its ends");
		}
		if (add)
			add_range(c->g, low, high);
	}
	if (at >= c->len)
		return wrong(c, open, "'[' has no ']'; write \\[ for the character itself");
	*end = at + 1;
	if (add) {
		set.count = c->g->range_count - set.first;
		c->g->sets[c->g->set_count++] = set;
	}
	return BM_OK;
}

static bool is_slash(const struct compiler *c, size_t at, size_t *len)
{
	if (c->pattern[at] == '/')
		return *len = 1, true;
	if (c->pattern[at] == '\\' && at + 1 < c->len && c->pattern[at + 1] == '/')
		return *len = 2, true;
	return false;
}

static enum bm_status cut_components(struct compiler *c)
{
	const char *p = c->pattern;
	size_t at = 0, n;

	while (at < c->len) {
		if (is_slash(c, at, &n)) {
			c->has_slash = c->ends_in_slash = true;
			at += n;
			continue;
		}
		c->ends_in_slash = false;
		struct component comp = {.start = at};
		while (at < c->len && !is_slash(c, at, &n)) {
			if (p[at] == '[') {
				enum bm_status status = read_set(c, at, false, &at);
				if (status != BM_OK)
					return status;
			} else if (p[at] == '\\') {
				if (at + 1 == c->len)
					return wrong(c, at,
					             "nothing follows the last '\\'; write \\\\ for the character "
					             "itself");
				at += 2;
			} else {
				at++;
			}
		}
		comp.end = at;
		n = comp.end - comp.start;
		if (n == 1 && p[comp.start] == '.')
			continue;
		comp.stars = n == 2 && memcmp(p + comp.start, "**", 2) == 0;
		if (comp.stars && c->count > 0 && c->list[c->count - 1].stars)
			continue;
		c->list[c->count++] = comp;
	}
	return BM_OK;
}

static bool only_stars(const struct compiler *c, const struct component *comp)
{
	for (size_t i = comp->start; i < comp->end; i++)
		if (c->pattern[i] != '*')
			return false;
	return true;
}

static void add_op(struct bm_glob *g, enum op_kind kind, char byte, size_t set)
{
	g->ops[g->op_count++] = (struct op){(uint8_t)kind, (uint8_t)byte, (uint16_t)set};
}

static enum bm_status add_component(struct compiler *c, const struct component *comp)
{
	struct bm_glob *g = c->g;

	for (size_t at = comp->start; at < comp->end;) {
		enum bm_status status;
		switch (c->pattern[at]) {
		case '*':
			if (g->op_count == 0 || g->ops[g->op_count - 1].kind != OP_STAR)
				add_op(g, OP_STAR, 0, 0);
			at++;
			break;
		case '?':
			add_op(g, OP_ANY, 0, 0);
			at++;
			break;
		case '[':
			status = read_set(c, at, true, &at);
			if (status != BM_OK)
				return status;
			add_op(g, OP_SET, 0, g->set_count - 1);
			break;
		case '\\':
			at++;
			/* fall through */
		default:
			add_op(g, OP_BYTE, c->pattern[at], 0);
			at++;
		}
	}
	return BM_OK;
}

static enum bm_status compile(struct compiler *c)
{
	struct component *list = c->list;
	enum bm_status status = cut_components(c);

	if (status != BM_OK)
		return status;
	if (c->count == 0)
		return wrong(c, 0, "names nothing below the root; write ** for everything");
	if (c->ends_in_slash && !list[c->count - 1].stars)
		list[c->count++] = (struct component){.stars = true};
	if (c->count > 1 && list[c->count - 2].stars && !list[c->count - 1].stars && only_stars(c, &list[c->count - 1]))
		c->count--;
	if (c->count == 1 && !c->has_slash) {
		if (only_stars(c, &list[0]))
			list[0].stars = true; /* every last component there is: the same as "**" */
		else
			c->g->last_component = true;
	}
	for (size_t i = 0; i < c->count; i++) {
		bool last = i + 1 == c->count;
		if (list[i].stars && last) {
			add_op(c->g, OP_BELOW, 0, 0);
		} else if (list[i].stars) {
			add_op(c->g, OP_ENTER, 0, 0);
			add_op(c->g, OP_LOOP, 0, 0);
		} else {
			status = add_component(c, &list[i]);
			if (status != BM_OK)
				return status;
			if (!last)
				add_op(c->g, OP_BYTE, '/', 0);
		}
	}
	add_op(c->g, OP_END, 0, 0);
	return BM_OK;
}

enum bm_status bm_glob_compile(const char *pattern, struct bm_glob **out, struct bm_error *err)
{
	struct compiler c = {.pattern = pattern, .len = strlen(pattern), .err = err};
	enum bm_status status;

	*out = NULL;
	if (c.len == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a pattern is empty; write ** for everything");
	if (c.len > PATTERN_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a pattern of %zu bytes is too long; the most is %d",
		                    c.len, PATTERN_MAX);
	c.g = bm_calloc_array(1, sizeof(*c.g));
	if (c.g == NULL)
		return bm_error_set_nomem(err);
	/* Each byte of the pattern gives at most one op, component, set and range (a class: 4 ranges, but 9 bytes). */
	c.list = bm_calloc_array(c.len + 1, sizeof(*c.list));
	c.g->ops = bm_calloc_array(c.len + 2, sizeof(*c.g->ops));
	c.g->sets = bm_calloc_array(c.len, sizeof(*c.g->sets));
	c.g->ranges = bm_calloc_array(c.len, sizeof(*c.g->ranges));
	if (c.list == NULL || c.g->ops == NULL || c.g->sets == NULL || c.g->ranges == NULL)
		status = bm_error_set_nomem(err);
	else
		status = compile(&c);
	free(c.list);
	if (status == BM_OK)
		*out = c.g;
	else
		bm_glob_destroy(c.g);
	return status;
}

void bm_glob_destroy(struct bm_glob *g)
{
	if (g == NULL)
		return;
	free(g->ops);
	free(g->sets);
	free(g->ranges);
	free(g);
}

struct positions {
	uint64_t words[RING]
		      [WORD_COUNT]; /* the set for byte i is words[i % RING]; set for a byte not yet seen: clear */
	size_t word_count;
	size_t furthest; /* the greatest byte that any position waits for */
};

/* Adds op at for byte number when, and whatever can be reached from it at no cost. */
static void reach(const struct bm_glob *g, struct positions *pos, size_t when, size_t at)
{
	uint64_t *words = pos->words[when % RING];

	if (when > pos->furthest)
		pos->furthest = when;
	for (;;) {
		uint64_t bit = (uint64_t)1 << (at % 64);
		if (words[at / 64] & bit)
			return; /* what follows at no cost is there too */
		words[at / 64] |= bit;
		if (g->ops[at].kind == OP_STAR) {
			at++;
		} else if (g->ops[at].kind == OP_ENTER) {
			words[(at + 1) / 64] |= (uint64_t)1
			                        << ((at + 1) % 64); /* LOOP itself leads nowhere at no cost */
			at += 2;
		} else {
			return;
		}
	}
}

static bool in_set(const struct bm_glob *g, const struct set *set, uint32_t element)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct range *r = &g->ranges[set->first + i];
		if (element >= r->low && element <= r->high)
			return !set->negated;
	}
	return set->negated;
}

struct outcome {
	bool matched; /* the end was reached with the last byte */
	bool below;   /* OP_BELOW was reached: whatever follows, if anything does, matches */
	bool open;    /* something could follow that makes it match */
};

/* Runs over path and, where dir, a '/' after it. An outcome of below is told as soon as it is known. */
static struct outcome run(const struct bm_glob *g, const unsigned char *path, size_t len, bool dir)
{
	struct positions pos;
	struct outcome none = {false, false, false};
	size_t total = len + (dir && len > 0);

	pos.word_count = (g->op_count + 63) / 64;
	pos.furthest = 0;
	for (size_t i = 0; i < RING; i++)
		memset(pos.words[i], 0, pos.word_count * sizeof(uint64_t));
	reach(g, &pos, 0, 0);

	for (size_t i = 0; i < total; i++) {
		unsigned char byte = i < len ? path[i] : '/';
		uint64_t *words = pos.words[i % RING];
		uint32_t element = 0;
		size_t n = 0; /* bytes of the character here; 0: not looked at yet */

		if (pos.furthest < i)
			return none;
		for (size_t w = 0; w < pos.word_count; w++) {
			uint64_t bits = words[w];
			words[w] = 0;
			for (; bits != 0; bits &= bits - 1) {
				size_t at = w * 64 + (size_t)__builtin_ctzll(bits);
				const struct op *op = &g->ops[at];
				if (n == 0 && (op->kind == OP_ANY || op->kind == OP_SET)) {
					n = bm_utf8_decode(path + i, i < len ? len - i : 0, &element);
					if (n == 0) {
						element = LONE_BYTE + byte;
						n = 1;
					}
				}
				switch ((enum op_kind)op->kind) {
				case OP_BYTE:
					if (byte == op->byte)
						reach(g, &pos, i + 1, at + 1);
					break;
				case OP_ANY:
					if (byte != '/')
						reach(g, &pos, i + n, at + 1);
					break;
				case OP_SET:
					if (byte != '/' && in_set(g, &g->sets[op->set], element))
						reach(g, &pos, i + n, at + 1);
					break;
				case OP_STAR:
					if (byte != '/')
						reach(g, &pos, i + 1, at);
					break;
				case OP_LOOP:
					reach(g, &pos, i + 1, at);
					if (byte == '/')
						reach(g, &pos, i + 1, at + 1);
					break;
				case OP_BELOW:
					return (struct outcome){true, true, true};
				case OP_ENTER: /* only a way to others */
				case OP_END:   /* over before the path is */
					break;
				}
			}
		}
	}

	struct outcome result = none;
	const uint64_t *words = pos.words[total % RING];
	size_t end = g->op_count - 1;
	for (size_t w = 0; w < pos.word_count; w++) {
		uint64_t bits = words[w];
		if (w == end / 64 && (bits >> (end % 64) & 1) != 0) {
			result.matched = true;
			bits &= ~((uint64_t)1 << (end % 64));
		}
		result.open = result.open || bits != 0;
	}
	/* OP_BELOW, where there is one, is the op before the end. */
	if (end > 0 && g->ops[end - 1].kind == OP_BELOW && (words[(end - 1) / 64] >> ((end - 1) % 64) & 1) != 0)
		result.below = true;
	return result;
}

/* Takes "/" and "./" off the front: a pattern has lost them too. "." is the root itself. */
static const char *plain(const char *path, size_t *len)
{
	size_t n = *len;

	for (;;) {
		if (n > 0 && path[0] == '/')
			path++, n--;
		else if (n > 1 && path[0] == '.' && path[1] == '/')
			path += 2, n -= 2;
		else
			break;
	}
	if (n == 1 && path[0] == '.')
		n = 0;
	*len = n;
	return path;
}

bool bm_glob_match(const struct bm_glob *g, const char *path, size_t len)
{
	path = plain(path, &len);
	if (g->last_component) {
		const char *slash = len > 0 ? memrchr(path, '/', len) : NULL;
		if (slash != NULL) {
			len -= (size_t)(slash + 1 - path);
			path = slash + 1;
		}
	}
	return len > 0 && run(g, (const unsigned char *)path, len, false).matched;
}

bool bm_glob_could_match_below(const struct bm_glob *g, const char *dir, size_t len)
{
	if (g->last_component)
		return true;
	dir = plain(dir, &len);
	return run(g, (const unsigned char *)dir, len, true).open;
}

bool bm_glob_matches_all_below(const struct bm_glob *g, const char *dir, size_t len)
{
	if (g->last_component)
		return false;
	dir = plain(dir, &len);
	return run(g, (const unsigned char *)dir, len, true).below;
}

bool bm_glob_has_magic(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '*' || *text == '?' || *text == '[')
			return true;
		if (*text == '\\' && text[1] != '\0')
			text++;
	}
	return false;
}

size_t bm_glob_literal_prefix(const char *text)
{
	size_t end = text[0] == '/' ? 1 : 0; /* of the root alone the '/' stays */
	const char *p = text;

	for (;;) {
		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		/* A backslash quotes for the pattern only; as part of a path it would name another file. */
		if (n == 0 || strcspn(p, "*?[\\") < n)
			return end;
		p += n;
		end = (size_t)(p - text);
	}
}
