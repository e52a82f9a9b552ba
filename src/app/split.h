/* SPDX-License-Identifier: Apache-2.0 */
/* Edge and gateway as two processes (docs/adr/0021-the-split.md): what takes the place of the missing role on a worker. With server.role
 * all none of this exists. Everything of a node runs on its worker's thread, unless said. */
#pragma once
#include "app/node_int.h"
#include "base/buf.h"
#include "link/outbox.h"
#include "link/policy.h"
#include "link/seen.h"
#include "link/wire.h"

enum {
	SPLIT_WINDOW = 8192,              /* requests of one link without an answer */
	SPLIT_WINDOW_OCTETS = 32 << 20,
	SPLIT_OUT_MAX = 128 << 20,        /* of one link, to be written: above all that the windows let through */
	SPLIT_ALL_PARTNERS = 64,          /* the gateway's waiting room is for all of them together: so many times limits.queue-* */
};

/* ---- both */
struct split_app; /* of the process; NULL with role all */
/* Control thread; also checks that the certificate is usable. */
int split_new(struct split_app **ret, struct app *app, const struct config *cfg, struct entente_err *err);
struct split_app *split_free(struct split_app *s);
/* The certificate and trust of links; the old one stays in force when it cannot be read. */
int split_load_tls(struct tls_material **ret, const struct config *cfg, struct entente_err *err);
/* Shared, replaced on reload by the control thread while no worker reads it. */
struct tls_material *split_tls(const struct app *app);
void split_set_tls(struct app *app, struct tls_material *m);
int split_context(struct app *app, struct tls_ctx **ret, struct entente_err *err);
/* *ret is the hello of this process for a worker. */
void split_hello(const struct app *app, const struct worker *w, struct link_hello *ret);
const struct slice *split_names(const struct app *app, size_t *ret_n);
void split_outbox_config(const struct config *cfg, bool gateway, unsigned workers, struct link_outbox_config *ret);
/* One row of `entente show links`. */
struct split_facts {
	const char *state, *address, *error;
	struct slice peer, software;
	uint64_t age_ms, stanzas, sends;
	size_t waiting, under_way;
};

/* ---- edge: takes the place of the gateway */
struct edge_node;
struct edge_node *edge_node_new(struct node *n, const struct config *cfg);
struct edge_node *edge_node_free(struct edge_node *e);
void edge_node_set(struct edge_node *e, const struct config *cfg, struct tls_ctx *tls);
unsigned edge_node_stanza(struct edge_node *e, struct xmpp_stanza *st);
void edge_node_sent(struct edge_node *e, const struct xmpp_ticket *t, enum link_sent_step step, enum reason reason, struct slice why);
void edge_node_pair(struct edge_node *e, struct slice local, struct slice remote, bool up);
/* Tells the gateway to send nothing new. */
void edge_node_leave(struct edge_node *e);
/* Does anything wait for an answer? */
bool edge_node_busy(const struct edge_node *e);
/* Says what is written, then closes the links. */
void edge_node_close(struct edge_node *e);
void edge_node_each(struct edge_node *e, void (*fn)(void *arg, const struct split_facts *f), void *arg);
/* A listener's callback; arg is the app. */
void edge_accept(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass);
/* Control thread: is the gateway there, since the start has it been? */
bool edge_has_policy(const struct app *app);

/* ---- gateway: takes the place of the edge's XMPP proxy */
struct gw_node;
struct gw_node *gw_node_new(struct node *n, const struct config *cfg);
struct gw_node *gw_node_free(struct gw_node *g);
void gw_node_set(struct gw_node *g, const struct config *cfg, struct tls_ctx *tls);
void gw_node_send(struct gw_node *g, struct slice local, struct slice remote, struct slice stanza, const struct gateway_ticket *t);
/* A receipt that this worker gave out. */
void gw_node_done(struct gw_node *g, const struct xmpp_receipt *r);
/* What had to be said under the old policy is said: here is the new one. */
void gw_node_policy(struct gw_node *g);
void gw_node_leave(struct gw_node *g);
void gw_node_close(struct gw_node *g);
void gw_node_each(struct gw_node *g, void (*fn)(void *arg, const struct split_facts *f), void *arg);
