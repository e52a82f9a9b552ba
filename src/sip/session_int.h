/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the session share: session.c (life, being called, the end), session_call.c (the INVITE that we send),
 * session_peer.c (requests of the peer), session_offer.c (our re-INVITE and UPDATE, the session timer), session_send.c (MESSAGE and
 * INFO of ours). Not for other users. */
#pragma once
#include "base/list.h"
#include "sip/session.h"

enum {
	SESSION_REQUEST_MAX = 4 << 20,
	SESSION_MIN_SE = 90,      /* RFC 4028 5 */
	SESSION_SE_MAX = 86400,   /* the most that a 422 may make us ask */
	SESSION_MENDS = 2,        /* 422 in a row that are mended */
	SESSION_EARLY_MAX = 4,    /* requests that overtook the 2xx or the ACK */
	SESSION_LOSERS_MAX = 8,
	SESSION_BUSY_MS = 1000,   /* until the stack has room again */
};

/* Our INVITE. It lives until no further 2xx can come, whatever becomes of the session. */
struct session_call {
	struct sip_session *session; /* NULL: answered, or given up: any 2xx is a loser's */
	struct sip_stack *stack;
	struct sip_client_trans *ct;
	struct sip_usage usage;      /* takes nothing: for the end of the stack, and the tag stays known */
	struct sip_flow flow;
	struct slice uri, from, to, route, call_id, tag, content_type, body; /* in `mem`; the last two until it is answered */
	struct sip_extra *headers;   /* the same */
	size_t n_headers;
	uint32_t cseq, expires, min_se;
	bool secure, min_se_said;
	unsigned mends, n_losers;
	uint64_t losers[SESSION_LOSERS_MAX]; /* hashes of their tags */
};

struct session_queued {
	struct list node;
	enum sip_method method;
	void *token;
	uint64_t until; /* 0: no end */
	size_t size;
	struct slice content_type, body;
	size_t n_headers;
	struct sip_extra headers[]; /* texts behind them */
};

/* A request that came before the 2xx of our call, or before the ACK of ours. */
struct session_early {
	struct list node;
	uint64_t id;
	struct sip_msg *m;
	struct arena *a;
	struct sip_flow from;
};

/* What we last told the peer of us, or are about to. One block. */
struct session_description {
	struct slice type, body;
	char mem[];
};

enum session_waits { /* what the watched server transaction is */
	WATCH_NONE,
	WATCH_CALLED, /* the INVITE that we have not answered */
	WATCH_OFFER,  /* a re-INVITE or UPDATE that the owner has not answered */
	WATCH_ACK,    /* an INVITE that we answered 2xx */
};

struct sip_session {
	struct sip_stack *stack;
	const struct sip_session_ops *ops; /* of nobody once the owner is out of it */
	void *arg;
	struct session_call *call; /* while CALLING */
	struct sip_dialog dialog;  /* mem == NULL: none yet */
	struct sip_usage usage;
	struct sip_flow flow;
	char *texts;               /* owned: of the configuration, and its headers */
	struct slice contact, user_agent, supported, accept;
	const struct sip_extra *headers;
	size_t n_headers;
	struct session_description *local, *pending; /* given; our offer under way (NULL: a refresh) */
	struct list queue, early;
	struct sip_client_trans *ct_sent, *ct_offer, *ct_bye;
	void *token;               /* of ct_sent */
	uint64_t watched;          /* id of the server transaction, see `watch` */
	uint64_t remote_hash, offer_hash; /* of the peer's description; of the offer that waits for its answer */
	uint64_t expires_at;       /* ms; 0: no session timer */
	uint64_t offer_from;       /* ms: no offer of ours before */
	struct timer t_life;       /* ring, refresh, expiry, by state */
	struct timer t_retry;      /* pumps */
	size_t queued, queued_octets, max_queue, max_octets;
	uint32_t interval, asked, min_se, allows; /* of the session timer; bits of enum sip_method */
	uint32_t next_interval;    /* with next_ours: what holds once we have answered 2xx */
	uint32_t ack_cseq;
	int end_status;
	int64_t end_retry_after;
	unsigned busy;             /* callbacks and engine functions that run on it */
	uint8_t state, watch, end_why, mends;
	bool over;                 /* ended() was called, or nobody listens: what is left is to be polite */
	bool dead, was_open, ending, held, bye_owed;
	bool caller;               /* we made the Call-ID: RFC 3261 14.1 */
	bool timer_wanted, refresh_ours, next_ours, refresh_due, no_update;
	bool offer_update, offer_seen, offer_owner; /* ct_offer: UPDATE; the peer has seen it; it carries `pending` */
	bool ack_answers;          /* the ACK brings the answer to our offer */
	bool offer_bare;           /* the re-INVITE that waits has no offer */
	bool end_local, end_expired;
};

