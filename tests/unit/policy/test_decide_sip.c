/* SPDX-License-Identifier: Apache-2.0 */
/* The decision about SIP partners: a table of single cases, and every combination of partner class, certificate, SRV record, sender,
 * asserted identity, mark and contact against an oracle that is written another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "policy/decide.h"
#include "../external.h"

/* Our domains ours.test, also.test; server.test allowed with edge.far.test; domain.test allowed; hosted.test allowed and, like wild.test, at
 * the hosting provider host.prov.test; the public provider chat.pub.test; the disabled provider off.prov.test; the provider of our
 * shared address space cloud.prov.test; evil.test blocked; xmpp.test an XMPP partner. */
static struct snapshot *make(bool federated, bool discovery, enum policy_verification level, const char *more)
{
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	const struct slice d1[] = {S("ours.test")}, d2[] = {S("also.test")};
	struct policy_home one = {.name = S("one"), .next_hop = S("sip:a"), .domains = d1, .n_domains = 1};
	struct policy_home two = {.name = S("two"), .next_hop = S("sip:b"), .domains = d2, .n_domains = 1};
	struct policy_partner p = {.domain = S("xmpp.test")};
	struct policy_access a;
	policy_partner_defaults(&p);
	assert_int_equal(snapshot_builder_home(b, &one, NULL), 0);
	assert_int_equal(snapshot_builder_home(b, &two, NULL), 0);
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	assert_int_equal(snapshot_builder_block(b, S("evil.test"), NULL), 0);
	policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
	a.federated_users = federated;
	a.discovery = discovery;
	a.discovered_verification = level;
	a.verification = level;
	assert_int_equal(policy_fields_read(POLICY_TABLE_ACCESS, &a, slice_str(more), NULL), 0);
	assert_int_equal(snapshot_builder_access(b, &a, NULL), 0);
	const struct {
		struct slice domain, proxy;
	} allowed[] = {{S("server.test"), S("edge.far.test")}, {S("domain.test"), S("")}, {S("hosted.test"), S("")}};
	for (size_t i = 0; i < 3; i++) {
		struct policy_allowed x = {.domain = allowed[i].domain};
		policy_fields_defaults(POLICY_TABLE_ALLOWED, &x);
		x.proxy_fqdn = allowed[i].proxy;
		x.verification = level;
		assert_int_equal(snapshot_builder_allow(b, &x, NULL), 0);
	}
	const struct {
		struct slice name, proxy;
		enum policy_provider_kind kind;
		bool enabled, shared;
	} providers[] = {{S("host"), S("host.prov.test"), POLICY_HOSTING, true, false}, {S("chat"), S("chat.pub.test"), POLICY_PUBLIC, true, false},
			 {S("off"), S("off.prov.test"), POLICY_PUBLIC, false, false}, {S("cloud"), S("cloud.prov.test"), POLICY_HOSTING, true, true}};
	for (size_t i = 0; i < 4 && a.routing == POLICY_ROUTE_DNS_SRV; i++) {
		struct policy_provider x = {.name = providers[i].name, .kind = providers[i].kind};
		policy_fields_defaults(POLICY_TABLE_PROVIDER, &x);
		x.proxy_fqdn = providers[i].proxy;
		x.enabled = providers[i].enabled;
		x.shared_address_space = providers[i].shared;
		x.verification = level;
		assert_int_equal(snapshot_builder_provider(b, &x, NULL), 0);
	}
	return snapshot_builder_freeze(b, 1);
}

/* ---- every combination */

static const char *const froms[] = {"server.test", "domain.test", "sub.domain.test", "hosted.test", "wild.test", "evil.test", "x.evil.test", "ours.test",
				    "xmpp.test"};
/* the DNS name of the certificate; with '@': a sip URI; with '~': a CN without subjectAltName */
static const char *const certs[] = {"edge.far.test", "sip.domain.test", "deep.sip.domain.test", "host.prov.test", "chat.pub.test", "off.prov.test",
				    "cloud.prov.test", "=", "@=", "~=", "sip.=", "", "*.domain.test"};
