/* SPDX-License-Identifier: Apache-2.0 */
/* What the dialer asks DNS, and what it makes of the answers. */
#include "edge/dialer_int.h"

#include <stdio.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"

enum {
	RESOLUTION_DELAY_MS = 50, /* the other family's answer is awaited so long (RFC 8305 3) */
	SERVICE_NAME = DNS_NAME_MAX + 32,
	HTTPS_PORT = 443,         /* of the ports below 1024 the one that servers behind firewalls do use */
};

/* What was refused or is broken explains more than what was not found. */
static bool weighs(int code)
{
	return code == ENTENTE_EAUTH || code == ENTENTE_EREFUSED || code == ENTENTE_ELIMIT;
}

/* Remembers the first cause of most weight: later ones usually follow from it. */
static void cause(struct dialer *d, int code, enum reason reason, const char *what, const char *name, struct slice why)
{
	if (!d->err.code || (weighs(code) && !weighs(d->err.code)))
		err_set(&d->err, code, reason, "%s of %s: %.*s", what, name, SFMT(why));
}

/* So many of four parts of the time that is left may be spent on the question that is asked now: what comes after it needs some. */
static void be_patient(struct dialer *d, unsigned parts)
{
	struct timers *t = dialer_timers(d);
	if (!d->deadline)
		d->deadline = t->now + dns_patience(d->dns);
	timer_arm(t, &d->patience, d->deadline > t->now ? (d->deadline - t->now) * parts / 4 : 0);
}

/* ---- addresses of a target */

static const char *type_name(enum dns_type t)
{
	return t == DNS_SRV ? "SRV" : t == DNS_AAAA ? "AAAA" : t == DNS_TLSA ? "TLSA" : "A";
}

static void tell(struct dialer *d, const struct dns_answer *ans)
{
	enum { LINE = 2048 };
	struct buf b;
	if (!d->ops->note)
		return;
	buf_init(&b, LINE);
	buf_printf(&b, "%s %.*s:", type_name(ans->type), SFMT(ans->name));
	for (size_t i = 0; i < ans->n && b.len < LINE - 400; i++) {
		const struct dns_record *r = &ans->records[i];
		char z[ADDR_TEXT];
		buf_puts(&b, i ? ", " : " ");
		if (ans->type == DNS_SRV) {
			struct slice target = r->srv.target.len ? r->srv.target : S(".");
			buf_printf(&b, "%u %u %.*s:%u", r->srv.priority, r->srv.weight, SFMT(target), r->srv.port);
			continue;
		}
		if (ans->type == DNS_TLSA) {
			buf_printf(&b, "%u %u %u", r->tlsa.usage, r->tlsa.selector, r->tlsa.matching);
			continue;
		}
		addr_host_text(&r->addr, z);
		buf_puts(&b, z);
	}
	if (ans->status == DNS_NODATA || ans->status == DNS_NXDOMAIN)
		buf_printf(&b, " none (%s)", ans->status == DNS_NODATA ? "no such record" : "no such name");
	else if (ans->status != DNS_OK)
		buf_printf(&b, " %s%s%.*s", dns_status_text(ans->status), ans->why.len ? ", " : "",
			SFMT(slice_first(ans->why, 200)));
	if (ans->canonical.len && !slice_ieq(ans->canonical, ans->name))
		buf_printf(&b, " (alias of %.*s)", SFMT(ans->canonical));
	buf_puts(&b, ans->secure ? " (dnssec)" : "");
	d->ops->note(d->arg, buf_slice(&b));
	buf_free(&b);
}

/* Addresses of nobody in particular, whoever names them. */
static bool never(const struct addr *a)
{
	return addr_is_any(a) || !addr_port(a) || addr_is_multicast(a);
}

/* One of each family in turn, IPv6 first, each family in the order of DNS (RFC 8305 4). */
static void insert(struct dialer *d, const struct addr *to)
{
	size_t at = d->addr, nth = 0;
	bool v6 = addr_is_v6(to);
	for (size_t i = d->addr; i < d->n_addrs; i++)
		nth += addr_is_v6(&d->addrs[i]) == v6;
	at = d->addr + 2 * nth + !v6;
	if (at > d->n_addrs)
		at = d->n_addrs;
	memmove(&d->addrs[at + 1], &d->addrs[at], (d->n_addrs - at) * sizeof *d->addrs);
	d->addrs[at] = *to;
	d->n_addrs++;
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
		insert(d, &to);
}

