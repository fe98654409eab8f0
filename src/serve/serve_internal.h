/*
 * serve_internal.h - the service, a request, and what the files of this folder do for each other.
 *
 * Threads: libmicrohttpd's (few; they must never block for long) call everything that takes a struct request, one call
 * at a time for each request; the janitor and the reaper are ours. struct request belongs to the thread that is in a
 * call for it, but for `wait`, which has its own rules.
 */
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <bytemill/bytemill.h>

#include "bm_mem.h"
#include "bm_serve.h"
#include "mhd.h"

struct serve_request;
struct serve_runs;    /* runs.h */
struct serve_catalog; /* catalog_http.c */
struct bm_pool;       /* bm_flow.h */

#define SERVE_BODY_MAX ((size_t)1 << 20) /* of what is not a file */

/* One row of the table of routes. */
struct serve_route {
	const char *method;
	const char *pattern; /* "/v1/runs/{id}"; "{path}" at the end takes the rest, '/' and all */
	bool is_open;        /* needs no token */
	bool takes_session;  /* the cookie of /v1/session does for a token */
	bool has_body;       /* collected in request->body, unless data is there */
	bool takes_dirs;     /* {path} may be empty or end in '/': request->is_dir */
	/* The head is complete. May reply: what follows is then dropped. NULL: nothing to do yet. */
	void (*begin)(struct serve_request *r);
	/* A part of the body; takes it all, or as much as it can (*len: what is left) after suspending the connection. */
	void (*data)(struct serve_request *r, const char *data, size_t *len);
	/* The request is complete. Replies, or suspends the connection and is called again. */
	void (*end)(struct serve_request *r);
	const char *summary;  /* for the OpenAPI document, as all below */
	const char *statuses; /* "200 404": what it may answer besides 400, 401, 403 and 500 */
	const char *query;    /* "job set": names of parameters; NULL: none */
};
extern const struct serve_route serve_routes[];
extern const size_t serve_route_count;
enum serve_find { SERVE_FOUND, SERVE_NO_PATH, SERVE_NO_METHOD };
/* *tail is what stands for the pattern's name: raw, tail_len bytes of path. *allow gets the methods where the method is wrong. */
enum serve_find serve_route_find(const char *method, const char *path, const struct serve_route **out,
                                 const char **tail, size_t *tail_len, struct bm_buf *allow);

/* A connection, for the janitor. Guarded by server->clients_lock. */
enum serve_phase { SERVE_HEAD, SERVE_BODY, SERVE_BUSY, SERVE_REPLY };
struct serve_client {
	struct serve_client *next, *prev;
	int fd; /* libmicrohttpd's; open while this is in the list */
	enum serve_phase phase;
	int64_t since_ms; /* of the phase, or of the window below */
	uint64_t bytes;   /* BODY: that came in this window; REPLY: that the client had taken at its beginning */
	int64_t heard_ms; /* when the last of a body came */
	char upload[33];  /* the tus upload that its body is for; "": none */
	bool is_cut;
};

enum serve_counter {
	SERVE_COUNT_REQUESTS,
	SERVE_COUNT_2XX,
	SERVE_COUNT_3XX,
	SERVE_COUNT_4XX,
	SERVE_COUNT_5XX,
	SERVE_COUNT_UPLOADS,
	SERVE_COUNT_UPLOAD_BYTES,
	SERVE_COUNT_DOWNLOADS,
	SERVE_COUNT_CUT,
	SERVE_COUNTERS
};

struct bm_serve {
	struct bm_serve_options opt;
	int listen_fd;
	bool is_unix, is_loopback, has_tls;
	bool is_activated; /* the socket came from systemd, which holds it too */
	char *unix_path;   /* to be removed at the end; NULL: not ours */
	char *address;
	char *token; /* wiped */
	size_t token_len;
	unsigned char session_key[32]; /* wiped */
	char *tls_cert, *tls_key;
	int inbox_fd, outbox_fd; /* -1: there is none */
	int tus_fd;              /* <state>/serve-tus; -1: there is none */
	char *tus_path;
	char *inbox_path; /* real */
	struct bm_age_identities *identities;
	struct MHD_Daemon *daemon;
	pthread_t sweeper;
	bool is_sweeping; /* the thread is there */
	int64_t start_ms;
	atomic_bool draining;
	atomic_bool giving_up; /* uploads that are under way fail, and those that begin yet */
	atomic_uint in_flight; /* requests that were begun and are not completed */
	atomic_uint_fast64_t counters[SERVE_COUNTERS];
	pthread_mutex_t clients_lock;
	struct serve_client *clients;
	unsigned client_count;
	struct serve_reaper *reaper;
	struct serve_runs *runs;
	struct serve_catalog *catalog; /* NULL: no state directory */
	pthread_mutex_t uploads_lock;
	struct upload *uploads;      /* uploads_lock; upload.c's */
	struct bm_pool *upload_pool; /* of all uploads; NULL: no inbox */
	/* memory_bytes is all three of these; see budget.c. */
	uint64_t runs_bytes, pool_bytes, files_bytes;
	size_t upload_chunk_bytes;        /* and of the ring before it */
	atomic_uint_fast64_t budget_used; /* of files_bytes */
};

