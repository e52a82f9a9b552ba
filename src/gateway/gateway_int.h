/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the gateway: gateway.c (routing), contacts.c (who has whom), recording.c (the decision log), message.c (texts come in and end; conversation.h has
 * the rest of IM), watch_sip.c (XMPP users watching SIP users), watch_xmpp.c (SIP users watching XMPP users), partner.c (links that were
 * lost). */
#pragma once
#include "base/counts.h"
#include "base/list.h"
#include "base/map.h"
#include "gateway/dialect.h"
#include "gateway/gateway.h"
#include "gateway/seen.h"
#include "interwork/address.h"
#include "interwork/sip_watcher.h"
#include "interwork/xmpp_watcher.h"
#include "policy/decide.h"
#include "sip/notifier.h"
#include "sip/subscriber.h"
#include "xmpp/stanza.h"

enum ticket_kind { TICKET_NONE, TICKET_MESSAGE, TICKET_PRESENCE, TICKET_ANSWER, TICKET_MESSAGE_INVITE, TICKET_MESSAGE_MSRP, TICKET_PROBE, TICKET_TEXT };

enum { PAIR_KEY_MAX = 6200 };

/* Key of a pair of bare addresses, local first: "local NUL remote". Every record of a pair starts with one. */
struct pair {
	struct map_node node;
	char *key;    /* owned */
	struct slice local, remote; /* inside key */
};

/* Something to do on the next turn of the timers, when nobody is in the middle of working on the same record. */
struct later {
	struct list node;
	void (*run)(struct later *l);  /* idle when called */
	void (*drop)(struct later *l); /* instead, when the gateway ends; NULL: it is part of a record that frees itself */
};

struct gateway {
	struct gateway_config cfg;
	const struct gateway_ops *ops;
	void *arg;
	struct snapshot_reader policy;
	struct map tallies;       /* of tally.c */
	struct counts counts;     /* of tally.c: records per user and kind */
	struct counts contacts;   /* of contacts.c */
	struct map names;         /* of local users */
	struct map conversations; /* of struct conversation */
	struct list recent;       /* conversations, least recently used first */
	struct msrp_hub *msrp;    /* of session_msrp.c; NULL: there is no MSRP */
	struct map msrp_asked;    /* messages that came by it and are not answered */
	struct list sessions;     /* of session.c */
	bool draining;
	bool keeping;             /* draining, and sessions are to be kept */
	struct map targets;       /* of page.c: SIP targets with a MESSAGE pending */
	size_t waiting;           /* texts on their way to SIP users, in all queues */
	size_t waiting_memory;    /* octets that their arenas occupy */
	struct queue *queue;       /* of queue.c: texts that wait for somebody */
	struct seen *seen;         /* texts that were taken, both ways */
	struct suspects *suspects; /* of suspects.c */
	uint32_t place;            /* there, of the request that is being worked on */
	bool suspect;              /* and it is one */
	struct map held, held_ids; /* S2X messages whose answer waits: by what is answered, by stanza id */
	struct list tracked, tracked_free; /* of receipts.c: texts that a receipt may come for, the oldest first; and room for more */
	size_t n_tracked;
	struct map watches;       /* XMPP users watching SIP users: struct watch */
	struct list turns;        /* of struct watch: subscriptions that wait for their turn */
	struct timer turn_timer;
	uint64_t turn_at;         /* microseconds: when the pace is kept up with */
	size_t unreachable;       /* watches that sleep until their watchers' server is reached */
	struct map asked;         /* probes that ask whether anybody looks: struct asked */
	struct map outs;          /* SIP users watching XMPP users: struct out_pair */
	struct map out_ids;       /* the same, by number */
	struct map partners;      /* pairs of domains whose stream is down */
	struct list later;        /* of struct later */
	struct timer later_timer;
	struct map answers;       /* errors on their way to partners, whose stanzas are done when they are sent: struct answer */
	struct later recheck;
	uint64_t generation;      /* of the policy that the records were judged by */
	uint64_t next_id;
	struct buf out;           /* scratch for stanzas and requests */
	uint64_t record;          /* of what is being worked on; 0: none */
};

