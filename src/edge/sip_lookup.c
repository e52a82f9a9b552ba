/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sip_lookup.h"

#include "base/mem.h"

enum { LOOKUP_QUESTIONS = 8 };

struct question {
	struct sip_lookup *l;
	unsigned id;
	enum dns_type type;
	struct slice name; /* the machine's */
	struct dns_query *q;
};

struct sip_lookup {
	struct dns *dns;
	struct worker *worker;
	struct sip_target *machine;
	struct timer patience;
	uint64_t deadline; /* of all questions, ms of the loop's clock */
	struct question questions[LOOKUP_QUESTIONS];
	void (*done)(void *arg, const struct sip_target_entry *e, size_t n, bool unsure);
	void *arg;
	void (*seen)(void *arg, const struct dns_answer *a);
};

static void proceed(struct sip_lookup *l);

static void answered(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;
	struct sip_lookup *l = q->l;
	struct sip_target_record recs[DNS_RECORDS_MAX];
	bool bad = a->status != DNS_OK && a->status != DNS_NODATA && a->status != DNS_NXDOMAIN;
	size_t n = a->status == DNS_OK ? a->n : 0;
	memset(recs, 0, sizeof recs);
	for (size_t i = 0; i < n; i++) {
		const struct dns_record *r = &a->records[i];
		if (r->type == DNS_SRV) {
			recs[i].name = r->srv.target;
			recs[i].priority = r->srv.priority;
			recs[i].weight = r->srv.weight;
			recs[i].port = r->srv.port;
		} else if (r->type == DNS_A) {
			recs[i].a = r->addr.v4.sin_addr;
		} else if (r->type == DNS_AAAA) {
			recs[i].aaaa = r->addr.v6.sin6_addr;
		}
	}
	q->q = NULL;
	if (l->seen)
		l->seen(l->arg, a);
	sip_target_answer(l->machine, q->id, bad, recs, n);
	proceed(l);
}

static struct timers *timers_of(const struct sip_lookup *l)
{
	return &l->worker->loop->timers;
}

/* Whatever is open is not answered any more: what comes after it (an address instead of a service) needs time, too. */
static void too_long(struct timer *t, uint64_t now)
{
	struct sip_lookup *l = CONTAINER_OF(t, struct sip_lookup, patience);
	(void)now;
	for (size_t i = 0; i < LOOKUP_QUESTIONS; i++) {
		struct question *q = &l->questions[i];
		if (!q->q)
			continue;
		q->q = dns_cancel(q->q);
		if (l->seen)
			l->seen(l->arg, &(struct dns_answer){.status = DNS_TIMEOUT, .type = q->type, .name = q->name, .canonical = q->name,
							     .why = slice_str(dns_status_text(DNS_TIMEOUT))});
		sip_target_answer(l->machine, q->id, true, NULL, 0);
	}
	proceed(l);
}

/* Asks all open questions; the owner may free the look-up when it is told the result. */
static void proceed(struct sip_lookup *l)
{
	static const enum dns_type type[] = {
		[SIP_DNS_NAPTR] = DNS_NAPTR, [SIP_DNS_SRV] = DNS_SRV, [SIP_DNS_A] = DNS_A, [SIP_DNS_AAAA] = DNS_AAAA};
	struct sip_target_question ask;
	uint64_t now = timers_of(l)->now, left = l->deadline > now ? l->deadline - now : 0;
	while (!left && sip_target_ask(l->machine, &ask))
		sip_target_answer(l->machine, ask.id, true, NULL, 0);
	for (size_t i = 0; i < LOOKUP_QUESTIONS; i++) {
		struct question *q = &l->questions[i];
		if (q->q)
			continue;
		if (!sip_target_ask(l->machine, &ask))
			break;
		q->l = l;
		q->id = ask.id;
		q->type = type[ask.type];
		q->name = ask.name;
		timer_arm(timers_of(l), &l->patience, left > dns_patience(l->dns) / 8 ? left * 3 / 4 : left);
		q->q = dns_ask(l->dns, l->worker, ask.name, q->type, answered, q);
	}
	if (sip_target_done(l->machine)) {
		timer_cancel(timers_of(l), &l->patience);
		size_t n;
		bool unsure;
		const struct sip_target_entry *e = sip_target_entries(l->machine, &n, &unsure);
		l->done(l->arg, e, n, unsure);
	}
}

int sip_lookup_new(struct sip_lookup **ret, const struct sip_lookup_config *cfg)
{
	struct sip_target *machine;
	int rc = sip_target_new(&machine, cfg->uri, cfg->target);
	if (rc)
		return rc;
	struct sip_lookup *l = MEM_NEW(struct sip_lookup);
	*l = (struct sip_lookup){.dns = cfg->dns, .worker = cfg->worker, .machine = machine, .done = cfg->done, .arg = cfg->arg,
				 .seen = cfg->seen};
	timer_init(&l->patience, too_long);
	l->deadline = timers_of(l)->now + dns_patience(l->dns);
	*ret = l;
	proceed(l);
	return 0;
}

struct sip_lookup *sip_lookup_free(struct sip_lookup *l)
{
	if (!l)
		return NULL;
	timer_cancel(timers_of(l), &l->patience);
	for (size_t i = 0; i < LOOKUP_QUESTIONS; i++)
		dns_cancel(l->questions[i].q);
	sip_target_free(l->machine);
	return mem_free(l);
}
