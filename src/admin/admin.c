/* SPDX-License-Identifier: Apache-2.0 */
/* One request, from its octets to the octets of its response. */
#include "admin/task.h"

#include "admin/args.h"
#include "admin/audit_hook.h"
#include "admin/changeset.h"
#include "admin/role.h"
#include "admin/staged.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/store_set.h"

enum { REFUSALS = 256, REFUSAL_MS = 1000 }; /* recorded at once; then one each */

struct admin *admin_new(struct store *store, const struct admin_ops *ops, void *arg)
{
	struct admin *a = MEM_NEW(struct admin);
	*a = (struct admin){.store = store, .ops = ops, .arg = arg};
	list_init(&a->drafts);
	if (store)
		admin_set_audit(a, store_directory(store));
	return a;
}

void admin_set_half(struct admin *a, enum admin_half half)
{
	a->half = half;
}

void admin_set_audit(struct admin *a, const char *directory)
{
	audit_free(a->audit);
	mem_free(a->audit_directory);
	a->audit_directory = directory ? mem_strndup(directory, strlen(directory)) : NULL;
	a->audit = directory ? audit_new(directory, 0) : NULL;
	if (a->audit && a->store) {
		struct audit_head head;
		struct entente_err err;
		struct buf note;
		buf_init(&note, 4096);
		if (store_note_load(a->store, S(AUDIT_NOTE), &note, &err) == 0 && audit_head_parse(&head, buf_slice(&note)))
			audit_know(a->audit, &head);
		buf_free(&note);
	}
}

const char *admin_audit_trouble(const struct admin *a)
{
	return a->audit ? audit_trouble(a->audit) : NULL;
}

struct admin *admin_free(struct admin *a)
{
	if (!a)
		return NULL;
	draft_close_all(a);
	audit_free(a->audit);
	mem_free(a->audit_directory);
	return mem_free(a);
}

struct snapshot *admin_snapshot(struct admin_call *c)
{
	struct admin *a = c->admin;
	struct entente_err err = {0};
	struct snapshot *s = a->fixed;
	if (!s && a->draft) {
		if (!(s = draft_snapshot(a->draft, &err)))
			admin_fail_err(c, "the draft cannot be looked at", &err, NULL);
		return s;
	}
	if (!s)
		s = a->ops->snapshot(a->arg);
	if (!s)
		admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", "try again; the log says what it waits for",
			   "the daemon has no policy in force yet");
	return s;
}

uint64_t admin_generation(const struct admin *a)
{
	return a->store ? (uint64_t)store_generation(a->store) : 0;
}

int admin_publish(struct admin_call *c)
{
	struct entente_err err = {0};
	if (c->admin->draft) {
		draft_changed(c->admin->draft);
		return ADMIN_EXIT_OK;
	}
	changeset_keep(c->admin);
	if (c->admin->ops->policy_changed(c->admin->arg, &err) == 0) {
		changeset_tests_warn(c);
		return ADMIN_EXIT_OK;
	}
	return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "not-in-force", "take the change back, or restart the daemon",
			  "the change is saved but not in force, the policy before it still is: %s",
			  *err.text ? err.text : entente_strerror(err.code));
}

static json_t *refusal(int exit, const char *code, struct slice text)
{
	json_t *error = json_pack("{s:s}", "code", code);
	admin_set_text(error, "text", text);
	return json_pack("{s:i s:o}", "exit", exit, "error", error);
}

/* Some local commands are answered too: a panel wants the reasons. Not those that read or write files of whoever runs them. */
static const struct admin_handler *handler_of(const struct admin_command *c)
{
	return !c->local ? admin_handler(c->id) : c->anywhere ? admin_local_handler(c->id) : NULL;
}

static const struct admin_live *live_of(const struct admin_command *c)
{
	switch (c->id) {
	case ADMIN_CMD_PARTNER_TEST:
		return &admin_partner_test;
	case ADMIN_CMD_TRACE:
		return &admin_trace_live;
	case ADMIN_CMD_TEST_IM:
		return &admin_test_im_live;
	case ADMIN_CMD_TOP:
		return &admin_top_live;
	default:
		return NULL;
	}
}

enum { WORDS_MAX = 8, WIDTH_MIN = 40, WIDTH_MAX = 1000 };

static const struct admin_command *command_of(json_t *request, struct buf *why)
{
	json_t *words = json_object_get(request, "command");
	struct slice w[WORDS_MAX];
	size_t n = json_array_size(words);
	if (!json_is_array(words) || n > WORDS_MAX) {
		buf_puts(why, "\"command\" must be a list of words");
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		json_t *one = json_array_get(words, i);
		if (!json_is_string(one)) {
			buf_puts(why, "\"command\" must be a list of words");
			return NULL;
		}
		w[i] = slice_of(json_string_value(one), json_string_length(one));
	}
	return admin_command_find(w, n, why);
}

