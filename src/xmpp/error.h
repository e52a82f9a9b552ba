/* SPDX-License-Identifier: Apache-2.0 */
/* Stanza errors (RFC 6120 8.3) and stream errors (4.9): names, recommended types, elements. */
#pragma once
#include "xmpp/xml.h"

#define XMPP_NS_STANZAS S("urn:ietf:params:xml:ns:xmpp-stanzas")
#define XMPP_NS_STREAMS S("urn:ietf:params:xml:ns:xmpp-streams")
#define XMPP_NS_SERVER S("jabber:server")

/* A reply of type error to `stanza`: same name and id, from and to swapped, <error/> with condition, type, text (when not empty), by (when not empty).
 * NULL when the stanza is itself an error, or an iq result: those are never answered (RFC 6120 8.3.1). */
struct xml_node *xmpp_error_reply(struct arena *a, const struct xml_node *stanza, struct slice type, struct slice condition,
				  struct slice text, struct slice by);
/* Reads the <error/> of a stanza: condition ("undefined-condition" when unknown or missing), type, human text and for gone/redirect the
 * address in the condition's character data. All may be empty but the condition. */
struct xmpp_error {
	struct slice condition, type, text, address, by;
};
void xmpp_error_read(struct arena *a, const struct xml_node *stanza, struct xmpp_error *ret);
