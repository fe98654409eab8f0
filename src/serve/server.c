/*
 * server.c - the service's life: what it opens, how a request comes to its route, how it stops.
 *
 * libmicrohttpd does the protocol with a few threads on epoll; none of them may block for long, so whatever waits (a
 * body for room, a request for its run) suspends its connection and is resumed by whoever it waits for. The calling
 * thread of bm_serve_run takes the signals and is the janitor: once a second it looks at every connection (clients.c).
 *
 * Every answer is JSON or a file, but for what libmicrohttpd (0.9.75, and later ones) answers by a page of its own before
 * there is a request for on_request, or in the middle of its body: no HTTP version in the first line (400, 505), a head
 * that is larger than CONNECTION_MEMORY (414, 431), a line of it without a colon (400), a Content-Length that is no number
 * (400) or none of 64 bits (413), chunks that are malformed (400), too large (413) or whose line does not end (500). It
 * makes and sends those pages without any callback but the log's, which does not say for which connection. So it is
 * told to let pass what it can be told to let pass, and framing.c looks at that.
 *
 * Stopping: nobody new is let in; what is under way may end within drain_ms, runs are asked to stop at once, since
 * they take up again; then uploads are failed (nothing of them is published) and connections cut. Suspended
 * connections must all be resumed before libmicrohttpd is stopped: uploads are over when the reaper is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "bm_age.h"
#include "bm_error.h"
#include "bm_state.h"
#include "bm_text.h"
#include "http_text.h"
#include "serve_internal.h"
#include "runs.h"
#include "upload.h"

#define WORKERS 2
#define MHD_REFUSES "Error processing request (HTTP response code is %u" /* the beginning of a format */
/* For a request's head, and for what is read of its body at once. More of it libmicrohttpd would map and unmap for each
 * connection, which costs more than all the rest of a small request. */
#define CONNECTION_MEMORY ((size_t)32 << 10)
#define DEFAULT_CONNECTIONS 4096
#define DEFAULT_TIMEOUT_MS 60000
#define DEFAULT_READ_TIMEOUT_MS 600000
#define DEFAULT_MIN_RATE 100
#define DEFAULT_DRAIN_MS 30000
#define DEFAULT_MEMORY ((uint64_t)256 << 20)
#define TICK_MS 1000
#define PING_TICKS 15 /* between two comments in a stream of events */
#define PEM_MAX ((off_t)1 << 20)

