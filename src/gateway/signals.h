/* SPDX-License-Identifier: Apache-2.0 */
/* What goes with texts: typing (XEP-0085, RFC 3994, KeyboardActivity), receipts and markers (XEP-0184, XEP-0333, RFC 5438), failures
 * after the fact. Private to the gateway. message.c and the carriers call in here at the points named; outwards, towards SIP, signals
 * use conversation_send_signal, towards XMPP gateway_send_node. Policy was asked before (as for a text). */
#pragma once
#include "gateway/gateway_int.h"
#include "interwork/signal.h"

struct conversation;
struct outgoing;
struct incoming;
struct carried;

/* Part of each conversation; zeroed when it is made. */
struct signals {
	bool states_heard;  /* the XMPP user's client has sent a chat state (XEP-0085) */
	bool told_typing;   /* the SIP user was told last that the XMPP user types */
	bool report_wanted; /* of the text that is being handed to XMPP: MSRP Success-Report */
	unsigned char shown, wanted; /* enum chatstate: what the XMPP user was told last, what is true */
	unsigned noticed;   /* failures told in a short time */
	uint64_t noticed_at, shown_at;
	uint64_t typing_until;    /* when it ends if the SIP user's client says no more; 0: it does not type */
	uint64_t composing_since; /* of the XMPP user */
	struct timer to_xmpp, to_sip;
	char *instance;      /* owned; resource of the SIP user's client; NULL: none */
	struct list tracked; /* of receipts.c */
	unsigned n_tracked;
};

/* The conversation goes: timers are cancelled, memory freed. */
void signals_free(struct conversation *c);

/* ---- XMPP to SIP */
/* A message stanza that carries no text (v->kind: EMPTY, COMPOSING, RECEIPT). Nothing of it is answered; its record is closed by the
 * caller. True: something of it went to the SIP user. */
bool signals_from_xmpp(struct gateway *g, struct conversation *c, const struct stanza *st, const struct interwork_im_verdict *v);
/* Is it a receipt, a marker or a chat state and no text? Such a stanza is refused without a word. */
bool signals_only(const struct xml_node *message);
/* A text is about to be given to the carrier: what it says besides (a chat state, a receipt asked for, markable) is to be remembered;
 * o->page may still be changed. */
void signals_text_out(struct gateway *g, struct conversation *c, struct outgoing *o);
/* The text was ended; `status`: the SIP status or 0, `reason`: ours or REASON_NONE. Before its sender is told; `o` is freed
 * afterwards. */
void signals_text_done(struct gateway *g, struct conversation *c, const struct outgoing *o, int status, enum reason reason);
/* What became of something that conversation_send_signal had taken: final status (408: no answer, 503: no way). */
void signals_carried(struct gateway *g, struct conversation *c, struct slice content_type, int status);

/* ---- SIP to XMPP */
/* Is what came a signal? As signal_read, with what is refused. */
int signals_look(struct signal *ret, struct arena *a, const struct incoming *in, struct entente_err *err);
/* It is. The caller answers 200. True: something of it goes to the XMPP user. */
bool signals_from_sip(struct gateway *g, struct conversation *c, const struct incoming *in, const struct signal *sig);
/* An INFO in a session's dialog. The status for it: 200, 415 ... */
int signals_info(struct gateway *g, struct conversation *c, struct slice content_type, struct slice body);
/* interwork_im_in.children of a text; ctx: the conversation. */
void signals_children(void *ctx, struct buf *b, const struct interwork_im_found *found);
/* A text is being handed to the partner's stream as the stanza with this id: what its sender asked for (IMDN) is to be remembered, the
 * typing is over. */
void signals_text_in(struct gateway *g, struct conversation *c, const struct incoming *in, struct slice stanza_id);
/* A REPORT about the text that was sent with this Message-ID (outgoing.token), or another word about it that comes later: status 200, or
 * the failure's. True: the XMPP user was told. */
bool signals_reported(struct gateway *g, struct conversation *c, struct slice message_id, int status);
/* The partner has refused a message of ours, and the SIP request that brought it is answered already (an error stanza). */
void signals_error_late(struct gateway *g, struct conversation *c, const struct stanza *st);
/* The same of one that could not be sent, by its stanza's id. */
void signals_failed_late(struct gateway *g, struct conversation *c, struct slice stanza_id, enum reason reason);

/* The same of one that waited in the journal, perhaps for longer than anybody remembers its id; `text` is what it said. */
void signals_given_up(struct gateway *g, struct conversation *c, struct slice stanza_id, struct slice text, enum reason reason);

/* ---- what we say ourselves */
enum { SIGNALS_ID = 26 };
/* Writes an id for a stanza with a state or receipt. */
void signals_id(char dst[SIGNALS_ID + 1]);
/* An error stanza: is it about such a stanza? Then that is all; c: of the two, NULL: none. */
bool signals_error(struct conversation *c, const struct stanza *st);

/* ---- sessions */
/* The session has ended, by the SIP user or by us. The XMPP user may be told `gone`, if its client speaks of chat states. */
void signals_session_over(struct gateway *g, struct conversation *c, bool by_sip);
/* Does this stanza say <gone/> (XEP-0085)? Then the session is to be ended. */
bool signals_gone(const struct stanza *st);
