/* SPDX-License-Identifier: Apache-2.0 */
/* When certificates end, ours and those that partners have shown: one list, from which log, metrics, status and the command derive. Thresholds are
 * parts of the lifetime (plan/certificates.h), because 30 days are too many for a certificate of 45 and nothing for one of six. Control thread. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "plan/certificates.h"

enum { EXPIRY_MOST = 2000 /* of partners; the rest is not watched */, EXPIRY_NAME_MAX = 256 };

struct expiry_entry {
	bool own;
	char name[EXPIRY_NAME_MAX];   /* own: server, client, internal; else the partner's domain */
	const char *protocol;         /* of a partner: "xmpp", "sip"; own: "" */
	char subject[EXPIRY_NAME_MAX], issuer[EXPIRY_NAME_MAX];
	uint8_t sha256[32];
	int64_t not_before, not_after, seen; /* seconds since 1970; seen: own 0 */
	bool believed;
};
struct expiry_list {
	struct expiry_entry *list; /* owned */
	size_t n, cap;
};
/* A place for one more, zeroed; NULL: there are EXPIRY_MOST. */
struct expiry_entry *expiry_add(struct expiry_list *l);
void expiry_clear(struct expiry_list *l);

/* What was said already. */
struct expiry_watch {
	json_t *told;
};
void expiry_watch_free(struct expiry_watch *w);
/* Calls `tell` for each certificate that has come to a new level, from SOON on; once for each level and certificate. Returns the second at which
 * the next one will, INT64_MAX: none. Pure but for `tell`. */
int64_t expiry_look(struct expiry_watch *w, const struct expiry_list *l, int64_t now, void (*tell)(void *arg, const struct expiry_entry *e, enum plan_expiry level), void *arg);
/* For people: "fabrikam.example's certificate (xmpp) has expired (2026-...)". */
void expiry_text(struct buf *out, const struct expiry_entry *e, enum plan_expiry level);

/* Samples of entente_certificate_not_after_timestamp_seconds and _remaining_ratio, with their heads. */
void expiry_metrics(struct buf *out, const struct expiry_list *l, int64_t now);
/* Problems for `entente status`: ours from SOON on, partners' from CRITICAL on, at most 5 of those one by one. */
void expiry_problems(json_t *problems, const struct expiry_list *l, int64_t now);
