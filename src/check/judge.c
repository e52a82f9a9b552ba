/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, ports, pool and partners. */
#include <stdio.h>
#include "check/judge.h"
#include "plan/certificates.h"

static void subject(char *ret, size_t size, struct slice host, const struct addr *a)
{
	char text[ADDR_TEXT];
	addr_text(a, text);
	snprintf(ret, size, "%.*s (%s)", SFMT(host), text);
}

/* ---- configuration */

static bool listens_at(const struct config *g, const struct plan_endpoint *hop)
{
	struct addr a, b;
	bool ours = false;
	if (!addr_parse(hop->host, hop->port, &a))
		return false;
	for (size_t i = 0; i < g->n_sip_listen; i++) {
		bool udp = g->sip_listen[i].transport == CONFIG_UDP;
		if (g->sip_listen[i].port == hop->port && udp == slice_eq(hop->transport, S("udp")) && addr_parse(slice_str(g->sip_listen[i].address), 0, &b))
			ours |= addr_host_eq(&a, &b) || (addr_is_any(&b) && addr_is_loopback(&a));
	}
	return ours;
}

static void dangers(struct check *c, const struct check_facts *f)
{
	const struct config *g = f->config;
	bool pool = g->sip_pool.n || *g->sip_route_name;
	if (check_fails(c, CHECK_CONFIG_POOL_SECRET, pool && !*g->xmpp_dialback_secret_file, S("xmpp.dialback-secret-file")))
		check_evidence(c, "%s is set in %.*s, xmpp.dialback-secret-file is not", g->sip_pool.n ? "sip.pool" : "sip.route-name", SFMT(f->file));
	for (size_t i = 0; f->site && i < f->site->n_homes; i++) {
		const struct plan_endpoint *h = &f->site->homes[i];
		if (check_fails(c, CHECK_CONFIG_HOME_LOOP, listens_at(g, h), h->name))
			check_evidence(c, "next hop %.*s port %u is a listener of sip.listen in %.*s", SFMT(h->host), h->port, SFMT(f->file));
	}
	if (check_fails(c, CHECK_CONFIG_KEEPALIVE, g->timers_keepalive_timeout < g->timers_keepalive + g->timers_keepalive / 2, S("timers.keepalive-timeout"))) {
		check_evidence(c, "timers.keepalive is %ju s, timers.keepalive-timeout %ju s", (uintmax_t)(g->timers_keepalive / 1000),
			       (uintmax_t)(g->timers_keepalive_timeout / 1000));
		check_remedy(c, "in section timers:\nkeepalive-timeout: %jus", (uintmax_t)(g->timers_keepalive * 3 / 1000));
	}
	if (check_fails(c, CHECK_CONFIG_REVOCATION_OFF, g->tls_revocation == CONFIG_REVOCATION_OFF && g->n_sip_external_listen, S("tls.revocation")))
		check_evidence(c, "tls.revocation is off and sip.external-listen is set in %.*s", SFMT(f->file));
	bool public_too = false;
	for (size_t i = 0; i < f->n_local; i++)
		public_too |= !addr_is_private(&f->local[i]);
	if (check_fails(c, CHECK_CONFIG_FETCH_PRIVATE, g->tls_revocation_private && g->tls_revocation != CONFIG_REVOCATION_OFF && public_too,
			S("tls.revocation-private-addresses")))
		check_evidence(c, "it is true in %.*s, and this machine has a public address", SFMT(f->file));
	bool five = !g->n_sip_external_listen;
	for (size_t i = 0; i < g->n_sip_external_listen; i++)
		five |= g->sip_external_listen[i].port == 5061;
	if (check_fails(c, CHECK_CONFIG_SIP_PORT, !five, S("sip.external-listen")))
		check_evidence(c, "port %ju in %.*s", (uintmax_t)g->sip_external_listen[0].port, SFMT(f->file));
	for (size_t i = 0; i < g->n_sip_listen; i++) {
		struct addr a;
		bool udp = g->sip_listen[i].transport == CONFIG_UDP && addr_parse(slice_str(g->sip_listen[i].address), 0, &a);
		bool open = udp && (addr_is_any(&a) ? public_too : !addr_is_private(&a));
		if (check_fails(c, CHECK_CONFIG_INTERNAL_UDP, open, S("sip.listen")))
			check_evidence(c, "UDP port %ju on %s in %.*s", (uintmax_t)g->sip_listen[i].port, g->sip_listen[i].address, SFMT(f->file));
	}
	if (check_fails(c, CHECK_CONFIG_LIMITS, g->limits_max_unproven > g->limits_max_connections, S("limits.max-connections")))
		check_evidence(c, "limits.max-connections is %ju, limits.max-unproven %ju", (uintmax_t)g->limits_max_connections, (uintmax_t)g->limits_max_unproven);
	static const char *const volatile_places[] = {"/tmp/", "/var/tmp/", "/run/", "/dev/shm/"};
	bool lost = false;
	for (size_t i = 0; i < sizeof volatile_places / sizeof *volatile_places; i++)
		lost |= slice_starts(slice_str(g->server_state_directory), slice_str(volatile_places[i]));
	if (check_fails(c, CHECK_CONFIG_VOLATILE, lost, S("server.state-directory")))
		check_evidence(c, "%s in %.*s", g->server_state_directory, SFMT(f->file));
}

