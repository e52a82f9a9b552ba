/* SPDX-License-Identifier: Apache-2.0 */
/* Server dialback (XEP-0220) in its three roles. Receiving: db:result requests become questions to the owner. Authoritative:
 * db:verify requests are answered from the secret alone. Initiating: our own db:result and db:verify, whose answers count only
 * where they were asked for. */
#include "xmpp/stream_int.h"

#include "base/mem.h"
#include "xmpp/error.h"

enum { KEY_MAX = 1024, QUESTIONS_MAX = 64 };

/* ---- pairs */

struct pair *pair_find(const struct xmpp_stream *s, struct slice local, struct slice remote)
{
	LIST_EACH(it, &s->pairs) {
		struct pair *p = CONTAINER_OF(it, struct pair, link);
		if (slice_eq(p->peer.remote, remote) && slice_eq(p->peer.local, local))
			return p;
	}
	return NULL;
}

static void write_answer(struct xmpp_stream *s, const char *what, struct slice from, struct slice to, struct slice id,
			 const char *type, const char *condition, const char *text);
static void pair_refused(struct pair *p, const char *condition, const struct entente_err *err);

static void on_pair_timeout(struct timer *t, uint64_t now)
{
	struct pair *p = CONTAINER_OF(t, struct pair, timer);
	struct xmpp_stream *s = p->s;
	struct entente_err err;
	(void)now;
	stream_enter(s);
	if (s->initiator)
		err_set(&err, ENTENTE_ETIMEOUT, REASON_XMPP_DIALBACK,
			"%.*s did not answer our dialback request; it has to reach the XMPP server that DNS gives for %.*s",
			SFMT(p->peer.remote), SFMT(p->peer.local));
	else
		err_set(&err, ENTENTE_ETIMEOUT, REASON_XMPP_DIALBACK, "the authoritative server of %.*s did not answer in time",
			SFMT(p->peer.remote));
	pair_refused(p, "remote-server-timeout", &err);
	stream_leave(s);
}

struct pair *pair_add(struct xmpp_stream *s, struct slice local, struct slice remote)
{
	struct pair *p = MEM_NEW(struct pair);
	p->s = s;
	stream_set(&p->peer.local, local);
	stream_set(&p->peer.remote, remote);
	timer_init(&p->timer, on_pair_timeout);
	list_append(&s->pairs, &p->link);
	s->n_pairs++;
	return p;
}

static void pair_wait(struct pair *p)
{
	p->waiting = true;
	p->s->n_pending++;
	timer_arm(p->s->cfg->timers, &p->timer, p->s->cfg->dialback_ms);
}

static void pair_stop_waiting(struct pair *p)
{
	p->s->n_pending -= p->waiting;
	p->waiting = false;
	timer_cancel(p->s->cfg->timers, &p->timer);
}

void pair_remove(struct pair *p)
{
	struct xmpp_stream *s = p->s;
	pair_stop_waiting(p);
	list_remove(&p->link);
	s->n_pairs--;
	if (p->valid)
		s->n_valid--;
	if (s->recent == p)
		s->recent = NULL;
	stream_set(&p->peer.local, SLICE_NONE);
	stream_set(&p->peer.remote, SLICE_NONE);
	mem_free(p);
}

/* That the peer took our key says who we are, not who it is (XEP-0288 5): only its certificate does. TLSA records and delegation speak
 * for the domain that was called, for no other. */
static bool certificate_proves(const struct xmpp_stream *s, struct slice remote)
{
	if (slice_eq(remote, s->remote))
		return stream_certificate_good(s);
	return s->secured && s->tls.trusted && xmpp_identity_match(&s->tls.names, remote) != XMPP_IDENTITY_NONE;
}

