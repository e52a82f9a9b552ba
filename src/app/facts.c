/* SPDX-License-Identifier: Apache-2.0 */
#include "app/facts.h"
#include "app/dialects.h"
#include "app/health.h"
#include "app/node_int.h"
#include "app/probes.h"
#include "app/json.h"

#include <stdio.h>
#include "app/split.h"
#include "base/clock.h"
#include "base/enc.h"
#include "interwork/address.h"
#include "plan/certificates.h"
#include "xmpp/identity.h"

struct collect {
	json_t *array;
	struct node *node; /* set by the one who runs */
};

/* ---- streams */

static void names(json_t *o, const struct tls_peer *c)
{
	const struct {
		const struct slice *list;
		size_t n;
	} all[] = {{c->dns, c->n_dns}, {c->srv, c->n_srv}, {c->xmpp, c->n_xmpp}};
	json_t *list = json_array();
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < all[k].n && json_array_size(list) < 50; i++)
			json_array_append_new(list, json_stringn(all[k].list[i].p, all[k].list[i].len));
	json_object_set_new(o, "names", list);
}

static void certificate_row(json_t *row, const struct tls_peer *c, const struct xmpp_stream_info *i)
{
	json_t *o;
	char at[CLOCK_TEXT];
	struct buf pin;
	json_put(row, "sni", c->sni);
	json_put(row, "alpn", c->alpn);
	json_object_set_new(row, "resumed", json_boolean(c->resumed));
	if (!c->has_cert)
		return;
	o = json_object();
	clock_text_at(c->not_after, at);
	json_put(o, "subject", c->subject);
	json_put(o, "issuer", c->issuer);
	names(o, c);
	json_put(o, "matched_by", slice_str(xmpp_identity_text(i->identity)));
	json_put(o, "not_after", slice_str(at));
	json_object_set_new(o, "days_left", json_integer((json_int_t)(c->not_after - clock_unix()) / 86400));
	json_object_set_new(o, "trusted", json_boolean(c->chain_ok));
	json_put(o, "why", c->chain_ok ? SLICE_NONE : c->why_not);
	json_put(o, "usage", !c->eku_any_present ? S("any")
			: c->eku_server && c->eku_client ? S("serverAuth, clientAuth")
			: c->eku_server ? S("serverAuth")
			: c->eku_client ? S("clientAuth")
					: S("others only"));
	buf_init(&pin, 128);
	buf_puts(&pin, "sha256//");
	base64_put(&pin, slice_of((const char *)c->spki_sha256, sizeof c->spki_sha256));
	json_put(o, "pin", buf_slice(&pin));
	buf_free(&pin);
	json_object_set_new(row, "certificate", o);
}

static void stream_row(void *arg, const struct xmpp_proxy_facts *f)
{
	struct collect *c = arg;
	const struct xmpp_stream_info *i = f->stream;
	json_t *o = json_object();
	json_put_int(o, "id", f->id);
	json_put_int(o, "worker", c->node->worker->id);
	json_put(o, "direction", f->inbound ? S("in") : S("out"));
	json_put(o, "carries", f->bidi ? S("both") : f->inbound ? S("in") : S("out"));
	json_put(o, "purpose", slice_str(f->purpose));
	json_put(o, "state", slice_str(f->state));
	json_put(o, "local", f->local);
	json_put(o, "remote", f->remote);
	json_put(o, "address", f->address);
	json_put(o, "how", f->how);
	json_put(o, "auth", f->proof);
	json_put(o, "tls", f->tls);
	json_put(o, "cipher", f->cipher);
	if (f->certificate && i)
		certificate_row(o, f->certificate, i);
	json_put_int(o, "stanzas_in", f->stanzas_in);
	json_put_int(o, "stanzas_out", f->stanzas_out);
	if (i) {
		json_put(o, "stream_id", i->id);
		json_put_int(o, "octets_in", f->in_octets);
		json_put_int(o, "octets_out", f->out_octets);
		json_put_int(o, "pairs", i->pairs);
		json_object_set_new(o, "acks", json_boolean(i->acks));
		if (i->peer_max_stanza)
			json_put_int(o, "max_stanza", i->peer_max_stanza);
		if (i->opened)
			json_put_int(o, "opened", (c->node->worker->loop->timers.now - i->opened) / 1000);
		json_put_int(o, "heard", f->heard_ms / 1000);
	}
	json_put_int(o, "age", f->age_ms / 1000);
	json_put_int(o, "queued", f->queued);
	json_put_int(o, "pending", f->pending);
	json_put_int(o, "unacknowledged", f->unacked);
	if (f->retry_ms)
		json_put_int(o, "retry", f->retry_ms / 1000);
	json_put(o, "error", f->last_error);
	json_array_append_new(c->array, o);
}

