/* SPDX-License-Identifier: Apache-2.0 */
/* The Access Edge as a whole, and what comes in from partners: whose is it, may it, and on to the home. */
#include "edge/access_int.h"

#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/trace.h"

struct parked { /* a request that waits for its sender's SRV record */
	struct access_srv_wait wait;
	struct list node; /* in e->parked */
	struct access *e;
	uint64_t server;
	bool has_server;
	struct sip_msg *m;
	struct arena *a;
	struct sip_flow from;
	struct access_look look;
};

static void judge(struct access *e, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
		  const struct access_look *look);

static bool plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'))
			return false;
	}
	return true;
}

static struct slice lower(struct arena *a, struct slice s)
{
	s = arena_dup(a, s);
	for (size_t i = 0; i < s.len; i++) {
		char *c = (char *)(uintptr_t)(s.p + i);
		*c = (char)(*c + (*c >= 'A' && *c <= 'Z' ? 32 : 0));
	}
	return s;
}

struct slice access_local_part(struct access *e, struct arena *a, const struct sip_uri *u)
{
	struct slice ret;
	struct slice phone;
	if (plain(u->user) && !sip_uri_param(u, S("user"), &phone))
		return u->user;
	return e->ops->user && e->ops->user(e->arg, a, u, &ret) ? ret : lower(a, u->user);
}

struct slice access_user(struct access *e, struct arena *a, const struct sip_uri *u)
{
	if (slice_empty(u->user) || slice_empty(u->host))
		return SLICE_NONE;
	return ARENA_JOIN(a, access_local_part(e, a, u), S("@"), lower(a, u->host));
}

/* ---- the decision */

static void release(struct access *e, struct arena *a)
{
	arena_release(e->loop->arenas, a);
}

static void parked_known(struct access_srv_wait *w)
{
	struct parked p = *CONTAINER_OF(w, struct parked, wait);
	struct parked *own = CONTAINER_OF(w, struct parked, wait);
	struct sip_server_trans *st = p.has_server ? sip_server_find(p.e->outer, p.server) : NULL;
	struct access_conn *c = access_conn_find(p.e, p.from.conn);
	list_remove(&own->node);
	mem_free(own);
	p.e->n_parked--;
	if (c) {
		if (--c->n_parked < ACCESS_PARKED_CONN && c->stream.full)
			access_conn_fill(c, false);
		c->hasty = c->hasty && c->n_parked;
	}
	if (p.has_server && !st)
		release(p.e, p.a);
	else
		judge(p.e, st, p.m, p.a, &p.from, &p.look);
}

static bool park(struct access *e, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
		 const struct access_look *look, struct access_conn *c)
{
	if (e->n_parked >= ACCESS_PARKED_ALL || c->n_parked >= ACCESS_PARKED_CONN) {
		metric_add(METRIC_LIMIT_HITS, 1);
		return false;
	}
	struct parked *p = MEM_NEW(struct parked);
	*p = (struct parked){.wait = {.known = parked_known}, .e = e, .server = st ? sip_server_id(st) : 0, .has_server = st != NULL, .m = m, .a = a,
			     .from = *from, .look = *look};
	if (!access_srv_ask(e, look->remote, &p->wait)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		mem_free(p);
		return false;
	}
	list_append(&e->parked, &p->node);
	e->n_parked++;
	if (++c->n_parked == ACCESS_PARKED_CONN && !c->peer && !c->hasty) /* our own connection has answers that somebody waits for */
		access_conn_fill(c, true);
	return true;
}

