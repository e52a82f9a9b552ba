/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/dialer.h"

#include <stdio.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "xmpp/srv.h"

enum { MAX_ADDRESSES = 16 };

struct target {
	char host[DNS_NAME_MAX + 1];
	uint16_t port;
	bool direct;
	char how[DNS_NAME_MAX + 48];
};

struct dialer {
	struct worker *w;
	struct dns *dns;
	const struct dialer_ops *ops;
	void *arg;
	char domain[DNS_NAME_MAX + 1];
	struct arena *found; /* records, until both services have answered */
	struct service {     /* 0: STARTTLS, 1: direct TLS */
		struct dialer *dialer;
		struct dns_query *query;
		struct xmpp_srv_answer answer;
		bool secure;
	} srv[2];
	struct dns_query *a, *aaaa;
	struct target *targets;   /* XMPP_TARGETS places: 7 KiB, so not kept longer than needed */
	size_t n_targets, target; /* target: the next one to resolve */
	struct addr addrs[MAX_ADDRESSES];
	size_t n_addrs, addr;
	unsigned tries;
	bool asked, fixed, direct, private_addresses;
	struct entente_err err;    /* the first cause that DNS gave */
	struct entente_err failed; /* and the first that an address gave: the better explanation */
};

struct dialer *dialer_new(struct worker *w, struct dns *dns, const struct dialer_target *to, const struct dialer_ops *ops,
			  void *arg)
{
	struct dialer *d = MEM_NEW(struct dialer);
	d->targets = mem_calloc(XMPP_TARGETS, sizeof *d->targets);
	d->w = w;
	d->dns = dns;
	d->ops = ops;
	d->arg = arg;
	slice_cstr(to->domain, d->domain, sizeof d->domain);
	d->private_addresses = to->private_addresses || to->host.len;
	d->direct = to->direct;
	if (to->host.len) {
		d->fixed = true;
		d->n_targets = 1;
		slice_cstr(to->host, d->targets[0].host, sizeof d->targets[0].host);
		d->targets[0].port = to->port ? to->port : XMPP_PORT;
		d->targets[0].direct = to->direct && to->port == XMPP_PORT_DIRECT;
		snprintf(d->targets[0].how, sizeof d->targets[0].how, "fixed %s:%u%s", d->targets[0].host, d->targets[0].port,
			 d->targets[0].direct ? " direct" : "");
	}
	return d;
}

struct dialer *dialer_free(struct dialer *d)
{
	if (!d)
		return NULL;
	dns_cancel(d->srv[0].query);
	dns_cancel(d->srv[1].query);
	arena_release(d->w->loop->arenas, d->found);
	dns_cancel(d->a);
	dns_cancel(d->aaaa);
	mem_free(d->targets);
	return mem_free(d);
}

void dialer_settle(struct dialer *d)
{
	if (!d->target)
		return;
	struct target *t = mem_realloc(NULL, sizeof *t);
	*t = d->targets[d->target - 1];
	mem_free(d->targets);
	d->targets = t;
	d->n_targets = d->target = 1;
}

const char *dialer_how(const struct dialer *d)
{
	return d->target ? d->targets[d->target - 1].how : "";
}

bool dialer_direct(const struct dialer *d)
{
	return d->target && d->targets[d->target - 1].direct;
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

static void tell(struct dialer *d, const struct dns_answer *ans)
{
	enum { LINE = 2048 };
	struct buf b;
	if (!d->ops->note)
		return;
	buf_init(&b, LINE);
	buf_printf(&b, "%s %.*s:", ans->type == DNS_SRV ? "SRV" : ans->type == DNS_AAAA ? "AAAA" : "A", SFMT(ans->name));
	for (size_t i = 0; i < ans->n && b.len < LINE - 400; i++) {
		const struct dns_record *r = &ans->records[i];
		char z[ADDR_TEXT];
		buf_puts(&b, i ? ", " : " ");
		if (ans->type == DNS_SRV) {
			buf_printf(&b, "%u %u %.*s:%u", r->srv.priority, r->srv.weight, SFMT(r->srv.target.len ? r->srv.target : S(".")),
				   r->srv.port);
			continue;
		}
		addr_host_text(&r->addr, z);
		buf_puts(&b, z);
	}
	if (ans->status == DNS_NODATA || ans->status == DNS_NXDOMAIN)
		buf_printf(&b, " none (%s)", ans->status == DNS_NODATA ? "no such record" : "no such name");
	else if (ans->status != DNS_OK)
		buf_printf(&b, " %s%s%.*s", dns_status_text(ans->status), ans->why.len ? ", " : "", SFMT(slice_first(ans->why, 200)));
	if (ans->canonical.len && !slice_ieq(ans->canonical, ans->name))
		buf_printf(&b, " (alias of %.*s)", SFMT(ans->canonical));
	buf_puts(&b, ans->secure ? " (dnssec)" : "");
	d->ops->note(d->arg, buf_slice(&b));
	buf_free(&b);
}

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
		cause(d, ENTENTE_EREFUSED, REASON_XMPP_UNREACHABLE, "xmpp.private-addresses forbids the address", t->host,
		      slice_str(z));
	else if (d->n_addrs < MAX_ADDRESSES)
		d->addrs[d->n_addrs++] = to;
}

