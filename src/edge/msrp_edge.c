/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/msrp_edge.h"
#include <stdio.h>
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/sip_edge_int.h"
#include "msrp/message.h"

enum { FIRST_WORD_MS = 15000, IDLE_MS = 20 * 60000, ADDRESSES = 8, SESSION_MAX = 64, FINGERPRINT_MAX = 256 };

struct msrp_conn {
	struct map_node node; /* key: id */
	uint64_t id;          /* worker + 1 in the upper 16 bits */
	struct msrp_edge *edge;
	struct conn *conn;    /* NULL: its address is being looked up */
	struct msrp_framer framer;
	char session[SESSION_MAX + 1], tid[MSRP_TID_MAX + 1]; /* of the request that is coming in */
	bool outbound, tls, heard;
	uint64_t users, waiting; /* workers that had pieces of it, or write to it; that want to hear when it is writable */
	/* outbound */
	char *host;           /* owned */
	char fingerprint[FINGERPRINT_MAX];
	struct dns_query *dns[2];
	struct addr to[ADDRESSES];
	size_t n_to, next_to;
	uint16_t port;
	struct timer soon;    /* nothing is told from inside msrp_edge_connect */
	struct entente_err err;
};

struct msrp_edge {
	struct msrp_edge_config cfg;
	const struct msrp_edge_ops *ops;
	void *arg;
	struct loop *loop;
	struct tls_ctx *tls;
	struct map conns;
	uint64_t next;
	struct home_sender networks[MSRP_EDGE_NETWORKS_MAX];
	size_t n_networks;
};

static void try_next(struct msrp_conn *c);

/* ---- between workers */

enum post_kind { POST_INPUT, POST_WRITE, POST_WRITABLE, POST_LOST };

struct post {
	struct bus_msg bus;
	const struct msrp_edge_ops *ops;
	enum post_kind kind;
	unsigned from;
	uint64_t line;
	struct msrp_piece piece;
	struct slice session, tid, octets;
	struct entente_err err;
	char text[];
};

static void post_drop(struct bus_msg *b)
{
	mem_free(CONTAINER_OF(b, struct post, bus));
}

static bool write_here(struct msrp_edge *e, uint64_t line, struct slice octets, unsigned from);

static void post_run(struct worker *w, struct bus_msg *b)
{
	struct post *p = CONTAINER_OF(b, struct post, bus);
	struct msrp_edge *e = p->ops->edge(w);
	if (!e)
		;
	else if (p->kind == POST_INPUT)
		e->ops->input(e->arg, p->line, p->session, p->tid, &p->piece);
	else if (p->kind == POST_WRITABLE)
		e->ops->writable(e->arg, p->line);
	else if (p->kind == POST_LOST)
		e->ops->lost(e->arg, p->line, &p->err);
	else
		write_here(e, p->line, p->octets, p->from);
	mem_free(p);
}

static struct post *post_new(struct msrp_edge *e, enum post_kind kind, uint64_t line, size_t text)
{
	struct post *p = mem_calloc(1, sizeof *p + text);
	p->bus = (struct bus_msg){.run = post_run, .drop = post_drop};
	p->ops = e->ops;
	p->kind = kind;
	p->from = e->cfg.worker->id;
	p->line = line;
	return p;
}

static struct slice keep(char **at, struct slice s)
{
	struct slice ret = {*at, s.len};
	if (s.len)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return ret;
}

/* To every worker in `set`, also this one. */
static void tell(struct msrp_edge *e, uint64_t set, enum post_kind kind, uint64_t line, const struct entente_err *err)
{
	for (unsigned i = 0; set; i++, set >>= 1) {
		struct post *p;
		if (!(set & 1))
			continue;
		if (i == e->cfg.worker->id) {
			if (kind == POST_LOST)
				e->ops->lost(e->arg, line, err);
			else
				e->ops->writable(e->arg, line);
			continue;
		}
		p = post_new(e, kind, line, 0);
		if (err)
			p->err = *err;
		worker_post_always(pool_worker(e->cfg.worker->pool, i), &p->bus);
	}
}

/* ---- connections */

