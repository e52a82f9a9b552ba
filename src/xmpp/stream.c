/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/stream_int.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/rand.h"
#include "xmpp/stanza.h"

enum { OUT_LIMIT = 16 << 20, ID_LEN = 24 };

static const struct xml_stream_ops xml_ops;

/* ---- small helpers */

void xmpp_stream_config_defaults(struct xmpp_stream_config *c)
{
	c->auth_ms = 30000;
	c->setup_ms = 60000;
	c->dialback_ms = 25000;
	c->close_ms = 5000;
	c->ping_ms = 5 * 60000;
	c->idle_ms = 30 * 60000;
	c->rest_ms = 5000;
	c->max_early = 10000;
	c->max_stanza = c->max_out = 256 << 10;
	c->acks = true;
	c->ack_ms = 5 * 60000;
	c->bidi = true;
	c->max_pairs = 64;
	c->max_pending = 16;
	xmpp_dialback_secret_random(&c->secrets.s[0]);
	c->secrets.n = 1;
}

void stream_trace(struct xmpp_stream *s, enum xmpp_trace what, const char *fmt, ...)
{
	if (!s->ops->trace || s->freed)
		return;
	char line[256];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n > 0)
		s->ops->trace(s->arg, what, slice_of(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1));
}

void stream_set(struct slice *dst, struct slice src)
{
	char *copy = slice_empty(src) ? NULL : mem_strndup(src.p, src.len);
	mem_free((void *)(uintptr_t)dst->p);
	*dst = slice_of(copy, src.len);
}

void stream_attr(struct buf *b, const char *name, struct slice value)
{
	buf_printf(b, " %s='", name);
	xml_escape(b, value);
	buf_putc(b, '\'');
}

/* ---- parser */

static struct xml_limits limits_of(const struct xmpp_stream *s)
{
	struct xml_limits lim = xml_limits_default;
	lim.max_bytes = s->cfg->max_early;
	lim.max_depth = s->cfg->max_depth ? s->cfg->max_depth : lim.max_depth;
	lim.max_attrs = s->cfg->max_attributes ? s->cfg->max_attributes : lim.max_attrs;
	/* What an initiator gets after authentication is as small as before, unless stanzas come. */
	if (s->n_valid && stream_may_receive(s)) {
		lim.max_bytes = s->policy.max_stanza ? s->policy.max_stanza : s->cfg->max_stanza;
		lim.max_skip = s->ops->oversize ? lim.max_bytes : 0;
	}
	return lim;
}

static void new_parser(struct xmpp_stream *s)
{
	struct xml_limits lim = limits_of(s);
	xml_stream_free(s->xml);
	s->xml = xml_stream_new(&xml_ops, s, s->cfg->pool, &lim);
	s->restart = false;
}

void stream_restart(struct xmpp_stream *s)
{
	s->header_sent = s->legacy = s->peer_db = false;
	s->features = 0;
	if (s->initiator) { /* features tell us; a receiver knows it from <bidi/>, once */
		s->peer_max_stanza = 0;
		s->peer_idle_ms = 0;
	}
	stream_set(&s->id, SLICE_NONE);
	if (s->feeding) {
		xml_stream_stop(s->xml);
		s->restart = true;
	} else {
		new_parser(s);
	}
}

/* ---- entry, output, end */

void stream_enter(struct xmpp_stream *s)
{
	s->depth++;
}

static void cancel_timers(struct xmpp_stream *s)
{
	timer_cancel(s->cfg->timers, &s->setup);
	timer_cancel(s->cfg->timers, &s->patience);
	timer_cancel(s->cfg->timers, &s->beat);
	timer_cancel(s->cfg->timers, &s->rest);
	timer_cancel(s->cfg->timers, &s->ack);
	timer_cancel(s->cfg->timers, &s->news);
}

