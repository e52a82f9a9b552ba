/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: SIP URI <-> JID (RFC 7247 6, with all ten escapes of XEP-0106 instead of three, RFC 5627 GRUUs, RFC 5630 for sips).
 * The JID is the key of a user everywhere in Entente: equivalent spellings of one SIP URI give one JID. Both directions are
 * injective: an address that would not come back as itself is refused, so that nobody can write in another's name. ASCII
 * addresses take one pass without ICU and without heap. Pure functions, any thread; results live in the arena. Every `ret` is
 * untouched on failure. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "sip/msg.h"
#include "sip/uri.h"
#include "xmpp/jid.h"

/* sip:, im: and pres: URIs. Password, port, headers and parameters are dropped, but `gr` (and Lync's opaque=user:epid:x;gruu)
 * become the resource; an unusable one gives the bare address. user=phone gives the digits. No userinfo gives a domain address.
 * 0 or a negative error with err->reason one of
 *   ADDRESS_SIPS (480)        sips: is never translated (RFC 7247 8)
 *   ADDRESS_SCHEME (416)      any other scheme, tel: included
 *   ADDRESS_MALFORMED (400)   cut escape, control octets, not UTF-8, empty user
 *   ADDRESS_NO_DIGITS (484)   user=phone without a telephone number
 *   ADDRESS_IMPOSSIBLE (404)  PRECIS or IDNA refuses it, outer spaces, IP literals
 *   ADDRESS_TOO_LONG (414)    a part over 1023 octets, or the arena's limit */
int interwork_sip_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_uri *u, struct entente_err *err);

/* The same from text: what sip_uri_parse refuses is ADDRESS_MALFORMED. */
int interwork_uri_to_jid(struct xmpp_jid *ret, struct arena *a, struct slice uri, struct entente_err *err);

/* Who is meant, whether it could be translated or not: the prepared local part alone. "sips" names the same user (RFC 3261 19.1.4 tells them apart
 * as addresses, homes do not), and what user=phone calls a number and is none is a name. False: nobody whom a JID could name. */
bool interwork_sip_local(struct slice *ret, struct arena *a, const struct sip_uri *u);

/* tel: in a Request-URI, for deployments that configured a domain for telephone numbers. Errors as above. */
int interwork_tel_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_uri *u, struct slice tel_domain,
			 struct entente_err *err);

/* The instance (future resource) of the sender of a request, percent-decoded: `gr` of the From URI, else of the Contact URI, else
 * the `gr` header parameter of Contact (the examples of RFC 8048 write it so), else Lync's `epid` parameter of From. Empty when
 * there is none. */
struct slice interwork_sender_instance(struct arena *a, const struct sip_msg *m);
/* From of a request as JID, with that instance as resource when it can be one. Errors as interwork_sip_to_jid. */
int interwork_sender_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_msg *m, struct entente_err *err);

/* sip: URI of a JID, NUL-terminated; with_gr adds ";gr=" when there is a resource. ENTENTE_ESYNTAX (reason ADDRESS_MALFORMED: an
 * escape sequence that XEP-0106 does not produce, or a domain without A-label form), ENTENTE_ELIMIT (the arena). err may
 * be NULL. */
int interwork_jid_to_sip(struct slice *ret, struct arena *a, const struct xmpp_jid *j, bool with_gr, struct entente_err *err);
