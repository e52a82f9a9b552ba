/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate signed by its own key, so that a server can start before its authority has answered. Reads and writes no file. Any thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Appends a PEM certificate for `key` (PEM) with these names (dNSName, A-labels, at least one), good for servers and clients, from an hour ago on for so
 * many days. Its organisation says what it is. ENTENTE_EINVAL: no names, or no key; ENTENTE_ETLS: the library failed. */
int plan_trial_make(struct buf *out, struct slice key, const struct slice *names, size_t n_names, unsigned days, struct entente_err *err);
