/* SPDX-License-Identifier: Apache-2.0 */
/* DNS as the resolver answers, against the records of the plan. */
#include <stdio.h>
#include "base/buf.h"
#include "base/enc.h"
#include "check/judge.h"

static const struct slice federation = {"_sipfederationtls._tcp.", 23};

const struct check_lookup *check_lookup(const struct check_dns *d, struct slice name, enum dns_type type)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->list[i].type == type && slice_ieq(d->list[i].name, name))
			return &d->list[i];
	return NULL;
}

static const char *type_text(enum dns_type t)
{
	return t == DNS_A ? "A" : t == DNS_AAAA ? "AAAA" : t == DNS_SRV ? "SRV" : t == DNS_TLSA ? "TLSA" : "NAPTR";
}

static bool broken(const struct check_lookup *l)
{
	return l->status == DNS_SERVFAIL || l->status == DNS_TIMEOUT || l->status == DNS_LIMIT || l->status == DNS_GONE;
}

/* Does nothing at all come back? Then one finding says so, not one for each record. */
static bool dead(const struct check_dns *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (!broken(&d->list[i]))
			return false;
	return d->n > 0;
}

/* True when the answer says something about the name: records, or that there are none. */
static bool answered(struct check *c, const struct check_dns *d, const struct check_lookup *l)
{
	if (check_fails(c, CHECK_DNS_BOGUS, l->status == DNS_BOGUS, l->name)) {
		check_evidence(c, "%s %.*s: %.*s (asked %.*s)", type_text(l->type), SFMT(l->name), SFMT(l->why), SFMT(d->resolver));
		check_remedy(c, "sign the zone again, and compare the DS record at the registrar with the key:\ndig +dnssec %.*s %s", SFMT(l->name),
			     type_text(l->type));
		return false;
	}
	if (check_fails(c, CHECK_DNS_FAILED, broken(l), l->name)) {
		check_evidence(c, "%s %.*s: %s%s%.*s (asked %.*s)", type_text(l->type), SFMT(l->name), dns_status_text(l->status), l->why.len ? ", " : "",
			       SFMT(l->why), SFMT(d->resolver));
		check_remedy(c, "look at the name servers of the zone:\ndig +trace %.*s %s", SFMT(l->name), type_text(l->type));
		return false;
	}
	return true;
}

/* ---- SRV */

struct asked { /* a name that the plan has a record for */
	struct check *c;
	const struct check_facts *f;
	const struct plan_record *plan;
	const struct check_lookup *got;
};

static void right_record(struct asked *x, const char *before)
{
	const struct plan_record *r = x->plan;
	check_remedy(x->c, "%s\n%.*s. 3600 IN SRV %u %u %u %.*s.", before, SFMT(r->name), r->priority, r->weight, r->port, SFMT(r->target));
}

static void seen(struct asked *x)
{
	struct buf b;
	buf_init(&b, 2048);
	for (size_t i = 0; i < x->got->n && i < 8; i++) {
		const struct dns_record *r = &x->got->records[i];
		buf_printf(&b, "%s%u %u %u %.*s.", i ? "; " : "", r->srv.priority, r->srv.weight, r->srv.port, SFMT(r->srv.target));
	}
	check_evidence(x->c, "SRV %.*s (asked %.*s)", SFMT(buf_slice(&b)), SFMT(x->f->dns.resolver));
	buf_free(&b);
}

/* Is it in the plan with this target? A plan may name several servers for one service. */
static bool planned(const struct asked *x, const struct dns_record *r)
{
	for (size_t i = 0; i < x->f->plan->n_records; i++) {
		const struct plan_record *p = &x->f->plan->records[i];
		if (p->type == PLAN_SRV && slice_ieq(p->name, x->plan->name) && slice_ieq(p->target, r->srv.target) && p->port == r->srv.port)
			return true;
	}
	return false;
}

