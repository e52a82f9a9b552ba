/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sip_names.h"

#include "sip/uri.h"

void sip_names_of(struct sip_names *n, const struct tls_peer *p)
{
	*n = (struct sip_names){.cn = p->has_san ? SLICE_NONE : p->cn};
	for (size_t i = 0; i < p->n_uri && n->n_uris < SIP_NAMES_MAX; i++) {
		struct sip_uri u;
		if (!sip_uri_parse(p->uri[i], &u) && u.scheme == SIP_SCHEME_SIP && !u.user.p)
			n->uris[n->n_uris++] = u.host;
	}
	for (size_t i = 0; i < p->n_dns && n->n_dns < SIP_NAMES_MAX; i++)
		n->dns[n->n_dns++] = p->dns[i];
}

void sip_names_put(const struct sip_names *n, struct policy_sip *ret)
{
	ret->uris = n->uris;
	ret->n_uris = n->n_uris;
	ret->dns = n->dns;
	ret->n_dns = n->n_dns;
	ret->cn = n->cn;
}
