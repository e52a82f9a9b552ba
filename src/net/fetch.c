/* SPDX-License-Identifier: Apache-2.0 */
#include "net/fetch.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/mem.h"

enum { HEADERS_MAX = 16 << 10 };

struct fetch {
	struct worker *self;
	struct dns *dns;
	struct fetch_opts set;
	void (*done)(void *arg, const struct fetch_result *r);
	void *arg;
	struct timer patience;
	struct loop_hook end;   /* tells; also keeps what evhttp's callback stands on alive */
	char url[FETCH_URL_MAX + 1];
	struct evhttp_uri *uri;
	uint16_t port;
	struct dns_query *query[2];
	struct addr addrs[FETCH_ADDRESSES];
	size_t n_addrs, at;
	struct evhttp_connection *http;
	struct loop_hook next;  /* to the next address, or to where a redirect leads */
	bool redirected;
	unsigned hops;
	bool kept_out;          /* an address was not public */
	char why[160];
	int64_t date;
	struct buf body;
};

static void finish(struct fetch *f, const char *why)
{
	if (why && !*f->why)
		snprintf(f->why, sizeof f->why, "%s", why);
	timer_cancel(&f->self->loop->timers, &f->patience);
	loop_undefer(&f->next);
	loop_defer(f->self->loop, &f->end);
}

static void hang_up(struct fetch *f)
{
	if (f->http)
		evhttp_connection_free(f->http);
	f->http = NULL;
}

static void destroy(struct fetch *f)
{
	timer_cancel(&f->self->loop->timers, &f->patience);
	loop_undefer(&f->next);
	loop_undefer(&f->end);
	dns_cancel(f->query[0]);
	dns_cancel(f->query[1]);
	hang_up(f);
	if (f->uri)
		evhttp_uri_free(f->uri);
	buf_free(&f->body);
	mem_free(f);
}

struct fetch *fetch_cancel(struct fetch *f)
{
	if (f)
		destroy(f);
	return NULL;
}

static void tell(struct loop_hook *h)
{
	struct fetch *f = CONTAINER_OF(h, struct fetch, end);
	struct fetch_result r = {.body = *f->why ? SLICE_NONE : buf_slice(&f->body), .why = slice_str(f->why), .date = f->date};
	f->done(f->arg, &r);
	destroy(f);
}

static void too_late(struct timer *t, uint64_t now)
{
	(void)now;
	finish(CONTAINER_OF(t, struct fetch, patience), "no answer in time");
}

/* ---- the URL */

static struct evhttp_uri *parse(const char *url)
{
	struct evhttp_uri *u = evhttp_uri_parse(url);
	const char *host = u ? evhttp_uri_get_host(u) : NULL, *scheme = u ? evhttp_uri_get_scheme(u) : NULL;
	bool ok = host && *host && strlen(host) < 256 && scheme && slice_ieq(slice_str(scheme), S("http")) && !evhttp_uri_get_userinfo(u);
	int port = ok ? evhttp_uri_get_port(u) : 0;
	if (ok && port != 0)
		return u;
	if (u)
		evhttp_uri_free(u);
	return NULL;
}

static bool clean(struct slice url)
{
	for (size_t i = 0; i < url.len; i++)
		if (url.p[i] < 0x21 || url.p[i] > 0x7e)
			return false;
	return url.len && url.len <= FETCH_URL_MAX;
}

bool fetch_url_ok(struct slice url)
{
	char z[FETCH_URL_MAX + 1];
	if (!clean(url) || !slice_cstr(url, z, sizeof z))
		return false;
	struct evhttp_uri *u = parse(z);
	if (u)
		evhttp_uri_free(u);
	return u != NULL;
}

/* ---- HTTP */

static void begin(struct fetch *f);

