/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: requests out of octets, answers into octets, deadlines. */
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/api_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { BEAT_MS = 15000 }; /* a comment to a stream now and then: middleboxes forget silent connections */

static struct timers *timers_of(const struct client *c)
{
	return &c->api->control->loop->timers;
}

static void finish(struct client *c)
{
	if (c->over)
		return;
	c->over = true;
	timer_cancel(timers_of(c), &c->timer);
	conn_close(c->conn);
}

void client_free(struct client *c)
{
	operation_forget(c);
	timer_cancel(timers_of(c), &c->timer);
	list_remove(&c->node);
	c->api->n_clients--;
	conn_free(c->conn);
	buf_free(&c->out);
	mem_free(c);
}

struct client *client_find(struct api *a, uint64_t id)
{
	LIST_EACH(n, &a->clients) {
		struct client *c = CONTAINER_OF(n, struct client, node);
		if (c->id == id)
			return c;
	}
	return NULL;
}

void client_address(const struct client *c, char ret[ADDR_TEXT])
{
	if (c->local)
		slice_cstr(S("socket"), ret, ADDR_TEXT);
	else
		addr_host_text(conn_remote(c->conn), ret);
}

/* ---- answers */

/* RFC 9110 5.6.7 */
static void date_put(struct buf *out)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)clock_unix();
	struct tm t;
	gmtime_r(&now, &t);
	buf_printf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, 1900 + t.tm_year,
		   t.tm_hour, t.tm_min, t.tm_sec);
}

/* No page of others may read, frame or sniff what comes from here, and nothing of it is kept. */
static const char guards[] = "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"
			     "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n";

static void head_put(const struct client *c, struct buf *out, int status, const char *type)
{
	buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
	date_put(out);
	buf_puts(out, guards);
	if (type)
		buf_printf(out, "Content-Type: %s\r\n", type);
	if (!c->keep)
		buf_puts(out, "Connection: close\r\n");
}

void client_answer(struct client *c, int status, const char *type, struct slice body, struct slice extra)
{
	struct buf head;
	buf_init(&head, 65536);
	head_put(c, &head, status, type);
	if (status != 204)
		buf_printf(&head, "Content-Length: %zu\r\n", body.len);
	buf_put(&head, extra);
	buf_puts(&head, "\r\n");
	struct slice parts[] = {buf_slice(&head), c->head ? SLICE_NONE : body};
	if (c->over || !buf_ok(&head) || conn_writev(c->conn, parts, 2) || !c->keep)
		finish(c);
	buf_free(&head);
}

void client_answer_json(struct client *c, int status, json_t *body, struct slice extra)
{
	char *text = json_dumps(body, JSON_COMPACT);
	bool problem = status >= 400;
	struct buf line;
	buf_init(&line, API_ANSWER_MAX + 1024);
	buf_puts(&line, text ? text : "{}");
	buf_putc(&line, '\n');
	client_answer(c, status, problem ? "application/problem+json" : "application/json", buf_slice(&line), extra);
	free(text);
	buf_free(&line);
	json_decref(body);
}

void client_problem(struct client *c, int status, const char *code, const char *hint, struct slice extra, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_t *p = json_pack("{s:s s:i s:o s:s}", "title", http_status_text(status), "status", status, "detail", admin_json_text(slice_str(text)), "code", code);
	if (hint)
		json_object_set_new(p, "hint", json_string(hint));
	client_answer_json(c, status, p, extra);
}

/* ---- streams */

bool client_stream(struct client *c)
{
	struct buf head;
	if (c->api->n_streams >= API_STREAMS) {
		client_problem(c, 503, "limit", "end one of the others", S("Retry-After: 10\r\n"), "%d streams of events are open already", API_STREAMS);
		return false;
	}
	c->keep = false; /* it ends with the connection */
	c->streaming = true;
	c->api->n_streams++;
	buf_init(&head, 65536);
	head_put(c, &head, 200, "text/event-stream");
	buf_puts(&head, "X-Accel-Buffering: no\r\n\r\n");
	if (!c->head)
		buf_puts(&head, "retry: 3000\n\n");
	if (c->over || conn_write(c->conn, buf_slice(&head)) || c->head)
		finish(c);
	else
		timer_arm(timers_of(c), &c->timer, BEAT_MS);
	buf_free(&head);
	return true;
}

