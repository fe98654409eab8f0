/*
 * auth.c - who may call the service.
 *
 * With a token: whoever sends it as "Authorization: Bearer"; for files there is a cookie besides (session.c). The token
 * is compared in a time that does not hang on what was sent (both sides through SHA-256 first, so that the length does not
 * show either). The file that holds it must be its owner's alone, as ssh wants it of keys.
 *
 * A web page can make a browser send requests here, from behind a firewall too. So a request that says that it comes
 * from a page (Origin, or Sec-Fetch-Site) is taken only from our own page or from those that were allowed by name; and
 * without a token, on a loopback address, Host must be a name of this machine, or a page could get around that by
 * pointing its own name at 127.0.0.1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "bm_error.h"
#include "bm_text.h"
#include "serve_internal.h"

#define TOKEN_MIN 16
#define TOKEN_MAX 1024

enum bm_status serve_load_token(struct bm_serve *s, struct bm_error *err)
{
	const char *path = s->opt.token_file;
	char shown[1000], text[TOKEN_MAX + 2];
	enum bm_status status = BM_OK;
	struct stat st;
	ssize_t n;
	size_t len;
	int fd;

	if (path == NULL)
		return BM_OK;
	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		status = bm_error_set_errno(err, errno, shown, "cannot read the token");
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		status = bm_error_set(err, BM_ERR_USAGE, shown, "is a directory: name the file with the token in it");
		goto out;
	}
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		status = bm_error_set(err, BM_ERR_USAGE, shown, "others may read the token (mode %04o): chmod 600 it",
		                      (unsigned)st.st_mode & 07777);
		goto out;
	}
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		status = bm_error_set_errno(err, errno, shown, "cannot read the token");
		goto out;
	}
	text[n] = '\0';
	len = strcspn(text, "\r\n");
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			len = 0;
	if (len < TOKEN_MIN || len > TOKEN_MAX) {
		status = bm_error_set(
			err, BM_ERR_USAGE, shown,
			"its first line is no token; allowed: %d to %d printable characters without blanks, "
			"such as `openssl rand -hex 32` makes",
			TOKEN_MIN, TOKEN_MAX);
		goto out;
	}
	s->token = bm_memdup0(text, len);
	s->token_len = len;
	if (s->token == NULL)
		status = bm_error_set_nomem(err);
out:
	OPENSSL_cleanse(text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return status;
}

static bool is_token(const struct bm_serve *s, const char *text)
{
	unsigned char want[32], found[32];

	return EVP_Digest(s->token, s->token_len, want, NULL, EVP_sha256(), NULL) == 1 &&
	       EVP_Digest(text, strlen(text), found, NULL, EVP_sha256(), NULL) == 1 &&
	       CRYPTO_memcmp(want, found, sizeof(want)) == 0;
}

static bool has_token(struct serve_request *r)
{
	const char *text = serve_header(r, "Authorization");

	if (text == NULL || strncasecmp(text, "Bearer", 6) != 0 || text[6] != ' ')
		return false;
	text += 6 + strspn(text + 6, " ");
	return is_token(r->srv, text);
}

/* Is the host of "host:port" this machine's own name for itself? */
static bool is_local_host(const char *host)
{
	char name[64];
	struct in_addr a4;
	size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	if (len >= sizeof(name) || len > strlen(host))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, name, &a4) == 1 && (ntohl(a4.s_addr) >> 24) == 127;
}

static bool is_own_origin(struct serve_request *r, const char *origin)
{
	const char *host = serve_header(r, "Host");
	const char *scheme = r->srv->has_tls ? "https://" : "http://";

	for (size_t i = 0; i < r->srv->opt.origin_count; i++)
		if (strcasecmp(r->srv->opt.origins[i], origin) == 0)
			return true;
	return host != NULL && strncasecmp(origin, scheme, strlen(scheme)) == 0 &&
	       strcasecmp(origin + strlen(scheme), host) == 0;
}

bool serve_may(struct serve_request *r)
{
	const char *origin = serve_header(r, "Origin"), *site = serve_header(r, "Sec-Fetch-Site");
	const char *host = serve_header(r, "Host");
	bool is_foreign = origin != NULL && !is_own_origin(r, origin);

	if (origin == NULL && site != NULL && strcasecmp(site, "cross-site") == 0)
		is_foreign = true;
	if (is_foreign) {
		serve_problem(r, 403,
		              "this request comes from a page of another site, which may not call this service; an "
		              "administrator can allow it with --allow-origin");
		return false;
	}
	if (r->srv->token == NULL && r->srv->is_loopback && !r->srv->is_unix && host != NULL && !is_local_host(host)) {
		serve_problem(r, 403,
		              "Host is not a name that this machine has for itself: localhost, 127.0.0.1, [::1]");
		return false;
	}
	if (r->srv->token == NULL || r->route->is_open || has_token(r))
		return true;
	if (r->route->takes_session && serve_header(r, "Authorization") == NULL && serve_has_session(r))
		return true;
	serve_problem(r, 401, "%s",
	              serve_header(r, "Authorization") != NULL ? "this is not the token"
	                                                       : "a token is needed: Authorization: Bearer TOKEN");
	return false;
}