/* What is the matter with the files of certificates is told in the area certs, with more words. */
static bool of_certificates(const struct config_error *e)
{
	static const char *const keys[] = {"tls.certificate", "tls.key", "tls.client-certificate", "tls.client-key", "link.certificate", "link.key"};
	bool found = false;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		found |= slice_eq(slice_str(e->key), slice_str(keys[i]));
	return found;
}

void check_judge_config(struct check *c, const struct check_facts *f)
{
	if (!f->errors)
		return;
	for (size_t i = 0; i < f->errors->n; i++) {
		const struct config_error *e = &f->errors->list[i];
		if ((e->warning || f->config) && of_certificates(e))
			continue;
		char where[512];
		if (e->line)
			snprintf(where, sizeof where, "%.*s:%u", SFMT(f->file), e->line);
		else
			snprintf(where, sizeof where, "%.*s", SFMT(f->file));
		check_fails(c, e->warning ? CHECK_CONFIG_WARNING : CHECK_CONFIG_INVALID, true, slice_str(where));
		check_evidence(c, "%s", e->text);
		if (*e->key)
			check_remedy(c, "correct %s; what it takes:\nentente config explain %s", e->key, e->key);
	}
	if (!f->errors->n)
		check_fails(c, CHECK_CONFIG_INVALID, false, f->file);
	if (f->config)
		dangers(c, f);
	else
		check_skip(c, CHECK_CONFIG, "combinations of settings: %.*s has errors", SFMT(f->file));
}

/* ---- ports */

static bool covers(const struct check_listener *l, bool v6, uint16_t port, const struct addr *a)
{
	if (addr_port(&l->addr) != port || !l->outside)
		return false;
	if (addr_is_any(&l->addr))
		return addr_is_v6(&l->addr) || !v6; /* "::" takes IPv4 too */
	return addr_is_v6(&l->addr) == v6 && (!a || addr_host_eq(&l->addr, a) || !addr_is_loopback(&l->addr));
}

static void bound(struct check *c, const struct check_facts *f, const struct check_listener *l)
{
	char text[ADDR_TEXT], what[ADDR_TEXT + 64];
	addr_text(&l->addr, text);
	snprintf(what, sizeof what, "%s %.*s %s", l->setting, SFMT(l->transport), text);
	if (check_fails(c, CHECK_PORT_TAKEN, l->bound == CHECK_BOUND_OTHER, slice_str(what))) {
		check_evidence(c, "%.*s listens on %s", SFMT(l->holder), text);
		check_remedy(c, "stop the other program, or give %s another address or port; who it is:\nss -lnp %s 'sport = :%u'", l->setting,
			     slice_eq(l->transport, S("udp")) ? "-u" : "-t", addr_port(&l->addr));
	}
	if (f->live.have && check_fails(c, CHECK_PORT_NOT_BOUND, l->bound == CHECK_UNBOUND, slice_str(what)))
		check_evidence(c, "the daemon runs, and nothing listens on %s", text);
}

static bool open_to_all(const struct check_facts *f, const struct addr *a)
{
	if (!addr_is_any(a))
		return !addr_is_private(a);
	for (size_t i = 0; i < f->n_local; i++)
		if (!addr_is_private(&f->local[i]))
			return true;
	return false;
}

