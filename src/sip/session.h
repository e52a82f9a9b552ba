/* SPDX-License-Identifier: Apache-2.0 */
/* One session: the usage of a dialog that an INVITE makes and a BYE ends (RFC 3261 13 to 15), with its session timer (RFC 4028),
 * UPDATE (RFC 3311), and the MESSAGE (RFC 3428 6) and INFO requests that travel in it. Mechanical, like sip/subscriber.h and
 * sip/notifier.h: it keeps the dialog, the order and the timers and tells what happened; what is in a description or a message, and
 * whether to begin again, is its owner's affair.
 *
 * Each session comes to exactly one ended(), which is the last callback; with its return the owner's pointer is void. (A BYE or a
 * CANCEL may still be on its way then, and 2xx of other forks may still come: the engine answers them by itself.) What begins:
 *   sip_session_start   we call. progress()*, then established() or ended().
 *   sip_session_take    we are called. Then sip_session_ring, and sip_session_accept or sip_session_refuse; then established() when
 *                       the ACK has come, or ended().
 * Between established() and ended(): offer(), request(), sent(), changed() in any order.
 *
 * A callback may call any function of this header on any session, also sip_session_free on its own. Not thread-safe: one worker.
 * Sessions are freed before their stack; those that nobody holds any more go with it.
 *
 * By itself the engine: acknowledges, ends the losers of a fork (ACK and BYE), repeats what must be repeated, answers glare (491, 500;
 * RFC 3261 14.2) and mends its own (491, 422), answers UPDATE without a body and a re-INVITE with the very description that the peer
 * has given before, keeps the order of CSeq (500), refreshes the session or ends it when it is not refreshed, refuses REFER (603),
 * other methods (405, unknown ones 501, both with Allow), INVITE with Require that is not ours (420), with Replaces (603), and intervals below
 * Min-SE (422). */
#pragma once
#include "sip/dialog.h"
#include "sip/trans.h"

struct sip_session;

enum sip_session_why {
	SIP_SESSION_REFUSED,   /* we called: 3xx to 6xx (status, msg) */
	SIP_SESSION_NO_ANSWER, /* we called: no final answer (408), no way to send (503), a 2xx without Contact (502); all local */
	SIP_SESSION_CANCELLED, /* we are called: the caller cancelled (487), hung up before the answer, or our answer came too late (408) */
	SIP_SESSION_BYE,       /* the peer hung up (msg: its BYE) */
	SIP_SESSION_CLOSED,    /* we did: sip_session_end, _refuse */
	SIP_SESSION_LOST,      /* a request in the dialog was answered 404, 408, 410, 416, 480 to 485, 502 or 604 (RFC 5057), or not at
				* all (408, local); no ACK came (408, local); the session timer ran out (408, local; expired) */
};

struct sip_session_end {
	enum sip_session_why why;
	int status;                /* 0 where there is none */
	struct slice reason;       /* phrase; may be empty */
	int64_t retry_after;       /* seconds, -1 when absent */
	bool local;                /* the status is ours: nobody answered */
	bool was_open;             /* established() had been called */
	bool expired;              /* LOST by the session timer */
	const struct sip_msg *msg; /* the answer or the BYE; NULL without. Valid during the call */
};

/* What became of a MESSAGE or INFO of ours. */
struct sip_session_result {
	int status;                /* final answer; local: 408 no answer, 503 no way; 0: it was never sent */
	bool local;
	/* False: it has not left us, and may be sent another way without being doubled. */
	bool left;
	bool expired;              /* not sent because ttl_ms was over */
	int64_t retry_after;
	const struct sip_msg *msg; /* the final answer, or NULL. Valid during the call */
};

