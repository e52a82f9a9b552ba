/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sip_stream.h"

enum { IN_SLACK = 64 << 10, OUT_SLACK = 256 << 10, LINGER_MS = 2000 };

void sip_stream_init(struct sip_stream *s, const struct sip_limits *limits)
{
	*s = (struct sip_stream){0};
	sip_framer_init(&s->framer, limits);
}

size_t sip_stream_input(struct sip_stream *s, struct conn *c, struct slice in, const struct sip_stream_ops *ops, void *owner)
{
	size_t used = 0;
	s->waiting = false;
	while (!s->over) {
		struct sip_frame f;
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

bool sip_stream_ping(struct sip_stream *s, struct conn *c)
{
	if (s->waiting && s->ponged)
		return false;
	s->waiting = s->framer.expect_pong = true;
	conn_write(c, S("\r\n\r\n"));
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
		.linger_ms = LINGER_MS,
	};
}
