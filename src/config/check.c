/* SPDX-License-Identifier: Apache-2.0 */
/* What needs more than one setting, or the machine, to be judged. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/external.h"
#include "base/reason.h"
#include "config/schema.h"

static const struct config_node *node_of(const struct config_loader *l, const char *key)
{
	return l->where[config_row_find(slice_str(key)) - config_rows];
}

/* `n` may be NULL: the setting is not in the file. */
#define COMPLAIN(l, warning, n, key, ...) \
	config_error((l)->errs, (warning), (n) ? (n)->line : 0, (n) ? (n)->column : 0, (key), __VA_ARGS__)

static const struct config_node *nth(const struct config_node *list, size_t i)
{
	const struct config_node *c = list ? list->first : NULL;
	while (c && i--)
		c = c->next;
	return c;
}

static const struct config_node *child(const struct config_node *map, const char *key)
{
	for (const struct config_node *c = map ? map->first : NULL; c; c = c->next)
		if (slice_eq(c->key, slice_str(key)))
			return c;
	return map;
}

static void check_required(struct config_loader *l)
{
	for (size_t i = 0; i < config_n_rows; i++)
		if (config_rows[i].kind == CONFIG_SETTING && !config_rows[i].def && !l->where[i])
			config_error(l->errs, false, 0, 0, config_rows[i].key, "'%s' is missing (%s)", config_rows[i].key,
				     config_rows[i].help);
}

struct seen {
	struct map_node node;
	size_t home, line;
};

static bool seen_before(struct map *m, struct seen *s, struct slice key, struct seen **ret)
{
	struct map_node *n = slice_empty(key) ? NULL : map_find(m, key);
	if (n)
		*ret = CONTAINER_OF(n, struct seen, node);
	else if (!slice_empty(key))
		map_insert(m, &s->node, key);
	return n;
}

static void check_homes(struct config_loader *l)
{
	const struct config *c = l->config;
	const struct config_node *homes = node_of(l, "homes"), *item = homes ? homes->first : NULL;
	if (c->server_role == CONFIG_EDGE) {
		if (c->n_homes)
			COMPLAIN(l, true, homes, "homes", "homes: not used here: an edge learns our domains from its gateway");
		return;
	}
	if (!c->n_homes) {
		if (!homes || (homes->kind == CONFIG_NODE_LIST && !homes->n))
			COMPLAIN(l, false, homes, "homes",
				 "homes: there is no home; name the SIP server whose users shall be reached");
		return;
	}
	size_t total = 0, used = 0;
	for (size_t i = 0; i < c->n_homes; i++)
		total += 1 + c->homes[i].domains.n;
	struct map names, domains;
	map_init(&names);
	map_init(&domains);
	struct seen *seen = mem_calloc(total, sizeof *seen), *other;
	for (size_t i = 0; i < c->n_homes; i++, item = item->next) {
		const struct config_homes *h = &c->homes[i];
		const struct config_node *at = child(item, "name"), *list = child(item, "domains"),
					 *hop = child(item, "next-hop");
		seen[used] = (struct seen){.home = i, .line = at->line};
		if (seen_before(&names, &seen[used++], slice_str(h->name), &other))
			COMPLAIN(l, false, at, "homes", "homes[%zu].name: '%s' is already the name of the home on line %zu",
				 i, h->name, other->line);
		if (list->kind == CONFIG_NODE_LIST && !list->n)
			COMPLAIN(l, false, list, "homes", "homes[%zu].domains: a home needs at least one domain", i);
		const struct config_node *d = list->kind == CONFIG_NODE_LIST ? list->first : NULL;
		for (size_t k = 0; k < h->domains.n; k++, d = d ? d->next : NULL) {
			seen[used] = (struct seen){.home = i, .line = d ? d->line : list->line};
			if (seen_before(&domains, &seen[used++], slice_str(h->domains.items[k]), &other))
				COMPLAIN(l, false, d ? d : list, "homes",
					 "homes[%zu].domains: '%s' is already a domain of homes[%zu] (line %zu)", i,
					 h->domains.items[k], other->home, other->line);
		}
		if (*h->site && !policy_external_name_ok(slice_str(h->site)))
			COMPLAIN(l, false, child(item, "site"), "homes", "homes[%zu].site: '%s' is no name of a site: at most %d octets, without : * ?, e.g. Redmond",
				 i, h->site, POLICY_EXTERNAL_NAME_MAX);
		const char *why;
		bool explicit_transport;
		if (config_sip_uri(slice_str(h->next_hop), NULL, &explicit_transport, &why) && !explicit_transport)
			COMPLAIN(l, true, hop, "homes", "homes[%zu].next-hop: no transport is named, so UDP is used; better add "
				 ";transport=tcp or ;transport=tls", i);
	}
	map_free(&names);
	map_free(&domains);
	mem_free(seen);
}

