/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what goes on in the daemon now. */
#include "admin/command_set.h"

#define SHOW_ARGS                                                                                                                     \
	{"filter", ADMIN_TEXT, .max = 1024, .help = "only rows in which some text contains this"},                                    \
	{"limit", ADMIN_UINT, .max = 100000, .def = "1000", .help = "at most so many rows"}
#define LEFT_OUT {"left_out", "rows that --limit has cut off"}
static const struct admin_arg show_args[] = {SHOW_ARGS};
static const struct admin_arg streams_args[] = {
	SHOW_ARGS,
	{"partner", ADMIN_PARTNER, .help = "only streams with this domain"},
};
#define STREAM_FIELDS(p)                                                                                                              \
	{p "id", "number of the stream, not used again while the daemon runs; 0: there is none yet or any more"},                    \
	{p "worker", "number of the worker"},                                                                                         \
	{p "direction", "in: the partner connected to us; out: we to it"},                                                           \
	{p "carries", "which way stanzas go on it: in, out, both (XEP-0288)"},                                                       \
	{p "purpose", "messages, dialback question, test"},                                                                          \
	{p "state", "open, or how far it is; backoff: it failed and is tried again later"},                                          \
	{p "local", "our domain"},                                                                                                    \
	{p "remote", "the partner's domain"},                                                                                         \
	{p "address", "IP address and port of the peer"},                                                                            \
	{p "auth", "how the partner proved its domain: external, dialback, certificate"},                                            \
	{p "how", "out: how the server was found, e.g. by DNS SRV"},                                                                 \
	{p "tls", "version of TLS"},                                                                                                  \
	{p "cipher", "cipher suite"},                                                                                                 \
	{p "sni", "name that was asked for in TLS"},                                                                                  \
	{p "alpn", "protocol that was agreed on in TLS"},                                                                            \
	{p "resumed", "whether the TLS session is an earlier one's"},                                                                \
	{p "certificate.subject", "of the peer's certificate"},                                                                      \
	{p "certificate.issuer", "who issued it"},                                                                                    \
	{p "certificate.names[]", "subject alternative names"},                                                                      \
	{p "certificate.matched_by", "which kind of name proves the partner's domain: dNSName, SRVName, xmppAddr, none"},            \
	{p "certificate.not_after", "its end, RFC 3339"},                                                                            \
	{p "certificate.days_left", "until then"},                                                                                   \
	{p "certificate.trusted", "whether its chain is valid"},                                                                     \
	{p "certificate.why", "why not"},                                                                                             \
	{p "certificate.usage", "extended key usage: serverAuth, clientAuth, any"},                                                  \
	{p "certificate.pin", "of its public key, as --pin takes it"},                                                               \
	{p "stream_id", "identifier that the receiving side gave the stream"},                                                       \
	{p "stanzas_in", "received"},                                                                                                 \
	{p "stanzas_out", "sent"},                                                                                                    \
	{p "octets_in", "received, TLS included"},                                                                                   \
	{p "octets_out", "sent, TLS included"},                                                                                      \
	{p "age", "seconds since it began"},                                                                                         \
	{p "opened", "seconds since it was authenticated"},                                                                          \
	{p "heard", "seconds since anything came"},                                                                                  \
	{p "pairs", "how many pairs of domains it carries"},                                                                         \
	{p "acks", "whether stanzas are acknowledged (XEP-0198)"},                                                                   \
	{p "unacknowledged", "stanzas sent, not acknowledged yet"},                                                                         \
	{p "pending", "stanzas received, not done yet"},                                                                             \
	{p "max_stanza", "octets: the largest stanza that the partner takes (XEP-0478)"},                                            \
	{p "queued", "stanzas that wait"},                                                                                            \
	{p "retry", "backoff: seconds until it is tried again"},                                                                     \
	{p "error", "why it failed last"}
