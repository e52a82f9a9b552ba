/* SPDX-License-Identifier: Apache-2.0 */
#include "link/wire.h"

#include "base/mem.h"

enum { LINGER_MS = 3000 };

struct link_wire {
	struct link_wire_config cfg;
	const struct link_wire_ops *ops;
	void *arg;
	struct conn *conn;
	struct link_session *session;
	struct loop_hook end;
	struct entente_err why;
	struct link_hello peer; /* its slices lie in software and name */
	bool ended, up;
	char address[ADDR_TEXT];
	char software[LINK_NAME_MAX + 1], name[LINK_NAME_MAX + 1];
};

/* ---- the end: always from the loop, so that nobody is called from inside a call of his own */

static void end_run(struct loop_hook *h)
{
	struct link_wire *w = CONTAINER_OF(h, struct link_wire, end);
	struct entente_err why = w->why;
	w->conn = conn_free(w->conn);
	w->session = link_session_free(w->session);
	w->ops->down(w->arg, &why);
}

static void end(struct link_wire *w, const struct entente_err *why)
{
	if (w->ended)
		return;
	w->ended = true;
	w->why = *why;
	if (w->conn) { /* a good-bye may be on its way */
		conn_discard(w->conn);
		w->conn = NULL;
	}
	loop_defer(w->cfg.loop, &w->end);
}

/* ---- session */

static void on_write(void *arg, struct slice bytes)
{
	struct link_wire *w = arg;
	struct entente_err err;
	if (!w->conn || !conn_write(w->conn, bytes))
		return;
	err_set(&err, ENTENTE_ELIMIT, REASON_LINK_DOWN, "the other side does not read what it is sent");
	end(w, &err);
}

static void on_up(void *arg, const struct link_hello *peer)
{
	struct link_wire *w = arg;
	w->up = true;
	w->peer = *peer;
	slice_cstr(peer->software, w->software, sizeof w->software);
	slice_cstr(peer->name, w->name, sizeof w->name);
	w->peer.software = slice_str(w->software);
	w->peer.name = slice_str(w->name);
	w->ops->up(w->arg, &w->peer);
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct link_wire *w = arg;
	if (!w->ended)
		w->ops->frame(w->arg, f);
}

static void on_leaving(void *arg, enum link_bye why, struct slice text)
{
	struct link_wire *w = arg;
	w->ops->leaving(w->arg, why, text);
}

static void on_failed(void *arg, const struct entente_err *err)
{
	end(arg, err);
}

static const struct link_session_ops session_ops = {
	.write = on_write, .up = on_up, .frame = on_frame, .leaving = on_leaving, .failed = on_failed,
};

/* ---- connection */

static bool named(const struct link_wire *w, const struct tls_peer *p)
{
	for (size_t i = 0; i < p->n_dns; i++)
		for (size_t k = 0; k < w->cfg.n_names; k++)
			if (slice_ieq(p->dns[i], w->cfg.names[k]))
				return true;
	return false;
}

static void conn_secured(struct conn *c, const struct tls_peer *p)
{
	struct link_wire *w = conn_owner(c);
	struct entente_err err;
	if (!p->has_cert) {
		err_set(&err, ENTENTE_EAUTH, REASON_LINK_UNTRUSTED, "%s shows no certificate: set link.certificate there", w->address);
		end(w, &err);
	} else if (!p->chain_ok) {
		err_set(&err, ENTENTE_EAUTH, REASON_LINK_UNTRUSTED, "the certificate of %s (%.*s) is not trusted by link.trust: %.*s", w->address,
			SFMT(slice_first(p->subject, 60)), SFMT(slice_first(p->why_not, 100)));
		end(w, &err);
	} else if (!named(w, p)) {
		err_set(&err, ENTENTE_EAUTH, REASON_LINK_NAME, "the certificate of %s is for %.*s, which link.peers does not name", w->address,
			SFMT(slice_first(p->n_dns ? p->dns[0] : S("no DNS name"), 120)));
		end(w, &err);
	} else {
		w->session = link_session_new(&w->cfg.session, &session_ops, w);
	}
}

static size_t conn_data(struct conn *c, struct slice in)
{
	struct link_wire *w = conn_owner(c);
	return w->session && !w->ended ? link_session_input(w->session, in) : in.len;
}

static void conn_drained(struct conn *c)
{
	struct link_wire *w = conn_owner(c);
	if (w->up && !w->ended && w->ops->drained)
		w->ops->drained(w->arg);
}