/* Another server beside ours. */
static void beside(struct asked *x, const struct dns_record *ours)
{
	const struct dns_record *before = NULL, *with = NULL, *heavy = NULL;
	for (size_t i = 0; i < x->got->n; i++) {
		const struct dns_record *r = &x->got->records[i];
		if (planned(x, r))
			continue;
		if (r->srv.priority < ours->srv.priority)
			before = r;
		else
			with = r;
		if (r->srv.priority == ours->srv.priority && r->srv.weight > 0)
			heavy = r;
	}
	if (check_fails(x->c, CHECK_DNS_SRV_PRIORITY, before, x->plan->name)) {
		seen(x);
		check_remedy(x->c, "when %.*s is no longer in service, remove its record; else give ours a lower number than %u:\n%.*s. 3600 IN SRV %u %u %u %.*s.",
			     SFMT(before->srv.target), before->srv.priority, SFMT(x->plan->name), before->srv.priority ? before->srv.priority - 1U : 0U,
			     x->plan->weight, x->plan->port, SFMT(x->plan->target));
	}
	if (check_fails(x->c, CHECK_DNS_SRV_OTHER, with && !before, x->plan->name)) {
		seen(x);
		check_remedy(x->c, "remove the record if %.*s is no longer in service", SFMT(with->srv.target));
	}
	if (check_fails(x->c, CHECK_DNS_SRV_WEIGHT, heavy && ours->srv.weight == 0, x->plan->name)) {
		seen(x);
		check_remedy(x->c, "give ours a weight too:\n%.*s. 3600 IN SRV %u %u %u %.*s.", SFMT(x->plan->name), ours->srv.priority, heavy->srv.weight,
			     x->plan->port, SFMT(x->plan->target));
	}
}

static void srv_target(struct asked *x)
{
	const struct dns_record *ours = NULL, *nearly = NULL, *outside = NULL;
	struct slice domain = slice_skip(x->plan->name, federation.len);
	bool lync = slice_istarts(x->plan->name, federation), nothing = false;
	for (size_t i = 0; i < x->got->n; i++) {
		const struct dns_record *r = &x->got->records[i];
		nothing |= !r->srv.target.len;
		if (!slice_ieq(r->srv.target, x->plan->target)) {
			if (lync && r->srv.target.len && !check_within(r->srv.target, domain))
				outside = r;
			continue;
		}
		if (r->srv.port == x->plan->port)
			ours = ours && ours->srv.priority <= r->srv.priority ? ours : r;
		else
			nearly = r;
	}
	if (check_fails(x->c, CHECK_DNS_SRV_NO_SERVICE, nothing && !ours, x->plan->name)) {
		seen(x);
		right_record(x, "replace the record:");
		return;
	}
	if (check_fails(x->c, CHECK_DNS_SRV_FOREIGN, outside && !ours, x->plan->name)) {
		seen(x);
		right_record(x, "name the server inside the domain:");
		return;
	}
	if (check_fails(x->c, CHECK_DNS_SRV_PORT, !ours && nearly, x->plan->name)) {
		seen(x);
		right_record(x, "replace the record:");
		return;
	}
	if (check_fails(x->c, CHECK_DNS_SRV_TARGET, !ours, x->plan->name)) {
		seen(x);
		right_record(x, "replace the record:");
		return;
	}
	beside(x, ours);
}

/* ---- addresses */

struct host {
	struct check *c;
	const struct check_facts *f;
	struct slice name;
	size_t usable;
};

static const char *example(const struct check_facts *f, bool v6)
{
	static char z[ADDR_TEXT];
	for (size_t i = 0; i < f->n_given; i++)
		if ((slice_find_chr(f->given[i], ':') >= 0) == v6 && slice_cstr(f->given[i], z, sizeof z))
			return z;
	for (size_t i = 0; i < f->n_local; i++)
		if (addr_is_v6(&f->local[i]) == v6 && !addr_is_private(&f->local[i])) {
			addr_host_text(&f->local[i], z);
			return z;
		}
	return v6 ? "<public IPv6 address of this server>" : "<public address of this server>";
}

bool check_here(const struct check_facts *f, const struct addr *a)
{
	struct addr other;
	for (size_t i = 0; i < f->n_given; i++)
		if (addr_parse(f->given[i], 0, &other) && addr_host_eq(&other, a))
			return true;
	for (size_t i = 0; i < f->n_local; i++)
		if (addr_host_eq(&f->local[i], a))
			return true;
	return false;
}

/* Can be told whether an address is ours? The administrator named some, or this machine has public ones of the kind, and no pool or
 * load balancer is to be expected. */