void client_event(struct client *c, const char *name, const char *id, struct slice data)
{
	struct buf b;
	buf_init(&b, API_ANSWER_MAX + 1024);
	buf_printf(&b, "event: %s\n", name);
	if (id)
		buf_printf(&b, "id: %s\n", id);
	buf_puts(&b, "data: ");
	buf_put(&b, data);
	buf_puts(&b, "\n\n");
	if (!c->over && (!buf_ok(&b) || conn_write(c->conn, buf_slice(&b))))
		finish(c);
	buf_free(&b);
}

bool client_slow(const struct client *c)
{
	return conn_queued(c->conn) > API_SLOW;
}

/* ---- requests */

static void limits_of(struct conn_limits *ret, size_t body)
{
	*ret = CONN_LIMITS_DEFAULT;
	ret->in_max = HTTP_HEAD_MAX + body + 1;
	ret->out_max = 2 * (size_t)API_ANSWER_MAX;
	ret->out_high = API_SLOW;
	ret->out_low = API_SLOW / 4;
	ret->unacked_ms = 30000;
}

static void limits_set(struct client *c)
{
	struct conn_limits limits;
	limits_of(&limits, c->document ? API_DOCUMENT_MAX : API_BODY_MAX);
	conn_set_limits(c->conn, &limits);
}

static void wait_for_request(struct client *c)
{
	c->partial = false;
	c->continued = false;
	if (c->document) {
		c->document = false;
		limits_set(c);
	}
	timer_arm(timers_of(c), &c->timer, API_IDLE_MS);
}

static void refuse(struct client *c, int status, const char *why)
{
	char from[ADDR_TEXT];
	client_address(c, from);
	c->keep = false;
	log_ev_limited(LOG_INFO, "api/bad-request", slice_str(from), {"address", slice_str(from)}, {"text", slice_str(why)});
	client_problem(c, status, status == 413 || status == 414 || status == 431 ? "too-large" : status == 408 ? "timeout" : "malformed", NULL, SLICE_NONE, "%s", why);
	finish(c);
}

/* One request off the front: how many octets it took, 0: there is none yet. */
static size_t request_take(struct client *c, struct slice in)
{
	struct http_request r;
	const char *why;
	size_t head = 0;
	int status;
	c->keep = false;
	c->head = false;
	switch (http_request_parse(&r, in, &c->scanned, &head, &status, &why)) {
	case HTTP_MORE: break;
	case HTTP_BAD: refuse(c, status, why); return in.len;
	case HTTP_DONE:
		if (r.length > API_BODY_MAX && r.length > operation_body_max(c, &r)) {
			refuse(c, 413, "the body is too large");
			return in.len;
		}
		if (in.len - head >= r.length) {
			wait_for_request(c);
			c->scanned = 0;
			c->keep = r.keep;
			c->head = slice_eq(r.method, S("HEAD"));
			operation_run(c, &r, slice_of(in.p + head, r.length));
			return head + r.length;
		}
		c->scanned = head - 1; /* its end is found again at once */
		if (r.length > API_BODY_MAX && !c->document) {
			c->document = true;
			limits_set(c);
			timer_arm(timers_of(c), &c->timer, API_DOCUMENT_MS);
			c->partial = true;
		}
		if (r.expect && !c->continued) {
			c->continued = true;
			conn_write(c->conn, S("HTTP/1.1 100 Continue\r\n\r\n"));
		}
		break;
	}
	if (!c->partial) {
		c->partial = true;
		timer_arm(timers_of(c), &c->timer, API_REQUEST_MS);
	}
	return 0;
}