static void streams(struct node *n, void *arg)
{
	struct collect *c = arg;
	c->node = n;
	if (n->xmpp)
		xmpp_proxy_each(n->xmpp, stream_row, c);
}

/* ---- subscriptions */

static void subscription_row(void *arg, const struct gateway_subscription_facts *f)
{
	struct collect *c = arg;
	json_t *o = json_object();
	json_put(o, "direction", f->to_sip ? S("to-sip") : S("to-xmpp"));
	json_put(o, "watcher", f->watcher);
	json_put(o, "presentity", f->presentity);
	json_put(o, "state", slice_str(f->state));
	json_put_int(o, "dialogs", f->dialogs);
	json_put_int(o, "resources", f->resources);
	json_put(o, "show", f->show);
	json_array_append_new(c->array, o);
}

static void subscriptions(struct node *n, void *arg)
{
	if (n->gateway)
		gateway_each_subscription(n->gateway, subscription_row, arg);
}

/* ---- conversations */

static void conversation_row(void *arg, const struct gateway_conversation_facts *f)
{
	struct collect *c = arg;
	json_t *o = json_object();
	json_put(o, "local", f->local);
	json_put(o, "remote", f->remote);
	json_put(o, "carrier", slice_str(f->carrier));
	json_put(o, "state", slice_str(f->state));
	json_put(o, "dialect", slice_str(f->dialect));
	json_put(o, "resource", f->resource);
	json_put_int(o, "to_xmpp", f->to_xmpp);
	json_put_int(o, "to_sip", f->to_sip);
	json_put_int(o, "failed", f->failed);
	json_put_int(o, "idle", f->idle_ms / 1000);
	json_put_int(o, "queued", f->queued);
	json_array_append_new(c->array, o);
}

static void conversations(struct node *n, void *arg)
{
	if (n->gateway)
		gateway_each_conversation(n->gateway, conversation_row, arg);
}

/* ---- homes: one row each; the worst news of any worker */

static const char *home_word(const char *state)
{
	if (!strcmp(state, "up"))
		return "reachable";
	return !strcmp(state, "down") ? "unreachable" : "unknown";
}

static json_t *home_find(json_t *array, struct slice name)
{
	json_t *row;
	size_t i;
	json_array_foreach(array, i, row)
		if (slice_eq(slice_str(json_string_value(json_object_get(row, "name"))), name))
			return row;
	return NULL;
}

/* The one in use first. */
static void home_addresses(json_t *array, const struct sip_edge_facts *f)
{
	char z[ADDR_TEXT], text[ADDR_TEXT + 32];
	if (f->address.len)
		json_array_append_new(array, admin_json_text(f->address));
	for (size_t i = 0; i < f->places->n; i++) {
		const struct sip_place *x = &f->places->list[i];
		addr_text(&x->addr, z);
		if (slice_eq(slice_str(z), f->address))
			continue;
		snprintf(text, sizeof text, "%s%s", z, sip_place_lately(x, f->now) ? " (failed lately)" : "");
		json_array_append_new(array, admin_json_text(slice_str(text)));
	}
}

/* Control thread. */
static void home_dialect(struct app *app, json_t *row, size_t i)
{
	struct node_home h = {app->config->homes[i].dialect, app->config->homes[i].type,
			      dialects_of(app->dialects, slice_str(app->config->homes[i].name))};
	enum gateway_dialect set = node_home_dialect(&h), learned = (enum gateway_dialect)atomic_load(&h.place->learned);
	json_put(row, "dialect", slice_str(gateway_dialect_name(set ? set : learned ? learned : GATEWAY_DIALECT_SIMPLE)));
	json_put(row, "dialect_from", slice_str(set ? "set" : learned ? "learned" : "assumed"));
}

