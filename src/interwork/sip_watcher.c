/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/sip_watcher.h"

#include <stdlib.h>
#include "base/list.h"
#include "base/mem.h"
#include "interwork/text.h"
#include "xmpp/error.h"
#include "xmpp/stanza.h"

/* Why the wait timer runs. */
enum doubt {
	SURE,
	LOST,  /* the stream is gone: the state is believed for a while */
	ASKED, /* a probe is out: what it does not confirm is gone */
};

enum { PROBES_MAX = 9 }; /* each waits twice as long as the one before: with 5 s the last goes out after 21 minutes */

struct sip_watcher {
	const struct sip_watcher_ops *ops;
	void *arg;
	struct timers *timers;
	struct timer wait, poll, again;
	struct sip_watcher_config cfg;
	enum doubt doubt;
	unsigned probes;    /* sent since ASKED began, and none answered */
	size_t dialogs;
	bool active, known; /* authorised; some presence was received */
	bool stale;         /* nothing is believed any more: shown closed */
	bool answered;      /* the probe of ASKED was, by the resources in `fresh` */
	bool polling, poll_heard;
	char *uri, *name; /* owned; name: NULL until the contact says it */
	struct presence_set set, fresh;
};

static void calm(struct sip_watcher *w)
{
	timer_cancel(w->timers, &w->wait);
	presence_set_free(&w->fresh);
	w->doubt = SURE;
	w->answered = false;
}

static void probe(struct sip_watcher *w)
{
	if (w->cfg.probe_again_ms && w->probes < PROBES_MAX - 1)
		timer_arm(w->timers, &w->again, (uint64_t)w->cfg.probe_again_ms << w->probes);
	w->probes++;
	w->ops->stanza(w->arg, SIP_WATCHER_PROBE);
}

/* A server that could not reach us just now may throw its answers away for minutes (ejabberd does). */
static void again_fired(struct timer *t, uint64_t now)
{
	(void)now;
	probe(CONTAINER_OF(t, struct sip_watcher, again));
}

static void ask(struct sip_watcher *w)
{
	calm(w);
	w->doubt = ASKED;
	w->probes = 0;
	timer_arm(w->timers, &w->wait, w->cfg.probe_wait_ms); /* an offline contact's server may never answer */
	probe(w);
}

static void wait_fired(struct timer *t, uint64_t now)
{
	struct sip_watcher *w = CONTAINER_OF(t, struct sip_watcher, wait);
	bool change = false;
	(void)now;
	if (w->doubt == ASKED && w->answered) {
		change = w->set.count != w->fresh.count;
		presence_set_free(&w->set);
		w->set = w->fresh;
		w->fresh = (struct presence_set){0};
	} else {
		presence_set_free(&w->set); /* whoever is there will answer the next probe */
		w->stale = change = true;
	}
	calm(w);
	if (change && w->active)
		w->ops->notify(w->arg, true);
}

/* No dialog is left; the authorisation at the contact's side stays. */
static void forget(struct sip_watcher *w)
{
	calm(w);
	timer_cancel(w->timers, &w->again);
	presence_set_free(&w->set);
	w->active = w->known = w->stale = false;
}

static void poll_done(struct sip_watcher *w)
{
	if (!w->polling)
		return;
	w->polling = w->poll_heard = false;
	timer_cancel(w->timers, &w->poll);
	w->ops->polled(w->arg);
	if (!w->dialogs)
		forget(w); /* nobody tells us what comes next */
}

static void poll_fired(struct timer *t, uint64_t now)
{
	(void)now;
	poll_done(CONTAINER_OF(t, struct sip_watcher, poll));
}

/* A first resource has spoken: the others do in a moment. */
static void poll_soon(struct sip_watcher *w)
{
	uint64_t more = w->timers->now + w->cfg.poll_more_ms;
	if (!w->polling || w->poll_heard)
		return;
	w->poll_heard = true;
	if (more < w->poll.due)
		timer_arm(w->timers, &w->poll, w->cfg.poll_more_ms);
}

