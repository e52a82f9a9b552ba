/* SPDX-License-Identifier: Apache-2.0 */
/* The planning tables. Rows follow the documentation of Lync Server 2013 where it has them ("Certificate summary", "DNS summary",
 * "Port summary" of SIP and XMPP federation), with what came after it: direct TLS (XEP-0368), IPv6. */
#include "plan/plan.h"

#include "base/err.h"

enum { SIP_FEDERATION_PORT = 5061 };

struct maker {
	struct arena *arena;
	const struct plan_site *site;
	struct plan out;
	size_t max_records, max_ports, max_warnings;
	bool full;
};

static struct slice text(struct maker *m, struct slice a, struct slice b)
{
	struct slice s = arena_printf(m->arena, "%.*s%.*s", SFMT(a), SFMT(b));
	m->full |= !s.p;
	return s;
}

static void warn(struct maker *m, const char *id, struct slice what)
{
	if (m->out.n_warnings < m->max_warnings)
		m->out.warnings[m->out.n_warnings++] = (struct plan_warning){id, what};
	else
		m->full = true;
}

/* `name` is `domain` or below it. */
static bool within(struct slice name, struct slice domain)
{
	if (slice_ieq(name, domain))
		return true;
	return name.len > domain.len && name.p[name.len - domain.len - 1] == '.' &&
	       slice_ieq(slice_skip(name, name.len - domain.len), domain);
}

/* ---- certificates */

static void add_name(struct slice *names, size_t *n, struct slice name)
{
	for (size_t i = 0; i < *n; i++)
		if (slice_ieq(names[i], name))
			return;
	names[(*n)++] = name;
}

/* The order of Lync's wizard: the access edge of the first domain heads the list, then what XMPP needs (the bare domain), then the
 * further domains. Order means nothing to TLS; people compare lists. */
static void certificates(struct maker *m)
{
	const struct plan_site *s = m->site;
	struct slice *names = arena_alloc(m->arena, (2 * s->n_domains + 1) * sizeof *names);
	struct plan_certificate *c = arena_alloc(m->arena, 2 * sizeof *c);
	size_t n = 0;
	if (!names || !c) {
		m->full = true;
		return;
	}
	for (size_t i = 0; i < s->n_domains; i++) {
		if (s->sip_federation)
			add_name(names, &n, text(m, S("sip."), s->domains[i]));
		if (s->xmpp_port || s->xmpp_direct_port)
			add_name(names, &n, s->domains[i]);
	}
	add_name(names, &n, s->server_name);
	m->out.certificates = c;
	if (!s->n_edges || s->sip_federation) /* else partners never see this host */
		c[m->out.n_certificates++] = (struct plan_certificate){PLAN_EXTERNAL, names[0], names, n, s->sip_client_eku,
								       S("a public certificate authority that partners trust")};
	if (s->link_port || s->n_edges) {
		struct slice *one = arena_alloc(m->arena, sizeof *one);
		if (!one) {
			m->full = true;
			return;
		}
		*one = s->server_name;
		c[m->out.n_certificates++] = (struct plan_certificate){PLAN_INTERNAL, *one, one, 1, false, S("an authority of your own")};
	}
}

/* ---- DNS */

static void record(struct maker *m, const struct plan_record *r)
{
	for (size_t i = 0; i < m->out.n_records; i++) {
		const struct plan_record *o = &m->out.records[i];
		if (o->type == r->type && o->port == r->port && slice_ieq(o->name, r->name) &&
		    slice_ieq(o->target, r->target))
			return;
	}
	if (m->out.n_records < m->max_records)
		m->out.records[m->out.n_records++] = *r;
	else
		m->full = true;
}

static struct slice zone_of(const struct plan_site *s, struct slice name)
{
	struct slice best = SLICE_NONE;
	for (size_t i = 0; i < s->n_domains; i++)
		if (within(name, s->domains[i]) && s->domains[i].len > best.len)
			best = s->domains[i];
	if (!best.len) { /* a foreign name: its parent is the likeliest zone */
		best = name;
		slice_split(&best, '.');
	}
	return best.len ? best : name;
}