static size_t on_data(struct conn *conn, struct slice in)
{
	struct client *c = conn_owner(conn);
	size_t taken = 0;
	while (!c->over && c->state == CLIENT_READS && !c->paused && taken < in.len) {
		struct slice rest = slice_skip(in, taken);
		if (!c->partial && slice_starts(rest, S("\r\n"))) { /* RFC 9112 2.2 */
			taken += 2;
			continue;
		}
		size_t n = request_take(c, rest);
		taken += n;
		if (!n)
			break;
		if (!c->over && client_slow(c)) {
			c->paused = true;
			conn_pause(conn);
		}
	}
	/* to a stream nothing more is said; what comes nevertheless must not pile up */
	return c->over || c->state == CLIENT_TASK || c->state == CLIENT_EVENTS ? in.len : taken;
}

void client_next(struct client *c, enum client_state was)
{
	if (c->over)
		return;
	c->state = CLIENT_READS;
	wait_for_request(c);
	if (was == CLIENT_WAITS)
		conn_resume(c->conn);
}

void client_recheck(struct client *c)
{
	bool goes_on = c->state == CLIENT_TASK || c->state == CLIENT_EVENTS;
	if (c->over || !goes_on || identities_still(c->api->who, &c->who, clock_unix()))
		return;
	operation_forget(c); /* at once, whoever reads or not */
	finish(c);
}

static void on_drained(struct conn *conn)
{
	struct client *c = conn_owner(conn);
	if (c->paused) {
		c->paused = false;
		conn_resume(conn);
	}
	if (c->state == CLIENT_TASK)
		operation_pump(c);
	else if (c->state == CLIENT_EVENTS)
		feed_flush(c);
}

static void on_eof(struct conn *conn, size_t rest)
{
	struct client *c = conn_owner(conn);
	(void)rest;
	c->keep = false; /* an answer under way is still sent */
	if (c->state != CLIENT_WAITS)
		finish(c);
}

static void on_closed(struct conn *conn, const struct entente_err *why)
{
	struct client *c = conn_owner(conn);
	char from[ADDR_TEXT];
	if (why->code == ENTENTE_ETLS) {
		client_address(c, from);
		log_ev_limited(LOG_INFO, "api/tls-failed", slice_str(from), {"address", slice_str(from)}, {"text", slice_str(why->text)});
	}
	client_free(c);
}

static const struct conn_ops ops = {.data = on_data, .drained = on_drained, .eof = on_eof, .closed = on_closed};

static void fired(struct timer *t, uint64_t now)
{
	struct client *c = CONTAINER_OF(t, struct client, timer);
	(void)now;
	client_recheck(c); /* a session or a token may have come to its end by its time */
	if (c->over)
		return;
	if (c->streaming) {
		if (!client_slow(c) && conn_write(c->conn, S(": \n\n")))
			finish(c);
		else
			timer_arm(timers_of(c), t, BEAT_MS);
	} else if (c->state == CLIENT_TASK) {
		timer_arm(timers_of(c), t, BEAT_MS);
	} else if (c->partial) {
		refuse(c, 408, "the request did not come to its end in time");
	} else if (c->state == CLIENT_READS) {
		finish(c);
	}
}

/* ---- life */

void client_accept(struct api *a, int fd, bool local, struct gate_pass *pass)
{
	struct conn_limits limits;
	struct conn_tls tls = {.ctx = a->tls, .server = true};
	struct peer_identity peer = {.roles = 0};
	struct entente_err err;
	limits_of(&limits, API_BODY_MAX);
	struct conn_opts o = {.ops = &ops, .limits = &limits, .tls = a->tls && !local ? &tls : NULL, .pass = pass};
	if (a->n_clients >= API_CLIENTS) {
		close(fd);
		gate_leave(pass);
		return;
	}
	if (local)
		peer_identify(fd, &a->cfg->admin_roles, &peer);
	struct client *c = MEM_NEW(struct client);
	o.owner = c;
	if (conn_accept(&c->conn, a->control->loop, fd, &o, &err)) {
		mem_free(c);
		return;
	}
	c->api = a;
	c->id = ++a->next_id;
	c->local = local;
	c->peer = peer;
	timer_init(&c->timer, fired);
	buf_init(&c->out, API_ANSWER_MAX);
	list_append(&a->clients, &c->node);
	a->n_clients++;
	wait_for_request(c);
	timer_arm(timers_of(c), &c->timer, API_REQUEST_MS); /* who connects has something to say */
}