/* the SRV target of the sender's domain */
static const char *const srvs[] = {"?", "!", "-", "sip.=", "a.sip.=", "sip.domain.test", "host.prov.test", "chat.pub.test", "off.prov.test"};
enum { YES, NO, DNS };

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Written from the wire specification's table, by outcomes, not by rules: what must hold for a request to be let in. */
static int oracle(const char *from, const char *cert, const char *srv, bool chain, bool federated, bool discovery, enum policy_verification level,
		  enum policy_mark mark, bool asserted_ok, bool contact)
{
	bool self = same(cert, from), sip_self = false, cn = false;
	char name[128];
	snprintf(name, sizeof name, "%s", cert);
	if (*cert == '@' || *cert == '~') {
		sip_self = *cert == '@';
		cn = *cert == '~';
		self = true;
		snprintf(name, sizeof name, "%s", cert + 1);
	}
	if (!chain || !*cert)
		return NO;
	bool cloud = !sip_self && same(name, "cloud.prov.test");
	bool blocked = same(from, "evil.test") || same(from, "x.evil.test");
	bool ours = same(from, "ours.test");
	if (same(from, "xmpp.test") || blocked || !federated)
		return NO;
	if (ours && !cloud)
		return NO;
	if (!ours && !asserted_ok)
		return NO;
	bool listed = same(from, "domain.test") || same(from, "sub.domain.test") || same(from, "hosted.test");
	bool discovered = false;
	const char *at = strchr(srv, '?') ? NULL : srv; /* NULL: not asked */
	if (ours) {
		/* the shared provider */
	} else if (same(from, "server.test")) {
		if (sip_self || !same(name, "edge.far.test"))
			return NO;
	} else {
		bool hosting = !sip_self && (same(name, "host.prov.test") || cloud), chat = !sip_self && same(name, "chat.pub.test");
		bool off = !sip_self && same(name, "off.prov.test");
		if ((hosting || chat || off) && !at) /* a provider that is off is worth a look: its users are told so */
			return DNS;
		bool carried = at && same(at, name) && (hosting || chat || off);
		if (carried && off)
			return NO;
		if (carried && hosting && !listed && !discovery)
			return NO;
		if (!carried) {
			if (!listed && !discovery)
				return NO;
			discovered = !listed;
			if (!self && !cn) {
				if (!at)
					return DNS;
				const char *dot = strchr(at, '.');
				if (!dot || !same(dot + 1, from) || !same(at, name) || sip_self)
					return NO;
			}
		}
	}
	if (level == POLICY_ALWAYS_VERIFIABLE || (level == POLICY_USE_SOURCE && mark == POLICY_MARK_VERIFIED))
		return YES;
	if (level == POLICY_USE_SOURCE && mark == POLICY_MARK_NONE && !discovered)
		return NO;
	return contact ? YES : NO;
}

static void expand(char *dst, size_t size, const char *pattern, const char *domain)
{
	const char *eq = strchr(pattern, '=');
	if (eq)
		snprintf(dst, size, "%.*s%s", (int)(eq - pattern), pattern, domain);
	else
		snprintf(dst, size, "%s", pattern);
}

static void test_every_combination(void **state)
{
	size_t n = 0, allowed = 0, dns = 0;
	(void)state;
	for (int federated = 0; federated < 2; federated++)
	for (int discovery = 0; discovery < 2; discovery++)
	for (int level = 0; level < 3; level++) {
		struct snapshot *s = make(federated, discovery, (enum policy_verification)level, "");
		for (size_t f = 0; f < sizeof froms / sizeof *froms; f++)
		for (size_t c = 0; c < sizeof certs / sizeof *certs; c++)
		for (size_t v = 0; v < sizeof srvs / sizeof *srvs; v++)
		for (int bits = 0; bits < 24; bits++) {
			char cert[128], srv[128];
			expand(cert, sizeof cert, certs[c], froms[f]);
			expand(srv, sizeof srv, srvs[v], froms[f]);
			bool chain = bits & 1, pai = bits & 2, contact = bits & 4;
			enum policy_mark mark = (enum policy_mark)(bits >> 3);
			struct slice name = slice_str(cert), target = slice_str(srv), other = S("else.test"), uri = slice_skip(name, 1);
			struct policy_sip sip = {.connected = true, .chain_ok = chain, .mark = mark};
			if (*cert == '@') {
				sip.uris = &uri;
				sip.n_uris = 1;
			} else if (*cert == '~') {
				sip.cn = uri;
			} else if (*cert) {
				sip.dns = &name;
				sip.n_dns = 1;
			}
			sip.srv = same(srv, "?") ? POLICY_SRV_UNASKED : same(srv, "!") ? POLICY_SRV_FAILED : same(srv, "-") ? POLICY_SRV_NONE
															     : POLICY_SRV_FOUND;
			sip.targets = &target;
			sip.n_targets = sip.srv == POLICY_SRV_FOUND;
			sip.asserted = &other;
			sip.n_asserted = pai;
			struct policy_question q = {.kind = POLICY_MESSAGE, .direction = POLICY_TO_LOCAL, .from = {S("eve"), slice_str(froms[f])},
						    .to = {S("bob"), S("ours.test")}, .sip = &sip,
						    .has_contact = contact ? POLICY_CONTACT_YES : POLICY_CONTACT_NO};
			struct policy_verdict got;
			policy_decide(s, &q, &got);
			int want = oracle(froms[f], cert, srv, chain, federated, discovery, (enum policy_verification)level, mark, !pai, contact);
			int have = got.allow ? YES : got.need_srv ? DNS : NO;
			if (want != have)
				fail_msg("from %s certificate %s srv %s chain %d federated %d discovery %d level %d mark %d asserted-other %d contact %d: "
					 "wanted %d, got %d (%s: %s)", froms[f], cert, srv, chain, federated, discovery, level, mark, pai, contact, want,
					 have, got.steps[got.n_steps - 1].rule, got.steps[got.n_steps - 1].detail);
			assert_true(got.allow == (got.reason == REASON_NONE));
			if (got.allow && got.cls == POLICY_CLASS_DISCOVERED)
				assert_true(got.rate == 20 && got.max_contacts == 1000);
			if (got.allow && got.cls != POLICY_CLASS_DISCOVERED)
				assert_true(!got.rate && !got.max_contacts);
			n++;
			allowed += got.allow;
			dns += got.need_srv;
		}
		snapshot_unref(s);
	}
	assert_int_equal(n, 12 * 9 * 13 * 9 * 24);
	assert_true(allowed > 2000 && dns > 1000);
}

