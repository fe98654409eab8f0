/*
 * bm_glob.h - shell patterns over paths. A pattern is matched against a whole relative path of bytes.
 *   *      any run of bytes but '/'        ?      one byte but '/' (one whole UTF-8 character where valid)
 *   **     as a whole component: any number of components, none included ("**" + "/x" matches "x" and "a/b/x")
 *   [a-z]  [!a-z] [^a-z]  one of a set (as '?': one UTF-8 character where valid, else one byte), never '/'
 *          [[:digit:]] and the other POSIX classes, over ASCII; '\' quotes in a set too
 *   \c     the byte c itself
 * A leading dot is matched like any other byte (hidden files are the walk's business). A pattern without '/' matches
 * the last component at any depth ("*.log" means every .log file), as in .gitignore; one that ends in '/' or "/" + "**"
 * matches everything below that directory, not the directory itself. A '/' anywhere, also in front ("/a.log") or at the
 * end ("debug/"), ties the pattern to the root: write "**" + "/debug/" for any depth. Empty and "." components do not
 * count, neither in the pattern nor in front of a path. Linear in pattern times path: no exponential back-tracking, no
 * memory taken to match. Any thread.
 */
#ifndef BM_GLOB_H
#define BM_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include <bytemill/error.h>

struct bm_glob; /* one compiled pattern */

/* BM_ERR_USAGE for a pattern that cannot be one (empty, no component, over 8190 bytes, unclosed '[', a range backwards,
 * an unknown class, trailing '\'); text says where. *out is NULL then. */
enum bm_status bm_glob_compile(const char *pattern, struct bm_glob **out, struct bm_error *err) BM_NODISCARD;
void bm_glob_destroy(struct bm_glob *g); /* NULL is fine */
bool bm_glob_match(const struct bm_glob *g, const char *path, size_t len);
/* Could some path below directory dir (no trailing '/'; "" or "." is the root) match? May answer true in doubt;
 * false prunes the walk. */
bool bm_glob_could_match_below(const struct bm_glob *g, const char *dir, size_t len);
/* Does g match every path below directory dir ("debug/" + "**")? Used to prune by an exclude. False in doubt. */
bool bm_glob_matches_all_below(const struct bm_glob *g, const char *dir, size_t len);
/* true when text holds an unescaped * ? or [ */
bool bm_glob_has_magic(const char *text);
/* Length of the leading part of text made of whole components without magic ("/var/log" of "/var/log/a*" + "/x", "/" of
 * "/a*", 0 of "a*", all but trailing slashes of "/var/log/"). It stops in front of a component with a backslash too:
 * the part is a path as it stands, and the rest is for bm_glob_compile ("/" in front of it unless any depth
 * is meant). */
size_t bm_glob_literal_prefix(const char *text);

#endif