struct serve_request {
	struct bm_serve *srv;
	struct MHD_Connection *conn;
	struct serve_client *client;
	const struct serve_route *route;
	bool is_replied;
	bool in_body;          /* libmicrohttpd takes no reply now: it is kept in deferred */
	bool is_too_large;     /* the body */
	bool is_cut;           /* the connection is to be closed without a reply */
	bool is_counted;       /* in in_flight */
	bool is_long;          /* the reply: the client may take its time, but not for ever */
	bool has_patience;     /* libmicrohttpd was told so */
	bool is_dir;           /* the path ended in '/'; tail is without it, and empty for the root */
	struct bm_buf tail;    /* decoded */
	struct bm_buf headers; /* further ones of the reply: "Name: value\n" */
	struct bm_buf body;
	struct MHD_Response *deferred; /* owned */
	unsigned deferred_status;
	void *state; /* the route's */
	/* The request is over; good: its reply was sent. Frees the state. */
	void (*state_done)(void *state, bool good);
};

static inline void serve_count(struct bm_serve *s, enum serve_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&s->counters[c], n, memory_order_relaxed);
}
int64_t serve_now_ms(void);
static inline unsigned serve_seconds(uint64_t ms) /* for libmicrohttpd; rounded up */
{
	return ms / 1000 < 1000000000 ? (unsigned)((ms + 999) / 1000) : 1000000000;
}
#define SERVE_LONG_BYTES ((uint64_t)64 << 10) /* of a reply */
/* What the client is at, for the janitor; bytes of a body that came. c may be NULL. */
void serve_client_phase(struct bm_serve *s, struct serve_client *c, enum serve_phase phase, uint64_t bytes);
/* Ends the connection: for a response that cannot go on. libmicrohttpd would do it with its next event only, for which
 * there may be no cause. In a call for its request; c may be NULL. */
void serve_client_cut(struct bm_serve *s, struct serve_client *c);
/* What the body that comes is for. c may be NULL. */
void serve_client_upload(struct bm_serve *s, struct serve_client *c, const char *id);
/* Cuts off who sends to that upload, but has not been heard for a second: whoever goes on with it knows better. */
void serve_cut_upload(struct bm_serve *s, const char *id);
void serve_log(struct bm_serve *s, bool is_error, const char *fmt, ...) BM_PRINTF(3, 4);

/* ---- connections (clients.c) ---- */

void serve_clients_on_connection(void *cls, struct MHD_Connection *conn, void **context,
                                 enum MHD_ConnectionNotificationCode code);
void serve_clients_cut_slow(struct bm_serve *s);
void serve_clients_cut_all(struct bm_serve *s);

/* ---- replies (reply.c) ---- */

const char *serve_header(struct serve_request *r, const char *name); /* borrowed, or NULL */
/* The decoded value of a query parameter, appended; false: there is none, or (after a reply) it is bad. */
bool serve_query(struct serve_request *r, const char *name, struct bm_buf *out);
/* A header of the reply to come. */
void serve_add_header(struct serve_request *r, const char *name, const char *value);
/* Sends the response, which is taken over, with the headers that were added. is_long says so of one that is, or may be, of
 * more than SERVE_LONG_BYTES. */
void serve_reply(struct serve_request *r, unsigned status, struct MHD_Response *response);
void serve_reply_json(struct serve_request *r, unsigned status, struct bm_buf *json); /* takes the text */
/* What serve_reply does when the body is over, if there is one; takes the response. */
enum MHD_Result serve_queue(struct serve_request *r, unsigned status, struct MHD_Response *response);
void serve_reply_empty(struct serve_request *r, unsigned status);
/* RFC 9457. more: ",\"errors\":[...]" or NULL. */
void serve_problem(struct serve_request *r, unsigned status, const char *fmt, ...) BM_PRINTF(3, 4);
void serve_problem_with(struct serve_request *r, unsigned status, const char *more, const char *detail);
/* The status that fits an error. */
unsigned serve_status_of(const struct bm_error *err);
void serve_problem_error(struct serve_request *r, const struct bm_error *err);
const char *serve_status_text(unsigned status);
void serve_count_status(struct bm_serve *s, unsigned status);

/* ---- where it ends (framing.c) ---- */

/* False: its head can be understood in two ways; replied, and the connection is closed after that. */
bool serve_is_unambiguous(struct serve_request *r, const char *version, const char *url);

/* ---- who may (auth.c) ---- */

enum bm_status serve_load_token(struct bm_serve *s, struct bm_error *err) BM_NODISCARD;
/* False: a reply was given. */
bool serve_may(struct serve_request *r);

/* Has the request a cookie that holds? Also false: it comes from a page of another origin (session.c). */
bool serve_has_session(struct serve_request *r);

