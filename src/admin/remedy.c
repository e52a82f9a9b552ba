/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator does about a refusal: one row for each row of base/reason.def (a test counts them). */
#include "admin/call.h"

static const char *const remedies[REASON_COUNT] = {
	[REASON_NONE] = "nothing was refused",
	[REASON_POLICY_PARTNER_UNKNOWN] = "if you want to communicate with {remote}: entente partner xmpp add {remote} --type "
					  "public-unverified (or federated, when you trust the organisation; `entente help partner xmpp add` tells the difference)",
	[REASON_POLICY_OTHER_PROTOCOL] = "if both networks are to count: entente partner xmpp set {remote} --protocol sip-first",
	[REASON_POLICY_PARTNER_DISABLED] = "entente partner xmpp set {remote} --enabled",
	[REASON_POLICY_DOMAIN_BLOCKED] = "`entente blocked-domain list` tells since when and why; entente blocked-domain remove {subject} ends it",
	[REASON_POLICY_LOCAL_UNKNOWN] = "if {local} is one of your domains, add it to a home in the configuration and run: entente reload. Else the "
					"address is wrong",
	[REASON_POLICY_SPOOFED_DOMAIN] = "nothing, if this is an attempt to write in another's name. If {remote} is served together with other domains "
					 "by one server, that server must prove each of them; if a home sends for another home's domain, correct its routes",
	[REASON_POLICY_PEER_UNKNOWN] = "compare the address of the sending SIP server (in the log) with `entente show homes`; the next-hop of its home "
				       "must resolve to it",
	[REASON_POLICY_NO_CONTACT] = "{local_user} adds {remote_user} as contact, or writes first. For a partner that you trust: entente partner xmpp set "
				     "{remote} --type federated",
	[REASON_POLICY_USER_DENIED] = "entente external-access set {policy} {switches}; or grant the user a policy that allows it: "
				      "entente external-access grant POLICY --user {local_user}",
	[REASON_POLICY_BRANCH] = "nothing while the user is on the appliance: XMPP does not reach those. Else: entente user set {local_user} --branch=false",
	[REASON_POLICY_XMPP_OFF] = "the setting xmpp.access is false: set it to true in the configuration and run: entente reload",
	[REASON_POLICY_LOOP] = "correct the routes of the home: it sends to Entente what is for its own domains, or sends back what Entente delivered",
	[REASON_POLICY_FEDERATION_OFF] = "entente access-edge set --federated-users; then allow the partner: entente allowed-domain add {remote}",
	[REASON_POLICY_UNVERIFIED] = "ask the partner to mark what its users send as verified; or believe it: entente allowed-domain set {remote} "
				     "--verification-level always-verifiable",
	[REASON_POLICY_PEER_IDENTITY] = "ask the partner for a certificate that names {remote}, or the server of its SRV record _sipfederationtls._tcp.{remote}. If "
					"you know its server: entente allowed-domain set {remote} --proxy-fqdn HOST",
	[REASON_POLICY_METHOD] = "nothing: registrations, publications and the like stay within an organisation",
	[REASON_POLICY_ROUTE] = "nothing, if somebody tries to use us as a relay; else the partner's server sends a broken Route header",
	[REASON_POLICY_TELEPHONE] = "the sender uses the person's address. If partners and users may reach each other's telephone numbers: set "
				    "sip.telephone-numbers to true in the configuration and run: entente reload",
	[REASON_ADDRESS_MALFORMED] = "the sender corrects the address",
	[REASON_ADDRESS_IMPOSSIBLE] = "the sender corrects the address; some characters exist in only one of the two networks",
	[REASON_ADDRESS_SIPS] = "the sender uses the address with sip: instead of sips:",
	[REASON_ADDRESS_SCHEME] = "the sender uses an address that begins with sip:",
	[REASON_ADDRESS_NO_DIGITS] = "the sender writes the whole telephone number",
	[REASON_ADDRESS_TOO_LONG] = "the sender uses a shorter address",
	[REASON_CONTENT_TYPE] = "the sender's client sends plain text (text/plain), or HTML, RTF or CPIM that holds text",
	[REASON_CONTENT_TOO_LARGE] = "the sender writes a shorter message; limits.max-sip-message and limits.max-stanza set the limits",
	[REASON_CONTENT_CHARSET] = "the sender's client uses UTF-8",
	[REASON_CONTENT_ENCRYPTED] = "the user switches end-to-end encryption off for this conversation: a gateway cannot translate what it cannot read",
	[REASON_CONTENT_MALFORMED] = "look for an update of the sender's client; the log names the message",
	[REASON_CONTENT_IDENTITY] = "nothing, if this is an attempt to write in another's name; else look for a fault of the sender's client",
	[REASON_CONTENT_FILE] = "the users transfer files by other means, e.g. with a link",
	[REASON_GROUP_CHAT] = "the users write to each other one to one; im.group-chat-notice says whether the invited one is told of the invitation",
	[REASON_SIP_MALFORMED] = "look for an update of the sending SIP server or client; log.trace shows the headers",
	[REASON_SIP_METHOD] = "nothing: only messages and presence cross this gateway",
	[REASON_SIP_EVENT] = "nothing: of SIP events only presence crosses this gateway",
	[REASON_SIP_NO_DIALOG] = "nothing: the sender starts anew. If it happens often, a home or a load balancer sends one dialog to several servers",
	[REASON_SIP_INTERVAL] = "nothing: the client asks again with the interval that it was told (timers.subscription-minimum)",
	[REASON_SIP_ACCEPT] = "the watcher's client accepts application/pidf+xml",
	[REASON_SIP_EXTENSION] = "the sending client or server does not demand the extension (header Require)",
	[REASON_SIP_TOO_MANY_HOPS] = "look for a loop in the routes of the home",
	[REASON_SIP_HOME_UNREACHABLE] = "see `entente show homes`; look at the home server, its next-hop in the configuration, and firewalls between",
	[REASON_SIP_FAILED_LATER] = "nothing: the sender was told and can send it again",
	[REASON_SIP_TIMEOUT] = "see `entente show homes`; look at the home server: it takes requests but does not answer",
	[REASON_SIP_SRV_NONE] = "check the domain's spelling. The partner publishes _sipfederationtls._tcp.{remote} SRV; if you know its server: entente "
				"allowed-domain set {remote} --proxy-fqdn HOST",
	[REASON_SIP_DNS] = "see whether the resolver (dns.servers) works and answers for _sipfederationtls._tcp.{remote} SRV",
	[REASON_SIP_SRV_DOMAIN] = "the partner names a server directly below {remote} in its SRV record; if you know its server: entente allowed-domain set {remote} "
				  "--proxy-fqdn HOST",
	[REASON_SIP_CERTIFICATE] = "ask the partner for a certificate that names its server or {remote}. A private authority is added to the file of tls.trust",
	[REASON_SIP_PEER_UNREACHABLE] = "check that your firewall lets connections out to port 5061; then ask the partner whether their server runs and is reachable",
	[REASON_SIP_PEER_SILENT] = "ask the partner whether their server is overloaded, and whether it speaks SIP on this port",
	[REASON_SIP_PEER_REFUSES] = "have the partner allow {local}, and check that their server can verify us: `entente plan dns` for our record, `entente plan "
				    "certificates` for our names; our authority must be one that they trust",
	[REASON_SIP_LOOP] = "look for a loop in the routes between the home, Entente and the partner",
	[REASON_SIP_SESSION] = "the users write messages instead; calls, conferences and file transfers do not cross to XMPP partners",
	[REASON_LINK_DOWN] = "see `entente status` on both hosts: does the other half run? Firewalls must let the gateway connect to port 23456 of the edge",
	[REASON_LINK_TIMEOUT] = "look at the other half (`entente status` there) and at the network between both hosts",
	[REASON_LINK_UNTRUSTED] = "give both halves certificates of one authority, and its certificate in tls.trust of each",
	[REASON_LINK_NAME] = "add the name in the other half's certificate to link.peers, if that is the other half",
	[REASON_LINK_VERSION] = "install the same version of Entente on both hosts",
	[REASON_LINK_ROLE] = "set server.role to edge on one host and to gateway on the other",
	[REASON_LINK_REPLACED] = "run one gateway for each edge; see which hosts have this edge in link.edges",
	[REASON_LINK_PROTOCOL] = "make sure that only the other half connects to the port of link.listen; then look for an update",
	[REASON_SIP_USER_UNKNOWN] = "the sender corrects the address; the home server knows its users",
	[REASON_XMPP_DNS] = "check the domain's spelling. The partner publishes _xmpp-server._tcp.{remote} SRV; until then: entente partner xmpp set "
			    "{remote} --server HOST",
	[REASON_XMPP_DNS_FAILED] = "see whether the resolver (dns.servers) works and answers for _xmpp-server._tcp.{remote} SRV",
	[REASON_XMPP_UNREACHABLE] = "see `entente show streams`. Check that your firewall lets connections out to port 5269; then ask the partner whether their "
				    "server runs and is reachable",
	[REASON_XMPP_TLS] = "see `entente show streams` and the log for what TLS said; check your certificate (tls.certificate), then ask the partner",
	[REASON_XMPP_TLS_REQUIRED] = "ask the partner to enable TLS. Only for a partner in your own network: entente partner xmpp set {remote} --tls optional",
	[REASON_XMPP_DNSSEC] = "the administrators of the DNS zone of {remote} repair its signatures; `delv {remote}` shows what is wrong. If it is so with every "
				"domain, look at the clock and at dns.trust-anchor",
	[REASON_XMPP_DANE] = "the partner publishes a TLSA record for its present certificate, or takes the old record away (a renewal without a new record is "
			      "the usual cause). Until then: entente partner xmpp set {remote} --no-dane",
	[REASON_XMPP_PIN] = "ask the partner, by telephone, whether the key is new. If so: entente partner xmpp show {remote} tells the key last seen; "
			     "entente partner xmpp set {remote} --pin OLD --pin NEW",
	[REASON_TLS_REVOKED] = "tell the partner that its authority has revoked its certificate: it needs a new one. Nothing of ours can help",
	[REASON_TLS_REVOCATION] = "see which list cannot be had: entente show revocation-lists. The edge needs HTTP (port 80) outwards; tls.revocation soft lets "
				  "such partners pass",
	[REASON_XMPP_CERTIFICATE] = "ask the partner for a certificate that is valid for {remote}. A private authority is added to the file of tls.trust",
	[REASON_XMPP_AUTH] = "see `entente show streams`; both sides need a method in common: a certificate valid for the domain (SASL EXTERNAL), or "
			     "dialback: entente partner xmpp set {remote} --dialback",
	[REASON_XMPP_DIALBACK] = "dialback needs DNS and port 5269 in both directions: check your own SRV record and firewall, then ask the partner",
	[REASON_XMPP_STREAM_ERROR] = "the log has the partner's error; ask the partner",
	[REASON_XMPP_MALFORMED] = "the log has what was wrong; ask the partner to look for an update of their server",
	[REASON_XMPP_FAILED_LATER] = "nothing: the sender was told and can send it again",
	[REASON_XMPP_UNSUPPORTED] = "nothing: only messages and presence cross this gateway",
	[REASON_LIMIT_QUEUE_FULL] = "see why the destination is not reached (`entente show streams`, `entente show homes`); limits.queue-messages and "
				    "limits.queue-size set the limits",
	[REASON_LIMIT_RATE] = "nothing, unless it is legitimate traffic: then raise limits.sender-rate or limits.partner-rate",
	[REASON_LIMIT_CONNECTIONS] = "see `entente show streams`; raise limits.max-connections, limits.max-connections-per-address, "
				     "limits.max-unproven-per-network or the "
				     "partner's --connection-limit when the traffic is legitimate",
	[REASON_LIMIT_CONTACTS] = "if the partner is known to you: entente allowed-domain add {remote}. `entente show sip watch-list` tells what it did",
	[REASON_LIMIT_SESSIONS] = "wait until silent sessions end (10 minutes), or raise limits.max-sessions-per-user",
	[REASON_LIMIT_SIZE] = "the sender writes a shorter message; limits.max-stanza and limits.max-sip-message set the limits",
	[REASON_LIMIT_SUBSCRIPTIONS] = "see `entente show subscriptions`; limits.max-subscriptions and limits.max-subscriptions-per-user set the limits",
	[REASON_SERVER_SHUTDOWN] = "wait until the daemon runs again: systemctl status entented",
	[REASON_SERVER_INTERNAL] = "look into the log (journalctl -u entented) and report the fault",
	[REASON_SERVER_QUEUE_FULL] = "look at what waits, and for whom: `entente queue list`; then queue.max-size, queue.max-partner",
	[REASON_SERVER_QUEUE_DISK] = "make room on the disk of queue.directory, or look at its permissions; the log has the detail",
	[REASON_SERVER_QUEUE_EXPIRED] = "test the partner (`entente partner test`); queue.lifetime says how long messages wait",
	[REASON_SERVER_QUEUE_REMOVED] = "look into the audit log (`entente audit list`) for who has done it",
	[REASON_SERVER_CRASHED] = "look into the log (journalctl -u entented) for what came before the crashes, and report the fault",
	[REASON_SERVER_STORE] = "look at the disk space and permissions of server.state-directory; the log has the detail",
};

