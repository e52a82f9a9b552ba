/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule is one small function that looks at the question, says what it saw and refuses or not; the table at the end is the
 * policy. The order matters to what a stranger can learn: who is not a partner is refused before our domains are looked at. */
#include "policy/decide.h"

#include "policy/decide_int.h"

static bool same_domain(struct slice a, struct slice b)
{
	struct policy_domain x, y;
	return policy_domain_make(&x, a) && policy_domain_make(&y, b) &&
	       slice_eq(policy_domain_slice(&x), policy_domain_slice(&y));
}

bool policy_judge(struct judge *j, const struct policy_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum policy_outcome o = rules[i].judge(j);
		j->v->steps[j->v->n_steps++] = (struct policy_step){rules[i].id, j->detail, j->subject, o};
		if (o == POLICY_DENY)
			return false;
	}
	return true;
}

enum policy_outcome policy_judge_domains(struct judge *j)
{
	if (!j->from_is)
		return deny(j, REASON_ADDRESS_MALFORMED, "the sender's domain is malformed", j->q->from.domain);
	if (!j->to_is)
		return deny(j, REASON_ADDRESS_MALFORMED, "the recipient's domain is malformed", j->q->to.domain);
	return pass(j, "both domains are well-formed", SLICE_NONE);
}

enum policy_outcome policy_judge_home(struct judge *j)
{
	const struct policy_home *h = snapshot_home(j->s, j->v->home);
	if (!j->q->peer_home)
		return skip(j, "which home the connection belongs to is not known");
	if (j->q->peer_home - 1 != j->v->home)
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "the sender's domain belongs to another home", h->name);
	return pass(j, "the connection belongs to the sender's home", h->name);
}

enum policy_outcome policy_judge_blocked(struct judge *j)
{
	struct slice b = snapshot_blocked(j->s, j->remote);
	if (b.p)
		return deny(j, REASON_POLICY_DOMAIN_BLOCKED, "the domain, or one above it, is blocked", b);
	return pass(j, "no blocked domain covers it", j->remote);
}

static enum policy_outcome rule_address(struct judge *j)
{
	if (j->q->kind == POLICY_SESSION || j->q->kind == POLICY_REQUEST)
		return deny(j, REASON_SIP_SESSION, "only messages, presence and IQ cross to XMPP partners", SLICE_NONE);
	if (j->q->kind >= POLICY_KIND_COUNT || j->q->direction > POLICY_TO_REMOTE)
		return deny(j, REASON_SERVER_INTERNAL, "the question itself is malformed", SLICE_NONE);
	return policy_judge_domains(j);
}

static enum policy_outcome rule_loop(struct judge *j)
{
	if (inbound(j))
		return skip(j, "concerns only what comes from a home");
	if (j->from.partner)
		return deny(j, REASON_POLICY_LOOP, "a home sends in the name of an XMPP partner: it was translated before",
			    j->q->from.domain);
	if (j->to.ours)
		return deny(j, REASON_POLICY_LOOP, "a home sends to one of our own domains", j->q->to.domain);
	return pass(j, "sender is no partner, recipient is not ours", SLICE_NONE);
}

static enum policy_outcome rule_sender(struct judge *j)
{
	bool ours = j->from.ours;
	if (inbound(j) && ours)
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "an outside connection uses one of our own domains",
			    j->q->from.domain);
	if (!inbound(j) && !ours)
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "a home sends from a domain that is not ours", j->q->from.domain);
	return pass(j, ours ? "the sender's domain is ours" : "the sender's domain is not ours", j->q->from.domain);
}

static enum policy_outcome rule_identity(struct judge *j)
{
	if (!inbound(j))
		return policy_judge_home(j);
	if (slice_empty(j->q->peer)) {
		if (j->q->kind == POLICY_STREAM)
			return skip(j, "the stream is not authenticated yet");
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "the connection has proved no domain", j->q->from.domain);
	}
	if (!same_domain(j->q->peer, j->q->from.domain))
		return deny(j, REASON_POLICY_SPOOFED_DOMAIN, "the connection has proved another domain", j->q->peer);
	return pass(j, "the connection has proved the sender's domain", j->q->peer);
}