/* NULL: it can be carried out here. */
static json_t *ask_elsewhere(const struct admin *a, const struct admin_command *c)
{
	bool edge = a->half == ADMIN_EDGE_HALF;
	if (c->local || c->where == ADMIN_AT_BOTH || a->half == ADMIN_WHOLE || (c->where == ADMIN_AT_EDGE) == edge)
		return NULL;
	json_t *r = refusal(ADMIN_EXIT_UNAVAILABLE, "elsewhere",
			    edge ? S("this process is only an edge: ask the gateway") : S("this process is only a gateway: ask the edge"));
	json_object_set_new(json_object_get(r, "error"), "hint",
			    json_string(edge ? "run the command on the host of the gateway, or give its --socket"
					     : "run the command on the host of the edge, or give its --socket"));
	return r;
}

/* The one place that enforces roles, whoever asks by whatever way. `refused`: the argument that is too much, or NULL. */
static json_t *forbidden(unsigned roles, const struct admin_command *c, const struct admin_arg *refused, struct buf *why)
{
	unsigned enough = (refused ? refused->roles : c->local ? ADMIN_ROLES_ALL : c->roles) | ADMIN_ROLE_ADMIN;
	struct buf hint;
	json_t *r;
	buf_init(&hint, 1024);
	buf_puts(why, "your role ");
	admin_roles_print(why, roles);
	buf_puts(why, roles ? " is not enough for `" : "(none) is not enough for `");
	admin_path_print(why, c->path);
	if (refused)
		buf_printf(why, " --%s", refused->name);
	buf_putc(why, '`');
	buf_puts(&hint, "ask somebody with the role ");
	admin_roles_print(&hint, enough);
	r = refusal(ADMIN_EXIT_REFUSED, "forbidden", buf_slice(why));
	admin_set_text(json_object_get(r, "error"), "hint", buf_slice(&hint));
	buf_free(&hint);
	return r;
}

/* NULL: a task has begun. */
static json_t *carry_out(struct admin *a, struct admin_session *session, struct slice who, unsigned roles, const struct admin_command *c, json_t *request,
			 struct buf *why)
{
	const struct admin_handler *h = handler_of(c);
	json_t *args = json_object_get(request, "args"), *none = NULL, *response;
	if (!admin_may(roles, c))
		return forbidden(roles, c, NULL, why);
	if (c->live && !session)
		return refusal(ADMIN_EXIT_UNAVAILABLE, "unavailable", S("this command needs a connection that stays"));
	if (!c->live && (!h || !h->run))
		return refusal(ADMIN_EXIT_USAGE, "usage", S("this command is carried out by the program entente, not by the daemon"));
	if ((response = ask_elsewhere(a, c)))
		return response;
	if (args && !json_is_object(args))
		return refusal(ADMIN_EXIT_USAGE, "usage", S("\"args\" must be an object"));
	if (!args)
		args = none = json_object();
	if (admin_args_check(c, args, why)) {
		const struct admin_arg *refused = admin_may_not_give(roles, c, args);
		if (refused) {
			json_decref(none);
			return forbidden(roles, c, refused, why);
		}
		if ((response = admin_staged_choose(&a, c, who, request))) {
			json_decref(none);
			return response;
		}
		int64_t width = admin_get_int(request, "width");
		struct admin_call call = {
			.admin = a,
			.who = who,
			.roles = roles,
			.command = c,
			.args = args,
			.json = json_is_true(json_object_get(request, "json")),
			.color = json_is_true(json_object_get(request, "color")),
			.width = width <= 0 ? 0 : width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : (unsigned)width,
		};
		response = c->live ? admin_task_begin(session, live_of(c), &call) : admin_call_run(&call, h);
		admin_staged_tell(a, c, response);
	} else
		response = refusal(ADMIN_EXIT_USAGE, "usage", buf_slice(why));
	json_decref(none);
	return response;
}

static int64_t generation_of(const struct admin *a)
{
	return a->store ? store_generation(a->store) : -1;
}

/* The database knows the last record, too. */
static void remember(struct admin *a, const struct audit_head *head)
{
	char text[100];
	snprintf(text, sizeof text, "%jd %s", (intmax_t)head->seq, head->hash);
	if (a->store)
		store_note_put(a->store, S(AUDIT_NOTE), slice_str(text), NULL, NULL);
}

/* May one more refusal for want of a role be recorded? */
static bool refusal_room(struct admin *a)
{
	uint64_t now = clock_ms(), more = (now - a->refusals.at) / REFUSAL_MS;
	if (!a->refusals.at || a->refusals.left + more >= REFUSALS) {
		a->refusals.left = REFUSALS;
		a->refusals.at = now;
	} else {
		a->refusals.left += more;
		a->refusals.at += more * REFUSAL_MS;
	}
	if (!a->refusals.left) {
		a->refusals.untold++;
		return false;
	}
	a->refusals.left--;
	if (a->refusals.untold) {
		json_t *more_of_them = json_pack("{s:I}", "refused", (json_int_t)a->refusals.untold);
		if (admin_audit_note(a, "audit", "so many more were refused for want of a role, and not recorded one by one", more_of_them, NULL) == 0)
			a->refusals.untold = 0;
	}
	return true;
}