void pair_prove(struct pair *p, enum xmpp_proof proof)
{
	struct xmpp_stream *s = p->s;
	pair_stop_waiting(p);
	p->valid = true;
	p->peer.proof = proof;
	p->peer.encrypted = s->secured;
	p->delivers = s->initiator && s->bidi && certificate_proves(s, p->peer.remote);
	s->n_valid++;
	if (s->state != XMPP_STREAM_OPEN)
		stream_open(s);
	stream_trace(s, XMPP_TRACE_STEP, "%.*s to %.*s proven by %s", SFMT(s->initiator ? p->peer.local : p->peer.remote),
		     SFMT(s->initiator ? p->peer.remote : p->peer.local), xmpp_proof_text(proof));
	TELL(s, established, &p->peer);
}

/* The owner may close from its callback, which ends all pairs: this one is gone by then. */
static void pair_lost(struct pair *p, const struct entente_err *err)
{
	struct xmpp_stream *s = p->s;
	char l[1024], r[1024];
	slice_cstr(p->peer.local, l, sizeof l);
	slice_cstr(p->peer.remote, r, sizeof r);
	pair_remove(p);
	TELL(s, pair_failed, slice_str(l), slice_str(r), err);
}

static bool still_allowed(const struct pair *p, const struct xmpp_stream_policy *rules)
{
	struct xmpp_methods m = xmpp_negotiation_methods(rules->tls, rules->sasl, rules->dialback, rules->lenient);
	if (!rules->partner || !rules->local_ours || rules->remote_ours || rules->barred)
		return false;
	switch (p->peer.proof) {
	case XMPP_PROOF_EXTERNAL:
	case XMPP_PROOF_DANE:
		return m.external;
	case XMPP_PROOF_CERTIFICATE:
		return m.dialback_tls && rules->trust_certificate;
	default:
		return p->peer.encrypted ? m.dialback_tls : m.dialback_tcp;
	}
}

static bool pair_allowed(const struct pair *p)
{
	struct xmpp_stream_policy rules = p->s->ops->policy(p->s->arg, p->peer.local, p->peer.remote);
	return still_allowed(p, &rules);
}

unsigned xmpp_stream_review(struct xmpp_stream *s)
{
	stream_enter(s);
	for (bool again = true; again && !s->freed && s->state == XMPP_STREAM_OPEN;) {
		again = false;
		LIST_EACH(it, &s->pairs) {
			struct pair *p = CONTAINER_OF(it, struct pair, link);
			struct entente_err err;
			if (!p->valid)
				continue;
			struct xmpp_stream_policy rules = s->ops->policy(s->arg, p->peer.local, p->peer.remote);
			if (s->freed || still_allowed(p, &rules))
				continue;
			err_set(&err, ENTENTE_EREFUSED, rules.partner ? REASON_XMPP_AUTH : REASON_POLICY_PARTNER_UNKNOWN,
				"%.*s is not allowed any more, or not by this method", SFMT(p->peer.remote));
			pair_lost(p, &err);
			again = true; /* the list may have changed under the callback */
			break;
		}
	}
	unsigned left = s->n_valid;
	stream_leave(s);
	return left;
}

/* The dialback of a pair failed: tells the peer (receiver) and the owner, and ends a stream that has nothing else. */
static void pair_refused(struct pair *p, const char *condition, const struct entente_err *err)
{
	struct xmpp_stream *s = p->s;
	struct slice local = p->peer.local, remote = p->peer.remote;
	pair_stop_waiting(p);
	if (!s->initiator)
		write_answer(s, "result", local, remote, SLICE_NONE, condition ? "error" : "invalid", condition, err->text);
	bool last = !s->n_valid && (s->initiator ? s->state == XMPP_STREAM_DIALBACK : !condition && !s->n_pending);
	struct entente_err why = *err;
	if (last) {
		pair_remove(p);
		stream_fail(s, NULL, why.code, why.reason, s->initiator ? XMPP_SIDE_NONE : XMPP_SIDE_REMOTE, "%s", why.text);
		return;
	}
	pair_lost(p, &why);
}

/* ---- the elements */

static void write_open(struct xmpp_stream *s, const char *what, struct slice from, struct slice to, struct slice id)
{
	buf_printf(&s->out, "<db:%s", what);
	if (!s->db_declared)
		buf_puts(&s->out, " xmlns:db='jabber:server:dialback'");
	stream_attr(&s->out, "from", from);
	stream_attr(&s->out, "to", to);
	if (id.p)
		stream_attr(&s->out, "id", id);
}