static void keep_alias(struct dialer *d, const struct dns_answer *ans)
{
	if (ans->cnames && ans->secure && !slice_ieq(ans->canonical, ans->name))
		slice_cstr(ans->canonical, d->alias, sizeof d->alias);
}

static void addresses(struct dialer *d, const struct dns_answer *ans)
{
	const struct target *t = dialer_present(d);
	tell(d, ans);
	if (ans->status == DNS_BOGUS)
		cause(d, ENTENTE_EAUTH, REASON_XMPP_DNSSEC, "address look-up", t->host, ans->why);
	else if (ans->status != DNS_OK && ans->status != DNS_NODATA)
		cause(d, ENTENTE_ENET, ans->status == DNS_NXDOMAIN && !ans->late ? REASON_XMPP_DNS : REASON_XMPP_DNS_FAILED, "address look-up",
		      t->host, ans->why);
	if (ans->cnames > DIALER_CNAMES) {
		cause(d, ENTENTE_ELIMIT, REASON_XMPP_DNS, "address look-up", t->host,
			S("too many aliases (CNAME) one after the other"));
		return;
	}
	if (ans->n)
		d->addresses_secure = d->addresses_secure && ans->secure;
	keep_alias(d, ans);
	for (size_t i = 0; i < ans->n && i < MAX_ADDRESSES / 2; i++) /* neither family takes all the room */
		add(d, t, &ans->records[i].addr);
}

static void go_on(struct dialer *d)
{
	if (!d->n_addrs)
		cause(d, ENTENTE_ENOTFOUND, REASON_XMPP_DNS, "address look-up", dialer_present(d)->host, S("it has no address"));
	d->resolved = true;
	dialer_step(d);
}

/* ---- TLSA (RFC 7673): only where DNSSEC vouches for all that led here */

static void keep_record(struct dialer *d, const struct dns_record *r)
{
	if (d->n_records == DIALER_TLSA || !r->tlsa.data.len)
		return;
	d->records[d->n_records++] = (struct tls_tlsa){r->tlsa.usage, r->tlsa.selector, r->tlsa.matching,
						       slice_of(mem_strndup(r->tlsa.data.p, r->tlsa.data.len), r->tlsa.data.len)};
}

static void ask_tlsa(struct dialer *d);

static void tlsa_done(void *arg, const struct dns_answer *ans)
{
	struct dialer *d = arg;
	struct target *t = &d->targets[d->target - 1];
	d->tlsa = NULL;
	tell(d, ans);
	if (ans->status == DNS_OK && ans->secure) {
		for (size_t i = 0; i < ans->n; i++)
			keep_record(d, &ans->records[i]);
		size_t n = strlen(t->how);
		snprintf(t->how + n, sizeof t->how - n, " tlsa");
	} else if (ans->status == DNS_OK || ans->status == DNS_NODATA || ans->status == DNS_NXDOMAIN) {
		if (d->alias[0]) { /* RFC 7671 7: the name itself when its alias has none */
			d->alias[0] = 0;
			ask_tlsa(d);
			return;
		}
	} else { /* whoever can make the answer vanish must not gain by it: this server is not used */
		bool bogus = ans->status == DNS_BOGUS;
		cause(d, bogus ? ENTENTE_EAUTH : ENTENTE_ENET, bogus ? REASON_XMPP_DNSSEC : REASON_XMPP_DNS_FAILED,
		      "TLSA look-up", t->host, ans->why);
		d->n_addrs = d->addr = 0;
	}
	go_on(d);
}

static void tlsa_name(const struct dialer *d, char ret[SERVICE_NAME])
{
	const struct target *t = dialer_present(d);
	snprintf(ret, SERVICE_NAME, "_%u._tcp.%s", t ? t->port : XMPP_PORT, d->alias[0] ? d->alias : t ? t->host : d->domain);
}

static void ask_tlsa(struct dialer *d)
{
	char name[SERVICE_NAME];
	tlsa_name(d, name);
	be_patient(d, d->target < d->n_targets ? 3 : 4);
	d->tlsa = dns_ask(d->dns, d->w, slice_str(name), DNS_TLSA, tlsa_done, d);
}

static void addresses_done(struct dialer *d)
{
	timer_cancel(dialer_timers(d), &d->late);
	if (d->resolved) { /* the second family came late, and the first one is being tried */
		if (d->racing) {
			dialer_race(d);
		} else if (d->waiting) {
			d->waiting = false;
			dialer_step(d);
		}
	} else if (d->dane && dialer_present(d)->secure && d->addresses_secure && d->n_addrs) {
		ask_tlsa(d);
	} else {
		go_on(d);
	}
}

