/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets of the API, its life, and what the settings must be. */
#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "api/api_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/unix.h"

enum { REST_MS = 200, PER_MINUTE = 3000, AT_ONCE = 600, HANDSHAKES = 20 };

/* ---- settings */

static bool listen_address(const struct config *cfg, struct addr *ret)
{
	return addr_parse(slice_str(cfg->admin_listen), API_PORT, ret) && addr_port(ret);
}

int api_check(const struct config *cfg, struct entente_err *err)
{
	struct addr at;
	int rc = peer_check(&cfg->admin_roles, err);
	if (rc || !*cfg->admin_listen)
		return rc;
	if (!listen_address(cfg, &at))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "admin.listen: '%.60s' is not an address with a port, like 127.0.0.1:%d", cfg->admin_listen, API_PORT);
	if (!cfg->admin_tls && !addr_is_loopback(&at))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "admin.listen: %.60s is no loopback address, so passwords and tokens would pass in clear: set admin.tls to true, or listen on 127.0.0.1",
			       cfg->admin_listen);
	if (cfg->admin_tls && !*cfg->admin_certificate && !*cfg->tls_certificate)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "admin.tls: there is no certificate: set admin.certificate and admin.key, or tls.certificate and tls.key");
	if (!*cfg->admin_certificate != !*cfg->admin_key)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "admin.certificate and admin.key belong together: one of them is missing");
	if (cfg->server_role == CONFIG_EDGE)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "admin.listen: an edge has no database and so no accounts: listen on the gateway, the edge has its unix socket");
	return 0;
}

bool api_socket_path(const struct config *cfg, char *ret, size_t size)
{
	struct slice control = slice_str(cfg->server_control_socket), name = S("control.sock");
	if (*cfg->admin_socket)
		return slice_cstr(slice_str(cfg->admin_socket), ret, size);
	if (slice_ends(control, S("/control.sock")))
		return (size_t)snprintf(ret, size, "%.*sapi.sock", (int)(control.len - name.len), control.p) < size;
	return (size_t)snprintf(ret, size, "%s.api", cfg->server_control_socket) < size; /* several daemons may have theirs in one folder */
}

/* ---- the unix socket */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct api *a = arg;
	struct loop *loop = a->control->loop;
	(void)what;
	loop_touch(loop);
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s >= 0) {
		client_accept(a, s, true, NULL);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		event_del(a->acceptable);
		timer_arm(&loop->timers, &a->rest, REST_MS);
	}
}

static void rest_fired(struct timer *t, uint64_t now)
{
	(void)now;
	event_add(CONTAINER_OF(t, struct api, rest)->acceptable, NULL);
}

static int unix_open(struct api *a, const char *path, struct entente_err *err)
{
	int fd = unix_listen(path, "admin.socket", err);
	if (fd < 0)
		return fd;
	a->fd = fd;
	a->path = mem_strndup(path, strlen(path));
	a->acceptable = event_new(a->control->loop->base, fd, EV_READ | EV_PERSIST, on_accept, a);
	event_add(a->acceptable, NULL);
	return 0;
}

/* ---- TCP */

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	(void)w;
	(void)from;
	client_accept(arg, fd, false, pass);
}

static void refused(void *arg, const struct addr *from, const char *why)
{
	char z[ADDR_TEXT];
	(void)arg;
	addr_host_text(from, z);
	log_ev_limited(LOG_WARNING, "api/connection-refused", slice_str(z), {"address", slice_str(z)}, {"limit", slice_str(why)});
}

/* The context for new connections; the old one stays when that fails. */
static int tls_set(struct api *a, const struct config *cfg, struct entente_err *err)
{
	struct tls_settings s = {.server_chain = cfg->admin_certificate, .server_key = cfg->admin_key, .no_client = true, .alpn = {"http/1.1"}};
	struct tls_material *m = NULL;
	struct tls_ctx *ctx = NULL;
	if (!*cfg->admin_certificate) {
		s.server_chain = cfg->tls_certificate;
		s.server_key = *cfg->tls_key ? cfg->tls_key : NULL;
	}
	s.trust_file = *cfg->tls_trust ? cfg->tls_trust : NULL;
	int rc = tls_material_load(&m, &s, err);
	if (!rc)
		rc = tls_ctx_new(&ctx, m, err);
	tls_material_unref(m);
	if (rc)
		return rc;
	tls_ctx_unref(a->tls);
	a->tls = ctx;
	return 0;
}

