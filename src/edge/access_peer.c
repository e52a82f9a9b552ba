/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a partner: whether a request may go, to which of the partner's servers, and over which connection. A connection counts when its
 * certificate proves what the decision demands, for each request anew; its address says nothing. What waits for one waits here, for a bounded
 * time. How connections come about: access_race.c. */
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/access_int.h"
#include "edge/access_proxy_int.h"

enum {
	PATIENCE_MS = 15000, /* of a request that waits for a connection */
	FOLLOW_MS = 2000,    /* of one in a dialog, for the server that its route names; then any of the domain's has to do */
	SHUN_MS = 30000,     /* and those that come after it do not try */
	FORGET_MS = 30000,   /* of a partner that nobody needs */
};

struct seek { /* a leg that needs a way */
	struct map_node node; /* key: leg; in e->seeks */
	struct list of_peer;
	struct access_srv_wait wait;
	struct access *e;
	struct access_peer *peer;
	uint64_t leg, record;
	struct policy_domain local, remote;
	enum policy_kind kind;
	bool media;
	uint32_t peer_home;
	bool transit;          /* it comes from a partner, over this connection: */
	uint64_t asker;
	uint64_t avoid;        /* connection that was of no use to it */
	bool busy;             /* for its server answered 503 */
	bool again;            /* a connection that was not its partner's has been given up for it */
	char follow[DNS_NAME_MAX + 1]; /* in a dialog: the server that the next Route names, or empty */
	uint16_t follow_port;
	size_t n_user;
	char user[];           /* of ours, who sends */
};

static void go(struct seek *k);

/* ---- the decision */

static void decide(struct access *e, const struct seek *k, const struct access_conn *c, struct policy_verdict *ret)
{
	const struct access_srv *srv = access_srv_known(e, policy_domain_slice(&k->remote));
	struct policy_sip sip = {.srv = srv ? srv->state : POLICY_SRV_UNASKED, .media = k->media};
	if (srv && srv->state == POLICY_SRV_FOUND) {
		sip.targets = srv->targets;
		sip.n_targets = srv->n_targets;
	}
	if (c)
		access_conn_names(c, &sip);
	struct policy_question q = {.kind = k->kind, .direction = POLICY_TO_REMOTE, .from = {slice_of(k->user, k->n_user), policy_domain_slice(&k->local)},
				    .to = {.domain = policy_domain_slice(&k->remote)}, .peer_home = k->peer_home, .transit = k->transit, .sip = &sip};
	policy_decide_request(snapshot_reader_get(&e->policy), &q, NULL, NULL, ret);
	access_record_verdict(e, k->record, &q, ret);
}

static struct slice last_detail(const struct policy_verdict *v)
{
	return v->n_steps ? slice_str(v->steps[v->n_steps - 1].detail) : SLICE_NONE;
}

/* ---- life of a seek */

static void seek_free(struct seek *k)
{
	if (k->peer && list_linked(&k->of_peer))
		k->peer->n_seeks--;
	list_remove(&k->of_peer);
	list_remove(&k->wait.node);
	map_remove(&k->e->seeks, &k->node);
	mem_free(k);
}

static void refuse(struct seek *k, enum reason reason, struct slice why)
{
	struct access *e = k->e;
	uint64_t leg = k->leg;
	char text[256], z[RECORD_ID_TEXT];
	slice_cstr(why, text, sizeof text);
	log_ev_limited(LOG_WARNING, "access/refused-out", policy_domain_slice(&k->remote), {"from", policy_domain_slice(&k->local)},
		       {"to", policy_domain_slice(&k->remote)}, {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(text)},
		       {"trace", record_id_text(k->record, z)});
	seek_free(k);
	access_proxy_refuse(e->proxy, leg, reason, slice_str(text));
}

/* By policy; what cannot be reached is no decision. */
static void forbid(struct seek *k, enum reason reason, struct slice why)
{
	metric_decided((int)reason);
	refuse(k, reason, why);
}

/* Does the same server stand at the other end of both, by its certificate? */
static bool same_party(const struct access_conn *asker, const struct access_conn *c)
{
	const struct tls_peer *x = asker ? conn_peer(asker->conn) : NULL, *y = conn_peer(c->conn);
	return x && y && x->has_cert && y->has_cert && memcmp(x->sha256, y->sha256, sizeof x->sha256) == 0;
}