static void host(struct maker *m, struct slice name, struct slice purpose)
{
	const struct plan_site *s = m->site;
	struct plan_record r = {.type = PLAN_A, .zone = zone_of(s, name), .name = name, .purpose = purpose,
				.target = S("<public address of this server>")};
	if (!s->n_addresses)
		record(m, &r);
	for (size_t i = 0; i < s->n_addresses; i++) {
		r.type = slice_find_chr(s->addresses[i], ':') >= 0 ? PLAN_AAAA : PLAN_A;
		r.target = s->addresses[i];
		record(m, &r);
	}
}

static void srv(struct maker *m, struct slice service, struct slice domain, struct slice target, uint16_t port, uint16_t priority,
		struct slice purpose)
{
	record(m, &(struct plan_record){.type = PLAN_SRV, .zone = domain, .name = text(m, service, domain), .priority = priority,
					.weight = 10, .port = port, .target = target, .purpose = purpose});
}

static void records(struct maker *m)
{
	const struct plan_site *s = m->site;
	for (size_t i = 0; i < s->n_domains; i++) {
		struct slice d = s->domains[i], sip = text(m, S("sip."), d);
		if (s->sip_federation) {
			srv(m, S("_sipfederationtls._tcp."), d, sip, SIP_FEDERATION_PORT, 0,
			    S("SIP partners find us; without it only partners that name our server can"));
			host(m, sip, S("target of _sipfederationtls"));
		}
		if (s->xmpp_port)
			srv(m, S("_xmpp-server._tcp."), d, s->server_name, s->xmpp_port, 10, S("XMPP partners find us"));
		if (s->xmpp_direct_port)
			srv(m, S("_xmpps-server._tcp."), d, s->server_name, s->xmpp_direct_port, 5,
			    S("XMPP partners that speak TLS from the first octet (XEP-0368)"));
	}
	if (s->xmpp_port || s->xmpp_direct_port)
		host(m, s->server_name, S("target of the XMPP records"));
}

/* ---- ports */

static void port(struct maker *m, const struct plan_port *p)
{
	if (m->out.n_ports < m->max_ports)
		m->out.ports[m->out.n_ports++] = *p;
	else
		m->full = true;
}

static void both_ways(struct maker *m, struct slice protocol, uint16_t number, struct slice purpose)
{
	struct plan_port p = {.inbound = true, .protocol = protocol, .transport = S("tcp"), .port = number, .source = S("any"),
			      .destination = S("this server"), .purpose = purpose};
	port(m, &p);
	p.inbound = false;
	p.source = S("this server");
	p.destination = S("any");
	port(m, &p);
}

static struct slice sip_protocol(struct slice transport)
{
	return slice_eq(transport, S("tls")) ? S("SIP over TLS") : slice_eq(transport, S("udp")) ? S("SIP over UDP") : S("SIP over TCP");
}

static struct slice ip_of(struct slice transport)
{
	return slice_eq(transport, S("udp")) ? S("udp") : S("tcp");
}

