/* SPDX-License-Identifier: Apache-2.0 */
/* One certificate revocation list (RFC 5280 5 and 6.3), checked once and then reduced to what look-ups need. Immutable after crl_parse,
 * any thread. */
#pragma once
#include "net/tls.h"

struct crl;

enum { CRL_OCTETS_MAX = 64 << 20, CRL_SKEW_S = 300 };

/* `octets`: DER, or one PEM block. The list counts only when it is complete (no delta, no indirect one, not only some reasons, no critical
 * extension that is not understood), of the issuer of `of`, signed with that issuer's key, which may sign lists, and when it says where it
 * belongs, says `url` (else one of many lists of an authority could stand for another). Its dates are not judged but by crl_fresh.
 * ENTENTE_ESYNTAX, ENTENTE_ETLS with err. */
int crl_parse(struct crl **ret, struct slice octets, const struct tls_issued *of, struct slice url, struct entente_err *err);
/* Accepts NULL; returns NULL. */
struct crl *crl_free(struct crl *c);

enum crl_says { CRL_GOOD, CRL_REVOKED, CRL_ELSEWHERE /* the list is not about this kind of certificate */ };
/* ret_when: seconds since 1970 of a revocation; may be NULL. */
enum crl_says crl_find(const struct crl *c, const struct tls_issued *of, int64_t *ret_when);

/* Begun (within CRL_SKEW_S) and not past its next update. */
bool crl_fresh(const struct crl *c, int64_t now);
int64_t crl_this_update(const struct crl *c);
int64_t crl_next_update(const struct crl *c); /* 0: it names none: never fresh */
size_t crl_count(const struct crl *c);        /* revoked certificates */
size_t crl_octets(const struct crl *c);       /* memory */