static void check_direct(struct config_loader *l, const struct config_node *n, size_t i)
{
	enum { STARTTLS_PORT = 5269 };
	if (!*l->config->tls_certificate)
		COMPLAIN(l, false, child(n, "tls"), "xmpp.listen", "xmpp.listen[%zu]: tls direct needs tls.certificate and tls.key", i);
	if (l->config->xmpp_listen[i].port == STARTTLS_PORT)
		COMPLAIN(l, true, n, "xmpp.listen", "xmpp.listen[%zu]: direct TLS on port 5269, where partners expect STARTTLS; "
			 "5270 is customary", i);
}

static void check_listeners(struct config_loader *l)
{
	const struct config *c = l->config;
	const struct config_node *sip = node_of(l, "sip.listen"), *xmpp = node_of(l, "xmpp.listen");
	size_t n = c->n_sip_listen + c->n_xmpp_listen;
	for (size_t i = 0; i < n; i++) {
		bool is_sip = i < c->n_sip_listen;
		size_t own = is_sip ? i : i - c->n_sip_listen;
		const char *key = is_sip ? "sip.listen" : "xmpp.listen";
		const char *address = is_sip ? c->sip_listen[own].address : c->xmpp_listen[own].address;
		uint64_t port = is_sip ? c->sip_listen[own].port : c->xmpp_listen[own].port;
		bool udp = is_sip && c->sip_listen[own].transport == CONFIG_UDP;
		for (size_t k = 0; k < i && port && *address; k++) {
			bool k_sip = k < c->n_sip_listen;
			size_t ko = k_sip ? k : k - c->n_sip_listen;
			if (port == (k_sip ? c->sip_listen[ko].port : c->xmpp_listen[ko].port) &&
			    udp == (k_sip && c->sip_listen[ko].transport == CONFIG_UDP) &&
			    strcmp(address, k_sip ? c->sip_listen[ko].address : c->xmpp_listen[ko].address) == 0) {
				COMPLAIN(l, false, nth(is_sip ? sip : xmpp, own), key,
					 "%s[%zu]: %s port %llu is taken already by %s[%zu]%s", key, own, address,
					 (unsigned long long)port, k_sip ? "sip.listen" : "xmpp.listen", ko,
					 udp ? "" : "; tcp and tls need different ports");
				break;
			}
		}
		if (is_sip && c->sip_listen[own].transport == CONFIG_TLS && !*c->tls_certificate)
			COMPLAIN(l, false, child(nth(sip, own), "transport"), key,
				 "sip.listen[%zu]: transport tls needs tls.certificate and tls.key", own);
		if (!is_sip && c->xmpp_listen[own].tls == CONFIG_DIRECT)
			check_direct(l, nth(xmpp, own), own);
		if (n > 1024) /* the comparison above is quadratic */
			break;
	}
	if (n > 1024)
		COMPLAIN(l, false, c->n_sip_listen > c->n_xmpp_listen ? sip : xmpp, "", "more than 1024 listeners");
	if (c->n_sip_external_listen && !*c->tls_certificate)
		COMPLAIN(l, false, node_of(l, "sip.external-listen"), "sip.external-listen",
			 "sip.external-listen: partners connect by TLS: tls.certificate and tls.key are needed");
	if (c->n_sip_external_listen && c->server_role != CONFIG_ALL)
		COMPLAIN(l, false, node_of(l, "sip.external-listen"), "sip.external-listen",
			 "sip.external-listen: SIP federation needs server.role all: it is not split yet");
	if (c->server_role == CONFIG_EDGE) {
		if (sip && sip->n)
			COMPLAIN(l, true, sip, "sip.listen", "sip.listen: not used here: the homes speak with the gateway");
	} else if (!sip || !sip->n)
		COMPLAIN(l, true, sip, "sip.listen", "sip.listen: no listener, so homes cannot send anything");
	if (c->server_role == CONFIG_GATEWAY) {
		if (xmpp && xmpp->n)
			COMPLAIN(l, true, xmpp, "xmpp.listen", "xmpp.listen: not used here: partners connect to the edge");
	} else if (!xmpp || !xmpp->n)
		COMPLAIN(l, true, xmpp, "xmpp.listen", "xmpp.listen: no listener, so partners cannot connect");
	else if (!*c->tls_certificate)
		COMPLAIN(l, true, xmpp, "xmpp.listen",
			 "xmpp.listen: without tls.certificate only partners with TLS not-supported or "
			 "optional can connect");
}

