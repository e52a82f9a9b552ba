/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_hide.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include "base/enc.h"

enum { SECRET = 64, IV = 16, SEALED_MAX = 8192, VALUES_MAX = 64 };

void access_hide_keys(struct access_hide_keys *ret, struct slice secrets)
{
	static const unsigned char what[] = "entente topology hiding 1";
	*ret = (struct access_hide_keys){0};
	for (; secrets.len >= SECRET && ret->n < ACCESS_HIDE_KEYS; secrets = slice_skip(secrets, SECRET))
		if (!HMAC(EVP_sha512(), secrets.p, SECRET, what, sizeof what, ret->key[ret->n++], NULL))
			abort();
}

/* The synthetic IV: over what it is, where it belongs, and the text (as in RFC 5297). */
static void iv_of(const unsigned char key[64], char kind, struct slice call_id, struct slice text, unsigned char ret[IV])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct buf b;
	buf_init(&b, call_id.len + text.len + 32);
	buf_putc(&b, kind);
	buf_u64(&b, call_id.len);
	buf_putc(&b, ':');
	buf_put(&b, call_id);
	buf_put(&b, text);
	if (!buf_ok(&b) || !HMAC(EVP_sha256(), key + 32, 32, (const unsigned char *)buf_slice(&b).p, b.len, mac, NULL))
		abort();
	memcpy(ret, mac, IV);
	buf_free(&b);
}

static void crypt(const unsigned char key[64], const unsigned char iv[IV], const unsigned char *in, unsigned char *out, size_t n)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int len = 0;
	if (!c || EVP_EncryptInit_ex(c, EVP_aes_256_ctr(), NULL, key, iv) != 1 || EVP_EncryptUpdate(c, out, &len, in, (int)n) != 1)
		abort();
	EVP_CIPHER_CTX_free(c);
}

struct slice access_hide_seal(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice text)
{
	unsigned char raw[IV + SEALED_MAX];
	struct slice ret = SLICE_NONE;
	struct buf b;
	if (text.len > SEALED_MAX)
		return ret;
	iv_of(k->key[0], kind, call_id, text, raw);
	crypt(k->key[0], raw, (const unsigned char *)text.p, raw + IV, text.len);
	buf_init(&b, 4 * SEALED_MAX);
	base64_put(&b, slice_of((const char *)raw, IV + text.len));
	while (b.len && buf_slice(&b).p[b.len - 1] == '=')
		buf_truncate(&b, b.len - 1);
	for (size_t i = 0; i < b.len; i++) { /* RFC 4648 5: what URIs may hold */
		char *c = b.mem + b.off + i;
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	}
	ret = arena_dup(a, buf_slice(&b));
	buf_free(&b);
	return ret;
}

struct slice access_hide_open(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice token)
{
	struct slice ret = SLICE_NONE;
	struct buf b, raw;
	if (token.len < IV * 4 / 3 || token.len > 2 * SEALED_MAX)
		return ret;
	buf_init(&b, 4 * SEALED_MAX);
	buf_init(&raw, 4 * SEALED_MAX);
	buf_put(&b, token);
	for (size_t i = 0; i < b.len; i++) {
		char *c = b.mem + b.off + i;
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c == '+' || *c == '/' ? '!' : *c;
	}
	while (b.len % 4)
		buf_putc(&b, '=');
	if (base64_get(&raw, buf_slice(&b)) && raw.len >= IV && raw.len <= IV + SEALED_MAX) {
		const unsigned char *in = (const unsigned char *)buf_slice(&raw).p;
		size_t n = raw.len - IV;
		char *text = arena_bytes(a, n + 1);
		for (unsigned i = 0; text && i < k->n && !ret.p; i++) {
			unsigned char iv[IV];
			crypt(k->key[i], in, in + IV, (unsigned char *)text, n);
			iv_of(k->key[i], kind, call_id, slice_of(text, n), iv);
			if (!CRYPTO_memcmp(iv, in, IV))
				ret = slice_of(text, n);
		}
	}
	buf_free(&b);
	buf_free(&raw);
	return ret;
}

/* ---- to a partner */

static bool sip_scheme(const struct sip_uri *u)
{
	return u->scheme == SIP_SCHEME_SIP || u->scheme == SIP_SCHEME_SIPS;
}

void access_hide_contacts(const struct access_hide *h, struct sip_edit *e, struct slice local)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_addr a;
	while (sip_msg_next_value(e->m, SIP_H_CONTACT, &it, &value)) {
		if (sip_addr_parse(value, &a) || a.star || !sip_scheme(&a.uri) || slice_ieq(a.uri.host, local))
			continue;
		bool bare = a.uri_text.p == value.p, sips = a.uri.scheme == SIP_SCHEME_SIPS;
		struct slice token = access_hide_seal(h->keys, e->arena, 'c', e->m->call_id, a.uri_text);
		struct slice text = arena_printf(e->arena, "%s%s%.*s@%.*s%s%s", bare ? "<" : "", sips ? "sips:" : "sip:", SFMT(token), SFMT(h->name),
						 sips ? "" : ";transport=tls", bare ? ">" : "");
		e->failed |= !token.p || !text.p;
		sip_edit_replace(e, a.uri_text, text);
	}
}

void access_hide_makes(struct sip_edit *e)
{
	sip_edit_remove_named(e, S("User-Agent"));
	sip_edit_remove_named(e, S("Server"));
	sip_edit_remove_named(e, S("Warning"));
	sip_edit_remove_named(e, S("Organization"));
}

