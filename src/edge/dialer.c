/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/dialer.h"

#include <stdio.h>
#include "base/mem.h"
#include "base/rand.h"
#include "xmpp/srv.h"

enum { MAX_ADDRESSES = 16 };

struct target {
	char host[DNS_NAME_MAX + 1];
	uint16_t port;
	char how[DNS_NAME_MAX + 48];
};

struct dialer {
	struct worker *w;
	struct dns *dns;
	const struct dialer_ops *ops;
	void *arg;
	char domain[DNS_NAME_MAX + 1];
	struct dns_query *srv, *a, *aaaa;
	struct target targets[XMPP_TARGETS];
	size_t n_targets, target; /* target: the next one to resolve */
	struct addr addrs[MAX_ADDRESSES];
	size_t n_addrs, addr;
	unsigned tries;
	bool asked, fixed, private_addresses;
	struct entente_err err;    /* the first cause that DNS gave */
	struct entente_err failed; /* and the first that an address gave: the better explanation */
};

struct dialer *dialer_new(struct worker *w, struct dns *dns, const struct dialer_target *to, const struct dialer_ops *ops, void *arg)
{
	struct dialer *d = MEM_NEW(struct dialer);
	d->w = w;
	d->dns = dns;
	d->ops = ops;
	d->arg = arg;
	slice_cstr(to->domain, d->domain, sizeof d->domain);
	d->private_addresses = to->private_addresses || to->host.len;
	if (to->host.len) {
		d->fixed = true;
		d->n_targets = 1;
		slice_cstr(to->host, d->targets[0].host, sizeof d->targets[0].host);
		d->targets[0].port = to->port ? to->port : XMPP_PORT;
		snprintf(d->targets[0].how, sizeof d->targets[0].how, "fixed %s:%u", d->targets[0].host, d->targets[0].port);
	}
	return d;
}

struct dialer *dialer_free(struct dialer *d)
{
	if (!d)
		return NULL;
	dns_cancel(d->srv);
	dns_cancel(d->a);
	dns_cancel(d->aaaa);
	return mem_free(d);
}

const char *dialer_how(const struct dialer *d)
{
	return d->target ? d->targets[d->target - 1].how : "";
}

static void exhausted(struct dialer *d)
{
	const struct entente_err *why = d->failed.code ? &d->failed : &d->err;
	if (!why->code)
		err_set(&d->err, ENTENTE_ENET, REASON_XMPP_UNREACHABLE, "no address of %s accepts a connection", d->domain);
	d->ops->exhausted(d->arg, why);
}

void dialer_failed(struct dialer *d, const struct entente_err *why)
{
	if (!d->failed.code)
		d->failed = *why;
}

/* Remembers the first cause only: later ones usually follow from it. */
static void cause(struct dialer *d, int code, enum reason reason, const char *what, const char *name, struct slice why)
{
	if (!d->err.code)
		err_set(&d->err, code, reason, "%s of %s: %.*s", what, name, SFMT(why));
}

static void step(struct dialer *d);

/* Addresses of nobody in particular, whoever names them. */
static bool never(const struct addr *a)
{
	return addr_is_any(a) || !addr_port(a) ||
	       (addr_is_v6(a) ? IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr) : ntohl(a->v4.sin_addr.s_addr) >= 0xe0000000);
}

static void add(struct dialer *d, const struct target *t, const struct addr *a)
{
	struct addr to = *a;
	char z[ADDR_TEXT];
	addr_set_port(&to, t->port);
	addr_text(&to, z);
	if (never(&to))
		cause(d, ENTENTE_EREFUSED, REASON_XMPP_UNREACHABLE, "the address", t->host, slice_str(z));
	else if (!d->private_addresses && addr_is_private(&to))
		cause(d, ENTENTE_EREFUSED, REASON_XMPP_UNREACHABLE, "xmpp.private-addresses forbids the address", t->host, slice_str(z));
	else if (d->n_addrs < MAX_ADDRESSES)
		d->addrs[d->n_addrs++] = to;
}