static void destroy(struct xmpp_stream *s)
{
	cancel_timers(s);
	LIST_EACH(it, &s->pairs)
		pair_remove(CONTAINER_OF(it, struct pair, link));
	LIST_EACH(it, &s->questions) {
		struct question *q = CONTAINER_OF(it, struct question, link);
		timer_cancel(s->cfg->timers, &q->timer);
		mem_free(q);
	}
	xml_stream_free(s->xml);
	ack_window_free(&s->came);
	buf_free(&s->out);
	buf_free(&s->writing);
	stream_set(&s->local, SLICE_NONE);
	stream_set(&s->remote, SLICE_NONE);
	stream_set(&s->id, SLICE_NONE);
	mem_free(s->tls_block);
	mem_free(s);
}

static void send_now(struct xmpp_stream *s, struct slice bytes)
{
	s->bytes_out += bytes.len;
	s->last_out = s->cfg->timers->now;
	if (s->ops->trace && !s->freed)
		s->ops->trace(s->arg, XMPP_TRACE_OUT, bytes);
	TELL(s, write, bytes);
}

/* What the owner sends from inside write() lands in the other buffer. */
static void flush(struct xmpp_stream *s)
{
	struct buf full = s->out;
	s->out = s->writing;
	s->writing = full;
	send_now(s, buf_slice(&s->writing));
	buf_shrink(&s->writing, 0); /* idle streams hold no buffers; stanzas pass through without one */
}

void stream_leave(struct xmpp_stream *s)
{
	while (s->depth == 1 && !s->freed) {
		if (s->out.len) {
			flush(s);
		} else if (s->want_tls) {
			s->want_tls = false;
			TELL(s, start_tls);
		} else if (s->want_close) {
			s->want_close = false;
			s->state = XMPP_STREAM_CLOSED;
			cancel_timers(s);
			TELL(s, close);
		} else {
			break;
		}
	}
	if (--s->depth == 0 && s->freed)
		destroy(s);
}

void stream_write_header(struct xmpp_stream *s)
{
	struct buf *b = &s->out;
	s->header_sent = true;
	s->db_declared = s->methods.dialback_tls || s->methods.dialback_tcp;
	buf_puts(b, "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'");
	if (s->db_declared)
		buf_puts(b, " xmlns:db='jabber:server:dialback'");
	if (!slice_empty(s->local) && (s->initiator || s->policy.local_ours))
		stream_attr(b, "from", s->local);
	if (!slice_empty(s->remote))
		stream_attr(b, "to", s->remote);
	if (!s->initiator) {
		char id[ID_LEN + 1];
		rand_token(id, ID_LEN);
		stream_set(&s->id, slice_of(id, ID_LEN));
		stream_attr(b, "id", s->id);
	}
	buf_puts(b, s->legacy ? " xml:lang='en'>" : " version='1.0' xml:lang='en'>");
}

void stream_judge(struct xmpp_stream *s)
{
	if (s->freed)
		return;
	s->policy = s->ops->policy(s->arg, s->local, s->remote);
	s->methods = xmpp_negotiation_methods(s->policy.tls, s->policy.sasl, s->policy.dialback, s->policy.lenient);
}

/* ---- the parser's callbacks */

/* Major version 1 or later; none means a server of before RFC 3920. */
static bool read_version(struct xmpp_stream *s, struct slice version)
{
	uint64_t major;
	s->legacy = true;
	if (!version.p)
		return true;
	struct slice rest = version, first = slice_split(&rest, '.');
	if (!slice_u64(first, UINT16_MAX, &major))
		return false;
	s->legacy = major == 0;
	return true;
}

bool stream_check_header(struct xmpp_stream *s, const struct xml_node *header, struct slice default_ns)
{
	const char *condition = NULL;
	if (!slice_eq(header->ns, XMPP_NS_STREAM))
		condition = "invalid-namespace";
	else if (!slice_eq(header->name, S("stream")))
		condition = "bad-format";
	else if (!slice_eq(default_ns, XMPP_NS_SERVER))
		condition = "invalid-namespace";
	if (condition) {
		stream_fail(s, condition, ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE,
			    "this is not a stream between XMPP servers: <%.*s/> in %.*s, default namespace %.*s",
			    SFMT(slice_first(header->name, 40)), SFMT(slice_first(header->ns, 60)),
			    SFMT(slice_first(default_ns, 60)));
		return false;
	}
	if (!read_version(s, xml_attr(header, S("version")))) {
		stream_fail(s, "unsupported-version", ENTENTE_EUNSUPPORTED, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE,
			    "the version of the stream is not a version");
		return false;
	}
	s->peer_db = slice_eq(xml_attr_ns(header, XML_NS_XMLNS, S("db")), XMPP_NS_DIALBACK);
	return true;
}

