/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/target.h"

#include <arpa/inet.h>
#include "base/mem.h"
#include "base/rand.h"

enum { SETS = 3, QUESTIONS = 1 + 1 + SETS + 2 * SIP_TARGET_SRV_MAX, HOST_ADDRS = 8, NAPTR_MAX = 16 };

struct srv {
	uint16_t priority, weight, port;
	char host[SIP_TARGET_NAME_MAX];
};

/* What one SRV question brought: the choices of one transport. */
struct set {
	enum sip_transport transport;
	bool answered, failed, declined; /* declined: the target "." says that there is no such service */
	size_t n;
	struct srv rec[SIP_TARGET_SRV_MAX];
};

/* One name to look up, and where the entries that use it stand. */
struct node {
	enum sip_transport transport;
	uint16_t port;
	char host[SIP_TARGET_NAME_MAX];
	struct in_addr a[HOST_ADDRS];
	struct in6_addr aaaa[HOST_ADDRS];
	size_t n_a, n_aaaa;
};

struct question {
	enum sip_dns type;
	char name[SIP_TARGET_NAME_MAX + 32];
	size_t index; /* of the set or node that waits for it */
	bool asked, answered;
};

enum phase { FEDERATION, NAPTR, SRV, ADDRESS, DONE };

struct sip_target {
	struct sip_target_config config;
	char federation[64], host[SIP_TARGET_NAME_MAX];
	enum phase phase;
	bool sips, forced, failed; /* forced: the URI names the transport */
	enum sip_transport transport;
	struct question questions[QUESTIONS];
	size_t n_questions, n_sets, n_nodes, n_entries;
	struct set sets[SETS];
	struct node nodes[SIP_TARGET_SRV_MAX];
	struct sip_target_entry entries[SIP_TARGETS_MAX];
};

static uint64_t below(const struct sip_target *t, uint64_t n)
{
	return t->config.draw ? t->config.draw(t->config.draw_arg, n) : rand_below(n);
}

static bool speaks(const struct sip_target_config *c, enum sip_transport transport)
{
	for (size_t i = 0; i < c->n_transports; i++)
		if (c->transports[i] == transport)
			return true;
	return false;
}

static uint16_t default_port(enum sip_transport transport)
{
	return transport == SIP_TLS ? 5061 : 5060;
}

/* --- the result --- */

static void entry_add(struct sip_target *t, enum sip_transport transport, uint16_t port, const char *host,
		      const struct in_addr *a, const struct in6_addr *aaaa)
{
	if (t->n_entries == SIP_TARGETS_MAX)
		return;
	struct sip_target_entry *e = &t->entries[t->n_entries++];
	e->transport = transport;
	e->host = slice_str(host);
	if (a) {
		struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&e->addr;
		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		sin->sin_addr = *a;
	} else {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)&e->addr;
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		sin6->sin6_addr = *aaaa;
	}
}

static void finish(struct sip_target *t)
{
	for (size_t i = 0; i < t->n_nodes; i++) {
		const struct node *n = &t->nodes[i];
		for (size_t k = 0; k < n->n_aaaa; k++)
			entry_add(t, n->transport, n->port, n->host, NULL, &n->aaaa[k]);
		for (size_t k = 0; k < n->n_a; k++)
			entry_add(t, n->transport, n->port, n->host, &n->a[k], NULL);
	}
	t->phase = DONE;
}

/* --- questions --- */

static void ask(struct sip_target *t, enum sip_dns type, size_t index, const char *prefix, const char *name)
{
	struct question *q = &t->questions[t->n_questions++];
	*q = (struct question){.type = type, .index = index};
	snprintf(q->name, sizeof q->name, "%s%s%s", prefix, *prefix ? "." : "", name);
}

static void node_add(struct sip_target *t, enum sip_transport transport, uint16_t port, const char *host)
{
	struct node *n = &t->nodes[t->n_nodes++];
	n->transport = transport;
	n->port = port;
	slice_cstr(slice_str(host), n->host, sizeof n->host);
}