static void check_file(struct config_loader *l, const char *key, const char *path, bool secret)
{
	const struct config_node *n = node_of(l, key);
	struct stat st;
	if (!*path || !l->check_files)
		return;
	/* A default that this machine does not have is not the administrator's mistake. */
	if (access(path, R_OK) != 0)
		COMPLAIN(l, !n, n, key, "%s: cannot read %s: %s", key, path, strerror(errno));
	else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		COMPLAIN(l, false, n, key, "%s: %s is not a file", key, path);
	else if (secret && (st.st_mode & S_IROTH))
		COMPLAIN(l, true, n, key, "%s: %s can be read by every user of this machine; chmod o-r", key, path);
}

static void check_client_pair(struct config_loader *l)
{
	const struct config *c = l->config;
	const struct config_node *cert = node_of(l, "tls.client-certificate"), *key = node_of(l, "tls.client-key");
	if (*c->tls_client_certificate && !*c->tls_client_key)
		COMPLAIN(l, false, cert, "tls.client-key", "tls.client-certificate without tls.client-key: the private key is missing");
	if (*c->tls_client_key && !*c->tls_client_certificate)
		COMPLAIN(l, false, key, "tls.client-certificate", "tls.client-key without tls.client-certificate: the certificate is missing");
	if (*c->tls_client_certificate && !*c->tls_certificate)
		COMPLAIN(l, true, cert, "tls.certificate", "tls.client-certificate without tls.certificate: partners that connect to us find no "
			 "TLS");
	check_file(l, "tls.client-certificate", c->tls_client_certificate, false);
	check_file(l, "tls.client-key", c->tls_client_key, true);
}

static void check_tls(struct config_loader *l)
{
	const struct config *c = l->config;
	const struct config_node *cert = node_of(l, "tls.certificate"), *key = node_of(l, "tls.key");
	if (*c->tls_certificate && !*c->tls_key && !key)
		COMPLAIN(l, false, cert, "tls.key", "tls.certificate without tls.key: the private key is missing");
	if (*c->tls_key && !*c->tls_certificate && !cert)
		COMPLAIN(l, false, key, "tls.certificate", "tls.key without tls.certificate: the certificate is missing");
	check_file(l, "tls.certificate", c->tls_certificate, false);
	check_file(l, "tls.key", c->tls_key, true);
	check_client_pair(l);
	check_file(l, "tls.trust", c->tls_trust, false);
	check_file(l, "dns.trust-anchor", c->dns_trust_anchor, false);
}

/* "edge.example.com", "edge.example.com:23456", "192.0.2.1:23456", "[2001:db8::1]:23456" */
bool config_edge_split(struct slice text, struct slice *ret_host, uint16_t *ret_port)
{
	uint64_t port = CONFIG_LINK_PORT;
	struct slice host = text, digits = SLICE_NONE;
	ptrdiff_t close = slice_find_chr(text, ']'), colon;
	if (text.len && text.p[0] == '[') {
		if (close < 2)
			return false;
		host = slice_of(text.p + 1, (size_t)close - 1);
		digits = slice_skip(text, (size_t)close + 1);
	} else if ((colon = slice_find_chr(text, ':')) >= 0 && slice_find_chr(slice_skip(text, (size_t)colon + 1), ':') < 0) {
		host = slice_first(text, (size_t)colon);
		digits = slice_skip(text, (size_t)colon);
	}
	if (digits.len && (digits.p[0] != ':' || !slice_u64(slice_skip(digits, 1), 65535, &port) || !port))
		return false;
	if (!host.len || host.len > POLICY_DOMAIN_MAX)
		return false;
	*ret_host = host;
	*ret_port = (uint16_t)port;
	return true;
}

static bool is_address(struct slice host)
{
	char z[POLICY_DOMAIN_MAX + 1];
	unsigned char octets[16];
	return slice_cstr(host, z, sizeof z) && (inet_pton(AF_INET, z, octets) == 1 || inet_pton(AF_INET6, z, octets) == 1);
}

static void check_edges(struct config_loader *l)
{
	const struct config *c = l->config;
	const struct config_node *edges = node_of(l, "link.edges");
	bool named = false;
	if (!c->link_edges.n)
		COMPLAIN(l, false, edges, "link.edges", "link.edges: a gateway needs at least one edge");
	if (c->link_edges.n > CONFIG_EDGES_MAX)
		COMPLAIN(l, false, edges, "link.edges", "link.edges: more than %d", CONFIG_EDGES_MAX);
	for (size_t i = 0; i < c->link_edges.n; i++) {
		struct policy_domain d;
		struct slice host;
		uint16_t port;
		if (!config_edge_split(slice_str(c->link_edges.items[i]), &host, &port) || (!is_address(host) && !policy_domain_make(&d, host)))
			COMPLAIN(l, false, nth(edges, i), "link.edges", "link.edges[%zu]: '%.100s' is not a name or an IP address with an optional port",
				 i, c->link_edges.items[i]);
		else
			named |= !is_address(host);
	}
	if (!c->link_peers.n && c->link_edges.n && !named)
		COMPLAIN(l, false, edges, "link.peers", "link.peers: needed when link.edges has addresses only: which name is in the edge's certificate?");
}

