/*
 * json.c - reading JSON files, parsing them to values of jansson's, finding places again.
 *
 * json_build.c builds the value; json_scan.c reads the same text again for what is to be told. Nothing is accepted that
 * either refuses.
 *
 * Places are not kept for every value. They are wanted for the few values that are wrong, so a place is looked up by
 * walking the text along the pointer; skipping a value is counting its brackets, without recursion.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_json.h"
#include "bm_text.h"
#include "json_scan.h"

/* As read(2), but waits where somebody made the descriptor non-blocking, and does not return for a signal. */
static ssize_t read_some(int fd, void *buf, size_t size)
{
	for (;;) {
		ssize_t got = read(fd, buf, size);
		if (got >= 0 || (errno != EINTR && errno != EAGAIN))
			return got;
		if (errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLIN};
			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -1;
		}
	}
}

enum bm_status bm_json_read_file(const char *path, char **text, size_t *len, struct bm_error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct bm_buf data = {0};
	enum bm_status status;
	char where[1024];
	struct stat st;
	int fd = -1;

	*text = NULL;
	*len = 0;
	if (is_stdin)
		memcpy(where, "standard input", sizeof("standard input"));
	else
		bm_escape_display_buf(where, sizeof(where), path, strlen(path));

	do
		fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 || fstat(fd, &st) != 0) {
		status = bm_error_set_errno(err, errno, where, "cannot open");
		goto out;
	}
	/* A size is only a hint where files are special, so it can refuse but not admit. */
	if (S_ISREG(st.st_mode) && st.st_size > (off_t)BM_JSON_MAX_BYTES)
		goto too_large;
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		bm_buf_reserve(&data, (size_t)st.st_size + 1);
	for (;;) {
		/* One byte over the limit is asked for, so as to see that there is more. */
		size_t want = BM_JSON_MAX_BYTES + 1 - data.len;
		size_t room = data.cap > data.len + 1 ? data.cap - data.len - 1 : 16384;
		if (want > room)
			want = room;
		if (!bm_buf_reserve(&data, want)) {
			status = bm_error_set_nomem(err);
			goto out;
		}
		ssize_t got = read_some(fd, data.data + data.len, want);
		if (got < 0) {
			status = bm_error_set_errno(err, errno, where, "cannot read");
			goto out;
		}
		if (got == 0)
			break;
		data.len += (size_t)got;
		if (data.len > BM_JSON_MAX_BYTES)
			goto too_large;
	}
	data.data[data.len] = '\0';
	*len = data.len;
	*text = bm_buf_take(&data);
	status = BM_OK;
	goto out;

too_large:
	status = bm_error_set(err, BM_ERR_LIMIT, where,
	                      "larger than %zu MiB, the most that a JSON file may have; is it the "
	                      "right file?",
	                      BM_JSON_MAX_BYTES >> 20);
out:
	if (fd >= 0 && !is_stdin)
		close(fd);
	bm_buf_fini(&data);
	return status;
}

static void fault_nomem(bm_json_fault_fn fault, void *ctx)
{
	fault(ctx, (struct bm_json_place){0, 0}, "", "out of memory while parsing");
}

json_t *bm_json_parse(const char *text, size_t len, bm_json_fault_fn fault, void *ctx)
{
	json_t *value;
	bool nomem;
	enum bm_json_scan_result result;

	if (len > BM_JSON_MAX_BYTES) {
		char message[128];
		snprintf(message, sizeof(message), "a JSON text of %zu bytes is too long; the most is %zu", len,
		         BM_JSON_MAX_BYTES);
		fault(ctx, (struct bm_json_place){0, 0}, "", message);
		return NULL;
	}
	value = bm_json_build(text != NULL ? text : "", len, &nomem);
	result = bm_json_scan(text, len, value == NULL, fault, ctx);
	if (result == BM_JSON_SCAN_CLEAN && value != NULL)
		return value;
	if (result == BM_JSON_SCAN_NOMEM || nomem)
		fault_nomem(fault, ctx);
	else if (result == BM_JSON_SCAN_CLEAN)
		fault(ctx, (struct bm_json_place){0, 0}, "", "this is not JSON");
	json_decref(value);
	return NULL;
}

