/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/sip_edge_int.h"

enum { BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 10000, RESOLVE_AGAIN_MS = 60000 };

static void proceed(struct sip_home *h);

static void failed(struct sip_home *h)
{
	struct sip_flow flow = {.transport = h->transport, .target = h->index};
	uint64_t ms = h->backoff_ms = h->backoff_ms ? (h->backoff_ms * 2 < BACKOFF_MAX_MS ? h->backoff_ms * 2 : BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
	h->state = HOME_DOWN;
	h->entry = 0;
	buf_shrink(&h->queue, 0);
	log_ev(LOG_WARNING, "sip/home-down", {"home", slice_str(h->name)}, {"next-hop", slice_str(h->next_hop)},
	       {"reason", slice_str(reason_info(REASON_SIP_HOME_UNREACHABLE)->id)}, {"text", slice_str(h->err.text)});
	timer_arm(&h->edge->loop->timers, &h->retry, ms);
	sip_stack_transport_failed(h->edge->stack, &flow);
}

static void connect_next(struct sip_home *h)
{
	struct sip_edge *e = h->edge;
	while (h->entry < h->n_entries) {
		const struct sip_target_entry *t = &h->entries[h->entry++];
		struct addr to;
		struct conn_limits lim = sip_conn_limits;
		struct conn_tls tls = {.ctx = e->tls, .slot = TLS_SLOT_CLIENT, .sni = t->host, .session_key = slice_str(h->name)};
		struct conn_opts o = {.ops = &sip_conn_ops, .limits = &lim, .tls = t->transport == SIP_TLS ? &tls : NULL};
		lim.connect_ms = e->cfg.connect_ms;
		if (!addr_from_sockaddr((const struct sockaddr *)&t->addr, &to))
			continue;
		addr_text(&to, h->address);
		if (t->transport == SIP_TLS && !e->tls) {
			err_set(&h->err, ENTENTE_ETLS, REASON_SIP_HOME_UNREACHABLE, "no certificate is configured, TLS is not possible");
			continue;
		}
		struct sip_conn *c = sip_conn_new(e, t->transport, h);
		o.owner = c;
		if (conn_connect(&c->conn, e->loop, &to, &o, &h->err)) {
			sip_conn_free(c);
			continue;
		}
		h->conn = c;
		h->state = HOME_CONNECTING;
		return;
	}
	failed(h);
}

static void flush(struct sip_home *h)
{
	struct slice q = buf_slice(&h->queue);
	if (h->transport == SIP_UDP) {
		/* datagrams keep their borders: each is preceded by its length */
		while (q.len) {
			uint32_t n;
			struct addr to;
			struct sip_flow flow = {.transport = SIP_UDP, .target = h->index};
			memcpy(&n, q.p, sizeof n);
			addr_from_sockaddr((const struct sockaddr *)&h->entries[0].addr, &to);
			memcpy(&flow.remote, &to, addr_len(&to));
			sip_edge_output(h->edge, &flow, slice_of(q.p + sizeof n, n));
			q = slice_skip(q, sizeof n + n);
		}
	} else if (q.len) {
		conn_write(h->conn->conn, q);
	}
	buf_shrink(&h->queue, 0);
}

void sip_home_connected(struct sip_home *h)
{
	h->state = HOME_UP;
	h->backoff_ms = 0;
	h->entry = 0;
	log_ev(LOG_INFO, "sip/home-up", {"home", slice_str(h->name)}, {"address", slice_str(h->address)},
	       {"transport", slice_str(sip_transport_name(h->transport))});
	if (h->edge->cfg.keepalive_ms)
		timer_arm(&h->edge->loop->timers, &h->ping, h->edge->cfg.keepalive_ms);
	flush(h);
}

void sip_home_lost(struct sip_home *h, const struct entente_err *why)
{
	bool was_up = h->state == HOME_UP;
	struct sip_flow flow = {.transport = h->transport, .target = h->index, .conn = h->conn ? h->conn->id : 0};
	h->conn = NULL;
	timer_cancel(&h->edge->loop->timers, &h->ping);
	if (!was_up) {
		h->err = *why;
		connect_next(h);
		return;
	}
	h->state = HOME_IDLE;
	log_ev(LOG_INFO, "sip/home-closed", {"home", slice_str(h->name)}, {"text", slice_str(why->text)});
	sip_stack_transport_failed(h->edge->stack, &flow);
	flow.conn = 0;
	sip_stack_transport_failed(h->edge->stack, &flow);
}

/* ---- resolving */

static void resolved(struct sip_home *h)
{
	bool unsure;
	h->entries = sip_target_entries(h->resolver, &h->n_entries, &unsure);
	h->resolved_at = h->edge->loop->timers.now;
	h->entry = 0;
	if (!h->n_entries) {
		err_set(&h->err, ENTENTE_ENOTFOUND, REASON_SIP_HOME_UNREACHABLE, "DNS has no address for %s", h->next_hop);
		failed(h);
		return;
	}
	if (h->transport == SIP_UDP) {
		struct addr to;
		addr_from_sockaddr((const struct sockaddr *)&h->entries[0].addr, &to);
		addr_text(&to, h->address);
		h->state = HOME_UP;
		flush(h);
	} else if (h->queue.len) {
		connect_next(h);
	} else {
		h->state = HOME_IDLE; /* only the addresses were wanted */
	}
}

static void dns_done(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;
	struct sip_home *h = q->home;
	struct sip_target_record recs[DNS_RECORDS_MAX];
	bool bad = a->status != DNS_OK && a->status != DNS_NODATA && a->status != DNS_NXDOMAIN;
	memset(recs, 0, sizeof recs);
	for (size_t i = 0; i < a->n; i++) {
		const struct dns_record *r = &a->records[i];
		if (r->type == DNS_SRV) {
			recs[i].name = r->srv.target;
			recs[i].priority = r->srv.priority;
			recs[i].weight = r->srv.weight;
			recs[i].port = r->srv.port;
		} else if (r->type == DNS_A) {
			recs[i].a = r->addr.v4.sin_addr;
		} else if (r->type == DNS_AAAA) {
			recs[i].aaaa = r->addr.v6.sin6_addr;
		}
	}
	q->q = NULL;
	sip_target_answer(h->resolver, q->id, bad, recs, a->n);
	proceed(h);
}

/* Asks all open questions; ends in resolved(). */
static void proceed(struct sip_home *h)
{
	static const enum dns_type type[] = {[SIP_DNS_NAPTR] = DNS_NAPTR, [SIP_DNS_SRV] = DNS_SRV, [SIP_DNS_A] = DNS_A, [SIP_DNS_AAAA] = DNS_AAAA};
	struct sip_target_question ask;
	for (size_t i = 0; i < sizeof h->questions / sizeof *h->questions; i++) {
		struct question *q = &h->questions[i];
		if (q->q)
			continue;
		if (!sip_target_ask(h->resolver, &ask))
			break;
		q->home = h;
		q->id = ask.id;
		q->q = dns_ask(h->edge->cfg.dns, h->edge->worker, ask.name, type[ask.type], dns_done, q);
	}
	if (sip_target_done(h->resolver))
		resolved(h);
}

static void resolve(struct sip_home *h)
{
	struct sip_target_config c = {.transports = {h->transport}, .n_transports = 1, .fallback = h->transport, .ipv4 = true, .ipv6 = true};
	for (size_t i = 0; i < sizeof h->questions / sizeof *h->questions; i++)
		h->questions[i].q = dns_cancel(h->questions[i].q);
	h->resolver = sip_target_free(h->resolver);
	h->entries = NULL;
	h->n_entries = 0;
	h->state = HOME_RESOLVING;
	if (sip_target_new(&h->resolver, &h->uri, &c)) {
		err_set(&h->err, ENTENTE_EINVAL, REASON_SIP_HOME_UNREACHABLE, "the next hop %s cannot be used", h->next_hop);
		failed(h);
		return;
	}
	proceed(h);
}

void sip_home_prepare(struct sip_home *h)
{
	if (h->state == HOME_IDLE && !h->n_entries)
		resolve(h);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct sip_home *h = CONTAINER_OF(t, struct sip_home, retry);
	(void)now;
	h->state = HOME_IDLE; /* the next message tries again */
	if (!h->n_entries)
		resolve(h);
}

static void ping_fired(struct timer *t, uint64_t now)
{
	struct sip_home *h = CONTAINER_OF(t, struct sip_home, ping);
	(void)now;
	if (!h->conn)
		return;
	h->conn->framer.expect_pong = true;
	conn_write(h->conn->conn, S("\r\n\r\n"));
	timer_arm(&h->edge->loop->timers, &h->ping, h->edge->cfg.keepalive_ms);
}

/* ---- sending */

int sip_home_send(struct sip_home *h, struct slice bytes)
{
	if (h->state == HOME_DOWN)
		return ENTENTE_ENET;
	if (h->transport != SIP_UDP && h->state == HOME_UP)
		return conn_write(h->conn->conn, bytes);
	if (h->transport == SIP_UDP) {
		uint32_t n = (uint32_t)bytes.len;
		buf_put(&h->queue, slice_of((const char *)&n, sizeof n));
	}
	buf_put(&h->queue, bytes);
	if (!buf_ok(&h->queue)) {
		metric_add(METRIC_LIMIT_HITS, 1);
		h->queue.failed = false;
		return ENTENTE_ELIMIT;
	}
	if (h->transport == SIP_UDP && h->state == HOME_UP) {
		flush(h);
		return 0;
	}
	if (h->state == HOME_IDLE) {
		if (!h->n_entries || h->edge->loop->timers.now - h->resolved_at > RESOLVE_AGAIN_MS)
			resolve(h);
		else
			connect_next(h);
	}
	return h->state == HOME_DOWN ? ENTENTE_ENET : 0;
}

bool sip_home_is(const struct sip_home *h, const struct addr *a)
{
	for (size_t i = 0; i < h->n_entries; i++) {
		struct addr x;
		if (addr_from_sockaddr((const struct sockaddr *)&h->entries[i].addr, &x) && addr_host_eq(&x, a))
			return true;
	}
	return false;
}

/* ---- life */

struct sip_home *sip_home_new(struct sip_edge *e, uint32_t index, const struct sip_edge_home *cfg, struct entente_err *err)
{
	struct slice t = SLICE_NONE;
	struct sip_home *h = MEM_NEW(struct sip_home);
	h->edge = e;
	h->index = index;
	h->name = mem_strndup(cfg->name.p, cfg->name.len);
	h->next_hop = mem_strndup(cfg->next_hop.p, cfg->next_hop.len);
	buf_init(&h->queue, e->cfg.queue_octets);
	timer_init(&h->ping, ping_fired);
	timer_init(&h->retry, retry_fired);
	if (sip_uri_parse(slice_str(h->next_hop), &h->uri)) {
		err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, "the next hop of home %s is no SIP URI: %s", h->name, h->next_hop);
		return sip_home_free(h);
	}
	h->transport = h->uri.scheme == SIP_SCHEME_SIPS ? SIP_TLS : SIP_UDP;
	if (sip_uri_param(&h->uri, S("transport"), &t))
		h->transport = slice_ieq(t, S("tls")) || h->uri.scheme == SIP_SCHEME_SIPS ? SIP_TLS : slice_ieq(t, S("tcp")) ? SIP_TCP : SIP_UDP;
	return h;
}

struct sip_home *sip_home_free(struct sip_home *h)
{
	if (!h)
		return NULL;
	if (h->conn) {
		h->conn->home = NULL;
		sip_conn_free(h->conn);
	}
	timer_cancel(&h->edge->loop->timers, &h->ping);
	timer_cancel(&h->edge->loop->timers, &h->retry);
	for (size_t i = 0; i < sizeof h->questions / sizeof *h->questions; i++)
		dns_cancel(h->questions[i].q);
	sip_target_free(h->resolver);
	buf_free(&h->queue);
	mem_free(h->name);
	mem_free(h->next_hop);
	return mem_free(h);
}