static void ports(struct maker *m)
{
	const struct plan_site *s = m->site;
	if (s->xmpp_port)
		both_ways(m, S("XMPP"), s->xmpp_port, S("streams with XMPP partners, STARTTLS"));
	if (s->xmpp_direct_port)
		both_ways(m, S("XMPP over TLS"), s->xmpp_direct_port, S("streams with XMPP partners, direct TLS"));
	if (s->sip_federation) {
		both_ways(m, S("SIP over mutual TLS"), SIP_FEDERATION_PORT, S("SIP partners and providers"));
		port(m, &(struct plan_port){.protocol = S("HTTP"), .transport = S("tcp"), .port = 80, .source = S("this server"),
					    .destination = S("any"), .purpose = S("lists of revoked certificates")});
	}
	for (int udp = 1; udp >= 0; udp--)
		port(m, &(struct plan_port){.protocol = S("DNS"), .transport = udp ? S("udp") : S("tcp"), .port = 53,
					    .source = S("this server"), .destination = S("the resolvers"),
					    .purpose = S("finding partners and homes")});
	for (size_t i = 0; i < s->n_internal; i++)
		port(m, &(struct plan_port){.inbound = true, .internal = true, .protocol = sip_protocol(s->internal[i].transport),
					    .transport = ip_of(s->internal[i].transport), .port = s->internal[i].port,
					    .source = S("the homes"), .destination = s->internal[i].host.len ? s->internal[i].host : S("this server"),
					    .purpose = S("requests of our users")});
	for (size_t i = 0; i < s->n_homes; i++)
		port(m, &(struct plan_port){.internal = true, .protocol = sip_protocol(s->homes[i].transport),
					    .transport = ip_of(s->homes[i].transport), .port = s->homes[i].port, .source = S("this server"),
					    .destination = s->homes[i].host, .purpose = text(m, S("requests to the home "), s->homes[i].name)});
	for (size_t i = 0; i < s->n_edges; i++)
		port(m, &(struct plan_port){.internal = true, .protocol = S("link over mutual TLS"), .transport = S("tcp"), .port = s->edges[i].port,
					    .source = S("this server"), .destination = s->edges[i].host, .purpose = S("gateway to XMPP proxy")});
	if (s->link_port)
		port(m, &(struct plan_port){.inbound = true, .internal = true, .protocol = S("link over mutual TLS"), .transport = S("tcp"),
					    .port = s->link_port, .source = S("the gateway host"),
					    .destination = S("each edge host, never a load balancer"),
					    .purpose = S("gateway to XMPP proxy")});
}

/* ---- warnings */

static void warnings(struct maker *m)
{
	const struct plan_site *s = m->site;
	if (slice_starts(s->server_name, S("*.")))
		warn(m, "plan/wildcard", S("server.name is a wildcard: SIP partners do not accept wildcards, name every host"));
	if (s->n_addresses > 1 && s->sip_federation)
		warn(m, "plan/dns-pool", S("several addresses behind one name: Lync and OCS servers before 2010, and providers of that "
					   "age, use the first address only and do not fail over; give such partners one server"));
	bool ours = false;
	for (size_t i = 0; i < s->n_domains; i++)
		ours |= within(s->server_name, s->domains[i]);
	if (!ours)
		warn(m, "plan/foreign-target", S("server.name lies in none of our domains: whoever runs its zone decides where our partners "
						 "connect; keep that zone in your hands"));
	for (size_t i = 0; i < s->n_internal; i++)
		if (!slice_eq(s->internal[i].transport, S("tls"))) {
			warn(m, "plan/internal-clear", S("homes reach this server without TLS: allow that port from the homes' network only"));
			break;
		}
}

int plan_make(struct plan *ret, struct arena *a, const struct plan_site *site)
{
	struct maker m = {.arena = a, .site = site, .max_warnings = 8};
	size_t hosts = site->n_addresses ? site->n_addresses : 1;
	if (!site->n_domains || !site->server_name.len)
		return ENTENTE_EINVAL;
	if (site->n_domains > PLAN_DOMAINS_MAX || site->n_addresses > PLAN_ADDRESSES_MAX)
		return ENTENTE_ELIMIT;
	m.max_records = site->n_domains * (3 + hosts) + hosts;
	m.max_ports = 10 + site->n_homes + site->n_internal + site->n_edges;
	m.out.records = arena_alloc(a, m.max_records * sizeof *m.out.records);
	m.out.ports = arena_alloc(a, m.max_ports * sizeof *m.out.ports);
	m.out.warnings = arena_alloc(a, m.max_warnings * sizeof *m.out.warnings);
	if (!m.out.records || !m.out.ports || !m.out.warnings)
		return ENTENTE_ELIMIT;
	certificates(&m);
	records(&m);
	ports(&m);
	warnings(&m);
	if (m.full)
		return ENTENTE_ELIMIT;
	*ret = m.out;
	return 0;
}

const char *plan_record_type_text(enum plan_record_type t)
{
	static const char *const names[] = {[PLAN_A] = "A", [PLAN_AAAA] = "AAAA", [PLAN_SRV] = "SRV"};
	return names[t];
}
