/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/handout.h"

/* In the texts: {domain} {server} {xmpp-port} {sip}. */
struct section {
	struct plan_software software;
	const char *before;  /* once */
	const char *each;    /* for each of our domains */
	const char *after;   /* once; NULL: nothing */
};

static const struct section sections[] = {
	{{"prosody", "Prosody", .xmpp = true},
	 "Nothing is needed when your server federates freely. Where it does not, in `prosody.cfg.lua`:\n\n"
	 "    modules_enabled = { \"tls\"; \"dialback\"; \"s2s_auth_certs\" }  -- beside those that you have\n"
	 "    s2s_require_encryption = true\n"
	 "    s2s_secure_domains = {",
	 " \"{domain}\";",
	 " }  -- no dialback, when you trust the authority of our certificate\n\nThe module `limits` reads an incoming stream at 30 kB/s by default. If our users write much to yours:\n\n"
	 "    limits = { s2sin = { rate = \"1mb/s\" } }\n\n"
	 "Try it: `prosodyctl check connectivity`, and in `prosodyctl shell`: `s2s:show()`.\n"},
	{{"ejabberd", "ejabberd", .xmpp = true},
	 "In `ejabberd.yml`, when your server does not federate freely:\n\n"
	 "    s2s_use_starttls: required\n"
	 "    modules:\n"
	 "      mod_s2s_dialback: {}   # ejabberd before 25.08 refuses certificates without clientAuth, as public authorities issue them now\n"
	 "    acl:\n"
	 "      entente:\n"
	 "        server:\n",
	 "          - {domain}\n",
	 "    access_rules:\n"
	 "      s2s:\n"
	 "        allow: entente\n"
	 "    s2s_access: s2s\n\n"
	 "After a failed attempt ejabberd refuses a domain for up to five minutes (`s2s_max_retry_delay`): wait, or restart it.\n"},
	{{"openfire", "Openfire", .xmpp = true},
	 "Admin console, Server, Server Settings, Server to Server: service enabled; *Allowed to Connect*: either anyone, or add\n\n",
	 "    {domain}    port {xmpp-port}\n",
	 "\nSTARTTLS policy *Required*; leave *Server Dialback* on unless you know that your certificate is good for clients too.\n"},
	{{"entente", "Entente", .xmpp = true, .sip = true}, "", "    entente partner xmpp add {domain} --type federated\n",
	 "\nTry it: `entente explain --from sip:you@YOUR-DOMAIN --to xmpp:them@OUR-DOMAIN --kind message`.\n"},
	{{"lync", "Lync Server 2013, Skype for Business Server 2015 (XMPP gateway)", .xmpp = true},
	 "In the Management Shell, on a pool with the XMPP gateway and an Edge Server with XMPP federation:\n\n",
	 "    New-CsXmppAllowedPartner -Identity {domain} -Domain {domain} -PartnerType Federated -TlsNegotiation Required `\n"
	 "        -SaslNegotiation Optional -SupportDialbackNegotiation $true -ConnectionLimit 20\n",
	 "\n    Set-CsExternalAccessPolicy -Identity Global -EnableXmppAccess $true -EnableFederationAccess $true\n"},
	{{"lync-sip", "Lync Server, Skype for Business Server (SIP federation)", .sip = true},
	 "In the Management Shell:\n\n    Set-CsAccessEdgeConfiguration -AllowFederatedUsers $true\n",
	 "    New-CsAllowedDomain -Identity {domain} -ProxyFqdn {sip}\n",
	 "\n    Set-CsExternalAccessPolicy -Identity Global -EnableFederationAccess $true\n\n"
	 "With partner discovery on, `-ProxyFqdn` may be left out: our `_sipfederationtls._tcp` record says the same. Your Edge must trust "
	 "the authority of our certificate.\n"},
	{{"kamailio", "Kamailio", .sip = true},
	 "With the modules tls, tm and rr; in the request route, before your own domains' relay:\n\n",
	 "    if ($rd == \"{domain}\") { $du = \"sip:{sip}:5061;transport=tls\"; t_relay(); exit; }\n",
	 "\nIn `tls.cfg`, `[client:default]`: your certificate (its names must hold your SIP domain), `verify_certificate = yes`, `require_certificate = "
	 "yes`; the same in `[server:default]`.\n"},
	{{"expressway", "Cisco Expressway", .sip = true},
	 "On the Expressway-E a neighbour zone for each domain: type *Neighbor*, SIP transport *TLS*, port 5061, *TLS verify mode* on, and\n\n",
	 "    peer address  {sip}\n    search rule   alias pattern  (.*)@{domain}   on successful match: stop\n",
	 "\nBefore X15.4 it wants certificates with clientAuth from us too: tell us if that is your release.\n"},
};

size_t plan_software_count(void)
{
	return sizeof sections / sizeof *sections;
}

