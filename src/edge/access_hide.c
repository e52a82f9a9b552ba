/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_hide.h"

#include <sodium.h>
#include <stdlib.h>

/* Keyed BLAKE2b (RFC 7693) and XChaCha20: as good as HMAC and AES here, and without the look-ups that OpenSSL makes for each use. */
enum { SECRET = 64, MAC = 16, SEALED_MAX = 8192, TOKEN_MAX = (MAC + SEALED_MAX) * 4 / 3 + 8, VALUES_MAX = 64 };
static const int base64url = sodium_base64_VARIANT_URLSAFE_NO_PADDING; /* RFC 4648 5: what URIs may hold */

void access_hide_keys(struct access_hide_keys *ret, struct slice secrets)
{
	static const unsigned char what[] = "entente topology hiding 2";
	*ret = (struct access_hide_keys){0};
	if (sodium_init() < 0)
		abort();
	for (; secrets.len >= SECRET && ret->n < ACCESS_HIDE_KEYS; secrets = slice_skip(secrets, SECRET), ret->n++)
		crypto_generichash(ret->key[ret->n], sizeof ret->key[0], what, sizeof what, (const unsigned char *)secrets.p, SECRET);
}

/* Over what it is, where it belongs, and the text. */
static void mac_of(const unsigned char key[64], char kind, struct slice call_id, struct slice text, unsigned char ret[MAC])
{
	crypto_generichash_state s;
	struct {
		uint64_t kind, len; /* no two triples look the same */
	} head = {(unsigned char)kind, call_id.len};
	crypto_generichash_init(&s, key + 32, 32, MAC);
	crypto_generichash_update(&s, (const unsigned char *)&head, sizeof head);
	crypto_generichash_update(&s, (const unsigned char *)call_id.p, call_id.len);
	crypto_generichash_update(&s, (const unsigned char *)text.p, text.len);
	crypto_generichash_final(&s, ret, MAC);
}

/* The MAC is the IV, as in RFC 5297. */
static void crypt(const unsigned char key[64], const unsigned char mac[MAC], const unsigned char *in, unsigned char *out, size_t n)
{
	unsigned char nonce[crypto_stream_xchacha20_NONCEBYTES] = {0};
	memcpy(nonce, mac, MAC);
	crypto_stream_xchacha20_xor(out, in, n, nonce, key);
}

static struct slice encode(struct arena *a, const unsigned char *in, size_t n)
{
	size_t size = sodium_base64_encoded_len(n, base64url);
	char *text = arena_bytes(a, size);
	return text ? slice_str(sodium_bin2base64(text, size, in, n, base64url)) : SLICE_NONE;
}

static bool decode(struct slice token, unsigned char *ret, size_t size, size_t *ret_len)
{
	return sodium_base642bin(ret, size, token.p, token.len, NULL, ret_len, NULL, base64url) == 0;
}

struct slice access_hide_mark(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice text)
{
	unsigned char mac[MAC];
	mac_of(k->key[0], kind, call_id, text, mac);
	return encode(a, mac, MAC);
}

bool access_hide_marked(const struct access_hide_keys *k, char kind, struct slice call_id, struct slice text, struct slice token)
{
	unsigned char given[MAC], mac[MAC];
	size_t n;
	if (!decode(token, given, MAC, &n) || n != MAC)
		return false;
	for (unsigned i = 0; i < k->n; i++) {
		mac_of(k->key[i], kind, call_id, text, mac);
		if (!sodium_memcmp(given, mac, MAC))
			return true;
	}
	return false;
}

struct slice access_hide_seal(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice text)
{
	unsigned char raw[MAC + SEALED_MAX];
	if (text.len > SEALED_MAX)
		return SLICE_NONE;
	mac_of(k->key[0], kind, call_id, text, raw);
	crypt(k->key[0], raw, (const unsigned char *)text.p, raw + MAC, text.len);
	return encode(a, raw, MAC + text.len);
}

struct slice access_hide_open(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice token)
{
	unsigned char raw[MAC + SEALED_MAX], mac[MAC];
	size_t n;
	if (token.len > TOKEN_MAX || !decode(token, raw, sizeof raw, &n) || n < MAC)
		return SLICE_NONE;
	n -= MAC;
	char *text = arena_bytes(a, n + 1);
	for (unsigned i = 0; text && i < k->n; i++) {
		crypt(k->key[i], raw, raw + MAC, (unsigned char *)text, n);
		mac_of(k->key[i], kind, call_id, slice_of(text, n), mac);
		if (!sodium_memcmp(mac, raw, MAC))
			return slice_of(text, n);
	}
	return SLICE_NONE;
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

/* Most requests have none, and their Routes need not be read for it. */
static bool sealed_routes(const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice value;
	while (sip_msg_next_value(m, SIP_H_ROUTE, &it, &value))
		if (slice_find(value, S(";ent=")) >= 0)
			return true;
	return false;
}

bool access_hide_routes(const struct access_hide *h, struct arena *a, const struct sip_msg *m, struct slice *ret)
{
	struct sip_values it = {0};
	struct slice value, token;
	struct sip_uri u;
	*ret = SLICE_NONE;
	if (!sealed_routes(m))
		return true;
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