/* ---- gateway.c */
bool pair_key(struct slice *ret, char dst[PAIR_KEY_MAX], struct slice local, struct slice remote);
void pair_init(struct pair *p, struct slice local, struct slice remote);
struct slice jid_domain(struct slice bare);
void gateway_later(struct gateway *g, struct later *l);
static inline void later_cancel(struct later *l)
{
	list_remove(&l->node);
}
/* ops->home, and its dialect. False: no such home; ret->dialect is one all the same. */
bool gateway_home(struct gateway *g, uint32_t home, struct gateway_home *ret);
/* Something came from a home that may tell how it speaks. */
void gateway_home_heard(struct gateway *g, uint32_t home, const struct sip_msg *m);
/* The present policy. When it has changed since the records were judged, they are judged anew on the next turn. */
struct snapshot *gateway_policy(struct gateway *g);
/* Asks it; domains are turned into A-labels. A refusal is counted and logged. */
void gateway_decide(struct gateway *g, struct arena *a, enum policy_kind kind, enum policy_direction dir,
		    const struct xmpp_jid *from, const struct xmpp_jid *to, struct slice peer, uint32_t peer_home,
		    struct policy_verdict *ret);
/* The same of a local user towards a remote one, by bare addresses and without a word: for records that exist. */
void gateway_judge(struct gateway *g, enum policy_kind kind, struct slice local, struct slice remote, struct policy_verdict *ret);
/* Writes the tree and sends it. NULL: nothing to send. */
void gateway_send_node(struct gateway *g, const struct xml_node *n, struct slice local_domain, struct slice remote_domain);
/* Sends what is in g->out. */
void gateway_send_out(struct gateway *g, struct slice local_domain, struct slice remote_domain, const struct gateway_ticket *t);
/* The fate of a stanza that came is final; forgets the receipt. */
void gateway_done(struct gateway *g, struct xmpp_receipt *r);
/* The same once this answer is sent (NULL: none, so at once). */
void gateway_answer(struct gateway *g, const struct xml_node *n, struct slice local_domain, struct slice remote_domain,
		    struct xmpp_receipt *r);
/* Answers `stanza` with the error of a refusal of ours, where it may be answered; then it is done. */
void gateway_bounce(struct gateway *g, const struct xml_node *stanza, enum reason reason, struct slice detail,
		    struct slice local_domain, struct slice remote_domain, struct xmpp_receipt *r);
/* The answer that a refusal of ours is. `extra` has room for REFUSAL_HEADERS and holds what the answer points to. */
enum { REFUSAL_HEADERS = INTERWORK_RESPONSE_HEADERS * 2 };
void gateway_refusal(struct gateway *g, struct sip_answer *ret, struct sip_extra *extra, struct arena *a, enum reason reason,
		     const struct interwork_response *more);
/* Answers a SIP request with a refusal of ours and logs it. */
void gateway_refuse(struct gateway *g, struct sip_server_trans *st, struct arena *a, enum reason reason,
		    const struct interwork_response *more, struct slice from, struct slice to);
void gateway_trace_out(struct slice partner, struct slice from, struct slice to, const char *what, struct slice detail);

/* ---- recording.c */
/* Begin the record of what is being worked on (g->record). */
void gateway_record_request(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from);
/* The same of a request in the dialog of a session, whose Request-URI is our Contact: it is for `to`. */
void gateway_record_session(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from, struct slice to);
/* A message that came by MSRP. */
void gateway_record_msrp(struct gateway *g, struct slice from, struct slice to, struct slice message_id, uint64_t line);
void gateway_record_stanza(struct gateway *g, const struct stanza *st, const struct xmpp_peer *peer);
void gateway_record_verdict(struct gateway *g, struct slice from, struct slice to, const struct policy_question *q, const struct policy_verdict *v,
			    uint64_t generation);
/* RECORD_VIA */
void gateway_record_home(struct gateway *g, uint64_t record, uint32_t home);
/* The sender is answered, and that is its end. status: of SIP, 0: by a stanza. */
void gateway_record_told(struct gateway *g, uint64_t record, int status, enum record_outcome o, enum reason reason);

