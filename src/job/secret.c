/*
 * Secret keys where they do not belong: in a job file, in a value that is put into one, in a program's parameters.
 *
 * A job file is copied, mailed, and checked in, and what is said about its faults is shown and logged. So a text with a
 * secret key of age in it is refused as a whole, before anything else is looked at, and never repeated. What is looked for
 * is the beginning that all such keys have, in either letter case, and enough behind it to be one: documentation may
 * speak of "AGE-SECRET-KEY-1...".
 */
#include "job_internal.h"

#include <ctype.h>
#include <strings.h>

#define KEY_BEGIN "AGE-SECRET-KEY-"
#define KEY_REST 16 /* of 58 and more characters that follow */

const char *job_find_secret(const char *text, size_t len)
{
	const size_t begin = sizeof(KEY_BEGIN) - 1;

	for (size_t i = 0; i + begin + KEY_REST <= len; i++) {
		size_t rest = 0;

		if (strncasecmp(text + i, KEY_BEGIN, begin) != 0)
			continue;
		while (rest < KEY_REST &&
		       (isalnum((unsigned char)text[i + begin + rest]) || text[i + begin + rest] == '-'))
			rest++;
		if (rest == KEY_REST)
			return text + i;
	}
	return NULL;
}
