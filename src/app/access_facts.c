/* SPDX-License-Identifier: Apache-2.0 */
/* What the Access Edge does now, as rows for `entente show`. */
#include "app/facts.h"

#include "app/node_int.h"
#include "base/clock.h"

static void put(json_t *o, const char *key, struct slice s)
{
	if (s.len)
		json_object_set_new(o, key, json_stringn_nocheck(s.p, s.len));
}

static void put_int(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

struct rows {
	json_t *array;
	struct node *node;
};

static void conn_row(void *arg, const struct access_conn_facts *f)
{
	struct rows *r = arg;
	json_t *o = json_object();
	put_int(o, "id", f->id);
	put_int(o, "worker", r->node->worker->id);
	put(o, "direction", f->inbound ? S("in") : S("out"));
	put(o, "state", slice_str(f->state));
	put(o, "domain", f->domain);
	put(o, "host", f->host);
	put(o, "address", f->address);
	put(o, "subject", f->subject);
	put(o, "tls", f->protocol);
	put(o, "cipher", f->cipher);
	put(o, "revocation", slice_str(f->revocation));
	put_int(o, "requests", f->requests);
	put_int(o, "age", f->age_ms / 1000);
	put_int(o, "idle", f->idle_ms / 1000);
	json_array_append_new(r->array, o);
}

void facts_access_connections(struct node *n, json_t *array)
{
	struct rows r = {array, n};
	if (n->access)
		access_each_conn(n->access, conn_row, &r);
}

static void leg_row(void *arg, const struct access_leg_facts *f)
{
	struct rows *r = arg;
	json_t *o = json_object();
	put_int(o, "worker", r->node->worker->id);
	put(o, "direction", f->outward ? S("out") : S("in"));
	put(o, "method", f->method);
	put(o, "state", slice_str(f->state));
	put(o, "from", f->from);
	put(o, "to", f->to);
	put_int(o, "age", f->age_ms / 1000);
	json_array_append_new(r->array, o);
}

void facts_access_transactions(struct node *n, json_t *array)
{
	struct rows r = {array, n};
	if (n->access)
		access_each_leg(n->access, leg_row, &r);
}

static void watch_row(void *arg, const struct access_watch_facts *f)
{
	json_t *o = json_object();
	put(o, "subject", f->subject);
	put(o, "issuer", f->issuer);
	put(o, "serial", f->serial);
	put(o, "domains", f->domains);
	put(o, "mode", slice_str(f->mode));
	put_int(o, "requests", f->requests);
	put_int(o, "throttled", f->throttled);
	put_int(o, "contacts", f->contacts);
	put_int(o, "contacts_refused", f->refused_contacts);
	put_int(o, "succeeded", f->succeeded);
	put_int(o, "failed", f->failed);
	put_int(o, "idle", f->idle_ms / 1000);
	json_array_append_new(arg, o);
}

void facts_access_watch(struct node *n, json_t *array)
{
	if (n->worker->id == 0 && n->app->access_shared)
		access_watch_each(n->app->access_shared, clock_ms(), watch_row, array);
}

static void put_time(json_t *o, const char *key, int64_t at)
{
	char text[CLOCK_TEXT];
	if (!at)
		return;
	clock_text_at(at, text);
	put(o, key, slice_str(text));
}

static void cert_row(void *arg, const struct access_cert_facts *f)
{
	json_t *o = json_object();
	put(o, "state", f->accepted ? S("accepted") : S("rejected"));
	put(o, "subject", f->subject);
	put(o, "issuer", f->issuer);
	put(o, "serial", f->serial);
	put(o, "sha256", slice_str(f->sha256));
	put(o, "domains", f->domains);
	put(o, "direction", f->inbound ? S("in") : S("out"));
	put(o, "address", f->address);
	put(o, "revocation", slice_str(f->revocation));
	put_time(o, "not_after", f->not_after);
	put_time(o, "first_seen", f->first);
	put_time(o, "last_seen", f->last);
	put_int(o, "connections", f->connections);
	put(o, "why", f->why);
	json_array_append_new(arg, o);
}

void facts_access_certificates(struct node *n, json_t *array)
{
	if (n->worker->id == 0 && n->app->access_certs)
		access_certs_each(n->app->access_certs, cert_row, array);
}

static void list_row(void *arg, const struct revocation_facts *f)
{
	json_t *o = json_object();
	put(o, "url", f->url);
	put(o, "issuer", f->issuer);
	put(o, "state", slice_str(f->state));
	put_int(o, "revoked", f->revoked);
	put_time(o, "this_update", f->this_update);
	put_time(o, "next_update", f->next_update);
	put_int(o, "octets", f->octets);
	put_int(o, "fetches", f->fetches);
	put_int(o, "failures", f->failures);
	put(o, "error", f->why);
	json_array_append_new(arg, o);
}

void facts_revocation_lists(struct node *n, json_t *array)
{
	if (n->worker->id == 0 && n->app->revocation)
		revocation_each(n->app->revocation, list_row, array);
}