struct sip_watcher *sip_watcher_new(const struct sip_watcher_ops *ops, void *arg, struct timers *timers,
				    const struct sip_watcher_config *cfg, struct slice contact_uri)
{
	struct sip_watcher *w = MEM_NEW(struct sip_watcher);
	w->ops = ops;
	w->arg = arg;
	w->timers = timers;
	w->cfg = *cfg;
	w->uri = mem_strndup(contact_uri.p, contact_uri.len);
	timer_init(&w->wait, wait_fired);
	timer_init(&w->poll, poll_fired);
	timer_init(&w->again, again_fired);
	return w;
}

struct sip_watcher *sip_watcher_free(struct sip_watcher *w)
{
	if (!w)
		return NULL;
	timer_cancel(w->timers, &w->wait);
	timer_cancel(w->timers, &w->poll);
	timer_cancel(w->timers, &w->again);
	presence_set_free(&w->set);
	presence_set_free(&w->fresh);
	mem_free(w->uri);
	mem_free(w->name);
	return mem_free(w);
}

bool sip_watcher_active(const struct sip_watcher *w)
{
	return w->active;
}

bool sip_watcher_idle(const struct sip_watcher *w)
{
	return !w->dialogs && !w->polling;
}

void sip_watcher_set_flavour(struct sip_watcher *w, enum pidf_flavour flavour)
{
	w->cfg.flavour = flavour;
}

struct slice sip_watcher_language(const struct sip_watcher *w)
{
	return w->stale || w->cfg.hide_notes ? SLICE_NONE : presence_set_language(&w->set);
}

bool sip_watcher_contact_gone(const struct sip_watcher *w)
{
	const struct presence_item *best = presence_set_best(&w->set);
	return w->active && w->known && !w->stale && w->doubt == SURE && (!best || best->show == PRESENCE_OFFLINE);
}

const struct presence_set *sip_watcher_presence(const struct sip_watcher *w)
{
	return &w->set;
}

void sip_watcher_opened(struct sip_watcher *w)
{
	if (w->dialogs++)
		return;
	/* No probe yet: a server answers that of a stranger with "unsubscribed" (RFC 6121 4.3.2), and Prosody then forgets the
	 * request too. One that has approved us before answers subscribe by itself, and "subscribed" brings the probe. */
	w->ops->stanza(w->arg, SIP_WATCHER_SUBSCRIBE);
}

void sip_watcher_restored(struct sip_watcher *w, bool was_active)
{
	bool first = !w->dialogs++, newly_active = was_active && !w->active;
	w->active = w->active || was_active;
	if (newly_active)
		ask(w);
	else if (first)
		w->ops->stanza(w->arg, SIP_WATCHER_SUBSCRIBE);
}

void sip_watcher_closed(struct sip_watcher *w)
{
	if (!w->dialogs || --w->dialogs)
		return;
	forget(w);
	w->ops->stanza(w->arg, SIP_WATCHER_UNAVAILABLE);
}

void sip_watcher_poll(struct sip_watcher *w)
{
	if (w->polling)
		return;
	w->polling = true;
	/* A probe before the approval would end the request, see above. */
	if ((w->known && !w->stale) || (w->dialogs && !w->active)) {
		poll_done(w);
		return;
	}
	timer_arm(w->timers, &w->poll, w->cfg.poll_wait_ms);
	w->ops->stanza(w->arg, SIP_WATCHER_PROBE);
}

void sip_watcher_link(struct sip_watcher *w, bool up)
{
	if (!w->dialogs)
		return;
	timer_cancel(w->timers, &w->again);
	if (!up) {
		if (w->doubt == LOST || w->stale)
			return;
		calm(w);
		w->doubt = LOST;
		timer_arm(w->timers, &w->wait, w->cfg.link_grace_ms);
	} else if (w->active) {
		ask(w);
	} else {
		calm(w);
		w->ops->stanza(w->arg, SIP_WATCHER_SUBSCRIBE);
	}
}

/* Since when the user has done nothing: said as a point of time (XEP-0319) or, by older clients, as seconds (XEP-0256). */
static int64_t read_idle(const struct xml_node *stanza, int64_t stamp)
{
	const struct xml_node *idle = xml_child(stanza, S("idle"), XMPP_NS_IDLE),
			      *last = xml_child(stanza, S("query"), XMPP_NS_LAST);
	int64_t ms;
	uint64_t seconds;
	if (idle && stanza_time_parse(slice_trim(xml_attr(idle, S("since"))), &ms) && ms > 0)
		return ms / 1000;
	if (last && slice_u64(slice_trim(xml_attr(last, S("seconds"))), UINT32_MAX, &seconds) && (int64_t)seconds < stamp && seconds)
		return stamp - (int64_t)seconds;
	return 0;
}

