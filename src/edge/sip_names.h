/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a SIP server's certificate that count for its identity (RFC 5922 7.1), as a question of the policy wants them. */
#pragma once
#include "net/tls.h"
#include "policy/decide.h"

enum { SIP_NAMES_MAX = 64 }; /* of each kind; the rest is not looked at */

struct sip_names { /* slices point into the struct tls_peer */
	struct slice uris[SIP_NAMES_MAX], dns[SIP_NAMES_MAX], cn;
	size_t n_uris, n_dns;
};

void sip_names_of(struct sip_names *ret, const struct tls_peer *p);
/* Sets uris, dns and cn of the question; borrowed. */
void sip_names_put(const struct sip_names *n, struct policy_sip *ret);
