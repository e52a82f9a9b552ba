/* SPDX-License-Identifier: Apache-2.0 */
/* The stack: configuration, routing of input, stateless answers, dialog usages. */
#include "sip/trans.h"

#include <arpa/inet.h>
#include "base/mem.h"
#include "sip/trans_int.h"

struct slice trans_text_dup(struct slice s)
{
	return slice_empty(s) ? SLICE_NONE : slice_of(mem_strndup(s.p, s.len), s.len);
}

void trans_text_free(struct slice *s)
{
	mem_free((char *)s->p);
	*s = SLICE_NONE;
}

void trans_buf_lend(struct sip_stack *s, struct buf *b)
{
	if (b->mem || !s->n_spares)
		return;
	s->n_spares--;
	b->mem = s->spares[s->n_spares].mem;
	b->cap = s->spares[s->n_spares].cap;
}

void trans_buf_return(struct sip_stack *s, struct buf *b)
{
	buf_clear(b);
	if (!b->mem)
		return;
	if (b->cap > TRANS_KEEP || s->n_spares == TRANS_FREE_MAX) {
		buf_free(b);
		return;
	}
	s->spares[s->n_spares].mem = b->mem;
	s->spares[s->n_spares++].cap = b->cap;
	b->mem = NULL;
	b->cap = 0;
}

struct sip_extra *trans_extras_dup(const struct sip_extra *v, size_t n)
{
	if (!n)
		return NULL;
	struct sip_extra *copy = mem_calloc(n, sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = (struct sip_extra){trans_text_dup(v[i].name), trans_text_dup(v[i].value)};
	return copy;
}

void trans_extras_free(struct sip_extra *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++) {
		trans_text_free(&v[i].name);
		trans_text_free(&v[i].value);
	}
	mem_free(v);
}

int64_t sip_retry_after(const struct sip_msg *m)
{
	const struct sip_header *h = sip_msg_header(m, SIP_H_RETRY_AFTER, 0);
	size_t n = 0;
	uint64_t v;
	if (!h)
		return -1;
	while (n < h->value.len && h->value.p[n] >= '0' && h->value.p[n] <= '9')
		n++;
	return slice_u64(slice_first(h->value, n), UINT32_MAX, &v) ? (int64_t)v : -1;
}

static uint32_t or_default(uint32_t v, uint32_t d)
{
	return v ? v : d;
}

struct sip_stack *sip_stack_new(const struct sip_stack_ops *ops, void *arg, struct timers *timers,
				const struct sip_stack_config *config)
{
	struct sip_stack *s = MEM_NEW(struct sip_stack);
	struct sip_stack_config *c = &s->config;
	s->ops = ops;
	s->arg = arg;
	s->timers = timers;
	*c = *config;
	for (size_t i = 0; i < 3; i++)
		c->sent_by[i] = trans_text_dup(config->sent_by[i]);
	c->server = trans_text_dup(config->server);
	c->max_server = c->max_server ? c->max_server : 20000;
	c->max_client = c->max_client ? c->max_client : 20000;
	c->t1 = or_default(c->t1, 500);
	c->t2 = or_default(c->t2, 4000);
	c->t4 = or_default(c->t4, 5000);
	c->ring_ms = or_default(c->ring_ms, 240000);
	c->retry_after = or_default(c->retry_after, 10);
	map_init(&s->servers);
	map_init(&s->acks);
	map_init(&s->clients);
	list_init(&s->shared);
	list_init(&s->client_list);
	list_init(&s->accepted_clients);
	list_init(&s->accepted_servers);
	buf_init(&s->key, TRANS_BUF_MAX);
	buf_init(&s->out, 2 * TRANS_BUF_MAX);
	return s;
}

struct sip_stack *sip_stack_free(struct sip_stack *s)
{
	if (!s)
		return NULL;
	trans_usages_gone(s);
	trans_server_free_all(s);
	trans_client_free_all(s);
	map_free(&s->servers);
	map_free(&s->acks);
	map_free(&s->clients);
	LIST_EACH(n, &s->shared) /* who has it has it alone from now on */
		list_remove(n);
	buf_free(&s->key);
	buf_free(&s->out);
	while (s->n_spares)
		mem_free(s->spares[--s->n_spares].mem);
	for (size_t i = 0; i < 3; i++)
		trans_text_free(&s->config.sent_by[i]);
	trans_text_free(&s->config.server);
	return mem_free(s);
}

const struct sip_stats *sip_stack_stats(const struct sip_stack *s)
{
	return &s->stats;
}

size_t sip_stack_waiting(const struct sip_stack *s)
{
	size_t n = 0;
	for (uint32_t i = 0; i < s->n_slots; i++)
		n += s->slots[i]->stack && s->slots[i]->state == TRANS_TRYING;
	for (const struct list *l = s->client_list.next; l != &s->client_list; l = l->next)
		n += CONTAINER_OF(l, struct sip_client_trans, all)->state <= TRANS_PROCEEDING;
	return n;
}

