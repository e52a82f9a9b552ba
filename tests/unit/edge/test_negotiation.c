/* SPDX-License-Identifier: Apache-2.0 */
/* S18: the 18 rows of TLS x SASL x dialback against 15 kinds of peers, in both directions, in both readings of "required": what
 * the pure function says, what two stream engines really do, and what the algorithm of the documentation comes to must be the
 * same. The table was computed from that algorithm by another program. S14: 17 kinds of certificates, each from a real handshake,
 * times the rows. */
#define end tls_end /* both rigs have an end */
#include "../net/rawtls.h"
#undef end
#include "../xmpp/stream_rig.h"
#include "policy/way.h"

#include <stdio.h>

#define R POLICY_REQUIRED
#define O POLICY_OPTIONAL
#define N POLICY_NOT_SUPPORTED
enum { ROWS = 18, PEERS = 15 };

static const struct {
	enum policy_negotiation tls, sasl;
	bool dialback;
} rows[ROWS] = {
	{R, R, true}, {R, R, false}, {O, R, true}, {O, R, false}, {N, R, true}, {N, R, false},
	{R, O, true}, {R, O, false}, {O, O, true}, {O, O, false}, {N, O, true}, {N, O, false},
	{R, N, true}, {R, N, false}, {O, N, true}, {O, N, false}, {N, N, true}, {N, N, false},
};

/* Without TLS, with TLS if asked, TLS or nothing, each {certificates and dialback, certificates, dialback}; then the last six
 * again with a certificate that proves nothing. */
static const struct policy_peer peers[PEERS] = {
	{N, true, true, true},  {N, true, true, false},  {N, true, false, true},  {O, true, true, true},  {O, true, true, false},
	{O, true, false, true}, {R, true, true, true},	 {R, true, true, false},  {R, true, false, true}, {O, false, true, true},
	{O, false, true, false}, {O, false, false, true}, {R, false, true, true}, {R, false, true, false}, {R, false, false, true},
};
enum { LENIENT_GOOD = 3, LENIENT_BAD = 9 };

/* E: EXTERNAL, d: dialback inside TLS, c: dialback in the clear, -: nothing. */
static const char *const oracle[2][ROWS] = { /* by enum policy_negotiation_mode */
	[POLICY_STRICT] = {
		"---EE-EE-------",
		"---EE-EE-------",
		"---EE-EE-------",
		"---EE-EE-------",
		"---------------",
		"---------------",
		"---EEdEEdd-dd-d",
		"---EE-EE-------",
		"c-cEEdEEdd-dd-d",
		"---EE-EE-------",
		"c-cc-c---c-c---",
		"---------------",
		"---d-dd-dd-dd-d",
		"---------------",
		"c-cd-dd-dd-dd-d",
		"---------------",
		"c-cc-c---c-c---",
		"---------------",
	},
	[POLICY_LYNC] = {
		"---EE-EE-------",
		"---EE-EE-------",
		"c-cEEdEEdd-dd-d",
		"---EE-EE-------",
		"c-cc-c---c-c---",
		"---------------",
		"---EEdEEdd-dd-d",
		"---EE-EE-------",
		"c-cEEdEEdd-dd-d",
		"---EE-EE-------",
		"c-cc-c---c-c---",
		"---------------",
		"---d-dd-dd-dd-d",
		"---------------",
		"c-cd-dd-dd-dd-d",
		"---------------",
		"c-cc-c---c-c---",
		"---------------",
	},
};

static struct policy_partner row_of(int i)
{
	struct policy_partner p = {.domain = S("im.b.example")};
	policy_partner_defaults(&p);
	p.tls = rows[i].tls;
	p.sasl = rows[i].sasl;
	p.dialback = rows[i].dialback;
	return p;
}

static char letter(enum policy_way o)
{
	return policy_way_fails(o) ? '-' : o == POLICY_BY_EXTERNAL ? 'E' : o == POLICY_BY_DIALBACK_TLS ? 'd' : 'c';
}

static void s18_function(void **state)
{
	(void)state;
	for (int mode = 0; mode < 2; mode++)
		for (int i = 0; i < ROWS; i++)
			for (int k = 0; k < PEERS; k++) {
				struct policy_partner p = row_of(i);
				char got = letter(policy_partner_way(&p, mode, &peers[k]));
				if (got != oracle[mode][i][k])
					fail_msg("mode %d row %d peer %d: %c, not %c", mode, i + 1, k + 1, got, oracle[mode][i][k]);
			}
}

/* ---- the engines */

static enum xmpp_need need(enum policy_negotiation n)
{
	return n == R ? XMPP_REQUIRED : n == O ? XMPP_OPTIONAL : XMPP_OFF;
}