static void write_answer(struct xmpp_stream *s, const char *what, struct slice from, struct slice to, struct slice id,
			 const char *type, const char *condition, const char *text)
{
	struct buf *b = &s->out;
	write_open(s, what, from, to, id);
	buf_printf(b, " type='%s'", type);
	if (!condition) {
		buf_puts(b, "/>");
		return;
	}
	bool wait = slice_eq(slice_str(condition), S("remote-server-timeout")) ||
		    slice_eq(slice_str(condition), S("resource-constraint"));
	buf_printf(b, "><error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", wait ? "wait" : "cancel", condition);
	if (text && *text) {
		buf_puts(b, "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>");
		xml_escape(b, slice_str(text));
		buf_puts(b, "</text>");
	}
	buf_printf(b, "</error></db:%s>", what);
}

static void write_request(struct xmpp_stream *s, const char *what, struct slice from, struct slice to, struct slice id,
			  struct slice key)
{
	write_open(s, what, from, to, id);
	buf_putc(&s->out, '>');
	xml_escape(&s->out, key);
	buf_printf(&s->out, "</db:%s>", what);
}

struct db { /* one element, read */
	struct slice local, remote, id, type, key;
};

static bool read_db(struct xmpp_stream *s, const struct xml_node *el, struct arena *a, struct db *ret)
{
	*ret = (struct db){.id = xml_attr(el, S("id")), .type = xml_attr(el, S("type")), .key = slice_trim(xml_text(el, a))};
	if (xmpp_prep_domain(a, xml_attr(el, S("to")), &ret->local) == 0 &&
	    xmpp_prep_domain(a, xml_attr(el, S("from")), &ret->remote) == 0 && !slice_empty(ret->local) &&
	    !slice_empty(ret->remote))
		return true;
	stream_fail(s, "improper-addressing", ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, XMPP_SIDE_REMOTE,
		    "a dialback element needs a domain in 'from' and in 'to'");
	return false;
}

/* XEP-0220 2.4.2 has one condition that RFC 6120 knows only for streams. */
static bool condition_known(struct slice condition)
{
	return xmpp_condition_known(condition) || slice_eq(condition, S("remote-connection-failed"));
}

/* Condition of a type='error' answer. */
static struct slice error_condition(const struct xml_node *el)
{
	const struct xml_node *error = xml_child(el, S("error"), SLICE_NONE);
	for (const struct xml_node *c = error ? xml_first(error) : NULL; c; c = xml_next(c))
		if (slice_eq(c->ns, XMPP_NS_STANZAS) && condition_known(c->name))
			return c->name;
	return S("undefined-condition");
}

/* ---- receiving server: db:result requests */

struct refusal {
	const char *condition; /* for the peer; NULL: no refusal */
	const char *text;
	enum reason reason;    /* for us */
};

static struct refusal refuse_request(const struct xmpp_stream *s, const struct xmpp_stream_policy *p, const struct db *d)
{
	struct xmpp_methods m = xmpp_negotiation_methods(p->tls, p->sasl, p->dialback, p->lenient);
	if (!p->local_ours)
		return (struct refusal){"item-not-found", "", REASON_POLICY_LOCAL_UNKNOWN};
	if (p->remote_ours)
		return (struct refusal){"policy-violation", "this domain is served here and cannot come from outside",
					REASON_POLICY_SPOOFED_DOMAIN};
	if (!p->partner)
		return (struct refusal){"policy-violation", "not a federation partner; ask the administrator",
					REASON_POLICY_PARTNER_UNKNOWN};
	if (!s->secured && !m.dialback_tcp && p->tls != XMPP_OFF)
		return (struct refusal){"policy-violation", "TLS is required", REASON_XMPP_TLS_REQUIRED};
	if (s->secured ? !m.dialback_tls : !m.dialback_tcp)
		return (struct refusal){"not-authorized",
					"dialback is not accepted: a certificate that proves the domain is required", REASON_XMPP_AUTH};
	if (p->barred)
		return (struct refusal){"not-authorized", "a certificate with the expected key is required", REASON_XMPP_PIN};
	if (slice_empty(d->key) || d->key.len > KEY_MAX)
		return (struct refusal){"not-acceptable", "", REASON_XMPP_DIALBACK};
	return (struct refusal){.text = ""};
}