/* Values as they stand, at most VALUES_MAX; more fail the edit. */
static size_t values_of(struct sip_edit *e, enum sip_hdr id, struct slice *ret)
{
	struct sip_values it = {0};
	struct slice value;
	size_t n = 0;
	while (sip_msg_next_value(e->m, id, &it, &value)) {
		if (n == VALUES_MAX) {
			e->failed = true;
			break;
		}
		ret[n++] = value;
	}
	return n;
}

static bool names_us(const struct access_hide *h, struct slice value, struct sip_uri *ret)
{
	struct sip_addr a;
	if (sip_addr_parse(value, &a) || !h->own(h->arg, &a.uri))
		return false;
	*ret = a.uri;
	return true;
}

static void push_ours(const struct access_hide *h, struct sip_edit *e, struct slice routes, bool sips)
{
	struct slice token = routes.len ? access_hide_seal(h->keys, e->arena, 'r', e->m->call_id, routes) : S("");
	struct slice v = arena_printf(e->arena, "<%s%.*s%s;lr%s%.*s>", sips ? "sips:" : "sip:", SFMT(h->name), sips ? "" : ";transport=tls",
				      token.len ? ";ent=" : "", SFMT(token));
	e->failed |= !token.p || !v.p;
	sip_edit_push(e, S("Record-Route"), v);
}

static struct slice join(struct sip_edit *e, struct slice all, struct slice value)
{
	struct slice r = all.len ? arena_printf(e->arena, "%.*s, %.*s", SFMT(all), SFMT(value)) : value;
	e->failed |= !r.p;
	return r;
}

void access_hide_recorded(const struct access_hide *h, struct sip_edit *e)
{
	struct slice list[VALUES_MAX], all = S("");
	size_t n = values_of(e, SIP_H_RECORD_ROUTE, list);
	for (size_t i = 0; i < n; i++)
		all = join(e, all, list[i]);
	sip_edit_remove_named(e, S("Record-Route"));
	push_ours(h, e, all, e->m->uri.scheme == SIP_SCHEME_SIPS);
}

void access_hide_answered(const struct access_hide *h, struct sip_edit *e)
{
	struct slice list[VALUES_MAX], all = S("");
	struct sip_uri u = {0};
	size_t n = values_of(e, SIP_H_RECORD_ROUTE, list), ours = 0;
	while (ours < n && !names_us(h, list[ours], &u))
		ours++;
	if (ours == n)
		return; /* the home does not want to be found again, or it is no dialog */
	for (size_t i = ours; i--;)
		all = join(e, all, list[i]);
	size_t rest = ours;
	while (rest < n && names_us(h, list[rest], &u))
		rest++;
	sip_edit_remove_named(e, S("Record-Route"));
	for (size_t i = n; i-- > rest;)
		sip_edit_push(e, S("Record-Route"), list[i]);
	push_ours(h, e, all, u.scheme == SIP_SCHEME_SIPS);
}

/* ---- from a partner */

void access_hide_restore(const struct access_hide *h, struct sip_edit *e, struct slice contact)
{
	struct slice list[VALUES_MAX], token, text;
	struct sip_uri u = {0};
	size_t n = values_of(e, SIP_H_RECORD_ROUTE, list), ours = 0;
	while (ours < n && !names_us(h, list[ours], &u))
		ours++;
	if (ours == n)
		return;
	sip_edit_remove_named(e, S("Record-Route"));
	for (size_t i = n; i-- > ours + 1;)
		sip_edit_push(e, S("Record-Route"), list[i]);
	if (sip_uri_param(&u, S("ent"), &token)) {
		text = access_hide_open(h->keys, e->arena, 'r', e->m->call_id, token);
		if (text.p)
			sip_edit_push(e, S("Record-Route"), text);
		else
			e->failed = true; /* without it nothing finds its way in this dialog */
	}
	bool sips = u.scheme == SIP_SCHEME_SIPS;
	text = arena_printf(e->arena, "<%s%.*s;lr>", sips ? "sips:" : "", SFMT(slice_skip(contact, sips ? 4 : 0)));
	e->failed |= !text.p;
	sip_edit_push(e, S("Record-Route"), text);
	text = arena_printf(e->arena, sips ? "<sips:%.*s;lr>" : "<sip:%.*s;transport=tls;lr>", SFMT(h->name));
	e->failed |= !text.p;
	sip_edit_push(e, S("Record-Route"), text);
	for (size_t i = ours; i--;)
		sip_edit_push(e, S("Record-Route"), list[i]);
}

struct slice access_hide_target(const struct access_hide *h, struct arena *a, const struct sip_msg *m)
{
	if (!m->uri.user.len || !h->own(h->arg, &m->uri))
		return SLICE_NONE;
	return access_hide_open(h->keys, a, 'c', m->call_id, m->uri.user);
}

bool access_hide_routes(const struct access_hide *h, struct arena *a, const struct sip_msg *m, struct slice *ret)
{
	struct sip_values it = {0};
	struct slice value, token;
	struct sip_uri u;
	*ret = SLICE_NONE;
	while (sip_msg_next_value(m, SIP_H_ROUTE, &it, &value) && names_us(h, value, &u)) {
		if (!sip_uri_param(&u, S("ent"), &token))
			continue;
		if (ret->p)
			return false; /* one of us, one seal */
		*ret = access_hide_open(h->keys, a, 'r', m->call_id, token);
		if (!ret->p)
			return false;
	}
	return true;
}