static void on_open(void *arg, const struct xml_node *header, struct slice default_ns)
{
	struct xmpp_stream *s = arg;
	if (s->state != XMPP_STREAM_HEADER || s->freed) /* closed meanwhile */
		return;
	if (!stream_check_header(s, header, default_ns))
		return;
	if (s->initiator)
		stream_out_header(s, header);
	else
		stream_in_header(s, header);
}

static void on_element(void *arg, struct xml_node *el, struct arena *a)
{
	struct xmpp_stream *s = arg;
	if (s->discard || s->freed) {
		arena_release(s->cfg->pool, a);
	} else if (slice_eq(el->ns, XMPP_NS_STREAM) && slice_eq(el->name, S("error"))) {
		stream_error_received(s, el, a);
		arena_release(s->cfg->pool, a);
	} else if (s->initiator) {
		stream_out_element(s, el, a);
	} else {
		stream_in_element(s, el, a);
	}
}

static void on_close(void *arg)
{
	struct xmpp_stream *s = arg;
	if (s->freed)
		return;
	s->peer_closed = true;
	s->peer_ended = s->peer_ended || s->state < XMPP_STREAM_CLOSING;
	if (s->state == XMPP_STREAM_CLOSING)
		s->want_close = true;
	else if (s->initiator && s->state != XMPP_STREAM_OPEN && s->state != XMPP_STREAM_VERIFY)
		stream_fail(s, NULL, ENTENTE_ECLOSED, REASON_XMPP_STREAM_ERROR, XMPP_SIDE_REMOTE,
			    "%.*s closed the stream during %s without saying why", SFMT(s->remote),
			    xmpp_stream_state_text(s->state));
	else {
		if (!s->initiator && s->state == XMPP_STREAM_NEGOTIATE && !s->n_valid && !s->answered)
			stream_trace(s, XMPP_TRACE_ODD, "%.*s left without proving anything%s",
				     SFMT(slice_empty(s->remote) ? S("the peer") : s->remote),
				     s->secured ? "" : "; maybe it wants TLS");
		stream_finish(s);
	}
}

/* One user's monster must not end the stream of a whole domain. Who sends other monsters is no user. */
static void on_oversize(void *arg, struct xml_node *el, struct arena *a)
{
	struct xmpp_stream *s = arg;
	bool passed = false;
	if (s->discard || s->freed || (s->counted && s->state == XMPP_STREAM_CLOSING))
		;
	else if (stanza_kind(el) != STANZA_NONE)
		passed = stream_in_stanza(s, el, a, true);
	else
		stream_fail(s, "policy-violation", ENTENTE_ELIMIT, REASON_LIMIT_SIZE, XMPP_SIDE_REMOTE,
			    "<%.*s/> exceeds a limit of size, depth, attributes or children", SFMT(slice_first(el->name, 40)));
	if (!passed)
		arena_release(s->cfg->pool, a);
}

static const struct xml_stream_ops xml_ops = {on_open, on_element, on_close, on_oversize};

static void parser_failed(struct xmpp_stream *s, enum xml_fault fault, const struct entente_err *err)
{
	static const char *const condition[] = {
		[XML_FAULT_NONE] = "undefined-condition",
		[XML_FAULT_NOT_WELL_FORMED] = "not-well-formed",
		[XML_FAULT_RESTRICTED] = "restricted-xml",
		[XML_FAULT_TOO_BIG] = "policy-violation",
		[XML_FAULT_ENCODING] = "unsupported-encoding",
		[XML_FAULT_BAD_FORMAT] = "bad-format",
	};
	if (fault == XML_FAULT_TOO_BIG)
		stream_fail(s, condition[fault], ENTENTE_ELIMIT, REASON_LIMIT_SIZE, XMPP_SIDE_REMOTE, "%s (limit %zu octets)",
			    err->text, limits_of(s).max_bytes);
	else
		stream_fail(s, condition[fault], ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, XMPP_SIDE_REMOTE, "%s", err->text);
}

