/* SPDX-License-Identifier: Apache-2.0 */
/* The SIP transaction layer (RFC 3261 17, 18.1-2; RFC 6026; RFC 4320; RFC 3581) and the routing of in-dialog requests
 * to dialog usages. Sans-I/O: parsed messages and time come in by calls, bytes go out through ops->send, timers run on
 * a `struct timers` of the owner.
 *
 * One struct sip_stack per worker; nothing here is thread-safe. A callback may call any function of this header but
 * sip_stack_free; ops->send may call none: it hands octets on, no more.
 *
 * A message's way: the owner frames and parses it into an arena and calls sip_stack_input. A response finds its client
 * transaction by branch and method. A request finds its server transaction (a retransmission is answered from memory),
 * or makes one; with a To tag that a dialog usage has registered it goes to that usage, everything else goes to
 * ops->request. Retransmission happens over UDP only. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/timer.h"
#include "sip/build.h"
#include "sip/flow.h"
#include "sip/msg.h"

struct sip_stack;
struct sip_server_trans;
struct sip_client_trans;

struct sip_stack_ops {
	/* Sends one whole message, or queues it while a connection is being opened; copies what it keeps. 0, or
	 * negative when nothing can be sent (no such connection and none can be opened): the stack then treats the flow
	 * as failed. A failure that shows later is told by sip_stack_transport_failed. `to->conn` may be 0 or stale;
	 * address, transport and target say where to connect then. */
	int (*send)(void *arg, const struct sip_flow *to, struct slice bytes);
	/* A new request that no dialog usage took. `st` is NULL for ACK (of a 2xx, or stray) and BENOTIFY, which are
	 * never answered. The callee owns the arena (and so the message) and returns it with arena_release. It answers
	 * by sip_server_respond, now or later. A request with a To tag that comes here belongs to no dialog usage: 481. */
	void (*request)(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
	/* A CANCEL (already answered 200) reached this INVITE before its final answer. NULL: the stack answers the
	 * INVITE 487 itself. */
	void (*cancelled)(void *arg, struct sip_server_trans *st);
	/* No ACK came within 64*T1 for the 2xx of sip_server_respond: the session should be ended by BYE. May be NULL. */
	void (*unacked)(void *arg, struct sip_server_trans *st);
	/* The transaction is going away; `user` pointers to it must be forgotten. Called only when a user pointer is
	 * set. May be NULL. */
	void (*gone)(void *arg, struct sip_server_trans *st);
	/* A request is about to go to a dialog usage, which knows no limits of its own. True: it was answered instead. May be NULL. */
	bool (*within)(void *arg, struct sip_server_trans *st, const struct sip_msg *m);
};

struct sip_stack_config {
	struct slice sent_by[3];   /* by enum sip_transport: "gw.example.com:5061"; empty: "invalid" (RFC 2606) */
	struct slice server;       /* Server header of our responses; empty for none */
	struct arena_pool *pool;   /* where arenas of consumed messages go back; may be NULL */
	/* Transactions alive at once; more requests are answered 503, or fail with ENTENTE_ELIMIT (0: 20000). An INVITE that was answered
	 * 2xx lives on for 64*T1 (RFC 6026), for further 2xx of forks: over a reliable transport it ends early when there is no room
	 * for a new one, the oldest first. Else a proxy could set up no more calls than these in half a minute. */
	size_t max_server;
	size_t max_client;
	uint32_t t1, t2, t4;       /* ms; 0: 500, 4000, 5000 */
	uint32_t ring_ms;          /* an INVITE that only rings is cancelled after this (0: 240000; RFC 3261 16.6 Timer C) */
	uint32_t retry_after;      /* seconds in Retry-After of a 503 for overload (0: 10) */
};

struct sip_stats {
	uint64_t requests_in, responses_in, requests_out, responses_out; /* distinct messages plus retransmissions */
	uint64_t retransmitted;     /* sent again by us */
	uint64_t absorbed;          /* received again */
	uint64_t stray_responses;   /* matched no transaction, dropped (RFC 6026 8.9) */
	uint64_t late_responses;    /* of ours, refused by RFC 4320 */
	uint64_t refused_limit, timeouts, transport_failures;
	size_t servers, clients;    /* alive now */
};

/* `ops`, `arg` and `timers` must outlive the stack; texts of the config are copied. */
struct sip_stack *sip_stack_new(const struct sip_stack_ops *ops, void *arg, struct timers *timers,
				const struct sip_stack_config *config);
/* Ends all transactions without callbacks (client owners are not told). Subscribers, notifiers and probes of the stack
 * must be freed before; those that nobody holds any more go with it. Accepts NULL; returns NULL. */
struct sip_stack *sip_stack_free(struct sip_stack *s);