void dialer_late(struct timer *t, uint64_t now)
{
	struct dialer *d = CONTAINER_OF(t, struct dialer, late);
	(void)now;
	if (!d->resolved)
		go_on(d);
}

static void family_done(struct dialer *d, const struct dns_answer *ans)
{
	addresses(d, ans);
	if (!d->a && !d->aaaa)
		addresses_done(d);
	else if (d->n_addrs && !(d->dane && dialer_present(d)->secure)) /* TLSA records need both: one of them may be insecure */
		timer_arm(dialer_timers(d), &d->late, RESOLUTION_DELAY_MS);
}

static void a_done(void *arg, const struct dns_answer *ans)
{
	struct dialer *d = arg;
	d->a = NULL;
	family_done(d, ans);
}

static void aaaa_done(void *arg, const struct dns_answer *ans)
{
	struct dialer *d = arg;
	d->aaaa = NULL;
	family_done(d, ans);
}

static void drop_records(struct dialer *d)
{
	for (size_t i = 0; i < d->n_records; i++)
		mem_free((void *)(uintptr_t)d->records[i].data.p);
	d->n_records = 0;
}

void dialer_dns_end(struct dialer *d)
{
	timer_cancel(dialer_timers(d), &d->late);
	timer_cancel(dialer_timers(d), &d->patience);
	dns_cancel(d->srv[0].query);
	dns_cancel(d->srv[1].query);
	arena_release(d->w->loop->arenas, d->found);
	dns_cancel(d->a);
	dns_cancel(d->aaaa);
	dns_cancel(d->tlsa);
	drop_records(d);
}

void dialer_resolve(struct dialer *d, struct target *t)
{
	struct addr literal;
	d->n_addrs = d->addr = 0;
	d->alias[0] = 0;
	d->addresses_secure = true;
	d->resolved = false;
	drop_records(d);
	timer_cancel(dialer_timers(d), &d->late);
	d->a = dns_cancel(d->a);
	d->aaaa = dns_cancel(d->aaaa);
	if (addr_is_literal(slice_str(t->host)) && addr_parse(slice_str(t->host), t->port, &literal)) {
		add(d, t, &literal);
		d->resolved = true;
		dialer_step(d);
		return;
	}
	be_patient(d, d->target < d->n_targets ? 2 : d->dane && t->secure ? 3 : 4); /* TLSA comes after it */
	d->aaaa = dns_ask(d->dns, d->w, slice_str(t->host), DNS_AAAA, aaaa_done, d);
	d->a = dns_ask(d->dns, d->w, slice_str(t->host), DNS_A, a_done, d);
}

/* ---- SRV */

/* Other services live on the ports below 1024: DNS of a stranger must not make us knock there. */
static bool port_ok(struct dialer *d, const struct xmpp_target *t)
{
	if (t->port >= 1024 || t->port == HTTPS_PORT)
		return true;
	char host[DNS_NAME_MAX + 1], text[64];
	slice_cstr(t->host, host, sizeof host);
	snprintf(text, sizeof text, "%u belongs to another service", t->port);
	cause(d, ENTENTE_EREFUSED, REASON_XMPP_UNREACHABLE, "the port", host, slice_str(text));
	return false;
}

static void add_target(struct dialer *d, const struct xmpp_target *from)
{
	if (!port_ok(d, from))
		return;
	struct target *t = &d->targets[d->n_targets++];
	slice_cstr(from->host, t->host, sizeof t->host);
	t->port = from->port;
	t->direct = from->direct;
	t->srv = !from->fallback;
	t->secure = from->fallback ? d->srv[0].secure && (!d->direct || d->srv[1].secure) : d->srv[from->direct].secure;
	if (from->fallback)
		snprintf(t->how, sizeof t->how, "fallback %.*s:%u", SFMT(from->host), from->port);
	else
		snprintf(t->how, sizeof t->how, "srv %u %u %.*s:%u%s%s", from->priority, from->weight, SFMT(from->host),
			 from->port, from->direct ? " direct" : "", t->secure ? " dnssec" : "");
}

