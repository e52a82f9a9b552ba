/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: bytes between a unix socket and the admin room, and what the admin room asks of the daemon. Everything on
 * the control thread. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "admin/admin.h"
#include "admin/audit.h"
#include "api/api.h"
#include "api/peer.h"
#include "app/app.h"
#include "app/facts.h"
#include "app/probes.h"
#include "app/queue_admin.h"
#include "app/seeing.h"
#include "app/test_im.h"
#include "app/top.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/unix.h"
#include "plan/install.h"

enum { MAX_SESSIONS = 64, REST_MS = 200 };

struct peer { /* one connection */
	struct list node;
	struct control *control;
	int fd;
	struct event *readable, *writable;
	struct admin_session *session;
	struct buf out;
	bool closing;
};

struct control {
	struct app *app;
	struct admin *admin;
	struct admin_ops ops;
	char *path;
	int fd;
	struct event *acceptable;
	struct timer rest; /* after the process ran out of descriptors */
	struct list peers;
	size_t n_peers;
	struct snapshot_reader policy;
};

static void peer_free(struct peer *p)
{
	list_remove(&p->node);
	p->control->n_peers--;
	event_free(p->readable);
	event_free(p->writable);
	close(p->fd);
	admin_session_free(p->session);
	buf_free(&p->out);
	mem_free(p);
}

static void flush(struct peer *p)
{
	while (p->out.len) {
		struct slice s = buf_slice(&p->out);
		ssize_t n = send(p->fd, s.p, s.len, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			event_del(p->readable); /* who does not read is not listened to */
			event_add(p->writable, NULL);
			return;
		}
		if (n <= 0) {
			peer_free(p);
			return;
		}
		buf_consume(&p->out, (size_t)n);
	}
	buf_shrink(&p->out, 65536);
	if (p->closing)
		peer_free(p);
	else
		event_add(p->readable, NULL);
}

/* A command that takes its time has something to say. */
static void on_output(void *arg)
{
	flush(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	(void)fd;
	(void)what;
	flush(p);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	char b[16384];
	(void)what;
	loop_touch(pool_control(p->control->app->pool)->loop);
	ssize_t n = recv(fd, b, sizeof b, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		peer_free(p);
		return;
	}
	if (admin_session_input(p->session, slice_of(b, (size_t)n), &p->out))
		p->closing = true;
	flush(p);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;
	struct peer_identity who;
	(void)what;
	struct loop *loop = pool_control(c->app->pool)->loop;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		loop_touch(loop);
		event_del(c->acceptable);
		timer_arm(&loop->timers, &c->rest, REST_MS);
	}
	if (s < 0)
		return;
	if (c->n_peers >= MAX_SESSIONS) {
		close(s);
		return;
	}
	struct peer *p = MEM_NEW(struct peer);
	struct event_base *base = loop->base;
	p->control = c;
	p->fd = s;
	buf_init(&p->out, ADMIN_RESPONSE_MAX + 1024);
	peer_identify(s, &c->app->config->admin_roles, &who);
	p->session = admin_session_new_as(c->admin, slice_str(who.who), who.roles);
	admin_session_output(p->session, &p->out, on_output, p);
	p->readable = event_new(base, s, EV_READ | EV_PERSIST, on_readable, p);
	p->writable = event_new(base, s, EV_WRITE, on_writable, p);
	list_append(&c->peers, &p->node);
	c->n_peers++;
	event_add(p->readable, NULL);
}

static void rest_fired(struct timer *t, uint64_t now)
{
	(void)now;
	event_add(CONTAINER_OF(t, struct control, rest)->acceptable, NULL);
}

/* ---- what admin asks */

static struct snapshot *op_snapshot(void *arg)
{
	struct control *c = arg;
	return snapshot_reader_get(&c->policy);
}

static void op_status(void *arg, json_t *object)
{
	struct control *c = arg;
	facts_status(c->app, object);
}

static int op_show(void *arg, enum admin_show what, json_t *array, struct entente_err *err)
{
	struct control *c = arg;
	return facts_show(c->app, what, array, err);
}

static bool op_contact(void *arg, struct slice local, struct slice remote)
{
	struct control *c = arg;
	return facts_contact(c->app, local, remote);
}

static int op_contact_set(void *arg, struct slice local, struct slice remote, bool there, struct slice who, struct entente_err *err)
{
	struct control *c = arg;
	return facts_contact_set(c->app, local, remote, there, who, err);
}

static int op_address(void *arg, struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err)
{
	(void)arg;
	return facts_address(text, ret_is_sip, ret_jid, size, err);
}

static int op_policy_changed(void *arg, struct entente_err *err)
{
	struct control *c = arg;
	int rc = app_publish(c->app, c->app->config, err);
	if (!rc) {
		nodes_reload(c->app, NULL);
		probes_wake(c->app->probes);
	}
	return rc;
}

static int op_reload(void *arg, struct config_errors *errs)
{
	struct control *c = arg;
	return app_reload(c->app, errs);
}

static void op_attempts(void *arg, struct slice domain, json_t *array)
{
	struct control *c = arg;
	seeing_attempts(c->app, domain, array);
}

