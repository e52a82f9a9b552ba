/* SPDX-License-Identifier: Apache-2.0 */
#include "app/test_im.h"

#include <pthread.h>
#include <stdatomic.h>
#include "app/facts.h"
#include "app/node_int.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "interwork/address.h"
#include "xmpp/xml.h"

enum { LOOK_MS = 100, KEY = 40, KEYS = 4 * TEST_IMS_MAX, LATE_MS = 600000 };

struct test_im {
	struct list node;
	struct test_ims *all;
	struct admin_task *task; /* NULL: nobody listens any more */
	bool busy;          /* being told: not to be freed under that */
	struct timer timer;
	uint64_t began;
	uint32_t timeout_ms;
	char key[KEY];      /* Call-ID or id of the stanza */
	char *from, *to, *text; /* owned */
	bool to_local, taken, judged;
	bool ended;         /* the message has: nothing more comes of it */
	uint32_t home;
	size_t hops;        /* told so far */
	int64_t last_ms;    /* of the last hop */
};

struct test_ims {
	struct app *app;
	struct list list;
	_Atomic unsigned n, n_keys;
	pthread_mutex_t lock;
	struct {
		char text[KEY];     /* empty: free */
		uint64_t until;     /* the test has gone before its message: an error may still come; 0: it runs */
	} keys[KEYS];               /* under the lock */
};

/* ---- to the worker */

struct order {
	struct bus_msg bus;
	struct app *app;
	char key[KEY];
	char *from, *to, *text; /* owned; bare JIDs */
	bool to_local;
	uint32_t home;
};

static void order_drop(struct bus_msg *b)
{
	struct order *o = CONTAINER_OF(b, struct order, bus);
	mem_free(o->from);
	mem_free(o->to);
	mem_free(o->text);
	mem_free(o);
}

static void as_the_home(struct node *n, const struct order *o, struct arena *a, const struct xmpp_jid *from, const struct xmpp_jid *to)
{
	struct slice sip_from, sip_to;
	char tag[16], branch[24];
	struct buf b;
	if (interwork_jid_to_sip(&sip_from, a, from, false, NULL) || interwork_jid_to_sip(&sip_to, a, to, false, NULL) || !n->sip)
		return;
	rand_token(tag, 12);
	rand_token(branch, 20);
	buf_init(&b, 65536);
	buf_printf(&b, "MESSAGE %.*s SIP/2.0\r\nVia: SIP/2.0/TCP entente-test.invalid;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <%.*s>;tag=%s\r\n"
		       "To: <%.*s>\r\nCall-ID: %s\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
		   SFMT(sip_to), branch, SFMT(sip_from), tag, SFMT(sip_to), o->key, strlen(o->text), o->text);
	if (buf_ok(&b))
		sip_edge_inject(n->sip, o->home, buf_slice(&b));
	buf_free(&b);
}

/* Takes the arena. */
static void as_the_partner(struct node *n, const struct order *o, struct arena *a, const struct xmpp_jid *from, const struct xmpp_jid *to)
{
	struct xmpp_stanza st = {.arena = a, .from = *from, .to = *to};
	struct buf b;
	buf_init(&b, 65536);
	buf_puts(&b, "<message xmlns='jabber:server' type='chat' from='");
	xml_escape(&b, from->full);
	buf_puts(&b, "' to='");
	xml_escape(&b, to->full);
	buf_printf(&b, "' id='%s'><body>", o->key);
	xml_escape(&b, slice_str(o->text));
	buf_puts(&b, "</body></message>");
	st.peer = xmpp_peer_vouched(a, to->domain, from->domain, XMPP_PROOF_EXTERNAL, true);
	if (buf_ok(&b) && st.peer && n->gateway && !xml_parse(&st.node, a, buf_slice(&b), &xml_limits_default, NULL))
		gateway_stanza(n->gateway, &st);
	else
		arena_release(n->worker->loop->arenas, a);
	buf_free(&b);
}