static void result_request(struct xmpp_stream *s, const struct db *d)
{
	struct xmpp_stream_policy policy = s->ops->policy(s->arg, d->local, d->remote);
	if (s->freed)
		return;
	struct pair *p = pair_find(s, d->local, d->remote);
	struct refusal no = refuse_request(s, &policy, d);
	if (!no.condition && p && !p->valid) {
		stream_trace(s, XMPP_TRACE_ODD, "dialback request for %.*s repeated while the first is open", SFMT(d->remote));
		return;
	}
	if (!no.condition && p) {
		write_answer(s, "result", d->local, d->remote, SLICE_NONE, "valid", NULL, NULL);
		return;
	}
	if (!no.condition && (s->n_pairs >= s->cfg->max_pairs || s->n_pending >= s->cfg->max_pending))
		no = (struct refusal){"resource-constraint", "too many domains on one stream", REASON_LIMIT_CONNECTIONS};
	if (no.condition) {
		struct entente_err err;
		write_answer(s, "result", d->local, d->remote, SLICE_NONE, "error", no.condition, no.text);
		err_set(&err, ENTENTE_EREFUSED, no.reason, "dialback of %.*s refused with %s%s%s", SFMT(d->remote), no.condition,
			*no.text ? ": " : "", no.text);
		TELL(s, pair_failed, d->local, d->remote, &err);
		return;
	}
	if (slice_empty(s->local) && slice_empty(s->remote)) { /* an old header named nobody */
		stream_set(&s->local, d->local);
		stream_set(&s->remote, d->remote);
		s->policy = policy;
		s->methods = xmpp_negotiation_methods(policy.tls, policy.sasl, policy.dialback, policy.lenient);
	}
	p = pair_add(s, d->local, d->remote);
	if (policy.trust_certificate && s->secured && s->tls.trusted &&
	    xmpp_identity_match(&s->tls.names, d->remote) != XMPP_IDENTITY_NONE) {
		write_answer(s, "result", d->local, d->remote, SLICE_NONE, "valid", NULL, NULL);
		pair_prove(p, XMPP_PROOF_CERTIFICATE);
		return;
	}
	pair_wait(p);
	struct xmpp_verify v = {.local = d->local, .remote = d->remote, .id = s->id, .key = d->key};
	TELL(s, verify, &v);
}

void xmpp_stream_verify_done(struct xmpp_stream *s, const struct xmpp_verify *v, enum xmpp_verdict verdict,
			     struct slice condition)
{
	if (s->initiator || s->freed || s->state >= XMPP_STREAM_CLOSING || !slice_eq(v->id, s->id))
		return;
	struct pair *p = pair_find(s, v->local, v->remote);
	if (!p || p->valid || !p->waiting)
		return;
	stream_enter(s);
	struct entente_err err;
	char name[40] = "remote-server-not-found";
	switch (verdict) {
	case XMPP_VALID:
		p->peer.proof = XMPP_PROOF_DIALBACK;
		p->peer.encrypted = s->secured;
		if (!pair_allowed(p)) { /* the question took its time, and the rules have changed meanwhile */
			err_set(&err, ENTENTE_EREFUSED, REASON_POLICY_PARTNER_UNKNOWN, "%.*s is not allowed any more, or not by this method",
				SFMT(p->peer.remote));
			pair_refused(p, "policy-violation", &err);
			break;
		}
		write_answer(s, "result", p->peer.local, p->peer.remote, SLICE_NONE, "valid", NULL, NULL);
		pair_prove(p, XMPP_PROOF_DIALBACK);
		break;
	case XMPP_INVALID:
		err_set(&err, ENTENTE_EAUTH, REASON_XMPP_DIALBACK, "the authoritative server of %.*s does not know this key",
			SFMT(p->peer.remote));
		pair_refused(p, NULL, &err);
		break;
	case XMPP_UNDECIDED:
		if (condition_known(condition))
			slice_cstr(condition, name, sizeof name);
		err_set(&err, ENTENTE_EAUTH, REASON_XMPP_DIALBACK, "the authoritative server of %.*s could not be asked: %s",
			SFMT(p->peer.remote), name);
		pair_refused(p, name, &err);
		break;
	}
	stream_leave(s);
}

