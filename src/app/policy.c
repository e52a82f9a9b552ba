/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"

#include "base/log.h"
#include "store/store_federation.h"

struct load {
	struct snapshot_builder *b;
};

static int add_partner(void *arg, const struct policy_partner *p)
{
	struct load *l = arg;
	struct entente_err err;
	if (snapshot_builder_partner(l->b, p, &err)) /* a domain became one of ours since: the rest must still work */
		log_ev(LOG_ERROR, "policy/partner-skipped", {"partner", p->domain}, {"text", slice_str(err.text)});
	return 0;
}

static int add_block(void *arg, const struct store_block *x)
{
	struct load *l = arg;
	struct entente_err err;
	if (snapshot_builder_block(l->b, x->domain, &err))
		log_ev(LOG_ERROR, "policy/block-skipped", {"domain", x->domain}, {"text", slice_str(err.text)});
	return 0;
}

static int add_federation(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	struct load *l = arg;
	struct entente_err err = {0};
	if (store_federation_build(l->b, kind, key, fields, &err)) /* closed is the safe side: it lets nobody in */
		log_ev(LOG_ERROR, "policy/federation-skipped", {"kind", slice_str(store_federation_name(kind))}, {"key", key},
		       {"text", slice_str(err.text)});
	return 0;
}

int app_publish(struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct load l = {.b = snapshot_builder_new()};
	int64_t generation = 0;
	config_build_snapshot(l.b, cfg);
	int rc = store_load_policy(app->store, add_partner, add_block, &l, &generation, err);
	if (!rc)
		rc = store_load_federation(app->store, add_federation, &l, err);
	if (rc) {
		snapshot_builder_free(l.b);
		return rc;
	}
	struct snapshot *s = snapshot_builder_freeze(l.b, ++app->generation);
	snapshot_slot_publish(&app->policy, s);
	char n[32], g[32];
	snprintf(n, sizeof n, "%zu", snapshot_partner_count(s));
	snprintf(g, sizeof g, "%llu", (unsigned long long)app->generation);
	log_ev(LOG_INFO, "policy/published", {"generation", slice_str(g)}, {"partners", slice_str(n)});
	snapshot_unref(s);
	return 0;
}
