/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts and markers of XMPP: XEP-0184 and XEP-0333, with the hints of XEP-0334. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "xmpp/xml.h"

enum { RECEIPT_MAX_ID = 256 }; /* octets; a longer one is nobody's */

/* What a message says of receipts. Ids are raw; p == NULL when absent, empty or longer than RECEIPT_MAX_ID. */
struct receipt_seen {
	bool request;            /* XEP-0184: asked for, and there is an id that an answer could name */
	bool markable;           /* XEP-0333: the same */
	struct slice received;   /* <received id=''/> of either: the message came. The attribute, not the stanza's own id */
	struct slice displayed;  /* <displayed id=''/> or <acknowledged id=''/> */
};
/* An element that answers is never one that asks: with `received` or `displayed`, request and markable are false (XEP-0184 5.4). */
void receipt_read(struct receipt_seen *ret, const struct xml_node *message);

/* What a text may ask for: <request/>, <markable/>. */
void receipt_put_asks(struct buf *b, bool request, bool markable);
/* A whole message that answers: from and to as they are written, `id` of the message that it is about, `own` its own id. It is of type
 * `chat` (true) or normal, and has a <store/> hint, since the sender may be offline. */
enum receipt_answer { RECEIPT_RECEIVED, RECEIPT_DISPLAYED };
void receipt_put_answer(struct buf *b, enum receipt_answer what, struct slice from, struct slice to, struct slice own, struct slice id,
			bool chat);