static void check_link(struct config_loader *l)
{
	static const char *const keys[] = {"link.listen", "link.edges", "link.peers", "link.certificate", "link.key", "link.trust"};
	const struct config *c = l->config;
	for (size_t i = 0; i < sizeof keys / sizeof *keys && c->server_role == CONFIG_ALL; i++)
		if (node_of(l, keys[i]))
			COMPLAIN(l, true, node_of(l, keys[i]), keys[i], "%s: not used while server.role is all", keys[i]);
	if (!*c->link_certificate != !*c->link_key)
		COMPLAIN(l, false, node_of(l, "link.certificate") ? node_of(l, "link.certificate") : node_of(l, "link.key"), "link.certificate",
			 "link.certificate and link.key: one without the other");
	check_file(l, "link.certificate", c->link_certificate, false);
	check_file(l, "link.key", c->link_key, true);
	check_file(l, "link.trust", c->link_trust, false);
	if (c->server_role == CONFIG_ALL)
		return;
	if (!*c->link_certificate && !*c->tls_certificate)
		COMPLAIN(l, false, node_of(l, "server.role"), "link.certificate",
			 "link.certificate: an edge and a gateway show each other certificates: set this, or tls.certificate");
	if (c->server_role == CONFIG_GATEWAY) {
		check_edges(l);
		return;
	}
	if (!c->n_link_listen)
		COMPLAIN(l, false, node_of(l, "link.listen"), "link.listen", "link.listen: an edge needs at least one, for its gateway");
	if (!c->link_peers.n)
		COMPLAIN(l, false, node_of(l, "link.peers"), "link.peers",
			 "link.peers: an edge must know a name in the certificate of its gateway: nobody else may push policy to it");
	if (c->link_edges.n)
		COMPLAIN(l, true, node_of(l, "link.edges"), "link.edges", "link.edges: not used here: the gateway connects to the edge");
}

static void check_policy_tests(struct config_loader *l)
{
	const struct config *c = l->config;
	const struct config_node *list = node_of(l, "policy-tests");
	for (size_t i = 0; i < c->n_policy_tests; i++) {
		const char *reason = c->policy_tests[i].reason;
		const struct config_node *at = child(nth(list, i), "reason");
		int r = 1;
		while (*reason && r < REASON_COUNT && strcmp(reason_info((enum reason)r)->id, reason))
			r++;
		if (r == REASON_COUNT)
			COMPLAIN(l, false, at, "policy-tests", "policy-tests[%zu].reason: there is no reason '%s'; `entente reason` lists all", i, reason);
		if (*reason && c->policy_tests[i].expect == CONFIG_EXPECT_ALLOW)
			COMPLAIN(l, false, at, "policy-tests", "policy-tests[%zu].reason: only what is refused has a reason", i);
	}
}

static void check_order(struct config_loader *l, const char *small, uint64_t a, const char *large, uint64_t b)
{
	const struct config_node *n = node_of(l, small) ? node_of(l, small) : node_of(l, large);
	if (a > b)
		COMPLAIN(l, false, n, small, "%s must not be greater than %s", small, large);
}

void config_check(struct config_loader *l)
{
	const struct config *c = l->config;
	check_required(l);
	check_homes(l);
	check_listeners(l);
	check_tls(l);
	check_link(l);
	check_policy_tests(l);
	check_order(l, "limits.max-stanza-before-auth", c->limits_max_stanza_before_auth, "limits.max-stanza",
		    c->limits_max_stanza);
	check_order(l, "limits.max-stanza", c->limits_max_stanza, "limits.queue-size", c->limits_queue_size);
	check_order(l, "limits.max-connections-per-partner", c->limits_max_connections_per_partner, "limits.max-connections",
		    c->limits_max_connections);
	check_order(l, "timers.subscription-minimum", c->timers_subscription_minimum, "timers.subscription-expires",
		    c->timers_subscription_expires);
	check_order(l, "timers.dialback", c->timers_dialback, "timers.stream-setup", c->timers_stream_setup);
	if (strlen(c->server_control_socket) >= sizeof ((struct sockaddr_un *)0)->sun_path)
		COMPLAIN(l, false, node_of(l, "server.control-socket"), "server.control-socket",
			 "server.control-socket: longer than a socket's name may be (%zu octets)",
			 sizeof ((struct sockaddr_un *)0)->sun_path - 1);
}
