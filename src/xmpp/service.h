/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway answers by itself: service discovery, entity capabilities, ping, version, vCard, and "service-unavailable" for
 * all other requests, at once and always (RFC 6120 8.2.3, XEP-0030, 0115, 0199, 0092, 0054, 0157). Replies are built in the
 * arena. Pure, any thread. */
#pragma once
#include "xmpp/jid.h"
#include "xmpp/xml.h"

struct xmpp_identity_info { /* of XEP-0030 */
	struct slice category, type, lang, name;
};

enum { XMPP_CAPS_VER = 28 }; /* base64 of SHA-1 */

/* The verification string of XEP-0115 5.1, hashed; NUL-terminated. Order of the input does not matter, duplicates count once. At
 * most 64 of each (the rest is ignored). */
void xmpp_caps_ver(char ret[XMPP_CAPS_VER + 1], const struct xmpp_identity_info *ids, size_t n_ids, const struct slice *features,
		   size_t n_features);

enum { /* what contacts can do beyond the minimum; decides their features and so their caps */
	XMPP_CONTACT_CHATSTATES = 1, /* XEP-0085 */
	XMPP_CONTACT_RECEIPTS = 2,   /* XEP-0184 */
	XMPP_CONTACT_XHTML = 4,      /* XEP-0071 */
};

struct xmpp_service {
	struct slice name;     /* product name, shown as the identity's name */
	struct slice version;  /* empty: XEP-0092 is not answered */
	struct slice url;      /* node of the caps, a URL of the product */
	unsigned contact;      /* XMPP_CONTACT_* */
	const struct slice *abuse, *admin, *security, *support; /* addresses of XEP-0157 as URIs; counts below */
	size_t n_abuse, n_admin, n_security, n_support;
	char caps[XMPP_CAPS_VER + 1];   /* of a contact's client: set by xmpp_service_init */
};

/* Computes the caps from the other fields. Slices stay the caller's. */
void xmpp_service_init(struct xmpp_service *s);

/* Adds <c xmlns='http://jabber.org/protocol/caps'/> of a contact's client to a presence. */
void xmpp_service_add_caps(const struct xmpp_service *s, struct arena *a, struct xml_node *presence);

/* The contact that the request is addressed to, as the caller's rules see it. */
struct xmpp_service_contact {
	bool visible;     /* the asker may know that this contact exists; false: service-unavailable to everything */
	struct slice name; /* for the vCard (FN); empty: the vCard is empty */
	struct slice email, org, title; /* empty: not shown */
};

/* The reply to an iq of type get or set addressed to `to`: our domain (local part empty; `contact` is not looked at), a contact's
 * bare or full address. NULL when no reply is owed (result, error) or the arena is exhausted. An iq without id or with an unknown
 * type gets bad-request. */
struct xml_node *xmpp_service_answer(const struct xmpp_service *s, struct arena *a, const struct xml_node *iq,
				     const struct xmpp_jid *to, const struct xmpp_service_contact *contact);