const char *admin_remedy(enum reason r)
{
	const char *z = (unsigned)r < REASON_COUNT ? remedies[r] : NULL;
	return z ? z : "";
}

void admin_remedy_print(struct buf *out, enum reason r, const struct admin_remedy_names *n)
{
	admin_remedy_print_in(out, r, ADMIN_ENGLISH, n);
}

void admin_remedy_print_in(struct buf *out, enum reason r, enum admin_language l, const struct admin_remedy_names *n)
{
	static const struct slice people[ADMIN_LANGUAGE_COUNT][2] = {{S("the local user"), S("the sender")}, {S("der lokale Benutzer"), S("den Absender")},
								      {S("локальный пользователь"), S("отправителя")}, {S("本地用户"), S("发件人")}};
	const char *text = admin_reason_remedy(r, l);
	const struct {
		struct slice name, capital, value;
	} names[] = {
		{S("local"), S("LOCAL-DOMAIN"), n ? n->local : SLICE_NONE},
		{S("remote"), S("DOMAIN"), n ? n->remote : SLICE_NONE},
		{S("local_user"), people[l][0], n ? n->local_user : SLICE_NONE},
		{S("remote_user"), people[l][1], n ? n->remote_user : SLICE_NONE},
		{S("subject"), S("DOMAIN"), n ? n->subject : SLICE_NONE},
		{S("policy"), S("global"), n ? n->policy : SLICE_NONE},
		{S("switches"), S("--federation --xmpp"), n ? n->switches : SLICE_NONE},
	};
	struct slice rest = slice_str(text ? text : admin_remedy(r));
	while (rest.p) {
		struct slice before = slice_split(&rest, '{');
		buf_put(out, before);
		if (!rest.p)
			break;
		struct slice name = slice_split(&rest, '}');
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (slice_eq(name, names[i].name))
				admin_clean(out, slice_empty(names[i].value) ? names[i].capital : names[i].value);
	}
}

bool admin_reason_find(enum reason *ret, struct slice id)
{
	for (int i = 0; i < REASON_COUNT; i++)
		if (slice_ieq(slice_str(reason_info((enum reason)i)->id), id)) {
			*ret = (enum reason)i;
			return true;
		}
	return false;
}