static int op_test(void *arg, const struct admin_test *what, struct admin_task *t, struct entente_err *err)
{
	struct control *c = arg;
	return seeing_test(c->app->seeing, what, t, err);
}

static int op_trace(void *arg, const struct admin_trace *what, struct admin_task *t, struct entente_err *err)
{
	struct control *c = arg;
	return seeing_trace(c->app->seeing, what, t, err);
}

static bool op_place(void *arg, const char *key, struct slice home, struct slice domain, char *ret, size_t size)
{
	struct control *c = arg;
	unsigned line = home.len ? config_line_home(c->app->config, home, domain) : config_line(c->app->config, key);
	if (line)
		snprintf(ret, size, "%s:%u", c->app->config_path, line);
	return line != 0;
}

static int op_records(void *arg, const struct admin_records *what, json_t *array, struct entente_err *err)
{
	struct control *c = arg;
	return facts_records(c->app, what, array, err);
}

static int op_queue_list(void *arg, const struct admin_queue_query *what, json_t *array, json_t *about, struct entente_err *err)
{
	struct control *c = arg;
	return queue_admin_list(c->app, what, array, about, err);
}

static int op_queue_show(void *arg, uint64_t number, bool body, json_t *object, struct entente_err *err)
{
	struct control *c = arg;
	return queue_admin_show(c->app, number, body, object, err);
}

static int op_queue_do(void *arg, uint64_t number, enum admin_queue_verb verb, struct entente_err *err)
{
	struct control *c = arg;
	return queue_admin_do(c->app, number, verb, err);
}

static int op_queue_do_all(void *arg, struct slice partner, enum admin_queue_verb verb, size_t *ret_n, struct entente_err *err)
{
	struct control *c = arg;
	return queue_admin_do_all(c->app, partner, verb, ret_n, err);
}

static int op_queue_pause(void *arg, struct slice partner, bool paused, struct entente_err *err)
{
	struct control *c = arg;
	return queue_admin_pause(c->app, partner, paused, err);
}

static int op_test_im(void *arg, const struct admin_test_im *what, struct admin_task *t, struct entente_err *err)
{
	struct control *c = arg;
	return test_im_begin(c->app->test_ims, what, t, err);
}

static int op_top(void *arg, uint32_t interval_ms, uint32_t count, struct admin_task *t, struct entente_err *err)
{
	struct control *c = arg;
	return top_begin(c->app->tops, interval_ms, count, t, err);
}

static void op_cancel(void *arg, struct admin_task *t)
{
	struct control *c = arg;
	test_im_cancel(c->app->test_ims, t);
	top_cancel(c->app->tops, t);
	seeing_cancel(c->app->seeing, t);
}

static void op_metrics(void *arg, struct buf *out)
{
	struct control *c = arg;
	metrics_print(c->app, out);
}

static bool op_seen(void *arg, struct slice domain, json_t *object)
{
	struct control *c = arg;
	struct xmpp_sighting s;
	struct buf key;
	char at[CLOCK_TEXT];
	if (!xmpp_seen_get(c->app->seen, domain, &s))
		return false;
	buf_init(&key, 128);
	hex_put(&key, s.spki_sha256, sizeof s.spki_sha256);
	clock_text_at(s.at, at);
	json_object_set_new(object, "key", json_stringn(buf_slice(&key).p, key.len));
	json_object_set_new(object, "subject", json_string(s.subject));
	json_object_set_new(object, "issuer", json_string(s.issuer));
	json_object_set_new(object, "not_before", json_integer(s.not_before));
	json_object_set_new(object, "not_after", json_integer(s.not_after));
	json_object_set_new(object, "at", json_string(at));
	json_object_set_new(object, "direction", json_string(s.inbound ? "in" : "out"));
	json_object_set_new(object, "auth", json_string(s.proof));
	json_object_set_new(object, "believed", json_boolean(s.believed));
	buf_free(&key);
	return true;
}

static void op_certificates(void *arg, json_t *own, json_t *partners)
{
	struct control *c = arg;
	certificates_list(c->app, own, partners);
}

static void op_identities_changed(void *arg)
{
	struct control *c = arg;
	if (c->app->api)
		api_identities_changed(c->app->api);
}

static int op_build(void *arg, struct store *store, const struct config *config, struct snapshot **ret, json_t *findings, struct entente_err *err)
{
	struct control *c = arg;
	return app_build(c->app, store, config ? config : c->app->config, ret, findings, err);
}

static const struct config *op_config(void *arg)
{
	struct control *c = arg;
	return c->app->config;
}

static const char *op_config_path(void *arg)
{
	struct control *c = arg;
	return c->app->config_path;
}

static int op_config_check(void *arg, const struct config *config, struct entente_err *err)
{
	struct control *c = arg;
	return app_reload_check(c->app, config, err);
}