/* ---- outbound, and single cases */

struct out {
	const char *from, *to;
	const char *cert, *srv, *host; /* cert NULL: not connected yet */
	enum reason reason;
	enum policy_class cls;
	const char *route;
	enum policy_identity by;
};
#define C(x) POLICY_CLASS_##x
#define I(x) POLICY_ID_##x
static const struct out outs[] = {
	{"ours.test", "server.test", NULL, "?", "", REASON_NONE, C(ALLOWED_SERVER), "edge.far.test", I(NONE)},
	{"ours.test", "server.test", "edge.far.test", "?", "edge.far.test", REASON_NONE, C(ALLOWED_SERVER), "edge.far.test", I(FIXED)},
	{"ours.test", "server.test", "server.test", "?", "edge.far.test", REASON_SIP_CERTIFICATE, C(ALLOWED_SERVER), "edge.far.test", I(NONE)},
	{"ours.test", "domain.test", NULL, "?", "", REASON_SIP_DNS, C(NONE), "", I(NONE)},
	{"ours.test", "domain.test", NULL, "!", "", REASON_SIP_DNS, C(ALLOWED_DOMAIN), "", I(NONE)},
	{"ours.test", "domain.test", NULL, "-", "", REASON_SIP_SRV_NONE, C(ALLOWED_DOMAIN), "", I(NONE)},
	{"ours.test", "domain.test", NULL, "sip.domain.test", "", REASON_NONE, C(ALLOWED_DOMAIN), "", I(NONE)},
	{"ours.test", "domain.test", "sip.domain.test", "sip.domain.test", "sip.domain.test", REASON_NONE, C(ALLOWED_DOMAIN), "", I(EDGE)},
	{"ours.test", "domain.test", "domain.test", "x.else.test", "x.else.test", REASON_NONE, C(ALLOWED_DOMAIN), "", I(RFC5922)},
	{"ours.test", "domain.test", "x.else.test", "x.else.test", "x.else.test", REASON_SIP_SRV_DOMAIN, C(ALLOWED_DOMAIN), "", I(NONE)},
	{"ours.test", "domain.test", "a.b.domain.test", "a.b.domain.test", "a.b.domain.test", REASON_SIP_SRV_DOMAIN, C(ALLOWED_DOMAIN), "", I(NONE)},
	{"ours.test", "domain.test", "other.domain.test", "sip.domain.test", "sip.domain.test", REASON_SIP_CERTIFICATE, C(ALLOWED_DOMAIN), "", I(NONE)},
	{"ours.test", "hosted.test", NULL, "host.prov.test", "", REASON_NONE, C(HOSTING), "host.prov.test", I(NONE)},
	{"ours.test", "hosted.test", "host.prov.test", "host.prov.test", "host.prov.test", REASON_NONE, C(HOSTING), "host.prov.test", I(PROVIDER)},
	{"ours.test", "wild.test", NULL, "host.prov.test", "", REASON_POLICY_PARTNER_UNKNOWN, C(NONE), "", I(NONE)},
	{"ours.test", "wild.test", NULL, "chat.pub.test", "", REASON_NONE, C(PUBLIC), "chat.pub.test", I(NONE)},
	{"ours.test", "wild.test", NULL, "off.prov.test", "", REASON_POLICY_PARTNER_DISABLED, C(NONE), "", I(NONE)},
	{"ours.test", "wild.test", NULL, "sip.wild.test", "", REASON_POLICY_PARTNER_UNKNOWN, C(NONE), "", I(NONE)},
	{"ours.test", "x.evil.test", NULL, "?", "", REASON_POLICY_DOMAIN_BLOCKED, C(NONE), "", I(NONE)},
	{"else.test", "domain.test", NULL, "?", "", REASON_POLICY_SPOOFED_DOMAIN, C(NONE), "", I(NONE)},
	{"also.test", "domain.test", NULL, "?", "", REASON_POLICY_SPOOFED_DOMAIN, C(NONE), "", I(NONE)}, /* it is the other home's */
	{"ours.test", "ours.test", NULL, "?", "", REASON_NONE, C(SHARED), "cloud.prov.test", I(NONE)},
	{"ours.test", "ours.test", "cloud.prov.test", "?", "cloud.prov.test", REASON_NONE, C(SHARED), "cloud.prov.test", I(PROVIDER)},
	{"ours.test", "ours.test", "edge.ours.test", "?", "cloud.prov.test", REASON_POLICY_LOOP, C(NONE), "", I(NONE)},
	{"ours.test", "b..d", NULL, "?", "", REASON_ADDRESS_MALFORMED, C(NONE), "", I(NONE)},
};

