/* SPDX-License-Identifier: Apache-2.0 */
/* Namespace names, in one place. */
#pragma once
#include "base/slice.h"

/* RFC 6120 */
#define XMPP_NS_SERVER S("jabber:server")
#define XMPP_NS_CLIENT S("jabber:client")
#define XMPP_NS_STREAM S("http://etherx.jabber.org/streams")
#define XMPP_NS_STREAMS S("urn:ietf:params:xml:ns:xmpp-streams") /* conditions of stream errors */
#define XMPP_NS_STANZAS S("urn:ietf:params:xml:ns:xmpp-stanzas") /* conditions of stanza errors */
#define XMPP_NS_TLS S("urn:ietf:params:xml:ns:xmpp-tls")
#define XMPP_NS_SASL S("urn:ietf:params:xml:ns:xmpp-sasl")
/* RFC 6121 */
#define XMPP_NS_ROSTER S("jabber:iq:roster")
/* streams between servers: XEP-0220, 0288, 0198, 0478, 0114 */
#define XMPP_NS_DIALBACK S("jabber:server:dialback")
#define XMPP_NS_DIALBACK_FEATURE S("urn:xmpp:features:dialback")
#define XMPP_NS_BIDI S("urn:xmpp:bidi")
#define XMPP_NS_BIDI_FEATURE S("urn:xmpp:features:bidi")
#define XMPP_NS_SM S("urn:xmpp:sm:3")
#define XMPP_NS_LIMITS S("urn:xmpp:stream-limits:0")
#define XMPP_NS_ERRORS S("urn:xmpp:errors")
#define XMPP_NS_COMPONENT S("jabber:component:accept")
/* discovery and small services: XEP-0030, 0115, 0092, 0199, 0202, 0054, 0153 */
#define XMPP_NS_DISCO_INFO S("http://jabber.org/protocol/disco#info")
#define XMPP_NS_DISCO_ITEMS S("http://jabber.org/protocol/disco#items")
#define XMPP_NS_CAPS S("http://jabber.org/protocol/caps")
#define XMPP_NS_VERSION S("jabber:iq:version")
#define XMPP_NS_PING S("urn:xmpp:ping")
#define XMPP_NS_TIME S("urn:xmpp:time")
#define XMPP_NS_LAST S("jabber:iq:last")
#define XMPP_NS_VCARD S("vcard-temp")
#define XMPP_NS_VCARD_UPDATE S("vcard-temp:x:update")
#define XMPP_NS_DATA S("jabber:x:data")
#define XMPP_NS_PUBSUB S("http://jabber.org/protocol/pubsub")
#define XMPP_NS_PUBSUB_EVENT S("http://jabber.org/protocol/pubsub#event")
/* messages: XEP-0085, 0184, 0203, 0071, 0308, 0280, 0333, 0334, 0359, 0066, 0045 */
#define XMPP_NS_CHATSTATES S("http://jabber.org/protocol/chatstates")
#define XMPP_NS_RECEIPTS S("urn:xmpp:receipts")
#define XMPP_NS_DELAY S("urn:xmpp:delay")
#define XMPP_NS_XHTML_IM S("http://jabber.org/protocol/xhtml-im")
#define XMPP_NS_XHTML S("http://www.w3.org/1999/xhtml")
#define XMPP_NS_CORRECT S("urn:xmpp:message-correct:0")
#define XMPP_NS_CARBONS S("urn:xmpp:carbons:2")
#define XMPP_NS_MARKERS S("urn:xmpp:chat-markers:0")
#define XMPP_NS_HINTS S("urn:xmpp:hints")
#define XMPP_NS_SID S("urn:xmpp:sid:0")
#define XMPP_NS_OOB S("jabber:x:oob")
#define XMPP_NS_MUC S("http://jabber.org/protocol/muc")
#define XMPP_NS_MUC_USER S("http://jabber.org/protocol/muc#user")
#define XMPP_NS_CONFERENCE S("jabber:x:conference")
/* presence: XEP-0172 (nick), 0256 (last activity in presence), 0319 (idle) */
#define XMPP_NS_NICK S("http://jabber.org/protocol/nick")
#define XMPP_NS_IDLE S("urn:xmpp:idle:1")
