/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what the rules of decide.c (XMPP partners) and decide_sip.c (SIP partners) share. */
#pragma once
#include "policy/decide.h"

struct judge {
	const struct snapshot *s;
	const struct policy_question *q;
	struct policy_verdict *v;
	struct slice local, remote; /* the domains as in the question, by side */
	bool from_is, to_is;          /* domains at all */
	struct policy_whose from, to; /* of what is none: nobody's */
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

static inline const struct policy_whose *local_of(const struct judge *j)
{
	return inbound(j) ? &j->to : &j->from;
}

static inline const struct policy_whose *remote_of(const struct judge *j)
{
	return inbound(j) ? &j->from : &j->to;
}

struct policy_rule {
	const char *id;
	enum policy_outcome (*judge)(struct judge *j);
	const char *help;
};

/* decide.c: */
/* Lets the rules judge in order, a step in the verdict for each; false: one has refused. n <= POLICY_STEPS_MAX. */
bool policy_judge(struct judge *j, const struct policy_rule *rules, size_t n);
/* Rules, or parts of rules, of both kinds of partners: both domains are domains; a home sends only for its own domains (asked only of
 * what comes from a home); the remote domain is not blocked. */
enum policy_outcome policy_judge_domains(struct judge *j);
enum policy_outcome policy_judge_home(struct judge *j);
enum policy_outcome policy_judge_blocked(struct judge *j);

/* external.c: the external access policy of the local user allows the network of the remote one. */
enum policy_outcome policy_judge_external(struct judge *j);

/* decide_sip.c; the verdict is blank but for its home. */
void policy_decide_sip(struct judge *j);
