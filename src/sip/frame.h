/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a TCP or TLS octet stream into SIP messages (RFC 3261 7.5, 18.3) and CRLF keep-alives (RFC 5626 3.5.1, 4.4.1).
 * Sans-I/O: the owner keeps the received octets (a struct buf), asks for the next frame, and consumes what the frame says. An
 * octet that was looked at is not looked at again when more arrive, so a peer that drips octet by octet costs no more than one
 * that does not. A stream has no place to start again after a framing error: the owner answers if it can and closes. One framer
 * per connection, not thread-safe, no allocation. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"
#include "sip/msg.h"

enum sip_frame_kind {
	SIP_FRAME_MORE,    /* incomplete: read on */
	SIP_FRAME_MESSAGE, /* one whole message */
	SIP_FRAME_PING,    /* CRLF CRLF between messages: answer with CRLF */
	SIP_FRAME_PONG,    /* CRLF between messages while expect_pong */
	SIP_FRAME_ERROR,   /* fault says why; close after the answer, if any */
};

struct sip_frame {
	enum sip_frame_kind kind;
	struct slice message; /* MESSAGE: start line .. body. ERROR: start line .. blank line if they have arrived, else empty */
	size_t consume;         /* octets to drop from the front before the next call (0 for MORE and ERROR) */
	size_t missing;         /* MORE: octets that are still needed at least (1 while the header is incomplete) */
	struct sip_fault fault; /* ERROR: status for the answer */
};

struct sip_framer {
	const struct sip_limits *lim;
	bool expect_pong; /* set by the owner after it sent a ping; cleared when a PONG is reported. A lone CRLF is otherwise
			     held back (it may be half a ping) and dropped in front of a message. */
	/* private; offsets from the start of what is not consumed yet */
	size_t start, line, scan, field, head; /* head: octets up to and with the blank line, 0 while unknown */
	bool in_length;         /* the field that begins at `field` is a Content-Length */
	bool done;              /* the header is complete or broken for good */
	int64_t length;         /* the value of Content-Length, -1 while unseen */
	struct sip_fault fault; /* the first one */
};

/* lim is borrowed: max_message bounds start line to end of body, max_line the start line. */
void sip_framer_init(struct sip_framer *f, const struct sip_limits *lim);

/* Looks at `in`, all octets received and not yet consumed. After MORE the next call must begin with the same octets. Errors:
 * Content-Length missing, twice, not a number (400); body that would make the message longer than max_message (513). With an
 * empty frame message, as there is nothing to answer: header longer than max_message (513); bare CR or LF, start line longer than
 * max_line, no SIP (400). */
void sip_framer_next(struct sip_framer *f, struct slice in, struct sip_frame *ret);

/* The request to answer after an ERROR frame: parses its header alone. NULL when there is none that can be answered (a response,
 * an ACK, no Via, header incomplete). The message is good for sip_build_response with frame->fault.status, no more. */
struct sip_msg *sip_frame_answerable(const struct sip_frame *frame, struct arena *a, const struct sip_limits *lim);
