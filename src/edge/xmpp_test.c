/* SPDX-License-Identifier: Apache-2.0 */
/* A test of a partner: a stream like that of a link, but one that tells what happens. */
#include "edge/xmpp_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/rand.h"
#include "edge/xmpp_proxy_int.h"
#include "xmpp/identity.h"
#include "xmpp/stanza.h"

enum { PING_MS = 10000, TOKEN = 16, PING_ID = 64, DOMAIN_MAX = 1024 /* RFC 7622 3.2, and a NUL */ };
#define PING_PREFIX "entente-test-"

/* ---- the tests of all workers */

struct running {
	uint64_t id; /* 0: a free place */
	struct xmpp_proxy *proxy;
	char local[DOMAIN_MAX], remote[DOMAIN_MAX], ping[PING_ID];
	struct xmpp_stream_policy rules; /* its slices are empty */
};

struct xmpp_tests {
	pthread_mutex_t lock;
	_Atomic unsigned n;
	struct running r[XMPP_TESTS_MAX];
};

struct xmpp_test {
	struct list node; /* proxy->tests */
	struct xmpp_proxy *proxy;
	const struct partner_test_ops *ops;
	void *arg;
	uint64_t id;
	char local[DOMAIN_MAX], remote[DOMAIN_MAX], host[256];
	uint16_t port;
	struct xmpp_stream_policy rules;
	bool partner;            /* it may exchange messages */
	struct dialer *dialer;
	struct s2s *s2s;
	struct timer deadline, answer;
	struct loop_hook end;
	uint64_t began, mark;    /* of the step */
	enum xmpp_step at;
	bool over, asked_dns, told_up;
	bool failed;             /* what follows is the failure that came farthest */
	enum xmpp_step failed_at;
	enum xmpp_who who;
	struct entente_err err;
	char ping[PING_ID];
};

