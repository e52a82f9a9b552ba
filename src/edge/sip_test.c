/* SPDX-License-Identifier: Apache-2.0 */
/* A test of a SIP partner: a look-up, connections and a request like those of the Access Edge, but ones that tell what happens. */
#include "edge/sip_test.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "edge/sip_lookup.h"
#include "edge/sip_names.h"
#include "edge/sip_stream.h"
#include "policy/federation.h"

enum { PORT = 5061, TARGETS = 16, SOON_DAYS = 14, TOKEN = 16, QUEUE = 65536, TEXT = 600 };

enum step { STEP_POLICY, STEP_DNS, STEP_TCP, STEP_TLS, STEP_IDENTITY, STEP_OPTIONS };
static const char *const step_words[] = {"policy", "dns", "tcp", "tls", "identity", "options"};

struct sip_tests {
	struct sip_tests_config cfg;
	struct loop *loop;
	struct tls_ctx *tls;
	struct snapshot_reader policy;
	struct list all;
	size_t n;
};

struct target { /* an address to try */
	struct addr addr;
	char host[SIP_TARGET_NAME_MAX];
};

struct sip_test {
	struct list node;
	struct sip_tests *all;
	const struct partner_test_ops *ops;
	void *arg;
	uint64_t id;
	struct policy_domain local, remote, fixed; /* fixed.len 0: by DNS */
	char uri_text[DNS_NAME_MAX + 64];
	bool partner, verified;      /* it may exchange requests with us; how requests are marked */
	struct timer deadline, patience;
	struct loop_hook end;
	uint64_t began, mark;        /* of the step */
	enum step at;
	bool over;
	/* DNS */
	struct sip_lookup *lookup;
	bool srv_failed, srv_absent;
	char names[TARGETS][DNS_NAME_MAX + 1];
	struct slice srv[TARGETS];
	size_t n_srv, n_below;
	/* connections */
	struct target *targets; /* owned */
	size_t n_targets, next, answered;
	struct conn *conn;
	struct sip_stream stream;
	char address[ADDR_TEXT], call_id[TOKEN + 1], tag[TOKEN + 1];
	/* the failure that came farthest */
	bool failed;
	enum step failed_at;
	enum xmpp_who who;
	struct entente_err err;
};

static void try_next(struct sip_test *t);

/* ---- telling */

static uint64_t now_of(const struct sip_test *t)
{
	return t->all->loop->timers.now;
}

static void event(struct sip_test *t, struct partner_test_event *e)
{
	e->at_ms = (uint32_t)(now_of(t) - t->began);
	t->ops->event(t->arg, t->id, e);
}

static void tell(struct sip_test *t, const char *outcome, const char *text, const struct log_kv *facts, size_t n)
{
	bool note = *outcome == 'n';
	struct partner_test_event e = {.step = step_words[t->at], .outcome = outcome, .took_ms = note ? 0 : (uint32_t)(now_of(t) - t->mark),
				       .text = slice_str(text), .facts = facts, .n_facts = n};
	event(t, &e);
}

static void note(struct sip_test *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct sip_test *t, const char *fmt, ...)
{
	char text[TEXT];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	tell(t, "note", text, NULL, 0);
}

static void step(struct sip_test *t, enum step at)
{
	t->at = at;
	t->mark = now_of(t);
}

