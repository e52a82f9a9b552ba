/* SPDX-License-Identifier: Apache-2.0 */
/* What the Access Edge does now, as rows for `entente show`. */
#include "app/facts.h"

#include "app/json.h"
#include "app/node_int.h"
#include "base/clock.h"

struct rows {
	json_t *array;
	struct node *node;
};

static void conn_row(void *arg, const struct access_conn_facts *f)
{
	struct rows *r = arg;
	json_t *o = json_object();
	json_put_int(o, "id", f->id);
	json_put_int(o, "worker", r->node->worker->id);
	json_put(o, "direction", f->inbound ? S("in") : S("out"));
	json_put(o, "state", slice_str(f->state));
	json_put(o, "domain", f->domain);
	json_put(o, "host", f->host);
	json_put(o, "address", f->address);
	json_put(o, "subject", f->subject);
	json_put(o, "tls", f->protocol);
	json_put(o, "cipher", f->cipher);
	json_put(o, "revocation", slice_str(f->revocation));
	json_put_int(o, "requests", f->requests);
	json_put_int(o, "age", f->age_ms / 1000);
	json_put_int(o, "idle", f->idle_ms / 1000);
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
	json_put_int(o, "worker", r->node->worker->id);
	json_put(o, "direction", f->transit ? S("through") : f->outward ? S("out") : S("in"));
	json_put(o, "method", f->method);
	json_put(o, "domain", f->domain);
	json_put(o, "state", slice_str(f->state));
	json_put(o, "from", f->from);
	json_put(o, "to", f->to);
	json_put_int(o, "age", f->age_ms / 1000);
	json_array_append_new(r->array, o);
}

void facts_access_transactions(struct node *n, json_t *array)
{
	struct rows r = {array, n};
	if (n->access)
		access_each_leg(n->access, leg_row, &r);
}

static void dialog_row(void *arg, const struct access_dialog_facts *f)
{
	json_t *o = json_object();
	json_put(o, "kind", slice_str(f->kind));
	json_put(o, "direction", f->outward ? S("out") : S("in"));
	json_put(o, "state", slice_str(f->state));
	json_put(o, "local", f->local);
	json_put(o, "remote", f->remote);
	json_put(o, "event", f->event);
	json_put(o, "call_id", f->call_id);
	json_put_int(o, "requests_in", f->requests_in);
	json_put_int(o, "requests_out", f->requests_out);
	json_put_int(o, "age", f->age_ms / 1000);
	json_put_int(o, "idle", f->idle_ms / 1000);
	if (f->left_ms)
		json_put_int(o, "left", f->left_ms / 1000);
	json_array_append_new(arg, o);
}

void facts_access_dialogs(struct node *n, json_t *array)
{
	if (n->worker->id == 0 && n->app->access_shared)
		access_dialogs_each(access_shared_dialogs(n->app->access_shared), n->worker->loop->timers.now, dialog_row, array);
}

static void watch_row(void *arg, const struct access_watch_facts *f)
{
	json_t *o = json_object();
	json_put(o, "subject", f->subject);
	json_put(o, "issuer", f->issuer);
	json_put(o, "serial", f->serial);
	json_put(o, "domains", f->domains);
	json_put(o, "mode", slice_str(f->mode));
	json_put_int(o, "requests", f->requests);
	json_put_int(o, "throttled", f->throttled);
	json_put_int(o, "contacts", f->contacts);
	json_put_int(o, "contacts_refused", f->refused_contacts);
	json_put_int(o, "succeeded", f->succeeded);
	json_put_int(o, "failed", f->failed);
	json_put_int(o, "idle", f->idle_ms / 1000);
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
	json_put(o, key, slice_str(text));
}

static void cert_row(void *arg, const struct access_cert_facts *f)
{
	json_t *o = json_object();
	json_put(o, "state", f->accepted ? S("accepted") : S("rejected"));
	json_put(o, "subject", f->subject);
	json_put(o, "issuer", f->issuer);
	json_put(o, "serial", f->serial);
	json_put(o, "sha256", slice_str(f->sha256));
	json_put(o, "domains", f->domains);
	json_put(o, "direction", f->inbound ? S("in") : S("out"));
	json_put(o, "address", f->address);
	json_put(o, "revocation", slice_str(f->revocation));
	put_time(o, "not_after", f->not_after);
	put_time(o, "first_seen", f->first);
	put_time(o, "last_seen", f->last);
	json_put_int(o, "connections", f->connections);
	json_put(o, "why", f->why);
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
	json_put(o, "url", f->url);
	json_put(o, "issuer", f->issuer);
	json_put(o, "state", slice_str(f->state));
	json_put_int(o, "revoked", f->revoked);
	put_time(o, "this_update", f->this_update);
	put_time(o, "next_update", f->next_update);
	json_put_int(o, "octets", f->octets);
	json_put_int(o, "fetches", f->fetches);
	json_put_int(o, "failures", f->failures);
	json_put(o, "error", f->why);
	json_array_append_new(arg, o);
}

void facts_revocation_lists(struct node *n, json_t *array)
{
	if (n->worker->id == 0 && n->app->revocation)
		revocation_each(n->app->revocation, list_row, array);
}
