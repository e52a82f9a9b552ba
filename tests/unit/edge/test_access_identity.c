/* SPDX-License-Identifier: Apache-2.0 */
/* Who a SIP partner is, from the certificate that it shows in a real handshake to the verdict: TLS 1.2 and 1.3, whoever connected,
 * certificate names x extended key usage x SRV answers x domain of From. What must come of it is written into the table of certificates by
 * hand, from RFC 5922 7.1 and 7.2, RFC 5924, and Lync's rule for servers; the oracle knows neither our parser nor our rules. */
#include "../net/rawtls.h"

#include <stdio.h>
#include "edge/sip_names.h"
#include "../external.h"

enum { FAR = 1, SIP_FAR = 2, DEEP = 4, OTHER = 8 }; /* far.test, sip.far.test, a.sip.far.test, other.test */
enum { NOBODY = 16 }; /* no name at all that could count: no reason to ask DNS */

/* `domains`: which it proves as domains; `hosts`: which servers it names. */
static const struct shape {
	const char *cn, *san;
	unsigned domains, hosts;
} shapes[] = {
	{"x", "DNS:far.test", FAR, FAR},
	{"x", "DNS:FAR.Test", FAR, FAR},
	{"x", "DNS:sip.far.test", SIP_FAR, SIP_FAR},
	{"far.test", "DNS:sip.far.test", SIP_FAR, SIP_FAR},        /* the CN does not count beside a SAN */
	{"x", "DNS:a.sip.far.test", DEEP, DEEP},
	{"x", "DNS:sip.far.test,DNS:far.test", FAR | SIP_FAR, FAR | SIP_FAR},
	{"x", "URI:sip:far.test", FAR, 0},
	{"x", "URI:sip:FAR.TEST", FAR, 0},
	{"x", "URI:sip:far.test:5061;transport=tls", FAR, 0},      /* the host is what counts */
	{"x", "URI:sip:far.test,DNS:other.test", FAR, OTHER},
	{"x", "URI:sip:other.test,DNS:far.test", OTHER, FAR},      /* DNS names are no domains where a sip URI is there */
	{"x", "URI:sip:other.test,DNS:sip.far.test", OTHER, SIP_FAR},
	{"x", "URI:sip:user@far.test,DNS:other.test", OTHER, OTHER}, /* a user's */
	{"x", "URI:sip:user@far.test", NOBODY, 0},
	{"x", "URI:sips:far.test", NOBODY, 0},
	{"x", "URI:https://far.test,DNS:other.test", OTHER, OTHER},
	{"x", "URI:https://far.test", NOBODY, 0},
	{"x", "DNS:*.far.test", 0, 0},
	{"x", "DNS:*.test,DNS:*", 0, 0},
	{"x", "URI:sip:*.far.test", NOBODY, 0},
	{"x", "DNS:far.test.evil.test,DNS:evilfar.test", 0, 0},
	{"far.test", NULL, FAR, FAR},
	{"sip.far.test", NULL, SIP_FAR, SIP_FAR},
	{"*.far.test", NULL, 0, 0},
	{"far.test", "email:a@far.test", NOBODY, 0},
	{"far.test", "IP:192.0.2.1", NOBODY, 0},
	{"far.test", "DNS:other.test", OTHER, OTHER},
	{NULL, "DNS:far.test", FAR, FAR},
	{"x", NULL, 0, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const struct usage {
	const char *name, *eku, *between;
	bool good;
} usages[] = { /* of a certificate for far.test */
	{"both", "serverAuth,clientAuth", "", true},
	{"server", "serverAuth", "", true},
	{"client", "clientAuth", "", false},
	{"none", NULL, "", true},
	{"any", "anyExtendedKeyUsage", "", false},
	{"sip-domain", "1.3.6.1.5.5.7.3.20", "", false}, /* RFC 5924 alone: no authority checks servers' names for it */
	{"server-sip-domain", "serverAuth,1.3.6.1.5.5.7.3.20", "", true},
	{"both-by-server", "serverAuth,clientAuth", "serverAuth", true},
	{"both-by-client", "serverAuth,clientAuth", "clientAuth", false},
};
enum { USAGES = sizeof usages / sizeof *usages };
static const struct defect {
	const char *name;
	long from_s, to_s;
	bool rogue;
} defects[] = {{"expired", -7200, -3600, false}, {"early", 3600, 7200, false}, {"rogue", 0, 0, true}};
enum { DEFECTS = 3 };

static struct tls_ctx *ours;
static struct snapshot *open_door, *allowed_only;

static const char *file_of(char *dst, size_t size, const char *kind, size_t i)
{
	snprintf(dst, size, "%s%zu", kind, i);
	return dst;
}

static struct snapshot *policy(bool discovery)
{
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	const struct slice mine[] = {S("ours.test")};
	struct policy_home h = {.name = S("one"), .next_hop = S("sip:a"), .domains = mine, .n_domains = 1};
	struct policy_access a;
	assert_int_equal(snapshot_builder_home(b, &h, NULL), 0);
	policy_fields_defaults(POLICY_TABLE_ACCESS, &a);
	a.federated_users = true;
	a.discovery = discovery;
	a.discovered_verification = POLICY_ALWAYS_VERIFIABLE;
	assert_int_equal(snapshot_builder_access(b, &a, NULL), 0);
	if (!discovery) {
		struct policy_allowed x = {.domain = S("far.test")};
		policy_fields_defaults(POLICY_TABLE_ALLOWED, &x);
		x.verification = POLICY_ALWAYS_VERIFIABLE;
		assert_int_equal(snapshot_builder_allow(b, &x, NULL), 0);
	}
	return snapshot_builder_freeze(b, 1);
}

static int setup(void **state)
{
	char name[32];
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL), rogue = pki_make(&(struct pki_spec){.cn = "Rogue", .ca = 1}, NULL);
	struct pki us = pki_make(&(struct pki_spec){.cn = "us", .san = "DNS:ours.test", .eku = "serverAuth"}, &ca);
	pki_write("ca", &ca, NULL);
	pki_write("us", &us, NULL);
	for (size_t i = 0; i < SHAPES; i++) {
		struct pki p = pki_make(&(struct pki_spec){.cn = shapes[i].cn, .san = shapes[i].san, .eku = "serverAuth"}, &ca);
		pki_write(file_of(name, sizeof name, "shape", i), &p, NULL);
		pki_free(&p);
	}
	for (size_t i = 0; i < USAGES; i++) {
		const struct usage *u = &usages[i];
		struct pki between = {0};
		if (*u->between)
			between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1, .eku = u->between}, &ca);
		struct pki p = pki_make(&(struct pki_spec){.cn = "x", .san = "DNS:far.test", .eku = u->eku}, *u->between ? &between : &ca);
		pki_write(file_of(name, sizeof name, "usage", i), &p, *u->between ? &between : NULL);
		pki_free(&p);
		pki_free(&between);
	}
	for (size_t i = 0; i < DEFECTS; i++) {
		const struct defect *d = &defects[i];
		struct pki p = pki_make(&(struct pki_spec){.cn = "x", .san = "DNS:far.test", .eku = "serverAuth", .from_s = d->from_s, .to_s = d->to_s},
					d->rogue ? &rogue : &ca);
		pki_write(file_of(name, sizeof name, "defect", i), &p, NULL);
		pki_free(&p);
	}
	struct entente_err err = {0};
	struct tls_settings s = {.server_chain = pki_path("us.pem"), .server_key = pki_path("us.key"), .trust_file = pki_path("ca.pem")};
	struct tls_material *m = NULL;
	if (tls_material_load(&m, &s, &err) || tls_ctx_new(&ours, m, &err))
		fail_msg("%s", err.text);
	tls_material_unref(m);
	pki_free(&us);
	pki_free(&ca);
	pki_free(&rogue);
	open_door = policy(true);
	allowed_only = policy(false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	snapshot_unref(open_door);
	snapshot_unref(allowed_only);
	tls_ctx_unref(ours);
	pki_dir_remove();
	return 0;
}

