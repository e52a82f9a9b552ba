/* SPDX-License-Identifier: Apache-2.0 */
/* The description of the HTTP API, OpenAPI 3.1.0, from the table of commands. */
#include "admin/openapi.h"

#include "admin/api.h"
#include "admin/args.h"
#include "admin/password.h"
#include "admin/role.h"

static const char about[] =
	"Everything that the command `entente` does through the daemon, as HTTP operations: one command, one operation. The answer is what the "
	"command prints with --json; an error is a problem (RFC 9457) with the members code, hint, reason and exit.\n\n"
	"The API listens on a unix socket (who you are is what the kernel says) and, where admin.listen is set, on TCP (header Authorization: "
	"Bearer TOKEN, of `entente token add` or of /v1/login).\n\n"
	"What reads the policy carries its generation as ETag; what changes it obeys If-Match, and answers 412 when somebody else was faster.";

static json_t *text_of(struct buf *b)
{
	json_t *j = json_stringn(buf_slice(b).p ? buf_slice(b).p : "", b->len);
	buf_free(b);
	return j;
}

static json_t *ref(const char *to)
{
	return json_pack("{s:s}", "$ref", to);
}

static json_t *content(const char *type, json_t *schema)
{
	return json_pack("{s:{s:o}}", type, "schema", schema);
}

/* ---- arguments */

static void limits(json_t *s, const struct admin_arg *a)
{
	switch (a->type) {
	case ADMIN_BOOL: json_object_set_new(s, "type", json_string("boolean")); return;
	case ADMIN_UINT:
	case ADMIN_DURATION:
		json_object_set_new(s, "type", json_string("integer"));
		json_object_set_new(s, "minimum", json_integer(a->type == ADMIN_DURATION));
		json_object_set_new(s, "maximum", json_integer((json_int_t)a->max));
		return;
	default: break;
	}
	json_object_set_new(s, "type", json_string("string"));
	if (a->type == ADMIN_ENUM) {
		json_t *list = json_array();
		for (struct slice rest = slice_str(a->values); rest.p;) {
			struct slice one = admin_values_next(&rest);
			json_array_append_new(list, json_stringn(one.p, one.len));
		}
		json_object_set_new(s, "enum", list);
	} else if (a->type == ADMIN_PASSWORD) {
		json_object_set_new(s, "format", json_string("password"));
		json_object_set_new(s, "minLength", json_integer(ADMIN_PASSWORD_MIN));
		json_object_set_new(s, "maxLength", json_integer(ADMIN_PASSWORD_MAX));
		json_object_set_new(s, "writeOnly", json_true());
	} else if (a->type == ADMIN_TEXT || a->type == ADMIN_FILE) {
		json_object_set_new(s, "maxLength", json_integer((json_int_t)a->max));
	} else if (a->type == ADMIN_DOMAIN || a->type == ADMIN_PARTNER) {
		json_object_set_new(s, "format", json_string("idn-hostname"));
	}
}

static json_t *arg_help(const struct admin_arg *a)
{
	struct buf b;
	buf_init(&b, 8192);
	buf_puts(&b, a->type == ADMIN_PASSWORD ? "the password" : a->help);
	if (a->type == ADMIN_DURATION)
		buf_puts(&b, "; in seconds");
	if (a->def)
		buf_printf(&b, " (without it: %s)", a->def);
	if (a->roles) {
		buf_puts(&b, "; only for ");
		admin_roles_print(&b, a->roles | ADMIN_ROLE_ADMIN);
	}
	return text_of(&b);
}

static json_t *arg_schema(const struct admin_arg *a)
{
	json_t *s = json_object();
	limits(s, a);
	if (a->flags & ADMIN_MANY)
		s = json_pack("{s:s s:o}", "type", "array", "items", s);
	return s;
}

static json_t *parameters(const struct admin_command *c)
{
	json_t *list = json_array();
	for (size_t i = 0; i < c->n_args; i++) {
		const struct admin_arg *a = &c->args[i];
		json_t *p = json_pack("{s:s s:s s:b s:o s:o}", "name", a->name, "in", "query", "required", !!(a->flags & ADMIN_REQUIRED), "description",
				      arg_help(a), "schema", arg_schema(a));
		if (a->flags & ADMIN_MANY) {
			json_object_set_new(p, "style", json_string("form"));
			json_object_set_new(p, "explode", json_true());
		}
		json_array_append_new(list, p);
	}
	if (admin_api_policy(c))
		json_array_append_new(list, ref("#/components/parameters/Staged"));
	return list;
}