struct timers *sip_stack_timers(struct sip_stack *s)
{
	return s->timers;
}

const struct sip_stack_config *sip_stack_config(const struct sip_stack *s)
{
	return &s->config;
}

void sip_stack_release(struct sip_stack *s, struct arena *a)
{
	arena_release(s->config.pool, a);
}

int trans_send(struct sip_stack *s, const struct sip_flow *to, struct slice bytes)
{
	return s->ops->send(s->arg, to, bytes);
}

void sip_stack_input(struct sip_stack *s, const struct sip_flow *from, struct sip_msg *m, struct arena *a)
{
	if (m->is_request) {
		s->stats.requests_in++;
		trans_server_input(s, from, m, a);
		return;
	}
	s->stats.responses_in++;
	trans_client_input(s, from, m);
	sip_stack_release(s, a);
}

void sip_stack_transport_failed(struct sip_stack *s, const struct sip_flow *flow)
{
	trans_client_flow_failed(s, flow);
}

/* --- addresses --- */

static uint16_t sockaddr_port(const union sip_remote *ss)
{
	if (ss->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)ss)->sin_port);
	if (ss->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)ss)->sin6_port);
	return 0;
}

static void sockaddr_set_port(union sip_remote *ss, uint16_t port)
{
	if (ss->ss_family == AF_INET)
		((struct sockaddr_in *)(void *)ss)->sin_port = htons(port);
	else if (ss->ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)ss)->sin6_port = htons(port);
}

/* inet_ntop goes through printf, for every request. */
static struct slice ipv4_text(const uint8_t *ip, char *dst)
{
	char *p = dst;
	for (int i = 0; i < 4; i++) {
		unsigned n = ip[i];
		if (n >= 100)
			*p++ = (char)('0' + n / 100);
		if (n >= 10)
			*p++ = (char)('0' + n / 10 % 10);
		*p++ = (char)('0' + n % 10);
		*p++ = '.';
	}
	*--p = '\0';
	return slice_of(dst, (size_t)(p - dst));
}

struct slice sip_flow_source(const struct sip_flow *flow, char dst[SIP_FLOW_TEXT], uint16_t *ret_port)
{
	const union sip_remote *ss = &flow->remote;
	*ret_port = sockaddr_port(ss);
	if (ss->ss_family == AF_INET)
		return ipv4_text((const uint8_t *)&((const struct sockaddr_in *)(const void *)ss)->sin_addr, dst);
	if (ss->ss_family != AF_INET6)
		return SLICE_NONE;
	const struct in6_addr *a6 = &((const struct sockaddr_in6 *)(const void *)ss)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(a6)) /* a dual-stack listener: the peer knows itself by the IPv4 form */
		return ipv4_text(&a6->s6_addr[12], dst);
	return inet_ntop(AF_INET6, a6, dst, SIP_FLOW_TEXT) ? slice_str(dst) : SLICE_NONE;
}

void trans_answer_flow(const struct sip_flow *from, const struct sip_via *via, struct sip_flow *ret, uint16_t *ret_port)
{
	*ret = *from;
	*ret_port = via->port ? via->port : from->transport == SIP_TLS ? 5061 : 5060;
	/* The source address is the one that `received` names; only the port is open (RFC 3581: back to the source port
	 * when asked). */
	if (from->transport == SIP_UDP && !via->rport)
		sockaddr_set_port(&ret->remote, *ret_port);
}

/* --- stateless answers --- */

void trans_refuse(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, int status, struct slice reason,
		  uint32_t retry_after, const struct sip_extra *extra)
{
	if (!m->is_request || m->method == SIP_ACK || m->method == SIP_BENOTIFY)
		return;
	struct sip_flow to;
	uint16_t port, source_port;
	char ip[INET6_ADDRSTRLEN], tag[20];
	trans_answer_flow(from, &m->via, &to, &port);
	struct slice source = sip_flow_source(from, ip, &source_port);
	/* No state: the same request must get the same tag (RFC 3261 8.2.7). */
	snprintf(tag, sizeof tag, "%016llx", (unsigned long long)hash_slice(m->via.raw));
	struct buf *b = &s->out;
	buf_clear(b);
	sip_build_response(b, m, status, reason, slice_str(tag), false, source, source_port);
	if (retry_after)
		sip_build_header_uint(b, SIP_H_RETRY_AFTER, retry_after);
	if (!slice_empty(s->config.server))
		sip_build_header(b, SIP_H_SERVER, s->config.server);
	if (extra)
		sip_build_header_named(b, extra->name, extra->value);
	sip_build_body(b, SLICE_NONE, SLICE_NONE);
	if (!buf_ok(b))
		return;
	s->stats.responses_out++;
	trans_send(s, &to, buf_slice(b));
}

