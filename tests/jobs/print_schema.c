/* print_schema - the JSON Schema of job files on standard output: what jobs/job.schema.json must hold. */
#include <stdio.h>

#include "bm_job.h"

int main(void)
{
	struct bm_error err = BM_ERROR_INIT;

	if (bm_schema_print(stdout, &err) != BM_OK || fflush(stdout) != 0) {
		fprintf(stderr, "print_schema: %s\n", err.text);
		return 1;
	}
	return 0;
}
