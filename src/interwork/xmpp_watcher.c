/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/xmpp_watcher.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "sip/uri.h"

enum { MAX_PIDF = 65536, PIDF_ARENA = 1 << 20, PROBATION_S = 60, GIVEUP_S = 300 };

struct xmpp_watcher {
	const struct xmpp_watcher_ops *ops;
	void *arg;
	struct timers *timers;
	struct timer retry;
	struct xmpp_watcher_config cfg;
	enum xmpp_watcher_state state;
	bool authorised;
	bool fresh_dialog;  /* a 481 was already answered with one new dialog */
	uint32_t backoff_s; /* the next wait, 0 at first */
	char *entity;       /* owned */
	struct presence_set shown; /* what the watcher has been told */
};

const char *xmpp_watcher_state_name(enum xmpp_watcher_state s)
{
	static const char *const name[] = {"none", "trying", "neutral", "active", "wait", "dormant", "final"};
	return name[s];
}

static void start(struct xmpp_watcher *w)
{
	timer_cancel(w->timers, &w->retry);
	w->state = XMPP_WATCHER_TRYING;
	w->ops->subscribe(w->arg, w->cfg.expires);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct xmpp_watcher *w = CONTAINER_OF(t, struct xmpp_watcher, retry);
	(void)now;
	start(w);
}

struct xmpp_watcher *xmpp_watcher_new(const struct xmpp_watcher_ops *ops, void *arg, struct timers *timers,
				      const struct xmpp_watcher_config *cfg, struct slice entity_uri, bool authorised)
{
	struct xmpp_watcher *w = MEM_NEW(struct xmpp_watcher);
	w->ops = ops;
	w->arg = arg;
	w->timers = timers;
	w->cfg = *cfg;
	w->entity = mem_strndup(entity_uri.p, entity_uri.len);
	w->authorised = authorised;
	timer_init(&w->retry, retry_fired);
	return w;
}

struct xmpp_watcher *xmpp_watcher_free(struct xmpp_watcher *w)
{
	if (!w)
		return NULL;
	timer_cancel(w->timers, &w->retry);
	presence_set_free(&w->shown);
	mem_free(w->entity);
	return mem_free(w);
}

enum xmpp_watcher_state xmpp_watcher_state(const struct xmpp_watcher *w)
{
	return w->state;
}

bool xmpp_watcher_authorised(const struct xmpp_watcher *w)
{
	return w->authorised;
}

const struct presence_set *xmpp_watcher_presence(const struct xmpp_watcher *w)
{
	return &w->shown;
}

void xmpp_watcher_set_hide_notes(struct xmpp_watcher *w, bool hide)
{
	w->cfg.hide_notes = hide;
}

/* ---- towards the watcher */

static void tell(struct xmpp_watcher *w, const struct presence_item *it)
{
	w->ops->stanza(w->arg, XMPP_WATCHER_PRESENCE, it);
}