static bool can_tell(const struct check_facts *f, bool v6)
{
	struct addr a;
	for (size_t i = 0; i < f->n_given; i++)
		if (addr_parse(f->given[i], 0, &a) && addr_is_v6(&a) == v6)
			return true;
	if (f->n_given || (f->config && f->config->sip_pool.n))
		return false;
	for (size_t i = 0; i < f->n_local; i++)
		if (addr_is_v6(&f->local[i]) == v6 && !addr_is_private(&f->local[i]))
			return true;
	return false;
}

static void one_address(struct host *h, const struct check_lookup *l, const struct addr *a)
{
	bool v6 = addr_is_v6(a), local = addr_is_loopback(a) || addr_is_any(a) || addr_is_multicast(a), own = addr_is_private(a);
	char text[ADDR_TEXT];
	addr_host_text(a, text);
	h->usable++;
	if (check_fails(h->c, CHECK_DNS_ADDRESS_LOCAL, local, h->name)) {
		check_evidence(h->c, "%s %s (asked %.*s)", type_text(l->type), text, SFMT(h->f->dns.resolver));
		check_remedy(h->c, "replace it by the public address (and remove the name from /etc/hosts if it is there):\n%.*s. 3600 IN %s %s", SFMT(h->name),
			     type_text(l->type), example(h->f, v6));
		return;
	}
	if (check_fails(h->c, CHECK_DNS_ADDRESS_PRIVATE, own, h->name)) {
		check_evidence(h->c, "%s %s (asked %.*s)", type_text(l->type), text, SFMT(h->f->dns.resolver));
		check_remedy(h->c, "publish the public address:\n%.*s. 3600 IN %s %s\nwhen this resolver answers differently inside, ask one outside:\n"
			     "entente check dns --resolver 9.9.9.9", SFMT(h->name), type_text(l->type), example(h->f, v6));
		return;
	}
	if (!can_tell(h->f, v6))
		return;
	if (check_fails(h->c, CHECK_DNS_ADDRESS_OTHER, !check_here(h->f, a), h->name)) {
		check_evidence(h->c, "%s %s (asked %.*s), which is no address of this machine%s", type_text(l->type), text, SFMT(h->f->dns.resolver),
			       h->f->n_given ? " and not among those that were named" : "");
		check_remedy(h->c, "correct the record:\n%.*s. 3600 IN %s %s\nwhen %s leads here all the same, say so:\nentente check all --address %s", SFMT(h->name),
			     type_text(l->type), example(h->f, v6), text, text);
	}
}

static void unpublished(struct host *h)
{
	for (size_t i = 0; i < h->f->n_given; i++) {
		struct addr a;
		bool found = false;
		if (!addr_parse(h->f->given[i], 0, &a))
			continue;
		enum dns_type type = addr_is_v6(&a) ? DNS_AAAA : DNS_A;
		const struct check_lookup *l = check_lookup(&h->f->dns, h->name, type);
		for (size_t k = 0; l && k < l->n; k++)
			found |= addr_host_eq(&l->records[k].addr, &a);
		if (check_fails(h->c, CHECK_DNS_ADDRESS_UNPUBLISHED, !found, h->name)) {
			check_evidence(h->c, "%.*s was named, and %.*s has no such %s record (asked %.*s)", SFMT(h->f->given[i]), SFMT(h->name), type_text(type),
				       SFMT(h->f->dns.resolver));
			check_remedy(h->c, "add to the zone:\n%.*s. 3600 IN %s %.*s", SFMT(h->name), type_text(type), SFMT(h->f->given[i]));
		}
	}
}