/* Several nodes may share a name: the first of them asks. */
static void start_addresses(struct sip_target *t)
{
	t->phase = ADDRESS;
	for (size_t i = 0; i < t->n_nodes; i++) {
		size_t k = 0;
		while (!slice_ieq(slice_str(t->nodes[k].host), slice_str(t->nodes[i].host)))
			k++;
		if (k < i)
			continue;
		if (t->config.ipv6)
			ask(t, SIP_DNS_AAAA, i, "", t->nodes[i].host);
		if (t->config.ipv4)
			ask(t, SIP_DNS_A, i, "", t->nodes[i].host);
	}
	if (!t->n_nodes)
		finish(t);
}

static void set_add(struct sip_target *t, enum sip_transport transport, const char *prefix, const char *name)
{
	struct set *s = &t->sets[t->n_sets];
	*s = (struct set){.transport = transport};
	ask(t, SIP_DNS_SRV, t->n_sets++, prefix, name);
}

static const char *service(enum sip_transport transport)
{
	return transport == SIP_TLS ? "_sips._tcp" : transport == SIP_TCP ? "_sip._tcp" : "_sip._udp";
}

static void start_srv(struct sip_target *t)
{
	t->phase = SRV;
	t->n_sets = 0;
	if (t->forced) {
		set_add(t, t->transport, service(t->transport), t->host);
		return;
	}
	for (size_t i = 0; i < t->config.n_transports && t->n_sets < SETS; i++)
		set_add(t, t->config.transports[i], service(t->config.transports[i]), t->host);
}

static void start_normal(struct sip_target *t)
{
	if (t->config.naptr && !t->forced) {
		t->phase = NAPTR;
		ask(t, SIP_DNS_NAPTR, 0, "", t->host);
	} else {
		start_srv(t);
	}
}

/* --- making --- */

/* The transport that the URI demands. 0: *ret set or *ret_forced false. */
static int wanted_transport(const struct sip_uri *uri, bool *ret_forced, enum sip_transport *ret)
{
	bool sips = uri->scheme == SIP_SCHEME_SIPS;
	struct slice v;
	*ret_forced = true;
	if (!sip_uri_param(uri, S("transport"), &v)) {
		*ret = SIP_TLS;
		*ret_forced = sips;
		return 0;
	}
	if (slice_ieq(v, S("tls")))
		*ret = SIP_TLS;
	else if (slice_ieq(v, S("tcp")))
		*ret = sips ? SIP_TLS : SIP_TCP; /* sips over TCP is TLS (RFC 3261 26.2.2) */
	else if (slice_ieq(v, S("udp")) && !sips)
		*ret = SIP_UDP;
	else
		return ENTENTE_EUNSUPPORTED;
	return 0;
}

/* An IP literal in host, with or without brackets. */
static bool literal(struct slice host, struct in_addr *a, struct in6_addr *aaaa, bool *ret_v6)
{
	char text[INET6_ADDRSTRLEN];
	*ret_v6 = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
	if (*ret_v6)
		host = slice_of(host.p + 1, host.len - 2);
	if (!slice_cstr(host, text, sizeof text))
		return false;
	return *ret_v6 ? inet_pton(AF_INET6, text, aaaa) == 1 : inet_pton(AF_INET, text, a) == 1;
}

int sip_target_new(struct sip_target **ret, const struct sip_uri *uri, const struct sip_target_config *config)
{
	bool sips = uri->scheme == SIP_SCHEME_SIPS, forced, v6;
	enum sip_transport transport;
	struct in_addr a;
	struct in6_addr aaaa;
	struct slice host = uri->host;
	if ((!sips && uri->scheme != SIP_SCHEME_SIP) || slice_empty(host))
		return ENTENTE_EINVAL;
	if (host.len > 1 && host.p[host.len - 1] == '.')
		host.len--;
	int rc = wanted_transport(uri, &forced, &transport);
	if (rc < 0)
		return rc;
	if (!config->n_transports || (forced && !speaks(config, transport)))
		return ENTENTE_EUNSUPPORTED;
	if (!forced)
		transport = speaks(config, config->fallback) ? config->fallback : config->transports[0];
	struct sip_target *t = MEM_NEW(struct sip_target);
	if (!slice_cstr(host, t->host, sizeof t->host) || !slice_cstr(config->federation, t->federation, sizeof t->federation)) {
		sip_target_free(t);
		return ENTENTE_EINVAL;
	}
	t->config = *config;
	t->config.federation = SLICE_NONE; /* ours is the copy */
	t->sips = sips;
	t->forced = forced;
	t->transport = transport;
	uint16_t port = uri->port ? uri->port : default_port(transport);
	if (literal(host, &a, &aaaa, &v6)) {
		entry_add(t, transport, port, t->host, v6 ? NULL : &a, &aaaa);
		t->phase = DONE;
	} else if (uri->port) {
		node_add(t, transport, port, t->host);
		start_addresses(t);
	} else if (*t->federation && speaks(config, SIP_TLS) && (!forced || transport == SIP_TLS)) {
		t->phase = FEDERATION;
		set_add(t, SIP_TLS, t->federation, t->host);
	} else {
		start_normal(t);
	}
	*ret = t;
	return 0;
}