int64_t serve_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void serve_log(struct bm_serve *s, bool is_error, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	if (s->opt.log == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->opt.log(s->opt.ctx, is_error, text);
}

/* ---- requests ---- */

static struct serve_request *request_create(struct bm_serve *s, struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct serve_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->srv = s;
	r->conn = conn;
	r->client = info != NULL ? info->socket_context : NULL;
	r->is_counted = true;
	atomic_fetch_add(&s->in_flight, 1);
	serve_count(s, SERVE_COUNT_REQUESTS, 1);
	return r;
}

static void begin(struct serve_request *r, const char *version, const char *method, const char *url)
{
	struct bm_buf allow = {0};
	const char *tail = NULL;
	size_t tail_len = 0;
	enum serve_find found = serve_route_find(method, url, &r->route, &tail, &tail_len, &allow);
	static const struct serve_route none = {.method = ""};
	bool has_body;

	if (found != SERVE_FOUND)
		r->route = &none;
	/* Who may not call does not learn what there is. */
	if (!serve_is_unambiguous(r, version, url) || !serve_may(r))
		goto out;
	if (found == SERVE_NO_PATH) {
		serve_problem(r, 404, "there is nothing here");
	} else if (found == SERVE_NO_METHOD) {
		if (!allow.oom)
			serve_add_header(r, "Allow", allow.data);
		serve_problem(r, 405, "this cannot be done here");
	} else if (atomic_load(&r->srv->draining) && !r->route->is_open) {
		serve_problem(r, 503, "the service is being stopped");
	} else if (tail == NULL || serve_take_path(r, tail, tail_len)) {
		has_body = serve_header(r, "Content-Length") != NULL || serve_header(r, "Transfer-Encoding") != NULL;
		if (has_body)
			serve_client_phase(r->srv, r->client, SERVE_BODY, 0);
		if (r->route->begin != NULL)
			r->route->begin(r);
	}
out:
	bm_buf_fini(&allow);
}

static void collect(struct serve_request *r, const char *data, size_t *len)
{
	if (!r->route->has_body || r->body.len + *len > SERVE_BODY_MAX)
		r->is_too_large = true;
	else
		bm_buf_put(&r->body, data, *len);
	*len = 0;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *data, size_t *len, void **context)
{
	struct serve_request *r = *context;

	if (r == NULL) {
		r = request_create(cls, conn);
		if (r == NULL)
			return MHD_NO;
		*context = r;
		begin(r, version, method, url);
		return MHD_YES;
	}
	if (*len > 0) {
		serve_client_phase(r->srv, r->client, SERVE_BODY, *len);
		r->in_body = true;
		if (r->is_replied)
			*len = 0;
		else if (r->route->data != NULL)
			r->route->data(r, data, len);
		else
			collect(r, data, len);
		return r->is_cut ? MHD_NO : MHD_YES;
	}
	serve_client_phase(r->srv, r->client, SERVE_BUSY, 0);
	r->in_body = false;
	if (r->deferred != NULL) {
		struct MHD_Response *response = r->deferred;

		r->deferred = NULL;
		return serve_queue(r, r->deferred_status, response);
	}
	if (r->is_replied)
		return MHD_YES;
	if (r->is_too_large && r->route->has_body)
		serve_problem(r, 413, "the body is too large; allowed: %zu bytes", SERVE_BODY_MAX);
	else if (r->is_too_large)
		serve_problem(r, 400, "there is a body, and nothing that it could be for");
	else
		r->route->end(r);
	return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **context, enum MHD_RequestTerminationCode code)
{
	struct bm_serve *s = cls;
	struct serve_request *r = *context;

	if (r == NULL)
		return;
	*context = NULL;
	if (r->state_done != NULL)
		r->state_done(r->state, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	serve_client_phase(s, r->client, SERVE_HEAD, 0);
	if (r->has_patience && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) /* for the next request */
		(void)MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT, serve_seconds(s->opt.timeout_ms));
	if (r->deferred != NULL)
		MHD_destroy_response(r->deferred);
	bm_buf_fini(&r->tail);
	bm_buf_fini(&r->headers);
	bm_buf_fini(&r->body);
	free(r);
	atomic_fetch_sub(&s->in_flight, 1);
}

/* Paths and queries come raw: what is decoded where is http_text.c's business. */
static size_t leave_escaped(void *cls, struct MHD_Connection *conn, char *text)
{
	(void)cls;
	(void)conn;
	return strlen(text);
}

/* What libmicrohttpd answers by itself is seen nowhere else. Its other messages are not wanted: what clients do wrong is in
 * the counters. */
static void log_mhd(void *cls, const char *fmt, va_list ap)
{
	if (strncmp(fmt, MHD_REFUSES, strlen(MHD_REFUSES)) != 0)
		return;
	serve_count_status(cls, va_arg(ap, unsigned));
}

/* ---- opening ---- */

static enum bm_status read_pem(const char *path, char **out, struct bm_error *err)
{
	char shown[1000];
	enum bm_status status = BM_OK;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = -1;

	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	if (fd < 0 || fstat(fd, &st) != 0)
		status = bm_error_set_errno(err, errno, shown, "cannot read");
	else if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX)
		status = bm_error_set(err, BM_ERR_USAGE, shown, "no PEM file");
	if (status == BM_OK) {
		*out = calloc(1, (size_t)st.st_size + 1);
		n = *out != NULL ? read(fd, *out, (size_t)st.st_size) : -1;
		if (*out == NULL)
			status = bm_error_set_nomem(err);
		else if (n < 0 || strstr(*out, "-----BEGIN") == NULL)
			status = bm_error_set(err, BM_ERR_USAGE, shown, "no PEM file");
	}
	if (fd >= 0)
		close(fd);
	return status;
}

