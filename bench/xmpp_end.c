/* SPDX-License-Identifier: Apache-2.0 */
/* The XMPP server of the partner: STARTTLS and SASL EXTERNAL on streams in both directions, with our own stream engine. Sends
 * messages on a stream of its own; counts those that arrive on streams of the server under test. */
#include "base/list.h"
#include "base/mem.h"
#include "load.h"
#include "xmpp/stanza.h"
#include "xmpp/stream.h"

struct s2s {
	struct list node;
	struct xmpp_end *end;
	struct conn *conn;
	struct xmpp_stream *stream;
	struct loop_hook kill;
	bool inbound, over;
};

struct xmpp_end {
	struct load *load;
	struct xmpp_end_opts o;
	struct xmpp_stream_config cfg;
	struct listener *listener;
	struct list all;
	struct s2s *out;
	/* who we are, whom we speak to */
	struct slice local, remote;
};

static void s2s_free(struct s2s *s)
{
	if (s == s->end->out)
		s->end->out = NULL;
	loop_undefer(&s->kill);
	list_remove(&s->node);
	s->end->load->conns--;
	conn_free(s->conn);
	xmpp_stream_free(s->stream);
	mem_free(s);
}

static void kill_run(struct loop_hook *h)
{
	s2s_free(CONTAINER_OF(h, struct s2s, kill));
}

/* ---- stream */

static struct xmpp_stream_policy policy(void *arg, struct slice local, struct slice remote)
{
	const struct s2s *s = arg;
	return (struct xmpp_stream_policy){.local_ours = !local.len || slice_eq(local, s->end->local),
					   .partner = !remote.len || slice_eq(remote, s->end->remote),
					   .tls = XMPP_REQUIRED, .sasl = XMPP_REQUIRED};
}

static void out(void *arg, struct slice bytes)
{
	struct s2s *s = arg;
	if (s->conn && conn_write(s->conn, bytes) == ENTENTE_ELIMIT)
		s->end->load->broken(s->end->load, "the XMPP connection takes no more", SLICE_NONE);
}

static void start_tls(void *arg)
{
	struct s2s *s = arg;
	struct entente_err err;
	struct conn_tls t = {.ctx = s->end->o.ctx, .server = s->inbound, .sni = s->inbound ? SLICE_NONE : s->end->remote};
	if (conn_start_tls(s->conn, &t, &err))
		xmpp_stream_tls_failed(s->stream, slice_str(err.text));
}

static void over(void *arg)
{
	struct s2s *s = arg;
	s->over = true;
	if (s->conn)
		conn_close(s->conn);
	else
		loop_reap(s->end->load->loop, &s->kill);
}

static void established(void *arg, const struct xmpp_peer *peer)
{
	struct s2s *s = arg;
	(void)peer;
	if (!s->inbound)
		s->end->load->ready(s->end->load);
}

static void pair_failed(void *arg, struct slice local, struct slice remote, const struct entente_err *err)
{
	struct s2s *s = arg;
	(void)local;
	(void)remote;
	s->end->load->broken(s->end->load, "a pair of domains was refused", slice_str(err->text));
}

static void stanza(void *arg, struct xmpp_stanza *st)
{
	struct s2s *s = arg;
	struct load *l = s->end->load;
	uint64_t seq;
	if (stanza_kind(st->node) == STANZA_MESSAGE) {
		if (stanza_type(st->node) == STANZA_TYPE_ERROR) {
			struct slice id = stanza_id(st->node);
			struct xml_node *e = xml_child(st->node, S("error"), SLICE_NONE), *c = xml_first(e);
			if (slice_u64(slice_skip(id, 1), UINT64_MAX, &seq))
				load_refused(l, seq, c ? c->name : S("error"));
			else
				l->track.stray++;
		} else if (load_text_seq(l, stanza_child_text(st->node, st->arena, S("body"), SLICE_NONE), &seq)) {
			load_mark(l, seq, TRACK_ARRIVED);
		}
	}
	xmpp_stream_done(s->stream, st->receipt.number);
	arena_release(l->loop->arenas, st->arena);
}

static void misaddressed(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a, const char *which)
{
	struct s2s *s = arg;
	(void)peer;
	(void)node;
	arena_release(s->end->load->loop->arenas, a);
	s->end->load->broken(s->end->load, "a stanza is addressed to nobody", slice_str(which));
}

static void failed(void *arg, const struct xmpp_failure *f)
{
	struct s2s *s = arg;
	if (!s->end->load->ending)
		s->end->load->broken(s->end->load, "an XMPP stream failed", slice_str(f->err.text));
}

static const struct xmpp_stream_ops stream_ops = {
	.policy = policy, .write = out, .start_tls = start_tls, .close = over, .established = established,
	.pair_failed = pair_failed, .stanza = stanza, .misaddressed = misaddressed, .failed = failed,
};

/* ---- connection */

static void connected(struct conn *c)
{
	struct s2s *s = conn_owner(c);
	if (!s->inbound)
		xmpp_stream_start(s->stream);
}