/* The decision with this connection's certificate is yes. */
static void use(struct seek *k, struct access_conn *c, const struct policy_verdict *v)
{
	struct access *e = k->e;
	if (k->transit && same_party(access_conn_find(e, k->asker), c)) {
		forbid(k, REASON_POLICY_LOOP, S("it would go back to the server that it came from"));
		return;
	}
	const struct policy_access *a = snapshot_access(snapshot_reader_get(&e->policy));
	struct sip_flow flow = access_conn_flow(c);
	struct access_marks marks = {
		.keep_asserted = v->cls != POLICY_CLASS_DISCOVERED && v->cls != POLICY_CLASS_PUBLIC,
		.source_type = k->peer_home && e->ops->lync(e->arg, k->peer_home - 1) ? access_source_type(v->cls) : NULL,
		.edge_name = e->cfg.name, .verified = a->mark_verifiable, .publiccloud = access_public(e, v->cls), .mark = true,
		.disclaimer = a->archiving_disclaimer,
	};
	uint64_t leg = k->leg;
	struct access_guest *guest;
	record_via(e->cfg.records, k->record, slice_str(c->host));
	if (access_guard_ask(c, &guest)) {
		refuse(k, REASON_LIMIT_QUEUE_FULL, S("too many requests for the partner are under way"));
		return;
	}
	metric_decided(REASON_NONE);
	access_trust_proved(c, policy_domain_slice(&k->remote));
	c->requests++;
	c->used = e->loop->timers.now;
	seek_free(k);
	access_proxy_way(e->proxy, leg, &flow, &marks, guest);
}

/* The connection is there: may this request use it? */
static void finish(struct seek *k, struct access_conn *c)
{
	struct access *e = k->e;
	struct policy_verdict v;
	decide(e, k, c, &v);
	if (v.need_srv) { /* what DNS said is too old by now */
		if (!access_srv_ask(e, policy_domain_slice(&k->remote), &k->wait))
			refuse(k, REASON_LIMIT_QUEUE_FULL, S("too many requests wait for DNS"));
		return;
	}
	if (!v.allow) {
		bool stale = v.reason == REASON_SIP_CERTIFICATE || v.reason == REASON_SIP_SRV_DOMAIN; /* DNS names others now, or a route led here */
		c->retired |= stale;
		if (stale && !k->again) {
			k->again = true;
			k->follow[0] = 0;
			go(k);
		} else {
			forbid(k, v.reason, last_detail(&v));
		}
		return;
	}
	use(k, c, &v);
}

/* ---- peers */

static void peer_free(struct access_peer *p)
{
	access_race_free(p);
	timer_cancel(&p->e->loop->timers, &p->patience);
	map_remove(&p->e->peers, &p->node);
	mem_free(p);
}

void access_peer_free_all(struct access *e)
{
	size_t i;
	MAP_EACH(n, &e->seeks, i)
		seek_free(CONTAINER_OF(n, struct seek, node));
	MAP_EACH(m, &e->peers, i) {
		struct access_peer *p = CONTAINER_OF(m, struct access_peer, node);
		LIST_EACH(l, &p->conns)
			access_conn_free(CONTAINER_OF(l, struct access_conn, of_peer));
		peer_free(p);
	}
}

/* Takes all that wait out of the peer's list, into `all`. */
static void take_seeks(struct access_peer *p, struct list *all)
{
	list_init(all);
	LIST_EACH(n, &p->seeks) {
		list_remove(n);
		list_append(all, n);
		CONTAINER_OF(n, struct seek, of_peer)->peer = NULL;
	}
	p->n_seeks = 0;
}

static struct seek *next_seek(struct list *all)
{
	if (list_empty(all)) /* whoever is told may end others */
		return NULL;
	struct seek *k = CONTAINER_OF(list_head(all), struct seek, of_peer);
	list_remove(&k->of_peer);
	return k;
}

/* Nobody waits any more: forget it after a while, unless it has connections. */
static void rest(struct access_peer *p)
{
	if (list_empty(&p->seeks))
		timer_arm(&p->e->loop->timers, &p->patience, FORGET_MS);
}

