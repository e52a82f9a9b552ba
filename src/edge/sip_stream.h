/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP or TLS connection as a stream of SIP messages, for homes and partners alike: limits, framing, keep-alives in both directions (RFC 5626
 * 3.5.1, 4.4.1). Part of its owner's connection object. Thread: the connection's. */
#pragma once
#include "net/conn.h"
#include "sip/frame.h"

struct sip_stream {
	struct sip_framer framer;
	bool over;    /* it will be closed when the present input has been looked at: set it to stop reading */
	bool ponged;  /* the other side has answered a ping at some time: it knows that custom */
	bool waiting; /* one is to be answered */
};

struct sip_stream_ops {
	void (*message)(void *owner, struct slice raw);
	/* Nothing on a stream can be found again after a framing error: it is closed when this returns. Answer if it is possible. */
	void (*broken)(void *owner, const struct sip_frame *f);
};

/* `limits` are borrowed, and looked at with every message. */
void sip_stream_init(struct sip_stream *s, const struct sip_limits *limits);
/* As conn_ops.data: gives each message in `in` to the owner, answers pings; ends the connection (conn_close) after the last message
 * that may be read. */
size_t sip_stream_input(struct sip_stream *s, struct conn *c, struct slice in, const struct sip_stream_ops *ops, void *owner);
/* Sends a ping. False: the one before was not answered by a peer that has answered pings (RFC 5626 4.4.1): it is gone. One that never answers is
 * left to TCP. */
bool sip_stream_ping(struct sip_stream *s, struct conn *c);

/* What a stream of SIP messages may take: one message in, `queue_octets` out before it is congested. No idle limit. */
void sip_stream_limits(const struct sip_limits *limits, size_t queue_octets, uint32_t connect_ms, struct conn_limits *ret);
