/* SPDX-License-Identifier: Apache-2.0 */
/* XML as XMPP uses it (RFC 6120 11): expat, wrapped. Namespaces are resolved, the tree lives in an arena. Refused: DOCTYPE,
 * processing instructions, comments, entities beyond the five, encodings other than UTF-8 (a document reader may allow more). A
 * parser's memory is capped. Not thread-safe per parser. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct xml_attr {
	struct slice ns; /* empty for an unprefixed attribute */
	struct slice name, value;
	struct xml_attr *next;
};

/* An element, or a run of text (name.p == NULL, only `text`, `parent` and `next` set). */
struct xml_node {
	struct slice ns, name; /* ns: len 0 for none */
	struct slice text;
	struct xml_attr *attrs;
	struct xml_node *parent, *first, *last, *next;
	bool broken; /* the arena was exhausted below here: writing it fails */
};

struct xml_limits {
	size_t max_bytes;   /* one first-level element (stream) or the document */
	size_t max_depth;   /* the first-level element (or the root of a document) is 1 */
	size_t max_attrs;   /* of one element, namespace declarations included */
	size_t max_children; /* elements and texts of one first-level element, in all */
	size_t max_skip;     /* stream: an element beyond one of these is skipped while it has no more than so many octets beyond
				max_bytes; 0: the stream ends at any limit */
};
/* 256 KiB, 64, 64, 4096. */
extern const struct xml_limits xml_limits_default;

/* ---- whole documents (PIDF, rosters) */
/* Parses a complete document; the root is in *ret. Also accepts a declared encoding that expat knows (ISO-8859-1, UTF-16,
 * US-ASCII), and skips comments and processing instructions. 0, ENTENTE_ESYNTAX (err->reason XMPP_MALFORMED with expat's text),
 * ENTENTE_ELIMIT. */
int xml_parse(struct xml_node **ret, struct arena *a, struct slice doc, const struct xml_limits *lim, struct entente_err *err);

/* ---- reading */
/* First child element with this name (and this namespace unless ns.p is NULL), or NULL. */
struct xml_node *xml_child(const struct xml_node *n, struct slice name, struct slice ns);
/* The next sibling with the same name and namespace as n, or NULL. */
struct xml_node *xml_next_same(const struct xml_node *n);
/* Value of an unprefixed attribute; p == NULL when absent. */
struct slice xml_attr(const struct xml_node *n, struct slice name);
struct slice xml_attr_ns(const struct xml_node *n, struct slice ns, struct slice name);
/* All text directly under n, joined in the arena when it is in several runs; empty slice with p != NULL for none. p == NULL: it is
 * lost, as the arena is exhausted. */
struct slice xml_text(const struct xml_node *n, struct arena *a);
bool xml_is(const struct xml_node *n, struct slice name, struct slice ns);
#define XML_NS_XML S("http://www.w3.org/XML/1998/namespace")
/* xml:lang of n or its nearest ancestor, p == NULL for none. */
struct slice xml_lang(const struct xml_node *n);
/* The first child that is an element, the next sibling that is one; NULL for none. */
struct xml_node *xml_first(const struct xml_node *n);
struct xml_node *xml_next(const struct xml_node *n);

/* ---- building trees (all slices must outlive the arena or be duplicated by the caller) */
struct xml_node *xml_new(struct arena *a, struct slice name, struct slice ns);
/* Appends a new child; ns.p == NULL takes the namespace of the parent. */
struct xml_node *xml_add(struct arena *a, struct xml_node *parent, struct slice name, struct slice ns);
/* Sets an unprefixed attribute, replacing an earlier value; does nothing when value.p is NULL. */
void xml_set(struct arena *a, struct xml_node *n, struct slice name, struct slice value);
void xml_set_ns(struct arena *a, struct xml_node *n, struct slice ns, struct slice name, struct slice value);
void xml_set_lang(struct arena *a, struct xml_node *n, struct slice lang); /* skipped when empty */
void xml_add_text(struct arena *a, struct xml_node *n, struct slice text); /* skipped when empty */
/* Appends a node that stands in no tree yet (copy it first when it does). A NULL child marks the parent as broken. */
void xml_append(struct xml_node *parent, struct xml_node *child);
/* A copy of the whole subtree that shares nothing with the original; parent and next are NULL. An inherited xml:lang is not
 * added. NULL when the arena is exhausted. */
struct xml_node *xml_copy(struct arena *a, const struct xml_node *n);
/* (All of these accept NULL parents from an exhausted arena and do nothing; the loss is remembered in the tree and xml_write then
 * fails the buffer, so that only the final buf_ok() needs a look.) */

/* ---- writing */
/* Serialises n. `ns_context` is the default namespace in force where it will stand; xmlns is written where it changes. Characters
 * that XML forbids (C0 controls but TAB LF CR, U+FFFE, U+FFFF, malformed UTF-8) are written as U+FFFD. */
void xml_write(struct buf *b, const struct xml_node *n, struct slice ns_context);
/* The same inside an element that binds prefixes (the stream header): elements of those namespaces are written with the
 * prefix. */
struct xml_prefix {
	struct slice prefix, ns;
};
void xml_write_in(struct buf *b, const struct xml_node *n, struct slice ns_context, const struct xml_prefix *prefixes,
	size_t n_prefixes);
/* Both: all or nothing. When the buffer's limit is hit, n is NULL or a node is broken, b->failed is set and the contents are as
 * before. Attributes in a namespace get a generated prefix. Names are written as they are: only the parser and literals may make
 * them. */

/* Escaped for text and for attribute values in either quote, with the same replacement. */
void xml_escape(struct buf *b, struct slice s);
/* True when every character is allowed by XML 1.0 and the UTF-8 is well-formed. */
bool xml_text_legal(struct slice s);