const struct plan_software *plan_software(size_t index)
{
	return &sections[index].software;
}

/* ---- */

static void fill(struct buf *out, const char *text, const struct plan_site *s, struct slice domain)
{
	struct slice rest = slice_str(text);
	for (ptrdiff_t i; (i = slice_find_chr(rest, '{')) >= 0;) {
		buf_put(out, slice_first(rest, (size_t)i));
		rest = slice_skip(rest, (size_t)i);
		if (slice_starts(rest, S("{domain}")))
			buf_put(out, domain);
		else if (slice_starts(rest, S("{sip}")))
			buf_printf(out, "sip.%.*s", SFMT(domain));
		else if (slice_starts(rest, S("{server}")))
			buf_put(out, s->server_name);
		else if (slice_starts(rest, S("{xmpp-port}")))
			buf_u64(out, s->xmpp_port);
		else { /* a brace of theirs */
			buf_putc(out, '{');
			rest = slice_skip(rest, 1);
			continue;
		}
		slice_split(&rest, '}');
	}
	buf_put(out, rest);
}

static void ourselves(struct buf *out, const struct plan_site *s, const struct plan *p)
{
	buf_puts(out, "| | |\n|---|---|\n| our domains | ");
	for (size_t i = 0; i < s->n_domains; i++)
		buf_printf(out, "%s%.*s", i ? ", " : "", SFMT(s->domains[i]));
	buf_puts(out, " |\n");
	if (s->xmpp_port)
		buf_printf(out, "| XMPP | server-to-server on %.*s, TCP %u, STARTTLS required", SFMT(s->server_name), s->xmpp_port);
	if (s->xmpp_port && s->xmpp_direct_port)
		buf_printf(out, "; TCP %u with TLS from the first octet", s->xmpp_direct_port);
	if (s->xmpp_port)
		buf_puts(out, " |\n| authentication | SASL EXTERNAL by certificate, or dialback inside TLS |\n");
	if (s->sip_federation)
		buf_puts(out, "| SIP | mutual TLS, TCP 5061, found by `_sipfederationtls._tcp` |\n");
	buf_puts(out, "| TLS | 1.2 or 1.3 |\n| names in our certificate | ");
	for (size_t i = 0; i < p->certificates[0].n_names; i++)
		buf_printf(out, "%s%.*s", i ? ", " : "", SFMT(p->certificates[0].names[i]));
	buf_puts(out, " |\n");
	if (s->n_addresses)
		buf_puts(out, "| our addresses | ");
	for (size_t i = 0; i < s->n_addresses; i++)
		buf_printf(out, "%s%.*s", i ? ", " : "", SFMT(s->addresses[i]));
	buf_puts(out, s->n_addresses ? " |\n\n" : "\n");
}

static void look_up(struct buf *out, const struct plan *p)
{
	buf_puts(out, "You can check what you should see from your side:\n\n");
	for (size_t i = 0; i < p->n_records; i++)
		if (p->records[i].type == PLAN_SRV)
			buf_printf(out, "    dig +short SRV %.*s    # %u %u %u %.*s.\n", SFMT(p->records[i].name), p->records[i].priority, p->records[i].weight,
				   p->records[i].port, SFMT(p->records[i].target));
}

static bool meets(const struct plan_software *w, const struct plan_site *s)
{
	return (w->xmpp && (s->xmpp_port || s->xmpp_direct_port)) || (w->sip && s->sip_federation);
}

bool plan_handout_print(struct buf *out, const struct plan_site *s, const struct plan *p, struct slice only)
{
	bool found = !only.len;
	for (size_t i = 0; i < plan_software_count(); i++)
		found |= slice_eq(only, slice_str(sections[i].software.id));
	if (!found)
		return false;
	buf_printf(out, "# Federating with %.*s\n\nFor the administrator of a partner. Users of both sides can write to each other and see each other's "
			"presence once both sides allow it; each side connects to the other, so the ports must be open in both directions.\n\n",
		   SFMT(s->domains[0]));
	ourselves(out, s, p);
	look_up(out, p);
	for (size_t i = 0; i < plan_software_count(); i++) {
		const struct section *t = &sections[i];
		if (only.len ? !slice_eq(only, slice_str(t->software.id)) : !meets(&t->software, s))
			continue;
		buf_printf(out, "\n## %s\n", t->software.title);
		fill(out, t->before, s, s->domains[0]);
		for (size_t k = 0; k < s->n_domains; k++)
			fill(out, t->each, s, s->domains[k]);
		fill(out, t->after ? t->after : "", s, s->domains[0]);
	}
	buf_puts(out, "\n## Tell us\nYour domain, whether your server can do SASL EXTERNAL with its certificate, whether its certificate is from a public "
		      "authority, and whom to call when messages do not arrive.\n");
	return true;
}
