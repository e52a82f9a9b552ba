/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback keys (XEP-0185): stateless, so that every node that knows the secret can answer for every other. Any thread. */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/slice.h"

enum { XMPP_DIALBACK_KEY = 64 };

/* The 64 hex digits of SHA-256(secret): what keys are made with. Treat as secret. */
struct xmpp_dialback_secret {
	char hex[65];
};

/* Several: the first makes keys, all of them are known when keys are shown, so that the nodes of a pool can change theirs one after
 * the other. As text: their hex digits, one after the other. */
enum { XMPP_DIALBACK_SECRETS = 4 };
struct xmpp_dialback_secrets {
	struct xmpp_dialback_secret s[XMPP_DIALBACK_SECRETS];
	unsigned n;
};
/* From such a text; anything else is taken for the octets of one secret. */
void xmpp_dialback_secrets_init(struct xmpp_dialback_secrets *ret, struct slice text);
/* Reads a file of secrets, one a line, white space around it ignored, empty lines and lines that begin with # too. At least 16 octets
 * each, at least one and at most XMPP_DIALBACK_SECRETS. ENTENTE_ESYNTAX with the reason in `err`. */
int xmpp_dialback_secrets_parse(struct xmpp_dialback_secrets *ret, struct slice file, struct entente_err *err);
/* As text; returns its length. */
size_t xmpp_dialback_secrets_text(const struct xmpp_dialback_secrets *s, char ret[XMPP_DIALBACK_SECRETS * XMPP_DIALBACK_KEY]);

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
/* The same with any of them; how long it takes does not tell with which. */
bool xmpp_dialback_check_any(const struct xmpp_dialback_secrets *s, struct slice receiving, struct slice originating, struct slice id,
			     struct slice key);
