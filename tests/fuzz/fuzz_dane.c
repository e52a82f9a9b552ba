/* SPDX-License-Identifier: Apache-2.0 */
/* TLSA records of any kind against a connection whose certificates are known: what fits is counted by hand, too. A record is an octet that chooses (0 to 4: the
 * record's own data, or what belongs to the leaf, its issuer, the root or a stranger; +8: one octet of that is changed), one with the length, and the data of the
 * record as DNS has it. */
#include <openssl/ssl.h>
#include "../unit/net/pki.h"
#include "fuzz.h"
#include "net/conn_int.h"
#include "net/dns_int.h"

enum { LEAF, ISSUER, ROOT, STRANGER, WHO, RECORDS = 8 };

static struct conn c;
static struct {
	unsigned char *octets[2][3]; /* by selector and matching type */
	size_t n[2][3];
} known[WHO];

static void remember(int who, X509 *x)
{
	for (int selector = 0; selector < 2; selector++) {
		unsigned char **all = &known[who].octets[selector][0];
		int n = selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), all) : i2d_X509(x, all);
		MUST(n > 0);
		known[who].n[selector][0] = (size_t)n;
		for (int matching = 1; matching < 3; matching++) {
			unsigned len = 64;
			known[who].octets[selector][matching] = malloc(64);
			MUST(EVP_Digest(*all, (size_t)n, known[who].octets[selector][matching], &len, matching == 1 ? EVP_sha256() : EVP_sha512(), NULL) == 1);
			known[who].n[selector][matching] = len;
		}
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct pki root, issuer, leaf, stranger; /* kept to the end, where leaks are looked for */
	static SSL_CTX *server, *client;
	static SSL *s, *k;
	BIO *ours, *theirs;
	(void)argc, (void)argv;
	root = pki_make(&(struct pki_spec){.cn = "Root", .ca = 1, .to_s = 400 * 86400, .from_s = -86400}, NULL);
	issuer = pki_make(&(struct pki_spec){.cn = "Issuer", .ca = 1, .to_s = 400 * 86400, .from_s = -86400}, &root);
	leaf = pki_make(&(struct pki_spec){.cn = "a.test", .san = "DNS:a.test", .to_s = 400 * 86400, .from_s = -86400}, &issuer);
	stranger = pki_make(&(struct pki_spec){.cn = "Stranger", .ca = 1, .to_s = 400 * 86400, .from_s = -86400}, NULL);
	remember(LEAF, leaf.cert);
	remember(ISSUER, issuer.cert);
	remember(ROOT, root.cert);
	remember(STRANGER, stranger.cert);
	server = SSL_CTX_new(TLS_method());
	client = SSL_CTX_new(TLS_method());
	MUST(SSL_CTX_use_certificate(server, leaf.cert) == 1 && SSL_CTX_use_PrivateKey(server, leaf.key) == 1 && SSL_CTX_add1_chain_cert(server, issuer.cert) == 1);
	MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(client), root.cert) == 1);
	SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
	s = SSL_new(server);
	k = SSL_new(client);
	MUST(BIO_new_bio_pair(&ours, 0, &theirs, 0) == 1);
	SSL_set_bio(s, theirs, theirs);
	SSL_set_bio(k, ours, ours);
	SSL_set_accept_state(s);
	SSL_set_connect_state(k);
	for (int i = 0; i < 20; i++) {
		SSL_do_handshake(k);
		SSL_do_handshake(s);
	}
	MUST(SSL_is_init_finished(k) && SSL_get_verify_result(k) == X509_V_OK);
	c.tls.ssl = k;
	c.peer = tls_peer_make(leaf.cert, NULL);
	return 0;
}

static bool usable(const struct tls_tlsa *r)
{
	size_t want = r->matching == 1 ? 32 : r->matching == 2 ? 64 : r->data.len;
	return r->usage < 4 && r->selector < 2 && r->matching < 3 && r->data.len && r->data.len == want;
}

static bool is(const struct tls_tlsa *r, int who)
{
	return slice_eq(r->data, slice_of((const char *)known[who].octets[r->selector][r->matching], known[who].n[r->selector][r->matching]));
}

/* What one usable record is worth for sure. */
static enum tls_dane worth(const struct tls_tlsa *r)
{
	switch (r->usage) {
	case 0: return c.peer->chain_ok && (is(r, ISSUER) || is(r, ROOT)) ? TLS_DANE_PKIX : TLS_DANE_MISMATCH;
	case 1: return c.peer->chain_ok && is(r, LEAF) ? TLS_DANE_PKIX : TLS_DANE_MISMATCH;
	case 2: return is(r, ISSUER) || (is(r, ROOT) && !r->selector && !r->matching) ? TLS_DANE_TA : TLS_DANE_MISMATCH;
	default: return is(r, LEAF) ? TLS_DANE_EE : TLS_DANE_MISMATCH;
	}
}

static size_t read_record(struct slice in, struct arena *a, struct tls_tlsa *list, size_t n)
{
	struct dns_record r;
	uint8_t how = (uint8_t)in.p[0] % 8, change = in.p[0] & 8;
	if (!dns_parse(DNS_TLSA, slice_skip(in, 2), a, &r))
		return n;
	list[n] = (struct tls_tlsa){r.tlsa.usage, r.tlsa.selector, r.tlsa.matching, r.tlsa.data};
	if (how && how <= WHO && r.tlsa.selector < 2 && r.tlsa.matching < 3) {
		size_t len = known[how - 1].n[r.tlsa.selector][r.tlsa.matching];
		char *copy = arena_alloc(a, len);
		memcpy(copy, known[how - 1].octets[r.tlsa.selector][r.tlsa.matching], len);
		if (change && r.tlsa.data.len >= 2)
			copy[(size_t)(uint8_t)r.tlsa.data.p[0] * 5 % len] ^= r.tlsa.data.p[1];
		list[n].data = slice_of(copy, len);
	}
	return n + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_tlsa list[RECORDS], back[RECORDS];
	struct arena *a = arena_new(1 << 20);
	struct slice rest = slice_of((const char *)data, size);
	enum tls_dane least = TLS_DANE_NONE, most = TLS_DANE_NONE, got;
	size_t n = 0;
	c.peer->chain_ok = size && !(*data & 0x40);
	while (rest.len >= 2 && n < RECORDS) {
		size_t len = 2 + (uint8_t)rest.p[1];
		n = read_record(slice_first(rest, len), a, list, n);
		rest = slice_skip(rest, len);
	}
	for (size_t i = 0; i < n; i++) {
		back[n - 1 - i] = list[i];
		if (!usable(&list[i]))
			continue;
		enum tls_dane one = worth(&list[i]);
		least = one > least ? one : least;
		/* another certificate with the same name and key, or the leaf itself, may be an authority */
		bool whole = list[i].usage == 2 && !list[i].selector && !list[i].matching;
		one = whole && one < TLS_DANE_TA ? TLS_DANE_TA : one;
		most = one > most ? one : most;
	}
	got = conn_dane(&c, list, n);
	MUST(got >= least && got <= most);
	MUST(conn_dane(&c, back, n) == got);
	MUST(tls_peer_dane(c.peer, list, n) <= got);
	MUST(!n || conn_dane(&c, list, n - 1) <= got); /* one more never makes it worse */
	arena_release(NULL, a);
	return 0;
}
