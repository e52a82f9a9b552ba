/* SPDX-License-Identifier: Apache-2.0 */
#include "app/seeing.h"

#include <stdatomic.h>
#include <stdio.h>
#include "app/json.h"
#include "app/node_int.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/mem.h"
#include "net/dns.h"

struct flow { /* shared by the workers and the control thread: what is on its way */
	_Atomic unsigned refs, underway;
	_Atomic uint64_t lost;
};

struct watch_flow { /* what a worker needs to tell something of a trace; lives as long as its watch */
	struct flow *flow;
	struct app *app;
};

struct watch { /* one task */
	struct list node;
	struct seeing *seeing;
	const struct seeing_sink *sink;
	void *arg;             /* of the sink; of admin_sink: the task */
	uint64_t id;
	struct flow *flow;
	bool trace;
	struct worker *worker; /* of a test */
	struct watch_flow traced;
	struct timer end;      /* of a trace */
};

struct seeing {
	struct app *app;
	struct list all;
	uint64_t next;
};

/* Of any origin: what is not UTF-8 is not shown. */
static void put_text(json_t *o, const char *key, struct slice s)
{
	if (s.len && !utf8_valid(s))
		json_object_set_new(o, key, json_sprintf("(%zu octets that are not UTF-8)", s.len));
	else
		json_put(o, key, s);
}

static void flow_unref(struct flow *f)
{
	if (atomic_fetch_sub(&f->refs, 1) == 1)
		mem_free(f);
}

/* ---- from a worker to the control thread */

struct told {
	struct bus_msg bus;
	struct app *app;
	uint64_t id;
	struct flow *flow;   /* a reference, or NULL */
	json_t *event;       /* or NULL: the end */
	struct entente_err err;
	bool last;
};

static struct watch *watch_find(struct seeing *s, uint64_t id)
{
	LIST_EACH(n, &s->all) {
		struct watch *w = CONTAINER_OF(n, struct watch, node);
		if (w->id == id)
			return w;
	}
	return NULL;
}

static void watch_free(struct watch *w)
{
	struct seeing *s = w->seeing;
	timer_cancel(&pool_control(s->app->pool)->loop->timers, &w->end);
	if (w->trace)
		trace_unwatch(s->app->trace, w->id); /* nothing uses it afterwards */
	list_remove(&w->node);
	flow_unref(w->flow);
	mem_free(w);
}

static void told_drop(struct bus_msg *b)
{
	struct told *m = CONTAINER_OF(b, struct told, bus);
	json_decref(m->event);
	if (m->flow) {
		atomic_fetch_sub(&m->flow->underway, 1);
		flow_unref(m->flow);
	}
	mem_free(m);
}

static struct watch *watch_of(const struct told *m)
{
	return m->app->seeing ? watch_find(m->app->seeing, m->id) : NULL;
}

static void told_run(struct worker *control, struct bus_msg *b)
{
	struct told *m = CONTAINER_OF(b, struct told, bus);
	struct watch *w = watch_of(m);
	uint64_t lost = w ? atomic_exchange(&w->flow->lost, 0) : 0;
	(void)control;
	if (lost)
		w->sink->event(w->arg, json_pack("{s:s s:I}", "event", "lost", "lost", (json_int_t)lost));
	w = watch_of(m); /* whoever is told may go away */
	if (w && m->event)
		w->sink->event(w->arg, json_incref(m->event));
	w = watch_of(m);
	if (w && m->last) {
		const struct seeing_sink *sink = w->sink;
		void *arg = w->arg;
		watch_free(w);
		sink->end(arg, m->err.code ? &m->err : NULL);
	}
	told_drop(b);
}

static void tell(struct app *app, uint64_t id, json_t *event, bool last, const struct entente_err *err)
{
	struct told *m = MEM_NEW(struct told);
	*m = (struct told){.bus = {.run = told_run, .drop = told_drop}, .app = app, .id = id, .event = event, .last = last};
	if (err)
		m->err = *err;
	worker_post_always(pool_control(app->pool), &m->bus);
}

