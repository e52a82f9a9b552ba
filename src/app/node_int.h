/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that make up a node: node.c (its life), bus.c (what passes between workers), call.c. */
#pragma once
#include "app/app.h"

/* bus.c; their argument is the node. */
extern const struct xmpp_proxy_ops node_xmpp_ops;
extern const struct sip_edge_ops node_sip_ops;
extern const struct gateway_ops node_gateway_ops;

static inline struct node *node_of(struct app *app, struct worker *w)
{
	return &app->nodes[w->id];
}
