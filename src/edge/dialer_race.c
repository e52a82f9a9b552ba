/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting: one address after the other, each with a head start (RFC 8305 5). */
#include "edge/dialer_int.h"

void dialer_stop_attempts(struct dialer *d, const struct attempt *but)
{
	timer_cancel(dialer_timers(d), &d->stagger);
	for (size_t i = 0; i < DIALER_TRIES; i++) {
		struct attempt *x = &d->attempts[i];
		if (x == but || !x->active)
			continue;
		x->active = false;
		x->conn = conn_free(x->conn);
		pace_leave(&x->place);
	}
}

static bool under_way(const struct dialer *d)
{
	for (size_t i = 0; i < DIALER_TRIES; i++)
		if (d->attempts[i].active)
			return true;
	return false;
}

static void attempt_failed(struct attempt *x, const struct entente_err *why)
{
	struct dialer *d = x->dialer;
	struct entente_err err = *why;
	err.reason = REASON_XMPP_UNREACHABLE;
	x->active = false;
	x->conn = conn_free(x->conn);
	pace_leave(&x->place);
	dialer_failed(d, &err);
	dialer_race(d);
}

static void on_connected(struct conn *c)
{
	struct attempt *x = conn_owner(c);
	struct dialer *d = x->dialer;
	x->active = false;
	x->conn = NULL;
	d->won = x;
	d->racing = false;
	dialer_stop_attempts(d, x);
	d->ops->connected(d->arg, c, slice_str(dialer_present(d)->host));
}

static void on_closed(struct conn *c, const struct entente_err *why)
{
	attempt_failed(conn_owner(c), why);
}

static size_t on_data(struct conn *c, struct slice in) /* not before connected */
{
	(void)c;
	return in.len;
}

static const struct conn_ops attempt_ops = {.connected = on_connected, .data = on_data, .closed = on_closed};

void dialer_may_connect(void *arg)
{
	struct attempt *x = arg;
	struct dialer *d = x->dialer;
	struct entente_err err;
	struct conn_opts o = {.ops = &attempt_ops, .owner = x, .limits = &d->limits};
	if (conn_connect(&x->conn, d->w->loop, &x->to, &o, &err))
		attempt_failed(x, &err);
}

static void begin(struct dialer *d)
{
	struct attempt *x = &d->attempts[d->tries++];
	x->to = d->addrs[d->addr++];
	x->active = true;
	d->deadline = 0;
	if (d->addr == 1)
		d->since = dialer_timers(d)->now;
	if (dialer_more(d))
		timer_arm(dialer_timers(d), &d->stagger, DIALER_STAGGER_MS);
	else
		timer_cancel(dialer_timers(d), &d->stagger);
	pace_enter(&x->place, &x->to);
}

void dialer_race(struct dialer *d)
{
	d->racing = true;
	if (under_way(d)) {
		if (dialer_more(d) && !timer_armed(&d->stagger))
			timer_arm(dialer_timers(d), &d->stagger, DIALER_STAGGER_MS);
	} else if (dialer_more(d)) {
		begin(d);
	} else if (!d->a && !d->aaaa) {
		d->racing = false;
		dialer_step(d);
	} /* else the other family's addresses are still to come */
}

void dialer_stagger(struct timer *t, uint64_t now)
{
	struct dialer *d = CONTAINER_OF(t, struct dialer, stagger);
	(void)now;
	if (d->racing && dialer_more(d))
		begin(d);
}
