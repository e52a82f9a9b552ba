/* SPDX-License-Identifier: Apache-2.0 */
/* A home whose clients have sessions, and what is said in them: what test_session.c and test_session_kept.c share. */
#pragma once
#include "house.h"

#include <stdio.h>
#include "gateway/session.h"
#include "sip/dialog.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define CALLED "S INVITE sip:" ROMEO " m=message 5060 sip null"
#define TYPES "text/plain text/html application/im-iscomposing+xml"
#define SDP_OF(m) "v=0\r\no=- 0 0 IN IP4 192.0.2.7\r\ns=session\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n" m
#define IM SDP_OF("m=message 5060 sip null\r\na=accept-types:" TYPES "\r\n")
#define TEXT "Content-Type: text/plain; charset=UTF-8\n"
#define OFFER "Content-Type: application/sdp\n"

static inline int setup(void **state)
{
	struct house *h = *state = house_new();
	h->dialect = GATEWAY_DIALECT_LYNC;
	return 0;
}

static inline int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static inline void dialect(struct house *h, enum gateway_dialect d)
{
	h->dialect = d;
}

/* ---- the home in a dialog */

/* Opens one. */
static inline void invites(struct house *h, const char *call_id, const char *more, const char *body)
{
	home_says(h,
		  "INVITE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi%d\nMax-Forwards: 70\n"
		  "From: <sip:" ROMEO ">;tag=ft;epid=0102aabbcc\nTo: <sip:" JULIET ">\nCall-ID: %s\nCSeq: 1 INVITE\n"
		  "Contact: <sip:" ROMEO ";opaque=user:epid:xyz;gruu>\n%s%s\n%s",
		  ++h->branch, call_id, more, body ? OFFER : "", body ? body : "");
}

/* A request in the dialog that it has opened. */
static inline void in_theirs(struct house *h, const char *call_id, const char *method, unsigned cseq, const char *more, const char *body)
{
	home_says(h,
		  "%s sip:juliet@gw.contoso.test:5060;transport=tcp SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi%d\nMax-Forwards: 70\n"
		  "From: <sip:" ROMEO ">;tag=ft;epid=0102aabbcc\nTo: <sip:" JULIET ">;tag=%s\nCall-ID: %s\nCSeq: %u %s\n%s\n%s",
		  method, ++h->branch, house_tag(h, call_id), call_id, cseq, method, more, body);
}

/* In the one that our last INVITE has opened. */
static inline void in_ours(struct house *h, const char *method, unsigned cseq, const char *more, const char *body)
{
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, "INVITE", 0);
	home_says(h,
		  "%s sip:juliet@gw.contoso.test:5060;transport=tcp SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKi%d\nMax-Forwards: 70\n"
		  "From: <sip:" ROMEO ">;tag=hometag\nTo: <sip:" JULIET ">;tag=%.*s\nCall-ID: %.*s\nCSeq: %u %s\n%s\n%s",
		  method, ++h->branch, SFMT(m->from.tag), SFMT(m->call_id), cseq, method, more, body);
	arena_release(NULL, a);
}

/* Answers our last request of this method with a description. */
static inline void answers_sdp(struct house *h, const char *method, const char *more, const char *body)
{
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, method, 0);
	struct buf b;
	buf_init(&b, 1 << 16);
	buf_printf(&b, "SIP/2.0 200 OK\nVia: %.*s\nFrom: %.*s\nTo: <sip:" ROMEO ">;tag=hometag\nCall-ID: %.*s\nCSeq: %.*s\n",
		   SFMT(sip_msg_header(m, SIP_H_VIA, 0)->value), SFMT(sip_msg_header(m, SIP_H_FROM, 0)->value), SFMT(m->call_id),
		   SFMT(sip_msg_header(m, SIP_H_CSEQ, 0)->value));
	home_says(h, "%.*sContact: <sip:192.0.2.1:5060;transport=tcp>\n%s" OFFER "\n%s", SFMT(buf_slice(&b)), more, body);
	buf_free(&b);
	arena_release(NULL, a);
}

/* A session that juliet has opened with a text, which is delivered. */
static inline void open_ours(struct house *h)
{
	partner_message(h, JULIET "/balcony", ROMEO, "hello");
	expect(h, CALLED);
	answers_sdp(h, "INVITE", "", IM);
	expect(h, "S ACK sip:192.0.2.1:5060;transport=tcp; S MESSAGE sip:192.0.2.1:5060;transport=tcp 'hello'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "");
}

static inline void open_theirs(struct house *h, const char *call_id)
{
	invites(h, call_id, "", IM);
	in_theirs(h, call_id, "ACK", 1, "", "");
	buf_clear(&h->log);
}

static inline void shown(void *arg, const struct gateway_conversation_facts *f)
{
	buf_printf(arg, "%s %s %s %.*s|", f->carrier, f->state, f->dialect, SFMT(f->resource));
}

#define shows(h, want) shows_(h, want, __LINE__)
static inline void shows_(struct house *h, const char *want, int line)
{
	struct buf b;
	buf_init(&b, 4096);
	gateway_each_conversation(h->gateway, shown, &b);
	if (!slice_eq(buf_slice(&b), slice_str(want)))
		fail_msg("line %d: is %.*s, wanted %s", line, SFMT(buf_slice(&b)), want);
	buf_free(&b);
}
