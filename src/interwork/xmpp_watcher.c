/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/xmpp_watcher.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "interwork/address.h"

enum {
	MAX_PIDF = 65536, PIDF_ARENA = 1 << 20,
	PROBATION_S = 60, GIVEUP_S = 300, DEMANDED_MAX_S = 86400,
	AGAIN_MS = 30000,   /* a second new dialog within this is no accident: wait */
	OLD_MS = 300000,    /* a probe makes us ask again for what is older */
	DELAYED_S = 60,     /* an older timestamp is shown as delay */
	TIMED_MIN_S = 5, TIMED_MAX_S = 86400, /* when a timed status begins or ends: not at once, not in a year */
};

struct xmpp_watcher {
	const struct xmpp_watcher_ops *ops;
	void *arg;
	struct timers *timers;
	struct timer retry; /* WAIT: ask again; ACTIVE: the watcher is away for too long, or a timed status begins or ends */
	struct xmpp_watcher_config cfg;
	enum xmpp_watcher_state state;
	bool authorised;
	bool told;          /* the watcher has heard of some presence from us since we began to look */
	bool absent;        /* the watcher is nowhere */
	bool resuming;      /* WAIT is no failure: it may be cut short */
	bool again;         /* a new dialog took an old one's place, at again_at */
	uint64_t again_at, heard_at, absent_at; /* heard_at: the last NOTIFY */
	uint32_t backoff_s; /* the last wait, 0 at first */
	struct slice entity; /* the owner's */
	struct presence_set shown; /* what the watcher has been told */
};

const char *xmpp_watcher_state_name(enum xmpp_watcher_state s)
{
	static const char *const name[] = {"none", "trying", "neutral", "active", "wait", "dormant", "final", "polling"};
	return name[s];
}

static void start(struct xmpp_watcher *w)
{
	timer_cancel(w->timers, &w->retry);
	w->resuming = false;
	w->state = XMPP_WATCHER_TRYING;
	w->ops->subscribe(w->arg, w->cfg.expires);
}

static void retry_fired(struct timer *t, uint64_t now)
{
	struct xmpp_watcher *w = CONTAINER_OF(t, struct xmpp_watcher, retry);
	(void)now;
	if (w->state == XMPP_WATCHER_WAIT)
		start(w);
	else if (w->absent && w->cfg.absence_s)
		xmpp_watcher_sleep(w, false);
	else if (w->state == XMPP_WATCHER_ACTIVE)
		w->ops->refresh(w->arg);
}

