/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback keys (XEP-0185): stateless, so that every node that knows the secret can answer for every other. Any thread. */
#pragma once
#include <stdbool.h>
#include "base/slice.h"

enum { XMPP_DIALBACK_KEY = 64 };

/* The 64 hex digits of SHA-256(secret): what keys are made with. Treat as secret. */
struct xmpp_dialback_secret {
	char hex[65];
};

void xmpp_dialback_secret_init(struct xmpp_dialback_secret *ret, struct slice secret);
/* A secret of this process alone, when none is configured (then no other node can answer for its streams). */
void xmpp_dialback_secret_random(struct xmpp_dialback_secret *ret);

/* The key by which `originating` (us) proves itself to `receiving` on the stream that `receiving` gave the identifier `id`.
 * Domains prepared. Lower case hex with a NUL. */
void xmpp_dialback_key(char ret[XMPP_DIALBACK_KEY + 1], const struct xmpp_dialback_secret *secret, struct slice receiving,
		       struct slice originating, struct slice id);
/* Whether `key`, as it came in a db:verify (white space around it is ignored), is the one we would have made. Constant time. */
bool xmpp_dialback_check(const struct xmpp_dialback_secret *secret, struct slice receiving, struct slice originating,
			 struct slice id, struct slice key);
