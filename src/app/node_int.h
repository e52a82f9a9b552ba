/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that make up a node: node.c (its life), bus.c (what passes between workers), call.c,
 * split*.c (another process has the other half). */
#pragma once
#include "app/app.h"
#include "app/ways.h"

/* bus.c; their argument is the node. */
extern const struct xmpp_proxy_ops node_xmpp_ops;
extern const struct sip_edge_ops node_sip_ops;
extern const struct gateway_ops node_gateway_ops;

/* Sends a stanza by the proxy of the worker that owns `remote`; copied. Its fate comes back by node_xmpp_ops.sent. */
void node_to_partner(struct node *n, struct slice local, struct slice remote, struct slice stanza, const struct xmpp_ticket *t);
/* Runs fn on that node's worker, later, and does not wait. Any thread. */
void node_post_call(struct node *n, void (*fn)(struct node *n, void *arg), void *arg);
/* msrp.c; of node_gateway_ops, and the node's life */
bool node_msrp_place(void *arg, uint32_t home, bool tls, struct gateway_msrp_place *ret);
uint64_t node_msrp_connect(void *arg, const struct msrp_uri *to, struct slice fingerprint);
bool node_msrp_write(void *arg, uint64_t line, struct slice octets);
void node_msrp_close(void *arg, uint64_t line);
void node_msrp_make(struct node *n, const struct config *cfg);
void node_msrp_set(struct node *n, const struct config *cfg);
/* access.c; the worker's thread */
/* bus.c: the dialect that is set, AUTO when it is found out. */
enum gateway_dialect node_home_dialect(const struct node_home *h);
void node_access_make(struct node *n, const struct config *cfg);
void node_access_set(struct node *n, const struct config *cfg);
void node_access_end(struct node *n);
/* Is this request of a home for a SIP partner? */
bool node_access_carries(struct node *n, const struct sip_msg *m);
/* Which worker takes it, if it concerns the Access Edge. */
bool node_access_shard(struct node *n, const struct sip_msg *m, struct arena *a, unsigned *ret);

static inline struct node *node_of(struct app *app, struct worker *w)
{
	return &app->nodes[w->id];
}
