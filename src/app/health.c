/* SPDX-License-Identifier: Apache-2.0 */
#include "app/health.h"

#include <stdatomic.h>
#include <systemd/sd-daemon.h>
#include "app/app.h"
#include "app/split.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"

struct pulse { /* of one worker */
	struct bus_msg bus;
	struct node *node;
	_Atomic bool asked;       /* the question is on its way */
	_Atomic uint64_t answered;
	_Atomic unsigned homes, homes_down;
};

struct health {
	struct app *app;
	struct timer tick;
	uint64_t watchdog_ms;     /* how often systemd wants to hear of us; 0: never */
	uint64_t told;
	unsigned n;
	struct pulse pulses[];
};

struct count {
	unsigned homes, down;
};

static void count_home(void *arg, const struct sip_edge_facts *f)
{
	struct count *c = arg;
	c->homes++;
	c->down += slice_eq(slice_str(f->state), S("down"));
}

/* On the worker. */
static void pulse_run(struct worker *w, struct bus_msg *b)
{
	struct pulse *p = CONTAINER_OF(b, struct pulse, bus);
	struct count c = {0};
	(void)w;
	if (p->node->sip)
		sip_edge_each_home(p->node->sip, count_home, &c);
	atomic_store(&p->homes, c.homes);
	atomic_store(&p->homes_down, c.down);
	atomic_store(&p->answered, clock_ms());
	atomic_store(&p->asked, false);
}

static void tick_fired(struct timer *t, uint64_t now)
{
	struct health *h = CONTAINER_OF(t, struct health, tick);
	for (unsigned i = 0; i < h->n; i++) {
		struct pulse *p = &h->pulses[i];
		if (!atomic_exchange(&p->asked, true)) {
			p->bus = (struct bus_msg){.run = pulse_run};
			worker_post_always(pool_worker(h->app->pool, i), &p->bus);
		}
	}
	if (h->watchdog_ms && now - h->told >= h->watchdog_ms / 4 && health_alive(h->app, NULL)) {
		sd_notify(0, "WATCHDOG=1");
		h->told = now;
	}
	timer_arm(&pool_control(h->app->pool)->loop->timers, t, HEALTH_TICK_MS);
}

struct health *health_new(struct app *app)
{
	unsigned n = pool_workers(app->pool);
	struct health *h = mem_calloc(1, sizeof *h + n * sizeof *h->pulses);
	uint64_t usec = 0;
	h->app = app;
	h->n = n;
	for (unsigned i = 0; i < n; i++) {
		h->pulses[i].node = &app->nodes[i];
		atomic_store(&h->pulses[i].answered, clock_ms());
	}
	if (sd_watchdog_enabled(0, &usec) > 0)
		h->watchdog_ms = usec / 1000;
	timer_init(&h->tick, tick_fired);
	timer_arm(&pool_control(app->pool)->loop->timers, &h->tick, 0);
	return h;
}

struct health *health_free(struct health *h)
{
	return mem_free(h);
}

bool health_alive(const struct app *app, struct buf *why)
{
	const struct health *h = app->health;
	uint64_t now = clock_ms();
	bool alive = true;
	for (unsigned i = 0; h && i < h->n; i++) {
		uint64_t answered = atomic_load(&h->pulses[i].answered);
		if (answered + HEALTH_STUCK_MS >= now)
			continue;
		if (why)
			buf_printf(why, "%sworker %u has not answered for %ju s", alive ? "" : "; ", i, (uintmax_t)(now - answered) / 1000);
		alive = false;
	}
	return alive;
}

static bool check(json_t *checks, const char *name, bool ok, const char *yes, const char *no)
{
	if (checks)
		json_array_append_new(checks, json_pack("{s:s s:b s:s}", "check", name, "ok", ok, "text", ok ? yes : no));
	return ok;
}

/* Where every worker finds every home unreachable, nothing can be delivered here. */
static bool some_home(const struct app *app)
{
	const struct health *h = app->health;
	unsigned homes = 0, down = 0;
	for (unsigned i = 0; h && i < h->n; i++) {
		homes += atomic_load(&h->pulses[i].homes);
		down += atomic_load(&h->pulses[i].homes_down);
	}
	return !homes || down < homes;
}

static bool has_policy(const struct app *app)
{
	struct snapshot *s = snapshot_slot_acquire((struct snapshot_slot *)(uintptr_t)&app->policy);
	snapshot_unref(s);
	return s && (app->role != CONFIG_EDGE || edge_has_policy(app));
}

bool health_ready(const struct app *app, json_t *checks)
{
	const struct tls_peer *cert = app->tls ? tls_material_facts(app->tls, TLS_SLOT_SERVER) : NULL;
	struct buf why;
	bool ok = true;
	buf_init(&why, 65536);
	ok &= check(checks, "state", !app->stopping, "running", "the server is shutting down");
	bool alive = health_alive(app, &why);
	buf_putc(&why, 0);
	ok &= check(checks, "workers", alive, "every worker answers", buf_slice(&why).p);
	ok &= check(checks, "policy", has_policy(app), "a policy is in force", "there is no policy in force yet: the gateway has not connected");
	ok &= check(checks, "listeners", app->serving, "the listeners for partners and homes are open", "the listeners for partners are not open; the log says why");
	if (app->role != CONFIG_EDGE) {
		ok &= check(checks, "store", !atomic_load(&app->store_failing), "the database can be written", "the database cannot be written: is the disk full?");
		ok &= check(checks, "homes", some_home(app), "a home can be reached, or none was needed yet", "no home can be reached: entente show homes");
	}
	if (app->split)
		ok &= check(checks, "links", metric_get(METRIC_LINKS) > 0, "the other half of the server is connected",
			    app->role == CONFIG_EDGE ? "the gateway is not connected" : "no edge is connected");
	if (cert)
		ok &= check(checks, "certificate", cert->not_after > clock_unix(), "our certificate is in force", "our certificate has expired: renew it, then entente reload");
	buf_free(&why);
	return ok;
}
