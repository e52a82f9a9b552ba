/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/site.h"

#include "base/err.h"
#include "net/tls.h"

/* Host and port of a SIP URI that the configuration has accepted. */
static void next_hop(struct plan_endpoint *ret, const struct config_homes *home, const char *hop)
{
	struct slice uri = slice_str(hop), port;
	ptrdiff_t i;
	bool tls = slice_istarts(uri, S("sips:"));
	uint64_t number = 0;
	slice_split(&uri, ':');
	if ((i = slice_find_chr(uri, '?')) >= 0)
		uri = slice_first(uri, (size_t)i);
	struct slice params = uri;
	uri = slice_split(&params, ';');
	if (slice_starts(uri, S("[")) && (i = slice_find_chr(uri, ']')) > 0) {
		ret->host = slice_of(uri.p + 1, (size_t)i - 1);
		port = slice_skip(uri, (size_t)i + 2);
	} else {
		port = uri;
		ret->host = slice_split(&port, ':');
	}
	ret->name = slice_str(home->name);
	ret->transport = tls ? S("tls") : S("udp");
	for (struct slice p; params.len;) {
		p = slice_split(&params, ';');
		if (slice_istarts(p, S("transport=")))
			ret->transport = slice_ieq(slice_skip(p, 10), S("tls")) || tls ? S("tls") : slice_ieq(slice_skip(p, 10), S("tcp")) ? S("tcp") : S("udp");
	}
	if (!port.len || !slice_u64(port, 65535, &number))
		number = slice_eq(ret->transport, S("tls")) ? 5061 : 5060;
	ret->port = (uint16_t)number;
}

/* "host", "host:port", "[address]:port", an IPv6 address alone; the configuration has accepted it. */
static void edge(struct plan_endpoint *ret, struct slice text)
{
	enum { LINK_PORT = 23456 };
	ptrdiff_t i = slice_find_chr(text, ':');
	uint64_t number = LINK_PORT;
	struct slice port = SLICE_NONE;
	ret->transport = S("tls");
	ret->host = text;
	if (slice_starts(text, S("[")) && (i = slice_find_chr(text, ']')) > 0) {
		ret->host = slice_of(text.p + 1, (size_t)i - 1);
		port = slice_skip(text, (size_t)i + 2);
	} else if (i >= 0 && slice_find_chr(slice_skip(text, (size_t)i + 1), ':') < 0) {
		port = text;
		ret->host = slice_split(&port, ':');
	}
	if (port.len)
		slice_u64(port, 65535, &number);
	ret->port = (uint16_t)number;
}

static bool wildcard(const char *address)
{
	struct slice a = slice_str(address);
	return slice_eq(a, S("0.0.0.0")) || slice_eq(a, S("::"));
}

/* "address:port" or "[address]:port" of metrics.listen or admin.listen, when others than this machine may reach it. */
static void side_door(struct plan_endpoint *ret, const char *listen)
{
	struct slice text = slice_str(listen), host = text, port = SLICE_NONE;
	uint64_t number;
	for (size_t i = text.len; i-- > 0 && !port.len;)
		if (text.p[i] == ':') {
			host = slice_first(text, i);
			port = slice_skip(text, i + 1);
		}
	if (slice_starts(host, S("[")) && slice_ends(host, S("]")))
		host = slice_of(host.p + 1, host.len - 2);
	if (!slice_u64(port, 65535, &number) || slice_starts(host, S("127.")) || slice_eq(host, S("::1")) || slice_eq(host, S("localhost")))
		return;
	*ret = (struct plan_endpoint){.transport = S("tcp"), .host = slice_eq(host, S("0.0.0.0")) || slice_eq(host, S("::")) ? SLICE_NONE : host,
				      .port = (uint16_t)number};
}

/* A wildcard in the certificate that is in use; copied. */
static void look_for_wildcard(struct plan_site *s, struct arena *a, const struct config *cfg)
{
	struct tls_settings t = {.server_chain = cfg->tls_certificate, .server_key = cfg->tls_key};
	struct tls_material *m = NULL;
	const struct tls_peer *facts;
	if (!*cfg->tls_certificate || tls_material_load(&m, &t, NULL))
		return;
	facts = tls_material_facts(m, TLS_SLOT_SERVER);
	for (size_t i = 0; facts && i < facts->n_dns && !s->wildcard.len; i++)
		if (slice_starts(facts->dns[i], S("*.")))
			s->wildcard = arena_printf(a, "%.*s", SFMT(facts->dns[i]));
	tls_material_unref(m);
}

