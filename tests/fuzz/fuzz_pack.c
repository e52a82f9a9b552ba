/* SPDX-License-Identifier: Apache-2.0 */
/* What we write of a message is what a reader finds. The first octet chooses the carrier (bits: CPIM, markup, a small limit); then lines: subject,
 * language, name, id of the message; the rest is the text, of which everything behind a line "%" is the markup. */
#include "interwork/im.h"
#include "interwork/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                       \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

static void check_part(struct slice entity, struct slice type, struct slice body)
{
	struct mime_part part;
	mime_part_read(&part, entity);
	CHECK(slice_eq(part.type, type) && slice_eq(part.body, body));
}

static void check_body(struct arena *a, struct slice type, struct slice body, const struct interwork_im_page *page, bool both)
{
	struct slice boundary, rest = body, entity;
	bool started = false;
	if (!both) {
		CHECK(slice_eq(type, page->content_type) && slice_eq(body, page->body));
		return;
	}
	CHECK(mime_param(type, S("boundary"), a, &boundary));
	CHECK(mime_next_part(&rest, &started, boundary, &entity));
	check_part(entity, page->content_type, page->body);
	CHECK(mime_next_part(&rest, &started, boundary, &entity));
	check_part(entity, S("text/html;charset=UTF-8"), page->html);
	CHECK(!mime_next_part(&rest, &started, boundary, &entity));
}

/* The other end: what it was written for says the same, and our own reader takes it for this text. */
static void check_xmpp(struct arena *a, struct slice type, struct slice body)
{
	struct xmpp_jid from, to;
	struct xml_node *n;
	struct buf b;
	CHECK(xmpp_jid_parse(&from, a, S("romeo@example.net")) == 0 && xmpp_jid_parse(&to, a, S("juliet@x.example")) == 0);
	struct interwork_im_in in = {.content = {.type = type, .body = body, .max_forwards = -1}, .from = &from, .to = &to, .now = 1290000000};
	buf_init(&b, 1 << 20);
	struct interwork_im_verdict v = interwork_im_to_xmpp(&b, a, &in, &interwork_im_rules_default, NULL);
	CHECK(v.reason != REASON_CONTENT_IDENTITY && v.reason != REASON_CONTENT_MALFORMED);
	CHECK(v.action != INTERWORK_IM_PASS || xml_parse(&n, a, buf_slice(&b), &xml_limits_default, NULL) == 0);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice rest = slice_of((const char *)data, size), type, body;
	struct cpim back;
	if (size == 0 || size > 32768)
		return 0;
	if (!a)
		a = arena_new(8 << 20);
	arena_reset(a);
	unsigned how = data[0];
	rest = slice_skip(rest, 1);
	struct slice subject = slice_split(&rest, '\n'), lang = slice_split(&rest, '\n'), name = slice_split(&rest, '\n'), id = slice_split(&rest, '\n');
	struct interwork_im_page page = {.content_type = S("text/plain;charset=UTF-8"), .body = rest};
	ptrdiff_t at = slice_find(rest, S("\n%\n"));
	if (at >= 0) {
		page.body = slice_first(rest, (size_t)at);
		page.html = slice_skip(rest, (size_t)at + 3);
	}
	if (!page.body.p || !page.body.len)
		return 0;
	struct cpim_headers h = {.from = S("sip:romeo@example.net"), .to = S("sip:juliet@x.example"), .from_name = name, .subject = subject,
				 .subject_lang = interwork_lang(lang), .imdn_id = id, .imdn_wanted = id.len ? S("positive-delivery") : SLICE_NONE};
	struct interwork_im_carrier carrier = {.accept = how & 2 ? S("text/plain text/html multipart/alternative message/cpim") : S("text/plain message/cpim"),
					       .cpim = how & 1 ? &h : NULL, .max = how & 4 ? 300 : 0};
	struct interwork_im_verdict v = interwork_im_pack(&type, &body, a, &page, &carrier);
	if (v.action != INTERWORK_IM_PASS) {
		CHECK(v.reason == REASON_CONTENT_TOO_LARGE && !body.p && !type.p);
		return 0;
	}
	CHECK(!carrier.max || body.len <= carrier.max);
	check_xmpp(a, type, body);
	if (how & 1) {
		CHECK(cpim_read(&back, a, body) == 0 && !back.several_from && !back.requires);
		CHECK(slice_eq(back.from, h.from) && slice_eq(back.to, h.to));
		CHECK(!id.len || slice_eq(back.imdn_wanted, h.imdn_wanted));
		type = back.content.type;
		body = back.content.body;
	}
	check_body(a, type, body, &page, (how & 2) && page.html.len);
	return 0;
}
