/* SPDX-License-Identifier: Apache-2.0 */
/* The XMPP gateway role: owns conversations and subscriptions between local SIP users and XMPP partners. One instance per worker;
 * it holds the state of the local users that the worker owns (hash of the bare address). It sees no socket: SIP goes through the
 * worker's sip_stack, stanzas and everything durable through ops, so that it runs in a test under a virtual clock.
 *
 * Thread: its worker's only. Addresses in keys are bare JIDs, prepared; the local user's JID is the mapped form of its SIP
 * URI. */
#pragma once
#include <stdatomic.h>
#include "interwork/errormap.h"
#include "interwork/im.h"
#include "msrp/session.h"
#include "policy/record.h"
#include "policy/snapshot.h"
#include "sip/trans.h"
#include "xmpp/service.h"
#include "xmpp/stream.h"

struct gateway;

/* What a stanza that was sent belongs to; comes back with gateway_sent. */
struct gateway_ticket {
	unsigned kind;
	bool tell_sent; /* success is reported too */
	bool confirm, acked_only; /* as in struct xmpp_ticket: of texts */
	bool repeat;    /* twice does no harm: where it is not known whether it left, it may be sent again before it fails */
	uint64_t id;    /* 0: nobody wants to hear of it */
};

enum gateway_how { GATEWAY_BY_MESSAGE, GATEWAY_BY_SUBSCRIBE, GATEWAY_BY_INVITE };

/* How a home's clients speak: homes.dialect. AUTO: it is found out. */
enum gateway_dialect { GATEWAY_DIALECT_AUTO, GATEWAY_DIALECT_SIMPLE, GATEWAY_DIALECT_LYNC, GATEWAY_DIALECT_MSRP, GATEWAY_DIALECT_CISCO, GATEWAY_DIALECTS };
/* "auto" "simple" ... */
const char *gateway_dialect_name(enum gateway_dialect d);

struct dialect;
struct gateway_home {
	struct sip_flow flow;
	struct slice contact;          /* Contact URI (no brackets) under which that home reaches us */
	enum gateway_dialect setting;  /* homes.dialect; AUTO with homes.type lync: LYNC */
	enum gateway_dialect learned;  /* AUTO: nothing yet */
	const struct dialect *dialect; /* what holds now; the gateway's, ops->home leaves it alone */
};

enum gateway_queue_kind { GATEWAY_TO_XMPP = 1, GATEWAY_TO_SIP = 2 };
enum gateway_queue_bits { /* the first three as enum journal_state */
	GATEWAY_QUEUE_HELD = 1,
	GATEWAY_QUEUE_QUARANTINED = 2,
	GATEWAY_QUEUE_IN_FLIGHT = 4,
	GATEWAY_QUEUE_KEEP = 16, /* it waits until its lifetime is over; without it is insured only against our own death */
};
struct gateway_marks {
	uint8_t state;    /* enum gateway_queue_bits */
	uint8_t crashes;  /* of the process, with it in flight */
	uint16_t attempts;
};
struct gateway_queued { /* the head of an entry of the journal */
	uint64_t id;
	enum gateway_queue_kind kind;
	struct slice partner; /* the remote domain */
	struct slice pair;    /* "local NUL remote NUL", bare JIDs; what follows is the gateway's own */
	size_t octets;        /* when it is loaded */
	int64_t accepted_at, expires_at;
	struct gateway_marks marks;
	bool lazy; /* of queue_put alone: nobody waits for it, and it ends soon as a rule */
};

/* The names of what is under way and in no journal; 0: a free place. For the handler of crashes, which may read it on any thread. */
enum { GATEWAY_UNDER_WAY = 4096 };
struct gateway_under_way {
	_Atomic uint64_t names[GATEWAY_UNDER_WAY];
};

struct gateway_msrp_place { /* where MSRP peers reach us; valid during the call that got it */
	struct slice authority;  /* of our URIs: "192.0.2.1:2855" */
	struct slice address;    /* the same without port and brackets, for c= */
	uint16_t port;
	unsigned worker;         /* what msrp_hub_new_id takes */
};