static void tell_offline(struct xmpp_watcher *w)
{
	bool any = false;
	for (size_t i = 0; i < w->shown.count; i++) {
		struct presence_item off = {.resource = w->shown.items[i].resource, .show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
		if (w->shown.items[i].show == PRESENCE_OFFLINE)
			continue;
		tell(w, &off);
		any = true;
	}
	presence_set_free(&w->shown);
	if (!any) {
		struct presence_item bare = {.show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
		tell(w, &bare);
	}
}

void xmpp_watcher_announce(struct xmpp_watcher *w)
{
	bool any = false;
	if (w->state != XMPP_WATCHER_ACTIVE && w->state != XMPP_WATCHER_FINAL)
		return;
	for (size_t i = 0; i < w->shown.count; i++)
		if (w->shown.items[i].show != PRESENCE_OFFLINE) {
			tell(w, &w->shown.items[i]);
			any = true;
		}
	if (!any) {
		struct presence_item bare = {.show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
		tell(w, &bare);
	}
}

static void set_authorised(struct xmpp_watcher *w, bool yes)
{
	if (w->authorised != yes) {
		w->authorised = yes;
		w->ops->authorise(w->arg, yes);
	}
}

/* Refused for good: the watcher's roster learns it. */
static void refuse(struct xmpp_watcher *w)
{
	timer_cancel(w->timers, &w->retry);
	w->state = XMPP_WATCHER_NONE;
	if (w->shown.count)
		tell_offline(w);
	set_authorised(w, false);
	w->ops->stanza(w->arg, XMPP_WATCHER_UNSUBSCRIBED, NULL);
}

/* Failed for now: keep the authorisation, show nothing stale, come back later (interworking spec 3.1: x2, +-20 %). */
static void wait_for(struct xmpp_watcher *w, uint32_t seconds)
{
	if (w->shown.count)
		tell_offline(w);
	if (!seconds) {
		w->backoff_s = w->backoff_s ? w->backoff_s * 2 : w->cfg.backoff_min_s;
		if (w->backoff_s > w->cfg.backoff_max_s)
			w->backoff_s = w->cfg.backoff_max_s;
		seconds = w->backoff_s;
	}
	if (seconds > w->cfg.backoff_max_s)
		seconds = w->cfg.backoff_max_s;
	uint64_t ms = (uint64_t)seconds * 800 + rand_below((uint64_t)seconds * 400 + 1);
	w->state = XMPP_WATCHER_WAIT;
	timer_arm(w->timers, &w->retry, ms);
}

/* ---- from the XMPP side */

void xmpp_watcher_subscribe(struct xmpp_watcher *w)
{
	switch (w->state) {
	case XMPP_WATCHER_TRYING:
	case XMPP_WATCHER_NEUTRAL:
		if (w->authorised)
			w->ops->stanza(w->arg, XMPP_WATCHER_SUBSCRIBED, NULL);
		return;
	case XMPP_WATCHER_ACTIVE:
		w->ops->stanza(w->arg, XMPP_WATCHER_SUBSCRIBED, NULL);
		xmpp_watcher_announce(w);
		return;
	default:
		if (w->authorised)
			w->ops->stanza(w->arg, XMPP_WATCHER_SUBSCRIBED, NULL);
		start(w);
	}
}

void xmpp_watcher_probe(struct xmpp_watcher *w)
{
	if (!w->authorised) {
		if (w->state == XMPP_WATCHER_NONE)
			w->ops->stanza(w->arg, XMPP_WATCHER_UNSUBSCRIBED, NULL); /* RFC 6121 4.3.2 */
		return;
	}
	if (w->state == XMPP_WATCHER_NONE || w->state == XMPP_WATCHER_DORMANT)
		start(w);
	else
		xmpp_watcher_announce(w);
}

void xmpp_watcher_unsubscribe(struct xmpp_watcher *w)
{
	bool dialog = w->state == XMPP_WATCHER_TRYING || w->state == XMPP_WATCHER_NEUTRAL || w->state == XMPP_WATCHER_ACTIVE;
	timer_cancel(w->timers, &w->retry);
	w->state = XMPP_WATCHER_NONE;
	if (dialog)
		w->ops->unsubscribe(w->arg);
	set_authorised(w, false);
	w->ops->stanza(w->arg, XMPP_WATCHER_UNSUBSCRIBED, NULL);
	tell_offline(w);
}

void xmpp_watcher_sleep(struct xmpp_watcher *w)
{
	if (!w->authorised || w->state == XMPP_WATCHER_NONE || w->state == XMPP_WATCHER_DORMANT || w->state == XMPP_WATCHER_FINAL)
		return;
	bool dialog = w->state != XMPP_WATCHER_WAIT;
	timer_cancel(w->timers, &w->retry);
	w->state = XMPP_WATCHER_DORMANT;
	presence_set_free(&w->shown);
	if (dialog)
		w->ops->unsubscribe(w->arg);
}

void xmpp_watcher_resume(struct xmpp_watcher *w, uint64_t delay_ms)
{
	w->state = XMPP_WATCHER_WAIT;
	timer_arm(w->timers, &w->retry, delay_ms);
}

/* ---- from the SIP side */

void xmpp_watcher_accepted(struct xmpp_watcher *w)
{
	w->fresh_dialog = false;
	if (w->state == XMPP_WATCHER_TRYING)
		w->state = XMPP_WATCHER_NEUTRAL; /* nothing to XMPP yet: 2xx is not approval (RFC 8048 5.2.1) */
}

void xmpp_watcher_rejected(struct xmpp_watcher *w, int status, uint32_t retry_after)
{
	if (w->state == XMPP_WATCHER_NONE || w->state == XMPP_WATCHER_DORMANT)
		return;
	switch (status) {
	case 401: case 403: case 404: case 407: case 489: case 501: case 603: case 604:
		refuse(w);
		return;
	case 481:
		if (!w->fresh_dialog) {
			w->fresh_dialog = true;
			start(w);
			return;
		}
		break;
	default:
		break;
	}
	wait_for(w, retry_after);
}

void xmpp_watcher_lost(struct xmpp_watcher *w)
{
	if (w->state == XMPP_WATCHER_TRYING || w->state == XMPP_WATCHER_NEUTRAL || w->state == XMPP_WATCHER_ACTIVE)
		wait_for(w, 0);
}

/* Makes what the watcher sees equal to the document: one stanza per change, unavailable for a tuple that vanished. */
static void apply(struct xmpp_watcher *w, struct pidf *doc)
{
	struct presence_set gone = w->shown;
	struct presence_set now = {0};
	int64_t clock = clock_unix();
	w->shown = (struct presence_set){0};
	for (size_t i = 0; i < doc->count; i++) {
		struct presence_item it = doc->items[i];
		if (w->cfg.hide_notes)
			it.note = it.lang = SLICE_NONE;
		if (it.stamp > clock - 60)
			it.stamp = 0; /* as good as now: no delay stamp */
		presence_set_put(&now, &it);
	}
	for (size_t i = 0; i < now.count; i++) {
		const struct presence_item *it = &now.items[i], *old = presence_set_find(&gone, it->resource);
		bool change = !old ? it->show != PRESENCE_OFFLINE
				   : old->show != it->show || old->priority != it->priority || !slice_eq(old->note, it->note) ||
					     !slice_eq(old->lang, it->lang);
		if (change)
			tell(w, it);
		presence_set_remove(&gone, it->resource);
	}
	for (size_t i = 0; i < gone.count; i++)
		if (gone.items[i].show != PRESENCE_OFFLINE) {
			struct presence_item off = {.resource = gone.items[i].resource, .show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
			tell(w, &off);
		}
	presence_set_free(&gone);
	w->shown = now;
}

/* Is the document about our presentity? Peers write the entity with sip:, pres:, or no scheme at all. */
static bool same_entity(struct slice entity, struct slice ours)
{
	ptrdiff_t i = slice_find_chr(entity, ':');
	if (i >= 0 && (size_t)i < 5)
		entity = slice_skip(entity, (size_t)i + 1);
	i = slice_find_chr(ours, ':');
	ours = slice_skip(ours, (size_t)(i + 1));
	i = slice_find_chr(entity, ';');
	if (i >= 0)
		entity.len = (size_t)i;
	return slice_ieq(entity, ours);
}

/* 200 and *have when a usable document was read. */
static int read_body(struct xmpp_watcher *w, struct arena *a, struct slice type, struct slice lang, struct slice body, struct pidf *doc, bool *have)
{
	*have = false;
	if (!slice_trim(body).len)
		return 200;
	if (!slice_ieq(type, S("application/pidf+xml")))
		return 415;
	if (body.len > MAX_PIDF || pidf_read(doc, a, body, lang, NULL))
		return 400;
	*have = !doc->entity.len || same_entity(doc->entity, slice_str(w->entity)); /* another's state is not ours to show */
	return 200;
}

static void active(struct xmpp_watcher *w, struct pidf *doc, bool have)
{
	w->state = XMPP_WATCHER_ACTIVE;
	w->backoff_s = 0;
	if (!w->authorised) {
		set_authorised(w, true);
		w->ops->stanza(w->arg, XMPP_WATCHER_SUBSCRIBED, NULL);
	}
	if (have)
		apply(w, doc);
	else if (w->shown.count)
		tell_offline(w); /* active without a document: the home knows nothing (RFC 8048 5.2.1) */
}

static void terminated(struct xmpp_watcher *w, struct slice reason, uint32_t retry_after, struct pidf *doc, bool have)
{
	if (slice_ieq(reason, S("rejected")) || slice_ieq(reason, S("noresource"))) {
		refuse(w);
	} else if (slice_ieq(reason, S("invariant"))) {
		if (have)
			active(w, doc, have);
		w->state = XMPP_WATCHER_FINAL;
	} else if (slice_ieq(reason, S("probation"))) {
		wait_for(w, retry_after ? retry_after : PROBATION_S);
	} else if (slice_ieq(reason, S("giveup"))) {
		wait_for(w, retry_after ? retry_after : GIVEUP_S);
	} else if (retry_after) {
		wait_for(w, retry_after);
	} else {
		start(w); /* deactivated, timeout, none: a new dialog at once, the watcher unaware (RFC 6665 4.1.3) */
	}
}

int xmpp_watcher_notify(struct xmpp_watcher *w, enum xmpp_watcher_substate state, struct slice reason, uint32_t retry_after,
			struct slice content_type, struct slice content_language, struct slice body)
{
	struct pidf doc;
	bool have;
	if (w->state == XMPP_WATCHER_NONE || w->state == XMPP_WATCHER_DORMANT)
		return 200;
	struct arena *a = arena_new(PIDF_ARENA);
	int status = read_body(w, a, content_type, content_language, body, &doc, &have);
	if (status == 200 || state == SUBSTATE_TERMINATED) {
		switch (state) {
		case SUBSTATE_PENDING:
			if (w->state == XMPP_WATCHER_ACTIVE && w->shown.count)
				tell_offline(w);
			w->state = XMPP_WATCHER_NEUTRAL;
			break;
		case SUBSTATE_ACTIVE:
			active(w, &doc, have);
			break;
		case SUBSTATE_TERMINATED:
			terminated(w, reason, retry_after, &doc, have);
			break;
		}
	}
	arena_release(NULL, a);
	return status;
}
