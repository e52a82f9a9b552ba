/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unicode/uidna.h>
#include <unicode/utf8.h>
#include "xmpp/precis.h"

static UIDNA *uts46; /* immutable, shared by all threads, lives as long as the process */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_uts46(void)
{
	UErrorCode ec = U_ZERO_ERROR;
	uts46 = uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_CHECK_CONTEXTO |
				UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE, &ec);
}

typedef int32_t convert(const UIDNA *idna, const char *name, int32_t length, char *dest, int32_t capacity, UIDNAInfo *info,
			UErrorCode *ec);

static int run(convert *f, struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	pthread_once(&once, open_uts46);
	if (!uts46)
		return ENTENTE_EUNSUPPORTED;
	if (in.len > 3 * PRECIS_MAX)
		return ENTENTE_ELIMIT;
	UErrorCode ec = U_ZERO_ERROR;
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	int32_t n = f(uts46, in.p, (int32_t)in.len, dst, PRECIS_MAX, &info, &ec);
	if (ec == U_BUFFER_OVERFLOW_ERROR)
		return ENTENTE_ELIMIT;
	if (U_FAILURE(ec) || info.errors || n <= 0)
		return ENTENTE_ESYNTAX;
	*len = (size_t)n;
	return 0;
}

/* UTS 46 lets symbols pass that RFC 5892 does not. */
static bool labels_allowed(const char *p, int32_t len)
{
	for (int32_t i = 0; i < len;) {
		UChar32 c;
		U8_NEXT(p, i, len, c);
		if (c < 0 || (c >= 0x80 && !idn_code_point(c)))
			return false;
	}
	return true;
}

int idn_to_unicode(struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	int rc = run(uidna_nameToUnicodeUTF8, in, dst, len);
	return rc ? rc : labels_allowed(dst, (int32_t)*len) ? 0 : ENTENTE_ESYNTAX;
}

int idn_to_ascii(struct slice in, char dst[PRECIS_MAX], size_t *len)
{
	return run(uidna_nameToASCII_UTF8, in, dst, len);
}
