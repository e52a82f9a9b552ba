/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that does nothing but hash passwords (admin/password.h): each takes some 100 ms and 64 MiB, so one after the other, and at most
 * HASHER_QUEUE wait. Results come back on the thread of `home`. Passwords are copied and wiped. */
#pragma once
#include "base/slice.h"
#include "net/worker.h"

enum { HASHER_QUEUE = 16 };

struct hasher;
struct hasher *hasher_new(struct worker *home);
/* Nobody is told any more. Waits for the hash under way. Accepts NULL; returns NULL. */
struct hasher *hasher_free(struct hasher *h);

/* On home's thread, unless the hasher is freed before. verify: ok, does the password fit; hash: ok, and its hash (NULL: no memory). */
typedef void hasher_done(void *arg, uint64_t id, bool ok, const char *hash);
/* hash: NULL: make one; else verify against it. False: too many wait. */
bool hasher_submit(struct hasher *h, struct slice password, const char *hash, hasher_done *done, void *arg, uint64_t id);