static int tcp_open(struct api *a, const struct api_opts *o, struct entente_err *err)
{
	struct gate_limits limits = {.total = API_CLIENTS - 16, .per_source = API_CLIENTS_ADDRESS, .rate_per_minute = PER_MINUTE, .burst = AT_ONCE,
				     .handshakes = HANDSHAKES, .handshakes_per_network = HANDSHAKES};
	struct listener_opts l = {.accepted = accepted, .refused = refused, .arg = a, .kept = LISTENER_KEPT};
	char z[ADDR_TEXT];
	int rc = 0;
	if (!listen_address(o->cfg, &l.addr))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "admin.listen is no address with a port");
	if (o->cfg->admin_tls && (rc = tls_set(a, o->cfg, err)))
		return rc;
	l.gate = a->gate = gate_new(&limits);
	if ((rc = listener_new(&a->listener, a->control->loop, &l, err)))
		return rc;
	addr_text(listener_addr(a->listener), z);
	log_ev(LOG_INFO, "net/listening", {"service", a->tls ? S("api/https") : S("api/http")}, {"address", slice_str(z)});
	return 0;
}

/* ---- life */

void api_identities_changed(struct api *a)
{
	struct entente_err err = {0};
	if (identities_reload(a->who, &err))
		log_ev(LOG_ERROR, "api/accounts-unreadable", {"text", slice_str(err.text)});
	LIST_EACH(n, &a->clients)
		client_recheck(CONTAINER_OF(n, struct client, node));
}

void api_set(struct api *a, const struct config *cfg)
{
	struct entente_err err = {0};
	a->cfg = cfg;
	if (a->tls && tls_set(a, cfg, &err))
		log_ev(LOG_ERROR, "api/certificate", {"text", slice_str(err.text)});
}

int api_open(struct api **ret, const struct api_opts *o, struct entente_err *err)
{
	struct api *a = MEM_NEW(struct api);
	char path[sizeof((struct sockaddr_un *)0)->sun_path];
	int rc = 0;
	a->control = o->control;
	a->admin = o->admin;
	a->cfg = o->cfg;
	a->fd = -1;
	list_init(&a->clients);
	timer_init(&a->rest, rest_fired);
	a->who = identities_new(o->store);
	a->backoff = backoff_new();
	a->hasher = hasher_new(o->control);
	a->feed = feed_new(a);
	if (api_socket_path(o->cfg, path, sizeof path))
		rc = unix_open(a, path, err);
	else if (*o->cfg->admin_socket)
		rc = err_set(err, ENTENTE_EIO, REASON_NONE, "admin.socket is longer than %zu octets", sizeof path - 1);
	else
		log_ev(LOG_WARNING, "api/no-socket", {"text", S("the path beside server.control-socket is too long: set admin.socket")});
	if (!rc && *o->cfg->admin_listen)
		rc = tcp_open(a, o, err);
	if (!rc)
		rc = identities_reload(a->who, err);
	if (rc)
		api_close(a);
	else
		*ret = a;
	return rc;
}

struct api *api_close(struct api *a)
{
	if (!a)
		return NULL;
	a->hasher = hasher_free(a->hasher); /* nobody is told any more */
	LIST_EACH(n, &a->clients)
		client_free(CONTAINER_OF(n, struct client, node));
	timer_cancel(&a->control->loop->timers, &a->rest);
	if (a->acceptable)
		event_free(a->acceptable);
	if (a->fd >= 0)
		unix_close(a->fd, a->path);
	mem_free(a->path);
	free(a->openapi);
	listener_free(a->listener);
	gate_unref(a->gate);
	tls_ctx_unref(a->tls);
	feed_free(a->feed);
	backoff_free(a->backoff);
	identities_free(a->who);
	return mem_free(a);
}
