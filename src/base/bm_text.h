/* bm_text.h - numbers, sizes, durations and names as people write them. Any thread. */
#ifndef BM_TEXT_H
#define BM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_mem.h"

/* "64KiB" "1MiB" "2GB" "10 GiB" "123" "123B" -> bytes. Units B, kB/KB (1000), KiB (1024), M, G, T, P alike ("64K",
 * "1M" and "1G" are binary, as in coreutils, and "64Ki" is too), case-insensitive; a fraction ("1.5MiB") is allowed
 * where it gives whole bytes. Blanks only between number and unit. Negative, empty, overflow, junk: BM_ERR_USAGE with a
 * text that shows what is allowed; *bytes is then left alone. err->where is not set. */
enum bm_status bm_size_parse(const char *text, uint64_t *bytes, struct bm_error *err) BM_NODISCARD;
/* "250ms" "90s" "15m" "2h" "1d" "2w" "1h30m" "1h 30m" "1.5h"; a bare number is seconds. Units in lower case, from large
 * to small, each once. Same errors. Result in milliseconds. */
enum bm_status bm_duration_parse(const char *text, uint64_t *ms, struct bm_error *err) BM_NODISCARD;
/* Does the duration, which was parsed, say its unit? Else it is seconds, which its writer may not have meant. */
bool bm_duration_has_unit(const char *text);
/* "1.34 GiB", "1.3 GiB", "512 B", "1023 KiB": at most 16 bytes with the NUL, rounded to three significant digits (1000
 * to 1023 have four), zeros at the end of a fraction left off. Returns buf. */
const char *bm_size_format(uint64_t bytes, char buf[static 16]);
/* "0.63 s", "12.3 s" below a minute, "0:01:05", "1:02:03" (hours, minutes, seconds) from there: at most 24 bytes. Cut,
 * not rounded. Returns buf. */
const char *bm_duration_format(uint64_t ms, char buf[static 24]);

/* Appends name made safe for a terminal or a log: printable UTF-8 as it is; control characters, ESC, DEL, C1 codes,
 * bidirectional controls (U+202A-U+202E, U+2066-U+2069, U+200E, U+200F, U+061C), line separators (U+2028, U+2029), the
 * byte order mark, and bytes that are not valid UTF-8 as \n \r \t \\ \xHH (lower case, one for each byte; a backslash
 * itself becomes \\). */
void bm_escape_display(struct bm_buf *out, const void *name, size_t len);
/* The same into a fixed buffer, cut in the middle with "..." where too long, never within a character or an escape;
 * returns buf. size >= 16. Takes no memory. */
const char *bm_escape_display_buf(char *buf, size_t size, const void *name, size_t len);
/* The same for a message that holds escaped names already: a backslash is left as it is. */
const char *bm_escape_message_buf(char *buf, size_t size, const void *text, size_t len);
/* The character at the start of len bytes: its length (1 to 4) and *cp, or 0 where there is no valid one. */
size_t bm_utf8_decode(const void *data, size_t len, uint32_t *cp);
/* true when len bytes are valid UTF-8 (RFC 3629: no surrogates, no overlongs). */
bool bm_utf8_valid(const void *data, size_t len);
/* Appends len bytes of valid UTF-8 as a JSON string with quotes (RFC 8259); where the bytes are not valid UTF-8 each
 * bad byte becomes U+FFFD. DEL, C1 codes and what bm_escape_display escapes besides are written as \uXXXX. */
void bm_json_put_string(struct bm_buf *out, const void *data, size_t len);
/* Appends "key":"name" and, only where name is not valid UTF-8, ,"key_base64":"..." with the exact bytes. key is
 * plain ASCII. */
void bm_json_put_name(struct bm_buf *out, const char *key, const void *name, size_t len);
/* Appends text for HTML, between tags or in a quoted attribute: & < > " and ' as entities, all else as it is. */
void bm_html_put_text(struct bm_buf *out, const char *text);
/* Appends a name as bm_escape_display shows it, then made safe for HTML, in <code dir="auto">. */
void bm_html_put_name(struct bm_buf *out, const void *name, size_t len);
/* Appends a message as bm_escape_message_buf shows it, then made safe for HTML; what is longer than about a kilobyte is
 * cut in the middle. */
void bm_html_put_message(struct bm_buf *out, const char *text);
void bm_base64_put(struct bm_buf *out, const void *data, size_t len); /* RFC 4648, with padding */
void bm_hex_put(struct bm_buf *out, const void *data, size_t len);    /* lower case */

/* The entry of the NULL-terminated list nearest to word, or NULL when none is near enough to be a misspelling
 * (optimal string alignment distance <= 1 + strlen(word)/4, ASCII case ignored; of equals the first). Words and entries
 * over 128 bytes and the empty word have none. */
const char *bm_suggest(const char *word, const char *const *list);

#endif