static struct msrp_conn *find(const struct msrp_edge *e, uint64_t id)
{
	struct map_node *n = map_find(&e->conns, slice_of((const char *)&id, sizeof id));
	return n ? CONTAINER_OF(n, struct msrp_conn, node) : NULL;
}

static struct msrp_conn *add(struct msrp_edge *e, bool outbound, bool tls)
{
	struct msrp_conn *c = MEM_NEW(struct msrp_conn);
	c->id = (uint64_t)(e->cfg.worker->id + 1) << 48 | ++e->next;
	c->edge = e;
	c->outbound = outbound;
	c->tls = tls;
	msrp_framer_init(&c->framer);
	map_insert(&e->conns, &c->node, slice_of((const char *)&c->id, sizeof c->id));
	metric_add(outbound ? METRIC_CONN_MSRP_OUT : METRIC_CONN_MSRP_IN, 1);
	return c;
}

static void forget(struct msrp_conn *c)
{
	map_remove(&c->edge->conns, &c->node);
	metric_add(c->outbound ? METRIC_CONN_MSRP_OUT : METRIC_CONN_MSRP_IN, -1);
	timer_cancel(&c->edge->loop->timers, &c->soon);
	for (int i = 0; i < 2; i++)
		dns_cancel(c->dns[i]);
	mem_free(c->host);
	mem_free(c);
}

static void end(struct msrp_conn *c, const struct entente_err *why)
{
	struct msrp_edge *e = c->edge;
	uint64_t users = c->users, id = c->id;
	struct entente_err copy = *why;
	conn_free(c->conn);
	forget(c);
	tell(e, users, POST_LOST, id, &copy);
}

static void end_with(struct msrp_conn *c, int code, const char *text)
{
	struct entente_err err;
	char z[ADDR_TEXT];
	addr_text(conn_remote(c->conn), z);
	err_set(&err, code, REASON_NONE, "%s", text);
	if (code == ENTENTE_ESYNTAX)
		metric_add(METRIC_PARSE_MSRP_FRAME, 1);
	log_ev_limited(LOG_WARNING, "msrp/connection-closed", slice_str(z), {"address", slice_str(z)}, {"text", slice_str(text)});
	end(c, &err);
}

static void limits(const struct msrp_edge *e, bool heard, struct conn_limits *ret)
{
	*ret = CONN_LIMITS_DEFAULT;
	ret->in_max = MSRP_HEAD_MAX + 8192;
	ret->out_max = MSRP_EDGE_OUT_MAX;
	ret->out_high = 64 << 10;
	ret->out_low = 16 << 10;
	ret->connect_ms = e->cfg.connect_ms;
	ret->idle_ms = heard ? IDLE_MS : FIRST_WORD_MS;
}

static bool input(struct msrp_conn *c, const struct msrp_piece *p)
{
	struct msrp_edge *e = c->edge;
	struct slice session, tid;
	struct post *x;
	char *at;
	size_t w;
	if (p->head.len) {
		struct slice rest = slice_skip(p->head, 5);
		slice_cstr(slice_split(&rest, ' '), c->tid, sizeof c->tid);
		session = msrp_head_session(p->head);
		slice_cstr(session.len <= SESSION_MAX ? session : S("-"), c->session, sizeof c->session); /* ours are shorter */
	}
	session = slice_str(c->session);
	tid = slice_str(c->tid);
	w = e->ops->owner(e->arg, session);
	if (w == SIZE_MAX)
		w = e->cfg.worker->id;
	c->users |= UINT64_C(1) << w;
	if (w == e->cfg.worker->id) {
		e->ops->input(e->arg, c->id, session, tid, p);
		return true;
	}
	x = post_new(e, POST_INPUT, c->id, session.len + tid.len + p->head.len + p->data.len);
	at = x->text;
	x->session = keep(&at, session);
	x->tid = keep(&at, tid);
	x->piece = *p;
	x->piece.head = keep(&at, p->head);
	x->piece.data = keep(&at, p->data);
	if (worker_post(pool_worker(e->cfg.worker->pool, (unsigned)w), &x->bus)) {
		mem_free(x);
		return false;
	}
	return true;
}