static void refuse(struct access *e, struct sip_server_trans *st, const struct sip_msg *m, const struct access_conn *c, enum reason reason,
		   const struct policy_verdict *v)
{
	char z[ADDR_TEXT], record[RECORD_ID_TEXT];
	const struct tls_peer *cert = conn_peer(c->conn);
	const struct policy_step *last = v && v->n_steps ? &v->steps[v->n_steps - 1] : NULL;
	addr_text(conn_remote(c->conn), z);
	log_ev_limited(LOG_WARNING, "access/refused-in", slice_str(z), {"address", slice_str(z)}, {"method", m->method_text}, {"from", m->from.uri_text},
		       {"to", m->to.uri_text}, {"reason", slice_str(reason_info(reason)->id)}, {"text", last ? slice_str(last->detail) : SLICE_NONE},
		       {"rule", last ? slice_str(last->rule) : SLICE_NONE}, {"subject", cert ? cert->subject : SLICE_NONE},
		       {"trace", record_id_text(sip_server_record(st), record)});
	access_proxy_rejected(m->method, reason);
	/* That one look-up has no room does not put us out of service, as 503 would say (RFC 3261 21.5.4). */
	const struct access_look later = {.status = 500, .reason = reason, .header = S("Retry-After"), .value = S("10")};
	if (v && v->need_srv)
		access_proxy_answer(e->proxy, st, false, &later);
	else
		access_proxy_reject(e->proxy, st, false, reason, SLICE_NONE);
}

/* Whom a request is for. The Request-URI of one inside a dialog is wherever the user's client is, and does not tell; but when it has a user of a
 * domain of ours, the home could go by that: then it counts, or an invented dialog with one user would lead to any other. */
static const struct sip_uri *addressed(struct access *e, const struct sip_msg *m)
{
	struct snapshot *s = snapshot_reader_get(&e->policy);
	bool named = !m->to.tag.len || (m->uri.user.len && s && snapshot_local(s, m->uri.host, NULL));
	return named ? &m->uri : &m->to.uri;
}

static bool contact(struct access *e, struct arena *a, const struct sip_msg *m)
{
	return access_contact_known(e->cfg.shared, access_user(e, a, addressed(e, m)), access_user(e, a, &m->from.uri));
}

struct acquaintance {
	struct access *e;
	const struct sip_msg *m;
	struct arena *a;
};

static bool acquainted(void *arg)
{
	const struct acquaintance *q = arg;
	return contact(q->e, q->a, q->m);
}

static void ask(struct access *e, const struct access_conn *c, const struct sip_msg *m, const struct access_look *look, struct arena *a,
		uint64_t record, struct policy_verdict *ret)
{
	const struct access_srv *srv = access_srv_known(e, look->remote);
	struct slice asserted[8];
	struct policy_sip sip = {.srv = srv ? srv->state : POLICY_SRV_UNASKED, .mark = access_mark_of(m), .asserted = asserted, .media = look->media};
	access_conn_names(c, &sip);
	sip.n_asserted = access_asserted(m, asserted, 8);
	if (srv && srv->state == POLICY_SRV_FOUND) {
		sip.targets = srv->targets;
		sip.n_targets = srv->n_targets;
	}
	struct policy_question q = {.kind = look->kind, .direction = POLICY_TO_LOCAL, .from = {m->from.uri.user, look->remote},
				    .to = {m->to.uri.user, look->local}, .sip = &sip};
	const struct sip_uri *whom = addressed(e, m);
	struct policy_party user = {access_local_part(e, a, whom), whom->host};
	q.user = &user;
	policy_decide_request(snapshot_reader_get(&e->policy), &q, acquainted, &(struct acquaintance){e, m, a}, ret);
	access_record_verdict(e, record, &q, ret);
}

