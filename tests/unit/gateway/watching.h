/* SPDX-License-Identifier: Apache-2.0 */
/* Juliet watches Romeo: what test_watch_sip.c and test_watch_care.c share. */
#pragma once
#include "house.h"

#include <stdio.h>

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"
#define ASK "S SUBSCRIBE sip:" ROMEO " 3600"
#define STORED "store +watch " JULIET " " ROMEO
#define ERASED "store -watch " JULIET " " ROMEO
#define SUBSCRIBED "X presence/subscribed " ROMEO ">" JULIET
#define UNSUBSCRIBED "X presence/unsubscribed " ROMEO ">" JULIET
#define AVAILABLE "X presence " ROMEO "/desk>" JULIET
#define GONE "X presence/unavailable " ROMEO "/desk>" JULIET

static inline int setup(void **state)
{
	*state = house_new();
	return 0;
}

static inline int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static inline void count_one(void *arg, const struct gateway_subscription_facts *f)
{
	assert_true(f->to_sip);
	++*(size_t *)arg;
}

static inline size_t count_subscriptions(struct house *h)
{
	size_t n = 0;
	gateway_each_subscription(h->gateway, count_one, &n);
	return n;
}

/* Active, "desk" available. */
static inline void activate_as(struct house *h, const char *watcher)
{
	partner_presence(h, watcher, ROMEO, "subscribe", "");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	home_notifies(h, ROMEO, 1, "active;expires=3600", PIDF(ROMEO, OPEN("desk", "")));
	buf_clear(&h->log);
}

static inline void activate(struct house *h)
{
	activate_as(h, JULIET);
}

/* Time passes until something is in the log, at most so long. */
static inline void until(struct house *h, uint64_t ms)
{
	for (uint64_t end = h->timers.now + ms; !h->log.len && h->timers.now < end;)
		house_pass(h, 1000);
}