static void order_run(struct worker *w, struct bus_msg *m)
{
	struct order *o = CONTAINER_OF(m, struct order, bus);
	struct node *n = node_of(o->app, w);
	struct xmpp_jid from, to;
	struct arena *a = arena_acquire(w->loop->arenas);
	bool good = !xmpp_jid_parse(&from, a, slice_str(o->from)) && !xmpp_jid_parse(&to, a, slice_str(o->to));
	if (good && o->to_local) {
		as_the_partner(n, o, a, &from, &to);
	} else {
		if (good)
			as_the_home(n, o, a, &from, &to);
		arena_release(w->loop->arenas, a);
	}
	order_drop(m);
}

/* The worker of our user: U-labels, as the data path has it. */
static struct worker *worker_of(struct app *app, const char *jid)
{
	struct arena *a = arena_new(1 << 16);
	struct xmpp_jid j;
	struct worker *w = pool_pick(app->pool, xmpp_jid_parse(&j, a, slice_str(jid)) ? slice_str(jid) : j.bare);
	arena_release(NULL, a);
	return w;
}

static void send_order(struct test_im *t)
{
	struct app *app = t->all->app;
	struct order *o = MEM_NEW(struct order);
	*o = (struct order){.bus = {.run = order_run, .drop = order_drop}, .app = app, .from = t->from, .to = t->to, .text = t->text,
			    .to_local = t->to_local, .home = t->home};
	memcpy(o->key, t->key, KEY);
	t->from = t->to = t->text = NULL;
	worker_post_always(worker_of(app, o->to_local ? o->to : o->from), &o->bus);
}

/* ---- what is told */

static const char *text_of(json_t *o, const char *key)
{
	const char *z = json_string_value(json_object_get(o, key));
	return z ? z : "";
}

static bool is(const char *a, const char *b)
{
	return slice_eq(slice_str(a), slice_str(b));
}

static void tell(struct test_im *t, const char *step, const char *outcome, int64_t at, json_t *text)
{
	json_t *event = json_pack("{s:s s:s s:I s:I s:o}", "step", step, "outcome", outcome, "at", (json_int_t)at, "took", (json_int_t)(at - t->last_ms),
				  "text", text ? text : json_string(""));
	if (t->task)
		admin_task_event(t->task, event);
	else
		json_decref(event);
	t->last_ms = at;
}

static void tell_hop(struct test_im *t, json_t *rec, json_t *hop)
{
	const char *what = text_of(hop, "what"), *reason = text_of(hop, "reason"), *via = text_of(rec, "via"), *to = text_of(rec, "to");
	const char *where = *via ? via : strchr(to, '@') ? strchr(to, '@') + 1 : to;
	int64_t at = json_integer_value(json_object_get(hop, "after_ms"));
	int status = (int)json_integer_value(json_object_get(hop, "status"));
	bool xmpp = is(text_of(rec, "network"), "xmpp");
	if (is(what, "given"))
		tell(t, "given", "ok", at, json_sprintf("translated to XMPP and given to the stream of %s", where));
	else if (is(what, "sent") && xmpp && !t->to_local)
		tell(t, "sent", "ok", at, json_sprintf("the server of %s has it: acknowledged, or taken by its stream where it acknowledges nothing", where));
	else if (is(what, "sent"))
		tell(t, "sent", "ok", at, json_sprintf("%ssent to %s", xmpp ? "translated to SIP and " : "", *via ? via : "the home"));
	else if (is(what, "heard") && status)
		tell(t, "answer", status < 300 ? "ok" : "failed", at, json_sprintf("%s answered %d", *via ? via : t->to_local ? "the home" : where, status));
	else if (is(what, "heard"))
		tell(t, "answer", "failed", at, json_sprintf("%s answered with an error", where));
	else if (is(what, "told") && status)
		tell(t, "told", status < 300 ? "ok" : "failed", at, json_sprintf("the sender would be answered %d%s%s", status, *reason ? ", " : "", reason));
	else if (is(what, "told"))
		tell(t, "told", "failed", at, json_sprintf("the sender would get an error%s%s", *reason ? ": " : "", reason));
	else if (is(what, "again"))
		tell(t, "again", "note", at, json_sprintf("another server or connection is tried%s%s", *reason ? ": " : "", reason));
	else if (is(what, "waits"))
		tell(t, "waits", "note", at, json_string("it waits for DNS, a connection, or its turn"));
	else
		tell(t, what, "note", at, json_string(reason));
}

