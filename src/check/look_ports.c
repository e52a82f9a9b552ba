/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of this machine, and what comes of connecting to our public names. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "check/looking.h"
#include "setup/machine.h"

enum { PROBES_MAX = 64, CONNECT_MS = 5000, TALK_MS = 10000 };

/* ---- listeners */

static void listener(struct check_looking *x, const char *setting, struct slice address, uint64_t port, bool udp, bool outside)
{
	struct check_ports *p = &x->f->ports;
	struct check_listener *l = &p->listeners[p->n_listeners];
	char text[ADDR_TEXT], own[32];
	if (!port || !addr_parse(address, (uint16_t)port, &l->addr))
		return;
	p->n_listeners++;
	l->setting = setting;
	l->transport = udp ? S("udp") : S("tcp");
	l->outside = outside;
	addr_set_port(&l->addr, (uint16_t)port);
	addr_host_text(&l->addr, text);
	struct setup_port look = {.address = text, .port = (uint16_t)port, .udp = udp};
	setup_port_look(&look);
	snprintf(own, sizeof own, "(process %d)", x->f->live.pid);
	if (!look.taken)
		l->bound = CHECK_UNBOUND;
	else if (!*look.holder)
		l->bound = CHECK_BOUND_UNKNOWN;
	else
		l->bound = slice_ends(slice_str(look.holder), slice_str(own)) || (x->f->live.pid < 0 && slice_starts(slice_str(look.holder), S("entented")))
				   ? CHECK_BOUND_OURS : CHECK_BOUND_OTHER;
	l->holder = arena_dup(x->a, slice_str(look.holder));
}

/* "127.0.0.1:9464" */
static void listener_text(struct check_looking *x, const char *setting, const char *text)
{
	struct addr a;
	char host[ADDR_TEXT];
	if (!*text || !addr_parse(slice_str(text), 0, &a) || !addr_port(&a))
		return;
	addr_host_text(&a, host);
	listener(x, setting, slice_str(host), addr_port(&a), false, false);
}

void check_look_listeners(struct check_looking *x)
{
	struct check_ports *p = &x->f->ports;
	const struct config *g = x->f->config;
	if (!g || p->have)
		return;
	p->have = true;
	p->listeners = arena_alloc(x->a, (g->n_sip_listen + g->n_sip_external_listen + g->n_xmpp_listen + g->n_link_listen + 2) * sizeof *p->listeners);
	if (!p->listeners)
		return;
	for (size_t i = 0; i < g->n_xmpp_listen && g->server_role != CONFIG_GATEWAY; i++)
		listener(x, "xmpp.listen", slice_str(g->xmpp_listen[i].address), g->xmpp_listen[i].port, false, true);
	for (size_t i = 0; i < g->n_sip_external_listen; i++)
		listener(x, "sip.external-listen", slice_str(g->sip_external_listen[i].address), g->sip_external_listen[i].port, false, true);
	for (size_t i = 0; i < g->n_sip_listen && g->server_role != CONFIG_EDGE; i++)
		listener(x, "sip.listen", slice_str(g->sip_listen[i].address), g->sip_listen[i].port, g->sip_listen[i].transport == CONFIG_UDP, false);
	for (size_t i = 0; i < g->n_link_listen && g->server_role == CONFIG_EDGE; i++)
		listener(x, "link.listen", slice_str(g->link_listen[i].address), g->link_listen[i].port, false, false);
	listener_text(x, "metrics.listen", g->metrics_listen);
	listener_text(x, "admin.listen", g->admin_listen);
}

/* ---- one connection, on a thread of its own */

struct probe {
	pthread_t thread;
	bool started;
	char sni[DNS_NAME_MAX + 1]; /* whom the stream is for */
	struct check_probe *p;
	char why[256], protocol[16];
	uint64_t end;
};

static int left(const struct probe *t)
{
	uint64_t now = clock_ms();
	return now < t->end ? (int)(t->end - now) : 0;
}

static bool wait_for(struct probe *t, int fd, short what)
{
	struct pollfd p = {.fd = fd, .events = what};
	return poll(&p, 1, left(t)) == 1;
}

