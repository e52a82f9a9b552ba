/* SPDX-License-Identifier: Apache-2.0 */
/* The three stanzas (RFC 6120 8): what a node is, its addresses, its type; skeletons of new ones and of answers; delay stamps.
 * Pure, any thread. Results point into the stanza or the arena. */
#pragma once
#include "xmpp/jid.h"
#include "xmpp/ns.h"
#include "xmpp/xml.h"

enum stanza_kind { STANZA_NONE, STANZA_MESSAGE, STANZA_PRESENCE, STANZA_IQ };

enum stanza_type {
	STANZA_TYPE_UNKNOWN, /* a value that this kind of stanza does not have; or an iq without one */
	STANZA_TYPE_ERROR,
	/* message (absent and unknown values read as NORMAL, RFC 6121 5.2.2) */
	STANZA_TYPE_NORMAL, STANZA_TYPE_CHAT, STANZA_TYPE_GROUPCHAT, STANZA_TYPE_HEADLINE,
	/* presence (absent reads as AVAILABLE) */
	STANZA_TYPE_AVAILABLE, STANZA_TYPE_UNAVAILABLE, STANZA_TYPE_SUBSCRIBE, STANZA_TYPE_SUBSCRIBED, STANZA_TYPE_UNSUBSCRIBE,
	STANZA_TYPE_UNSUBSCRIBED, STANZA_TYPE_PROBE,
	/* iq */
	STANZA_TYPE_GET, STANZA_TYPE_SET, STANZA_TYPE_RESULT,
};

/* STANZA_NONE unless the name is one of the three and the namespace is jabber:server. */
enum stanza_kind stanza_kind(const struct xml_node *n);
enum stanza_type stanza_type(const struct xml_node *n);
/* "message", "presence", "iq"; "" for none. */
const char *stanza_kind_name(enum stanza_kind k);
/* The attribute value; "" where the attribute is left out (AVAILABLE, NORMAL, UNKNOWN). */
const char *stanza_type_name(enum stanza_type t);

/* Raw attribute values; p == NULL when absent. */
static inline struct slice stanza_from(const struct xml_node *n)
{
	return xml_attr(n, S("from"));
}
static inline struct slice stanza_to(const struct xml_node *n)
{
	return xml_attr(n, S("to"));
}
static inline struct slice stanza_id(const struct xml_node *n)
{
	return xml_attr(n, S("id"));
}

/* Everything that routing needs, read in one pass. kind NONE: nothing else is set. */
struct stanza {
	const struct xml_node *node;
	enum stanza_kind kind;
	enum stanza_type type;
	struct slice id;          /* p == NULL when absent */
	struct slice from_text, to_text;
	struct xmpp_jid from, to; /* full.p == NULL when absent or malformed */
	int from_rc, to_rc;       /* 0; ENTENTE_ENOTFOUND when absent; the error of xmpp_jid_parse */
};
void stanza_read(struct stanza *ret, struct arena *a, const struct xml_node *n);

/* The only child element of an iq get or set (RFC 6120 8.2.3); NULL when there is none or more than one. */
struct xml_node *stanza_payload(const struct xml_node *iq);
/* True when the stanza must never be answered: type error, an iq result, or not a stanza (RFC 6120 8.3.1). */
bool stanza_final(const struct xml_node *n);

/* A new stanza in jabber:server. Empty slices leave the attribute out. */
struct xml_node *stanza_new(struct arena *a, enum stanza_kind kind, enum stanza_type type, struct slice from, struct slice to,
	struct slice id);
/* An empty iq result: from and to swapped, same id. Add the payload to it. NULL unless `iq` is an iq of type get or set.
 * Attribute values are shared with `iq`, which must outlive the arena's use or live in it. */
struct xml_node *stanza_result(struct arena *a, const struct xml_node *iq);

/* The text of the child element `name` in the stanza's own namespace (body, subject, status, show); of several the one in `lang`
 * or else the first. p == NULL for none. */
struct slice stanza_child_text(const struct xml_node *n, struct arena *a, struct slice name, struct slice lang);

/* Serialises for a stream between servers: default namespace jabber:server, prefix stream bound, db when `dialback`. */
void stanza_write(struct buf *b, const struct xml_node *n, bool dialback);

/* ---- XEP-0203 delayed delivery, XEP-0082 date and time */
/* "2026-11-21T14:05:06Z", optional fraction, Z or an offset. False when malformed; *ret_ms is milliseconds since 1970 (UTC).
 * Years 1970..9999; a leap second counts as the next second's start. */
bool stanza_time_parse(struct slice s, int64_t *ret_ms);
/* UTC, milliseconds only when not zero. */
struct slice stanza_time_format(struct arena *a, int64_t unix_ms);
/* The <delay/> of a stanza; of several the earliest. False when there is none that is well-formed. */
bool stanza_delay_read(const struct xml_node *n, int64_t *ret_ms);
/* Adds <delay/>; `from` is who delayed it, may be empty. */
void stanza_delay_add(struct arena *a, struct xml_node *n, int64_t unix_ms, struct slice from);
