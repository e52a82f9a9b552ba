/* SPDX-License-Identifier: Apache-2.0 */
/* The six questions. Each has a proposal where one can be made; what is given on the command line is not asked. */
#include "admin/quickstart.h"

#include <unistd.h>
#include "policy/domain.h"

enum { LINE = 1024 };

/* Says what is wrong with an answer, in words that fit both a question and an option. */
static int bad(struct quick *q, const char *option, struct slice text, const char *rule, const char *example)
{
	if (q->in) {
		fprintf(q->out, "  '%.*s' %s, e.g. %s\n", SFMT(slice_first(text, 80)), rule, example);
		return ADMIN_EXIT_USAGE;
	}
	return admin_fail(q->call, ADMIN_EXIT_USAGE, "usage", example, "--%s: '%.*s' %s; for example:", option, SFMT(slice_first(text, 80)), rule);
}

/* One line of an answer, trimmed; the proposal for an empty one. False: there is no more input. */
static bool ask(struct quick *q, struct slice *ret, int number, const char *question, struct slice proposal)
{
	char line[LINE];
	fprintf(q->out, "%d. %s", number, question);
	if (proposal.len)
		fprintf(q->out, " [%.*s]", SFMT(proposal));
	fputs(": ", q->out);
	fflush(q->out);
	if (!fgets(line, sizeof line, q->in))
		return false;
	*ret = arena_dup(q->arena, slice_trim(slice_str(line)));
	if (!ret->len)
		*ret = proposal;
	return true;
}

/* Asks until `take` accepts the answer. */
static int settle(struct quick *q, int number, const char *question, struct slice proposal, int (*take)(struct quick *q, struct slice text))
{
	struct slice text;
	while (ask(q, &text, number, question, proposal))
		if (take(q, text) == ADMIN_EXIT_OK)
			return ADMIN_EXIT_OK;
	return admin_fail(q->call, ADMIN_EXIT_USAGE, "usage", NULL, "the questions were not answered; nothing was changed");
}

static int missing(struct quick *q, const char *option, const char *what)
{
	return admin_fail(q->call, ADMIN_EXIT_USAGE, "usage",
			  "entente quickstart --yes --domain contoso.example --next-hop 10.0.0.5:5060/tcp --name gw.contoso.example",
			  "--%s is missing: %s, and nobody can be asked here; for example:", option, what);
}

/* ---- 1: domains */

static int take_domains(struct quick *q, struct slice text)
{
	struct policy_domain d;
	q->answers.n_domains = 0;
	for (size_t i = 0, from = 0; i <= text.len; i++) {
		if (i < text.len && text.p[i] != ',' && text.p[i] != ' ' && text.p[i] != '\t')
			continue;
		struct slice one = slice_of(text.p + from, i - from);
		from = i + 1;
		bool known = false;
		if (!one.len)
			continue;
		if (!policy_domain_import(&d, one))
			return bad(q, "domain", one, "is not a domain name", "contoso.example");
		for (size_t k = 0; k < q->answers.n_domains; k++)
			known |= slice_eq(q->domains[k], policy_domain_slice(&d));
		if (known)
			continue;
		if (q->answers.n_domains == QUICK_DOMAINS_MAX)
			return bad(q, "domain", one, "is one domain too many: 64 can be given here, more in the file", "contoso.example");
		q->domains[q->answers.n_domains++] = arena_dup(q->arena, policy_domain_slice(&d));
	}
	if (!q->answers.n_domains)
		return bad(q, "domain", text, "names no domain", "contoso.example");
	return ADMIN_EXIT_OK;
}

static int domains(struct quick *q)
{
	json_t *given = admin_arg_list(q->call, "domain");
	struct slice all = SLICE_NONE, own = slice_str(q->machine.name);
	for (size_t i = 0; i < json_array_size(given); i++)
		all = arena_printf(q->arena, "%.*s %s", SFMT(all), json_string_value(json_array_get(given, i)));
	if (all.len)
		return take_domains(q, all);
	if (!q->in)
		return missing(q, "domain", "your SIP domain");
	slice_split(&own, '.');
	return settle(q, 1, "Your SIP domains, the part of sip:romeo@contoso.example after the @", slice_find_chr(own, '.') >= 0 ? own : SLICE_NONE, take_domains);
}

/* ---- 2: the SIP server */

static int take_next_hop(struct quick *q, struct slice text)
{
	struct buf uri;
	const char *why = "is no SIP server";
	char host[256];
	struct slice h, transport;
	struct setup_address known[1];
	uint16_t port;
	buf_init(&uri, LINE);
	bool ok = setup_next_hop(&uri, text, &why);
	q->answers.next_hop = arena_dup(q->arena, buf_slice(&uri));
	buf_free(&uri);
	if (!ok)
		return bad(q, "next-hop", text, why, "10.0.0.5:5060/tcp, pool.contoso.example:5061/tls");
	setup_next_hop_parts(q->answers.next_hop, &h, &port, &transport);
	q->answers.transport = transport;
	if (slice_cstr(h, host, sizeof host) && !setup_resolve(known, 1, host))
		quick_warn(q, "next-hop-unknown", "the SIP server %s has no address in DNS: nothing reaches it until it has", host);
	return ADMIN_EXIT_OK;
}

