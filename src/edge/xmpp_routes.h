/* SPDX-License-Identifier: Apache-2.0 */
/* Which worker has the stream that carries stanzas to a partner. As a rule the one that the partner's domain hashes to; but a
 * partner's own stream may carry them too (XEP-0288), and that one lies where it was accepted. One object for all workers. Any
 * thread. */
#pragma once
#include "base/slice.h"

struct xmpp_routes;

struct xmpp_routes *xmpp_routes_new(void);
/* Accepts NULL; returns NULL. */
struct xmpp_routes *xmpp_routes_free(struct xmpp_routes *r);
/* The worker for stanzas from `local` to `remote`: `usual`, unless another one has claimed the pair. An atomic where none has. */
unsigned xmpp_routes_pick(struct xmpp_routes *r, struct slice local, struct slice remote, unsigned usual);
/* From now on it is this worker. `unusual`: it is not the one that the domain hashes to. False: another has claimed the pair, or
 * this one has already. */
bool xmpp_routes_claim(struct xmpp_routes *r, struct slice local, struct slice remote, unsigned worker, bool unusual);
/* Gives a claim back that was granted. */
void xmpp_routes_release(struct xmpp_routes *r, struct slice local, struct slice remote);
