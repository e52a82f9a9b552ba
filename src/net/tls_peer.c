/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of a certificate. Everything in it was chosen by a stranger: lengths are taken from ASN.1, never from a NUL;
 * what is not plain text is left out and counted. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "base/clock.h"
#include "base/enc.h"
#include "base/mem.h"
#include "net/tls_int.h"

enum { NAME_MAX_LEN = 255, URI_MAX_LEN = 1024, DN_MAX_LEN = 512 };
enum kind { KIND_DNS, KIND_SRV, KIND_XMPP, KIND_URI, KINDS };

struct text { /* a place in the builder's buffer */
	size_t off, len;
};

struct builder {
	struct buf text;
	struct text names[TLS_NAMES_MAX];
	uint8_t kinds[TLS_NAMES_MAX];
	size_t n;
	struct tls_peer facts; /* slices hold offsets until they are fixed */
	struct text why, subject, issuer, serial, cn, protocol, cipher, sni, alpn;
};

static struct text put(struct builder *b, struct slice s)
{
	struct text t = {b->text.len, s.len};
	buf_put(&b->text, s);
	buf_putc(&b->text, 0);
	return buf_ok(&b->text) ? t : (struct text){0, 0};
}

/* Visible ASCII only: no space, control, NUL or 8-bit octet. */
static bool clean_ascii(struct slice s, size_t max)
{
	if (!s.len || s.len > max)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return true;
}

static bool clean_utf8(struct slice s, size_t max)
{
	return s.len && s.len <= max && utf8_valid(s) && !utf8_has_control(s);
}

static struct slice asn1(const ASN1_STRING *s)
{
	return s ? slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)) : SLICE_NONE;
}

static void add_name(struct builder *b, enum kind kind, struct slice s, bool clean)
{
	if (!clean) {
		b->facts.names_bad++;
		return;
	}
	if (b->n == TLS_NAMES_MAX) {
		b->facts.names_cut = true;
		return;
	}
	b->kinds[b->n] = (uint8_t)kind;
	b->names[b->n++] = put(b, s);
}

static void add_other(struct builder *b, const OTHERNAME *o)
{
	int nid = OBJ_obj2nid(o->type_id);
	struct slice s = SLICE_NONE;
	if (nid == NID_SRVName) {
		if (o->value->type == V_ASN1_IA5STRING)
			s = asn1(o->value->value.ia5string);
		add_name(b, KIND_SRV, s, clean_ascii(s, NAME_MAX_LEN));
	} else if (nid == NID_XmppAddr) {
		if (o->value->type == V_ASN1_UTF8STRING)
			s = asn1(o->value->value.utf8string);
		add_name(b, KIND_XMPP, s, clean_utf8(s, NAME_MAX_LEN));
	}
}

static void add_names(struct builder *b, X509 *x)
{
	b->facts.has_san = X509_get_ext_by_NID(x, NID_subject_alt_name, -1) >= 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	if (!names && b->facts.has_san)
		b->facts.names_bad++;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !b->facts.names_cut; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		struct slice s;
		switch (g->type) {
		case GEN_DNS:
			s = asn1(g->d.dNSName);
			add_name(b, KIND_DNS, s, clean_ascii(s, NAME_MAX_LEN));
			break;
		case GEN_URI:
			s = asn1(g->d.uniformResourceIdentifier);
			add_name(b, KIND_URI, s, clean_ascii(s, URI_MAX_LEN));
			break;
		case GEN_OTHERNAME:
			add_other(b, g->d.otherName);
			break;
		default:
			break;
		}
	}
	GENERAL_NAMES_free(names);
}

static struct text put_dn(struct builder *b, const X509_NAME *name)
{
	struct text t = {0, 0};
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		long n = BIO_get_mem_data(bio, &p);
		t = put(b, slice_first(slice_of(p, n > 0 ? (size_t)n : 0), DN_MAX_LEN));
	}
	BIO_free(bio);
	return t;
}