static const struct admin_field streams_fields[] = {STREAM_FIELDS("streams[]."), LEFT_OUT};
static const struct admin_field stream_fields[] = {STREAM_FIELDS("")};
static const struct admin_arg stream_args[] = {
	{"id", ADMIN_UINT, ADMIN_POSITIONAL | ADMIN_REQUIRED, .max = INT64_MAX, .help = "number of the stream, from `show streams`"},
};
static const struct admin_field metrics_fields[] = {
	{"text", "the text format of Prometheus"},
};
static const struct admin_field subscriptions_fields[] = {
	{"subscriptions[].direction", "to-sip: an XMPP user watches a SIP user; to-xmpp: the other way"},
	{"subscriptions[].watcher", "who watches"},
	{"subscriptions[].presentity", "who is watched"},
	{"subscriptions[].state", "pending, active, and so on"},
	{"subscriptions[].dialogs", "SIP dialogs that belong to it"},
	{"subscriptions[].resources", "XMPP resources that are present"},
	{"subscriptions[].show", "the presence that was last told"},
	LEFT_OUT,
};
static const struct admin_field conversations_fields[] = {
	{"conversations[].local", "our user"},
	{"conversations[].remote", "the partner's user"},
	{"conversations[].carrier", "page: single messages; session; msrp: a session by MSRP"},
	{"conversations[].state", "of the session: inviting, answering, open, leaving; empty without one"},
	{"conversations[].dialect", "of our user's home"},
	{"conversations[].resource", "the device that the partner's user speaks from; empty: any"},
	{"conversations[].to_xmpp", "messages delivered to the partner"},
	{"conversations[].to_sip", "messages delivered to our user"},
	{"conversations[].failed", "messages that were not delivered"},
	{"conversations[].idle", "seconds since the last message"},
	{"conversations[].queued", "messages that wait"},
	LEFT_OUT,
};
static const struct admin_field homes_fields[] = {
	{"homes[].name", "as in the configuration"},
	{"homes[].domains[]", "the local domains that it serves"},
	{"homes[].next_hop", "SIP URI"},
	{"homes[].state", "reachable, unreachable, unknown"},
	{"homes[].addresses[]", "IP addresses"},
	{"homes[].dialect", "how its clients speak: simple, lync, msrp, cisco"},
	{"homes[].dialect_from", "set: by the configuration; learned: it has shown it; assumed: nothing is known yet"},
	{"homes[].error", "why it cannot be reached"},
	LEFT_OUT,
};

/* ---- partner test, trace ---- */
static const struct admin_field links_fields[] = {
	{"links[].peer", "name of the other side"},
	{"links[].worker", "which of our threads has it"},
	{"links[].state", "up, leaving, connecting, backoff"},
	{"links[].address", "of the other side"},
	{"links[].version", "of the other side"},
	{"links[].stanzas_in", "of partners, from the edge to the gateway"},
	{"links[].stanzas_out", "to partners, from the gateway to the edge"},
	{"links[].queued", "stanzas that wait on this thread for any link"},
	{"links[].unanswered", "stanzas of this thread that the other side has and has not answered"},
	{"links[].age", "seconds since it is up"},
	{"links[].error", "why there is none"},
	LEFT_OUT,
};

