/* SPDX-License-Identifier: Apache-2.0 */
#include "api/backoff.h"

#include "base/map.h"
#include "base/mem.h"

enum { ACCOUNTS = 1024, ADDRESSES = 4096, FIRST_MS = 1000, FAILURES_MAX = 30 };

struct counter {
	uint64_t last, until;
	unsigned failures;
};

struct backoff {
	struct counter accounts[ACCOUNTS], addresses[ADDRESSES];
};

struct backoff *backoff_new(void)
{
	return MEM_NEW(struct backoff);
}

struct backoff *backoff_free(struct backoff *b)
{
	return mem_free(b);
}

static struct counter *account_of(struct backoff *b, struct slice account)
{
	return &b->accounts[hash_slice(account) % ACCOUNTS];
}

static struct counter *address_of(struct backoff *b, struct slice address)
{
	return &b->addresses[hash_slice(address) % ADDRESSES];
}

static uint64_t wait_of(struct counter *c, uint64_t now)
{
	if (c->failures && now - c->last >= BACKOFF_FORGET_MS)
		*c = (struct counter){0};
	return c->until > now ? c->until - now : 0;
}

static void count(struct counter *c, uint64_t now, uint64_t longest)
{
	c->failures += c->failures < FAILURES_MAX;
	c->last = now;
	uint64_t delay = c->failures < BACKOFF_FREE ? 0 : (uint64_t)FIRST_MS << (c->failures - BACKOFF_FREE);
	c->until = now + (delay < longest ? delay : longest);
}

uint64_t backoff_begin(struct backoff *b, struct slice account, struct slice address, uint64_t now)
{
	struct counter *a = account_of(b, account), *d = address_of(b, address);
	uint64_t wait_a = wait_of(a, now), wait_d = wait_of(d, now);
	if (wait_a || wait_d)
		return wait_a > wait_d ? wait_a : wait_d;
	count(a, now, BACKOFF_ACCOUNT_MS);
	count(d, now, BACKOFF_ADDRESS_MS);
	return 0;
}

void backoff_clear(struct backoff *b, struct slice account, struct slice address)
{
	*account_of(b, account) = (struct counter){0};
	*address_of(b, address) = (struct counter){0};
}
