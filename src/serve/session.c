/*
 * session.c - a cookie for what cannot send a token.
 *
 * A <video> or a download link of the service's page cannot send Authorization. The other ways: URLs that are signed end up
 * in histories, logs and mails, where they go on working; a page that fetches the whole file and plays it from memory cannot
 * seek in one that is larger. So POST /v1/session, with the token, answers with a cookie, and this is what it is good for:
 * GET and HEAD of /v1/files/, for an hour, until the service ends. It starts nothing and changes nothing, so a request
 * that a page of somebody else makes a browser send could at most load a file that this page cannot read. The cookie is
 * HttpOnly, SameSite=Strict, with TLS Secure, and is sent to that path only. To a browser all ports of a host are one site;
 * so a browser that says where a request comes from (Sec-Fetch-Site) must say: from this very origin, or from nobody's page.
 *
 * The cookie is the time of its end and a MAC of that under a key of this process: nothing is kept, and there is nothing to
 * fill up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "serve_internal.h"

#define NAME "bytemill_session"
#define LIFE_MS ((int64_t)3600 * 1000)
#define TEXT_BYTES (16 + 1 + 64 + 1)

/* "END.MAC", both in hex. False: no memory. */
static bool make_text(const struct bm_serve *s, uint64_t end_ms, char out[static TEXT_BYTES])
{
	unsigned char mac[32];
	size_t len = 0;

	snprintf(out, TEXT_BYTES, "%016" PRIx64, end_ms);
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, s->session_key, sizeof(s->session_key), (unsigned char *)out,
	              16, mac, sizeof(mac), &len) == NULL ||
	    len != sizeof(mac))
		return false;
	out[16] = '.';
	for (size_t i = 0; i < sizeof(mac); i++)
		snprintf(out + 17 + 2 * i, 3, "%02x", mac[i]);
	return true;
}

bool serve_has_session(struct serve_request *r)
{
	const char *text = MHD_lookup_connection_value(r->conn, MHD_COOKIE_KIND, NAME);
	const char *site = serve_header(r, "Sec-Fetch-Site");
	char want[TEXT_BYTES], digits[17] = "";
	uint64_t end_ms;

	if (text == NULL || strlen(text) != TEXT_BYTES - 1)
		return false;
	if (site != NULL && strcasecmp(site, "same-origin") != 0 && strcasecmp(site, "none") != 0)
		return false;
	memcpy(digits, text, 16);
	if (strspn(digits, "0123456789abcdef") != 16)
		return false;
	end_ms = strtoull(digits, NULL, 16);
	return make_text(r->srv, end_ms, want) && CRYPTO_memcmp(want, text, TEXT_BYTES) == 0 &&
	       (uint64_t)serve_now_ms() < end_ms;
}

static void set_cookie(struct serve_request *r, const char *value, int64_t life_s)
{
	char text[TEXT_BYTES + 200];

	snprintf(text, sizeof(text), NAME "=%s; Path=/v1/files/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Strict%s",
	         value, life_s, r->srv->has_tls ? "; Secure" : "");
	serve_add_header(r, "Set-Cookie", text);
}

void serve_post_session(struct serve_request *r)
{
	char text[TEXT_BYTES];

	if (r->srv->token != NULL) {
		if (!make_text(r->srv, (uint64_t)(serve_now_ms() + LIFE_MS), text)) {
			serve_problem(r, 503, "out of memory");
			return;
		}
		set_cookie(r, text, LIFE_MS / 1000);
	}
	serve_add_header(r, "Cache-Control", "no-store");
	serve_reply_empty(r, 204);
}

void serve_delete_session(struct serve_request *r)
{
	set_cookie(r, "", 0);
	serve_reply_empty(r, 204);
}
