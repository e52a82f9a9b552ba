/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/draft.h"

#include <arpa/inet.h>
#include "config/schema.h"

enum { SIP_PORT = 5060, SIPS_PORT = 5061 };

/* ---- the next hop */

static bool is_ipv6(struct slice s)
{
	char z[INET6_ADDRSTRLEN];
	struct in6_addr a;
	return slice_cstr(s, z, sizeof z) && inet_pton(AF_INET6, z, &a) == 1;
}

bool setup_next_hop(struct buf *out, struct slice text, const char **why)
{
	struct slice rest = slice_trim(text), transport = SLICE_NONE;
	if (slice_istarts(rest, S("sip:")) || slice_istarts(rest, S("sips:"))) {
		if (!config_sip_uri(rest, NULL, NULL, why))
			return false;
		buf_put(out, rest);
		return true;
	}
	ptrdiff_t slash = slice_find_chr(rest, '/');
	if (slash >= 0) {
		transport = slice_skip(rest, (size_t)slash + 1);
		rest = slice_first(rest, (size_t)slash);
		if (!slice_ieq(transport, S("tls")) && !slice_ieq(transport, S("tcp")) && !slice_ieq(transport, S("udp"))) {
			*why = "has a transport other than tls, tcp or udp after the slash";
			return false;
		}
	}
	struct buf uri;
	char port[8] = "";
	bool bare6 = is_ipv6(rest);
	ptrdiff_t colon = -1;
	for (size_t i = 0; !bare6 && i < rest.len; i++)
		if (rest.p[i] == ':' && (rest.p[0] != '[' || slice_find_chr(slice_first(rest, i), ']') >= 0))
			colon = (ptrdiff_t)i;
	if (colon >= 0)
		slice_cstr(slice_skip(rest, (size_t)colon + 1), port, sizeof port);
	bool tls = slice_ieq(transport, S("tls")) || (!transport.len && slice_eq(slice_str(port), S("5061")));
	buf_init(&uri, 1024);
	buf_printf(&uri, bare6 ? "sip:[%.*s]" : "sip:%.*s", SFMT(rest));
	if (colon < 0)
		buf_printf(&uri, ":%d", tls ? SIPS_PORT : SIP_PORT);
	buf_printf(&uri, ";transport=%s", tls ? "tls" : slice_ieq(transport, S("udp")) ? "udp" : "tcp");
	bool ok = rest.len && buf_ok(&uri) && config_sip_uri(buf_slice(&uri), NULL, NULL, why);
	if (!rest.len)
		*why = "is empty";
	else if (!ok)
		*why = "is neither HOST:PORT nor a SIP URI, e.g. sip.contoso.example:5061 or 10.0.0.5:5060/tcp";
	if (ok)
		buf_put(out, buf_slice(&uri));
	buf_free(&uri);
	return ok;
}

void setup_next_hop_parts(struct slice uri, struct slice *ret_host, uint16_t *ret_port, struct slice *ret_transport)
{
	bool tls = slice_istarts(uri, S("sips:"));
	struct slice rest = slice_skip(uri, tls ? 5 : 4), head = slice_split(&rest, ';'), port;
	uint64_t number;
	*ret_transport = tls ? S("tls") : S("udp");
	while (rest.p) {
		struct slice value = slice_split(&rest, ';'), name = slice_split(&value, '=');
		if (slice_ieq(name, S("transport")) && !tls)
			*ret_transport = slice_ieq(value, S("tls")) ? S("tls") : slice_ieq(value, S("tcp")) ? S("tcp") : S("udp");
	}
	ptrdiff_t end = slice_find_chr(head, ']');
	if (end > 0) {
		*ret_host = slice_of(head.p + 1, (size_t)end - 1);
		port = slice_skip(head, (size_t)end + 2);
	} else {
		port = head;
		*ret_host = slice_split(&port, ':');
	}
	*ret_port = slice_u64(port, 65535, &number) && number ? (uint16_t)number : slice_eq(*ret_transport, S("tls")) ? SIPS_PORT : SIP_PORT;
}

/* ---- the file */

static void listener(struct buf *out, struct slice address, const char *rest)
{
	bool colon = slice_find_chr(address, ':') >= 0; /* in a flow mapping an IPv6 address needs quotes */
	buf_printf(out, colon ? "    - {address: \"%.*s\"%s}\n" : "    - {address: %.*s%s}\n", SFMT(address), rest);
}

static void outside(struct buf *out, const struct setup_answers *a, const char *rest)
{
	listener(out, a->outside.len ? a->outside : S("0.0.0.0"), rest);
	if (!a->outside.len && a->ipv6)
		listener(out, S("::"), rest);
}

