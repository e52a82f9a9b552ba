/* SPDX-License-Identifier: Apache-2.0 */
/* One link connection without I/O: HELLO, keep-alive, which side may say what, good-byes. Bytes and time come in by calls, bytes and
 * frames go out through ops; timers hang on the configuration's queue. One thread. Every function may be called from inside any
 * callback but link_session_input, link_session_free from failed() only as the last act of the callback. */
#pragma once
#include "base/timer.h"
#include "link/frame.h"

struct link_session;

struct link_session_config {
	struct timers *timers;
	struct link_hello own;   /* slices must outlive the session */
	uint32_t hello_ms;       /* the other side must have said HELLO by then */
	uint32_t ping_ms;        /* a PING when nothing came for so long */
	uint32_t silence_ms;     /* nothing came for so long: it is gone */
};
/* 10 s, 5 s, 15 s */
void link_session_defaults(struct link_session_config *c);

struct link_session_ops {
	void (*write)(void *arg, struct slice bytes);
	/* Both have said HELLO and fit. The slices live during the call. */
	void (*up)(void *arg, const struct link_hello *peer);
	/* POLICY RECHECK DONE SEND (from a gateway), STANZA SENT PAIR (from an edge). */
	void (*frame)(void *arg, const struct link_frame *f);
	/* It goes soon: nothing new for it. */
	void (*leaving)(void *arg, enum link_bye why, struct slice text);
	/* It makes no sense to go on: send what was written, end the connection. Once, the last callback; err->reason says which side
	 * has to change something: link/protocol, link/version, link/role, link/timeout, link/down. */
	void (*failed)(void *arg, const struct entente_err *err);
};

/* Says HELLO at once. */
struct link_session *link_session_new(const struct link_session_config *cfg, const struct link_session_ops *ops, void *arg);
/* Silent. Accepts NULL; returns NULL. */
struct link_session *link_session_free(struct link_session *s);
/* Returns how many octets it took: whole frames. What is left comes again, in front of what follows. */
size_t link_session_input(struct link_session *s, struct slice bytes);
/* 0; ENTENTE_EAGAIN: not up yet; ENTENTE_ECLOSED: over; ENTENTE_ELIMIT: larger than a frame may be. */
int link_session_send(struct link_session *s, const struct link_frame *f);
/* Says good-bye; what is under way may still be answered, both ways. A second one is not said. */
void link_session_goodbye(struct link_session *s, enum link_bye why, struct slice text);
bool link_session_up(const struct link_session *s);
/* The smallest time that a PING took to come back, ms; UINT64_MAX: none did yet. */
uint64_t link_session_delay(const struct link_session *s);