static void conn_closed(struct conn *c, const struct entente_err *why)
{
	struct link_wire *w = conn_owner(c);
	struct entente_err err = *why;
	if (!err.code)
		err_set(&err, ENTENTE_ECLOSED, REASON_LINK_DOWN, "%s closed the connection%s", w->address,
			w->session && !w->up ? " before it said who it is: its log says why" : "");
	err.reason = err.code == ENTENTE_ETLS ? REASON_LINK_UNTRUSTED : REASON_LINK_DOWN;
	w->conn = conn_free(w->conn);
	end(w, &err);
}

static const struct conn_ops conn_callbacks = {.secured = conn_secured, .data = conn_data, .drained = conn_drained, .closed = conn_closed};

/* ---- use */

int link_wire_send(struct link_wire *w, const struct link_frame *f, bool always)
{
	if (w->ended)
		return ENTENTE_ECLOSED;
	if (!w->up || (!always && conn_congested(w->conn)))
		return ENTENTE_EAGAIN;
	int rc = link_session_send(w->session, f);
	return !rc && w->ended ? ENTENTE_ECLOSED : rc;
}

bool link_wire_up(const struct link_wire *w)
{
	return w->up && !w->ended;
}

bool link_wire_congested(const struct link_wire *w)
{
	return w->conn && conn_congested(w->conn);
}

void link_wire_goodbye(struct link_wire *w, enum link_bye why, struct slice text)
{
	if (w->session && !w->ended)
		link_session_goodbye(w->session, why, text);
}

void link_wire_pause(struct link_wire *w)
{
	if (w->conn)
		conn_pause(w->conn);
}

void link_wire_resume(struct link_wire *w)
{
	if (w->conn)
		conn_resume(w->conn);
}

const struct link_hello *link_wire_peer(const struct link_wire *w)
{
	return w->up ? &w->peer : NULL;
}

const char *link_wire_address(const struct link_wire *w)
{
	return w->address;
}

/* ---- life */

void link_wire_tls(struct tls_settings *ret, const char *certificate, const char *key, const char *trust)
{
	*ret = (struct tls_settings){.server_chain = certificate, .server_key = key, .trust_file = trust, .tls13_only = true, .alpn = {"entente-link"}};
}

static struct link_wire *make(const struct link_wire_config *cfg, const struct link_wire_ops *ops, void *arg)
{
	struct link_wire *w = MEM_NEW(struct link_wire);
	w->cfg = *cfg;
	w->ops = ops;
	w->arg = arg;
	w->end.run = end_run;
	return w;
}

static void limits(const struct link_wire_config *cfg, struct conn_limits *ret)
{
	*ret = (struct conn_limits){.in_max = LINK_FRAME_MAX + 64, .out_max = cfg->out_max, .out_high = LINK_OUT_HIGH, .out_low = LINK_OUT_HIGH / 4,
				    .connect_ms = cfg->connect_ms, .handshake_ms = cfg->connect_ms, .linger_ms = LINGER_MS};
}

int link_wire_connect(struct link_wire **ret, const struct link_wire_config *cfg, const struct addr *to, struct slice host,
		      const struct link_wire_ops *ops, void *arg, struct entente_err *err)
{
	struct link_wire *w = make(cfg, ops, arg);
	struct conn_limits lim;
	struct conn_tls tls = {.ctx = cfg->tls, .sni = addr_is_literal(host) ? SLICE_NONE : host, .alpn = S("entente-link"), .slot = TLS_SLOT_CLIENT};
	struct conn_opts o = {.ops = &conn_callbacks, .owner = w, .limits = &lim, .tls = &tls};
	limits(cfg, &lim);
	addr_text(to, w->address);
	int rc = conn_connect(&w->conn, cfg->loop, to, &o, err);
	if (rc)
		return link_wire_free(w), rc;
	*ret = w;
	return 0;
}

int link_wire_accept(struct link_wire **ret, const struct link_wire_config *cfg, int fd, struct gate_pass *pass, const struct link_wire_ops *ops,
		     void *arg, struct entente_err *err)
{
	struct link_wire *w = make(cfg, ops, arg);
	struct conn_limits lim;
	struct conn_tls tls = {.ctx = cfg->tls, .server = true};
	struct conn_opts o = {.ops = &conn_callbacks, .owner = w, .limits = &lim, .tls = &tls, .pass = pass};
	limits(cfg, &lim);
	int rc = conn_accept(&w->conn, cfg->loop, fd, &o, err);
	if (rc)
		return link_wire_free(w), rc;
	addr_text(conn_remote(w->conn), w->address);
	*ret = w;
	return 0;
}

struct link_wire *link_wire_free(struct link_wire *w)
{
	if (!w)
		return NULL;
	loop_undefer(&w->end);
	conn_free(w->conn);
	link_session_free(w->session);
	return mem_free(w);
}

struct link_wire *link_wire_close(struct link_wire *w)
{
	if (w && w->conn) {
		conn_discard(w->conn);
		w->conn = NULL;
	}
	return link_wire_free(w);
}
