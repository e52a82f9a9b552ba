/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the objects that the control socket gives out. */
#pragma once
#include <jansson.h>
#include "base/slice.h"

/* Left out when empty. */
static inline void json_put(json_t *o, const char *key, struct slice s)
{
	if (s.len)
		json_object_set_new(o, key, json_stringn_nocheck(s.p, s.len));
}

static inline void json_put_int(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}