/* ---- timers */

static void on_setup(struct timer *t, uint64_t now)
{
	struct xmpp_stream *s = CONTAINER_OF(t, struct xmpp_stream, setup);
	(void)now;
	stream_enter(s);
	if (!s->initiator && s->n_pending && !s->extended) {
		s->extended = true; /* once: the answer to a question of ours may still come */
		timer_arm(s->cfg->timers, &s->setup, s->cfg->dialback_ms);
	} else if (s->state == XMPP_STREAM_VERIFY || s->answered) {
		stream_finish(s); /* a stream that only asked or answered has done its work */
	} else if (s->state == XMPP_STREAM_TLS) {
		stream_fail(s, NULL, ENTENTE_ETIMEOUT, REASON_XMPP_TLS, XMPP_SIDE_REMOTE,
			    "the TLS handshake with %.*s did not end in time", SFMT(s->remote));
	} else if (s->initiator) {
		stream_fail(s, "connection-timeout", ENTENTE_ETIMEOUT, stream_cause(s, SLICE_NONE, REASON_XMPP_UNREACHABLE), XMPP_SIDE_REMOTE,
			    "%.*s did not answer within %u s (waiting for: %s)", SFMT(s->remote), s->cfg->setup_ms / 1000,
			    xmpp_stream_state_text(s->state));
	} else {
		stream_fail(s, "connection-timeout", ENTENTE_ETIMEOUT, REASON_XMPP_AUTH, XMPP_SIDE_REMOTE,
			    "not authenticated within %u s", s->cfg->auth_ms / 1000);
	}
	stream_leave(s);
}

static void on_patience(struct timer *t, uint64_t now)
{
	struct xmpp_stream *s = CONTAINER_OF(t, struct xmpp_stream, patience);
	(void)now;
	stream_enter(s);
	s->want_close = true;
	stream_leave(s);
}

/* Twice in the time after which the peer may end a silent stream, where it says so; 0: never. */
static uint32_t ping_ms(const struct xmpp_stream *s)
{
	enum { LEAST_MS = 10000 }; /* no peer makes us chatter */
	uint32_t half = s->peer_idle_ms / 2 < LEAST_MS ? LEAST_MS : s->peer_idle_ms / 2;
	return s->peer_idle_ms && half < s->cfg->ping_ms ? half : s->cfg->ping_ms;
}

static void arm_beat(struct xmpp_stream *s)
{
	uint64_t now = s->cfg->timers->now, next = UINT64_MAX;
	if (ping_ms(s))
		next = s->last_out + ping_ms(s);
	if (s->cfg->idle_ms && s->last_stanza + s->cfg->idle_ms < next)
		next = s->last_stanza + s->cfg->idle_ms;
	if (next != UINT64_MAX)
		timer_arm(s->cfg->timers, &s->beat, next > now ? next - now : 1);
}

/* Traffic only notes the time; whether something is due is looked up here. */
static void on_beat(struct timer *t, uint64_t now)
{
	struct xmpp_stream *s = CONTAINER_OF(t, struct xmpp_stream, beat);
	stream_enter(s);
	if (s->cfg->idle_ms && now >= s->last_stanza + s->cfg->idle_ms) {
		stream_trace(s, XMPP_TRACE_STEP, "idle for %u s: closing", s->cfg->idle_ms / 1000);
		stream_finish(s);
	} else {
		if (ping_ms(s) && now >= s->last_out + ping_ms(s)) {
			buf_putc(&s->out, ' ');
			s->last_out = now;
		}
		arm_beat(s);
	}
	stream_leave(s);
}

/* A parser takes as much memory as all the rest of a stream, and most streams are silent most of the time. Here too traffic only
 * notes the time. */
