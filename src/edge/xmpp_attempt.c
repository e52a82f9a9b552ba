/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection with a partner's server was good for, step by step, for the history (edge/xmpp_history.h). */
#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/xmpp_proxy_int.h"

void xmpp_attempt_begin(struct s2s *s)
{
	for (int i = 0; i < XMPP_STEPS; i++)
		s->took[i] = XMPP_NOT_REACHED;
	s->purpose = "messages";
	s->mark = s->proxy->loop->timers.now;
	s->at = s->inbound ? s->direct ? XMPP_STEP_TLS : XMPP_STEP_STREAM : XMPP_STEP_TCP;
}

uint32_t xmpp_attempt_step(struct s2s *s, enum xmpp_step done, enum xmpp_step next)
{
	uint64_t now = s->proxy->loop->timers.now, took = now - s->mark;
	if (s->took[done] == XMPP_NOT_REACHED)
		s->took[done] = took < XMPP_NOT_REACHED ? (uint32_t)took : XMPP_NOT_REACHED - 1;
	s->mark = now;
	s->at = next;
	return (uint32_t)took;
}

static void fill(const struct s2s *s, struct xmpp_attempt *a, struct xmpp_stream_info *i)
{
	*a = (struct xmpp_attempt){
		.stream = s->id,
		.at = clock_unix() - (int64_t)((s->proxy->loop->timers.now - s->since) / 1000),
		.inbound = s->inbound,
		.purpose = s->purpose,
		.step = s->at,
		.address = slice_str(s->address),
		.how = xmpp_s2s_how(s),
	};
	memcpy(a->took, s->took, sizeof a->took);
	*i = (struct xmpp_stream_info){0};
	if (s->stream)
		xmpp_stream_info(s->stream, i);
	a->local = i->local;
	a->remote = i->remote;
	a->tls = i->tls_protocol;
}

static void certificate(const struct s2s *s, char *ret, size_t size)
{
	const struct tls_peer *t = s->conn ? conn_peer(s->conn) : NULL;
	char until[CLOCK_TEXT];
	*ret = '\0';
	if (!t || !t->has_cert)
		return;
	clock_text_at(t->not_after, until);
	snprintf(ret, size, "%.*s until %.10s, %s%.*s", SFMT(slice_first(t->subject, 120)), until,
		 t->chain_ok ? "trusted" : "not trusted: ", SFMT(t->chain_ok ? SLICE_NONE : slice_first(t->why_not, 100)));
}

static bool known(struct s2s *s, const struct xmpp_attempt *a)
{
	const struct policy_partner *partner;
	xmpp_proxy_judge(s->proxy, a->local, a->remote, &partner);
	return partner;
}

void xmpp_attempt_up(struct s2s *s, const struct xmpp_peer *peer)
{
	struct xmpp_attempt a;
	struct xmpp_stream_info i;
	char cert[256];
	if (s->recorded || !s->proxy->cfg.history)
		return;
	xmpp_attempt_step(s, s->at, XMPP_STEP_UP);
	fill(s, &a, &i);
	certificate(s, cert, sizeof cert);
	a.ok = s->up = s->recorded = true;
	a.remote = xmpp_peer_remote(peer);
	a.local = xmpp_peer_local(peer);
	a.proof = slice_str(xmpp_proof_text(xmpp_peer_proof(peer)));
	a.certificate = slice_str(cert);
	s->remote_proven = mem_strndup(a.remote.p, a.remote.len);
	xmpp_history_add(s->proxy->cfg.history, &a, known(s, &a));
}

static void failed(struct s2s *s, const struct entente_err *err, const struct xmpp_failure *f)
{
	struct xmpp_attempt a;
	struct xmpp_stream_info i;
	char cert[256];
	fill(s, &a, &i);
	a.took[s->at] = (uint32_t)(s->proxy->loop->timers.now - s->mark);
	certificate(s, cert, sizeof cert);
	a.certificate = slice_str(cert);
	a.over = true;
	if (err->reason == REASON_XMPP_CERTIFICATE && s->at == XMPP_STEP_AUTH) /* noticed afterwards */
		a.step = XMPP_STEP_TLS;
	a.reason = err->reason;
	a.text = slice_str(err->text);
	a.received = f && f->received;
	a.condition = f ? f->condition : SLICE_NONE;
	a.who = xmpp_blame(s->at, s->inbound, a.received, f ? f->fault : XMPP_SIDE_NONE, err);
	if (s->up) {
		a.remote = slice_str(s->remote_proven);
		xmpp_history_end(s->proxy->cfg.history, &a);
	} else {
		xmpp_history_add(s->proxy->cfg.history, &a, known(s, &a));
	}
	s->recorded = true;
	s->up = false;
}

void xmpp_attempt_failed(struct s2s *s, const struct entente_err *err, const struct xmpp_failure *f)
{
	if (s->proxy->cfg.history && (!s->recorded || s->up))
		failed(s, err, f);
}

void xmpp_attempt_end(struct s2s *s)
{
	struct xmpp_attempt a;
	struct xmpp_stream_info i;
	if (!s->up)
		return;
	xmpp_attempt_step(s, XMPP_STEP_UP, XMPP_STEP_UP);
	fill(s, &a, &i);
	a.remote = slice_str(s->remote_proven);
	xmpp_history_end(s->proxy->cfg.history, &a);
	s->up = false;
}

void xmpp_attempt_unreached(struct xmpp_proxy *p, const char *what, struct slice local, struct slice remote, uint64_t since,
			    const struct entente_err *err)
{
	const struct policy_partner *partner;
	uint64_t now = p->loop->timers.now;
	metric_add(METRIC_OPENED_XMPP_OUT_FAILED, 1);
	struct xmpp_attempt a = {
		.at = clock_unix() - (int64_t)((now - since) / 1000),
		.purpose = what,
		.step = XMPP_STEP_DNS,
		.over = true,
		.local = local,
		.remote = remote,
		.reason = err->reason,
		.who = xmpp_blame(XMPP_STEP_DNS, false, false, XMPP_SIDE_NONE, err),
		.text = slice_str(err->text),
	};
	for (int i = 0; i < XMPP_STEPS; i++)
		a.took[i] = XMPP_NOT_REACHED;
	a.took[XMPP_STEP_DNS] = (uint32_t)(now - since);
	xmpp_proxy_judge(p, local, remote, &partner);
	xmpp_history_add(p->cfg.history, &a, partner);
}