static void task_event(void *arg, json_t *event)
{
	admin_task_event(arg, event);
}

static void task_end(void *arg, const struct entente_err *err)
{
	admin_task_end(arg, err);
}

static const struct seeing_sink admin_sink = {task_event, task_end};

static struct watch *watch_new(struct seeing *s, const struct seeing_sink *sink, void *arg, bool trace)
{
	struct watch *w = MEM_NEW(struct watch);
	w->seeing = s;
	w->sink = sink;
	w->arg = arg;
	w->id = ++s->next;
	w->trace = trace;
	w->flow = MEM_NEW(struct flow);
	atomic_store(&w->flow->refs, 1);
	timer_init(&w->end, NULL);
	list_append(&s->all, &w->node);
	return w;
}

/* ---- tests */

static void test_event(void *arg, uint64_t id, const struct partner_test_event *e)
{
	struct node *n = arg;
	bool verdict = slice_eq(slice_str(e->step), S("verdict"));
	json_t *o = json_object(), *facts = json_object();
	json_put(o, "step", slice_str(e->step));
	json_put(o, "outcome", slice_str(e->outcome));
	json_put_int(o, "at", e->at_ms);
	json_put_int(o, "took", e->took_ms);
	json_put(o, "text", e->text);
	for (size_t i = 0; i < e->n_facts; i++)
		json_put(facts, e->facts[i].key, e->facts[i].value);
	if (json_object_size(facts))
		json_object_set(o, "facts", facts);
	json_decref(facts);
	if (e->reason || e->who) {
		json_put(o, "reason", slice_str(reason_info(e->reason)->id));
		json_put(o, "who", slice_str(xmpp_who_text(e->who)));
	}
	tell(n->app, id, o, verdict, NULL);
}

static const struct partner_test_ops test_ops = {.event = test_event};

struct order { /* to a worker: begin or cancel a test */
	struct bus_msg bus;
	struct app *app;
	bool cancel;
	enum admin_protocol protocol;
	struct xmpp_test_spec spec;
	char local[1024], remote[1024], host[256];
	char sip_local[256], sip_remote[256]; /* in A-labels */
	/* while DNS decides on the protocol: */
	struct list node; /* in at->deciding */
	struct node *at;
	struct dns_query *sip_query, *xmpp_query;
	bool has_sip, has_xmpp;
};

static void order_free(struct order *o)
{
	dns_cancel(o->sip_query);
	dns_cancel(o->xmpp_query);
	list_remove(&o->node);
	mem_free(o);
}

static void begin(struct node *n, struct order *o)
{
	struct entente_err err = {0};
	struct sip_test_spec sip = {.id = o->spec.id, .local = slice_str(o->sip_local), .remote = slice_str(o->sip_remote), .host = o->spec.host,
				    .port = o->spec.port, .timeout_ms = o->spec.timeout_ms};
	int rc;
	if (o->protocol != ADMIN_PROTOCOL_SIP)
		rc = xmpp_test_start(n->xmpp, &o->spec, &test_ops, n, &err);
	else if (n->sip_tests)
		rc = sip_test_start(n->sip_tests, &sip, &test_ops, n, &err);
	else
		rc = err_set(&err, ENTENTE_EUNSUPPORTED, REASON_NONE, "SIP federation needs edge and gateway in one process (server.role all)");
	if (rc)
		tell(n->app, o->spec.id, NULL, true, &err);
	order_free(o);
}

