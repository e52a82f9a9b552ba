/* SPDX-License-Identifier: Apache-2.0 */
/* Page-mode IM. The first octet chooses: a whole SIP message, only a body with its Content-Type on the first line, or an XMPP
 * stanza. What passes must be one well-formed stanza, or a MESSAGE that our own parser reads back. */
#include "interwork/im.h"
#include "sip/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void to_xmpp(struct arena *a, struct slice raw)
{
	struct sip_msg *m;
	struct sip_fault fault;
	struct xmpp_jid from, to;
	struct xml_node *n;
	struct buf b;

	if (sip_msg_parse(&m, a, raw, &sip_limits_default, &fault) != 0 || !m->is_request)
		return;
	if (xmpp_jid_parse(&from, a, S("romeo@example.net/orchard")) != 0 || xmpp_jid_parse(&to, a, S("juliet@x.example")) != 0)
		__builtin_trap();
	struct interwork_im_in in = {.content = interwork_im_content_of(m), .from = &from, .to = &to, .now = 1290000000};
	buf_init(&b, 1 << 20);
	struct interwork_im_verdict v = interwork_im_to_xmpp(&b, a, &in, &interwork_im_rules_default, NULL);
	if (!buf_ok(&b) || (v.action != INTERWORK_IM_PASS && b.len) ||
	    (v.action == INTERWORK_IM_REFUSE && v.reason == REASON_NONE))
		__builtin_trap();
	if (v.action == INTERWORK_IM_PASS &&
	    (xml_parse(&n, a, buf_slice(&b), &xml_limits_default, NULL) != 0 || !slice_eq(n->name, S("message"))))
		__builtin_trap();
	buf_free(&b);
}

static void to_sip(struct arena *a, struct slice doc)
{
	struct interwork_im_out out = {0};
	struct interwork_im_page page;
	struct xml_node *n;
	struct sip_msg *m;
	struct sip_fault fault;
	struct buf b;

	if (xml_parse(&n, a, doc, &xml_limits_default, NULL) != 0)
		return;
	out.stanza = n;
	if (interwork_im_to_sip(&page, a, &out, &interwork_im_rules_default).action != INTERWORK_IM_PASS)
		return;
	buf_init(&b, 1 << 20);
	sip_build_request(&b, S("MESSAGE"), S("sip:romeo@example.net"));
	sip_build_header(&b, SIP_H_VIA, S("SIP/2.0/TLS gw.example;branch=z9hG4bK1"));
	sip_build_header(&b, SIP_H_FROM, S("<sip:juliet@x.example>;tag=1"));
	sip_build_header(&b, SIP_H_TO, S("<sip:romeo@example.net>"));
	sip_build_header(&b, SIP_H_CALL_ID, S("c"));
	sip_build_header(&b, SIP_H_CSEQ, S("1 MESSAGE"));
	if (page.subject.len)
		sip_build_header(&b, SIP_H_SUBJECT, page.subject);
	if (page.language.len)
		sip_build_header(&b, SIP_H_CONTENT_LANGUAGE, page.language);
	if (page.date.len)
		sip_build_header(&b, SIP_H_DATE, page.date);
	sip_build_body(&b, page.content_type, page.body);
	if (!buf_ok(&b) || sip_msg_parse(&m, a, buf_slice(&b), &sip_limits_default, &fault) != 0 || m->body.len != page.body.len)
		__builtin_trap();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice rest = slice_of((const char *)data, size), type;
	if (size == 0 || size > 32768)
		return 0;
	if (!a)
		a = arena_new(8 << 20);
	arena_reset(a);
	rest = slice_skip(rest, 1);
	switch (data[0]) {
	case 's':
		to_xmpp(a, rest);
		break;
	case 'x':
		to_sip(a, rest);
		break;
	case 'b':
		type = slice_split(&rest, '\n');
		struct slice head = arena_printf(
			a,
			"MESSAGE sip:juliet@x.example SIP/2.0\r\nVia: SIP/2.0/TLS h.example;branch=z9hG4bK77\r\nMax-Forwards: "
			"70\r\n"
			"From: <sip:romeo@example.net>;tag=1\r\nTo: <sip:juliet@x.example>\r\nCall-ID: c\r\nCSeq: 7 MESSAGE\r\n"
			"Content-Type: %.*s\r\nContent-Length: %zu\r\n\r\n",
			SFMT(type), rest.len);
		char *p = arena_bytes(a, head.len + rest.len);
		if (!p)
			break;
		memcpy(p, head.p, head.len);
		memcpy(p + head.len, rest.p ? rest.p : "", rest.len);
		to_xmpp(a, slice_of(p, head.len + rest.len));
		break;
	}
	return 0;
}
