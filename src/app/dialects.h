/* SPDX-License-Identifier: Apache-2.0 */
/* What was found out about how homes speak (homes.dialect auto), by the name of the home, for all workers together. */
#pragma once
#include <stdatomic.h>
#include "base/slice.h"

struct dialects;
struct dialect_place {
	_Atomic unsigned learned; /* enum gateway_dialect, AUTO at first. Any thread reads and writes it */
	const char *name;         /* of the home */
};

struct dialects *dialects_new(void);
/* Accepts NULL; returns NULL. */
struct dialects *dialects_free(struct dialects *d);
/* The place for this home's; it lasts as long as `d`. Any thread. */
struct dialect_place *dialects_of(struct dialects *d, struct slice home);
