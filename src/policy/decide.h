/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: may this message, presence, IQ or stream pass between a local user and an XMPP partner? Pure function of a
 * snapshot and a question: the data path, `entente explain` and policy tests call the same one. Deny by default: the rules of
 * one table run in order, the first that refuses ends it, and only a question that passes all of them is allowed.
 * Any thread, no allocation, no clock. */
#pragma once
#include "base/reason.h"
#include "policy/snapshot.h"

enum policy_kind {
	POLICY_MESSAGE,
	POLICY_PRESENCE_SUBSCRIBE, /* subscribe */
	POLICY_PRESENCE_PROBE,
	/* Available, unavailable, subscribed, unsubscribe(d): all other presence. Not to be asked for what only takes presence back
	 * (unavailable, unsubscribed towards the partner): that may always be sent. */
	POLICY_PRESENCE_STATE,
	POLICY_IQ,
	POLICY_STREAM,             /* may a stream between the two domains exist at all? users are empty */
	POLICY_KIND_COUNT
};
enum policy_direction { POLICY_TO_LOCAL, POLICY_TO_REMOTE };
/* Has the local user the remote one as contact? */
enum policy_contact { POLICY_CONTACT_UNKNOWN, POLICY_CONTACT_NO, POLICY_CONTACT_YES };

struct policy_party {
	struct slice user;   /* localpart, empty for a domain address; not interpreted */
	struct slice domain; /* A-labels, any case */
};

struct policy_question {
	enum policy_kind kind;
	enum policy_direction direction;
	struct policy_party from, to;
	/* POLICY_TO_LOCAL: the domain that the connection has proved, empty for none (allowed only for POLICY_STREAM,
	 * asked before authentication). POLICY_TO_REMOTE: empty. */
	struct slice peer;
	/* POLICY_TO_REMOTE: 1 + index of the home that the connection belongs to, 0 when not known (so sip_flow.target + 1). */
	uint32_t peer_home;
	enum policy_contact has_contact;
};

enum policy_outcome { POLICY_SKIP, POLICY_PASS, POLICY_DENY }; /* SKIP: the rule does not concern this question */

struct policy_step {
	const char *rule;     /* stable ID of the rule, e.g. "partner-enabled"; static */
	const char *detail;   /* one English clause, no final stop; static */
	struct slice subject; /* what it was about (a domain, a home); may be empty; borrowed from question or snapshot */
	enum policy_outcome outcome;
};

enum { POLICY_STEPS_MAX = 16 };

enum {
	POLICY_HIDE_NOTE = 1,  /* status notes of local users must not reach this partner */
	POLICY_NO_CONSENT = 2, /* the partner's users may subscribe and write without having been added by the local user */
};

struct policy_verdict {
	bool allow;
	enum reason reason;                   /* REASON_NONE when allowed */
	const struct policy_partner *partner; /* of the snapshot; NULL when the remote domain is not a partner */
	uint32_t home;                        /* index of the local domain's home; UINT32_MAX when not local */
	unsigned flags;                       /* POLICY_HIDE_NOTE ...; meaningful when allowed */
	size_t n_steps;
	struct policy_step steps[POLICY_STEPS_MAX]; /* in order of evaluation; a refusal is the last one */
};

/* Fills *ret wholly. Pointers in it live as long as the snapshot and the question's slices. Slices of a question are not
 * kept elsewhere. */
void policy_decide(const struct snapshot *s, const struct policy_question *q, struct policy_verdict *ret);

/* The rules in order of evaluation, for documentation and tests. */
struct policy_rule_info {
	const char *id;
	const char *help; /* one line */
};
size_t policy_rule_count(void);
struct policy_rule_info policy_rule_info(size_t index);

/* "message" "presence-subscribe" "presence-probe" "presence-state" "iq" "stream"; "to-local" "to-remote"; "skip" "pass"
 * "deny". */
const char *policy_kind_name(enum policy_kind k);
bool policy_kind_parse(enum policy_kind *ret, struct slice text);
const char *policy_direction_name(enum policy_direction d);
const char *policy_outcome_name(enum policy_outcome o);
