/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: may this message, presence, IQ, stream or request pass between a local user and an XMPP or SIP partner? Pure function
 * of a snapshot and a question: the data path, `entente explain` and policy tests call the same one. Deny by default: the rules of
 * one table run in order, the first that refuses ends it, and only a question that passes all of them is allowed.
 * Any thread, no allocation, no clock. */
#pragma once
#include "base/reason.h"
#include "policy/external.h"
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
	POLICY_SESSION,            /* SIP partners only: INVITE and what belongs to its dialog */
	POLICY_REQUEST,            /* SIP partners only: any other request */
	POLICY_KIND_COUNT
};
enum policy_direction { POLICY_TO_LOCAL, POLICY_TO_REMOTE };
/* Has the local user the remote one as contact? */
enum policy_contact { POLICY_CONTACT_UNKNOWN, POLICY_CONTACT_NO, POLICY_CONTACT_YES };

struct policy_party {
	/* Empty for a domain address. Of the local party (policy_question.user, if that is given): the local part of the address as user records have it (policy/external.h: of the
	 * prepared bare JID, whatever the network); of the remote one: not interpreted. */
	struct slice user;
	struct slice domain; /* A-labels, any case */
};

/* ---- SIP partners ---- */
/* What is known of the SRV records _sipfederationtls._tcp of the remote domain. */
enum policy_srv { POLICY_SRV_UNASKED, POLICY_SRV_FOUND, POLICY_SRV_NONE, POLICY_SRV_FAILED };
/* Is the message marked by its sender's edge (ms-asserted-verification-level)? */
enum policy_mark { POLICY_MARK_NONE, POLICY_MARK_VERIFIED, POLICY_MARK_UNVERIFIED };

/* The outside connection of a request, and what the request says of its sender. */
struct policy_sip {
	bool connected;              /* false (POLICY_TO_REMOTE only): where shall the connection go? Names are not looked at */
	bool chain_ok;               /* the certificate is trusted for the purpose "server" */
	const struct slice *uris;    /* its names: hosts of sip: URIs without user (RFC 5922 7.1) */
	size_t n_uris;
	const struct slice *dns;     /* dNSName */
	size_t n_dns;
	struct slice cn;             /* only when it has no subjectAltName, else empty */
	struct slice host;           /* POLICY_TO_REMOTE: the name whose address was connected to */
	enum policy_srv srv;
	const struct slice *targets; /* FOUND: SRV target names */
	size_t n_targets;
	enum policy_mark mark;
	const struct slice *asserted; /* hosts of P-Asserted-Identity (sip) */
	size_t n_asserted;
	bool media; /* a session that asks for audio or video, or does not say for what */
};

/* Lync's classes of SIP partners. */
enum policy_class {
	POLICY_CLASS_NONE, POLICY_CLASS_DEFAULT_ROUTE, POLICY_CLASS_ALLOWED_SERVER, POLICY_CLASS_ALLOWED_DOMAIN, POLICY_CLASS_HOSTING,
	POLICY_CLASS_PUBLIC, POLICY_CLASS_SHARED /* a hosting provider, for a user of our own domain */, POLICY_CLASS_DISCOVERED,
};
/* By which rule the certificate proved the partner. RFC5922: it names the domain itself. EDGE: it names a server that the domain's SRV
 * record names, directly below the domain. FIXED, PROVIDER: it names the configured server. */
enum policy_identity { POLICY_ID_NONE, POLICY_ID_RFC5922, POLICY_ID_EDGE, POLICY_ID_FIXED, POLICY_ID_PROVIDER };

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
	/* POLICY_TO_REMOTE, SIP: it comes from another partner, not from a home: the second half of a clearing house's question, after the same
	 * request was allowed POLICY_TO_LOCAL with transit in the verdict. */
	bool transit;
	/* POLICY_TO_LOCAL, SIP: the user of ours that the home would take it to, with the domain; NULL: `to`. */
	const struct policy_party *user;
	/* Not NULL: the remote side is a SIP partner; `peer` is then not looked at. */
	const struct policy_sip *sip;
};

enum policy_outcome { POLICY_SKIP, POLICY_PASS, POLICY_DENY }; /* SKIP: the rule does not concern this question */

