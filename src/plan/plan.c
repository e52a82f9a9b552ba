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

static bool pool(const struct plan_site *s)
{
	size_t v4 = 0, v6 = 0;
	for (size_t i = 0; i < s->n_addresses; i++)
		*(slice_find_chr(s->addresses[i], ':') >= 0 ? &v6 : &v4) += 1;
	return s->load_balancer.len || v4 > 1 || v6 > 1; /* one of each family is one server */
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
	struct plan_certificate *c = arena_alloc(m->arena, 3 * sizeof *c);
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
	if (!s->n_edges || s->sip_federation) { /* else partners never see this host */
		struct slice public = S("a public certificate authority that partners trust");
		c[m->out.n_certificates++] = (struct plan_certificate){PLAN_EXTERNAL, names[0], names, n, s->sip_client_eku && !s->client_slot, public,
								       pool(s) ? S("the same certificate and key on every edge of the pool") : SLICE_NONE};
		if (s->client_slot)
			c[m->out.n_certificates++] = (struct plan_certificate){PLAN_CLIENT, names[0], names, n, true, public,
									       S("authorities that do not give clientAuth any more will not do for this one")};
	}
	if (s->link_port || s->n_edges) {
		struct slice *one = arena_alloc(m->arena, sizeof *one);
		if (!one) {
			m->full = true;
			return;
		}
		*one = s->server_name;
		c[m->out.n_certificates++] = (struct plan_certificate){PLAN_INTERNAL, *one, one, 1, false, S("an authority of your own"), SLICE_NONE};
	}
}

/* ---- DNS */

