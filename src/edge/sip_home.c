/* SPDX-License-Identifier: Apache-2.0 */
/* A home and the way to it: which of its addresses, the connection, what waits for it, how it is found out that it is gone. */
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/sip_edge_int.h"

enum {
	BACKOFF_MIN_MS = 500,
	BACKOFF_MAX_MS = 10000,
	QUICK_MS = 1000,         /* a round that failed so fast may be tried again on demand ... */
	DEMAND_MS = 200,         /* ... after so long, and at once if nobody's message was lost by it */
	STABLE_MS = 5000,        /* a connection that lived so long may be opened again at once */
	HASTE_MS = 1500,         /* for one address, when there is another to try */
	PROBE_PATIENCE_MS = 5000,
	PROBE_DOWN_MS = 10000,
};

static void connect_next(struct sip_home *h);
static void probe_start(struct sip_home *h, uint32_t interval_ms);

const struct home_hop *sip_home_hop(const struct sip_home *h)
{
	return &h->hops[h->at < h->places.n ? h->places.list[h->at].hop : 0];
}

static struct timers *timers_of(const struct sip_home *h)
{
	return &h->edge->loop->timers;
}

/* ---- what waits */

static void drop_first(struct sip_home *h)
{
	struct waiting *w = CONTAINER_OF(list_head(&h->queue), struct waiting, node);
	list_remove(&w->node);
	h->n_queue--;
	h->queue_octets -= w->len;
	mem_free(w);
}

static void drop_all(struct sip_home *h)
{
	while (h->n_queue)
		drop_first(h);
	timer_cancel(timers_of(h), &h->patience);
}

static void arm_patience(struct sip_home *h)
{
	struct list *n = list_head(&h->queue);
	uint64_t due = n ? CONTAINER_OF(n, struct waiting, node)->since + h->edge->cfg.set.queue_ms : 0, now = timers_of(h)->now;
	if (n)
		timer_arm(timers_of(h), &h->patience, due > now ? due - now : 0);
	else
		timer_cancel(timers_of(h), &h->patience);
}

/* Their transactions have given them up, or will: to send them late would only deliver what was reported as lost. */
static void patience_fired(struct timer *t, uint64_t now)
{
	struct sip_home *h = CONTAINER_OF(t, struct sip_home, patience);
	while (h->n_queue && CONTAINER_OF(list_head(&h->queue), struct waiting, node)->since + h->edge->cfg.set.queue_ms <= now)
		drop_first(h);
	arm_patience(h);
}

static int enqueue(struct sip_home *h, struct slice bytes)
{
	const struct sip_edge_settings *c = &h->edge->cfg.set;
	if (h->n_queue >= c->queue_messages || h->queue_octets + bytes.len > c->queue_octets) {
		metric_add(METRIC_LIMIT_HITS, 1);
		return ENTENTE_ELIMIT;
	}
	struct waiting *w = mem_realloc(NULL, sizeof *w + bytes.len);
	*w = (struct waiting){.since = timers_of(h)->now, .len = bytes.len};
	memcpy(w->bytes, bytes.p, bytes.len);
	list_append(&h->queue, &w->node);
	h->n_queue++;
	h->queue_octets += bytes.len;
	arm_patience(h);
	return 0;
}

/* ---- transports */

static int send_datagram(struct sip_home *h, struct slice bytes)
{
	struct sip_flow flow = {.transport = SIP_UDP, .target = h->index};
	const struct addr *to = &h->places.list[h->at].addr;
	memcpy(&flow.remote, to, addr_len(to));
	return sip_edge_output(h->edge, &flow, bytes);
}

static int send_now(struct sip_home *h, struct slice bytes)
{
	if (h->transport == SIP_UDP)
		return send_datagram(h, bytes);
	int rc = sip_conn_write(h->conn, bytes);
	if (rc == ENTENTE_ELIMIT)
		metric_add(METRIC_LIMIT_HITS, 1);
	return rc;
}

