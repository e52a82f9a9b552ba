/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that are no text. The first octet chooses type and encoding, the rest is the body. What was read is written and read again; and
 * stanzas: receipts, markers, chat states. */
#include "interwork/chatstate.h"
#include "interwork/inflate.h"
#include "interwork/iscomposing.h"
#include "interwork/receipt.h"
#include "interwork/signal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                 \
	do {                        \
		if (!(cond))        \
			__builtin_trap(); \
	} while (0)

static void check_notice(struct arena *a, struct buf *b, const struct imdn *n)
{
	struct imdn again;
	CHECK(n->message_id.len && n->message_id.len <= IMDN_MAX_ID && n->datetime.len <= IMDN_MAX_TIME && n->recipient.len <= IMDN_MAX_URI);
	buf_clear(b);
	imdn_write(b, n);
	CHECK(buf_ok(b) && imdn_read(&again, a, buf_slice(b), NULL) == 0);
	CHECK(again.kind == n->kind && again.status == n->status);
	CHECK(slice_eq(again.message_id, n->message_id) && slice_eq(again.datetime, n->datetime) && slice_eq(again.recipient, n->recipient));
}

static void check_request(struct arena *a, struct buf *b, const struct imdn_request *r)
{
	struct cpim_headers h = {.from = S("sip:a@b"), .to = S("sip:c@d"), .date = r->datetime, .imdn_id = r->message_id, .imdn_wanted = imdn_wanted(r->asks)};
	struct imdn_request again;
	struct cpim c;
	CHECK(!r->asks || r->message_id.len);
	if (!r->message_id.len)
		return;
	buf_clear(b);
	cpim_write(b, &h, S("text/plain"), S("x"));
	CHECK(buf_ok(b) && cpim_read(&c, a, buf_slice(b)) == 0);
	imdn_request_of(&again, &c);
	CHECK(again.asks == r->asks && slice_eq(again.datetime, r->datetime)); /* the id is escaped */
}

static void stanza(struct arena *a, struct buf *b, struct slice doc)
{
	struct receipt_seen r, again;
	struct xml_node *n;
	if (xml_parse(&n, a, doc, &xml_limits_default, NULL))
		return;
	receipt_read(&r, n);
	CHECK(!(r.received.p || r.displayed.p) || !(r.request || r.markable));
	enum chatstate s = chatstate_of(n);
	buf_clear(b);
	buf_puts(b, "<message>");
	chatstate_put(b, s);
	buf_puts(b, "</message>");
	CHECK(xml_parse(&n, a, buf_slice(b), &xml_limits_default, NULL) == 0 && chatstate_of(n) == s);
	if (!r.displayed.p)
		return;
	buf_clear(b);
	receipt_put_answer(b, RECEIPT_DISPLAYED, S("a@b"), S("c@d"), S("own"), r.displayed, true);
	CHECK(xml_parse(&n, a, buf_slice(b), &xml_limits_default, NULL) == 0);
	receipt_read(&again, n);
	CHECK(slice_eq(again.displayed, r.displayed) && !again.received.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"message/imdn+xml", "application/im-iscomposing+xml", "application/xml", "message/cpim",
					    "multipart/mixed;boundary=b", "application/ms-imdn+xml", "text/x-msmsgscontrol", "text/plain"};
	static const char *const encodings[] = {"", "deflate", "gzip", "deflate, gzip"};
	static struct arena *a;
	struct entente_err err = {0};
	struct xmpp_jid from;
	struct signal s;
	struct buf b;
	if (size == 0 || size > 32768)
		return 0;
	if (!a)
		a = arena_new(16 << 20);
	arena_reset(a);
	buf_init(&b, 1 << 20);
	CHECK(xmpp_jid_parse(&from, a, S("romeo@example.net")) == 0);
	struct slice body = slice_of((const char *)data + 1, size - 1);
	struct signal_body in = {.type = slice_str(types[data[0] & 7]), .encoding = slice_str(encodings[data[0] >> 3 & 3]), .body = body, .from = &from};
	int r = signal_read(&s, a, &in, &err);
	CHECK(r <= 0 && s.n <= SIGNAL_MAX_NOTICES && (r == 0 || err.reason));
	CHECK(s.kind == SIGNAL_NONE || s.request.asks == 0 || r);
	if (r == 0 && s.kind == SIGNAL_TYPING && s.typing)
		CHECK(s.holds && s.holds <= ISCOMPOSING_MAX);
	for (size_t i = 0; i < s.n && s.kind == SIGNAL_IMDN; i++)
		check_notice(a, &b, &s.notices[i]);
	check_request(a, &b, &s.request);
	stanza(a, &b, body);
	buf_free(&b);
	return 0;
}