static int next_hop(struct quick *q)
{
	struct slice given = admin_arg_text(q->call, "next-hop");
	if (given.p)
		return take_next_hop(q, given);
	if (!q->in)
		return missing(q, "next-hop", "your SIP server");
	return settle(q, 2, "Your SIP server, HOST:PORT/tls, /tcp or /udp", SLICE_NONE, take_next_hop);
}

/* ---- 3: our name */

static int take_name(struct quick *q, struct slice text)
{
	struct policy_domain d;
	if (!policy_domain_import(&d, text) || slice_find_chr(policy_domain_slice(&d), '.') < 0)
		return bad(q, "name", text, "is not the full name of a host", "gw.contoso.example");
	q->answers.name = arena_dup(q->arena, policy_domain_slice(&d));
	return ADMIN_EXIT_OK;
}

static int name(struct quick *q)
{
	struct slice given = admin_arg_text(q->call, "name"), own = slice_str(q->machine.name);
	if (given.p)
		return take_name(q, given);
	if (q->in)
		return settle(q, 3, "The name of this server, as partners' servers shall find it in DNS", own, take_name);
	return own.len ? take_name(q, own) : missing(q, "name", "this machine has no full name of its own");
}

/* ---- 4, 5, 6 */

static int take_xmpp(struct quick *q, struct slice text)
{
	bool yes = slice_ieq(text, S("yes")) || slice_ieq(text, S("y")), no = slice_ieq(text, S("no")) || slice_ieq(text, S("n"));
	if (!yes && !no)
		return bad(q, "xmpp", text, "is neither yes nor no", "yes");
	q->answers.xmpp = yes;
	return ADMIN_EXIT_OK;
}

/* The index of a word in "a|b|c", or its beginning; -1. */
static int choice(const char *words, struct slice text)
{
	struct slice rest = slice_str(words);
	for (int i = 0; rest.len; i++)
		if (text.len && slice_istarts(slice_split(&rest, '|'), text))
			return i;
	return -1;
}

static int take_federation(struct quick *q, struct slice text)
{
	int i = choice("closed|allow-list|discovered", text);
	if (i < 0)
		return bad(q, "federation", text, "is not closed, allow-list or discovered", "allow-list");
	q->answers.federation = (enum setup_federation)i;
	return ADMIN_EXIT_OK;
}

static int take_source(struct quick *q, struct slice text)
{
	int i = choice("csr|acme|files", text);
	if (i < 0)
		return bad(q, "certificates", text, "is not csr, acme or files", "csr");
	q->answers.source = (enum setup_certificate)i;
	return ADMIN_EXIT_OK;
}

static int switches(struct quick *q)
{
	struct slice federation = admin_arg_text(q->call, "federation"), source = admin_arg_text(q->call, "certificates");
	int r = ADMIN_EXIT_OK;
	q->answers.xmpp = admin_arg_bool(q->call, "xmpp", true);
	if (q->in && !admin_arg_given(q->call, "xmpp"))
		r = settle(q, 4, "Will there be XMPP partners (Prosody, ejabberd, Openfire ...)", S("yes"), take_xmpp);
	if (r)
		return r;
	r = q->in && !federation.p ? settle(q, 5, "SIP partners: closed, allow-list (those that you name), discovered (whom DNS names)", S("closed"), take_federation)
				   : take_federation(q, federation.p ? federation : S("closed"));
	if (r)
		return r;
	return q->in && !source.p ? settle(q, 6, "The certificate: csr (a request for your authority), acme (certbot and the like), files", S("csr"), take_source)
				  : take_source(q, source.p ? source : S("csr"));
}

/* ---- with --certificates files; belongs to the sixth question */

static int take_file(struct quick *q, struct slice *ret, const char *option, struct slice text)
{
	char path[4096];
	if (!slice_starts(text, S("/")) || !slice_cstr(text, path, sizeof path))
		return bad(q, option, text, "is not an absolute path", "/etc/entente/contoso.pem");
	if (access(path, R_OK) < 0)
		return bad(q, option, text, "cannot be read", "/etc/entente/contoso.pem");
	*ret = arena_dup(q->arena, text);
	return ADMIN_EXIT_OK;
}

static int take_certificate(struct quick *q, struct slice text)
{
	return take_file(q, &q->answers.certificate, "certificate", text);
}

static int take_key(struct quick *q, struct slice text)
{
	return take_file(q, &q->answers.key, "key", text);
}

