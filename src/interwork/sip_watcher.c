/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/sip_watcher.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "xmpp/error.h"

struct sip_watcher {
	const struct sip_watcher_ops *ops;
	void *arg;
	struct timers *timers;
	struct timer wait, poll; /* wait: the link's grace, or an unanswered probe after a restart */
	struct sip_watcher_config cfg;
	size_t dialogs;
	bool active, known; /* authorised; some presence was received */
	bool stale;         /* the link is lost for longer than the grace: shown closed */
	bool polling;
	char *uri; /* owned */
	struct presence_set set;
};

static void wait_fired(struct timer *t, uint64_t now)
{
	struct sip_watcher *w = CONTAINER_OF(t, struct sip_watcher, wait);
	(void)now;
	w->stale = true;
	if (w->active)
		w->ops->notify(w->arg, true);
}

static void poll_done(struct sip_watcher *w)
{
	if (!w->polling)
		return;
	w->polling = false;
	timer_cancel(w->timers, &w->poll);
	w->ops->polled(w->arg);
}

static void poll_fired(struct timer *t, uint64_t now)
{
	(void)now;
	poll_done(CONTAINER_OF(t, struct sip_watcher, poll));
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
	return w;
}

struct sip_watcher *sip_watcher_free(struct sip_watcher *w)
{
	if (!w)
		return NULL;
	timer_cancel(w->timers, &w->wait);
	timer_cancel(w->timers, &w->poll);
	presence_set_free(&w->set);
	mem_free(w->uri);
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

const struct presence_set *sip_watcher_presence(const struct sip_watcher *w)
{
	return &w->set;
}

void sip_watcher_opened(struct sip_watcher *w)
{
	if (w->dialogs++)
		return;
	/* No probe yet: a server answers that of a stranger with "unsubscribed" (RFC 6121 4.3.2), and Prosody then forgets the request too.
	 * One that has approved us before answers subscribe by itself, and "subscribed" brings the probe. */
	w->ops->stanza(w->arg, SIP_WATCHER_SUBSCRIBE);
}

void sip_watcher_restored(struct sip_watcher *w, bool was_active)
{
	w->active = w->active || was_active;
	if (w->dialogs++)
		return;
	w->ops->stanza(w->arg, was_active ? SIP_WATCHER_PROBE : SIP_WATCHER_SUBSCRIBE);
	if (was_active)
		timer_arm(w->timers, &w->wait, w->cfg.probe_wait_ms); /* an offline contact's server may never answer a probe */
}

/* No dialog is left; the authorisation at the contact's side stays. */
static void forget(struct sip_watcher *w)
{
	timer_cancel(w->timers, &w->wait);
	presence_set_free(&w->set);
	w->active = w->known = w->stale = false;
}

void sip_watcher_closed(struct sip_watcher *w)
{
	if (!w->dialogs || --w->dialogs)
		return;
	w->ops->stanza(w->arg, SIP_WATCHER_UNAVAILABLE);
	forget(w);
}

void sip_watcher_poll(struct sip_watcher *w)
{
	if (w->polling)
		return;
	w->polling = true;
	if (w->known && !w->stale) {
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
	if (up) {
		timer_cancel(w->timers, &w->wait);
		w->ops->stanza(w->arg, w->active ? SIP_WATCHER_PROBE : SIP_WATCHER_SUBSCRIBE);
		if (w->active)
			timer_arm(w->timers, &w->wait, w->cfg.probe_wait_ms);
	} else if (!timer_armed(&w->wait) && !w->stale) {
		timer_arm(w->timers, &w->wait, w->cfg.link_grace_ms);
	}
}

/* The stanza's child with the stanza's own language, else without any, else the first (interworking spec 4.1's rule for bodies). */
static const struct xml_node *pick(const struct xml_node *stanza, struct slice name)
{
	const struct xml_node *first = xml_child(stanza, name, SLICE_NONE), *best = first;
	for (const struct xml_node *n = first; n; n = xml_next_same(n))
		if (!xml_attr_ns(n, XML_NS_XML, S("lang")).p)
			return n;
	return best;
}

static int64_t delay_stamp(const struct xml_node *stanza)
{
	const struct xml_node *d = xml_child(stanza, S("delay"), S("urn:xmpp:delay"));
	char z[40];
	struct tm tm = {0};
	if (!d || !slice_cstr(xml_attr(d, S("stamp")), z, sizeof z) || !strptime(z, "%Y-%m-%dT%H:%M:%S", &tm))
		return clock_unix();
	return (int64_t)timegm(&tm);
}

void sip_watcher_read(const struct xml_node *stanza, struct slice resource, struct arena *a, struct presence_item *ret)
{
	const struct xml_node *show = xml_child(stanza, S("show"), SLICE_NONE), *status = pick(stanza, S("status")),
			      *prio = xml_child(stanza, S("priority"), SLICE_NONE);
	*ret = (struct presence_item){.resource = resource, .show = PRESENCE_AVAILABLE, .priority = 0, .stamp = delay_stamp(stanza)};
	if (slice_eq(xml_attr(stanza, S("type")), S("unavailable")))
		ret->show = PRESENCE_OFFLINE;
	else if (show)
		presence_show_of(slice_trim(xml_text(show, a)), &ret->show);
	if (status) {
		ret->note = slice_trim(xml_text(status, a));
		struct slice lang = xml_lang(status);
		ret->lang = lang.p ? lang : SLICE_NONE;
	}
	if (prio) {
		char z[8], *end;
		if (slice_cstr(slice_trim(xml_text(prio, a)), z, sizeof z) && z[0]) {
			long v = strtol(z, &end, 10);
			if (!*end && v >= -128 && v <= 127)
				ret->priority = (int)v;
		}
	}
}

static void on_error(struct sip_watcher *w, const struct xml_node *stanza, struct arena *a)
{
	static const struct {
		const char *condition, *reason;
		uint32_t retry_after;
	} map[] = {
		{"item-not-found", "noresource", 0},
		{"remote-server-not-found", "noresource", 0},
		{"gone", "noresource", 0},
		{"redirect", "noresource", 0},
		{"forbidden", "rejected", 0},
		{"not-allowed", "rejected", 0},
		{"policy-violation", "rejected", 0},
		{"not-authorized", "rejected", 0},
		{"service-unavailable", "rejected", 0},
		{"remote-server-timeout", "probation", 300},
		{"recipient-unavailable", "probation", 300},
	};
	struct xmpp_error e;
	xmpp_error_read(a, stanza, &e);
	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (slice_eq(e.condition, slice_str(map[i].condition))) {
			if (!w->dialogs)
				break;
			w->dialogs = 0;
			forget(w);
			w->ops->terminate(w->arg, slice_str(map[i].reason), map[i].retry_after);
			break;
		}
	poll_done(w);
}

static void answered(struct sip_watcher *w)
{
	timer_cancel(w->timers, &w->wait);
	w->stale = false;
}

void sip_watcher_presence_in(struct sip_watcher *w, const struct xml_node *stanza, struct slice resource, struct arena *a)
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
		if (w->dialogs) {
			w->dialogs = 0;
			forget(w);
			w->ops->terminate(w->arg, S("rejected"), 0);
		}
		poll_done(w);
	} else if (!type.p || slice_eq(type, S("unavailable"))) {
		struct presence_item it;
		bool gone = type.p != NULL, change;
		sip_watcher_read(stanza, resource, a, &it);
		bool was_stale = w->stale, was_active = w->active, was_known = w->known;
		/* Prosody answers a subscribe of ours with "unavailable" from the bare address before anybody approved it: no proof of approval */
		if (gone && !resource.len && !was_active) {
			w->known = true;
			poll_done(w);
			return;
		}
		answered(w);
		w->known = true;
		w->active = w->active || w->dialogs;
		if (gone && !resource.len) {
			change = w->set.count > 0;
			presence_set_free(&w->set);
		} else {
			change = gone ? presence_set_remove(&w->set, resource) : presence_set_put(&w->set, &it);
		}
		if (w->dialogs && (change || was_stale || !was_active || !was_known))
			w->ops->notify(w->arg, true);
		poll_done(w);
	}
}

void sip_watcher_body(struct sip_watcher *w, struct buf *b)
{
	struct presence_set none = {0};
	if (w->stale)
		pidf_write(b, slice_str(w->uri), &none, true);
	else if (w->known)
		pidf_write(b, slice_str(w->uri), &w->set, w->cfg.hide_notes);
}
