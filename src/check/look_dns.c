/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the resolver for each name of the plan, then for where the answers lead. */
#include <stdio.h>
#include "base/mem.h"
#include "check/judge.h"
#include "check/looking.h"

enum { OTHERS_MAX = 32, LOOKUPS_MAX = 20000, ROUND_MS = 60000 };

struct asking {
	struct check_looking *x;
	size_t cap, pending, asked, done;
};
struct question {
	struct asking *all;
	size_t at;
};

static void keep(struct check_looking *x, struct check_lookup *l, const struct dns_answer *a)
{
	struct dns_record *list = arena_alloc(x->a, (a->n + 1) * sizeof *list);
	l->status = a->status;
	l->secure = a->secure;
	l->cnames = a->cnames;
	l->canonical = arena_dup(x->a, a->canonical);
	l->why = arena_dup(x->a, a->why);
	for (size_t i = 0; list && i < a->n; i++) {
		struct dns_record r = a->records[i];
		if (r.type == DNS_SRV)
			r.srv.target = arena_dup(x->a, r.srv.target);
		else if (r.type == DNS_TLSA)
			r.tlsa.data = arena_dup(x->a, r.tlsa.data);
		list[l->n++] = r;
	}
	l->records = list;
}

static void on_answer(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;
	struct asking *s = q->all;
	keep(s->x, &s->x->f->dns.list[q->at], a);
	s->pending--;
	s->done++;
	if (s->done % 8 == 0 || !s->pending)
		check_progress(s->x, "DNS: %zu of %zu answers", s->done, s->asked);
}

static void ask(struct asking *s, struct slice name, enum dns_type type)
{
	struct check_dns *d = &s->x->f->dns;
	struct worker *self = pool_control(s->x->pool);
	if (!name.len || addr_is_literal(name) || check_lookup(d, name, type) || d->n >= LOOKUPS_MAX)
		return;
	if (d->n == s->cap) { /* answers find their place by its number */
		s->cap = s->cap ? 2 * s->cap : 64;
		struct check_lookup *list = arena_alloc(s->x->a, s->cap * sizeof *list);
		if (!list)
			return;
		if (d->n)
			memcpy(list, d->list, d->n * sizeof *list);
		d->list = list;
	}
	struct question *q = ARENA_NEW(s->x->a, struct question);
	if (!q)
		return;
	*q = (struct question){s, d->n};
	d->list[d->n++] = (struct check_lookup){.name = arena_dup(s->x->a, name), .type = type, .status = DNS_TIMEOUT};
	s->pending++;
	s->asked++;
	dns_ask(s->x->dns, self, name, type, on_answer, q);
}

static void addresses(struct asking *s, struct slice name)
{
	ask(s, name, DNS_A);
	ask(s, name, DNS_AAAA);
}

static void ask_below(struct asking *s, const char *label, struct slice domain, enum dns_type type)
{
	char z[DNS_NAME_MAX + 64];
	int n = snprintf(z, sizeof z, "%s%.*s", label, SFMT(domain));
	if (n > 0 && n <= DNS_NAME_MAX)
		ask(s, slice_of(z, (size_t)n), type);
}

/* ---- domains that DNS might lead here for, though no home serves them */

static bool served(const struct plan_site *site, struct slice domain)
{
	for (size_t i = 0; i < site->n_domains; i++)
		if (slice_ieq(site->domains[i], domain))
			return true;
	return slice_ieq(site->server_name, domain);
}

static void suspect(struct check_looking *x, struct slice *list, size_t *n, struct slice name)
{
	if (*n == OTHERS_MAX || slice_starts(name, S("*.")) || slice_find_chr(name, '.') < 0 || served(x->f->site, name))
		return;
	for (size_t i = 0; i < *n; i++)
		if (slice_ieq(list[i], name))
			return;
	list[(*n)++] = arena_dup(x->a, name);
}