/* One stream; what it came to. `info`: what our handshake finds, or NULL. */
static char play(bool out, int row, int mode, const struct policy_peer *q, const struct xmpp_tls_info *info)
{
	static const struct slice our_name = S("a.example"), their_name = S("im.b.example");
	struct rig rig;
	struct end us, them;
	char ret = '-';
	rig_init(&rig);
	end_init(&us, &rig, "a.example");
	end_init(&them, &rig, "im.b.example");
	us.rules = (struct xmpp_stream_policy){.tls = need(rows[row].tls), .sasl = need(rows[row].sasl), .dialback = rows[row].dialback,
					       .lenient = mode == POLICY_LYNC};
	them.rules = (struct xmpp_stream_policy){.tls = need(q->tls), .sasl = q->external ? XMPP_OPTIONAL : XMPP_OFF, .dialback = q->dialback};
	set_names(&us, &their_name, 1);
	set_names(&them, &our_name, 1);
	us.tls.trusted = q->certificate;
	if (info)
		us.tls = *info;
	if (out) {
		end_initiator(&us, "a.example", "im.b.example", false);
		end_receiver(&them);
		xmpp_stream_start(us.s);
	} else {
		end_initiator(&them, "im.b.example", "a.example", false);
		end_receiver(&us);
		xmpp_stream_start(them.s);
	}
	struct end *receiver = out ? &them : &us;
	pump(&us, &them, 0);
	if (happened(receiver, "verify ") && !receiver->closed) {
		xmpp_stream_verify_done(receiver->s, &receiver->asked, XMPP_VALID, SLICE_NONE);
		pump(&us, &them, 0);
	}
	if (happened(&us, "established ")) {
		ret = happened(&us, "external tls") ? 'E' : happened(&us, "dialback tls") ? 'd' : happened(&us, "dialback\n") ? 'c' : '?';
		if (!happened(&them, "established "))
			ret = '!'; /* one-sided */
	} else if (happened(&them, "established ")) {
		ret = '!';
	}
	end_free(&us);
	end_free(&them);
	rig_free(&rig);
	return ret;
}

struct way {
	bool out;
	int what; /* enum policy_negotiation_mode of S18, the TLS version of S14 */
};

static void s18_engines(void **state)
{
	const struct way *w = *state;
	for (int i = 0; i < ROWS; i++)
		for (int k = 0; k < PEERS; k++) {
			char got = play(w->out, i, w->what, &peers[k], NULL);
			if (got != oracle[w->what][i][k])
				fail_msg("row %d peer %d: %c, not %c", i + 1, k + 1, got, oracle[w->what][i][k]);
		}
}

/* Lync's five invalid rows are refused when saved, its others are not. */
static void commit(void **state)
{
	static const bool invalid[ROWS] = {[5] = true, [11] = true, [13] = true, [15] = true, [17] = true};
	(void)state;
	for (int mode = 0; mode < 2; mode++)
		for (int i = 0; i < ROWS; i++) {
			struct policy_partner p = row_of(i);
			struct entente_err err = {0};
			bool strict_too = mode == POLICY_STRICT && i == 4; /* SASL required without TLS: nothing is left when it is meant */
			assert_int_equal(policy_partner_check(&p, mode, NULL, &err) != 0, invalid[i] || strict_too);
			assert_int_equal(strlen(err.text) > 20, invalid[i] || strict_too);
			bool any = false; /* and who cannot work with anybody is just who is refused */
			for (int k = 0; k < PEERS; k++)
				any |= oracle[mode][i][k] != '-';
			assert_int_equal(!any, invalid[i] || strict_too);
		}
}

static void kinds(void **state)
{
	(void)state;
	static const char *const want[POLICY_PEER_KINDS][2] = {{"E", "-"}, {"E", "c"}, {"-", "c"}};
	for (int k = 0; k < POLICY_PEER_KINDS; k++) {
		struct policy_partner p = row_of(6); /* the default */
		assert_int_equal(letter(policy_partner_way(&p, POLICY_STRICT, &policy_peers[k])), *want[k][0]);
		p = row_of(16); /* dialback alone */
		assert_int_equal(letter(policy_partner_way(&p, POLICY_STRICT, &policy_peers[k])), *want[k][1]);
		assert_true(*policy_peer_kind_name(k));
	}
	struct policy_partner p = row_of(6);
	assert_int_equal(policy_partner_way(&p, POLICY_STRICT, &policy_peers[POLICY_PEER_PLAIN]), POLICY_FAILS_NO_TLS);
	p = row_of(16);
	assert_int_equal(policy_partner_way(&p, POLICY_STRICT, &policy_peers[POLICY_PEER_STRICT]), POLICY_FAILS_TLS_OFF);
	assert_string_equal(policy_way_name(POLICY_FAILS_NO_METHOD), "fails-no-method");
}

/* ---- S14 */

static struct pki authority, other, between;
static struct tls_ctx *ours;

