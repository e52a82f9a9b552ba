/* SPDX-License-Identifier: Apache-2.0 */
/* MSRP on a worker: between the edge's connections and the gateway's sessions. */
#include <stdio.h>
#include "app/node_int.h"
#include "base/mem.h"
#include "msrp/session.h"

/* ---- the edge's */

static void edge_input(void *arg, uint64_t line, struct slice session, struct slice tid, const struct msrp_piece *p)
{
	struct node *n = arg;
	gateway_msrp_input(n->gateway, line, session, tid, p);
}

static void edge_up(void *arg, uint64_t line)
{
	struct node *n = arg;
	gateway_msrp_up(n->gateway, line);
}

static void edge_writable(void *arg, uint64_t line)
{
	struct node *n = arg;
	gateway_msrp_writable(n->gateway, line);
}

static void edge_lost(void *arg, uint64_t line, const struct entente_err *why)
{
	struct node *n = arg;
	(void)why; /* the edge has said it */
	gateway_msrp_lost(n->gateway, line);
}

static struct msrp_edge *edge_of(struct worker *w)
{
	struct node *n = w->state;
	return n ? n->msrp : NULL;
}

static size_t owner(void *arg, struct slice session)
{
	struct node *n = arg;
	size_t w = msrp_id_worker(session);
	return w < pool_workers(n->app->pool) ? w : SIZE_MAX;
}

static const struct msrp_edge_ops edge_ops = {.input = edge_input, .up = edge_up, .writable = edge_writable, .lost = edge_lost, .edge = edge_of,
					      .owner = owner};

/* ---- the gateway's */

bool node_msrp_place(void *arg, uint32_t home, bool tls, struct gateway_msrp_place *ret)
{
	struct node *n = arg;
	const struct app_msrp_place *p = &n->app->msrp_places[tls];
	(void)home;
	if (!p->port)
		return false;
	*ret = (struct gateway_msrp_place){.authority = slice_str(p->authority), .address = slice_str(p->address), .port = p->port, .worker = n->worker->id};
	return true;
}

uint64_t node_msrp_connect(void *arg, const struct msrp_uri *to, struct slice fingerprint)
{
	struct node *n = arg;
	return msrp_edge_connect(n->msrp, to, fingerprint);
}

bool node_msrp_write(void *arg, uint64_t line, struct slice octets)
{
	struct node *n = arg;
	return !n->msrp || msrp_edge_write(n->msrp, line, octets);
}

void node_msrp_close(void *arg, uint64_t line)
{
	struct node *n = arg;
	if (n->msrp)
		msrp_edge_close(n->msrp, line);
}

/* ---- life */

static int clients(struct msrp_edge *e, const struct config *cfg, struct entente_err *err)
{
	struct slice *list = mem_calloc(cfg->msrp_clients.n + 1, sizeof *list);
	for (size_t i = 0; i < cfg->msrp_clients.n; i++)
		list[i] = slice_str(cfg->msrp_clients.items[i]);
	int rc = msrp_edge_set_clients(e, list, cfg->msrp_clients.n, err);
	mem_free(list);
	return rc;
}

int app_msrp_check(const struct config *cfg, struct entente_err *err)
{
	for (size_t i = 0; i < cfg->n_msrp_listen; i++)
		if (cfg->msrp_listen[i].transport == CONFIG_MSRP_TLS && !*cfg->tls_certificate)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "msrp.listen has a TLS listener but tls.certificate is not set");
	if (slice_find_chr(slice_str(cfg->msrp_name), '/') >= 0 || slice_find_chr(slice_str(cfg->msrp_name), ' ') >= 0 || strlen(cfg->msrp_name) > 250)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "msrp.name is no name or IP address: %.200s", cfg->msrp_name);
	return clients(NULL, cfg, err);
}

void app_msrp_place(struct app *app, const struct config *cfg, bool tls, const struct addr *bound)
{
	struct app_msrp_place *p = &app->msrp_places[tls];
	char z[ADDR_TEXT];
	bool v6;
	if (p->port) /* the first listener counts */
		return;
	addr_host_text(bound, z);
	snprintf(p->address, sizeof p->address, "%.250s", *cfg->msrp_name ? cfg->msrp_name : tls || addr_is_any(bound) ? cfg->server_name : z);
	v6 = slice_find_chr(slice_str(p->address), ':') >= 0;
	p->port = addr_port(bound);
	snprintf(p->authority, sizeof p->authority, v6 ? "[%s]:%u" : "%s:%u", p->address, p->port);
}

void node_msrp_make(struct node *n, const struct config *cfg)
{
	struct msrp_edge_config c = {.worker = n->worker, .dns = n->app->dns, .sip = n->sip, .connect_ms = (uint32_t)cfg->timers_connect};
	struct entente_err err;
	n->msrp = msrp_edge_new(&c, &edge_ops, n);
	msrp_edge_set_tls(n->msrp, n->tls);
	clients(n->msrp, cfg, &err); /* checked before */
}

void node_msrp_set(struct node *n, const struct config *cfg)
{
	struct entente_err err;
	if (n->msrp)
		clients(n->msrp, cfg, &err);
}

void node_accept_msrp_tcp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	msrp_edge_accept(node_of(app, w)->msrp, fd, false, pass);
}

void node_accept_msrp_tls(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct app *app = arg;
	(void)from;
	msrp_edge_accept(node_of(app, w)->msrp, fd, true, pass);
}