bool sip_watcher_read(const struct xml_node *stanza, struct slice resource, struct arena *a, int64_t now_unix,
		      struct presence_item *ret)
{
	const struct xml_node *show = xml_child(stanza, S("show"), SLICE_NONE),
			      *prio = xml_child(stanza, S("priority"), SLICE_NONE);
	struct presence_note *notes = arena_alloc(a, PRESENCE_MAX_NOTES * sizeof *notes);
	int64_t delayed;
	bool cut = false;
	*ret = (struct presence_item){.resource = resource, .show = PRESENCE_AVAILABLE, .stamp = now_unix, .notes = notes};
	if (stanza_delay_read(stanza, &delayed))
		ret->stamp = delayed / 1000;
	if (slice_eq(xml_attr(stanza, S("type")), S("unavailable")))
		ret->show = PRESENCE_OFFLINE;
	else if (show)
		presence_show_of(slice_trim(xml_text(show, a)), &ret->show);
	int64_t idle = read_idle(stanza, ret->stamp);
	if (ret->show != PRESENCE_OFFLINE)
		ret->idle = idle;
	else if (idle && idle < ret->stamp)
		ret->stamp = idle; /* when it was last seen */
	for (const struct xml_node *s = xml_child(stanza, S("status"), SLICE_NONE); s && notes; s = xml_next_same(s))
		if (presence_note_add(notes, &ret->n_notes, a, xml_text(s, a), interwork_lang(xml_lang(s)), PRESENCE_SIP_NOTE))
			cut = true;
	if (prio) {
		char z[8], *end;
		if (slice_cstr(slice_trim(xml_text(prio, a)), z, sizeof z) && z[0]) {
			long v = strtol(z, &end, 10);
			if (!*end && v >= -128 && v <= 127)
				ret->priority = (int)v;
		}
	}
	return cut;
}

/* XEP-0172; a presence without one takes nothing back. True when it is another than before. */
static bool learn_name(struct sip_watcher *w, const struct xml_node *stanza, struct arena *a)
{
	enum { NAME_MAX = 128 };
	const struct xml_node *nick = xml_child(stanza, S("nick"), XMPP_NS_NICK);
	struct slice name = nick ? interwork_line(a, presence_note_cut(a, slice_trim(xml_text(nick, a)), NAME_MAX, NULL), 4 * NAME_MAX)
				 : SLICE_NONE;
	if (!name.len || slice_eq(name, slice_str(w->name)))
		return false;
	mem_free(w->name);
	w->name = mem_strndup(name.p, name.len);
	return true;
}

void sip_watcher_end(struct sip_watcher *w, struct slice reason, uint32_t retry_after)
{
	if (w->dialogs) {
		w->dialogs = 0;
		forget(w);
		w->ops->terminate(w->arg, reason, retry_after);
	}
	poll_done(w);
}

static void on_error(struct sip_watcher *w, const struct xml_node *stanza, struct arena *a)
{
	enum { LATER_S = 300 };
	static const struct {
		const char *condition, *reason;
		bool even_active; /* else the trouble of a moment, that matters only when nothing was established */
	} map[] = {
		{"item-not-found", "noresource", true},
		{"remote-server-not-found", "noresource", true},
		{"gone", "noresource", true},
		{"redirect", "noresource", true},
		{"forbidden", "rejected", true},
		{"not-allowed", "rejected", true},
		{"policy-violation", "rejected", true},
		{"not-authorized", "rejected", true},
		{"service-unavailable", "rejected", true},
		{"remote-server-timeout", "probation", true},
		{"recipient-unavailable", "probation", true},
		{"resource-constraint", "probation", false},
		{"internal-server-error", "probation", false},
	};
	struct xmpp_error e;
	xmpp_error_read(a, stanza, &e);
	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (slice_eq(e.condition, slice_str(map[i].condition)) && (map[i].even_active || !w->active)) {
			sip_watcher_end(w, slice_str(map[i].reason), map[i].reason[0] == 'p' ? LATER_S : 0);
			return;
		}
	poll_done(w);
}

