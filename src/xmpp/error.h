/* SPDX-License-Identifier: Apache-2.0 */
/* Stanza errors (RFC 6120 8.3) and stream errors (4.9): names, recommended types, elements. */
#pragma once
#include "xmpp/ns.h"
#include "xmpp/xml.h"

/* A reply of type error to `stanza`: same name and id, from and to swapped, <error/> with condition, type, text (when not empty),
 * by (when not empty). NULL when the stanza is itself an error, or an iq result: those are never answered (RFC 6120 8.3.1). */
struct xml_node *xmpp_error_reply(struct arena *a, const struct xml_node *stanza, struct slice type, struct slice condition,
				  struct slice text, struct slice by);
/* Reads the <error/> of a stanza: condition ("undefined-condition" when unknown or missing), type, human text and for
 * gone/redirect the address in the condition's character data. A number alone (XEP-0086) is understood. A missing type is filled
 * from the condition; text, address and by may be empty. */
struct xmpp_error {
	struct slice condition, type, text, address, by;
};
void xmpp_error_read(struct arena *a, const struct xml_node *stanza, struct xmpp_error *ret);

/* The error type that goes with a defined condition (RFC 6120 8.3.3): "cancel" for unknown ones. */
const char *xmpp_error_type(struct slice condition);
/* True for the conditions of RFC 6120 8.3.3 and 4.9.3. */
bool xmpp_condition_known(struct slice condition);
bool xmpp_stream_condition_known(struct slice condition);

/* <stream:error/> with the condition, English text (when not empty) and, for see-other-host, the address. */
struct xml_node *xmpp_stream_error(struct arena *a, struct slice condition, struct slice text, struct slice host);
/* Reads one; names of RFC 3920 are turned into today's (xml-not-well-formed, invalid-id), others that are unknown into
 * "undefined-condition". type and by are empty; address is the host of see-other-host. */
void xmpp_stream_error_read(struct arena *a, const struct xml_node *error, struct xmpp_error *ret);