/* No connection, or none in time. Dialogs whose server is not to be had go to any of the domain's: it may carry them. */
static void give_up(struct access_peer *p)
{
	struct list all;
	struct entente_err err = p->err;
	if (!err.reason)
		err_set(&err, ENTENTE_ETIMEOUT, REASON_SIP_PEER_UNREACHABLE, "no connection in time");
	if (access_peer_kind(p) == '@')
		p->shun_until = p->e->loop->timers.now + SHUN_MS;
	take_seeks(p, &all);
	rest(p);
	for (struct seek *k; (k = next_seek(&all));) {
		if (access_peer_kind(p) != '@') {
			refuse(k, err.reason, slice_str(err.text));
			continue;
		}
		k->follow[0] = 0;
		go(k);
	}
}

void access_peer_failed(struct access_peer *p)
{
	give_up(p);
}

static void on_patience(struct timer *t, uint64_t now)
{
	struct access_peer *p = CONTAINER_OF(t, struct access_peer, patience);
	(void)now;
	if (!list_empty(&p->seeks))
		give_up(p);
	else if (list_empty(&p->conns) && !p->lookup)
		peer_free(p);
	else
		rest(p);
}

enum { PEER_KEY = DNS_NAME_MAX + 16 };

/* The peer of a key, if there is one; the key is written to `key` ("" when the name cannot be). */
static struct access_peer *peer_find(struct access *e, char kind, struct slice name, uint16_t port, char key[PEER_KEY])
{
	char number[8] = "";
	if (kind == '@')
		snprintf(number, sizeof number, ":%u", port);
	struct slice text = SLICE_JOIN(key, PEER_KEY, slice_of(&kind, 1), name, slice_str(number));
	struct map_node *n = text.p ? map_find(&e->peers, text) : NULL;
	if (!text.p)
		*key = '\0';
	return n ? CONTAINER_OF(n, struct access_peer, node) : NULL;
}

/* ... or a new one; NULL: its name cannot be, or there are too many. */
static struct access_peer *peer_of(struct access *e, char kind, struct slice name, uint16_t port)
{
	char key[PEER_KEY];
	struct access_peer *found = peer_find(e, kind, name, port, key);
	if (found || !*key)
		return found;
	if (e->peers.count >= ACCESS_PEERS_MAX)
		return NULL;
	struct access_peer *p = MEM_NEW(struct access_peer);
	p->e = e;
	memcpy(p->key, key, sizeof key);
	snprintf(p->text, sizeof p->text, kind == '~' ? "sip:%s" : kind == '=' ? "sip:%s:5061;transport=tls" : "sip:%s;transport=tls", p->key + 1);
	if (sip_uri_parse(slice_str(p->text), &p->uri)) {
		mem_free(p);
		return NULL;
	}
	list_init(&p->conns);
	list_init(&p->seeks);
	sip_places_init(&p->places);
	timer_init(&p->patience, on_patience);
	timer_init(&p->race, access_race_fired);
	map_insert(&e->peers, &p->node, slice_str(p->key));
	rest(p);
	return p;
}

/* The least busy one, of this host unless it is empty. */
static struct access_conn *ready_conn(const struct access_peer *p, const struct seek *k, struct slice host)
{
	struct access_conn *best = NULL;
	LIST_EACH(l, &p->conns) {
		struct access_conn *c = CONTAINER_OF(l, struct access_conn, of_peer);
		if (!c->ready || c->retired || (k && c->id == k->avoid) || (host.len && !slice_ieq(slice_str(c->host), host)))
			continue;
		if (!best || conn_queued(c->conn) < conn_queued(best->conn))
			best = c;
	}
	return best;
}

/* OutgoingTlsCountForFederatedPartners is for all workers together; node_access_shard sees to it that no more of them need connections. */
static bool may_open_more(const struct access_peer *p)
{
	unsigned workers = p->e->worker->pool ? pool_workers(p->e->worker->pool) : 1;
	uint32_t max = snapshot_access(snapshot_reader_get(&p->e->policy))->tls_count, each = max / (workers < max ? workers : max);
	size_t n = 0;
	LIST_EACH(l, &p->conns)
		n += !CONTAINER_OF(l, struct access_conn, of_peer)->retired;
	return n < each;
}

/* ---- what becomes of connections */

