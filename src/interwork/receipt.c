/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/receipt.h"

#include "xmpp/ns.h"
#include "xmpp/stanza.h"

static struct slice usable(struct slice id)
{
	return id.len && id.len <= RECEIPT_MAX_ID ? id : SLICE_NONE;
}

void receipt_read(struct receipt_seen *ret, const struct xml_node *message)
{
	bool named = usable(stanza_id(message)).len;
	struct receipt_seen r = {0};
	for (const struct xml_node *n = xml_first(message); n; n = xml_next(n)) {
		bool marker = slice_eq(n->ns, XMPP_NS_MARKERS);
		struct slice id = usable(xml_attr(n, S("id")));
		if (!marker && !slice_eq(n->ns, XMPP_NS_RECEIPTS))
			continue;
		if (slice_eq(n->name, S("received"))) {
			if (id.p)
				r.received = id;
		} else if (marker && (slice_eq(n->name, S("displayed")) || slice_eq(n->name, S("acknowledged")))) {
			if (id.p)
				r.displayed = id;
		} else if (marker && slice_eq(n->name, S("markable"))) {
			r.markable = named;
		} else if (!marker && slice_eq(n->name, S("request"))) {
			r.request = named;
		}
	}
	if (r.received.p || r.displayed.p)
		r.request = r.markable = false;
	*ret = r;
}

static void put_empty(struct buf *b, struct slice name, struct slice ns, struct slice id)
{
	buf_putc(b, '<');
	buf_put(b, name);
	buf_put(b, S(" xmlns='"));
	buf_put(b, ns);
	if (id.p) {
		buf_put(b, S("' id='"));
		xml_escape(b, id);
	}
	buf_put(b, S("'/>"));
}

void receipt_put_asks(struct buf *b, bool request, bool markable)
{
	if (request)
		put_empty(b, S("request"), XMPP_NS_RECEIPTS, SLICE_NONE);
	if (markable)
		put_empty(b, S("markable"), XMPP_NS_MARKERS, SLICE_NONE);
}

void receipt_put_answer(struct buf *b, enum receipt_answer what, struct slice from, struct slice to, struct slice own, struct slice id,
			bool chat)
{
	buf_put(b, S("<message from='"));
	xml_escape(b, from);
	buf_put(b, S("' to='"));
	xml_escape(b, to);
	buf_put(b, S("' id='"));
	xml_escape(b, own);
	buf_put(b, chat ? S("' type='chat'>") : S("'>"));
	if (what == RECEIPT_RECEIVED)
		put_empty(b, S("received"), XMPP_NS_RECEIPTS, id);
	else
		put_empty(b, S("displayed"), XMPP_NS_MARKERS, id);
	put_empty(b, S("store"), XMPP_NS_HINTS, SLICE_NONE);
	buf_put(b, S("</message>"));
}