static json_t *body(const struct admin_command *c)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *schema = json_pack("{s:s s:b}", "type", "object", "additionalProperties", 0);
	for (size_t i = 0; i < c->n_args; i++) {
		const struct admin_arg *a = &c->args[i];
		json_t *s = arg_schema(a);
		json_object_set_new(s, "description", arg_help(a));
		json_object_set_new(properties, a->name, s);
		if (a->flags & ADMIN_REQUIRED)
			json_array_append_new(required, json_string(a->name));
	}
	bool needed = json_array_size(required);
	json_object_set_new(schema, "properties", properties);
	if (needed)
		json_object_set(schema, "required", required);
	json_decref(required);
	return json_pack("{s:b s:o}", "required", needed, "content", content("application/json", schema));
}

/* ---- answers */

/* The schema that stands at `path` ("partners[].domain") below an object's; made on the way. Nothing is said of leaves but what they mean:
 * the table does not know their types. */
static void member_put(json_t *schema, struct slice path, const char *help)
{
	struct slice word = slice_split(&path, '.');
	char key[96];
	bool list = slice_ends(word, S("[]")), any = slice_eq(word, S("*"));
	if (any) { /* members that the table does not name one by one */
		json_object_set_new(schema, "type", json_string("object"));
		json_object_set_new(schema, "description", json_string(help));
		json_object_set_new(schema, "additionalProperties", json_true());
		return;
	}
	slice_cstr(list ? slice_first(word, word.len - 2) : word, key, sizeof key);
	json_object_set_new(schema, "type", json_string("object"));
	json_t *properties = json_object_get(schema, "properties");
	if (!properties)
		json_object_set_new(schema, "properties", properties = json_object());
	json_t *member = json_object_get(properties, key);
	if (!member)
		json_object_set_new(properties, key, member = json_object());
	json_t *inner = member;
	if (list) {
		json_object_set_new(member, "type", json_string("array"));
		inner = json_object_get(member, "items");
		if (!inner)
			json_object_set_new(member, "items", inner = json_object());
	}
	if (path.p) {
		member_put(inner, path, help);
		if (!list) /* an object may be missing when there is nothing to say */
			json_object_set_new(member, "type", json_pack("[s,s]", "object", "null"));
	} else {
		json_object_set_new(member, "description", json_string(help));
	}
}

static json_t *answer_schema(const struct admin_command *c)
{
	json_t *s = json_pack("{s:s}", "type", "object");
	for (size_t i = 0; i < c->n_fields; i++)
		member_put(s, slice_str(c->fields[i].name), c->fields[i].help);
	return s;
}

static json_t *responses(const struct admin_command *c)
{
	json_t *types = content("application/json", answer_schema(c));
	json_t *headers = json_pack("{s:o s:o}", "Entente-Exit", ref("#/components/headers/Exit"), "Entente-Warnings", ref("#/components/headers/Warnings"));
	json_t *all;
	if (c->live)
		json_object_set_new(types, "text/event-stream", json_pack("{s:o}", "schema", ref("#/components/schemas/Events")));
	if (!c->changes && admin_api_policy(c))
		json_object_set_new(headers, "ETag", ref("#/components/headers/Generation"));
	all = json_pack("{s:{s:s s:o s:o}}", "200", "description", c->live ? "the result; as text/event-stream what happens until then, too" : "what the command prints with --json",
			"headers", headers, "content", types);
	if (c->changes && admin_api_policy(c))
		json_object_set_new(all, "412", ref("#/components/responses/Changed"));
	json_object_set_new(all, "default", ref("#/components/responses/Problem"));
	return all;
}

/* ---- operations */

static json_t *roles_of(const struct admin_command *c)
{
	json_t *list = json_array();
	for (size_t i = 0; i < admin_role_count(); i++)
		if (admin_may(admin_role(i)->bit, c))
			json_array_append_new(list, json_string(admin_role(i)->name));
	return list;
}