static void others(struct check_looking *x)
{
	struct slice *list = arena_alloc(x->a, OTHERS_MAX * sizeof *list);
	size_t n = 0;
	if (!list)
		return;
	for (size_t i = 0; i < x->f->certs.n; i++) {
		const struct tls_peer *l = x->f->certs.list[i].leaf;
		for (size_t k = 0; l && x->f->certs.list[i].role == CHECK_CERT_SERVER && k < l->n_dns; k++) {
			struct slice name = l->dns[k];
			suspect(x, list, &n, slice_istarts(name, S("sip.")) ? slice_skip(name, 4) : name);
		}
	}
	for (size_t i = 0; i < x->f->site->n_domains; i++) {
		struct slice parent = x->f->site->domains[i];
		slice_split(&parent, '.');
		suspect(x, list, &n, parent);
	}
	x->f->dns.others = list;
	x->f->dns.n_others = n;
}

/* ---- */

static void tlsa_names(struct asking *s)
{
	char z[DNS_NAME_MAX + 32];
	const struct plan *p = s->x->f->plan;
	for (size_t i = 0; p && i < p->n_records; i++)
		if (p->records[i].type == PLAN_SRV) {
			int n = snprintf(z, sizeof z, "_%u._tcp.%.*s", p->records[i].port, SFMT(p->records[i].target));
			if (n > 0 && n <= DNS_NAME_MAX)
				ask(s, slice_of(z, (size_t)n), DNS_TLSA);
		}
}

static void of_endpoints(struct asking *s, const struct plan_endpoint *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (addr_is_literal(list[i].host))
			continue;
		addresses(s, list[i].host);
		ask_below(s, slice_eq(list[i].transport, S("udp")) ? "_sip._udp." : slice_eq(list[i].transport, S("tls")) ? "_sips._tcp." : "_sip._tcp.",
			  list[i].host, DNS_SRV);
	}
}

static struct slice resolver_text(struct check_looking *x)
{
	const struct config *g = x->f->config;
	if (x->o.resolver.len)
		return arena_printf(x->a, "resolver %.*s", SFMT(x->o.resolver));
	if (g->dns_servers.n == 1)
		return arena_printf(x->a, "resolver %s", g->dns_servers.items[0]);
	return g->dns_servers.n ? arena_printf(x->a, "resolver %s and %zu more", g->dns_servers.items[0], g->dns_servers.n - 1)
				: S("the resolvers of /etc/resolv.conf");
}

void check_look_dns(struct check_looking *x)
{
	struct check_dns *d = &x->f->dns;
	struct asking *s = arena_alloc(x->a, sizeof *s); /* an answer that comes after the time is over is still told */
	if (!s || d->have || !x->f->config || !x->f->site)
		return;
	*s = (struct asking){.x = x};
	if (!check_resolver(x)) {
		d->why = x->dns_why;
		return;
	}
	d->have = true;
	d->validating = *x->f->config->dns_trust_anchor != 0;
	d->resolver = resolver_text(x);
	for (size_t i = 0; x->f->plan && i < x->f->plan->n_records; i++) {
		const struct plan_record *r = &x->f->plan->records[i];
		if (r->type == PLAN_SRV)
			ask(s, r->name, DNS_SRV);
		else if (r->type == PLAN_A || r->type == PLAN_AAAA)
			addresses(s, r->name);
	}
	tlsa_names(s);
	if (x->f->plan)
		others(x);
	for (size_t i = 0; i < d->n_others; i++) {
		ask_below(s, "_xmpp-server._tcp.", d->others[i], DNS_SRV);
		ask_below(s, "_xmpps-server._tcp.", d->others[i], DNS_SRV);
		ask_below(s, "_sipfederationtls._tcp.", d->others[i], DNS_SRV);
	}
	of_endpoints(s, x->f->site->homes, x->f->site->n_homes);
	of_endpoints(s, x->f->site->edges, x->f->site->n_edges);
	check_turn(x, &s->pending, ROUND_MS);
}