void access_peer_secured(struct access_peer *p, struct access_conn *c)
{
	struct seek *first = list_empty(&p->seeks) ? NULL : CONTAINER_OF(list_head(&p->seeks), struct seek, of_peer);
	const struct tls_peer *cert = conn_peer(c->conn);
	struct policy_verdict v = {.allow = cert->has_cert && cert->chain_ok, .reason = REASON_SIP_CERTIFICATE, .n_steps = 1,
				   .steps = {{"certificate", "the server's certificate is not trusted", SLICE_NONE, POLICY_DENY}}};
	struct list all;
	char z[ADDR_TEXT];
	addr_text(conn_remote(c->conn), z);
	if (first)
		decide(p->e, first, c, &v);
	if (!v.allow && !v.need_srv) {
		log_ev_limited(LOG_WARNING, "access/peer-refused", slice_str(p->key), {"peer", access_peer_name(p)}, {"host", slice_str(c->host)},
			       {"address", slice_str(z)}, {"reason", slice_str(reason_info(v.reason)->id)}, {"text", last_detail(&v)},
			       {"subject", cert->subject}, {"certificate", cert->why_not});
		access_trust_seen(c, cert->why_not.len ? cert->why_not : last_detail(&v));
		metric_add(METRIC_AUTH_SIP_OUT_FAILED, 1);
		metric_add(METRIC_OPENED_SIP_OUT_FAILED, 1);
		access_race_failed(p, c, v.reason, v.steps[v.n_steps - 1].detail);
		return;
	}
	access_race_won(p, c);
	metric_add(METRIC_AUTH_SIP_OUT_OK, 1);
	metric_add(METRIC_OPENED_SIP_OUT_OK, 1);
	access_conn_ready(c);
	access_trust_seen(c, SLICE_NONE);
	log_ev(LOG_INFO, "access/peer-up", {"peer", access_peer_name(p)}, {"host", slice_str(c->host)}, {"address", slice_str(z)},
	       {"identity", slice_str(policy_identity_name(v.identity))});
	take_seeks(p, &all);
	rest(p);
	for (struct seek *k; (k = next_seek(&all));)
		finish(k, c);
}

void access_peer_lost(struct access_peer *p, struct access_conn *c, const struct entente_err *why)
{
	uint64_t now = p->e->loop->timers.now;
	log_ev(c->ready && why->code == ENTENTE_OK ? LOG_DEBUG : LOG_INFO, "access/peer-lost", {"peer", access_peer_name(p)}, {"host", slice_str(c->host)},
	       {"text", slice_str(why->text)});
	if (c->coming) {
		access_race_failed(p, c, why->reason ? why->reason : REASON_SIP_PEER_UNREACHABLE, why->text);
		return;
	}
	list_remove(&c->of_peer);
	c->peer = NULL;
	if (why->code == ENTENTE_ETIMEOUT || !c->stream.heard) /* one that was reset may be back already, and says so at once if not */
		sip_places_failed(&p->places, conn_remote(c->conn), SIP_TLS, now);
	access_conn_free(c);
	if (list_empty(&p->seeks))
		rest(p);
	else if (!ready_conn(p, NULL, SLICE_NONE))
		access_race_begin(p);
}

/* ---- what the proxy core asks */

/* What one of the partner's servers is out of service for is tried on the others; what is under way there may end. */
static void retire(struct access_peer *p, uint64_t conn)
{
	struct access_conn *bad = access_conn_find(p->e, conn);
	if (!bad || bad->peer != p)
		return;
	struct addr at = *conn_remote(bad->conn);
	sip_places_failed(&p->places, &at, SIP_TLS, p->e->loop->timers.now);
	LIST_EACH(l, &p->conns) {
		struct access_conn *c = CONTAINER_OF(l, struct access_conn, of_peer);
		c->retired |= c->ready && addr_eq(conn_remote(c->conn), &at);
	}
}

/* It waits with the peer, for a connection. */
static void await(struct seek *k, struct access_peer *p)
{
	struct access *e = k->e;
	if (p->n_seeks >= ACCESS_SEEKS) {
		metric_add(METRIC_LIMIT_HITS, 1);
		refuse(k, REASON_LIMIT_QUEUE_FULL, S("too many requests wait for the partner"));
		return;
	}
	if (list_empty(&p->seeks))
		timer_arm(&p->e->loop->timers, &p->patience, access_peer_kind(p) == '@' ? FOLLOW_MS : PATIENCE_MS);
	record_hop(e->cfg.records, k->record, RECORD_WAITS, 0, REASON_NONE);
	k->peer = p;
	list_append(&p->seeks, &k->of_peer);
	p->n_seeks++;
	access_race_begin(p);
}