static json_t *description(const struct admin_command *c)
{
	struct buf b;
	buf_init(&b, 65536);
	buf_puts(&b, c->help ? c->help : c->summary);
	buf_puts(&b, "\n\nThe same as the command\n\n    ");
	admin_synopsis(&b, c);
	for (struct slice rest = slice_str(c->example); rest.p && rest.len;) {
		struct slice line = slice_split(&rest, '\n');
		buf_printf(&b, "\n\nExample: `%.*s`", SFMT(line));
	}
	return text_of(&b);
}

static void operation(json_t *paths, const struct admin_command *c)
{
	struct buf path, id;
	bool get = slice_eq(slice_str(admin_api_method(c)), S("GET"));
	buf_init(&path, 256);
	buf_init(&id, 256);
	admin_api_path(&path, c);
	admin_api_id(&id, c);
	json_t *tags = json_pack("[s]", c->path[0]), *where = text_of(&path);
	json_t *o = json_pack("{s:o s:s s:o s:o s:o s:b s:o}", "operationId", text_of(&id), "summary", c->summary, "description", description(c), "tags", tags,
			      "x-entente-roles", roles_of(c), "x-entente-changes", c->changes, "responses", responses(c));
	json_t *words = json_array(), *params = get ? parameters(c) : json_array();
	for (size_t i = 0; c->path[i]; i++)
		json_array_append_new(words, json_string(c->path[i]));
	json_object_set_new(o, "x-entente-command", words);
	if (c->changes && admin_api_policy(c))
		json_array_append_new(params, ref("#/components/parameters/IfMatch"));
	json_object_set_new(o, "parameters", params);
	if (!get)
		json_object_set_new(o, "requestBody", body(c));
	json_object_set_new(paths, json_string_value(where), json_pack("{s:o}", get ? "get" : "post", o));
	json_decref(where);
}

/* What is no command: who am I, and what happens. */
static void fixed(json_t *paths)
{
	static const char text[] =
		"{\"/v1/login\":{\"post\":{\"operationId\":\"login\",\"summary\":\"log in by account and password\",\"tags\":[\"session\"],\"security\":[],"
		"\"description\":\"Gives a token that is good for one hour. Wrong ones are answered more and more slowly, by account and by address: 429 says when to try again.\","
		"\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\",\"additionalProperties\":false,"
		"\"required\":[\"account\",\"password\"],\"properties\":{\"account\":{\"type\":\"string\",\"maxLength\":48},"
		"\"password\":{\"type\":\"string\",\"format\":\"password\",\"maxLength\":1024,\"writeOnly\":true}}}}}},"
		"\"responses\":{\"200\":{\"description\":\"a session\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
		"\"required\":[\"token\",\"expires_in\",\"role\"],\"properties\":{\"token\":{\"type\":\"string\"},\"expires_in\":{\"type\":\"integer\"},"
		"\"role\":{\"type\":\"string\"}}}}}},\"default\":{\"$ref\":\"#/components/responses/Problem\"}}}},"
		"\"/v1/logout\":{\"post\":{\"operationId\":\"logout\",\"summary\":\"end the session\",\"tags\":[\"session\"],"
		"\"responses\":{\"204\":{\"description\":\"it is over\"},\"default\":{\"$ref\":\"#/components/responses/Problem\"}}}},"
		"\"/v1/whoami\":{\"get\":{\"operationId\":\"whoami\",\"summary\":\"say who you are here\",\"tags\":[\"session\"],"
		"\"responses\":{\"200\":{\"description\":\"name and roles\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
		"\"required\":[\"who\",\"roles\"],\"properties\":{\"who\":{\"type\":\"string\"},\"roles\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
		"\"how\":{\"enum\":[\"socket\",\"token\",\"session\"]}}}}}},\"default\":{\"$ref\":\"#/components/responses/Problem\"}}}},"
		"\"/v1/openapi.json\":{\"get\":{\"operationId\":\"openapi\",\"summary\":\"this description\",\"tags\":[\"session\"],\"security\":[],"
		"\"responses\":{\"200\":{\"description\":\"OpenAPI 3.1\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\"}}}},"
		"\"default\":{\"$ref\":\"#/components/responses/Problem\"}}}},"
		"\"/v1/events\":{\"get\":{\"operationId\":\"events\",\"summary\":\"what happens, as it happens\",\"tags\":[\"session\"],"
		"\"description\":\"Server-sent events: status (the daemon's numbers, now and when they change), policy (a generation came into force), partner (a stream with it came up or went down), "
		"refusals (by reason, how many more), lost (how many events you did not get). Each has an id; the header Last-Event-ID goes on from there as far as the events are kept.\","
		"\"parameters\":[{\"name\":\"Last-Event-ID\",\"in\":\"header\",\"required\":false,\"schema\":{\"type\":\"string\"}}],"
		"\"responses\":{\"200\":{\"description\":\"events until one side ends it\",\"content\":{\"text/event-stream\":{\"schema\":{\"$ref\":\"#/components/schemas/Events\"}}}},"
		"\"default\":{\"$ref\":\"#/components/responses/Problem\"}}}}}";
	json_t *j = json_loads(text, 0, NULL);
	json_object_update(paths, j);
	json_decref(j);
}