static void home_row(void *arg, const struct sip_edge_facts *f)
{
	struct collect *c = arg;
	const char *word = home_word(f->state);
	json_t *o = home_find(c->array, f->name);
	if (!o) {
		o = json_object();
		json_put(o, "name", f->name);
		json_put(o, "next_hop", f->next_hop);
		json_object_set_new(o, "domains", json_array());
		json_object_set_new(o, "addresses", json_array());
		json_put(o, "state", slice_str(word));
		json_array_append_new(c->array, o);
	} else if (!strcmp(word, "unreachable") ||
		   (!strcmp(word, "reachable") && !strcmp(json_string_value(json_object_get(o, "state")), "unknown"))) {
		json_put(o, "state", slice_str(word));
	}
	if (!json_array_size(json_object_get(o, "addresses")))
		home_addresses(json_object_get(o, "addresses"), f);
	json_put(o, "error", f->error);
}

static void homes(struct node *n, void *arg)
{
	if (n->sip)
		sip_edge_each_home(n->sip, home_row, arg);
}

/* ---- links between edge and gateway */

static void link_row(void *arg, const struct split_facts *f)
{
	struct collect *c = arg;
	json_t *o = json_object();
	json_put(o, "peer", f->peer);
	json_put_int(o, "worker", c->node->worker->id);
	json_put(o, "state", slice_str(f->state));
	json_put(o, "address", slice_str(f->address));
	json_put(o, "version", f->software);
	json_put_int(o, "stanzas_in", f->stanzas);
	json_put_int(o, "stanzas_out", f->sends);
	json_put_int(o, "queued", f->waiting);
	json_put_int(o, "unanswered", f->under_way);
	json_put_int(o, "age", f->age_ms / 1000);
	json_put(o, "error", slice_str(f->error));
	json_array_append_new(c->array, o);
}

static void links(struct node *n, void *arg)
{
	struct collect *c = arg;
	c->node = n;
	if (n->edge)
		edge_node_each(n->edge, link_row, c);
	if (n->remote)
		gw_node_each(n->remote, link_row, c);
}

/* ---- the Access Edge */

static void access_connections(struct node *n, void *arg)
{
	facts_access_connections(n, ((struct collect *)arg)->array);
}

static void access_transactions(struct node *n, void *arg)
{
	facts_access_transactions(n, ((struct collect *)arg)->array);
}

static void access_dialogs(struct node *n, void *arg)
{
	facts_access_dialogs(n, ((struct collect *)arg)->array);
}

static void access_watch(struct node *n, void *arg)
{
	facts_access_watch(n, ((struct collect *)arg)->array);
}

static void access_certificates(struct node *n, void *arg)
{
	facts_access_certificates(n, ((struct collect *)arg)->array);
}

static void revocation_lists(struct node *n, void *arg)
{
	facts_revocation_lists(n, ((struct collect *)arg)->array);
}

int facts_show(struct app *app, enum admin_show what, json_t *array, struct entente_err *err)
{
	static void (*const fn[])(struct node *, void *) = {
		[ADMIN_STREAMS] = streams,
		[ADMIN_SUBSCRIPTIONS] = subscriptions,
		[ADMIN_CONVERSATIONS] = conversations,
		[ADMIN_HOMES] = homes,
		[ADMIN_LINKS] = links,
		[ADMIN_SIP_CONNECTIONS] = access_connections,
		[ADMIN_SIP_TRANSACTIONS] = access_transactions,
		[ADMIN_SIP_DIALOGS] = access_dialogs,
		[ADMIN_WATCH_LIST] = access_watch,
		[ADMIN_SIP_CERTIFICATES] = access_certificates,
		[ADMIN_REVOCATION_LISTS] = revocation_lists,
	};
	struct collect c = {.array = array};
	if (what == ADMIN_PROBES) {
		probes_rows(app->probes, array);
		return 0;
	}
	if (!nodes_call(app, fn[what], &c))
		return err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "a worker did not answer within 5 s");
	for (size_t i = 0; what == ADMIN_HOMES && app->role != CONFIG_EDGE && i < app->config->n_homes; i++) {
		json_t *row = home_find(array, slice_str(app->config->homes[i].name));
		for (size_t k = 0; row && k < app->config->homes[i].domains.n; k++)
			json_array_append_new(json_object_get(row, "domains"),
					      json_string(app->config->homes[i].domains.items[k]));
		if (row)
			home_dialect(app, row, i);
	}
	return 0;
}