static void judge(struct access *e, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
		  const struct access_look *look)
{
	struct access_conn *c = access_conn_find(e, from->conn);
	struct policy_verdict v;
	struct access_terms terms = {0};
	enum reason limit = REASON_NONE;
	if (!c) { /* gone meanwhile: nobody would hear the answer */
		release(e, a);
		return;
	}
	ask(e, c, m, look, a, sip_server_record(st), &v);
	if (v.need_srv && park(e, st, m, a, from, look, c)) {
		record_hop(e->cfg.records, sip_server_record(st), RECORD_WAITS, 0, REASON_NONE);
		return;
	}
	if (v.need_srv) /* we have no room for it to wait: nothing is wrong with its domain */
		v.reason = REASON_LIMIT_QUEUE_FULL;
	if (v.allow)
		access_trust_proved(c, look->remote);
	if (v.allow && look->place != ACCESS_PLACE_ANY && v.transit != (look->place == ACCESS_PLACE_PARTNER)) /* a dialog of one kind is no way to the other */
		v = (struct policy_verdict){.reason = REASON_POLICY_ROUTE};
	if (!v.need_srv)
		metric_decided(v.allow ? REASON_NONE : (int)v.reason); /* limits are counted by themselves */
	if (v.allow && v.rate) { /* who answers a local user addresses nobody new; a dialog alone is quickly invented */
		uint32_t max = m->to.tag.len && contact(e, a, m) ? 0 : v.max_contacts;
		limit = access_watch_admit(e->cfg.shared, conn_peer(c->conn), look->remote, access_user(e, a, addressed(e, m)), e->loop->timers.now, v.rate, max,
					   &terms.sender);
	}
	if (limit) {
		metric_add(METRIC_LIMIT_HITS, 1);
		metric_add(METRIC_RATE_SIP_DISCOVERED, 1);
	} else if (v.allow) {
		limit = access_guard_ask(c, &terms.guest);
	}
	if (!v.allow || limit) {
		refuse(e, st, m, c, v.allow ? limit : v.reason, &v);
		release(e, a);
		return;
	}
	if (v.allowed && v.allowed->monitoring)
		log_ev(LOG_INFO, "access/monitored", {"domain", v.allowed->domain}, {"method", m->method_text}, {"from", m->from.uri_text},
		       {"to", m->to.uri_text});
	if (v.transit) {
		terms.marks.verified = v.verified;
		access_proxy_transit(e->proxy, st, m, a, from, &terms);
		return;
	}
	terms.home = v.home;
	terms.marks = (struct access_marks){.keep_asserted = v.verified, .edge_name = e->cfg.name, .verified = v.verified,
					    .publiccloud = access_public(e, v.cls),
					    .source_type = e->ops->lync(e->arg, v.home) ? access_source_type(v.cls) : NULL};
	access_proxy_inward(e->proxy, st, m, a, from, &terms);
}

bool access_public(struct access *e, enum policy_class c)
{
	struct snapshot *s = snapshot_reader_get(&e->policy);
	return c == POLICY_CLASS_PUBLIC || (c == POLICY_CLASS_DEFAULT_ROUTE && s && snapshot_access(s)->public_provider);
}

/* ---- the outer stack */

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct access *e = arg;
	struct access_look look;
	access_proxy_look(e->proxy, m, a, false, &look);
	access_record_begin(e, st, m, from, &look, false);
	if (e->quiet && st && !m->to.tag.len) {
		access_proxy_reject(e->proxy, st, false, REASON_SERVER_SHUTDOWN, SLICE_NONE);
	} else if (look.status) {
		access_proxy_answer(e->proxy, st, false, &look);
	} else {
		judge(e, st, m, a, from, &look);
		return;
	}
	release(e, a);
}

/* Whom a connection stands for, as far as it is known: the first request in tells before it has been judged. */
static struct slice peer_name(const struct access_conn *c, const struct sip_msg *m)
{
	if (c->domain.len)
		return policy_domain_slice(&c->domain);
	return m && m->is_request && !c->peer ? m->from.uri.host : slice_str(c->host);
}

static void trace(const struct access_conn *c, bool out, const struct sip_msg *m)
{
	char what[64];
	struct slice peer = peer_name(c, m);
	if (trace_on(c->e->cfg.trace))
		trace_sip_partner(c->e->cfg.trace, out, peer, m);
	if (!log_trace_enabled())
		return;
	if (m->is_request)
		snprintf(what, sizeof what, "%.*s", SFMT(slice_first(m->method_text, 30)));
	else
		snprintf(what, sizeof what, "%d %.*s %.*s", m->status, SFMT(slice_first(m->reason, 30)), SFMT(slice_first(m->cseq_method_text, 20)));
	log_tr(out ? "trace/partner-out" : "trace/partner-in", {"peer", peer}, {"from", m->from.uri_text}, {"to", m->to.uri_text}, {"what", slice_str(what)},
	       {"call-id", m->call_id});
}

