/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a run: INVITE with an offer, 180, 200 with an answer, ACK, BYE, 200. Neither end remembers anything about a call: all that
 * a request in the dialog needs is in the 200 (RFC 3261 12.1.2), and the number of the call is in Call-ID. */
#include "load.h"
#include "sip/build.h"

enum { ROUTES_MAX = 8 };

static const char sdp[] = "v=0\r\n"
			  "o=- 3909217251 3909217251 IN IP4 192.0.2.7\r\n"
			  "s=call\r\n"
			  "c=IN IP4 192.0.2.7\r\n"
			  "t=0 0\r\n"
			  "m=audio 49170 RTP/AVP 8 0 101\r\n"
			  "a=rtpmap:8 PCMA/8000\r\n"
			  "a=rtpmap:0 PCMU/8000\r\n"
			  "a=rtpmap:101 telephone-event/8000\r\n"
			  "a=fmtp:101 0-15\r\n"
			  "a=ptime:20\r\n"
			  "a=sendrecv\r\n";

bool call_seq(const struct load *l, const struct sip_msg *m, uint64_t *ret)
{
	struct slice id = m->call_id;
	struct slice rest = slice_split(&id, '@');
	return slice_eq(slice_split(&rest, '-'), slice_str(l->run)) && slice_u64(rest, UINT64_MAX, ret);
}

void call_invite(struct buf *b, const struct load *l, const struct call_place *p, unsigned user, uint64_t seq)
{
	unsigned long long id = seq;
	const char *to = load_partner(l, user);
	buf_printf(b,
		   "INVITE sip:juliet%u@%s SIP/2.0\r\n"
		   "Via: SIP/2.0/%s %s;branch=z9hG4bK.%s.%llu\r\n"
		   "Via: SIP/2.0/UDP 192.0.2.7:5060;received=192.0.2.7;rport=5060;branch=z9hG4bK-d8754z-%s%llu\r\n"
		   "Max-Forwards: 69\r\n"
		   "From: \"Romeo %u\" <sip:romeo%u@%s>;tag=f%llu\r\n"
		   "To: <sip:juliet%u@%s>\r\n"
		   "Call-ID: %s-%llu@192.0.2.7\r\n"
		   "CSeq: 1 INVITE\r\n"
		   "Contact: <sip:romeo%u@%s;transport=%s>\r\n"
		   "User-Agent: Softphone 5.1.0 (belle-sip)\r\n"
		   "Supported: replaces, outbound, gruu\r\n"
		   "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY\r\n"
		   "Content-Type: application/sdp\r\n"
		   "Content-Length: %zu\r\n\r\n%s",
		   user, to, p->transport, p->via, l->run, id, l->run, id, user, user, l->from_domain, id, user, to, l->run, id, user, p->via,
		   p->transport, sizeof sdp - 1, sdp);
}

/* A request in the dialog that the 200 made: its Contact, its Record-Routes from the last to the first (RFC 3261 12.1.2). */
static void within(struct buf *b, const struct load *l, const struct call_place *p, const struct sip_msg *ok, const char *method, unsigned cseq,
		   uint64_t seq, const struct slice *routes, size_t n, struct slice target)
{
	buf_printf(b, "%s %.*s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK-%c.%s.%llu\r\n", method, SFMT(target), p->transport, p->via, *method, l->run,
		   (unsigned long long)seq);
	for (size_t i = n; i; i--)
		buf_printf(b, "Route: %.*s\r\n", SFMT(routes[i - 1]));
	buf_printf(b, "Max-Forwards: 69\r\nFrom: %.*s\r\nTo: %.*s\r\nCall-ID: %.*s\r\nCSeq: %u %s\r\nContent-Length: 0\r\n\r\n", SFMT(ok->from.raw),
		   SFMT(ok->to.raw), SFMT(ok->call_id), cseq, method);
}

bool call_answered(struct buf *b, const struct load *l, const struct call_place *p, const struct sip_msg *ok, uint64_t seq)
{
	struct slice routes[ROUTES_MAX], value;
	struct sip_values it = {0};
	struct sip_addr contact;
	size_t n = 0;
	while (n < ROUTES_MAX && sip_msg_next_value(ok, SIP_H_RECORD_ROUTE, &it, &value))
		routes[n++] = value;
	it = (struct sip_values){0};
	if (!sip_msg_next_value(ok, SIP_H_CONTACT, &it, &value) || sip_addr_parse(value, &contact))
		return false;
	within(b, l, p, ok, "ACK", 1, seq, routes, n, contact.uri_text);
	within(b, l, p, ok, "BYE", 2, seq, routes, n, contact.uri_text);
	return true;
}

void call_accept(struct buf *b, const struct call_place *p, const struct sip_msg *invite)
{
	for (int status = 180; status; status = status == 180 ? 200 : 0) {
		sip_build_response(b, invite, status, SLICE_NONE, S("callee"), true, SLICE_NONE, 0);
		sip_build_header_fmt(b, SIP_H_CONTACT, "<sip:%.*s@%s;transport=%s>", SFMT(invite->uri.user), p->via, p->transport);
		sip_build_body(b, status == 200 ? S("application/sdp") : SLICE_NONE, status == 200 ? slice_of(sdp, sizeof sdp - 1) : SLICE_NONE);
	}
}