static void flush(struct sip_home *h)
{
	while (h->n_queue) {
		struct waiting *w = CONTAINER_OF(list_head(&h->queue), struct waiting, node);
		send_now(h, slice_of(w->bytes, w->len));
		drop_first(h);
	}
	timer_cancel(timers_of(h), &h->patience);
}

/* ---- up and down */

static void tell_failed(struct sip_home *h, uint64_t conn)
{
	struct sip_flow flow = {.transport = h->transport, .target = h->index, .conn = conn};
	sip_stack_transport_failed(h->edge->stack, &flow);
}

void sip_home_fail(struct sip_home *h)
{
	drop_all(h);
	tell_failed(h, 0);
	if (h->conn)
		tell_failed(h, h->conn->id);
	for (uint64_t i = 1; h->transport == SIP_UDP && i <= SIP_EDGE_UDP_MAX; i++)
		tell_failed(h, i);
}

static void down(struct sip_home *h)
{
	h->backoff_ms = h->backoff_ms ? h->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (h->backoff_ms > BACKOFF_MAX_MS)
		h->backoff_ms = BACKOFF_MAX_MS;
	h->state = HOME_DOWN;
	h->down_since = timers_of(h)->now;
	h->hurt = h->n_queue > 0;
	log_ev(h->told ? LOG_DEBUG : LOG_WARNING, "sip/home-down", {"home", slice_str(h->name)},
	       {"next-hop", slice_str(sip_home_hop(h)->text)}, {"address", slice_str(h->address)},
	       {"reason", slice_str(reason_info(REASON_SIP_HOME_UNREACHABLE)->id)}, {"text", slice_str(h->err.text)});
	h->told = true;
	if (h->transport != SIP_UDP || !h->places.n)
		timer_arm(timers_of(h), &h->retry, h->backoff_ms);
	sip_home_fail(h);
}

static void up(struct sip_home *h)
{
	h->state = HOME_UP;
	h->up_since = timers_of(h)->now;
	h->backoff_ms = 0;
	if (h->at < h->places.n)
		h->places.list[h->at].failed_until = 0;
	h->told = false;
	h->err = (struct entente_err){0};
	timer_cancel(timers_of(h), &h->retry);
	log_ev(LOG_INFO, "sip/home-up", {"home", slice_str(h->name)}, {"address", slice_str(h->address)},
	       {"transport", slice_str(sip_transport_name(h->transport))});
	flush(h);
}

/* Begins a round over all addresses. */
static void begin(struct sip_home *h)
{
	if (!h->places.n) {
		h->state = HOME_RESOLVING;
		sip_home_locate(h);
		return;
	}
	sip_places_round(&h->places);
	h->began = timers_of(h)->now;
	connect_next(h);
}

static void blame(struct sip_home *h)
{
	if (h->at < h->places.n)
		h->places.list[h->at].failed_until = timers_of(h)->now + SIP_PLACE_FAILED_MS;
}

/* The next address of this round. False: all were tried. */
static bool next_address(struct sip_home *h)
{
	struct sip_place *x = sip_places_next(&h->places, timers_of(h)->now, SLICE_NONE);
	if (!x)
		return false;
	h->at = (size_t)(x - h->places.list);
	addr_text(&x->addr, h->address);
	return true;
}

static bool others_left(const struct sip_home *h)
{
	for (size_t i = 0; i < h->places.n; i++)
		if (!h->places.list[i].tried)
			return true;
	return false;
}

static int connect_one(struct sip_home *h)
{
	struct sip_edge *e = h->edge;
	const struct home_hop *hop = sip_home_hop(h);
	bool tls = h->transport == SIP_TLS;
	struct conn_limits lim;
	struct conn_tls t = {.ctx = e->tls, .slot = TLS_SLOT_CLIENT, .sni = hop->uri.host, .session_key = slice_str(hop->text)};
	struct conn_opts o = {.ops = &sip_conn_ops, .limits = &lim, .tls = tls ? &t : NULL};
	if (tls && !e->tls)
		return err_set(&h->err, ENTENTE_ETLS, REASON_SIP_HOME_UNREACHABLE,
			       "TLS needs tls.certificate, which is not configured");
	sip_edge_conn_limits(e, &lim);
	if (others_left(h) && lim.connect_ms > HASTE_MS)
		lim.connect_ms = lim.handshake_ms = HASTE_MS;
	struct sip_conn *c = sip_conn_new(e, h->transport, h);
	o.owner = c;
	int rc = conn_connect(&c->conn, e->loop, &h->places.list[h->at].addr, &o, &h->err);
	if (rc) {
		c->home = NULL;
		sip_conn_free(c);
		return rc;
	}
	h->conn = c;
	h->state = HOME_CONNECTING;
	return 0;
}

