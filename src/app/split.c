/* SPDX-License-Identifier: Apache-2.0 */
/* What both halves of a split have: identity, certificate, names, sizes. */
#include "app/split.h"

#include "app/split_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

int split_load_tls(struct tls_material **ret, const struct config *cfg, struct entente_err *err)
{
	struct tls_settings s;
	bool own = *cfg->link_certificate;
	const char *trust = *cfg->link_trust ? cfg->link_trust : *cfg->tls_trust ? cfg->tls_trust : NULL;
	link_wire_tls(&s, own ? cfg->link_certificate : cfg->tls_certificate, own ? cfg->link_key : cfg->tls_key, trust);
	*ret = NULL;
	return cfg->server_role == CONFIG_ALL ? 0 : tls_material_load(ret, &s, err);
}

struct tls_material *split_tls(const struct app *app)
{
	return app->split->tls;
}

void split_set_tls(struct app *app, struct tls_material *m)
{
	tls_material_unref(app->split->tls);
	app->split->tls = m;
}

int split_context(struct app *app, struct tls_ctx **ret, struct entente_err *err)
{
	return tls_ctx_new(ret, app->split->tls, err);
}

void split_hello(const struct app *app, const struct worker *w, struct link_hello *ret)
{
	bool gateway = app->role == CONFIG_GATEWAY;
	*ret = (struct link_hello){.version = LINK_VERSION,
				   .role = gateway ? LINK_GATEWAY : LINK_EDGE,
				   .worker = (uint16_t)(gateway ? w->id : 0),
				   .workers = (uint16_t)(gateway ? pool_workers(w->pool) : 1),
				   .software = S(ENTENTE_VERSION),
				   .name = slice_str(app->split->name)};
	memcpy(ret->instance, app->split->instance, LINK_INSTANCE);
}

const struct slice *split_names(const struct app *app, size_t *ret_n)
{
	*ret_n = app->split->n_names;
	return app->split->names;
}

void split_outbox_config(const struct config *cfg, bool gateway, unsigned workers, struct link_outbox_config *ret)
{
	enum { MAX_WAIT_MS = 25000 }; /* below the 32 s of a SIP transaction: its sender must still hear of it */
	size_t times = gateway ? SPLIT_ALL_PARTNERS : 1;
	*ret = (struct link_outbox_config){
		.wait_ms = (uint32_t)(cfg->timers_queue < MAX_WAIT_MS ? cfg->timers_queue : MAX_WAIT_MS),
		.waiting = times * cfg->limits_queue_messages,
		.waiting_octets = times * cfg->limits_queue_size,
		.window = gateway ? SPLIT_WINDOW : SPLIT_WINDOW / workers + 1,
		.window_octets = gateway ? SPLIT_WINDOW_OCTETS : SPLIT_WINDOW_OCTETS / workers + 1,
	};
}

static void add_name(struct split_app *s, struct slice name)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (slice_ieq(s->names[i], name))
			return;
	if (s->n_names < LINK_NAMES_MAX)
		s->names[s->n_names++] = slice_of(mem_strndup(name.p, name.len), name.len);
}

int split_new(struct split_app **ret, struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct split_app *s;
	struct addr literal;
	if (app->role == CONFIG_ALL)
		return 0;
	s = MEM_NEW(struct split_app);
	rand_bytes(s->instance, sizeof s->instance);
	pthread_mutex_init(&s->hub.lock, NULL);
	s->name = mem_strndup(cfg->server_name, strlen(cfg->server_name));
	for (size_t i = 0; i < cfg->link_peers.n; i++)
		add_name(s, slice_str(cfg->link_peers.items[i]));
	for (size_t i = 0; !cfg->link_peers.n && i < cfg->link_edges.n; i++) {
		struct slice host;
		uint16_t port;
		if (config_edge_split(slice_str(cfg->link_edges.items[i]), &host, &port) && !addr_parse(host, port, &literal))
			add_name(s, host);
	}
	int rc = split_load_tls(&s->tls, cfg, err);
	if (rc) {
		split_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

struct split_app *split_free(struct split_app *s)
{
	if (!s)
		return NULL;
	tls_material_unref(s->tls);
	for (size_t i = 0; i < s->n_names; i++)
		mem_free((void *)(uintptr_t)s->names[i].p);
	pthread_mutex_destroy(&s->hub.lock);
	explicit_bzero(s->hub.secret, sizeof s->hub.secret);
	mem_free(s->name);
	return mem_free(s);
}
