/*
 * habits.h - what hands that know other programs type, and where it is to be found here.
 * Pure: nothing is printed or changed; any thread; the texts returned are static, and for a terminal as they are.
 */
#ifndef BM_CLI_HABITS_H
#define BM_CLI_HABITS_H

#include "bm_mem.h"
#include "options.h"

/* Of a word that is no command: what to do instead, as a clause; NULL where nothing is known of it. */
const char *bm_habit_of_command(const char *word);

/* Of an option (its letter, or its name without dashes) that command c has not: appends a clause that says what to do
 * instead; false, with nothing appended, where nothing is known of it. commands: all there are, NULL-terminated. */
bool bm_habit_of_option(struct bm_buf *out, const struct bm_cli_command *c, const char *word,
                        const struct bm_cli_command *const *commands);

#endif