/* ---- tally.c */
enum tally_kind { TALLY_CONTACTS, TALLY_WATCHER, TALLY_PRESENTITY, TALLY_SIP_WATCHER, TALLY_SESSIONS };
/* True (and counted as a hit) when the user has `max` records of this kind already; max 0: no limit. */
bool tally_full(struct gateway *g, enum tally_kind kind, struct slice user, size_t max);
void tally_add(struct gateway *g, enum tally_kind kind, struct slice user);
void tally_drop(struct gateway *g, enum tally_kind kind, struct slice user);
/* A time of the owner's with the user's tally, 0 at first; NULL: the user has none. Valid until the tally changes. */
uint64_t *tally_stamp(struct gateway *g, enum tally_kind kind, struct slice user);
/* The user's records of this kind, as far as their owner has put them in; NULL: the user has none. A record is taken out before tally_drop. */
struct list *tally_records(struct gateway *g, enum tally_kind kind, struct slice user);
void tallies_free(struct gateway *g);

/* ---- contacts.c */
bool contact_known(const struct gateway *g, struct slice local, struct slice remote);
void contact_learn(struct gateway *g, struct slice local, struct slice remote, enum gateway_how how);
void contacts_free(struct gateway *g);

/* ---- names.c */
/* `display` as written in a From that the user's home sent. */
void name_learn(struct gateway *g, struct slice user, struct slice display);
/* Empty when unknown. Valid until it is learned anew. */
struct slice name_of(const struct gateway *g, struct slice user);
void names_free(struct gateway *g);

/* ---- message.c */
void message_from_sip(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		      const struct sip_flow *from);
void message_from_xmpp(struct gateway *g, struct stanza *st, const struct xmpp_peer *peer, struct arena *a,
		       struct xmpp_receipt *r); /* takes the arena and the receipt */
void message_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why);
void messages_free(struct gateway *g);

/* ---- watch_sip.c */
void watch_subscribe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity);
void watch_probe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity);
void watch_unsubscribe(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity);
void watch_refuse(struct gateway *g, const struct xmpp_jid *watcher, const struct xmpp_jid *presentity);
/* May the XMPP user see the SIP user's presence, by the SIP side's own word? */
bool watch_authorised(struct gateway *g, struct slice presentity, struct slice watcher);
void watches_link(struct gateway *g, struct slice local_domain, struct slice remote_domain);
void watches_recheck(struct gateway *g);
/* The settings have changed. */
void watches_rules(struct gateway *g);
void watches_free(struct gateway *g);

/* ---- watch_care.c */
void turns_init(struct gateway *g);
void turns_free(struct gateway *g); /* after the watches */
enum watch_presence { WATCH_UNKNOWN, WATCH_THERE, WATCH_ABSENT };
/* What the SIP user's own subscription tells of the watcher. */
void watch_absent(struct gateway *g, struct slice presentity, struct slice watcher, enum watch_presence p);
/* What became of a probe (TICKET_PROBE). */
void watch_asked(struct gateway *g, const struct gateway_ticket *t, enum reason reason);
/* An error from a watcher, to something that we sent. */
void watch_error(struct gateway *g, const struct xml_node *stanza, struct arena *a, struct slice watcher);
/* The partner is reached again: those who were asleep for that. */
void watches_wake(struct gateway *g, struct slice local_domain, struct slice remote_domain);

/* ---- watch_xmpp.c */
/* Has the local user asked the remote one, and waits for the answer? */
bool out_pending(struct gateway *g, struct slice local, struct slice remote);
void out_subscribe(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		   const struct sip_flow *from);
void out_presence(struct gateway *g, const struct stanza *st, struct arena *a);
void out_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason);
void outs_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up);
/* Any pair with a dialog between these domains; for the probe that tests whether the partner is back. */
bool outs_any(struct gateway *g, struct slice local_domain, struct slice remote_domain, struct slice *ret_local,
	      struct slice *ret_remote, bool *ret_active);
void outs_recheck(struct gateway *g);
void outs_each(struct gateway *g, void (*fn)(void *arg, const struct gateway_subscription_facts *f), void *arg);
void outs_free(struct gateway *g);

/* ---- partner.c */
void partner_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up);
/* All pairs of domains between which somebody watches somebody, each once. */
void partners_links(struct gateway *g, bool up, bool (*ours)(void *arg, struct slice remote_domain), void *arg);
void partners_free(struct gateway *g);
