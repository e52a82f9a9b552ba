/* SPDX-License-Identifier: Apache-2.0 */
/* Records, each with its kind in one octet: 'h' a local domain, 'p' a partner, 'b' a blocked domain, 'g' the gateway's settings, 's' the
 * secret. Numbers are big-endian, texts have their length in four octets before them. */
#include "link/policy.h"


/* Whoever adds a field to one of these adds it here too, on both sides, and raises LINK_VERSION. */
_Static_assert(sizeof(struct policy_partner) == 136, "struct policy_partner has changed: link/policy.c must carry the new field");
_Static_assert(sizeof(struct policy_gateway) == 16, "struct policy_gateway has changed: link/policy.c must carry the new field");

/* ---- writing */

static void put(struct buf *b, uint64_t v, unsigned octets)
{
	for (unsigned i = octets; i--;)
		buf_putc(b, (char)(v >> (8 * i)));
}

static void put_text(struct buf *b, struct slice s)
{
	put(b, s.len, 4);
	buf_put(b, s);
}

static void put_partner(struct buf *b, const struct policy_partner *p)
{
	buf_putc(b, 'p');
	put_text(b, p->domain);
	put(b, p->n_additional, 4);
	for (size_t i = 0; i < p->n_additional; i++)
		put_text(b, p->additional[i]);
	put(b, p->type, 1);
	put(b, p->tls, 1);
	put(b, p->sasl, 1);
	put(b, p->enabled, 1);
	put(b, p->dialback, 1);
	put(b, p->keep_alive, 1);
	put(b, p->connection_limit, 4);
	put_text(b, p->server_host);
	put(b, p->server_port, 2);
	put_text(b, p->description);
	put(b, p->own_certificate, 1);
	put(b, p->n_pins, 1);
	for (size_t i = 0; i < p->n_pins; i++)
		buf_put(b, slice_of((const char *)p->pins[i].sha256, sizeof p->pins[i].sha256));
	put(b, p->pin_mode, 1);
	put(b, p->dane, 1);
	put(b, p->delegation, 1);
	put(b, p->protocol, 1);
}

static void put_block(void *arg, struct slice domain)
{
	buf_putc(arg, 'b');
	put_text(arg, domain);
}

void link_policy_write(struct buf *b, const struct snapshot *s, struct slice secret)
{
	const struct policy_gateway *g = snapshot_gateway(s);
	buf_putc(b, 's');
	put_text(b, secret);
	buf_putc(b, 'g');
	put(b, g->negotiation, 1);
	put(b, g->connection_limit, 4);
	put(b, g->partner_connection_limit, 4);
	put(b, g->xmpp_access, 1);
	for (size_t i = 0; i < snapshot_home_count(s); i++) {
		const struct policy_home *h = snapshot_home(s, i);
		for (size_t k = 0; k < h->n_domains; k++) {
			buf_putc(b, 'h');
			put_text(b, h->domains[k]);
		}
	}
	for (size_t i = 0; i < snapshot_partner_count(s); i++)
		put_partner(b, snapshot_partner_at(s, i));
	snapshot_each_block(s, put_block, b);
}

/* ---- reading */

struct reader {
	struct slice rest;
	bool bad;
};

static uint64_t get(struct reader *r, unsigned octets, uint64_t max)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < octets && i < r->rest.len; i++)
		v = v << 8 | (unsigned char)r->rest.p[i];
	if (r->rest.len < octets || v > max) {
		r->bad = true;
		v = 0;
	}
	r->rest = slice_skip(r->rest, octets);
	return v;
}

static struct slice get_text(struct reader *r, size_t max)
{
	size_t n = get(r, 4, max);
	struct slice s = slice_first(r->rest, n);
	if (s.len < n)
		r->bad = true;
	r->rest = slice_skip(r->rest, n);
	return s;
}

static void get_octets(struct reader *r, uint8_t *dst, size_t n)
{
	if (r->rest.len < n)
		r->bad = true;
	else
		memcpy(dst, r->rest.p, n);
	r->rest = slice_skip(r->rest, n);
}