/* ---- the question, as the Access Edge asks it */

static const struct {
	const char *target; /* NULL: there is no record; "?": not asked yet */
	unsigned bit;
	bool below_far;
} srvs[] = {{"?", 0, false}, {NULL, 0, false}, {"sip.far.test", SIP_FAR, true}, {"a.sip.far.test", DEEP, false}, {"far.test", FAR, false},
	    {"other.test", OTHER, false}};
enum { SRVS = sizeof srvs / sizeof *srvs };

static void ask(const struct snapshot *s, const struct tls_peer *p, bool inbound, size_t srv, const char *host, struct policy_verdict *ret)
{
	struct sip_names names;
	struct slice target = slice_str(srvs[srv].target);
	struct policy_sip sip = {.connected = true, .chain_ok = p->has_cert && p->chain_ok, .targets = &target, .host = slice_str(host)};
	sip_names_of(&names, p);
	sip_names_put(&names, &sip);
	sip.srv = !srvs[srv].target ? POLICY_SRV_NONE : *srvs[srv].target == '?' ? POLICY_SRV_UNASKED : POLICY_SRV_FOUND;
	sip.n_targets = sip.srv == POLICY_SRV_FOUND;
	struct policy_party far = {S("eve"), S("far.test")}, near = {S("bob"), S("ours.test")};
	struct policy_question q = {.kind = POLICY_MESSAGE, .direction = inbound ? POLICY_TO_LOCAL : POLICY_TO_REMOTE, .from = inbound ? far : near,
				    .to = inbound ? near : far, .peer_home = inbound ? 0 : 1, .sip = &sip, .has_contact = POLICY_CONTACT_NO};
	policy_decide(s, &q, ret);
}