/* ---- where (listen.c) ---- */

enum bm_status serve_listen(struct bm_serve *s, struct bm_error *err) BM_NODISCARD;
/* Of a UNIX socket that is ours; where there is none, or no more, nothing. */
void serve_unlink_socket(struct bm_serve *s);
void serve_notify_systemd(const char *text); /* "READY=1" */

/* ---- files (paths.c) ---- */

/* Decodes the route's {path} into r->tail, and sets r->is_dir. False: a reply was given. */
bool serve_take_path(struct serve_request *r, const char *raw, size_t len);
/* Opens path below the directory root, without leaving it and without following links: -1 and errno. */
int serve_open_beneath(int root, const char *path, int flags);
/* The directory that path's last component lies in, made where it is missing; *leaf points into path. -1 and errno. */
int serve_open_parent(int root, const char *path, const char **leaf);
const char *serve_media_type(const char *path);

/* ---- runs that others wait for (reaper.c) ---- */

struct serve_reaper;
/* The first member of what is a run's ctx (struct bm_run_options). All but the functions is the reaper's. */
struct serve_watched {
	/* The run is over: in the reaper's thread, with the run still there. */
	void (*over)(struct serve_watched *w, enum bm_status status, const struct bm_summary *sum);
	/* The run is destroyed: the jobs, and this, may be freed. In the reaper's thread. */
	void (*gone)(struct serve_watched *w);
	struct bm_run *run;
	struct serve_reaper *reaper;
	struct serve_watched *next;
	bool is_over, is_queued;
};
enum bm_status serve_reaper_create(struct serve_reaper **out, struct bm_error *err) BM_NODISCARD;
/* Waits for its runs; from now on serve_reap fails (BM_ERR_CANCELLED). Twice is fine. */
void serve_reaper_end(struct serve_reaper *p);
void serve_reaper_destroy(struct serve_reaper *p); /* ends it; when nobody calls serve_reap; NULL is fine */
/* Starts the jobs, with opt->ctx == w, on pool (NULL: one of their own). An error: neither function is called. */
enum bm_status serve_reap(struct serve_reaper *p, struct serve_watched *w, struct bm_pool *pool,
                          const struct bm_jobs *jobs, struct bm_run_options *opt, struct bm_error *err) BM_NODISCARD;

/* ---- memory (budget.c) ---- */

/* Shares out memory_bytes, when the directories are open. BM_ERR_USAGE: it is too little for anything. */
enum bm_status serve_budget_share(struct bm_serve *s, struct bm_error *err) BM_NODISCARD;
/* Makes the uploads' pool. */
enum bm_status serve_budget_create(struct bm_serve *s, struct bm_error *err) BM_NODISCARD;
void serve_budget_destroy(struct bm_serve *s); /* when all uploads are over */
/* Of files_bytes; false: there is not so much left. */
bool serve_budget_take(struct bm_serve *s, uint64_t bytes) BM_NODISCARD;
void serve_budget_give(struct bm_serve *s, uint64_t bytes);
bool serve_budget_is_short(struct bm_serve *s); /* nearly used up */

/* ---- the catalog (catalog_http.c) ---- */

enum bm_status serve_catalog_create(struct bm_serve *s, struct serve_catalog **out, struct bm_error *err) BM_NODISCARD;
void serve_catalog_end(struct serve_catalog *p); /* nobody waits for it any more; NULL is fine */
void serve_catalog_destroy(struct serve_catalog *p);

/* ---- what a killed service has left (sweep.c) ---- */

void serve_sweep_start(struct bm_serve *s);
void serve_sweep_end(struct bm_serve *s); /* once draining is set */

/* ---- the routes' functions ---- */

void serve_get_page(struct serve_request *r);
void serve_get_page_file(struct serve_request *r);
void serve_get_service(struct serve_request *r);
void serve_get_health(struct serve_request *r);
void serve_get_metrics(struct serve_request *r);
void serve_get_openapi(struct serve_request *r);
void serve_post_session(struct serve_request *r);
void serve_delete_session(struct serve_request *r);
void serve_get_file(struct serve_request *r);
void serve_list_dir(struct serve_request *r); /* with an outbox; list.c */
void serve_upload_begin(struct serve_request *r);
void serve_upload_data(struct serve_request *r, const char *data, size_t *len);
void serve_upload_end(struct serve_request *r);
void serve_form_begin(struct serve_request *r);
void serve_form_data(struct serve_request *r, const char *data, size_t *len);
void serve_form_end(struct serve_request *r);
void serve_get_catalog(struct serve_request *r);
void serve_get_jobs(struct serve_request *r);
void serve_get_job(struct serve_request *r);
void serve_check_job(struct serve_request *r);
void serve_post_run(struct serve_request *r);
void serve_get_runs(struct serve_request *r);
void serve_get_run(struct serve_request *r);
void serve_get_report(struct serve_request *r);
void serve_get_events(struct serve_request *r);
void serve_delete_run(struct serve_request *r);

#endif