struct sip_session_ops {
	/* We called: a provisional answer, 101 to 199. May be NULL. */
	void (*progress)(void *arg, const struct sip_msg *m);
	/* It is open. We called: `m` is the 2xx (already acknowledged), its body the answer to our offer. We were called: `m` is the
	 * ACK, whose body is the answer where the INVITE had no offer. Call sip_session_end when it is of no use. */
	void (*established)(void *arg, const struct sip_msg *m);
	/* The peer offers anew (re-INVITE, UPDATE); a re-INVITE without body wants an offer of ours. `m` is valid during the call.
	 * Answer with sip_session_answer, now or later: 200 with a description, or 488. NULL: 488. */
	void (*offer)(void *arg, const struct sip_msg *m);
	/* What our last description came to, after established(): the final answer of a sip_session_offer (2xx, or why not: local ones
	 * have m == NULL and status 408 or 503); the ACK that brought the answer to an offer that sip_session_answer made; a 2xx to a
	 * refresh that brought another description than before (status 200). May be NULL. */
	void (*changed)(void *arg, int status, const struct sip_msg *m);
	/* A MESSAGE or INFO of the peer. Takes the arena (and so the message) and gives it back with sip_stack_release; answers `st` by
	 * sip_server_respond, now or later. */
	void (*request)(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
	/* The end of one sip_session_send; once for each, in their order, before ended(). `token` is the sender's. */
	void (*sent)(void *arg, void *token, const struct sip_session_result *r);
	void (*ended)(void *arg, const struct sip_session_end *e);
	/* Before each request within the dialog: the owner may change *flow (the last used one) for the URI of the next hop.
	 * May be NULL. */
	void (*route)(void *arg, struct slice next_hop, struct sip_flow *flow);
};

struct sip_session_config {
	struct slice contact;     /* our Contact value: "<sip:...>" */
	struct slice user_agent;  /* on our requests; empty for none */
	struct slice supported;   /* option tags beside "timer", "ms-sender, ms-text-format": said in Supported, allowed in Require */
	struct slice accept;      /* types of bodies, for Accept of OPTIONS and 415; may be empty */
	const struct sip_extra *headers; /* on INVITE, re-INVITE, UPDATE and on 1xx and 2xx to them, Ms-Conversation-ID; at most SIP_SESSION_HEADERS */
	size_t n_headers;
	uint32_t session_expires; /* seconds that we ask and grant at most (0: 1800; UINT32_MAX: no session timer unless the peer wants one) */
	uint32_t min_se;          /* the least that we accept (0: 90; never below 90, RFC 4028 5) */
	size_t max_queue;         /* requests waiting (0: 32) */
	size_t max_queue_octets;  /* their bodies and headers (0: 256 KiB) */
};
enum { SIP_SESSION_HEADERS = 16 };

/* --- we call --- */
struct sip_session_call {
	struct slice uri;          /* Request-URI */
	struct slice from;         /* From value without tag */
	struct slice to;           /* To value; empty: "<uri>" */
	struct slice call_id;      /* empty: made up */
	struct slice route;        /* Route value (outbound proxy); may be empty */
	struct slice content_type, body; /* our offer; a body is a must */
	const struct sip_extra *headers; /* on this INVITE only */
	size_t n_headers;
	uint32_t ring_ms;          /* without a final answer by then: CANCEL, and ended() with NO_ANSWER 408 (0: 180000) */
};
/* Sends the INVITE over `flow`. All texts are copied. ENTENTE_EINVAL when it cannot be written or has no body, ENTENTE_ELIMIT when the
 * stack is full: then there is no session. */
int sip_session_start(struct sip_session **ret, struct sip_stack *s, const struct sip_flow *flow, const struct sip_session_call *call,
		      const struct sip_session_config *config, const struct sip_session_ops *ops, void *arg);

/* --- we are called --- */
/* Makes a session of the dialog-creating INVITE `m` of `st`; `m` stays the caller's, who has judged it. ENTENTE_EREFUSED when the
 * engine had to refuse it (answered: 400 no Contact, 420, 422, 603 Replaces): then there is no session. */
int sip_session_take(struct sip_session **ret, struct sip_stack *s, struct sip_server_trans *st, const struct sip_msg *m,
		     const struct sip_session_config *config, const struct sip_session_ops *ops, void *arg);
/* A provisional answer (101 to 199; 100 is sent by the stack). 0; ENTENTE_ECLOSED when it is too late. */
int sip_session_ring(struct sip_session *s, int status);
/* 200 with our answer (our offer when the INVITE had none: a body is then a must), and `headers` on this 200 only. It is repeated
 * until the ACK comes; without one the session ends with LOST. 0; ENTENTE_EINVAL: a header cannot be written; ENTENTE_ECLOSED: too
 * late, or no way back (then ended() follows, not from inside). */
int sip_session_accept(struct sip_session *s, struct slice content_type, struct slice body, const struct sip_extra *headers,
		       size_t n_headers);
/* Any final answer from 300 on. ended() follows from inside, CLOSED with this status. */
void sip_session_refuse(struct sip_session *s, int status, struct slice reason, const struct sip_extra *headers, size_t n_headers);

/* --- while it is open --- */
struct sip_session_request {
	enum sip_method method;    /* SIP_MESSAGE or SIP_INFO */
	struct slice content_type, body;
	const struct sip_extra *headers; /* Content-Disposition, ms-... */
	size_t n_headers;
	uint32_t ttl_ms;           /* not sent when it had to wait longer (a typing notice behind texts); 0: no end */
	void *token;               /* comes back with sent(); may be NULL */
};
/* Queues it; one is on its way at a time (RFC 3428 8), the others wait in order. Before established() and while an end is awaited
 * they wait, too (and come back with left == false at an end). Copied. sent() never comes from inside. 0; ENTENTE_ELIMIT: the queue
 * is full; ENTENTE_EINVAL: it cannot be written (a CR in a header), ENTENTE_ECLOSED: after sip_session_end. */
int sip_session_send(struct sip_session *s, const struct sip_session_request *r);
/* Takes the first one with this token back if it has not left yet. True: it is gone, sent() will not come. */
bool sip_session_unsend(struct sip_session *s, const void *token);
/* Requests that wait, without the one on its way. */
size_t sip_session_queued(const struct sip_session *s);
/* Is one on its way? */
bool sip_session_sending(const struct sip_session *s);

/* A new offer of ours; changed() brings what came of it. ENTENTE_EEXIST while another exchange is under way (either side's);
 * ENTENTE_ECLOSED when not open. */
int sip_session_offer(struct sip_session *s, struct slice content_type, struct slice body);
/* The answer to offer(). status 200 with a description, or 300 and more. 0; ENTENTE_ENOTFOUND when none is waiting. */
int sip_session_answer(struct sip_session *s, int status, struct slice content_type, struct slice body);

/* Hangs up. Called, not answered: 480. Calling: CANCEL, and ended() from inside. Open: what is queued is sent first, then BYE, then
 * ended() (from inside when nothing waits); accepted, but no ACK yet: as soon as it comes or cannot come any more (RFC 3261 15).
 * Harmless when it was called before. */
void sip_session_end(struct sip_session *s);
/* The same at once: what is queued comes back unsent, and ended() comes from inside. */
void sip_session_abort(struct sip_session *s);
/* No callback any more; the peer is told (CANCEL, 480, BYE) when `s` is not over. What is on its way or queued is forgotten. Accepts
 * NULL; returns NULL. */
struct sip_session *sip_session_free(struct sip_session *s);

/* --- from one process to the next --- */
/* Appends a text that sip_session_restore understands. False (and `b` may have a part of it): it is not open, or something is under way or
 * waits in it. */
bool sip_session_save(const struct sip_session *s, int64_t now_unix, struct buf *b);
/* As sip_session_free, but the peer is told nothing: somebody else goes on with it. Accepts NULL. */
void sip_session_forget(struct sip_session *s);
/* Goes on with a saved session as if nothing had been: it is open, the CSeq and the session timer go on. Cuts what it has read off *text.
 * ops->route has to find the way: the flow has neither a connection nor an address. ENTENTE_ESYNTAX, ENTENTE_ELIMIT; ENTENTE_ETIMEOUT: the session timer has run out,
 * ENTENTE_EEXIST: there is such a dialog already. */
int sip_session_restore(struct sip_session **ret, struct sip_stack *s, struct slice *text, int64_t now_unix, const struct sip_session_ops *ops,
			void *arg);

/* --- looking --- */
enum sip_session_state {
	SIP_SESSION_CALLING,
	SIP_SESSION_CALLED,
	SIP_SESSION_ACCEPTED, /* our 2xx is out, the ACK is awaited */
	SIP_SESSION_OPEN,
	SIP_SESSION_LEAVING,  /* an end is sure; what is on its way is awaited */
};
enum sip_session_state sip_session_state(const struct sip_session *s);
/* Valid as long as the session, until it changes hands with the peer (target refresh): use at once. call_id and local_tag always;
 * the others are empty before the dialog is there. */
struct slice sip_session_call_id(const struct sip_session *s);
const struct sip_dialog *sip_session_dialog(const struct sip_session *s); /* NULL before the 2xx of our call */
/* Did the peer's Allow name this method (what it sent last)? False when it sent none. */
bool sip_session_allows(const struct sip_session *s, enum sip_method method);
/* Of the session timer: seconds agreed (0: none), and whether we refresh. */
uint32_t sip_session_interval(const struct sip_session *s, bool *ret_ours);
/* Octets that one session occupies, texts and queue included. */
size_t sip_session_memory(const struct sip_session *s);
