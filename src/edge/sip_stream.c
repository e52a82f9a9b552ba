/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sip_stream.h"

enum { IN_SLACK = 64 << 10, OUT_SLACK = 256 << 10, LINGER_MS = 2000 };

void sip_stream_init(struct sip_stream *s, const struct sip_limits *limits, uint64_t now)
{
	*s = (struct sip_stream){.pinged = now};
	sip_framer_init(&s->framer, limits);
}

size_t sip_stream_input(struct sip_stream *s, struct conn *c, struct slice in, const struct sip_stream_ops *ops, void *owner)
{
	size_t used = 0;
	s->heard = true;
	s->waiting = false;
	s->asked = 0;
	while (!s->over) {
		struct sip_frame f;
		if (s->full)
			return used;
		sip_framer_next(&s->framer, slice_skip(in, used), &f);
		used += f.consume;
		switch (f.kind) {
		case SIP_FRAME_MORE:
			return used;
		case SIP_FRAME_PING:
			conn_write(c, S("\r\n"));
			break;
		case SIP_FRAME_PONG:
			s->ponged = true;
			break;
		case SIP_FRAME_MESSAGE:
			ops->message(owner, f.message);
			break;
		case SIP_FRAME_ERROR:
			ops->broken(owner, &f);
			s->over = true;
			break;
		}
	}
	conn_close(c);
	return in.len;
}

bool sip_stream_sent(struct sip_stream *s, struct slice bytes, uint64_t now)
{
	if (slice_starts(bytes, S("SIP/2.0 ")) || slice_starts(bytes, S("ACK ")) || slice_starts(bytes, S("BENOTIFY ")))
		return false;
	if (!s->asked)
		s->asked = now ? now : 1;
	return s->ponged;
}

static void sooner(uint64_t *ms, uint64_t due, uint64_t now)
{
	uint64_t left = due > now ? due - now : 0;
	if (left < *ms)
		*ms = left;
}

enum sip_stream_due sip_stream_look(const struct sip_stream *s, uint64_t now, uint32_t keepalive_ms, uint64_t *ret_ms)
{
	*ret_ms = UINT64_MAX;
	if (s->waiting && s->ponged) {
		uint64_t since = s->asked > s->pinged ? s->asked : s->pinged, due = s->pinged + (keepalive_ms && keepalive_ms < SIP_STREAM_PONG_MS ? keepalive_ms : SIP_STREAM_PONG_MS);
		if (s->asked && since + SIP_STREAM_SILENT_MS < due)
			due = since + SIP_STREAM_SILENT_MS;
		sooner(ret_ms, due, now);
		return *ret_ms ? SIP_STREAM_WELL : SIP_STREAM_GONE;
	}
	if (s->asked && s->ponged)
		sooner(ret_ms, s->asked + SIP_STREAM_SILENT_MS, now);
	if (keepalive_ms)
		sooner(ret_ms, s->pinged + keepalive_ms, now);
	return *ret_ms ? SIP_STREAM_WELL : SIP_STREAM_PING;
}

void sip_stream_ping(struct sip_stream *s, struct conn *c, uint64_t now)
{
	s->waiting = s->framer.expect_pong = true;
	s->pinged = now;
	conn_write(c, S("\r\n\r\n"));
}

bool sip_stream_turn(struct sip_stream *s, struct conn *c, uint64_t now, uint32_t keepalive_ms, uint64_t *ret_ms)
{
	enum sip_stream_due due = sip_stream_look(s, now, keepalive_ms, ret_ms);
	if (due != SIP_STREAM_PING)
		return due == SIP_STREAM_WELL;
	sip_stream_ping(s, c, now);
	sip_stream_look(s, now, keepalive_ms, ret_ms);
	return true;
}

void sip_stream_limits(const struct sip_limits *limits, size_t queue_octets, uint32_t connect_ms, struct conn_limits *ret)
{
	*ret = (struct conn_limits){
		.in_max = limits->max_message + IN_SLACK,
		.out_max = queue_octets + limits->max_message + OUT_SLACK,
		.out_high = queue_octets,
		.out_low = queue_octets / 4,
		.connect_ms = connect_ms,
		.handshake_ms = connect_ms,
		.unacked_ms = SIP_STREAM_UNACKED_MS,
		.linger_ms = LINGER_MS,
	};
}
