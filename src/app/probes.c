/* SPDX-License-Identifier: Apache-2.0 */
#include "app/probes.h"

#include <stdio.h>
#include "app/app.h"
#include "app/json.h"
#include "app/seeing.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "policy/federation.h"

enum { SOON_MS = 5000, BUSY_MS = 1000, TIMEOUT_MS = 30000, PROBLEMS_MAX = 10, KEY_MAX = 300 };

struct probe { /* one partner by one protocol */
	struct map_node node; /* key: "x" or "s", then the domain */
	char *key;            /* owned */
	bool seen;            /* it is still in the policy */
	struct probe_result last;
	uint64_t tried;       /* when the last one began, monotonic; 0: never */
	unsigned failures;    /* in a row */
	char step[32], reason[64], who[16], text[320];
};

struct probes {
	struct app *app;
	struct map all;
	struct timer timer;
	struct probe *running;
	bool verdict;         /* of the running one has come */
	uint64_t test;        /* its number */
};

static struct slice domain_of(const struct probe *p)
{
	return slice_str(p->key + 1);
}

static bool is_sip(const struct probe *p)
{
	return *p->key == 's';
}

static struct probe *find(const struct probes *p, struct slice domain, bool sip)
{
	char key[KEY_MAX];
	int n = snprintf(key, sizeof key, "%c%.*s", sip ? 's' : 'x', SFMT(domain));
	struct map_node *m = n > 0 && (size_t)n < sizeof key ? map_find((struct map *)(uintptr_t)&p->all, slice_of(key, (size_t)n)) : NULL;
	return m ? CONTAINER_OF(m, struct probe, node) : NULL;
}

/* ---- whom */

static void want(struct probes *p, struct slice domain, bool sip)
{
	struct probe *one = find(p, domain, sip);
	if (!one) {
		if (p->all.count >= PROBES_MAX || domain.len > KEY_MAX - 2)
			return;
		one = MEM_NEW(struct probe);
		one->key = mem_calloc(1, domain.len + 2);
		one->key[0] = sip ? 's' : 'x';
		memcpy(one->key + 1, domain.p, domain.len);
		map_insert(&p->all, &one->node, slice_of(one->key, domain.len + 1));
	}
	one->seen = true;
}

static void forget(struct probes *p, struct probe *one)
{
	map_remove(&p->all, &one->node);
	mem_free(one->key);
	mem_free(one);
}

static void look_at_policy(struct probes *p, const struct snapshot *s)
{
	size_t i;
	MAP_EACH(n, &p->all, i)
		CONTAINER_OF(n, struct probe, node)->seen = false;
	for (size_t k = 0; k < snapshot_partner_count(s); k++)
		if (snapshot_partner_at(s, k)->enabled)
			want(p, snapshot_partner_at(s, k)->domain, false);
	for (size_t k = 0; p->app->role == CONFIG_ALL && p->app->access_shared && snapshot_access(s)->federated_users && k < snapshot_allowed_count(s); k++)
		want(p, snapshot_allowed_at(s, k)->domain, true);
	MAP_EACH(n, &p->all, i) {
		struct probe *one = CONTAINER_OF(n, struct probe, node);
		if (!one->seen && one != p->running)
			forget(p, one);
	}
}

/* Whose last one is longest ago. */
static struct probe *next_one(struct probes *p)
{
	struct probe *best = NULL;
	size_t i;
	MAP_EACH(n, &p->all, i) {
		struct probe *one = CONTAINER_OF(n, struct probe, node);
		if (one->seen && (!best || one->tried < best->tried))
			best = one;
	}
	return best;
}

/* ---- when */

static uint64_t interval(const struct probes *p)
{
	return p->app->config->probes_interval;
}

static void arm(struct probes *p, uint64_t ms)
{
	timer_arm(&pool_control(p->app->pool)->loop->timers, &p->timer, ms);
}

/* Spread over the interval, each with a quarter of jitter; those that nothing is known of come soon. */
static void plan(struct probes *p)
{
	const struct probe *one = next_one(p);
	uint64_t gap = interval(p) / (p->all.count ? p->all.count : 1);
	if (one && !one->tried && gap > SOON_MS)
		gap = SOON_MS;
	gap = gap * 3 / 4 + rand_below((uint32_t)(gap / 2) + 1);
	if (!timer_armed(&p->timer) || p->timer.due > pool_control(p->app->pool)->loop->timers.now + gap)
		arm(p, gap);
}