#define SRV "otherName:1.3.6.1.5.5.7.8.7;IA5:_xmpp-server.im.b.example"
#define ADDR "otherName:1.3.6.1.5.5.7.8.5;UTF8:im.b.example"
static const struct {
	const char *name;
	struct pki_spec spec;
	struct pki *by;       /* NULL: itself */
	bool chain, good;
} variants[] = {
	{"rsa", {.san = "DNS:im.b.example", .eku = "serverAuth,clientAuth", .rsa = 1}, &authority, false, true},
	{"p256", {.san = "DNS:im.b.example", .eku = "serverAuth,clientAuth"}, &authority, false, true},
	{"intermediate", {.san = "DNS:im.b.example", .eku = "serverAuth,clientAuth"}, &between, true, true},
	{"wildcard", {.san = "DNS:*.b.example", .eku = "serverAuth,clientAuth"}, &authority, false, true},
	{"server-auth", {.san = "DNS:im.b.example", .eku = "serverAuth"}, &authority, false, true},
	{"client-auth", {.san = "DNS:im.b.example", .eku = "clientAuth"}, &authority, false, false},
	{"no-eku", {.san = "DNS:im.b.example"}, &authority, false, true},
	{"cn-only", {.cn = "im.b.example"}, &authority, false, false},
	{"srv-name", {.san = SRV}, &authority, false, true},
	{"xmpp-addr", {.san = ADDR}, &authority, false, true},
	{"dns-srv", {.san = "DNS:im.b.example," SRV}, &authority, false, true},
	{"all-three", {.san = "DNS:im.b.example," SRV "," ADDR}, &authority, false, true},
	{"wrong-name", {.san = "DNS:b.example"}, &authority, false, false},
	{"expired", {.san = "DNS:im.b.example", .from_s = -7200, .to_s = -3600}, &authority, false, false},
	{"self-signed", {.san = "DNS:im.b.example"}, NULL, false, false},
	{"other-ca", {.san = "DNS:im.b.example"}, &other, false, false},
	{"none", {.cn = "x"}, NULL, false, false},
};

static int setup(void **state)
{
	(void)state;
	pki_dir_make();
	authority = pki_make(&(struct pki_spec){.cn = "CA", .ca = 1}, NULL);
	other = pki_make(&(struct pki_spec){.cn = "Other CA", .ca = 1}, NULL);
	between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1}, &authority);
	pki_write("ca", &authority, NULL);
	pki_issue("us", &(struct pki_spec){.cn = "us", .san = "DNS:a.example"}, &authority, NULL);
	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
		struct pki_spec s = variants[i].spec;
		if (!s.cn)
			s.cn = "x";
		pki_issue(variants[i].name, &s, variants[i].by, variants[i].chain ? variants[i].by : NULL);
	}
	ours = pki_context("us", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_unref(ours);
	pki_free(&authority), pki_free(&other), pki_free(&between);
	pki_dir_remove();
	return 0;
}

static void s14(void **state)
{
	const struct way *w = *state;
	for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
		bool none = !strcmp(variants[v].name, "none");
		if (none && w->out)
			continue; /* a TLS server always shows one */
		struct rawtls t;
		rawtls_open(&t, w->out, w->what, none ? NULL : variants[v].name, (struct conn_tls){.ctx = ours});
		rawtls_shake(&t);
		assert_int_equal(t.ours.secured, 1);
		const struct tls_peer *p = t.ours.peer;
		struct xmpp_tls_info info = {
			.protocol = p->protocol, .cipher = p->cipher, .certificate = p->has_cert, .trusted = p->chain_ok, .why = p->why_not,
			.names = {.dns = p->dns, .n_dns = p->n_dns, .srv = p->srv, .n_srv = p->n_srv, .xmpp = p->xmpp, .n_xmpp = p->n_xmpp}};
		for (int mode = 0; mode < 2; mode++)
			for (int i = 0; i < ROWS; i++) {
				char want = oracle[mode][i][variants[v].good ? LENIENT_GOOD : LENIENT_BAD];
				char got = play(w->out, i, mode, &peers[LENIENT_GOOD], &info);
				if (got != want)
					fail_msg("%s, row %d, mode %d: %c, not %c (%s)", variants[v].name, i + 1, mode, got, want, p->why_not.p);
			}
		rawtls_close(&t);
	}
}

#define WAY(name, f, ...) {name, f, NULL, NULL, &(struct way){__VA_ARGS__}}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s18_function),
		WAY("s18_out_lync", s18_engines, true, POLICY_LYNC),
		WAY("s18_out_strict", s18_engines, true, POLICY_STRICT),
		WAY("s18_in_lync", s18_engines, false, POLICY_LYNC),
		WAY("s18_in_strict", s18_engines, false, POLICY_STRICT),
		cmocka_unit_test(commit),
		cmocka_unit_test(kinds),
		WAY("s14_in_12", s14, false, TLS1_2_VERSION),
		WAY("s14_in_13", s14, false, TLS1_3_VERSION),
		WAY("s14_out_12", s14, true, TLS1_2_VERSION),
		WAY("s14_out_13", s14, true, TLS1_3_VERSION),
	};
	return cmocka_run_group_tests_name("negotiation", tests, setup, teardown);
}