/* Neither configured nor said: what the domain has in DNS. With both, what requests to it would take. */
static void decided(struct order *o)
{
	struct node *n = o->at;
	struct snapshot *s = snapshot_reader_get(&n->policy);
	bool sip = o->has_sip && (!o->has_xmpp || (s && snapshot_access(s)->federated_users));
	if (o->sip_query || o->xmpp_query)
		return;
	o->protocol = sip ? ADMIN_PROTOCOL_SIP : ADMIN_PROTOCOL_XMPP;
	tell(o->app, o->spec.id,
	     json_pack("{s:s s:s s:i s:i s:o s:{s:s}}", "step", "protocol", "outcome", "note", "at", 0, "took", 0, "text",
		       sip ? json_sprintf("by SIP: DNS has _sipfederationtls._tcp.%s%s", o->sip_remote, o->has_xmpp ? "; --xmpp tests the other way" : "")
			   : json_sprintf("by XMPP%s; --sip tests the other way", o->has_sip ? ", though DNS has both" : ""),
		       "facts", "protocol", sip ? "sip" : "xmpp"),
	     false, NULL);
	begin(n, o);
}

static void sip_record(void *arg, const struct dns_answer *a)
{
	struct order *o = arg;
	o->sip_query = NULL;
	o->has_sip = a->status == DNS_OK;
	decided(o);
}

static void xmpp_record(void *arg, const struct dns_answer *a)
{
	struct order *o = arg;
	o->xmpp_query = NULL;
	o->has_xmpp = a->status == DNS_OK;
	decided(o);
}

static void decide(struct node *n, struct order *o)
{
	char name[300];
	o->at = n;
	list_append(&n->deciding, &o->node);
	snprintf(name, sizeof name, "_sipfederationtls._tcp.%s", o->sip_remote);
	o->sip_query = dns_ask(n->app->dns, n->worker, slice_str(name), DNS_SRV, sip_record, o);
	snprintf(name, sizeof name, "_xmpp-server._tcp.%s", o->sip_remote);
	o->xmpp_query = dns_ask(n->app->dns, n->worker, slice_str(name), DNS_SRV, xmpp_record, o);
}

static void order_run(struct worker *w, struct bus_msg *b)
{
	struct order *o = CONTAINER_OF(b, struct order, bus);
	struct node *n = node_of(o->app, w);
	if (!o->cancel && o->protocol == ADMIN_PROTOCOL_AUTO) {
		decide(n, o);
		return;
	}
	if (!o->cancel) {
		begin(n, o);
		return;
	}
	LIST_EACH(m, &n->deciding) {
		struct order *waiting = CONTAINER_OF(m, struct order, node);
		if (waiting->spec.id == o->spec.id)
			order_free(waiting);
	}
	xmpp_test_cancel(n->xmpp, o->spec.id);
	if (n->sip_tests)
		sip_test_cancel(n->sip_tests, o->spec.id);
	order_free(o);
}

void seeing_node_end(struct node *n)
{
	LIST_EACH(m, &n->deciding)
		order_free(CONTAINER_OF(m, struct order, node));
}

static void order_drop(struct bus_msg *b)
{
	order_free(CONTAINER_OF(b, struct order, bus));
}

static struct order *order_new(struct app *app, uint64_t id)
{
	struct order *o = MEM_NEW(struct order);
	o->bus = (struct bus_msg){.run = order_run, .drop = order_drop};
	o->app = app;
	o->spec.id = id;
	list_init(&o->node);
	return o;
}

/* Streams know domains in U-labels, administrators type either. */
static bool prepare(struct slice domain, char *ret, size_t size)
{
	struct arena *a = arena_new(1 << 16);
	struct slice out;
	bool ok = xmpp_prep_domain(a, domain, &out) == 0 && slice_cstr(out, ret, size);
	arena_release(NULL, a);
	return ok;
}

int seeing_test(struct seeing *s, const struct admin_test *what, struct admin_task *t, struct entente_err *err)
{
	uint64_t id;
	return seeing_test_for(s, what, &admin_sink, t, &id, err);
}

