/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics, /healthz and /readyz over HTTP, on the control thread. Whoever can connect can read it: counters, the names of partners and
 * homes, and what keeps us from serving; nothing else. */
#include <event2/buffer.h>
#include <event2/http.h>
#include <unistd.h>
#include "app/facts.h"
#include "app/health.h"
#include "base/log.h"
#include "base/mem.h"

enum { TIMEOUT_S = 10, HEADERS_MAX = 8192, PORT = 9464, CACHE_MS = 1000 };

struct metrics_http {
	struct app *app;
	struct evhttp *http;
	struct buf text;    /* the last answer, for whoever asks again at once */
	uint64_t made;
};

static void reply(struct evhttp_request *r, int status, const char *phrase, const char *type, struct slice text)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(r);
	struct evbuffer *body = evbuffer_new();
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	if (body && evhttp_request_get_command(r) == EVHTTP_REQ_GET)
		evbuffer_add(body, text.p, text.len);
	evhttp_send_reply(r, status, phrase, body);
	if (body)
		evbuffer_free(body);
}

/* "ok", or what is wrong; /readyz: a line for each check. */
static void reply_health(struct metrics_http *m, struct evhttp_request *r, bool ready)
{
	struct buf text;
	json_t *checks = json_array(), *one;
	size_t i;
	bool ok;
	buf_init(&text, 65536);
	if (ready) {
		ok = health_ready(m->app, checks);
		json_array_foreach(checks, i, one)
			buf_printf(&text, "%s %s: %s\n", json_is_true(json_object_get(one, "ok")) ? "ok  " : "FAIL", json_string_value(json_object_get(one, "check")),
				   json_string_value(json_object_get(one, "text")));
	} else {
		ok = health_alive(m->app, &text);
		buf_puts(&text, ok ? "ok\n" : "\n");
	}
	reply(r, ok ? 200 : 503, ok ? "OK" : "Service Unavailable", "text/plain; charset=utf-8", buf_slice(&text));
	json_decref(checks);
	buf_free(&text);
}

static void answer(struct evhttp_request *r, void *arg)
{
	struct metrics_http *m = arg;
	struct loop *loop = pool_control(m->app->pool)->loop;
	loop_touch(loop);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	enum evhttp_cmd_type cmd = evhttp_request_get_command(r);
	bool healthz = path && slice_eq(slice_str(path), S("/healthz")), readyz = path && slice_eq(slice_str(path), S("/readyz"));
	if (!healthz && !readyz && (!path || !slice_eq(slice_str(path), S("/metrics")))) {
		evhttp_send_error(r, 404, "Not Found");
		return;
	}
	if (cmd != EVHTTP_REQ_GET && cmd != EVHTTP_REQ_HEAD) {
		evhttp_send_error(r, 405, "Method Not Allowed");
		return;
	}
	if (healthz || readyz) {
		reply_health(m, r, readyz);
		return;
	}
	if (!m->made || loop->timers.now - m->made >= CACHE_MS) {
		buf_clear(&m->text);
		metrics_print(m->app, &m->text);
		m->made = loop->timers.now;
	}
	reply(r, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", buf_slice(&m->text));
}

int metrics_http_address(const struct config *cfg, struct addr *ret, struct entente_err *err)
{
	if (addr_parse(slice_str(cfg->metrics_listen), PORT, ret) && addr_port(ret))
		return 0;
	return err_set(err, ENTENTE_EINVAL, REASON_NONE, "metrics.listen: '%.60s' is not an address with a port, like 127.0.0.1:%d",
		       cfg->metrics_listen, PORT);
}

int metrics_http_open(struct metrics_http **ret, struct app *app, const struct config *cfg, struct entente_err *err)
{
	struct addr at;
	char text[ADDR_TEXT];
	if (!cfg->metrics_listen[0])
		return 0;
	int rc = metrics_http_address(cfg, &at, err);
	if (rc)
		return rc;
	struct metrics_http *m = MEM_NEW(struct metrics_http);
	m->app = app;
	buf_init(&m->text, 4 << 20);
	m->http = evhttp_new(pool_control(app->pool)->loop->base);
	addr_text(&at, text);
	struct listener_opts o = {.addr = at, .kept = LISTENER_KEPT};
	int fd = listener_socket(&o, err);
	if (fd < 0 || !m->http || evhttp_accept_socket(m->http, fd)) {
		if (fd >= 0)
			close(fd);
		metrics_http_close(m);
		return fd < 0 ? fd : err_set(err, ENTENTE_EIO, REASON_NONE, "metrics.listen: cannot listen on %s", text);
	}
	evhttp_set_timeout(m->http, TIMEOUT_S);
	evhttp_set_max_headers_size(m->http, HEADERS_MAX);
	evhttp_set_max_body_size(m->http, 0);
	evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_gencb(m->http, answer, m);
	app_tell_listener("metrics", &at);
	if (!addr_is_loopback(&at))
		log_ev(LOG_WARNING, "server/metrics-public",
		       {"address", slice_str(text)},
		       {"text", S("metrics.listen is no loopback address: whoever can connect there reads the counters and partners' names")});
	*ret = m;
	return 0;
}

struct metrics_http *metrics_http_close(struct metrics_http *m)
{
	if (!m)
		return NULL;
	if (m->http)
		evhttp_free(m->http);
	buf_free(&m->text);
	return mem_free(m);
}
