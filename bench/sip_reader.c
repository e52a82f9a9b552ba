/* SPDX-License-Identifier: Apache-2.0 */
#include "sip_reader.h"

void sip_reader_init(struct sip_reader *r)
{
	sip_framer_init(&r->framer, &sip_limits_default);
}

size_t sip_reader_input(struct sip_reader *r, struct conn *c, struct slice in)
{
	size_t used = 0;
	for (;;) {
		struct sip_frame f;
		struct sip_msg *m;
		struct sip_fault fault;
		sip_framer_next(&r->framer, slice_skip(in, used), &f);
		used += f.consume;
		if (f.kind == SIP_FRAME_MORE)
			return used;
		if (f.kind == SIP_FRAME_PING)
			conn_write(c, S("\r\n"));
		if (f.kind == SIP_FRAME_ERROR) {
			r->broken(r->arg, true, f.fault.text);
			return in.len;
		}
		if (f.kind != SIP_FRAME_MESSAGE)
			continue;
		struct arena *a = arena_acquire(r->loop->arenas);
		if (sip_msg_parse(&m, a, f.message, &sip_limits_default, &fault))
			r->broken(r->arg, false, fault.text);
		else
			r->message(r->arg, m);
		arena_release(r->loop->arenas, a);
	}
}