static size_t on_data(struct conn *k, struct slice in)
{
	struct msrp_conn *c = conn_owner(k);
	struct msrp_edge *e = c->edge;
	struct msrp_frame f;
	struct conn_limits lim;
	uint64_t id = c->id;
	size_t at = 0;
	for (;;) {
		msrp_framer_next(&c->framer, slice_skip(in, at), &f);
		if (f.kind == MSRP_FRAME_MORE)
			return at;
		if (f.kind == MSRP_FRAME_ERROR) {
			end_with(c, ENTENTE_ESYNTAX, f.fault);
			return 0;
		}
		if (!c->heard) {
			c->heard = true;
			limits(e, true, &lim);
			conn_set_limits(k, &lim);
			conn_prove(k);
		}
		if (!input(c, &f.piece)) {
			end_with(c, ENTENTE_ELIMIT, "a worker has too much to do");
			return 0;
		}
		if (!find(e, id)) /* ended from inside */
			return 0;
		at += f.consume;
	}
}

static void on_drained(struct conn *k)
{
	struct msrp_conn *c = conn_owner(k);
	uint64_t set = c->waiting;
	c->waiting = 0;
	tell(c->edge, set, POST_WRITABLE, c->id, NULL);
}

static void on_closed(struct conn *k, const struct entente_err *why)
{
	struct msrp_conn *c = conn_owner(k);
	if (c->outbound && !c->heard && c->next_to < c->n_to) {
		c->err = *why;
		c->conn = conn_free(c->conn);
		try_next(c);
		return;
	}
	end(c, why);
}

static void is_up(struct msrp_conn *c)
{
	c->heard = true;
	c->edge->ops->up(c->edge->arg, c->id);
}

static void on_connected(struct conn *k)
{
	struct msrp_conn *c = conn_owner(k);
	if (c->outbound && !c->tls)
		is_up(c);
}

/* "sha-256 AB:CD:..." against what was shown. -1: a hash that we do not know; else whether it fits. */
static int fits(const char *fingerprint, const struct tls_peer *p)
{
	struct slice rest = slice_str(fingerprint), hash = slice_split(&rest, ' '), want = slice_trim(rest);
	const uint8_t *have = slice_ieq(hash, S("sha-256")) ? p->sha256 : slice_ieq(hash, S("sha-512")) ? p->sha512 : NULL;
	size_t n = have == p->sha256 ? 32 : 64;
	char hex[4];
	if (!have)
		return -1;
	if (want.len != n * 3 - 1)
		return 0;
	for (size_t i = 0; i < n; i++) {
		snprintf(hex, sizeof hex, "%02X%s", have[i], i + 1 < n ? ":" : "");
		if (!slice_ieq(slice_of(want.p + 3 * i, strlen(hex)), slice_str(hex)))
			return 0;
	}
	return 1;
}

static bool named(const struct tls_peer *p, struct slice host)
{
	for (size_t i = 0; i < p->n_dns; i++)
		if (slice_ieq(p->dns[i], host))
			return true;
	return false;
}

static void on_secured(struct conn *k, const struct tls_peer *p)
{
	struct msrp_conn *c = conn_owner(k);
	int fit = !c->outbound ? 1 : c->fingerprint[0] && p->has_cert ? fits(c->fingerprint, p) : -1;
	struct slice host = slice_str(c->host);
	if (!c->outbound)
		return;
	if (fit == 1 || (fit < 0 && p->has_cert && p->chain_ok && (addr_is_literal(host) || named(p, host))))
		is_up(c);
	else
		end_with(c, ENTENTE_ETLS, fit == 0 ? "its certificate is not the one of the session description" : "its certificate is not trusted, or not for this name");
}

static const struct conn_ops conn_ops = {.connected = on_connected, .secured = on_secured, .data = on_data, .drained = on_drained, .closed = on_closed};

/* ---- who may */

static bool in_network(const struct home_sender *n, const struct addr *a)
{
	const uint8_t *x, *y;
	unsigned whole = n->bits / 8, rest = n->bits % 8;
	if (addr_is_v6(&n->addr) != addr_is_v6(a))
		return false;
	x = addr_is_v6(a) ? (const uint8_t *)&n->addr.v6.sin6_addr : (const uint8_t *)&n->addr.v4.sin_addr;
	y = addr_is_v6(a) ? (const uint8_t *)&a->v6.sin6_addr : (const uint8_t *)&a->v4.sin_addr;
	return !memcmp(x, y, whole) && (!rest || !((x[whole] ^ y[whole]) >> (8 - rest)));
}

