/* SPDX-License-Identifier: Apache-2.0 */
/* Invitations to group chats: refused at once, with words that both users see; the conversation of the two goes on. The inviter gets the
 * refusal itself (an error stanza, a <decline/>, a SIP response; reason GROUP_CHAT), the invited user a notice in the conversation with the
 * inviter (im.group-chat-notice; once in ten minutes for a pair). Private to the gateway.
 *
 * README for whoever makes full group chat (RFC 7702, MUC <-> MSRP chat of RFC 7701): both functions here are where it begins. They are
 * called before anything else takes the stanza or INVITE, and know who invites whom, to where. Instead of refusing, a new room of the
 * gateway (one record per SIP user and room: the occupant) would answer 200 with isfocus, or send <presence/> to the room, and its stanzas
 * (type groupchat, presence from a room) have to be taken off in gateway_stanza before presence() and message_from_xmpp see them: the
 * bare JID of a room is no user's. Bodies come and go by interwork/im.h, with CPIM From as the occupant. */
#pragma once
#include "gateway/gateway_int.h"

/* Does this message stanza invite to a room (XEP-0045 7.8.2 mediated, XEP-0249 direct)? It may have a body for old clients. */
bool groupchat_invites(const struct stanza *st);
/* The same. True: it was answered here and its record closed;
 * the receipt is taken; the caller lets go of the stanza. A direct invitation is judged by policy as a text is; a mediated one comes from
 * the room, which is nobody's contact: it is declined whoever it is, as its stream was allowed. */
bool groupchat_from_xmpp(struct gateway *g, const struct stanza *st, const struct xmpp_peer *peer, struct arena *a, struct xmpp_receipt *r);
/* An INVITE or REFER of a SIP user: does it invite to a conference (isfocus, com.microsoft.rtc-multiparty, ms-conf-invite, a list of
 * recipients, more than two EndPoints; any REFER)? True: it was answered here: 420 where multiparty or a list is required, 603 to REFER,
 * else 488. f, t: who invites whom. Policy has allowed them to talk. */
bool groupchat_from_sip(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, struct arena *a, const struct xmpp_jid *f,
			const struct xmpp_jid *t);
/* A REFER outside of any dialog: that too may only be an invitation. Policy is asked here; always answered. */
void groupchat_referred(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, struct arena *a, const struct sip_flow *from);
/* An invitation of this SIP user to this XMPP user was refused elsewhere: the invited one is told, where that is due. */
void groupchat_tell_xmpp(struct gateway *g, struct arena *a, const struct xmpp_jid *f, const struct xmpp_jid *t);