/* ---- authoritative server: db:verify requests */

/* Only keys that we could have made are judged: for a domain of ours, towards a partner with whom dialback is allowed. */
static void verify_request(struct xmpp_stream *s, const struct db *d)
{
	struct xmpp_stream_policy policy = s->ops->policy(s->arg, d->local, d->remote);
	if (s->freed)
		return;
	struct xmpp_methods m = xmpp_negotiation_methods(policy.tls, policy.sasl, policy.dialback, policy.lenient);
	s->answered++;
	if (!policy.local_ours || policy.remote_ours || !(policy.partner || policy.verify) || !(m.dialback_tls || m.dialback_tcp) ||
	    slice_empty(d->id)) {
		write_answer(s, "verify", d->local, d->remote, d->id, "error", "item-not-found", NULL);
	} else if (!s->secured && !m.dialback_tcp) {
		write_answer(s, "verify", d->local, d->remote, d->id, "error", "policy-violation", "TLS is required");
	} else {
		bool ours = xmpp_dialback_check_any(&s->cfg->secrets, d->remote, d->local, d->id, d->key);
		stream_trace(s, XMPP_TRACE_STEP, "key of %.*s shown by %.*s is %s", SFMT(d->local), SFMT(d->remote),
			     ours ? "valid" : "invalid");
		write_answer(s, "verify", d->local, d->remote, d->id, ours ? "valid" : "invalid", NULL, NULL);
	}
}

/* ---- initiating server */

bool dialback_request(struct xmpp_stream *s, struct pair *p)
{
	char key[XMPP_DIALBACK_KEY + 1];
	if (slice_empty(s->id)) {
		stream_fail(s, "undefined-condition", ENTENTE_EAUTH, REASON_XMPP_DIALBACK, XMPP_SIDE_REMOTE,
			    "%.*s gave the stream no id, so dialback is impossible", SFMT(s->remote));
		return false;
	}
	xmpp_dialback_key(key, &s->cfg->secrets.s[0], p->peer.remote, p->peer.local, s->id);
	write_request(s, "result", p->peer.local, p->peer.remote, SLICE_NONE, slice_of(key, XMPP_DIALBACK_KEY));
	stream_trace(s, XMPP_TRACE_STEP, "dialback requested for %.*s at %.*s", SFMT(p->peer.local), SFMT(p->peer.remote));
	pair_wait(p);
	return true;
}

int xmpp_stream_add(struct xmpp_stream *s, struct slice local, struct slice remote)
{
	if (!s->initiator || s->verify_only)
		return ENTENTE_EINVAL;
	if (s->state >= XMPP_STREAM_CLOSING || s->freed)
		return ENTENTE_ECLOSED;
	if (s->state != XMPP_STREAM_OPEN)
		return ENTENTE_EAGAIN;
	if (pair_find(s, local, remote))
		return ENTENTE_EEXIST;
	bool errors = s->features & FEATURE_DIALBACK_ERRORS;
	if (!(s->legacy || (s->features & FEATURE_DIALBACK)) || (!slice_eq(remote, s->remote) && !errors))
		return ENTENTE_EUNSUPPORTED;
	struct xmpp_stream_policy policy = s->ops->policy(s->arg, local, remote);
	struct xmpp_methods m = xmpp_negotiation_methods(policy.tls, policy.sasl, policy.dialback, policy.lenient);
	if (!policy.local_ours || policy.remote_ours || !policy.partner || policy.barred ||
	    !(s->secured ? m.dialback_tls : m.dialback_tcp))
		return ENTENTE_EREFUSED;
	if (s->n_pairs >= s->cfg->max_pairs || s->n_pending >= s->cfg->max_pending)
		return ENTENTE_ELIMIT;
	stream_enter(s);
	dialback_request(s, pair_add(s, local, remote));
	stream_leave(s);
	return 0;
}

