/* SPDX-License-Identifier: Apache-2.0 */
/* What a request asks for: who asks, which command, and the answer of the command as an answer of HTTP. */
#include "admin/api.h"
#include "api/api_int.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- who */

static bool host_ok(const struct client *c, struct slice host)
{
	struct slice name = http_host_name(host);
	const struct config *cfg = c->api->cfg;
	if (c->local)
		return true;
	if (!name.p)
		return false;
	/* a page that makes its name point at us (DNS rebinding) sends that name */
	if (addr_is_literal(name) || slice_ieq(name, S("localhost")) || slice_ieq(name, slice_str(cfg->server_name)))
		return true;
	for (size_t i = 0; i < cfg->admin_hosts.n; i++)
		if (slice_ieq(name, slice_str(cfg->admin_hosts.items[i])))
			return true;
	return false;
}

static struct slice bearer_of(struct slice authorization)
{
	struct slice rest = authorization, scheme = slice_split(&rest, ' ');
	return slice_ieq(scheme, S("Bearer")) && rest.p ? slice_trim(rest) : SLICE_NONE;
}

/* False: answered. */
static bool identify(struct client *c, const struct http_request *r)
{
	static const struct slice challenge = S("WWW-Authenticate: Bearer realm=\"entente\"\r\n");
	char from[ADDR_TEXT];
	c->who = (struct identity){.how = "socket"};
	if (!r->authorization.p && c->local) {
		slice_cstr(slice_str(c->peer.who), c->who.who, sizeof c->who.who);
		c->who.roles = c->peer.roles;
		return true;
	}
	struct slice secret = bearer_of(r->authorization);
	if (secret.len && identities_find(c->api->who, secret, clock_unix(), &c->who))
		return true;
	if (r->authorization.p) {
		client_address(c, from);
		log_ev_limited(LOG_WARNING, "api/unknown-token", slice_str(from), {"address", slice_str(from)});
	}
	client_problem(c, 401, "unauthorized", "Authorization: Bearer TOKEN, of `entente token add` or of /v1/login", challenge,
		       r->authorization.p ? "the token is not known, or good no longer" : "who are you?");
	return false;
}

/* ---- the answer of a command */

