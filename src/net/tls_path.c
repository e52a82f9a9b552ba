/* SPDX-License-Identifier: Apache-2.0 */
/* A verified chain, as far as revocation lists need it. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <strings.h>
#include "base/mem.h"
#include "net/conn_int.h"

enum { TEXT_MAX = 256, SERIAL_MAX = 64, URL_MAX = 1024, DER_MAX = 8192 };

struct part { /* a place in the text */
	size_t off, len;
};

struct draft {
	struct part subject, serial, issuer, issuer_text, key, lists[TLS_LISTS_MAX];
	size_t n_lists;
	bool ca, may_sign;
};

static struct part put(struct buf *b, struct slice s)
{
	struct part p = {b->len, s.len};
	buf_put(b, s);
	buf_putc(b, 0);
	return p;
}

static struct part put_text(struct buf *b, const X509_NAME *name)
{
	struct part p = {0, 0};
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		long n = BIO_get_mem_data(bio, &text);
		p = put(b, slice_first(slice_of(text, n > 0 ? (size_t)n : 0), TEXT_MAX));
	}
	BIO_free(bio);
	return p;
}

static struct part put_der(struct buf *b, unsigned char *der, int len)
{
	struct part p = {0, 0};
	if (len > 0 && len <= DER_MAX)
		p = put(b, slice_of((char *)der, (size_t)len));
	OPENSSL_free(der);
	return p;
}

static bool fetchable(struct slice url)
{
	if (url.len <= 7 || url.len > URL_MAX || strncasecmp(url.p, "http://", 7) != 0)
		return false;
	for (size_t i = 0; i < url.len; i++)
		if (url.p[i] < 0x21 || url.p[i] > 0x7e)
			return false;
	return true;
}

/* Points for some reasons only, or whose lists another authority signs, are passed over. */
static void put_lists(struct buf *b, struct draft *d, X509 *x)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);
	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT *p = sk_DIST_POINT_value(points, i);
		if (!p->distpoint || p->distpoint->type != 0 || p->reasons || p->CRLissuer)
			continue;
		const GENERAL_NAMES *names = p->distpoint->name.fullname;
		for (int k = 0; k < sk_GENERAL_NAME_num(names) && d->n_lists < TLS_LISTS_MAX; k++) {
			const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, k);
			const ASN1_STRING *s = g->type == GEN_URI ? g->d.uniformResourceIdentifier : NULL;
			struct slice url = s ? slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)) : SLICE_NONE;
			if (fetchable(url))
				d->lists[d->n_lists++] = put(b, url);
		}
	}
	CRL_DIST_POINTS_free(points);
}

static bool describe(struct buf *b, struct draft *d, X509 *x, X509 *by)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	unsigned char *name = NULL, *key = NULL;
	int name_len = i2d_X509_NAME(X509_get_subject_name(by), &name);
	int key_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(by), &key);
	*d = (struct draft){.ca = X509_check_ca(x) != 0, .may_sign = (X509_get_key_usage(by) & KU_CRL_SIGN) != 0};
	d->subject = put_text(b, X509_get_subject_name(x));
	d->issuer_text = put_text(b, X509_get_subject_name(by));
	d->serial = put(b, slice_first(slice_of((const char *)ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)), SERIAL_MAX));
	d->issuer = put_der(b, name, name_len);
	d->key = put_der(b, key, key_len);
	put_lists(b, d, x);
	return d->issuer.len && d->key.len;
}

static struct slice at(const char *base, struct part p)
{
	return slice_of(base + p.off, p.len);
}

static struct tls_path *finish(const struct draft *d, size_t n, const struct buf *text)
{
	size_t lists = 0;
	for (size_t i = 0; i < n; i++)
		lists += d[i].n_lists;
	struct tls_path *c = mem_calloc(1, sizeof *c + n * sizeof(struct tls_issued) + lists * sizeof(struct slice) + text->len + 1);
	struct tls_issued *list = (struct tls_issued *)(void *)(c + 1);
	struct slice *urls = (struct slice *)(void *)(list + n);
	char *base = (char *)(urls + lists);
	if (text->len)
		memcpy(base, text->mem + text->off, text->len);
	c->n = n;
	c->list = list;
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct tls_issued){.subject = at(base, d[i].subject), .serial = at(base, d[i].serial), .ca = d[i].ca,
					      .issuer = at(base, d[i].issuer), .issuer_text = at(base, d[i].issuer_text), .key = at(base, d[i].key),
					      .may_sign = d[i].may_sign, .lists = urls, .n_lists = d[i].n_lists};
		for (size_t k = 0; k < d[i].n_lists; k++)
			*urls++ = at(base, d[i].lists[k]);
	}
	return c;
}

struct tls_path *conn_path(const struct conn *c)
{
	struct draft d[TLS_CHAIN_MAX];
	struct tls_path *ret = NULL;
	STACK_OF(X509) *chain = c->peer && c->peer->chain_ok && c->tls.ssl ? SSL_get0_verified_chain(c->tls.ssl) : NULL;
	int n = sk_X509_num(chain);
	struct buf text;
	if (n < 1 || n > TLS_CHAIN_MAX)
		return NULL;
	buf_init(&text, 1 << 20);
	bool ok = true;
	for (int i = 0; i + 1 < n; i++)
		ok = ok && describe(&text, &d[i], sk_X509_value(chain, i), sk_X509_value(chain, i + 1));
	if (ok && buf_ok(&text)) {
		ret = finish(d, (size_t)n - 1, &text);
		memcpy(ret->sha256, c->peer->sha256, sizeof ret->sha256);
	}
	buf_free(&text);
	ERR_clear_error();
	return ret;
}

struct tls_path *tls_path_free(struct tls_path *c)
{
	return mem_free(c);
}