struct sip_target *sip_target_free(struct sip_target *t)
{
	return mem_free(t);
}

bool sip_target_ask(struct sip_target *t, struct sip_target_question *ret)
{
	for (size_t i = 0; i < t->n_questions; i++) {
		struct question *q = &t->questions[i];
		if (q->asked)
			continue;
		q->asked = true;
		*ret = (struct sip_target_question){.id = (unsigned)i, .type = q->type, .name = slice_str(q->name)};
		return true;
	}
	return false;
}

/* --- answers --- */

/* RFC 2782: by priority; within one, drawn by weight, those of weight 0 first in the urn. Works in place. */
static void order(struct sip_target *t, struct srv *v, size_t n)
{
	for (size_t i = 1; i < n; i++) /* insertion: priority, then weight 0 first */
		for (size_t k = i; k; k--) {
			bool swap = v[k].priority < v[k - 1].priority ||
				    (v[k].priority == v[k - 1].priority && !v[k].weight && v[k - 1].weight);
			if (!swap)
				break;
			struct srv x = v[k];
			v[k] = v[k - 1];
			v[k - 1] = x;
		}
	for (size_t at = 0; at < n; at++) {
		uint64_t sum = 0, run = 0;
		size_t end = at, pick = at;
		for (; end < n && v[end].priority == v[at].priority; end++)
			sum += v[end].weight;
		uint64_t r = below(t, sum + 1);
		for (; pick < end; pick++)
			if ((run += v[pick].weight) >= r)
				break;
		/* The drawn one to the front; the others keep their order, zeros first. */
		struct srv x = v[pick];
		memmove(&v[at + 1], &v[at], (pick - at) * sizeof *v);
		v[at] = x;
	}
}

static bool name_copy(struct slice name, char dst[SIP_TARGET_NAME_MAX])
{
	if (name.len > 1 && name.p[name.len - 1] == '.')
		name.len--;
	return name.len && slice_cstr(name, dst, SIP_TARGET_NAME_MAX);
}

static void take_srv(struct set *s, const struct sip_target_record *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_empty(r[i].name) || slice_eq(r[i].name, S("."))) { /* the root: no such service (RFC 2782) */
			s->declined = true;
			continue;
		}
		struct srv v = {r[i].priority, r[i].weight, r[i].port, ""};
		if (!r[i].port || !name_copy(r[i].name, v.host))
			continue;
		size_t at = s->n;
		if (s->n == SIP_TARGET_SRV_MAX) { /* the worst priority gives way */
			at = 0;
			for (size_t k = 1; k < s->n; k++)
				if (s->rec[k].priority > s->rec[at].priority)
					at = k;
			if (s->rec[at].priority <= v.priority)
				continue;
		} else {
			s->n++;
		}
		s->rec[at] = v;
	}
}

static void use_set(struct sip_target *t, struct set *s)
{
	order(t, s->rec, s->n);
	for (size_t i = 0; i < s->n; i++)
		node_add(t, s->transport, s->rec[i].port, s->rec[i].host);
	start_addresses(t);
}