enum outcome { NO, DOMAIN, SERVER, LATER };

static enum outcome have(const struct policy_verdict *v)
{
	return v->need_srv ? LATER : !v->allow ? NO : v->identity == POLICY_ID_RFC5922 ? DOMAIN : v->identity == POLICY_ID_EDGE ? SERVER : NO;
}

static enum outcome want(const struct shape *s, size_t srv)
{
	if (s->domains & FAR)
		return DOMAIN;
	if (s->domains & NOBODY)
		return NO;
	if (srvs[srv].target && *srvs[srv].target == '?')
		return LATER;
	return srvs[srv].below_far && (s->hosts & srvs[srv].bit) ? SERVER : NO;
}

struct shaken {
	struct rawtls r;
	const struct tls_peer *p;
};

static void shake(struct shaken *x, bool inbound, int version, const char *kind, size_t i)
{
	char name[32];
	rawtls_open(&x->r, !inbound, version, file_of(name, sizeof name, kind, i), (struct conn_tls){.ctx = ours});
	rawtls_shake(&x->r);
	assert_int_equal(x->r.ours.secured, 1);
	x->p = x->r.ours.peer;
	assert_string_equal(x->p->protocol.p, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void test_names(void **state)
{
	size_t n = 0, proven = 0;
	(void)state;
	for (int way = 0; way < 4; way++)
		for (size_t i = 0; i < SHAPES; i++) {
			struct shaken x;
			bool inbound = way & 1;
			shake(&x, inbound, versions[way >> 1], "shape", i);
			assert_true(x.p->chain_ok);
			for (size_t v = 0; v < SRVS; v++)
				for (int allowed = 0; allowed < 2; allowed++) {
					struct policy_verdict got;
					ask(allowed ? allowed_only : open_door, x.p, inbound, v, srvs[v].target ? srvs[v].target : "", &got);
					if (have(&got) != want(&shapes[i], v))
						fail_msg("CN %s, SAN %s, SRV %s, %s, %s: wanted %d, got %d (%s: %s)", shapes[i].cn ? shapes[i].cn : "-",
							 shapes[i].san ? shapes[i].san : "-", srvs[v].target ? srvs[v].target : "-",
							 inbound ? "in" : "out", allowed ? "allowed" : "discovered", want(&shapes[i], v), have(&got),
							 got.steps[got.n_steps - 1].rule, got.steps[got.n_steps - 1].detail);
					if (got.allow)
						assert_int_equal(got.cls, allowed ? POLICY_CLASS_ALLOWED_DOMAIN : POLICY_CLASS_DISCOVERED);
					n++;
					proven += got.allow;
				}
			rawtls_close(&x.r);
		}
	assert_int_equal(n, 4 * SHAPES * SRVS * 2);
	assert_true(proven > 300);
}

/* Outbound the certificate has to name the very server that was connected to, not another one of the record's. */
static void test_connected_elsewhere(void **state)
{
	struct policy_verdict v;
	struct shaken x;
	(void)state;
	shake(&x, false, TLS1_3_VERSION, "shape", 2); /* sip.far.test */
	ask(open_door, x.p, false, 2, "sip.far.test", &v);
	assert_int_equal(have(&v), SERVER);
	ask(open_door, x.p, false, 2, "sip2.far.test", &v);
	assert_int_equal(v.reason, REASON_SIP_CERTIFICATE);
	rawtls_close(&x.r);
}

static void chain(const char *kind, size_t i, bool good)
{
	for (int way = 0; way < 4; way++) {
		struct policy_verdict v;
		struct shaken x;
		bool inbound = way & 1;
		shake(&x, inbound, versions[way >> 1], kind, i);
		for (size_t s = 0; s < SRVS; s++) { /* whatever DNS says */
			ask(open_door, x.p, inbound, s, "far.test", &v);
			if ((have(&v) == DOMAIN) != good || v.need_srv)
				fail_msg("%s %zu, %s: %s: %s", kind, i, inbound ? "in" : "out", v.steps[v.n_steps - 1].rule, x.p->why_not.p);
			if (!good)
				assert_int_equal(v.reason, inbound ? REASON_POLICY_PEER_IDENTITY : REASON_SIP_CERTIFICATE);
		}
		rawtls_close(&x.r);
	}
}

static void test_usages(void **state)
{
	(void)state;
	for (size_t i = 0; i < USAGES; i++)
		chain("usage", i, usages[i].good);
}

static void test_defects(void **state)
{
	(void)state;
	for (size_t i = 0; i < DEFECTS; i++)
		chain("defect", i, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_connected_elsewhere), cmocka_unit_test(test_usages),
					   cmocka_unit_test(test_defects)};
	return cmocka_run_group_tests_name("access-identity", tests, setup, teardown);
}