/* The one place that all requests pass, whoever asks by whatever way: a change is recorded before it begins, tried ones too. */
static json_t *respond(struct admin *a, struct admin_session *session, struct slice who, unsigned roles, json_t *request, struct buf *why)
{
	const struct admin_command *c = command_of(request, why);
	const char *via = admin_session_via(session);
	json_t *args = json_object_get(request, "args"), *response;
	struct entente_err err = {0};
	struct audit_head head;
	int64_t seq = 0;
	if (!c)
		return refusal(ADMIN_EXIT_USAGE, "usage", buf_slice(why));
	if (!a->audit || !audit_wanted(c, args))
		return carry_out(a, session, who, roles, c, request, why);
	if (!admin_may(roles, c)) {
		if (!refusal_room(a))
			return forbidden(roles, c, NULL, why);
		args = NULL; /* nobody checks what they hold */
	}
	if (audit_begin(a->audit, who, via, c, args, generation_of(a), &seq, &head, &err))
		return audit_refusal(&err);
	response = carry_out(a, session, who, roles, c, request, why);
	if (!c->live && audit_end(a->audit, who, via, seq, response, generation_of(a), &head, &err))
		audit_warn(response, &err);
	remember(a, &head);
	return response;
}

int admin_audit_begin(struct admin *a, struct slice who, const char *via, enum admin_id id, int64_t *ret_seq, struct entente_err *err)
{
	struct audit_head head;
	*ret_seq = 0;
	if (!a->audit)
		return 0;
	int rc = audit_begin(a->audit, who, via, admin_command_by_id(id), NULL, generation_of(a), ret_seq, &head, err);
	if (!rc)
		remember(a, &head);
	return rc;
}

void admin_audit_end(struct admin *a, struct slice who, const char *via, int64_t seq, int exit, const char *code)
{
	struct audit_head head;
	json_t *response = code ? json_pack("{s:i s:{s:s}}", "exit", exit, "error", "code", code) : json_pack("{s:i}", "exit", exit);
	if (a->audit && seq && audit_end(a->audit, who, via, seq, response, generation_of(a), &head, NULL) == 0)
		remember(a, &head);
	json_decref(response);
}

int admin_audit_note(struct admin *a, const char *via, const char *text, json_t *more, struct entente_err *err)
{
	json_t *o = json_pack("{s:s s:s s:s s:s}", "who", "entente", "via", via, "event", "note", "text", text);
	struct audit_head head;
	json_object_update(o, more);
	json_decref(more);
	if (!a->audit) {
		json_decref(o);
		return 0;
	}
	int rc = audit_append(a->audit, o, &head, err);
	if (!rc)
		remember(a, &head);
	return rc;
}

static int dump(const char *bytes, size_t n, void *arg)
{
	struct buf *b = arg;
	buf_put(b, slice_of(bytes, n));
	return buf_ok(b) ? 0 : -1;
}

void admin_write_line(struct buf *out, json_t *response)
{
	size_t before = out->len;
	if (json_dump_callback(response, dump, out, JSON_COMPACT) == 0 && out->len - before < ADMIN_RESPONSE_MAX)
		buf_putc(out, '\n');
	else
		out->failed = true;
	json_decref(response);
}

void admin_serve(struct admin *a, struct admin_session *session, struct slice who, unsigned roles, struct slice request, struct buf *response)
{
	struct buf why;
	json_error_t error;
	json_t *r = request.len > ADMIN_REQUEST_MAX ? NULL : json_loadb(request.p ? request.p : "", request.len, JSON_REJECT_DUPLICATES, &error);
	json_t *answer;
	size_t before = response->len;
	buf_init(&why, 65536);
	if (request.len > ADMIN_REQUEST_MAX) {
		answer = refusal(ADMIN_EXIT_USAGE, "usage", S("the request is too long"));
	} else if (!r) {
		buf_printf(&why, "the request is not JSON: %s", error.text);
		answer = refusal(ADMIN_EXIT_USAGE, "usage", buf_slice(&why));
	} else if (!json_is_object(r)) {
		answer = refusal(ADMIN_EXIT_USAGE, "usage", S("the request must be an object"));
	} else {
		answer = respond(a, session, who, roles, r, &why);
	}
	if (answer)
		admin_write_line(response, answer);
	if (!buf_ok(response)) { /* the answer takes back what it has written, and says so if that fits */
		response->failed = false;
		buf_truncate(response, before);
		admin_write_line(response, refusal(ADMIN_EXIT_UNAVAILABLE, "too-large", S("the answer is too large; narrow it with --filter or --limit")));
	}
	json_decref(r);
	buf_free(&why);
}

void admin_execute(struct admin *a, struct slice who, struct slice request, struct buf *response)
{
	admin_serve(a, NULL, who, ADMIN_ROLES_ALL, request, response);
}