/* session.c */
#define SESSION_ALLOW S("INVITE, ACK, CANCEL, BYE, MESSAGE, INFO, UPDATE, OPTIONS")
extern const struct sip_session_ops session_nobody;
/* Around everything that may call back; session_leave may free it. */
static inline void session_enter(struct sip_session *s)
{
	s->busy++;
}
void session_leave(struct sip_session *s);
struct sip_session *session_new(struct sip_stack *stack, const struct sip_session_config *c, const struct sip_session_ops *ops, void *arg);
/* Takes it apart; the memory goes when nothing runs on it. */
void session_destroy(struct sip_session *s);
static inline struct timers *session_timers(const struct sip_session *s)
{
	return sip_stack_timers(s->stack);
}
/* It is over, for this reason; ended() comes now, or after the request that is on its way. */
void session_over(struct sip_session *s, enum sip_session_why why, int status, bool local, const struct sip_msg *m);
/* As session_over with LOST; says BYE unless the peer said 481. */
void session_lost(struct sip_session *s, int status, bool local, const struct sip_msg *m);
/* What session_over began. */
void session_finish(struct sip_session *s, const struct sip_msg *m);
/* RFC 5057: does this answer end the session? */
bool session_fatal(int status);
void session_watch(struct sip_session *s, struct sip_server_trans *st, enum session_waits what);
void session_unwatch(struct sip_session *s);
void session_describe(struct session_description **d, struct slice type, struct slice body);
/* Contact, Allow, Supported and the owner's headers into a request that offers; Contact is there in all of them. */
void session_write_offer_headers(const struct sip_session *s, struct buf *b);
/* The same for a 2xx (200) or 1xx: at most SESSION_ANSWER_HEADERS. `timer` holds the text of Session-Expires. */
enum { SESSION_ANSWER_HEADERS = 6 + 2 * SIP_SESSION_HEADERS };
size_t session_answer_headers(const struct sip_session *s, struct sip_extra *e, int status, char timer[40]);
void session_refuse(struct sip_server_trans *st, int status, struct slice name, struct slice value);
/* Remembers what the peer's message says of methods. */
void session_note_allow(struct sip_session *s, const struct sip_msg *m);
void session_bye(struct sip_session *s);
/* Begins a request within the dialog, and sends it. The client transaction is in *ret. */
void session_request_begin(struct sip_session *s, struct buf *b, enum sip_method method);
int session_request_send(struct sip_session *s, struct buf *b, const struct sip_client_handler *h, struct sip_client_trans **ret);
/* ACK of a 2xx of ours. */
void session_ack(struct sip_session *s, struct sip_client_trans *ct, uint32_t cseq);
void session_flow_seen(struct sip_session *s, const struct sip_flow *from);

/* session_call.c */
void session_call_forget(struct session_call *c);
void session_call_cancel(struct session_call *c);

/* session_peer.c */
bool session_on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
/* Now those that came too early; or, when it is over, 481. */
void session_early_run(struct sip_session *s);
/* 420 sent when a Require names what we do not know. */
bool session_unknown_required(const struct sip_session *s, struct sip_server_trans *st, const struct sip_msg *m);

/* session_offer.c */
bool session_peer_expires(const struct sip_msg *m, uint32_t *ret, struct slice *ret_refresher);
bool session_peer_min_se(const struct sip_msg *m, uint32_t *ret);
/* The interval that a request asks for is below ours and its sender can do better: 422 was sent. */
bool session_too_brief(const struct sip_session *s, struct sip_server_trans *st, const struct sip_msg *m);
/* The session timer: what the peer's request makes of it, should we answer 2xx; session_timer_adopt then makes it so. */
void session_timer_by_request(struct sip_session *s, const struct sip_msg *m);
void session_timer_adopt(struct sip_session *s);
/* By the peer's 2xx to ours; starts it. */
void session_timer_by_answer(struct sip_session *s, const struct sip_msg *m);
void session_timer_start(struct sip_session *s);
void session_fire_life(struct timer *t, uint64_t now);
/* Sends the offer or the refresh that is due, when it may. */
void session_offer_pump(struct sip_session *s);

/* session_send.c */
/* Goes on with whatever may be sent or ended now. */
void session_pump(struct sip_session *s);
void session_fire_retry(struct timer *t, uint64_t now);
/* All that wait come back unsent. */
void session_queue_return(struct sip_session *s);
void session_queue_free(struct sip_session *s);
/* The one on its way is not waited for any more. */
void session_sent_unknown(struct sip_session *s);
