/* SPDX-License-Identifier: Apache-2.0 */
/* What the edge and the gateway say to each other when they are two processes: frames. On the wire a frame is its length in four octets
 * (of what follows), its kind in one, then the fields in the order of the structures below. Numbers are big-endian; a text is its length
 * in four octets, then its octets. A frame is read whole or not at all; octets left over, a text beyond the end, a kind or a value that
 * does not exist are errors: both sides speak the same version, or none. Pure, any thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "xmpp/stream.h"

enum {
	LINK_VERSION = 3,           /* of the protocol: changes with any change of a frame but HELLO and GOODBYE, whose layout stays */
	LINK_PORT = 23456,
	LINK_HELLO_MAX = 2048,      /* octets of a frame before both have said HELLO */
	LINK_FRAME_MAX = 17 << 20,  /* and after it: the largest stanza that can be configured, and room */
	LINK_NAME_MAX = 255,        /* octets of a name or a software version in HELLO */
	LINK_INSTANCE = 16,
};

enum link_role { LINK_EDGE = 1, LINK_GATEWAY = 2 };
const char *link_role_text(enum link_role r); /* "edge" "gateway" */

enum link_kind {
	LINK_HELLO = 1, /* first frame of each side */
	LINK_PING,
	LINK_PONG,
	LINK_GOODBYE,   /* the sender goes, or will not have the receiver: no new work, please; what is under way is still answered */
	LINK_POLICY,    /* gateway: a piece of the policy in force (link/policy.h) */
	LINK_RECHECK,   /* gateway: what had to be said under the old policy is said: judge the streams anew */
	LINK_STANZA,    /* edge: a stanza of a proven partner */
	LINK_DONE,      /* gateway: the fate of that stanza is final */
	LINK_SEND,      /* gateway: send this stanza to a partner */
	LINK_SENT,      /* edge: what became of it */
	LINK_PAIR,      /* edge: the stream to a partner came up or failed */
	LINK_KIND_END
};
const char *link_kind_text(enum link_kind k);

struct link_hello {
	uint16_t version;
	enum link_role role;
	uint16_t worker, workers; /* of the gateway: which one, of how many; the edge says 0 of 1 */
	uint8_t instance[LINK_INSTANCE]; /* of the process: another one after each start */
	struct slice software, name;     /* version of the program; server.name */
};

enum link_bye { LINK_BYE_STOPPING = 1, LINK_BYE_VERSION, LINK_BYE_ROLE, LINK_BYE_REPLACED, LINK_BYE_PROTOCOL, LINK_BYE_END };

/* ops->sent, or ops->handed of a stream that acknowledges or does not. */
enum link_sent_step { SENT_OVER, SENT_HANDED, SENT_HANDED_ACKS, SENT_STEP_END };

struct link_frame { /* slices point into what was read */
	enum link_kind kind;
	union {
		struct link_hello hello;
		uint64_t number;                 /* PING PONG RECHECK (generation) */
		struct {
			uint64_t number;
			enum reason reason;      /* not REASON_NONE: it could not be read; the edge has the stanza and answers its sender */
		} done;
		struct {
			enum link_bye why;
			struct slice text;
		} bye;
		struct {
			uint64_t generation;
			uint32_t part;           /* 0, 1, ... */
			bool last;
			struct slice octets;
		} policy;
		struct {
			uint64_t number;         /* never 0 */
			enum xmpp_proof proof;
			bool encrypted;
			struct slice local, remote, octets;
		} stanza;
		struct {
			uint64_t ticket;         /* 0: nobody wants to hear of it */
			bool confirm, acked_only; /* struct xmpp_ticket */
			struct slice local, remote, octets;
		} send;
		struct {
			uint64_t ticket;
			enum link_sent_step step; /* not SENT_OVER: another SENT follows */
			enum reason reason;      /* by its ID; one that this side does not know is xmpp/unreachable */
			struct slice why;
		} sent;
		struct {
			bool up;
			struct slice local, remote;
		} pair;
	};
};

/* Appends the frame. A buffer that is too small fails as buffers do; what the frame holds must fit its kind (asserted). */
void link_frame_write(struct buf *b, const struct link_frame *f);
/* The first frame of `in`. 0: *ret and *ret_octets (all of it) are set; ENTENTE_EAGAIN: more is needed; ENTENTE_ELIMIT: longer than
 * `max`; ENTENTE_ESYNTAX: err says what is wrong (reason link/protocol, both). A HELLO of another version is read as far as that:
 * version, role. */
int link_frame_read(struct link_frame *ret, size_t *ret_octets, struct slice in, size_t max, struct entente_err *err);