struct gateway_ops {
	/* Send this stanza (jabber:server namespace; copied) on the stream from our domain to the partner's. gateway_sent
	 * follows, maybe from inside. */
	void (*xmpp_send)(void *arg, struct slice local_domain, struct slice remote_domain, struct slice stanza,
			  const struct gateway_ticket *t);
	/* The fate of a stanza that gateway_stanza took is final: the home has answered 2xx, or the error for its sender was sent (or
	 * cannot be), or it needed neither. Exactly once for each receipt whose number is not 0, in any order, maybe from inside
	 * gateway_stanza; never from inside gateway_free: what was under way then is not acknowledged, so that the partner's server
	 * knows that it may be lost. */
	void (*stanza_done)(void *arg, const struct xmpp_receipt *r);
	/* What is known of a home, zeroed before. False: no such home. */
	bool (*home)(void *arg, uint32_t home, struct gateway_home *ret);
	/* This is how a home speaks whose dialect is AUTO: ops->home tells it from now on. May be NULL. */
	void (*home_learned)(void *arg, uint32_t home, enum gateway_dialect dialect);
	/* Durable records, carried out later in order; never block. */
	void (*contact_put)(void *arg, struct slice local, struct slice remote, enum gateway_how how);
	/* True: gateway_stored follows, never from inside; until then the watcher is not told that it may watch. */
	bool (*watch_put)(void *arg, struct slice watcher, struct slice presentity);
	void (*watch_delete)(void *arg, struct slice watcher, struct slice presentity);
	void (*dialog_put)(void *arg, struct slice id, struct slice local, struct slice remote, struct slice blob,
			   int64_t expires_at);
	void (*dialog_delete)(void *arg, struct slice id);
	/* MSRP; NULL together: there is none. A place for the clients of this home, with TLS or without; false: there is none. */
	bool (*msrp_place)(void *arg, uint32_t home, bool tls, struct gateway_msrp_place *ret);
	/* As msrp_edge_connect, _write, _close. */
	uint64_t (*msrp_connect)(void *arg, const struct msrp_uri *to, struct slice fingerprint);
	bool (*msrp_write)(void *arg, uint64_t line, struct slice octets);
	void (*msrp_close)(void *arg, uint64_t line);
	/* Which texts were taken and what became of them, written at `at` (seconds since 1970); older than `before` is of no use any
	 * more. Both may be NULL. */
	void (*seen_put)(void *arg, int64_t at, struct slice records);
	void (*seen_purge)(void *arg, int64_t before);
	/* The journal of what was accepted and is not confirmed (docs/adr/0053); queue_put NULL: there is none, and texts are answered when
	 * they were handed over. Nothing here blocks or calls back from inside. */
	/* REASON_NONE; SERVER_QUEUE_FULL or _DISK: an entry of this size would not be taken now. */
	enum reason (*queue_room)(void *arg, struct slice partner, size_t octets);
	/* Copies. REASON_NONE: q->id is set, and gateway_queue_stored follows; else nothing has happened. */
	enum reason (*queue_put)(void *arg, struct gateway_queued *q, struct slice octets);
	void (*queue_end)(void *arg, uint64_t id);
	void (*queue_mark)(void *arg, uint64_t id, const struct gateway_marks *m);
	/* True: gateway_queue_octets (or _unread) follows, after the marks made before are written. False: not now. */
	bool (*queue_read)(void *arg, uint64_t id);
	/* One of all workers' suspects may go alone: asks for that, or gives it back. May be NULL: there is one worker. */
	bool (*queue_alone)(void *arg, bool begin);
	/* The clock by which texts grow old (seconds), and expires_at is meant. May be NULL: the time of day. */
	int64_t (*queue_now)(void *arg);
};

/* What of typing and receipts crosses, and how (docs/signals.md). */
enum gateway_by_answer { GATEWAY_ANSWER_SESSION, GATEWAY_ANSWER_NEVER, GATEWAY_ANSWER_ALWAYS }; /* in the order of im.receipts-by-answer */
struct gateway_signals {
	bool typing, receipts;
	bool notices;                     /* tell the SIP user in words what could not be delivered after all */
	enum gateway_by_answer by_answer; /* the home's 200 is a receipt: of a session only, never, always */
	uint64_t life_ms;                 /* how long a receipt may come after its message */
};
extern const struct gateway_signals gateway_signals_default;