struct xmpp_tests *xmpp_tests_new(void)
{
	struct xmpp_tests *t = MEM_NEW(struct xmpp_tests);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

struct xmpp_tests *xmpp_tests_free(struct xmpp_tests *t)
{
	if (!t)
		return NULL;
	pthread_mutex_destroy(&t->lock);
	return mem_free(t);
}

static bool enrol(struct xmpp_tests *all, const struct xmpp_test *t)
{
	bool ok = false;
	pthread_mutex_lock(&all->lock);
	for (int i = 0; i < XMPP_TESTS_MAX && !ok; i++) {
		struct running *r = &all->r[i];
		if (r->id)
			continue;
		*r = (struct running){.id = t->id, .proxy = t->proxy, .rules = t->rules};
		r->rules.refusal = SLICE_NONE;
		slice_cstr(slice_str(t->local), r->local, sizeof r->local);
		slice_cstr(slice_str(t->remote), r->remote, sizeof r->remote);
		slice_cstr(slice_str(t->ping), r->ping, sizeof r->ping);
		atomic_fetch_add(&all->n, 1);
		ok = true;
	}
	pthread_mutex_unlock(&all->lock);
	return ok;
}

static void dismiss(struct xmpp_tests *all, uint64_t id)
{
	pthread_mutex_lock(&all->lock);
	for (int i = 0; i < XMPP_TESTS_MAX; i++)
		if (all->r[i].id == id) {
			all->r[i].id = 0;
			atomic_fetch_sub(&all->n, 1);
		}
	pthread_mutex_unlock(&all->lock);
}

static bool any(const struct xmpp_proxy *p)
{
	return p->cfg.tests && atomic_load_explicit(&p->cfg.tests->n, memory_order_relaxed);
}

bool xmpp_test_covers(struct xmpp_proxy *p, struct slice local, struct slice remote, struct xmpp_stream_policy *rules)
{
	bool found = false;
	if (!any(p))
		return false;
	pthread_mutex_lock(&p->cfg.tests->lock);
	for (int i = 0; i < XMPP_TESTS_MAX && !found; i++) {
		const struct running *r = &p->cfg.tests->r[i];
		found = r->id && slice_eq(slice_str(r->local), local) && slice_eq(slice_str(r->remote), remote) &&
			r->rules.dialback;
		if (found)
			*rules = r->rules;
	}
	pthread_mutex_unlock(&p->cfg.tests->lock);
	return found;
}

/* ---- telling */

static uint32_t since(const struct xmpp_test *t, uint64_t then)
{
	return (uint32_t)(t->proxy->loop->timers.now - then);
}

static void event(struct xmpp_test *t, struct partner_test_event *e)
{
	e->at_ms = since(t, t->began);
	t->ops->event(t->arg, t->id, e);
}

static void note(struct xmpp_test *t, const char *step, struct slice text)
{
	struct partner_test_event e = {.step = step, .outcome = "note", .text = text};
	event(t, &e);
}

/* The end of a step; the next one begins. */
static void done(struct xmpp_test *t, const char *step, const char *outcome, struct slice text, const struct log_kv *facts,
	size_t n)
{
	struct partner_test_event e = {
		.step = step, .outcome = outcome, .took_ms = since(t, t->mark), .text = text, .facts = facts, .n_facts = n};
	t->mark = t->proxy->loop->timers.now;
	event(t, &e);
}

static void next(struct xmpp_test *t, enum xmpp_step at)
{
	t->at = at;
	t->mark = t->proxy->loop->timers.now;
}

/* ---- the end */

static void end_run(struct loop_hook *h)
{
	struct xmpp_test *t = CONTAINER_OF(h, struct xmpp_test, end);
	struct xmpp_proxy *p = t->proxy;
	struct s2s *s = t->s2s;
	t->s2s = NULL;
	if (s) {
		s->test = NULL;
		xmpp_s2s_let_go(s);
	}
	dialer_free(t->dialer);
	timer_cancel(&p->loop->timers, &t->deadline);
	timer_cancel(&p->loop->timers, &t->answer);
	loop_undefer(&t->end);
	list_remove(&t->node);
	dismiss(p->cfg.tests, t->id);
	mem_free(t);
}

static const char *step_word(enum xmpp_step at)
{
	return at == XMPP_STEP_UP ? "ping" : xmpp_step_text(at);
}

/* The verdict, and then the end of this turn frees it. */
static void conclude(struct xmpp_test *t)
{
	if (t->over)
		return;
	t->over = true;
	struct partner_test_event e = {.step = "verdict", .outcome = t->failed ? "failed" : "ok", .took_ms = since(t, t->began)};
	struct log_kv fact = {"step", slice_str(step_word(t->failed_at))};
	if (t->failed) {
		e.reason = t->err.reason;
		e.who = t->who;
		e.text = slice_str(t->err.text);
		e.facts = &fact;
		e.n_facts = 1;
	}
	event(t, &e);
	loop_reap(t->proxy->loop, &t->end);
}

/* One address failed, or everything. What came farthest says most. */
static void failure(struct xmpp_test *t, const struct entente_err *err, enum xmpp_who who, const struct log_kv *facts, size_t n)
{
	struct partner_test_event e = {
		.step = step_word(t->at), .outcome = "failed", .took_ms = since(t, t->mark), .text = slice_str(err->text),
		.facts = facts, .n_facts = n, .reason = err->reason, .who = who};
	event(t, &e);
	if (!t->failed || t->at > t->failed_at) {
		t->failed = true;
		t->failed_at = t->at;
		t->who = who;
		t->err = *err;
	}
}

static void deadline_fired(struct timer *timer, uint64_t now)
{
	static const char *const waits[] = {"an answer of DNS", "the connection", "the stream and its features",
					    "the end of the TLS handshake", "the end of authentication",
					    "the answer to the ping"};
	struct xmpp_test *t = CONTAINER_OF(timer, struct xmpp_test, deadline);
	struct entente_err err;
	(void)now;
	err_set(&err, ENTENTE_ETIMEOUT, t->at == XMPP_STEP_DNS ? REASON_XMPP_DNS_FAILED : REASON_XMPP_UNREACHABLE,
		"the time of the test is over while waiting for %s", waits[t->at]);
	failure(t, &err, xmpp_blame(t->at, false, false, XMPP_SIDE_REMOTE, &err), NULL, 0);
	conclude(t);
}

/* ---- steps, as the connection and its stream tell them (xmpp_s2s.c) */

static void try_address(void *arg, const struct addr *to, struct slice host)
{
	struct xmpp_test *t = arg;
	struct xmpp_proxy *p = t->proxy;
	struct entente_err err;
	char address[ADDR_TEXT];
	addr_text(to, address);
	const struct log_kv facts[] = {{"host", host}, {"address", slice_str(address)},
		{"found", slice_str(dialer_how(t->dialer))}};
	uint32_t dns_ms = t->asked_dns ? since(t, t->mark) : XMPP_NOT_REACHED;
	if (t->asked_dns)
		done(t, "dns", "ok", slice_str(dialer_how(t->dialer)), facts, 3);
	t->asked_dns = false;
	next(t, XMPP_STEP_TCP);
	struct s2s *s = xmpp_s2s_new(p, false);
	s->direct = dialer_direct(t->dialer);
	s->test = t;
	s->purpose = "test";
	s->took[XMPP_STEP_DNS] = dns_ms;
	t->s2s = s;
	if (!xmpp_s2s_connect(s, to, &err)) {
		xmpp_s2s_initiator(s, slice_str(t->local), slice_str(t->remote), false);
		return;
	}
	xmpp_test_try_next(s, &err);
}

static void exhausted(void *arg, const struct entente_err *err)
{
	struct xmpp_test *t = arg;
	struct entente_err copy = *err;
	if (!copy.reason)
		copy.reason = REASON_XMPP_UNREACHABLE;
	if (!t->failed || t->asked_dns) {
		t->at = XMPP_STEP_DNS;
		failure(t, &copy, xmpp_blame(XMPP_STEP_DNS, false, false, XMPP_SIDE_NONE, &copy), NULL, 0);
	}
	conclude(t);
}

static void dns_said(void *arg, struct slice line)
{
	struct xmpp_test *t = arg;
	if (!t->asked_dns)
		next(t, XMPP_STEP_DNS);
	t->asked_dns = true;
	note(t, "dns", line);
}

static const struct dialer_ops dial_ops = {.address = try_address, .exhausted = exhausted, .note = dns_said};

void xmpp_test_try_next(struct s2s *s, const struct entente_err *why)
{
	struct xmpp_test *t = s->test;
	struct entente_err err = *why;
	const struct log_kv fact = {"address", slice_str(s->address)};
	err.reason = REASON_XMPP_UNREACHABLE;
	failure(t, &err, xmpp_blame(XMPP_STEP_TCP, false, false, XMPP_SIDE_NONE, &err), &fact, 1);
	xmpp_attempt_failed(s, &err, NULL);
	t->s2s = NULL;
	s->test = NULL;
	dialer_failed(t->dialer, &err);
	xmpp_s2s_free(s);
	if (!t->over)
		dialer_next(t->dialer);
}

void xmpp_test_connected(struct s2s *s)
{
	struct xmpp_test *t = s->test;
	const struct log_kv facts[] = {{"address", slice_str(s->address)}, {"found", slice_str(dialer_how(t->dialer))}};
	done(t, "tcp", "ok", slice_str(s->address), facts, 2);
	next(t, s->direct ? XMPP_STEP_TLS : XMPP_STEP_STREAM);
}

void xmpp_test_starting_tls(struct s2s *s)
{
	if (s->direct)
		return;
	done(s->test, "stream", "ok", S("the server speaks XMPP and starts TLS"), NULL, 0);
	next(s->test, XMPP_STEP_TLS);
}

void xmpp_test_secured(struct s2s *s, const struct tls_peer *c)
{
	struct xmpp_test *t = s->test;
	struct xmpp_cert_names n = {c->dns, c->n_dns, c->srv, c->n_srv, c->xmpp, c->n_xmpp};
	enum xmpp_identity id = c->has_cert ? xmpp_identity_match(&n, slice_str(t->remote)) : XMPP_IDENTITY_NONE;
	char text[DOMAIN_MAX + 300];
	struct partner_test_certificate told;
	struct log_kv facts[PARTNER_TEST_CERTIFICATE + 1];
	partner_test_certificate_init(&told, c);
	memcpy(facts, told.facts, sizeof told.facts);
	facts[PARTNER_TEST_CERTIFICATE] = (struct log_kv){"match", c->has_cert ? slice_str(xmpp_identity_text(id)) : SLICE_NONE};
	bool good = c->has_cert && c->chain_ok && id != XMPP_IDENTITY_NONE;
	if (good)
		snprintf(text, sizeof text, "%.*s; the certificate proves %s", SFMT(c->protocol), t->remote);
	else if (!c->has_cert || !c->chain_ok)
		snprintf(text, sizeof text, "%.*s; the certificate is not trusted: %.*s", SFMT(c->protocol), SFMT(c->why_not));
	else
		snprintf(text, sizeof text, "%.*s; the certificate is not valid for the name %s", SFMT(c->protocol), t->remote);
	done(t, "tls", good ? "ok" : "warning", slice_str(text), facts, sizeof facts / sizeof *facts);
	next(t, XMPP_STEP_AUTH);
	partner_test_certificate_free(&told);
}

void xmpp_test_trace(struct s2s *s, enum xmpp_trace what, struct slice text)
{
	const struct tls_peer *c = s->conn ? conn_peer(s->conn) : NULL;
	if (c && slice_starts(text, c->protocol)) /* told better by xmpp_test_secured */
		return;
	if (what == XMPP_TRACE_STEP || what == XMPP_TRACE_ODD)
		note(s->test, step_word(s->test->at), text);
}

static void answer_fired(struct timer *timer, uint64_t now)
{
	struct xmpp_test *t = CONTAINER_OF(timer, struct xmpp_test, answer);
	struct entente_err err;
	(void)now;
	err_set(&err, ENTENTE_ETIMEOUT, REASON_XMPP_UNREACHABLE,
		"we reach %s, but no answer to our ping came back: its server has to open a stream to us", t->remote);
	failure(t, &err, XMPP_WHO_US, NULL, 0);
	conclude(t);
}

void xmpp_test_established(struct s2s *s, const struct xmpp_peer *peer)
{
	struct xmpp_test *t = s->test;
	struct slice proof = slice_str(xmpp_proof_text(xmpp_peer_proof(peer)));
	char text[2 * DOMAIN_MAX + 100];
	struct buf b;
	if (t->told_up || t->over)
		return;
	t->told_up = true;
	const struct log_kv facts[] = {{"method", proof}, {"encrypted", xmpp_peer_encrypted(peer) ? S("yes") : S("no")}};
	snprintf(text, sizeof text, "%s accepts us as %s by %.*s", t->remote, t->local, SFMT(proof));
	if (t->at == XMPP_STEP_STREAM) /* in the clear */
		done(t, "stream", "ok", S("the server speaks XMPP; the stream is not encrypted"), NULL, 0);
	done(t, "auth", "ok", slice_str(text), facts, 2);
	next(t, XMPP_STEP_UP);
	t->failed = false; /* another address failed: this one is good */
	if (!t->partner) {
		done(t, "ping", "skipped", S("its answer would come on a stream that is refused while the domain is not let in"),
			NULL, 0);
		conclude(t);
		return;
	}
	buf_init(&b, 4096);
	buf_printf(&b, "<iq type='get' id='%s' from='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", t->ping, t->local,
		t->remote);
	xmpp_stream_send(s->stream, buf_slice(&b));
	buf_free(&b);
	timer_arm(&t->proxy->loop->timers, &t->answer, PING_MS);
}

/* Where another address may do better, as a link sees it too. */
static bool goes_on(const struct xmpp_test *t, const struct entente_err *err)
{
	return t->at < XMPP_STEP_UP && (err->reason == REASON_XMPP_UNREACHABLE || err->reason == REASON_XMPP_TLS ||
					err->reason == REASON_XMPP_STREAM_ERROR || err->reason == REASON_XMPP_DANE);
}

void xmpp_test_failed(struct s2s *s, const struct xmpp_failure *f)
{
	struct xmpp_test *t = s->test;
	const struct log_kv facts[] = {
		{"condition", f->condition}, {"said", f->received ? f->text : SLICE_NONE}, {"address", slice_str(s->address)}};
	if (t->over)
		return;
	if (f->err.reason == REASON_XMPP_CERTIFICATE && t->at == XMPP_STEP_AUTH) /* noticed afterwards */
		t->at = XMPP_STEP_TLS;
	failure(t, &f->err, xmpp_blame(t->at, false, f->received, f->fault, &f->err), facts, 3);
	if (!goes_on(t, &f->err))
		conclude(t);
}

void xmpp_test_down(struct s2s *s)
{
	struct xmpp_test *t = s->test;
	s->test = NULL;
	t->s2s = NULL;
	if (t->over)
		return;
	if (t->at < XMPP_STEP_UP && t->failed) {
		dialer_failed(t->dialer, &t->err);
		dialer_next(t->dialer);
		return;
	}
	if (!t->failed) {
		struct entente_err err;
		err_set(&err, ENTENTE_ECLOSED, REASON_XMPP_STREAM_ERROR, "%s closed the stream", t->remote);
		failure(t, &err, XMPP_WHO_PARTNER, NULL, 0);
	}
	conclude(t);
}

struct dialer *xmpp_test_dialer(const struct xmpp_test *t)
{
	return t->dialer;
}

struct slice xmpp_test_how(const struct xmpp_test *t)
{
	return t->dialer ? slice_str(dialer_how(t->dialer)) : SLICE_NONE;
}

struct xmpp_stream_policy xmpp_test_rules(const struct xmpp_test *t)
{
	return t->rules;
}

/* ---- the ping's answer, on whatever worker it comes */

struct answer {
	struct bus_msg bus;
	struct xmpp_proxy *proxy;
	uint64_t id;
	char text[160];
};

static void answered(struct xmpp_proxy *p, uint64_t id, struct slice text)
{
	LIST_EACH(n, &p->tests) {
		struct xmpp_test *t = CONTAINER_OF(n, struct xmpp_test, node);
		if (t->id != id || t->over || t->at != XMPP_STEP_UP)
			continue;
		timer_cancel(&p->loop->timers, &t->answer);
		done(t, "ping", "ok", text, NULL, 0);
		t->failed = false;
		conclude(t);
	}
}

static void answer_run(struct worker *w, struct bus_msg *b)
{
	struct answer *a = CONTAINER_OF(b, struct answer, bus);
	(void)w;
	answered(a->proxy, a->id, slice_str(a->text));
	mem_free(a);
}

static void answer_drop(struct bus_msg *b)
{
	mem_free(CONTAINER_OF(b, struct answer, bus));
}

/* For whom is it? 0: nobody. */
static uint64_t addressee(struct xmpp_tests *all, const struct xmpp_stanza *st, struct xmpp_proxy **ret)
{
	struct slice id = stanza_id(st->node);
	uint64_t found = 0;
	pthread_mutex_lock(&all->lock);
	for (int i = 0; i < XMPP_TESTS_MAX; i++) {
		const struct running *r = &all->r[i];
		if (r->id && slice_eq(slice_str(r->ping), id) && slice_eq(slice_str(r->remote), st->from.domain) &&
		    slice_eq(slice_str(r->local), st->to.domain)) {
			found = r->id;
			*ret = r->proxy;
		}
	}
	pthread_mutex_unlock(&all->lock);
	return found;
}

bool xmpp_test_takes(struct s2s *s, const struct xmpp_stanza *st)
{
	struct xmpp_proxy *p = s->proxy, *owner;
	uint64_t id;
	if (!any(p) || stanza_kind(st->node) != STANZA_IQ || !slice_starts(stanza_id(st->node), S(PING_PREFIX)))
		return false;
	enum stanza_type type = stanza_type(st->node);
	if ((type != STANZA_TYPE_RESULT && type != STANZA_TYPE_ERROR) || !(id = addressee(p->cfg.tests, st, &owner)))
		return false;
	struct answer *a = MEM_NEW(struct answer);
	*a = (struct answer){.bus = {.run = answer_run, .drop = answer_drop}, .proxy = owner, .id = id};
	snprintf(a->text, sizeof a->text, "answered with %s, on stream %llu, which %s opened",
		 type == STANZA_TYPE_RESULT ? "a result" : "an error", (unsigned long long)s->id,
		 s->inbound ? "the partner's server" : "we");
	if (owner == p)
		answer_run(p->worker, &a->bus);
	else
		worker_post_always(owner->worker, &a->bus);
	return true;
}

/* ---- the beginning */

static bool prepare(struct xmpp_test *t, const struct xmpp_test_spec *spec, struct dialer_target *to, const char **word,
		    struct entente_err *err)
{
	struct xmpp_proxy *p = t->proxy;
	struct snapshot *snap = snapshot_reader_get(&p->policy);
	const struct policy_partner *partner;
	struct policy_partner none;
	struct arena *a = arena_acquire(p->loop->arenas);
	struct slice l, r;
	bool ok = false;
	if (!snap || xmpp_domain_ascii(a, spec->local, &l) || xmpp_domain_ascii(a, spec->remote, &r) || r.len > DNS_NAME_MAX) {
		err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "not a domain");
	} else if (!snapshot_local(snap, l, NULL)) {
		err_set(err, ENTENTE_EINVAL, REASON_POLICY_LOCAL_UNKNOWN, "%.*s is not a domain of ours",
			SFMT(slice_first(l, 200)));
	} else if (snapshot_local(snap, r, NULL)) {
		err_set(err, ENTENTE_EINVAL, REASON_POLICY_SPOOFED_DOMAIN, "%.*s is a domain of ours", SFMT(slice_first(r, 200)));
	} else {
		enum reason reason = xmpp_proxy_judge(p, spec->local, spec->remote, &partner);
		*word = reason == REASON_NONE ? "a partner" : partner ? "a partner that is disabled or blocked" : "not a partner";
		t->partner = reason == REASON_NONE;
		policy_partner_defaults(&none);
		const struct policy_partner *base = partner ? partner : &none;
		if (partner)
			t->rules = xmpp_proxy_policy(p, NULL, spec->local, spec->remote);
		t->rules.local_ours = t->rules.partner = true;
		t->rules.remote_ours = t->rules.bidi = false; /* nothing of the partner's shall use the stream of a test */
		t->rules.refusal = SLICE_NONE;
		t->rules.tls = xmpp_proxy_need(spec->set_tls ? spec->tls : base->tls);
		t->rules.sasl = xmpp_proxy_need(spec->set_sasl ? spec->sasl : base->sasl);
		t->rules.dialback = spec->set_dialback ? spec->dialback : base->dialback;
		t->rules.lenient = snapshot_gateway(snap)->negotiation == POLICY_LYNC;
		if (!partner || !xmpp_proxy_target(p, a, spec->local, spec->remote, to, &reason))
			*to = (struct dialer_target){.host = base->server_host, .port = base->server_port};
		if (spec->host.len) {
			to->host = spec->host;
			to->port = spec->port;
		}
		slice_cstr(r, t->remote, sizeof t->remote); /* for the look-up; the prepared name follows */
		slice_cstr(to->host, t->host, sizeof t->host);
		t->port = to->port;
		to->domain = slice_str(t->remote);
		to->host = slice_str(t->host);
		to->direct = t->rules.tls != XMPP_OFF;
		to->private_addresses = p->cfg.set.private_addresses;
		ok = true;
	}
	arena_release(p->loop->arenas, a);
	return ok;
}