static const struct admin_arg sip_show_args[] = {
	SHOW_ARGS,
	{"partner", ADMIN_DOMAIN, .help = "only what concerns this domain"},
};
static const struct admin_field sip_connections_fields[] = {
	{"connections[].id", "number within the worker"},
	{"connections[].worker", "number of the worker"},
	{"connections[].direction", "in: the partner connected to us; out: we to it"},
	{"connections[].state", "connecting; checking: a revocation list is being fetched; up"},
	{"connections[].domain", "the partner's domain that it was used for last"},
	{"connections[].host", "out: the server that was connected to"},
	{"connections[].address", "IP address and port of the peer"},
	{"connections[].subject", "of the peer's certificate"},
	{"connections[].tls", "version of TLS"},
	{"connections[].cipher", "cipher suite"},
	{"connections[].revocation", "of the certificate: good, revoked, unknown (no list could be had), pending, none"},
	{"connections[].requests", "that it has carried"},
	{"connections[].age", "seconds"},
	{"connections[].idle", "seconds since the last message"},
	LEFT_OUT,
};
static const struct admin_field sip_transactions_fields[] = {
	{"transactions[].worker", "number of the worker"},
	{"transactions[].direction", "in: from a partner to a home; out: the other way"},
	{"transactions[].method", "SIP method"},
	{"transactions[].domain", "the partner's"},
	{"transactions[].state", "locating: the partner is looked for; trying; proceeding: it has begun to answer"},
	{"transactions[].from", "URI; but of INVITE no longer known once an answer has come"},
	{"transactions[].to", "URI; but of INVITE no longer known once an answer has come"},
	{"transactions[].age", "seconds"},
	LEFT_OUT,
};
static const struct admin_field sip_dialogs_fields[] = {
	{"dialogs[].kind", "session (INVITE), subscription (SUBSCRIBE, REFER)"},
	{"dialogs[].direction", "who began it: in: the partner; out: a home"},
	{"dialogs[].state", "early, up, ending"},
	{"dialogs[].local", "URI on our side"},
	{"dialogs[].remote", "URI on the partner's side"},
	{"dialogs[].event", "of a subscription: its package"},
	{"dialogs[].call_id", "Call-ID"},
	{"dialogs[].requests_in", "requests of the partner in it"},
	{"dialogs[].requests_out", "requests of the home in it"},
	{"dialogs[].age", "seconds"},
	{"dialogs[].idle", "seconds since the last message"},
	{"dialogs[].left", "seconds until its own time is over (Expires, Session-Expires)"},
	LEFT_OUT,
};
static const struct admin_field watch_list_fields[] = {
	{"watched[].subject", "of the certificate: who it is"},
	{"watched[].issuer", "of the certificate"},
	{"watched[].serial", "of the certificate, in hex"},
	{"watched[].domains", "domains that it has used, the first ones"},
	{"watched[].mode", "standard, or suspicious: most of its requests fail, so one a second is let in"},
	{"watched[].requests", "received"},
	{"watched[].throttled", "refused because they came too fast"},
	{"watched[].contacts", "distinct local addresses that it has used"},
	{"watched[].contacts_refused", "refused because it has used too many local addresses"},
	{"watched[].succeeded", "requests answered 2xx"},
	{"watched[].failed", "requests answered otherwise, or not at all"},
	{"watched[].idle", "seconds since the last request"},
	LEFT_OUT,
};
static const struct admin_field sip_certificates_fields[] = {
	{"certificates[].state", "accepted or rejected: as what it was seen last"},
	{"certificates[].subject", "whose it is"},
	{"certificates[].issuer", "the authority"},
	{"certificates[].serial", "in hex"},
	{"certificates[].sha256", "of the certificate, in hex"},
	{"certificates[].domains", "domains for which it was used, the last ones"},
	{"certificates[].direction", "in: shown by somebody who connected to us; out: by a server that we connected to"},
	{"certificates[].address", "IP address and port of the last connection"},
	{"certificates[].revocation", "as of connections"},
	{"certificates[].not_after", "when it expires"},
	{"certificates[].first_seen", "time"},
	{"certificates[].last_seen", "time"},
	{"certificates[].connections", "how many showed it"},
	{"certificates[].why", "why it is rejected"},
};
static const struct admin_field revocation_lists_fields[] = {
	{"lists[].url", "where it comes from"},
	{"lists[].issuer", "the authority"},
	{"lists[].state", "kept; fetching; stale: out of date, and no newer one could be had; failed: there is none"},
	{"lists[].revoked", "certificates that are on it"},
	{"lists[].this_update", "when the authority made it"},
	{"lists[].next_update", "until when it counts"},
	{"lists[].octets", "memory"},
	{"lists[].fetches", "how often it was fetched"},
	{"lists[].failures", "... in vain"},
	{"lists[].error", "why the last attempt failed"},
};

static const struct admin_group groups[] = {
	{{"show"}, "what goes on in the daemon now"},
	{{"show", "sip"}, "what goes on between the homes and SIP partners"},
};

