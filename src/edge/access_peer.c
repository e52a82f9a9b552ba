/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a partner: its server is looked up (_sipfederationtls._tcp, or the configured name), its addresses are tried in the order of
 * RFC 2782, those that failed lately last, and a connection counts when its certificate proves what the decision demands. What waits for
 * it waits here, for a bounded time. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/access_int.h"

enum { KNOWN_MS = 60000, FAILED_MS = 30000, PATIENCE_MS = 15000, FORGET_MS = 30000 };

struct seek { /* a leg that needs a way */
	struct map_node node; /* key: leg; in e->seeks */
	struct list of_peer;
	struct access_srv_wait wait;
	struct access *e;
	struct access_peer *peer;
	uint64_t leg;
	struct policy_domain local, remote;
	enum policy_kind kind;
	uint32_t peer_home;
	bool busy;
};

static void connect_next(struct access_peer *p);
static void begin(struct access_peer *p);

/* ---- the decision */

static void decide(struct access *e, const struct seek *k, const struct access_conn *c, struct policy_verdict *ret)
{
	const struct access_srv *srv = access_srv_known(e, policy_domain_slice(&k->remote));
	struct policy_sip sip = {.srv = srv ? srv->state : POLICY_SRV_UNASKED};
	if (srv && srv->state == POLICY_SRV_FOUND) {
		sip.targets = srv->targets;
		sip.n_targets = srv->n_targets;
	}
	if (c)
		access_conn_names(c, &sip);
	struct policy_question q = {.kind = k->kind, .direction = POLICY_TO_REMOTE, .from = {.domain = policy_domain_slice(&k->local)},
				    .to = {.domain = policy_domain_slice(&k->remote)}, .peer_home = k->peer_home, .sip = &sip};
	policy_decide(snapshot_reader_get(&e->policy), &q, ret);
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
	char text[256];
	slice_cstr(why, text, sizeof text);
	log_ev_limited(LOG_WARNING, "access/refused-out", policy_domain_slice(&k->remote), {"from", policy_domain_slice(&k->local)},
		       {"to", policy_domain_slice(&k->remote)}, {"reason", slice_str(reason_info(reason)->id)}, {"text", slice_str(text)});
	seek_free(k);
	access_proxy_refuse(e->proxy, leg, reason, slice_str(text));
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
		c->retired |= v.reason == REASON_SIP_CERTIFICATE || v.reason == REASON_SIP_SRV_DOMAIN; /* DNS names others now */
		refuse(k, v.reason, last_detail(&v));
		return;
	}
	const struct policy_access *a = snapshot_access(snapshot_reader_get(&e->policy));
	struct sip_flow flow = access_conn_flow(c);
	struct access_marks marks = {
		.keep_asserted = v.cls != POLICY_CLASS_DISCOVERED && v.cls != POLICY_CLASS_PUBLIC,
		.source_type = k->peer_home && e->ops->lync(e->arg, k->peer_home - 1) ? access_source_type(v.cls) : NULL,
		.edge_name = e->cfg.name, .verified = a->mark_verifiable, .publiccloud = v.cls == POLICY_CLASS_PUBLIC, .mark = true,
		.disclaimer = a->archiving_disclaimer,
	};
	uint64_t leg = k->leg;
	c->domain = k->remote;
	c->requests++;
	c->used = e->loop->timers.now;
	seek_free(k);
	access_proxy_way(e->proxy, leg, &flow, &marks);
}

/* ---- peers */