static void record(struct maker *m, const struct plan_record *r)
{
	for (size_t i = 0; i < m->out.n_records; i++) {
		const struct plan_record *o = &m->out.records[i];
		if (o->type == r->type && o->internal == r->internal && o->port == r->port && slice_ieq(o->name, r->name) &&
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

static void host(struct maker *m, struct slice name, struct slice purpose, bool balanced)
{
	const struct plan_site *s = m->site;
	struct plan_record r = {.type = PLAN_A, .zone = zone_of(s, name), .name = name, .purpose = purpose,
				.target = S("<public address of this server>")};
	if (balanced && s->load_balancer.len) {
		r.type = slice_find_chr(s->load_balancer, ':') >= 0 ? PLAN_AAAA : PLAN_A;
		r.target = s->load_balancer;
		record(m, &r);
		return;
	}
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
			host(m, sip, S("target of _sipfederationtls"), true);
		}
		if (s->xmpp_port)
			srv(m, S("_xmpp-server._tcp."), d, s->server_name, s->xmpp_port, 10, S("XMPP partners find us"));
		if (s->xmpp_direct_port)
			srv(m, S("_xmpps-server._tcp."), d, s->server_name, s->xmpp_direct_port, 5,
			    S("XMPP partners that speak TLS from the first octet (XEP-0368)"));
	}
	if (s->xmpp_port || s->xmpp_direct_port)
		host(m, s->server_name, S("target of the XMPP records"), false);
	/* Homes that check our certificate need its name; where it leads outside is another matter (split DNS). */
	for (size_t i = 0; i < s->n_internal; i++)
		if (slice_eq(s->internal[i].transport, S("tls")) && s->internal[i].host.len)
			record(m, &(struct plan_record){.type = slice_find_chr(s->internal[i].host, ':') >= 0 ? PLAN_AAAA : PLAN_A,
							.zone = zone_of(s, s->server_name), .name = s->server_name, .target = s->internal[i].host,
							.purpose = S("in the internal DNS only: the homes reach us by the name in the certificate"),
							.internal = true});
}

/* ---- ports */

static bool translated(const struct plan_site *s)
{
	bool own = !s->outside.len || !s->n_addresses;
	for (size_t i = 0; i < s->n_addresses; i++)
		own |= slice_eq(s->addresses[i], s->outside);
	return !own;
}

static void port(struct maker *m, const struct plan_port *p)
{
	if (m->out.n_ports < m->max_ports)
		m->out.ports[m->out.n_ports++] = *p;
	else
		m->full = true;
}

static struct slice who(const struct plan_site *s)
{
	return pool(s) ? S("each edge") : S("this server");
}

/* What partners connect to. */
static struct slice front(struct maker *m, bool balanced)
{
	const struct plan_site *s = m->site;
	if (balanced && s->load_balancer.len)
		return text(m, S("the load balancer, "), s->load_balancer);
	if (s->load_balancer.len)
		return S("each edge, not the load balancer");
	if (pool(s))
		return S("each edge");
	if (translated(s)) {
		struct slice t = arena_printf(m->arena, "%.*s, translated to %.*s", SFMT(s->addresses[0]), SFMT(s->outside));
		m->full |= !t.p;
		return t;
	}
	return S("this server");
}

static void both_ways(struct maker *m, struct slice protocol, uint16_t number, struct slice purpose, bool balanced)
{
	struct plan_port p = {.inbound = true, .protocol = protocol, .transport = S("tcp"), .port = number, .source = S("any"),
			      .destination = front(m, balanced), .purpose = purpose};
	port(m, &p);
	p.inbound = false;
	p.source = who(m->site);
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
		both_ways(m, S("XMPP"), s->xmpp_port, S("streams with XMPP partners, STARTTLS"), false);
	if (s->xmpp_direct_port)
		both_ways(m, S("XMPP over TLS"), s->xmpp_direct_port, S("streams with XMPP partners, direct TLS"), false);
	if (s->sip_federation)
		both_ways(m, S("SIP over mutual TLS"), SIP_FEDERATION_PORT, S("SIP partners and providers"), true);
	if (s->revocation && (s->sip_federation || s->xmpp_port || s->xmpp_direct_port))
		port(m, &(struct plan_port){.protocol = S("HTTP"), .transport = S("tcp"), .port = 80, .source = who(s),
					    .destination = S("any"), .purpose = S("lists of revoked certificates")});
	for (int udp = 1; udp >= 0; udp--)
		port(m, &(struct plan_port){.protocol = S("DNS"), .transport = udp ? S("udp") : S("tcp"), .port = 53,
					    .source = who(s), .destination = S("the resolvers"),
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
	if (s->metrics.port)
		port(m, &(struct plan_port){.inbound = true, .internal = true, .protocol = S("HTTP"), .transport = S("tcp"), .port = s->metrics.port,
					    .source = S("the monitoring host"), .destination = s->metrics.host.len ? s->metrics.host : S("this server"),
					    .purpose = S("counters for Prometheus, for whoever asks")});
	if (s->admin.port)
		port(m, &(struct plan_port){.inbound = true, .internal = true, .protocol = S("HTTPS"), .transport = S("tcp"), .port = s->admin.port,
					    .source = S("the administrators"), .destination = s->admin.host.len ? s->admin.host : S("this server"),
					    .purpose = S("the API for administrators")});
}

/* ---- warnings */

static void warnings(struct maker *m)
{
	const struct plan_site *s = m->site;
	bool ours = false, every = true, any = s->sip_federation || s->xmpp_port || s->xmpp_direct_port;
	if (s->wildcard.len)
		warn(m, "plan/wildcard", text(m, S("the certificate that is there now has a wildcard, which SIP partners do not accept and which never covers the domain "
						   "itself; name every host and domain: "), s->wildcard));
	if (s->sip_federation) {
		warn(m, "plan/fixed-server", S("a partner who has entered our server by hand (Lync: an allowed partner server, ProxyFqdn) is cut off when its name changes, and no "
					       "record in DNS tells him; the same holds for partners' servers that you enter (allowed-domain --proxy-fqdn, partner --server): "
					       "prefer DNS, keep a list of the others, and tell them before you renumber"));
		warn(m, "plan/media", S("audio and video do not pass through this server: what the homes' own relays need (Lync's A/V Edge: TCP 443, UDP 3478, 50000-59999) "
					"is not in this list"));
	}
	if (pool(s) && s->sip_federation && !s->load_balancer.len)
		warn(m, "plan/dns-pool", S("several addresses behind one name: Lync and OCS servers before 2010, and providers of that "
					   "age, use the first address only and do not fail over; give such partners one server"));
	if (s->load_balancer.len && any)
		warn(m, "plan/load-balancer", S("only SIP partners' port goes through the load balancer, with the edges' own addresses outwards and nothing translated: XMPP streams and links "
						"of a gateway go to each edge"));
	if (translated(s) && s->load_balancer.len)
		warn(m, "plan/load-balancer-nat", S("edges behind a load balancer need public addresses of their own: answers must not take another way than questions"));
	for (size_t i = 0; i < s->n_domains; i++) {
		bool in = within(s->server_name, s->domains[i]);
		ours |= in;
		every &= in;
	}
	if (!ours)
		warn(m, "plan/foreign-target", S("server.name lies in none of our domains: whoever runs its zone decides where our partners "
						 "connect; keep that zone in your hands"));
	if (!every && s->sip_federation)
		warn(m, "plan/srv-outside", S("_sipfederationtls._tcp of each domain must name a server directly below that domain, as listed, never server.name of another "
					      "one: Lync refuses a server outside of the SIP domain (its error 1009); so the certificate needs all the names"));
	for (size_t i = 0; i < s->n_internal; i++)
		if (!slice_eq(s->internal[i].transport, S("tls"))) {
			warn(m, "plan/internal-clear", S("homes reach this server without TLS: allow that port from the homes' network only"));
			break;
		}
	if (s->metrics.port)
		warn(m, "plan/metrics-open", S("metrics.listen is no loopback address, and nobody is asked who he is there: let only the monitoring host reach it"));
}

int plan_make(struct plan *ret, struct arena *a, const struct plan_site *site)
{
	struct maker m = {.arena = a, .site = site, .max_warnings = 12};
	size_t hosts = site->n_addresses ? site->n_addresses : 1;
	if (!site->n_domains || !site->server_name.len)
		return ENTENTE_EINVAL;
	if (site->n_domains > PLAN_DOMAINS_MAX || site->n_addresses > PLAN_ADDRESSES_MAX)
		return ENTENTE_ELIMIT;
	m.max_records = site->n_domains * (3 + hosts) + hosts + site->n_internal;
	m.max_ports = 12 + site->n_homes + site->n_internal + site->n_edges;
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
