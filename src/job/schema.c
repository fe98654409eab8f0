/*
 * The JSON Schema of job files (draft 2020-12), made from the tables. For editors, which complete and explain from it,
 * and for checking that the program and the schema agree: it accepts every file that the program accepts, and refuses
 * what can be seen without knowing the environment, the disk, or two values together.
 *
 * The shape: the root is a file of jobs where it has the key "jobs", else it is a job. Jobs stand twice, since only at
 * the root "$schema" is a key as well and every object is closed. A step is picked by its "step" with if/then rather
 * than with oneOf, so that a validator's message is about the step that was meant and not about all of them. The first
 * step and the later ones are two lists of kinds. A string with ${NAME} in it can become anything, so where a string
 * must have a form, one that holds "${" passes.
 */
#include "job_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_json.h"

#define DRAFT "https://json-schema.org/draft/2020-12/schema"
#define NAMED_PATTERN "[$][{]"
#define SIZE_PATTERN "^[0-9]+([.][0-9]+)? *([kKmMgGtTpP][iI]?)?[bB]?$"
#define DURATION_PATTERN "^([0-9]+([.][0-9]+)? *[a-zA-Z]* *)+$"

/* Owned values are handed down with the _new functions; NULL (no memory) makes the whole NULL in the end. */
static json_t *object_of(const char *key, json_t *value)
{
	json_t *o = json_object();

	if (json_object_set_new(o, key, value) == 0)
		return o;
	json_decref(o);
	return NULL;
}