static void redirect(struct fetch *f, const char *to)
{
	const char *host = evhttp_uri_get_host(f->uri);
	char next[FETCH_URL_MAX + 1];
	int n = -1;
	if (to && *to == '/' && to[1] != '/')
		n = snprintf(next, sizeof next, "http://%s:%u%s", host, f->port, to);
	else if (to)
		n = snprintf(next, sizeof next, "%s", to);
	if (n < 1 || n >= (int)sizeof next || !fetch_url_ok(slice_str(next))) {
		finish(f, "a redirect that is not followed");
	} else if (++f->hops > FETCH_REDIRECTS) {
		finish(f, "too many redirects");
	} else {
		slice_cstr(slice_str(next), f->url, sizeof f->url);
		f->redirected = true;
		loop_defer(f->self->loop, &f->next);
	}
}

static void too_large(struct fetch *f)
{
	snprintf(f->why, sizeof f->why, "larger than %zu octets", f->set.octets_max);
}

/* libevent has no limit of its own for the line with the size of a chunk. */
static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct fetch *f = arg;
	(void)info;
	if (*f->why || evbuffer_get_length(in) <= f->set.octets_max + HEADERS_MAX)
		return;
	loop_touch(f->self->loop);
	too_large(f);
	finish(f, NULL);
}

static void on_error(enum evhttp_request_error e, void *arg)
{
	struct fetch *f = arg;
	if (e == EVREQ_HTTP_DATA_TOO_LONG)
		too_large(f);
	else if (e == EVREQ_HTTP_INVALID_HEADER)
		snprintf(f->why, sizeof f->why, "no valid HTTP answer");
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7; the two older forms are not in use). 0: it is not that. */
static int64_t http_date(const char *z)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm t = {0};
	char month[4] = "";
	const char *m;
	if (!z || strlen(z) != 29 || sscanf(z + 5, "%2d %3s %4d %2d:%2d:%2d GMT", &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6 ||
	    strlen(month) != 3 || !(m = strstr(months, month)) || (m - months) % 3)
		return 0;
	t.tm_mon = (int)(m - months) / 3;
	t.tm_year -= 1900;
	return timegm(&t);
}

static void on_answer(struct evhttp_request *r, void *arg)
{
	struct fetch *f = arg;
	loop_touch(f->self->loop);
	int status = r ? evhttp_request_get_response_code(r) : 0;
	if (status)
		f->date = http_date(evhttp_find_header(evhttp_request_get_input_headers(r), "Date"));
	if (*f->why) {
		finish(f, NULL);
	} else if (!status) {
		loop_defer(f->self->loop, &f->next);
	} else if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
		redirect(f, evhttp_find_header(evhttp_request_get_input_headers(r), "Location"));
	} else if (status != 200) {
		snprintf(f->why, sizeof f->why, "HTTP status %d", status);
		finish(f, NULL);
	} else if (evhttp_find_header(evhttp_request_get_input_headers(r), "Content-Encoding")) {
		finish(f, "an encoding that was not asked for");
	} else {
		struct evbuffer *b = evhttp_request_get_input_buffer(r);
		size_t n = evbuffer_get_length(b);
		char *p = n <= f->set.octets_max ? buf_reserve(&f->body, n ? n : 1) : NULL;
		if (p && n && evbuffer_remove(b, p, n) == (int)n)
			buf_commit(&f->body, n);
		finish(f, !n ? "an empty answer" : f->body.len ? NULL : "too large");
	}
}