struct xmpp_watcher *xmpp_watcher_new(const struct xmpp_watcher_ops *ops, void *arg, struct timers *timers,
				      const struct xmpp_watcher_config *cfg, struct slice entity_uri, bool authorised)
{
	struct xmpp_watcher *w = MEM_NEW(struct xmpp_watcher);
	w->ops = ops;
	w->arg = arg;
	w->timers = timers;
	w->cfg = *cfg;
	w->entity = entity_uri;
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

/* ---- towards the watcher */

static void tell(struct xmpp_watcher *w, const struct presence_item *it)
{
	w->told = true;
	w->ops->stanza(w->arg, XMPP_WATCHER_PRESENCE, it);
}

static void tell_gone(struct xmpp_watcher *w, struct slice resource)
{
	struct presence_item off = {.resource = resource, .show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
	tell(w, &off);
}

static void tell_offline(struct xmpp_watcher *w)
{
	bool any = false;
	for (size_t i = 0; i < w->shown.count; i++)
		if (w->shown.items[i].show != PRESENCE_OFFLINE) {
			tell_gone(w, w->shown.items[i].resource);
			any = true;
		}
	presence_set_free(&w->shown);
	if (!any)
		tell_gone(w, SLICE_NONE);
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
	if (!any)
		tell_gone(w, SLICE_NONE);
}

void xmpp_watcher_set_rules(struct xmpp_watcher *w, const struct xmpp_watcher_config *rules)
{
	bool hide = w->cfg.hide_notes;
	w->cfg = *rules;
	w->cfg.hide_notes = hide;
}

void xmpp_watcher_set_hide_notes(struct xmpp_watcher *w, bool hide)
{
	if (hide == w->cfg.hide_notes)
		return;
	w->cfg.hide_notes = hide;
	for (size_t i = 0; hide && i < w->shown.count; i++) {
		struct presence_item it = w->shown.items[i];
		if (!it.n_notes)
			continue;
		it.n_notes = 0;
		presence_set_put(&w->shown, &it);
		if (it.show != PRESENCE_OFFLINE)
			tell(w, &w->shown.items[i]);
	}
	if (!hide && w->state == XMPP_WATCHER_ACTIVE)
		w->ops->refresh(w->arg); /* for the notes that were left out */
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
	if (w->shown.count || w->authorised) /* after a restart we do not know what it was shown */
		tell_offline(w);
	set_authorised(w, false);
	w->ops->stanza(w->arg, XMPP_WATCHER_UNSUBSCRIBED, NULL);
}

/* Failed for now: the authorisation stays, nothing stale is shown, and we come back. */
static void wait_ms(struct xmpp_watcher *w, uint64_t ms)
{
	if (w->shown.count)
		tell_offline(w);
	w->state = XMPP_WATCHER_WAIT;
	w->resuming = false;
	timer_arm(w->timers, &w->retry, ms);
}

/* The home said when: not earlier, and not all at once. */
static void wait_demanded(struct xmpp_watcher *w, uint32_t seconds)
{
	uint64_t s = seconds < DEMANDED_MAX_S ? seconds : DEMANDED_MAX_S;
	wait_ms(w, s * 1000 + rand_below(s * 200 + 1));
}

static void back_off(struct xmpp_watcher *w)
{
	w->backoff_s = w->backoff_s ? w->backoff_s * 2 : w->cfg.backoff_min_s;
	if (w->backoff_s > w->cfg.backoff_max_s)
		w->backoff_s = w->cfg.backoff_max_s;
	wait_ms(w, (uint64_t)w->backoff_s * 800 + rand_below((uint64_t)w->backoff_s * 400 + 1)); /* +-20 % */
}

/* A new dialog at once, the watcher unaware (RFC 6665 4.1.3); but not in a circle. */
static void start_again(struct xmpp_watcher *w)
{
	if (w->again && w->timers->now - w->again_at < AGAIN_MS) {
		back_off(w);
		return;
	}
	w->again = true;
	w->again_at = w->timers->now;
	start(w);
}

/* ---- from the XMPP side */

void xmpp_watcher_subscribe(struct xmpp_watcher *w)
{
	if (w->authorised)
		w->ops->stanza(w->arg, XMPP_WATCHER_SUBSCRIBED, NULL);
	switch (w->state) {
	case XMPP_WATCHER_TRYING:
	case XMPP_WATCHER_NEUTRAL:
		return; /* from another resource, or again: the answer is on its way */
	case XMPP_WATCHER_ACTIVE:
		xmpp_watcher_announce(w);
		return;
	default:
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
	if (w->state == XMPP_WATCHER_NONE || w->state == XMPP_WATCHER_DORMANT || (w->state == XMPP_WATCHER_WAIT && w->resuming)) {
		w->told = false;
		start(w);
		return;
	}
	xmpp_watcher_announce(w);
	if (w->state == XMPP_WATCHER_ACTIVE && w->timers->now - w->heard_at > OLD_MS) {
		w->heard_at = w->timers->now; /* not for every probe */
		w->ops->refresh(w->arg);
	}
}

static bool in_dialog(const struct xmpp_watcher *w)
{
	return w->state == XMPP_WATCHER_TRYING || w->state == XMPP_WATCHER_NEUTRAL || w->state == XMPP_WATCHER_ACTIVE ||
	       w->state == XMPP_WATCHER_POLLING;
}

void xmpp_watcher_poll(struct xmpp_watcher *w)
{
	if (w->state != XMPP_WATCHER_NONE)
		return;
	w->told = false;
	w->state = XMPP_WATCHER_POLLING;
	w->ops->subscribe(w->arg, 0);
}

/* Whether the time runs after which nobody is believed to look; in ACTIVE only, where the timer has nothing more urgent to do. */
static void count_absence(struct xmpp_watcher *w)
{
	uint64_t until = w->absent_at + (uint64_t)w->cfg.absence_s * 1000, now = w->timers->now;
	if (w->state == XMPP_WATCHER_ACTIVE && w->absent && w->cfg.absence_s)
		timer_arm(w->timers, &w->retry, until > now ? until - now : 0);
}

void xmpp_watcher_absent(struct xmpp_watcher *w, bool absent)
{
	if (w->absent == absent)
		return;
	w->absent = absent;
	w->absent_at = w->timers->now;
	if (absent) {
		count_absence(w);
	} else if (w->state == XMPP_WATCHER_DORMANT && w->authorised) {
		w->told = false;
		start(w);
	} else if (w->state == XMPP_WATCHER_ACTIVE && w->cfg.absence_s) {
		timer_cancel(w->timers, &w->retry);
	}
}

void xmpp_watcher_unsubscribe(struct xmpp_watcher *w)
{
	bool dialog = in_dialog(w);
	timer_cancel(w->timers, &w->retry);
	w->state = XMPP_WATCHER_NONE;
	if (dialog)
		w->ops->unsubscribe(w->arg);
	set_authorised(w, false);
	w->ops->stanza(w->arg, XMPP_WATCHER_UNSUBSCRIBED, NULL);
	tell_offline(w);
	w->told = false;
}

void xmpp_watcher_sleep(struct xmpp_watcher *w, bool show_gone)
{
	bool dialog = in_dialog(w);
	if (w->state == XMPP_WATCHER_DORMANT)
		return;
	timer_cancel(w->timers, &w->retry);
	w->state = w->authorised ? XMPP_WATCHER_DORMANT : XMPP_WATCHER_NONE;
	if (dialog)
		w->ops->unsubscribe(w->arg);
	if (show_gone && w->authorised && (w->shown.count || !w->told))
		tell_offline(w);
	presence_set_free(&w->shown);
	w->told = false;
}

void xmpp_watcher_resume(struct xmpp_watcher *w, uint64_t delay_ms)
{
	w->state = XMPP_WATCHER_WAIT;
	w->resuming = true;
	timer_arm(w->timers, &w->retry, delay_ms);
}

/* ---- from the SIP side */

void xmpp_watcher_accepted(struct xmpp_watcher *w)
{
	if (w->state == XMPP_WATCHER_TRYING)
		w->state = XMPP_WATCHER_NEUTRAL; /* nothing to XMPP yet: 2xx is not approval (RFC 8048 5.2.1) */
}

/* Statuses that mean no, and not "not now". */
static bool refusal(int status)
{
	switch (status) {
	case 401: case 403: case 404: case 407: case 489: case 501: case 603: case 604:
		return true;
	default:
		return false;
	}
}

/* The end of a poll: what the watcher was shown is what there is, we keep none of it. */
static void polled(struct xmpp_watcher *w, bool refused)
{
	w->state = XMPP_WATCHER_NONE;
	presence_set_free(&w->shown);
	w->told = false;
	if (refused)
		w->ops->stanza(w->arg, XMPP_WATCHER_UNSUBSCRIBED, NULL);
}

void xmpp_watcher_rejected(struct xmpp_watcher *w, int status, uint32_t retry_after)
{
	if (!in_dialog(w))
		return;
	if (w->state == XMPP_WATCHER_POLLING) {
		polled(w, status >= 400 && refusal(status));
		return;
	}
	switch (status) {
	case 481:
		start_again(w);
		return;
	default:
		if (refusal(status))
			refuse(w);
		else if (retry_after)
			wait_demanded(w, retry_after);
		else
			back_off(w);
	}
}

void xmpp_watcher_lost(struct xmpp_watcher *w)
{
	if (w->state == XMPP_WATCHER_POLLING)
		polled(w, false);
	else if (in_dialog(w))
		back_off(w);
}

/* Makes what the watcher sees equal to the document: one stanza per change, unavailable for a tuple that vanished. */
static void apply(struct xmpp_watcher *w, const struct pidf *doc, int64_t now_unix)
{
	bool first = !w->told;
	struct presence_set old = w->shown, now = {0};
	for (size_t i = 0; i < doc->count; i++) {
		struct presence_item it = doc->items[i];
		const struct presence_item *was = presence_set_find(&old, it.resource);
		if (w->cfg.hide_notes)
			it.n_notes = 0;
		if (it.stamp > now_unix - DELAYED_S)
			it.stamp = 0; /* as good as now */
		if (it.unsure && was && was->show != PRESENCE_OFFLINE)
			it.show = was->show;
		if (it.busy && w->cfg.busy_away)
			it.show = PRESENCE_AWAY;
		it.unsure = it.busy = false;
		presence_set_put(&now, &it);
	}
	w->shown = now;
	for (size_t i = 0; i < now.count; i++) {
		const struct presence_item *it = &now.items[i], *was = presence_set_find(&old, it->resource);
		bool here = it->show != PRESENCE_OFFLINE;
		bool change =
			was ? was->show != it->show || (here && (was->priority != it->priority || was->idle != it->idle ||
								 !presence_notes_equal(was, it)))
			    : here || first; /* the first time also who is not there: before a restart it may have been */
		if (change)
			tell(w, it);
		presence_set_remove(&old, it->resource);
	}
	for (size_t i = 0; i < old.count; i++)
		if (old.items[i].show != PRESENCE_OFFLINE)
			tell_gone(w, old.items[i].resource);
	presence_set_free(&old);
	if (!w->told)
		tell_gone(w, SLICE_NONE);
}

/* Bare JID of a presentity's URI. Peers write the entity with sip:, pres:, or no scheme at all. */
static bool entity_jid(struct slice *ret, struct arena *a, struct slice uri)
{
	static const char *const schemes[] = {"sip:", "sips:", "pres:", "im:"};
	struct xmpp_jid j;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (slice_istarts(uri, slice_str(schemes[i]))) {
			uri = slice_skip(uri, strlen(schemes[i]));
			break;
		}
	if (interwork_uri_to_jid(&j, a, arena_printf(a, "sip:%.*s", SFMT(uri)), NULL))
		return false;
	*ret = j.bare;
	return true;
}

enum have { NO_BODY, DOCUMENT, NOT_OURS };

/* 200 and what there is, or the status that refuses the body. */
static int read_body(struct xmpp_watcher *w, struct arena *a, struct slice type, struct slice lang, struct slice body,
		     int64_t now_unix, struct pidf *doc, enum have *have)
{
	struct slice entity, ours;
	*have = NO_BODY;
	if (!slice_trim(body).len)
		return 200;
	*have = NOT_OURS;
	if (!slice_ieq(type, S("application/pidf+xml"))) {
		w->ops->ignored(w->arg, "the body is not application/pidf+xml");
		return 415;
	}
	if (body.len > MAX_PIDF || pidf_read(doc, a, body, lang, now_unix, NULL)) {
		w->ops->ignored(w->arg, "the presence document cannot be read");
		return 400;
	}
	if (doc->entity.len &&
	    (!entity_jid(&entity, a, doc->entity) || !entity_jid(&ours, a, w->entity) || !slice_eq(entity, ours)))
		w->ops->ignored(w->arg, "the presence document is about somebody else"); /* not ours to show */
	else
		*have = DOCUMENT;
	if (*have == DOCUMENT && doc->cut)
		w->ops->ignored(w->arg, "a note was longer than 1023 characters and is cut");
	return 200;
}

static void active(struct xmpp_watcher *w, const struct pidf *doc, enum have have, int64_t now_unix)
{
	w->state = XMPP_WATCHER_ACTIVE;
	w->backoff_s = 0;
	if (!w->authorised) {
		set_authorised(w, true);
		w->ops->stanza(w->arg, XMPP_WATCHER_SUBSCRIBED, NULL);
	}
	timer_cancel(w->timers, &w->retry);
	if (have == DOCUMENT) {
		apply(w, doc, now_unix);
		if (doc->changes_at > now_unix) { /* the document itself will mean something else then: asked for again */
			int64_t in = doc->changes_at - now_unix;
			in = in < TIMED_MIN_S ? TIMED_MIN_S : in > TIMED_MAX_S ? TIMED_MAX_S : in;
			timer_arm(w->timers, &w->retry, (uint64_t)in * 1000);
		}
	} else if (have == NO_BODY && (w->shown.count || !w->told))
		tell_offline(w); /* the home knows nothing (RFC 8048 5.2.1) */
	count_absence(w);
}

/* The one NOTIFY of a poll. "pending" is a no for now; without a body nobody knows more than that the user may be looked at. */
static void poll_answered(struct xmpp_watcher *w, enum xmpp_watcher_substate state, struct slice reason, const struct pidf *doc,
			  enum have have, int64_t now_unix)
{
	bool no = slice_ieq(reason, S("rejected")) || slice_ieq(reason, S("noresource"));
	if (have == DOCUMENT && !no && state != SUBSTATE_PENDING)
		apply(w, doc, now_unix);
	else if (have == NO_BODY && !no && state != SUBSTATE_PENDING)
		tell_gone(w, SLICE_NONE);
	polled(w, no || state == SUBSTATE_PENDING);
}

static void terminated(struct xmpp_watcher *w, struct slice reason, uint32_t retry_after, const struct pidf *doc, enum have have,
		       int64_t now_unix)
{
	if (slice_ieq(reason, S("rejected")) || slice_ieq(reason, S("noresource"))) {
		refuse(w);
	} else if (slice_ieq(reason, S("invariant"))) {
		if (have == DOCUMENT)
			active(w, doc, have, now_unix);
		w->state = XMPP_WATCHER_FINAL;
		timer_cancel(w->timers, &w->retry);
	} else if (slice_ieq(reason, S("probation"))) {
		wait_demanded(w, retry_after ? retry_after : PROBATION_S);
	} else if (slice_ieq(reason, S("giveup"))) {
		wait_demanded(w, retry_after ? retry_after : GIVEUP_S);
	} else if (retry_after && !slice_ieq(reason, S("deactivated"))) {
		wait_demanded(w, retry_after);
	} else {
		start_again(w); /* deactivated, timeout, none */
	}
}

int xmpp_watcher_notify(struct xmpp_watcher *w, enum xmpp_watcher_substate state, struct slice reason, uint32_t retry_after,
			struct slice content_type, struct slice content_language, struct slice body, int64_t now_unix)
{
	struct pidf doc;
	enum have have;
	if (!in_dialog(w))
		return 200;
	struct arena *a = arena_new(PIDF_ARENA);
	int status = read_body(w, a, content_type, content_language, body, now_unix, &doc, &have);
	w->heard_at = w->timers->now;
	if (w->state == XMPP_WATCHER_POLLING) {
		poll_answered(w, state, reason, &doc, have, now_unix);
	} else if (state == SUBSTATE_TERMINATED) {
		terminated(w, reason, retry_after, &doc, have, now_unix);
	} else if (status == 200 && state == SUBSTATE_ACTIVE) { /* with a body of no use the last state stands */
		active(w, &doc, have, now_unix);
	} else if (status == 200) {
		if (w->state == XMPP_WATCHER_ACTIVE && w->shown.count)
			tell_offline(w);
		w->state = XMPP_WATCHER_NEUTRAL;
	}
	arena_release(NULL, a);
	return status;
}
