/* SPDX-License-Identifier: Apache-2.0 */
/* A link as a connection: TCP, mutual TLS 1.3 with both chains and names checked, then a session (link/session.h). Belongs to one loop,
 * its thread's alone. */
#pragma once
#include "link/session.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/tls.h"

struct link_wire;

enum { LINK_NAMES_MAX = 64, LINK_OUT_HIGH = 1 << 20 };

struct link_wire_config {
	struct loop *loop;
	struct tls_ctx *tls;             /* must have a certificate */
	const struct slice *names;       /* of which the other side's certificate must carry one (dNSName); kept: must outlive it */
	size_t n_names;                  /* at least 1 */
	struct link_session_config session;
	uint32_t connect_ms;
	size_t out_max;                  /* octets that may wait to be written; more ends the link */
};

struct link_wire_ops {
	void (*up)(void *arg, const struct link_hello *peer);
	void (*frame)(void *arg, const struct link_frame *f);
	void (*leaving)(void *arg, enum link_bye why, struct slice text);
	void (*drained)(void *arg); /* after link_wire_congested was true */
	/* The end, once, unless link_wire_free came first. The object stays readable; free it. */
	void (*down)(void *arg, const struct entente_err *why);
};

/* What the tls room needs for links: TLS 1.3 only, our certificate for both directions. */
void link_wire_tls(struct tls_settings *ret, const char *certificate, const char *key, const char *trust);

/* `host`: the name that is called, for SNI; may be an address. */
int link_wire_connect(struct link_wire **ret, const struct link_wire_config *cfg, const struct addr *to, struct slice host,
		      const struct link_wire_ops *ops, void *arg, struct entente_err *err);
/* Takes fd and pass over, on failure too. */
int link_wire_accept(struct link_wire **ret, const struct link_wire_config *cfg, int fd, struct gate_pass *pass,
		     const struct link_wire_ops *ops, void *arg, struct entente_err *err);
/* Silent; what is written leaves if it can at once. From inside callbacks too. Accepts NULL; returns NULL. */
struct link_wire *link_wire_free(struct link_wire *w);
/* The same, but what is written is sent before the end. */
struct link_wire *link_wire_close(struct link_wire *w);

/* 0; ENTENTE_EAGAIN: not up, or congested; ENTENTE_ECLOSED; ENTENTE_ELIMIT: larger than a frame may be. `always`: congested or not,
 * for what the other side's window bounds. */
int link_wire_send(struct link_wire *w, const struct link_frame *f, bool always);
bool link_wire_up(const struct link_wire *w);
bool link_wire_congested(const struct link_wire *w);
void link_wire_goodbye(struct link_wire *w, enum link_bye why, struct slice text);
/* What it says waits in the kernel and at the other side: counted as conn_pause. */
void link_wire_pause(struct link_wire *w);
void link_wire_resume(struct link_wire *w);
/* Slices and texts live as long as the wire. peer NULL: not up yet. */
const struct link_hello *link_wire_peer(const struct link_wire *w);
const char *link_wire_address(const struct link_wire *w);
