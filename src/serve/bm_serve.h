/*
 * bm_serve.h - the HTTP service: files in and out, runs of jobs, as `bytemill serve` has it.
 *
 * bm_serve_open checks everything that can be checked and listens; bm_serve_run serves until it is told to stop,
 * by SIGTERM or SIGINT, which it takes while it runs. One service a process: it has threads of its own, and answers to
 * systemd in the process's name (NOTIFY_SOCKET, LISTEN_FDS).
 */
#ifndef BM_SERVE_H
#define BM_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <bytemill/error.h>

struct bm_serve;

/* Strings are borrowed until bm_serve_close; NULL: not given. */
struct bm_serve_options {
	const char *listen;     /* "ADDR:PORT", "[ADDR]:PORT", "PORT", "unix:PATH"; NULL: what systemd handed over, else
	                                  127.0.0.1:8080 */
	const char *token_file; /* its first line is the token */
	const char *tls_cert, *tls_key; /* PEM files; both or none */
	bool insecure;                  /* any address, without token or TLS */
	const char *const *origins;     /* of pages that may call the service, "https://host"; its own always may */
	size_t origin_count;
	const char *jobs;   /* directory of job files that may be run by name */
	const char *inbox;  /* directory that uploads go to */
	const char *outbox; /* directory that files are fetched from */
	const char *const
		*submit_roots; /* whole job files are taken, if all their paths lie below these; NULL: they are not */
	size_t submit_root_count;
	const char *const *identities; /* files with age identities, for what is fetched decoded */
	size_t identity_count;
	const char *state;         /* directory that exists, for what must outlive the process */
	uint64_t memory_bytes;     /* budget of all buffers, 128 KiB or more; 0: 256 MiB */
	uint64_t max_upload_bytes; /* 0: no limit */
	unsigned io_depth;         /* of a run; 0: 16 */
	unsigned threads;          /* of a run: CPUs; 0: all */
	unsigned runs;             /* at once; 0: 1 */
	unsigned connections;      /* at once; 0: 4096 */
	uint64_t timeout_ms;       /* of a client that is silent, or sends too slowly; 0: 60 s */
	uint64_t read_timeout_ms;  /* of one that takes a long reply too slowly; 0: 10 min; no less than timeout_ms */
	uint64_t min_rate;         /* bytes a second that are not too slow; 0: 100 */
	uint64_t drain_ms;         /* how long a stop waits for what is under way; 0: 30 s */
	/* A line for the administrator, fit for a terminal. Any thread. May be NULL. */
	void (*log)(void *ctx, bool is_error, const char *text);
	void *ctx;
};

/* BM_ERR_USAGE: what was asked for cannot be; nothing was done. BM_ERR_SYSTEM, BM_ERR_NOMEM. */
enum bm_status bm_serve_open(const struct bm_serve_options *opt, struct bm_serve **out, struct bm_error *err)
	BM_NODISCARD;
/* Blocks. BM_OK after a stop that left nothing undone; BM_ERR_CANCELLED: transfers or runs were cut off. */
enum bm_status bm_serve_run(struct bm_serve *s, struct bm_error *err) BM_NODISCARD;
void bm_serve_close(struct bm_serve *s); /* after bm_serve_run, or instead; NULL is fine */

/* The OpenAPI document. */
enum bm_status bm_serve_print_openapi(FILE *out, struct bm_error *err) BM_NODISCARD;

#endif
