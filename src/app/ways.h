/* SPDX-License-Identifier: Apache-2.0 */
/* By which network a request of a home goes, where its partner has servers on both (policy_protocol ..._FIRST) and this process has both roles. Requests inside dialogs
 * stay where their dialog is. The preferred network is tried when it is not known to be down: XMPP by a ping, for which the first requests wait; SIP by the request itself, which
 * comes back (access_ops.elsewhere) when it went nowhere. One for each worker, its thread's alone. Docs: ADR 44. */
#pragma once
#include "base/reason.h"
#include "sip/trans.h"

struct node;
struct ways;

enum { WAYS_TICKET = 64 }; /* kind of its stanzas; above all of the gateway's */

struct ways *ways_new(struct node *n);
/* After the roles, whose transactions are gone then. Accepts NULL; returns NULL. */
struct ways *ways_free(struct ways *w);

/* Does this request belong to a partner of both networks? */
bool ways_concern(struct ways *w, const struct sip_msg *m);
/* Sends it on its way, now or later: access_request or gateway_request. As sip_stack_ops.request. */
void ways_request(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
/* As access_ops.elsewhere. */
bool ways_elsewhere(struct ways *w, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from, enum reason reason);
/* What became of a ping. */
void ways_sent(struct ways *w, uint64_t id, enum reason reason);
/* A stream to the domain came up, or is lost. */
void ways_link(struct ways *w, struct slice remote, bool up);