static void ask(const struct snapshot *s, const struct out *o, enum policy_direction dir, struct policy_verdict *ret)
{
	struct slice name = slice_str(o->cert), target = slice_str(o->srv);
	struct policy_sip sip = {.connected = o->cert != NULL, .chain_ok = true, .dns = &name, .n_dns = o->cert != NULL, .host = slice_str(o->host)};
	sip.srv = same(o->srv, "?") ? POLICY_SRV_UNASKED : same(o->srv, "!") ? POLICY_SRV_FAILED : same(o->srv, "-") ? POLICY_SRV_NONE
														       : POLICY_SRV_FOUND;
	sip.targets = &target;
	sip.n_targets = sip.srv == POLICY_SRV_FOUND;
	struct policy_question q = {.kind = POLICY_SESSION, .direction = dir, .from = {S("a"), slice_str(o->from)}, .to = {S("b"), slice_str(o->to)},
				    .peer_home = dir == POLICY_TO_REMOTE ? 1 : 0, .sip = &sip, .has_contact = POLICY_CONTACT_YES};
	policy_decide(s, &q, ret);
}

static void test_outbound(void **state)
{
	struct snapshot *s = make(true, false, POLICY_ALWAYS_VERIFIABLE, "");
	(void)state;
	for (size_t i = 0; i < sizeof outs / sizeof *outs; i++) {
		struct policy_verdict v;
		ask(s, &outs[i], POLICY_TO_REMOTE, &v);
		if (v.reason != outs[i].reason || v.cls != outs[i].cls || !slice_eq(v.route, slice_str(outs[i].route)) || v.identity != outs[i].by)
			fail_msg("row %zu, to %s: reason %s class %s route %.*s identity %s (%s)", i, outs[i].to, reason_info(v.reason)->id,
				 policy_class_name(v.cls), SFMT(v.route), policy_identity_name(v.identity), v.steps[v.n_steps - 1].detail);
	}
	snapshot_unref(s);
}

static void test_default_route(void **state)
{
	struct snapshot *s = make(true, false, POLICY_USE_SOURCE, "routing=default\ndefault-route-fqdn=hub.test\n");
	struct out in = {"anybody.test", "ours.test", "hub.test", "?", "", REASON_NONE, C(DEFAULT_ROUTE), "hub.test", I(FIXED)};
	struct policy_verdict v;
	(void)state;
	ask(s, &in, POLICY_TO_LOCAL, &v); /* no mark: let in, as unverified */
	assert_true(v.allow && !v.verified && v.cls == POLICY_CLASS_DEFAULT_ROUTE);
	in.cert = "edge.far.test";
	ask(s, &in, POLICY_TO_LOCAL, &v);
	assert_int_equal(v.reason, REASON_POLICY_PEER_IDENTITY);
	in = (struct out){"ours.test", "anybody.test", NULL, "?", "", REASON_NONE, C(DEFAULT_ROUTE), "hub.test", I(NONE)};
	ask(s, &in, POLICY_TO_REMOTE, &v);
	assert_true(v.allow && slice_eq(v.route, S("hub.test")));
	snapshot_unref(s);
}

