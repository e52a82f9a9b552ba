/* SPDX-License-Identifier: Apache-2.0 */
/* Carrier: a session with the SIP user, opened by INVITE and closed by BYE (interworking of RFC 7573 and of Lync's way). Private to the
 * gateway.
 *
 * session.c is the machine: who calls, the queue of texts while it rings, glare, idle close, fall back to page mode, what is refused.
 * What a session carries is the affair of its leg: session_sip.c (MESSAGE and INFO in the dialog) and session_msrp.c (RFC 4975). The
 * machine owns every text until it ends it; a leg gets one (or up to `window`) at a time and tells what became of it. */
#pragma once
#include "gateway/conversation.h"
#include "sip/sdp.h"
#include "sip/session.h"

struct session_leg;

enum {
	SESSION_QUEUE = 20, SESSION_QUEUE_OCTETS = 64 << 10, /* of the texts' bodies */
	SESSION_ANSWER_MS = 30000,   /* no final answer to our INVITE */
	SESSION_RING_MS = 60000,     /* the same of a Lync home that rings: its users are asked before they answer */
	SESSION_PAGE_MS = 600000,    /* after a session was refused and page mode used, no other one is tried */
	SESSION_IDLE_MS = 600000,    /* without traffic */
	SESSION_TYPES_MAX = 1024,    /* of the peer's a=accept-types that are kept */
};

enum session_state {
	SESSION_INVITING,  /* our INVITE is out */
	SESSION_ANSWERING, /* theirs is answered 200, the ACK is awaited */
	SESSION_OPEN,
	SESSION_LEAVING,   /* its end is sure; nothing is given to the leg any more */
};

struct session {
	struct gateway *g;
	struct conversation *conversation;
	const struct session_leg *leg;
	void *leg_data;             /* the leg's, from offer or answer until close */
	struct sip_session *sip;    /* NULL when it is over */
	struct list link;           /* in g->sessions */
	enum session_state state;
	const struct dialect *dialect;
	bool guessed;               /* the dialect is not set: its other users may speak another way */
	uint32_t home;
	bool rang;                  /* somebody has it, but does not answer */
	bool called;                /* the SIP user called */
	bool ready;                 /* the leg takes texts */
	bool opened;                /* it was OPEN */
	bool ending;                /* by us, when the texts are through */
	enum reason banned;         /* policy allows it no more: texts that come back are failed with this; REASON_NONE: it does */
	struct list texts;          /* of struct outgoing, in order; the first n_under_way were given to the leg */
	size_t count, octets;       /* of these */
	unsigned n_under_way;
	uint64_t used;              /* when something went or came */
	char *accept_types;         /* owned; of the peer's description: "text/plain text/html"; NULL: not known yet */
	char *accept_wrapped_types; /* owned; likewise */
	char *instance;             /* owned; of the SIP user's device, the resource of what it says; NULL: not known yet */
	uint64_t sdp_id, version;   /* of our description */
	struct timer timer;         /* no answer; idle */
	struct later gone;          /* freed on the next turn */
	uint64_t first_hash;        /* of the text that came with the INVITE; 0: none */
	uint64_t first_at;          /* when */
	bool first_offered;         /* our first text went with the INVITE, too */
};