static void progress(struct test_im *t, json_t *rec)
{
	json_t *hops = json_object_get(rec, "hops");
	const char *verdict = text_of(rec, "verdict");
	if (!t->taken)
		tell(t, "taken", "ok", 0, json_string(t->to_local ? "made here as a stanza that the partner's stream has brought"
								  : "made here as a MESSAGE that the home has sent"));
	t->taken = true;
	if (!t->judged && *verdict) {
		t->judged = true;
		tell(t, "policy", is(verdict, "allowed") ? "ok" : "failed", 0,
		     is(verdict, "allowed") ? json_string("allowed: every rule passed")
					    : json_sprintf("refused by the rule %s: %s", text_of(rec, "rule"), text_of(rec, "detail")));
	}
	for (; t->hops < json_array_size(hops); t->hops++)
		tell_hop(t, rec, json_array_get(hops, t->hops));
}

/* Under the lock. */
static void key_drop(struct test_ims *s, size_t i)
{
	*s->keys[i].text = 0;
	s->keys[i].until = 0;
	atomic_fetch_sub(&s->n_keys, 1);
}

/* Under the lock: a free place, or that of the test which is over the longest; they are more than tests can run. */
static void key_keep(struct test_ims *s, const char *key)
{
	size_t best = KEYS;
	for (size_t i = 0; i < KEYS; i++)
		if (!*s->keys[i].text || (s->keys[i].until && (best == KEYS || (*s->keys[best].text && s->keys[i].until < s->keys[best].until))))
			best = i;
	if (*s->keys[best].text)
		key_drop(s, best);
	memcpy(s->keys[best].text, key, KEY);
	atomic_fetch_add(&s->n_keys, 1);
}

static void test_free(struct test_im *t)
{
	struct test_ims *s = t->all;
	timer_cancel(&pool_control(s->app->pool)->loop->timers, &t->timer);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < KEYS; i++)
		if (is(s->keys[i].text, t->key) && t->to_local && !t->ended)
			s->keys[i].until = clock_ms() + LATE_MS;
		else if (is(s->keys[i].text, t->key))
			key_drop(s, i);
	pthread_mutex_unlock(&s->lock);
	atomic_fetch_sub(&s->n, 1);
	list_remove(&t->node);
	mem_free(t->from);
	mem_free(t->to);
	mem_free(t->text);
	mem_free(t);
}

static void end(struct test_im *t, const struct entente_err *err)
{
	struct admin_task *task = t->task;
	test_free(t);
	if (task)
		admin_task_end(task, err);
}

static void finish(struct test_im *t, const char *result, json_t *rec)
{
	uint64_t took = clock_ms() - t->began;
	if (t->task)
		admin_task_event(t->task, json_pack("{s:s s:s s:I s:s s:s s:s}", "step", "verdict", "outcome", is(result, "delivered") ? "ok" : "failed", "took",
					 rec ? (json_int_t)t->last_ms : (json_int_t)took, "result", result, "reason", rec ? text_of(rec, "reason") : "",
					 "trace", rec ? text_of(rec, "id") : ""));
	end(t, NULL);
}