static void test_clearing_house(void **state)
{
	(void)state;
	for (int on = 0; on < 2; on++) {
		struct snapshot *s = make(true, false, POLICY_ALWAYS_VERIFIABLE, on ? "clearing-house=true\n" : "");
		struct out x = {"server.test", "domain.test", "edge.far.test", "?", "", REASON_NONE, C(ALLOWED_SERVER), "", I(FIXED)};
		struct policy_verdict v;
		ask(s, &x, POLICY_TO_LOCAL, &v);
		assert_int_equal(v.allow, on);
		assert_int_equal(v.transit, on);
		x.to = "wild.test"; /* one end alone is no relay */
		ask(s, &x, POLICY_TO_LOCAL, &v);
		assert_int_equal(v.reason, REASON_POLICY_LOCAL_UNKNOWN);
		snapshot_unref(s);
	}
}

/* Both halves of the question, as the Access Edge asks them, of every pair of domains: only two that are listed, and not the same twice. */
static void test_through(void **state)
{
	static const char *const domains[] = {"server.test", "domain.test", "sub.domain.test", "hosted.test", "wild.test", "evil.test", "ours.test", "xmpp.test"};
	static const char *const shown[] = {"edge.far.test", "domain.test", "sub.domain.test", "hosted.test", "wild.test", "evil.test", "sip.ours.test", "xmpp.test"};
	enum { N = sizeof domains / sizeof *domains, LISTED = 4 };
	unsigned through = 0;
	(void)state;
	for (int on = 0; on < 2; on++) {
		struct snapshot *s = make(true, true, POLICY_ALWAYS_VERIFIABLE, on ? "clearing-house=true\n" : "");
		for (size_t n = 0; n < N * N * 2; n++) {
			size_t from = n / 2 % N, to = n / 2 / N;
			bool wanted = on && from < LISTED && to < LISTED && from != to && n % 2;
			struct policy_verdict in, out;
			struct slice target = S("elsewhere.test"), name = slice_str(shown[from]), there = slice_str(shown[to]);
			struct policy_sip sip = {.connected = true, .chain_ok = true, .dns = &name, .n_dns = 1, .srv = POLICY_SRV_FOUND, .targets = &target, .n_targets = 1};
			struct policy_question q = {.kind = POLICY_SESSION, .from = {S("a"), slice_str(domains[from])}, .to = {S("b"), slice_str(domains[to])}, .sip = &sip};
			policy_decide(s, &q, &in);
			sip.dns = &there;
			sip.host = there;
			q.direction = POLICY_TO_REMOTE;
			q.transit = n % 2; /* without it, it would be a home's request, and no home has such a sender */
			policy_decide(s, &q, &out);
			bool got = in.allow && in.transit && out.allow;
			if (got != wanted || (out.allow && q.transit && !out.transit))
				fail_msg("%s to %s, clearing house %d: %s, %s", domains[from], domains[to], on, reason_info(in.reason)->id, reason_info(out.reason)->id);
			if (from == to && from < LISTED && on)
				assert_int_equal(in.reason, REASON_POLICY_LOOP);
			if (got) { /* the other end must show the right certificate, too */
				there = S("mallory.test");
				policy_decide(s, &q, &out);
				assert_false(out.allow);
			}
			through += got;
		}
		snapshot_unref(s);
	}
	assert_int_equal(through, LISTED * (LISTED - 1));
}