static void no_family(struct check *c, const struct check_facts *f)
{
	for (size_t i = 0; f->plan && f->dns.have && i < f->plan->n_records; i++) {
		const struct plan_record *r = &f->plan->records[i];
		static const struct {
			enum dns_type type;
			enum check_id id;
			bool v6;
		} families[] = {{DNS_A, CHECK_PORT_IPV4, false}, {DNS_AAAA, CHECK_PORT_IPV6, true}};
		if (r->type != PLAN_SRV)
			continue;
		for (size_t k = 0; k < 2; k++) {
			const struct check_lookup *l = check_lookup(&f->dns, r->target, families[k].type);
			bool listens = false;
			char text[ADDR_TEXT], what[DNS_NAME_MAX + 16];
			if (!l || l->status != DNS_OK)
				continue;
			for (size_t n = 0; n < f->ports.n_listeners; n++)
				listens |= covers(&f->ports.listeners[n], families[k].v6, r->port, NULL);
			snprintf(what, sizeof what, "%.*s port %u", SFMT(r->target), r->port);
			if (check_fails(c, families[k].id, !listens, slice_str(what))) {
				addr_host_text(&l->records[0].addr, text);
				check_evidence(c, "%s %s in DNS, and no listener for IPv%d on port %u in %.*s", k ? "AAAA" : "A", text, k ? 6 : 4, r->port, SFMT(f->file));
				check_remedy(c, k ? "listen on it (address: \"::\"), or remove the record:\n%.*s. IN AAAA %s"
						  : "listen on it (address: 0.0.0.0), or remove the record:\n%.*s. IN A %s", SFMT(r->target), text);
			}
		}
	}
}

static const struct tls_peer *own_leaf(const struct check_facts *f)
{
	for (size_t i = 0; i < f->certs.n; i++)
		if (f->certs.list[i].role == CHECK_CERT_SERVER)
			return f->certs.list[i].leaf;
	return NULL;
}

/* Many routers do not lead a connection from inside back in: a failure then proves nothing. */
static void maybe_inside(struct check *c, const struct check_probe *p)
{
	if (!p->here)
		check_severity(c, CHECK_WARNING);
}

static void reached(struct check *c, const struct check_facts *f, const struct check_probe *p)
{
	const struct tls_peer *own = own_leaf(f);
	char what[DNS_NAME_MAX + ADDR_TEXT + 4];
	const char *unsure = p->here ? "" : "; the address is not of this machine, and many routers do not let a connection from inside back in: try from outside too";
	subject(what, sizeof what, p->host, &p->addr);
	if (p->reach == CHECK_LOCAL_FAULT)
		return;
	if (check_fails(c, CHECK_PORT_REFUSED, p->reach == CHECK_REFUSED, slice_str(what))) {
		check_evidence(c, "connection refused%s", unsure);
		maybe_inside(c, p);
		return;
	}
	if (check_fails(c, CHECK_PORT_FILTERED, p->reach == CHECK_SILENT || p->reach == CHECK_NO_ROUTE, slice_str(what))) {
		check_evidence(c, "%.*s%s", SFMT(p->why), unsure);
		maybe_inside(c, p);
		return;
	}
	if (check_fails(c, CHECK_PORT_TLS, !p->leaf, slice_str(what))) {
		check_evidence(c, "%.*s", SFMT(p->why));
		return;
	}
	if (own && check_fails(c, CHECK_PORT_OTHER, memcmp(own->sha256, p->leaf->sha256, sizeof own->sha256) != 0, slice_str(what)))
		check_evidence(c, "it shows a certificate for %.*s, serial %.*s; ours is for %.*s, serial %.*s",
			       SFMT(p->leaf->n_dns ? p->leaf->dns[0] : p->leaf->subject), SFMT(p->leaf->serial), SFMT(own->n_dns ? own->dns[0] : own->subject),
			       SFMT(own->serial));
}

void check_judge_ports(struct check *c, const struct check_facts *f)
{
	const struct check_ports *p = &f->ports;
	if (!p->have)
		return;
	for (size_t i = 0; i < p->n_listeners; i++) {
		const struct check_listener *l = &p->listeners[i];
		char text[ADDR_TEXT];
		addr_text(&l->addr, text);
		bound(c, f, l);
		if (slice_eq(slice_str(l->setting), S("metrics.listen")) &&
		    check_fails(c, CHECK_PORT_METRICS, open_to_all(f, &l->addr), S("metrics.listen"))) {
			check_evidence(c, "%s in %.*s", text, SFMT(f->file));
			check_remedy(c, "in section metrics:\nlisten: 127.0.0.1:%u", addr_port(&l->addr));
		}
		if (slice_eq(slice_str(l->setting), S("admin.listen")) && check_fails(c, CHECK_PORT_API, open_to_all(f, &l->addr), S("admin.listen"))) {
			check_evidence(c, "%s in %.*s", text, SFMT(f->file));
			check_remedy(c, "in section admin:\nlisten: 127.0.0.1:%u", addr_port(&l->addr));
		}
	}
	no_family(c, f);
	for (size_t i = 0; i < p->n_probes; i++)
		reached(c, f, &p->probes[i]);
	if (p->probes_skipped.len)
		check_skip(c, CHECK_PORTS, "%.*s", SFMT(p->probes_skipped));
}

