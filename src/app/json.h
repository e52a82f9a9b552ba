/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the objects that the control socket gives out. */
#pragma once
#include "admin/admin.h"

/* Left out when empty. Partners write much of it: what is not UTF-8 is replaced, a text that is not would make the whole answer unsendable. */
static inline void json_put(json_t *o, const char *key, struct slice s)
{
	if (s.len)
		json_object_set_new(o, key, admin_json_text(s));
}

static inline void json_put_int(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}
