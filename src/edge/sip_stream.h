/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP or TLS connection as a stream of SIP messages, for homes and partners alike: limits, framing, keep-alives in both directions (RFC 5626
 * 3.5.1, 4.4.1). Part of its owner's connection object. Thread: the connection's. */
#pragma once
#include "net/conn.h"
#include "sip/frame.h"

struct sip_stream {
	struct sip_framer framer;
	bool full;    /* sip_stream_input gives no further message, not even one that is read already; set and cleared by the owner, who pauses the connection too */
	bool over;    /* it will be closed when the present input has been looked at: set it to stop reading */
	bool heard;   /* anything at all has come */
	bool ponged;  /* the other side has answered a ping at some time: it knows that custom */
	bool waiting; /* one is to be answered */
	uint64_t pinged; /* when the last one was sent, or the connection made */
	uint64_t asked;  /* since when the other side owes us an answer, and has not said a word; 0: it does not */
};

enum {
	SIP_STREAM_PONG_MS = 10000,  /* RFC 5626 4.4.1 */
	SIP_STREAM_SILENT_MS = 1500, /* of one that was asked something, before it is pinged, and again before it counts as gone */
};

enum sip_stream_due { SIP_STREAM_WELL, SIP_STREAM_PING, SIP_STREAM_GONE };

struct sip_stream_ops {
	void (*message)(void *owner, struct slice raw);
	/* Nothing on a stream can be found again after a framing error: it is closed when this returns. Answer if it is possible. */
	void (*broken)(void *owner, const struct sip_frame *f);
};

/* `limits` are borrowed, and looked at with every message. */
void sip_stream_init(struct sip_stream *s, const struct sip_limits *limits, uint64_t now);
/* As conn_ops.data: gives each message in `in` to the owner, answers pings; ends the connection (conn_close) after the last message
 * that may be read. */
size_t sip_stream_input(struct sip_stream *s, struct conn *c, struct slice in, const struct sip_stream_ops *ops, void *owner);
/* These octets are being written: whoever takes a request will say something soon, 100 or an answer; if not, sip_stream_look finds out whether it
 * is there. True: it should look in SIP_STREAM_SILENT_MS at the latest. */
bool sip_stream_sent(struct sip_stream *s, struct slice bytes, uint64_t now);
/* What is to be done now, and in how many ms to ask again at the latest (UINT64_MAX: never). PING: sip_stream_ping, then look again. GONE: a peer that
 * has answered pings does not any more, for SIP_STREAM_PONG_MS (or until the next one is due), or SIP_STREAM_SILENT_MS when it owes an answer. One that has never answered one is left
 * to TCP. `keepalive_ms` between pings; 0: none. Pure. */
enum sip_stream_due sip_stream_look(const struct sip_stream *s, uint64_t now, uint32_t keepalive_ms, uint64_t *ret_ms);
void sip_stream_ping(struct sip_stream *s, struct conn *c, uint64_t now);
/* Both, for an owner with a timer. False: it is gone. */
bool sip_stream_turn(struct sip_stream *s, struct conn *c, uint64_t now, uint32_t keepalive_ms, uint64_t *ret_ms);

/* What a stream of SIP messages may take: one message in, `queue_octets` out before it is congested. No idle limit;
 * a system that acknowledges nothing for SIP_STREAM_UNACKED_MS is gone, whether or not its application knows pings; so is, for Linux, one
 * whose receive window is shut so long (tcp(7), TCP_USER_TIMEOUT). */
enum { SIP_STREAM_UNACKED_MS = 3500 };
void sip_stream_limits(const struct sip_limits *limits, size_t queue_octets, uint32_t connect_ms, struct conn_limits *ret);