/* Takes a parsed message and the arena it lives in (both now the stack's). */
void sip_stack_input(struct sip_stack *s, const struct sip_flow *from, struct sip_msg *m, struct arena *a);
/* Answers a request without a transaction: faulty ones (sip_msg_parse gave a fault status) and overload. ACK, BENOTIFY
 * and responses are ignored. The message stays the caller's. An empty reason gives the standard phrase. */
void sip_stack_refuse(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, int status, struct slice reason);
/* The same with one more header. */
struct sip_extra;
void sip_stack_refuse_with(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, int status, struct slice reason,
			   const struct sip_extra *extra);
/* Nothing sent on this flow since its last sign of life has arrived or will: every client transaction without final
 * response on it ends with SIP_DONE_TRANSPORT. Matches by connection, or by transport, target and address for those
 * that were started with conn 0. */
void sip_stack_transport_failed(struct sip_stack *s, const struct sip_flow *flow);

const struct sip_stats *sip_stack_stats(const struct sip_stack *s);
/* Transactions whose final answer is still due, of either side: what a shutdown waits for. Looks at each of them. */
size_t sip_stack_waiting(const struct sip_stack *s);
struct timers *sip_stack_timers(struct sip_stack *s);
const struct sip_stack_config *sip_stack_config(const struct sip_stack *s);
/* Gives a consumed message's arena back to the pool of the configuration. */
void sip_stack_release(struct sip_stack *s, struct arena *a);

/* --- one header of ours, beside those that the stack writes --- */
struct sip_extra {
	struct slice name, value; /* a value with CR, LF or NUL fails the message */
};

/* Seconds of a Retry-After header (comment and parameters ignored), -1 when absent or malformed. */
int64_t sip_retry_after(const struct sip_msg *m);

/* Does the Event of this message name the same package and id as `event` (RFC 6665 8.2.1)? */
bool sip_event_matches(struct slice event, const struct sip_msg *m);
/* Statuses that end a subscription when they answer a refresh or a NOTIFY (RFC 6665 4.1.2.2, 4.2.2; RFC 5057). */
bool sip_ends_usage(int status);

/* --- server transactions --- */
struct sip_answer {
	int status;
	struct slice reason;             /* empty: standard phrase */
	const struct sip_extra *headers; /* Contact, Expires, Allow, Warning ... */
	size_t n_headers;
	struct slice content_type, body;
};

/* Sends a response: over the connection of the request, else to its source by RFC 3261 18.2.2 and RFC 3581. Via, From,
 * To (with our tag), Call-ID, CSeq, Timestamp and, where a dialog may start, Record-Route are the stack's work. Any
 * number of provisional ones (only 100 for a non-INVITE), then one final. A 2xx to INVITE is repeated until its ACK
 * comes (RFC 3261 13.3.1.4). 0; ENTENTE_EINVAL for a second final answer or a header that cannot be written (nothing
 * was sent); ENTENTE_EREFUSED for a 408 or a 1xx other than 100 to a non-INVITE (RFC 4320: nothing is sent, a 408 ends
 * the transaction); ENTENTE_ENET when no way led to the peer (the transaction is over). After a final response the
 * pointer is valid until the callback that is running returns, and not at all outside one. */
int sip_server_respond(struct sip_server_trans *st, const struct sip_answer *answer);
/* Status, standard phrase, nothing else. */
int sip_server_reply(struct sip_server_trans *st, int status);
/* For a proxy: a complete response as it shall go out (our Via taken off). Not repeated when it is a 2xx to INVITE: any
 * number of 2xx may pass (RFC 6026 7.1). Errors as above. */
int sip_server_forward(struct sip_server_trans *st, int status, struct slice response);

/* A stable name of the transaction for answers that come from elsewhere; never 0, never reused within 2^32 transactions. */
uint64_t sip_server_id(const struct sip_server_trans *st);
uint64_t sip_server_since(const struct sip_server_trans *st); /* when its request came, by the stack's timers */
/* NULL when it is over (answered, or too late to answer: RFC 4320). */
struct sip_server_trans *sip_server_find(struct sip_stack *s, uint64_t id);
/* The To tag that our responses carry (what a dialog made by this request uses as local tag): the request's own, or a
 * new one. Valid as long as the transaction. */
struct slice sip_server_tag(const struct sip_server_trans *st);
const struct sip_flow *sip_server_flow(const struct sip_server_trans *st);
enum sip_method sip_server_method(const struct sip_server_trans *st);
/* True until the final response was given. */
bool sip_server_waiting(const struct sip_server_trans *st);
/* One pointer for the owner; see ops->gone. */
void sip_server_set_user(struct sip_server_trans *st, void *user);
void *sip_server_user(const struct sip_server_trans *st);
/* Someone beside the owner of the stack, who answers this one (a session): it hears of these in the place of ops->cancelled and
 * ops->unacked, and of the end whatever the user pointer is. NULL takes it off. The callbacks are all set. */
