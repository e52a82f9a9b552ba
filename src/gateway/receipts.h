/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of texts after they were handed on: a bounded memory of the recent ones of each conversation, both ways, by the ids that
 * they have on both sides; so that a receipt, a marker or a failure that comes later finds its message (XEP-0184, XEP-0333, RFC 5438, MSRP
 * reports). Private to signals.c and receipts.c. What is not remembered (restart, age, limits) is answered by nobody, as if the client had
 * none of this. A receipt is passed once; none follows a failure, and no failure a receipt. */
#pragma once
#include "gateway/conversation.h"
#include "interwork/signal.h"

enum {
	RECEIPTS_PER_CONVERSATION = 32, /* the oldest gives way */
	RECEIPTS_MAX = 20000,           /* of this worker */
	NOTICES_BURST = 5, NOTICES_EVERY_MS = 60000, /* texts that tell of failures, per conversation */
};

/* The conversation forgets. */
void receipts_forget(struct conversation *c);
/* The gateway ends: all conversations have gone. */
void receipts_free(struct gateway *g);

/* ---- XMPP to SIP */
/* A text goes out. When its sender wants to know and may: o->page is put in CPIM with a request, where the peer takes it; else o->token
 * or o->report make it known again. */
void receipts_text_out(struct conversation *c, struct outgoing *o);
/* It was ended: the answer may be the receipt (im.receipts-by-answer), or nothing will come any more. */
void receipts_text_done(struct conversation *c, const struct outgoing *o, int status, enum reason reason);
/* What a notification of the SIP user's client says. `from`: it, full or bare. True: something went to the XMPP user. */
bool receipts_notice(struct conversation *c, const struct xmpp_jid *from, const struct imdn *n);
/* The text with this MSRP Message-ID, or id of ms-imdn, was delivered (status 200) or not. */
bool receipts_reported(struct conversation *c, struct slice id, int status);

/* ---- SIP to XMPP */
/* What the stanza of a text is to ask for. */
struct imdn_request receipts_request(const struct interwork_im_found *found);
void receipts_text_in(struct conversation *c, const struct incoming *in, struct slice stanza_id);
/* The XMPP user's client has answered. True: something went to the SIP user. */
bool receipts_answer(struct conversation *c, struct slice id, bool displayed);
/* Its server has refused the message, after the SIP user's client was told that it was taken. */
void receipts_failed(struct conversation *c, const struct stanza *error);
/* The same of one that could not be sent. */
void receipts_unsent(struct conversation *c, struct slice stanza_id, enum reason reason);
/* The same of one that waited for long: when it is not remembered any more, words alone. */
void receipts_given_up(struct conversation *c, struct slice stanza_id, struct slice text, enum reason reason);