/* ---- what came of it */

static void put(char *dst, size_t size, json_t *o, const char *key)
{
	const char *z = json_string_value(json_object_get(o, key));
	slice_cstr(utf8_first(slice_str(z ? z : ""), size - 1), dst, size);
}

static void record(struct probe *one, bool ok, uint32_t took)
{
	bool changed = !one->last.at || one->last.ok != ok;
	struct slice proto = is_sip(one) ? S("sip") : S("xmpp");
	one->failures = ok ? 0 : one->failures + 1;
	one->last = (struct probe_result){.ok = ok, .at = clock_unix(), .took_ms = took};
	if (ok)
		*one->step = *one->reason = *one->who = *one->text = 0;
	if (changed && ok)
		log_ev(LOG_INFO, "probe/partner-up", {"partner", domain_of(one)}, {"protocol", proto});
	else if (changed)
		log_ev(LOG_WARNING, "probe/partner-down", {"partner", domain_of(one)}, {"protocol", proto}, {"step", slice_str(one->step)},
		       {"reason", slice_str(one->reason)}, {"who", slice_str(one->who)}, {"text", slice_str(one->text)});
}

static void on_event(void *arg, json_t *e)
{
	struct probes *p = arg;
	const char *step = json_string_value(json_object_get(e, "step")), *outcome = json_string_value(json_object_get(e, "outcome"));
	if (p->running && step && outcome && !p->verdict && slice_eq(slice_str(step), S("verdict"))) {
		bool ok = slice_eq(slice_str(outcome), S("ok"));
		p->verdict = true;
		put(p->running->step, sizeof p->running->step, json_object_get(e, "facts"), "step");
		put(p->running->reason, sizeof p->running->reason, e, "reason");
		put(p->running->who, sizeof p->running->who, e, "who");
		put(p->running->text, sizeof p->running->text, e, "text");
		record(p->running, ok, (uint32_t)json_integer_value(json_object_get(e, "took")));
	}
	json_decref(e);
}

static void on_end(void *arg, const struct entente_err *err)
{
	struct probes *p = arg;
	struct probe *one = p->running;
	p->running = NULL;
	if (one && !p->verdict && err && err->code == ENTENTE_ELIMIT) {
		one->tried = 0; /* administrators test: it is this one's turn again */
		arm(p, BUSY_MS);
		return;
	}
	if (one && !p->verdict && err) {
		slice_cstr(utf8_first(slice_str(err->text), sizeof one->text - 1), one->text, sizeof one->text);
		slice_cstr(slice_str(reason_info(err->reason)->id), one->reason, sizeof one->reason);
		record(one, false, 0);
	}
	if (interval(p) && !p->app->stopping)
		plan(p);
}

static struct slice ours(const struct snapshot *s)
{
	for (size_t i = 0; i < snapshot_home_count(s); i++)
		if (snapshot_home(s, i)->n_domains)
			return snapshot_home(s, i)->domains[0];
	return SLICE_NONE;
}

static void fired(struct timer *t, uint64_t now)
{
	static const struct seeing_sink sink = {.event = on_event, .end = on_end};
	struct probes *p = CONTAINER_OF(t, struct probes, timer);
	struct entente_err err = {0};
	struct snapshot *s = snapshot_slot_acquire(&p->app->policy);
	if (!s || !interval(p) || p->app->stopping || p->app->role == CONFIG_GATEWAY || p->running)
		goto out;
	look_at_policy(p, s);
	struct probe *one = next_one(p);
	struct slice from = ours(s);
	if (!one || slice_empty(from)) {
		arm(p, SOON_MS);
		goto out;
	}
	struct admin_test what = {.domain = domain_of(one), .from = from, .timeout_ms = TIMEOUT_MS,
				  .protocol = is_sip(one) ? ADMIN_PROTOCOL_SIP : ADMIN_PROTOCOL_XMPP};
	one->tried = now ? now : 1;
	p->running = one;
	p->verdict = false;
	if (seeing_test_for(p->app->seeing, &what, &sink, p, &p->test, &err))
		on_end(p, &err);
out:
	snapshot_unref(s);
}