/* What came farthest says most. */
static void failure(struct sip_test *t, enum reason reason, enum xmpp_who who, const struct log_kv *facts, size_t n, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
static void failure(struct sip_test *t, enum reason reason, enum xmpp_who who, const struct log_kv *facts, size_t n, const char *fmt, ...)
{
	char text[TEXT];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	struct partner_test_event e = {.step = step_words[t->at], .outcome = "failed", .took_ms = (uint32_t)(now_of(t) - t->mark),
				       .text = slice_str(text), .facts = facts, .n_facts = n, .reason = reason, .who = who};
	event(t, &e);
	if (!t->failed || t->at > t->failed_at) {
		t->failed = true;
		t->failed_at = t->at;
		t->who = who;
		err_set(&t->err, ENTENTE_ENET, reason, "%s", text);
	}
}

/* ---- the end */

static void end_run(struct loop_hook *h)
{
	struct sip_test *t = CONTAINER_OF(h, struct sip_test, end);
	struct timers *q = &t->all->loop->timers;
	conn_free(t->conn);
	sip_lookup_free(t->lookup);
	timer_cancel(q, &t->deadline);
	timer_cancel(q, &t->patience);
	loop_undefer(&t->end);
	list_remove(&t->node);
	t->all->n--;
	mem_free(t->targets);
	mem_free(t);
}

/* The verdict, and then the end of this turn frees it. */
static void conclude(struct sip_test *t)
{
	char counts[64];
	bool ok = t->answered > 0;
	if (t->over)
		return;
	t->over = true;
	snprintf(counts, sizeof counts, "%zu of %zu", t->answered, t->n_targets);
	const struct log_kv facts[] = {{"step", slice_str(step_words[ok ? STEP_OPTIONS : t->failed_at])}, {"answered", slice_str(counts)}};
	struct partner_test_event e = {.step = "verdict", .outcome = ok ? "ok" : "failed", .took_ms = (uint32_t)(now_of(t) - t->began),
				       .facts = facts, .n_facts = 2};
	if (!ok) {
		e.reason = t->err.reason;
		e.who = t->who;
		e.text = slice_str(t->err.text);
	}
	event(t, &e);
	loop_reap(t->all->loop, &t->end);
}

static void deadline_fired(struct timer *timer, uint64_t now)
{
	static const char *const waits[] = {"", "an answer of DNS", "the connection", "the end of the TLS handshake", "", "the answer to OPTIONS"};
	struct sip_test *t = CONTAINER_OF(timer, struct sip_test, deadline);
	(void)now;
	failure(t, t->at == STEP_DNS ? REASON_SIP_DNS : t->at == STEP_OPTIONS ? REASON_SIP_PEER_SILENT : REASON_SIP_PEER_UNREACHABLE,
		t->at == STEP_DNS ? XMPP_WHO_DNS : t->at == STEP_TCP ? XMPP_WHO_NETWORK : XMPP_WHO_PARTNER, NULL, 0,
		"the time of the test is over while waiting for %s", waits[t->at]);
	conclude(t);
}

/* This address is done with. */
static void leave(struct sip_test *t)
{
	timer_cancel(&t->all->loop->timers, &t->patience);
	t->conn = conn_free(t->conn);
	try_next(t);
}

/* ---- OPTIONS (RFC 3261 11): what does it say about us? */

/* "403 Forbidden", and what its server adds for people. */
static void put_answer(const struct sip_msg *m, char *ret, size_t size)
{
	struct slice why = sip_msg_header_named(m, S("ms-diagnostics-public"));
	if (!why.p)
		why = sip_msg_header_named(m, S("Warning"));
	snprintf(ret, size, "%d %.*s%s%.*s%s", m->status, SFMT(slice_first(m->reason, 80)), why.p ? " (" : "", SFMT(slice_first(why, 200)), why.p ? ")" : "");
}

static void judge_answer(struct sip_test *t, const struct sip_msg *m)
{
	char said[400];
	struct slice server = sip_msg_header_named(m, S("Server"));
	if (!server.p)
		server = sip_msg_header_named(m, S("User-Agent"));
	put_answer(m, said, sizeof said);
	const struct log_kv facts[] = {{"status", slice_str(said)}, {"server", slice_first(server, 200)}, {"address", slice_str(t->address)}};
	char text[TEXT];
	switch (m->status) {
	case 401:
	case 403:
	case 407:
		failure(t, REASON_SIP_PEER_REFUSES, XMPP_WHO_PARTNER, facts, 3, "%s answers %s: it does not let %s in", t->remote.text, said, t->local.text);
		return;
	case 504: /* Lync says no more, neither of a DNS record nor of a certificate that it does not like */
		failure(t, REASON_SIP_PEER_REFUSES, XMPP_WHO_US, facts, 3,
			"%s answers %s: it could not convince itself that we are %s, or does not reach its own home", t->remote.text, said, t->local.text);
		return;
	case 500:
	case 503:
		failure(t, REASON_SIP_PEER_UNREACHABLE, XMPP_WHO_PARTNER, facts, 3, "%s answers %s", t->remote.text, said);
		return;
	default: /* a server that does not know the domain itself as an address, or not the method, has let us through to say so */
		snprintf(text, sizeof text, "it answers %s", said);
		tell(t, "ok", text, facts, 3);
		t->answered++;
	}
}

static void patience_fired(struct timer *timer, uint64_t now)
{
	struct sip_test *t = CONTAINER_OF(timer, struct sip_test, patience);
	const struct log_kv fact = {"address", slice_str(t->address)};
	(void)now;
	failure(t, REASON_SIP_PEER_SILENT, XMPP_WHO_PARTNER, &fact, 1, "%s does not answer OPTIONS", t->address);
	leave(t);
}

static void ask(struct sip_test *t)
{
	struct buf b;
	char branch[TOKEN + 1];
	rand_token(branch, TOKEN);
	rand_token(t->call_id, TOKEN);
	rand_token(t->tag, TOKEN);
	buf_init(&b, 8192);
	buf_printf(&b,
		   "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/TLS %.*s;branch=z9hG4bK%.*s\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=%.*s\r\nTo: <sip:%s>\r\n"
		   "Call-ID: %.*s\r\nCSeq: 1 OPTIONS\r\nContact: <sip:%.*s;transport=tls>\r\n"
		   "ms-asserted-verification-level: ms-source-verified-user=%s\r\nUser-Agent: Entente/" ENTENTE_VERSION "\r\n"
		   "Accept: application/sdp\r\nContent-Length: 0\r\n\r\n",
		   t->remote.text, SFMT(t->all->cfg.name), TOKEN, branch, t->local.text, TOKEN, t->tag, t->remote.text, TOKEN, t->call_id,
		   SFMT(t->all->cfg.name), t->verified ? "verified" : "unverified");
	conn_write(t->conn, buf_slice(&b));
	buf_free(&b);
	timer_arm(&t->all->loop->timers, &t->patience, SIP_TEST_WAIT_MS);
}

static void on_message(void *owner, struct slice raw)
{
	struct sip_test *t = owner;
	struct arena *a = arena_acquire(t->all->loop->arenas);
	struct sip_msg *m;
	struct sip_fault fault;
	struct slice own = arena_dup(a, raw);
	if (!t->over && own.p && !sip_msg_parse(&m, a, own, &sip_limits_default, &fault) && !m->is_request && m->status >= 200 &&
	    slice_eq(m->call_id, slice_of(t->call_id, TOKEN)) && m->cseq == 1 && m->cseq_method == SIP_OPTIONS) {
		judge_answer(t, m);
		t->stream.over = true; /* and with the end of the connection, on_closed */
		timer_cancel(&t->all->loop->timers, &t->patience);
	}
	arena_release(t->all->loop->arenas, a);
}

static void on_broken(void *owner, const struct sip_frame *f)
{
	struct sip_test *t = owner;
	failure(t, REASON_SIP_MALFORMED, XMPP_WHO_PARTNER, NULL, 0, "what %s sends is not SIP: %s", t->address, f->fault.text);
}

static const struct sip_stream_ops stream_ops = {on_message, on_broken};

/* ---- the connection */

static void on_connected(struct conn *k)
{
	struct sip_test *t = conn_owner(k);
	const struct log_kv fact = {"address", slice_str(t->address)};
	tell(t, "ok", t->address, &fact, 1);
	step(t, STEP_TLS);
}

static void prove(struct sip_test *t, const struct tls_peer *c, struct policy_verdict *ret)
{
	struct sip_names names;
	struct policy_sip q = {.connected = true, .chain_ok = true, .host = slice_str(t->targets[t->next - 1].host), .srv = POLICY_SRV_FOUND,
			       .targets = t->srv, .n_targets = t->n_srv};
	sip_names_of(&names, c);
	sip_names_put(&names, &q);
	policy_sip_prove(&q, policy_domain_slice(&t->remote), policy_domain_slice(&t->fixed), ret);
}

/* Is ours good for both ends of a connection? Lync's servers look for both. */
static void own_certificate(struct sip_test *t)
{
	const struct tls_material *m = tls_ctx_material(t->all->tls);
	const struct tls_peer *own = tls_material_facts(m, TLS_SLOT_CLIENT);
	char usage[64];
	if (!own)
		own = tls_material_facts(m, TLS_SLOT_SERVER);
	if (!own)
		return;
	partner_test_usage(own, usage, sizeof usage);
	note(t, "we show %.*s, for %s%s", SFMT(own->subject), usage,
	     own->eku_any_present && !own->eku_client ? ": most servers accept that, Lync's and some others want clientAuth too" : "");
}

static void on_secured(struct conn *k, const struct tls_peer *c)
{
	struct sip_test *t = conn_owner(k);
	struct partner_test_certificate told;
	struct policy_verdict v;
	char text[TEXT];
	int64_t days = (c->not_after - clock_unix()) / 86400;
	bool good = c->has_cert && c->chain_ok;
	partner_test_certificate_init(&told, c);
	if (good)
		snprintf(text, sizeof text, "%.*s; the certificate is trusted%s", SFMT(c->protocol), days < SOON_DAYS ? ", but ends within two weeks" : "");
	else if (c->has_cert && c->eku_any_present && !c->eku_server)
		snprintf(text, sizeof text, "the certificate of %s is for %s only: a server's is for serverAuth (%.*s)", t->address, told.usage,
			 SFMT(slice_first(c->why_not, 200)));
	else
		snprintf(text, sizeof text, "the certificate of %s is not trusted: %.*s", t->address, SFMT(slice_first(c->why_not, 300)));
	if (good)
		tell(t, days < SOON_DAYS ? "warning" : "ok", text, told.facts, PARTNER_TEST_CERTIFICATE);
	else
		failure(t, REASON_SIP_CERTIFICATE, XMPP_WHO_PARTNER, told.facts, PARTNER_TEST_CERTIFICATE, "%s", text);
	partner_test_certificate_free(&told);
	own_certificate(t);
	if (!c->has_cert) {
		leave(t);
		return;
	}
	step(t, STEP_IDENTITY);
	prove(t, c, &v);
	const struct policy_step *last = &v.steps[v.n_steps - 1];
	const char *rule = policy_identity_name(v.identity);
	const struct log_kv facts[] = {{"rule", slice_str(rule)}, {"compared", last->subject},
				       {"host", slice_str(t->targets[t->next - 1].host)}};
	snprintf(text, sizeof text, "%s%s%.*s%s%s%s", last->detail, last->subject.len ? ": " : "", SFMT(last->subject), v.allow ? " (rule " : "",
		 v.allow ? rule : "", v.allow ? ")" : "");
	if (!good) { /* the names are worth knowing, they do not count */
		tell(t, "note", text, facts, 3);
		leave(t);
		return;
	}
	if (!v.allow) {
		failure(t, v.reason, XMPP_WHO_PARTNER, facts, 3, "%s", text);
		leave(t);
		return;
	}
	tell(t, "ok", text, facts, 3);
	step(t, STEP_OPTIONS);
	ask(t);
}

static size_t on_data(struct conn *k, struct slice in)
{
	struct sip_test *t = conn_owner(k);
	return sip_stream_input(&t->stream, k, in, &stream_ops, t);
}

static bool says(const struct entente_err *e, const char *what)
{
	return slice_find(slice_str(e->text), slice_str(what)) >= 0;
}

static void on_closed(struct conn *k, const struct entente_err *why)
{
	struct sip_test *t = conn_owner(k);
	const struct log_kv fact = {"address", slice_str(t->address)};
	bool alert = says(why, "alert");
	if (t->stream.over) {
		/* told already */
	} else if (t->at == STEP_TCP) {
		failure(t, REASON_SIP_PEER_UNREACHABLE, says(why, "refused") ? XMPP_WHO_PARTNER : XMPP_WHO_NETWORK, &fact, 1, "%s: %s", t->address, why->text);
	} else if (alert) { /* with TLS 1.3 only after our side of the handshake is done */
		failure(t, REASON_SIP_CERTIFICATE, XMPP_WHO_US, &fact, 1, "%s refuses the TLS handshake, most likely for our certificate: %s", t->address,
			why->text);
	} else if (t->at == STEP_TLS) {
		failure(t, REASON_SIP_PEER_UNREACHABLE, XMPP_WHO_PARTNER, &fact, 1, "TLS with %s: %s", t->address, why->text);
	} else {
		failure(t, REASON_SIP_PEER_REFUSES, XMPP_WHO_UNCLEAR, &fact, 1,
			"%s ends the connection instead of an answer (%s): perhaps it does not trust our certificate, or does not know %s", t->address,
			why->code ? why->text : "in order", t->local.text);
	}
	leave(t);
}

static const struct conn_ops conn_ops = {.connected = on_connected, .secured = on_secured, .data = on_data, .closed = on_closed};

static void try_next(struct sip_test *t)
{
	struct entente_err err;
	struct conn_limits lim;
	if (t->over)
		return;
	while (t->next < t->n_targets) {
		const struct target *to = &t->targets[t->next++];
		struct conn_tls tls = {.ctx = t->all->tls, .slot = TLS_SLOT_CLIENT, .sni = slice_str(to->host)};
		struct conn_opts o = {.ops = &conn_ops, .owner = t, .limits = &lim, .tls = &tls};
		sip_stream_limits(&sip_limits_default, QUEUE, SIP_TEST_WAIT_MS, &lim);
		sip_stream_init(&t->stream, &sip_limits_default, t->all->loop->timers.now);
		addr_text(&to->addr, t->address);
		step(t, STEP_TCP);
		if (!conn_connect(&t->conn, t->all->loop, &to->addr, &o, &err))
			return;
		failure(t, REASON_SIP_PEER_UNREACHABLE, XMPP_WHO_US, NULL, 0, "%s: %s", t->address, err.text);
	}
	conclude(t);
}

/* ---- DNS */

static void seen_srv(struct sip_test *t, const struct dns_answer *a)
{
	t->srv_absent = a->status == DNS_NXDOMAIN || a->status == DNS_NODATA;
	for (size_t i = 0; a->status == DNS_OK && i < a->n; i++) {
		const struct dns_record *r = &a->records[i];
		if (r->type != DNS_SRV)
			continue;
		if (!r->srv.target.len) {
			note(t, "SRV %.*s: \".\", the domain says that it has no such service", SFMT(a->name));
			t->srv_absent = true;
			continue;
		}
		bool below = policy_sip_below(r->srv.target, policy_domain_slice(&t->remote));
		note(t, "SRV %.*s: %u %u %.*s:%u%s", SFMT(a->name), r->srv.priority, r->srv.weight, SFMT(r->srv.target), r->srv.port,
		     t->fixed.len || below ? "" : ": not directly below the domain");
		if (t->n_srv == TARGETS)
			continue;
		slice_cstr(r->srv.target, t->names[t->n_srv], sizeof *t->names);
		t->srv[t->n_srv] = slice_str(t->names[t->n_srv]);
		t->n_srv++;
		t->n_below += below;
	}
}

static void dns_seen(void *arg, const struct dns_answer *a)
{
	struct sip_test *t = arg;
	static const char *const words[] = {[DNS_A] = "A", [DNS_AAAA] = "AAAA", [DNS_SRV] = "SRV"};
	bool failed = a->status != DNS_OK && a->status != DNS_NODATA && a->status != DNS_NXDOMAIN;
	if (failed)
		note(t, "%s %.*s: %s (%.*s)", words[a->type], SFMT(a->name), dns_status_text(a->status), SFMT(slice_first(a->why, 200)));
	if (a->type == DNS_SRV) {
		t->srv_failed = failed;
		seen_srv(t, a);
		return;
	}
	for (size_t i = 0; a->status == DNS_OK && i < a->n; i++) {
		char z[ADDR_TEXT];
		addr_host_text(&a->records[i].addr, z);
		note(t, "%s %.*s: %s", words[a->type], SFMT(a->name), z);
	}
	if (a->cnames)
		note(t, "%.*s is an alias of %.*s", SFMT(a->name), SFMT(a->canonical));
}

static void located(void *arg, const struct sip_target_entry *x, size_t n, bool unsure)
{
	struct sip_test *t = arg;
	const char *domain = t->remote.text;
	char text[TEXT];
	t->targets = mem_calloc(n ? n : 1, sizeof *t->targets);
	for (size_t i = 0; i < n && t->n_targets < SIP_TEST_ADDRESSES; i++) {
		struct target *to = &t->targets[t->n_targets];
		if (!addr_from_sockaddr((const struct sockaddr *)&x[i].addr, &to->addr))
			continue;
		slice_cstr(x[i].host, to->host, sizeof to->host);
		t->n_targets++;
	}
	t->lookup = sip_lookup_free(t->lookup);
	if (!t->n_targets && !t->fixed.len && t->srv_absent) {
		failure(t, REASON_SIP_SRV_NONE, XMPP_WHO_DNS, NULL, 0, "there is no record _sipfederationtls._tcp.%s SRV", domain);
	} else if (!t->n_targets && (unsure || t->srv_failed)) {
		failure(t, REASON_SIP_DNS, XMPP_WHO_DNS, NULL, 0, "DNS does not answer for %s", t->fixed.len ? t->fixed.text : domain);
	} else if (!t->n_targets) {
		failure(t, REASON_SIP_SRV_NONE, XMPP_WHO_DNS, NULL, 0, "DNS has no address of %s", t->fixed.len ? t->fixed.text : t->n_srv ? t->names[0] : domain);
	} else {
		const struct log_kv facts[] = {{"rule", t->fixed.len ? S("fixed") : S("srv")}, {"server", slice_str(t->targets[0].host)}};
		bool outside = !t->fixed.len && !t->n_below;
		snprintf(text, sizeof text, "%zu %s of %s%s%s", t->n_targets, t->n_targets == 1 ? "address" : "addresses", t->targets[0].host,
			 t->n_srv > 1 && !t->fixed.len ? " and others" : "",
			 outside ? ", which is not directly below the domain: Lync's rule for SRV records (its error 1009). Only a certificate for the domain "
				   "itself can still prove it" : "");
		tell(t, outside ? "warning" : "ok", text, facts, 2);
	}
	try_next(t);
}

static int locate(struct sip_test *t, uint16_t port)
{
	struct sip_target_config c = {.transports = {SIP_TLS}, .n_transports = 1, .fallback = SIP_TLS, .ipv4 = true, .ipv6 = true};
	struct sip_uri uri;
	uint16_t usual = t->all->cfg.port ? t->all->cfg.port : PORT;
	struct sip_lookup_config l = {.dns = t->all->cfg.dns, .worker = t->all->cfg.worker, .uri = &uri, .target = &c, .done = located, .arg = t, .seen = dns_seen};
	if (t->fixed.len) {
		snprintf(t->uri_text, sizeof t->uri_text, "sip:%s:%u;transport=tls", t->fixed.text, port ? port : usual);
	} else {
		snprintf(t->uri_text, sizeof t->uri_text, "sip:%s", t->remote.text);
		c.federation = S("_sipfederationtls._tcp");
	}
	int rc = sip_uri_parse(slice_str(t->uri_text), &uri);
	return rc ? rc : sip_lookup_new(&t->lookup, &l);
}

/* ---- the beginning */

/* What the policy says, and which server is believed: the one of the test, of the allowed domain, of the provider; else what DNS names. */
static void policy(struct sip_test *t, struct snapshot *s, const struct sip_test_spec *spec)
{
	struct policy_sip sip = {.srv = POLICY_SRV_UNASKED};
	struct policy_question q = {.kind = POLICY_MESSAGE, .direction = POLICY_TO_REMOTE, .from = {.domain = policy_domain_slice(&t->local)},
				    .to = {.domain = policy_domain_slice(&t->remote)}, .sip = &sip};
	struct policy_verdict v;
	char text[TEXT];
	policy_decide(s, &q, &v);
	if (v.need_srv) { /* allowed as far as can be said before DNS has been asked */
		struct slice none = SLICE_NONE;
		sip = (struct policy_sip){.srv = POLICY_SRV_FOUND, .targets = &none};
		policy_decide(s, &q, &v);
	}
	t->partner = v.allow;
	t->verified = snapshot_access(s)->mark_verifiable;
	t->fixed.len = 0;
	if (!policy_domain_make(&t->fixed, spec->host.len ? spec->host : v.route))
		t->fixed.len = 0;
	const struct policy_step *last = v.n_steps ? &v.steps[v.n_steps - 1] : NULL;
	const struct log_kv facts[] = {{"from", policy_domain_slice(&t->local)}, {"partner", v.allow ? S("yes") : S("no")},
				       {"class", slice_str(policy_class_name(v.cls))}, {"server", policy_domain_slice(&t->fixed)},
				       {"reason", v.allow ? SLICE_NONE : slice_str(reason_info(v.reason)->id)}};
	snprintf(text, sizeof text, "%s %s%s; its server is %s%s", t->remote.text, v.allow ? "is let in, as " : "is not let in: ",
		 v.allow ? policy_class_name(v.cls) : last ? last->detail : "", t->fixed.len ? "the one of " : "found by DNS",
		 !t->fixed.len ? "" : spec->host.len ? "--server" : "the configuration");
	t->at = STEP_POLICY;
	tell(t, v.allow ? "ok" : "warning", text, facts, 5);
}

int sip_test_start(struct sip_tests *all, const struct sip_test_spec *spec, const struct partner_test_ops *ops, void *arg, struct entente_err *err)
{
	struct snapshot *s = snapshot_reader_get(&all->policy);
	struct policy_domain local, remote;
	if (!s || !policy_domain_make(&local, spec->local) || !policy_domain_make(&remote, spec->remote))
		return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "not a domain");
	if (!snapshot_local(s, policy_domain_slice(&local), NULL))
		return err_set(err, ENTENTE_EINVAL, REASON_POLICY_LOCAL_UNKNOWN, "%s is not a domain of ours", local.text);
	if (snapshot_local(s, policy_domain_slice(&remote), NULL))
		return err_set(err, ENTENTE_EINVAL, REASON_POLICY_SPOOFED_DOMAIN, "%s is a domain of ours", remote.text);
	if (!all->tls)
		return err_set(err, ENTENTE_ETLS, REASON_SIP_PEER_UNREACHABLE, "TLS with partners needs tls.certificate, which is not configured");
	if (all->n >= SIP_TESTS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_CONNECTIONS, "%d tests run already; wait until one has ended", SIP_TESTS_MAX);
	struct sip_test *t = MEM_NEW(struct sip_test);
	*t = (struct sip_test){.all = all, .ops = ops, .arg = arg, .id = spec->id, .local = local, .remote = remote, .end = {.run = end_run}};
	timer_init(&t->deadline, deadline_fired);
	timer_init(&t->patience, patience_fired);
	list_append(&all->all, &t->node);
	all->n++;
	t->began = t->mark = all->loop->timers.now;
	timer_arm(&all->loop->timers, &t->deadline, spec->timeout_ms);
	policy(t, s, spec);
	step(t, STEP_DNS);
	if (locate(t, spec->port)) {
		failure(t, REASON_ADDRESS_MALFORMED, XMPP_WHO_US, NULL, 0, "the name of the server cannot be looked up");
		conclude(t);
	}
	return 0;
}

