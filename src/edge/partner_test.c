/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/partner_test.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/enc.h"

enum { NAMES_MAX = 400 };

static void names(const struct tls_peer *c, struct buf *out)
{
	const struct {
		const char *kind;
		const struct slice *list;
		size_t n;
	} all[] = {{"", c->dns, c->n_dns}, {"URI ", c->uri, c->n_uri}, {"SRVName ", c->srv, c->n_srv}, {"xmppAddr ", c->xmpp, c->n_xmpp}};
	for (size_t k = 0; k < 4; k++)
		for (size_t i = 0; i < all[k].n && out->len < NAMES_MAX; i++)
			buf_printf(out, "%s%s%.*s", out->len ? ", " : "", all[k].kind, SFMT(all[k].list[i]));
	if (out->len >= NAMES_MAX)
		buf_puts(out, ", ...");
}

void partner_test_usage(const struct tls_peer *c, char *ret, size_t size)
{
	if (!c->eku_any_present)
		snprintf(ret, size, "any");
	else
		snprintf(ret, size, "%s%s%s", c->eku_server ? "serverAuth" : "", c->eku_server && c->eku_client ? ", " : "",
			 c->eku_client ? "clientAuth" : c->eku_server ? "" : "others only");
}

void partner_test_certificate_init(struct partner_test_certificate *t, const struct tls_peer *c)
{
	struct slice none = SLICE_NONE;
	t->until[0] = 0;
	buf_init(&t->names, 4096);
	buf_init(&t->pin, 128);
	names(c, &t->names);
	buf_puts(&t->pin, "sha256//");
	base64_put(&t->pin, slice_of((const char *)c->spki_sha256, sizeof c->spki_sha256));
	if (c->has_cert)
		clock_text_at(c->not_after, t->until);
	partner_test_usage(c, t->usage, sizeof t->usage);
	const struct log_kv facts[PARTNER_TEST_CERTIFICATE] = {
		{"protocol", c->protocol},
		{"cipher", c->cipher},
		{"alpn", c->alpn},
		{"resumed", c->resumed ? S("yes") : S("no")},
		{"subject", c->subject},
		{"names", buf_slice(&t->names)},
		{"issuer", c->issuer},
		{"not-after", slice_str(t->until)},
		{"usage", c->has_cert ? slice_str(t->usage) : none},
		{"trusted", c->chain_ok ? S("yes") : S("no")},
		{"why-not", c->chain_ok ? none : c->why_not},
		{"serial", c->serial},
		{"spki-sha256", c->has_cert ? buf_slice(&t->pin) : none},
	};
	memcpy(t->facts, facts, sizeof facts);
}

void partner_test_certificate_free(struct partner_test_certificate *t)
{
	buf_free(&t->names);
	buf_free(&t->pin);
}