static void connect_next(struct sip_home *h)
{
	while (next_address(h)) {
		if (!connect_one(h))
			return;
		blame(h);
	}
	down(h);
}

static uint32_t crlf_ms(const struct sip_home *h)
{
	return h->how == SIP_EDGE_PROBE_CRLF ? h->edge->cfg.set.keepalive_ms : 0;
}

void sip_home_connected(struct sip_home *h)
{
	if (crlf_ms(h)) {
		if (h->places.n > 1) /* does it know pings? Then its silence tells when to go to another one */
			sip_stream_ping(&h->conn->stream, h->conn->conn, timers_of(h)->now);
		timer_arm(timers_of(h), &h->ping, crlf_ms(h));
	}
	up(h);
	if (h->how == SIP_EDGE_PROBE_OPTIONS && h->state == HOME_UP)
		probe_start(h, h->edge->cfg.set.keepalive_ms);
}

void sip_home_lost(struct sip_home *h, const struct entente_err *why)
{
	uint64_t conn = h->conn ? h->conn->id : 0;
	bool was_up = h->state == HOME_UP, stable = was_up && timers_of(h)->now - h->up_since >= STABLE_MS;
	h->conn = NULL;
	h->probe = sip_probe_free(h->probe);
	timer_cancel(timers_of(h), &h->ping);
	h->err = *why;
	h->err.reason = REASON_SIP_HOME_UNREACHABLE;
	if (why->code == ENTENTE_OK)
		slice_cstr(S("the home closed the connection"), h->err.text, sizeof h->err.text);
	if (!stable || why->code == ENTENTE_ETIMEOUT)
		blame(h);
	if (was_up) {
		log_ev(stable ? LOG_INFO : LOG_DEBUG, "sip/home-closed", {"home", slice_str(h->name)},
		       {"address", slice_str(h->address)}, {"text", slice_str(h->err.text)});
		h->state = HOME_IDLE;
		h->began = timers_of(h)->now;
		tell_failed(h, conn); /* all that went out on it, whether they know its number or not */
		if (h->state != HOME_IDLE) /* whoever was told has sent again */
			return;
		if (stable && (h->wanted || h->n_queue))
			begin(h);
		if (stable)
			return; /* else: one that closes at once is as good as one that does not open */
	}
	connect_next(h);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct sip_home *h = CONTAINER_OF(t, struct sip_home, retry);
	(void)now;
	h->state = HOME_IDLE;
	begin(h);
}

/* Its connection stands, but nobody is there. */
static void gone(struct sip_home *h, const char *why)
{
	struct sip_conn *c = h->conn;
	struct entente_err err;
	err_set(&err, ENTENTE_ETIMEOUT, REASON_SIP_HOME_UNREACHABLE, "%s", why);
	c->home = NULL;
	sip_home_lost(h, &err);
	sip_conn_free(c);
}

static void ping_fired(struct timer *t, uint64_t now)
{
	struct sip_home *h = CONTAINER_OF(t, struct sip_home, ping);
	struct sip_conn *c = h->conn;
	uint64_t ms;
	if (!c)
		return;
	if (!sip_stream_turn(&c->stream, c->conn, now, crlf_ms(h), &ms)) {
		gone(h, c->stream.asked ? "no answer, and none to a keep-alive" : "no answer to a keep-alive");
		return;
	}
	if (ms != UINT64_MAX)
		timer_arm(timers_of(h), t, ms);
}