int plan_site_config(struct plan_site *ret, struct arena *a, const struct config *cfg)
{
	static const struct slice transports[] = {[CONFIG_UDP] = S("udp"), [CONFIG_TCP] = S("tcp"), [CONFIG_TLS] = S("tls")};
	struct plan_site s = {.server_name = slice_str(cfg->server_name)};
	size_t n_domains = 0, n_hops = 0;
	for (size_t i = 0; i < cfg->n_homes; i++) {
		n_domains += cfg->homes[i].domains.n;
		n_hops += 1 + cfg->homes[i].further_next_hops.n;
	}
	struct slice *domains = arena_alloc(a, (n_domains + 1) * sizeof *domains);
	struct plan_endpoint *homes = arena_alloc(a, (n_hops + 1) * sizeof *homes);
	struct plan_endpoint *internal = arena_alloc(a, (cfg->n_sip_listen + 1) * sizeof *internal);
	struct plan_endpoint *edges = arena_alloc(a, (cfg->link_edges.n + 1) * sizeof *edges);
	if (!domains || !homes || !internal || !edges)
		return ENTENTE_ELIMIT;
	for (size_t i = 0; i < cfg->n_homes; i++) {
		next_hop(&homes[s.n_homes++], &cfg->homes[i], cfg->homes[i].next_hop);
		for (size_t k = 0; k < cfg->homes[i].further_next_hops.n; k++)
			next_hop(&homes[s.n_homes++], &cfg->homes[i], cfg->homes[i].further_next_hops.items[k]);
		for (size_t k = 0; k < cfg->homes[i].domains.n; k++)
			domains[s.n_domains++] = slice_str(cfg->homes[i].domains.items[k]);
	}
	for (size_t i = 0; i < cfg->n_sip_listen; i++)
		internal[s.n_internal++] = (struct plan_endpoint){
			.transport = transports[cfg->sip_listen[i].transport],
			.host = wildcard(cfg->sip_listen[i].address) ? SLICE_NONE : slice_str(cfg->sip_listen[i].address),
			.port = (uint16_t)cfg->sip_listen[i].port,
		};
	for (size_t i = 0; i < cfg->n_xmpp_listen; i++) {
		uint16_t *port = cfg->xmpp_listen[i].tls == CONFIG_DIRECT ? &s.xmpp_direct_port : &s.xmpp_port;
		if (!*port)
			*port = (uint16_t)cfg->xmpp_listen[i].port;
	}
	for (size_t i = 0; cfg->server_role == CONFIG_GATEWAY && i < cfg->link_edges.n; i++)
		edge(&edges[s.n_edges++], slice_str(cfg->link_edges.items[i]));
	if (cfg->server_role == CONFIG_EDGE && cfg->n_link_listen)
		s.link_port = (uint16_t)cfg->link_listen[0].port;
	s.sip_federation = cfg->n_sip_external_listen > 0;
	if (cfg->n_sip_external_listen == 1 && !wildcard(cfg->sip_external_listen[0].address))
		s.outside = slice_str(cfg->sip_external_listen[0].address);
	else if (!cfg->n_sip_external_listen && cfg->n_xmpp_listen && !wildcard(cfg->xmpp_listen[0].address))
		s.outside = slice_str(cfg->xmpp_listen[0].address);
	s.client_slot = *cfg->tls_client_certificate;
	s.revocation = cfg->tls_revocation != CONFIG_REVOCATION_OFF;
	side_door(&s.metrics, cfg->metrics_listen);
	side_door(&s.admin, cfg->admin_listen);
	look_for_wildcard(&s, a, cfg);
	s.domains = domains;
	s.edges = edges;
	s.homes = homes;
	s.internal = internal;
	*ret = s;
	return 0;
}

int plan_site_add_domain(struct plan_site *site, struct arena *a, struct slice domain)
{
	for (size_t i = 0; i < site->n_domains; i++)
		if (slice_ieq(site->domains[i], domain))
			return 0;
	struct slice *all = arena_alloc(a, (site->n_domains + 1) * sizeof *all);
	if (!all)
		return ENTENTE_ELIMIT;
	for (size_t i = 0; i < site->n_domains; i++)
		all[i] = site->domains[i];
	all[site->n_domains++] = domain;
	site->domains = all;
	return 0;
}