static enum bm_status open_dir(const char *path, const char *what, int *out, struct bm_error *err)
{
	char shown[1000];

	if (path == NULL)
		return BM_OK;
	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out >= 0 ? BM_OK : bm_error_set_errno(err, errno, shown, "cannot open the %s", what);
}

/* Those that are looked at anew with each request: a misspelt one would be an empty one. */
static enum bm_status check_dir(const char *path, const char *what, struct bm_error *err)
{
	int fd = -1;
	enum bm_status status = open_dir(path, what, &fd, err);

	if (fd >= 0)
		close(fd);
	return status;
}

static enum bm_status load_identities(struct bm_serve *s, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (s->opt.identity_count > 0)
		status = bm_age_identities_create(&s->identities, err);
	for (size_t i = 0; i < s->opt.identity_count && status == BM_OK; i++) {
		struct bm_age_secret secret = {0};

		status = bm_age_read_secret_file(s->opt.identities[i], &secret, err);
		if (status == BM_OK)
			status = bm_age_identities_add_text(s->identities, secret.data, secret.len,
			                                    s->opt.identities[i], err);
		bm_age_secret_fini(&secret);
	}
	return status;
}

enum bm_status bm_serve_open(const struct bm_serve_options *opt, struct bm_serve **out, struct bm_error *err)
{
	struct bm_serve *s = calloc(1, sizeof(*s));
	enum bm_status status;

	*out = NULL;
	if (s == NULL)
		return bm_error_set_nomem(err);
	s->opt = *opt;
	s->listen_fd = s->inbox_fd = s->outbox_fd = s->tus_fd = -1;
	s->opt.memory_bytes = opt->memory_bytes != 0 ? opt->memory_bytes : DEFAULT_MEMORY;
	s->opt.connections = opt->connections != 0 ? opt->connections : DEFAULT_CONNECTIONS;
	s->opt.timeout_ms = opt->timeout_ms != 0 ? opt->timeout_ms : DEFAULT_TIMEOUT_MS;
	s->opt.read_timeout_ms = opt->read_timeout_ms != 0 ? opt->read_timeout_ms : DEFAULT_READ_TIMEOUT_MS;
	if (s->opt.read_timeout_ms < s->opt.timeout_ms)
		s->opt.read_timeout_ms = s->opt.timeout_ms;
	s->opt.min_rate = opt->min_rate != 0 ? opt->min_rate : DEFAULT_MIN_RATE;
	s->opt.drain_ms = opt->drain_ms != 0 ? opt->drain_ms : DEFAULT_DRAIN_MS;
	pthread_mutex_init(&s->clients_lock, NULL);
	pthread_mutex_init(&s->uploads_lock, NULL);
	s->start_ms = serve_now_ms();
	s->has_tls = opt->tls_cert != NULL;
	status = serve_mhd_load(err);
	if (status == BM_OK)
		status = serve_load_token(s, err);
	if (status == BM_OK)
		status = load_identities(s, err);
	if (status == BM_OK && RAND_bytes(s->session_key, sizeof(s->session_key)) != 1)
		status = bm_error_set(err, BM_ERR_FAILED, NULL, "there are no random numbers for the sessions' key");
	if (status == BM_OK && (opt->tls_cert == NULL) != (opt->tls_key == NULL))
		status = bm_error_set(
			err, BM_ERR_USAGE, NULL,
			"--tls-cert and --tls-key go together, the certificate and its key; --tls-%s was not given",
			opt->tls_cert == NULL ? "cert" : "key");
	if (status == BM_OK && s->has_tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		status = bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "this libmicrohttpd is built without TLS");
	if (status == BM_OK && s->has_tls)
		status = read_pem(opt->tls_cert, &s->tls_cert, err);
	if (status == BM_OK && s->has_tls)
		status = read_pem(opt->tls_key, &s->tls_key, err);
	if (status == BM_OK)
		status = open_dir(opt->inbox, "inbox", &s->inbox_fd, err);
	if (status == BM_OK)
		status = open_dir(opt->outbox, "outbox", &s->outbox_fd, err);
	if (status == BM_OK)
		status = check_dir(opt->jobs, "directory of job files", err);
	for (size_t i = 0; i < opt->submit_root_count && status == BM_OK; i++)
		status = check_dir(opt->submit_roots[i], "directory of --allow-submit", err);
	if (status == BM_OK)
		status = serve_budget_share(s, err);
	if (status == BM_OK)
		status = serve_listen(s, err);
	if (status == BM_OK)
		*out = s;
	else
		bm_serve_close(s);
	return status;
}