/* ---- pool */

static bool answers(const struct check_probe *p)
{
	return p->reach == CHECK_REACHED && p->leaf;
}

static bool same_service(const struct check_probe *a, const struct check_probe *b)
{
	return slice_ieq(a->host, b->host) && addr_port(&a->addr) == addr_port(&b->addr);
}

/* The measure is who shows our own certificate, if anybody does. */
static const struct check_probe *better(const struct check_facts *f, const struct check_probe *a, const struct check_probe *b)
{
	const struct tls_peer *own = own_leaf(f);
	if (!answers(b))
		return a;
	return !a || (own && memcmp(own->sha256, a->leaf->sha256, 32) != 0 && memcmp(own->sha256, b->leaf->sha256, 32) == 0) ? b : a;
}

static void members(struct check *c, const struct check_facts *f, size_t first)
{
	const struct check_ports *p = &f->ports;
	const struct check_probe *best = NULL;
	size_t n = 0, up = 0;
	for (size_t i = first; i < p->n_probes; i++)
		if (same_service(&p->probes[first], &p->probes[i])) {
			n++;
			up += answers(&p->probes[i]);
			best = better(f, best, &p->probes[i]);
		}
	if (n < 2)
		return;
	for (size_t i = first; i < p->n_probes; i++) {
		const struct check_probe *one = &p->probes[i];
		char what[DNS_NAME_MAX + ADDR_TEXT + 4], other[ADDR_TEXT];
		if (!same_service(&p->probes[first], one))
			continue;
		subject(what, sizeof what, one->host, &one->addr);
		if (check_fails(c, CHECK_POOL_DOWN, !answers(one), slice_str(what))) {
			check_evidence(c, "%.*s; %zu of %zu answer", SFMT(one->why), up, n);
			continue;
		}
		if (one == best)
			continue;
		addr_text(&best->addr, other);
		if (check_fails(c, CHECK_POOL_CERTIFICATE, memcmp(one->leaf->sha256, best->leaf->sha256, 32) != 0, slice_str(what)))
			check_evidence(c, "serial %.*s here, %.*s at %s", SFMT(one->leaf->serial), SFMT(best->leaf->serial), other);
		if (check_fails(c, CHECK_POOL_PROTOCOL, !slice_eq(one->protocol, best->protocol), slice_str(what)))
			check_evidence(c, "%.*s here, %.*s at %s", SFMT(one->protocol), SFMT(best->protocol), other);
	}
}

void check_judge_pool(struct check *c, const struct check_facts *f)
{
	const struct check_ports *p = &f->ports;
	const struct check_live *l = &f->live;
	for (size_t i = 0; p->have && i < p->n_probes; i++) {
		bool seen = false;
		for (size_t k = 0; k < i; k++)
			seen |= same_service(&p->probes[i], &p->probes[k]);
		if (!seen)
			members(c, f, i);
	}
	for (size_t i = 0; i < l->n_edges; i++) {
		const struct check_edge *e = &l->edges[i];
		if (check_fails(c, CHECK_POOL_LINK, !slice_eq(e->state, S("up")), e->peer)) {
			check_evidence(c, "%.*s%s%.*s", SFMT(e->state), e->error.len ? ": " : "", SFMT(e->error));
			continue;
		}
		for (size_t k = 0; k < i; k++)
			if (slice_eq(l->edges[k].state, S("up")) && l->edges[k].version.len && e->version.len &&
			    check_fails(c, CHECK_POOL_VERSION, !slice_eq(l->edges[k].version, e->version), e->peer)) {
				check_evidence(c, "version %.*s, and %.*s at %.*s", SFMT(e->version), SFMT(l->edges[k].version), SFMT(l->edges[k].peer));
				break;
			}
	}
	if (p->probes_skipped.len && !c->areas[CHECK_POOL].skipped.len)
		check_skip(c, CHECK_POOL, "%.*s", SFMT(p->probes_skipped));
}

/* ---- partners */

static const char *who_of(struct slice who)
{
	if (slice_eq(who, S("us")) || slice_eq(who, S("admin")))
		return "admin";
	if (slice_eq(who, S("network")) || slice_eq(who, S("both")))
		return "network";
	return "partner";
}

