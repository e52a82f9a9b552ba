/* SPDX-License-Identifier: Apache-2.0 */
/* Invitations to group chats: refused at once, with words that both users see; the conversation of the two goes on. Private to the
 * gateway. */
#pragma once
#include "gateway/gateway_int.h"

/* A message stanza: does it invite to a room (XEP-0045 7.8.2 mediated, XEP-0249 direct), or is it of a room? True: it was answered here and
 * its record closed; the caller lets go of the stanza. Before policy is asked. */
bool groupchat_from_xmpp(struct gateway *g, const struct stanza *st, const struct xmpp_peer *peer, struct arena *a);
/* A request of a SIP user that opens a session (INVITE), by its headers and content: does it invite to a conference (isfocus,
 * com.microsoft.rtc-multiparty, application/ms-conf-invite+xml)? True: it was answered here. f, t: who invites whom. Policy has allowed
 * them to talk. */
bool groupchat_from_sip(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, struct arena *a, const struct xmpp_jid *f,
			const struct xmpp_jid *t);