/* Both services have answered. */
static void services_done(struct dialer *d)
{
	struct xmpp_targets out;
	bool bogus = d->srv[0].answer.status == XMPP_DNS_BOGUS || d->srv[1].answer.status == XMPP_DNS_BOGUS;
	int rc = xmpp_srv_targets(&out, slice_str(d->domain), &d->srv[0].answer, d->direct ? &d->srv[1].answer : NULL, rand_below,
				  &d->err);
	if (rc && bogus)
		d->err.reason = REASON_XMPP_DNSSEC;
	for (size_t i = 0; !rc && i < out.n; i++)
		add_target(d, &out.t[i]);
	d->found = arena_release(d->w->loop->arenas, d->found);
	if (rc)
		dialer_exhausted(d);
	else
		dialer_step(d);
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
	if (ans->cnames > DIALER_CNAMES)
		cause(d, ENTENTE_ELIMIT, REASON_XMPP_DNS, "SRV look-up", d->domain,
			S("too many aliases (CNAME) one after the other"));
	else if (ans->status == DNS_OK)
		v->answer.status = XMPP_DNS_FOUND;
	else if (ans->status == DNS_NODATA || ans->status == DNS_NXDOMAIN)
		v->answer.status = XMPP_DNS_NONE;
	else if (ans->status == DNS_BOGUS)
		v->answer.status = XMPP_DNS_BOGUS;
	else
		cause(d, ENTENTE_ENET, REASON_XMPP_DNS_FAILED, "SRV look-up", d->domain, ans->why);
	for (size_t i = 0; recs && i < ans->n; i++)
		recs[v->answer.n++] = (struct xmpp_srv){.priority = ans->records[i].srv.priority,
							.weight = ans->records[i].srv.weight,
							.port = ans->records[i].srv.port,
							.target = arena_dup(d->found, ans->records[i].srv.target)};
	v->answer.records = recs;
	if (!d->srv[0].query && !d->srv[1].query)
		services_done(d);
}

static void service_name(const struct dialer *d, unsigned i, char ret[SERVICE_NAME])
{
	snprintf(ret, SERVICE_NAME, "%s._tcp.%s", i ? "_xmpps-server" : "_xmpp-server", d->domain);
}

void dialer_look_up(struct dialer *d)
{
	unsigned n = d->direct ? 2 : 1;
	d->asked = true;
	d->found = arena_acquire(d->w->loop->arenas);
	be_patient(d, 3); /* without an answer the domain itself is looked for (RFC 6120 3.2.1) */
	for (unsigned i = 0; i < n; i++) {
		char name[SERVICE_NAME];
		service_name(d, i, name);
		d->srv[i].dialer = d;
		d->srv[i].query = dns_ask(d->dns, d->w, slice_str(name), DNS_SRV, srv_done, &d->srv[i]);
	}
}

/* ---- no answer in time */

static struct dns_answer silence(enum dns_type type, const char *name)
{
	return (struct dns_answer){.status = DNS_TIMEOUT,
				   .type = type,
				   .name = slice_str(name),
				   .canonical = slice_str(name),
				   .why = slice_str(dns_status_text(DNS_TIMEOUT))};
}

/* Only the last call of these may end the dialer. */
void dialer_dns_silent(struct timer *timer, uint64_t now)
{
	struct dialer *d = CONTAINER_OF(timer, struct dialer, patience);
	const char *host = d->target ? dialer_present(d)->host : d->domain;
	char starttls[SERVICE_NAME], direct[SERVICE_NAME], port[SERVICE_NAME];
	service_name(d, 0, starttls);
	service_name(d, 1, direct);
	tlsa_name(d, port);
	struct dns_answer srv[] = {silence(DNS_SRV, starttls), silence(DNS_SRV, direct)};
	struct dns_answer a = silence(DNS_A, host), aaaa = silence(DNS_AAAA, host), tlsa = silence(DNS_TLSA, port);
	bool asked_srv[] = {d->srv[0].query, d->srv[1].query}, asked_a = d->a, asked_aaaa = d->aaaa, asked_tlsa = d->tlsa;
	(void)now;
	for (int i = 0; i < 2; i++)
		dns_cancel(d->srv[i].query);
	dns_cancel(d->a);
	dns_cancel(d->aaaa);
	dns_cancel(d->tlsa);
	if (asked_srv[0])
		srv_done(&d->srv[0], &srv[0]);
	if (asked_srv[1])
		srv_done(&d->srv[1], &srv[1]);
	if (asked_a)
		a_done(d, &a);
	if (asked_aaaa)
		aaaa_done(d, &aaaa);
	if (asked_tlsa)
		tlsa_done(d, &tlsa);
}
