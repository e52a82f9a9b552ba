/* SPDX-License-Identifier: Apache-2.0 */
#include "app/top.h"

#include "app/facts.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "policy/domain.h"

struct sample {
	uint64_t at, cpu_ms;
	int64_t metrics[METRIC_COUNT], refused[REASON_COUNT];
	struct metric_histogram_value histograms[HISTOGRAM_COUNT];
	json_t *partners; /* "x" or "s" and the domain: {in, out, open, queued} */
};

struct top {
	struct list node;
	struct tops *all;
	struct admin_task *task; /* NULL: nobody listens any more */
	bool busy;
	struct timer timer;
	uint32_t interval_ms, left;
	bool endless;
	struct sample before;
};

struct tops {
	struct app *app;
	struct list list;
	size_t n;
};

/* ---- a look */

static json_t *partner(struct sample *s, char kind, struct slice domain)
{
	char key[300];
	snprintf(key, sizeof key, "%c%.*s", kind, SFMT(domain));
	json_t *o = json_object_get(s->partners, key);
	if (!o)
		json_object_set_new(s->partners, key, o = json_object());
	return o;
}

static void add(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer(json_integer_value(json_object_get(o, key)) + (json_int_t)n));
}

static void look_stream(void *arg, const struct xmpp_proxy_facts *f)
{
	struct policy_domain d; /* streams name domains in U-labels */
	if (!policy_domain_import(&d, f->remote))
		return;
	json_t *o = partner(arg, 'x', slice_of(d.text, d.len));
	add(o, "in", f->stanzas_in);
	add(o, "out", f->stanzas_out);
	add(o, "open", slice_eq(slice_str(f->state), S("open")));
	add(o, "queued", f->queued);
}

static void look_connection(void *arg, const struct access_conn_facts *f)
{
	if (!f->domain.len)
		return;
	json_t *o = partner(arg, 's', f->domain);
	add(o, f->inbound ? "in" : "out", f->requests);
	add(o, "open", slice_eq(slice_str(f->state), S("up")));
}

static void look_node(struct node *n, void *arg)
{
	if (n->xmpp)
		xmpp_proxy_each(n->xmpp, look_stream, arg);
	if (n->access)
		access_each_conn(n->access, look_connection, arg);
}

static void sample_take(struct app *app, struct sample *s)
{
	struct metrics_process p;
	metrics_process(&p);
	*s = (struct sample){.at = clock_ms(), .cpu_ms = p.cpu_ms, .partners = json_object()};
	for (int i = 0; i < METRIC_COUNT; i++)
		s->metrics[i] = metric_get((enum metric)i);
	for (int i = 1; i < REASON_COUNT; i++)
		s->refused[i] = metric_refused_get(i);
	for (int i = 0; i < HISTOGRAM_COUNT; i++)
		metric_histogram_get((enum metric_histogram)i, &s->histograms[i]);
	nodes_call(app, look_node, s);
}

/* ---- what changed */

struct change {
	const struct sample *a, *b;
	double seconds;
};

static double per_second(const struct change *c, int64_t n)
{
	return n > 0 ? (double)n / c->seconds : 0;
}

static json_t *rate(const struct change *c, enum metric m)
{
	return json_real(per_second(c, c->b->metrics[m] - c->a->metrics[m]));
}

/* In ms; within a bucket as if they were spread evenly. */
static double quantile(const int64_t *buckets, double q)
{
	double want = q * (double)buckets[METRIC_BUCKETS];
	for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
		double low = i ? metric_bucket(i - 1) : 0, under = i ? (double)buckets[i - 1] : 0, here = (double)buckets[i] - under;
		if ((double)buckets[i] >= want && here > 0)
			return low + (metric_bucket(i) - low) * (want - under) / here;
	}
	return metric_bucket(METRIC_BUCKETS - 1);
}