static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct access *e = arg;
	struct access_conn *c = access_conn_find(e, to->conn);
	if (!c || c->stream.over)
		return ENTENTE_ENET;
	access_conn_sent(c, bytes);
	trace_keep(e->cfg.trace, true, true, peer_name(c, NULL), bytes);
	if (log_trace_enabled() || trace_on(e->cfg.trace)) {
		struct sip_msg *m;
		struct sip_fault fault;
		struct arena *a = arena_acquire(e->loop->arenas);
		if (!sip_msg_parse(&m, a, bytes, &e->cfg.set.limits, &fault))
			trace(c, true, m);
		release(e, a);
	}
	int rc = conn_write(c->conn, bytes);
	access_guard_wrote(c);
	return rc;
}

static void on_cancelled(void *arg, struct sip_server_trans *st)
{
	access_cancelled(arg, st);
}

static void on_gone(void *arg, struct sip_server_trans *st)
{
	access_gone(arg, st);
}

static const struct sip_stack_ops stack_ops = {.send = on_send, .request = on_request, .cancelled = on_cancelled, .gone = on_gone};

/* Its octets are copied once, into an arena, which the message keeps on its whole way. */
void access_input(struct access *e, struct access_conn *c, struct slice raw)
{
	struct sip_msg *m = NULL;
	struct sip_fault fault = {.text = "larger than the memory of one message"};
	struct arena *a = arena_acquire(e->loop->arenas);
	struct sip_flow flow = access_conn_flow(c);
	struct slice own = arena_dup(a, raw);
	c->used = e->loop->timers.now;
	if (!c->ready || !own.p || sip_msg_parse(&m, a, own, &e->cfg.set.limits, &fault)) {
		metric_add(METRIC_SIP_MALFORMED, 1);
		metric_add(METRIC_PARSE_SIP_MESSAGE, 1);
		if (m && fault.status)
			sip_stack_refuse(e->outer, &flow, m, fault.status, slice_str(fault.text));
		release(e, a);
		return;
	}
	c->requests += m->is_request;
	trace_keep(e->cfg.trace, false, true, peer_name(c, m), m->raw);
	trace(c, false, m);
	sip_stack_input(e->outer, &flow, m, a);
}

/* ---- what the home side says */

void access_request(struct access *e, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	access_record_begin(e, st, m, from, NULL, true);
	access_proxy_outward(e->proxy, st, m, a, from);
}

/* A CANCEL for an INVITE that waits for nothing of ours any more is answered as the stack would. */
void access_cancelled(struct access *e, struct sip_server_trans *st)
{
	if (sip_server_user(st))
		access_proxy_cancelled(e->proxy, st);
	else
		sip_server_reply(st, 487);
}

void access_gone(struct access *e, struct sip_server_trans *st)
{
	access_proxy_gone(e->proxy, st);
}

/* ---- the report about discovered partners */

static void report_row(void *arg, const struct access_watch_facts *f)
{
	char counts[160];
	uint64_t *period = arg;
	if (f->idle_ms > *period)
		return;
	snprintf(counts, sizeof counts, "requests %llu, too fast %llu, answered 2xx %llu, otherwise %llu, local addresses %zu, refused ones %llu",
		 (unsigned long long)f->requests, (unsigned long long)f->throttled, (unsigned long long)f->succeeded, (unsigned long long)f->failed,
		 f->contacts, (unsigned long long)f->refused_contacts);
	log_ev(LOG_INFO, "access/discovered-partner", {"subject", f->subject}, {"issuer", f->issuer}, {"serial", f->serial}, {"domains", f->domains},
	       {"mode", slice_str(f->mode)}, {"text", slice_str(counts)});
}

static uint64_t report_period(struct access *e)
{
	struct snapshot *s = snapshot_reader_get(&e->policy);
	return (s ? snapshot_access(s)->report_minutes : 60) * 60000ull;
}