static const char *need_word(enum xmpp_need n)
{
	return n == XMPP_REQUIRED ? "required" : n == XMPP_OPTIONAL ? "optional" : "not-supported";
}

int xmpp_test_start(struct xmpp_proxy *p, const struct xmpp_test_spec *spec, const struct partner_test_ops *ops, void *arg,
		    struct entente_err *err)
{
	char token[TOKEN + 1], text[DOMAIN_MAX + 200];
	struct dialer_target to;
	const char *word;
	if (p->quiet)
		return err_set(err, ENTENTE_ECLOSED, REASON_SERVER_SHUTDOWN, "the server is shutting down");
	struct xmpp_test *t = MEM_NEW(struct xmpp_test);
	t->proxy = p;
	t->ops = ops;
	t->arg = arg;
	t->id = spec->id;
	t->end.run = end_run;
	timer_init(&t->deadline, deadline_fired);
	timer_init(&t->answer, answer_fired);
	rand_token(token, TOKEN);
	snprintf(t->ping, sizeof t->ping, PING_PREFIX "%.*s", TOKEN, token);
	slice_cstr(spec->local, t->local, sizeof t->local);
	if (!prepare(t, spec, &to, &word, err)) {
		mem_free(t);
		return err->code;
	}
	t->dialer = dialer_new(p->worker, p->cfg.dns, &to, &dial_ops, t);
	slice_cstr(spec->remote, t->remote, sizeof t->remote);
	if (!enrol(p->cfg.tests, t)) {
		dialer_free(t->dialer);
		mem_free(t);
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_CONNECTIONS, "%d tests run already; wait until one has ended",
			XMPP_TESTS_MAX);
	}
	list_append(&p->tests, &t->node);
	t->began = t->mark = p->loop->timers.now;
	timer_arm(&p->loop->timers, &t->deadline, spec->timeout_ms);
	const struct log_kv facts[] = {
		{"from", slice_str(t->local)}, {"partner", t->partner ? S("yes") : S("no")},
		{"tls", slice_str(need_word(t->rules.tls))}, {"sasl", slice_str(need_word(t->rules.sasl))},
		{"dialback", t->rules.dialback ? S("yes") : S("no")}, {"server", slice_str(t->host)}};
	snprintf(text, sizeof text, "%s is %s; tested with TLS %s, SASL %s, dialback %s", t->remote, word,
		 need_word(t->rules.tls), need_word(t->rules.sasl), t->rules.dialback ? "on" : "off");
	done(t, "policy", t->partner ? "ok" : "warning", slice_str(text), facts, 6);
	next(t, XMPP_STEP_DNS);
	t->asked_dns = !t->host[0];
	dialer_next(t->dialer);
	return 0;
}

void xmpp_test_cancel(struct xmpp_proxy *p, uint64_t id)
{
	LIST_EACH(n, &p->tests) {
		struct xmpp_test *t = CONTAINER_OF(n, struct xmpp_test, node);
		if (t->id != id)
			continue;
		t->over = true;
		end_run(&t->end);
	}
}

void xmpp_test_end_all(struct xmpp_proxy *p, bool tell)
{
	LIST_EACH(n, &p->tests) {
		struct xmpp_test *t = CONTAINER_OF(n, struct xmpp_test, node);
		struct entente_err err;
		err_set(&err, ENTENTE_ECLOSED, REASON_SERVER_SHUTDOWN, "the server is shutting down");
		if (tell && !t->over) {
			failure(t, &err, XMPP_WHO_US, NULL, 0);
			conclude(t);
		}
		t->over = true;
		end_run(&t->end);
	}
}
