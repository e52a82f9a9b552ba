/* SPDX-License-Identifier: Apache-2.0 */
/* Our certificates as files, and the revocation lists that they name. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "check/looking.h"
#include "net/crl.h"
#include "net/fetch.h"
#include "plan/certificates.h"

enum { CHAIN_MAX = 16, LISTS_MAX = 32, CLOCKS_MAX = 16 };

/* ---- files */

static struct slice tls_fault(struct arena *a)
{
	char z[200] = "it cannot be read";
	unsigned long e = ERR_peek_last_error();
	if (e)
		ERR_error_string_n(e, z, sizeof z);
	ERR_clear_error();
	return arena_dup(a, slice_str(z));
}

static STACK_OF(X509) *read_chain(struct check_looking *x, struct check_cert *k, const char *path)
{
	FILE *f = fopen(path, "re");
	STACK_OF(X509) *list = sk_X509_new_null();
	if (!f) {
		k->fault = CHECK_CERT_NO_FILE;
		k->fault_text = arena_printf(x->a, "%s: %s", path, strerror(errno));
		return list;
	}
	for (X509 *one; sk_X509_num(list) < CHAIN_MAX && (one = PEM_read_X509(f, NULL, NULL, NULL));)
		sk_X509_push(list, one);
	fclose(f);
	if (!sk_X509_num(list)) {
		k->fault = CHECK_CERT_NO_PEM;
		k->fault_text = arena_printf(x->a, "%s: no certificate in PEM is in it", path);
	}
	ERR_clear_error();
	return list;
}

static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	*(bool *)arg = true;
	return -1;
}

static void read_key(struct check_looking *x, struct check_cert *k, const char *path, X509 *leaf)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	bool locked = false;
	if (!f) {
		k->fault = CHECK_CERT_NO_KEY;
		k->fault_text = arena_printf(x->a, "%s: %s", path, *path ? strerror(errno) : "no key is configured");
		return;
	}
	if (!fstat(fileno(f), &st)) {
		k->key_seen = true;
		k->key_mode = st.st_mode & 07777;
		k->key_uid = st.st_uid;
	}
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, no_passphrase, &locked);
	fclose(f);
	if (!key) {
		k->fault = CHECK_CERT_BAD_KEY;
		k->fault_text = arena_printf(x->a, "%s: %s", path, locked ? "the key has a passphrase" : "no private key in PEM is in it");
	} else if (leaf && X509_check_private_key(leaf, key) != 1) {
		k->fault = CHECK_CERT_OTHER_KEY;
		k->fault_text = arena_printf(x->a, "the public keys of %.*s and of %s differ", SFMT(k->file), path);
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
}

static struct tls_peer *facts_of(X509 *one)
{
	unsigned char *der = NULL;
	struct tls_peer *p = NULL;
	int n = i2d_X509(one, &der);
	if (n > 0)
		tls_peer_from_der(&p, slice_of((char *)der, (size_t)n));
	OPENSSL_free(der);
	return p;
}

static void strength(struct check_looking *x, struct check_cert *k, X509 *leaf)
{
	EVP_PKEY *key = X509_get0_pubkey(leaf);
	int nid = X509_get_signature_nid(leaf), digest = NID_undef;
	const char *name = OBJ_nid2ln(nid);
	k->key_type = key ? arena_dup(x->a, slice_str(EVP_PKEY_get0_type_name(key))) : SLICE_NONE;
	k->key_bits = key ? (unsigned)EVP_PKEY_get_bits(key) : 0;
	k->signature = arena_dup(x->a, slice_str(name ? name : "unknown"));
	OBJ_find_sigid_algs(nid, &digest, NULL);
	bool own = X509_check_issued(leaf, leaf) == X509_V_OK; /* nobody looks at the signature of one that vouches for itself */
	k->signature_weak = !own && (digest == NID_sha1 || digest == NID_md5 || digest == NID_md4 || digest == NID_mdc2);
}

/* The chain as somebody with our trust builds it, whatever the time is; the caller's. NULL: there is none. */
static STACK_OF(X509) *build(const char *trust, STACK_OF(X509) *chain)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	STACK_OF(X509) *ret = NULL;
	bool ok = store && sc && (*trust ? X509_STORE_load_file(store, trust) : X509_STORE_set_default_paths(store)) == 1 &&
		  X509_STORE_CTX_init(sc, store, sk_X509_value(chain, 0), chain) == 1;
	if (ok) {
		X509_STORE_CTX_set_flags(sc, X509_V_FLAG_NO_CHECK_TIME);
		if (X509_verify_cert(sc) == 1)
			ret = X509_STORE_CTX_get1_chain(sc);
	}
	X509_STORE_CTX_free(sc);
	X509_STORE_free(store);
	ERR_clear_error();
	return ret;
}

