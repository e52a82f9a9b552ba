/* SPDX-License-Identifier: Apache-2.0 */
/* SIP-date (RFC 3261 25.1, the fixed form of RFC 1123 dates): "Sat, 13 Nov 2010 23:29:00 GMT". Pure, any thread. */
#pragma once
#include "base/arena.h"

/* False when malformed; *ret is Unix seconds. Years 1970..9999; the day name is not checked against the date. */
bool interwork_date_parse(struct slice s, int64_t *ret);
/* Empty for times outside those years or at the arena's limit. */
struct slice interwork_date_format(struct arena *a, int64_t unix_seconds);
