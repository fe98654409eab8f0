/* page.h - the files of the page, as the build has put them into the program (cmake/embed.cmake). */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include <stddef.h>

struct serve_page_file {
	const char *name; /* "app.js" */
	const unsigned char *data;
	size_t len;
	const char *etag; /* with its quotes */
};
extern const struct serve_page_file serve_page_files[];
extern const size_t serve_page_file_count;

#endif
