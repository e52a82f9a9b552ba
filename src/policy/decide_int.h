/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what the rules of decide.c (XMPP partners) and decide_sip.c (SIP partners) share. */
#pragma once
#include "policy/decide.h"

struct judge {
	const struct snapshot *s;
	const struct policy_question *q;
	struct policy_verdict *v;
	struct slice local, remote; /* the domains as in the question, by side */
	const char *detail;
	struct slice subject;
};

static inline enum policy_outcome pass(struct judge *j, const char *detail, struct slice subject)
{
	j->detail = detail;
	j->subject = subject;
	return POLICY_PASS;
}

static inline enum policy_outcome skip(struct judge *j, const char *detail)
{
	j->detail = detail;
	j->subject = SLICE_NONE;
	return POLICY_SKIP;
}

static inline enum policy_outcome deny(struct judge *j, enum reason reason, const char *detail, struct slice subject)
{
	j->v->reason = reason;
	j->detail = detail;
	j->subject = subject;
	return POLICY_DENY;
}

static inline bool inbound(const struct judge *j)
{
	return j->q->direction == POLICY_TO_LOCAL;
}

/* decide_sip.c; the verdict is blank but for its home. */
void policy_decide_sip(struct judge *j);