/* All SRV answers are in. */
static void srv_done(struct sip_target *t)
{
	bool declined = false;
	for (size_t i = 0; i < t->n_sets; i++) {
		struct set *s = &t->sets[i];
		if (s->failed) {
			/* Not known is not "none": going on would let a silent DNS server choose a weaker transport for us. */
			t->phase = DONE;
			return;
		}
		if (s->n) {
			use_set(t, s);
			return;
		}
		declined |= s->declined;
	}
	if (t->phase == FEDERATION) {
		if (t->config.federation_fallback && !declined)
			start_normal(t);
		else
			t->phase = DONE;
		return;
	}
	if (declined) {
		t->phase = DONE;
		return;
	}
	node_add(t, t->transport, default_port(t->transport), t->host); /* RFC 3263 4.2: no SRV */
	start_addresses(t);
}

static bool naptr_transport(struct slice service_field, bool sips, enum sip_transport *ret)
{
	if (slice_ieq(service_field, S("SIPS+D2T")))
		*ret = SIP_TLS;
	else if (slice_ieq(service_field, S("SIP+D2T")) && !sips)
		*ret = SIP_TCP;
	else if (slice_ieq(service_field, S("SIP+D2U")) && !sips)
		*ret = SIP_UDP;
	else
		return false;
	return true;
}

static void take_naptr(struct sip_target *t, const struct sip_target_record *r, size_t n)
{
	const struct sip_target_record *best = NULL;
	enum sip_transport transport, best_transport = SIP_TLS;
	for (size_t i = 0; i < n; i++) {
		if (!slice_ieq(r[i].flags, S("s")) || !naptr_transport(r[i].service, t->sips, &transport) ||
		    !speaks(&t->config, transport) || slice_empty(r[i].name))
			continue;
		if (!best || r[i].priority < best->priority || (r[i].priority == best->priority && r[i].weight < best->weight)) {
			best = &r[i];
			best_transport = transport;
		}
	}
	char name[SIP_TARGET_NAME_MAX];
	if (!best || !name_copy(best->name, name)) {
		start_srv(t);
		return;
	}
	t->phase = SRV;
	t->n_sets = 0;
	t->transport = best_transport;
	set_add(t, best_transport, "", name);
}

static void take_addresses(struct sip_target *t, const struct question *q, const struct sip_target_record *r, size_t n)
{
	for (size_t i = q->index; i < t->n_nodes; i++) {
		struct node *node = &t->nodes[i];
		if (!slice_ieq(slice_str(node->host), slice_str(t->nodes[q->index].host)))
			continue;
		for (size_t k = 0; k < n; k++) {
			if (q->type == SIP_DNS_A && node->n_a < HOST_ADDRS)
				node->a[node->n_a++] = r[k].a;
			else if (q->type == SIP_DNS_AAAA && node->n_aaaa < HOST_ADDRS)
				node->aaaa[node->n_aaaa++] = r[k].aaaa;
		}
	}
}

void sip_target_answer(struct sip_target *t, unsigned id, bool failed, const struct sip_target_record *records, size_t n)
{
	if (id >= t->n_questions || !t->questions[id].asked || t->questions[id].answered || t->phase == DONE)
		return;
	struct question *q = &t->questions[id];
	q->answered = true;
	t->failed |= failed;
	if (failed)
		n = 0;
	switch (q->type) {
	case SIP_DNS_NAPTR:
		if (failed)
			t->phase = DONE;
		else
			take_naptr(t, records, n);
		return;
	case SIP_DNS_SRV:
		t->sets[q->index].failed = failed;
		take_srv(&t->sets[q->index], records, n);
		break;
	case SIP_DNS_A:
	case SIP_DNS_AAAA: take_addresses(t, q, records, n); break;
	}
	for (size_t i = 0; i < t->n_questions; i++)
		if (!t->questions[i].answered)
			return;
	if (t->phase == ADDRESS)
		finish(t);
	else
		srv_done(t);
}

bool sip_target_done(const struct sip_target *t)
{
	return t->phase == DONE;
}

const struct sip_target_entry *sip_target_entries(const struct sip_target *t, size_t *ret_n, bool *ret_failed)
{
	*ret_n = t->phase == DONE ? t->n_entries : 0;
	if (ret_failed)
		*ret_failed = t->failed;
	return t->entries;
}
