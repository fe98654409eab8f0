/*
 * signals.h - SIGINT, SIGTERM and SIGHUP stop a run cleanly; process-wide start conditions.
 *
 *	bm_signals_begin()   before the run's threads are made
 *	bm_run_start(...)
 *	bm_signals_attach()  from now on a signal cancels
 *	bm_run_wait(...)
 *	bm_signals_detach()  before bm_run_destroy
 *	(the closing summary)
 *	bm_signals_end()     dies of the signal where one came
 *
 * All of it is for the main thread.
 */
#ifndef BM_CLI_SIGNALS_H
#define BM_CLI_SIGNALS_H

#include <stdbool.h>

#include <bytemill/bytemill.h>

/* Once, first thing in main: descriptors 0 to 2 are made to be something, SIGPIPE and SIGXFSZ become error codes, the
 * soft limit of open files is raised. */
void bm_signals_prepare_process(void);

/* Blocks the signals in this thread (and so in those made from now on) and starts the thread that takes them. */
enum bm_status bm_signals_begin(bool quiet, struct bm_error *err) BM_NODISCARD;
void bm_signals_attach(struct bm_run *run); /* borrowed until bm_signals_detach */
void bm_signals_detach(void);
const char *bm_signals_name(void); /* "SIGINT" where one came, else NULL; static */
int bm_signals_number(void);       /* its number, else 0 */
/* For poll(2) alone: becomes readable when the first one comes, and stays so. -1 where none is waited for. */
int bm_signals_fd(void);
/* Ends the thread and, where a signal came, this process by that signal. Does nothing without a begin. */
void bm_signals_end(void);

#endif