static enum policy_outcome rule_partner_known(struct judge *j)
{
	if (!j->v->partner)
		return deny(j, REASON_POLICY_PARTNER_UNKNOWN, "no partner has this domain", j->remote);
	return pass(j, "the domain belongs to a partner", j->v->partner->domain);
}

static enum policy_outcome rule_partner_enabled(struct judge *j)
{
	if (!j->v->partner->enabled)
		return deny(j, REASON_POLICY_PARTNER_DISABLED, "the partner is disabled", j->v->partner->domain);
	return pass(j, "the partner is enabled", j->v->partner->domain);
}

static enum policy_outcome rule_partner_protocol(struct judge *j)
{
	if (j->v->partner->protocol == POLICY_PROTOCOL_SIP)
		return deny(j, REASON_POLICY_OTHER_PROTOCOL, "the partner is reached by SIP alone", j->v->partner->domain);
	return pass(j, "the partner is reached by this network", slice_str(policy_protocol_name(j->v->partner->protocol)));
}

static enum policy_outcome rule_local_known(struct judge *j)
{
	if (j->v->home == UINT32_MAX && local_of(j)->partner)
		return deny(j, REASON_POLICY_LOCAL_UNKNOWN, "the recipient is another partner: we do not carry between partners",
			    j->local);
	if (j->v->home == UINT32_MAX)
		return deny(j, REASON_POLICY_LOCAL_UNKNOWN, "no home serves this domain", j->local);
	return pass(j, "a home serves the local domain", snapshot_home(j->s, j->v->home)->name);
}

static enum policy_outcome rule_xmpp_access(struct judge *j)
{
	if (!snapshot_gateway(j->s)->xmpp_access)
		return deny(j, REASON_POLICY_XMPP_OFF, "the setting xmpp.access is false", SLICE_NONE);
	return pass(j, "XMPP is on for the organisation", SLICE_NONE);
}

/* Who needs the local user's consent, i.e. to be in the local user's contacts: users of public unverified partners, for all
 * that reaches a local user and for what tells of the local user's presence. */
static enum policy_outcome rule_contact(struct judge *j)
{
	struct slice user = inbound(j) ? j->q->to.user : j->q->from.user;
	if (j->v->partner->type != POLICY_PUBLIC_UNVERIFIED)
		return pass(j, "users of this partner type need no consent",
			    slice_str(policy_partner_type_name(j->v->partner->type)));
	if (j->q->kind == POLICY_STREAM || slice_empty(user))
		return skip(j, "no local user is concerned");
	if (!inbound(j) && j->q->kind != POLICY_PRESENCE_STATE)
		return skip(j, "local users may always start");
	if (j->q->has_contact == POLICY_CONTACT_YES)
		return pass(j, "the local user has the remote user as contact", user);
	return deny(j, REASON_POLICY_NO_CONTACT,
		    j->q->has_contact == POLICY_CONTACT_NO ? "the local user does not have the remote user as contact"
							   : "it is not known that the local user has the remote user as contact",
		    user);
}