/* ---- status */

static void certificate(struct app *app, json_t *object)
{
	const struct tls_peer *f = app->tls ? tls_material_facts(app->tls, TLS_SLOT_SERVER) : NULL;
	if (!f)
		return;
	json_t *o = json_object(), *names = json_array();
	json_put(o, "subject", f->subject);
	for (size_t i = 0; i < f->n_dns; i++)
		json_array_append_new(names, admin_json_text(f->dns[i]));
	json_object_set_new(o, "names", names);
	json_object_set_new(o, "not_after", json_integer(f->not_after));
	json_object_set_new(object, "certificate", o);
}

static void listeners(struct app *app, json_t *object)
{
	static const char *const transport[] = {"udp", "tcp", "tls"};
	json_t *a = json_array();
	const struct config *c = app->config;
	for (size_t i = 0; app->role == CONFIG_EDGE && i < c->n_link_listen; i++)
		json_array_append_new(a, json_sprintf("link %s:%u", c->link_listen[i].address, (unsigned)c->link_listen[i].port));
	for (size_t i = 0; app->serving && i < c->n_xmpp_listen; i++)
		json_array_append_new(a, json_sprintf("xmpp%s %s:%u", c->xmpp_listen[i].tls == CONFIG_DIRECT ? "/direct" : "",
						      c->xmpp_listen[i].address, (unsigned)c->xmpp_listen[i].port));
	for (size_t i = 0; app->role != CONFIG_EDGE && i < c->n_sip_listen; i++)
		json_array_append_new(a, json_sprintf("sip/%s %s:%u", transport[c->sip_listen[i].transport],
						      c->sip_listen[i].address, (unsigned)c->sip_listen[i].port));
	for (size_t i = 0; app->role != CONFIG_EDGE && i < c->n_msrp_listen; i++)
		json_array_append_new(a, json_sprintf("msrp/%s %s:%u", transport[1 + c->msrp_listen[i].transport], c->msrp_listen[i].address,
						      (unsigned)c->msrp_listen[i].port));
	for (size_t i = 0; i < c->n_sip_external_listen; i++)
		json_array_append_new(a, json_sprintf("sip/partners %s:%u", c->sip_external_listen[i].address,
						      (unsigned)c->sip_external_listen[i].port));
	json_object_set_new(object, "listeners", a);
}

/* "3 of 3 up", and what is wrong where not all are. */
static void link_state(struct app *app, json_t *object, json_t *problems)
{
	json_t *rows, *row;
	struct entente_err err;
	size_t i, up = 0, all = 0;
	const char *error = NULL;
	if (!app->split)
		return;
	rows = json_array();
	if (facts_show(app, ADMIN_LINKS, rows, &err))
		json_array_append_new(problems, json_string(err.text));
	json_array_foreach(rows, i, row) {
		all++;
		if (!strcmp(json_string_value(json_object_get(row, "state")), "up"))
			up++;
		else if (json_object_get(row, "error"))
			error = json_string_value(json_object_get(row, "error"));
	}
	if (app->role == CONFIG_EDGE)
		json_object_set_new(object, "links", up ? json_sprintf("%zu with the gateway", up) : json_string("none: the gateway is not there"));
	else
		json_object_set_new(object, "links", json_sprintf("%zu of %zu with edges", up, all));
	if (app->role == CONFIG_EDGE && !edge_has_policy(app))
		json_array_append_new(problems, json_string("the gateway has not connected since the start: partners are not served before it does"));
	else if (app->role == CONFIG_EDGE && !up)
		json_array_append_new(problems, json_string("the gateway is not connected: what partners send waits, then it is refused"));
	else if (app->role == CONFIG_EDGE && !app->serving)
		json_array_append_new(problems, json_string("the listeners for partners could not be opened: the log says why"));
	else if (app->role == CONFIG_GATEWAY && up < all)
		json_array_append_new(problems, json_sprintf("%zu of %zu links to edges are down: %s", all - up, all, error ? error : "see `entente show links`"));
	json_decref(rows);
}

/* Of the checks of readiness: what the problems before tell with more detail. */
static bool told_already(const char *check)
{
	static const char *const names[] = {"store", "links", "certificate", "homes"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_eq(slice_str(check), slice_str(names[i])))
			return true;
	return false;
}