/* ---- asked */

bool probes_result(const struct probes *p, struct slice domain, bool sip, struct probe_result *ret)
{
	const struct probe *one = p ? find(p, domain, sip) : NULL;
	if (one)
		*ret = one->last;
	return one;
}

static int by_key(const void *a, const void *b)
{
	const struct probe *x = *(const struct probe *const *)a, *y = *(const struct probe *const *)b;
	return strcmp(x->key + 1, y->key + 1) ? strcmp(x->key + 1, y->key + 1) : strcmp(x->key, y->key);
}

/* In the order of their domains; owned. */
static const struct probe **sorted(const struct probes *p)
{
	const struct probe **list = mem_calloc(p->all.count + 1, sizeof *list);
	size_t n = 0, i;
	MAP_EACH(m, &p->all, i)
		list[n++] = CONTAINER_OF(m, struct probe, node);
	qsort(list, n, sizeof *list, by_key);
	return list;
}

void probes_rows(const struct probes *p, json_t *array)
{
	const struct probe **list = p ? sorted(p) : NULL;
	for (size_t i = 0; p && list[i]; i++) {
		const struct probe *one = list[i];
		char at[CLOCK_TEXT] = "";
		json_t *o = json_object();
		if (one->last.at)
			clock_text_at(one->last.at, at);
		json_put(o, "partner", domain_of(one));
		json_put(o, "protocol", is_sip(one) ? S("sip") : S("xmpp"));
		json_put(o, "result", one == p->running ? S("running") : !one->last.at ? S("pending") : one->last.ok ? S("up") : S("down"));
		json_put(o, "at", slice_str(at));
		if (one->last.at)
			json_put_int(o, "took", one->last.took_ms);
		json_put_int(o, "failures", one->failures);
		json_put(o, "step", slice_str(one->step));
		json_put(o, "reason", slice_str(one->reason));
		json_put(o, "who", slice_str(one->who));
		json_put(o, "text", slice_str(one->text));
		json_array_append_new(array, o);
	}
	mem_free(list);
}

void probes_problems(const struct probes *p, json_t *problems)
{
	const struct probe **list = p ? sorted(p) : NULL;
	size_t down = 0;
	for (size_t i = 0; p && list[i]; i++) {
		const struct probe *one = list[i];
		if (!one->failures || ++down > PROBLEMS_MAX)
			continue;
		json_array_append_new(problems, json_sprintf("partner %s does not answer by %s (%u %s): %s", one->key + 1, is_sip(one) ? "SIP" : "XMPP",
							     one->failures, one->failures == 1 ? "probe" : "probes in a row", *one->text ? one->text : one->reason));
	}
	if (down > PROBLEMS_MAX)
		json_array_append_new(problems, json_sprintf("%zu more partners do not answer: entente show probes", down - PROBLEMS_MAX));
	mem_free(list);
}

/* ---- life */

void probes_wake(struct probes *p)
{
	struct snapshot *s = p ? snapshot_slot_acquire(&p->app->policy) : NULL;
	if (p && !interval(p))
		timer_cancel(&pool_control(p->app->pool)->loop->timers, &p->timer);
	if (s && interval(p))
		look_at_policy(p, s);
	if (p && interval(p) && !p->running)
		plan(p);
	snapshot_unref(s);
}

struct probes *probes_new(struct app *app)
{
	struct probes *p = MEM_NEW(struct probes);
	p->app = app;
	map_init(&p->all);
	timer_init(&p->timer, fired);
	probes_wake(p);
	return p;
}

struct probes *probes_free(struct probes *p)
{
	size_t i;
	if (!p)
		return NULL;
	timer_cancel(&pool_control(p->app->pool)->loop->timers, &p->timer);
	if (p->running)
		seeing_cancel_for(p->app->seeing, p->test);
	p->running = NULL;
	MAP_EACH(n, &p->all, i)
		forget(p, CONTAINER_OF(n, struct probe, node));
	map_free(&p->all);
	return mem_free(p);
}
