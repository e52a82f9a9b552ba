/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator: both networks around the server under test, in one process and one thread, so that one clock sees a message
 * leave and arrive. sip_end.c plays the SIP server of the organisation, or of both organisations, xmpp_end.c the XMPP server of the
 * partner; load.c sends at a rate or keeps a window filled, and reports. */
#pragma once
#include "net/conn.h"
#include "net/listener.h"
#include "sip/msg.h"
#include "track.h"

enum { LOAD_BODY_MAX = 8192 };

struct sip_end;
struct xmpp_end;

struct load {
	struct loop *loop;
	struct track track;
	const char *from_domain, *to_domain; /* of the senders, of the recipients */
	const char *const *partners;         /* several partners instead of to_domain: the users are spread over them */
	unsigned n_partners;
	unsigned users;                      /* user i writes to user i */
	size_t body;                         /* octets of a text */
	char run[16];                        /* makes texts, Call-IDs and branches of this run unique */
	struct sip_end *sip, *far_sip; /* far_sip: the other organisation, when that is another server */
	struct xmpp_end *xmpp;
	/* Told by the ends. */
	void (*ready)(struct load *l);       /* the connection that messages leave on is up */
	void (*completed)(struct load *l);   /* one or more messages are complete */
	void (*broken)(struct load *l, const char *what, struct slice why); /* the run is worth nothing */
	bool ending;                         /* connections may end from now on */
	unsigned conns;                      /* open now, kept by the ends */
	uint64_t refusals_shown;
};

/* A text of load->body octets that carries the number. */
struct slice load_text(const struct load *l, uint64_t seq, char dst[LOAD_BODY_MAX]);
/* The number in a text; false when the text is not of this run (a server may deliver what an earlier one left behind). */
bool load_text_seq(const struct load *l, struct slice text, uint64_t *ret);
/* The domain that a message to the partner's user goes to. */
const char *load_partner(const struct load *l, unsigned user);
/* Marks; tells load->completed. */
void load_mark(struct load *l, uint64_t seq, uint8_t bit);
/* A message was refused: counted, and the first ones printed. */
void load_refused(struct load *l, uint64_t seq, struct slice what);

/* Calls; see call.c. A place is where an end is, as its Via and Contact say. */
struct call_place {
	const char *transport; /* "TLS" "TCP" */
	const char *via;       /* "127.0.0.11:5060" */
};
void call_invite(struct buf *b, const struct load *l, const struct call_place *p, unsigned user, uint64_t seq);
/* What the caller says to the 200: ACK, and BYE at once. False: it has no Contact. */
bool call_answered(struct buf *b, const struct load *l, const struct call_place *p, const struct sip_msg *ok, uint64_t seq);
/* What the called one says to the INVITE: 180, and 200 at once. */
void call_accept(struct buf *b, const struct call_place *p, const struct sip_msg *invite);
/* The number of the call; false when it is not of this run. */
bool call_seq(const struct load *l, const struct sip_msg *m, uint64_t *ret);

enum { SIP_END_CONNS = 64 };

struct sip_end_opts {
	bool tls, calls;               /* calls instead of messages */
	unsigned conns;                /* that it sends on, at most SIP_END_CONNS; 0: one */
	struct addr home;              /* our address; requests to us arrive at its port */
	struct addr target;            /* the server under test */
	const char *sni;
	struct tls_ctx *ctx;
	bool send;                     /* connect and send from here */
	uint32_t answer_ms;            /* a MESSAGE that arrives is answered so much later */
};
struct sip_end *sip_end_new(struct load *l, const struct sip_end_opts *o);
/* MESSAGE, or a call, from user `user` to user `user`. */
void sip_end_send(struct sip_end *e, unsigned user, uint64_t seq);
void sip_end_close(struct sip_end *e);
struct sip_end *sip_end_free(struct sip_end *e);

struct xmpp_end_opts {
	struct addr listen, target;
	struct tls_ctx *ctx;
	bool send;
	bool acks; /* XEP-0198 */
};
struct xmpp_end *xmpp_end_new(struct load *l, const struct xmpp_end_opts *o);
void xmpp_end_send(struct xmpp_end *e, unsigned user, uint64_t seq);
void xmpp_end_close(struct xmpp_end *e);
struct xmpp_end *xmpp_end_free(struct xmpp_end *e);

/* Room for everything that may be under way in a run that goes wrong. */
extern const struct conn_limits load_conn_limits;
