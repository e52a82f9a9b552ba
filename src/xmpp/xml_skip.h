/* SPDX-License-Identifier: Apache-2.0 */
/* Private to this room: finds the end of an element that is not wanted, without building or remembering anything of it. Exact for
 * well-formed XML; of malformed XML it sees what it stumbles over. */
#pragma once
#include "xmpp/xml_stream.h"

struct xml_skip {
	size_t depth;        /* elements that are open; 0: over */
	unsigned char state, matched;
};

/* `depth` elements are open, and what comes next is content of the innermost, `cdata`: in the middle of a CDATA section. */
void xml_skip_begin(struct xml_skip *k, size_t depth, bool cdata);
/* Consumes up to the end of the outermost element. *ret_used: how many octets. */
enum xml_fault xml_skip_feed(struct xml_skip *k, struct slice in, size_t *ret_used);