static void verify(struct check_looking *x, struct check_cert *k, const char *file, const char *key, const char *trust)
{
	struct tls_settings s = {.server_chain = file, .server_key = key, .trust_file = *trust ? trust : NULL};
	struct tls_material *m = NULL;
	struct entente_err err = {0};
	char why[256], top[256];
	if (tls_material_load(&m, &s, &err)) {
		ERR_clear_error();
		return; /* the trust is unusable: area config */
	}
	k->verified = true;
	k->chain = tls_material_verify(m, TLS_SLOT_SERVER, why, sizeof why);
	k->chain_n = tls_material_chain(m, TLS_SLOT_SERVER, top, sizeof top);
	k->chain_why = arena_dup(x->a, slice_str(why));
	k->chain_top = arena_dup(x->a, slice_str(top));
	tls_material_unref(m);
}

static void above(struct check_looking *x, struct check_cert *k, STACK_OF(X509) *chain)
{
	const struct tls_peer **list = arena_alloc(x->a, CHAIN_MAX * sizeof *list);
	for (int i = 1; list && i < sk_X509_num(chain); i++) {
		struct tls_peer *p = facts_of(sk_X509_value(chain, i));
		if (!p)
			continue;
		list[k->n_above++] = p;
		if (!k->expired.len && p->not_after && p->not_after < x->f->now) {
			k->expired = arena_dup(x->a, p->subject);
			k->expired_at = p->not_after;
		}
	}
	k->above = list;
}

static void points(struct check_looking *x, struct check_cert *k, STACK_OF(X509) *chain)
{
	struct check_list *list = arena_alloc(x->a, LISTS_MAX * sizeof *list);
	for (int i = 0; list && i < sk_X509_num(chain); i++) {
		CRL_DIST_POINTS *all = X509_get_ext_d2i(sk_X509_value(chain, i), NID_crl_distribution_points, NULL, NULL);
		for (int p = 0; p < sk_DIST_POINT_num(all); p++) {
			const DIST_POINT *one = sk_DIST_POINT_value(all, p);
			const GENERAL_NAMES *names = one->distpoint && one->distpoint->type == 0 ? one->distpoint->name.fullname : NULL;
			for (int n = 0; n < sk_GENERAL_NAME_num(names) && k->n_lists < LISTS_MAX; n++) {
				const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, n);
				if (g->type != GEN_URI)
					continue;
				const ASN1_STRING *u = g->d.uniformResourceIdentifier;
				struct slice url = slice_of((const char *)ASN1_STRING_get0_data(u), (size_t)ASN1_STRING_length(u));
				struct tls_peer *of = facts_of(sk_X509_value(chain, i));
				if (fetch_url_ok(url))
					list[k->n_lists++] = (struct check_list){.url = arena_dup(x->a, url), .of = of ? arena_dup(x->a, of->subject) : SLICE_NONE};
				tls_peer_free(of);
			}
		}
		CRL_DIST_POINTS_free(all);
	}
	k->lists = list;
}

static void one(struct check_looking *x, enum check_cert_role role, bool also_client, const char *setting, const char *file, const char *key,
		const char *trust)
{
	struct check_certs *all = &x->f->certs;
	struct check_cert *k = &all->list[all->n++];
	*k = (struct check_cert){.role = role, .also_client = also_client, .setting = setting, .file = slice_str(file), .key_file = slice_str(key)};
	STACK_OF(X509) *chain = read_chain(x, k, file);
	X509 *leaf = sk_X509_num(chain) ? sk_X509_value(chain, 0) : NULL;
	if (k->fault == CHECK_CERT_GOOD)
		read_key(x, k, key, leaf);
	if (leaf) {
		k->leaf = facts_of(leaf);
		strength(x, k, leaf);
		above(x, k, chain);
		points(x, k, chain);
		if (k->fault == CHECK_CERT_GOOD)
			verify(x, k, file, key, trust);
	} else if (k->fault == CHECK_CERT_GOOD) {
		k->fault = CHECK_CERT_NO_PEM;
		k->fault_text = tls_fault(x->a);
	}
	sk_X509_pop_free(chain, X509_free);
}

void check_look_certs(struct check_looking *x)
{
	enum { SLOTS = 3 };
	const struct config *g = x->f->config;
	struct check_certs *all = &x->f->certs;
	if (all->have || !g)
		return;
	all->have = true;
	all->list = arena_alloc(x->a, SLOTS * sizeof *all->list);
	if (!all->list)
		return;
	if (*g->tls_certificate)
		one(x, CHECK_CERT_SERVER, !*g->tls_client_certificate, "tls.certificate", g->tls_certificate, g->tls_key, g->tls_trust);
	if (*g->tls_client_certificate)
		one(x, CHECK_CERT_CLIENT, false, "tls.client-certificate", g->tls_client_certificate, g->tls_client_key, g->tls_trust);
	if (g->server_role != CONFIG_ALL && *g->link_certificate)
		one(x, CHECK_CERT_LINK, false, "link.certificate", g->link_certificate, g->link_key, *g->link_trust ? g->link_trust : g->tls_trust);
}

/* ---- revocation lists */

struct fetching {
	struct check_looking *x;
	size_t *pending;
	struct slice url;
	struct check_cert *k;   /* NULL: only the clock is of interest */
	struct check_list *l;
	const char *trust;
};

