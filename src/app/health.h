/* SPDX-License-Identifier: Apache-2.0 */
/* Is the process alive, and may it be sent traffic? One set of facts for /healthz, /readyz, `entente status`, the metric entente_ready and
 * systemd's watchdog. Every worker is asked to answer HEALTH_TICK_MS after the last time; nobody waits for it. Control thread. */
#pragma once
#include <jansson.h>
#include "base/buf.h"

struct app;
struct health;

enum { HEALTH_TICK_MS = 2000, HEALTH_STUCK_MS = 10000 };

/* After pool_start. */
struct health *health_new(struct app *app);
/* After pool_free. Accepts NULL; returns NULL. */
struct health *health_free(struct health *h);

/* Every thread still turns. False: `why` (may be NULL) names those that do not. */
bool health_alive(const struct app *app, struct buf *why);
/* Alive, a policy in force, listeners open, the store writable, the other half there, a home that is not unreachable, a certificate that
 * has not ended, and not shutting down. Appends an object for each check to `checks` (may be NULL): check (stable name), ok, text. */
bool health_ready(const struct app *app, json_t *checks);