static void call(struct fetch *f)
{
	char ip[ADDR_TEXT], host[300];
	struct event_base *base = f->self->loop->base;
	const struct addr *to;
	hang_up(f);
	do {
		if (f->at == f->n_addrs) {
			finish(f, f->kept_out ? "its server's address is not public" : "its server cannot be reached");
			return;
		}
		to = &f->addrs[f->at++];
		f->kept_out |= addr_is_private(to);
	} while (!f->set.private_ok && addr_is_private(to));
	addr_host_text(to, ip);
	f->http = evhttp_connection_base_new(base, NULL, ip, f->port);
	struct evhttp_request *r = f->http ? evhttp_request_new(on_answer, f) : NULL;
	if (!r) {
		finish(f, "out of connections");
		return;
	}
	evhttp_connection_set_retries(f->http, 0);
	evhttp_connection_set_timeout(f->http, (int)(f->set.timeout_ms / 2000 + 1)); /* so that a second address has its chance */
	evhttp_connection_set_max_headers_size(f->http, HEADERS_MAX);
	evhttp_connection_set_max_body_size(f->http, (ev_ssize_t)f->set.octets_max);
	evbuffer_add_cb(bufferevent_get_input(evhttp_connection_get_bufferevent(f->http)), on_input, f);
	evhttp_request_set_error_cb(r, on_error);
	const char *path = evhttp_uri_get_path(f->uri), *query = evhttp_uri_get_query(f->uri), *name = evhttp_uri_get_host(f->uri);
	char target[FETCH_URL_MAX + 8];
	snprintf(target, sizeof target, "%s%s%s", path && *path ? path : "/", query ? "?" : "", query ? query : "");
	snprintf(host, sizeof host, f->port == 80 ? "%s" : "%s:%u", name, f->port);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(r);
	evhttp_add_header(headers, "Host", host);
	evhttp_add_header(headers, "User-Agent", "Entente/" ENTENTE_VERSION);
	evhttp_add_header(headers, "Connection", "close");
	if (evhttp_make_request(f->http, r, EVHTTP_REQ_GET, target))
		loop_defer(f->self->loop, &f->next);
}

static void on_next(struct loop_hook *h)
{
	struct fetch *f = CONTAINER_OF(h, struct fetch, next);
	if (f->redirected)
		begin(f);
	else
		call(f);
}

/* ---- where it is */

static void resolved(void *arg, const struct dns_answer *a)
{
	struct fetch *f = arg;
	f->query[a->type == DNS_AAAA] = NULL;
	for (size_t i = 0; a->status == DNS_OK && i < a->n && f->n_addrs < FETCH_ADDRESSES; i++) {
		f->addrs[f->n_addrs] = a->records[i].addr;
		addr_set_port(&f->addrs[f->n_addrs++], f->port);
	}
	if (f->query[0] || f->query[1])
		return;
	if (f->n_addrs)
		call(f);
	else
		finish(f, "DNS has no address of its server");
}

static void begin(struct fetch *f)
{
	struct addr a;
	hang_up(f);
	if (f->uri)
		evhttp_uri_free(f->uri);
	f->redirected = false;
	f->n_addrs = f->at = 0;
	f->uri = clean(slice_str(f->url)) ? parse(f->url) : NULL;
	if (!f->uri) {
		finish(f, "a URL that is not fetched");
		return;
	}
	int port = evhttp_uri_get_port(f->uri);
	f->port = (uint16_t)(port > 0 ? port : 80);
	struct slice host = slice_str(evhttp_uri_get_host(f->uri));
	if (host.len > 2 && *host.p == '[')
		host = slice_of(host.p + 1, host.len - 2);
	if (addr_is_literal(host) && addr_parse(host, f->port, &a)) {
		f->addrs[f->n_addrs++] = a;
		call(f);
	} else if (!f->dns) {
		finish(f, "its server's name cannot be looked up");
	} else {
		f->query[0] = dns_ask(f->dns, f->self, host, DNS_A, resolved, f);
		f->query[1] = dns_ask(f->dns, f->self, host, DNS_AAAA, resolved, f);
	}
}

struct fetch *fetch_start(struct worker *self, struct dns *dns, struct slice url, const struct fetch_opts *o,
			  void (*done)(void *arg, const struct fetch_result *r), void *arg)
{
	struct fetch *f = MEM_NEW(struct fetch);
	f->self = self;
	f->dns = dns;
	f->set = *o;
	f->done = done;
	f->arg = arg;
	f->end.run = tell;
	f->next.run = on_next;
	buf_init(&f->body, o->octets_max + 1);
	timer_init(&f->patience, too_late);
	timer_arm(&self->loop->timers, &f->patience, o->timeout_ms);
	if (url.len > FETCH_URL_MAX || !slice_cstr(url, f->url, sizeof f->url))
		finish(f, "a URL that is not fetched");
	else
		begin(f);
	return f;
}