const struct xmpp_peer *xmpp_stream_peer(const struct xmpp_stream *s, struct slice local, struct slice remote)
{
	const struct pair *p = pair_find(s, local, remote);
	return p && p->valid ? &p->peer : NULL;
}

/* What the conditions of XEP-0220 2.4.2 mean to our administrator. */
static const char *hint(struct slice condition)
{
	static const struct {
		const char *condition, *text;
	} table[] = {
		{"item-not-found", ": it does not serve that domain"},
		{"policy-violation", ": it wants TLS first, or does not allow us"},
		{"not-authorized", ": it wants a certificate"},
		{"forbidden", ": our server did not confirm the key"},
		{"remote-server-not-found", ": it could not find our server by DNS"},
		{"remote-connection-failed", ": it could not connect to our server"},
		{"remote-server-timeout", ": our server did not answer it"},
		{"resource-constraint", ": too many domains on one stream"},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (slice_eq(condition, slice_str(table[i].condition)))
			return table[i].text;
	return "";
}

static void result_answer(struct xmpp_stream *s, const struct xml_node *el, const struct db *d)
{
	struct pair *p = s->initiator ? pair_find(s, d->local, d->remote) : NULL;
	if (!p || p->valid || !p->waiting) {
		stream_trace(s, XMPP_TRACE_ODD, "unsolicited db:result '%.*s' from %.*s to %.*s ignored",
			     SFMT(slice_first(d->type, 16)), SFMT(d->remote), SFMT(d->local));
		return;
	}
	struct entente_err err;
	if (slice_eq(d->type, S("valid"))) {
		pair_prove(p, XMPP_PROOF_DIALBACK);
		return;
	}
	if (slice_eq(d->type, S("error"))) {
		struct slice c = error_condition(el);
		err_set(&err, ENTENTE_EAUTH, REASON_XMPP_DIALBACK, "%.*s answered our dialback request with %.*s%s",
			SFMT(d->remote), SFMT(c), hint(c));
	} else {
		err_set(&err, ENTENTE_EAUTH, REASON_XMPP_DIALBACK,
			"%.*s found our dialback key invalid: DNS sends it to another server for %.*s, "
			"or our servers do not share one dialback secret",
			SFMT(d->remote), SFMT(d->local));
	}
	pair_refused(p, NULL, &err);
}

/* ---- questions */

static void question_end(struct question *q, enum xmpp_verdict verdict, struct slice condition)
{
	struct xmpp_stream *s = q->s;
	struct xmpp_verify v = q->v;
	v.key = SLICE_NONE;
	timer_cancel(s->cfg->timers, &q->timer);
	list_remove(&q->link);
	s->n_questions--;
	TELL(s, verified, &v, verdict, condition);
	mem_free(q);
	if (!s->freed && s->verify_only && !s->n_questions && s->state == XMPP_STREAM_VERIFY)
		stream_finish(s);
}

static void on_question_timeout(struct timer *t, uint64_t now)
{
	struct question *q = CONTAINER_OF(t, struct question, timer);
	struct xmpp_stream *s = q->s;
	(void)now;
	stream_enter(s);
	question_end(q, XMPP_UNDECIDED, S("remote-server-timeout"));
	stream_leave(s);
}

static struct slice put(char **at, struct slice src)
{
	struct slice ret = slice_of(*at, src.len);
	if (src.len)
		memcpy(*at, src.p, src.len);
	*at += src.len;
	return ret;
}

int xmpp_stream_verify(struct xmpp_stream *s, const struct xmpp_verify *v)
{
	if (!s->initiator || !slice_eq(v->remote, s->remote))
		return ENTENTE_EINVAL;
	if (s->state >= XMPP_STREAM_CLOSING || s->freed)
		return ENTENTE_ECLOSED;
	if (s->n_questions >= QUESTIONS_MAX)
		return ENTENTE_ELIMIT;
	stream_enter(s);
	struct question *q = mem_calloc(1, sizeof *q + v->local.len + v->remote.len + v->id.len + v->key.len + 1);
	char *at = (char *)(q + 1);
	q->s = s;
	q->v.local = put(&at, v->local);
	q->v.remote = put(&at, v->remote);
	q->v.id = put(&at, v->id);
	q->v.key = put(&at, v->key);
	timer_init(&q->timer, on_question_timeout);
	timer_arm(s->cfg->timers, &q->timer, s->cfg->dialback_ms);
	list_append(&s->questions, &q->link);
	s->n_questions++;
	questions_flush(s);
	stream_leave(s);
	return 0;
}

void questions_flush(struct xmpp_stream *s)
{
	if (s->state != XMPP_STREAM_DIALBACK && s->state != XMPP_STREAM_VERIFY && s->state != XMPP_STREAM_OPEN)
		return;
	LIST_EACH(it, &s->questions) {
		struct question *q = CONTAINER_OF(it, struct question, link);
		if (!q->sent)
			write_request(s, "verify", q->v.local, q->v.remote, q->v.id, q->v.key);
		q->sent = true;
	}
}

static void verify_answer(struct xmpp_stream *s, const struct xml_node *el, const struct db *d)
{
	LIST_EACH(it, &s->questions) {
		struct question *q = CONTAINER_OF(it, struct question, link);
		if (!q->sent || !slice_eq(q->v.id, d->id) || !slice_eq(q->v.local, d->local) || !slice_eq(q->v.remote, d->remote))
			continue;
		bool valid = slice_eq(d->type, S("valid")), invalid = slice_eq(d->type, S("invalid"));
		question_end(q,
			     valid     ? XMPP_VALID
			     : invalid ? XMPP_INVALID
				       : XMPP_UNDECIDED,
			     valid || invalid ? SLICE_NONE : error_condition(el));
		return;
	}
	stream_trace(s, XMPP_TRACE_ODD, "unsolicited db:verify '%.*s' from %.*s ignored", SFMT(slice_first(d->type, 16)),
		     SFMT(d->remote));
}

void dialback_settle(struct xmpp_stream *s, const struct entente_err *err)
{
	struct slice condition = err->code == ENTENTE_ETIMEOUT ? S("remote-server-timeout") : S("remote-connection-failed");
	LIST_EACH(it, &s->questions)
		question_end(CONTAINER_OF(it, struct question, link), XMPP_UNDECIDED, condition);
	LIST_EACH(it, &s->pairs) {
		struct pair *p = CONTAINER_OF(it, struct pair, link);
		if (p->valid)
			continue;
		if (s->initiator && s->n_valid)
			TELL(s, pair_failed, p->peer.local, p->peer.remote, err);
		pair_remove(p);
	}
}

/* ---- */

void dialback_element(struct xmpp_stream *s, const struct xml_node *el, struct arena *a)
{
	struct db d;
	bool result = slice_eq(el->name, S("result"));
	if (!result && !slice_eq(el->name, S("verify"))) {
		stream_trace(s, XMPP_TRACE_ODD, "dialback <%.*s/> ignored", SFMT(slice_first(el->name, 40)));
		return;
	}
	if (!read_db(s, el, a, &d))
		return;
	if (d.type.p && result)
		result_answer(s, el, &d);
	else if (d.type.p)
		verify_answer(s, el, &d);
	else if (s->initiator && s->bidi && result)
		/* legal (XEP-0288 2.2), but nobody needs it: further domains have streams of their own */
		write_answer(s, "result", d.local, d.remote, SLICE_NONE, "error", "resource-constraint",
			     "this stream takes no further domains; open another");
	else if (s->initiator && !s->bidi)
		stream_trace(s, XMPP_TRACE_ODD, "dialback request on a stream that we opened ignored");
	else if (result)
		result_request(s, &d);
	else
		verify_request(s, &d);
}
