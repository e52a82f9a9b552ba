/* SPDX-License-Identifier: Apache-2.0 */
/* Private to this room: preparation of internationalised strings through ICU. PRECIS (RFC 8264, 8265) and domain names (UTS 46
 * non-transitional, then RFC 5892). All take UTF-8 and write at most PRECIS_MAX octets to dst (not NUL-terminated). 0 with *len
 * set, ENTENTE_ESYNTAX when the string is not allowed, ENTENTE_ELIMIT when it is too long, ENTENTE_EUNSUPPORTED when ICU has no
 * data. */
#pragma once
#include "base/err.h"

enum { PRECIS_MAX = 1023 };

int precis_username(struct slice in, char dst[PRECIS_MAX], size_t *len); /* UsernameCaseMapped: RFC 8265 3.3 */
int precis_opaque(struct slice in, char dst[PRECIS_MAX], size_t *len);   /* OpaqueString: RFC 8265 4.2 */

/* U-labels; a trailing dot stays. ASCII octets must have been checked to be letters, digits, hyphens and dots. */
int idn_to_unicode(struct slice in, char dst[PRECIS_MAX], size_t *len);
int idn_to_ascii(struct slice in, char dst[PRECIS_MAX], size_t *len);

/* Allowed in an internationalised label, as far as the code point alone decides (RFC 5892; ASCII aside). */
bool idn_code_point(int32_t cp);