/* Each class has the level of its own kind: of the provider, though the domain is allowed too; of the allowed domain; of discovery. */
static void test_whose_level(void **state)
{
	static const struct {
		const char *from, *cert, *srv;
		enum policy_class cls;
	} rows[] = {
		{"hosted.test", "host.prov.test", "host.prov.test", C(HOSTING)}, {"hosted.test", "sip.hosted.test", "sip.hosted.test", C(ALLOWED_DOMAIN)},
		{"server.test", "edge.far.test", "?", C(ALLOWED_SERVER)}, {"wild.test", "chat.pub.test", "chat.pub.test", C(PUBLIC)},
		{"wild.test", "sip.wild.test", "sip.wild.test", C(DISCOVERED)}, {"ours.test", "cloud.prov.test", "?", C(SHARED)},
	};
	(void)state;
	for (int trusted = 0; trusted < 6; trusted++) { /* the level of one class is always-verifiable, of all others always-unverifiable */
		struct snapshot_builder *b = snapshot_builder_new();
		everybody_may(b);
		const struct slice d[] = {S("ours.test")};
		struct policy_home h = {.name = S("one"), .next_hop = S("sip:a"), .domains = d, .n_domains = 1};
		struct policy_access a;
		struct policy_allowed hosted = {.domain = S("hosted.test")}, server = {.domain = S("server.test")};
		struct policy_provider p[3] = {{.name = S("host"), .kind = POLICY_HOSTING}, {.name = S("chat"), .kind = POLICY_PUBLIC},
					       {.name = S("cloud"), .kind = POLICY_HOSTING}};
		const struct slice proxies[] = {S("host.prov.test"), S("chat.pub.test"), S("cloud.prov.test")};
		static const int level_of[] = {0, 3, 5};
#define LEVEL(n) (trusted == (n) ? POLICY_ALWAYS_VERIFIABLE : POLICY_ALWAYS_UNVERIFIABLE)
		assert_int_equal(snapshot_builder_home(b, &h, NULL), 0);
		policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
		a.federated_users = a.discovery = true;
		a.discovered_verification = LEVEL(4);
		assert_int_equal(snapshot_builder_access(b, &a, NULL), 0);
		policy_fields_defaults(POLICY_TABLE_ALLOWED, &hosted);
		hosted.verification = LEVEL(1);
		policy_fields_defaults(POLICY_TABLE_ALLOWED, &server);
		server.proxy_fqdn = S("edge.far.test");
		server.verification = LEVEL(2);
		assert_int_equal(snapshot_builder_allow(b, &hosted, NULL), 0);
		assert_int_equal(snapshot_builder_allow(b, &server, NULL), 0);
		for (int i = 0; i < 3; i++) {
			policy_fields_defaults(POLICY_TABLE_PROVIDER, &p[i]);
			p[i].proxy_fqdn = proxies[i];
			p[i].enabled = true;
			p[i].shared_address_space = i == 2;
			p[i].verification = LEVEL(level_of[i]);
			assert_int_equal(snapshot_builder_provider(b, &p[i], NULL), 0);
		}
#undef LEVEL
		struct snapshot *s = snapshot_builder_freeze(b, 1);
		for (int i = 0; i < 6; i++) {
			struct out o = {rows[i].from, "ours.test", rows[i].cert, rows[i].srv, "", REASON_NONE, rows[i].cls, "", I(NONE)};
			struct policy_verdict v;
			ask(s, &o, POLICY_TO_LOCAL, &v);
			if (!v.allow || v.cls != rows[i].cls || v.verified != (i == trusted))
				fail_msg("%s by %s: %s, %s, verified %d", rows[i].from, rows[i].cert, reason_info(v.reason)->id, policy_class_name(v.cls), v.verified);
		}
		snapshot_unref(s);
	}
}

static void test_whose_is_it(void **state)
{
	struct snapshot *on = make(true, false, POLICY_USE_SOURCE, ""), *off = make(false, false, POLICY_USE_SOURCE, "");
	(void)state;
	assert_true(policy_is_sip(on, S("domain.test")));
	assert_true(policy_is_sip(on, S("nobody.test")));
	assert_false(policy_is_sip(on, S("xmpp.test")));
	assert_true(policy_is_sip(on, S("ours.test"))); /* the provider cloud has users of it */
	assert_true(policy_is_sip(off, S("domain.test"))); /* allowed: the sender is told of the switch */
	assert_false(policy_is_sip(off, S("xmpp.test")));
	assert_false(policy_is_sip(off, S("ours.test")));
	struct snapshot *none = snapshot_builder_freeze(snapshot_builder_new(), 1);
	assert_false(policy_is_sip(none, S("domain.test"))); /* nothing of SIP is set up: the XMPP side answers */
	snapshot_unref(none);
	snapshot_unref(on);
	snapshot_unref(off);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"L05 blocked, allowed, provider, discovered, refused: in this order", test_every_combination, NULL, NULL, NULL}, cmocka_unit_test(test_outbound),    cmocka_unit_test(test_default_route),
		cmocka_unit_test(test_clearing_house), cmocka_unit_test(test_through),    cmocka_unit_test(test_whose_is_it),
		cmocka_unit_test(test_whose_level),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
