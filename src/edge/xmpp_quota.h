/* SPDX-License-Identifier: Apache-2.0 */
/* What one partner may take: how many streams, and how many stanzas a second. One object for all workers, since a partner's
 * streams lie on any of them. Any thread; a lock only where a stream begins or ends, an atomic per stanza. */
#pragma once
#include "base/slice.h"

enum { XMPP_QUOTA_SLACK_MS = 10000 }; /* a partner that was quiet may send so much at once */

struct xmpp_quota;
struct xmpp_quota_pass; /* one stream */

struct xmpp_quota *xmpp_quota_new(void);
/* Passes must be back. Accepts NULL; returns NULL. */
struct xmpp_quota *xmpp_quota_free(struct xmpp_quota *q);
/* A stream with the partner of this primary domain. NULL when it would be one more than `per_partner` or, of all partners, than
 * `total`. */
struct xmpp_quota_pass *xmpp_quota_enter(struct xmpp_quota *q, struct slice partner, uint32_t per_partner, uint32_t total);
/* Accepts NULL; returns NULL. */
struct xmpp_quota_pass *xmpp_quota_leave(struct xmpp_quota_pass *p);
/* One stanza came at `now` (ms). Returns after how many ms the stream should be read again, 0: at once. */
uint64_t xmpp_quota_stanza(struct xmpp_quota_pass *p, uint64_t now, uint32_t per_second);
/* Streams open now. */
size_t xmpp_quota_open(struct xmpp_quota *q, struct slice partner);