static void clock_of(struct check_looking *x, struct slice url, const struct fetch_result *r)
{
	struct check_time *t = &x->f->time;
	struct slice host = slice_skip(url, 7);
	for (size_t i = 0; i < t->n_clocks; i++)
		if (slice_eq(t->clocks[i].source, url))
			return;
	if (!t->clocks)
		t->clocks = arena_alloc(x->a, CLOCKS_MAX * sizeof *t->clocks);
	if (!t->clocks || t->n_clocks == CLOCKS_MAX)
		return;
	host = slice_split(&host, '/');
	t->clocks[t->n_clocks++] = (struct check_clock){.source = url, .heard = r->date != 0, .theirs = r->date, .ours = clock_unix(),
							.why = arena_dup(x->a, r->why.len ? r->why : S("no date in its answer"))};
}

/* What crl_parse wants to know of a certificate and its issuer. */
static void judge_list(struct fetching *q, struct slice body, X509 *cert, X509 *by)
{
	unsigned char *name = NULL, *key = NULL;
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	int n_name = i2d_X509_NAME(X509_get_subject_name(by), &name), n_key = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(by), &key);
	struct tls_issued of = {.serial = slice_of((const char *)ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)),
				.ca = X509_check_ca(cert) != 0, .issuer = slice_of((char *)name, n_name > 0 ? (size_t)n_name : 0),
				.key = slice_of((char *)key, n_key > 0 ? (size_t)n_key : 0), .may_sign = (X509_get_key_usage(by) & KU_CRL_SIGN) != 0};
	struct crl *list = NULL;
	struct entente_err err = {0};
	if (crl_parse(&list, body, &of, q->url, &err)) {
		q->l->why = arena_dup(q->x->a, slice_str(err.text));
	} else {
		q->l->usable = true;
		q->l->fresh = crl_fresh(list, q->x->f->now);
		q->l->next_update = crl_next_update(list);
		q->l->revoked = crl_find(list, &of, NULL) == CRL_REVOKED;
	}
	crl_free(list);
	OPENSSL_free(name);
	OPENSSL_free(key);
	ERR_clear_error();
}

static void find_and_judge(struct fetching *q, struct slice body)
{
	char path[4096];
	FILE *f = slice_cstr(q->k->file, path, sizeof path) ? fopen(path, "re") : NULL;
	STACK_OF(X509) *chain = sk_X509_new_null(), *built;
	for (X509 *c; f && sk_X509_num(chain) < CHAIN_MAX && (c = PEM_read_X509(f, NULL, NULL, NULL));)
		sk_X509_push(chain, c);
	if (f)
		fclose(f);
	built = sk_X509_num(chain) ? build(q->trust, chain) : NULL;
	q->l->usable = q->l->fresh = true; /* as long as nothing more can be said: the issuer is not known here */
	for (int i = 0; i + 1 < sk_X509_num(built); i++) {
		struct tls_peer *p = facts_of(sk_X509_value(built, i));
		bool match = p && slice_eq(p->subject, q->l->of);
		tls_peer_free(p);
		if (match) {
			q->l->usable = false;
			judge_list(q, body, sk_X509_value(built, i), sk_X509_value(built, i + 1));
			break;
		}
	}
	sk_X509_pop_free(built, X509_free);
	sk_X509_pop_free(chain, X509_free);
}

static void on_list(void *arg, const struct fetch_result *r)
{
	struct fetching *q = arg;
	--*q->pending;
	clock_of(q->x, q->url, r);
	if (!q->l)
		return;
	q->l->fetched = !r->why.len;
	q->l->why = arena_dup(q->x->a, r->why);
	if (q->l->fetched)
		find_and_judge(q, r->body);
}

static void fetch(struct check_looking *x, size_t *pending, struct slice url, struct check_cert *k, struct check_list *l)
{
	const struct config *g = x->f->config;
	struct fetching *q = ARENA_NEW(x->a, struct fetching);
	if (!q)
		return;
	*q = (struct fetching){x, pending, url, k, l, k && k->role == CHECK_CERT_LINK && *g->link_trust ? g->link_trust : g->tls_trust};
	++*pending;
	fetch_start(pool_control(x->pool), check_resolver(x), url,
		    &(struct fetch_opts){.octets_max = g->tls_revocation_size, .timeout_ms = (uint32_t)g->tls_revocation_timeout, .private_ok = true}, on_list, q);
}

void check_look_lists(struct check_looking *x)
{
	size_t *pending = arena_alloc(x->a, sizeof *pending); /* a list that comes after the time is over still counts it down */
	const struct config *g = x->f->config;
	if (!pending || !g || !check_resolver(x))
		return;
	for (size_t i = 0; i < x->f->certs.n; i++)
		for (size_t k = 0; k < x->f->certs.list[i].n_lists; k++)
			fetch(x, pending, x->f->certs.list[i].lists[k].url, &x->f->certs.list[i], &x->f->certs.list[i].lists[k]);
	for (size_t i = 0; i < x->o.n_clocks; i++)
		fetch(x, pending, x->o.clocks[i], NULL, NULL);
	if (*pending)
		check_progress(x, "revocation lists: fetching %zu", *pending);
	check_turn(x, pending, g->tls_revocation_timeout + 5000);
}
