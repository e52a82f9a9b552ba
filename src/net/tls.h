/* SPDX-License-Identifier: Apache-2.0 */
/* TLS identities and contexts. Material = certificates, keys and trust read from files once (any thread, immutable,
 * shared); context = what one worker's connections use, built from material (one per worker and generation, never shared
 * between threads). Reload: load new material, build new contexts, give them to new connections; old ones live until their
 * last connection ends.
 *
 * Verification is recorded, never enforced: a client certificate is always requested, a bad one never aborts the handshake
 * (the owner may still use dialback), and the owner decides from struct tls_peer. The chain is verified for the purpose
 * *server* in both directions: public authorities no longer issue clientAuth, and a clientAuth-only certificate must not
 * prove a server's domain. TLS 1.2 or later, no renegotiation, no compression. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { TLS_NAMES_MAX = 256 };

/* Facts of one certificate (a peer's or our own) and, for a peer, of its connection. One heap block; all slices point into
 * it. */
struct tls_peer {
	bool has_cert;
	/* Verified against the trust for the purpose, in time, at the handshake or at the one resumed (and still in time
	 * now). */
	bool chain_ok;
	/* Why chain_ok is false: "certificate has expired (depth 0: CN=...)". All slices here end with a NUL after their
	 * len. */
	struct slice why_not;
	int verify_code;          /* X509_V_ERR_*, 0 = ok */
	struct slice subject, issuer; /* RFC 2253, at most 512 octets */
	struct slice serial;      /* hex */
	int64_t not_before, not_after; /* seconds since 1970; 0 when unreadable */
	bool self_signed;
	bool eku_any_present, eku_server, eku_client; /* extendedKeyUsage: extension present, lists serverAuth, clientAuth */
	uint8_t sha256[32];       /* of the DER certificate */
	uint8_t spki_sha256[32];  /* of its SubjectPublicKeyInfo (pins, TLSA selector 1) */
	uint8_t sha512[64], spki_sha512[64]; /* the same, for TLSA matching type 2 */
	/* Names as the certificate has them, case kept; ones with NUL, control or non-ASCII octets, or over 255 octets
	 * (URI 1024), are left out and counted in names_bad. At most TLS_NAMES_MAX of all kinds, then names_cut. */
	const struct slice *dns;  /* subjectAltName dNSName */
	const struct slice *srv;  /* otherName id-on-dnsSRV 1.3.6.1.5.5.7.8.7, RFC 4985 */
	const struct slice *xmpp; /* otherName id-on-xmppAddr 1.3.6.1.5.5.7.8.5, RFC 6120 13.7.1.4 (UTF-8 allowed) */
	const struct slice *uri;  /* uniformResourceIdentifier, RFC 5922 7.1 */
	size_t n_dns, n_srv, n_xmpp, n_uri;
	struct slice cn;          /* the last commonName of the subject if it is clean, else empty */
	bool has_san;             /* any subjectAltName extension, even an unreadable one: the CN must then not be used */
	unsigned names_bad;
	bool names_cut;
	/* Of the connection (empty for our own certificates): */
	struct slice protocol, cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
	struct slice sni;         /* the name asked for (by the client of this connection) */
	struct slice alpn;        /* the protocol agreed on */
	bool resumed;
};

/* One certificate of a verified chain and what is needed to see whether its issuer has revoked it. Slices point into the chain's block. */
struct tls_issued {
	struct slice subject;   /* RFC 2253, for people */
	struct slice serial;    /* big-endian octets */
	bool ca;
	struct slice issuer;    /* the issuer's name, DER ... */
	struct slice issuer_text;
	struct slice key;       /* ... and key, a DER SubjectPublicKeyInfo ... */
	bool may_sign;          /* ... which may sign revocation lists */
	const struct slice *lists; /* http distribution points, at most TLS_LISTS_MAX */
	size_t n_lists;
};
enum { TLS_LISTS_MAX = 4 };
/* One heap block: the certificates below the anchor, leaf first. */
struct tls_path {
	uint8_t sha256[32]; /* of the leaf */
	size_t n;
	const struct tls_issued *list;
};
/* Accepts NULL; returns NULL. */
struct tls_path *tls_path_free(struct tls_path *c);

/* ---- DANE (RFC 6698, 7671): does a certificate that was shown satisfy TLSA records? The caller has made sure that the records,
 * and what led to them, are DNSSEC-secure. Usages PKIX-TA(0), PKIX-EE(1), DANE-TA(2), DANE-EE(3); selectors 0, 1; matching types
 * 0, 1, 2. Other records are unusable and do not count (RFC 7671 4). */