static size_t skip_space(const char *text, size_t len, size_t at)
{
	while (at < len && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'))
		at++;
	return at;
}

static size_t skip_string(const char *text, size_t len, size_t at)
{
	for (at++; at < len && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at < len ? at + 1 : len;
}

/* The end of the value at at. */
static size_t skip_value(const char *text, size_t len, size_t at)
{
	size_t depth = 0;

	while (at < len) {
		char c = text[at];
		if (c == '"') {
			at = skip_string(text, len, at);
			if (depth == 0)
				return at;
			continue;
		}
		if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (depth == 0) /* behind a number or a word */
				return at;
			if (--depth == 0)
				return at + 1;
		} else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
			return at;
		}
		at++;
	}
	return len;
}

/* Reads one token of a pointer, undoing ~0 and ~1; false where it is malformed or there is no memory. */
static bool next_token(const char **pointer, struct bm_buf *token)
{
	const char *p = *pointer;

	bm_buf_reset(token);
	bm_buf_put(token, NULL, 0);
	if (*p++ != '/')
		return false;
	for (; *p != '\0' && *p != '/'; p++) {
		if (*p == '~') {
			p++;
			if (*p != '0' && *p != '1')
				return false;
			bm_buf_putc(token, *p == '0' ? '~' : '/');
		} else {
			bm_buf_putc(token, *p);
		}
	}
	*pointer = p;
	return !token->oom;
}

static bool array_index(const struct bm_buf *token, size_t *index)
{
	size_t value = 0;

	if (token->len == 0 || (token->len > 1 && token->data[0] == '0'))
		return false;
	for (size_t i = 0; i < token->len; i++) {
		char c = token->data[i];
		if (c < '0' || c > '9' || !bm_mul_size(value, 10, &value) ||
		    !bm_add_size(value, (size_t)(c - '0'), &value))
			return false;
	}
	*index = value;
	return true;
}

/* From the container at *at to its child called token: *at is the child, *key_at its key or the child again. */
static bool enter(const char *text, size_t len, const struct bm_buf *token, size_t *at, size_t *key_at)
{
	bool object = text[*at] == '{', found = false;
	size_t pos = skip_space(text, len, *at + 1), wanted = 0, what_len;
	struct bm_buf key = {0};

	if (!object && (text[*at] != '[' || !array_index(token, &wanted)))
		return false;
	for (size_t index = 0; pos < len && text[pos] != '}' && text[pos] != ']'; index++) {
		*key_at = pos;
		if (object) {
			bm_buf_reset(&key);
			if (text[pos] != '"' || bm_json_string_decode(text, len, pos, &key, &pos, &what_len) != NULL ||
			    key.oom)
				break;
			found = key.len == token->len &&
			        memcmp(key.data != NULL ? key.data : "", token->data, key.len) == 0;
			pos = skip_space(text, len, pos);
			if (pos >= len || text[pos] != ':') {
				found = false;
				break;
			}
			pos = skip_space(text, len, pos + 1);
		} else {
			found = index == wanted;
		}
		if (found) {
			*at = pos;
			break;
		}
		pos = skip_space(text, len, skip_value(text, len, pos));
		if (pos >= len || text[pos] != ',')
			break;
		pos = skip_space(text, len, pos + 1);
	}
	bm_buf_fini(&key);
	return found && *at < len;
}

struct bm_json_place bm_json_locate(const char *text, size_t len, const char *pointer, bool key)
{
	struct bm_json_place result = {0, 0};
	struct bm_buf token = {0};
	size_t at = skip_space(text, len, 0), key_at = at;
	bool found = at < len;

	while (found && *pointer != '\0')
		found = next_token(&pointer, &token) && enter(text, len, &token, &at, &key_at);
	bm_buf_fini(&token);
	if (!found)
		return result;

	size_t place = key ? key_at : at, line_start = 0;
	result.line = 1;
	for (const char *lf; (lf = memchr(text + line_start, '\n', place - line_start)) != NULL; result.line++)
		line_start = (size_t)(lf - text) + 1;
	result.column = (unsigned)(place - line_start + 1);
	return result;
}

void bm_json_pointer_put(struct bm_buf *out, const char *token)
{
	bm_buf_putc(out, '/');
	for (; *token != '\0'; token++) {
		if (*token == '~')
			bm_buf_puts(out, "~0");
		else if (*token == '/')
			bm_buf_puts(out, "~1");
		else
			bm_buf_putc(out, *token);
	}
}
