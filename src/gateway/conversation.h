/* SPDX-License-Identifier: Apache-2.0 */
/* What one SIP user and one XMPP user say to each other: one record per pair of bare addresses, and how texts and what goes with them
 * (typing, receipts) get from one side to the other. Private to the gateway.
 *
 * XMPP to SIP: message.c makes a `struct outgoing` of a stanza and gives it to conversation_send, which hands it to the conversation's
 * carrier. The carrier (page.c: a MESSAGE of its own; session.c: within a session) ends it exactly once by outgoing_delivered,
 * outgoing_answered, outgoing_status or outgoing_failed; that tells the sender, closes the record of the decision log and frees it.
 *
 * SIP to XMPP: whatever brought it, it becomes a `struct incoming` and goes to message_incoming, which answers it exactly once by
 * in->way: now, or when the partner's stream has taken it.
 *
 * What is no text is the affair of signals.c, both ways. */
#pragma once
#include "gateway/gateway_int.h"
#include "gateway/signals.h"

struct session; /* session.h */

enum { CALL_IDS = 4 };

/* What the SIP user's client has sent, so that it will understand it: bits of conversation.heard. */
enum conversation_heard {
	HEARD_TEXT = 1,
	HEARD_HTML = 2,
	HEARD_CPIM = 4,      /* wrapped; it may be a text or a report */
	HEARD_COMPOSING = 8, /* application/im-iscomposing+xml */
	HEARD_IMDN = 16,
	HEARD_KEYBOARD = 32, /* INFO with KeyboardActivity */
	HEARD_ALTERNATIVE = 64, /* multipart/alternative: of its parts it shows what it can */
};

struct conversation {
	struct pair pair; /* first */
	struct list lru;
	struct gateway *g;
	const struct carrier *carrier; /* of what is sent to the SIP user now; never NULL */
	struct session *session;       /* of session.c; NULL in page mode */
	unsigned n_sessions;           /* with those that are ending */
	uint64_t page_until;           /* no session is tried: one was refused, and page mode used */
	char *ms_conversation_id;      /* owned; of Lync's header, as long as the conversation; NULL: none yet */
	struct signals signals;        /* of signals.c */
	char *resource;   /* owned; where the XMPP user is spoken to (RFC 6121 5.1); NULL: its bare address */
	char *thread;     /* owned; the XMPP user's <thread/>; NULL: none yet */
	uint32_t home;    /* where the SIP user was last heard of or sent to; UINT32_MAX: never */
	unsigned heard;   /* enum conversation_heard */
	bool confirmed;   /* the contact exists: something came from it, or a message was not refused */
	char call_id[40], tag[16]; /* of our MESSAGEs to the SIP user, in page mode; the Call-ID is of the last one */
	uint32_t cseq;
	uint64_t seen[CALL_IDS]; /* hashes of the SIP user's recent Call-IDs */
	unsigned next_seen;
	uint64_t to_xmpp, to_sip, failed, last;
	size_t queued; /* texts that point here: then it stays */
	uint64_t group_noticed; /* of groupchat.c: when one of the two was last told of an invitation; 0: never */
};

/* A text on its way to the SIP user. It lies in its arena, together with the stanza, until it is ended. */
struct outgoing {
	struct list node;   /* of whoever has it */
	struct arena *arena;
	struct conversation *conversation;
	size_t octets, memory; /* as counted when it began to wait */
	const struct xml_node *stanza;
	struct interwork_im_page page;
	struct slice uri, from_uri, local, remote, local_domain, remote_domain;
	uint32_t home;
	struct slice token;    /* what identifies this text on the SIP side: Call-ID of its MESSAGE, MSRP Message-ID; empty: the carrier's own */
	bool report;           /* MSRP: Success-Report: yes; signals_reported hears of it */
	bool marked;           /* page mode: its markup went with it */
	bool quiet;            /* a notice of ours: nobody is told when it fails */
	unsigned tries;        /* times that it was taken from one session, or from page mode, to another session, or to page mode: at most one such way back */
	uint64_t record;
	uint64_t serial;             /* later texts have larger ones */
	struct seen_run *seen;       /* NULL: the partner's server does not send again */
	struct seen_key name;        /* with `seen` */
	struct queue_entry *queue;   /* of the journal; NULL: it is not there */
	uint64_t since;              /* when the stanza came */
	struct xmpp_receipt receipt; /* until the message is done */
};

/* What is no text on its way to the SIP user: typing, a report. Everything is copied. */
struct carried {
	struct slice content_type, body;
	const struct sip_extra *headers; /* of a MESSAGE: Content-Disposition ...; may be NULL */
	size_t n_headers;
	bool info;        /* as INFO where the carrier has a dialog (KeyboardActivity), else it is not carried */
	bool replaces;    /* one that still waits, of this conversation and the same content type, is not true any more */
	uint32_t true_ms; /* after this nobody wants to know any more; 0: it waits as texts do */
};

/* How things get to the SIP user. Rows of functions, one table per carrier. */
struct carrier {
	const char *name; /* as shown: "page", "session" */
	/* The octets of a body that this text may have. What the peer turns out not to take is refused by `send`. */
	size_t (*text_max)(const struct conversation *c, const struct outgoing *o);
	/* Is there room for this one, and may it be so large? REASON_NONE, or why not. */
	enum reason (*room)(const struct conversation *c, const struct outgoing *o);
	/* Takes the text. It is ended once, maybe from inside. */
	void (*send)(struct conversation *c, struct outgoing *o);
	/* False: not carried (no dialog, not accepted by the peer, too many wait). True: signals_carried follows once, maybe from inside,
	 * unless it was replaced or is not true any more. */
	bool (*signal)(struct conversation *c, const struct carried *s);
	/* Does the peer understand it, as far as is known? Type without parameters. */
	bool (*accepts)(const struct conversation *c, struct slice content_type);
	/* REPORT about what came with this MSRP Message-ID: 200, or the status of a failure. False: not carried. NULL: never. */
	bool (*report)(struct conversation *c, struct slice message_id, int status);
};
extern const struct carrier page_carrier;