static bool may(struct msrp_edge *e, const struct addr *a)
{
	for (size_t i = 0; i < e->n_networks; i++)
		if (in_network(&e->networks[i], a))
			return true;
	return sip_edge_whose(e->cfg.sip, NULL, a) < HOME_UNSURE;
}

int msrp_edge_set_clients(struct msrp_edge *e, const struct slice *networks, size_t n, struct entente_err *err)
{
	struct home_sender list[MSRP_EDGE_NETWORKS_MAX];
	if (n > MSRP_EDGE_NETWORKS_MAX)
		return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "msrp.clients has more than %d entries", MSRP_EDGE_NETWORKS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!sip_home_sender_parse(networks[i], &list[i]))
			return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "msrp.clients: %.*s is no address or network, e.g. 192.0.2.1 or 192.0.2.0/24",
				       SFMT(networks[i]));
	if (e) {
		memcpy(e->networks, list, n * sizeof *list);
		e->n_networks = n;
	}
	return 0;
}

void msrp_edge_accept(struct msrp_edge *e, int fd, bool tls, struct gate_pass *pass)
{
	struct entente_err err;
	struct conn_limits lim;
	struct msrp_conn *c = add(e, false, tls);
	struct conn_tls t = {.ctx = e->tls, .server = true};
	struct conn_opts o = {.ops = &conn_ops, .owner = c, .limits = &lim, .tls = tls && e->tls ? &t : NULL, .pass = pass};
	char z[ADDR_TEXT];
	limits(e, false, &lim);
	if (conn_accept(&c->conn, e->loop, fd, &o, &err) || (tls && !e->tls)) {
		conn_free(c->conn);
		forget(c);
		return;
	}
	if (may(e, conn_remote(c->conn)))
		return;
	addr_host_text(conn_remote(c->conn), z);
	metric_add(METRIC_LIMIT_HITS, 1);
	log_ev_limited(LOG_WARNING, "msrp/refused", slice_str(z), {"address", slice_str(z)},
		       {"reason", slice_str(reason_info(REASON_POLICY_PEER_UNKNOWN)->id)});
	conn_free(c->conn);
	forget(c);
}

/* ---- we connect */

static void try_next(struct msrp_conn *c)
{
	struct msrp_edge *e = c->edge;
	struct conn_limits lim;
	struct conn_tls t = {.ctx = e->tls, .sni = slice_str(c->host)};
	struct conn_opts o = {.ops = &conn_ops, .owner = c, .limits = &lim, .tls = c->tls ? &t : NULL};
	limits(e, true, &lim);
	while (c->next_to < c->n_to) {
		const struct addr *to = &c->to[c->next_to++];
		if (!may(e, to)) {
			char z[ADDR_TEXT];
			addr_text(to, z);
			err_set(&c->err, ENTENTE_EREFUSED, REASON_POLICY_PEER_UNKNOWN, "%s is neither a home's address nor in msrp.clients", z);
			log_ev_limited(LOG_WARNING, "msrp/refused", slice_str(z), {"address", slice_str(z)},
				       {"reason", slice_str(reason_info(REASON_POLICY_PEER_UNKNOWN)->id)});
		} else if (!conn_connect(&c->conn, e->loop, to, &o, &c->err)) {
			return;
		}
	}
	if (!c->err.code)
		err_set(&c->err, ENTENTE_ENET, REASON_NONE, "%s has no address", c->host);
	end(c, &c->err);
}

static void found(struct msrp_conn *c, const struct dns_answer *a, int which)
{
	c->dns[which] = NULL;
	for (size_t i = 0; i < a->n && c->n_to < ADDRESSES; i++) {
		c->to[c->n_to] = a->records[i].addr;
		addr_set_port(&c->to[c->n_to++], c->port);
	}
	if (!c->dns[0] && !c->dns[1])
		try_next(c);
}

static void found_a(void *arg, const struct dns_answer *a)
{
	found(arg, a, 0);
}

static void found_aaaa(void *arg, const struct dns_answer *a)
{
	found(arg, a, 1);
}

