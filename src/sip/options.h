/* SPDX-License-Identifier: Apache-2.0 */
/* OPTIONS (RFC 3261 11): the answer for ourselves, and a prober that tells whether a peer is alive. Not thread-safe. */
#pragma once
#include "sip/trans.h"

struct sip_options_config {
	struct slice allow, accept, supported, allow_events; /* header values; an empty one is left out */
};
/* 200 with Allow, Accept, Supported, Allow-Events. Errors of sip_server_respond. */
int sip_options_answer(struct sip_server_trans *st, const struct sip_options_config *config);

/* Sends OPTIONS every interval over a flow; any answer counts as life (RFC 3261 11.2), silence or a transport failure
 * as death. */
struct sip_probe_ops {
	void (*result)(void *arg, bool alive, int status, uint32_t rtt_ms); /* after each round; status 0 without an answer */
};
struct sip_probe_config {
	struct sip_flow flow;
	struct slice uri, from, contact; /* Request-URI; From value without tag; Contact value (may be empty) */
	uint32_t interval_ms;            /* 0: 30000; jitter of 10 % is applied */
	uint32_t timeout_ms;             /* 0: 64*T1 */
};
struct sip_probe;
/* The first round starts at once (on the next run of the timers). Copies the config. */
struct sip_probe *sip_probe_new(struct sip_stack *s, const struct sip_probe_config *config, const struct sip_probe_ops *ops,
				void *arg);
/* A connection was replaced. */
void sip_probe_set_flow(struct sip_probe *p, const struct sip_flow *flow);
struct sip_probe *sip_probe_free(struct sip_probe *p);
