/* SPDX-License-Identifier: Apache-2.0 */
#include "fakedns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/mem.h"

enum { ROWS = 128 };

static struct fakedns rows[ROWS];
static size_t n_rows;
static bool secure_default;

struct question {
	struct timer timer;
	struct worker *w;
	void (*done)(void *arg, const struct dns_answer *a);
	void *arg;
	char name[256];
	enum dns_type type;
};

struct dns_query *__wrap_dns_ask(struct dns *d, struct worker *self, struct slice name, enum dns_type type,
				 void (*done)(void *arg, const struct dns_answer *a), void *arg);
struct dns_query *__wrap_dns_cancel(struct dns_query *q);

void fakedns_reset(bool secure)
{
	memset(rows, 0, sizeof rows);
	n_rows = 0;
	secure_default = secure;
}

static struct fakedns *find(const char *name, enum dns_type type)
{
	for (size_t i = 0; i < n_rows; i++)
		if (!strcmp(rows[i].name, name) && rows[i].type == type)
			return &rows[i];
	return NULL;
}

struct fakedns *fakedns(const char *name, enum dns_type type)
{
	struct fakedns *r = find(name, type);
	if (r)
		return r;
	assert_true(n_rows < ROWS);
	r = &rows[n_rows++];
	snprintf(r->name, sizeof r->name, "%s", name);
	r->type = type;
	r->secure = secure_default;
	return r;
}

static struct dns_record *record(struct fakedns *r)
{
	assert_true(r->n < 40);
	struct dns_record *x = &r->records[r->n++];
	*x = (struct dns_record){.type = r->type};
	return x;
}

struct fakedns *fakedns_srv(const char *name, unsigned priority, unsigned weight, unsigned port, const char *target)
{
	struct fakedns *r = fakedns(name, DNS_SRV);
	struct dns_record *x = record(r);
	snprintf(r->text[r->n - 1], sizeof r->text[0], "%s", target);
	x->srv.priority = (uint16_t)priority;
	x->srv.weight = (uint16_t)weight;
	x->srv.port = (uint16_t)port;
	x->srv.target = slice_str(r->text[r->n - 1]);
	return r;
}

struct fakedns *fakedns_addr(const char *name, const char *address)
{
	struct addr a;
	assert_true(addr_parse(slice_str(address), 0, &a));
	struct fakedns *r = fakedns(name, addr_is_v6(&a) ? DNS_AAAA : DNS_A);
	record(r)->addr = a;
	return r;
}

struct fakedns *fakedns_tlsa(const char *name, unsigned usage, unsigned selector, unsigned matching, const void *data, size_t n)
{
	struct fakedns *r = fakedns(name, DNS_TLSA);
	struct dns_record *x = record(r);
	assert_true(n <= sizeof r->text[0]);
	memcpy(r->text[r->n - 1], data, n);
	x->tlsa.usage = (uint8_t)usage;
	x->tlsa.selector = (uint8_t)selector;
	x->tlsa.matching = (uint8_t)matching;
	x->tlsa.data = slice_of(r->text[r->n - 1], n);
	return r;
}

struct fakedns *fakedns_fail(const char *name, enum dns_type type, enum dns_status status)
{
	struct fakedns *r = fakedns(name, type);
	r->status = status;
	r->secure = false;
	return r;
}

unsigned fakedns_asked(const char *name, enum dns_type type)
{
	struct fakedns *r = find(name, type);
	return r ? r->asked : 0;
}

static bool exists(const char *name)
{
	for (size_t i = 0; i < n_rows; i++)
		if (!strcmp(rows[i].name, name) && rows[i].n)
			return true;
	return false;
}

static void answer(struct timer *t, uint64_t now)
{
	struct question *q = CONTAINER_OF(t, struct question, timer);
	struct fakedns *r = find(q->name, q->type);
	struct dns_answer a = {.status = DNS_NXDOMAIN, .type = q->type, .secure = secure_default, .name = slice_str(q->name)};
	(void)now;
	a.canonical = a.name;
	if (r) {
		a.status = r->status ? r->status : r->n ? DNS_OK : DNS_NODATA;
		a.secure = r->secure;
		a.cnames = r->cnames;
		a.late = r->delay_ms >= DNS_STALE_AFTER_MS;
		if (r->canonical)
			a.canonical = slice_str(r->canonical);
		a.records = r->records;
		a.n = r->status ? 0 : r->n;
	}
	a.why = slice_str(dns_status_text(a.status));
	if (q->done)
		q->done(q->arg, &a);
	mem_free(q);
}

struct dns_query *__wrap_dns_ask(struct dns *d, struct worker *self, struct slice name, enum dns_type type,
				 void (*done)(void *arg, const struct dns_answer *a), void *arg)
{
	struct question *q = MEM_NEW(struct question);
	struct fakedns *r;
	(void)d;
	q->w = self;
	q->done = done;
	q->arg = arg;
	q->type = type;
	assert_true(slice_cstr(name, q->name, sizeof q->name));
	timer_init(&q->timer, answer);
	if ((r = find(q->name, type)))
		r->asked++;
	else
		fakedns(q->name, type)->asked = 1, rows[n_rows - 1].status = exists(q->name) ? DNS_NODATA : DNS_NXDOMAIN;
	timer_arm(&self->loop->timers, &q->timer, r ? r->delay_ms : 0);
	return (struct dns_query *)(void *)q;
}

struct dns_query *__wrap_dns_cancel(struct dns_query *x)
{
	struct question *q = (struct question *)(void *)x;
	if (q)
		q->done = NULL;
	return NULL;
}
