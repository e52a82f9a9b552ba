/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the gateway: gateway.c (routing), contacts.c (who has whom), message.c (IM), watch_sip.c (XMPP users watching SIP users), watch_xmpp.c
 * (SIP users watching XMPP users), partner.c (links that were lost). */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "gateway/gateway.h"
#include "interwork/address.h"
#include "interwork/sip_watcher.h"
#include "interwork/xmpp_watcher.h"
#include "policy/decide.h"
#include "sip/notifier.h"
#include "sip/subscriber.h"
#include "xmpp/stanza.h"

enum ticket_kind { TICKET_NONE, TICKET_MESSAGE, TICKET_PRESENCE, TICKET_PROBE };

enum { PAIR_KEY_MAX = 6200 };

/* Key of a pair of bare addresses, local first: "local NUL remote". Every record of a pair starts with one. */
struct pair {
	struct map_node node;
	char *key;    /* owned */
	struct slice local, remote; /* inside key */
};

struct gateway {
	struct gateway_config cfg;
	const struct gateway_ops *ops;
	void *arg;
	struct snapshot_reader policy;
	struct map contacts;      /* of struct pair */
	struct map conversations; /* of struct conversation */
	struct list recent;       /* conversations, least recently used first */
	struct map targets;       /* SIP targets with a MESSAGE pending */
	struct map held, held_ids; /* S2X messages whose answer waits: by SIP transaction, by stanza id */
	struct map watches;       /* XMPP users watching SIP users: struct watch */
	struct map outs;          /* SIP users watching XMPP users: struct out_pair */
	struct map out_ids;       /* the same, by number */
	struct map partners;      /* remote domains that are down */
	struct list late;         /* refused presence stanzas, handled when nobody is in the middle of sending */
	struct timer late_timer;
	uint64_t next_id;
	struct buf out;           /* scratch for stanzas and requests */
};

/* ---- gateway.c */
bool pair_key(struct slice *ret, char dst[PAIR_KEY_MAX], struct slice local, struct slice remote);
void pair_init(struct pair *p, struct slice local, struct slice remote);
struct slice jid_domain(struct slice bare);
/* Asks policy; domains are turned into A-labels. */
void gateway_decide(struct gateway *g, struct arena *a, enum policy_kind kind, enum policy_direction dir, const struct xmpp_jid *from,
		    const struct xmpp_jid *to, struct slice peer, uint32_t peer_home, struct policy_verdict *ret);
/* Writes the tree and sends it; t may be NULL. */
void gateway_send_node(struct gateway *g, const struct xml_node *n, struct slice local_domain, struct slice remote_domain);
/* Sends what is in g->out. */
void gateway_send_out(struct gateway *g, struct slice local_domain, struct slice remote_domain, const struct gateway_ticket *t);
/* Answers a SIP request with a refusal of ours and logs it. `what` names the method, for the log. */
void gateway_refuse(struct gateway *g, struct sip_server_trans *st, struct arena *a, enum reason reason, const struct interwork_response *more,
		    struct slice from, struct slice to);
void gateway_trace_xmpp(bool out, const struct xml_node *n);
void gateway_trace_out(struct slice partner, struct slice from, struct slice to, const char *what, struct slice detail);

/* ---- contacts.c */
bool contact_known(const struct gateway *g, struct slice local, struct slice remote);
void contact_learn(struct gateway *g, struct slice local, struct slice remote, enum gateway_how how);
void contacts_free(struct gateway *g);

/* ---- message.c */
void message_from_sip(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
void message_from_xmpp(struct gateway *g, struct stanza *st, const struct xmpp_peer *peer, struct arena *a); /* takes the arena */
void message_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why);
void messages_free(struct gateway *g);

/* ---- watch_sip.c */
void watch_subscribe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity, const struct policy_verdict *v);
void watch_probe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity, const struct policy_verdict *v);
void watch_unsubscribe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity);
void watch_refuse(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity);
void watches_link(struct gateway *g, struct slice remote_domain, bool up);
void watches_free(struct gateway *g);

/* ---- watch_xmpp.c */
void out_subscribe(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
void out_presence(struct gateway *g, const struct stanza *st, struct arena *a);
void out_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason);
void outs_link(struct gateway *g, struct slice remote_domain, bool up);
/* Any pair with a dialog to this domain; for the probe that tests whether it is back. */
bool outs_any(struct gateway *g, struct slice remote_domain, struct slice *ret_local, struct slice *ret_remote);
void outs_each(struct gateway *g, void (*fn)(void *arg, const struct gateway_subscription_facts *f), void *arg);
void outs_free(struct gateway *g);

/* ---- partner.c */
void partner_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up);
void partners_free(struct gateway *g);
