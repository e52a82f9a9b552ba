/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/check_live.h"

#include <stdio.h>
#include "base/clock.h"

enum { PROBLEMS_MAX = 50, PARTNERS_MAX = 5000, EDGES_MAX = 64, TEST_S = 10, TESTS_MS = 60000 };

struct live {
	struct admin_call *c;
	struct check_facts *f;
	struct arena *a;
	const char *socket;
};

/* "data" of the response to the words with these arguments (taken over); NULL: it failed. The caller's. */
static json_t *ask(struct live *x, const char *const words[], json_t *args, struct buf *why, int *ret_exit)
{
	const struct admin_program *o = x->c->program;
	json_t *path = json_array(), *data = NULL;
	for (size_t i = 0; words[i]; i++)
		json_array_append_new(path, json_string(words[i]));
	json_t *request = json_pack("{s:o s:o s:b}", "command", path, "args", args, "json", 1);
	json_t *response = o && o->ask_at ? o->ask_at(x->socket, request, why, ret_exit) : NULL;
	if (response) {
		data = json_incref(json_object_get(response, "data"));
		if (!data)
			buf_puts(why, admin_get_text(json_object_get(response, "error"), "text"));
	} else if (!o || !o->ask_at) {
		buf_puts(why, "the daemon is not asked here");
		*ret_exit = ADMIN_EXIT_UNREACHABLE;
	}
	json_decref(request);
	json_decref(response);
	return data;
}

static json_t *ask_for(struct live *x, const char *a, const char *b, const char *c, json_t *args)
{
	const char *const words[] = {a, b, c, NULL};
	struct buf why;
	int exit = 0;
	buf_init(&why, 65536);
	json_t *data = ask(x, words, args, &why, &exit);
	buf_free(&why);
	return data;
}

static struct slice text(struct live *x, json_t *o, const char *key)
{
	return arena_dup(x->a, slice_str(admin_get_text(o, key)));
}

static bool is(json_t *o, const char *key, const char *value)
{
	return slice_eq(slice_str(admin_get_text(o, key)), slice_str(value));
}

static bool status(struct live *x)
{
	static const char *const words[] = {"status", NULL};
	struct check_live *l = &x->f->live;
	struct buf why;
	int exit = 0;
	json_t *one;
	size_t i;
	buf_init(&why, 65536);
	json_t *d = ask(x, words, json_object(), &why, &exit);
	l->have = d != NULL;
	if (!d) {
		struct slice all = buf_slice(&why);
		l->why = arena_dup(x->a, slice_split(&all, '\n'));
		l->forbidden = exit == ADMIN_EXIT_PERMISSION;
	} else {
		struct slice *list = arena_alloc(x->a, PROBLEMS_MAX * sizeof *list);
		l->version = text(x, d, "version");
		l->role = text(x, d, "role");
		l->sandbox = text(x, json_object_get(d, "sandbox"), "state");
		l->sandbox_lacks = text(x, json_object_get(d, "sandbox"), "lacks");
		l->keys_open = json_is_true(json_object_get(json_object_get(d, "sandbox"), "files")) && json_is_false(json_object_get(json_object_get(d, "sandbox"), "keys")) &&
			       slice_eq(slice_str(admin_get_text(json_object_get(d, "keys"), "process")), S("own"));
		json_array_foreach(json_object_get(d, "problems"), i, one)
			if (list && l->n_problems < PROBLEMS_MAX)
				list[l->n_problems++] = arena_dup(x->a, slice_str(json_string_value(one)));
		l->problems = list;
	}
	json_decref(d);
	buf_free(&why);
	return l->have;
}

/* ---- partners */

static void progress(struct live *x, size_t at, size_t n, struct slice domain)
{
	char line[400];
	snprintf(line, sizeof line, "partners: %zu of %zu, testing %.*s", at, n, SFMT(domain));
	if (x->c->program->progress)
		x->c->program->progress(line);
}

static void last_contact(struct live *x, struct check_partner *p)
{
	json_t *d = ask_for(x, "show", "attempts", NULL, json_pack("{s:s%}", "domain", p->domain.p, p->domain.len));
	json_t *last = json_array_get(json_object_get(d, "attempts"), 0);
	if (last) {
		p->attempted = true;
		p->attempt_failed = is(last, "result", "failed");
		p->attempt_at = text(x, last, "at");
		p->attempt_text = text(x, last, "text");
		p->attempt_reason = text(x, last, "reason");
		p->attempt_who = text(x, last, "who");
	}
	json_decref(d);
}

static void shown_certificate(struct live *x, struct check_partner *p)
{
	json_t *d = ask_for(x, "partner", "xmpp", "show", json_pack("{s:s%}", "domain", p->domain.p, p->domain.len));
	json_t *seen = json_object_get(d, "certificate");
	p->not_before = admin_get_int(seen, "not_before");
	p->not_after = admin_get_int(seen, "not_after");
	json_decref(d);
}

