/*
 * bm_report.h - the report of a run as JSON Lines: an object a file, and a summary at the end. Keys stand in a fixed
 * order, and all are there, but for those marked optional:
 *
 *	{"type":"file","job":"j","path":"a/b","input":"/root/a/b","state":"done|skipped|failed",
 *	 "unchanged":true,						optional: skipped since it was done before
 *	 "verdict":"ok","other":"c/d",						both optional: enum bm_verdict
 *	 "bytes":12,"removed":true,						removed: optional
 *	 "digests":[{"step":1,"algorithm":"sha256","hex":"00ff","bytes":12}],
 *	 "outputs":[{"step":3,"path":"/backup/a/b.gz","bytes":9,"skipped":true}],	skipped: optional
 *	 "warnings":["..."],
 *	 "damage":{"size":5000000,"found":5000000,"bytes":1048576,"ranges":[[1048576,2097151]],
 *		"more_ranges":0},				optional: struct bm_file_damage
 *	 "error":{"status":"system call failed","errno":2,"where":"...","text":"..."}}	optional; errno, where too
 *	{"type":"summary","run":"...","jobs_done":1,"jobs_failed":0,"jobs_skipped":0,
 *	 "files_done":1,"files_failed":0,"files_skipped":0,"files_removed":1,	the last one: optional
 *	 "passed_over":{"symlinks":0,"special":0,"other_filesystem":0,"own_outputs":0},
 *	 "bytes_read":12,"bytes_written":9,"elapsed_ms":4,
 *	 "verdicts":{"ok":1,"changed":0 ...},"bad_lines":0,			both optional: where something was verified
 *	 "cancelled":false,"error":{...}}						error: optional
 *
 * Behind the summary of an audit with --repair-from: {"type":"repair","path":"a","verdict":"rotted","result":"repaired",
 * "whole":false,"bytes":N,"size":N,"ranges":[[0,1]],"more_ranges":0} a file, and {"type":"repairs","repaired":N,
 * "unrepaired":N} (src/cli/audit_repair_cli.c).
 *
 * bytes of a digest are those digested, at the step's place. path is relative to the read root, input what a user would call the file (two roots may hold one path). A name (job,
 * path, input) that is not UTF-8 has U+FFFD for each wrong byte, and beside it NAME_base64 with the exact ones.
 * No shared state: any thread, one at a time per buffer.
 */
#ifndef BM_REPORT_H
#define BM_REPORT_H

#include <bytemill/bytemill.h>

#include "bm_mem.h"

/* Append one line with its end. Fail only by out->oom: the line may then be cut short. */
void bm_report_file(struct bm_buf *out, const struct bm_file_result *f);
void bm_report_summary(struct bm_buf *out, const char *run_id, const struct bm_summary *s);

#endif