void sip_test_cancel(struct sip_tests *all, uint64_t id)
{
	LIST_EACH(n, &all->all) {
		struct sip_test *t = CONTAINER_OF(n, struct sip_test, node);
		if (t->id != id)
			continue;
		t->over = true;
		end_run(&t->end);
	}
}

/* ---- life */

struct sip_tests *sip_tests_new(const struct sip_tests_config *cfg)
{
	struct sip_tests *t = MEM_NEW(struct sip_tests);
	t->cfg = *cfg;
	t->loop = cfg->worker->loop;
	list_init(&t->all);
	snapshot_reader_init(&t->policy, cfg->policy);
	return t;
}

void sip_tests_end(struct sip_tests *all)
{
	LIST_EACH(n, &all->all) {
		struct sip_test *t = CONTAINER_OF(n, struct sip_test, node);
		if (t->over)
			continue;
		t->answered = 0;
		failure(t, REASON_SERVER_SHUTDOWN, XMPP_WHO_US, NULL, 0, "the server is shutting down");
		conclude(t);
	}
}

struct sip_tests *sip_tests_free(struct sip_tests *all)
{
	if (!all)
		return NULL;
	LIST_EACH(n, &all->all)
		end_run(&CONTAINER_OF(n, struct sip_test, node)->end);
	snapshot_reader_destroy(&all->policy);
	tls_ctx_unref(all->tls);
	return mem_free(all);
}

void sip_tests_set_tls(struct sip_tests *all, struct tls_ctx *tls)
{
	struct tls_ctx *old = all->tls;
	all->tls = tls ? tls_ctx_ref(tls) : NULL;
	tls_ctx_unref(old);
}