void sip_stack_refuse(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, int status, struct slice reason)
{
	trans_refuse(s, from, m, status, reason, status == 503 ? s->config.retry_after : 0, NULL);
}

void sip_stack_refuse_with(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, int status, struct slice reason,
			   const struct sip_extra *extra)
{
	trans_refuse(s, from, m, status, reason, status == 503 ? s->config.retry_after : 0, extra);
}

/* --- dialog usages --- */

static struct slice usage_key(struct sip_stack *s, struct slice call_id, struct slice tag)
{
	buf_clear(&s->key);
	buf_put(&s->key, call_id);
	buf_putc(&s->key, '\n');
	buf_put(&s->key, tag);
	return buf_slice(&s->key);
}

static uint64_t usage_mark(struct sip_stack *s, struct slice call_id, struct slice tag)
{
	uint64_t h = hash_slice(usage_key(s, call_id, tag));
	return h ? h : 1;
}

static struct sip_usage *usage_first(const struct sip_stack *s, uint64_t mark)
{
	return s->cap_usages ? s->usages[mark & (s->cap_usages - 1)] : NULL;
}

static void usage_append(struct sip_stack *s, struct sip_usage *u)
{
	struct sip_usage **at = &s->usages[u->mark & (s->cap_usages - 1)];
	while (*at)
		at = &(*at)->next;
	u->next = NULL;
	*at = u;
}

static void usages_grow(struct sip_stack *s)
{
	struct sip_usage **old = s->usages;
	size_t cap = s->cap_usages;
	s->cap_usages = cap ? 2 * cap : 64;
	s->usages = mem_calloc(s->cap_usages, sizeof(struct sip_usage *));
	for (size_t i = 0; i < cap; i++)
		for (struct sip_usage *u = old[i], *next; u; u = next) {
			next = u->next;
			usage_append(s, u);
		}
	mem_free(old);
}

void sip_usage_register(struct sip_stack *s, struct sip_usage *u, struct slice call_id, struct slice local_tag)
{
	if (s->n_usages == s->cap_usages)
		usages_grow(s);
	u->mark = usage_mark(s, call_id, local_tag);
	usage_append(s, u);
	s->n_usages++;
}

/* The next of the dialog; *u may be of others of the same bucket. */
static struct sip_usage *usage_of(struct sip_usage *u, uint64_t mark)
{
	while (u && u->mark != mark)
		u = u->next;
	return u;
}

bool sip_usage_known(struct sip_stack *s, struct slice call_id, struct slice local_tag)
{
	uint64_t mark = usage_mark(s, call_id, local_tag);
	return usage_of(usage_first(s, mark), mark) != NULL;
}

void sip_usage_unregister(struct sip_stack *s, struct sip_usage *u)
{
	if (!u->mark)
		return;
	struct sip_usage **at = &s->usages[u->mark & (s->cap_usages - 1)];
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	u->mark = 0;
	u->next = NULL;
	s->n_usages--;
}

void trans_usages_gone(struct sip_stack *s)
{
	for (size_t i = 0; i < s->cap_usages; i++)
		while (s->usages[i]) {
			struct sip_usage *u = s->usages[i];
			sip_usage_unregister(s, u);
			if (u->gone)
				u->gone(u);
		}
	mem_free(s->usages);
	s->usages = NULL;
	s->cap_usages = 0;
}

void trans_route(struct sip_stack *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		 const struct sip_flow *from)
{
	if (!slice_empty(m->to.tag)) {
		uint64_t mark = usage_mark(s, m->call_id, m->to.tag);
		struct sip_usage *u = usage_of(usage_first(s, mark), mark);
		if (u && st && s->ops->within && s->ops->within(s->arg, st, m)) {
			sip_stack_release(s, a);
			return;
		}
		for (; u; u = usage_of(u->next, mark))
			if (u->request(u, st, m, a, from))
				return;
	}
	s->ops->request(s->arg, st, m, a, from);
}

/* --- RFC 6665, common to both sides --- */

bool sip_event_matches(struct slice ours, const struct sip_msg *m)
{
	const struct sip_header *h = sip_msg_header(m, SIP_H_EVENT, 0);
	struct slice p1, p2, id1 = SLICE_NONE, id2 = SLICE_NONE;
	if (!h)
		return false;
	struct slice t1 = sip_token(ours, &p1), t2 = sip_token(h->value, &p2);
	sip_param(p1, S("id"), &id1);
	sip_param(p2, S("id"), &id2);
	return slice_eq(t1, t2) && slice_eq(id1, id2);
}

bool sip_ends_usage(int status)
{
	switch (status) {
	case 404:
	case 405:
	case 410:
	case 416:
	case 489:
	case 501:
	case 604: return true;
	default: return status >= 480 && status <= 485;
	}
}