static int call(struct probe *t)
{
	struct check_probe *p = t->p;
	int fd = socket(p->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	socklen_t len = sizeof error;
	t->end = clock_ms() + CONNECT_MS;
	if (fd < 0) {
		p->reach = CHECK_LOCAL_FAULT;
		return -1;
	}
	if (connect(fd, &p->addr.sa, addr_len(&p->addr)))
		error = errno;
	if (error == EINPROGRESS && !wait_for(t, fd, POLLOUT))
		error = ETIMEDOUT;
	else if (error == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (!error) {
		p->reach = CHECK_REACHED;
		return fd;
	}
	p->reach = error == ECONNREFUSED ? CHECK_REFUSED : error == ETIMEDOUT ? CHECK_SILENT : error == ENETUNREACH && addr_is_v6(&p->addr) && !p->here ? CHECK_LOCAL_FAULT
													     : CHECK_NO_ROUTE;
	snprintf(t->why, sizeof t->why, "%s", error == ETIMEDOUT ? "no answer within 5 s" : strerror(error));
	close(fd);
	return -1;
}

/* What XMPP says before TLS (RFC 6120 5.4.2), as little as will do. */
static bool hear(struct probe *t, int fd, const char *until)
{
	char b[8192];
	size_t n = 0;
	while (n < sizeof b - 1 && wait_for(t, fd, POLLIN)) {
		ssize_t got = recv(fd, b + n, sizeof b - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		b[n] = 0;
		if (strstr(b, until))
			return true;
	}
	return false;
}

static bool starttls(struct probe *t, int fd)
{
	char hello[600];
	int n = snprintf(hello, sizeof hello, "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
			 "to='%s' version='1.0'>", t->sni);
	static const char ask[] = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
	bool ok = send(fd, hello, (size_t)n, MSG_NOSIGNAL) == n && hear(t, fd, "<starttls") &&
		  send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) == sizeof ask - 1 && hear(t, fd, "<proceed");
	if (!ok)
		snprintf(t->why, sizeof t->why, "no XMPP server that offers STARTTLS for %.150s answers", t->sni);
	return ok;
}

static void shake(struct probe *t, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	int r = -1;
	if (ctx) {
		SSL_CTX_set_security_level(ctx, 0); /* to look at, not to believe */
		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		ssl = SSL_new(ctx);
	}
	if (ssl && SSL_set_fd(ssl, fd) == 1) {
		SSL_set_tlsext_host_name(ssl, t->sni);
		while ((r = SSL_connect(ssl)) != 1) {
			int e = SSL_get_error(ssl, r);
			if ((e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) || !wait_for(t, fd, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
				break;
		}
	}
	X509 *cert = r == 1 ? SSL_get1_peer_certificate(ssl) : NULL;
	if (cert) {
		unsigned char *der = NULL;
		int n = i2d_X509(cert, &der);
		struct tls_peer *p = NULL;
		if (n > 0 && !tls_peer_from_der(&p, slice_of((char *)der, (size_t)n)))
			t->p->leaf = p;
		OPENSSL_free(der);
		snprintf(t->protocol, sizeof t->protocol, "%s", SSL_get_version(ssl));
		SSL_shutdown(ssl);
	} else {
		unsigned long e = ERR_peek_last_error();
		snprintf(t->why, sizeof t->why, "TLS: %s", e ? ERR_reason_error_string(e) : left(t) ? "the connection was closed" : "no answer");
	}
	X509_free(cert);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
}

static void *probe_run(void *arg)
{
	struct probe *t = arg;
	uint64_t began = clock_ms();
	int fd = call(t);
	t->p->took_ms = (int)(clock_ms() - began);
	if (fd < 0)
		return NULL;
	t->end = clock_ms() + TALK_MS;
	if (t->p->greets == CHECK_GREETS_TLS || starttls(t, fd))
		shake(t, fd);
	close(fd);
	return NULL;
}

/* ---- which */

static bool interface_has(const struct check_facts *f, const struct addr *a)
{
	for (size_t i = 0; i < f->n_local; i++)
		if (addr_host_eq(&f->local[i], a))
			return true;
	return false;
}

static void plan_probe(struct check_looking *x, struct probe *list, const struct plan_record *r, const struct addr *to)
{
	struct check_ports *p = &x->f->ports;
	struct addr a = *to;
	addr_set_port(&a, r->port);
	if (addr_is_loopback(&a) || addr_is_any(&a) || addr_is_multicast(&a) || p->n_probes == PROBES_MAX)
		return;
	for (size_t i = 0; i < p->n_probes; i++)
		if (slice_ieq(p->probes[i].host, r->target) && addr_eq(&p->probes[i].addr, &a))
			return;
	struct check_probe *one = &p->probes[p->n_probes];
	struct slice whom = r->target;
	*one = (struct check_probe){.host = r->target, .addr = a, .here = interface_has(x->f, &a)};
	if (slice_istarts(r->name, S("_xmpp"))) {
		whom = r->name; /* the domain after service and protocol */
		slice_split(&whom, '.');
		slice_split(&whom, '.');
	}
	one->greets = slice_istarts(r->name, S("_xmpp-server.")) ? CHECK_GREETS_XMPP : CHECK_GREETS_TLS;
	list[p->n_probes].p = one;
	if (slice_cstr(whom, list[p->n_probes].sni, sizeof list->sni))
		p->n_probes++;
}

void check_look_probes(struct check_looking *x)
{
	struct check_ports *p = &x->f->ports;
	const struct plan *plan = x->f->plan;
	if (!plan || !x->f->dns.have || p->probes)
		return;
	struct probe *list = mem_calloc(PROBES_MAX, sizeof *list);
	p->probes = arena_alloc(x->a, PROBES_MAX * sizeof *p->probes);
	for (size_t i = 0; p->probes && i < plan->n_records; i++) {
		static const enum dns_type types[] = {DNS_A, DNS_AAAA};
		for (size_t k = 0; plan->records[i].type == PLAN_SRV && k < 2; k++) {
			const struct check_lookup *l = check_lookup(&x->f->dns, plan->records[i].target, types[k]);
			for (size_t n = 0; l && l->status == DNS_OK && n < l->n; n++)
				plan_probe(x, list, &plan->records[i], &l->records[n].addr);
		}
	}
	if (p->n_probes)
		check_progress(x, "connecting to %zu public addresses of ours", p->n_probes);
	for (size_t i = 0; i < p->n_probes; i++)
		list[i].started = !pthread_create(&list[i].thread, NULL, probe_run, &list[i]);
	for (size_t i = 0; i < p->n_probes; i++) {
		if (!list[i].started) {
			list[i].p->reach = CHECK_LOCAL_FAULT;
			continue;
		}
		pthread_join(list[i].thread, NULL);
		list[i].p->why = arena_dup(x->a, slice_str(list[i].why));
		list[i].p->protocol = arena_dup(x->a, slice_str(list[i].protocol));
	}
	mem_free(list);
}
