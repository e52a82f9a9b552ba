/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators ask of the queue (admin/queue.c), and what a scrape asks. */
#include "app/queue_admin.h"

#include <stdlib.h>
#include "app/node_int.h"
#include "app/queue.h"
#include "base/clock.h"
#include "base/mem.h"

struct row {
	struct gateway_queue_facts f;
	char *text; /* owned: local, remote */
};

struct rows {
	const struct admin_queue_query *what;
	struct row *all;
	size_t n, room, matching;
};

static struct slice domain_of(struct slice jid)
{
	ptrdiff_t at = slice_find_chr(jid, '@');
	return at < 0 ? jid : slice_skip(jid, (size_t)at + 1);
}

/* "under way" in the gateway is one word here. */
static const char *state_of(const struct gateway_queue_facts *f)
{
	return strcmp(f->state, "under way") == 0 ? "under-way" : f->state;
}

static int by_number(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	return x->f.id < y->f.id ? -1 : x->f.id > y->f.id;
}

/* Keeps the oldest alone. */
static void trim(struct rows *r)
{
	if (r->n)
		qsort(r->all, r->n, sizeof *r->all, by_number);
	while (r->n > r->what->most)
		mem_free(r->all[--r->n].text);
}

static void collect(void *arg, const struct gateway_queue_facts *f)
{
	struct rows *r = arg;
	const struct admin_queue_query *q = r->what;
	if (!slice_empty(q->partner) && !slice_ieq(domain_of(f->remote), q->partner))
		return;
	if (!slice_empty(q->state) && !slice_eq(slice_str(state_of(f)), q->state))
		return;
	if (!slice_empty(q->user) && !slice_eq(f->local, q->user) && !slice_eq(f->remote, q->user))
		return;
	r->matching++;
	if (r->n == r->room)
		r->all = mem_realloc(r->all, (r->room = r->room ? 2 * r->room : 64) * sizeof *r->all);
	struct row *row = &r->all[r->n++];
	row->f = *f;
	row->text = mem_calloc(1, f->local.len + f->remote.len + 1);
	memcpy(row->text, f->local.p, f->local.len);
	memcpy(row->text + f->local.len, f->remote.p, f->remote.len);
	row->f.local = slice_of(row->text, f->local.len);
	row->f.remote = slice_of(row->text + f->local.len, f->remote.len);
	if (r->n > 2 * q->most + 64)
		trim(r);
}

static void put(json_t *o, const struct gateway_queue_facts *f)
{
	bool out = f->kind == GATEWAY_TO_XMPP;
	char accepted[CLOCK_TEXT], expires[CLOCK_TEXT];
	int64_t left = f->expires_at - clock_unix();
	clock_text_at(f->accepted_at, accepted);
	clock_text_at(f->expires_at, expires);
	json_object_set_new(o, "number", json_integer((json_int_t)f->id));
	json_object_set_new(o, "direction", json_string(out ? "to-xmpp" : "to-sip"));
	json_object_set_new(o, "from", admin_json_text(out ? f->local : f->remote));
	json_object_set_new(o, "to", admin_json_text(out ? f->remote : f->local));
	json_object_set_new(o, "partner", admin_json_text(domain_of(f->remote)));
	json_object_set_new(o, "state", json_string(state_of(f)));
	json_object_set_new(o, "octets", json_integer((json_int_t)f->octets));
	json_object_set_new(o, "accepted", json_string(accepted));
	json_object_set_new(o, "expires", json_string(expires));
	json_object_set_new(o, "left", json_integer(left > 0 ? left : 0));
	json_object_set_new(o, "attempts", json_integer(f->attempts));
	json_object_set_new(o, "crashes", json_integer(f->crashes));
	json_object_set_new(o, "retry", f->retry_ms ? json_integer((json_int_t)(f->retry_ms + 999) / 1000) : json_null());
}

static void add_paused(void *arg, struct slice partner)
{
	json_array_append_new(arg, admin_json_text(partner));
}

