/* SPDX-License-Identifier: Apache-2.0 */
/* Private to this room: what documents and streams share. An expat parser whose memory is capped and accounted, and the builder
 * that turns its events into a tree in an arena. */
#pragma once
#include <expat.h>
#include "base/buf.h"
#include "xmpp/xml.h"
#include "xmpp/xml_stream.h"

/* Between namespace and local name in expat's names: no XML character, so no peer can forge it. */
enum { XML_SEP = '\x01' };

/* The memory of one parser. expat's hooks carry no argument, so the account in use is a thread-local that xml_mem_enter sets and
 * xml_mem_leave puts back; every call into expat that may allocate stands between the two. */
struct xml_mem {
	size_t used, max;
};
struct xml_mem *xml_mem_enter(struct xml_mem *m);
void xml_mem_leave(struct xml_mem *before);

/* encoding NULL: as declared. NULL when the cap is too small even for an empty parser. */
XML_Parser xml_parser_new(struct xml_mem *m, const char *encoding);
/* What a parser needs for elements of this size, and room for the names that it remembers for good. */
size_t xml_parser_memory(const struct xml_limits *lim);

struct xml_builder {
	struct xml_limits lim;
	struct arena *arena;
	struct xml_node *root, *cur;
	size_t depth, nodes; /* of the tree being built */
	struct buf text;     /* the current run, until a tag ends it */
};

void xml_builder_init(struct xml_builder *b, const struct xml_limits *lim);
void xml_builder_free(struct xml_builder *b);
/* Starts anew in this arena. */
void xml_builder_begin(struct xml_builder *b, struct arena *a);
/* Each returns XML_FAULT_NONE, or XML_FAULT_TOO_BIG at a limit. `decls` counts the namespace declarations of the tag. */
enum xml_fault xml_builder_start(struct xml_builder *b, const char *name, const char **atts, size_t decls);
enum xml_fault xml_builder_text(struct xml_builder *b, const char *p, size_t len);
/* True in *done when the root is complete. */
enum xml_fault xml_builder_end(struct xml_builder *b, bool *done);
