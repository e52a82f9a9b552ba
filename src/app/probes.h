/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic probes, as Lync's watcher nodes made them: `partner test` of every partner of the policy, one at a time, spread over probes.interval
 * with jitter, so that no two servers probe in step and nothing is disturbed: each has a connection of its own, and tests that an administrator
 * starts have the other places. A partner that was never probed comes first. Off while probes.interval is 0. What came of the last probe
 * feeds entente_partner_up, `entente show probes` and the problems of `entente status`. Control thread. */
#pragma once
#include <jansson.h>
#include "base/slice.h"

struct app;
struct config;
struct probes;

enum { PROBES_MAX = 2000 }; /* partners; more are not probed */

/* After control_open. */
struct probes *probes_new(struct app *app);
/* Before control_close. Accepts NULL; returns NULL. */
struct probes *probes_free(struct probes *p);
/* The settings or the partners have changed. p may be NULL. */
void probes_wake(struct probes *p);

struct probe_result {
	bool ok;
	int64_t at;       /* when it ended, seconds since 1970; 0: not yet */
	uint32_t took_ms;
};
/* False: the partner (A-labels) is not probed. p may be NULL. */
bool probes_result(const struct probes *p, struct slice domain, bool sip, struct probe_result *ret);
/* Appends an object per partner: partner, protocol, result ("up", "down", "pending", "running"), at (RFC 3339), took (ms), failures (in a row),
 * and of a failure step, reason, who, text. p may be NULL. */
void probes_rows(const struct probes *p, json_t *array);
/* A line for each partner that did not answer, some at most. p may be NULL. */
void probes_problems(const struct probes *p, json_t *problems);
