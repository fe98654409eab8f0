/*
 * bag_target.h - a bag is made in a directory of its own: BAG_MARK in it says that it is not complete yet, and whose it is.
 *
 *	nothing in it				begin: BAG_MARK is made first
 *	BAG_MARK, no bagit.txt			an earlier run was stopped, or failed: go on
 *	BAG_MARK and bagit.txt			it is complete, but for BAG_MARK, which goes
 *	anything else				not ours, and left alone
 * To go on is to copy all files again, each over the one that is there, so that what was changed in the meantime is right.
 * Nothing of the payload is removed: what is there and would not be written again is an error.
 */
#ifndef BM_CLI_BAG_TARGET_H
#define BM_CLI_BAG_TARGET_H

#include <bytemill/error.h>
#include <stdbool.h>

#define BAG_MARK ".bytemill.bag"

struct bag_target {
	int mark;         /* its descriptor, locked; -1: none */
	bool resumes;     /* there was one */
	bool is_complete; /* nothing is left to do but the end */
};

/* to: the target, made where it is missing; dir: what is to be in it. BM_ERR_EXISTS: it is in use for something else, or
 * has files that dir has not. BM_ERR_CONFLICT: another process is making it. */
enum bm_status bag_target_begin(const char *to, const char *dir, struct bag_target *t, struct bm_error *err)
	BM_NODISCARD;
/* bagit.txt is there and durable. */
enum bm_status bag_target_end(const char *to, struct bag_target *t, struct bm_error *err) BM_NODISCARD;
void bag_target_fini(struct bag_target *t);

#endif