/* ---- conversation.c */

/* NULL: there is none. */
struct conversation *conversation_find(struct gateway *g, struct slice local, struct slice remote);
/* Made when there is none; the one that was silent for the longest time may be forgotten for it. */
struct conversation *conversation_get(struct gateway *g, struct slice local, struct slice remote);
/* Something was said just now. */
void conversation_touch(struct conversation *c);
/* Speaks to this resource from now on; empty: to the bare address. */
void conversation_lock(struct conversation *c, struct slice resource);
/* The XMPP user's thread, for what the SIP user says in the session; empty: as it was. */
void conversation_keep_thread(struct conversation *c, struct slice thread);
/* interwork_im_in.call_id_seen; ctx: the conversation. */
bool conversation_call_id_seen(void *ctx, struct slice call_id, struct slice *thread);
/* By the conversation's carrier. */
enum reason conversation_room(const struct conversation *c, const struct outgoing *o);
void conversation_send(struct conversation *c, struct outgoing *o);
bool conversation_send_signal(struct conversation *c, const struct carried *s);
bool conversation_accepts(const struct conversation *c, struct slice content_type);
bool conversation_report(struct conversation *c, struct slice message_id, int status);
/* All of them go; their texts have gone before. */
void conversations_free(struct gateway *g);

/* ---- message.c */

/* A text of ours in the conversation of these two, towards the SIP user: as if `from` had written it, but nobody hears of it when it is not
 * allowed or fails. */
void message_notice(struct gateway *g, const struct xmpp_jid *from, const struct xmpp_jid *to, struct slice text);

/* ---- message.c: how a text ends that a carrier had. Each frees it. */

/* The home, or the peer in the session, has taken it. */
void outgoing_delivered(struct outgoing *o, int status);
/* Refused by this final response. */
void outgoing_answered(struct outgoing *o, const struct sip_msg *response);
/* Refused with a status that came otherwise (MSRP), or that stands for an event (408 for no answer in time). */
void outgoing_status(struct outgoing *o, int status, struct slice phrase);
void outgoing_failed(struct outgoing *o, enum reason reason);
/* Without a word: the gateway ends. */
void outgoing_drop(struct gateway *g, struct outgoing *o);

/* ---- SIP to XMPP */

/* How what came in is answered. `id` as in the `struct incoming`; a row of functions each for SIP requests, MSRP ... */
struct incoming_way {
	unsigned ticket; /* enum ticket_kind */
	/* Sends the answer, with a status and phrase of SIP; the last thing about this id. Nothing happens when nobody waits any more. */
	void (*answer)(struct gateway *g, uint64_t id, const struct sip_answer *answer);
	/* False: nobody waits any more. *ret_record: its record in the decision log; *ret_since: when it came. */
	bool (*known)(struct gateway *g, uint64_t id, uint64_t *ret_record, uint64_t *ret_since);
};
/* `id` of a server transaction: a MESSAGE, in a dialog or not. */
extern const struct incoming_way incoming_by_request;
/* `id` of its record: a text that came with an INVITE. Nobody is answered. */
extern const struct incoming_way incoming_by_invite;
/* `id` of a message that came by MSRP. */
extern const struct incoming_way incoming_by_msrp;

struct incoming {
	const struct incoming_way *way;
	uint64_t id;
	const struct sip_msg *msg;   /* the SIP request that brought it; for MSRP: the INVITE of its session (never NULL) */
	struct slice content_type, body; /* of what came; with params. Of a MESSAGE: the request's */
	struct slice message_id;     /* MSRP: Message-ID; else empty */
	bool success_report;         /* MSRP: its sender wants a REPORT when it was delivered */
	uint32_t home;               /* that it came from: index, UINT32_MAX unknown */
	bool in_session;
	bool test;                   /* by `entente test`: nothing lasting changes */
	struct xmpp_jid from, to;    /* the SIP user, the XMPP user; `to` as addressed */
	struct slice from_text, to_text; /* URIs as in the request, for the log */
	const char *method;          /* "MESSAGE" "SEND", for the log */
	struct conversation *conversation; /* NULL: message_incoming finds it */
	struct seen_key name;        /* set by message_incoming, unless it is a test's */
	bool has_name;
	struct interwork_im_found found;   /* set by message_incoming: what it turned out to be, wrapped or not */
};
/* A text, or something that goes with texts, came from a SIP user. Asks policy, answers by in->way, now or later. `a`: scratch; nothing
 * of `in` is needed afterwards. g->record: its record. */
void message_incoming(struct gateway *g, struct incoming *in, struct arena *a);

/* ---- page.c */
/* The octets of a text that a MESSAGE to its home may have, in a dialog or not: RFC 3428 8. */
size_t page_text_max(struct gateway *g, const struct outgoing *o);
/* The headers of a MESSAGE with this text, all but those of the dialog and of the body. */
void page_write_headers(struct buf *b, const struct interwork_im_page *p);
/* Does a text of this conversation wait, or is one under way? */
bool page_waits(const struct conversation *c);
/* True: this text had only waited there, and is taken away; the caller ends it. */
bool page_withdraw(struct outgoing *o);
/* Those that are not under way leave the queue, in order: they go another way. `take` sends nothing in page mode. */
void page_yield(struct conversation *c, void (*take)(void *arg, struct outgoing *o), void *arg);
/* Texts that wait are dropped without a word. */
void pages_free(struct gateway *g);