static bool has_resource(const struct presence_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].resource.len)
			return true;
	return false;
}

static void on_state(struct sip_watcher *w, const struct xml_node *stanza, bool gone, struct slice resource, struct arena *a,
		     int64_t now_unix)
{
	struct presence_item it;
	bool was_stale = w->stale, was_active = w->active, was_known = w->known, change;
	if (sip_watcher_idle(w))
		return; /* nobody looks */
	w->known = true;
	/* Prosody answers a subscribe of ours with "unavailable" from the bare address before anybody approved it: no proof of
	 * approval */
	if (gone && !resource.len && !was_active) {
		poll_done(w);
		return;
	}
	/* "Nobody is here" is an answer to a probe or a subscribe; a resource that leaves says so itself. Prosody may send an early
	 * answer after a later presence, when it had to connect first. */
	if (gone && !resource.len && w->dialogs && has_resource(w->doubt == ASKED ? &w->fresh : &w->set)) {
		ask(w);
		return;
	}
	timer_cancel(w->timers, &w->again);
	w->stale = false;
	w->active = w->active || w->dialogs;
	if (w->doubt == LOST)
		calm(w);
	w->answered = w->doubt == ASKED;
	if (gone && !resource.len) {
		change = w->set.count > 0;
		presence_set_free(&w->set);
		presence_set_free(&w->fresh);
	} else if (gone) {
		change = presence_set_remove(&w->set, resource);
		presence_set_remove(&w->fresh, resource);
	} else {
		if (sip_watcher_read(stanza, resource, a, now_unix, &it) && w->ops->ignored)
			w->ops->ignored(w->arg, "a note was longer than 256 characters and is cut");
		change = presence_set_put(&w->set, &it);
		if (learn_name(w, stanza, a))
			change = true;
		if (w->doubt == ASKED)
			presence_set_put(&w->fresh, &it);
	}
	if (w->dialogs && (change || was_stale || !was_active || !was_known))
		w->ops->notify(w->arg, true);
	if (gone)
		poll_done(w);
	else
		poll_soon(w);
}

void sip_watcher_presence_in(struct sip_watcher *w, const struct xml_node *stanza, struct slice resource, struct arena *a,
			     int64_t now_unix)
{
	struct slice type = xml_attr(stanza, S("type"));
	if (slice_eq(type, S("error"))) {
		on_error(w, stanza, a);
	} else if (slice_eq(type, S("subscribed"))) {
		if (!w->active && w->dialogs) {
			w->active = true;
			w->ops->notify(w->arg, true);
			w->ops->stanza(w->arg, SIP_WATCHER_PROBE); /* presence comes only on a probe (RFC 6121 4.3) */
		}
	} else if (slice_eq(type, S("unsubscribed"))) {
		sip_watcher_end(w, S("rejected"), 0);
	} else if (!type.p || slice_eq(type, S("unavailable"))) {
		on_state(w, stanza, type.p != NULL, resource, a, now_unix);
	}
}

static struct pidf_writing writing(const struct sip_watcher *w, bool bare)
{
	return (struct pidf_writing){.entity = slice_str(w->uri),
				     .name = bare ? SLICE_NONE : slice_str(w->name),
				     .flavour = w->cfg.flavour,
				     .hide_notes = bare || w->cfg.hide_notes};
}

void sip_watcher_body_closed(struct sip_watcher *w, struct buf *b)
{
	struct pidf_writing closed = writing(w, true);
	struct presence_set none = {0};
	pidf_write(b, &closed, &none);
}

void sip_watcher_body(struct sip_watcher *w, struct buf *b)
{
	struct pidf_writing full = writing(w, false), bare = writing(w, true);
	struct presence_set best = {0};
	size_t before = b->len;
	if (w->stale)
		sip_watcher_body_closed(w, b);
	else if (w->known)
		pidf_write(b, &full, &w->set);
	for (int tries = 0; !buf_ok(b) && tries < 2; tries++) {
		buf_truncate(b, before);
		b->failed = false;
		best = (struct presence_set){.items = w->set.items, .count = tries ? 1 : w->set.count};
		pidf_write(b, &bare, &best);
	}
	if (!buf_ok(b))
		buf_truncate(b, before);
}