/* A name of ours that partners are led to. */
static void host(struct check *c, const struct check_facts *f, struct slice name)
{
	struct host h = {c, f, name, 0};
	const struct check_lookup *l[2] = {check_lookup(&f->dns, name, DNS_A), check_lookup(&f->dns, name, DNS_AAAA)};
	bool known = true;
	for (int i = 0; i < 2; i++) {
		if (!l[i])
			continue;
		known &= answered(c, &f->dns, l[i]);
		for (size_t k = 0; l[i]->status == DNS_OK && k < l[i]->n; k++)
			one_address(&h, l[i], &l[i]->records[k].addr);
	}
	if (known && check_fails(c, CHECK_DNS_ADDRESS_MISSING, !h.usable, name)) {
		check_evidence(c, "A: %s, AAAA: %s (asked %.*s)", l[0] ? dns_status_text(l[0]->status) : "-", l[1] ? dns_status_text(l[1]->status) : "-",
			       SFMT(f->dns.resolver));
		check_remedy(c, "add to the zone:\n%.*s. 3600 IN A %s", SFMT(name), example(f, false));
	}
	if (h.usable)
		unpublished(&h);
	for (int i = 0; i < 2; i++)
		if (l[i] && l[i]->status == DNS_OK) {
			if (check_fails(c, CHECK_DNS_SRV_ALIAS, l[i]->cnames > 0, name)) {
				check_evidence(c, "%.*s is a CNAME and leads to %.*s (asked %.*s)", SFMT(name), SFMT(l[i]->canonical), SFMT(f->dns.resolver));
				check_remedy(c, "replace the CNAME of %.*s by address records:\n%.*s. 3600 IN A %s", SFMT(name), SFMT(name), example(f, false));
			}
			break;
		}
}

/* ---- TLSA */

static bool fits(const struct check_cert *k, const struct dns_record *r)
{
	struct tls_tlsa t = {3, r->tlsa.selector, r->tlsa.matching, r->tlsa.data};
	bool authority = r->tlsa.usage == 0 || r->tlsa.usage == 2;
	if (!authority)
		return tls_peer_dane(k->leaf, &t, 1) == TLS_DANE_EE;
	for (size_t i = 0; i < k->n_above; i++)
		if (tls_peer_dane(k->above[i], &t, 1) == TLS_DANE_EE)
			return true;
	/* The anchor itself need not be in the file: then nothing can be said. */
	return k->chain == TLS_CHAIN_OK;
}

static void tlsa(struct check *c, const struct check_facts *f, const struct check_lookup *l)
{
	const struct check_cert *k = NULL;
	bool fit = false;
	for (size_t i = 0; i < f->certs.n; i++)
		if (f->certs.list[i].role == CHECK_CERT_SERVER && f->certs.list[i].leaf)
			k = &f->certs.list[i];
	if (l->status != DNS_OK || !answered(c, &f->dns, l) || !k)
		return;
	for (size_t i = 0; i < l->n; i++)
		fit |= fits(k, &l->records[i]);
	if (check_fails(c, CHECK_DNS_TLSA, !fit, l->name)) {
		struct buf have, want;
		buf_init(&have, 1024);
		buf_init(&want, 256);
		for (size_t i = 0; i < l->n && i < 4; i++) {
			buf_printf(&have, "%s%u %u %u ", i ? "; " : "", l->records[i].tlsa.usage, l->records[i].tlsa.selector, l->records[i].tlsa.matching);
			hex_put(&have, l->records[i].tlsa.data.p, l->records[i].tlsa.data.len < 32 ? l->records[i].tlsa.data.len : 32);
		}
		hex_put(&want, k->leaf->spki_sha256, sizeof k->leaf->spki_sha256);
		check_evidence(c, "TLSA %.*s (asked %.*s); our key in %.*s is 3 1 1 %.*s", SFMT(buf_slice(&have)), SFMT(f->dns.resolver), SFMT(k->file),
			       SFMT(buf_slice(&want)));
		check_remedy(c, "publish a record for the present key:\n%.*s. 3600 IN TLSA 3 1 1 %.*s", SFMT(l->name), SFMT(buf_slice(&want)));
		buf_free(&have);
		buf_free(&want);
	}
	if (check_fails(c, CHECK_DNS_TLSA_UNSIGNED, f->dns.validating && !l->secure, l->name))
		check_evidence(c, "%zu TLSA record%s without DNSSEC (asked %.*s)", l->n, l->n == 1 ? "" : "s", SFMT(f->dns.resolver));
}

/* ---- what else DNS says */

static bool plan_target(const struct check_facts *f, struct slice name)
{
	for (size_t i = 0; i < f->plan->n_records; i++)
		if (f->plan->records[i].type == PLAN_SRV && slice_ieq(f->plan->records[i].target, name))
			return true;
	return false;
}

