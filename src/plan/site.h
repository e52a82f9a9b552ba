/* SPDX-License-Identifier: Apache-2.0 */
/* The site that a configuration describes. What no configuration says (public addresses, wishes of partners) is the caller's to add. */
#pragma once
#include "config/config.h"
#include "plan/plan.h"

/* Borrows from cfg; lists lie in the arena. ENTENTE_ELIMIT: the arena is full. Looks at the certificate file for wildcards, when it can be read. */
int plan_site_config(struct plan_site *ret, struct arena *a, const struct config *cfg);
/* A domain of ours that the configuration does not name: an edge of its own learns its domains from the gateway. One that is known already changes nothing. `domain` is borrowed,
 * the list lies in the arena. ENTENTE_ELIMIT: the arena is full. */
int plan_site_add_domain(struct plan_site *site, struct arena *a, struct slice domain);