static void on_rest(struct timer *t, uint64_t now)
{
	struct xmpp_stream *s = CONTAINER_OF(t, struct xmpp_stream, rest);
	uint64_t due = s->last_in + s->cfg->rest_ms;
	if (now < due)
		timer_arm(s->cfg->timers, t, due - now);
	else
		s->resting = xml_stream_rest(s->xml);
}

void stream_open(struct xmpp_stream *s)
{
	struct xml_limits lim = limits_of(s);
	s->state = XMPP_STREAM_OPEN;
	s->opened = s->last_out = s->last_stanza = s->cfg->timers->now;
	timer_cancel(s->cfg->timers, &s->setup);
	xml_stream_set_limits(s->xml, &lim);
	arm_beat(s);
}

/* ---- life */

static struct xmpp_stream *stream_new(const struct xmpp_stream_config *cfg, const struct xmpp_stream_ops *ops, void *arg)
{
	struct xmpp_stream *s = MEM_NEW(struct xmpp_stream);
	s->cfg = cfg;
	s->ops = ops;
	s->arg = arg;
	buf_init(&s->out, OUT_LIMIT);
	buf_init(&s->writing, OUT_LIMIT);
	list_init(&s->pairs);
	list_init(&s->questions);
	timer_init(&s->setup, on_setup);
	timer_init(&s->patience, on_patience);
	timer_init(&s->beat, on_beat);
	timer_init(&s->rest, on_rest);
	timer_init(&s->ack, acks_fired);
	timer_init(&s->news, acks_news_fired);
	return s;
}

struct xmpp_stream *xmpp_stream_new_receiver(const struct xmpp_stream_config *cfg, const struct xmpp_stream_ops *ops, void *arg)
{
	return stream_new(cfg, ops, arg);
}

struct xmpp_stream *xmpp_stream_new_initiator(const struct xmpp_stream_config *cfg, const struct xmpp_stream_ops *ops, void *arg,
					      struct slice local, struct slice remote, bool verify_only)
{
	struct xmpp_stream *s = stream_new(cfg, ops, arg);
	s->initiator = true;
	s->verify_only = verify_only;
	stream_set(&s->local, local);
	stream_set(&s->remote, remote);
	return s;
}

struct xmpp_stream *xmpp_stream_free(struct xmpp_stream *s)
{
	if (!s)
		return NULL;
	s->freed = true;
	if (s->depth == 0)
		destroy(s);
	else if (s->feeding)
		xml_stream_stop(s->xml);
	return NULL;
}

/* May the initiator connect at all? */
static bool may_start(struct xmpp_stream *s, bool direct)
{
	if (!s->policy.partner || !s->policy.local_ours || s->policy.remote_ours)
		stream_fail(s, NULL, ENTENTE_EREFUSED, REASON_POLICY_PARTNER_UNKNOWN, XMPP_SIDE_LOCAL,
			    "no stream from %.*s to %.*s is allowed", SFMT(s->local), SFMT(s->remote));
	else if (!xmpp_negotiation_possible(s->methods))
		stream_fail(s, NULL, ENTENTE_EREFUSED, REASON_XMPP_AUTH, XMPP_SIDE_LOCAL,
			    "the settings for %.*s leave no method of authentication", SFMT(s->remote));
	else if (direct && s->policy.tls == XMPP_OFF)
		stream_fail(s, NULL, ENTENTE_EREFUSED, REASON_XMPP_TLS, XMPP_SIDE_LOCAL,
			    "TLS is switched off for %.*s, so direct TLS cannot be used", SFMT(s->remote));
	else
		return true;
	return false;
}

static void start(struct xmpp_stream *s, bool direct)
{
	if (s->state != XMPP_STREAM_NEW)
		return;
	stream_enter(s);
	s->started = s->cfg->timers->now;
	s->state = XMPP_STREAM_HEADER;
	new_parser(s);
	timer_arm(s->cfg->timers, &s->setup, s->initiator ? s->cfg->setup_ms : s->cfg->auth_ms);
	if (s->initiator) {
		stream_judge(s);
		if (may_start(s, direct) && !direct)
			stream_write_header(s);
	}
	if (direct && s->state == XMPP_STREAM_HEADER) {
		stream_trace(s, XMPP_TRACE_STEP, "direct TLS");
		s->state = XMPP_STREAM_TLS;
		s->want_tls = true;
	}
	stream_leave(s);
}