static void latency(json_t *o, const struct change *c, const char *key, enum metric_histogram h)
{
	int64_t d[METRIC_BUCKETS + 1];
	for (unsigned i = 0; i <= METRIC_BUCKETS; i++)
		d[i] = c->b->histograms[h].buckets[i] - c->a->histograms[h].buckets[i];
	if (d[METRIC_BUCKETS] > 0)
		json_object_set_new(o, key, json_pack("{s:I s:f s:f}", "messages", (json_int_t)d[METRIC_BUCKETS], "half_ms", quantile(d, 0.5), "most_ms", quantile(d, 0.95)));
}

static int by_rate(const void *a, const void *b)
{
	double x = json_number_value(json_object_get(*(json_t *const *)a, "rate")), y = json_number_value(json_object_get(*(json_t *const *)b, "rate"));
	return x < y ? 1 : x > y ? -1 : 0;
}

/* The TOP_ROWS largest of `all`, whose reference it takes. */
static json_t *largest(json_t *all)
{
	size_t n = json_array_size(all);
	json_t **v = mem_calloc(n + 1, sizeof(json_t *)), *ret = json_array();
	for (size_t i = 0; i < n; i++)
		v[i] = json_array_get(all, i);
	qsort(v, n, sizeof *v, by_rate);
	for (size_t i = 0; i < n && i < TOP_ROWS; i++)
		json_array_append(ret, v[i]);
	mem_free(v);
	json_decref(all);
	return ret;
}

static json_t *refusals(const struct change *c)
{
	json_t *all = json_array();
	for (int r = 1; r < REASON_COUNT; r++)
		if (c->b->refused[r] > c->a->refused[r])
			json_array_append_new(all, json_pack("{s:s s:f s:I}", "reason", reason_info((enum reason)r)->id, "rate",
							     per_second(c, c->b->refused[r] - c->a->refused[r]), "total", (json_int_t)c->b->refused[r]));
	return largest(all);
}

static double moved(const struct change *c, json_t *now, json_t *then, const char *key)
{
	return per_second(c, json_integer_value(json_object_get(now, key)) - json_integer_value(json_object_get(then, key)));
}

static json_t *partners(const struct change *c)
{
	json_t *all = json_array(), *o;
	const char *key;
	json_object_foreach(c->b->partners, key, o) {
		json_t *then = json_object_get(c->a->partners, key);
		double in = moved(c, o, then, "in"), out = moved(c, o, then, "out");
		json_array_append_new(all, json_pack("{s:s s:s s:f s:f s:f s:I s:I}", "partner", key + 1, "protocol", *key == 's' ? "sip" : "xmpp", "in", in, "out", out,
						     "rate", in + out, "connections", json_integer_value(json_object_get(o, "open")), "waiting",
						     json_integer_value(json_object_get(o, "queued"))));
	}
	return largest(all);
}

