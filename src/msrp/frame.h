/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a TCP or TLS octet stream into MSRP requests and responses (RFC 4975 5.1, 7.1, 9). A request has no length: it ends with
 * an end-line that repeats its transaction identifier, and may go on for as long as the sender likes. So the framer never waits for
 * the end: it gives out pieces, the head (start line and headers) once it is whole, then data as it comes. Sans-I/O, no allocation, one
 * per connection: the owner keeps the received octets, asks for the next piece and consumes what the piece says. What is held back is
 * never more than MSRP_HEAD_MAX octets, and in the data never more than an end-line; only what is held back is looked at again.
 *
 * A malformed header does not lose the thread: the end-line is known from the start line, and msrp_head_parse says what is wrong. A
 * malformed start line or a head that is too long does: there is no place to start again, the owner closes. */
#pragma once
#include "base/slice.h"

enum { MSRP_HEAD_MAX = 10240, MSRP_TID_MAX = 32 };

struct msrp_piece {
	struct slice head; /* not empty: a request or response begins: start line to last header, with their CRLFs */
	struct slice data; /* octets of its body; may be empty */
	bool body;         /* with head: a body follows, be it empty (a bodiless request has no blank line) */
	char flag;         /* '$', '+', '#': it ends here; 0: more comes */
};

enum msrp_frame_kind { MSRP_FRAME_MORE, MSRP_FRAME_PIECE, MSRP_FRAME_ERROR };

struct msrp_frame {
	enum msrp_frame_kind kind;
	struct msrp_piece piece;  /* points into the input */
	size_t consume;           /* octets to drop from the front before the next call, after the piece was used */
	const char *fault;        /* ERROR: static text */
};

struct msrp_framer { /* private */
	char tid[MSRP_TID_MAX + 1];
	size_t tid_len;  /* 0: between messages */
	size_t scanned;  /* of the unconsumed input: the lines of the head that were looked at */
	bool in_body;
	bool fresh;      /* no octet of the body was seen that is one */
};

void msrp_framer_init(struct msrp_framer *f);
/* Looks at `in`, all octets received and not yet consumed; after MORE the next call must begin with the same octets. Small messages
 * come as one piece with head, data and flag when they are all there. */
void msrp_framer_next(struct msrp_framer *f, struct slice in, struct msrp_frame *ret);
/* Between two messages? (Where a connection may end without loss.) */
bool msrp_framer_idle(const struct msrp_framer *f);
