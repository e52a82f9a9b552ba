/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unicode/uidna.h>
#include "base/enc.h"
#include "policy/domain.h"

static UIDNA *idna;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_idna(void)
{
	UErrorCode code = U_ZERO_ERROR;
	idna = uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII |
				       UIDNA_NONTRANSITIONAL_TO_UNICODE, &code);
	if (U_FAILURE(code))
		idna = NULL;
}

bool policy_domain_import(struct policy_domain *ret, struct slice text)
{
	/* ICU would map compatibility characters of ASCII look too, but a name in plain ASCII needs nothing from it, unless it
	 * carries A-labels, which must decode. */
	bool ascii = true, ace = false;
	for (size_t i = 0; i < text.len; i++) {
		ascii = ascii && (unsigned char)text.p[i] < 0x80;
		ace = ace || ((i == 0 || text.p[i - 1] == '.') && slice_istarts(slice_skip(text, i), S("xn--")));
	}
	if (ascii && !ace)
		return policy_domain_make(ret, text);
	if (text.len > 4 * POLICY_DOMAIN_MAX || !utf8_valid(text))
		return false;
	pthread_once(&once, open_idna);
	if (!idna)
		return false;
	char out[POLICY_DOMAIN_MAX + 2];
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UErrorCode code = U_ZERO_ERROR;
	int32_t n = uidna_nameToASCII_UTF8(idna, text.p, (int32_t)text.len, out, sizeof out, &info, &code);
	if (U_FAILURE(code) || n <= 0 || (size_t)n > sizeof out || (info.errors & ~(uint32_t)UIDNA_ERROR_EMPTY_LABEL))
		return false;
	return policy_domain_make(ret, slice_of(out, (size_t)n)); /* judges empty labels: a final dot is one */
}
