/* SPDX-License-Identifier: Apache-2.0 */
/* MSRP sessions (RFC 4975 5.3, 5.4, 7): a hub holds the sessions of one worker, knows which line (connection) each is bound to, and
 * answers what belongs to none. Sans-I/O: pieces come in with the number of their line, whole requests and responses go out by
 * ops->write; timers hang on the hub's queue. Not thread-safe.
 *
 * What goes out is always a whole request: texts are cut into chunks of MSRP_CHUNK octets (RFC 4975 7.1.1, the second strategy), so that
 * every other request of this and other sessions on the line finds its place between two chunks, and nobody has to be interrupted.
 *
 * What comes in may be cut in any way: chunks in any order, overlapping (the last one wins), repeated, interrupted, with or without a known
 * length, aborted. A session holds at most max_message octets for one message and max_partial messages at a time, all of a hub together
 * MSRP_PARTIAL_TOTAL: beyond that a message that does not come in one piece is refused with 413. The rules:
 *   no session of that name: 481; bound to another line: 506; unknown method: 501; a fault in the head: 400
 *   Byte-Range total, or the octets themselves, beyond max_message: 413 at once, at the first such chunk; the rest is skipped in silence
 *   Message-ID of a message that was whole before (a repetition): acknowledged again, not delivered again (the last MSRP_SEEN ones)
 *   a bodiless SEND: acknowledged; binds the session to the line; is no message
 * No response when Failure-Report says so; none ever to a REPORT. */
#pragma once
#include "base/err.h"
#include "base/timer.h"
#include "msrp/frame.h"
#include "msrp/message.h"

enum {
	MSRP_CHUNK = 2048,
	MSRP_RESPONSE_MS = 30000,  /* RFC 4975 7.1.1 */
	MSRP_BIND_MS = 32000,      /* a passive session to which nobody has come, since its peer is known */
	MSRP_PARTIAL_MS = 180000,  /* an incomplete message that does not grow any more */
	MSRP_SEEN = 64,
	MSRP_RANGES = 64,          /* pieces that an incomplete message may be in, with gaps between them */
	MSRP_PARTIAL_TOTAL = 64 << 20, /* octets of memory for the incomplete messages of all sessions of a hub */
	MSRP_LINE_NONE = 0,
};

struct msrp_hub;
struct msrp_session;

struct msrp_hub_ops {
	/* A whole request or response for a line. False: it was taken, but no more, please, until msrp_hub_writable (responses and
	 * reports come nevertheless). A line that is gone swallows it. */
	bool (*write)(void *arg, uint64_t line, struct slice octets);
};

/* What the owner is told. It may call anything on any session from inside, msrp_session_free on this one too. */
struct msrp_message { /* a whole message; valid during the call */
	uint64_t token;                  /* for msrp_session_answer */
	struct slice message_id, content_type, body;
	bool success_report;             /* the sender wants to know of its delivery: msrp_session_report */
	enum msrp_failure failure_report;
};

enum msrp_end {
	MSRP_END_LOST,      /* the connection ended, or could not be had */
	MSRP_END_UNBOUND,   /* passive, and nobody has come within MSRP_BIND_MS */
	MSRP_END_REFUSED,   /* the peer does not know the session any more: 481, 506 (status) */
};

struct msrp_session_ops {
	/* A message is whole. Its last chunk is answered by msrp_session_answer, from inside or later: exactly once. */
	void (*message)(void *arg, const struct msrp_message *m);
	/* The end of a msrp_session_send, exactly once for each, not in order. status 200: the peer (or its relay) has every octet; or
	 * the refusal; 408: no answer within MSRP_RESPONSE_MS or before the session ended, so nobody knows; 0: the session ended before all
	 * of it was handed over, so it may be sent another way.
	 * With MSRP_FAILURE_NO: 200 when the last octet was handed over. PARTIAL: 200 by MSRP_RESPONSE_MS without a refusal. Never from
	 * inside msrp_session_send. */
	void (*sent)(void *arg, uint64_t number, int status, struct slice comment);
	/* A REPORT about a text with success_report or one that failed later; may come before or after sent(). status 200: delivered,
	 * all of it. At most once for each number; unknown Message-IDs are ignored. */
	void (*report)(void *arg, uint64_t number, struct slice message_id, int status, struct slice comment);
	/* It is bound: we may speak. */
	void (*open)(void *arg);
	/* Of no use any more; sent() has come for all. Free it. */
	void (*ended)(void *arg, enum msrp_end why, int status);
};