static const struct admin_command commands[] = {
	{.id = ADMIN_CMD_SHOW_STREAMS, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_EDGE, .path = {"show", "streams"}, .summary = "list the XMPP streams with partners",
	 .help = "A partner that cannot be reached is listed with the reason and in state backoff.", ARGS(streams_args), FIELDS(streams_fields)},

	{.id = ADMIN_CMD_SHOW_STREAM, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_EDGE, .path = {"show", "stream"}, .summary = "show everything about one XMPP stream",
	 .example = "entente show stream 12", ARGS(stream_args), FIELDS(stream_fields)},


	{.id = ADMIN_CMD_SHOW_SUBSCRIPTIONS, .roles = ADMIN_MAY_SEE, .path = {"show", "subscriptions"}, .summary = "list who watches whose presence",
	 ARGS(show_args), FIELDS(subscriptions_fields)},

	{.id = ADMIN_CMD_SHOW_CONVERSATIONS, .roles = ADMIN_MAY_SEE, .path = {"show", "conversations"}, .summary = "list who talks to whom",
	 .help = "Counts only: what is said is neither shown nor kept.", ARGS(show_args), FIELDS(conversations_fields)},

	{.id = ADMIN_CMD_SHOW_HOMES, .roles = ADMIN_MAY_SEE, .path = {"show", "homes"}, .summary = "list the SIP servers of the organisation",
	 ARGS(show_args), FIELDS(homes_fields)},

	{.id = ADMIN_CMD_SHOW_LINKS, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_BOTH, .path = {"show", "links"}, .summary = "list the links between edge and gateway",
	 .help = "Only where edge and gateway are two processes (server.role): one link for each worker of the gateway and each edge.",
	 ARGS(show_args), FIELDS(links_fields)},

	{.id = ADMIN_CMD_SHOW_SIP_CONNECTIONS, .roles = ADMIN_MAY_SEE, .path = {"show", "sip", "connections"}, .summary = "list connections with SIP partners",
	 ARGS(sip_show_args), FIELDS(sip_connections_fields)},
	{.id = ADMIN_CMD_SHOW_SIP_TRANSACTIONS, .roles = ADMIN_MAY_SEE, .path = {"show", "sip", "transactions"}, .summary = "list requests to and from SIP partners",
	 ARGS(sip_show_args), FIELDS(sip_transactions_fields)},
	{.id = ADMIN_CMD_SHOW_SIP_DIALOGS, .roles = ADMIN_MAY_SEE, .path = {"show", "sip", "dialogs"}, .summary = "list sessions and subscriptions with SIP partners",
	 .help = "As a proxy knows them: it has seen the answer that began the dialog, and has not yet seen its end. One that ends without a word to us "
		 "stays until its own time is over or it was silent for four hours; of more than 20,000 the most silent are forgotten; a restart forgets "
		 "all. Nothing is decided by this list: requests of dialogs that are not in it pass like others.",
	 .example = "entente show sip dialogs --partner adatum.example", ARGS(sip_show_args), FIELDS(sip_dialogs_fields)},
	{.id = ADMIN_CMD_SHOW_WATCH_LIST, .roles = ADMIN_MAY_SEE, .path = {"show", "sip", "watch-list"}, .summary = "list discovered SIP partners",
	 .help = "Partners that are not on the list of allowed domains, by certificate. They are let in within limits: `entente access-edge show`.",
	 ARGS(sip_show_args), FIELDS(watch_list_fields)},
	{.id = ADMIN_CMD_SHOW_SIP_CERTIFICATES, .roles = ADMIN_MAY_SEE, .path = {"show", "sip", "certificates"}, .summary = "list certificates of SIP partners",
	 .help = "Those that partners' servers have shown, as many as `entente access-edge show` says, the last seen first.", ARGS(sip_show_args), FIELDS(sip_certificates_fields)},
	{.id = ADMIN_CMD_SHOW_REVOCATION_LISTS, .roles = ADMIN_MAY_SEE, .path = {"show", "revocation-lists"}, .summary = "list fetched revocation lists",
	 .help = "Those that certificates of partners have named; see the settings tls.revocation.", ARGS(sip_show_args),
	 FIELDS(revocation_lists_fields)},

	{.id = ADMIN_CMD_SHOW_METRICS, .roles = ADMIN_MAY_SEE, .where = ADMIN_AT_BOTH, .path = {"show", "metrics"}, .summary = "print all counters and gauges",
	 .help = "In the text format of Prometheus. The setting metrics.listen offers the same by HTTP.", FIELDS(metrics_fields)},
};

const struct admin_command_set admin_commands_show = {GROUPS(groups), COMMANDS(commands)};