static int get_partner(struct reader *r, struct snapshot_builder *b, struct entente_err *err)
{
	struct slice additional[POLICY_ADDITIONAL_MAX];
	struct policy_pin pins[POLICY_PINS_MAX];
	struct policy_partner p = {.additional = additional, .pins = pins};
	p.domain = get_text(r, POLICY_DOMAIN_MAX);
	p.n_additional = get(r, 4, POLICY_ADDITIONAL_MAX);
	for (size_t i = 0; i < p.n_additional && !r->bad; i++)
		additional[i] = get_text(r, POLICY_DOMAIN_MAX);
	p.type = (enum policy_partner_type)get(r, 1, POLICY_PUBLIC_UNVERIFIED);
	p.tls = (enum policy_negotiation)get(r, 1, POLICY_NOT_SUPPORTED);
	p.sasl = (enum policy_negotiation)get(r, 1, POLICY_NOT_SUPPORTED);
	p.enabled = get(r, 1, 1);
	p.dialback = get(r, 1, 1);
	p.keep_alive = get(r, 1, 1);
	p.connection_limit = (uint32_t)get(r, 4, UINT32_MAX);
	p.server_host = get_text(r, POLICY_DOMAIN_MAX);
	p.server_port = (uint16_t)get(r, 2, UINT16_MAX);
	p.description = get_text(r, POLICY_DESCRIPTION_MAX);
	p.own_certificate = (enum policy_own_certificate)get(r, 1, POLICY_OWN_NONE);
	p.n_pins = get(r, 1, POLICY_PINS_MAX);
	for (size_t i = 0; i < p.n_pins; i++)
		get_octets(r, pins[i].sha256, sizeof pins[i].sha256);
	p.pin_mode = (enum policy_pin_mode)get(r, 1, POLICY_PIN_BLOCK);
	p.dane = get(r, 1, 1);
	p.delegation = get(r, 1, 1);
	p.protocol = (enum policy_protocol)get(r, 1, POLICY_PROTOCOL_SIP_FIRST);
	return r->bad ? 0 : snapshot_builder_partner(b, &p, err);
}

/* The domains gathered so far become one home: where which of them is stays inside. */
static int put_homes(struct snapshot_builder *b, struct buf *homes, struct entente_err *err)
{
	struct policy_home h = {.name = S("gateway"), .next_hop = S("sip:gateway.invalid"), .n_domains = homes->len / sizeof(struct slice)};
	h.domains = (const struct slice *)(const void *)buf_slice(homes).p;
	int rc = h.n_domains ? snapshot_builder_home(b, &h, err) : 0;
	buf_clear(homes);
	return rc;
}

static int get_record(struct reader *r, struct snapshot_builder *b, struct slice *secret, struct buf *homes, struct entente_err *err)
{
	struct policy_gateway g;
	struct slice text;
	switch (get(r, 1, 255)) {
	case 's':
		*secret = get_text(r, LINK_SECRET_MAX);
		return 0;
	case 'g':
		g.negotiation = (enum policy_negotiation_mode)get(r, 1, POLICY_LYNC);
		g.connection_limit = (uint32_t)get(r, 4, UINT32_MAX);
		g.partner_connection_limit = (uint32_t)get(r, 4, UINT32_MAX);
		g.xmpp_access = get(r, 1, 1);
		if (!r->bad)
			snapshot_builder_gateway(b, &g);
		return 0;
	case 'h':
		text = get_text(r, POLICY_DOMAIN_MAX);
		buf_put(homes, slice_of((const char *)&text, sizeof text));
		return 0;
	case 'p': { /* homes come first, so that a conflict is laid to the partner */
		int rc = put_homes(b, homes, err);
		return rc ? rc : get_partner(r, b, err);
	}
	case 'b':
		text = get_text(r, POLICY_DOMAIN_MAX);
		return r->bad ? 0 : snapshot_builder_block(b, text, err);
	default:
		r->bad = true;
		return 0;
	}
}

int link_policy_read(struct snapshot **ret, struct slice *ret_secret, struct slice in, uint64_t generation, struct entente_err *err)
{
	struct reader r = {.rest = in};
	struct snapshot_builder *b = snapshot_builder_new();
	struct slice secret = SLICE_NONE;
	struct buf homes; /* of struct slice: the domains */
	int rc = 0;
	buf_init(&homes, LINK_POLICY_MAX);
	while (!rc && !r.bad && r.rest.len)
		rc = get_record(&r, b, &secret, &homes, err);
	if (!rc && !r.bad)
		rc = put_homes(b, &homes, err);
	if (!rc && r.bad)
		rc = err_set(err, ENTENTE_ESYNTAX, REASON_LINK_PROTOCOL, "the policy that the gateway pushed cannot be read");
	buf_free(&homes);
	if (rc) {
		snapshot_builder_free(b);
		return rc;
	}
	*ret_secret = secret;
	*ret = snapshot_builder_freeze(b, generation);
	return 0;
}