void xmpp_stream_start(struct xmpp_stream *s)
{
	start(s, false);
}

void xmpp_stream_start_direct(struct xmpp_stream *s)
{
	start(s, true);
}

void xmpp_stream_input(struct xmpp_stream *s, struct slice bytes)
{
	if (s->state == XMPP_STREAM_NEW || s->state == XMPP_STREAM_CLOSED || s->feeding)
		return;
	stream_enter(s);
	s->bytes_in += bytes.len;
	s->last_in = s->cfg->timers->now;
	s->resting = false;
	if (s->cfg->rest_ms && !timer_armed(&s->rest))
		timer_arm(s->cfg->timers, &s->rest, s->cfg->rest_ms);
	if (s->ops->trace)
		s->ops->trace(s->arg, XMPP_TRACE_IN, bytes);
	while (bytes.len && !s->freed && s->state != XMPP_STREAM_TLS) {
		size_t used = 0;
		enum xml_fault fault;
		struct entente_err err;
		s->feeding = true;
		int rc = xml_stream_feed(s->xml, bytes, &used, &fault, &err);
		s->feeding = false;
		bytes = slice_skip(bytes, used);
		if (s->restart) {
			new_parser(s);
			continue;
		}
		if (rc && !s->discard && !s->freed)
			parser_failed(s, fault, &err);
		break;
	}
	/* What came in the clear together with <starttls/> or <proceed/> must never be taken for protected. */
	if (bytes.len && s->state == XMPP_STREAM_TLS)
		stream_trace(s, XMPP_TRACE_ODD, "%zu octets in the clear before TLS were dropped", bytes.len);
	stream_leave(s);
}

void xmpp_stream_tls_up(struct xmpp_stream *s, const struct xmpp_tls_info *info)
{
	if (s->state != XMPP_STREAM_TLS)
		return;
	stream_enter(s);
	stream_keep_tls(s, info);
	s->secured = true;
	s->state = XMPP_STREAM_HEADER;
	if (!slice_empty(s->remote))
		s->identity = xmpp_identity_match(&s->tls.names, s->remote);
	stream_trace(s, XMPP_TRACE_STEP, "%.*s, %.*s, certificate %s", SFMT(info->protocol), SFMT(info->cipher),
		     !info->certificate ? "absent" : info->trusted ? "trusted" : "not trusted");
	if (s->initiator)
		stream_out_secured(s);
	stream_leave(s);
}

void xmpp_stream_tls_failed(struct xmpp_stream *s, struct slice why)
{
	if (s->state != XMPP_STREAM_TLS)
		return;
	stream_enter(s);
	stream_fail(s, NULL, ENTENTE_ETLS, REASON_XMPP_TLS, XMPP_SIDE_NONE, "the TLS handshake with %.*s failed: %.*s",
		    SFMT(slice_empty(s->remote) ? S("the peer") : s->remote), SFMT(why));
	stream_leave(s);
}

int xmpp_stream_send(struct xmpp_stream *s, struct slice stanza)
{
	if (!s->initiator && !s->bidi)
		return ENTENTE_EREFUSED;
	if (s->state >= XMPP_STREAM_CLOSING || s->freed)
		return ENTENTE_ECLOSED;
	if (s->state != XMPP_STREAM_OPEN)
		return ENTENTE_EAGAIN;
	if (stanza.len > s->cfg->max_out || (s->peer_max_stanza && stanza.len > s->peer_max_stanza))
		return ENTENTE_ELIMIT;
	s->stanzas_out++;
	s->last_stanza = s->cfg->timers->now;
	stream_enter(s);
	if (s->depth == 1 && s->out.len == 0)
		send_now(s, stanza);
	else
		buf_put(&s->out, stanza);
	acks_sent(s);
	stream_leave(s);
	return 0;
}