static json_t *picture(struct app *app, const struct sample *a, const struct sample *b)
{
	struct change c = {a, b, (double)(b->at > a->at ? b->at - a->at : 1) / 1000};
	struct metrics_process p;
	char at[CLOCK_TEXT];
	json_t *rates = json_object(), *slow = json_object();
	static const struct {
		const char *key;
		enum metric m;
	} rows[] = {{"sip_to_xmpp", METRIC_MSG_SIP_XMPP_DELIVERED}, {"xmpp_to_sip", METRIC_MSG_XMPP_SIP_DELIVERED}, {"sip_to_sip", METRIC_MSG_SIP_SIP_MESSAGE_DELIVERED},
		    {"sip_in", METRIC_SIP_REQUESTS_IN}, {"sip_out", METRIC_SIP_REQUESTS_OUT}, {"stanzas_in", METRIC_XMPP_STANZAS_IN},
		    {"stanzas_out", METRIC_XMPP_STANZAS_OUT}, {"refused", METRIC_REFUSED}, {"limits", METRIC_LIMIT_HITS}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		json_object_set_new(rates, rows[i].key, rate(&c, rows[i].m));
	latency(slow, &c, "sip_to_xmpp", HISTOGRAM_LATENCY_SIP_XMPP);
	latency(slow, &c, "xmpp_to_sip", HISTOGRAM_LATENCY_XMPP_SIP);
	latency(slow, &c, "sip_to_sip", HISTOGRAM_LATENCY_SIP_SIP);
	metrics_process(&p);
	clock_text(at);
	return json_pack("{s:s s:s s:f s:I s:o s:o s:o s:o s:{s:I s:I s:I s:I} s:f s:I}", "at", at, "server", app->config->server_name, "seconds", c.seconds, "uptime",
			 (json_int_t)((clock_ms() - app->started_ms) / 1000), "rates", rates, "latency", slow, "refusals", refusals(&c), "partners", partners(&c),
			 "connections", "xmpp_in", (json_int_t)b->metrics[METRIC_XMPP_STREAMS_IN], "xmpp_out", (json_int_t)b->metrics[METRIC_XMPP_STREAMS_OUT], "sip",
			 (json_int_t)b->metrics[METRIC_SIP_CONNECTIONS], "subscriptions",
			 (json_int_t)(b->metrics[METRIC_SUBSCRIPTIONS_TO_SIP] + b->metrics[METRIC_SUBSCRIPTIONS_TO_XMPP]), "cpu",
			 (double)(b->cpu_ms - a->cpu_ms) / 10 / c.seconds, "memory", (json_int_t)p.resident_octets);
}

/* ---- life */

static void top_free(struct top *t)
{
	timer_cancel(&pool_control(t->all->app->pool)->loop->timers, &t->timer);
	list_remove(&t->node);
	t->all->n--;
	json_decref(t->before.partners);
	mem_free(t);
}

static void fired(struct timer *timer, uint64_t now)
{
	struct top *t = CONTAINER_OF(timer, struct top, timer);
	struct app *app = t->all->app;
	struct sample s;
	(void)now;
	if (app->stopping) { /* workers that have stopped do not answer any more: waiting for them would hold up the end */
		struct entente_err err;
		struct admin_task *listener = t->task;
		err_set(&err, ENTENTE_ECLOSED, REASON_SERVER_SHUTDOWN, "the server is shutting down");
		top_free(t);
		admin_task_end(listener, &err);
		return;
	}
	sample_take(app, &s);
	t->busy = true; /* who is told may go away */
	admin_task_event(t->task, picture(app, &t->before, &s));
	t->busy = false;
	json_decref(t->before.partners);
	t->before = s;
	struct admin_task *task = t->task;
	if (!task || (!t->endless && !--t->left)) {
		top_free(t);
		if (task)
			admin_task_end(task, NULL);
		return;
	}
	timer_arm(&pool_control(app->pool)->loop->timers, timer, t->interval_ms);
}

int top_begin(struct tops *s, uint32_t interval_ms, uint32_t count, struct admin_task *task, struct entente_err *err)
{
	if (s->n >= TOPS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "%d live views run already", TOPS_MAX);
	struct top *t = MEM_NEW(struct top);
	*t = (struct top){.all = s, .task = task, .interval_ms = interval_ms, .left = count, .endless = !count};
	list_append(&s->list, &t->node);
	s->n++;
	sample_take(s->app, &t->before);
	timer_init(&t->timer, fired);
	timer_arm(&pool_control(s->app->pool)->loop->timers, &t->timer, interval_ms);
	return 0;
}

void top_cancel(struct tops *s, struct admin_task *task)
{
	LIST_EACH(n, &s->list) {
		struct top *t = CONTAINER_OF(n, struct top, node);
		if (t->task == task && t->busy)
			t->task = NULL;
		else if (t->task == task)
			top_free(t);
	}
}

struct tops *tops_new(struct app *app)
{
	struct tops *s = MEM_NEW(struct tops);
	s->app = app;
	list_init(&s->list);
	return s;
}

struct tops *tops_free(struct tops *s)
{
	if (!s)
		return NULL;
	LIST_EACH(n, &s->list)
		top_free(CONTAINER_OF(n, struct top, node));
	return mem_free(s);
}