/* What a session carries. Called by the machine; `s->sip` is there, `s->conversation` too. */
struct session_leg {
	const char *name;  /* as shown: "session", "msrp" */
	enum sdp_im form;
	unsigned window;   /* texts that it takes at a time */
	/* We call. Fills what we say of ourselves (form is set, so are id and version; accept_types are those of the dialect): path,
	 * setup, ... Texts in `a`. False: it cannot be (no way, no memory left by its limits). */
	bool (*offer)(struct session *s, struct sdp_local *local, struct arena *a);
	/* Our offer was answered with this m-line. False: of no use, the session is ended. */
	bool (*answered)(struct session *s, const struct sdp_im_media *peer, struct arena *a);
	/* We are called with this m-line; fills our answer as offer does. Status 200, or of the refusal (488). After a re-INVITE it is
	 * called again, with leg_data as it is. */
	int (*answer)(struct session *s, const struct sdp_im_media *peer, struct sdp_local *local, struct arena *a);
	/* The dialog is confirmed. True: texts may be given at once; else the leg calls session_ready when they may. */
	bool (*open)(struct session *s);
	/* The octets of a text that it carries; `s` NULL: in a session that is still to be made. What the peer turns out not to take is
	 * refused by `text`. */
	size_t (*text_max)(struct gateway *g, const struct session *s, const struct outgoing *o);
	/* Carries this text; session_text_over follows once, maybe from inside, unless close comes before. */
	void (*text)(struct session *s, struct outgoing *o);
	/* As carrier.signal. */
	bool (*signal)(struct session *s, const struct carried *c);
	/* As carrier.report; NULL: never. */
	bool (*report)(struct session *s, struct slice message_id, int status);
	/* A MESSAGE or INFO in the dialog. Takes the arena, answers st. NULL: refused 405 by the machine. */
	void (*request)(struct session *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
	/* sip_session_ops.sent, for what the leg sent by sip_session_send. NULL: it sends none. */
	void (*sent)(struct session *s, void *token, const struct sip_session_result *r);
	/* The session is over or never opened: leg_data is freed, nothing is called any more for it. The texts that it had are the
	 * machine's. */
	void (*close)(struct session *s);
};
extern const struct session_leg session_leg_sip, session_leg_msrp;
/* The hub of MSRP sessions: made before anything else, freed after the sessions. */
void msrp_start(struct gateway *g);
void msrp_stop(struct gateway *g);
/* NULL entries are legs that are not there. */
const struct session_leg *session_leg_of(enum sdp_im form);

/* ---- what legs call */

/* Texts may be given from now on. */
void session_ready(struct session *s);
/* Something went or came that shows that the session is used. */
void session_used(struct session *s);
enum session_text_end {
	SESSION_TEXT_DELIVERED, /* status: 2xx */
	SESSION_TEXT_REFUSED,   /* status, phrase, or the response */
	SESSION_TEXT_DEAD,      /* the dialog or connection is of no use (408, 480, 481; an MSRP connection that broke before the answer):
				 * the machine drops it and calls anew once, with the same text */
};
void session_text_over(struct session *s, struct outgoing *o, enum session_text_end end, int status, struct slice phrase,
		       const struct sip_msg *response);
/* The leg cannot carry any more (its connection is lost). The dialog is ended by BYE; texts that wait are called anew for once. */
void session_broken(struct session *s);

/* ---- what the gateway calls */

extern const struct carrier session_carrier;
/* An INVITE that makes a dialog. Answers it now or later. The message stays the caller's. */
void session_invited(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
/* Which carrier is right for the next text: by the dialect of the SIP user's home, and by what was learnt of this conversation. A session is
 * made only where `may_open`. */
void session_choose(struct conversation *c, uint32_t home, bool may_open);
/* As shown: "inviting" "answering" "open" "leaving", "" without one. */
const char *session_state_text(const struct conversation *c);
/* Ends it by BYE (CANCEL); texts that wait are sent before. Harmless without one. */
void session_hang_up(struct conversation *c);
/* Texts of this conversation that no leg has leave their sessions, in order; `take` gives none back. */
void session_yield(struct conversation *c, void (*take)(void *arg, struct outgoing *o), void *arg);
/* True: no leg had this text yet, nor was it in the INVITE; it has left its session, and the caller ends it. */
bool session_withdraw(struct outgoing *o);
/* Those that policy does not allow any more end. */
void sessions_recheck(struct gateway *g);
/* What is left is hung up; texts are dropped without a word. */
void sessions_free(struct gateway *g);
