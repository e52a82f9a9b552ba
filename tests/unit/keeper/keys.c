/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <dirent.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <unistd.h>

static char dir[64];
const char *const kind_names[KINDS] = {"RSA", "RSA-PSS", "P-256", "P-384", "P-521", "Ed25519", "Ed448"};

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "keys: %s\n", #x);                                         \
			ERR_print_errors_fp(stderr);                                               \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

void keys_open(void)
{
	snprintf(dir, sizeof dir, "/tmp/keeper-XXXXXX");
	MUST(mkdtemp(dir));
}

void keys_close(void)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		if (*e->d_name != '.' && unlink(keys_path(e->d_name)))
			rmdir(keys_path(e->d_name));
	if (d)
		closedir(d);
	rmdir(dir);
}

const char *keys_path(const char *name)
{
	static char ring[8][PATH_MAX];
	static unsigned next;
	char *p = ring[next++ % 8];
	snprintf(p, PATH_MAX, "%s/%s", dir, name);
	return p;
}

EVP_PKEY *keys_make(enum kind k)
{
	static const char *const curves[KINDS] = {[P_256] = "P-256", [P_384] = "P-384", [P_521] = "P-521"};
	EVP_PKEY *key = NULL;
	if (curves[k]) {
		key = EVP_EC_gen(curves[k]);
	} else {
		EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, k == RSA_2048 ? "RSA" : k == RSA_PSS_2048 ? "RSA-PSS" : k == ED_25519 ? "ED25519" : "ED448", NULL);
		MUST(c && EVP_PKEY_keygen_init(c) == 1 && EVP_PKEY_generate(c, &key) == 1);
		EVP_PKEY_CTX_free(c);
	}
	MUST(key);
	return key;
}

void keys_write(const char *name, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(keys_path(name), "w");
	MUST(f && PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL, (void *)(uintptr_t)passphrase) == 1);
	fclose(f);
}

void keys_write_text(const char *name, const char *text, size_t len)
{
	FILE *f = fopen(keys_path(name), "w");
	MUST(f && fwrite(text, 1, len, f) == len);
	fclose(f);
}

X509 *keys_certify(EVP_PKEY *key)
{
	X509 *x = X509_new();
	bool edwards = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
	MUST(x && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 7) && X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
	     X509_gmtime_adj(X509_getm_notAfter(x), 86400) && X509_set_pubkey(x, key) &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)"k.test", -1, -1, 0) &&
	     X509_set_issuer_name(x, X509_get_subject_name(x)) && X509_sign(x, key, edwards ? NULL : EVP_sha256()));
	return x;
}

void keys_write_certificate(const char *name, X509 *x)
{
	FILE *f = fopen(keys_path(name), "w");
	MUST(f && PEM_write_X509(f, x) == 1);
	fclose(f);
}

static int believe(int ok, X509_STORE_CTX *c)
{
	(void)ok, (void)c;
	return 1;
}

static SSL *side(const struct hands *h, bool server, SSL_CTX **ret)
{
	SSL_CTX *c = *ret = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	X509 *x = server ? h->server : h->client;
	EVP_PKEY *key = server ? h->server_key : h->client_key;
	if (h->version < TLS1_2_VERSION)
		SSL_CTX_set_security_level(c, 0);
	MUST(SSL_CTX_set_min_proto_version(c, h->version) == 1 && SSL_CTX_set_max_proto_version(c, h->version) == 1);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, believe);
	if (x)
		MUST(SSL_CTX_use_certificate(c, x) == 1 && SSL_CTX_use_PrivateKey(c, key) == 1 && SSL_CTX_check_private_key(c) == 1);
	SSL *s = SSL_new(c);
	MUST(s);
	return s;
}

void keys_shake(struct hands *h)
{
	SSL_CTX *contexts[2];
	SSL *server = side(h, true, &contexts[0]), *client = side(h, false, &contexts[1]);
	BIO *a, *b;
	MUST(BIO_new_bio_pair(&a, 1 << 17, &b, 1 << 17) == 1);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client)); i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	h->done = SSL_is_init_finished(server) && SSL_is_init_finished(client);
	h->seen_by_client = SSL_get1_peer_certificate(client);
	h->seen_by_server = SSL_get1_peer_certificate(server);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(contexts[0]);
	SSL_CTX_free(contexts[1]);
	ERR_clear_error();
}