static int no_queue(struct entente_err *err)
{
	return err_set(err, ENTENTE_EUNSUPPORTED, REASON_NONE, "this process has no queue");
}

int queue_admin_list(struct app *app, const struct admin_queue_query *what, json_t *array, json_t *about, struct entente_err *err)
{
	struct rows r = {.what = what};
	struct app_queue_facts facts;
	if (!app->queue)
		return no_queue(err);
	bool whole = app_queue_each(app, collect, &r);
	trim(&r);
	for (size_t i = 0; i < r.n; i++) {
		json_t *o = json_object();
		put(o, &r.all[i].f);
		json_array_append_new(array, o);
		mem_free(r.all[i].text);
	}
	mem_free(r.all);
	app_queue_facts(app, &facts);
	json_t *paused = json_array();
	app_queue_each_paused(app, add_paused, paused);
	int64_t age = facts.stats.oldest ? clock_unix() - facts.stats.oldest : 0;
	json_object_set_new(about, "matching", json_integer((json_int_t)r.matching));
	json_object_set_new(about, "total", json_integer((json_int_t)facts.stats.entries));
	json_object_set_new(about, "octets", json_integer((json_int_t)facts.stats.octets));
	json_object_set_new(about, "oldest", facts.stats.entries ? json_integer(age > 0 ? age : 0) : json_null());
	json_object_set_new(about, "paused", paused);
	json_object_set_new(about, "failing", json_boolean(facts.failing));
	json_object_set_new(about, "why", facts.failing ? admin_json_text(slice_str(facts.why)) : json_null());
	json_object_set_new(about, "directory", admin_json_text(slice_str(facts.directory)));
	return whole ? 0 : err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "a worker did not answer within 5 s");
}

/* ---- one */
struct one {
	uint64_t number;
	json_t *object;
	bool found;
};

static void find(void *arg, const struct gateway_queue_facts *f)
{
	struct one *o = arg;
	if (f->id != o->number || o->found)
		return;
	o->found = true;
	put(o->object, f);
}

static void add_stanza(void *arg, const struct journal_entry *e, struct slice octets)
{
	struct one *o = arg;
	(void)e;
	json_object_set_new(o->object, "stanza", admin_json_text(octets));
}

int queue_admin_show(struct app *app, uint64_t number, bool body, json_t *object, struct entente_err *err)
{
	struct one o = {.number = number, .object = object};
	if (!app->queue)
		return no_queue(err);
	bool whole = app_queue_each(app, find, &o);
	if (!o.found && !whole)
		return err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "a worker did not answer within 5 s");
	if (!o.found)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "no message with the number %ju waits", (uintmax_t)number);
	return body ? app_queue_show(app, number, add_stanza, &o, err) : 0;
}

/* ---- verbs */
static enum gateway_queue_verb verb_of(enum admin_queue_verb v)
{
	switch (v) {
	case ADMIN_QUEUE_HOLD:
		return GATEWAY_QUEUE_HOLD;
	case ADMIN_QUEUE_RELEASE:
		return GATEWAY_QUEUE_RELEASE;
	case ADMIN_QUEUE_EXPIRE:
		return GATEWAY_QUEUE_EXPIRE;
	case ADMIN_QUEUE_QUARANTINE:
		return GATEWAY_QUEUE_QUARANTINE;
	case ADMIN_QUEUE_RETRY:
		break;
	}
	return GATEWAY_QUEUE_RETRY;
}

int queue_admin_do(struct app *app, uint64_t number, enum admin_queue_verb verb, struct entente_err *err)
{
	return app->queue ? app_queue_do(app, number, verb_of(verb), err) : no_queue(err);
}

int queue_admin_do_all(struct app *app, struct slice partner, enum admin_queue_verb verb, size_t *ret_n, struct entente_err *err)
{
	return app->queue ? app_queue_do_all(app, partner, verb_of(verb), ret_n, err) : no_queue(err);
}

int queue_admin_pause(struct app *app, struct slice partner, bool paused, struct entente_err *err)
{
	return app->queue ? app_queue_pause(app, partner, paused, err) : no_queue(err);
}
