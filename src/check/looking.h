/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: one look at the world. */
#pragma once
#include "check/collect.h"
#include "net/worker.h"

struct check_looking {
	struct check_facts *f;
	struct arena *a;
	struct check_options o;
	struct pool *pool;         /* its control worker only; no threads */
	struct dns *dns;           /* NULL: there is none, `dns_why` says why */
	struct slice dns_why;
};

/* Turns the loop until *pending is 0 or the time is over. False: it was over. */
bool check_turn(struct check_looking *x, const size_t *pending, uint64_t ms);
/* The resolver, made at the first use; NULL: see dns_why. */
struct dns *check_resolver(struct check_looking *x);
void check_progress(struct check_looking *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