struct sip_server_watch {
	void (*cancelled)(void *arg, struct sip_server_trans *st);
	void (*unacked)(void *arg, struct sip_server_trans *st);
	void (*gone)(void *arg, struct sip_server_trans *st);
};
void sip_server_set_watch(struct sip_server_trans *st, const struct sip_server_watch *watch, void *arg);
/* A number for the owner's log, 0 at first. `st` may be NULL: then it is lost, and 0. */
void sip_server_set_record(struct sip_server_trans *st, uint64_t record);
uint64_t sip_server_record(const struct sip_server_trans *st);

/* --- client transactions --- */
enum sip_done {
	SIP_DONE_ANSWERED,  /* response() had the final one */
	SIP_DONE_TIMEOUT,   /* Timer B, F, or no answer after CANCEL: like 408 */
	SIP_DONE_TRANSPORT, /* like 503 */
};

/* For each transaction done() is called exactly once, as the last thing, and never from within sip_client_start. Before
 * it response() is called for each provisional response, and for the final one if there is one. An INVITE's 2xx: done()
 * comes only after Timer M (64*T1), because further 2xx may follow (repeated ones until sip_client_ack was called;
 * those of other branches of a fork always): response() is called for each. */
struct sip_client_handler {
	/* `m` is valid during the call. */
	void (*response)(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from);
	void (*done)(void *arg, enum sip_done why);
};

enum { SIP_REPEAT_MS = 8000 };

struct sip_client_opts {
	struct slice sent_by;       /* in place of the configuration's */
	struct slice branch_suffix; /* token characters appended to the branch (RFC 5393 loop hash); at most 64 octets are used */
	struct slice via_params;    /* appended to our Via, ";alias" */
	uint32_t timeout_ms;        /* in place of 64*T1 for Timer B or F */
	/* Not for INVITE: when the connection that it went out on breaks before the answer, the same octets go out again, on another connection, if one comes up
	 * within SIP_REPEAT_MS: who has taken the request already answers it as a repetition. Else it would count as failed although it may have been carried out. */
	bool repeat;
};

/* Sends a request. `request` is the whole message without our Via: the stack inserts it behind the start line (other
 * Via fields of a proxied request may follow). Copied where it must be repeated. *ret (may be NULL) is valid until
 * done() returns or sip_client_drop. A request that cannot be sent is reported by done(), not here. 0; ENTENTE_EINVAL
 * (not a request); ENTENTE_ELIMIT (max_client). */
int sip_client_start(struct sip_client_trans **ret, struct sip_stack *s, const struct sip_flow *to, struct slice request,
		     const struct sip_client_handler *handler, void *arg, const struct sip_client_opts *opts);
/* It went out more than once (sip_client_opts.repeat). Then 482, and in a dialog 500 for its CSeq, may say that the first one has arrived: whoever answered over the
 * connection that broke has forgotten the transaction, and passes the repetition on as if it were new (RFC 3261 8.2.2.2, 12.2.2). */
bool sip_client_repeated(const struct sip_client_trans *ct);
/* INVITE only: sends CANCEL now, or as soon as a provisional response has come (RFC 3261 9.1). The outcome is still
 * reported (487 as a rule). */
void sip_client_cancel(struct sip_client_trans *ct);
/* INVITE answered 2xx: sends this ACK (no Via) and repeats it by itself for each repetition of that 2xx; response() is
 * no longer called for those. */
int sip_client_ack(struct sip_client_trans *ct, const struct sip_flow *to, struct slice ack);
/* No callback any more; the transaction runs out silently. The pointer is no longer the owner's. Accepts NULL. */
void sip_client_drop(struct sip_client_trans *ct);
/* A request without transaction: ACK of a 2xx as a proxy forwards it, BENOTIFY. Via is inserted with a fresh branch. 0
 * or negative. */
int sip_stack_send(struct sip_stack *s, const struct sip_flow *to, struct slice request, const struct sip_client_opts *opts);

/* --- dialog usages --- */
/* Takes in-dialog requests: those whose Call-ID and To tag were registered. Returns true when the request is its own;
 * it then owns the arena and answers `st` (NULL for ACK and BENOTIFY). Several usages may share one dialog: they are
 * asked in the order of registration. */
struct sip_usage {
	bool (*request)(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
			const struct sip_flow *from);
	void (*gone)(struct sip_usage *u); /* sip_stack_free was called with it registered; may be NULL */
	struct sip_usage *next;            /* the rest is the stack's */
	uint64_t mark;
};
/* `u->request` must be set. The texts are not kept: a hash of them is, which stands for the dialog (64 bits, under the key of the process). */
void sip_usage_register(struct sip_stack *s, struct sip_usage *u, struct slice call_id, struct slice local_tag);
/* Is there a usage of this dialog? */
bool sip_usage_known(struct sip_stack *s, struct slice call_id, struct slice local_tag);
/* Harmless on one that is not registered (zeroed). */
void sip_usage_unregister(struct sip_stack *s, struct sip_usage *u);