/* ---- OPTIONS tells whether somebody is there: by UDP, and where it is wanted */

static void on_probe(void *arg, bool alive, int status, uint32_t rtt_ms)
{
	struct sip_home *h = arg;
	uint64_t now = timers_of(h)->now;
	(void)status, (void)rtt_ms;
	if (h->transport != SIP_UDP) {
		if (!alive && h->conn && h->state == HOME_UP)
			gone(h, "no answer to OPTIONS");
		return;
	}
	if (alive || (h->heard && now - h->heard < h->probe_ms)) {
		if (h->state == HOME_DOWN) {
			up(h);
			probe_start(h, h->edge->cfg.set.keepalive_ms);
		}
		return;
	}
	err_set(&h->err, ENTENTE_ETIMEOUT, REASON_SIP_HOME_UNREACHABLE, "no answer to OPTIONS from %s", h->address);
	blame(h);
	h->places.list[h->at].tried = true;
	if (next_address(h)) { /* at once to the next one */
		probe_start(h, h->edge->cfg.set.keepalive_ms);
		return;
	}
	sip_places_round(&h->places);
	if (h->state == HOME_UP)
		down(h);
	next_address(h);
	if (h->probe_ms > PROBE_DOWN_MS)
		probe_start(h, PROBE_DOWN_MS);
}

static const struct sip_probe_ops probe_ops = {on_probe};

static void probe_start(struct sip_home *h, uint32_t interval_ms)
{
	struct sip_edge *e = h->edge;
	char from[160];
	struct sip_probe_config c = {.flow = {.transport = h->transport, .target = h->index},
				     .uri = slice_str(sip_home_hop(h)->text),
				     .interval_ms = interval_ms,
				     .timeout_ms = PROBE_PATIENCE_MS};
	h->probe = sip_probe_free(h->probe);
	if (!interval_ms || h->how != SIP_EDGE_PROBE_OPTIONS)
		return;
	if (c.timeout_ms > interval_ms)
		c.timeout_ms = interval_ms;
	if (h->transport == SIP_UDP) { /* else there may be no address any more, only a connection */
		const struct addr *to = &h->places.list[h->at].addr;
		memcpy(&c.flow.remote, to, addr_len(to));
	}
	snprintf(from, sizeof from, "<sip:%.*s>",
		 SFMT(e->cfg.sent_by[h->transport].len ? e->cfg.sent_by[h->transport] : S("entente.invalid")));
	c.from = slice_str(from);
	h->probe_ms = interval_ms;
	h->probe = sip_probe_new(e->stack, &c, &probe_ops, h);
}

/* ---- addresses */

static void located_udp(struct sip_home *h)
{
	struct addr old;
	bool had = addr_parse(slice_str(h->address), 0, &old);
	if (had && (h->probe || h->state == HOME_UP) && addr_eq(&old, &h->places.list[h->at].addr))
		return; /* nothing new */
	sip_places_round(&h->places);
	next_address(h);
	if (h->state != HOME_DOWN)
		up(h);
	probe_start(h, h->edge->cfg.set.keepalive_ms);
}

void sip_home_located(struct sip_home *h, bool found)
{
	if (found && h->transport == SIP_UDP) {
		if (h->state == HOME_DOWN && !h->probe) /* it was only its name that failed */
			h->state = HOME_IDLE;
		located_udp(h);
	} else if (h->state == HOME_RESOLVING && found) {
		h->state = HOME_IDLE;
		if (h->n_queue || h->wanted)
			begin(h);
	} else if (!found && (h->state == HOME_RESOLVING || h->transport == SIP_UDP)) {
		h->probe = sip_probe_free(h->probe);
		down(h);
	}
}

static void again_fired(struct timer *t, uint64_t now)
{
	(void)now;
	sip_home_locate(CONTAINER_OF(t, struct sip_home, again));
}

/* ---- sending */

/* A home that refuses costs nothing to ask again, and may just have come back; one that does not even refuse would make every
 * sender wait in vain. */