static void addresses(struct dialer *d, const struct dns_answer *ans)
{
	struct target *t = &d->targets[d->target - 1];
	if (ans->status != DNS_OK && ans->status != DNS_NODATA)
		cause(d, ENTENTE_ENET, ans->status == DNS_NXDOMAIN ? REASON_XMPP_DNS : REASON_XMPP_UNREACHABLE, "address look-up", t->host,
		      ans->why);
	for (size_t i = 0; i < ans->n && i < MAX_ADDRESSES / 2; i++) /* neither family takes all the room */
		add(d, t, &ans->records[i].addr);
}

static void both_done(struct dialer *d)
{
	if (!d->n_addrs)
		cause(d, ENTENTE_ENOTFOUND, REASON_XMPP_DNS, "address look-up", d->targets[d->target - 1].host, S("it has no address"));
	step(d);
}

static void a_done(void *arg, const struct dns_answer *ans)
{
	struct dialer *d = arg;
	d->a = NULL;
	addresses(d, ans);
	if (!d->aaaa)
		both_done(d);
}

static void aaaa_done(void *arg, const struct dns_answer *ans)
{
	struct dialer *d = arg;
	d->aaaa = NULL;
	addresses(d, ans);
	if (!d->a)
		both_done(d);
}

static void srv_done(void *arg, const struct dns_answer *ans)
{
	struct dialer *d = arg;
	struct xmpp_srv recs[DNS_RECORDS_MAX];
	struct xmpp_targets out;
	enum xmpp_dns status = XMPP_DNS_FAILED;
	d->srv = NULL;
	if (ans->status == DNS_OK)
		status = XMPP_DNS_FOUND;
	else if (ans->status == DNS_NODATA || ans->status == DNS_NXDOMAIN)
		status = XMPP_DNS_NONE;
	else if (ans->status == DNS_BOGUS)
		status = XMPP_DNS_BOGUS;
	else
		cause(d, ENTENTE_ENET, REASON_XMPP_UNREACHABLE, "SRV look-up", d->domain, ans->why);
	for (size_t i = 0; i < ans->n; i++)
		recs[i] = (struct xmpp_srv){.priority = ans->records[i].srv.priority, .weight = ans->records[i].srv.weight,
					    .port = ans->records[i].srv.port, .target = ans->records[i].srv.target};
	if (xmpp_srv_targets(&out, slice_str(d->domain), status, recs, ans->n, rand_below, &d->err)) {
		exhausted(d);
		return;
	}
	for (size_t i = 0; i < out.n; i++) {
		struct target *t = &d->targets[i];
		slice_cstr(out.t[i].host, t->host, sizeof t->host);
		t->port = out.t[i].port;
		if (out.t[i].fallback)
			snprintf(t->how, sizeof t->how, "fallback %s:%u", t->host, t->port);
		else
			snprintf(t->how, sizeof t->how, "srv %u %u %s:%u%s", out.t[i].priority, out.t[i].weight, t->host, t->port,
				 ans->secure ? " dnssec" : "");
	}
	d->n_targets = out.n;
	step(d);
}

/* The next thing to do: give out an address, resolve the next target, look SRV up, or give up. */
static void step(struct dialer *d)
{
	if (d->tries == DIALER_TRIES) {
		exhausted(d);
		return;
	}
	if (d->addr < d->n_addrs) {
		struct addr to = d->addrs[d->addr++];
		d->tries++;
		d->ops->address(d->arg, &to, slice_str(d->targets[d->target - 1].host));
		return;
	}
	if (!d->asked && !d->fixed) {
		char name[DNS_NAME_MAX + 32];
		d->asked = true;
		snprintf(name, sizeof name, "_xmpp-server._tcp.%s", d->domain);
		d->srv = dns_ask(d->dns, d->w, slice_str(name), DNS_SRV, srv_done, d);
		return;
	}
	if (d->target == d->n_targets) {
		exhausted(d);
		return;
	}
	struct target *t = &d->targets[d->target++];
	d->n_addrs = d->addr = 0;
	struct addr literal;
	if (addr_is_literal(slice_str(t->host)) && addr_parse(slice_str(t->host), t->port, &literal)) {
		add(d, t, &literal);
		step(d);
		return;
	}
	d->aaaa = dns_ask(d->dns, d->w, slice_str(t->host), DNS_AAAA, aaaa_done, d);
	d->a = dns_ask(d->dns, d->w, slice_str(t->host), DNS_A, a_done, d);
}

void dialer_next(struct dialer *d)
{
	step(d);
}
