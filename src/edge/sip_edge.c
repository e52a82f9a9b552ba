/* SPDX-License-Identifier: Apache-2.0 */
/* The internal side as a whole: its sockets, its homes, its settings, its end. */
#include "base/log.h"
#include "base/mem.h"
#include "edge/sip_edge_int.h"

enum { MAX_SENDERS = 65536 };

struct sip_home *sip_edge_home(const struct sip_edge *e, uint32_t index)
{
	return index < e->n_homes ? e->homes[index] : NULL;
}

uint32_t sip_edge_whose(struct sip_edge *e, const struct sip_msg *m, const struct addr *from)
{
	struct sip_home *h = m && m->is_request ? sip_edge_home(e, e->ops->home_of(e->arg, m)) : NULL;
	bool unsure = false;
	if (h && sip_home_is(h, from))
		return h->index;
	for (uint32_t i = 0; i < e->n_homes; i++) {
		if (!e->homes[i])
			continue;
		if (sip_home_is(e->homes[i], from))
			return i;
		unsure |= !e->homes[i]->known;
	}
	return unsure ? HOME_UNSURE : HOME_NONE;
}

void sip_edge_conn_limits(const struct sip_edge *e, struct conn_limits *ret)
{
	sip_stream_limits(&e->cfg.set.limits, e->cfg.set.queue_octets, e->cfg.set.connect_ms, ret);
}

/* ---- UDP */

static void datagram(struct udp *u, const struct addr *from, struct slice in)
{
	struct sip_edge *e = udp_owner(u);
	struct sip_flow flow = {.transport = SIP_UDP, .target = UINT32_MAX};
	for (size_t i = 0; i < e->n_udp; i++)
		if (e->udp[i] == u)
			flow.conn = i + 1;
	memcpy(&flow.remote, from, addr_len(from));
	if (slice_trim(in).len) /* not a keep-alive */
		sip_edge_input(e, &flow, from, in);
}

int sip_edge_udp(struct sip_edge *e, const struct addr *at, struct addr *ret_bound, struct entente_err *err)
{
	struct udp_opts o = {.addr = *at, .data = datagram, .owner = e, .queue_max = 4 << 20, .kept = true};
	if (e->n_udp == SIP_EDGE_UDP_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "more than %d UDP listeners", SIP_EDGE_UDP_MAX);
	int rc = udp_open(&e->udp[e->n_udp], e->loop, &o, err);
	if (rc)
		return rc;
	if (ret_bound)
		*ret_bound = *udp_addr(e->udp[e->n_udp]);
	e->n_udp++;
	return 0;
}

/* ---- life */

struct sip_edge *sip_edge_new(const struct sip_edge_config *cfg, const struct sip_edge_ops *ops, void *arg)
{
	struct sip_edge *e = MEM_NEW(struct sip_edge);
	struct sip_stack_config sc = {.server = S("Entente/" ENTENTE_VERSION), .pool = cfg->worker->loop->arenas};
	e->cfg = *cfg;
	e->ops = ops;
	e->arg = arg;
	e->worker = cfg->worker;
	e->loop = cfg->worker->loop;
	map_init(&e->conns);
	e->senders = rate_new(MAX_SENDERS);
	memcpy(sc.sent_by, cfg->sent_by, sizeof sc.sent_by);
	e->stack = sip_stack_new(&sip_edge_stack_ops, e, &e->loop->timers, &sc);
	return e;
}

struct sip_edge *sip_edge_free(struct sip_edge *e)
{
	size_t i;
	if (!e)
		return NULL;
	for (i = 0; i < e->n_homes; i++)
		sip_home_free(e->homes[i]);
	mem_free(e->homes);
	MAP_EACH(n, &e->conns, i)
		sip_conn_free(CONTAINER_OF(n, struct sip_conn, node));
	map_free(&e->conns);
	for (i = 0; i < e->n_udp; i++)
		udp_close(e->udp[i]);
	sip_stack_free(e->stack);
	rate_free(e->senders);
	tls_ctx_unref(e->tls);
	return mem_free(e);
}

struct sip_stack *sip_edge_stack(struct sip_edge *e)
{
	return e->stack;
}

void sip_edge_set_tls(struct sip_edge *e, struct tls_ctx *tls)
{
	struct tls_ctx *old = e->tls;
	e->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}

void sip_edge_set(struct sip_edge *e, const struct sip_edge_settings *set)
{
	struct conn_limits lim;
	size_t i;
	e->cfg.set = *set; /* the framers look at these limits */
	sip_edge_conn_limits(e, &lim);
	MAP_EACH(n, &e->conns, i) {
		struct sip_conn *c = CONTAINER_OF(n, struct sip_conn, node);
		if (!c->home && !c->stranger)
			conn_set_limits(c->conn, &lim);
	}
	for (i = 0; i < e->n_homes; i++)
		if (e->homes[i])
			sip_home_adjust(e->homes[i]);
}

void sip_edge_quiesce(struct sip_edge *e)
{
	e->quiet = true;
}

/* ---- homes */

int sip_edge_set_homes(struct sip_edge *e, const struct sip_edge_home *cfg, size_t n, struct entente_err *err)
{
	struct sip_home **list, **old = e->homes;
	size_t n_old = e->n_homes;
	for (size_t i = 0; i < n; i++)
		if (sip_edge_home_check(&cfg[i], err))
			return ENTENTE_ESYNTAX;
	list = mem_calloc(n ? n : 1, sizeof *list);
	for (size_t i = 0; i < n; i++) {
		if (i < n_old && old[i] && sip_home_same(old[i], &cfg[i])) {
			list[i] = old[i];
			old[i] = NULL;
		} else if (cfg[i].name.len) {
			list[i] = sip_home_new(e, (uint32_t)i, &cfg[i], NULL);
		}
	}
	e->homes = list;
	e->n_homes = n;
	for (size_t i = 0; i < n_old; i++) {
		if (!old[i])
			continue;
		sip_home_fail(old[i]);
		sip_home_free(old[i]);
	}
	mem_free(old);
	for (size_t i = 0; i < n; i++)
		if (list[i])
			sip_home_ready(list[i]);
	return 0;
}

bool sip_edge_home_flow(struct sip_edge *e, uint32_t home, struct sip_flow *ret, bool *ret_ipv6)
{
	const struct sip_home *h = sip_edge_home(e, home);
	if (!h)
		return false;
	*ret = (struct sip_flow){.transport = h->transport, .target = home};
	if (ret_ipv6)
		*ret_ipv6 = h->at < h->places.n && addr_is_v6(&h->places.list[h->at].addr);
	return true;
}

void sip_edge_each_home(struct sip_edge *e, void (*fn)(void *, const struct sip_edge_facts *), void *arg)
{
	static const char *const state[] = {"idle", "resolving", "connecting", "up", "down"};
	for (size_t i = 0; i < e->n_homes; i++) {
		struct sip_home *h = e->homes[i];
		if (!h)
			continue;
		struct sip_edge_facts f = {slice_str(h->name), slice_str(sip_home_hop(h)->text), slice_str(h->address), state[h->state],
					   h->state == HOME_DOWN ? slice_str(h->err.text) : SLICE_NONE, &h->places,
					   e->loop->timers.now};
		fn(arg, &f);
	}
}