static bool within(struct slice host, struct slice domain)
{
	size_t n = host.len - domain.len;
	return slice_ieq(host, domain) || (host.len > domain.len && host.p[n - 1] == '.' && slice_ieq(slice_skip(host, n), domain));
}

/* A dialog stays with the server that its route names (RFC 3261 16.6), when that is one of the domain's; it has to prove itself like any other. Only
 * where DNS leads to several it makes a difference. */
static struct access_peer *followed(struct seek *k)
{
	struct access *e = k->e;
	struct slice host = slice_str(k->follow), domain = policy_domain_slice(&k->remote);
	const struct access_srv *srv = access_srv_known(e, domain);
	if (!host.len || !within(host, domain) || !srv || (srv->state == POLICY_SRV_FOUND && srv->n_targets == 1 && slice_ieq(srv->targets[0], host)))
		return NULL;
	struct access_peer *p = peer_of(e, '@', host, k->follow_port);
	return p && p->shun_until <= e->loop->timers.now ? p : NULL;
}

/* Mostly there is a connection to a server of the domain's own already: then the decision with its certificate is the only one that is needed.
 * False: nothing has happened, the long way will tell. */
static bool straight(struct seek *k)
{
	struct access *e = k->e;
	struct policy_verdict v;
	char key[PEER_KEY];
	struct access_peer *p = k->busy ? NULL : peer_find(e, '~', policy_domain_slice(&k->remote), 0, key);
	struct access_conn *c = p ? ready_conn(p, k, slice_str(k->follow)) : NULL;
	if (!c)
		return false;
	decide(e, k, c, &v);
	if (!v.allow || v.route.len) /* not with this one, or by another server */
		return false;
	if (conn_congested(c->conn) && may_open_more(p))
		access_race_begin(p);
	use(k, c, &v);
	return true;
}

static void go(struct seek *k)
{
	struct access *e = k->e;
	struct policy_verdict v;
	if (straight(k))
		return;
	decide(e, k, NULL, &v);
	if (v.need_srv) {
		if (!access_srv_ask(e, policy_domain_slice(&k->remote), &k->wait))
			refuse(k, REASON_LIMIT_QUEUE_FULL, S("too many requests wait for DNS"));
		else
			record_hop(e->cfg.records, k->record, RECORD_WAITS, 0, REASON_NONE);
		return;
	}
	bool fallback = v.reason == REASON_SIP_SRV_NONE && e->cfg.set.sips_fallback; /* its certificate will have to name the domain */
	if (!v.allow && !fallback) {
		forbid(k, v.reason, last_detail(&v));
		return;
	}
	struct access_peer *p = v.route.len ? peer_of(e, '=', v.route, 0) : peer_of(e, '~', policy_domain_slice(&k->remote), 0);
	if (!p) {
		metric_add(METRIC_LIMIT_HITS, 1);
		refuse(k, REASON_LIMIT_QUEUE_FULL, S("there are too many partners at once"));
		return;
	}
	if (k->busy)
		retire(p, k->avoid);
	struct access_conn *c = k->follow[0] ? ready_conn(p, k, slice_str(k->follow)) : NULL;
	struct access_peer *other = c || v.route.len ? NULL : followed(k);
	if (other) {
		c = ready_conn(other, k, SLICE_NONE);
		if (!c) {
			await(k, other);
			return;
		}
	}
	if (!c)
		c = ready_conn(p, k, SLICE_NONE);
	if (c) {
		if (conn_congested(c->conn) && may_open_more(p))
			access_race_begin(p);
		finish(k, c);
	} else if (k->busy && p->places.n < 2) {
		refuse(k, REASON_SIP_PEER_UNREACHABLE, S("the partner's only server is out of service"));
	} else {
		await(k, p);
	}
}

static void srv_known(struct access_srv_wait *w)
{
	go(CONTAINER_OF(w, struct seek, wait));
}

static void learn(struct access *e, const struct sip_msg *m)
{
	if (m->to.tag.len || (m->method != SIP_MESSAGE && m->method != SIP_INVITE && m->method != SIP_SUBSCRIBE))
		return;
	struct arena *a = arena_acquire(e->loop->arenas);
	struct slice local = access_user(e, a, &m->from.uri), remote = access_user(e, a, &m->uri);
	if (local.len && remote.len && access_contact_learn(e->cfg.shared, local, remote) && e->ops->learned)
		e->ops->learned(e->arg, local, remote, m->method);
	arena_release(e->loop->arenas, a);
}