struct policy_step {
	const char *rule;     /* stable ID of the rule, e.g. "partner-enabled"; static */
	const char *detail;   /* one English clause, no final stop; static */
	struct slice subject; /* what it was about (a domain, a home); may be empty; borrowed from question or snapshot */
	enum policy_outcome outcome;
};

enum { POLICY_STEPS_MAX = 16 };

/* What the external access policy lacks for the question. */
enum { POLICY_LACKS_FEDERATION = 1, POLICY_LACKS_XMPP = 2, POLICY_LACKS_PUBLIC = 4, POLICY_LACKS_PUBLIC_AV = 8 };

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
	/* SIP partners */
	enum policy_class cls;
	enum policy_identity identity;
	const struct policy_allowed *allowed;   /* that covers the remote domain, or NULL */
	const struct policy_provider *provider; /* or NULL */
	struct slice route;  /* the one server to connect to; empty: what DNS SRV names for the remote domain */
	/* Refused only because sip.srv is POLICY_SRV_UNASKED: ask DNS for it, then ask again. reason is SIP_DNS. */
	bool need_srv;
	bool verified;       /* the sender's user is vouched for; false: it reaches only users who have it as contact */
	bool transit;        /* clearing house: sender and recipient are both partners; with TO_LOCAL the other half is still to be asked */
	const struct policy_external *external; /* that holds for the local user; NULL: it was not looked at, or does not exist */
	unsigned lacks;      /* POLICY_LACKS_...: with reason POLICY_USER_DENIED, what `external` does not allow */
	uint32_t rate, max_contacts; /* of a discovered partner; 0: no limit */
	size_t n_steps;
	struct policy_step steps[POLICY_STEPS_MAX]; /* in order of evaluation; a refusal is the last one */
};

/* Fills *ret wholly. Pointers in it live as long as the snapshot and the question's slices. Slices of a question are not
 * kept elsewhere. */
void policy_decide(const struct snapshot *s, const struct policy_question *q, struct policy_verdict *ret);

/* The decision as it is acted upon, in both directions, asked by the Access Edge of each request and by `entente explain`: whether the local user has the
 * remote one as contact is looked up only where it counts (q->has_contact is set then; `contact` may be NULL: no). */
void policy_decide_request(const struct snapshot *s, struct policy_question *q, bool (*contact)(void *arg), void *arg, struct policy_verdict *ret);

/* The rules "certificate" and "identity" alone: does this outgoing connection (of policy_sip; TO_REMOTE) prove that it leads to `remote`? `fixed`: the
 * one server that is believed, as of an allowed server or a provider; empty: by the domain or its SRV record. Fills *ret wholly: allow, reason,
 * identity, need_srv, steps. */
void policy_sip_prove(const struct policy_sip *sip, struct slice remote, struct slice fixed, struct policy_verdict *ret);
/* Lync's rule for a server that DNS names: directly below the domain, one label more and no other. */
bool policy_sip_below(struct slice host, struct slice domain);

/* The rules in order of evaluation, for documentation and tests. */
struct policy_rule_info {
	const char *id;
	const char *help; /* one line */
};
size_t policy_rule_count(void);
struct policy_rule_info policy_rule_info(size_t index);
/* Those for SIP partners. */
size_t policy_sip_rule_count(void);
struct policy_rule_info policy_sip_rule_info(size_t index);

/* What belongs to the remote domain of a request of a home: an XMPP partner (or nobody: policy_decide tells why), or the Access
 * Edge: the domain is no XMPP partner's, and is not ours (unless a provider shares our address space); and federation is on, or it is
 * only the switch that keeps the domain from being a SIP partner's. */
bool policy_is_sip(const struct snapshot *s, struct slice remote);
/* "allowed-server" "discovered" ...; "rfc5922" "edge" ... */
const char *policy_class_name(enum policy_class c);
const char *policy_identity_name(enum policy_identity i);

/* "message" "presence-subscribe" "presence-probe" "presence-state" "iq" "stream" "session" "request"; "to-local" "to-remote"; "skip" "pass"
 * "deny". */
const char *policy_kind_name(enum policy_kind k);
bool policy_kind_parse(enum policy_kind *ret, struct slice text);
const char *policy_direction_name(enum policy_direction d);
const char *policy_outcome_name(enum policy_outcome o);