static void peer_free(struct access_peer *p)
{
	sip_lookup_free(p->lookup);
	timer_cancel(&p->e->loop->timers, &p->patience);
	map_remove(&p->e->peers, &p->node);
	mem_free(p->addrs);
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

static void refuse_all(struct access_peer *p, enum reason reason, struct slice why)
{
	struct list all;
	list_init(&all);
	LIST_EACH(n, &p->seeks) {
		list_remove(n);
		list_append(&all, n);
	}
	p->n_seeks = 0;
	while (!list_empty(&all)) {
		struct seek *k = CONTAINER_OF(list_head(&all), struct seek, of_peer);
		list_remove(&k->of_peer);
		refuse(k, reason, why);
	}
}

/* Nobody waits any more: forget it after a while, unless it has connections. */
static void rest(struct access_peer *p)
{
	if (list_empty(&p->seeks))
		timer_arm(&p->e->loop->timers, &p->patience, FORGET_MS);
}

static void on_patience(struct timer *t, uint64_t now)
{
	struct access_peer *p = CONTAINER_OF(t, struct access_peer, patience);
	(void)now;
	if (!list_empty(&p->seeks))
		refuse_all(p, p->err.reason ? p->err.reason : REASON_SIP_PEER_UNREACHABLE,
			   p->err.text[0] ? slice_str(p->err.text) : S("no connection in time"));
	if (list_empty(&p->conns) && !p->locating)
		peer_free(p);
	else
		rest(p);
}

static struct access_peer *peer_of(struct access *e, struct slice fixed, struct slice domain)
{
	char key[DNS_NAME_MAX + 2];
	snprintf(key, sizeof key, "%c%.*s", fixed.len ? '=' : '~', SFMT(fixed.len ? fixed : domain));
	struct map_node *n = map_find(&e->peers, slice_str(key));
	if (n)
		return CONTAINER_OF(n, struct access_peer, node);
	struct access_peer *p = MEM_NEW(struct access_peer);
	p->e = e;
	p->by_srv = !fixed.len;
	memcpy(p->key, key, sizeof key);
	snprintf(p->text, sizeof p->text, p->by_srv ? "sip:%s" : "sip:%s:5061;transport=tls", p->key + 1);
	if (sip_uri_parse(slice_str(p->text), &p->uri)) {
		mem_free(p);
		return NULL;
	}
	list_init(&p->conns);
	list_init(&p->seeks);
	timer_init(&p->patience, on_patience);
	map_insert(&e->peers, &p->node, slice_str(p->key));
	return p;
}

static struct access_conn *ready_conn(struct access_peer *p, size_t *ret_n)
{
	struct access_conn *best = NULL;
	*ret_n = 0;
	LIST_EACH(l, &p->conns) {
		struct access_conn *c = CONTAINER_OF(l, struct access_conn, of_peer);
		++*ret_n;
		if (c->ready && !c->retired && (!best || conn_queued(c->conn) < conn_queued(best->conn)))
			best = c;
	}
	return best;
}

/* ---- looking up */

static void round_failed(struct access_peer *p, enum reason reason, const char *text)
{
	if (!p->err.reason)
		err_set(&p->err, ENTENTE_ENET, reason, "%s", text);
	refuse_all(p, p->err.reason, slice_str(p->err.text));
	rest(p);
}

static void located(void *arg, const struct sip_target_entry *x, size_t n, bool unsure)
{
	struct access_peer *p = arg;
	size_t m = 0;
	struct access_address *list = mem_calloc(n ? n : 1, sizeof *list);
	for (size_t i = 0; i < n; i++) {
		if (!addr_from_sockaddr((const struct sockaddr *)&x[i].addr, &list[m].addr))
			continue;
		slice_cstr(x[i].host, list[m].host, sizeof list[m].host);
		for (size_t k = 0; k < p->n_addrs; k++)
			if (addr_eq(&p->addrs[k].addr, &list[m].addr))
				list[m].failed_at = p->addrs[k].failed_at;
		m++;
	}
	mem_free(p->addrs);
	p->addrs = list;
	p->n_addrs = m;
	p->locating = false;
	p->known_until = p->e->loop->timers.now + KNOWN_MS;
	p->lookup = sip_lookup_free(p->lookup);
	if (m)
		connect_next(p);
	else
		round_failed(p, unsure ? REASON_SIP_DNS : REASON_SIP_SRV_NONE,
			     unsure ? "DNS does not answer for the partner's server" : "DNS has no address of the partner's server");
}

static void locate(struct access_peer *p)
{
	struct sip_target_config c = {.transports = {SIP_TLS}, .n_transports = 1, .fallback = SIP_TLS, .ipv4 = true, .ipv6 = true};
	struct sip_lookup_config look = {.dns = p->e->cfg.dns, .worker = p->e->worker, .uri = &p->uri, .target = &c, .done = located, .arg = p};
	if (p->by_srv)
		c.federation = S("_sipfederationtls._tcp");
	p->locating = true;
	if (sip_lookup_new(&p->lookup, &look)) {
		p->locating = false;
		round_failed(p, REASON_ADDRESS_MALFORMED, "the partner's name cannot be looked up");
	}
}

/* ---- connecting */

static bool next_address(struct access_peer *p, size_t *ret)
{
	size_t best = p->n_addrs;
	for (size_t i = 0; i < p->n_addrs; i++) {
		struct access_address *x = &p->addrs[i];
		bool lately = x->failed_at && p->e->loop->timers.now - x->failed_at < FAILED_MS;
		if (x->tried)
			continue;
		if (!lately) {
			best = i;
			break;
		}
		if (best == p->n_addrs)
			best = i;
	}
	*ret = best;
	if (best < p->n_addrs)
		p->addrs[best].tried = true;
	return best < p->n_addrs;
}

static void note(struct access_peer *p, enum reason reason, const char *host, const char *text)
{
	if (!p->err.reason)
		err_set(&p->err, ENTENTE_ENET, reason, "%s: %s", host, text);
}

static void connect_next(struct access_peer *p)
{
	size_t at;
	while (next_address(p, &at)) {
		struct entente_err err = {0};
		p->coming = access_conn_open(p, at, &err);
		if (p->coming)
			return;
		p->addrs[at].failed_at = p->e->loop->timers.now;
		note(p, REASON_SIP_PEER_UNREACHABLE, p->addrs[at].host, err.text);
	}
	round_failed(p, REASON_SIP_PEER_UNREACHABLE, "all addresses were tried");
}

static void begin(struct access_peer *p)
{
	if (p->coming || p->locating)
		return;
	p->err = (struct entente_err){0};
	if (!p->n_addrs || p->known_until <= p->e->loop->timers.now) {
		locate(p);
		return;
	}
	for (size_t i = 0; i < p->n_addrs; i++)
		p->addrs[i].tried = false;
	connect_next(p);
}

static void failed(struct access_peer *p, struct access_conn *c)
{
	for (size_t i = 0; i < p->n_addrs; i++) /* the list may be a new one since */
		if (addr_eq(&p->addrs[i].addr, conn_remote(c->conn)))
			p->addrs[i].failed_at = p->e->loop->timers.now;
}

static void flush(struct access_peer *p, struct access_conn *c)
{
	struct list all;
	list_init(&all);
	LIST_EACH(n, &p->seeks) {
		list_remove(n);
		list_append(&all, n);
	}
	p->n_seeks = 0;
	while (!list_empty(&all)) {
		struct seek *k = CONTAINER_OF(list_head(&all), struct seek, of_peer);
		list_remove(&k->of_peer);
		finish(k, c);
	}
	rest(p);
}

void access_peer_secured(struct access_peer *p, struct access_conn *c)
{
	struct seek *first = list_empty(&p->seeks) ? NULL : CONTAINER_OF(list_head(&p->seeks), struct seek, of_peer);
	const struct tls_peer *cert = conn_peer(c->conn);
	struct policy_verdict v = {.allow = cert->has_cert && cert->chain_ok, .reason = REASON_SIP_CERTIFICATE, .n_steps = 1,
				   .steps = {{"certificate", "the server's certificate is not trusted", SLICE_NONE, POLICY_DENY}}};
	char z[ADDR_TEXT];
	addr_text(conn_remote(c->conn), z);
	if (first)
		decide(p->e, first, c, &v);
	p->coming = NULL;
	if (!v.allow && !v.need_srv) {
		log_ev_limited(LOG_WARNING, "access/peer-refused", slice_str(p->key), {"peer", slice_str(p->key + 1)}, {"host", slice_str(c->host)},
			       {"address", slice_str(z)}, {"reason", slice_str(reason_info(v.reason)->id)}, {"text", last_detail(&v)},
			       {"subject", cert->subject}, {"certificate", cert->why_not});
		failed(p, c);
		note(p, v.reason, c->host, v.steps[v.n_steps - 1].detail);
		c->peer = NULL;
		access_conn_free(c);
		connect_next(p);
		return;
	}
	c->ready = true;
	log_ev(LOG_INFO, "access/peer-up", {"peer", slice_str(p->key + 1)}, {"host", slice_str(c->host)}, {"address", slice_str(z)},
	       {"identity", slice_str(policy_identity_name(v.identity))});
	if (p->e->cfg.set.keepalive_ms)
		timer_arm(&p->e->loop->timers, &c->timer, p->e->cfg.set.keepalive_ms);
	flush(p, c);
}

void access_peer_lost(struct access_peer *p, struct access_conn *c, const struct entente_err *why)
{
	size_t n;
	bool was_coming = p->coming == c;
	list_remove(&c->of_peer);
	c->peer = NULL;
	log_ev(c->ready && why->code == ENTENTE_OK ? LOG_DEBUG : LOG_INFO, "access/peer-lost", {"peer", slice_str(p->key + 1)},
	       {"host", slice_str(c->host)}, {"text", slice_str(why->text)});
	if (was_coming) {
		p->coming = NULL;
		failed(p, c);
		note(p, REASON_SIP_PEER_UNREACHABLE, c->host, why->text);
		connect_next(p);
	} else if (!list_empty(&p->seeks) && !ready_conn(p, &n)) {
		begin(p);
	} else {
		rest(p);
	}
}

/* ---- what the proxy core asks */

/* To the next server; those that are in use there now finish. */
static void retire(struct access_peer *p)
{
	LIST_EACH(l, &p->conns) {
		struct access_conn *c = CONTAINER_OF(l, struct access_conn, of_peer);
		if (!c->ready)
			continue;
		c->retired = true;
		failed(p, c);
	}
}

static void go(struct seek *k)
{
	struct access *e = k->e;
	struct policy_verdict v;
	size_t n;
	decide(e, k, NULL, &v);
	if (v.need_srv) {
		if (!access_srv_ask(e, policy_domain_slice(&k->remote), &k->wait))
			refuse(k, REASON_LIMIT_QUEUE_FULL, S("too many requests wait for DNS"));
		return;
	}
	if (!v.allow) {
		refuse(k, v.reason, last_detail(&v));
		return;
	}
	struct access_peer *p = peer_of(e, v.route, policy_domain_slice(&k->remote));
	if (!p || p->n_seeks >= ACCESS_SEEKS) {
		metric_add(METRIC_LIMIT_HITS, 1);
		refuse(k, REASON_LIMIT_QUEUE_FULL, S("too many requests wait for the partner"));
		return;
	}
	if (k->busy && p->n_addrs < 2) {
		refuse(k, REASON_SIP_PEER_UNREACHABLE, S("the partner's only server is out of service"));
		return;
	}
	if (k->busy)
		retire(p);
	struct access_conn *c = ready_conn(p, &n);
	if (c && conn_congested(c->conn) && n < snapshot_access(snapshot_reader_get(&e->policy))->tls_count)
		begin(p);
	if (c) {
		finish(k, c);
		return;
	}
	if (list_empty(&p->seeks))
		timer_arm(&e->loop->timers, &p->patience, PATIENCE_MS);
	k->peer = p;
	list_append(&p->seeks, &k->of_peer);
	p->n_seeks++;
	begin(p);
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
	struct slice local = access_user(a, &m->from.uri), remote = access_user(a, &m->uri);
	if (local.len && remote.len && access_contact_learn(e->cfg.shared, local, remote) && e->ops->learned)
		e->ops->learned(e->arg, local, remote, m->method);
	arena_release(e->loop->arenas, a);
}

static void way(void *arg, uint64_t leg, const struct sip_msg *m, struct slice local, struct slice remote, const struct sip_flow *from,
		unsigned attempt, bool busy)
{
	struct access *e = arg;
	struct seek *k = MEM_NEW(struct seek);
	k->e = e;
	k->leg = leg;
	k->kind = m->method == SIP_MESSAGE ? POLICY_MESSAGE : m->method == SIP_SUBSCRIBE ? POLICY_PRESENCE_SUBSCRIBE : POLICY_SESSION;
	k->peer_home = from->target == UINT32_MAX ? 0 : from->target + 1;
	k->busy = busy;
	k->wait.known = srv_known;
	map_insert(&e->seeks, &k->node, slice_of((const char *)&k->leg, sizeof k->leg));
	if (!policy_domain_make(&k->local, local) || !policy_domain_make(&k->remote, remote)) {
		refuse(k, REASON_ADDRESS_MALFORMED, S("an address without a domain"));
		return;
	}
	if (!attempt)
		learn(e, m);
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

const struct access_proxy_ops access_way_ops = {.way = way, .forget = forget, .home = home, .outcome = outcome};