struct gateway_config {
	struct sip_stack *stack;
	struct timers *timers;
	struct arena_pool *arenas;
	struct snapshot_slot *policy;            /* has a snapshot from the start */
	struct record_log *records;              /* the worker's decision log; NULL: none. It outlives the gateway */
	const struct xmpp_service *service;      /* what disco answers; must outlive the gateway */
	struct interwork_im_rules im;
	struct interwork_error_rules errors;
	struct gateway_signals signals;
	uint32_t subscription_expires;           /* seconds asked of homes, and granted at most */
	uint32_t notify_interval_ms;
	bool busy_away;                          /* a SIP user who is busy is shown away */
	uint32_t subscribe_rate;                 /* SUBSCRIBEs a second that open dialogs nobody is waiting for; 0: no limit */
	uint32_t absence_s;                      /* a watcher that is nowhere for so long is not watched for; 0: always */
	uint32_t watcher_probe_s;                /* how often a watcher of whom nothing is heard is asked for (RFC 8048 8.1); 0: never */
	uint32_t error_wait_ms;                  /* how long the answer to a first MESSAGE waits for an XMPP error */
	size_t max_queue, max_queue_octets;      /* messages waiting for one SIP target, and what they hold; 0 octets: no limit */
	uint32_t subscription_minimum;           /* seconds; shorter ones get 423; 0: 60 */
	size_t max_subscriptions, max_conversations; /* of this worker */
	size_t max_subscriptions_per_user, max_contacts_per_user; /* 0: no limit */
	size_t max_sessions_per_user;            /* that the user's clients have opened; 0: no limit */
	unsigned xmpp_retry_ms;                  /* how often a lost partner is probed */
	bool group_notice;                       /* who is invited to a group chat is told so */
	size_t max_msrp_message;                 /* octets of a message that is received by MSRP (a=max-size) */
	uint32_t queue_lifetime_s;               /* how long a text may wait in the journal */
	struct gateway_under_way *under_way;     /* of this worker; outlives the gateway. NULL: nobody looks */
	bool queue_keep;                         /* what cannot be delivered now is taken and waits, too */
	uint64_t seen_secret[2];                 /* of the names of texts that were taken; the same after a restart */
};

struct gateway *gateway_new(const struct gateway_config *cfg, const struct gateway_ops *ops, void *arg);
/* Dialogs of subscriptions are not ended, watchers not told (they are restored after a restart). Before sip_stack_free. Accepts NULL;
 * returns NULL. */
struct gateway *gateway_free(struct gateway *g);

/* A request from a home that no dialog took (sip_stack_ops.request): `from->target` is the home that the sender is, UINT32_MAX
 * unknown. */
void gateway_request(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		     const struct sip_flow *from);
/* A stanza of a proven partner, addressed to a user of this worker or to one of our domains. Takes the arena. */
void gateway_stanza(struct gateway *g, struct xmpp_stanza *st);
/* With ticket.confirm: it was handed to the partner's stream and is not confirmed yet (acks: the stream acknowledges, but not soon);
 * gateway_sent follows. */
void gateway_handed(struct gateway *g, const struct gateway_ticket *t, bool acks);
/* What became of a stanza. With ticket.confirm, REASON_NONE: it is confirmed. */
void gateway_sent(struct gateway *g, const struct gateway_ticket *t, enum reason reason, struct slice why);
/* A watch is on the disk, or cannot be brought there. */
void gateway_stored(struct gateway *g, struct slice watcher, struct slice presentity);
/* A put is durable, or will not be (then nothing of it comes back). */
void gateway_queue_stored(struct gateway *g, uint64_t id, enum reason reason);
/* What an entry says; not found: it cannot be read any more. */
void gateway_queue_octets(struct gateway *g, uint64_t id, bool found, struct slice octets);
/* Instead: it could not be read just now (the disk, no descriptor left); it may be asked for again. */
void gateway_queue_unread(struct gateway *g, uint64_t id);
/* Start-up, after gateway_load_seen: an entry that an earlier process has left. False: it is over (end it). */
bool gateway_queue_load(struct gateway *g, const struct gateway_queued *q);
/* Start-up, before gateway_queue_load: this was under way, and in no journal, when the process crashed so often. What comes again with its name is
 * a suspect. Each worker may be given all. */
void gateway_load_suspect(struct gateway *g, uint64_t name, unsigned crashes);
/* What waits for this partner's domain is not delivered, and texts to it wait. */
void gateway_queue_pause(struct gateway *g, struct slice partner, bool paused);
enum gateway_queue_verb { GATEWAY_QUEUE_HOLD, GATEWAY_QUEUE_RELEASE, GATEWAY_QUEUE_RETRY, GATEWAY_QUEUE_EXPIRE, GATEWAY_QUEUE_QUARANTINE };
/* False: there is no such entry that waits (one that is under way just now is left alone), or it is held (RETRY). */
bool gateway_queue_do(struct gateway *g, uint64_t id, enum gateway_queue_verb verb);
struct gateway_queue_facts {
	uint64_t id;
	enum gateway_queue_kind kind;
	struct slice local, remote; /* bare JIDs */
	const char *state;          /* "waiting" "under way" "held" "quarantined" "paused" */
	size_t octets;
	int64_t accepted_at, expires_at;
	unsigned attempts, crashes;
	uint64_t retry_ms;          /* waiting: until its way is tried again; 0: as soon as it can */
};
void gateway_queue_each(struct gateway *g, void (*fn)(void *arg, const struct gateway_queue_facts *f), void *arg);
/* What msrp_edge_ops tells. */
void gateway_msrp_input(struct gateway *g, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p);
void gateway_msrp_up(struct gateway *g, uint64_t line);
void gateway_msrp_writable(struct gateway *g, uint64_t line);
void gateway_msrp_lost(struct gateway *g, uint64_t line);
/* The stream to a partner came up or failed. */
void gateway_link(struct gateway *g, struct slice local_domain, struct slice remote_domain, bool up);