static const struct policy_rule rules[] = {
	{"address", rule_address, "both addresses must have a well-formed domain"},
	{"loop", rule_loop, "what comes from a home must not be in the name of a partner, nor go to one of our own domains"},
	{"sender-domain", rule_sender, "our own domains are never accepted from outside; homes send only from our own domains"},
	{"sender-identity", rule_identity, "the connection must have proved the sender's domain, or belong to the sender's home"},
	{"domain-blocked", policy_judge_blocked, "neither the remote domain nor one above it may be on the list of blocked domains"},
	{"partner-known", rule_partner_known, "the remote domain must be a partner's domain or one of its additional domains"},
	{"partner-enabled", rule_partner_enabled, "the partner must be enabled"},
	{"partner-network", rule_partner_protocol, "the partner must be one that is reached by XMPP"},
	{"local-domain", rule_local_known, "a home must serve the local domain"},
	{"xmpp-access", rule_xmpp_access, "the organisation's switch for XMPP must be on"},
	{"external-access", policy_judge_external, "the external access policy of the local user must allow federation and XMPP"},
	{"contact", rule_contact, "users of public unverified partners reach only local users who have them as contact"},
};
enum { N_RULES = sizeof rules / sizeof *rules };
_Static_assert(sizeof rules / sizeof *rules <= POLICY_STEPS_MAX, "each rule needs a step");

static struct policy_whose whose(const struct snapshot *s, struct slice text, bool *ret_is)
{
	struct policy_domain d;
	*ret_is = policy_domain_make(&d, text);
	return *ret_is ? snapshot_whose(s, &d) : (struct policy_whose){.home = UINT32_MAX};
}

void policy_decide(const struct snapshot *s, const struct policy_question *q, struct policy_verdict *ret)
{
	struct judge j = {.s = s, .q = q, .v = ret};
	j.local = q->direction == POLICY_TO_LOCAL ? q->to.domain : q->from.domain;
	j.remote = q->direction == POLICY_TO_LOCAL ? q->from.domain : q->to.domain;
	ret->allow = false;
	ret->reason = REASON_NONE;
	ret->flags = 0;
	ret->cls = POLICY_CLASS_NONE;
	ret->identity = POLICY_ID_NONE;
	ret->allowed = NULL;
	ret->provider = NULL;
	ret->route = SLICE_NONE;
	ret->need_srv = ret->verified = ret->transit = false;
	ret->rate = ret->max_contacts = 0;
	ret->external = NULL;
	ret->lacks = 0;
	ret->n_steps = 0;
	j.from = whose(s, q->from.domain, &j.from_is);
	j.to = whose(s, q->to.domain, &j.to_is);
	ret->home = local_of(&j)->home;
	if (q->sip) {
		ret->partner = NULL;
		policy_decide_sip(&j);
		return;
	}
	ret->partner = remote_of(&j)->partner;
	if (!policy_judge(&j, rules, N_RULES))
		return;
	if (ret->partner->type != POLICY_FEDERATED)
		ret->flags |= POLICY_HIDE_NOTE;
	if (ret->partner->type != POLICY_PUBLIC_UNVERIFIED)
		ret->flags |= POLICY_NO_CONSENT;
	ret->allow = true;
}

size_t policy_rule_count(void)
{
	return N_RULES;
}

struct policy_rule_info policy_rule_info(size_t index)
{
	return (struct policy_rule_info){rules[index].id, rules[index].help};
}

static const char *const kinds[] = {"message", "presence-subscribe", "presence-probe", "presence-state", "iq", "stream",
				   "session", "request"};
_Static_assert(sizeof kinds / sizeof *kinds == POLICY_KIND_COUNT, "a name for each kind");

const char *policy_kind_name(enum policy_kind k)
{
	return k < POLICY_KIND_COUNT ? kinds[k] : "unknown";
}

bool policy_kind_parse(enum policy_kind *ret, struct slice text)
{
	for (int i = 0; i < POLICY_KIND_COUNT; i++)
		if (slice_ieq(slice_str(kinds[i]), text)) {
			*ret = (enum policy_kind)i;
			return true;
		}
	return false;
}

const char *policy_direction_name(enum policy_direction d)
{
	return d == POLICY_TO_LOCAL ? "to-local" : "to-remote";
}

const char *policy_outcome_name(enum policy_outcome o)
{
	return o == POLICY_SKIP ? "skip" : o == POLICY_PASS ? "pass" : "deny";
}
