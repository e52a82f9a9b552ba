/* SPDX-License-Identifier: Apache-2.0 */
/* How fast each of many senders goes (a generic cell rate algorithm): `per_second` on average; who was quiet may send what
 * RATE_SLACK_MS allow at once. Names are kept as hashes, 64 octets each. One thread. */
#pragma once
#include "base/slice.h"

enum { RATE_SLACK_MS = 60000 };

struct rate;

/* At most max_keys senders are remembered, the longest silent one is forgotten first. */
struct rate *rate_new(size_t max_keys);
/* Accepts NULL; returns NULL. */
struct rate *rate_free(struct rate *r);
/* One event of `key` at `now` (ms). False: too fast, and not counted. */
bool rate_admit(struct rate *r, struct slice key, uint64_t now, uint32_t per_second);
size_t rate_count(const struct rate *r);