static void sandbox(const struct app *app, json_t *object)
{
	const struct sandbox_level *l = &app->sandbox;
	char text[200];
	json_object_set_new(object, "sandbox", json_pack("{s:s s:s s:s s:b s:b s:b s:b s:b s:i}", "state", !l->built ? "none" : l->entered ? "on" : "off",
							 "text", sandbox_level_text(l, text, sizeof text), "lacks", l->built ? l->why : "", "syscalls", l->syscalls,
							 "files", l->files, "keys", l->hidden, "ports", l->ports, "signals", l->scoped, "landlock", l->landlock));
}

void facts_status(struct app *app, json_t *object)
{
	json_t *problems = json_array(), *rows = json_array(), *row;
	struct entente_err err;
	size_t i;
	json_object_set_new(object, "server_name", json_string(app->config->server_name));
	json_object_set_new(object, "state", json_string(app->stopping ? "draining" : "running"));
	json_put_int(object, "uptime", (clock_ms() - app->started_ms) / 1000);
	json_put_int(object, "workers", pool_workers(app->pool));
	listeners(app, object);
	json_object_set_new(object, "role", json_string(app_role_name(app)));
	sandbox(app, object);
	if (app->store) {
		bool failing = store_flush(app->store);
		json_object_set_new(object, "store", json_string(failing ? "failing: the database cannot be written" : "ok"));
		if (failing)
			json_array_append_new(problems, json_string("the database cannot be written: is the disk full?"));
	}
	link_state(app, object, problems);
	certificate(app, object);
	keys_facts(app, object);
	struct expiry_list certificates = {0};
	certificates_collect(app, &certificates);
	expiry_problems(problems, &certificates, clock_unix());
	expiry_clear(&certificates);
	if (facts_show(app, ADMIN_HOMES, rows, &err))
		json_array_append_new(problems, json_string(err.text));
	json_array_foreach(rows, i, row) if (!strcmp(json_string_value(json_object_get(row, "state")), "unreachable"))
		json_array_append_new(problems, json_sprintf("home %s cannot be reached: %s",
							     json_string_value(json_object_get(row, "name")),
							     json_string_value(json_object_get(row, "error"))
								     ? json_string_value(json_object_get(row, "error"))
								     : ""));
	json_decref(rows);
	probes_problems(app->probes, problems);
	rows = json_array();
	bool ready = health_ready(app, rows);
	json_object_set_new(object, "ready", json_boolean(ready));
	json_object_set_new(object, "checks", rows);
	json_array_foreach(rows, i, row) if (!ready && !json_is_true(json_object_get(row, "ok")) && !told_already(json_string_value(json_object_get(row, "check"))))
		json_array_append_new(problems, json_sprintf("not ready: %s", json_string_value(json_object_get(row, "text"))));
	json_object_set_new(object, "problems", problems);
}

/* ---- addresses */

int facts_address(struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err)
{
	struct arena *a = arena_new(1 << 18);
	struct xmpp_jid j;
	struct slice bare = text;
	bool sip = slice_istarts(text, S("sip:")) || slice_istarts(text, S("sips:")) || slice_istarts(text, S("im:")) ||
		   slice_istarts(text, S("pres:"));
	int rc;
	if (slice_istarts(text, S("xmpp:")))
		bare = slice_skip(text, 5);
	rc = sip ? interwork_uri_to_jid(&j, a, text, err) : xmpp_jid_parse(&j, a, bare);
	if (rc && !sip)
		err_set(err, rc, REASON_ADDRESS_MALFORMED, "%.*s is not an XMPP address", SFMT(slice_first(text, 100)));
	if (!rc) {
		struct slice domain = j.domain;
		xmpp_domain_ascii(a, j.domain, &domain);
		int n = snprintf(ret_jid, size, "%.*s%s%.*s", SFMT(j.local), j.local.len ? "@" : "", SFMT(domain));
		if (n < 0 || (size_t)n >= size)
			rc = err_set(err, ENTENTE_ELIMIT, REASON_ADDRESS_TOO_LONG, "the address is too long");
		else
			*ret_is_sip = sip;
	}
	arena_release(NULL, a);
	return rc;
}
