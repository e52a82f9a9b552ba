/* SPDX-License-Identifier: Apache-2.0 */
/* Topology hiding: what stands behind the Access Edge goes to partners sealed, in our own name, and comes back to be opened. A seal is bound
 * to one Call-ID, so what a partner gives back in a dialog is what it was given there, or it is refused: it can neither read nor make up
 * where a request goes inside. Seals of the same text are the same (Contacts and route sets stay comparable). Stateless: any node that knows
 * the secrets opens them, also after a restart. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "sip/edit.h"

enum { ACCESS_HIDE_KEYS = 4 };
struct access_hide_keys { /* the first one seals, all open */
	unsigned n;
	unsigned char key[ACCESS_HIDE_KEYS][64]; /* to encrypt, to authenticate */
};

/* `secrets`: one after the other, 64 octets each. */
void access_hide_keys(struct access_hide_keys *ret, struct slice secrets);

/* Letters, digits, "-" and "_". p == NULL: the arena is full. `kind` tells what is sealed; needs n > 0. */
struct slice access_hide_seal(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice text);
/* p == NULL: not sealed by us, for something else, in another dialog, or changed since. */
struct slice access_hide_open(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice token);

/* The same for a text that need not be hidden and is known when it comes back: a mark says only that it was given here, and is cheap. */
struct slice access_hide_mark(const struct access_hide_keys *k, struct arena *a, char kind, struct slice call_id, struct slice text);
bool access_hide_marked(const struct access_hide_keys *k, char kind, struct slice call_id, struct slice text, struct slice token);

/* Our names in what partners see. */
struct access_hide {
	const struct access_hide_keys *keys;
	struct slice name;                                  /* "edge.contoso.com:5061" */
	bool (*own)(const void *arg, const struct sip_uri *u); /* does it name us, on either side? */
	const void *arg;
};

/* --- to a partner --- */
/* Contacts lead to us, unless their host is `local` already (a GRUU). */
void access_hide_contacts(const struct access_hide *h, struct sip_edit *e, struct slice local);
/* User-Agent, Server, Warning, Organization. */
void access_hide_makes(struct sip_edit *e);
/* Record-Route of a request: ours is on top, what came is in it. */
void access_hide_recorded(const struct access_hide *h, struct sip_edit *e);
/* Record-Route of an answer: what homes have put above our pair is in ours, in the order in which it is to be passed. */
void access_hide_answered(const struct access_hide *h, struct sip_edit *e);

/* --- from a partner --- */
/* In an answer: our Record-Route becomes our pair and what is in it; `contact` names us inside ("sip:10.0.0.2;transport=tcp"). */
void access_hide_restore(const struct access_hide *h, struct sip_edit *e, struct slice contact);
/* The Request-URI that a Contact of ours stands for; p == NULL when it is none. */
struct slice access_hide_target(const struct access_hide *h, struct arena *a, const struct sip_msg *m);
/* What is to be passed after our own Routes, as the value of Route; p == NULL: nothing. False: sealed, but not for this dialog. */
bool access_hide_routes(const struct access_hide *h, struct arena *a, const struct sip_msg *m, struct slice *ret);