/* The edge that serves the remote domains that `ours` says yes to (NULL: all) is gone, or is back: as if the streams to all of them had
 * failed or come up, but for the pairs of domains that nobody here needs. Back: presence is announced and asked for again, since an edge
 * that was away does not know what was missed. */
void gateway_links(struct gateway *g, bool up, bool (*ours)(void *arg, struct slice remote_domain), void *arg);

/* Takes over what may change while it runs: im, errors, signals, subscription_expires, subscription_minimum, notify_interval_ms, subscribe_rate,
 * busy_away, absence_s, watcher_probe_s,
 * queue_lifetime_s, queue_keep, max_subscriptions, max_subscriptions_per_user, max_contacts_per_user, max_sessions_per_user, max_msrp_message. What exists keeps the values that it was made with. */
void gateway_set(struct gateway *g, const struct gateway_config *cfg);

/* The process is going to end: sessions are hung up as soon as their texts are through. `keep`: but those whose texts go in their dialog, for
 * they can go on in the next process; what of these is at rest when gateway_keep_sessions is called goes into the store (dialog_put), and the
 * peer is told nothing. What is left goes with gateway_free, which hangs up without waiting. */
void gateway_drain(struct gateway *g, bool keep);
void gateway_keep_sessions(struct gateway *g);

/* The policy was replaced: subscriptions that it no longer allows end, notes are hidden or shown, what slept may wake. The
 * gateway finds out by itself with the next thing that happens; this is for at once. */
void gateway_recheck(struct gateway *g);

/* What the store remembers, at start-up before anything else; contacts at any time. resume_ms: when to subscribe again; GATEWAY_RESUME: with
 * gateway_resume, which does it evenly over spread_ms where there are more than a hundred, and not faster than subscribe_rate. */
#define GATEWAY_RESUME UINT64_MAX
void gateway_resume(struct gateway *g, uint64_t spread_ms);
void gateway_load_contact(struct gateway *g, struct slice local, struct slice remote);
void gateway_load_watch(struct gateway *g, struct slice watcher, struct slice presentity, uint64_t resume_ms);
/* What dialog_put wrote: a subscription, or a session that is kept. False: delete it: it is expired, unreadable or not allowed any more, or it
 * was a session, which is written anew at the next planned end. */
bool gateway_load_dialog(struct gateway *g, struct slice id, struct slice local, struct slice remote, struct slice blob);

/* What seen_put wrote before, oldest first; each worker may be given all. */
void gateway_load_seen(struct gateway *g, struct slice records);

/* Has the local user the remote one as contact? Bare JIDs. */
bool gateway_knows_contact(const struct gateway *g, struct slice local, struct slice remote);
/* No longer; what is under way is judged anew with the next gateway_recheck. */
void gateway_forget_contact(struct gateway *g, struct slice local, struct slice remote);

/* The bare JID of the local user that a message from or to a home concerns (picks the worker). False when there is none. */
bool gateway_local_user(struct slice *ret, struct arena *a, const struct sip_msg *m, bool from_home);

struct gateway_subscription_facts {
	bool to_sip;            /* an XMPP user watches a SIP user; else the other way */
	struct slice watcher, presentity;
	const char *state;
	unsigned dialogs, resources;
	struct slice show;      /* of the best resource */
};
void gateway_each_subscription(struct gateway *g, void (*fn)(void *arg, const struct gateway_subscription_facts *f), void *arg);

struct gateway_conversation_facts {
	struct slice local, remote;
	const char *carrier, *state, *dialect; /* state: of the session, "" without one */
	struct slice resource;                 /* that the remote user is spoken to at; empty: none */
	uint64_t to_xmpp, to_sip, failed, idle_ms;
	size_t queued;
};
void gateway_each_conversation(struct gateway *g, void (*fn)(void *arg, const struct gateway_conversation_facts *f), void *arg);