static void secured(struct conn *c, const struct tls_peer *t)
{
	struct s2s *s = conn_owner(c);
	struct xmpp_tls_info i = {
		.protocol = t->protocol, .cipher = t->cipher,
		.certificate = t->has_cert, .trusted = t->has_cert && t->chain_ok, .why = t->why_not,
		.names = {.dns = t->dns, .n_dns = t->n_dns, .srv = t->srv, .n_srv = t->n_srv,
			  .xmpp = t->xmpp, .n_xmpp = t->n_xmpp},
	};
	xmpp_stream_tls_up(s->stream, &i);
}

static size_t data(struct conn *c, struct slice in)
{
	struct s2s *s = conn_owner(c);
	if (!s->over)
		xmpp_stream_input(s->stream, in);
	return in.len;
}

static void closed(struct conn *c, const struct entente_err *why)
{
	struct s2s *s = conn_owner(c);
	struct load *l = s->end->load;
	if (!s->over)
		xmpp_stream_disconnected(s->stream, slice_str(why->text));
	if (!l->ending)
		l->broken(l, "an XMPP connection ended", slice_str(why->text));
	s->conn = conn_free(s->conn);
	loop_reap(l->loop, &s->kill);
}

static const struct conn_ops s2s_ops = {.connected = connected, .secured = secured, .data = data, .closed = closed};

static struct s2s *s2s_new(struct xmpp_end *e, bool inbound)
{
	struct s2s *s = MEM_NEW(struct s2s);
	s->end = e;
	s->inbound = inbound;
	s->kill.run = kill_run;
	list_append(&e->all, &s->node);
	e->load->conns++;
	return s;
}

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct xmpp_end *e = arg;
	struct entente_err err;
	struct s2s *s = s2s_new(e, true);
	struct conn_opts o = {.ops = &s2s_ops, .owner = s, .limits = &load_conn_limits, .pass = pass};
	(void)w;
	(void)from;
	if (conn_accept(&s->conn, e->load->loop, fd, &o, &err)) {
		s2s_free(s);
		e->load->broken(e->load, "accepting an XMPP connection", slice_str(err.text));
		return;
	}
	s->stream = xmpp_stream_new_receiver(&e->cfg, &stream_ops, s);
	xmpp_stream_start(s->stream);
}

static int dial(struct xmpp_end *e, struct entente_err *err)
{
	struct s2s *s = e->out = s2s_new(e, false);
	struct conn_opts o = {.ops = &s2s_ops, .owner = s, .limits = &load_conn_limits};
	s->stream = xmpp_stream_new_initiator(&e->cfg, &stream_ops, s, e->local, e->remote, false);
	return conn_connect(&s->conn, e->load->loop, &e->o.target, &o, err);
}

/* ---- the end */

struct xmpp_end *xmpp_end_new(struct load *l, const struct xmpp_end_opts *o)
{
	struct xmpp_end *e = MEM_NEW(struct xmpp_end);
	struct listener_opts lo = {.addr = o->listen, .accepted = accepted, .arg = e};
	struct entente_err err;
	e->load = l;
	e->o = *o;
	list_init(&e->all);
	e->local = slice_str(o->send ? l->from_domain : l->to_domain);
	e->remote = slice_str(o->send ? l->to_domain : l->from_domain);
	xmpp_stream_config_defaults(&e->cfg);
	e->cfg.timers = &l->loop->timers;
	e->cfg.pool = l->loop->arenas;
	e->cfg.acks = o->acks;
	if (listener_new(&e->listener, l->loop, &lo, &err) || (o->send && dial(e, &err)))
		l->broken(l, "opening the XMPP side", slice_str(err.text));
	return e;
}

void xmpp_end_send(struct xmpp_end *e, unsigned user, uint64_t seq)
{
	struct load *l = e->load;
	char text[1024 + LOAD_BODY_MAX], body[LOAD_BODY_MAX];
	struct slice b = load_text(l, seq, body);
	int n = snprintf(text, sizeof text,
			 "<message from='juliet%u@%s/home' to='romeo%u@%s' type='chat' id='m%llu' xml:lang='en'>"
			 "<body>%.*s</body></message>",
			 user, l->from_domain, user, l->to_domain, (unsigned long long)seq, SFMT(b));
	if (!e->out || xmpp_stream_send(e->out->stream, slice_of(text, (size_t)n)))
		l->broken(l, "the XMPP stream takes no more", SLICE_NONE);
}

void xmpp_end_close(struct xmpp_end *e)
{
	LIST_EACH(n, &e->all) {
		struct s2s *s = CONTAINER_OF(n, struct s2s, node);
		if (!s->over && s->conn)
			xmpp_stream_close(s->stream);
	}
}

struct xmpp_end *xmpp_end_free(struct xmpp_end *e)
{
	if (!e)
		return NULL;
	LIST_EACH(n, &e->all)
		s2s_free(CONTAINER_OF(n, struct s2s, node));
	listener_free(e->listener);
	return mem_free(e);
}
