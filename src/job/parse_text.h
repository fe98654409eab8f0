/* parse_text.h - what parse_value.c (values of all types) and parse_text.c (strings) share. */
#ifndef PARSE_TEXT_H
#define PARSE_TEXT_H

#include "job_internal.h"

/* Strings: the value v, or what stands in the field already, is what the option takes; else the fault was told. base: the
 * directory that a path is relative to. */
bool job_text_set(struct job_report *r, const struct bm_option *o, char **field, const json_t *v, const char *base);
bool job_texts_set(struct job_report *r, const struct bm_option *o, struct bm_strings *field, const json_t *v,
                   const char *base);
bool job_text_check(struct job_report *r, const struct bm_option *o, bool in_list, const char *text, bool from_file);
bool job_texts_check(struct job_report *r, const struct bm_option *o, const struct bm_strings *s);

/* The string of v with ${NAME} replaced, malloc'd; NULL on a fault. */
char *job_text_substituted(struct job_report *r, const struct bm_option *o, bool in_list, const json_t *v);

/* Faults. in_list: what was found stands in the option's array. */
void job_value_fault(struct job_report *r, const struct bm_option *o, bool in_list, const json_t *v);
void job_value_fault_text(struct job_report *r, const struct bm_option *o, bool in_list, const char *suggestion,
                          const char *text);
void job_value_fault_why(struct job_report *r, const struct bm_option *o, const struct bm_error *why);

#endif
