/* SPDX-License-Identifier: Apache-2.0 */
/* Our own chain, seen as a partner sees it. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "net/tls_int.h"

static const struct buf *chain_of(const struct tls_material *m, enum tls_slot slot)
{
	return slot == TLS_SLOT_SERVER ? &m->server_chain : &m->client_chain;
}

static enum tls_chain judge(int code)
{
	switch (code) {
	case X509_V_OK:
		return TLS_CHAIN_OK;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return TLS_CHAIN_INCOMPLETE;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return TLS_CHAIN_SELF_SIGNED;
	default:
		return TLS_CHAIN_BAD;
	}
}

enum tls_chain tls_material_verify(const struct tls_material *m, enum tls_slot slot, char *why, size_t size)
{
	STACK_OF(X509) *list = tls_parse_chain(chain_of(m, slot), TLS_CHAIN_MAX);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	enum tls_chain ret = TLS_CHAIN_BAD;
	snprintf(why, size, "it cannot be read");
	if (!list || !store || !sc || !tls_fill_store(store, m) || X509_STORE_CTX_init(sc, store, sk_X509_value(list, 0), list) != 1)
		goto out;
	/* the purpose is told from the facts, with a better text */
	X509_STORE_CTX_set_flags(sc, X509_V_FLAG_NO_CHECK_TIME);
	int code = X509_verify_cert(sc) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(sc);
	snprintf(why, size, "%s (depth %d)", X509_verify_cert_error_string(code), X509_STORE_CTX_get_error_depth(sc));
	ret = judge(code);
out:
	X509_STORE_CTX_free(sc);
	X509_STORE_free(store);
	sk_X509_pop_free(list, X509_free);
	ERR_clear_error();
	return ret;
}

size_t tls_material_chain(const struct tls_material *m, enum tls_slot slot, char *top, size_t size)
{
	STACK_OF(X509) *list = tls_parse_chain(chain_of(m, slot), TLS_CHAIN_MAX);
	int n = sk_X509_num(list);
	*top = 0;
	if (n > 0) {
		struct tls_peer *last = tls_peer_make(sk_X509_value(list, n - 1), NULL);
		slice_cstr(slice_first(last->issuer, size - 1), top, size);
		tls_peer_free(last);
	}
	sk_X509_pop_free(list, X509_free);
	return n > 0 ? (size_t)n : 0;
}