int seeing_test_for(struct seeing *s, const struct admin_test *what, const struct seeing_sink *sink, void *arg, uint64_t *ret_id,
		    struct entente_err *err)
{
	struct app *app = s->app;
	struct order *o = order_new(app, 0);
	if (app->stopping || !prepare(what->domain, o->remote, sizeof o->remote) || !prepare(what->from, o->local, sizeof o->local)) {
		mem_free(o);
		return app->stopping ? err_set(err, ENTENTE_ECLOSED, REASON_SERVER_SHUTDOWN, "the server is shutting down")
				     : err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "not a domain");
	}
	struct watch *w = watch_new(s, sink, arg, false);
	*ret_id = w->id;
	slice_cstr(what->server_host, o->host, sizeof o->host);
	slice_cstr(what->domain, o->sip_remote, sizeof o->sip_remote);
	slice_cstr(what->from, o->sip_local, sizeof o->sip_local);
	o->protocol = what->protocol;
	o->spec = (struct xmpp_test_spec){
		.id = w->id, .local = slice_str(o->local), .remote = slice_str(o->remote), .set_tls = what->set_tls,
		.set_sasl = what->set_sasl, .set_dialback = what->set_dialback, .tls = what->tls, .sasl = what->sasl,
		.dialback = what->dialback, .host = slice_str(o->host), .port = what->server_port, .timeout_ms = what->timeout_ms,
	};
	w->worker = pool_pick(app->pool, o->spec.remote);
	worker_post_always(w->worker, &o->bus);
	return 0;
}

/* ---- traces */

static json_t *trace_json(const struct trace_event *e)
{
	static const char *const kind[] = {"sip", "xmpp", "step"};
	char at[CLOCK_TEXT];
	json_t *o = json_object();
	clock_text(at);
	if (e->at_ms) {
		clock_text_at(e->at_ms / 1000, at);
		snprintf(at + strlen(at) - 1, 6, ".%03uZ", (unsigned)(e->at_ms % 1000));
	}
	json_put(o, "event", slice_str(kind[e->kind]));
	json_put(o, "at", slice_str(at));
	json_put(o, "direction", e->out ? S("out") : S("in"));
	if (e->kind == TRACE_SIP)
		json_put(o, "side", e->partner ? S("partner") : S("home"));
	put_text(o, "peer", e->peer);
	put_text(o, "what", e->what);
	put_text(o, "from", e->from);
	put_text(o, "to", e->to);
	put_text(o, "detail", e->detail);
	if (e->stream)
		json_put_int(o, "stream", e->stream);
	if (e->size)
		json_put_int(o, "size", e->size);
	if (e->body_size)
		json_put_int(o, "body_size", e->body_size);
	put_text(o, "body", e->body);
	return o;
}

/* On any worker's thread. */
static void trace_event(void *arg, uint64_t id, const struct trace_event *e)
{
	struct watch_flow *f = arg;
	if (atomic_fetch_add(&f->flow->underway, 1) >= SEEING_UNDERWAY) {
		atomic_fetch_sub(&f->flow->underway, 1);
		atomic_fetch_add(&f->flow->lost, 1);
		return;
	}
	struct told *m = MEM_NEW(struct told);
	*m = (struct told){.bus = {.run = told_run, .drop = told_drop}, .app = f->app, .id = id, .flow = f->flow,
			  .event = trace_json(e)};
	atomic_fetch_add(&f->flow->refs, 1);
	worker_post_always(pool_control(f->app->pool), &m->bus);
}

static void trace_over(struct timer *t, uint64_t now)
{
	struct watch *w = CONTAINER_OF(t, struct watch, end);
	(void)now;
	trace_unwatch(w->seeing->app->trace, w->id);
	tell(w->seeing->app, w->id, NULL, true, NULL); /* behind what is on its way */
}

/* On the control thread. */
static void kept_event(void *arg, uint64_t id, const struct trace_event *e)
{
	tell(arg, id, trace_json(e), false, NULL);
}

static void recall(struct seeing *s, struct watch *w, struct trace_watch look, const struct admin_trace *what)
{
	size_t before;
	int64_t now = clock_unix() * 1000;
	look.event = kept_event;
	look.arg = s->app;
	before = trace_recall(s->app->trace, &look, now - what->since_ms, what->most);
	if (before)
		tell(s->app, w->id, json_pack("{s:s s:I}", "event", "left-out", "left_out", (json_int_t)before), false, NULL);
}