static void certificate_of(struct check *c, const struct check_facts *f, const struct check_partner *p)
{
	enum { DAYS = 14 * 86400 };
	char when[32];
	if (!p->not_after)
		return;
	check_date(when, p->not_after);
	if (check_fails(c, CHECK_PARTNER_CERT_EXPIRED, f->now >= p->not_after, p->domain)) {
		check_evidence(c, "the certificate that it showed last was valid until %s", when);
		return;
	}
	bool soon = p->not_before ? plan_expiry(p->not_before, p->not_after, f->now) >= PLAN_EXPIRY_SOON : p->not_after - f->now < DAYS;
	if (check_fails(c, CHECK_PARTNER_CERT_SOON, soon, p->domain))
		check_evidence(c, "the certificate that it showed last is valid until %s: %jd days are left", when, (intmax_t)((p->not_after - f->now) / 86400));
}

static void contact(struct check *c, const struct check_partner *p)
{
	bool fails = p->tested && (slice_eq(p->verdict, S("fails")) || slice_eq(p->verdict, S("undecided")));
	bool one_way = p->tested && slice_eq(p->verdict, S("one-way"));
	if (!p->tested) {
		if (p->attempted && check_fails(c, CHECK_PARTNER_ATTEMPT, p->attempt_failed, p->domain)) {
			check_evidence(c, "%.*s: %.*s%s%.*s", SFMT(p->attempt_at), SFMT(p->attempt_text), p->attempt_reason.len ? ", " : "", SFMT(p->attempt_reason));
			check_remedy(c, "entente partner test %.*s\nentente show attempts %.*s", SFMT(p->domain), SFMT(p->domain));
			check_who(c, who_of(p->attempt_who));
		}
		return;
	}
	if (check_fails(c, CHECK_PARTNER_FAILS, fails, p->domain))
		check_evidence(c, "tested by %.*s: fails at %.*s: %.*s%s%.*s", SFMT(p->protocol), SFMT(p->step), SFMT(p->cause), p->reason.len ? ", " : "",
			       SFMT(p->reason));
	if (check_fails(c, CHECK_PARTNER_ONE_WAY, one_way, p->domain))
		check_evidence(c, "tested by %.*s: %.*s%s%.*s", SFMT(p->protocol), SFMT(p->cause), p->reason.len ? ", " : "", SFMT(p->reason));
	if (!fails && !one_way)
		return;
	check_who(c, who_of(p->test_who));
	if (p->next_step.len)
		check_remedy(c, "%.*s\nin full: entente partner test %.*s", SFMT(p->next_step), SFMT(p->domain));
	else
		check_remedy(c, "entente partner test %.*s", SFMT(p->domain));
}

void check_judge_partners(struct check *c, const struct check_facts *f)
{
	const struct check_live *l = &f->live;
	size_t untested = 0;
	if (!l->have) {
		check_skip(c, CHECK_PARTNERS, "%.*s", SFMT(l->why));
		return;
	}
	for (size_t i = 0; i < l->n_partners; i++) {
		const struct check_partner *p = &l->partners[i];
		if (check_fails(c, CHECK_PARTNER_OURS, p->ours, p->domain)) {
			check_evidence(c, "it is in homes[].domains of %.*s", SFMT(f->file));
			check_remedy(c, "entente partner xmpp remove %.*s", SFMT(p->domain));
			continue;
		}
		if (!p->enabled)
			continue;
		untested += !p->tested;
		if (check_fails(c, CHECK_PARTNER_CLEAR, p->clear, p->domain)) {
			check_evidence(c, "%.*s", SFMT(p->how_clear));
			check_remedy(c, "entente partner xmpp set %.*s --tls required", SFMT(p->domain));
		}
		contact(c, p);
		certificate_of(c, f, p);
	}
	if (!l->have_partners)
		check_skip(c, CHECK_PARTNERS, "this process has no list of partners: ask at the gateway");
	else if (f->config && f->config->server_role == CONFIG_GATEWAY && l->n_partners)
		check_skip(c, CHECK_PARTNERS, "tests and past attempts: ask at the edge");
	else if (l->tests && untested)
		check_skip(c, CHECK_PARTNERS, "%zu of %zu partners were not tested, it would take long: entente check partners DOMAIN", untested, l->n_partners);
}

void check_judge(struct check *c, const struct check_facts *f, enum check_area a)
{
	static void (*const judges[CHECK_AREAS])(struct check *c, const struct check_facts *f) = {
		[CHECK_CONFIG] = check_judge_config,	 [CHECK_DNS] = check_judge_dns,	  [CHECK_CERTS] = check_judge_certs,
		[CHECK_PORTS] = check_judge_ports,	 [CHECK_PARTNERS] = check_judge_partners, [CHECK_POOL] = check_judge_pool,
		[CHECK_TIME] = check_judge_time,	 [CHECK_DISK] = check_judge_disk, [CHECK_SYSTEM] = check_judge_system,
	};
	c->areas[a].done = true;
	judges[a](c, f);
}
