/* SPDX-License-Identifier: Apache-2.0 */
/* The XML of one stream: bytes in, the stream header and then complete first-level elements out. A new parser is made at each
 * stream restart (RFC 6120 4.3.3). Not thread-safe.
 *
 * One bad element need not end a stream that many use: what exceeds a limit can be skipped, and what the parser remembers of
 * names for good is dropped from time to time, between two elements, so that no sequence of elements exhausts its memory. A
 * single tag that does still ends the stream. */
#pragma once
#include "xmpp/xml.h"

enum xml_fault { /* which stream error fits (RFC 6120 4.9.3) */
	XML_FAULT_NONE,
	XML_FAULT_NOT_WELL_FORMED, /* also octets that are not UTF-8 */
	XML_FAULT_RESTRICTED,      /* comment, processing instruction, DOCTYPE */
	XML_FAULT_TOO_BIG,         /* policy-violation: a limit of struct xml_limits, the arena's, or the parser's memory */
	XML_FAULT_ENCODING,        /* unsupported-encoding: another one declared, or UTF-16 octets */
	XML_FAULT_BAD_FORMAT,      /* text between first-level elements */
};

struct xml_stream_ops {
	/* The opening tag: `header` has attributes but no children; default_ns is the default namespace declared on it (p == NULL
	 * for none). Prefix declarations appear as attributes in the namespace XML_NS_XMLNS, named after the prefix. The arena is
	 * the parser's own: copy what must stay. */
	void (*open)(void *arg, const struct xml_node *header, struct slice default_ns);
	/* A complete first-level element. Ownership of the arena that holds it passes to the callee. */
	void (*element)(void *arg, struct xml_node *el, struct arena *a);
	/* The closing tag of the stream. */
	void (*close)(void *arg);
	/* A first-level element that exceeded a limit and was skipped (max_skip): its own tag alone, of its attributes only those
	 * without a namespace that are called from, to, id and type. Ownership of the arena passes. NULL: such an element ends
	 * the stream. */
	void (*oversize)(void *arg, struct xml_node *el, struct arena *a);
};

#define XML_NS_XMLNS S("http://www.w3.org/2000/xmlns/")

struct xml_stream;

/* `pool` gives an arena per element. Limits may be changed later (after authentication). */
struct xml_stream *xml_stream_new(const struct xml_stream_ops *ops, void *arg, struct arena_pool *pool,
	const struct xml_limits *lim);
/* Accepts NULL. Not from inside a callback: use xml_stream_stop there. */
struct xml_stream *xml_stream_free(struct xml_stream *x);
void xml_stream_set_limits(struct xml_stream *x, const struct xml_limits *lim);
/* From inside a callback: no further callback is made and feed returns how far it came. Used on STARTTLS and SASL success, where
 * a new parser must take over. Final: later feeds consume nothing. From outside: the same, nothing more is consumed. */
void xml_stream_stop(struct xml_stream *x);
bool xml_stream_stopped(const struct xml_stream *x);
/* The stream is silent: between two elements the parser is freed, and made anew from the header (which is kept) when more comes
 * than white space. Anywhere else, and when called from a callback, nothing happens. Never changes what comes out. Returns
 * whether there is no parser now. */
bool xml_stream_rest(struct xml_stream *x);
/* Feeds bytes. Returns 0 or a negative error with *fault set (the parser is dead then: each later feed answers the same).
 * *consumed tells how many octets were used: all unless stopped; the rest belongs to whoever takes over. White space before the
 * header, between elements and after the end is accepted silently. ENTENTE_ESYNTAX, or ENTENTE_ELIMIT for XML_FAULT_TOO_BIG;
 * err->reason XMPP_MALFORMED. consumed, fault and err may be NULL. Not from inside a callback. How the bytes are cut into feeds
 * never changes what comes out (but text between elements that is not well-formed either may be called by either fault; and a tag
 * of more than 4 KiB that comes in small pieces may be looked at a little later, or with very many of them refused as
 * TOO_BIG; and an element that is both beyond a limit and not well-formed may be skipped or be the end). */
int xml_stream_feed(struct xml_stream *x, struct slice bytes, size_t *consumed, enum xml_fault *fault, struct entente_err *err);