static void begin(struct timer *t, uint64_t now)
{
	(void)now;
	struct msrp_conn *c = CONTAINER_OF(t, struct msrp_conn, soon);
	struct msrp_edge *e = c->edge;
	if (c->err.code) {
		end(c, &c->err);
		return;
	}
	if (addr_parse(slice_str(c->host), c->port, &c->to[0])) {
		c->n_to = 1;
		try_next(c);
		return;
	}
	c->dns[0] = dns_ask(e->cfg.dns, e->cfg.worker, slice_str(c->host), DNS_A, found_a, c);
	c->dns[1] = dns_ask(e->cfg.dns, e->cfg.worker, slice_str(c->host), DNS_AAAA, found_aaaa, c);
}

uint64_t msrp_edge_connect(struct msrp_edge *e, const struct msrp_uri *to, struct slice fingerprint)
{
	struct msrp_conn *c = add(e, true, to->secure);
	c->users = UINT64_C(1) << e->cfg.worker->id;
	c->host = mem_strndup(to->host.p, to->host.len);
	c->port = to->port ? to->port : 2855;
	slice_cstr(fingerprint, c->fingerprint, sizeof c->fingerprint);
	if (to->secure && !e->tls)
		err_set(&c->err, ENTENTE_ETLS, REASON_NONE, "TLS is wanted, but tls.certificate is not set");
	timer_init(&c->soon, begin);
	timer_arm(&e->loop->timers, &c->soon, 0);
	return c->id;
}

/* ---- writing */

static bool write_here(struct msrp_edge *e, uint64_t line, struct slice octets, unsigned from)
{
	struct msrp_conn *c = find(e, line);
	uint64_t bit = UINT64_C(1) << from;
	int rc;
	if (!c || !c->conn)
		return true; /* lost() has come, or comes */
	c->users |= bit;
	rc = conn_write(c->conn, octets);
	if (rc == ENTENTE_ELIMIT) {
		conn_close(c->conn); /* the end comes by closed(), not from inside */
		metric_add(METRIC_LIMIT_HITS, 1);
		return false;
	}
	if (conn_congested(c->conn)) {
		c->waiting |= bit;
		return false;
	}
	if (from != e->cfg.worker->id)
		tell(e, bit, POST_WRITABLE, line, NULL);
	return true;
}

bool msrp_edge_write(struct msrp_edge *e, uint64_t line, struct slice octets)
{
	unsigned owner = (unsigned)(line >> 48) - 1;
	struct post *p;
	char *at;
	if (owner == e->cfg.worker->id)
		return write_here(e, line, octets, owner);
	if (owner >= pool_workers(e->cfg.worker->pool))
		return true;
	p = post_new(e, POST_WRITE, line, octets.len);
	at = p->text;
	p->octets = keep(&at, octets);
	worker_post_always(pool_worker(e->cfg.worker->pool, owner), &p->bus); /* one text of a session at a time: it waits for writable() */
	return false;
}

void msrp_edge_close(struct msrp_edge *e, uint64_t line)
{
	struct msrp_conn *c = find(e, line);
	if (!c || !c->outbound)
		return;
	if (c->conn)
		conn_discard(c->conn);
	forget(c);
}

/* ---- life */

struct msrp_edge *msrp_edge_new(const struct msrp_edge_config *cfg, const struct msrp_edge_ops *ops, void *arg)
{
	struct msrp_edge *e = MEM_NEW(struct msrp_edge);
	e->cfg = *cfg;
	e->ops = ops;
	e->arg = arg;
	e->loop = cfg->worker->loop;
	map_init(&e->conns);
	return e;
}

struct msrp_edge *msrp_edge_free(struct msrp_edge *e)
{
	size_t i;
	if (!e)
		return NULL;
	MAP_EACH(n, &e->conns, i) {
		struct msrp_conn *c = CONTAINER_OF(n, struct msrp_conn, node);
		conn_free(c->conn);
		forget(c);
	}
	map_free(&e->conns);
	tls_ctx_unref(e->tls);
	return mem_free(e);
}

void msrp_edge_set_tls(struct msrp_edge *e, struct tls_ctx *tls)
{
	struct tls_ctx *old = e->tls;
	e->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}

size_t msrp_edge_count(const struct msrp_edge *e)
{
	return e->conns.count;
}