static const struct admin_ops admin_callbacks = {
	.identities_changed = op_identities_changed, .certificates = op_certificates,
	.contact_set = op_contact_set, .status = op_status, .show = op_show, .snapshot = op_snapshot, .contact = op_contact, .address = op_address,
	.policy_changed = op_policy_changed, .seen = op_seen, .reload = op_reload, .attempts = op_attempts, .test = op_test, .trace = op_trace,
	.cancel = op_cancel, .test_im = op_test_im, .top = op_top, .metrics = op_metrics, .config = op_config, .config_path = op_config_path,
	.config_check = op_config_check, .records = op_records, .place = op_place, .queue_list = op_queue_list,
	.queue_show = op_queue_show, .queue_do = op_queue_do, .queue_do_all = op_queue_do_all, .queue_pause = op_queue_pause,
};

struct admin *control_admin(struct control *c)
{
	return c->admin;
}

/* ---- for the rest of the daemon */

bool control_recover(struct control *c, struct entente_err *err)
{
	return admin_recover(c->admin, err);
}

int control_policy_tests(struct control *c, const struct config *cfg, struct snapshot *s, struct config_errors *errs)
{
	struct buf text;
	char b[16384];
	size_t n;
	FILE *f = fopen(c->app->config_path, "re");
	buf_init(&text, CONFIG_FILE_MAX + sizeof b);
	while (f && text.len <= CONFIG_FILE_MAX && (n = fread(b, 1, sizeof b, f)) > 0)
		buf_put(&text, slice_of(b, n));
	if (f)
		fclose(f);
	int rc = admin_policy_tests(c->admin, cfg, buf_slice(&text), s, errs);
	buf_free(&text);
	return rc;
}

/* ---- life */

int control_open(struct control **ret, struct app *app, struct entente_err *err)
{
	int fd = unix_listen(app->config->server_control_socket, "server.control-socket", err);
	if (fd < 0)
		return fd;
	struct control *c = MEM_NEW(struct control);
	c->app = app;
	c->fd = fd;
	c->path = mem_strndup(app->config->server_control_socket, strlen(app->config->server_control_socket));
	list_init(&c->peers);
	timer_init(&c->rest, rest_fired);
	snapshot_reader_init(&c->policy, &app->policy);
	app->seeing = seeing_new(app);
	app->test_ims = test_ims_new(app);
	app->tops = tops_new(app);
	c->ops = admin_callbacks;
	if (app->store)
		c->ops.build = op_build;
	c->admin = admin_new(app->store, &c->ops, c);
	admin_set_half(c->admin, app->role == CONFIG_EDGE ? ADMIN_EDGE_HALF : app->role == CONFIG_GATEWAY ? ADMIN_GATEWAY_HALF : ADMIN_WHOLE);
	if (!app->store && access(app->config->server_state_directory, W_OK) == 0) /* an edge */
		admin_set_audit(c->admin, app->config->server_state_directory);
	c->acceptable = event_new(pool_control(app->pool)->loop->base, fd, EV_READ | EV_PERSIST, on_accept, c);
	event_add(c->acceptable, NULL);
	*ret = c;
	return 0;
}

/* What the configuration file holds, as a hash; empty when it cannot be read. */
static json_t *file_facts(const struct app *app)
{
	char hash[AUDIT_HASH];
	struct buf b;
	struct entente_err err;
	json_t *o = json_pack("{s:s s:s}", "version", ENTENTE_VERSION, "config", app->config_path);
	buf_init(&b, CONFIG_FILE_MAX + 65536);
	if (plan_file_read(&b, app->config_path, CONFIG_FILE_MAX, &err) == 0) {
		audit_hash(hash, buf_slice(&b));
		json_object_set_new(o, "config_sha256", json_string(hash));
	}
	buf_free(&b);
	return o;
}

void control_note(struct control *c, const char *via, const char *text)
{
	struct entente_err err = {0};
	if (admin_audit_note(c->admin, via, text, file_facts(c->app), &err))
		log_ev(LOG_ERROR, "admin/audit-failed", {"text", slice_str(err.text)});
}

void control_reload(struct control *c)
{
	struct config_errors errs;
	struct entente_err err = {0};
	int64_t seq;
	static const char who[] = "SIGHUP";
	if (admin_audit_begin(c->admin, slice_str(who), "signal", ADMIN_CMD_RELOAD, &seq, &err)) {
		log_ev(LOG_ERROR, "server/reload-refused", {"config", slice_str(c->app->config_path)}, {"text", slice_str(err.text)});
		return;
	}
	int rc = app_reload(c->app, &errs);
	admin_audit_end(c->admin, slice_str(who), "signal", seq, rc ? ADMIN_EXIT_CONFIG : ADMIN_EXIT_OK, rc ? "config" : NULL);
}

struct control *control_close(struct control *c)
{
	if (!c)
		return NULL;
	LIST_EACH(n, &c->peers)
		peer_free(CONTAINER_OF(n, struct peer, node));
	timer_cancel(&pool_control(c->app->pool)->loop->timers, &c->rest);
	event_free(c->acceptable);
	unix_close(c->fd, c->path);
	admin_free(c->admin);
	c->app->seeing = seeing_free(c->app->seeing);
	c->app->test_ims = test_ims_free(c->app->test_ims);
	c->app->tops = tops_free(c->app->tops);
	snapshot_reader_destroy(&c->policy);
	mem_free(c->path);
	return mem_free(c);
}