/* false on no memory; steals value. */
static bool put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static json_t *array_of(json_t *a, json_t *b)
{
	json_t *list = json_array();
	int bad = json_array_append_new(list, a);

	bad |= json_array_append_new(list, b);
	if (bad == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *ref(const char *name)
{
	char text[80];

	snprintf(text, sizeof(text), "#/$defs/%s", name);
	return object_of("$ref", json_string(text));
}

static json_t *string_type(bool may_be_empty)
{
	json_t *s = object_of("type", json_string("string"));

	if (s == NULL || may_be_empty || put(s, "minLength", json_integer(1)))
		return s;
	json_decref(s);
	return NULL;
}

static json_t *names_array(const char *const *values)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && values[i] != NULL; i++) {
		if (json_array_append_new(list, json_string(values[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *enum_type(const char *const *values)
{
	return object_of("anyOf", array_of(object_of("enum", names_array(values)), ref("substituted")));
}

static json_t *integer_type(int64_t min, int64_t max, bool has_max)
{
	json_t *o = object_of("type", json_string("integer"));

	if (o != NULL && put(o, "minimum", json_integer(min)) && (!has_max || put(o, "maximum", json_integer(max))))
		return o;
	json_decref(o);
	return NULL;
}

/* item, or an array of them; steals item. */
static json_t *one_or_many(json_t *item, bool at_least_one, bool unique)
{
	json_t *many = object_of("type", json_string("array"));

	if (item != NULL && many != NULL && json_object_set(many, "items", item) == 0 &&
	    (!at_least_one || put(many, "minItems", json_integer(1))) &&
	    (!unique || put(many, "uniqueItems", json_true())))
		return object_of("anyOf", array_of(item, many));
	json_decref(item);
	json_decref(many);
	return NULL;
}

/* A closed object; steals properties and required. */
static json_t *closed_object(const char *description, json_t *properties, json_t *required)
{
	json_t *o = object_of("description", json_string(description));

	if (o == NULL) {
		json_decref(properties);
		json_decref(required);
		return NULL;
	}
	if (!put(o, "type", json_string("object"))) {
		json_decref(properties);
		json_decref(required);
	} else if (!put(o, "properties", properties)) {
		json_decref(required);
	} else if (put(o, "required", required) && put(o, "additionalProperties", json_false())) {
		return o;
	}
	json_decref(o);
	return NULL;
}

static json_t *property_of(const struct bm_option *o);

static json_t *object_type(const struct bm_option *o)
{
	json_t *properties = json_object(), *required = json_array(), *type;

	for (size_t i = 0; i < o->field_count; i++)
		if (!put(properties, o->fields[i].name, property_of(&o->fields[i])) ||
		    (o->fields[i].required && json_array_append_new(required, json_string(o->fields[i].name)) != 0)) {
			json_decref(properties);
			json_decref(required);
			return NULL;
		}
	type = closed_object(o->help, properties, required);
	if (type != NULL)
		json_object_del(type, "description"); /* the property has it */
	return type;
}

/* The schema of one option's value, without its description. */
static json_t *type_of(const struct bm_option *o)
{
	json_t *t;

	switch (o->type) {
	case BM_OPTION_STRING:
		/* The length is bound in bytes there and in characters here, which are never more. */
		t = string_type(o->min == 0);
		if (t != NULL && o->max > 0 && !put(t, "maxLength", json_integer(o->max))) {
			json_decref(t);
			t = NULL;
		}
		return t;
	case BM_OPTION_PATH:
	case BM_OPTION_TEMPLATE:
	case BM_OPTION_NAME:
		return string_type(false);
	case BM_OPTION_PATHS:
	case BM_OPTION_FILES:
		return one_or_many(string_type(false), true, false);
	case BM_OPTION_GLOBS:
		return one_or_many(string_type(false), false, false);
	case BM_OPTION_STRINGS:
		return one_or_many(string_type(true), o->min > 0, false);
	case BM_OPTION_INTEGER:
		return integer_type(o->min, o->max, true);
	case BM_OPTION_SIZE:
		return object_of("anyOf", array_of(integer_type(o->min, o->max, o->max > 0), ref("size")));
	case BM_OPTION_DURATION:
		return object_of("anyOf", array_of(integer_type(0, 0, false), ref("duration")));
	case BM_OPTION_BOOL:
		return object_of("type", json_string("boolean"));
	case BM_OPTION_ENUM:
		return enum_type(o->values);
	case BM_OPTION_ENUMS:
		return one_or_many(enum_type(o->values), true, true);
	case BM_OPTION_OBJECT:
		return object_type(o);
	case BM_OPTION_OBJECTS:
		return one_or_many(object_type(o), false, false);
	}
	return NULL;
}

static json_t *property_of(const struct bm_option *o)
{
	json_t *p = object_of("description", json_string(o->help));
	json_t *type = type_of(o);

	if (p == NULL || type == NULL || json_object_update(p, type) != 0)
		goto fail;
	if (o->default_json != NULL && !put(p, "default", bm_json_load(o->default_json, strlen(o->default_json))))
		goto fail;
	json_decref(type);
	return p;
fail:
	json_decref(type);
	json_decref(p);
	return NULL;
}

static bool put_properties(json_t *properties, const struct bm_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!put(properties, options[i].name, property_of(&options[i])))
			return false;
	return true;
}

static json_t *step_object(const struct bm_step_kind *kind)
{
	json_t *properties = object_of("step", object_of("const", json_string(kind->name)));
	json_t *required = json_array();

	if (properties == NULL || required == NULL || json_array_append_new(required, json_string("step")) != 0 ||
	    !put_properties(properties, kind->options, kind->option_count))
		goto fail;
	for (size_t i = 0; i < kind->option_count; i++)
		if (kind->options[i].required &&
		    json_array_append_new(required, json_string(kind->options[i].name)) != 0)
			goto fail;
	return closed_object(kind->help, properties, required);
fail:
	json_decref(properties);
	json_decref(required);
	return NULL;
}

/* An object whose "step" is one of the kinds that may stand first, or later. */
static json_t *any_step(bool first)
{
	json_t *names = json_array();
	json_t *rules = json_array();
	json_t *o = NULL;
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);

	for (size_t i = 0; i < count; i++) {
		char name[64];
		json_t *rule;

		if ((kinds[i]->role == BM_ROLE_READ) != first)
			continue;
		snprintf(name, sizeof(name), "step_%s", kinds[i]->name);
		rule = object_of("if", object_of("properties",
		                                 object_of("step", object_of("const", json_string(kinds[i]->name)))));
		if (rule == NULL || !put(rule, "then", ref(name))) {
			json_decref(rule);
			goto fail;
		}
		if (json_array_append_new(rules, rule) != 0 ||
		    json_array_append_new(names, json_string(kinds[i]->name)) != 0)
			goto fail;
	}
	o = object_of("type", json_string("object"));
	if (o == NULL || !put(o, "properties", object_of("step", object_of("enum", names)))) {
		names = NULL;
		goto fail;
	}
	names = NULL;
	if (!put(o, "required", json_pack("[s]", "step")) || !put(o, "allOf", rules)) {
		rules = NULL;
		goto fail;
	}
	return o;
fail:
	json_decref(names);
	json_decref(rules);
	json_decref(o);
	return NULL;
}

static json_t *steps_property(void)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:[o], s:o}", "description",
	                 "what is done to the bytes of every file, in this order; the first step is read", "type",
	                 "array", "minItems", 1, "maxItems", JOB_MAX_STEPS, "prefixItems", ref("first_step"), "items",
	                 ref("later_step"));
}

/* schema_key: may be NULL; else the schema of the key "$schema". Stolen. */
static json_t *job_object(json_t *schema_key)
{
	json_t *properties = json_object();
	size_t count;
	const struct bm_option *options = bm_job_options(&count);

	if (schema_key != NULL && !put(properties, "$schema", schema_key))
		goto fail;
	if (put_properties(properties, options, count) && put(properties, "steps", steps_property()))
		return closed_object("a job: which files, and what is done to them", properties,
		                     json_pack("[s]", "steps"));
fail:
	json_decref(properties);
	return NULL;
}

static json_t *jobs_object(json_t *schema_key)
{
	json_t *properties = object_of("$schema", schema_key);
	json_t *jobs = json_pack("{s:s, s:s, s:i, s:o, s:o, s:o}", "description",
	                         "the jobs of this file; they share one pool of threads", "type", "array", "minItems",
	                         1, "items", ref("job"), "if", json_pack("{s:i}", "minItems", 2), "then",
	                         json_pack("{s:{s:[s]}}", "items", "required", "name"));

	if (properties != NULL && put(properties, "jobs", jobs))
		return closed_object("a file of several jobs", properties, json_pack("[s]", "jobs"));
	json_decref(properties);
	return NULL;
}

static json_t *schema_key(void)
{
	return json_pack("{s:s, s:s}", "description", "where an editor finds this schema; not used by bytemill", "type",
	                 "string");
}

static json_t *form(const char *description, const char *pattern)
{
	return json_pack("{s:s, s:s, s:[{s:s}, {s:s}]}", "description", description, "type", "string", "anyOf",
	                 "pattern", pattern, "pattern", NAMED_PATTERN);
}

static json_t *definitions(void)
{
	json_t *d = json_object();
	size_t count;
	const struct bm_step_kind *const *kinds = bm_step_kinds(&count);

	if (!put(d, "jobs_file", jobs_object(schema_key())) || !put(d, "job_file", job_object(schema_key())) ||
	    !put(d, "job", job_object(NULL)) || !put(d, "first_step", any_step(true)) ||
	    !put(d, "later_step", any_step(false)))
		goto fail;
	for (size_t i = 0; i < count; i++) {
		char name[64];

		snprintf(name, sizeof(name), "step_%s", kinds[i]->name);
		if (!put(d, name, step_object(kinds[i])))
			goto fail;
	}
	if (put(d, "size", form("as \"64KiB\", \"1.5MiB\" or \"2GB\"; or the number of bytes", SIZE_PATTERN)) &&
	    put(d, "duration", form("as \"90s\", \"1h30m\" or \"1d\"; or the number of seconds", DURATION_PATTERN)) &&
	    put(d, "substituted",
	        json_pack("{s:s, s:s, s:s}", "description", "holds ${NAME}, which is replaced before use", "type",
	                  "string", "pattern", NAMED_PATTERN)))
		return d;
fail:
	json_decref(d);
	return NULL;
}

enum bm_status bm_schema_print(FILE *out, struct bm_error *err)
{
	enum bm_status st = BM_OK;
	char *text = NULL;
	json_t *root = json_pack(
		"{s:s, s:s, s:s, s:s, s:{s:[s]}, s:o, s:o, s:o}", "$schema", DRAFT, "title", "Bytemill job file",
		"description", "Made by `bytemill steps --schema`; not to be edited.", "type", "object", "if",
		"required", "jobs", "then", ref("jobs_file"), "else", ref("job_file"), "$defs", definitions());

	if (root != NULL)
		text = json_dumps(root, JSON_INDENT(2));
	if (text == NULL)
		st = bm_error_set_nomem(err);
	else if (fprintf(out, "%s\n", text) < 0)
		st = bm_error_set(err, BM_ERR_SYSTEM, NULL, "the schema could not be written");
	free(text);
	json_decref(root);
	return st;
}
