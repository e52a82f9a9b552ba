/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/dialer.h"

#include <stdio.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "xmpp/srv.h"

enum {
	MAX_ADDRESSES = 16,
	RESOLUTION_DELAY_MS = 50, /* the other family's answer is awaited so long (RFC 8305 3) */
	HTTPS_PORT = 443,         /* of the ports below 1024 the one that servers behind firewalls do use */
};

struct target {
	char host[DNS_NAME_MAX + 1];
	uint16_t port;
	bool direct, srv, secure; /* secure: DNSSEC vouches for the way from the domain to this target */
	char how[DNS_NAME_MAX + 64];
};

struct attempt { /* one address being connected to */
	struct dialer *dialer;
	struct addr to;
	struct conn *conn;
	struct pace_place place;
	bool active;
};

struct dialer {
	struct worker *w;
	struct dns *dns;
	const struct dialer_ops *ops;
	void *arg;
	struct pace *pace;
	struct conn_limits limits;
	char domain[DNS_NAME_MAX + 1];
	struct arena *found; /* records, until both services have answered */
	struct service {     /* 0: STARTTLS, 1: direct TLS */
		struct dialer *dialer;
		struct dns_query *query;
		struct xmpp_srv_answer answer;
		bool secure;
	} srv[2];
	struct dns_query *a, *aaaa, *tlsa;
	struct timer late;         /* one family has answered, the other not yet */
	bool addresses_secure;     /* all answers that gave addresses are */
	char alias[DNS_NAME_MAX + 1]; /* where CNAMEs of the target end, DNSSEC-secure; else empty */
	struct target targets[XMPP_TARGETS];
	size_t n_targets, target;  /* target: the next one to resolve */
	struct addr addrs[MAX_ADDRESSES];
	size_t n_addrs, addr;
	struct tls_tlsa records[DIALER_TLSA];
	size_t n_records;
	struct attempt attempts[DIALER_TRIES];
	struct attempt *won;       /* its place is held until the peer speaks */
	struct timer stagger;
	unsigned tries;
	bool asked, fixed, direct, private_addresses, dane;
	bool racing;               /* a callback is owed and attempts are under way */
	uint64_t since;            /* when TCP began with the present target */
	bool waiting;              /* a callback is owed as soon as the other family has answered */
	bool resolved;             /* the present target's addresses may be used */
	struct entente_err err;    /* the first cause that DNS gave */
	struct entente_err failed; /* and the first that an address gave: the better explanation */
};

static void step(struct dialer *d);
static void race(struct dialer *d);
static void late_fired(struct timer *t, uint64_t now);
static void stagger_fired(struct timer *t, uint64_t now);
static void may_connect(void *arg);

static struct timers *timers(struct dialer *d)
{
	return &d->w->loop->timers;
}

struct dialer *dialer_new(struct worker *w, struct dns *dns, const struct dialer_target *to, const struct dialer_ops *ops,
			  void *arg)
{
	struct dialer *d = MEM_NEW(struct dialer);
	d->w = w;
	d->dns = dns;
	d->ops = ops;
	d->arg = arg;
	d->pace = to->pace ? pace_ref(to->pace) : pace_new();
	d->limits = to->limits ? *to->limits : CONN_LIMITS_DEFAULT;
	slice_cstr(to->domain, d->domain, sizeof d->domain);
	d->private_addresses = to->private_addresses || to->host.len;
	d->direct = to->direct;
	d->dane = to->dane;
	timer_init(&d->late, late_fired);
	timer_init(&d->stagger, stagger_fired);
	for (size_t i = 0; i < DIALER_TRIES; i++) {
		d->attempts[i].dialer = d;
		pace_place_init(&d->attempts[i].place, d->pace, timers(d), may_connect, &d->attempts[i]);
	}
	if (to->host.len) {
		d->fixed = true;
		d->n_targets = 1;
		slice_cstr(to->host, d->targets[0].host, sizeof d->targets[0].host);
		d->targets[0].port = to->port ? to->port : XMPP_PORT;
		d->targets[0].direct = to->direct && to->port == XMPP_PORT_DIRECT;
		d->targets[0].secure = true; /* the administrator's word */
		snprintf(d->targets[0].how, sizeof d->targets[0].how, "fixed %s:%u%s", d->targets[0].host, d->targets[0].port,
			 d->targets[0].direct ? " direct" : "");
	}
	return d;
}

static void drop_records(struct dialer *d)
{
	for (size_t i = 0; i < d->n_records; i++)
		mem_free((void *)(uintptr_t)d->records[i].data.p);
	d->n_records = 0;
}

/* All attempts but this one (NULL: all). */
static void stop_attempts(struct dialer *d, const struct attempt *but)
{
	timer_cancel(timers(d), &d->stagger);
	for (size_t i = 0; i < DIALER_TRIES; i++) {
		struct attempt *x = &d->attempts[i];
		if (x == but || !x->active)
			continue;
		x->active = false;
		x->conn = conn_free(x->conn);
		pace_leave(&x->place);
	}
}