static void certificate(struct buf *out, const struct setup_answers *a)
{
	buf_puts(out, "\ntls:\n");
	if (a->source == SETUP_FILES)
		buf_puts(out, "  # The chain and its key. Both are read again by `systemctl reload entented`.\n");
	else
		buf_puts(out, "  # FOR THE BEGINNING ONLY: this certificate is signed by itself, and partners that look at certificates refuse it.\n"
			      "  # The real one comes into the same files by `entente certificate import FILE --usage server`.\n");
	if (a->source == SETUP_ACME)
		buf_puts(out, "  # An ACME client does that at each renewal, by the hook /usr/lib/entente/acme-hook: docs/certificates.md.\n");
	else if (a->source == SETUP_CSR)
		buf_puts(out, "  # The request for it is in the .csr file beside it: give that to your certificate authority.\n");
	buf_printf(out, "  certificate: %.*s\n  key: %.*s\n", SFMT(a->certificate), SFMT(a->key));
}

static void sip(struct buf *out, const struct setup_answers *a)
{
	char port[64];
	snprintf(port, sizeof port, ", port: %u, transport: %.*s", a->inside_port, SFMT(a->transport));
	buf_puts(out, "\nsip:\n  # For your own SIP servers: they send here what is for other domains. Keep everybody else away from it.\n  listen:\n");
	listener(out, a->inside, port);
	switch (a->federation) {
	case SETUP_CLOSED:
		buf_puts(out, "  # For SIP partners (Lync, Skype for Business, Kamailio, another Entente), when you want some: docs/sip-federation.md.\n"
			      "  # external-listen:\n  #   - {address: 0.0.0.0, port: 5061}\n");
		break;
	case SETUP_ALLOW_LIST:
		buf_puts(out, "  # For SIP partners, by mutual TLS. Who may come in: entente allowed-domain add DOMAIN\n  external-listen:\n");
		outside(out, a, ", port: 5061");
		break;
	case SETUP_DISCOVERED:
		buf_puts(out, "  # For SIP partners, by mutual TLS. Discovered ones come in within limits; whom you know: entente allowed-domain add DOMAIN\n"
			      "  external-listen:\n");
		outside(out, a, ", port: 5061");
		break;
	}
}

static void xmpp(struct buf *out, const struct setup_answers *a)
{
	if (!a->xmpp) {
		buf_puts(out, "\n# For XMPP partners (Prosody, ejabberd, Openfire), when you want some: docs/first-partner.md.\n"
			      "# xmpp:\n#   listen:\n#     - {address: 0.0.0.0, port: 5269}\n");
		return;
	}
	buf_puts(out, "\nxmpp:\n  # For XMPP partners, with STARTTLS. Who may come in: entente partner xmpp add DOMAIN --type federated\n  listen:\n");
	outside(out, a, ", port: 5269");
	buf_puts(out, "    # TLS from the first octet (XEP-0368), with a record _xmpps-server._tcp in DNS:\n"
		      "    # - {address: 0.0.0.0, port: 5270, tls: direct}\n");
}

void setup_draft(struct buf *out, const struct setup_answers *a)
{
	buf_printf(out, "# Entente. Written by %.*s\n"
			"# All settings: man entente.conf. After a change: entente config check && systemctl reload entented\n"
			"# Partners and policy are not in this file; they are managed while the daemon runs: entente help\n"
			"\nserver:\n  # The name by which DNS and partners' servers know this machine.\n  name: %.*s\n",
		   SFMT(a->written), SFMT(a->name));
	certificate(out, a);
	sip(out, a);
	xmpp(out, a);
	buf_puts(out, "\n# Your SIP servers, and the domains whose users are there. Requests come from these addresses; a server that sends from others:\n"
		      "# senders: [192.0.2.0/24]. More next hops for when it is down: further-next-hops.\n"
		      "homes:\n  - name: main\n    domains: [");
	for (size_t i = 0; i < a->n_domains; i++)
		buf_printf(out, "%s%.*s", i ? ", " : "", SFMT(a->domains[i]));
	buf_printf(out, "]\n    next-hop: \"%.*s\"\n", SFMT(a->next_hop));
	if (a->dnssec)
		buf_printf(out, "\ndns:\n  # The resolver of this machine passes signatures on: what is signed is believed only when its signature is right.\n"
				"  trust-anchor: %.*s\n", SFMT(a->trust_anchor));
	else
		buf_puts(out, "\n# With a resolver that passes DNSSEC signatures on (unbound, for example), and dns-root-data:\n"
			      "# dns:\n#   trust-anchor: /usr/share/dns/root.key\n");
	buf_puts(out, "\n# Counters for Prometheus, on this machine only:\n# metrics:\n#   listen: 127.0.0.1:9464\n");
}
