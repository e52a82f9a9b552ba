/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/sasl.h"

#include "base/enc.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

static const char *const names[] = {
	[XMPP_SASL_OK] = "success",
	[XMPP_SASL_ABORTED] = "aborted",
	[XMPP_SASL_ACCOUNT_DISABLED] = "account-disabled",
	[XMPP_SASL_CREDENTIALS_EXPIRED] = "credentials-expired",
	[XMPP_SASL_ENCRYPTION_REQUIRED] = "encryption-required",
	[XMPP_SASL_INCORRECT_ENCODING] = "incorrect-encoding",
	[XMPP_SASL_INVALID_AUTHZID] = "invalid-authzid",
	[XMPP_SASL_INVALID_MECHANISM] = "invalid-mechanism",
	[XMPP_SASL_MALFORMED_REQUEST] = "malformed-request",
	[XMPP_SASL_MECHANISM_TOO_WEAK] = "mechanism-too-weak",
	[XMPP_SASL_NOT_AUTHORIZED] = "not-authorized",
	[XMPP_SASL_TEMPORARY_AUTH_FAILURE] = "temporary-auth-failure",
};

const char *xmpp_sasl_name(enum xmpp_sasl c)
{
	return names[c];
}

enum xmpp_sasl xmpp_sasl_parse(struct slice name)
{
	for (enum xmpp_sasl c = XMPP_SASL_ABORTED; c < sizeof names / sizeof *names; c++)
		if (slice_eq(name, slice_str(names[c])))
			return c;
	return XMPP_SASL_NOT_AUTHORIZED;
}

enum xmpp_sasl xmpp_sasl_check_authzid(struct arena *scratch, struct slice response, struct slice from)
{
	enum { AUTHZID_MAX = 1024 };
	response = slice_trim(response);
	if (slice_empty(response) || slice_eq(response, S("=")))
		return XMPP_SASL_OK;
	struct buf id;
	buf_init(&id, AUTHZID_MAX);
	enum xmpp_sasl result = XMPP_SASL_INVALID_AUTHZID;
	struct slice prepared;
	if (!base64_get(&id, response) || !buf_ok(&id))
		result = XMPP_SASL_INCORRECT_ENCODING;
	else if (id.len && xmpp_prep_domain(scratch, buf_slice(&id), &prepared) == 0 && slice_eq(prepared, from))
		result = XMPP_SASL_OK;
	buf_free(&id);
	return result;
}

void xmpp_sasl_write_auth(struct buf *b, struct slice authzid)
{
	buf_puts(b, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>");
	if (slice_empty(authzid))
		buf_putc(b, '=');
	else
		base64_put(b, authzid);
	buf_puts(b, "</auth>");
}

void xmpp_sasl_write_success(struct buf *b)
{
	buf_puts(b, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
}

void xmpp_sasl_write_failure(struct buf *b, enum xmpp_sasl c, struct slice text)
{
	buf_printf(b, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><%s/>", xmpp_sasl_name(c));
	if (!slice_empty(text)) {
		buf_puts(b, "<text xml:lang='en'>");
		xml_escape(b, text);
		buf_puts(b, "</text>");
	}
	buf_puts(b, "</failure>");
}
