/* SPDX-License-Identifier: Apache-2.0 */
/* What a SIP server of ours does with octets off a connection: messages out of the stream, pings answered. */
#pragma once
#include "net/conn.h"
#include "net/loop.h"
#include "sip/frame.h"
#include "sip/msg.h"

struct sip_reader {
	struct sip_framer framer;
	struct loop *loop;
	void (*message)(void *arg, struct sip_msg *m); /* valid during the call */
	/* What came is no SIP; `whole`: nor will be what follows, and all of it was dropped. */
	void (*broken)(void *arg, bool whole, const char *text);
	void *arg;
};

/* The rest of *r is the caller's to fill in before. */
void sip_reader_init(struct sip_reader *r);
/* As conn_ops.data: how many octets of `in` are done with. */
size_t sip_reader_input(struct sip_reader *r, struct conn *c, struct slice in);