struct msrp_session_config {
	struct slice id;          /* of our URI: what msrp_hub_new_id made */
	struct slice from_path;   /* our URI, as in our SDP */
	struct slice to_path;     /* the peer's a=path, as it is; may come later by msrp_session_peer when we are passive */
	size_t max_message;       /* octets of one message that is received */
	size_t max_partial;       /* incomplete ones at a time; 0: 8 */
	size_t max_queue, max_queue_octets; /* of what is sent and not ended; 0: 64 and 1 MiB */
};

struct msrp_hub *msrp_hub_new(struct timers *timers, const struct msrp_hub_ops *ops, void *arg);
/* Frees the sessions too, silently. Accepts NULL; returns NULL. */
struct msrp_hub *msrp_hub_free(struct msrp_hub *h);
/* A session-id that nobody can guess (100 bits) for worker `worker` (0 .. 61), NUL-terminated; and back. SIZE_MAX: not one of ours. */
void msrp_hub_new_id(unsigned worker, char ret[MSRP_SESSION_ID_MAX]);
size_t msrp_id_worker(struct slice id);

/* A piece from a line. `tid` and `session` of the request that it belongs to (each piece has them, so that it can travel alone). */
void msrp_hub_input(struct msrp_hub *h, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p);
/* The line that sessions asked for (msrp_session_connect) is up. */
void msrp_hub_up(struct msrp_hub *h, uint64_t line);
void msrp_hub_writable(struct msrp_hub *h, uint64_t line);
void msrp_hub_lost(struct msrp_hub *h, uint64_t line);
size_t msrp_hub_count(const struct msrp_hub *h);

/* Waits for the peer to come (passive) unless msrp_session_connect follows. NULL: the id is taken, or to_path is no path. */
struct msrp_session *msrp_session_new(struct msrp_hub *h, const struct msrp_session_config *cfg, const struct msrp_session_ops *ops, void *arg);
/* At once and silently; what is under way is forgotten. Accepts NULL; returns NULL. */
struct msrp_session *msrp_session_free(struct msrp_session *s);
/* The peer's path, from its answer. ENTENTE_ESYNTAX. */
int msrp_session_peer(struct msrp_session *s, struct slice to_path);
/* We are active, `line` is being opened: msrp_session_up when it is up. Until then texts wait. */
void msrp_session_connect(struct msrp_session *s, uint64_t line);
/* It is up: binds the session; a bodiless SEND goes out at once unless texts wait (RFC 4975 5.4). */
void msrp_session_up(struct msrp_session *s);
bool msrp_session_is_open(const struct msrp_session *s);
uint64_t msrp_session_line(const struct msrp_session *s);

struct msrp_text {
	struct slice content_type, body;  /* copied */
	struct slice headers;             /* more of them, whole lines with CRLF; may be empty */
	bool success_report;
	enum msrp_failure failure_report;
	bool urgent;                      /* goes before the chunks of texts that are being sent (typing) */
	struct slice message_id;          /* of a text that is sent anew in another session (RFC 4975 5.4), at most 23 octets; empty: a new one */
};
/* Queues a text. *ret: its number (never 0) for sent() and report(). ENTENTE_ELIMIT: the queue is full; ENTENTE_EINVAL: cannot be
 * written; ENTENTE_ECLOSED. */
int msrp_session_send(struct msrp_session *s, const struct msrp_text *t, uint64_t *ret);
/* Sends no more of it; what was begun is aborted ('#'). sent() does not come. */
void msrp_session_cancel(struct msrp_session *s, uint64_t number);
/* Answers a message; status 200 or why not. Nothing is sent where Failure-Report forbids it. Harmless with a token that is answered. */
void msrp_session_answer(struct msrp_session *s, uint64_t token, int status, struct slice comment);
/* A REPORT about a message that was received whole (kept for the last MSRP_SEEN ones): 200 when it was delivered and the sender had
 * asked for it; another status where it failed after the fact and Failure-Report allows it. False: it may not be sent, or is not known. */
bool msrp_session_report(struct msrp_session *s, struct slice message_id, int status, struct slice comment);

struct msrp_session_facts {
	uint64_t line, messages_in, messages_out, octets_in, octets_out;
	size_t queued, queued_octets, partial, partial_octets;
	bool open;
};
void msrp_session_show(const struct msrp_session *s, struct msrp_session_facts *ret);