static void try(struct live *x, struct check_partner *p)
{
	json_t *d = ask_for(x, "partner", "test", NULL, json_pack("{s:s% s:i s:s%}", "domain", p->domain.p, p->domain.len, "timeout", TEST_S, "protocol",
								  p->protocol.p, p->protocol.len));
	if (d && *admin_get_text(d, "verdict")) {
		p->tested = true;
		p->verdict = text(x, d, "verdict");
		p->step = text(x, d, "failed_step");
		p->cause = text(x, d, "cause");
		p->reason = text(x, d, "reason");
		p->test_who = text(x, d, "who");
		p->next_step = text(x, d, "next_step");
	}
	json_decref(d);
}

static void clear(struct live *x, struct check_partner *p, json_t *o)
{
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(o, "methods"), i, one)
		p->clear |= slice_eq(slice_str(json_string_value(one)), S("dialback-in-clear"));
	if (p->clear)
		p->how_clear = arena_printf(x->a, "tls is %s and dialback without TLS is enough", admin_get_text(o, "tls"));
}

static bool wanted(json_t *only, const char *domain)
{
	json_t *one;
	size_t i;
	bool found = !json_array_size(only);
	json_array_foreach(only, i, one)
		found |= slice_ieq(slice_str(json_string_value(one)), slice_str(domain));
	return found;
}

static void list(struct live *x, json_t *all, const char *protocol, json_t *only)
{
	struct check_live *l = &x->f->live;
	json_t *o;
	size_t i;
	json_array_foreach(all, i, o) {
		if (l->n_partners == PARTNERS_MAX || !wanted(only, admin_get_text(o, "domain")))
			continue;
		struct check_partner *p = &l->partners[l->n_partners++];
		*p = (struct check_partner){.domain = text(x, o, "domain"), .protocol = slice_str(protocol)};
		p->enabled = !json_is_false(json_object_get(o, "enabled"));
		for (size_t k = 0; x->f->site && k < x->f->site->n_domains; k++)
			p->ours |= slice_ieq(x->f->site->domains[k], p->domain);
		clear(x, p, o);
	}
}

static void partners(struct live *x, json_t *only, bool test)
{
	struct check_live *l = &x->f->live;
	json_t *xmpp = ask_for(x, "partner", "xmpp", "list", json_object()), *sip = ask_for(x, "allowed-domain", "list", NULL, json_object());
	uint64_t end = clock_ms() + TESTS_MS; /* who is named is tested in any case */
	json_t *names = json_object_get(xmpp, "partners"), *allowed = json_object_get(sip, "allowed");
	l->partners = arena_alloc(x->a, (json_array_size(names) + json_array_size(allowed) + 1) * sizeof *l->partners);
	l->have_partners = xmpp != NULL;
	if (l->partners) {
		list(x, names, "xmpp", only);
		if (x->f->config && x->f->config->n_sip_external_listen)
			list(x, allowed, "sip", only);
	}
	json_decref(xmpp);
	json_decref(sip);
	l->tests = test;
	for (size_t i = 0; i < l->n_partners; i++) {
		struct check_partner *p = &l->partners[i];
		if (!p->enabled || p->ours)
			continue;
		last_contact(x, p);
		if (test && (json_array_size(only) || clock_ms() < end)) {
			progress(x, i + 1, l->n_partners, p->domain);
			try(x, p);
		}
		if (slice_eq(p->protocol, S("xmpp")))
			shown_certificate(x, p);
	}
}

static void edges(struct live *x)
{
	struct check_live *l = &x->f->live;
	json_t *d = ask_for(x, "show", "links", NULL, json_object()), *o;
	size_t i;
	l->edges = arena_alloc(x->a, EDGES_MAX * sizeof *l->edges);
	json_array_foreach(json_object_get(d, "links"), i, o) { /* one for each worker */
		struct check_edge *e = NULL;
		for (size_t k = 0; k < l->n_edges; k++)
			if (slice_eq(l->edges[k].peer, slice_str(admin_get_text(o, "peer"))))
				e = &l->edges[k];
		if (!l->edges || (!e && l->n_edges == EDGES_MAX))
			break;
		if (!e) {
			e = &l->edges[l->n_edges++];
			*e = (struct check_edge){.peer = text(x, o, "peer"), .state = text(x, o, "state"), .version = text(x, o, "version"), .error = text(x, o, "error")};
		} else if (!is(o, "state", "up")) {
			e->state = text(x, o, "state");
			e->error = text(x, o, "error");
		}
	}
	json_decref(d);
}

void admin_check_live(struct admin_call *c, struct check_facts *f, struct arena *a, const char *socket, bool want_partners, json_t *only, bool test)
{
	struct live x = {c, f, a, socket};
	if (!status(&x))
		return;
	if (f->config && f->config->server_role == CONFIG_GATEWAY)
		edges(&x);
	if (want_partners)
		partners(&x, only, test);
}
