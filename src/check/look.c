/* SPDX-License-Identifier: Apache-2.0 */
#include "check/looking.h"

#include <ifaddrs.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"

enum { LOCAL_MAX = 256 };

static void interfaces(struct check_facts *f, struct arena *a)
{
	struct ifaddrs *all = NULL;
	struct addr *list = arena_alloc(a, LOCAL_MAX * sizeof *list);
	if (!list || getifaddrs(&all))
		return;
	for (const struct ifaddrs *i = all; i && f->n_local < LOCAL_MAX; i = i->ifa_next)
		if (i->ifa_addr && addr_from_sockaddr(i->ifa_addr, &list[f->n_local]))
			f->n_local++;
	freeifaddrs(all);
	f->local = list;
}

struct check_looking *check_look_begin(struct check_facts *f, struct arena *a, const struct check_options *o)
{
	struct check_looking *x = MEM_NEW(struct check_looking);
	struct entente_err err = {0};
	*x = (struct check_looking){.f = f, .a = a, .o = *o};
	if (pool_new(&x->pool, &(struct pool_opts){.workers = 1}, &err))
		x->dns_why = arena_dup(a, slice_str(err.text));
	f->now = clock_unix();
	interfaces(f, a);
	return x;
}

struct check_looking *check_look_end(struct check_looking *x)
{
	if (!x)
		return NULL;
	dns_free(x->dns);
	pool_free(x->pool);
	return mem_free(x);
}

struct dns *check_resolver(struct check_looking *x)
{
	enum { PATIENCE_MS = 5000 };
	const struct config *g = x->f->config;
	struct entente_err err = {0};
	char own[ADDR_TEXT + 8];
	const char *one = own;
	if (x->dns || x->dns_why.len || !g)
		return x->dns;
	struct dns_opts o = {.servers = g->dns_servers.n ? g->dns_servers.items : NULL, .n_servers = g->dns_servers.n,
			     .trust_anchor_file = *g->dns_trust_anchor ? g->dns_trust_anchor : NULL,
			     .timeout_ms = g->timers_dns < PATIENCE_MS ? (unsigned)g->timers_dns : PATIENCE_MS};
	if (x->o.resolver.len && slice_cstr(x->o.resolver, own, sizeof own)) {
		o.servers = &one;
		o.n_servers = 1;
		o.hosts = ""; /* what others would hear */
	}
	if (dns_new(&x->dns, pool_control(x->pool), &o, &err))
		x->dns_why = arena_dup(x->a, slice_str(err.text));
	return x->dns;
}

bool check_turn(struct check_looking *x, const size_t *pending, uint64_t ms)
{
	enum { TURN_MS = 100 };
	for (uint64_t end = clock_ms() + ms; *pending && clock_ms() < end;)
		loop_once(pool_control(x->pool)->loop, TURN_MS);
	return !*pending;
}

void check_progress(struct check_looking *x, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	if (!x->o.progress)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	x->o.progress(x->o.arg, text);
}

void check_facts_free(struct check_facts *f)
{
	for (size_t i = 0; i < f->certs.n; i++) {
		struct check_cert *k = &f->certs.list[i];
		tls_peer_free((struct tls_peer *)(uintptr_t)k->leaf);
		for (size_t n = 0; n < k->n_above; n++)
			tls_peer_free((struct tls_peer *)(uintptr_t)k->above[n]);
	}
	for (size_t i = 0; i < f->ports.n_probes; i++)
		tls_peer_free((struct tls_peer *)(uintptr_t)f->ports.probes[i].leaf);
	f->certs.n = f->ports.n_probes = 0;
}
