/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/options.h"

#include "base/mem.h"
#include "base/rand.h"
#include "sip/trans_int.h"

enum { INTERVAL_MS = 30000, REQUEST_MAX = 16384, CALL_ID_LEN = 24, TAG_LEN = 12 };

int sip_options_answer(struct sip_server_trans *st, const struct sip_options_config *c)
{
	const struct sip_extra all[] = {{S("Allow"), c->allow},
					{S("Accept"), c->accept},
					{S("Supported"), c->supported},
					{S("Allow-Events"), c->allow_events}};
	struct sip_extra given[4];
	size_t n = 0;
	for (size_t i = 0; i < 4; i++)
		if (!slice_empty(all[i].value))
			given[n++] = all[i];
	struct sip_answer an = {.status = 200, .headers = given, .n_headers = n};
	return sip_server_respond(st, &an);
}

/* --- prober --- */

struct sip_probe {
	struct sip_stack *stack;
	struct sip_probe_config config; /* owned texts */
	const struct sip_probe_ops *ops;
	void *arg;
	struct sip_client_trans *ct;
	char call_id[CALL_ID_LEN + 1];
	uint32_t cseq;
	uint64_t sent_at;
	struct timer timer;
};

static void tell(struct sip_probe *p, bool alive, int status)
{
	uint64_t rtt = sip_stack_timers(p->stack)->now - p->sent_at;
	p->ct = NULL;
	p->ops->result(p->arg, alive, status, (uint32_t)rtt); /* last: it may free p */
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	(void)from;
	if (m->status < 200)
		return;
	sip_client_drop(ct);
	tell(arg, true, m->status);
}

static void on_done(void *arg, enum sip_done why)
{
	(void)why;
	tell(arg, false, 0);
}

static const struct sip_client_handler handler = {on_response, on_done};

static void fire(struct timer *t, uint64_t now)
{
	struct sip_probe *p = CONTAINER_OF(t, struct sip_probe, timer);
	const struct sip_probe_config *c = &p->config;
	struct timers *q = sip_stack_timers(p->stack);
	/* Probes of many peers must not fall into step. */
	timer_arm(q, t, c->interval_ms - c->interval_ms / 10 + rand_below(c->interval_ms / 5 + 1));
	if (p->ct)
		return; /* the last round is still open */
	struct buf b;
	char tag[TAG_LEN + 1];
	rand_token(tag, TAG_LEN);
	buf_init(&b, REQUEST_MAX);
	sip_build_request(&b, S("OPTIONS"), c->uri);
	sip_build_header(&b, SIP_H_MAX_FORWARDS, S("70"));
	sip_build_header_fmt(&b, SIP_H_FROM, "%.*s;tag=%s", SFMT(c->from), tag);
	sip_build_header_fmt(&b, SIP_H_TO, "<%.*s>", SFMT(c->uri));
	sip_build_header(&b, SIP_H_CALL_ID, slice_str(p->call_id));
	sip_build_header_fmt(&b, SIP_H_CSEQ, "%u OPTIONS", ++p->cseq);
	if (!slice_empty(c->contact))
		sip_build_header(&b, SIP_H_CONTACT, c->contact);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	p->sent_at = now;
	struct sip_client_opts opts = {.timeout_ms = c->timeout_ms};
	if (buf_ok(&b)) /* too many transactions: this round is left out */
		sip_client_start(&p->ct, p->stack, &c->flow, buf_slice(&b), &handler, p, &opts);
	buf_free(&b);
}

struct sip_probe *sip_probe_new(struct sip_stack *s, const struct sip_probe_config *config, const struct sip_probe_ops *ops,
				void *arg)
{
	struct sip_probe *p = MEM_NEW(struct sip_probe);
	p->stack = s;
	p->config = *config;
	p->config.uri = trans_text_dup(config->uri);
	p->config.from = trans_text_dup(config->from);
	p->config.contact = trans_text_dup(config->contact);
	p->config.interval_ms = config->interval_ms ? config->interval_ms : INTERVAL_MS;
	p->ops = ops;
	p->arg = arg;
	rand_token(p->call_id, CALL_ID_LEN);
	timer_init(&p->timer, fire);
	timer_arm(sip_stack_timers(s), &p->timer, 0);
	return p;
}

void sip_probe_set_flow(struct sip_probe *p, const struct sip_flow *flow)
{
	p->config.flow = *flow;
}

struct sip_probe *sip_probe_free(struct sip_probe *p)
{
	if (!p)
		return NULL;
	timer_cancel(sip_stack_timers(p->stack), &p->timer);
	sip_client_drop(p->ct);
	trans_text_free(&p->config.uri);
	trans_text_free(&p->config.from);
	trans_text_free(&p->config.contact);
	return mem_free(p);
}