int seeing_trace(struct seeing *s, const struct admin_trace *what, struct admin_task *t, struct entente_err *err)
{
	struct watch *w = watch_new(s, &admin_sink, t, true);
	struct trace_watch look = {.id = w->id, .partner = what->partner, .user = what->user, .bodies = what->bodies, .failed = what->failed,
				   .event = trace_event, .arg = &w->traced};
	w->traced = (struct watch_flow){w->flow, s->app};
	if (what->since_ms)
		recall(s, w, look, what);
	if (!what->ms) {
		tell(s->app, w->id, NULL, true, NULL);
		return 0;
	}
	if (!trace_watch(s->app->trace, &look)) {
		watch_free(w);
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%d traces run already", TRACE_WATCHES);
	}
	timer_init(&w->end, trace_over);
	timer_arm(&pool_control(s->app->pool)->loop->timers, &w->end, what->ms);
	return 0;
}

/* ---- life */

static void cancel(struct watch *w)
{
	if (!w->trace) {
		struct order *o = order_new(w->seeing->app, w->id);
		o->cancel = true;
		worker_post_always(w->worker, &o->bus);
	}
	watch_free(w);
}

void seeing_cancel(struct seeing *s, struct admin_task *t)
{
	LIST_EACH(n, &s->all) {
		struct watch *w = CONTAINER_OF(n, struct watch, node);
		if (w->sink == &admin_sink && w->arg == t)
			cancel(w);
	}
}

void seeing_cancel_for(struct seeing *s, uint64_t id)
{
	struct watch *w = watch_find(s, id);
	if (w)
		cancel(w);
}

struct seeing *seeing_new(struct app *app)
{
	struct seeing *s = MEM_NEW(struct seeing);
	s->app = app;
	list_init(&s->all);
	return s;
}

struct seeing *seeing_free(struct seeing *s)
{
	if (!s)
		return NULL;
	LIST_EACH(n, &s->all)
		watch_free(CONTAINER_OF(n, struct watch, node));
	return mem_free(s);
}

/* ---- attempts */

static void attempt_row(void *arg, const struct xmpp_attempt *a)
{
	json_t *o = json_object(), *took = json_object();
	char at[CLOCK_TEXT];
	clock_text_at(a->at, at);
	json_put(o, "at", slice_str(at));
	json_put(o, "direction", a->inbound ? S("in") : S("out"));
	json_put(o, "purpose", slice_str(a->purpose));
	json_put(o, "result", !a->ok ? S("failed") : a->over ? S("ended") : S("up"));
	json_put(o, "step", slice_str(xmpp_step_text(a->step)));
	for (int i = 0; i < XMPP_STEPS; i++)
		if (a->took[i] != XMPP_NOT_REACHED)
			json_put_int(took, xmpp_step_text((enum xmpp_step)i), a->took[i]);
	json_object_set_new(o, "took", took);
	json_put_int(o, "stream", a->stream);
	json_put(o, "local", a->local);
	json_put(o, "remote", a->remote);
	json_put(o, "address", a->address);
	json_put(o, "how", a->how);
	json_put(o, "auth", a->proof);
	json_put(o, "tls", a->tls);
	json_put(o, "certificate", a->certificate);
	if (a->reason || a->text.len) {
		json_put(o, "reason", slice_str(reason_info(a->reason)->id));
		json_object_set_new(o, "said", json_boolean(a->received));
		json_put(o, "who", slice_str(xmpp_who_text(a->who)));
	}
	json_put(o, "text", a->text);
	json_put(o, "condition", a->condition);
	json_array_append_new(arg, o);
}

void seeing_attempts(struct app *app, struct slice domain, json_t *array)
{
	char remote[1024];
	if (prepare(domain, remote, sizeof remote))
		xmpp_history_each(app->history, slice_str(remote), attempt_row, array);
}
