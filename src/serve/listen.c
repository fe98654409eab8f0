/*
 * listen.c - where the service listens, and what it tells systemd.
 *
 * Whoever can reach the socket can read and write files. So without further words it is 127.0.0.1; any other address
 * wants a token and TLS, or --insecure for those who have both in front of it. A UNIX socket is made with mode 0600:
 * who may connect is a matter of its directory and of chmod.
 *
 * systemd's protocols are a few lines each and need no library: LISTEN_PID and LISTEN_FDS for a socket that is there
 * already (sd_listen_fds(3)), a datagram to NOTIFY_SOCKET for "READY=1" and "STOPPING=1" (sd_notify(3)).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "serve_internal.h"

#define FIRST_FD 3 /* of those that systemd hands over */
#define DEFAULT_LISTEN "127.0.0.1:8080"
#define BACKLOG 1024

void serve_notify_systemd(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&a,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
	close(fd);
}

static bool address_is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
	if (a->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
	return a->sa_family == AF_UNIX;
}

static enum bm_status describe(struct bm_serve *s, struct bm_error *err)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} a;
	socklen_t len = sizeof(a);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	struct bm_buf b = {0};

	memset(&a, 0, sizeof(a));
	if (getsockname(s->listen_fd, &a.any, &len) != 0)
		return bm_error_set_errno(err, errno, NULL, "cannot ask for the socket's address");
	s->is_unix = a.any.sa_family == AF_UNIX;
	s->is_loopback = address_is_loopback(&a.any);
	if (s->is_unix)
		bm_buf_printf(&b, "unix:%s", a.un.sun_path);
	else if (getnameinfo(&a.any, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		bm_buf_printf(&b, strchr(host, ':') != NULL ? "%s://[%s]:%s" : "%s://%s:%s",
		              s->has_tls ? "https" : "http", host, port);
	s->address = bm_buf_take(&b);
	return s->address != NULL ? BM_OK : bm_error_set_nomem(err);
}

/* What systemd has handed over; -1: nothing. */
static int take_activated(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int type = 0, listening = 0;
	socklen_t len = sizeof(type);

	if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != (long)getpid() || strtol(fds, NULL, 10) < 1)
		return -1;
	if (getsockopt(FIRST_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM ||
	    getsockopt(FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || listening == 0)
		return -1;
	(void)fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
	return FIRST_FD;
}

/* A socket file that nobody listens at any more is in the way; any other file stays. */
static enum bm_status clear_unix_path(const struct sockaddr_un *a, const char *shown, struct bm_error *err)
{
	struct stat st;
	int fd, rc;

	if (lstat(a->sun_path, &st) != 0)
		return BM_OK;
	if (!S_ISSOCK(st.st_mode))
		return bm_error_set(err, BM_ERR_EXISTS, shown, "is there already, and is no socket: give another name");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bm_error_set_errno(err, errno, shown, "cannot make a socket");
	rc = connect(fd, (const struct sockaddr *)(const void *)a, sizeof(*a)) == 0 ? 0 : errno;
	close(fd);
	if (rc != ECONNREFUSED)
		return bm_error_set(err, BM_ERR_EXISTS, shown, "somebody listens there already");
	(void)unlink(a->sun_path);
	return BM_OK;
}

static enum bm_status listen_unix(struct bm_serve *s, const char *path, struct bm_error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char shown[256];
	enum bm_status status;

	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	if (path[0] == '\0' || strlen(path) >= sizeof(a.sun_path))
		return bm_error_set(err, BM_ERR_USAGE, shown,
		                    "what follows \"unix:\" has %zu bytes; allowed: a path of 1 to %zu", strlen(path),
		                    sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	status = clear_unix_path(&a, shown, err);
	if (status != BM_OK)
		return status;
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Before bind: the file is never there with another mode. */
	if (s->listen_fd < 0 || fchmod(s->listen_fd, 0600) != 0 ||
	    bind(s->listen_fd, (const struct sockaddr *)(const void *)&a, sizeof(a)) != 0)
		return bm_error_set_errno(err, errno, shown, "cannot make the socket");
	s->unix_path = bm_memdup0(path, strlen(path));
	if (s->unix_path == NULL)
		return bm_error_set_nomem(err);
	if (listen(s->listen_fd, BACKLOG) != 0)
		return bm_error_set_errno(err, errno, shown, "cannot listen");
	return BM_OK;
}

void serve_unlink_socket(struct bm_serve *s)
{
	if (s->unix_path != NULL)
		(void)unlink(s->unix_path);
	free(s->unix_path);
	s->unix_path = NULL;
}

/* "host:port", "[host]:port", "port". */
static bool split(const char *text, char host[256], const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;

	*port = colon != NULL ? colon + 1 : text;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return false;
	}
	if (len >= 256 || (*port)[0] == '\0' || (*port)[strspn(*port, "0123456789")] != '\0' || strlen(*port) > 5 ||
	    atoi(*port) > 65535)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	return true;
}

static enum bm_status listen_tcp(struct bm_serve *s, const char *text, struct bm_error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
	char host[256], shown[256];
	const char *port;
	enum bm_status status = BM_OK;
	int one = 1, rc;

	bm_escape_display_buf(shown, sizeof(shown), text, strlen(text));
	if (!split(text, host, &port))
		return bm_error_set(err, BM_ERR_USAGE, shown,
		                    "no address to listen at; allowed: ADDR:PORT, [ADDR]:PORT, PORT, unix:PATH");
	rc = getaddrinfo(host[0] != '\0' ? host : "127.0.0.1", port, &hints, &list);
	if (rc != 0)
		return bm_error_set(err, BM_ERR_USAGE, shown, "no such address: %s", gai_strerror(rc));
	if (!address_is_loopback(list->ai_addr) && !s->opt.insecure && (s->token == NULL || !s->has_tls)) {
		status = bm_error_set(err, BM_ERR_USAGE, shown,
		                      "others could reach the service at this address, and %s: give --token-file and "
		                      "--tls-cert, or listen at 127.0.0.1; --insecure if a proxy sees to both",
		                      s->token == NULL ? "they would need no token"
		                                       : "the token could be read on its way");
		goto out;
	}
	s->listen_fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0 || setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(s->listen_fd, list->ai_addr, list->ai_addrlen) != 0 || listen(s->listen_fd, BACKLOG) != 0)
		status = bm_error_set_errno(err, errno, shown, "cannot listen");
out:
	freeaddrinfo(list);
	return status;
}

enum bm_status serve_listen(struct bm_serve *s, struct bm_error *err)
{
	const char *at = s->opt.listen;
	enum bm_status status;

	if (at == NULL && (s->listen_fd = take_activated()) >= 0) {
		s->is_activated = true;
		status = describe(s, err);
		if (status == BM_OK && !s->is_loopback && !s->opt.insecure && (s->token == NULL || !s->has_tls))
			status = bm_error_set(err, BM_ERR_USAGE, s->address,
			                      "others could reach the service at this socket: give --token-file and "
			                      "--tls-cert, or --insecure if a proxy sees to both");
		(void)fcntl(s->listen_fd, F_SETFL, fcntl(s->listen_fd, F_GETFL) | O_NONBLOCK);
		return status;
	}
	at = at != NULL ? at : DEFAULT_LISTEN;
	status = strncmp(at, "unix:", 5) == 0 ? listen_unix(s, at + 5, err) : listen_tcp(s, at, err);
	return status == BM_OK ? describe(s, err) : status;
}
