/* files.h - what files.c (as they are) and decode.c (what is in them) share. */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

#include "http_text.h"
#include "serve_internal.h"

/* Adds ETag, Last-Modified and Accept-Ranges, and looks at the conditions of the request: false: replied. suffix is put
 * at the end of the tag. */
bool serve_file_head(struct serve_request *r, const struct stat *st, const char *suffix);
/* What Range asks for of size bytes, as http_ranges_parse; NONE too where If-Range says so. NOT_SATISFIABLE: replied. */
enum http_ranges serve_file_ranges(struct serve_request *r, const struct stat *st, const char *suffix, uint64_t size,
                                   struct http_range out[static HTTP_RANGES_MAX], size_t *count);
void serve_add_content_range(struct serve_request *r, const struct http_range *range, uint64_t size);

/* decode.c: replies with what is in the file, which is fd's; fd is taken. */
void serve_decode_file(struct serve_request *r, int fd, const struct stat *st);

#endif