static struct text put_cn(struct builder *b, const X509_NAME *name)
{
	int last = -1, i = -1;
	while ((i = X509_NAME_get_index_by_NID(name, NID_commonName, i)) >= 0)
		last = i;
	struct text t = {0, 0};
	if (last < 0)
		return t;
	unsigned char *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
	if (n > 0 && clean_ascii(slice_of((char *)utf8, (size_t)n), NAME_MAX_LEN))
		t = put(b, slice_of((char *)utf8, (size_t)n));
	OPENSSL_free(utf8);
	return t;
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;
	return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static struct text put_serial(struct builder *b, X509 *x)
{
	struct slice s = asn1(X509_get0_serialNumber(x));
	struct text t = {b->text.len, 0};
	s = slice_first(s, 32);
	hex_put(&b->text, s.p, s.len);
	buf_putc(&b->text, 0);
	t.len = 2 * s.len;
	return t;
}

static void add_cert(struct builder *b, X509 *x)
{
	struct tls_peer *f = &b->facts;
	f->has_cert = true;
	b->subject = put_dn(b, X509_get_subject_name(x));
	b->issuer = put_dn(b, X509_get_issuer_name(x));
	b->serial = put_serial(b, x);
	b->cn = put_cn(b, X509_get_subject_name(x));
	f->not_before = seconds(X509_get0_notBefore(x));
	f->not_after = seconds(X509_get0_notAfter(x));
	f->self_signed = X509_self_signed(x, 0) == 1;
	f->eku_any_present = (X509_get_extension_flags(x) & EXFLAG_XKUSAGE) != 0;
	if (f->eku_any_present) {
		uint32_t eku = X509_get_extended_key_usage(x);
		f->eku_server = (eku & XKU_SSL_SERVER) != 0;
		f->eku_client = (eku & XKU_SSL_CLIENT) != 0;
	}
	unsigned n = sizeof f->sha256;
	X509_digest(x, EVP_sha256(), f->sha256, &n);
	X509_digest(x, EVP_sha512(), f->sha512, &n);
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	if (len > 0) {
		EVP_Digest(der, (size_t)len, f->spki_sha256, NULL, EVP_sha256(), NULL);
		EVP_Digest(der, (size_t)len, f->spki_sha512, NULL, EVP_sha512(), NULL);
	}
	OPENSSL_free(der);
	add_names(b, x);
}

static void add_connection(struct builder *b, struct tls_link *k)
{
	struct tls_peer *f = &b->facts;
	char text[256];
	b->protocol = put(b, slice_str(SSL_get_version(k->ssl)));
	b->cipher = put(b, slice_str(SSL_get_cipher_name(k->ssl)));
	struct slice sni = slice_str(SSL_get_servername(k->ssl, TLSEXT_NAMETYPE_host_name));
	if (clean_ascii(sni, NAME_MAX_LEN))
		b->sni = put(b, sni);
	const unsigned char *alpn;
	unsigned n;
	SSL_get0_alpn_selected(k->ssl, &alpn, &n);
	if (n)
		b->alpn = put(b, slice_of((const char *)alpn, n));
	f->resumed = SSL_session_reused(k->ssl) == 1;

	const char *why = NULL;
	if (!f->has_cert) {
		f->verify_code = X509_V_ERR_UNSPECIFIED;
		why = "no certificate was shown";
	} else if (k->verify_code) { /* the first error; OpenSSL's own result is the last */
		f->verify_code = k->verify_code;
		why = k->why;
	} else {
		long code = SSL_get_verify_result(k->ssl);
		if (code == X509_V_OK && f->resumed && f->not_after <= clock_unix())
			code = X509_V_ERR_CERT_HAS_EXPIRED;
		f->verify_code = (int)code;
		if (code != X509_V_OK) {
			snprintf(text, sizeof text, "%s%s", X509_verify_cert_error_string(code),
				f->resumed ? " (at the handshake resumed)" : "");
			why = text;
		}
	}
	f->chain_ok = !why;
	b->why = put(b, slice_str(why));
}

static struct slice fix(char *base, struct text t)
{
	return slice_of(t.len ? base + t.off : "", t.len);
}

static struct tls_peer *finish(struct builder *b)
{
	size_t names = b->n * sizeof(struct slice), text = b->text.len;
	struct tls_peer *p = mem_calloc(1, sizeof *p + names + text + 1);
	struct slice *list = (struct slice *)(void *)(p + 1);
	char *base = (char *)(list + b->n);
	if (text)
		memcpy(base, b->text.mem + b->text.off, text);
	*p = b->facts;
	p->why_not = fix(base, b->why);
	p->subject = fix(base, b->subject);
	p->issuer = fix(base, b->issuer);
	p->serial = fix(base, b->serial);
	p->cn = fix(base, b->cn);
	p->protocol = fix(base, b->protocol);
	p->cipher = fix(base, b->cipher);
	p->sni = fix(base, b->sni);
	p->alpn = fix(base, b->alpn);
	const struct slice *first[KINDS];
	size_t count[KINDS];
	for (int kind = 0; kind < KINDS; kind++) {
		first[kind] = list;
		count[kind] = 0;
		for (size_t i = 0; i < b->n; i++)
			if (b->kinds[i] == kind) {
				*list++ = fix(base, b->names[i]);
				count[kind]++;
			}
	}
	p->dns = first[KIND_DNS], p->n_dns = count[KIND_DNS];
	p->srv = first[KIND_SRV], p->n_srv = count[KIND_SRV];
	p->xmpp = first[KIND_XMPP], p->n_xmpp = count[KIND_XMPP];
	p->uri = first[KIND_URI], p->n_uri = count[KIND_URI];
	buf_free(&b->text);
	return p;
}

struct tls_peer *tls_peer_make(X509 *cert, struct tls_link *k)
{
	struct builder b = {.n = 0};
	buf_init(&b.text, 1 << 20); /* more than TLS_NAMES_MAX of the longest */
	if (cert)
		add_cert(&b, cert);
	if (k)
		add_connection(&b, k);
	ERR_clear_error();
	return finish(&b);
}

int tls_peer_from_der(struct tls_peer **ret, struct slice der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	if (der.len == 0 || der.len > 1 << 20)
		return ENTENTE_ESYNTAX;
	X509 *x = d2i_X509(NULL, &p, (long)der.len);
	if (!x || (const char *)p != der.p + der.len) {
		X509_free(x);
		ERR_clear_error();
		return ENTENTE_ESYNTAX;
	}
	*ret = tls_peer_make(x, NULL);
	X509_free(x);
	return 0;
}

struct tls_peer *tls_peer_free(struct tls_peer *p)
{
	return mem_free(p);
}
