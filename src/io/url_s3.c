/*
 * S3: where its buckets are, and who we are there.
 *
 * Requests are signed by libcurl (AWS Signature Version 4). What is needed for that comes from where the other tools have
 * it: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the profile AWS_PROFILE of the file
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); AWS_REGION or AWS_DEFAULT_REGION; AWS_ENDPOINT_URL_S3 or
 * AWS_ENDPOINT_URL. Buckets are addressed by path, which servers of every maker understand.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "url_private.h"

static const char *env(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static char *copy(const char *text)
{
	return bm_memdup0(text, strlen(text));
}

static char *trimmed(char *from, char *end)
{
	while (from < end && strchr(" \t\r", *from))
		from++;
	while (end > from && strchr(" \t\r", end[-1]))
		end--;
	return bm_memdup0(from, (size_t)(end - from));
}

/* "[profile]" and "name = value" lines. */
static bool read_profile(struct bm_url_client *c, char *text, const char *profile)
{
	bool is_in = false;
	for (char *line = text; *line;) {
		char *end = strchr(line, '\n'), *next = end ? end + 1 : line + strlen(line);
		if (!end)
			end = next;
		char *equals = memchr(line, '=', (size_t)(end - line));
		if (*line == '[') {
			size_t n = strlen(profile);
			is_in = strncmp(line + 1, profile, n) == 0 && line[1 + n] == ']';
		} else if (is_in && equals && *line != '#') {
			char *name = trimmed(line, equals);
			char **field = !name                                        ? NULL
			               : strcmp(name, "aws_access_key_id") == 0     ? &c->s3_key
			               : strcmp(name, "aws_secret_access_key") == 0 ? &c->s3_secret
			               : strcmp(name, "aws_session_token") == 0     ? &c->s3_token
			                                                            : NULL;
			bool oom = !name;
			free(name);
			if (field && !*field) {
				*field = trimmed(equals + 1, end);
				oom = oom || !*field;
			}
			if (oom)
				return false;
		}
		line = next;
	}
	return true;
}

static enum bm_status read_credentials(struct bm_url_client *c, struct bm_error *err)
{
	struct bm_buf path = {0}, text = {0};
	const char *profile = env("AWS_PROFILE") ? env("AWS_PROFILE") : "default";
	enum bm_status status = BM_OK;

	if (env("AWS_SHARED_CREDENTIALS_FILE"))
		bm_buf_puts(&path, env("AWS_SHARED_CREDENTIALS_FILE"));
	else if (env("HOME"))
		bm_buf_printf(&path, "%s/.aws/credentials", env("HOME"));
	if (path.oom)
		status = bm_error_set_nomem(err);
	else if (path.len == 0 || access(path.data, F_OK) != 0)
		status = bm_error_set(err, BM_ERR_USAGE, NULL,
		                      "there is an s3:// URL and nothing says who we are: set AWS_ACCESS_KEY_ID and "
		                      "AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials");
	else
		status = url_secret_read(path.data, "file of S3 credentials", &text, err);
	if (status == BM_OK && !read_profile(c, text.data, profile))
		status = bm_error_set_nomem(err);
	if (status == BM_OK && (!c->s3_key || !c->s3_secret))
		status = bm_error_set(err, BM_ERR_USAGE, path.data,
		                      "has no aws_access_key_id and aws_secret_access_key in the profile \"%s\"",
		                      profile);
	url_secret_wipe(&text);
	bm_buf_fini(&path);
	return status;
}

enum bm_status url_s3_configure(struct bm_url_client *c, const struct bm_url_options *o, struct bm_error *err)
{
	const char *region = o->s3_region                ? o->s3_region
	                     : env("AWS_REGION")         ? env("AWS_REGION")
	                     : env("AWS_DEFAULT_REGION") ? env("AWS_DEFAULT_REGION")
	                                                 : "us-east-1";
	const char *endpoint = o->s3_endpoint               ? o->s3_endpoint
	                       : env("AWS_ENDPOINT_URL_S3") ? env("AWS_ENDPOINT_URL_S3")
	                                                    : env("AWS_ENDPOINT_URL");
	struct bm_buf b = {0};
	struct url_parts p;

	if (endpoint)
		bm_buf_puts(&b, endpoint);
	else
		bm_buf_printf(&b, "https://s3.%s.amazonaws.com", region);
	while (b.len > 0 && b.data[b.len - 1] == '/')
		b.data[--b.len] = '\0';
	if (!b.oom && (!url_split(b.data, b.len, &p) || p.is_s3 || p.userinfo_len > 0)) {
		bm_buf_fini(&b);
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "the endpoint of s3 is no http:// or https:// URL without user name and password");
	}
	c->s3_endpoint = bm_buf_take(&b);
	c->s3_region = copy(region);
	if (!c->s3_endpoint || !c->s3_region)
		return bm_error_set_nomem(err);
	if (!env("AWS_ACCESS_KEY_ID") || !env("AWS_SECRET_ACCESS_KEY"))
		return read_credentials(c, err);
	c->s3_key = copy(env("AWS_ACCESS_KEY_ID"));
	c->s3_secret = copy(env("AWS_SECRET_ACCESS_KEY"));
	if (env("AWS_SESSION_TOKEN"))
		c->s3_token = copy(env("AWS_SESSION_TOKEN"));
	return c->s3_key && c->s3_secret && (c->s3_token || !env("AWS_SESSION_TOKEN")) ? BM_OK
	                                                                               : bm_error_set_nomem(err);
}

char *url_resolve(const struct bm_url_client *c, const char *url)
{
	struct bm_buf b = {0};
	struct url_parts p;

	if (!url_split(url, strlen(url), &p) || !p.is_s3)
		return bm_memdup0(url, strlen(url));
	bm_buf_printf(&b, "%s/", c->s3_endpoint);
	bm_url_put_encoded(&b, p.authority, p.authority_len);
	bm_url_put_encoded(&b, p.path, strlen(p.path));
	return bm_buf_take(&b);
}
