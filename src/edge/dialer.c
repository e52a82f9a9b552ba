/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/dialer_int.h"

#include <stdio.h>
#include "base/mem.h"

struct dialer *dialer_new(struct worker *w, struct dns *dns, const struct dialer_target *to, const struct dialer_ops *ops,
			  void *arg)
{
	struct dialer *d = MEM_NEW(struct dialer);
	d->w = w;
	d->dns = dns;
	d->ops = ops;
	d->arg = arg;
	d->pace = to->pace ? pace_ref(to->pace) : pace_new();
	d->limits = to->limits ? *to->limits : CONN_LIMITS_DEFAULT;
	slice_cstr(to->domain, d->domain, sizeof d->domain);
	d->private_addresses = to->private_addresses || to->host.len;
	d->direct = to->direct;
	d->dane = to->dane;
	timer_init(&d->late, dialer_late);
	timer_init(&d->patience, dialer_dns_silent);
	timer_init(&d->stagger, dialer_stagger);
	for (size_t i = 0; i < DIALER_TRIES; i++) {
		d->attempts[i].dialer = d;
		pace_place_init(&d->attempts[i].place, d->pace, dialer_timers(d), dialer_may_connect, &d->attempts[i]);
	}
	if (to->host.len) {
		d->fixed = true;
		d->n_targets = 1;
		slice_cstr(to->host, d->targets[0].host, sizeof d->targets[0].host);
		d->targets[0].port = to->port ? to->port : XMPP_PORT;
		d->targets[0].direct = to->direct && to->port == XMPP_PORT_DIRECT;
		d->targets[0].secure = true; /* the administrator's word */
		snprintf(d->targets[0].how, sizeof d->targets[0].how, "fixed %s:%u%s", d->targets[0].host, d->targets[0].port,
			 d->targets[0].direct ? " direct" : "");
	}
	return d;
}

void dialer_heard(struct dialer *d)
{
	if (d->won)
		pace_leave(&d->won->place);
	d->won = NULL;
}

struct dialer *dialer_free(struct dialer *d)
{
	if (!d)
		return NULL;
	dialer_heard(d);
	dialer_stop_attempts(d, NULL);
	dialer_dns_end(d);
	pace_unref(d->pace);
	return mem_free(d);
}

const char *dialer_how(const struct dialer *d)
{
	return d->target ? dialer_present(d)->how : "";
}

bool dialer_direct(const struct dialer *d)
{
	return d->target && dialer_present(d)->direct;
}

size_t dialer_tlsa(const struct dialer *d, const struct tls_tlsa **ret)
{
	*ret = d->records;
	return d->n_records;
}

struct slice dialer_delegate(const struct dialer *d)
{
	return d->target && dialer_present(d)->srv && dialer_present(d)->secure ? slice_str(dialer_present(d)->host) : SLICE_NONE;
}

void dialer_exhausted(struct dialer *d)
{
	const struct entente_err *why = d->failed.code ? &d->failed : &d->err;
	if (!why->code)
		err_set(&d->err, ENTENTE_ENET, REASON_XMPP_UNREACHABLE, "no address of %s accepts a connection", d->domain);
	d->ops->exhausted(d->arg, why);
}

void dialer_failed(struct dialer *d, const struct entente_err *why)
{
	if (!d->failed.code)
		d->failed = *why;
}

/* ---- steps */

static void give_address(struct dialer *d)
{
	struct addr to = d->addrs[d->addr++];
	d->tries++;
	d->deadline = 0;
	d->ops->address(d->arg, &to, slice_str(dialer_present(d)->host));
}

void dialer_step(struct dialer *d)
{
	if (d->resolved && dialer_more(d)) {
		if (d->ops->connected)
			dialer_race(d);
		else
			give_address(d);
	} else if (d->resolved && (d->a || d->aaaa) && d->tries < DIALER_TRIES) {
		d->waiting = true;
	} else if (d->tries == DIALER_TRIES) {
		dialer_exhausted(d);
	} else if (!d->asked && !d->fixed) {
		dialer_look_up(d);
	} else if (d->target == d->n_targets) {
		dialer_exhausted(d);
	} else {
		dialer_resolve(d, &d->targets[d->target++]);
	}
}

void dialer_next(struct dialer *d)
{
	dialer_heard(d);
	dialer_step(d);
}

uint64_t dialer_since(const struct dialer *d)
{
	return d->since;
}

bool dialer_connecting(const struct dialer *d)
{
	return d->racing;
}