static void not_ours(struct check *c, const struct check_facts *f, struct slice domain)
{
	static const char *const services[] = {"_xmpp-server._tcp.", "_xmpps-server._tcp.", "_sipfederationtls._tcp."};
	const struct check_lookup *bad = NULL;
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		char z[DNS_NAME_MAX + 32];
		snprintf(z, sizeof z, "%s%.*s", services[i], SFMT(domain));
		const struct check_lookup *l = check_lookup(&f->dns, slice_str(z), DNS_SRV);
		for (size_t k = 0; l && l->status == DNS_OK && k < l->n; k++)
			if (plan_target(f, l->records[k].srv.target))
				bad = l;
	}
	if (check_fails(c, CHECK_DNS_DOMAIN_NOT_OURS, bad, domain)) {
		check_evidence(c, "SRV %.*s leads to %.*s (asked %.*s)", SFMT(bad->name), SFMT(bad->records[0].srv.target), SFMT(f->dns.resolver));
		check_remedy(c, "add %.*s to homes[].domains and run: entente reload; or remove the record %.*s", SFMT(domain), SFMT(bad->name));
	}
}

static void internal(struct check *c, const struct check_facts *f, const struct plan_endpoint *e, const char *setting)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	const struct check_lookup *l = NULL;
	bool found = false;
	for (size_t i = 0; i < 2; i++)
		if ((l = check_lookup(&f->dns, e->host, types[i])))
			found |= l->status == DNS_OK;
	for (size_t i = 0; !found && i < f->dns.n; i++) /* a next hop may be the name of SRV records */
		if (f->dns.list[i].type == DNS_SRV && f->dns.list[i].status == DNS_OK && slice_ends(f->dns.list[i].name, e->host))
			found = true;
	if (l && check_fails(c, CHECK_DNS_HOME, !found, e->host)) {
		check_evidence(c, "%s: %s (asked %.*s)", setting, dns_status_text(l->status), SFMT(f->dns.resolver));
		check_remedy(c, "correct %s, or add the name to your DNS or /etc/hosts:\n<address> %.*s", setting, SFMT(e->host));
	}
}

static bool first_of_its_name(const struct plan *p, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if ((p->records[i].type == PLAN_SRV) == (p->records[at].type == PLAN_SRV) && slice_ieq(p->records[i].name, p->records[at].name))
			return false;
	return true;
}

void check_judge_dns(struct check *c, const struct check_facts *f)
{
	const struct check_dns *d = &f->dns;
	if (!d->have) {
		if (d->why.len && check_fails(c, CHECK_DNS_RESOLVER, true, S("dns.servers")))
			check_evidence(c, "%.*s", SFMT(d->why));
		return;
	}
	if (check_fails(c, CHECK_DNS_RESOLVER, dead(d), d->resolver)) {
		check_evidence(c, "none of %zu questions was answered; %s %.*s: %s", d->n, type_text(d->list[0].type), SFMT(d->list[0].name),
			       dns_status_text(d->list[0].status));
		return;
	}
	for (size_t i = 0; f->plan && i < f->plan->n_records; i++) {
		const struct plan_record *r = &f->plan->records[i];
		struct asked x = {c, f, r, r->type == PLAN_SRV ? check_lookup(d, r->name, DNS_SRV) : NULL};
		if (!first_of_its_name(f->plan, i))
			continue;
		if (r->type == PLAN_A || r->type == PLAN_AAAA) {
			host(c, f, r->name);
		} else if (x.got && answered(c, d, x.got)) {
			if (check_fails(c, CHECK_DNS_SRV_MISSING, x.got->status != DNS_OK, r->name)) {
				check_evidence(c, "SRV: %s (asked %.*s)", dns_status_text(x.got->status), SFMT(d->resolver));
				right_record(&x, "add to the zone:");
			} else {
				srv_target(&x);
			}
		}
	}
	for (size_t i = 0; i < d->n; i++)
		if (d->list[i].type == DNS_TLSA)
			tlsa(c, f, &d->list[i]);
	for (size_t i = 0; f->plan && i < d->n_others; i++)
		not_ours(c, f, d->others[i]);
	for (size_t i = 0; f->site && i < f->site->n_homes; i++)
		if (!addr_is_literal(f->site->homes[i].host))
			internal(c, f, &f->site->homes[i], "homes[].next-hop");
	for (size_t i = 0; f->site && i < f->site->n_edges; i++)
		if (!addr_is_literal(f->site->edges[i].host))
			internal(c, f, &f->site->edges[i], "link.edges");
	if (!f->plan)
		check_skip(c, CHECK_DNS, "%.*s", SFMT(f->plan_why));
}