void bm_serve_close(struct bm_serve *s)
{
	if (s == NULL)
		return;
	if (s->runs != NULL)
		serve_runs_stop(s->runs);
	serve_reaper_destroy(s->reaper);
	serve_runs_destroy(s->runs);
	serve_budget_destroy(s);
	serve_catalog_destroy(s->catalog);
	serve_unlink_socket(s);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->inbox_fd >= 0)
		close(s->inbox_fd);
	if (s->outbox_fd >= 0)
		close(s->outbox_fd);
	if (s->tus_fd >= 0)
		close(s->tus_fd);
	free(s->tus_path);
	if (s->token != NULL)
		OPENSSL_cleanse(s->token, s->token_len);
	OPENSSL_cleanse(s->session_key, sizeof(s->session_key));
	if (s->tls_key != NULL)
		OPENSSL_cleanse(s->tls_key, strlen(s->tls_key));
	bm_age_identities_destroy(s->identities);
	free(s->token);
	free(s->tls_key);
	free(s->tls_cert);
	free(s->address);
	pthread_mutex_destroy(&s->clients_lock);
	pthread_mutex_destroy(&s->uploads_lock);
	free(s);
}

/* ---- serving ---- */

static enum bm_status start_daemon(struct bm_serve *s, struct bm_error *err)
{
	struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls_cert},
	                               {MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls_key},
	                               {MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_TURBO |
	                 MHD_USE_ERROR_LOG | (s->has_tls ? MHD_USE_TLS : 0);

	s->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, s, MHD_OPTION_LISTEN_SOCKET,
		s->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
		serve_clients_on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, s->opt.connections,
		MHD_OPTION_CONNECTION_TIMEOUT, serve_seconds(s->opt.timeout_ms), MHD_OPTION_THREAD_POOL_SIZE,
		(unsigned)WORKERS, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_ARRAY, s->has_tls ? tls : none, MHD_OPTION_END);
	if (s->daemon == NULL)
		return bm_error_set(err, BM_ERR_SYSTEM, s->address, "the service cannot be started%s",
		                    s->has_tls ? "; do certificate and key belong together?" : "");
	return BM_OK;
}

/* Until a signal. */
static void wait_for_stop(struct bm_serve *s, int signal_fd)
{
	struct pollfd p = {.fd = signal_fd, .events = POLLIN};

	for (unsigned ticks = 0;;) {
		int n = poll(&p, 1, TICK_MS);

		if (n > 0)
			return;
		serve_clients_cut_slow(s);
		if (s->runs != NULL && ++ticks % PING_TICKS == 0)
			serve_runs_ping(s->runs);
	}
}

