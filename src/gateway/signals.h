/* SPDX-License-Identifier: Apache-2.0 */
/* What goes with texts: typing (XEP-0085, RFC 3994, KeyboardActivity), receipts and markers (XEP-0184, XEP-0333, RFC 5438), failures
 * after the fact. Private to the gateway. message.c and the carriers call in here at the points named; outwards, towards SIP, signals
 * use conversation_send_signal, towards XMPP gateway_send_node. Policy was asked before (as for a text). */
#pragma once
#include "gateway/gateway_int.h"

struct conversation;
struct outgoing;
struct incoming;
struct carried;

/* Part of each conversation; zeroed when it is made. */
struct signals {
	bool states_heard; /* the XMPP user's client has sent a chat state (XEP-0085) */
};

/* The conversation goes: timers are cancelled, memory freed. */
void signals_free(struct conversation *c);

/* ---- XMPP to SIP */
/* A message stanza that carries no text (v->kind: EMPTY, COMPOSING, RECEIPT). Nothing of it is answered; its record is closed by the
 * caller. `peer`: the stream that it came on. */
void signals_from_xmpp(struct gateway *g, struct conversation *c, const struct stanza *st, const struct interwork_im_verdict *v);
/* A text is about to be given to the carrier: what it says besides (a chat state, a receipt asked for, markable) is to be remembered;
 * o->page may still be changed. */
void signals_text_out(struct gateway *g, struct conversation *c, struct outgoing *o);
/* The text was ended; `status`: the SIP status or 0, `reason`: ours or REASON_NONE. Before its sender is told; `o` is freed
 * afterwards. */
void signals_text_done(struct gateway *g, struct conversation *c, const struct outgoing *o, int status, enum reason reason);
/* What became of something that conversation_send_signal had taken: final status (408: no answer, 503: no way). */
void signals_carried(struct gateway *g, struct conversation *c, struct slice content_type, int status);

/* ---- SIP to XMPP */
/* Something that is no text (v->kind). True: it was answered by in->way (or will be). False: the caller answers 200. */
bool signals_from_sip(struct gateway *g, struct conversation *c, const struct incoming *in, const struct interwork_im_verdict *v);
/* An INFO in a session's dialog. The status for it: 200, 415 ... */
int signals_info(struct gateway *g, struct conversation *c, struct slice content_type, struct slice body);
/* A text is being handed to the partner's stream as the stanza with this id: what its sender asked for (IMDN) is to be remembered, the
 * typing is over. */
void signals_text_in(struct gateway *g, struct conversation *c, const struct incoming *in, const struct interwork_im_verdict *v,
		     struct slice stanza_id);
/* The partner has refused a message of ours, and the SIP request that brought it is answered already (an error stanza). */
void signals_error_late(struct gateway *g, struct conversation *c, const struct stanza *st);

/* ---- sessions */
/* The session has ended, by the SIP user or by us. The XMPP user may be told `gone`, if its client speaks of chat states. */
void signals_session_over(struct gateway *g, struct conversation *c, bool by_sip);
/* Does this stanza say <gone/> (XEP-0085)? Then the session is to be ended. */
bool signals_gone(const struct stanza *st);
