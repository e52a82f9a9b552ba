/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates in force and those that partners have shown, collected. */
#include "admin/certificate.h"
#include "app/app.h"
#include "app/facts.h"
#include "app/json.h"
#include "app/split.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"

static void add_own(struct expiry_list *l, enum plan_slot slot, const struct tls_peer *f)
{
	struct expiry_entry *e = f ? expiry_add(l) : NULL;
	if (!e)
		return;
	e->own = e->believed = true;
	slice_cstr(slice_str(plan_slot_name(slot)), e->name, sizeof e->name);
	slice_cstr(slice_first(f->subject, sizeof e->subject - 1), e->subject, sizeof e->subject);
	slice_cstr(slice_first(f->issuer, sizeof e->issuer - 1), e->issuer, sizeof e->issuer);
	memcpy(e->sha256, f->sha256, sizeof e->sha256);
	e->not_before = f->not_before;
	e->not_after = f->not_after;
}

static const struct tls_peer *own(const struct app *app, enum plan_slot slot)
{
	const struct config *c = app->config;
	switch (slot) {
	case PLAN_SLOT_SERVER:
		return app->tls ? tls_material_facts(app->tls, TLS_SLOT_SERVER) : NULL;
	case PLAN_SLOT_CLIENT:
		return app->tls && *c->tls_client_certificate ? tls_material_facts(app->tls, TLS_SLOT_CLIENT) : NULL;
	default:
		if (!app->split || !*c->link_certificate || !split_tls(app))
			return NULL;
		/* a gateway only connects */
		const struct tls_peer *f = tls_material_facts(split_tls(app), TLS_SLOT_SERVER);
		return f ? f : tls_material_facts(split_tls(app), TLS_SLOT_CLIENT);
	}
}

static bool add_xmpp(void *arg, struct slice domain, const struct xmpp_sighting *s)
{
	struct expiry_entry *e = s->not_after ? expiry_add(arg) : NULL;
	if (!e)
		return !s->not_after;
	slice_cstr(slice_first(domain, sizeof e->name - 1), e->name, sizeof e->name);
	e->protocol = "xmpp";
	slice_cstr(slice_str(s->subject), e->subject, sizeof e->subject);
	slice_cstr(slice_str(s->issuer), e->issuer, sizeof e->issuer);
	memcpy(e->sha256, s->sha256, sizeof e->sha256);
	e->not_before = s->not_before;
	e->not_after = s->not_after;
	e->seen = s->at;
	e->believed = s->believed;
	return true;
}

static bool known(const struct expiry_list *l, struct slice domain)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->list[i].protocol, "sip") && slice_ieq(slice_str(l->list[i].name), domain))
			return true;
	return false;
}

/* For each domain the certificate that proved it last; they come in that order. */
static void add_sip(void *arg, const struct access_cert_facts *f)
{
	struct slice domains = f->domains, d;
	struct expiry_list *l = arg;
	while (f->accepted && f->not_after && domains.len) {
		d = slice_split(&domains, ' ');
		struct expiry_entry *e = known(l, d) ? NULL : expiry_add(l);
		if (!e)
			continue;
		slice_cstr(slice_first(d, sizeof e->name - 1), e->name, sizeof e->name);
		e->protocol = "sip";
		slice_cstr(slice_first(f->subject, sizeof e->subject - 1), e->subject, sizeof e->subject);
		slice_cstr(slice_first(f->issuer, sizeof e->issuer - 1), e->issuer, sizeof e->issuer);
		for (size_t i = 0; i < sizeof e->sha256; i++)
			e->sha256[i] = (uint8_t)(hex_value(f->sha256[2 * i]) * 16 + hex_value(f->sha256[2 * i + 1]));
		e->not_before = f->not_before;
		e->not_after = f->not_after;
		e->seen = f->last;
		e->believed = true;
	}
}

void certificates_collect(struct app *app, struct expiry_list *l)
{
	for (int s = 0; s < PLAN_SLOT_COUNT; s++)
		add_own(l, (enum plan_slot)s, own(app, (enum plan_slot)s));
	xmpp_seen_each(app->seen, add_xmpp, l);
	if (app->access_certs)
		access_certs_each(app->access_certs, add_sip, l);
}

void certificates_list(struct app *app, json_t *ret_own, json_t *partners)
{
	struct expiry_list l = {0};
	int64_t now = clock_unix();
	for (int s = 0; ret_own && s < PLAN_SLOT_COUNT; s++) {
		const struct tls_peer *f = own(app, (enum plan_slot)s);
		json_t *o = f ? json_pack("{s:s}", "usage", plan_slot_name((enum plan_slot)s)) : NULL;
		if (!o)
			continue;
		certificate_facts(o, f);
		json_array_append_new(ret_own, o);
	}
	certificates_collect(app, &l);
	for (size_t i = 0; partners && i < l.n; i++) {
		const struct expiry_entry *e = &l.list[i];
		if (e->own)
			continue;
		json_t *o = json_object();
		struct buf hex;
		buf_init(&hex, 128);
		hex_put(&hex, e->sha256, sizeof e->sha256);
		json_put(o, "domain", slice_str(e->name));
		json_put(o, "protocol", slice_str(e->protocol));
		json_put(o, "subject", slice_str(e->subject));
		json_put(o, "issuer", slice_str(e->issuer));
		json_object_set_new(o, "not_before", certificate_time(e->not_before));
		json_object_set_new(o, "not_after", certificate_time(e->not_after));
		json_object_set_new(o, "remaining", certificate_ratio(e->not_before, e->not_after, now));
		json_put(o, "state", slice_str(plan_expiry_text(plan_expiry(e->not_before, e->not_after, now))));
		json_object_set_new(o, "believed", json_boolean(e->believed));
		json_put(o, "sha256", buf_slice(&hex));
		json_object_set_new(o, "seen", certificate_time(e->seen));
		json_array_append_new(partners, o);
		buf_free(&hex);
	}
	expiry_clear(&l);
}

static void tell(void *arg, const struct expiry_entry *e, enum plan_expiry level)
{
	char end[CLOCK_TEXT];
	struct buf text;
	(void)arg;
	clock_text_at(e->not_after, end);
	buf_init(&text, 2048);
	expiry_text(&text, e, level);
	log_ev(e->own && level >= PLAN_EXPIRY_CRITICAL ? LOG_ERROR : LOG_WARNING, "tls/certificate-expires", {"role", e->own ? S("own") : S("partner")},
	       {"name", slice_str(e->name)}, {"proto", slice_str(e->protocol)}, {"level", slice_str(plan_expiry_text(level))}, {"not_after", slice_str(end)},
	       {"subject", slice_str(e->subject)}, {"text", buf_slice(&text)});
	buf_free(&text);
}

int64_t certificates_watch(struct app *app)
{
	struct expiry_list l = {0};
	certificates_collect(app, &l);
	int64_t next = expiry_look(&app->expiry, &l, clock_unix(), tell, NULL);
	expiry_clear(&l);
	return next;
}