static bool may_be_back(const struct sip_home *h)
{
	return h->transport != SIP_UDP && h->places.n && h->down_since - h->began < QUICK_MS &&
	       (!h->hurt || timers_of(h)->now - h->down_since >= DEMAND_MS);
}

int sip_home_send(struct sip_home *h, struct slice bytes)
{
	h->wanted = true;
	if (h->state == HOME_DOWN && may_be_back(h)) {
		timer_cancel(timers_of(h), &h->retry);
		h->state = HOME_IDLE;
	}
	if (h->state == HOME_DOWN)
		return ENTENTE_ENET;
	if (h->state == HOME_UP)
		return send_now(h, bytes);
	if (enqueue(h, bytes))
		return ENTENTE_ELIMIT;
	if (h->state == HOME_IDLE)
		begin(h);
	return h->state == HOME_DOWN ? ENTENTE_ENET : 0;
}

/* ---- life */

bool sip_home_sender_parse(struct slice text, struct home_sender *ret)
{
	struct slice rest = text, ip = slice_split(&rest, '/');
	uint64_t bits;
	if (!addr_parse(ip, 0, &ret->addr) || addr_port(&ret->addr))
		return false;
	ret->bits = addr_is_v6(&ret->addr) ? 128 : 32;
	if (!rest.p)
		return true;
	if (!slice_u64(rest, ret->bits, &bits))
		return false;
	ret->bits = (unsigned)bits;
	return true;
}

static int parse_hop(struct slice name, struct slice hop, struct sip_uri *uri, enum sip_transport *transport, struct entente_err *err)
{
	struct slice t = SLICE_NONE;
	if (sip_uri_parse(hop, uri) || (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS))
		return err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, "the next hop of home %.*s is no SIP URI: %.*s", SFMT(name), SFMT(hop));
	bool named = sip_uri_param(uri, S("transport"), &t);
	if (uri->scheme == SIP_SCHEME_SIPS || (named && slice_ieq(t, S("tls"))))
		*transport = SIP_TLS;
	else if (named && slice_ieq(t, S("tcp")))
		*transport = SIP_TCP;
	else if (!named || slice_ieq(t, S("udp")))
		*transport = SIP_UDP;
	else
		return err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, "the next hop of home %.*s has an unknown transport: %.*s", SFMT(name),
			       SFMT(t));
	return 0;
}

/* `ret` may be NULL; its hops have their texts. */
static int parse(const struct sip_edge_home *cfg, struct sip_home *ret, struct entente_err *err)
{
	enum sip_transport transport = SIP_UDP, other;
	struct sip_uri uri;
	if (cfg->n_further >= SIP_EDGE_HOPS_MAX)
		return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "home %.*s: more than %d next hops", SFMT(cfg->name), SIP_EDGE_HOPS_MAX);
	for (size_t i = 0; i <= cfg->n_further; i++) {
		struct slice hop = ret ? slice_str(ret->hops[i].text) : i ? cfg->further[i - 1] : cfg->next_hop;
		if (parse_hop(cfg->name, hop, ret ? &ret->hops[i].uri : &uri, i ? &other : &transport, err))
			return ENTENTE_ESYNTAX;
		if (i && other != transport)
			return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "home %.*s: all its next hops must have the same transport, and %.*s is not %s",
				       SFMT(cfg->name), SFMT(hop), sip_transport_name(transport));
	}
	if (transport == SIP_UDP && cfg->probe == SIP_EDGE_PROBE_CRLF)
		return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "home %.*s: probing with CRLF is not possible by UDP", SFMT(cfg->name));
	for (size_t i = 0; i < cfg->n_senders; i++) {
		struct home_sender one;
		if (!sip_home_sender_parse(cfg->senders[i], ret ? &ret->senders[i] : &one))
			return err_set(err, ENTENTE_ESYNTAX, REASON_NONE,
				       "home %.*s: %.*s is no address or network, e.g. 192.0.2.1 or 192.0.2.0/24",
				       SFMT(cfg->name), SFMT(cfg->senders[i]));
	}
	if (ret) {
		ret->transport = transport;
		ret->how = cfg->probe	       ? cfg->probe
			   : transport == SIP_UDP ? SIP_EDGE_PROBE_OPTIONS
						 : SIP_EDGE_PROBE_CRLF;
	}
	return 0;
}

