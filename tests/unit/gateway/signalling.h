/* SPDX-License-Identifier: Apache-2.0 */
/* Two users who know each other, in page mode and in a session of Lync's dialect: what test_signals.c and test_receipts.c share. */
#pragma once
#include "house.h"

#include <stdio.h>
#include <zlib.h>
#include "base/metric.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define STATES "http://jabber.org/protocol/chatstates"
#define R "xmlns='urn:xmpp:receipts'"
#define M "xmlns='urn:xmpp:chat-markers:0'"
#define COMPOSING "application/im-iscomposing+xml"
#define ACTIVE "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state><refresh>60</refresh></isComposing>"
#define IDLE "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>idle</state></isComposing>"

static inline int setup(void **state)
{
	*state = house_new();
	return 0;
}

static inline int teardown(void **state)
{
	house_free(*state);
	return 0;
}

/* ---- the two users */

static int serial;

/* Any body from the SIP user. */
static inline void home_body(struct house *h, const char *from, const char *type, const char *more, struct slice body)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	serial++;
	buf_printf(&b,
		   "MESSAGE sip:" JULIET " SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKs%d\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=1\r\n"
		   "To: <sip:" JULIET ">\r\nCall-ID: s%d\r\nCSeq: 1 MESSAGE\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
		   serial, from, serial, type, more, body.len);
	buf_put(&b, body);
	house_sip_in(h, buf_slice(&b));
	buf_free(&b);
}

static inline void romeo(struct house *h, const char *type, const char *body)
{
	home_body(h, ROMEO, type, "", slice_str(body));
}

static inline void juliet(struct house *h, const char *attributes, const char *inner)
{
	partner_says(h, "fabrikam.test", "<message from='" JULIET "/balcony' to='" ROMEO "' %s>%s</message>", attributes, inner);
}

static inline void juliet_state(struct house *h, const char *state)
{
	char inner[128];
	snprintf(inner, sizeof inner, "<%s xmlns='" STATES "'/>", state);
	juliet(h, "type='chat'", inner);
}

/* They have talked: both know each other, and nothing waits. */
static inline void acquainted(struct house *h)
{
	home_message(h, ROMEO, JULIET, "hello");
	house_pass(h, 1000);
	juliet(h, "type='chat' id='first'", "<body>hi</body><active xmlns='" STATES "'/>");
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
}

/* Has the last stanza this text? */
static inline bool stanza_has(struct house *h, const char *text)
{
	return h->stanza && strstr(h->stanza, text);
}

static inline bool sip_has(struct house *h, const char *text)
{
	return house_sip_has(h, "MESSAGE", 0, text);
}

#define NOTHING(h) expect(h, "")
#define SAYS_STATE(h, state)                                             \
	do {                                                             \
		expect(h, "X message " ROMEO ">" JULIET);                \
		assert_true(stanza_has(h, "<" state " xmlns='" STATES)); \
	} while (0)


/* ---- in a session of the Lync dialect */

#define IM "v=0\r\no=- 0 0 IN IP4 192.0.2.7\r\ns=session\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=message 5060 sip null\r\na=accept-types:text/plain\r\n"
#define TYPES "<KeyboardActivity><status status='type'/></KeyboardActivity>"

/* Juliet opens it; her client speaks of chat states. */
static inline void in_session(struct house *h)
{
	struct arena *a;
	h->dialect = GATEWAY_DIALECT_LYNC;
	house_contact(h, S(ROMEO), S(JULIET));
	juliet(h, "type='chat' id='first'", "<body>hi</body><active xmlns='" STATES "'/>");
	struct sip_msg *m = house_sip(h, &a, "INVITE", 0);
	home_says(h, "SIP/2.0 200 OK\nVia: %.*s\nFrom: %.*s\nTo: <sip:" ROMEO ">;tag=hometag\nCall-ID: %.*s\nCSeq: %u INVITE\nContact: <sip:192.0.2.1:5060;transport=tcp>\n"
		  "Content-Type: application/sdp\n\n" IM, SFMT(sip_msg_header(m, SIP_H_VIA, 0)->value), SFMT(sip_msg_header(m, SIP_H_FROM, 0)->value), SFMT(m->call_id), m->cseq);
	arena_release(NULL, a);
	home_answers(h, "MESSAGE", 0, 200, "");
	buf_clear(&h->log);
}

static inline void romeo_in_session(struct house *h, const char *method, unsigned cseq, const char *type, const char *body)
{
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, "INVITE", 0);
	home_says(h, "%s sip:juliet@gw.contoso.test:5060;transport=tcp SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKd%d\nMax-Forwards: 70\nFrom: <sip:" ROMEO
		  ">;tag=hometag\nTo: <sip:" JULIET ">;tag=%.*s\nCall-ID: %.*s\nCSeq: %u %s\nContent-Type: %s\n\n%s",
		  method, ++h->branch, SFMT(m->from.tag), SFMT(m->call_id), cseq, method, type, body);
	arena_release(NULL, a);
}