static int files(struct quick *q)
{
	struct slice certificate = admin_arg_text(q->call, "certificate"), key = admin_arg_text(q->call, "key");
	int r;
	if (q->answers.source != SETUP_FILES) {
		if (certificate.p || key.p)
			return admin_fail(q->call, ADMIN_EXIT_USAGE, "usage", "with them: --certificates files", "--certificate and --key name files that are there");
		return ADMIN_EXIT_OK;
	}
	if (!q->in && (!certificate.p || !key.p))
		return missing(q, certificate.p ? "key" : "certificate", "with --certificates files both are named");
	r = certificate.p ? take_certificate(q, certificate) : settle(q, 6, "  the file with the certificate and its chain, PEM", SLICE_NONE, take_certificate);
	return r ? r : key.p ? take_key(q, key) : settle(q, 6, "  the file with its private key, PEM", SLICE_NONE, take_key);
}

/* ---- what follows from the answers and the machine */

static int inside(struct quick *q)
{
	struct slice given = admin_arg_text(q->call, "listen"), host, transport;
	char from[SETUP_ADDRESS_TEXT] = "", name_of_hop[256];
	uint16_t port;
	setup_next_hop_parts(q->answers.next_hop, &host, &port, &transport);
	if (given.p) {
		bool any = slice_eq(given, S("0.0.0.0")) || slice_eq(given, S("::"));
		if (!setup_is_address(given))
			return bad(q, "listen", given, "is not an IP address", "10.0.0.10");
		if (!any && !setup_machine_has(&q->machine, given) && setup_reach(given) != SETUP_LOOPBACK)
			quick_warn(q, "listen-elsewhere", "%.*s is no address of this machine", SFMT(given));
		q->answers.inside = given;
	} else if (slice_cstr(host, name_of_hop, sizeof name_of_hop) && setup_source_address(from, name_of_hop)) {
		q->answers.inside = arena_dup(q->arena, slice_str(from));
	} else { /* the SIP server cannot be found now: an inner address, if there is one */
		q->answers.inside = S("0.0.0.0");
		for (size_t i = q->machine.n_addresses; i-- > 0;)
			if (q->machine.addresses[i].reach == SETUP_PRIVATE)
				q->answers.inside = slice_str(q->machine.addresses[i].text);
	}
	q->answers.inside_port = (uint16_t)admin_arg_uint(q->call, "listen-port", 0);
	if (!q->answers.inside_port) { /* 5061 by TCP is partners' port, on all addresses */
		bool tls = slice_eq(q->answers.transport, S("tls"));
		q->answers.inside_port = !tls ? 5060 : q->answers.federation == SETUP_CLOSED ? 5061 : 5062;
	} else if (q->answers.inside_port == 5061 && !slice_eq(q->answers.transport, S("udp")) && q->answers.federation != SETUP_CLOSED) {
		return bad(q, "listen-port", S("5061"), "is the port for partners", "5062");
	}
	return ADMIN_EXIT_OK;
}

static int outside(struct quick *q)
{
	json_t *given = admin_arg_list(q->call, "address");
	char text[256];
	bool ours = false;
	if (slice_cstr(q->answers.name, text, sizeof text))
		q->n_dns = setup_resolve(q->dns, QUICK_ADDRESSES_MAX, text);
	for (size_t i = 0; i < q->n_dns; i++)
		ours |= setup_machine_has(&q->machine, slice_str(q->dns[i].text)) || q->dns[i].reach == SETUP_LOOPBACK;
	q->nat = q->n_dns && !ours;
	for (size_t i = 0; i < json_array_size(given) && q->n_addresses < QUICK_ADDRESSES_MAX; i++) {
		struct slice a = slice_str(json_string_value(json_array_get(given, i)));
		if (!setup_is_address(a))
			return bad(q, "address", a, "is not an IP address", "192.0.2.10");
		q->addresses[q->n_addresses++] = a;
		q->nat |= setup_reach(a) == SETUP_GLOBAL && !setup_machine_has(&q->machine, a);
	}
	if (q->n_addresses)
		return ADMIN_EXIT_OK;
	for (size_t i = 0; i < q->n_dns; i++)
		if (q->dns[i].reach == SETUP_GLOBAL && q->n_addresses < QUICK_ADDRESSES_MAX)
			q->addresses[q->n_addresses++] = slice_str(q->dns[i].text);
	for (size_t i = 0; !q->n_dns && i < q->machine.n_addresses; i++)
		if (q->machine.addresses[i].reach == SETUP_GLOBAL && q->n_addresses < QUICK_ADDRESSES_MAX)
			q->addresses[q->n_addresses++] = slice_str(q->machine.addresses[i].text);
	return ADMIN_EXIT_OK;
}

int quick_answers(struct quick *q)
{
	int r;
	if (q->in)
		fprintf(q->out, "Entente: six questions. Enter takes what is in brackets; nothing is written before the last one.\n\n");
	q->answers.domains = q->domains;
	if ((r = domains(q)) || (r = next_hop(q)) || (r = name(q)) || (r = switches(q)) || (r = files(q)))
		return r;
	q->answers.ipv6 = q->machine.ipv6;
	if (!q->answers.xmpp && q->answers.federation == SETUP_CLOSED)
		quick_warn(q, "no-partners", "without XMPP and with SIP federation closed there is nobody to federate with yet");
	return (r = inside(q)) ? r : outside(q);
}