/* A signal that came; false: none within ms. */
static bool take_signal(int signal_fd, int ms)
{
	struct pollfd p = {.fd = signal_fd, .events = POLLIN};
	struct signalfd_siginfo info;

	return poll(&p, 1, ms) > 0 && read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* False: something was cut off. A second signal cuts it short. */
static bool drain(struct bm_serve *s, int signal_fd)
{
	int64_t end = serve_now_ms() + (int64_t)s->opt.drain_ms, tick = serve_now_ms();
	bool is_clean;

	atomic_store(&s->draining, true);
	serve_notify_systemd("STOPPING=1");
	/*
	 * The daemon's thread may still be about to take the socket from its epoll set: the number must stay what it is
	 * until that thread has ended, so the socket is shut, not closed. One that systemd holds too is left as it is, and
	 * whoever connects meanwhile waits for the next start. The name of a UNIX socket goes first: once nobody listens
	 * there it is anybody's, and the next service may be up before this one is down.
	 */
	serve_unlink_socket(s);
	if (MHD_quiesce_daemon(s->daemon) != MHD_INVALID_SOCKET && !s->is_activated)
		(void)shutdown(s->listen_fd, SHUT_RDWR);
	if (s->runs != NULL)
		serve_runs_stop(s->runs);
	while (atomic_load(&s->in_flight) > 0 && serve_now_ms() < end) {
		if (take_signal(signal_fd, 10))
			break;
		if (serve_now_ms() - tick >= TICK_MS) {
			serve_clients_cut_slow(s);
			tick = serve_now_ms();
		}
	}
	is_clean = atomic_load(&s->in_flight) == 0;
	serve_sweep_end(s);
	serve_uploads_give_up(s);
	serve_catalog_end(s->catalog);
	serve_reaper_end(s->reaper);
	serve_clients_cut_all(s);
	MHD_stop_daemon(s->daemon);
	s->daemon = NULL;
	return is_clean;
}

static enum bm_status open_tus(struct bm_serve *s, struct bm_error *err)
{
	struct bm_buf dir = {0};
	enum bm_status status;

	bm_buf_printf(&dir, "%s/serve-tus", s->opt.state);
	status = dir.oom ? bm_error_set_nomem(err) : bm_state_make(dir.data, err);
	if (status == BM_OK)
		status = open_dir(dir.data, "directory of resumable uploads", &s->tus_fd, err);
	s->tus_path = bm_buf_take(&dir);
	return status;
}

static enum bm_status start_runs(struct bm_serve *s, struct bm_error *err)
{
	struct bm_buf dir = {0};
	enum bm_status status;

	bm_buf_printf(&dir, "%s/serve", s->opt.state);
	status = dir.oom ? bm_error_set_nomem(err) : bm_state_make(dir.data, err);
	if (status == BM_OK)
		status = serve_runs_create(s, dir.data, &s->runs, err);
	bm_buf_fini(&dir);
	return status;
}

enum bm_status bm_serve_run(struct bm_serve *s, struct bm_error *err)
{
	sigset_t set, old;
	enum bm_status status;
	int signal_fd;
	bool is_clean;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	status = signal_fd >= 0 ? serve_reaper_create(&s->reaper, err)
	                        : bm_error_set_errno(err, errno, NULL, "cannot make a signalfd");
	if (status == BM_OK)
		status = serve_budget_create(s, err);
	if (status == BM_OK && s->inbox_fd >= 0 && s->opt.state != NULL)
		status = open_tus(s, err);
	if (status == BM_OK && (s->opt.jobs != NULL || s->opt.submit_root_count > 0) && s->opt.state != NULL)
		status = start_runs(s, err);
	if (status == BM_OK && s->opt.state != NULL)
		status = serve_catalog_create(s, &s->catalog, err);
	if (status == BM_OK)
		status = start_daemon(s, err);
	if (status != BM_OK)
		goto out;
	serve_log(s, false, "listening at %s", s->address);
	serve_sweep_start(s);
	serve_notify_systemd("READY=1");
	wait_for_stop(s, signal_fd);
	serve_log(s, false, "stopping: %u requests are under way", atomic_load(&s->in_flight));
	(void)take_signal(signal_fd, 0);
	is_clean = drain(s, signal_fd);
	if (!is_clean)
		status = bm_error_set(err, BM_ERR_CANCELLED, NULL, "transfers that took too long were cut off");
out:
	if (signal_fd >= 0)
		close(signal_fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return status;
}
