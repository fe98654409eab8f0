/*
 * cmd_serve.c - bytemill serve: the HTTP service (src/serve) with what the command line says.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_state.h"
#include "bm_text.h"
#include "console.h"
#include "guard.h"
#ifdef BM_HAVE_SERVE
#include "bm_serve.h"
#endif

#define COMMAND "serve"
#define AT(field) offsetof(struct bm_cli_options, field)

static const struct bm_cli_option options[] = {
	{
		.name = "listen",
		.type = BM_CLI_TEXT,
		.offset = AT(listen),
		.arg = "WHERE",
		.help = "ADDR:PORT, PORT or unix:PATH (default: systemd's socket, else 127.0.0.1:8080)",
	},
	{
		.name = "token-file",
		.type = BM_CLI_TEXT,
		.offset = AT(token_file),
		.arg = "FILE",
		.is_path = true,
		.help = "whoever calls must send the token in FILE's first line: Authorization: Bearer TOKEN",
	},
	{
		.name = "tls-cert",
		.type = BM_CLI_TEXT,
		.offset = AT(tls_cert),
		.arg = "FILE",
		.is_path = true,
		.help = "speak TLS, with this certificate (PEM, with those that vouch for it)",
	},
	{
		.name = "tls-key",
		.type = BM_CLI_TEXT,
		.offset = AT(tls_key),
		.arg = "FILE",
		.is_path = true,
		.help = "the certificate's key (PEM)",
	},
	{
		.name = "insecure",
		.type = BM_CLI_FLAG,
		.offset = AT(insecure),
		.help = "listen at any address without a token and TLS: a proxy sees to both",
	},
	{
		.name = "allow-origin",
		.type = BM_CLI_TEXTS,
		.offset = AT(origins),
		.arg = "ORIGIN",
		.help = "pages of https://HOST may call the service too; repeatable",
	},
	{
		.name = "jobs",
		.type = BM_CLI_TEXT,
		.offset = AT(jobs_dir),
		.arg = "DIR",
		.is_path = true,
		.help = "the job files NAME.json in DIR may be run by name",
	},
	{
		.name = "allow-submit",
		.type = BM_CLI_TEXTS,
		.offset = AT(submit_roots),
		.arg = "DIR",
		.help = "run whole job files that are sent, if all that they read and write is below DIR; repeatable",
	},
	{
		.name = "inbox",
		.type = BM_CLI_TEXT,
		.offset = AT(inbox),
		.arg = "DIR",
		.is_path = true,
		.help = "take files, and put them below DIR",
	},
	{
		.name = "outbox",
		.type = BM_CLI_TEXT,
		.offset = AT(outbox),
		.arg = "DIR",
		.is_path = true,
		.help = "give out the files below DIR",
	},
	{
		.name = "identity",
		.letter = 'i',
		.type = BM_CLI_TEXTS,
		.offset = AT(identities),
		.arg = "FILE",
		.help = "open age files with the keys in FILE, for what is fetched with ?decode=1; repeatable",
	},
	{
		.name = "runs",
		.type = BM_CLI_UNSIGNED,
		.offset = AT(runs),
		.arg = "N",
		.min = 1,
		.max = 64,
		.help = "so many runs at once, which share --memory (default 1); others wait",
	},
	{
		.name = "max-upload",
		.type = BM_CLI_SIZE,
		.offset = AT(max_upload_bytes),
		.arg = "SIZE",
		.help = "take no larger file (default: no limit)",
	},
	{
		.name = "connections",
		.type = BM_CLI_UNSIGNED,
		.offset = AT(connections),
		.arg = "N",
		.min = 1,
		.max = 60000,
		.help = "so many at once (default 4096)",
	},
	{
		.name = "timeout",
		.type = BM_CLI_DURATION,
		.offset = AT(timeout_ms),
		.arg = "TIME",
		.help = "cut off clients that are silent for so long, or send too slowly (default 60s)",
	},
	{
		.name = "read-timeout",
		.type = BM_CLI_DURATION,
		.offset = AT(read_timeout_ms),
		.arg = "TIME",
		.help = "cut off those that take too little of a long reply for so long (default 10m)",
	},
	{
		.name = "min-rate",
		.type = BM_CLI_SIZE,
		.offset = AT(min_rate),
		.arg = "SIZE",
		.help = "too slow and too little: less than SIZE a second (default 100 bytes)",
	},
	{
		.name = "drain",
		.type = BM_CLI_DURATION,
		.offset = AT(drain_ms),
		.arg = "TIME",
		.help = "on SIGTERM let what is under way go on for so long (default 30s)",
	},
	{
		.name = "openapi",
		.type = BM_CLI_FLAG,
		.offset = AT(openapi),
		.help = "print the OpenAPI document, and do nothing else",
	},
};

#ifdef BM_HAVE_SERVE

struct talk {
	bool quiet;
};

static void say(void *ctx, bool is_error, const char *text)
{
	const struct talk *t = ctx;

	bm_console_tell(bm_console_unless(t->quiet && !is_error), is_error ? BM_CONSOLE_ERROR : BM_CONSOLE_PLAIN, "%s",
	                text);
}

static int serve(const struct bm_cli_options *o)
{
	struct talk talk = {o->quiet};
	struct bm_serve_options opt = {
		.listen = o->listen,
		.token_file = o->token_file,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.insecure = o->insecure,
		.origins = o->origins.items,
		.origin_count = o->origins.count,
		.jobs = o->jobs_dir,
		.submit_roots = o->submit_roots.items,
		.submit_root_count = o->submit_roots.count,
		.inbox = o->inbox,
		.outbox = o->outbox,
		.identities = o->identities.items,
		.identity_count = o->identities.count,
		.memory_bytes = o->memory_bytes,
		.max_upload_bytes = o->max_upload_bytes,
		.threads = o->threads,
		.io_depth = o->io_depth,
		.runs = o->runs,
		.connections = o->connections,
		.timeout_ms = o->timeout_ms,
		.read_timeout_ms = o->read_timeout_ms,
		.min_rate = o->min_rate,
		.drain_ms = o->drain_ms,
		.log = say,
		.ctx = &talk,
	};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_serve *s = NULL;
	enum bm_status status;
	char *state = NULL, shown[200];
	int rc = BM_EXIT_DONE;

	if (o->operand_count > 0)
		return bm_usage_error(
			COMMAND,
			"serve takes options alone, and \"%s\" is none; --jobs DIR names the directory of "
			"job files",
			bm_escape_display_buf(shown, sizeof(shown), o->operands[0], strlen(o->operands[0])));
	if (o->openapi) {
		if (bm_serve_print_openapi(stdout, &err) == BM_OK)
			return BM_EXIT_DONE;
		bm_console_say_error(&err);
		return BM_EXIT_FAILED;
	}
	if (o->jobs_dir == NULL && o->inbox == NULL && o->outbox == NULL && o->submit_roots.count == 0)
		return bm_usage_error(COMMAND,
		                      "there is nothing to serve; give --jobs, --allow-submit, --inbox or --outbox");
	for (size_t i = 0; i < o->origins.count; i++) {
		const char *host = strstr(o->origins.items[i], "://");

		if (host == NULL || host[3] == '\0' || strchr(host + 3, '/') != NULL)
			return bm_usage_error(COMMAND,
			                      "--allow-origin is \"%s\"; allowed: what a browser sends, as "
			                      "https://HOST or http://HOST:PORT, with nothing behind it",
			                      bm_escape_display_buf(shown, sizeof(shown), o->origins.items[i],
			                                            strlen(o->origins.items[i])));
	}
	bm_guard_process();
	status = bm_state_dir(o->state, &state, &err);
	opt.state = state;
	if (status == BM_OK)
		status = bm_serve_open(&opt, &s, &err);
	if (status != BM_OK) {
		bm_console_say_error(&err);
		bm_console_say(BM_CONSOLE_PLAIN, "nothing was done");
		free(state);
		return BM_EXIT_USAGE;
	}
	status = bm_serve_run(s, &err);
	if (status != BM_OK) {
		bm_console_say_error(&err);
		rc = BM_EXIT_FAILED;
	}
	bm_serve_close(s);
	free(state);
	return rc;
}

#else

static int serve(const struct bm_cli_options *o)
{
	(void)o;
	return bm_usage_error(COMMAND, "this bytemill is built without the service (libmicrohttpd, BM_WITH_SERVE)");
}

#endif

const struct bm_cli_command bm_cmd_serve = {
	.name = COMMAND,
	.operands = "--jobs DIR | --inbox DIR | --outbox DIR ...",
	.summary = "serve files and jobs over HTTP",
	.about = "Takes files over HTTP through a job's steps as they arrive, and gives files out, by range too.\n"
		 "GET /openapi.json describes all of it. Ends on SIGTERM or SIGINT, when what is under way is done.",
	.options = options,
	.option_count = BM_CLI_COUNT(options),
	.groups = BM_CLI_TALK | BM_CLI_RESOURCES | BM_CLI_STATE,
	.epilog = "Examples:\n"
		  "  bytemill serve --inbox /srv/in --outbox /srv/out\n"
		  "  curl -T photo.jpg http://127.0.0.1:8080/v1/files/2026/photo.jpg\n"
		  "  curl -r 0-99 http://127.0.0.1:8080/v1/files/report.csv\n"
		  "\n"
		  "Exit codes:\n"
		  "  0 stopped, with nothing cut off; 1 transfers had to be cut off, or the service failed;\n"
		  "  2 usage, or an address, file or directory that cannot be used\n",
	.run = serve,
};