void dialer_heard(struct dialer *d)
{
	if (d->won)
		pace_leave(&d->won->place);
	d->won = NULL;
}

struct dialer *dialer_free(struct dialer *d)
{
	if (!d)
		return NULL;
	dialer_heard(d);
	stop_attempts(d, NULL);
	timer_cancel(timers(d), &d->late);
	dns_cancel(d->srv[0].query);
	dns_cancel(d->srv[1].query);
	arena_release(d->w->loop->arenas, d->found);
	dns_cancel(d->a);
	dns_cancel(d->aaaa);
	dns_cancel(d->tlsa);
	drop_records(d);
	pace_unref(d->pace);
	return mem_free(d);
}

static const struct target *present(const struct dialer *d)
{
	return d->target ? &d->targets[d->target - 1] : NULL;
}

const char *dialer_how(const struct dialer *d)
{
	return d->target ? present(d)->how : "";
}

bool dialer_direct(const struct dialer *d)
{
	return d->target && present(d)->direct;
}

size_t dialer_tlsa(const struct dialer *d, const struct tls_tlsa **ret)
{
	*ret = d->records;
	return d->n_records;
}

struct slice dialer_delegate(const struct dialer *d)
{
	return d->target && present(d)->srv && present(d)->secure ? slice_str(present(d)->host) : SLICE_NONE;
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

/* ---- addresses of a target */

static void tell(struct dialer *d, const struct dns_answer *ans)
{
	enum { LINE = 2048 };
	struct buf b;
	if (!d->ops->note)
		return;
	buf_init(&b, LINE);
	buf_printf(&b, "%s %.*s:", ans->type == DNS_SRV ? "SRV" : ans->type == DNS_AAAA ? "AAAA" : ans->type == DNS_TLSA ? "TLSA" : "A", SFMT(ans->name));
	for (size_t i = 0; i < ans->n && b.len < LINE - 400; i++) {
		const struct dns_record *r = &ans->records[i];
		char z[ADDR_TEXT];
		buf_puts(&b, i ? ", " : " ");
		if (ans->type == DNS_SRV) {
			buf_printf(&b, "%u %u %.*s:%u", r->srv.priority, r->srv.weight, SFMT(r->srv.target.len ? r->srv.target : S(".")),
				   r->srv.port);
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
	const struct target *t = present(d);
	tell(d, ans);
	if (ans->status == DNS_BOGUS)
		cause(d, ENTENTE_EAUTH, REASON_XMPP_DNSSEC, "address look-up", t->host, ans->why);
	else if (ans->status != DNS_OK && ans->status != DNS_NODATA)
		cause(d, ENTENTE_ENET, ans->status == DNS_NXDOMAIN ? REASON_XMPP_DNS : REASON_XMPP_UNREACHABLE, "address look-up",
		      t->host, ans->why);
	if (ans->cnames > DIALER_CNAMES) {
		cause(d, ENTENTE_ELIMIT, REASON_XMPP_DNS, "address look-up", t->host, S("too many aliases (CNAME) one after the other"));
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
		cause(d, ENTENTE_ENOTFOUND, REASON_XMPP_DNS, "address look-up", present(d)->host, S("it has no address"));
	d->resolved = true;
	step(d);
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
		cause(d, bogus ? ENTENTE_EAUTH : ENTENTE_ENET, bogus ? REASON_XMPP_DNSSEC : REASON_XMPP_UNREACHABLE, "TLSA look-up", t->host,
		      ans->why);
		d->n_addrs = d->addr = 0;
	}
	go_on(d);
}

static void ask_tlsa(struct dialer *d)
{
	char name[DNS_NAME_MAX + 32];
	const struct target *t = present(d);
	snprintf(name, sizeof name, "_%u._tcp.%s", t->port, d->alias[0] ? d->alias : t->host);
	d->tlsa = dns_ask(d->dns, d->w, slice_str(name), DNS_TLSA, tlsa_done, d);
}

static void addresses_done(struct dialer *d)
{
	timer_cancel(timers(d), &d->late);
	if (d->resolved) { /* the second family came late, and the first one is being tried */
		if (d->racing) {
			race(d);
		} else if (d->waiting) {
			d->waiting = false;
			step(d);
		}
	} else if (d->dane && present(d)->secure && d->addresses_secure && d->n_addrs) {
		ask_tlsa(d);
	} else {
		go_on(d);
	}
}

static void late_fired(struct timer *t, uint64_t now)
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
	else if (d->n_addrs && !(d->dane && present(d)->secure)) /* TLSA records need both: one of them may be insecure */
		timer_arm(timers(d), &d->late, RESOLUTION_DELAY_MS);
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
		snprintf(t->how, sizeof t->how, "srv %u %u %.*s:%u%s%s", from->priority, from->weight, SFMT(from->host), from->port,
			 from->direct ? " direct" : "", t->secure ? " dnssec" : "");
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
	if (ans->cnames > DIALER_CNAMES)
		cause(d, ENTENTE_ELIMIT, REASON_XMPP_DNS, "SRV look-up", d->domain, S("too many aliases (CNAME) one after the other"));
	else if (ans->status == DNS_OK)
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

/* ---- connecting: one address after the other, each with a head start (RFC 8305 5) */

static bool under_way(const struct dialer *d)
{
	for (size_t i = 0; i < DIALER_TRIES; i++)
		if (d->attempts[i].active)
			return true;
	return false;
}

static bool more(const struct dialer *d)
{
	return d->addr < d->n_addrs && d->tries < DIALER_TRIES;
}

static void attempt_failed(struct attempt *x, const struct entente_err *why)
{
	struct dialer *d = x->dialer;
	struct entente_err err = *why;
	err.reason = REASON_XMPP_UNREACHABLE;
	x->active = false;
	x->conn = conn_free(x->conn);
	pace_leave(&x->place);
	dialer_failed(d, &err);
	race(d);
}

static void on_connected(struct conn *c)
{
	struct attempt *x = conn_owner(c);
	struct dialer *d = x->dialer;
	x->active = false;
	x->conn = NULL;
	d->won = x;
	d->racing = false;
	stop_attempts(d, x);
	d->ops->connected(d->arg, c, slice_str(present(d)->host));
}

static void on_closed(struct conn *c, const struct entente_err *why)
{
	attempt_failed(conn_owner(c), why);
}

static size_t on_data(struct conn *c, struct slice in) /* not before connected */
{
	(void)c;
	return in.len;
}

static const struct conn_ops attempt_ops = {.connected = on_connected, .data = on_data, .closed = on_closed};

static void may_connect(void *arg)
{
	struct attempt *x = arg;
	struct dialer *d = x->dialer;
	struct entente_err err;
	struct conn_opts o = {.ops = &attempt_ops, .owner = x, .limits = &d->limits};
	if (conn_connect(&x->conn, d->w->loop, &x->to, &o, &err))
		attempt_failed(x, &err);
}

static void begin(struct dialer *d)
{
	struct attempt *x = &d->attempts[d->tries++];
	x->to = d->addrs[d->addr++];
	x->active = true;
	if (d->addr == 1)
		d->since = timers(d)->now;
	if (more(d))
		timer_arm(timers(d), &d->stagger, DIALER_STAGGER_MS);
	else
		timer_cancel(timers(d), &d->stagger);
	pace_enter(&x->place, &x->to);
}

/* An attempt more, when none is under way; or the next target. */
static void race(struct dialer *d)
{
	d->racing = true;
	if (under_way(d)) {
		if (more(d) && !timer_armed(&d->stagger))
			timer_arm(timers(d), &d->stagger, DIALER_STAGGER_MS);
	} else if (more(d)) {
		begin(d);
	} else if (!d->a && !d->aaaa) {
		d->racing = false;
		step(d);
	} /* else the other family's addresses are still to come */
}

static void stagger_fired(struct timer *t, uint64_t now)
{
	struct dialer *d = CONTAINER_OF(t, struct dialer, stagger);
	(void)now;
	if (d->racing && more(d))
		begin(d);
}

/* ---- steps */

static void give_address(struct dialer *d)
{
	struct addr to = d->addrs[d->addr++];
	d->tries++;
	d->ops->address(d->arg, &to, slice_str(present(d)->host));
}

static void resolve(struct dialer *d, struct target *t)
{
	struct addr literal;
	d->n_addrs = d->addr = 0;
	d->alias[0] = 0;
	d->addresses_secure = true;
	d->resolved = false;
	drop_records(d);
	timer_cancel(timers(d), &d->late);
	d->a = dns_cancel(d->a);
	d->aaaa = dns_cancel(d->aaaa);
	if (addr_is_literal(slice_str(t->host)) && addr_parse(slice_str(t->host), t->port, &literal)) {
		add(d, t, &literal);
		d->resolved = true;
		step(d);
		return;
	}
	d->aaaa = dns_ask(d->dns, d->w, slice_str(t->host), DNS_AAAA, aaaa_done, d);
	d->a = dns_ask(d->dns, d->w, slice_str(t->host), DNS_A, a_done, d);
}

/* The next thing to do: give out an address or a connection, resolve the next target, look SRV up, or give up. */
static void step(struct dialer *d)
{
	if (d->resolved && more(d)) {
		if (d->ops->connected)
			race(d);
		else
			give_address(d);
	} else if (d->resolved && (d->a || d->aaaa) && d->tries < DIALER_TRIES) {
		d->waiting = true;
	} else if (d->tries == DIALER_TRIES) {
		exhausted(d);
	} else if (!d->asked && !d->fixed) {
		look_up(d);
	} else if (d->target == d->n_targets) {
		exhausted(d);
	} else {
		resolve(d, &d->targets[d->target++]);
	}
}

void dialer_next(struct dialer *d)
{
	dialer_heard(d);
	step(d);
}

uint64_t dialer_since(const struct dialer *d)
{
	return d->since;
}

bool dialer_connecting(const struct dialer *d)
{
	return d->racing;
}
