/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to the objects that the tests translate. A fixture that does not parse ends the test. */
#pragma once
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sip/msg.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

static inline struct sip_msg *parse_sip(struct arena *a, struct slice raw)
{
	struct sip_msg *m = NULL;
	struct sip_fault fault = {0};
	if (sip_msg_parse(&m, a, raw, &sip_limits_default, &fault) != 0)
		fail_msg("fixture: %s in\n%.*s", fault.text, SFMT(raw));
	return m;
}

static inline struct xml_node *parse_xml(struct arena *a, struct slice doc)
{
	struct xml_node *n = NULL;
	struct entente_err err = {0};
	if (xml_parse(&n, a, doc, &xml_limits_default, &err) != 0)
		fail_msg("not well-formed: %s in\n%.*s", err.text, SFMT(doc));
	return n;
}

static inline struct xmpp_jid parse_jid(struct arena *a, const char *text)
{
	struct xmpp_jid j;
	if (xmpp_jid_parse(&j, a, slice_str(text)) != 0)
		fail_msg("fixture: %s is no JID", text);
	return j;
}
