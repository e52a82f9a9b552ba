/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/groupchat.h"

bool groupchat_from_xmpp(struct gateway *g, const struct stanza *st, const struct xmpp_peer *peer, struct arena *a)
{
	(void)g, (void)st, (void)peer, (void)a;
	return false;
}

bool groupchat_from_sip(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, struct arena *a, const struct xmpp_jid *f,
			const struct xmpp_jid *t)
{
	(void)g, (void)st, (void)m, (void)a, (void)f, (void)t;
	return false;
}