static struct slice text_member(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

/* The document of RFC 9457; the caller's. */
static json_t *problem_of(int status, int exit, json_t *response)
{
	json_t *error = json_object_get(response, "error"), *data = json_object_get(response, "data"), *text = json_object_get(error, "text");
	json_t *p = json_pack("{s:s s:i s:i}", "title", http_status_text(status), "status", status, "exit", exit);
	json_object_set_new(p, "detail", text ? json_incref(text) : json_string("it was not done; `data` says why"));
	json_object_set_new(p, "code", error ? json_incref(json_object_get(error, "code")) : json_string(exit == ADMIN_EXIT_CONFIG ? "config" : "failed"));
	if (json_object_get(error, "hint"))
		json_object_set(p, "hint", json_object_get(error, "hint"));
	if (json_object_get(error, "reason"))
		json_object_set(p, "reason", json_object_get(error, "reason"));
	if (data)
		json_object_set(p, "data", data);
	if (json_object_get(response, "warnings"))
		json_object_set(p, "warnings", json_object_get(response, "warnings"));
	return p;
}

static void tell_change(const struct client *c, int status)
{
	char from[ADDR_TEXT], number[16];
	struct buf path;
	if (!c->command->changes && !c->command->live)
		return;
	buf_init(&path, 256);
	admin_path_print(&path, c->command->path);
	client_address(c, from);
	snprintf(number, sizeof number, "%d", status);
	log_ev(LOG_INFO, "api/operation", {"who", slice_str(c->who.who)}, {"address", slice_str(from)}, {"command", buf_slice(&path)}, {"status", slice_str(number)});
	buf_free(&path);
}

static void headers_put(const struct client *c, int exit, json_t *response, struct buf *out)
{
	json_t *warnings = json_object_get(response, "warnings");
	char *text = warnings ? json_dumps(warnings, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	buf_printf(out, "Entente-Exit: %d\r\n", exit);
	if (text && strlen(text) <= 4096)
		buf_printf(out, "Entente-Warnings: %s\r\n", text);
	if (json_is_true(json_object_get(response, "staged")))
		buf_puts(out, "Entente-Staged: true\r\n");
	else if (admin_api_policy(c->command) && json_object_get(response, "generation"))
		buf_printf(out, "ETag: \"g%jd\"\r\n", (intmax_t)json_integer_value(json_object_get(response, "generation")));
	free(text);
}

static void finish(struct client *c, json_t *response)
{
	int exit = (int)json_integer_value(json_object_get(response, "exit"));
	struct slice code = text_member(json_object_get(response, "error"), "code");
	char z[64];
	slice_cstr(code, z, sizeof z);
	int status = admin_api_status(exit, z);
	json_t *data = json_object_get(response, "data"), *body = status < 400 ? json_incref(data) : problem_of(status, exit, response);
	struct buf extra;
	tell_change(c, status);
	c->session = admin_session_free(c->session);
	if (c->streaming) {
		char *text = json_dumps(body, JSON_COMPACT);
		client_event(c, status < 400 ? "result" : "problem", NULL, slice_str(text));
		free(text);
		json_decref(body);
		operation_forget(c);
		c->over = true;
		conn_close(c->conn);
		return;
	}
	buf_init(&extra, 32768);
	headers_put(c, exit, response, &extra);
	client_answer_json(c, status, body ? body : json_object(), buf_slice(&extra));
	buf_free(&extra);
}

void operation_pump(struct client *c)
{
	ptrdiff_t n;
	while (c->session && !c->over && !(c->streaming && client_slow(c)) && (n = slice_find_chr(buf_slice(&c->out), '\n')) >= 0) {
		struct slice line = slice_first(buf_slice(&c->out), (size_t)n);
		json_t *j = json_loadb(line.p, line.len, 0, NULL), *event = json_object_get(j, "event");
		buf_consume(&c->out, (size_t)n + 1);
		if (json_object_get(j, "exit")) {
			finish(c, j);
		} else if (event && c->streaming) {
			char *text = json_dumps(event, JSON_COMPACT);
			client_event(c, "event", NULL, slice_str(text));
			free(text);
		}
		json_decref(j);
	}
}

static void on_ready(void *arg)
{
	operation_pump(arg);
}

void operation_forget(struct client *c)
{
	c->session = admin_session_free(c->session);
	if (c->streaming)
		c->api->n_streams--;
	c->streaming = false;
	json_decref(c->args);
	c->args = NULL;
	explicit_bzero(c->hash, sizeof c->hash);
}

/* Has the command come to its end already? */
static bool ended(const struct client *c)
{
	ptrdiff_t n = slice_find_chr(buf_slice(&c->out), '\n');
	json_t *j = n < 0 ? NULL : json_loadb(buf_slice(&c->out).p, (size_t)n, 0, NULL);
	bool exit = json_object_get(j, "exit");
	json_decref(j);
	return exit;
}

/* Takes the reference of args. */
static void execute(struct client *c, json_t *args)
{
	const struct admin_command *command = c->command;
	json_t *words = json_array();
	for (size_t i = 0; command->path[i]; i++)
		json_array_append_new(words, json_string(command->path[i]));
	json_t *request = json_pack("{s:o s:o s:b}", "command", words, "args", args, "json", 1);
	if (c->generation >= 0)
		json_object_set_new(request, "if_generation", json_integer((json_int_t)c->generation));
	if (c->staged)
		json_object_set_new(request, "staged", json_true());
	char *text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	buf_clear(&c->out);
	c->session = admin_session_new_as(c->api->admin, slice_str(c->who.who), c->who.roles);
	admin_session_by_api(c->session);
	admin_session_output(c->session, &c->out, on_ready, c);
	admin_session_input(c->session, slice_str(text), &c->out);
	admin_session_input(c->session, S("\n"), &c->out);
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	if (command->live && !ended(c)) {
		c->state = CLIENT_TASK;
		c->keep = false; /* what else was sent is not kept for so long */
		if (c->stream && !client_stream(c)) {
			c->session = admin_session_free(c->session);
			return;
		}
	}
	operation_pump(c);
}

/* ---- arguments */

/* The JSON object of a body; NULL: answered. */
static json_t *object_of(struct client *c, const struct http_request *r, struct slice body)
{
	json_error_t error;
	if (!body.len)
		return json_object();
	if (!r->content_type.p || !http_type_is(r->content_type, S("application/json"))) {
		client_problem(c, 415, "media-type", "Content-Type: application/json", S("Accept: application/json\r\n"), "arguments are a JSON object");
		return NULL;
	}
	json_t *j = json_loadb(body.p, body.len, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(j))
		return j;
	if (j)
		client_problem(c, 400, "malformed", NULL, SLICE_NONE, "the body is JSON, but no object");
	else
		client_problem(c, 400, "malformed", NULL, SLICE_NONE, "the body is not JSON: line %d, column %d: %s", error.line, error.column, error.text);
	json_decref(j);
	return NULL;
}

static const char *password_name(const struct admin_command *command)
{
	for (size_t i = 0; i < command->n_args; i++)
		if (command->args[i].type == ADMIN_PASSWORD)
			return command->args[i].name;
	return NULL;
}

static void hashed(void *arg, uint64_t id, bool ok, const char *hash)
{
	struct api *a = arg;
	struct client *c = client_find(a, id);
	if (!c || c->state != CLIENT_WAITS)
		return;
	json_t *args = c->args;
	c->args = NULL;
	if (!ok) {
		json_decref(args);
		client_problem(c, 503, "unavailable", "try again", SLICE_NONE, "there is not enough memory to hash the password");
	} else {
		json_object_set_new(args, password_name(c->command), json_string(hash));
		execute(c, args);
	}
	client_next(c, CLIENT_WAITS);
}

/* True: the command goes on when the password is hashed, or something was answered. */
static bool hash_first(struct client *c, json_t *args)
{
	const char *member = password_name(c->command);
	struct slice password = member ? text_member(args, member) : SLICE_NONE;
	struct buf why;
	if (!password.p || !admin_may(c->who.roles, c->command))
		return false; /* the check of arguments, or of roles, says what is wrong */
	buf_init(&why, 1024);
	if (!admin_password_check(password, text_member(args, "name"), &why)) {
		client_problem(c, 400, "usage", NULL, SLICE_NONE, "%.*s", SFMT(buf_slice(&why)));
		json_decref(args);
	} else if (!hasher_submit(c->api->hasher, password, NULL, hashed, c->api, c->id)) {
		client_problem(c, 503, "unavailable", NULL, S("Retry-After: 2\r\n"), "too many passwords wait to be hashed");
		json_decref(args);
	} else {
		c->args = args;
		json_object_del(args, member);
		c->state = CLIENT_WAITS;
		conn_pause(c->conn);
	}
	buf_free(&why);
	return true;
}

/* RFC 9110 13.1.1: the generation that the change is based on. The command itself compares, once more. False: answered. */
static bool precondition(struct client *c, const struct http_request *r)
{
	uint64_t now = admin_generation(c->api->admin), n;
	bool possible = c->command->changes && admin_api_policy(c->command), any = !r->if_match.p;
	struct buf extra;
	c->generation = -1;
	for (struct slice rest = r->if_match; possible && rest.p && !any;) {
		struct slice tag = slice_trim(slice_split(&rest, ','));
		if (slice_eq(tag, S("*")))
			any = true;
		else if (slice_starts(tag, S("\"g")) && slice_ends(tag, S("\"")) && slice_u64(slice_of(tag.p + 2, tag.len - 3), INT64_MAX, &n) && (c->generation < 0 || n == now))
			c->generation = (int64_t)n;
	}
	if (any)
		c->generation = -1;
	if (any || c->generation >= 0)
		return true;
	buf_init(&extra, 256);
	if (admin_api_policy(c->command))
		buf_printf(&extra, "ETag: \"g%ju\"\r\n", (uintmax_t)now);
	client_problem(c, 412, "stale", "leave If-Match away, or take the ETag of a reading operation", buf_slice(&extra),
		       possible ? "If-Match holds no ETag of ours" : "this operation has no ETag that If-Match could mean");
	buf_free(&extra);
	return false;
}

static void command_run(struct client *c, const struct http_request *r, struct slice body)
{
	const struct admin_command *command = c->command;
	bool get = slice_eq(slice_str(admin_api_method(command)), S("GET"));
	bool asks = slice_eq(r->method, S("GET")) || slice_eq(r->method, S("HEAD"));
	struct buf why;
	json_t *args;
	if (get != asks || (!asks && !slice_eq(r->method, S("POST")))) {
		client_problem(c, 405, "method", NULL, get ? S("Allow: GET, HEAD\r\n") : S("Allow: POST\r\n"), get ? "this is read with GET" : "this is done with POST");
		return;
	}
	if (!precondition(c, r))
		return;
	buf_init(&why, 8192);
	if (get)
		args = admin_api_query(command, r->query, &why);
	else
		args = r->query.len ? NULL : object_of(c, r, body);
	if (!args && !get && !r->query.len) {
		buf_free(&why); /* object_of has answered */
		return;
	}
	if (!args && get)
		client_problem(c, 400, "usage", NULL, SLICE_NONE, "%.*s", SFMT(buf_slice(&why)));
	else if (!args)
		client_problem(c, 400, "usage", NULL, SLICE_NONE, "arguments are members of the JSON body, not of the query");
	buf_free(&why);
	c->stream = command->live && http_accepts(r->accept, S("text/event-stream"));
	c->staged = get && args && admin_api_policy(command) && slice_eq(text_member(args, "staged"), S("true"));
	if (c->staged)
		json_object_del(args, "staged");
	if (args && !hash_first(c, args))
		execute(c, args);
}

/* ---- what is no command */

/* What counts as one source of attempts: an IPv4 address, an IPv6 /64, a user of this machine. */
static struct slice source_of(const struct client *c, struct addr_source *room)
{
	if (c->local)
		return slice_str(c->peer.who);
	*room = addr_source(conn_remote(c->conn));
	return slice_of((const char *)room->octets, sizeof room->octets);
}

static void logged_in(void *arg, uint64_t id, bool ok, const char *hash)
{
	struct api *a = arg;
	struct client *c = client_find(a, id);
	char secret[IDENTITY_SECRET], from[ADDR_TEXT];
	struct addr_source room;
	(void)hash;
	if (!c || c->state != CLIENT_WAITS)
		return;
	client_address(c, from);
	if (ok && identities_begin(a->who, slice_str(c->account), c->hash, clock_unix(), secret, &c->who)) {
		struct buf roles;
		buf_init(&roles, 256);
		admin_roles_print(&roles, c->who.roles);
		backoff_clear(a->backoff, slice_str(c->account), source_of(c, &room));
		admin_audit_note(a->admin, "api", "log-in", json_pack("{s:s s:s}", "who", c->who.who, "address", from), NULL);
		log_ev(LOG_INFO, "api/login", {"account", slice_str(c->account)}, {"address", slice_str(from)});
		client_answer_json(c, 200, json_pack("{s:s s:i s:s%}", "token", secret, "expires_in", (int)IDENTITY_SESSION_S, "role", buf_slice(&roles).p, roles.len), SLICE_NONE);
		buf_free(&roles);
		explicit_bzero(secret, sizeof secret);
	} else {
		log_ev_limited(LOG_WARNING, "api/login-failed", slice_str(from), {"account", slice_str(c->account)}, {"address", slice_str(from)});
		client_problem(c, 401, "login-failed", NULL, S("WWW-Authenticate: Bearer realm=\"entente\"\r\n"), "the account or the password is wrong");
	}
	explicit_bzero(c->hash, sizeof c->hash);
	client_next(c, CLIENT_WAITS);
}

static void login(struct client *c, const struct http_request *r, struct slice body)
{
	json_t *args = object_of(c, r, body);
	struct slice account = text_member(args, "account"), password = text_member(args, "password");
	struct addr_source room;
	char retry[64];
	uint64_t wait;
	if (!args)
		return;
	if (!account.p || !password.p || password.len > ADMIN_PASSWORD_MAX || json_object_size(args) != 2 || !slice_cstr(account, c->account, sizeof c->account)) {
		client_problem(c, 400, "usage", NULL, SLICE_NONE, "the members account and password are wanted, both texts");
	} else if ((wait = backoff_begin(c->api->backoff, account, source_of(c, &room), c->api->control->loop->timers.now))) {
		snprintf(retry, sizeof retry, "Retry-After: %ju\r\n", (uintmax_t)(wait + 999) / 1000);
		client_problem(c, 429, "too-many-attempts", NULL, slice_str(retry), "too many attempts failed; try again in %ju s", (uintmax_t)(wait + 999) / 1000);
	} else {
		slice_cstr(slice_str(identities_hash(c->api->who, account)), c->hash, sizeof c->hash);
		if (hasher_submit(c->api->hasher, password, c->hash, logged_in, c->api, c->id)) {
			c->state = CLIENT_WAITS;
			conn_pause(c->conn);
		} else {
			client_problem(c, 503, "unavailable", NULL, S("Retry-After: 2\r\n"), "too many passwords wait to be checked");
		}
	}
	json_decref(args);
}

static void logout(struct client *c, const struct http_request *r, struct slice body)
{
	(void)body;
	if (!identify(c, r))
		return;
	identities_end(c->api->who, bearer_of(r->authorization));
	LIST_EACH(n, &c->api->clients)
		client_recheck(CONTAINER_OF(n, struct client, node));
	client_answer(c, 204, NULL, SLICE_NONE, SLICE_NONE);
}

static void whoami(struct client *c, const struct http_request *r, struct slice body)
{
	json_t *roles = json_array();
	(void)body;
	if (!identify(c, r)) {
		json_decref(roles);
		return;
	}
	for (size_t i = 0; i < admin_role_count(); i++)
		if (c->who.roles & admin_role(i)->bit)
			json_array_append_new(roles, json_string(admin_role(i)->name));
	client_answer_json(c, 200, json_pack("{s:s s:o s:s}", "who", c->who.who, "roles", roles, "how", c->who.how), SLICE_NONE);
}

static void openapi(struct client *c, const struct http_request *r, struct slice body)
{
	(void)r;
	(void)body;
	if (!c->api->openapi) {
		json_t *document = admin_openapi();
		c->api->openapi = json_dumps(document, JSON_COMPACT);
		json_decref(document);
	}
	client_answer(c, 200, "application/json", slice_str(c->api->openapi), SLICE_NONE);
}

static void events(struct client *c, const struct http_request *r, struct slice body)
{
	(void)body;
	if (!identify(c, r))
		return;
	if (!(c->who.roles & ADMIN_ROLES_ALL)) {
		client_problem(c, 403, "forbidden", "ask an administrator for a role", SLICE_NONE, "you have no role");
		return;
	}
	if (client_stream(c)) {
		c->state = CLIENT_EVENTS;
		feed_join(c, r->last_event_id);
	}
}

static const struct {
	const char *path, *method;
	void (*run)(struct client *c, const struct http_request *r, struct slice body);
} fixed[] = {
	{"/v1/login", "POST", login}, {"/v1/logout", "POST", logout}, {"/v1/whoami", "GET", whoami}, {"/v1/openapi.json", "GET", openapi}, {"/v1/events", "GET", events},
};

size_t operation_body_max(struct client *c, const struct http_request *r)
{
	const struct admin_command *command = admin_api_find(r->path);
	struct slice secret = bearer_of(r->authorization);
	struct identity who = {.roles = c->peer.roles};
	bool file = false;
	for (size_t i = 0; command && i < command->n_args; i++)
		file = file || command->args[i].type == ADMIN_FILE;
	bool known = !r->authorization.p ? c->local : secret.len && identities_find(c->api->who, secret, clock_unix(), &who);
	return file && known && admin_may(who.roles, command) ? API_DOCUMENT_MAX : API_BODY_MAX;
}

void operation_run(struct client *c, const struct http_request *r, struct slice body)
{
	if (!host_ok(c, r->host)) {
		client_problem(c, 421, "host", "ask by an address or by server.name, or add the name to admin.hosts", SLICE_NONE, "this is not the server of that name");
		return;
	}
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
		if (!slice_eq(r->path, slice_str(fixed[i].path)))
			continue;
		bool get = slice_eq(slice_str(fixed[i].method), S("GET"));
		if (slice_eq(r->method, slice_str(fixed[i].method)) || (get && c->head))
			fixed[i].run(c, r, body);
		else
			client_problem(c, 405, "method", NULL, get ? S("Allow: GET, HEAD\r\n") : S("Allow: POST\r\n"), "this is asked with %s", fixed[i].method);
		return;
	}
	if (!identify(c, r))
		return;
	c->command = admin_api_find(r->path);
	if (c->command)
		command_run(c, r, body);
	else
		client_problem(c, 404, "no-operation", "/v1/openapi.json describes all operations", SLICE_NONE, "there is no operation with this path");
}
