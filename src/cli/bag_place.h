/*
 * bag_place.h - a directory becomes a bag where it is, by renames alone.
 *
 * Tag files are made in BAG_STAGE, a directory in it, while nothing has moved yet. Then there are three states, and a run
 * that finds one goes on from there:
 *	no STAGE/bagit.txt			nothing was moved: begin anew
 *	STAGE/bagit.txt and STAGE/data		the payload is on its way into STAGE/data
 *	STAGE/bagit.txt, no STAGE/data		all is complete, and on its way to where it belongs, bagit.txt last
 * At any instant every file of the payload is in one of two places, under its own name.
 */
#ifndef BM_CLI_BAG_PLACE_H
#define BM_CLI_BAG_PLACE_H

#include <bytemill/error.h>
#include <stdbool.h>

#define BAG_STAGE ".bytemill.bag"

/* Makes an empty STAGE with an empty STAGE/data, or finds one to go on with (*resumes). BM_ERR_EXISTS: dir is a bag. */
enum bm_status bag_place_begin(const char *dir, bool *resumes, struct bm_error *err) BM_NODISCARD;
/* Moves all. STAGE/bagit.txt is there. */
enum bm_status bag_place_move(const char *dir, struct bm_error *err) BM_NODISCARD;
void bag_place_abandon(const char *dir); /* nothing was moved: STAGE goes */

#endif