static void report_fired(struct timer *t, uint64_t now)
{
	struct access *e = CONTAINER_OF(t, struct access, report);
	uint64_t period = report_period(e);
	access_watch_each(e->cfg.shared, now, report_row, &period);
	timer_arm(&e->loop->timers, t, period);
}

/* ---- life */

struct access *access_new(const struct access_config *cfg, const struct access_ops *ops, void *arg)
{
	struct access *e = MEM_NEW(struct access);
	struct sip_stack_config sc = {.server = S("Entente/" ENTENTE_VERSION), .pool = cfg->worker->loop->arenas, .sent_by = {[SIP_TLS] = cfg->outer_name},
				      .max_server = cfg->max_transactions, .max_client = cfg->max_transactions};
	e->cfg = *cfg;
	if (!e->cfg.max_transactions)
		e->cfg.max_transactions = 20000;
	e->ops = ops;
	e->arg = arg;
	e->worker = cfg->worker;
	e->loop = cfg->worker->loop;
	map_init(&e->conns);
	map_init(&e->srvs);
	map_init(&e->peers);
	map_init(&e->seeks);
	list_init(&e->srv_lru);
	list_init(&e->parked);
	snapshot_reader_init(&e->policy, cfg->policy);
	timer_init(&e->report, report_fired);
	if (e->worker->id == 0)
		timer_arm(&e->loop->timers, &e->report, report_period(e));
	if (cfg->revocation)
		e->revocation = revocation_watch(cfg->revocation, cfg->worker, access_trust_news, e);
	e->outer = sip_stack_new(&stack_ops, e, &e->loop->timers, &sc);
	struct access_proxy_config pc = {.inner = cfg->inner, .outer = e->outer, .pool = e->loop->arenas, .worker = cfg->worker->id,
					 .outer_name = cfg->outer_name, .route_name = cfg->route_name, .own = cfg->own, .n_own = cfg->n_own, .max_legs = cfg->max_transactions,
					 .records = cfg->records};
	e->proxy = access_proxy_new(&pc, &access_way_ops, e);
	access_proxy_set(e->proxy, &cfg->set.rules);
	return e;
}

struct access *access_free(struct access *e)
{
	size_t i;
	if (!e)
		return NULL;
	LIST_EACH(n, &e->parked) {
		struct parked *p = CONTAINER_OF(n, struct parked, node);
		list_remove(&p->wait.node);
		release(e, p->a);
		mem_free(p);
	}
	timer_cancel(&e->loop->timers, &e->report);
	revocation_unwatch(e->revocation);
	access_proxy_free(e->proxy);
	access_peer_free_all(e);
	access_srv_free_all(e);
	MAP_EACH(n, &e->conns, i)
		access_conn_free(CONTAINER_OF(n, struct access_conn, node));
	sip_stack_free(e->outer);
	map_free(&e->conns);
	map_free(&e->srvs);
	map_free(&e->peers);
	map_free(&e->seeks);
	snapshot_reader_destroy(&e->policy);
	tls_ctx_unref(e->tls);
	return mem_free(e);
}

void access_set_tls(struct access *e, struct tls_ctx *tls)
{
	struct tls_ctx *old = e->tls;
	e->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}

void access_set(struct access *e, const struct access_settings *set)
{
	struct conn_limits lim;
	size_t i;
	e->cfg.set = *set;
	access_proxy_set(e->proxy, &set->rules);
	MAP_EACH(n, &e->conns, i) {
		struct access_conn *c = CONTAINER_OF(n, struct access_conn, node);
		access_guard_limits(c, &lim);
		if (c->ready)
			conn_set_limits(c->conn, &lim);
	}
}

void access_quiesce(struct access *e)
{
	e->quiet = true;
}

size_t access_waiting(struct access *e)
{
	return sip_stack_waiting(e->outer);
}

void access_each_leg(struct access *e, void (*fn)(void *, const struct access_leg_facts *), void *arg)
{
	access_proxy_each(e->proxy, fn, arg);
}
