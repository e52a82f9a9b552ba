/* SPDX-License-Identifier: Apache-2.0 */
/* SASL EXTERNAL between servers (RFC 6120 6, XEP-0178, RFC 4422 appendix A): the little of SASL that server-to-server streams
 * use. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "xmpp/ns.h"

/* Conditions of RFC 6120 6.5. */
enum xmpp_sasl {
	XMPP_SASL_OK,
	XMPP_SASL_ABORTED,
	XMPP_SASL_ACCOUNT_DISABLED,
	XMPP_SASL_CREDENTIALS_EXPIRED,
	XMPP_SASL_ENCRYPTION_REQUIRED,
	XMPP_SASL_INCORRECT_ENCODING,
	XMPP_SASL_INVALID_AUTHZID,
	XMPP_SASL_INVALID_MECHANISM,
	XMPP_SASL_MALFORMED_REQUEST,
	XMPP_SASL_MECHANISM_TOO_WEAK,
	XMPP_SASL_NOT_AUTHORIZED,
	XMPP_SASL_TEMPORARY_AUTH_FAILURE,
};
/* "not-authorized"; unknown names read as XMPP_SASL_NOT_AUTHORIZED, as RFC 6120 6.5 wants. */
const char *xmpp_sasl_name(enum xmpp_sasl c);
enum xmpp_sasl xmpp_sasl_parse(struct slice name);

/* Judges the initial response of EXTERNAL: nothing, "=" or the base64 of the stream's own `from` (prepared). Anything else is
 * refused. */
enum xmpp_sasl xmpp_sasl_check_authzid(struct arena *scratch, struct slice response, struct slice from);

/* <auth/> with the authorization identity (old peers want it), <success/>, <failure/> with an optional text. */
void xmpp_sasl_write_auth(struct buf *b, struct slice authzid);
void xmpp_sasl_write_success(struct buf *b);
void xmpp_sasl_write_failure(struct buf *b, enum xmpp_sasl c, struct slice text);