static json_t *components(void)
{
	static const char text[] =
		"{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"over TCP: a token of `entente token add` or of /v1/login\"}},"
		"\"headers\":{\"Exit\":{\"description\":\"exit code of the command; 1: done, and the answer is no (a check found something)\",\"schema\":{\"type\":\"integer\"}},"
		"\"Warnings\":{\"description\":\"a JSON array of texts, when there are any\",\"schema\":{\"type\":\"string\"}},"
		"\"Generation\":{\"description\":\"generation of the policy\",\"schema\":{\"type\":\"string\"}}},"
		"\"parameters\":{\"Staged\":{\"name\":\"staged\",\"in\":\"query\",\"required\":false,\"description\":\"true: ask your draft (config begin), not what is in force\",\"schema\":{\"type\":\"boolean\"}},"
		"\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"required\":false,\"description\":\"ETag of what the change is based on\",\"schema\":{\"type\":\"string\"}}},"
		"\"responses\":{\"Problem\":{\"description\":\"it was not done\",\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}},"
		"\"Changed\":{\"description\":\"the policy has changed since the ETag was given\",\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}},"
		"\"schemas\":{\"Problem\":{\"type\":\"object\",\"description\":\"RFC 9457\",\"required\":[\"title\",\"status\",\"detail\",\"code\"],\"properties\":{"
		"\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\",\"minimum\":400,\"maximum\":599},\"detail\":{\"type\":\"string\"},"
		"\"code\":{\"type\":\"string\",\"description\":\"stable, for programs\"},\"hint\":{\"type\":\"string\",\"description\":\"what to do\"},"
		"\"reason\":{\"type\":\"string\",\"description\":\"reason ID, see /v1/reason\"},\"exit\":{\"type\":\"integer\",\"description\":\"exit code of the command\"}}},"
		"\"Events\":{\"type\":\"string\",\"description\":\"server-sent events (WHATWG HTML 9.2); the data of each is a JSON object. Of a command: event (what happens), then "
		"result (as the JSON answer) or problem.\"}}}";
	return json_loads(text, 0, NULL);
}

json_t *admin_openapi(void)
{
	json_t *paths = json_object(), *tags = json_array();
	fixed(paths);
	for (size_t i = 0; i < admin_command_count(); i++)
		if (admin_api_has(admin_command(i)))
			operation(paths, admin_command(i));
	for (size_t i = 0; i < admin_group_count(); i++)
		if (!admin_group(i)->path[1])
			json_array_append_new(tags, json_pack("{s:s s:s}", "name", admin_group(i)->path[0], "description", admin_group(i)->summary));
	return json_pack("{s:s s:{s:s s:s s:s s:{s:s s:s}} s:[{s:s s:s}] s:[{s:[]}] s:o s:o s:o}", "openapi", "3.1.0", "info", "title", "Entente", "version", ENTENTE_VERSION,
			 "description", about, "license", "name", "Apache-2.0", "identifier", "Apache-2.0", "servers", "url", "/", "description", "the daemon itself", "security",
			 "bearer", "tags", tags, "paths", paths, "components", components());
}

/* ---- entente api openapi */

int admin_openapi_run(struct admin_call *c)
{
	json_decref(c->data);
	c->data = admin_openapi();
	return ADMIN_EXIT_OK;
}

void admin_openapi_print(struct admin_call *c)
{
	char *text = json_dumps(c->data, JSON_INDENT(2));
	buf_puts(&c->text, text);
	buf_putc(&c->text, '\n');
	free(text);
}