struct tls_tlsa {
	uint8_t usage, selector, matching;
	struct slice data;
};
enum tls_dane {
	TLS_DANE_NONE,     /* no usable record: as if there were none */
	TLS_DANE_MISMATCH, /* usable records, and none fits: the certificate must not be accepted at all */
	TLS_DANE_PKIX,     /* PKIX-TA or PKIX-EE fits, and chain_ok: names must still be compared */
	TLS_DANE_TA,       /* DANE-TA fits: proven down from that authority, in time; names must still be compared */
	TLS_DANE_EE,       /* DANE-EE fits: neither names nor dates matter (RFC 7671 5.1) */
};
/* Judges by the leaf alone: usages 1 and 3; the others count as usable ones that do not fit. Any thread. */
enum tls_dane tls_peer_dane(const struct tls_peer *p, const struct tls_tlsa *records, size_t n);
const char *tls_dane_text(enum tls_dane d); /* "none" "mismatch" "pkix" "dane-ta" "dane-ee" */

/* Facts of a DER certificate without a connection (checks, tests). ENTENTE_ESYNTAX when it does not parse. */
int tls_peer_from_der(struct tls_peer **ret, struct slice der);
/* Accepts NULL; returns NULL. */
struct tls_peer *tls_peer_free(struct tls_peer *p);

enum tls_purpose { TLS_PURPOSE_SERVER, TLS_PURPOSE_ANY }; /* ANY: only with a partner's private trust */

struct tls_settings { /* NUL-terminated paths; not kept */
	const char *server_chain, *server_key; /* PEM, leaf first; both NULL: cannot be a TLS server */
	const char *client_chain, *client_key; /* both NULL: as server */
	bool client_none;        /* show no certificate as client */
	bool no_client;          /* as server: ask no client for a certificate (people's browsers ask their owners then) */
	const char *trust_file;  /* PEM bundle; NULL: the system's store */
	enum tls_purpose purpose;
	bool tls13_only;
	bool legacy;             /* allow TLS 1.0 and 1.1 with security level 0: only for a named old partner */
	const char *ciphers;     /* TLS 1.2 list in OpenSSL syntax; NULL: forward-secret suites, AEAD first */
	const char *alpn[4];     /* what a server agrees to, in order of preference; NULL ends */
	size_t sessions;         /* client sessions kept for resumption per context; 0 = 1024 */
};

/* From now on private keys are loaded by this keeper (keeper/keeper.h) and are with it only; NULL, as at the start: this process reads them
 * itself. For the whole process; before threads. The keeper stays the caller's and must not be freed while material is loaded. */
struct keeper;
void tls_set_keeper(struct keeper *k);
/* A private key, from where tls_set_keeper says; the caller's, EVP_PKEY_free. Errors as tls_material_load. */
struct evp_pkey_st;
int tls_key_load(struct evp_pkey_st **ret, const char *path, struct entente_err *err);

struct tls_material;
/* Reads and checks everything (key fits certificate, chain parses, trust not empty). ENTENTE_EIO for files, ENTENTE_ETLS
 * for contents; the text names the file and the remedy. Any thread. */
int tls_material_load(struct tls_material **ret, const struct tls_settings *s, struct entente_err *err);
struct tls_material *tls_material_ref(struct tls_material *m);
/* Accepts NULL; returns NULL. Thread-safe count; keys are wiped, or forgotten by their keeper, with the last reference. */
struct tls_material *tls_material_unref(struct tls_material *m);
enum tls_slot { TLS_SLOT_CLIENT, TLS_SLOT_SERVER, TLS_SLOT_NONE };
/* Facts of our own leaf certificate, NULL when the slot is empty; lives as long as the material. */
const struct tls_peer *tls_material_facts(const struct tls_material *m, enum tls_slot slot);

/* Would somebody with our trust believe our own chain, as it stands in the file? Dates are not looked at (see the facts). `why` gets
 * one line. */
enum tls_chain { TLS_CHAIN_OK, TLS_CHAIN_INCOMPLETE, TLS_CHAIN_SELF_SIGNED, TLS_CHAIN_BAD };
enum tls_chain tls_material_verify(const struct tls_material *m, enum tls_slot slot, char *why, size_t size);
/* How many certificates the chain has; `top` gets the issuer of its last. */
size_t tls_material_chain(const struct tls_material *m, enum tls_slot slot, char *top, size_t size);

struct tls_ctx;
/* For one thread. Keeps its own reference to the material. Contexts of the same material share ticket keys, so that a peer
 * resumes on any worker. */
int tls_ctx_new(struct tls_ctx **ret, struct tls_material *m, struct entente_err *err);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *t);
/* Accepts NULL; returns NULL. Connections hold their own references. */
struct tls_ctx *tls_ctx_unref(struct tls_ctx *t);
const struct tls_material *tls_ctx_material(const struct tls_ctx *t);

/* As server: another context (same thread, same trust) may be chosen by the name that the client asks for, before the
 * certificate is shown. `sni` is empty when none was sent. NULL keeps this one. */
typedef struct tls_ctx *(*tls_choose_fn)(void *arg, struct slice sni);
void tls_ctx_set_choose(struct tls_ctx *t, tls_choose_fn fn, void *arg);

struct tls_counts {
	uint64_t handshakes, resumed, failed;
	size_t sessions; /* kept now */
};
void tls_ctx_counts(const struct tls_ctx *t, struct tls_counts *ret);
