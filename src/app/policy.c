/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"

#include <jansson.h>
#include "admin/admin.h"
#include "base/log.h"
#include "store/store_federation.h"

struct load {
	struct snapshot_builder *b;
	json_t *findings; /* what is left out is told here, and not logged */
	bool quiet;
};

/* A domain became one of ours since, or a value is not known: the rest must still work, and closed is the safe side. */
static void left_out(struct load *l, const char *event, const char *kind, struct slice key, const struct entente_err *err)
{
	if (!l->quiet)
		log_ev(LOG_ERROR, event, {"kind", slice_str(kind)}, {"key", key}, {"text", slice_str(err->text)});
	if (l->findings)
		json_array_append_new(l->findings, json_pack("{s:s s:o s:o}", "kind", kind, "key", admin_json_text(key), "text", admin_json_text(slice_str(err->text))));
}

static int add_partner(void *arg, const struct policy_partner *p)
{
	struct load *l = arg;
	struct entente_err err;
	if (snapshot_builder_partner(l->b, p, &err))
		left_out(l, "policy/partner-skipped", "xmpp-partner", p->domain, &err);
	return 0;
}

static int add_block(void *arg, const struct store_block *x)
{
	struct load *l = arg;
	struct entente_err err;
	if (snapshot_builder_block(l->b, x->domain, &err))
		left_out(l, "policy/block-skipped", "blocked-domain", x->domain, &err);
	return 0;
}

static int add_federation(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	struct load *l = arg;
	struct entente_err err = {0};
	if (store_federation_build(l->b, kind, key, fields, &err))
		left_out(l, "policy/federation-skipped", store_federation_name(kind), key, &err);
	return 0;
}

/* A builder with everything in it; NULL with err. */
static struct snapshot_builder *collect(struct load *l, struct store *store, const struct config *cfg, struct entente_err *err)
{
	int64_t generation = 0;
	l->b = snapshot_builder_new();
	config_build_snapshot(l->b, cfg);
	if (store_load_policy(store, add_partner, add_block, l, &generation, err) || store_load_federation(store, add_federation, l, err))
		l->b = snapshot_builder_free(l->b);
	return l->b;
}

int app_build(struct app *app, struct store *store, const struct config *cfg, struct snapshot **ret, json_t *findings, struct entente_err *err)
{
	struct load l = {.quiet = true, .findings = findings};
	if (!collect(&l, store, cfg, err))
		return err->code ? err->code : ENTENTE_ESTORE;
	*ret = snapshot_builder_freeze(l.b, app->generation + 1);
	return 0;
}

int app_publish(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct load l = {.quiet = false};
	if (!collect(&l, app->store, cfg, err))
		return err->code ? err->code : ENTENTE_ESTORE;
	struct snapshot *s = snapshot_builder_freeze(l.b, ++app->generation);
	snapshot_slot_publish(&app->policy, s);
	char n[32], g[32];
	snprintf(n, sizeof n, "%zu", snapshot_partner_count(s));
	snprintf(g, sizeof g, "%llu", (unsigned long long)app->generation);
	log_ev(LOG_INFO, "policy/published", {"generation", slice_str(g)}, {"partners", slice_str(n)});
	snapshot_unref(s);
	return 0;
}