/* Where the dialog goes after us. */
static void note_route(struct seek *k, const struct sip_msg *m, size_t own, size_t all)
{
	struct sip_values it = {0};
	struct slice value, transport;
	struct sip_addr a;
	if (!m->to.tag.len || own >= all)
		return;
	for (size_t i = 0; i <= own; i++)
		if (!sip_msg_next_value(m, SIP_H_ROUTE, &it, &value))
			return;
	if (sip_addr_parse(value, &a) || (a.uri.scheme != SIP_SCHEME_SIP && a.uri.scheme != SIP_SCHEME_SIPS) || addr_is_literal(a.uri.host))
		return;
	if (a.uri.scheme == SIP_SCHEME_SIP && sip_uri_param(&a.uri, S("transport"), &transport) && !slice_ieq(transport, S("tls")))
		return;
	if (slice_cstr(a.uri.host, k->follow, sizeof k->follow))
		k->follow_port = a.uri.port ? a.uri.port : 5061;
	else
		k->follow[0] = 0;
}

static void way(void *arg, uint64_t leg, const struct sip_msg *m, struct slice local, struct slice remote, const struct sip_flow *from,
		unsigned attempt, bool busy)
{
	struct access *e = arg;
	struct access_leg leg_is;
	struct arena *mem = arena_acquire(e->loop->arenas);
	struct slice user = access_local_part(e, mem, &m->from.uri);
	struct seek *k = mem_calloc(1, sizeof *k + user.len + 1);
	k->e = e;
	k->leg = leg;
	k->kind = access_kind(m->method);
	k->media = access_media(m);
	k->n_user = user.len;
	if (user.len)
		memcpy(k->user, user.p, user.len);
	arena_release(e->loop->arenas, mem);
	access_proxy_leg(e->proxy, leg, &leg_is);
	k->transit = leg_is.transit;
	k->asker = k->transit ? from->conn : 0;
	k->record = leg_is.record;
	k->peer_home = k->transit || from->target == UINT32_MAX ? 0 : from->target + 1;
	k->busy = busy;
	k->wait.known = srv_known;
	map_insert(&e->seeks, &k->node, slice_of((const char *)&k->leg, sizeof k->leg));
	if (!policy_domain_make(&k->local, local) || !policy_domain_make(&k->remote, remote)) {
		refuse(k, REASON_ADDRESS_MALFORMED, S("an address without a domain"));
		return;
	}
	if (attempt)
		k->avoid = leg_is.last;
	else if (!k->transit && from->conn != SIP_FLOW_TEST) /* a test changes nothing that lasts */
		learn(e, m);
	note_route(k, m, leg_is.own_routes, leg_is.routes);
	go(k);
}

static void forget(void *arg, uint64_t leg)
{
	struct access *e = arg;
	struct map_node *n = map_find(&e->seeks, slice_of((const char *)&leg, sizeof leg));
	if (n)
		seek_free(CONTAINER_OF(n, struct seek, node));
}

static bool home(void *arg, uint32_t index, struct sip_flow *ret, struct slice *ret_contact)
{
	struct access *e = arg;
	return e->ops->home(e->arg, index, ret, ret_contact);
}

static void outcome(void *arg, uint64_t sender, int status)
{
	struct access *e = arg;
	access_watch_outcome(e->cfg.shared, sender, status);
}

static void over(void *arg, struct access_guest *guest)
{
	struct access *e = arg;
	access_guest_answered(e->cfg.shared, guest);
}

static bool elsewhere(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from, enum reason reason)
{
	struct access *e = arg;
	return e->ops->elsewhere && e->ops->elsewhere(e->arg, st, m, a, from, reason);
}

static void passed(void *arg, bool outward, const struct sip_msg *m)
{
	struct access *e = arg;
	struct access_dialogs *d = access_shared_dialogs(e->cfg.shared);
	if (m->is_request)
		access_dialogs_request(d, e->loop->timers.now, outward, m);
	else
		access_dialogs_response(d, e->loop->timers.now, outward, m);
}

const struct access_proxy_ops access_way_ops = {.way = way, .forget = forget, .home = home, .outcome = outcome, .over = over, .passed = passed,
						 .elsewhere = elsewhere};