int sip_edge_home_check(const struct sip_edge_home *h, struct entente_err *err)
{
	return h->name.len ? parse(h, NULL, err) : 0;
}

struct sip_home *sip_home_new(struct sip_edge *e, uint32_t index, const struct sip_edge_home *cfg, struct entente_err *err)
{
	struct sip_home *h = MEM_NEW(struct sip_home);
	h->edge = e;
	h->index = index;
	h->name = mem_strndup(cfg->name.p, cfg->name.len);
	for (size_t i = 0; i <= cfg->n_further && i < SIP_EDGE_HOPS_MAX; i++) {
		struct slice hop = i ? cfg->further[i - 1] : cfg->next_hop;
		h->hops[i].home = h;
		h->hops[i].text = mem_strndup(hop.p, hop.len);
		h->n_hops++;
	}
	h->senders = mem_calloc(cfg->n_senders ? cfg->n_senders : 1, sizeof *h->senders);
	h->n_senders = cfg->n_senders;
	h->wanted = e->worker->id == 0;
	list_init(&h->queue);
	timer_init(&h->ping, ping_fired);
	timer_init(&h->retry, retry_fired);
	timer_init(&h->patience, patience_fired);
	timer_init(&h->again, again_fired);
	return parse(cfg, h, err) ? sip_home_free(h) : h;
}

void sip_home_ready(struct sip_home *h)
{
	if (h->state != HOME_IDLE)
		return;
	if (h->wanted && h->transport != SIP_UDP)
		begin(h);
	else if (!h->known)
		sip_home_locate(h); /* whoever sends is judged by the homes' addresses */
}

bool sip_home_same(const struct sip_home *h, const struct sip_edge_home *cfg)
{
	enum sip_edge_probe how = cfg->probe ? cfg->probe : h->transport == SIP_UDP ? SIP_EDGE_PROBE_OPTIONS : SIP_EDGE_PROBE_CRLF;
	if (!slice_eq(slice_str(h->name), cfg->name) || h->n_senders != cfg->n_senders || h->n_hops != cfg->n_further + 1 || h->how != how)
		return false;
	for (size_t i = 0; i < h->n_hops; i++)
		if (!slice_eq(slice_str(h->hops[i].text), i ? cfg->further[i - 1] : cfg->next_hop))
			return false;
	for (size_t i = 0; i < cfg->n_senders; i++) {
		struct home_sender s;
		if (!sip_home_sender_parse(cfg->senders[i], &s) || s.bits != h->senders[i].bits ||
		    !addr_host_eq(&s.addr, &h->senders[i].addr))
			return false;
	}
	return true;
}

void sip_home_adjust(struct sip_home *h)
{
	uint32_t ms = h->edge->cfg.set.keepalive_ms;
	struct conn_limits lim;
	sip_edge_conn_limits(h->edge, &lim);
	if (h->conn)
		conn_set_limits(h->conn->conn, &lim);
	if (h->conn && h->state == HOME_UP && crlf_ms(h))
		timer_arm(timers_of(h), &h->ping, ms);
	if (h->probe && h->state == HOME_UP && h->probe_ms != ms)
		probe_start(h, ms);
}

struct sip_home *sip_home_free(struct sip_home *h)
{
	if (!h)
		return NULL;
	struct timers *q = timers_of(h);
	if (h->conn) {
		h->conn->home = NULL;
		sip_conn_free(h->conn);
	}
	drop_all(h);
	timer_cancel(q, &h->ping);
	timer_cancel(q, &h->retry);
	timer_cancel(q, &h->again);
	sip_probe_free(h->probe);
	sip_home_locate_end(h);
	sip_places_free(&h->places);
	mem_free(h->senders);
	mem_free(h->name);
	for (size_t i = 0; i < h->n_hops; i++)
		mem_free(h->hops[i].text);
	return mem_free(h);
}