static void addresses(struct dialer *d, const struct dns_answer *ans)
{
	struct target *t = &d->targets[d->target - 1];
	tell(d, ans);
	if (ans->status != DNS_OK && ans->status != DNS_NODATA)
		cause(d, ENTENTE_ENET, ans->status == DNS_NXDOMAIN ? REASON_XMPP_DNS : REASON_XMPP_UNREACHABLE, "address look-up",
		      t->host, ans->why);
	for (size_t i = 0; i < ans->n && i < MAX_ADDRESSES / 2; i++) /* neither family takes all the room */
		add(d, t, &ans->records[i].addr);
}

static void both_done(struct dialer *d)
{
	if (!d->n_addrs)
		cause(d, ENTENTE_ENOTFOUND, REASON_XMPP_DNS, "address look-up", d->targets[d->target - 1].host,
		      S("it has no address"));
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

/* Both services have answered. */
static void services_done(struct dialer *d)
{
	struct xmpp_targets out;
	int rc = xmpp_srv_targets(&out, slice_str(d->domain), &d->srv[0].answer, d->direct ? &d->srv[1].answer : NULL, rand_below,
				  &d->err);
	for (size_t i = 0; !rc && i < out.n; i++) {
		struct target *t = &d->targets[d->n_targets++];
		slice_cstr(out.t[i].host, t->host, sizeof t->host);
		t->port = out.t[i].port;
		t->direct = out.t[i].direct;
		if (out.t[i].fallback)
			snprintf(t->how, sizeof t->how, "fallback %.*s:%u", SFMT(out.t[i].host), out.t[i].port);
		else
			snprintf(t->how, sizeof t->how, "srv %u %u %.*s:%u%s%s", out.t[i].priority, out.t[i].weight,
				 SFMT(out.t[i].host), out.t[i].port, out.t[i].direct ? " direct" : "",
				 d->srv[out.t[i].direct].secure ? " dnssec" : "");
	}
	d->found = arena_release(d->w->loop->arenas, d->found);
	if (rc)
		exhausted(d);
	else
		step(d);
}

static void srv_done(void *arg, const struct dns_answer *ans)
{
	struct service *v = arg;
	struct dialer *d = v->dialer;
	struct xmpp_srv *recs = arena_alloc(d->found, ans->n * sizeof *recs);
	v->query = NULL;
	tell(d, ans);
	v->secure = ans->secure;
	v->answer.status = XMPP_DNS_FAILED;
	if (ans->status == DNS_OK)
		v->answer.status = XMPP_DNS_FOUND;
	else if (ans->status == DNS_NODATA || ans->status == DNS_NXDOMAIN)
		v->answer.status = XMPP_DNS_NONE;
	else if (ans->status == DNS_BOGUS)
		v->answer.status = XMPP_DNS_BOGUS;
	else
		cause(d, ENTENTE_ENET, REASON_XMPP_UNREACHABLE, "SRV look-up", d->domain, ans->why);
	for (size_t i = 0; recs && i < ans->n; i++)
		recs[v->answer.n++] = (struct xmpp_srv){.priority = ans->records[i].srv.priority,
							.weight = ans->records[i].srv.weight,
							.port = ans->records[i].srv.port,
							.target = arena_dup(d->found, ans->records[i].srv.target)};
	v->answer.records = recs;
	if (!d->srv[0].query && !d->srv[1].query)
		services_done(d);
}

static void look_up(struct dialer *d)
{
	static const char *const service[] = {"_xmpp-server", "_xmpps-server"};
	unsigned n = d->direct ? 2 : 1;
	d->asked = true;
	d->found = arena_acquire(d->w->loop->arenas);
	for (unsigned i = 0; i < n; i++) {
		char name[DNS_NAME_MAX + 32];
		snprintf(name, sizeof name, "%s._tcp.%s", service[i], d->domain);
		d->srv[i].dialer = d;
		d->srv[i].query = dns_ask(d->dns, d->w, slice_str(name), DNS_SRV, srv_done, &d->srv[i]);
	}
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
		look_up(d);
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