static void look(struct timer *timer, uint64_t now)
{
	struct test_im *t = CONTAINER_OF(timer, struct test_im, timer);
	struct admin_records what = {.id = slice_str(t->key), .most = 1};
	struct entente_err err = {0};
	json_t *list = json_array(), *rec;
	(void)now;
	if (t->all->app->stopping) { /* workers that have stopped do not answer any more: waiting for them would hold up the end */
		json_decref(list);
		err_set(&err, ENTENTE_ECLOSED, REASON_SERVER_SHUTDOWN, "the server is shutting down");
		end(t, &err);
		return;
	}
	int rc = facts_records(t->all->app, &what, list, &err);
	rec = json_array_get(list, 0);
	t->busy = true;
	if (rec)
		progress(t, rec);
	if (!t->task || (rc && rc != ENTENTE_ETIMEOUT)) {
		end(t, &err);
	} else if (rec && !is(text_of(rec, "outcome"), "open")) {
		t->ended = true;
		finish(t, text_of(rec, "outcome"), rec);
	} else if (clock_ms() - t->began >= t->timeout_ms) {
		finish(t, "timeout", rec);
	} else {
		t->busy = false;
		timer_arm(&pool_control(t->all->app->pool)->loop->timers, timer, LOOK_MS);
	}
	json_decref(list);
}

/* ---- life */

int test_im_begin(struct test_ims *s, const struct admin_test_im *what, struct admin_task *task, struct entente_err *err)
{
	char token[25];
	if (s->app->stopping)
		return err_set(err, ENTENTE_ECLOSED, REASON_SERVER_SHUTDOWN, "the server is shutting down");
	if (!s->app->config->limits_decision_log)
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_NONE, "what becomes of a message could not be seen: limits.decision-log is 0");
	if (atomic_load(&s->n) >= TEST_IMS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%d test messages are under way already", TEST_IMS_MAX);
	struct test_im *t = MEM_NEW(struct test_im);
	*t = (struct test_im){.all = s, .task = task, .began = clock_ms(), .timeout_ms = what->timeout_ms, .to_local = what->to_local, .home = what->home,
			      .from = mem_strndup(what->from.p, what->from.len), .to = mem_strndup(what->to.p, what->to.len),
			      .text = mem_strndup(what->text.p, what->text.len)};
	rand_token(token, 24);
	snprintf(t->key, sizeof t->key, "entente-test-%.24s", token);
	pthread_mutex_lock(&s->lock);
	key_keep(s, t->key);
	pthread_mutex_unlock(&s->lock);
	atomic_fetch_add(&s->n, 1);
	list_append(&s->list, &t->node);
	timer_init(&t->timer, look);
	timer_arm(&pool_control(s->app->pool)->loop->timers, &t->timer, LOOK_MS);
	send_order(t);
	return 0;
}

void test_im_cancel(struct test_ims *s, struct admin_task *task)
{
	LIST_EACH(n, &s->list) {
		struct test_im *t = CONTAINER_OF(n, struct test_im, node);
		if (t->task == task && t->busy)
			t->task = NULL;
		else if (t->task == task)
			test_free(t);
	}
}

/* Only an error of ours has the id that the partner's server has never seen. */
bool test_ims_take(struct test_ims *s, struct slice stanza)
{
	bool ours = false;
	if (!s || !atomic_load_explicit(&s->n_keys, memory_order_relaxed) || slice_find(stanza, S("type='error'")) < 0)
		return false;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < KEYS; i++) {
		if (s->keys[i].until && s->keys[i].until < clock_ms())
			key_drop(s, i);
		ours = ours || (*s->keys[i].text && slice_find(stanza, slice_str(s->keys[i].text)) >= 0);
	}
	pthread_mutex_unlock(&s->lock);
	return ours;
}

struct test_ims *test_ims_new(struct app *app)
{
	struct test_ims *s = MEM_NEW(struct test_ims);
	s->app = app;
	list_init(&s->list);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct test_ims *test_ims_free(struct test_ims *s)
{
	if (!s)
		return NULL;
	LIST_EACH(n, &s->list)
		test_free(CONTAINER_OF(n, struct test_im, node));
	pthread_mutex_destroy(&s->lock);
	return mem_free(s);
}
